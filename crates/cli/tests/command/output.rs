//! What is printed and written, by whom it can be read, and the exit code.

use serde_json::Value;

use crate::sandbox::{Sandbox, files, finished, quick};

#[test]
fn json_is_the_report_that_is_written() {
    let sandbox = Sandbox::new();
    let printed = sandbox.report("breast-cancer --run run");
    let text = std::fs::read_to_string(sandbox.path("run/report.json")).unwrap();
    assert_eq!(printed, serde_json::from_str::<Value>(&text).unwrap());
    assert_eq!(printed["format_version"], 1);
    assert_eq!(printed["data"]["records"], 569);
    assert_eq!(printed["reference"]["models"], 12);
    assert!(printed["exposed"].as_array().is_some_and(|e| e.len() == 6));
    assert!(
        printed["checks"]
            .as_array()
            .is_some_and(|checks| checks.len() >= 3)
    );
}

#[test]
fn the_summary_says_what_was_audited_found_and_written() {
    let sandbox = Sandbox::new();
    let done = sandbox.audit("breast-cancer --run run");
    done.succeeded();
    for part in [
        "569 records, 30 features, 2 classes",
        "12 models",
        "accuracy",
        "influence",
        "This model gives away",
        "This recipe gives away",
        "false discovery rate of 5",
        // in models as few and small as these nobody may be accused
        "wrong",
        "MOST EXPOSED",
        "OUT loss",
        "run/records.parquet",
        "run/report.json",
    ] {
        // lines are wrapped, words are not
        let flat = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(part), "no {part:?} in\n{}", done.stdout);
    }
}

#[test]
fn without_a_directory_the_same_command_finds_its_run_again() {
    let sandbox = Sandbox::new();
    sandbox.audit("breast-cancer").succeeded();
    let runs: Vec<_> = std::fs::read_dir(sandbox.path("runs")).unwrap().collect();
    assert_eq!(runs.len(), 1);
    let name = runs[0].as_ref().unwrap().file_name();
    let name = name.to_string_lossy();
    assert!(name.starts_with("breast-cancer-"), "{name}");
    let before = sandbox.contents("runs");
    sandbox.audit("breast-cancer").succeeded();
    assert!(before == sandbox.contents("runs"));
    sandbox.audit("breast-cancer --seed 3").succeeded();
    assert_eq!(std::fs::read_dir(sandbox.path("runs")).unwrap().count(), 2);
}

#[test]
fn fail_on_sets_the_exit_code_and_prints_the_result_all_the_same() {
    let sandbox = Sandbox::new();
    let plain = sandbox.audit("breast-cancer --run run");
    plain.succeeded();

    let met = sandbox.audit("breast-cancer --run run --fail-on records>=0");
    assert_eq!(met.code, Some(10), "{}", met.stderr);
    assert_eq!(met.stdout, plain.stdout);
    assert!(met.stderr.contains("records>=0"), "{}", met.stderr);

    let unmet = sandbox.audit("breast-cancer --run run --fail-on records>100000");
    unmet.succeeded();
    assert_eq!(unmet.stdout, plain.stdout);

    let one_of_two = sandbox
        .audit("breast-cancer --run run --json --fail-on records>100000 --fail-on recipe.auc>=0");
    assert_eq!(one_of_two.code, Some(10), "{}", one_of_two.stderr);
    assert!(one_of_two.stderr.contains("recipe.auc>=0"));
    assert!(!one_of_two.stderr.contains("records"));
    serde_json::from_str::<Value>(&one_of_two.stdout).unwrap();
}

#[test]
fn a_figure_that_this_audit_does_not_have_is_wrong_usage() {
    let sandbox = Sandbox::new();
    // 285 non-members cannot show one in ten thousand
    let done = sandbox.audit("breast-cancer --fail-on tpr@0.0001>0");
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    for part in [
        "error: ",
        "--fail-on tpr@0.0001>0",
        "not available",
        "1/f non-members",
    ] {
        assert!(done.stderr.contains(part), "{}", done.stderr);
    }
}

#[test]
fn a_condition_that_holds_weighs_more_than_one_that_cannot_be_judged() {
    let sandbox = Sandbox::new();
    let missing = "--fail-on tpr@0.0001>0";
    for conditions in [
        format!("{missing} --fail-on records>=0"),
        format!("--fail-on records>=0 {missing}"),
    ] {
        let done = sandbox.audit(&format!("breast-cancer --run run {conditions}"));
        assert_eq!(done.code, Some(10), "{conditions}\n{}", done.stderr);
        for part in ["failed on records>=0", missing, "not available"] {
            assert!(done.stderr.contains(part), "{}", done.stderr);
        }
    }
    let done = sandbox.audit(&format!(
        "breast-cancer --run run {missing} --fail-on records<0 --fail-on recipe.tpr@0.0001>0.5"
    ));
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    for part in [missing, "--fail-on recipe.tpr@0.0001>0.5"] {
        assert!(done.stderr.contains(part), "{}", done.stderr);
    }
    assert!(!done.stderr.contains("failed on"), "{}", done.stderr);
}

#[cfg(unix)]
#[test]
fn a_run_can_be_read_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let sandbox = Sandbox::new();
    sandbox.audit("breast-cancer --run deep/run").succeeded();
    assert_eq!(mode(&sandbox.path("deep/run")), 0o700);
    assert_eq!(mode(&sandbox.path("deep/run/signals")), 0o700);
    let written = files(&sandbox.path("deep/run"));
    assert!(written.len() > 20);
    for path in written {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn the_configuration_of_a_run_repeats_it() {
    let sandbox = Sandbox::new();
    sandbox
        .audit(
            "breast-cancer --run run --seed 11 --hidden 4 --activation tanh --dropout 0.1 --epochs 3 \
             --batch-size 50 --optimiser sgd --momentum 0.9 --learning-rate 0.05 --l2 0.001 \
             --label-smoothing 0.1 --schedule step:2:0.5 --patience 2 --validation-share 0.2 \
             --select out-loss --count 20 --null pchip --fdr 0.1 --duplicates report",
        )
        .succeeded();
    sandbox
        .run("audit --config run/run.toml --run again --threads 2")
        .succeeded();
    let [first, again] = ["run", "again"].map(|run| sandbox.contents(run));
    assert!(first.keys().eq(again.keys()));
    for (name, content) in &first {
        assert!(*content == again[name], "{} differs", name.display());
    }
    // and an option beside it wins
    let other = sandbox.run("audit --config run/run.toml --run other --seed 12 --json");
    other.succeeded();
    let report: Value = serde_json::from_str(&other.stdout).unwrap();
    assert_eq!(report["seed"], 12);
    assert_eq!(report["test"]["selection"], "out-loss");
}

#[test]
fn records_are_not_kept_where_they_shall_not_be() {
    let sandbox = Sandbox::new();
    sandbox.audit("breast-cancer --run kept").succeeded();
    assert!(sandbox.path("kept/data.parquet").exists());
    sandbox
        .audit("breast-cancer --run run --no-records")
        .succeeded();
    assert!(!sandbox.path("run/data.parquet").exists());
    assert!(sandbox.path("run/records.parquet").exists());
    // nor where an earlier audit kept them
    sandbox
        .audit("breast-cancer --run kept --no-records")
        .succeeded();
    assert!(!sandbox.path("kept/data.parquet").exists());
}

#[test]
fn another_test_of_the_same_models_replaces_the_result_whole() {
    let sandbox = Sandbox::new();
    sandbox.audit("breast-cancer --run run").succeeded();
    let models = sandbox.contents("run");
    let other = sandbox.report("breast-cancer --run run --null pchip --select out-loss");
    assert_eq!(other["test"]["null"], "pchip");
    assert_eq!(other, sandbox.written_report("run"));
    for (name, content) in sandbox.contents("run") {
        let of_the_test = [
            "neighbours.parquet",
            "records.parquet",
            "report.html",
            "report.json",
            "run.toml",
        ];
        let is_of_the_test = of_the_test.iter().any(|file| name.ends_with(file));
        assert_eq!(
            models[&name] != content,
            is_of_the_test,
            "{}",
            name.display()
        );
    }
    sandbox.audit("breast-cancer --run run").succeeded();
    assert!(models == sandbox.contents("run"));
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let sandbox = Sandbox::new();
    let program = env!("CARGO_BIN_EXE_giveaway");
    for (line, reader) in [
        (quick("breast-cancer --run run"), "head -n 1"),
        (quick("breast-cancer --run run --json"), "true"),
        ("data".to_owned(), "true"),
    ] {
        // the exit code of the first command, whatever the second one does
        let script =
            format!("{{ sleep 0.1; '{program}' {line}; echo \"code $?\" >&2; }} | {reader}");
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &script]).current_dir(sandbox.path("."));
        let done = finished(&line, shell.output().unwrap());
        assert_eq!(done.stderr, "code 0\n", "{line}");
    }
    assert!(sandbox.path("run/report.json").exists());
}

#[test]
fn help_and_version_go_to_standard_output() {
    let sandbox = Sandbox::new();
    for line in ["--help", "audit --help", "--version"] {
        sandbox.run(line).succeeded();
    }
    let help = sandbox.run("audit --help").stdout;
    assert!(help.contains("Exit codes: 0 done"), "{help}");
}
