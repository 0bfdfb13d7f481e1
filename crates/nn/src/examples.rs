//! The records that networks learn from, laid out once for all of them.

use ndarray::ArrayView2;

use crate::Error;
use crate::kernel::{LINE, Line};

/// Labelled records, prepared once and then only read, by any number of threads.
///
/// Each record starts on a cache line of its own and is padded with zeros to whole lines.
#[derive(Clone, Debug)]
pub struct Examples {
    lines: Vec<Line>,
    lines_per_row: usize,
    features: usize,
    classes: usize,
    labels: Vec<u32>,
}

impl Examples {
    /// Takes `features` (records × features) and one label below `classes` for each record.
    ///
    /// Values too small for a normal `f32` (below 1.2e-38 in magnitude) are taken as 0.
    ///
    /// # Errors
    /// If there are no records or features, the number of labels is another, a label is
    /// not below `classes`, or a feature is not finite.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a view is itself a reference, and ndarray passes views by value"
    )]
    pub fn new(features: ArrayView2<f32>, labels: &[u32], classes: usize) -> Result<Self, Error> {
        let (rows, width) = features.dim();
        let refuse = |message: String| Err(Error::Examples(message));
        if rows == 0 || width == 0 {
            return refuse(format!(
                "the features are {rows} × {width}; at least one record and one feature are needed"
            ));
        }
        if u32::try_from(rows).is_err() {
            return refuse(format!(
                "{rows} records are more than row numbers can count"
            ));
        }
        if labels.len() != rows {
            return refuse(format!("{} labels for {rows} records", labels.len()));
        }
        if let Some(row) = labels.iter().position(|&label| label as usize >= classes) {
            return refuse(format!(
                "record {row} has label {}, but there are {classes} classes (0 to {})",
                labels[row],
                classes.saturating_sub(1)
            ));
        }
        let lines_per_row = width.div_ceil(LINE);
        let mut lines = vec![Line::ZERO; rows * lines_per_row];
        for (row, (values, target)) in features
            .rows()
            .into_iter()
            .zip(lines.chunks_exact_mut(lines_per_row))
            .enumerate()
        {
            for (column, &value) in values.iter().enumerate() {
                if !value.is_finite() {
                    return refuse(format!(
                        "feature {column} of record {row} is {value}; \
                         features must be finite, so fill in or drop missing values first"
                    ));
                }
                if value.is_normal() {
                    target[column / LINE].0[column % LINE] = value;
                }
            }
        }
        Ok(Self {
            lines,
            lines_per_row,
            features: width,
            classes,
            labels: labels.to_vec(),
        })
    }

    /// The number of records.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// The number of features of a record.
    #[must_use]
    pub fn features(&self) -> usize {
        self.features
    }

    /// The number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The label of every record.
    #[must_use]
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// All records, each `lines_per_row` lines.
    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// A record, padded with zeros to whole lines.
    ///
    /// # Panics
    /// If there is no such row.
    pub(crate) fn row(&self, row: u32) -> &[Line] {
        let start = row as usize * self.lines_per_row;
        &self.lines[start..start + self.lines_per_row]
    }

    pub(crate) fn lines_per_row(&self) -> usize {
        self.lines_per_row
    }
}
