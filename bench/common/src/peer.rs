//! Training the models of a workload on several threads, and reporting it.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use clap::Parser;
use giveaway_stats::random::Stream;
use ndarray::{Array1, Array2};
use ndarray_npy::read_npy;

use crate::Workload;

/// The command line of a peer.
#[derive(Clone, Debug, Parser)]
pub struct Arguments {
    /// Workload, such as W1.
    #[arg(long)]
    pub workload: String,
    /// Folder that data.py wrote.
    #[arg(long)]
    pub data: PathBuf,
    /// Number of models.
    #[arg(long)]
    pub models: usize,
    /// Models trained at once, each on one thread.
    #[arg(long, default_value_t = 2)]
    pub threads: usize,
    /// Epochs, where the workload's own are too many.
    #[arg(long)]
    pub epochs: Option<usize>,
}

/// Records to train on and records held out.
#[derive(Debug)]
pub struct Data {
    /// Records × features.
    pub features: Array2<f32>,
    /// The class of each record.
    pub labels: Vec<u32>,
    /// Held-out records × features.
    pub held_out: Array2<f32>,
    /// The class of each held-out record.
    pub held_out_labels: Vec<u32>,
    /// The records that each model is trained on, models × rows.
    halves: Array2<i32>,
}

impl Data {
    fn read(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let features = |name| -> Result<Array2<f32>, Box<dyn Error>> {
            let path = folder.join(name);
            read_npy(&path).map_err(|error| format!("{}: {error}", path.display()).into())
        };
        let labels = |name| -> Result<Vec<u32>, Box<dyn Error>> {
            let path = folder.join(name);
            let labels: Array1<i64> =
                read_npy(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            Ok(labels.iter().map(|&label| label as u32).collect())
        };
        let path = folder.join("halves.npy");
        let halves = read_npy(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self {
            halves,
            features: features("X.npy")?,
            labels: labels("y.npy")?,
            held_out: features("Xtest.npy")?,
            held_out_labels: labels("ytest.npy")?,
        })
    }
}

/// One model to train.
#[derive(Debug)]
pub struct Job {
    /// The seed of everything random in it.
    pub seed: u64,
    /// The records to train on: a random half.
    pub rows: Vec<u32>,
}

impl Job {
    fn new(model: usize, halves: &Array2<i32>) -> Self {
        let rows = halves.row(model % halves.nrows());
        Self {
            seed: model as u64,
            rows: rows.iter().map(|&row| row as u32).collect(),
        }
    }

    /// The rows in the order of an epoch.
    #[must_use]
    pub fn order(&self, epoch: usize) -> Vec<u32> {
        let mut order = self.rows.clone();
        Stream::new(self.seed, "order", epoch as u64).shuffle(&mut order);
        order
    }
}

/// What a peer's own functions give back.
type Run<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Trains the models that the command line asks for, each on one thread, and prints a line
/// of JSON.
///
/// `prepare` makes of the data what `train` trains on; `logits` gives those of a model on
/// the held-out records (records × classes). Reading the data, `prepare` and evaluation are
/// not in the time; drawing orders is.
///
/// # Errors
/// If the command line, the data or the training is at fault.
///
/// # Panics
/// If a thread panicked.
pub fn run<P: Sync, M: Send>(
    way: &str,
    prepare: impl FnOnce(&Workload, &Data) -> Run<P>,
    train: impl Fn(&Workload, &P, &Job) -> Run<M> + Sync,
    logits: impl Fn(&Workload, &Data, &M) -> Run<Array2<f32>>,
) -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let mut workload = Workload::named(&arguments.workload)?;
    workload.epochs = arguments.epochs.unwrap_or(workload.epochs);
    let data = Data::read(&arguments.data.join(&arguments.workload))?;
    let prepared = prepare(&workload, &data).map_err(|error| error.to_string())?;
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    let work = || {
        let mut models = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= arguments.models {
                return Ok(models);
            }
            let job = Job::new(index, &data.halves);
            models.push(train(&workload, &prepared, &job)?);
        }
    };
    let trained = thread::scope(|scope| {
        let threads: Vec<_> = (0..arguments.threads).map(|_| scope.spawn(work)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Run<Vec<M>>>| match thread.join() {
            Ok(models) => models,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        threads.into_iter().map(join).collect::<Run<Vec<_>>>()
    });
    let seconds = start.elapsed().as_secs_f64();
    let memory = peak_memory()?;
    let models: Vec<M> = trained
        .map_err(|error| error.to_string())?
        .into_iter()
        .flatten()
        .collect();

    let (mut accuracies, mut losses) = (Vec::new(), Vec::new());
    for model in &models {
        let logits = logits(&workload, &data, model).map_err(|error| error.to_string())?;
        let (accuracy, loss) = judge(&logits, &data.held_out_labels)?;
        accuracies.push(accuracy);
        losses.push(loss);
    }
    let result = serde_json::json!({
        "way": way,
        "workload": arguments.workload,
        "models": models.len(),
        "threads": arguments.threads,
        "processes": 1,
        "seconds": seconds,
        "models_per_second": models.len() as f64 / seconds,
        "accuracies": accuracies,
        "loss": losses.iter().sum::<f64>() / losses.len() as f64,
        "peak_rss_bytes": memory,
    });
    println!("{result}");
    Ok(())
}

/// Accuracy and mean cross-entropy.
fn judge(logits: &Array2<f32>, labels: &[u32]) -> Result<(f64, f64), Box<dyn Error>> {
    if logits.nrows() != labels.len() {
        return Err(format!("{} outputs for {} labels", logits.nrows(), labels.len()).into());
    }
    let (mut correct, mut loss) = (0, 0.0);
    for (row, &label) in logits.rows().into_iter().zip(labels) {
        let own = f64::from(row[label as usize]);
        let others_below = row
            .iter()
            .enumerate()
            .all(|(class, &logit)| class == label as usize || f64::from(logit) < own);
        correct += usize::from(others_below);
        loss += row
            .iter()
            .map(|&x| (f64::from(x) - own).exp())
            .sum::<f64>()
            .ln();
    }
    let count = labels.len() as f64;
    Ok((correct as f64 / count, loss / count))
}

/// The largest resident memory of this process so far, in bytes, where `/proc` tells.
fn peak_memory() -> Result<Option<u64>, Box<dyn Error>> {
    let Ok(status) = fs::read_to_string("/proc/self/status") else {
        return Ok(None);
    };
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    match line.and_then(|line| line.split_whitespace().next()) {
        None => Ok(None),
        Some(kibibytes) => Ok(Some(1024 * kibibytes.parse::<u64>()?)),
    }
}
