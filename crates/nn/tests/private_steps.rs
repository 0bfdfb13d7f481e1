//! What the accounting of DP-SGD presumes, seen from outside, in the training loop: every step
//! draws every row by itself with one probability, divides by the number expected and not by
//! the number drawn, and adds fresh noise of the promised deviation, whoever was drawn.
#![expect(clippy::unwrap_used, reason = "a test may fail this way")]

use giveaway_nn::{
    Activation, Examples, Network, Optimiser, Privacy, Schedule, Trained, Trainer, Training,
};
use giveaway_stats::distribution::{chi_square_sf, normal_sf};
use giveaway_stats::random::Stream;
use giveaway_stats::uniformity::ks_super_uniform;
use ndarray::{Array2, concatenate, s};

/// Less likely than this is a failure.
const RARE: f64 = 1e-6;

fn training(epochs: usize, batch_size: usize, learning_rate: f32) -> Training {
    Training {
        epochs,
        batch_size,
        learning_rate,
        optimiser: Optimiser::sgd(),
        l2: 0.0,
        label_smoothing: 0.0,
        schedule: Schedule::Constant,
        early_stopping: None,
        augmentation: None,
    }
}

fn softmax(inputs: usize) -> Network {
    Network {
        inputs,
        classes: 2,
        ..Network::default()
    }
}

/// Trains on all rows, the same way but for the number of epochs.
fn train(
    network: &Network,
    training: &Training,
    privacy: Option<Privacy>,
    examples: &Examples,
) -> Trained {
    let rows: Vec<u32> = (0..examples.rows() as u32).collect();
    let mut trainer = Trainer::new(network, training).unwrap();
    if let Some(privacy) = privacy {
        trainer = trainer.private(privacy).unwrap();
    }
    trainer.train(examples, &rows, &[], 11).unwrap()
}

/// Both tails of a statistic that is chi-square.
#[track_caller]
fn plausible(statistic: f64, degrees_of_freedom: f64, what: &str) {
    let upper = chi_square_sf(statistic, degrees_of_freedom);
    assert!(
        upper > RARE && upper < 1.0 - RARE,
        "{what}: {statistic} with {degrees_of_freedom} degrees of freedom"
    );
}

#[test]
fn every_step_draws_every_row_by_itself() {
    // Each row has a feature of its own, whose weights move by half the clip each time it is
    // drawn: two weights and two biases share the clipped gradient evenly.
    let (rows, batch_size, epochs) = (300, 200, 60);
    let features = Array2::from_diag_elem(rows, 1.0_f32);
    let examples = Examples::new(features.view(), &vec![0; rows], 2).unwrap();
    let network = softmax(rows);
    let privacy = Privacy {
        clip: 1e-3,
        noise_multiplier: 0.0,
    };
    let after = |epochs| {
        let training = training(epochs, batch_size, 1.0);
        let trained = train(&network, &training, Some(privacy), &examples);
        trained.layers()[0].weight.mapv(f64::from)
    };
    // how often each row was drawn in the two steps of an epoch
    let mut times = Vec::new();
    let mut before = after(0);
    for epoch in 1..=epochs {
        let now = after(epoch);
        let moved = &now - &before;
        times.push(
            (0..rows)
                .map(|row| {
                    let times = moved[[0, row]].abs() * batch_size as f64 / (0.5 * 1e-3);
                    // whole numbers, so the divisor is the expected number of rows: those
                    // drawn are others in every step
                    assert!((times - times.round()).abs() < 0.01, "{times}");
                    assert!(times < 2.5, "{times}");
                    times.round()
                })
                .collect::<Vec<f64>>(),
        );
        before = now;
    }
    let p = batch_size as f64 / rows as f64;
    let (mean, variance) = (2.0 * p, 2.0 * p * (1.0 - p));

    let all = (epochs * rows) as f64;
    let chances = [(1.0 - p).powi(2), 2.0 * p * (1.0 - p), p * p];
    let fits = (0..3).map(|k| {
        let matches = |x: &&f64| (**x - k as f64).abs() < 0.5;
        let count = times.iter().flatten().filter(matches).count() as f64;
        (count - all * chances[k]).powi(2) / (all * chances[k])
    });
    plausible(fits.sum(), 2.0, "never, once and twice");

    // batches of a fixed size, or shuffled ones, have totals without variance
    let totals = times.iter().map(|epoch| epoch.iter().sum::<f64>());
    let off = |total: f64, trials: usize| {
        (total - trials as f64 * mean).powi(2) / (trials as f64 * variance)
    };
    let sizes = totals.map(|total| off(total, rows)).sum();
    plausible(sizes, epochs as f64, "numbers of rows drawn");

    let of_row = |row: usize| times.iter().map(|epoch| epoch[row]).sum();
    let fits = (0..rows).map(|row| off(of_row(row), epochs)).sum();
    plausible(fits, rows as f64, "how often each row was drawn");

    // what an epoch drew says nothing about the next, nor a row about its neighbour
    let product = |a: f64, b: f64| (a - mean) * (b - mean) / variance;
    let across: f64 = times
        .windows(2)
        .flat_map(|pair| pair[0].iter().zip(&pair[1]))
        .map(|(a, b)| product(*a, *b))
        .sum();
    let beside: f64 = times
        .iter()
        .flat_map(|epoch| epoch.windows(2))
        .map(|pair| product(pair[0], pair[1]))
        .sum();
    for (sum, trials) in [(across, (epochs - 1) * rows), (beside, epochs * (rows - 1))] {
        let z = sum / (trials as f64).sqrt();
        assert!(2.0 * normal_sf(z.abs()) > RARE, "correlated: {z}");
    }
}

#[test]
fn every_step_adds_fresh_noise_whoever_was_drawn() {
    // All features are 0, and so are all gradients of weights: only noise moves them. Of four
    // rows one is expected in a step, and every third step has none.
    let (inputs, epochs) = (400, 6);
    for (rows, batch_size) in [(300, 200), (4, 1)] {
        let features = Array2::<f32>::zeros((rows, inputs));
        let examples = Examples::new(features.view(), &vec![0; rows], 2).unwrap();
        let network = softmax(inputs);
        let privacy = Privacy {
            clip: 0.25,
            noise_multiplier: 1.5,
        };
        let steps = rows.div_ceil(batch_size) as f64;
        let deviation = 1.5 * 0.25 / batch_size as f64 * steps.sqrt();
        let after = |epochs| {
            let training = training(epochs, batch_size, 1.0);
            let trained = train(&network, &training, Some(privacy), &examples);
            trained.layers()[0].weight.mapv(f64::from)
        };
        let weights: Vec<Array2<f64>> = (0..=epochs).map(after).collect();
        let noise: Vec<Vec<f64>> = weights
            .windows(2)
            .map(|pair| ((&pair[1] - &pair[0]) / deviation).into_iter().collect())
            .collect();
        let all: Vec<f64> = noise.concat();
        let squares = all.iter().map(|x| x * x).sum();
        plausible(squares, all.len() as f64, "variance of the noise");
        for sign in [1.0, -1.0] {
            let p: Vec<f64> = all.iter().map(|x| normal_sf(sign * x)).collect();
            assert!(ks_super_uniform(&p).unwrap().p_value > RARE, "not normal");
        }
        for (a, b) in noise.iter().zip(&noise[1..]) {
            let sum: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
            let z = sum / (a.len() as f64).sqrt();
            assert!(2.0 * normal_sf(z.abs()) > RARE, "epochs share noise: {z}");
        }
    }
}

/// Two steps by brute force: how often each row was drawn is seen in the weights of a feature
/// of its own, and then every parameter has to have moved by the sum of the rows' gradients,
/// each clipped by itself over all parameters, divided by the number expected.
#[test]
fn an_epoch_is_the_sum_of_the_drawn_rows_clipped_gradients() {
    let (rows, batch_size, learning_rate) = (60, 40, 0.01_f32);
    let mut stream = Stream::new(4, "private steps", 0);
    // of very different sizes, so that some gradients are clipped much and some not at all
    let others = Array2::from_shape_fn((rows, 8), |(row, _)| {
        (stream.normal() * (row as f64 / 30.0)) as f32
    });
    let own = Array2::from_diag_elem(rows, 1.0_f32);
    let features = concatenate![ndarray::Axis(1), own, others];
    let labels: Vec<u32> = (0..rows as u32).map(|row| row % 3).collect();
    let examples = Examples::new(features.view(), &labels, 3).unwrap();
    let network = Network {
        inputs: rows + 8,
        hidden: vec![7],
        classes: 3,
        activation: Activation::Tanh,
        ..Network::default()
    };
    let parameters = |trained: &Trained| -> Vec<f64> {
        let layers = trained.layers().iter();
        let values = layers.flat_map(|layer| layer.weight.iter().chain(&layer.bias));
        values.map(|x| f64::from(*x)).collect()
    };
    let moved = |from: &[f64], to: &[f64]| -> Vec<f64> {
        let step = f64::from(learning_rate);
        from.iter().zip(to).map(|(a, b)| (a - b) / step).collect()
    };
    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();

    let start = train(&network, &training(0, 1, learning_rate), None, &examples);
    let start = parameters(&start);
    let gradients: Vec<Vec<f64>> = (0..rows)
        .map(|row| {
            // a step of size 1 on one row from the same weights
            let record = features.slice(s![row..=row, ..]);
            let one = Examples::new(record, &labels[row..=row], 3).unwrap();
            let after = train(&network, &training(1, 1, 1.0), None, &one);
            let after = parameters(&after);
            start.iter().zip(after).map(|(a, b)| a - b).collect()
        })
        .collect();
    let mut norms: Vec<f64> = gradients.iter().map(|x| norm(x)).collect();
    norms.sort_by(f64::total_cmp);
    assert!(norms[rows - 1] > 2.0 * norms[0]);
    let clip = norms[rows / 2];
    let privacy = Privacy {
        clip: clip as f32,
        noise_multiplier: 0.0,
    };
    let training = training(1, batch_size, learning_rate);
    let trained = train(&network, &training, Some(privacy), &examples);
    let have = moved(&start, &parameters(&trained));

    let mut want = vec![0.0; start.len()];
    let mut drawn = 0.0;
    for (row, gradient) in gradients.iter().enumerate() {
        let share = (clip / norm(gradient)).min(1.0) / batch_size as f64;
        // weights of the first layer, one row of them for each hidden unit
        let own = (0..7).map(|unit| unit * (rows + 8) + row);
        let seen = own.max_by(|a, b| gradient[*a].abs().total_cmp(&gradient[*b].abs()));
        let seen = seen.unwrap();
        let times = have[seen] / (share * gradient[seen]);
        assert!((times - times.round()).abs() < 0.05, "row {row}: {times}");
        drawn += times.round();
        for (want, x) in want.iter_mut().zip(gradient) {
            *want += times.round() * share * x;
        }
    }
    // Bin(120, 2/3)
    assert!(
        (drawn - 80.0).abs() < 5.0 * (80.0_f64 / 3.0).sqrt(),
        "{drawn}"
    );
    let off: Vec<f64> = have.iter().zip(&want).map(|(a, b)| a - b).collect();
    assert!(
        norm(&off) < 0.01 * norm(&want),
        "{} of {}",
        norm(&off),
        norm(&want)
    );
}
