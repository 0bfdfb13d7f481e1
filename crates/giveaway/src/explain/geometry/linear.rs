//! Linear algebra in float64 that several measures need: moments, scatter, Cholesky.

#![expect(
    clippy::inline_always,
    reason = "vector code works only when inlined into a function compiled for its instruction set"
)]

use std::ops::Range;

use giveaway_nn::{Loops, vectorised};
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, Slice};
use rayon::prelude::*;

use crate::error::{Error, Result};

/// Rows of a block.
pub(super) const BLOCK: usize = 1024;

/// Numbers that are added side by side.
const LANES: usize = 16;

/// Columns that one thread takes.
const STRIPE: usize = 32;

/// The squared Euclidean distance of two vectors, in float64.
pub(super) fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    vectorised(Distance(a, b))
}

struct Distance<'a>(&'a [f32], &'a [f32]);

impl Loops for Distance<'_> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let mut sums = [0f64; LANES];
        let (a, rest_a) = self.0.as_chunks::<LANES>();
        let (b, rest_b) = self.1.as_chunks::<LANES>();
        for (a, b) in a.iter().zip(b) {
            for lane in 0..LANES {
                let away = f64::from(a[lane]) - f64::from(b[lane]);
                sums[lane] += away * away;
            }
        }
        for (lane, (&a, &b)) in rest_a.iter().zip(rest_b).enumerate() {
            let away = f64::from(a) - f64::from(b);
            sums[lane] += away * away;
        }
        sums.iter().sum()
    }
}

/// Product with, and squared distance from, a vector in float64.
pub(super) fn product_and_distance(a: &[f64], b: &[f64]) -> (f64, f64) {
    vectorised(Both(a, b))
}

struct Both<'a>(&'a [f64], &'a [f64]);

impl Loops for Both<'_> {
    type Output = (f64, f64);

    #[inline(always)]
    fn run(self) -> (f64, f64) {
        let mut products = [0f64; LANES];
        let mut squares = [0f64; LANES];
        let (a, rest_a) = self.0.as_chunks::<LANES>();
        let (b, rest_b) = self.1.as_chunks::<LANES>();
        for (a, b) in a.iter().zip(b) {
            for lane in 0..LANES {
                let away = a[lane] - b[lane];
                products[lane] += a[lane] * b[lane];
                squares[lane] += away * away;
            }
        }
        for (lane, (&a, &b)) in rest_a.iter().zip(rest_b).enumerate() {
            let away = a - b;
            products[lane] += a * b;
            squares[lane] += away * away;
        }
        (products.iter().sum(), squares.iter().sum())
    }
}

/// Mean and standard deviation (divisor n) of each column of a matrix in C order; rows are added
/// in their order. Zeros where there are no rows.
pub(super) fn column_moments(values: &[f32], width: usize) -> (Vec<f64>, Vec<f64>) {
    let records = values.len() / width.max(1);
    let mut means = vec![0f64; width];
    let mut deviations = vec![0f64; width];
    means
        .par_chunks_mut(STRIPE)
        .zip(deviations.par_chunks_mut(STRIPE))
        .enumerate()
        .for_each(|(stripe, (means, deviations))| {
            let first = stripe * STRIPE;
            let last = first + means.len();
            for row in values.chunks_exact(width) {
                for (mean, &x) in means.iter_mut().zip(&row[first..last]) {
                    *mean += f64::from(x);
                }
            }
            for mean in &mut *means {
                *mean /= records.max(1) as f64;
            }
            for row in values.chunks_exact(width) {
                for ((square, &mean), &x) in
                    deviations.iter_mut().zip(&*means).zip(&row[first..last])
                {
                    let away = f64::from(x) - mean;
                    *square += away * away;
                }
            }
            for square in deviations {
                *square = (*square / records.max(1) as f64).sqrt();
            }
        });
    (means, deviations)
}

/// Means by class, classes × width; zeros for a class without records. Rows are added in their order.
pub(super) fn class_means(
    values: &[f32],
    width: usize,
    labels: &[u32],
    classes: usize,
) -> Array2<f64> {
    let mut counts = vec![0usize; classes];
    for &label in labels {
        counts[label as usize] += 1;
    }
    let stripes: Vec<Vec<f64>> = (0..width.div_ceil(STRIPE))
        .into_par_iter()
        .map(|stripe| {
            let columns = stripe * STRIPE..width.min((stripe + 1) * STRIPE);
            let mut sums = vec![0f64; classes * columns.len()];
            for (row, &label) in values.chunks_exact(width).zip(labels) {
                let first = label as usize * columns.len();
                let sums = &mut sums[first..first + columns.len()];
                for (sum, &x) in sums.iter_mut().zip(&row[columns.clone()]) {
                    *sum += f64::from(x);
                }
            }
            sums
        })
        .collect();
    Array2::from_shape_fn((classes, width), |(class, column)| {
        let stripe = &stripes[column / STRIPE];
        let wide = stripe.len() / classes;
        stripe[class * wide + column % STRIPE] / counts[class].max(1) as f64
    })
}

/// `Xᵀ X` of a matrix of `records` rows that `fill` writes block by block, row by row (a row's number,
/// where it goes). Held at a time: a block, and the result. Rows are added in their order.
pub(super) fn scatter(
    records: usize,
    width: usize,
    fill: impl Fn(usize, &mut [f64]) + Sync,
) -> Result<Array2<f64>> {
    let mut total = vec![0f64; width * width];
    let mut block = Array2::<f64>::zeros((BLOCK, width));
    for first in (0..records).step_by(BLOCK) {
        let rows = BLOCK.min(records - first);
        if let Some(block) = block.as_slice_mut() {
            fill_rows(block, width, first..first + rows, &fill);
        }
        let block = block.slice_axis(Axis(0), Slice::from(..rows));
        total
            .par_chunks_mut(2 * STRIPE * width.max(1))
            .enumerate()
            .try_for_each(|(stripe, part)| {
                let from = stripe * 2 * STRIPE;
                let to = from + part.len() / width;
                let mut part = ArrayViewMut2::from_shape((to - from, width), part)
                    .map_err(|e| Error::unexpected(format!("scatter: {e}")))?;
                // the triangle that is not computed is copied below
                general_mat_mul(
                    1.0,
                    &block.slice_axis(Axis(1), Slice::from(from..to)).t(),
                    &block.slice_axis(Axis(1), Slice::from(from..)),
                    1.0,
                    &mut part.slice_axis_mut(Axis(1), Slice::from(from..)),
                );
                Ok::<(), Error>(())
            })?;
    }
    let mut total = Array2::from_shape_vec((width, width), total)
        .map_err(|e| Error::unexpected(format!("scatter: {e}")))?;
    for row in 0..width {
        for column in 0..row {
            total[[row, column]] = total[[column, row]];
        }
    }
    Ok(total)
}

fn fill_rows(
    block: &mut [f64],
    width: usize,
    rows: Range<usize>,
    fill: &(impl Fn(usize, &mut [f64]) + Sync),
) {
    block
        .par_chunks_mut(width.max(1))
        .zip(rows.into_par_iter())
        .for_each(|(row, record)| fill(record, row));
}

/// The inverse of the lower Cholesky factor of a covariance: `W` with `W Σ Wᵀ = I`, so that the
/// Euclidean length of `W x` is the Mahalanobis length of x.
///
/// A direction whose variance, given those before it, is below 1e-12 of the largest variance is
/// left out (its row of `W` is 0): the covariance says nothing of it.
pub(super) fn whitening(covariance: &Array2<f64>) -> Array2<f64> {
    let width = covariance.nrows();
    let largest = covariance.diag().iter().copied().fold(0.0, f64::max);
    // row i of the factor, and of its inverse, has i + 1 numbers
    let mut lower: Vec<Vec<f64>> = Vec::with_capacity(width);
    let mut inverse: Vec<Vec<f64>> = Vec::with_capacity(width);
    for i in 0..width {
        let mut row = vec![0f64; i + 1];
        for j in 0..i {
            // a direction that is left out has a diagonal of 0
            let diagonal = lower[j][j];
            if diagonal > 0.0 {
                let known = product_and_distance(&row[..j], &lower[j][..j]).0;
                row[j] = (covariance[[i, j]] - known) / diagonal;
            }
        }
        let left = covariance[[i, i]] - product_and_distance(&row[..i], &row[..i]).0;
        row[i] = if left > 1e-12 * largest {
            left.sqrt()
        } else {
            0.0
        };
        // forward substitution, a row of the inverse from those above it
        let mut solved = vec![0f64; i + 1];
        if row[i] > 0.0 {
            solved[i] = 1.0;
            for (&factor, above) in row.iter().zip(&inverse) {
                for (x, &y) in solved.iter_mut().zip(above) {
                    *x -= factor * y;
                }
            }
            for x in &mut solved {
                *x /= row[i];
            }
        }
        lower.push(row);
        inverse.push(solved);
    }
    Array2::from_shape_fn((width, width), |(i, j)| {
        inverse[i].get(j).copied().unwrap_or(0.0)
    })
}

/// Rows of a matrix times the transpose of another: records × `basis.nrows()`, block by block;
/// `fill` writes a row, `take` gets each row of the result.
pub(super) fn through<T: Send>(
    records: usize,
    basis: &ArrayView2<f64>,
    fill: impl Fn(usize, &mut [f64]) + Sync,
    take: impl Fn(usize, &[f64]) -> T + Sync,
) -> Vec<T> {
    /// Rows that one thread takes.
    const ROWS: usize = 128;
    let width = basis.ncols();
    let parts: Vec<Vec<T>> = (0..records.div_ceil(ROWS))
        .into_par_iter()
        .map(|part| {
            let rows = part * ROWS..records.min((part + 1) * ROWS);
            let mut block = Array2::<f64>::zeros((rows.len(), width));
            for (mut row, record) in block.rows_mut().into_iter().zip(rows.clone()) {
                if let Some(row) = row.as_slice_mut() {
                    fill(record, row);
                }
            }
            let mut results = Array2::<f64>::zeros((rows.len(), basis.nrows()));
            general_mat_mul(1.0, &block, &basis.t(), 0.0, &mut results);
            results
                .rows()
                .into_iter()
                .zip(rows)
                .filter_map(|(row, record)| Some(take(record, row.to_slice()?)))
                .collect()
        })
        .collect();
    parts.into_iter().flatten().collect()
}
