use giveaway_nn::{Network, Objective, Optimiser, Privacy, Schedule, Training};
use ndarray::{Array1, Axis, Slice};

use super::*;
use crate::dataset::{Dataset, Encoding, EncodingOptions, Table, TableOptions};

const EPOCHS: usize = 5;

fn breast_cancer() -> Dataset {
    let table = Table::shipped("breast-cancer", &TableOptions::default()).unwrap();
    let rows: Vec<u32> = (0..table.len() as u32).collect();
    let encoding = Encoding::learn(&table, &rows, &EncodingOptions::default()).unwrap();
    encoding.encode(&table).unwrap()
}

fn trainer(dataset: &Dataset) -> NetworkTrainer {
    let network = Network {
        inputs: dataset.features.ncols(),
        hidden: vec![16],
        classes: dataset.class_count(),
        dropout: 0.3,
        ..Network::default()
    };
    let training = Training {
        epochs: EPOCHS,
        batch_size: 32,
        learning_rate: 0.01,
        optimiser: Optimiser::adam(),
        l2: 0.0,
        label_smoothing: 0.05,
        schedule: Schedule::Cosine,
        early_stopping: None,
        augmentation: None,
    };
    NetworkTrainer::new(network, training, dataset, giveaway_nn::kernel()).unwrap()
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

#[test]
fn the_trace_ends_with_the_losses_of_the_model_and_does_not_change_it() {
    let dataset = breast_cancer();
    let trainer = trainer(&dataset);
    let rows: Vec<u32> = (0..300).collect();
    let traced = [7, 400, 3, 568, 7];
    let plain = trainer.train(&rows, &[], 9).unwrap();
    let (model, traces) = trainer.train_traced(&rows, &[], &traced, 9).unwrap();
    let logits = logits(&*model);
    assert_eq!(logits, self::logits(&*plain));
    assert_eq!(traces.dim(), (EPOCHS, traced.len()));
    for (&record, &last) in traced.iter().zip(traces.row(EPOCHS - 1)) {
        let logits = logits.row(record as usize).mapv(f64::from);
        let label = dataset.labels[record as usize] as usize;
        let loss = logits.mapv(f64::exp).sum().ln() - logits[label];
        assert!(
            (f64::from(last) - loss).abs() <= 1e-6 * loss.max(1.0),
            "record {record}: {last} traced, {loss} of the model"
        );
    }
    let alone = trainer.train_traced(&rows, &[], &[400], 9).unwrap().1;
    assert_eq!(alone.column(0), traces.column(1));
    let nothing = trainer.train_traced(&rows, &[], &[], 9).unwrap().1;
    assert_eq!(nothing.dim(), (EPOCHS, 0));
    let (without, with) = (
        trainer.memory(300, 0, 1),
        trainer.memory_traced(300, 0, 569, 1),
    );
    assert!(with >= without + 2 * EPOCHS * 569 * size_of::<f32>());
}

#[test]
fn a_plain_lesson_through_an_unaltered_trainer_gives_the_plain_model() {
    let dataset = breast_cancer();
    let trainer = trainer(&dataset);
    let rows: Vec<u32> = (0..300).chain([5, 5]).collect();
    let want = logits(&*trainer.train(&rows, &[400, 401], 9).unwrap());
    let lesson = Lesson::of(&rows, &[400, 401]);
    let learnt = logits(&*trainer.learn(&lesson, 9).unwrap());
    assert_eq!(learnt, want);
    let altered = trainer.altered(&Alteration::default()).unwrap();
    assert_eq!(logits(&*altered.learn(&lesson, 9).unwrap()), want);
    // and so does what says no more than the data set: its labels, weights of 1, nothing added
    let none = Array2::zeros((0, dataset.features.ncols()));
    let lesson = Lesson {
        labels: Some(&dataset.labels),
        added: Some(Added {
            features: none.view(),
            labels: &[],
        }),
        ..lesson
    };
    assert_eq!(logits(&*trainer.learn(&lesson, 9).unwrap()), want);
    assert_eq!(
        (trainer.epochs(), trainer.batch_size()),
        (Some(EPOCHS), Some(32))
    );
}

#[test]
fn every_part_of_a_lesson_is_learnt_from() {
    let dataset = breast_cancer();
    let trainer = trainer(&dataset);
    let rows: Vec<u32> = (0..300).collect();
    let records = dataset.labels.len();
    let learn = |lesson: &Lesson| logits(&*trainer.learn(lesson, 9).unwrap());
    let plain = Lesson::of(&rows, &[]);
    let want = learn(&plain);

    let flipped: Vec<u32> = dataset.labels.iter().map(|label| 1 - label).collect();
    let hard = learn(&Lesson {
        labels: Some(&flipped),
        ..plain
    });
    assert_ne!(hard, want);
    // sure soft labels are labels
    let mut soft = Array2::zeros((records, 2));
    for (mut row, &label) in soft.rows_mut().into_iter().zip(&flipped) {
        row[label as usize] = 1.0;
    }
    let softly = learn(&Lesson {
        soft_labels: Some(soft.view()),
        ..plain
    });
    for (a, b) in hard.iter().zip(&softly) {
        assert!((a - b).abs() < 1e-4, "{a} {b}");
    }

    // weights of 0 for all but the first half
    let weights: Vec<f32> = (0..records)
        .map(|row| f32::from(u8::from(row < 150)))
        .collect();
    let weighted = learn(&Lesson {
        weights: Some(&weights),
        ..plain
    });
    assert_ne!(weighted, want);

    // added copies of records: the model answers for the data set alone, and depends on them
    let copies = dataset.features.slice_axis(Axis(0), Slice::from(300..320));
    let lesson = Lesson {
        added: Some(Added {
            features: copies,
            labels: &dataset.labels[300..320],
        }),
        ..plain
    };
    let grown = trainer.learn(&lesson, 9).unwrap();
    assert_eq!(grown.records(), records);
    let grown = logits(&*grown);
    assert_ne!(grown, want);
    // as if those records had been rows, whatever else a lesson has: the order of the rows is
    // the same, and so is every step
    let more: Vec<u32> = (0..320).collect();
    assert_eq!(grown, logits(&*trainer.train(&more, &[], 9).unwrap()));
    let ones = vec![1.0; records];
    let lesson = Lesson {
        weights: Some(&ones),
        ..lesson
    };
    let same = learn(&lesson);
    for (a, b) in grown.iter().zip(&same) {
        assert!((a - b).abs() < 1e-4, "{a} {b}");
    }
}

#[test]
fn training_goes_on_from_weights() {
    let dataset = breast_cancer();
    let trainer = trainer(&dataset);
    let rows: Vec<u32> = (0..300).collect();
    let first = trainer.train(&rows, &[], 9).unwrap();
    let weights = first.weights().unwrap();
    let none = Alteration {
        epochs: Some(0),
        ..Alteration::default()
    };
    let lesson = Lesson {
        start: Some(&weights),
        ..Lesson::of(&rows, &[])
    };
    let still = trainer.altered(&none).unwrap();
    let still = logits(&*still.learn(&lesson, 4).unwrap());
    assert_eq!(still, logits(&*first));
    let on = logits(&*trainer.learn(&lesson, 4).unwrap());
    assert_ne!(on, still);
    let lesson = Lesson {
        start: Some(b"no weights"),
        ..lesson
    };
    let error = trainer.learn(&lesson, 4).err().unwrap();
    assert!(error.to_string().contains("safetensors"), "{error}");
}

#[test]
fn alterations_change_training_and_nothing_else() {
    let dataset = breast_cancer();
    let trainer = trainer(&dataset);
    let rows: Vec<u32> = (0..300).collect();
    let validation: Vec<u32> = (300..350).collect();
    let plain = Alteration::default();
    let privacy = Privacy {
        clip: 0.5,
        noise_multiplier: 1.0,
    };
    let want = logits(&*trainer.train(&rows, &validation, 9).unwrap());
    let alterations = [
        Alteration {
            l2: Some(0.1),
            ..plain
        },
        Alteration {
            dropout: Some(0.6),
            ..plain
        },
        Alteration {
            label_smoothing: Some(0.4),
            ..plain
        },
        Alteration {
            epochs: Some(2),
            ..plain
        },
        Alteration {
            learning_rate: Some(0.003),
            ..plain
        },
        Alteration {
            privacy: Some(privacy),
            ..plain
        },
        Alteration {
            objective: Some(Objective::EntropyReward { strength: 0.5 }),
            ..plain
        },
        Alteration {
            objective: Some(Objective::Relaxed { level: 0.6 }),
            ..plain
        },
    ];
    let mut seen = vec![want.clone()];
    for alteration in &alterations {
        let altered = trainer.altered(alteration).unwrap();
        let have = logits(&*altered.train(&rows, &validation, 9).unwrap());
        assert!(!seen.contains(&have), "{alteration:?}");
        seen.push(have);
        // an alteration on top of one that says nothing keeps the first
        let again = altered.altered(&plain).unwrap();
        let have = logits(&*again.train(&rows, &validation, 9).unwrap());
        assert_eq!(Some(&have), seen.last(), "{alteration:?}");
    }
    assert_eq!(
        logits(&*trainer.train(&rows, &validation, 9).unwrap()),
        want
    );
    // one epoch of patience with a rate at which nothing gets better
    let hopeless = Alteration {
        patience: Some(1),
        learning_rate: Some(5.0),
        epochs: Some(1000),
        ..plain
    };
    let altered = trainer.altered(&hopeless).unwrap();
    assert_eq!(altered.epochs(), Some(1000));
    let (_, traces) = altered.train_traced(&rows, &validation, &[1], 9).unwrap();
    assert!(traces.nrows() < 900, "{}", traces.nrows());
    let error = altered.train(&rows, &[], 9).err().unwrap();
    assert!(error.to_string().contains("early stopping"), "{error}");

    let private = trainer.altered(&alterations[5]).unwrap();
    // clips are for DP-SGD, and change it
    let clips = vec![0.1; dataset.labels.len()];
    let lesson = Lesson {
        clips: Some(&clips),
        ..Lesson::of(&rows, &validation)
    };
    let clipped = logits(&*private.learn(&lesson, 9).unwrap());
    assert!(!seen.contains(&clipped));
    let error = trainer.learn(&lesson, 9).err().unwrap();
    assert!(error.to_string().contains("does not clip"), "{error}");
    let added = Lesson {
        added: Some(Added {
            features: dataset.features.slice_axis(Axis(0), Slice::from(0..2)),
            labels: &[0, 1],
        }),
        ..lesson
    };
    assert!(private.learn(&added, 9).is_ok());
}

#[test]
fn lessons_and_alterations_that_do_not_fit_are_refused() {
    let dataset = breast_cancer();
    let trainer = trainer(&dataset);
    let rows: Vec<u32> = (0..30).collect();
    let plain = Lesson::of(&rows, &[]);
    let narrow = Array2::from_elem((dataset.labels.len(), 1), 1.0f32);
    let refused = |lesson: &Lesson, part: &str| {
        let error = trainer.learn(lesson, 9).err().unwrap().to_string();
        assert!(error.contains(part), "{error}");
    };
    refused(
        &Lesson {
            soft_labels: Some(narrow.view()),
            ..plain
        },
        "569 × 1 for 569 records and 2 classes",
    );
    refused(
        &Lesson {
            labels: Some(&[0, 1]),
            ..plain
        },
        "2 labels for 569",
    );
    refused(
        &Lesson {
            weights: Some(&[0.0; 4]),
            ..plain
        },
        "4 weights",
    );
    refused(
        &Lesson {
            added: Some(Added {
                features: narrow.slice_axis(Axis(0), Slice::from(..1)),
                labels: &[0],
            }),
            ..plain
        },
        "1 features",
    );
    let altered = |alteration: Alteration, part: &str| {
        let error = trainer.altered(&alteration).err().unwrap().to_string();
        assert!(error.contains(part), "{error}");
    };
    let plain = Alteration::default();
    altered(
        Alteration {
            l2: Some(-1.0),
            ..plain
        },
        "l2 is -1",
    );
    altered(
        Alteration {
            dropout: Some(1.0),
            ..plain
        },
        "dropout is 1",
    );
    altered(
        Alteration {
            patience: Some(0),
            ..plain
        },
        "patience",
    );
    altered(
        Alteration {
            objective: Some(Objective::Relaxed { level: 0.1 }),
            privacy: Some(Privacy {
                clip: 1.0,
                noise_multiplier: 1.0,
            }),
            ..plain
        },
        "do not go together",
    );
    let refused = Blind.learn(
        &Lesson {
            weights: Some(&[1.0]),
            ..Lesson::default()
        },
        1,
    );
    assert!(refused.err().unwrap().to_string().contains("as they are"));
    assert!(Blind.altered(&plain).is_err());
}

#[test]
fn a_model_tells_what_its_last_layer_sees_of_any_inputs() {
    let dataset = breast_cancer();
    let trainer = trainer(&dataset);
    let rows: Vec<u32> = (0..300).collect();
    let model = trainer.train(&rows, &[], 9).unwrap();
    let mut all = Vec::new();
    model
        .each_features(&mut |block| {
            all.extend(block.outer_iter().map(|row| row.to_owned()));
            Ok(())
        })
        .unwrap();
    let inputs = dataset.features.slice_axis(Axis(0), Slice::from(100..110));
    let features = model.features_of(inputs).unwrap().unwrap();
    assert_eq!(features.ncols(), model.features());
    let want: Vec<Array1<f32>> = all[100..110].to_vec();
    let have: Vec<Array1<f32>> = features.outer_iter().map(|row| row.to_owned()).collect();
    assert_eq!(have, want);
    let narrow = dataset.features.slice_axis(Axis(1), Slice::from(..3));
    assert!(model.features_of(narrow).is_err());
}

/// Trains nothing, and cannot look into it.
struct Blind;

impl Trainer for Blind {
    fn train(&self, _: &[u32], _: &[u32], _: u64) -> Result<Box<dyn Model + '_>> {
        Err(Error::unexpected("not asked for"))
    }

    fn memory(&self, _: usize, _: usize, _: usize) -> usize {
        3
    }

    fn kernel(&self) -> String {
        String::new()
    }
}

#[test]
fn a_trainer_without_traces_says_so() {
    let error = Blind.train_traced(&[0], &[], &[0], 1).err().unwrap();
    assert!(error.to_string().contains("after every epoch"), "{error}");
    assert!(error.hint_text().unwrap().contains("LT-IQR"));
    assert_eq!(Blind.memory_traced(1, 0, 1, 1), 3);
}
