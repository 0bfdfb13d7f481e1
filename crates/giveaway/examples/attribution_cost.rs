//! How long it takes to share out a record's loss gap among its columns, and how complete the
//! values are: a line for each way of training, on the shipped records of Adult (8 OUT and 8 IN
//! models of 64 hidden units).
//!
//! ```text
//! cargo run --release --example attribution_cost -- [RECORDS]
//! ```
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::time::Instant;

use giveaway::dataset::{Encoding, EncodingOptions, Table, TableOptions};
use giveaway::explain::attribution::{
    Attribution, Columns, Evaluation, Method, Models, Record, attribute, class_means,
};
use giveaway::trainer::{Model, NetworkTrainer, Trainer};
use giveaway_nn::{Activation, Network, Optimiser, Schedule, Training};
use giveaway_stats::random::Stream;

const POOL: usize = 3000;
const MODELS: usize = 16;

fn main() -> giveaway::Result<()> {
    let explained: usize = std::env::args()
        .nth(1)
        .and_then(|records| records.parse().ok())
        .unwrap_or(50);
    let table = Table::shipped("adult", &TableOptions::default())?;
    let rows: Vec<u32> = (0..table.len() as u32).collect();
    let encoding = Encoding::learn(&table, &rows, &EncodingOptions::default())?;
    let dataset = encoding.encode(&table)?;
    let columns = Columns::new(&dataset.schema);
    let baselines = class_means(
        dataset.features.view(),
        &dataset.labels,
        dataset.class_count(),
    );
    println!(
        "{} features of {} columns, {MODELS} models",
        dataset.features.ncols(),
        columns.len()
    );
    for (activation, epochs) in [
        (Activation::Relu, 5),
        (Activation::Relu, 40),
        (Activation::Tanh, 40),
    ] {
        let network = Network {
            inputs: dataset.features.ncols(),
            hidden: vec![64],
            classes: dataset.class_count(),
            activation,
            ..Network::default()
        };
        let training = Training {
            epochs,
            batch_size: 64,
            learning_rate: 0.003,
            optimiser: Optimiser::adam(),
            l2: 0.0,
            label_smoothing: 0.0,
            schedule: Schedule::Constant,
            early_stopping: None,
            augmentation: None,
        };
        let trainer = NetworkTrainer::new(network, training, &dataset, giveaway_nn::kernel())?;
        let mut trained = Vec::new();
        for pair in 0..MODELS as u64 / 2 {
            let mut rows: Vec<u32> = (0..POOL as u32).collect();
            Stream::new(3, "halves", pair).shuffle(&mut rows);
            let (first, second) = rows.split_at(POOL / 2);
            for (half, seed) in [(first, 2 * pair), (second, 2 * pair + 1)] {
                trained.push((trainer.train(half, &[], seed)?, half.to_vec()));
            }
        }
        for method in [Method::Automatic, Method::Sampling { permutations: 200 }] {
            let start = Instant::now();
            let mut attributions = Vec::new();
            for number in 0..explained as u32 {
                let side = |within: bool| -> Vec<&dyn Model> {
                    trained
                        .iter()
                        .filter(|(_, rows)| rows.contains(&number) == within)
                        .map(|(model, _)| &**model)
                        .collect()
                };
                let label = dataset.labels[number as usize];
                let record = Record {
                    number,
                    label,
                    features: dataset.features.row(number as usize),
                    baseline: baselines.row(label as usize),
                };
                let models = Models {
                    out: &side(false),
                    within: &side(true),
                };
                attributions.push(attribute(&record, &columns, &models, method, 1)?);
            }
            let each = start.elapsed().as_secs_f64() / explained as f64;
            println!(
                "{activation:?}, {epochs} epochs, {method:?}: {:.1} ms a record, {}",
                1e3 * each,
                summary(&attributions)
            );
        }
    }
    Ok(())
}

/// How many records took how many steps, how many are complete, and how far off the worst is.
fn summary(attributions: &[Attribution]) -> String {
    let mut steps = std::collections::BTreeMap::new();
    for attribution in attributions {
        let count = match attribution.evaluation {
            Evaluation::IntegratedGradients { steps } => steps,
            Evaluation::Permutations { permutations } => permutations,
            Evaluation::Exact { subsets } => subsets,
        };
        *steps.entry(count).or_insert(0) += 1;
    }
    let complete = attributions.iter().filter(|a| a.is_complete()).count();
    let worst = attributions
        .iter()
        .map(|a| a.residual.abs())
        .fold(0.0, f64::max);
    let largest_error = attributions
        .iter()
        .filter_map(|a| a.standard_errors.as_ref())
        .flatten()
        .fold(0.0f64, |largest, &error| largest.max(error));
    format!(
        "steps or permutations {steps:?}, {complete} of {} complete, largest residual {worst:.1e} nats, largest standard error {largest_error:.1e} nats",
        attributions.len()
    )
}
