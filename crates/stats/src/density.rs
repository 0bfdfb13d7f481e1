//! Logarithms of densities: what a likelihood ratio is made of.
//!
//! An argument outside its domain (a NaN, a scale that is not positive) gives NaN.

use crate::special::half_step_gamma_ratio;
use std::f64::consts::PI;

/// `0.5 ln(2π)`.
const HALF_LN_TAU: f64 = 0.918_938_533_204_672_8;

/// Logarithm of the normal density at x, for any mean and a standard deviation above 0:
/// `-½ z² - ln σ - ½ ln 2π` with `z = (x - mean)/σ`.
#[must_use]
pub fn normal_log_density(x: f64, mean: f64, standard_deviation: f64) -> f64 {
    if standard_deviation.is_nan() || standard_deviation <= 0.0 {
        return f64::NAN;
    }
    let z = (x - mean) / standard_deviation;
    -0.5 * z * z - standard_deviation.ln() - HALF_LN_TAU
}

/// Logarithm of the density at x of a Student t variable with `df` > 0 degrees of freedom
/// (any real number; infinite is the normal), times a `scale` above 0, plus `location`:
/// `ln Γ((ν+1)/2) - ln Γ(ν/2) - ½ ln(πν) - ln scale - ½(ν+1) ln(1 + z²/ν)`.
#[must_use]
pub fn student_t_log_density(x: f64, df: f64, location: f64, scale: f64) -> f64 {
    if df.is_nan() || df <= 0.0 || scale.is_nan() || scale <= 0.0 {
        return f64::NAN;
    }
    if df.is_infinite() {
        return normal_log_density(x, location, scale);
    }
    let ratio = ((x - location) / scale / df.sqrt()).abs();
    let ln_one_plus_square = if ratio > 1e150 {
        // the square may exceed the largest f64, and 1 no longer counts
        2.0 * ratio.ln()
    } else {
        (ratio * ratio).ln_1p()
    };
    (half_step_gamma_ratio(0.5 * df) / (PI * df).sqrt()).ln()
        - scale.ln()
        - 0.5 * (df + 1.0) * ln_one_plus_square
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The building block of the likelihood-ratio attack in TensorFlow Privacy's
    /// `advanced_mia_test.py`: minus the log density of a target under the mean and population variance of samples.
    #[test]
    fn densities_of_tensorflow_privacy() {
        for (target, samples, expected) in [
            (1.0, [-1.0, 1.0], 1.418_938_53),
            (0.0, [0.0, 2.0], 1.418_938_53),
            (0.0, [0.0, 20.0], 3.721_523_63),
        ] {
            let mean: f64 = f64::midpoint(samples[0], samples[1]);
            let deviation = 0.5 * (samples[1] - samples[0]);
            let ours = -normal_log_density(target, mean, deviation);
            assert!((ours - expected).abs() < 5e-9, "{ours}");
        }
    }

    /// The densities integrate to 1 (trapezoids on a fine, wide grid).
    #[test]
    fn densities_integrate_to_one() {
        let step = 1e-3;
        let sum = |density: &dyn Fn(f64) -> f64| -> f64 {
            (-400_000..=400_000)
                .map(|i| step * density(f64::from(i) * step).exp())
                .sum()
        };
        assert!((sum(&|x| normal_log_density(x, 3.0, 2.5)) - 1.0).abs() < 1e-12);
        assert!((sum(&|x| student_t_log_density(x, 12.5, -1.0, 3.0)) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn outside_the_domain_is_nan() {
        for bad in [0.0, -1.0, f64::NAN] {
            assert!(normal_log_density(0.0, 0.0, bad).is_nan());
            assert!(student_t_log_density(0.0, bad, 0.0, 1.0).is_nan());
            assert!(student_t_log_density(0.0, 3.0, 0.0, bad).is_nan());
        }
        assert!(normal_log_density(f64::NAN, 0.0, 1.0).is_nan());
        assert!(student_t_log_density(f64::NAN, 3.0, 0.0, 1.0).is_nan());
        assert!(student_t_log_density(1e300, 3.0, 0.0, 1e-3).is_finite());
    }
}
