//! `--keep`: weights and features beside the outputs, and `--max-memory`.

use giveaway_nn::Trained;

use crate::sandbox::Sandbox;

const MODELS: &str = "breast-cancer --hidden 8,5 --models 12 --epochs 3 --threads 1";

/// The shape and values of an array of float32, as numpy would read them.
fn floats(bytes: &[u8]) -> (Vec<usize>, Vec<f32>) {
    assert!(bytes.starts_with(b"\x93NUMPY\x01\x00"));
    let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..end]).unwrap();
    let shape = header.split(['(', ')']).nth(1).unwrap();
    (
        shape
            .split(',')
            .filter_map(|length| length.trim().parse().ok())
            .collect(),
        bytes[end..]
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect(),
    )
}

#[test]
fn kept_features_and_weights_make_the_outputs() {
    let sandbox = Sandbox::new();
    sandbox
        .run(&format!("audit {MODELS} --run run --keep weights,features"))
        .succeeded();
    let files = sandbox.contents("run");
    for name in (0..12).map(|i| format!("{i:03}")).chain(["target".into()]) {
        let file = |path: String| &files[std::path::Path::new(&path)];
        let (shape, outputs) = floats(file(format!("signals/{name}.npy")));
        assert_eq!(shape, [569, 1, 2]);
        let (shape, features) = floats(file(format!("features/{name}.npy")));
        assert_eq!(shape, [569, 5]);
        let trained =
            Trained::from_safetensors(file(format!("models/{name}.safetensors"))).unwrap();
        let last = trained.layers().last().unwrap();
        for (logits, features) in outputs.chunks_exact(2).zip(features.chunks_exact(5)) {
            for (class, &logit) in logits.iter().enumerate() {
                let weights = last.weight.row(class);
                let sum: f32 = weights.iter().zip(features).map(|(w, x)| w * x).sum();
                let expected = sum + last.bias[class];
                assert!(
                    (logit - expected).abs() <= 1e-4 * (1.0 + expected.abs()),
                    "{name}: {logit} is not {expected}"
                );
            }
        }
    }
}

#[test]
fn what_is_asked_for_later_is_added_and_the_result_stays() {
    let sandbox = Sandbox::new();
    sandbox
        .run(&format!("audit {MODELS} --run run"))
        .succeeded();
    let before = sandbox.contents("run");
    // signals that are there are not written again
    let signal = sandbox.path("run/signals/003.npy");
    let written = std::fs::metadata(&signal).unwrap().modified().unwrap();
    sandbox
        .run(&format!(
            "audit {MODELS} --run run --keep features --max-memory 1MiB"
        ))
        .succeeded();
    assert_eq!(
        std::fs::metadata(&signal).unwrap().modified().unwrap(),
        written
    );
    let after = sandbox.contents("run");
    for (name, content) in &before {
        if name.as_os_str() != "run.toml" {
            assert!(*content == after[name], "{} differs", name.display());
        }
    }
    let features = after.keys().filter(|name| name.starts_with("features"));
    assert_eq!(features.count(), 13);
    // the configuration of the run asks for them too
    std::fs::remove_file(sandbox.path("run/features/007.npy")).unwrap();
    sandbox.run("audit run").succeeded();
    assert_eq!(sandbox.contents("run"), after);
}

#[test]
fn memory_that_is_too_little_or_no_size_is_refused() {
    let sandbox = Sandbox::new();
    let line = format!("audit {MODELS} --run run --max-memory");
    sandbox
        .run(&format!("{line} 1KiB"))
        .refused(2, &["--max-memory", "KiB", "smaller network"]);
    sandbox
        .run(&format!("{line} 12"))
        .refused(2, &["--max-memory", "500MiB"]);
    sandbox
        .run(&format!("audit {MODELS} --keep everything"))
        .refused(2, &["--keep", "weights", "features"]);
}
