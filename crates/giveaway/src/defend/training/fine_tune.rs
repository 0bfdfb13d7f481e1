//! Fine-tuning without the exposed records: the simplest approximate unlearning (as a baseline in
//! Golatkar, Achille and Soatto, "Eternal sunshine of the spotless net", CVPR 2020).
//!
//! The model is trained on all rows, and then goes on from its weights for a few epochs without the
//! exposed records, hoping to forget them. The optimiser starts anew.

use giveaway_stats::random::derive_seed;

use super::around::{Around, Change, any, check, need_exposed, without};
use crate::defend::{About, Bench, Defence, Stage};
use crate::error::Result;
use crate::trainer::{Alteration, Lesson, Model, Trainer};

/// Trains on without the exposed records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FineTune {
    epochs: usize,
}

impl FineTune {
    /// For so many epochs.
    ///
    /// # Errors
    /// If there are none.
    pub fn new(epochs: usize) -> Result<Self> {
        check(
            "fine-tune",
            "the number of epochs",
            epochs,
            "at least 1",
            epochs > 0,
        )?;
        Ok(Self { epochs })
    }
}

struct Forgetful<'a> {
    bench: &'a Bench<'a>,
}

impl Change for Forgetful<'_> {
    /// `inner` is for the epochs afterwards.
    fn train<'t>(
        &'t self,
        inner: &'t (dyn Trainer + 't),
        rows: &[u32],
        validation: &[u32],
        seed: u64,
    ) -> Result<Box<dyn Model + 't>> {
        let Bench {
            exposed, trainer, ..
        } = *self.bench;
        let first = trainer.train(rows, validation, seed)?;
        if !any(rows, exposed) {
            return Ok(first);
        }
        let kept = without(rows, exposed)?;
        let weights = first.weights()?;
        drop(first);
        let lesson = Lesson {
            start: Some(&weights),
            ..Lesson::of(&kept, validation)
        };
        inner.learn(&lesson, derive_seed(seed, "fine-tuning", 0))
    }

    fn memory(&self, inner: usize, records: usize, _: usize) -> usize {
        // the weights, as a file and as they were read; a network in training holds more copies
        inner.saturating_add(records * size_of::<u32>())
    }
}

impl Defence for FineTune {
    fn name(&self) -> String {
        format!("fine-tune:{}", self.epochs)
    }

    fn about(&self) -> About {
        About {
            title: format!("Fine-tuned for {} epochs without the exposed", self.epochs),
            source: "as a baseline in Golatkar and others 2020",
            what: format!("The model is trained on all records and then for {} more epochs without the exposed ones.", self.epochs),
            promise: Some("Nothing is guaranteed: the weights still depend on the exposed records; how much, only an audit tells.".into()),
            stage: Stage::Training,
            sample_aware: true,
            keeps_labels: false,
            scikit_learn: format!("MLPClassifier(warm_start=True): fit(X, y), then set_params(max_iter={}) and fit(X[~listed], y[~listed])", self.epochs),
            pytorch: format!("{} more epochs over torch.utils.data.Subset(dataset, kept), with a new optimiser", self.epochs),
        }
    }

    fn trainer<'a>(&'a self, bench: &'a Bench<'a>) -> Result<Option<Box<dyn Trainer + 'a>>> {
        need_exposed(bench, "forget")?;
        let alteration = Alteration {
            epochs: Some(self.epochs),
            ..Alteration::default()
        };
        Around::altered(bench, &alteration, Forgetful { bench }).map(Some)
    }
}
