//! Gradients of single records, and training that bounds them.
#![expect(clippy::unwrap_used, reason = "a test may fail this way")]

use giveaway_nn::{
    Activation, Convolution, Error, Examples, Image, Kernel, Network, Optimiser, Padding, Pool,
    Privacy, Quantity, Schedule, Skip, Trained, Trainer, Training, kernel,
};
use giveaway_stats::random::Stream;
use ndarray::{Array2, Axis};

fn training(batch_size: usize) -> Training {
    Training {
        epochs: 1,
        batch_size,
        // a step of size 1 without momentum moves the parameters by their gradient
        learning_rate: 1.0,
        optimiser: Optimiser::sgd(),
        l2: 0.0,
        label_smoothing: 0.0,
        schedule: Schedule::Constant,
        early_stopping: None,
        augmentation: None,
    }
}

fn networks() -> Vec<Network> {
    let convolution = |channels, padding, pool| Convolution {
        channels,
        size: 3,
        padding,
        pool,
    };
    let dense = |hidden: &[usize], activation| Network {
        inputs: 98,
        hidden: hidden.to_vec(),
        classes: 4,
        activation,
        ..Network::default()
    };
    let image = |convolutions, activation| Network {
        image: Some(Image {
            height: 7,
            width: 7,
            channels: 2,
            convolutions,
            skips: Vec::new(),
        }),
        ..dense(&[5], activation)
    };
    let (relu, tanh) = (Activation::Relu, Activation::Tanh);
    let skips = |pairs: &[(usize, usize)]| {
        let skips = pairs.iter().map(|&(from, to)| Skip { from, to });
        skips.collect::<Vec<Skip>>()
    };
    // 3 × 3 pixels with 18 channels are 162 inputs of the first dense layer
    let mut residual = image(
        vec![
            convolution(2, Padding::Same, None),
            convolution(18, Padding::Same, None),
            convolution(18, Padding::Same, Some(Pool::Max)),
        ],
        tanh,
    );
    residual.image.as_mut().unwrap().skips = skips(&[(0, 1), (2, 3)]);
    residual.hidden = vec![162, 5, 5];
    residual.skips = skips(&[(0, 1), (2, 3)]);
    vec![
        residual,
        Network {
            skips: skips(&[(0, 2), (1, 3), (1, 3)]),
            ..dense(&[33, 98, 33], relu)
        },
        dense(&[], relu),
        dense(&[33, 7], relu),
        dense(&[6], tanh),
        image(vec![convolution(5, Padding::Same, Some(Pool::Max))], relu),
        image(
            vec![
                convolution(18, Padding::Valid, Some(Pool::Average)),
                convolution(3, Padding::Same, None),
            ],
            tanh,
        ),
    ]
}

fn features(network: &Network, rows: usize) -> Array2<f32> {
    let mut stream = Stream::new(3, "records", 0);
    Array2::from_shape_fn((rows, network.inputs), |_| stream.normal() as f32)
}

fn data(network: &Network, rows: usize) -> Examples {
    let mut stream = Stream::new(3, "labels", 0);
    let x = features(network, rows);
    let labels: Vec<u32> = (0..rows)
        .map(|_| stream.below(network.classes) as u32)
        .collect();
    Examples::new(x.view(), &labels, network.classes).unwrap()
}

/// All parameters, one after another.
fn parameters(trained: &Trained) -> Vec<f64> {
    let filters = trained.filters().iter();
    let filters = filters.flat_map(|part| part.weight.iter().chain(&part.bias));
    let layers = trained.layers().iter();
    let layers = layers.flat_map(|part| part.weight.iter().chain(&part.bias));
    filters.chain(layers).map(|x| f64::from(*x)).collect()
}

/// The untrained network, and the gradient of each row's loss, from a step on it alone.
fn brute_force(
    network: &Network,
    kernel: Kernel,
    examples: &Examples,
    rows: usize,
) -> (Trained, Vec<Vec<f64>>) {
    let train = |epochs, row| {
        let training = Training {
            epochs,
            ..training(1)
        };
        let trainer = Trainer::new(network, &training).unwrap().kernel(kernel);
        trainer.train(examples, &[row], &[], 5).unwrap()
    };
    let before = train(0, 0);
    let start = parameters(&before);
    let gradients = (0..rows as u32).map(|row| {
        let moved = parameters(&train(1, row));
        start.iter().zip(moved).map(|(a, b)| a - b).collect()
    });
    let gradients = gradients.collect();
    (before, gradients)
}

fn norm(gradient: &[f64]) -> f64 {
    gradient.iter().map(|x| x * x).sum::<f64>().sqrt()
}

#[test]
fn norms_are_those_of_brute_force() {
    for network in networks() {
        for kernel in Kernel::available() {
            // more than are asked at a time
            let rows = 140;
            let examples = data(&network, rows);
            let (before, gradients) = brute_force(&network, kernel, &examples, rows);
            let norms = before.gradient_norms(&examples);
            assert_eq!(norms.len(), rows);
            for (have, gradient) in norms.iter().zip(&gradients) {
                let want = norm(gradient);
                assert!(
                    (f64::from(*have) - want).abs() < 1e-5 * want,
                    "{kernel}, {network:?}: {have} instead of {want}"
                );
            }
        }
    }
}

#[test]
fn clipped_steps_are_those_of_brute_force() {
    for network in networks() {
        for kernel in Kernel::available() {
            let rows = 23;
            let examples = data(&network, rows);
            let (before, gradients) = brute_force(&network, kernel, &examples, rows);
            let mut norms: Vec<f64> = gradients.iter().map(|x| norm(x)).collect();
            norms.sort_by(f64::total_cmp);
            // about half are clipped
            let clip = norms[rows / 2] as f32;
            let training = training(rows);
            let all: Vec<u32> = (0..rows as u32).collect();
            let after = Trainer::new(&network, &training)
                .unwrap()
                .kernel(kernel)
                .private(Privacy {
                    clip,
                    noise_multiplier: 0.0,
                })
                .unwrap()
                .train(&examples, &all, &[], 5)
                .unwrap();
            let mut want = vec![0.0; gradients[0].len()];
            for gradient in &gradients {
                let factor = (f64::from(clip) / norm(gradient)).min(1.0) / rows as f64;
                for (want, x) in want.iter_mut().zip(gradient) {
                    *want += factor * x;
                }
            }
            let (start, end) = (parameters(&before), parameters(&after));
            for ((start, end), want) in start.iter().zip(end).zip(want) {
                let have = start - end;
                assert!(
                    (have - want).abs() < 1e-6,
                    "{kernel}, {network:?}: {have} instead of {want}"
                );
            }
        }
    }
}

#[test]
fn each_record_has_its_own_clip() {
    for network in networks() {
        for kernel in Kernel::available() {
            let rows = 23;
            let examples = data(&network, rows);
            let (before, gradients) = brute_force(&network, kernel, &examples, rows);
            let mut norms: Vec<f64> = gradients.iter().map(|x| norm(x)).collect();
            norms.sort_by(f64::total_cmp);
            let clip = norms[rows / 2] as f32;
            // powers of two, so that products are exact
            let shares: Vec<f32> = (0..rows).map(|row| 1.0 / (1 << (row % 4)) as f32).collect();
            let training = training(rows);
            // not all, and not in their order
            let all: Vec<u32> = (3..rows as u32).rev().collect();
            let train = |shares: Option<&[f32]>| {
                let privacy = Privacy {
                    clip,
                    noise_multiplier: 0.0,
                };
                let trainer = Trainer::new(&network, &training).unwrap().kernel(kernel);
                let mut trainer = trainer.private(privacy).unwrap();
                if let Some(shares) = shares {
                    trainer = trainer.clips(shares).unwrap();
                }
                trainer.train(&examples, &all, &[], 5).unwrap()
            };
            let after = train(Some(&shares));
            let mut want = vec![0.0; gradients[0].len()];
            for &row in &all {
                let (gradient, share) = (&gradients[row as usize], shares[row as usize]);
                let clip = f64::from(clip) * f64::from(share);
                let factor = (clip / norm(gradient)).min(1.0) / all.len() as f64;
                for (want, x) in want.iter_mut().zip(gradient) {
                    *want += factor * x;
                }
            }
            let (start, end) = (parameters(&before), parameters(&after));
            for ((start, end), want) in start.iter().zip(end).zip(want) {
                let have = start - end;
                assert!(
                    (have - want).abs() < 1e-6,
                    "{kernel}, {network:?}: {have} instead of {want}"
                );
            }
            // shares of 1 change nothing
            let (none, ones) = (train(None), train(Some(&vec![1.0; rows])));
            assert_eq!(none.layers(), ones.layers());
            assert_eq!(none.filters(), ones.filters());
        }
    }
}

#[test]
fn shares_of_a_clip_that_make_no_sense_are_refused() {
    let network = Network {
        inputs: 3,
        classes: 4,
        ..Network::default()
    };
    let examples = data(&network, 3);
    let training = training(3);
    let trainer = || Trainer::new(&network, &training).unwrap();
    for bad in [0.0, 1.5, f32::NAN] {
        let error = trainer().clips(&[1.0, bad, 1.0]).unwrap_err().to_string();
        assert!(error.contains("of record 1 is"), "{error}");
    }
    let train = |trainer: Trainer| trainer.train(&examples, &[0], &[], 1).unwrap_err();
    let error = train(trainer().clips(&[1.0; 3]).unwrap()).to_string();
    assert!(error.contains("need privacy"), "{error}");
    let privacy = Privacy {
        clip: 1.0,
        noise_multiplier: 1.0,
    };
    let private = trainer().private(privacy).unwrap();
    let error = train(private.clips(&[1.0; 2]).unwrap()).to_string();
    assert!(error.contains("2 shares of the clip for 3"), "{error}");
}

#[test]
fn noise_has_the_deviation_asked_for_on_every_parameter_and_nowhere_else() {
    for network in networks() {
        let examples = data(&network, 20);
        let all: Vec<u32> = (0..20).collect();
        let training = training(20);
        let train = |noise_multiplier| {
            let privacy = Privacy {
                clip: 0.5,
                noise_multiplier,
            };
            let trainer = Trainer::new(&network, &training).unwrap();
            let trainer = trainer.private(privacy).unwrap();
            trainer.train(&examples, &all, &[], 5).unwrap()
        };
        let (without, with) = (train(0.0), train(3.0));
        let (a, b) = (parameters(&without), parameters(&with));
        let noise: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        let count = noise.len() as f64;
        let deviation = 3.0 * 0.5 / 20.0;
        let mean = noise.iter().sum::<f64>() / count;
        let variance = noise.iter().map(|x| x * x).sum::<f64>() / count / (deviation * deviation);
        // five standard errors
        assert!(mean.abs() < 5.0 * deviation / count.sqrt(), "{mean}");
        assert!(
            (variance - 1.0).abs() < 5.0 * (2.0 / count).sqrt(),
            "{variance}"
        );
        assert!(noise.iter().all(|x| *x != 0.0));
        // The weights that users see are all that there is, after many steps too: they give
        // the loss that the network had when it was trained.
        let longer = Training {
            epochs: 8,
            ..training.clone()
        };
        let privacy = Privacy {
            clip: 0.5,
            noise_multiplier: 3.0,
        };
        let trainer = Trainer::new(&network, &longer).unwrap();
        let trainer = trainer.private(privacy).unwrap();
        let trained = trainer.train(&examples, &all, &all, 5).unwrap();
        let logits = trained.logits(&examples).mapv(f64::from);
        let loss = |(row, label): (usize, &u32)| {
            let row = logits.row(row);
            row.mapv(f64::exp).sum().ln() - row[*label as usize]
        };
        let have = examples.labels().iter().enumerate().map(loss).sum::<f64>() / 20.0;
        let want = trained.history()[7].validation.unwrap();
        assert!((have - want).abs() < 1e-5 * want, "{have} {want}");
    }
}

#[test]
fn batches_are_poisson_samples() {
    // Each row has a feature of its own: its weights move if and only if it was drawn.
    let rows = 2000;
    let features = Array2::from_diag(&ndarray::Array1::from_elem(rows, 1.0f32));
    let labels = vec![0; rows];
    let examples = Examples::new(features.view(), &labels, 2).unwrap();
    let network = Network {
        inputs: rows,
        classes: 2,
        ..Network::default()
    };
    let all: Vec<u32> = (0..rows as u32).collect();
    let training = Training {
        // four steps of an epoch, 600 rows expected in each; batches grow beyond 600
        batch_size: 600,
        ..training(0)
    };
    let train = |epochs, seed| {
        let training = Training {
            epochs,
            ..training.clone()
        };
        let trainer = Trainer::new(&network, &training).unwrap();
        let privacy = Privacy {
            clip: 1e-3,
            noise_multiplier: 0.0,
        };
        let trainer = trainer.private(privacy).unwrap();
        trainer.train(&examples, &all, &[], seed).unwrap()
    };
    let (before, after) = (train(0, 1), train(1, 1));
    let change = &after.layers()[0].weight - &before.layers()[0].weight;
    // two weights and two biases share a clipped gradient evenly, 1e-3/2 each
    let times: Vec<f64> = (0..rows)
        .map(|row| f64::from(change[[0, row]].abs() * 600.0 / 1e-3) / 0.5)
        .collect();
    let drawn = times.iter().filter(|x| **x > 0.5).count() as f64;
    let expected = rows as f64 * (1.0 - 0.7f64.powi(4));
    let deviation = (expected * 0.7f64.powi(4)).sqrt();
    assert!((drawn - expected).abs() < 5.0 * deviation, "{drawn}");
    let total: f64 = times.iter().map(|x| x.round()).sum();
    let deviation = (4.0 * 2000.0 * 0.3 * 0.7f64).sqrt();
    assert!((total - 4.0 * 600.0).abs() < 5.0 * deviation, "{total}");
}

#[test]
fn the_last_layer_makes_logits_of_penultimate_features() {
    let without_hidden = networks().into_iter().map(|network| Network {
        hidden: Vec::new(),
        skips: Vec::new(),
        ..network
    });
    for network in networks().into_iter().chain(without_hidden) {
        let examples = data(&network, 140);
        let training = training(7);
        let trainer = Trainer::new(&network, &training).unwrap();
        let trained = trainer.train(&examples, &[0, 1, 2], &[], 5).unwrap();
        let features = trained.penultimate(&examples);
        let layer = trained.layers().last().unwrap();
        let want = features.dot(&layer.weight.t()) + &layer.bias;
        for (have, want) in trained.logits(&examples).iter().zip(&want) {
            assert!((have - want).abs() < 1e-4, "{network:?}: {have} {want}");
        }
        if network.image.is_none() && network.hidden.is_empty() {
            assert_eq!(
                features.row(139).to_vec(),
                self::features(&network, 140).row(139).to_vec()
            );
        }
    }
}

#[test]
fn streamed_outputs_are_the_same() {
    for network in networks() {
        for rows in [1, 128, 300] {
            let examples = data(&network, rows);
            let training = training(7);
            let trainer = Trainer::new(&network, &training).unwrap();
            let trained = trainer.train(&examples, &[0], &[], 5).unwrap();
            let mut numbers = Vec::new();
            let (mut logits, mut features) = (Vec::new(), Vec::new());
            trained.each_logits(&examples, |start, block| {
                numbers.push((start, block.nrows()));
                logits.extend(block.iter().copied());
            });
            let most = if network.image.is_some() { 32 } else { 128 };
            let starts = numbers.iter().map(|(start, _)| *start);
            assert!(starts.eq((0..rows).step_by(most)));
            assert_eq!(numbers.iter().map(|(_, count)| count).sum::<usize>(), rows);
            trained.each_penultimate(&examples, |start, block| {
                assert_eq!(Some(&(start, block.nrows())), numbers.get(start / most));
                features.extend(block.iter().copied());
            });
            assert!(trained.logits(&examples).iter().eq(&logits));
            assert!(trained.penultimate(&examples).iter().eq(&features));
        }
    }
}

/// So the number of records that are asked at a time changes no bit.
#[test]
fn answers_are_those_of_each_record_alone() {
    for network in networks() {
        for kernel in Kernel::available() {
            // two batches and a smaller one
            let rows = if network.image.is_some() { 75 } else { 300 };
            let examples = data(&network, rows);
            let training = training(7);
            let trainer = Trainer::new(&network, &training).unwrap().kernel(kernel);
            let trained = trainer.train(&examples, &[0, 1], &[], 5).unwrap();
            let answers = |examples: &Examples| {
                [
                    trained.logits(examples),
                    trained.penultimate(examples),
                    trained.gradient_norms(examples).insert_axis(Axis(1)),
                    trained.input_gradients(examples, Quantity::Loss),
                ]
                .map(|answers| answers.mapv(f32::to_bits))
            };
            let together = answers(&examples);
            let features = features(&network, rows);
            for row in 0..rows {
                let record = features.slice(ndarray::s![row..=row, ..]);
                let label = examples.labels()[row];
                let alone = Examples::new(record, &[label], network.classes).unwrap();
                for (alone, together) in answers(&alone).iter().zip(&together) {
                    assert_eq!(
                        alone.row(0),
                        together.row(row),
                        "{kernel}, {network:?}, {row}"
                    );
                }
            }
        }
    }
}

#[test]
fn privacy_that_makes_no_sense_is_refused() {
    let networks = networks();
    let training = training(1);
    for (clip, noise_multiplier, part) in [
        (0.0, 1.0, "clip is 0"),
        (f32::NAN, 1.0, "clip is NaN"),
        (1.0, -1.0, "noise_multiplier is -1"),
        (1.0, f32::INFINITY, "noise_multiplier is inf"),
    ] {
        let trainer = Trainer::new(&networks[0], &training).unwrap();
        let privacy = Privacy {
            clip,
            noise_multiplier,
        };
        let error = trainer.kernel(kernel()).private(privacy).unwrap_err();
        assert!(matches!(error, Error::Training(_)));
        assert!(error.to_string().contains(part), "{error}");
    }
}
