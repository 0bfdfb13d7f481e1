//! What lies in a run directory is not trusted, and not lost.

use crate::sandbox::Sandbox;

const LINE: &str = "breast-cancer --run run";

#[test]
fn models_without_a_manifest_are_nobody_s() {
    let sandbox = Sandbox::new();
    sandbox.audit(LINE).succeeded();
    std::fs::remove_file(sandbox.path("run/manifest.json")).unwrap();
    let other = format!("{LINE} --seed 1");
    sandbox.audit(&other).refused(3, &["holds no run", "--run"]);
    for entry in std::fs::read_dir(sandbox.path("run")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::remove_file(path).unwrap();
        }
    }
    sandbox
        .audit(&other)
        .refused(3, &["manifest.json", "--run"]);
}

#[test]
fn outputs_that_are_no_numbers_are_damage() {
    let sandbox = Sandbox::new();
    sandbox.audit(LINE).succeeded();
    let path = sandbox.path("run/signals/004.npy");
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() - 4;
    bytes[at..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    sandbox
        .audit(LINE)
        .refused(3, &["004.npy", "delete the file"]);
    std::fs::remove_file(&path).unwrap();
    sandbox.audit(LINE).succeeded();
}

/// The disk is full when a second audit, with another null, wants to write its result.
#[cfg(unix)]
#[test]
fn a_second_audit_that_fails_leaves_the_first_result_whole() {
    let sandbox = Sandbox::new();
    sandbox.audit(LINE).succeeded();
    let before = sandbox.contents("run");
    let line = crate::sandbox::quick(&format!("{LINE} --null ecdf"));
    let done = std::process::Command::new("sh")
        .arg("-c")
        .arg(format!("trap '' XFSZ; ulimit -f 8; exec \"$0\" {line}"))
        .arg(env!("CARGO_BIN_EXE_giveaway"))
        .current_dir(sandbox.path("."))
        .output()
        .unwrap();
    let done = crate::sandbox::finished(&line, done);
    done.refused(1, &["cannot write"]);
    assert!(before == sandbox.contents("run"), "{}", done.stderr);
    sandbox.audit(&format!("{LINE} --null ecdf")).succeeded();
    assert!(before != sandbox.contents("run"));
}
