//! Indirect inference on a run: builds queries on the half of the reference models that
//! selected, has the other half answer them, and tests.

mod answers;
mod models;
mod queries;
mod query_table;

use std::fmt::Write as _;

use ndarray::{Axis, Slice};
use rayon::prelude::*;

use super::asking::Connector;
use super::config::Build;
use super::directory::RunDirectory;
use super::pool::Pool;
use super::progress::Progress;
use crate::attack::direct::{DirectInference, LeftOut};
use crate::attack::indirect::{
    Combination, RecordQueries, Settings, Tail, Tested, leave_one_out, test,
};
use crate::channel::Channel;
use crate::enhance::space::{QuerySpace, distance};
use crate::error::{ErrorKind, Result};
use crate::evaluate::indirect::Played;
use crate::evaluate::leave_one_out::Recurrence;
use crate::evaluate::{LEVELS, q_values};
use crate::report::indirect::{
    DIRECT, Filter, IndirectCalibration, IndirectCost, IndirectRecord, IndirectSection,
    IndirectSettings, NamedP, PAtBudget, RECURRENCE_LEVEL, ShownQuery,
};
use crate::signals::{ModelSignals, Signals};
use crate::trainer::Trainer;
use answers::Answers;
use queries::{Builder, UnitQueries};

/// The combination of the verdicts where it is calibrated on the reference models. Over the
/// experiments of docs/indirect.md it finds about as many as Kost's, and keeps its promise where
/// Kost's is a little liberal: skewed statistics are nearer to normal when they are summed before
/// they are tested. The empirical one cannot go below `1/(k_out + 1)`.
const PREFERRED: Combination = Combination::Discriminant;

/// The one that holds whatever the distribution.
const SAFE: Combination = Combination::Empirical;

/// All combinations, in the order of the tables.
const COMBINATIONS: [Combination; 4] = [
    Combination::Kost,
    Combination::Fisher,
    Combination::Empirical,
    Combination::Discriminant,
];

/// Queries of a record that the report shows.
const SHOWN: usize = 5;

/// What a run knows when it comes to this.
pub(super) struct Context<'a> {
    pub(super) run: &'a RunDirectory,
    pub(super) pool: &'a Pool,
    pub(super) trainer: &'a dyn Trainer,
    /// Reaches a target that is asked.
    pub(super) connector: &'a dyn Connector,
    /// The run's, which everything that was trained depends on.
    pub(super) identity: &'a str,
    pub(super) channel: Channel,
    pub(super) signals: &'a Signals,
    pub(super) target: &'a ModelSignals,
    pub(super) direct: &'a DirectInference<'a>,
    /// Of each unit, its position among those that `direct` knows.
    pub(super) position_of: &'a [usize],
    /// The units that were selected for the verdict, the most vulnerable first.
    pub(super) selected: &'a [u32],
}

/// What comes of it.
pub(super) struct Inferred {
    /// For the report; nothing where the target is still to be asked.
    pub(super) section: Option<IndirectSection>,
    /// What the user should know.
    pub(super) notes: Vec<String>,
}

/// Infers indirectly, if that was asked for.
pub(super) fn infer(context: &Context<'_>, progress: &dyn Progress) -> Result<Option<Inferred>> {
    let Context { run, pool, .. } = context;
    let Some(config) = &pool.config.test.indirect else {
        return Ok(None);
    };
    let wanted = config.records.unwrap_or(usize::MAX);
    let units = &context.selected[..wanted.min(context.selected.len())];
    run.make_folder("indirect")?;
    run.make_folder("indirect/units")?;

    let donors = donors(pool);
    let selected = pool.units.expand(context.selected);
    let space = QuerySpace::new(&pool.dataset, &donors, pool.config.seed).without(&selected);
    let mut builder = Builder::new(
        run,
        pool,
        context.trainer,
        &space,
        context.identity,
        context.selected,
        context.channel,
    )?;
    let mut built = builder.all(units, progress)?;
    let without: Vec<u32> = built
        .iter()
        .filter(|u| u.enhanced.queries.is_empty())
        .map(|u| u.unit)
        .collect();
    let mut notes = Vec::new();
    if context.trainer.answers_slowly() {
        notes.push("indirect inference: queries were chosen among random ones and not improved, since every question to a model of a command starts the command".to_owned());
    }
    notes.extend(unsearched(&built));
    built.retain(|unit| !unit.enhanced.queries.is_empty());
    if built.is_empty() {
        answers::forget(run)?;
        return Ok(Some(Inferred {
            section: None,
            notes,
        }));
    }
    let table = query_table::queries_parquet(pool, &space, &built)?;
    run.write("indirect/queries.parquet", &table)?;
    let testing = pool.membership.halves()[1].len();
    progress.begin("asking the models that test", testing as u64);
    let mut answers = answers::ask(
        run,
        pool,
        context.trainer,
        &space,
        context.channel,
        &built,
        |n| {
            progress.advance(n);
        },
    )?;
    progress.end();
    match answers::of_target(context, &space, &built, &answers.testing, progress) {
        Ok(target) => answers.target = target,
        // What was found of the records directly is not to be lost by that.
        Err(error) if error.kind() == ErrorKind::Target => {
            notes.push(format!("the target did not answer the queries of indirect inference: {error}; what it answered is kept, and the same command asks the rest"));
            return Ok(Some(Inferred {
                section: None,
                notes,
            }));
        }
        Err(error) => return Err(error),
    }
    let Some(of_target) = &answers.target else {
        notes.push(format!(
            "indirect inference waits for the target: ask it the {} queries of {}, in their order, and give its answers with --indirect-answers FILE to the same command",
            answers.testing.ncols(),
            run.file("indirect/queries.parquet").display()
        ));
        return Ok(Some(Inferred {
            section: None,
            notes,
        }));
    };
    progress.begin("testing by queries that are not the record", 0);
    let section = Judge {
        context,
        space: &space,
        builder: &builder,
        units: &built,
        without: &without,
        answers: &answers,
    }
    .section(of_target)?;
    progress.end();
    let untested = built.len() - section.tested;
    if untested > 0 {
        notes.push(format!(
            "indirect inference: {untested} records have too few OUT models among those that test to be tested so; train more reference models (--models)"
        ));
    }
    Ok(Some(Inferred {
        section: Some(section),
        notes,
    }))
}

/// Which units have no queries, and why.
fn unsearched(built: &[UnitQueries]) -> Option<String> {
    let empty = |unit: &&UnitQueries| unit.enhanced.queries.is_empty();
    let without = built.iter().filter(empty).count();
    let few = built.iter().filter(empty).filter(|u| u.models == [0, 0]);
    let few = few.count();
    let mut note = format!(
        "indirect inference: {without} of {} records were not tested so, because no query was found that keeps its distance and tells whether models were trained on them (a lower --indirect-distance lets more be asked)",
        built.len()
    );
    if few > 0 {
        let _ = write!(
            note,
            "; for {few} of these too few of the reference models that build have the record IN, or OUT, to look for any: train more (--models)"
        );
    }
    (without > 0).then_some(note)
}

/// All records lend values and say what distances are usual.
fn donors(pool: &Pool) -> Vec<u32> {
    let mut units = pool.audited.clone();
    units.extend(&pool.eligible);
    let mut donors = pool.units.expand(&units);
    donors.sort_unstable();
    donors.dedup();
    donors
}

struct Judge<'a> {
    context: &'a Context<'a>,
    space: &'a QuerySpace<'a>,
    builder: &'a Builder<'a>,
    units: &'a [UnitQueries],
    /// Attacked units for which there are no queries.
    without: &'a [u32],
    answers: &'a Answers,
}

/// P-values by test and budget: on the target [records], on played targets [targets × records].
struct TestResult {
    combination: Combination,
    queries: usize,
    on_target: Vec<f64>,
    played: Vec<f64>,
}

/// P-values of direct inference, likewise.
struct Direct {
    on_target: Vec<f64>,
    played: Vec<f64>,
}

impl Judge<'_> {
    fn section(&self, of_target: &[f64]) -> Result<IndirectSection> {
        let Context { pool, .. } = self.context;
        let membership = &pool.membership;
        let models: Vec<usize> = membership.halves()[1].clone().collect();
        let families: Vec<usize> = models.iter().map(|&m| membership.family(m)).collect();
        let units: Vec<u32> = self.units.iter().map(|u| u.unit).collect();
        let memberships = |units: &[u32]| -> Vec<bool> {
            let of = |&model: &usize| {
                let is_in = move |&unit: &u32| membership.is_in(model, unit as usize);
                units.iter().map(is_in).collect::<Vec<bool>>()
            };
            models.iter().flat_map(of).collect()
        };
        let is_member = memberships(&units);
        let played = Played::new(&families, &units, &is_member, pool.config.seed);
        // Whom nothing was found for is never accused, and counts among those not found.
        let attacked = [&units[..], self.without].concat();
        let everybody = Played::new(
            &families,
            &attacked,
            &memberships(&attacked),
            pool.config.seed,
        );
        let with_the_others = |p: &[f64]| -> Vec<f64> {
            p.chunks(units.len())
                .flat_map(|row| {
                    let others = std::iter::repeat_n(1.0, self.without.len());
                    row.iter().copied().chain(others)
                })
                .collect()
        };

        let (results, of_queries) = self.test(of_target, &models)?;
        let direct = self.direct(&units, &models);
        let direct_of_all = self.direct(&attacked, &models);
        let most = queries::budgets(self.builder.search.queries)
            .last()
            .copied()
            .unwrap_or(0);
        let mut rates = vec![everybody.rates(DIRECT, 0, &direct_of_all.played)];
        let mut calibration = vec![played.calibration(DIRECT, 0, &direct.played)];
        for result in &results {
            let name = result.combination.name();
            let p = with_the_others(&result.played);
            rates.push(everybody.rates(name, result.queries, &p));
            calibration.push(played.calibration(name, result.queries, &result.played));
        }
        let verdict = if calibration
            .iter()
            .any(|c| c.test == PREFERRED.name() && c.queries == most && is_calibrated(c))
        {
            PREFERRED
        } else {
            SAFE
        };
        let of_verdict: Vec<&TestResult> = results
            .iter()
            .filter(|r| r.combination == verdict)
            .collect();
        let mut records = self.records(&results, &of_verdict, &direct, &of_queries, &is_member);
        // With too few OUT models there is no p.
        records.retain(|record| !record.p.is_nan());
        records.sort_by(|a, b| a.p.total_cmp(&b.p).then(a.unit.cmp(&b.unit)));
        let count = |of: &dyn Fn(&IndirectRecord) -> bool| records.iter().filter(|r| of(r)).count();
        let settings = pool.config.test.indirect.clone().unwrap_or_default();
        let most_models = |set: usize| self.units.iter().map(|u| u.models[set]).max();
        let building_models = most_models(0).unwrap_or(0);
        let paired = self.builder.build == Build::Paired;
        Ok(IndirectSection {
            settings: IndirectSettings {
                records: attacked.len(),
                queries: settings.queries,
                build: self.builder.build.name().to_owned(),
                building_models,
                confirming_models: most_models(1).unwrap_or(0),
                testing_models: models.len(),
                pairs: if paired { building_models / 2 } else { 0 },
                floor_multiple: settings.distance,
                usual_distance: f64::from(self.space.usual_distance()),
            },
            combination: verdict.name().to_owned(),
            tested: records.len(),
            without_queries: self.without.len(),
            given_away: count(&|r| r.given_away),
            given_away_both: count(&|r| r.given_away && r.direct_given_away),
            only_indirect: count(&|r| r.given_away && !r.direct_given_away),
            only_direct: count(&|r| !r.given_away && r.direct_given_away),
            smallest_distance: self
                .units
                .iter()
                .flat_map(|u| &u.enhanced.queries)
                .map(|q| f64::from(q.distance))
                .min_by(f64::total_cmp),
            filters: self.filters(),
            cost: IndirectCost {
                models_trained: self.units.iter().map(|u| u.models_trained).sum(),
                queries: of_target.len() as u64,
                candidates: self.units.iter().map(|u| u.enhanced.evaluated).sum(),
            },
            records,
            rates,
            calibration,
        })
    }

    /// Every combination at every budget, and what each query says by itself.
    fn test(&self, of_target: &[f64], models: &[usize]) -> Result<(Vec<TestResult>, Vec<Tested>)> {
        let pool = self.context.pool;
        let membership = &pool.membership;
        let first = models.first().copied().unwrap_or(0);
        let complements: Vec<Option<usize>> = models
            .iter()
            .map(|&m| membership.complement(m).map(|c| c - first))
            .collect();
        let inside: Vec<Vec<bool>> = self
            .units
            .iter()
            .map(|u| {
                models
                    .iter()
                    .map(|&m| membership.is_in(m, u.unit as usize))
                    .collect()
            })
            .collect();
        let tails: Vec<Vec<Tail>> = self
            .units
            .iter()
            .map(|unit| {
                let tail = |upper| if upper { Tail::Upper } else { Tail::Lower };
                unit.enhanced
                    .queries
                    .iter()
                    .map(|q| tail(q.upper))
                    .collect()
            })
            .collect();
        let budgets = queries::budgets(self.builder.search.queries);
        let mut results = Vec::new();
        let mut of_queries = Vec::new();
        // The discriminant weighs all queries of a budget together, so each has its own weights.
        let plain: Vec<Combination> = COMBINATIONS
            .into_iter()
            .filter(|&c| c != Combination::Discriminant)
            .collect();
        let rounds = std::iter::once((plain, budgets.clone())).chain(
            budgets
                .iter()
                .map(|&n| (vec![Combination::Discriminant], vec![n])),
        );
        for (round, (combinations, budgets)) in rounds.enumerate() {
            let settings = Settings {
                null: pool.config.test.null(),
                combinations: combinations.clone(),
                budgets: budgets.clone(),
            };
            let weights: Vec<Vec<f64>> = self
                .units
                .iter()
                .map(|unit| unit.enhanced.oriented_weights(budgets[0]))
                .collect();
            let mut records = Vec::with_capacity(self.units.len());
            let mut start = 0;
            for (number, unit) in self.units.iter().enumerate() {
                let end = start + unit.enhanced.queries.len();
                records.push(RecordQueries {
                    logits: self
                        .answers
                        .testing
                        .slice_axis(Axis(1), Slice::from(start..end)),
                    inside: &inside[number],
                    tails: &tails[number],
                    weights: Some(&weights[number]),
                    cut: self.context.channel.cut(),
                });
                start = end;
            }
            let ends = records.iter().scan(0, |end, record| {
                let start = *end;
                *end += record.tails.len();
                Some(start..*end)
            });
            let ranges: Vec<std::ops::Range<usize>> = ends.collect();
            let tested: Vec<Tested> = records
                .par_iter()
                .zip(ranges)
                .map(|(record, range)| test(record, &of_target[range], &settings))
                .collect::<Result<_>>()?;
            let plays = leave_one_out(&records, &complements, &settings)?;
            for (c, &combination) in combinations.iter().enumerate() {
                for (b, &queries) in budgets.iter().enumerate() {
                    let p = |model: usize| {
                        let plays = &plays;
                        (0..records.len()).map(move |r| plays.p_value(model, r, c, b))
                    };
                    results.push(TestResult {
                        combination,
                        queries,
                        on_target: tested.iter().map(|t| t.combined(c, b)).collect(),
                        played: (0..models.len()).flat_map(p).collect(),
                    });
                }
            }
            if round == 0 {
                of_queries = tested;
            }
        }
        Ok((results, of_queries))
    }

    /// Direct inference on the same records and targets.
    fn direct(&self, units: &[u32], models: &[usize]) -> Direct {
        let Context {
            pool,
            signals,
            target,
            direct,
            position_of,
            ..
        } = self.context;
        let null = pool.config.test.null();
        let positions: Vec<usize> = units.iter().map(|&u| position_of[u as usize]).collect();
        let played: Vec<Vec<f64>> = models
            .par_iter()
            .map(|&model| {
                let as_target = signals.of_model(model);
                direct.p_values_of(&positions, null, &as_target, LeftOut::Model(model))
            })
            .collect();
        Direct {
            on_target: direct.p_values_of(&positions, null, target, LeftOut::Nobody),
            played: played.concat(),
        }
    }

    /// What is said of each record. `of_verdict` has the results of one combination, the largest
    /// number of queries last.
    fn records(
        &self,
        results: &[TestResult],
        of_verdict: &[&TestResult],
        direct: &Direct,
        of_queries: &[Tested],
        is_member: &[bool],
    ) -> Vec<IndirectRecord> {
        let pool = self.context.pool;
        let Some(last) = of_verdict.last() else {
            return Vec::new();
        };
        let p = &last.on_target;
        let (q, direct_q) = (q_values(p), q_values(&direct.on_target));
        let rate = pool.config.test.fdr;
        let mut first_row = 0;
        let mut records = Vec::with_capacity(self.units.len());
        for (number, unit) in self.units.iter().enumerate() {
            let own = pool.units.records(unit.unit as usize);
            let first = own[0] as usize;
            let enhanced = &unit.enhanced;
            let recurrence = recurrence(number, self.units.len(), &last.played, is_member);
            let shown = enhanced
                .queries
                .iter()
                .enumerate()
                .take(SHOWN)
                .map(|(place, kept)| ShownQuery {
                    row: first_row + place,
                    p: of_queries[number].p_values[place],
                    tail: query_table::tail(kept.upper).to_owned(),
                    distance: f64::from(kept.distance),
                    effect: Some(kept.effect.size()),
                    columns_changed: self.space.columns_changed(&kept.query).map(|c| c.len()),
                    values: query_table::changed(pool, self.space, &kept.query),
                })
                .collect();
            first_row += enhanced.queries.len();
            records.push(IndirectRecord {
                unit: Some(unit.unit),
                id: pool.table.ids[first].clone(),
                class: pool.table.classes[pool.table.labels[first] as usize].clone(),
                member: pool.is_member[unit.unit as usize],
                queries: Some(enhanced.queries.len()),
                floor: Some(f64::from(enhanced.guard.floor)),
                smallest_distance: enhanced
                    .queries
                    .iter()
                    .map(|k| f64::from(k.distance))
                    .min_by(f64::total_cmp),
                nearest_record: Some(f64::from(enhanced.guard.nearest_record)),
                models_out: Some(of_queries[number].models_out),
                p: p[number],
                q: q[number],
                given_away: q[number] <= rate,
                p_by_test: results
                    .iter()
                    .filter(|r| r.queries == last.queries && !r.on_target[number].is_nan())
                    .map(|r| NamedP {
                        test: r.combination.name().to_owned(),
                        p: r.on_target[number],
                    })
                    .collect(),
                best_query_p: of_queries[number].p_values.first().copied(),
                direct_p: Some(direct.on_target[number]).filter(|p| !p.is_nan()),
                direct_q: Some(direct_q[number]).filter(|q| !q.is_nan()),
                direct_given_away: direct_q[number] <= rate,
                budget: of_verdict
                    .iter()
                    .map(|result| PAtBudget {
                        queries: result.queries,
                        p: result.on_target[number],
                    })
                    .collect(),
                recurrence: Some(recurrence),
                shown,
            });
        }
        records
    }

    /// What a filter does that refuses every input within a radius of a tested record.
    fn filters(&self) -> Vec<Filter> {
        let pool = self.context.pool;
        let tested: Vec<u32> = self
            .units
            .iter()
            .flat_map(|u| pool.units.records(u.unit as usize).iter().copied())
            .collect();
        let nearest = |features: &[f32]| {
            tested
                .iter()
                .map(|&record| distance(self.space.features(record), features))
                .fold(f32::INFINITY, f32::min)
        };
        let mut of_queries: Vec<f32> = self
            .units
            .par_iter()
            .flat_map_iter(|u| {
                u.enhanced
                    .queries
                    .iter()
                    .map(|k| nearest(&k.query.features))
            })
            .collect();
        of_queries.sort_unstable_by(f32::total_cmp);
        let mut of_others: Vec<f32> = self
            .space
            .donors()
            .par_iter()
            .filter(|donor| !tested.contains(donor))
            .map(|&donor| nearest(self.space.features(donor)))
            .collect();
        of_others.sort_unstable_by(f32::total_cmp);
        let share = |of: &[f32], radius: f32| {
            of.partition_point(|&d| d <= radius) as f64 / of.len().max(1) as f64
        };
        let last = of_queries.len() - 1;
        let quantile = |q: f64| of_queries[((q * last as f64).round() as usize).min(last)];
        let mut radii = vec![0.0];
        radii.extend([0.1, 0.25, 0.5, 0.75, 0.9, 1.0].map(quantile));
        radii.dedup();
        radii
            .into_iter()
            .map(|radius| Filter {
                stops: share(&of_queries, radius),
                radius: f64::from(radius),
                refuses: share(&of_others, radius),
            })
            .collect()
    }
}

/// Whether non-members are accused no more often than the levels say, beyond the intervals.
fn is_calibrated(calibration: &IndirectCalibration) -> bool {
    calibration
        .at
        .iter()
        .filter(|point| LEVELS.contains(&point.level))
        .all(|point| {
            point
                .share
                .lower
                .or(point.share.value)
                .is_some_and(|low| low <= point.level)
        })
}

/// How a record fares in the played targets.
fn recurrence(record: usize, records: usize, played: &[f64], is_member: &[bool]) -> Recurrence {
    let mut counts = Recurrence::default();
    for place in (record..played.len()).step_by(records) {
        let found = u32::from(played[place] < RECURRENCE_LEVEL);
        if is_member[place] {
            counts.in_targets += 1;
            counts.found += found;
        } else {
            counts.out_targets += 1;
            counts.wrongly_accused += found;
        }
    }
    counts
}
