//! Nearest neighbours within the own class and in other classes, and the silhouette, in one sweep.
//!
//! Blocks of rows meet blocks of columns: products of the vectors are computed in float32, squared
//! distances follow from them and the norms, and each is looked at once: its root is added to
//! the sum of its class, and if it is small enough it enters the row's short list. Columns are
//! ordered by class, so that a sum is a loop over numbers that lie side by side.
//!
//! Squared distances made that way lose the digits of near-duplicates. So vectors are centred
//! first; a square below its rounding error counts as 0; short lists keep more candidates than
//! are wanted; their distances are computed anew from the vectors, in float64; and sums of classes
//! are corrected by what that changes, which is where the error was.

#![expect(
    clippy::inline_always,
    reason = "vector code works only when inlined into a function compiled for its instruction set"
)]

use std::ops::Range;

use giveaway_nn::{Loops, vectorised};
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, Axis, Slice};
use rayon::prelude::*;

use super::linear::{column_moments, squared_distance};
use super::{check_labels, check_vectors};
use crate::error::{Error, Result};

/// In place of a record or a class where there is none.
pub const NONE: u32 = u32::MAX;

/// Rows of a block: what one thread takes at a time.
const ROWS: usize = 256;

/// Columns of a block; the products of a block stay in a core's cache.
const COLUMNS: usize = 512;

/// Numbers that are added side by side.
const LANES: usize = 16;

/// Candidates that a short list keeps above the wanted number.
fn spare(k: usize) -> usize {
    8 + k / 2
}

/// Up to k neighbours of every record, nearest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Lists {
    k: usize,
    /// Records × k; [`NONE`] behind the last.
    records: Vec<u32>,
    /// Records × k; infinite behind the last.
    distances: Vec<f32>,
}

impl Lists {
    /// Lists from arrays of records × k, nearest first; [`NONE`] and an infinite distance behind
    /// the last where there are fewer.
    ///
    /// # Errors
    /// If the arrays differ in length, have no whole number of rows, or name records without a list.
    pub fn new(k: usize, records: Vec<u32>, distances: Vec<f32>) -> Result<Self> {
        let fits = k > 0 && records.len().is_multiple_of(k) && records.len() == distances.len();
        let rows = records.len() / k.max(1);
        if !fits || records.iter().any(|&r| r != NONE && r as usize >= rows) {
            return Err(Error::unexpected(format!(
                "{} neighbours with {} distances, {k} a record",
                records.len(),
                distances.len()
            )));
        }
        Ok(Self {
            k,
            records,
            distances,
        })
    }

    /// The wanted number of neighbours.
    #[must_use]
    pub fn k(&self) -> usize {
        self.k
    }

    /// The number of records that have a list.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len() / self.k
    }

    /// Whether there are no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The neighbours of a record, nearest first.
    #[must_use]
    pub fn records(&self, record: usize) -> &[u32] {
        let all = &self.records[record * self.k..(record + 1) * self.k];
        &all[..all.iter().position(|&r| r == NONE).unwrap_or(self.k)]
    }

    /// Their distances.
    #[must_use]
    pub fn distances(&self, record: usize) -> &[f32] {
        let first = record * self.k;
        &self.distances[first..first + self.records(record).len()]
    }

    /// The nearest neighbour with its distance, if there is any.
    #[must_use]
    pub fn nearest(&self, record: usize) -> Option<(u32, f32)> {
        let first = record * self.k;
        (self.records[first] != NONE).then(|| (self.records[first], self.distances[first]))
    }

    /// Distance to the k-th nearest, per record: to the last that there is where there are fewer, and
    /// infinite where there is none.
    #[must_use]
    pub fn farthest(&self) -> Vec<f32> {
        (0..self.len())
            .map(|record| {
                let distances = self.distances(record);
                distances.last().copied().unwrap_or(f32::INFINITY)
            })
            .collect()
    }

    /// Mean distance to the neighbours, per record; infinite where there is none.
    #[must_use]
    pub fn mean_distance(&self) -> Vec<f64> {
        (0..self.len())
            .map(|record| {
                let distances = self.distances(record);
                if distances.is_empty() {
                    return f64::INFINITY;
                }
                distances.iter().map(|&d| f64::from(d)).sum::<f64>() / distances.len() as f64
            })
            .collect()
    }
}

/// Neighbours and silhouette of every record.
#[derive(Clone, Debug, PartialEq)]
pub struct Geometry {
    /// The nearest records of the own class.
    pub own: Lists,
    /// The nearest records of other classes.
    pub other: Lists,
    /// Mean distance to the records of the own class; `NaN` where there is no other of it.
    pub mean_own: Vec<f64>,
    /// Smallest mean distance to the records of another class; `NaN` where there is no other class.
    pub mean_nearest_other: Vec<f64>,
    /// The class that this is; [`NONE`] where there is none.
    pub nearest_class: Vec<u32>,
    /// Silhouette coefficient, -1 to 1: `(b - a) / max(a, b)` of the two means. 0 where the record
    /// is alone in its class (as scikit-learn has it), where there is no other class, and where
    /// both means are 0.
    pub silhouette: Vec<f64>,
}

impl Geometry {
    /// The k nearest records of whatever class: both lists merged; equally near ones by number.
    #[must_use]
    pub fn nearest(&self) -> Lists {
        let k = self.own.k;
        let mut lists = Lists {
            k,
            records: Vec::with_capacity(self.own.records.len()),
            distances: Vec::with_capacity(self.own.records.len()),
        };
        for row in 0..self.own.len() {
            let (mut i, mut j) = (row * k, row * k);
            for _ in 0..k {
                let of = |lists: &Lists, place: usize| {
                    (
                        lists.distances.get(place).copied().unwrap_or(f32::INFINITY),
                        lists.records.get(place).copied().unwrap_or(NONE),
                    )
                };
                // neither list can run out before k are taken
                let (own, other) = (of(&self.own, i), of(&self.other, j));
                let taken = if own <= other {
                    i += 1;
                    own
                } else {
                    j += 1;
                    other
                };
                lists.distances.push(taken.0);
                lists.records.push(taken.1);
            }
        }
        lists
    }

    /// Of the k nearest records of whatever class, the share with the label of the record itself;
    /// `NaN` where it has no neighbour.
    #[must_use]
    pub fn label_agreement(&self, labels: &[u32]) -> Vec<f64> {
        let nearest = self.nearest();
        (0..nearest.len())
            .map(|record| {
                let neighbours = nearest.records(record);
                let same = neighbours
                    .iter()
                    .filter(|&&n| labels[n as usize] == labels[record])
                    .count();
                same as f64 / neighbours.len() as f64
            })
            .collect()
    }

    /// Mean distance to the k nearest of the own class over that to the k nearest of other classes:
    /// above 1, the record is nearer to others than to its own. 1 where both are 0, infinite where
    /// only the other is 0 or where it has no neighbour of its own class, 0 where there is no
    /// other class, `NaN` where there are neither.
    #[must_use]
    pub fn own_to_other_ratio(&self) -> Vec<f64> {
        self.own
            .mean_distance()
            .into_iter()
            .zip(self.other.mean_distance())
            .map(|(own, other)| {
                if own == 0.0 && other == 0.0 {
                    1.0
                } else {
                    own / other
                }
            })
            .collect()
    }
}

/// The nearest so far, by squared distance and then by number.
struct Shortlist {
    found: Vec<(f32, u32)>,
    most: usize,
}

impl Shortlist {
    fn new(most: usize) -> Self {
        Self {
            found: Vec::with_capacity(most),
            most,
        }
    }

    /// What a squared distance may be at most to enter.
    fn limit(&self) -> f32 {
        if self.found.len() < self.most {
            f32::INFINITY
        } else {
            self.found[self.most - 1].0
        }
    }

    fn offer(&mut self, square: f32, record: u32) {
        let new = (square, record);
        if self.found.len() == self.most {
            if new >= self.found[self.most - 1] {
                return;
            }
            self.found.pop();
        }
        let place = self.found.partition_point(|&there| there < new);
        self.found.insert(place, new);
    }
}

/// Columns of one class that lie side by side within a block.
struct Segment {
    class: usize,
    columns: Range<usize>,
}

/// What all blocks share.
struct Sweep<'a> {
    vectors: &'a [f32],
    width: usize,
    labels: &'a [u32],
    owners: &'a [u32],
    classes: usize,
    k: usize,
    /// Subtracted from the vectors before products.
    centre: Vec<f32>,
    /// Squared norms of the centred vectors.
    norms: Vec<f32>,
    /// A squared distance below this share of the sum of two squared norms is rounding.
    floor: f32,
    /// The records of `among`, by class and then by number.
    columns: Vec<u32>,
    /// Number of records of `among` per class.
    counts: Vec<u32>,
    /// (owner, position in `columns`), sorted.
    of_owner: Vec<(u32, u32)>,
}

/// Records and distances of the lists of some rows.
type Side = (Vec<u32>, Vec<f32>);

/// Results of a block of rows.
struct Part {
    own: Side,
    other: Side,
    mean_own: Vec<f64>,
    mean_nearest_other: Vec<f64>,
    nearest_class: Vec<u32>,
}

/// Finds neighbours and silhouettes of all records.
///
/// - `vectors`: records × width; distances are Euclidean.
/// - `labels`: the class of each record, below `classes`.
/// - `owners`: the unit of each record. Records of one unit are never neighbours, and do not count in
///   each other's mean distances.
/// - `among`: the records that may be neighbours, ascending; all of them, or a sample where there are
///   very many. Mean distances are over them as well.
/// - `k`: how many neighbours of either kind.
/// - `step`: told of every number of records that are done.
///
/// Distances of the lists are exact to float32. Which records are listed was decided by squared
/// distances in float32: where more than k/2 + 8 records are equally near to within about
/// 1e-6 of the squared distances from the centre, another one of them may be named; equally near
/// ones are listed by number.
///
/// # Errors
/// If arrays do not fit each other, `among` does not ascend, k is 0, or a vector is not finite.
pub fn geometry(
    vectors: &ArrayView2<f32>,
    labels: &[u32],
    classes: usize,
    owners: &[u32],
    among: &[u32],
    k: usize,
    step: impl Fn(u64) + Sync,
) -> Result<Geometry> {
    let (records, width) = vectors.dim();
    check_labels(records, labels, classes)?;
    if owners.len() != records || k == 0 {
        return Err(Error::unexpected(format!(
            "{} units of {records} records, {k} neighbours",
            owners.len()
        )));
    }
    if among.windows(2).any(|pair| pair[0] >= pair[1])
        || among.last().is_some_and(|&last| last as usize >= records)
    {
        return Err(Error::unexpected(
            "the records that may be neighbours do not ascend, or are not there",
        ));
    }
    check_vectors(vectors)?;
    let standard = vectors.as_standard_layout();
    let all = standard
        .as_slice()
        .ok_or_else(|| Error::unexpected("vectors are not in one piece"))?;
    let sweep = Sweep::new(all, width, labels, classes, owners, among, k);
    let parts: Vec<Part> = (0..records.div_ceil(ROWS))
        .into_par_iter()
        .map(|block| {
            let rows = block * ROWS..records.min((block + 1) * ROWS);
            let done = rows.len() as u64;
            let part = sweep.block(rows);
            step(done);
            part
        })
        .collect();
    let lists = |side: fn(&Part) -> &Side| Lists {
        k,
        records: parts.iter().flat_map(|p| &side(p).0).copied().collect(),
        distances: parts.iter().flat_map(|p| &side(p).1).copied().collect(),
    };
    let own = lists(|p| &p.own);
    let other = lists(|p| &p.other);
    let mean_own: Vec<f64> = parts.iter().flat_map(|p| &p.mean_own).copied().collect();
    let mean_nearest_other: Vec<f64> = parts
        .iter()
        .flat_map(|p| &p.mean_nearest_other)
        .copied()
        .collect();
    let silhouette = mean_own
        .iter()
        .zip(&mean_nearest_other)
        .map(|(&a, &b)| {
            // `max` of a NaN and a number is the number, so this also catches what is missing
            let larger = a.max(b);
            if a.is_nan() || b.is_nan() || larger == 0.0 {
                0.0
            } else {
                (b - a) / larger
            }
        })
        .collect();
    Ok(Geometry {
        own,
        other,
        mean_own,
        mean_nearest_other,
        nearest_class: parts
            .iter()
            .flat_map(|p| &p.nearest_class)
            .copied()
            .collect(),
        silhouette,
    })
}

impl<'a> Sweep<'a> {
    fn new(
        vectors: &'a [f32],
        width: usize,
        labels: &'a [u32],
        classes: usize,
        owners: &'a [u32],
        among: &[u32],
        k: usize,
    ) -> Self {
        let centre = round_centre(vectors, width);
        let norms = vectors
            .par_chunks(width.max(1))
            .map(|row| {
                let squares = row.iter().zip(&centre).map(|(&x, &c)| {
                    let x = f64::from(x - c);
                    x * x
                });
                squares.sum::<f64>() as f32
            })
            .collect::<Vec<f32>>();
        let mut columns = among.to_vec();
        columns.sort_by_key(|&record| labels[record as usize]);
        let mut counts = vec![0u32; classes];
        for &record in among {
            counts[labels[record as usize] as usize] += 1;
        }
        let mut of_owner: Vec<(u32, u32)> = columns
            .iter()
            .enumerate()
            .map(|(position, &record)| (owners[record as usize], position as u32))
            .collect();
        of_owner.sort_unstable();
        Self {
            vectors,
            width,
            labels,
            owners,
            classes,
            k,
            centre,
            norms: if width == 0 {
                vec![0.0; labels.len()]
            } else {
                norms
            },
            // the rounding error of a sum of `width` products, whose signs are random
            floor: f32::EPSILON * (width as f32 + 16.0).sqrt(),
            columns,
            counts,
            of_owner,
        }
    }

    fn row(&self, record: usize) -> &[f32] {
        &self.vectors[record * self.width..(record + 1) * self.width]
    }

    /// Copies centred vectors into the first rows of `block`.
    fn gather(&self, records: impl Iterator<Item = usize>, block: &mut [f32]) {
        let rows = block.chunks_exact_mut(self.width.max(1));
        for (row, record) in rows.zip(records) {
            for ((to, &from), &centre) in row.iter_mut().zip(self.row(record)).zip(&self.centre) {
                *to = from - centre;
            }
        }
    }

    fn segments(&self, range: &Range<usize>) -> Vec<Segment> {
        let mut segments: Vec<Segment> = Vec::new();
        for (column, &record) in self.columns[range.clone()].iter().enumerate() {
            let class = self.labels[record as usize] as usize;
            match segments.last_mut() {
                Some(last) if last.class == class => last.columns.end = column + 1,
                _ => segments.push(Segment {
                    class,
                    columns: column..column + 1,
                }),
            }
        }
        segments
    }

    /// Positions among the columns of the records of a unit.
    fn positions(&self, owner: u32) -> &[(u32, u32)] {
        let first = self.of_owner.partition_point(|&(o, _)| o < owner);
        let last = self.of_owner.partition_point(|&(o, _)| o <= owner);
        &self.of_owner[first..last]
    }

    /// The results of some rows, from all columns in their order.
    fn block(&self, rows: Range<usize>) -> Part {
        let most = self.k + spare(self.k);
        let mut sums = vec![0f64; rows.len() * self.classes];
        let mut own: Vec<Shortlist> = rows.clone().map(|_| Shortlist::new(most)).collect();
        let mut other: Vec<Shortlist> = rows.clone().map(|_| Shortlist::new(most)).collect();
        let mut left = Array2::<f32>::zeros((rows.len(), self.width));
        let mut right = Array2::<f32>::zeros((COLUMNS, self.width));
        let mut products = Array2::<f32>::zeros((rows.len(), COLUMNS));
        let mut norms = [0f32; COLUMNS];
        if let Some(left) = left.as_slice_mut() {
            self.gather(rows.clone(), left);
        }
        for first in (0..self.columns.len()).step_by(COLUMNS) {
            let range = first..self.columns.len().min(first + COLUMNS);
            let records = &self.columns[range.clone()];
            if let Some(right) = right.as_slice_mut() {
                self.gather(records.iter().map(|&r| r as usize), right);
            }
            for (norm, &record) in norms.iter_mut().zip(records) {
                *norm = self.norms[record as usize];
            }
            let segments = self.segments(&range);
            let mut least = vec![0f32; segments.len()];
            let mut here = products.slice_axis_mut(Axis(1), Slice::from(..records.len()));
            general_mat_mul(
                1.0,
                &left,
                &right.slice_axis(Axis(0), Slice::from(..records.len())).t(),
                0.0,
                &mut here,
            );
            for (place, mut row) in here.rows_mut().into_iter().enumerate() {
                let record = rows.start + place;
                let Some(squares) = row.as_slice_mut() else {
                    continue; // rows of an array in C order are slices
                };
                let unit = self.owners[record];
                for &(_, position) in self.positions(unit) {
                    let position = position as usize;
                    if range.contains(&position) {
                        // makes the distance 0, which adds nothing to a sum
                        squares[position - range.start] = f32::INFINITY;
                    }
                }
                vectorised(Measured {
                    squares: &mut *squares,
                    norms: &norms[..records.len()],
                    norm: self.norms[record],
                    floor: self.floor,
                    segments: &segments,
                    sums: &mut sums[place * self.classes..(place + 1) * self.classes],
                    least: &mut least,
                });
                for (segment, &least) in segments.iter().zip(&least) {
                    let list = if segment.class == self.labels[record] as usize {
                        &mut own[place]
                    } else {
                        &mut other[place]
                    };
                    if least <= list.limit() {
                        let within = segment.columns.clone();
                        for (chunk, found) in squares[within.clone()].chunks(LANES).enumerate() {
                            let limit = list.limit();
                            if !found.iter().any(|&square| square <= limit) {
                                continue;
                            }
                            let from = within.start + chunk * LANES;
                            for (&square, &column) in found.iter().zip(&records[from..]) {
                                if square <= list.limit() && self.owners[column as usize] != unit {
                                    list.offer(square, column);
                                }
                            }
                        }
                    }
                }
            }
        }
        self.finish(rows, &mut sums, &own, &other)
    }

    fn finish(
        &self,
        rows: Range<usize>,
        sums: &mut [f64],
        own: &[Shortlist],
        other: &[Shortlist],
    ) -> Part {
        let mut part = Part {
            own: (Vec::new(), Vec::new()),
            other: (Vec::new(), Vec::new()),
            mean_own: Vec::with_capacity(rows.len()),
            mean_nearest_other: Vec::with_capacity(rows.len()),
            nearest_class: Vec::with_capacity(rows.len()),
        };
        let mut exact = Vec::new();
        for (place, record) in rows.enumerate() {
            let sums = &mut sums[place * self.classes..(place + 1) * self.classes];
            for (list, (indices, distances)) in [
                (&own[place], &mut part.own),
                (&other[place], &mut part.other),
            ] {
                exact.clear();
                for &(square, candidate) in &list.found {
                    let distance =
                        squared_distance(self.row(record), self.row(candidate as usize)).sqrt();
                    sums[self.labels[candidate as usize] as usize] +=
                        distance - f64::from(square.sqrt());
                    exact.push((distance, candidate));
                }
                exact.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                exact.resize(self.k, (f64::INFINITY, NONE));
                indices.extend(exact.iter().map(|&(_, r)| r));
                distances.extend(exact.iter().map(|&(d, _)| d as f32));
            }
            let label = self.labels[record] as usize;
            let mut counts = self.counts.clone();
            for &(_, position) in self.positions(self.owners[record]) {
                let same = self.columns[position as usize] as usize;
                counts[self.labels[same] as usize] -= 1;
            }
            let mean = |class: usize| sums[class].max(0.0) / f64::from(counts[class]);
            let nearest = (0..self.classes)
                .filter(|&class| class != label && counts[class] > 0)
                .map(|class| (mean(class), class as u32))
                .min_by(|a, b| a.0.total_cmp(&b.0))
                .unwrap_or((f64::NAN, NONE));
            part.mean_own.push(if counts[label] == 0 {
                f64::NAN
            } else {
                mean(label)
            });
            part.mean_nearest_other.push(nearest.0);
            part.nearest_class.push(nearest.1);
        }
        part
    }
}

/// The means of the columns, rounded to a power of two that is below the column's deviation.
///
/// Any centre near the mean serves. With this one, vectors of whole numbers (or of zeros and ones)
/// are still such after centring, their products are exact, and so are ties.
fn round_centre(vectors: &[f32], width: usize) -> Vec<f32> {
    let (means, deviations) = column_moments(vectors, width);
    means
        .iter()
        .zip(&deviations)
        .map(|(&mean, &deviation)| {
            if deviation == 0.0 {
                return mean as f32;
            }
            let unit = deviation.log2().floor().exp2();
            ((mean / unit).round() * unit) as f32
        })
        .collect()
}

/// Products of a row with columns become squared distances; their roots are added by class, and
/// the least of each segment is found.
struct Measured<'a> {
    squares: &'a mut [f32],
    norms: &'a [f32],
    norm: f32,
    floor: f32,
    segments: &'a [Segment],
    sums: &'a mut [f64],
    least: &'a mut [f32],
}

impl Loops for Measured<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let square = |product: f32, norm: f32| {
            let both = self.norm + norm;
            let square = both - 2.0 * product;
            // written so that infinite products give 0
            if square > self.floor * both {
                square
            } else {
                0.0
            }
        };
        for (segment, least) in self.segments.iter().zip(self.least) {
            let mut sums = [0f32; LANES];
            let mut smallest = [f32::INFINITY; LANES];
            let (values, rest) = self.squares[segment.columns.clone()].as_chunks_mut::<LANES>();
            let (norms, rest_norms) = self.norms[segment.columns.clone()].as_chunks::<LANES>();
            for (values, norms) in values.iter_mut().zip(norms) {
                for lane in 0..LANES {
                    let found = square(values[lane], norms[lane]);
                    values[lane] = found;
                    sums[lane] += found.sqrt();
                    smallest[lane] = if found < smallest[lane] {
                        found
                    } else {
                        smallest[lane]
                    };
                }
            }
            for (lane, (value, &norm)) in rest.iter_mut().zip(rest_norms).enumerate() {
                let found = square(*value, norm);
                *value = found;
                sums[lane] += found.sqrt();
                if found < smallest[lane] {
                    smallest[lane] = found;
                }
            }
            self.sums[segment.class] += sums.iter().map(|&sum| f64::from(sum)).sum::<f64>();
            *least = smallest.iter().fold(f32::INFINITY, |a, &b| a.min(b));
        }
    }
}

#[cfg(test)]
mod tests;
