//! A target that is a command of the user: it reads a file of inputs and writes probabilities, or
//! labels. The protocol is in docs/command-trainer.md.
//!
//! ```text
//! python predict.py --predict FILE --output FILE
//! ```

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reading::answers_in;
use super::{Answers, Form, Questions, Refusal, Target};
use crate::error::{Error, ErrorKind, Result};
use crate::process::exchange::{
    OutputFormat, RecordForm, encoded, npy, raw, see_rows, write, write_table, written,
};
use crate::process::{
    CommandLine, Failed, Folder, Job, Scratch, Secrets, keep_for_a_look, option, time_limit,
};

/// In which format a command gets its inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InputFormat {
    /// Parquet, one column for each feature.
    #[default]
    Parquet,
    /// `NumPy`: float32, records × features; encoded records only.
    Npy,
}

/// A command that answers, and how it is called. See docs/command-trainer.md.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct CommandTargetSettings {
    /// The command line: a program and its arguments, split like a shell's words. No shell runs
    /// it. It is stored with the run, so it must hold no secret.
    pub command: String,
    /// In which form it gets records.
    pub records: RecordForm,
    /// In which format it gets them.
    pub input: InputFormat,
    /// In which format it writes its answers; labels as text or Parquet.
    pub output: OutputFormat,
    /// Records that one call gets, at most.
    pub batch_size: usize,
    /// Calls at the same time.
    pub concurrency: usize,
    /// Seconds that one call may take; no limit without.
    pub timeout: Option<f64>,
}

impl Default for CommandTargetSettings {
    fn default() -> Self {
        Self {
            command: String::new(),
            records: RecordForm::default(),
            input: InputFormat::default(),
            output: OutputFormat::default(),
            batch_size: 100_000,
            concurrency: 1,
            timeout: None,
        }
    }
}

/// A target that is asked by calling a command.
#[derive(Debug)]
pub struct CommandTarget {
    settings: CommandTargetSettings,
    line: CommandLine,
    timeout: Option<Duration>,
    classes: Vec<String>,
    secrets: Secrets,
    parent: Option<PathBuf>,
    scratch: Mutex<Option<Arc<Scratch>>>,
}

impl CommandTarget {
    /// A target that tells these classes apart. Its files lie in a folder within `parent`, or
    /// where the system keeps temporary files; secrets are kept from it.
    ///
    /// # Errors
    /// If the command line cannot be understood, or the settings contradict each other.
    pub fn new(
        settings: &CommandTargetSettings,
        classes: &[String],
        secrets: Secrets,
        parent: Option<&Path>,
    ) -> Result<Self> {
        let line = CommandLine::parse(&settings.command)?;
        let timeout = time_limit(settings.timeout)?;
        if settings.input == InputFormat::Npy && settings.records == RecordForm::Raw {
            return Err(Error::usage(
                "an array of numbers cannot hold the original columns of records",
            )
            .at("input")
            .hint("ask for encoded records (records = \"encoded\"), or for Parquet"));
        }
        for (name, value) in [
            ("batch-size", settings.batch_size),
            ("concurrency", settings.concurrency),
        ] {
            if value == 0 {
                return Err(Error::usage("0 records or calls at a time bring no answer")
                    .at(name)
                    .hint("give at least 1"));
            }
        }
        Ok(Self {
            settings: settings.clone(),
            line,
            timeout,
            classes: classes.to_vec(),
            secrets,
            parent: parent.map(Path::to_owned),
            scratch: Mutex::new(None),
        })
    }

    fn folder(&self) -> Result<Folder> {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let scratch = match &mut *scratch {
            Some(scratch) => scratch,
            empty => empty.insert(Arc::new(Scratch::new(self.parent.as_deref())?)),
        };
        scratch.folder()
    }

    /// Writes the questions: their file.
    fn write(&self, questions: &Questions, folder: &Folder) -> Result<PathBuf> {
        let file = |name: &str| folder.path().join(name);
        match (self.settings.input, self.settings.records) {
            (InputFormat::Npy, _) => {
                let path = file("predict.npy");
                write(&path, &npy(&questions.features))?;
                Ok(path)
            }
            (InputFormat::Parquet, records) => {
                let path = file("predict.parquet");
                let columns = match records {
                    RecordForm::Raw => raw(&questions.columns, None),
                    RecordForm::Encoded => encoded(questions.features.view(), None, None),
                };
                write_table(&path, &columns)?;
                Ok(path)
            }
        }
    }

    fn read(&self, path: &Path, rows: usize) -> Result<Answers> {
        let answers = answers_in(written(path)?, rows, &self.classes)?;
        see_rows(answers.len(), rows)?;
        Ok(answers)
    }
}

impl Target for CommandTarget {
    fn name(&self) -> String {
        format!("the command `{}`", self.line.text())
    }

    fn form(&self) -> Form {
        self.settings.records.into()
    }

    fn batch_size(&self) -> usize {
        self.settings.batch_size
    }

    fn concurrency(&self) -> usize {
        self.settings.concurrency
    }

    /// A command that fails would fail again: it is not tried twice.
    fn ask(&self, questions: &Questions) -> std::result::Result<Answers, Refusal> {
        let unsent = |error: Error| Refusal::lasting(error).not_sent();
        let folder = self.folder().map_err(unsent)?;
        let input = self.write(questions, &folder).map_err(unsent)?;
        let name = format!("output.{}", self.settings.output.extension());
        let output = folder.path().join(name);
        let mut arguments: Vec<_> = option("--predict", &input).into();
        arguments.extend(option("--output", &output));
        let job = Job {
            line: &self.line,
            arguments: &arguments,
            secrets: &self.secrets,
            timeout: self.timeout,
            siblings: None,
        };
        if let Err(failed) = job.run() {
            let is_unsent = matches!(failed, Failed::NotStarted(_));
            let has_files = matches!(failed, Failed::Status(..) | Failed::TimedOut(..));
            if has_files {
                keep_for_a_look(&folder, &job, failed.said());
            }
            let files = has_files.then_some(folder.path());
            let refusal = Refusal::lasting(failed.into_error(ErrorKind::Target, &self.line, files));
            return Err(if is_unsent {
                refusal.not_sent()
            } else {
                refusal
            });
        }
        self.read(&output, questions.len()).map_err(|error| {
            keep_for_a_look(&folder, &job, "");
            let place = format!("output of {}, {}", self.name(), output.display());
            let said = Error::new(ErrorKind::Target, error.to_string()).at(place);
            Refusal::lasting(match error.hint_text() {
                Some(hint) => said.hint(hint),
                None => said,
            })
        })
    }
}

#[cfg(all(test, unix))]
#[expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as tests may"
)]
mod tests {
    use super::*;
    use crate::target::{Delivery, QuestionColumn, QuestionValues};
    use ndarray::array;

    fn questions() -> Questions {
        Questions {
            features: array![[0.5, 1.0], [-1.5, 0.0], [2.0, 1.0]],
            feature_names: vec!["age".to_owned(), "sex = m".to_owned()],
            columns: vec![QuestionColumn {
                name: "age".to_owned(),
                values: QuestionValues::Whole(vec![Some(30), Some(20), None]),
            }],
        }
    }

    /// A command that runs this script: its arguments are --predict, $2, --output, $4.
    fn target(
        script: &str,
        change: impl FnOnce(&mut CommandTargetSettings),
    ) -> (CommandTarget, tempfile::TempDir) {
        let mut settings = CommandTargetSettings {
            command: format!("sh -c '{script}' sh"),
            output: OutputFormat::Csv,
            ..CommandTargetSettings::default()
        };
        change(&mut settings);
        let classes = ["no".to_owned(), "yes".to_owned()];
        let folder = tempfile::tempdir().unwrap();
        let parent = Some(folder.path());
        let target = CommandTarget::new(&settings, &classes, Secrets::default(), parent).unwrap();
        (target, folder)
    }

    #[test]
    fn answers_are_numbers_with_names_or_labels() {
        let ask = |script: &str| target(script, |_| {}).0.ask(&questions()).unwrap();
        assert_eq!(
            ask(r#"printf "yes,no\n.1,.9\n.2,.8\n1,0\n" > $4"#),
            Answers::Numbers {
                values: array![[0.1, 0.9], [0.2, 0.8], [1.0, 0.0]],
                names: Some(vec!["yes".to_owned(), "no".to_owned()]),
            }
        );
        let labels = Answers::Labels(["no", "yes", "no"].map(str::to_owned).to_vec());
        assert_eq!(ask(r#"printf "class\nno\nyes\nno\n" > $4"#), labels);
        assert_eq!(ask(r#"printf "no\nyes\nno\n" > $4"#), labels);
    }

    #[test]
    fn an_array_holds_the_encoded_features() {
        let (target, _folder) = target("cp $2 $4", |settings| {
            settings.records = RecordForm::Encoded;
            settings.input = InputFormat::Npy;
            settings.output = OutputFormat::Npy;
        });
        assert_eq!(target.form(), Form::Encoded);
        let Answers::Numbers { values, names } = target.ask(&questions()).unwrap() else {
            panic!("numbers");
        };
        assert_eq!((values, names), (questions().features, None));
    }

    #[test]
    fn a_table_holds_the_original_columns() {
        // Parquet of numbers comes back as it was asked, the missing one as no number.
        let (target, _folder) = target("cp $2 $4", |settings| {
            settings.output = OutputFormat::Parquet;
        });
        let Answers::Numbers { values, names } = target.ask(&questions()).unwrap() else {
            panic!("numbers");
        };
        assert_eq!(names, Some(vec!["age".to_owned()]));
        assert_eq!(values.column(0).to_vec()[..2], [30.0, 20.0]);
        assert!(values[[2, 0]].is_nan());
    }

    #[test]
    fn failures_last_and_say_whether_questions_were_seen() {
        let refusal = |(target, _folder): (CommandTarget, tempfile::TempDir)| {
            target.ask(&questions()).unwrap_err()
        };
        for (script, expected) in [
            ("echo no model >&2; exit 2", "| no model"),
            ("true", "wrote no such file"),
            (r#"printf "no,yes\n1,0\n" > $4"#, "1 rows of outputs for 3"),
            (r#"printf "no\nyes\n" > $4"#, "2 rows of outputs for 3"),
        ] {
            let refusal = refusal(target(script, |_| {}));
            let said = refusal.error.to_string();
            assert!(said.contains(expected), "{said}");
            assert_eq!(refusal.error.kind(), ErrorKind::Target);
            assert!(refusal.error.hint_text().is_some(), "{said}");
            assert!(!refusal.again && refusal.delivery == Delivery::Sent);
        }
        let missing = refusal(target("", |settings| {
            settings.command = "giveaway-no-such-program".to_owned();
        }));
        assert_eq!(missing.delivery, Delivery::NotSent);
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        let made = |text: &str| {
            let settings: CommandTargetSettings = toml::from_str(text).unwrap();
            CommandTarget::new(&settings, &[], Secrets::default(), None)
        };
        assert!(made("command = 'true'").is_ok());
        for wrong in [
            "",
            "command = 'true'\ninput = 'npy'",
            "command = 'true'\nbatch-size = 0",
            "command = 'true'\nconcurrency = 0",
            "command = 'true'\ntimeout = -1",
        ] {
            assert!(made(wrong).unwrap_err().hint_text().is_some(), "{wrong}");
        }
    }
}
