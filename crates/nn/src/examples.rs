//! The records that networks learn from, laid out once for all of them.

use std::sync::Arc;

use ndarray::ArrayView2;

use crate::Error;
use crate::kernel::{LINE, Line};

/// Labelled records, prepared once and then only read, by any number of threads.
///
/// Each record starts on a cache line of its own and is padded with zeros to whole lines. A
/// clone shares the features and all else that it does not change: other labels or weights for
/// the same records ([`Self::relabelled`], [`Self::soft_labels`], [`Self::weighted`]) cost no
/// second copy of them.
#[derive(Clone, Debug)]
pub struct Examples {
    lines: Arc<Vec<Line>>,
    lines_per_row: usize,
    features: usize,
    classes: usize,
    labels: Arc<Vec<u32>>,
    /// Probabilities of the classes for each record, padded with zeros to whole lines.
    soft: Option<Arc<Vec<Line>>>,
    weights: Option<Arc<Vec<f32>>>,
}

/// The counts of an `Arc`, and what it points to: a list elsewhere.
const SHARED: usize = 2 * size_of::<usize>() + size_of::<Vec<Line>>();

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
        check_count(rows)?;
        check_labels(labels, rows, classes)?;
        let mut lines = Vec::with_capacity(rows * width.div_ceil(LINE));
        lay_out(&features, &mut lines)?;
        Ok(Self {
            lines: Arc::new(lines),
            lines_per_row: width.div_ceil(LINE),
            features: width,
            classes,
            labels: Arc::new(labels.to_vec()),
            soft: None,
            weights: None,
        })
    }

    /// The same records with other labels. Soft labels, where there are some, still stand in
    /// for them.
    ///
    /// # Errors
    /// If the number of labels is another, or a label is not below the number of classes.
    pub fn relabelled(mut self, labels: &[u32]) -> Result<Self, Error> {
        check_labels(labels, self.rows(), self.classes)?;
        self.labels = Arc::new(labels.to_vec());
        Ok(self)
    }

    /// These records and more behind them, numbered on. The new ones have sure labels and
    /// weight 1 where the others have soft labels or weights. The features are copied once.
    ///
    /// # Errors
    /// If the number of features is another, that of the labels is not that of the new records,
    /// a label is not below the number of classes, or a feature is not finite.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a view is itself a reference, and ndarray passes views by value"
    )]
    pub fn with_more(self, features: ArrayView2<f32>, labels: &[u32]) -> Result<Self, Error> {
        let (more, width) = features.dim();
        if width != self.features {
            return Err(Error::Examples(format!(
                "{more} more records have {width} features; the others have {}",
                self.features
            )));
        }
        let rows = self.rows() + more;
        check_count(rows)?;
        check_labels(labels, more, self.classes)?;
        let mut lines = Vec::with_capacity(rows * self.lines_per_row);
        lines.extend_from_slice(&self.lines);
        lay_out(&features, &mut lines)?;
        let soft = self.soft.map(|soft| {
            let lines_per_row = self.classes.div_ceil(LINE);
            let mut all = Vec::with_capacity(rows * lines_per_row);
            all.extend_from_slice(&soft);
            for &label in labels {
                let start = all.len();
                all.resize(start + lines_per_row, Line::ZERO);
                let label = label as usize;
                all[start + label / LINE].0[label % LINE] = 1.0;
            }
            Arc::new(all)
        });
        let weights = self.weights.map(|weights| {
            let mut all = Vec::with_capacity(rows);
            all.extend_from_slice(&weights);
            all.resize(rows, 1.0);
            Arc::new(all)
        });
        let mut all_labels = Vec::with_capacity(rows);
        all_labels.extend_from_slice(&self.labels);
        all_labels.extend_from_slice(labels);
        Ok(Self {
            lines: Arc::new(lines),
            labels: Arc::new(all_labels),
            soft,
            weights,
            ..self
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
        self.soft = Some(Arc::new(lines));
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
        self.weights = Some(Arc::new(weights.to_vec()));
        Ok(self)
    }

    /// The soft labels of all records, each as many lines as the classes need.
    pub(crate) fn soft(&self) -> Option<&[Line]> {
        self.soft.as_deref().map(Vec::as_slice)
    }

    /// The weight of every record.
    pub(crate) fn weights(&self) -> Option<&[f32]> {
        self.weights.as_deref().map(Vec::as_slice)
    }

    /// The bytes that the records take, what is shared with clones among them.
    #[must_use]
    pub fn memory(&self) -> usize {
        let lines = self.lines.len() + self.soft.as_ref().map_or(0, |soft| soft.len());
        let numbers = self.labels.len() + self.weights.as_ref().map_or(0, |weights| weights.len());
        let shared = 2 + usize::from(self.soft.is_some()) + usize::from(self.weights.is_some());
        lines * size_of::<Line>() + numbers * size_of::<u32>() + shared * SHARED
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

fn check_count(rows: usize) -> Result<(), Error> {
    if u32::try_from(rows).is_err() {
        return Err(Error::Examples(format!(
            "{rows} records are more than row numbers can count"
        )));
    }
    Ok(())
}

fn check_labels(labels: &[u32], rows: usize, classes: usize) -> Result<(), Error> {
    if labels.len() != rows {
        return Err(Error::Examples(format!(
            "{} labels for {rows} records",
            labels.len()
        )));
    }
    if let Some(row) = labels.iter().position(|&label| label as usize >= classes) {
        return Err(Error::Examples(format!(
            "record {row} has label {}, but there are {classes} classes (0 to {})",
            labels[row],
            classes.saturating_sub(1)
        )));
    }
    Ok(())
}

/// Appends records, each on lines of its own.
fn lay_out(features: &ArrayView2<f32>, lines: &mut Vec<Line>) -> Result<(), Error> {
    let lines_per_row = features.ncols().div_ceil(LINE);
    for (row, values) in features.rows().into_iter().enumerate() {
        let start = lines.len();
        lines.resize(start + lines_per_row, Line::ZERO);
        let target = &mut lines[start..];
        for (column, &value) in values.iter().enumerate() {
            if !value.is_finite() {
                return Err(Error::Examples(format!(
                    "feature {column} of record {row} is {value}; \
                     features must be finite, so fill in or drop missing values first"
                )));
            }
            if value.is_normal() {
                target[column / LINE].0[column % LINE] = value;
            }
        }
    }
    Ok(())
}
