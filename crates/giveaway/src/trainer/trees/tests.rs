use giveaway_nn::{Objective, Privacy};
use ndarray::{Axis, Slice};

use super::super::Added;
use super::*;
use crate::dataset::{Encoding, EncodingOptions, Table, TableOptions};

fn breast_cancer() -> Dataset {
    let table = Table::shipped("breast-cancer", &TableOptions::default()).unwrap();
    let rows: Vec<u32> = (0..table.len() as u32).collect();
    let encoding = Encoding::learn(&table, &rows, &EncodingOptions::default()).unwrap();
    encoding.encode(&table).unwrap()
}

fn trainers(dataset: &Dataset) -> [TreeTrainer; 2] {
    let forest = Forest {
        trees: 20,
        ..Forest::default()
    };
    let boosting = Boosting {
        rounds: 8,
        ..Boosting::default()
    };
    [
        TreeTrainer::forest(forest, dataset).unwrap(),
        TreeTrainer::boosting(boosting, dataset).unwrap(),
    ]
}

fn logits(model: &dyn Model) -> Array2<f32> {
    let mut all = Vec::new();
    model
        .each_logits(&mut |block| {
            all.extend(block.iter().copied());
            Ok(())
        })
        .unwrap();
    Array2::from_shape_vec((model.records(), model.classes()), all).unwrap()
}

fn rows() -> Vec<u32> {
    (0..300).collect()
}

#[test]
fn models_answer_alike_for_records_and_queries_and_when_restored() {
    let dataset = breast_cancer();
    for trainer in trainers(&dataset) {
        let model = trainer.train(&rows(), &[], 9).unwrap();
        let want = logits(&*model);
        let held_out = 300..dataset.len();
        let right = held_out.clone().filter(|&record| {
            let row = want.row(record);
            u32::from(row[1] > row[0]) == dataset.labels[record]
        });
        assert!(right.count() * 100 > 90 * held_out.len());
        assert_eq!(model.answer(dataset.features.view()).unwrap(), want);
        let features = model.features_of(dataset.features.view()).unwrap();
        assert_eq!(features, Some(want.clone()));
        assert_eq!(model.features(), 2);
        assert!(
            model
                .gradients(dataset.features.view(), 0)
                .unwrap()
                .is_none()
        );
        let weights = model.weights().unwrap();
        assert_eq!(logits(&*trainer.restore(&weights).unwrap()), want);
        assert_eq!(logits(&*trainer.train(&rows(), &[], 9).unwrap()), want);
        let error = model.answer(dataset.features.slice_axis(Axis(1), Slice::from(1..)));
        assert!(error.is_err());
        // a sink that fails is not called again
        let mut calls = 0;
        let outcome = model.each_logits(&mut |_| {
            calls += 1;
            Err(io::Error::other("full"))
        });
        assert!(outcome.is_err() && calls == 1);
    }
}

#[test]
fn weights_of_other_trees_are_refused() {
    let dataset = breast_cancer();
    let [forest, boosting] = trainers(&dataset);
    let of_forest = forest.train(&rows(), &[], 9).unwrap().weights().unwrap();
    let of_boosting = boosting.train(&rows(), &[], 9).unwrap().weights().unwrap();
    assert!(forest.restore(&of_boosting).is_err());
    assert!(boosting.restore(&of_forest).is_err());
    assert!(forest.restore(&of_forest[..500]).is_err());
    let mut moved = dataset.clone();
    moved.features.mapv_inplace(|x| x + 0.25);
    let [forest, boosting] = trainers(&moved);
    assert!(forest.restore(&of_forest).is_err());
    assert!(boosting.restore(&of_boosting).is_err());
}

#[test]
fn a_lesson_that_says_no_more_than_the_data_set_gives_the_plain_model() {
    let dataset = breast_cancer();
    for trainer in trainers(&dataset) {
        let want = logits(&*trainer.train(&rows(), &[400], 9).unwrap());
        let (rows, ones) = (rows(), vec![1.0; dataset.len()]);
        let none = Array2::zeros((0, dataset.features.ncols()));
        let plain = Lesson::of(&rows, &[400]);
        let lesson = Lesson {
            labels: Some(&dataset.labels),
            weights: Some(&ones),
            added: Some(Added {
                features: none.view(),
                labels: &[],
            }),
            ..plain
        };
        assert_eq!(logits(&*trainer.learn(&plain, 9).unwrap()), want);
        assert_eq!(logits(&*trainer.learn(&lesson, 9).unwrap()), want);
        let altered = trainer.altered(&Alteration::default()).unwrap();
        assert_eq!(logits(&*altered.learn(&lesson, 9).unwrap()), want);
    }
}

#[test]
fn every_part_of_a_lesson_is_learnt_from() {
    let dataset = breast_cancer();
    for trainer in trainers(&dataset) {
        let rows = rows();
        let plain = Lesson::of(&rows, &[]);
        let learn = |lesson: &Lesson| logits(&*trainer.learn(lesson, 9).unwrap());
        let want = learn(&plain);

        let flipped: Vec<u32> = dataset.labels.iter().map(|label| 1 - label).collect();
        let other = learn(&Lesson {
            labels: Some(&flipped),
            ..plain
        });
        let likely =
            |logits: &Array2<f32>| logits.outer_iter().filter(|row| row[1] > row[0]).count();
        assert!(likely(&other).abs_diff(dataset.len() - likely(&want)) < 20);

        // weights of 0 leave records out
        let weights: Vec<f32> = (0..dataset.len())
            .map(|row| f32::from(u8::from(row < 150)))
            .collect();
        let weighted = learn(&Lesson {
            weights: Some(&weights),
            ..plain
        });
        assert_eq!(weighted, learn(&Lesson::of(&rows[..150], &[])));

        // added copies of records are those records
        let copies = dataset.features.slice_axis(Axis(0), Slice::from(300..320));
        let more: Vec<u32> = (0..320).collect();
        let lesson = Lesson {
            added: Some(Added {
                features: copies,
                labels: &dataset.labels[300..320],
            }),
            ..plain
        };
        assert_eq!(learn(&lesson), learn(&Lesson::of(&more, &[])));
        let ones = vec![1.0; dataset.len()];
        assert_eq!(
            learn(&Lesson {
                weights: Some(&ones),
                ..lesson
            }),
            learn(&lesson)
        );
    }
}

#[test]
fn what_trees_cannot_learn_from_is_refused() {
    let dataset = breast_cancer();
    let soft = Array2::from_elem((dataset.len(), 2), 0.5);
    let ones = vec![1.0; dataset.len()];
    let rows = rows();
    let plain = Lesson::of(&rows, &[]);
    for trainer in trainers(&dataset) {
        for (lesson, word) in [
            (
                Lesson {
                    soft_labels: Some(soft.view()),
                    ..plain
                },
                "probabilities",
            ),
            (
                Lesson {
                    clips: Some(&ones),
                    ..plain
                },
                "clipped",
            ),
            (
                Lesson {
                    start: Some(&[]),
                    ..plain
                },
                "start from",
            ),
            (
                Lesson {
                    labels: Some(&dataset.labels[1..]),
                    ..plain
                },
                "labels",
            ),
            (
                Lesson {
                    weights: Some(&ones[1..]),
                    ..plain
                },
                "weights",
            ),
            (
                Lesson {
                    added: Some(Added {
                        features: dataset.features.slice_axis(Axis(0), Slice::from(..2)),
                        labels: &[0],
                    }),
                    ..plain
                },
                "added records",
            ),
        ] {
            let Err(error) = trainer.learn(&lesson, 1) else {
                panic!("{word} accepted");
            };
            assert_eq!(error.kind(), crate::error::ErrorKind::Usage);
            assert!(error.to_string().contains(word), "{error}");
        }
        let of_one: Vec<u32> = rows
            .iter()
            .copied()
            .filter(|&row| dataset.labels[row as usize] == 0)
            .collect();
        assert!(trainer.train(&of_one, &[], 1).is_err());
    }
}

#[test]
fn alterations_change_what_there_is_and_nothing_else_is_taken() {
    let dataset = breast_cancer();
    let [forest, boosting] = trainers(&dataset);
    let plain = Alteration::default();
    let validation: Vec<u32> = (300..400).collect();
    let want = logits(&*boosting.train(&rows(), &validation, 1).unwrap());
    for alteration in [
        Alteration {
            l2: Some(3.0),
            ..plain
        },
        Alteration {
            label_smoothing: Some(0.2),
            ..plain
        },
        Alteration {
            learning_rate: Some(0.3),
            ..plain
        },
        Alteration {
            epochs: Some(3),
            ..plain
        },
        Alteration {
            patience: Some(1),
            epochs: Some(500),
            ..plain
        },
    ] {
        let altered = boosting.altered(&alteration).unwrap();
        assert_ne!(
            logits(&*altered.train(&rows(), &validation, 1).unwrap()),
            want
        );
        assert!(forest.altered(&alteration).is_err(), "{alteration:?}");
        assert_eq!(altered.epochs(), Some(alteration.epochs.unwrap_or(8)));
    }
    for alteration in [
        Alteration {
            dropout: Some(0.1),
            ..plain
        },
        Alteration {
            privacy: Some(Privacy {
                clip: 1.0,
                noise_multiplier: 1.0,
            }),
            ..plain
        },
        Alteration {
            objective: Some(Objective::CrossEntropy),
            ..plain
        },
    ] {
        assert!(forest.altered(&alteration).is_err());
        assert!(boosting.altered(&alteration).is_err());
    }
    assert!(
        boosting
            .altered(&Alteration {
                label_smoothing: Some(1.5),
                ..plain
            })
            .is_err()
    );
    assert_eq!((forest.epochs(), boosting.epochs()), (None, Some(8)));
    assert_eq!(forest.kernel(), "trees");
}

#[test]
fn boosting_tells_losses_after_every_round_and_a_forest_does_not() {
    let dataset = breast_cancer();
    let [forest, boosting] = trainers(&dataset);
    assert!(forest.train_traced(&rows(), &[], &[1], 9).is_err());
    let traced = [7, 400, 3, 568, 7];
    let (model, traces) = boosting.train_traced(&rows(), &[], &traced, 9).unwrap();
    let logits = logits(&*model);
    assert_eq!(
        logits,
        self::logits(&*boosting.train(&rows(), &[], 9).unwrap())
    );
    assert_eq!(traces.dim(), (8, 5));
    for (&record, &last) in traced.iter().zip(traces.row(7)) {
        let row = logits.row(record as usize).mapv(f64::from);
        let loss = row.mapv(f64::exp).sum().ln() - row[dataset.labels[record as usize] as usize];
        assert!((f64::from(last) - loss).abs() <= 1e-6, "{last} {loss}");
    }
    let alone = boosting.train_traced(&rows(), &[], &[400], 9).unwrap().1;
    assert_eq!(alone.column(0), traces.column(1));
    assert!(boosting.memory_traced(300, 0, 569, 1) >= boosting.memory(300, 0, 1) + 8 * 569 * 4);
    assert!(forest.memory(300, 0, 2) > forest.memory(300, 0, 1));
}
