//! Difficulty calibration (Watson et al. 2022): a small loss counts for more on a record that
//! is hard for models which never saw it. Score: `mean L_out - L_T`.

use super::moments::Moments;

/// Scores from the target's losses and the moments of the reference models' losses; `NaN`
/// without OUT models.
#[must_use]
pub fn score(losses: &[f64], reference: &Moments) -> Vec<f64> {
    losses
        .iter()
        .zip(&reference.outside.mean)
        .map(|(loss, out)| out - loss)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::moments::moments;

    #[test]
    fn only_out_models_calibrate() {
        let rows = [[0.1f64], [1.0], [2.0]];
        let inside = [[true], [false], [false]];
        let losses = moments(
            &rows.each_ref().map(|r| &r[..]),
            &inside.each_ref().map(|r| &r[..]),
            1,
            |x| x,
        );
        assert!((super::score(&[0.5], &losses)[0] - 1.0).abs() < 1e-15);
        // Sablayrolles et al. also take the IN models
        let threshold = super::super::sablayrolles::score(&[0.5], &losses)[0];
        assert!((threshold - (0.8 - 0.5)).abs() < 1e-15);
    }
}
