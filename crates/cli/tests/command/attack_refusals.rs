//! What `giveaway attack` refuses: what is wrong, in which array and where, and what to do.

use crate::attack::{ARRAYS, example};
use crate::npy::{bools, doubles, npy, singles, whole};
use crate::sandbox::Sandbox;

const MODELS: usize = 6;
const RECORDS: usize = 8;
const ALL: [usize; 2] = [MODELS, RECORDS];

/// Refused, and nothing written.
fn refused(sandbox: &Sandbox, line: &str, code: i32, words: &[&str]) {
    sandbox
        .run(&format!("{line} --out out"))
        .refused(code, words);
    assert!(!sandbox.path("out").exists(), "{line}");
}

#[test]
fn arrays_in_the_wrong_orientation_are_named() {
    let example = example();
    let sandbox = example.sandbox();
    let flat = example.flat(|x| x);
    let transposed: Vec<f64> = (0..RECORDS)
        .flat_map(|r| (0..MODELS).map(move |m| (m, r)))
        .map(|(m, r)| example.phi[m][r])
        .collect();
    sandbox.write("S.npy", doubles(&[RECORDS, MODELS], &transposed));
    let seems = "with 8 records in T.npy it seems to be [records x models]";
    let words = [
        "--signals S.npy",
        "shape [8, 6]",
        seems,
        "[models x records]: S.T in numpy",
    ];
    refused(&sandbox, ARRAYS, 3, &words);
    sandbox.write("S.npy", doubles(&ALL, &flat));
    sandbox.write("M.npy", bools(&[RECORDS, MODELS], &example.inside.concat()));
    refused(
        &sandbox,
        ARRAYS,
        3,
        &["--membership M.npy", seems, "M.T in numpy"],
    );
    // both alike: the records are told by the target
    sandbox.write("S.npy", doubles(&[RECORDS, MODELS], &transposed));
    refused(
        &sandbox,
        ARRAYS,
        3,
        &["--signals S.npy", "[records x models]"],
    );
    sandbox.write("S.npy", doubles(&ALL, &flat));
    sandbox.write("M.npy", bools(&ALL, &example.inside.concat()));
    // a target with as many axes is several models
    sandbox.write("T.npy", doubles(&ALL, &flat));
    refused(
        &sandbox,
        ARRAYS,
        3,
        &["--target T.npy", "6 models", "T[0] in numpy"],
    );
    // a target of other records
    sandbox.write("T.npy", doubles(&[7], &flat[..7]));
    refused(
        &sandbox,
        ARRAYS,
        3,
        &["--target T.npy", "shape [7]", "8 records (S.npy)"],
    );
    sandbox.write("T.npy", doubles(&[RECORDS], &example.target));
    sandbox.write("M.npy", bools(&[5, RECORDS], &example.inside[..5].concat()));
    refused(&sandbox, ARRAYS, 3, &["S.npy has 6 models", "M.npy has 5"]);
}

#[test]
fn classes_and_populations_in_the_wrong_orientation_are_named() {
    let example = example();
    let sandbox = example.sandbox();
    let flat = example.flat(|x| x);
    let outputs: Vec<f64> = (0..3 * MODELS * RECORDS).map(|i| (i % 11) as f64).collect();
    let labels: Vec<i32> = (0..RECORDS).map(|r| i32::from((r % 3) as u8)).collect();
    sandbox.write("y.npy", whole(&labels));
    sandbox.write("T.npy", doubles(&[RECORDS, 3], &outputs[..24]));
    let line = ARRAYS.replace("scaled-logit", "logits") + " --labels y.npy";
    for (shape, seems, remedy) in [
        (
            [3, MODELS, RECORDS],
            "[classes x models x records]",
            "S.transpose(1, 2, 0)",
        ),
        (
            [RECORDS, MODELS, 3],
            "[records x models x classes]",
            "S.transpose(1, 0, 2)",
        ),
        (
            [MODELS, 3, RECORDS],
            "[models x classes x records]",
            "S.transpose(0, 2, 1)",
        ),
    ] {
        sandbox.write("S.npy", doubles(&shape, &outputs));
        refused(
            &sandbox,
            &line,
            3,
            &["--signals S.npy", seems, remedy, "records in y.npy"],
        );
    }
    sandbox.write("S.npy", doubles(&[MODELS, RECORDS, 3], &outputs));
    sandbox.write("T.npy", doubles(&[3, RECORDS], &outputs[..24]));
    refused(
        &sandbox,
        &line,
        3,
        &["--target T.npy", "[classes x records]", "T.T in numpy"],
    );
    sandbox.write("T.npy", doubles(&[RECORDS, 4], &outputs[..32]));
    refused(&sandbox, &line, 3, &["S.npy", "4 classes"]);
    sandbox.write("S.npy", doubles(&ALL, &flat));
    refused(
        &sandbox,
        &line,
        3,
        &[
            "[models x records x classes]",
            "scaled-logit, loss or confidence",
        ],
    );

    // a population
    let sandbox = example.sandbox();
    sandbox.write("PS.npy", doubles(&[5, MODELS], &flat[..30]));
    sandbox.write("PT.npy", doubles(&[5], &flat[..5]));
    let line = format!("{ARRAYS} --population-signals PS.npy --population-target PT.npy");
    refused(
        &sandbox,
        &line,
        3,
        &["--population-signals PS.npy", "[records x models]", "PS.T"],
    );
    let alone = format!("{ARRAYS} --population-signals PS.npy");
    refused(&sandbox, &alone, 2, &["--population-target"]);
}

#[test]
fn values_that_mean_nothing_are_named_with_their_place() {
    let example = example();
    let sandbox = example.sandbox();
    let flat = example.flat(|x| x);
    for (value, word) in [
        (f64::NAN, "NaN"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
    ] {
        for single in [false, true] {
            let mut values = flat.clone();
            values[3 * RECORDS + 5] = value;
            let bytes = if single {
                singles(&ALL, &values)
            } else {
                doubles(&ALL, &values)
            };
            sandbox.write("S.npy", bytes);
            refused(
                &sandbox,
                ARRAYS,
                3,
                &["S.npy", "model 3, record 5", word, "not a finite number"],
            );
        }
        let mut target = example.target.clone();
        target[6] = value;
        sandbox.write("S.npy", doubles(&ALL, &flat));
        sandbox.write("T.npy", doubles(&[RECORDS], &target));
        refused(
            &sandbox,
            ARRAYS,
            3,
            &["T.npy", "record 6 of the target", word],
        );
        sandbox.write("T.npy", doubles(&[RECORDS], &example.target));
    }
    // The first of several, whatever the order in which they are found.
    let mut values = flat.clone();
    (values[11], values[40]) = (f64::NAN, f64::NAN);
    sandbox.write("S.npy", doubles(&ALL, &values));
    refused(&sandbox, ARRAYS, 3, &["model 1, record 3"]);
    let line = ARRAYS.replace("scaled-logit", "loss");
    sandbox.write("S.npy", doubles(&ALL, &flat));
    refused(
        &sandbox,
        &line,
        3,
        &["model 0, record", "never below 0", "--signal scaled-logit"],
    );
    let line = ARRAYS.replace("scaled-logit", "confidence");
    refused(&sandbox, &line, 3, &["model 0, record", "from 0 to 1"]);

    // membership
    for (bytes, word) in [
        (doubles(&ALL, &vec![0.5; 48]), "0.5"),
        (npy("|u1", false, &ALL, &[2; 48]), "2"),
        (doubles(&ALL, &vec![f64::NAN; 48]), "NaN"),
    ] {
        sandbox.write("M.npy", bytes);
        refused(
            &sandbox,
            ARRAYS,
            3,
            &[
                "--membership M.npy, model 0, record 0",
                word,
                "neither 0 nor 1",
            ],
        );
    }
    // its place in Fortran order too
    let mut by_column = vec![0u8; 48];
    by_column[MODELS * 4 + 2] = 7;
    sandbox.write("M.npy", npy("|u1", true, &ALL, &by_column));
    refused(&sandbox, ARRAYS, 3, &["model 2, record 4: membership is 7"]);
    sandbox.write("M.npy", bools(&ALL, &example.inside.concat()));
    sandbox.write(
        "t.npy",
        doubles(&[RECORDS], &[1.0, 0.0, 3.0, 1.0, 0.0, 0.0, 1.0, 1.0]),
    );
    let line = format!("{ARRAYS} --target-membership t.npy");
    refused(
        &sandbox,
        &line,
        3,
        &["--target-membership t.npy, record 2", "is 3"],
    );
    sandbox.write("t.npy", bools(&[9], &[true; 9]));
    refused(
        &sandbox,
        &line,
        3,
        &[
            "--target-membership t.npy",
            "9 elements",
            "8 records (T.npy)",
        ],
    );
}

#[test]
fn outputs_and_labels_that_do_not_fit() {
    let example = example();
    let sandbox = example.sandbox();
    let probabilities = [0.25, 0.5, 0.25].repeat(MODELS * RECORDS);
    let labels: Vec<i32> = (0..RECORDS).map(|r| i32::from((r % 3) as u8)).collect();
    let shape = [MODELS, RECORDS, 3];
    let write = |values: &[f64]| sandbox.write("S.npy", doubles(&shape, values));
    sandbox.write("y.npy", whole(&labels));
    sandbox.write("T.npy", doubles(&[RECORDS, 3], &probabilities[..24]));
    let unlabelled = ARRAYS.replace("scaled-logit", "probabilities");
    let line = format!("{unlabelled} --labels y.npy");
    write(&probabilities);
    assert_eq!(sandbox.run(&line).code, Some(0));
    refused(
        &sandbox,
        &unlabelled,
        2,
        &["--signal probabilities", "--labels FILE"],
    );
    for (value, words) in [
        (1.25, &["class 1", "1.25", "from 0 to 1"][..]),
        (-0.1, &["class 1", "-0.1"]),
        (f64::NAN, &["class 1", "NaN", "not a finite number"]),
        (0.4, &["sum to 0.9"]),
    ] {
        let mut values = probabilities.clone();
        values[(2 * RECORDS + 3) * 3 + 1] = value;
        write(&values);
        let mut all = vec!["--signals S.npy", "model 2, record 3"];
        all.extend(words);
        refused(&sandbox, &line, 3, &all);
    }
    write(&probabilities);
    for (labels, words) in [
        (
            whole(&[0, 1, 2, 3, 0, 1, 2, 0]),
            ["record 3", "the label is 3", "from 0 to 2"],
        ),
        (
            whole(&[0, 1, 2, 0, 0, -1, 2, 0]),
            ["record 5", "the label is -1", "3 classes"],
        ),
        (
            whole(&[0, 1, 2]),
            ["y.npy has 3 elements", "8 records", "(T.npy)"],
        ),
        (
            doubles(&[RECORDS], &[0.0; RECORDS]),
            ["float64", "class numbers", "y.astype(int)"],
        ),
        (
            bools(&[RECORDS, 3], &[true; 24]),
            ["shape [8, 3]", "one-hot", "argmax"],
        ),
        (
            npy("<U1", false, &[RECORDS], &[0; 32]),
            ["text", "numpy.unique", "y.npy"],
        ),
    ] {
        sandbox.write("y.npy", labels);
        refused(&sandbox, &line, 3, &[&["--labels"], &words[..]].concat());
    }
}

#[test]
fn methods_that_cannot_be_served_are_named_with_what_they_need() {
    let example = example();
    let sandbox = example.sandbox();
    for (rest, words) in [
        (
            "--method entropy,loss,gap",
            &[
                "entropy, gap need the output for every class",
                "--signal logits",
            ][..],
        ),
        (
            "--method lt-iqr",
            &["lt-iqr needs the losses of the target's training"],
        ),
        (
            "--method nothing",
            &["no attack called `nothing`", "lira-online"],
        ),
        ("--method loss,all", &["`all` stands for all"]),
        ("--method loss,loss", &["loss is named twice"]),
        ("--gamma 0", &["--gamma", "above 0"]),
        ("--gamma -1", &["--gamma"]),
        ("--a 2", &["--offline-a", "from 0 to 1"]),
        ("--clamp 0.7", &["--clamp", "below 0.5"]),
        ("--clamp NaN", &["--clamp"]),
        (
            "--temperature 2",
            &[
                "--temperature",
                "output for every class",
                "logits or probabilities",
            ],
        ),
        ("--temperature 0", &["--temperature", "above 0"]),
        ("--threads 0", &["--threads"]),
        ("--null z", &["--null"]),
        (
            "--guesses 4",
            &[
                "--guesses",
                "independent fair coins",
                "balanced",
                "--canaries FILE",
            ],
        ),
        (
            "--claimed-epsilon 4",
            &["--claimed-epsilon", "--canaries FILE"],
        ),
        ("--canaries M.npy", &["--canaries", "--guesses N"]),
        (
            "--canaries M.npy --guesses 2",
            &["--canaries", "--target-membership FILE"],
        ),
    ] {
        refused(&sandbox, &format!("{ARRAYS} {rest}"), 2, words);
    }
    // Records enough for none of its scores: wrong usage where it was named, else a note.
    sandbox.write("M.npy", bools(&ALL, &[true; 48]));
    let line = format!("{ARRAYS} --method lira-online");
    refused(
        &sandbox,
        &line,
        2,
        &[
            "--method",
            "lira-online can score no record",
            "OUT for more than 0",
        ],
    );
    let made = sandbox.run(ARRAYS);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    assert!(
        made.stderr.contains("lira-online can score no record"),
        "{}",
        made.stderr
    );
}

#[test]
fn files_that_are_no_arrays() {
    let example = example();
    let sandbox = example.sandbox();
    let whole_file = std::fs::read(sandbox.path("S.npy")).unwrap();
    let lying = doubles(&[MODELS, RECORDS], &example.flat(|x| x));
    let lie = |from: &str, to: &str| {
        let text: Vec<u8> = lying.clone();
        let at = text
            .windows(from.len())
            .position(|w| w == from.as_bytes())
            .unwrap();
        [&text[..at], to.as_bytes(), &text[at + from.len()..]].concat()
    };
    for (bytes, words) in [
        (Vec::new(), ["the file is empty", "numpy.save"]),
        (b"1,2,3\n".to_vec(), ["not an NPY file", "numpy.save"]),
        (b"PK\x03\x04rest".to_vec(), ["NPZ archive", "numpy.save"]),
        (whole_file[..9].to_vec(), ["cut off", "numpy.save"]),
        (whole_file[..100].to_vec(), ["cut off", "numpy.save"]),
        (
            whole_file[..whole_file.len() - 1].to_vec(),
            ["does not agree with its", "numpy.save"],
        ),
        (
            [&whole_file[..], &[0]].concat(),
            ["does not agree with its", "numpy.save"],
        ),
        (
            lie("(6, 8,)", "(6, 99999999999999999999)"),
            ["damaged", "numpy.save"],
        ),
        (
            lie("(6, 8,)", "(4611686018427387904, 8,)"),
            ["does not agree", "numpy.save"],
        ),
        (lie("(6, 8,)", "(-6, 8,)"), ["damaged", "numpy.save"]),
        (lie("'<f8'", "'|O'"), ["Python objects", "astype"]),
        (lie("'<f8'", "'<c16'"), ["`<c16` cannot be read", "astype"]),
        (lie("'<f8'", "[('a', '<f8')]"), ["structured", "save"]),
        (
            npy("<f8", false, &[], &[0; 8]),
            ["shape []", "[models x records]"],
        ),
        (
            npy("<f8", false, &[0, 0], &[]),
            ["S.npy has shape [0, 0]", "8 records"],
        ),
        (
            npy("<f8", false, &[9_223_372_036_854_775_807, 0], &[]),
            ["S.npy has shape", "8 records"],
        ),
    ] {
        sandbox.write("S.npy", bytes);
        refused(&sandbox, ARRAYS, 3, &[&["--signals"], &words[..]].concat());
    }
    sandbox.write("S.npy", &whole_file);
    refused(
        &sandbox,
        &ARRAYS.replace("T.npy", "none.npy"),
        3,
        &["--target", "none.npy", "check the path"],
    );
    refused(
        &sandbox,
        &ARRAYS.replace("T.npy", "."),
        3,
        &["--target", "not a directory"],
    );
    sandbox.write("T.npy", doubles(&[0], &[]));
    refused(&sandbox, ARRAYS, 3, &["--target T.npy", "shape [0]"]);
    sandbox.write("T.npy", doubles(&[RECORDS], &example.target));
    // a result that cannot be written
    sandbox.write("file", "");
    sandbox
        .run(&format!("{ARRAYS} --method loss --out file/below"))
        .refused(3, &["--out", "file/below"]);
    sandbox.run("attack").refused(2, &["--signals"]);
}

/// Bounds on epsilon from canaries: the numbers, and what is said of coins that are none.
#[test]
fn canaries_bound_epsilon() {
    let sandbox = Sandbox::new();
    let records = 60;
    // The 40 canaries with the highest and lowest scores are guessed right, 2 wrong.
    let member = |r: usize| (r < 30) != (r == 0 || r == 59);
    let target: Vec<f64> = (0..records).map(|r| -(r as f64) / 10.0).collect();
    let references: Vec<f64> = target.iter().map(|x| x * 0.5 - 1.0).collect();
    let members: Vec<bool> = (0..records).map(member).collect();
    let mut canaries = vec![true; records];
    (canaries[30], canaries[31], canaries[33]) = (false, false, false);
    sandbox.write("S.npy", doubles(&[1, records], &references));
    sandbox.write("M.npy", bools(&[1, records], &vec![false; records]));
    sandbox.write("T.npy", doubles(&[records], &target));
    sandbox.write("t.npy", bools(&[records], &members));
    sandbox.write("c.npy", bools(&[records], &canaries));
    let line = format!(
        "{ARRAYS} --method loss --target-membership t.npy --canaries c.npy --guesses 40 \
         --delta 0 --claimed-epsilon 1"
    );
    let made = sandbox.run(&format!("{line} --json"));
    made.succeeded();
    let metrics: serde_json::Value = serde_json::from_str(&made.stdout).unwrap();
    assert_eq!(metrics["canaries"]["included"], 30);
    let bound = &metrics["methods"]["loss"]["canaries"];
    assert_eq!(
        (
            bound["canaries"].as_u64(),
            bound["guesses"].as_u64(),
            bound["correct"].as_u64()
        ),
        (Some(57), Some(40), Some(38))
    );
    // δ = 0: the ε at which 38 or more of 40 right guesses have probability 5 %
    let epsilon = bound["epsilon_lower_bound"].as_f64().unwrap();
    let q = 1.0 / (1.0 + (-epsilon).exp());
    let tail = q.powi(40) + 40.0 * q.powi(39) * (1.0 - q) + 780.0 * q.powi(38) * (1.0 - q).powi(2);
    assert!((tail - 0.05).abs() < 1e-9, "{epsilon} {tail}");
    assert_eq!(bound["claim"], "contradicted");
    let text = sandbox.run(&line);
    assert!(
        text.stdout
            .contains("38 of 40 guesses right; the claim ε = 1 is contradicted"),
        "{}",
        text.stdout
    );

    // Exactly half of all: that is how balanced designs look.
    sandbox.write("c.npy", bools(&[records], &vec![true; records]));
    let made = sandbox.run(&line);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    assert!(
        made.stderr.contains("exactly half of the 60 canaries"),
        "{}",
        made.stderr
    );
    refused(
        &sandbox,
        &line.replace("40", "61"),
        2,
        &["--guesses", "61 guesses about 60 canaries"],
    );
    refused(
        &sandbox,
        &line.replace("--guesses 40", "--guesses 0"),
        2,
        &["--guesses"],
    );
    refused(
        &sandbox,
        &line.replace("--delta 0", "--delta 1"),
        2,
        &["--delta", "1e-5"],
    );
    sandbox.write("c.npy", bools(&[records], &vec![false; records]));
    refused(&sandbox, &line, 3, &["no record is a canary"]);
}
