//! Moderated variances: many small samples lend each other a prior.
//!
//! With few models the sample variance of one record is a poor guess. Smyth (2004,
//! "Linear models and empirical Bayes methods for assessing differential expression")
//! takes the true variances to be scaled inverse chi-square, estimates that prior from
//! the mean and variance of the logarithms of all sample variances, and shrinks each
//! towards it; t tests with the moderated variance gain the prior's degrees of freedom.

use crate::distribution::{digamma, trigamma, trigamma_inverse};
use crate::error::{InputError, check_lengths};
use crate::summary::{mean, median, sample_variance};

/// A scaled inverse chi-square prior for variances.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VariancePrior {
    /// d₀: how many degrees of freedom the prior is worth; infinite if the variances
    /// differ no more than sampling explains.
    pub degrees_of_freedom: f64,
    /// s₀²: the variance that the prior expects.
    pub variance: f64,
}

/// A variance and the degrees of freedom it is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModeratedVariance {
    /// s̃².
    pub variance: f64,
    /// d₀ + d; may be infinite.
    pub degrees_of_freedom: f64,
}

/// Estimates the prior from sample variances `variances[i]` with
/// `degrees_of_freedom[i]` each, by the moments of their logarithms (Smyth 2004,
/// section 6.2).
///
/// Entries that are not finite, negative, or without degrees of freedom are left out.
/// Variances below 1e-5 of the median of the positive ones are raised to that, because a
/// zero has no logarithm.
///
/// # Errors
/// Lengths that differ; fewer than two usable variances; no positive variance.
pub fn fit_variance_prior(
    variances: &[f64],
    degrees_of_freedom: &[f64],
) -> Result<VariancePrior, InputError> {
    check_lengths(
        ("variances", "degrees_of_freedom"),
        (variances.len(), degrees_of_freedom.len()),
    )?;
    let usable: Vec<(f64, f64)> = variances
        .iter()
        .copied()
        .zip(degrees_of_freedom.iter().copied())
        .filter(|&(variance, df)| {
            variance.is_finite() && variance >= 0.0 && df.is_finite() && df > 0.0
        })
        .collect();
    let positive: Vec<f64> = usable
        .iter()
        .map(|pair| pair.0)
        .filter(|&variance| variance > 0.0)
        .collect();
    let too_few = |found: usize, needed: usize| InputError::TooFew {
        argument: "variances",
        found,
        needed,
    };
    if usable.len() < 2 {
        return Err(too_few(usable.len(), 2));
    }
    let smallest = 1e-5 * median(&positive).ok_or_else(|| too_few(0, 1))?;
    // E[ln s²] = ln s₀² + digamma(d/2) - ln(d/2) - digamma(d₀/2) + ln(d₀/2)
    let centred: Vec<f64> = usable
        .iter()
        .map(|&(variance, df)| variance.max(smallest).ln() - digamma(0.5 * df) + (0.5 * df).ln())
        .collect();
    let sampling: Vec<f64> = usable.iter().map(|&(_, df)| trigamma(0.5 * df)).collect();
    let missing = || too_few(usable.len(), 2);
    let centre = mean(&centred).ok_or_else(missing)?;
    // Var[ln s²] = trigamma(d/2) + trigamma(d₀/2)
    let excess =
        sample_variance(&centred).ok_or_else(missing)? - mean(&sampling).ok_or_else(missing)?;
    if excess > 0.0 {
        let half = trigamma_inverse(excess);
        Ok(VariancePrior {
            degrees_of_freedom: 2.0 * half,
            variance: (centre + digamma(half) - half.ln()).exp(),
        })
    } else {
        Ok(VariancePrior {
            degrees_of_freedom: f64::INFINITY,
            variance: centre.exp(),
        })
    }
}

/// Shrinks one sample variance towards the prior:
/// `s̃² = (d₀ s₀² + d s²) / (d₀ + d)`, worth d₀ + d degrees of freedom.
/// With d = 0 it is the prior; with d₀ infinite too.
#[must_use]
pub fn moderated(
    variance: f64,
    degrees_of_freedom: f64,
    prior: VariancePrior,
) -> ModeratedVariance {
    let total = prior.degrees_of_freedom + degrees_of_freedom;
    if prior.degrees_of_freedom.is_infinite() || degrees_of_freedom == 0.0 {
        return ModeratedVariance {
            variance: prior.variance,
            degrees_of_freedom: total,
        };
    }
    ModeratedVariance {
        variance: (prior.degrees_of_freedom * prior.variance + degrees_of_freedom * variance)
            / total,
        degrees_of_freedom: total,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    fn chi_square(stream: &mut Stream, df: u32) -> f64 {
        (0..df).map(|_| stream.normal().powi(2)).sum()
    }

    #[test]
    fn bad_input_is_an_error() {
        assert!(fit_variance_prior(&[1.0], &[1.0, 2.0]).is_err());
        assert!(fit_variance_prior(&[1.0], &[1.0]).is_err());
        assert!(fit_variance_prior(&[0.0, 0.0], &[5.0, 5.0]).is_err());
        assert!(fit_variance_prior(&[1.0, f64::NAN], &[5.0, 5.0]).is_err());
    }

    #[test]
    fn finds_the_prior_that_drew_the_variances() {
        let mut stream = Stream::new(11, "variances", 0);
        let (mut variances, mut df) = (Vec::new(), Vec::new());
        for i in 0..20_000u32 {
            let d = 5 + i % 10;
            // d₀ = 8, s₀² = 3
            let truth = 3.0 * 8.0 / chi_square(&mut stream, 8);
            variances.push(truth * chi_square(&mut stream, d) / f64::from(d));
            df.push(f64::from(d));
        }
        let prior = fit_variance_prior(&variances, &df).unwrap();
        assert!((prior.degrees_of_freedom - 8.0).abs() < 0.5, "{prior:?}");
        assert!((prior.variance / 3.0 - 1.0).abs() < 0.03, "{prior:?}");
    }

    #[test]
    fn equal_variances_have_an_infinite_prior() {
        let prior = fit_variance_prior(&[2.0; 10], &[4.0; 10]).unwrap();
        assert!(prior.degrees_of_freedom.is_infinite());
        let shrunk = moderated(7.0, 4.0, prior);
        assert!((shrunk.variance - prior.variance).abs() < 1e-15);
        assert!(shrunk.degrees_of_freedom.is_infinite());
    }

    #[test]
    fn a_zero_variance_does_not_break_the_fit() {
        let prior = fit_variance_prior(&[0.0, 1.0, 2.0, 3.0, 0.5], &[6.0; 5]).unwrap();
        assert!(prior.variance.is_finite() && prior.degrees_of_freedom > 0.0);
    }

    #[test]
    fn moderation_is_the_weighted_mean() {
        let prior = VariancePrior {
            degrees_of_freedom: 4.0,
            variance: 1.0,
        };
        let shrunk = moderated(3.0, 12.0, prior);
        assert!((shrunk.variance - 2.5).abs() < 1e-15);
        assert!((shrunk.degrees_of_freedom - 16.0).abs() < 1e-15);
        assert!((moderated(f64::NAN, 0.0, prior).variance - 1.0).abs() < 1e-15);
    }
}
