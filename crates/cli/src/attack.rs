//! `giveaway attack`.

use std::fmt::Write;
use std::process::ExitCode;

use giveaway::arrays::{self, Destination};
use giveaway::error::Result;

use crate::attack_arguments::AttackOptions;
use crate::audit::with_threads;
use crate::exit_code;
use crate::terminal::{print_data, print_line};

/// Attacks signals that were made elsewhere, and prints and writes what comes of it.
pub(crate) fn attack(options: &AttackOptions) -> Result<ExitCode> {
    let request = options.request()?;
    // Looked at first: what cannot be written is not worth computing.
    let destination = options
        .result
        .out
        .as_deref()
        .map(|directory| Destination::new(directory, request.target_membership.is_some()))
        .transpose()?;
    let outcome = with_threads(options.result.threads, || arrays::attack(&request))?;
    for note in &outcome.notes {
        print_line(&format!("note: {note}"));
    }
    let mut written = String::new();
    if let Some(destination) = destination {
        if let Some(stale) = outcome.stale_metrics(&destination) {
            print_line(&format!(
                "note: {} is of an earlier call: without --target-membership it is left as it is",
                stale.display()
            ));
        }
        written.push_str("\nWRITTEN (readable by you only)\n");
        for path in outcome.write(destination)? {
            // Writing to a String cannot fail.
            let _ = writeln!(written, "  {}", path.display());
        }
    }
    if options.result.json {
        print_data(&outcome.json()?)?;
    } else {
        print_data(&(outcome.summary() + &written))?;
    }
    Ok(ExitCode::from(exit_code::DONE))
}
