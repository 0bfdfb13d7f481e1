//! A thread that is none of rayon's shares its work with threads of its own.
#![expect(clippy::unwrap_used, reason = "a test may fail this way")]

use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use giveaway_nn::{Examples, Network, Optimiser, Schedule, Trained, Trainer, Training};
use ndarray::Array2;

fn train(threads: usize, examples: &Examples) -> Trained {
    // wide enough that products are shared
    let network = Network {
        inputs: 150,
        hidden: vec![130],
        classes: 7,
        ..Network::default()
    };
    let training = Training {
        epochs: 2,
        batch_size: 100,
        learning_rate: 1e-3,
        optimiser: Optimiser::adam(),
        l2: 0.0,
        label_smoothing: 0.0,
        schedule: Schedule::Constant,
        early_stopping: None,
        augmentation: None,
    };
    let rows: Vec<u32> = (0..300).collect();
    let trainer = Trainer::new(&network, &training).unwrap().threads(threads);
    trainer.train(examples, &rows, &[], 5).unwrap()
}

/// What `work` gives; fails if it takes longer than a minute.
fn within_a_minute<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, done) = channel();
    thread::spawn(move || {
        // nobody listens any more only if it took too long
        let _ = send.send(work());
    });
    let result = done.recv_timeout(Duration::from_mins(1));
    result.expect("a pool that is busy held up a thread that is none of its own")
}

// One test, as there is one global pool.
#[test]
fn the_global_pool_holds_nobody_up_and_is_not_held() {
    const THREADS: usize = 3;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(THREADS);
    pool.build_global().unwrap();
    let features = Array2::from_shape_fn((300, 150), |(i, j)| ((i * 31 + j * 17) % 13) as f32);
    let labels: Vec<u32> = (0..300).map(|i| i % 7).collect();
    let examples = Arc::new(Examples::new(features.view(), &labels, 7).unwrap());
    let want = train(1, &examples).logits(&examples);

    // all of the pool's threads wait at a barrier
    let (inside, release) = (
        Arc::new(Barrier::new(THREADS + 1)),
        Arc::new(Barrier::new(THREADS + 1)),
    );
    for _ in 0..THREADS {
        let (inside, release) = (Arc::clone(&inside), Arc::clone(&release));
        rayon::spawn(move || {
            inside.wait();
            release.wait();
        });
    }
    inside.wait();
    for threads in [2, THREADS, 1000] {
        let of_thread = Arc::clone(&examples);
        let logits = within_a_minute(move || train(threads, &of_thread).logits(&of_thread));
        assert_eq!(logits, want, "{threads} threads");
    }
    release.wait();

    // who is called back may use all of the pool
    let of_thread = Arc::clone(&examples);
    let called = within_a_minute(move || {
        let mut called = 0;
        train(1000, &of_thread).each_logits(&of_thread, |_, _| {
            called += rayon::broadcast(|_| 1).iter().sum::<usize>();
        });
        called
    });
    assert_eq!(called, 3 * THREADS);
}
