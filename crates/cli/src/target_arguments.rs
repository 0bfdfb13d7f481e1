//! The options that name the model under audit and how it is asked.

use std::path::PathBuf;

use clap::Args;
use giveaway::Result;
use giveaway::error::Error;
use giveaway::run::config::{Config, TargetConfig};

use crate::arguments::{OutputKindName, set_some, whole};

#[derive(Debug, Args)]
#[command(next_help_heading = "Target")]
pub(crate) struct TargetOptions {
    /// The target's output on every record (NPY, CSV or Parquet, a row per record and a
    /// column per class, or a column of classes); without any target one is trained on half of
    /// the records
    #[arg(long, value_name = "FILE")]
    target_outputs: Option<PathBuf>,
    /// A model in an ONNX file, which is asked about every record
    #[arg(long, value_name = "FILE")]
    target_onnx: Option<PathBuf>,
    /// A model behind HTTP, which is asked about every record
    #[arg(long, value_name = "URL")]
    target_url: Option<String>,
    /// A command that reads a file of records and writes their probabilities:
    /// 'python predict.py' gets --predict FILE --output FILE
    #[arg(long, value_name = "COMMAND")]
    target_command: Option<String>,
    /// What is spoken with the service: v2 (`KServe`, Triton, `MLServer`), tf-serving, or json as a
    /// configuration describes it
    #[arg(long, value_name = "NAME", value_parser = ["v2", "tf-serving", "json"])]
    protocol: Option<String>,
    /// The model's name at the service
    #[arg(long, value_name = "NAME")]
    model_name: Option<String>,
    /// The output that has the probabilities, where the target has several
    #[arg(long, value_name = "NAME")]
    target_output: Option<String>,
    /// What the target takes: the columns as they are in the file (raw), or the numbers that the
    /// reference models see (encoded)
    #[arg(long, value_name = "FORM", value_parser = ["raw", "encoded"])]
    target_form: Option<String>,
    /// The variable of the environment that holds a bearer token
    #[arg(long, value_name = "VARIABLE")]
    token_env: Option<String>,
    /// The file that holds a bearer token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Queries in all, retries included, each a record; where there are more records, a random
    /// part of them is audited
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u64>)]
    max_queries: Option<u64>,
    /// Records in one request
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    query_batch: Option<usize>,
    /// Requests at the same time
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    concurrency: Option<usize>,
    /// Seconds to wait for one answer
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    timeout: Option<f64>,
    /// How often a failed request to a service is made again; 8 times by default
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u32>)]
    retries: Option<u32>,
    /// Requests per second, at most
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    requests_per_second: Option<f64>,
    /// The target's training records: an NPY mask or list of record numbers, or a text
    /// with a record number (from 0), or an id, per line
    #[arg(long, value_name = "FILE")]
    members: Option<PathBuf>,
    /// What the outputs are, where it is not to be found out from the numbers
    #[arg(long, value_enum)]
    output_kind: Option<OutputKindName>,
}

/// A kind of target that has a table of settings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    Onnx,
    Command,
}

impl TargetOptions {
    pub(crate) fn apply(&self, config: &mut Config) -> Result<()> {
        self.name_target(config);
        self.apply_settings(config)?;
        let target = &config.target;
        if self.output_kind.is_some() && !target.is_given() {
            return Err(
                Error::usage("says what outputs are that are not given")
                    .at("--output-kind")
                    .hint("name a target, such as with --target-outputs, or leave --output-kind out to train one here"),
            );
        }
        Ok(())
    }

    /// A target that is named here takes the place of one that a configuration names: the command
    /// line has the last word.
    fn forget_others(&self, target: &mut TargetConfig) {
        let is_asked = self.target_onnx.is_some()
            || self.target_url.is_some()
            || self.target_command.is_some();
        if self.target_outputs.is_none() && !is_asked {
            return;
        }
        if self.target_outputs.is_none() {
            target.outputs = None;
        }
        if self.target_onnx.is_none() {
            target.onnx = None;
        }
        if self.target_url.is_none() {
            target.http = None;
        }
        if self.target_command.is_none() {
            target.command = None;
        }
        target.output_kind = None;
        if !is_asked {
            target.max_queries = None;
            target.retries = None;
            target.requests_per_second = None;
        }
    }

    /// Which target it is.
    fn name_target(&self, config: &mut Config) {
        let target = &mut config.target;
        self.forget_others(target);
        set_some(&mut target.outputs, self.target_outputs.clone());
        set_some(&mut target.members, self.members.clone());
        set_some(&mut target.output_kind, self.output_kind);
        set_some(&mut target.max_queries, self.max_queries);
        set_some(&mut target.retries, self.retries);
        set_some(&mut target.requests_per_second, self.requests_per_second);
        let text = |value: &str| toml::Value::String(value.to_owned());
        let path = |value: &PathBuf| toml::Value::String(value.display().to_string());
        if let Some(url) = &self.target_url {
            let table = target.http.get_or_insert_default();
            table.insert("url".to_owned(), text(url));
        }
        if let Some(file) = &self.target_onnx {
            let table = target.onnx.get_or_insert_default();
            table.insert("path".to_owned(), path(file));
        }
        if let Some(command) = &self.target_command {
            let table = target.command.get_or_insert_default();
            table.insert("command".to_owned(), text(command));
        }
    }

    /// The settings that kinds of targets have in their tables.
    fn apply_settings(&self, config: &mut Config) -> Result<()> {
        let target = &mut config.target;
        let text = |value: &str| toml::Value::String(value.to_owned());
        let path = |value: &PathBuf| toml::Value::String(value.display().to_string());
        let number = |value: usize| i64::try_from(value).ok().map(toml::Value::Integer);
        let any = &[Kind::Http, Kind::Onnx, Kind::Command][..];
        let settings: [(&str, &str, Option<toml::Value>, &[Kind]); 9] = [
            (
                "--protocol",
                "protocol",
                self.protocol.as_deref().map(text),
                &[Kind::Http],
            ),
            (
                "--model-name",
                "model",
                self.model_name.as_deref().map(text),
                &[Kind::Http],
            ),
            (
                "--token-env",
                "token-env",
                self.token_env.as_deref().map(text),
                &[Kind::Http],
            ),
            (
                "--token-file",
                "token-file",
                self.token_file.as_ref().map(path),
                &[Kind::Http],
            ),
            (
                "--target-output",
                "output",
                self.target_output.as_deref().map(text),
                &[Kind::Http, Kind::Onnx],
            ),
            (
                "--target-form",
                "form",
                self.target_form.as_deref().map(text),
                any,
            ),
            (
                "--query-batch",
                "batch-size",
                self.query_batch.and_then(number),
                any,
            ),
            (
                "--concurrency",
                "concurrency",
                self.concurrency.and_then(number),
                any,
            ),
            (
                "--timeout",
                "timeout",
                self.timeout.map(toml::Value::Float),
                &[Kind::Http, Kind::Command],
            ),
        ];
        for (option, key, value, kinds) in settings {
            let Some(value) = value else { continue };
            let table = [
                (Kind::Http, &mut target.http),
                (Kind::Onnx, &mut target.onnx),
                (Kind::Command, &mut target.command),
            ]
            .into_iter()
            .filter(|(kind, _)| kinds.contains(kind))
            .find_map(|(kind, table)| Some((kind, table.as_mut()?)));
            let Some((kind, table)) = table else {
                return Err(Error::usage("is about a target that is asked, and there is none that has such a setting")
                    .at(option)
                    .hint(if kinds == [Kind::Http] {
                        "name a service with --target-url, or leave it out"
                    } else {
                        "name a target with --target-url, --target-onnx or --target-command, or leave it out"
                    }));
            };
            // What a command gets is called as with a trainer.
            let key = match (kind, key) {
                (Kind::Command, "form") => "records",
                _ => key,
            };
            table.insert(key.to_owned(), value);
        }
        Ok(())
    }
}
