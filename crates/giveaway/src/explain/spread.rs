//! Who carries the risk: exposure over the classes and over the values of columns.

use giveaway_stats::distribution::chi_square_sf;
use giveaway_stats::interval::clopper_pearson;
use giveaway_stats::summary::quantile;

use super::ranking::Leaks;
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

/// The values of a column in groups: a name for each, and the group of each record.
#[derive(Clone, Debug, PartialEq)]
pub struct Grouping {
    /// Names of the groups.
    pub names: Vec<String>,
    /// The group of each record.
    pub of_record: Vec<u32>,
}

/// Groups the values of a column of features, or of the `group` or class column where it has that
/// name: each category for itself, numbers with many values by quarters. Nothing where there is
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
        levels.push(match place {
            0 => format!("up to {cut}"),
            place => format!("above {} up to {cut}", cuts[place - 1]),
        });
    }
    levels.push(
        cuts.last()
            .map_or_else(|| "all".to_owned(), |last| format!("above {last}")),
    );
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

/// Units and the records that stand for them, and what is known of their exposure.
#[derive(Clone, Copy, Debug)]
pub struct Exposure<'a> {
    /// The units' leaks.
    pub leaks: &'a Leaks,
    /// Of each of them, the first record.
    pub records: &'a [u32],
    /// Of each of them, whether it is given away by the target.
    pub given_away: &'a [bool],
}

impl Exposure<'_> {
    /// Exposure of each group of the units, the riskiest first; groups without units are left out.
    #[must_use]
    pub fn over(&self, grouping: &Grouping) -> Vec<GroupExposure> {
        let mut members = vec![Vec::new(); grouping.names.len()];
        for (position, &record) in (0u32..).zip(self.records) {
            members[grouping.of_record[record as usize] as usize].push(position);
        }
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
                    relative_risk: self.leaks.relative_risk(units),
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

    /// P-value of Pearson's χ² test that the leakiest are spread over the groups as all units
    /// are; nothing where there is only one group, or none or all are leaky.
    #[must_use]
    pub fn chi_square(&self, grouping: &Grouping) -> Option<f64> {
        let mut counts = vec![[0.0f64; 2]; grouping.names.len()];
        for (position, &record) in self.records.iter().enumerate() {
            let group = grouping.of_record[record as usize] as usize;
            counts[group][usize::from(self.leaks.leaky[position])] += 1.0;
        }
        counts.retain(|[others, leaky]| others + leaky > 0.0);
        let total = self.records.len() as f64;
        let leaky: f64 = counts.iter().map(|c| c[1]).sum();
        if counts.len() < 2 || leaky <= 0.0 || leaky >= total {
            return None;
        }
        let statistic: f64 = counts
            .iter()
            .flat_map(|&[others, hits]| {
                let units = others + hits;
                let expected = [units * (total - leaky) / total, units * leaky / total];
                [
                    (others - expected[0]).powi(2) / expected[0],
                    (hits - expected[1]).powi(2) / expected[1],
                ]
            })
            .sum();
        Some(chi_square_sf(statistic, (counts.len() - 1) as f64))
    }

    /// Exposure over the values of the columns that were asked for, and of those over which it
    /// differs most (by the χ² test, times the number of columns that were looked at).
    #[must_use]
    pub fn over_columns(&self, table: &Table, asked: &[String]) -> Vec<ColumnExposure> {
        let mut found: Vec<ColumnExposure> = asked
            .iter()
            .filter_map(|name| {
                let grouping = grouping(table, name)?;
                Some(ColumnExposure {
                    column: name.clone(),
                    chosen: true,
                    p: self.chi_square(&grouping),
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
                let p = (self.chi_square(&grouping)? * looked_at).min(1.0);
                (p <= LEVEL).then_some((p, name, grouping))
            })
            .collect();
        others.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(b.1)));
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

    /// scipy 1.17.1: `chi2_contingency([[30, 10], [50, 2], [20, 8]], correction=False).pvalue`
    /// = 0.004064378226490549.
    #[test]
    fn the_spread_is_tested_as_scipy_does() {
        let counts = [(30, 10), (50, 2), (20, 8)];
        let mut leak = Vec::new();
        let mut of_record = Vec::new();
        for (group, (others, leaky)) in (0u32..).zip(counts) {
            leak.extend(std::iter::repeat_n(0.0, others));
            leak.extend(std::iter::repeat_n(1.0, leaky));
            of_record.extend(std::iter::repeat_n(group, others + leaky));
        }
        let units = leak.len();
        let leaks = Leaks::new(leak, 20.0 / units as f64, 1);
        assert_eq!(leaks.leaky_units(), 20);
        let exposure = Exposure {
            leaks: &leaks,
            records: &(0..units as u32).collect::<Vec<_>>(),
            given_away: &vec![false; units],
        };
        let grouping = Grouping {
            names: ["a", "b", "c"].map(str::to_owned).to_vec(),
            of_record,
        };
        let p = exposure.chi_square(&grouping).unwrap();
        assert!((p - 0.004_064_378_226_490_549).abs() < 1e-9, "{p}");
        let over = exposure.over(&grouping);
        assert_eq!(over[0].name, "c");
        let risk = over[0].relative_risk.value.unwrap();
        assert!((risk - (8.0 / 28.0) / (20.0 / 120.0)).abs() < 1e-12);
        assert_eq!(over[2].leaky.value, Some(2.0 / 52.0));
    }
}
