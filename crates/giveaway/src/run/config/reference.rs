//! The reference models and how they are trained.

use std::io::Read;
use std::path::Path;

use giveaway_nn::{Activation, Augmentation, Convolution, Optimiser, Schedule, Skip};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_default;
use super::trainer::{BoostingConfig, CommandSettings, ForestConfig, TrainerName};
use crate::membership::Design;
use crate::process::CommandLine;

/// The reference models and their training; the target is trained the same way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ReferenceConfig {
    /// How training sets are drawn; chosen by the circumstances if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub design: Option<Design>,
    /// Number of reference models.
    pub models: usize,
    /// What trains them; the settings of the others than networks are in tables of their own.
    pub trainer: TrainerName,
    /// Convolutions before the hidden layers; they need images.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub convolutions: Vec<Convolution>,
    /// Residual additions between the convolutions; layer 0 is the image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub convolution_skips: Vec<Skip>,
    /// Residual additions between the hidden layers; layer 0 is what the first of them sees.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skips: Vec<Skip>,
    /// Widths of the hidden layers; none is softmax regression.
    pub hidden: Vec<usize>,
    /// Activation of the convolutions and the hidden layers.
    pub activation: Activation,
    /// Dropout rate of the hidden layers.
    pub dropout: f32,
    /// Passes over the training set.
    pub epochs: usize,
    /// Records in a batch; 128, or 32 for training sets below 2,000 records, if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<usize>,
    /// Learning rate at the start.
    pub learning_rate: f32,
    /// The optimiser.
    pub optimiser: Optimiser,
    /// L2 penalty, added to the gradients; 0.0001, or 0 with `AdamW`, if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l2: Option<f32>,
    /// Label smoothing.
    pub label_smoothing: f32,
    /// Random changes of the training images; they need convolutions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub augmentation: Option<Augmentation>,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// Epochs without a better validation loss after which training stops; never, if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
    /// Share of the units set aside for validation when training stops early. They are not audited.
    pub validation_share: f64,
    /// Instruction set to train with; the fastest of this CPU if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// What is kept of every model beside its outputs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<Keep>,
    /// How forests are grown.
    #[serde(skip_serializing_if = "is_default")]
    pub forest: ForestConfig,
    /// How trees are boosted.
    #[serde(skip_serializing_if = "is_default")]
    pub boosting: BoostingConfig,
    /// The command that trains.
    #[serde(skip_serializing_if = "is_default")]
    pub command: CommandSettings,
    /// Bytes that models in training may take together, beside the data. Of one machine and
    /// command, as threads are, and so not stored.
    #[serde(skip)]
    pub max_memory: Option<u64>,
}

impl ReferenceConfig {
    /// The words of the trainer's command that are files: its script, whose content counts. What
    /// it reads in turn is not known.
    #[must_use]
    pub fn command_words(&self) -> Vec<String> {
        match self.trainer {
            TrainerName::Command => files_among(&self.command.command),
            _ => Vec::new(),
        }
    }
}

/// The words of a command line that name files; the program if it is the user's own.
pub(super) fn files_among(command: &str) -> Vec<String> {
    let words = CommandLine::parse(command).map_or_else(|_| Vec::new(), |line| line.words());
    words
        .into_iter()
        .enumerate()
        .filter_map(|(place, word)| {
            let is_file = |word: &str| Path::new(word).is_file();
            if place == 0 {
                return Some(word).filter(|word| is_file(word) && is_own_script(word));
            }
            // --model=file as well
            match word.split_once('=') {
                Some((_, value)) if !is_file(&word) => {
                    Some(value.to_owned()).filter(|v| is_file(v))
                }
                _ => Some(word).filter(|word| is_file(word)),
            }
        })
        .collect()
}

/// Whether a program is a script, or lies below the current directory: what the system has
/// installed is not the user's to change between two runs.
fn is_own_script(program: &str) -> bool {
    let begins_as_script = || {
        let mut first = [0; 2];
        let read = std::fs::File::open(program).and_then(|mut file| file.read_exact(&mut first));
        read.is_ok() && first == *b"#!"
    };
    program.contains(std::path::is_separator)
        && (Path::new(program).is_relative() || begins_as_script())
}

/// What can be kept of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// Its weights, in `models/`, as safetensors with PyTorch's layouts.
    Weights,
    /// What its last layer sees of every record, in `features/`.
    Features,
}

impl Default for ReferenceConfig {
    fn default() -> Self {
        Self {
            design: None,
            models: 256,
            trainer: TrainerName::Network,
            forest: ForestConfig::default(),
            boosting: BoostingConfig::default(),
            command: CommandSettings::default(),
            convolutions: Vec::new(),
            convolution_skips: Vec::new(),
            skips: Vec::new(),
            hidden: vec![64, 32],
            activation: Activation::Relu,
            dropout: 0.0,
            epochs: 20,
            batch_size: None,
            learning_rate: 1e-3,
            optimiser: Optimiser::adam(),
            l2: None,
            label_smoothing: 0.0,
            augmentation: None,
            schedule: Schedule::Constant,
            patience: None,
            validation_share: 0.1,
            kernel: None,
            keep: Vec::new(),
            max_memory: None,
        }
    }
}
