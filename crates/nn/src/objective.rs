//! Losses other than the cross-entropy, made from it after the kernel has computed it.
//!
//! The kernel leaves share · weight · (p − t) for each row of the batch, and the sum of the
//! cross-entropies. What is to be different is added or written over in a second pass over the
//! logits, in `f64`: the default never comes here and stays as fast.

use crate::config::Objective;
use crate::kernel::{Loss, Matrix, Targets};

/// What a step of training makes small.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aim {
    pub(crate) objective: Objective,
    /// Label smoothing.
    pub(crate) smoothing: f32,
    /// Counted from 0.
    pub(crate) epoch: usize,
}

/// Added to gradients and taken away again, which rounds them to multiples of 2⁻⁷³, as the
/// kernel does: what is smaller would become subnormal on its way back through the layers.
const GRAIN: f32 = 1.0 / (1u64 << 50) as f32;

impl Aim {
    /// Makes the deltas of the cross-entropy, each row's multiplied by `share` and its weight,
    /// those of the objective, and its loss the objective's.
    ///
    /// Of `RelaxLoss` the loss stays the cross-entropy, by which it decides.
    pub(crate) fn finish(
        self,
        logits: &Matrix,
        targets: Targets,
        share: f32,
        loss: Loss,
        deltas: &mut Matrix,
    ) -> Loss {
        match self.objective {
            Objective::CrossEntropy => loss,
            Objective::EntropyReward { strength } => {
                let mut answers = vec![0.0; logits.columns()];
                let mut rewards = 0.0;
                for row in 0..targets.labels.len() {
                    let weight = weight(targets, row);
                    let entropy = log_probabilities(logits, row, &mut answers);
                    let strength = f64::from(strength) * weight;
                    rewards += strength * entropy;
                    let strength = strength * f64::from(share);
                    for (class, &ln) in answers.iter().enumerate() {
                        let more = strength * ln.exp() * (ln + entropy);
                        let delta = f64::from(deltas.get(row, class)) + more;
                        deltas.set(row, class, rounded(delta));
                    }
                }
                Loss {
                    sum: loss.sum - rewards,
                }
            }
            Objective::Relaxed { level } => {
                let rows = targets.labels.len();
                if loss.sum >= f64::from(level) * rows as f64 {
                    return loss;
                }
                if self.epoch.is_multiple_of(2) {
                    for x in deltas.floats_mut() {
                        *x = -*x;
                    }
                    return loss;
                }
                let mut answers = vec![0.0; logits.columns()];
                for (row, &label) in targets.labels.iter().enumerate() {
                    let share = f64::from(share) * weight(targets, row);
                    log_probabilities(logits, row, &mut answers);
                    let own = answers[label as usize].exp();
                    let even = (1.0 - own) / (answers.len() - 1) as f64;
                    for (class, &ln) in answers.iter().enumerate() {
                        // the label's target is its own probability
                        let delta = if class == label as usize {
                            0.0
                        } else {
                            share * (ln.exp() - even)
                        };
                        deltas.set(row, class, rounded(delta));
                    }
                }
                loss
            }
        }
    }
}

fn weight(targets: Targets, row: usize) -> f64 {
    targets
        .weights
        .map_or(1.0, |weights| f64::from(weights[row]))
}

fn rounded(delta: f64) -> f32 {
    (delta as f32 + GRAIN) - GRAIN
}

/// Writes the logarithms of a row's probabilities; the entropy.
fn log_probabilities(logits: &Matrix, row: usize, to: &mut [f64]) -> f64 {
    let mut largest = f64::NEG_INFINITY;
    for (class, x) in to.iter_mut().enumerate() {
        *x = f64::from(logits.get(row, class));
        largest = x.max(largest);
    }
    let sum: f64 = to.iter().map(|x| (x - largest).exp()).sum();
    let shift = largest + sum.ln();
    let mut entropy = 0.0;
    for x in to {
        *x -= shift;
        entropy -= x.exp() * *x;
    }
    entropy
}
