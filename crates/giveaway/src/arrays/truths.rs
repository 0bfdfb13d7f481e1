//! Arrays of 0 and 1, and of class numbers.

use super::npy::{Flag, Npy, zeroed};
use crate::dataset::array_file::Kind;
use crate::error::{Error, Result};

/// Reads an array of truth values; `what` they say is for the message, and `place` names a
/// position.
pub(super) fn truths(npy: &Npy, what: &str, place: impl Fn(usize) -> String) -> Result<Vec<bool>> {
    let flags: Vec<Flag> = npy.load()?;
    if let Some(position) = flags.iter().position(|flag| flag.0 > 1) {
        let value = npy.element(position)?;
        return Err(Error::input(format!("{what} is {value}, neither 0 nor 1"))
            .at(place(position))
            .at(npy.place())
            .hint("give an array of bool, or of 0 for OUT and 1 for IN"));
    }
    // In place: a flag is as large as a truth value.
    Ok(flags.into_iter().map(|flag| flag.0 == 1).collect())
}

/// Reads the class of each record.
pub(super) fn labels(npy: &Npy, classes: usize) -> Result<Vec<u32>> {
    if matches!(npy.kind(), Kind::Float(_)) {
        return Err(Error::input(format!(
            "the labels are {}, where class numbers are wanted",
            npy.type_name()
        ))
        .at(npy.place())
        .hint(format!(
            "give whole numbers from 0: {}.astype(int) in numpy",
            npy.variable()
        )));
    }
    let mut values: Vec<f64> = zeroed(npy.count()).map_err(|error| error.at(npy.place()))?;
    npy.read_from(0, &mut values)?;
    if let Some(record) = values
        .iter()
        .position(|&label| label < 0.0 || label >= classes as f64)
    {
        return Err(Error::input(format!(
            "the label is {}, and there are {classes} classes, from 0 to {}",
            values[record],
            classes - 1
        ))
        .at(format!("record {record}"))
        .at(npy.place())
        .hint("classes are counted from 0, in the order of the outputs' last axis"));
    }
    Ok(values.into_iter().map(|label| label as u32).collect())
}
