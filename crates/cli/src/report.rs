//! `giveaway report`.

use std::fmt::Write;
use std::process::ExitCode;

use giveaway::error::Result;
use giveaway::run::{self, ReportRequest};

use crate::arguments::ReportOptions;
use crate::exit_code;
use crate::terminal::{print_data, print_line};

/// Writes the page of a finished audit again, and what else was asked for.
pub(crate) fn report(options: &ReportOptions) -> Result<ExitCode> {
    let request = ReportRequest {
        out: options.out.clone(),
        figures: options.figures,
        redact: options.redact,
        key: options.key.clone(),
    };
    let written = run::report(&options.run, &request)?;
    let mut text = String::new();
    for path in &written {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", path.display());
    }
    print_data(&text)?;
    if let Some(page) = written.first().filter(|_| options.open)
        && let Err(error) = open::that_detached(page)
    {
        // The page is there all the same.
        print_line(&format!(
            "note: no program was found that opens the page ({error}); open it by hand"
        ));
    }
    Ok(ExitCode::from(exit_code::DONE))
}
