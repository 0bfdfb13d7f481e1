//! The model under audit, and how it is asked.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reference::files_among;
use super::refused;
use crate::channel::OutputKind;
use crate::error::Result;
use crate::process::Secrets;
use crate::target::asking::Manner;

/// The model under audit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct TargetConfig {
    /// File with the target's output on every record; without it a target is trained here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outputs: Option<PathBuf>,
    /// What the outputs are, where it is not to be found out from the numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_kind: Option<OutputKind>,
    /// File that names the target's training records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<PathBuf>,
    /// Queries of the whole run that a target may be asked; a target known by a file is not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_queries: Option<u64>,
    /// How often a request is made again after failures that may pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// Requests per second, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<f64>,
    /// A service: the settings of the crate giveaway-remote's `Endpoint`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>")]
    pub http: Option<toml::Table>,
    /// An ONNX file: the settings of the crate giveaway-onnx's `OnnxSettings`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>")]
    pub onnx: Option<toml::Table>,
    /// A command: the settings of [`CommandTarget`](crate::target).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>")]
    pub command: Option<toml::Table>,
}

impl TargetConfig {
    /// Whether a model answers that was trained elsewhere.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.outputs.is_some() || self.is_asked()
    }

    /// Whether a model is asked, rather than read of or trained.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.http.is_some() || self.onnx.is_some() || self.command.is_some()
    }

    /// The files of a model that is asked, if it is one: their content counts, and not where they
    /// lie. Beside the file that is named these are the ones whose names begin with its name, as
    /// PyTorch calls the weights that it keeps apart (`model.onnx.data`).
    #[must_use]
    pub fn model_files(&self) -> Vec<PathBuf> {
        let path = self.onnx.as_ref().and_then(|table| table.get("path"));
        let Some(path) = path.and_then(toml::Value::as_str).map(PathBuf::from) else {
            return Vec::new();
        };
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let beside = std::fs::read_dir(folder.unwrap_or(Path::new(".")));
        let mut others: Vec<PathBuf> = beside
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let other = entry.ok()?.path();
                let begins = other.file_name()?.to_string_lossy().into_owned();
                let name = name.as_ref()?;
                (begins.starts_with(name) && begins != *name && other.is_file()).then_some(other)
            })
            .collect();
        others.sort();
        others.insert(0, path);
        others
    }

    /// The words of a target's command that are files: its scripts and models, whose content
    /// counts. What these read in turn is not known.
    #[must_use]
    pub fn command_words(&self) -> Vec<String> {
        let command = self.command.as_ref().and_then(|table| table.get("command"));
        files_among(command.and_then(toml::Value::as_str).unwrap_or_default())
    }

    /// The same target, without what does not change its answers: how it is asked, and where the
    /// files lie.
    #[must_use]
    pub fn what_it_is(&self) -> Self {
        let without = |table: &Option<toml::Table>, keys: &[&str]| {
            let mut table = table.clone()?;
            table.retain(|key, _| !keys.contains(&key));
            Some(table)
        };
        let how = ["batch-size", "concurrency", "timeout"];
        let of_http = [
            &how[..],
            &[
                "token-env",
                "token-file",
                "plain-token",
                "ca-file",
                "max-answer-bytes",
            ],
        ]
        .concat();
        let of_onnx = [&how[..], &["path", "runtime", "threads"]].concat();
        Self {
            output_kind: self.output_kind,
            http: without(&self.http, &of_http),
            onnx: without(&self.onnx, &of_onnx),
            command: without(&self.command, &how),
            ..Self::default()
        }
    }

    /// The secrets of its settings, which children must not inherit and messages not tell.
    #[must_use]
    pub fn secrets(&self) -> Secrets {
        let text = |key: &str| self.http.as_ref()?.get(key)?.as_str();
        let mut variables: Vec<String> = text("token-env").map(str::to_owned).into_iter().collect();
        let settings = self.http.as_ref().map(toml::Table::to_string);
        variables.extend(named_variables(&settings.unwrap_or_default()));
        let values = text("token-file").and_then(|path| std::fs::read_to_string(path).ok());
        Secrets::new(variables, values.into_iter().collect())
    }

    /// How it is asked.
    #[must_use]
    pub fn manner(&self) -> Manner {
        let usual = Manner::default();
        Manner {
            max_queries: self.max_queries,
            retries: self.retries.unwrap_or(usual.retries),
            requests_per_second: self.requests_per_second,
            ..usual
        }
    }

    /// Checks which target is named and how it is asked.
    pub(super) fn check(&self) -> Result<()> {
        let kinds: Vec<&str> = [
            ("--target-outputs", self.outputs.is_some()),
            ("--target-url", self.http.is_some()),
            ("--target-onnx", self.onnx.is_some()),
            ("--target-command", self.command.is_some()),
        ]
        .into_iter()
        .filter_map(|(option, given)| given.then_some(option))
        .collect();
        if let [first, second, ..] = kinds[..] {
            return refused(
                second,
                format!("names a second target beside that of {first}"),
                "audit one model at a time",
            );
        }
        if !self.is_asked() {
            let option = [
                ("--max-queries", self.max_queries.is_some()),
                ("--retries", self.retries.is_some()),
                ("--requests-per-second", self.requests_per_second.is_some()),
            ];
            if let Some((option, _)) = option.into_iter().find(|(_, given)| *given) {
                return refused(
                    option,
                    "says how a target is asked, and none is".to_owned(),
                    "name a target that is asked, such as with --target-url, or leave it out",
                );
            }
        }
        if self.command.is_some() && self.retries.is_some() {
            return refused(
                "--retries",
                "a command that fails is not run again".to_owned(),
                "leave it out; a command that fails now and then can try again by itself",
            );
        }
        if self.max_queries == Some(0) {
            return refused(
                "--max-queries",
                "a target that may not be asked cannot be audited".to_owned(),
                "allow as many queries as there are records, or some thousands for a part of them",
            );
        }
        if let Some(rate) = self.requests_per_second
            && !((1e-4..=1e6).contains(&rate))
        {
            return refused(
                "--requests-per-second",
                format!("{rate} requests per second make no sense"),
                "give a number from 0.0001 to a million, such as 5 or 0.2",
            );
        }
        Ok(())
    }
}

/// The names in `${NAME}` of a text.
fn named_variables(text: &str) -> Vec<String> {
    let parts = text.split("${").skip(1);
    parts
        .filter_map(|part| Some(part.split_once('}')?.0.to_owned()))
        .collect()
}
