//! Weights for a single statistic of all queries of a unit.

use ndarray::{Array2, Axis};

/// Share of the identity in the correlation matrix: a few dozen models cannot tell the
/// correlations of two hundred queries.
const SHRINKAGE: f64 = 0.2;

/// Fisher's linear discriminant between IN and OUT models, from scaled logits models × queries:
/// `w = S⁻¹ δ` with S the covariance within both kinds, its correlations shrunk towards
/// independence by a fifth. Queries that do not vary get weight 0.
///
/// Weights may be negative: a query that shares the noise of another, but not its effect,
/// is subtracted. They are estimated on models that build and confirm, never on those that test.
#[must_use]
pub fn discriminant(inside: &Array2<f64>, outside: &Array2<f64>) -> Vec<f64> {
    let queries = outside.ncols();
    let mean = |of: &Array2<f64>| of.mean_axis(Axis(0)).unwrap_or_default();
    let (mean_in, mean_out) = (mean(inside), mean(outside));
    if mean_in.len() != queries || mean_out.len() != queries {
        return vec![0.0; queries];
    }
    let centred_in = inside - &mean_in;
    let centred_out = outside - &mean_out;
    let freedom = (inside.nrows() + outside.nrows()).saturating_sub(2).max(1) as f64;
    let covariance =
        (centred_in.t().dot(&centred_in) + centred_out.t().dot(&centred_out)) / freedom;
    let scales: Vec<f64> = covariance.diag().iter().map(|v| v.sqrt()).collect();
    let varying: Vec<usize> = (0..queries).filter(|&q| scales[q] > 0.0).collect();
    let size = varying.len();
    let mut correlations = vec![0.0; size * size];
    for (i, &a) in varying.iter().enumerate() {
        for (j, &b) in varying.iter().enumerate() {
            let rho = covariance[[a, b]] / (scales[a] * scales[b]);
            correlations[i * size + j] = if i == j { 1.0 } else { (1.0 - SHRINKAGE) * rho };
        }
    }
    let effects: Vec<f64> = varying
        .iter()
        .map(|&q| (mean_in[q] - mean_out[q]) / scales[q])
        .collect();
    let solved = solve(correlations, size, effects);
    let mut weights = vec![0.0; queries];
    for (&q, x) in varying.iter().zip(solved) {
        weights[q] = x / scales[q];
    }
    weights
}

/// Solves a positive definite system by Cholesky's decomposition.
fn solve(mut matrix: Vec<f64>, size: usize, mut right: Vec<f64>) -> Vec<f64> {
    for column in 0..size {
        for row in column..size {
            let dot: f64 = (0..column)
                .map(|k| matrix[row * size + k] * matrix[column * size + k])
                .sum();
            let rest = matrix[row * size + column] - dot;
            matrix[row * size + column] = if row == column {
                // Shrinkage keeps it above 0; rounding may not take that away.
                rest.max(1e-12).sqrt()
            } else {
                rest / matrix[column * size + column]
            };
        }
    }
    for row in 0..size {
        let dot: f64 = (0..row).map(|k| matrix[row * size + k] * right[k]).sum();
        right[row] = (right[row] - dot) / matrix[row * size + row];
    }
    for row in (0..size).rev() {
        let dot: f64 = (row + 1..size)
            .map(|k| matrix[k * size + row] * right[k])
            .sum();
        right[row] = (right[row] - dot) / matrix[row * size + row];
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;
    use giveaway_stats::random::Stream;

    #[test]
    fn the_system_is_solved() {
        let matrix = vec![4.0, 2.0, 0.6, 2.0, 5.0, 1.0, 0.6, 1.0, 3.0];
        let x = solve(matrix.clone(), 3, vec![1.0, -2.0, 0.5]);
        for (row, right) in [1.0, -2.0, 0.5].into_iter().enumerate() {
            let product: f64 = (0..3).map(|k| matrix[row * 3 + k] * x[k]).sum();
            assert!((product - right).abs() < 1e-12, "{product} {right}");
        }
    }

    #[test]
    fn what_shares_only_the_noise_is_subtracted() {
        let mut stream = Stream::new(3, "discriminant", 0);
        let mut draw = |shift: f64| {
            Array2::from_shape_vec(
                (400, 3),
                (0..400)
                    .flat_map(|_| {
                        let common = stream.normal();
                        let own = 0.3 * stream.normal();
                        [shift + common + own, common, 5.0]
                    })
                    .collect(),
            )
            .unwrap()
        };
        let (inside, outside) = (draw(1.0), draw(0.0));
        let w = discriminant(&inside, &outside);
        assert!(w[0] > 0.0 && w[1] < -0.4 * w[0], "{w:?}");
        assert!(w[2].abs() < 1e-300, "a constant says nothing: {w:?}");
    }
}
