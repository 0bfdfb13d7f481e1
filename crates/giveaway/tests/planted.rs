//! A planted experiment (methods, section 6.1): of 1,000 records one is isolated. Direct
//! inference finds it in nearly every model trained on it, and hardly ever accuses it
//! falsely; on the other records it is no better than a coin.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as tests may"
)]

use giveaway::attack::direct::{DirectInference, LeftOut, Null};
use giveaway::channel::Channel;
use giveaway::evaluate::Decision;
use giveaway::evaluate::leave_one_out::{self, Protocol};
use giveaway::membership::{Design, Membership};
use giveaway::select::{Amount, Rule, loss_vulnerability, neighbours, take};
use giveaway::signals::Signals;
use giveaway::units::Units;
use giveaway_nn::{Activation, Examples, Network, Optimiser, Schedule, Training};
use giveaway_stats::interval::percentile_interval;
use giveaway_stats::random::{Stream, derive_seed};
use ndarray::Array2;
use rayon::prelude::*;

const RECORDS: usize = 1000;
const FEATURES: usize = 3;
const ISOLATED: usize = 617;
/// Halves of 50 random permutations.
const TARGETS: usize = 100;
/// `k_out` is 128, so that the floor of the rank-based nulls, 1/129, is below .01.
const REFERENCES: usize = 256;
const LEVEL: f64 = 0.01;

/// Two overlapping classes in two features. The third is 0 for everyone but the isolated
/// record, so that nobody else can teach a model anything about it; and its class is not
/// the one that its first feature suggests.
fn records() -> (Array2<f32>, Vec<u32>) {
    let mut stream = Stream::new(1, "planted", 0);
    let mut features = Array2::zeros((RECORDS, FEATURES));
    let mut labels = Vec::with_capacity(RECORDS);
    for mut row in features.rows_mut() {
        let class = stream.below(2);
        for (column, slot) in row.iter_mut().enumerate() {
            *slot = match column {
                0 => (stream.normal() + if class == 1 { 0.75 } else { -0.75 }) as f32,
                2 => 0.0,
                _ => stream.normal() as f32,
            };
        }
        labels.push(class as u32);
    }
    features
        .row_mut(ISOLATED)
        .assign(&ndarray::array![-2.0, 0.0, 6.0]);
    labels[ISOLATED] = 1;
    (features, labels)
}

/// Softmax regression, few passes: it generalises.
fn train(membership: &Membership, purpose: &str) -> (Signals, Vec<Array2<f32>>) {
    let (features, labels) = records();
    let examples = Examples::new(features.view(), &labels, 2).unwrap();
    let network = Network {
        inputs: FEATURES,
        image: None,
        hidden: Vec::new(),
        classes: 2,
        activation: Activation::Relu,
        dropout: 0.0,
        skips: Vec::new(),
    };
    let training = Training {
        epochs: 8,
        batch_size: 25,
        learning_rate: 0.1,
        optimiser: Optimiser::adam(),
        l2: 1e-3,
        label_smoothing: 0.0,
        schedule: Schedule::Constant,
        early_stopping: None,
        augmentation: None,
    };
    let logits: Vec<Array2<f32>> = (0..membership.models())
        .into_par_iter()
        .map(|model| {
            let rows = membership.training_units(model);
            let seed = derive_seed(1, purpose, model as u64);
            giveaway_nn::train(&network, &training, &examples, rows, &[], seed)
                .unwrap()
                .logits(&examples)
        })
        .collect();
    let signals = Signals::load(
        membership,
        &Units::singletons(RECORDS),
        &labels,
        Channel::default(),
        &[],
        |model| Ok(logits[model].clone()),
    )
    .unwrap();
    (signals, logits)
}

fn everybody() -> Vec<u32> {
    (0..RECORDS as u32).collect()
}

fn halves(models: usize, seed: u64) -> Membership {
    Membership::draw(Design::Halves, models, RECORDS, &everybody(), 0, seed).unwrap()
}

/// One accusation of an inlier: the pair of targets, the record, whether it is right.
type Accusation = (usize, usize, bool);

/// Share of right accusations, with its interval by a bootstrap over pairs of targets and records.
fn precision(accusations: &[Accusation]) -> (f64, f64, f64) {
    let share = |weight: &dyn Fn(&Accusation) -> f64| {
        let (right, all) = accusations.iter().fold((0.0, 0.0), |(right, all), a| {
            let w = weight(a);
            (right + if a.2 { w } else { 0.0 }, all + w)
        });
        right / all
    };
    let mut draws: Vec<f64> = (0..1000)
        .map(|replicate| {
            let mut stream = Stream::new(5, "bootstrap", replicate);
            let mut counts = |n: usize| {
                let mut counts = vec![0.0; n];
                for _ in 0..n {
                    counts[stream.below(n)] += 1.0;
                }
                counts
            };
            let (pairs, records) = (counts(TARGETS / 2), counts(RECORDS));
            share(&|a| pairs[a.0] * records[a.1])
        })
        .collect();
    let interval = percentile_interval(&mut draws, 0.95).unwrap();
    (share(&|_| 1.0), interval.lower, interval.upper)
}

#[test]
fn the_isolated_record_is_found_and_the_others_are_not() {
    let references = halves(REFERENCES, 11);
    let (signals, _) = train(&references, "references");
    let targets = halves(TARGETS, 12);
    let (target_signals, _) = train(&targets, "targets");
    let candidates = everybody();
    let inference = DirectInference::new(&signals, &references, &candidates, 0..REFERENCES);
    for null in Null::EVERY {
        let (mut found, mut wrong) = (0, 0);
        let mut inliers: Vec<Accusation> = Vec::new();
        for target in 0..TARGETS {
            let p = inference.p_values(null, &target_signals.of_model(target), LeftOut::Nobody);
            for (record, &p) in p.iter().enumerate() {
                assert!(p > 0.0 && p <= 1.0);
                if p >= LEVEL {
                    continue;
                }
                let member = targets.is_in(target, record);
                if record == ISOLATED {
                    found += u32::from(member);
                    wrong += u32::from(!member);
                } else {
                    inliers.push((target / 2, record, member));
                }
            }
        }
        let isolated = f64::from(found) / f64::from(found + wrong);
        let (pooled, lower, upper) = precision(&inliers);
        let what = format!(
            "{null:?}: isolated found in {found} of 50, wrongly accused in {wrong} of 50; inliers: {} accusations, precision {pooled:.3} [{lower:.3}, {upper:.3}]",
            inliers.len()
        );
        assert!(isolated > 0.9 && found >= 45, "{what}");
        assert!(lower <= 0.5 && 0.5 <= upper, "{what}");
        // an interval that says nothing would prove nothing
        assert!(upper - lower < 0.12 && inliers.len() > 500, "{what}");
        eprint_figures(&what);
    }
}

/// Selection ranks the isolated record first, by every rule, from either half of the models,
/// and leave-one-out finds it in every reference model trained on it.
#[test]
fn the_isolated_record_is_selected_and_recurs() {
    let references = halves(REFERENCES, 11);
    let (signals, logits) = train(&references, "references");
    let candidates = everybody();
    let mut selections = vec![(Rule::All, [everybody(), everybody()])];
    for rule in [Rule::Neighbours, Rule::OutLoss, Rule::Influence] {
        let by_half = references.halves().map(|half| {
            let vulnerability = if rule == Rule::Neighbours {
                let views: Vec<_> = half.clone().map(|m| logits[m].view()).collect();
                let features = neighbours::Features::from_array(
                    ndarray::concatenate(ndarray::Axis(1), &views).unwrap(),
                );
                let found =
                    neighbours::search(&features, &candidates, &candidates, RECORDS / 2, |_| {})
                        .unwrap();
                giveaway::select::neighbour_vulnerability(&found)
            } else {
                loss_vulnerability(rule, &signals, &references, &candidates, half).unwrap()
            };
            let selection = take(rule, vulnerability, &candidates, Amount::Share(0.01)).unwrap();
            assert_eq!(selection.selected.len(), 10);
            selection.selected
        });
        for selected in &by_half {
            let place = selected.iter().position(|&u| u as usize == ISOLATED);
            assert!(place.is_some(), "{rule:?} selected {selected:?}");
            if rule == Rule::Influence {
                assert_eq!(place, Some(0), "nobody has more influence");
            }
        }
        selections.push((rule, by_half));
    }
    let decision = Decision::Level(LEVEL);
    let outcome = leave_one_out::run(
        &Protocol {
            signals: &signals,
            membership: &references,
            candidates: &candidates,
            selections: &selections,
            nulls: &[Null::T],
            decisions: &[decision],
            headline: (Null::T, decision),
            drawn: Rule::All,
            misfit_sample: usize::MAX,
            seed: 1,
        },
        || {},
    );
    for ((rule, counts), (_, selected)) in outcome.recurrence.iter().zip(&selections) {
        let place = selected[0]
            .iter()
            .position(|&u| u as usize == ISOLATED)
            .unwrap();
        let isolated = counts[place];
        assert_eq!((isolated.in_targets, isolated.out_targets), (64, 64));
        assert!(
            isolated.found >= 58 && isolated.wrongly_accused <= 4,
            "{rule:?}: {isolated:?}"
        );
    }
}

/// Shown with `cargo test -- --nocapture`.
#[expect(clippy::print_stderr, reason = "figures for whoever asks for them")]
fn eprint_figures(what: &str) {
    eprintln!("{what}");
}
