//! Training what is missing: the target, if it is trained here, and the reference models.

use std::sync::atomic::{AtomicBool, Ordering};

use giveaway_stats::random::derive_seed;
use rayon::prelude::*;

use super::array_file::write_outputs;
use super::directory::RunDirectory;
use super::pool::Pool;
use super::progress::Progress;
use crate::error::{Error, Result};
use crate::trainer::{NetworkTrainer, Trainer};

/// The trainer of target and reference models.
pub(super) fn trainer(pool: &Pool) -> Result<NetworkTrainer> {
    let config = &pool.config;
    let dataset = &pool.dataset;
    let network = config.network(dataset.features.ncols(), dataset.schema.classes.len());
    let kernel = match &config.reference.kernel {
        Some(name) => name.parse().map_err(|e: giveaway_nn::Error| {
            Error::usage(e.to_string())
                .at("--kernel")
                .hint("leave it out to use the fastest")
        })?,
        None => giveaway_nn::kernel(),
    };
    let training = config.training(pool.training_records());
    NetworkTrainer::new(network, training, dataset, kernel)
}

enum Task {
    Target,
    Reference(usize),
}

/// A share of the reference models: every `count`-th, beginning with number `index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// All of the models.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// Reads `i/n`: the i-th of n shares, counted from 1.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> Result<Self> {
        text.split_once('/')
            .and_then(|(index, count)| {
                let (index, count) = (index.trim().parse().ok()?, count.trim().parse().ok()?);
                (1..=count).contains(&index).then(|| Self {
                    index: index - 1,
                    count,
                })
            })
            .ok_or_else(|| {
                Error::usage(format!("{text:?} is no share of the models"))
                    .at("--shard")
                    .hint("write 3/16 for the third of sixteen shares, counted from 1")
            })
    }

    /// Whether a model belongs to it.
    #[must_use]
    pub fn holds(self, model: usize) -> bool {
        model % self.count == self.index
    }
}

/// Trains every model of the share whose outputs are not in the run directory yet; returns
/// how many of its reference models were there. The target belongs to the whole.
///
/// Which model is trained when, or beside which, changes nothing: its seed is derived from
/// the run's seed and its number.
pub(super) fn train_missing(
    run: &RunDirectory,
    pool: &Pool,
    trainer: &NetworkTrainer,
    shard: Shard,
    progress: &dyn Progress,
) -> Result<usize> {
    let seed = pool.config.seed;
    let models = (0..pool.membership.models())
        .filter(|&model| shard.holds(model))
        .count();
    let mut tasks = Vec::new();
    if shard == Shard::WHOLE
        && pool.target_outputs.is_none()
        && !run.file("signals/target.npy").exists()
    {
        tasks.push(Task::Target);
    }
    tasks.extend(
        (0..pool.membership.models())
            .filter(|&model| shard.holds(model) && !run.signal_file(model).exists())
            .map(Task::Reference),
    );
    let resumed = models
        - tasks
            .iter()
            .filter(|t| matches!(t, Task::Reference(_)))
            .count();
    if tasks.is_empty() {
        return Ok(resumed);
    }
    if resumed > 0 {
        progress.note(&format!(
            "{resumed} of {models} reference models are there already"
        ));
    }
    progress.begin("training reference models", tasks.len() as u64);
    let validation = pool.units.expand(&pool.validation_units);
    // After one failure the models still to come would fail the same way.
    let failed = AtomicBool::new(false);
    let outcome = tasks.par_iter().try_for_each(|task| {
        if failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let (units, model_seed, name) = match *task {
            Task::Target => (
                &pool.target_training_units[..],
                derive_seed(seed, "training the target", 0),
                "signals/target.npy".to_owned(),
            ),
            Task::Reference(model) => (
                pool.membership.training_units(model),
                derive_seed(seed, "training a reference model", model as u64),
                format!("signals/{model:03}.npy"),
            ),
        };
        let done = trainer
            .train(&pool.units.expand(units), &validation, model_seed)
            .and_then(|model| write_outputs(run, &name, &model.logits()));
        if done.is_err() {
            failed.store(true, Ordering::Relaxed);
        }
        progress.advance(1);
        done
    });
    progress.end();
    outcome.map(|()| resumed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cut_the_models_without_overlap() {
        let shards: Vec<Shard> = (1..=3)
            .map(|index| Shard::parse(&format!("{index}/3")).unwrap())
            .collect();
        for model in 0..20 {
            assert_eq!(shards.iter().filter(|s| s.holds(model)).count(), 1);
        }
        assert_eq!(Shard::parse("1/1").unwrap(), Shard::WHOLE);
        for wrong in ["0/3", "4/3", "3", "a/b", "1/0", "-1/3"] {
            assert!(Shard::parse(wrong).is_err(), "{wrong}");
        }
    }
}
