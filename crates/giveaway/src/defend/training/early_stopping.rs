//! Early stopping: Prechelt, "Early stopping, but when?" (1998).
//!
//! Training ends when the loss of validation records has not become better for some epochs, and
//! the weights of the best epoch are kept. The validation records are some of the model's own
//! rows from which no figure is taken; the model is not trained on them. A training set without any
//! such rows is trained on as without the defence. Never are they test
//! records: that would make the accuracy that is reported afterwards too good.

use giveaway_stats::random::Stream;

use super::around::{Around, Change, check};
use crate::defend::{About, Bench, Defence, Stage};
use crate::error::{Error, Result};
use crate::trainer::{Alteration, Model, Trainer};

/// Stops training by the loss of records that it holds back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EarlyStopping {
    patience: usize,
    share: f64,
}

impl EarlyStopping {
    /// Waits so many epochs for a better loss, and holds back this share of the rows.
    ///
    /// # Errors
    /// If the patience is 0, or the share is not between 0 and 1.
    pub fn new(patience: usize, share: f64) -> Result<Self> {
        check(
            "early-stopping",
            "the patience",
            patience,
            "at least 1",
            patience > 0,
        )?;
        let good = share > 0.0 && share < 1.0;
        check(
            "early-stopping",
            "the share",
            share,
            "above 0 and below 1",
            good,
        )?;
        Ok(Self { patience, share })
    }
}

struct HeldBack<'a> {
    bench: &'a Bench<'a>,
    share: f64,
}

impl HeldBack<'_> {
    /// Marks the records of these rows to validate on: units of which no record is to be judged,
    /// in an order that the seed draws, as many as fit into the share of the rows.
    fn split(&self, rows: &[u32], seed: u64) -> Vec<bool> {
        let Bench { units, held, .. } = *self.bench;
        let mut occurrences = vec![0usize; held.len()];
        for &row in rows {
            occurrences[row as usize] += 1;
        }
        let mut candidates: Vec<usize> = rows
            .iter()
            .map(|&row| units.of_record(row as usize))
            .collect();
        candidates.sort_unstable();
        candidates.dedup();
        candidates.retain(|&unit| {
            units
                .records(unit)
                .iter()
                .all(|&record| held[record as usize])
        });
        Stream::new(seed, "early stopping", 0).shuffle(&mut candidates);
        let mut back = vec![false; held.len()];
        let mut room = (self.share * rows.len() as f64).round() as usize;
        for unit in candidates {
            let records = units.records(unit);
            let count: usize = records
                .iter()
                .map(|&record| occurrences[record as usize])
                .sum();
            if count <= room {
                room -= count;
                for &record in records {
                    back[record as usize] = true;
                }
            }
        }
        back
    }
}

impl Change for HeldBack<'_> {
    fn train<'t>(
        &'t self,
        inner: &'t (dyn Trainer + 't),
        rows: &[u32],
        validation: &[u32],
        seed: u64,
    ) -> Result<Box<dyn Model + 't>> {
        let back = self.split(rows, seed);
        let (held_back, kept): (Vec<u32>, Vec<u32>) =
            rows.iter().partition(|&&row| back[row as usize]);
        let mut watched = validation.to_vec();
        watched.extend(held_back);
        if watched.is_empty() {
            // nothing to stop by
            return self.bench.trainer.train(rows, validation, seed);
        }
        inner.train(&kept, &watched, seed)
    }

    fn memory(&self, _: usize, records: usize, _: usize) -> usize {
        records * (2 * size_of::<u32>() + size_of::<usize>())
            + self.bench.held.len() * (size_of::<usize>() + 1)
    }
}

impl Defence for EarlyStopping {
    fn name(&self) -> String {
        format!("early-stopping:{},{}", self.patience, self.share)
    }

    fn about(&self) -> About {
        About {
            title: format!("Early stopping after {} epochs without a gain", self.patience),
            source: "Prechelt 1998",
            what: format!("Training ends when the loss of records held back ({} of the training set) has not fallen for {} epochs; the best epoch's weights are kept.", self.share, self.patience),
            promise: Some("Nothing is guaranteed: records that are remembered early stay exposed. The records held back are not trained on.".into()),
            stage: Stage::Training,
            sample_aware: false,
            keeps_labels: false,
            scikit_learn: format!(
                "MLPClassifier(early_stopping=True, validation_fraction={}, n_iter_no_change={}); it watches the accuracy, not the loss",
                self.share, self.patience
            ),
            pytorch: format!("after each epoch compute the loss of a validation split; keep the state_dict of the lowest, stop after {} epochs without a lower one", self.patience),
        }
    }

    fn trainer<'a>(&'a self, bench: &'a Bench<'a>) -> Result<Option<Box<dyn Trainer + 'a>>> {
        if !bench.held.contains(&true) {
            return Err(Error::usage(
                "early stopping needs records to validate on that no figure is taken from, and there are none",
            )
            .hint("choose another defence"));
        }
        let alteration = Alteration {
            patience: Some(self.patience),
            ..Alteration::default()
        };
        let change = HeldBack {
            bench,
            share: self.share,
        };
        Around::altered(bench, &alteration, change).map(Some)
    }
}
