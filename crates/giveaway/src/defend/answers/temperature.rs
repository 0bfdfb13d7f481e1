//! Temperature: logits are divided by T before the softmax (Shokri et al. 2017, section VIII).
//!
//! `z' = z / T`. Softer probabilities show less of how sure the model is, but the order of all
//! inputs by any one margin stays, and who knows T multiplies it back: [`Defence::undo`] does.

use ndarray::{Array2, ArrayView2};

use super::guard::{Asked, Guard, Rule};
use super::row::{answered, keep_label};
use crate::channel::OutputKind;
use crate::defend::{About, Bench, Defence, Fitted, Guarded, Stage};
use crate::error::{Error, Result};
use crate::trainer::Model;

/// Logits divided by a temperature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Temperature {
    temperature: f64,
}

impl Default for Temperature {
    /// A temperature of 4.
    fn default() -> Self {
        Self { temperature: 4.0 }
    }
}

impl Temperature {
    /// A temperature above 1 makes answers softer.
    ///
    /// # Errors
    /// If it is not from 0.1 to 1000.
    pub fn new(temperature: f64) -> Result<Self> {
        if !(0.1..=1000.0).contains(&temperature) {
            return Err(Error::usage(format!("the temperature is {temperature}"))
                .hint("give a number from 0.1 to 1000; above 1 answers become softer"));
        }
        Ok(Self { temperature })
    }
}

impl Defence for Temperature {
    fn name(&self) -> String {
        format!("temperature:{}", self.temperature)
    }

    fn about(&self) -> About {
        let t = self.temperature;
        About {
            title: format!("temperature {t}"),
            source: "Shokri et al. 2017",
            what: format!("Logits are divided by {t}, so that probabilities are softer."),
            promise: Some(
                "It protects from nobody who knows the temperature: multiplying by it gives the logits back."
                    .to_owned(),
            ),
            stage: Stage::Answers,
            sample_aware: false,
            keeps_labels: true,
            scikit_learn: format!(
                "p = model.predict_proba(X) ** (1 / {t}); p /= p.sum(1, keepdims=True)"
            ),
            pytorch: format!("softmax(z / {t}, dim=1) in place of softmax(z, dim=1)"),
        }
    }

    fn guard<'a>(
        &'a self,
        bench: &'a Bench<'a>,
        _rows: &[u32],
        model: Box<dyn Model + 'a>,
        _seed: u64,
    ) -> Result<Box<dyn Guarded + 'a>> {
        Ok(Guard::boxed(model, bench.dataset, *self))
    }

    fn undo(&self, answers: ArrayView2<f32>, _others: &[&Fitted]) -> Result<Option<Array2<f32>>> {
        Ok(Some(
            answers.mapv(|z| (f64::from(z) * self.temperature) as f32),
        ))
    }
}

impl Rule for Temperature {
    fn kind(&self) -> OutputKind {
        OutputKind::Logits
    }

    fn answers(&self, _model: &dyn Model, asked: &Asked<'_>) -> Result<Array2<f32>> {
        Ok(asked.each(|_, logits, answer| {
            for (answer, &z) in answer.iter_mut().zip(logits) {
                *answer = (f64::from(z) / self.temperature) as f32;
            }
            // neighbours may have become equal
            keep_label(answer, answered(logits));
        }))
    }
}
