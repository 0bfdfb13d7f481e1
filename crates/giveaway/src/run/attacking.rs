//! The attacks of `--attacks` on the signals of a run.

use giveaway_stats::random::derive_seed;
use ndarray::Array2;

use super::array_file::read_outputs;
use super::directory::RunDirectory;
use super::pool::Pool;
use super::progress::Progress;
use super::training;
use crate::attack::Scores;
use crate::attack::evidence::{Evidence, Features, Outputs, Query, Scalar};
use crate::attack::method::{Attacker, Method};
use crate::attack::outputs::RowReader;
use crate::attack::tail::tail_shares;
use crate::channel::{Channel, OutputKind};
use crate::error::Result;
use crate::evaluate::agreement::{self, Stability};
use crate::evaluate::attacks::{Judge, Played, Protocol, carry};
use crate::evaluate::leave_one_out::Recurrence;
use crate::evaluate::{Estimate, LOW_RATES};
use crate::report::attacks::{AttackSection, AttackSummary, TailFigure};
use crate::signals::{ModelSignals, Signals};

/// What the attacks found.
pub(super) struct Attacked {
    /// For the report.
    pub(super) section: AttackSection,
    /// Per attack, the scores of the audited units.
    pub(super) scores: Vec<(Method, Scores)>,
    /// Per attack, in how many disjoint sets of reference models each audited unit is named.
    pub(super) named: Vec<Option<Vec<u32>>>,
    /// Per attack, how each eligible unit fares in played targets, where that is known.
    pub(super) recurrence: Vec<Option<Vec<Recurrence>>>,
    /// What could not be done.
    pub(super) notes: Vec<String>,
}

/// Signals of some units, model after model.
struct Collected {
    signals: Vec<Vec<f32>>,
    losses: Vec<Vec<f32>>,
    inside: Vec<Vec<bool>>,
    outputs: Vec<Outputs>,
    labels: Vec<u32>,
    target: Vec<f64>,
    target_losses: Vec<f64>,
    target_outputs: Option<Outputs>,
    features: Option<Array2<f32>>,
    known_non_members: Vec<bool>,
    traces: Option<Array2<f32>>,
    seed: u64,
}

impl Collected {
    fn evidence(&self) -> Evidence<'_, f32> {
        let mut evidence = Evidence::new(
            Scalar::ScaledLogit,
            self.signals.iter().map(Vec::as_slice).collect(),
            self.inside.iter().map(Vec::as_slice).collect(),
            self.target.clone(),
        );
        evidence.losses = Some(Query {
            references: self.losses.iter().map(Vec::as_slice).collect(),
            target: self.target_losses.clone(),
        });
        evidence.reference_outputs = self.outputs.iter().collect();
        evidence.target_outputs = self.target_outputs.as_ref();
        evidence.labels = Some(&self.labels);
        evidence.features = self.features.as_ref().map(|values| Features {
            values,
            known_non_members: &self.known_non_members,
            seed: self.seed,
        });
        evidence.traces = self.traces.as_ref();
        evidence
    }
}

/// Makes the attacks; nothing where none is wanted.
pub(super) fn attack(
    run: &RunDirectory,
    pool: &Pool,
    signals: &Signals,
    target: &ModelSignals,
    channel: Channel,
    progress: &dyn Progress,
) -> Result<Option<Attacked>> {
    let mut notes = Vec::new();
    let mut methods = pool.config.attacks();
    if channel.kind == OutputKind::Labels {
        notes.extend(on_labels_alone(pool, &mut methods));
    }
    if methods.is_empty() {
        return Ok(None);
    }
    progress.begin("attacking the target", 0);
    let parameters = pool.config.attack_parameters();
    let whole = methods.iter().any(|method| method.needs_outputs());
    let families: Vec<usize> = (0..pool.membership.models())
        .map(|model| pool.membership.family(model))
        .collect();
    let mut audited = collect(
        run,
        pool,
        signals,
        &pool.audited,
        Some(target),
        channel,
        whole,
    )?;
    if methods.contains(&Method::QuantileRegression) && has_both(pool) {
        audited.features = Some(features_and_class(pool));
    }
    if methods.contains(&Method::LtIqr) && pool.trains_target() {
        match traces(pool) {
            Ok(found) => audited.traces = Some(found),
            Err(error) => notes.push(format!("no losses by epoch: {error}")),
        }
    }
    let others = (pool.eligible != pool.audited)
        .then(|| collect(run, pool, signals, &pool.eligible, None, channel, whole))
        .transpose()?;
    let evidence_of_others = others.as_ref().map(Collected::evidence);
    let mut of_target = parameters;
    if let Some(others) = &evidence_of_others
        && methods.contains(&Method::RmiaOffline)
    {
        // The audited records are IN no reference model: what a is best shows on the others.
        of_target.offline_a = Some(Attacker::new(others, parameters).offline_a());
    }
    let evidence = audited.evidence();
    let attacker = Attacker::new(&evidence, of_target);
    let mut scores = Vec::new();
    methods.retain(|&method| match attacker.score(method) {
        Ok(found) => {
            scores.push((method, found));
            true
        }
        Err(error) => {
            notes.push(format!("left out: {error}"));
            false
        }
    });
    let stable = agreement::stability(&evidence, &methods, of_target, &families);
    progress.end();

    let protocol = Protocol {
        evidence: evidence_of_others.as_ref().unwrap_or(&evidence),
        methods: &methods,
        parameters,
        families: &families,
        seed: derive_seed(pool.config.seed, "attacks", 0),
    };
    let targets = protocol.targets().len();
    progress.begin(
        "attacking reference models in its place",
        protocol.steps() as u64,
    );
    let played = protocol.run(|| progress.advance(1));
    progress.end();

    let named = stable
        .iter()
        .map(|s| s.as_ref().map(|(_, times)| times.clone()))
        .collect();
    let attacks = summaries(pool, &scores, &played, &stable, protocol.seed);
    for played in played.iter().filter(|p| !p.method.is_of_the_target_alone()) {
        if let Some((times, error)) = &played.failed {
            notes.push(format!(
                "on {times} of the {targets} played targets an attack could not be made: {error}"
            ));
        }
    }
    let mut used = of_target;
    if methods.contains(&Method::RmiaOffline) {
        used.offline_a = Some(attacker.offline_a());
    }
    Ok(Some(Attacked {
        section: AttackSection {
            parameters: used,
            played_targets: targets,
            attacks,
            agreement: agreement::pairs(&scores),
            tail: tail(pool, target)?,
        },
        scores,
        named,
        recurrence: played.into_iter().map(|played| played.recurrence).collect(),
        notes,
    }))
}

/// The tail of the target's losses, where its members are known.
fn tail(pool: &Pool, target: &ModelSignals) -> Result<Vec<TailFigure>> {
    if !has_both(pool) {
        return Ok(Vec::new());
    }
    let losses = |member: bool| -> Vec<f64> {
        pool.audited
            .iter()
            .filter(|&&unit| pool.is_member[unit as usize] == Some(member))
            .map(|&unit| f64::from(target.loss[unit as usize]))
            .collect()
    };
    let shares = tail_shares(&losses(true), &losses(false), &LOW_RATES[..3])?;
    Ok(shares
        .into_iter()
        .map(|share| TailFigure {
            epsilon: share.epsilon,
            threshold: share.threshold,
            share: Estimate {
                value: Some(share.share),
                lower: Some(share.interval.lower),
                upper: Some(share.interval.upper),
            },
        })
        .collect())
}

/// What the report says of each attack.
fn summaries(
    pool: &Pool,
    scores: &[(Method, Scores)],
    played: &[Played],
    stable: &[Option<(Stability, Vec<u32>)>],
    seed: u64,
) -> Vec<AttackSummary> {
    let is_member: Option<Vec<bool>> = pool
        .audited
        .iter()
        .map(|&unit| pool.is_member[unit as usize])
        .collect();
    let is_member = is_member.filter(|m| m.contains(&true) && m.contains(&false));
    let judge = is_member.as_ref().map(|members| Judge::new(members, seed));
    // Elsewhere records have other numbers of OUT models, and thresholds mean something else.
    let to_carry = is_member
        .as_ref()
        .filter(|_| pool.config.data.reference.is_none());
    scores
        .iter()
        .zip(played)
        .zip(stable)
        .map(|(((method, of_target), played), stable)| AttackSummary {
            method: *method,
            citation: method.citation().to_owned(),
            on_target: judge.as_ref().map(|judge| judge.judge(of_target)),
            leave_one_out: (!method.is_of_the_target_alone()).then(|| played.quality.clone()),
            carried: to_carry.map_or_else(Vec::new, |members| {
                played
                    .thresholds
                    .iter()
                    .zip(LOW_RATES)
                    .map(|(&threshold, rate)| carry(threshold, rate, of_target, members))
                    .collect()
            }),
            found_by_recipe: played.recurrence.as_ref().map(|counts| {
                let often = |r: &&Recurrence| r.in_targets > 0 && 2 * r.found >= r.in_targets;
                counts.iter().filter(often).count()
            }),
            stability: stable.as_ref().map(|(stability, _)| *stability),
        })
        .collect()
}

/// The signals of these units, and what whole outputs tell where that is needed. Without a
/// target its part is empty of meaning: another plays it.
fn collect<'a>(
    run: &RunDirectory,
    pool: &Pool,
    signals: &'a Signals,
    units: &[u32],
    target: Option<&ModelSignals>,
    channel: Channel,
    whole: bool,
) -> Result<Collected> {
    use rayon::prelude::*;
    let membership = &pool.membership;
    let models = membership.models();
    // Signals lie unit after unit, attacks want model after model.
    let by_model = |of_unit: &dyn Fn(usize) -> &'a [f32]| -> Vec<Vec<f32>> {
        let mut rows: Vec<Vec<f32>> = vec![Vec::with_capacity(units.len()); models];
        for &unit in units {
            for (row, &value) in rows.iter_mut().zip(of_unit(unit as usize)) {
                row.push(value);
            }
        }
        rows
    };
    let of_target = |values: Option<&[f32]>| -> Vec<f64> {
        let value = |&unit: &u32| values.map_or(0.0, |v| f64::from(v[unit as usize]));
        units.iter().map(value).collect()
    };
    let inside = (0..models)
        .map(|model| {
            units
                .iter()
                .map(|&unit| membership.is_in(model, unit as usize))
                .collect()
        })
        .collect();
    let classes = pool.dataset.schema.classes.len();
    let outputs = if whole {
        (0..models)
            .into_par_iter()
            .map(|model| {
                let logits = read_outputs(&run.signal_file(model), pool.dataset.len(), classes)?;
                Ok(outputs(pool, units, channel, |record, row| {
                    channel.pass(&logits.row(record).to_vec(), row);
                }))
            })
            .collect::<Result<_>>()?
    } else {
        Vec::new()
    };
    let target_outputs = match target {
        Some(_) if whole => Some(target_outputs(run, pool, units, channel)?),
        _ => None,
    };
    Ok(Collected {
        signals: by_model(&|unit| signals.scaled_logits(unit)),
        losses: by_model(&|unit| signals.losses(unit)),
        inside,
        outputs,
        labels: units
            .iter()
            .map(|&unit| pool.dataset.labels[pool.units.records(unit as usize)[0] as usize])
            .collect(),
        target: of_target(target.map(|t| t.scaled_logit.as_slice())),
        target_losses: of_target(target.map(|t| t.loss.as_slice())),
        target_outputs,
        features: None,
        known_non_members: units
            .iter()
            .map(|&unit| pool.is_member[unit as usize] == Some(false))
            .collect(),
        traces: None,
        seed: derive_seed(pool.config.seed, "quantile regression", 0),
    })
}

/// Takes out the attacks that need more than labels; where they were not asked for, those that
/// do with labels come in their place.
fn on_labels_alone(pool: &Pool, methods: &mut Vec<Method>) -> Option<String> {
    if pool.config.test.attacks.is_none() {
        *methods = vec![Method::Gap, Method::GmiaDirect];
        if pool.config.data.reference.is_none() {
            methods.insert(1, Method::LabelOnly);
        }
        return None;
    }
    let (left_out, kept): (Vec<Method>, Vec<Method>) = methods
        .iter()
        .partition(|method| method.needs_confidences());
    *methods = kept;
    let names: Vec<&str> = left_out.iter().map(|method| method.name()).collect();
    (!names.is_empty()).then(|| {
        format!(
            "the target answers with labels alone, and these attacks need more: {}; gap, label-only and gmia-direct do with labels",
            names.join(", ")
        )
    })
}

/// Whether members and non-members of the target are known.
fn has_both(pool: &Pool) -> bool {
    let known = |member| {
        pool.audited
            .iter()
            .any(|&unit| pool.is_member[unit as usize] == Some(member))
    };
    known(true) && known(false)
}

/// For every audited unit the mean over its records of each feature and of a column for each
/// class: how sure a model is depends on the class as on the features.
fn features_and_class(pool: &Pool) -> Array2<f32> {
    let of_records = &pool.dataset.features;
    let features = of_records.ncols();
    let classes = pool.dataset.schema.classes.len();
    let mut means = Array2::zeros((pool.audited.len(), features + classes));
    for (mut row, &unit) in means.rows_mut().into_iter().zip(&pool.audited) {
        let records = pool.units.records(unit as usize);
        for &record in records {
            let record = record as usize;
            for (sum, &value) in row.iter_mut().zip(of_records.row(record)) {
                *sum += value;
            }
            row[features + pool.dataset.labels[record] as usize] += 1.0;
        }
        row /= records.len() as f32;
    }
    means
}

/// Losses of the audited units after every epoch of the target's training, which is done once
/// more for them and comes out the same.
fn traces(pool: &Pool) -> Result<Array2<f32>> {
    let (rows, seed) = training::of_target(pool);
    let validation = pool.units.expand(&pool.validation_units);
    let audited = pool.units.expand(&pool.audited);
    let (_, by_record) =
        training::trainer(pool)?.train_traced(&rows, &validation, &audited, seed)?;
    // The traced records lie unit after unit.
    let mut first = 0;
    let mut traces = Array2::zeros((by_record.nrows(), pool.audited.len()));
    for (mut column, &unit) in traces.columns_mut().into_iter().zip(&pool.audited) {
        let count = pool.units.records(unit as usize).len();
        for record in first..first + count {
            column += &by_record.column(record);
        }
        column /= count as f32;
        first += count;
    }
    Ok(traces)
}

fn target_outputs(
    run: &RunDirectory,
    pool: &Pool,
    units: &[u32],
    channel: Channel,
) -> Result<Outputs> {
    if let Some(given) = &pool.target_outputs {
        return Ok(outputs(pool, units, channel, |record, row| {
            row.clear();
            row.extend(given.outputs.row(record).iter().copied());
        }));
    }
    let classes = pool.dataset.schema.classes.len();
    let logits = read_outputs(&run.file("signals/target.npy"), pool.dataset.len(), classes)?;
    Ok(outputs(pool, units, channel, |record, row| {
        channel.pass(&logits.row(record).to_vec(), row);
    }))
}

/// Means over each unit's records of what whole outputs tell; `read` gives a record's row as
/// it comes out of the channel.
fn outputs(
    pool: &Pool,
    units: &[u32],
    channel: Channel,
    mut read: impl FnMut(usize, &mut Vec<f32>),
) -> Outputs {
    let reader = RowReader {
        logits: channel.kind == OutputKind::Logits,
        temperature: 1.0,
        clamp: match channel.kind {
            OutputKind::Logits => f64::from(f32::MIN_POSITIVE),
            OutputKind::Probabilities | OutputKind::Labels => channel.resolution(),
        },
    };
    let (mut row, mut wide, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
    let mut outputs = Outputs::default();
    for &unit in units {
        let records = pool.units.records(unit as usize);
        let [mut entropy, mut modified, mut correct] = [0.0; 3];
        for &record in records {
            let record = record as usize;
            read(record, &mut row);
            wide.clear();
            wide.extend(row.iter().map(|&x| f64::from(x)));
            let signals = reader.signals(&wide, pool.dataset.labels[record] as usize, &mut scratch);
            entropy += signals.entropy;
            modified += signals.modified_entropy;
            correct += f64::from(u8::from(signals.correct));
        }
        let count = records.len() as f64;
        outputs.entropy.push(entropy / count);
        outputs.modified_entropy.push(modified / count);
        outputs.correct.push(correct / count);
    }
    outputs
}
