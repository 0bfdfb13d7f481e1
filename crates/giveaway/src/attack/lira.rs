//! The likelihood-ratio attack (Carlini et al. 2022, "Membership inference attacks from
//! first principles").
//!
//! A record's scaled logits over its IN models and over its OUT models are taken as normal.
//! Online: `ln N(φ; μ_in, σ²_in) - ln N(φ; μ_out, σ²_out)`. Offline, without IN models:
//! `ln Φ((φ - μ_out)/σ_out)`, one-sided. Variances have divisor n, as in the authors' code.
//! With several query augmentations the scores of the queries are added, as if they were
//! independent.
//!
//! Traps (methods, section 3.1): the OUT variance is computed from OUT models, never from IN; the
//! offline score has one side; it is a logarithm, by `ln(1 - sf)`, since Φ itself is 1 to
//! the last bit from z = 8.3 on; nobody is cut to the smallest number of IN models.

use giveaway_stats::distribution::normal_log_sf;
use rayon::prelude::*;

use super::exponential::logarithms;
use super::moments::{BLOCK, Moments, Side};

/// Added to every standard deviation, as in the authors' code: models that agree to the last
/// bit have none, and a score is to stay finite.
const LEAST_DEVIATION: f64 = 1e-30;

/// Whose variance is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variance {
    /// Each record's own. Needs two models of each side that is used.
    PerRecord,
    /// One for all records ("fixed variance"), of the residuals from the records' means, for
    /// each side. For fewer than some 64 models.
    Fixed,
}

/// The standard deviations of the records' signals on one side.
enum Deviations<'a> {
    PerRecord(&'a Side),
    Fixed(f64),
}

impl<'a> Deviations<'a> {
    fn of(side: &'a Side, variance: Variance) -> Self {
        match variance {
            Variance::PerRecord => Self::PerRecord(side),
            Variance::Fixed => {
                // One model for each record leaves no residuals: then nothing is known of the
                // spread.
                let known = side.count.iter().any(|&count| count >= 2.0);
                Self::Fixed(if known {
                    side.pooled_variance().sqrt() + LEAST_DEVIATION
                } else {
                    f64::NAN
                })
            }
        }
    }

    fn at(&self, record: usize) -> f64 {
        match self {
            Self::PerRecord(side) if side.count[record] < 2.0 => f64::NAN,
            Self::PerRecord(side) => side.variance(record).sqrt() + LEAST_DEVIATION,
            Self::Fixed(deviation) => *deviation,
        }
    }
}

/// Online scores, one for each record: log likelihood ratio of IN to OUT.
///
/// `NaN` where a side has no model, or too few for its variance.
#[must_use]
pub fn online(target: &[f64], moments: &Moments, variance: Variance) -> Vec<f64> {
    let inside = Deviations::of(&moments.inside, variance);
    let outside = Deviations::of(&moments.outside, variance);
    let mut scores = vec![0.0; target.len()];
    scores
        .par_chunks_mut(BLOCK)
        .enumerate()
        .for_each(|(block, scores)| {
            let mut ratios = [0.0; BLOCK];
            let mut squares = [0.0; BLOCK];
            let first = block * BLOCK;
            for i in 0..scores.len() {
                let r = first + i;
                let (s_in, s_out) = (inside.at(r), outside.at(r));
                let z_in = (target[r] - moments.inside.mean[r]) / s_in;
                let z_out = (target[r] - moments.outside.mean[r]) / s_out;
                ratios[i] = s_out / s_in;
                // apart from the logarithms, which cancel where both deviations are equal
                squares[i] = 0.5 * (z_out - z_in) * (z_out + z_in);
            }
            logarithms(&ratios[..scores.len()], scores);
            for (score, squares) in scores.iter_mut().zip(squares) {
                *score += squares;
            }
        });
    scores
}

/// Offline scores, one for each record: the logarithm of the normal distribution function.
///
/// `NaN` where there is no OUT model, or too few for the variance.
#[must_use]
pub fn offline(target: &[f64], moments: &Moments, variance: Variance) -> Vec<f64> {
    let outside = Deviations::of(&moments.outside, variance);
    (0..target.len())
        .into_par_iter()
        .map(|r| normal_log_sf((moments.outside.mean[r] - target[r]) / outside.at(r)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::moments::moments;
    use super::*;

    /// Rows of models for one record, IN first.
    fn of(inside: &[f64], outside: &[f64]) -> Moments {
        let rows: Vec<[f64; 1]> = inside.iter().chain(outside).map(|&x| [x]).collect();
        let masks: Vec<[bool; 1]> = (0..rows.len()).map(|i| [i < inside.len()]).collect();
        let rows: Vec<&[f64]> = rows.iter().map(|r| &r[..]).collect();
        let masks: Vec<&[bool]> = masks.iter().map(|r| &r[..]).collect();
        moments(&rows, &masks, 1, |x| x)
    }

    /// -ln N by its definition, population variance.
    fn negative_log_density(x: f64, samples: &[f64]) -> f64 {
        let n = samples.len() as f64;
        let mean = samples.iter().sum::<f64>() / n;
        let variance = samples.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / n;
        0.5 * (2.0 * std::f64::consts::PI * variance).ln() + (x - mean).powi(2) / (2.0 * variance)
    }

    /// The values of TensorFlow Privacy's `advanced_mia_test.py` (there -ln N is the score):
    /// target [1, 0, 0, 0], samples [-1, 1], [0, 2], [0, 20] of which the first column is used.
    #[test]
    fn log_densities_have_the_population_variance() {
        assert!((negative_log_density(1.0, &[0.0, 2.0]) - 0.918_938_53).abs() < 1e-8);
        let expected = [(-1.0, 1.0), (0.0, 2.0), (0.0, 20.0)];
        let target = [1.0, 0.0, 0.0];
        let values = [1.418_938_53, 1.418_938_53, 3.721_523_63];
        for ((samples, x), value) in expected.into_iter().zip(target).zip(values) {
            let samples = [samples.0, samples.1];
            assert!((negative_log_density(x, &samples) - value).abs() < 1e-8);
            // as the OUT side, against an IN side that is a standard normal around x
            let moments = of(&[x - 1.0, x + 1.0], &samples);
            let standard = -0.5 * (2.0 * std::f64::consts::PI).ln();
            let score = online(&[x], &moments, Variance::PerRecord)[0];
            assert!((score - (standard + value)).abs() < 1e-8, "{score}");
        }
    }

    #[test]
    fn the_offline_score_has_one_side_and_no_ties_far_out() {
        let moments = of(&[], &[-1.0, 1.0]);
        let score = |x: f64| offline(&[x], &moments, Variance::PerRecord)[0];
        assert!((score(0.0) - 0.5f64.ln()).abs() < 1e-15);
        // scipy 1.17.1: norm.logcdf(-3), norm.logcdf(3)
        assert!((score(-3.0) + 6.607_726_221_510_349).abs() < 1e-12);
        assert!((score(3.0) + 0.001_350_809_964_748_193_8).abs() < 1e-15);
        for z in 0..30 {
            assert!(
                score(f64::from(z) + 1.0) > score(f64::from(z)),
                "tie at {z}"
            );
        }
    }

    #[test]
    fn too_few_models_give_no_score_rather_than_a_sure_one() {
        let one_out = of(&[1.0, 2.0], &[0.0]);
        for variance in [Variance::PerRecord, Variance::Fixed] {
            assert!(online(&[0.5], &one_out, variance)[0].is_nan());
            assert!(offline(&[0.5], &one_out, variance)[0].is_nan());
            assert!(online(&[0.5], &of(&[1.0, 2.0], &[]), variance)[0].is_nan());
        }
        // all alike: finite, and 0 where the target is too
        let alike = of(&[0.1; 3], &[0.1; 3]);
        assert!(online(&[0.1], &alike, Variance::PerRecord)[0].abs() < 1e-15);
        assert!(online(&[0.2], &of(&[0.2; 3], &[0.1; 3]), Variance::Fixed)[0].is_finite());
    }
}
