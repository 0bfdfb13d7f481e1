//! How training behaves, seen from outside.
#![expect(clippy::unwrap_used, reason = "a test may fail this way")]

use giveaway_nn::{
    Activation, Convolution, Dense, EarlyStopping, Error, Examples, Image, Kernel, Network,
    Optimiser, Padding, Pool, Schedule, Skip, Trainer, Training, kernel, train,
};
use giveaway_stats::random::Stream;
use ndarray::{Array1, Array2};

fn network(inputs: usize, hidden: &[usize], classes: usize) -> Network {
    Network {
        inputs,
        hidden: hidden.to_vec(),
        classes,
        activation: Activation::Relu,
        dropout: 0.0,
        image: None,
        skips: Vec::new(),
    }
}

/// One hidden layer and one skip.
fn skipping(inputs: usize, units: usize, (from, to): (usize, usize)) -> Network {
    Network {
        skips: vec![Skip { from, to }],
        ..network(inputs, &[units], 2)
    }
}

fn training(epochs: usize, batch_size: usize) -> Training {
    Training {
        epochs,
        batch_size,
        learning_rate: 0.01,
        optimiser: Optimiser::adam(),
        l2: 0.0,
        label_smoothing: 0.0,
        schedule: Schedule::Constant,
        early_stopping: None,
        augmentation: None,
    }
}

/// Two clouds of points, `distance` apart, with some labels wrong.
fn clouds(rows: usize, inputs: usize, distance: f64, wrong: f64) -> Examples {
    let mut stream = Stream::new(3, "clouds", rows as u64);
    let mut labels = Vec::new();
    let mut features = Array2::zeros((rows, inputs));
    for mut row in features.rows_mut() {
        let class = stream.below(2);
        for x in &mut row {
            *x = (stream.normal() + class as f64 * distance) as f32;
        }
        let flip = usize::from(stream.uniform() < wrong);
        labels.push((class ^ flip) as u32);
    }
    Examples::new(features.view(), &labels, 2).unwrap()
}

fn rows(from: u32, to: u32) -> Vec<u32> {
    (from..to).collect()
}

fn accuracy(logits: &Array2<f32>, examples: &Examples, rows: &[u32]) -> f64 {
    let right = rows.iter().filter(|&&row| {
        let row = row as usize;
        let best = (0..examples.classes())
            .max_by(|&a, &b| logits[[row, a]].total_cmp(&logits[[row, b]]))
            .unwrap();
        best == examples.labels()[row] as usize
    });
    right.count() as f64 / rows.len() as f64
}

#[test]
fn a_network_learns_what_no_line_separates() {
    // exclusive or, with noise
    let mut stream = Stream::new(1, "xor", 0);
    let features = Array2::from_shape_fn((600, 2), |_| stream.normal() as f32);
    let labels: Vec<u32> = features
        .rows()
        .into_iter()
        .map(|x| u32::from(x[0] * x[1] > 0.0))
        .collect();
    let examples = Examples::new(features.view(), &labels, 2).unwrap();
    for activation in [Activation::Relu, Activation::Tanh] {
        let network = Network {
            activation,
            ..network(2, &[16, 8], 2)
        };
        let training = training(60, 32);
        let trained = train(&network, &training, &examples, &rows(0, 500), &[], 1).unwrap();
        let right = accuracy(&trained.logits(&examples), &examples, &rows(500, 600));
        assert!(right > 0.9, "{activation:?}: {right}");
    }
}

#[test]
fn softmax_regression_finds_the_optimum() {
    // One binary feature: the optimum gives each group its own frequencies of labels.
    let counts = [[30u32, 50, 20], [10, 5, 85]];
    let mut values = Vec::new();
    let mut labels = Vec::new();
    for (group, counts) in counts.iter().enumerate() {
        for (class, &count) in counts.iter().enumerate() {
            for _ in 0..count {
                values.push(group as f32);
                labels.push(class as u32);
            }
        }
    }
    let features = Array2::from_shape_vec((200, 1), values).unwrap();
    let examples = Examples::new(features.view(), &labels, 3).unwrap();
    let training = Training {
        learning_rate: 0.5,
        optimiser: Optimiser::Sgd {
            momentum: 0.9,
            nesterov: true,
        },
        ..training(800, 200)
    };
    for kernel in Kernel::available() {
        let network = network(1, &[], 3);
        let trained = Trainer::new(&network, &training)
            .unwrap()
            .kernel(kernel)
            .train(&examples, &rows(0, 200), &[], 9)
            .unwrap();
        let logits = trained.logits(&examples);
        for (row, counts) in [(0, counts[0]), (199, counts[1])] {
            let row = logits.row(row).mapv(|x| f64::from(x).exp());
            for (x, count) in row.iter().zip(counts) {
                let probability = x / row.sum();
                let expected = f64::from(count) / 100.0;
                assert!(
                    (probability - expected).abs() < 1e-5,
                    "{kernel}: {probability} instead of {expected}"
                );
            }
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_whatever_runs_beside_it() {
    let examples = clouds(300, 21, 0.5, 0.1);
    let network = Network {
        dropout: 0.3,
        ..network(21, &[18, 7], 2)
    };
    let training = training(3, 32);
    let run = |seed| train(&network, &training, &examples, &rows(0, 250), &[], seed).unwrap();
    let alone: Vec<_> = (0..6).map(run).collect();
    let together: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6).map(|seed| scope.spawn(move || run(seed))).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    for (a, b) in alone.iter().zip(&together) {
        assert_eq!(a.layers(), b.layers());
        assert_eq!(a.history(), b.history());
        assert_eq!(a.logits(&examples), b.logits(&examples));
    }
    assert_ne!(alone[0].layers(), alone[1].layers());
}

#[test]
fn kernels_agree_within_rounding() {
    let examples = clouds(100, 45, 0.3, 0.1);
    let network = network(45, &[39, 23], 2);
    // a few steps: longer training magnifies rounding
    let training = training(2, 29);
    let trained: Vec<_> = Kernel::available()
        .into_iter()
        .map(|kernel| {
            let trainer = Trainer::new(&network, &training).unwrap().kernel(kernel);
            let trained = trainer.train(&examples, &rows(0, 100), &[], 4).unwrap();
            assert_eq!(trained.kernel(), kernel);
            trained
        })
        .collect();
    for other in &trained[1..] {
        let (a, b) = (trained[0].logits(&examples), other.logits(&examples));
        for (a, b) in a.iter().zip(&b) {
            assert!((a - b).abs() < 1e-5, "{}: {a} {b}", other.kernel());
        }
    }
}

#[test]
fn repeated_rows_count_repeatedly() {
    // every row twice in one batch has the same mean gradient as every row once
    let examples = clouds(40, 5, 1.0, 0.1);
    let network = network(5, &[6], 2);
    let once = rows(0, 40);
    let twice: Vec<u32> = once.iter().chain(&once).copied().collect();
    // and one row once more has not
    let more: Vec<u32> = once.iter().copied().chain([0; 40]).collect();
    let run = |rows: &[u32]| {
        let training = Training {
            optimiser: Optimiser::sgd(),
            ..training(5, 80)
        };
        let trained = train(&network, &training, &examples, rows, &[], 2).unwrap();
        trained.logits(&examples)
    };
    let difference = |a: &Array2<f32>, b: &Array2<f32>| {
        (a - b)
            .iter()
            .fold(0.0f32, |largest, x| largest.max(x.abs()))
    };
    assert!(difference(&run(&once), &run(&twice)) < 1e-6);
    assert!(difference(&run(&once), &run(&more)) > 1e-3);
}

#[test]
fn the_last_smaller_batch_is_trained() {
    // Rows 0 to 3 in one batch and row 4 alone: with batches of 4 every row is seen once an epoch,
    // so the features that only one row has all move its weights.
    let features = Array2::from_diag(&ndarray::Array1::from_elem(5, 1.0f32));
    let examples = Examples::new(features.view(), &[0, 1, 0, 1, 0], 2).unwrap();
    let network = network(5, &[], 2);
    let run = |epochs| {
        let training = Training {
            optimiser: Optimiser::sgd(),
            ..training(epochs, 4)
        };
        train(&network, &training, &examples, &rows(0, 5), &[], 2).unwrap()
    };
    let (before, after) = (run(0), run(1));
    let change = &after.layers()[0].weight - &before.layers()[0].weight;
    for column in change.columns() {
        assert!(column.iter().all(|x| *x != 0.0), "{change}");
    }
    // the mean over a batch of 1 moves its weights four times as far as over a batch of 4
    let mut sizes: Vec<f32> = change.row(0).iter().map(|x| x.abs()).collect();
    sizes.sort_by(f32::total_cmp);
    assert!(sizes[4] > 2.5 * sizes[3], "{sizes:?}");
}

#[test]
fn initial_weights_are_uniform_in_one_over_the_root_of_inputs() {
    let examples = clouds(10, 100, 1.0, 0.0);
    let network = network(100, &[80, 50], 2);
    let trained = train(&network, &training(0, 8), &examples, &[1], &[], 1).unwrap();
    assert_eq!(trained.epochs_run(), 0);
    for (layer, inputs) in trained.layers().iter().zip([100.0f32, 80.0, 50.0]) {
        let bound = 1.0 / inputs.sqrt();
        let all: Vec<f32> = layer.weight.iter().chain(&layer.bias).copied().collect();
        assert!(all.iter().all(|x| x.abs() <= bound));
        let count = all.len() as f32;
        let mean = all.iter().sum::<f32>() / count;
        let variance = all.iter().map(|x| x * x).sum::<f32>() / count;
        // six standard errors of a uniform distribution's moments
        assert!(mean.abs() < 6.0 * bound / (3.0 * count).sqrt());
        assert!((variance / (bound * bound / 3.0) - 1.0).abs() < 6.0 * (0.8 / count).sqrt());
    }
}

#[test]
fn dropout_acts_in_training_only_and_keeps_the_mean() {
    // With a linear chain (tanh of small numbers) and no learning to speak of, the loss under
    // dropout scatters around the loss without.
    let examples = clouds(400, 8, 1.0, 0.1);
    let all = rows(0, 400);
    let loss = |dropout, seed| {
        let network = Network {
            dropout,
            activation: Activation::Tanh,
            ..network(8, &[64], 2)
        };
        let training = Training {
            learning_rate: 1e-12,
            optimiser: Optimiser::sgd(),
            ..training(1, 100)
        };
        let trained = train(&network, &training, &examples, &all, &all, seed).unwrap();
        trained.history()[0]
    };
    let mut total = 0.0;
    for seed in 0..50 {
        let (without, with) = (loss(0.0, seed), loss(0.5, seed));
        // same weights, so the same loss without dropout, which validation does not use
        assert_eq!(without.validation, with.validation);
        assert!((without.training - without.validation.unwrap()).abs() < 1e-9);
        total += (with.training - without.training) / 50.0;
    }
    // Noise in the logits raises a convex loss. The sums of a hidden unit have variance 0.4 or
    // so, its outputs a mean square of 0.3, which dropout at ½ makes the variance of the noise;
    // each logit gets 64 of them times 1/192, the weights' mean square, their difference 0.2,
    // and the loss ½ · ¼ of that, 0.025; from seed to seed it scatters by 0.011. A mask without
    // the scaling 1 / (1 − p) would lower the loss, as it halves the logits.
    assert!((0.012..0.04).contains(&total), "{total}");
}

#[test]
fn dropout_and_residual_addition_go_together() {
    // The second hidden layer's own weights are 0: its sums are what the first gives, dropped
    // units and all. Both masks show in the gradients of a step of size 1 on one record, and
    // everything else follows from the definition: h = mask·f(Wx), g = mask'·f(h), logits = Vg.
    let mut stream = Stream::new(1, "weights", 0);
    let mut normals =
        |rows, columns| Array2::from_shape_fn((rows, columns), |_| stream.normal() as f32);
    let units = 12;
    let record = normals(1, 6);
    let examples = Examples::new(record.view(), &[1], 2).unwrap();
    let dense = |weight: Array2<f32>| Dense {
        bias: Array1::zeros(weight.nrows()),
        weight,
    };
    let layers = [
        dense(normals(units, 6)),
        dense(Array2::zeros((units, units))),
        dense(normals(2, units)),
    ];
    let training = Training {
        optimiser: Optimiser::sgd(),
        learning_rate: 1.0,
        ..training(1, 1)
    };
    for (activation, kernel) in
        [Activation::Relu, Activation::Tanh]
            .into_iter()
            .flat_map(|activation| {
                Kernel::available()
                    .into_iter()
                    .map(move |k| (activation, k))
            })
    {
        let value = |x: f32| match activation {
            Activation::Relu => x.max(0.0),
            Activation::Tanh => x.tanh(),
        };
        let slope = |x: f32| match activation {
            Activation::Relu => f32::from(u8::from(x > 0.0)),
            Activation::Tanh => 1.0 - x.tanh().powi(2),
        };
        let network = Network {
            dropout: 0.5,
            activation,
            skips: vec![Skip { from: 1, to: 2 }],
            ..network(6, &[units, units], 2)
        };
        let trainer = Trainer::new(&network, &training).unwrap().kernel(kernel);
        let trainer = trainer.initial(&layers).unwrap();
        // nothing comes back, or comes back with and without the first mask
        let mut seen = [0; 3];
        for seed in 0..20 {
            let trained = trainer.train(&examples, &[0], &[], seed).unwrap();
            let biases = |layer: usize| &layers[layer].bias - &trained.layers()[layer].bias;
            let (first, second, delta) = (biases(0), biases(1), biases(2));
            let last = &layers[2].weight - &trained.layers()[2].weight;
            let sums = layers[0].weight.dot(&record.row(0));
            for unit in 0..units {
                let sent: f32 = (0..2).map(|k| layers[2].weight[[k, unit]] * delta[k]).sum();
                let sum = sums[unit];
                let (mask, mask_after) = match (first[unit] != 0.0, second[unit] != 0.0) {
                    (true, _) => (2.0, 2.0),
                    (false, true) => (0.0, 2.0),
                    // nothing came back: the unit's own mask shows in nothing but its output
                    (false, false) => {
                        seen[0] += 1;
                        assert!(last[[0, unit]].abs() < 1e-6);
                        continue;
                    }
                };
                seen[if mask > 0.0 { 1 } else { 2 }] += 1;
                let h = mask * value(sum);
                let close = |have: f32, want: f32| {
                    assert!(
                        (have - want).abs() < 1e-5,
                        "{kernel}, {activation:?}, seed {seed}, unit {unit}: {have} {want}"
                    );
                };
                let back = sent * mask_after * slope(h);
                close(second[unit], back);
                close(first[unit], back * mask * slope(sum));
                close(last[[1, unit]], delta[1] * mask_after * value(h));
            }
        }
        // each pair of masks has probability ¼; without a slope nothing comes back, and with
        // the first mask at 0 ReLU has none
        let sums = layers[0].weight.dot(&record.row(0));
        let live = sums.iter().filter(|x| slope(**x) > 0.0).count() as f64;
        let close = |count: i32, trials: f64| {
            let deviation = (trials * 0.25 * 0.75).sqrt();
            let difference = f64::from(count) - 0.25 * trials;
            assert!(difference.abs() < 4.0 * deviation, "{seen:?}, {live}");
        };
        assert!(live > 1.0);
        close(seen[1], 20.0 * live);
        match activation {
            Activation::Relu => assert_eq!(seen[2], 0),
            Activation::Tanh => close(seen[2], 20.0 * live),
        }
    }
}

#[test]
fn early_stopping_restores_the_best_epoch() {
    // many noisy labels: a large network overfits soon
    let examples = clouds(400, 10, 0.5, 0.3);
    let network = network(10, &[64, 64], 2);
    let (train_rows, validation) = (rows(0, 200), rows(200, 400));
    let stopping = |early_stopping, epochs| {
        let training = Training {
            early_stopping,
            ..training(epochs, 20)
        };
        train(&network, &training, &examples, &train_rows, &validation, 5).unwrap()
    };
    let stopped = stopping(Some(EarlyStopping { patience: 3 }), 100);
    let losses: Vec<f64> = stopped
        .history()
        .iter()
        .map(|epoch| epoch.validation.unwrap())
        .collect();
    let best = (0..losses.len())
        .min_by(|&a, &b| losses[a].total_cmp(&losses[b]))
        .unwrap();
    assert_eq!(stopped.best_epoch(), best + 1);
    assert_eq!(stopped.epochs_run(), best + 1 + 3);
    assert!(stopped.epochs_run() < 100);
    // the weights are those of training for just as many epochs
    let plain = stopping(None, best + 1);
    assert_eq!(plain.best_epoch(), best + 1);
    assert_eq!(stopped.layers(), plain.layers());
    assert_eq!(stopped.history()[..=best], *plain.history());
    // and not the last
    let last = stopping(None, stopped.epochs_run());
    assert_ne!(stopped.layers(), last.layers());
    // when the epochs end first, the best are still restored
    let cut = stopping(Some(EarlyStopping { patience: 3 }), best + 2);
    assert_eq!(cut.layers(), plain.layers());
}

#[test]
fn label_smoothing_bounds_confidence() {
    // separable: without smoothing confidence grows without end, with it the optimum puts
    // 1 − ε + ε/2 on the label
    let examples = clouds(100, 4, 8.0, 0.0);
    let network = network(4, &[16], 2);
    let run = |label_smoothing| {
        let training = Training {
            label_smoothing,
            ..training(400, 100)
        };
        let trained = train(&network, &training, &examples, &rows(0, 100), &[], 1).unwrap();
        let logits = trained.logits(&examples);
        let mean: f32 = examples
            .labels()
            .iter()
            .enumerate()
            .map(|(row, &label)| logits[[row, label as usize]] - logits[[row, 1 - label as usize]])
            .sum::<f32>()
            / 100.0;
        mean
    };
    let optimum = (0.9f32 / 0.1).ln();
    let smooth = run(0.2);
    assert!((smooth - optimum).abs() < 0.1, "{smooth} {optimum}");
    assert!(run(0.0) > 2.0 * optimum);
}

#[test]
fn cosine_and_step_schedules_are_pytorchs() {
    let rates = |schedule: Schedule| -> Vec<f64> {
        (0..5).map(|epoch| schedule.multiplier(epoch, 5)).collect()
    };
    assert_eq!(rates(Schedule::Constant), [1.0; 5]);
    let step = Schedule::Step {
        every: 2,
        factor: 0.5,
    };
    assert_eq!(rates(step), [1.0, 1.0, 0.5, 0.5, 0.25]);
    // torch.optim.lr_scheduler.CosineAnnealingLR(T_max=5) with lr=1, PyTorch 2.15
    let expected = [
        1.0,
        0.904_508_497,
        0.654_508_497,
        0.345_491_503,
        0.095_491_503,
    ];
    for (have, want) in rates(Schedule::Cosine).iter().zip(expected) {
        assert!((have - want).abs() < 1e-8, "{have} {want}");
    }
}

#[test]
fn divergence_is_an_error_that_names_the_epoch() {
    let examples = clouds(100, 4, 1.0, 0.2);
    let training = Training {
        learning_rate: 1e38,
        optimiser: Optimiser::sgd(),
        ..training(5, 10)
    };
    for kernel in Kernel::available() {
        for hidden in [&[][..], &[8, 8][..]] {
            let network = network(4, hidden, 2);
            let trainer = Trainer::new(&network, &training).unwrap().kernel(kernel);
            let error = trainer.train(&examples, &rows(0, 100), &[], 1).unwrap_err();
            let Error::Diverged { epoch, .. } = error else {
                panic!("{error}");
            };
            assert!((1..=5).contains(&epoch));
            let message = error.to_string();
            assert!(
                message.contains(&format!("epoch {epoch} of 5")),
                "{message}"
            );
        }
    }
    // divergence in the very last step shows too
    let training = Training {
        learning_rate: f32::MAX,
        epochs: 1,
        batch_size: 100,
        ..training
    };
    let network = network(4, &[], 2);
    let labels: Vec<u32> = (0..100).map(|row| row % 2).collect();
    let features = Array2::from_elem((100, 4), 100.0f32);
    let examples = Examples::new(features.view(), &labels, 2).unwrap();
    let error = train(&network, &training, &examples, &rows(0, 100), &[], 1).unwrap_err();
    assert!(
        error.to_string().contains("a weight is not finite"),
        "{error}"
    );
}

/// Networks that no number of bytes could hold, each in another way.
fn absurd_shapes() -> Vec<Network> {
    const MAX: usize = usize::MAX;
    let mut shapes = vec![
        network(MAX, &[3], 2),
        network(MAX - 1, &[], MAX),
        network(4, &[3], MAX),
        network(4, &[MAX, MAX], 2),
        network(4, &[MAX / 32, 2], 2),
        network(1 << 33, &[1 << 33], 2),
        network(4, &[1 << 31; 9], 2),
    ];
    let image = |height: usize, width: usize, convolutions, skips| Network {
        image: Some(Image {
            height,
            width,
            channels: 1,
            convolutions,
            skips,
        }),
        ..network(height * width, &[], 2)
    };
    for size in [1, 3, MAX / 2, MAX - 2, MAX - 1, MAX] {
        for channels in [1, MAX / 16, MAX - 1, MAX] {
            for padding in [Padding::Same, Padding::Valid] {
                for pool in [None, Some(Pool::Max), Some(Pool::Average)] {
                    let last = Convolution {
                        channels,
                        size,
                        padding,
                        pool,
                    };
                    for skips in [vec![], vec![Skip { from: 0, to: 1 }]] {
                        let all = vec![last; 2];
                        shapes.push(image(3, 3, all.clone(), skips.clone()));
                        shapes.push(image(1 << 32, 1 << 31, all, skips));
                    }
                }
            }
        }
    }
    // small filters on a small image make sense
    shapes.retain(|network| {
        let image = network.image.as_ref();
        let convolution =
            image.and_then(|image| Some((image.height, *image.convolutions.first()?)));
        !convolution.is_some_and(|(height, c)| height == 3 && c.size <= 3 && c.channels == 1)
    });
    shapes
}

#[test]
#[expect(clippy::too_many_lines, reason = "a list of cases")]
fn bad_input_is_an_error_and_never_a_panic() {
    let examples = clouds(20, 4, 1.0, 0.0);
    let good_network = network(4, &[3], 2);
    let good = training(1, 8);
    let all = rows(0, 20);
    let refused = |network: &Network, training: &Training, rows: &[u32], validation: &[u32]| {
        train(network, training, &examples, rows, validation, 1)
            .unwrap_err()
            .to_string()
    };
    let with_network = |network: Network| refused(&network, &good, &all, &[]);
    let with_training = |training: Training| refused(&good_network, &training, &all, &[]);
    let messages = [
        (refused(&good_network, &good, &[], &[]), "no rows"),
        (refused(&good_network, &good, &[3, 20], &[]), "row 20"),
        (
            refused(&good_network, &good, &all, &[99]),
            "validation row 99",
        ),
        (with_network(network(5, &[3], 2)), "5 inputs"),
        (with_network(network(0, &[3], 2)), "inputs is 0"),
        (with_network(network(4, &[3], 3)), "3 classes"),
        (with_network(network(4, &[3], 1)), "classes is 1"),
        (with_network(network(4, &[3, 0], 2)), "hidden layer 2"),
        (
            with_network(Network {
                dropout: 1.0,
                ..good_network.clone()
            }),
            "dropout",
        ),
        (
            with_network(skipping(4, 3, (0, 1))),
            "from 4 numbers (what the first dense layer sees) to the 3 units of hidden layer 1",
        ),
        (
            with_network(skipping(4, 4, (0, 2))),
            "hidden layer 2, but there are 1",
        ),
        (
            with_network(skipping(4, 4, (1, 1))),
            "must lead to a later one",
        ),
        (with_training(training(1, 0)), "batch_size"),
        (
            with_training(Training {
                learning_rate: f32::NAN,
                ..good.clone()
            }),
            "learning_rate is NaN",
        ),
        (
            with_training(Training {
                l2: -1.0,
                ..good.clone()
            }),
            "l2",
        ),
        (
            with_training(Training {
                label_smoothing: 1.5,
                ..good.clone()
            }),
            "label_smoothing",
        ),
        (
            with_training(Training {
                optimiser: Optimiser::Adam {
                    beta1: 1.0,
                    beta2: 0.999,
                    epsilon: 1e-8,
                },
                ..good.clone()
            }),
            "beta1",
        ),
        (
            with_training(Training {
                optimiser: Optimiser::Adam {
                    beta1: 0.9,
                    beta2: 0.999,
                    epsilon: 0.0,
                },
                ..good.clone()
            }),
            "epsilon",
        ),
        (
            with_training(Training {
                optimiser: Optimiser::Sgd {
                    momentum: 0.0,
                    nesterov: true,
                },
                ..good.clone()
            }),
            "nesterov",
        ),
        (
            with_training(Training {
                schedule: Schedule::Step {
                    every: 0,
                    factor: 0.5,
                },
                ..good.clone()
            }),
            "every is 0",
        ),
        (
            with_training(Training {
                early_stopping: Some(EarlyStopping { patience: 0 }),
                ..good.clone()
            }),
            "patience",
        ),
        (
            with_training(Training {
                early_stopping: Some(EarlyStopping { patience: 2 }),
                ..good.clone()
            }),
            "validation rows",
        ),
    ];
    for (message, part) in messages {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
    for shape in absurd_shapes() {
        let error = Trainer::new(&shape, &good).unwrap_err();
        assert!(matches!(error, Error::Network(_)), "{shape:?}: {error}");
    }
    let features = Array2::from_shape_vec((2, 2), vec![0.0, 1.0, f32::NAN, 2.0]).unwrap();
    let finite = Array2::from_elem((2, 2), 1.0f32);
    let examples = [
        (
            Examples::new(features.view(), &[0, 1], 2),
            "feature 0 of record 1 is NaN",
        ),
        (
            Examples::new(finite.view(), &[0, 2], 2),
            "record 1 has label 2",
        ),
        (
            Examples::new(finite.view(), &[0], 2),
            "1 labels for 2 records",
        ),
        (Examples::new(finite.view(), &[0, 0], 0), "0 classes"),
        (
            Examples::new(Array2::zeros((0, 2)).view(), &[], 2),
            "at least one record",
        ),
    ];
    for (result, part) in examples {
        let message = result.unwrap_err().to_string();
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}

#[test]
fn what_nobody_can_wait_for_or_have_is_no_panic() {
    // epochs that would not fit into memory, were all of their losses kept room for
    let examples = clouds(40, 4, 1.0, 0.0);
    let network = network(4, &[3], 2);
    let endless = Training {
        early_stopping: Some(EarlyStopping { patience: 1 }),
        learning_rate: 0.5,
        ..training(usize::MAX, usize::MAX)
    };
    let trainer = Trainer::new(&network, &endless).unwrap();
    let trained = trainer.train(&examples, &rows(0, 20), &rows(20, 40), 1);
    assert!(trained.unwrap().epochs_run() > 0);
    // and they are not counted as if somebody had
    assert!(trainer.memory(20, 20) < 64 << 20);
    assert_eq!(trainer.memory(usize::MAX, usize::MAX), usize::MAX);
    assert_eq!(trainer.threads(usize::MAX).memory(20, 20), usize::MAX);
}

#[test]
fn kernels_have_names() {
    for kernel in Kernel::available() {
        assert!(Kernel::NAMES.contains(&kernel.name()));
        assert_eq!(kernel.to_string().parse::<Kernel>().unwrap(), kernel);
    }
    assert_eq!(kernel(), Kernel::available()[0]);
    let message = "sse9".parse::<Kernel>().unwrap_err().to_string();
    assert!(message.contains("no kernel \"sse9\"") && message.contains("plain"));
    let foreign = if cfg!(target_arch = "aarch64") {
        "avx2"
    } else {
        "neon"
    };
    let message = foreign.parse::<Kernel>().unwrap_err().to_string();
    assert!(message.contains("cannot run"), "{message}");
}

#[test]
fn soft_labels_and_weights_that_make_no_sense_are_refused() {
    let examples = clouds(3, 2, 1.0, 0.0);
    let refuse = |result: Result<Examples, Error>, part: &str| {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Examples(_)));
        assert!(error.to_string().contains(part), "{error}");
    };
    let soft = |values: [[f32; 2]; 3]| {
        let values = ndarray::arr2(&values);
        examples.clone().soft_labels(values.view())
    };
    assert!(soft([[0.5, 0.5], [1.0, 0.0], [0.1, 0.9]]).is_ok());
    refuse(
        soft([[0.5, 0.5], [1.0, 0.1], [0.1, 0.9]]),
        "record 1 sums to 1.1",
    );
    refuse(
        soft([[0.5, 0.5], [1.0, 0.0], [1.5, -0.5]]),
        "-0.5 for class 1",
    );
    let narrow = Array2::from_elem((3, 1), 1.0f32);
    refuse(examples.clone().soft_labels(narrow.view()), "3 × 1");
    refuse(examples.clone().weighted(&[1.0, 1.0]), "2 weights");
    refuse(
        examples.clone().weighted(&[1.0, f32::NAN, 1.0]),
        "record 1 is NaN",
    );
    refuse(
        examples.clone().weighted(&[1.0, 1.0, -1.0]),
        "record 2 is -1",
    );
}
