//! Principal components of records, for pictures.
//!
//! The leading eigenvectors of the covariance by block Krylov iteration: a few random
//! directions and what the covariance makes of them, several times over, span a space; the best
//! vectors within it (Rayleigh and Ritz) begin the next round, until each is an eigenvector to
//! 1e-9 of the largest eigenvalue. Up to 2,048 columns the covariance is formed, block by block;
//! above, it is only applied, `Xᵀ (X v)`, and never formed.

use giveaway_stats::random::Stream;
use ndarray::{Array1, Array2, ArrayView2, Axis, Slice};
use rayon::prelude::*;

use super::check_vectors;
use super::linear::{column_moments, scatter, through};
use crate::error::{Error, Result};

/// Columns above which the covariance is not formed.
const MOST_FORMED: usize = 2048;

/// Residual of an eigenvector, as a share of the largest eigenvalue.
const TOLERANCE: f64 = 1e-9;

/// Rounds before giving up; where eigenvalues lie close together more than a few are needed.
const ROUNDS: usize = 500;

/// Products with the covariance in a round.
const POWERS: usize = 6;

/// Principal components.
#[derive(Clone, Debug, PartialEq)]
pub struct Projection {
    /// Coordinates of the records, records × components.
    pub coordinates: Array2<f64>,
    /// The directions, components × columns, each of length 1, its largest element positive.
    pub components: Array2<f64>,
    /// The share of the variance that lies along each; 0 where there is none at all.
    pub explained: Vec<f64>,
}

/// Brings vectors, records × columns, to `components` principal components, those with the largest
/// variance first, as scikit-learn's PCA: columns are centred and not scaled.
///
/// There are at most as many components as columns. The result does not depend on chance beyond
/// 1e-9 (the first directions come from a fixed seed), but where two variances are equal any
/// rotation of their directions is right.
///
/// # Errors
/// If a vector is not finite, or the iteration does not converge.
pub fn principal_components(vectors: &ArrayView2<f32>, components: usize) -> Result<Projection> {
    check_vectors(vectors)?;
    let (records, width) = vectors.dim();
    let wanted = components.min(width);
    let standard = vectors.as_standard_layout();
    let values = standard
        .as_slice()
        .ok_or_else(|| Error::unexpected("vectors are not in one piece"))?;
    let (means, deviations) = column_moments(values, width);
    let total: f64 = deviations.iter().map(|d| d * d).sum::<f64>() * records as f64;
    let centred = |record: usize, row: &mut [f64]| {
        let vector = &values[record * width..(record + 1) * width];
        for ((to, &from), &mean) in row.iter_mut().zip(vector).zip(&means) {
            *to = f64::from(from) - mean;
        }
    };
    let (eigenvalues, directions) = if width <= MOST_FORMED {
        let covariance = scatter(records, width, centred)?;
        leading(width, wanted, |rows| Ok(rows.dot(&covariance)))?
    } else {
        leading(width, wanted, |rows| Ok(applied(records, rows, &centred)))?
    };
    let mut directions = directions;
    for mut direction in directions.rows_mut() {
        let largest = direction
            .iter()
            .fold(0.0f64, |a, &b| if b.abs() > a.abs() { b } else { a });
        if largest < 0.0 {
            direction.mapv_inplace(|x| -x);
        }
    }
    let rows = through(records, &directions.view(), centred, |_, row| row.to_vec());
    let coordinates = Array2::from_shape_vec((records, wanted), rows.concat())
        .map_err(|e| Error::unexpected(format!("components: {e}")))?;
    Ok(Projection {
        coordinates,
        components: directions,
        explained: eigenvalues
            .iter()
            .map(|&value| {
                if total > 0.0 {
                    (value / total).max(0.0)
                } else {
                    0.0
                }
            })
            .collect(),
    })
}

/// Rows times `Xᵀ X`, for X that `fill` writes row by row. The records are taken in shares of one
/// size, eight at a time, whose results are added in their order.
fn applied(
    records: usize,
    rows: &Array2<f64>,
    fill: &(impl Fn(usize, &mut [f64]) + Sync),
) -> Array2<f64> {
    const SHARE: usize = 256;
    const TOGETHER: usize = 8;
    let mut total = Array2::<f64>::zeros(rows.dim());
    let shares: Vec<usize> = (0..records.div_ceil(SHARE)).collect();
    for together in shares.chunks(TOGETHER) {
        let parts: Vec<Array2<f64>> = together
            .par_iter()
            .map(|&share| {
                let range = share * SHARE..records.min((share + 1) * SHARE);
                let mut block = Array2::<f64>::zeros((range.len(), rows.ncols()));
                for (mut row, record) in block.rows_mut().into_iter().zip(range) {
                    if let Some(row) = row.as_slice_mut() {
                        fill(record, row);
                    }
                }
                rows.dot(&block.t()).dot(&block)
            })
            .collect();
        for part in &parts {
            total += part;
        }
    }
    total
}

/// The `wanted` largest eigenvalues of a symmetric matrix without negative ones, with their vectors
/// as rows; `apply` multiplies rows by the matrix.
fn leading(
    width: usize,
    wanted: usize,
    apply: impl Fn(&Array2<f64>) -> Result<Array2<f64>>,
) -> Result<(Vec<f64>, Array2<f64>)> {
    if wanted == 0 {
        return Ok((Vec::new(), Array2::zeros((0, width))));
    }
    let together = (wanted + 8).min(width);
    let mut stream = Stream::new(0, "explain: principal components", 0);
    let mut begin = Array2::from_shape_simple_fn((together, width), || stream.normal());
    for round in 0..ROUNDS {
        // the Krylov space, and what the matrix makes of it
        let mut basis: Vec<Array1<f64>> = Vec::new();
        let mut latest = begin;
        for power in 0..=POWERS {
            if power > 0 {
                latest = apply(&latest)?;
            }
            let before = basis.len();
            for row in latest.rows() {
                orthonormal(row.to_owned(), &mut basis);
            }
            if basis.len() == before || basis.len() >= width {
                break;
            }
            latest = stacked(&basis[before..], width);
        }
        if basis.is_empty() {
            return Err(Error::unexpected("principal components: no directions"));
        }
        let basis = stacked(&basis, width);
        let image = apply(&basis)?;
        let (values, small) = symmetric_eigen(image.dot(&basis.t()));
        let best = small.slice_axis(Axis(0), Slice::from(..together.min(small.nrows())));
        let vectors = best.dot(&basis);
        let images = best.dot(&image);
        let scale = values[0].max(f64::MIN_POSITIVE);
        let converged = (0..wanted).all(|i| {
            let away = &images.row(i) - &(&vectors.row(i) * values[i]);
            away.dot(&away).sqrt() <= TOLERANCE * scale
        });
        // Where variances are that close, directions are arbitrary, and any will do.
        if converged || round + 1 == ROUNDS {
            let vectors = vectors
                .slice_axis(Axis(0), Slice::from(..wanted))
                .to_owned();
            return Ok((values[..wanted].to_vec(), vectors));
        }
        begin = vectors;
    }
    Err(Error::unexpected("principal components: no rounds"))
}

fn stacked(rows: &[Array1<f64>], width: usize) -> Array2<f64> {
    let mut matrix = Array2::zeros((rows.len(), width));
    for (mut to, from) in matrix.rows_mut().into_iter().zip(rows) {
        to.assign(from);
    }
    matrix
}

/// Adds what a vector has that the basis has not, if that is more than rounding.
fn orthonormal(mut vector: Array1<f64>, basis: &mut Vec<Array1<f64>>) {
    let length = vector.dot(&vector).sqrt();
    if length <= f64::MIN_POSITIVE {
        return;
    }
    vector /= length;
    // twice is enough (Kahan)
    for _ in 0..2 {
        for other in &*basis {
            let along = other.dot(&vector);
            vector.scaled_add(-along, other);
        }
    }
    let left = vector.dot(&vector).sqrt();
    if left > 1e-10 {
        vector /= left;
        for other in &*basis {
            let along = other.dot(&vector);
            vector.scaled_add(-along, other);
        }
        let length = vector.dot(&vector).sqrt();
        basis.push(vector / length);
    }
}

/// All eigenvalues of a small symmetric matrix, largest first, with their vectors as rows: Jacobi's
/// cyclic rotations, until nothing beside the diagonal is above rounding.
fn symmetric_eigen(mut matrix: Array2<f64>) -> (Vec<f64>, Array2<f64>) {
    let size = matrix.nrows();
    // products in both orders differ by rounding
    matrix = (&matrix + &matrix.t()) * 0.5;
    let mut vectors = Array2::<f64>::eye(size);
    let scale = matrix.iter().map(|x| x * x).sum::<f64>().sqrt();
    for _ in 0..60 {
        let mut largest = 0.0f64;
        for p in 0..size {
            for q in p + 1..size {
                let beside = matrix[[p, q]];
                largest = largest.max(beside.abs());
                if beside.abs() <= 1e-17 * scale {
                    continue;
                }
                let theta = (matrix[[q, q]] - matrix[[p, p]]) / (2.0 * beside);
                let tangent = theta.signum() / (theta.abs() + theta.hypot(1.0));
                let cosine = tangent.hypot(1.0).recip();
                let sine = tangent * cosine;
                rotate_rows(&mut matrix, p, q, cosine, sine);
                let mut turned = matrix.view_mut().reversed_axes();
                for k in 0..size {
                    let (a, b) = (turned[[p, k]], turned[[q, k]]);
                    turned[[p, k]] = cosine * a - sine * b;
                    turned[[q, k]] = sine * a + cosine * b;
                }
                rotate_rows(&mut vectors, p, q, cosine, sine);
            }
        }
        if largest <= 1e-16 * scale {
            break;
        }
    }
    let mut order: Vec<usize> = (0..size).collect();
    order.sort_by(|&a, &b| matrix[[b, b]].total_cmp(&matrix[[a, a]]));
    let values = order.iter().map(|&i| matrix[[i, i]]).collect();
    (values, vectors.select(Axis(0), &order))
}

fn rotate_rows(matrix: &mut Array2<f64>, p: usize, q: usize, cosine: f64, sine: f64) {
    for k in 0..matrix.ncols() {
        let (a, b) = (matrix[[p, k]], matrix[[q, k]]);
        matrix[[p, k]] = cosine * a - sine * b;
        matrix[[q, k]] = sine * a + cosine * b;
    }
}

#[cfg(test)]
mod tests {
    use super::super::reference::{Reference, normal, with_threads};
    use super::*;

    #[test]
    fn agrees_with_scikit_learn() {
        for reference in Reference::both() {
            let found = principal_components(&reference.vectors.view(), 3).unwrap();
            let near = |ours: f64, theirs: f64, tolerance: f64| {
                assert!((ours - theirs).abs() < tolerance, "{ours} {theirs}");
            };
            for (ours, theirs) in found.components.iter().zip(reference.values("components")) {
                near(*ours, *theirs, 1e-7);
            }
            for (ours, theirs) in found.explained.iter().zip(reference.values("explained")) {
                near(*ours, *theirs, 1e-8);
            }
            let coordinates = found.coordinates.rows().into_iter().step_by(reference.step);
            let theirs = reference.values("coordinates");
            assert_eq!(coordinates.len() * 3, theirs.len());
            for (ours, theirs) in coordinates.flatten().zip(theirs) {
                near(*ours, *theirs, 1e-6);
            }
        }
    }

    /// Above 2,048 columns the covariance is not formed; the same eigenvectors by both ways.
    #[test]
    fn formed_and_applied_covariances_give_the_same() {
        let mut vectors = normal(300, 2100, 1);
        for (record, mut row) in vectors.rows_mut().into_iter().enumerate() {
            let (a, b) = ((record as f32).sin(), (record as f32 * 0.7).cos());
            for (column, x) in row.iter_mut().enumerate() {
                let column = column as f32;
                *x += 3.0 * a * (column * 0.01).cos() + 2.0 * b * (column * 0.03).sin();
            }
        }
        let found = principal_components(&vectors.view(), 2).unwrap();
        let again = with_threads(1, || principal_components(&vectors.view(), 2).unwrap());
        assert_eq!(found, again);
        // the definition: rows and columns change roles, X Xᵀ has the same eigenvalues
        let centred = vectors.mapv(f64::from);
        let centred = &centred - &centred.mean_axis(Axis(0)).unwrap();
        let (values, _) = symmetric_eigen(centred.dot(&centred.t()));
        let total: f64 = values.iter().sum();
        for (found, value) in found.explained.iter().zip(values) {
            assert!((found - value / total).abs() < 1e-9);
        }
        for (row, direction) in found.components.rows().into_iter().enumerate() {
            let along = centred.dot(&direction);
            let away = centred.t().dot(&along) - &direction * along.dot(&along);
            assert!(away.dot(&away).sqrt() < 1e-8 * total, "component {row}");
            assert!((direction.dot(&direction) - 1.0).abs() < 1e-12);
        }
    }

    /// No direction stands out: the hard case for an iteration.
    #[test]
    fn converges_where_variances_are_close() {
        let vectors = normal(400, 300, 2);
        let found = principal_components(&vectors.view(), 2).unwrap();
        assert!(found.explained[0] >= found.explained[1] && found.explained[1] > 1.0 / 300.0);
    }

    #[test]
    fn degenerate_inputs_are_defined() {
        let alike = Array2::from_elem((9, 4), 2.0f32);
        let found = principal_components(&alike.view(), 2).unwrap();
        assert_eq!(found.explained, [0.0, 0.0]);
        assert!(found.coordinates.iter().all(|x| x.abs() < 1e-12));
        let narrow = normal(9, 1, 1);
        let found = principal_components(&narrow.view(), 2).unwrap();
        assert_eq!(found.coordinates.dim(), (9, 1));
        assert!((found.explained[0] - 1.0).abs() < 1e-12);
        assert_eq!(
            principal_components(&normal(1, 5, 1).view(), 2)
                .unwrap()
                .explained,
            [0.0; 2]
        );
        assert!(principal_components(&Array2::zeros((0, 3)).view(), 2).is_ok());
        assert_eq!(
            principal_components(&Array2::zeros((3, 0)).view(), 2)
                .unwrap()
                .coordinates
                .dim(),
            (3, 0)
        );
    }
}
