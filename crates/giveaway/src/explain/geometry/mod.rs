//! Where a record lies among the others: distances, neighbours, outliers, pictures.
//!
//! Functions of arrays, records × columns in float32; nothing of runs or reports. Work is done in
//! blocks on all cores, nothing of records × records is held (but by the map of a few thousand
//! points), and a result never depends on the number of threads. Definitions are
//! scikit-learn's, and tests compare with it (`conformance/geometry/generate.py`).

pub mod centroids;
pub mod embedding;
pub mod isolation_forest;
pub(crate) mod linear;
pub mod neighbours;
pub mod outlier_factor;
pub mod projection;
#[cfg(test)]
mod reference;

use ndarray::ArrayView2;
use rayon::prelude::*;

use crate::error::{Error, Result};

/// Refuses vectors that have no distances: numbers that are not finite, or rows so long that the
/// square of a distance would be no float32.
fn check_vectors(vectors: &ArrayView2<f32>) -> Result<()> {
    // a quarter of the largest, because a distance may be twice a length
    let most = f64::from(f32::MAX) / 4.0;
    let bad = (0..vectors.nrows()).into_par_iter().find_first(|&record| {
        let square: f64 = vectors
            .row(record)
            .iter()
            .map(|&x| f64::from(x) * f64::from(x))
            .sum();
        // not the other way round: NaN must be found
        !matches!(
            square.partial_cmp(&most),
            Some(std::cmp::Ordering::Less | std::cmp::Ordering::Equal)
        )
    });
    match bad {
        None => Ok(()),
        Some(record) => Err(Error::input(format!(
            "the vector of record {record} has a value that is not finite, or is too long for distances"
        ))
        .hint("standardise the features, or leave the record out")),
    }
}

/// Refuses labels that do not fit the records.
fn check_labels(records: usize, labels: &[u32], classes: usize) -> Result<()> {
    if labels.len() != records {
        return Err(Error::unexpected(format!(
            "{} labels for {records} records",
            labels.len()
        )));
    }
    match labels.iter().find(|&&label| label as usize >= classes) {
        None => Ok(()),
        Some(label) => Err(Error::unexpected(format!(
            "class {label} of {classes} classes"
        ))),
    }
}
