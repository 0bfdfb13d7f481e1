//! Many tests at once: adjusted p-values, and what a floor under them allows.

use crate::error::{InputError, check};

/// Benjamini–Hochberg adjusted p-values (q-values), in the order of the input: rejecting
/// every test with an adjusted p-value of at most q keeps the false discovery rate at q,
/// if the p-values are independent or positively dependent (Benjamini and Hochberg 1995).
///
/// # Errors
/// A p-value that is NaN or outside [0, 1].
pub fn benjamini_hochberg(p: &[f64]) -> Result<Vec<f64>, InputError> {
    step_up(p, 1.0)
}

/// Benjamini–Yekutieli adjusted p-values, in the order of the input: as
/// [`benjamini_hochberg`] under any dependence, for a factor of 1 + 1/2 + … + 1/N
/// (Benjamini and Yekutieli 2001).
///
/// # Errors
/// A p-value that is NaN or outside [0, 1].
pub fn benjamini_yekutieli(p: &[f64]) -> Result<Vec<f64>, InputError> {
    // smallest terms first: the sum is exact to the last digit or two
    let harmonic: f64 = (1..=p.len()).rev().map(|i| 1.0 / i as f64).sum();
    step_up(p, harmonic)
}

/// `min over j >= rank of factor · N p_(j) / j`, at most 1.
fn step_up(p: &[f64], factor: f64) -> Result<Vec<f64>, InputError> {
    check("p", p, "in [0, 1]", |value| (0.0..=1.0).contains(&value))?;
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&i, &j| p[i].total_cmp(&p[j]));
    let n = p.len() as f64;
    let mut adjusted = vec![0.0; p.len()];
    let mut smallest = 1.0_f64;
    for (before, &i) in order.iter().enumerate().rev() {
        smallest = smallest.min(factor * n * p[i] / (before + 1) as f64);
        adjusted[i] = smallest;
    }
    Ok(adjusted)
}

/// The fewest discoveries that Benjamini–Hochberg can make among `n_tests` at level `q`
/// when no p-value can be below 1/(`k_out`+1): `⌈N / (q (k_out+1))⌉`, at least 1 if there
/// is a test. More than `n_tests` means that no discovery is possible. A level that is
/// not positive allows none: `usize::MAX`.
#[must_use]
pub fn minimum_rejections(n_tests: usize, q: f64, k_out: usize) -> usize {
    if n_tests == 0 {
        return 0;
    }
    if q.is_nan() || q <= 0.0 {
        return usize::MAX;
    }
    ceiling(n_tests as f64 / (q * (k_out as f64 + 1.0))).max(1)
}

/// The fewest OUT models with which Benjamini–Hochberg can make as few as `rejections`
/// discoveries among `n_tests` at level `q`: the smallest `k_out >= N/(qR) - 1`.
/// `usize::MAX` if `rejections` is zero or `q` not positive: no number will do.
#[must_use]
pub fn models_out_needed(n_tests: usize, q: f64, rejections: usize) -> usize {
    if n_tests == 0 {
        return 0;
    }
    if rejections == 0 || q.is_nan() || q <= 0.0 {
        return usize::MAX;
    }
    // the ceiling first: the difference would leave only its rounding to look at
    ceiling(n_tests as f64 / (q * rejections as f64)).saturating_sub(1)
}

/// The ceiling, for numbers that would be whole but for the rounding of a level such as
/// 0.1, which is no binary fraction.
fn ceiling(value: f64) -> usize {
    (value - 1e-12 * value.abs()).ceil().max(0.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// By definition: the smallest level at which the step-up procedure rejects test i.
    fn brute_force(p: &[f64], factor: f64) -> Vec<f64> {
        let n = p.len() as f64;
        p.iter()
            .map(|&own| {
                p.iter()
                    .filter(|&&other| other >= own)
                    .map(|&other| {
                        let rank = p.iter().filter(|&&third| third <= other).count() as f64;
                        factor * n * other / rank
                    })
                    .fold(1.0, f64::min)
            })
            .collect()
    }

    #[test]
    fn nan_is_an_error_and_nothing_is_nothing() {
        assert!(benjamini_hochberg(&[0.1, f64::NAN]).is_err());
        assert!(benjamini_yekutieli(&[1.1]).is_err());
        assert_eq!(benjamini_hochberg(&[]).unwrap(), Vec::<f64>::new());
    }

    #[test]
    fn the_floor_decides_how_few_discoveries_are_possible() {
        assert_eq!(minimum_rejections(1000, 0.1, 99), 100);
        assert_eq!(minimum_rejections(1000, 0.1, 100), 100); // 99.0099 rounded up
        assert_eq!(minimum_rejections(10, 0.1, 1), 50); // more than 10: impossible
        assert_eq!(minimum_rejections(1, 0.5, 1_000_000), 1);
        assert_eq!(minimum_rejections(0, 0.1, 5), 0);
        assert_eq!(minimum_rejections(5, 0.0, 5), usize::MAX);
        assert_eq!(models_out_needed(1000, 0.1, 100), 99);
        assert_eq!(models_out_needed(1000, 0.1, 1), 9999);
        assert_eq!(models_out_needed(1000, 0.1, 0), usize::MAX);
        assert_eq!(models_out_needed(10, 1.0, 20), 0);
        assert_eq!(models_out_needed(63, 0.35, 180), 0); // 63 / (0.35 · 180) is 1
    }

    proptest! {
        #[test]
        fn the_two_questions_about_the_floor_agree(
            n in 1usize..5000, rejections in 1usize..200, percent in 1u32..50
        ) {
            let q = f64::from(percent) / 100.0;
            let k_out = models_out_needed(n, q, rejections);
            prop_assert!(minimum_rejections(n, q, k_out) <= rejections);
            if k_out > 0 {
                prop_assert!(minimum_rejections(n, q, k_out - 1) > rejections);
            }
        }

        /// With R p-values on the floor and the rest 1, R discoveries exactly when
        /// R reaches the minimum.
        #[test]
        fn minimum_rejections_is_what_the_procedure_does(
            n in 1usize..300, k_out in 1usize..400, percent in 1u32..50
        ) {
            let q = f64::from(percent) / 100.0;
            let minimum = minimum_rejections(n, q, k_out);
            for rejections in [minimum.saturating_sub(1), minimum] {
                if rejections == 0 || rejections > n {
                    continue;
                }
                let mut p = vec![1.0; n];
                p[..rejections].fill(1.0 / (k_out as f64 + 1.0));
                let adjusted = benjamini_hochberg(&p).unwrap();
                prop_assert_eq!(adjusted[0] <= q * (1.0 + 1e-12), rejections == minimum);
            }
        }

        #[test]
        fn equals_the_definition(p in prop::collection::vec(
            prop_oneof![(0u32..=10).prop_map(|i| f64::from(i) / 10.0), 0.0..=1.0], 1..40)
        ) {
            let harmonic: f64 = (1..=p.len()).map(|i| 1.0 / i as f64).sum();
            for (ours, factor) in [
                (benjamini_hochberg(&p).unwrap(), 1.0),
                (benjamini_yekutieli(&p).unwrap(), harmonic),
            ] {
                for (a, b) in ours.iter().zip(brute_force(&p, factor)) {
                    prop_assert!((a - b).abs() < 1e-12, "{a} {b}");
                }
            }
        }

        /// p <= BH <= BY <= N·H·p, and BH <= Bonferroni; order is kept.
        #[test]
        fn order_of_the_procedures(p in prop::collection::vec(0.0..=1.0, 1..60)) {
            let n = p.len() as f64;
            let hochberg = benjamini_hochberg(&p).unwrap();
            let yekutieli = benjamini_yekutieli(&p).unwrap();
            for i in 0..p.len() {
                prop_assert!(p[i] <= hochberg[i] * (1.0 + 1e-12));
                prop_assert!(hochberg[i] <= yekutieli[i] * (1.0 + 1e-12));
                prop_assert!(hochberg[i] <= (n * p[i]).min(1.0) * (1.0 + 1e-12));
                for j in 0..p.len() {
                    if p[i] <= p[j] {
                        prop_assert!(hochberg[i] <= hochberg[j]);
                    }
                }
            }
        }

        #[test]
        fn permuting_the_tests_permutes_the_answers(
            p in prop::collection::vec((0u32..=20).prop_map(|i| f64::from(i) / 20.0), 1..40),
            seed in any::<u64>()
        ) {
            let mut order: Vec<usize> = (0..p.len()).collect();
            crate::random::Stream::new(seed, "permutation", 0).shuffle(&mut order);
            let permuted: Vec<f64> = order.iter().map(|&i| p[i]).collect();
            let straight = benjamini_hochberg(&p).unwrap();
            let answers = benjamini_hochberg(&permuted).unwrap();
            for (position, &i) in order.iter().enumerate() {
                prop_assert_eq!(answers[position].to_bits(), straight[i].to_bits());
            }
        }
    }
}
