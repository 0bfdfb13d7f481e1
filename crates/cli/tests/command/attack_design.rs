//! What `giveaway attack` says of arrays whose making gives members away: the target among
//! its own reference models, and reference models that know the target's training set.

use crate::attack::{ARRAYS, example};
use crate::npy::{bools, doubles, singles};
use crate::sandbox::{Finished, Sandbox};

const RECORDS: usize = 120;

/// A number from 0 to 1 that looks random.
fn noise(seed: usize) -> f64 {
    let mixed = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((mixed ^ (mixed >> 32)) >> 11) as f64 / 2f64.powi(53)
}

/// Each record IN exactly half of `models` models.
fn halves(models: usize) -> Vec<Vec<bool>> {
    let chosen: Vec<Vec<usize>> = (0..RECORDS)
        .map(|record| {
            let mut order: Vec<usize> = (0..models).collect();
            order.sort_by(|&a, &b| noise(record * 100 + a).total_cmp(&noise(record * 100 + b)));
            order.truncate(models / 2);
            order
        })
        .collect();
    let row = |model: usize| chosen.iter().map(|of| of.contains(&model)).collect();
    (0..models).map(row).collect()
}

/// Signals that know nothing, of a target with these members.
fn written(inside: &[Vec<bool>], members: &[bool]) -> Sandbox {
    let sandbox = Sandbox::new();
    let all = [inside.len(), RECORDS];
    let signals: Vec<f64> = (0..inside.len() * RECORDS).map(|i| noise(7 * i)).collect();
    let target: Vec<f64> = (0..RECORDS).map(|i| noise(70_000 + i)).collect();
    sandbox.write("S.npy", doubles(&all, &signals));
    sandbox.write("M.npy", bools(&all, &inside.concat()));
    sandbox.write("T.npy", doubles(&[RECORDS], &target));
    sandbox.write("t.npy", bools(&[RECORDS], members));
    sandbox.write("c.npy", bools(&[RECORDS], &[true; RECORDS]));
    sandbox
}

fn judged(sandbox: &Sandbox) -> (Finished, serde_json::Value) {
    let made = sandbox.run(&format!(
        "{ARRAYS} --target-membership t.npy --method loss --json"
    ));
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let metrics = serde_json::from_str(&made.stdout).unwrap();
    (made, metrics)
}

fn with_canaries() -> String {
    format!("{ARRAYS} --target-membership t.npy --method lira-online --canaries c.npy --guesses 20")
}

#[test]
fn a_target_among_the_reference_models_is_refused() {
    let example = example();
    let sandbox = example.sandbox();
    let all = [6, 8];
    let words = [
        "--signals S.npy: model 2 of S.npy is the target itself",
        "numpy.delete(S, 2, 0)",
        "numpy.delete(M, 2, 0)",
    ];
    // thirds: float32 holds others than float64
    let mut signals = example.flat(|x| x / 3.0);
    let target: Vec<f64> = example.target.iter().map(|x| x / 3.0).collect();
    signals[16..24].copy_from_slice(&target);
    for (signals, target) in [
        (doubles(&all, &signals), doubles(&[8], &target)),
        (singles(&all, &signals), doubles(&[8], &target)),
    ] {
        sandbox.write("S.npy", signals);
        sandbox.write("T.npy", target);
        sandbox.run(ARRAYS).refused(3, &words);
    }
    // one record that differs is another model
    signals[20] += 1.0;
    sandbox.write("S.npy", doubles(&all, &signals));
    assert_eq!(sandbox.run(ARRAYS).code, Some(0));
}

#[test]
fn reference_models_that_share_the_targets_training_set_are_named() {
    let mut inside = halves(6);
    let members: Vec<bool> = (0..RECORDS).map(|r| noise(900_000 + r) < 0.5).collect();
    inside[1].clone_from(&members);
    inside[4] = members.iter().map(|member| !member).collect();
    let sandbox = written(&inside, &members);
    let (made, metrics) = judged(&sandbox);
    for words in [
        "model 1 was trained on exactly the target's records",
        "model 4 was trained on exactly the records that the target was not trained on",
        "numpy.delete(S, 4, 0)",
    ] {
        assert!(made.stderr.contains(words), "{}", made.stderr);
    }
    assert_eq!(
        metrics["design"]["same_training_set"],
        serde_json::json!([1])
    );
    assert_eq!(metrics["design"]["complements"], serde_json::json!([4]));
    sandbox
        .run(&with_canaries())
        .refused(3, &["--membership M.npy", "model 4", "depend on the coins"]);
    inside.remove(4);
    let sandbox = written(&inside, &members);
    sandbox
        .run(&with_canaries())
        .refused(3, &["--membership M.npy", "model 1", "depend on the coins"]);
}

/// One of six models in which each record is exactly three times was the target: who is OUT
/// of three of the other five is a member, whatever the signals.
#[test]
fn counts_that_give_members_away_are_named() {
    let mut inside = halves(6);
    let members = inside.remove(5);
    let sandbox = written(&inside, &members);
    let (made, metrics) = judged(&sandbox);
    let words = "how many reference models a record is OUT of tells members already (AUC 1.000)";
    assert!(made.stderr.contains(words), "{}", made.stderr);
    assert_eq!(metrics["design"]["out_count_auc"], 1.0);
    sandbox.run(&with_canaries()).refused(
        3,
        &["--membership M.npy", "AUC 1.000", "depend on the coins"],
    );

    // Coins of their own tell nothing.
    let inside: Vec<Vec<bool>> = (0..5)
        .map(|m| {
            (0..RECORDS)
                .map(|r| noise(31 * (m * RECORDS + r) + 5) < 0.5)
                .collect()
        })
        .collect();
    let sandbox = written(&inside, &members);
    let (made, metrics) = judged(&sandbox);
    assert_eq!(made.stderr, "");
    let auc = metrics["design"]["out_count_auc"].as_f64().unwrap();
    let (mut won, mut pairs) = (0.0, 0.0);
    let out = |r: usize| inside.iter().filter(|row| !row[r]).count();
    for a in (0..RECORDS).filter(|&r| members[r]) {
        for b in (0..RECORDS).filter(|&r| !members[r]) {
            pairs += 1.0;
            won += match out(a).cmp(&out(b)) {
                std::cmp::Ordering::Less => 0.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Greater => 1.0,
            };
        }
    }
    assert!((auc - won / pairs).abs() < 1e-12, "{auc} {}", won / pairs);
    let made = sandbox.run(&with_canaries());
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    assert!(
        made.stdout.contains("if the reference models and"),
        "{}",
        made.stdout
    );
}

#[test]
fn canaries_want_one_method_that_was_fixed_beforehand() {
    let inside: Vec<Vec<bool>> = (0..5)
        .map(|m| {
            (0..RECORDS)
                .map(|r| noise(31 * (m * RECORDS + r) + 5) < 0.5)
                .collect()
        })
        .collect();
    let members: Vec<bool> = (0..RECORDS).map(|r| noise(900_000 + r) < 0.5).collect();
    let sandbox = written(&inside, &members);
    for methods in ["", "--method all", "--method lira-online,loss"] {
        let line = with_canaries().replace("--method lira-online", methods);
        sandbox
            .run(&line)
            .refused(2, &["--canaries", "one method", "fixed beforehand"]);
    }
}
