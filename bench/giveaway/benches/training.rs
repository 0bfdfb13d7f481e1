//! One thread: an epoch of training on each kernel, and with the fastest one the logits,
//! the gradient norms of all records, and an epoch of DP-SGD.
//!
//! The throughput of training and logits is in floating-point operations (criterion says
//! Gelem/s), that of the others in records.

use std::error::Error;
use std::hint::black_box;
use std::time::Duration;

use bench_common::Workload;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use giveaway_nn::{Examples, Kernel, Privacy, Trained, Trainer, train};
use giveaway_stats::random::Stream;
use ndarray::Array2;
use peer_giveaway::{network, training};

/// Records trained on, and asked.
const RECORDS: usize = 5_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    for name in ["W1", "W2", "W3"] {
        let workload = Workload::named(name)?;
        let mut group = criterion.benchmark_group(name);
        measure(&mut group, &workload)?;
        group.finish();
    }
    criterion.final_summary();
    Ok(())
}

/// Noise: what is learnt does not matter to the time.
fn noise(workload: &Workload) -> Result<Examples, giveaway_nn::Error> {
    let mut stream = Stream::new(1, "benchmark", 0);
    let shape = (RECORDS, workload.inputs);
    let features = Array2::from_shape_simple_fn(shape, || stream.normal() as f32);
    let label = |_| stream.below(workload.classes) as u32;
    let labels: Vec<u32> = (0..RECORDS).map(label).collect();
    Examples::new(features.view(), &labels, workload.classes)
}

fn measure(
    group: &mut BenchmarkGroup<'_, WallTime>,
    workload: &Workload,
) -> Result<(), Box<dyn Error>> {
    let network = network(workload);
    let mut training = training(workload);
    training.epochs = 1;
    let examples = noise(workload)?;
    let rows: Vec<u32> = (0..RECORDS as u32).collect();
    let records = RECORDS as u64;

    group.throughput(Throughput::Elements(
        records * workload.training_operations(),
    ));
    for kernel in Kernel::available() {
        let trainer = Trainer::new(&network, &training)?.kernel(kernel);
        group.bench_function(format!("epoch/{kernel}"), |bencher| {
            bencher.iter(|| black_box(trained(&trainer, &examples, &rows)));
        });
    }

    let model = train(&network, &training, &examples, &rows, &[], 1)?;
    group.throughput(Throughput::Elements(
        records * workload.forward_operations(),
    ));
    group.bench_function("logits", |bencher| bencher.iter(|| model.logits(&examples)));

    group.throughput(Throughput::Elements(records));
    group.bench_function("gradient norms", |bencher| {
        bencher.iter(|| model.gradient_norms(&examples));
    });
    let private = Trainer::new(&network, &training)?.private(Privacy {
        clip: 1.0,
        noise_multiplier: 1.0,
    })?;
    group.bench_function("epoch of DP-SGD", |bencher| {
        bencher.iter(|| black_box(trained(&private, &examples, &rows)));
    });
    Ok(())
}

/// # Panics
/// If training fails: then there is nothing to measure.
fn trained(trainer: &Trainer<'_>, examples: &Examples, rows: &[u32]) -> Trained {
    match trainer.train(examples, rows, &[], 1) {
        Ok(model) => model,
        Err(error) => panic!("{error}"),
    }
}
