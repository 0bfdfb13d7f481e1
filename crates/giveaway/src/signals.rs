//! Signals: what models' outputs say about each unit.
//!
//! The outputs `[models × records × classes]` stay on disk, one file per model, and are
//! read one after the other; what is kept is loss and scaled logit, `[units × models]`.

use ndarray::Array2;
use rayon::prelude::*;

use crate::channel::{Channel, RecordSignal};
use crate::error::Result;
use crate::membership::Membership;
use crate::units::Units;

/// Loss and scaled logit of every unit on every reference model.
#[derive(Clone, Debug)]
pub struct Signals {
    models: usize,
    loss: Vec<f32>,
    scaled_logit: Vec<f32>,
    accuracies: Vec<Accuracy>,
    cut: Option<f32>,
}

/// Loss and scaled logit of every unit on one model: the target, or a reference model in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSignals {
    /// Mean loss over the unit's records.
    pub loss: Vec<f32>,
    /// Mean scaled logit over the unit's records.
    pub scaled_logit: Vec<f32>,
    /// Share of records classified correctly, by membership.
    pub accuracy: Accuracy,
}

/// Accuracy of one model on its training records and on the others (`None` where there are none).
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
pub struct Accuracy {
    /// On records that it was trained on.
    pub train: Option<f64>,
    /// On records that it was not trained on.
    pub test: Option<f64>,
}

/// Mean, smallest and largest of a figure over models.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Smallest.
    pub smallest: f64,
    /// Largest.
    pub largest: f64,
}

impl Spread {
    /// Of these values; zeros if there is none.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        if values.is_empty() {
            return Self::default();
        }
        Self {
            mean: values.iter().sum::<f64>() / values.len() as f64,
            smallest: values.iter().copied().fold(f64::INFINITY, f64::min),
            largest: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    }
}

impl ModelSignals {
    /// Computes the signals of one model from a function that gives each record's signal.
    #[must_use]
    pub fn new(
        units: &Units,
        is_in: impl Fn(usize) -> Option<bool>,
        mut record_signal: impl FnMut(usize) -> RecordSignal,
    ) -> Self {
        let mut loss = Vec::with_capacity(units.len());
        let mut scaled_logit = Vec::with_capacity(units.len());
        let mut correct = [0usize; 2];
        let mut count = [0usize; 2];
        for unit in 0..units.len() {
            let records = units.records(unit);
            let (mut loss_sum, mut logit_sum) = (0.0, 0.0);
            for &record in records {
                let signal = record_signal(record as usize);
                loss_sum += signal.loss;
                logit_sum += signal.scaled_logit;
                if let Some(member) = is_in(unit) {
                    correct[usize::from(member)] += usize::from(signal.correct);
                    count[usize::from(member)] += 1;
                }
            }
            loss.push((loss_sum / records.len() as f64) as f32);
            scaled_logit.push((logit_sum / records.len() as f64) as f32);
        }
        let share =
            |side: usize| (count[side] > 0).then(|| correct[side] as f64 / count[side] as f64);
        Self {
            loss,
            scaled_logit,
            accuracy: Accuracy {
                train: share(1),
                test: share(0),
            },
        }
    }

    /// The signals of logits `[records × classes]` after the channel.
    #[must_use]
    pub fn of_logits(
        logits: &Array2<f32>,
        labels: &[u32],
        units: &Units,
        channel: Channel,
        is_in: impl Fn(usize) -> Option<bool>,
    ) -> Self {
        let mut scratch = Vec::new();
        let mut row = Vec::new();
        Self::new(units, is_in, |record| {
            row.clear();
            row.extend(logits.row(record).iter().copied());
            channel.signal_of_logits(&row, labels[record] as usize, &mut scratch)
        })
    }
}

/// Models whose outputs are held at a time.
const AT_ONCE: usize = 16;

impl Signals {
    /// Reads every model's outputs through `read` and keeps the signals. The units in
    /// `set_aside` (sorted) do not count for accuracies.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn load(
        membership: &Membership,
        units: &Units,
        labels: &[u32],
        channel: Channel,
        set_aside: &[u32],
        read: impl Fn(usize) -> Result<Array2<f32>> + Sync,
    ) -> Result<Self> {
        let models = membership.models();
        let mut signals = Self {
            models,
            loss: vec![0.0; units.len() * models],
            scaled_logit: vec![0.0; units.len() * models],
            accuracies: Vec::with_capacity(models),
            cut: channel.cut().map(|phi| phi as f32),
        };
        for first in (0..models).step_by(AT_ONCE) {
            let last = models.min(first + AT_ONCE);
            let chunk: Vec<ModelSignals> = (first..last)
                .into_par_iter()
                .map(|model| {
                    let logits = read(model)?;
                    Ok(ModelSignals::of_logits(
                        &logits,
                        labels,
                        units,
                        channel,
                        |unit| {
                            // Neither IN nor OUT: training was stopped by them.
                            let judged = set_aside.binary_search(&(unit as u32)).is_err();
                            judged.then(|| membership.is_in(model, unit))
                        },
                    ))
                })
                .collect::<Result<_>>()?;
            for (model, one) in (first..last).zip(chunk) {
                for unit in 0..units.len() {
                    signals.loss[unit * models + model] = one.loss[unit];
                    signals.scaled_logit[unit * models + model] = one.scaled_logit[unit];
                }
                signals.accuracies.push(one.accuracy);
            }
        }
        Ok(signals)
    }

    /// Signals from arrays `[units × models]`, for signals made elsewhere and for tests.
    ///
    /// # Panics
    /// If the arrays differ in shape.
    #[must_use]
    pub fn from_arrays(loss: &Array2<f32>, scaled_logit: &Array2<f32>) -> Self {
        assert_eq!(loss.dim(), scaled_logit.dim(), "signals of one shape");
        Self {
            models: loss.ncols(),
            loss: loss.iter().copied().collect(),
            scaled_logit: scaled_logit.iter().copied().collect(),
            accuracies: vec![Accuracy::default(); loss.ncols()],
            cut: None,
        }
    }

    /// The same, of outputs whose scaled logits cannot be told apart from this one down.
    #[must_use]
    pub fn cut_at(self, scaled_logit: f32) -> Self {
        Self {
            cut: Some(scaled_logit),
            ..self
        }
    }

    /// The scaled logit from which down the target's interface shows no difference: see
    /// [`Channel::cut`].
    #[must_use]
    pub fn cut(&self) -> Option<f32> {
        self.cut
    }

    /// Number of models.
    #[must_use]
    pub fn models(&self) -> usize {
        self.models
    }

    /// Number of units.
    #[must_use]
    pub fn units(&self) -> usize {
        self.loss.len() / self.models.max(1)
    }

    /// The loss of a unit on every model.
    #[must_use]
    pub fn losses(&self, unit: usize) -> &[f32] {
        &self.loss[unit * self.models..(unit + 1) * self.models]
    }

    /// The scaled logit of a unit on every model.
    #[must_use]
    pub fn scaled_logits(&self, unit: usize) -> &[f32] {
        &self.scaled_logit[unit * self.models..(unit + 1) * self.models]
    }

    /// Train and test accuracy of each model.
    #[must_use]
    pub fn accuracies(&self) -> &[Accuracy] {
        &self.accuracies
    }

    /// The signals of one model, as those of a target.
    #[must_use]
    pub fn of_model(&self, model: usize) -> ModelSignals {
        let column = |values: &[f32]| {
            (0..self.units())
                .map(|unit| values[unit * self.models + model])
                .collect()
        };
        ModelSignals {
            loss: column(&self.loss),
            scaled_logit: column(&self.scaled_logit),
            accuracy: self.accuracies[model],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::Design;
    use ndarray::array;

    #[test]
    fn a_unit_s_signal_is_the_mean_over_its_records() {
        let units = Units::from_sets(3, &[vec![0, 2]]).unwrap();
        let membership = Membership::draw(Design::Halves, 2, 2, &[0, 1], 0, 5).unwrap();
        let logits = array![[2.0f32, 0.0], [0.0, 1.0], [0.0, 3.0]];
        let labels = [0u32, 0, 0];
        let channel = Channel::default();
        let signals = Signals::load(&membership, &units, &labels, channel, &[], |_| {
            Ok(logits.clone())
        })
        .unwrap();
        let loss = |z: &[f32]| channel.signal(z, 0).loss;
        let expected = f64::midpoint(loss(&[2.0, 0.0]), loss(&[0.0, 3.0]));
        assert!((f64::from(signals.losses(0)[1]) - expected).abs() < 1e-6);
        assert!((f64::from(signals.scaled_logits(0)[0]) + 0.5).abs() < 1e-6);
        assert!((f64::from(signals.scaled_logits(1)[0]) + 1.0).abs() < 1e-6);
        // unit 0 has one record right of two, unit 1 none of one
        let accuracy = signals.accuracies()[0];
        let expected = if membership.is_in(0, 0) {
            (0.5, 0.0)
        } else {
            (0.0, 0.5)
        };
        assert_eq!(
            (accuracy.train, accuracy.test),
            (Some(expected.0), Some(expected.1))
        );
        assert_eq!(
            signals.of_model(1).loss,
            [signals.losses(0)[1], signals.losses(1)[1]]
        );
    }
}
