//! How far answers depend on whether a unit was trained on, by our own models.

use ndarray::Array2;
use rayon::prelude::*;

use super::space::Query;
use crate::channel::Channel;
use crate::error::{Error, Result};
use crate::trainer::Model;

/// Models that were trained on a unit and models that were not.
///
/// Paired: the i-th of one kind is the i-th of the other, trained again from the same seed on
/// the same records in the same order, but with the unit in the place of another one. Else the
/// two are of the balanced design, independent of each other.
pub struct Contrast<'a> {
    /// IN models.
    pub inside: Vec<&'a dyn Model>,
    /// OUT models.
    pub outside: Vec<&'a dyn Model>,
    /// Whether they are paired.
    pub paired: bool,
    /// What the target's interface does to outputs; theirs go through it as well.
    pub channel: Channel,
}

/// Scaled logits of queries, models × queries.
#[derive(Clone, Debug)]
pub struct Answers {
    /// Of IN models.
    pub inside: Array2<f64>,
    /// Of OUT models.
    pub outside: Array2<f64>,
    paired: bool,
}

/// How one query tells IN from OUT models.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effect {
    /// Mean scaled logit of IN models less that of OUT models: δ of methods, section 1.4, with
    /// the sign of "IN is higher".
    pub difference: f64,
    /// Standard error of the difference.
    pub error: f64,
    /// Standard deviation within IN and within OUT models: what the test has as noise.
    pub spread: f64,
    /// Degrees of freedom of the error: of the paired differences, or Welch's and
    /// Satterthwaite's.
    pub freedom: f64,
}

impl Effect {
    /// The difference in standard deviations within the two kinds; 0 where models do not differ.
    #[must_use]
    pub fn size(self) -> f64 {
        if self.spread > 0.0 {
            self.difference / self.spread
        } else {
            0.0
        }
    }

    /// The t statistic of the difference.
    #[must_use]
    pub fn t(self) -> f64 {
        if self.error > 0.0 {
            self.difference / self.error
        } else {
            0.0
        }
    }

    /// What queries are ranked by: how large the effect is, less one standard error, so that
    /// the best of thousands is not the luckiest.
    #[must_use]
    pub fn score(self) -> f64 {
        if self.spread > 0.0 {
            (self.difference.abs() - self.error) / self.spread
        } else {
            0.0
        }
    }
}

impl Contrast<'_> {
    /// Asks all models all queries.
    ///
    /// # Errors
    /// If a model cannot answer.
    pub fn answers(&self, queries: &[Query], labels: &[u32]) -> Result<Answers> {
        let inputs = matrix(queries)?;
        let ask = |models: &[&dyn Model]| -> Result<Array2<f64>> {
            let rows: Vec<Vec<f64>> = models
                .par_iter()
                .map(|model| {
                    let logits = model.answer(inputs.view())?;
                    Ok(scaled_logits(self.channel, &logits, labels))
                })
                .collect::<Result<_>>()?;
            Array2::from_shape_vec((rows.len(), queries.len()), rows.concat())
                .map_err(|e| Error::unexpected(format!("cannot lay out the answers: {e}")))
        };
        Ok(Answers {
            inside: ask(&self.inside)?,
            outside: ask(&self.outside)?,
            paired: self.paired,
        })
    }
}

impl Answers {
    /// From scaled logits, models × queries.
    #[cfg(test)]
    pub(super) fn new(inside: Array2<f64>, outside: Array2<f64>, paired: bool) -> Self {
        Self {
            inside,
            outside,
            paired,
        }
    }

    /// What a query does, by its number.
    #[must_use]
    pub fn effect(&self, query: usize) -> Effect {
        let inside = self.inside.column(query).to_vec();
        let outside = self.outside.column(query).to_vec();
        let (mean_in, variance_in) = moments(&inside);
        let (mean_out, variance_out) = moments(&outside);
        // Of both kinds: queries are picked for a small spread, and the larger the number of
        // models behind it, the less it is small by luck.
        let freedom = |n: usize| n.saturating_sub(1) as f64;
        let (n, m) = (freedom(inside.len()), freedom(outside.len()));
        let spread = (n * variance_in + m * variance_out) / (n + m).max(1.0);
        let (squared_error, degrees) = if self.paired {
            let differences: Vec<f64> = inside.iter().zip(&outside).map(|(a, b)| a - b).collect();
            let count = differences.len();
            (moments(&differences).1 / count as f64, freedom(count))
        } else {
            let a = variance_in / inside.len() as f64;
            let b = variance_out / outside.len() as f64;
            let welch = (a + b).powi(2) / (a * a / n + b * b / m);
            (a + b, if welch.is_finite() { welch } else { n + m })
        };
        Effect {
            difference: mean_in - mean_out,
            error: squared_error.sqrt(),
            spread: spread.sqrt(),
            freedom: degrees,
        }
    }

    /// What every query does.
    #[must_use]
    pub fn effects(&self) -> Vec<Effect> {
        (0..self.outside.ncols()).map(|q| self.effect(q)).collect()
    }
}

/// Mean and variance (divisor n − 1; 0 for fewer than two).
fn moments(values: &[f64]) -> (f64, f64) {
    // Of equal values the mean is one of them; a sum divided is not quite, and the rounding
    // would pass for a spread.
    if let Some(first) = values.first()
        && values.iter().all(|x| x.to_bits() == first.to_bits())
    {
        return (*first, 0.0);
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count.max(1.0);
    let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
    let variance = if values.len() > 1 {
        squares / (count - 1.0)
    } else {
        0.0
    };
    (mean, variance)
}

/// Scaled logits of a model's answers after the channel, for the label of each query.
#[must_use]
pub fn scaled_logits(channel: Channel, logits: &Array2<f32>, labels: &[u32]) -> Vec<f64> {
    let mut scratch = Vec::new();
    logits
        .outer_iter()
        .zip(labels)
        .map(|(row, &label)| {
            let row = row.to_vec();
            channel
                .signal_of_logits(&row, label as usize, &mut scratch)
                .scaled_logit
        })
        .collect()
}

/// The features of queries, one row each.
///
/// # Errors
/// If they differ in length.
pub fn matrix(queries: &[Query]) -> Result<Array2<f32>> {
    let width = queries.first().map_or(0, |query| query.features.len());
    let values: Vec<f32> = queries
        .iter()
        .flat_map(|query| query.features.iter().copied())
        .collect();
    Array2::from_shape_vec((queries.len(), width), values)
        .map_err(|e| Error::unexpected(format!("cannot lay out the queries: {e}")))
}
