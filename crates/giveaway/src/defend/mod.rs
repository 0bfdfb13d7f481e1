//! Defences: wrappers around a trainer, which change training, or around a trained model, which
//! change its answers. A re-audit is then the same audit through the wrapper.
//!
//! Each defence is one file with its source.

pub mod answers;
pub mod hamp;
pub mod registry;
pub mod training;

use std::fmt;
use std::io;

use ndarray::{Array2, ArrayView2};

use crate::channel::OutputKind;
use crate::dataset::Dataset;
use crate::error::Result;
use crate::trainer::{Model, Sink, Trainer};
use crate::units::Units;

/// What a defence may go by, the same for every model that is trained through it.
#[derive(Clone, Copy)]
pub struct Bench<'a> {
    /// All records.
    pub dataset: &'a Dataset,
    /// Which of them belong together.
    pub units: &'a Units,
    /// How models are trained without a defence.
    pub trainer: &'a dyn Trainer,
    /// Records in the smallest training set that is met.
    pub training_records: usize,
    /// Records that are to be protected, `[records]`: those that an audit, or a cheap measure,
    /// has found exposed. Never chosen by the models that the defence is judged by.
    pub exposed: &'a [bool],
    /// For records that are to be protected and whose label the reference models that were not
    /// trained on them agree to be another: that other class.
    pub suspects: &'a [Option<u32>],
    /// Records that no figure is taken from, `[records]`: defences may set those of a training
    /// set aside for validation, and those outside it serve as known non-members.
    pub held: &'a [bool],
    /// The seed of what a defence draws once and not for each model.
    pub seed: u64,
}

/// When a defence acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It changes the training set or the training: a model must be trained anew.
    Training,
    /// It changes the answers of a model that is trained as before.
    Answers,
    /// Both.
    Both,
}

/// What is said of a defence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// A title of a few words, with its settings: `L2 penalty 0.005`.
    pub title: String,
    /// Where it comes from: author and year.
    pub source: &'static str,
    /// What it does, in a sentence.
    pub what: String,
    /// What it promises and what it does not, where something is to be said.
    pub promise: Option<String>,
    /// When it acts.
    pub stage: Stage,
    /// Whether it treats the records that are to be protected, or outlying inputs, otherwise than
    /// the rest.
    pub sample_aware: bool,
    /// Whether the answered class is always the one that the model would have answered.
    pub keeps_labels: bool,
    /// How to do it with scikit-learn, in words or a line of code.
    pub scikit_learn: String,
    /// How to do it with PyTorch.
    pub pytorch: String,
}

/// A defence with its settings.
pub trait Defence: fmt::Debug + Send + Sync {
    /// The name with its settings, which [`registry::parse`] reads: `l2:0.005`.
    /// [`registry::file_name`] makes one for files of it.
    fn name(&self) -> String;

    /// What is said of it.
    fn about(&self) -> About;

    /// The trainer through which models are trained; nothing where training stays as it is.
    ///
    /// # Errors
    /// If the defence cannot be made here; the message says why.
    fn trainer<'a>(&'a self, bench: &'a Bench<'a>) -> Result<Option<Box<dyn Trainer + 'a>>> {
        let _ = bench;
        Ok(None)
    }

    /// The model behind the defence. `rows` are the records it was trained on, before any
    /// defence; what the defence draws for it follows from `seed`.
    ///
    /// # Errors
    /// If the defence cannot be made here, or a model cannot be asked.
    fn guard<'a>(
        &'a self,
        bench: &'a Bench<'a>,
        rows: &[u32],
        model: Box<dyn Model + 'a>,
        seed: u64,
    ) -> Result<Box<dyn Guarded + 'a>> {
        let _ = (bench, rows, seed);
        Ok(unguarded(model))
    }

    /// A table that a user needs to put the defence before a model of their own, from what was
    /// fitted to it; nothing where none is needed.
    ///
    /// # Errors
    /// If what was fitted is not of this defence.
    fn table(&self, fitted: &Fitted, classes: &[String]) -> Result<Option<Table>> {
        let _ = (fitted, classes);
        Ok(None)
    }

    /// What an attacker who knows of the defence makes of its answers: the model's own logits,
    /// as well as they can be guessed, `answers` being a row for each record of the data set. What the attacker knows of the settings
    /// that were fitted to the model is what `others`, reference models behind the same
    /// defence, have. Nothing where there is no such attack.
    ///
    /// # Errors
    /// If the answers or what is known do not fit the defence.
    fn undo(&self, answers: ArrayView2<f32>, others: &[&Fitted]) -> Result<Option<Array2<f32>>> {
        let _ = (answers, others);
        Ok(None)
    }
}

/// A table that goes with a defence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// A name for its file.
    pub file: &'static str,
    /// What is in it and how to use it.
    pub what: &'static str,
    /// Its text.
    pub text: String,
}

/// What a defence of answers has fitted to one model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fitted {
    /// Numbers, such as the mean logits of each class, classes × classes.
    pub numbers: Array2<f32>,
    /// Which records of the data set are treated otherwise than the rest, where some are.
    pub flags: Vec<bool>,
}

/// A model behind a defence: what a service would answer.
pub trait Guarded: Send + Sync {
    /// What the answers are.
    fn kind(&self) -> OutputKind;

    /// Hands out the answers for every record of the data set: logits, or probabilities that
    /// sum to 1, `classes` for each.
    ///
    /// # Errors
    /// The first error of `sink`, which then is not called again.
    fn each_answer(&self, sink: Sink) -> io::Result<()>;

    /// The answers for inputs that need not be records of the data set.
    ///
    /// # Errors
    /// If the inputs have another number of features, or one that is not finite.
    fn answer(&self, inputs: ArrayView2<f32>) -> Result<Array2<f32>>;

    /// What was fitted to the model, where something was.
    fn fitted(&self) -> Option<&Fitted> {
        None
    }

    /// The model itself.
    fn model(&self) -> &dyn Model;
}

/// A model whose answers are not defended.
#[must_use]
pub fn unguarded<'a>(model: Box<dyn Model + 'a>) -> Box<dyn Guarded + 'a> {
    Box::new(Plain(model))
}

/// A model without a defence of its answers.
struct Plain<'a>(Box<dyn Model + 'a>);

impl Guarded for Plain<'_> {
    fn kind(&self) -> OutputKind {
        OutputKind::Logits
    }

    fn each_answer(&self, sink: Sink) -> io::Result<()> {
        self.0.each_logits(sink)
    }

    fn answer(&self, inputs: ArrayView2<f32>) -> Result<Array2<f32>> {
        self.0.answer(inputs)
    }

    fn model(&self) -> &dyn Model {
        &*self.0
    }
}
