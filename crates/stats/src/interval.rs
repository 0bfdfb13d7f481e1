//! Intervals for a rate and from bootstrap draws.

use crate::distribution::{Side, beta_tail_quantile};
use crate::summary::quantile;

/// A closed interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Its lower end.
    pub lower: f64,
    /// Its upper end.
    pub upper: f64,
}

/// The interval that says nothing about a rate.
const VACUOUS: Interval = Interval {
    lower: 0.0,
    upper: 1.0,
};

/// Clopper–Pearson interval for a rate, from `successes` among `trials` *independent*
/// trials; `level` (for example 0.95) is split evenly between the sides. Right to 1e-9
/// up to 10⁷ trials.
///
/// Numbers that bound nothing (no trials, more successes than trials, a level that is
/// not between 0 and 1) give [0, 1].
#[must_use]
pub fn clopper_pearson(successes: u64, trials: u64, level: f64) -> Interval {
    if trials == 0 || successes > trials || !(level > 0.0 && level < 1.0) {
        return VACUOUS;
    }
    let per_side = 0.5 * (1.0 - level);
    Interval {
        lower: lower_bound(successes, trials, per_side),
        upper: upper_bound(successes, trials, per_side),
    }
}

/// One-sided upper Clopper–Pearson bound: the rate is at most this, with confidence
/// `level`. Numbers that bound nothing give 1, as in [`clopper_pearson`].
#[must_use]
pub fn clopper_pearson_upper(successes: u64, trials: u64, level: f64) -> f64 {
    if trials == 0 || successes > trials || !(level > 0.0 && level < 1.0) {
        return 1.0;
    }
    upper_bound(successes, trials, 1.0 - level)
}

/// One-sided lower Clopper–Pearson bound: the rate is at least this, with confidence
/// `level`. Numbers that bound nothing give 0, as in [`clopper_pearson`].
#[must_use]
pub fn clopper_pearson_lower(successes: u64, trials: u64, level: f64) -> f64 {
    if trials == 0 || successes > trials || !(level > 0.0 && level < 1.0) {
        return 0.0;
    }
    lower_bound(successes, trials, 1.0 - level)
}

/// The rate at which `successes` or more have probability `alpha`.
pub(crate) fn lower_bound(successes: u64, trials: u64, alpha: f64) -> f64 {
    if successes == 0 {
        return 0.0;
    }
    let (k, n) = (successes as f64, trials as f64);
    beta_tail_quantile(alpha, k, n - k + 1.0, Side::Lower)
}

/// The rate at which `successes` or fewer have probability `alpha`.
pub(crate) fn upper_bound(successes: u64, trials: u64, alpha: f64) -> f64 {
    if successes == trials {
        return 1.0;
    }
    let (k, n) = (successes as f64, trials as f64);
    beta_tail_quantile(alpha, k + 1.0, n - k, Side::Upper)
}

/// The central interval of bootstrap draws, by linear interpolation between order
/// statistics (numpy's default). Sorts `draws`. `None` if there are none, if one is NaN
/// or if `level` is not between 0 and 1.
#[must_use]
pub fn percentile_interval(draws: &mut [f64], level: f64) -> Option<Interval> {
    if !(level > 0.0 && level < 1.0) || draws.iter().any(|draw| draw.is_nan()) {
        return None;
    }
    draws.sort_unstable_by(f64::total_cmp);
    let per_side = 0.5 * (1.0 - level);
    Some(Interval {
        lower: quantile(draws, per_side)?,
        upper: quantile(draws, 1.0 - per_side)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_known_bounds_nothing() {
        for interval in [
            clopper_pearson(0, 0, 0.95),
            clopper_pearson(3, 2, 0.95),
            clopper_pearson(1, 2, 1.0),
            clopper_pearson(1, 2, f64::NAN),
        ] {
            assert_eq!(interval, VACUOUS);
        }
        assert!(percentile_interval(&mut [], 0.9).is_none());
        assert!(percentile_interval(&mut [1.0, f64::NAN], 0.9).is_none());
        assert!(percentile_interval(&mut [1.0], 0.0).is_none());
    }

    /// Zero successes have the closed form 1 - alpha^(1/n): the rule of three.
    #[test]
    fn zero_successes_in_closed_form() {
        for trials in [1u64, 7, 1000, 10_000_000] {
            let closed = -(0.05_f64.ln() / trials as f64).exp_m1();
            let bound = clopper_pearson_upper(0, trials, 0.95);
            assert!((bound / closed - 1.0).abs() < 1e-12, "{bound} {closed}");
            let mirrored = clopper_pearson_lower(trials, trials, 0.95);
            assert!((mirrored + closed - 1.0).abs() < 1e-12);
        }
    }

    /// The sum of binomial probabilities, by definition.
    fn at_most(successes: u64, trials: u64, rate: f64) -> f64 {
        let mut probability = (1.0 - rate).powf(trials as f64);
        let mut sum = probability;
        for k in 0..successes {
            probability *= (trials - k) as f64 / (k + 1) as f64 * rate / (1.0 - rate);
            sum += probability;
        }
        sum
    }

    proptest! {
        #[test]
        fn the_bounds_have_their_tail_probability(n in 2u64..60, share in 0.0..1.0, level in 0.5..0.999) {
            let k = 1 + (share * (n - 1) as f64) as u64;
            let interval = clopper_pearson(k, n, level);
            let alpha = 0.5 * (1.0 - level);
            prop_assert!(interval.lower < k as f64 / n as f64);
            prop_assert!((1.0 - at_most(k - 1, n, interval.lower) - alpha).abs() < 1e-11);
            if k < n {
                prop_assert!((at_most(k, n, interval.upper) - alpha).abs() < 1e-11);
            }
        }
    }
}
