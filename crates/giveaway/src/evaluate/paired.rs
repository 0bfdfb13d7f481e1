//! The same figures of two recipes on the same targets and records, and the interval of their
//! difference.
//!
//! Figures are bootstrapped over families of targets and over records at once. All recipes share
//! the draws of a seed, so that the difference of two replicates with one number is a replicate
//! of the difference: what makes a target or a record easy for an attack before and after falls
//! out.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::attacks::Weights;
use super::weighted::{Entry, sort, within};
use super::{Estimate, tells_at};

/// Figures of an attack that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Area under the ROC curve.
    Auc,
    /// Largest TPR − FPR.
    Advantage,
    /// True-positive rate at a false-positive rate of .1.
    AtTenPercent,
    /// At .01.
    AtOnePercent,
    /// At .001.
    AtOneInThousand,
    /// Share of the targets trained on them in which marked records are accused, at a
    /// false-positive rate of .01 *among them*, over all targets together: a record that is accused
    /// whether a target was trained on it or not is not found.
    MarkedFound,
    /// Share of the other targets in which they are, at the same threshold.
    MarkedAccused,
    /// Area under the ROC curve of the marked records alone, over all targets together.
    MarkedAuc,
}

/// All figures, in the order in which they are stored.
const FIGURES: [Figure; 8] = [
    Figure::Auc,
    Figure::Advantage,
    Figure::AtTenPercent,
    Figure::AtOnePercent,
    Figure::AtOneInThousand,
    Figure::MarkedFound,
    Figure::MarkedAccused,
    Figure::MarkedAuc,
];

/// Rates of [`Figure::AtTenPercent`] and those after it.
const RATES: [f64; 3] = [0.1, 0.01, 0.001];

/// The rate at which records are accused.
const ACCUSED_AT: usize = 1;

/// Figures that one walk over scores gives.
const OF_A_WALK: usize = 6;

type Values = [Option<f64>; FIGURES.len()];

/// A figure of the data and of every bootstrap replicate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replicated {
    /// Of the data.
    pub value: Option<f64>,
    /// Of the replicates, in their order.
    pub replicates: Vec<Option<f64>>,
}

impl Replicated {
    /// With the percentile interval of the replicates.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        Estimate::with_replicates(
            self.value,
            self.replicates.iter().copied().flatten().collect(),
        )
    }

    /// As [`Self::estimate`], of a maximum over thresholds, whose replicates are too large.
    #[must_use]
    pub fn estimate_of_a_maximum(&self) -> Estimate {
        Estimate::of_a_maximum(
            self.value,
            self.replicates.iter().copied().flatten().collect(),
        )
    }

    /// This one less `before`, replicate by replicate; of a figure that is missing on either side
    /// nothing.
    #[must_use]
    pub fn less(&self, before: &Self) -> Self {
        let minus = |a: Option<f64>, b: Option<f64>| Some(a? - b?);
        Self {
            value: minus(self.value, before.value),
            replicates: self
                .replicates
                .iter()
                .zip(&before.replicates)
                .map(|(&a, &b)| minus(a, b))
                .collect(),
        }
    }
}

/// The figures of one attack on one recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    figures: Vec<Replicated>,
}

impl Compared {
    /// One of the figures.
    #[must_use]
    pub fn figure(&self, figure: Figure) -> &Replicated {
        &self.figures[figure as usize]
    }
}

/// What makes a part of targets and records.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    /// Which families count.
    pub families: &'a [bool],
    /// Which records count.
    pub records: &'a [bool],
}

/// Bootstrap draws that recipes share.
pub struct Draws {
    weights: Weights,
    records: usize,
}

impl Draws {
    /// For so many records and families of targets.
    #[must_use]
    pub fn new(seed: u64, records: usize, families: usize) -> Self {
        Self {
            weights: Weights::draw(seed, records, families),
            records,
        }
    }

    /// Bootstraps a figure that is a ratio of sums over targets and records: `of` gets the weight
    /// of each family and each record.
    pub fn replicate(
        &self,
        of: impl Fn(&dyn Fn(usize) -> f64, &dyn Fn(usize) -> f64) -> Option<f64> + Sync,
    ) -> Replicated {
        Replicated {
            value: of(&|_| 1.0, &|_| 1.0),
            replicates: self
                .weights
                .replicates
                .par_iter()
                .map(|(families, records)| {
                    of(&|family| f64::from(families[family]), &|record| {
                        f64::from(records[record])
                    })
                })
                .collect(),
        }
    }
}

/// Scores of an attack on one target after the other.
#[derive(Clone, Debug, Default)]
pub struct ScoredTargets {
    targets: Vec<Vec<Entry>>,
}

/// How often a record was accused, by whether the target was trained on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accused {
    /// Targets trained on the record.
    pub in_targets: u32,
    /// Of those, the ones in which it was accused.
    pub found: u32,
    /// The other targets.
    pub out_targets: u32,
    /// Of those, the ones in which it was.
    pub wrongly: u32,
}

impl Accused {
    fn count(&mut self, entry: &Entry, accused: bool) {
        let accused = u32::from(accused);
        if entry.is_member {
            self.in_targets += 1;
            self.found += accused;
        } else {
            self.out_targets += 1;
            self.wrongly += accused;
        }
    }

    /// Whether it was found in more than half of the targets trained on it.
    #[must_use]
    pub fn mostly_found(self) -> bool {
        2 * self.found > self.in_targets
    }
}

impl ScoredTargets {
    /// Takes the scores of all records on one target of a family, `NaN` where there is none;
    /// `inside` says which of them it was trained on.
    pub fn add(&mut self, scores: &[f64], inside: &[bool], family: usize) {
        self.targets
            .push(super::attacks::entries(scores, inside, family as u16));
    }

    /// How often each of the marked records is accused at the threshold of
    /// [`Figure::MarkedFound`]; the others have zeros.
    #[must_use]
    pub fn accused_among(&self, marked: &[bool]) -> Vec<Accused> {
        let entries = self.pooled(&|entry| marked[entry.record as usize]);
        let cut = accused_entries(&entries);
        let mut counts = vec![Accused::default(); marked.len()];
        for (place, entry) in entries.iter().enumerate() {
            counts[entry.record as usize].count(entry, place < cut);
        }
        counts
    }

    /// How often each record is accused at a false-positive rate of .01 over all records: of each
    /// target where its non-members are enough, else of all targets together.
    #[must_use]
    pub fn accused(&self, records: usize) -> Vec<Accused> {
        let mut counts = vec![Accused::default(); records];
        let fewest = self.fewest_non_members(&|_| true);
        let own = tells_at(RATES[ACCUSED_AT], fewest);
        let pooled = if own {
            None
        } else {
            Some(self.pooled(&|_| true))
        };
        let common = pooled.as_ref().map(|entries| {
            let cut = accused_entries(entries);
            entries[..cut]
                .last()
                .map_or(f64::INFINITY, |entry| entry.score)
        });
        for entries in &self.targets {
            let cut = match common {
                None => accused_entries(entries),
                Some(threshold) => entries.partition_point(|entry| entry.score >= threshold),
            };
            for (place, entry) in entries.iter().enumerate() {
                counts[entry.record as usize].count(entry, place < cut);
            }
        }
        counts
    }

    fn fewest_non_members(&self, keep: &dyn Fn(&Entry) -> bool) -> f64 {
        let count = |entries: &Vec<Entry>| {
            entries
                .iter()
                .filter(|entry| !entry.is_member && keep(entry))
                .count()
        };
        let counts = self.targets.iter().map(count);
        counts.filter(|&n| n > 0).min().unwrap_or(0) as f64
    }

    fn pooled(&self, keep: &dyn Fn(&Entry) -> bool) -> Vec<Entry> {
        let mut entries: Vec<Entry> = self
            .targets
            .iter()
            .flatten()
            .filter(|entry| keep(entry))
            .copied()
            .collect();
        sort(&mut entries);
        entries
    }

    /// The figures in a part of targets and records. `marked` are the records of
    /// [`Figure::MarkedFound`] and those after it.
    ///
    /// A figure is the mean over targets where each has enough non-members for it, and else of
    /// all scores together.
    ///
    /// # Panics
    /// If `marked` or the part know other records than the draws.
    #[must_use]
    pub fn compare(&self, marked: &[bool], part: Part<'_>, draws: &Draws) -> Compared {
        assert_eq!(
            (marked.len(), part.records.len()),
            (draws.records, draws.records)
        );
        let keep = |entry: &Entry| {
            part.families[entry.family as usize] && part.records[entry.record as usize]
        };
        let kept: Vec<Vec<Entry>> = self
            .targets
            .iter()
            .map(|entries| entries.iter().filter(|e| keep(e)).copied().collect())
            .filter(|entries: &Vec<Entry>| !entries.is_empty())
            .collect();
        let fewest = self.fewest_non_members(&keep);
        let own: [bool; RATES.len()] = RATES.map(|rate| tells_at(rate, fewest));
        let pooled = if own.iter().all(|&own| own) {
            Vec::new()
        } else {
            self.pooled(&keep)
        };
        let together = pooled.iter().filter(|entry| !entry.is_member).count() as f64;
        let tells: [bool; RATES.len()] =
            std::array::from_fn(|i| own[i] || tells_at(RATES[i], together));
        let of_marked = self.pooled(&|entry| keep(entry) && marked[entry.record as usize]);
        let others = of_marked.iter().filter(|entry| !entry.is_member).count() as f64;
        let marked_tell = tells_at(RATES[ACCUSED_AT], others);
        let of = |family: &dyn Fn(usize) -> f64, record: &dyn Fn(usize) -> f64| -> Values {
            let mut sums = [(0.0, 0.0); OF_A_WALK];
            for entries in &kept {
                let weight = family(entries[0].family as usize);
                if weight > 0.0 {
                    let found = walk(entries, |entry| record(entry.record as usize));
                    for (sum, figure) in sums.iter_mut().zip(found) {
                        if let Some(figure) = figure {
                            *sum = (sum.0 + weight * figure, sum.1 + weight);
                        }
                    }
                }
            }
            let together = |entries: &[Entry]| {
                if entries.is_empty() {
                    return [None; OF_A_WALK];
                }
                walk(entries, |entry| {
                    family(entry.family as usize) * record(entry.record as usize)
                })
            };
            let of_pooled = together(&pooled);
            let of_marked = together(&of_marked);
            let mean = |i: usize| (sums[i].1 > 0.0).then(|| sums[i].0 / sums[i].1);
            FIGURES.map(|figure| match figure {
                Figure::Auc => mean(0),
                Figure::Advantage => mean(1),
                Figure::AtTenPercent | Figure::AtOnePercent | Figure::AtOneInThousand => {
                    let rate = figure as usize - Figure::AtTenPercent as usize;
                    match (own[rate], tells[rate]) {
                        (true, _) => mean(figure as usize),
                        (false, true) => of_pooled[figure as usize],
                        (false, false) => None,
                    }
                }
                Figure::MarkedFound => of_marked[3].filter(|_| marked_tell),
                Figure::MarkedAccused => of_marked[5].filter(|_| marked_tell),
                Figure::MarkedAuc => of_marked[0],
            })
        };
        let values = of(&|_| 1.0, &|_| 1.0);
        let replicates: Vec<Values> = draws
            .weights
            .replicates
            .par_iter()
            .map(|(families, records)| {
                of(&|family| f64::from(families[family]), &|record| {
                    f64::from(records[record])
                })
            })
            .collect();
        Compared {
            figures: (0..FIGURES.len())
                .map(|i| Replicated {
                    value: values[i],
                    replicates: replicates.iter().map(|values| values[i]).collect(),
                })
                .collect(),
        }
    }
}

/// Entries, of those sorted, that are accused at a false-positive rate of .01; ties go together.
fn accused_entries(entries: &[Entry]) -> usize {
    let others = entries.iter().filter(|entry| !entry.is_member).count() as f64;
    let (mut next, mut wrong, mut cut) = (0, 0.0, 0);
    while next < entries.len() {
        let score = entries[next].score;
        while next < entries.len() && entries[next].score >= score {
            wrong += f64::from(u8::from(!entries[next].is_member));
            next += 1;
        }
        if !within(wrong, RATES[ACCUSED_AT], others) {
            break;
        }
        cut = next;
    }
    cut
}

/// Figures of sorted entries: those up to [`Figure::AtOneInThousand`], and the share of the
/// non-members that are accused where one of .01 is allowed. Ties go together.
fn walk(entries: &[Entry], weight: impl Fn(&Entry) -> f64) -> [Option<f64>; OF_A_WALK] {
    let (mut members, mut others) = (0.0, 0.0);
    for entry in entries {
        *(if entry.is_member {
            &mut members
        } else {
            &mut others
        }) += weight(entry);
    }
    if members <= 0.0 || others <= 0.0 {
        return [None; OF_A_WALK];
    }
    let (mut right, mut wrong) = (0.0, 0.0);
    let (mut area, mut advantage) = (0.0, 0.0f64);
    let mut at_rates = [0.0; RATES.len()];
    let mut accused = 0.0;
    let mut next = 0;
    while next < entries.len() {
        let score = entries[next].score;
        let mut tied = [0.0; 2];
        while next < entries.len() && entries[next].score >= score {
            let entry = &entries[next];
            tied[usize::from(!entry.is_member)] += weight(entry);
            next += 1;
        }
        area += tied[1] * (right + tied[0] / 2.0);
        right += tied[0];
        wrong += tied[1];
        advantage = advantage.max(right / members - wrong / others);
        for (rate, best) in RATES.into_iter().zip(&mut at_rates) {
            if within(wrong, rate, others) {
                *best = right / members;
            }
        }
        if within(wrong, RATES[ACCUSED_AT], others) {
            accused = wrong / others;
        }
    }
    [
        Some(area / (members * others)),
        Some(advantage),
        Some(at_rates[0]),
        Some(at_rates[1]),
        Some(at_rates[2]),
        Some(accused),
    ]
}

#[cfg(test)]
mod tests;
