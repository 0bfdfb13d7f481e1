//! Gradient-boosted trees with a softmax.
//!
//! Trees are grown as in scikit-learn's `HistGradientBoostingClassifier` (and LightGBM): best
//! split first, from sums of gradients and Hessians by bin, a node's larger child having what
//! its smaller child leaves of the node's sums. Two things differ:
//!
//! - Gradients are summed as whole numbers, multiples of a power of two that is chosen so that
//!   no sum overflows (2^−45 and finer for tens of thousands of records, where scikit-learn rounds
//!   gradients to float32). So sums are exact: they depend neither on the order of records nor on
//!   threads, and differences of sums lose nothing.
//! - Only bins that are not a feature's usual one are added up
//!   ([`Sparse`](crate::features::Sparse)); the usual one has the rest. Because sums are exact,
//!   so is the rest.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use ndarray::Array2;
use rayon::prelude::*;

use crate::ensemble::{Ensemble, Kind, LOG_ZERO, Node, Tree};
use crate::examples::Samples;
use crate::exponential::exp_not_positive;
use crate::features::Sparse;
use crate::{Error, Examples, Features};

/// Additions to sums by bin that are worth a thread of their own.
const WORTH_A_THREAD: usize = 40_000;

/// How boosted trees are trained. Names in brackets are those of scikit-learn's
/// `HistGradientBoostingClassifier`, whose defaults these are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Boosting {
    /// Rounds (`max_iter`): one tree for each class, or one where there are two.
    pub rounds: usize,
    /// What the trees' values are multiplied by (`learning_rate`).
    pub learning_rate: f64,
    /// Leaves of a tree, at most (`max_leaf_nodes`).
    pub max_leaves: Option<usize>,
    /// Splits on the way to a leaf, at most (`max_depth`).
    pub max_depth: Option<usize>,
    /// Samples that a leaf must have (`min_samples_leaf`).
    pub min_samples_leaf: usize,
    /// L2 penalty on the trees' values (`l2_regularization`).
    pub l2: f64,
    /// Sum of Hessians that either side of a split must have.
    pub min_hessian: f64,
    /// Label smoothing: this share of each record's label is spread evenly over the classes that
    /// have records. Not in scikit-learn.
    pub label_smoothing: f64,
    /// Rounds without a new lowest validation loss after which training stops; the rounds up to
    /// the lowest are kept (`n_iter_no_change`, but scikit-learn keeps them all).
    pub patience: Option<usize>,
}

impl Default for Boosting {
    fn default() -> Self {
        Self {
            rounds: 100,
            learning_rate: 0.1,
            max_leaves: Some(31),
            max_depth: None,
            min_samples_leaf: 20,
            l2: 0.0,
            min_hessian: 1e-3,
            label_smoothing: 0.0,
            patience: None,
        }
    }
}

/// Boosted trees and what became of some records' losses.
#[derive(Clone, Debug, PartialEq)]
pub struct Traced {
    /// The model.
    pub ensemble: Ensemble,
    /// The loss, −ln of the probability of the record's label, after each round that was run
    /// (those after the lowest validation loss included): rounds × traced records.
    pub losses: Array2<f32>,
}

impl Boosting {
    /// Trains boosted trees on the records `rows`, watching `validation` where there is
    /// [patience](Self::patience). A record that is named twice is two samples, one of weight 0 is
    /// none. Nothing is random.
    ///
    /// # Errors
    /// If a setting makes no sense, or the examples cannot be learnt from: fewer than two classes
    /// among the rows, a row that is no record, a label that is no class, a bad weight.
    pub fn train(
        &self,
        examples: &Examples,
        rows: &[u32],
        validation: &[u32],
    ) -> Result<Ensemble, Error> {
        let traced = self.train_traced(examples, rows, validation, &[])?;
        Ok(traced.ensemble)
    }

    /// As [`Self::train`], and the losses of the records `traced`, which change nothing.
    ///
    /// # Errors
    /// As [`Self::train`].
    pub fn train_traced(
        &self,
        examples: &Examples,
        rows: &[u32],
        validation: &[u32],
        traced: &[u32],
    ) -> Result<Traced, Error> {
        self.check()?;
        let samples = examples.samples(rows)?;
        examples.check(validation, "to validate on")?;
        examples.check(traced, "to trace")?;
        if self.patience.is_some() && validation.is_empty() {
            return Err(Error::Training(
                "to stop early there must be records to validate on".to_owned(),
            ));
        }
        Ok(Training::new(self, examples, &samples).run(validation, traced))
    }

    /// # Errors
    /// If a setting makes no sense.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |what: String| Err(Error::Training(what));
        let not_negative = |x: f64| x.is_finite() && x >= 0.0;
        if self.rounds == 0 {
            return refuse("boosting needs at least one round".to_owned());
        }
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return refuse(format!(
                "a learning rate of {}; it must be above 0",
                self.learning_rate
            ));
        }
        if self.max_leaves.is_some_and(|most| most < 2) {
            return refuse("a tree must be allowed two leaves or more".to_owned());
        }
        if self.max_depth == Some(0) {
            return refuse("a largest depth of 0 leaves no split".to_owned());
        }
        if self.min_samples_leaf == 0 {
            return refuse("leaves must have at least one sample".to_owned());
        }
        if !not_negative(self.l2) {
            return refuse(format!(
                "an L2 penalty of {}; it must be 0 or more",
                self.l2
            ));
        }
        if !not_negative(self.min_hessian) {
            return refuse(format!(
                "a least sum of Hessians of {}; it must be 0 or more",
                self.min_hessian
            ));
        }
        if !(0.0..1.0).contains(&self.label_smoothing) {
            return refuse(format!(
                "label smoothing of {}; it must be 0 or more and below 1",
                self.label_smoothing
            ));
        }
        if self.patience == Some(0) {
            return refuse("patience must be at least one round".to_owned());
        }
        Ok(())
    }

    /// Bytes that training on so many samples takes at most on so many threads, with the trees
    /// that come of it. `bins` are those of all features together ([`Features::thresholds`], one
    /// more for each feature), `watched` the records validated on and traced.
    #[must_use]
    pub fn memory(
        &self,
        samples: usize,
        watched: usize,
        bins: usize,
        classes: usize,
        threads: usize,
    ) -> usize {
        let outputs = if classes == 2 { 1 } else { classes };
        let leaves = (samples / self.min_samples_leaf.max(1))
            .clamp(1, self.max_leaves.unwrap_or(usize::MAX));
        let tree = 2 * leaves * size_of::<Node>() + leaves * size_of::<f64>() + size_of::<Tree>();
        // every leaf of a growing tree may have sums, and a few more are in the making
        let side_by_side = threads.min(outputs).max(1);
        let growing = (leaves + 2 + threads) * bins * size_of::<Sum>()
            + samples * (2 * size_of::<u32>() + size_of::<Sum>());
        let samples_alone = size_of::<u32>() + size_of::<u16>() + 2 * size_of::<f64>();
        samples * (samples_alone + outputs * size_of::<f64>())
            + watched * outputs * size_of::<f64>()
            + side_by_side * growing
            + self.rounds * outputs * tree
    }
}

/// Sums of a bin or node: the gradients in units of [`Scale::gradient`], and the Hessians in
/// units of [`Scale::hessian`] beside the number of samples in the lowest bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    gradient: i64,
    rest: u64,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.gradient = self.gradient.wrapping_add(other.gradient);
        self.rest = self.rest.wrapping_add(other.rest);
    }

    fn minus(self, other: Self) -> Self {
        Self {
            gradient: self.gradient.wrapping_sub(other.gradient),
            rest: self.rest.wrapping_sub(other.rest),
        }
    }
}

/// How gradients and Hessians become whole numbers. Both factors are powers of two.
#[derive(Clone, Copy, Debug)]
struct Scale {
    gradient: f64,
    hessian: f64,
    of_gradient: f64,
    of_hessian: f64,
    count_bits: u32,
}

impl Scale {
    /// For so many samples of so much weight together: a sample's gradient is at most its weight,
    /// its Hessian a quarter of it.
    fn new(samples: usize, weight: f64) -> Self {
        let exponent = |x: f64| ((x.to_bits() >> 52) & 0x7ff) as i32 - 1022; // 2^that is above x
        let count_bits = (usize::BITS - samples.leading_zeros()).cast_signed();
        // one bit for the sign, one for what rounding adds
        let gradient = 61 - exponent(weight);
        let hessian = 63 - count_bits - exponent(weight / 4.0);
        Self {
            gradient: libm::ldexp(1.0, gradient),
            hessian: libm::ldexp(1.0, hessian),
            of_gradient: libm::ldexp(1.0, -gradient),
            of_hessian: libm::ldexp(1.0, -hessian),
            count_bits: count_bits.cast_unsigned(),
        }
    }

    fn sample(&self, gradient: f64, hessian: f64) -> Sum {
        Sum {
            gradient: (gradient * self.gradient) as i64,
            rest: (((hessian * self.hessian) as i64 as u64) << self.count_bits) | 1,
        }
    }

    fn gradient(&self, sum: Sum) -> f64 {
        sum.gradient as f64 * self.of_gradient
    }

    fn hessian(&self, sum: Sum) -> f64 {
        (sum.rest >> self.count_bits).cast_signed() as f64 * self.of_hessian
    }

    fn count(&self, sum: Sum) -> usize {
        (sum.rest & ((1 << self.count_bits) - 1)) as usize
    }
}

/// A split and what it gains.
#[derive(Clone, Copy, Debug)]
struct Split {
    gain: f64,
    feature: u32,
    bin: u8,
    left: Sum,
}

/// A leaf of a growing tree: its samples, their sums and its value.
struct Leaf {
    node: usize,
    depth: usize,
    start: usize,
    end: usize,
    total: Sum,
    value: f64,
}

/// A leaf that is to be split.
struct Open {
    split: Split,
    /// Of two leaves of the same gain the one that was there first is split first.
    number: usize,
    leaf: Leaf,
    sums: Vec<Sum>,
}

/// A growing tree.
#[derive(Default)]
struct Growing {
    nodes: Vec<Node>,
    /// Those that stay.
    leaves: Vec<Leaf>,
    open: BinaryHeap<Open>,
    /// How many were ever to be split.
    opened: usize,
}

impl Ord for Open {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_gain = self.split.gain.total_cmp(&other.split.gain);
        by_gain.then_with(|| other.number.cmp(&self.number))
    }
}

impl PartialOrd for Open {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Open {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Open {}

/// What a tree is grown in; kept from round to round.
#[derive(Default)]
struct Workspace {
    /// Gradients and Hessians of the samples.
    slopes: Vec<Sum>,
    /// Samples, those of a node side by side.
    order: Vec<u32>,
    scratch: Vec<u32>,
    /// Sums by bin that are not in use.
    spare: Vec<Vec<Sum>>,
}

struct Training<'a> {
    settings: &'a Boosting,
    examples: &'a Examples<'a>,
    features: &'a Features,
    sparse: &'a Sparse,
    samples: &'a Samples,
    /// The place of each sample's class among those present.
    targets: Vec<u16>,
    scale: Scale,
    outputs: usize,
    baseline: Vec<f64>,
    /// The features that are not the same in all samples.
    varying: Vec<u32>,
}

/// Records whose losses are followed.
struct Watched<'a> {
    records: &'a [u32],
    /// Output after output.
    scores: Vec<f64>,
}

impl<'a> Training<'a> {
    fn new(settings: &'a Boosting, examples: &'a Examples<'a>, samples: &'a Samples) -> Self {
        let present = &samples.present;
        let place = |&label: &u16| present.partition_point(|&class| class < label) as u16;
        let targets: Vec<u16> = samples.labels.iter().map(place).collect();
        let mut weights = vec![0.0; present.len()];
        for (index, &target) in targets.iter().enumerate() {
            weights[usize::from(target)] += samples.weights.as_ref().map_or(1.0, |w| w[index]);
        }
        let weight: f64 = weights.iter().sum();
        let logs: Vec<f64> = weights
            .iter()
            .map(|w| libm::log((w / weight).clamp(f64::EPSILON, 1.0 - f64::EPSILON)))
            .collect();
        let baseline = if present.len() == 2 {
            vec![logs[1] - logs[0]]
        } else {
            let mean = logs.iter().sum::<f64>() / logs.len() as f64;
            logs.iter().map(|log| log - mean).collect()
        };
        let mut training = Self {
            settings,
            examples,
            features: examples.features,
            sparse: examples.features.sparse(),
            samples,
            targets,
            scale: Scale::new(samples.len(), weight),
            outputs: baseline.len(),
            baseline,
            varying: (0..examples.features.width() as u32).collect(),
        };
        let counts = vec![
            Sum {
                gradient: 0,
                rest: 1
            };
            samples.len()
        ];
        let order: Vec<u32> = (0..samples.len() as u32).collect();
        let mut sums = training.zeros();
        let total = Sum {
            gradient: 0,
            rest: samples.len() as u64,
        };
        training.add_up(&counts, &order, total, &mut sums, &mut Vec::new());
        let mut varying = std::mem::take(&mut training.varying);
        varying.retain(|&feature| {
            let mut bins = training.bins(feature);
            !bins.any(|bin| sums[bin].rest == total.rest)
        });
        training.varying = varying;
        training
    }

    fn zeros(&self) -> Vec<Sum> {
        vec![Sum::default(); self.sparse.starts[self.features.width()]]
    }

    /// The bins of a feature among those of all.
    fn bins(&self, feature: u32) -> std::ops::Range<usize> {
        let feature = feature as usize;
        self.sparse.starts[feature]..self.sparse.starts[feature + 1]
    }

    fn run(&self, validation: &[u32], traced: &[u32]) -> Traced {
        let count = self.samples.len();
        let watch = |records| Watched {
            records,
            scores: self.start(<[u32]>::len(records)),
        };
        let mut validated = self.settings.patience.map(|_| watch(validation));
        let mut followed = watch(traced);
        let mut losses = Vec::new();
        let mut scores = self.start(count);
        let mut workspaces: Vec<Workspace> = Vec::new();
        workspaces.resize_with(self.outputs, Workspace::default);
        let mut trees: Vec<Tree> = Vec::new();
        let (mut lowest, mut best_round) = (f64::INFINITY, self.settings.rounds);
        let mut rounds = 0;
        for round in 1..=self.settings.rounds {
            rounds = round;
            let grown = self.round(&mut scores, &mut workspaces);
            self.follow(&mut followed, &grown);
            losses.extend(self.losses(&followed).map(|loss| loss as f32));
            if let Some(validated) = &mut validated {
                self.follow(validated, &grown);
            }
            trees.extend(grown);
            if let (Some(validated), Some(patience)) = (&validated, self.settings.patience) {
                let loss: f64 = self.losses(validated).sum();
                if loss < lowest {
                    (lowest, best_round) = (loss, round);
                } else if round - best_round >= patience {
                    break;
                }
            }
        }
        trees.truncate(best_round.min(rounds) * self.outputs);
        Traced {
            ensemble: Ensemble {
                kind: Kind::Boosting {
                    present: self.samples.present.clone(),
                    baseline: self.baseline.clone(),
                },
                features: self.features.width(),
                classes: self.examples.classes,
                trees,
            },
            losses: Array2::from_shape_vec((rounds, traced.len()), losses).unwrap_or_default(),
        }
    }

    /// The scores of so many records before the first round.
    fn start(&self, records: usize) -> Vec<f64> {
        let of_output = self.baseline.iter();
        of_output
            .flat_map(|&baseline| std::iter::repeat_n(baseline, records))
            .collect()
    }

    /// Adds a round's trees to the records' scores.
    fn follow(&self, watched: &mut Watched, trees: &[Tree]) {
        let records = watched.records;
        if records.is_empty() {
            return;
        }
        let by_output = watched.scores.par_chunks_mut(records.len()).zip(trees);
        by_output.for_each(|(scores, tree)| {
            scores
                .par_iter_mut()
                .with_min_len(1024)
                .zip(records)
                .for_each(|(score, &record)| {
                    *score += tree.value_of(self.features, record as usize);
                });
        });
    }

    /// The losses of the records.
    fn losses(&self, watched: &Watched) -> impl Iterator<Item = f64> {
        let count = watched.records.len();
        let present = &self.samples.present;
        (0..count).map(move |index| {
            let label = self.examples.labels[watched.records[index] as usize] as u16;
            let target = present.binary_search(&label);
            let score = |output: usize| watched.scores[output * count + index];
            let scores = || {
                let first = (self.outputs == 1).then_some(0.0);
                first.into_iter().chain((0..self.outputs).map(score))
            };
            let most = scores().fold(f64::NEG_INFINITY, f64::max);
            let own = target.map_or(f64::from(LOG_ZERO), |target| match self.outputs {
                1 if target == 0 => 0.0,
                1 => score(0),
                _ => score(target),
            });
            let absent = (self.examples.classes - present.len()) as f64;
            // ln Σ e^(s − most) as ln(1 + what is beside the largest), so that small losses keep
            // their digits
            let mut others =
                absent * exp_not_positive(f64::from(LOG_ZERO) - most.max(f64::from(LOG_ZERO)));
            let mut largest = true;
            for s in scores() {
                if largest && s >= most {
                    largest = false;
                } else {
                    others += exp_not_positive(s - most);
                }
            }
            libm::log1p(others) + (most - own)
        })
    }

    /// One tree for each output.
    fn round(&self, scores: &mut [f64], workspaces: &mut [Workspace]) -> Vec<Tree> {
        let count = self.samples.len();
        if self.outputs == 1 {
            self.slopes_of_two(scores, &mut workspaces[0].slopes);
            return vec![self.tree(scores, &mut workspaces[0])];
        }
        // for each sample the largest score and the sum of exponentials relative to it
        let mut softmax = vec![(f64::NEG_INFINITY, 0.0); count];
        let all = &*scores;
        softmax
            .par_chunks_mut(512)
            .enumerate()
            .for_each(|(chunk, softmax)| {
                let places = chunk * 512..chunk * 512 + softmax.len();
                for output in 0..self.outputs {
                    let scores = &all[output * count..][places.clone()];
                    for (slot, &score) in softmax.iter_mut().zip(scores) {
                        slot.0 = if score > slot.0 { score } else { slot.0 };
                    }
                }
                for output in 0..self.outputs {
                    let scores = &all[output * count..][places.clone()];
                    for (slot, &score) in softmax.iter_mut().zip(scores) {
                        slot.1 += exp_not_positive(score - slot.0);
                    }
                }
            });
        scores
            .par_chunks_mut(count)
            .zip(workspaces)
            .enumerate()
            .map(|(output, (scores, workspace))| {
                self.slopes_of_many(scores, &softmax, output, &mut workspace.slopes);
                self.tree(scores, workspace)
            })
            .collect()
    }

    /// What label smoothing makes of a label of `share` among so many classes.
    fn smooth(&self, own: bool, classes: usize) -> f64 {
        let smoothing = self.settings.label_smoothing;
        let own = if own { 1.0 - smoothing } else { 0.0 };
        own + smoothing / classes as f64
    }

    fn weight(&self, index: usize) -> f64 {
        self.samples
            .weights
            .as_ref()
            .map_or(1.0, |weights| weights[index])
    }

    /// Gradients and Hessians of the binomial loss.
    fn slopes_of_two(&self, scores: &[f64], slopes: &mut Vec<Sum>) {
        slopes.resize(scores.len(), Sum::default());
        let targets = [self.smooth(false, 2), self.smooth(true, 2)];
        slopes
            .par_iter_mut()
            .with_min_len(4096)
            .enumerate()
            .for_each(|(index, slope)| {
                let score = scores[index];
                let e = exp_not_positive(-score.abs());
                let (major, minor) = (1.0 / (1.0 + e), e / (1.0 + e));
                let (second, first) = if score >= 0.0 {
                    (major, minor)
                } else {
                    (minor, major)
                };
                let target = targets[usize::from(self.targets[index])];
                // p − t without a difference of near numbers
                let gradient = second * (1.0 - target) - first * target;
                let weight = self.weight(index);
                *slope = self.scale.sample(gradient * weight, major * minor * weight);
            });
    }

    /// Gradients and Hessians (the diagonal alone) of the multinomial loss in one output.
    fn slopes_of_many(
        &self,
        scores: &[f64],
        softmax: &[(f64, f64)],
        output: usize,
        slopes: &mut Vec<Sum>,
    ) {
        slopes.resize(scores.len(), Sum::default());
        let own = self.smooth(true, self.outputs);
        let other = self.smooth(false, self.outputs);
        for (index, (slope, (&score, &(most, sum)))) in slopes
            .iter_mut()
            .zip(scores.iter().zip(softmax))
            .enumerate()
        {
            let p = exp_not_positive(score - most) / sum;
            let target = if usize::from(self.targets[index]) == output {
                own
            } else {
                other
            };
            let weight = self.weight(index);
            *slope = self
                .scale
                .sample((p - target) * weight, p * (1.0 - p) * weight);
        }
    }

    /// Grows a tree on the workspace's slopes and adds it to the scores of the samples.
    fn tree(&self, scores: &mut [f64], workspace: &mut Workspace) -> Tree {
        let (nodes, leaves) = self.grow(workspace);
        let mut tree = Tree {
            nodes,
            values: Vec::with_capacity(leaves.len()),
        };
        for leaf in &leaves {
            let value = leaf.value * self.settings.learning_rate;
            tree.nodes[leaf.node] = Node::leaf(tree.values.len());
            tree.values.push(value);
            for &place in &workspace.order[leaf.start..leaf.end] {
                scores[place as usize] += value;
            }
        }
        tree
    }

    /// The value of a node with these sums.
    fn value(&self, gradient: f64, hessian: f64) -> f64 {
        -gradient / (hessian + self.settings.l2 + 1e-15)
    }

    /// Nodes of a tree, and its leaves.
    fn grow(&self, workspace: &mut Workspace) -> (Vec<Node>, Vec<Leaf>) {
        let count = self.samples.len();
        let Workspace {
            slopes,
            order,
            scratch,
            spare,
        } = workspace;
        order.clear();
        order.extend(0..count as u32);
        let mut total = Sum::default();
        for &slope in &*slopes {
            total.add(slope);
        }
        let mut growing = Growing {
            nodes: vec![Node::leaf(0)],
            ..Growing::default()
        };
        let root = Leaf {
            node: 0,
            depth: 0,
            start: 0,
            end: count,
            total,
            value: 0.0,
        };
        if !self.may_split(&root) || self.scale.hessian(total) < self.settings.min_hessian {
            return (growing.nodes, vec![root]);
        }
        let mut sums = spare.pop().unwrap_or_else(|| self.zeros());
        self.add_up(slopes, order, total, &mut sums, spare);
        self.open(&mut growing, root, sums, spare);
        while let Some(Open {
            split, leaf, sums, ..
        }) = growing.open.pop()
        {
            let children = self.split(&mut growing, &leaf, split, order, scratch);
            let leaves = growing.leaves.len() + growing.open.len() + 2;
            let full = Some(leaves) == self.settings.max_leaves;
            if full || !children.iter().any(|child| self.may_split(child)) {
                spare.push(sums);
                growing.leaves.extend(children);
                if full {
                    break;
                }
                continue;
            }
            // the smaller child is added up, the other has what it leaves
            let [left, right] = &children;
            let left_is_smaller = left.end - left.start < right.end - right.start;
            let smaller = if left_is_smaller { left } else { right };
            let mut of_smaller = spare.pop().unwrap_or_else(|| self.zeros());
            let places = &order[smaller.start..smaller.end];
            self.add_up(slopes, places, smaller.total, &mut of_smaller, spare);
            let mut of_larger = sums;
            for &feature in &self.varying {
                let bins = self.bins(feature);
                for (larger, &smaller) in of_larger[bins.clone()].iter_mut().zip(&of_smaller[bins])
                {
                    *larger = larger.minus(smaller);
                }
            }
            let sums = if left_is_smaller {
                [of_smaller, of_larger]
            } else {
                [of_larger, of_smaller]
            };
            for (child, sums) in children.into_iter().zip(sums) {
                self.open(&mut growing, child, sums, spare);
            }
        }
        // what the largest number of leaves has left unsplit
        for Open { leaf, sums, .. } in growing.open.into_sorted_vec() {
            growing.leaves.push(leaf);
            spare.push(sums);
        }
        growing.nodes.shrink_to_fit();
        (growing.nodes, growing.leaves)
    }

    /// Whether a leaf is large and high enough for a split.
    fn may_split(&self, leaf: &Leaf) -> bool {
        leaf.end - leaf.start >= 2 * self.settings.min_samples_leaf
            && self.settings.max_depth.is_none_or(|most| leaf.depth < most)
    }

    /// Finds the best split of a leaf, if it has any, and puts it where it waits for that.
    fn open(&self, growing: &mut Growing, leaf: Leaf, sums: Vec<Sum>, spare: &mut Vec<Vec<Sum>>) {
        let split = if self.may_split(&leaf) {
            self.best(&sums, leaf.total, leaf.value)
        } else {
            None
        };
        let Some(split) = split else {
            spare.push(sums);
            growing.leaves.push(leaf);
            return;
        };
        growing.open.push(Open {
            split,
            number: growing.opened,
            leaf,
            sums,
        });
        growing.opened += 1;
    }

    /// Makes a leaf a node with two leaves.
    fn split(
        &self,
        growing: &mut Growing,
        leaf: &Leaf,
        split: Split,
        order: &mut [u32],
        scratch: &mut Vec<u32>,
    ) -> [Leaf; 2] {
        let feature = split.feature as usize;
        let column = self.features.codes(feature);
        let goes_left = |place: u32| {
            let record = self.samples.records[place as usize];
            column[record as usize] <= split.bin
        };
        let middle = leaf.start + partition(&mut order[leaf.start..leaf.end], scratch, goes_left);
        let child = growing.nodes.len();
        growing.nodes[leaf.node] = Node {
            feature: split.feature,
            bin: u32::from(split.bin),
            threshold: self.features.thresholds(feature)[usize::from(split.bin)],
            child: child as u32,
        };
        growing.nodes.extend([Node::leaf(0), Node::leaf(0)]);
        let side = |node, start, end, total| Leaf {
            node,
            depth: leaf.depth + 1,
            start,
            end,
            total,
            value: self.value(self.scale.gradient(total), self.scale.hessian(total)),
        };
        [
            side(child, leaf.start, middle, split.left),
            side(child + 1, middle, leaf.end, leaf.total.minus(split.left)),
        ]
    }

    /// Sums of these samples by bin; `total` is what they are together. Whole numbers: threads
    /// change nothing.
    fn add_up(
        &self,
        slopes: &[Sum],
        places: &[u32],
        total: Sum,
        sums: &mut [Sum],
        spare: &mut Vec<Vec<Sum>>,
    ) {
        let each = self.sparse.len() / self.features.records() + 1;
        let parts = (places.len() * each / WORTH_A_THREAD).min(rayon::current_num_threads());
        if parts > 1 {
            let mut more: Vec<Vec<Sum>> = (1..parts)
                .map(|_| spare.pop().unwrap_or_else(|| self.zeros()))
                .collect();
            let mut chunks = places.chunks(places.len().div_ceil(parts));
            let first = chunks.next().unwrap_or_default();
            rayon::join(
                || self.add_up_part(slopes, first, sums),
                || {
                    let rest: Vec<&[u32]> = chunks.collect();
                    more.par_iter_mut()
                        .zip(rest)
                        .for_each(|(sums, places)| self.add_up_part(slopes, places, sums));
                },
            );
            for part in more {
                for (sum, &more) in sums.iter_mut().zip(&part) {
                    sum.add(more);
                }
                spare.push(part);
            }
        } else {
            self.add_up_part(slopes, places, sums);
        }
        for &feature in &self.varying {
            let bins = self.bins(feature);
            let usual = usize::from(self.sparse.usual[feature as usize]);
            let bins = &mut sums[bins];
            let mut rest = total;
            for &sum in &*bins {
                rest = rest.minus(sum);
            }
            bins[usual] = rest;
        }
    }

    fn add_up_part(&self, slopes: &[Sum], places: &[u32], sums: &mut [Sum]) {
        sums.fill(Sum::default());
        for &place in places {
            let slope = slopes[place as usize];
            let record = self.samples.records[place as usize];
            for &bin in self.sparse.of(record as usize) {
                sums[bin as usize].add(slope);
            }
        }
    }

    /// The split of a node that gains most; none if none gains.
    fn best(&self, sums: &[Sum], total: Sum, value: f64) -> Option<Split> {
        let scale = &self.scale;
        let (least, min_hessian) = (self.settings.min_samples_leaf, self.settings.min_hessian);
        let count = scale.count(total);
        // what the node gains by its own value; of the root, whose value is 0, nothing
        let own = scale.gradient(total) * value;
        let mut best: Option<Split> = None;
        let mut most = 0.0;
        for &feature in &self.varying {
            let bins = self.bins(feature);
            let last = bins.len() - 1;
            let mut left = Sum::default();
            for (bin, &sum) in sums[bins][..last].iter().enumerate() {
                left.add(sum);
                let count_left = scale.count(left);
                if count_left < least {
                    continue;
                }
                if count - count_left < least {
                    break;
                }
                // an empty bin changes nothing
                if scale.count(sum) == 0 {
                    continue;
                }
                let right = total.minus(left);
                let (hessian_left, hessian_right) = (scale.hessian(left), scale.hessian(right));
                if hessian_left < min_hessian {
                    continue;
                }
                if hessian_right < min_hessian {
                    break;
                }
                let (gradient_left, gradient_right) = (scale.gradient(left), scale.gradient(right));
                let gain = own
                    - gradient_left * self.value(gradient_left, hessian_left)
                    - gradient_right * self.value(gradient_right, hessian_right);
                if gain > most {
                    most = gain;
                    best = Some(Split {
                        gain,
                        feature,
                        bin: bin as u8,
                        left,
                    });
                }
            }
        }
        best
    }
}

/// Brings what goes left before the rest, both in the order they had; returns how many go left.
fn partition(places: &mut [u32], scratch: &mut Vec<u32>, left: impl Fn(u32) -> bool) -> usize {
    scratch.clear();
    scratch.resize(places.len(), 0);
    let (mut front, mut back) = (0, 0);
    for index in 0..places.len() {
        let place = places[index];
        let goes_left = left(place);
        // one of the two is overwritten by the next
        places[front] = place;
        scratch[back] = place;
        front += usize::from(goes_left);
        back += usize::from(!goes_left);
    }
    places[front..].copy_from_slice(&scratch[..back]);
    front
}

#[cfg(test)]
mod tests;
