//! Ten steps of each optimiser against PyTorch's (conformance/nn/generate.py).
#![expect(clippy::unwrap_used, reason = "a test may fail this way")]

use giveaway_nn::{
    Activation, Convolution, Dense, Examples, Filters, Image, Kernel, Network, Objective,
    Optimiser, Padding, Pool, Quantity, Schedule, Skip, Trained, Trainer, Training,
};
use ndarray::{Array1, Array2, Array4};

const FIXTURE: &str = include_str!("../../../conformance/nn/pytorch.txt");

/// The arrays of a case, in order: name, shape, values.
fn case(name: &str) -> Vec<(&'static str, Vec<usize>, Vec<f64>)> {
    let header = format!("case {name}");
    FIXTURE
        .lines()
        .skip_while(|line| *line != header)
        .skip(1)
        .take_while(|line| !line.starts_with("case "))
        .map(|line| {
            let mut words = line.split(' ');
            let name = words.next().unwrap();
            let shape = words.next().unwrap();
            (
                name,
                shape.split('x').map(|n| n.parse().unwrap()).collect(),
                words.map(|x| x.parse().unwrap()).collect(),
            )
        })
        .collect()
}

/// The residual additions of a case, if it has some.
fn skips(arrays: &[(&str, Vec<usize>, Vec<f64>)], name: &str) -> Vec<Skip> {
    let array = arrays.iter().find(|array| array.0 == name);
    let values = array.map_or(&[][..], |array| &array.2);
    let skip = |pair: &[f64]| Skip {
        from: pair[0] as usize,
        to: pair[1] as usize,
    };
    values.chunks_exact(2).map(skip).collect()
}

/// What gradients are of, by the name in the fixture.
const QUANTITIES: [(&str, Quantity); 2] =
    [("logit-3", Quantity::Logit(3)), ("loss", Quantity::Loss)];

/// Gradients with respect to the input and to the outputs of convolutions, where a case has
/// them; how many arrays were compared.
fn check_gradients(
    arrays: &[(&str, Vec<usize>, Vec<f64>)],
    before: &Trained,
    examples: &Examples,
    what: &str,
) -> usize {
    let mut compared = 0;
    for (quantity_name, quantity) in QUANTITIES {
        let find = |name: &str| {
            let name = format!("{name}-{quantity_name}");
            arrays.iter().find(|array| array.0 == name)
        };
        if let Some((_, _, want)) = find("input-gradients") {
            let have = before.input_gradients(examples, quantity);
            assert_close(have.as_slice().unwrap(), want, what);
            compared += 1;
        }
        for convolution in 1..=before.filters().len() {
            let name = format!("convolution-{convolution}");
            let Some((_, _, want)) = find(&format!("{name}-gradients")) else {
                continue;
            };
            let (mut outputs, mut gradients) = (Vec::new(), Vec::new());
            before.convolution_gradients(examples, convolution, quantity, |_, values, slopes| {
                outputs.extend(values.iter().copied());
                gradients.extend(slopes.iter().copied());
            });
            let what = format!("{what}, {name}");
            assert_close(&gradients, want, &what);
            let name = format!("{name}-outputs");
            let (_, _, want) = arrays.iter().find(|array| array.0 == name).unwrap();
            assert_close(&outputs, want, &what);
            compared += 2;
        }
    }
    compared
}

/// How many arrays [`check_gradients`] must find in a case.
fn gradients_of(name: &str) -> usize {
    match name {
        // of a logit with respect to the input
        "residual" | "residual-tanh" => 1,
        // of a logit and the loss, with respect to the input and the outputs of four
        // convolutions, and these outputs
        "residual-image-max" | "residual-image-mean" => 2 * (1 + 4 * 2),
        _ => 0,
    }
}

fn matrix(shape: &[usize], values: &[f64]) -> Array2<f32> {
    let values = values.iter().map(|x| *x as f32).collect();
    Array2::from_shape_vec((shape[0], shape[1]), values).unwrap()
}

fn layers(arrays: &[(&str, Vec<usize>, Vec<f64>)], when: &str) -> Vec<Dense> {
    let of = |part: &str| {
        let name = format!("{part}-{when}");
        arrays.iter().filter(move |array| array.0 == name)
    };
    of("weight")
        .zip(of("bias"))
        .map(|(weight, bias)| Dense {
            weight: matrix(&weight.1, &weight.2),
            bias: bias.2.iter().map(|x| *x as f32).collect::<Array1<f32>>(),
        })
        .collect()
}

fn filters(arrays: &[(&str, Vec<usize>, Vec<f64>)], when: &str) -> Vec<Filters> {
    let of = |part: &str| {
        let name = format!("{part}-{when}");
        arrays.iter().filter(move |array| array.0 == name)
    };
    of("filters")
        .zip(of("filter-bias"))
        .map(|((_, shape, values), (_, _, bias))| {
            let shape = (shape[0], shape[1], shape[2], shape[3]);
            let values = values.iter().map(|x| *x as f32).collect();
            Filters {
                weight: Array4::from_shape_vec(shape, values).unwrap(),
                bias: bias.iter().map(|x| *x as f32).collect(),
            }
        })
        .collect()
}

fn assert_close(have: &[f32], want: &[f64], what: &str) {
    assert_eq!(have.len(), want.len(), "{what}");
    for (have, want) in have.iter().zip(want) {
        let difference = (f64::from(*have) - want).abs();
        assert!(
            difference < 2e-6 * want.abs().max(1.0),
            "{what}: {have} instead of {want}"
        );
    }
}

fn check(
    name: &str,
    activation: Activation,
    learning_rate: f32,
    optimiser: Optimiser,
    l2: f32,
    label_smoothing: f32,
    schedule: Schedule,
) {
    let training = Training {
        epochs: 10,
        batch_size: usize::MAX,
        learning_rate,
        optimiser,
        l2,
        label_smoothing,
        schedule,
        early_stopping: None,
        augmentation: None,
    };
    check_objective(name, activation, &training, Objective::CrossEntropy);
}

/// As [`check`], with batches of all rows.
fn check_objective(name: &str, activation: Activation, training: &Training, objective: Objective) {
    let arrays = case(name);
    let array = |name: &str| arrays.iter().find(|array| array.0 == name).unwrap();
    let (_, shape, features) = array("features");
    let labels: Vec<u32> = array("labels").2.iter().map(|x| *x as u32).collect();
    let mut examples = Examples::new(matrix(shape, features).view(), &labels, 5).unwrap();
    if let Some((_, shape, values)) = arrays.iter().find(|array| array.0 == "soft-labels") {
        let soft = matrix(shape, values);
        examples = examples.soft_labels(soft.view()).unwrap();
        let weights: Vec<f32> = array("record-weights")
            .2
            .iter()
            .map(|x| *x as f32)
            .collect();
        examples = examples.weighted(&weights).unwrap();
    }
    let before = layers(&arrays, "before");
    let after = layers(&arrays, "after");
    let network = Network {
        inputs: shape[1],
        hidden: before[..before.len() - 1]
            .iter()
            .map(|layer| layer.bias.len())
            .collect(),
        classes: 5,
        activation,
        dropout: 0.0,
        image: None,
        skips: skips(&arrays, "skips"),
    };
    let rows: Vec<u32> = (0..shape[0] as u32).collect();
    for kernel in Kernel::available() {
        let trained = Trainer::new(&network, training)
            .unwrap()
            .kernel(kernel)
            .objective(objective)
            .unwrap()
            .initial(&before)
            .unwrap()
            .train(&examples, &rows, &[], 3)
            .unwrap();
        let what = format!("{name}, {kernel}");
        let none = Training {
            epochs: 0,
            ..training.clone()
        };
        let untrained = Trainer::new(&network, &none).unwrap().kernel(kernel);
        let untrained = untrained.initial(&before).unwrap();
        let untrained = untrained.train(&examples, &rows, &[], 3).unwrap();
        let compared = check_gradients(&arrays, &untrained, &examples, &what);
        assert_eq!(compared, gradients_of(name), "{what}");
        assert_eq!(trained.layers().len(), after.len());
        for (have, want) in trained.layers().iter().zip(&after) {
            let as_f64 = |x: &f32| f64::from(*x);
            let want_weight: Vec<f64> = want.weight.iter().map(as_f64).collect();
            let want_bias: Vec<f64> = want.bias.iter().map(as_f64).collect();
            assert_close(have.weight.as_slice().unwrap(), &want_weight, &what);
            assert_close(have.bias.as_slice().unwrap(), &want_bias, &what);
        }
        let losses: Vec<f32> = trained
            .history()
            .iter()
            .map(|epoch| epoch.training as f32)
            .collect();
        assert_close(&losses, &array("losses").2, &what);
        let logits = trained.logits(&examples);
        assert_close(logits.as_slice().unwrap(), &array("logits-after").2, &what);
    }
}

#[test]
fn adam() {
    let (relu, tanh) = (Activation::Relu, Activation::Tanh);
    check(
        "adam",
        relu,
        0.01,
        Optimiser::adam(),
        0.0,
        0.0,
        Schedule::Constant,
    );
    let optimiser = Optimiser::Adam {
        beta1: 0.8,
        beta2: 0.95,
        epsilon: 1e-6,
    };
    check(
        "adam-l2-smoothing",
        tanh,
        0.02,
        optimiser,
        0.05,
        0.1,
        Schedule::Constant,
    );
}

#[test]
fn adamw() {
    let Optimiser::AdamW {
        beta1,
        beta2,
        epsilon,
        ..
    } = Optimiser::adamw()
    else {
        panic!();
    };
    let optimiser = Optimiser::AdamW {
        beta1,
        beta2,
        epsilon,
        weight_decay: 0.3,
    };
    let tanh = Activation::Tanh;
    check("adamw", tanh, 0.02, optimiser, 0.0, 0.0, Schedule::Cosine);
}

#[test]
fn soft_labels_and_weights() {
    let (relu, adam) = (Activation::Relu, Optimiser::adam());
    check("soft", relu, 0.02, adam, 0.0, 0.1, Schedule::Constant);
}

#[test]
fn other_objectives() {
    let training = |label_smoothing| Training {
        epochs: 10,
        batch_size: 21,
        learning_rate: 0.03,
        optimiser: Optimiser::adam(),
        l2: 0.0,
        label_smoothing,
        schedule: Schedule::Constant,
        early_stopping: None,
        augmentation: None,
    };
    let reward = Objective::EntropyReward { strength: 0.7 };
    check_objective("entropy-reward", Activation::Relu, &training(0.1), reward);
    let relaxed = Objective::Relaxed { level: 1.4 };
    check_objective("relaxed", Activation::Tanh, &training(0.0), relaxed);
}

#[test]
fn gradient_descent() {
    let (relu, tanh) = (Activation::Relu, Activation::Tanh);
    let momentum = |momentum, nesterov| Optimiser::Sgd { momentum, nesterov };
    check(
        "sgd",
        relu,
        0.5,
        Optimiser::sgd(),
        0.0,
        0.0,
        Schedule::Constant,
    );
    check(
        "sgd-momentum-l2",
        tanh,
        0.1,
        momentum(0.9, false),
        0.01,
        0.0,
        Schedule::Constant,
    );
    check(
        "sgd-nesterov",
        relu,
        0.1,
        momentum(0.8, true),
        0.0,
        0.2,
        Schedule::Constant,
    );
}

#[test]
fn schedules() {
    let momentum = Optimiser::Sgd {
        momentum: 0.5,
        nesterov: false,
    };
    check(
        "cosine",
        Activation::Relu,
        0.3,
        momentum,
        0.0,
        0.0,
        Schedule::Cosine,
    );
    let step = Schedule::Step {
        every: 3,
        factor: 0.5,
    };
    check(
        "step",
        Activation::Tanh,
        0.03,
        Optimiser::adam(),
        0.0,
        0.0,
        step,
    );
}

fn check_image(
    name: &str,
    convolutions: &[(usize, usize, Padding, Option<Pool>)],
    activation: Activation,
    learning_rate: f32,
    optimiser: Optimiser,
) {
    let arrays = case(name);
    let array = |name: &str| arrays.iter().find(|array| array.0 == name).unwrap();
    let (_, shape, features) = array("features");
    let labels: Vec<u32> = array("labels").2.iter().map(|x| *x as u32).collect();
    let examples = Examples::new(matrix(shape, features).view(), &labels, 5).unwrap();
    let (layers_before, filters_before) = (layers(&arrays, "before"), filters(&arrays, "before"));
    let convolution = |&(channels, size, padding, pool)| Convolution {
        channels,
        size,
        padding,
        pool,
    };
    let network = Network {
        inputs: shape[1],
        image: Some(Image {
            height: 9,
            width: 8,
            channels: 2,
            convolutions: convolutions.iter().map(convolution).collect(),
            skips: skips(&arrays, "image-skips"),
        }),
        hidden: layers_before[..layers_before.len() - 1]
            .iter()
            .map(|layer| layer.bias.len())
            .collect(),
        classes: 5,
        activation,
        dropout: 0.0,
        skips: skips(&arrays, "skips"),
    };
    let training = Training {
        epochs: 10,
        batch_size: shape[0],
        learning_rate,
        optimiser,
        l2: 0.0,
        label_smoothing: 0.0,
        schedule: Schedule::Constant,
        early_stopping: None,
        augmentation: None,
    };
    assert_eq!(filters_before.len(), convolutions.len());
    let rows: Vec<u32> = (0..shape[0] as u32).collect();
    for kernel in Kernel::available() {
        let trained = Trainer::new(&network, &training)
            .unwrap()
            .kernel(kernel)
            .initial(&layers_before)
            .unwrap()
            .initial_filters(&filters_before)
            .unwrap()
            .train(&examples, &rows, &[], 3)
            .unwrap();
        let what = format!("{name}, {kernel}");
        let none = Training {
            epochs: 0,
            ..training.clone()
        };
        let untrained = Trainer::new(&network, &none).unwrap().kernel(kernel);
        let untrained = untrained.initial(&layers_before).unwrap();
        let untrained = untrained.initial_filters(&filters_before).unwrap();
        let untrained = untrained.train(&examples, &rows, &[], 3).unwrap();
        let compared = check_gradients(&arrays, &untrained, &examples, &what);
        assert_eq!(compared, gradients_of(name), "{what}");
        let as_f64 = |x: &f32| f64::from(*x);
        for (have, want) in trained.filters().iter().zip(filters(&arrays, "after")) {
            let want_weight: Vec<f64> = want.weight.iter().map(as_f64).collect();
            let want_bias: Vec<f64> = want.bias.iter().map(as_f64).collect();
            assert_close(have.weight.as_slice().unwrap(), &want_weight, &what);
            assert_close(have.bias.as_slice().unwrap(), &want_bias, &what);
        }
        for (have, want) in trained.layers().iter().zip(layers(&arrays, "after")) {
            let want_weight: Vec<f64> = want.weight.iter().map(as_f64).collect();
            assert_close(have.weight.as_slice().unwrap(), &want_weight, &what);
        }
        let losses = trained.history().iter().map(|epoch| epoch.training as f32);
        let losses: Vec<f32> = losses.collect();
        assert_close(&losses, &array("losses").2, &what);
        let logits = trained.logits(&examples);
        assert_close(logits.as_slice().unwrap(), &array("logits-after").2, &what);
    }
}

#[test]
fn convolutions() {
    use Padding::{Same, Valid};
    let momentum = Optimiser::Sgd {
        momentum: 0.9,
        nesterov: false,
    };
    check_image(
        "image-max",
        &[(5, 3, Valid, Some(Pool::Max)), (4, 3, Same, None)],
        Activation::Relu,
        0.01,
        Optimiser::adam(),
    );
    check_image(
        "image-mean",
        &[
            (3, 3, Same, Some(Pool::Average)),
            (4, 2, Valid, Some(Pool::Max)),
        ],
        Activation::Tanh,
        0.2,
        momentum,
    );
}

#[test]
fn residual_additions() {
    let adam = Optimiser::adam();
    let momentum = Optimiser::Sgd {
        momentum: 0.9,
        nesterov: false,
    };
    let constant = Schedule::Constant;
    check("residual", Activation::Relu, 0.01, adam, 0.0, 0.0, constant);
    check(
        "residual-tanh",
        Activation::Tanh,
        0.1,
        momentum,
        0.0,
        0.0,
        constant,
    );
}

#[test]
fn residual_additions_of_convolutions_and_their_gradients() {
    use Padding::{Same, Valid};
    let momentum = Optimiser::Sgd {
        momentum: 0.9,
        nesterov: false,
    };
    check_image(
        "residual-image-max",
        &[
            (2, 3, Same, None),
            (5, 3, Same, None),
            (5, 3, Same, Some(Pool::Max)),
            (5, 1, Valid, Some(Pool::Average)),
        ],
        Activation::Relu,
        0.005,
        Optimiser::adam(),
    );
    check_image(
        "residual-image-mean",
        &[
            (3, 3, Same, None),
            (3, 3, Same, None),
            (3, 3, Same, Some(Pool::Average)),
            (4, 2, Valid, Some(Pool::Max)),
        ],
        Activation::Tanh,
        0.1,
        momentum,
    );
}
