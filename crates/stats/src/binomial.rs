//! The binomial distribution: how many of n independent trials succeed.
//!
//! Tails are those of the beta distribution, each computed directly, so a tail of 1e-300
//! is as precise as one of 0.5. Arguments that say nothing (a probability outside
//! [0, 1], more successes than trials where that is asked for) give NaN or the end of the
//! support, as each function says.

use crate::special::{beta_tails, deviance, stirling_remainder};
use std::f64::consts::PI;

/// A success probability with its complement, which may be known more precisely than
/// the subtraction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chance {
    pub(crate) success: f64,
    pub(crate) failure: f64,
}

impl Chance {
    fn new(success: f64) -> Option<Self> {
        (0.0..=1.0).contains(&success).then_some(Self {
            success,
            failure: 1.0 - success,
        })
    }

    /// `e^ε/(1+e^ε)`: how often a guess at a fair coin is right at most, under ε.
    pub(crate) fn of_log_odds(log_odds: f64) -> Self {
        Self {
            success: 1.0 / (1.0 + (-log_odds).exp()),
            failure: 1.0 / (1.0 + log_odds.exp()),
        }
    }
}

/// `P[X = k]` for X successes among `n` trials of probability `p`; 0 for k > n, NaN for p
/// outside [0, 1].
#[must_use]
pub fn binomial_pmf(k: u64, n: u64, p: f64) -> f64 {
    binomial_log_pmf(k, n, p).exp()
}

/// `ln P[X = k]`, as [`binomial_pmf`], finite where the probability itself is smaller
/// than any `f64`. Written from the Stirling remainders and deviances (Loader 2000).
#[must_use]
pub fn binomial_log_pmf(k: u64, n: u64, p: f64) -> f64 {
    Chance::new(p).map_or(f64::NAN, |chance| log_pmf(k, n, chance))
}

pub(crate) fn log_pmf(k: u64, n: u64, chance: Chance) -> f64 {
    let Chance { success, failure } = chance;
    if k > n {
        return f64::NEG_INFINITY;
    }
    if k == 0 || k == n {
        if n == 0 {
            return 0.0;
        }
        let (certain, other) = if k == 0 {
            (failure, success)
        } else {
            (success, failure)
        };
        // the smaller of the two is the precise one
        let ln = if other < 0.5 {
            (-other).ln_1p()
        } else {
            certain.ln()
        };
        return n as f64 * ln;
    }
    if success == 0.0 || failure == 0.0 {
        return f64::NEG_INFINITY;
    }
    let (trials, successes, failures) = (n as f64, k as f64, (n - k) as f64);
    stirling_remainder(trials)
        - stirling_remainder(successes)
        - stirling_remainder(failures)
        - deviance(successes, trials * success)
        - deviance(failures, trials * failure)
        - 0.5 * (2.0 * PI * successes * (failures / trials)).ln()
}

/// `P[X ≤ k]` for X successes among `n` trials of probability `p`; 1 for k ≥ n, NaN for p
/// outside [0, 1].
#[must_use]
pub fn binomial_cdf(k: u64, n: u64, p: f64) -> f64 {
    Chance::new(p).map_or(f64::NAN, |chance| {
        k.checked_add(1)
            .map_or(1.0, |next| tails_at(next, n, chance).0)
    })
}

/// `P[X > k]` for X successes among `n` trials of probability `p`; 0 for k ≥ n, NaN for p
/// outside [0, 1].
#[must_use]
pub fn binomial_sf(k: u64, n: u64, p: f64) -> f64 {
    Chance::new(p).map_or(f64::NAN, |chance| {
        k.checked_add(1)
            .map_or(0.0, |next| tails_at(next, n, chance).1)
    })
}

/// `P[X ≥ k]`.
pub(crate) fn at_least(k: u64, n: u64, chance: Chance) -> f64 {
    tails_at(k, n, chance).1
}

/// `(P[X < k], P[X ≥ k])`: the tails of Beta(k, n-k+1) at the success probability.
fn tails_at(k: u64, n: u64, chance: Chance) -> (f64, f64) {
    if k == 0 {
        (0.0, 1.0)
    } else if k > n || chance.success == 0.0 {
        (1.0, 0.0)
    } else if chance.failure == 0.0 {
        (0.0, 1.0)
    } else {
        let tails = beta_tails(
            k as f64,
            (n - k) as f64 + 1.0,
            chance.success,
            chance.failure,
        );
        (tails.upper, tails.lower)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ends_of_the_support_and_bad_probabilities() {
        assert!((binomial_cdf(5, 5, 0.3) - 1.0).abs() < 1e-15);
        assert!((binomial_cdf(u64::MAX, 5, 0.3) - 1.0).abs() < 1e-15);
        assert!(binomial_sf(5, 5, 0.3) == 0.0 && binomial_sf(u64::MAX, 5, 0.3) == 0.0);
        assert!(binomial_pmf(6, 5, 0.3) == 0.0);
        assert!((binomial_pmf(0, 0, 0.3) - 1.0).abs() < 1e-15);
        for (p, k) in [(0.0, 0), (1.0, 5)] {
            assert!((binomial_pmf(k, 5, p) - 1.0).abs() < 1e-15);
            assert!(binomial_pmf(3, 5, p) == 0.0);
            assert!((binomial_cdf(3, 5, p) + binomial_sf(3, 5, p) - 1.0).abs() < 1e-15);
        }
        assert!(binomial_sf(3, 5, 1.0) > 0.5 && binomial_sf(3, 5, 0.0) < 0.5);
        for p in [-0.1, 1.1, f64::NAN] {
            assert!(binomial_pmf(1, 2, p).is_nan());
            assert!(binomial_cdf(1, 2, p).is_nan() && binomial_sf(1, 2, p).is_nan());
        }
    }

    proptest! {
        /// Against Pascal's triangle in floating point.
        #[test]
        fn tails_are_sums_of_probabilities(n in 0u64..40, p in 0.0..1.0, k in 0u64..40) {
            let mut row = vec![1.0];
            for _ in 0..n {
                let mut next = vec![0.0; row.len() + 1];
                for (i, probability) in row.iter().enumerate() {
                    next[i] += probability * (1.0 - p);
                    next[i + 1] += probability * p;
                }
                row = next;
            }
            let k_index = k as usize;
            let point = row.get(k_index).copied().unwrap_or(0.0);
            prop_assert!((binomial_pmf(k, n, p) - point).abs() <= 1e-12 * point.max(1e-300));
            let above: f64 = row.iter().skip(k_index + 1).sum();
            let below: f64 = row.iter().take(k_index + 1).sum();
            prop_assert!((binomial_sf(k, n, p) - above).abs() <= 1e-11 * above.max(1e-300));
            prop_assert!((binomial_cdf(k, n, p) - below).abs() <= 1e-11 * below);
        }
    }
}
