//! `RelaxLoss`: Chen, Yu and Fritz, "`RelaxLoss`: defending membership inference attacks without
//! losing utility" (ICLR 2022), algorithm 1.
//!
//! A batch whose mean cross-entropy is at least α is descended on as usual. Below α, steps of
//! even epochs (from 0) ascend, and steps of odd epochs descend the cross-entropy of flattened
//! posteriors: the label keeps its probability p, and every other class is to have
//! (1 − p)/(c − 1). So the loss of members stays around α. With two classes the flattened
//! posterior is the posterior, and odd epochs do nothing below α.

use giveaway_nn::Objective;

use super::around::check;
use crate::defend::{About, Bench, Defence, Stage};
use crate::error::Result;
use crate::trainer::{Alteration, Trainer};

/// Training that aims at a loss above 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RelaxLoss {
    level: f32,
}

impl RelaxLoss {
    /// With this mean loss α to aim at.
    ///
    /// # Errors
    /// If it is not above 0 and finite.
    pub fn new(level: f32) -> Result<Self> {
        let good = level > 0.0 && level.is_finite();
        check("relax-loss", "the level", level, "above 0 and finite", good)?;
        Ok(Self { level })
    }
}

impl Defence for RelaxLoss {
    fn name(&self) -> String {
        format!("relax-loss:{}", self.level)
    }

    fn about(&self) -> About {
        About {
            title: format!("RelaxLoss {}", self.level),
            source: "Chen, Yu and Fritz 2022",
            what: format!("Training aims at a mean loss of {} rather than 0: below it, steps go up again or flatten what is answered beside the label.", self.level),
            promise: Some("Nothing is guaranteed: it brings the mean loss of members near that of others; single records may stay exposed. A level above the loss of unseen records costs accuracy for nothing.".into()),
            stage: Stage::Training,
            sample_aware: false,
            keeps_labels: false,
            scikit_learn: "cannot be done; the nearest is to stop training early (MLPClassifier(early_stopping=True))".into(),
            pytorch: format!(
                "loss = F.cross_entropy(logits, y); if loss < {0}: in even epochs loss = -loss, in odd ones F.cross_entropy(logits, flat) with flat = (1 - p_y) / (classes - 1) and p_y at y, where p = logits.detach().softmax(1)",
                self.level
            ),
        }
    }

    fn trainer<'a>(&'a self, bench: &'a Bench<'a>) -> Result<Option<Box<dyn Trainer + 'a>>> {
        let alteration = Alteration {
            objective: Some(Objective::Relaxed { level: self.level }),
            ..Alteration::default()
        };
        bench.trainer.altered(&alteration).map(Some)
    }
}
