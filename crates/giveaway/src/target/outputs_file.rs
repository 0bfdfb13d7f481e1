//! A target known by files: of its outputs on every record, and of its training records.

use std::path::Path;

use super::reading::answers_in;
use super::{TargetOutputs, interpret, settle};
use crate::channel::OutputKind;
use crate::dataset::{Table, matrix};
use crate::error::{Error, Result};

/// Reads a target's outputs: a table or array with one row for each of so many records (`name`
/// says what they are), in their order, and one column per class of `class_names`. A table whose
/// columns are named like the classes is put into their order. For two classes a single column
/// of probabilities is that of the second class. A single column of classes are labels, and so
/// are the lines of a text that name a class each.
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
    let place = path.display();
    let bytes = std::fs::read(path).map_err(|e| Error::io("read the file", path, &e))?;
    let answers = answers_in(bytes, records, class_names).map_err(|e| e.at(place.to_string()))?;
    if answers.len() != records {
        return Err(Error::input(format!(
            "{} rows of outputs for {records} {name}",
            answers.len()
        ))
        .at(place)
        .hint("give one row for each, in the order of their file; if the first row is a header, name the columns like the classes"));
    }
    let outputs = interpret(answers, class_names).map_err(|e| e.at(place.to_string()))?;
    settle(outputs, kind).map_err(|e| e.at(place))
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
    let is_mask = values.len() > 2 && values.iter().all(|&value| bit(value).is_some());
    if is_mask {
        return Err(Error::input(format!(
            "a mask of {} zeros and ones for {records} records",
            values.len()
        ))
        .at(path.display())
        .hint("give one entry for each record, in the order of their file"));
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
            return Err(Error::input(format!("no record has the {what} {}", short(name)))
                .at(place)
                .at(path.display())
                .hint(if table.has_id_column {
                    "list values of the id column, one per line; record numbers go into an NPY file"
                } else {
                    "list record numbers counted from 0, each on a line of its own, or name an id column with --id"
                }));
        };
        mark(&mut members, record, name, path, &place)?;
    }
    Ok(members)
}

/// The beginning of a text, for a message.
fn short(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
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
