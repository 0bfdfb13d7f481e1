//! Audits in one run do not refute the ε that the accountant claims for our DP-SGD, and refute
//! it where something is wrong with the training. `examples/one_run_audit.rs` runs more.
#![expect(clippy::unwrap_used, reason = "a test may fail this way")]

mod audits;

use audits::{Audit, Canaries, Fault};

const RUNS: u64 = 12;

/// Of 12 audits at 95 % more than this exceed a true ε with a probability below 1e-3, however
/// sharp they are.
const AT_MOST: usize = 4;

/// How many of the runs exceed what they claim.
fn exceeding(canaries: Canaries, fault: Fault) -> usize {
    let audit = Audit {
        canaries,
        count: 500,
        others: 0,
        guesses: 40,
        rate: 0.1,
        steps: 60,
        epsilon: 1.0,
        clip: 0.1,
        learning_rate: 2.0,
    };
    let audit = match canaries {
        Canaries::OwnFeature => audit,
        Canaries::RandomLabels => Audit {
            count: 400,
            others: 200,
            steps: 1500,
            clip: 1.0,
            ..audit
        },
    };
    let outcomes = (0..RUNS).map(|seed| audit.run(fault, seed).unwrap());
    let exceeding = outcomes.filter(|outcome| {
        // the accountant was asked for 1, and the noise is rounded to 32 bits
        assert!((outcome.claimed - 1.0).abs() < 1e-3, "{outcome:?}");
        assert!(outcome.correct <= outcome.guesses && outcome.guesses == 80);
        outcome.bound > outcome.claimed
    });
    exceeding.count()
}

#[test]
fn the_claimed_epsilon_is_not_refuted() {
    for canaries in [Canaries::OwnFeature, Canaries::RandomLabels] {
        let count = exceeding(canaries, Fault::None);
        assert!(count <= AT_MOST, "{canaries:?}: {count} of {RUNS}");
    }
}

#[test]
fn faults_are_found() {
    for (canaries, fault) in [
        (Canaries::OwnFeature, Fault::NoNoise),
        (Canaries::OwnFeature, Fault::ClipTimesTen),
        (Canaries::OwnFeature, Fault::NoSampling),
        (Canaries::RandomLabels, Fault::NoNoise),
    ] {
        let count = exceeding(canaries, fault);
        assert!(count > 8, "{canaries:?}, {fault:?}: {count} of {RUNS}");
    }
}
