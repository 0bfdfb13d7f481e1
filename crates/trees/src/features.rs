//! Features in bins.

use std::sync::{Arc, OnceLock};

use ndarray::ArrayView2;
use rayon::prelude::*;

use crate::Error;

/// Bins that a feature has at most.
pub const MOST_BINS: usize = 255;

/// The features of a data set in bins, one byte for each value; a clone shares them.
///
/// A feature of at most 255 distinct values has a bin for each, with the thresholds half-way
/// between neighbours; one of more has its thresholds at the 255-quantiles, as scikit-learn's
/// `HistGradientBoostingClassifier` has them without weights. Thresholds are float32: half-way
/// is rounded down, never up to the larger neighbour, so a record takes the same path through a
/// tree by its bins and by its features.
///
/// The bins are learnt from all records given. A model that is trained on some of them
/// therefore knows of the others where bins end, and nothing else.
#[derive(Clone, Debug)]
pub struct Features {
    records: usize,
    columns: Arc<[Column]>,
    /// Feature after feature.
    codes: Arc<[u8]>,
    sparse: Arc<OnceLock<Sparse>>,
}

#[derive(Debug)]
pub(crate) struct Column {
    /// Ascending; the last bin has none.
    pub(crate) thresholds: Vec<f32>,
}

impl Column {
    /// The bin of a value: the thresholds below it.
    pub(crate) fn code(&self, value: f32) -> u8 {
        // there are at most 254
        self.thresholds.partition_point(|&t| t < value) as u8
    }

    pub(crate) fn bins(&self) -> usize {
        self.thresholds.len() + 1
    }
}

/// What of the records is not usual: for each record the bins that are not the most frequent
/// ones of their features. A one-hot group of many columns has one or two such entries, so sums
/// over bins take a fraction of the additions; the usual bin has the rest of the total.
#[derive(Debug)]
pub(crate) struct Sparse {
    /// Where the bins of each feature begin among the bins of all, and their number.
    pub(crate) starts: Vec<usize>,
    /// The most frequent bin of each feature.
    pub(crate) usual: Vec<u8>,
    ends: Vec<usize>,
    bins: Vec<u32>,
}

impl Sparse {
    /// The unusual bins of a record, among the bins of all features.
    pub(crate) fn of(&self, record: usize) -> &[u32] {
        let start = if record == 0 {
            0
        } else {
            self.ends[record - 1]
        };
        &self.bins[start..self.ends[record]]
    }

    /// Entries of all records.
    pub(crate) fn len(&self) -> usize {
        self.bins.len()
    }
}

impl Features {
    /// Puts features, records × features, in bins learnt from them.
    ///
    /// # Errors
    /// If there are none, more than 2^32 − 2 of either, or one is not finite.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a view is itself a reference, and ndarray passes views by value"
    )]
    pub fn new(features: ArrayView2<f32>) -> Result<Self, Error> {
        let (records, width) = features.dim();
        if records == 0 || width == 0 {
            return Err(Error::Features(format!(
                "{records} records of {width} features: there is nothing to bin"
            )));
        }
        if records >= u32::MAX as usize || width >= u32::MAX as usize {
            return Err(Error::Features(format!(
                "{records} records of {width} features are more than 32 bits can number"
            )));
        }
        check_finite(&features)?;
        let mut codes = vec![0; records * width];
        let columns: Vec<Column> = codes
            .par_chunks_mut(records)
            .enumerate()
            .map(|(feature, codes)| {
                let values = features.column(feature);
                let column = Column {
                    thresholds: thresholds(values.to_vec()),
                };
                for (code, &value) in codes.iter_mut().zip(values) {
                    *code = column.code(value);
                }
                column
            })
            .collect();
        Ok(Self {
            records,
            columns: columns.into(),
            codes: codes.into(),
            sparse: Arc::default(),
        })
    }

    /// These records and more of them, in the bins that there are.
    ///
    /// # Errors
    /// If the new ones have another number of features, or one is not finite.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a view is itself a reference, and ndarray passes views by value"
    )]
    pub fn with_more(&self, features: ArrayView2<f32>) -> Result<Self, Error> {
        self.check_width(features.ncols())?;
        check_finite(&features)?;
        let records = self.records + features.nrows();
        if records >= u32::MAX as usize {
            return Err(Error::Features(format!(
                "{records} records are more than 32 bits can number"
            )));
        }
        let mut codes = Vec::with_capacity(records * self.width());
        for (feature, column) in self.columns.iter().enumerate() {
            codes.extend_from_slice(self.codes(feature));
            codes.extend(features.column(feature).iter().map(|&x| column.code(x)));
        }
        Ok(Self {
            records,
            columns: Arc::clone(&self.columns),
            codes: codes.into(),
            sparse: Arc::default(),
        })
    }

    /// Number of records.
    #[must_use]
    pub fn records(&self) -> usize {
        self.records
    }

    /// Number of features.
    #[must_use]
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// The thresholds of a feature, ascending: bin b has the values above threshold b − 1 up to
    /// threshold b.
    ///
    /// # Panics
    /// If there is no such feature.
    #[must_use]
    pub fn thresholds(&self, feature: usize) -> &[f32] {
        &self.columns[feature].thresholds
    }

    /// The bin of each record's value of a feature.
    ///
    /// # Panics
    /// If there is no such feature.
    #[must_use]
    pub fn codes(&self, feature: usize) -> &[u8] {
        &self.codes[feature * self.records..(feature + 1) * self.records]
    }

    /// Bytes that they take, with what boosting keeps beside the bins.
    #[must_use]
    pub fn memory(&self) -> usize {
        let bins: usize = self.columns.iter().map(Column::bins).sum();
        let unusual: usize = (0..self.width())
            .into_par_iter()
            .map(|feature| self.records - usual(self.codes(feature)).1)
            .sum();
        self.codes.len()
            + bins * size_of::<f32>()
            + self.records * size_of::<usize>()
            + unusual * size_of::<u32>()
    }

    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    pub(crate) fn check_width(&self, width: usize) -> Result<(), Error> {
        if width == self.width() {
            return Ok(());
        }
        Err(Error::Features(format!(
            "records of {width} features where there should be {}",
            self.width()
        )))
    }

    /// What of the records is not usual; found when it is first asked for.
    pub(crate) fn sparse(&self) -> &Sparse {
        self.sparse.get_or_init(|| {
            let mut starts = vec![0];
            for column in self.columns.iter() {
                starts.push(starts[starts.len() - 1] + column.bins());
            }
            let usual: Vec<u8> = (0..self.width())
                .map(|feature| usual(self.codes(feature)).0)
                .collect();
            let mut ends = vec![0usize; self.records];
            for (feature, &usual) in usual.iter().enumerate() {
                for (end, &code) in ends.iter_mut().zip(self.codes(feature)) {
                    *end += usize::from(code != usual);
                }
            }
            let mut total = 0;
            for end in &mut ends {
                let count = *end;
                *end = total;
                total += count;
            }
            let mut bins = vec![0; total];
            for (feature, &usual) in usual.iter().enumerate() {
                for (end, &code) in ends.iter_mut().zip(self.codes(feature)) {
                    if code != usual {
                        bins[*end] = (starts[feature] + usize::from(code)) as u32;
                        *end += 1;
                    }
                }
            }
            Sparse {
                starts,
                usual,
                ends,
                bins,
            }
        })
    }
}

/// The most frequent bin, and of how many records.
fn usual(codes: &[u8]) -> (u8, usize) {
    let mut counts = [0usize; 256];
    for &code in codes {
        counts[usize::from(code)] += 1;
    }
    let mut most = (0, counts[0]);
    for (code, &count) in counts.iter().enumerate() {
        if count > most.1 {
            most = (code as u8, count);
        }
    }
    most
}

/// # Errors
/// If a feature is infinite or not a number.
pub(crate) fn check_finite(features: &ArrayView2<f32>) -> Result<(), Error> {
    for (record, row) in features.outer_iter().enumerate() {
        if let Some(feature) = row.iter().position(|x| !x.is_finite()) {
            return Err(Error::Features(format!(
                "feature {feature} of record {record} (counted from 0) is {}, which is no finite number",
                row[feature]
            )));
        }
    }
    Ok(())
}

/// Thresholds between bins of these values.
fn thresholds(mut values: Vec<f32>) -> Vec<f32> {
    values.sort_unstable_by(f32::total_cmp);
    let mut distinct = values.clone();
    // 0 and −0 are one value
    #[expect(
        clippy::float_cmp,
        reason = "equal values share a bin, near ones do not"
    )]
    distinct.dedup_by(|a, b| a == b);
    if distinct.len() <= MOST_BINS {
        return distinct
            .windows(2)
            .map(|pair| between(pair[0], pair[1]))
            .collect();
    }
    // quantiles by the averaged inverse of the empirical distribution function
    let count = values.len();
    let mut thresholds: Vec<f32> = (1..MOST_BINS)
        .map(|part| {
            let place = count * part;
            let at = place / MOST_BINS;
            if place.is_multiple_of(MOST_BINS) {
                between(values[at - 1], values[at])
            } else {
                values[at]
            }
        })
        .collect();
    #[expect(clippy::float_cmp, reason = "equal thresholds are one")]
    thresholds.dedup_by(|a, b| a == b);
    // nothing is above the largest value
    let largest = values[count - 1];
    thresholds.retain(|&t| t < largest);
    thresholds
}

/// Half-way from `low` to `high`, at least `low` and, where they differ, below `high`.
fn between(low: f32, high: f32) -> f32 {
    let middle = f64::midpoint(f64::from(low), f64::from(high)) as f32;
    if middle < high { middle } else { low }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    #[test]
    fn few_values_have_a_bin_each_with_thresholds_half_way() {
        let next = f32::from_bits(1f32.to_bits() + 1);
        let values = [3.0, 1.0, next, -0.0, 0.0, 3.0, -7.5];
        let features = Features::new(
            Array2::from_shape_vec((7, 1), values.to_vec())
                .unwrap()
                .view(),
        )
        .unwrap();
        assert_eq!(features.thresholds(0), [-3.75, 0.5, 1.0, 2.0]);
        assert_eq!(features.codes(0), [4, 2, 3, 1, 1, 4, 0]);
    }

    #[test]
    fn many_values_have_quantiles_and_none_is_above_the_last_bin() {
        let values = Array2::from_shape_fn((1000, 2), |(i, j)| {
            if j == 0 {
                (i * 7 % 1000) as f32
            } else {
                (i.min(400)) as f32
            }
        });
        let features = Features::new(values.view()).unwrap();
        assert_eq!(features.thresholds(0).len(), 254);
        // the 51/255 = 1/5 quantile of 0..1000 lies between 199 and 200
        assert_eq!(features.thresholds(0)[50].to_bits(), 199.5f32.to_bits());
        let mut counts = [0; 256];
        for &code in features.codes(0) {
            counts[usize::from(code)] += 1;
        }
        assert!(counts[..255].iter().all(|c| (3..=4).contains(c)));
        assert!(features.thresholds(1).iter().all(|&t| t < 400.0));
    }

    #[test]
    fn what_is_not_finite_is_refused_by_name() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = Array2::zeros((3, 2));
            values[[2, 1]] = bad;
            let error = Features::new(values.view()).unwrap_err().to_string();
            assert!(error.contains("feature 1 of record 2"), "{error}");
            let good = Features::new(Array2::zeros((3, 2)).view()).unwrap();
            assert!(good.with_more(values.view()).is_err());
            assert!(good.with_more(Array2::zeros((1, 3)).view()).is_err());
        }
        assert!(Features::new(Array2::zeros((0, 2)).view()).is_err());
        assert!(Features::new(Array2::zeros((2, 0)).view()).is_err());
    }

    #[test]
    fn sparse_entries_are_the_bins_that_are_not_usual() {
        let values = Array2::from_shape_fn((40, 5), |(i, j)| ((i * (j + 3)) % (j + 2)) as f32);
        let features = Features::new(values.view()).unwrap();
        let sparse = features.sparse();
        let mut entries = 0;
        for record in 0..40 {
            let mut codes = sparse.usual.clone();
            for &bin in sparse.of(record) {
                let feature = sparse.starts.partition_point(|&s| s <= bin as usize) - 1;
                codes[feature] = (bin as usize - sparse.starts[feature]) as u8;
            }
            let want: Vec<u8> = (0..5).map(|f| features.codes(f)[record]).collect();
            assert_eq!(codes, want);
            entries += sparse.of(record).len();
        }
        assert_eq!(entries, sparse.len());
        let unusual = (0..5).map(|feature| 40 - usual(features.codes(feature)).1);
        assert_eq!(entries, unusual.sum::<usize>());
    }
}
