//! Direct inference on all records of some evidence, whatever its size.
//!
//! The same test as [`DirectInference`](super::DirectInference), from moments and counts over
//! models rather than from sorted samples: nothing is kept per record and model. There it is
//! prepared once and asked for one left-out model after another.

use giveaway_stats::empirical::ecdf_p_value_of_count;
use giveaway_stats::pchip::pchip_p_value_sorted;
use rayon::prelude::*;

use super::super::evidence::{Evidence, Real, Scalar};
use super::super::moments::Moments;
use super::super::ranks::{of_sorted_out, out_counts};
use super::{FEW_MODELS, Null, Prior, fitted_prior, t_p_value};

/// P-values of all records, in their order; `NaN` where there are too few OUT models.
///
/// `logits` are the moments of the scaled logits.
#[must_use]
pub fn p_values<T: Real>(evidence: &Evidence<'_, T>, logits: &Moments, null: Null) -> Vec<f64> {
    match null {
        Null::Ecdf => ecdf(evidence),
        Null::Pchip => pchip(evidence),
        Null::T => t(evidence, logits),
    }
}

/// Empirical p-values of the losses.
#[must_use]
pub fn ecdf<T: Real>(evidence: &Evidence<'_, T>) -> Vec<f64> {
    let (query, kind) = evidence.of_losses();
    let counts = out_counts(&query.references, &evidence.inside, &query.target);
    // A low loss is a high confidence and a high scaled logit.
    let as_low = match kind {
        Scalar::Loss => &counts.at_most,
        Scalar::ScaledLogit | Scalar::Confidence => &counts.at_least,
    };
    as_low
        .iter()
        .zip(&counts.models)
        .map(|(&count, &models)| {
            if models == 0 {
                f64::NAN
            } else {
                ecdf_p_value_of_count(count as usize, models as usize)
            }
        })
        .collect()
}

fn pchip<T: Real>(evidence: &Evidence<'_, T>) -> Vec<f64> {
    let losses = evidence.target_losses();
    let (query, kind) = evidence.of_losses();
    of_sorted_out(
        &query.references,
        &evidence.inside,
        evidence.records(),
        |x| kind.loss(x),
        |record, out| {
            if out.is_empty() {
                f64::NAN
            } else {
                pchip_p_value_sorted(out, losses[record])
            }
        },
    )
}

fn t<T: Real>(evidence: &Evidence<'_, T>, logits: &Moments) -> Vec<f64> {
    let outside = &logits.outside;
    let records = evidence.records();
    let known: Vec<usize> = (0..records).filter(|&r| outside.count[r] >= 2.0).collect();
    let prior: Option<Prior> = known
        .iter()
        .any(|&r| outside.count[r] < FEW_MODELS as f64)
        .then(|| {
            let (variances, freedoms): (Vec<f64>, Vec<f64>) = known
                .iter()
                .map(|&r| {
                    let freedom = outside.count[r] - 1.0;
                    (outside.deviations[r] / freedom, freedom)
                })
                .unzip();
            fitted_prior(&variances, &freedoms)
        })
        .flatten();
    let target = evidence.target_scaled_logits();
    let mut p: Vec<Option<f64>> = (0..records)
        .into_par_iter()
        .map(|r| {
            let models = outside.count[r];
            if models < 2.0 {
                return Some(f64::NAN);
            }
            let prior = prior.filter(|_| models < FEW_MODELS as f64);
            t_p_value(
                target[r],
                outside.mean[r],
                outside.deviations[r],
                models,
                prior,
            )
        })
        .collect();
    if p.iter().any(Option::is_none) {
        // All OUT models agree to the last bit: ranks are all that is left.
        for (p, rank) in p.iter_mut().zip(ecdf(evidence)) {
            p.get_or_insert(rank);
        }
    }
    p.into_iter().map(|p| p.unwrap_or(f64::NAN)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{DirectInference, LeftOut};
    use super::*;
    use crate::attack::moments::moments;
    use crate::membership::{Design, Membership};
    use crate::signals::{ModelSignals, Signals};
    use giveaway_stats::random::Stream;
    use ndarray::Array2;

    /// The two ways agree: with many models, with few, and where all models agree.
    #[test]
    fn p_values_are_those_of_direct_inference() {
        for (models, units) in [(40, 60), (8, 60), (8, 6)] {
            let mut stream = Stream::new(3, "direct on arrays", models as u64);
            let mut logits = Array2::from_shape_fn((units, models), |_| stream.normal() as f32);
            logits.row_mut(2).fill(0.3);
            let loss = logits.mapv(|x| Scalar::ScaledLogit.loss(f64::from(x)) as f32);
            let signals = Signals::from_arrays(&loss, &logits);
            let all: Vec<u32> = (0..units as u32).collect();
            let membership = Membership::draw(Design::Halves, models, units, &all, 0, 9).unwrap();
            let target: Vec<f32> = (0..units).map(|_| 1.0 + stream.normal() as f32).collect();
            let of_target = ModelSignals {
                loss: target
                    .iter()
                    .map(|&x| Scalar::ScaledLogit.loss(f64::from(x)) as f32)
                    .collect(),
                scaled_logit: target.clone(),
                accuracy: crate::signals::Accuracy::default(),
            };
            let inference = DirectInference::new(&signals, &membership, &all, 0..models);

            let by_model = logits.t().as_standard_layout().into_owned();
            let rows: Vec<&[f32]> = (0..models)
                .map(|m| by_model.row(m).to_slice().unwrap())
                .collect();
            let bytes = membership.to_bytes();
            let truth: Vec<bool> = bytes.iter().map(|&b| b == 1).collect();
            let inside: Vec<&[bool]> = truth.chunks(units).collect();
            let evidence = Evidence::new(
                Scalar::ScaledLogit,
                rows.clone(),
                inside.clone(),
                target.iter().map(|&x| f64::from(x)).collect(),
            );
            let of_logits = moments(&rows, &inside, units, |x| x);
            for null in Null::EVERY {
                let expected = inference.p_values(null, &of_target, LeftOut::Nobody);
                let found = p_values(&evidence, &of_logits, null);
                for (unit, (a, b)) in expected.iter().zip(&found).enumerate() {
                    assert!(
                        (a - b).abs() < 1e-6 * a.max(1e-3),
                        "{null:?} {models} {unit}: {a} {b}"
                    );
                }
            }
        }
    }
}
