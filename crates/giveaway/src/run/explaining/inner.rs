//! Models that are trained again to look inside: what their last layer sees, and how the losses
//! of records went while they were trained, as far as the trainer tells.
//!
//! They are the first reference models of the half that measures. Training is deterministic, so
//! these are the models whose outputs are in the run directory; that is checked, since an
//! explanation of other models would be none.

use std::sync::OnceLock;

use giveaway_stats::random::derive_seed;
use ndarray::{Array2, Axis, Slice};
use rayon::prelude::*;

use crate::attack::loss_trace::interquartile_ranges;
use crate::error::{Error, Result};
use crate::explain::learning::epoch_learned;
use crate::run::directory::RunDirectory;
use crate::run::pool::Pool;
use crate::run::progress::Progress;
use crate::run::training::{REFERENCE, answers_as_stored, side_by_side};
use crate::trainer::{Model, Trainer};

/// What the losses of one model's training say.
struct Traced {
    /// Epoch from which on each record is learnt, one more than the epochs where never.
    epoch: Vec<f64>,
    /// LT-IQR of each record; nothing where there are too few epochs.
    spread: Option<Vec<f64>>,
    epochs: usize,
}

/// Reference models that can be looked into.
pub(super) struct InnerModels<'a> {
    /// Their numbers.
    pub(super) numbers: Vec<usize>,
    models: Vec<Box<dyn Model + 'a>>,
    /// One for each model; none where the trainer does not tell losses.
    traced: Vec<Traced>,
}

/// When records are learnt, means over the models trained on each; NaN where there are none.
pub(super) struct Learning {
    pub(super) epoch: Vec<f64>,
    pub(super) spread: Vec<f64>,
    /// Models that were trained on each record, and those of them that never learn it for good.
    pub(super) trained: Vec<[u32; 2]>,
}

impl<'a> InnerModels<'a> {
    /// Trains these reference models again, with the losses after every epoch if the trainer
    /// tells them.
    ///
    /// # Errors
    /// If training fails, or a model does not answer as the one in the run directory.
    pub(super) fn train(
        run: &RunDirectory,
        pool: &Pool,
        trainer: &'a dyn Trainer,
        numbers: &[usize],
        progress: &dyn Progress,
    ) -> Result<Self> {
        let all: Vec<u32> = if trainer.tells_losses() {
            (0..pool.dataset.len() as u32).collect()
        } else {
            Vec::new()
        };
        let validation = pool.units.expand(&pool.validation_units);
        let slots: Vec<OnceLock<Traced>> = numbers.iter().map(|_| OnceLock::new()).collect();
        let models = side_by_side(pool, trainer, numbers.len(), all.len(), |position| {
            let number = numbers[position];
            let rows = pool.units.expand(pool.membership.training_units(number));
            let seed = derive_seed(pool.config.seed, REFERENCE, number as u64);
            if !trainer.tells_losses() {
                let model = trainer.train(&rows, &validation, seed)?;
                answers_as_stored(run, pool, number, &*model)?;
                progress.advance(1);
                return Ok(model);
            }
            let (model, traces) = trainer.train_traced(&rows, &validation, &all, seed)?;
            answers_as_stored(run, pool, number, &*model)?;
            let epoch = (0..all.len())
                .map(|record| epoch_learned(traces.column(record)) as f64)
                .collect();
            let traced = Traced {
                epoch,
                spread: (traces.nrows() > 1)
                    .then(|| interquartile_ranges(traces.view()))
                    .transpose()?,
                epochs: traces.nrows(),
            };
            slots[position]
                .set(traced)
                .map_err(|_| Error::unexpected("a model was trained twice"))?;
            progress.advance(1);
            Ok(model)
        })?;
        Ok(Self {
            numbers: numbers.to_vec(),
            models,
            traced: slots.into_iter().filter_map(OnceLock::into_inner).collect(),
        })
    }

    /// Those that were trained on a unit, or those that were not.
    pub(super) fn of_unit(&self, pool: &Pool, unit: usize, inside: bool) -> Vec<&dyn Model> {
        self.numbers
            .iter()
            .zip(&self.models)
            .filter(|(number, _)| pool.membership.is_in(**number, unit) == inside)
            .map(|(_, model)| &**model)
            .collect()
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<&dyn Model> {
        self.models.iter().map(|model| &**model).collect()
    }

    /// What the last layers of the first `models` see of every record, side by side.
    ///
    /// # Errors
    /// If memory for it cannot be laid out.
    pub(super) fn penultimate(&self, models: usize) -> Result<Array2<f32>> {
        let models = &self.models[..models.min(self.models.len())];
        let widths: Vec<usize> = models.iter().map(|model| model.features()).collect();
        let records = models.first().map_or(0, |model| model.records());
        let mut all = Array2::zeros((records, widths.iter().sum()));
        let mut start = 0;
        for (model, width) in models.iter().zip(&widths) {
            let mut row = 0;
            let columns = start..start + width;
            model
                .each_features(&mut |block| {
                    let rows = Slice::from(row..row + block.nrows());
                    all.slice_axis_mut(Axis(0), rows)
                        .slice_axis_mut(Axis(1), Slice::from(columns.clone()))
                        .assign(&block);
                    row += block.nrows();
                    Ok(())
                })
                .map_err(|e| Error::unexpected(format!("cannot gather features: {e}")))?;
            start += width;
        }
        Ok(all)
    }

    /// When records are learnt by the models that are trained on them.
    pub(super) fn learning(&self, pool: &Pool) -> Learning {
        let records = pool.dataset.len();
        let mean = |of: &(dyn Fn(&Traced, usize) -> Option<f64> + Sync)| -> Vec<f64> {
            (0..records)
                .into_par_iter()
                .map(|record| {
                    let unit = pool.units.of_record(record);
                    let (mut sum, mut count) = (0.0, 0.0);
                    for (&number, traced) in self.numbers.iter().zip(&self.traced) {
                        if pool.membership.is_in(number, unit)
                            && let Some(value) = of(traced, record)
                        {
                            sum += value;
                            count += 1.0;
                        }
                    }
                    sum / count
                })
                .collect()
        };
        Learning {
            epoch: mean(&|traced, record| Some(traced.epoch[record])),
            spread: mean(&|traced, record| Some(traced.spread.as_ref()?[record])),
            trained: (0..records)
                .map(|record| {
                    let unit = pool.units.of_record(record);
                    let mut counts = [0, 0];
                    for (&number, traced) in self.numbers.iter().zip(&self.traced) {
                        if pool.membership.is_in(number, unit) {
                            counts[0] += 1;
                            counts[1] += u32::from(traced.epoch[record] > traced.epochs as f64);
                        }
                    }
                    counts
                })
                .collect(),
        }
    }
}
