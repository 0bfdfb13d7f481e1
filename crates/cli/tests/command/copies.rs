//! Run directories on other machines: copied there and back, of other data or settings,
//! damaged on the way, or busy.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::sandbox::{Sandbox, files};

const OPTIONS: &str = "--label class --hidden none --models 12 --epochs 1 --threads 1";

fn table() -> String {
    let record = |i: u32| {
        let x = i.wrapping_mul(2_654_435_761) % 10_007;
        format!("{x},{i},{}", ["a", "b"][i as usize % 2])
    };
    let mut lines = vec!["x,y,class".to_owned()];
    lines.extend((0..200).map(record));
    lines.join("\n") + "\n"
}

fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let to = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(path, to).unwrap();
    }
}

/// As the guide says for machines that share no directory.
#[test]
fn a_copy_is_trained_elsewhere_and_its_models_are_copied_back() {
    let sandbox = Sandbox::new();
    for (machine, file) in [("here", "table.csv"), ("there", "of_mine.csv")] {
        std::fs::create_dir(sandbox.path(machine)).unwrap();
        sandbox.write(&format!("{machine}/{file}"), table());
    }
    let on = |machine: &str, line: &str| {
        let output = sandbox
            .command(line)
            .current_dir(sandbox.path(machine))
            .output()
            .unwrap();
        crate::sandbox::finished(line, output)
    };
    on("here", &format!("audit table.csv {OPTIONS} --run whole")).succeeded();

    let first = format!("reference table.csv {OPTIONS} --run run --shard 1/3");
    on("here", &first).succeeded();
    copy(&sandbox.path("here/run"), &sandbox.path("there/copy"));
    // Its run.toml says where the data are on the other machine.
    on("there", "reference copy --shard 2/3").refused(3, &["table.csv", "--config"]);
    // The configuration of the run, and the data that are here.
    let moved = "reference of_mine.csv --config copy/run.toml --run copy --shard";
    on("there", &format!("{moved} 2/3")).succeeded();
    // From now on the copy knows where its data are.
    let third = on("there", "reference copy --shard 3/3");
    third.succeeded();
    assert!(
        third.stdout.starts_with("4 reference models trained, 0 of"),
        "{}",
        third.stdout
    );
    copy(
        &sandbox.path("there/copy/signals"),
        &sandbox.path("here/run/signals"),
    );

    let rest = on("here", "reference run");
    rest.succeeded();
    assert!(
        rest.stdout.starts_with("0 reference models trained, 12 of"),
        "{}",
        rest.stdout
    );
    on("here", "audit run").succeeded();
    assert!(sandbox.contents("here/run") == sandbox.contents("here/whole"));
}

#[test]
fn shares_of_other_data_settings_or_kernel_are_refused_and_change_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("table.csv", table());
    let line = format!("reference table.csv {OPTIONS} --run run");
    sandbox
        .run(&format!("{line} --kernel plain --shard 1/2"))
        .succeeded();
    let before = sandbox.contents("run");
    for (change, word) in [
        ("--epochs 2", "other settings"),
        ("--models 14", "other settings"),
        ("--seed 1", "other settings"),
        ("--hidden 4", "other settings"),
        ("--drop x", "other settings"),
    ] {
        let name = change.split(' ').next().unwrap();
        let mut words: Vec<&str> = line.split(' ').collect();
        if let Some(at) = words.iter().position(|word| *word == name) {
            words.drain(at..at + 2);
        }
        let line = words.join(" ");
        sandbox
            .run(&format!("{line} {change} --kernel plain --shard 2/2"))
            .refused(3, &["run: ", word, "--run"]);
        assert!(before == sandbox.contents("run"), "{change}");
    }
    if giveaway_nn::kernel().name() != "plain" {
        sandbox
            .run(&format!("{line} --shard 2/2"))
            .refused(3, &["run: ", "kernel plain", "--kernel plain goes on"]);
    }
    // A record is changed between two shares.
    sandbox.write("table.csv", table().replacen(",0,a", ",0,b", 1));
    for again in [
        format!("{line} --kernel plain --shard 2/2"),
        "reference run --shard 2/2".to_owned(),
    ] {
        sandbox
            .run(&again)
            .refused(3, &["run: ", "other input (data)"]);
    }
    assert!(before == sandbox.contents("run"));
    sandbox.write("table.csv", table());
    sandbox.run("reference run --shard 2/2").succeeded();
}

/// A copy that broke off, a file of another run, a bad disk: seen before anything is trained.
#[test]
fn damaged_outputs_are_named_before_the_rest_is_trained() {
    let sandbox = Sandbox::new();
    sandbox.write("table.csv", table());
    let line = format!("reference table.csv {OPTIONS} --run run --shard 1/2");
    sandbox.run(&line).succeeded();
    let before = sandbox.contents("run");
    let path = sandbox.path("run/signals/004.npy");
    let whole = std::fs::read(&path).unwrap();
    let header = |from: &str, to: &str| {
        let text = String::from_utf8_lossy(&whole[10..128]).replace(from, to);
        let mut bytes = whole.clone();
        bytes.splice(10..128, text.into_bytes());
        bytes
    };
    let mut longer = whole.clone();
    longer.push(0);
    for damaged in [
        Vec::new(),
        whole[..100].to_vec(),
        whole[..whole.len() - 1].to_vec(),
        longer,
        vec![0; whole.len()],
        header("<f4", ">f4"),
        header("<f4", "<i4"),
        header("(200, 1, 2)", "(100, 2, 2)"),
        header("False", "True "),
    ] {
        assert!(damaged != whole);
        std::fs::write(&path, damaged).unwrap();
        for again in ["reference run --shard 2/2", "audit run"] {
            sandbox.run(again).refused(
                3,
                &[
                    "run/signals/004.npy: not a signal file of 200 records and 2 classes",
                    "delete the file",
                ],
            );
        }
        assert!(!sandbox.path("run/signals/005.npy").exists());
    }
    // As the hint says.
    std::fs::remove_file(&path).unwrap();
    let again = sandbox.run("reference run --shard 1/2");
    again.succeeded();
    assert!(
        again.stdout.starts_with("1 reference models trained, 5 of"),
        "{}",
        again.stdout
    );
    assert!(before == sandbox.contents("run"));
}

/// Begins a run and waits until so many models are trained; it goes on.
fn busy(sandbox: &Sandbox, line: &str, models: usize) -> std::process::Child {
    let child = sandbox
        .command(line)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while std::fs::read_dir(sandbox.path("run/signals")).map_or(0, Iterator::count) < models {
        assert!(start.elapsed() < Duration::from_mins(1));
        std::thread::sleep(Duration::from_millis(1));
    }
    child
}

const LONG: &str =
    "reference breast-cancer --hidden 8 --models 4000 --epochs 20 --threads 1 --run run --shard";

#[test]
fn an_audit_is_refused_while_a_share_is_trained_and_a_share_during_an_audit() {
    let sandbox = Sandbox::new();
    for (first, second, together) in [
        (
            format!("{LONG} 1/2"),
            format!("{LONG} 2/2")
                .replace("--shard 2/2", "")
                .replace("reference", "audit"),
            false,
        ),
        (
            LONG.replace("reference", "audit").replace("--shard", ""),
            format!("{LONG} 2/2"),
            false,
        ),
        (format!("{LONG} 1/2"), format!("{LONG} 4000/4000"), true),
    ] {
        let mut child = busy(&sandbox, &first, 3);
        let done = sandbox.run(&second);
        assert!(
            child.try_wait().unwrap().is_none(),
            "the first ended too early"
        );
        child.kill().unwrap();
        child.wait().unwrap();
        std::fs::remove_dir_all(sandbox.path("run")).unwrap();
        if together {
            done.succeeded();
        } else {
            done.refused(
                3,
                &[
                    "run: another process is working in this run directory",
                    "wait for it",
                ],
            );
        }
    }
}

/// What was asked of an audit is not forgotten because a share goes on with its models.
#[test]
fn a_share_keeps_the_selection_and_test_of_an_audit_that_was_stopped() {
    let sandbox = Sandbox::new();
    let asked = "--select out-loss --null ecdf --count 7";
    let audit = LONG.replace("reference", "audit").replace("--shard", asked);
    let mut child = busy(&sandbox, &audit, 3);
    child.kill().unwrap();
    child.wait().unwrap();
    let settings = || std::fs::read_to_string(sandbox.path("run/run.toml")).unwrap();
    let before = settings();
    assert!(before.contains("select = \"out-loss\""), "{before}");
    sandbox.run(&format!("{LONG} 4000/4000")).succeeded();
    assert_eq!(before, settings());
}

#[test]
fn a_run_that_was_killed_before_it_had_settings_is_begun_again() {
    let sandbox = Sandbox::new();
    sandbox.write("table.csv", table());
    std::fs::create_dir_all(sandbox.path("run/signals")).unwrap();
    sandbox.write("run/.lock", "");
    sandbox
        .run("reference run --shard 1/2")
        .refused(3, &["run: ", "before it had a run.toml", "--run run"]);
    sandbox
        .run(&format!("reference table.csv {OPTIONS} --run run"))
        .succeeded();
}

#[cfg(unix)]
#[test]
fn a_directory_that_is_taken_away_or_replaced_gets_no_more_models() {
    let sandbox = Sandbox::new();
    for replaced in [false, true] {
        let child = busy(&sandbox, &format!("{LONG} 1/1"), 3);
        std::fs::rename(
            sandbox.path("run"),
            sandbox.path(&format!("away-{replaced}")),
        )
        .unwrap();
        let other =
            "reference breast-cancer --hidden none --models 12 --epochs 1 --seed 9 --run run";
        if replaced {
            sandbox.run(other).succeeded();
        }
        let there = replaced.then(|| sandbox.contents("run"));
        let done = crate::sandbox::finished("the first", child.wait_with_output().unwrap());
        done.refused(
            3,
            &[
                "run: the run directory was removed or replaced",
                "run the same command again",
            ],
        );
        assert_eq!(
            there,
            sandbox
                .path("run")
                .exists()
                .then(|| sandbox.contents("run"))
        );
        let _ = std::fs::remove_dir_all(sandbox.path("run"));
    }
}

/// Root may write anywhere, so this says something only for others.
#[cfg(unix)]
#[test]
fn a_directory_that_is_protected_against_writing_stays_as_it_is() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    sandbox.write("table.csv", table());
    let line = format!("reference table.csv {OPTIONS} --run run");
    sandbox.run(&format!("{line} --shard 1/2")).succeeded();
    let before = sandbox.contents("run");
    let set = |mode: u32| {
        for folder in ["run/signals", "run"] {
            std::fs::set_permissions(sandbox.path(folder), std::fs::Permissions::from_mode(mode))
                .unwrap();
        }
    };
    set(0o500);
    let may_write_anywhere =
        std::fs::write(sandbox.path("run/.giveaway-unfinished-try"), "").is_ok();
    let done = sandbox.run(&format!("{line} --shard 2/2"));
    let mode = sandbox.path("run").metadata().unwrap().permissions().mode() & 0o777;
    set(0o700);
    assert_eq!(mode, 0o500);
    if !may_write_anywhere {
        done.refused(3, &["run/", "Permission denied", "permissions"]);
        assert!(before == sandbox.contents("run"));
    }
    sandbox.run(&format!("{line} --shard 2/2")).succeeded();
}
