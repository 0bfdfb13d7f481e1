//! HAMP as a whole (Chen and Pattabiraman, NDSS 2024): models that learn soft labels of high
//! entropy, and answers of random inputs in the order of the model's own. The two parts are
//! defences of their own; the paper means them together.

use super::answers::HampOutput;
use super::training::HampTraining;
use super::{About, Bench, Defence, Guarded, Stage};
use crate::error::Result;
use crate::trainer::{Model, Trainer};

/// Both parts of HAMP.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hamp {
    training: HampTraining,
}

impl Hamp {
    /// As [`HampTraining::new`].
    ///
    /// # Errors
    /// As there.
    pub fn new(entropy: f64, reward: f32) -> Result<Self> {
        Ok(Self {
            training: HampTraining::new(entropy, reward)?,
        })
    }
}

impl Defence for Hamp {
    fn name(&self) -> String {
        self.training.name().replacen("hamp-training", "hamp", 1)
    }

    fn about(&self) -> About {
        let (training, answers) = (self.training.about(), HampOutput.about());
        let both = |a: &str, b: &str| format!("{a}. Then, for the answers: {b}");
        About {
            title: training.title.replacen("HAMP, training only", "HAMP", 1),
            what: format!("{} {}", training.what, answers.what),
            promise: answers.promise,
            stage: Stage::Both,
            keeps_labels: training.keeps_labels && answers.keeps_labels,
            scikit_learn: both(&training.scikit_learn, &answers.scikit_learn),
            pytorch: both(&training.pytorch, &answers.pytorch),
            ..training
        }
    }

    fn trainer<'a>(&'a self, bench: &'a Bench<'a>) -> Result<Option<Box<dyn Trainer + 'a>>> {
        self.training.trainer(bench)
    }

    fn guard<'a>(
        &'a self,
        bench: &'a Bench<'a>,
        rows: &[u32],
        model: Box<dyn Model + 'a>,
        seed: u64,
    ) -> Result<Box<dyn Guarded + 'a>> {
        HampOutput.guard(bench, rows, model, seed)
    }
}
