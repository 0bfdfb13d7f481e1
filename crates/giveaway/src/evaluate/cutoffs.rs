//! What accusing every unit up to a cut-off of p comes to, over a grid of cut-offs.
//!
//! It serves two pictures: precision against the cut-off, and calibration, for which the share
//! of non-members up to a cut-off should be the cut-off itself, or less.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Estimate;

/// The cut-offs, rising: 1, 2, 5 in each decade.
pub const CUTOFFS: [f64; 16] = [
    1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0,
];

/// Rates of accusing every tested unit whose p-value is at most a cut-off.
///
/// *At most*, and not *below* as in [`Decision::Level`](super::Decision::Level): under the null
/// the probability of p ≤ c is at most c, and with a floor such as 1/65 it is c itself for
/// c = 1/65. For nulls without atoms both are the same.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AtCutoff {
    /// The cut-off.
    pub cutoff: f64,
    /// Accusations in all, summed over targets.
    pub accusations: u64,
    /// Of those, the wrong ones.
    pub wrong: u64,
    /// Share of accusations that are right; absent where nobody is accused.
    pub precision: Estimate,
    /// Share of tested members that are accused; 1 by definition, without an interval, at a
    /// cut-off of 1.
    pub true_positive_rate: Estimate,
    /// Share of tested non-members that are accused; likewise.
    pub false_positive_rate: Estimate,
}

impl AtCutoff {
    /// At a cut-off of 1 all that is tested is accused, by definition: an interval about that
    /// would say that it might be otherwise.
    pub(super) fn certain(self) -> Self {
        if self.cutoff < 1.0 {
            return self;
        }
        Self {
            true_positive_rate: self.true_positive_rate.without_interval(),
            false_positive_rate: self.false_positive_rate.without_interval(),
            ..self
        }
    }
}

/// Whoever is accused at a cut-off is accused at every larger one, so rates only rise, and what
/// bounds the rate at one cut-off from above bounds it at all smaller ones, and from below at
/// all larger ones. Few events have wide intervals; with this they are no wider than those of
/// more.
pub(super) fn nest(curve: &mut [AtCutoff]) {
    let rates: [fn(&mut AtCutoff) -> &mut Estimate; 2] = [
        |at| &mut at.true_positive_rate,
        |at| &mut at.false_positive_rate,
    ];
    for rate in rates {
        let mut bound = f64::INFINITY;
        for at in curve.iter_mut().rev() {
            if let Some(upper) = &mut rate(at).upper {
                bound = bound.min(*upper);
                *upper = bound;
            }
        }
        let mut bound = 0.0f64;
        for at in curve.iter_mut() {
            if let Some(lower) = &mut rate(at).lower {
                bound = bound.max(*lower);
                *lower = bound;
            }
        }
    }
}

/// The place of the first cut-off that a p-value keeps to; the number of cut-offs for `NaN`.
pub(super) fn first_cutoff(p: f64) -> u8 {
    if p.is_nan() {
        return CUTOFFS.len() as u8;
    }
    CUTOFFS.partition_point(|&cutoff| cutoff < p) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_for_what_is_nested() {
        let at = |cutoff: f64, lower: f64, upper: f64| {
            let rate = Estimate {
                value: Some(f64::midpoint(lower, upper)),
                lower: Some(lower),
                upper: Some(upper),
            };
            AtCutoff {
                cutoff,
                accusations: 0,
                wrong: 0,
                precision: rate,
                true_positive_rate: rate,
                false_positive_rate: rate,
            }
        };
        // A wide interval of few events beside narrow ones of more.
        let mut curve = [
            at(1e-4, 0.0, 0.03),
            at(2e-4, 1e-4, 6e-4),
            at(5e-4, 5e-5, 9e-4),
        ];
        nest(&mut curve);
        let bounds = curve.map(|at| (at.false_positive_rate.lower, at.false_positive_rate.upper));
        assert_eq!(
            bounds,
            [
                (Some(0.0), Some(6e-4)),
                (Some(1e-4), Some(6e-4)),
                (Some(1e-4), Some(9e-4))
            ]
        );
        // Precision is no such rate.
        assert_eq!(curve[0].precision.upper, Some(0.03));
    }

    #[test]
    fn the_first_cutoff_is_the_smallest_that_is_not_below() {
        assert!(CUTOFFS.is_sorted());
        for p in [0.0, 1e-5, 1.1e-5, 0.01, 0.01_f64.next_up(), 1.0] {
            let expected = CUTOFFS.iter().position(|&c| p <= c).unwrap();
            assert_eq!(usize::from(first_cutoff(p)), expected, "{p}");
        }
        assert_eq!(usize::from(first_cutoff(f64::NAN)), CUTOFFS.len());
    }
}
