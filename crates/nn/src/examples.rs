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
    /// Probabilities of the classes for each record, padded with zeros to whole lines.
    soft: Option<Vec<Line>>,
    weights: Option<Vec<f32>>,
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
            soft: None,
            weights: None,
        })
    }

    /// Learns from these probabilities of the classes (records × classes) in place of the
    /// labels, as for distillation or mixed records; PyTorch's class probabilities.
    ///
    /// # Errors
    /// If the shape is another, or a record's numbers are no probabilities: negative, or
    /// their sum is off 1 by more than 1e-4.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a view is itself a reference, and ndarray passes views by value"
    )]
    pub fn soft_labels(mut self, probabilities: ArrayView2<f32>) -> Result<Self, Error> {
        let refuse = |message: String| Err(Error::Examples(message));
        let (rows, classes) = probabilities.dim();
        if (rows, classes) != (self.rows(), self.classes) {
            return refuse(format!(
                "soft labels are {rows} × {classes} for {} records and {} classes",
                self.rows(),
                self.classes
            ));
        }
        let lines_per_row = classes.div_ceil(LINE);
        let mut lines = vec![Line::ZERO; rows * lines_per_row];
        for (row, (values, target)) in probabilities
            .rows()
            .into_iter()
            .zip(lines.chunks_exact_mut(lines_per_row))
            .enumerate()
        {
            for (class, &value) in values.iter().enumerate() {
                if !(value >= 0.0 && value.is_finite()) {
                    return refuse(format!(
                        "the soft label of record {row} has {value} for class {class}; \
                         it must be a probability"
                    ));
                }
                if value.is_normal() {
                    target[class / LINE].0[class % LINE] = value;
                }
            }
            let sum: f64 = values.iter().map(|x| f64::from(*x)).sum();
            if (sum - 1.0).abs() > 1e-4 {
                return refuse(format!(
                    "the soft label of record {row} sums to {sum}; probabilities sum to 1"
                ));
            }
        }
        self.soft = Some(lines);
        Ok(self)
    }

    /// Multiplies each record's loss by its weight wherever it is computed: in training, in
    /// validation and for gradients. Means are still taken over the number of records.
    ///
    /// # Errors
    /// If there are not as many weights as records, or one is negative or not finite.
    pub fn weighted(mut self, weights: &[f32]) -> Result<Self, Error> {
        let refuse = |message: String| Err(Error::Examples(message));
        if weights.len() != self.rows() {
            return refuse(format!(
                "{} weights for {} records",
                weights.len(),
                self.rows()
            ));
        }
        let bad = |weight: &f32| !(*weight >= 0.0 && weight.is_finite());
        if let Some(row) = weights.iter().position(bad) {
            return refuse(format!(
                "the weight of record {row} is {}; it must be at least 0 and finite",
                weights[row]
            ));
        }
        self.weights = Some(weights.to_vec());
        Ok(self)
    }

    /// The soft labels of all records, each as many lines as the classes need.
    pub(crate) fn soft(&self) -> Option<&[Line]> {
        self.soft.as_deref()
    }

    /// The weight of every record.
    pub(crate) fn weights(&self) -> Option<&[f32]> {
        self.weights.as_deref()
    }

    /// The bytes that the records take.
    #[must_use]
    pub fn memory(&self) -> usize {
        let lines = self.lines.len() + self.soft.as_ref().map_or(0, Vec::len);
        let numbers = self.labels.len() + self.weights.as_ref().map_or(0, Vec::len);
        lines * size_of::<Line>() + numbers * size_of::<u32>()
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
