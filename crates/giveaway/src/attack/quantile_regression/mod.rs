//! Quantile regression (Bertran, Tang, Kearns, Morgenstern, Roth and Wu 2023, "Scalable
//! membership inference attacks via quantile regression").
//!
//! A model is fitted to records known *not* to be members: of the quantiles of the scaled
//! logit `φ` given the record's features. With `q_{1−α}(x)` the predicted quantile,
//!
//! > member at level α ⇔ φ(x, y) > q_{1−α}(x)
//!
//! so that a share α of non-members is called members as far as the quantiles are right. No reference model is needed, only
//! non-members. The quantiles here are gradient-boosted trees (`trees.rs`) at the levels
//! [`LEVELS`]. Since `φ` is about the record's class, give the class among the features (as
//! one-hot columns, say): the trees know nothing of a record but its features.
//!
//! **One number.** Where predicted quantiles of a record cross, they are put in order. Then `φ`
//! is mapped to the scale of a standard normal number: linear between the quantiles, the
//! quantile at level `τ` going to `Φ⁻¹(τ)`; beyond the lowest and the highest at the record's
//! mean slope, `(Φ⁻¹(.99) − Φ⁻¹(.5)) / (q_.99 − q_.5)`. For each fitted level, score >
//! [`threshold`]`(τ)` exactly where `φ > q_τ(x)`. Beyond .99 the order is by extrapolation: the
//! records are too few to fit more. The slope's divisor is at least a twentieth of what it is
//! for all non-members together, so that a record for which the trees see no spread is not
//! infinitely suspicious; where all non-members have one φ, the slope is 1.
//!
//! Boosted quantiles are optimistic in the tail: of 8,000 made-up records, 2 % and not 1 % of
//! non-members were above their quantile at .99 (6 % for .95, 12 % for .9). So a threshold is
//! no false positive rate. The p-values are.
//!
//! **Cross-fitting.** Records fall into five folds by a hash of their features, their φ and the
//! seed. A record is scored by the trees fitted to the known non-members of the other four, and
//! this whether it is a known non-member itself or not: its own φ is never in its fit, and
//! members and non-members are treated alike. Exact copies are in one fold. Members are never
//! fitted to; of them, only the features play a part, in where the bins of the trees end.
//!
//! **P-values** are split-conformal, one fold at a time: the rank of the score among those of
//! the known non-members in the record's fold, to which the trees are as blind. They hold if
//! the record, were it no member, is drawn as the known non-members are: on average over
//! records, then, and not for each kind of record. With `n` known non-members in the fold, the
//! smallest is `1 / (n + 1)`.

mod trees;

use giveaway_stats::distribution::normal_isf;
use giveaway_stats::summary::quantile;
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use crate::error::{Error, Result};
use trees::{Binned, Forest};

pub use trees::Boosting;

/// The levels of the fitted quantiles.
pub const LEVELS: [f64; 5] = [0.5, 0.75, 0.9, 0.95, 0.99];

/// Parts of the records; those of one are scored by what the others say.
pub const FOLDS: usize = 5;

/// Known non-members that the quantiles are fitted to, at least: with fewer, the quantile at
/// .99 is no more than the largest.
pub const FEWEST: usize = 100;

/// The narrowest that a record's distribution may be, over that of all known non-members.
const NARROWEST: f64 = 0.05;

/// What quantile regression says of each record.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantileScores {
    /// φ on the scale of a standard normal number, given the record's features; higher is more
    /// member-like.
    pub scores: Vec<f64>,
    /// The share of known non-members of the record's fold, counting the record as one of them,
    /// whose scores are as high or higher.
    pub p_values: Vec<f64>,
    /// The predicted quantiles, records × [`LEVELS`], not decreasing along a row.
    pub quantiles: Array2<f64>,
}

/// The score above which a record is a member at a level: φ is above its quantile at that
/// level. `Φ⁻¹(level)`, and only for one of [`LEVELS`] a fitted quantile.
#[must_use]
pub fn threshold(level: f64) -> f64 {
    normal_isf(1.0 - level)
}

/// Scores records by quantile regression.
///
/// `features` is records × features, `scaled_logits` the target's φ of each record, and
/// `known_non_members` says which records are known not to be members. The result depends on
/// the arguments alone; permuting the records permutes it.
///
/// # Errors
/// If the shapes do not fit, there are no features, a feature or φ is not finite, a number of
/// `boosting` makes no sense, or there are not enough known non-members ([`FEWEST`] outside each
/// fold; 150 are enough unless many are copies).
#[expect(
    clippy::needless_pass_by_value,
    reason = "a view is itself a reference, and ndarray passes views by value"
)]
pub fn score(
    features: ArrayView2<f32>,
    scaled_logits: &[f64],
    known_non_members: &[bool],
    boosting: &Boosting,
    seed: u64,
) -> Result<QuantileScores> {
    check(&features, scaled_logits, known_non_members, boosting)?;
    let folds = folds(&features, scaled_logits, seed);
    let members_of = |fold: usize| -> Vec<u32> {
        let rows = 0..folds.len() as u32;
        rows.filter(|&row| folds[row as usize] as usize == fold)
            .collect()
    };
    let scored: Vec<Vec<u32>> = (0..FOLDS).map(members_of).collect();
    let fitted: Vec<Vec<u32>> = (0..FOLDS)
        .map(|fold| {
            let rows = 0..folds.len() as u32;
            rows.filter(|&row| {
                known_non_members[row as usize] && folds[row as usize] as usize != fold
            })
            .collect()
        })
        .collect();
    check_enough(&scored, &fitted, known_non_members)?;

    let binned = Binned::new(&features);
    let predicted: Vec<Vec<f64>> = (0..FOLDS * LEVELS.len())
        .into_par_iter()
        .map(|task| {
            let (fold, level) = (task / LEVELS.len(), LEVELS[task % LEVELS.len()]);
            if scored[fold].is_empty() {
                return Vec::new();
            }
            Forest::fit(&binned, scaled_logits, &fitted[fold], level, boosting)
                .predict(&binned, &scored[fold])
        })
        .collect();

    let mut result = QuantileScores {
        scores: vec![0.0; folds.len()],
        p_values: vec![0.0; folds.len()],
        quantiles: Array2::zeros((folds.len(), LEVELS.len())),
    };
    for fold in 0..FOLDS {
        let map = NormalScale::new(fitted[fold].iter().map(|&row| scaled_logits[row as usize]));
        for (position, &row) in scored[fold].iter().enumerate() {
            let row = row as usize;
            let at = |level: usize| predicted[fold * LEVELS.len() + level][position];
            let mut quantiles: [f64; LEVELS.len()] = std::array::from_fn(at);
            quantiles.sort_unstable_by(f64::total_cmp);
            result.scores[row] = map.score(scaled_logits[row], &quantiles);
            result
                .quantiles
                .row_mut(row)
                .assign(&ndarray::aview1(&quantiles));
        }
        p_values(
            &scored[fold],
            known_non_members,
            &result.scores,
            &mut result.p_values,
        );
    }
    Ok(result)
}

/// From φ and a record's quantiles to the scale of a standard normal number.
struct NormalScale {
    thresholds: [f64; LEVELS.len()],
    /// The least that φ rises by where the score rises by one, beyond the quantiles.
    narrowest: f64,
}

impl NormalScale {
    /// From the φ of the records fitted to.
    fn new(fitted: impl Iterator<Item = f64>) -> Self {
        let thresholds = LEVELS.map(threshold);
        let mut sorted: Vec<f64> = fitted.collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let quantiles = LEVELS.map(|level| quantile(&sorted, level).unwrap_or(0.0));
        Self {
            thresholds,
            narrowest: NARROWEST * mean_width(&quantiles, &thresholds),
        }
    }

    /// `quantiles` do not decrease.
    fn score(&self, logit: f64, quantiles: &[f64; LEVELS.len()]) -> f64 {
        let below = quantiles.partition_point(|&quantile| quantile < logit);
        let last = LEVELS.len() - 1;
        if below == 0 || below > last {
            let width = mean_width(quantiles, &self.thresholds).max(self.narrowest);
            let width = if width > 0.0 { width } else { 1.0 };
            let end = below.min(last);
            let score = self.thresholds[end] + (logit - quantiles[end]) / width;
            return if below == 0 {
                score
            } else {
                // above the quantile is above the threshold, however little
                score.max(self.thresholds[end].next_up())
            };
        }
        let (low, high) = (quantiles[below - 1], quantiles[below]);
        let (from, to) = (self.thresholds[below - 1], self.thresholds[below]);
        let score = from + (logit - low) / (high - low) * (to - from);
        score.clamp(from.next_up(), to)
    }
}

/// What φ rises by, from the lowest to the highest quantile, where the score rises by one.
fn mean_width(quantiles: &[f64; LEVELS.len()], thresholds: &[f64; LEVELS.len()]) -> f64 {
    let last = LEVELS.len() - 1;
    (quantiles[last] - quantiles[0]) / (thresholds[last] - thresholds[0])
}

/// The p-values of the records of a fold, from the scores of its known non-members.
fn p_values(fold: &[u32], known_non_members: &[bool], scores: &[f64], to: &mut [f64]) {
    let known = |row: &&u32| known_non_members[**row as usize];
    let mut null: Vec<f64> = fold
        .iter()
        .filter(known)
        .map(|&r| scores[r as usize])
        .collect();
    null.sort_unstable_by(f64::total_cmp);
    for &row in fold {
        let row = row as usize;
        let as_high = null.len() - null.partition_point(|&score| score < scores[row]);
        // a known non-member is among them already
        let (count, all) = if known_non_members[row] {
            (as_high, null.len())
        } else {
            (as_high + 1, null.len() + 1)
        };
        to[row] = count as f64 / all as f64;
    }
}

/// The fold of each record.
fn folds(features: &ArrayView2<f32>, scaled_logits: &[f64], seed: u64) -> Vec<u8> {
    (0..scaled_logits.len())
        .into_par_iter()
        .map(|row| {
            let mut hasher = blake3::Hasher::new();
            hasher.update(b"folds of quantile regression");
            hasher.update(&seed.to_le_bytes());
            // adding +0 makes -0 and 0 one value
            hasher.update(&(scaled_logits[row] + 0.0).to_le_bytes());
            for value in features.row(row) {
                hasher.update(&(value + 0.0).to_le_bytes());
            }
            let mut first = [0; 8];
            first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
            let hash = u128::from(u64::from_le_bytes(first));
            ((hash * FOLDS as u128) >> 64) as u8
        })
        .collect()
}

fn check(
    features: &ArrayView2<f32>,
    scaled_logits: &[f64],
    known_non_members: &[bool],
    boosting: &Boosting,
) -> Result<()> {
    let (records, columns) = features.dim();
    if (scaled_logits.len(), known_non_members.len()) != (records, records) {
        return Err(Error::usage(format!(
            "quantile regression has features of {records} records, {} scaled logits and {} marks of known non-members; there must be one for each record",
            scaled_logits.len(),
            known_non_members.len()
        ))
        .hint("see whether features are records × features"));
    }
    if columns == 0 || u32::try_from(records).is_err() {
        return Err(Error::usage(format!(
            "quantile regression on {records} records × {columns} features; at least one feature is needed, and at most 4,294,967,295 records"
        ))
        .hint("without features, the attack on a population (Attack-P) does what is left of it"));
    }
    for ((row, column), value) in features.indexed_iter() {
        if !value.is_finite() {
            return Err(
                Error::input(format!("feature {column} of record {row} is {value}"))
                    .hint("features must be finite; fill in missing values first"),
            );
        }
    }
    if let Some(row) = scaled_logits.iter().position(|logit| !logit.is_finite()) {
        return Err(Error::input(format!(
            "the scaled logit of record {row} is {}",
            scaled_logits[row]
        ))
        .hint("scaled logits must be finite; clamp probabilities of 0 and 1 first"));
    }
    if boosting.rounds == 0
        || boosting.smallest_leaf == 0
        || !(boosting.learning_rate > 0.0 && boosting.learning_rate <= 1.0)
    {
        return Err(Error::usage(format!(
            "trees cannot be grown so: {boosting:?}"
        ))
        .hint("rounds and smallest leaf must be at least 1, the learning rate above 0 and at most 1"));
    }
    Ok(())
}

fn check_enough(
    scored: &[Vec<u32>],
    fitted: &[Vec<u32>],
    known_non_members: &[bool],
) -> Result<()> {
    let known = known_non_members.iter().filter(|known| **known).count();
    let needed = scored.iter().zip(fitted);
    let fewest = needed.filter(|(scored, _)| !scored.is_empty());
    let Some(fewest) = fewest.map(|(_, fitted)| fitted.len()).min() else {
        return Ok(());
    };
    if fewest >= FEWEST {
        return Ok(());
    }
    let error = Error::usage(format!(
        "of {known} known non-members only {fewest} are left to fit quantiles to where a fold of records is set aside; quantile regression needs {FEWEST}"
    ));
    Err(if known >= 2 * FEWEST {
        error.hint("many of them are exact copies, which stay together: give others, or features that tell them apart")
    } else {
        error.hint("give more records that the target was not trained on: 150 are enough")
    })
}

#[cfg(test)]
pub(crate) mod tests;
