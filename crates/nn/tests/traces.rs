//! Losses of single rows after every epoch.
#![expect(clippy::unwrap_used, reason = "a test may fail this way")]

use giveaway_nn::{
    Activation, Augmentation, Convolution, EarlyStopping, Error, Examples, Image, Kernel, Network,
    Optimiser, Padding, Pool, Privacy, Schedule, Trained, Trainer, Training,
};
use giveaway_stats::random::Stream;
use ndarray::Array2;

const EPOCHS: usize = 4;

struct Case {
    what: &'static str,
    network: Network,
    private: bool,
    early_stopping: bool,
    /// Labels are replaced by probabilities, and rows have weights.
    soft: bool,
}

/// Everything that training does and a trace must not: dropout, augmentation, smoothing, l2.
fn cases() -> Vec<Case> {
    let dense = Network {
        inputs: 6 * 5 * 2,
        hidden: vec![20, 12],
        classes: 3,
        dropout: 0.4,
        activation: Activation::Tanh,
        ..Network::default()
    };
    let convolution = |channels, pool| Convolution {
        channels,
        size: 3,
        padding: Padding::Same,
        pool,
    };
    let images = Network {
        image: Some(Image {
            height: 6,
            width: 5,
            channels: 2,
            convolutions: vec![convolution(5, None), convolution(7, Some(Pool::Max))],
            skips: Vec::new(),
        }),
        activation: Activation::Relu,
        ..dense.clone()
    };
    let case = |what, network: &Network| Case {
        what,
        network: network.clone(),
        private: false,
        early_stopping: false,
        soft: false,
    };
    vec![
        case("dense", &dense),
        case("images", &images),
        Case {
            private: true,
            ..case("private images", &images)
        },
        Case {
            early_stopping: true,
            ..case("early stopping", &dense)
        },
        Case {
            soft: true,
            ..case("soft labels and weights", &dense)
        },
    ]
}

fn training(case: &Case, epochs: usize) -> Training {
    Training {
        epochs,
        batch_size: 16,
        learning_rate: 0.02,
        optimiser: Optimiser::adam(),
        l2: 1e-3,
        label_smoothing: 0.1,
        schedule: Schedule::Constant,
        early_stopping: case.early_stopping.then_some(EarlyStopping { patience: 1 }),
        augmentation: case.network.image.is_some().then_some(Augmentation {
            shift: 1,
            flip: true,
        }),
    }
}

fn examples(case: &Case) -> Examples {
    let mut stream = Stream::new(7, "traces", 0);
    let (rows, classes) = (150, case.network.classes);
    let features = Array2::from_shape_fn((rows, case.network.inputs), |_| stream.normal() as f32);
    let labels: Vec<u32> = (0..rows).map(|_| stream.below(classes) as u32).collect();
    let examples = Examples::new(features.view(), &labels, classes).unwrap();
    if !case.soft {
        return examples;
    }
    let soft = Array2::from_shape_fn((rows, classes), |(row, class)| {
        [0.2, 0.5, 0.3][(row + class) % 3]
    });
    let weights: Vec<f32> = (0..rows).map(|row| 0.5 + (row % 4) as f32).collect();
    let examples = examples.soft_labels(soft.view()).unwrap();
    examples.weighted(&weights).unwrap()
}

fn train(case: &Case, epochs: usize, threads: usize, kernel: Kernel, traced: &[u32]) -> Trained {
    let training = training(case, epochs);
    let mut trainer = Trainer::new(&case.network, &training)
        .unwrap()
        .kernel(kernel)
        .threads(threads)
        .trace(traced);
    if case.private {
        let privacy = Privacy {
            clip: 1.0,
            noise_multiplier: 0.5,
        };
        trainer = trainer.private(privacy).unwrap();
    }
    let (rows, validation): (Vec<u32>, Vec<u32>) = ((0..100).collect(), (100..120).collect());
    trainer
        .train(&examples(case), &rows, &validation, 5)
        .unwrap()
}

/// Any rows: of the training set, validated on, neither; one twice; more than a batch.
fn traced() -> Vec<u32> {
    let mut rows: Vec<u32> = (0..150).rev().step_by(3).collect();
    rows.push(rows[0]);
    rows
}

/// −ln softmax of the labels, summed in f64.
fn losses(trained: &Trained, examples: &Examples, rows: &[u32]) -> Vec<f64> {
    let logits = trained.logits(examples);
    let label = |row: u32| examples.labels()[row as usize] as usize;
    rows.iter()
        .map(|&row| {
            let logits: Vec<f64> = logits.row(row as usize).iter().map(|&x| x.into()).collect();
            let sum: f64 = logits.iter().map(|z| z.exp()).sum();
            -(logits[label(row)].exp() / sum).ln()
        })
        .collect()
}

#[test]
fn a_trace_is_the_losses_of_networks_trained_for_fewer_epochs() {
    let rows = traced();
    for case in &cases() {
        let what = case.what;
        let examples = examples(case);
        for kernel in Kernel::available() {
            let trained = train(case, EPOCHS, 1, kernel, &rows);
            let traces = trained.traces();
            assert_eq!(traces.len(), trained.epochs_run(), "{what}");
            for (epoch, trace) in traces.iter().enumerate() {
                assert_eq!(trace.len(), rows.len(), "{what}");
                let shorter = train(case, epoch + 1, 1, kernel, &[]);
                if shorter.best_epoch() != epoch + 1 {
                    // early stopping put the weights of an earlier epoch back
                    assert!(case.early_stopping, "{what}");
                    continue;
                }
                for (have, want) in trace.iter().zip(losses(&shorter, &examples, &rows)) {
                    let (have, epoch) = (f64::from(*have), epoch + 1);
                    assert!(
                        (have - want).abs() <= 1e-6 * want.max(1.0),
                        "{what}, {kernel}, epoch {epoch}: {have} traced, {want} afterwards"
                    );
                }
            }
        }
    }
}

#[test]
fn tracing_changes_nothing_and_is_the_same_for_any_number_of_threads() {
    let rows = traced();
    let kernel = giveaway_nn::kernel();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build();
    let pool = pool.unwrap();
    for case in &cases() {
        let what = case.what;
        let without = train(case, EPOCHS, 1, kernel, &[]);
        assert!(without.traces().is_empty());
        let one = train(case, EPOCHS, 1, kernel, &rows);
        for threads in [1, 2, 3] {
            let mut with = pool.install(|| train(case, EPOCHS, threads, kernel, &rows));
            assert_eq!(with.layers(), without.layers(), "{what}");
            assert_eq!(with.filters(), without.filters(), "{what}");
            assert_eq!(with.history(), without.history(), "{what}");
            assert_eq!(with.best_epoch(), without.best_epoch(), "{what}");
            let traces = with.take_traces();
            assert_eq!(traces, one.traces(), "{what}, {threads} threads");
            assert!(with.traces().is_empty());
        }
    }
}

#[test]
fn rows_beyond_the_examples_are_refused() {
    let case = &cases()[0];
    let training = training(case, 1);
    let trainer = Trainer::new(&case.network, &training).unwrap();
    let error = trainer
        .trace(&[3, 150])
        .train(&examples(case), &[0, 1], &[], 1)
        .unwrap_err();
    assert!(matches!(error, Error::Rows(_)), "{error}");
    assert!(error.to_string().contains("traced row 150"), "{error}");
}
