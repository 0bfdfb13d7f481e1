//! ONNX models as targets of an audit: a file that scikit-learn, PyTorch and others export.
//!
//! Two engines run a model. ONNX Runtime is loaded while running, from where Python's package
//! `onnxruntime` has it, and gives what Python would get. tract is written in Rust and compiled
//! in by the feature `onnx-tract`; it needs nothing installed and lacks some operators. What
//! goes in and comes out is the same for both: `model` reads the file, `inputs` makes tensors
//! of questions, `outputs` makes answers of what comes out.
//!
//! An ONNX file is a program. It cannot do more than compute, but it may take much time and
//! memory: ask models that you trust.

mod inputs;
mod model;
mod outputs;
mod runtime;
mod settings;
mod tensor;
#[cfg(feature = "onnx-tract")]
mod tract;

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};

use giveaway::error::{Error, ErrorKind, Result};
use giveaway::target::{Answers, Form, Questions, Refusal, Target};
use ndarray::{Array2, Axis, Slice, concatenate};

pub use runtime::library::{find as find_runtime, has_runtime};
pub use settings::{Layout, OnnxEngine, OnnxForm, OnnxSettings};

use inputs::Inputs;
use outputs::Output;
use tensor::{Outcome, Tensor};

/// Something that runs a model.
trait Engine: Send + Sync {
    /// What it is called.
    fn name(&self) -> &'static str;

    /// The chosen output for these inputs, or why there is none.
    fn run(&self, inputs: &[Tensor]) -> std::result::Result<Outcome, String>;
}

/// A model in an ONNX file.
struct OnnxTarget {
    engine: Box<dyn Engine>,
    inputs: Inputs,
    output: Output,
    /// The number of records that the model always takes, where its export fixed it.
    batch: Option<usize>,
    settings: OnnxSettings,
}

/// Opens a model. A model with one tensor of numbers is taken for one of encoded features,
/// unless the settings say otherwise; [`open_for`] finds out.
///
/// # Errors
/// If the settings make no sense, the file is no sound ONNX model, its inputs or outputs cannot
/// be used, no engine is there, or the engine lacks an operator.
pub fn open(settings: &OnnxSettings, classes: &[String]) -> Result<Box<dyn Target>> {
    Ok(Box::new(load(settings, classes)?))
}

/// Opens a model that will be asked questions like these: raw columns are chosen where they
/// are numbers and as many as the model's input takes, and what the model cannot be given is said
/// at once. Nothing is asked.
///
/// # Errors
/// As [`open`], and if the questions do not fit the model's inputs.
pub fn open_for(
    settings: &OnnxSettings,
    classes: &[String],
    example: &Questions,
) -> Result<Box<dyn Target>> {
    let mut target = load(settings, classes)?;
    target.inputs.decide(example);
    target
        .inputs
        .tensors(example)
        .map_err(|error| error.at(settings.path.display()))?;
    Ok(Box::new(target))
}

fn load(settings: &OnnxSettings, classes: &[String]) -> Result<OnnxTarget> {
    for (setting, value) in [
        ("batch-size", settings.batch_size),
        ("threads", settings.threads),
        ("concurrency", settings.concurrency.unwrap_or(1)),
    ] {
        if value == 0 {
            return Err(Error::usage(format!("{setting} is 0")).hint("set at least 1"));
        }
    }
    let (bytes, model) = model::read(&settings.path)?;
    let place = |error: Error| error.at(settings.path.display());
    let (inputs, batch) = Inputs::plan(&model.inputs, settings).map_err(place)?;
    let output = Output::choose(&model, settings.output.as_deref(), classes).map_err(place)?;
    let engine = start(settings, &bytes, &model, batch.is_some(), &output.name)?;
    Ok(OnnxTarget {
        engine,
        inputs,
        output,
        batch,
        settings: settings.clone(),
    })
}

fn start(
    settings: &OnnxSettings,
    bytes: &[u8],
    model: &model::Model,
    fixed: bool,
    output: &str,
) -> Result<Box<dyn Engine>> {
    match settings.engine {
        OnnxEngine::Runtime => runtime::start(settings, bytes, model, output),
        OnnxEngine::Tract => start_tract(settings, bytes, model, fixed, output),
        OnnxEngine::Auto => match runtime::library::load(settings.runtime.as_deref()) {
            Ok(_) => runtime::start(settings, bytes, model, output),
            // A library that was named is wanted: another engine would be a surprise.
            Err(error) if settings.runtime.is_some() || !cfg!(feature = "onnx-tract") => Err(error),
            Err(_) => start_tract(settings, bytes, model, fixed, output),
        },
    }
}

#[cfg(feature = "onnx-tract")]
fn start_tract(
    settings: &OnnxSettings,
    bytes: &[u8],
    model: &model::Model,
    fixed: bool,
    output: &str,
) -> Result<Box<dyn Engine>> {
    tract::start(settings, bytes, model, fixed, output)
}

#[cfg(not(feature = "onnx-tract"))]
fn start_tract(
    _: &OnnxSettings,
    _: &[u8],
    _: &model::Model,
    _: bool,
    _: &str,
) -> Result<Box<dyn Engine>> {
    Err(Error::usage("this build has no engine tract").hint(
        "set engine = \"runtime\" and install ONNX Runtime (pip install onnxruntime), or build with the feature onnx-tract",
    ))
}

/// Runs code of an engine. Both read files that may be hostile and both have places where they
/// panic at what they did not expect; what was in work is given up, so that nothing half done
/// is seen afterwards.
fn guarded<T>(
    work: impl FnOnce() -> std::result::Result<T, String>,
) -> std::result::Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no reason given");
        Err(format!("it broke down: {text}"))
    })
}

impl OnnxTarget {
    fn failed(&self, why: &str) -> Refusal {
        // Engines tell of the file and line of their own source, over several lines.
        let why = why.lines().next().unwrap_or_default();
        Refusal::lasting(
            Error::new(
                ErrorKind::Target,
                format!("the model failed ({}): {why}", self.engine.name()),
            )
            .at(self.settings.path.display())
            .hint("see whether Python's onnxruntime runs the model on the same records"),
        )
    }

    /// In parts where the model's export fixed the number of records.
    fn run(&self, tensors: &[Tensor], questions: usize) -> std::result::Result<Outcome, String> {
        let Some(batch) = self.batch.filter(|&batch| batch != questions) else {
            return self.engine.run(tensors);
        };
        let mut whole: Option<Outcome> = None;
        for first in (0..questions).step_by(batch) {
            let part: Vec<Tensor> = tensors.iter().map(|t| t.part(first, batch)).collect();
            let outcome = first_rows(self.engine.run(&part)?, batch.min(questions - first));
            whole = Some(match whole {
                None => outcome,
                Some(earlier) => joined(earlier, outcome)?,
            });
        }
        whole.ok_or_else(|| "nothing was asked".to_owned())
    }
}

fn first_rows(outcome: Outcome, rows: usize) -> Outcome {
    match outcome {
        Outcome::Numbers(values) => {
            let rows = rows.min(values.nrows());
            Outcome::Numbers(values.slice_axis(Axis(0), Slice::from(..rows)).to_owned())
        }
        Outcome::Labels(mut labels) => {
            labels.truncate(rows);
            Outcome::Labels(labels)
        }
        Outcome::Maps(mut maps) => {
            maps.truncate(rows);
            Outcome::Maps(maps)
        }
    }
}

fn joined(earlier: Outcome, later: Outcome) -> std::result::Result<Outcome, String> {
    match (earlier, later) {
        (Outcome::Numbers(earlier), Outcome::Numbers(later)) => {
            concatenate(Axis(0), &[earlier.view(), later.view()])
                .map(Outcome::Numbers)
                .map_err(|_| "its output has different widths".to_owned())
        }
        (Outcome::Labels(mut earlier), Outcome::Labels(later)) => {
            earlier.extend(later);
            Ok(Outcome::Labels(earlier))
        }
        (Outcome::Maps(mut earlier), Outcome::Maps(later)) => {
            earlier.extend(later);
            Ok(Outcome::Maps(earlier))
        }
        _ => Err("its output has different types".to_owned()),
    }
}

impl Target for OnnxTarget {
    fn name(&self) -> String {
        format!(
            "the ONNX model {} (run by {})",
            self.settings.path.display(),
            self.engine.name()
        )
    }

    fn form(&self) -> Form {
        self.inputs.form()
    }

    fn batch_size(&self) -> usize {
        self.settings.batch_size
    }

    fn concurrency(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.settings.concurrency.unwrap_or_else(cores)
    }

    fn ask(&self, questions: &Questions) -> std::result::Result<Answers, Refusal> {
        if questions.is_empty() {
            return Ok(Answers::Numbers {
                values: Array2::zeros((0, 0)),
                names: None,
            });
        }
        let tensors = self
            .inputs
            .tensors(questions)
            .map_err(|error| Refusal::lasting(error.at(self.settings.path.display())).not_sent())?;
        guarded(|| self.run(&tensors, questions.len()))
            .and_then(|outcome| self.output.answers(outcome, questions.len()))
            .map_err(|why| self.failed(&why))
    }
}
