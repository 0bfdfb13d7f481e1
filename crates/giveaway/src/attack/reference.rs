//! Attack-R (Ye et al. 2022): the quantile of the target's loss among the record's own OUT
//! losses, a threshold for each record. Direct inference without selection.
//!
//! The score is 1 less the level at which the linearly interpolated quantile function of the
//! OUT losses (numpy's) reaches the target's loss; 1 below all of them, 0 above. The level
//! reaches 0 and is no p-value; the p-value given is the empirical one.

use super::Scores;
use super::direct::arrays::ecdf;
use super::evidence::{Evidence, Real};
use super::ranks::of_sorted_out;

/// Scores and empirical p-values; `NaN` without OUT models.
#[must_use]
pub fn score<T: Real>(evidence: &Evidence<'_, T>) -> Scores {
    let losses = evidence.target_losses();
    let (query, kind) = evidence.of_losses();
    Scores {
        scores: of_sorted_out(
            &query.references,
            &evidence.inside,
            evidence.records(),
            |x| kind.loss(x),
            |record, out| {
                if out.is_empty() {
                    f64::NAN
                } else {
                    1.0 - level(out, losses[record])
                }
            },
        ),
        p_values: Some(ecdf(evidence)),
    }
}

/// Where the interpolated quantile function of sorted values reaches x; the highest at ties.
fn level(sorted: &[f64], x: f64) -> f64 {
    let count = sorted.partition_point(|&value| value <= x);
    if count == 0 {
        return 0.0;
    }
    if count == sorted.len() {
        return 1.0;
    }
    let (below, above) = (sorted[count - 1], sorted[count]);
    ((count - 1) as f64 + (x - below) / (above - below)) / (sorted.len() - 1) as f64
}

#[cfg(test)]
mod tests {
    use super::super::evidence::Scalar;
    use super::*;
    use giveaway_stats::summary::quantile;
    use proptest::prelude::*;

    proptest! {
        /// The level is the inverse of numpy's quantile.
        #[test]
        fn the_level_inverts_the_quantile(
            mut losses in prop::collection::vec(0.0f64..5.0, 2..20),
            share in 0.0f64..1.0,
        ) {
            losses.sort_by(f64::total_cmp);
            let x = quantile(&losses, share).unwrap();
            prop_assert!((level(&losses, x) - share).abs() < 1e-9);
        }
    }

    #[test]
    fn only_out_models_count() {
        let rows = [[0.1f64], [1.0], [2.0], [3.0]];
        let inside = [[true], [false], [false], [false]];
        let evidence = |loss: f64| {
            Evidence::new(
                Scalar::Loss,
                rows.iter().map(|r| &r[..]).collect(),
                inside.iter().map(|r| &r[..]).collect(),
                vec![loss],
            )
        };
        for (loss, expected, p) in [
            (0.5, 1.0, 0.25),
            (1.0, 1.0, 0.5),
            (1.5, 0.75, 0.5),
            (3.0, 0.0, 1.0),
            (9.0, 0.0, 1.0),
        ] {
            let found = score(&evidence(loss));
            assert!((found.scores[0] - expected).abs() < 1e-15, "{loss}");
            assert!((found.p_values.unwrap()[0] - p).abs() < 1e-15, "{loss}");
        }
    }
}
