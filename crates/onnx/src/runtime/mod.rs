//! ONNX Runtime, by the crate `ort`.

pub(crate) mod library;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use giveaway::error::{Error, Result};
use ort::environment::Environment;
use ort::session::{Session, SessionInputValue};
use ort::value::{DynMapValueType, DynValue, Shape, TensorElementType, ValueType};

use crate::model::Model;
use crate::settings::OnnxSettings;
use crate::tensor::{Elements, Outcome, Tensor, as_rows};
use crate::{Engine, guarded};

/// A model in as many sessions as are asked at once: `ort` holds that one session must not be
/// run by two threads, and a session per thread shares nothing that could be waited for.
struct Runtime {
    environment: Environment,
    /// The model itself, or where it is if it has weights in other files.
    source: Source,
    threads: usize,
    output: String,
    idle: Mutex<Vec<Session>>,
}

enum Source {
    Bytes(Arc<[u8]>),
    File(PathBuf),
}

/// Loads the library and the model.
pub(crate) fn start(
    settings: &OnnxSettings,
    bytes: &[u8],
    model: &Model,
    output: &str,
) -> Result<Box<dyn Engine>> {
    let environment = library::load(settings.runtime.as_deref())?;
    let runtime = Runtime {
        environment,
        // The bytes that were looked at are the ones that are run, whatever becomes of the file.
        source: if model.external {
            Source::File(settings.path.clone())
        } else {
            Source::Bytes(bytes.into())
        },
        threads: settings.threads,
        output: output.to_owned(),
        idle: Mutex::new(Vec::new()),
    };
    let session = guarded(|| runtime.session()).map_err(|why| {
        Error::input(format!(
            "ONNX Runtime cannot load the model: {}",
            why.lines().next().unwrap_or_default()
        ))
        .at(settings.path.display())
        .hint("see whether Python's onnxruntime loads it; if not, export the model again, with an opset that your ONNX Runtime knows")
    })?;
    runtime.give_back(session);
    Ok(Box::new(runtime))
}

impl Runtime {
    /// Another session. Nodes run one after the other, sums in one order: the same answers
    /// each time.
    fn session(&self) -> std::result::Result<Session, String> {
        fn text(error: impl std::fmt::Display) -> String {
            error.to_string()
        }
        let mut builder = Session::builder(&self.environment)
            .map_err(text)?
            .with_intra_threads(self.threads)
            .map_err(text)?
            .with_inter_threads(1)
            .map_err(text)?
            .with_parallel_execution(false)
            .map_err(text)?
            .with_deterministic_compute(true)
            .map_err(text)?;
        match &self.source {
            Source::Bytes(bytes) => builder.commit_from_memory(bytes),
            Source::File(path) => builder.commit_from_file(path),
        }
        .map_err(text)
    }

    fn give_back(&self, session: Session) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(session);
    }
}

impl Engine for Runtime {
    fn name(&self) -> &'static str {
        "ONNX Runtime"
    }

    fn run(&self, inputs: &[Tensor]) -> std::result::Result<Outcome, String> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let mut session = match idle {
            Some(session) => session,
            None => self.session()?,
        };
        let outcome = run(&mut session, inputs, &self.output);
        self.give_back(session);
        outcome
    }
}

fn run(
    session: &mut Session,
    inputs: &[Tensor],
    output: &str,
) -> std::result::Result<Outcome, String> {
    let values = inputs
        .iter()
        .map(|tensor| {
            Ok((
                tensor.name.clone(),
                value(tensor).map_err(|e| e.to_string())?,
            ))
        })
        .collect::<std::result::Result<Vec<(String, SessionInputValue<'_>)>, String>>()?;
    let outputs = session.run(values).map_err(|error| error.to_string())?;
    let value = outputs
        .get(output)
        .ok_or_else(|| format!("it gave no output {output:?}"))?;
    outcome(value)
}

fn value(tensor: &Tensor) -> ort::Result<SessionInputValue<'static>> {
    use ort::value::Tensor as Value;

    let shape = Shape::new(tensor.dims.iter().map(|&size| crate::tensor::signed(size)));
    Ok(match &tensor.elements {
        Elements::Floats(all) => Value::from_array((shape, all.clone()))?.into(),
        Elements::Doubles(all) => Value::from_array((shape, all.clone()))?.into(),
        Elements::Ints(all) => Value::from_array((shape, all.clone()))?.into(),
        Elements::Longs(all) => Value::from_array((shape, all.clone()))?.into(),
        Elements::Truths(all) => Value::from_array((shape, all.clone()))?.into(),
        Elements::Texts(all) => Value::from_string_array((shape, all.as_slice()))?.into(),
    })
}

fn outcome(value: &DynValue) -> std::result::Result<Outcome, String> {
    let text = |error: ort::Error| error.to_string();
    match value.dtype() {
        ValueType::Tensor { ty, shape, .. } => {
            let dims: Vec<usize> = shape
                .iter()
                .map(|&size| usize::try_from(size).unwrap_or(0))
                .collect();
            match ty {
                TensorElementType::Float32 => {
                    let (_, values) = value.try_extract_tensor::<f32>().map_err(text)?;
                    as_rows(&dims, values.to_vec()).map(Outcome::Numbers)
                }
                TensorElementType::Float64 => {
                    let (_, values) = value.try_extract_tensor::<f64>().map_err(text)?;
                    as_rows(&dims, values.iter().map(|&v| v as f32).collect()).map(Outcome::Numbers)
                }
                TensorElementType::Int64 => {
                    let (_, values) = value.try_extract_tensor::<i64>().map_err(text)?;
                    Ok(Outcome::Labels(
                        values.iter().map(ToString::to_string).collect(),
                    ))
                }
                TensorElementType::Int32 => {
                    let (_, values) = value.try_extract_tensor::<i32>().map_err(text)?;
                    Ok(Outcome::Labels(
                        values.iter().map(ToString::to_string).collect(),
                    ))
                }
                TensorElementType::String => {
                    let (_, values) = value.try_extract_strings().map_err(text)?;
                    Ok(Outcome::Labels(values))
                }
                other => Err(format!(
                    "its output is of the type {other}, which is not read"
                )),
            }
        }
        ValueType::Sequence(_) => {
            let sequence = value.view().into_dyn();
            let sequence: ort::value::DynSequenceRef<'_> = sequence.downcast().map_err(text)?;
            sequence
                .try_extract_sequence::<DynMapValueType>()
                .map_err(text)?
                .iter()
                .map(|map| match map.dtype() {
                    ValueType::Map {
                        key: TensorElementType::String,
                        ..
                    } => map.try_extract_key_values::<String, f32>().map_err(text),
                    _ => Ok(map
                        .try_extract_key_values::<i64, f32>()
                        .map_err(text)?
                        .into_iter()
                        .map(|(key, value)| (key.to_string(), value))
                        .collect()),
                })
                .collect::<std::result::Result<_, String>>()
                .map(Outcome::Maps)
        }
        other => Err(format!("its output is {other}, which is not read")),
    }
}
