//! "The Tail Tells All" (Dodd and others 2025): how much a model as a whole gives away, from
//! its losses on training and on test records, without reference models.
//!
//! For a share `ε` of the training records,
//!
//! > `τ_ε = Q_{1−ε}(training losses)`, share(ε) = #{test losses > τ_ε} / #test
//!
//! A model that gives nothing away has share(ε) ≈ ε: what training records have by way of high
//! losses, test records have too. Learning moves training records out of that tail, and the
//! larger the share of test records left in it, the more members there are to be found. This
//! is the true negative rate of the loss attack where it misses a share ε of the members; the
//! paper uses it to foretell how well attacks with reference models do at few false alarms.
//! It is a number for the model, and says nothing of any one record.

use giveaway_stats::interval::{Interval, clopper_pearson};
use giveaway_stats::summary::quantile;

use crate::error::{Error, Result};

/// The coverage of the intervals.
pub const CONFIDENCE: f64 = 0.95;

/// How many test records have losses that few training records have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TailShare {
    /// The share of the training records that may have such losses.
    pub epsilon: f64,
    /// The quantile `1 − epsilon` of the training losses, interpolated linearly between order
    /// statistics (numpy's default).
    pub threshold: f64,
    /// Test records whose losses are above the threshold; one at it is not.
    pub above: u64,
    /// All test records.
    pub tests: u64,
    /// `above / tests`.
    pub share: f64,
    /// The Clopper–Pearson interval of the share at [`CONFIDENCE`]. It is for this model and
    /// this threshold, over test records drawn independently; that the training losses are a
    /// sample is not in it, nor are dependences among test records (people with several).
    pub interval: Interval,
}

/// The share of test losses above the quantile `1 − ε` of the training losses, for each ε.
///
/// # Errors
/// If there are no training or no test losses, one is not finite, or an ε is not between 0
/// and 1.
pub fn tail_shares(
    training_losses: &[f64],
    test_losses: &[f64],
    epsilons: &[f64],
) -> Result<Vec<TailShare>> {
    for (name, losses) in [("training", training_losses), ("test", test_losses)] {
        if losses.is_empty() {
            return Err(
                Error::input(format!("there are no {name} losses")).hint(format!(
                    "give the loss of at least one {name} record; hundreds tell something"
                )),
            );
        }
        if let Some(record) = losses.iter().position(|loss| !loss.is_finite()) {
            return Err(Error::input(format!(
                "the loss of {name} record {record} is {}",
                losses[record]
            ))
            .hint("losses must be finite; clamp probabilities before the logarithm"));
        }
    }
    let mut sorted = training_losses.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let tests = test_losses.len() as u64;
    epsilons
        .iter()
        .map(|&epsilon| {
            let threshold = quantile(&sorted, 1.0 - epsilon).filter(|_| 0.0 < epsilon);
            let Some(threshold) = threshold.filter(|_| epsilon < 1.0) else {
                return Err(Error::usage(format!(
                    "a share of {epsilon} of the training losses is none; it must be between 0 and 1"
                ))
                .hint("0.01 is usual"));
            };
            let above = test_losses.iter().filter(|&&loss| loss > threshold).count() as u64;
            Ok(TailShare {
                epsilon,
                threshold,
                above,
                tests,
                share: above as f64 / tests as f64,
                interval: clopper_pearson(above, tests, CONFIDENCE),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::quantile_regression::tests::fields;
    use giveaway_stats::random::Stream;

    #[test]
    fn numpy_and_scipy_agree() {
        let reference = include_str!("../../../../conformance/attacks-quantile/tail.txt");
        let mut lines = reference.lines().filter(|line| !line.starts_with('#'));
        let training: Vec<f64> = fields(lines.next().unwrap());
        let test: Vec<f64> = fields(lines.next().unwrap());
        let mut cases = 0;
        for line in lines {
            let want: Vec<f64> = fields(line);
            let have = tail_shares(&training, &test, &want[..1]).unwrap()[0];
            let have = [
                have.threshold,
                have.above as f64,
                have.share,
                have.interval.lower,
                have.interval.upper,
            ];
            for (have, want) in have.iter().zip(&want[1..]) {
                assert!((have - want).abs() <= 1e-9 * want.abs(), "{line}: {have}");
            }
            cases += 1;
        }
        assert!(cases >= 5, "{cases} cases");
    }

    /// Of one distribution, the share is ε; the sorted order of records does not matter.
    #[test]
    fn a_model_that_has_learnt_nothing_has_share_epsilon() {
        let mut stream = Stream::new(3, "tail", 0);
        let mut draw = |count| -> Vec<f64> { (0..count).map(|_| stream.normal().exp()).collect() };
        let (training, mut test) = (draw(40_000), draw(40_000));
        let shares = tail_shares(&training, &test, &[0.01, 0.1, 0.5]).unwrap();
        for share in &shares {
            // both samples err: four standard deviations of their difference
            let deviation = (2.0 * share.epsilon * (1.0 - share.epsilon) / 40_000.0).sqrt();
            assert!(
                (share.share - share.epsilon).abs() < 4.0 * deviation,
                "{share:?}"
            );
        }
        test.reverse();
        assert_eq!(
            shares,
            tail_shares(&training, &test, &[0.01, 0.1, 0.5]).unwrap()
        );
    }

    #[test]
    fn losses_at_the_threshold_are_not_above_it() {
        let share = tail_shares(&[1.0, 2.0, 3.0], &[2.0, 2.0, 5.0, 0.5], &[0.5]).unwrap()[0];
        assert_eq!((share.above, share.tests), (1, 4));
        assert!(
            tail_shares(&[1.0; 4], &[1.0; 3], &[0.1])
                .unwrap()
                .iter()
                .all(|share| share.above == 0 && share.interval.lower == 0.0)
        );
    }

    #[test]
    fn bad_input_is_refused() {
        let message = |training: &[f64], test: &[f64], epsilon: f64| {
            tail_shares(training, test, &[epsilon])
                .unwrap_err()
                .to_string()
        };
        assert!(message(&[], &[1.0], 0.1).contains("no training losses"));
        assert!(message(&[1.0], &[], 0.1).contains("no test losses"));
        assert!(message(&[1.0, f64::NAN], &[1.0], 0.1).contains("training record 1 is NaN"));
        assert!(message(&[1.0], &[f64::INFINITY], 0.1).contains("test record 0 is inf"));
        for epsilon in [0.0, 1.0, -0.5, f64::NAN, f64::INFINITY] {
            assert!(message(&[1.0], &[1.0], epsilon).contains("between 0 and 1"));
        }
    }
}
