//! Knowledge distillation: Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network"
//! (2015).
//!
//! A teacher is trained on the rows; the student, which is the model that is kept, learns the
//! teacher's probabilities at temperature T, softmax(z/T), for the same rows. Hinton trains the
//! student at T too and lets it answer at 1. Here the student learns the probabilities themselves,
//! so that above 1 its answers stay softer; at 1 there is no difference.
//!
//! DMP (Shejwalkar and Houmansadr, "Membership privacy for machine learning models through knowledge
//! transfer", AAAI 2021) otherwise: its student learns the teacher's answers for other records than
//! the teacher was trained on, and never sees the training set. That needs records from the same
//! source that need no protection, without labels.

use giveaway_stats::random::derive_seed;

use super::around::{Around, Change, check, each_record, one_hot, soft_label_bytes, softmax};
use crate::dataset::Dataset;
use crate::defend::{About, Bench, Defence, Stage};
use crate::error::Result;
use crate::trainer::{Lesson, Model, Trainer};

/// A student of a teacher.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distillation {
    temperature: f64,
}

impl Distillation {
    /// At this temperature.
    ///
    /// # Errors
    /// If it is not above 0 and finite.
    pub fn new(temperature: f64) -> Result<Self> {
        let good = temperature > 0.0 && temperature <= 1000.0;
        check(
            "distillation",
            "the temperature",
            temperature,
            "above 0 and at most 1000",
            good,
        )?;
        Ok(Self { temperature })
    }
}

struct Taught<'a> {
    dataset: &'a Dataset,
    temperature: f64,
}

impl Change for Taught<'_> {
    fn train<'t>(
        &'t self,
        inner: &'t (dyn Trainer + 't),
        rows: &[u32],
        validation: &[u32],
        seed: u64,
    ) -> Result<Box<dyn Model + 't>> {
        let mut answers = one_hot(self.dataset);
        let mut taught = vec![false; self.dataset.len()];
        for &row in rows {
            taught[row as usize] = true;
        }
        let teacher = inner.train(rows, validation, derive_seed(seed, "teacher", 0))?;
        let mut probabilities = vec![0.0; self.dataset.class_count()];
        each_record(&*teacher, |record, logits| {
            if taught[record] {
                softmax(&logits, self.temperature, &mut probabilities);
                for (to, &p) in answers.row_mut(record).iter_mut().zip(&probabilities) {
                    *to = p as f32;
                }
            }
        })?;
        drop(teacher);
        let lesson = Lesson {
            soft_labels: Some(answers.view()),
            ..Lesson::of(rows, validation)
        };
        inner.learn(&lesson, derive_seed(seed, "student", 0))
    }

    fn memory(&self, _: usize, _: usize, _: usize) -> usize {
        soft_label_bytes(self.dataset).saturating_add(self.dataset.len())
    }
}

impl Defence for Distillation {
    fn name(&self) -> String {
        format!("distillation:{}", self.temperature)
    }

    fn about(&self) -> About {
        About {
            title: format!("Distillation at temperature {}", self.temperature),
            source: "Hinton and others 2015",
            what: "A first model is trained; the one that is kept learns its answers for the same records in place of the labels.".into(),
            promise: Some("Nothing is guaranteed: the teacher knows the records, and the student learns what it says of them. Training takes twice as long.".into()),
            stage: Stage::Training,
            sample_aware: false,
            keeps_labels: false,
            scikit_learn: "p = teacher.predict_proba(X); the student's fit gets each record once for every class, with p as sample_weight (MLPClassifier.fit takes it from scikit-learn 1.7)".into(),
            pytorch: format!("F.cross_entropy(student(x), (teacher(x).detach() / {}).softmax(1))", self.temperature),
        }
    }

    fn trainer<'a>(&'a self, bench: &'a Bench<'a>) -> Result<Option<Box<dyn Trainer + 'a>>> {
        let change = Taught {
            dataset: bench.dataset,
            temperature: self.temperature,
        };
        Ok(Some(Around::plain(bench, change)))
    }
}
