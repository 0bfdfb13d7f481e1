//! What the tests promise where there is nothing to find: small p-values occur no more
//! often than they say, whoever was selected, and the protocol tells nothing by itself.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as tests may"
)]

use giveaway::attack::direct::{DirectInference, LeftOut, Null};
use giveaway::channel::Channel;
use giveaway::evaluate::leave_one_out::{self, LeaveOneOut, Protocol};
use giveaway::evaluate::{Decision, LEVELS};
use giveaway::membership::{Design, Membership};
use giveaway::select::{Amount, Rule, loss_vulnerability, neighbours, take};
use giveaway::signals::{Accuracy, ModelSignals, Signals};
use giveaway_nn::{Activation, Examples, Network, Optimiser, Schedule, Training};
use giveaway_stats::random::{Stream, derive_seed};
use giveaway_stats::uniformity::ks_super_uniform;
use ndarray::Array2;
use rayon::prelude::*;

/// A test of a true hypothesis on fixed draws: below this, something is wrong.
const ALARM: f64 = 0.001;
/// A test that must see a fault sees it this clearly.
const CLEAR: f64 = 1e-6;

fn all(units: usize) -> Vec<u32> {
    (0..units as u32).collect()
}

fn as_target(loss: Vec<f32>, scaled_logit: Vec<f32>) -> ModelSignals {
    ModelSignals {
        loss,
        scaled_logit,
        accuracy: Accuracy::default(),
    }
}

fn super_uniform(p: &[f64]) -> f64 {
    ks_super_uniform(p).unwrap().p_value
}

/// Draws of target and reference scaled logits, all independent: one p-value per unit.
struct Independent {
    signals: Signals,
    membership: Membership,
    target: ModelSignals,
}

impl Independent {
    /// `k` OUT models for each unit.
    fn draw(units: usize, k: usize, seed: u64, draw: impl Fn(&mut Stream) -> f64) -> Self {
        let mut stream = Stream::new(seed, "independent draws", k as u64);
        let membership =
            Membership::draw(Design::Halves, 2 * k, units, &all(units), 0, seed).unwrap();
        let logit = Array2::from_shape_fn((units, 2 * k), |_| draw(&mut stream) as f32);
        let target: Vec<f32> = (0..units).map(|_| draw(&mut stream) as f32).collect();
        Self {
            signals: Signals::from_arrays(&logit.mapv(|z| -z), &logit),
            membership,
            target: as_target(target.iter().map(|z| -z).collect(), target),
        }
    }

    fn p_values(&self, null: Null) -> Vec<f64> {
        let candidates = all(self.membership.units());
        DirectInference::new(
            &self.signals,
            &self.membership,
            &candidates,
            0..self.membership.models(),
        )
        .p_values(null, &self.target, LeftOut::Nobody)
    }

    /// Losses of the OUT models of a unit, and the target's.
    fn losses(&self, unit: usize) -> (Vec<f32>, f32) {
        let out = (0..self.membership.models())
            .filter(|&m| !self.membership.is_in(m, unit))
            .map(|m| self.signals.losses(unit)[m])
            .collect();
        (out, self.target.loss[unit])
    }
}

/// Draws one number.
type Draw = fn(&mut Stream) -> f64;

/// Distributions of scaled logits: light tails, heavy tails, skew, and ties of every degree.
fn distributions() -> Vec<(&'static str, Draw)> {
    vec![
        ("normal", |s| s.normal()),
        ("Cauchy", |s| s.normal() / s.normal()),
        ("log-normal", |s| (2.0 * s.normal()).exp()),
        ("rounded", |s| (2.0 * s.normal()).round()),
        ("three values", |s| s.below(3) as f64),
        ("one in ten differs", |s| f64::from(s.uniform() < 0.1)),
        ("constant", |_| 1.5),
    ]
}

#[test]
fn ecdf_p_values_are_super_uniform_whatever_the_distribution() {
    for (seed, (name, draw)) in distributions().into_iter().enumerate() {
        for k in [9, 19, 64] {
            let p = Independent::draw(4000, k, seed as u64, draw).p_values(Null::Ecdf);
            assert!(p.iter().all(|&p| p >= 1.0 / (k as f64 + 1.0) - 1e-12));
            let chance = super_uniform(&p);
            assert!(chance > ALARM, "{name}, {k} models: {chance:e}");
        }
    }
}

/// The nulls that promise less: `t` for normal scaled logits, also with a moderated variance.
#[test]
fn t_p_values_are_super_uniform_for_normal_scaled_logits() {
    for k in [4, 9, 12, 31] {
        let p = Independent::draw(8000, k, 21, Stream::normal).p_values(Null::T);
        let chance = super_uniform(&p);
        assert!(chance > ALARM, "{k} models: {chance:e}");
        let at_level = p.iter().filter(|&&p| p < 0.01).count();
        // binomial: 80, standard deviation 8.9
        assert!((50..115).contains(&at_level), "{k} models: {at_level}");
    }
}

/// What the calibration tests above are for: each fault is seen by the same statistic.
#[test]
fn faults_are_seen() {
    // The plug-in p-value leaves out the one that counts the target itself.
    let drawn = Independent::draw(4000, 19, 3, Stream::normal);
    let plug_in: Vec<f64> = (0..4000)
        .map(|unit| {
            let (out, observed) = drawn.losses(unit);
            let below = out.iter().filter(|&&loss| loss <= observed).count();
            below as f64 / out.len() as f64
        })
        .collect();
    assert!(super_uniform(&plug_in) < CLEAR);
    // Ties counted in the attacker's favour.
    let tied = Independent::draw(4000, 19, 4, |s| s.below(3) as f64);
    let strict: Vec<f64> = (0..4000)
        .map(|unit| {
            let (out, observed) = tied.losses(unit);
            (1 + out.iter().filter(|&&loss| loss < observed).count()) as f64 / 20.0
        })
        .collect();
    assert!(super_uniform(&strict) < CLEAR);
    // LiRA's plug-in normal instead of Student's t.
    let few = Independent::draw(8000, 10, 5, Stream::normal);
    let normal: Vec<f64> = (0..8000)
        .map(|unit| {
            let (out, observed) = few.losses(unit);
            let z: Vec<f64> = out.iter().map(|&loss| -f64::from(loss)).collect();
            let mean = giveaway_stats::summary::mean(&z).unwrap();
            let deviation = giveaway_stats::summary::sample_variance(&z).unwrap().sqrt();
            giveaway_stats::distribution::normal_sf((-f64::from(observed) - mean) / deviation)
        })
        .collect();
    assert!(super_uniform(&normal) < CLEAR);
    // A target that was trained on its records.
    let mut members = Independent::draw(4000, 19, 6, Stream::normal);
    members.target.loss.iter_mut().for_each(|l| *l -= 0.3);
    assert!(super_uniform(&members.p_values(Null::Ecdf)) < CLEAR);
}

/// Selecting by the OUT losses that then are the null breaks the exchangeability of target
/// and references; selecting by the other half of the models does not (methods, 1.2).
#[test]
fn selection_by_the_models_that_test_is_seen_and_by_the_others_is_not() {
    const UNITS: usize = 20_000;
    const MODELS: usize = 80;
    let mut stream = Stream::new(8, "selection", 0);
    let membership = Membership::draw(Design::Halves, MODELS, UNITS, &all(UNITS), 0, 8).unwrap();
    let logit = Array2::from_shape_fn((UNITS, MODELS), |_| stream.normal() as f32);
    let signals = Signals::from_arrays(&logit.mapv(|z| -z), &logit);
    let observed: Vec<f32> = (0..UNITS).map(|_| stream.normal() as f32).collect();
    let target = as_target(observed.iter().map(|z| -z).collect(), observed);
    let [selecting, testing] = membership.halves();
    for rule in [Rule::OutLoss, Rule::Influence] {
        let p_values = |models| {
            let everybody = all(UNITS);
            let v = loss_vulnerability(rule, &signals, &membership, &everybody, models).unwrap();
            let selected = take(rule, v, &everybody, Amount::Share(0.1))
                .unwrap()
                .selected;
            assert_eq!(selected.len(), UNITS / 10);
            DirectInference::new(&signals, &membership, &selected, testing.clone()).p_values(
                Null::Ecdf,
                &target,
                LeftOut::Nobody,
            )
        };
        let proper = super_uniform(&p_values(selecting.clone()));
        assert!(proper > ALARM, "{rule:?}: {proper:e}");
        let improper = super_uniform(&p_values(testing.clone()));
        assert!(improper < CLEAR, "{rule:?}: {improper:e}");
    }
}

/// With networks and not with numbers drawn: for every p-value a new pool, new halves for
/// references and target, and new trainings. The first record is OUT of the target.
#[test]
fn ecdf_p_values_of_trained_models_are_super_uniform() {
    const REPETITIONS: u64 = 2000;
    const UNITS: usize = 40;
    const FEATURES: usize = 4;
    const MODELS: usize = 38;
    let network = Network {
        inputs: FEATURES,
        image: None,
        hidden: vec![4],
        classes: 2,
        activation: Activation::Tanh,
        dropout: 0.0,
        skips: Vec::new(),
    };
    let training = Training {
        epochs: 8,
        batch_size: 10,
        learning_rate: 0.05,
        optimiser: Optimiser::adam(),
        l2: 0.0,
        label_smoothing: 0.0,
        schedule: Schedule::Constant,
        early_stopping: None,
        augmentation: None,
    };
    // p-values of one record on a target that was not, and on one that was trained on it
    let p: Vec<[f64; 2]> = (0..REPETITIONS)
        .into_par_iter()
        .map(|repetition| {
            let mut stream = Stream::new(31, "pool", repetition);
            let features = Array2::from_shape_fn((UNITS, FEATURES), |_| stream.normal() as f32);
            let labels: Vec<u32> = features
                .rows()
                .into_iter()
                .map(|row| u32::from(f64::from(row[0]) + stream.normal() > 0.0))
                .collect();
            let examples = Examples::new(features.view(), &labels, 2).unwrap();
            let draw = |purpose: &str, models: usize| {
                let seed = derive_seed(31, purpose, repetition);
                Membership::draw(Design::Halves, models, UNITS, &all(UNITS), 0, seed).unwrap()
            };
            let signal = |membership: &Membership, model: usize, purpose: &str| {
                let seed = derive_seed(repetition, purpose, model as u64);
                let rows = membership.training_units(model);
                let trained =
                    giveaway_nn::train(&network, &training, &examples, rows, &[], seed).unwrap();
                let logits = trained.logits(&examples);
                let row: Vec<f32> = logits.row(0).to_vec();
                Channel::default().signal(&row, labels[0] as usize)
            };
            let references = draw("references", MODELS);
            let mut loss = Array2::zeros((UNITS, MODELS));
            let mut logit = Array2::zeros((UNITS, MODELS));
            for model in (0..MODELS).filter(|&m| !references.is_in(m, 0)) {
                let signal = signal(&references, model, "reference");
                loss[[0, model]] = signal.loss as f32;
                logit[[0, model]] = signal.scaled_logit as f32;
            }
            let signals = Signals::from_arrays(&loss, &logit);
            let inference = DirectInference::new(&signals, &references, &[0], 0..MODELS);
            assert_eq!(inference.models_out(0), MODELS / 2);
            let targets = draw("targets", 2);
            let outside = usize::from(targets.is_in(0, 0));
            [outside, 1 - outside].map(|model| {
                let signal = signal(&targets, model, "target");
                let mut observed = vec![0.0; UNITS];
                observed[0] = signal.loss as f32;
                let target = as_target(observed, vec![0.0; UNITS]);
                inference.p_values(Null::Ecdf, &target, LeftOut::Nobody)[0]
            })
        })
        .collect();
    let of = |side: usize| -> Vec<f64> { p.iter().map(|pair| pair[side]).collect() };
    let outside = super_uniform(&of(0));
    assert!(outside > ALARM, "{outside:e}");
    let inside = super_uniform(&of(1));
    assert!(inside < CLEAR, "members must be seen: {inside:e}");
}

/// Pure noise in the shape of an audit: every unit has its own difficulty and spread, every
/// model its own shift (so that the p-values of one target depend on each other), and
/// membership does nothing.
struct Noise {
    signals: Signals,
    membership: Membership,
    selections: Vec<(Rule, [Vec<u32>; 2])>,
}

const NOISE_UNITS: usize = 400;

impl Noise {
    fn draw(design: Design, models: usize, seed: u64, draw: impl Fn(&mut Stream) -> f64) -> Self {
        let everybody = all(NOISE_UNITS);
        let size = match design {
            Design::Halves => NOISE_UNITS / 2,
            _ => 3 * NOISE_UNITS / 5,
        };
        let membership =
            Membership::draw(design, models, NOISE_UNITS, &everybody, size, seed).unwrap();
        let mut stream = Stream::new(seed, "noise", 0);
        let shift: Vec<f64> = (0..models).map(|_| 0.3 * stream.normal()).collect();
        let mut logit = Array2::zeros((NOISE_UNITS, models));
        for mut row in logit.rows_mut() {
            let (centre, spread) = (2.0 + 2.0 * stream.normal(), (0.5 * stream.normal()).exp());
            for (slot, shift) in row.iter_mut().zip(&shift) {
                *slot = (centre + spread * (shift + draw(&mut stream))) as f32;
            }
        }
        let signals = Signals::from_arrays(&logit.mapv(|z| (-z).exp().ln_1p()), &logit);
        let selections = Rule::EVERY
            .iter()
            .map(|&rule| {
                let by_half = membership.halves().map(|half| {
                    let vulnerability = if rule == Rule::Neighbours {
                        let found = neighbours::search(
                            &neighbours::Features::from_array(
                                logit.slice(ndarray::s![.., half]).to_owned(),
                            ),
                            &everybody,
                            &everybody,
                            size,
                            |_| {},
                        )
                        .unwrap();
                        giveaway::select::neighbour_vulnerability(&found)
                    } else {
                        loss_vulnerability(rule, &signals, &membership, &everybody, half).unwrap()
                    };
                    take(rule, vulnerability, &everybody, Amount::Share(0.1))
                        .unwrap()
                        .selected
                });
                (rule, by_half)
            })
            .collect();
        Self {
            signals,
            membership,
            selections,
        }
    }

    fn evaluate(&self, nulls: &[Null]) -> LeaveOneOut {
        leave_one_out::run(
            &Protocol {
                signals: &self.signals,
                membership: &self.membership,
                candidates: &all(NOISE_UNITS),
                selections: &self.selections,
                nulls,
                decisions: &LEVELS.map(Decision::Level),
                headline: (nulls[0], Decision::Level(LEVELS[0])),
                drawn: Rule::All,
                misfit_sample: usize::MAX,
                seed: 1,
            },
            || {},
        )
    }
}

/// False-positive rates of selected non-members, for every selection, null and level, over
/// audits of pure noise; and their AUC. In each audit the rate has its clustered 95 % interval, and a fair
/// one lies wholly above the nominal rate in at most 2.5 % of them.
#[test]
fn selected_non_members_are_not_accused_more_often_than_stated() {
    const AUDITS: u64 = 8;
    // Student's t with 7 degrees of freedom: 97.5 % and 99.95 %
    const ONE_SIDED: f64 = 2.365;
    const CERTAIN: f64 = 5.408;
    let over_audits = |values: Vec<f64>| {
        let mean = giveaway_stats::summary::mean(&values).unwrap();
        let variance = giveaway_stats::summary::sample_variance(&values).unwrap();
        (mean, (variance / AUDITS as f64).sqrt())
    };
    let kinds: [(&str, Draw, &[Null]); 2] = [
        ("normal", Stream::normal, &[Null::T, Null::Ecdf]),
        ("Cauchy", |s| s.normal() / s.normal(), &[Null::Ecdf]),
    ];
    for design in [Design::Halves, Design::Share] {
        for (name, draw, nulls) in kinds {
            let outcomes: Vec<LeaveOneOut> = (0..AUDITS)
                .map(|audit| Noise::draw(design, 160, 100 + audit, draw).evaluate(nulls))
                .collect();
            let (mut above, mut intervals) = (0, 0);
            for index in 0..outcomes[0].evaluations.len() {
                for (position, &level) in LEVELS.iter().enumerate() {
                    let rates: Vec<_> = outcomes
                        .iter()
                        .map(|o| o.evaluations[index].decisions[position].false_positive_rate)
                        .collect();
                    let of = &outcomes[0].evaluations[index];
                    let what = format!(
                        "{design:?}, {name}, {:?}, {:?}, {level}",
                        of.selection, of.null
                    );
                    for rate in &rates {
                        let (value, lower, upper) = (
                            rate.value.unwrap(),
                            rate.lower.unwrap(),
                            rate.upper.unwrap(),
                        );
                        assert!(lower <= value && value <= upper, "{what}: {rate:?}");
                        intervals += 1;
                        above += i32::from(lower > level);
                    }
                    // over audits, which are independent
                    let (mean, error) =
                        over_audits(rates.iter().map(|r| r.value.unwrap()).collect());
                    eprint_figures(&format!("{what}: {mean:.4} ± {error:.4}"));
                    assert!(
                        mean - ONE_SIDED * error <= level,
                        "{what}: {mean} ± {error}"
                    );
                }
                // Noise ranks members no better than non-members.
                let (auc, error) = over_audits(
                    outcomes
                        .iter()
                        .map(|o| o.evaluations[index].ranking.auc.value.unwrap())
                        .collect(),
                );
                let of = &outcomes[0].evaluations[index];
                let what = format!(
                    "{design:?}, {name}, {:?}, {:?}: AUC {auc:.4} ± {error:.4}",
                    of.selection, of.null
                );
                eprint_figures(&what);
                assert!(
                    error < 0.005 && (auc - 0.5).abs() <= CERTAIN * error,
                    "{what}"
                );
            }
            eprint_figures(&format!("{design:?}, {name}: {above} of {intervals} above"));
            assert!(
                f64::from(above) <= 0.025 * f64::from(intervals) + 2.0,
                "{design:?}, {name}: {above} of {intervals} intervals lie above the nominal rate"
            );
        }
    }
}

/// If only the target left the references, members would keep one OUT model more and so a
/// lower floor, and at the lowest level every accusation would be right, on pure noise.
/// With its complement left out too, the accusations at the floor are as often wrong as
/// chance has it.
#[test]
fn a_complement_that_stayed_would_give_members_away() {
    for design in [Design::Halves, Design::Share] {
        let noise = Noise::draw(design, 160, 55, Stream::normal);
        // The sound protocol, at the lowest level at which anything is accused.
        let membership = &noise.membership;
        let half = membership.halves()[0].clone();
        let candidates = all(NOISE_UNITS);
        let inference = DirectInference::new(&noise.signals, membership, &candidates, half.clone());
        let mut sound: Vec<(f64, bool)> = Vec::new();
        let mut faulty = sound.clone();
        for model in half.clone() {
            let target = noise.signals.of_model(model);
            let p = inference.p_values(Null::Ecdf, &target, LeftOut::Model(model));
            for unit in 0..NOISE_UNITS {
                let member = membership.is_in(model, unit);
                let k = inference.models_out(unit) as f64 - 1.0;
                // in units of each record's own floor, which differ in the design by share
                sound.push((p[unit] * (k + 1.0), member));
                let losses = noise.signals.losses(unit);
                let out: Vec<f64> = half
                    .clone()
                    .filter(|&m| m != model && !membership.is_in(m, unit))
                    .map(|m| f64::from(losses[m]))
                    .collect();
                let p = giveaway_stats::empirical::ecdf_p_value(&out, f64::from(losses[model]));
                faulty.push((p * (k + 1.0), member));
            }
        }
        let precision = |p: &[(f64, bool)]| {
            let lowest = p.iter().map(|p| p.0).fold(f64::INFINITY, f64::min);
            let accused: Vec<bool> = p
                .iter()
                .filter(|p| p.0 < lowest + 1e-9)
                .map(|p| p.1)
                .collect();
            assert!(accused.len() > 100, "{}", accused.len());
            accused.iter().filter(|&&member| member).count() as f64 / accused.len() as f64
        };
        let share = match design {
            Design::Halves => 0.5,
            _ => 0.6,
        };
        let sound = precision(&sound);
        assert!((sound - share).abs() < 0.06, "{design:?}: {sound}");
        if design == Design::Halves {
            assert!(
                precision(&faulty) > 1.0 - 1e-9,
                "the artefact of methods, 1.5"
            );
        }
    }
}

/// The selection does not depend on the order of the records, with ties at the cut or not.
#[test]
fn permuting_records_permutes_the_selection() {
    const UNITS: usize = 300;
    let mut stream = Stream::new(17, "ties", 0);
    let mut place = all(UNITS);
    stream.shuffle(&mut place);
    for values in [4, 40, 100_000] {
        let plain: Vec<f64> = (0..UNITS).map(|_| stream.below(values) as f64).collect();
        let mut moved = vec![0.0; UNITS];
        for (&place, &value) in place.iter().zip(&plain) {
            moved[place as usize] = value;
        }
        for amount in [Amount::Share(0.1), Amount::Count(37), Amount::Alpha(3.0)] {
            let selected = |v: &[f64]| {
                take(Rule::Neighbours, v.to_vec(), &all(UNITS), amount)
                    .unwrap()
                    .selected
            };
            let mut expected: Vec<u32> = selected(&plain)
                .into_iter()
                .map(|unit| place[unit as usize])
                .collect();
            let mut found = selected(&moved);
            expected.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, expected, "{values} values, {amount:?}");
        }
    }
}

/// Shown with `cargo test -- --nocapture`.
#[expect(clippy::print_stderr, reason = "figures for whoever asks for them")]
fn eprint_figures(what: &str) {
    eprintln!("{what}");
}
