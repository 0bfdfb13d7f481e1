//! How often indirect inference accuses non-members, by combination: the table of
//! docs/methods.md, section 1.4.
//!
//!     cargo run --release -p giveaway --example indirect_calibration
//!
//! Target and OUT models are drawn alike, and all queries of a model share a part of their
//! variation, so that any two have the same correlation. `normal`: u is normal. `right` and
//! `left`: u is a log-normal number (of a normal one with standard deviation 1/2, skewness 1.75)
//! or its negative, so that the member-like tail is the long or the short one.
//!
//! With `time` as its argument it times every model playing the target: 200 records, 200
//! queries, 128 models, all combinations, 4 budgets.

use std::time::Instant;

use giveaway::attack::direct::Null;
use giveaway::attack::indirect::{Combination, RecordQueries, Settings, Tail, leave_one_out, test};
use giveaway_stats::random::Stream;
use ndarray::Array2;
use rayon::prelude::*;

const DRAWS: u64 = 10_000;
const BUDGETS: [usize; 4] = [1, 10, 50, 200];
const LEVELS: [f64; 2] = [0.01, 0.05];

#[derive(Clone, Copy)]
enum Shape {
    Normal,
    Right,
    Left,
}

impl Shape {
    fn of(self, z: f64) -> f64 {
        match self {
            Self::Normal => z,
            Self::Right => (0.5 * z).exp(),
            Self::Left => -(-0.5 * z).exp(),
        }
    }
}

/// Statistics of a model on all queries.
fn row(stream: &mut Stream, shape: Shape, correlation: f64, queries: usize) -> Vec<f64> {
    let shared = correlation.sqrt() * stream.normal();
    let own = (1.0 - correlation).sqrt();
    (0..queries)
        .map(|_| shape.of(shared + own * stream.normal()))
        .collect()
}

fn settings(null: Null) -> Settings {
    Settings {
        null,
        combinations: Combination::EVERY.to_vec(),
        budgets: BUDGETS.to_vec(),
    }
}

/// False-positive rates, `[combinations][budgets][levels]`.
fn rates(null: Null, shape: Shape, correlation: f64, out: usize) -> Vec<[[f64; 2]; 4]> {
    let settings = settings(null);
    let queries = BUDGETS[BUDGETS.len() - 1];
    let counted = (0..DRAWS)
        .into_par_iter()
        .map(|draw| {
            let mut stream = Stream::new(draw, "indirect calibration", 0);
            let rows: Vec<f64> = (0..out)
                .flat_map(|_| row(&mut stream, shape, correlation, queries))
                .collect();
            let target = row(&mut stream, shape, correlation, queries);
            let logits = Array2::from_shape_vec((out, queries), rows).unwrap_or_default();
            let record = RecordQueries {
                logits: logits.view(),
                inside: &vec![false; out],
                tails: &vec![Tail::Upper; queries],
                weights: Some(&vec![1.0; queries]),
                cut: None,
            };
            let mut counts = vec![[[0u32; 2]; 4]; Combination::EVERY.len()];
            if let Ok(found) = test(&record, &target, &settings) {
                for (combination, counts) in counts.iter_mut().enumerate() {
                    for (budget, counts) in counts.iter_mut().enumerate() {
                        let p = found.combined(combination, budget);
                        for (level, count) in LEVELS.iter().zip(counts) {
                            // a p-value of a rank may be a rounding above its level
                            *count += u32::from(p <= level * (1.0 + 1e-12));
                        }
                    }
                }
            }
            counts
        })
        .reduce(
            || vec![[[0; 2]; 4]; Combination::EVERY.len()],
            |mut all, more| {
                let cells = all.as_flattened_mut().as_flattened_mut();
                for (all, more) in cells.iter_mut().zip(more.as_flattened().as_flattened()) {
                    *all += more;
                }
                all
            },
        );
    counted
        .into_iter()
        .map(|budgets| budgets.map(|levels| levels.map(|count| f64::from(count) / DRAWS as f64)))
        .collect()
}

#[expect(clippy::print_stdout, reason = "the table is what it is for")]
fn table() {
    println!("null  shape   rho  k_out  combination   FPR at .01, .05 for 1, 10, 50, 200 queries");
    for null in Null::EVERY {
        for (shape, name) in [
            (Shape::Normal, "normal"),
            (Shape::Right, "right"),
            (Shape::Left, "left"),
        ] {
            for correlation in [0.0, 0.3, 0.8, 0.95] {
                for out in [20, 60] {
                    let rates = rates(null, shape, correlation, out);
                    for (combination, rates) in Combination::EVERY.iter().zip(rates) {
                        let shown: Vec<String> = rates
                            .iter()
                            .map(|[one, five]| format!("{one:.4} {five:.4}"))
                            .collect();
                        println!(
                            "{:<5} {name:<7} {correlation:<4} {out:<6} {:<13} {}",
                            null.name(),
                            combination.name(),
                            shown.join(" | ")
                        );
                    }
                }
            }
        }
    }
}

#[expect(clippy::print_stdout, reason = "the time is what it is for")]
fn time() {
    let (records, models, queries) = (200, 128, 200);
    for null in Null::EVERY {
        let logits: Vec<Array2<f32>> = (0..records)
            .map(|record| {
                let mut stream = Stream::new(record, "indirect time", 0);
                let rows: Vec<f32> = (0..models)
                    .flat_map(|_| row(&mut stream, Shape::Normal, 0.8, queries))
                    .map(|u| u as f32)
                    .collect();
                Array2::from_shape_vec((models, queries), rows).unwrap_or_default()
            })
            .collect();
        let inside: Vec<bool> = (0..models).map(|model| model % 2 == 0).collect();
        let tails = vec![Tail::Upper; queries];
        let weights = vec![1.0; queries];
        let of_records: Vec<RecordQueries<'_, f32>> = logits
            .iter()
            .map(|logits| RecordQueries {
                logits: logits.view(),
                inside: &inside,
                tails: &tails,
                weights: Some(&weights),
                cut: None,
            })
            .collect();
        let complements: Vec<Option<usize>> = (0..models).map(|model| Some(model ^ 1)).collect();
        let begun = Instant::now();
        let plays = leave_one_out(&of_records, &complements, &settings(null));
        println!(
            "{:<6} {:.2} s, {} threads, {}",
            null.name(),
            begun.elapsed().as_secs_f64(),
            rayon::current_num_threads(),
            if plays.is_ok() { "done" } else { "failed" }
        );
    }
}

fn main() {
    if std::env::args()
        .nth(1)
        .is_some_and(|argument| argument == "time")
    {
        time();
    } else {
        table();
    }
}
