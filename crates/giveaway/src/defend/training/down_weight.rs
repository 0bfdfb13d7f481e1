//! Less weight for exposed records: their loss is multiplied by w, the mean is still taken over the
//! number of records. Weights below 1 for outliers are as old as robust regression (Huber 1964);
//! here they go by exposure (design after Khalil and others 2025).

use super::around::{Around, Change, any, check, need_exposed};
use crate::defend::{About, Bench, Defence, Stage};
use crate::error::Result;
use crate::trainer::{Lesson, Model, Trainer};

/// Multiplies the losses of the exposed records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DownWeight {
    weight: f32,
}

impl DownWeight {
    /// By this factor.
    ///
    /// # Errors
    /// If it is not at least 0 and below 1.
    pub fn new(weight: f32) -> Result<Self> {
        let good = (0.0..1.0).contains(&weight);
        check(
            "down-weight",
            "the weight",
            weight,
            "at least 0 and below 1",
            good,
        )?;
        Ok(Self { weight })
    }
}

struct Weighted<'a> {
    exposed: &'a [bool],
    weight: f32,
}

impl Change for Weighted<'_> {
    fn train<'t>(
        &'t self,
        inner: &'t (dyn Trainer + 't),
        rows: &[u32],
        validation: &[u32],
        seed: u64,
    ) -> Result<Box<dyn Model + 't>> {
        if !any(rows, self.exposed) {
            return inner.train(rows, validation, seed);
        }
        let mut weights: Vec<f32> = self
            .exposed
            .iter()
            .map(|&exposed| if exposed { self.weight } else { 1.0 })
            .collect();
        for &row in validation {
            weights[row as usize] = 1.0;
        }
        let lesson = Lesson {
            weights: Some(&weights),
            ..Lesson::of(rows, validation)
        };
        inner.learn(&lesson, seed)
    }

    fn memory(&self, _: usize, _: usize, _: usize) -> usize {
        2 * self.exposed.len() * size_of::<f32>()
    }
}

impl Defence for DownWeight {
    fn name(&self) -> String {
        format!("down-weight:{}", self.weight)
    }

    fn about(&self) -> About {
        About {
            title: format!("Exposed records with weight {}", self.weight),
            source: "after Khalil and others 2025; weights as Huber 1964",
            what: format!("The losses of the exposed records are multiplied by {}.", self.weight),
            promise: Some("Nothing is guaranteed: a model that fits its records closely fits one of small weight too.".into()),
            stage: Stage::Training,
            sample_aware: true,
            keeps_labels: false,
            scikit_learn: format!("model.fit(X, y, sample_weight=numpy.where(ids.isin(pandas.read_csv('drop.csv', dtype={{'id': str}}).id), {}, 1.0)); MLPClassifier takes sample_weight from scikit-learn 1.7", self.weight),
            pytorch: "(weight[batch] * F.cross_entropy(logits, y, reduction='none')).mean()".into(),
        }
    }

    fn trainer<'a>(&'a self, bench: &'a Bench<'a>) -> Result<Option<Box<dyn Trainer + 'a>>> {
        need_exposed(bench, "weigh down")?;
        let change = Weighted {
            exposed: bench.exposed,
            weight: self.weight,
        };
        Ok(Some(Around::plain(bench, change)))
    }
}
