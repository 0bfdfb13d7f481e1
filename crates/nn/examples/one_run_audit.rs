//! How often an audit in one run refutes the ε that the accountant claims for our DP-SGD, and
//! for trainings with a fault that claim it too.
//!
//!     cargo run --release -p giveaway-nn --example one_run_audit [RUNS] > FILE.json
//!
//! In every run the canaries are in by independent fair coins; they are guessed by how much
//! their loss fell, a registered number of the highest and of the lowest. At 95 % a true ε is
//! exceeded in 5 % of the runs at most.
#![expect(clippy::print_stdout, reason = "the results go there")]

#[path = "../tests/audits/mod.rs"]
mod audits;

use audits::{Audit, Canaries, DELTA, Failure, Fault, Outcome, SIGNIFICANCE};
use rayon::prelude::*;
use serde_json::{Value, json};

fn main() -> Result<(), Failure> {
    let runs = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let runs = runs.unwrap_or(50_u64);
    let own_feature = Audit {
        canaries: Canaries::OwnFeature,
        count: 1000,
        others: 0,
        guesses: 100,
        rate: 0.1,
        steps: 100,
        epsilon: 1.0,
        clip: 0.1,
        learning_rate: 2.0,
    };
    let random_labels = Audit {
        canaries: Canaries::RandomLabels,
        count: 400,
        others: 200,
        steps: 1500,
        clip: 1.0,
        learning_rate: 2.0,
        ..own_feature
    };
    let mut results = Vec::new();
    for audit in [
        own_feature,
        Audit {
            epsilon: 4.0,
            ..own_feature
        },
        // the mechanism without sampling, where the canaries' losses say most
        Audit {
            rate: 1.0,
            ..own_feature
        },
        random_labels,
        Audit {
            epsilon: 4.0,
            ..random_labels
        },
    ] {
        for fault in [
            Fault::None,
            Fault::NoNoise,
            Fault::ClipTimesTen,
            Fault::NoSampling,
        ] {
            if fault == Fault::NoSampling && audit.rate >= 1.0 {
                continue;
            }
            let outcomes: Result<Vec<Outcome>, Failure> = (0..runs)
                .into_par_iter()
                .map(|seed| audit.run(fault, seed))
                .collect();
            results.push(summary(&audit, fault, &outcomes?));
        }
    }
    println!("{:#}", Value::Array(results));
    Ok(())
}

fn summary(audit: &Audit, fault: Fault, outcomes: &[Outcome]) -> Value {
    let mut bounds: Vec<f64> = outcomes.iter().map(|o| o.bound).collect();
    bounds.sort_by(f64::total_cmp);
    let correct: u64 = outcomes.iter().map(|o| o.correct).sum();
    let guesses: u64 = outcomes.iter().map(|o| o.guesses).sum();
    let exceeding = outcomes.iter().filter(|o| o.bound > o.claimed).count();
    let claimed = outcomes.iter().map(|o| o.claimed).fold(0.0, f64::max);
    json!({
        "canaries": format!("{:?}", audit.canaries),
        "number": audit.count,
        "others": audit.others,
        "guesses": 2 * audit.guesses,
        "rate": audit.rate,
        "steps": audit.steps,
        "delta": DELTA,
        "confidence": 1.0 - SIGNIFICANCE,
        "fault": format!("{fault:?}"),
        "claimed_epsilon": claimed,
        "runs": outcomes.len(),
        "exceeding": exceeding,
        "right_guesses": correct as f64 / guesses as f64,
        "bound_median": bounds[bounds.len() / 2],
        "bound_largest": bounds[bounds.len() - 1],
    })
}
