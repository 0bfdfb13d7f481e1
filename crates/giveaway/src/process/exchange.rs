//! What is exchanged with a command: tables of records out, outputs in.

use std::path::Path;

use ndarray::{Array2, ArrayView2};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dataset::array_file::header;
use crate::dataset::matrix::{self, Matrix};
use crate::error::{Error, Result};
use crate::report::records::{Values, to_parquet};
use crate::target::columns::{Columns, columns_of_classes, shown, take_header_of_numbers};
use crate::target::{Form, QuestionColumn, QuestionValues};

/// In which form a command gets records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RecordForm {
    /// The columns of the data file, each in its own type.
    #[default]
    Raw,
    /// The numbers that giveaway's own models see: float32 columns `f0`, `f1`, …
    Encoded,
}

impl From<RecordForm> for Form {
    fn from(form: RecordForm) -> Self {
        match form {
            RecordForm::Raw => Self::Raw,
            RecordForm::Encoded => Self::Encoded,
        }
    }
}

/// In which format a command writes its outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OutputFormat {
    /// `NumPy`: rows × classes, the classes in the order of `classes.json`.
    #[default]
    Npy,
    /// Text with a header: columns named like the classes.
    Csv,
    /// Parquet: columns named like the classes.
    Parquet,
}

/// What the outputs of a trainer's command are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OutputScale {
    /// Probabilities: each row sums to one.
    #[default]
    Probabilities,
    /// Logits: any finite numbers, before the softmax.
    Logits,
}

impl OutputFormat {
    /// The ending of its files.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Npy => "npy",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }
}

/// Writes a whole file.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).map_err(|e| Error::io("write a file for the command", path, &e))
}

/// Writes a table of these columns.
pub(crate) fn write_table(path: &Path, columns: &[(String, Values)]) -> Result<()> {
    write(path, &to_parquet(columns, &[])?)
}

/// Columns of the data file as a table has them: these rows of them, or all.
pub(crate) fn raw(columns: &[QuestionColumn], rows: Option<&[u32]>) -> Vec<(String, Values)> {
    columns
        .iter()
        .map(|column| {
            let values = match &column.values {
                QuestionValues::Numbers(values) => Values::Number(picked(values, rows)),
                QuestionValues::Whole(values) => Values::Whole(picked(values, rows)),
                QuestionValues::Texts(values) => Values::Text(picked(values, rows)),
                QuestionValues::Truths(values) => Values::Truth(picked(values, rows)),
            };
            (column.name.clone(), values)
        })
        .collect()
}

fn picked<T: Clone>(values: &[T], rows: Option<&[u32]>) -> Vec<T> {
    match rows {
        None => values.to_vec(),
        Some(rows) => rows
            .iter()
            .map(|&row| values[row as usize].clone())
            .collect(),
    }
}

/// Encoded features as a table has them: these rows of them, or all, and then those of `added`.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a view is itself a reference, and ndarray passes views by value"
)]
pub(crate) fn encoded(
    features: ArrayView2<f32>,
    rows: Option<&[u32]>,
    added: Option<ArrayView2<f32>>,
) -> Vec<(String, Values)> {
    features
        .columns()
        .into_iter()
        .enumerate()
        .map(|(index, column)| {
            let mut values: Vec<f32> = match rows {
                None => column.to_vec(),
                Some(rows) => rows.iter().map(|&row| column[row as usize]).collect(),
            };
            if let Some(added) = added {
                values.extend(added.column(index));
            }
            (format!("f{index}"), Values::Single(values))
        })
        .collect()
}

/// Numbers as a file of `NumPy`.
pub(crate) fn npy(values: &Array2<f32>) -> Vec<u8> {
    let mut bytes = header("<f4", values.shape());
    bytes.reserve(size_of::<f32>() * values.len());
    for value in values {
        bytes.extend(value.to_le_bytes());
    }
    bytes
}

/// What a label column looks like to a command.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ClassNames {
    /// All are whole numbers.
    Whole(Vec<i64>),
    /// All are numbers.
    Numbers(Vec<f64>),
    /// Texts.
    Texts(Vec<String>),
}

impl ClassNames {
    /// As numbers where they are such and stand in the order of numbers: a program that sorts
    /// what it reads then has them in our order, as it does with texts.
    pub(crate) fn of(classes: &[String]) -> Self {
        let whole: Option<Vec<i64>> = classes
            .iter()
            .map(|class| class.parse().ok().filter(|n: &i64| n.to_string() == *class))
            .collect();
        if let Some(whole) = whole.filter(|whole| whole.is_sorted()) {
            return Self::Whole(whole);
        }
        let numbers: Option<Vec<f64>> = classes
            .iter()
            .map(|class| class.parse().ok().filter(|n: &f64| n.is_finite()))
            .collect();
        if let Some(numbers) = numbers.filter(|numbers| numbers.is_sorted()) {
            return Self::Numbers(numbers);
        }
        Self::Texts(classes.to_vec())
    }

    /// A column of the classes of these labels.
    pub(crate) fn column(&self, labels: impl Iterator<Item = u32>) -> Values {
        match self {
            Self::Whole(names) => Values::Whole(labels.map(|l| Some(names[l as usize])).collect()),
            Self::Numbers(names) => Values::Number(labels.map(|l| names[l as usize]).collect()),
            Self::Texts(names) => {
                Values::Text(labels.map(|l| Some(names[l as usize].clone())).collect())
            }
        }
    }

    /// `classes.json`: an array of the classes in their order and type.
    pub(crate) fn json(&self) -> Result<Vec<u8>> {
        match self {
            Self::Whole(names) => serde_json::to_vec(names),
            Self::Numbers(names) => serde_json::to_vec(names),
            Self::Texts(names) => serde_json::to_vec(names),
        }
        .map_err(|e| Error::unexpected(format!("cannot write the classes: {e}")))
    }
}

/// Rows may miss a sum of 1 by this much.
const SUM_TOLERANCE: f64 = 1e-3;
/// A number this far outside of [0, 1] is rounding.
const RANGE_TOLERANCE: f32 = 1e-6;

/// Reads the outputs of a command: `rows` × `classes`, probabilities within [0, 1] whose rows
/// sum to one within a thousandth, or finite logits.
pub(crate) fn read_outputs(
    path: &Path,
    rows: usize,
    classes: &[String],
    kind: OutputScale,
) -> Result<Array2<f32>> {
    read_unnamed(path, rows, classes, kind).map_err(|error| error.at(path.display()))
}

fn read_unnamed(
    path: &Path,
    rows: usize,
    classes: &[String],
    kind: OutputScale,
) -> Result<Array2<f32>> {
    let mut outputs = in_order(read_numbers(path, rows, classes)?, classes, kind)?;
    if let Some(((row, column), value)) = outputs.indexed_iter().find(|(_, v)| !v.is_finite()) {
        return Err(Error::input(format!("the output is {value}"))
            .at(format!("row {}, class {}", row + 1, classes[column]))
            .hint("the command must write a finite number for every record and class"));
    }
    if kind == OutputScale::Logits {
        return Ok(outputs);
    }
    let within = -RANGE_TOLERANCE..=1.0 + RANGE_TOLERANCE;
    for (row, values) in outputs.outer_iter().enumerate() {
        let sum: f64 = values.iter().map(|&p| f64::from(p)).sum();
        let wrong = values.iter().find(|p| !within.contains(*p));
        let what = match wrong {
            Some(p) => format!("{p} is no probability"),
            None if (sum - 1.0).abs() > SUM_TOLERANCE => {
                format!("the probabilities of a record sum to {sum}")
            }
            None => continue,
        };
        return Err(Error::input(what).at(format!("row {}", row + 1)).hint(
            "write probabilities that sum to one (predict_proba, a softmax), or say that the outputs are logits",
        ));
    }
    outputs.mapv_inplace(|p| p.clamp(0.0, 1.0));
    Ok(outputs)
}

/// What a command wrote.
pub(crate) fn written(path: &Path) -> Result<Vec<u8>> {
    if !path.exists() {
        return Err(
            Error::input("the command ended well but wrote no such file")
                .hint("write the outputs to the path given after --output"),
        );
    }
    std::fs::read(path).map_err(|e| Error::io("read the file", path, &e))
}

/// Sees that there is a row for each record.
pub(crate) fn see_rows(found: usize, records: usize) -> Result<()> {
    if found == records {
        return Ok(());
    }
    Err(Error::input(format!(
        "{found} rows of outputs for {records} records to predict"
    ))
    .hint("write one row for each record of the file given after --predict, in its order"))
}

fn read_numbers(path: &Path, rows: usize, classes: &[String]) -> Result<Matrix> {
    let mut read = matrix::parse(written(path)?).map_err(|error| {
        let hint = "write one row of numbers for each record to predict, one column per class";
        if error.hint_text().is_some() {
            error
        } else {
            error.hint(hint)
        }
    })?;
    take_header_of_numbers(&mut read, rows, classes);
    see_rows(read.values.nrows(), rows)?;
    Ok(read)
}

/// The columns in the order of the classes.
fn in_order(read: Matrix, classes: &[String], kind: OutputScale) -> Result<Array2<f32>> {
    let expected = format!(
        "write one column per class, in this order or named so: {}",
        shown(classes)
    );
    let Some(names) = read.names else {
        return by_place(read.values, classes, kind, &expected);
    };
    let place = match columns_of_classes(&names, classes)? {
        Columns::Named(place) => place,
        Columns::Placed(order) => {
            let values = read.values.select(ndarray::Axis(1), &order);
            return by_place(values, classes, kind, &expected);
        }
    };
    if place.contains(&None) && kind == OutputScale::Logits {
        return Err(Error::input("logits of some classes are missing").hint(expected));
    }
    Ok(Array2::from_shape_fn(
        (read.values.nrows(), classes.len()),
        |(row, class)| place[class].map_or(0.0, |column| read.values[[row, column]]),
    ))
}

/// So many zeros and ones are no probabilities.
const ENOUGH_TO_DOUBT: usize = 20;

fn by_place(
    values: Array2<f32>,
    classes: &[String],
    kind: OutputScale,
    expected: &str,
) -> Result<Array2<f32>> {
    if values.ncols() == classes.len() {
        return Ok(values);
    }
    if values.ncols() == 1 && classes.len() == 2 && kind == OutputScale::Probabilities {
        // A forest may be that sure of a few records, but not of all.
        let is_sure = |&p: &f32| (p * (1.0 - p)).abs() <= 0.0;
        if values.len() >= ENOUGH_TO_DOUBT && values.iter().all(is_sure) {
            return Err(
                Error::input("every output is 0 or 1: these look like labels")
                    .hint("write probabilities (predict_proba and not predict), one column per class; two columns of zeros and ones are taken as they are"),
            );
        }
        return Ok(Array2::from_shape_fn(
            (values.nrows(), 2),
            |(row, class)| {
                let second = values[[row, 0]];
                if class == 1 { second } else { 1.0 - second }
            },
        ));
    }
    Err(Error::input(format!(
        "{} columns of outputs for {} classes",
        values.ncols(),
        classes.len()
    ))
    .hint(if values.ncols() < classes.len() {
        format!("{expected}; a class that is not in the training file has probability 0")
    } else {
        expected.to_owned()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::records::from_parquet;
    use ndarray::array;

    fn classes(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn read(bytes: impl AsRef<[u8]>, rows: usize, names: &[&str]) -> Result<Array2<f32>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outputs");
        std::fs::write(&path, bytes).unwrap();
        read_outputs(&path, rows, &classes(names), OutputScale::Probabilities)
    }

    fn table(columns: &[(&str, Vec<f64>)]) -> Vec<u8> {
        let columns: Vec<(String, Values)> = columns
            .iter()
            .map(|(name, values)| ((*name).to_owned(), Values::Number(values.clone())))
            .collect();
        to_parquet(&columns, &[]).unwrap()
    }

    #[test]
    fn columns_come_into_the_order_of_the_classes() {
        let expected = array![[0.25, 0.75], [1.0, 0.0]];
        for text in [
            "no,yes\n.25,.75\n1,0\n",
            "yes,no\n.75,.25\n0,1\n",
            ",yes,no\n0,.75,.25\n1,0,1\n",
            "0,1\n.25,.75\n1.0,0.0\n",
            ".25,.75\n1,0\n",
            "yes\n.75\n0\n",
        ] {
            let read = read(text, 2, &["no", "yes"]);
            // A class that is missing has probability 0, so the last does not sum to one.
            if text.starts_with("yes\n") {
                assert!(read.unwrap_err().to_string().contains("sum to 0.75"));
            } else {
                assert_eq!(read.unwrap(), expected, "{text}");
            }
        }
        assert_eq!(read(".75\n0\n", 2, &["no", "yes"]).unwrap(), expected);
        let numbers = read("2,1.0\n.75,.25\n0,1\n", 2, &["1", "2"]).unwrap();
        assert_eq!(numbers, expected);
        let named = table(&[("b", vec![0.5, 1.0]), ("c", vec![0.5, 0.0])]);
        assert_eq!(
            read(named, 2, &["a", "b", "c"]).unwrap(),
            array![[0.0, 0.5, 0.5], [0.0, 1.0, 0.0]]
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let message = |text: &str, names: &[&str]| {
            let error = read(text, 2, names).unwrap_err();
            assert!(error.hint_text().is_some(), "{error}");
            error.to_string()
        };
        let two = &["no", "yes"];
        assert!(message(".5,.5\n", two).contains("1 rows of outputs for 2"));
        assert!(message(".5,.5\n.5,\n", two).contains("row 2, class yes: the output is NaN"));
        assert!(
            message(".5,.6\n.5,.5\n", two)
                .contains("row 1: the probabilities of a record sum to 1.1")
        );
        assert!(message("2,-1\n.5,.5\n", two).contains("2 is no probability"));
        assert!(message("no,yse\n.5,.5\n.5,.5\n", two).contains("no classes: yse"));
        assert!(message("no,no\n.5,.5\n.5,.5\n", two).contains("two columns"));
        assert!(message(".5,.5,0\n.5,.5,0\n", two).contains("3 columns of outputs for 2"));
        assert!(message("", two).contains("empty"));
        assert!(message("what\nis\nthis\n", two).contains("not a number"));
        // 0 and 1 may be places or classes
        assert!(
            message("0,1\n.5,.5\n.5,.5\n", &["1", "2"]).contains("columns that are no classes: 0")
        );
        let missing = read_outputs(
            Path::new("/nowhere/outputs.npy"),
            2,
            &classes(two),
            OutputScale::Probabilities,
        );
        assert!(
            missing
                .unwrap_err()
                .to_string()
                .contains("wrote no such file")
        );
    }

    #[test]
    fn a_cut_file_is_no_output() {
        let whole = table(&[("no", vec![0.5; 50]), ("yes", vec![0.5; 50])]);
        for cut in [3, whole.len() / 2, whole.len() - 1] {
            let error = read(&whole[..cut], 50, &["no", "yes"]).unwrap_err();
            assert!(error.hint_text().is_some(), "{error}");
        }
        assert!(read(&whole, 50, &["no", "yes"]).is_ok());
    }

    #[test]
    fn class_names_are_numbers_where_a_program_would_sort_them_the_same() {
        let of = |names: &[&str]| ClassNames::of(&classes(names));
        assert_eq!(of(&["-1", "2", "10"]), ClassNames::Whole(vec![-1, 2, 10]));
        assert_eq!(
            of(&["1", "10", "2"]),
            ClassNames::Texts(classes(&["1", "10", "2"]))
        );
        assert_eq!(of(&["01", "2"]), ClassNames::Numbers(vec![1.0, 2.0]));
        assert_eq!(of(&["0.5", "2"]), ClassNames::Numbers(vec![0.5, 2.0]));
        assert_eq!(of(&["a", "b"]), ClassNames::Texts(classes(&["a", "b"])));
        assert_eq!(
            of(&["nan", "inf"]),
            ClassNames::Texts(classes(&["nan", "inf"]))
        );
        assert_eq!(of(&["0", "1"]).json().unwrap(), b"[0,1]");
    }

    #[test]
    fn tables_hold_the_rows_asked_for() {
        let features = array![[1.0_f32, 2.0], [3.0, 4.0], [5.0, 6.0]];
        let added = array![[7.0_f32, 8.0]];
        let columns = encoded(features.view(), Some(&[2, 0, 2]), Some(added.view()));
        let back = from_parquet(to_parquet(&columns, &[]).unwrap()).unwrap();
        let Values::Single(second) = &back[1].1 else {
            panic!("not float32");
        };
        assert_eq!(
            (back[1].0.as_str(), second.as_slice()),
            ("f1", &[6.0, 2.0, 6.0, 8.0][..])
        );
    }
}
