//! The model under audit: trained here, or known by a file of its outputs.

use std::path::Path;

use ndarray::Array2;

use crate::channel::{Channel, OutputKind};
use crate::dataset::{Table, matrix};
use crate::error::{Error, Result};

/// The outputs of a target on every record, and what they went through.
#[derive(Clone, Debug)]
pub struct TargetOutputs {
    /// `[records × classes]`
    pub outputs: Array2<f32>,
    /// What the target's interface does to them.
    pub channel: Channel,
}

/// Reads a target's outputs: a table or array with one row for each of so many records (`name`
/// says what they are), in their order, and one column per class of `class_names`. A table whose columns are named like the classes
/// is put into their order. For two classes a single column of probabilities is that of
/// the second class.
///
/// # Errors
/// If the file cannot be read, has other numbers of rows or columns, or holds `NaN`.
pub fn read_outputs(
    path: &Path,
    records: usize,
    name: &str,
    class_names: &[String],
    kind: Option<OutputKind>,
) -> Result<TargetOutputs> {
    let classes = class_names.len();
    let mut read = matrix::read(path)?;
    let place = path.display();
    header_of_numbers(&mut read, records, class_names);
    if read.values.nrows() != records {
        return Err(Error::input(format!(
            "{} rows of outputs for {records} {name}",
            read.values.nrows()
        ))
        .at(place)
        .hint("give one row for each, in the order of their file"));
    }
    for ((row, column), value) in read.values.indexed_iter() {
        if !value.is_finite() {
            return Err(Error::input(format!("the output is {value}"))
                .at(format!("row {}, column {}", row + 1, column + 1))
                .at(place)
                .hint("a target must answer every record with finite numbers"));
        }
    }
    let mut outputs = read.values;
    // Columns named like the classes are these, whatever else stands beside them.
    if let Some(names) = &read.names
        && let Some(order) = class_names
            .iter()
            .map(|class| names.iter().position(|name| name == class))
            .collect::<Option<Vec<usize>>>()
    {
        outputs = outputs.select(ndarray::Axis(1), &order);
    }
    if outputs.ncols() == 1 && classes == 2 {
        if outputs.iter().any(|p| !(0.0..=1.0).contains(p)) {
            return Err(Error::input(
                "a single column of outputs must hold probabilities of the second class",
            )
            .at(place)
            .hint(format!(
                "give two columns, for {} and {}",
                class_names[0], class_names[1]
            )));
        }
        // In float32, one minus a rounded number is not quite a rounded one.
        let rounded = Channel {
            kind: OutputKind::Probabilities,
            ..Channel::detect(&outputs)
        };
        outputs = Array2::from_shape_fn((outputs.nrows(), 2), |(row, class)| {
            let p = outputs[[row, 0]];
            if class == 1 {
                p
            } else {
                rounded.round(1.0 - p)
            }
        });
    } else if outputs.ncols() != classes {
        return Err(Error::input(format!(
            "{} columns of outputs for {classes} classes",
            outputs.ncols()
        ))
        .at(place)
        .hint(format!(
            "give one column per class, in this order: {}",
            class_names.join(", ")
        )));
    }
    let mut channel = Channel::detect(&outputs);
    if let Some(kind) = kind {
        channel.kind = kind;
    }
    if channel.kind == OutputKind::Probabilities && channel.decimals == Some(0) {
        return Err(Error::input("the outputs are labels, not probabilities: all are 0 or 1")
            .at(place)
            .hint("give predict_proba, not predict; a target that answers with labels only cannot be audited by this test"));
    }
    if channel.kind == OutputKind::Probabilities && outputs.iter().any(|p| !(0.0..=1.0).contains(p))
    {
        return Err(Error::input("not all outputs are between 0 and 1")
            .at(place)
            .hint("use --output-kind logits if these are logits"));
    }
    Ok(TargetOutputs { outputs, channel })
}

/// pandas writes the classes 0 and 1 as a header of numbers: one row too many, which holds
/// every class.
fn header_of_numbers(read: &mut matrix::Matrix, records: usize, class_names: &[String]) {
    if read.names.is_some() || read.values.nrows() != records + 1 {
        return;
    }
    let names: Vec<String> = read.values.row(0).iter().map(ToString::to_string).collect();
    if class_names.iter().all(|class| names.contains(class)) {
        let rows: Vec<usize> = (1..read.values.nrows()).collect();
        read.values = read.values.select(ndarray::Axis(0), &rows);
        read.names = Some(names);
    }
}

/// Reads which records the target was trained on: an NPY mask with one entry per record, or
/// a list of record numbers, as NPY or as text with one per line; where the data file has
/// an id column, `id_column`, the text lists ids. The text may begin with a header: the
/// name of that column, or a word such as "id" or "member".
///
/// # Errors
/// If the file cannot be read, names a record that is not there or one twice, or names none.
pub fn read_members(path: &Path, table: &Table, id_column: Option<&str>) -> Result<Vec<bool>> {
    let members = if path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("npy"))
    {
        members_from_array(path, table.len())?
    } else {
        members_from_text(path, table, id_column)?
    };
    match members.iter().filter(|&&member| member).count() {
        0 => Err(Error::input("names no training record")
            .at(path.display())
            .hint("list the records that the target was trained on")),
        _ => Ok(members),
    }
}

fn members_from_array(path: &Path, records: usize) -> Result<Vec<bool>> {
    let read = matrix::read(path)?.values;
    let values: Vec<f32> = read.iter().copied().collect();
    let bit = |value: f32| {
        [0.0f32, 1.0]
            .iter()
            .position(|b| b.to_bits() == value.to_bits())
    };
    if values.len() == records
        && let Some(mask) = values.iter().map(|&v| Some(bit(v)? == 1)).collect()
    {
        return Ok(mask);
    }
    // The numbers came as float32, which cannot tell larger ones apart.
    if records > 1 << f32::MANTISSA_DIGITS {
        return Err(Error::usage(format!(
            "a list of record numbers among {records} records cannot be read as an array"
        ))
        .at(path.display())
        .hint("give a mask of zeros and ones, or a text file with a record number per line"));
    }
    let mut members = vec![false; records];
    for (position, &value) in values.iter().enumerate() {
        let place = format!("entry {position}");
        if value.fract().abs() > 0.0 || value < 0.0 || value.is_nan() || value as usize >= records {
            return Err(
                Error::input(format!("{value} is not the number of a record"))
                    .at(place)
                    .at(path.display())
                    .hint(format!(
                        "give a mask of {records} zeros and ones, or record numbers from 0 to {}",
                        records - 1
                    )),
            );
        }
        mark(
            &mut members,
            value as usize,
            &value.to_string(),
            path,
            &place,
        )?;
    }
    Ok(members)
}

/// What the header of a list of members may be called, beside the name of the id column.
const HEADERS: [&str; 8] = [
    "id", "ids", "index", "member", "members", "record", "records", "row",
];

fn members_from_text(path: &Path, table: &Table, id_column: Option<&str>) -> Result<Vec<bool>> {
    let text =
        std::fs::read_to_string(path).map_err(|e| Error::io("read the members", path, &e))?;
    if let Some(index) = &table.other_index {
        return Err(Error::input(format!(
            "these may be row numbers or labels of the index column `{index}` of {}",
            table.name
        ))
        .at(path.display())
        .hint(format!(
            "name the column with --id \"{index}\" if they are its labels; else give an NPY mask with one entry per record"
        )));
    }
    let by_id: std::collections::HashMap<&str, usize> = table
        .ids
        .iter()
        .enumerate()
        .map(|(record, id)| (id.as_str(), record))
        .collect();
    let mut members = vec![false; table.len()];
    for (line, name) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let name = name.trim().trim_matches('"');
        if name.is_empty() {
            continue;
        }
        let place = format!("line {}", line + 1);
        let Some(&record) = by_id.get(name) else {
            // Only what is known as a header is one: a misspelt id must not get lost.
            if line == 0
                && (id_column == Some(name) || HEADERS.contains(&name.to_lowercase().as_str()))
            {
                continue;
            }
            let what = if table.has_id_column {
                "id"
            } else {
                "record number (counted from 0)"
            };
            return Err(Error::input(format!("no record has the {what} {name}"))
                .at(place)
                .at(path.display())
                .hint(if table.has_id_column {
                    "list values of the id column, one per line"
                } else {
                    "list record numbers counted from 0, one per line, or name an id column with --id"
                }));
        };
        mark(&mut members, record, name, path, &place)?;
    }
    Ok(members)
}

fn mark(members: &mut [bool], record: usize, name: &str, path: &Path, place: &str) -> Result<()> {
    if std::mem::replace(&mut members[record], true) {
        return Err(Error::input(format!("{name} is named a second time"))
            .at(place)
            .at(path.display())
            .hint("name each training record once"));
    }
    Ok(())
}
