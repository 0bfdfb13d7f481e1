//! `giveaway.toml`: everything that the command line can say, in a file.
//!
//! The tables of an audit's configuration (`[data]`, `[reference]`, `[target]`, `[test]`) are those
//! of `run.toml`. Besides there may be a table for each command, such as `[audit]` or
//! `[explain]`, whose keys are that command's options: they are put before what was typed, so the
//! command line has the last word.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{ArgAction, CommandFactory};
use giveaway::Result;
use giveaway::error::Error;
use giveaway::run::config::Config;
use giveaway::suggest::nearest;

use crate::arguments::Arguments;

/// The name under which a configuration is found in the current directory.
pub(crate) const NAME: &str = "giveaway.toml";

/// Commands whose options a configuration may hold. `reference` is not among them: `[reference]`
/// are the reference models of an audit.
pub(crate) const COMMANDS: [&str; 5] = ["audit", "attack", "explain", "defend", "report"];

/// Options that mean nothing in a file.
const NOT_IN_FILES: [&str; 3] = ["config", "help", "version"];

/// What a configuration says besides that of an audit.
#[derive(Debug, Default)]
pub(crate) struct ConfigFile {
    /// The configuration of an audit, without the tables of commands.
    pub(crate) audit: toml::Table,
    /// Options by command.
    commands: toml::Table,
    /// What was read, whose lines errors name.
    text: String,
}

impl ConfigFile {
    /// Reads a configuration.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| Error::io("read the configuration", path, &e))?;
        Self::parse(&text).map_err(|e| e.at(path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut audit: toml::Table = toml::from_str(text).map_err(|e| {
            Error::usage(format!("not a configuration: {}", e.to_string().trim_end()))
                .hint("it is a TOML file; `giveaway init` writes one that shows every key")
        })?;
        let mut commands = toml::Table::new();
        for command in COMMANDS {
            if let Some(options) = audit.remove(command) {
                commands.insert(command.to_owned(), options);
            }
        }
        let text = text.to_owned();
        Ok(Self {
            audit,
            commands,
            text,
        })
    }

    /// The configuration of an audit.
    pub(crate) fn config(self) -> Result<Config> {
        if self.commands.is_empty() {
            return Config::from_toml(&self.text);
        }
        Config::from_table(self.audit)
    }

    /// The options of a command as they would be typed, without those that were.
    fn typed(&self, command: &str, typed: &[OsString]) -> Result<Vec<OsString>> {
        let Some(options) = self.commands.get(command) else {
            return Ok(Vec::new());
        };
        let place = |key: &str| format!("[{command}] {key}");
        let Some(options) = options.as_table() else {
            return Err(
                Error::usage(format!("`{command}` is a table of that command's options")).hint(
                    format!("write [{command}] and below it a line for each option"),
                ),
            );
        };
        let parser = Arguments::command();
        let known = parser
            .find_subcommand(command)
            .ok_or_else(|| Error::unexpected(format!("no command {command}")))?;
        let mut arguments = Vec::new();
        for (key, value) in options {
            let argument = known
                .get_arguments()
                .find(|argument| argument.get_long() == Some(key.as_str()))
                .filter(|_| !NOT_IN_FILES.contains(&key.as_str()));
            let Some(argument) = argument else {
                let names: Vec<&str> = known
                    .get_arguments()
                    .filter_map(clap::Arg::get_long)
                    .filter(|name| !NOT_IN_FILES.contains(name))
                    .collect();
                return Err(unknown_key(key, &names).at(place(key)));
            };
            let flag = format!("--{key}");
            let is_typed = typed.iter().any(|given| {
                given
                    .to_str()
                    .is_some_and(|given| given == flag || given.starts_with(&format!("{flag}=")))
            });
            if is_typed {
                continue;
            }
            let takes_none = matches!(argument.get_action(), ArgAction::SetTrue);
            match (takes_none, value) {
                (true, toml::Value::Boolean(true)) => arguments.push(flag.into()),
                (true, toml::Value::Boolean(false)) => {}
                (true, _) => {
                    return Err(Error::usage("is true or false")
                        .at(place(key))
                        .hint(format!("write {key} = true")));
                }
                (false, toml::Value::Array(values)) => {
                    for value in values {
                        arguments.push(
                            format!(
                                "{flag}={}",
                                text_of(value).ok_or_else(|| not_a_value(&place(key)))?
                            )
                            .into(),
                        );
                    }
                }
                (false, value) => {
                    arguments.push(
                        format!(
                            "{flag}={}",
                            text_of(value).ok_or_else(|| not_a_value(&place(key)))?
                        )
                        .into(),
                    );
                }
            }
        }
        Ok(arguments)
    }
}

/// A value as it would be typed.
fn text_of(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        _ => None,
    }
}

fn not_a_value(place: &str) -> Error {
    Error::usage("is a text, a number or a list of them")
        .at(place.to_owned())
        .hint("write it as it would be typed, in quotes")
}

/// An unknown key, with the known one that is most like it.
pub(crate) fn unknown_key(key: &str, known: &[&str]) -> Error {
    let error = Error::usage(format!("unknown key `{key}`"));
    match nearest(key, known.iter().copied()) {
        Some(name) => error.hint(format!("did you mean `{name}`?")),
        None => error.hint(format!("known are {}", known.join(", "))),
    }
}

/// The configuration that counts: the one named with `--config`, or else that of the current
/// directory; that of a finished run is not looked for here.
pub(crate) fn chosen(named: Option<&PathBuf>) -> Option<PathBuf> {
    named.cloned().or_else(|| {
        let here = PathBuf::from(NAME);
        here.is_file().then_some(here)
    })
}

/// What was typed, with the options that the configuration has for the command before it.
///
/// # Errors
/// If the configuration cannot be read, or names an option that the command does not have.
pub(crate) fn with_options(typed: Vec<OsString>) -> Result<Vec<OsString>> {
    let Some(command) = typed
        .get(1)
        .and_then(|word| word.to_str())
        .map(str::to_owned)
    else {
        return Ok(typed);
    };
    let mut options = typed.iter().take_while(|word| *word != "--");
    // Help is given whatever the configuration is like.
    if !COMMANDS.contains(&command.as_str()) || options.any(|word| word == "--help" || word == "-h")
    {
        return Ok(typed);
    }
    let named = named_configuration(&typed);
    let Some(path) = chosen(named.as_ref()) else {
        return Ok(typed);
    };
    // A run.toml has no options, and one that is damaged is the run's to complain of.
    let file = ConfigFile::read(&path)?;
    let of = |command: &str| {
        file.typed(command, &typed[2..])
            .map_err(|e| e.at(path.display()))
    };
    // A slip in the table of another command would show hours later.
    for other in COMMANDS {
        of(other)?;
    }
    let options = of(&command)?;
    let mut all = typed;
    all.splice(2..2, options);
    Ok(all)
}

/// What was typed after `--config`.
fn named_configuration(typed: &[OsString]) -> Option<PathBuf> {
    let mut words = typed.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            return None;
        }
        if word == "--config" {
            return words.next().map(PathBuf::from);
        }
        if let Some(path) = word.to_str().and_then(|w| w.strip_prefix("--config=")) {
            return Some(PathBuf::from(path));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn options(toml: &str, command: &str, line: &str) -> Result<Vec<String>> {
        let options = ConfigFile::parse(toml)?.typed(command, &typed(line))?;
        Ok(options
            .into_iter()
            .map(|word| word.into_string().unwrap())
            .collect())
    }

    #[test]
    fn options_of_a_command_are_typed_for_it() {
        let toml = "seed = 3\n[explain]\nneighbours = 5\nno-map = true\nquiet = false\nby = [\"a\", \"b c\"]\n";
        assert_eq!(
            options(toml, "explain", "run").unwrap(),
            ["--by=a", "--by=b c", "--neighbours=5", "--no-map"]
        );
        assert!(options(toml, "report", "run").unwrap().is_empty());
        // the command line has the last word
        assert_eq!(
            options(toml, "explain", "run --neighbours 7 --by=c").unwrap(),
            ["--no-map"]
        );
        assert_eq!(
            ConfigFile::parse(toml).unwrap().audit,
            toml::from_str::<toml::Table>("seed = 3").unwrap()
        );
    }

    #[test]
    fn unknown_options_are_refused_with_a_suggestion() {
        for (toml, says) in [
            ("[explain]\nneighbors = 5\n", "did you mean `neighbours`?"),
            (
                "[audit]\nfail_on = \"records>0\"\n",
                "did you mean `fail-on`?",
            ),
            ("[audit]\nconfig = \"x\"\n", "known are"),
            ("[audit]\nquiet = 3\n", "write quiet = true"),
            ("[audit]\nfail-on = {a = 1}\n", "in quotes"),
            ("audit = 3\n", "write [audit]"),
        ] {
            let command = if toml.contains("explain") {
                "explain"
            } else {
                "audit"
            };
            let error = options(toml, command, "").unwrap_err();
            assert!(
                error.hint_text().unwrap().contains(says),
                "{toml}: {error:?}"
            );
        }
    }

    #[test]
    fn help_needs_no_configuration() {
        for line in ["--help", "-h"].map(|help| format!("giveaway audit --config no.toml {help}")) {
            assert_eq!(with_options(typed(&line)).unwrap(), typed(&line));
        }
        assert!(with_options(typed("giveaway audit --config no.toml -- -h")).is_err());
    }

    #[test]
    fn the_file_named_is_the_one_read() {
        assert_eq!(
            named_configuration(&typed("giveaway audit --config a.toml x")),
            Some("a.toml".into())
        );
        assert_eq!(
            named_configuration(&typed("giveaway audit --config=b.toml")),
            Some("b.toml".into())
        );
        assert_eq!(
            named_configuration(&typed("giveaway audit -- --config b")),
            None
        );
    }
}
