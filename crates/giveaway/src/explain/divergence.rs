//! How far apart the outputs of models that saw a record and of models that did not are.
//!
//! Both are mean output distributions, p over the IN models and q over the OUT models. All
//! logarithms are natural, so divergences are in nats. Zeros mean what the definitions make of
//! them, as in scipy: 0 ln 0 is 0, and p ln(p/0) is infinite.

use crate::channel::PROBABILITY_RESOLUTION;
use crate::error::{Error, Result};

/// How far apart two distributions over the same classes are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Divergences {
    /// Kullback and Leibler's divergence KL(p‖q) = Σ p ln(p/q), in nats; infinite where a class
    /// has no share in q and one in p.
    pub kullback_leibler: f64,
    /// Jensen and Shannon's divergence, the mean of KL(p‖m) and KL(q‖m) with m the mean of p and
    /// q; in nats, from 0 to ln 2. It is not its square root, the distance.
    pub jensen_shannon: f64,
    /// Hellinger's distance √(½ Σ (√p − √q)²), from 0 to 1.
    pub hellinger: f64,
    /// The Euclidean distance √Σ (p − q)², from 0 to √2.
    pub euclidean: f64,
    /// The largest |ln p − ln q| of any class, with probabilities below 1e-6 counted as 1e-6:
    /// where exact zeros begin depends on how probabilities are computed. As the differential
    /// training privacy of Long et al. (2017), with means of models in place of two models.
    pub largest_log_ratio: f64,
}

impl Divergences {
    /// The divergences of p, the mean output of IN models, from q, that of OUT models. Both are
    /// first divided by their sums.
    ///
    /// # Errors
    /// If they are empty or differ in length, if a number is negative or not finite, or if all
    /// are 0.
    pub fn between(p: &[f64], q: &[f64]) -> Result<Self> {
        if p.len() != q.len() {
            return Err(Error::unexpected(format!(
                "one distribution has {} classes, the other {}",
                p.len(),
                q.len()
            )));
        }
        let (p, q) = (normalised(p)?, normalised(q)?);
        let pairs = || p.iter().copied().zip(q.iter().copied());
        let jensen_shannon: f64 = pairs()
            .map(|(p, q)| {
                let middle = f64::midpoint(p, q);
                if middle == 0.0 {
                    // nothing, or so little that half of it is no number
                    return 0.0;
                }
                0.5 * (relative_entropy(p, middle) + relative_entropy(q, middle))
            })
            .sum();
        let hellinger: f64 = pairs().map(|(p, q)| (p.sqrt() - q.sqrt()).powi(2)).sum();
        let euclidean: f64 = pairs().map(|(p, q)| (p - q).powi(2)).sum();
        let logarithm = |x: f64| x.max(PROBABILITY_RESOLUTION).ln();
        Ok(Self {
            kullback_leibler: pairs().map(|(p, q)| relative_entropy(p, q)).sum(),
            // Rounding may bring the sums of disjoint distributions above the bounds.
            jensen_shannon: jensen_shannon.min(std::f64::consts::LN_2),
            hellinger: (0.5 * hellinger).sqrt().min(1.0),
            euclidean: euclidean.sqrt(),
            largest_log_ratio: pairs()
                .map(|(p, q)| (logarithm(p) - logarithm(q)).abs())
                .fold(0.0, f64::max),
        })
    }
}

/// The distribution divided by its sum.
fn normalised(distribution: &[f64]) -> Result<Vec<f64>> {
    if let Some(bad) = distribution.iter().find(|x| !(x.is_finite() && **x >= 0.0)) {
        return Err(Error::unexpected(format!(
            "{bad} is no share of a distribution"
        )));
    }
    let sum: f64 = distribution.iter().sum();
    if !(sum > 0.0 && sum.is_finite()) {
        return Err(Error::unexpected(format!(
            "the shares of {} classes sum to {sum}, which is no distribution",
            distribution.len()
        )));
    }
    Ok(distribution.iter().map(|x| x / sum).collect())
}

/// p ln(p/q) − p + q. Where p and q run over distributions the last two cancel, and with them no
/// term is below 0: near-equal distributions do not come out as negative.
fn relative_entropy(p: f64, q: f64) -> f64 {
    if p == 0.0 {
        q
    } else if q == 0.0 {
        f64::INFINITY
    } else {
        // From the difference where the ratio is near 1, so that nothing is lost before the
        // logarithm.
        let excess = (p - q) / q;
        let logarithm = if excess.abs() < 0.5 {
            excess.ln_1p()
        } else {
            // not of the ratio, which can overflow
            p.ln() - q.ln()
        };
        (p * logarithm - (p - q)).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use giveaway_stats::random::Stream;
    use proptest::prelude::*;

    use super::*;

    /// p, q, and what scipy makes of them: see the script for the order.
    const CASES: &str = include_str!("../../../../conformance/attribution/divergences.txt");

    fn fields(divergences: &Divergences) -> [f64; 5] {
        [
            divergences.kullback_leibler,
            divergences.jensen_shannon,
            divergences.hellinger,
            divergences.euclidean,
            divergences.largest_log_ratio,
        ]
    }

    #[test]
    fn they_agree_with_scipy() {
        let mut compared = 0;
        for line in CASES.lines().filter(|line| !line.starts_with('#')) {
            let parts: Vec<Vec<f64>> = line
                .split(';')
                .map(|part| {
                    part.split_whitespace()
                        .map(|x| x.parse().unwrap())
                        .collect()
                })
                .collect();
            let have = fields(&Divergences::between(&parts[0], &parts[1]).unwrap());
            assert_eq!(parts[2].len(), have.len());
            for (index, (have, &want)) in have.into_iter().zip(&parts[2]).enumerate() {
                // Values are 0 to 20; those near 0 are differences of numbers near 1.
                let infinite = have.is_infinite() && want.is_infinite();
                let near = infinite || (have - want).abs() <= 1e-14 + 1e-13 * want.abs();
                assert!(near, "{line}: number {index} is {have}");
                compared += 1;
            }
        }
        assert_eq!(compared, 5 * 44);
    }

    #[test]
    fn zeros_mean_what_the_definitions_say() {
        let apart = Divergences::between(&[1.0, 0.0], &[0.0, 1.0]).unwrap();
        assert!(apart.kullback_leibler.is_infinite());
        assert!((apart.jensen_shannon - 2f64.ln()).abs() < 1e-15);
        assert!((apart.hellinger - 1.0).abs() < 1e-15);
        assert!((apart.euclidean - 2f64.sqrt()).abs() < 1e-15);
        assert!((apart.largest_log_ratio - 1e6f64.ln()).abs() < 1e-12);
        let nested = Divergences::between(&[1.0, 0.0], &[0.5, 0.5]).unwrap();
        assert!((nested.kullback_leibler - 2f64.ln()).abs() < 1e-15);
        let below = Divergences::between(&[1.0, 1e-9], &[1.0, 1e-30]).unwrap();
        assert!(below.largest_log_ratio < 1e-8, "{below:?}");
        assert!(below.kullback_leibler > 1e-8);
        let tiny = Divergences::between(&[1.0, 5e-324], &[1.0, 0.0]).unwrap();
        assert!(tiny.jensen_shannon < 1e-15, "{tiny:?}");
        let extreme = Divergences::between(&[1.0, 1.0], &[1.0, 1e-310]).unwrap();
        assert!(extreme.kullback_leibler.is_finite(), "{extreme:?}");
    }

    #[test]
    fn what_is_no_distribution_is_refused() {
        for (p, q) in [
            (vec![], vec![]),
            (vec![1.0], vec![0.5, 0.5]),
            (vec![0.0, 0.0], vec![0.5, 0.5]),
            (vec![0.5, 0.5], vec![f64::NAN, 0.5]),
            (vec![1.5, -0.5], vec![0.5, 0.5]),
            (vec![f64::MAX, f64::MAX], vec![0.5, 0.5]),
        ] {
            Divergences::between(&p, &q).unwrap_err();
        }
    }

    proptest! {
        #[test]
        fn they_keep_their_bounds_and_symmetries(seed: u64, classes in 2usize..40, sharp in 0.0..30.0f64) {
            let mut stream = Stream::new(seed, "divergences", 0);
            let mut draw = || -> Vec<f64> {
                (0..classes)
                    .map(|_| if stream.below(8) == 0 { 0.0 } else { (sharp * stream.normal()).exp() })
                    .chain([1e-3])
                    .collect()
            };
            let (p, q) = (draw(), draw());
            let (there, back) = (Divergences::between(&p, &q).unwrap(), Divergences::between(&q, &p).unwrap());
            let itself = Divergences::between(&p, &p).unwrap();
            prop_assert!(fields(&itself).iter().all(|&x| x == 0.0), "{itself:?}");
            prop_assert!(fields(&there).iter().all(|&x| x >= 0.0), "{there:?}");
            prop_assert!(there.jensen_shannon <= 2f64.ln() && there.hellinger <= 1.0);
            prop_assert!(there.euclidean <= 2f64.sqrt() + 1e-12);
            for index in 1..5 {
                let (there, back) = (fields(&there)[index], fields(&back)[index]);
                prop_assert!((there - back).abs() <= 1e-14, "{index}: {there} {back}");
            }
            // ln 2 · H² ≤ JS ≤ H²: equal on the left where p and q are disjoint, in the limit on
            // the right where they are near each other
            let square = there.hellinger.powi(2);
            prop_assert!(there.jensen_shannon <= square + 1e-13);
            prop_assert!(there.jensen_shannon + 1e-13 >= 2f64.ln() * square);
            // Pinsker's inequality, for the Euclidean distance, which is below that of absolute values
            prop_assert!(there.kullback_leibler + 1e-13 >= 0.5 * there.euclidean.powi(2));
        }
    }
}
