//! The configuration of an audit: what `run.toml` holds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::suggest::nearest;

mod data;
mod indirect;
mod reference;
mod selection;
mod target;
pub mod trainer;
mod training;

pub use data::{DataConfig, Duplicates};
pub use indirect::{Build, IndirectConfig};
pub use reference::{Keep, ReferenceConfig};
pub use selection::{TestConfig, is_possible_apart};
pub use target::TargetConfig;

/// Whether settings are the usual ones, and need not be written.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Everything that an audit depends on. Two runs with equal configurations and equal
/// input files give equal results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
#[derive(Default)]
pub struct Config {
    /// Seed of every random choice.
    pub seed: u64,
    /// The records.
    pub data: DataConfig,
    /// The reference models.
    pub reference: ReferenceConfig,
    /// The model under audit.
    pub target: TargetConfig,
    /// Selection and test.
    pub test: TestConfig,
}

impl Config {
    /// Reads a configuration, as `run.toml` holds it.
    ///
    /// # Errors
    /// If the text is not one; the message names the line and the key.
    pub fn from_toml(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|e| not_a_configuration(&e))
    }

    /// Reads a configuration from a table, as [`from_toml`](Self::from_toml) does from text.
    ///
    /// # Errors
    /// If it is not one; the message names the key.
    pub fn from_table(table: toml::Table) -> Result<Self> {
        table.try_into().map_err(|e| not_a_configuration(&e))
    }

    /// Whether the text of a configuration says which records are audited: without a
    /// `source` of its own it is the default of the command line that is meant.
    ///
    /// # Errors
    /// If the text is no TOML.
    pub fn names_source(text: &str) -> Result<bool> {
        let table: toml::Table = toml::from_str(text).map_err(|e| {
            Error::usage(format!("not a configuration: {}", e.to_string().trim_end()))
        })?;
        Ok(table
            .get("data")
            .and_then(|data| data.get("source"))
            .is_some())
    }

    /// Writes the configuration as `run.toml` holds it.
    ///
    /// # Errors
    /// If a value cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self)
            .map_err(|e| Error::unexpected(format!("cannot write the configuration: {e}")))
    }

    /// Checks what can be checked without the data.
    ///
    /// # Errors
    /// On the first value that makes no sense, naming its option.
    pub fn check(&self) -> Result<()> {
        self.target.check()?;
        self.check_test()?;
        let models = self.reference.models;
        if models < MINIMUM_MODELS {
            return refused(
                "--models",
                format!("{models} reference models are too few"),
                format!(
                    "one half selects, the other tests, and each model in turn is left out with its complement: at least {MINIMUM_MODELS} are needed, and 100 or more are usual"
                ),
            );
        }
        if models > MAXIMUM_MODELS {
            return refused(
                "--models",
                format!("{models} reference models are too many"),
                format!("give at most {MAXIMUM_MODELS}; 100 to 10,000 are usual"),
            );
        }
        self.check_trainer()?;
        self.data.check()?;
        let answers = self.test.indirect.as_ref().and_then(|i| i.answers.as_ref());
        if answers.is_some() && self.target.outputs.is_none() {
            return refused(
                "--indirect-answers",
                "has the answers of a target that is not given".to_owned(),
                "give its outputs with --target-outputs, or leave --indirect-answers out: a target trained here is asked here",
            );
        }
        if self.target.members.is_some() && !self.target.is_given() {
            return refused(
                "--members",
                "names the training records of a target that is not given".to_owned(),
                "give its outputs with --target-outputs, or leave --members out to train a target here",
            );
        }
        Ok(())
    }
}

/// Why a text is no configuration; an unknown key with the one that was probably meant.
#[must_use]
pub fn not_a_configuration(error: &toml::de::Error) -> Error {
    let text = error.to_string();
    let suggestion =
        unknown_and_known(error.message()).and_then(|(unknown, known)| nearest(unknown, known));
    Error::usage(format!("not a configuration: {}", text.trim_end())).hint(match suggestion {
        Some(name) => format!("did you mean `{name}`?"),
        None => "`giveaway init` writes a configuration that shows every key".to_owned(),
    })
}

/// The names in what serde says of an unknown field or variant: the unknown one, and the known.
fn unknown_and_known(message: &str) -> Option<(&str, Vec<&str>)> {
    if !message.starts_with("unknown ") {
        return None;
    }
    let mut names = message.split('`').skip(1).step_by(2);
    Some((names.next()?, names.collect()))
}

/// A value of an option that makes no sense.
fn refused(option: &str, message: String, hint: impl Into<String>) -> Result<()> {
    Err(Error::usage(message).at(option).hint(hint))
}

/// More reference models than anyone trains; a larger number is a slip.
const MAXIMUM_MODELS: usize = 1_000_000;

/// Fewer reference models leave less than two OUT models when one half selects and a pair
/// of the other is left out.
pub const MINIMUM_MODELS: usize = 12;

#[cfg(test)]
mod tests;
