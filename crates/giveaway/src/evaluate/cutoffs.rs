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
    fn the_first_cutoff_is_the_smallest_that_is_not_below() {
        assert!(CUTOFFS.is_sorted());
        for p in [0.0, 1e-5, 1.1e-5, 0.01, 0.01_f64.next_up(), 1.0] {
            let expected = CUTOFFS.iter().position(|&c| p <= c).unwrap();
            assert_eq!(usize::from(first_cutoff(p)), expected, "{p}");
        }
        assert_eq!(usize::from(first_cutoff(f64::NAN)), CUTOFFS.len());
    }
}
