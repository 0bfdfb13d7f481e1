//! How `giveaway attack` reads arrays that can be read in more than one way, and what it says
//! of that: precision, axes, temperature, records that cannot be scored.

use crate::attack::{ARRAYS, close, column, done, example, scores};
use crate::npy::{bools, doubles, npy, singles, whole};
use crate::sandbox::Sandbox;

const MODELS: usize = 6;
const RECORDS: usize = 8;
const ALL: [usize; 2] = [MODELS, RECORDS];

/// Losses of two decimals, many of them equal: references as float32 and a target as float64
/// have the same ties as when all are alike.
#[test]
fn ties_do_not_depend_on_the_types() {
    let example = example();
    let sandbox = example.sandbox();
    let loss = |x: f64| ((x + 4.0) * 8.0).rem_euclid(7.0).round() / 10.0 + 0.01;
    let references = example.flat(loss);
    let target: Vec<f64> = example.target.iter().map(|&x| loss(x)).collect();
    let line = ARRAYS.replace("scaled-logit", "loss")
        + " --method gmia-direct,population,loss --null ecdf --out out";
    sandbox.write("S.npy", doubles(&ALL, &references));
    sandbox.write("T.npy", doubles(&[RECORDS], &target));
    sandbox.run(&line).succeeded();
    let alike = scores(&sandbox, "out");
    for (signals, of_target, types) in [
        (
            singles(&ALL, &references),
            doubles(&[RECORDS], &target),
            "float32 and float64",
        ),
        (
            doubles(&ALL, &references),
            singles(&[RECORDS], &target),
            "float32 and float64",
        ),
    ] {
        sandbox.write("S.npy", signals);
        sandbox.write("T.npy", of_target);
        let made = done(sandbox.run(&line));
        let found = scores(&sandbox, "out");
        for name in ["gmia-direct-p", "population"] {
            close(column(&found, name), column(&alike, name), name);
        }
        for words in [types, "rounded to float32"] {
            assert!(made.stderr.contains(words), "{}", made.stderr);
        }
    }
    // outputs too: a row of probabilities that float32 does not hold
    let rows = [0.1, 0.2, 0.7, 0.3, 0.3, 0.4].repeat(RECORDS / 2 * MODELS);
    let labels: Vec<i32> = (0..RECORDS).map(|r| i32::from((r % 3) as u8)).collect();
    sandbox.write("y.npy", whole(&labels));
    sandbox.write("S.npy", singles(&[MODELS, RECORDS, 3], &rows));
    sandbox.write("T.npy", doubles(&[RECORDS, 3], &rows[..3 * RECORDS]));
    let made = sandbox
        .run(&(ARRAYS.replace("scaled-logit", "probabilities") + " --labels y.npy --method loss"));
    made.refused(3, &["is the target itself"]);
}

/// Confidences of many classes at a low temperature: none of their powers is a number above 0.
#[test]
fn a_low_temperature_of_many_classes() {
    let example = example();
    let sandbox = example.sandbox();
    let classes = 100;
    let shape = [MODELS, RECORDS, classes];
    let z = |i: usize| ((i * 7919 + 13) * 104_729 % 10_007) as f64 / 100_070.0;
    let logits: Vec<f64> = (0..MODELS * RECORDS * classes).map(z).collect();
    let of_target: Vec<f64> = (0..RECORDS * classes).map(|i| z(i + 777_777)).collect();
    let softmax = |rows: &[f64]| -> Vec<f64> {
        rows.chunks(classes)
            .flat_map(|row| {
                let sum: f64 = row.iter().map(|z| z.exp()).sum();
                row.iter().map(move |z| z.exp() / sum)
            })
            .collect()
    };
    let labels: Vec<i32> = (0..RECORDS).map(|r| i32::from((r * 11) as u8)).collect();
    sandbox.write("y.npy", whole(&labels));
    let mut found = Vec::new();
    for (signal, references, target) in [
        ("logits", logits.clone(), of_target.clone()),
        ("probabilities", softmax(&logits), softmax(&of_target)),
    ] {
        sandbox.write("S.npy", doubles(&shape, &references));
        sandbox.write("T.npy", doubles(&[RECORDS, classes], &target));
        let line = ARRAYS.replace("scaled-logit", signal)
            + " --labels y.npy --temperature 0.005 --gamma 1 --method rmia-online,base1-online --out out";
        done(sandbox.run(&line));
        found.push(scores(&sandbox, "out"));
    }
    for name in ["rmia-online", "base1-online"] {
        let by_logits = column(&found[0], name);
        close(column(&found[1], name), by_logits, name);
        assert!(by_logits.iter().any(|x| (x - by_logits[0]).abs() > 0.1));
    }
}

#[test]
fn axes_that_can_be_read_otherwise_are_named() {
    let example = example();
    let sandbox = example.sandbox();
    // as many models as records
    let square = &example.flat(|x| x)[..36];
    sandbox.write("S.npy", doubles(&[6, 6], square));
    let inside: Vec<bool> = example
        .inside
        .iter()
        .flat_map(|row| row[..6].to_vec())
        .collect();
    sandbox.write("M.npy", bools(&[6, 6], &inside));
    sandbox.write("T.npy", doubles(&[6], &example.target[..6]));
    let made = done(sandbox.run(ARRAYS));
    assert!(
        made.stderr.contains("as many models as records (6)")
            && made.stderr.contains("[models x records]"),
        "{}",
        made.stderr
    );
    // a third axis
    let sandbox = example.sandbox();
    let three: Vec<f64> = example
        .flat(|x| x)
        .iter()
        .flat_map(|&x| [x, x / 2.0, -x])
        .collect();
    let of_target: Vec<f64> = example
        .target
        .iter()
        .flat_map(|&x| [x, x / 2.0, -x])
        .collect();
    sandbox.write("S.npy", doubles(&[MODELS, RECORDS, 3], &three));
    sandbox.write("T.npy", doubles(&[RECORDS, 3], &of_target));
    let made = done(sandbox.run(ARRAYS));
    assert!(
        made.stderr
            .contains("the third axis of S.npy was read as 3 queries")
            && made.stderr.contains("--signal logits"),
        "{}",
        made.stderr
    );
    let labels: Vec<i32> = (0..RECORDS).map(|r| i32::from((r % 3) as u8)).collect();
    sandbox.write("y.npy", whole(&labels));
    let labelled = format!("{ARRAYS} --labels y.npy");
    let words = [
        "--labels",
        "for logits or probabilities",
        "--signal scaled-logit",
    ];
    sandbox.run(&labelled).refused(2, &words);
    let sandbox = example.sandbox();
    sandbox.write("y.npy", whole(&labels));
    sandbox.run(&labelled).refused(2, &words);
}

/// The arrays that agree say how many records there are; the one that does not is named.
#[test]
fn the_array_that_is_at_fault_is_named() {
    let example = example();
    let sandbox = example.sandbox();
    sandbox.write("T.npy", doubles(&[7], &example.target[..7]));
    sandbox
        .run(ARRAYS)
        .refused(3, &["--target T.npy", "shape [7]", "8 records (S.npy)"]);
    // labels or memberships of the target's length are on its side
    sandbox.write("t.npy", bools(&[7], &[true; 7]));
    sandbox
        .run(&format!("{ARRAYS} --target-membership t.npy"))
        .refused(3, &["--signals S.npy", "7 records (T.npy)"]);
    sandbox.write("T.npy", npy("<f8", false, &[], &[0; 8]));
    sandbox
        .run(ARRAYS)
        .refused(3, &["--target T.npy: ", "shape []", "[records]"]);
    sandbox.write("T.npy", doubles(&[0], &[]));
    sandbox.write("S.npy", doubles(&[MODELS, 0], &[]));
    sandbox.write("M.npy", bools(&[MODELS, 0], &[]));
    sandbox
        .run(ARRAYS)
        .refused(3, &["--target T.npy: there are no records"]);
    sandbox.write("T.npy", "1,2,3");
    sandbox
        .run(ARRAYS)
        .refused(3, &["--target T.npy: not an NPY"]);
}

#[test]
fn headers_are_refused_in_words() {
    let example = example();
    let sandbox = example.sandbox();
    let file = std::fs::read(sandbox.path("S.npy")).unwrap();
    let lie = |from: &str, to: &str| {
        let at = file
            .windows(from.len())
            .position(|w| w == from.as_bytes())
            .unwrap();
        let end = file.iter().position(|&b| b == b'\n').unwrap();
        let mut header = [&file[10..at], to.as_bytes(), &file[at + from.len()..end]].concat();
        header.push(b'\n');
        let length = (header.len() as u16).to_le_bytes();
        [&file[..8], &length, &header, &file[end + 1..]].concat()
    };
    let axes = "1, ".repeat(3000);
    for (from, to, words, never) in [
        (
            "(6, 8,)",
            "(6, 99999999999999999999)",
            ["length of an axis", "99999999999999999999"],
            "too large to fit",
        ),
        (
            "(6, 8,)",
            "(-6, 8,)",
            ["length of an axis", "-6"],
            "invalid digit",
        ),
        (
            "(6, 8,)",
            "(6.0, 8,)",
            ["length of an axis", "6.0"],
            "invalid digit",
        ),
        ("False", "None", ["fortran_order", "None"], "shape"),
        (
            "(6, 8,)",
            &format!("({axes})"),
            ["3000 axes", "S.npy"],
            "1, 1, 1, 1, 1, 1, 1, 1, 1, 1",
        ),
    ] {
        sandbox.write("S.npy", lie(from, to));
        let made = sandbox.run(ARRAYS);
        made.refused(3, &[&["--signals S.npy"], &words[..]].concat());
        assert!(!made.stderr.contains(never), "{}", made.stderr);
    }
}

#[test]
fn records_without_a_score_have_a_reason() {
    let example = example();
    // nobody to compare with
    let sandbox = Sandbox::new();
    let first = |values: &[f64]| -> Vec<f64> { values.iter().copied().step_by(RECORDS).collect() };
    sandbox.write("S.npy", doubles(&[MODELS, 1], &first(&example.flat(|x| x))));
    let inside: Vec<bool> = example.inside.iter().map(|row| row[0]).collect();
    sandbox.write("M.npy", bools(&[MODELS, 1], &inside));
    sandbox.write("T.npy", doubles(&[1], &example.target[..1]));
    let alone = "no other record to compare with";
    let made = done(sandbox.run(ARRAYS));
    assert!(made.stderr.contains(alone), "{}", made.stderr);
    assert!(
        !made
            .stderr
            .contains("too few reference models are IN or OUT): rmia")
    );
    for method in ["rmia-online", "rmia-offline", "population"] {
        sandbox
            .run(&format!("{ARRAYS} --method {method}"))
            .refused(2, &["--method", method, alone, "--population-signals"]);
    }
    // a population that is IN every reference model
    let sandbox = example.sandbox();
    let population: Vec<f64> = (0..MODELS * 5).map(|i| i as f64 / 7.0).collect();
    sandbox.write("PS.npy", doubles(&[MODELS, 5], &population));
    sandbox.write("PT.npy", doubles(&[5], &population[3..8]));
    sandbox.write("PM.npy", bools(&[MODELS, 5], &[true; 30]));
    let line = format!(
        "{ARRAYS} --population-signals PS.npy --population-target PT.npy --population-membership PM.npy"
    );
    let cause = "every population record is IN all reference models";
    let made = done(sandbox.run(&line));
    assert!(made.stderr.contains(cause), "{}", made.stderr);
    sandbox
        .run(&format!("{line} --method rmia-offline"))
        .refused(2, &["rmia-offline", cause]);
    // numbers whose squares are none
    let mut signals = example.flat(|x| x);
    signals[RECORDS + 2] = -2e150;
    let sandbox = example.sandbox();
    sandbox.write("S.npy", doubles(&ALL, &signals));
    sandbox
        .run(ARRAYS)
        .refused(3, &["model 1, record 2", "-2e150", "1e150"]);
}

#[test]
fn the_directory_is_looked_at_before_anything_is_computed() {
    let example = example();
    let sandbox = example.sandbox();
    let members: Vec<bool> = (0..RECORDS).map(|r| r % 2 == 0).collect();
    sandbox.write("t.npy", bools(&[RECORDS], &members));
    std::fs::create_dir_all(sandbox.path("out/metrics.json")).unwrap();
    let line = format!("{ARRAYS} --target-membership t.npy --method loss --out out");
    sandbox
        .run(&line)
        .refused(3, &["--out", "metrics.json", "is a directory"]);
    assert!(!sandbox.path("out/scores.parquet").exists());
    std::fs::create_dir_all(sandbox.path("other/scores.parquet")).unwrap();
    // before the arrays are
    let unread = line.replace("T.npy", "none.npy");
    sandbox
        .run(&unread.replace("--out out", "--out other"))
        .refused(3, &["--out", "scores.parquet", "is a directory"]);
    sandbox.write("file", "");
    for out in ["file", "file/below"] {
        sandbox
            .run(&unread.replace("--out out", &format!("--out {out}")))
            .refused(3, &["--out", "file", "not a directory"]);
    }
    // and what was made to look is taken away again
    sandbox
        .run(&unread.replace("--out out", "--out made/for/it"))
        .refused(3, &["none.npy"]);
    assert!(!sandbox.path("made").exists());
}

/// Scores that differ are shown so.
#[test]
fn small_scores_are_shown_with_their_digits() {
    let example = example();
    let sandbox = example.sandbox();
    let far: Vec<f64> = example.target.iter().map(|x| x - 60.0).collect();
    sandbox.write("T.npy", doubles(&[RECORDS], &far));
    let made = done(sandbox.run(&format!("{ARRAYS} --method confidence,gmia-direct,loss")));
    assert!(!made.stdout.contains("(0.0000)"), "{}", made.stdout);
    assert!(!made.stdout.contains("(-0.0000)"), "{}", made.stdout);
    assert!(made.stdout.contains("e-2"), "{}", made.stdout);
}

/// RMIA's a that was found for the target is not what reference models in its place are
/// attacked with: one of them was it found on.
#[test]
fn every_player_finds_its_own_a() {
    let models = 4;
    let records = 60;
    let sandbox = Sandbox::new();
    let noise = |i: usize| ((i * 7919 + 13) * 104_729 % 10_007) as f64 / 10_007.0;
    let inside: Vec<bool> = (0..models * records)
        .map(|i| noise(3 * i + 1) < 0.5)
        .collect();
    // each model has its own way to show members
    let signals: Vec<f64> = (0..models * records)
        .map(|i| {
            let shift = if inside[i] {
                (i / records) as f64 / 3.0
            } else {
                0.0
            };
            4.0 * noise(i + 5) + shift - 2.0
        })
        .collect();
    let target: Vec<f64> = (0..records)
        .map(|i| 4.0 * noise(i + 90_000) - 2.0)
        .collect();
    let members: Vec<bool> = (0..records).map(|r| noise(r + 4_000) < 0.5).collect();
    sandbox.write("S.npy", doubles(&[models, records], &signals));
    sandbox.write("M.npy", bools(&[models, records], &inside));
    sandbox.write("T.npy", doubles(&[records], &target));
    sandbox.write("t.npy", bools(&[records], &members));
    let line = format!("{ARRAYS} --target-membership t.npy --method rmia-offline --json");
    let run = |line: &str| -> serde_json::Value {
        serde_json::from_str(&done(sandbox.run(line)).stdout).unwrap()
    };
    let found = run(&line);
    let a = found["parameters"]["offline_a"]["value"].as_f64().unwrap();
    let given = run(&format!("{line} --offline-a {a}"));
    let of = |metrics: &serde_json::Value, field: &str| {
        metrics["methods"]["rmia-offline"][field].clone()
    };
    assert_eq!(of(&found, "auc"), of(&given, "auc"));
    assert_ne!(of(&found, "calibrated"), of(&given, "calibrated"));
}
