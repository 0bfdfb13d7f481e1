//! Label only: nothing of how sure the model is (Shokri et al. 2017; its limits in
//! Choquette-Choo et al. 2021).
//!
//! The predicted class gets the probability 0.9 and the others share 0.1 evenly, whatever the
//! input and the model: a confidence fitted to the model would be one more number that it tells.

use ndarray::Array2;

use super::guard::{Asked, Guard, Rule};
use super::row::answered;
use crate::channel::OutputKind;
use crate::defend::{About, Bench, Defence, Guarded, Stage};
use crate::error::Result;
use crate::trainer::Model;

/// The probability of the predicted class, always.
pub const CONFIDENCE: f32 = 0.9;

/// Only the predicted class is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LabelOnly;

impl Defence for LabelOnly {
    fn name(&self) -> String {
        "label-only".to_owned()
    }

    fn about(&self) -> About {
        About {
            title: "label only".to_owned(),
            source: "Shokri et al. 2017",
            what: "Only the predicted class is told, with the same confidence for every input.".to_owned(),
            promise: Some(
                "Attacks on labels stay: a model that is right more often on its training records tells so, \
                 and asking about changed inputs (not tried here) tells how far the boundary is."
                    .to_owned(),
            ),
            stage: Stage::Answers,
            sample_aware: false,
            keeps_labels: true,
            scikit_learn: "answer model.predict(X) and not predict_proba".to_owned(),
            pytorch: "answer z.argmax(1) and not z".to_owned(),
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
}

impl Rule for LabelOnly {
    fn kind(&self) -> OutputKind {
        OutputKind::Probabilities
    }

    fn answers(&self, _model: &dyn Model, asked: &Asked<'_>) -> Result<Array2<f32>> {
        Ok(asked.each(|_, logits, answer| {
            let others = (answer.len().max(2) - 1) as f32;
            answer.fill((1.0 - CONFIDENCE) / others);
            answer[answered(logits)] = CONFIDENCE;
        }))
    }
}
