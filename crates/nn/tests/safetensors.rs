//! Weights as safetensors: written and read back, from PyTorch, and hostile.
#![expect(clippy::unwrap_used, reason = "a test may fail this way")]

use giveaway_nn::{
    Convolution, EarlyStopping, Error, Examples, Image, Kernel, Network, Optimiser, Padding, Pool,
    Schedule, Trained, Trainer, Training,
};
use ndarray::Array2;

/// The features that `safetensors_fixture.py` makes.
fn examples(rows: usize, inputs: usize, classes: usize) -> Examples {
    let features = Array2::from_shape_fn((rows, inputs), |(row, column)| {
        (((row * inputs + column) * 37 % 101) as f64 / 50.0 - 1.0) as f32
    });
    let labels: Vec<u32> = (0..rows).map(|row| (row % classes) as u32).collect();
    Examples::new(features.view(), &labels, classes).unwrap()
}

fn network() -> Network {
    Network {
        inputs: 60,
        hidden: vec![9, 6],
        classes: 4,
        image: Some(Image {
            height: 6,
            width: 5,
            channels: 2,
            convolutions: vec![Convolution {
                channels: 3,
                size: 3,
                padding: Padding::Same,
                pool: Some(Pool::Average),
            }],
            skips: Vec::new(),
        }),
        ..Network::default()
    }
}

fn trained(network: &Network, kernel: Kernel) -> Trained {
    let training = Training {
        epochs: 4,
        batch_size: 8,
        learning_rate: 0.01,
        optimiser: Optimiser::adam(),
        l2: 0.0,
        label_smoothing: 0.0,
        schedule: Schedule::Constant,
        early_stopping: Some(EarlyStopping { patience: 2 }),
        augmentation: None,
    };
    let examples = examples(40, network.inputs, network.classes);
    let rows: Vec<u32> = (0..40).collect();
    let trainer = Trainer::new(network, &training).unwrap().kernel(kernel);
    trainer
        .train(&examples, &rows[..30], &rows[30..], 3)
        .unwrap()
}

#[test]
fn what_is_written_is_read_back() {
    let dense = Network {
        inputs: 13,
        hidden: vec![5],
        classes: 2,
        ..Network::default()
    };
    for network in [network(), dense] {
        for kernel in Kernel::available() {
            let before = trained(&network, kernel);
            let bytes = before.to_safetensors().unwrap();
            assert_eq!(bytes, before.to_safetensors().unwrap());
            let after = Trained::from_safetensors(&bytes).unwrap();
            assert_eq!(after.network(), before.network());
            assert_eq!(after.kernel(), kernel);
            assert_eq!(after.layers(), before.layers());
            assert_eq!(after.filters(), before.filters());
            assert_eq!(after.history(), before.history());
            assert_eq!(after.best_epoch(), before.best_epoch());
            let examples = examples(20, network.inputs, network.classes);
            let bits = |trained: &Trained| trained.logits(&examples).mapv(f32::to_bits);
            assert_eq!(bits(&after), bits(&before));
        }
    }
}

fn assert_logits(trained: &Trained, classes: usize, want: &str) {
    let logits = trained.logits(&examples(want.lines().count(), 60, classes));
    for (have, want) in logits.rows().into_iter().zip(want.lines()) {
        let want: Vec<f32> = want.split(' ').map(|x| x.parse().unwrap()).collect();
        assert_eq!(have.len(), want.len());
        for (have, want) in have.iter().zip(want) {
            assert!((have - want).abs() <= 1e-5, "{have} instead of {want}");
        }
    }
}

#[test]
fn a_file_of_pytorch() {
    let bytes = include_bytes!("../../../conformance/nn/pytorch.safetensors");
    let want = include_str!("../../../conformance/nn/pytorch_logits.txt");
    assert_logits(&Trained::from_safetensors(bytes).unwrap(), 3, want);
}

/// `giveaway.safetensors` is `trained(&network(), plain).to_safetensors()`; its logits are
/// those that PyTorch found when it loaded the file. What we write today is what it loaded.
#[test]
fn a_file_that_pytorch_loaded() {
    let bytes = include_bytes!("../../../conformance/nn/giveaway.safetensors");
    let ours = Trained::from_safetensors(bytes).unwrap();
    assert_eq!(ours.network(), &network());
    assert!(ours.to_safetensors().unwrap() == bytes);
    let want = include_str!("../../../conformance/nn/giveaway_logits.txt");
    assert_logits(&ours, 4, want);
}

/// A file with this header, and as many zeros as it says.
fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

fn message(bytes: &[u8]) -> String {
    Trained::from_safetensors(bytes).unwrap_err().to_string()
}

/// A network of 2 inputs and 2 classes, with other text in place of some.
fn header(from: &str, to: &str) -> String {
    let header = r#"{"__metadata__":{"network":"{\"inputs\":2,\"classes\":2}"},"layers.0.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"layers.0.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[8,24]}}"#;
    assert!(header.contains(from), "{from}");
    header.replacen(from, to, 1)
}

/// A file of zeros for this network, without a history.
fn zeros(network: &Network, shapes: &[(&str, &[usize])]) -> Vec<u8> {
    let json = |text: &str| serde_json::to_string(text).unwrap();
    let description = serde_json::to_string(network).unwrap();
    let metadata = format!(r#""__metadata__":{{"network":{}}}"#, json(&description));
    let mut entries = vec![metadata];
    let mut end = 0;
    for (name, shape) in shapes {
        let start = end;
        end += shape.iter().product::<usize>() * 4;
        entries.push(format!(
            r#""{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{start},{end}]}}"#
        ));
    }
    file(&format!("{{{}}}", entries.join(",")), end)
}

#[test]
fn a_long_history_is_read_back() {
    let network = Network {
        inputs: 1,
        classes: 2,
        ..Network::default()
    };
    let training = Training {
        epochs: 20_000,
        batch_size: 2,
        learning_rate: 1e-3,
        optimiser: Optimiser::adam(),
        l2: 0.0,
        label_smoothing: 0.0,
        schedule: Schedule::Constant,
        early_stopping: None,
        augmentation: None,
    };
    let examples = examples(4, 1, 2);
    let trainer = Trainer::new(&network, &training).unwrap();
    let before = trainer.train(&examples, &[0, 1], &[2, 3], 1).unwrap();
    let bytes = before.to_safetensors().unwrap();
    assert!(bytes.len() > 1 << 20);
    let after = Trained::from_safetensors(&bytes).unwrap();
    assert_eq!(after.history(), before.history());
    assert_eq!(after.history().len(), 20_000);
}

#[test]
fn many_features_are_read_back() {
    let network = Network {
        inputs: 1_500_000,
        classes: 2,
        ..Network::default()
    };
    let bytes = zeros(
        &network,
        &[
            ("layers.0.weight", &[2, 1_500_000]),
            ("layers.0.bias", &[2]),
        ],
    );
    let trained = Trained::from_safetensors(&bytes).unwrap();
    let again = Trained::from_safetensors(&trained.to_safetensors().unwrap()).unwrap();
    assert_eq!(again.layers(), trained.layers());
}

/// A small file may describe filters whose outputs take hundreds of gigabytes.
#[test]
fn a_file_that_asks_for_too_much_memory_is_refused() {
    let widest = |channels: usize| {
        let convolution = |channels| Convolution {
            channels,
            size: 1,
            padding: Padding::Valid,
            pool: None,
        };
        let network = Network {
            inputs: 28 * 28,
            classes: 2,
            image: Some(Image {
                height: 28,
                width: 28,
                channels: 1,
                convolutions: vec![convolution(channels), convolution(1)],
                skips: Vec::new(),
            }),
            ..Network::default()
        };
        zeros(
            &network,
            &[
                ("convolutions.0.weight", &[channels, 1, 1, 1]),
                ("convolutions.0.bias", &[channels]),
                ("convolutions.1.weight", &[1, channels, 1, 1]),
                ("convolutions.1.bias", &[1]),
                ("layers.0.weight", &[2, 28 * 28]),
                ("layers.0.bias", &[2]),
            ],
        )
    };
    let hostile = widest(1 << 20);
    assert!(hostile.len() < 16 << 20);
    let message = message(&hostile);
    assert!(message.contains("GiB of memory to answer"), "{message}");
    Trained::from_safetensors(&widest(1 << 10)).unwrap();
}

#[test]
fn hostile_headers() {
    Trained::from_safetensors(&file(&header("{", "{"), 24)).unwrap();
    for (from, to, data, part) in [
        ("F32", "F64", 24, "type F64"),
        ("[2,2]", "[4]", 24, "shape [4]"),
        ("[2,2]", "[18446744073709551615,2]", 24, "shape"),
        ("[0,8]", "[0,18446744073709551615]", 24, "after"),
        ("[0,8]", "[8,0]", 24, "one after another"),
        ("[8,24]", "[8,18446744073709551615]", 24, "are there"),
        ("[8,24]", "[8,20]", 20, "12 bytes"),
        ("[8,24]", "[0,24]", 24, "one after another"),
        ("[8,24]", "[12,24]", 24, "one after another"),
        ("layers.0.bias", "layers.1.bias", 24, "layers.0.bias"),
        ("{\"dtype", "{\"more\":1,\"dtype", 24, "JSON"),
        (
            "layers.0.bias\":",
            "x\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},\"layers.0.bias\":",
            24,
            "no place",
        ),
        ("network", "networks", 24, "no `network`"),
        ("\\\"inputs", "\\\"input", 24, "JSON"),
        ("s\\\":2}", "s\\\":1}", 24, "classes is 1"),
        ("s\\\":2,", "s\\\":18446744073709551615,", 24, "addressed"),
        ("s\\\":2,", "s\\\":1000000000,", 24, "GiB"),
        ("s\\\":2,", "s\\\":1e3,", 24, "JSON"),
        ("s\\\":2,", "s\\\":2,\\\"hidden\\\":[0],", 24, "0 units"),
        (
            "s\\\":2,",
            "s\\\":2,\\\"image\\\":{\\\"height\\\":1048576,\\\"width\\\":1048576,\\\"channels\\\":1048576,\\\"convolutions\\\":[]},",
            24,
            "image",
        ),
        (
            "s\\\":2,",
            "s\\\":2,\\\"image\\\":{\\\"height\\\":2,\\\"width\\\":1,\\\"convolutions\\\":[{\\\"channels\\\":1048576,\\\"size\\\":1048575,\\\"padding\\\":\\\"same\\\"}]},",
            24,
            "addressed",
        ),
        ("\"network", "\"kernel\":\"mmx\",\"network", 24, "mmx"),
        (
            "\"network",
            "\"best_epoch\":\"7\",\"network",
            24,
            "best_epoch",
        ),
        ("\"network", "\"history\":\"[[[\",\"network", 24, "JSON"),
        ("{", "[", 24, "JSON"),
        ("{", "{{", 24, "JSON"),
    ] {
        let message = message(&file(&header(from, to), data));
        assert!(message.contains(part), "{to}: {message}");
    }
    // deep nesting must not exhaust the stack
    message(&file(&"[".repeat(500_000), 0));
    message(&file(&format!("{{\"x\":{}", "[".repeat(500_000)), 0));
}

#[test]
fn hostile_files() {
    let good = trained(&network(), giveaway_nn::kernel())
        .to_safetensors()
        .unwrap();
    for length in 0..good.len() {
        let error = Trained::from_safetensors(&good[..length]).unwrap_err();
        assert!(matches!(error, Error::Safetensors(_)), "{length}: {error}");
    }
    let mut longer = good.clone();
    longer.push(0);
    assert!(message(&longer).contains("are there"));
    for length in [u64::MAX, 1 << 63, 1 << 40, 100_000_001, good.len() as u64] {
        let mut bytes = good.clone();
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        assert!(message(&bytes).contains("header"), "{length}");
    }
    for bad in [f32::NAN, f32::INFINITY] {
        let mut bytes = good.clone();
        let last = bytes.len() - 4;
        bytes[last..].copy_from_slice(&bad.to_le_bytes());
        assert!(message(&bytes).contains("not finite"), "{bad}");
    }
    // any byte of the header changed: an error or a network, never a panic
    let header = 8 + u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
    for place in 0..header {
        for change in [1, 2, 16, 0x80] {
            let mut bytes = good.clone();
            bytes[place] ^= change;
            let _ = Trained::from_safetensors(&bytes);
        }
    }
}
