//! Every reference model in turn plays the target (methods, section 1.5).
//!
//! The reference models form two halves. A model of one half is attacked with the others
//! of its half, without its complement, on the units that the *other* half selected. So
//! neither selection nor test ever saw the model or its complement, every model plays,
//! and every unit keeps the same number of OUT models whatever its membership.
//!
//! Targets share references, so they are not independent. Intervals are bootstrapped over
//! families (pairs of complements) and over units at once.

use giveaway_stats::random::Stream;
use giveaway_stats::roc::{Roc, ppv};
use rayon::prelude::*;

use super::bootstrap::{Counted, Drawn, REPLICATES, widened};
use super::cutoffs::{AtCutoff, CUTOFFS, first_cutoff, nest};
use super::{
    AtPrior, CURVE_RATES, CurveWalk, Decision, DecisionRates, Estimate, Evaluation, PRIORS,
    RANKING_FIGURES, Ranking, figures_of_roc, ratio, score, tells_at,
};
use crate::attack::direct::{DirectInference, LeftOut, Null};
use crate::membership::Membership;
use crate::select::Rule;
use crate::signals::Signals;

/// Scores of all targets are pooled for the ranking only up to so many.
const POOLED_AT_MOST: usize = 2_000_000;

/// What is attacked, and by what the tested units were selected.
pub struct Protocol<'a> {
    /// Signals of the reference models.
    pub signals: &'a Signals,
    /// Their membership.
    pub membership: &'a Membership,
    /// Units that are IN for some models and OUT for others: all selections are subsets.
    pub candidates: &'a [u32],
    /// The selections: rule, and the units that each half of the models selected.
    pub selections: &'a [(Rule, [Vec<u32>; 2])],
    /// Nulls to evaluate.
    pub nulls: &'a [Null],
    /// Ways to decide.
    pub decisions: &'a [Decision],
    /// The null and decision of the verdicts, for the counts per unit.
    pub headline: (Null, Decision),
    /// The selection whose rates are given at every cut-off of p.
    pub drawn: Rule,
    /// Non-members of the real target whose p-values its misfit is computed from: as many
    /// are taken of every reference model, since fewer are further from uniform by chance.
    pub misfit_sample: usize,
    /// The run's seed.
    pub seed: u64,
}

impl Protocol<'_> {
    /// Steps of the work.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.membership.models() + self.selections.len() * self.nulls.len()
    }
}

/// In how many of its IN targets a unit was found, and in how many of its OUT targets it was wrongly accused.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
pub struct Recurrence {
    /// Targets that were trained on the unit.
    pub in_targets: u32,
    /// Of those, the ones in which it was found.
    pub found: u32,
    /// Targets that were not.
    pub out_targets: u32,
    /// Of those, the ones in which it was accused.
    pub wrongly_accused: u32,
}

/// The outcome of the protocol.
#[derive(Clone, Debug)]
pub struct LeaveOneOut {
    /// Pooled over targets, by selection and null.
    pub evaluations: Vec<Evaluation>,
    /// Rates at every cut-off of p on the selection to be drawn, pooled over targets, by null.
    pub at_cutoffs: Vec<(Null, Vec<AtCutoff>)>,
    /// Per selection, aligned with the units that the first half selected (and on which the real target is tested).
    pub recurrence: Vec<(Rule, Vec<Recurrence>)>,
    /// Per target: how far its non-members' p-values (headline null, all candidates) are from uniform, by [`misfit`](super::misfit).
    pub misfit: Vec<f64>,
}

/// One accusation: who, in which target, rightly or not.
#[derive(Clone, Copy)]
struct Accusation {
    family: u32,
    unit: u32,
    is_member: bool,
    /// The first of the [`CUTOFFS`] at which it is made.
    from: u8,
}

/// What one target contributes to one selection and null.
struct Contribution {
    accusations: Vec<Vec<Accusation>>,
    members: u64,
    non_members: u64,
    figures: Option<[Option<f64>; RANKING_FIGURES]>,
    scores: Vec<(f64, Accusation)>,
    /// Tested members and non-members by the first cut-off that they keep to.
    first_cutoffs: [[u64; 2]; CUTOFFS.len()],
}

struct TargetOutcome {
    contributions: Vec<Contribution>,
    misfit: f64,
}

/// Runs the protocol.
///
/// `step` is called after each target, and after each selection and null (their intervals
/// take as long as many targets): [`Protocol::steps`] times.
pub fn run(protocol: &Protocol<'_>, step: impl Fn() + Sync) -> LeaveOneOut {
    let membership = protocol.membership;
    let halves = membership.halves();
    let prepared: Vec<DirectInference<'_>> = halves
        .iter()
        .map(|half| {
            DirectInference::new(
                protocol.signals,
                membership,
                protocol.candidates,
                half.clone(),
            )
        })
        .collect();
    let mut position_of = vec![u32::MAX; membership.units()];
    for (position, &unit) in protocol.candidates.iter().enumerate() {
        position_of[unit as usize] = position as u32;
    }
    let outcomes: Vec<TargetOutcome> = (0..membership.models())
        .into_par_iter()
        .map(|model| {
            let own_half = usize::from(halves[1].contains(&model));
            let outcome = attack_one(protocol, &prepared[own_half], &position_of, model, own_half);
            step();
            outcome
        })
        .collect();

    let mut evaluations = Vec::new();
    let mut at_cutoffs = Vec::new();
    for (selection_index, (rule, selected)) in protocol.selections.iter().enumerate() {
        let mut drawn: Option<([Vec<u32>; 2], Weights)> = None;
        for (null_index, &null) in protocol.nulls.iter().enumerate() {
            let index = selection_index * protocol.nulls.len() + null_index;
            let contributions: Vec<&Contribution> =
                outcomes.iter().map(|o| &o.contributions[index]).collect();
            // Units that cannot be tested count nowhere. Each loses one OUT model on every
            // target, so on which target does not matter. Nulls mostly agree on them.
            let tested: [Vec<u32>; 2] = std::array::from_fn(|selecting| {
                let inference = &prepared[1 - selecting];
                let testable = |unit: &u32| {
                    inference.models_out(position_of[*unit as usize] as usize)
                        > null.models_needed()
                };
                selected[selecting]
                    .iter()
                    .copied()
                    .filter(testable)
                    .collect()
            });
            if drawn.as_ref().is_none_or(|(units, _)| *units != tested) {
                let weights = Weights::draw(protocol, &tested);
                drawn = Some((tested, weights));
            }
            let Some((_, weights)) = &drawn else { continue };
            let evaluation = pool(protocol, *rule, null, &contributions, weights);
            if *rule == protocol.drawn {
                let sides = [evaluation.members, evaluation.non_members];
                at_cutoffs.push((null, rates_at_cutoffs(&contributions, sides, weights)));
            }
            evaluations.push(evaluation);
            step();
        }
    }
    LeaveOneOut {
        evaluations,
        at_cutoffs,
        recurrence: recurrences(protocol, &outcomes, &halves[1]),
        misfit: outcomes.iter().map(|o| o.misfit).collect(),
    }
}

fn attack_one(
    protocol: &Protocol<'_>,
    inference: &DirectInference<'_>,
    position_of: &[u32],
    model: usize,
    own_half: usize,
) -> TargetOutcome {
    let membership = protocol.membership;
    let target = protocol.signals.of_model(model);
    let left_out = LeftOut::Model(model);
    let mut contributions = Vec::new();
    for (_, selected) in protocol.selections {
        let units = &selected[1 - own_half];
        let positions: Vec<usize> = units
            .iter()
            .map(|&unit| position_of[unit as usize] as usize)
            .collect();
        for &null in protocol.nulls {
            let p = inference.p_values_of(&positions, null, &target, left_out);
            contributions.push(contribute(protocol, membership, units, &p, model));
        }
    }
    let headline = inference.p_values(protocol.headline.0, &target, left_out);
    let mut outside: Vec<f64> = protocol
        .candidates
        .iter()
        .zip(&headline)
        .filter(|&(&unit, p)| !p.is_nan() && !membership.is_in(model, unit as usize))
        .map(|(_, &p)| p)
        .collect();
    Stream::new(protocol.seed, "sample for misfit", model as u64).shuffle(&mut outside);
    outside.truncate(protocol.misfit_sample);
    TargetOutcome {
        contributions,
        misfit: super::misfit(&outside).unwrap_or(f64::NAN),
    }
}

fn contribute(
    protocol: &Protocol<'_>,
    membership: &Membership,
    units: &[u32],
    p: &[f64],
    model: usize,
) -> Contribution {
    let family = membership.family(model) as u32;
    let entry = |position: usize| Accusation {
        family,
        unit: units[position],
        is_member: membership.is_in(model, units[position] as usize),
        from: first_cutoff(p[position]),
    };
    let accusations = protocol
        .decisions
        .iter()
        .map(|decision| {
            let accused = decision.accuse(p);
            (0..units.len())
                .filter(|&i| accused[i])
                .map(entry)
                .collect()
        })
        .collect();
    let tested: Vec<(f64, Accusation)> = (0..units.len())
        .filter(|&i| !p[i].is_nan())
        .map(|i| (score(p[i]), entry(i)))
        .collect();
    let members = tested.iter().filter(|t| t.1.is_member).count() as u64;
    let scores: Vec<f64> = tested.iter().map(|t| t.0).collect();
    let is_member: Vec<bool> = tested.iter().map(|t| t.1.is_member).collect();
    let figures = Roc::new(&scores, &is_member)
        .ok()
        .map(|roc| figures_of_roc(&roc));
    let mut first_cutoffs = [[0; 2]; CUTOFFS.len()];
    for (_, entry) in &tested {
        first_cutoffs[usize::from(entry.from)][usize::from(!entry.is_member)] += 1;
    }
    let non_members = tested.len() as u64 - members;
    let keep = units.len() * protocol.membership.models() <= POOLED_AT_MOST;
    Contribution {
        accusations,
        members,
        non_members,
        figures,
        scores: if keep { tested } else { Vec::new() },
        first_cutoffs,
    }
}

/// Bootstrap weights of families and units, and the weighted numbers of members and non-members.
struct Weights {
    replicates: Vec<Replicate>,
    /// Independent pieces at most: the smaller of the numbers of families and of units.
    clusters: u64,
}

struct Replicate {
    families: Vec<f32>,
    units: Vec<f32>,
    members: f64,
    non_members: f64,
}

impl Weights {
    /// Draws families and units with replacement, the tested units of both halves' selections together.
    fn draw(protocol: &Protocol<'_>, tested: &[Vec<u32>; 2]) -> Self {
        let membership = protocol.membership;
        let families = membership.families();
        let mut pool: Vec<u32> = tested.iter().flatten().copied().collect();
        pool.sort_unstable();
        pool.dedup();
        let halves = membership.halves();
        let replicates = (0..REPLICATES)
            .into_par_iter()
            .map(|replicate| {
                let Drawn {
                    families: family_weights,
                    units: unit_weights,
                } = Drawn::new(
                    Stream::new(
                        protocol.seed,
                        "bootstrap over families and units",
                        replicate,
                    ),
                    families,
                    &pool,
                    membership.units(),
                );
                let (mut members, mut non_members) = (0.0, 0.0);
                for (own_half, half) in halves.iter().enumerate() {
                    let units = &tested[1 - own_half];
                    let all: f64 = units
                        .iter()
                        .map(|&u| f64::from(unit_weights[u as usize]))
                        .sum();
                    for model in half.clone() {
                        let weight = f64::from(family_weights[membership.family(model)]);
                        if weight == 0.0 {
                            continue;
                        }
                        // complements: what is IN for one is OUT for the other
                        let inside = if membership.family_size() == 2 {
                            all / 2.0
                        } else {
                            units
                                .iter()
                                .filter(|&&u| membership.is_in(model, u as usize))
                                .map(|&u| f64::from(unit_weights[u as usize]))
                                .sum()
                        };
                        members += weight * inside;
                        non_members += weight * (all - inside);
                    }
                }
                Replicate {
                    families: family_weights,
                    units: unit_weights,
                    members,
                    non_members,
                }
            })
            .collect();
        Self {
            replicates,
            clusters: families.min(pool.len()) as u64,
        }
    }
}

impl Replicate {
    fn weight(&self, entry: Accusation) -> f64 {
        f64::from(self.families[entry.family as usize] * self.units[entry.unit as usize])
    }
}

fn pool(
    protocol: &Protocol<'_>,
    selection: Rule,
    null: Null,
    contributions: &[&Contribution],
    weights: &Weights,
) -> Evaluation {
    let members: u64 = contributions.iter().map(|c| c.members).sum();
    let non_members: u64 = contributions.iter().map(|c| c.non_members).sum();
    let decisions = protocol
        .decisions
        .iter()
        .enumerate()
        .map(|(index, &decision)| {
            let by_target: Vec<&[Accusation]> = contributions
                .iter()
                .map(|c| c.accusations[index].as_slice())
                .collect();
            let family = |model: usize| protocol.membership.family(model);
            DecisionRates {
                false_discovery_rate: false_discovery_rate(&by_target, family, weights),
                ..decision_rates(decision, &by_target.concat(), members, non_members, weights)
            }
        })
        .collect();
    Evaluation {
        selection,
        null,
        tested: (members + non_members) as f64 / contributions.len() as f64,
        members,
        non_members,
        decisions,
        ranking: ranking(protocol, contributions, weights),
    }
}

fn decision_rates(
    decision: Decision,
    accusations: &[Accusation],
    members: u64,
    non_members: u64,
    weights: &Weights,
) -> DecisionRates {
    let right = accusations.iter().filter(|a| a.is_member).count() as f64;
    let wrong = accusations.len() as f64 - right;
    let replicates = weights
        .replicates
        .par_iter()
        .map(|replicate| {
            let mut sums = [0.0; 2];
            for &accusation in accusations {
                sums[usize::from(!accusation.is_member)] += replicate.weight(accusation);
            }
            [sums[0], sums[1], replicate.members, replicate.non_members]
        })
        .collect();
    let counted = Counted {
        counts: [right, wrong, members as f64, non_members as f64],
        replicates,
        clusters: weights.clusters,
        clusters_of_accusations: clusters(accusations),
    };
    let true_positive_rate = counted.true_positive_rate();
    let false_positive_rate = counted.false_positive_rate();
    DecisionRates {
        decision,
        accusations: accusations.len() as u64,
        wrong: wrong as u64,
        precision: counted.precision(),
        false_discovery_rate: Estimate::default(),
        predictive_value: PRIORS
            .iter()
            .map(|&prior| AtPrior {
                prior,
                value: if right > 0.0 && wrong > 0.0 {
                    counted.estimate(|[right, wrong, members, non]| {
                        ppv(ratio(right, members)?, ratio(wrong, non)?, prior)
                    })
                } else {
                    super::predictive_value(true_positive_rate, false_positive_rate, prior)
                },
            })
            .collect(),
        true_positive_rate,
        false_positive_rate,
    }
}

/// The rates at every cut-off of p, pooled over targets.
///
/// A replicate adds the weights of all that is tested once, by the first cut-off that each
/// keeps to; sums of those up to a cut-off are what is accused at it. Where scores are too
/// many to be kept the rates have no intervals.
fn rates_at_cutoffs(
    contributions: &[&Contribution],
    sides: [u64; 2],
    weights: &Weights,
) -> Vec<AtCutoff> {
    let mut kept: Vec<Accusation> = contributions
        .iter()
        .flat_map(|c| c.scores.iter().map(|&(_, entry)| entry))
        .collect();
    // The halves may have selected so differently that only one's are kept.
    if (kept.len() as u64) < sides[0] + sides[1] {
        kept.clear();
    }
    // Per replicate and cut-off: right and wrong accusations.
    let replicates: Vec<[[f64; 2]; CUTOFFS.len()]> = if kept.is_empty() {
        Vec::new()
    } else {
        let of_one = |replicate: &Replicate| {
            let mut sums = [[0.0; 2]; CUTOFFS.len()];
            for &entry in &kept {
                sums[usize::from(entry.from)][usize::from(!entry.is_member)] +=
                    replicate.weight(entry);
            }
            for place in 1..sums.len() {
                sums[place][0] += sums[place - 1][0];
                sums[place][1] += sums[place - 1][1];
            }
            sums
        };
        weights.replicates.par_iter().map(of_one).collect()
    };
    let clusters = clusters_by_cutoff(&kept);
    let [members, non_members] = sides;
    let mut counts = [0u64; 2];
    let mut curve: Vec<AtCutoff> = CUTOFFS
        .into_iter()
        .enumerate()
        .map(|(place, cutoff)| {
            for contribution in contributions {
                counts[0] += contribution.first_cutoffs[place][0];
                counts[1] += contribution.first_cutoffs[place][1];
            }
            let [right, wrong] = counts;
            let counted = Counted {
                counts: [right, wrong, members, non_members].map(|count| count as f64),
                replicates: replicates
                    .iter()
                    .zip(&weights.replicates)
                    .map(|(sums, r)| [sums[place][0], sums[place][1], r.members, r.non_members])
                    .collect(),
                clusters: weights.clusters,
                clusters_of_accusations: clusters[place],
            };
            // Without replicates there is nothing that few events could widen.
            let shown = |estimate: Estimate| {
                if replicates.is_empty() {
                    estimate.without_interval()
                } else {
                    estimate
                }
            };
            AtCutoff {
                cutoff,
                accusations: right + wrong,
                wrong,
                precision: shown(counted.precision()),
                true_positive_rate: shown(counted.true_positive_rate()),
                false_positive_rate: shown(counted.false_positive_rate()),
            }
            .certain()
        })
        .collect();
    nest(&mut curve);
    curve
}

/// [`clusters`] of what is accused at each cut-off.
fn clusters_by_cutoff(entries: &[Accusation]) -> [u64; CUTOFFS.len()] {
    let distinct = |of: fn(&Accusation) -> u32| {
        let most = entries
            .iter()
            .map(of)
            .max()
            .map_or(0, |most| most as usize + 1);
        let mut first = vec![u8::MAX; most];
        for entry in entries {
            let place = &mut first[of(entry) as usize];
            *place = entry.from.min(*place);
        }
        let mut counts = [0u64; CUTOFFS.len()];
        for from in first {
            if let Some(count) = counts.get_mut(usize::from(from)) {
                *count += 1;
            }
        }
        for place in 1..counts.len() {
            counts[place] += counts[place - 1];
        }
        counts
    };
    let (families, units) = (distinct(|a| a.family), distinct(|a| a.unit));
    std::array::from_fn(|place| families[place].min(units[place]))
}

/// The mean over targets of the share of accusations that are wrong, 0 where there is none.
fn false_discovery_rate(
    by_target: &[&[Accusation]],
    family: impl Fn(usize) -> usize,
    weights: &Weights,
) -> Estimate {
    let shares: Vec<(usize, f64)> = by_target
        .iter()
        .enumerate()
        .map(|(model, accusations)| {
            let wrong = accusations.iter().filter(|a| !a.is_member).count() as f64;
            (family(model), wrong / accusations.len().max(1) as f64)
        })
        .collect();
    let mean = |weight: &dyn Fn(usize) -> f64| {
        let total: f64 = shares.iter().map(|&(f, _)| weight(f)).sum();
        ratio(
            shares.iter().map(|&(f, share)| weight(f) * share).sum(),
            total,
        )
    };
    let estimate = Estimate::with_replicates(
        mean(&|_| 1.0),
        weights
            .replicates
            .iter()
            .filter_map(|replicate| mean(&|f| f64::from(replicate.families[f])))
            .collect(),
    );
    let targets_wrong = shares.iter().filter(|s| s.1 > 0.0).count() as f64;
    let events = [targets_wrong, shares.len() as f64 - targets_wrong];
    widened(estimate, events, weights.clusters)
}

/// Independent pieces in these accusations: no more than families, and no more than units.
fn clusters(accusations: &[Accusation]) -> u64 {
    let distinct = |of: fn(&Accusation) -> u32| {
        accusations
            .iter()
            .map(of)
            .collect::<std::collections::BTreeSet<u32>>()
            .len() as u64
    };
    distinct(|a| a.family).min(distinct(|a| a.unit))
}

/// Figures of the ranking: those of each target, averaged; what single targets have too few
/// members or non-members for is taken from the scores of all targets together.
fn ranking(protocol: &Protocol<'_>, contributions: &[&Contribution], weights: &Weights) -> Ranking {
    let family: Vec<usize> = (0..contributions.len())
        .map(|model| protocol.membership.family(model))
        .collect();
    let averaged = |index: usize| {
        let per_target: Vec<Option<f64>> = contributions
            .iter()
            .map(|c| c.figures.as_ref().and_then(|f| f[index]))
            .collect();
        let known: Vec<(usize, f64)> = per_target
            .iter()
            .enumerate()
            .filter_map(|(model, value)| Some((family[model], (*value)?)))
            .collect();
        if known.len() < contributions.len() {
            return None;
        }
        let mean = |weight: &dyn Fn(usize) -> f64| {
            let total: f64 = known.iter().map(|&(f, _)| weight(f)).sum();
            ratio(known.iter().map(|&(f, v)| weight(f) * v).sum(), total)
        };
        Some(Estimate::with_replicates(
            mean(&|_| 1.0),
            weights
                .replicates
                .iter()
                .filter_map(|r| mean(&|f| f64::from(r.families[f])))
                .collect(),
        ))
    };
    let pooled = pooled_figures(contributions, weights);
    let figure = |index: usize| averaged(index).unwrap_or(pooled[index]);
    Ranking::of(figure)
}

/// The figures of the ranking from the scores of all targets together.
fn pooled_figures(
    contributions: &[&Contribution],
    weights: &Weights,
) -> [Estimate; RANKING_FIGURES] {
    let mut entries: Vec<(f64, Accusation)> = contributions
        .iter()
        .flat_map(|c| c.scores.iter().copied())
        .collect();
    entries.sort_by(|a, b| b.0.total_cmp(&a.0));
    let non_members = entries.iter().filter(|e| !e.1.is_member).count() as f64;
    let values = figures_of(&entries, |_| 1.0);
    let replicates: Vec<[Option<f64>; RANKING_FIGURES]> = weights
        .replicates
        .par_iter()
        .map(|replicate| figures_of(&entries, |entry| replicate.weight(entry)))
        .collect();
    std::array::from_fn(|index| {
        if index >= 3 && !tells_at(CURVE_RATES[index - 3], non_members) {
            return Estimate::default();
        }
        let drawn = replicates.iter().filter_map(|r| r[index]).collect();
        match index {
            1 | 2 => Estimate::of_a_maximum(values[index], drawn),
            _ => Estimate::with_replicates(values[index], drawn),
        }
    })
}

/// The figures of weighted entries, sorted by falling score; ties go together.
fn figures_of(
    entries: &[(f64, Accusation)],
    weight: impl Fn(Accusation) -> f64,
) -> [Option<f64>; RANKING_FIGURES] {
    let side = |is_member: bool| -> f64 {
        entries
            .iter()
            .filter(|e| e.1.is_member == is_member)
            .map(|e| weight(e.1))
            .sum()
    };
    let (all_members, all_non_members) = (side(true), side(false));
    if all_members <= 0.0 || all_non_members <= 0.0 {
        return [None; RANKING_FIGURES];
    }
    let (mut right, mut wrong) = (0.0, 0.0);
    let (mut area, mut advantage) = (0.0, 0.0f64);
    let mut curve = CurveWalk::new(all_non_members);
    for tied in entries.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let (mut tied_right, mut tied_wrong) = (0.0, 0.0);
        for &(_, entry) in tied {
            *(if entry.is_member {
                &mut tied_right
            } else {
                &mut tied_wrong
            }) += weight(entry);
        }
        area += tied_wrong * (right + tied_right / 2.0);
        wrong += tied_wrong;
        curve.step(right, wrong);
        right += tied_right;
        advantage = advantage.max(right / all_members - wrong / all_non_members);
    }
    let curve = curve.end(all_members);
    std::array::from_fn(|index| {
        Some(match index {
            0 => area / (all_members * all_non_members),
            1 => advantage,
            2 => f64::midpoint(1.0, advantage),
            _ => curve[index - 3],
        })
    })
}

/// Counts per unit that the first half selected, over the targets of the second half.
fn recurrences(
    protocol: &Protocol<'_>,
    outcomes: &[TargetOutcome],
    targets: &std::ops::Range<usize>,
) -> Vec<(Rule, Vec<Recurrence>)> {
    let null = protocol
        .nulls
        .iter()
        .position(|&n| n == protocol.headline.0);
    let decision = protocol
        .decisions
        .iter()
        .position(|&d| d == protocol.headline.1);
    let (Some(null), Some(decision)) = (null, decision) else {
        return Vec::new();
    };
    protocol
        .selections
        .iter()
        .enumerate()
        .map(|(index, (rule, selected))| {
            let units = &selected[0];
            let mut position = vec![usize::MAX; protocol.membership.units()];
            for (i, &unit) in units.iter().enumerate() {
                position[unit as usize] = i;
            }
            let mut counts = vec![Recurrence::default(); units.len()];
            for model in targets.clone() {
                for (count, &unit) in counts.iter_mut().zip(units) {
                    if protocol.membership.is_in(model, unit as usize) {
                        count.in_targets += 1;
                    } else {
                        count.out_targets += 1;
                    }
                }
                let contribution =
                    &outcomes[model].contributions[index * protocol.nulls.len() + null];
                for accusation in &contribution.accusations[decision] {
                    let count = &mut counts[position[accusation.unit as usize]];
                    if accusation.is_member {
                        count.found += 1;
                    } else {
                        count.wrongly_accused += 1;
                    }
                }
            }
            (*rule, counts)
        })
        .collect()
}

#[cfg(test)]
mod tests;
