//! Who carries the risk: exposure over the classes and over the values of columns.

use std::collections::BTreeMap;

use giveaway_stats::distribution::chi_square_sf;
use giveaway_stats::interval::clopper_pearson;
use giveaway_stats::random::Stream;
use giveaway_stats::summary::quantile;
use rayon::prelude::*;

use super::ranking::Leaks;
use super::words::short;
use crate::dataset::table::MISSING;
use crate::dataset::{Body, Table, Values};
use crate::evaluate::Estimate;
use crate::report::explanation::{ColumnExposure, GroupExposure};

/// Values of a column that are told apart; the rarest beyond are taken together.
const MOST_VALUES: usize = 12;

/// Columns that are shown beside those that were asked for.
const SHOWN: usize = 3;

/// Columns above this p-value (times the number of columns) are not shown unless asked for.
const LEVEL: f64 = 0.05;

/// Permutations of a test, and how many of the leakiest all of them may draw together.
const MOST_PERMUTATIONS: usize = 9_999;
const FEWEST_PERMUTATIONS: usize = 999;
const MOST_DRAWN: usize = 5_000_000;

/// How the name of the lowest quarter of a column of numbers begins.
pub const UP_TO: &str = "up to ";

/// The values of a column in groups: a name for each, and the group of each record.
#[derive(Clone, Debug, PartialEq)]
pub struct Grouping {
    /// Names of the groups.
    pub names: Vec<String>,
    /// The group of each record.
    pub of_record: Vec<u32>,
}

/// Groups the values of a column of features: each category for itself, numbers with many values
/// by quarters. Nothing where there is
/// no such column, and for the pixels of images.
#[must_use]
pub fn grouping(table: &Table, column: &str) -> Option<Grouping> {
    let index = table
        .column_names()
        .iter()
        .position(|name| *name == column)?;
    match &table.body {
        Body::Dense { image: Some(_), .. } => None,
        Body::Dense { values, .. } => Some(of_numbers(
            &values
                .column(index)
                .iter()
                .map(|&x| f64::from(x))
                .collect::<Vec<_>>(),
        )),
        Body::Columns(columns) => Some(match &columns[index].values {
            Values::Numeric(values) => of_numbers(values),
            Values::Categorical { codes, levels } => of_levels(codes, levels),
        }),
    }
}

/// Levels by number of records, those beyond the most frequent together.
fn of_levels(codes: &[u32], levels: &[String]) -> Grouping {
    let place = |code: u32| {
        if code == MISSING {
            levels.len()
        } else {
            code as usize
        }
    };
    let mut counts = vec![0usize; levels.len() + 1];
    for &code in codes {
        counts[place(code)] += 1;
    }
    let mut order: Vec<usize> = (0..counts.len()).filter(|&i| counts[i] > 0).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(counts[i]), i));
    let own = if order.len() > MOST_VALUES {
        MOST_VALUES - 1
    } else {
        order.len()
    };
    let mut group_of = vec![own as u32; counts.len()];
    let mut names = Vec::new();
    for (group, &level) in order.iter().take(own).enumerate() {
        group_of[level] = group as u32;
        names.push(
            levels
                .get(level)
                .cloned()
                .unwrap_or_else(|| "missing".to_owned()),
        );
    }
    if order.len() > own {
        names.push(format!("{} rarer values", order.len() - own));
    }
    Grouping {
        names,
        of_record: codes.iter().map(|&code| group_of[place(code)]).collect(),
    }
}

fn of_numbers(values: &[f64]) -> Grouping {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|x| !x.is_nan()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let mut distinct = sorted.clone();
    distinct.dedup();
    if distinct.len() <= MOST_VALUES {
        let levels: Vec<String> = distinct.iter().map(ToString::to_string).collect();
        let codes: Vec<u32> = values
            .iter()
            .map(|&x| {
                if x.is_nan() {
                    MISSING
                } else {
                    distinct.partition_point(|&y| y < x) as u32
                }
            })
            .collect();
        return of_levels(&codes, &levels);
    }
    let mut cuts: Vec<f64> = [0.25, 0.5, 0.75]
        .iter()
        .filter_map(|&q| quantile(&sorted, q))
        // The largest value up to there: a cut that is a value reads better than one between.
        .map(|cut| sorted[sorted.partition_point(|&y| y <= cut).max(1) - 1])
        .collect();
    cuts.dedup();
    // A cut at the largest value would leave nothing above.
    cuts.retain(|cut| sorted.last().is_some_and(|last| cut < last));
    let mut levels: Vec<String> = Vec::new();
    for (place, cut) in cuts.iter().enumerate() {
        let cut = short(cut.to_string());
        levels.push(match place {
            0 => format!("{UP_TO}{cut}"),
            place => format!("above {} up to {cut}", short(cuts[place - 1].to_string())),
        });
    }
    levels.push(cuts.last().map_or_else(
        || "all".to_owned(),
        |last| format!("above {}", short(last.to_string())),
    ));
    let codes: Vec<u32> = values
        .iter()
        .map(|&x| {
            if x.is_nan() {
                MISSING
            } else {
                cuts.partition_point(|&cut| cut < x) as u32
            }
        })
        .collect();
    of_levels(&codes, &levels)
}

/// A rate with its Clopper–Pearson interval.
#[must_use]
pub fn rate(events: usize, trials: usize) -> Estimate {
    if trials == 0 {
        return Estimate::default();
    }
    let interval = clopper_pearson(events as u64, trials as u64, 0.95);
    Estimate {
        value: Some(events as f64 / trials as f64),
        lower: Some(interval.lower),
        upper: Some(interval.upper),
    }
}

/// Which units would be the leakiest if it did not matter who they are: as many as there are,
/// drawn at random, again and again.
#[derive(Debug)]
pub struct Permutations {
    leaky: usize,
    drawn: Vec<u32>,
}

impl Permutations {
    /// Draws `leaky` of `units`, many times; the seed decides which.
    #[must_use]
    pub fn draw(units: usize, leaky: usize, seed: u64) -> Self {
        let count = (MOST_DRAWN / leaky.max(1)).clamp(FEWEST_PERMUTATIONS, MOST_PERMUTATIONS);
        let mut stream = Stream::new(seed, "leakiest units drawn at random", 0);
        let mut order: Vec<u32> = (0..units as u32).collect();
        let mut drawn = Vec::with_capacity(count * leaky);
        for _ in 0..count {
            // The first of a shuffled order; where it starts from does not matter.
            for place in 0..leaky {
                let other = place + stream.below(units - place);
                order.swap(place, other);
                drawn.push(order[place]);
            }
        }
        Self { leaky, drawn }
    }
}

/// Pearson's statistic of a table with so many units in each group, so many of them leaky.
fn chi_square(units: &[u32], hits: &[u32]) -> f64 {
    let total: f64 = units.iter().map(|&n| f64::from(n)).sum();
    let leaky: f64 = hits.iter().map(|&n| f64::from(n)).sum();
    let share = leaky / total;
    units
        .iter()
        .zip(hits)
        .filter(|&(&units, _)| units > 0)
        .map(|(&units, &hits)| {
            let expected = f64::from(units) * share;
            // Both cells of the group: they miss by the same number.
            (f64::from(hits) - expected).powi(2) / (expected * (1.0 - share))
        })
        .sum()
}

/// The share of the leakiest that a group has over its share of the units, with a simultaneous
/// interval for so many groups.
fn relative(hits: usize, leaky: usize, share: f64, groups: usize) -> Estimate {
    if leaky == 0 {
        return Estimate::default();
    }
    let level = 1.0 - 0.05 / groups as f64;
    let interval = clopper_pearson(hits as u64, leaky as u64, level);
    Estimate {
        value: Some(hits as f64 / leaky as f64 / share),
        lower: Some(interval.lower / share),
        upper: Some(interval.upper / share),
    }
}

/// Units and the records that stand for them, and what is known of their exposure.
#[derive(Clone, Copy, Debug)]
pub struct Exposure<'a> {
    /// The units' leaks.
    pub leaks: &'a Leaks,
    /// Of each of them, the first record.
    pub records: &'a [u32],
    /// Of each of them, whether it is given away by the target.
    pub given_away: &'a [bool],
    /// What would be if the leakiest were anybody.
    pub permutations: &'a Permutations,
}

impl Exposure<'_> {
    /// Exposure of each group of the units, the riskiest first; groups without units are left out.
    ///
    /// The relative risk is the group's share of the leakiest over its share of the units. Its
    /// interval is that of Clopper and Pearson for the former, at 95 % for all groups together
    /// (Bonferroni): the riskiest of many is looked at because it is.
    #[must_use]
    pub fn over(&self, grouping: &Grouping) -> Vec<GroupExposure> {
        let mut members = vec![Vec::new(); grouping.names.len()];
        for (position, &record) in (0u32..).zip(self.records) {
            members[grouping.of_record[record as usize] as usize].push(position);
        }
        let groups = members.iter().filter(|units| !units.is_empty()).count();
        let leaky = self.leaks.leaky_units();
        let total = self.records.len() as f64;
        let mut found: Vec<GroupExposure> = members
            .iter()
            .zip(&grouping.names)
            .filter(|(units, _)| !units.is_empty())
            .map(|(units, name)| {
                let count = |of: &[bool]| units.iter().filter(|&&i| of[i as usize]).count();
                GroupExposure {
                    name: name.clone(),
                    units: units.len(),
                    leak: self.leaks.mean_of(units, |i| self.leaks.leak[i as usize]),
                    leaky: rate(count(&self.leaks.leaky), units.len()),
                    relative_risk: relative(
                        count(&self.leaks.leaky),
                        leaky,
                        units.len() as f64 / total,
                        groups,
                    ),
                    given_away: count(self.given_away),
                }
            })
            .collect();
        let risk = |group: &GroupExposure| group.relative_risk.value.unwrap_or(0.0);
        found.sort_by(|a, b| {
            risk(b)
                .total_cmp(&risk(a))
                .then_with(|| b.units.cmp(&a.units))
                .then_with(|| a.name.cmp(&b.name))
        });
        found
    }

    /// P-value of the hypothesis that the leakiest are spread over the groups as all units are:
    /// Pearson's χ² of the table (group × leaky), by permutation, since its distribution is far
    /// from χ² where few of the leakiest are expected. Nothing where there is only one group, or
    /// none or all are leaky.
    #[must_use]
    pub fn spread_p(&self, grouping: &Grouping) -> Option<f64> {
        let group = |position: u32| grouping.of_record[self.records[position as usize] as usize];
        let (units, hits) = self.table(grouping);
        let leaky = self.leaks.leaky_units();
        let groups = units.iter().filter(|&&count| count > 0).count();
        if groups < 2 || leaky == 0 || leaky >= self.records.len() {
            return None;
        }
        let observed = chi_square(&units, &hits);
        let drawn = &self.permutations.drawn;
        let as_large = drawn
            .par_chunks_exact(self.permutations.leaky)
            .filter(|draw| {
                let mut hits = vec![0u32; units.len()];
                for &position in *draw {
                    hits[group(position) as usize] += 1;
                }
                // Equal tables may differ in rounding.
                chi_square(&units, &hits) >= observed * (1.0 - 1e-12)
            })
            .count();
        let all = drawn.len() / self.permutations.leaky;
        Some((as_large + 1) as f64 / (all + 1) as f64)
    }

    /// Units in each group, and how many of them are leaky.
    fn table(&self, grouping: &Grouping) -> (Vec<u32>, Vec<u32>) {
        let mut units = vec![0u32; grouping.names.len()];
        let mut hits = vec![0u32; grouping.names.len()];
        for (&record, &leaky) in self.records.iter().zip(&self.leaks.leaky) {
            let group = grouping.of_record[record as usize] as usize;
            units[group] += 1;
            hits[group] += u32::from(leaky);
        }
        (units, hits)
    }

    /// The p-value of the same table by the χ² distribution, to order columns only.
    fn asymptotic_p(&self, grouping: &Grouping) -> f64 {
        let (units, hits) = self.table(grouping);
        let groups = units.iter().filter(|&&count| count > 0).count();
        chi_square_sf(
            chi_square(&units, &hits),
            groups.saturating_sub(1).max(1) as f64,
        )
    }

    /// Exposure over the values of the columns that were asked for, and of those over which it
    /// differs most (by [`Self::spread_p`], times the number of columns that were looked at).
    #[must_use]
    pub fn over_columns(&self, table: &Table, asked: &[String]) -> Vec<ColumnExposure> {
        let mut found: Vec<ColumnExposure> = asked
            .iter()
            .filter_map(|name| {
                let grouping = grouping(table, name)?;
                Some(ColumnExposure {
                    column: name.clone(),
                    chosen: true,
                    p: self.spread_p(&grouping),
                    values: self.over(&grouping),
                })
            })
            .collect();
        let names = table.column_names();
        let looked_at = names.len() as f64;
        let mut others: Vec<(f64, &str, Grouping)> = names
            .iter()
            .filter(|name| !asked.iter().any(|asked| asked == **name))
            .filter_map(|&name| {
                let grouping = grouping(table, name)?;
                let p = (self.spread_p(&grouping)? * looked_at).min(1.0);
                (p <= LEVEL).then_some((p, name, grouping))
            })
            .collect();
        // Many may have the smallest p that the permutations allow.
        let by_table: BTreeMap<&str, f64> = others
            .iter()
            .map(|(_, name, grouping)| (*name, self.asymptotic_p(grouping)))
            .collect();
        others.sort_by(|a, b| {
            a.0.total_cmp(&b.0)
                .then_with(|| by_table[a.1].total_cmp(&by_table[b.1]))
                .then_with(|| a.1.cmp(b.1))
        });
        found.extend(
            others
                .into_iter()
                .take(SHOWN)
                .map(|(p, name, grouping)| ColumnExposure {
                    column: name.to_owned(),
                    chosen: false,
                    p: Some(p),
                    values: self.over(&grouping),
                }),
        );
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_many_values_go_by_quarters() {
        let values: Vec<f64> = (0..100).map(f64::from).chain([f64::NAN]).collect();
        let grouping = of_numbers(&values);
        assert_eq!(grouping.names.len(), 5);
        assert_eq!(grouping.names.last().map(String::as_str), Some("missing"));
        let count = |group: u32| grouping.of_record.iter().filter(|&&g| g == group).count();
        assert_eq!((0..5).map(count).collect::<Vec<_>>(), [25, 25, 25, 25, 1]);
        // Mostly one value: no empty quarter.
        let mut heavy = vec![0.0; 90];
        heavy.extend((1..=30).map(f64::from));
        let grouping = of_numbers(&heavy);
        assert_eq!(grouping.names, ["up to 0", "above 0"]);
    }

    #[test]
    fn rare_levels_go_together() {
        let levels: Vec<String> = (0..30).map(|i| format!("level {i}")).collect();
        let codes: Vec<u32> = (0..30u32)
            .flat_map(|i| std::iter::repeat_n(i, 30 - i as usize))
            .collect();
        let grouping = of_levels(&codes, &levels);
        assert_eq!(grouping.names.len(), MOST_VALUES);
        assert_eq!(grouping.names[0], "level 0");
        assert_eq!(grouping.names[MOST_VALUES - 1], "19 rarer values");
        let together = grouping.of_record.iter().filter(|&&g| g == 11).count();
        assert_eq!(together, (1..=19).sum::<usize>());
    }

    /// Ten of forty, two of 52 and eight of 28 are leaky.
    fn three_groups() -> (Leaks, Grouping) {
        let counts = [(30, 10), (50, 2), (20, 8)];
        let mut leak = Vec::new();
        let mut of_record = Vec::new();
        for (group, (others, leaky)) in (0u32..).zip(counts) {
            leak.extend(std::iter::repeat_n(0.0, others));
            leak.extend(std::iter::repeat_n(1.0, leaky));
            of_record.extend(std::iter::repeat_n(group, others + leaky));
        }
        let leaks = Leaks::new(leak, 20.0 / 120.0, 1);
        let names = ["a", "b", "c"].map(str::to_owned).to_vec();
        (leaks, Grouping { names, of_record })
    }

    /// scipy 1.17.1: `chi2_contingency([[30, 10], [50, 2], [20, 8]], correction=False)` has the
    /// statistic 11.01098901098901 and the p-value 0.004064378226490549.
    #[test]
    fn the_spread_is_tested_as_scipy_does() {
        let statistic = chi_square(&[40, 52, 28], &[10, 2, 8]);
        assert!(
            (statistic - 11.010_989_010_989_01).abs() < 1e-9,
            "{statistic}"
        );
        assert!((chi_square_sf(statistic, 2.0) - 0.004_064_378_226_490_549).abs() < 1e-12);
        let (leaks, grouping) = three_groups();
        assert_eq!(leaks.leaky_units(), 20);
        let exposure = Exposure {
            leaks: &leaks,
            records: &(0..120).collect::<Vec<_>>(),
            given_away: &[false; 120],
            permutations: &Permutations::draw(120, 20, 1),
        };
        // Here the distribution is near to χ²: within four standard errors of the permutations.
        let p = exposure.spread_p(&grouping).unwrap();
        assert!(
            (p - 0.0041).abs() < 4.0 * (0.0041f64 / 10_000.0).sqrt(),
            "{p}"
        );
        let over = exposure.over(&grouping);
        assert_eq!(over[0].name, "c");
        let risk = over[0].relative_risk;
        assert!((risk.value.unwrap() - (8.0 / 28.0) / (20.0 / 120.0)).abs() < 1e-12);
        // scipy 1.17.1: binomtest(8, 20).proportion_ci(1 - .05 / 3) is
        // [0.158574179902452, 0.6832524376875979].
        let share = 28.0 / 120.0;
        assert!(
            (risk.lower.unwrap() * share - 0.158_574_179_902).abs() < 1e-9,
            "{risk:?}"
        );
        assert!(
            (risk.upper.unwrap() * share - 0.683_252_437_688).abs() < 1e-9,
            "{risk:?}"
        );
        assert_eq!(over[2].leaky.value, Some(2.0 / 52.0));
    }

    /// A value of one record that is leaky: Pearson's statistic is large, and means nothing.
    #[test]
    fn one_leaky_record_of_its_own_value_is_no_evidence() {
        let mut leak = vec![0.0; 1_000];
        leak[..10].fill(1.0);
        let leaks = Leaks::new(leak, 0.01, 1);
        let mut of_record = vec![1; 1_000];
        of_record[0] = 0;
        let grouping = Grouping {
            names: ["its own", "all others"].map(str::to_owned).to_vec(),
            of_record,
        };
        let exposure = Exposure {
            leaks: &leaks,
            records: &(0..1_000).collect::<Vec<_>>(),
            given_away: &[false; 1_000],
            permutations: &Permutations::draw(1_000, 10, 1),
        };
        assert!(exposure.asymptotic_p(&grouping) < 1e-20);
        // It is one of the ten by chance in one of a hundred draws.
        let p = exposure.spread_p(&grouping).unwrap();
        assert!((0.005..0.015).contains(&p), "{p}");
        // And of a hundred such records one is so by chance.
        let alone = relative(1, 10, 0.001, 100);
        assert!(alone.value.unwrap() > 99.0 && alone.lower.unwrap() < 1.0);
    }

    /// Under the null p is uniform: among 200 random groupings about a twentieth is below .05.
    #[test]
    fn p_is_uniform_where_nothing_matters() {
        let mut stream = Stream::new(9, "test", 0);
        let leak: Vec<f64> = (0..300).map(|_| stream.uniform()).collect();
        let leaks = Leaks::new(leak, 0.05, 1);
        let permutations = Permutations::draw(300, leaks.leaky_units(), 2);
        let small = (0..200)
            .filter(|_| {
                let grouping = Grouping {
                    names: ["a", "b", "c", "d"].map(str::to_owned).to_vec(),
                    of_record: (0..300).map(|_| stream.below(4) as u32).collect(),
                };
                let exposure = Exposure {
                    leaks: &leaks,
                    records: &(0..300).collect::<Vec<_>>(),
                    given_away: &[false; 300],
                    permutations: &permutations,
                };
                exposure.spread_p(&grouping).unwrap() <= 0.05
            })
            .count();
        assert!((2..=21).contains(&small), "{small} of 200");
    }
}
