//! What privacy DP-SGD gives: ε and δ of the Poisson-subsampled Gaussian mechanism.
//!
//! A step draws every record with probability `rate`, whatever the others do, adds up their
//! gradients, each clipped to a norm, and adds Gaussian noise whose standard deviation is
//! `noise_multiplier` times that norm. Neighbouring data sets differ by one record that is
//! there or not (add or remove). All steps together are (ε, δ)-differentially private for
//! many pairs (ε, δ), and an accountant says which. Both of these are upper bounds:
//!
//! - [`Accountant::Renyi`]: Rényi divergences, which add up over steps (Mironov, Talwar and
//!   Zhang 2019). Fast; the claim is some percent above the truth.
//! - [`Accountant::LossDistribution`]: the distribution of the privacy loss itself, composed
//!   by a Fourier transform. Above the truth by 0.3 % at most wherever that is known.
//!
//! They hold for training that really draws Poisson batches and really clips, with noise from
//! a generator whose seed nobody knows. Shuffled batches are not covered. Nor is what was
//! tried before: choosing among trainings on the same data costs privacy that is not counted
//! here.

mod calibration;
mod fourier;
mod gaussian;
mod loss_distribution;
pub mod renyi;

pub use calibration::{NOISE_TOLERANCE, noise_for};

use crate::error::{InputError, check_parameter};
use fourier::Transform;

/// How ε is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Accountant {
    /// Rényi differential privacy; see [`renyi`].
    Renyi,
    /// The privacy loss distribution on a grid, rounded so that ε is never below the truth
    /// ("connect the dots", Doroshenko, Ghazi, Kamath, Kumar and Manurangsi 2022).
    LossDistribution,
}

/// The Gaussian mechanism on Poisson samples, a number of times: training by DP-SGD.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampled {
    rate: f64,
    noise_multiplier: f64,
    steps: u64,
}

impl Sampled {
    /// Training with `steps` steps, of which each draws every record with probability `rate`
    /// (batch size over records), with noise of standard deviation `noise_multiplier` times
    /// the clip. A rate of 1 is the plain Gaussian mechanism. A noise multiplier of 0 is no
    /// privacy: ε is infinite.
    ///
    /// # Errors
    /// A rate outside (0, 1], a noise multiplier that is negative or not finite, no steps.
    pub fn new(rate: f64, noise_multiplier: f64, steps: u64) -> Result<Self, InputError> {
        check_parameter(
            "rate",
            rate,
            "above 0 and at most 1",
            rate > 0.0 && rate <= 1.0,
        )?;
        check_parameter(
            "noise_multiplier",
            noise_multiplier,
            "at least 0 and finite",
            noise_multiplier >= 0.0 && noise_multiplier.is_finite(),
        )?;
        check_parameter("steps", steps as f64, "at least 1", steps >= 1)?;
        Ok(Self {
            rate,
            noise_multiplier,
            steps,
        })
    }

    /// The probability that a step draws a record.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// The noise's standard deviation as a multiple of the clip.
    #[must_use]
    pub fn noise_multiplier(&self) -> f64 {
        self.noise_multiplier
    }

    /// How often the mechanism is used.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The same training for a record whose gradient is clipped to `share` of the norm that
    /// the noise is measured by: to that record it is the mechanism with the noise multiplier
    /// divided by `share`, and the ε of the result is the record's own.
    ///
    /// It holds for a share that was fixed without looking at the data. A share chosen because
    /// of the record (its leak, its loss) is itself told to whoever learns the shares, and the
    /// ε of one record says nothing about the others.
    ///
    /// # Errors
    /// A share outside (0, 1].
    pub fn with_clip_share(&self, share: f64) -> Result<Self, InputError> {
        check_parameter(
            "share",
            share,
            "above 0 and at most 1",
            share > 0.0 && share <= 1.0,
        )?;
        Self::new(self.rate, self.noise_multiplier / share, self.steps)
    }

    /// The smallest ε that the accountant can vouch for at this δ; infinite without noise,
    /// and 0 where δ alone is enough.
    ///
    /// # Errors
    /// A δ outside (0, 1).
    pub fn epsilon(&self, delta: f64, accountant: Accountant) -> Result<f64, InputError> {
        check_delta(delta)?;
        Ok(self.epsilon_with(delta, accountant, &mut Transform::default()))
    }

    /// As [`Self::epsilon`], with memory and roots of unity that were used before.
    fn epsilon_with(&self, delta: f64, accountant: Accountant, transform: &mut Transform) -> f64 {
        if self.noise_multiplier == 0.0 {
            return if self.ever_drawn() <= delta {
                0.0
            } else {
                f64::INFINITY
            };
        }
        match accountant {
            Accountant::Renyi => renyi::Curve::new(self, &renyi::orders()).epsilon(delta),
            Accountant::LossDistribution if self.rate >= 1.0 => {
                gaussian::epsilon(self.distance(), delta)
            }
            Accountant::LossDistribution => loss_distribution::epsilon(self, delta, transform),
        }
    }

    /// The smallest δ that the accountant can vouch for at this ε; 1 at most.
    ///
    /// # Errors
    /// An ε that is negative or not finite.
    pub fn delta(&self, epsilon: f64, accountant: Accountant) -> Result<f64, InputError> {
        check_parameter(
            "epsilon",
            epsilon,
            "at least 0 and finite",
            epsilon >= 0.0 && epsilon.is_finite(),
        )?;
        if self.noise_multiplier == 0.0 {
            return Ok(self.ever_drawn());
        }
        Ok(match accountant {
            Accountant::Renyi => renyi::Curve::new(self, &renyi::orders()).delta(epsilon),
            Accountant::LossDistribution if self.rate >= 1.0 => {
                gaussian::delta(self.distance(), epsilon)
            }
            Accountant::LossDistribution => loss_distribution::delta(self, epsilon),
        })
    }

    /// The probability that a record is drawn at all: the δ of training without noise.
    fn ever_drawn(&self) -> f64 {
        -(self.steps as f64 * (-self.rate).ln_1p()).exp_m1()
    }

    /// How far all steps move the mean, in standard deviations, if every record is drawn.
    fn distance(&self) -> f64 {
        (self.steps as f64).sqrt() / self.noise_multiplier
    }
}

fn check_delta(delta: f64) -> Result<(), InputError> {
    check_parameter(
        "delta",
        delta,
        "above 0 and below 1",
        delta > 0.0 && delta < 1.0,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOTH: [Accountant; 2] = [Accountant::Renyi, Accountant::LossDistribution];

    #[test]
    fn nonsense_is_refused_by_name() {
        let message = |result: Result<f64, InputError>| result.unwrap_err().to_string();
        for rate in [0.0, -0.1, 1.1, f64::NAN] {
            let error = Sampled::new(rate, 1.0, 1).unwrap_err().to_string();
            assert!(error.starts_with("rate is"), "{error}");
        }
        for noise in [-1.0, f64::NAN, f64::INFINITY] {
            let error = Sampled::new(0.1, noise, 1).unwrap_err().to_string();
            assert!(error.starts_with("noise_multiplier is"), "{error}");
        }
        let error = Sampled::new(0.1, 1.0, 0).unwrap_err().to_string();
        assert_eq!(error, "steps is 0; it must be at least 1");
        let sampled = Sampled::new(0.1, 1.0, 10).unwrap();
        for accountant in BOTH {
            for delta in [0.0, 1.0, -1.0, f64::NAN] {
                let error = message(sampled.epsilon(delta, accountant));
                assert!(error.starts_with("delta is"), "{error}");
                let error = message(noise_for(1.0, delta, 0.1, 10, accountant));
                assert!(error.starts_with("delta is"), "{error}");
            }
            for epsilon in [-1.0, f64::NAN, f64::INFINITY] {
                let error = message(sampled.delta(epsilon, accountant));
                assert!(error.starts_with("epsilon is"), "{error}");
                let error = message(noise_for(epsilon, 1e-5, 0.1, 10, accountant));
                assert!(error.starts_with("epsilon is"), "{error}");
            }
            assert!(message(noise_for(0.0, 1e-5, 0.1, 10, accountant)).contains("epsilon"));
            assert!(message(noise_for(1.0, 1e-5, 0.0, 10, accountant)).contains("rate"));
            assert!(message(noise_for(1.0, 1e-5, 0.1, 0, accountant)).contains("steps"));
        }
        for share in [0.0, 1.5, f64::NAN] {
            assert!(sampled.with_clip_share(share).is_err());
        }
    }

    #[test]
    fn no_noise_is_no_privacy() {
        let sampled = Sampled::new(0.1, 0.0, 10).unwrap();
        for accountant in BOTH {
            assert!(sampled.epsilon(1e-5, accountant).unwrap().is_infinite());
            // but a record that is hardly ever drawn hardly ever leaks
            let drawn = 1.0 - 0.9_f64.powi(10);
            assert!((sampled.delta(3.0, accountant).unwrap() - drawn).abs() < 1e-14);
            assert!(sampled.epsilon(0.7, accountant).unwrap() <= 0.0);
        }
    }

    #[test]
    fn a_smaller_clip_is_more_noise() {
        let sampled = Sampled::new(0.02, 0.8, 500).unwrap();
        let quarter = sampled.with_clip_share(0.25).unwrap();
        assert_eq!(quarter, Sampled::new(0.02, 3.2, 500).unwrap());
        assert_eq!(sampled.with_clip_share(1.0).unwrap(), sampled);
    }

    #[test]
    fn extreme_numbers_have_answers() {
        for rate in [1e-300, 0.5, 1.0 - f64::EPSILON / 2.0, 1.0] {
            for noise in [1e-6, 0.01, 1e300] {
                for steps in [1, u64::MAX] {
                    let sampled = Sampled::new(rate, noise, steps).unwrap();
                    for accountant in BOTH {
                        let what = format!("{sampled:?} {accountant:?}");
                        let epsilon = sampled.epsilon(1e-9, accountant).unwrap();
                        assert!(epsilon >= 0.0, "{what}: {epsilon}");
                        let delta = sampled.delta(1.0, accountant).unwrap();
                        assert!((0.0..=1.0).contains(&delta), "{what}: {delta}");
                    }
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn privacy_falls_and_rises_with_its_arguments(
            ln_rate in -9.0..0.0_f64,
            ln_noise in -0.9..1.5_f64,
            steps in 1_u64..3000,
            ln_delta in -25.0..-2.0_f64,
        ) {
            let (rate, noise, delta) = (ln_rate.exp(), ln_noise.exp(), ln_delta.exp());
            for accountant in BOTH {
                let of = |rate: f64, noise: f64, steps: u64, delta: f64| {
                    Sampled::new(rate, noise, steps).unwrap().epsilon(delta, accountant).unwrap()
                };
                let here = of(rate, noise, steps, delta);
                prop_assert!(here >= 0.0 && here.is_finite());
                // the steps are larger than what the grid of losses adds
                prop_assert!(of(rate, 1.1 * noise, steps, delta) <= here);
                prop_assert!(of(0.8 * rate, noise, steps, delta) <= here);
                prop_assert!(of(rate, noise, steps + steps.div_ceil(5), delta) >= here);
                prop_assert!(of(rate, noise, steps, 0.5 * delta) >= here);
            }
        }

        #[test]
        fn delta_and_epsilon_are_inverse(
            ln_rate in -7.0..0.0_f64,
            ln_noise in -0.5..1.5_f64,
            steps in 1_u64..2000,
            ln_delta in -23.0..-3.0_f64,
        ) {
            let sampled = Sampled::new(ln_rate.exp(), ln_noise.exp(), steps).unwrap();
            for accountant in BOTH {
                let epsilon = sampled.epsilon(ln_delta.exp(), accountant).unwrap();
                let delta = sampled.delta(epsilon, accountant).unwrap();
                if epsilon > 0.0 {
                    // the two may use grids of different intervals
                    prop_assert!((delta.ln() - ln_delta).abs() < 0.02, "{delta} at {epsilon}");
                } else {
                    prop_assert!(delta <= 1.0001 * ln_delta.exp());
                }
            }
        }

        #[test]
        fn the_loss_distribution_is_the_tighter_accountant(
            ln_rate in -9.0..0.0_f64,
            ln_noise in -0.9..1.5_f64,
            steps in 1_u64..3000,
            ln_delta in -25.0..-2.0_f64,
        ) {
            let sampled = Sampled::new(ln_rate.exp(), ln_noise.exp(), steps).unwrap();
            let renyi = sampled.epsilon(ln_delta.exp(), Accountant::Renyi).unwrap();
            let loss = sampled.epsilon(ln_delta.exp(), Accountant::LossDistribution).unwrap();
            prop_assert!(loss <= 1.001 * renyi, "{loss} > {renyi}");
        }
    }
}
