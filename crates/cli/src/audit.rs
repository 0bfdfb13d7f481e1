//! `giveaway audit` and `giveaway reference`.

use std::path::Path;
use std::process::ExitCode;

use giveaway::error::{Error, Result};
use giveaway::report::fail_on::Condition;
use giveaway::report::text;
use giveaway::run::config::Config;
use giveaway::run::{self, Shard};

use crate::arguments::{AuditOptions, ModelOptions, ShareOptions, WorkOptions};
use crate::exit_code;
use crate::targets::{self, Targets};
use crate::terminal::{Bars, print_data, print_error, print_line};

/// Audits and prints the result.
pub(crate) fn audit(options: &AuditOptions) -> Result<ExitCode> {
    let config = options.resolve()?;
    targets::check(&config.target)?;
    let conditions: Vec<Condition> = options
        .result
        .fail_on
        .iter()
        .map(|text| Condition::parse(text))
        .collect::<Result<_>>()?;
    let outcome = on_threads(&options.models.work, |progress| {
        let run = options.models.run();
        run::audit_through(&config, run.as_deref(), &Targets, progress)
    })
    .map_err(|error| where_the_data_are(error, &options.models, &config))?;
    if options.result.json {
        let json = serde_json::to_string_pretty(&outcome.audit)
            .map_err(|e| Error::unexpected(format!("cannot write JSON: {e}")))?;
        print_data(&format!("{json}\n"))?;
    } else {
        let path = outcome.path.display();
        print_data(&format!(
            "{}\nWRITTEN (readable by you only: the list of exposed records is itself membership data)\n  \
             {path}/report.html       the page to read; it needs no network\n  \
             {path}/records.parquet   a row per record: p-values, losses, selections\n  \
             {path}/report.json       this result\n  \
             {path}/run.toml          the configuration: audit --config with it repeats the run\n\
             WHY these records, and not others: giveaway explain {path}\n",
            text::summary(&outcome.audit)
        ))?;
    }
    let (held, mut unavailable) = Condition::judge(&conditions, &outcome.audit);
    for condition in &held {
        print_line(&format!("failed on {condition}"));
    }
    // The last one is for the caller to print, if nothing weighs more.
    let last = if held.is_empty() {
        unavailable.pop()
    } else {
        None
    };
    unavailable.iter().for_each(print_error);
    match last {
        Some(error) => Err(error),
        None if held.is_empty() => Ok(ExitCode::from(exit_code::DONE)),
        None => Ok(ExitCode::from(exit_code::LEAKAGE)),
    }
}

/// Trains a share of the reference models.
pub(crate) fn train_share(options: &ShareOptions) -> Result<ExitCode> {
    let config = options.models.resolve()?;
    targets::check(&config.target)?;
    let shard = match &options.shard {
        Some(text) => Shard::parse(text)?,
        None => Shard::WHOLE,
    };
    let outcome = on_threads(&options.models.work, |progress| {
        run::train_share(&config, options.models.run().as_deref(), shard, progress)
    })
    .map_err(|error| where_the_data_are(error, &options.models, &config))?;
    let path = outcome.path.display();
    print_data(&format!(
        "{} reference models trained, {} of the share were there already\n\
         in {path}; when all shares are done: giveaway audit {path}\n",
        outcome.models - outcome.resumed_models,
        outcome.resumed_models,
    ))?;
    Ok(ExitCode::from(exit_code::DONE))
}

/// A run directory remembers a path to its data. Where it was copied to another machine, or
/// the command is given in another directory, there may be nothing.
fn where_the_data_are(error: Error, models: &ModelOptions, config: &Config) -> Error {
    let source = &config.data.source;
    match &models.data {
        Some(run)
            if Path::new(run).join("run.toml").is_file()
                && !["shipped:", "cached:"].iter().any(|known| source.starts_with(known))
                && !Path::new(source).exists() =>
        {
            let run = run.trim_end_matches(std::path::MAIN_SEPARATOR);
            error.hint(format!(
                "the run remembers this path; say where the file is now: FILE --config {run}/run.toml --run {run}"
            ))
        }
        // A run that was killed at once has no run.toml yet.
        Some(run)
            if models.work.run.is_none()
                && ["manifest.json", ".lock"].iter().any(|name| Path::new(run).join(name).exists())
                && !Path::new(run).join("run.toml").exists() =>
        {
            error.hint(format!(
                "the run in this directory was stopped before it had a run.toml: name its data and options again, with --run {run}"
            ))
        }
        _ => error,
    }
}

/// Starting many more threads than a machine has cores may exhaust it.
const MOST_THREADS: usize = 1024;

/// Works on as many threads as were asked for, with progress bars.
fn on_threads<T: Send>(
    options: &WorkOptions,
    work: impl FnOnce(&Bars) -> Result<T> + Send,
) -> Result<T> {
    let bars = Bars::new(options.quiet);
    with_threads(options.threads, || work(&bars))
}

/// Works on as many threads as were asked for; on all cores where nothing was said.
pub(crate) fn with_threads<T: Send>(
    threads: Option<usize>,
    work: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    if threads == Some(0) {
        return Err(Error::usage("cannot work with 0 threads")
            .at("--threads")
            .hint("leave it out to use all cores"));
    }
    if let Some(threads) = threads.filter(|&threads| threads > MOST_THREADS) {
        return Err(
            Error::usage(format!("{threads} threads are more than can be of use"))
                .at("--threads")
                .hint(format!(
                    "give at most {MOST_THREADS}, or leave it out to use all cores"
                )),
        );
    }
    let threads = rayon::ThreadPoolBuilder::new()
        .num_threads(threads.unwrap_or(0))
        .build()
        .map_err(|e| {
            Error::unexpected(format!("cannot start threads: {e}"))
                .hint("ask for fewer with --threads")
        })?;
    threads.install(work)
}
