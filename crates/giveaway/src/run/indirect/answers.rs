//! Asking: the models that test, and the target, answer all queries.

use std::io;

use ndarray::{Array2, Axis};
use rayon::prelude::*;

use super::models;
use super::queries::UnitQueries;
use crate::channel::Channel;
use crate::enhance::effect::{matrix, scaled_logits};
use crate::enhance::space::{Query, QuerySpace};
use crate::error::{Error, Result};
use crate::run::array_file::{write_array, write_floats};
use crate::run::directory::RunDirectory;
use crate::run::pool::Pool;
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
    let queries: Vec<Query> = units
        .iter()
        .flat_map(|unit| unit.enhanced.queries.iter().map(|kept| kept.query.clone()))
        .collect();
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
    let target = ask_target(run, pool, trainer, channel, &inputs, &labels)?;
    Ok(Answers { testing, target })
}

/// The target trained here is asked; the answers of another are read, once they are there.
fn ask_target(
    run: &RunDirectory,
    pool: &Pool,
    trainer: &dyn Trainer,
    channel: Channel,
    inputs: &Array2<f32>,
    labels: &[u32],
) -> Result<Option<Vec<f64>>> {
    let classes = &pool.dataset.schema.classes;
    if pool.target_outputs.is_none() {
        let logits = models::load(run, trainer, "target")?.answer(inputs.view())?;
        write_floats(
            run,
            "indirect/target.npy",
            &[labels.len(), classes.len()],
            |sink| sink(logits.view()),
        )?;
        return Ok(Some(scaled_logits(channel, &logits, labels)));
    }
    let Some(path) = pool
        .config
        .test
        .indirect
        .as_ref()
        .and_then(|indirect| indirect.answers.as_ref())
    else {
        return Ok(None);
    };
    let kind = Some(channel.kind);
    let given = target::read_outputs(path, labels.len(), classes, kind).map_err(|e| {
        e.hint("one row per query of indirect/queries.parquet in the run directory, in its order")
    })?;
    write_floats(
        run,
        "indirect/target.npy",
        &[labels.len(), classes.len()],
        |sink| sink(given.outputs.view()),
    )?;
    let phi = given.outputs.axis_iter(Axis(0)).zip(labels);
    Ok(Some(
        phi.map(|(row, &label)| channel.signal(&row.to_vec(), label as usize).scaled_logit)
            .collect(),
    ))
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
