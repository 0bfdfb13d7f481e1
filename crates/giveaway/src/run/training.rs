//! Training what is missing: the target, if it is trained here, and the reference models.

use std::sync::atomic::{AtomicBool, Ordering};

use giveaway_stats::random::derive_seed;
use rayon::prelude::*;

use super::array_file::write_outputs;
use super::directory::RunDirectory;
use super::pool::Pool;
use super::progress::Progress;
use crate::error::Result;
use crate::trainer::{NetworkTrainer, Trainer};

/// The trainer of target and reference models.
pub(super) fn trainer(pool: &Pool) -> Result<NetworkTrainer> {
    let config = &pool.config;
    let dataset = &pool.dataset;
    let network = config.network(dataset.features.ncols(), dataset.schema.classes.len());
    NetworkTrainer::new(network, config.training(pool.training_records()), dataset)
}

enum Task {
    Target,
    Reference(usize),
}

/// Trains every model whose outputs are not in the run directory yet; returns how many
/// reference models were there.
///
/// Which model is trained when, or beside which, changes nothing: its seed is derived from
/// the run's seed and its number.
pub(super) fn train_missing(
    run: &RunDirectory,
    pool: &Pool,
    trainer: &NetworkTrainer,
    progress: &dyn Progress,
) -> Result<usize> {
    let seed = pool.config.seed;
    let models = pool.membership.models();
    let mut tasks = Vec::new();
    if pool.target_outputs.is_none() && !run.file("signals/target.npy").exists() {
        tasks.push(Task::Target);
    }
    tasks.extend(
        (0..models)
            .filter(|&model| !run.signal_file(model).exists())
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
