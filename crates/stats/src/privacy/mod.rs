//! Lower bounds on ε from how often an attack is right.
//!
//! A mechanism is (ε, δ)-differentially private only if every attack that decides which
//! of two neighbouring data sets was used satisfies `TPR ≤ e^ε FPR + δ` and
//! `TNR ≤ e^ε FNR + δ`. Rates that are measured on *independent* trials, one training run
//! for each trial, therefore bound ε from below.
//!
//! **The records of one model are not independent trials.** On them the numbers of this
//! module describe how well an attack does and bound nothing. A bound needs independent
//! training runs, or the audit of [`one_run`](crate::one_run).

mod joint_beta;
pub mod threshold;

pub use joint_beta::private_probability;

use crate::distribution::{Side, beta_tail_quantile};
use crate::error::{InputError, check_parameter};
use crate::interval::{self, Interval};
use joint_beta::JointBeta;
use std::fmt;

/// How often the decisions *member* and *non-member* were right and wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Members called members.
    pub true_positives: u64,
    /// Members called non-members.
    pub false_negatives: u64,
    /// Non-members called members.
    pub false_positives: u64,
    /// Non-members called non-members.
    pub true_negatives: u64,
}

impl Counts {
    /// How many members there are.
    #[must_use]
    pub fn members(self) -> u64 {
        self.true_positives + self.false_negatives
    }

    /// How many non-members there are.
    #[must_use]
    pub fn non_members(self) -> u64 {
        self.false_positives + self.true_negatives
    }

    fn check(self) -> Result<(), InputError> {
        if self.members() == 0 {
            return Err(InputError::OneGroup { missing: "members" });
        }
        if self.non_members() == 0 {
            return Err(InputError::OneGroup {
                missing: "non-members",
            });
        }
        Ok(())
    }
}

/// How the uncertainty of the two error rates is taken into account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// One-sided Clopper–Pearson bounds of FNR and FPR, each at half of α. Holds at
    /// confidence 1 - α for any number of independent trials; the one to report.
    ClopperPearson,
    /// One-sided Jeffreys bounds (posterior quantiles under Beta(½, ½), the end of the
    /// range where every trial or none counts), each at half of α. Tighter; its coverage
    /// is right only on average over the rates.
    Jeffreys,
    /// The posterior of (FNR, FPR), independent Beta(½ + count, ½ + count), integrated
    /// over the region that (ε, δ)-differential privacy allows: the ε at which the region
    /// holds a share α (Zanella-Béguelin et al. 2023, "Bayesian estimation of differential
    /// privacy"). A credible bound: it assumes the prior, and is tighter because it does
    /// not split α between the rates.
    JointBeta,
}

/// Which inequalities of differential privacy are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sides {
    /// `TPR ≤ e^ε FPR + δ` alone.
    One,
    /// Also `TNR ≤ e^ε FNR + δ`. It costs nothing: both follow from the same two rates.
    /// For [`Method::JointBeta`] this is the whole region of the paper, with the same two
    /// inequalities for the reversed decision.
    Both,
}

/// A lower bound on ε: everything but the data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpsilonLowerBound {
    /// How the uncertainty of the rates is taken into account.
    pub method: Method,
    /// The δ of the claim, in [0, 1).
    pub delta: f64,
    /// How often the bound may be too large, in (0, 1).
    pub alpha: f64,
    /// Which inequalities are used.
    pub sides: Sides,
}

impl EpsilonLowerBound {
    /// The bound from counts at *one threshold that was fixed without these counts*:
    /// `max(0, ln((TPR_lo - δ)/FPR_hi), ln((TNR_lo - δ)/FNR_hi))` with `TPR_lo = 1 -
    /// FNR_hi`, `TNR_lo = 1 - FPR_hi` and each upper bound at α/2; for the joint
    /// posterior see [`Method::JointBeta`]. To have the threshold chosen from scores, use
    /// [`of_scores`](Self::of_scores).
    ///
    /// # Errors
    /// No member or no non-member; α or δ outside their range.
    pub fn of_counts(&self, counts: Counts) -> Result<f64, InputError> {
        self.check()?;
        counts.check()?;
        Ok(self.above(counts, 0.0).unwrap_or(0.0))
    }

    fn check(&self) -> Result<(), InputError> {
        check_delta(self.delta)?;
        check_alpha(self.alpha)
    }

    /// The bound, if it is above `floor`.
    fn above(&self, counts: Counts, floor: f64) -> Option<f64> {
        let upper = match self.method {
            Method::ClopperPearson => interval::upper_bound,
            Method::Jeffreys => jeffreys_upper,
            Method::JointBeta => {
                return JointBeta::new(counts, self.delta, self.sides)
                    .epsilon_above(floor, self.alpha);
            }
        };
        let per_rate = 0.5 * self.alpha;
        let fnr = upper(counts.false_negatives, counts.members(), per_rate);
        let fpr = upper(counts.false_positives, counts.non_members(), per_rate);
        let epsilon = ln_ratio(1.0 - fnr - self.delta, fpr).max(match self.sides {
            Sides::One => 0.0,
            Sides::Both => ln_ratio(1.0 - fpr - self.delta, fnr),
        });
        (epsilon > floor).then_some(epsilon)
    }
}

/// The ε that the observed rates themselves would need,
/// `max(0, ln((TPR - δ)/FPR), ln((TNR - δ)/FNR))`: an estimate that is no bound, and
/// infinite as soon as one kind of error was not observed.
///
/// # Errors
/// No member or no non-member; δ outside [0, 1).
pub fn epsilon_point_estimate(counts: Counts, delta: f64, sides: Sides) -> Result<f64, InputError> {
    check_delta(delta)?;
    counts.check()?;
    let (members, non_members) = (counts.members() as f64, counts.non_members() as f64);
    let one = ln_ratio(
        counts.true_positives as f64 / members - delta,
        counts.false_positives as f64 / non_members,
    );
    Ok(match sides {
        Sides::One => one,
        Sides::Both => one.max(ln_ratio(
            counts.true_negatives as f64 / non_members - delta,
            counts.false_negatives as f64 / members,
        )),
    })
}

/// The central interval of ε at confidence (for [`Method::JointBeta`], credibility) 1 - α,
/// with all inequalities of both decisions, the reversed one too.
///
/// For Clopper–Pearson and Jeffreys each rate has a two-sided interval at α/2, and the
/// ends are the smallest and the largest ε of that rectangle. For the joint posterior
/// they are the ε at which the region of differential privacy holds α/2 and 1 - α/2.
/// The upper end is about *this attack*; it says nothing about a stronger one.
///
/// # Errors
/// No member or no non-member; α or δ outside their range.
pub fn epsilon_interval(
    counts: Counts,
    method: Method,
    delta: f64,
    alpha: f64,
) -> Result<Interval, InputError> {
    check_delta(delta)?;
    check_alpha(alpha)?;
    counts.check()?;
    let (lower, upper): (RateBound, RateBound) = match method {
        Method::ClopperPearson => (interval::lower_bound, interval::upper_bound),
        Method::Jeffreys => (jeffreys_lower, jeffreys_upper),
        Method::JointBeta => {
            let posterior = JointBeta::new(counts, delta, Sides::Both);
            return Ok(Interval {
                lower: posterior.epsilon_above(0.0, 0.5 * alpha).unwrap_or(0.0),
                upper: posterior
                    .epsilon_above(0.0, 1.0 - 0.5 * alpha)
                    .unwrap_or(0.0),
            });
        }
    };
    let per_end = 0.25 * alpha;
    let rates = |end: RateBound| {
        (
            end(counts.false_negatives, counts.members(), per_end),
            end(counts.false_positives, counts.non_members(), per_end),
        )
    };
    let epsilon = |(fnr, fpr): (f64, f64)| {
        ln_ratio(1.0 - fpr - delta, fnr)
            .max(ln_ratio(1.0 - fnr - delta, fpr))
            .max(ln_ratio(fpr - delta, 1.0 - fnr))
            .max(ln_ratio(fnr - delta, 1.0 - fpr))
    };
    let (low, high) = (rates(lower), rates(upper));
    // an attack no better than a coin, FNR + FPR = 1, needs no ε at all
    let may_be_a_coin = (low.0 + low.1 <= 1.0) && (high.0 + high.1 >= 1.0);
    Ok(Interval {
        lower: if may_be_a_coin {
            0.0
        } else {
            epsilon(low).min(epsilon(high))
        },
        upper: epsilon(low).max(epsilon(high)),
    })
}

/// A bound of a rate: successes, trials, probability left outside.
type RateBound = fn(u64, u64, f64) -> f64;

fn jeffreys_upper(successes: u64, trials: u64, alpha: f64) -> f64 {
    if successes == trials {
        return 1.0;
    }
    let (k, n) = (successes as f64, trials as f64);
    beta_tail_quantile(alpha, k + 0.5, n - k + 0.5, Side::Upper)
}

fn jeffreys_lower(successes: u64, trials: u64, alpha: f64) -> f64 {
    if successes == 0 {
        return 0.0;
    }
    let (k, n) = (successes as f64, trials as f64);
    beta_tail_quantile(alpha, k + 0.5, n - k + 0.5, Side::Lower)
}

/// `max(0, ln(above / below))`, infinite for a positive number over 0.
fn ln_ratio(above: f64, below: f64) -> f64 {
    if above > 0.0 {
        (above / below).ln().max(0.0)
    } else {
        0.0
    }
}

fn check_delta(delta: f64) -> Result<(), InputError> {
    check_parameter(
        "delta",
        delta,
        "at least 0 and below 1",
        (0.0..1.0).contains(&delta),
    )
}

fn check_alpha(alpha: f64) -> Result<(), InputError> {
    check_parameter(
        "alpha",
        alpha,
        "between 0 and 1",
        alpha > 0.0 && alpha < 1.0,
    )
}

/// What a lower bound says about a claimed ε at the same δ. There is no third value: an
/// attack that fails confirms nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The bound is above the claim: at the bound's confidence, the claim is false.
    Contradicted,
    /// The bound is not above the claim. A stronger attack might still contradict it.
    NotContradicted,
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Contradicted => "contradicted",
            Self::NotContradicted => "not contradicted",
        })
    }
}

/// Compares a claimed ε with a lower bound on ε at the same δ.
///
/// # Errors
/// Either number is NaN or below 0.
pub fn compare(claimed_epsilon: f64, lower_bound: f64) -> Result<Claim, InputError> {
    check_parameter(
        "claimed_epsilon",
        claimed_epsilon,
        "at least 0",
        claimed_epsilon >= 0.0,
    )?;
    check_parameter("lower_bound", lower_bound, "at least 0", lower_bound >= 0.0)?;
    Ok(if lower_bound > claimed_epsilon {
        Claim::Contradicted
    } else {
        Claim::NotContradicted
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;
    use proptest::prelude::*;

    fn counts(tp: u64, missed: u64, fp: u64, tn: u64) -> Counts {
        Counts {
            true_positives: tp,
            false_negatives: missed,
            false_positives: fp,
            true_negatives: tn,
        }
    }

    const METHODS: [Method; 3] = [Method::ClopperPearson, Method::Jeffreys, Method::JointBeta];

    fn bound(method: Method, delta: f64, alpha: f64, sides: Sides) -> EpsilonLowerBound {
        EpsilonLowerBound {
            method,
            delta,
            alpha,
            sides,
        }
    }

    #[test]
    fn point_estimates() {
        let estimate = |counts, delta, sides| epsilon_point_estimate(counts, delta, sides).unwrap();
        let skewed = counts(50, 50, 10, 90);
        assert!((estimate(skewed, 0.0, Sides::One) - 5.0_f64.ln()).abs() < 1e-15);
        assert!((estimate(skewed, 0.1, Sides::One) - 4.0_f64.ln()).abs() < 1e-15);
        // (0.9 - 0.1) / 0.5 is less
        assert!((estimate(skewed, 0.1, Sides::Both) - 4.0_f64.ln()).abs() < 1e-15);
        // TNR/FNR = 9 is more than TPR/FPR = 1.8
        let other = counts(90, 10, 50, 50);
        assert!((estimate(other, 0.0, Sides::One) - 1.8_f64.ln()).abs() < 1e-15);
        assert!((estimate(other, 0.0, Sides::Both) - 5.0_f64.ln()).abs() < 1e-15);
        assert!(estimate(counts(5, 5, 0, 10), 0.1, Sides::One).is_infinite());
        assert!(estimate(counts(0, 10, 0, 10), 0.0, Sides::One) == 0.0);
        assert!(estimate(counts(10, 90, 50, 50), 0.0, Sides::Both) == 0.0);
    }

    #[test]
    fn the_bound_is_its_formula() {
        let data = counts(90, 10, 5, 195);
        let fnr = crate::interval::clopper_pearson_upper(10, 100, 0.95);
        let fpr = crate::interval::clopper_pearson_upper(5, 200, 0.95);
        let one = ((1.0 - fnr - 0.01) / fpr).ln();
        let other = ((1.0 - fpr - 0.01) / fnr).ln();
        let of = |sides| {
            bound(Method::ClopperPearson, 0.01, 0.1, sides)
                .of_counts(data)
                .unwrap()
        };
        assert!((of(Sides::One) - one).abs() < 1e-9);
        assert!((of(Sides::Both) - one.max(other)).abs() < 1e-9);
        let mirrored = counts(195, 5, 10, 90);
        let of = |sides| {
            bound(Method::ClopperPearson, 0.01, 0.1, sides)
                .of_counts(mirrored)
                .unwrap()
        };
        assert!((of(Sides::One) - other).abs() < 1e-9);
        assert!((of(Sides::Both) - one.max(other)).abs() < 1e-9);
    }

    /// The lower end of an interval is the one-sided bound at half of α.
    #[test]
    fn intervals_end_at_the_one_sided_bounds() {
        let data = counts(900, 100, 20, 980);
        for method in METHODS {
            let interval = epsilon_interval(data, method, 1e-5, 0.1).unwrap();
            let one_sided = bound(method, 1e-5, 0.05, Sides::Both)
                .of_counts(data)
                .unwrap();
            assert!((interval.lower - one_sided).abs() < 1e-9, "{method:?}");
            let estimate = epsilon_point_estimate(data, 1e-5, Sides::Both).unwrap();
            assert!(interval.lower < estimate && estimate < interval.upper);
        }
        // the reversed attack is as good, and the interval sees it
        let reversed = counts(100, 900, 980, 20);
        for method in METHODS {
            let straight = epsilon_interval(data, method, 1e-5, 0.1).unwrap();
            let interval = epsilon_interval(reversed, method, 1e-5, 0.1).unwrap();
            assert!((interval.lower - straight.lower).abs() < 1e-8, "{method:?}");
            assert!((interval.upper - straight.upper).abs() < 1e-8, "{method:?}");
        }
    }

    /// A fair coin reported truthfully with probability e^ε/(1+e^ε) is ε-differentially
    /// private, and no better: the bound may exceed ε in at most a share α of audits
    /// (four standard errors of 2000 audits).
    #[test]
    fn bounds_hold_for_randomised_response() {
        let (epsilon, trials, audits, alpha) = (1.0_f64, 60, 2000, 0.1);
        let truthful = epsilon.exp() / (1.0 + epsilon.exp());
        let kinds = [
            bound(Method::ClopperPearson, 0.0, alpha, Sides::One),
            bound(Method::ClopperPearson, 0.0, alpha, Sides::Both),
        ];
        let (mut too_large, mut positive) = ([0u32; 2], [0u32; 2]);
        for audit in 0..audits {
            let mut stream = Stream::new(5, "randomised response", audit);
            let mut right = || (0..trials).filter(|_| stream.uniform() < truthful).count() as u64;
            let (tp, tn) = (right(), right());
            let data = counts(tp, trials - tp, trials - tn, tn);
            for (kind, bound) in kinds.iter().enumerate() {
                let found = bound.of_counts(data).unwrap();
                too_large[kind] += u32::from(found > epsilon);
                positive[kind] += u32::from(found > 0.0);
            }
        }
        let audits = audits as f64;
        let limit = audits * alpha + 4.0 * (audits * alpha * (1.0 - alpha)).sqrt();
        for (too_large, positive) in too_large.into_iter().zip(positive) {
            assert!(f64::from(too_large) <= limit, "{too_large} of {audits}");
            assert!(f64::from(positive) > 0.9 * audits, "{positive} of {audits}");
        }
    }

    #[test]
    fn claims() {
        assert_eq!(compare(1.0, 1.5), Ok(Claim::Contradicted));
        assert_eq!(compare(1.5, 1.5), Ok(Claim::NotContradicted));
        assert_eq!(compare(f64::INFINITY, 3.0), Ok(Claim::NotContradicted));
        for bad in [-0.1, f64::NAN] {
            assert!(compare(bad, 1.0).is_err() && compare(1.0, bad).is_err());
        }
        assert_eq!(Claim::NotContradicted.to_string(), "not contradicted");
    }

    #[test]
    fn bad_input_is_an_error() {
        let good = counts(5, 5, 5, 5);
        for method in METHODS {
            for (delta, alpha) in [
                (1.0, 0.1),
                (-0.1, 0.1),
                (f64::NAN, 0.1),
                (0.0, 0.0),
                (0.0, 1.0),
                (0.0, f64::NAN),
            ] {
                assert!(
                    bound(method, delta, alpha, Sides::One)
                        .of_counts(good)
                        .is_err()
                );
                assert!(epsilon_interval(good, method, delta, alpha).is_err());
            }
            for empty in [counts(0, 0, 1, 1), counts(1, 1, 0, 0)] {
                assert!(
                    bound(method, 0.0, 0.1, Sides::One)
                        .of_counts(empty)
                        .is_err()
                );
                assert!(epsilon_interval(empty, method, 0.0, 0.1).is_err());
                assert!(epsilon_point_estimate(empty, 0.0, Sides::One).is_err());
            }
        }
        assert!(epsilon_point_estimate(good, 1.0, Sides::One).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(25))]

        /// One more right decision instead of a wrong one never lowers the bound of an
        /// attack that is better than a coin; less confidence or a second side neither.
        #[test]
        fn bounds_rise_with_what_is_right(
            members in 20u64..400, others in 20u64..400, hits in 0.6..1.0, alarms in 0.0..0.4,
            delta in 0.0..0.05, alpha in 0.01..0.3,
        ) {
            let tp = (hits * members as f64) as u64;
            let fp = 1 + (alarms * (others - 2) as f64) as u64;
            let data = counts(tp, members - tp, fp, others - fp);
            let better = [counts(tp + 1, members - tp - 1, fp, others - fp), counts(tp, members - tp, fp - 1, others - fp + 1)];
            for method in METHODS {
                for sides in [Sides::One, Sides::Both] {
                    let base = bound(method, delta, alpha, sides);
                    let found = base.of_counts(data).unwrap();
                    for data in better {
                        prop_assert!(base.of_counts(data).unwrap() >= found - 1e-9);
                    }
                    let surer = bound(method, delta, alpha / 2.0, sides).of_counts(data).unwrap();
                    prop_assert!(surer <= found + 1e-9);
                    let looser = bound(method, delta + 0.01, alpha, sides).of_counts(data).unwrap();
                    prop_assert!(looser <= found + 1e-9);
                    let estimate = epsilon_point_estimate(data, delta, sides).unwrap();
                    prop_assert!(alpha > 0.2 || found <= estimate + 1e-9, "{:?} {} {}", method, found, estimate);
                }
                let one = bound(method, delta, alpha, Sides::One).of_counts(data).unwrap();
                let both = bound(method, delta, alpha, Sides::Both).of_counts(data).unwrap();
                prop_assert!(both >= one - 1e-9);
            }
        }
    }
}
