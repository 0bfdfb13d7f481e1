#![expect(
    clippy::float_cmp,
    reason = "settings and labels must arrive as they were given"
)]

use std::io;
use std::sync::{Arc, Mutex};

use giveaway_nn::{Network, Objective, Optimiser, Schedule, Training};
use giveaway_stats::random::Stream;
use ndarray::{Array2, ArrayView2};

use super::*;
use crate::dataset::{Dataset, Encoding, EncodingOptions, Table, TableOptions};
use crate::defend::{Bench, Defence, Stage, registry};
use crate::error::Result;
use crate::trainer::{Alteration, Lesson, Model, NetworkTrainer, Sink, Trainer};
use crate::units::Units;

const RECORDS: usize = 160;

/// Some records of Breast Cancer, units of up to three records, and lists of some of them.
struct Fixture {
    dataset: Dataset,
    units: Units,
    exposed: Vec<bool>,
    suspects: Vec<Option<u32>>,
    held: Vec<bool>,
}

impl Fixture {
    fn new() -> Self {
        let table = Table::shipped("breast-cancer", &TableOptions::default()).unwrap();
        let rows: Vec<u32> = (0..table.len() as u32).collect();
        let encoding = Encoding::learn(&table, &rows, &EncodingOptions::default()).unwrap();
        let mut dataset = encoding.encode(&table).unwrap();
        let first = ndarray::Slice::from(..RECORDS);
        dataset.features = dataset
            .features
            .slice_axis(ndarray::Axis(0), first)
            .to_owned();
        dataset.labels.truncate(RECORDS);
        dataset.ids.truncate(RECORDS);
        let sets: Vec<Vec<u32>> = (0..10)
            .map(|set| vec![set * 9, set * 9 + 4, set * 9 + 8])
            .collect();
        let units = Units::from_sets(RECORDS, &sets).unwrap();
        let mut exposed = vec![false; RECORDS];
        let mut held = vec![false; RECORDS];
        for unit in 0..units.len() {
            for &record in units.records(unit) {
                exposed[record as usize] = unit % 11 == 3;
                held[record as usize] = unit % 3 == 1 && unit % 11 != 3;
            }
        }
        let suspects = (0..RECORDS)
            .map(|record| (exposed[record] && record % 2 == 0).then(|| 1 - dataset.labels[record]))
            .collect();
        Self {
            dataset,
            units,
            exposed,
            suspects,
            held,
        }
    }

    fn trainer(&self) -> NetworkTrainer {
        let network = Network {
            inputs: self.dataset.features.ncols(),
            hidden: vec![6],
            classes: 2,
            ..Network::default()
        };
        let training = Training {
            epochs: 6,
            batch_size: 16,
            learning_rate: 0.02,
            optimiser: Optimiser::adam(),
            l2: 0.0,
            label_smoothing: 0.0,
            schedule: Schedule::Constant,
            early_stopping: None,
            augmentation: None,
        };
        NetworkTrainer::new(network, training, &self.dataset, giveaway_nn::kernel()).unwrap()
    }

    fn bench<'a>(&'a self, trainer: &'a dyn Trainer) -> Bench<'a> {
        Bench {
            dataset: &self.dataset,
            units: &self.units,
            trainer,
            training_records: 100,
            exposed: &self.exposed,
            suspects: &self.suspects,
            held: &self.held,
            seed: 17,
        }
    }

    /// Rows with a record twice, and validation rows that are others.
    fn rows() -> (Vec<u32>, Vec<u32>) {
        let mut rows: Vec<u32> = (0..110).collect();
        rows.push(41);
        (rows, (120..140).collect())
    }
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

/// All defences that change training, of the registry.
fn defences() -> Vec<Box<dyn Defence>> {
    let all = registry::names()
        .into_iter()
        .map(|name| registry::parse(name).unwrap());
    all.filter(|defence| defence.about().stage == Stage::Training)
        .collect()
}

fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.unwrap().install(work)
}

#[test]
fn models_follow_from_rows_and_seed_and_not_from_threads() {
    let fixture = Fixture::new();
    let plain = fixture.trainer();
    let bench = fixture.bench(&plain);
    let (rows, validation) = Fixture::rows();
    let undefended = logits(&*plain.train(&rows, &validation, 5).unwrap());
    let defences = defences();
    assert!(defences.len() >= 17);
    for defence in &defences {
        let name = defence.name();
        let trainer = defence.trainer(&bench).unwrap().unwrap();
        let train = |threads, seed| {
            on_threads(threads, || {
                logits(&*trainer.train(&rows, &validation, seed).unwrap())
            })
        };
        let once = train(1, 5);
        assert_eq!(once, train(1, 5), "{name}");
        assert_eq!(once, train(2, 5), "{name}");
        assert_ne!(once, train(1, 6), "{name}");
        assert_ne!(once, undefended, "{name} does nothing");
        assert!(once.iter().all(|x| x.is_finite()), "{name}");
        assert_eq!(once.dim(), (RECORDS, 2), "{name}");
        let memory = |trainer: &dyn Trainer| trainer.memory(rows.len(), validation.len(), 1);
        assert!(memory(&*trainer) >= memory(&plain), "{name}");
        assert_eq!(trainer.kernel(), plain.kernel());
        assert_eq!(trainer.batch_size(), Some(16));
        // another of the same kind, asked as before
        let again = defence.trainer(&bench).unwrap().unwrap();
        assert_eq!(
            once,
            logits(&*again.train(&rows, &validation, 5).unwrap()),
            "{name}"
        );
        // a model can be kept and asked again
        let model = trainer.train(&rows, &validation, 5).unwrap();
        let weights = model.weights().unwrap();
        assert_eq!(once, logits(&*trainer.restore(&weights).unwrap()), "{name}");
    }
}

#[test]
fn where_nothing_is_exposed_or_suspect_training_is_as_without_or_refused() {
    let fixture = Fixture::new();
    let plain = fixture.trainer();
    let bench = fixture.bench(&plain);
    // none of the exposed
    let rows: Vec<u32> = (0..110)
        .filter(|&row| !fixture.exposed[row as usize])
        .collect();
    let want = logits(&*plain.train(&rows, &[], 5).unwrap());
    let none = [false; RECORDS];
    let nobody = Bench {
        exposed: &none,
        suspects: &[None; RECORDS],
        ..bench
    };
    for name in [
        "remove",
        "relabel",
        "down-weight",
        "neighbours",
        "fine-tune",
    ] {
        let defence = registry::parse(name).unwrap();
        let trainer = defence.trainer(&bench).unwrap().unwrap();
        assert_eq!(
            logits(&*trainer.train(&rows, &[], 5).unwrap()),
            want,
            "{name}"
        );
        let error = defence.trainer(&nobody).err().unwrap().to_string();
        assert!(error.contains("there is nothing to"), "{name}: {error}");
    }
    for name in ["remove-random", "harder-clipping"] {
        let defence = registry::parse(name).unwrap();
        assert!(defence.trainer(&nobody).is_err(), "{name}");
    }
    // no rows to watch
    let unwatched: Vec<u32> = rows
        .iter()
        .copied()
        .filter(|&row| !fixture.held[row as usize])
        .collect();
    let stopping = EarlyStopping::new(3, 0.2).unwrap();
    let trainer = stopping.trainer(&bench).unwrap().unwrap();
    assert_eq!(
        logits(&*trainer.train(&unwatched, &[], 5).unwrap()),
        logits(&*plain.train(&unwatched, &[], 5).unwrap())
    );
    let unheld = Bench {
        held: &none,
        ..bench
    };
    let error = EarlyStopping::new(3, 0.2).unwrap();
    let error = error.trainer(&unheld).err().unwrap().to_string();
    assert!(error.contains("no figure is taken from"), "{error}");
    let all: Vec<u32> = (0..RECORDS as u32)
        .filter(|&row| fixture.exposed[row as usize])
        .collect();
    for name in ["remove", "fine-tune"] {
        let defence = registry::parse(name).unwrap();
        let trainer = defence.trainer(&bench).unwrap().unwrap();
        let error = trainer.train(&all, &[], 5).err().unwrap().to_string();
        assert!(error.contains("nothing is left"), "{name}: {error}");
    }
}

#[test]
fn removal_is_training_without_the_exposed() {
    let fixture = Fixture::new();
    let plain = fixture.trainer();
    let bench = fixture.bench(&plain);
    let (rows, validation) = Fixture::rows();
    let remove = Remove::exposed();
    let trainer = remove.trainer(&bench).unwrap().unwrap();
    let have = logits(&*trainer.train(&rows, &validation, 5).unwrap());
    let kept: Vec<u32> = rows
        .iter()
        .copied()
        .filter(|&row| !fixture.exposed[row as usize])
        .collect();
    assert!(kept.len() < rows.len());
    assert_eq!(have, logits(&*plain.train(&kept, &validation, 5).unwrap()));

    // the control: as many, none of them exposed or held, units whole
    let removed = Remove::random().removed(&bench);
    let count = |marked: &[bool]| marked.iter().filter(|x| **x).count();
    assert_eq!(count(&removed), count(&fixture.exposed));
    for record in (0..RECORDS).filter(|&record| removed[record]) {
        assert!(!fixture.exposed[record] && !fixture.held[record]);
        let unit = fixture.units.records(fixture.units.of_record(record));
        assert!(unit.iter().all(|&record| removed[record as usize]));
    }
    let other = Bench { seed: 18, ..bench };
    assert_ne!(removed, Remove::random().removed(&other));
}

/// What a trainer was asked for.
#[derive(Clone, Debug, Default)]
struct Call {
    alteration: Alteration,
    rows: Vec<u32>,
    validation: Vec<u32>,
    seed: u64,
    labels: Option<Vec<u32>>,
    soft_labels: Option<Array2<f32>>,
    weights: Option<Vec<f32>>,
    added: Option<(Array2<f32>, Vec<u32>)>,
    clips: Option<Vec<f32>>,
    start: Option<Vec<u8>>,
}

/// Notes what it is asked for; its models answer as drawn from the seed.
#[derive(Clone, Default)]
struct Spy {
    alteration: Alteration,
    calls: Arc<Mutex<Vec<Call>>>,
}

struct SpiedModel(u64);

/// The logits that a model of this seed answers for a record.
fn spied_logits(seed: u64, record: usize) -> [f32; 2] {
    let mut stream = Stream::new(seed, "spy", record as u64);
    [stream.normal() as f32, stream.normal() as f32]
}

impl Model for SpiedModel {
    fn records(&self) -> usize {
        RECORDS
    }

    fn classes(&self) -> usize {
        2
    }

    fn each_logits(&self, sink: Sink) -> io::Result<()> {
        // in blocks of 50
        for start in (0..RECORDS).step_by(50) {
            let rows = start..(start + 50).min(RECORDS);
            let answers: Vec<f32> = rows
                .clone()
                .flat_map(|row| spied_logits(self.0, row))
                .collect();
            sink(
                Array2::from_shape_vec((rows.len(), 2), answers)
                    .unwrap()
                    .view(),
            )?;
        }
        Ok(())
    }

    fn features(&self) -> usize {
        0
    }

    fn each_features(&self, _: Sink) -> io::Result<()> {
        Ok(())
    }

    fn answer(&self, inputs: ArrayView2<f32>) -> Result<Array2<f32>> {
        Ok(Array2::zeros((inputs.nrows(), 2)))
    }

    fn weights(&self) -> Result<Vec<u8>> {
        Ok(self.0.to_le_bytes().to_vec())
    }
}

impl Trainer for Spy {
    fn train(&self, rows: &[u32], validation: &[u32], seed: u64) -> Result<Box<dyn Model + '_>> {
        self.learn(&Lesson::of(rows, validation), seed)
    }

    fn memory(&self, _: usize, _: usize, _: usize) -> usize {
        1000
    }

    fn learn(&self, lesson: &Lesson<'_>, seed: u64) -> Result<Box<dyn Model + '_>> {
        self.calls.lock().unwrap().push(Call {
            alteration: self.alteration,
            rows: lesson.rows.to_vec(),
            validation: lesson.validation.to_vec(),
            seed,
            labels: lesson.labels.map(<[u32]>::to_vec),
            soft_labels: lesson.soft_labels.map(|soft| soft.to_owned()),
            weights: lesson.weights.map(<[f32]>::to_vec),
            added: lesson
                .added
                .map(|added| (added.features.to_owned(), added.labels.to_vec())),
            clips: lesson.clips.map(<[f32]>::to_vec),
            start: lesson.start.map(<[u8]>::to_vec),
        });
        Ok(Box::new(SpiedModel(seed)))
    }

    fn altered(&self, alteration: &Alteration) -> Result<Box<dyn Trainer + '_>> {
        Ok(Box::new(Self {
            alteration: *alteration,
            calls: Arc::clone(&self.calls),
        }))
    }

    fn batch_size(&self) -> Option<usize> {
        Some(10)
    }

    fn epochs(&self) -> Option<usize> {
        Some(20)
    }

    fn kernel(&self) -> String {
        "spy".into()
    }
}

/// What is asked of a trainer behind a defence, with the rows of the fixture.
fn calls(fixture: &Fixture, defence: &dyn Defence, rows: &[u32], validation: &[u32]) -> Vec<Call> {
    let spy = Spy::default();
    let bench = fixture.bench(&spy);
    let trainer = defence.trainer(&bench).unwrap().unwrap();
    trainer.train(rows, validation, 5).unwrap();
    assert!(trainer.memory(rows.len(), validation.len(), 1) >= 1000);
    std::mem::take(&mut *spy.calls.lock().unwrap())
}

#[test]
fn settings_reach_the_trainer() {
    let fixture = Fixture::new();
    let (rows, validation) = Fixture::rows();
    let plain = Alteration::default();
    let hamp = HampTraining::new(0.8, 0.01).unwrap();
    for (name, want) in [
        (
            "l2:0.5",
            Alteration {
                l2: Some(0.5),
                ..plain
            },
        ),
        (
            "dropout:0.25",
            Alteration {
                dropout: Some(0.25),
                ..plain
            },
        ),
        (
            "l2+dropout:0.5,0.25",
            Alteration {
                l2: Some(0.5),
                dropout: Some(0.25),
                ..plain
            },
        ),
        (
            "label-smoothing:0.1",
            Alteration {
                label_smoothing: Some(0.1),
                ..plain
            },
        ),
        (
            "relax-loss:0.5",
            Alteration {
                objective: Some(Objective::Relaxed { level: 0.5 }),
                ..plain
            },
        ),
        ("hamp-training:0.8,0.01", hamp.alteration(2)),
    ] {
        let defence = registry::parse(name).unwrap();
        let calls = calls(&fixture, &*defence, &rows, &validation);
        assert_eq!(calls.len(), 1, "{name}");
        assert_eq!(calls[0].alteration, want, "{name}");
        assert_eq!((&calls[0].rows, &calls[0].validation), (&rows, &validation));
        assert_eq!(calls[0].seed, 5);
    }
}

#[test]
fn labels_of_hamp_have_the_entropy_wanted_and_no_more() {
    for share in [0.0, 0.3, 0.8, 0.99] {
        let hamp = HampTraining::new(share, 0.01).unwrap();
        for classes in [2usize, 3, 10, 100] {
            let t = hamp.label_probability(classes);
            let entropy = |t: f64| {
                let other = (1.0 - t) / (classes - 1) as f64;
                let part = |p: f64| if p > 0.0 { -p * p.ln() } else { 0.0 };
                part(t) + (classes - 1) as f64 * part(other)
            };
            let wanted = share * (classes as f64).ln();
            assert!(
                (entropy(t) - wanted).abs() < 1e-9,
                "{share}, {classes}: {t}"
            );
            assert!(t >= 1.0 / classes as f64);
            // as label smoothing: (1 − s) + s/c at the label, s/c elsewhere
            let s = f64::from(hamp.alteration(classes).label_smoothing.unwrap());
            assert!((1.0 - s + s / classes as f64 - t).abs() < 1e-6);
        }
    }
    // 0.757: −0.757 ln 0.757 − 0.243 ln 0.243 = 0.8 ln 2
    let t = HampTraining::new(0.8, 0.0).unwrap().label_probability(2);
    assert!((t - 0.757).abs() < 1e-3, "{t}");
}

#[test]
fn early_stopping_watches_held_records_that_are_not_trained_on() {
    let fixture = Fixture::new();
    let (rows, validation) = Fixture::rows();
    let defence = EarlyStopping::new(4, 0.2).unwrap();
    let calls = calls(&fixture, &defence, &rows, &validation);
    assert_eq!(calls.len(), 1);
    let call = &calls[0];
    assert_eq!(call.alteration.patience, Some(4));
    assert_eq!(call.validation[..20], validation);
    let back = &call.validation[20..];
    // a fifth of 111, but for what units leave
    assert!((20..=22).contains(&back.len()), "{}", back.len());
    let mut all = [&call.rows[..], back].concat();
    all.sort_unstable();
    let mut want = rows.clone();
    want.sort_unstable();
    assert_eq!(all, want);
    let mut kept = call.rows.clone();
    kept.dedup();
    for &row in back {
        assert!(fixture.held[row as usize]);
        let unit = fixture.units.records(fixture.units.of_record(row as usize));
        assert!(
            unit.iter().all(|record| !call.rows.contains(record)),
            "{row}"
        );
    }
}

#[test]
fn selena_answers_for_a_record_by_the_models_that_never_saw_its_unit() {
    let fixture = Fixture::new();
    let (rows, validation) = Fixture::rows();
    let (models, left_out) = (7, 3);
    let defence = Selena::new(models, left_out).unwrap();
    let calls = calls(&fixture, &defence, &rows, &validation);
    assert_eq!(calls.len(), models + 1);
    let (last, subs) = calls.split_last().unwrap();
    assert_eq!((&last.rows, &last.validation), (&rows, &validation));
    let soft = last.soft_labels.as_ref().unwrap();
    let mut patterns = Vec::new();
    for record in 0..RECORDS {
        let label = fixture.dataset.labels[record] as usize;
        if !rows.contains(&(record as u32)) {
            assert_eq!(soft[[record, label]], 1.0);
            assert_eq!(soft[[record, 1 - label]], 0.0);
            continue;
        }
        let unit = fixture.units.records(fixture.units.of_record(record));
        let blind: Vec<&Call> = subs
            .iter()
            .filter(|call| !call.rows.contains(&(record as u32)))
            .collect();
        assert_eq!(blind.len(), left_out);
        let mut want = 0.0;
        for call in &blind {
            assert!(unit.iter().all(|record| !call.rows.contains(record)));
            let z = spied_logits(call.seed, record);
            want += 1.0 / (1.0 + f64::from(z[1] - z[0]).exp()) / left_out as f64;
        }
        assert!((f64::from(soft[[record, 0]]) - want).abs() < 1e-6);
        assert!((soft.row(record).sum() - 1.0).abs() < 1e-6);
        patterns.push(blind.iter().map(|call| call.seed).collect::<Vec<u64>>());
    }
    patterns.sort();
    patterns.dedup();
    // 35 ways to choose 3 of 7
    assert!(patterns.len() > 20, "{}", patterns.len());
    for call in subs {
        assert_eq!(call.validation, validation);
        // a row that occurs twice does so wherever it is seen
        let count = call.rows.iter().filter(|&&row| row == 41).count();
        assert!(count == 0 || count == 2);
    }
}

#[test]
fn a_student_learns_the_teachers_probabilities() {
    let fixture = Fixture::new();
    let (rows, validation) = Fixture::rows();
    let defence = Distillation::new(2.0).unwrap();
    let calls = calls(&fixture, &defence, &rows, &validation);
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].rows, rows);
    assert!(calls[0].soft_labels.is_none() && calls[0].seed != calls[1].seed);
    assert_eq!((&calls[1].rows, &calls[1].validation), (&rows, &validation));
    let soft = calls[1].soft_labels.as_ref().unwrap();
    for record in 0..RECORDS {
        let want = if rows.contains(&(record as u32)) {
            let z = spied_logits(calls[0].seed, record);
            1.0 / (1.0 + (f64::from(z[1] - z[0]) / 2.0).exp())
        } else {
            f64::from(1 - fixture.dataset.labels[record])
        };
        assert!(
            (f64::from(soft[[record, 0]]) - want).abs() < 1e-6,
            "{record}"
        );
    }
}

#[test]
fn suspects_get_the_other_label_and_exposed_records_the_weight() {
    let mut fixture = Fixture::new();
    let (rows, mut validation) = Fixture::rows();
    // a validation row that is on both lists
    let marked = fixture
        .exposed
        .iter()
        .rposition(|exposed| *exposed)
        .unwrap();
    assert!(marked >= 110);
    fixture.suspects[marked] = Some(1 - fixture.dataset.labels[marked]);
    validation.push(marked as u32);
    let relabelled = calls(&fixture, &Relabel, &rows, &validation);
    let labels = relabelled[0].labels.as_ref().unwrap();
    let weighted = calls(
        &fixture,
        &DownWeight::new(0.25).unwrap(),
        &rows,
        &validation,
    );
    let weights = weighted[0].weights.as_ref().unwrap();
    let mut changed = 0;
    for &row in &rows {
        let row = row as usize;
        let own = fixture.dataset.labels[row];
        assert_eq!(labels[row], fixture.suspects[row].unwrap_or(own));
        changed += usize::from(labels[row] != own);
        assert_eq!(weights[row], if fixture.exposed[row] { 0.25 } else { 1.0 });
    }
    assert!(changed > 2);
    for &row in &validation {
        assert_eq!(labels[row as usize], fixture.dataset.labels[row as usize]);
        assert_eq!(weights[row as usize], 1.0);
    }
    for call in [&relabelled[0], &weighted[0]] {
        assert_eq!(
            (&call.rows, &call.validation, call.seed),
            (&rows, &validation, 5)
        );
    }
}

#[test]
fn neighbours_lie_between_exposed_records_and_the_nearest_of_their_class() {
    let mut fixture = Fixture::new();
    let (rows, validation) = Fixture::rows();
    // one who is in the data several times, nearly the same: no company for each other
    let units = &fixture.units;
    let person = (0..units.len())
        .map(|unit| units.records(unit))
        .find(|records| records.len() == 3 && fixture.exposed[records[0] as usize]);
    let person: Vec<usize> = person
        .unwrap()
        .iter()
        .map(|&record| record as usize)
        .collect();
    let own = fixture.dataset.features.row(person[0]).to_owned();
    for (by, &record) in [0.0, 1e-3, 2e-3].iter().zip(&person) {
        fixture
            .dataset
            .features
            .row_mut(record)
            .assign(&(&own + *by));
        fixture.dataset.labels[record] = fixture.dataset.labels[person[0]];
    }
    let (count, nearest) = (4, 3);
    let defence = Neighbours::new(count, nearest).unwrap();
    let calls = calls(&fixture, &defence, &rows, &validation);
    assert_eq!((&calls[0].rows, calls[0].seed), (&rows, 5));
    let (added, labels) = calls[0].added.as_ref().unwrap();
    let exposed: Vec<usize> = (0..110).filter(|&record| fixture.exposed[record]).collect();
    assert_eq!(
        added.dim(),
        (count * exposed.len(), fixture.dataset.features.ncols())
    );
    let features = &fixture.dataset.features;
    let squared = |a: usize, b: usize| {
        let difference = &features.row(a) - &features.row(b);
        difference.iter().map(|x| f64::from(x * x)).sum::<f64>()
    };
    for (i, (point, &label)) in added.outer_iter().zip(labels).enumerate() {
        let record = exposed[i / count];
        assert_eq!(label, fixture.dataset.labels[record]);
        // by brute force
        let mut others: Vec<usize> = (0..110)
            .filter(|&other| {
                fixture.dataset.labels[other] == label
                    && fixture.units.of_record(other) != fixture.units.of_record(record)
            })
            .collect();
        others.sort_by(|&a, &b| squared(record, a).total_cmp(&squared(record, b)));
        let between = |other: usize| {
            let (from, to) = (features.row(record), features.row(other));
            let step = (&point - &from).dot(&(&to - &from)) / squared(record, other) as f32;
            let off = &from + (&to - &from) * step - point;
            (0.0..1.0).contains(&step) && off.iter().all(|x| x.abs() < 1e-4)
        };
        assert!(others[..nearest].iter().any(|&other| between(other)), "{i}");
    }
    let distinct: std::collections::HashSet<Vec<u32>> = added
        .outer_iter()
        .map(|row| row.iter().map(|x| x.to_bits()).collect())
        .collect();
    assert_eq!(distinct.len(), added.nrows());
}

#[test]
fn dp_sgd_takes_the_noise_of_the_accountant_and_exposed_records_a_smaller_clip() {
    use giveaway_stats::accounting::{Accountant, Sampled};

    let fixture = Fixture::new();
    let (rows, validation) = Fixture::rows();
    let spy = Spy::default();
    let bench = fixture.bench(&spy);
    let all = DpSgd::new(4.0, 0.5).unwrap();
    let guarantee = all.guarantee(&bench).unwrap();
    // batches of 10 of 100 records, 20 epochs of 10 steps
    assert_eq!(
        (guarantee.rate, guarantee.steps, guarantee.delta),
        (0.1, 200, 0.01)
    );
    let called = calls(&fixture, &all, &rows, &validation);
    let privacy = called[0].alteration.privacy.unwrap();
    assert_eq!(privacy.clip, 0.5);
    let epsilon = |noise: f64, delta: f64, steps: u64| {
        let sampled = Sampled::new(0.1, noise, steps).unwrap();
        sampled
            .epsilon(delta, Accountant::LossDistribution)
            .unwrap()
    };
    let noise = f64::from(privacy.noise_multiplier);
    let spent = epsilon(noise, 0.01, 200);
    assert!(spent <= 4.0 && spent > 3.99, "{spent}");

    let longer = all
        .epochs(40)
        .unwrap()
        .learning_rate(0.5)
        .unwrap()
        .delta(1e-3)
        .unwrap();
    let called = calls(&fixture, &longer, &rows, &validation);
    let alteration = called[0].alteration;
    assert_eq!(
        (alteration.epochs, alteration.learning_rate),
        (Some(40), Some(0.5))
    );
    let noise = f64::from(alteration.privacy.unwrap().noise_multiplier);
    let spent = epsilon(noise, 1e-3, 400);
    assert!(spent <= 4.0 && spent > 3.99, "{spent}");

    let none = DpSgd::new(f64::INFINITY, 1.0).unwrap();
    let called = calls(&fixture, &none, &rows, &validation);
    assert_eq!(called[0].alteration.privacy.unwrap().noise_multiplier, 0.0);

    let harder = HarderClipping::new(all, 0.25).unwrap();
    let (plain, exposed) = harder.guarantees(&bench).unwrap();
    assert_eq!(plain, guarantee);
    let want = epsilon(4.0 * guarantee.noise_multiplier, 0.01, 200);
    assert!(
        (exposed.epsilon - want).abs() < 1e-9 && want < 1.0,
        "{exposed:?}"
    );
    let called = calls(&fixture, &harder, &rows, &validation);
    assert_eq!(called[0].alteration.privacy, Some(privacy));
    for (clip, exposed) in called[0]
        .clips
        .as_ref()
        .unwrap()
        .iter()
        .zip(&fixture.exposed)
    {
        assert_eq!(*clip, if *exposed { 0.25 } else { 1.0 });
    }
}

#[test]
fn fine_tuning_goes_on_from_the_weights_without_the_exposed() {
    let fixture = Fixture::new();
    let (rows, validation) = Fixture::rows();
    let calls = calls(&fixture, &FineTune::new(3).unwrap(), &rows, &validation);
    assert_eq!(calls.len(), 2);
    assert_eq!((&calls[0].rows, calls[0].seed), (&rows, 5));
    assert_eq!(calls[0].alteration, Alteration::default());
    assert_eq!(calls[1].alteration.epochs, Some(3));
    assert_eq!(calls[1].start.as_deref(), Some(&5u64.to_le_bytes()[..]));
    assert!(calls[1].seed != 5);
    let kept: Vec<u32> = rows
        .into_iter()
        .filter(|&row| !fixture.exposed[row as usize])
        .collect();
    assert_eq!((&calls[1].rows, &calls[1].validation), (&kept, &validation));
}

#[test]
fn what_is_said_is_complete() {
    for defence in defences() {
        let about = defence.about();
        let name = defence.name();
        for (what, text) in [
            ("title", &about.title),
            ("what", &about.what),
            ("promise", about.promise.as_ref().unwrap()),
            ("scikit_learn", &about.scikit_learn),
            ("pytorch", &about.pytorch),
        ] {
            assert!(text.len() > 4, "{name}: {what}");
            assert_eq!(text.trim(), text, "{name}: {what}");
        }
        assert!(
            about.source.contains(char::is_numeric),
            "{name}: {}",
            about.source
        );
        assert!(!about.keeps_labels, "{name}");
        let needs = [
            "remove",
            "relabel",
            "down-weight",
            "neighbours",
            "harder-clipping",
            "fine-tune",
        ];
        let short = name.split(':').next().unwrap();
        assert_eq!(about.sample_aware, needs.contains(&short), "{name}");
    }
}
