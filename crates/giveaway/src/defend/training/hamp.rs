//! The training part of HAMP: Chen and Pattabiraman, "Overconfidence is a dangerous thing:
//! mitigating membership inference attacks by enforcing less confident prediction" (NDSS 2024).
//!
//! Models learn soft labels of high entropy: the class of the record has t and every other
//! class of c has (1 − t)/(c − 1), with the largest t at which the entropy is at least
//! γ·ln c. To the divergence from these, −α times the entropy of the answer is added. These
//! labels are label smoothing with s = (1 − t)·c/(c − 1), and that is how they are made here.
//! Divergence and cross-entropy differ by a constant.

use giveaway_nn::Objective;

use super::around::check;
use crate::defend::{About, Bench, Defence, Stage};
use crate::error::Result;
use crate::trainer::{Alteration, Trainer};

/// Labels of high entropy, and a reward for answers of high entropy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HampTraining {
    entropy: f64,
    reward: f32,
}

impl HampTraining {
    /// With the share `entropy` (γ) of the largest possible entropy in labels, and this reward
    /// (α) of an answer's entropy.
    ///
    /// # Errors
    /// If γ is not at least 0 and below 1, or α is negative or not finite.
    pub fn new(entropy: f64, reward: f32) -> Result<Self> {
        let good = (0.0..1.0).contains(&entropy);
        check(
            "hamp-training",
            "the share of the entropy",
            entropy,
            "at least 0 and below 1",
            good,
        )?;
        let good = reward >= 0.0 && reward.is_finite();
        check(
            "hamp-training",
            "the reward",
            reward,
            "at least 0 and finite",
            good,
        )?;
        Ok(Self { entropy, reward })
    }

    /// The probability that the own class has in the labels, of so many classes (at least 2):
    /// the largest with which their entropy is at least the share of ln(classes).
    #[must_use]
    pub fn label_probability(&self, classes: usize) -> f64 {
        let others = (classes.max(2) - 1) as f64;
        let wanted = self.entropy * (others + 1.0).ln();
        let entropy = |t: f64| {
            let part = |p: f64, count: f64| if p > 0.0 { -count * p * p.ln() } else { 0.0 };
            part(t, 1.0) + part((1.0 - t) / others, others)
        };
        // it falls from 1/classes, where it is largest, to 1
        let (mut high_enough, mut too_low) = (1.0 / (others + 1.0), 1.0);
        if entropy(too_low) >= wanted {
            return 1.0;
        }
        for _ in 0..100 {
            let middle = 0.5 * (high_enough + too_low);
            if entropy(middle) >= wanted {
                high_enough = middle;
            } else {
                too_low = middle;
            }
        }
        high_enough
    }

    /// The label smoothing that gives these labels.
    fn smoothing(&self, classes: usize) -> f32 {
        let classes_f = classes.max(2) as f64;
        let smoothing = (1.0 - self.label_probability(classes)) * classes_f / (classes_f - 1.0);
        smoothing as f32
    }

    /// The settings of the training for so many classes.
    #[must_use]
    pub fn alteration(&self, classes: usize) -> Alteration {
        Alteration {
            label_smoothing: Some(self.smoothing(classes)),
            objective: Some(Objective::EntropyReward {
                strength: self.reward,
            }),
            ..Alteration::default()
        }
    }

    /// The settings as the name has them: `0.8,0.01`.
    #[must_use]
    pub fn settings(&self) -> String {
        format!("{},{}", self.entropy, self.reward)
    }
}

impl Defence for HampTraining {
    fn name(&self) -> String {
        format!("hamp-training:{}", self.settings())
    }

    fn about(&self) -> About {
        About {
            title: format!("HAMP, training only ({} of the entropy, reward {})", self.entropy, self.reward),
            source: "Chen and Pattabiraman 2024",
            what: "Models learn unsure labels, and unsure answers are rewarded.".into(),
            promise: Some("Nothing is guaranteed: answers become less sure for members and others alike. HAMP as published changes the answers too.".into()),
            stage: Stage::Training,
            sample_aware: false,
            keeps_labels: false,
            scikit_learn: "the reward cannot be had; unsure labels: each record once for every class, with the class's probability as sample_weight (MLPClassifier.fit takes it from scikit-learn 1.7)".into(),
            pytorch: format!(
                "F.cross_entropy(logits, soft) - {} * torch.distributions.Categorical(logits=logits).entropy().mean(), where soft is t at the label and (1 - t) / (classes - 1) elsewhere, with the largest t whose entropy is {} * log(classes); t = {:.4} for two classes, {:.4} for ten",
                self.reward,
                self.entropy,
                self.label_probability(2),
                self.label_probability(10)
            ),
        }
    }

    fn trainer<'a>(&'a self, bench: &'a Bench<'a>) -> Result<Option<Box<dyn Trainer + 'a>>> {
        let alteration = self.alteration(bench.dataset.class_count());
        bench.trainer.altered(&alteration).map(Some)
    }
}
