//! The inputs that may be asked: valid records that are far enough from the one under attack.

use std::collections::HashSet;
use std::ops::Range;

use giveaway_stats::random::Stream;
use rayon::prelude::*;

use crate::dataset::{Dataset, ImageShape};

/// Records whose distance to their nearest other record says what distances are usual.
const SAMPLED: usize = 1000;

/// An input to ask, for one record of the unit under attack.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// As models take it: encoded features.
    pub features: Vec<f32>,
    /// For tables: of each column, the record that its value is from. Empty for images.
    pub donors: Vec<u32>,
    /// The record that it stands in for: its label goes with the query.
    pub record: u32,
}

impl Query {
    /// The bits of the features: what two equal queries share.
    #[must_use]
    pub fn key(&self) -> Vec<u32> {
        key(&self.features)
    }
}

fn key(features: &[f32]) -> Vec<u32> {
    features.iter().map(|x| x.to_bits()).collect()
}

/// What queries may be made of.
///
/// For tables every column of a query has the value that some record has there, so ranges,
/// whole numbers, one-hot groups and missing values are as in the data, whatever they mean.
/// For images pixels are free within the range of the data, in its steps.
#[derive(Debug)]
pub struct QuerySpace<'a> {
    dataset: &'a Dataset,
    /// Records that lend values, sorted.
    donors: &'a [u32],
    /// The features of each original column.
    columns: Vec<Range<usize>>,
    image: Option<ImageSpace>,
    usual_distance: f32,
    /// Inputs that may be asked for nobody, by their bits.
    forbidden: HashSet<Vec<u32>>,
}

#[derive(Clone, Copy, Debug)]
struct ImageSpace {
    shape: ImageShape,
    lowest: f32,
    highest: f32,
}

/// What must not be asked for one unit: inputs nearer than `floor` to any of `guarded`.
#[derive(Clone, Debug, PartialEq)]
pub struct Guard {
    /// The unit's records and the near-duplicates of each: other records that are nearer than
    /// the floor would be if nobody were isolated.
    pub guarded: Vec<u32>,
    /// The smallest distance allowed.
    pub floor: f32,
    /// Distance of the nearest other record to one of the unit's.
    pub nearest_record: f32,
}

impl<'a> QuerySpace<'a> {
    /// The space of a data set, with the values and distances of these records (sorted).
    #[must_use]
    pub fn new(dataset: &'a Dataset, donors: &'a [u32], seed: u64) -> Self {
        let mut space = Self {
            dataset,
            donors,
            columns: columns(dataset),
            image: dataset.schema.image.map(|shape| {
                let (mut lowest, mut highest) = (f32::INFINITY, f32::NEG_INFINITY);
                for &record in donors {
                    for &value in dataset.features.row(record as usize) {
                        lowest = lowest.min(value);
                        highest = highest.max(value);
                    }
                }
                ImageSpace {
                    shape,
                    lowest,
                    highest,
                }
            }),
            usual_distance: 0.0,
            forbidden: HashSet::new(),
        };
        let mut sampled = donors.to_vec();
        Stream::new(seed, "usual distance between records", 0).shuffle(&mut sampled);
        sampled.truncate(SAMPLED);
        let mut distances: Vec<f32> = sampled
            .par_iter()
            .map(|&record| space.nearest_other(&[record]))
            .filter(|far| far.is_finite())
            .collect();
        distances.sort_unstable_by(f32::total_cmp);
        space.usual_distance = distances.get(distances.len() / 2).copied().unwrap_or(0.0);
        space
    }

    /// The same space, in which none of these records may be asked, for whichever unit: the
    /// records of all units under attack, so that no query is one that a filter knows.
    #[must_use]
    pub fn without(mut self, records: &[u32]) -> Self {
        self.forbidden = records
            .iter()
            .map(|&record| key(self.features(record)))
            .collect();
        self
    }

    /// The median distance of a record to its nearest other record.
    #[must_use]
    pub fn usual_distance(&self) -> f32 {
        self.usual_distance
    }

    /// Whether records are images.
    #[must_use]
    pub fn is_image(&self) -> bool {
        self.image.is_some()
    }

    /// Original columns.
    #[must_use]
    pub fn columns(&self) -> &[Range<usize>] {
        &self.columns
    }

    /// The records that lend values.
    #[must_use]
    pub fn donors(&self) -> &[u32] {
        self.donors
    }

    /// Encoded features of a record.
    #[must_use]
    pub fn features(&self, record: u32) -> &[f32] {
        let width = self.dataset.features.ncols();
        let all = self.dataset.features.as_slice().unwrap_or_default();
        &all[record as usize * width..][..width]
    }

    /// The class of a record.
    #[must_use]
    pub fn label(&self, record: u32) -> u32 {
        self.dataset.labels[record as usize]
    }

    /// The class that each query is asked for.
    #[must_use]
    pub fn labels(&self, queries: &[Query]) -> Vec<u32> {
        queries.iter().map(|q| self.label(q.record)).collect()
    }

    /// What must not be asked for the unit of these records. The floor is `multiple` times the
    /// distance of the nearest other record, or times the usual one, whichever is larger: no
    /// query is nearer to the unit than real records come.
    #[must_use]
    pub fn guard(&self, own: &[u32], multiple: f64) -> Guard {
        let nearest = self.nearest_other(own);
        // Where there is no other input at all, nothing can be built, and nothing is infinite.
        let nearest_record = if nearest.is_finite() {
            nearest
        } else {
            self.usual_distance
        };
        let common = (f64::from(self.usual_distance) * multiple) as f32;
        let floor = common.max((f64::from(nearest_record) * multiple) as f32);
        let mut guarded = own.to_vec();
        guarded.extend(self.donors.iter().copied().filter(|donor| {
            !own.contains(donor)
                && own
                    .iter()
                    .any(|&r| distance(self.features(r), self.features(*donor)) < common)
        }));
        Guard {
            guarded,
            floor,
            nearest_record,
        }
    }

    /// Distance of an input to the nearest guarded record.
    #[must_use]
    pub fn distance_to(&self, guard: &Guard, features: &[f32]) -> f32 {
        guard
            .guarded
            .iter()
            .map(|&record| distance(self.features(record), features))
            .fold(f32::INFINITY, f32::min)
    }

    /// Whether an input may be asked.
    #[must_use]
    pub fn allows(&self, guard: &Guard, features: &[f32]) -> bool {
        let far = self.distance_to(guard, features);
        far >= guard.floor
            && far > 0.0
            && features.iter().all(|x| x.is_finite())
            && (self.forbidden.is_empty() || !self.forbidden.contains(&key(features)))
    }

    /// The query that is this record as it is, asked for another.
    #[must_use]
    pub fn as_it_is(&self, other: u32, record: u32) -> Query {
        Query {
            features: self.features(other).to_vec(),
            donors: if self.is_image() {
                Vec::new()
            } else {
                vec![other; self.columns.len()]
            },
            record,
        }
    }

    /// Gives a column of a query of a table the value that a donor has.
    pub fn lend(&self, query: &mut Query, column: usize, donor: u32) {
        let range = self.columns[column].clone();
        query.features[range.clone()].copy_from_slice(&self.features(donor)[range]);
        query.donors[column] = donor;
    }

    /// Brings pixels back into range and onto the steps that images of bytes have.
    pub fn settle_image(&self, features: &mut [f32]) {
        let Some(image) = self.image else { return };
        for value in features {
            *value = value.clamp(image.lowest, image.highest);
            if image.shape.bytes {
                *value = (*value * 255.0).round() / 255.0;
            }
        }
    }

    /// Moves an image away from the guarded record nearest to it, until it is at the floor.
    pub fn push_out(&self, guard: &Guard, features: &mut [f32]) {
        let Some(&nearest) = guard.guarded.iter().min_by(|&&a, &&b| {
            let to = |record| distance(self.features(record), features);
            to(a).total_cmp(&to(b))
        }) else {
            return;
        };
        let centre = self.features(nearest);
        let far = distance(centre, features);
        if far < guard.floor && far > 0.0 {
            // A little farther: rounding and the range take some of it back.
            let stretch = 1.02 * guard.floor / far;
            for (value, &from) in features.iter_mut().zip(centre) {
                *value = from + (*value - from) * stretch;
            }
        }
    }

    /// Columns in which a query differs from its record; nothing for images.
    #[must_use]
    pub fn columns_changed(&self, query: &Query) -> Option<Vec<usize>> {
        if self.is_image() {
            return None;
        }
        let own = self.features(query.record);
        let differs = |range: &Range<usize>| {
            own[range.clone()]
                .iter()
                .zip(&query.features[range.clone()])
                .any(|(a, b)| a.to_bits() != b.to_bits())
        };
        Some(
            (0..self.columns.len())
                .filter(|&c| differs(&self.columns[c]))
                .collect(),
        )
    }

    /// Distance of the nearest other input. A twin is no other: it is the same input, and guarded.
    fn nearest_other(&self, own: &[u32]) -> f32 {
        self.donors
            .iter()
            .filter(|donor| !own.contains(donor))
            .flat_map(|&donor| {
                own.iter()
                    .map(move |&record| squared(self.features(record), self.features(donor)))
            })
            .filter(|&far| far > 0.0)
            .fold(f32::INFINITY, f32::min)
            .sqrt()
    }
}

/// Euclidean distance of encoded features: standardised numbers, √2 for another category.
#[must_use]
pub fn distance(a: &[f32], b: &[f32]) -> f32 {
    squared(a, b).sqrt()
}

fn squared(a: &[f32], b: &[f32]) -> f32 {
    // Eight sums side by side, in one order whatever the machine.
    let mut sums = [0.0f32; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a8
        .remainder()
        .iter()
        .zip(b8.remainder())
        .map(|(x, y)| (x - y) * (x - y))
        .sum();
    for (x, y) in a8.zip(b8) {
        for lane in 0..8 {
            sums[lane] += (x[lane] - y[lane]) * (x[lane] - y[lane]);
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// Runs of features that are made from one original column.
fn columns(dataset: &Dataset) -> Vec<Range<usize>> {
    let mut columns: Vec<Range<usize>> = Vec::new();
    let mut last = None;
    for (index, feature) in dataset.schema.features.iter().enumerate() {
        match columns.last_mut() {
            Some(range) if last == Some(&feature.column) => range.end = index + 1,
            _ => columns.push(index..index + 1),
        }
        last = Some(&feature.column);
    }
    columns
}
