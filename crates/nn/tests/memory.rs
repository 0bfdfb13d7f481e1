//! The memory that is predicted, against an allocator that counts.
#![expect(clippy::unwrap_used, reason = "a test may fail this way")]
#![expect(
    unsafe_code,
    reason = "a global allocator is an unsafe trait; this one only counts"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use giveaway_nn::{
    Activation, Augmentation, Convolution, EarlyStopping, Examples, Image, Network, Optimiser,
    Padding, Pool, Privacy, Quantity, Schedule, Skip, Trained, Trainer, Training,
};
use ndarray::Array2;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

fn add(bytes: usize) {
    let now = NOW.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(now, Ordering::Relaxed);
}

// SAFETY: everything is left to the system's allocator. Its realloc is not used: the default
// one allocates anew, which counts both for a moment, as they are there.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: as the caller vouches.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller vouches.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most that `work` had allocated at once.
fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = work();
    (result, PEAK.load(Ordering::Relaxed) - before)
}

struct Case {
    what: &'static str,
    network: Network,
    batch_size: usize,
    rows: usize,
    epochs: usize,
    private: bool,
    early_stopping: bool,
    augmented: bool,
    traced: usize,
    threads: usize,
}

fn dense(inputs: usize, hidden: &[usize], classes: usize) -> Network {
    Network {
        inputs,
        hidden: hidden.to_vec(),
        classes,
        ..Network::default()
    }
}

fn images(convolutions: &[(usize, usize, Padding, Option<Pool>)]) -> Network {
    let convolution = |&(channels, size, padding, pool)| Convolution {
        channels,
        size,
        padding,
        pool,
    };
    Network {
        image: Some(Image {
            height: 20,
            width: 17,
            channels: 3,
            convolutions: convolutions.iter().map(convolution).collect(),
            skips: Vec::new(),
        }),
        ..dense(20 * 17 * 3, &[50], 10)
    }
}

/// Dense or not, with nothing special.
fn case(what: &'static str, network: Network, batch_size: usize) -> Case {
    Case {
        what,
        network,
        batch_size,
        rows: 700,
        epochs: 2,
        private: false,
        early_stopping: false,
        augmented: false,
        traced: 0,
        threads: 1,
    }
}

// One test, as all threads share the count.
#[test]
fn predictions_hold() {
    let wide = dense(600, &[256, 128], 100);
    let largest = images(&[
        (16, 5, Padding::Valid, Some(Pool::Max)),
        (32, 3, Padding::Same, Some(Pool::Max)),
    ]);
    let means = images(&[
        (8, 3, Padding::Same, Some(Pool::Average)),
        (24, 3, Padding::Valid, None),
    ]);
    let mut residual = images(&[
        (8, 3, Padding::Same, None),
        (8, 3, Padding::Same, Some(Pool::Max)),
    ]);
    residual.hidden = vec![50, 50];
    residual.skips = vec![Skip { from: 1, to: 2 }];
    if let Some(image) = &mut residual.image {
        image.skips = vec![Skip { from: 1, to: 2 }];
    }
    let dropout = Network {
        dropout: 0.5,
        activation: Activation::Tanh,
        ..wide.clone()
    };
    let cases = [
        case("table", dense(104, &[64, 32], 2), 128),
        case("softmax", dense(30, &[], 2), 32),
        case("wide", wide.clone(), 128),
        case("small batches", wide.clone(), 4),
        case("large batches", wide.clone(), 2_000),
        case("dropout", dropout, 500),
        Case {
            rows: 200_000,
            ..case("many rows", dense(4, &[8], 2), 4096)
        },
        Case {
            early_stopping: true,
            ..case("early stopping", wide.clone(), 200)
        },
        Case {
            private: true,
            ..case("private", wide.clone(), 300)
        },
        case("largest", largest.clone(), 200),
        case("means", means.clone(), 200),
        Case {
            private: true,
            early_stopping: true,
            ..case("private images", largest.clone(), 150)
        },
        case("few images", largest.clone(), 3),
        // where asking takes more than training: for logits, features and gradients
        case("many classes", dense(10, &[20], 3_000), 1),
        case("many features", dense(20_000, &[], 2), 1),
        case(
            "features of images",
            Network {
                hidden: Vec::new(),
                ..means.clone()
            },
            1,
        ),
        Case {
            rows: 20,
            epochs: 2_500,
            ..case("long history", dense(4, &[], 2), 16)
        },
        Case {
            epochs: 300,
            traced: 650,
            ..case("traces", dense(10, &[8], 2), 100)
        },
        Case {
            epochs: 3,
            traced: 700,
            early_stopping: true,
            ..case("traces of images", largest.clone(), 30)
        },
        Case {
            augmented: true,
            ..case("residual and augmented", residual, 600)
        },
        Case {
            threads: 3,
            ..case("three threads", means, 100)
        },
        Case {
            threads: 12,
            ..case("twelve threads", largest, 256)
        },
    ];
    let pool = rayon::ThreadPoolBuilder::new().num_threads(12).build();
    let pool = pool.unwrap();
    // threads allocate when they start, which must be over
    pool.broadcast(|_| ());
    pool.install(|| {
        for case in &cases {
            check(case);
        }
    });
}

fn check(case: &Case) {
    let Case { what, network, .. } = case;
    let features = Array2::from_shape_fn((case.rows, network.inputs), |(i, j)| {
        ((i * 31 + j * 17) % 13) as f32 / 13.0
    });
    let labels: Vec<u32> = (0..case.rows)
        .map(|i| (i % network.classes) as u32)
        .collect();
    let (examples, taken) =
        peak(|| Examples::new(features.view(), &labels, network.classes).unwrap());
    assert_eq!(examples.memory(), taken, "{what}: examples");
    let rows: Vec<u32> = (0..case.rows as u32).collect();
    let traced = rows[..case.traced].to_vec();
    let (rows, validation) = rows.split_at(case.rows * 4 / 5);
    let training = Training {
        epochs: case.epochs,
        batch_size: case.batch_size,
        learning_rate: 1e-3,
        optimiser: Optimiser::adam(),
        l2: 0.0,
        label_smoothing: 0.0,
        schedule: Schedule::Constant,
        early_stopping: case.early_stopping.then_some(EarlyStopping { patience: 5 }),
        augmentation: case.augmented.then_some(Augmentation {
            shift: 2,
            flip: true,
        }),
    };
    let mut trainer = Trainer::new(network, &training)
        .unwrap()
        .threads(case.threads)
        .trace(&traced);
    if case.private {
        let privacy = Privacy {
            clip: 1.0,
            noise_multiplier: 1.0,
        };
        trainer = trainer.private(privacy).unwrap();
    }
    let (predicted, nothing) = peak(|| trainer.memory(rows.len(), validation.len()));
    assert!(nothing < 4096, "{what}: predicting took {nothing} bytes");
    let (trained, training) = peak(|| trainer.train(&examples, rows, validation, 1).unwrap());
    // the trained network is counted in both, and the answers in neither
    let filters = trained.filters().iter().map(|part| part.weight.len());
    let layers = trained.layers().iter().map(|part| part.weight.len());
    let traces = trained.traces().iter().map(Vec::len);
    let held = filters.chain(layers).chain(traces).sum::<usize>() * size_of::<f32>();
    let mut measured = training;
    for (question, asking) in questions(&trained, &examples) {
        let taken = held + asking;
        assert!(
            predicted >= taken,
            "{what}, {question}: {predicted} bytes predicted, {taken} taken"
        );
        measured = measured.max(taken);
    }
    assert!(
        predicted >= training,
        "{what}: {predicted} bytes predicted, {training} taken"
    );
    assert!(
        predicted as f64 <= 1.15 * measured as f64 + 65_536.0,
        "{what}: {predicted} bytes predicted, only {measured} taken"
    );
}

/// What each question takes beside its answers.
fn questions(trained: &Trained, examples: &Examples) -> Vec<(String, usize)> {
    let bytes = |answers: usize| answers * size_of::<f32>();
    let mut all = Vec::new();
    let ((), taken) = peak(|| trained.each_logits(examples, |_, _| ()));
    all.push(("logits".to_owned(), taken));
    let ((), taken) = peak(|| trained.each_penultimate(examples, |_, _| ()));
    all.push(("penultimate".to_owned(), taken));
    let (norms, taken) = peak(|| trained.gradient_norms(examples));
    all.push(("norms".to_owned(), taken - bytes(norms.len())));
    for quantity in [Quantity::Loss, Quantity::Logit(1)] {
        let (gradients, taken) = peak(|| trained.input_gradients(examples, quantity));
        let taken = taken - bytes(gradients.len());
        all.push((format!("input gradients, {quantity:?}"), taken));
        for convolution in 1..=trained.filters().len() {
            let ((), taken) = peak(|| {
                trained.convolution_gradients(examples, convolution, quantity, |_, _, _| ());
            });
            let question = format!("gradients of convolution {convolution}, {quantity:?}");
            all.push((question, taken));
        }
    }
    all
}
