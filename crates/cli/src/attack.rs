//! `giveaway attack`.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use giveaway::arrays::{self, Destination};
use giveaway::error::Result;

use crate::attack_arguments::{Asked, AttackOptions};
use crate::audit::with_threads;
use crate::exit_code;
use crate::terminal::{print_data, print_line};

/// Attacks signals that were made elsewhere, and prints and writes what comes of it.
pub(crate) fn attack(options: &AttackOptions) -> Result<ExitCode> {
    let asked = options.request()?;
    let is_judged = match &asked {
        Asked::Records(request) => request.target_membership.is_some(),
        Asked::Queries(request) => request.arrays.target_membership.is_some(),
    };
    // Looked at first: what cannot be written is not worth computing.
    let destination = options
        .result
        .out
        .as_deref()
        .map(|directory| Destination::new(directory, is_judged))
        .transpose()?;
    let threads = options.result.threads;
    match asked {
        Asked::Records(request) => {
            let outcome = with_threads(threads, || arrays::attack(&request))?;
            let shown = Shown {
                notes: &outcome.notes,
                stale: destination
                    .as_ref()
                    .and_then(|to| outcome.stale_metrics(to)),
            };
            let written = shown.note(destination, |to| outcome.write(to))?;
            print_result(options, &written, || outcome.json(), || outcome.summary())
        }
        Asked::Queries(request) => {
            let outcome = with_threads(threads, || arrays::attack_by_queries(&request))?;
            let shown = Shown {
                notes: &outcome.notes,
                stale: destination
                    .as_ref()
                    .and_then(|to| outcome.stale_metrics(to)),
            };
            let written = shown.note(destination, |to| outcome.write(to))?;
            print_result(options, &written, || outcome.json(), || outcome.summary())
        }
    }
}

/// What is said beside a result.
struct Shown<'a> {
    notes: &'a [String],
    stale: Option<PathBuf>,
}

impl Shown<'_> {
    /// Prints the notes, writes the files, and returns what is said of them.
    fn note(
        &self,
        destination: Option<Destination>,
        write: impl FnOnce(Destination) -> Result<Vec<PathBuf>>,
    ) -> Result<String> {
        for note in self.notes {
            print_line(&format!("note: {note}"));
        }
        let mut written = String::new();
        let Some(destination) = destination else {
            return Ok(written);
        };
        if let Some(stale) = &self.stale {
            print_line(&format!(
                "note: {} is of an earlier call: without --target-membership it is left as it is",
                stale.display()
            ));
        }
        written.push_str("\nWRITTEN (readable by you only)\n");
        for path in write(destination)? {
            // Writing to a String cannot fail.
            let _ = writeln!(written, "  {}", path.display());
        }
        Ok(written)
    }
}

fn print_result(
    options: &AttackOptions,
    written: &str,
    json: impl FnOnce() -> Result<String>,
    summary: impl FnOnce() -> String,
) -> Result<ExitCode> {
    if options.result.json {
        print_data(&json()?)?;
    } else {
        print_data(&(summary() + written))?;
    }
    Ok(ExitCode::from(exit_code::DONE))
}
