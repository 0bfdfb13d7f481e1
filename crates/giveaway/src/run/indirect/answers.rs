//! Asking: the models that test, and the target, answer all queries.

use std::io;
use std::path::Path;

use ndarray::{Array2, Axis};
use rayon::prelude::*;

use super::queries::UnitQueries;
use super::{Context, models, query_table};
use crate::channel::Channel;
use crate::enhance::effect::{matrix, scaled_logits};
use crate::enhance::space::{Query, QuerySpace};
use crate::error::{Error, Result};
use crate::run::array_file::{write_array, write_floats};
use crate::run::asking;
use crate::run::directory::RunDirectory;
use crate::run::pool::Pool;
use crate::run::progress::Progress;
use crate::target;
use crate::trainer::Trainer;

/// Answers to the queries of all units, one unit after another.
pub(super) struct Answers {
    /// Scaled logits of the models that test, models × queries.
    pub(super) testing: Array2<f32>,
    /// Those of the target; nothing where it has not been asked yet.
    pub(super) target: Option<Vec<f64>>,
}

/// Asks everybody, and leaves queries and answers as arrays in the run directory: with them
/// `giveaway attack --method gmia-indirect` comes to the same p-values.
pub(super) fn ask(
    run: &RunDirectory,
    pool: &Pool,
    trainer: &dyn Trainer,
    space: &QuerySpace<'_>,
    channel: Channel,
    units: &[UnitQueries],
    step: impl Fn(u64) + Sync,
) -> Result<Answers> {
    let queries = queries_of(units);
    let labels = space.labels(&queries);
    let inputs = matrix(&queries)?;
    let width = pool.dataset.features.ncols();
    write_floats(
        run,
        "indirect/queries.npy",
        &[queries.len(), width],
        |sink| sink(inputs.view()),
    )?;
    write_keys(run, pool, units, &labels)?;

    let classes = pool.dataset.schema.classes.len();
    let numbers: Vec<usize> = pool.membership.halves()[1].clone().collect();
    let mut testing: Vec<f32> = Vec::with_capacity(numbers.len() * queries.len());
    let mut failed = None;
    let shape = [numbers.len(), queries.len(), classes];
    let at_once = rayon::current_num_threads().max(1);
    let written = write_floats(run, "indirect/signals.npy", &shape, |sink| {
        for some in numbers.chunks(at_once) {
            let answered: Result<Vec<Array2<f32>>> = some
                .par_iter()
                .map(|number| {
                    models::load(run, trainer, &format!("{number:03}"))?.answer(inputs.view())
                })
                .collect();
            match answered {
                Ok(answered) => {
                    for logits in answered {
                        sink(logits.view())?;
                        let phi = scaled_logits(channel, &logits, &labels);
                        testing.extend(phi.into_iter().map(|x| x as f32));
                    }
                }
                Err(error) => {
                    failed = Some(error);
                    return Err(io::Error::other("a model could not answer"));
                }
            }
            step(some.len() as u64);
        }
        Ok(())
    });
    if let Some(error) = failed {
        return Err(error);
    }
    written?;
    let testing = Array2::from_shape_vec((numbers.len(), queries.len()), testing)
        .map_err(|e| Error::unexpected(format!("cannot lay out the answers: {e}")))?;
    Ok(Answers {
        testing,
        target: None,
    })
}

/// The hash of the queries that a target known by its outputs was to be asked.
const HANDED_OUT: &str = "indirect/handed_out.blake3";

/// The answers of the target to the queries of all units: a target trained here is asked, and so
/// is one that is reached through the connector; the answers of another are read, once they are
/// there.
pub(super) fn of_target(
    context: &Context<'_>,
    space: &QuerySpace<'_>,
    units: &[UnitQueries],
    testing: &Array2<f32>,
    progress: &dyn Progress,
) -> Result<Option<Vec<f64>>> {
    let Context {
        run,
        pool,
        trainer,
        connector,
        channel,
        ..
    } = *context;
    let queries = queries_of(units);
    let labels = &space.labels(&queries);
    let inputs = &matrix(&queries)?;
    let classes = &pool.dataset.schema.classes;
    let shape = [labels.len(), classes.len()];
    let file = "indirect/target.npy";
    if pool.trains_target() {
        let logits = models::load(run, trainer, "target")?.answer(inputs.view())?;
        write_floats(run, file, &shape, |sink| sink(logits.view()))?;
        let phi = scaled_logits(channel, &logits, labels);
        return Ok(Some(phi.into_iter().map(as_of_models).collect()));
    }
    if pool.config.target.is_asked() {
        let questions = query_table::questions(pool, space, &queries, inputs.clone())?;
        let outputs = asking::ask_about_queries(run, pool, &questions, Some(connector), progress)?;
        let outputs = outputs.mapv(|x| channel.round(x));
        let phi = of_outputs(channel, &outputs, labels);
        write_floats(run, file, &shape, |sink| sink(outputs.view()))?;
        return Ok(Some(phi));
    }
    let answers = pool.config.test.indirect.as_ref();
    let Some(path) = answers.and_then(|indirect| indirect.answers.as_ref()) else {
        run.remove(file)?;
        run.write(HANDED_OUT, hash(inputs).as_bytes())?;
        return Ok(None);
    };
    let handed_out = std::fs::read_to_string(run.file(HANDED_OUT)).unwrap_or_default();
    if handed_out != hash(inputs) {
        return Err(Error::input("these are no answers to the queries of this audit")
            .at(path.display())
            .at("--indirect-answers")
            .hint("run the same command without --indirect-answers; it writes the queries that the target is to be asked, which depend on every setting"));
    }
    let mut given = target::read_outputs(path, labels.len(), "queries", classes, None)?;
    if pool.config.target.output_kind.is_some() {
        given.channel.kind = channel.kind;
    }
    if given.channel.kind != channel.kind {
        return Err(Error::input(format!(
            "the answers to the queries are {}, and those to the records {}",
            given.channel.kind.name(),
            channel.kind.name()
        ))
        .at(path.display())
        .hint("ask the same interface for both; --output-kind says what the numbers are where they do not tell"));
    }
    let precision = |decimals: Option<u8>| decimals.unwrap_or(u8::MAX);
    if precision(given.channel.decimals) < precision(channel.decimals) {
        return Err(Error::input(format!(
            "the answers to the queries are rounded to {} decimals, and those to the records are not",
            precision(given.channel.decimals)
        ))
        .at(path.display())
        .hint("ask the same interface for both, and keep all digits"));
    }
    let outputs = given.outputs.mapv(|x| channel.round(x));
    let phi = of_outputs(channel, &outputs, labels);
    refuse_strangers(path, testing, &phi)?;
    write_floats(run, file, &shape, |sink| sink(outputs.view()))?;
    Ok(Some(phi))
}

/// Scaled logits of outputs that have come through the channel.
fn of_outputs(channel: Channel, outputs: &Array2<f32>, labels: &[u32]) -> Vec<f64> {
    let rows = outputs.axis_iter(Axis(0)).zip(labels);
    rows.map(|(row, &label)| {
        let signal = channel.signal(&row.to_vec(), label as usize);
        as_of_models(signal.scaled_logit)
    })
    .collect()
}

/// As float32, like those of the models that test: a tie must stay one.
fn as_of_models(phi: f64) -> f64 {
    f64::from(phi as f32)
}

/// The queries of all units, one unit after another.
fn queries_of(units: &[UnitQueries]) -> Vec<Query> {
    let of_unit = |unit: &UnitQueries| -> Vec<Query> {
        let kept = unit.enhanced.queries.iter();
        kept.map(|kept| kept.query.clone()).collect()
    };
    units.iter().flat_map(of_unit).collect()
}

/// Whether a target answers queries as any model would: where all models that test go up and
/// down together from query to query, so does it. Rows in another order do not.
fn refuse_strangers(path: &Path, testing: &Array2<f32>, target: &[f64]) -> Result<()> {
    let means: Vec<f64> = testing
        .axis_iter(Axis(1))
        .map(|of| of.iter().map(|&x| f64::from(x)).sum::<f64>() / of.len() as f64)
        .collect();
    let ranks = |values: &[f64]| {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
        let mut ranks = vec![0.0; values.len()];
        for (rank, &place) in order.iter().enumerate() {
            ranks[place] = rank as f64;
        }
        ranks
    };
    let usual = ranks(&means);
    let follows = |values: &[f64]| {
        let middle = (values.len() as f64 - 1.0) / 2.0;
        let ranks = ranks(values);
        let pairs = ranks.iter().zip(&usual);
        let with: f64 = pairs.map(|(a, b)| (a - middle) * (b - middle)).sum();
        let alone: f64 = usual.iter().map(|b| (b - middle).powi(2)).sum();
        with / alone.max(f64::MIN_POSITIVE)
    };
    let of_models = testing.axis_iter(Axis(0)).map(|row| {
        let row: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
        follows(&row)
    });
    let least = of_models.fold(f64::INFINITY, f64::min);
    let found = follows(target);
    if found < least / 2.0 {
        return Err(Error::input(format!(
            "the answers are not to these queries: their rank correlation with the mean of the models that test is {found:.2}, where that of every such model is {least:.2} or more"
        ))
        .at(path.display())
        .hint("give the target's answers in the order of indirect/queries.parquet, one row each"));
    }
    Ok(())
}

fn hash(inputs: &Array2<f32>) -> String {
    let mut hasher = blake3::Hasher::new();
    for value in inputs {
        hasher.update(&value.to_le_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// Removes what an earlier audit left, where this one has no query.
pub(super) fn forget(run: &RunDirectory) -> Result<()> {
    for name in [
        "queries.npy",
        "queries.parquet",
        "query_record.npy",
        "query_tail.npy",
        "labels.npy",
        "membership.npy",
        "target_membership.npy",
        "signals.npy",
        "target.npy",
    ] {
        run.remove(&format!("indirect/{name}"))?;
    }
    Ok(())
}

/// What belongs to each query: its record, the tail, the label, and who trained on the record.
fn write_keys(
    run: &RunDirectory,
    pool: &Pool,
    units: &[UnitQueries],
    labels: &[u32],
) -> Result<()> {
    let each = || {
        units.iter().flat_map(|unit| {
            unit.enhanced
                .queries
                .iter()
                .map(move |kept| (unit.unit, kept))
        })
    };
    let whole = |name: &str, values: Vec<i64>| {
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        write_array(run, name, "<i8", &[values.len()], &bytes)
    };
    // As the units stand in the report.
    let places = || (0i64..).zip(units);
    let record =
        places().flat_map(|(place, unit)| std::iter::repeat_n(place, unit.enhanced.queries.len()));
    whole("indirect/query_record.npy", record.collect())?;
    let tail = |upper: bool| if upper { 1 } else { -1 };
    whole(
        "indirect/query_tail.npy",
        each().map(|(_, kept)| tail(kept.upper)).collect(),
    )?;
    whole(
        "indirect/labels.npy",
        labels.iter().map(|&label| i64::from(label)).collect(),
    )?;
    let members = |model: usize| {
        each().map(move |(unit, _)| u8::from(pool.membership.is_in(model, unit as usize)))
    };
    let bytes: Vec<u8> = pool.membership.halves()[1]
        .clone()
        .flat_map(members)
        .collect();
    let models = pool.membership.halves()[1].len();
    write_array(
        run,
        "indirect/membership.npy",
        "|u1",
        &[models, labels.len()],
        &bytes,
    )?;
    // Only where all are known can the attack be judged.
    let known: Option<Vec<u8>> = each()
        .map(|(unit, _)| pool.is_member[unit as usize].map(u8::from))
        .collect();
    match known {
        Some(known) => write_array(
            run,
            "indirect/target_membership.npy",
            "|u1",
            &[known.len()],
            &known,
        ),
        None => run.remove("indirect/target_membership.npy"),
    }
}
