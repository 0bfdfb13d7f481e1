//! Targets given as a file of their outputs, and the ways to train reference models.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

const RECORDS: usize = 200;

/// Two features, three kinds and two classes, without structure: what a target knows of it,
/// it knows by heart.
fn with_table() -> Sandbox {
    let sandbox = Sandbox::new();
    let mut text = "id,a,b,kind,y\n".to_owned();
    for i in 0..RECORDS {
        let (a, b) = ((i * 37) % 101, (i * i * 13) % 89);
        let kind = ["x", "y", "z"][i % 3];
        writeln!(text, "r{i},{a},{b}.25,{kind},{}", ["no", "yes"][class(i)]).unwrap();
    }
    sandbox.write("table.csv", text);
    sandbox
}

const TABLE: &str = "table.csv --label y --id id";

fn class(record: usize) -> usize {
    usize::from((record * 7 + record / 5).is_multiple_of(3))
}

/// The target's probability of class 1: sure of members, not of others.
fn probability(record: usize, members: usize) -> f64 {
    let wobble = ((record * 29) % 83) as f64 / 397.0;
    let of_own = if record < members {
        0.75 + wobble
    } else {
        0.4 + wobble
    };
    if class(record) == 1 {
        of_own
    } else {
        1.0 - of_own
    }
}

/// Writes the outputs that `row` makes of each probability.
fn write_outputs(sandbox: &Sandbox, members: usize, row: impl Fn(f64) -> String) {
    let text: String = (0..RECORDS).fold(String::new(), |text, record| {
        text + &row(probability(record, members)) + "\n"
    });
    sandbox.write("outputs.csv", text);
}

fn write_members(sandbox: &Sandbox, members: usize) {
    let text = (0..members).fold("id\n".to_owned(), |text, i| text + &format!("r{i}\n"));
    sandbox.write("members.txt", text);
}

const GIVEN: &str = "--target-outputs outputs.csv --members members.txt";

#[test]
fn a_target_with_another_share_of_the_pool() {
    let sandbox = with_table();
    write_outputs(&sandbox, 60, |p| format!("{},{}", 1.0 - p, p));
    write_members(&sandbox, 60);
    let report = sandbox.report(&format!("{TABLE} {GIVEN}"));
    assert_eq!(report["reference"]["design"], "share");
    assert_eq!(report["reference"]["training_units"], 60);
    assert_eq!(report["target"]["trained_here"], false);
    assert_eq!(report["target"]["training_units"], 60);
    assert_eq!(
        report["target"]["channel"],
        json!({ "kind": "probabilities", "decimals": null })
    );
    assert_eq!(report["target"]["accuracy"]["train"], 1.0);
    let all = &report["on_target"][0];
    assert_eq!(
        (&all["members"], &all["non_members"]),
        (&json!(60), &json!(140))
    );
    // it is a target that tells: nobody could miss it
    assert!(
        all["ranking"]["auc"]["value"].as_f64().unwrap() > 0.9,
        "{}",
        all["ranking"]
    );

    // the design can be asked for all the same
    let halves = sandbox.report(&format!("{TABLE} {GIVEN} --design halves"));
    assert_eq!(halves["reference"]["design"], "halves");
    // and half of the pool has halves by itself
    write_members(&sandbox, 100);
    let half = sandbox.report(&format!("{TABLE} {GIVEN}"));
    assert_eq!(half["reference"]["design"], "halves");
}

/// The command line has the last word: what a configuration says of another target, and of how
/// it is asked, does not count.
#[test]
fn a_target_that_is_typed_takes_the_place_of_the_configuration_s() {
    let sandbox = with_table();
    write_outputs(&sandbox, 100, |p| format!("{},{}", 1.0 - p, p));
    write_members(&sandbox, 100);
    sandbox.write(
        "giveaway.toml",
        "[target]\nmax-queries = 50\nretries = 1\nmembers = \"members.txt\"\n\
         [target.command]\ncommand = \"exit 9\"\n",
    );
    let report = sandbox.report(&format!("{TABLE} --target-outputs outputs.csv"));
    assert_eq!(report["target"]["training_units"], 100);
    assert!(report["target"]["asked"].is_null(), "{}", report["target"]);
    // two that are typed are one too many
    sandbox
        .audit(&format!("{TABLE} {GIVEN} --target-command false"))
        .refused(2, &["names a second target"]);
}

#[test]
fn what_the_target_s_interface_does_is_found_out() {
    let sandbox = with_table();
    write_members(&sandbox, 100);
    let channel = |row: &dyn Fn(f64) -> String| -> Value {
        write_outputs(&sandbox, 100, row);
        let report = sandbox.report(&format!("{TABLE} {GIVEN}"));
        report["target"]["channel"].clone()
    };
    assert_eq!(
        channel(&|p| format!("{:.3},{:.3}", 1.0 - p, p)),
        json!({ "kind": "probabilities", "decimals": 3 })
    );
    assert_eq!(
        channel(&|p| format!("{},{}", (1.0 - p).ln() + 0.3, p.ln() + 0.3)),
        json!({ "kind": "logits", "decimals": null })
    );
    assert_eq!(
        channel(&|p| format!("{p}")),
        json!({ "kind": "probabilities", "decimals": null })
    );
    assert_eq!(
        channel(&|p| format!("{p:.2}")),
        json!({ "kind": "probabilities", "decimals": 2 })
    );
}

#[test]
fn columns_named_as_the_classes_are_put_in_order() {
    let sandbox = with_table();
    write_members(&sandbox, 100);
    let records = |header: &str, row: &dyn Fn(f64) -> String, run: &str| {
        write_outputs(&sandbox, 100, row);
        let rows = std::fs::read_to_string(sandbox.path("outputs.csv")).unwrap();
        sandbox.write("outputs.csv", format!("{header}\n{rows}"));
        sandbox
            .audit(&format!("{TABLE} {GIVEN} --run {run}"))
            .succeeded();
        std::fs::read(sandbox.path(run).join("records.parquet")).unwrap()
    };
    let plain = records("c0,c1", &|p| format!("{},{}", 1.0 - p, p), "plain");
    let named = records("no,yes", &|p| format!("{},{}", 1.0 - p, p), "named");
    let turned = records("yes,no", &|p| format!("{},{}", p, 1.0 - p), "turned");
    let wrong = records("c0,c1", &|p| format!("{},{}", p, 1.0 - p), "wrong");
    assert!(plain == named && plain == turned);
    assert!(plain != wrong, "names that are no classes change nothing");
}

#[test]
fn without_members_only_the_recipe_is_evaluated() {
    let sandbox = with_table();
    write_outputs(&sandbox, 100, |p| format!("{},{}", 1.0 - p, p));
    let report = sandbox.report(&format!("{TABLE} --target-outputs outputs.csv"));
    assert_eq!(report["on_target"], json!([]));
    assert_eq!(report["target"]["training_units"], Value::Null);
    assert_eq!(
        report["target"]["accuracy"],
        json!({ "train": null, "test": null })
    );
    assert!(!report["leave_one_out"].as_array().unwrap().is_empty());
    assert!(
        report["notes"].to_string().contains("--members"),
        "{}",
        report["notes"]
    );
    for unit in report["exposed"].as_array().unwrap() {
        assert_eq!(unit["member"], Value::Null);
        assert!(unit["p"].is_number());
    }
    sandbox
        .audit(&format!("{TABLE} --target-outputs outputs.csv"))
        .succeeded();
}

#[test]
fn with_members_only_false_accusations_cannot_be_counted() {
    let sandbox = with_table();
    write_outputs(&sandbox, RECORDS, |p| format!("{},{}", 1.0 - p, p));
    write_members(&sandbox, RECORDS);
    let report = sandbox.report(&format!("{TABLE} {GIVEN}"));
    assert_eq!(report["reference"]["design"], "share");
    assert!(
        report["notes"]
            .to_string()
            .contains("no non-member is known"),
        "{}",
        report["notes"]
    );
    for evaluation in report["on_target"].as_array().unwrap() {
        assert_eq!(evaluation["non_members"], 0);
        assert_eq!(evaluation["ranking"]["auc"]["value"], Value::Null);
        for decision in evaluation["decisions"].as_array().unwrap() {
            assert_eq!(decision["false_positive_rate"]["value"], Value::Null);
            assert_eq!(decision["precision"]["value"], Value::Null);
        }
    }
}

#[test]
fn designs_that_are_asked_for() {
    let sandbox = with_table();
    for design in ["halves", "share", "subsample", "bootstrap"] {
        let report = sandbox.report(&format!("{TABLE} --design {design}"));
        assert_eq!(report["reference"]["design"], design);
        assert_eq!(report["reference"]["training_units"], 100);
    }
}

#[test]
fn reference_models_of_another_file() {
    let sandbox = with_table();
    let whole = std::fs::read_to_string(sandbox.path("table.csv")).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let part = |rows: &[&str]| format!("{}\n{}\n", lines[0], rows.join("\n"));
    sandbox.write("audited.csv", part(&lines[1..81]));
    sandbox.write("others.csv", part(&lines[81..]));
    for (options, design) in [("", "subsample"), ("--design bootstrap", "bootstrap")] {
        let report = sandbox.report(&format!(
            "audited.csv --label y --id id --reference others.csv {options}"
        ));
        assert_eq!(report["reference"]["design"], design);
        assert_eq!(report["data"]["records"], 80);
        for unit in report["exposed"].as_array().unwrap() {
            assert_eq!(unit["in_loss"], Value::Null, "no reference model knows it");
        }
    }
}

#[test]
fn ways_to_train() {
    let sandbox = with_table();
    let mut seen = Vec::new();
    for options in [
        "--hidden none",
        "--hidden 6",
        "--hidden 6,5 --activation tanh",
        "--hidden 6 --dropout 0.3",
        "--hidden 6 --label-smoothing 0.2",
        "--hidden 6 --l2 0.1",
        "--hidden 6 --optimiser sgd --learning-rate 0.1",
        "--hidden 6 --optimiser sgd --momentum 0.9 --learning-rate 0.1",
        "--hidden 6 --schedule cosine",
        "--hidden 6 --schedule step:1:0.1",
        "--hidden 6 --batch-size 7",
        "--hidden 6 --epochs 9",
    ] {
        let run = format!("run-{}", seen.len());
        sandbox
            .audit(&format!("{TABLE} {options} --run {run}"))
            .succeeded();
        let outputs = std::fs::read(sandbox.path(&run).join("signals/000.npy")).unwrap();
        assert!(!seen.contains(&outputs), "{options} changes nothing");
        seen.push(outputs);
    }
}

#[test]
fn early_stopping_sets_records_aside() {
    let sandbox = with_table();
    let report = sandbox.report(&format!(
        "{TABLE} --patience 1 --validation-share 0.25 --epochs 30 --learning-rate 0.05"
    ));
    assert_eq!(report["data"]["validation_units"], 50);
    assert_eq!(report["target"]["training_units"], 75);
}

#[test]
fn every_selection_and_null() {
    let sandbox = with_table();
    for (options, selection, selected) in [
        ("--select all", "all", Some(200)),
        ("--select out-loss --count 7", "out-loss", Some(7)),
        ("--select influence --top 5%", "influence", Some(10)),
        ("--select neighbours --count 9", "neighbours", Some(9)),
        ("--select neighbours --alpha 0.05", "neighbours", None),
    ] {
        let report = sandbox.report(&format!("{TABLE} {options}"));
        assert_eq!(report["test"]["selection"], selection, "{options}");
        if let Some(selected) = selected {
            assert_eq!(report["test"]["selected"], selected, "{options}");
        }
    }
    for null in ["t", "ecdf", "pchip"] {
        let report = sandbox.report(&format!("{TABLE} --null {null}"));
        assert_eq!(report["test"]["null"], null);
    }
}
