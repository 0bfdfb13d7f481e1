//! `giveaway defend`.

use std::fmt::Write;
use std::process::ExitCode;

use giveaway::defend::registry;
use giveaway::error::{Error, Result};
use giveaway::report::defence_text;
use giveaway::run;

use crate::audit::with_threads;
use crate::defend_arguments::DefendOptions;
use crate::exit_code;
use crate::terminal::{Bars, print_data};

/// Tries defences on a finished audit and prints what comes of it.
pub(crate) fn defend(options: &DefendOptions) -> Result<ExitCode> {
    if options.list {
        return list();
    }
    let request = options.request()?;
    let path = options
        .run
        .as_deref()
        .ok_or_else(|| Error::usage("no run directory was named"))?;
    let bars = Bars::new(options.quiet);
    let defended = with_threads(options.threads, || run::defend(path, &request, &bars))?;
    let audit = &defended.audit;
    let section = audit
        .defence
        .as_ref()
        .ok_or_else(|| Error::unexpected("the section on defences is missing"))?;
    if options.json {
        let json = serde_json::to_string_pretty(section)
            .map_err(|e| Error::unexpected(format!("cannot write JSON: {e}")))?;
        print_data(&format!("{json}\n"))?;
        return Ok(ExitCode::from(exit_code::DONE));
    }
    let path = defended.path.display();
    let mut text = defence_text::defence(section, &audit.data.unit_name);
    let _ = write!(
        text,
        "\nWRITTEN (readable by you only)\n  {path}/report.html   the page, with the frontier\n  {path}/report.json   the result, with every figure\n"
    );
    for file in &section.deliverables {
        let _ = writeln!(text, "  {path}/{}   {}", file.file, file.what);
    }
    print_data(&text)?;
    Ok(ExitCode::from(exit_code::DONE))
}

fn list() -> Result<ExitCode> {
    let mut text = "NAME[:SETTINGS] (settings where none are given)\n".to_owned();
    for (defence, usage) in registry::all() {
        let about = defence.about();
        let _ = writeln!(text, "{usage}\n    {} ({})", about.what, about.source);
    }
    print_data(&text)?;
    Ok(ExitCode::from(exit_code::DONE))
}
