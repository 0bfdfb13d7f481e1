//! Relabelling of suspects, after Khalil and others (2025), who find exposed records among those
//! that are ambiguous or wrongly labelled; the other label is the one that models agree on that
//! never saw the record, as in confident learning (Northcutt, Jiang and Chuang, JAIR 2021).

use super::around::{Around, Change};
use crate::defend::{About, Bench, Defence, Stage};
use crate::error::{Error, Result};
use crate::trainer::{Lesson, Model, Trainer};

/// Gives suspects the class that models agree on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relabel;

struct OtherLabels<'a> {
    own: &'a [u32],
    /// Those of suspects changed.
    labels: Vec<u32>,
}

impl Change for OtherLabels<'_> {
    fn train<'t>(
        &'t self,
        inner: &'t (dyn Trainer + 't),
        rows: &[u32],
        validation: &[u32],
        seed: u64,
    ) -> Result<Box<dyn Model + 't>> {
        let changed = |&row: &u32| self.labels[row as usize] != self.own[row as usize];
        if !rows.iter().any(changed) {
            return inner.train(rows, validation, seed);
        }
        let mut labels = self.labels.clone();
        for &row in validation {
            labels[row as usize] = self.own[row as usize];
        }
        let lesson = Lesson {
            labels: Some(&labels),
            ..Lesson::of(rows, validation)
        };
        inner.learn(&lesson, seed)
    }

    fn memory(&self, _: usize, _: usize, _: usize) -> usize {
        // the list, and its copy in the lesson's examples
        2 * self.labels.len() * size_of::<u32>()
    }
}

impl Defence for Relabel {
    fn name(&self) -> String {
        "relabel".into()
    }

    fn about(&self) -> About {
        About {
            title: "Suspects relabelled".into(),
            source: "Khalil and others 2025; Northcutt and others 2021",
            what: "Records to be protected on whose class models that never saw them agree otherwise are given that class.".into(),
            promise: Some("Nothing is guaranteed: a record with a label that fits is remembered less. It is wrong where the label was right and the record unusual: look at the list first.".into()),
            stage: Stage::Training,
            sample_aware: true,
            keeps_labels: false,
            scikit_learn: "y[ids.isin(r.id)] = the suggested_class of r = pandas.read_csv('relabel.csv', dtype=str), record by record, before model.fit(X, y)".into(),
            pytorch: "dataset.targets[listed] = new_labels before training".into(),
        }
    }

    fn trainer<'a>(&'a self, bench: &'a Bench<'a>) -> Result<Option<Box<dyn Trainer + 'a>>> {
        let own = &bench.dataset.labels;
        let labels: Vec<u32> = own
            .iter()
            .zip(bench.suspects)
            .map(|(&own, suspect)| suspect.unwrap_or(own))
            .collect();
        if &labels == own {
            return Err(Error::usage(
                "no record to be protected has a label that models disagree with: there is nothing to relabel",
            )
            .hint("choose another defence"));
        }
        Ok(Some(Around::plain(bench, OtherLabels { own, labels })))
    }
}
