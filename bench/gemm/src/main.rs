//! The float32 GEMM of `matrixmultiply` (as `ndarray` calls it) and of `gemm` (as candle
//! calls it): square products on one thread, in one copy or several at once.
//!
//! To be run with `RAYON_NUM_THREADS=1`. Prints a line of JSON for each library and size:
//! GFLOP/s of all copies together in the best of the trials.

use std::error::Error;
use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use clap::Parser;
use ndarray::Array2;
use ndarray::linalg::general_mat_mul;

#[derive(Parser)]
struct Arguments {
    /// Products at once, each on one thread.
    #[arg(long, default_value_t = 1)]
    copies: usize,
    /// Rows and columns of the matrices.
    #[arg(long, value_delimiter = ',', default_value = "512,1024,2048")]
    sizes: Vec<usize>,
    /// Seconds of a trial.
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
    /// Trials, of which the best counts.
    #[arg(long, default_value_t = 3)]
    trials: usize,
}

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    for &size in &arguments.sizes {
        for library in ["matrixmultiply", "gemm"] {
            let barrier = &Barrier::new(arguments.copies);
            let rates = thread::scope(|scope| {
                let copy = || match library {
                    "gemm" => gemm(size, &arguments, barrier),
                    _ => Ok(matrixmultiply(size, &arguments, barrier)),
                };
                let copies: Vec<_> = (0..arguments.copies).map(|_| scope.spawn(copy)).collect();
                copies
                    .into_iter()
                    .map(|copy| match copy.join() {
                        Ok(rates) => rates,
                        Err(panic) => std::panic::resume_unwind(panic),
                    })
                    .collect::<Result<Vec<Vec<f64>>, Failure>>()
            })?;
            let best = (0..arguments.trials)
                .map(|trial| rates.iter().map(|copy| copy[trial]).sum())
                .fold(0.0, f64::max);
            println!(
                "{}",
                serde_json::json!({
                    "library": library,
                    "size": size,
                    "copies": arguments.copies,
                    "gflops": best,
                })
            );
        }
    }
    Ok(())
}

/// GFLOP/s of each trial; all copies start each trial together.
fn trials(
    size: usize,
    arguments: &Arguments,
    barrier: &Barrier,
    mut multiply: impl FnMut(),
) -> Vec<f64> {
    let limit = Duration::from_secs_f64(arguments.seconds);
    let rate = |_| {
        barrier.wait();
        let start = Instant::now();
        let mut count = 0;
        while start.elapsed() < limit {
            multiply();
            count += 1;
        }
        2e-9 * (size as f64).powi(3) * f64::from(count) / start.elapsed().as_secs_f64()
    };
    (0..arguments.trials).map(rate).collect()
}

fn numbers(size: usize) -> Vec<f32> {
    (0..size * size)
        .map(|i| ((i * 7919) % 1000) as f32 / 1000.0 - 0.5)
        .collect()
}

fn matrixmultiply(size: usize, arguments: &Arguments, barrier: &Barrier) -> Vec<f64> {
    let a = Array2::from_shape_fn((size, size), |(i, j)| {
        ((i * 31 + j * 17) % 100) as f32 / 100.0
    });
    let b = a.clone();
    let mut c = Array2::zeros((size, size));
    trials(size, arguments, barrier, || {
        general_mat_mul(1.0, black_box(&a), black_box(&b), 0.0, &mut c);
    })
}

fn gemm(size: usize, arguments: &Arguments, barrier: &Barrier) -> Result<Vec<f64>, Failure> {
    let a = Tensor::from_vec(numbers(size), (size, size), &Device::Cpu)?;
    let b = a.copy()?;
    let mut failure = None;
    let rates = trials(size, arguments, barrier, || match a.matmul(&b) {
        Ok(c) => drop(black_box(c)),
        Err(error) => failure = Some(error),
    });
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(rates),
    }
}
