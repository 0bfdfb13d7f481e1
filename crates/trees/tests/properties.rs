//! What holds for any data: neither threads nor the order of records matter, and bins and
//! features lead to the same answers.

#![expect(clippy::unwrap_used, reason = "a test may fail this way")]

use giveaway_trees::{Boosting, Ensemble, Examples, Features, Forest, LOG_ZERO, MaxFeatures};
use ndarray::{Array2, Axis};
use proptest::prelude::*;

/// Made-up records: features of few and of many values, and a class that depends on two of them.
struct Data {
    inputs: Array2<f32>,
    labels: Vec<u32>,
    classes: usize,
}

impl Data {
    fn new(seed: u64, records: usize, width: usize, classes: usize) -> Self {
        let mut state = seed;
        let mut next = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u32
        };
        let mut inputs = Array2::zeros((records, width));
        let mut labels = Vec::new();
        for mut row in inputs.outer_iter_mut() {
            for (feature, x) in row.iter_mut().enumerate() {
                *x = match feature % 4 {
                    0 => (next() % 2) as f32,
                    1 => (next() % 7) as f32 - 3.0,
                    2 => next() as f32 / 1e6,
                    _ => f32::from(u8::from(next() % 20 == 0)),
                };
            }
            let noise = next() % 4;
            let class = row[0] as u32 + (row[1].abs() as u32) + u32::from(noise == 0);
            labels.push(class % classes as u32);
        }
        Self {
            inputs,
            labels,
            classes,
        }
    }

    fn features(&self) -> Features {
        Features::new(self.inputs.view()).unwrap()
    }

    fn examples<'a>(&'a self, features: &'a Features) -> Examples<'a> {
        Examples {
            features,
            labels: &self.labels,
            weights: None,
            classes: self.classes,
        }
    }
}

fn binned_logits(trained: &Ensemble, features: &Features) -> Array2<f32> {
    let mut all = Array2::zeros((0, trained.classes()));
    trained
        .each_logits(features, |first, block| {
            assert_eq!(first, all.nrows());
            all.append(Axis(0), block).unwrap();
        })
        .unwrap();
    all
}

fn same_bits(a: &Array2<f32>, b: &Array2<f32>) -> bool {
    a.dim() == b.dim() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

fn forest() -> Forest {
    Forest {
        trees: 12,
        ..Forest::default()
    }
}

fn boosting() -> Boosting {
    Boosting {
        rounds: 6,
        ..Boosting::default()
    }
}

#[test]
fn any_number_of_threads_gives_the_same_trees() {
    for classes in [2, 4] {
        // enough for sums to be shared among threads
        let data = Data::new(1, 6000, 32, classes);
        let rows: Vec<u32> = (0..6000).collect();
        let traced: Vec<u32> = (0..50).collect();
        let mut results = Vec::new();
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            results.push(pool.install(|| {
                let features = data.features();
                let examples = data.examples(&features);
                let forest = forest().train(&examples, &rows, 3).unwrap();
                let boosted = boosting()
                    .train_traced(&examples, &rows, &[], &traced)
                    .unwrap();
                let logits = [
                    binned_logits(&forest, &features),
                    binned_logits(&boosted.ensemble, &features),
                ];
                (
                    forest.to_safetensors(),
                    boosted.ensemble.to_safetensors(),
                    boosted.losses,
                    logits,
                )
            }));
        }
        assert!(results[0] == results[1] && results[0] == results[2]);
    }
}

#[test]
fn a_seed_gives_one_forest_and_another_seed_another() {
    let data = Data::new(2, 300, 9, 3);
    let features = data.features();
    let rows: Vec<u32> = (0..200).collect();
    let train = |seed| {
        forest()
            .train(&data.examples(&features), &rows, seed)
            .unwrap()
    };
    assert_eq!(train(5), train(5));
    assert_ne!(train(5), train(6));
}

#[test]
fn classes_without_records_are_improbable_and_never_not_a_number() {
    let mut data = Data::new(3, 300, 9, 3);
    data.classes = 6;
    for label in &mut data.labels {
        *label = [1, 2, 4][*label as usize];
    }
    let features = data.features();
    let rows: Vec<u32> = (0..200).collect();
    let examples = data.examples(&features);
    let two: Vec<u32> = rows
        .iter()
        .copied()
        .filter(|&row| data.labels[row as usize] != 2)
        .collect();
    for rows in [&rows, &two] {
        for trained in [
            forest().train(&examples, rows, 1).unwrap(),
            boosting().train(&examples, rows, &[]).unwrap(),
        ] {
            let logits = trained.logits(data.inputs.view()).unwrap();
            let probabilities = trained.probabilities(data.inputs.view()).unwrap();
            assert!(logits.iter().all(|z| z.is_finite()));
            for (logits, probabilities) in logits.outer_iter().zip(probabilities.outer_iter()) {
                assert!((probabilities.sum() - 1.0).abs() < 1e-12);
                let sum: f64 = logits.iter().map(|&z| f64::from(z).exp()).sum();
                let of_one = f64::from(LOG_ZERO).exp() / sum;
                for absent in [0, 3, 5] {
                    assert_eq!(logits[absent].to_bits(), LOG_ZERO.to_bits());
                    // nothing by a forest, the softmax of its score by boosting
                    assert!(probabilities[absent] <= of_one * (1.0 + 1e-6));
                }
                // The softmax of the logits gives back the probabilities within float32, but for
                // what it gives to classes of probability 0.
                let zeros = logits
                    .iter()
                    .filter(|z| z.to_bits() == LOG_ZERO.to_bits())
                    .count();
                let of_zeros = zeros as f64 * of_one;
                for (&z, &p) in logits.iter().zip(probabilities) {
                    let share = f64::from(z).exp() / sum;
                    assert!((share - p).abs() < of_zeros + 1e-6, "{share} and {p}");
                }
            }
        }
    }
}

#[test]
fn a_constant_data_set_gives_the_shares_of_the_classes() {
    let inputs = Array2::from_elem((8, 3), 2.5);
    let features = Features::new(inputs.view()).unwrap();
    let labels = [0, 1, 2, 1, 1, 2, 1, 0];
    let examples = Examples {
        features: &features,
        labels: &labels,
        weights: None,
        classes: 3,
    };
    let rows: Vec<u32> = (0..8).collect();
    let plain = Forest {
        bootstrap: false,
        ..forest()
    };
    for trained in [
        plain.train(&examples, &rows, 1).unwrap(),
        boosting().train(&examples, &rows, &[]).unwrap(),
    ] {
        for row in trained.probabilities(inputs.view()).unwrap().outer_iter() {
            for (p, want) in row.iter().zip([0.25, 0.5, 0.25]) {
                assert!((p - want).abs() < 1e-12, "{row}");
            }
        }
    }
}

#[test]
fn what_cannot_be_learnt_from_is_refused_with_its_reason() {
    let data = Data::new(4, 60, 4, 3);
    let features = data.features();
    let good = data.examples(&features);
    let rows: Vec<u32> = (0..60).collect();
    let one: Vec<u32> = rows
        .iter()
        .copied()
        .filter(|&row| data.labels[row as usize] == 1)
        .collect();
    let weights = |at: usize, weight| {
        let mut weights = vec![1.0f32; 60];
        weights[at] = weight;
        weights
    };
    let (negative, not_a_number) = (weights(7, -1.0), weights(8, f32::NAN));
    let mut strange = data.labels.clone();
    strange[5] = 3;
    let cases: Vec<(Examples, &[u32], &str)> = vec![
        (good, &one, "are of class 1"),
        (good, &[], "no row"),
        (good, &[0, 60], "row 60"),
        (
            Examples {
                labels: &strange,
                ..good
            },
            &rows,
            "record 5 is of class 3",
        ),
        (
            Examples {
                labels: &strange[..9],
                ..good
            },
            &rows,
            "9 labels",
        ),
        (Examples { classes: 1, ..good }, &rows, "1 classes"),
        (
            Examples {
                weights: Some(&negative),
                ..good
            },
            &rows,
            "record 7",
        ),
        (
            Examples {
                weights: Some(&not_a_number),
                ..good
            },
            &rows,
            "record 8",
        ),
        (
            Examples {
                weights: Some(&negative[..5]),
                ..good
            },
            &rows,
            "5 weights",
        ),
    ];
    for (examples, rows, reason) in cases {
        for error in [
            forest().train(&examples, rows, 1).unwrap_err(),
            boosting().train(&examples, rows, &[]).unwrap_err(),
        ] {
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
    let trained = forest().train(&good, &rows, 1).unwrap();
    let error = trained.logits(Array2::zeros((2, 5)).view()).unwrap_err();
    assert!(
        error.to_string().contains("5 features to trees of 4"),
        "{error}"
    );
    let error = trained
        .logits(Array2::from_elem((2, 4), f32::NAN).view())
        .unwrap_err();
    assert!(
        error.to_string().contains("feature 0 of record 0"),
        "{error}"
    );
    let others = Data::new(5, 60, 4, 3).features();
    assert!(trained.each_logits(&others, |_, _| {}).is_err());
    let patient = Boosting {
        patience: Some(3),
        ..boosting()
    };
    assert!(patient.train(&good, &rows, &[]).is_err());
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for bad in [
        Forest {
            trees: 0,
            ..forest()
        },
        Forest {
            max_depth: Some(0),
            ..forest()
        },
        Forest {
            min_samples_split: 1,
            ..forest()
        },
        Forest {
            min_samples_leaf: 0,
            ..forest()
        },
        Forest {
            max_features: MaxFeatures::Count(0),
            ..forest()
        },
        Forest {
            max_features: MaxFeatures::Share(f64::NAN),
            ..forest()
        },
        Forest {
            max_features: MaxFeatures::Share(1.5),
            ..forest()
        },
    ] {
        assert!(bad.check().is_err(), "{bad:?}");
    }
    for bad in [
        Boosting {
            rounds: 0,
            ..boosting()
        },
        Boosting {
            learning_rate: 0.0,
            ..boosting()
        },
        Boosting {
            learning_rate: f64::NAN,
            ..boosting()
        },
        Boosting {
            max_leaves: Some(1),
            ..boosting()
        },
        Boosting {
            max_depth: Some(0),
            ..boosting()
        },
        Boosting {
            min_samples_leaf: 0,
            ..boosting()
        },
        Boosting {
            l2: -1.0,
            ..boosting()
        },
        Boosting {
            min_hessian: f64::INFINITY,
            ..boosting()
        },
        Boosting {
            label_smoothing: 1.0,
            ..boosting()
        },
        Boosting {
            patience: Some(0),
            ..boosting()
        },
    ] {
        assert!(bad.check().is_err(), "{bad:?}");
    }
}

#[test]
fn early_stopping_keeps_the_round_of_the_lowest_validation_loss() {
    let data = Data::new(6, 500, 9, 3);
    let features = data.features();
    let examples = data.examples(&features);
    let (rows, validation): (Vec<u32>, Vec<u32>) = ((0..250).collect(), (250..500).collect());
    let settings = Boosting {
        rounds: 200,
        patience: Some(4),
        ..boosting()
    };
    let stopped = settings
        .train_traced(&examples, &rows, &validation, &validation)
        .unwrap();
    let means: Vec<f64> = stopped
        .losses
        .outer_iter()
        .map(|losses| losses.iter().map(|&loss| f64::from(loss)).sum())
        .collect();
    let rounds = stopped.ensemble.rounds().unwrap();
    let lowest = means.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(rounds > 1 && means.len() == rounds + 4 && means.len() < 200);
    assert!((means[rounds - 1] - lowest).abs() < 1e-4);
    let fewer = Boosting {
        rounds,
        patience: None,
        ..settings
    };
    assert_eq!(
        fewer.train(&examples, &rows, &[]).unwrap(),
        stopped.ensemble
    );
}

#[test]
fn traced_losses_are_those_of_the_model_after_each_round() {
    for (classes, smoothing) in [(2, 0.0), (3, 0.0), (3, 0.2)] {
        let data = Data::new(7, 400, 9, classes);
        let features = data.features();
        let examples = data.examples(&features);
        let rows: Vec<u32> = (0..200).collect();
        let settings = Boosting {
            label_smoothing: smoothing,
            ..boosting()
        };
        let traced = [3, 399, 3, 250];
        let result = settings
            .train_traced(&examples, &rows, &[], &traced)
            .unwrap();
        assert_eq!(result.losses.dim(), (6, 4));
        for rounds in 1..=6 {
            let model = Boosting { rounds, ..settings }
                .train(&examples, &rows, &[])
                .unwrap();
            let probabilities = model.probabilities(data.inputs.view()).unwrap();
            for (&record, &loss) in traced.iter().zip(result.losses.row(rounds - 1)) {
                let label = data.labels[record as usize] as usize;
                let want = -probabilities[[record as usize, label]].ln();
                assert!((f64::from(loss) - want).abs() < 1e-6, "{loss} {want}");
            }
        }
        assert_eq!(
            settings.train(&examples, &rows, &[]).unwrap(),
            result.ensemble
        );
    }
}

#[test]
fn smoothed_labels_leave_the_model_less_sure() {
    let data = Data::new(8, 400, 9, 3);
    let features = data.features();
    let rows: Vec<u32> = (0..400).collect();
    let sureness = |label_smoothing| {
        let settings = Boosting {
            label_smoothing,
            rounds: 60,
            ..boosting()
        };
        let model = settings
            .train(&data.examples(&features), &rows, &[])
            .unwrap();
        let probabilities = model.probabilities(data.inputs.view()).unwrap();
        let most = probabilities
            .outer_iter()
            .map(|row| row.iter().copied().fold(0.0, f64::max));
        most.sum::<f64>() / 400.0
    };
    let (without, with) = (sureness(0.0), sureness(0.3));
    assert!(with < without - 0.05, "{with} {without}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn bins_and_features_lead_to_the_same_answers(seed: u64, records in 20usize..700, classes in 2usize..5) {
        let data = Data::new(seed, records, 7, classes);
        let features = data.features();
        let rows: Vec<u32> = (0..records as u32).filter(|row| row % 3 != 0).collect();
        let examples = data.examples(&features);
        let Ok(forest) = forest().train(&examples, &rows, seed) else {
            return Ok(());
        };
        let boosted = boosting().train(&examples, &rows, &[]).unwrap();
        for trained in [forest, boosted] {
            let by_bins = binned_logits(&trained, &features);
            prop_assert!(same_bits(&by_bins, &trained.logits(data.inputs.view()).unwrap()));
            let more = features.with_more(data.inputs.view()).unwrap();
            let twice = binned_logits(&trained, &more);
            prop_assert!(same_bits(&twice.slice_axis(Axis(0), (records..).into()).to_owned(), &by_bins));
            let kept = Ensemble::from_safetensors(&trained.to_safetensors()).unwrap();
            prop_assert_eq!(&kept, &trained);
            kept.check_fits(&features).unwrap();
        }
    }

    #[test]
    fn the_order_of_records_does_not_matter(seed: u64, records in 20usize..300, classes in 2usize..5) {
        let data = Data::new(seed, records, 7, classes);
        let features = data.features();
        let mut rows: Vec<u32> = (0..records as u32).collect();
        let examples = data.examples(&features);
        let plain = Forest { bootstrap: false, max_features: MaxFeatures::All, ..forest() };
        let train = |rows: &[u32]| {
            let forest = plain.train(&examples, rows, seed).ok()?;
            Some((forest, boosting().train(&examples, rows, &[]).unwrap()))
        };
        let ordered = train(&rows);
        rows.reverse();
        rows.rotate_left(records / 3);
        prop_assert!(train(&rows) == ordered);
    }

    #[test]
    fn a_record_twice_is_one_of_weight_two(seed: u64, records in 100usize..200, classes in 2usize..4) {
        let data = Data::new(seed, records, 6, classes);
        let features = data.features();
        let once: Vec<u32> = (0..records as u32).collect();
        let twice: Vec<u32> = once.iter().chain(once.iter().filter(|row| *row % 2 == 0)).copied().collect();
        let weights: Vec<f32> = once.iter().map(|row| if row % 2 == 0 { 2.0 } else { 1.0 }).collect();
        let weighted = Examples { weights: Some(&weights), ..data.examples(&features) };
        // the number of samples must play no part; in nodes of few samples two splits may gain the
        // same but for the last bits, so roots alone are split
        let one_sample = Boosting { min_samples_leaf: 1, max_leaves: Some(2), ..boosting() };
        let Ok(a) = one_sample.train(&data.examples(&features), &twice, &[]) else {
            return Ok(());
        };
        let b = one_sample.train(&weighted, &once, &[]).unwrap();
        for (a, b) in a.logits(data.inputs.view()).unwrap().iter().zip(&b.logits(data.inputs.view()).unwrap()) {
            prop_assert!((a - b).abs() <= 2e-6 * a.abs().max(1.0), "{} {}", a, b);
        }
        // a tree counts weights; one of all features has the same shares whatever their order
        let tree = Forest { trees: 1, bootstrap: false, max_features: MaxFeatures::All, ..forest() };
        let a = tree.train(&data.examples(&features), &twice, 1).unwrap();
        let b = tree.train(&weighted, &once, 1).unwrap();
        for (a, b) in a.probabilities(data.inputs.view()).unwrap().iter().zip(&b.probabilities(data.inputs.view()).unwrap()) {
            prop_assert!((a - b).abs() <= 1e-12, "{} {}", a, b);
        }
    }

    #[test]
    fn weights_of_one_are_no_weights_and_weights_of_zero_no_records(seed: u64, classes in 2usize..4) {
        let data = Data::new(seed, 150, 6, classes);
        let features = data.features();
        let all: Vec<u32> = (0..150).collect();
        let part: Vec<u32> = (0..100).collect();
        let weights: Vec<f32> = all.iter().map(|&row| f32::from(u8::from(row < 100))).collect();
        let examples = data.examples(&features);
        let weighted = Examples { weights: Some(&weights), ..examples };
        let Ok(want) = forest().train(&examples, &part, 1) else {
            return Ok(());
        };
        prop_assert!(forest().train(&weighted, &all, 1).unwrap() == want);
        let want = boosting().train(&examples, &part, &[]).unwrap();
        prop_assert!(boosting().train(&weighted, &all, &[]).unwrap() == want);
    }
}
