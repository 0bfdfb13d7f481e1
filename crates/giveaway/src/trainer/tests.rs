use giveaway_nn::{Network, Optimiser, Schedule, Training};

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
