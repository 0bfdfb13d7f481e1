//! The gap attack (Yeom et al. 2018): a member is who is classified correctly. It needs the
//! label only, and its advantage is the gap between train and test accuracy. Score: 1 where
//! the target is right, else 0 (the share of a unit's records).

/// Scores from whether the target is right.
#[must_use]
pub fn score(correct: &[f64]) -> Vec<f64> {
    correct.to_vec()
}
