//! Trains one kind of trees on arrays in files, tells how long it took, and writes what the trees
//! answer. `bench/experiments/trees.py` writes the arrays and reads the answers.
//!
//! `time_trees FOLDER forest|boosting THREADS REPETITIONS SEED`: the folder has `shape.txt`
//! (training records, test records, features, classes), `train.f32`, `train.u32`, `test.f32`.

use std::path::Path;
use std::time::Instant;
use std::{env, error, fs};

use giveaway_trees::{Boosting, Examples, Features, Forest};
use ndarray::Array2;

#[expect(clippy::print_stdout, reason = "a measurement is what this is for")]
fn main() -> Result<(), Box<dyn error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [folder, kind, threads, repetitions, seed] = &arguments[..] else {
        return Err("usage: time_trees FOLDER forest|boosting THREADS REPETITIONS SEED".into());
    };
    let folder = Path::new(folder);
    let shape: Vec<usize> = fs::read_to_string(folder.join("shape.txt"))?
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let [train, test, width, classes] = shape[..] else {
        return Err("shape.txt must have four numbers".into());
    };
    let words = |name: &str| -> Result<Vec<[u8; 4]>, std::io::Error> {
        Ok(fs::read(folder.join(name))?.as_chunks::<4>().0.to_vec())
    };
    let floats = |name: &str, records| -> Result<Array2<f32>, Box<dyn error::Error>> {
        let values = words(name)?.into_iter().map(f32::from_le_bytes).collect();
        Ok(Array2::from_shape_vec((records, width), values)?)
    };
    let (inputs, queries) = (floats("train.f32", train)?, floats("test.f32", test)?);
    let labels: Vec<u32> = words("train.u32")?
        .into_iter()
        .map(u32::from_le_bytes)
        .collect();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads.parse()?)
        .build()?;
    let seed: u64 = seed.parse()?;

    let start = Instant::now();
    let features = pool.install(|| Features::new(inputs.view()))?;
    let binning = start.elapsed().as_secs_f64();
    let examples = Examples {
        features: &features,
        labels: &labels,
        weights: None,
        classes,
    };
    let rows: Vec<u32> = (0..train as u32).collect();
    let (mut training, mut processor, mut answering) = (Vec::new(), Vec::new(), Vec::new());
    for repetition in 0..repetitions.parse::<u64>()? {
        let (start, before) = (Instant::now(), processor_seconds());
        let ensemble = pool.install(|| match kind.as_str() {
            "forest" => Forest::default().train(&examples, &rows, seed + repetition),
            _ => Boosting::default().train(&examples, &rows, &[]),
        })?;
        training.push(start.elapsed().as_secs_f64());
        processor.push(processor_seconds() - before);
        let start = Instant::now();
        let probabilities = pool.install(|| ensemble.probabilities(queries.view()))?;
        answering.push(start.elapsed().as_secs_f64());
        if repetition == 0 {
            let bytes: Vec<u8> = probabilities
                .iter()
                .flat_map(|&p| (p as f32).to_le_bytes())
                .collect();
            fs::write(folder.join(format!("{kind}.f32")), bytes)?;
        }
    }
    println!(
        "{{\"binning\":{binning},\"training\":{training:?},\"processor\":{processor:?},\"answering\":{answering:?}}}"
    );
    Ok(())
}

/// Seconds that the threads of this process have run, where Linux tells; else 0.
fn processor_seconds() -> f64 {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else {
        return 0.0;
    };
    tasks
        .flatten()
        .filter_map(|task| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<f64>().ok()
        })
        .sum::<f64>()
        / 1e9
}
