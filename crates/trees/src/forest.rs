//! Random forests.
//!
//! The splitter visits features in the way of scikit-learn's (`node_split_best`): features are
//! drawn without replacement until `max_features` were visited and one of them was not constant
//! in the node; those found constant stay so in the node's descendants and are not looked at
//! again. What a split is worth is found from class counts by bin. Few bins are occupied in a
//! small node, so only these are visited; features of two bins, which most are after one-hot
//! encoding, take one pass over the node's samples without any table of bins.

use giveaway_stats::random::Stream;
use rayon::prelude::*;

use crate::ensemble::{Ensemble, Kind, Node, Tree};
use crate::examples::Samples;
use crate::{Error, Examples};

/// What makes a node impure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Criterion {
    /// Gini impurity, 1 − Σ p².
    #[default]
    Gini,
    /// Entropy, −Σ p ln p.
    Entropy,
}

/// How many features are visited at a node.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum MaxFeatures {
    /// The square root of their number, rounded down.
    #[default]
    Sqrt,
    /// All.
    All,
    /// So many.
    Count(usize),
    /// This share of them, in (0, 1], rounded down, at least one.
    Share(f64),
}

/// How a random forest is trained. Names in brackets are those of scikit-learn's
/// `RandomForestClassifier`, whose defaults these are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forest {
    /// Number of trees (`n_estimators`).
    pub trees: usize,
    /// What splits make small.
    pub criterion: Criterion,
    /// Splits on the way to a leaf, at most (`max_depth`).
    pub max_depth: Option<usize>,
    /// Samples that a node must have to be split; repetitions by the bootstrap count once.
    pub min_samples_split: usize,
    /// Samples that a leaf must have; repetitions by the bootstrap count once.
    pub min_samples_leaf: usize,
    /// Features visited at a node.
    pub max_features: MaxFeatures,
    /// Whether each tree has samples of its own, drawn with replacement, rather than all.
    pub bootstrap: bool,
}

impl Default for Forest {
    fn default() -> Self {
        Self {
            trees: 100,
            criterion: Criterion::Gini,
            max_depth: None,
            min_samples_split: 2,
            min_samples_leaf: 1,
            max_features: MaxFeatures::Sqrt,
            bootstrap: true,
        }
    }
}

impl Forest {
    /// Trains a forest on the records `rows`; a record that is named twice is two samples, one of
    /// weight 0 is none.
    ///
    /// # Errors
    /// If a setting makes no sense, or the examples cannot be learnt from: fewer than two classes
    /// among the rows, a row that is no record, a label that is no class, a bad weight.
    pub fn train(&self, examples: &Examples, rows: &[u32], seed: u64) -> Result<Ensemble, Error> {
        self.check()?;
        let samples = examples.samples(rows)?;
        let matrix = Matrix::gather(examples, &samples);
        let trees = (0..self.trees)
            .into_par_iter()
            .map(|tree| {
                let mut stream = Stream::new(seed, "forest tree", tree as u64);
                if samples.weights.is_some() {
                    Grower::<f64>::grow(self, &matrix, &samples, examples.classes, &mut stream)
                } else {
                    Grower::<u64>::grow(self, &matrix, &samples, examples.classes, &mut stream)
                }
            })
            .collect();
        Ok(Ensemble {
            kind: Kind::Forest,
            features: examples.features.width(),
            classes: examples.classes,
            trees,
        })
    }

    /// # Errors
    /// If a setting makes no sense.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |what: String| Err(Error::Training(what));
        if self.trees == 0 {
            return refuse("a forest needs at least one tree".to_owned());
        }
        if self.max_depth == Some(0) {
            return refuse("a largest depth of 0 leaves no split".to_owned());
        }
        if self.min_samples_split < 2 {
            return refuse(format!(
                "{} samples cannot be split; the least to split is 2 or more",
                self.min_samples_split
            ));
        }
        if self.min_samples_leaf == 0 {
            return refuse("leaves must have at least one sample".to_owned());
        }
        match self.max_features {
            MaxFeatures::Count(0) => refuse("no feature would be visited at a node".to_owned()),
            MaxFeatures::Share(share) if !(share > 0.0 && share <= 1.0) => refuse(format!(
                "{share} is no share of the features; it must be above 0 and at most 1"
            )),
            _ => Ok(()),
        }
    }

    /// Bytes that training on so many samples takes at most on so many threads, with the forest
    /// that comes of it: as if every leaf had the fewest samples that it may have.
    #[must_use]
    pub fn memory(&self, samples: usize, features: usize, classes: usize, threads: usize) -> usize {
        // with replacement, 1 − 1/e of the samples are drawn
        let drawn = if self.bootstrap {
            samples * 16 / 25
        } else {
            samples
        };
        let by_depth = self
            .max_depth
            .map_or(usize::MAX, |depth| 1 << depth.min(usize::BITS as usize - 2));
        let leaves = (drawn / self.min_samples_leaf.max(1)).clamp(1, by_depth);
        // leaves of one sample are pure and share their values
        let impure = if self.min_samples_leaf > 1 || self.max_depth.is_some() {
            leaves
        } else {
            0
        };
        let tree = 2 * leaves * size_of::<Node>() + impure * classes * size_of::<f64>();
        let workspace = 2 * samples * size_of::<Sample>()
            + 2 * features * size_of::<u32>()
            + 260 * (classes + 1) * size_of::<u64>()
            // a vector that grows is copied into one of twice the size
            + 2 * tree;
        samples * (features + size_of::<u32>() + size_of::<u16>())
            + self.trees * tree
            + threads.min(self.trees).max(1) * workspace
    }

    fn visited(&self, features: usize) -> usize {
        let count = match self.max_features {
            MaxFeatures::Sqrt => features.isqrt(),
            MaxFeatures::All => features,
            MaxFeatures::Count(count) => count,
            MaxFeatures::Share(share) => (share * features as f64) as usize,
        };
        count.clamp(1, features)
    }
}

/// The bins of the samples alone, feature after feature.
struct Matrix<'a> {
    samples: usize,
    codes: Vec<u8>,
    examples: &'a Examples<'a>,
}

impl<'a> Matrix<'a> {
    fn gather(examples: &'a Examples<'a>, samples: &Samples) -> Self {
        let mut codes = vec![0; samples.len() * examples.features.width()];
        codes
            .par_chunks_mut(samples.len())
            .enumerate()
            .for_each(|(feature, codes)| {
                let all = examples.features.codes(feature);
                for (code, &record) in codes.iter_mut().zip(&samples.records) {
                    *code = all[record as usize];
                }
            });
        Self {
            samples: samples.len(),
            codes,
            examples,
        }
    }

    fn column(&self, feature: u32) -> &[u8] {
        &self.codes[feature as usize * self.samples..][..self.samples]
    }
}

/// A sample in a tree.
#[derive(Clone, Copy)]
struct Sample {
    /// Which of the training's samples.
    place: u32,
    class: u16,
    /// How often it was drawn.
    count: u16,
}

/// What samples count: whole numbers without weights, so that sums are exact.
trait Count: Copy + Default + PartialOrd + Send {
    fn of(sample: Sample, weights: &[f64]) -> Self;
    fn float(self) -> f64;
    /// Itself or nothing.
    fn when(self, keep: bool) -> Self;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
}

impl Count for u64 {
    fn of(sample: Sample, _: &[f64]) -> Self {
        Self::from(sample.count)
    }
    fn float(self) -> f64 {
        self as f64
    }
    fn when(self, keep: bool) -> Self {
        self & Self::from(keep).wrapping_neg()
    }
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
    fn minus(self, other: Self) -> Self {
        self.wrapping_sub(other)
    }
    fn times(self, other: Self) -> Self {
        self.wrapping_mul(other)
    }
}

impl Count for f64 {
    fn of(sample: Sample, weights: &[f64]) -> Self {
        weights[sample.place as usize] * Self::from(sample.count)
    }
    fn float(self) -> f64 {
        self
    }
    fn when(self, keep: bool) -> Self {
        if keep { self } else { 0.0 }
    }
    fn plus(self, other: Self) -> Self {
        self + other
    }
    fn minus(self, other: Self) -> Self {
        self - other
    }
    fn times(self, other: Self) -> Self {
        self * other
    }
}

/// A split and what it is worth: Σ over both sides of Σ counts² / Σ counts for Gini, the like
/// for entropy. More is better; what the node itself is worth does not matter.
#[derive(Clone, Copy)]
struct Split {
    worth: f64,
    feature: u32,
    bin: u8,
}

/// A node to be split.
struct Pending {
    start: usize,
    end: usize,
    node: usize,
    depth: usize,
    constants: usize,
}

struct Grower<'a, C> {
    settings: &'a Forest,
    matrix: &'a Matrix<'a>,
    weights: &'a [f64],
    classes: usize,
    samples: Vec<Sample>,
    scratch: Vec<Sample>,
    /// Features in the order that draws have brought them into.
    features: Vec<u32>,
    /// Those known to be constant, in the order in which they were found.
    constants: Vec<u32>,
    /// Counts of the node by class.
    totals: Vec<C>,
    left: Vec<C>,
    /// Counts by bin and class; all 0 between uses.
    table: Vec<C>,
    /// Samples by bin; all 0 between uses.
    numbers: Vec<u32>,
}

impl<C: Count> Grower<'_, C> {
    fn grow(
        settings: &Forest,
        matrix: &Matrix,
        samples: &Samples,
        classes: usize,
        stream: &mut Stream,
    ) -> Tree {
        let count = samples.len();
        let mut counts = vec![1u16; count];
        if settings.bootstrap {
            counts.fill(0);
            for _ in 0..count {
                let drawn = &mut counts[stream.below(count)];
                *drawn = drawn.saturating_add(1);
            }
        }
        let samples_of_tree: Vec<Sample> = counts
            .iter()
            .zip(&samples.labels)
            .zip(0..)
            .filter(|((count, _), _)| **count > 0)
            .map(|((&count, &class), place)| Sample {
                place,
                class,
                count,
            })
            .collect();
        let width = matrix.examples.features.width();
        let grower = Grower::<C> {
            settings,
            matrix,
            weights: samples.weights.as_deref().unwrap_or_default(),
            classes,
            scratch: Vec::with_capacity(samples_of_tree.len()),
            samples: samples_of_tree,
            features: (0..width as u32).collect(),
            constants: vec![0; width],
            totals: vec![C::default(); classes],
            left: vec![C::default(); classes],
            table: vec![C::default(); 256 * classes],
            numbers: vec![0; 256],
        };
        grower.tree(stream)
    }

    fn tree(mut self, stream: &mut Stream) -> Tree {
        let mut tree = Tree {
            nodes: vec![Node::leaf(0)],
            values: Vec::new(),
        };
        let mut pending = vec![Pending {
            start: 0,
            end: self.samples.len(),
            node: 0,
            depth: 0,
            constants: 0,
        }];
        while let Some(mut at) = pending.pop() {
            let pure = self.count(at.start, at.end);
            let number = at.end - at.start;
            let may_split = pure.is_none()
                && number >= self.settings.min_samples_split
                && number >= 2 * self.settings.min_samples_leaf
                && self.settings.max_depth.is_none_or(|most| at.depth < most);
            let split = if may_split {
                self.best(&mut at, stream)
            } else {
                None
            };
            let Some(split) = split else {
                tree.nodes[at.node] = Node::leaf(pure.unwrap_or_else(|| {
                    let sum = self.sum().float();
                    let row = tree.values.len() / self.classes;
                    tree.values
                        .extend(self.totals.iter().map(|c| c.float() / sum));
                    self.classes + row
                }));
                continue;
            };
            let middle = self.partition(at.start, at.end, split);
            let child = tree.nodes.len();
            let thresholds = self
                .matrix
                .examples
                .features
                .thresholds(split.feature as usize);
            tree.nodes[at.node] = Node {
                feature: split.feature,
                bin: u32::from(split.bin),
                threshold: thresholds[usize::from(split.bin)],
                child: child as u32,
            };
            tree.nodes.extend([Node::leaf(0), Node::leaf(0)]);
            // depth first: what is known of constant features holds below the node only
            let below = |start, end, node| Pending {
                start,
                end,
                node,
                depth: at.depth + 1,
                constants: at.constants,
            };
            pending.push(below(middle, at.end, child + 1));
            pending.push(below(at.start, middle, child));
        }
        tree.nodes.shrink_to_fit();
        tree.values.shrink_to_fit();
        tree
    }

    /// Counts the node's classes; tells the only one, if there is but one.
    fn count(&mut self, start: usize, end: usize) -> Option<usize> {
        let samples = &self.samples[start..end];
        let first = samples[0].class;
        if samples.iter().all(|sample| sample.class == first) {
            return Some(usize::from(first));
        }
        self.totals.fill(C::default());
        for &sample in samples {
            let total = &mut self.totals[usize::from(sample.class)];
            *total = total.plus(C::of(sample, self.weights));
        }
        None
    }

    fn sum(&self) -> C {
        self.totals.iter().fold(C::default(), |sum, &c| sum.plus(c))
    }

    /// Visits features and returns the best split of the node.
    fn best(&mut self, at: &mut Pending, stream: &mut Stream) -> Option<Split> {
        let most = self.settings.visited(self.features.len());
        let sum = self.sum();
        let squares = self
            .totals
            .iter()
            .fold(C::default(), |squares, &c| squares.plus(c.times(c)));
        let known = at.constants;
        let (mut visited, mut found, mut drawn) = (0, 0, 0);
        // features[..drawn]: constant, known before, drawn; [drawn..known]: constant, known
        // before; [known..known + found]: found constant here; up to `undrawn`: the rest
        let mut undrawn = self.features.len();
        let mut best: Option<Split> = None;
        while undrawn > known + found && (visited < most || visited <= found + drawn) {
            visited += 1;
            let mut place = drawn + draw(stream, undrawn - found - drawn);
            if place < known {
                self.features.swap(drawn, place);
                drawn += 1;
                continue;
            }
            place += found;
            let feature = self.features[place];
            let bins = self.matrix.examples.features.columns()[feature as usize].bins();
            let samples = &self.samples[at.start..at.end];
            let two = bins == 2 && self.settings.criterion == Criterion::Gini;
            let outcome = if bins < 2 {
                Outcome::Constant
            } else if two && self.classes == 2 {
                self.two_bins_two_classes(samples, feature, sum)
            } else if two {
                two_bins(
                    samples,
                    self.matrix.column(feature),
                    self.weights,
                    &self.totals,
                    &mut self.left,
                    (sum, squares),
                    self.settings.min_samples_leaf,
                )
            } else {
                self.many_bins(at.start, at.end, feature, sum, squares)
            };
            match outcome {
                Outcome::Constant => {
                    self.features.swap(place, known + found);
                    found += 1;
                }
                Outcome::Split(worth, bin) => {
                    undrawn -= 1;
                    self.features.swap(undrawn, place);
                    if best.is_none_or(|best| worth > best.worth) {
                        best = Some(Split {
                            worth,
                            feature,
                            bin,
                        });
                    }
                }
                Outcome::None => {
                    undrawn -= 1;
                    self.features.swap(undrawn, place);
                }
            }
        }
        // known constants keep their order for siblings, and those found join them
        self.features[..known].copy_from_slice(&self.constants[..known]);
        self.constants[known..known + found].copy_from_slice(&self.features[known..known + found]);
        at.constants = known + found;
        best
    }

    /// The split of a feature of two bins where there are two classes.
    fn two_bins_two_classes(&self, samples: &[Sample], feature: u32, sum: C) -> Outcome {
        let column = self.matrix.column(feature);
        let (mut number, mut above, mut above_second) = (0, C::default(), C::default());
        for &sample in samples {
            let code = column[sample.place as usize];
            number += usize::from(code);
            let count = C::of(sample, self.weights).when(code != 0);
            above = above.plus(count);
            above_second = above_second.plus(count.when(sample.class != 0));
        }
        let least = self.settings.min_samples_leaf;
        if number == 0 || number == samples.len() {
            return Outcome::Constant;
        }
        if number < least || samples.len() - number < least {
            return Outcome::None;
        }
        let below = sum.minus(above).float();
        let below_second = self.totals[1].minus(above_second).float();
        let (above, above_second) = (above.float(), above_second.float());
        let worth = |all: f64, second: f64| {
            let first = all - second;
            (first * first + second * second) / all
        };
        Outcome::Split(worth(below, below_second) + worth(above, above_second), 0)
    }

    /// The best split of a feature of any number of bins.
    fn many_bins(&mut self, start: usize, end: usize, feature: u32, sum: C, squares: C) -> Outcome {
        let classes = self.classes;
        let column = self.matrix.column(feature);
        let samples = &self.samples[start..end];
        let mut occupied = [0u64; 4];
        for &sample in samples {
            let code = usize::from(column[sample.place as usize]);
            occupied[code / 64] |= 1 << (code % 64);
            self.numbers[code] += 1;
            let slot = &mut self.table[code * classes + usize::from(sample.class)];
            *slot = slot.plus(C::of(sample, self.weights));
        }
        let least = self.settings.min_samples_leaf;
        let entropy = self.settings.criterion == Criterion::Entropy;
        self.left.fill(C::default());
        let mut number = 0;
        let mut sum_left = C::default();
        // of counts, on either side
        let (mut squares_left, mut squares_right) = (C::default(), squares);
        let mut best: Option<(f64, u8)> = None;
        let mut last: Option<usize> = None;
        for (word, mut bits) in occupied.into_iter().enumerate() {
            while bits != 0 {
                let bin = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                // between the last bin and this one
                if let Some(last) = last
                    && number >= least
                    && samples.len() - number >= least
                {
                    let sum_right = sum.minus(sum_left);
                    let worth = if entropy {
                        let of = |c: C| xlogx(c.float());
                        let sides = self.left.iter().zip(&self.totals);
                        let terms = sides.map(|(&l, &t)| of(l) + of(t.minus(l)));
                        terms.sum::<f64>() - of(sum_left) - of(sum_right)
                    } else {
                        squares_left.float() / sum_left.float()
                            + squares_right.float() / sum_right.float()
                    };
                    if best.is_none_or(|(most, _)| worth > most) {
                        // half-way between the bins that samples are in
                        best = Some((worth, (usize::midpoint(last, bin - 1)) as u8));
                    }
                }
                last = Some(bin);
                number += self.numbers[bin] as usize;
                self.numbers[bin] = 0;
                let counts = &mut self.table[bin * classes..][..classes];
                for ((count, left), &total) in
                    counts.iter_mut().zip(&mut self.left).zip(&self.totals)
                {
                    let moved = std::mem::take(count);
                    let right = total.minus(*left);
                    let after = left.plus(moved);
                    // (a + m)² − a² = m (2 a + m)
                    squares_left = squares_left.plus(moved.times(left.plus(after)));
                    squares_right =
                        squares_right.minus(moved.times(right.plus(right).minus(moved)));
                    sum_left = sum_left.plus(moved);
                    *left = after;
                }
            }
        }
        match (best, last) {
            (Some((worth, bin)), _) => Outcome::Split(worth, bin),
            (None, Some(bin))
                if column[samples[0].place as usize] as usize == bin
                    && occupied.iter().map(|w| w.count_ones()).sum::<u32>() == 1 =>
            {
                Outcome::Constant
            }
            _ => Outcome::None,
        }
    }

    /// Brings the samples up to the split's bin before the others; returns where these begin.
    fn partition(&mut self, start: usize, end: usize, split: Split) -> usize {
        let column = self.matrix.column(split.feature);
        let samples = &mut self.samples[start..end];
        self.scratch.clear();
        self.scratch.extend_from_slice(samples);
        let (mut front, mut back) = (0, samples.len());
        for &sample in &self.scratch {
            // one of the two places is overwritten later
            let above = column[sample.place as usize] > split.bin;
            samples[front] = sample;
            samples[back - 1] = sample;
            front += usize::from(!above);
            back -= usize::from(above);
        }
        start + front
    }
}

enum Outcome {
    /// All samples are in one bin.
    Constant,
    /// They are not, but no split leaves enough on both sides.
    None,
    /// What the best split is worth, and its last bin on the left.
    Split(f64, u8),
}

/// The split of a feature of two bins. With `above` the counts of the upper bin by class, those
/// of the lower one have the squares Σ (t − a)² = Σ t² − 2 Σ t a + Σ a², so one pass over the
/// samples is all: a sample of the upper bin adds its class's t to Σ t a.
fn two_bins<C: Count>(
    samples: &[Sample],
    column: &[u8],
    weights: &[f64],
    totals: &[C],
    above: &mut [C],
    (sum, squares): (C, C),
    least: usize,
) -> Outcome {
    above.fill(C::default());
    let (mut number, mut sum_above) = (0, C::default());
    let (mut squares_above, mut products) = (C::default(), C::default());
    for &sample in samples {
        let code = column[sample.place as usize];
        number += usize::from(code);
        let count = C::of(sample, weights).when(code != 0);
        let class = usize::from(sample.class);
        let before = above[class];
        let after = before.plus(count);
        above[class] = after;
        squares_above = squares_above.plus(count.times(before.plus(after)));
        products = products.plus(count.times(totals[class]));
        sum_above = sum_above.plus(count);
    }
    if number == 0 || number == samples.len() {
        return Outcome::Constant;
    }
    if number < least || samples.len() - number < least {
        return Outcome::None;
    }
    let squares_below = squares.plus(squares_above).minus(products.plus(products));
    let sum_below = sum.minus(sum_above);
    Outcome::Split(
        squares_below.float() / sum_below.float() + squares_above.float() / sum_above.float(),
        0,
    )
}

fn xlogx(x: f64) -> f64 {
    if x > 0.0 { x * libm::log(x) } else { 0.0 }
}

/// A number below `bound`. From 32 random bits: no number is more probable than another by more
/// than one part in 2^32 / `bound`.
fn draw(stream: &mut Stream, bound: usize) -> usize {
    ((u64::from(stream.next_u32()) * bound as u64) >> 32) as usize
}

#[cfg(test)]
mod tests;
