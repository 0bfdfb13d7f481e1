//! The toy picture of Long et al. (2018, Fig. 1), computed: why a model that generalises can
//! give a record away.
//!
//! Points of two classes in the plane, and one record far from all others, on the other
//! class's side. Small networks are trained in pairs that differ in that record alone; beside
//! it, both learn from the same random half of the points, as in an audit. Where nothing else
//! is near, the network has to bend towards the record to learn it, and so its loss tells
//! whether it was learnt from. In the middle of a class the neighbours say the same as the
//! record, and its loss tells next to nothing. Accuracy on fresh points is much the same either
//! way: how well a model generalises on average does not say whether it gives a record away.
//!
//! Nothing here depends on the audited data; the numbers are computed anew for each report.

use giveaway_nn::{Activation, Examples, Network, Optimiser, Schedule, Trained, Trainer, Training};
use giveaway_stats::random::{Stream, derive_seed};
use ndarray::Array2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::channel::{Channel, RecordSignal};
use crate::error::{Error, Result};

/// Seed of everything drawn here.
const SEED: u64 = 2018;

/// Points of each class, the isolated record not counted.
const POINTS_OF_A_CLASS: usize = 60;

/// Points of both classes that a network learns from: half of them, as in an audit.
const LEARNT: usize = POINTS_OF_A_CLASS;

/// Where the two classes are centred; both are normal with [`SPREAD`] in each direction.
const CENTRES: [[f64; 2]; 2] = [[-1.2, -0.5], [1.2, -0.5]];

/// Standard deviation of both classes in both directions.
const SPREAD: f64 = 0.65;

/// The isolated record: of class 0, on the side of class 1, and far from both.
const ISOLATED: ToyPoint = ToyPoint {
    x: 1.6,
    y: 1.8,
    class: 0,
};

/// Pairs of networks.
const MODELS: usize = 60;

/// Fresh points of each class, on which accuracy is measured.
const FRESH_OF_A_CLASS: usize = 500;

/// Cells of the surfaces in each direction.
const GRID: usize = 40;

/// What the surfaces cover: smallest and largest x, smallest and largest y.
const BOUNDS: [f64; 4] = [-3.2, 3.2, -3.0, 3.4];

/// The toy data, what networks make of them, and the losses of two records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Toy {
    /// The points of both classes, the isolated record last.
    pub points: Vec<ToyPoint>,
    /// Which point is the isolated record.
    pub isolated: usize,
    /// Which point is the ordinary record, for comparison: the one of the same class that is
    /// nearest to the class's mean.
    pub ordinary: usize,
    /// What the surfaces cover: smallest and largest x, smallest and largest y.
    pub bounds: [f64; 4],
    /// Cells of the surfaces in each direction.
    pub grid: usize,
    /// Probability of the isolated record's class at the middle of each cell, mean over the
    /// networks trained without it. Rows upwards from the lower left, each from the left.
    pub surface_without: Vec<f64>,
    /// The same over the networks trained with it.
    pub surface_with: Vec<f64>,
    /// Losses of the isolated record and of the ordinary one, pair by pair.
    pub losses: [ToyLosses; 2],
    /// Share of fresh points that are classified rightly, mean over the networks trained
    /// without the isolated record. Fresh points come from the two classes alone: another
    /// record like the isolated one is not among them.
    pub accuracy_without: f64,
    /// The same over the networks trained with it.
    pub accuracy_with: f64,
    /// Share of their own training points that the networks trained with the isolated record
    /// classify rightly, mean over the networks.
    pub accuracy_training: f64,
    /// Pairs of networks.
    pub models: usize,
}

/// A record of the toy data.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToyPoint {
    /// First feature.
    pub x: f64,
    /// Second feature.
    pub y: f64,
    /// 0 or 1.
    pub class: u32,
}

/// The losses of a record (−ln of the probability of its class) under each pair of networks,
/// which differ in that record alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToyLosses {
    /// Under the networks that were not trained on it (OUT).
    pub without: Vec<f64>,
    /// Under the networks that were (IN).
    pub with: Vec<f64>,
}

/// Draws the points, trains the networks on the current rayon pool and evaluates them.
///
/// The result is the same, bit for bit, on any number of threads; with another instruction set
/// it may round differently.
///
/// # Errors
/// If a network cannot be trained, which would be a defect of this module.
pub fn compute() -> Result<Toy> {
    let mut points = drawn("toy points", POINTS_OF_A_CLASS);
    let ordinary = nearest_to_mean(&points, ISOLATED.class);
    let isolated = points.len();
    points.push(ISOLATED);

    let (network, training) = recipe();
    let trainer = Trainer::new(&network, &training).map_err(defect)?;
    let bench = Bench {
        learnt: examples(&points)?,
        fresh: examples(&drawn("toy fresh points", FRESH_OF_A_CLASS))?,
        cells: examples(&cells())?,
    };

    // For each draw a network without either record, one with the isolated record, and one
    // with the ordinary one: all start from the same weights.
    let outcomes: Vec<[Outcome; 3]> = (0..MODELS as u64)
        .into_par_iter()
        .map(|draw| {
            let mut rows: Vec<u32> = (0..isolated as u32)
                .filter(|&row| row != ordinary as u32)
                .collect();
            Stream::new(SEED, "toy training set", draw).shuffle(&mut rows);
            rows.truncate(LEARNT);
            let seed = derive_seed(SEED, "toy network", draw);
            let train = |rows: &[u32]| {
                let network = trainer.train(&bench.learnt, rows, &[], seed);
                Ok(bench.outcome(&network.map_err(defect)?, rows))
            };
            let plus = |record: usize| [&rows[..], &[record as u32]].concat();
            Ok([
                train(&rows)?,
                train(&plus(isolated))?,
                train(&plus(ordinary))?,
            ])
        })
        .collect::<Result<_>>()?;

    let losses = |record: usize, with: usize| ToyLosses {
        without: outcomes.iter().map(|o| o[0].losses[record]).collect(),
        with: outcomes.iter().map(|o| o[with].losses[record]).collect(),
    };
    let mean = |quantity: &dyn Fn(&[Outcome; 3]) -> f64| -> f64 {
        outcomes.iter().map(quantity).sum::<f64>() / MODELS as f64
    };
    let surface = |which: usize| -> Vec<f64> {
        (0..GRID * GRID)
            .map(|cell| mean(&|o| o[which].surface[cell]))
            .collect()
    };
    Ok(Toy {
        isolated,
        ordinary,
        bounds: BOUNDS,
        grid: GRID,
        surface_without: surface(0),
        surface_with: surface(1),
        losses: [losses(isolated, 1), losses(ordinary, 2)],
        accuracy_without: mean(&|o| o[0].fresh),
        accuracy_with: mean(&|o| o[1].fresh),
        accuracy_training: mean(&|o| o[1].training),
        models: MODELS,
        points,
    })
}

/// What the networks are and how they are trained.
fn recipe() -> (Network, Training) {
    let network = Network {
        inputs: 2,
        hidden: vec![32],
        classes: 2,
        activation: Activation::Tanh,
        ..Network::default()
    };
    let training = Training {
        epochs: 60,
        batch_size: 16,
        learning_rate: 0.03,
        optimiser: Optimiser::adam(),
        l2: 0.002,
        label_smoothing: 0.0,
        schedule: Schedule::Constant,
        early_stopping: None,
        augmentation: None,
    };
    (network, training)
}

/// What every network is asked.
struct Bench {
    /// The points, of which each network learns some.
    learnt: Examples,
    /// Fresh points.
    fresh: Examples,
    /// The middles of the cells, labelled with the isolated record's class.
    cells: Examples,
}

/// What is kept of one trained network.
struct Outcome {
    /// Probability of the isolated record's class in each cell.
    surface: Vec<f64>,
    /// Loss of every point.
    losses: Vec<f64>,
    /// Share of the fresh points classified rightly.
    fresh: f64,
    /// Share of its training points classified rightly.
    training: f64,
}

impl Bench {
    /// What a network that learnt from `rows` answers.
    fn outcome(&self, network: &Trained, rows: &[u32]) -> Outcome {
        let points = signals(network, &self.learnt);
        let fresh = signals(network, &self.fresh);
        let right = rows.iter().filter(|&&row| points[row as usize].correct);
        let fresh_right = fresh.iter().filter(|signal| signal.correct);
        Outcome {
            surface: signals(network, &self.cells)
                .iter()
                .map(|signal| (-signal.loss).exp())
                .collect(),
            losses: points.iter().map(|signal| signal.loss).collect(),
            fresh: fresh_right.count() as f64 / fresh.len() as f64,
            training: right.count() as f64 / rows.len() as f64,
        }
    }
}

/// Loss and correctness of each example, as an audit computes them from logits.
fn signals(network: &Trained, examples: &Examples) -> Vec<RecordSignal> {
    let mut signals = Vec::with_capacity(examples.rows());
    network.each_logits(examples, |start, block| {
        for (row, label) in block.rows().into_iter().zip(&examples.labels()[start..]) {
            let logits = [row[0], row[1]];
            signals.push(Channel::default().signal(&logits, *label as usize));
        }
    });
    signals
}

/// So many points of each class, by class.
fn drawn(purpose: &str, of_a_class: usize) -> Vec<ToyPoint> {
    let mut points = Vec::with_capacity(2 * of_a_class);
    for (class, [x, y]) in (0..).zip(CENTRES) {
        let mut stream = Stream::new(SEED, purpose, u64::from(class));
        for _ in 0..of_a_class {
            points.push(ToyPoint {
                x: x + SPREAD * stream.normal(),
                y: y + SPREAD * stream.normal(),
                class,
            });
        }
    }
    points
}

/// The middles of the cells, in the order of the surfaces.
fn cells() -> Vec<ToyPoint> {
    let [left, right, bottom, top] = BOUNDS;
    let middle =
        |low: f64, high: f64, cell: usize| low + (high - low) * (cell as f64 + 0.5) / GRID as f64;
    (0..GRID * GRID)
        .map(|cell| ToyPoint {
            x: middle(left, right, cell % GRID),
            y: middle(bottom, top, cell / GRID),
            class: ISOLATED.class,
        })
        .collect()
}

/// The point of a class that is nearest to the class's mean.
fn nearest_to_mean(points: &[ToyPoint], class: u32) -> usize {
    let of_class = || points.iter().filter(|point| point.class == class);
    let count = of_class().count() as f64;
    let x = of_class().map(|point| point.x).sum::<f64>() / count;
    let y = of_class().map(|point| point.y).sum::<f64>() / count;
    let distance = |point: &ToyPoint| (point.x - x).powi(2) + (point.y - y).powi(2);
    (0..points.len())
        .filter(|&i| points[i].class == class)
        .min_by(|&a, &b| distance(&points[a]).total_cmp(&distance(&points[b])))
        .unwrap_or(0)
}

/// The points as networks take them.
fn examples(points: &[ToyPoint]) -> Result<Examples> {
    let features = Array2::from_shape_fn((points.len(), 2), |(row, feature)| {
        let point = points[row];
        (if feature == 0 { point.x } else { point.y }) as f32
    });
    let labels: Vec<u32> = points.iter().map(|point| point.class).collect();
    Examples::new(features.view(), &labels, 2).map_err(defect)
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
fn defect(error: giveaway_nn::Error) -> Error {
    Error::unexpected(format!("cannot compute the toy picture: {error}"))
        .hint("this does not depend on your data: please report it as a defect")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AUC of the losses as a sign of membership: the probability that a network that learnt
    /// from the record has a smaller loss on it than one that did not.
    fn auc(losses: &ToyLosses) -> f64 {
        let minus = |losses: &[f64]| losses.iter().map(|loss| -loss).collect::<Vec<f64>>();
        let scores = [minus(&losses.with), minus(&losses.without)].concat();
        let member: Vec<bool> = (0..scores.len()).map(|i| i < losses.with.len()).collect();
        giveaway_stats::roc::Roc::new(&scores, &member)
            .unwrap()
            .auc()
    }

    fn on_threads(threads: usize) -> Toy {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(compute).unwrap()
    }

    #[test]
    fn the_isolated_record_is_given_away_and_the_ordinary_one_is_not() {
        let toy = compute().unwrap();
        let [isolated, ordinary] = &toy.losses;
        assert!(auc(isolated) > 0.99, "{}", auc(isolated));
        // the standard deviation of the AUC of 60 against 60 equal ones is 0.053
        assert!((auc(ordinary) - 0.5).abs() < 0.1, "{}", auc(ordinary));
    }

    #[test]
    fn the_models_generalise_with_the_record_and_without() {
        let toy = compute().unwrap();
        let (without, with) = (toy.accuracy_without, toy.accuracy_with);
        assert!(without > 0.94 && with > 0.94, "{without} {with}");
        // of 1000 fresh points, no more than the error of an accuracy of 0.95
        assert!((without - with).abs() < 0.007, "{without} {with}");
        let gap = toy.accuracy_training - with;
        assert!(gap < 0.03, "{gap}");
    }

    #[test]
    fn the_surface_bends_around_the_isolated_record_alone() {
        let toy = compute().unwrap();
        let cell = |point: ToyPoint| {
            let [left, right, bottom, top] = toy.bounds;
            let of = |value: f64, low: f64, high: f64| {
                ((value - low) / (high - low) * toy.grid as f64) as usize
            };
            of(point.y, bottom, top) * toy.grid + of(point.x, left, right)
        };
        let bend = |point: ToyPoint| {
            let cell = cell(point);
            (toy.surface_without[cell], toy.surface_with[cell])
        };
        let (without, with) = bend(toy.points[toy.isolated]);
        assert!(without < 0.1 && with > 0.6, "{without} {with}");
        let (without, with) = bend(toy.points[toy.ordinary]);
        assert!(
            without > 0.9 && (without - with).abs() < 0.01,
            "{without} {with}"
        );
        // the middle of the other class stays the other class's
        let [x, y] = CENTRES[1];
        let (without, with) = bend(ToyPoint { x, y, class: 1 });
        assert!(without < 0.1 && with < 0.1, "{without} {with}");
    }

    #[test]
    fn every_part_has_its_length_and_its_place() {
        let toy = compute().unwrap();
        assert_eq!(toy.points.len(), 2 * POINTS_OF_A_CLASS + 1);
        assert_eq!(toy.points[toy.isolated], ISOLATED);
        assert_eq!(toy.points[toy.ordinary].class, ISOLATED.class);
        let [left, right, bottom, top] = toy.bounds;
        for point in &toy.points {
            assert!((left..right).contains(&point.x), "{point:?}");
            assert!((bottom..top).contains(&point.y), "{point:?}");
        }
        for surface in [&toy.surface_without, &toy.surface_with] {
            assert_eq!(surface.len(), toy.grid * toy.grid);
            assert!(surface.iter().all(|p| (0.0..=1.0).contains(p)));
        }
        for losses in &toy.losses {
            assert_eq!(losses.without.len(), toy.models);
            assert_eq!(losses.with.len(), toy.models);
        }
        // rows upwards, each from the left
        let cells = cells();
        assert!(cells[0].x < cells[1].x && cells[0].y < cells[toy.grid].y);
    }

    #[test]
    fn threads_change_nothing() {
        let one = on_threads(1);
        assert_eq!(one, on_threads(2));
        assert_eq!(one, on_threads(5));
    }
}
