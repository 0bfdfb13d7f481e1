//! Building the queries of each unit, unit after unit, each kept in a file of its own.

use giveaway_stats::random::{Stream, derive_seed};
use serde::{Deserialize, Serialize};

use super::models::Models;
use crate::channel::Channel;
use crate::enhance::effect::{Contrast, Effect};
use crate::enhance::space::{Guard, Query, QuerySpace};
use crate::enhance::{Enhanced, EnhancingRecord, FEWEST_MODELS, Search, drawn, enhance};
use crate::error::{Error, Result};
use crate::run::config::Build;
use crate::run::directory::RunDirectory;
use crate::run::pool::Pool;
use crate::run::progress::Progress;
use crate::run::training;
use crate::trainer::{Model, Trainer};

/// Raised whenever queries are looked for otherwise than before, so that those of two versions
/// are never mixed.
const QUERIES_VERSION: u32 = 2;

/// Numbers of queries for which results are given, and all of them.
const BUDGETS: [usize; 4] = [1, 10, 50, 200];

/// Looks for queries, or takes them from the run directory.
pub(super) struct Builder<'a> {
    pub(super) run: &'a RunDirectory,
    pub(super) pool: &'a Pool,
    pub(super) trainer: &'a dyn Trainer,
    pub(super) space: &'a QuerySpace<'a>,
    models: Models<'a>,
    pub(super) build: Build,
    pairs: usize,
    pub(super) search: Search,
    pub(super) channel: Channel,
    /// Everything that queries depend on beside the unit.
    fingerprint: String,
}

/// The queries of one unit.
pub(super) struct UnitQueries {
    pub(super) unit: u32,
    pub(super) enhanced: Enhanced,
    /// Models that built and that confirmed; 0 where there were too few.
    pub(super) models: [usize; 2],
    /// Models trained for it.
    pub(super) models_trained: u64,
}

/// The file of a unit.
#[derive(Serialize, Deserialize)]
struct Stored {
    made_with: String,
    models: [usize; 2],
    models_trained: u64,
    evaluated: u64,
    queries: Vec<StoredQuery>,
    weights: Vec<(usize, Vec<f64>)>,
}

#[derive(Serialize, Deserialize)]
struct StoredQuery {
    record: u32,
    /// Tables: the records that values are from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    donors: Vec<u32>,
    /// Images: the pixels, as models take them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pixels: Vec<f32>,
    upper: bool,
    difference: f64,
    error: f64,
    spread: f64,
    freedom: f64,
    confirmation: f64,
}

impl<'a> Builder<'a> {
    pub(super) fn new(
        run: &'a RunDirectory,
        pool: &'a Pool,
        trainer: &'a dyn Trainer,
        space: &'a QuerySpace<'a>,
        identity: &str,
        selected: &[u32],
        channel: Channel,
    ) -> Result<Self> {
        let config = pool.config.test.indirect.clone().unwrap_or_default();
        let build = config.build.unwrap_or(default_build(pool));
        let mut search = config.search(space.is_image(), budgets(config.queries));
        if trainer.answers_slowly() {
            // Each step would wait for the answers to the one before.
            search.steps = 0;
        }
        let building = pool.membership.halves()[0].clone();
        if build == Build::Balanced && pool.config.data.reference.is_some() {
            return Err(Error::usage(
                "there are no IN models: the reference models are trained on other records",
            )
            .at("--indirect-build balanced")
            .hint("use --indirect-build paired, or leave --reference out"));
        }
        let mut hasher = blake3::Hasher::new();
        let text = format!(
            "{QUERIES_VERSION} {identity} {build:?} {search:?} {channel:?} {}",
            if build == Build::Paired {
                config.pairs
            } else {
                0
            }
        );
        hasher.update(text.as_bytes());
        for unit in selected {
            // None of them may be asked.
            hasher.update(&unit.to_le_bytes());
        }
        Ok(Self {
            run,
            pool,
            trainer,
            space,
            models: Models::load(run, trainer, building)?,
            build,
            pairs: config.pairs,
            search,
            channel,
            fingerprint: hasher.finalize().to_hex().to_string(),
        })
    }

    /// The queries of all these units, in their order.
    pub(super) fn all(
        &mut self,
        units: &[u32],
        progress: &dyn Progress,
    ) -> Result<Vec<UnitQueries>> {
        if self.trainer.answers_slowly() && self.build == Build::Balanced {
            self.ask_at_once(units, progress)?;
        }
        progress.begin(
            "building queries that are not the record",
            units.len() as u64,
        );
        let mut there = 0;
        let mut built = Vec::with_capacity(units.len());
        for &unit in units {
            let (queries, was_there) = self.queries(unit)?;
            there += usize::from(was_there);
            built.push(queries);
            progress.advance(1);
        }
        progress.end();
        if there > 0 {
            progress.note(&format!(
                "the queries of {there} of {} records were there already",
                units.len()
            ));
        }
        Ok(built)
    }

    /// Has the models that build answer for the candidates of all units that are not built yet,
    /// so that each is asked once.
    fn ask_at_once(&mut self, units: &[u32], progress: &dyn Progress) -> Result<()> {
        let missing: Vec<u32> = units
            .iter()
            .copied()
            .filter(|&unit| self.stored(&file_of(unit), unit).is_none())
            .filter(|&unit| {
                let [inside, outside] = self.kinds(unit);
                confirming(&inside).len().min(confirming(&outside).len()) >= FEWEST_MODELS
            })
            .collect();
        let models = std::mem::take(&mut self.models);
        progress.begin(
            "asking the models that build",
            models.numbers().count() as u64,
        );
        let (space, pool, search) = (self.space, self.pool, &self.search);
        let candidates = missing.iter().flat_map(|&unit| {
            let own = pool.units.records(unit as usize);
            drawn(space, own, search, pool.config.seed)
        });
        self.models = models.asked_at_once(candidates, |n| progress.advance(n))?;
        progress.end();
        Ok(())
    }

    /// The queries of a unit, and whether they were there already.
    fn queries(&self, unit: u32) -> Result<(UnitQueries, bool)> {
        let file = file_of(unit);
        if let Some(found) = self.stored(&file, unit) {
            return Ok((found, true));
        }
        let made = self.build(unit)?;
        let mut text = serde_json::to_string(&self.to_store(&made))
            .map_err(|e| Error::unexpected(format!("cannot write the queries: {e}")))?;
        text.push('\n');
        self.run.write(&file, text.as_bytes())?;
        Ok((made, false))
    }

    /// The models that build which were trained on a unit, and those that were not.
    fn kinds(&self, unit: u32) -> [Vec<usize>; 2] {
        let (inside, outside) = self
            .models
            .numbers()
            .partition(|&model| self.pool.membership.is_in(model, unit as usize));
        [inside, outside]
    }

    fn build(&self, unit: u32) -> Result<UnitQueries> {
        let own = self.pool.units.records(unit as usize);
        let seed = self.pool.config.seed;
        let run = |building: &Contrast<'_>, confirming: &Contrast<'_>| {
            enhance(self.space, own, building, confirming, &self.search, seed)
        };
        let [inside, outside] = self.kinds(unit);
        let unsearched = || UnitQueries {
            unit,
            enhanced: Enhanced {
                guard: self.space.guard(own, self.search.floor_multiple),
                queries: Vec::new(),
                weights: Vec::new(),
                evaluated: 0,
            },
            models: [0, 0],
            models_trained: 0,
        };
        match self.build {
            Build::Balanced => {
                // In the order of the models, so that of complements both build or both confirm.
                let (a_inside, b_inside) = inside.split_at(building(&inside));
                let (a_outside, b_outside) = outside.split_at(building(&outside));
                if b_inside.len() < FEWEST_MODELS || b_outside.len() < FEWEST_MODELS {
                    return Ok(unsearched());
                }
                let contrast = |inside: &[usize], outside: &[usize]| Contrast {
                    inside: self.models.of(inside),
                    outside: self.models.of(outside),
                    paired: false,
                    channel: self.channel,
                };
                let enhanced = run(
                    &contrast(a_inside, a_outside),
                    &contrast(b_inside, b_outside),
                )?;
                Ok(UnitQueries {
                    unit,
                    enhanced,
                    models: [
                        a_inside.len() + a_outside.len(),
                        b_inside.len() + b_outside.len(),
                    ],
                    models_trained: 0,
                })
            }
            Build::Paired => {
                let pairs = self.pairs.min(outside.len() / 2);
                // Half of a training set at most makes way for the unit's records.
                if pairs < FEWEST_MODELS || 2 * own.len() > self.pool.training_records() {
                    return Ok(unsearched());
                }
                let outside = &outside[..2 * pairs];
                let trained = self.train_with(unit, outside)?;
                let contrast = |part: std::ops::Range<usize>| Contrast {
                    inside: trained[part.clone()].iter().map(|m| &**m).collect(),
                    outside: self.models.of(&outside[part]),
                    paired: true,
                    channel: self.channel,
                };
                let enhanced = run(&contrast(0..pairs), &contrast(pairs..2 * pairs))?;
                Ok(UnitQueries {
                    unit,
                    enhanced,
                    models: [2 * pairs; 2],
                    models_trained: 2 * pairs as u64,
                })
            }
        }
    }

    /// M⁺ of each of these OUT models: the same seed, the same records in the same places and
    /// so the same batches, but with the unit's records in the place of as many others, drawn
    /// anew for each model. So the OUT model is the reference model that is there already, and
    /// what the others did is averaged away.
    fn train_with(&self, unit: u32, outside: &[usize]) -> Result<Vec<Box<dyn Model + '_>>> {
        let pool = self.pool;
        let own = pool.units.records(unit as usize);
        let validation = pool.units.expand(&pool.validation_units);
        training::side_by_side(pool, self.trainer, outside.len(), 0, |number| {
            let model = outside[number];
            let mut rows = pool.units.expand(pool.membership.training_units(model));
            let mut places: Vec<u32> = (0..rows.len() as u32).collect();
            let index = (model as u64) << 32 | u64::from(unit);
            Stream::new(pool.config.seed, "places of the unit in M+", index).shuffle(&mut places);
            for (&place, &record) in places.iter().zip(own) {
                rows[place as usize] = record;
            }
            self.trainer.train(
                &rows,
                &validation,
                derive_seed(pool.config.seed, training::REFERENCE, model as u64),
            )
        })
    }

    fn stored(&self, file: &str, unit: u32) -> Option<UnitQueries> {
        let bytes = std::fs::read(self.run.file(file)).ok()?;
        let stored: Stored = serde_json::from_slice(&bytes).ok()?;
        if stored.made_with != self.fingerprint {
            return None;
        }
        let own = self.pool.units.records(unit as usize);
        let guard = self.space.guard(own, self.search.floor_multiple);
        let queries = stored
            .queries
            .into_iter()
            .map(|query| self.restored(own, &guard, query))
            .collect::<Option<Vec<_>>>()?;
        let fits = |(budget, weights): &(usize, Vec<f64>)| {
            self.search.budgets.contains(budget) && weights.len() == queries.len().min(*budget)
        };
        let all_fit = queries.len() <= self.search.queries && stored.weights.iter().all(fits);
        all_fit.then_some(UnitQueries {
            unit,
            enhanced: Enhanced {
                guard,
                queries,
                weights: stored.weights,
                evaluated: stored.evaluated,
            },
            models: stored.models,
            models_trained: stored.models_trained,
        })
    }

    /// A query as its file has it; nothing of what can be computed anew is believed.
    fn restored(&self, own: &[u32], guard: &Guard, query: StoredQuery) -> Option<EnhancingRecord> {
        if !own.contains(&query.record) {
            return None;
        }
        let mut made = self.space.as_it_is(query.record, query.record);
        if self.space.is_image() {
            if query.pixels.len() != made.features.len() {
                return None;
            }
            made.features = query.pixels;
        } else {
            if query.donors.len() != self.space.columns().len() {
                return None;
            }
            for (column, donor) in query.donors.into_iter().enumerate() {
                if donor != query.record && self.space.donors().binary_search(&donor).is_err() {
                    return None;
                }
                self.space.lend(&mut made, column, donor);
            }
        }
        self.space
            .allows(guard, &made.features)
            .then(|| EnhancingRecord {
                distance: self.space.distance_to(guard, &made.features),
                query: made,
                upper: query.upper,
                effect: Effect {
                    difference: query.difference,
                    error: query.error,
                    spread: query.spread,
                    freedom: query.freedom,
                },
                confirmation: query.confirmation,
            })
    }

    fn to_store(&self, made: &UnitQueries) -> Stored {
        let enhanced = &made.enhanced;
        Stored {
            made_with: self.fingerprint.clone(),
            models: made.models,
            models_trained: made.models_trained,
            evaluated: enhanced.evaluated,
            weights: enhanced.weights.clone(),
            queries: enhanced
                .queries
                .iter()
                .map(|kept| {
                    let Query {
                        features,
                        donors,
                        record,
                    } = &kept.query;
                    StoredQuery {
                        record: *record,
                        donors: donors.clone(),
                        pixels: if self.space.is_image() {
                            features.clone()
                        } else {
                            Vec::new()
                        },
                        upper: kept.upper,
                        difference: kept.effect.difference,
                        error: kept.effect.error,
                        spread: kept.effect.spread,
                        freedom: kept.effect.freedom,
                        confirmation: kept.confirmation,
                    }
                })
                .collect(),
        }
    }
}

/// Of so many models of a kind those that build, the first; the others confirm.
fn building(models: &[usize]) -> usize {
    (3 * models.len()).div_ceil(4)
}

fn confirming(models: &[usize]) -> &[usize] {
    &models[building(models)..]
}

/// The file of a unit's queries, in the run directory.
fn file_of(unit: u32) -> String {
    format!("indirect/units/{unit:06}.json")
}

/// Numbers of queries for which results are given: those below the most that is asked, and that.
pub(super) fn budgets(most: usize) -> Vec<usize> {
    let mut budgets: Vec<usize> = BUDGETS.into_iter().filter(|&n| n < most).collect();
    budgets.push(most);
    budgets
}

/// IN and OUT models of the balanced design cost nothing; without IN models there must be pairs.
fn default_build(pool: &Pool) -> Build {
    if pool.config.data.reference.is_some() {
        Build::Paired
    } else {
        Build::Balanced
    }
}
