//! From the outputs in the run directory to the result: selection, test, evaluation, checks.

use std::collections::BTreeMap;

use giveaway_stats::multiplicity::{benjamini_yekutieli, minimum_rejections, models_out_needed};
use rayon::prelude::*;

use super::array_file::read_outputs;
use super::asking::{self, Connector};
use super::attacking::{self, Attacked};
use super::config::MINIMUM_MODELS;
use super::config::trainer::TrainerName;
use super::directory::{Manifest, RunDirectory};
use super::indirect;
use super::pool::Pool;
use super::progress::Progress;
use super::selecting::{self, NearestOfUnits, Selections};
use super::training;
use crate::attack::direct::{DirectInference, LeftOut, Null};
use crate::channel::{Channel, OutputKind};
use crate::error::{Error, Result};
use crate::evaluate::leave_one_out::{self, LeaveOneOut, Protocol, Recurrence};
use crate::evaluate::{Decision, Estimate, LEVELS, adjust_tested, q_values, target as on_target};
use crate::membership::share_of_eligible;
use crate::report::figures::{CutoffCurve, Figures, LossHistogram, LossModel, LossUnits, Losses};
use crate::report::{
    Audit, DataSummary, Exposed, FORMAT_VERSION, ModelsNeeded, ReferenceSummary, Spread,
    TargetSummary, TestSummary, Verdict, text,
};
use crate::select::neighbours::{NeighbourCount, Neighbours};
use crate::select::{Rule, Selection};
use crate::signals::{ModelSignals, Signals};
use crate::trainer::Trainer;
use crate::validity;

/// Units in the table of the most exposed.
const EXPOSED: usize = 20;

/// The result and what the table of records needs besides.
pub(super) struct Findings {
    pub(super) audit: Audit,
    pub(super) target: ModelSignals,
    /// Per null, per audited unit.
    pub(super) p_values: Vec<(Null, Vec<f64>)>,
    pub(super) selections: Vec<Selection>,
    /// P-value of each selected unit, as tested.
    pub(super) tested_p: BTreeMap<u32, f64>,
    /// Adjusted p-value of each selected unit.
    pub(super) q: BTreeMap<u32, f64>,
    /// The units that the reference models were judged on, by the rule of the verdict.
    evaluated: Vec<u32>,
    /// How each selected unit fares in the reference models.
    pub(super) recurrence: BTreeMap<u32, Recurrence>,
    /// Mean losses per audited unit.
    pub(super) out_loss: Vec<f64>,
    pub(super) in_loss: Vec<f64>,
    pub(super) neighbours: Option<(Neighbours, Vec<NeighbourCount>)>,
    /// The most exposed of the selected units, with the reference units nearest to each.
    pub(super) nearest: Option<NearestOfUnits>,
    /// The other attacks.
    pub(super) attacked: Option<Attacked>,
}

/// Computes everything after training.
pub(super) fn find(
    run: &RunDirectory,
    pool: &Pool,
    trainer: &dyn Trainer,
    manifest: &Manifest,
    connector: &dyn Connector,
    progress: &dyn Progress,
) -> Result<Findings> {
    let membership = &pool.membership;
    let classes = pool.dataset.schema.classes.len();
    let labels = &pool.dataset.labels;
    let channel = channel_of_target(run, pool)?;
    let read = |model: usize| read_outputs(&run.signal_file(model), pool.dataset.len(), classes);

    progress.begin("reading signals", 0);
    let signals = Signals::load(
        membership,
        &pool.units,
        labels,
        channel,
        &pool.validation_units,
        read,
    )?;
    let target = target_signals(run, pool, channel)?;
    progress.end();

    let halves = membership.halves();
    let inference = DirectInference::new(&signals, membership, &pool.audited, halves[1].clone());
    let null = pool.config.test.null();
    enough_models(pool, &inference, halves[1].len())?;
    let position_of = positions(pool);
    let p_of_verdict = |units: &[u32]| {
        let positions: Vec<usize> = units.iter().map(|&u| position_of[u as usize]).collect();
        inference.p_values_of(&positions, null, &target, LeftOut::Nobody)
    };
    let chosen = selecting::select(run, pool, &signals, p_of_verdict, progress)?;
    let p_values: Vec<(Null, Vec<f64>)> = Null::EVERY
        .iter()
        .map(|&null| (null, inference.p_values(null, &target, LeftOut::Nobody)))
        .collect();

    let decisions = decisions(pool);
    let left_out = let_play(pool, &signals, &chosen, &decisions, progress);
    let attacked = attacking::attack(run, pool, &signals, &target, channel, progress)?;
    let selected = chosen.for_target.iter().find(|s| s.rule == chosen.rule);
    let inferred = indirect::infer(
        &indirect::Context {
            run,
            pool,
            trainer,
            connector,
            identity: &manifest.identity,
            channel,
            signals: &signals,
            target: &target,
            direct: &inference,
            position_of: &position_of,
            selected: selected.map_or(&[], |s| &s.selected),
        },
        progress,
    )?;

    progress.begin("checking the set-up", 0);
    let mut findings = Findings {
        audit: empty_audit(pool, &manifest.kernel, &signals, &target, channel),
        target,
        p_values,
        selections: chosen.for_target,
        tested_p: BTreeMap::new(),
        q: BTreeMap::new(),
        evaluated: chosen
            .for_evaluation
            .iter()
            .find(|(rule, _)| *rule == chosen.rule)
            .map_or_else(Vec::new, |(_, halves)| halves[0].clone()),
        recurrence: BTreeMap::new(),
        out_loss: Vec::new(),
        in_loss: Vec::new(),
        neighbours: chosen.neighbours,
        nearest: chosen.nearest,
        attacked,
    };
    if let Some(attacked) = &findings.attacked {
        findings.audit.attacks = Some(attacked.section.clone());
        findings.audit.notes.extend(attacked.notes.iter().cloned());
    }
    if let Some(inferred) = inferred {
        findings.audit.indirect = inferred.section;
        findings.audit.notes.extend(inferred.notes);
    }
    findings.audit.notes.extend(chosen.notes);
    findings.audit.target.asked = asking::summary(run, pool)?;
    findings
        .audit
        .notes
        .extend(interface_notes(pool, channel, null));
    findings.mean_losses(pool, &signals);
    findings.judge(
        pool,
        &inference,
        &left_out,
        chosen.rule,
        chosen.alpha,
        &decisions,
    )?;
    findings.audit.figures.losses = findings.losses(pool, &signals, chosen.rule);
    findings.draw_cutoffs(&left_out);
    findings.check(pool, &left_out)?;
    findings.audit.leave_one_out = left_out.evaluations;
    findings.conclude(pool);
    progress.end();
    Ok(findings)
}

/// The decision of the verdicts.
fn verdict_decision(pool: &Pool) -> Decision {
    Decision::DiscoveryRate(pool.config.test.fdr)
}

/// Lets every reference model play the target.
fn let_play(
    pool: &Pool,
    signals: &Signals,
    chosen: &Selections,
    decisions: &[Decision],
    progress: &dyn Progress,
) -> LeaveOneOut {
    let protocol = Protocol {
        signals,
        membership: &pool.membership,
        candidates: &pool.eligible,
        selections: &chosen.for_evaluation,
        nulls: &Null::EVERY,
        decisions,
        headline: (pool.config.test.null(), verdict_decision(pool)),
        drawn: chosen.rule,
        misfit_sample: non_members(pool),
        seed: pool.config.seed,
    };
    progress.begin(
        "letting every reference model play the target",
        protocol.steps() as u64,
    );
    let left_out = leave_one_out::run(&protocol, || progress.advance(1));
    progress.end();
    left_out
}

/// The interface of the target. Of those that are trained here networks give logits. Trees and commands
/// give probabilities, and those of fully grown trees are few different numbers.
fn channel_of_target(run: &RunDirectory, pool: &Pool) -> Result<Channel> {
    if let Some(given) = &pool.target_outputs {
        return Ok(given.channel);
    }
    if pool.config.reference.trainer == TrainerName::Network {
        return Ok(Channel::default());
    }
    let classes = pool.dataset.schema.classes.len();
    let mut outputs = read_outputs(&run.file("signals/target.npy"), pool.dataset.len(), classes)?;
    let probabilities = Channel {
        kind: OutputKind::Probabilities,
        ..Channel::default()
    };
    let mut row_after = Vec::new();
    for mut row in outputs.rows_mut() {
        probabilities.pass(&row.to_vec(), &mut row_after);
        for (slot, &p) in row.iter_mut().zip(&row_after) {
            // what a logarithm and its inverse leave of rounded numbers
            *slot = ((f64::from(p) / NOISE).round() * NOISE) as f32;
        }
    }
    let decimals = Channel::detect(&outputs).decimals;
    Ok(Channel {
        decimals: decimals.filter(|&decimals| decimals < DECIMALS_OF_NOISE),
        ..probabilities
    })
}

/// Probabilities that went through a logarithm are right to this, which is so many decimals.
const NOISE: f64 = 1e-5;
const DECIMALS_OF_NOISE: u8 = 5;

/// What the target's interface does to its outputs, and what that means for the test.
fn interface_notes(pool: &Pool, channel: Channel, null: Null) -> Vec<String> {
    let limits = if pool.trains_target() {
        Vec::new()
    } else {
        channel.limits()
    };
    let mut notes: Vec<String> = limits
        .into_iter()
        .map(|limit| {
            format!("the target's interface is limited: {limit}; the reference models' outputs are treated alike")
        })
        .collect();
    if pool
        .target_outputs
        .as_ref()
        .is_some_and(|given| given.normalised_here)
    {
        notes.push("the target's outputs are between 0 and 1 and do not sum to one: each row was divided by its sum".to_owned());
    }
    let in_percent = pool
        .target_outputs
        .as_ref()
        .is_some_and(|given| given.in_percent);
    if in_percent {
        notes.push("every row of the target's outputs sums to 100: they were taken for percentages and divided by a hundred (--output-kind logits if they are logits)".to_owned());
    }
    if pool.has_coarse_outputs() && null == Null::T {
        notes.push("with so few different losses the null t is a guess, and ecdf is the better choice (--null ecdf)".to_owned());
    }
    notes
}

/// Known non-members among the audited units; all of them where none is known.
fn non_members(pool: &Pool) -> usize {
    let known = pool
        .audited
        .iter()
        .filter(|&&unit| pool.is_member[unit as usize] == Some(false))
        .count();
    if known == 0 { usize::MAX } else { known }
}

/// Reference models that give every tested unit `wanted` OUT models, where `models` give
/// it `found`; a multiple of four, so that both halves hold whole pairs.
fn models_for(wanted: usize, found: usize, models: usize) -> usize {
    let exact = wanted as f64 * models as f64 / found.max(1) as f64;
    (exact.ceil() as usize)
        .next_multiple_of(4)
        .max(MINIMUM_MODELS)
}

/// Fewest discoveries that the floors `1/(k_out + 1)` of the tested units allow at this rate:
/// the smallest j whose j-th smallest floor is at most `q j / N`; more than N if none is.
/// With one `k_out` for all it is `R_min` of methods, section 1.3.
fn minimum_discoveries(models_out: &[usize], rate: f64) -> usize {
    let mut sorted = models_out.to_vec();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    let tests = sorted.len();
    if let (Some(first), Some(last)) = (sorted.first(), sorted.last())
        && first == last
    {
        return minimum_rejections(tests, rate, *first);
    }
    if tests == 0 {
        return 0;
    }
    (1..=tests)
        .find(|&j| 1.0 / (sorted[j - 1] as f64 + 1.0) <= rate * j as f64 / tests as f64)
        .unwrap_or(tests + 1)
}

fn decisions(pool: &Pool) -> Vec<Decision> {
    LEVELS
        .iter()
        .map(|&level| Decision::Level(level))
        .chain([Decision::DiscoveryRate(pool.config.test.fdr)])
        .collect()
}

fn target_signals(run: &RunDirectory, pool: &Pool, channel: Channel) -> Result<ModelSignals> {
    // What was not asked is neither right nor wrong.
    let asked_in_part = pool.config.target.is_asked();
    let is_in = |unit: usize| {
        let answered = !asked_in_part || pool.audited.binary_search(&(unit as u32)).is_ok();
        answered.then(|| pool.is_member[unit]).flatten()
    };
    let labels = &pool.dataset.labels;
    match &pool.target_outputs {
        None => {
            let classes = pool.dataset.schema.classes.len();
            let logits =
                read_outputs(&run.file("signals/target.npy"), pool.dataset.len(), classes)?;
            Ok(ModelSignals::of_logits(
                &logits,
                labels,
                &pool.units,
                channel,
                is_in,
            ))
        }
        Some(given) => {
            let answered = given.outputs.nrows();
            let mut row = Vec::new();
            Ok(ModelSignals::new(&pool.units, is_in, |record| {
                // Reference records are not the target's to answer, and nobody asks for them.
                if record >= answered {
                    return crate::channel::RecordSignal {
                        loss: f64::NAN,
                        scaled_logit: f64::NAN,
                        correct: false,
                    };
                }
                row.clear();
                row.extend(given.outputs.row(record).iter().copied());
                channel.signal(&row, labels[record] as usize)
            }))
        }
    }
}

impl Findings {
    fn mean_losses(&mut self, pool: &Pool, signals: &Signals) {
        let mean = |unit: u32, inside: bool| {
            let losses = signals.losses(unit as usize);
            let (mut sum, mut count) = (0.0, 0.0);
            for (model, &loss) in losses.iter().enumerate() {
                if pool.membership.is_in(model, unit as usize) == inside {
                    sum += f64::from(loss);
                    count += 1.0;
                }
            }
            sum / count
        };
        self.out_loss = pool.audited.iter().map(|&unit| mean(unit, false)).collect();
        self.in_loss = pool.audited.iter().map(|&unit| mean(unit, true)).collect();
    }

    fn p_values_of(&self, null: Null) -> &[f64] {
        self.p_values
            .iter()
            .find(|(n, _)| *n == null)
            .map_or(&[], |(_, p)| p)
    }

    /// How each selected unit fares in the reference models.
    fn recur(&mut self, pool: &Pool, left_out: &LeaveOneOut, rule: Rule, selected: &[u32]) {
        // Reference data of their own, or a budget: those that the models were judged on are
        // others than those that the target is.
        if pool.config.data.reference.is_some() {
            return;
        }
        if let Some((_, counts)) = left_out.recurrence.iter().find(|(r, _)| *r == rule) {
            let judged = self.evaluated.iter().copied();
            self.recurrence = judged
                .zip(counts.iter().copied())
                .filter(|(unit, _)| selected.contains(unit))
                .collect();
        }
    }

    /// Says how many of the tested, by their positions, are judged by ranks though the null is t.
    fn note_cut(
        &mut self,
        pool: &Pool,
        inference: &DirectInference<'_>,
        tested: impl ExactSizeIterator<Item = usize>,
    ) {
        let all = tested.len();
        let cut = tested
            .filter(|&position| inference.is_cut(position))
            .count();
        if cut > 0 && pool.config.test.null() == Null::T {
            self.audit.notes.push(format!(
                "{cut} of the {all} tested are judged by ranks (ecdf) rather than by the null t: the target shows no difference between the small outputs that several models without them give; their p-values cannot be below 1/(k_out + 1)"
            ));
        }
    }

    /// Verdicts, the table of the most exposed, and the evaluation on the target.
    fn judge(
        &mut self,
        pool: &Pool,
        inference: &DirectInference<'_>,
        left_out: &LeaveOneOut,
        rule: Rule,
        alpha: Option<f64>,
        decisions: &[Decision],
    ) -> Result<()> {
        let test = &pool.config.test;
        let position_of = positions(pool);
        let selection = self
            .selections
            .iter()
            .find(|s| s.rule == rule)
            .ok_or_else(|| Error::unexpected("the selection was not made"))?
            .clone();
        let selected = selection.selected.clone();
        let positions: Vec<usize> = selected.iter().map(|&u| position_of[u as usize]).collect();
        let of_tested = |positions: &[usize], null: Null| {
            inference.p_values_of(positions, null, &self.target, LeftOut::Nobody)
        };
        let p = of_tested(&positions, test.null());
        let q = q_values(&p);
        let by_any_dependence =
            adjust_tested(&p, |tested| benjamini_yekutieli(tested).unwrap_or_default());
        self.q = selected.iter().copied().zip(q.iter().copied()).collect();
        self.recur(pool, left_out, rule, &selected);
        let tested: Vec<usize> = (0..p.len()).filter(|&i| !p[i].is_nan()).collect();
        self.note_cut(pool, inference, tested.iter().map(|&i| positions[i]));
        let models_out: Vec<usize> = tested
            .iter()
            .map(|&i| inference.models_out(positions[i]))
            .collect();
        let extremes = [
            models_out.iter().copied().min().unwrap_or(0),
            models_out.iter().copied().max().unwrap_or(0),
        ];
        let one_percent = (tested.len() as f64 / 100.0).ceil().max(1.0) as usize;
        let mut discoveries = vec![1, 10, one_percent];
        discoveries.sort_unstable();
        discoveries.dedup();
        discoveries.retain(|&n| n <= tested.len());
        self.audit.test = TestSummary {
            selection: rule,
            amount: test.amount,
            selected: selected.len(),
            tested: tested.len(),
            untestable: p.len() - tested.len(),
            unranked: selection.unranked,
            null: test.null(),
            fdr: test.fdr,
            selecting_models: pool.membership.halves()[0].len(),
            testing_models: pool.membership.halves()[1].len(),
            models_out: extremes,
            floor: 1.0 / (extremes[1] as f64 + 1.0),
            minimum_discoveries: minimum_discoveries(&models_out, test.fdr),
            models_out_needed: discoveries
                .into_iter()
                .map(|discoveries| {
                    let models_out = models_out_needed(tested.len(), test.fdr, discoveries);
                    ModelsNeeded {
                        discoveries,
                        models_out,
                        models: models_for(models_out, extremes[0], pool.membership.models()),
                    }
                })
                .collect(),
            alpha,
        };
        let accused = |i: usize| q[i] <= test.fdr;
        let verdict = &mut self.audit.verdict;
        verdict.given_away = (0..p.len()).filter(|&i| accused(i)).count();
        verdict.given_away_any_dependence =
            by_any_dependence.iter().filter(|&&q| q <= test.fdr).count();
        let memberships: Vec<Option<bool>> = selected
            .iter()
            .map(|&u| pool.is_member[u as usize])
            .collect();
        verdict.wrong = memberships.iter().all(Option::is_some).then(|| {
            (0..p.len())
                .filter(|&i| accused(i) && memberships[i] == Some(false))
                .count()
        });
        let often = |r: &Recurrence| r.in_targets > 0 && 2 * r.found >= r.in_targets;
        verdict.given_away_by_recipe = self.recurrence.values().filter(|r| often(r)).count();
        verdict.given_away_by_both = (0..p.len())
            .filter(|&i| accused(i) && self.recurrence.get(&selected[i]).is_some_and(often))
            .count();

        let mut order = tested;
        order.sort_by(|&a, &b| p[a].total_cmp(&p[b]).then(a.cmp(&b)));
        order.truncate(EXPOSED);
        self.audit.exposed = order
            .into_iter()
            .map(|i| self.exposed(pool, selected[i], positions[i], p[i], q[i]))
            .collect();
        self.tested_p = selected.iter().copied().zip(p).collect();
        self.evaluate_on_target(pool, inference, &position_of, decisions);
        Ok(())
    }

    fn exposed(&self, pool: &Pool, unit: u32, position: usize, p: f64, q: f64) -> Exposed {
        let records = pool.units.records(unit as usize);
        let first = records[0] as usize;
        Exposed {
            id: pool.table.ids[first].clone(),
            group: pool
                .table
                .groups
                .as_ref()
                .map(|groups| groups[first].clone()),
            records: records.len(),
            class: pool.table.classes[pool.table.labels[first] as usize].clone(),
            target_loss: Some(f64::from(self.target.loss[unit as usize])),
            out_loss: Some(self.out_loss[position]),
            in_loss: Some(self.in_loss[position]).filter(|loss| !loss.is_nan()),
            neighbours: self
                .neighbours
                .as_ref()
                .map(|(_, counts)| counts[position].reference),
            p,
            q,
            given_away: q <= pool.config.test.fdr,
            member: pool.is_member[unit as usize],
            recurrence: self.recurrence.get(&unit).copied(),
        }
    }

    fn evaluate_on_target(
        &mut self,
        pool: &Pool,
        inference: &DirectInference<'_>,
        position_of: &[usize],
        decisions: &[Decision],
    ) {
        let known = pool
            .audited
            .iter()
            .all(|&unit| pool.is_member[unit as usize].is_some());
        if !known {
            return;
        }
        for selection in &self.selections {
            let units = &selection.selected;
            let is_member: Vec<bool> = units
                .iter()
                .map(|&unit| pool.is_member[unit as usize] == Some(true))
                .collect();
            let positions: Vec<usize> = units.iter().map(|&u| position_of[u as usize]).collect();
            for null in Null::EVERY {
                let p = inference.p_values_of(&positions, null, &self.target, LeftOut::Nobody);
                self.audit.on_target.push(on_target::evaluate(
                    selection.rule,
                    null,
                    &p,
                    &is_member,
                    decisions,
                    pool.config.seed,
                ));
                if selection.rule == self.audit.test.selection {
                    self.audit.figures.cutoffs.push(CutoffCurve {
                        null,
                        on_target: on_target::at_cutoffs(&p, &is_member),
                        leave_one_out: Vec::new(),
                    });
                }
            }
        }
    }

    /// Joins what the reference models say at each cut-off to what the target says.
    fn draw_cutoffs(&mut self, left_out: &LeaveOneOut) {
        let curves = &mut self.audit.figures.cutoffs;
        for (null, at_cutoffs) in &left_out.at_cutoffs {
            let place = curves.iter().position(|curve| curve.null == *null);
            let place = place.unwrap_or_else(|| {
                curves.push(CutoffCurve {
                    null: *null,
                    on_target: Vec::new(),
                    leave_one_out: Vec::new(),
                });
                curves.len() - 1
            });
            curves[place].leave_one_out.clone_from(at_cutoffs);
        }
    }

    /// Distributions of the loss over the audited units and over those that the verdict's rule
    /// selected: of the target where membership is known, and of the models that test.
    fn losses(&self, pool: &Pool, signals: &Signals, rule: Rule) -> Vec<LossHistogram> {
        let models = pool.membership.halves()[1].clone();
        let selected = self.selections.iter().find(|s| s.rule == rule);
        let sets = [
            (LossUnits::All, pool.audited.as_slice()),
            (
                LossUnits::Selected,
                selected.map_or(&[], |s| s.selected.as_slice()),
            ),
        ];
        let mut histograms = Vec::new();
        for (units, of) in sets {
            let target = of
                .par_iter()
                .fold(Losses::default, |mut losses, &unit| {
                    if let Some(member) = pool.is_member[unit as usize] {
                        losses.add(member, self.target.loss[unit as usize]);
                    }
                    losses
                })
                .reduce(Losses::default, Losses::and);
            let references = of
                .par_iter()
                .fold(Losses::default, |mut losses, &unit| {
                    let all = signals.losses(unit as usize);
                    for model in models.clone() {
                        let member = pool.membership.is_in(model, unit as usize);
                        losses.add(member, all[model]);
                    }
                    losses
                })
                .reduce(Losses::default, Losses::and);
            histograms.extend(target.histograms(LossModel::Target, units));
            histograms.extend(references.histograms(LossModel::References, units));
        }
        histograms
    }

    fn check(&mut self, pool: &Pool, left_out: &LeaveOneOut) -> Result<()> {
        let outside: Vec<f64> = pool
            .audited
            .iter()
            .zip(self.p_values_of(pool.config.test.null()))
            .filter(|&(&unit, _)| pool.is_member[unit as usize] == Some(false))
            .map(|(_, &p)| p)
            .collect();
        self.audit.checks = vec![
            validity::blind_baseline(
                &pool.dataset,
                &pool.units,
                &pool.is_member,
                pool.config.seed,
            )?,
            validity::reference_fit(
                &outside,
                &left_out.misfit,
                self.audit.target.accuracy.test,
                self.audit.reference.test_accuracy,
            ),
        ];
        let pooled = left_out.evaluations.iter().find(|e| {
            e.selection == self.audit.test.selection && e.null == pool.config.test.null()
        });
        self.audit.checks.extend(pooled.map(validity::calibration));
        if pool.config.data.reference.is_some() {
            let share = training_share(pool);
            self.audit.checks.push(validity::reference_overlap(share));
        }
        self.audit.checks.push(validity::across_the_split(
            &pool.table,
            &pool.dataset,
            &pool.units,
            &pool.is_member,
            pool.split_units,
            pool.table.groups.is_some(),
            pool.config.seed,
        ));
        Ok(())
    }

    fn conclude(&mut self, pool: &Pool) {
        let tested = self.audit.test.selected - self.audit.test.untestable;
        self.audit.verdict.valid = self.audit.failed_checks() == 0 && tested > 0;
        if let Some(rates) = self
            .audit
            .headline_leave_one_out()
            .and_then(|e| e.rates(self.audit.verdict.decision))
        {
            let precision = rates.precision;
            let share = Estimate {
                value: precision.value.map(|v| 1.0 - v),
                lower: precision.upper.map(|v| 1.0 - v),
                upper: precision.lower.map(|v| 1.0 - v),
            };
            let given_away = self.audit.verdict.given_away as f64;
            self.audit.verdict.expected_wrong = share;
            self.audit.verdict.expected_wrong_records = Estimate {
                value: share.value.map(|v| given_away * v),
                lower: share.lower.map(|v| given_away * v),
                upper: share.upper.map(|v| given_away * v),
            };
        }
        self.audit.verdict.members_among_tested =
            self.audit.headline_leave_one_out().and_then(|e| {
                let tested = e.members + e.non_members;
                (tested > 0).then(|| e.members as f64 / tested as f64)
            });
        self.audit.notes.extend(pool.notes.iter().cloned());
        self.audit.verdict.headline = text::headline(&self.audit);
    }
}

/// Refuses an audit in which nobody is OUT for as many models as the null needs.
fn enough_models(pool: &Pool, inference: &DirectInference<'_>, testing: usize) -> Result<()> {
    let null = pool.config.test.null();
    let most_out = (0..pool.audited.len())
        .map(|i| inference.models_out(i))
        .max()
        .unwrap_or(0);
    if most_out < null.models_needed() + 1 {
        return Err(Error::usage(format!(
            "no record is OUT for more than {most_out} of the {} reference models that test, but the null {} needs {} and one to leave out",
            testing,
            null.name(),
            null.models_needed()
        ))
        .at("--models")
        .hint("train more reference models"));
    }
    Ok(())
}

/// Of each audited unit, its position among them.
fn positions(pool: &Pool) -> Vec<usize> {
    let mut position_of = vec![usize::MAX; pool.units.len()];
    for (position, &unit) in pool.audited.iter().enumerate() {
        position_of[unit as usize] = position;
    }
    position_of
}

/// Share of the eligible units in a training set of a reference model.
fn training_share(pool: &Pool) -> f64 {
    let size = pool.membership.training_units(0).len();
    share_of_eligible(pool.membership.design(), size, pool.eligible.len())
}

fn empty_audit(
    pool: &Pool,
    kernel: &str,
    signals: &Signals,
    target: &ModelSignals,
    channel: Channel,
) -> Audit {
    let accuracies = |of: &dyn Fn(&crate::signals::Accuracy) -> Option<f64>| {
        Spread::of(
            &signals
                .accuracies()
                .iter()
                .filter_map(of)
                .collect::<Vec<f64>>(),
        )
    };
    let membership = &pool.membership;
    let training_units = membership.training_units(0).len();
    Audit {
        format_version: FORMAT_VERSION,
        giveaway_version: env!("CARGO_PKG_VERSION").to_owned(),
        redacted: false,
        seed: Some(pool.config.seed),
        data: DataSummary {
            name: pool.table.name.clone(),
            records_in_file: pool.records_in_file,
            records: pool.table.len(),
            units: pool.audited.len(),
            unit_name: if pool.table.groups.is_some() {
                "groups"
            } else {
                "records"
            }
            .to_owned(),
            features: pool.dataset.features.ncols(),
            classes: pool.dataset.schema.classes.clone(),
            exact_duplicates: pool.exact_duplicates,
            validation_units: pool.validation_units.len(),
        },
        target: TargetSummary {
            trained_here: pool.trains_target(),
            training_units: pool.target_training_size(),
            channel,
            accuracy: target.accuracy,
            asked: None,
        },
        reference: ReferenceSummary {
            models: membership.models(),
            design: membership.design(),
            training_units,
            expected_overlap: pool.eligible.len() as f64 * training_share(pool).powi(2),
            network: training::in_words(pool),
            kernel: kernel.to_owned(),
            train_accuracy: accuracies(&|a| a.train),
            test_accuracy: accuracies(&|a| a.test),
        },
        test: TestSummary {
            selection: Rule::All,
            amount: pool.config.test.amount,
            selected: 0,
            tested: 0,
            untestable: 0,
            unranked: 0,
            null: pool.config.test.null(),
            fdr: pool.config.test.fdr,
            selecting_models: 0,
            testing_models: 0,
            models_out: [0, 0],
            floor: 1.0,
            minimum_discoveries: 0,
            models_out_needed: Vec::new(),
            alpha: None,
        },
        verdict: Verdict {
            valid: false,
            headline: String::new(),
            decision: verdict_decision(pool),
            given_away: 0,
            given_away_any_dependence: 0,
            members_among_tested: None,
            expected_wrong: Estimate::default(),
            expected_wrong_records: Estimate::default(),
            wrong: None,
            given_away_by_both: 0,
            given_away_by_recipe: 0,
        },
        exposed: Vec::new(),
        on_target: Vec::new(),
        leave_one_out: Vec::new(),
        attacks: None,
        indirect: None,
        explanation: None,
        defence: None,
        figures: Figures::default(),
        checks: Vec::new(),
        notes: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unequal_floors_allow_what_their_smallest_allow() {
        // 12 of 20 units with 32 OUT models or more, the others with 15: twelve discoveries
        // need floors of .05 · 12 / 20 = .03, which 1/33 is just above and 1/34 below.
        let models_out = |most: usize| [vec![most; 12], vec![15; 8]].concat();
        assert_eq!(minimum_discoveries(&models_out(33), 0.05), 12);
        assert_eq!(minimum_discoveries(&models_out(31), 0.05), 21);
        assert_eq!(minimum_discoveries(&[64; 200], 0.05), 62);
        assert_eq!(minimum_discoveries(&[], 0.05), 0);
    }

    #[test]
    fn models_needed_are_never_fewer_than_an_audit_takes() {
        assert_eq!(models_for(399, 64, 256), 1596);
        assert_eq!(models_for(1, 64, 256), MINIMUM_MODELS);
    }
}
