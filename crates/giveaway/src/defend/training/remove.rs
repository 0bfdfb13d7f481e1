//! Leaving records out, and the onion that may be under them: Carlini, Jagielski, Zhang, Papernot,
//! Terzis and Tramèr, "The privacy onion effect: memorization is relative" (`NeurIPS` 2022).
//!
//! Exposed records are taken out of every training set. They are then safe from being found in
//! the model, but others may become exposed that were not before: only an audit of the new
//! model tells. As a control, as many records that are not exposed can be taken out instead.

use giveaway_stats::random::Stream;

use super::around::{Around, Change, need_exposed, without};
use crate::defend::{About, Bench, Defence, Stage};
use crate::error::Result;
use crate::trainer::{Model, Trainer};

/// Leaves out the exposed records, or others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remove {
    random: bool,
}

impl Remove {
    /// Leaves out the exposed records.
    #[must_use]
    pub fn exposed() -> Self {
        Self { random: false }
    }

    /// Leaves out others, about as many, drawn once by the seed of the bench: a control. Units
    /// stay together. They are drawn from records that figures are taken from where those are
    /// enough.
    #[must_use]
    pub fn random() -> Self {
        Self { random: true }
    }

    /// The records that are left out wherever they would be trained on, `[records]`.
    #[must_use]
    pub fn removed(&self, bench: &Bench) -> Vec<bool> {
        if !self.random {
            return bench.exposed.to_vec();
        }
        let mut wanted = bench.exposed.iter().filter(|exposed| **exposed).count();
        let mut units: Vec<usize> = (0..bench.units.len()).collect();
        Stream::new(bench.seed, "removal of others", 0).shuffle(&mut units);
        let mut removed = vec![false; bench.exposed.len()];
        for of_held in [false, true] {
            for &unit in &units {
                let records = bench.units.records(unit);
                let is = |marked: &[bool]| records.iter().any(|&record| marked[record as usize]);
                if records.len() <= wanted && !is(bench.exposed) && is(bench.held) == of_held {
                    wanted -= records.len();
                    for &record in records {
                        removed[record as usize] = true;
                    }
                }
            }
        }
        removed
    }
}

struct Without {
    removed: Vec<bool>,
}

impl Change for Without {
    fn train<'t>(
        &'t self,
        inner: &'t (dyn Trainer + 't),
        rows: &[u32],
        validation: &[u32],
        seed: u64,
    ) -> Result<Box<dyn Model + 't>> {
        inner.train(&without(rows, &self.removed)?, validation, seed)
    }

    fn memory(&self, _: usize, records: usize, _: usize) -> usize {
        records * size_of::<u32>()
    }
}

impl Defence for Remove {
    fn name(&self) -> String {
        if self.random {
            "remove-random"
        } else {
            "remove"
        }
        .into()
    }

    fn about(&self) -> About {
        let (title, what, promise) = if self.random {
            (
                "As many other records removed",
                "As many records that are not exposed are taken out of the training set: a control for removal.",
                "It protects nobody but the records that are taken out.",
            )
        } else {
            (
                "Exposed records removed",
                "The exposed records are taken out of the training set.",
                "Beside the encoding of the features, the model does not depend on the values of a record that is not trained on. That it is missing may be seen, as the list was made with it; and removal may expose others that were safe: only a new audit tells.",
            )
        };
        About {
            title: title.into(),
            source: "Carlini and others 2022 (privacy onion)",
            what: what.into(),
            promise: Some(promise.into()),
            stage: Stage::Training,
            sample_aware: !self.random,
            keeps_labels: false,
            scikit_learn: "listed = ids.isin(pandas.read_csv('drop.csv', dtype={'id': str}).id); model.fit(X[~listed], y[~listed])".into(),
            pytorch: "torch.utils.data.Subset(dataset, kept), where kept are the records that are not listed".into(),
        }
    }

    fn trainer<'a>(&'a self, bench: &'a Bench<'a>) -> Result<Option<Box<dyn Trainer + 'a>>> {
        need_exposed(bench, "remove")?;
        let removed = self.removed(bench);
        Ok(Some(Around::plain(bench, Without { removed })))
    }
}
