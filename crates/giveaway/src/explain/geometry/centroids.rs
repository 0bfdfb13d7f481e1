//! Distances to the centroids of the classes: Euclidean, cosine, Mahalanobis.
//!
//! A centroid is the plain mean over all records of a class, the record itself included. The
//! Mahalanobis distance is with one covariance for all classes, that of the records about their
//! own class's centroid, shrunk towards a multiple of the identity as Ledoit & Wolf (2004) estimate
//! it (`sklearn.covariance.LedoitWolf(assume_centered=True)` of the records less their centroids).

use giveaway_stats::random::Stream;
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, Axis, CowArray, Ix2, Slice};
use rayon::prelude::*;

use super::linear::{
    class_means, column_moments, product_and_distance, scatter, through, whitening,
};
use super::neighbours::NONE;
use super::{check_labels, check_vectors};
use crate::error::{Error, Result};

/// Columns above which vectors are projected before Mahalanobis distances.
pub const MOST_COLUMNS: usize = 1024;

/// Distances of every record to centroids, by one kind of distance.
#[derive(Clone, Debug, PartialEq)]
pub struct Distances {
    /// To the centroid of the own class.
    pub own: Vec<f64>,
    /// To the nearest centroid of another class; infinite where there is no other class.
    pub nearest_other: Vec<f64>,
    /// The class of that centroid; [`NONE`] where there is none.
    pub nearest_class: Vec<u32>,
}

impl Distances {
    /// Distance to the own centroid minus that to the nearest other: positive where a record is nearer
    /// to another class. Minus infinity where there is no other class.
    #[must_use]
    pub fn own_minus_other(&self) -> Vec<f64> {
        let pairs = self.own.iter().zip(&self.nearest_other);
        pairs.map(|(own, other)| own - other).collect()
    }

    fn of(rows: impl ExactSizeIterator<Item = Nearest>) -> Self {
        let mut distances = Self {
            own: Vec::with_capacity(rows.len()),
            nearest_other: Vec::with_capacity(rows.len()),
            nearest_class: Vec::with_capacity(rows.len()),
        };
        for row in rows {
            distances.own.push(row.own);
            distances.nearest_other.push(row.other);
            distances.nearest_class.push(row.class);
        }
        distances
    }
}

/// Distances to the centroids of the classes.
#[derive(Clone, Debug, PartialEq)]
pub struct CentroidDistances {
    /// Euclidean.
    pub euclidean: Distances,
    /// One minus the cosine of the angle between record and centroid, seen from the origin; 1 where
    /// either is 0.
    pub cosine: Distances,
    /// Mahalanobis, with the shrunk covariance within classes.
    pub mahalanobis: Distances,
    /// How far the covariance was shrunk, 0 to 1.
    pub shrinkage: f64,
}

/// The distances of a record while its nearest other centroid is searched.
#[derive(Clone, Copy)]
struct Nearest {
    own: f64,
    other: f64,
    class: u32,
}

impl Nearest {
    const NOWHERE: Self = Self {
        own: 0.0,
        other: f64::INFINITY,
        class: NONE,
    };

    fn meet(&mut self, class: usize, own_class: u32, distance: f64) {
        if class == own_class as usize {
            self.own = distance;
        } else if distance < self.other {
            self.other = distance;
            self.class = class as u32;
        }
    }
}

/// Distances of all records to the centroids of the classes.
///
/// `vectors` is records × width, `labels` has the class of each, below `classes`. With more than
/// [`MOST_COLUMNS`] columns the vectors are brought to that many for the Mahalanobis distance only,
/// by a matrix of normal numbers with variance 1 / `MOST_COLUMNS`, drawn from `seed` (Johnson and
/// Lindenstrauss 1984: distances are kept to a few per cent).
///
/// # Errors
/// If labels do not fit, or a vector is not finite.
pub fn centroid_distances(
    vectors: &ArrayView2<f32>,
    labels: &[u32],
    classes: usize,
    seed: u64,
) -> Result<CentroidDistances> {
    let (records, width) = vectors.dim();
    check_labels(records, labels, classes)?;
    check_vectors(vectors)?;
    let standard = vectors.as_standard_layout();
    let values = in_one_piece(&standard)?;
    let mut present = vec![false; classes];
    for &label in labels {
        present[label as usize] = true;
    }
    let present: Vec<usize> = (0..classes).filter(|&class| present[class]).collect();

    let centroids = class_means(values, width, labels, classes);
    let lengths: Vec<f64> = centroids
        .rows()
        .into_iter()
        .map(|row| row.dot(&row).sqrt())
        .collect();
    let rows: Vec<[Nearest; 2]> = labels
        .par_iter()
        .enumerate()
        .map_init(
            || vec![0f64; width],
            |row, (record, &label)| {
                for (to, &from) in row.iter_mut().zip(&values[record * width..]) {
                    *to = f64::from(from);
                }
                let length = product_and_distance(row, row).0.sqrt();
                let mut nearest = [Nearest::NOWHERE; 2];
                for &class in &present {
                    let centroid = centroids.row(class).to_slice().unwrap_or_default();
                    let (product, square) = product_and_distance(row, centroid);
                    let lengths = length * lengths[class];
                    let cosine = if lengths > 0.0 {
                        (1.0 - product / lengths).clamp(0.0, 2.0)
                    } else {
                        1.0
                    };
                    nearest[0].meet(class, label, square.sqrt());
                    nearest[1].meet(class, label, cosine);
                }
                nearest
            },
        )
        .collect();
    let reduced = if width > MOST_COLUMNS {
        CowArray::from(project(&standard, seed)?)
    } else {
        standard.view().into()
    };
    let (mahalanobis, shrinkage) = mahalanobis(&reduced, labels, classes, &present)?;
    Ok(CentroidDistances {
        euclidean: Distances::of(rows.iter().map(|row| row[0])),
        cosine: Distances::of(rows.iter().map(|row| row[1])),
        mahalanobis,
        shrinkage,
    })
}

fn in_one_piece<'a>(array: &'a CowArray<'_, f32, Ix2>) -> Result<&'a [f32]> {
    array
        .as_slice()
        .ok_or_else(|| Error::unexpected("vectors are not in one piece"))
}

fn mahalanobis(
    vectors: &CowArray<'_, f32, Ix2>,
    labels: &[u32],
    classes: usize,
    present: &[usize],
) -> Result<(Distances, f64)> {
    let (records, width) = vectors.dim();
    let values = in_one_piece(vectors)?;
    let centroids = class_means(values, width, labels, classes);
    let centred = |record: usize, row: &mut [f64]| {
        let centroid = centroids.row(labels[record] as usize);
        let vector = &values[record * width..(record + 1) * width];
        for ((to, &from), &centre) in row.iter_mut().zip(vector).zip(centroid) {
            *to = f64::from(from) - centre;
        }
    };
    let mut covariance = scatter(records, width, centred)?;
    covariance.mapv_inplace(|sum| sum / records.max(1) as f64);
    let fourth = sum_of_fourth_powers(records, width, &centred);
    let shrinkage = ledoit_wolf(&mut covariance, records, fourth);
    let whitening = whitening(&covariance);
    // W (x - m) = W (x - own m) + W (own m - m): centroids are whitened once
    let origin = centroids.mean_axis(Axis(0)).unwrap_or_default();
    let centroids = &centroids - &origin;
    let white_centroids = centroids.dot(&whitening.t());
    let rows: Vec<Nearest> = through(
        records,
        &whitening.view(),
        |record, row| {
            let vector = &values[record * width..(record + 1) * width];
            for ((to, &from), &centre) in row.iter_mut().zip(vector).zip(&origin) {
                *to = f64::from(from) - centre;
            }
        },
        |record, white| {
            let mut nearest = Nearest::NOWHERE;
            for &class in present {
                let centroid = white_centroids.row(class).to_slice().unwrap_or_default();
                let distance = product_and_distance(white, centroid).1.sqrt();
                nearest.meet(class, labels[record], distance);
            }
            nearest
        },
    );
    Ok((Distances::of(rows.iter().copied()), shrinkage))
}

/// `Σ_records (Σ_columns x²)²`, in shares of one size, added in their order.
fn sum_of_fourth_powers(
    records: usize,
    width: usize,
    fill: &(impl Fn(usize, &mut [f64]) + Sync),
) -> f64 {
    const SHARE: usize = 256;
    let shares: Vec<f64> = (0..records.div_ceil(SHARE))
        .into_par_iter()
        .map_init(
            || vec![0f64; width],
            |row, share| {
                let mut sum = 0.0;
                for record in share * SHARE..records.min((share + 1) * SHARE) {
                    fill(record, row);
                    let square = product_and_distance(row, row).0;
                    sum += square * square;
                }
                sum
            },
        )
        .collect();
    shares.iter().sum()
}

/// Shrinks a covariance (divisor n) of centred data, and returns by how much.
///
/// `fourth` is the sum over records of the fourth power of their lengths. One column is not shrunk,
/// as in scikit-learn.
fn ledoit_wolf(covariance: &mut Array2<f64>, records: usize, fourth: f64) -> f64 {
    let width = covariance.nrows();
    if width < 2 || records == 0 {
        return 0.0;
    }
    let (n, p) = (records as f64, width as f64);
    let mean = covariance.diag().sum() / p;
    let squares: f64 = covariance.iter().map(|x| x * x).sum();
    let error = (fourth / n - squares) / (p * n);
    // Σ² - 2 mean tr Σ + p mean², with tr Σ = p mean
    let spread = squares / p - mean * mean;
    let error = error.min(spread);
    let shrinkage = if error > 0.0 { error / spread } else { 0.0 };
    covariance.mapv_inplace(|x| x * (1.0 - shrinkage));
    for x in covariance.diag_mut() {
        *x += shrinkage * mean;
    }
    shrinkage
}

/// Vectors less the mean of all, times a random matrix.
fn project(vectors: &CowArray<'_, f32, Ix2>, seed: u64) -> Result<Array2<f32>> {
    const ROWS: usize = 256;
    let (records, width) = vectors.dim();
    let (means, _) = column_moments(in_one_piece(vectors)?, width);
    let scale = (MOST_COLUMNS as f64).sqrt().recip();
    let mut matrix = vec![0f32; width * MOST_COLUMNS];
    matrix
        .par_chunks_mut(MOST_COLUMNS)
        .enumerate()
        .for_each(|(column, row)| {
            let mut stream = Stream::new(seed, "explain: projection", column as u64);
            row.fill_with(|| (stream.normal() * scale) as f32);
        });
    let shape = |e| Error::unexpected(format!("projection: {e}"));
    let matrix = Array2::from_shape_vec((width, MOST_COLUMNS), matrix).map_err(shape)?;
    let mut projected = vec![0f32; records * MOST_COLUMNS];
    projected
        .par_chunks_mut(ROWS * MOST_COLUMNS)
        .enumerate()
        .try_for_each(|(part, projected)| {
            let first = part * ROWS;
            let rows = projected.len() / MOST_COLUMNS;
            let mut block = vectors
                .slice_axis(Axis(0), Slice::from(first..first + rows))
                .to_owned();
            for mut row in block.rows_mut() {
                for (x, &mean) in row.iter_mut().zip(&means) {
                    *x -= mean as f32;
                }
            }
            let mut projected =
                ndarray::ArrayViewMut2::from_shape((rows, MOST_COLUMNS), projected)?;
            general_mat_mul(1.0, &block, &matrix, 0.0, &mut projected);
            Ok(())
        })
        .map_err(shape)?;
    Array2::from_shape_vec((records, MOST_COLUMNS), projected).map_err(shape)
}

#[cfg(test)]
mod tests {
    use super::super::reference::{Reference, normal, random_labels, with_threads};
    use super::*;

    #[test]
    fn agrees_with_scikit_learn() {
        for reference in Reference::both() {
            let found =
                centroid_distances(&reference.vectors.view(), &reference.labels, 2, 0).unwrap();
            let shrinkage = reference.values("shrinkage")[0];
            assert!((found.shrinkage - shrinkage).abs() < 1e-8 * shrinkage);
            for (kind, distances) in [
                ("euclidean", &found.euclidean),
                ("cosine", &found.cosine),
                ("mahalanobis", &found.mahalanobis),
            ] {
                reference.compare(&format!("{kind} own"), &distances.own, 1e-8, 1e-3);
                reference.compare(
                    &format!("{kind} other"),
                    &distances.nearest_other,
                    1e-8,
                    1e-3,
                );
            }
        }
    }

    #[test]
    fn the_nearest_other_class_and_the_difference() {
        let vectors = ndarray::array![[0.0f32, 1.0], [0.0, 3.0], [4.0, 0.0], [0.0, -2.0]];
        let found = centroid_distances(&vectors.view(), &[0, 0, 2, 4], 5, 0).unwrap();
        assert_eq!(found.euclidean.own, [1.0, 1.0, 0.0, 0.0]);
        assert_eq!(found.euclidean.nearest_class, [4, 2, 0, 0]);
        let expected = [1.0 - 3.0, 1.0 - 5.0, -(20f64.sqrt()), -4.0];
        for (found, expected) in found.euclidean.own_minus_other().iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12);
        }
        assert!((found.cosine.nearest_other[3] - 1.0).abs() < 1e-12);
    }

    #[test]
    fn does_not_depend_on_threads_or_the_order_of_records() {
        let vectors = normal(1500, 40, 1);
        let labels = random_labels(1500, 3, 2);
        let run = || centroid_distances(&vectors.view(), &labels, 3, 0).unwrap();
        let found = with_threads(1, run);
        assert_eq!(found, with_threads(3, run));
        let reversed: Vec<usize> = (0..1500).rev().collect();
        let moved = vectors.select(Axis(0), &reversed);
        let labels: Vec<u32> = reversed.iter().map(|&r| labels[r]).collect();
        let after = centroid_distances(&moved.view(), &labels, 3, 0).unwrap();
        for (to, &from) in reversed.iter().enumerate() {
            assert!((found.mahalanobis.own[from] - after.mahalanobis.own[to]).abs() < 1e-9);
            assert!((found.cosine.own[from] - after.cosine.own[to]).abs() < 1e-12);
        }
    }

    /// A constant column, a column twice, a class of copies, a single class, no class of one number.
    #[test]
    fn degenerate_inputs_are_defined() {
        let mut vectors = normal(60, 4, 3);
        vectors.column_mut(1).fill(2.5);
        let twice = vectors.column(0).to_owned();
        vectors.column_mut(3).assign(&twice);
        let labels: Vec<u32> = (0..60).map(|r| 2 * (r % 2)).collect();
        let found = centroid_distances(&vectors.view(), &labels, 3, 0).unwrap();
        for distances in [&found.euclidean, &found.cosine, &found.mahalanobis] {
            assert!(distances.own.iter().all(|d| d.is_finite()));
            assert!(distances.nearest_other.iter().all(|d| d.is_finite()));
        }
        let one = centroid_distances(&vectors.view(), &[0; 60], 1, 0).unwrap();
        assert_eq!(one.mahalanobis.nearest_class, [NONE; 60]);
        assert_eq!(one.euclidean.own_minus_other(), [f64::NEG_INFINITY; 60]);
        let copies = Array2::from_elem((10, 3), 1f32);
        let found = centroid_distances(&copies.view(), &[0; 10], 1, 0).unwrap();
        assert_eq!(found.mahalanobis.own, [0.0; 10]);
        assert_eq!(found.shrinkage.to_bits(), 0);
        let column = normal(20, 1, 4);
        let found = centroid_distances(&column.view(), &[0; 20], 1, 0).unwrap();
        // one column: the distance is the standardised one
        let square: f64 = found.mahalanobis.own.iter().map(|d| d * d).sum();
        assert!((square - 20.0).abs() < 1e-9);
        let none = centroid_distances(&Array2::zeros((0, 3)).view(), &[], 2, 0).unwrap();
        assert!(none.euclidean.own.is_empty());
    }

    /// Wide vectors: what lies far out does so through the projection as well.
    #[test]
    fn wide_vectors_are_projected() {
        let mut vectors = normal(200, 1400, 5);
        let labels = random_labels(200, 2, 6);
        for record in 0..10 {
            vectors.row_mut(record).mapv_inplace(|x| 1.3 * x);
        }
        let found = centroid_distances(&vectors.view(), &labels, 2, 7).unwrap();
        let farthest = |distances: &[f64]| {
            let mut order: Vec<usize> = (0..200).collect();
            order.sort_by(|&a, &b| distances[b].total_cmp(&distances[a]));
            order.truncate(10);
            order.sort_unstable();
            order
        };
        let planted: Vec<usize> = (0..10).collect();
        assert_eq!(farthest(&found.mahalanobis.own), planted);
        let again = centroid_distances(&vectors.view(), &labels, 2, 7).unwrap();
        assert_eq!(found, again);
        let other_seed = centroid_distances(&vectors.view(), &labels, 2, 8).unwrap();
        assert_ne!(found.mahalanobis, other_seed.mahalanobis);
        assert_eq!(found.euclidean, other_seed.euclidean);
    }

    /// Squared lengths are kept, up to the spread of a mean of 1,024 squares, and centres do not matter.
    #[test]
    fn the_projection_keeps_lengths() {
        let vectors = normal(300, 1200, 9) + 5.0;
        let standard = vectors.as_standard_layout();
        let projected = project(&standard, 3).unwrap();
        assert_eq!(projected.dim(), (300, MOST_COLUMNS));
        for record in 1..300 {
            let of = |a: &Array2<f32>| {
                let away = &a.row(record) - &a.row(record - 1);
                f64::from(away.dot(&away))
            };
            let ratio = of(&projected) / of(&vectors);
            // standard deviation sqrt(2 / 1024) = 0.044
            assert!((ratio - 1.0).abs() < 0.2, "{ratio}");
        }
    }

    /// `W Σ Wᵀ` is the identity.
    #[test]
    fn whitening_whitens() {
        let vectors = normal(300, 70, 8);
        let values = vectors.as_slice().unwrap();
        let covariance = scatter(300, 70, |record, row| {
            for (to, &from) in row.iter_mut().zip(&values[record * 70..]) {
                *to = f64::from(from);
            }
        })
        .unwrap();
        let white = whitening(&covariance);
        let identity = white.dot(&covariance).dot(&white.t());
        for ((row, column), &x) in identity.indexed_iter() {
            let expected = f64::from(u8::from(row == column));
            assert!((x - expected).abs() < 1e-10);
        }
    }
}
