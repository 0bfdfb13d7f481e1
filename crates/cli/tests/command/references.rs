//! A second file for the reference models: other classes, the same persons.

use std::fmt::Write;

use crate::sandbox::Sandbox;

/// Rows of class `names[i % names.len()]`, with two features that tell the classes apart.
fn table(names: &[&str], rows: usize, persons: usize, offset: usize) -> String {
    let mut text = "person,first,second,y\n".to_owned();
    for row in 0..rows {
        let class = names[row % names.len()];
        let level = f64::from(class.as_bytes()[0]) - 97.0;
        let jitter = ((row + offset) * 7919 % 1000) as f64 / 500.0;
        let _ = writeln!(
            text,
            "p{},{},{},{class}",
            (row + offset) % persons,
            3.0 * level + jitter,
            jitter * jitter - level
        );
    }
    text
}

/// Labels go by the reference's classes, of which the audited file may lack the first.
#[test]
fn reference_data_may_know_more_classes() {
    let sandbox = Sandbox::new();
    sandbox.write("audited.csv", table(&["b", "c", "d"], 90, 90, 0));
    sandbox.write(
        "reference.csv",
        table(&["a", "b", "c", "d"], 240, 240, 1000),
    );
    let line = "audited.csv --label y --drop person --reference reference.csv --epochs 60 \
                --learning-rate 0.05 --models 16 --run run";
    let report = sandbox.report(line);
    assert_eq!(
        report["data"]["classes"],
        serde_json::json!(["a", "b", "c", "d"])
    );
    // Target and references agree on what is what: both are right nearly always.
    let target = report["target"]["accuracy"]["test"].as_f64().unwrap();
    let references = report["reference"]["test_accuracy"]["mean"]
        .as_f64()
        .unwrap();
    assert!(target > 0.9 && references > 0.9, "{target} {references}");

    // A given target answers with all the classes, named in any order.
    let mut outputs = "d,c,b,a\n".to_owned();
    for row in 0..90 {
        outputs.push_str([".02,.03,.9,.05\n", ".03,.9,.02,.05\n", ".9,.03,.02,.05\n"][row % 3]);
    }
    sandbox.write("outputs.csv", &outputs);
    let members: String = (0..45).map(|row| format!("{row}\n")).collect();
    sandbox.write("members.txt", members);
    let given = format!(
        "{} --target-outputs outputs.csv --members members.txt",
        line.replace("run run", "run given")
    );
    let report = sandbox.report(&given);
    assert_eq!(report["target"]["accuracy"]["test"], 1.0);
    sandbox.write(
        "short.csv",
        outputs.replace(",.05\n", "\n").replace("d,c,b,a", "d,c,b"),
    );
    let short = given
        .replace("outputs.csv", "short.csv")
        .replace("run given", "run short");
    sandbox
        .audit(&short)
        .refused(3, &["3 columns", "4 classes", "a, b, c, d"]);
}

#[test]
fn persons_of_both_files_do_not_train_the_references() {
    let sandbox = Sandbox::new();
    sandbox.write("audited.csv", table(&["b", "c"], 120, 40, 0));
    sandbox.write("reference.csv", table(&["b", "c"], 400, 100, 1));
    let report =
        sandbox.report("audited.csv --label y --group person --reference reference.csv --run run");
    let notes = report["notes"].to_string();
    assert!(
        notes.contains("40 groups are in the audited and in the reference file"),
        "{notes}"
    );
}
