//! LOSS (Yeom et al. 2018): a record with a small loss is called a member, one threshold for
//! all. Score: `-L`.

/// Scores from the target's losses.
#[must_use]
pub fn score(losses: &[f64]) -> Vec<f64> {
    losses.iter().map(|loss| -loss).collect()
}
