//! Neighbours in the space of the reference models' outputs (after Long et al. 2018).
//!
//! The feature vector of a unit is the concatenation of the logits of the selecting
//! reference models (the mean over the unit's records), the distance is the cosine
//! distance. Of `n_r` reference units, `n_t` of which are in a training set,
//! `N_ref(r)` lie nearer than α; `N̂(r) = N_ref(r) · n_t / n_r` of them are expected in
//! the training set, and r is selected when `N̂(r) < β`.
//!
//! That rule reads: the m-th nearest reference unit is at least α away, where m is the
//! smallest count with `m · n_t / n_r ≥ β`. So this distance alone decides for every α,
//! and an α for a wanted number is a quantile of it: no bisection is needed.
//!
//! The n × n matrix of distances never exists: blocks of rows meet blocks of columns,
//! and per row the m smallest are kept. A row's result depends neither on threads nor
//! on the blocks.

use std::io::{Read, Seek, SeekFrom, Write};

use giveaway_stats::interval::clopper_pearson_upper;
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::units::Units;

/// β: a record is selected when it has fewer expected neighbours in the training set.
pub const BETA: f64 = 0.1;

/// Rows of a block; 512 × 512 floats and their operands stay in a core's cache.
const BLOCK: usize = 512;

/// Distances that decide the selection, per candidate.
#[derive(Clone, Debug)]
pub struct Neighbours {
    /// Distance to the nearest other reference unit.
    pub nearest_distance: Vec<f32>,
    /// Distance to the m-th nearest: the unit is selected for every α up to it.
    pub deciding_distance: Vec<f32>,
    /// m, the number of neighbours that makes the expectation reach β.
    pub deciding_count: usize,
    /// Number of reference units that could be neighbours of a unit (itself left out).
    pub reference_units: usize,
    /// Units in a training set.
    pub training_units: usize,
}

/// Neighbours of one unit at a given α.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NeighbourCount {
    /// Reference units nearer than α.
    pub reference: u32,
    /// Expected number among the training set, `N̂`.
    pub expected: f64,
    /// Upper end of a one-sided 95 % Clopper–Pearson interval of `N̂`.
    pub expected_upper: f64,
}

/// Unit-norm feature vectors of all units, in memory or, when large, in a scratch file.
pub struct Features {
    units: usize,
    width: usize,
    store: Store,
}

enum Store {
    Memory(Array2<f32>),
    /// A file without a name: it is gone when closed, however we end.
    File(std::sync::Mutex<std::fs::File>),
}

impl Features {
    /// Concatenates the logits that `read` gives for each of `models`.
    ///
    /// At most about `memory` bytes are held at a time; what is larger goes through a
    /// scratch file in `scratch`.
    ///
    /// # Errors
    /// If outputs cannot be read, or the scratch file cannot be written.
    pub fn gather(
        units: &Units,
        classes: usize,
        models: std::ops::Range<usize>,
        memory: usize,
        scratch: &std::path::Path,
        read: impl Fn(usize) -> Result<Array2<f32>>,
    ) -> Result<Self> {
        let width = models.len() * classes;
        let rows_at_once = (memory / (4 * width).max(1)).clamp(BLOCK, units.len().max(BLOCK));
        if rows_at_once >= units.len() {
            let all = gather_rows(units, classes, models, 0..units.len(), &read)?;
            return Ok(Self {
                units: units.len(),
                width,
                store: Store::Memory(all),
            });
        }
        let failed =
            |e: &std::io::Error| Error::io("write a scratch file for neighbours", scratch, e);
        let mut file = tempfile::tempfile_in(scratch).map_err(|e| failed(&e))?;
        for first in (0..units.len()).step_by(rows_at_once) {
            let last = units.len().min(first + rows_at_once);
            let rows = gather_rows(units, classes, models.clone(), first..last, &read)?;
            let bytes: Vec<u8> = rows.iter().flat_map(|value| value.to_le_bytes()).collect();
            file.write_all(&bytes).map_err(|e| failed(&e))?;
        }
        Ok(Self {
            units: units.len(),
            width,
            store: Store::File(std::sync::Mutex::new(file)),
        })
    }

    /// Feature vectors given as an array, for tests and for other spaces; they are brought to unit norm.
    #[must_use]
    pub fn from_array(features: Array2<f32>) -> Self {
        // Rows are read as slices, but an array may lie in memory column by column.
        let mut features = if features.is_standard_layout() {
            features
        } else {
            features.as_standard_layout().into_owned()
        };
        normalise(&mut features);
        Self {
            units: features.nrows(),
            width: features.ncols(),
            store: Store::Memory(features),
        }
    }

    fn rows(&self, range: std::ops::Range<usize>) -> Result<std::borrow::Cow<'_, [f32]>> {
        match &self.store {
            Store::Memory(all) => {
                let view = all.slice_move_rows(range);
                Ok(std::borrow::Cow::Borrowed(view))
            }
            Store::File(file) => {
                let mut bytes = vec![0u8; 4 * self.width * range.len()];
                let mut file = file
                    .lock()
                    .map_err(|_| Error::unexpected("a thread that read neighbours failed"))?;
                file.seek(SeekFrom::Start((4 * self.width * range.start) as u64))
                    .and_then(|_| file.read_exact(&mut bytes))
                    .map_err(|e| Error::io("read the scratch file for neighbours", "", &e))?;
                Ok(bytes
                    .chunks_exact(4)
                    .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                    .collect())
            }
        }
    }
}

/// Rows of a matrix in C order as one slice.
trait Rows {
    fn slice_move_rows(&self, range: std::ops::Range<usize>) -> &[f32];
}

impl Rows for Array2<f32> {
    fn slice_move_rows(&self, range: std::ops::Range<usize>) -> &[f32] {
        let width = self.ncols();
        self.as_slice()
            .map_or(&[], |all| &all[range.start * width..range.end * width])
    }
}

fn gather_rows(
    units: &Units,
    classes: usize,
    models: std::ops::Range<usize>,
    range: std::ops::Range<usize>,
    read: &impl Fn(usize) -> Result<Array2<f32>>,
) -> Result<Array2<f32>> {
    let mut features = Array2::zeros((range.len(), models.len() * classes));
    for (position, model) in models.enumerate() {
        let logits = read(model)?;
        let columns = position * classes..(position + 1) * classes;
        for (mut row, unit) in features.rows_mut().into_iter().zip(range.clone()) {
            let records = units.records(unit);
            for (class, column) in columns.clone().enumerate() {
                let sum: f32 = records.iter().map(|&r| logits[[r as usize, class]]).sum();
                row[column] = sum / records.len() as f32;
            }
        }
    }
    normalise(&mut features);
    Ok(features)
}

/// Brings rows to norm one, computed in float64; a row of zeros stays one, at distance 1 from all.
fn normalise(features: &mut Array2<f32>) {
    for mut row in features.rows_mut() {
        let norm = row
            .iter()
            .map(|&x| f64::from(x) * f64::from(x))
            .sum::<f64>()
            .sqrt();
        if norm > 0.0 {
            row.mapv_inplace(|x| (f64::from(x) / norm) as f32);
        }
    }
}

/// Calls `meet(reference unit, state of the candidate, distance)` for every candidate and every
/// other reference unit, candidate by candidate in parallel; returns each candidate's state.
///
/// The candidates are taken `together` at a time, which decides how many cores have work.
fn sweep<S: Send + Clone>(
    features: &Features,
    candidates: &[u32],
    reference: &[u32],
    together: usize,
    start: &S,
    meet: impl Fn(u32, &mut S, f32) + Sync,
    step: impl Fn(u64) + Sync,
) -> Result<Vec<S>> {
    let mut states = vec![start.clone(); candidates.len()];
    let is_reference = {
        let mut flags = vec![false; features.units];
        for &unit in reference {
            flags[unit as usize] = true;
        }
        flags
    };
    states
        .par_chunks_mut(together)
        .enumerate()
        .try_for_each(|(chunk, states)| -> Result<()> {
            let first = chunk * together;
            let own = &candidates[first..first + states.len()];
            let mut left = Array2::zeros((own.len(), features.width));
            for (mut row, &unit) in left.rows_mut().into_iter().zip(own) {
                let values = features.rows(unit as usize..unit as usize + 1)?;
                row.iter_mut().zip(values.iter()).for_each(|(a, &b)| *a = b);
            }
            for begin in (0..features.units).step_by(BLOCK) {
                let end = features.units.min(begin + BLOCK);
                let values = features.rows(begin..end)?;
                let right = ArrayView2::from_shape((end - begin, features.width), &values)
                    .map_err(|e| Error::unexpected(format!("neighbours: {e}")))?;
                let cosines = left.dot(&right.t());
                for (row, state) in states.iter_mut().enumerate() {
                    for (column, &cosine) in cosines.row(row).iter().enumerate() {
                        let unit = begin + column;
                        if is_reference[unit] && unit != own[row] as usize {
                            // float32 products of unit vectors can exceed 1 by rounding
                            meet(unit as u32, state, (1.0 - cosine).clamp(0.0, 2.0));
                        }
                    }
                }
            }
            step(states.len() as u64);
            Ok(())
        })?;
    Ok(states)
}

/// Finds the deciding distance of every candidate among the reference units.
///
/// `training_units` is the size of a training set, `n_t`.
///
/// # Errors
/// If there are fewer reference units than the rule needs to look at.
pub fn search(
    features: &Features,
    candidates: &[u32],
    reference: &[u32],
    training_units: usize,
    step: impl Fn(u64) + Sync,
) -> Result<Neighbours> {
    let reference_units = reference.len();
    let share = training_units as f64 / reference_units as f64;
    let deciding_count = ((BETA / share).ceil() as usize).max(1);
    if deciding_count + 1 > reference_units {
        return Err(Error::input(format!(
            "{reference_units} reference records are too few to count neighbours for training sets of {training_units}"
        ))
        .hint("use another --select, or more reference data"));
    }
    let nearest = sweep(
        features,
        candidates,
        reference,
        BLOCK,
        &vec![f32::INFINITY; deciding_count],
        |_, smallest: &mut Vec<f32>, distance| {
            if distance < smallest[deciding_count - 1] {
                let position = smallest.partition_point(|&d| d <= distance);
                smallest.pop();
                smallest.insert(position, distance);
            }
        },
        step,
    )?;
    Ok(Neighbours {
        nearest_distance: nearest.iter().map(|d| d[0]).collect(),
        deciding_distance: nearest.iter().map(|d| d[deciding_count - 1]).collect(),
        deciding_count,
        reference_units,
        training_units,
    })
}

/// Counts the reference units nearer than `alpha`, per candidate.
///
/// # Errors
/// If the scratch file cannot be read.
pub fn count(
    features: &Features,
    candidates: &[u32],
    reference: &[u32],
    training_units: usize,
    alpha: f32,
    step: impl Fn(u64) + Sync,
) -> Result<Vec<NeighbourCount>> {
    let counts = sweep(
        features,
        candidates,
        reference,
        BLOCK,
        &0u32,
        |_, count, distance| *count += u32::from(distance < alpha),
        step,
    )?;
    let share = training_units as f64 / reference.len() as f64;
    Ok(counts
        .into_iter()
        .map(|count| NeighbourCount {
            reference: count,
            expected: f64::from(count) * share,
            expected_upper: clopper_pearson_upper(u64::from(count), reference.len() as u64, 0.95)
                * training_units as f64,
        })
        .collect())
}

/// A neighbour of a unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// The reference unit.
    pub unit: u32,
    /// How far it is.
    pub distance: f32,
}

/// Candidates of [`nearest`] that are taken together: few, because there are few of them in
/// all and every core shall have some.
const FEW: usize = 64;

/// The `wanted` nearest other reference units of each candidate, nearest first; of equally
/// near ones that with the smaller number. Fewer where there are fewer.
///
/// # Errors
/// If the scratch file cannot be read.
pub fn nearest(
    features: &Features,
    candidates: &[u32],
    reference: &[u32],
    wanted: usize,
) -> Result<Vec<Vec<Neighbour>>> {
    sweep(
        features,
        candidates,
        reference,
        FEW,
        &Vec::with_capacity(wanted),
        |unit, found: &mut Vec<Neighbour>, distance| {
            // Units are met by rising number, so an equal that comes later goes behind.
            let place = found.partition_point(|n| n.distance <= distance);
            if place < wanted {
                found.truncate(wanted - 1);
                found.insert(place, Neighbour { unit, distance });
            }
        },
        |_| {},
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use giveaway_stats::random::Stream;

    fn random_features(units: usize, width: usize) -> Array2<f32> {
        let mut stream = Stream::new(3, "features", 0);
        Array2::from_shape_fn((units, width), |_| stream.normal() as f32)
    }

    fn cosine_distance(a: &[f32], b: &[f32]) -> f64 {
        let dot = |x: &[f32], y: &[f32]| -> f64 {
            x.iter()
                .zip(y)
                .map(|(&p, &q)| f64::from(p) * f64::from(q))
                .sum()
        };
        1.0 - dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    }

    /// Against the definition, all pairs in float64, over several blocks.
    #[test]
    fn search_and_count_agree_with_all_pairs() {
        let raw = random_features(1300, 7);
        let reference: Vec<u32> = (0..1300).filter(|u| u % 3 != 0).collect();
        let candidates: Vec<u32> = (0..1300).step_by(2).collect();
        let features = Features::from_array(raw.clone());
        let training_units = 40; // share 40/866: m = 3
        let found = search(&features, &candidates, &reference, training_units, |_| {}).unwrap();
        assert_eq!(found.deciding_count, 3);
        let alpha = 0.05;
        let counts = count(
            &features,
            &candidates,
            &reference,
            training_units,
            alpha,
            |_| {},
        )
        .unwrap();
        for (position, &unit) in candidates.iter().enumerate() {
            let mut distances: Vec<f64> = reference
                .iter()
                .filter(|&&other| other != unit)
                .map(|&other| {
                    cosine_distance(
                        raw.row(unit as usize).as_slice().unwrap(),
                        raw.row(other as usize).as_slice().unwrap(),
                    )
                })
                .collect();
            distances.sort_by(f64::total_cmp);
            assert!((distances[0] - f64::from(found.nearest_distance[position])).abs() < 1e-6);
            assert!((distances[2] - f64::from(found.deciding_distance[position])).abs() < 1e-6);
            let expected = distances.iter().filter(|&&d| d < f64::from(alpha)).count();
            assert_eq!(counts[position].reference as usize, expected);
            // the two forms of the rule agree: N̂ < β exactly when the m-th is at least α away
            assert_eq!(
                counts[position].expected < BETA,
                found.deciding_distance[position] >= alpha
            );
        }
    }

    /// Against all pairs in float64, with equals, over several blocks and chunks.
    #[test]
    fn the_nearest_are_those_of_all_pairs() {
        let mut raw = random_features(1100, 6);
        for copy in [7usize, 600, 1099] {
            let row = raw.row(4).to_owned();
            raw.row_mut(copy).assign(&row);
        }
        let reference: Vec<u32> = (0..1100).filter(|u| u % 5 != 0).collect();
        let candidates: Vec<u32> = (0..1100).step_by(3).chain([4, 7]).collect();
        let features = Features::from_array(raw.clone());
        let found = nearest(&features, &candidates, &reference, 5).unwrap();
        assert_eq!(found.len(), candidates.len());
        for (found, &unit) in found.iter().zip(&candidates) {
            let row = |unit: u32| raw.row(unit as usize).to_vec();
            let mut all: Vec<(f64, u32)> = reference
                .iter()
                .filter(|&&other| other != unit)
                .map(|&other| (cosine_distance(&row(unit), &row(other)), other))
                .collect();
            all.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert_eq!(found.len(), 5);
            assert!(found.is_sorted_by_key(|n| n.distance));
            for (place, neighbour) in found.iter().enumerate() {
                let expected = all[place].0;
                assert!((f64::from(neighbour.distance) - expected).abs() < 1e-6);
                let own = all.iter().find(|a| a.1 == neighbour.unit).unwrap().0;
                assert!((own - expected).abs() < 1e-6, "the unit has that distance");
                assert!(found[..place].iter().all(|n| n.unit != neighbour.unit));
            }
        }
        // equals of unit 4 among the reference units, by number
        let of_four = &found[candidates.len() - 2];
        assert_eq!([of_four[0].unit, of_four[1].unit], [7, 1099]);
    }

    #[test]
    fn the_nearest_are_as_many_as_there_are() {
        let features = Features::from_array(random_features(4, 3));
        let found = nearest(&features, &[0, 1], &[1, 2], 5).unwrap();
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn the_layout_in_memory_does_not_matter() {
        let raw = random_features(60, 5);
        let mut columns_first = Array2::zeros((5, 60)).reversed_axes();
        columns_first.assign(&raw);
        assert!(!columns_first.is_standard_layout());
        let all: Vec<u32> = (0..60).collect();
        let distances = |features: Array2<f32>| {
            search(&Features::from_array(features), &all, &all, 30, |_| {})
                .unwrap()
                .nearest_distance
        };
        assert_eq!(distances(raw), distances(columns_first));
    }

    #[test]
    fn a_scratch_file_gives_the_same_bits_as_memory() {
        let units = Units::from_sets(1500, &[vec![3, 900]]).unwrap();
        let outputs: Vec<Array2<f32>> = (0..4)
            .map(|m| {
                let mut stream = Stream::new(m, "outputs", 0);
                Array2::from_shape_fn((1500, 3), |_| stream.normal() as f32)
            })
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let gather = |memory| {
            Features::gather(&units, 3, 1..4, memory, folder.path(), |m| {
                Ok(outputs[m].clone())
            })
            .unwrap()
        };
        let (memory, file) = (gather(1 << 30), gather(1));
        assert!(matches!(file.store, Store::File(_)));
        let all: Vec<u32> = (0..units.len() as u32).collect();
        let a = search(&memory, &all, &all, 700, |_| {}).unwrap();
        let b = search(&file, &all, &all, 700, |_| {}).unwrap();
        assert_eq!(a.nearest_distance, b.nearest_distance);
        assert_eq!(a.deciding_distance, b.deciding_distance);
    }

    #[test]
    fn zero_rows_and_duplicates_have_a_defined_distance() {
        let features = Features::from_array(ndarray::array![
            [0.0f32, 0.0],
            [1.0, 1.0],
            [2.0, 2.0],
            [-1.0, 0.0]
        ]);
        let all = [0, 1, 2, 3];
        let found = search(&features, &all, &all, 2, |_| {}).unwrap();
        assert!((found.nearest_distance[0] - 1.0).abs() < 1e-6);
        assert!(found.nearest_distance[1] < 1e-6, "same direction");
        assert!(
            (found.nearest_distance[3] - 1.0).abs() < 1e-6,
            "the zero row is nearer than the opposite ones"
        );
    }
}
