//! The page of a run, its figures, and what of it may leave the building.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::directory::{Access, RunDirectory, write_private};
use super::reporting::gather;
use crate::error::{Error, Result};
use crate::report::page::{self, Content, payload};
use crate::report::redact::Redaction;
use crate::report::{Audit, FORMAT_VERSION};

/// What to make of a run.
#[derive(Clone, Debug, Default)]
pub struct ReportRequest {
    /// Where to write; the run directory itself, or its folder `redacted`, where nothing is
    /// said. With a place of its own the run directory is only read.
    pub out: Option<PathBuf>,
    /// Whether to write every figure as an SVG file, too.
    pub figures: bool,
    /// Whether to leave out what could tell who is in it.
    pub redact: bool,
    /// File with the key for identifiers; else the run has one of its own.
    pub key: Option<PathBuf>,
}

/// The file in a run directory that holds its key for redacted identifiers.
const KEY_FILE: &str = "redaction.key";

/// Writes the page of a finished audit anew, from its run directory alone. Returns what was
/// written, the page first.
///
/// # Errors
/// If the directory holds no finished audit, is damaged or in use, or cannot be written.
pub fn report(path: &Path, request: &ReportRequest) -> Result<Vec<PathBuf>> {
    if !path.join("manifest.json").is_file() {
        return Err(
            Error::input("this is no run directory: it has no manifest.json")
                .at(path.display())
                .hint("name a directory that `giveaway audit` has written, such as runs/NAME-HASH"),
        );
    }
    if let Some(out) = &request.out
        && out.join("manifest.json").exists()
    {
        // A redacted report.json would take the place of the result.
        return Err(
            Error::usage("this is a run directory, with a result of its own")
                .at(format!("--out {}", out.display()))
                .hint("name another directory, or leave --out out to write into the run itself"),
        );
    }
    let run = match &request.out {
        None => Some(RunDirectory::open(path, Access::Alone)?),
        Some(_) => None,
    };
    let gathered = gather(path)?;
    let redaction = request
        .redact
        .then(|| redaction(path, run.as_ref(), request.key.as_deref()))
        .transpose()?;
    let place = match (&request.out, request.redact) {
        (Some(out), _) => out.clone(),
        (None, true) => path.join("redacted"),
        (None, false) => path.to_path_buf(),
    };
    let mut written = Vec::new();
    let mut write = |name: &str, text: &str| {
        let file = place.join(name);
        write_private(&file, text.as_bytes())?;
        written.push(file);
        Ok::<(), Error>(())
    };
    let (audit, json) = match &redaction {
        Some(redaction) => {
            let audit = redaction.apply(&gathered.audit);
            let json = serde_json::to_value(&audit)
                .map_err(|e| Error::unexpected(format!("cannot write the report: {e}")))?;
            (audit, json)
        }
        None => (gathered.audit.clone(), gathered.json.clone()),
    };
    let payload = payload::payload(&gathered, redaction.as_ref())?;
    let page = page::build(&Content {
        audit: &audit,
        json: &json,
        payload: &payload,
        map: gathered.map.as_ref().filter(|_| !request.redact),
        activations: if request.redact {
            &[]
        } else {
            &gathered.activations
        },
    })?;
    write("report.html", &page.html)?;
    if request.redact {
        let text = serde_json::to_string_pretty(&audit)
            .map_err(|e| Error::unexpected(format!("cannot write the report: {e}")))?;
        write("report.json", &format!("{text}\n"))?;
    }
    if request.figures {
        for (name, svg) in &page.figures {
            write(&format!("figures/{name}.svg"), svg)?;
        }
    }
    Ok(written)
}

/// Writes `report.html` beside the result that an audit has just written.
pub(super) fn write_page(run: &RunDirectory) -> Result<()> {
    let gathered = gather(run.path())?;
    let page = page::build(&Content {
        audit: &gathered.audit,
        json: &gathered.json,
        payload: &payload::payload(&gathered, None)?,
        map: gathered.map.as_ref(),
        activations: &gathered.activations,
    })?;
    run.write("report.html", page.html.as_bytes())
}

/// A result as `report.json` has it.
pub(super) fn as_json(audit: &Audit) -> Result<String> {
    let mut json = serde_json::to_string_pretty(audit)
        .map_err(|e| Error::unexpected(format!("cannot write the report: {e}")))?;
    json.push('\n');
    Ok(json)
}

/// Reads `report.json`.
pub(super) fn read_result(path: &Path) -> Result<(Audit, serde_json::Value)> {
    let file = path.join("report.json");
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::input(
                "the audit in this directory is not finished: it has no report.json",
            )
            .at(path.display())
            .hint(format!(
                "finish it first: giveaway audit {}",
                path.display()
            )));
        }
        Err(e) => return Err(Error::io("read the result", &file, &e)),
    };
    let damaged = |e: &serde_json::Error| {
        Error::input(format!("not a result of giveaway: {e}"))
            .at(file.display())
            .hint(format!("make it again: giveaway audit {}", path.display()))
    };
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|e| damaged(&e))?;
    let version = json
        .get("format_version")
        .and_then(serde_json::Value::as_u64);
    if let Some(version) = version.filter(|&version| version > u64::from(FORMAT_VERSION)) {
        return Err(Error::input(format!(
            "the result has format version {version}, this giveaway knows {FORMAT_VERSION} and earlier ones"
        ))
        .at(file.display())
        .hint("use the giveaway that made it, or a newer one"));
    }
    let audit = Audit::deserialize(&json).map_err(|e| damaged(&e))?;
    if audit.redacted {
        return Err(
            Error::input("this is a redacted result, and not the run's own")
                .at(file.display())
                .hint(format!("make it again: giveaway audit {}", path.display())),
        );
    }
    if !["records", "groups"].contains(&audit.data.unit_name.as_str()) {
        return Err(Error::input(
            "not a result of giveaway: data.unit_name is neither records nor groups",
        )
        .at(file.display())
        .hint(format!("make it again: giveaway audit {}", path.display())));
    }
    Ok((audit, json))
}

/// The key of the file that was named, or the run's own, which is made where there is none.
fn redaction(path: &Path, run: Option<&RunDirectory>, key: Option<&Path>) -> Result<Redaction> {
    let own = path.join(KEY_FILE);
    let file = key.unwrap_or(&own);
    match std::fs::read_to_string(file) {
        Ok(text) => Redaction::from_text(&text).map_err(|e| e.at(file.display())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && key.is_none() => {
            let Some(run) = run else {
                return Err(Error::usage(
                    "the run has no key for identifiers yet, and with --out it is only read",
                )
                .at("--redact")
                .hint(
                    "give a key with --key FILE (64 hexadecimal digits), or leave --out out once",
                ));
            };
            let redaction = Redaction::generate()?;
            run.write(KEY_FILE, redaction.to_text().as_bytes())?;
            Ok(redaction)
        }
        Err(e) => Err(Error::io("read the key", file, &e)),
    }
}
