//! An audit from beginning to end: what is done in which order, and what is kept where.

pub mod array_file;
pub mod config;
pub mod directory;
pub mod pool;
pub mod progress;

mod asking;
mod attacking;
mod defending;
mod explaining;
mod findings;
mod indirect;
mod publish;
mod record_table;
mod reporting;
mod schedule;
mod selecting;
mod training;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::report::Audit;
use config::{Config, Keep};
use directory::{Access, FORMAT_VERSION, Manifest, RunDirectory};
use pool::Pool;
use progress::Progress;

pub use asking::{Connector, Unconnected};
pub use defending::{DefendRequest, Defended, Identification, defend};
pub use explaining::{ExplainRequest, Explained, explain, explained_record};
pub use publish::{ReportRequest, report};
pub use training::Shard;

/// What an audit leaves.
#[derive(Debug)]
pub struct Outcome {
    /// The result.
    pub audit: Audit,
    /// Where it was written.
    pub path: PathBuf,
    /// Reference models that were there already when the audit began.
    pub resumed_models: usize,
}

/// Audits: reads, trains what is not there yet, tests, evaluates and writes the result.
///
/// Without `path` the run directory is `runs/NAME-HASH`, where the hash is that of
/// everything the reference models depend on, so the same command goes on where it was
/// stopped and another one does not get in its way.
///
/// Runs on the current rayon thread pool. The result does not depend on its size.
///
/// # Errors
/// On bad input, impossible requests, and files that cannot be written.
pub fn audit(config: &Config, path: Option<&Path>, progress: &dyn Progress) -> Result<Outcome> {
    audit_through(config, path, &Unconnected, progress)
}

/// As [`audit`], where the target may be one that is asked: `connector` reaches it. It is asked
/// before models are trained.
///
/// # Errors
/// As [`audit`], and if the target fails; what it has answered is kept.
pub fn audit_through(
    config: &Config,
    path: Option<&Path>,
    connector: &dyn Connector,
    progress: &dyn Progress,
) -> Result<Outcome> {
    let Prepared {
        mut pool,
        run,
        mut manifest,
    } = prepare(config, path, Access::Alone, progress)?;
    asking::ask_about_records(&run, &mut pool, Some(connector), progress)?;
    pool.settle_test();
    let pool = pool;
    let trainer = training::trainer(&pool)?;
    let config = &pool.config;
    let resumed_models = training::train_missing(&run, &pool, &*trainer, Shard::WHOLE, progress)?;
    finish_stage(&run, &mut manifest, "reference")?;

    let findings = findings::find(&run, &pool, &*trainer, &manifest, connector, progress)?;
    let records = record_table::records_parquet(&findings, &pool)?;
    let neighbours = record_table::neighbours_parquet(&findings, &pool)?;
    let mut json = serde_json::to_string_pretty(&findings.audit)
        .map_err(|e| Error::unexpected(format!("cannot write the report: {e}")))?;
    json.push('\n');
    // All are written before the first takes its place, so a full disk leaves the
    // result of an earlier audit whole.
    let settings = run.stage("run.toml", config.to_toml()?.as_bytes())?;
    let records = run.stage("records.parquet", &records)?;
    let neighbours = neighbours
        .map(|bytes| run.stage("neighbours.parquet", &bytes))
        .transpose()?;
    let report = run.stage("report.json", json.as_bytes())?;
    // The report comes last: where it is, everything else belongs to it.
    run.remove("report.json")?;
    // So do pages and figures of an earlier result.
    run.remove("report.html")?;
    run.remove_folder("figures")?;
    run.remove_folder("redacted")?;
    // And the pictures of its explanation.
    run.remove("map.parquet")?;
    run.remove("activations.parquet")?;
    // And what an earlier advice on defences left for the user; what was measured stays.
    defending::withdraw(&run)?;
    manifest.stages.retain(|stage| stage != "report");
    run.write_manifest(&manifest)?;
    run.publish(settings)?;
    run.publish(records)?;
    match neighbours {
        Some(neighbours) => run.publish(neighbours)?,
        // An earlier audit in this directory may have had them.
        None => run.remove("neighbours.parquet")?,
    }
    run.publish(report)?;
    publish::write_page(&run)?;
    finish_stage(&run, &mut manifest, "report")?;
    run.event(
        "done",
        &serde_json::json!({ "given_away": findings.audit.verdict.given_away }),
    )?;
    Ok(Outcome {
        audit: findings.audit,
        path: run.path().to_path_buf(),
        resumed_models,
    })
}

/// What a share of the training leaves.
#[derive(Debug)]
pub struct ShareOutcome {
    /// Where the models' outputs were written.
    pub path: PathBuf,
    /// Reference models of the share.
    pub models: usize,
    /// Of those, the ones that were there already.
    pub resumed_models: usize,
}

/// Trains a share of the reference models of an audit and stops there.
///
/// Several shares may be trained at the same time in one directory, on this machine or on
/// others that see it; doing one twice is harmless. [`audit`] with the same configuration
/// goes on from there.
///
/// # Errors
/// As [`audit`]; also while an audit is at work in the directory.
pub fn train_share(
    config: &Config,
    path: Option<&Path>,
    shard: Shard,
    progress: &dyn Progress,
) -> Result<ShareOutcome> {
    let prepared = prepare(config, path, Access::Shared, progress)?;
    let Prepared { pool, run, .. } = &prepared;
    let trainer = training::trainer(pool)?;
    let resumed_models = training::train_missing(run, pool, &*trainer, shard, progress)?;
    Ok(ShareOutcome {
        path: run.path().to_path_buf(),
        models: (0..pool.membership.models())
            .filter(|&m| shard.holds(m))
            .count(),
        resumed_models,
    })
}

/// An audit before its first model.
struct Prepared {
    pool: Pool,
    run: RunDirectory,
    manifest: Manifest,
}

fn prepare(
    config: &Config,
    path: Option<&Path>,
    access: Access,
    progress: &dyn Progress,
) -> Result<Prepared> {
    config.check()?;
    let mut config = config.clone();
    if config.test.indirect.is_some() && !config.reference.keep.contains(&Keep::Weights) {
        // Models are asked about more than the records, so they have to be there.
        config.reference.keep.push(Keep::Weights);
    }
    let mut pool = Pool::prepare(&config, progress)?;
    if !config.target.is_asked() {
        pool.settle_test();
    }
    let config = &pool.config;
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        identity: identity(config, &pool.inputs)?,
        inputs: pool.inputs.clone(),
        kernel: training::kernel(config)?,
        stages: Vec::new(),
    };
    let path = path.map_or_else(
        || PathBuf::from("runs").join(format!("{}-{}", pool.name, &manifest.identity[..8])),
        Path::to_path_buf,
    );
    let run = RunDirectory::open(&path, access)?;
    // Of two that begin a directory at the same moment one comes first, and the other has to fit.
    let manifest = run.one_at_a_time(|| adopt(&run, manifest))?;
    check_outputs(&run, &pool)?;
    let mut settings = config.clone();
    if access == Access::Shared {
        // A share says nothing of selection and test, and perhaps not what is kept: what an
        // audit said that was stopped stays.
        let stopped = std::fs::read_to_string(run.file("run.toml")).ok();
        if let Some(stopped) = stopped.and_then(|text| Config::from_toml(&text).ok()) {
            settings.test = stopped.test;
            if settings.reference.keep.is_empty() {
                settings.reference.keep = stopped.reference.keep;
            }
        }
    }
    let settings = settings.to_toml()?;
    // The result of an earlier audit, with another selection or test, stays as it is,
    // with its settings, until the new one can take its place.
    if !run.file("report.json").exists() {
        run.write("run.toml", settings.as_bytes())?;
    }
    pool.write(&run)?;
    run.event(
        match access {
            Access::Alone => "audit",
            Access::Shared => "training a share",
        },
        &serde_json::json!({ "giveaway": env!("CARGO_PKG_VERSION") }),
    )?;

    Ok(Prepared {
        pool,
        run,
        manifest,
    })
}

/// Opens a finished audit again for a later stage: its data, its trainer and its result.
///
/// # Errors
/// If the directory holds no finished audit, or its data are not there any more or are others.
fn reopen(
    path: &Path,
    max_memory: Option<u64>,
    progress: &dyn Progress,
) -> Result<(Prepared, Audit)> {
    if !path.join("manifest.json").is_file() {
        return Err(
            Error::input("this is no run directory: it has no manifest.json")
                .at(path.display())
                .hint("name a directory that `giveaway audit` has written, such as runs/NAME-HASH"),
        );
    }
    // Before hours of work: whether there is a result to go by.
    publish::read_result(path)?;
    let settings = path.join("run.toml");
    let text = std::fs::read_to_string(&settings)
        .map_err(|e| Error::io("read the settings", &settings, &e))?;
    let mut config = Config::from_toml(&text).map_err(|e| e.at(settings.display()))?;
    config.reference.max_memory = max_memory;
    let mut prepared = prepare(&config, Some(path), Access::Alone, progress)
        .map_err(|e| from_where(e, &config))?;
    asking::ask_about_records(&prepared.run, &mut prepared.pool, None, progress)?;
    prepared.pool.settle_test();
    // Now that nobody else is at work in it.
    let (audit, _) = publish::read_result(path)?;
    Ok((prepared, audit))
}

/// A file that is not found is not one that the user has named now.
fn from_where(error: Error, config: &Config) -> Error {
    let source = &config.data.source;
    if error.to_string().contains(source.as_str()) && !Path::new(source).exists() {
        return error.hint(format!(
            "the run was made from {source}, as seen from where `giveaway audit` was called: call this command there, or put the file back"
        ));
    }
    error
}

/// Raised whenever a version encodes, draws or trains otherwise than the one before it, so
/// that the models of two versions are never mixed.
const MODELS_VERSION: u32 = 2;

/// The hash of everything that the outputs of the models depend on: the configuration
/// without selection and test, and the content of the input files.
fn identity(config: &Config, inputs: &BTreeMap<String, String>) -> Result<String> {
    let mut config = config.clone();
    config.test = config::TestConfig::default();
    config.data.keep_records = true;
    // The manifest has the instruction set that was used.
    config.reference.kernel = None;
    config.reference.keep = Vec::new();
    // The content counts, and not where it lies.
    config.data.source = String::new();
    config.data.labels_file = None;
    config.data.reference = None;
    config.target = config.target.what_it_is();
    // Neither changes what a command answers.
    config.reference.command.timeout = None;
    config.reference.command.saves_model = false;
    let text = config.to_toml()?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&MODELS_VERSION.to_le_bytes());
    hasher.update(text.as_bytes());
    for (role, hash) in inputs {
        hasher.update(format!("\n{role} {hash}").as_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Takes over the manifest of a run that was begun before, if it is this one.
fn adopt(run: &RunDirectory, fresh: Manifest) -> Result<Manifest> {
    let Some(found) = run.manifest()? else {
        if run.has_signals()? {
            return Err(Error::input(
                "the directory holds outputs of models, but no manifest.json that says whose",
            )
            .at(run.path().display())
            .hint("name a new directory with --run, or empty this one"));
        }
        run.write_manifest(&fresh)?;
        return Ok(fresh);
    };
    let different = |what: &str| {
        Err(Error::input(format!("the directory holds a run with {what}"))
            .at(run.path().display())
            .hint("name a new directory with --run, or leave --run out and get one that fits; nothing was changed"))
    };
    if found.inputs != fresh.inputs {
        let differing: Vec<&str> = fresh
            .inputs
            .iter()
            .filter(|(role, hash)| found.inputs.get(*role) != Some(*hash))
            .map(|(role, _)| role.as_str())
            .collect();
        return different(&format!(
            "other input{}",
            if differing.is_empty() {
                "s".to_owned()
            } else {
                format!(" ({})", differing.join(", "))
            }
        ));
    }
    if found.identity != fresh.identity {
        return different("other settings (its run.toml has them)");
    }
    if found.kernel != fresh.kernel {
        return different(&format!(
            "models trained with the kernel {}, which rounds differently from {}; where the CPU can, --kernel {} goes on with them",
            found.kernel, fresh.kernel, found.kernel
        ));
    }
    Ok(Manifest {
        stages: found.stages,
        ..fresh
    })
}

/// Looks at the outputs that are there, such as from a copy that broke off, before hours go
/// into those that are missing.
fn check_outputs(run: &RunDirectory, pool: &Pool) -> Result<()> {
    let (records, classes) = (pool.dataset.len(), pool.dataset.schema.classes.len());
    let models = (0..pool.membership.models()).map(|model| run.signal_file(model));
    for path in models.chain([run.file("signals/target.npy")]) {
        if path.exists() {
            array_file::open_outputs(&path, records, classes)?;
        }
    }
    Ok(())
}

fn finish_stage(run: &RunDirectory, manifest: &mut Manifest, stage: &str) -> Result<()> {
    if !manifest.stages.iter().any(|done| done == stage) {
        manifest.stages.push(stage.to_owned());
        run.write_manifest(manifest)?;
    }
    Ok(())
}
