//! Inputs and values of `conformance/geometry/generate.py`, for the tests of all measures.

use std::collections::HashMap;

use giveaway_stats::random::Stream;
use ndarray::Array2;

use crate::dataset::{Body, Table, TableOptions, Values};

/// Vectors with classes, and what scikit-learn computes of them.
pub(super) struct Reference {
    name: &'static str,
    pub(super) vectors: Array2<f32>,
    pub(super) labels: Vec<u32>,
    /// Values are of every how manieth record.
    pub(super) step: usize,
    values: HashMap<String, Vec<f64>>,
}

impl Reference {
    pub(super) fn both() -> [Self; 2] {
        [Self::breast_cancer(), Self::adult()]
    }

    pub(super) fn breast_cancer() -> Self {
        Self::new("breast-cancer", usize::MAX, 3, 0.0)
    }

    pub(super) fn adult() -> Self {
        Self::new("adult", 1200, 10, 0.05)
    }

    fn new(name: &'static str, most: usize, step: usize, added: f64) -> Self {
        let table = Table::shipped(name, &TableOptions::default()).unwrap();
        let records = table.len().min(most);
        let Body::Columns(columns) = &table.body else {
            panic!("{name} has columns");
        };
        let columns: Vec<&[f64]> = columns
            .iter()
            .filter_map(|column| match &column.values {
                Values::Numeric(numbers) => Some(&numbers[..records]),
                Values::Categorical { .. } => None,
            })
            .collect();
        let mut vectors = Array2::zeros((records, columns.len()));
        for (place, column) in columns.iter().enumerate() {
            let mean = column.iter().sum::<f64>() / records as f64;
            let square = column.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
            let deviation = (square / records as f64).sqrt();
            for (row, x) in column.iter().enumerate() {
                let noise = added * uniform(row as u64, place as u64);
                vectors[[row, place]] = ((x - mean) / deviation + noise) as f32;
            }
        }
        let text = include_str!("../../../../../conformance/geometry/values.txt");
        let values = text
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.split_once(": "))
            .map(|(key, numbers)| {
                let numbers = numbers.split(' ').map(|x| x.parse().unwrap());
                (key.to_owned(), numbers.collect())
            })
            .collect();
        Self {
            name,
            vectors,
            labels: table.labels[..records].to_vec(),
            step,
            values,
        }
    }

    pub(super) fn values(&self, key: &str) -> &[f64] {
        &self.values[key]
    }

    pub(super) fn all(&self) -> Vec<u32> {
        (0..self.labels.len() as u32).collect()
    }

    /// Whether per-record values agree, relative to the larger of the value and `scale`.
    pub(super) fn compare(&self, key: &str, ours: &[f64], tolerance: f64, scale: f64) {
        let theirs = self.values(key);
        assert_eq!(theirs.len(), self.labels.len().div_ceil(self.step));
        for (place, (&theirs, &ours)) in theirs
            .iter()
            .zip(ours.iter().step_by(self.step))
            .enumerate()
        {
            let record = place * self.step;
            assert!(
                (ours - theirs).abs() <= tolerance * theirs.abs().max(scale),
                "{}, {key} of record {record}: {ours} and not {theirs}",
                self.name
            );
        }
    }
}

/// 24 bits of splitmix64 of the place, in [0, 1).
fn uniform(row: u64, column: u64) -> f64 {
    let mut z = (row * 16 + column + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    (z >> 40) as f64 / f64::from(1u32 << 24)
}

/// Normal numbers, records × width.
pub(super) fn normal(records: usize, width: usize, seed: u64) -> Array2<f32> {
    let mut stream = Stream::new(seed, "vectors", 0);
    Array2::from_shape_fn((records, width), |_| stream.normal() as f32)
}

/// Random labels.
pub(super) fn random_labels(records: usize, classes: usize, seed: u64) -> Vec<u32> {
    let mut stream = Stream::new(seed, "labels", 0);
    (0..records).map(|_| stream.below(classes) as u32).collect()
}

/// What a function makes in a pool of so many threads.
pub(super) fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap();
    pool.install(work)
}
