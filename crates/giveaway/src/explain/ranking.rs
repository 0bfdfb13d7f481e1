//! How well a measure orders units by their leak: Spearman's correlation, and AUC, precision and
//! recall for finding the leakiest of them, with intervals by bootstrap over units.
//!
//! Values are sorted once; a replicate is a weight for each unit, and everything is a walk along
//! the sorted units with sums of weights. Ties share: a rank is the middle of its tied weight,
//! and of a tied group at a cut as large a part counts as fits.

use giveaway_stats::random::Stream;
use rayon::prelude::*;

use crate::evaluate::Estimate;

/// Bootstrap replicates.
const REPLICATES: u64 = 400;

/// With fewer leaky units than this, figures on finding them have no intervals.
const FEWEST_LEAKY: usize = 10;

/// Units with their leak, in the order in which measures have them.
#[derive(Clone, Debug)]
pub struct Leaks {
    /// In nats; every one is a number.
    pub leak: Vec<f64>,
    /// Whether each is among the leakiest.
    pub leaky: Vec<bool>,
    /// The smallest leak among these.
    pub threshold: Option<f64>,
    replicates: Vec<Vec<u16>>,
}

/// How well a measure finds the leak.
#[derive(Clone, Debug, PartialEq)]
pub struct Association {
    /// Units that have the measure.
    pub units: usize,
    /// Spearman's rank correlation.
    pub spearman: Estimate,
    /// Area under the ROC curve for the leakiest.
    pub auc: Estimate,
    /// Share of the leakiest among as many with the largest values.
    pub precision: Estimate,
    /// For each share reviewed, the share of the leakiest that is among them.
    pub found: Vec<Estimate>,
}

/// Sorted positions and where groups of equal values end.
struct Sorted {
    order: Vec<u32>,
    ends: Vec<u32>,
}

impl Sorted {
    /// The positions with a value, the largest value first.
    fn new(values: &[f64], among: &[u32]) -> Self {
        let mut order = among.to_vec();
        let value = |i: u32| values[i as usize] + 0.0;
        order.sort_by(|&a, &b| value(b).total_cmp(&value(a)).then(a.cmp(&b)));
        let mut ends = Vec::new();
        for (next, pair) in (1u32..).zip(order.windows(2)) {
            if value(pair[0]).total_cmp(&value(pair[1])).is_ne() {
                ends.push(next);
            }
        }
        if !order.is_empty() {
            ends.push(order.len() as u32);
        }
        Self { order, ends }
    }

    fn groups(&self) -> impl Iterator<Item = &[u32]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, &end)| &self.order[start as usize..end as usize])
    }

    /// Weighted ranks, the smallest value first.
    fn ranks(&self, weight: &impl Fn(u32) -> f64, ranks: &mut [f64]) {
        let mut above = 0.0;
        for group in self.groups() {
            let own: f64 = group.iter().map(|&i| weight(i)).sum();
            for &i in group {
                ranks[i as usize] = -(above + own / 2.0);
            }
            above += own;
        }
    }

    /// Weight of the leakiest among the first `budget` of the weight, for each budget.
    fn found(&self, weight: &impl Fn(u32) -> f64, leaky: &[bool], budgets: &[f64]) -> Vec<f64> {
        let mut found = vec![0.0; budgets.len()];
        let mut before = 0.0;
        for group in self.groups() {
            let (mut all, mut hit) = (0.0, 0.0);
            for &i in group {
                let w = weight(i);
                all += w;
                hit += if leaky[i as usize] { w } else { 0.0 };
            }
            if all > 0.0 {
                for (found, &budget) in found.iter_mut().zip(budgets) {
                    *found += hit * ((budget - before) / all).clamp(0.0, 1.0);
                }
            }
            before += all;
        }
        found
    }

    fn auc(&self, weight: &impl Fn(u32) -> f64, leaky: &[bool]) -> Option<f64> {
        let (mut hits, mut others, mut area) = (0.0, 0.0, 0.0);
        for group in self.groups() {
            let (mut hit, mut other) = (0.0, 0.0);
            for &i in group {
                *(if leaky[i as usize] {
                    &mut hit
                } else {
                    &mut other
                }) += weight(i);
            }
            area += other * (hits + hit / 2.0);
            hits += hit;
            others += other;
        }
        (hits > 0.0 && others > 0.0).then(|| area / (hits * others))
    }
}

fn correlation(x: &[f64], y: &[f64], among: &[u32], weight: &impl Fn(u32) -> f64) -> Option<f64> {
    let (mut total, mut mean_x, mut mean_y) = (0.0, 0.0, 0.0);
    for &i in among {
        let w = weight(i);
        total += w;
        mean_x += w * x[i as usize];
        mean_y += w * y[i as usize];
    }
    mean_x /= total;
    mean_y /= total;
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for &i in among {
        let w = weight(i);
        let (a, b) = (x[i as usize] - mean_x, y[i as usize] - mean_y);
        xx += w * a * a;
        yy += w * b * b;
        xy += w * a * b;
    }
    // Ranks of a constant are equal up to rounding.
    let smallest = 1e-9 * total;
    (xx > smallest && yy > smallest).then(|| (xy / (xx * yy).sqrt()).clamp(-1.0, 1.0))
}

/// The smallest leak among the `share` of these with the largest (at least one), ties at the cut
/// together as long as that does not make them more than twice as many; nothing without any.
#[must_use]
pub fn threshold(leak: &[f64], share: f64) -> Option<f64> {
    let wanted = ((share * leak.len() as f64).round() as usize).clamp(1, leak.len().max(1));
    let mut sorted = leak.to_vec();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    sorted.get(wanted - 1).copied().map(|cut| {
        let with_ties = sorted.iter().take_while(|&&x| x >= cut).count();
        if with_ties > 2 * wanted {
            // Such as saturated models whose gaps are all the same: only what is above.
            cut.next_up()
        } else {
            cut
        }
    })
}

impl Leaks {
    /// Units with these leaks; the leakiest are the `share` with the largest (at least one), ties
    /// at the cut together as long as that does not make them more than twice as many. The seed
    /// draws the replicates.
    ///
    /// # Panics
    /// If a leak is no number.
    #[must_use]
    pub fn new(leak: Vec<f64>, share: f64, seed: u64) -> Self {
        assert!(leak.iter().all(|x| !x.is_nan()), "leaks are numbers");
        let units = leak.len();
        let threshold = threshold(&leak, share);
        let leaky = leak
            .iter()
            .map(|&x| threshold.is_some_and(|cut| x >= cut))
            .collect();
        let replicates = (0..REPLICATES)
            .into_par_iter()
            .map(|replicate| {
                let mut stream = Stream::new(seed, "bootstrap of a ranking by leak", replicate);
                let mut weights = vec![0u16; units];
                for _ in 0..units {
                    let weight = &mut weights[stream.below(units)];
                    *weight = weight.saturating_add(1);
                }
                weights
            })
            .collect();
        Self {
            leak,
            leaky,
            threshold,
            replicates,
        }
    }

    /// Units.
    #[must_use]
    pub fn units(&self) -> usize {
        self.leak.len()
    }

    /// How many are the leakiest.
    #[must_use]
    pub fn leaky_units(&self) -> usize {
        self.leaky.iter().filter(|&&leaky| leaky).count()
    }

    /// How well `measure` (one value per unit, larger for more exposed; NaN where there is none)
    /// finds the leak; `reviewed` are shares of the units, the largest values first.
    ///
    /// # Panics
    /// If there are not as many values as units.
    #[must_use]
    pub fn associate(&self, measure: &[f64], reviewed: &[f64]) -> Association {
        assert_eq!(measure.len(), self.units(), "a value per unit");
        let among: Vec<u32> = (0..measure.len() as u32)
            .filter(|&i| !measure[i as usize].is_nan())
            .collect();
        let by_measure = Sorted::new(measure, &among);
        let by_leak = Sorted::new(&self.leak, &among);
        let figures =
            |weight: &dyn Fn(u32) -> f64| -> (Option<f64>, Option<f64>, Vec<Option<f64>>) {
                let weight = |i: u32| weight(i);
                let total: f64 = among.iter().map(|&i| weight(i)).sum();
                let hits: f64 = among
                    .iter()
                    .filter(|&&i| self.leaky[i as usize])
                    .map(|&i| weight(i))
                    .sum();
                let mut ranks = [vec![0.0; measure.len()], vec![0.0; measure.len()]];
                by_measure.ranks(&weight, &mut ranks[0]);
                by_leak.ranks(&weight, &mut ranks[1]);
                let budgets: Vec<f64> = std::iter::once(hits)
                    .chain(reviewed.iter().map(|share| share * total))
                    .collect();
                let found = by_measure.found(&weight, &self.leaky, &budgets);
                (
                    correlation(&ranks[0], &ranks[1], &among, &weight),
                    by_measure.auc(&weight, &self.leaky),
                    found
                        .iter()
                        .map(|found| (hits > 0.0).then(|| found / hits))
                        .collect(),
                )
            };
        let (spearman, auc, found) = figures(&|_| 1.0);
        let replicates: Vec<_> = self
            .replicates
            .par_iter()
            .map(|weights| figures(&|i| f64::from(weights[i as usize])))
            .collect();
        let mut found = found.into_iter().enumerate().map(|(which, value)| {
            let of = replicates.iter().filter_map(|r| r.2[which]).collect();
            Estimate::with_replicates(value, of)
        });
        let precision = found.next().unwrap_or_default();
        // The replicates keep who is leaky: of a few they show nearly no spread.
        let shown = |estimate: Estimate| {
            if self.leaky_units() < FEWEST_LEAKY {
                Estimate {
                    value: estimate.value,
                    ..Estimate::default()
                }
            } else {
                estimate
            }
        };
        Association {
            units: among.len(),
            spearman: Estimate::with_replicates(
                spearman,
                replicates.iter().filter_map(|r| r.0).collect(),
            ),
            auc: shown(Estimate::with_replicates(
                auc,
                replicates.iter().filter_map(|r| r.1).collect(),
            )),
            precision: shown(precision),
            found: found.map(shown).collect(),
        }
    }

    /// The mean over some of the units, with an interval by the same replicates; nothing without
    /// units.
    #[must_use]
    pub fn mean_of(&self, units: &[u32], value: impl Fn(u32) -> f64 + Sync) -> Estimate {
        let mean = |weight: &dyn Fn(u32) -> f64| {
            let (mut sum, mut total) = (0.0, 0.0);
            for &i in units {
                let w = weight(i);
                sum += w * value(i);
                total += w;
            }
            (total > 0.0).then(|| sum / total)
        };
        Estimate::with_replicates(
            mean(&|_| 1.0),
            self.replicates
                .par_iter()
                .filter_map(|weights| mean(&|i| f64::from(weights[i as usize])))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use giveaway_stats::roc::Roc;
    use giveaway_stats::summary::spearman;

    fn drawn(units: usize, seed: u64) -> (Vec<f64>, Vec<f64>) {
        let mut stream = Stream::new(seed, "test", 0);
        // Rounded, so that there are ties.
        let leak: Vec<f64> = (0..units)
            .map(|_| (stream.normal() * 4.0).round())
            .collect();
        let measure = leak
            .iter()
            .map(|x| (x + stream.normal() * 4.0).round())
            .collect();
        (leak, measure)
    }

    #[test]
    fn without_weights_the_figures_are_those_of_stats() {
        let (leak, measure) = drawn(300, 1);
        let leaks = Leaks::new(leak.clone(), 0.1, 7);
        let found = leaks.associate(&measure, &[0.25, 1.0]);
        let expected = spearman(&leak, &measure).unwrap().unwrap();
        assert!((found.spearman.value.unwrap() - expected).abs() < 1e-12);
        let roc = Roc::new(&measure, &leaks.leaky).unwrap();
        assert!((found.auc.value.unwrap() - roc.auc()).abs() < 1e-12);
        assert!((found.found[1].value.unwrap() - 1.0).abs() < 1e-12);
        for estimate in [found.spearman, found.auc, found.precision, found.found[0]] {
            let (value, low, high) = (
                estimate.value.unwrap(),
                estimate.lower.unwrap(),
                estimate.upper.unwrap(),
            );
            assert!(low < value && value < high, "{low} {value} {high}");
        }
    }

    /// A weight is a repetition: figures of weighted units are those of units that occur so often.
    #[test]
    fn a_replicate_is_the_data_with_repetitions() {
        let (leak, measure) = drawn(60, 2);
        let leaks = Leaks::new(leak.clone(), 0.1, 7);
        let weights = &leaks.replicates[3];
        let repeat = |values: &[f64]| -> Vec<f64> {
            let of = |i: usize| std::iter::repeat_n(values[i], usize::from(weights[i]));
            (0..values.len()).flat_map(of).collect()
        };
        let among: Vec<u32> = (0..60).collect();
        let weight = |i: u32| f64::from(weights[i as usize]);
        let mut ranks = [vec![0.0; 60], vec![0.0; 60]];
        let by_measure = Sorted::new(&measure, &among);
        by_measure.ranks(&weight, &mut ranks[0]);
        Sorted::new(&leak, &among).ranks(&weight, &mut ranks[1]);
        let found = correlation(&ranks[0], &ranks[1], &among, &weight).unwrap();
        let expected = spearman(&repeat(&leak), &repeat(&measure))
            .unwrap()
            .unwrap();
        assert!((found - expected).abs() < 1e-12);
        let leaky: Vec<bool> = (0..60)
            .flat_map(|i| std::iter::repeat_n(leaks.leaky[i], usize::from(weights[i])))
            .collect();
        let roc = Roc::new(&repeat(&measure), &leaky).unwrap();
        let area = by_measure.auc(&weight, &leaks.leaky).unwrap();
        assert!((area - roc.auc()).abs() < 1e-12);
    }

    /// Brute force: the mean over all ways to break ties, by drawing many.
    #[test]
    fn of_a_tied_group_at_the_cut_the_part_that_fits_counts() {
        let leaks = Leaks::new(vec![9.0, 1.0, 8.0, 2.0, 3.0], 0.4, 7);
        assert_eq!(leaks.leaky, [true, false, true, false, false]);
        // The first is found for sure, then one of three equal ones, one of which is leaky.
        let found = leaks.associate(&[5.0, 4.0, 4.0, 4.0, 1.0], &[]);
        assert!((found.precision.value.unwrap() - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn permuting_units_changes_no_value() {
        let (leak, measure) = drawn(200, 3);
        let turned = |values: &[f64]| -> Vec<f64> { values.iter().rev().copied().collect() };
        let value = |leak: Vec<f64>, measure: &[f64]| {
            let found = Leaks::new(leak, 0.05, 1).associate(measure, &[0.1]);
            [found.spearman, found.auc, found.precision, found.found[0]]
                .map(|e| (e.value.unwrap() * 1e9).round() as i64)
        };
        assert_eq!(
            value(leak.clone(), &measure),
            value(turned(&leak), &turned(&measure))
        );
    }

    #[test]
    fn measures_without_values_or_spread_have_no_figures() {
        let (leak, _) = drawn(50, 4);
        let leaks = Leaks::new(leak, 0.1, 1);
        let none = leaks.associate(&[f64::NAN; 50], &[0.1]);
        assert_eq!(
            (none.units, none.spearman.value, none.auc.value),
            (0, None, None)
        );
        let constant = leaks.associate(&[1.0; 50], &[0.1]);
        assert_eq!(constant.spearman.value, None);
        assert!((constant.auc.value.unwrap() - 0.5).abs() < 1e-12);
        assert!((constant.found[0].value.unwrap() - 0.1).abs() < 1e-9);
    }

    #[test]
    fn ties_at_the_cut_do_not_swell_the_leakiest() {
        let mut leak = vec![0.0; 100];
        leak[4] = 1.0;
        let leaks = Leaks::new(leak, 0.05, 1);
        assert_eq!(leaks.leaky_units(), 1);
        assert_eq!(Leaks::new(vec![0.0; 100], 0.05, 1).leaky_units(), 0);
        assert!(
            (leaks
                .mean_of(&[4, 5], |i| leaks.leak[i as usize])
                .value
                .unwrap()
                - 0.5)
                .abs()
                < 1e-12
        );
    }
}
