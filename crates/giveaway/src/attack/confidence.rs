//! Confidence of the true class (Yeom et al. 2018; Song and Mittal 2021): score `p_y`. It
//! ranks as LOSS does, and saturates where LOSS does not.

/// Scores from the target's confidences.
#[must_use]
pub fn score(confidences: &[f64]) -> Vec<f64> {
    confidences.to_vec()
}
