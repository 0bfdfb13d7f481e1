//! The guides do what they say: every block of theirs is run, in an empty folder.
//!
//! A block that names a file (three backticks, a language, the name) is written to it; blocks of
//! `sh` are run one after the other in one shell, as a reader would. They need Python with
//! scikit-learn, pandas and pyarrow: that of `GIVEAWAY_PYTHON`, or `python3`. Without it these
//! tests say SKIPPED and pass; with `GIVEAWAY_REQUIRE_PYTHON=1` they fail.

#![cfg(unix)]

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::sandbox::{Finished, Sandbox, files, finished};

const YOUR_MODEL: &str = include_str!("../../../../docs/your-model.md");
const ENDPOINT: &str = include_str!("../../../../docs/endpoint-guide.md");
const SERVER: &str = include_str!("../../../../examples/endpoint/serve.py");

/// The Python to use.
const PYTHON: &str = "GIVEAWAY_PYTHON";
/// Where this is set to 1, missing programs fail the tests rather than skip them.
const REQUIRED: &str = "GIVEAWAY_REQUIRE_PYTHON";

/// A fenced block of a document.
struct Block<'a> {
    language: &'a str,
    /// The file that it is to be saved as.
    file: Option<&'a str>,
    text: String,
}

/// The fenced blocks of a document, in their order.
fn blocks(document: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else {
            continue;
        };
        let mut words = info.split_whitespace();
        let language = words.next().unwrap_or("");
        let file = words.next();
        let mut text = String::new();
        loop {
            let line = lines.next().expect("a block has an end");
            if line == "```" {
                break;
            }
            text += line;
            text.push('\n');
        }
        blocks.push(Block {
            language,
            file,
            text,
        });
    }
    blocks
}

/// What the document needs and this machine lacks; the Python otherwise.
fn python(programs: &[&str]) -> Result<String, String> {
    let python = std::env::var(PYTHON).unwrap_or_else(|_| "python3".to_owned());
    let succeeds = |program: &str, arguments: &[&str]| {
        Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    if !succeeds(&python, &["-c", "import sklearn, pandas, pyarrow"]) {
        return Err(format!(
            "{python} has no scikit-learn, pandas and pyarrow ({PYTHON} names another Python)"
        ));
    }
    match programs.iter().find(|name| !succeeds(name, &["--version"])) {
        Some(name) => Err(format!("there is no {name}")),
        None => Ok(python),
    }
}

/// Runs a document in a folder where `giveaway` and `python` are on the path; nothing where a
/// program is missing. Every `8765` becomes a port that is free.
fn follow(document: &str, programs: &[&str]) -> Option<(Sandbox, Finished)> {
    let python = match python(programs) {
        Ok(python) => python,
        Err(why) => {
            assert!(
                std::env::var_os(REQUIRED).is_none_or(|value| value != "1"),
                "{REQUIRED}=1, but {why}"
            );
            let test = std::thread::current();
            let test = test.name().unwrap_or("a test");
            // println! would be captured, and a test that passes shows nothing.
            let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {why}");
            return None;
        }
    };
    let path = tempfile::tempdir().unwrap();
    symlink(env!("CARGO_BIN_EXE_giveaway"), path.path().join("giveaway")).unwrap();
    let name = path.path().join("python");
    std::fs::write(&name, format!("#!/bin/sh\nexec '{python}' \"$@\"\n")).unwrap();
    std::fs::set_permissions(&name, std::fs::Permissions::from_mode(0o755)).unwrap();

    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap()
        .port()
        .to_string();
    let document = document.replace("8765", &port);
    let sandbox = Sandbox::new();
    // A server that a step started ends with the shell, also where a later step fails.
    let mut script = "set -e\n\
        trap 'test ! -f server.pid || kill \"$(cat server.pid)\" 2>/dev/null || true' EXIT\n"
        .to_owned();
    for (number, block) in blocks(&document).into_iter().enumerate() {
        match (block.language, block.file) {
            (_, Some(file)) => sandbox.write(file, block.text),
            ("sh", None) => {
                write!(script, "echo '>>> block {number}' >&2\n{}", block.text).unwrap();
            }
            (language, None) => panic!("a block of {language:?} is neither run nor saved"),
        }
    }
    if document.contains("serve.py") {
        sandbox.write("serve.py", SERVER);
    }
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(sandbox.path("."))
        .env(
            "PATH",
            format!(
                "{}:{}",
                path.path().display(),
                std::env::var("PATH").unwrap_or_default()
            ),
        )
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let done = finished("the guide", output);
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
    Some((sandbox, done))
}

/// Every file that a document links to beside it is there.
fn links_lead_somewhere(document: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    for link in document.split("](").skip(1) {
        let link = link.split([')', '#']).next().unwrap();
        assert!(
            link.is_empty() || link.starts_with("http") || folder.join(link).exists(),
            "{link}"
        );
    }
}

#[test]
fn your_model_in_five_minutes() {
    links_lead_somewhere(YOUR_MODEL);
    let Some((sandbox, done)) = follow(YOUR_MODEL, &[]) else {
        return;
    };
    for part in [
        "AUDITED",
        "VERDICT",
        "CHECKS OF THE SET-UP",
        "WHY THESE RECORDS",
    ] {
        assert!(done.stdout.contains(part), "no {part}\n{}", done.stdout);
    }
    let report = sandbox.written_report("first");
    assert_eq!(report["reference"]["models"], 64);
    assert_eq!(report["target"]["trained_here"], false);
    // a forest knows its training records by heart
    assert_eq!(report["target"]["accuracy"]["train"], 1.0);
    assert_eq!(report["verdict"]["valid"], true, "{}", report["checks"]);
    assert!(report["explanation"].is_object());
    assert!(sandbox.path("first/report.html").exists());
}

#[test]
fn an_endpoint() {
    links_lead_somewhere(ENDPOINT);
    let Some((sandbox, done)) = follow(ENDPOINT, &["curl"]) else {
        return;
    };
    let report = sandbox.written_report("service");
    let asked = &report["target"]["asked"];
    assert_eq!(
        (&asked["queries"], &asked["answered"]),
        (&json!(569), &json!(569))
    );
    assert_eq!(report["reference"]["models"], 64);
    let trained = report["reference"]["network"].as_str().unwrap();
    assert!(trained.contains("forest"), "{trained}");
    assert_eq!(report["verdict"]["valid"], true, "{}", report["checks"]);
    assert!(report["explanation"].is_object());
    // the server's own count, after the command was given twice
    assert!(
        done.stdout.contains(r#"{"records": 569}"#),
        "{}",
        done.stdout
    );

    let small = sandbox.written_report("small");
    assert!(small["target"]["asked"]["queries"].as_u64().unwrap() <= 300);
    assert_eq!(small["verdict"]["valid"], true, "{}", small["checks"]);
    let accuracy = &small["target"]["accuracy"]["test"];
    assert!(accuracy.as_f64().unwrap() > 0.9, "{accuracy}");

    let token = "a-secret-of-this-guide";
    assert!(ENDPOINT.contains(token));
    for run in ["service", "small"] {
        for file in files(&sandbox.path(run)) {
            let content = std::fs::read(&file).unwrap();
            let found = content
                .windows(token.len())
                .any(|part| part == token.as_bytes());
            assert!(!found, "the token is in {}", file.display());
        }
    }
    assert!(!done.stdout.contains(token) && !done.stderr.contains(token));
}
