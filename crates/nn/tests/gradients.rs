//! Gradients against central differences of a loss computed in f64 from its definition.
#![expect(clippy::unwrap_used, reason = "a test may fail this way")]

use giveaway_nn::{
    Activation, Dense, Examples, Kernel, Network, Optimiser, Quantity, Schedule, Skip, Trained,
    Trainer, Training,
};
use giveaway_stats::random::Stream;
use ndarray::{Array1, Array2};

/// Weights and biases of each layer in f64.
type Layers = Vec<(Array2<f64>, Array1<f64>)>;

fn forward(layers: &Layers, network: &Network, x: &Array2<f64>) -> Array2<f64> {
    let mut outputs = vec![x.clone()];
    for (i, (weight, bias)) in layers.iter().enumerate() {
        let mut values = outputs[i].dot(&weight.t()) + bias;
        for skip in network.skips.iter().filter(|skip| skip.to == i + 1) {
            values += &outputs[skip.from];
        }
        if i + 1 < layers.len() {
            values.mapv_inplace(|x| match network.activation {
                Activation::Relu => x.max(0.0),
                Activation::Tanh => x.tanh(),
            });
        }
        outputs.push(values);
    }
    outputs.pop().unwrap()
}

/// Mean cross-entropy against smoothed labels plus l2/2 times the squared norm of the parameters.
fn loss(
    layers: &Layers,
    network: &Network,
    x: &Array2<f64>,
    labels: &[u32],
    smoothing: f64,
    l2: f64,
) -> f64 {
    let logits = forward(layers, network, x);
    let mut total = 0.0;
    for (row, &label) in logits.rows().into_iter().zip(labels) {
        let log_sum = row.iter().map(|x| x.exp()).sum::<f64>().ln();
        for (class, x) in row.iter().enumerate() {
            let own = if class == label as usize { 1.0 } else { 0.0 };
            let target = (1.0 - smoothing) * own + smoothing / row.len() as f64;
            total += target * (log_sum - x);
        }
    }
    let norm: f64 = layers
        .iter()
        .map(|(w, b)| w.iter().chain(b).map(|x| x * x).sum::<f64>())
        .sum();
    total / labels.len() as f64 + 0.5 * l2 * norm
}

fn to_f64(layers: &[Dense]) -> Layers {
    layers
        .iter()
        .map(|d| (d.weight.mapv(f64::from), d.bias.mapv(f64::from)))
        .collect()
}

/// The gradients of each record's loss and of a logit with respect to its features.
fn check_features(
    network: &Network,
    trained: &Trained,
    x: &Array2<f64>,
    labels: &[u32],
    examples: &Examples,
) {
    let layers = to_f64(trained.layers());
    let class = network.classes as u32 - 1;
    for quantity in [Quantity::Loss, Quantity::Logit(class)] {
        let gradients = trained.input_gradients(examples, quantity);
        assert_eq!(gradients.dim(), x.dim());
        for ((row, feature), have) in gradients.indexed_iter() {
            // some of each row and column
            if (row + feature) % 7 != 0 {
                continue;
            }
            let shifted = |by: f64| {
                let mut record = x.row(row).to_owned().insert_axis(ndarray::Axis(0));
                record[[0, feature]] += by;
                let labels = &labels[row..=row];
                match quantity {
                    Quantity::Loss => loss(&layers, network, &record, labels, 0.0, 0.0),
                    Quantity::Logit(class) => {
                        forward(&layers, network, &record)[[0, class as usize]]
                    }
                }
            };
            let h = 1e-5;
            let want = (shifted(h) - shifted(-h)) / (2.0 * h);
            assert!(
                (f64::from(*have) - want).abs() < 1e-6 + 1e-5 * want.abs(),
                "{network:?}, record {row}, feature {feature}: {have} instead of {want}"
            );
        }
    }
}

fn check(kernel: Kernel, network: &Network, rows: usize, smoothing: f32, l2: f32) {
    let mut stream = Stream::new(11, "gradient test", rows as u64);
    let x = Array2::from_shape_fn((rows, network.inputs), |_| stream.normal() as f32);
    let labels: Vec<u32> = (0..rows)
        .map(|_| stream.below(network.classes) as u32)
        .collect();
    let examples = Examples::new(x.view(), &labels, network.classes).unwrap();
    let training = |epochs| Training {
        epochs,
        batch_size: rows,
        // a step of size 1 without momentum moves the parameters by their gradient
        learning_rate: 1.0,
        optimiser: Optimiser::sgd(),
        l2,
        label_smoothing: smoothing,
        schedule: Schedule::Constant,
        early_stopping: None,
        augmentation: None,
    };
    let all: Vec<u32> = (0..rows as u32).collect();
    let train = |epochs| {
        let training = training(epochs);
        let trainer = Trainer::new(network, &training).unwrap().kernel(kernel);
        trainer.train(&examples, &all, &[], 5).unwrap()
    };
    let (before, after) = (train(0), train(1));
    let x = x.mapv(f64::from);
    let mut layers = to_f64(before.layers());
    let value = |layers: &Layers| {
        loss(
            layers,
            network,
            &x,
            &labels,
            f64::from(smoothing),
            f64::from(l2),
        )
    };

    let logits = before.logits(&examples);
    let expected = forward(&layers, network, &x);
    for (have, want) in logits.iter().zip(&expected) {
        assert!((f64::from(*have) - want).abs() < 2e-6, "{have} {want}");
    }
    if l2 == 0.0 {
        let have = after.history()[0].training;
        let want = value(&layers);
        assert!((have - want).abs() < 1e-6 * want, "{have} {want}");
    }

    if smoothing == 0.0 {
        check_features(network, &before, &x, &labels, &examples);
    }

    let compare = |i: usize, part: usize, index: usize, have: f64, layers: &mut Layers| {
        let h = 1e-5;
        let mut shifted = |by: f64| {
            let (weight, bias) = &mut layers[i];
            let element = if part == 0 {
                weight.iter_mut().nth(index).unwrap()
            } else {
                &mut bias[index]
            };
            let old = *element;
            *element = old + by;
            let result = value(layers);
            let (weight, bias) = &mut layers[i];
            if part == 0 {
                *weight.iter_mut().nth(index).unwrap() = old;
            } else {
                bias[index] = old;
            }
            result
        };
        let want = (shifted(h) - shifted(-h)) / (2.0 * h);
        assert!(
            (have - want).abs() < 1e-6 + 1e-5 * want.abs(),
            "{kernel}, {network:?}, layer {i}, part {part}, element {index}: {have} instead of {want}"
        );
    };
    for i in 0..layers.len() {
        let (old, new) = (&before.layers()[i], &after.layers()[i]);
        // all biases, and enough weights to meet every row and column
        for index in 0..old.bias.len() {
            let have = f64::from(old.bias[index]) - f64::from(new.bias[index]);
            compare(i, 1, index, have, &mut layers);
        }
        let stride = (old.weight.len() / 150).max(1) | 1;
        let (old, new) = (
            old.weight.as_slice().unwrap(),
            new.weight.as_slice().unwrap(),
        );
        for index in (0..old.len()).step_by(stride) {
            let have = f64::from(old[index]) - f64::from(new[index]);
            compare(i, 0, index, have, &mut layers);
        }
    }
}

#[test]
fn gradients_agree_with_central_differences() {
    // widths and rows around the sizes of vectors, tiles and panels
    let cases: [(usize, &[usize], usize, usize); 8] = [
        (1, &[], 2, 1),
        (5, &[], 3, 7),
        (33, &[1], 2, 14),
        (7, &[19, 5], 4, 13),
        (16, &[32, 16], 17, 26),
        (40, &[37, 65], 33, 27),
        (104, &[64, 32], 2, 29),
        (3, &[4, 4, 4, 4], 10, 64),
    ];
    for kernel in Kernel::available() {
        for (inputs, hidden, classes, rows) in cases {
            for activation in [Activation::Relu, Activation::Tanh] {
                let network = Network {
                    inputs,
                    hidden: hidden.to_vec(),
                    classes,
                    activation,
                    dropout: 0.0,
                    image: None,
                    skips: Vec::new(),
                };
                check(kernel, &network, rows, 0.0, 0.0);
                check(kernel, &network, rows, 0.2, 0.03);
            }
        }
    }
}

#[test]
fn gradients_through_residual_additions_agree_with_central_differences() {
    // inputs, hidden layers, skips, rows
    type Case = (usize, &'static [usize], &'static [(usize, usize)], usize);
    let cases: [Case; 4] = [
        (5, &[5], &[(0, 1)], 7),
        (7, &[19, 33, 19], &[(1, 3)], 14),
        // several start from and end in a layer, one of them twice
        (
            17,
            &[17, 17, 17, 4],
            &[(0, 1), (0, 3), (1, 2), (1, 3), (2, 3), (1, 3)],
            13,
        ),
        (3, &[40, 65, 40, 40], &[(1, 3), (3, 4), (1, 4)], 29),
    ];
    for kernel in Kernel::available() {
        for (inputs, hidden, skips, rows) in cases {
            for activation in [Activation::Relu, Activation::Tanh] {
                let network = Network {
                    inputs,
                    hidden: hidden.to_vec(),
                    skips: skips.iter().map(|&(from, to)| Skip { from, to }).collect(),
                    classes: 4,
                    activation,
                    ..Network::default()
                };
                check(kernel, &network, rows, 0.0, 0.0);
                check(kernel, &network, rows, 0.2, 0.03);
            }
        }
    }
}
