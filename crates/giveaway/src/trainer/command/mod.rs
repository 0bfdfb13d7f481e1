//! Models that a command of the user trains: scikit-learn, `LightGBM`, `PyTorch` or anything else
//! that reads and writes files. The protocol is in docs/command-trainer.md.
//!
//! ```text
//! python train.py --train FILE --predict FILE --seed N --output FILE [--validation FILE] [--model PATH]
//! python train.py --model PATH --predict FILE --output FILE
//! ```

mod saved;
mod settings;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use ndarray::{Array2, ArrayView2};

use super::{Lesson, Model, Sink, Trainer};
use crate::channel::PROBABILITY_RESOLUTION;
use crate::dataset::{Dataset, Decoding, Encoding, Table, joined};
use crate::error::{Error, ErrorKind, Result};
use crate::process::exchange::{
    ClassNames, OutputScale, RecordForm, encoded, raw, read_outputs, write, write_table,
};
use crate::process::{
    CommandLine, Folder, Job, Scratch, Secrets, Siblings, keep_for_a_look, option, run_in,
};
use crate::report::records::Values;
use crate::target::QuestionColumn;
use crate::target::questions::columns_of;

pub use settings::CommandSettings;

/// The column of the weights, where a command takes them.
const WEIGHT: &str = "giveaway_weight";

/// Trains models by calling a command, once for each: as many at the same time as there are
/// calls of [`Trainer::train`].
///
/// A command that uses its seed for everything random gives the same model for the same seed. It
/// is not called twice to see that; where a model is trained again, the audit compares.
#[derive(Debug)]
pub struct CommandTrainer<'a> {
    settings: CommandSettings,
    line: CommandLine,
    timeout: Option<Duration>,
    dataset: &'a Dataset,
    /// The original columns of all records, where the command takes these.
    columns: Vec<QuestionColumn>,
    /// Original values of encoded inputs, where the command takes these and can be asked again.
    decoding: Option<Decoding<'a>>,
    label: String,
    classes: ClassNames,
    secrets: Secrets,
    parent: Option<PathBuf>,
    shared: Mutex<Option<Arc<Shared>>>,
    siblings: Siblings,
    work: Mutex<Work>,
    nanoseconds: AtomicU64,
}

/// What all models of a run share.
#[derive(Debug)]
struct Shared {
    scratch: Arc<Scratch>,
    /// The records to predict: all, in order.
    predict: PathBuf,
}

/// The calls in hand, and why they fail.
#[derive(Debug, Default)]
struct Work {
    in_hand: usize,
    failure: Option<Failure>,
}

/// An error that several calls report: the first that failed is why the others were stopped.
#[derive(Clone, Debug)]
struct Failure {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
}

impl<'a> CommandTrainer<'a> {
    /// A trainer on all records of a data set: those of the tables, one table after another, as
    /// the encoding made them numbers.
    ///
    /// # Errors
    /// If the command line cannot be understood, or records and tables do not belong together.
    pub fn new(
        settings: &CommandSettings,
        tables: &[&'a Table],
        dataset: &'a Dataset,
        encoding: &'a Encoding,
    ) -> Result<Self> {
        let line = settings.line()?;
        let timeout = settings.time_limit()?;
        let (mut columns, mut decoding) = (Vec::new(), None);
        if settings.records == RecordForm::Raw {
            let table = joined(tables)?;
            columns = columns_of(&table.body);
            if settings.saves_model {
                decoding = Some(Decoding::new(table, dataset, encoding)?);
            }
        }
        let trainer = Self {
            settings: settings.clone(),
            line,
            timeout,
            dataset,
            columns,
            decoding,
            label: String::new(),
            classes: ClassNames::of(&dataset.schema.classes),
            secrets: Secrets::default(),
            parent: None,
            shared: Mutex::new(None),
            siblings: Siblings::default(),
            work: Mutex::new(Work::default()),
            nanoseconds: AtomicU64::new(0),
        };
        trainer.label("label")
    }

    /// With this name for the column of the class; "label" otherwise.
    ///
    /// # Errors
    /// If a feature or the weights are called so.
    pub fn label(mut self, name: &str) -> Result<Self> {
        name.clone_into(&mut self.label);
        let features = self.feature_names();
        let taken = |name: &String| features.contains(name);
        let mut own = vec![self.label.clone()];
        if self.settings.takes_weights {
            own.push(WEIGHT.to_owned());
        }
        match own.iter().find(|name| taken(name)) {
            Some(name) => Err(Error::usage(format!(
                "a feature is called `{name}`, as another column of the training file has to be"
            ))
            .hint("rename the column of the data")),
            None => Ok(self),
        }
    }

    /// With these secrets kept from the command.
    #[must_use]
    pub fn secrets(mut self, secrets: Secrets) -> Self {
        self.secrets = secrets;
        self
    }

    /// With the command's files in a folder within this one, rather than where the system keeps
    /// temporary files.
    #[must_use]
    pub fn scratch(mut self, parent: &Path) -> Self {
        self.parent = Some(parent.to_owned());
        self
    }

    /// The time that all calls took so far, one after another: with `n` calls side by side, `n`
    /// seconds each second.
    #[must_use]
    pub fn time_in_command(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed))
    }

    fn feature_names(&self) -> Vec<String> {
        match self.settings.records {
            RecordForm::Raw => self.columns.iter().map(|c| c.name.clone()).collect(),
            RecordForm::Encoded => (0..self.dataset.features.ncols())
                .map(|index| format!("f{index}"))
                .collect(),
        }
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        // Nothing panics while holding it.
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder of this run, with the records to predict: made and written once.
    fn shared(&self) -> Result<Arc<Shared>> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = &*shared {
            return Ok(Arc::clone(shared));
        }
        let scratch = Arc::new(Scratch::new(self.parent.as_deref())?);
        let predict = scratch.path().join("predict.parquet");
        write_table(&predict, &self.features(None, None))?;
        write(&scratch.path().join("classes.json"), &self.classes.json()?)?;
        let made = Arc::new(Shared { scratch, predict });
        *shared = Some(Arc::clone(&made));
        Ok(made)
    }

    /// The features of these records, or of all.
    fn features(
        &self,
        rows: Option<&[u32]>,
        added: Option<ArrayView2<f32>>,
    ) -> Vec<(String, Values)> {
        match self.settings.records {
            RecordForm::Raw => raw(&self.columns, rows),
            RecordForm::Encoded => encoded(self.dataset.features.view(), rows, added),
        }
    }

    /// The records of a lesson with their classes, the last column, and weights before it.
    fn training_table(&self, lesson: &Lesson<'_>) -> Vec<(String, Values)> {
        let added = lesson.added.filter(|added| !added.labels.is_empty());
        let mut columns = self.features(Some(lesson.rows), added.map(|added| added.features));
        if self.settings.takes_weights {
            let of_row = |&row: &u32| lesson.weights.map_or(1.0, |weights| weights[row as usize]);
            let mut weights: Vec<f32> = lesson.rows.iter().map(of_row).collect();
            weights.resize(
                lesson.rows.len() + added.map_or(0, |added| added.labels.len()),
                1.0,
            );
            columns.push((WEIGHT.to_owned(), Values::Single(weights)));
        }
        let labels = lesson.labels.unwrap_or(&self.dataset.labels);
        let of_rows = lesson.rows.iter().map(|&row| labels[row as usize]);
        let of_added = added.map_or(&[][..], |added| added.labels).iter().copied();
        columns.push((
            self.label.clone(),
            self.classes.column(of_rows.chain(of_added)),
        ));
        columns
    }

    fn refuse_what_cannot_be_written(&self, lesson: &Lesson<'_>) -> Result<()> {
        let what = if lesson.soft_labels.is_some() {
            "from probabilities in place of labels"
        } else if lesson.clips.is_some() {
            "with the gradient of each record clipped"
        } else if lesson.start.is_some() {
            "from a model that is trained already"
        } else if lesson.weights.is_some() && !self.settings.takes_weights {
            return Err(Error::usage("the trainer's command takes no weights of records").hint(
                "choose another defence, or let the command heed the column giveaway_weight and say so (takes-weights)",
            ));
        } else if lesson.added.is_some() && self.settings.records == RecordForm::Raw {
            return Err(Error::usage(
                "records that are added to the training set exist encoded only, and the trainer's command takes the original columns",
            )
            .hint("choose another defence, or a command that takes encoded records (records = \"encoded\")"));
        } else {
            return Ok(());
        };
        Err(
            Error::usage(format!("a trainer that is a command cannot learn {what}"))
                .hint("choose another defence, or train networks (--trainer network)"),
        )
    }

    /// Trains, among the calls in hand: when one fails, all end with its error.
    fn taught(&self, lesson: &Lesson<'_>, seed: u64) -> Result<CommandModel<'_>> {
        self.refuse_what_cannot_be_written(lesson)?;
        self.among_others(|| {
            let shared = self.shared()?;
            let folder = shared.scratch.folder()?;
            let file = |name: &str| folder.path().join(name);
            // Beside the records, where a command finds it by its --train.
            write(&file("classes.json"), &self.classes.json()?)?;
            let train = file("train.parquet");
            write_table(&train, &self.training_table(lesson))?;
            let mut arguments: Vec<_> = option("--train", &train).into();
            arguments.extend(option("--predict", &shared.predict));
            arguments.extend(option("--seed", seed_of(seed).to_string()));
            let output = file(&format!("output.{}", self.settings.output.extension()));
            arguments.extend(option("--output", &output));
            let validation = file("validation.parquet");
            if !lesson.validation.is_empty() {
                let rows = lesson.validation.iter();
                let labels = rows.map(|&row| self.dataset.labels[row as usize]);
                let mut columns = self.features(Some(lesson.validation), None);
                columns.push((self.label.clone(), self.classes.column(labels)));
                write_table(&validation, &columns)?;
                arguments.extend(option("--validation", &validation));
            }
            let model = file("model");
            if self.settings.saves_model {
                arguments.extend(option("--model", &model));
            }
            let Some(logits) = self.call(&arguments, &folder, &output, self.dataset.len())? else {
                return Ok(None);
            };
            if self.settings.saves_model && !model.is_file() {
                keep_for_a_look(&folder, &self.job(&arguments), "");
                return Err(Error::input("the trainer's command saved no model there")
                    .at(model.display())
                    .hint(
                        "save it as a file to the path after --model, or do without saves-model",
                    ));
            }
            for file in [train, validation, output] {
                // Not all of them are there, and the folder goes in the end.
                let _ = std::fs::remove_file(file);
            }
            Ok(Some(CommandModel {
                trainer: self,
                logits: OnceLock::from(logits),
                saved: self.settings.saves_model.then_some(Saved {
                    path: model,
                    _folder: folder,
                }),
            }))
        })
    }

    fn job<'b>(&'b self, arguments: &'b [std::ffi::OsString]) -> Job<'b> {
        Job {
            line: &self.line,
            arguments,
            secrets: &self.secrets,
            timeout: self.timeout,
            siblings: Some(&self.siblings),
        }
    }

    /// Calls the command and reads the logits that it wrote; nothing where it was stopped.
    fn call(
        &self,
        arguments: &[std::ffi::OsString],
        folder: &Folder,
        output: &Path,
        rows: usize,
    ) -> Result<Option<Array2<f32>>> {
        let job = self.job(arguments);
        let Some(finished) = run_in(&job, ErrorKind::Input, folder)? else {
            return Ok(None);
        };
        let took = u64::try_from(finished.took.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(took, Ordering::Relaxed);
        let scale = self.settings.output_scale;
        let outputs = read_outputs(output, rows, &self.dataset.schema.classes, scale);
        match outputs {
            Ok(outputs) if scale == OutputScale::Logits => Ok(Some(outputs)),
            Ok(probabilities) => Ok(Some(probabilities.mapv_into(logit))),
            Err(error) => {
                keep_for_a_look(folder, &job, "");
                Err(error.at(format!("output of the command `{}`", self.line.text())))
            }
        }
    }

    /// Does one piece of work of several: the first failure ends the others, and is theirs.
    fn among_others<T>(&self, work: impl FnOnce() -> Result<Option<T>>) -> Result<T> {
        {
            let mut others = self.work();
            if others.in_hand == 0 {
                others.failure = None;
            }
            others.in_hand += 1;
        }
        let done = work();
        let mut others = self.work();
        others.in_hand -= 1;
        match done {
            Ok(Some(done)) => Ok(done),
            Ok(None) => Err(others.failure.as_ref().map_or_else(
                || Error::unexpected(format!("the command `{}` was stopped", self.line.text())),
                Failure::error,
            )),
            Err(error) => {
                others.failure.get_or_insert_with(|| Failure {
                    kind: error.kind(),
                    message: error.to_string(),
                    hint: error.hint_text().map(str::to_owned),
                });
                self.siblings.stop();
                Err(error)
            }
        }
    }

    /// Asks a saved model about a table of records.
    fn ask(
        &self,
        model: &Path,
        predict: &Path,
        folder: &Folder,
        rows: usize,
    ) -> Result<Array2<f32>> {
        let name = format!("output.{}", self.settings.output.extension());
        let output = folder.path().join(name);
        let mut arguments: Vec<_> = option("--model", model).into();
        arguments.extend(option("--predict", predict));
        arguments.extend(option("--output", &output));
        self.among_others(|| self.call(&arguments, folder, &output, rows))
    }
}

impl Failure {
    fn error(&self) -> Error {
        let error = Error::new(self.kind, self.message.clone());
        match &self.hint {
            Some(hint) => error.hint(hint.clone()),
            None => error,
        }
    }
}

/// A seed as `NumPy` and others take it: below 2^31.
fn seed_of(seed: u64) -> u64 {
    seed >> 33
}

/// The logarithm of a probability. Those below [`PROBABILITY_RESOLUTION`] count as that: a 0 of a
/// forest is not evidence without bounds, and the audit tells no smaller ones apart.
fn logit(p: f32) -> f32 {
    f64::from(p).max(PROBABILITY_RESOLUTION).ln() as f32
}

impl Trainer for CommandTrainer<'_> {
    fn train(&self, rows: &[u32], validation: &[u32], seed: u64) -> Result<Box<dyn Model + '_>> {
        self.learn(&Lesson::of(rows, validation), seed)
    }

    fn memory(&self, records: usize, validation: usize, _: usize) -> usize {
        let width = match self.settings.records {
            // Values of 8 bytes, which Parquet gets as a copy.
            RecordForm::Raw => 16 * self.columns.len(),
            RecordForm::Encoded => 8 * self.dataset.features.ncols(),
        };
        // Outputs as they are read, and as logits.
        let outputs = self.dataset.len() * self.dataset.class_count() * 2 * size_of::<f32>();
        (records + validation) * width + outputs
    }

    fn restore(&self, weights: &[u8]) -> Result<Box<dyn Model + '_>> {
        if !self.settings.saves_model {
            return Err(saves_none("to ask a model again"));
        }
        let folder = self.shared()?.scratch.folder()?;
        let path = folder.path().join("model");
        write(&path, saved::content(weights)?)?;
        Ok(Box::new(CommandModel {
            trainer: self,
            logits: OnceLock::new(),
            saved: Some(Saved {
                path,
                _folder: folder,
            }),
        }))
    }

    fn learn(&self, lesson: &Lesson<'_>, seed: u64) -> Result<Box<dyn Model + '_>> {
        Ok(Box::new(self.taught(lesson, seed)?))
    }

    /// Every question starts the command.
    fn answers_slowly(&self) -> bool {
        true
    }

    fn time_elsewhere(&self) -> Option<Duration> {
        Some(self.time_in_command())
    }

    fn kernel(&self) -> String {
        "command".to_owned()
    }
}

/// What a model is asked for that only a saved one can give.
fn saves_none(what: &str) -> Error {
    Error::usage(format!(
        "{what}, the trainer's command has to save its models"
    ))
    .hint("let it save its model to the path after --model and answer without --train, and say so (saves-model); or leave out what asks for it (indirect inference, --keep weights, attributions)")
}

/// A model that a command trained: its answers for all records, and the file that it saved.
struct CommandModel<'a> {
    trainer: &'a CommandTrainer<'a>,
    /// Of all records; got when wanted where the model was restored.
    logits: OnceLock<Array2<f32>>,
    saved: Option<Saved>,
}

struct Saved {
    path: PathBuf,
    /// It lives as long as the model.
    _folder: Folder,
}

impl CommandModel<'_> {
    fn saved(&self, what: &str) -> Result<&Path> {
        let saved = self.saved.as_ref().ok_or_else(|| saves_none(what))?;
        Ok(&saved.path)
    }

    fn logits(&self) -> Result<&Array2<f32>> {
        if let Some(logits) = self.logits.get() {
            return Ok(logits);
        }
        let trainer = self.trainer;
        let model = self.saved("to ask a model again")?;
        let shared = trainer.shared()?;
        let folder = shared.scratch.folder()?;
        let asked = trainer.ask(model, &shared.predict, &folder, self.records())?;
        Ok(self.logits.get_or_init(|| asked))
    }
}

impl Model for CommandModel<'_> {
    fn records(&self) -> usize {
        self.trainer.dataset.len()
    }

    fn classes(&self) -> usize {
        self.trainer.dataset.class_count()
    }

    fn each_logits(&self, sink: Sink) -> io::Result<()> {
        let logits = self.logits().map_err(io::Error::other)?;
        sink(logits.view())
    }

    fn features(&self) -> usize {
        self.classes()
    }

    /// There is no last layer to be seen: the logits stand for what it would see.
    fn each_features(&self, sink: Sink) -> io::Result<()> {
        self.each_logits(sink)
    }

    fn answer(&self, inputs: ArrayView2<f32>) -> Result<Array2<f32>> {
        let trainer = self.trainer;
        if inputs.ncols() != trainer.dataset.features.ncols() {
            return Err(Error::unexpected(format!(
                "a query of {} features to a model of {}",
                inputs.ncols(),
                trainer.dataset.features.ncols()
            )));
        }
        if let Some(value) = inputs.iter().find(|value| !value.is_finite()) {
            return Err(Error::input(format!("a feature is {value}")).at("queries"));
        }
        let model = self.saved("to answer for inputs that are no records")?;
        if inputs.is_empty() {
            return Ok(Array2::zeros((inputs.nrows(), self.classes())));
        }
        let columns = match &trainer.decoding {
            Some(decoding) => raw(&columns_of(&decoding.decode(inputs)?), None),
            None => encoded(inputs, None, None),
        };
        let folder = trainer.shared()?.scratch.folder()?;
        let predict = folder.path().join("predict.parquet");
        write_table(&predict, &columns)?;
        trainer.ask(model, &predict, &folder, inputs.nrows())
    }

    fn weights(&self) -> Result<Vec<u8>> {
        saved::read(self.saved("to keep models")?)
    }
}

#[cfg(test)]
mod tests;
