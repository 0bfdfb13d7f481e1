//! That selection does not spoil the p-values, shown on targets that are no reference models.
//!
//! In leave-one-out every OUT model of a record plays the target among the others, so the
//! ranks of `ecdf` are a permutation and its rate of false accusations is fixed before any
//! model is trained: it cannot tell whether the record was selected by the models that test.
//! Here each target is trained on halves of its own, and meets reference models of its own:
//! p-values of different audits are independent. Within an audit they are not, so every
//! interval is over audits.
//!
//! With 39 OUT models the p-values of `ecdf` are multiples of 1/40, and a selection that knows
//! neither the target nor the models that test leaves `P(p ≤ 0.05) = 0.05` and
//! `P(p ≤ 0.1) = 0.1` exactly.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as tests may"
)]

use std::ops::Range;

use giveaway::attack::direct::{DirectInference, LeftOut, Null};
use giveaway::channel::Channel;
use giveaway::membership::{Design, Membership};
use giveaway::select::{
    Amount, Rule, loss_vulnerability, neighbour_vulnerability, neighbours, take,
};
use giveaway::signals::{ModelSignals, Signals};
use giveaway::units::Units;
use giveaway_nn::{Activation, Examples, Network, Optimiser, Schedule, Training};
use giveaway_stats::distribution::student_t_sf;
use giveaway_stats::random::{Stream, derive_seed};
use giveaway_stats::summary::{mean, sample_variance};
use giveaway_stats::uniformity::ks_super_uniform;
use ndarray::Array2;
use rayon::prelude::*;

const SEED: u64 = 2;
const RECORDS: usize = 300;
const FEATURES: usize = 6;
/// 39 complementary pairs in each half.
const REFERENCES: usize = 156;
const OUT_MODELS: usize = 39;
/// Each with its own pool, reference models and pair of complementary targets.
const AUDITS: u64 = 300;
const SHARE: f64 = 0.1;
const LEVELS: [f64; 2] = [0.05, 0.1];
const NULLS: [Null; 2] = [Null::Ecdf, Null::T];
/// A test of a true hypothesis on fixed draws: below this, something is wrong.
const ALARM: f64 = 0.001;
/// A test that must see a fault sees it this clearly.
const CLEAR: f64 = 1e-6;
/// Student's t with 299 degrees of freedom: 97.5 %.
const ONE_SIDED: f64 = 1.968;

/// Who is tested: by which rule, and by which half of the models; the second half tests.
const PROPER: [(Rule, usize); 4] = [
    (Rule::All, 0),
    (Rule::Neighbours, 0),
    (Rule::OutLoss, 0),
    (Rule::Influence, 0),
];
fn everybody() -> Vec<u32> {
    (0..RECORDS as u32).collect()
}

fn halves(models: usize, purpose: &str, audit: u64) -> Membership {
    let seed = derive_seed(SEED, purpose, audit);
    Membership::draw(Design::Halves, models, RECORDS, &everybody(), 0, seed).unwrap()
}

/// What one audit has before anybody is selected.
struct Material {
    references: Membership,
    signals: Signals,
    /// Outputs of each reference model, `[records × columns]`: the space of the neighbours.
    outputs: Vec<Array2<f32>>,
    targets: Membership,
    target_signals: Signals,
}

/// Two overlapping classes, one label in seven wrong: hard records and easy ones.
fn pool(audit: u64) -> (Array2<f32>, Vec<u32>) {
    let mut stream = Stream::new(SEED, "pool", audit);
    let features = Array2::from_shape_fn((RECORDS, FEATURES), |_| stream.normal() as f32);
    let labels = features
        .rows()
        .into_iter()
        .map(|row| {
            let class = f64::from(row[0] + row[1]) + 0.5 * stream.normal() > 0.0;
            u32::from(class != (stream.uniform() < 1.0 / 7.0))
        })
        .collect();
    (features, labels)
}

/// A small network, trained long enough to know some of its records.
fn trained(audit: u64) -> Material {
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
    let (features, labels) = pool(audit);
    let examples = Examples::new(features.view(), &labels, 2).unwrap();
    let train = |membership: &Membership, purpose: &str| {
        let outputs: Vec<Array2<f32>> = (0..membership.models())
            .map(|model| {
                let rows = membership.training_units(model);
                let seed = derive_seed(derive_seed(SEED, purpose, audit), "model", model as u64);
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
            |model| Ok(outputs[model].clone()),
        )
        .unwrap();
        (signals, outputs)
    };
    let references = halves(REFERENCES, "references", audit);
    let targets = halves(2, "targets", audit);
    let (signals, outputs) = train(&references, "training references");
    let (target_signals, _) = train(&targets, "training targets");
    Material {
        references,
        signals,
        outputs,
        targets,
        target_signals,
    }
}

/// Nothing is learnt and all records are alike: what is selected is chance alone.
fn noise(audit: u64) -> Material {
    let mut stream = Stream::new(SEED, "noise", audit);
    let mut draw = |models: usize| {
        let logit = Array2::from_shape_fn((RECORDS, models), |_| stream.normal() as f32);
        (Signals::from_arrays(&logit.mapv(|z| -z), &logit), logit)
    };
    let (signals, logit) = draw(REFERENCES);
    let (target_signals, _) = draw(2);
    Material {
        references: halves(REFERENCES, "references of noise", audit),
        signals,
        outputs: (0..REFERENCES)
            .map(|m| logit.slice(ndarray::s![.., m..=m]).to_owned())
            .collect(),
        targets: halves(2, "targets of noise", audit),
        target_signals,
    }
}

impl Material {
    fn selected(&self, rule: Rule, models: Range<usize>) -> Vec<u32> {
        let candidates = everybody();
        let vulnerability = if rule == Rule::Neighbours {
            let views: Vec<_> = self.outputs[models].iter().map(|o| o.view()).collect();
            let features = neighbours::Features::from_array(
                ndarray::concatenate(ndarray::Axis(1), &views).unwrap(),
            );
            let found =
                neighbours::search(&features, &candidates, &candidates, RECORDS / 2, |_| {})
                    .unwrap();
            neighbour_vulnerability(&found)
        } else {
            loss_vulnerability(rule, &self.signals, &self.references, &candidates, models).unwrap()
        };
        let selected = take(rule, vulnerability, &candidates, Amount::Share(SHARE))
            .unwrap()
            .selected;
        let wanted = if rule == Rule::All { 1.0 } else { SHARE };
        let wanted = (RECORDS as f64 * wanted) as usize;
        // two records that are each other's nearest tie at the cut
        assert!((wanted..wanted + 4).contains(&selected.len()));
        selected
    }

    /// Per null, the p-values of the selected on the target that was not trained on them,
    /// and on the one that was: the targets are complementary, so each has one of each.
    fn p_values(&self, rule: Rule, half: usize) -> [[Vec<f64>; 2]; 2] {
        let models = self.references.halves();
        let selected = self.selected(rule, models[half].clone());
        let inference = DirectInference::new(
            &self.signals,
            &self.references,
            &selected,
            models[1].clone(),
        );
        assert!((0..selected.len()).all(|i| inference.models_out(i) == OUT_MODELS));
        let targets: [ModelSignals; 2] = [0, 1].map(|t| self.target_signals.of_model(t));
        NULLS.map(|null| {
            let p = [0, 1].map(|t| inference.p_values(null, &targets[t], LeftOut::Nobody));
            [0, 1].map(|side| {
                selected
                    .iter()
                    .enumerate()
                    .map(|(i, &unit)| {
                        let member_of = usize::from(self.targets.is_in(1, unit as usize));
                        p[if side == 1 { member_of } else { 1 - member_of }][i]
                    })
                    .collect()
            })
        })
    }
}

/// P-values of a selection under a null: of all audits, of non-members and of members.
struct Study {
    rule: Rule,
    /// The half of the models that selected.
    half: usize,
    null: Null,
    outside: Vec<Vec<f64>>,
    inside: Vec<Vec<f64>>,
}

/// A mean over audits against what it should be.
struct Clustered {
    mean: f64,
    error: f64,
    /// Chance of a mean so far above, if it is what it should be.
    above: f64,
    /// The same below.
    below: f64,
}

fn over_audits(audits: &[Vec<f64>], expected: f64, of: impl Fn(f64) -> f64) -> Clustered {
    let means: Vec<f64> = audits
        .iter()
        .map(|p| p.iter().map(|&p| of(p)).sum::<f64>() / p.len() as f64)
        .collect();
    let average = mean(&means).unwrap();
    let error = (sample_variance(&means).unwrap() / means.len() as f64).sqrt();
    let t = (average - expected) / error;
    let freedom = means.len() as f64 - 1.0;
    Clustered {
        mean: average,
        error,
        above: student_t_sf(t, freedom),
        below: student_t_sf(-t, freedom),
    }
}

impl Study {
    /// Of each selection, under each null.
    fn run(material: fn(u64) -> Material, ways: &[(Rule, usize)]) -> Vec<Self> {
        let audits: Vec<Vec<[[Vec<f64>; 2]; 2]>> = (0..AUDITS)
            .into_par_iter()
            .map(|audit| {
                let material = material(audit);
                ways.iter()
                    .map(|&(rule, half)| material.p_values(rule, half))
                    .collect()
            })
            .collect();
        let mut studies = Vec::new();
        for (way, &(rule, half)) in ways.iter().enumerate() {
            for (position, &null) in NULLS.iter().enumerate() {
                let side = |side: usize| -> Vec<Vec<f64>> {
                    audits
                        .iter()
                        .map(|audit| audit[way][position][side].clone())
                        .collect()
                };
                studies.push(Self {
                    rule,
                    half,
                    null,
                    outside: side(0),
                    inside: side(1),
                });
            }
        }
        studies
    }

    fn false_positives(&self, level: f64) -> Clustered {
        over_audits(&self.outside, level, |p| f64::from(p <= level + 1e-12))
    }

    fn true_positives(&self, level: f64) -> Clustered {
        over_audits(&self.inside, level, |p| f64::from(p <= level + 1e-12))
    }

    /// The mean p-value: of uniform multiples of 1/40, or of uniform numbers.
    fn mean_p(&self) -> Clustered {
        let grid = OUT_MODELS as f64 + 1.0;
        let expected = if self.null == Null::Ecdf {
            0.5 * (grid + 1.0) / grid
        } else {
            0.5
        };
        over_audits(&self.outside, expected, |p| p)
    }

    /// Kolmogorov–Smirnov against super-uniformity on one p-value per audit. Many such
    /// draws are combined by twice their mean, which is a p-value however the draws depend
    /// on each other (Vovk and Wang 2020, Biometrika 107(4)).
    fn kolmogorov_smirnov(&self) -> f64 {
        const DRAWS: u64 = 100;
        let draws: Vec<f64> = (0..DRAWS)
            .map(|draw| {
                let mut stream = Stream::new(SEED, "one p-value per audit", draw);
                let one: Vec<f64> = self
                    .outside
                    .iter()
                    .map(|p| p[stream.below(p.len())])
                    .collect();
                ks_super_uniform(&one).unwrap().p_value
            })
            .collect();
        (2.0 * mean(&draws).unwrap()).min(1.0)
    }

    fn figures(&self) -> String {
        let rates: Vec<String> = LEVELS
            .iter()
            .map(|&level| {
                let (out, inside) = (self.false_positives(level), self.true_positives(level));
                format!(
                    "p <= {level}: {:.4} ± {:.4} (above {:.3}) of non-members, {:.4} of members",
                    out.mean,
                    ONE_SIDED * out.error,
                    out.above,
                    inside.mean
                )
            })
            .collect();
        let p = self.mean_p();
        format!(
            "{} by half {}, {}: {}; mean p {:.4} ± {:.4} (below {:.3}); Kolmogorov–Smirnov {:.3}",
            self.rule.name(),
            self.half,
            self.null.name(),
            rates.join("; "),
            p.mean,
            ONE_SIDED * p.error,
            p.below,
            self.kolmogorov_smirnov()
        )
    }
}

/// With a network's losses: selected or not, non-members are accused as often as stated.
#[test]
fn selection_by_other_models_leaves_the_p_values_of_non_members_alone() {
    let studies = Study::run(trained, &PROPER);
    let mut wholly_above = 0;
    for study in &studies {
        let what = study.figures();
        eprint_figures(&what);
        assert!(study.kolmogorov_smirnov() > ALARM, "{what}");
        assert!(study.mean_p().below > ALARM, "{what}");
        for level in LEVELS {
            let rate = study.false_positives(level);
            if study.null == Null::Ecdf {
                // equal to the level, not only below it
                assert!(rate.above > ALARM && rate.below > ALARM, "{what}");
                wholly_above += u32::from(rate.above < 0.025);
            } else {
                // The scaled logits of a network are not normal, so t promises nothing
                // here. In 1,200 audits 0.054 of everybody were at or below 0.05, and 0.043
                // of those selected by loss: near the level, and on either side of it.
                let margin = ONE_SIDED * rate.error;
                assert!(rate.mean - margin < 1.1 * level, "{what}");
                assert!(rate.mean + margin > 0.8 * level, "{what}");
            }
            // An interval that says nothing would prove nothing.
            assert!(ONE_SIDED * rate.error < 0.01, "{what}");
            // There is something to find, and the hardest records give it away most.
            let found = study.true_positives(level).mean;
            let hard = matches!(study.rule, Rule::OutLoss | Rule::Influence);
            assert!(found > if hard { 3.0 } else { 1.5 } * level, "{what}");
        }
    }
    // Of eight 95 % intervals, which depend on each other, hardly two.
    assert!(wholly_above <= 1, "{wholly_above} intervals lie above");
}

/// The control: records with a high loss on the very models that test. Among records that are
/// all alike, those models are high by chance, the target is not, and everybody is accused.
/// Noise, because it takes records that are alike: in the pools above they differ far more than
/// two halves do in what they say of one, and the same fault cannot be seen (0.049 and 0.097).
#[test]
fn selection_by_the_models_that_test_is_seen() {
    let ways = [(Rule::OutLoss, 0), (Rule::OutLoss, 1)];
    for study in Study::run(noise, &ways) {
        let what = study.figures();
        eprint_figures(&what);
        let (few, many) = (study.false_positives(0.05), study.false_positives(0.1));
        let p = study.mean_p();
        if study.half == 0 {
            assert!(few.above.min(many.above) > ALARM, "{what}");
            assert!(few.below.min(many.below) > ALARM, "{what}");
            assert!(p.below > ALARM, "{what}");
            assert!(study.kolmogorov_smirnov() > 0.05, "{what}");
        } else {
            assert!(few.above.max(many.above) < CLEAR, "{what}");
            assert!(p.below < CLEAR, "{what}");
            // One p-value per audit says less, and yet enough.
            assert!(study.kolmogorov_smirnov() < 0.05, "{what}");
        }
    }
}

/// Shown with `cargo test -- --nocapture`.
#[expect(clippy::print_stderr, reason = "figures for whoever asks for them")]
fn eprint_figures(what: &str) {
    eprintln!("{what}");
}
