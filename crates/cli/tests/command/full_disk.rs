//! A disk that is full at any point: one clear error, nothing half done, and the same command
//! goes on when there is room.

#![cfg(unix)]

use std::process::Command;

use crate::sandbox::{Finished, Sandbox, finished};

/// A table whose models' outputs are the largest files of its run directory.
fn with_table() -> Sandbox {
    let record = |i: u32| {
        let x = i.wrapping_mul(2_654_435_761) % 10_007;
        format!("{x},{i},{}", ["a", "b", "c", "d"][i as usize % 4])
    };
    let mut lines = vec!["x,y,class".to_owned()];
    lines.extend((0..600).map(record));
    let sandbox = Sandbox::new();
    sandbox.write("table.csv", lines.join("\n") + "\n");
    sandbox
}

const REFERENCE: &str = "reference table.csv --label class --hidden none --models 12 --epochs 1 \
                         --threads 1 --no-records --run run";

/// Runs a script of `sh` in the sandbox, `$0` being the command.
fn shell(sandbox: &Sandbox, script: &str) -> Finished {
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_giveaway")])
        .current_dir(sandbox.path("."))
        .output()
        .unwrap();
    finished(script, output)
}

#[test]
fn models_that_find_no_room_lose_nothing_that_was_done() {
    let sandbox = with_table();
    sandbox
        .run(&REFERENCE.replace("--run run", "--run undisturbed"))
        .succeeded();
    let expected = sandbox.contents("undisturbed");
    let size = |name: &str| {
        sandbox
            .path("undisturbed")
            .join(name)
            .metadata()
            .unwrap()
            .len()
    };
    // In blocks of 512 bytes: room for everything but a model's outputs.
    let limit = size("signals/000.npy") / 512 - 2;
    assert!(size("membership.npy") < 512 * limit && size("encoding.json") < 512 * limit);

    sandbox.run(&format!("{REFERENCE} --shard 1/3")).succeeded();
    let before = sandbox.contents("run");
    let times = |run: &str| {
        crate::sandbox::files(&sandbox.path(run).join("signals"))
            .into_iter()
            .map(|path| (path.metadata().unwrap().modified().unwrap(), path))
            .collect::<Vec<_>>()
    };
    let made = times("run");
    assert_eq!(made.len(), 4);
    for shard in ["", "--shard 2/3", "--threads 2"] {
        let line = REFERENCE.replace(
            "--threads 1",
            if shard.contains("threads") {
                ""
            } else {
                "--threads 1"
            },
        );
        let full = shell(
            &sandbox,
            &format!("trap '' XFSZ; ulimit -f {limit}; exec \"$0\" {line} {shard}"),
        );
        full.refused(
            1,
            &["run/signals/", ".npy: cannot write the file", "ulimit -f"],
        );
        assert_eq!(full.stderr.matches("error: ").count(), 1, "{}", full.stderr);
        assert!(
            before == sandbox.contents("run"),
            "{:?}",
            sandbox.contents("run").keys()
        );
    }
    let rest = sandbox.run(REFERENCE);
    rest.succeeded();
    assert!(
        rest.stdout.starts_with("8 reference models trained, 4 of"),
        "{}",
        rest.stdout
    );
    assert!(made.iter().all(|model| times("run").contains(model)));
    assert!(sandbox.contents("run") == expected);
}

/// For every room on a disk of 8 MiB, the rest of which is taken, a folder in `out`: what the
/// full disk held, what it holds when there is room, and what the commands said.
#[cfg(target_os = "linux")]
const DISKS: &str = r#"
    mkdir disk
    for room in $(seq 4 STEP NEEDED); do
        mkdir -p out/$room
        mount -t tmpfs -o size=8m,mode=700 tmpfs disk || exit 77
        head -c $((8192 - room))k /dev/zero >disk/others || exit 1
        "$0" REFERENCE >out/$room/said 2>out/$room/complaint \
            && "$0" AUDIT >out/$room/said 2>out/$room/complaint
        echo $? >out/$room/code
        cp -r disk/run out/$room/full
        rm disk/others
        "$0" AUDIT >out/$room/said 2>out/$room/second || exit 1
        cp -r disk/run out/$room/end
        umount disk
    done
"#;

/// A file system in memory that is too small, in steps from nothing to enough: the disk is
/// full at the events, at every file before the models, at some of the models, and in the
/// audit. Needs a name space of its own for the mount, which not every system gives.
#[cfg(target_os = "linux")]
#[test]
fn wherever_the_disk_is_full_the_same_command_goes_on_when_there_is_room() {
    let sandbox = with_table();
    let reference = REFERENCE.replace(" --no-records", "");
    let audit = reference.replace("reference table", "audit table");
    sandbox.run(&audit).succeeded();
    let on_disk = |line: &str| line.replace("--run run", "--run disk/run");
    let expected = sandbox.contents("run");
    let needed: usize = expected
        .values()
        .map(|content| content.len() / 1024 + 5)
        .sum();
    let script = DISKS
        .replace("STEP", &(needed / 16).to_string())
        .replace("NEEDED", &needed.to_string())
        .replace("REFERENCE", &on_disk(&reference))
        .replace("AUDIT", &on_disk(&audit));
    let output = Command::new("unshare")
        .args(["-rm", "sh", "-c", &script, env!("CARGO_BIN_EXE_giveaway")])
        .current_dir(sandbox.path("."))
        .output();
    let skipped = match &output {
        Err(e) => Some(e.to_string()),
        Ok(done) if !sandbox.path("out").exists() || done.status.code() == Some(77) => {
            Some(String::from_utf8_lossy(&done.stderr).into_owned())
        }
        Ok(_) => None,
    };
    if let Some(reason) = skipped {
        note(&format!(
            "not tested, because nothing can be mounted here: {reason}"
        ));
        return;
    }
    let done = finished("unshare", output.unwrap());
    assert_eq!(done.code, Some(0), "{}", done.stderr);

    let mut models_kept = Vec::new();
    for entry in std::fs::read_dir(sandbox.path("out")).unwrap() {
        let size = entry.unwrap().file_name().into_string().unwrap();
        let read = |name: &str| {
            std::fs::read_to_string(sandbox.path(&format!("out/{size}/{name}"))).unwrap()
        };
        let held = sandbox.contents(&format!("out/{size}/full"));
        let complaint = read("complaint");
        if read("code") == "0\n" {
            assert_eq!(complaint, "", "{size}");
        } else {
            assert_eq!(read("code"), "1\n", "{size}: {complaint}");
            assert_eq!(complaint.lines().count(), 2, "{size}: {complaint}");
            assert!(
                complaint.starts_with("error: disk/run/"),
                "{size}: {complaint}"
            );
            for words in [
                "No space left",
                "\nhint: make room and run the same command again",
            ] {
                assert!(complaint.contains(words), "{size}: {complaint}");
            }
            models_kept.push(
                held.keys()
                    .filter(|name| name.starts_with("signals"))
                    .count(),
            );
        }
        for (name, content) in &held {
            // Nothing unfinished has a name that is expected. The manifest tells how far it is.
            if name.ends_with("manifest.json") {
                serde_json::from_slice::<serde_json::Value>(content).unwrap();
            } else {
                assert!(
                    expected.get(name) == Some(content),
                    "{size}: {}",
                    name.display()
                );
            }
        }
        for line in read("end/events.jsonl").lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
        assert_eq!(read("second"), "", "{size}");
        assert!(
            sandbox.contents(&format!("out/{size}/end")) == expected,
            "{size}"
        );
    }
    // Full before the first model, among the models, and after the last.
    models_kept.sort_unstable();
    assert!(models_kept.len() >= 12, "{models_kept:?}");
    assert_eq!(models_kept[0], 0);
    assert!(
        models_kept.iter().any(|n| (1..12).contains(n)),
        "{models_kept:?}"
    );
    assert!(models_kept.iter().any(|n| *n >= 12), "{models_kept:?}");
}

/// Shown by `cargo test -- --nocapture`, and where a test fails.
#[cfg(target_os = "linux")]
#[expect(
    clippy::print_stderr,
    reason = "a test that could not be made should say so"
)]
fn note(text: &str) {
    eprintln!("{text}");
}
