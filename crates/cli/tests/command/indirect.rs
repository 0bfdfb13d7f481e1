//! `giveaway audit --indirect`: what it prints, leaves behind, refuses, and survives.

use crate::sandbox::{Sandbox, UNFINISHED, files};

const INDIRECT: &str = "breast-cancer --models 32 --epochs 4 --attacks none --count 4 --indirect \
    --indirect-queries 10 --indirect-candidates 80 --run kept";

#[test]
fn the_terminal_the_report_and_the_arrays_agree() {
    let sandbox = Sandbox::new();
    let done = sandbox.audit(INDIRECT);
    done.succeeded();
    assert!(
        done.stdout.contains("INDIRECT INFERENCE"),
        "{}",
        done.stdout
    );
    assert!(
        done.stdout
            .contains("no query is nearer to its record than")
    );
    let report = sandbox.written_report("kept");
    let section = &report["indirect"];
    let records = section["records"].as_array().unwrap();
    assert!(!records.is_empty());
    assert!(sandbox.path("kept/models/target.safetensors").exists());
    // The command of the guide comes to the same p-values by Kost's method and by ranks.
    let arrays = "--signal logits --signals kept/indirect/signals.npy --target kept/indirect/target.npy \
        --membership kept/indirect/membership.npy --labels kept/indirect/labels.npy \
        --query-record kept/indirect/query_record.npy --query-tail kept/indirect/query_tail.npy";
    let attacked = sandbox.run(&format!(
        "attack --method gmia-indirect {arrays} --combination kost --json"
    ));
    attacked.succeeded();
    let scores: serde_json::Value = serde_json::from_str(&attacked.stdout).unwrap();
    let rows = text_of(&scores);
    for record in records {
        let of = |test: &str| {
            let named = record["p_by_test"].as_array().unwrap().iter();
            named.clone().find(|n| n["test"] == test).unwrap()["p"]
                .as_f64()
                .unwrap()
        };
        for p in [of("kost"), of("empirical")] {
            assert!(
                // An audit keeps signals as float32.
                rows.iter().any(|found| (found / p - 1.0).abs() < 1e-5),
                "{p} is not among {rows:?}"
            );
        }
    }
    let page = std::fs::read_to_string(sandbox.path("kept/report.html")).unwrap();
    assert!(page.contains("id=\"indirect\""), "the page has its section");
}

/// All numbers of a document.
fn text_of(value: &serde_json::Value) -> Vec<f64> {
    match value {
        serde_json::Value::Number(number) => number.as_f64().into_iter().collect(),
        serde_json::Value::Array(items) => items.iter().flat_map(text_of).collect(),
        serde_json::Value::Object(items) => items.values().flat_map(text_of).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn killed_while_it_builds_it_ends_the_same() {
    let whole = Sandbox::new();
    whole.audit(INDIRECT).succeeded();
    let expected = whole.contents("kept");
    let sandbox = Sandbox::new();
    for limit in [1, 2, 3] {
        let mut child = sandbox
            .command(&crate::sandbox::quick(INDIRECT))
            .spawn()
            .unwrap();
        // As soon as so many records have their queries, or it has ended.
        while child.try_wait().unwrap().is_none() {
            let units = std::fs::read_dir(sandbox.path("kept/indirect/units"));
            if units.map_or(0, Iterator::count) >= limit {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        let _ = child.kill();
        child.wait().unwrap();
    }
    sandbox.audit(INDIRECT).succeeded();
    assert!(expected == sandbox.contents("kept"), "another result");
    let left = files(&sandbox.path("kept")).into_iter();
    let unfinished = |path: &std::path::PathBuf| path.to_string_lossy().contains(UNFINISHED);
    assert_eq!(left.filter(unfinished).count(), 0);
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_trained() {
    let sandbox = Sandbox::new();
    for (options, says) in [
        ("--indirect-records 5", "--indirect"),
        ("--indirect --indirect-records 0", "--indirect-records"),
        ("--indirect --indirect-queries 0", "--indirect-queries"),
        (
            "--indirect --indirect-candidates 0",
            "--indirect-candidates",
        ),
        ("--indirect --indirect-distance 0", "--indirect-distance"),
        ("--indirect --indirect-distance -1", "--indirect-distance"),
        ("--indirect --indirect-distance nan", "--indirect-distance"),
        (
            "--indirect --indirect-pairs 1 --indirect-build paired",
            "--indirect-pairs",
        ),
        (
            "--indirect --indirect-pairs 8 --indirect-build balanced",
            "--indirect-pairs",
        ),
        (
            "--indirect --indirect-without nothing",
            "--indirect-without",
        ),
        (
            "--indirect --indirect-answers none.csv",
            "--indirect-answers",
        ),
    ] {
        let done = sandbox.audit(&format!("breast-cancer {options}"));
        assert_eq!(done.code, Some(2), "{}: {}", done.line, done.stderr);
        assert!(done.stderr.contains(says), "{}: {}", done.line, done.stderr);
        sandbox.holds_no_result();
    }
}
