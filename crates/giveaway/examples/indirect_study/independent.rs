//! Independent draws: each has records, reference models and a target of its own, and one
//! record that the target was not trained on. So the p-values are independent of each other,
//! and a Kolmogorov–Smirnov test means what it says.

use giveaway::Result;
use giveaway::dataset::Dataset;
use giveaway::enhance::Search;
use giveaway::enhance::space::QuerySpace;
use giveaway::membership::{Design, Membership};
use giveaway::select::{Amount, Rule, loss_vulnerability, take};
use giveaway::trainer::{NetworkTrainer, Trainer};
use giveaway::units::Units;
use giveaway_nn::{Activation, Network, Optimiser, Schedule, Training};
use giveaway_stats::random::{Stream, derive_seed};
use ndarray::Array2;

use crate::models::{Parts, side_by_side, signals, train};
use crate::subjects::{References, Subject, answers, subject};
use crate::synthetic::table;

const RECORDS: usize = 200;
const FEATURES: usize = 6;
/// 23 pairs build, 7 confirm and 30 test.
const REFERENCES: usize = 120;
/// Numbers of queries.
pub(crate) const BUDGETS: [usize; 3] = [1, 10, 50];
/// Most vulnerable records for which queries are looked for until some are found.
const TRIED: usize = 5;

/// Which models build the queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Building {
    /// Others than those that test.
    Apart,
    /// Those that test: what must not be done, to see that it would be seen.
    Testing,
}

/// One independent draw.
pub(crate) struct Draw {
    /// Combined p-values of the record, combinations × [`BUDGETS`].
    pub(crate) p_values: Vec<f64>,
    /// Queries of the record.
    pub(crate) queries: usize,
}

/// Two overlapping classes, one label in seven wrong: hard records and easy ones.
fn records(seed: u64, draw: u64) -> Dataset {
    let mut stream = Stream::new(seed, "records of a draw", draw);
    let features = Array2::from_shape_fn((RECORDS, FEATURES), |_| stream.normal() as f32);
    let labels = features
        .rows()
        .into_iter()
        .map(|row| {
            let class = f64::from(row[0] + row[1]) + 0.5 * stream.normal() > 0.0;
            u32::from(class != (stream.uniform() < 1.0 / 7.0))
        })
        .collect();
    table(features, labels)
}

/// A small network, trained long enough to know some of its records.
fn trainer(dataset: &Dataset) -> Result<NetworkTrainer> {
    let network = Network {
        inputs: FEATURES,
        image: None,
        hidden: vec![6],
        classes: 2,
        activation: Activation::Tanh,
        dropout: 0.0,
        skips: Vec::new(),
    };
    let training = Training {
        epochs: 10,
        batch_size: 25,
        learning_rate: 0.03,
        optimiser: Optimiser::adam(),
        l2: 0.0,
        label_smoothing: 0.0,
        schedule: Schedule::Constant,
        early_stopping: None,
        augmentation: None,
    };
    NetworkTrainer::new(network, training, dataset, giveaway_nn::kernel())
}

fn search() -> Search {
    Search {
        queries: 50,
        candidates: 200,
        improved: 4,
        steps: 4,
        select: true,
        confirm: true,
        floor_multiple: 1.0,
        budgets: BUDGETS.to_vec(),
    }
}

/// The p-values of one draw; nothing where none of the tried records has queries. The record is
/// the most vulnerable one by the models that do not test, which know nothing of the target;
/// the target is the one of a pair of complements that was not trained on it.
fn draw(number: u64, building: Building, seed: u64) -> Result<Option<Draw>> {
    let seed = derive_seed(seed, "independent draw", number);
    let dataset = records(seed, number);
    let trainer = trainer(&dataset)?;
    let everybody: Vec<u32> = (0..RECORDS as u32).collect();
    let units = Units::singletons(RECORDS);
    let halves = |models: usize, purpose: &str| {
        let seed = derive_seed(seed, purpose, 0);
        Membership::draw(Design::Halves, models, RECORDS, &everybody, 0, seed)
    };
    let membership = halves(REFERENCES, "references")?;
    let models = train(
        &trainer,
        &units,
        &membership,
        derive_seed(seed, "references", 1),
    )?;
    let signals = signals(&models, &membership, &units, &dataset)?;
    let first = membership.halves()[0].clone();
    let vulnerability =
        loss_vulnerability(Rule::Influence, &signals, &membership, &everybody, first)?;
    let selected = take(
        Rule::Influence,
        vulnerability,
        &everybody,
        Amount::Count(TRIED),
    )?
    .selected;
    let mut parts = Parts::of_audit(&membership);
    if building == Building::Testing {
        let [some, others] = [parts.building.len(), parts.testing.len()];
        parts.building = parts.testing[..some].to_vec();
        parts.confirming = parts.testing[some..others].to_vec();
    }
    let references = References {
        models,
        membership,
        units: &units,
    };
    let space = QuerySpace::new(&dataset, &everybody, seed);
    let mut found: Option<(u32, Subject)> = None;
    for &unit in &selected {
        if let Some(subject) = subject(&space, &references, &parts, unit, &search(), seed)? {
            found = Some((unit, subject));
            break;
        }
    }
    let Some((unit, subject)) = found else {
        return Ok(None);
    };
    let targets = halves(2, "targets")?;
    let out = usize::from(targets.is_in(0, unit as usize));
    let seed = derive_seed(seed, "target", 0);
    let target = trainer.train(targets.training_units(out), &[], seed)?;
    let asked = answers(&*target, &subject.queries, &subject.labels)?;
    Ok(Some(Draw {
        p_values: subject.p_values(&asked, &BUDGETS)?,
        queries: subject.queries.len(),
    }))
}

/// So many draws; those without queries are left out.
pub(crate) fn draws(count: usize, building: Building, seed: u64) -> Result<Vec<Draw>> {
    let drawn = side_by_side(count, |number| draw(number as u64, building, seed))?;
    Ok(drawn.into_iter().flatten().collect())
}
