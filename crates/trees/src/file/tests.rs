use ndarray::Array2;
use proptest::prelude::*;

use super::*;
use crate::{Boosting, Examples, Features, Forest};

fn trained() -> Vec<Ensemble> {
    let inputs = Array2::from_shape_fn((60, 3), |(i, j)| ((i * (j + 2)) % (4 + j)) as f32);
    let features = Features::new(inputs.view()).unwrap();
    let mut all = Vec::new();
    for classes in [2, 3] {
        let labels: Vec<u32> = (0..60).map(|i| (i * i / 5) % classes).collect();
        let examples = Examples {
            features: &features,
            labels: &labels,
            weights: None,
            classes: 3,
        };
        let rows: Vec<u32> = (0..60).collect();
        let forest = Forest {
            trees: 3,
            min_samples_leaf: 4,
            ..Forest::default()
        };
        all.push(forest.train(&examples, &rows, 1).unwrap());
        let boosting = Boosting {
            rounds: 2,
            min_samples_leaf: 5,
            ..Boosting::default()
        };
        all.push(boosting.train(&examples, &rows, &[]).unwrap());
    }
    all
}

/// Whatever is read may be asked.
fn ask(ensemble: &Ensemble) {
    if ensemble.features < 100 && ensemble.classes < 1000 {
        let inputs = Array2::from_elem((3, ensemble.features), 1.5);
        ensemble.logits(inputs.view()).unwrap();
    }
}

#[test]
fn the_file_is_a_safetensors_file_and_is_read_back_bit_for_bit() {
    for ensemble in trained() {
        let bytes = ensemble.to_safetensors();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let text = std::str::from_utf8(&bytes[8..8 + header]).unwrap();
        assert!(text.starts_with('{') && text.trim_end().ends_with('}'));
        assert_eq!(header % 8, 0);
        assert_eq!(Ensemble::from_safetensors(&bytes).unwrap(), ensemble);
    }
}

#[test]
fn every_truncation_and_extension_is_refused() {
    for ensemble in trained() {
        let mut bytes = ensemble.to_safetensors();
        for length in 0..bytes.len() {
            assert!(
                Ensemble::from_safetensors(&bytes[..length]).is_err(),
                "{length}"
            );
        }
        bytes.push(0);
        assert!(Ensemble::from_safetensors(&bytes).is_err());
    }
}

#[test]
fn trees_that_cannot_be_walked_are_refused() {
    let spoilt = |spoil: &dyn Fn(&mut Ensemble)| {
        for mut ensemble in trained() {
            spoil(&mut ensemble);
            let outcome = Ensemble::from_safetensors(&ensemble.to_safetensors());
            assert!(outcome.is_err(), "{outcome:?}");
        }
    };
    // the root itself, the last node, beyond the tree
    for child in [0, u32::MAX - 1, 10_000] {
        spoilt(&|ensemble| ensemble.trees[0].nodes[0].child = child);
    }
    spoilt(&|ensemble| ensemble.trees[0].nodes[0].child = ensemble.trees[0].nodes.len() as u32 - 1);
    spoilt(&|ensemble| ensemble.trees[0].nodes[0].feature = 3);
    spoilt(&|ensemble| ensemble.trees[0].nodes[0].threshold = f32::NAN);
    spoilt(&|ensemble| ensemble.trees[0].nodes[0].bin = 255);
    spoilt(&|ensemble| ensemble.trees[0].nodes.last_mut().unwrap().child = 10_000);
    spoilt(&|ensemble| ensemble.trees[0].nodes.clear());
    spoilt(&|ensemble| ensemble.trees.clear());
    spoilt(&|ensemble| ensemble.trees[0].values[0] = f64::INFINITY);
    spoilt(&|ensemble| ensemble.classes = 0);
    spoilt(&|ensemble| ensemble.classes = usize::MAX / 2);
    spoilt(&|ensemble| ensemble.features = 0);
    spoilt(&|ensemble| match &mut ensemble.kind {
        Kind::Forest => ensemble.trees[0].values[0] = 1.5,
        Kind::Boosting { present, .. } => present[1] = present[0],
    });
    spoilt(&|ensemble| match &mut ensemble.kind {
        Kind::Forest => ensemble.trees[0].values.push(0.5),
        Kind::Boosting { baseline, .. } => baseline[0] = f64::NAN,
    });
}

#[test]
fn sizes_that_promise_too_much_reserve_nothing() {
    for ensemble in trained() {
        let bytes = ensemble.to_safetensors();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        for number in 2..ABOUT {
            for size in [0, 1 << 20, 1 << 40, u64::MAX / 8, u64::MAX] {
                let mut bytes = bytes.clone();
                bytes[8 + header + 8 * number..][..8].copy_from_slice(&size.to_le_bytes());
                if let Ok(ensemble) = Ensemble::from_safetensors(&bytes) {
                    ask(&ensemble);
                }
                // with a header that fits
                let about: Vec<u64> = bytes[8 + header..][..8 * ABOUT]
                    .as_chunks::<8>()
                    .0
                    .iter()
                    .map(|&b| u64::from_le_bytes(b))
                    .collect();
                let layout = Layout {
                    boosting: about[1] == 1,
                    features: about[2],
                    classes: about[3],
                    present: about[4],
                    trees: about[5],
                    nodes: about[6],
                    values: about[7],
                };
                if let Some((text, _)) = layout.header() {
                    let mut file = (text.len() as u64).to_le_bytes().to_vec();
                    file.extend(text.as_bytes());
                    file.extend(&bytes[8 + header..]);
                    if let Ok(ensemble) = Ensemble::from_safetensors(&file) {
                        ask(&ensemble);
                    }
                }
            }
        }
        let mut long = bytes.clone();
        long[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(Ensemble::from_safetensors(&long).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn changed_bytes_are_refused_or_can_be_asked(
        which in 0usize..4,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        thread_local!(static FILES: Vec<Vec<u8>> = trained().iter().map(Ensemble::to_safetensors).collect());
        let mut bytes = FILES.with(|files| files[which].clone());
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Ok(ensemble) = Ensemble::from_safetensors(&bytes) {
            ask(&ensemble);
        }
    }
}
