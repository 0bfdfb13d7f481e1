//! What defences of training share: a trainer around a trainer, checks of settings, sets of
//! records, soft labels.

use ndarray::{Array2, ArrayView1};

use crate::dataset::Dataset;
use crate::defend::Bench;
use crate::error::{Error, Result};
use crate::trainer::{Alteration, Model, Trainer};

/// What becomes of a training set before a trainer sees it.
pub(super) trait Change: Sync {
    /// Trains one model with `inner`.
    fn train<'t>(
        &'t self,
        inner: &'t (dyn Trainer + 't),
        rows: &[u32],
        validation: &[u32],
        seed: u64,
    ) -> Result<Box<dyn Model + 't>>;

    /// Bytes that it takes for a model on so many records on so many threads, beside what `inner`
    /// does by its [`Trainer::memory`].
    fn memory(&self, inner: usize, records: usize, threads: usize) -> usize;
}

/// The trainer within.
enum Inner<'a> {
    Plain(&'a (dyn Trainer + 'a)),
    Altered(Box<dyn Trainer + 'a>),
}

/// A trainer around a trainer.
pub(super) struct Around<'a, C> {
    inner: Inner<'a>,
    change: C,
}

impl<'a, C: Change + 'a> Around<'a, C> {
    /// Around the trainer of the bench as it is.
    pub(super) fn plain(bench: &'a Bench<'a>, change: C) -> Box<dyn Trainer + 'a> {
        Box::new(Self {
            inner: Inner::Plain(bench.trainer),
            change,
        })
    }

    /// Around the trainer of the bench with other settings.
    pub(super) fn altered(
        bench: &'a Bench<'a>,
        alteration: &Alteration,
        change: C,
    ) -> Result<Box<dyn Trainer + 'a>> {
        Ok(Box::new(Self {
            inner: Inner::Altered(bench.trainer.altered(alteration)?),
            change,
        }))
    }

    fn inner(&self) -> &(dyn Trainer + 'a) {
        match &self.inner {
            Inner::Plain(trainer) => *trainer,
            Inner::Altered(trainer) => &**trainer,
        }
    }
}

impl<C: Change> Trainer for Around<'_, C> {
    fn train(&self, rows: &[u32], validation: &[u32], seed: u64) -> Result<Box<dyn Model + '_>> {
        self.change.train(self.inner(), rows, validation, seed)
    }

    fn memory(&self, records: usize, validation: usize, threads: usize) -> usize {
        let inner = self.inner().memory(records, validation, threads);
        inner.saturating_add(self.change.memory(inner, records, threads))
    }

    fn restore(&self, weights: &[u8]) -> Result<Box<dyn Model + '_>> {
        self.inner().restore(weights)
    }

    fn has_layers(&self) -> bool {
        self.inner().has_layers()
    }

    fn answers_slowly(&self) -> bool {
        self.inner().answers_slowly()
    }

    fn batch_size(&self) -> Option<usize> {
        self.inner().batch_size()
    }

    fn epochs(&self) -> Option<usize> {
        self.inner().epochs()
    }

    fn kernel(&self) -> String {
        self.inner().kernel()
    }
}

/// Refuses a setting unless it is `good`.
pub(super) fn check(
    defence: &str,
    setting: &str,
    value: impl std::fmt::Display,
    must: &str,
    good: bool,
) -> Result<()> {
    if good {
        return Ok(());
    }
    Err(Error::usage(format!(
        "{defence}: {setting} is {value}; it must be {must}"
    )))
}

/// Refuses a defence of exposed records where there are none.
pub(super) fn need_exposed(bench: &Bench, what: &str) -> Result<()> {
    if bench.exposed.contains(&true) {
        return Ok(());
    }
    Err(
        Error::usage(format!("no record is known to be exposed: there is nothing to {what}"))
            .hint("choose a defence for all records, or have records selected by a share or a count that is not 0"),
    )
}

/// The rows that are not marked; an error if there are none.
pub(super) fn without(rows: &[u32], marked: &[bool]) -> Result<Vec<u32>> {
    let kept: Vec<u32> = rows
        .iter()
        .copied()
        .filter(|&row| !marked[row as usize])
        .collect();
    if kept.is_empty() && !rows.is_empty() {
        return Err(Error::usage(format!(
            "all {} records of a training set are exposed: without them nothing is left to train on",
            rows.len()
        ))
        .hint("protect fewer records, or choose a defence that keeps them"));
    }
    Ok(kept)
}

/// Whether a row is marked.
pub(super) fn any(rows: &[u32], marked: &[bool]) -> bool {
    rows.iter().any(|&row| marked[row as usize])
}

/// Sure labels as probabilities, records × classes.
pub(super) fn one_hot(dataset: &Dataset) -> Array2<f32> {
    let mut probabilities = Array2::zeros((dataset.len(), dataset.class_count()));
    for (mut row, &label) in probabilities.rows_mut().into_iter().zip(&dataset.labels) {
        row[label as usize] = 1.0;
    }
    probabilities
}

/// Bytes of soft labels for all records, as they are made and as networks keep them.
pub(super) fn soft_label_bytes(dataset: &Dataset) -> usize {
    let classes = dataset.class_count();
    let stored = classes + classes.next_multiple_of(16);
    dataset.len().saturating_mul(stored * size_of::<f32>())
}

/// The probabilities that logits divided by a temperature stand for.
pub(super) fn softmax(logits: &ArrayView1<f32>, temperature: f64, to: &mut [f64]) {
    let largest = logits.iter().copied().fold(f32::MIN, f32::max);
    let mut sum = 0.0;
    for (to, &logit) in to.iter_mut().zip(logits) {
        *to = ((f64::from(logit) - f64::from(largest)) / temperature).exp();
        sum += *to;
    }
    for to in to {
        *to /= sum;
    }
}

/// Asks a model about all records, and calls `each` with the number of a record and its logits.
pub(super) fn each_record(
    model: &dyn Model,
    mut each: impl FnMut(usize, ArrayView1<f32>),
) -> Result<()> {
    let mut record = 0;
    model
        .each_logits(&mut |block| {
            for logits in block.outer_iter() {
                each(record, logits);
                record += 1;
            }
            Ok(())
        })
        .map_err(|e| Error::unexpected(format!("cannot ask a model about its records: {e}")))
}
