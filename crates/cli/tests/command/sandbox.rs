//! A folder of its own for each test, and the command run in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// Reference models that train in a moment, where a command does not say otherwise.
const QUICK: [(&str, &str); 4] = [
    ("--hidden", "none"),
    ("--models", "12"),
    ("--epochs", "2"),
    ("--threads", "1"),
];

/// Prefix of unfinished files in a run directory.
pub(crate) const UNFINISHED: &str = ".giveaway-unfinished-";

/// An empty folder in which the command runs.
pub(crate) struct Sandbox {
    folder: TempDir,
}

/// What the command left behind.
pub(crate) struct Finished {
    pub(crate) line: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// The path of a file in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// The command with the arguments of `line`, which are separated by blanks.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_giveaway"));
        command
            .args(line.split_whitespace())
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, line: &str) -> Finished {
        finished(line, self.command(line).output().unwrap())
    }

    /// An audit of few, small models.
    pub(crate) fn audit(&self, rest: &str) -> Finished {
        self.run(&quick(rest))
    }

    /// An audit that must succeed without a word on standard error; returns its report.
    pub(crate) fn report(&self, rest: &str) -> serde_json::Value {
        let done = self.audit(&format!("{rest} --json"));
        done.succeeded();
        serde_json::from_str(&done.stdout).unwrap()
    }

    /// The report in a run directory.
    pub(crate) fn written_report(&self, run: &str) -> serde_json::Value {
        let text = std::fs::read_to_string(self.path(run).join("report.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Every file below a directory that does not say when it was made, with its content.
    pub(crate) fn contents(&self, directory: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let root = self.path(directory);
        files(&root)
            .into_iter()
            .filter(|path| !path.ends_with("events.jsonl") && !path.ends_with(".lock"))
            .map(|path| {
                let content = std::fs::read(&path).unwrap();
                (path.strip_prefix(&root).unwrap().to_path_buf(), content)
            })
            .collect()
    }

    /// No result and nothing unfinished is anywhere in the folder.
    pub(crate) fn holds_no_result(&self) {
        for path in files(self.folder.path()) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            assert!(
                !["records.parquet", "neighbours.parquet", "report.json"].contains(&name.as_str())
                    && !name.starts_with(UNFINISHED),
                "left behind: {}",
                path.display()
            );
        }
    }
}

/// The command line of an audit of few, small models.
pub(crate) fn quick(rest: &str) -> String {
    let mut line = format!("audit {rest}");
    for (option, value) in QUICK {
        if !rest.split_whitespace().any(|word| word == option) {
            line.extend([" ", option, " ", value]);
        }
    }
    line
}

pub(crate) fn finished(line: &str, output: Output) -> Finished {
    Finished {
        line: line.to_owned(),
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Every file below a directory.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

impl Finished {
    /// Done, and nothing to complain about.
    pub(crate) fn succeeded(&self) -> &Self {
        assert_eq!(self.code, Some(0), "{}\n{}", self.line, self.stderr);
        assert_eq!(self.stderr, "", "{}", self.line);
        assert!(!self.stdout.is_empty(), "{}", self.line);
        self
    }

    /// Refused with this exit code, an error that says all of `words` and a hint, and no output.
    pub(crate) fn refused(&self, code: i32, words: &[&str]) -> &Self {
        let Self { line, stderr, .. } = self;
        assert_eq!(self.code, Some(code), "{line}\n{stderr}");
        assert_eq!(self.stdout, "", "{line}");
        assert!(!stderr.contains("panicked"), "{line}\n{stderr}");
        assert!(stderr.starts_with("error: "), "{line}\n{stderr}");
        for word in words {
            assert!(
                stderr.contains(word),
                "no {word:?} in the answer to\n{line}\n{stderr}"
            );
        }
        // clap's own hint is how to get help
        assert!(
            stderr.contains("\nhint: ") || stderr.contains("--help"),
            "no hint\n{line}\n{stderr}"
        );
        self
    }
}
