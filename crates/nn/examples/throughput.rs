//! Models per second and GFLOP/s of training, on one thread and on all.
//!
//!     cargo run --release -p giveaway-nn --example throughput [KERNEL] [SECONDS] [W1|W2]
//!
//! W1 is a table: 10,000 of 20,000 records, 104 features, hidden layers of 64 and 32, 2
//! classes, 20 epochs. W2 is wide: 600 binary features, hidden layers of 256 and 128, 100
//! classes, 10 epochs. Both with Adam and batches of 128. Operations are counted as
//! 2 · records · inputs · outputs for each layer and pass: forward and the weights'
//! gradient for all layers, the inputs' gradient for all but the first.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use giveaway_nn::{
    Activation, Examples, Kernel, Network, Optimiser, Schedule, Trainer, Training, kernel,
};
use giveaway_stats::random::Stream;
use ndarray::Array2;

const RECORDS: usize = 20_000;

struct Workload {
    name: &'static str,
    network: Network,
    training: Training,
    binary: bool,
}

fn workload(name: &'static str, widths: &[usize], epochs: usize, binary: bool) -> Workload {
    let last = widths.len() - 1;
    Workload {
        name,
        network: Network {
            inputs: widths[0],
            hidden: widths[1..last].to_vec(),
            classes: widths[last],
            activation: Activation::Relu,
            dropout: 0.0,
        },
        training: Training {
            epochs,
            batch_size: 128,
            learning_rate: 1e-3,
            optimiser: Optimiser::adam(),
            l2: 0.0,
            label_smoothing: 0.0,
            schedule: Schedule::Constant,
            early_stopping: None,
        },
        binary,
    }
}

impl Workload {
    /// Records in clouds around a random centre for each class.
    fn examples(&self) -> Result<Examples, giveaway_nn::Error> {
        let mut stream = Stream::new(1, self.name, 0);
        let (inputs, classes) = (self.network.inputs, self.network.classes);
        let centres = Array2::from_shape_fn((classes, inputs), |_| stream.normal());
        let labels: Vec<u32> = (0..RECORDS).map(|_| stream.below(classes) as u32).collect();
        let features = Array2::from_shape_fn((RECORDS, inputs), |(row, column)| {
            let x = 0.3 * centres[[labels[row] as usize, column]] + stream.normal();
            if self.binary {
                f32::from(u8::from(x > 0.0))
            } else {
                x as f32
            }
        });
        Examples::new(features.view(), &labels, classes)
    }

    /// Floating-point operations of training one model on half of the records.
    fn operations(&self) -> f64 {
        let mut widths = vec![self.network.inputs];
        widths.extend(&self.network.hidden);
        widths.push(self.network.classes);
        let layers = widths.windows(2).enumerate().map(|(i, pair)| {
            let passes = if i == 0 { 2.0 } else { 3.0 };
            passes * 2.0 * (pair[0] * pair[1]) as f64
        });
        let records = RECORDS / 2 * self.training.epochs;
        layers.sum::<f64>() * records as f64
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let kernel = match arguments.next() {
        Some(name) => name.parse::<Kernel>()?,
        None => kernel(),
    };
    let seconds: f64 = arguments.next().map_or(Ok(3.0), |text| text.parse())?;
    let only = arguments.next();
    let all = thread::available_parallelism()?.get();
    println!("kernel {kernel}");
    for workload in [
        workload("W1", &[104, 64, 32, 2], 20, false),
        workload("W2", &[600, 256, 128, 100], 10, true),
    ] {
        if only.as_ref().is_some_and(|only| only != workload.name) {
            continue;
        }
        let examples = workload.examples()?;
        let trainer = Trainer::new(&workload.network, &workload.training)?.kernel(kernel);
        for threads in [1, all] {
            let rate = models_per_second(&trainer, &examples, threads, seconds)?;
            println!(
                "{} {threads} threads: {rate:7.2} models/s {:7.1} GFLOP/s",
                workload.name,
                rate * workload.operations() / 1e9
            );
        }
    }
    Ok(())
}

/// Trains models on several threads for about this long.
fn models_per_second(
    trainer: &Trainer,
    examples: &Examples,
    threads: usize,
    seconds: f64,
) -> Result<f64, giveaway_nn::Error> {
    let next_seed = AtomicU64::new(0);
    let start = Instant::now();
    let limit = Duration::from_secs_f64(seconds);
    // each thread's rate: what the others still do when it stops does not matter
    let work = || {
        let mut count = 0.0;
        while start.elapsed() < limit {
            let seed = next_seed.fetch_add(1, Ordering::Relaxed);
            let mut rows: Vec<u32> = (0..RECORDS as u32).collect();
            Stream::new(seed, "half", 0).shuffle(&mut rows);
            trainer.train(examples, &rows[..RECORDS / 2], &[], seed)?;
            count += 1.0;
        }
        Ok(count / start.elapsed().as_secs_f64())
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running
            .into_iter()
            .map(|thread| match thread.join() {
                Ok(rate) => rate,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .sum()
    })
}
