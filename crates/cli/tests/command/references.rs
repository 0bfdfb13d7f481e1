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

/// The numbers from 0, one per line.
fn numbers(count: usize) -> String {
    let numbers: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    numbers.join("\n")
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
    sandbox.write("members.txt", numbers(45));
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
        .refused(3, &["no column is named like a"]);
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

/// pandas keeps the labels of rows after a shuffle: `X_train.index` names labels, not rows.
#[test]
fn labels_of_a_shuffled_index_are_not_taken_for_row_numbers() {
    let sandbox = Sandbox::new();
    let mut text = ",first,second,y\n".to_owned();
    let mut outputs = String::new();
    for row in 0..60 {
        let label = (row * 7 + 3) % 60;
        let _ = writeln!(text, "{label},{},{},{}", row % 11, row % 7, row % 2);
        outputs.push_str(if row % 2 == 0 {
            "2.1,-0.3\n"
        } else {
            "-1.2,1.7\n"
        });
    }
    sandbox.write("shuffled.csv", &text);
    sandbox.write("outputs.csv", outputs);
    sandbox.write("members.txt", numbers(30));
    let line =
        "shuffled.csv --label y --target-outputs outputs.csv --members members.txt --run run";
    sandbox
        .audit(line)
        .refused(3, &["members.txt", "row numbers or labels", "--id"]);
    let named = text.replacen(",first", "label,first", 1);
    sandbox.write("shuffled.csv", named);
    sandbox.audit(&format!("{line} --id label")).succeeded();
}
