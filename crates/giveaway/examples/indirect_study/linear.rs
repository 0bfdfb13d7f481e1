//! Linear algebra on few hundred numbers: covariances, their Cholesky factors, and what follows
//! for all leading blocks at once.

use ndarray::{Array1, Array2, ArrayView1, Axis};

/// Mean and covariance (divisor n − 1) of rows.
pub(crate) fn moments(rows: &Array2<f64>) -> (Array1<f64>, Array2<f64>) {
    let mean = rows.mean_axis(Axis(0)).unwrap_or_default();
    let centred = rows - &mean;
    let freedom = rows.nrows().saturating_sub(1).max(1) as f64;
    let covariance = centred.t().dot(&centred) / freedom;
    (mean, covariance)
}

/// A covariance with its correlations shrunk towards 0 by this share.
pub(crate) fn shrunk(covariance: &Array2<f64>, share: f64) -> Array2<f64> {
    let mut shrunk = covariance * (1.0 - share);
    shrunk.diag_mut().assign(&covariance.diag());
    shrunk
}

/// The lower factor L of Cholesky's decomposition. Its leading blocks are the factors of the
/// leading blocks.
pub(crate) struct Factor {
    lower: Array2<f64>,
}

impl Factor {
    pub(crate) fn of(matrix: &Array2<f64>) -> Self {
        let size = matrix.nrows();
        let mut lower = Array2::<f64>::zeros((size, size));
        for row in 0..size {
            for column in 0..=row {
                let done = {
                    let (a, b) = (lower.row(row), lower.row(column));
                    let dot = |x: &ArrayView1<'_, f64>, y: &ArrayView1<'_, f64>| -> f64 {
                        x.iter().zip(y).take(column).map(|(x, y)| x * y).sum()
                    };
                    dot(&a, &b)
                };
                let rest = matrix[[row, column]] - done;
                lower[[row, column]] = if row == column {
                    // Of a query that repeats others nothing is left: it must not count.
                    let least = 1e-9 * matrix[[row, row]];
                    rest.max(least).max(f64::MIN_POSITIVE).sqrt()
                } else {
                    rest / lower[[column, column]]
                };
            }
        }
        Self { lower }
    }

    /// The solution of `L y = right`; the first of its numbers are those of the leading block.
    pub(crate) fn forward(&self, right: &Array1<f64>) -> Array1<f64> {
        let mut y = right.clone();
        for row in 0..y.len() {
            let dot: f64 = (0..row).map(|k| self.lower[[row, k]] * y[k]).sum();
            y[row] = (right[row] - dot) / self.lower[[row, row]];
        }
        y
    }

    /// Logarithms of the diagonal: half of those of the determinants, number by number.
    pub(crate) fn log_diagonal(&self) -> Vec<f64> {
        self.lower.diag().iter().map(|x| x.ln()).collect()
    }
}

/// Sums of the first so many numbers.
pub(crate) fn up_to(values: impl Iterator<Item = f64>, ends: &[usize]) -> Vec<f64> {
    let mut sums = vec![0.0];
    for value in values {
        sums.push(sums[sums.len() - 1] + value);
    }
    ends.iter()
        .map(|&end| sums[end.min(sums.len() - 1)])
        .collect()
}
