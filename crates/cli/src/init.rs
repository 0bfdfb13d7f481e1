//! `giveaway init`: a commented configuration for a data file.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Args, CommandFactory};
use giveaway::Result;
use giveaway::dataset::{Body, ColumnKind, Table};
use giveaway::error::Error;
use giveaway::run::config::Config;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::arguments::{Arguments, RecordOptions, source};
use crate::config_file::{COMMANDS, NAME};
use crate::exit_code;
use crate::terminal::{print_data, print_line};

#[derive(Debug, Args)]
pub(crate) struct InitOptions {
    /// The data file, or the name of a shipped data set; Adult by default
    data: Option<String>,
    #[command(flatten)]
    records: RecordOptions,
    /// Where to write it
    #[arg(long, value_name = "FILE", default_value = NAME)]
    out: PathBuf,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
    /// Print the JSON Schema of configurations, for editors, and write nothing
    #[arg(long)]
    schema: bool,
}

/// Writes the configuration, or prints the schema.
pub(crate) fn init(options: &InitOptions) -> Result<ExitCode> {
    if options.schema {
        let text = serde_json::to_string_pretty(&schema())
            .map_err(|e| Error::unexpected(format!("cannot write the schema: {e}")))?;
        print_data(&format!("{text}\n"))?;
        return Ok(ExitCode::from(exit_code::DONE));
    }
    if options.out.exists() && !options.force {
        return Err(Error::usage("there is such a file already")
            .at(options.out.display())
            .hint("write to another with --out, or over it with --force"));
    }
    let mut config = Config::default();
    if let Some(data) = &options.data {
        config.data.source = source(data);
    }
    options.records.apply(&mut config);
    let table = giveaway::run::pool::read_source(&config)?;
    if config.data.label.is_none() {
        config.data.label = label_of(&table, &config);
    }
    let text = commented(&config, &table)?;
    std::fs::write(&options.out, text)
        .map_err(|e| Error::io("write the configuration", &options.out, &e))?;
    let place = options.out.display();
    print_data(&format!("{place}\n"))?;
    print_line(&format!(
        "written; look at it, then: giveaway audit{}",
        if options.out.as_os_str() == NAME {
            String::new()
        } else {
            format!(" --config {place}")
        }
    ));
    Ok(ExitCode::from(exit_code::DONE))
}

/// A shipped data set knows its label; the file says it, so that the reader sees it.
fn label_of(_table: &Table, config: &Config) -> Option<String> {
    let name = config.data.source.strip_prefix("shipped:")?;
    let shipped = giveaway::dataset::shipped();
    let data = shipped.iter().find(|data| data.name == name)?;
    Some(data.label.to_owned())
}

/// What the settings of a configuration mean, from the doc comments of its types.
fn meanings() -> Map<String, Value> {
    let mut schema = match inlined::<Config>() {
        Value::Object(object) => object,
        _ => Map::new(),
    };
    // The audit does not know the settings of targets that other crates reach.
    let target = schema
        .get_mut("properties")
        .and_then(|properties| properties.get_mut("target"))
        .and_then(|target| target.get_mut("properties"));
    if let Some(target) = target {
        for (key, settings) in [
            ("http", inlined::<giveaway_remote::Endpoint>()),
            ("onnx", inlined::<giveaway_onnx::OnnxSettings>()),
            (
                "command",
                inlined::<giveaway::target::CommandTargetSettings>(),
            ),
        ] {
            if let Some(slot) = target.get_mut(key) {
                *slot = settings;
            }
        }
    }
    schema
}

/// The schema of a type, with everything in its place.
fn inlined<T: schemars::JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
    settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

/// The configuration with every key that could be set: those that are not the usual ones as they
/// are, the others as comments.
fn commented(config: &Config, table: &Table) -> Result<String> {
    let mut text = String::new();
    let mut line = |words: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{words}");
    };
    line("# The configuration of an audit: `giveaway audit` in this directory reads it.");
    line("# What stands behind # is the usual value, or an example; take the # away to change it.");
    line(
        "# The command line has the last word. For editors: giveaway init --schema > giveaway.schema.json",
    );
    line("#:schema giveaway.schema.json");
    line("#");
    line(&format!(
        "# {}: {} records; classes: {}",
        table.name,
        table.len(),
        shortened(&table.classes)
    ));
    for column in columns(table) {
        line(&format!("#   {column}"));
    }
    let usual = serde_json::to_value(Config::default())
        .map_err(|e| Error::unexpected(format!("cannot write the configuration: {e}")))?;
    let set = serde_json::to_value(config)
        .map_err(|e| Error::unexpected(format!("cannot write the configuration: {e}")))?;
    let meanings = Value::Object(meanings());
    section(&mut text, "", &meanings, &usual, &set, false);
    text.push_str(
        "\n# Options of commands, as they would be typed; the same for [explain], [defend], [report]:\n\
         # [audit]\n# fail-on = [\"records>0\"]\n# threads = 2\n",
    );
    Ok(text)
}

fn shortened(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut text = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN {
        let _ = write!(text, " and {} more", names.len() - SHOWN);
    }
    text
}

/// The columns of a table with their types; of many the first.
fn columns(table: &Table) -> Vec<String> {
    const SHOWN: usize = 100;
    let all: Vec<String> = match &table.body {
        Body::Columns(columns) => columns
            .iter()
            .map(|column| {
                let kind = match column.kind {
                    ColumnKind::Number => "numbers",
                    ColumnKind::Whole => "whole numbers",
                    ColumnKind::Text => "texts",
                    ColumnKind::Truth => "true or false",
                };
                format!("{}: {kind}", column.name)
            })
            .collect(),
        Body::Dense { names, .. } => vec![format!("{} features, all numbers", names.len())],
    };
    let more = all.len().saturating_sub(SHOWN);
    let mut shown: Vec<String> = all.into_iter().take(SHOWN).collect();
    if more > 0 {
        shown.push(format!("and {more} more columns"));
    }
    shown
}

/// Writes one table: its keys, then the tables below it.
///
/// An optional table does something by being there: all of it is a comment.
fn section(
    text: &mut String,
    path: &str,
    meanings: &Value,
    usual: &Value,
    set: &Value,
    optional: bool,
) {
    let Some(properties) = meanings.get("properties").and_then(Value::as_object) else {
        return;
    };
    let is_table = |value: &Value| value.get("properties").is_some();
    let is_set = |key: &String| {
        let value = set.get(key).filter(|value| !value.is_null());
        value.is_some_and(|value| Some(value) != usual.get(key))
    };
    let mut plain: Vec<(&String, &Value)> = properties
        .iter()
        .filter(|(_, meaning)| !is_table(meaning))
        .collect();
    // what is set comes first
    plain.sort_by_key(|(key, _)| !is_set(key));
    let mut keys = String::new();
    for (key, meaning) in plain {
        for words in description(meaning).lines() {
            let _ = writeln!(keys, "# {words}");
        }
        let values = choices(meaning);
        if !values.is_empty() {
            let _ = writeln!(keys, "# One of: {}", values.join(", "));
        }
        let (usual, set) = (usual.get(key), set.get(key));
        match set.filter(|set| Some(*set) != usual).and_then(written) {
            Some(value) => {
                let _ = writeln!(keys, "{key} = {value}");
            }
            // of a table that is not there by default the schema knows what is usual
            None => match usual.or(meaning.get("default")).and_then(written) {
                Some(value) => {
                    let _ = writeln!(keys, "# {key} = {value}");
                }
                None => {
                    let _ = writeln!(keys, "# {key} = (not set)");
                }
            },
        }
    }
    if path.is_empty() {
        text.push('\n');
    } else {
        let what = description(meanings).lines().next().unwrap_or_default();
        let hidden = if optional { "# " } else { "" };
        let _ = writeln!(text, "\n# {what}\n{hidden}[{path}]");
    }
    text.push_str(&keys);
    for (key, meaning) in properties.iter().filter(|(_, meaning)| is_table(meaning)) {
        let below = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        section(
            text,
            &below,
            meaning,
            usual.get(key).unwrap_or(&Value::Null),
            set.get(key).unwrap_or(&Value::Null),
            optional || usual.get(key).is_none_or(Value::is_null),
        );
    }
}

fn description(meaning: &Value) -> &str {
    meaning
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The words that a setting may be, where it is one of some.
fn choices(meaning: &Value) -> Vec<String> {
    let one = |value: &Value| -> Vec<String> {
        value
            .get("const")
            .and_then(Value::as_str)
            .map(|word| vec![format!("\"{word}\"")])
            .or_else(|| {
                let words = value.get("enum")?.as_array()?.iter();
                Some(
                    words
                        .filter_map(Value::as_str)
                        .map(|w| format!("\"{w}\""))
                        .collect(),
                )
            })
            .unwrap_or_default()
    };
    let mut all = one(meaning);
    for list in ["oneOf", "anyOf"] {
        for value in meaning
            .get(list)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            all.extend(one(value));
            for value in value
                .get("oneOf")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                all.extend(one(value));
            }
        }
    }
    all
}

/// A value as TOML has it on one line; nothing of null.
fn written(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::Array(values) => {
            let values: Option<Vec<String>> = values.iter().map(written).collect();
            format!("[{}]", values?.join(", "))
        }
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .filter_map(|(key, value)| Some(format!("{key} = {}", written(value)?)))
                .collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::String(text) => toml::Value::String(text.clone()).to_string(),
        Value::Number(number) if number.is_f64() => {
            let number = number.as_f64()?;
            // a float32 in the fewest digits that mean it
            if f64::from(number as f32).to_bits() == number.to_bits() {
                format!("{:?}", number as f32)
            } else {
                format!("{number:?}")
            }
        }
        other => other.to_string(),
    })
}

/// The schema of configurations: that of an audit, with a table of options for each command.
pub(crate) fn schema() -> Value {
    let mut schema = meanings();
    let parser = Arguments::command();
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        for command in COMMANDS {
            let Some(known) = parser.find_subcommand(command) else {
                continue;
            };
            let options: Map<String, Value> = known
                .get_arguments()
                .filter_map(|argument| {
                    let long = argument.get_long()?;
                    if matches!(long, "config" | "help" | "version") {
                        return None;
                    }
                    let of = if matches!(argument.get_action(), ArgAction::SetTrue) {
                        json!({ "type": "boolean" })
                    } else {
                        json!({ "type": ["string", "number", "array"] })
                    };
                    let mut of = of;
                    of["description"] = json!(argument.get_help().map(ToString::to_string));
                    Some((long.to_owned(), of))
                })
                .collect();
            properties.insert(
                command.to_owned(),
                json!({
                    "type": "object",
                    "description": format!("Options of `giveaway {command}`."),
                    "properties": options,
                    "additionalProperties": false,
                }),
            );
        }
    }
    schema.insert("title".to_owned(), json!("giveaway.toml"));
    Value::Object(schema)
}

#[cfg(test)]
mod tests {
    use super::*;
    use giveaway::dataset::TableOptions;

    fn breast_cancer() -> Table {
        Table::shipped("breast-cancer", &TableOptions::default()).unwrap()
    }

    #[test]
    fn what_is_written_is_read_as_what_was_meant() {
        let mut config = Config {
            seed: 7,
            ..Config::default()
        };
        config.data.source = "shipped:breast-cancer".to_owned();
        config.data.label = Some("diagnosis".to_owned());
        config.reference.hidden = vec![8];
        let text = commented(&config, &breast_cancer()).unwrap();
        assert_eq!(Config::from_toml(&text).unwrap(), config, "{text}");
    }

    /// The comments are true: every usual value that they show is the usual value.
    #[test]
    fn comments_taken_away_change_nothing() {
        let text = commented(&Config::default(), &breast_cancer()).unwrap();
        let (settings, options) = text.split_once("# Options of commands").unwrap();
        let is_setting = |setting: &str| {
            let key = setting.split(" = ").next().unwrap_or_default();
            setting.contains(" = ")
                && !key.contains(' ')
                && !key.is_empty()
                && !setting.ends_with("(not set)")
        };
        // A table that is a comment is switched on by its header, and stays one.
        let mut is_in_comment = false;
        let mut all = String::new();
        for line in settings.lines() {
            if line.starts_with('[') || line.starts_with("# [") {
                is_in_comment = line.starts_with('#');
            }
            let setting = line
                .strip_prefix("# ")
                .filter(|setting| is_setting(setting));
            let setting = setting.filter(|_| !is_in_comment);
            writeln!(all, "{}", setting.unwrap_or(line)).unwrap();
        }
        assert_eq!(Config::from_toml(&all).unwrap(), Config::default(), "{all}");
        assert!(all.matches("\nepochs = 20").count() == 1, "{all}");
        assert!(options.contains("[audit]"));
        // Tables that are comments show what is usual in them, too.
        for usual in [
            "trees = 100",
            "rounds = 100",
            "concurrency = 1",
            "protocol = \"v2\"",
        ] {
            assert!(
                settings.contains(&format!("\n# {usual}\n")),
                "{usual}\n{settings}"
            );
        }
    }

    #[test]
    fn the_schema_that_is_kept_is_that_of_the_program() {
        let kept = include_str!("../../../docs/giveaway.schema.json");
        let kept: Value = serde_json::from_str(kept).unwrap();
        assert_eq!(
            kept,
            schema(),
            "giveaway init --schema > docs/giveaway.schema.json"
        );
    }

    #[test]
    fn the_schema_takes_what_the_program_takes_and_refuses_slips() {
        let validator = jsonschema::validator_for(&schema()).unwrap();
        let as_json = |toml: &str| -> Value {
            serde_json::to_value(toml::from_str::<toml::Table>(toml).unwrap()).unwrap()
        };
        let text = commented(&Config::default(), &breast_cancer()).unwrap();
        for good in [
            text.as_str(),
            "seed = 1\n[audit]\nfail-on = [\"records>0\"]\n[explain]\nno-map = true\n",
            "[target.http]\nurl = \"http://localhost\"\nprotocol = \"v2\"\n",
            "[reference]\ntrainer = \"forest\"\n[reference.forest]\ntrees = 3\n",
        ] {
            assert!(validator.is_valid(&as_json(good)), "{good}");
        }
        for slip in [
            "sead = 1\n",
            "[reference]\nmodles = 3\n",
            "[audit]\nfail_on = 3\n",
            "[target.http]\nadress = \"x\"\n",
        ] {
            assert!(!validator.is_valid(&as_json(slip)), "{slip}");
        }
    }
}
