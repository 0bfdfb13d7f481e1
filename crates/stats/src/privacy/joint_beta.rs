//! The joint posterior of the two error rates of an attack, and how much of it a claim of
//! differential privacy allows.

use super::{Counts, Sides, check_delta};
use crate::distribution::{Side, beta_tail_quantile};
use crate::error::{InputError, check_parameter};
use crate::special::{beta_ln_density, beta_tails};

/// Posterior probability, given the counts, that (FNR, FPR) lies in the region that
/// (ε, δ)-differential privacy allows; the rates are independent Beta(½ + count, ½ +
/// count). Rises with ε. Right to 1e-10.
///
/// # Errors
/// No member or no non-member, ε below 0 or NaN, δ outside [0, 1).
pub fn private_probability(
    counts: Counts,
    epsilon: f64,
    delta: f64,
    sides: Sides,
) -> Result<f64, InputError> {
    check_delta(delta)?;
    check_parameter("epsilon", epsilon, "at least 0", epsilon >= 0.0)?;
    counts.check()?;
    Ok(JointBeta::new(counts, delta, sides).probability(epsilon))
}

/// Above this, e^ε times the smallest positive rate that matters is beyond 1.
const LARGEST_EPSILON: f64 = 600.0;

/// Tail probabilities at which the range of integration is cut into panels: between two
/// of them neither density does anything sudden.
const LEVELS: [f64; 6] = [1e-18, 1e-10, 1e-5, 0.01, 0.15, 0.5];

/// A rate and its complement, both precise.
#[derive(Clone, Copy, Debug)]
struct Rate {
    is: f64,
    is_not: f64,
}

impl Rate {
    fn of_logit(logit: f64) -> Self {
        Self {
            is: 1.0 / (1.0 + (-logit).exp()),
            is_not: 1.0 / (1.0 + logit.exp()),
        }
    }

    fn logit(self) -> f64 {
        (self.is / self.is_not).ln()
    }
}

/// Beta(a, b).
#[derive(Clone, Copy, Debug)]
struct Posterior {
    a: f64,
    b: f64,
}

impl Posterior {
    fn new(errors: u64, right: u64) -> Self {
        Self {
            a: errors as f64 + 0.5,
            b: right as f64 + 0.5,
        }
    }

    /// Its quantiles at [`LEVELS`], from either side.
    fn landmarks(self) -> impl Iterator<Item = Rate> {
        let from_below = move |level| {
            let is = beta_tail_quantile(level, self.a, self.b, Side::Lower);
            Rate {
                is,
                is_not: 1.0 - is,
            }
        };
        // the upper tail of a rate is the lower tail of its complement
        let from_above = move |level| {
            let is_not = beta_tail_quantile(level, self.b, self.a, Side::Lower);
            Rate {
                is: 1.0 - is_not,
                is_not,
            }
        };
        LEVELS
            .into_iter()
            .map(from_below)
            .chain(LEVELS.into_iter().rev().map(from_above))
    }

    /// `P[low < rate ≤ high]`, from whichever tails are the smaller.
    fn between(self, low: Rate, high: Rate) -> f64 {
        let tails = |rate: Rate| {
            if rate.is <= 0.0 {
                (0.0, 1.0)
            } else if rate.is_not <= 0.0 {
                (1.0, 0.0)
            } else {
                let tails = beta_tails(self.a, self.b, rate.is, rate.is_not);
                (tails.lower, tails.upper)
            }
        };
        let (low, high) = (tails(low), tails(high));
        let probability = if low.0 < 0.5 {
            high.0 - low.0
        } else {
            low.1 - high.1
        };
        probability.max(0.0)
    }
}

/// The joint posterior of FNR and FPR with what does not depend on ε.
pub(super) struct JointBeta {
    fnr: Posterior,
    fpr: Posterior,
    delta: f64,
    sides: Sides,
    /// Logits of FNR between which all but 2e-18 of it lies, and places to cut there.
    fnr_cuts: Vec<f64>,
    fpr_landmarks: Vec<Rate>,
}

impl JointBeta {
    pub(super) fn new(counts: Counts, delta: f64, sides: Sides) -> Self {
        let fnr = Posterior::new(counts.false_negatives, counts.true_positives);
        let fpr = Posterior::new(counts.false_positives, counts.true_negatives);
        Self {
            fnr,
            fpr,
            delta,
            sides,
            fnr_cuts: fnr.landmarks().map(Rate::logit).collect(),
            fpr_landmarks: fpr.landmarks().collect(),
        }
    }

    /// The probability that the rates are allowed:
    /// `∫ f(x) P[low(x) ≤ FPR ≤ high(x)] dx` over FNR = x, where low and high are the
    /// ends of the region of differential privacy at x. In the logit of x the density is
    /// smooth even where it is infinite in x.
    pub(super) fn probability(&self, epsilon: f64) -> f64 {
        let factor = epsilon.min(LARGEST_EPSILON).exp();
        let integrand = |logit: f64| {
            let x = Rate::of_logit(logit);
            if x.is <= 0.0 || x.is_not <= 0.0 {
                return 0.0;
            }
            let density = beta_ln_density(self.fnr.a, self.fnr.b, x.is, x.is_not).exp();
            let (low, high) = self.allowed(x, factor);
            density * self.fpr.between(low, high)
        };
        self.cuts(factor)
            .windows(2)
            .map(|ends| integrate(&integrand, ends[0], ends[1], 40))
            .sum()
    }

    /// The false-positive rates that are allowed beside this false-negative rate.
    fn allowed(&self, fnr: Rate, factor: f64) -> (Rate, Rate) {
        let delta = self.delta;
        // TPR ≤ e^ε FPR + δ
        let mut low = at_least_zero((fnr.is_not - delta) / factor);
        let mut high = Rate {
            is: 1.0,
            is_not: 0.0,
        };
        if self.sides == Sides::Both {
            // TNR ≤ e^ε FNR + δ
            let complement = delta + factor * fnr.is;
            if 1.0 - complement > low.is {
                low = Rate {
                    is: 1.0 - complement,
                    is_not: complement,
                };
            }
            // the decision reversed: FNR ≤ e^ε TNR + δ and FPR ≤ e^ε TPR + δ
            let from_fnr = at_least_zero((fnr.is - delta) / factor);
            high = Rate {
                is: from_fnr.is_not,
                is_not: from_fnr.is,
            };
            let from_tpr = delta + factor * fnr.is_not;
            if from_tpr < high.is {
                high = Rate {
                    is: from_tpr,
                    is_not: 1.0 - from_tpr,
                };
            }
        }
        (low, high)
    }

    /// Where to cut the range of integration: at landmarks of the density, at the corners
    /// of the region, and where its boundary passes a landmark of the other rate.
    fn cuts(&self, factor: f64) -> Vec<f64> {
        let delta = self.delta;
        let first = self.fnr_cuts[0];
        let last = self.fnr_cuts[self.fnr_cuts.len() - 1];
        let corner = (1.0 - delta) / (1.0 + factor);
        // a corner or crossing is known by FNR (true) or by TPR (false)
        let mut places = vec![
            (true, corner),
            (true, delta),
            (false, corner),
            (false, delta),
        ];
        for rate in &self.fpr_landmarks {
            places.extend([
                (false, delta + rate.is * factor),
                (true, (rate.is_not - delta) / factor),
                (true, delta + rate.is_not * factor),
                (false, (rate.is - delta) / factor),
            ]);
        }
        let mut cuts = self.fnr_cuts.clone();
        cuts.extend(
            places
                .into_iter()
                .filter(|place| place.1 > 0.0 && place.1 < 1.0)
                .map(|(is_fnr, value)| {
                    let logit = (value / (1.0 - value)).ln();
                    if is_fnr { logit } else { -logit }
                })
                .filter(|&logit| logit > first && logit < last),
        );
        cuts.sort_unstable_by(f64::total_cmp);
        cuts
    }

    /// The ε at which the probability is `share`, rounded down, if that ε is above
    /// `floor`; infinite if no ε is enough.
    pub(super) fn epsilon_above(&self, floor: f64, share: f64) -> Option<f64> {
        let missing = |epsilon: f64| self.probability(epsilon) - share;
        let mut low = (floor, missing(floor));
        if low.1 >= 0.0 {
            return None;
        }
        let mut high = (floor + 1.0, missing(floor + 1.0));
        while high.1 < 0.0 {
            low = high;
            if low.0 > LARGEST_EPSILON {
                return Some(f64::INFINITY);
            }
            let next = 2.0 * high.0;
            high = (next, missing(next));
        }
        // the secant, with the value of an end that stays put halved (Illinois)
        let (mut low_value, mut high_value) = (low.1, high.1);
        for step in 0..200 {
            let width = high.0 - low.0;
            if width <= 1e-11 * high.0.max(1.0) {
                break;
            }
            let secant = low.0 + width * low_value / (low_value - high_value);
            // every third step halves, so that the bracket shrinks for sure; the others
            // keep off the ends, so that both ends close in
            let margin = 1e-12 * high.0.max(1.0);
            let next = if step % 3 == 2 || !secant.is_finite() {
                f64::midpoint(low.0, high.0)
            } else {
                secant.clamp(low.0 + margin, high.0 - margin)
            };
            let value = missing(next);
            if value < 0.0 {
                low = (next, value);
                low_value = value;
                high_value *= 0.5;
            } else {
                high = (next, value);
                high_value = value;
                low_value *= 0.5;
            }
        }
        (low.0 > floor).then_some(low.0)
    }
}

fn at_least_zero(rate: f64) -> Rate {
    let is = rate.max(0.0);
    Rate {
        is,
        is_not: 1.0 - is,
    }
}

/// Nodes of the Gauss–Kronrod rule with 7 and 15 points, from the outside to the middle
/// (Kronrod 1965, as tabulated in QUADPACK), its weights, and Gauss's for every second.
const NODES: [f64; 8] = [
    0.991_455_371_120_812_6,
    0.949_107_912_342_758_5,
    0.864_864_423_359_769_1,
    0.741_531_185_599_394_4,
    0.586_087_235_467_691_1,
    0.405_845_151_377_397_2,
    0.207_784_955_007_898_47,
    0.0,
];
const KRONROD: [f64; 8] = [
    0.022_935_322_010_529_224,
    0.063_092_092_629_978_55,
    0.104_790_010_322_250_18,
    0.140_653_259_715_525_92,
    0.169_004_726_639_267_9,
    0.190_350_578_064_785_4,
    0.204_432_940_075_298_9,
    0.209_482_141_084_727_82,
];
const GAUSS: [f64; 4] = [
    0.129_484_966_168_869_7,
    0.279_705_391_489_276_64,
    0.381_830_050_505_118_9,
    0.417_959_183_673_469_4,
];

/// Integral between two points, halved until both rules agree to 1e-13 (the difference is
/// the error of the weaker one) or `depth` is used up.
fn integrate(integrand: &impl Fn(f64) -> f64, from: f64, to: f64, depth: u32) -> f64 {
    let centre = f64::midpoint(from, to);
    let half = 0.5 * (to - from);
    if half <= 0.0 {
        return 0.0;
    }
    let middle = integrand(centre);
    let mut fine = KRONROD[7] * middle;
    let mut coarse = GAUSS[3] * middle;
    for node in 0..7 {
        let pair = integrand(centre - half * NODES[node]) + integrand(centre + half * NODES[node]);
        fine += KRONROD[node] * pair;
        if node % 2 == 1 {
            coarse += GAUSS[node / 2] * pair;
        }
    }
    if depth == 0 || (half * (fine - coarse)).abs() <= 1e-13 {
        return half * fine;
    }
    integrate(integrand, from, centre, depth - 1) + integrate(integrand, centre, to, depth - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy::Method;
    use crate::privacy::{EpsilonLowerBound, epsilon_interval};
    use proptest::prelude::*;

    const PUBLISHED: Counts = Counts {
        true_positives: 487,
        false_negatives: 0,
        false_positives: 512,
        true_negatives: 1,
    };

    /// The rules are exact for polynomials up to degree 23 and 13.
    #[test]
    fn the_rules_integrate_polynomials() {
        for (weights, nodes, degree) in [
            (KRONROD.to_vec(), NODES.to_vec(), 22),
            (
                GAUSS.to_vec(),
                NODES.into_iter().skip(1).step_by(2).collect(),
                12,
            ),
        ] {
            for power in (0..=degree).step_by(2) {
                let sum: f64 = weights
                    .iter()
                    .zip(&nodes)
                    .map(|(w, x)| w * x.powi(power) * if *x == 0.0 { 1.0 } else { 2.0 })
                    .sum();
                assert!((sum - 2.0 / f64::from(power + 1)).abs() < 1e-15, "{power}");
            }
        }
    }

    /// The example of `privacy-estimates` (README of version 0.1.0.post1), which prints
    /// [.145, 6.399]. Its ends are found to 0.01 by integrals to 0.005: to that, they are
    /// ours. With its tolerances at 1e-4 the same program gives [0.143906, 6.415618]; we
    /// get [0.143895, 6.415596], which is the same to that tolerance.
    #[test]
    fn the_published_example() {
        let interval = epsilon_interval(PUBLISHED, Method::JointBeta, 1e-5, 0.1).unwrap();
        assert!((interval.lower - 0.143_906).abs() < 1e-4, "{interval:?}");
        assert!((interval.upper - 6.415_618).abs() < 1e-4, "{interval:?}");
        for (epsilon, share) in [(0.145, 0.05), (6.399, 0.95)] {
            let ours = private_probability(PUBLISHED, epsilon, 1e-5, Sides::Both).unwrap();
            assert!((ours - share).abs() < 0.0025, "{epsilon}: {ours}");
        }
        let clopper = epsilon_interval(PUBLISHED, Method::ClopperPearson, 1e-5, 0.1).unwrap();
        assert!(clopper.lower == 0.0 && clopper.upper.is_infinite());
    }

    /// Everything is allowed by an ε without limit, and less than everything by less.
    #[test]
    fn the_posterior_is_a_probability() {
        for (tp, r#fn, fp, tn) in [
            (0, 1, 0, 1),
            (1, 0, 0, 1),
            (3, 5, 1000, 2),
            (0, 9, 1_000_000, 0),
        ] {
            let counts = Counts {
                true_positives: tp,
                false_negatives: r#fn,
                false_positives: fp,
                true_negatives: tn,
            };
            let probability =
                |epsilon| private_probability(counts, epsilon, 0.0, Sides::Both).unwrap();
            assert!((probability(500.0) - 1.0).abs() < 1e-10, "{counts:?}");
            assert!(probability(0.0).abs() < 1e-12, "{counts:?}");
        }
    }

    #[test]
    fn bad_input_is_an_error() {
        assert!(private_probability(PUBLISHED, -1.0, 0.0, Sides::Both).is_err());
        assert!(private_probability(PUBLISHED, f64::NAN, 0.0, Sides::Both).is_err());
        assert!(private_probability(PUBLISHED, 1.0, 1.0, Sides::Both).is_err());
        let empty = Counts {
            true_positives: 0,
            ..PUBLISHED
        };
        assert!(private_probability(empty, 1.0, 0.0, Sides::Both).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// Against a fine midpoint rule over FPR: the other order of integration and
        /// another rule, for posteriors broad enough for it. Also rising in ε.
        #[test]
        fn the_order_of_integration_does_not_matter(
            tp in 2u64..40, f_n in 2u64..40, fp in 2u64..40, tn in 2u64..40,
            epsilon in 0.0..4.0, delta in 0.0..0.2, both in any::<bool>(),
        ) {
            let counts = Counts { true_positives: tp, false_negatives: f_n, false_positives: fp, true_negatives: tn };
            let sides = if both { Sides::Both } else { Sides::One };
            let ours = private_probability(counts, epsilon, delta, sides).unwrap();
            let (fnr, fpr) = (Posterior::new(f_n, tp), Posterior::new(fp, tn));
            let factor = f64::exp(epsilon);
            let steps = 4000;
            let mut sum = 0.0;
            for step in 0..steps {
                let y = (f64::from(step) + 0.5) / f64::from(steps);
                let density = beta_ln_density(fpr.a, fpr.b, y, 1.0 - y).exp() / (y * (1.0 - y));
                // TPR ≤ e^ε FPR + δ is FNR ≥ 1 - δ - e^ε FPR, and so on
                let mut low = 1.0 - delta - factor * y;
                let mut high = 1.0;
                if both {
                    low = low.max((1.0 - delta - y) / factor);
                    high = f64::min(1.0 - (y - delta) / factor, delta + factor * (1.0 - y));
                }
                let rate = |is: f64| { let is = is.clamp(0.0, 1.0); Rate { is, is_not: 1.0 - is } };
                sum += density * fnr.between(rate(low), rate(high)) / f64::from(steps);
            }
            prop_assert!((ours - sum).abs() < 2e-5, "{} {}", ours, sum);
            let more = private_probability(counts, epsilon + 0.1, delta, sides).unwrap();
            prop_assert!(more >= ours - 1e-11);
        }

        /// The bound is where the probability is α.
        #[test]
        fn the_bound_has_its_probability(tp in 20u64..2000, fp in 0u64..20, alpha in 0.001..0.5) {
            let counts = Counts { true_positives: tp, false_negatives: 3, false_positives: fp, true_negatives: 500 };
            let bound = EpsilonLowerBound { method: Method::JointBeta, delta: 1e-6, alpha, sides: Sides::Both };
            let epsilon = bound.of_counts(counts).unwrap();
            prop_assert!(epsilon > 0.0);
            let probability = private_probability(counts, epsilon, 1e-6, Sides::Both).unwrap();
            prop_assert!((probability - alpha).abs() < 1e-9);
        }
    }
}
