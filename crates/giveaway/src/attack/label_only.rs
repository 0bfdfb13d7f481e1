//! The attack on labels, calibrated for each record: the label-only attacks of Choquette-Choo et
//! al. (2021) ask for no more than the answered class, and the likelihood ratio is that of LiRA
//! (Carlini et al. 2022) for the one thing then seen, whether the class is right.
//!
//! ```text
//! score = ln(P_in[as the target] / P_out[as the target]),   P[right] = (n_right + 1)/(n + 2)
//! ```
//!
//! with `n_right` of the record's n IN or OUT reference models being right (Laplace's rule, so
//! that a count of 0 is not certainty). Where the target is wrong, P(wrong) = 1 − P(right). For a
//! unit of several records x is the share that the target has right, `n_right` a sum of such
//! shares, and the score is `x ln(P_in/P_out) + (1 − x) ln((1 − P_in)/(1 − P_out))`.
//!
//! No defence that keeps the label weakens it: it is what is left of an attack on answers.

use super::evidence::Outputs;

/// Scores from whether the target is right (`correct`, a share for a unit of several records),
/// and the reference models (`[models]`, with membership `[models][records]`). `NaN` for records
/// without IN or OUT models.
#[must_use]
pub fn score(correct: &[f64], references: &[&Outputs], inside: &[&[bool]]) -> Vec<f64> {
    let mut in_models = vec![Count::default(); correct.len()];
    let mut out_models = in_models.clone();
    for (outputs, inside) in references.iter().zip(inside) {
        for (record, (&right, &is_in)) in outputs.correct.iter().zip(*inside).enumerate() {
            let side = if is_in {
                &mut in_models
            } else {
                &mut out_models
            };
            side[record].models += 1.0;
            side[record].right += right;
        }
    }
    correct
        .iter()
        .zip(in_models.iter().zip(&out_models))
        .map(|(&right, (inside, outside))| {
            if inside.models == 0.0 || outside.models == 0.0 {
                return f64::NAN;
            }
            let (inside, outside) = (inside.share(), outside.share());
            right * (inside / outside).ln()
                + (1.0 - right) * ((1.0 - inside) / (1.0 - outside)).ln()
        })
        .collect()
}

/// Reference models of one side of a record.
#[derive(Clone, Default)]
struct Count {
    models: f64,
    right: f64,
}

impl Count {
    /// Laplace's estimate of the probability of being right; never 0 or 1.
    fn share(&self) -> f64 {
        (self.right + 1.0) / (self.models + 2.0)
    }
}

#[cfg(test)]
mod tests {
    use giveaway_stats::random::Stream;

    use super::*;

    fn outputs(correct: Vec<f64>) -> Outputs {
        Outputs {
            correct,
            ..Outputs::default()
        }
    }

    #[test]
    fn the_score_is_the_ratio_of_smoothed_shares() {
        // record 0: IN right, right, wrong; OUT wrong, wrong. Record 1: never IN
        let models = [[1.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 0.0]];
        let models = models.map(|row| outputs(row.to_vec()));
        let inside = [true, true, true, false, false].map(|is_in| [is_in, false]);
        let inside: Vec<&[bool]> = inside.iter().map(|row| &row[..]).collect();
        let references: Vec<&Outputs> = models.iter().collect();
        let (of_in, of_out): (f64, f64) = (3.0 / 5.0, 1.0 / 4.0);
        let right = score(&[1.0, 1.0], &references, &inside);
        assert!((right[0] - (of_in / of_out).ln()).abs() < 1e-12 && right[1].is_nan());
        let wrong = score(&[0.0, 1.0], &references, &inside)[0];
        assert!((wrong - ((1.0 - of_in) / (1.0 - of_out)).ln()).abs() < 1e-12);
        // a unit of which a quarter is right
        let share = score(&[0.25, 1.0], &references, &inside)[0];
        assert!((share - (0.25 * right[0] + 0.75 * wrong)).abs() < 1e-12);
    }

    #[test]
    fn brute_force_over_models_gives_the_same() {
        let mut stream = Stream::new(4, "label only", 0);
        let (models, records) = (9, 40);
        let inside: Vec<Vec<bool>> = (0..models)
            .map(|_| (0..records).map(|_| stream.uniform() < 0.5).collect())
            .collect();
        let answers: Vec<Outputs> = (0..=models)
            .map(|_| {
                outputs(
                    (0..records)
                        .map(|_| (stream.uniform() * 2.0).floor())
                        .collect(),
                )
            })
            .collect();
        let (target, references) = answers.split_last().unwrap();
        let references: Vec<&Outputs> = references.iter().collect();
        let rows: Vec<&[bool]> = inside.iter().map(Vec::as_slice).collect();
        let found = score(&target.correct, &references, &rows);
        for (record, &score) in found.iter().enumerate() {
            let as_target = |is_in: bool| {
                let of_side: Vec<usize> = (0..models)
                    .filter(|&m| inside[m][record] == is_in)
                    .collect();
                let same = of_side.iter().filter(|&&m| {
                    (references[m].correct[record] > 0.5) == (target.correct[record] > 0.5)
                });
                (same.count() as f64 + 1.0) / (of_side.len() as f64 + 2.0)
            };
            let expected = (as_target(true) / as_target(false)).ln();
            assert!((score - expected).abs() < 1e-12, "{score} {expected}");
        }
    }
}
