//! What an audit starts from: the records, and the reference models.

use std::sync::atomic::{AtomicUsize, Ordering};

use giveaway::enhance::Search;
use giveaway::enhance::space::QuerySpace;
use giveaway::membership::{Design, Membership};
use giveaway::run::config::Config;
use giveaway::run::pool::Pool;
use giveaway::run::progress::Silent;
use giveaway::trainer::{NetworkTrainer, Trainer};
use giveaway::{Error, Result};
use giveaway_stats::random::derive_seed;

use crate::figures::say;
use crate::models::{Parts, side_by_side, train};
use crate::options::Options;
use crate::subjects::{References, Subject, subject};

/// Numbers of queries.
pub(crate) const BUDGETS: [usize; 4] = [1, 10, 50, 200];

/// The records of the audit that is asked for; of Adult without a configuration.
pub(crate) fn prepare(options: &Options) -> Result<Pool> {
    let config = if let Some(path) = &options.config {
        let text = std::fs::read_to_string(path)
            .map_err(|e| Error::io("read the configuration", path, &e))?;
        Config::from_toml(&text)?
    } else {
        let mut config = Config {
            seed: options.seed,
            ..Config::default()
        };
        config.data.training_units = Some(10_000);
        config
    };
    let pool = Pool::prepare(&config, &Silent)?;
    if pool.membership.design() != Design::Halves || !pool.validation_units.is_empty() {
        return Err(Error::usage(
            "the experiments need complementary halves of the audited records, and no early stopping",
        )
        .hint("leave --design, --reference and --patience out of the audit"));
    }
    Ok(pool)
}

pub(crate) fn trainer(pool: &Pool) -> Result<NetworkTrainer> {
    let network = pool.config.network(
        pool.dataset.features.ncols(),
        pool.dataset.schema.classes.len(),
    );
    let training = pool.config.training(pool.training_records());
    NetworkTrainer::new(network, training, &pool.dataset, giveaway_nn::kernel())
}

/// The reference models of the audit: those of the run that is named, or trained here.
pub(crate) fn references<'a>(
    options: &Options,
    pool: &'a Pool,
    trainer: &'a dyn Trainer,
) -> Result<References<'a>> {
    let membership = pool.membership.clone();
    let models = if let Some(run) = &options.run {
        say(&format!(
            "restoring {} reference models",
            membership.models()
        ));
        side_by_side(membership.models(), |model| {
            let path = run.join(format!("models/{model:03}.safetensors"));
            let bytes =
                std::fs::read(&path).map_err(|e| Error::io("read the weights", &path, &e))?;
            trainer.restore(&bytes).map_err(|e| e.at(path.display()))
        })?
    } else {
        say(&format!(
            "training {} reference models",
            membership.models()
        ));
        let seed = derive_seed(pool.config.seed, "references", 1);
        train(trainer, &pool.units, &membership, seed)?
    };
    Ok(References {
        models,
        membership,
        units: &pool.units,
    })
}

/// New complementary halves of these units.
pub(crate) fn halves(
    pool: &Pool,
    models: usize,
    eligible: &[u32],
    purpose: &str,
) -> Result<Membership> {
    let seed = derive_seed(pool.config.seed, purpose, 0);
    Membership::draw(Design::Halves, models, pool.units.len(), eligible, 0, seed)
}

/// The audited records, which lend values.
pub(crate) fn donors(pool: &Pool) -> Vec<u32> {
    let mut donors = pool.units.expand(&pool.audited);
    donors.sort_unstable();
    donors
}

/// Looks for the queries of many units as an audit does; units without are left out.
pub(crate) fn subjects(
    options: &Options,
    pool: &Pool,
    references: &References<'_>,
    parts: &Parts,
    units: &[u32],
) -> Result<(Vec<u32>, Vec<Subject>)> {
    let donors = donors(pool);
    let space = QuerySpace::new(&pool.dataset, &donors, pool.config.seed);
    let indirect = pool.config.test.indirect.clone().unwrap_or_default();
    let search = Search {
        floor_multiple: options.distance.unwrap_or(indirect.distance),
        ..indirect.search(space.is_image(), BUDGETS.to_vec())
    };
    say(&format!("building queries for {} records", units.len()));
    let done = AtomicUsize::new(0);
    let found = side_by_side(units.len(), |number| {
        let found = subject(
            &space,
            references,
            parts,
            units[number],
            &search,
            pool.config.seed,
        );
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(10) {
            say(&format!("  {done} of {}", units.len()));
        }
        found
    })?;
    let both = units.iter().zip(found);
    Ok(both
        .filter_map(|(&unit, subject)| Some((unit, subject?)))
        .unzip())
}
