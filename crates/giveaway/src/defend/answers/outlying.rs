//! Inputs that lie apart: nearer to another class than their predicted class's records are.
//!
//! The measure of an input with predicted class ŷ is `‖f − c_ŷ‖ − min_{j≠ŷ} ‖f − c_j‖`: the Euclidean distance of what the model's last layer sees of it to the centroid of
//! ŷ, less that to the nearest other centroid (docs/methods.md, distances; there for the true
//! class, which is not known of a query). The centroid of a class is the mean over the model's own
//! training records of that label. An input is outlying if its measure is above the quantile of
//! the model's own training records, so of them at most the given share is.
//!
//! Where the model does not tell what its last layer sees, its logits take that place.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis, Slice};
use rayon::prelude::*;

use super::guard::{cannot_ask, counts};
use super::row::answered;
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::trainer::{Model, Sink};

/// Tells which inputs lie apart for one model.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlying {
    /// Classes × width; zero for a class without training records.
    centroids: Array2<f32>,
    /// Which classes have training records.
    present: Vec<bool>,
    /// Inputs with a larger measure are outlying.
    threshold: f64,
    /// Whether distances are between what the last layer sees; else between logits.
    by_features: bool,
}

impl Outlying {
    /// Learns centroids and threshold from a model's own training records, `rows`, of which at
    /// most `share` are outlying; and tells which records of the data set are, `[records]`.
    ///
    /// # Errors
    /// If `share` is not between 0 and 1, there are no rows, or the model cannot be asked.
    pub fn learn(
        model: &dyn Model,
        dataset: &Dataset,
        rows: &[u32],
        share: f64,
    ) -> Result<(Self, Vec<bool>)> {
        check_share(share)?;
        let counts = counts(rows, dataset.len())?;
        let first = dataset.features.slice_axis(Axis(0), Slice::from(..1));
        // asked once, so that records and queries are measured alike
        let by_features = model.features_of(first)?.is_some();
        let each = |sink: Sink| {
            let outcome = if by_features {
                model.each_features(sink)
            } else {
                model.each_logits(sink)
            };
            outcome.map_err(cannot_ask)
        };

        let mut predicted = Vec::with_capacity(dataset.len());
        model
            .each_logits(&mut |block| {
                predicted.extend(block.outer_iter().map(|row| answered_of(row) as u32));
                Ok(())
            })
            .map_err(cannot_ask)?;

        let classes = dataset.class_count();
        let width = if by_features {
            model.features()
        } else {
            model.classes()
        };
        let mut sums = Array2::<f64>::zeros((classes, width));
        let mut members = vec![0.0f64; classes];
        let mut record = 0;
        each(&mut |block| {
            for row in block.outer_iter() {
                let count = f64::from(counts[record]);
                let label = dataset.labels[record] as usize;
                if count > 0.0 {
                    members[label] += count;
                    for (sum, &value) in sums.row_mut(label).iter_mut().zip(row) {
                        *sum += count * f64::from(value);
                    }
                }
                record += 1;
            }
            Ok(())
        })?;
        for (mut sum, &count) in sums.outer_iter_mut().zip(&members) {
            sum /= count.max(1.0);
        }
        let mut outlying = Self {
            centroids: sums.mapv(|x| x as f32),
            present: members.iter().map(|&count| count > 0.0).collect(),
            threshold: f64::INFINITY,
            by_features,
        };

        let mut measures = Vec::with_capacity(dataset.len());
        each(&mut |block| {
            let of_block = measures.len()..measures.len() + block.nrows();
            measures.extend(outlying.measures(block, &predicted[of_block]));
            Ok(())
        })?;
        let mut own: Vec<f64> = rows.iter().map(|&row| measures[row as usize]).collect();
        own.sort_unstable_by(f64::total_cmp);
        // one of the observed values, which at most the share is above
        let within = ((1.0 - share) * own.len() as f64 - 1e-9).ceil() as usize;
        outlying.threshold = own[within.clamp(1, own.len()) - 1];
        let flags = measures
            .iter()
            .map(|&measure| measure > outlying.threshold)
            .collect();
        Ok((outlying, flags))
    }

    /// Which inputs are outlying; `logits` are the model's for them.
    ///
    /// # Errors
    /// If the model cannot be asked.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a view is itself a reference, and ndarray passes views by value"
    )]
    pub fn of_inputs(
        &self,
        model: &dyn Model,
        inputs: ArrayView2<f32>,
        logits: ArrayView2<f32>,
    ) -> Result<Vec<bool>> {
        let predicted: Vec<u32> = logits
            .outer_iter()
            .map(|row| answered_of(row) as u32)
            .collect();
        let measures = if self.by_features {
            let features = model.features_of(inputs)?.ok_or_else(|| {
                Error::unexpected("the model no longer tells what its last layer sees")
            })?;
            self.measures(features.view(), &predicted)
        } else {
            self.measures(logits, &predicted)
        };
        Ok(measures
            .into_iter()
            .map(|measure| measure > self.threshold)
            .collect())
    }

    /// The measure of vectors of predicted classes. Infinite for a class that the model has no
    /// training record of; minus infinite where there is no other class.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a view is itself a reference, and ndarray passes views by value"
    )]
    fn measures(&self, vectors: ArrayView2<f32>, predicted: &[u32]) -> Vec<f64> {
        (0..vectors.nrows())
            .into_par_iter()
            .with_min_len(64)
            .map(|index| {
                let vector = vectors.row(index).to_vec();
                let own = predicted[index] as usize;
                if !self.present.get(own).copied().unwrap_or(false) {
                    return f64::INFINITY;
                }
                let (mut to_own, mut to_other) = (0.0, f64::INFINITY);
                for (class, centroid) in self.centroids.outer_iter().enumerate() {
                    if !self.present[class] {
                        continue;
                    }
                    let distance = distance(&vector, centroid);
                    if class == own {
                        to_own = distance;
                    } else {
                        to_other = distance.min(to_other);
                    }
                }
                to_own - to_other
            })
            .collect()
    }
}

/// Looks whether a share of inputs makes sense.
pub(super) fn check_share(share: f64) -> Result<()> {
    if share > 0.0 && share < 1.0 {
        return Ok(());
    }
    Err(
        Error::usage(format!("the share of outlying inputs is {share}"))
            .hint("give a number between 0 and 1, such as 0.1"),
    )
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "a view is itself a reference, and ndarray passes views by value"
)]
fn answered_of(row: ArrayView1<f32>) -> usize {
    row.as_slice()
        .map_or_else(|| answered(&row.to_vec()), answered)
}

/// Euclidean; sixteen sums side by side, always in the same order.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a view is itself a reference, and ndarray passes views by value"
)]
fn distance(vector: &[f32], centroid: ArrayView1<f32>) -> f64 {
    let mut sums = [0f32; 16];
    let centroid = centroid.as_slice().unwrap_or_default();
    for (a, b) in vector.chunks(16).zip(centroid.chunks(16)) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += (a - b) * (a - b);
        }
    }
    sums.iter().map(|&sum| f64::from(sum)).sum::<f64>().sqrt()
}
