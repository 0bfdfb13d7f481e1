//! L2 penalty: Krogh and Hertz, "A simple weight decay can improve generalization" (NIPS 1992).
//!
//! λ/2 · ‖w‖² is added to the mean loss of a batch, so λ·w to its gradient, for weights and
//! biases. With Adam that is the penalty, not decoupled weight decay.

use super::around::check;
use crate::defend::{About, Bench, Defence, Stage};
use crate::error::Result;
use crate::trainer::{Alteration, Trainer};

/// A penalty on large weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct L2 {
    penalty: f32,
}

impl L2 {
    /// With this λ.
    ///
    /// # Errors
    /// If λ is not above 0 and finite.
    pub fn new(penalty: f32) -> Result<Self> {
        let good = penalty > 0.0 && penalty.is_finite();
        check("l2", "the penalty", penalty, "above 0 and finite", good)?;
        Ok(Self { penalty })
    }
}

/// How to set the penalty with scikit-learn.
pub(super) fn in_scikit_learn(penalty: f32) -> String {
    format!(
        "MLPClassifier(alpha={penalty} * batch_size): scikit-learn divides alpha by the records of a batch, so with batch_size=128 it is alpha={:.4}; it leaves biases out. LogisticRegression(C=1 / ({penalty} * len(X)))",
        f64::from(penalty) * 128.0
    )
}

/// How to set the penalty with PyTorch.
pub(super) fn in_pytorch(penalty: f32) -> String {
    format!(
        "torch.optim.Adam(model.parameters(), weight_decay={penalty}); not AdamW, whose decay is another thing"
    )
}

impl Defence for L2 {
    fn name(&self) -> String {
        format!("l2:{}", self.penalty)
    }

    fn about(&self) -> About {
        About {
            title: format!("L2 penalty {}", self.penalty),
            source: "Krogh and Hertz 1992",
            what: "Large weights cost something, so that models follow single records less.".into(),
            promise: Some("Nothing is guaranteed: it narrows the gap between training and test records on average, and records that lie apart may stay exposed.".into()),
            stage: Stage::Training,
            sample_aware: false,
            keeps_labels: false,
            scikit_learn: in_scikit_learn(self.penalty),
            pytorch: in_pytorch(self.penalty),
        }
    }

    fn trainer<'a>(&'a self, bench: &'a Bench<'a>) -> Result<Option<Box<dyn Trainer + 'a>>> {
        let alteration = Alteration {
            l2: Some(self.penalty),
            ..Alteration::default()
        };
        bench.trainer.altered(&alteration).map(Some)
    }
}
