//! Models trained through a defence: their answers, written one file after the other, so that a
//! run that was stopped goes on where it was.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use giveaway_stats::random::derive_seed;
use giveaway_stats::summary::quantile;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::channel::OutputKind;
use crate::defend::{Bench, Defence, Fitted, Guarded, registry, unguarded};
use crate::error::{Error, Result};
use crate::run::array_file::{read_outputs, write_floats};
use crate::run::directory::RunDirectory;
use crate::run::pool::Pool;
use crate::run::progress::Progress;
use crate::run::schedule;
use crate::run::training::{REFERENCE, answers_as_stored, within};
use crate::trainer::{Model, Trainer};

/// The folder of models at work, in the run directory.
pub(super) const FOLDER: &str = "defend";

/// The folder of the undefended models' weights.
const BASE: &str = "defend/base";

/// The purpose of the seeds of models that are trained once more without a defence.
const AGAIN: &str = "training a reference model again";

/// The purpose of what a defence draws for a model.
const GUARD: &str = "guarding a model";

/// A recipe that is audited.
pub(super) enum Arm {
    /// Without a defence: the run's own models.
    Undefended,
    /// The same, trained again with other seeds.
    Control,
    /// Through a defence.
    Defended(Box<dyn Defence>),
}

impl Arm {
    /// Its name.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Undefended => "none".to_owned(),
            Self::Control => "again".to_owned(),
            Self::Defended(defence) => defence.name(),
        }
    }

    /// Its name as a file's.
    pub(super) fn file_name(&self) -> String {
        registry::file_name(&self.name())
    }

    /// The folder of its models at work.
    fn folder(&self) -> String {
        match self {
            Self::Undefended => BASE.to_owned(),
            _ => format!("{FOLDER}/{}", self.file_name()),
        }
    }
}

/// What is known of one model of an arm beside its answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ModelNotes {
    /// Seconds that it took to train and guard.
    pub(super) seconds: f64,
    /// Whether answers are probabilities; else they are logits.
    pub(super) probabilities: bool,
    /// What the defence fitted.
    fitted: Option<StoredFit>,
}

/// [`Fitted`] as a file has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct StoredFit {
    rows: usize,
    /// Nothing where a number is not finite, which JSON does not know.
    numbers: Vec<Option<f32>>,
    flagged: Vec<u32>,
    records: usize,
}

impl ModelNotes {
    pub(super) fn kind(&self) -> OutputKind {
        if self.probabilities {
            OutputKind::Probabilities
        } else {
            OutputKind::Logits
        }
    }

    /// What the defence fitted to the model, where it did.
    pub(super) fn fitted(&self) -> Option<Fitted> {
        let stored = self.fitted.as_ref()?;
        let columns = stored.numbers.len().checked_div(stored.rows).unwrap_or(0);
        let mut flags = vec![false; stored.records];
        for &record in &stored.flagged {
            *flags.get_mut(record as usize)? = true;
        }
        Some(Fitted {
            numbers: Array2::from_shape_vec(
                (stored.rows, columns),
                stored
                    .numbers
                    .iter()
                    .map(|x| x.unwrap_or(f32::NAN))
                    .collect(),
            )
            .ok()?,
            flags,
        })
    }

    fn of(guarded: &dyn Guarded, seconds: f64) -> Self {
        Self {
            seconds,
            probabilities: guarded.kind() == OutputKind::Probabilities,
            fitted: guarded.fitted().map(|fitted| StoredFit {
                rows: fitted.numbers.nrows(),
                numbers: fitted
                    .numbers
                    .iter()
                    .map(|&x| x.is_finite().then_some(x))
                    .collect(),
                flagged: (0..fitted.flags.len() as u32)
                    .filter(|&record| fitted.flags[record as usize])
                    .collect(),
                records: fitted.flags.len(),
            }),
        }
    }
}

/// The models of a re-audit and where they are kept.
pub(super) struct Shop<'a> {
    pub(super) run: &'a RunDirectory,
    pub(super) pool: &'a Pool,
    pub(super) bench: &'a Bench<'a>,
    /// The judging models, by their numbers in the run.
    pub(super) models: Range<usize>,
    /// When the time is up, if it is limited.
    pub(super) deadline: Option<Instant>,
    /// What the models of a defence depend on, beside the run's.
    pub(super) identity: String,
    /// How long measuring an arm took so far, at most.
    pub(super) measuring: Mutex<Duration>,
}

/// How the work on an arm ended.
pub(super) enum Trained {
    /// All models are there.
    Whole,
    /// There is not enough time: it would have taken about so long.
    TooLong(Duration),
}

impl Shop<'_> {
    /// Where the answers of a model are.
    pub(super) fn answers(&self, arm: &Arm, model: usize) -> PathBuf {
        match arm {
            Arm::Undefended => self.run.signal_file(model),
            _ => self.run.file(&format!("{}/{model:03}.npy", arm.folder())),
        }
    }

    /// What is known of a model that was trained; nothing where it was not.
    pub(super) fn notes(&self, arm: &Arm, model: usize) -> Option<ModelNotes> {
        let path = self.run.file(&format!("{}/{model:03}.json", arm.folder()));
        serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
    }

    /// Reads the answers of a model.
    pub(super) fn read(&self, arm: &Arm, model: usize) -> Result<Array2<f32>> {
        read_outputs(
            &self.answers(arm, model),
            self.pool.dataset.len(),
            self.pool.dataset.schema.classes.len(),
        )
    }

    /// Takes away the models of an arm that has been measured.
    pub(super) fn clear(&self, arm: &Arm) -> Result<()> {
        match arm {
            Arm::Undefended => Ok(()),
            _ => self.run.remove_folder(&arm.folder()),
        }
    }

    /// Trains the models of an arm that are not there yet.
    ///
    /// # Errors
    /// If the defence cannot be made, training fails, or a file cannot be written.
    pub(super) fn train(&self, arm: &Arm, progress: &dyn Progress) -> Result<Trained> {
        let folder = arm.folder();
        self.run.make_folder(FOLDER)?;
        let own = format!("{folder}/identity");
        if std::fs::read_to_string(self.run.file(&own)).ok().as_deref() != Some(&self.identity) {
            // models of other work, which was stopped
            self.run.remove_folder(&folder)?;
        }
        self.run.make_folder(&folder)?;
        self.run.write(&own, self.identity.as_bytes())?;
        let wrapped = match arm {
            Arm::Defended(defence) => defence.trainer(self.bench)?,
            _ => None,
        };
        let missing: Vec<usize> = self
            .models
            .clone()
            .filter(|&model| self.notes(arm, model).is_none() || !self.answers(arm, model).exists())
            .collect();
        let trainer = wrapped.as_deref().unwrap_or(self.bench.trainer);
        let records = self.pool.training_records();
        let validation = self.pool.units.count(&self.pool.validation_units);
        let memory = |threads| trainer.memory(records, validation, threads) + records * 4;
        let threads = rayon::current_num_threads();
        let (threads, at_once) = within(self.pool.config.reference.max_memory, threads, memory)?;
        let made = |model: usize| {
            let outcome = self.make(arm, wrapped.as_deref(), model);
            progress.advance(1);
            outcome
        };
        // The first of each lane tells how long the rest will take.
        let first = missing.len().min(at_once.max(1));
        let begun = Instant::now();
        schedule::run(first, threads, at_once, |number| made(missing[number]))?;
        if let Some(deadline) = self.deadline
            && matches!(arm, Arm::Defended(_))
            && missing.len() > first
        {
            let rounds = (missing.len() - first).div_ceil(first) as u32;
            let measuring = self.measuring.lock().map_or(Duration::ZERO, |m| *m);
            let left = begun.elapsed() * rounds + measuring;
            if Instant::now() + left > deadline {
                return Ok(Trained::TooLong(left));
            }
        }
        let rest = &missing[first..];
        schedule::run(rest.len(), threads, at_once, |number| made(rest[number]))?;
        Ok(Trained::Whole)
    }

    /// Trains one model, guards it and writes what it answers.
    fn make(&self, arm: &Arm, wrapped: Option<&dyn Trainer>, model: usize) -> Result<()> {
        let rows = self
            .pool
            .units
            .expand(self.pool.membership.training_units(model));
        let validation = self.pool.units.expand(&self.pool.validation_units);
        let seed = derive_seed(self.pool.config.seed, REFERENCE, model as u64);
        let begun = Instant::now();
        let (trained, before) = match (arm, wrapped) {
            (Arm::Undefended, _) => {
                let trained = self.bench.trainer.train(&rows, &validation, seed)?;
                answers_as_stored(self.run, self.pool, model, &*trained)?;
                let seconds = begun.elapsed().as_secs_f64();
                // A trainer whose models cannot be kept trains them again.
                if let Ok(weights) = trained.weights() {
                    self.run
                        .write(&format!("{BASE}/{model:03}.safetensors"), &weights)?;
                }
                return self.write_notes(arm, model, unguarded(trained).as_ref(), seconds);
            }
            (Arm::Control, _) => {
                let seed = derive_seed(self.pool.config.seed, AGAIN, model as u64);
                (self.bench.trainer.train(&rows, &validation, seed)?, 0.0)
            }
            (Arm::Defended(_), Some(trainer)) => (trainer.train(&rows, &validation, seed)?, 0.0),
            (Arm::Defended(_), None) => self.base(model, &rows, &validation, seed)?,
        };
        let guarded = match arm {
            Arm::Defended(defence) => {
                let seed = derive_seed(self.pool.config.seed, GUARD, model as u64);
                defence.guard(self.bench, &rows, trained, seed)?
            }
            _ => unguarded(trained),
        };
        let name = format!("{}/{model:03}.npy", arm.folder());
        let shape = [
            self.pool.dataset.len(),
            1,
            self.pool.dataset.schema.classes.len(),
        ];
        write_floats(self.run, &name, &shape, |sink| guarded.each_answer(sink))?;
        let seconds = before + begun.elapsed().as_secs_f64();
        self.write_notes(arm, model, &*guarded, seconds)
    }

    fn write_notes(
        &self,
        arm: &Arm,
        model: usize,
        guarded: &dyn Guarded,
        seconds: f64,
    ) -> Result<()> {
        let notes = serde_json::to_string(&ModelNotes::of(guarded, seconds))
            .map_err(|e| Error::unexpected(format!("cannot write what was fitted: {e}")))?;
        self.run.write(
            &format!("{}/{model:03}.json", arm.folder()),
            notes.as_bytes(),
        )
    }

    /// An undefended model, and the seconds that its training took if it is not trained now.
    fn base(
        &self,
        model: usize,
        rows: &[u32],
        validation: &[u32],
        seed: u64,
    ) -> Result<(Box<dyn Model + '_>, f64)> {
        let path = self.run.file(&format!("{BASE}/{model:03}.safetensors"));
        if let Ok(weights) = std::fs::read(&path) {
            let model_of = self.bench.trainer.restore(&weights)?;
            let seconds = self.notes(&Arm::Undefended, model);
            return Ok((model_of, seconds.map_or(0.0, |notes| notes.seconds)));
        }
        Ok((self.bench.trainer.train(rows, validation, seed)?, 0.0))
    }

    /// Seconds to train and guard a model of an arm: the median, since machines are noisy.
    pub(super) fn seconds_per_model(&self, arm: &Arm) -> f64 {
        let mut seconds: Vec<f64> = self
            .models
            .clone()
            .filter_map(|model| Some(self.notes(arm, model)?.seconds))
            .collect();
        seconds.sort_unstable_by(f64::total_cmp);
        quantile(&seconds, 0.5).unwrap_or(0.0)
    }
}
