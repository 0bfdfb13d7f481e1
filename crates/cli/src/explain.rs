//! `giveaway explain`.

use std::process::ExitCode;

use giveaway::error::{Error, Result};
use giveaway::run::{self, ExplainRequest};

use crate::arguments::ExplainOptions;
use crate::audit::with_threads;
use crate::exit_code;
use crate::terminal::{Bars, print_data};

/// Explains a finished audit and prints what comes of it.
pub(crate) fn explain(options: &ExplainOptions) -> Result<ExitCode> {
    let request = ExplainRequest {
        neighbours: options.neighbours,
        models: options.models,
        groups: options.by.clone(),
        map: !options.no_map,
        max_memory: None,
    };
    let bars = Bars::new(options.quiet);
    let explained = with_threads(options.threads, || {
        run::explain(&options.run, &request, &bars)
    })?;
    let explanation = explained
        .audit
        .explanation
        .as_ref()
        .ok_or_else(|| Error::unexpected("the explanation is missing"))?;
    if options.json {
        let json = serde_json::to_string_pretty(explanation)
            .map_err(|e| Error::unexpected(format!("cannot write JSON: {e}")))?;
        print_data(&format!("{json}\n"))?;
    } else {
        for line in &explanation.findings {
            print_data(&format!("{line}\n"))?;
        }
        for unit in &explanation.exposed {
            print_data(&format!(
                "{} [{}] {}\n",
                unit.id, unit.reason, unit.statement
            ))?;
        }
    }
    Ok(ExitCode::from(exit_code::DONE))
}
