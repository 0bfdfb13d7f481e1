//! BaVarIA (Brännvall 2026): likelihood ratios with variances shrunk by a conjugate prior.
//!
//! For each side c of {IN, OUT} a normal-inverse-gamma prior is fitted to the scaled logits
//! of that side over all records and models: μ0 their mean, V their variance (divisor n),
//! κ0 = 1, `β0 = V (α0 - 1)` where α0 > 1, else V. With a record's n observations, mean x̄
//! and `SS = Σ (x - x̄)²`: κ = κ0 + n, α = α0 + n/2, `β = β0 + SS/2 + κ0 n (x̄ - μ0)²/(2κ)`,
//! `μ = (κ0 μ0 + n x̄)/κ`.
//!
//! - n (α0 = 1): a normal with mean x̄ and variance `v = β/(α - 1)` where α > 1, else β.
//! - t (α0 = 2): Student's t with 2α degrees of freedom, location μ, scale² `β(κ + 1)/(ακ)`.
//!
//! The score is the log density of the target's φ on the IN side less that on the OUT side.
//! Offline the IN side of every record is its prior alone (n = 0, mean μ0); the prior still
//! takes IN signals of other records. A side without observations is its prior online too.

use rayon::prelude::*;

use super::exponential::logarithms;
use super::moments::{BLOCK, Moments, Side};

/// Which predictive distribution is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Predictive {
    /// A normal with a stabilised variance.
    Normal,
    /// Student's t.
    StudentT,
}

/// Least variance: the square of LiRA's least standard deviation.
const LEAST_VARIANCE: f64 = 1e-60;

/// κ0 of the prior.
const PRIOR_OBSERVATIONS: f64 = 1.0;

/// What a side's observations of all records say of a record without any.
struct Prior {
    predictive: Predictive,
    mean: f64,
    beta: f64,
    alpha: f64,
    /// `ln Γ((ν + 1)/2) - ln Γ(ν/2)` for ν = 2α after n observations, by n.
    gamma_ratios: Vec<f64>,
}

impl Prior {
    fn of(side: &Side, predictive: Predictive) -> Self {
        let (mean, variance) = side.global();
        let (alpha, beta) = match predictive {
            Predictive::Normal => (1.0, variance),
            Predictive::StudentT => (2.0, variance),
        };
        let most = side.count.iter().copied().fold(0.0, f64::max) as u32;
        let gamma_ratios = (0..=most)
            .map(|n| {
                let freedom = 2.0 * alpha + f64::from(n);
                libm::lgamma(f64::midpoint(freedom, 1.0)) - libm::lgamma(freedom / 2.0)
            })
            .collect();
        Self {
            predictive,
            mean,
            beta,
            alpha,
            gamma_ratios,
        }
    }

    /// The density of x after n observations with this mean and sum of squares.
    fn density(&self, x: f64, n: f64, mean: f64, squares: f64) -> Density {
        let mean = if n > 0.0 { mean } else { self.mean };
        let kappa = PRIOR_OBSERVATIONS + n;
        let alpha = self.alpha + n / 2.0;
        let from_prior = mean - self.mean;
        let beta = self.beta
            + squares / 2.0
            + PRIOR_OBSERVATIONS * n * (from_prior * from_prior) / (2.0 * kappa);
        match self.predictive {
            Predictive::Normal => {
                let variance = if alpha > 1.0 {
                    beta / (alpha - 1.0)
                } else {
                    beta
                };
                let variance = variance.max(LEAST_VARIANCE);
                let away = x - mean;
                Density {
                    constant: -(away * away) / (2.0 * variance),
                    scale: variance,
                    ..Density::default()
                }
            }
            Predictive::StudentT => {
                let freedom = 2.0 * alpha;
                let location = (PRIOR_OBSERVATIONS * self.mean + n * mean) / kappa;
                let scale = (beta * (kappa + 1.0) / (alpha * kappa)).max(LEAST_VARIANCE) * freedom;
                let away = x - location;
                Density {
                    constant: self.gamma_ratios[n as usize],
                    scale,
                    power: f64::midpoint(freedom, 1.0),
                    square: away * away / scale,
                }
            }
        }
    }

    /// Log densities, without terms that are the same on both sides, of the target at records
    /// from `first` on, in blocks of at most [`BLOCK`]. Without a side nothing was observed.
    fn log_densities(&self, target: &[f64], side: Option<&Side>, first: usize, of: &mut [f64]) {
        let width = of.len();
        let mut densities = [Density::default(); BLOCK];
        let mut numbers = [0.0; BLOCK];
        for (i, density) in densities[..width].iter_mut().enumerate() {
            let r = first + i;
            *density = match side {
                Some(side) => {
                    self.density(target[r], side.count[r], side.mean[r], side.deviations[r])
                }
                None => self.density(target[r], 0.0, 0.0, 0.0),
            };
            numbers[i] = density.scale;
        }
        logarithms(&numbers[..width], of);
        for (log, density) in of.iter_mut().zip(&densities) {
            *log = density.constant - 0.5 * *log;
        }
        if self.predictive == Predictive::StudentT {
            for (number, density) in numbers[..width].iter_mut().zip(&densities) {
                *number = 1.0 + density.square;
            }
            let mut logs = [0.0; BLOCK];
            logarithms(&numbers[..width], &mut logs[..width]);
            for i in 0..width {
                // what the sum of 1 and the square has lost to rounding
                let lost = densities[i].square - (numbers[i] - 1.0);
                of[i] -= densities[i].power * (logs[i] + lost / numbers[i]);
            }
        }
    }
}

/// `constant - ½ ln scale - power · ln(1 + square)`.
#[derive(Clone, Copy, Default)]
struct Density {
    constant: f64,
    scale: f64,
    power: f64,
    square: f64,
}

/// Scores with IN and OUT models, one for each record. `NaN` where no record has an
/// observation on one of the sides.
#[must_use]
pub fn online(target: &[f64], logits: &Moments, predictive: Predictive) -> Vec<f64> {
    ratios(target, logits, predictive, Some(&logits.inside))
}

/// Scores with OUT models; the IN side is its prior. `NaN` as with [`online`].
#[must_use]
pub fn offline(target: &[f64], logits: &Moments, predictive: Predictive) -> Vec<f64> {
    ratios(target, logits, predictive, None)
}

fn ratios(
    target: &[f64],
    logits: &Moments,
    predictive: Predictive,
    inside: Option<&Side>,
) -> Vec<f64> {
    let prior_in = Prior::of(&logits.inside, predictive);
    let prior_out = Prior::of(&logits.outside, predictive);
    let mut scores = vec![0.0; target.len()];
    scores
        .par_chunks_mut(BLOCK)
        .enumerate()
        .for_each(|(block, scores)| {
            let mut buffer = [0.0; BLOCK];
            let outside = &mut buffer[..scores.len()];
            let first = block * BLOCK;
            prior_in.log_densities(target, inside, first, scores);
            prior_out.log_densities(target, Some(&logits.outside), first, outside);
            for (score, outside) in scores.iter_mut().zip(outside) {
                *score -= *outside;
            }
        });
    scores
}

#[cfg(test)]
mod tests {
    use super::super::moments::moments;
    use super::*;

    /// Two records, six models; the values of `conformance/attacks/generate.py` compare more.
    fn example() -> (Vec<f64>, Moments) {
        let rows: [[f64; 2]; 5] = [[1.0, 0.5], [3.0, 0.0], [0.0, -1.0], [1.0, 2.0], [0.5, 0.0]];
        let inside = [
            [true, false],
            [true, false],
            [false, false],
            [false, false],
            [true, false],
        ];
        let moments = moments(
            &rows.each_ref().map(|r| &r[..]),
            &inside.each_ref().map(|r| &r[..]),
            2,
            |x| x,
        );
        (vec![2.0, 1.0], moments)
    }

    /// The predictive density by integrating the normal over the posterior of its mean and
    /// variance: the definition, and nothing of the closed form.
    fn integrated(x: f64, observations: &[f64], prior_mean: f64, beta: f64) -> f64 {
        let (alpha, kappa) = (2.0, 1.0);
        let normal = |x: f64, mean: f64, v: f64| {
            (-(x - mean).powi(2) / (2.0 * v)).exp() / (2.0 * std::f64::consts::PI * v).sqrt()
        };
        let (mut with, mut without) = (0.0, 0.0);
        // in u = ln v, whose step is constant; the inverse gamma density has weight v^-α e^(-β/v)
        for i in 0..600 {
            let v = (-9.0 + 18.0 * f64::from(i) / 600.0).exp();
            let weight = v.powf(-alpha) * (-beta / v).exp();
            for j in 0..1200 {
                let mean = prior_mean + v.sqrt() * (-8.0 + 16.0 * f64::from(j) / 1200.0);
                // the step of the mean is proportional to √v
                let prior = weight * normal(mean, prior_mean, v / kappa) * v.sqrt();
                let likelihood: f64 = observations.iter().map(|&o| normal(o, mean, v)).product();
                without += prior * likelihood;
                with += prior * likelihood * normal(x, mean, v);
            }
        }
        (with / without).ln()
    }

    #[test]
    fn student_t_is_the_posterior_predictive() {
        let (target, logits) = example();
        // record 0: IN 1, 3, .5 (all there is IN); OUT 0, 1
        let inside = [1.0, 3.0, 0.5];
        let mean_in = 1.5;
        let v_in = inside
            .iter()
            .map(|x| (x - mean_in) * (x - mean_in))
            .sum::<f64>()
            / 3.0;
        let all_out = [0.0, 1.0, 0.5, 0.0, -1.0, 2.0, 0.0];
        let mean_out = all_out.iter().sum::<f64>() / 7.0;
        let v_out = all_out
            .iter()
            .map(|x| (x - mean_out) * (x - mean_out))
            .sum::<f64>()
            / 7.0;
        let score = online(&target, &logits, Predictive::StudentT)[0];
        let of_in = integrated(2.0, &inside, mean_in, v_in);
        let of_out = integrated(2.0, &[0.0, 1.0], mean_out, v_out);
        assert!(
            (score - (of_in - of_out)).abs() < 1e-3,
            "{score} {}",
            of_in - of_out
        );
        // record 1 is IN nowhere: its IN side is the prior alone, online as offline
        let prior_only =
            integrated(1.0, &[], mean_in, v_in) - integrated(1.0, &all_out[2..], mean_out, v_out);
        let online = online(&target, &logits, Predictive::StudentT)[1];
        let offline = offline(&target, &logits, Predictive::StudentT)[1];
        assert!((online - prior_only).abs() < 1e-3, "{online} {prior_only}");
        assert_eq!(online.to_bits(), offline.to_bits());
    }

    #[test]
    fn the_normal_form_has_the_shrunk_variance() {
        let (target, logits) = example();
        let (mean_in, v_in): (f64, f64) = (1.5, 3.5 / 3.0);
        let mean_out: f64 = 2.5 / 7.0;
        let v_out = 6.25 / 7.0 - mean_out * mean_out;
        // n, mean, SS of record 0: IN 3, 1.5, 3.5; OUT 2, .5, .5
        let beta_in: f64 = v_in + 1.75;
        let variance_in = beta_in / 1.5;
        let beta_out = v_out + 0.25 + 2.0 * (0.5 - mean_out) * (0.5 - mean_out) / 6.0;
        let variance_out = beta_out / 1.0;
        let expected = 0.5 * (variance_out / variance_in).ln()
            - (2.0 - 1.5) * (2.0 - 1.5) / (2.0 * variance_in)
            + (2.0 - 0.5) * (2.0 - 0.5) / (2.0 * variance_out);
        let score = online(&target, &logits, Predictive::Normal)[0];
        assert!((score - expected).abs() < 1e-12, "{score} {expected}");
        // offline: α stays 1, so v is β = V
        let expected = 0.5 * (variance_out / v_in).ln()
            - (2.0 - mean_in) * (2.0 - mean_in) / (2.0 * v_in)
            + 1.5 * 1.5 / (2.0 * variance_out);
        let score = offline(&target, &logits, Predictive::Normal)[0];
        assert!((score - expected).abs() < 1e-12, "{score} {expected}");
    }

    #[test]
    fn all_alike_is_finite_and_no_observations_are_no_score() {
        let rows = [[0.3f64], [0.3]];
        let slices = rows.each_ref().map(|r| &r[..]);
        let alike = moments(&slices, &[&[true][..], &[false][..]], 1, |x| x);
        let none_in = moments(&slices, &[&[false][..], &[false][..]], 1, |x| x);
        for predictive in [Predictive::Normal, Predictive::StudentT] {
            assert!(online(&[0.3], &alike, predictive)[0].abs() < 1e-12);
            assert!(offline(&[0.9], &alike, predictive)[0].is_finite());
            assert!(offline(&[0.3], &none_in, predictive)[0].is_nan());
        }
    }
}
