//! Plain matrices of numbers from NPY, text tables and Parquet: a target's outputs, lists of records.

use std::path::Path;

use ndarray::Array2;

use super::array_file::{Elements, parse_npy};
use super::assemble::{RawColumn, RawValues};
use super::parquet_file;
use crate::{Error, Result};

/// Numbers in rows and columns, with the columns' names where the file has them.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// `[rows × columns]`; a vector is one column.
    pub values: Array2<f32>,
    /// Names of the columns.
    pub names: Option<Vec<String>>,
    /// Whether it was text, in which a header of numbers looks like a row.
    pub is_text: bool,
    /// Whether it was text whose first row alone is written in whole numbers, as pandas writes a
    /// header of 0, 1, … above numbers that all have a point.
    pub begins_with_whole: bool,
}

/// Reads a matrix. A text table may have a header; missing values are `NaN`.
///
/// # Errors
/// If the file cannot be read or holds something else than numbers.
pub fn read(path: &Path) -> Result<Matrix> {
    let bytes = std::fs::read(path).map_err(|e| Error::io("read the file", path, &e))?;
    parse(bytes).map_err(|error| error.at(path.display()))
}

/// As [`read`], from the content of a file.
pub(crate) fn parse(bytes: Vec<u8>) -> Result<Matrix> {
    match bytes.as_slice() {
        [] => Err(Error::input("the file is empty").hint("give a row of outputs for each record")),
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => from_npy(&bytes),
        [b'P', b'A', b'R', b'1', ..] => parquet_file::read_raw(bytes).and_then(from_columns),
        _ => from_text(&bytes),
    }
}

/// The entries of a file that holds a single column of texts, not all of which are numbers: an
/// array of texts, a column of Parquet, or lines. The first line may be a header.
pub(crate) fn column_of_texts(bytes: &[u8]) -> Option<Vec<String>> {
    match bytes {
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => {
            let array = parse_npy(bytes).ok()?;
            match array.elements {
                Elements::Text(texts) if array.shape == [texts.len()] => Some(texts),
                _ => None,
            }
        }
        [b'P', b'A', b'R', b'1', ..] => {
            let (columns, rows) = parquet_file::read_raw(bytes.to_vec()).ok()?;
            let mut outputs = columns.into_iter().filter(|column| !is_index(&column.name));
            let only = outputs.next().filter(|_| outputs.next().is_none())?;
            let (RawValues::Text(texts) | RawValues::Category(texts)) = only.values else {
                return None;
            };
            let of_code = |&code: &u32| texts.levels.get(code as usize).cloned();
            let entries: Vec<String> = texts
                .codes
                .iter()
                .map(|code| of_code(code).unwrap_or_default())
                .collect();
            (entries.len() == rows).then_some(entries)
        }
        _ => {
            let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            let mut reader = csv::ReaderBuilder::new()
                .has_headers(false)
                .flexible(true)
                .from_reader(text);
            let mut entries = Vec::new();
            for record in reader.records() {
                let record = record.ok().filter(|record| record.len() == 1)?;
                entries.push(record[0].trim().to_owned());
            }
            let is_text = entries.iter().skip(1).any(|entry| number(entry).is_none());
            is_text.then_some(entries)
        }
    }
}

/// Columns that are no outputs: the index that pandas writes.
pub(crate) fn is_index(name: &str) -> bool {
    name.is_empty() || name.starts_with("Unnamed:") || name.starts_with("__index_level_")
}

fn from_npy(bytes: &[u8]) -> Result<Matrix> {
    let array = parse_npy(bytes)?;
    let shape = match *array.shape.as_slice() {
        [rows] => (rows, 1),
        [rows, columns] | [rows, 1, columns] => (rows, columns),
        ref other => {
            return Err(
                Error::input(format!("an array of {} dimensions", other.len()))
                    .hint("give rows × columns"),
            );
        }
    };
    let values = match array.elements {
        Elements::Real(values) => values.into_iter().map(|v| v as f32).collect(),
        Elements::Bytes(values) => values.into_iter().map(f32::from).collect(),
        Elements::Single(values) => values,
        Elements::Whole(values) => values.into_iter().map(|v| v as f32).collect(),
        Elements::Text(_) => {
            return Err(Error::input("an array of texts").hint("give an array of numbers"));
        }
    };
    Ok(Matrix {
        values: shaped(shape, values)?,
        names: None,
        is_text: false,
        begins_with_whole: false,
    })
}

fn from_columns((columns, rows): (Vec<RawColumn>, usize)) -> Result<Matrix> {
    let mut names = Vec::new();
    let mut values = vec![0f32; rows * columns.len()];
    let width = columns.len();
    for (index, column) in columns.into_iter().enumerate() {
        let numbers: Vec<f32> = match column.values {
            RawValues::Float(numbers) => numbers.into_iter().map(|v| v as f32).collect(),
            RawValues::Integer(numbers) => numbers
                .into_iter()
                .map(|v| v.map_or(f32::NAN, |v| v as f32))
                .collect(),
            _ => {
                return Err(Error::input("does not hold numbers")
                    .at(format!("column {}", column.name))
                    .hint("give numbers only"));
            }
        };
        for (row, number) in numbers.into_iter().enumerate() {
            values[row * width + index] = number;
        }
        names.push(column.name);
    }
    Ok(Matrix {
        values: shaped((rows, width), values)?,
        names: Some(names),
        is_text: false,
        begins_with_whole: false,
    })
}

fn from_text(bytes: &[u8]) -> Result<Matrix> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(text);
    let (mut values, mut width, mut names, mut rows) = (Vec::new(), 0, None, 0);
    let is_whole = |field: &str| field.trim().parse::<i64>().is_ok();
    let (mut first_is_whole, mut others_are_whole) = (false, false);
    for (index, record) in reader.records().enumerate() {
        let place = format!("row {}", index + 1);
        let record = record.map_err(|e| {
            Error::input(format!("not a text table: {e}")).hint("give CSV, Parquet or NPY")
        })?;
        if index == 0 {
            width = record.len();
            if record.iter().any(|field| number(field).is_none()) {
                names = Some(record.iter().map(|field| field.trim().to_owned()).collect());
                continue;
            }
        }
        if index == 0 {
            first_is_whole = record.iter().all(is_whole);
        } else {
            others_are_whole |= record.iter().any(is_whole);
        }
        if record.len() != width {
            return Err(Error::input(format!(
                "{} values where the first row has {width}",
                record.len()
            ))
            .at(place)
            .hint("mend the row"));
        }
        for (column, field) in record.iter().enumerate() {
            values.push(number(field).ok_or_else(|| {
                Error::input(format!("{field:?} is not a number"))
                    .at(format!("{place}, column {}", column + 1))
                    .hint("give numbers separated by commas")
            })?);
        }
        rows += 1;
    }
    Ok(Matrix {
        values: shaped((rows, width), values)?,
        names,
        is_text: true,
        begins_with_whole: first_is_whole && !others_are_whole,
    })
}

/// A number; an empty field is missing.
fn number(field: &str) -> Option<f32> {
    match field.trim() {
        "" => Some(f32::NAN),
        text => text.parse().ok(),
    }
}

fn shaped(shape: (usize, usize), values: Vec<f32>) -> Result<Array2<f32>> {
    Array2::from_shape_vec(shape, values).map_err(|_| {
        Error::input("its header and its content disagree").hint("write the file again")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Matrix> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.csv");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn text_has_a_header_or_not() {
        let with = read_text("no,yes\n.25,.75\n1,0\n").unwrap();
        assert_eq!(with.names.unwrap(), ["no", "yes"]);
        assert_eq!(with.values, ndarray::array![[0.25, 0.75], [1.0, 0.0]]);
        let without = read_text("1,2\n3,4\n").unwrap();
        assert!(without.names.is_none());
        assert_eq!(without.values.dim(), (2, 2));
    }

    #[test]
    fn a_single_column_of_texts_is_no_matrix() {
        let texts = |text: &str| column_of_texts(text.as_bytes());
        assert_eq!(texts("class\nno\nyes\n").unwrap(), ["class", "no", "yes"]);
        assert_eq!(texts("\"<=50K\"\n>50K").unwrap(), ["<=50K", ">50K"]);
        for other in ["p\n.5\n.25\n", "no,yes\n.5,.5\n", "1\n2\n", ""] {
            assert!(texts(other).is_none(), "{other}");
        }
    }

    #[test]
    fn what_is_no_number_is_named_with_its_place() {
        let message = |text| read_text(text).unwrap_err().to_string();
        assert!(message("a,b\n1,x\n").contains("row 2, column 2: \"x\""));
        assert!(message("1,2\n3\n").contains("row 2: 1 values"));
        assert!(message("").contains("empty"));
    }
}
