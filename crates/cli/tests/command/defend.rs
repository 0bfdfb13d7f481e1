//! `giveaway defend`: defences tried on a finished audit, and the files that it leaves.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use giveaway::dataset::{Table, TableOptions};
use giveaway::report::Audit;
use giveaway::report::defence::{DefenceFigures, DefenceSection, Verdict};

use crate::sandbox::Sandbox;

const AUDIT: &str = "audit breast-cancer --models 48 --epochs 40 --hidden 32 --run run --quiet";

/// Two cheap ones, one of each stage.
const DEFEND: &str = "defend run --models 24 --defence remove --defence reweight --quiet";

fn section(sandbox: &Sandbox) -> DefenceSection {
    let text = std::fs::read_to_string(sandbox.path("run/report.json")).unwrap();
    let audit: Audit = serde_json::from_str(&text).unwrap();
    audit.defence.unwrap()
}

/// The section without what differs from one run to the next: times.
fn without_times(sandbox: &Sandbox) -> DefenceSection {
    let mut section = section(sandbox);
    section.settings.seconds = 0.0;
    let still = |figures: &mut DefenceFigures| {
        figures.seconds_per_model = 0.0;
        figures.time_ratio = None;
    };
    still(&mut section.undefended);
    section.control.iter_mut().for_each(still);
    section.defences.iter_mut().for_each(still);
    // the price of the advice names the time
    section.recommendation.reasons.clear();
    section
}

fn names(section: &DefenceSection) -> Vec<&str> {
    section.defences.iter().map(|d| d.name.as_str()).collect()
}

/// Begins and is killed when some models of the first defence are there.
fn killed(sandbox: &Sandbox, exposed: &str) {
    let mut child = sandbox
        .command(&format!("{DEFEND} {exposed} --threads 1"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let models = || std::fs::read_dir(sandbox.path("run/defend/remove")).map_or(0, Iterator::count);
    while models() < 5 && begun.elapsed() < Duration::from_mins(2) {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The same figures whatever the threads, after a kill, and by way of a budget that was too small.
#[test]
fn figures_are_reproducible_and_the_work_resumes() {
    let sandbox = Sandbox::new();
    sandbox.run(AUDIT).succeeded();
    sandbox
        .run(&format!("{DEFEND} --exposed 5% --threads 1"))
        .succeeded();
    let first = without_times(&sandbox);
    assert_eq!(names(&first), ["remove", "reweight:0.1"]);

    let clear = || std::fs::remove_dir_all(sandbox.path("run/defend")).unwrap();
    clear();
    sandbox
        .run(&format!(
            "{DEFEND} --exposed 5% --threads 3 --budget 0.001s"
        ))
        .succeeded();
    let nothing = section(&sandbox);
    assert!(nothing.defences.is_empty());
    let left_out: Vec<&str> = nothing.skipped.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(left_out, ["remove", "reweight:0.1"]);
    assert!(
        nothing
            .skipped
            .iter()
            .all(|s| s.reason.contains("--budget"))
    );

    // killed in the middle of a defence, of other work first
    for other in ["--exposed 20%", "--exposed 5%"] {
        killed(&sandbox, other);
    }
    sandbox
        .run(&format!("{DEFEND} --exposed 5% --threads 2"))
        .succeeded();
    assert!(
        first == without_times(&sandbox),
        "another way, other figures"
    );
    // the models at work are gone, and so is what was cut off
    assert!(!sandbox.path("run/defend/remove").exists());

    // an audit made again takes the advice back
    assert!(sandbox.path("run/defend/drop.csv").exists());
    sandbox.run(AUDIT).succeeded();
    let text = std::fs::read_to_string(sandbox.path("run/report.json")).unwrap();
    assert!(
        serde_json::from_str::<Audit>(&text)
            .unwrap()
            .defence
            .is_none()
    );
    assert!(!sandbox.path("run/defend/drop.csv").exists());
}

/// The listed records left out by hand: the audit of the rest works, and is of the rest.
#[test]
fn the_listed_records_can_be_left_out() {
    let sandbox = Sandbox::new();
    sandbox.run(AUDIT).succeeded();
    sandbox.run(&format!("{DEFEND} --exposed 5%")).succeeded();
    let section = section(&sandbox);
    let list = std::fs::read_to_string(sandbox.path("run/defend/drop.csv")).unwrap();
    let dropped: BTreeSet<&str> = list
        .lines()
        .skip(1)
        .map(|line| line.split(',').next().unwrap())
        .collect();
    assert_eq!(dropped.len(), section.settings.exposed);
    assert_eq!(dropped.len(), list.lines().count() - 1, "each once");
    for unit in &section.units {
        assert!(dropped.contains(unit.id.as_str()), "{}", unit.id);
    }

    let table = Table::shipped("breast-cancer", &TableOptions::default()).unwrap();
    let header = table.column_names().join(",");
    let mut text = format!("{header},y\n");
    let mut kept = 0;
    for row in 0..table.len() {
        if dropped.contains(table.ids[row].as_str()) {
            continue;
        }
        kept += 1;
        for column in 0..table.column_names().len() {
            let _ = write!(text, "{},", table.feature_text(row, column));
        }
        let _ = writeln!(text, "{}", table.classes[table.labels[row] as usize]);
    }
    assert_eq!(kept, table.len() - dropped.len(), "every id is a record's");
    std::fs::write(sandbox.path("kept.csv"), text).unwrap();
    sandbox
        .run("audit kept.csv --label y --models 12 --epochs 40 --hidden 32 --run kept --quiet")
        .succeeded();
    let text = std::fs::read_to_string(sandbox.path("kept/report.json")).unwrap();
    let audit: Audit = serde_json::from_str(&text).unwrap();
    assert_eq!(audit.data.records, kept);

    let weights = std::fs::read_to_string(sandbox.path("run/defend/weights.csv")).unwrap();
    assert_eq!(weights.lines().count(), list.lines().count());
}

/// What is undone betrays what is betrayed without it, and what was left out betrays nothing.
#[test]
fn a_temperature_protects_nobody_and_leaving_out_does() {
    let sandbox = Sandbox::new();
    sandbox.run(AUDIT).succeeded();
    sandbox
        .run(
            "defend run --models 24 --exposed 20% --defence temperature:4 --defence remove --quiet",
        )
        .succeeded();
    let section = section(&sandbox);
    let arm = |name: &str| section.defences.iter().find(|d| d.name == name).unwrap();
    let found = |of: &DefenceFigures| of.exposed.found.value.unwrap();
    let (before, cooled) = (found(&section.undefended), found(arm("temperature:4")));
    assert!((before - cooled).abs() < 0.02, "{before} {cooled}");
    assert_eq!(arm("temperature:4").verdict, Some(Verdict::NotShown));
    assert_eq!(arm("temperature:4").onion.newly_exposed, 0);
    let without = found(arm("remove"));
    // some chance and the best of several attacks, but no more
    assert!(
        without < 0.05 && before > without + 0.03,
        "{before} {without}"
    );
    let auc = arm("remove").exposed.auc.value.unwrap();
    assert!((auc - 0.5).abs() < 0.1, "{auc}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.run(AUDIT).succeeded();
    let before = std::fs::read(sandbox.path("run/report.json")).unwrap();
    let refused = |rest: &str, code: i32, words: &[&str]| {
        sandbox
            .run(&format!("defend {rest} --quiet"))
            .refused(code, words);
    };
    refused("nowhere", 3, &["manifest.json", "giveaway audit"]);
    refused("run --defence prayer", 2, &["prayer", "remove", "dp-sgd"]);
    refused("run --defence l2:much", 2, &["l2"]);
    refused("run --exposed 0.01", 2, &["1%"]);
    refused("run --exposed 90%", 2, &["--exposed"]);
    refused("run --budget soon", 2, &["20m"]);
    refused("run --models 2", 2, &["--models"]);
    refused("run --models 30", 2, &["--models", "24"]);
    refused("run --identify luck", 2, &["influence"]);
    refused("run --by shoe-size", 2, &["shoe-size", "--by"]);
    assert!(before == std::fs::read(sandbox.path("run/report.json")).unwrap());
    sandbox
        .run("audit breast-cancer --models 12 --epochs 5 --run small --quiet")
        .succeeded();
    refused("small", 2, &["--models", "audit with 24"]);
}

#[test]
fn defences_are_listed_without_a_run() {
    let sandbox = Sandbox::new();
    let listed = sandbox.run("defend --list");
    listed.succeeded();
    for name in ["remove", "reweight", "dp-sgd", "selena", "mem-guard"] {
        assert!(listed.stdout.contains(name), "{name}");
    }
}
