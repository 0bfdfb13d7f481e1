//! Encoded records back in the types of their file.
//!
//! A program that takes the original columns must be asked about inputs that exist as encoded
//! features alone: queries put together from values of several records, backgrounds of Shapley
//! values. The original values are found again by looking which records are encoded the same,
//! column by column, so a value that occurs in the data comes back exactly as it was.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::ops::Range;

use ndarray::{Array2, ArrayView1, ArrayView2};

use super::encoding::{Encoding, Inverse};
use super::table::{Body, Column, ColumnKind, MISSING, Table, Values};
use super::{Dataset, FeatureKind};
use crate::{Error, Result};

/// Finds the original values of encoded inputs.
///
/// Where several values are encoded alike (the rare categories that share a feature, numbers that
/// float32 cannot tell apart), the one that most records have stands for them. An input that is a
/// record as a whole gets all the values of that record, those that the encoding leaves out among
/// them; otherwise what is left out is missing.
#[derive(Debug)]
pub struct Decoding<'a> {
    table: Cow<'a, Table>,
    dataset: &'a Dataset,
    encoding: &'a Encoding,
    columns: Vec<ColumnDecoding>,
    /// The first record of each hash of encoded features.
    records: HashMap<u64, u32>,
    hashes: RandomState,
}

/// How a column of a table is found again.
#[derive(Debug)]
enum ColumnDecoding {
    LeftOut,
    Encoded {
        features: Range<usize>,
        is_numeric: bool,
        /// The record whose value stands for what is encoded so.
        donors: HashMap<Key, u32>,
    },
}

/// What a record's features of one column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// The bits of the number.
    Number(u32),
    /// The indicator says that it is missing.
    Missing,
    /// The feature that is 1, if one is.
    Level(Option<usize>),
}

/// Where an original value comes from.
#[derive(Clone, Copy, Debug)]
enum Source {
    Record(u32),
    Number(f64),
    Missing,
}

impl<'a> Decoding<'a> {
    /// Learns from the records of `table`, which are encoded as `dataset` by `encoding`.
    ///
    /// # Errors
    /// If these do not belong together.
    pub fn new(
        table: Cow<'a, Table>,
        dataset: &'a Dataset,
        encoding: &'a Encoding,
    ) -> Result<Self> {
        if table.len() != dataset.len() {
            return Err(Error::unexpected(format!(
                "{} records and {} encoded ones",
                table.len(),
                dataset.len()
            )));
        }
        let mut columns = Vec::new();
        if let Body::Columns(of_table) = &table.body {
            let mut places: HashMap<&str, Range<usize>> = HashMap::new();
            for (feature, about) in dataset.schema.features.iter().enumerate() {
                let range = places.entry(&about.column).or_insert(feature..feature);
                range.end = feature + 1;
            }
            for column in of_table {
                columns.push(match places.get(column.name.as_str()) {
                    None => ColumnDecoding::LeftOut,
                    Some(features) => column_decoding(dataset, column, features.clone())?,
                });
            }
        }
        let mut decoding = Self {
            table,
            dataset,
            encoding,
            columns,
            records: HashMap::new(),
            hashes: RandomState::new(),
        };
        for (record, features) in dataset.features.outer_iter().enumerate() {
            let hash = decoding.hash(&features);
            decoding.records.entry(hash).or_insert(record as u32);
        }
        Ok(decoding)
    }

    /// The records that all values are from.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    fn hash(&self, features: &ArrayView1<f32>) -> u64 {
        let mut hasher = self.hashes.build_hasher();
        for &feature in features {
            hasher.write_u32(bits(feature));
        }
        hasher.finish()
    }

    /// The first record that is encoded like this.
    fn record(&self, features: &ArrayView1<f32>) -> Option<u32> {
        let record = *self.records.get(&self.hash(features))?;
        let of_record = self.dataset.features.row(record as usize);
        (of_record == *features).then_some(record)
    }

    /// The original features of encoded inputs.
    ///
    /// # Errors
    /// If the inputs have another number of features, or what stands for a categorical column
    /// is no category.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a view is itself a reference, and ndarray passes views by value"
    )]
    pub fn decode(&self, inputs: ArrayView2<f32>) -> Result<Body> {
        if inputs.ncols() != self.dataset.features.ncols() {
            return Err(Error::unexpected(format!(
                "inputs of {} features, where records have {}",
                inputs.ncols(),
                self.dataset.features.ncols()
            )));
        }
        let wholes: Vec<Option<u32>> = inputs.outer_iter().map(|row| self.record(&row)).collect();
        match &self.table.body {
            Body::Columns(columns) => columns
                .iter()
                .zip(&self.columns)
                .map(|(column, decoding)| {
                    let sources: Vec<Source> = inputs
                        .outer_iter()
                        .zip(&wholes)
                        .map(|(row, whole)| match whole {
                            Some(record) => Ok(Source::Record(*record)),
                            None => self.source(column, decoding, &row),
                        })
                        .collect::<Result<_>>()?;
                    Ok(Column {
                        name: column.name.clone(),
                        kind: column.kind,
                        spelling: column.spelling.clone(),
                        values: values_of(column, &sources),
                    })
                })
                .collect::<Result<_>>()
                .map(Body::Columns),
            Body::Dense {
                values,
                names,
                image,
            } => Ok(Body::Dense {
                values: Array2::from_shape_fn(inputs.dim(), |(row, feature)| {
                    if let Some(record) = wholes[row] {
                        return values[[record as usize, feature]];
                    }
                    let inverse = self.encoding.inverse_of_feature(feature);
                    inverse.map_or(f32::NAN, |inverse| inverse.single(inputs[[row, feature]]))
                }),
                names: names.clone(),
                image: *image,
            }),
        }
    }

    fn source(
        &self,
        column: &Column,
        decoding: &ColumnDecoding,
        row: &ArrayView1<f32>,
    ) -> Result<Source> {
        let ColumnDecoding::Encoded {
            features,
            is_numeric,
            donors,
        } = decoding
        else {
            return Ok(Source::Missing);
        };
        let key = key(row, features, *is_numeric).ok_or_else(|| {
            Error::input("an input has no category, but something between them")
                .at(format!("column `{}`", column.name))
                .hint("ask the command for encoded records")
        })?;
        if let Some(&donor) = donors.get(&key) {
            return Ok(Source::Record(donor));
        }
        let Key::Number(number) = key else {
            return Ok(Source::Missing);
        };
        let Some(inverse) = self.encoding.inverse_of_column(&column.name) else {
            return Ok(Source::Missing);
        };
        let value = inverse.double(f32::from_bits(number));
        Ok(Source::Number(if column.kind == ColumnKind::Whole {
            value.round()
        } else {
            value
        }))
    }
}

/// 0 has one sign here.
fn bits(feature: f32) -> u32 {
    (feature + 0.0).to_bits()
}

fn key(row: &ArrayView1<f32>, features: &Range<usize>, is_numeric: bool) -> Option<Key> {
    let mut own = features.clone().map(|feature| row[feature]);
    if is_numeric {
        let number = own.next()?;
        return Some(match own.next() {
            Some(missing) if missing > 0.5 => Key::Missing,
            _ => Key::Number(bits(number)),
        });
    }
    let mut level = None;
    for (place, value) in own.enumerate() {
        if value.to_bits() == 1f32.to_bits() && level.is_none() {
            level = Some(place);
        } else if value != 0.0 {
            return None;
        }
    }
    Some(Key::Level(level))
}

/// A value of a column, told apart by its bits or its code.
fn identity(column: &Column, record: usize) -> u64 {
    match &column.values {
        Values::Numeric(values) if values[record].is_nan() => u64::MAX,
        Values::Numeric(values) => values[record].to_bits(),
        Values::Categorical { codes, .. } => codes[record].into(),
    }
}

fn column_decoding(
    dataset: &Dataset,
    column: &Column,
    features: Range<usize>,
) -> Result<ColumnDecoding> {
    let is_numeric = dataset.schema.features[features.start].kind == FeatureKind::Numeric;
    // Of each key and value, how many records have it and which is the first.
    let mut counts: HashMap<(Key, u64), (usize, u32)> = HashMap::new();
    for (record, row) in dataset.features.outer_iter().enumerate() {
        let key = key(&row, &features, is_numeric)
            .ok_or_else(|| Error::unexpected("an encoded record has two categories in a column"))?;
        let value = identity(column, record);
        counts.entry((key, value)).or_insert((0, record as u32)).0 += 1;
    }
    let mut counted: Vec<(Key, usize, u32)> = counts
        .into_iter()
        .map(|((key, _), (count, first))| (key, count, first))
        .collect();
    // The most frequent first, of equals the one that comes first in the file.
    counted.sort_unstable_by_key(|&(_, count, first)| (Reverse(count), first));
    let mut donors = HashMap::new();
    for (key, _, first) in counted {
        donors.entry(key).or_insert(first);
    }
    Ok(ColumnDecoding::Encoded {
        features,
        is_numeric,
        donors,
    })
}

fn values_of(column: &Column, sources: &[Source]) -> Values {
    match &column.values {
        Values::Numeric(values) => Values::Numeric(
            sources
                .iter()
                .map(|source| match *source {
                    Source::Record(record) => values[record as usize],
                    Source::Number(number) => number,
                    Source::Missing => f64::NAN,
                })
                .collect(),
        ),
        Values::Categorical { codes, levels } => Values::Categorical {
            codes: sources
                .iter()
                .map(|source| match *source {
                    Source::Record(record) => codes[record as usize],
                    Source::Number(_) | Source::Missing => MISSING,
                })
                .collect(),
            levels: levels.clone(),
        },
    }
}

impl Inverse {
    /// The number that is encoded so: a whole one if there is one, else as near as can be.
    fn double(self, feature: f32) -> f64 {
        let near = self.undo(feature);
        let whole = near.round();
        let is_exact = bits(self.apply(whole)) == bits(feature);
        if is_exact { whole } else { near }
    }

    /// As [`Self::double`], in float32.
    fn single(self, feature: f32) -> f32 {
        let near = self.undo(feature);
        let single = near as f32;
        let candidates = [
            near.round() as f32,
            single,
            single.next_down(),
            single.next_up(),
        ];
        let is_exact = |value: &f32| bits(self.apply(f64::from(*value))) == bits(feature);
        candidates.into_iter().find(is_exact).unwrap_or(single)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{EncodingOptions, Scaling, TableOptions, UnknownCategories};
    use proptest::prelude::*;
    use std::fmt::Write;

    fn read(text: &str, options: TableOptions) -> Table {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.csv");
        std::fs::write(&path, text).unwrap();
        Table::read(
            &path,
            &TableOptions {
                label: Some("class".to_owned()),
                ..options
            },
        )
        .unwrap()
    }

    fn encoding_of(table: &Table, options: &EncodingOptions) -> Encoding {
        let rows: Vec<u32> = (0..table.len() as u32).collect();
        Encoding::learn(table, &rows, options).unwrap()
    }

    /// Equal, a missing number to another one as well.
    fn same(a: &Body, b: &Body) -> bool {
        match (a, b) {
            (Body::Columns(a), Body::Columns(b)) => a.iter().zip(b).all(|(a, b)| {
                a.name == b.name
                    && a.kind == b.kind
                    && match (&a.values, &b.values) {
                        (Values::Numeric(a), Values::Numeric(b)) => {
                            a.len() == b.len()
                                && a.iter().zip(b).all(|(a, b)| {
                                    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
                                })
                        }
                        (a, b) => a == b,
                    }
            }),
            (a, b) => a == b,
        }
    }

    const KINDS: &str = "\
number,whole,text,truth,gaps,holes,constant,class
0.5,1,a,True,1.25,x,3,p
-0.5,-7,b,False,,,3,q
1e-3,100000,c d,True,2.5,y,3,p
1e3,0,a,,-2,,3,q
0.1,3,b,False,,x,3,p
";

    #[test]
    fn every_kind_of_column_comes_back() {
        for (scaling, categorical) in [
            (Scaling::Standard, vec![]),
            (Scaling::None, vec![]),
            (
                Scaling::Standard,
                vec!["whole".to_owned(), "gaps".to_owned()],
            ),
        ] {
            let table = read(
                KINDS,
                TableOptions {
                    categorical,
                    ..TableOptions::default()
                },
            );
            let options = EncodingOptions {
                scaling,
                ..EncodingOptions::default()
            };
            let encoding = encoding_of(&table, &options);
            let dataset = encoding.encode(&table).unwrap();
            let decoding = Decoding::new(Cow::Borrowed(&table), &dataset, &encoding).unwrap();
            let back = decoding.decode(dataset.features.view()).unwrap();
            assert!(same(&back, &table.body), "{back:?}");
        }
    }

    /// Column by column, when no input is a record as a whole.
    #[test]
    fn mixed_records_have_the_values_of_their_donors() {
        let table = read(KINDS, TableOptions::default());
        let encoding = encoding_of(&table, &EncodingOptions::default());
        let dataset = encoding.encode(&table).unwrap();
        let decoding = Decoding::new(Cow::Borrowed(&table), &dataset, &encoding).unwrap();
        let columns = &dataset.schema.features;
        let names = table.column_names();
        for shift in 1..table.len() {
            let donor = |row: usize, column: usize| (row + shift * column) % table.len();
            let mixed = Array2::from_shape_fn(dataset.features.dim(), |(row, feature)| {
                let column = names.iter().position(|n| *n == columns[feature].column);
                dataset.features[[donor(row, column.unwrap()), feature]]
            });
            assert!(
                mixed
                    .outer_iter()
                    .all(|row| decoding.record(&row).is_none())
            );
            let back = Table {
                body: decoding.decode(mixed.view()).unwrap(),
                ..table.clone()
            };
            for row in 0..table.len() {
                for column in 0..names.len() {
                    assert_eq!(
                        back.feature_text(row, column),
                        table.feature_text(donor(row, column), column)
                    );
                }
            }
        }
    }

    #[test]
    fn numbers_between_those_of_records_are_undone() {
        let table = read(KINDS, TableOptions::default());
        let encoding = encoding_of(&table, &EncodingOptions::default());
        let dataset = encoding.encode(&table).unwrap();
        let decoding = Decoding::new(Cow::Borrowed(&table), &dataset, &encoding).unwrap();
        let mut changed = table.clone();
        if let Body::Columns(columns) = &mut changed.body {
            columns[0].values = Values::Numeric(vec![0.3, -12.0, 2e8, 7.0, 0.75]);
            columns[1].values = Values::Numeric(vec![2.0, -3.0, 4.0, 99.0, 12_345.0]);
        }
        let encoded = encoding.encode(&changed).unwrap();
        let Body::Columns(back) = decoding.decode(encoded.features.view()).unwrap() else {
            panic!("columns");
        };
        let Body::Columns(expected) = &changed.body else {
            panic!("columns");
        };
        assert_eq!(back[1].values, expected[1].values);
        let (Values::Numeric(back), Values::Numeric(expected)) =
            (&back[0].values, &expected[0].values)
        else {
            panic!("numbers");
        };
        for (back, expected) in back.iter().zip(expected) {
            // float32 of (x - 2e8) / 4e8
            assert!((back - expected).abs() < 50.0, "{back} {expected}");
        }
    }

    #[test]
    fn what_shares_a_feature_is_the_most_frequent_unless_the_record_is_whole() {
        let mut text = "word,number,class\n".to_owned();
        // Each of "a" and "b" has a feature, the other words share one; "m" is the most frequent.
        for (number, word) in "a a a a b b b l m m n o a b a b".split(' ').enumerate() {
            writeln!(text, "{word},{number},{}", number % 2).unwrap();
        }
        let table = read(&text, TableOptions::default());
        let options = EncodingOptions {
            max_levels: 3,
            ..EncodingOptions::default()
        };
        let encoding = encoding_of(&table, &options);
        let dataset = encoding.encode(&table).unwrap();
        let decoding = Decoding::new(Cow::Borrowed(&table), &dataset, &encoding).unwrap();
        assert!(same(
            &decoding.decode(dataset.features.view()).unwrap(),
            &table.body
        ));
        // Record 7 ("l") with the number of record 0.
        let mut mixed = dataset.features.row(7).to_owned();
        let number = dataset
            .schema
            .features
            .iter()
            .position(|f| f.column == "number")
            .unwrap();
        mixed[number] = dataset.features[[0, number]];
        let mixed = mixed.insert_axis(ndarray::Axis(0));
        let back = Table {
            body: decoding.decode(mixed.view()).unwrap(),
            ..table.select(&[0])
        };
        assert_eq!(
            [back.feature_text(0, 0), back.feature_text(0, 1)],
            ["m", "0"]
        );
        let mut between = mixed.clone();
        for feature in 0..between.ncols() {
            if feature != number {
                between[[0, feature]] = 0.5;
            }
        }
        let error = decoding.decode(between.view()).unwrap_err();
        assert!(error.to_string().contains("`word`") && error.hint_text().is_some());
    }

    #[test]
    fn what_is_left_out_or_unknown_is_missing_but_of_whole_records() {
        let mut text = "name,level,class\n".to_owned();
        for row in 0..20 {
            writeln!(text, "name{row},{},{}", ["x", "y"][row % 2], row % 2).unwrap();
        }
        text += "name20,z,1\n";
        let table = read(&text, TableOptions::default());
        let options = EncodingOptions {
            max_levels: 5,
            unknown_categories: UnknownCategories::Ignore,
            ..EncodingOptions::default()
        };
        let rows: Vec<u32> = (0..20).collect();
        let encoding = Encoding::learn(&table, &rows, &options).unwrap();
        let dataset = encoding.encode(&table).unwrap();
        assert_eq!(dataset.features.ncols(), 2, "names are left out");
        let decoding = Decoding::new(Cow::Borrowed(&table), &dataset, &encoding).unwrap();
        let back = Table {
            body: decoding.decode(dataset.features.view()).unwrap(),
            ..table.clone()
        };
        // Equal encodings: the first record that has one.
        assert_eq!(
            [back.feature_text(0, 0), back.feature_text(2, 0)],
            ["name0", "name0"]
        );
        assert_eq!(
            [back.feature_text(20, 0), back.feature_text(20, 1)],
            ["name20", "z"]
        );
    }

    proptest! {
        /// Blocks of numbers: records come back exactly, and anything else such that it is
        /// encoded the same wherever float32 allows.
        #[test]
        fn dense_records_come_back(
            values in prop::collection::vec(prop_oneof![(0..256_i32).prop_map(|v| v as f32), -1e3_f32..1e3], 24),
            is_scaled in any::<bool>(),
        ) {
            let values = Array2::from_shape_vec((6, 4), values).unwrap();
            let table = Table {
                name: "block".to_owned(),
                body: Body::Dense {
                    values: values.clone(),
                    names: (0..4).map(|i| format!("x{i}")).collect(),
                    image: None,
                },
                ..read("a,class\n1,p\n2,q\n3,p\n4,q\n5,p\n6,q\n", TableOptions::default())
            };
            let scaling = if is_scaled { Scaling::Standard } else { Scaling::None };
            let encoding = encoding_of(&table, &EncodingOptions { scaling, ..EncodingOptions::default() });
            let dataset = encoding.encode(&table).unwrap();
            let decoding = Decoding::new(Cow::Borrowed(&table), &dataset, &encoding).unwrap();
            prop_assert!(same(&decoding.decode(dataset.features.view()).unwrap(), &table.body));
            // Values of other records, feature by feature.
            let mixed = Array2::from_shape_fn((6, 4), |(r, f)| dataset.features[[(r + f) % 6, f]]);
            let back = Table { body: decoding.decode(mixed.view()).unwrap(), ..table.clone() };
            let again = encoding.encode(&back).unwrap().features;
            for (again, mixed) in again.iter().zip(&mixed) {
                prop_assert!((again - mixed).abs() <= 1e-6 * mixed.abs().max(1.0));
            }
        }
    }
}
