//! Training what is missing: the target, if it is trained here, and the reference models.

use std::sync::OnceLock;
use std::time::Duration;

use giveaway_nn::Kernel;
use giveaway_stats::random::derive_seed;
use ndarray::{Axis, Slice};

use super::array_file::{read_outputs, write_floats};
use super::config::trainer::TrainerName;
use super::config::{Config, Keep};
use super::directory::RunDirectory;
use super::pool::Pool;
use super::progress::Progress;
use super::schedule;
use crate::dataset::Table;
use crate::error::{Error, Result};
use crate::report::text;
use crate::trainer::{CommandTrainer, Model, NetworkTrainer, Trainer, TreeTrainer};

/// The trainer of target and reference models.
pub(super) fn trainer(pool: &Pool) -> Result<Box<dyn Trainer + '_>> {
    let config = &pool.config;
    let dataset = &pool.dataset;
    let reference = &config.reference;
    Ok(match reference.trainer {
        TrainerName::Network => {
            let network = config.network(dataset.features.ncols(), dataset.schema.classes.len());
            let training = config.training(pool.training_records());
            let kernel = network_kernel(config)?;
            Box::new(NetworkTrainer::new(network, training, dataset, kernel)?)
        }
        TrainerName::Forest => Box::new(TreeTrainer::forest(reference.forest.forest(), dataset)?),
        TrainerName::Boosting => {
            let boosting = reference.boosting.boosting(reference.patience);
            Box::new(TreeTrainer::boosting(boosting, dataset)?)
        }
        TrainerName::Command => {
            let tables: Vec<&Table> = std::iter::once(&pool.table)
                .chain(&pool.reference)
                .collect();
            let trainer =
                CommandTrainer::new(&reference.command, &tables, dataset, &pool.encoding)?;
            let label = config.data.label.as_deref().unwrap_or("label");
            Box::new(trainer.label(label)?.secrets(config.target.secrets()))
        }
    })
}

fn network_kernel(config: &Config) -> Result<Kernel> {
    match &config.reference.kernel {
        Some(name) => name.parse().map_err(|e: giveaway_nn::Error| {
            Error::usage(e.to_string())
                .at("--kernel")
                .hint("leave it out to use the fastest")
        }),
        None => Ok(giveaway_nn::kernel()),
    }
}

/// The name of the arithmetic in use, as [`Trainer::kernel`] tells it.
pub(super) fn kernel(config: &Config) -> Result<String> {
    Ok(match config.reference.trainer {
        TrainerName::Network => network_kernel(config)?.to_string(),
        TrainerName::Forest | TrainerName::Boosting => "trees".to_owned(),
        TrainerName::Command => "command".to_owned(),
    })
}

/// What is trained, in words.
pub(super) fn in_words(pool: &Pool) -> String {
    let reference = &pool.config.reference;
    match reference.trainer {
        TrainerName::Network => text::network(&pool.config.network(
            pool.dataset.features.ncols(),
            pool.dataset.schema.classes.len(),
        )),
        TrainerName::Forest => reference.forest.words(),
        TrainerName::Boosting => reference.boosting.words(),
        TrainerName::Command => format!("model of the command `{}`", reference.command.command),
    }
}

/// The records that the target is trained on, and the seed of its training.
pub(super) fn of_target(pool: &Pool) -> (Vec<u32>, u64) {
    let records = pool.units.expand(&pool.target_training_units);
    (records, derive_seed(pool.config.seed, TARGET, 0))
}

/// The purpose of the target's seed.
const TARGET: &str = "training the target";

/// The purpose of a reference model's seed.
pub(super) const REFERENCE: &str = "training a reference model";

/// A share of the reference models: every `count`-th, beginning with number `index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// All of the models.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// Reads `i/n`: the i-th of n shares, counted from 1.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> Result<Self> {
        text.split_once('/')
            .and_then(|(index, count)| {
                let (index, count) = (index.trim().parse().ok()?, count.trim().parse().ok()?);
                (1..=count).contains(&index).then(|| Self {
                    index: index - 1,
                    count,
                })
            })
            .ok_or_else(|| {
                Error::usage(format!("{text:?} is no share of the models"))
                    .at("--shard")
                    .hint("write 3/16 for the third of sixteen shares, counted from 1")
            })
    }

    /// Whether a model belongs to it.
    #[must_use]
    pub fn holds(self, model: usize) -> bool {
        model % self.count == self.index
    }
}

/// A model to be trained and what of it is to be written.
struct Task<'a> {
    /// What it is, in messages.
    name: String,
    units: &'a [u32],
    seed: u64,
    files: Vec<(Part, String)>,
}

/// What is written of a model, each into a file of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Outputs,
    Kept(Keep),
}

impl Part {
    fn file(self, name: &str) -> String {
        match self {
            Self::Outputs => format!("signals/{name}.npy"),
            Self::Kept(Keep::Features) => format!("features/{name}.npy"),
            Self::Kept(Keep::Weights) => format!("models/{name}.safetensors"),
        }
    }
}

impl Part {
    /// # Errors
    /// If it cannot be written.
    fn write(self, run: &RunDirectory, file: &str, model: &dyn Model) -> Result<()> {
        match self {
            Self::Outputs => {
                let shape = [model.records(), 1, model.classes()];
                write_floats(run, file, &shape, |sink| model.each_logits(sink))
            }
            Self::Kept(Keep::Features) => {
                let shape = [model.records(), model.features()];
                write_floats(run, file, &shape, |sink| model.each_features(sink))
            }
            Self::Kept(Keep::Weights) => run.write(file, &model.weights()?),
        }
    }
}

/// Trains every model of the share of which something is not in the run directory yet;
/// returns how many of its reference models were there. The target belongs to the whole.
///
/// Which model is trained when, or beside which, changes nothing: its seed is derived from
/// the run's seed and its number.
pub(super) fn train_missing(
    run: &RunDirectory,
    pool: &Pool,
    trainer: &dyn Trainer,
    shard: Shard,
    progress: &dyn Progress,
) -> Result<usize> {
    let parts: Vec<Part> = std::iter::once(Part::Outputs)
        .chain(
            pool.config
                .reference
                .keep
                .iter()
                .map(|&keep| Part::Kept(keep)),
        )
        .collect();
    let task = |name: String, units, purpose, number| {
        let missing = |part: &Part| {
            Some((*part, part.file(&name))).filter(|(_, file)| !run.file(file).exists())
        };
        let files: Vec<_> = parts.iter().filter_map(missing).collect();
        let what = if purpose == TARGET {
            "target".to_owned()
        } else {
            format!("reference model {number}")
        };
        (!files.is_empty()).then(|| Task {
            name: what,
            units,
            seed: derive_seed(pool.config.seed, purpose, number),
            files,
        })
    };
    let mut tasks = Vec::new();
    if shard == Shard::WHOLE && pool.trains_target() {
        let units = &pool.target_training_units[..];
        tasks.extend(task("target".to_owned(), units, TARGET, 0));
    }
    let own_target = tasks.len();
    let models: Vec<usize> = (0..pool.membership.models())
        .filter(|&model| shard.holds(model))
        .collect();
    tasks.extend(models.iter().filter_map(|&model| {
        let units = pool.membership.training_units(model);
        task(format!("{model:03}"), units, REFERENCE, model as u64)
    }));
    let resumed = models.len() - (tasks.len() - own_target);
    if tasks.is_empty() {
        return Ok(resumed);
    }
    make_folders(run, &tasks)?;
    if resumed > 0 {
        progress.note(&format!(
            "{resumed} of {} reference models are there already",
            models.len()
        ));
    }
    let validation = pool.units.expand(&pool.validation_units);
    let records = |task: &Task| pool.units.expand(task.units);
    let largest = tasks.iter().map(|task| pool.units.count(task.units)).max();
    let largest = largest.unwrap_or(0);
    // What the trainer takes, and the list of its records.
    let memory =
        |threads| trainer.memory(largest, validation.len(), threads) + largest * size_of::<u32>();
    let threads = rayon::current_num_threads();
    let (threads, at_once) = within(pool.config.reference.max_memory, threads, memory)?;
    let lanes = at_once.min(tasks.len());
    progress.note(&format!(
        "training takes {} of memory for each model, {lanes} at a time",
        bytes(memory(threads / lanes) as u64),
    ));
    progress.begin("training reference models", tasks.len() as u64);
    let begun = std::time::Instant::now();
    let outcome = schedule::run(tasks.len(), threads, at_once, |number| {
        let task = &tasks[number];
        // Another process may have been at the same share.
        let missing = |(_, file): &&(Part, String)| !run.file(file).exists();
        let files: Vec<_> = task.files.iter().filter(missing).collect();
        let done = if files.is_empty() {
            Ok(())
        } else {
            trainer
                .train(&records(task), &validation, task.seed)
                .map_err(|e| e.at(task.name.clone()))
                .and_then(|model| {
                    files
                        .iter()
                        .try_for_each(|(part, file)| part.write(run, file, &*model))
                })
        };
        progress.advance(1);
        done
    });
    progress.end();
    tell_time_elsewhere(run, trainer, begun.elapsed(), tasks.len(), progress)?;
    outcome.map(|()| resumed)
}

/// Tells how much of the time the user's program took, if one trains.
fn tell_time_elsewhere(
    run: &RunDirectory,
    trainer: &dyn Trainer,
    wall: Duration,
    models: usize,
    progress: &dyn Progress,
) -> Result<()> {
    let Some(time) = trainer.time_elsewhere() else {
        return Ok(());
    };
    let (inside, wall) = (time.as_secs_f64(), wall.as_secs_f64());
    progress.note(&format!(
        "the command worked {inside:.1} s in all, over {wall:.1} s"
    ));
    run.event(
        "command",
        &serde_json::json!({ "seconds_in_command": inside, "seconds": wall, "models": models }),
    )
}

/// Makes the folders that the tasks write to.
fn make_folders(run: &RunDirectory, tasks: &[Task]) -> Result<()> {
    for folder in ["features", "models"] {
        let wanted = |(_, file): &(Part, String)| file.starts_with(folder);
        if tasks.iter().any(|task| task.files.iter().any(wanted)) {
            run.make_folder(folder)?;
        }
    }
    Ok(())
}

/// Trains `count` models side by side, as many as memory allows, and keeps them, in order.
/// `train` gets the number of one, and trains it on about as many records as the reference
/// models have, tracing so many.
pub(super) fn side_by_side<'a>(
    pool: &Pool,
    trainer: &dyn Trainer,
    count: usize,
    traced: usize,
    train: impl Fn(usize) -> Result<Box<dyn Model + 'a>> + Sync,
) -> Result<Vec<Box<dyn Model + 'a>>> {
    let records = pool.training_records();
    let validation = pool.units.count(&pool.validation_units);
    let memory = |threads| {
        let training = if traced > 0 {
            trainer.memory_traced(records, validation, traced, threads)
        } else {
            trainer.memory(records, validation, threads)
        };
        training + records * size_of::<u32>()
    };
    let threads = rayon::current_num_threads();
    let (threads, at_once) = within(pool.config.reference.max_memory, threads, memory)?;
    let slots: Vec<OnceLock<Box<dyn Model + 'a>>> = (0..count).map(|_| OnceLock::new()).collect();
    schedule::run(count, threads, at_once, |number| {
        let model = train(number)?;
        slots[number]
            .set(model)
            .map_err(|_| Error::unexpected("a model was trained twice"))
    })?;
    slots
        .into_iter()
        .map(|slot| {
            slot.into_inner()
                .ok_or_else(|| Error::unexpected("a model was not trained"))
        })
        .collect()
}

/// Sees that a reference model that was trained again answers as the one whose outputs are in the
/// run directory.
///
/// # Errors
/// If it does not.
pub(super) fn answers_as_stored(
    run: &RunDirectory,
    pool: &Pool,
    number: usize,
    model: &dyn Model,
) -> Result<()> {
    let path = run.signal_file(number);
    let stored = read_outputs(&path, pool.dataset.len(), pool.dataset.schema.classes.len())?;
    let (mut row, mut same) = (0, true);
    model
        .each_logits(&mut |block| {
            let rows = Slice::from(row..row + block.nrows());
            same &= stored.slice_axis(Axis(0), rows) == block;
            row += block.nrows();
            Ok(())
        })
        .map_err(|e| Error::unexpected(format!("cannot compare outputs: {e}")))?;
    if same {
        return Ok(());
    }
    Err(Error::input(format!(
        "reference model {number}, trained again, does not answer as its file says"
    ))
    .at(path.display())
    .hint("the file was changed, or is of another version of giveaway: delete it and run the audit again"))
}

/// How many threads may work on how many models at once, so that they stay within the
/// limit if there is one: as many models as fit, and for a single one as few threads as need be.
pub(super) fn within(
    limit: Option<u64>,
    threads: usize,
    memory: impl Fn(usize) -> usize,
) -> Result<(usize, usize)> {
    let Some(limit) = limit else {
        return Ok((threads, threads));
    };
    let several = (1..=threads).rev().map(|models| (threads, models));
    let one = (1..threads).rev().map(|threads| (threads, 1));
    several
        .chain(one)
        .find(|(threads, models)| (models * memory(threads / models)) as u64 <= limit)
        .ok_or_else(|| {
            Error::usage(format!(
                "training one model takes {}, more than the {} allowed",
                bytes(memory(1) as u64),
                bytes(limit)
            ))
            .at("--max-memory")
            .hint("allow more, or train a smaller network in smaller batches")
        })
}

/// A number of bytes in words.
fn bytes(count: u64) -> String {
    let (unit, size) = [("GiB", 1u64 << 30), ("MiB", 1 << 20)]
        .into_iter()
        .find(|&(_, size)| count >= size)
        .unwrap_or(("KiB", 1 << 10));
    format!("{:.1} {unit}", count as f64 / size as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cut_the_models_without_overlap() {
        let shards: Vec<Shard> = (1..=3)
            .map(|index| Shard::parse(&format!("{index}/3")).unwrap())
            .collect();
        for model in 0..20 {
            assert_eq!(shards.iter().filter(|s| s.holds(model)).count(), 1);
        }
        assert_eq!(Shard::parse("1/1").unwrap(), Shard::WHOLE);
        for wrong in ["0/3", "4/3", "3", "a/b", "1/0", "-1/3"] {
            assert!(Shard::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn memory_bounds_the_models_in_hand() {
        // 2 MiB for a model, and 1 more for each thread that works on it
        let memory = |threads: usize| (2 + threads) << 20;
        let within = |mebibytes: u64| within(Some(mebibytes << 20), 4, memory);
        assert_eq!(super::within(None, 4, memory).unwrap(), (4, 4));
        assert_eq!(within(12).unwrap(), (4, 4));
        assert_eq!(within(11).unwrap(), (4, 3));
        assert_eq!(within(8).unwrap(), (4, 2));
        assert_eq!(within(6).unwrap(), (4, 1));
        assert_eq!(within(4).unwrap(), (2, 1));
        let error = within(2).unwrap_err();
        assert!(error.to_string().contains("3.0 MiB"), "{error}");
        assert!(error.to_string().contains("--max-memory"), "{error}");
        assert_eq!(bytes(3 << 30), "3.0 GiB");
    }
}
