//! One p-value from several dependent ones.

use crate::distribution::chi_square_sf;
use crate::error::{InputError, check, check_parameter};

/// How far a correlation may stray from its place in a correlation matrix (1 on the
/// diagonal, equal mirror images, between -1 and 1) and still count as rounding.
const ROUNDING: f64 = 1e-9;

/// Covariance of `-2 ln p_i` and `-2 ln p_j` when the normal statistics behind two
/// one-sided tests have correlation `rho`: `3.263 ρ + 0.710 ρ² + 0.027 ρ³`, the cubic
/// fitted in "Combining dependent p-values" (Statistics & Probability Letters 60, 2002,
/// pages 183 to 190). The sign of ρ is that of statistics tested in the same tail; flip it when the tests look at opposite
/// tails.
#[must_use]
pub fn kost_covariance(rho: f64) -> f64 {
    rho * (3.263 + rho * (0.710 + rho * 0.027))
}

/// A combined p-value and the scaled chi-square it was read from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Combined {
    /// Fisher's statistic `ψ = -2 Σ ln p_i`.
    pub statistic: f64,
    /// What ψ is divided by: `Var ψ / (2 E ψ)`; 1 for independent p-values.
    pub scale: f64,
    /// Degrees of freedom of ψ/scale, any real number: `2 (E ψ)² / Var ψ`; twice the
    /// number of p-values if they are independent, 2 if they are one and the same.
    pub degrees_of_freedom: f64,
    /// `P[χ² ≥ ψ/scale]`.
    pub p_value: f64,
}

/// Brown's combination of m dependent p-values (Brown 1975, "A method for combining
/// non-independent, one-sided tests of significance") with the covariances of
/// [`kost_covariance`].
///
/// `E ψ = 2m` and `Var ψ = 4m + 2 Σ_{i<j} c_ij`; ψ/scale is compared with chi-square.
/// Where negative correlations would give more than 2m degrees of freedom, 2m and scale
/// 1 are used: never more than Fisher would claim. `correlations` is the m × m matrix of
/// the statistics, row by row. Every p-value is raised to `floor`, the smallest that its
/// test can honestly give, before its logarithm is taken.
///
/// # Errors
/// No p-value, a p-value outside [0, 1], a floor outside (0, 1], or a matrix that is not
/// m × m, not symmetric, not 1 on its diagonal or not within [-1, 1].
pub fn combine(p: &[f64], correlations: &[f64], floor: f64) -> Result<Combined, InputError> {
    let m = p.len();
    if m == 0 {
        return Err(InputError::TooFew {
            argument: "p",
            found: 0,
            needed: 1,
        });
    }
    check("p", p, "in [0, 1]", |p| (0.0..=1.0).contains(&p))?;
    check_parameter(
        "floor",
        floor,
        "above 0 and at most 1",
        floor > 0.0 && floor <= 1.0,
    )?;
    let covariances = sum_of_covariances(correlations, m)?;
    let statistic = -2.0 * p.iter().map(|p| p.max(floor).ln()).sum::<f64>();
    Ok(of_statistic(statistic, m, covariances))
}

/// The last step of [`combine`], for those who keep the sums: ψ of `m` p-values, of which
/// `covariances` is `Σ_{i<j} c_ij`. Without covariances this is Fisher's combination.
///
/// The p-value is NaN if `m` is 0 or the statistic is NaN.
#[must_use]
pub fn of_statistic(statistic: f64, m: usize, covariances: f64) -> Combined {
    let expectation = 2.0 * m as f64;
    let variance = (4.0 * m as f64 + 2.0 * covariances).max(2.0 * expectation);
    let scale = variance / (2.0 * expectation);
    let degrees_of_freedom = 2.0 * expectation * expectation / variance;
    Combined {
        statistic,
        scale,
        degrees_of_freedom,
        p_value: chi_square_sf(statistic / scale, degrees_of_freedom),
    }
}

/// `Σ_{i<j} c_ij`, of a matrix that is checked on the way.
fn sum_of_covariances(correlations: &[f64], m: usize) -> Result<f64, InputError> {
    if correlations.len() != m * m {
        return Err(InputError::Matrix {
            argument: "correlations",
            found: correlations.len(),
            rows: m,
            columns: m,
        });
    }
    check(
        "correlations",
        correlations,
        "a correlation, from -1 to 1",
        |rho| rho.abs() <= 1.0 + ROUNDING,
    )?;
    let mut sum = 0.0;
    for i in 0..m {
        let diagonal = correlations[i * m + i];
        if (diagonal - 1.0).abs() > ROUNDING {
            return Err(InputError::Value {
                argument: "correlations",
                index: i * m + i,
                value: diagonal,
                allowed: "1 on the diagonal",
            });
        }
        for j in 0..i {
            let (rho, mirrored) = (correlations[i * m + j], correlations[j * m + i]);
            if (rho - mirrored).abs() > ROUNDING {
                return Err(InputError::Value {
                    argument: "correlations",
                    index: i * m + j,
                    value: rho,
                    allowed: "equal to its mirror image (the matrix must be symmetric)",
                });
            }
            sum += kost_covariance(rho.clamp(-1.0, 1.0));
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn equicorrelated(m: usize, rho: f64) -> Vec<f64> {
        (0..m * m)
            .map(|cell| if cell / m == cell % m { 1.0 } else { rho })
            .collect()
    }

    #[test]
    fn perfectly_correlated_equal_p_values_give_themselves_back() {
        assert!((kost_covariance(1.0) - 4.0).abs() < 1e-15);
        for m in [1, 2, 7, 50] {
            for p in [1.0, 0.3, 0.01, 1e-9, 1e-200] {
                let combined = combine(&vec![p; m], &equicorrelated(m, 1.0), 1e-300).unwrap();
                assert!(
                    (combined.p_value / p - 1.0).abs() < 1e-11,
                    "{m} {combined:?}"
                );
                assert!((combined.degrees_of_freedom - 2.0).abs() < 1e-12);
            }
        }
    }

    /// `P[χ²_2m ≥ ψ] = e^(-ψ/2) Σ_{k<m} (ψ/2)^k / k!`: Fisher's combination by its
    /// closed form.
    #[test]
    fn independent_p_values_are_combined_as_fisher_does() {
        let p = [0.04, 0.2, 0.9, 0.011];
        let combined = combine(&p, &equicorrelated(4, 0.0), 1e-300).unwrap();
        let half = -p.iter().map(|p: &f64| p.ln()).sum::<f64>();
        let closed = (-half).exp() * (1.0 + half + half.powi(2) / 2.0 + half.powi(3) / 6.0);
        assert!((combined.p_value / closed - 1.0).abs() < 1e-12);
        assert!((combined.degrees_of_freedom - 8.0).abs() < 1e-12);
    }

    #[test]
    fn negative_correlation_claims_no_more_than_fisher() {
        let p = [0.03, 0.2, 0.04];
        let fisher = combine(&p, &equicorrelated(3, 0.0), 1e-300).unwrap();
        // -1 for every pair is no correlation matrix, but must not break anything
        for rho in [-0.01, -0.4, -1.0] {
            assert_eq!(
                combine(&p, &equicorrelated(3, rho), 1e-300).unwrap(),
                fisher
            );
        }
    }

    #[test]
    fn the_floor_is_applied_before_the_logarithm() {
        let floored = combine(&[0.0, 0.5], &equicorrelated(2, 0.3), 0.01).unwrap();
        let stated = combine(&[0.01, 0.5], &equicorrelated(2, 0.3), 1e-300).unwrap();
        assert_eq!(floored, stated);
    }

    #[test]
    fn bad_input_is_an_error() {
        let two = equicorrelated(2, 0.5);
        assert!(combine(&[], &[], 0.1).is_err());
        for p in [-0.1, 1.1, f64::NAN] {
            assert!(combine(&[0.5, p], &two, 0.1).is_err());
        }
        for floor in [0.0, -1.0, 1.5, f64::NAN] {
            assert!(combine(&[0.5, 0.5], &two, floor).is_err());
        }
        for matrix in [
            vec![1.0, 0.5, 0.5],
            vec![1.0, 0.5, 0.4, 1.0],
            vec![1.0, 0.5, 0.5, 0.9],
            vec![1.0, 1.5, 1.5, 1.0],
            vec![1.0, f64::NAN, f64::NAN, 1.0],
        ] {
            assert!(combine(&[0.5, 0.5], &matrix, 0.1).is_err(), "{matrix:?}");
        }
        let message = combine(&[0.5, 0.5], &[1.0], 0.1).unwrap_err().to_string();
        assert!(message.contains("2 × 2"), "{message}");
    }

    proptest! {
        /// The more the tests repeat one another, the less their agreement says.
        #[test]
        fn correlation_weakens_agreement(p in 1e-8..0.1, m in 2usize..6, low in 0.0..1.0, high in 0.0..1.0) {
            let (low, high) = if low <= high { (low, high) } else { (high, low) };
            let weaker = combine(&vec![p; m], &equicorrelated(m, low), 1e-300).unwrap();
            let stronger = combine(&vec![p; m], &equicorrelated(m, high), 1e-300).unwrap();
            prop_assert!(weaker.p_value <= stronger.p_value * (1.0 + 1e-9));
            prop_assert!(stronger.p_value <= p * (1.0 + 1e-9));
        }
    }
}
