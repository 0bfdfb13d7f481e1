//! `MemGuard` (Jia et al. 2019): noise that makes a classifier of members undecided.
//!
//! The defender trains a classifier g of members on sorted probabilities: those that the model
//! gives for records that no figure is taken from, members where the model was trained on them.
//!
//! Phase I looks for noise e on the logits z of a query that keeps the label ŷ and takes g's logit h
//! to the other side of 0, by descent with steps of length 0.1 along the gradient of
//!
//! ```text
//! |h(p)| + 10 · max(0, max_{j≠ŷ} (z+e)_j − (z+e)_ŷ) + c3 · ‖p − softmax(z)‖₁,   p = softmax(z + e)
//! ```
//!
//! of at most 300 steps. c3 begins at 0.1 and grows tenfold as long as noise is found, and the last
//! that was found is taken: the least distorted. Where the first search finds none there is none.
//!
//! Phase II, with r = softmax(z + e) − softmax(z): where g is no less sure of the noisy answer
//! nothing is done; else the noise is used with probability `min(1, budget/‖r‖₁)`, so that the
//! expected distortion is within the budget. The draw belongs to the query: asked again, it is the
//! same (the paper's one-time randomness).
//!
//! Ours are the classifier's size (32 hidden units for the paper's three layers), that answers are
//! given as logits, whose softmax is the noisy probabilities, and that a search which goes back
//! and forth between two points is over.

use giveaway_nn::{Activation, Examples, Network, Optimiser, Training};
use giveaway_stats::random::{Stream, derive_seed};
use ndarray::Array2;

use super::guard::{Asked, Guard, Rule, cannot_ask, counts};
use super::row::{answered, answered_of_doubles, keep_label, probabilities, softmax};
use crate::channel::OutputKind;
use crate::dataset::Dataset;
use crate::defend::{About, Bench, Defence, Guarded, Stage};
use crate::error::{Error, Result};
use crate::trainer::Model;

/// Records of either side that the classifier of members needs.
pub const FEWEST: usize = 20;
/// Records of either side that are enough for it.
const MOST: usize = 5000;
const HIDDEN: usize = 32;
const STEPS: usize = 300;
const STEP: f64 = 0.1;
const LABEL_WEIGHT: f64 = 10.0;
const FIRST_DISTORTION_WEIGHT: f64 = 0.1;
const LAST_DISTORTION_WEIGHT: f64 = 1e5;

/// Noise against classifiers of members.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemGuard {
    budget: f64,
}

impl Default for MemGuard {
    /// A budget of 0.5.
    fn default() -> Self {
        Self { budget: 0.5 }
    }
}

impl MemGuard {
    /// The expected L1 distance between the probabilities with and without noise is at most the
    /// budget.
    ///
    /// # Errors
    /// If it is not above 0 and at most 2, the largest distance there is.
    pub fn new(budget: f64) -> Result<Self> {
        if !(budget > 0.0 && budget <= 2.0) {
            return Err(Error::usage(format!("MemGuard's budget is {budget}"))
                .hint("give a number above 0 and at most 2, such as 0.5"));
        }
        Ok(Self { budget })
    }
}

impl Defence for MemGuard {
    fn name(&self) -> String {
        format!("mem-guard:{}", self.budget)
    }

    fn about(&self) -> About {
        let budget = self.budget;
        About {
            title: format!("MemGuard, budget {budget}"),
            source: "Jia et al. 2019",
            what: format!(
                "Noise that keeps the label and makes a classifier of members undecided is added to the answers, \
                 {budget} of probability in the mean at most."
            ),
            promise: Some(
                "It is made against one classifier of one answer. Attacks on labels lose nothing (Song and Mittal \
                 2021), and attacks that compare with models behind the same defence little."
                    .to_owned(),
            ),
            stage: Stage::Answers,
            sample_aware: false,
            keeps_labels: true,
            scikit_learn: "g = MLPClassifier((32,)).fit(np.sort(p_held), was_member); z = np.log(p) + e for each query, \
                 with e found by descent on |g's logit| (see the paper's algorithm 1), answer softmax(z)"
                .to_owned(),
            pytorch: "e found by descent on abs(h(softmax(z + e).sort(descending=True).values)) with the label kept, \
                 answer softmax(z + e)"
                .to_owned(),
        }
    }

    fn guard<'a>(
        &'a self,
        bench: &'a Bench<'a>,
        rows: &[u32],
        model: Box<dyn Model + 'a>,
        seed: u64,
    ) -> Result<Box<dyn Guarded + 'a>> {
        let seed = derive_seed(bench.seed, "MemGuard", seed);
        let judge = Judge::learn(&*model, bench.dataset, rows, bench.held, seed)?;
        let rule = Noisy {
            judge,
            budget: self.budget,
            seed,
        };
        Ok(Guard::boxed(model, bench.dataset, rule))
    }
}

/// The defender's classifier of members: sorted probabilities, one hidden layer of rectified
/// units, one logit.
#[derive(Clone, Debug)]
struct Judge {
    /// Hidden units × classes, unit by unit.
    weights: Vec<f64>,
    biases: Vec<f64>,
    /// What each unit adds to the logit of being a member.
    votes: Vec<f64>,
    bias: f64,
}

impl Judge {
    /// Learns from held records, as many of those among `rows` as of the others.
    fn learn(
        model: &dyn Model,
        dataset: &Dataset,
        rows: &[u32],
        held: &[bool],
        seed: u64,
    ) -> Result<Self> {
        let counts = counts(rows, dataset.len())?;
        let mut sides = [Vec::new(), Vec::new()];
        for (record, (&held, &count)) in held.iter().zip(&counts).enumerate() {
            if held {
                sides[usize::from(count > 0)].push(record);
            }
        }
        let each = sides.iter().map(Vec::len).min().unwrap_or(0).min(MOST);
        if each < FEWEST {
            let [outside, inside] = sides.map(|side| side.len());
            return Err(Error::usage(format!(
                "MemGuard has {inside} members and {outside} non-members to learn from, and needs {FEWEST} of each"
            ))
            .hint("set more records aside that no figure is taken from, or leave mem-guard out"));
        }
        let mut stream = Stream::new(seed, "records of the classifier", 0);
        let mut label_of = vec![None; dataset.len()];
        for (label, side) in sides.iter_mut().enumerate() {
            stream.shuffle(side);
            for &record in &side[..each] {
                label_of[record] = Some(label as u32);
            }
        }
        let classes = model.classes();
        let (mut features, mut labels, mut record) = (Vec::new(), Vec::new(), 0);
        model
            .each_logits(&mut |block| {
                for row in block.outer_iter() {
                    if let Some(label) = label_of[record] {
                        let mut p = probabilities(&row.to_vec());
                        p.sort_unstable_by(|a, b| b.total_cmp(a));
                        features.extend(p.into_iter().map(|p| p as f32));
                        labels.push(label);
                    }
                    record += 1;
                }
                Ok(())
            })
            .map_err(cannot_ask)?;
        let features = Array2::from_shape_vec((labels.len(), classes), features)
            .map_err(|e| Error::unexpected(format!("cannot lay out the probabilities: {e}")))?;
        let failed = |e: giveaway_nn::Error| {
            Error::unexpected(format!("cannot train MemGuard's classifier: {e}"))
        };
        let examples = Examples::new(features.view(), &labels, 2).map_err(failed)?;
        let network = Network {
            inputs: classes,
            hidden: vec![HIDDEN],
            classes: 2,
            activation: Activation::Relu,
            ..Network::default()
        };
        let training = Training {
            epochs: 30,
            batch_size: 64,
            learning_rate: 0.005,
            optimiser: Optimiser::adam(),
            l2: 0.0,
            label_smoothing: 0.0,
            schedule: giveaway_nn::Schedule::Constant,
            early_stopping: None,
            augmentation: None,
        };
        let all: Vec<u32> = (0..labels.len() as u32).collect();
        let trained =
            giveaway_nn::train(&network, &training, &examples, &all, &[], seed).map_err(failed)?;
        let [hidden, last] = trained.layers() else {
            return Err(Error::unexpected("MemGuard's classifier has other layers"));
        };
        Ok(Self {
            weights: hidden.weight.iter().map(|&w| f64::from(w)).collect(),
            biases: hidden.bias.iter().map(|&b| f64::from(b)).collect(),
            votes: last
                .weight
                .row(1)
                .iter()
                .zip(last.weight.row(0))
                .map(|(&a, &b)| f64::from(a) - f64::from(b))
                .collect(),
            bias: f64::from(last.bias[1]) - f64::from(last.bias[0]),
        })
    }

    /// The logit of being a member, of sorted probabilities; and its gradient with respect to them.
    fn logit(&self, sorted: &[f64], gradient: &mut [f64]) -> f64 {
        gradient.fill(0.0);
        let mut logit = self.bias;
        let units = self.weights.chunks_exact(sorted.len().max(1));
        for ((weights, bias), vote) in units.zip(&self.biases).zip(&self.votes) {
            let sum = bias + weights.iter().zip(sorted).map(|(w, p)| w * p).sum::<f64>();
            if sum > 0.0 {
                logit += vote * sum;
                for (gradient, w) in gradient.iter_mut().zip(weights) {
                    *gradient += vote * w;
                }
            }
        }
        logit
    }
}

/// The rule, fitted to a model.
struct Noisy {
    judge: Judge,
    budget: f64,
    seed: u64,
}

impl Rule for Noisy {
    fn kind(&self) -> OutputKind {
        OutputKind::Logits
    }

    fn answers(&self, _model: &dyn Model, asked: &Asked<'_>) -> Result<Array2<f32>> {
        Ok(asked.each(|input, logits, answer| {
            answer.copy_from_slice(logits);
            let Some(found) = self.judge.noise(logits) else {
                return;
            };
            // g is 1/2 at 0: the farther from it, the surer
            if found.logit_before.abs() <= found.logit_after.abs() {
                return;
            }
            let chance = self.budget / found.distortion;
            if chance < 1.0
                && asked
                    .stream(self.seed, "whether there is noise", input)
                    .uniform()
                    >= chance
            {
                return;
            }
            for (answer, z) in answer.iter_mut().zip(found.noisy) {
                *answer = z as f32;
            }
            keep_label(answer, answered(logits));
        }))
    }
}

/// Noise for one query.
struct Noise {
    /// Logits with the noise.
    noisy: Vec<f64>,
    /// The classifier's logit without and with it.
    logit_before: f64,
    logit_after: f64,
    /// L1 distance of the probabilities.
    distortion: f64,
}

impl Judge {
    /// Phase I.
    fn noise(&self, logits: &[f32]) -> Option<Noise> {
        let z: Vec<f64> = logits.iter().map(|&z| f64::from(z)).collect();
        let mut search = Search::new(self, &z);
        let mut best = None;
        let mut weight = FIRST_DISTORTION_WEIGHT;
        while weight <= LAST_DISTORTION_WEIGHT {
            match search.with(weight) {
                None => break,
                found => best = found,
            }
            weight *= 10.0;
        }
        best
    }
}

/// The search for one query, with its scratch space.
struct Search<'a> {
    judge: &'a Judge,
    z: &'a [f64],
    label: usize,
    before: Vec<f64>,
    logit_before: f64,
    p: Vec<f64>,
    /// Classes from the largest probability to the smallest, and those probabilities.
    order: Vec<usize>,
    sorted: Vec<f64>,
    of_sorted: Vec<f64>,
    /// Gradient of the classifier's logit with respect to the probabilities.
    of_logit: Vec<f64>,
    step: Vec<f64>,
}

impl<'a> Search<'a> {
    fn new(judge: &'a Judge, z: &'a [f64]) -> Self {
        let classes = z.len();
        let mut search = Self {
            judge,
            z,
            label: answered_of_doubles(z),
            before: Vec::new(),
            logit_before: 0.0,
            p: Vec::new(),
            order: (0..classes).collect(),
            sorted: vec![0.0; classes],
            of_sorted: vec![0.0; classes],
            of_logit: vec![0.0; classes],
            step: vec![0.0; classes],
        };
        search.logit_before = search.judged(z);
        search.before.clone_from(&search.p);
        search
    }

    /// The classifier's logit for these logits; its gradient and the probabilities stay behind.
    fn judged(&mut self, noisy: &[f64]) -> f64 {
        softmax(noisy, &mut self.p);
        let p = &self.p;
        // nearly in order from the last time
        self.order.sort_by(|&a, &b| p[b].total_cmp(&p[a]));
        for (sorted, &class) in self.sorted.iter_mut().zip(&self.order) {
            *sorted = p[class];
        }
        let logit = self.judge.logit(&self.sorted, &mut self.of_sorted);
        for (&class, &gradient) in self.order.iter().zip(&self.of_sorted) {
            self.of_logit[class] = gradient;
        }
        logit
    }

    /// Noise at this weight of the distortion; nothing where none is found.
    fn with(&mut self, weight: f64) -> Option<Noise> {
        let mut noisy = self.z.to_vec();
        let (mut last, mut last_but_one) = (noisy.clone(), noisy.clone());
        for step in 0..STEPS {
            let logit = self.judged(&noisy);
            if logit * self.logit_before <= 0.0 && answered_of_doubles(&noisy) == self.label {
                let pairs = self.p.iter().zip(&self.before);
                return Some(Noise {
                    logit_before: self.logit_before,
                    logit_after: logit,
                    distortion: pairs.map(|(a, b)| (a - b).abs()).sum(),
                    noisy,
                });
            }
            if !self.gradient(&noisy, logit, weight) {
                return None;
            }
            last_but_one.copy_from_slice(&last);
            last.copy_from_slice(&noisy);
            for (z, step) in noisy.iter_mut().zip(&self.step) {
                *z -= STEP * step;
            }
            let back = noisy.iter().zip(&last_but_one);
            if step > 0 && back.fold(0.0, |most: f64, (a, b)| most.max((a - b).abs())) < 1e-9 {
                return None;
            }
        }
        None
    }

    /// The direction of the gradient of the objective, of length 1, into `step`; whether there is one.
    fn gradient(&mut self, noisy: &[f64], logit: f64, weight: f64) -> bool {
        let signs = self.p.iter().zip(&self.before).map(|(p, before)| {
            let apart = p - before;
            if apart > 0.0 {
                1.0
            } else if apart < 0.0 {
                -1.0
            } else {
                0.0
            }
        });
        let towards = if logit > 0.0 { 1.0 } else { -1.0 };
        // with respect to the probabilities, and from there to the logits
        for ((step, of_logit), sign) in self.step.iter_mut().zip(&self.of_logit).zip(signs) {
            *step = towards * of_logit + weight * sign;
        }
        let mean: f64 = self.step.iter().zip(&self.p).map(|(g, p)| g * p).sum();
        for (step, p) in self.step.iter_mut().zip(&self.p) {
            *step = p * (*step - mean);
        }
        let rival = (0..noisy.len())
            .filter(|&class| class != self.label)
            .max_by(|&a, &b| noisy[a].total_cmp(&noisy[b]));
        if let Some(rival) = rival
            && noisy[rival] > noisy[self.label]
        {
            self.step[rival] += LABEL_WEIGHT;
            self.step[self.label] -= LABEL_WEIGHT;
        }
        let length = self.step.iter().map(|g| g * g).sum::<f64>().sqrt();
        if !(length > 0.0 && length.is_finite()) {
            return false;
        }
        for step in &mut self.step {
            *step /= length;
        }
        true
    }
}
