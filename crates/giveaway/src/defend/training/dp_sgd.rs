//! DP-SGD: Abadi, Chu, Goodfellow, `McMahan`, Mironov, Talwar and Zhang, "Deep learning with
//! differential privacy" (CCS 2016); see [`giveaway_nn::Privacy`] for the steps.
//!
//! The noise for a wanted ε comes from the privacy loss distribution
//! ([`giveaway_stats::accounting`]): each step draws every record with probability
//! batch size / records, and there are epochs · ⌈records / batch size⌉ steps. What is hidden is
//! whether one record was in the training set (neighbours by adding or removing one).

use giveaway_nn::Privacy;
use giveaway_stats::accounting::{Accountant, Sampled, noise_for};

use super::around::check;
use crate::defend::{About, Bench, Defence, Stage};
use crate::error::{Error, Result};
use crate::trainer::{Alteration, Trainer};

/// Clipped and noisy gradients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DpSgd {
    /// Infinite for clipping without noise.
    epsilon: f64,
    clip: f32,
    epochs: Option<usize>,
    learning_rate: Option<f32>,
    delta: Option<f64>,
}

/// What training with differential privacy guarantees on a bench, and by which noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guarantee {
    /// ε of a record; infinite without noise.
    pub epsilon: f64,
    /// δ of a record.
    pub delta: f64,
    /// The noise's standard deviation as a multiple of the clip.
    pub noise_multiplier: f64,
    /// The probability with which a step draws a record.
    pub rate: f64,
    /// Steps of the training.
    pub steps: u64,
}

impl DpSgd {
    /// For this ε (infinite: clipping without noise, and without a guarantee), with gradients of
    /// records clipped to the norm `clip`.
    ///
    /// # Errors
    /// If ε is not above 0, or the clip is not above 0 and finite.
    pub fn new(epsilon: f64, clip: f32) -> Result<Self> {
        check("dp-sgd", "epsilon", epsilon, "above 0", epsilon > 0.0)?;
        let good = clip > 0.0 && clip.is_finite();
        check("dp-sgd", "the clip", clip, "above 0 and finite", good)?;
        Ok(Self {
            epsilon,
            clip,
            epochs: None,
            learning_rate: None,
            delta: None,
        })
    }

    /// Trains for so many epochs.
    ///
    /// # Errors
    /// If there are none.
    pub fn epochs(mut self, epochs: usize) -> Result<Self> {
        check(
            "dp-sgd",
            "the number of epochs",
            epochs,
            "at least 1",
            epochs > 0,
        )?;
        self.epochs = Some(epochs);
        Ok(self)
    }

    /// Starts with this learning rate.
    ///
    /// # Errors
    /// If it is not above 0 and finite.
    pub fn learning_rate(mut self, rate: f32) -> Result<Self> {
        let good = rate > 0.0 && rate.is_finite();
        check(
            "dp-sgd",
            "the learning rate",
            rate,
            "above 0 and finite",
            good,
        )?;
        self.learning_rate = Some(rate);
        Ok(self)
    }

    /// With this δ rather than 1 / (records of a training set).
    ///
    /// # Errors
    /// If it is not between 0 and 1.
    pub fn delta(mut self, delta: f64) -> Result<Self> {
        let good = delta > 0.0 && delta < 1.0;
        check("dp-sgd", "delta", delta, "above 0 and below 1", good)?;
        self.delta = Some(delta);
        Ok(self)
    }

    /// What is guaranteed here: for training sets of the size that the bench says. Sets of fewer
    /// records, of which each is drawn more often, have a slightly larger ε.
    ///
    /// # Errors
    /// If the trainer has no batches or epochs, or no noise is enough for ε.
    pub fn guarantee(&self, bench: &Bench) -> Result<Guarantee> {
        let records = bench.training_records.max(1);
        let (Some(batch), Some(epochs)) = (
            bench.trainer.batch_size(),
            self.epochs.or_else(|| bench.trainer.epochs()),
        ) else {
            return Err(Error::usage(
                "DP-SGD is for training by steps on batches, which this trainer has not",
            )
            .hint("choose another defence, or train networks (--trainer network)"));
        };
        let rate = batch.min(records) as f64 / records as f64;
        let steps = (epochs * records.div_ceil(batch.max(1))) as u64;
        let delta = self.delta.unwrap_or(1.0 / records as f64);
        let mut guarantee = Guarantee {
            epsilon: self.epsilon,
            delta,
            noise_multiplier: 0.0,
            rate,
            steps,
        };
        if self.epsilon.is_finite() {
            let accountant = Accountant::LossDistribution;
            guarantee.noise_multiplier = noise_for(self.epsilon, delta, rate, steps, accountant)
                .map_err(|e| cannot_account(&e))?;
        }
        Ok(guarantee)
    }

    /// The settings of the training.
    pub(super) fn alteration(&self, bench: &Bench) -> Result<Alteration> {
        let guarantee = self.guarantee(bench)?;
        Ok(Alteration {
            epochs: self.epochs,
            learning_rate: self.learning_rate,
            privacy: Some(Privacy {
                clip: self.clip,
                // never less noise than was accounted for
                noise_multiplier: rounded_up(guarantee.noise_multiplier),
            }),
            ..Alteration::default()
        })
    }

    /// ε, clip, epochs, learning rate and δ as names have them: empty where they are not set,
    /// left out where nothing follows.
    pub(super) fn settings(&self) -> String {
        let text = |number: Option<f64>| number.map(|number| number.to_string());
        let others = [
            text(self.epochs.map(|epochs| epochs as f64)),
            self.learning_rate.map(|rate| rate.to_string()),
            text(self.delta),
        ];
        let set = others
            .iter()
            .rposition(Option::is_some)
            .map_or(0, |i| i + 1);
        let mut settings = vec![self.epsilon.to_string(), self.clip.to_string()];
        settings.extend(others.into_iter().take(set).map(Option::unwrap_or_default));
        settings.join(",")
    }

    /// What it promises each record, and what it does not.
    pub(super) fn promise(&self) -> String {
        if self.epsilon.is_infinite() {
            return "Nothing is guaranteed: gradients are clipped, but there is no noise.".into();
        }
        let delta = self
            .delta
            .map_or("δ = 1/(training records)".to_owned(), |delta| {
                format!("δ = {delta}")
            });
        format!(
            "Differential privacy: whoever sees the model can tell little of whether one record was trained on, by ε = {} and {delta}, whatever else is known. ε is for a record: for a person with k records, or a record that occurs k times, it is k times as much (and δ grows by more than k). The encoding of the features and the choice of settings are not covered, and who knows the seed knows the noise.",
            self.epsilon
        )
    }

    /// In PyTorch, with Opacus.
    pub(super) fn in_pytorch(&self) -> String {
        format!(
            "opacus.PrivacyEngine().make_private(module=model, optimizer=optimizer, data_loader=loader, noise_multiplier=sigma, max_grad_norm={}, poisson_sampling=True), with sigma = opacus.accountants.utils.get_noise_multiplier(target_epsilon={}, target_delta={}, sample_rate=batch_size / n, epochs=epochs, accountant='prv')",
            self.clip,
            self.epsilon,
            self.delta
                .map_or("1 / n".to_owned(), |delta| delta.to_string())
        )
    }
}

pub(super) const IN_SCIKIT_LEARN: &str = "cannot be done with scikit-learn alone; IBM's diffprivlib has differentially private models of the same interface (logistic regression, not networks)";

/// The noise as the trainer takes it, not below the number.
fn rounded_up(noise: f64) -> f32 {
    let near = noise as f32;
    if f64::from(near) < noise {
        near.next_up()
    } else {
        near
    }
}

fn cannot_account(error: &giveaway_stats::InputError) -> Error {
    Error::usage(format!("cannot find the noise for DP-SGD: {error}"))
        .hint("a larger ε, fewer epochs or smaller batches need less noise")
}

impl Guarantee {
    /// ε of a record whose gradient is clipped to this share of the clip.
    ///
    /// # Errors
    /// If the share is not above 0 and at most 1.
    pub fn epsilon_at(&self, share: f64) -> Result<f64> {
        if self.noise_multiplier == 0.0 {
            return Ok(f64::INFINITY);
        }
        Sampled::new(self.rate, self.noise_multiplier, self.steps)
            .and_then(|sampled| sampled.with_clip_share(share))
            .and_then(|sampled| sampled.epsilon(self.delta, Accountant::LossDistribution))
            .map_err(|e| cannot_account(&e))
    }
}

impl Defence for DpSgd {
    fn name(&self) -> String {
        format!("dp-sgd:{}", self.settings())
    }

    fn about(&self) -> About {
        About {
            title: format!("DP-SGD, ε = {}", self.epsilon),
            source: "Abadi and others 2016",
            what: "Gradients of single records are clipped, and noise is added to their sum."
                .into(),
            promise: Some(self.promise()),
            stage: Stage::Training,
            sample_aware: false,
            keeps_labels: false,
            scikit_learn: IN_SCIKIT_LEARN.into(),
            pytorch: self.in_pytorch(),
        }
    }

    fn trainer<'a>(&'a self, bench: &'a Bench<'a>) -> Result<Option<Box<dyn Trainer + 'a>>> {
        bench.trainer.altered(&self.alteration(bench)?).map(Some)
    }
}
