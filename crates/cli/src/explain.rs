//! `giveaway explain`.

use std::process::ExitCode;

use giveaway::error::{Error, Result};
use giveaway::report::explanation_text;
use giveaway::run::{self, ExplainRequest};

use crate::audit::with_threads;
use crate::exit_code;
use crate::explain_arguments::ExplainOptions;
use crate::terminal::{Bars, print_data};

/// Explains a finished audit and prints what comes of it; of one record, what is there already.
pub(crate) fn explain(options: &ExplainOptions) -> Result<ExitCode> {
    let known = match &options.record {
        Some(id) => run::explained_record(&options.run, id)?,
        None => None,
    };
    if known.is_none() {
        let request = ExplainRequest {
            neighbours: options.neighbours,
            models: options.models,
            groups: options.by.clone(),
            map: !options.no_map,
            max_memory: options.max_memory,
        };
        let bars = Bars::new(options.quiet);
        let explained = with_threads(options.threads, || {
            run::explain(&options.run, &request, &bars)
        })?;
        if options.record.is_none() {
            return print_all(options, &explained);
        }
    }
    let again = match (&options.record, known) {
        (_, Some(known)) => Some(known),
        (Some(id), None) => run::explained_record(&options.run, id)?,
        (None, None) => None,
    };
    let (audit, facts) = again.ok_or_else(missing)?;
    let explanation = audit.explanation.as_ref().ok_or_else(missing)?;
    if options.json {
        return print_json(&facts);
    }
    print_data(&explanation_text::record(
        explanation,
        &facts,
        &audit.data.unit_name,
    ))?;
    Ok(ExitCode::from(exit_code::DONE))
}

fn print_json(value: &impl serde::Serialize) -> Result<ExitCode> {
    let json = serde_json::to_string_pretty(value)
        .map_err(|e| Error::unexpected(format!("cannot write JSON: {e}")))?;
    print_data(&format!("{json}\n"))?;
    Ok(ExitCode::from(exit_code::DONE))
}

fn missing() -> Error {
    Error::unexpected("the explanation is missing")
}

fn print_all(options: &ExplainOptions, explained: &run::Explained) -> Result<ExitCode> {
    let audit = &explained.audit;
    let explanation = audit.explanation.as_ref().ok_or_else(missing)?;
    if options.json {
        return print_json(explanation);
    }
    let path = explained.path.display();
    print_data(&format!(
        "{}\nWRITTEN (readable by you only)\n  \
             {path}/report.html       the page, with the section on why\n  \
             {path}/records.parquet   a row per record, with every measure, its reason and a sentence\n  \
             {path}/report.json       the result, with the explanation\n",
        explanation_text::explanation(explanation, &audit.data.unit_name)
    ))?;
    Ok(ExitCode::from(exit_code::DONE))
}
