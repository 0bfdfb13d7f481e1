//! What the user says of their command.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::process::CommandLine;
use crate::process::exchange::{OutputFormat, OutputScale, RecordForm};

/// A command that trains, and how it is called. See docs/command-trainer.md.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct CommandSettings {
    /// The command line: a program and its arguments, split like a shell's words. No shell runs
    /// it. It is stored with the run, so it must hold no secret.
    pub command: String,
    /// In which form it gets records.
    pub records: RecordForm,
    /// In which format it writes its outputs.
    pub output: OutputFormat,
    /// Whether it writes probabilities or logits.
    pub output_scale: OutputScale,
    /// Whether it saves its model to the path after `--model`, and answers with a saved model
    /// where `--train` is missing. Indirect inference and kept weights need it.
    pub saves_model: bool,
    /// Whether it heeds the column `giveaway_weight` of the training file. Defences that weigh
    /// records need it.
    pub takes_weights: bool,
    /// Seconds that one call may take; no limit without.
    pub timeout: Option<f64>,
}

impl CommandSettings {
    /// A command with the default protocol.
    #[must_use]
    pub fn new(command: impl Into<String>) -> Self {
        Self {
            command: command.into(),
            ..Self::default()
        }
    }

    pub(super) fn line(&self) -> Result<CommandLine> {
        CommandLine::parse(&self.command)
    }

    pub(super) fn time_limit(&self) -> Result<Option<Duration>> {
        crate::process::time_limit(self.timeout)
    }
}
