//! Whom to protect: the most exposed units, found by models that judge no defence or by a cheap
//! measure; and the units that no figure is taken from.

use std::ops::Range;

use giveaway_stats::random::Stream;
use serde::{Deserialize, Serialize};

use crate::channel::Channel;
use crate::error::{Error, Result};
use crate::explain::geometry::centroids::centroid_distances;
use crate::run::array_file::read_outputs;
use crate::run::directory::RunDirectory;
use crate::run::pool::Pool;
use crate::select::{Amount, Rule, loss_vulnerability, take};
use crate::signals::Signals;

/// By what records are held to be exposed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Identification {
    /// What training on them changes, by the audit's reference models.
    #[default]
    Influence,
    /// The loss of the audit's reference models that were not trained on them.
    OutLoss,
    /// Without any model: distance to the centre of the own class less that to the nearest other
    /// centre, of the encoded features.
    Centroids,
}

impl Identification {
    /// All, by name.
    pub const EVERY: [Self; 3] = [Self::Influence, Self::OutLoss, Self::Centroids];

    /// The name used in options and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Influence => "influence",
            Self::OutLoss => "out-loss",
            Self::Centroids => "centroids",
        }
    }

    /// The one of this name.
    ///
    /// # Errors
    /// If there is none.
    pub fn parse(name: &str) -> Result<Self> {
        Self::EVERY
            .into_iter()
            .find(|way| way.name() == name)
            .ok_or_else(|| {
                Error::usage(format!("records cannot be found by `{name}`"))
                    .at("--identify")
                    .hint("influence, out-loss and centroids are there")
            })
    }
}

/// Share of the units that no figure is taken from.
const HELD_SHARE: f64 = 0.1;

/// Share of the models that were not trained on a record that must agree on another class for
/// its label to be suspected.
const SUSPECTED_BY: f64 = 0.8;

/// Whom to protect and whom to judge by.
pub(super) struct Protected {
    /// Units that figures are taken from, in order.
    pub(super) judged: Vec<u32>,
    /// Units that none is taken from.
    pub(super) held_units: usize,
    /// The units to protect, the most exposed first.
    pub(super) units: Vec<u32>,
    /// Per record, whether it is to be protected.
    pub(super) exposed: Vec<bool>,
    /// Per record to be protected, the class that models agree on in place of its label.
    pub(super) suspects: Vec<Option<u32>>,
    /// Per record, whether no figure is taken from it.
    pub(super) held: Vec<bool>,
    /// Models that found them.
    pub(super) models: usize,
}

impl Protected {
    /// Places among the judged of the units to be protected, the most exposed first.
    pub(super) fn places(&self) -> impl Iterator<Item = usize> {
        self.units
            .iter()
            .filter_map(|unit| self.judged.binary_search(unit).ok())
    }
}

/// Finds them.
///
/// # Errors
/// If the outputs of a model are gone, or nothing can be told from them.
pub(super) fn protect(
    run: &RunDirectory,
    pool: &Pool,
    way: Identification,
    share: f64,
) -> Result<Protected> {
    let records = pool.dataset.len();
    let mut order = pool.audited.clone();
    Stream::new(pool.config.seed, "held out of figures on defences", 0).shuffle(&mut order);
    let held_units = (order.len() as f64 * HELD_SHARE).round() as usize;
    let mut judged = order.split_off(held_units);
    judged.sort_unstable();
    let mut held = vec![false; records];
    for record in pool.units.expand(&order) {
        held[record as usize] = true;
    }
    let half = pool.membership.halves()[0].clone();
    let models = match way {
        Identification::Influence | Identification::OutLoss => half.clone(),
        Identification::Centroids => 0..0,
    };
    let vulnerability = match way {
        Identification::Influence => by_models(run, pool, Rule::Influence, &judged, &half)?,
        Identification::OutLoss => by_models(run, pool, Rule::OutLoss, &judged, &half)?,
        Identification::Centroids => by_centroids(pool, &judged)?,
    };
    let units = take(
        Rule::Influence,
        vulnerability,
        &judged,
        Amount::Share(share),
    )?
    .selected;
    if units.is_empty() {
        return Err(Error::usage("no record stands out as exposed")
            .at("--exposed")
            .hint("give a larger share"));
    }
    let mut exposed = vec![false; records];
    for record in pool.units.expand(&units) {
        exposed[record as usize] = true;
    }
    Ok(Protected {
        suspects: suspects(run, pool, &exposed, &half)?,
        judged,
        held_units,
        units,
        exposed,
        held,
        models: models.len(),
    })
}

fn by_models(
    run: &RunDirectory,
    pool: &Pool,
    rule: Rule,
    judged: &[u32],
    models: &Range<usize>,
) -> Result<Vec<f64>> {
    let membership = pool.membership.of_models(models.clone());
    let classes = pool.dataset.schema.classes.len();
    let signals = Signals::load(
        &membership,
        &pool.units,
        &pool.dataset.labels,
        Channel::default(),
        &pool.validation_units,
        |model| {
            read_outputs(
                &run.signal_file(models.start + model),
                pool.dataset.len(),
                classes,
            )
        },
    )?;
    loss_vulnerability(rule, &signals, &membership, judged, 0..membership.models())
}

fn by_centroids(pool: &Pool, judged: &[u32]) -> Result<Vec<f64>> {
    let classes = pool.dataset.schema.classes.len();
    let distances = centroid_distances(
        &pool.dataset.features.view(),
        &pool.dataset.labels,
        classes,
        pool.config.seed,
    )?;
    let measure = distances.euclidean.own_minus_other();
    Ok(judged
        .iter()
        .map(|&unit| {
            let records = pool.units.records(unit as usize);
            let sum: f64 = records.iter().map(|&r| measure[r as usize]).sum();
            sum / records.len() as f64
        })
        .collect())
}

/// For each exposed record the class that the models agree on that were not trained on it, where
/// it is not its label.
fn suspects(
    run: &RunDirectory,
    pool: &Pool,
    exposed: &[bool],
    models: &Range<usize>,
) -> Result<Vec<Option<u32>>> {
    let records: Vec<usize> = (0..exposed.len()).filter(|&r| exposed[r]).collect();
    let classes = pool.dataset.schema.classes.len();
    let mut votes = vec![0u32; records.len() * classes];
    let mut models_out = vec![0u32; records.len()];
    for model in models.clone() {
        let logits = read_outputs(&run.signal_file(model), pool.dataset.len(), classes)?;
        for (place, &record) in records.iter().enumerate() {
            if pool.membership.is_in(model, pool.units.of_record(record)) {
                continue;
            }
            let row = logits.row(record);
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let choice = row.iter().position(|&z| z >= largest).unwrap_or(0);
            votes[place * classes + choice] += 1;
            models_out[place] += 1;
        }
    }
    let mut suspects = vec![None; exposed.len()];
    for (place, &record) in records.iter().enumerate() {
        let label = pool.dataset.labels[record];
        let needed = SUSPECTED_BY * f64::from(models_out[place]);
        suspects[record] = (0..classes as u32).find(|&class| {
            let count = f64::from(votes[place * classes + class as usize]);
            class != label && count > 0.0 && count >= needed
        });
    }
    Ok(suspects)
}
