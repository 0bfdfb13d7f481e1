//! The threshold of Sablayrolles et al. (2019), a record's own: half-way between its mean
//! losses IN and OUT. Score: `(mean L_in + mean L_out)/2 - L_T`, positive below it.

use super::moments::Moments;

/// Scores from the target's losses and the moments of the reference models' losses; `NaN`
/// where one side has no models.
#[must_use]
pub fn score(losses: &[f64], reference: &Moments) -> Vec<f64> {
    (0..losses.len())
        .map(|r| f64::midpoint(reference.inside.mean[r], reference.outside.mean[r]) - losses[r])
        .collect()
}
