//! The same bits for any number of threads.
#![expect(clippy::unwrap_used, reason = "a test may fail this way")]

use giveaway_nn::{
    Activation, Augmentation, Convolution, EarlyStopping, Examples, Image, Kernel, Network,
    Optimiser, Padding, Pool, Privacy, Quantity, Schedule, Skip, Trained, Trainer, Training,
};
use giveaway_stats::random::Stream;
use ndarray::{Array2, ArrayD};

const THREADS: [usize; 4] = [1, 2, 3, 7];

fn network(inputs: usize, hidden: &[usize], classes: usize) -> Network {
    Network {
        inputs,
        hidden: hidden.to_vec(),
        classes,
        ..Network::default()
    }
}

fn convolution(channels: usize, size: usize, padding: Padding, pool: Option<Pool>) -> Convolution {
    Convolution {
        channels,
        size,
        padding,
        pool,
    }
}

fn images(convolutions: Vec<Convolution>) -> Network {
    Network {
        image: Some(Image {
            height: 12,
            width: 11,
            channels: 2,
            convolutions,
            skips: Vec::new(),
        }),
        ..network(12 * 11 * 2, &[40], 5)
    }
}

fn training(batch_size: usize) -> Training {
    Training {
        epochs: 3,
        batch_size,
        learning_rate: 3e-3,
        optimiser: Optimiser::adam(),
        l2: 1e-4,
        label_smoothing: 0.1,
        schedule: Schedule::Cosine,
        early_stopping: None,
        augmentation: None,
    }
}

fn examples(network: &Network, rows: usize) -> Examples {
    let mut stream = Stream::new(7, "threads", 0);
    let features = Array2::from_shape_fn((rows, network.inputs), |_| stream.normal() as f32);
    let labels: Vec<u32> = (0..rows)
        .map(|_| stream.below(network.classes) as u32)
        .collect();
    Examples::new(features.view(), &labels, network.classes).unwrap()
}

fn assert_same_bits(have: &ArrayD<f32>, want: &ArrayD<f32>, what: &str) {
    assert_eq!(have.shape(), want.shape(), "{what}");
    for (have, want) in have.iter().zip(want) {
        assert_eq!(have.to_bits(), want.to_bits(), "{what}: {have}, {want}");
    }
}

/// Everything that training and asking gives.
fn assert_same(have: &Trained, want: &Trained, examples: &Examples, what: &str) {
    for (have, want) in have.layers().iter().zip(want.layers()) {
        let (have, want) = (have.clone(), want.clone());
        assert_same_bits(&have.weight.into_dyn(), &want.weight.into_dyn(), what);
        assert_same_bits(&have.bias.into_dyn(), &want.bias.into_dyn(), what);
    }
    for (have, want) in have.filters().iter().zip(want.filters()) {
        let (have, want) = (have.clone(), want.clone());
        assert_same_bits(&have.weight.into_dyn(), &want.weight.into_dyn(), what);
        assert_same_bits(&have.bias.into_dyn(), &want.bias.into_dyn(), what);
    }
    assert_eq!(have.best_epoch(), want.best_epoch(), "{what}");
    assert_eq!(have.history().len(), want.history().len(), "{what}");
    for (have, want) in have.history().iter().zip(want.history()) {
        assert_eq!(have.training.to_bits(), want.training.to_bits(), "{what}");
        let bits = |loss: Option<f64>| loss.map(f64::to_bits);
        assert_eq!(bits(have.validation), bits(want.validation), "{what}");
    }
    let answers = |trained: &Trained| {
        [
            trained.logits(examples).into_dyn(),
            trained.penultimate(examples).into_dyn(),
            trained.gradient_norms(examples).into_dyn(),
            trained.input_gradients(examples, Quantity::Loss).into_dyn(),
        ]
    };
    for (have, want) in answers(have).into_iter().zip(answers(want)) {
        assert_same_bits(&have, &want, what);
    }
    let at_convolutions = |trained: &Trained| {
        let mut all = Vec::new();
        for convolution in 1..=trained.filters().len() {
            trained.convolution_gradients(
                examples,
                convolution,
                Quantity::Logit(1),
                |record, outputs, gradients| {
                    all.push(record as u32);
                    let numbers = outputs.iter().chain(&gradients).map(|x| x.to_bits());
                    all.extend(numbers.collect::<Vec<_>>());
                },
            );
        }
        all
    };
    assert!(at_convolutions(have) == at_convolutions(want), "{what}");
}

/// Trains with each number of threads and compares with one.
fn check(network: &Network, training: &Training, privacy: Option<Privacy>, what: &str) {
    let examples = examples(network, 300);
    // no multiple of the batch, so that the last one is smaller
    let rows: Vec<u32> = (0..237).collect();
    let validation: Vec<u32> = (237..300).collect();
    for kernel in Kernel::available() {
        let train = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.unwrap().install(|| {
                let mut trainer = Trainer::new(network, training).unwrap();
                trainer = trainer.kernel(kernel).threads(threads);
                if let Some(privacy) = privacy {
                    trainer = trainer.private(privacy).unwrap();
                }
                trainer.train(&examples, &rows, &validation, 5).unwrap()
            })
        };
        let want = train(1);
        assert!(want.history()[0].training > 0.0);
        for threads in THREADS {
            let what = format!("{what}, {kernel}, {threads} threads");
            let have = train(threads);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.unwrap().install(|| {
                assert_same(&have, &want.clone().threads(1), &examples, &what);
            });
        }
    }
}

#[test]
fn dense_networks() {
    // wide enough that products are shared, with tiles, panels and batches that do not fit
    let wide = network(150, &[130, 101], 37);
    check(&wide, &training(100), None, "wide");
    let tanh = Network {
        activation: Activation::Tanh,
        dropout: 0.3,
        ..network(97, &[64, 200], 3)
    };
    let sgd = Training {
        optimiser: Optimiser::Sgd {
            momentum: 0.9,
            nesterov: true,
        },
        ..training(128)
    };
    check(&tanh, &sgd, None, "tanh and dropout");
    check(&network(500, &[], 100), &training(64), None, "softmax");
}

#[test]
fn convolutions() {
    let valid = images(vec![
        convolution(7, 3, Padding::Valid, Some(Pool::Max)),
        convolution(20, 3, Padding::Valid, None),
    ]);
    check(&valid, &training(50), None, "largest");
    let same = images(vec![
        convolution(5, 3, Padding::Same, Some(Pool::Average)),
        convolution(6, 5, Padding::Same, Some(Pool::Max)),
    ]);
    check(&same, &training(64), None, "means");
    let residual = Network {
        image: same.image.clone().map(|image| Image {
            convolutions: vec![
                convolution(6, 3, Padding::Same, None),
                convolution(6, 5, Padding::Same, Some(Pool::Max)),
                convolution(6, 3, Padding::Same, None),
            ],
            skips: vec![Skip { from: 1, to: 2 }, Skip { from: 2, to: 3 }],
            ..image
        }),
        hidden: vec![40, 40],
        skips: vec![Skip { from: 1, to: 2 }],
        dropout: 0.2,
        ..same.clone()
    };
    let moved = Training {
        augmentation: Some(Augmentation {
            shift: 2,
            flip: true,
        }),
        ..training(64)
    };
    check(&residual, &moved, None, "residual and augmented");
    // fewer images than groups in every batch
    check(&same, &training(5), None, "small batches");
}

#[test]
fn private_training() {
    let privacy = Privacy {
        clip: 0.5,
        noise_multiplier: 1.0,
    };
    check(
        &network(150, &[130], 37),
        &training(100),
        Some(privacy),
        "private",
    );
    let same = images(vec![convolution(5, 3, Padding::Same, Some(Pool::Max))]);
    check(&same, &training(60), Some(privacy), "private images");
}

#[test]
fn early_stopping() {
    let training = Training {
        epochs: 30,
        learning_rate: 0.02,
        early_stopping: Some(EarlyStopping { patience: 2 }),
        ..training(100)
    };
    let wide = network(150, &[130, 101], 37);
    check(&wide, &training, None, "early stopping");
    let same = images(vec![convolution(5, 3, Padding::Same, Some(Pool::Max))]);
    check(&same, &training, None, "early stopping with images");
}

/// The threads asked for may be more than the pool has, or not come at all.
#[test]
fn more_threads_than_there_are() {
    let network = network(150, &[130], 37);
    let examples = examples(&network, 300);
    let rows: Vec<u32> = (0..300).collect();
    let training = training(100);
    let train = |threads| {
        let trainer = Trainer::new(&network, &training).unwrap().threads(threads);
        trainer.train(&examples, &rows, &[], 5).unwrap()
    };
    let want = train(1);
    for threads in [0, 3, 1000] {
        assert_same(&train(threads), &want, &examples, "outside a pool");
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
    pool.unwrap().scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|_| assert_same(&train(2), &want, &examples, "a full pool"));
        }
    });
}
