//! One seed, one result: whatever the number of threads, killed or not.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use crate::sandbox::{Sandbox, UNFINISHED, files, finished, quick};

/// Long enough to be killed in its training and in its analysis.
const AUDIT: &str = "breast-cancer --hidden 16 --models 40 --epochs 30 --seed 5";

/// When a process is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// As soon as there is a run directory.
    Begun,
    /// When so many models are trained.
    Trained(usize),
    /// When all are trained and the analysis has begun.
    Analysing,
}

fn trained(sandbox: &Sandbox, run: &str) -> Vec<PathBuf> {
    let folder = sandbox.path(run).join("signals");
    if !folder.exists() {
        return Vec::new();
    }
    files(&folder)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "npy"))
        .collect()
}

fn has_come(moment: Moment, sandbox: &Sandbox, run: &str) -> bool {
    match moment {
        Moment::Begun => sandbox.path(run).join(".lock").exists(),
        Moment::Trained(models) => {
            let folder = sandbox.path(run).join("signals");
            // names only: the files come and go while we look
            std::fs::read_dir(folder).is_ok_and(|entries| {
                entries
                    .flatten()
                    .filter(|e| !e.file_name().to_string_lossy().starts_with(UNFINISHED))
                    .count()
                    >= models
            })
        }
        Moment::Analysing => std::fs::read_to_string(sandbox.path(run).join("manifest.json"))
            .is_ok_and(|manifest| manifest.contains("\"reference\"")),
    }
}

/// Starts the audit and kills it (SIGKILL on Unix) at the moment; false if it was done before.
fn kill(sandbox: &Sandbox, line: &str, run: &str, moment: Moment) -> bool {
    let mut child = sandbox
        .command(line)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !has_come(moment, sandbox, run) {
        assert!(
            start.elapsed() < Duration::from_mins(1),
            "{moment:?} never came"
        );
        std::thread::sleep(Duration::from_micros(200));
    }
    child.kill().unwrap();
    !child.wait().unwrap().success()
}

#[test]
fn threads_change_nothing_and_the_seed_everything() {
    let sandbox = Sandbox::new();
    let line = |seed: u32, threads: u32, run: &str| {
        format!("breast-cancer --hidden 8,4 --seed {seed} --threads {threads} --run {run}")
    };
    sandbox.audit(&line(7, 1, "one")).succeeded();
    sandbox.audit(&line(7, 2, "two")).succeeded();
    sandbox.audit(&line(8, 2, "other")).succeeded();
    let [one, two, other] = ["one", "two", "other"].map(|run| sandbox.contents(run));
    assert_eq!(one.len(), 10 + 12, "{:?}", one.keys());
    same(&one, &two);
    assert!(one.keys().eq(other.keys()));
    for name in [
        "records.parquet",
        "neighbours.parquet",
        "report.json",
        "membership.npy",
        "signals/000.npy",
        "signals/011.npy",
        "signals/target.npy",
    ] {
        let name = PathBuf::from(name);
        assert!(
            one[&name] != other[&name],
            "{} does not depend on the seed",
            name.display()
        );
    }
}

/// Equal, without printing megabytes where they are not.
fn same(expected: &BTreeMap<PathBuf, Vec<u8>>, found: &BTreeMap<PathBuf, Vec<u8>>) {
    assert!(
        expected.keys().eq(found.keys()),
        "{:?}\n{:?}",
        expected.keys(),
        found.keys()
    );
    for (name, content) in expected {
        assert!(*content == found[name], "{} differs", name.display());
    }
}

#[test]
fn a_killed_run_goes_on_and_ends_with_the_same_bytes() {
    let sandbox = Sandbox::new();
    let undisturbed = quick(&format!("{AUDIT} --run undisturbed"));
    sandbox.run(&undisturbed).succeeded();
    let expected = sandbox.contents("undisturbed");
    let all = trained(&sandbox, "undisturbed").len();
    assert_eq!(all, 41);

    let moments = [
        Moment::Begun,
        Moment::Trained(1),
        Moment::Trained(12),
        Moment::Trained(33),
        Moment::Analysing,
    ];
    for (number, moment) in moments.into_iter().enumerate() {
        // A process that is not killed in time proves nothing: another one is tried.
        let run = (0..20)
            .map(|attempt| format!("killed-{number}-{attempt}"))
            .find(|run| {
                let line = quick(&format!("{AUDIT} --threads {} --run {run}", 1 + number % 2));
                kill(&sandbox, &line, run, moment)
            })
            .unwrap_or_else(|| panic!("no process was killed at {moment:?}"));
        let before = modified(&sandbox, &run);
        match moment {
            Moment::Begun => {}
            Moment::Trained(models) => assert!((models..all).contains(&before.len())),
            Moment::Analysing => {
                assert_eq!(before.len(), all);
                assert!(!sandbox.path(&run).join("report.json").exists());
            }
        }
        // What a process leaves that is killed while it writes.
        for folder in [".", "signals"] {
            let folder = format!("{run}/{folder}");
            if sandbox.path(&folder).exists() {
                sandbox.write(&format!("{folder}/{UNFINISHED}x1y2z3"), "half of");
            }
        }

        let line = quick(&format!("{AUDIT} --threads {} --run {run}", 2 - number % 2));
        sandbox.run(&line).succeeded();
        same(&expected, &sandbox.contents(&run));
        let after = modified(&sandbox, &run);
        for (path, time) in &before {
            assert_eq!(after[path], *time, "{} was made again", path.display());
        }
    }
}

/// When each model's outputs were written.
fn modified(sandbox: &Sandbox, run: &str) -> BTreeMap<PathBuf, SystemTime> {
    trained(sandbox, run)
        .into_iter()
        .map(|path| {
            let time = path.metadata().unwrap().modified().unwrap();
            (path, time)
        })
        .collect()
}

#[test]
fn a_run_that_is_killed_again_and_again_arrives() {
    let sandbox = Sandbox::new();
    sandbox
        .run(&quick(&format!("{AUDIT} --run undisturbed")))
        .succeeded();
    let line = quick(&format!("{AUDIT} --run run"));
    for models in [2, 5, 9, 14, 20, 27, 35] {
        kill(&sandbox, &line, "run", Moment::Trained(models));
    }
    kill(&sandbox, &line, "run", Moment::Analysing);
    sandbox.run(&line).succeeded();
    same(&sandbox.contents("undisturbed"), &sandbox.contents("run"));
}

#[test]
fn a_second_process_is_refused_while_the_first_works() {
    let sandbox = Sandbox::new();
    let line = quick("breast-cancer --models 2000 --epochs 20 --run run");
    let mut first = sandbox
        .command(&line)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !has_come(Moment::Trained(1), &sandbox, "run") {
        assert!(start.elapsed() < Duration::from_mins(1));
        std::thread::sleep(Duration::from_millis(1));
    }
    let second = finished(&line, sandbox.command(&line).output().unwrap());
    let was_running = first.try_wait().unwrap().is_none();
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(
        was_running,
        "the first process ended too early to be in the way"
    );
    second.refused(
        3,
        &["run: another process is working in this run directory"],
    );
    assert!(!sandbox.path("run/report.json").exists());
}
