//! LT-IQR, the spread of a record's loss over the training (Pollock, Shilov, Dodd and de
//! Montjoye 2025, "Free record-level privacy risk evaluation through artifact-based methods").
//!
//! With `L_e` the record's loss after epoch `e`, without dropout and augmentation,
//!
//! > score = Q.75(L_1, …, L_E) − Q.25(L_1, …, L_E)
//!
//! with quantiles interpolated linearly between order statistics (numpy's default).
//!
//! This is for who trains the model: it takes the losses while it learns, of the records that
//! it learns from ([`Trainer::train_traced`](crate::trainer::Trainer::train_traced)), and asks
//! which of them an attacker would find. A large spread says that the record was hard at first
//! and was learnt in the end, as records are that are given away. It needs no reference models.
//! It ranks members by risk; it is no test of membership, has no p-value, and compares records
//! of one training only.

use giveaway_stats::summary::quantile;
use ndarray::{ArrayView2, Axis};
use rayon::prelude::*;

use crate::error::{Error, Result};

/// Records whose losses are gathered at a time: a cache line of each epoch's row.
const BLOCK: usize = 16;

/// The interquartile range of each record's losses over the epochs, from `traces`, epochs ×
/// records: one number ≥ 0 for each record, in nats. Higher is more at risk.
///
/// # Errors
/// If there are fewer than two epochs, or a loss is not finite.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a view is itself a reference, and ndarray passes views by value"
)]
pub fn interquartile_ranges(traces: ArrayView2<f32>) -> Result<Vec<f64>> {
    let (epochs, records) = traces.dim();
    if epochs < 2 {
        return Err(Error::usage(format!(
            "the losses of {epochs} epochs have no spread; LT-IQR needs at least 2 epochs"
        ))
        .hint("train for more epochs, or see whether the array is epochs × records"));
    }
    let blocks: Vec<Vec<f64>> = (0..records.div_ceil(BLOCK))
        .into_par_iter()
        .map(|block| {
            let first = block * BLOCK;
            let width = BLOCK.min(records - first);
            let mut losses = vec![0.0; width * epochs];
            for (epoch, row) in traces.axis_iter(Axis(0)).enumerate() {
                for record in 0..width {
                    let loss = row[first + record];
                    if !loss.is_finite() {
                        return Err(Error::input(format!(
                            "the loss of record {} after epoch {} is {loss}",
                            first + record,
                            epoch + 1
                        ))
                        .hint("losses must be finite; see whether the training diverged"));
                    }
                    losses[record * epochs + epoch] = f64::from(loss);
                }
            }
            Ok(losses.chunks_exact_mut(epochs).map(range).collect())
        })
        .collect::<Result<_>>()?;
    Ok(blocks.concat())
}

/// The interquartile range of losses, which it sorts.
fn range(losses: &mut [f64]) -> f64 {
    losses.sort_unstable_by(f64::total_cmp);
    let at = |q| quantile(losses, q).unwrap_or(f64::NAN);
    at(0.75) - at(0.25)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::quantile_regression::tests::{fields, same_bits, with_threads};
    use giveaway_stats::random::Stream;
    use ndarray::{Array2, array};

    #[test]
    fn numpy_agrees() {
        let reference = include_str!("../../../../conformance/attacks-quantile/loss-trace.txt");
        let mut lines = reference.lines().filter(|line| !line.starts_with('#'));
        let mut cases = 0;
        while let (Some(losses), Some(range)) = (lines.next(), lines.next()) {
            let losses: Vec<f32> = fields(losses);
            let traces = Array2::from_shape_vec((losses.len(), 1), losses).unwrap();
            let have = interquartile_ranges(traces.view()).unwrap()[0];
            let want = fields::<f64>(range)[0];
            assert!((have - want).abs() <= 1e-12 * want, "{have}, {want}");
            cases += 1;
        }
        assert!(cases >= 8, "{cases} cases");
    }

    #[test]
    fn records_go_by_column_and_permute() {
        let mut stream = Stream::new(1, "traces", 0);
        let traces = Array2::from_shape_fn((7, 53), |_| stream.normal().exp() as f32);
        let scores = interquartile_ranges(traces.view()).unwrap();
        for (record, score) in scores.iter().enumerate() {
            let column = traces.column(record).to_owned().insert_axis(Axis(1));
            let alone = interquartile_ranges(column.view()).unwrap();
            assert_eq!(alone[0].to_bits(), score.to_bits());
        }
        let mut order: Vec<usize> = (0..53).collect();
        stream.shuffle(&mut order);
        let permuted = interquartile_ranges(traces.select(Axis(1), &order).view()).unwrap();
        let want: Vec<f64> = order.iter().map(|&record| scores[record]).collect();
        same_bits(&permuted, &want);
        for threads in [1, 2] {
            let again = with_threads(threads, || interquartile_ranges(traces.view()).unwrap());
            same_bits(&again, &scores);
        }
    }

    #[test]
    fn a_constant_loss_has_no_spread_and_bad_input_is_refused() {
        let scores = interquartile_ranges(array![[1.0, 0.0], [1.0, 4.0]].view()).unwrap();
        same_bits(&scores, &[0.0, 2.0]);
        assert!(
            interquartile_ranges(Array2::zeros((3, 0)).view())
                .unwrap()
                .is_empty()
        );
        let error = interquartile_ranges(array![[1.0, 2.0]].view()).unwrap_err();
        assert!(error.to_string().contains("1 epochs"), "{error}");
        let bad = array![[1.0, 2.0], [1.0, f32::NAN]];
        let error = interquartile_ranges(bad.view()).unwrap_err().to_string();
        assert!(error.contains("record 1 after epoch 2 is NaN"), "{error}");
    }
}
