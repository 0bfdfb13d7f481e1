//! `giveaway reference`: shares of the training, at once, twice, killed, and another kernel.

use std::time::{Duration, Instant};

use crate::sandbox::Sandbox;

const MODELS: &str = "breast-cancer --hidden 16 --models 24 --epochs 20 --seed 3";

#[test]
fn shares_trained_at_once_and_killed_end_with_the_bytes_of_a_whole_audit() {
    let sandbox = Sandbox::new();
    sandbox
        .run(&format!("audit {MODELS} --run whole"))
        .succeeded();

    // Every share is killed once, at another number of models, while the others go on.
    let share = |i: usize| {
        sandbox
            .command(&format!(
                "reference {MODELS} --run shared --threads 1 --shard {i}/3"
            ))
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    for killed in 1..=3 {
        let mut children: Vec<_> = (1..=3).map(share).collect();
        let start = Instant::now();
        while trained(&sandbox) < 4 * killed && start.elapsed() < Duration::from_mins(1) {
            std::thread::sleep(Duration::from_micros(200));
        }
        children[killed - 1].kill().unwrap();
        for mut child in children {
            child.wait().unwrap();
        }
    }
    // A killed share may have left an unfinished file: the audit clears it away.
    for i in 1..=3 {
        sandbox
            .run(&format!("reference shared --shard {i}/3"))
            .succeeded();
    }
    let again = sandbox.run("reference shared --shard 2/3");
    again.succeeded();
    assert!(
        again
            .stdout
            .contains("0 reference models trained, 8 of the share"),
        "{}",
        again.stdout
    );
    sandbox.run("audit shared").succeeded();
    let (whole, shared) = (sandbox.contents("whole"), sandbox.contents("shared"));
    assert!(
        whole.keys().eq(shared.keys()),
        "{:?}\n{:?}",
        whole.keys(),
        shared.keys()
    );
    for (name, content) in &whole {
        assert!(*content == shared[name], "{} differs", name.display());
    }
}

fn trained(sandbox: &Sandbox) -> usize {
    std::fs::read_dir(sandbox.path("shared/signals")).map_or(0, |entries| {
        entries
            .flatten()
            .filter(|e| e.path().extension().is_some_and(|x| x == "npy"))
            .count()
    })
}

#[test]
fn shares_of_another_kernel_or_of_other_models_are_refused() {
    let sandbox = Sandbox::new();
    let line = "reference breast-cancer --hidden none --models 12 --epochs 1 --run run";
    sandbox
        .run(&format!("{line} --kernel plain --shard 1/2"))
        .succeeded();
    let manifest = std::fs::read_to_string(sandbox.path("run/manifest.json")).unwrap();
    assert!(manifest.contains("\"kernel\": \"plain\""), "{manifest}");
    let other = sandbox.run(&format!("{line} --seed 9 --shard 2/2"));
    other.refused(3, &["other settings", "--run"]);
    let nonsense = sandbox.run(&format!("{line} --kernel abacus"));
    nonsense.refused(2, &["--kernel", "abacus", "fastest"]);
    let fraction = sandbox.run(&format!("{line} --shard 3/2"));
    fraction.refused(2, &["--shard", "3/2", "3/16"]);
    // The configuration in the directory names the kernel, so the run goes on with it.
    sandbox.run("reference run --shard 2/2").succeeded();
    sandbox.run("audit run").succeeded();
    if giveaway_nn::kernel().name() != "plain" {
        let fastest =
            sandbox.run("audit breast-cancer --hidden none --models 12 --epochs 1 --run run");
        fastest.refused(3, &["kernel plain", "--run"]);
    }
}
