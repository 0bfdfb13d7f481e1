//! BASE (Lassila et al. 2025) and its relatives in the exponential family (Brännvall 2026).
//!
//! - BASE1: `-L_T - ln((1/K) Σ_k exp(-L_k))`, K over all reference models, or over the OUT
//!   models only (offline). It ranks as RMIA does at γ = 1 and temperature 1 when records
//!   have as many IN as OUT models. One number per record is estimated.
//! - BASE2 and BASE3: `(μ_in - μ_out)/v · (φ - (μ_in + μ_out)/2)`, the log likelihood ratio of
//!   two normals of one variance v. In BASE2 it is the same for all records (two numbers per
//!   record), in BASE3 each record's own (three). Our reading of the hierarchy, of which
//!   methods 3.5 gives the formula of BASE3.
//! - BASE4 is LiRA online: four numbers per record.

use rayon::prelude::*;

use super::lira::{self, Variance};
use super::moments::Moments;

/// Least variance: the square of LiRA's least standard deviation.
const LEAST_VARIANCE: f64 = 1e-60;

/// BASE1 with all reference models: `ln p_T - ln mean p_k`.
///
/// `confidences` are the moments of the reference models' confidences. `NaN` without models.
#[must_use]
pub fn base1_online(target_losses: &[f64], confidences: &Moments) -> Vec<f64> {
    let (inside, outside) = (&confidences.inside, &confidences.outside);
    (0..target_losses.len())
        .into_par_iter()
        .map(|r| {
            let sum = |count: f64, mean: f64| if count > 0.0 { count * mean } else { 0.0 };
            let total =
                sum(inside.count[r], inside.mean[r]) + sum(outside.count[r], outside.mean[r]);
            ratio(
                target_losses[r],
                total / (inside.count[r] + outside.count[r]),
            )
        })
        .collect()
}

/// BASE1 with the OUT models only. `NaN` without any.
#[must_use]
pub fn base1_offline(target_losses: &[f64], confidences: &Moments) -> Vec<f64> {
    target_losses
        .iter()
        .zip(&confidences.outside.mean)
        .map(|(&loss, &mean)| ratio(loss, mean))
        .collect()
}

/// A confidence of 0 in every model must leave a number: the least that float64 can tell.
fn ratio(target_loss: f64, mean_confidence: f64) -> f64 {
    if mean_confidence.is_nan() {
        return f64::NAN;
    }
    -target_loss - mean_confidence.max(f64::MIN_POSITIVE).ln()
}

/// BASE2: one variance for all records, over both sides' residuals (divisor n).
#[must_use]
pub fn base2(target: &[f64], logits: &Moments) -> Vec<f64> {
    let sum = |values: &[f64]| values.iter().sum::<f64>();
    let squares = sum(&logits.inside.deviations) + sum(&logits.outside.deviations);
    let count = sum(&logits.inside.count) + sum(&logits.outside.count);
    let variance = squares / count;
    (0..target.len())
        .into_par_iter()
        .map(|r| of_one_variance(target[r], logits, r, variance))
        .collect()
}

/// BASE3: each record's own variance, the same IN and OUT (divisor n).
#[must_use]
pub fn base3(target: &[f64], logits: &Moments) -> Vec<f64> {
    let (inside, outside) = (&logits.inside, &logits.outside);
    (0..target.len())
        .into_par_iter()
        .map(|r| {
            let count = inside.count[r] + outside.count[r];
            // With two observations and two means nothing is left to see the spread by.
            let variance = if count > 2.0 {
                (inside.deviations[r] + outside.deviations[r]) / count
            } else {
                f64::NAN
            };
            of_one_variance(target[r], logits, r, variance)
        })
        .collect()
}

/// BASE4: LiRA online with each record's own variances.
#[must_use]
pub fn base4(target: &[f64], logits: &Moments) -> Vec<f64> {
    lira::online(target, logits, Variance::PerRecord)
}

fn of_one_variance(phi: f64, logits: &Moments, record: usize, variance: f64) -> f64 {
    let (inside, outside) = (logits.inside.mean[record], logits.outside.mean[record]);
    if variance.is_nan() {
        return f64::NAN;
    }
    (inside - outside) / variance.max(LEAST_VARIANCE) * (phi - f64::midpoint(inside, outside))
}

#[cfg(test)]
mod tests {
    use super::super::moments::moments;
    use super::*;

    fn example() -> (Vec<f64>, Moments) {
        let rows: [[f64; 2]; 4] = [[1.0, 0.5], [3.0, 0.0], [0.0, -1.0], [1.0, 2.0]];
        let inside = [[true, false], [true, true], [false, true], [false, false]];
        let moments = moments(
            &rows.each_ref().map(|r| &r[..]),
            &inside.each_ref().map(|r| &r[..]),
            2,
            |x| x,
        );
        (vec![2.0, 1.0], moments)
    }

    #[test]
    fn base2_and_base3_are_likelihood_ratios_of_normals() {
        let (target, moments) = example();
        // record 0: IN 1, 3 (mean 2, SS 2); OUT 0, 1 (mean .5, SS .5)
        // record 1: IN 0, -1 (mean -.5, SS .5); OUT .5, 2 (mean 1.25, SS 1.125)
        let density = |x: f64, mean: f64, variance: f64| -(x - mean).powi(2) / (2.0 * variance);
        let own = [2.5 / 4.0, 1.625 / 4.0];
        let shared = (2.5 + 1.625) / 8.0;
        let means = [(2.0, 0.5), (-0.5, 1.25)];
        for r in 0..2 {
            let ratio =
                |v: f64| density(target[r], means[r].0, v) - density(target[r], means[r].1, v);
            assert!((base3(&target, &moments)[r] - ratio(own[r])).abs() < 1e-12);
            assert!((base2(&target, &moments)[r] - ratio(shared)).abs() < 1e-12);
        }
    }

    #[test]
    fn base1_is_the_log_ratio_to_the_mean_confidence() {
        let rows = [[0.5f64], [0.9], [0.2]];
        let inside = [[true], [true], [false]];
        let confidences = moments(
            &rows.each_ref().map(|r| &r[..]),
            &inside.each_ref().map(|r| &r[..]),
            1,
            |x| x,
        );
        let loss = -(0.8f64.ln());
        let online = base1_online(&[loss], &confidences)[0];
        assert!((online - (0.8f64 / (1.6 / 3.0)).ln()).abs() < 1e-12);
        let offline = base1_offline(&[loss], &confidences)[0];
        assert!((offline - (0.8f64 / 0.2).ln()).abs() < 1e-12);
    }

    #[test]
    fn degenerate_records() {
        let row = [[0.3f64], [0.3]];
        let inside = [[true], [false]];
        let alike = moments(
            &row.each_ref().map(|r| &r[..]),
            &inside.each_ref().map(|r| &r[..]),
            1,
            |x| x,
        );
        assert!(
            base3(&[0.3], &alike)[0].is_nan(),
            "two observations, two means"
        );
        assert!(base2(&[0.3], &alike)[0].abs() < 1e-15);
        let zero = moments(&[&[0.0f64][..]], &[&[false][..]], 1, |x| x);
        assert!(base1_offline(&[700.0], &zero)[0].is_finite());
        assert!(base1_online(&[700.0], &zero)[0].is_finite());
    }
}
