//! Objectives other than the cross-entropy: against central differences of their definition, and
//! what must stay as it was.
#![expect(clippy::unwrap_used, reason = "a test may fail this way")]

use giveaway_nn::{
    Activation, Error, Examples, Kernel, Network, Objective, Optimiser, Privacy, Schedule, Trained,
    Trainer, Training,
};
use giveaway_stats::random::Stream;
use ndarray::Array2;

const ROWS: usize = 19;
const CLASSES: usize = 5;

fn network() -> Network {
    Network {
        inputs: 6,
        hidden: vec![7],
        classes: CLASSES,
        activation: Activation::Tanh,
        ..Network::default()
    }
}

fn training(epochs: usize) -> Training {
    Training {
        epochs,
        batch_size: ROWS,
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

struct Data {
    examples: Examples,
    soft: Array2<f32>,
    weights: Vec<f32>,
}

fn data() -> Data {
    let mut stream = Stream::new(7, "objective test", 0);
    let x = Array2::from_shape_fn((ROWS, 6), |_| stream.normal() as f32);
    let labels: Vec<u32> = (0..ROWS).map(|_| stream.below(CLASSES) as u32).collect();
    let mut soft = Array2::from_shape_fn((ROWS, CLASSES), |_| stream.normal().exp() as f32);
    for mut row in soft.rows_mut() {
        let sum = row.sum();
        row /= sum;
    }
    let weights = (0..ROWS).map(|_| 2.0 * stream.uniform() as f32).collect();
    Data {
        examples: Examples::new(x.view(), &labels, CLASSES).unwrap(),
        soft,
        weights,
    }
}

fn train(
    kernel: Kernel,
    examples: &Examples,
    training: &Training,
    objective: Objective,
    privacy: Option<Privacy>,
) -> Result<Trained, Error> {
    let network = network();
    let rows: Vec<u32> = (0..ROWS as u32).collect();
    let mut trainer = Trainer::new(&network, training)?
        .kernel(kernel)
        .objective(objective)?;
    if let Some(privacy) = privacy {
        trainer = trainer.private(privacy)?;
    }
    trainer.train(examples, &rows, &[], 5)
}

/// The last layer's weights and biases, whose gradients follow from the logits.
fn last(trained: &Trained) -> (Array2<f64>, Vec<f64>) {
    let last = trained.layers().last().unwrap();
    let biases = last.bias.iter().map(|x| f64::from(*x)).collect();
    (last.weight.mapv(f64::from), biases)
}

/// The objective of one row from its logits, by its definition.
fn reward(logits: &[f64], target: &[f64], strength: f64) -> f64 {
    let ln_sum = logits.iter().map(|x| x.exp()).sum::<f64>().ln();
    let ln = |class: usize| logits[class] - ln_sum;
    let cross: f64 = (0..CLASSES).map(|class| -target[class] * ln(class)).sum();
    let entropy: f64 = (0..CLASSES).map(|class| -ln(class).exp() * ln(class)).sum();
    cross - strength * entropy
}

#[test]
fn the_entropy_reward_agrees_with_central_differences() {
    let Data {
        examples,
        soft,
        weights,
    } = data();
    let labels = examples.labels().to_vec();
    let strength = 0.6;
    let objective = Objective::EntropyReward {
        strength: strength as f32,
    };
    let smoothing = 0.1f32;
    for softly in [false, true] {
        let examples = if softly {
            let examples = examples.clone().soft_labels(soft.view()).unwrap();
            examples.weighted(&weights).unwrap()
        } else {
            examples.clone()
        };
        let targets: Vec<Vec<f64>> = (0..ROWS)
            .map(|row| {
                let own = |class: usize| {
                    if softly {
                        f64::from(soft[[row, class]])
                    } else {
                        f64::from(u8::from(labels[row] as usize == class))
                    }
                };
                let smoothing = f64::from(smoothing);
                (0..CLASSES)
                    .map(|class| (1.0 - smoothing) * own(class) + smoothing / CLASSES as f64)
                    .collect()
            })
            .collect();
        for kernel in Kernel::available() {
            let with = |epochs| Training {
                label_smoothing: smoothing,
                ..training(epochs)
            };
            let before = train(kernel, &examples, &with(0), objective, None).unwrap();
            let after = train(kernel, &examples, &with(1), objective, None).unwrap();
            let hidden = before.penultimate(&examples).mapv(f64::from);
            let (weight, bias) = last(&before);
            let value = |weight: &Array2<f64>, bias: &[f64]| {
                let mut total = 0.0;
                for row in 0..ROWS {
                    let logits: Vec<f64> = (0..CLASSES)
                        .map(|class| weight.row(class).dot(&hidden.row(row)) + bias[class])
                        .collect();
                    let loss = reward(&logits, &targets[row], strength);
                    let weight = if softly { f64::from(weights[row]) } else { 1.0 };
                    total += weight * loss / ROWS as f64;
                }
                total
            };
            let want = value(&weight, &bias);
            let have = after.history()[0].training;
            assert!((have - want).abs() < 2e-6, "{kernel}: {have} {want}");
            let (weight_after, bias_after) = last(&after);
            let h = 1e-5;
            for class in 0..CLASSES {
                let shifted = |by: f64| {
                    let mut bias = bias.clone();
                    bias[class] += by;
                    value(&weight, &bias)
                };
                let want = (shifted(h) - shifted(-h)) / (2.0 * h);
                let have = bias[class] - bias_after[class];
                assert!((have - want).abs() < 1e-6, "{kernel}: {have} {want}");
                for unit in 0..7 {
                    let shifted = |by: f64| {
                        let mut weight = weight.clone();
                        weight[[class, unit]] += by;
                        value(&weight, &bias)
                    };
                    let want = (shifted(h) - shifted(-h)) / (2.0 * h);
                    let have = weight[[class, unit]] - weight_after[[class, unit]];
                    assert!((have - want).abs() < 1e-6, "{kernel}: {have} {want}");
                }
            }
        }
    }
}

#[test]
fn with_privacy_the_reward_is_part_of_each_gradient_that_is_clipped() {
    let Data { examples, .. } = data();
    let objective = Objective::EntropyReward { strength: 0.6 };
    let kernel = giveaway_nn::kernel();
    // a clip that nothing reaches
    let privacy = Privacy {
        clip: 1e6,
        noise_multiplier: 0.0,
    };
    let plain = train(kernel, &examples, &training(3), objective, None).unwrap();
    let private = train(kernel, &examples, &training(3), objective, Some(privacy)).unwrap();
    let without = train(
        kernel,
        &examples,
        &training(3),
        Objective::CrossEntropy,
        Some(privacy),
    )
    .unwrap();
    let largest = |a: &Trained, b: &Trained| {
        let difference = a.logits(&examples) - b.logits(&examples);
        difference.iter().fold(0.0f32, |most, x| most.max(x.abs()))
    };
    assert!(largest(&plain, &private) < 1e-5);
    assert!(largest(&without, &private) > 1e-2);
}

#[test]
fn relaxed_steps_descend_ascend_and_flatten() {
    let Data { examples, .. } = data();
    for kernel in Kernel::available() {
        let run = |epochs, level| {
            let objective = Objective::Relaxed { level };
            train(kernel, &examples, &training(epochs), objective, None).unwrap()
        };
        let plain = |epochs| {
            train(
                kernel,
                &examples,
                &training(epochs),
                Objective::CrossEntropy,
                None,
            )
            .unwrap()
        };
        // never below the level: bit for bit the cross-entropy
        assert_eq!(run(4, 0.0).layers(), plain(4).layers());
        assert_eq!(run(4, 0.0).history(), plain(4).history());
        // always below it: the first epoch goes the other way as far
        let (start, down, up) = (plain(0), plain(1), run(1, 100.0));
        assert_eq!(down.history(), up.history());
        for ((start, down), up) in start.layers().iter().zip(down.layers()).zip(up.layers()) {
            let mirrored = 2.0 * &start.weight - &down.weight;
            for (have, want) in up.weight.iter().zip(&mirrored) {
                assert!((have - want).abs() < 1e-6, "{kernel}: {have} {want}");
            }
        }
        // the second epoch flattens: the biases of the last layer move by the mean over the
        // rows of p − t
        let (before, after) = (run(1, 100.0), run(2, 100.0));
        let logits = before.logits(&examples).mapv(f64::from);
        let mut want = [0.0; CLASSES];
        for (row, &label) in logits.rows().into_iter().zip(examples.labels()) {
            let sum = row.mapv(f64::exp).sum();
            let p: Vec<f64> = row.iter().map(|x| x.exp() / sum).collect();
            let own = p[label as usize];
            for class in (0..CLASSES).filter(|&class| class != label as usize) {
                want[class] += (p[class] - (1.0 - own) / (CLASSES - 1) as f64) / ROWS as f64;
            }
        }
        let ((_, before), (_, after)) = (last(&before), last(&after));
        for class in 0..CLASSES {
            let have = before[class] - after[class];
            assert!((have - want[class]).abs() < 1e-6, "{have} {}", want[class]);
        }
    }
}

#[test]
fn objectives_that_make_no_sense_are_refused() {
    let Data { examples, .. } = data();
    let privacy = Privacy {
        clip: 1.0,
        noise_multiplier: 1.0,
    };
    let kernel = giveaway_nn::kernel();
    for (objective, privacy, part) in [
        (
            Objective::EntropyReward { strength: -1.0 },
            None,
            "strength is -1",
        ),
        (Objective::Relaxed { level: f32::NAN }, None, "level is NaN"),
        (
            Objective::Relaxed { level: 1.0 },
            Some(privacy),
            "does not go together with privacy",
        ),
    ] {
        let error = train(kernel, &examples, &training(1), objective, privacy).unwrap_err();
        assert!(matches!(error, Error::Training(_)), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn other_labels_and_more_records_give_what_all_at_once_gives() {
    let Data {
        examples,
        soft,
        weights,
    } = data();
    let mut stream = Stream::new(7, "more", 0);
    let more = Array2::from_shape_fn((4, 6), |_| stream.normal() as f32);
    let labels: Vec<u32> = examples.labels().iter().map(|x| (x + 1) % 5).collect();
    let grown = examples
        .clone()
        .relabelled(&labels)
        .unwrap()
        .with_more(more.view(), &[4, 3, 2, 1])
        .unwrap();
    let mut stream = Stream::new(7, "objective test", 0);
    let first = Array2::from_shape_fn((ROWS, 6), |_| stream.normal() as f32);
    let all = ndarray::concatenate![ndarray::Axis(0), first, more];
    let all_labels = [&labels[..], &[4, 3, 2, 1]].concat();
    let whole = Examples::new(all.view(), &all_labels, CLASSES).unwrap();
    let rows: Vec<u32> = (0..whole.rows() as u32).collect();
    let network = network();
    let training = training(3);
    let trainer = Trainer::new(&network, &training).unwrap();
    let run = |examples: &Examples| trainer.train(examples, &rows, &rows[..3], 2).unwrap();
    assert_eq!(grown.labels(), whole.labels());
    assert_eq!(run(&grown).layers(), run(&whole).layers());
    assert_eq!(run(&grown).history(), run(&whole).history());

    // sure labels and weight 1 behind soft labels and weights
    let grown = examples
        .soft_labels(soft.view())
        .unwrap()
        .weighted(&weights)
        .unwrap()
        .with_more(more.view(), &[4, 3, 2, 1])
        .unwrap();
    let mut sure = Array2::zeros((4, CLASSES));
    for (row, class) in [4, 3, 2, 1].into_iter().enumerate() {
        sure[[row, class]] = 1.0;
    }
    let all_soft = ndarray::concatenate![ndarray::Axis(0), soft, sure];
    let all_weights = [&weights[..], &[1.0; 4]].concat();
    let whole = whole.soft_labels(all_soft.view()).unwrap();
    let whole = whole.weighted(&all_weights).unwrap();
    assert_eq!(grown.memory(), whole.memory());
    assert_eq!(run(&grown).layers(), run(&whole).layers());

    let refused = grown
        .clone()
        .with_more(all.slice(ndarray::s![.., ..5]), &[0; 23]);
    assert!(refused.unwrap_err().to_string().contains("5 features"));
    let refused = grown.clone().with_more(more.view(), &[0; 3]);
    assert!(refused.unwrap_err().to_string().contains("3 labels for 4"));
    let refused = grown.clone().with_more(more.view(), &[0, 0, 5, 0]);
    assert!(refused.unwrap_err().to_string().contains("label 5"));
    let refused = grown.relabelled(&labels);
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("19 labels for 23")
    );
}
