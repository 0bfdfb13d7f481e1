//! What can be said of an ONNX target in a configuration.

use std::path::PathBuf;

use giveaway::target::Form;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A model in an ONNX file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct OnnxSettings {
    /// The ONNX file.
    pub path: PathBuf,
    /// What runs the model.
    pub engine: OnnxEngine,
    /// ONNX Runtime's shared library, or a folder that has it. Without it: the environment
    /// variable `ORT_DYLIB_PATH`, then the Python package `onnxruntime`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<PathBuf>,
    /// The name of the output to use. Without it: the one with a number for each class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// In which form the model takes its inputs. Without it: what its inputs fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<OnnxForm>,
    /// Where the channels of images are, for models with inputs of four dimensions.
    pub layout: Layout,
    /// What stands for a missing text in inputs that are texts; without it a missing text is
    /// an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_text: Option<String>,
    /// Records in one request, at most.
    pub batch_size: usize,
    /// Threads of ONNX Runtime within one request; tract has one.
    pub threads: usize,
    /// Requests at the same time, at most; ONNX Runtime has a copy of the model for each.
    /// Without it: one for each core.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<usize>,
}

impl Default for OnnxSettings {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            engine: OnnxEngine::Auto,
            runtime: None,
            output: None,
            form: None,
            layout: Layout::Auto,
            missing_text: None,
            batch_size: 1024,
            threads: 1,
            concurrency: None,
        }
    }
}

/// What runs an ONNX model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnnxEngine {
    /// ONNX Runtime where its library is found, else tract where it was compiled in.
    #[default]
    Auto,
    /// ONNX Runtime, loaded while running.
    Runtime,
    /// tract, in Rust; in builds with the feature `onnx-tract`.
    Tract,
}

/// In which form a model takes its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnnxForm {
    /// The numbers that the reference models see.
    Encoded,
    /// The columns of the data file.
    Raw,
}

impl From<OnnxForm> for Form {
    fn from(form: OnnxForm) -> Self {
        match form {
            OnnxForm::Encoded => Self::Encoded,
            OnnxForm::Raw => Self::Raw,
        }
    }
}

/// Where the channels of an image are. The data have them last: height × width × channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Last where only the last dimension can be channels (at most 4), else first.
    #[default]
    Auto,
    /// Channels × height × width, as in PyTorch.
    ChannelsFirst,
    /// Height × width × channels, as in Keras.
    ChannelsLast,
}

impl Layout {
    /// Whether an input with these three dimensions has its channels first.
    pub(crate) fn channels_first(self, sizes: &[usize]) -> bool {
        match self {
            Self::ChannelsFirst => true,
            Self::ChannelsLast => false,
            Self::Auto => !matches!(sizes, [first, _, last] if *last <= 4 && *first > 4),
        }
    }
}
