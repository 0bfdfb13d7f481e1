//! Prediction entropy (Shokri et al. 2017; Salem et al. 2019): a model is surer of records
//! that it was trained on. Score: `Σ p ln p`, minus the entropy. The label is not used.

/// Scores from entropies of the target's outputs.
#[must_use]
pub fn score(entropies: &[f64]) -> Vec<f64> {
    entropies.iter().map(|entropy| -entropy).collect()
}
