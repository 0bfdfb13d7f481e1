//! Models per second and GFLOP/s of training, on one thread and on all.
//!
//!     cargo run --release -p giveaway-nn --example throughput [KERNEL] [SECONDS] [W1|W2|W3] [DROPOUT]
//!
//! W1 is a table: 10,000 of 20,000 records, 104 features, hidden layers of 64 and 32, 2
//! classes, 20 epochs. W2 is wide: 600 binary features, hidden layers of 256 and 128, 100
//! classes, 10 epochs. Both with Adam and batches of 128. W3 is images: 5,000 of 10,000
//! records of 28 × 28 pixels, convolutions 5 × 5 with 16 and 32 channels, pooling 2 × 2
//! after each, a hidden layer of 128, 10 classes, 3 epochs, batches of 64. Operations are
//! counted as 2 · records · inputs · outputs for each layer and pass (for a convolution 2 ·
//! records · pixels of its output · inputs of a filter · channels): forward and the
//! weights' gradient for all layers, the inputs' gradient for all but the first.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use giveaway_nn::{
    Activation, Convolution, Examples, Image, Kernel, Network, Optimiser, Padding, Pool, Schedule,
    Trainer, Training, kernel,
};
use giveaway_stats::random::Stream;
use ndarray::Array2;

struct Workload {
    name: &'static str,
    network: Network,
    training: Training,
    records: usize,
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
            image: None,
            skips: Vec::new(),
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
            augmentation: None,
        },
        records: 20_000,
        binary,
    }
}

/// W3.
fn images() -> Workload {
    let convolution = |channels| Convolution {
        channels,
        size: 5,
        padding: Padding::Valid,
        pool: Some(Pool::Max),
    };
    let mut workload = workload("W3", &[28 * 28, 128, 10], 3, false);
    workload.network.image = Some(Image {
        height: 28,
        width: 28,
        channels: 1,
        convolutions: vec![convolution(16), convolution(32)],
        skips: Vec::new(),
    });
    workload.training.batch_size = 64;
    workload.records = 10_000;
    workload
}

impl Workload {
    /// Records in clouds around a random centre for each class.
    fn examples(&self) -> Result<Examples, giveaway_nn::Error> {
        let mut stream = Stream::new(1, self.name, 0);
        let (inputs, classes) = (self.network.inputs, self.network.classes);
        let centres = Array2::from_shape_fn((classes, inputs), |_| stream.normal());
        let labels: Vec<u32> = (0..self.records)
            .map(|_| stream.below(classes) as u32)
            .collect();
        let features = Array2::from_shape_fn((self.records, inputs), |(row, column)| {
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
        // multiplications of a record in each layer
        let mut layers = Vec::new();
        let mut inputs = self.network.inputs;
        if let Some(image) = &self.network.image {
            let (mut height, mut width, mut channels) = (image.height, image.width, image.channels);
            for convolution in &image.convolutions {
                let size = convolution.size;
                (height, width) = (height + 1 - size, width + 1 - size);
                layers.push(height * width * size * size * channels * convolution.channels);
                (height, width, channels) = (height / 2, width / 2, convolution.channels);
            }
            inputs = height * width * channels;
        }
        for &outputs in self.network.hidden.iter().chain([&self.network.classes]) {
            layers.push(inputs * outputs);
            inputs = outputs;
        }
        let passes = 3 * layers.iter().sum::<usize>() - layers[0];
        2.0 * (passes * self.records / 2 * self.training.epochs) as f64
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
    let dropout: f32 = arguments.next().map_or(Ok(0.0), |text| text.parse())?;
    let all = thread::available_parallelism()?.get();
    println!("kernel {kernel}");
    for mut workload in [
        workload("W1", &[104, 64, 32, 2], 20, false),
        workload("W2", &[600, 256, 128, 100], 10, true),
        images(),
    ] {
        if only.as_ref().is_some_and(|only| only != workload.name) {
            continue;
        }
        workload.network.dropout = dropout;
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
            let mut rows: Vec<u32> = (0..examples.rows() as u32).collect();
            Stream::new(seed, "half", 0).shuffle(&mut rows);
            trainer.train(examples, &rows[..examples.rows() / 2], &[], seed)?;
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
