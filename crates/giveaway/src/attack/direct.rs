//! Direct inference (after Long et al. 2018): a hypothesis test per record.
//!
//! Null hypothesis `H_out`: the record is not in the target's training set. Under it the
//! target's loss on the record is distributed as the losses of the reference models for
//! which the record is OUT. A loss far to the left of them is evidence of membership.
//!
//! Three nulls (methods, section 1.3):
//!
//! - `ecdf`: `p = (1 + #{L_i ≤ L}) / (k_out + 1)`. The only one valid in finite samples;
//!   it cannot go below `1/(k_out + 1)`.
//! - `t`: scaled logits, right tail of Student's t with the prediction variance. Exact if
//!   they are normal. Where the target's interface hides how small several OUT models' outputs
//!   are (zeros after rounding, classes beyond the k largest), `ecdf` takes its place. Below [`FEW_MODELS`] OUT models the variance is moderated by the
//!   other tested units' (Smyth 2004).
//! - `pchip`: the paper's smoothed distribution function. No guarantee in finite samples.

pub mod arrays;

use std::ops::Range;

use giveaway_stats::distribution::student_t_sf;
use giveaway_stats::empirical::{ecdf_p_value_sorted, ecdf_p_value_sorted_without};
use giveaway_stats::pchip::{pchip_p_value_sorted, pchip_p_value_sorted_without};
use giveaway_stats::random::Stream;
use giveaway_stats::variance::{VariancePrior, fit_variance_prior, moderated};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::membership::Membership;
use crate::signals::{ModelSignals, Signals};

/// Below this number of OUT models a unit's own variance is too uncertain, and is moderated.
pub const FEW_MODELS: usize = 10;

/// Where less than this share of a sum of squares is left, it is summed anew.
const CANCELLED: f64 = 1e-6;

/// Fewer tested units are not enough to learn from how variances are distributed: a prior
/// fitted to two or three is as uncertain as they are, and not conservative. Each then
/// stands for itself.
pub const FEW_UNITS: usize = 10;

/// The null distribution of a unit's loss.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Null {
    /// Student's t on scaled logits.
    T,
    /// The empirical distribution of losses.
    Ecdf,
    /// The empirical distribution, smoothed by monotone cubic interpolation.
    Pchip,
}

impl Null {
    /// All nulls, in the order of the tables.
    pub const EVERY: [Self; 3] = [Self::T, Self::Ecdf, Self::Pchip];

    /// The name used in options, files and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::T => "t",
            Self::Ecdf => "ecdf",
            Self::Pchip => "pchip",
        }
    }

    /// Whether p-values below `1/(k_out + 1)` cannot occur.
    #[must_use]
    pub fn has_floor(self) -> bool {
        self != Self::T
    }

    /// The smallest number of OUT models with which the test can be done.
    #[must_use]
    pub fn models_needed(self) -> usize {
        match self {
            Self::T => 2,
            Self::Ecdf | Self::Pchip => 1,
        }
    }
}

/// What the OUT models among those that test say of one unit.
#[derive(Clone, Debug)]
struct OutSample {
    /// Losses, ascending.
    losses: Vec<f64>,
    /// The model of each of those losses.
    models: Vec<u32>,
    /// Mean and sum of squared deviations of the scaled logits.
    logit_mean: f64,
    logit_deviations: f64,
    /// Whether several of the logits are cut: what they would be is not known.
    cut: bool,
}

/// The null distributions of many units, from one half of the reference models.
#[derive(Debug)]
pub struct DirectInference<'a> {
    signals: &'a Signals,
    membership: &'a Membership,
    candidates: &'a [u32],
    samples: Vec<OutSample>,
}

/// Which OUT model a unit's null does without.
///
/// When a reference model plays the target it leaves the references, and its complement
/// with it. Exactly one of the two is an OUT model of each unit, so every unit loses one,
/// whatever its membership: the floor `1/(k_out + 1)` tells nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// The real target: no reference model leaves.
    Nobody,
    /// This reference model plays the target.
    Model(usize),
}

impl<'a> DirectInference<'a> {
    /// Prepares the null of each candidate unit from the OUT models among `models`.
    #[must_use]
    pub fn new(
        signals: &'a Signals,
        membership: &'a Membership,
        candidates: &'a [u32],
        models: Range<usize>,
    ) -> Self {
        use rayon::prelude::*;
        let samples = candidates
            .par_iter()
            .map(|&unit| {
                let unit = unit as usize;
                let losses = signals.losses(unit);
                let logits = signals.scaled_logits(unit);
                let mut out: Vec<(f64, u32)> = models
                    .clone()
                    .filter(|&model| !membership.is_in(model, unit))
                    .map(|model| (f64::from(losses[model]), model as u32))
                    .collect();
                out.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                let count = out.len() as f64;
                let logit = |&(_, model): &(f64, u32)| f64::from(logits[model as usize]);
                let logit_mean = out.iter().map(logit).sum::<f64>() / count;
                let logit_deviations = out.iter().map(|o| (logit(o) - logit_mean).powi(2)).sum();
                let is_cut = |o: &(f64, u32)| {
                    let cut = signals.cut().map(f64::from);
                    cut.is_some_and(|cut| logit(o) <= cut)
                };
                OutSample {
                    cut: out.iter().filter(|o| is_cut(o)).count() > 1,
                    losses: out.iter().map(|o| o.0).collect(),
                    models: out.iter().map(|o| o.1).collect(),
                    logit_mean,
                    logit_deviations,
                }
            })
            .collect();
        Self {
            signals,
            membership,
            candidates,
            samples,
        }
    }

    /// Number of OUT models of a candidate, by its position.
    #[must_use]
    pub fn models_out(&self, position: usize) -> usize {
        self.samples[position].losses.len()
    }

    /// Whether the null t gives way to ranks for a candidate: the interface hides how far several
    /// of its OUT models are out.
    #[must_use]
    pub fn is_cut(&self, position: usize) -> bool {
        self.samples[position].cut
    }

    /// Mean loss of a candidate over its OUT models.
    #[must_use]
    pub fn mean_out_loss(&self, position: usize) -> f64 {
        let losses = &self.samples[position].losses;
        losses.iter().sum::<f64>() / losses.len() as f64
    }

    /// P-values of all candidates on a target, in their order: see [`Self::p_values_of`].
    #[must_use]
    pub fn p_values(&self, null: Null, target: &ModelSignals, left_out: LeftOut) -> Vec<f64> {
        let all: Vec<usize> = (0..self.samples.len()).collect();
        self.p_values_of(&all, null, target, left_out)
    }

    /// P-values of the candidates at `positions` on a target, in that order; `NaN` where a
    /// unit has too few OUT models to be tested.
    ///
    /// Where variances are moderated, these units lend each other their prior: selected
    /// units have larger variances than all, whose prior would make them too small.
    #[must_use]
    pub fn p_values_of(
        &self,
        positions: &[usize],
        null: Null,
        target: &ModelSignals,
        left_out: LeftOut,
    ) -> Vec<f64> {
        let precedence = match left_out {
            LeftOut::Model(model) => precedence(model, self.membership.models()),
            LeftOut::Nobody => Vec::new(),
        };
        let tested: Vec<Tested<'_>> = positions
            .iter()
            .map(|&position| {
                let sample = &self.samples[position];
                let removed = self.index_left_out(position, left_out, &precedence);
                Tested {
                    sample,
                    unit: self.candidates[position] as usize,
                    removed,
                    models: sample.losses.len() - usize::from(removed.is_some()),
                }
            })
            .collect();
        let prior = (null == Null::T)
            .then(|| self.variance_prior(&tested))
            .flatten();
        tested
            .iter()
            .map(|unit| {
                if unit.models < null.models_needed() {
                    return f64::NAN;
                }
                let loss = f64::from(target.loss[unit.unit]);
                match null {
                    Null::Ecdf => unit.ecdf(loss),
                    Null::Pchip => match unit.removed {
                        None => pchip_p_value_sorted(&unit.sample.losses, loss),
                        Some(index) => {
                            pchip_p_value_sorted_without(&unit.sample.losses, index, loss)
                        }
                    },
                    Null::T => {
                        let logit = f64::from(target.scaled_logit[unit.unit]);
                        self.t_p_value(unit, prior, logit)
                            // All OUT models agree to the last bit (a label-only channel,
                            // say), or are cut: ranks are all that is left.
                            .unwrap_or_else(|| unit.ecdf(loss))
                    }
                }
            })
            .collect()
    }

    /// The t null of one unit; `None` where its OUT models do not differ, or the interface hides
    /// how far several of them are out: their spread would be taken as smaller than it is.
    fn t_p_value(&self, unit: &Tested<'_>, prior: Option<Prior>, logit: f64) -> Option<f64> {
        if unit.sample.cut {
            return None;
        }
        let (mean, deviations) = self.logit_moments(unit.sample, unit.unit, unit.removed);
        let prior = prior.filter(|_| unit.has_few_models());
        t_p_value(logit, mean, deviations, unit.models as f64, prior)
    }

    /// The position, among the sorted losses, of the OUT model that leaves.
    ///
    /// `precedence` orders the models, where the one that leaves is not its complement.
    fn index_left_out(
        &self,
        position: usize,
        left_out: LeftOut,
        precedence: &[u32],
    ) -> Option<usize> {
        let LeftOut::Model(model) = left_out else {
            return None;
        };
        let sample = &self.samples[position];
        let unit = self.candidates[position] as usize;
        let leaves = if self.membership.is_in(model, unit) {
            if let Some(complement) = self.membership.complement(model) {
                complement as u32
            } else {
                // No complement: some other OUT model leaves, so that members do not keep
                // one model more than non-members. Which one depends on the target alone, and
                // not on the unit's number: permuting records permutes p-values.
                *sample
                    .models
                    .iter()
                    .min_by_key(|&&m| precedence[m as usize])?
            }
        } else {
            model as u32
        };
        sample.models.iter().position(|&m| m == leaves)
    }

    /// Mean and sum of squared deviations of the scaled logits without the one removed.
    fn logit_moments(&self, sample: &OutSample, unit: usize, removed: Option<usize>) -> (f64, f64) {
        let moments = (sample.logit_mean, sample.logit_deviations);
        let logits = self.signals.scaled_logits(unit);
        let of_models = sample.models.iter();
        let values = of_models.map(|&model| f64::from(logits[model as usize]));
        removed.map_or(moments, |index| moments_without(&values, moments, index))
    }

    /// The distribution of variances over the tested units, where some have few OUT models.
    fn variance_prior(&self, tested: &[Tested<'_>]) -> Option<Prior> {
        if !tested
            .iter()
            .any(|unit| unit.models >= 2 && unit.has_few_models())
        {
            return None;
        }
        let (variances, freedoms): (Vec<f64>, Vec<f64>) = tested
            .iter()
            .filter(|unit| unit.models >= 2 && !unit.sample.cut)
            .map(|unit| {
                let freedom = unit.models as f64 - 1.0;
                let deviations = self.logit_moments(unit.sample, unit.unit, unit.removed).1;
                (deviations / freedom, freedom)
            })
            .unzip();
        fitted_prior(&variances, &freedoms)
    }
}

/// Mean and sum of squared deviations of `values`, which have these `(mean, deviations)`,
/// without the one at `index`: by subtraction, or anew where it was nearly all of the spread.
pub(super) fn moments_without(
    values: &(impl ExactSizeIterator<Item = f64> + Clone),
    (mean, deviations): (f64, f64),
    index: usize,
) -> (f64, f64) {
    let count = values.len() as f64;
    let left = values.clone().nth(index).unwrap_or(f64::NAN);
    let mean_left = (count * mean - left) / (count - 1.0);
    let deviations_left = deviations - (left - mean) * (left - mean_left);
    if deviations_left > CANCELLED * deviations {
        return (mean_left, deviations_left);
    }
    // What the subtraction leaves is rounding, and a variance of 1e-16 would pass for evidence.
    let kept = || {
        let numbered = values.clone().enumerate();
        numbered
            .filter(|&(i, _)| i != index)
            .map(|(_, value)| value)
    };
    let mean = kept().sum::<f64>() / (count - 1.0);
    (mean, kept().map(|value| (value - mean).powi(2)).sum())
}

/// The order in which the OUT models of units leave in the place of `model`, which plays the
/// target and has no complement: of each unit the OUT model leaves that has the lowest number.
pub(super) fn precedence(model: usize, models: usize) -> Vec<u32> {
    let mut precedence: Vec<u32> = (0..models as u32).collect();
    Stream::new(model as u64, "leaves in place", 0).shuffle(&mut precedence);
    precedence
}

/// The right tail of Student's t with the prediction variance of `models` OUT models, whose
/// scaled logits have this mean and sum of squared deviations; with a prior the variance is
/// moderated. `None` where they do not differ.
pub(super) fn t_p_value(
    logit: f64,
    mean: f64,
    deviations: f64,
    models: f64,
    prior: Option<Prior>,
) -> Option<f64> {
    let (mut variance, mut freedom) = (deviations / (models - 1.0), models - 1.0);
    if let Some(Prior {
        prior,
        freedom: most,
    }) = prior
    {
        let shrunk = moderated(variance, freedom, prior);
        variance = shrunk.variance;
        // All tested units together do not know more than the sum of what each knows.
        freedom = shrunk.degrees_of_freedom.min(most);
    }
    let scale = (variance * (1.0 + 1.0 / models)).sqrt();
    (scale > 0.0).then(|| student_t_sf((logit - mean) / scale, freedom))
}

/// How variances with these degrees of freedom are distributed; `None` from too few of them.
fn fitted_prior(variances: &[f64], freedoms: &[f64]) -> Option<Prior> {
    if freedoms.len() < FEW_UNITS {
        return None;
    }
    let prior = fit_variance_prior(variances, freedoms).ok()?;
    Some(Prior {
        prior,
        freedom: freedoms.iter().sum(),
    })
}

/// The distribution of variances over the tested units.
#[derive(Clone, Copy)]
pub(super) struct Prior {
    prior: VariancePrior,
    /// Degrees of freedom of all tested units together: the most that one can have.
    freedom: f64,
}

/// One unit under test.
struct Tested<'a> {
    sample: &'a OutSample,
    unit: usize,
    /// The OUT model that its null does without, by its place in the sample.
    removed: Option<usize>,
    /// OUT models that are left.
    models: usize,
}

impl Tested<'_> {
    /// Whether the variance is moderated. Leaving one model out does not decide it: the test
    /// is to be the same when a reference model plays the target.
    fn has_few_models(&self) -> bool {
        self.sample.losses.len() < FEW_MODELS
    }

    fn ecdf(&self, loss: f64) -> f64 {
        match self.removed {
            None => ecdf_p_value_sorted(&self.sample.losses, loss),
            Some(index) => ecdf_p_value_sorted_without(&self.sample.losses, index, loss),
        }
    }
}

#[cfg(test)]
#[expect(
    clippy::needless_range_loop,
    reason = "units number rows of several arrays at once"
)]
#[expect(clippy::float_cmp, reason = "a p-value of 1 is exactly 1")]
mod tests;
