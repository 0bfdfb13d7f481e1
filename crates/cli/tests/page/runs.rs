//! Real runs, each made once for all tests.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

/// What the hostile data hold: each must come out as it went in, and as nothing but text.
pub(crate) const HOSTILE: [&str; 9] = [
    "</script><img src=x onerror=alert(1)>",
    "\" onmouseover=\"alert(2)",
    "' onfocus='alert(3)' autofocus='",
    "<!-- <script>alert(4)",
    "]]>&lt;b&gt;&amp;&#39;",
    "{{7*7}}{%raw%}${7*7}",
    "שלום עולם مرحبا",
    "invoice\u{202e}gnp.exe",
    "C:\\new\\u003c \u{2028}\u{2029}",
];

/// The text as giveaway shows it: what would act on its surroundings is written out.
pub(crate) fn shown(text: &str) -> String {
    text.replace('\u{202e}', "\\u{202e}")
        .replace('\u{2028}', "\\u{2028}")
        .replace('\u{2029}', "\\u{2029}")
}

/// A finished run.
#[derive(Debug)]
pub(crate) struct Run {
    directory: PathBuf,
}

impl Run {
    pub(crate) fn page(&self) -> PathBuf {
        self.directory.join("report.html")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(crate) fn report(&self) -> Value {
        let text = std::fs::read_to_string(self.file("report.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Writes a file of the run directory.
    pub(crate) fn write(&self, name: &str, content: &[u8]) {
        let path = self.file(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// The units of records, by their ids: in these runs each record is a unit, and its id the
    /// number of its row.
    pub(crate) fn units_of(&self, ids: &[String]) -> Vec<usize> {
        assert!(self.file("records.parquet").exists());
        ids.iter().map(|id| id.parse().unwrap()).collect()
    }
}

/// A copy of a run, to be changed.
pub(crate) fn copy(run: &Run, name: &str) -> Run {
    fn copy_all(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let to = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                copy_all(&entry.path(), &to);
            } else {
                std::fs::copy(entry.path(), to).unwrap();
            }
        }
    }
    let directory = folder(name);
    copy_all(&run.directory, &directory);
    Run { directory }
}

/// Makes the page of a run again.
pub(crate) fn report_again(run: &Run, arguments: &[&str]) {
    let mut command = giveaway(&run.directory);
    finish(command.arg("report").arg(".").args(arguments));
}

/// Tries defences on a run.
pub(crate) fn defend(run: &Run, arguments: &[&str]) {
    let mut command = giveaway(&run.directory);
    finish(command.arg("defend").arg(".").args(arguments));
}

/// An audit of small grey images.
pub(crate) fn images() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| {
        let folder = folder("images");
        let mut text = String::from("label");
        for pixel in 0..36 {
            let _ = write!(text, ",pixel{pixel}");
        }
        text.push('\n');
        for row in 0..160_usize {
            let class = usize::from(row.wrapping_mul(0x9e37_79b9) >> 7 & 1 == 1);
            let _ = write!(text, "{}", ["dark", "bright"][class]);
            for pixel in 0..36_usize {
                let noise = (row * 36 + pixel).wrapping_mul(0x9e37_79b9) >> 9;
                let _ = write!(text, ",{}", noise % 200 + 40 * class);
            }
            text.push('\n');
        }
        std::fs::write(folder.join("images.csv"), text).unwrap();
        let mut command = giveaway(&folder);
        command.args(
            "audit images.csv --label label --image 6x6x1 --models 32 --epochs 60 --top 30% --run run"
                .split_whitespace(),
        );
        finish(&mut command);
        Run {
            directory: folder.join("run"),
        }
    })
}

/// An audit that names a few records, with all that a page can show.
pub(crate) fn sample() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| {
        audit(
            "sample",
            "audit breast-cancer --models 32 --epochs 60 --top 30% \
             --attacks loss,lira-online,rmia-online",
        )
    })
}

/// The copy of [`sample`] that may leave the building.
pub(crate) fn redacted() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| {
        let run = sample();
        let directory = run.directory.join("redacted");
        let mut command = giveaway(&run.directory);
        finish(command.arg("report").arg(".").arg("--redact"));
        Run { directory }
    })
}

/// An audit of data whose names, ids, categories and classes try to become markup.
pub(crate) fn hostile() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| {
        let folder = folder("hostile");
        std::fs::write(folder.join("people.csv"), hostile_csv()).unwrap();
        let mut command = giveaway(&folder);
        command.args(
            "audit people.csv --models 32 --epochs 120 --learning-rate 0.01 --top 30% \
             --attacks loss,lira-online --run run"
                .split_whitespace(),
        );
        finish(command.args(["--id", HOSTILE[0], "--label", HOSTILE[3]]));
        Run {
            directory: folder.join("run"),
        }
    })
}

/// Three classes by two numbers and two categories, some labels at random, so that there is
/// something to learn by heart.
fn hostile_csv() -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let [id, number, other, label, ..] = HOSTILE;
    let mut text = String::new();
    for name in [id, number, other, HOSTILE[6], HOSTILE[7], label] {
        let _ = write!(text, "{},", quoted(name));
    }
    text.truncate(text.len() - 1);
    text.push('\n');
    for row in 0..180_usize {
        let scrambled = row.wrapping_mul(0x9e37_79b9) >> 7;
        let class = if scrambled.is_multiple_of(5) {
            scrambled / 5 % 3
        } else {
            row % 3
        };
        let names = [HOSTILE[0], HOSTILE[1], HOSTILE[6]];
        let _ = writeln!(
            text,
            "{},{},{},{},{},{}",
            quoted(&format!("{}{row}", HOSTILE[row % HOSTILE.len()])),
            (row % 3) as f64 + (scrambled % 100) as f64 / 70.0,
            (scrambled / 100 % 100) as f64 / 10.0,
            quoted(HOSTILE[scrambled / 3 % HOSTILE.len()]),
            quoted(HOSTILE[scrambled / 7 % 4]),
            quoted(names[class]),
        );
    }
    text
}

/// An audit with these arguments, which must succeed, in a folder of this name.
fn audit(name: &str, line: &str) -> Run {
    let folder = folder(name);
    let mut command = giveaway(&folder);
    finish(command.args(line.split_whitespace()).args(["--run", "run"]));
    Run {
        directory: folder.join("run"),
    }
}

/// An empty folder below the build's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("page")
        .join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn giveaway(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_giveaway"));
    command.current_dir(folder);
    command
}

fn finish(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
