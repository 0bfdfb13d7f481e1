//! L2 penalty and dropout together: of the regularisers that Khalil and others (2025) compare,
//! the best compromise between leakage and accuracy. See [`L2`](super::L2) and
//! [`Dropout`](super::Dropout).

use super::around::check;
use super::{dropout, l2};
use crate::defend::{About, Bench, Defence, Stage};
use crate::error::Result;
use crate::trainer::{Alteration, Trainer};

/// A penalty on large weights, and hidden units left out at random.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct L2Dropout {
    penalty: f32,
    rate: f32,
}

impl L2Dropout {
    /// With this λ and this probability of leaving out a unit.
    ///
    /// # Errors
    /// If λ is not above 0 and finite, or the probability not between 0 and 1.
    pub fn new(penalty: f32, rate: f32) -> Result<Self> {
        let good = penalty > 0.0 && penalty.is_finite();
        check(
            "l2+dropout",
            "the penalty",
            penalty,
            "above 0 and finite",
            good,
        )?;
        dropout::check_rate("l2+dropout", rate)?;
        Ok(Self { penalty, rate })
    }
}

impl Defence for L2Dropout {
    fn name(&self) -> String {
        format!("l2+dropout:{},{}", self.penalty, self.rate)
    }

    fn about(&self) -> About {
        About {
            title: format!("L2 penalty {} and dropout {}", self.penalty, self.rate),
            source: "Krogh and Hertz 1992; Srivastava and others 2014",
            what: "Large weights cost something, and hidden units are left out at random in training.".into(),
            promise: Some("Nothing is guaranteed: it narrows the gap between training and test records on average, and records that lie apart may stay exposed.".into()),
            stage: Stage::Training,
            sample_aware: false,
            keeps_labels: false,
            scikit_learn: format!("{}. scikit-learn's networks have no dropout", l2::in_scikit_learn(self.penalty)),
            pytorch: format!("{}. {}", l2::in_pytorch(self.penalty), dropout::in_pytorch(self.rate)),
        }
    }

    fn trainer<'a>(&'a self, bench: &'a Bench<'a>) -> Result<Option<Box<dyn Trainer + 'a>>> {
        let alteration = Alteration {
            l2: Some(self.penalty),
            dropout: Some(self.rate),
            ..Alteration::default()
        };
        bench.trainer.altered(&alteration).map(Some)
    }
}
