//! Indirect inference over reference models in the target's place: from p-values to rates and
//! to calibration (methods, sections 1.4 and 1.5).
//!
//! Targets share references, and one record is asked about on every target, so p-values are not
//! independent. Every interval is a percentile interval of a bootstrap over families (pairs of
//! complements) and over units at once, with the same draws for every test and number of
//! queries, so that these can be compared. Where events are few, it is widened as in
//! [`leave_one_out`](super::leave_one_out).

use giveaway_stats::random::Stream;
use rayon::prelude::*;

use super::bootstrap::{Counted, Drawn, REPLICATES};
use super::weighted::{Entry, figures, sort};
use super::{Estimate, LEVELS, score};
use crate::report::indirect::{CalibrationPoint, IndirectCalibration, IndirectRates, LevelRates};

/// Levels at which the share of non-members is given.
pub const CALIBRATION_LEVELS: [f64; 11] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 1.0,
];

/// Targets that were played and the records tested on them, with the draws of the bootstrap.
///
/// P-values and membership are matrices targets × records, row after row.
pub struct Played {
    families: Vec<u32>,
    units: Vec<u32>,
    is_member: Vec<bool>,
    replicates: Vec<Drawn>,
}

/// One tested record on one target.
#[derive(Clone, Copy)]
struct Tested {
    p: f64,
    family: u32,
    unit: u32,
    is_member: bool,
}

impl Played {
    /// From the family of each target, the unit of each record, and whether each record is a
    /// member of each target, targets × records. Numbers of families and units are any: only
    /// which are equal counts.
    ///
    /// # Panics
    /// If `is_member` is not targets × records.
    #[must_use]
    pub fn new(families: &[usize], units: &[u32], is_member: &[bool], seed: u64) -> Self {
        assert_eq!(
            is_member.len(),
            families.len() * units.len(),
            "membership is targets × records"
        );
        let (families, family_count) = renumbered(families);
        let (units, unit_count) = renumbered(units);
        let pool: Vec<u32> = (0..unit_count as u32).collect();
        let replicates = (0..REPLICATES)
            .into_par_iter()
            .map(|replicate| {
                let stream = Stream::new(seed, "bootstrap of indirect inference", replicate);
                Drawn::new(stream, family_count, &pool, unit_count)
            })
            .collect();
        Self {
            families,
            units,
            is_member: is_member.to_vec(),
            replicates,
        }
    }

    /// Number of targets.
    #[must_use]
    pub fn targets(&self) -> usize {
        self.families.len()
    }

    /// Rates at [`LEVELS`] and the area under the ROC curve, from p-values targets × records.
    /// Those that are `NaN` were not tested and count nowhere.
    ///
    /// # Panics
    /// If `p` is not targets × records.
    #[must_use]
    pub fn rates(&self, test: &str, queries: usize, p: &[f64]) -> IndirectRates {
        let tested = self.tested(p);
        let members = tested.iter().filter(|t| t.is_member).count() as u64;
        let non_members = tested.len() as u64 - members;
        let weighed = self.weighed(&tested);
        IndirectRates {
            test: test.to_owned(),
            queries,
            targets: self.targets(),
            members,
            non_members,
            levels: LEVELS
                .iter()
                .map(|&level| self.at_level(level, &tested, [members, non_members], &weighed))
                .collect(),
            auc: self.auc(&tested),
        }
    }

    /// The share of non-members with p ≤ level, at [`CALIBRATION_LEVELS`].
    ///
    /// # Panics
    /// If `p` is not targets × records.
    #[must_use]
    pub fn calibration(&self, test: &str, queries: usize, p: &[f64]) -> IndirectCalibration {
        let mut outside = self.tested(p);
        outside.retain(|t| !t.is_member);
        let weighed = self.weighed(&outside);
        let at = CALIBRATION_LEVELS
            .iter()
            .map(|&level| {
                let small = |t: &Tested| t.p <= level;
                let share = self.counted(&outside, [0, outside.len() as u64], &weighed, small);
                // At 1 it holds by definition, and nothing is estimated.
                let share = if level < 1.0 {
                    share.false_positive_rate()
                } else {
                    share.false_positive_rate().without_interval()
                };
                CalibrationPoint { level, share }
            })
            .collect();
        IndirectCalibration {
            test: test.to_owned(),
            queries,
            non_members: outside.len() as u64,
            at,
        }
    }

    fn tested(&self, p: &[f64]) -> Vec<Tested> {
        assert_eq!(
            p.len(),
            self.is_member.len(),
            "p-values are targets × records"
        );
        let records = self.units.len();
        (0..p.len())
            .filter(|&at| !p[at].is_nan())
            .map(|at| Tested {
                p: p[at],
                family: self.families[at / records],
                unit: self.units[at % records],
                is_member: self.is_member[at],
            })
            .collect()
    }

    /// The weighted numbers of members and non-members of each replicate.
    fn weighed(&self, tested: &[Tested]) -> Vec<[f64; 2]> {
        self.replicates
            .par_iter()
            .map(|drawn| sums(drawn, tested))
            .collect()
    }

    fn counted(
        &self,
        tested: &[Tested],
        sides: [u64; 2],
        weighed: &[[f64; 2]],
        is_accused: impl Fn(&Tested) -> bool + Sync,
    ) -> Counted {
        let accused: Vec<Tested> = tested.iter().copied().filter(&is_accused).collect();
        let right = accused.iter().filter(|t| t.is_member).count();
        Counted {
            counts: [
                right as f64,
                (accused.len() - right) as f64,
                sides[0] as f64,
                sides[1] as f64,
            ],
            replicates: self
                .replicates
                .par_iter()
                .zip(weighed)
                .map(|(drawn, &[members, non_members])| {
                    let [right, wrong] = sums(drawn, &accused);
                    [right, wrong, members, non_members]
                })
                .collect(),
            clusters: clusters(tested),
            clusters_of_accusations: clusters(&accused),
        }
    }

    fn at_level(
        &self,
        level: f64,
        tested: &[Tested],
        sides: [u64; 2],
        weighed: &[[f64; 2]],
    ) -> LevelRates {
        let counted = self.counted(tested, sides, weighed, |t| t.p < level);
        let [right, wrong, ..] = counted.counts;
        LevelRates {
            level,
            accusations: (right + wrong) as u64,
            wrong: wrong as u64,
            precision: counted.precision(),
            recall: counted.true_positive_rate(),
            false_positive_rate: counted.false_positive_rate(),
        }
    }

    fn auc(&self, tested: &[Tested]) -> Estimate {
        let mut entries: Vec<Entry> = tested
            .iter()
            .map(|t| Entry {
                score: score(t.p),
                record: t.unit,
                family: t.family as u16,
                is_member: t.is_member,
            })
            .collect();
        sort(&mut entries);
        let area = |weight: &dyn Fn(&Entry) -> f64| figures(&entries, weight)[0];
        let replicates = self
            .replicates
            .par_iter()
            .filter_map(|drawn| {
                area(&|e: &Entry| {
                    f64::from(
                        drawn.families[usize::from(e.family)] * drawn.units[e.record as usize],
                    )
                })
            })
            .collect();
        Estimate::with_replicates(area(&|_| 1.0), replicates)
    }
}

/// The weights of members and of non-members.
fn sums(drawn: &Drawn, tested: &[Tested]) -> [f64; 2] {
    let mut sums = [0.0; 2];
    for t in tested {
        let weight = drawn.families[t.family as usize] * drawn.units[t.unit as usize];
        sums[usize::from(!t.is_member)] += f64::from(weight);
    }
    sums
}

/// Independent pieces at most: the smaller of the numbers of families and of units.
fn clusters(tested: &[Tested]) -> u64 {
    let distinct = |of: fn(&Tested) -> u32| {
        let mut values: Vec<u32> = tested.iter().map(of).collect();
        values.sort_unstable();
        values.dedup();
        values.len() as u64
    };
    distinct(|t| t.family).min(distinct(|t| t.unit))
}

/// Each number's place among the distinct ones, and how many of those there are.
fn renumbered<T: Ord + Copy>(numbers: &[T]) -> (Vec<u32>, usize) {
    let mut distinct = numbers.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let place = |number: &T| distinct.partition_point(|d| d < number) as u32;
    (numbers.iter().map(place).collect(), distinct.len())
}

#[cfg(test)]
mod tests;
