//! A planted experiment (methods, sections 1.4 and 6.1): of 1,000 records a few are isolated.
//! Each of their values is a usual one, but not together. Queries that keep their distance must
//! give them away, and must say nothing of the others.

use giveaway::Result;
use giveaway::attack::direct::{DirectInference, LeftOut, Null};
use giveaway::channel::Channel;
use giveaway::dataset::Dataset;
use giveaway::enhance::Search;
use giveaway::enhance::space::QuerySpace;
use giveaway::membership::{Design, Membership};
use giveaway::signals::ModelSignals;
use giveaway::trainer::NetworkTrainer;
use giveaway::units::Units;
use giveaway_nn::{Activation, Network, Optimiser, Schedule, Training};
use giveaway_stats::random::{Stream, derive_seed};
use ndarray::Array2;

use crate::models::{Parts, side_by_side, signals, train};
use crate::subjects::{Grid, References, Subject, on_targets, subject};
use crate::synthetic::table;

const RECORDS: usize = 1000;
/// Columns come in pairs.
const PAIRS: usize = 8;
/// Standard deviation by which the two columns of a pair differ from the number they share.
const NOISE: f64 = 0.02;
/// 96 models build, 32 confirm and 128 test: `k_out` is 64.
const REFERENCES: usize = 256;
/// The first records are the isolated ones.
pub(crate) const ISOLATED: usize = PAIRS;
/// Numbers of queries.
pub(crate) const BUDGETS: [usize; 4] = [1, 10, 50, 200];

/// How large the experiment is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Targets: complementary pairs, which are no reference models.
    pub(crate) targets: usize,
    /// Records that are not isolated, tested likewise.
    pub(crate) inliers: usize,
    /// Random candidates for each record.
    pub(crate) candidates: usize,
    /// Whether the tested records are in no target's training set.
    pub(crate) held_out: bool,
}

/// What came of it. P-values are targets × subjects.
pub(crate) struct Outcome {
    pub(crate) units: Vec<u32>,
    /// With queries.
    pub(crate) subjects: Vec<Subject>,
    pub(crate) grid: Grid,
    pub(crate) direct: Vec<f64>,
    pub(crate) is_member: Vec<bool>,
    /// The pair of each target.
    pub(crate) families: Vec<usize>,
    /// The records themselves.
    pub(crate) dataset: Dataset,
}

/// Three overlapping clusters of two classes. In each pair the two columns are nearly the same
/// number; of each isolated record they are each other's negative in one pair, so that nobody
/// else says what a model has to make of the difference; and its class is not its cluster's.
fn records(seed: u64) -> Dataset {
    let mut stream = Stream::new(seed, "planted", 0);
    let mut features = Array2::zeros((RECORDS, 2 * PAIRS));
    let mut labels = Vec::with_capacity(RECORDS);
    for (record, mut row) in features.rows_mut().into_iter().enumerate() {
        let cluster = stream.below(3);
        for pair in 0..PAIRS {
            let centre = if pair == cluster { 1.5 } else { -0.5 };
            let value = centre + stream.normal();
            row[2 * pair] = (value + NOISE * stream.normal()) as f32;
            row[2 * pair + 1] = (value + NOISE * stream.normal()) as f32;
        }
        let mut class = cluster.min(1);
        if stream.uniform() < 0.1 {
            class = 1 - class;
        }
        if record < ISOLATED {
            // Each in a pair of its own.
            row[2 * record] = 3.0;
            row[2 * record + 1] = -3.0;
            class = 1 - cluster.min(1);
        }
        labels.push(class as u32);
    }
    table(features, labels)
}

/// Softmax regression, pulled towards 0: it generalises.
fn trainer(dataset: &Dataset) -> Result<NetworkTrainer> {
    let network = Network {
        inputs: 2 * PAIRS,
        image: None,
        hidden: Vec::new(),
        classes: 2,
        activation: Activation::Relu,
        dropout: 0.0,
        skips: Vec::new(),
    };
    let training = Training {
        epochs: 40,
        batch_size: 25,
        learning_rate: 0.05,
        optimiser: Optimiser::adam(),
        l2: 0.01,
        label_smoothing: 0.0,
        schedule: Schedule::Constant,
        early_stopping: None,
        augmentation: None,
    };
    NetworkTrainer::new(network, training, dataset, giveaway_nn::kernel())
}

/// Isolated records, then others drawn at random.
fn tested(inliers: usize, seed: u64) -> Vec<u32> {
    let mut others: Vec<u32> = (ISOLATED as u32..RECORDS as u32).collect();
    Stream::new(seed, "inliers", 0).shuffle(&mut others);
    others.truncate(inliers);
    (0..ISOLATED as u32).chain(others).collect()
}

pub(crate) fn experiment(size: Size, seed: u64) -> Result<Outcome> {
    let dataset = records(seed);
    let trainer = trainer(&dataset)?;
    let everybody: Vec<u32> = (0..RECORDS as u32).collect();
    let singles = Units::singletons(RECORDS);
    let halves = |models: usize, purpose: &str, eligible: &[u32]| {
        let seed = derive_seed(seed, purpose, 0);
        Membership::draw(Design::Halves, models, RECORDS, eligible, 0, seed)
    };
    let membership = halves(REFERENCES, "references", &everybody)?;
    let models = train(
        &trainer,
        &singles,
        &membership,
        derive_seed(seed, "references", 1),
    )?;
    let candidates = tested(size.inliers, seed);
    let mut eligible = everybody.clone();
    eligible.retain(|unit| !size.held_out || !candidates.contains(unit));
    let target_membership = halves(size.targets, "targets", &eligible)?;
    let targets = train(
        &trainer,
        &singles,
        &target_membership,
        derive_seed(seed, "targets", 1),
    )?;
    let signals = signals(&models, &membership, &singles, &dataset)?;
    let parts = Parts::of_audit(&membership);
    let references = References {
        models,
        membership,
        units: &singles,
    };
    let space = QuerySpace::new(&dataset, &everybody, seed);
    let search = Search {
        queries: 200,
        candidates: size.candidates,
        improved: 12,
        steps: 10,
        select: true,
        confirm: true,
        floor_multiple: 1.0,
        budgets: BUDGETS.to_vec(),
    };
    let found = side_by_side(candidates.len(), |number| {
        subject(
            &space,
            &references,
            &parts,
            candidates[number],
            &search,
            seed,
        )
    })?;
    let (mut units, mut subjects) = (Vec::new(), Vec::new());
    for (unit, subject) in candidates.into_iter().zip(found) {
        if let Some(subject) = subject {
            units.push(unit);
            subjects.push(subject);
        }
    }
    let grid = on_targets(&subjects, &targets, &BUDGETS)?;
    let inference = DirectInference::new(
        &signals,
        &references.membership,
        &everybody,
        references.membership.halves()[1].clone(),
    );
    let mut direct = Vec::new();
    for (number, target) in targets.iter().enumerate() {
        let logits = target.answer(dataset.features.view())?;
        let signals = ModelSignals::of_logits(
            &logits,
            &dataset.labels,
            &singles,
            Channel::default(),
            |unit| Some(target_membership.is_in(number, unit)),
        );
        let p = inference.p_values(Null::T, &signals, LeftOut::Nobody);
        direct.extend(units.iter().map(|&unit| p[unit as usize]));
    }
    let is_member = (0..size.targets)
        .flat_map(|target| units.iter().map(move |&unit| (target, unit)))
        .map(|(target, unit)| target_membership.is_in(target, unit as usize))
        .collect();
    Ok(Outcome {
        families: (0..size.targets)
            .map(|target| target_membership.family(target))
            .collect(),
        units,
        subjects,
        grid,
        direct,
        is_member,
        dataset,
    })
}
