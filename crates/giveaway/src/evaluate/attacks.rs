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
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::leave_one_out::Recurrence;
pub use super::weighted::PREDICTIVE_RATE;
use super::weighted::{Entry, FIGURES, figures, sort, tells, within};
use super::{AtPrior, AtRate, CONFIDENCE, Estimate, LOW_RATES, PRIORS, Ranking};
use crate::attack::Scores;
use crate::attack::evidence::{Evidence, Real};
use crate::attack::method::{Attacker, Method, Parameters};

/// Bootstrap replicates.
const REPLICATES: u64 = 200;

/// Targets at most: their intervals are narrow enough by then.
const MOST_TARGETS: usize = 64;

/// Scores that are held at a time, of all attacks and targets together, at most.
const MOST_SCORES: usize = 8_000_000;

/// Targets at least, where there are as many models.
const FEWEST_TARGETS: usize = 8;

/// How well an attack ranks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Records that got a score, summed over targets.
    pub scored: u64,
    /// Records that could not be scored, summed over targets.
    pub unscored: u64,
    /// The ranking; thresholds of advantage and balanced accuracy are chosen on what is
    /// evaluated.
    pub ranking: Ranking,
    /// Share of accusations that would be right at a false-positive rate of [`PREDICTIVE_RATE`].
    pub predictive_value: Vec<AtPrior>,
}

/// A threshold chosen on reference models, and what it does to the target.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
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
    /// fewer than 1/f of them.
    pub thresholds: Vec<Option<f64>>,
    /// Per record: how often it is accused at the threshold of [`PREDICTIVE_RATE`].
    pub recurrence: Vec<Recurrence>,
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
    /// The models that play: whole families, the first ones.
    #[must_use]
    pub fn targets(&self) -> Vec<usize> {
        let each = self.evidence.records() * self.methods.len();
        let most = (MOST_SCORES / each.max(1)).clamp(FEWEST_TARGETS, MOST_TARGETS);
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

    /// Plays. `step` is called once for each target. An attack that cannot be made on a target
    /// (for want of models) scores nobody there.
    pub fn run(&self, step: impl Fn() + Sync) -> Vec<Played> {
        let targets = self.targets();
        let by_target: Vec<Vec<Vec<Entry>>> = targets
            .par_iter()
            .map(|&model| {
                let leave: Vec<usize> = (0..self.families.len())
                    .filter(|&other| self.families[other] == self.families[model])
                    .collect();
                let played = self.evidence.with_target(model, &leave);
                let attacker = Attacker::new(&played, self.parameters);
                let inside = self.evidence.inside[model];
                let entries = self
                    .methods
                    .iter()
                    .map(|&method| match attacker.score(method) {
                        Ok(scores) => entries(&scores.scores, inside, self.families[model]),
                        Err(_) => Vec::new(),
                    })
                    .collect();
                step();
                entries
            })
            .collect();
        let mut by_method: Vec<Vec<Vec<Entry>>> = vec![Vec::new(); self.methods.len()];
        for target in by_target {
            for (method, entries) in by_method.iter_mut().zip(target) {
                method.push(entries);
            }
        }
        let records = self.evidence.records();
        let weights = Weights::draw(self.seed, records, &self.families_of(&targets));
        self.methods
            .iter()
            .zip(by_method)
            .map(|(&method, entries)| {
                let (thresholds, recurrence) = self.thresholds(&targets, &entries);
                Played {
                    method,
                    quality: quality(&entries, records, &weights),
                    thresholds,
                    recurrence,
                }
            })
            .collect()
    }

    fn families_of(&self, targets: &[usize]) -> Vec<usize> {
        targets.iter().map(|&model| self.families[model]).collect()
    }

    /// Thresholds over the non-members of all targets, and who is accused at that of
    /// [`PREDICTIVE_RATE`].
    fn thresholds(
        &self,
        targets: &[usize],
        entries: &[Vec<Entry>],
    ) -> (Vec<Option<f64>>, Vec<Recurrence>) {
        let mut others: Vec<f64> = entries
            .iter()
            .flatten()
            .filter(|entry| !entry.is_member)
            .map(|entry| entry.score)
            .collect();
        others.sort_unstable_by(|a, b| b.total_cmp(a));
        let thresholds: Vec<Option<f64>> = LOW_RATES
            .iter()
            .map(|&rate| threshold(&others, rate))
            .collect();
        let mut recurrence = vec![Recurrence::default(); self.evidence.records()];
        for &model in targets {
            for (count, &inside) in recurrence.iter_mut().zip(self.evidence.inside[model]) {
                *(if inside {
                    &mut count.in_targets
                } else {
                    &mut count.out_targets
                }) += 1;
            }
        }
        if let Some(threshold) = threshold(&others, PREDICTIVE_RATE) {
            for entry in entries.iter().flatten().filter(|e| e.score >= threshold) {
                let count = &mut recurrence[entry.record as usize];
                *(if entry.is_member {
                    &mut count.found
                } else {
                    &mut count.wrongly_accused
                }) += 1;
            }
        }
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

fn entries(scores: &[f64], inside: &[bool], family: usize) -> Vec<Entry> {
    let mut entries: Vec<Entry> = scores
        .iter()
        .zip(inside)
        .enumerate()
        .filter(|(_, (score, _))| !score.is_nan())
        .map(|(record, (&score, &is_member))| Entry {
            score,
            record: record as u32,
            family: family as u32,
            is_member,
        })
        .collect();
    sort(&mut entries);
    entries
}

/// How well scores tell a target's members; `None` where members or non-members are missing
/// among those scored.
#[must_use]
pub fn on_target(scores: &Scores, is_member: &[bool], seed: u64) -> Quality {
    let entries = entries(&scores.scores, is_member, 0);
    let weights = Weights::draw(seed, is_member.len(), &[0]);
    quality(&[entries], is_member.len(), &weights)
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
struct Weights {
    replicates: Vec<(Vec<f32>, Vec<f32>)>,
}

impl Weights {
    /// Draws the families of the targets and all records with replacement. A single family is
    /// always drawn: there is nothing to see of other targets.
    fn draw(seed: u64, records: usize, families: &[usize]) -> Self {
        let mut distinct = families.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let size = distinct.last().map_or(0, |last| last + 1);
        let replicates = (0..REPLICATES)
            .into_par_iter()
            .map(|replicate| {
                let purpose = "bootstrap over targets and records";
                let mut stream = Stream::new(seed, purpose, replicate);
                let mut of_families = vec![0.0; size];
                for _ in 0..distinct.len() {
                    of_families[distinct[stream.below(distinct.len())]] += 1.0;
                }
                let mut of_records = vec![0.0; records];
                for _ in 0..records {
                    of_records[stream.below(records)] += 1.0;
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
    let fewest = by_target.iter().map(|e| non_members(e)).min().unwrap_or(0);
    let together = non_members(&by_target.concat());
    let own: Vec<bool> = (0..FIGURES).map(|i| tells(i, fewest)).collect();
    let pooled: Vec<Entry> = if (0..FIGURES).all(|i| own[i] || !tells(i, together)) {
        Vec::new()
    } else {
        let mut pooled = by_target.concat();
        sort(&mut pooled);
        pooled
    };
    let of = |family: &(dyn Fn(u32) -> f64 + Sync), record: &(dyn Fn(u32) -> f64 + Sync)| {
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
    let estimate = |i: usize| {
        let drawn = replicates.iter().filter_map(|figures| figures[i]).collect();
        Estimate::with_replicates(values[i], drawn)
    };
    let scored: usize = by_target.iter().map(Vec::len).sum();
    Quality {
        scored: scored as u64,
        unscored: (records * by_target.len() - scored) as u64,
        ranking: Ranking {
            auc: estimate(0),
            advantage: estimate(1),
            balanced_accuracy: estimate(2),
            at_rates: LOW_RATES
                .iter()
                .enumerate()
                .map(|(i, &rate)| AtRate {
                    false_positive_rate: rate,
                    true_positive_rate: estimate(3 + i),
                })
                .collect(),
        },
        predictive_value: PRIORS
            .iter()
            .enumerate()
            .map(|(i, &prior)| AtPrior {
                prior,
                value: estimate(3 + LOW_RATES.len() + i),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests;
