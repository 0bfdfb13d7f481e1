//! How well attacks tell members from non-members, on the target and on reference models in
//! its place.
//!
//! A reference model that plays the target leaves the references with its complement; every
//! statistic of an attack (pooled variances, priors, RMIA's a) is computed anew without both.
//! Unlike direct inference these attacks select nobody, so all other reference models serve.
//! Intervals are bootstrapped over families of targets and over records at once. On the
//! target itself there is one family, and they describe this model and these records only.

use giveaway_stats::interval::clopper_pearson;
use giveaway_stats::random::Stream;
use giveaway_stats::roc::ppv;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::leave_one_out::Recurrence;
pub use super::weighted::PREDICTIVE_RATE;
use super::weighted::{ACCUSED, Entry, FIGURES, figures, sort, tells, within};
use super::{AtPrior, CONFIDENCE, Estimate, LOW_RATES, PRIORS, Ranking};
use crate::attack::Scores;
use crate::attack::evidence::{Evidence, Real};
use crate::attack::method::{Attacker, Method, Parameters};

/// Bootstrap replicates.
const REPLICATES: u64 = 200;

/// Targets at most: their intervals are narrow enough by then.
const MOST_TARGETS: usize = 64;

/// Targets at least, where there are as many models: a bootstrap over a few families is too
/// sure of itself.
const FEWEST_TARGETS: usize = 32;

/// Scores of one attack over all targets, where that does not make the targets too few.
const SCORES_OF_AN_ATTACK: usize = 1_300_000;

/// Scores that are held at a time: attacks are made in groups that keep to it, one at least.
const SCORES_AT_A_TIME: usize = 8_000_000;

/// How well an attack ranks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quality {
    /// Records that got a score, summed over targets.
    pub scored: u64,
    /// Records that could not be scored, summed over targets.
    pub unscored: u64,
    /// The ranking; thresholds of advantage and balanced accuracy are chosen on what is
    /// evaluated.
    pub ranking: Ranking,
    /// Share of accusations that would be right at a false-positive rate of .01.
    pub predictive_value: Vec<AtPrior>,
}

/// A threshold chosen on reference models, and what it does to the target.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Carried {
    /// The false-positive rate aimed at.
    pub aimed_at: f64,
    /// The smallest threshold that keeps to it on the non-members of all played targets;
    /// records with at least this score are accused. Nothing where they are too few.
    pub threshold: Option<f64>,
    /// Share of the target's members that are accused.
    pub true_positive_rate: Estimate,
    /// Share of its non-members that are.
    pub false_positive_rate: Estimate,
}

/// An attack over many targets.
#[derive(Clone, Debug)]
pub struct Played {
    /// The attack.
    pub method: Method,
    /// How well it ranks.
    pub quality: Quality,
    /// Thresholds at [`LOW_RATES`] over the non-members of all targets; `None` where there are
    /// fewer than 1/f of them, or where not even a member reaches so high.
    pub thresholds: Vec<Option<f64>>,
    /// Per record: on how many targets it was scored, and how often accused at the threshold of
    /// [`PREDICTIVE_RATE`], where there is one.
    pub recurrence: Option<Vec<Recurrence>>,
    /// On how many targets the attack could not be made, and why on one of them.
    pub failed: Option<(usize, String)>,
}

/// Lets reference models play the target.
pub struct Protocol<'p, 'a, T> {
    /// Reference models and records that were IN some and OUT of others.
    pub evidence: &'p Evidence<'a, T>,
    /// The attacks.
    pub methods: &'p [Method],
    /// What they leave open.
    pub parameters: Parameters,
    /// Per model, its family: models that must not judge each other.
    pub families: &'p [usize],
    /// The run's seed.
    pub seed: u64,
}

impl<T: Real> Protocol<'_, '_, T> {
    /// The models that play: whole families, the first ones. Which they are does not depend
    /// on the attacks.
    #[must_use]
    pub fn targets(&self) -> Vec<usize> {
        let most = (SCORES_OF_AN_ATTACK / self.evidence.records().max(1))
            .clamp(FEWEST_TARGETS, MOST_TARGETS);
        let mut families: Vec<usize> = Vec::new();
        let mut targets = Vec::new();
        for (model, &family) in self.families.iter().enumerate() {
            if !families.contains(&family) {
                if targets.len() >= most {
                    continue;
                }
                families.push(family);
            }
            targets.push(model);
        }
        targets
    }

    /// Attacks that are made together, so that their scores fit.
    fn groups(&self) -> std::slice::Chunks<'_, Method> {
        let of_one = self.evidence.records() * self.targets().len();
        let together = (SCORES_AT_A_TIME / of_one.max(1)).max(1);
        self.methods.chunks(together)
    }

    /// Steps of the work.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.targets().len() * self.groups().len()
    }

    /// Plays. `step` is called [`Self::steps`] times. An attack that cannot be made on a target
    /// scores nobody there.
    pub fn run(&self, step: impl Fn() + Sync) -> Vec<Played> {
        let targets = self.targets();
        let families: Vec<usize> = targets.iter().map(|&model| self.families[model]).collect();
        let mut distinct = families.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let weights = Weights::draw(self.seed, self.evidence.records(), distinct.len());
        self.groups()
            .flat_map(|methods| self.play(methods, &targets, &distinct, &weights, &step))
            .collect()
    }

    fn play(
        &self,
        methods: &[Method],
        targets: &[usize],
        families: &[usize],
        weights: &Weights,
        step: &(impl Fn() + Sync),
    ) -> Vec<Played> {
        // Entries, or why there are none, by target and method.
        let by_target: Vec<Vec<Result<Vec<Entry>, String>>> = targets
            .par_iter()
            .map(|&model| {
                let family = self.families[model];
                let leave: Vec<usize> = (0..self.families.len())
                    .filter(|&other| self.families[other] == family)
                    .collect();
                let played = self.evidence.with_target(model, &leave);
                let attacker = Attacker::new(&played, self.parameters);
                let inside = self.evidence.inside[model];
                let place = families.partition_point(|&other| other < family) as u16;
                let entries = methods
                    .iter()
                    .map(|&method| match attacker.score(method) {
                        Ok(scores) => Ok(entries(&scores.scores, inside, place)),
                        Err(error) => Err(error.to_string()),
                    })
                    .collect();
                step();
                entries
            })
            .collect();
        let mut by_method: Vec<Vec<Result<Vec<Entry>, String>>> = vec![Vec::new(); methods.len()];
        for target in by_target {
            for (method, entries) in by_method.iter_mut().zip(target) {
                method.push(entries);
            }
        }
        methods
            .iter()
            .zip(by_method)
            .map(|(&method, outcomes)| {
                let mut failed: Option<(usize, String)> = None;
                let mut played = Vec::new();
                for outcome in outcomes {
                    match outcome {
                        Ok(entries) => played.push(entries),
                        Err(error) => failed.get_or_insert((0, error)).0 += 1,
                    }
                }
                let (thresholds, recurrence) = self.thresholds(&played);
                Played {
                    method,
                    quality: quality(&played, self.evidence.records(), weights),
                    thresholds,
                    recurrence,
                    failed,
                }
            })
            .collect()
    }

    /// Thresholds over the non-members of all targets, and who is accused at that of
    /// [`PREDICTIVE_RATE`].
    fn thresholds(&self, entries: &[Vec<Entry>]) -> (Vec<Option<f64>>, Option<Vec<Recurrence>>) {
        let mut others: Vec<f64> = entries
            .iter()
            .flatten()
            .filter(|entry| !entry.is_member)
            .map(|entry| entry.score)
            .collect();
        others.sort_unstable_by(|a, b| b.total_cmp(a));
        // Where the highest score is shared by too many there is no threshold but one that
        // nobody reaches here: a floor of p-values, which another target has elsewhere.
        let highest = entries.iter().filter_map(|of_target| of_target.first());
        let highest = highest.map(|e| e.score).fold(f64::NEG_INFINITY, f64::max);
        let reached = |rate| threshold(&others, rate).filter(|&threshold| threshold <= highest);
        let thresholds = LOW_RATES.iter().map(|&rate| reached(rate)).collect();
        let recurrence = reached(PREDICTIVE_RATE).map(|threshold| {
            let mut counts = vec![Recurrence::default(); self.evidence.records()];
            for entry in entries.iter().flatten() {
                let count = &mut counts[entry.record as usize];
                let accused = u32::from(entry.score >= threshold);
                if entry.is_member {
                    count.in_targets += 1;
                    count.found += accused;
                } else {
                    count.out_targets += 1;
                    count.wrongly_accused += accused;
                }
            }
            counts
        });
        (thresholds, recurrence)
    }
}

/// The smallest threshold at which at most a share `rate` of these scores, sorted downwards,
/// is accused: just above the first that is one too many.
fn threshold(sorted: &[f64], rate: f64) -> Option<f64> {
    if !within(1.0, rate, sorted.len() as f64) {
        return None;
    }
    let allowed = (rate * sorted.len() as f64 * (1.0 + 1e-12)).floor() as usize;
    match sorted.get(allowed) {
        None => sorted.last().copied(),
        Some(&barred) => Some(barred.next_up()),
    }
}

pub(super) fn entries(scores: &[f64], inside: &[bool], family: u16) -> Vec<Entry> {
    let mut entries: Vec<Entry> = scores
        .iter()
        .zip(inside)
        .enumerate()
        .filter(|(_, (score, _))| !score.is_nan())
        .map(|(record, (&score, &is_member))| Entry {
            score,
            record: record as u32,
            family,
            is_member,
        })
        .collect();
    sort(&mut entries);
    entries
}

/// Judges scores of one target against its members.
pub struct Judge<'a> {
    is_member: &'a [bool],
    weights: Weights,
}

impl<'a> Judge<'a> {
    /// For a target of which every record's membership is known.
    #[must_use]
    pub fn new(is_member: &'a [bool], seed: u64) -> Self {
        Self {
            is_member,
            weights: Weights::draw(seed, is_member.len(), 1),
        }
    }

    /// How well scores tell its members; figures are missing where members or non-members are,
    /// among those scored.
    #[must_use]
    pub fn judge(&self, scores: &Scores) -> Quality {
        let entries = entries(&scores.scores, self.is_member, 0);
        quality(&[entries], self.is_member.len(), &self.weights)
    }
}

/// What a threshold from elsewhere does to a target.
#[must_use]
pub fn carry(
    threshold: Option<f64>,
    aimed_at: f64,
    scores: &Scores,
    is_member: &[bool],
) -> Carried {
    let rate = |member: bool| {
        let threshold = threshold?;
        let of: Vec<f64> = scores
            .scores
            .iter()
            .zip(is_member)
            .filter(|(score, m)| **m == member && !score.is_nan())
            .map(|(&score, _)| score)
            .collect();
        if of.is_empty() {
            return None;
        }
        let accused = of.iter().filter(|&&score| score >= threshold).count() as u64;
        let interval = clopper_pearson(accused, of.len() as u64, CONFIDENCE);
        Some(Estimate {
            value: Some(accused as f64 / of.len() as f64),
            lower: Some(interval.lower),
            upper: Some(interval.upper),
        })
    };
    Carried {
        aimed_at,
        threshold,
        true_positive_rate: rate(true).unwrap_or_default(),
        false_positive_rate: rate(false).unwrap_or_default(),
    }
}

/// Bootstrap weights of families and records, by replicate.
pub(super) struct Weights {
    pub(super) replicates: Vec<(Vec<f32>, Vec<u8>)>,
}

impl Weights {
    /// Draws families of targets and all records with replacement. A single family is always
    /// drawn: there is nothing to see of other targets.
    pub(super) fn draw(seed: u64, records: usize, families: usize) -> Self {
        let replicates = (0..REPLICATES)
            .into_par_iter()
            .map(|replicate| {
                let purpose = "bootstrap over targets and records";
                let mut stream = Stream::new(seed, purpose, replicate);
                let mut of_families = vec![0.0; families];
                for _ in 0..families {
                    of_families[stream.below(families)] += 1.0;
                }
                let mut of_records = vec![0u8; records];
                for _ in 0..records {
                    // 255 of one record are never drawn
                    let weight = &mut of_records[stream.below(records)];
                    *weight = weight.saturating_add(1);
                }
                (of_families, of_records)
            })
            .collect();
        Self { replicates }
    }
}

/// Figures of each target, averaged over targets; those that single targets have too few
/// non-members for are of the entries of all targets together.
fn quality(by_target: &[Vec<Entry>], records: usize, weights: &Weights) -> Quality {
    let non_members = |entries: &[Entry]| entries.iter().filter(|e| !e.is_member).count();
    let each: Vec<usize> = by_target.iter().map(|e| non_members(e)).collect();
    let fewest = each.iter().copied().min().unwrap_or(0);
    let together: usize = each.iter().sum();
    let own: Vec<bool> = (0..FIGURES).map(|i| tells(i, fewest)).collect();
    let pooled: Vec<Entry> = if (0..FIGURES).all(|i| own[i] || !tells(i, together)) {
        Vec::new()
    } else {
        let mut pooled = by_target.concat();
        sort(&mut pooled);
        pooled
    };
    let of = |family: &(dyn Fn(u16) -> f64 + Sync), record: &(dyn Fn(u32) -> f64 + Sync)| {
        let mut sums = [(0.0, 0.0); FIGURES];
        for entries in by_target {
            let Some(weight) = entries.first().map(|e| family(e.family)) else {
                continue;
            };
            if weight > 0.0 {
                let found = figures(entries, |e| record(e.record));
                for (sum, figure) in sums.iter_mut().zip(found) {
                    if let Some(figure) = figure {
                        *sum = (sum.0 + weight * figure, sum.1 + weight);
                    }
                }
            }
        }
        let of_pooled = if pooled.is_empty() {
            [None; FIGURES]
        } else {
            figures(&pooled, |e| family(e.family) * record(e.record))
        };
        let figure = |i: usize| {
            if own[i] {
                (sums[i].1 > 0.0).then(|| sums[i].0 / sums[i].1)
            } else if tells(i, together) {
                of_pooled[i]
            } else {
                None
            }
        };
        std::array::from_fn::<Option<f64>, FIGURES, _>(figure)
    };
    let values = of(&|_| 1.0, &|_| 1.0);
    let replicates: Vec<[Option<f64>; FIGURES]> = weights
        .replicates
        .par_iter()
        .map(|(families, records)| {
            of(&|family| f64::from(families[family as usize]), &|record| {
                f64::from(records[record as usize])
            })
        })
        .collect();
    let drawn = |i: usize| replicates.iter().filter_map(|figures| figures[i]).collect();
    let estimate = |i: usize| Estimate::with_replicates(values[i], drawn(i));
    let maximum = |i: usize| Estimate::of_a_maximum(values[i], drawn(i));
    let predictive = |prior: f64| {
        let of =
            |figures: &[Option<f64>; FIGURES]| ppv(figures[ACCUSED]?, figures[ACCUSED + 1]?, prior);
        Estimate::of_a_maximum(of(&values), replicates.iter().filter_map(of).collect())
    };
    let scored: usize = by_target.iter().map(Vec::len).sum();
    Quality {
        scored: scored as u64,
        unscored: (records * by_target.len() - scored) as u64,
        ranking: Ranking::of(|index| match index {
            1 | 2 => maximum(index),
            _ => estimate(index),
        }),
        predictive_value: PRIORS
            .iter()
            .map(|&prior| AtPrior {
                prior,
                value: predictive(prior),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests;
