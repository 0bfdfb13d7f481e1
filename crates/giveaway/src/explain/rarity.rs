//! How rare the values of a record are.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::dataset::table::MISSING;
use crate::dataset::{Body, Table, Values};

/// How far beyond the quartiles, in interquartile ranges, a number is far out (Tukey 1977).
const FAR_OUT: f64 = 3.0;

/// A value that no more records than this have is one of few.
const FEW: u32 = 3;

/// A column in which more than this share of the records has one of few is no place to look for
/// the rarest value.
const MOST_FEW: f64 = 0.1;

/// And no more than this share of the records.
const SMALL: f64 = 0.01;

/// The rarest value of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RarestValue {
    /// Its column.
    pub column: u32,
    /// Records that have the value; of a number far out, those at least as far out on its side.
    pub records: u32,
    /// Whether it is a number far out, and on which side.
    pub kind: RareKind,
}

/// How a value is rare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RareKind {
    /// Few records have it.
    Value,
    /// Few records have one as large.
    Large,
    /// Few records have one as small.
    Small,
}

/// How rare the values of each record are.
#[derive(Clone, Debug, Default)]
pub struct Rarity {
    /// The rarest value of each record; nothing where no column has anything rare to tell.
    pub rarest: Vec<Option<RarestValue>>,
    /// `-log2` of the share of records that have the rarest value, in bits.
    pub rarest_bits: Vec<f64>,
    /// The same, summed over the columns.
    pub total_bits: Vec<f64>,
    /// Records that were counted.
    pub records: usize,
}

/// What is known of the values of one column: for each record how many have its value.
struct Counted {
    records: Vec<u32>,
    kinds: Vec<RareKind>,
}

/// Counts the values of every column over `tables`, one after the other (audited records and
/// reference records), and tells how rare each record's are.
///
/// A categorical value, a missing one, and a value of a column with two distinct numbers count
/// as often as they occur. A number of another column counts as rare only where it lies far out
/// (more than three interquartile ranges beyond the quartiles), by the records that are at least
/// as far out; else every largest number would be a rarity. Images have none of it, and no
/// result.
#[must_use]
pub fn rarity(tables: &[&Table]) -> Option<Rarity> {
    let first = tables.first()?;
    let columns = first.column_names().len();
    if let Body::Dense { image: Some(_), .. } = first.body {
        return None;
    }
    let records: usize = tables.iter().map(|table| table.len()).sum();
    let counted: Vec<Counted> = (0..columns)
        .into_par_iter()
        .map(|column| match &first.body {
            Body::Columns(own) => match &own[column].values {
                Values::Categorical { .. } => categories(tables, column),
                Values::Numeric(_) => numbers(&numeric(tables, column)),
            },
            Body::Dense { .. } => numbers(&numeric(tables, column)),
        })
        .collect();
    // A column of names or postcodes would make every record rare, and hide what is.
    let telling: Vec<bool> = counted
        .iter()
        .map(|column| {
            // In a small table every value is of few records.
            let is_few = |&&count: &&u32| count <= FEW && f64::from(count) < SMALL * records as f64;
            let few = column.records.iter().filter(is_few).count();
            few as f64 <= MOST_FEW * records as f64
        })
        .collect();
    let bits = |count: u32| -(f64::from(count) / records as f64).log2();
    let mut rarity = Rarity {
        rarest: vec![None; records],
        rarest_bits: vec![0.0; records],
        total_bits: vec![0.0; records],
        records,
    };
    for record in 0..records {
        for (column, counted) in counted.iter().enumerate() {
            let count = counted.records[record];
            rarity.total_bits[record] += bits(count);
            let rarer = rarity.rarest[record].is_none_or(|r: RarestValue| count < r.records);
            if rarer && telling[column] && (count as usize) < records {
                rarity.rarest[record] = Some(RarestValue {
                    column: column as u32,
                    records: count,
                    kind: counted.kinds[record],
                });
                rarity.rarest_bits[record] = bits(count);
            }
        }
    }
    Some(rarity)
}

/// Categories by their names, since two files number them differently.
fn categories(tables: &[&Table], column: usize) -> Counted {
    let mut counts: BTreeMap<Option<&str>, u32> = BTreeMap::new();
    let mut names: Vec<Option<&str>> = Vec::new();
    for table in tables {
        if let Body::Columns(columns) = &table.body
            && let Values::Categorical { codes, levels } = &columns[column].values
        {
            for &code in codes {
                let name = (code != MISSING).then(|| levels[code as usize].as_str());
                *counts.entry(name).or_default() += 1;
                names.push(name);
            }
        }
    }
    Counted {
        kinds: vec![RareKind::Value; names.len()],
        records: names.iter().map(|name| counts[name]).collect(),
    }
}

fn numeric(tables: &[&Table], column: usize) -> Vec<f64> {
    let mut all = Vec::new();
    for table in tables {
        match &table.body {
            Body::Columns(columns) => match &columns[column].values {
                Values::Numeric(values) => all.extend(values),
                // A column of numbers in one file and of words in another is refused long before.
                Values::Categorical { codes, .. } => all.extend(codes.iter().map(|_| f64::NAN)),
            },
            Body::Dense { values, .. } => {
                all.extend(values.column(column).iter().map(|&x| f64::from(x)));
            }
        }
    }
    all
}

fn numbers(values: &[f64]) -> Counted {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|x| !x.is_nan()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let missing = (values.len() - sorted.len()) as u32;
    let below = |x: f64| sorted.partition_point(|&y| y < x);
    let up_to = |x: f64| sorted.partition_point(|&y| y <= x);
    let two = match (sorted.first(), sorted.last()) {
        (Some(&low), Some(&high)) => up_to(low) == below(high),
        _ => true,
    };
    let quartile = |q: f64| giveaway_stats::summary::quantile(&sorted, q).unwrap_or(0.0);
    let (low, high) = (quartile(0.25), quartile(0.75));
    let reach = FAR_OUT * (high - low);
    let mut counted = Counted {
        records: Vec::with_capacity(values.len()),
        kinds: Vec::with_capacity(values.len()),
    };
    for &x in values {
        let (count, kind) = if x.is_nan() {
            (missing as usize, RareKind::Value)
        } else if two {
            (up_to(x) - below(x), RareKind::Value)
        } else if x > high + reach {
            (sorted.len() - below(x), RareKind::Large)
        } else if x < low - reach {
            (up_to(x), RareKind::Small)
        } else {
            (values.len(), RareKind::Value)
        };
        counted.records.push(count as u32);
        counted.kinds.push(kind);
    }
    counted
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::dataset::TableOptions;

    fn table(text: &str) -> Table {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, text).unwrap();
        let options = TableOptions {
            label: Some("y".to_owned()),
            ..TableOptions::default()
        };
        Table::read(&path, &options).unwrap()
    }

    #[test]
    fn values_count_as_often_as_they_occur() {
        let mut text = "land,size,flag,y\n".to_owned();
        for i in 0..20 {
            let land = if i == 3 { "Holand" } else { "Here" };
            let size = if i == 5 { 1000 } else { i };
            let flag = u8::from(i < 2);
            let _ = writeln!(text, "{land},{size},{flag},{}", i % 2);
        }
        let rarity = rarity(&[&table(&text)]).unwrap();
        let one = |column, kind| {
            Some(RarestValue {
                column,
                records: 1,
                kind,
            })
        };
        assert_eq!(rarity.rarest[3], one(0, RareKind::Value));
        assert_eq!(rarity.rarest[5], one(1, RareKind::Large));
        assert_eq!(rarity.rarest[0].unwrap().column, 2);
        assert_eq!(rarity.rarest[0].unwrap().records, 2);
        assert!((rarity.rarest_bits[3] - 20f64.log2()).abs() < 1e-12);
        // 19 of 20 have the land, 18 of 20 the flag, and the size is not far out.
        let expected = -(0.95f64.log2() + 0.9f64.log2());
        assert!((rarity.total_bits[10] - expected).abs() < 1e-12);
    }

    #[test]
    fn a_second_table_counts_by_names() {
        let a = table("land,y\nA,0\nB,1\nB,0\n");
        let b = table("land,y\nB,0\nC,1\nC,1\n");
        let rarity = rarity(&[&a, &b]).unwrap();
        let counts: Vec<u32> = rarity.rarest.iter().map(|r| r.unwrap().records).collect();
        assert_eq!(counts, [1, 3, 3, 3, 2, 2]);
    }

    #[test]
    fn missing_values_are_a_value() {
        let t = table("land,size,y\nA,1,0\n,2,1\nA,,0\nA,3,1\n");
        let rarity = rarity(&[&t]).unwrap();
        assert_eq!(rarity.rarest[1].unwrap().records, 1);
        assert_eq!(rarity.rarest[2].unwrap().column, 1);
        assert_eq!(rarity.rarest[2].unwrap().records, 1);
    }

    /// Names, one for each record, do not hide the one land that is rare.
    #[test]
    fn columns_of_names_are_passed_over() {
        let mut text = "name,land,y\n".to_owned();
        for i in 0..300 {
            let land = if i == 7 {
                "Ruritania"
            } else {
                ["A", "B"][i % 2]
            };
            let _ = writeln!(text, "person {i},{land},{}", i % 2);
        }
        let rarity = rarity(&[&table(&text)]).unwrap();
        assert!(rarity.rarest.iter().all(|r| r.unwrap().column == 1));
        assert_eq!(rarity.rarest[7].unwrap().records, 1);
        // In the sum over the columns they count.
        assert!(rarity.total_bits[0] > 300f64.log2());
    }

    #[test]
    fn a_constant_column_tells_nothing() {
        let t = table("land,size,y\nA,1,0\nA,1,1\nA,1,0\n");
        let rarity = rarity(&[&t]).unwrap();
        assert!(rarity.rarest.iter().all(Option::is_none));
        assert!(rarity.total_bits.iter().all(|&bits| bits.abs() < 1e-12));
    }
}
