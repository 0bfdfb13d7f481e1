//! Dropout: Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, "Dropout: a simple way to
//! prevent neural networks from overfitting" (JMLR 2014).
//!
//! In training, every hidden unit is 0 with probability p, and otherwise multiplied by
//! 1 / (1 − p). Answers are given without it.

use super::around::check;
use crate::defend::{About, Bench, Defence, Stage};
use crate::error::Result;
use crate::trainer::{Alteration, Trainer};

/// Hidden units left out at random.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    rate: f32,
}

/// Refuses rates that are none.
pub(super) fn check_rate(defence: &str, rate: f32) -> Result<()> {
    let good = rate > 0.0 && rate < 1.0;
    check(defence, "the rate", rate, "above 0 and below 1", good)
}

impl Dropout {
    /// With this probability of leaving out a unit.
    ///
    /// # Errors
    /// If it is not between 0 and 1.
    pub fn new(rate: f32) -> Result<Self> {
        check_rate("dropout", rate)?;
        Ok(Self { rate })
    }
}

/// How to do it with PyTorch.
pub(super) fn in_pytorch(rate: f32) -> String {
    format!(
        "torch.nn.Dropout({rate}) after the activation of every hidden layer; model.eval() before answering"
    )
}

impl Defence for Dropout {
    fn name(&self) -> String {
        format!("dropout:{}", self.rate)
    }

    fn about(&self) -> About {
        About {
            title: format!("Dropout {}", self.rate),
            source: "Srivastava and others 2014",
            what: "Hidden units are left out at random in training, so that no few of them can remember a record.".into(),
            promise: Some("Nothing is guaranteed: it narrows the gap between training and test records on average.".into()),
            stage: Stage::Training,
            sample_aware: false,
            keeps_labels: false,
            scikit_learn: "scikit-learn's networks have no dropout; the nearest is the L2 penalty (MLPClassifier's alpha)".into(),
            pytorch: in_pytorch(self.rate),
        }
    }

    fn trainer<'a>(&'a self, bench: &'a Bench<'a>) -> Result<Option<Box<dyn Trainer + 'a>>> {
        let alteration = Alteration {
            dropout: Some(self.rate),
            ..Alteration::default()
        };
        bench.trainer.altered(&alteration).map(Some)
    }
}
