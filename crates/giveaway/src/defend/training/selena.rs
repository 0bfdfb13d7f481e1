//! SELENA: Tang, Mahloujifar, Song, Shejwalkar, Nasr, Houmansadr and Mittal, "Mitigating membership
//! inference attacks by self-distillation through a novel ensemble architecture" (USENIX Security
//! 2022).
//!
//! K sub-models are trained, and every record is left out of L of them. A training record is
//! answered by the mean probabilities of the L that never saw it. A last model, which is the one
//! that is kept, learns these answers as soft labels of the training records. So a member's answer
//! is like that of a record that was never seen. Here records that belong together are left out
//! together.

use giveaway_stats::random::{Stream, derive_seed};
use ndarray::Array2;

use super::around::{Around, Change, check, each_record, one_hot, soft_label_bytes, softmax};
use crate::defend::{About, Bench, Defence, Stage};
use crate::error::{Error, Result};
use crate::trainer::{Lesson, Model, Trainer};

/// Distillation of models that never saw what they answer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selena {
    models: usize,
    left_out: usize,
}

impl Selena {
    /// With `models` sub-models (K), each record being left out of `left_out` (L) of them. The
    /// authors take 25 and 10.
    ///
    /// # Errors
    /// If L is 0 or not below K, or K above 64.
    pub fn new(models: usize, left_out: usize) -> Result<Self> {
        check(
            "selena",
            "the number of models",
            models,
            "from 2 to 64",
            (2..=64).contains(&models),
        )?;
        let good = left_out > 0 && left_out < models;
        let must = "at least 1 and below the number of models";
        check(
            "selena",
            "the number of models that leave out a record",
            left_out,
            must,
            good,
        )?;
        Ok(Self { models, left_out })
    }

    /// For every unit, the sub-models that do not see it, as bits; 0 for units not among the
    /// rows.
    fn assignment(self, bench: &Bench, rows: &[u32], seed: u64) -> Vec<u64> {
        let mut units: Vec<usize> = rows
            .iter()
            .map(|&row| bench.units.of_record(row as usize))
            .collect();
        units.sort_unstable();
        units.dedup();
        let mut stream = Stream::new(seed, "selena assignment", 0);
        let mut order: Vec<usize> = (0..self.models).collect();
        let mut assignment = vec![0; bench.units.len()];
        for unit in units {
            stream.shuffle(&mut order);
            assignment[unit] = order[..self.left_out]
                .iter()
                .map(|&model| 1u64 << model)
                .sum();
        }
        assignment
    }
}

struct Split<'a> {
    selena: Selena,
    bench: &'a Bench<'a>,
}

impl Split<'_> {
    /// The answers that are distilled: of training records, of those models that never saw them.
    fn answers(
        &self,
        inner: &dyn Trainer,
        rows: &[u32],
        validation: &[u32],
        seed: u64,
    ) -> Result<Array2<f32>> {
        let Bench { dataset, units, .. } = *self.bench;
        let assignment = self.selena.assignment(self.bench, rows, seed);
        let mut trained_on = vec![false; dataset.len()];
        let mut answers = one_hot(dataset);
        for &row in rows {
            trained_on[row as usize] = true;
            answers.row_mut(row as usize).fill(0.0);
        }
        let share = 1.0 / self.selena.left_out as f64;
        let mut probabilities = vec![0.0; dataset.class_count()];
        for model in 0..self.selena.models {
            let left_out = |record: usize| assignment[units.of_record(record)] >> model & 1 == 1;
            let seen: Vec<u32> = rows
                .iter()
                .copied()
                .filter(|&row| !left_out(row as usize))
                .collect();
            if seen.is_empty() {
                return Err(Error::usage(format!(
                    "selena: a sub-model would have no records to train on; {} rows are too few for it",
                    rows.len()
                ))
                .hint("choose another defence"));
            }
            let seed = derive_seed(seed, "selena sub-model", model as u64);
            let sub_model = inner.train(&seen, validation, seed)?;
            each_record(&*sub_model, |record, logits| {
                if trained_on[record] && left_out(record) {
                    softmax(&logits, 1.0, &mut probabilities);
                    let mut sum = answers.row_mut(record);
                    for (sum, p) in sum.iter_mut().zip(&probabilities) {
                        *sum += (p * share) as f32;
                    }
                }
            })?;
        }
        Ok(answers)
    }
}

impl Change for Split<'_> {
    fn train<'t>(
        &'t self,
        inner: &'t (dyn Trainer + 't),
        rows: &[u32],
        validation: &[u32],
        seed: u64,
    ) -> Result<Box<dyn Model + 't>> {
        let answers = self.answers(inner, rows, validation, seed)?;
        let lesson = Lesson {
            soft_labels: Some(answers.view()),
            ..Lesson::of(rows, validation)
        };
        inner.learn(&lesson, derive_seed(seed, "selena distillation", 0))
    }

    fn memory(&self, _: usize, records: usize, _: usize) -> usize {
        // sub-models are trained one after another, and are gone when the last is
        soft_label_bytes(self.bench.dataset)
            .saturating_add(self.bench.units.len() * size_of::<u64>())
            .saturating_add(self.bench.dataset.len())
            .saturating_add(records * (size_of::<u32>() + size_of::<usize>()))
    }
}

impl Defence for Selena {
    fn name(&self) -> String {
        format!("selena:{},{}", self.models, self.left_out)
    }

    fn about(&self) -> About {
        About {
            title: format!("SELENA, {} models, {} without each record", self.models, self.left_out),
            source: "Tang and others 2022",
            what: format!(
                "{} models are trained, each record left out of {}; the model that is kept learns what those that never saw a record answer for it.",
                self.models, self.left_out
            ),
            promise: Some(format!("Nothing is guaranteed: the model that is kept still sees every record, if not its label, and what others learnt of it may leak through theirs. Training takes about {} times as long.", 1 + self.models - self.left_out)),
            stage: Stage::Training,
            sample_aware: false,
            keeps_labels: false,
            scikit_learn: "train the models with fit on subsets; average their predict_proba for the records each left out; the last fit gets each record once for every class, with the mean probability as sample_weight (MLPClassifier.fit takes it from scikit-learn 1.7)".into(),
            pytorch: "train the models on torch.utils.data.Subset; soft = mean of softmax(1) of those that left a record out; the last model is trained with F.cross_entropy(logits, soft)".into(),
        }
    }

    fn trainer<'a>(&'a self, bench: &'a Bench<'a>) -> Result<Option<Box<dyn Trainer + 'a>>> {
        let change = Split {
            selena: *self,
            bench,
        };
        Ok(Some(Around::plain(bench, change)))
    }
}
