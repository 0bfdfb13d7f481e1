//! Asking a target that was trained elsewhere: once about the audited records, and about queries
//! where indirect inference makes some.

use ndarray::Array2;

use super::config::TargetConfig;
use super::directory::RunDirectory;
use super::pool::Pool;
use super::progress::Progress;
use crate::channel::{Channel, OutputKind};
use crate::dataset::{Body, ColumnKind, Values};
use crate::error::{Error, Result};
use crate::report::AskedTarget;
use crate::target::asking::Asked;
use crate::target::ledger::Ledger;
use crate::target::{Answers, Questions, Target, interpret, settle};

/// Reaches targets: who speaks HTTP or runs ONNX models knows how, and the audit need not.
pub trait Connector: Sync {
    /// Opens the target that the configuration describes; `classes` are in the order of its
    /// outputs, and `example` is a question, for targets that tell from it in which form they are
    /// to be asked.
    ///
    /// # Errors
    /// If it cannot be reached or opened, or this program does not know the kind.
    fn connect(
        &self,
        target: &TargetConfig,
        classes: &[String],
        example: &Questions,
    ) -> Result<Box<dyn Target>>;
}

/// Reaches nothing: for audits whose target is trained here or known by a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unconnected;

impl Connector for Unconnected {
    fn connect(
        &self,
        _target: &TargetConfig,
        _classes: &[String],
        _example: &Questions,
    ) -> Result<Box<dyn Target>> {
        Err(
            Error::usage("the target is to be asked, and nothing here can reach it")
                .hint("audit it with the `giveaway` command, or give its outputs in a file"),
        )
    }
}

/// Folder of the ledger.
const FOLDER: &str = "target";

/// What the questions about records are called, and those of indirect inference.
const RECORDS: &str = "records";
const QUERIES: &str = "queries";

/// The ledger of a run.
fn ledger(run: &RunDirectory) -> Result<Ledger> {
    run.make_folder(FOLDER)?;
    Ledger::open(&run.file(FOLDER))
}

/// How the target was asked; nothing where it is not asked at all.
pub(super) fn summary(run: &RunDirectory, pool: &Pool) -> Result<Option<AskedTarget>> {
    if !pool.config.target.is_asked() {
        return Ok(None);
    }
    let ledger = ledger(run)?;
    let count = ledger.count();
    Ok(Some(AskedTarget {
        name: ledger.target().unwrap_or("a target").to_owned(),
        queries: count.sent,
        answered: count.answered,
        requests: count.requests,
    }))
}

/// The records of the pool as questions. Those of a reference file are not among them.
fn questions(pool: &Pool) -> Questions {
    let features = pool.dataset.features.select(
        ndarray::Axis(0),
        &(0..pool.table.len()).collect::<Vec<usize>>(),
    );
    Questions::of_table(&pool.table, features, feature_names(pool))
}

fn feature_names(pool: &Pool) -> Vec<String> {
    let features = &pool.dataset.schema.features;
    features
        .iter()
        .map(|feature| feature.name.clone())
        .collect()
}

/// Gets the target's outputs on the audited records, from the ledger or by asking. Without a
/// connector what is in the ledger must suffice.
pub(super) fn ask_about_records(
    run: &RunDirectory,
    pool: &mut Pool,
    connector: Option<&dyn Connector>,
    progress: &dyn Progress,
) -> Result<()> {
    if !pool.config.target.is_asked() || pool.target_outputs.is_some() {
        return Ok(());
    }
    let questions = questions(pool);
    let wanted = {
        let mut records = pool.units.expand(&pool.audited);
        records.sort_unstable();
        records
    };
    let asked = Asked {
        about: RECORDS,
        questions: &questions,
        wanted: &wanted,
        classes: &pool.dataset.schema.classes,
    };
    let example = || questions.part(0..1);
    let answers = ask(run, pool, &asked, example, connector, progress)?;
    let rows: Vec<usize> = wanted.iter().map(|&row| row as usize).collect();
    let numbers = Answers::Numbers {
        values: answers.select(ndarray::Axis(0), &rows),
        names: None,
    };
    let answered = interpret(numbers, asked.classes)
        .and_then(|outputs| settle(outputs, pool.config.target.output_kind))
        .map_err(|e| e.at("the target's answers"))?;
    // One row for every record, as a file would have; what was not asked is not looked at.
    let mut outputs = Array2::from_elem((questions.len(), answered.outputs.ncols()), f32::NAN);
    for (&row, answer) in rows.iter().zip(answered.outputs.rows()) {
        outputs.row_mut(row).assign(&answer);
    }
    let altered = altered_columns(&pool.table.body);
    pool.notes.extend(altered);
    pool.target_outputs = Some(crate::target::TargetOutputs {
        outputs,
        ..answered
    });
    Ok(())
}

/// Columns that a target does not get quite as the file has them, each in a sentence.
fn altered_columns(body: &Body) -> Vec<String> {
    /// Whole numbers are exact up to here.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let Body::Columns(columns) = body else {
        return Vec::new();
    };
    columns
        .iter()
        .filter_map(|column| {
            let name = &column.name;
            if column.spelling.is_mixed {
                return Some(format!(
                    "column `{name}` has missing values or blanks around texts in several ways of writing; a target that takes raw columns was asked with one for all, and may read the file differently"
                ));
            }
            let Values::Numeric(values) = &column.values else {
                return None;
            };
            let is_large = column.kind == ColumnKind::Whole
                && values.iter().any(|value| value.abs() > EXACT);
            is_large.then(|| {
                format!("column `{name}` has whole numbers beyond 2^53, which are not exact; if they are identifiers, name the column with --id or leave it out with --drop")
            })
        })
        .collect()
}

/// Asks the target about inputs that are no records, after the records; they are given in both
/// forms. The answers are logits or whatever `channel` says, as those about the records.
pub(super) fn ask_about_queries(
    run: &RunDirectory,
    pool: &Pool,
    questions: &Questions,
    connector: Option<&dyn Connector>,
    progress: &dyn Progress,
) -> Result<Array2<f32>> {
    let wanted: Vec<u32> = (0..questions.len() as u32).collect();
    // Other queries than before, such as of another request, are other questions.
    let about = format!("{QUERIES}-{}", &fingerprint(questions)[..16]);
    let asked = Asked {
        about: &about,
        questions,
        wanted: &wanted,
        classes: &pool.dataset.schema.classes,
    };
    // A record, as before: the target must be asked about queries in the form that it was asked
    // about records.
    let example = || self::questions(pool).part(0..1);
    let answers = ask(run, pool, &asked, example, connector, progress)?;
    let numbers = Answers::Numbers {
        values: answers,
        names: None,
    };
    let outputs = interpret(numbers, asked.classes).map_err(|e| e.at("the target's answers"))?;
    let given = pool.target_outputs.as_ref();
    let channel = given.map_or(Channel::default(), |given| given.channel);
    let outputs = match given {
        Some(given) if given.in_percent => outputs / 100.0,
        _ => outputs,
    };
    if given.is_some_and(|given| given.normalised_here) {
        return Ok(settle(outputs, Some(OutputKind::Probabilities))?.outputs);
    }
    let within = outputs.iter().all(|p| (0.0..=1.0).contains(p));
    if channel.kind != OutputKind::Logits && !within {
        return Err(Error::new(
            crate::error::ErrorKind::Target,
            format!(
                "the answers to the queries are no {}, as those to the records were",
                channel.kind.name()
            ),
        )
        .hint("see whether the target was replaced between the two"));
    }
    Ok(outputs)
}

fn ask(
    run: &RunDirectory,
    pool: &Pool,
    asked: &Asked<'_>,
    example: impl FnOnce() -> Questions,
    connector: Option<&dyn Connector>,
    progress: &dyn Progress,
) -> Result<Array2<f32>> {
    let ledger = ledger(run)?;
    if let Some(answers) = asked.known(&ledger)? {
        return Ok(answers);
    }
    let Some(connector) = connector else {
        return Err(
            Error::input("the target has not answered all questions of this run")
                .at(run.path().display())
                .hint("give the command of the audit again: it asks what is missing"),
        );
    };
    let config = &pool.config.target;
    let target = connector.connect(config, asked.classes, &example())?;
    progress.begin("asking the target", asked.wanted.len() as u64);
    let answers = asked.ask(&*target, &ledger, &config.manner(), &|answered| {
        progress.advance(answered);
    });
    progress.end();
    answers
}

/// A hash of questions in their encoded form.
fn fingerprint(questions: &Questions) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(questions.features.ncols() as u64).to_le_bytes());
    for value in &questions.features {
        hasher.update(&value.to_le_bytes());
    }
    hasher.finalize().to_hex().to_string()
}
