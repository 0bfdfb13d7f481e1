//! Trained trees and their answers.

use ndarray::{Array2, ArrayView2, Axis, Slice};
use rayon::prelude::*;

use crate::features::check_finite;
use crate::{Error, Features};

/// The logit of a class that has probability 0: ln 10⁻⁶. A forest of some hundred trees that
/// gives 0 does not know of smaller odds, and a logit of −87, which float32 could hold, would be
/// taken for evidence. A softmax gives back 0 to within 10⁻⁶.
///
/// Forests give it to classes that no leaf on a record's paths has seen; boosted trees to classes
/// that were not among their training records.
pub const LOG_ZERO: f32 = -13.815_511;

/// Records that are answered for together, where they fit [`BLOCK_BYTES`]. Many, since a forest
/// is larger than the caches: each tree is fetched once for a block.
const BLOCK: usize = 2048;

/// Bytes of a block's records that stay in the caches beside a tree.
const BLOCK_BYTES: usize = 1 << 20;

/// Records that walk through a tree side by side.
const LANES: usize = 16;

/// Records of a block, each of so many bytes.
fn block_of(bytes: usize) -> usize {
    (BLOCK_BYTES / bytes.max(1)).clamp(64, BLOCK)
}

/// Marks leaves.
pub(crate) const LEAF: u32 = u32::MAX;

/// A node of a tree. Values up to the threshold go to `child`, those above to `child + 1`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Node {
    /// The feature that is asked for, or [`LEAF`].
    pub(crate) feature: u32,
    /// The last bin that goes to `child`.
    pub(crate) bin: u32,
    /// The threshold of that bin.
    pub(crate) threshold: f32,
    /// Where the children are; of a leaf, where its value is. Those of a forest are numbered
    /// from the class of a pure leaf on, and rows of `values` after the last class.
    pub(crate) child: u32,
}

impl Node {
    pub(crate) fn leaf(value: usize) -> Self {
        Self {
            feature: LEAF,
            bin: 0,
            threshold: 0.0,
            child: value as u32,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tree {
    /// The root first, children after their parents.
    pub(crate) nodes: Vec<Node>,
    /// Of a forest the class shares of leaves that are not pure; of boosting the leaves' values.
    pub(crate) values: Vec<f64>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// The answer is the mean of the trees' class shares.
    Forest,
    /// The answer is the sum of the trees' values: one tree for each class in each round, or one
    /// for the second of two.
    Boosting {
        /// The classes with records, ascending.
        present: Vec<u16>,
        /// The scores before the first round.
        baseline: Vec<f64>,
    },
}

/// A trained random forest or boosted trees.
#[derive(Clone, Debug, PartialEq)]
pub struct Ensemble {
    pub(crate) kind: Kind,
    pub(crate) features: usize,
    pub(crate) classes: usize,
    pub(crate) trees: Vec<Tree>,
}

/// Where the records of a block are asked.
trait Source: Sync {
    /// Whether the record takes the second child of a node that asks for `feature`.
    fn second(&self, record: usize, feature: u32, node: &Node) -> bool;
}

/// Features as they are, record after record.
struct Raw<'a> {
    values: &'a [f32],
    width: usize,
}

impl Source for Raw<'_> {
    fn second(&self, record: usize, feature: u32, node: &Node) -> bool {
        self.values[record * self.width + feature as usize] > node.threshold
    }
}

/// Bins, record after record.
struct Binned<'a> {
    codes: &'a [u8],
    width: usize,
}

impl Source for Binned<'_> {
    fn second(&self, record: usize, feature: u32, node: &Node) -> bool {
        u32::from(self.codes[record * self.width + feature as usize]) > node.bin
    }
}

impl Tree {
    /// Where the leaf is that each of some records comes to, the first of them being `record`.
    ///
    /// The records walk side by side: where a node is in memory is known only when the one before
    /// has been read, so one record alone would wait most of the time.
    fn walk(&self, source: &impl Source, record: usize, leaves: &mut [u32]) {
        leaves.fill(0);
        loop {
            let mut moved = false;
            for (lane, at) in leaves.iter_mut().enumerate() {
                let node = &self.nodes[*at as usize];
                // no branch: which records have arrived cannot be foretold
                let arrived = node.feature == LEAF;
                let feature = if arrived { 0 } else { node.feature };
                let second = source.second(record + lane, feature, node);
                // children come after their parents, so this ends
                let next = node.child.wrapping_add(u32::from(second));
                *at = if arrived { *at } else { next };
                moved |= !arrived;
            }
            if !moved {
                break;
            }
        }
        for leaf in leaves {
            *leaf = self.nodes[*leaf as usize].child;
        }
    }

    /// Calls `each` with the places of the records and the values of their leaves.
    fn leaves(&self, source: &impl Source, records: usize, mut each: impl FnMut(usize, usize)) {
        let mut leaves = [0; LANES];
        for start in (0..records).step_by(LANES) {
            let leaves = &mut leaves[..LANES.min(records - start)];
            self.walk(source, start, leaves);
            for (lane, &leaf) in leaves.iter().enumerate() {
                each(start + lane, leaf as usize);
            }
        }
    }

    /// The value of the leaf that a record in bins comes to.
    pub(crate) fn value_of(&self, features: &Features, record: usize) -> f64 {
        let mut node = &self.nodes[0];
        while node.feature != LEAF {
            let code = features.codes(node.feature as usize)[record];
            node = &self.nodes[node.child as usize + usize::from(u32::from(code) > node.bin)];
        }
        self.values[node.child as usize]
    }
}

impl Ensemble {
    /// Number of features of a record.
    #[must_use]
    pub fn features(&self) -> usize {
        self.features
    }

    /// Number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Number of trees.
    #[must_use]
    pub fn trees(&self) -> usize {
        self.trees.len()
    }

    /// Rounds of boosting; nothing for a forest.
    #[must_use]
    pub fn rounds(&self) -> Option<usize> {
        match &self.kind {
            Kind::Forest => None,
            Kind::Boosting { baseline, .. } => Some(self.trees.len() / baseline.len()),
        }
    }

    /// Nodes of all trees, leaves included.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.trees.iter().map(|tree| tree.nodes.len()).sum()
    }

    /// Bytes that it takes.
    #[must_use]
    pub fn memory(&self) -> usize {
        let of_tree = |tree: &Tree| {
            tree.nodes.len() * size_of::<Node>()
                + tree.values.len() * size_of::<f64>()
                + size_of::<Tree>()
        };
        self.trees.iter().map(of_tree).sum()
    }

    /// The logits of inputs, inputs × classes: of a forest the logarithms of the probabilities
    /// ([`LOG_ZERO`] for 0), of boosted trees their scores (with two classes 0 and the score of
    /// the second). Their softmax are the probabilities.
    ///
    /// # Errors
    /// If the inputs have another number of features, or one that is not finite.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a view is itself a reference, and ndarray passes views by value"
    )]
    pub fn logits(&self, inputs: ArrayView2<f32>) -> Result<Array2<f32>, Error> {
        let mut logits = Array2::zeros((inputs.nrows(), self.classes));
        let scores = self.scores(inputs)?;
        for (logit, &score) in logits.iter_mut().zip(&scores) {
            *logit = self.logit(score);
        }
        Ok(logits)
    }

    /// The probabilities of the classes for inputs, inputs × classes.
    ///
    /// # Errors
    /// As [`Self::logits`].
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a view is itself a reference, and ndarray passes views by value"
    )]
    pub fn probabilities(&self, inputs: ArrayView2<f32>) -> Result<Array2<f64>, Error> {
        let mut scores = self.scores(inputs)?;
        if matches!(self.kind, Kind::Boosting { .. }) {
            for mut row in scores.outer_iter_mut() {
                let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                row.mapv_inplace(|score| crate::exponential::exp_not_positive(score - most));
                let sum = row.sum();
                row /= sum;
            }
        }
        Ok(scores)
    }

    /// Hands out the logits of records in bins, block after block: the number of the first record
    /// and a row for each. They are bit for bit those that the records' features have.
    ///
    /// # Errors
    /// If the ensemble was made for other bins.
    pub fn each_logits(
        &self,
        features: &Features,
        mut sink: impl FnMut(usize, ArrayView2<f32>),
    ) -> Result<(), Error> {
        self.check_fits(features)?;
        let (records, width) = (features.records(), features.width());
        let at_once = block_of(width);
        let blocks = 2 * rayon::current_num_threads();
        let mut logits = Array2::<f32>::zeros((records.min(blocks * at_once), self.classes));
        for start in (0..records).step_by(blocks * at_once) {
            let count = (records - start).min(blocks * at_once);
            let mut logits = logits.slice_axis_mut(Axis(0), Slice::from(..count));
            let Some(slots) = logits.as_slice_mut() else {
                return Ok(()); // whole rows of an array are one slice
            };
            slots
                .par_chunks_mut(at_once * self.classes)
                .enumerate()
                .for_each_init(
                    || (vec![0; at_once * width], vec![0.0; at_once * self.classes]),
                    |(codes, scores), (block, slots)| {
                        let first = start + block * at_once;
                        let count = slots.len() / self.classes;
                        for feature in 0..width {
                            let column = &features.codes(feature)[first..first + count];
                            for (slot, &code) in
                                codes[feature..].iter_mut().step_by(width).zip(column)
                            {
                                *slot = code;
                            }
                        }
                        let scores = &mut scores[..slots.len()];
                        self.block(&Binned { codes, width }, scores);
                        for (slot, &score) in slots.iter_mut().zip(&*scores) {
                            *slot = self.logit(score);
                        }
                    },
                );
            sink(start, logits.view());
        }
        Ok(())
    }

    /// Whether these are the bins that the trees were grown on.
    ///
    /// # Errors
    /// If they are not.
    pub fn check_fits(&self, features: &Features) -> Result<(), Error> {
        features.check_width(self.features)?;
        let nodes = self.trees.iter().flat_map(|tree| &tree.nodes);
        for node in nodes.filter(|node| node.feature != LEAF) {
            let thresholds = features.thresholds(node.feature as usize);
            let threshold = thresholds.get(node.bin as usize).map(|t| t.to_bits());
            if threshold != Some(node.threshold.to_bits()) {
                return Err(Error::Features(format!(
                    "the trees were grown on other bins of feature {} (counted from 0)",
                    node.feature
                )));
            }
        }
        Ok(())
    }

    /// Scores or probabilities, inputs × classes.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a view is itself a reference, and ndarray passes views by value"
    )]
    fn scores(&self, inputs: ArrayView2<f32>) -> Result<Array2<f64>, Error> {
        let width = inputs.ncols();
        if width != self.features {
            return Err(Error::Features(format!(
                "inputs of {width} features to trees of {}",
                self.features
            )));
        }
        check_finite(&inputs)?;
        let inputs = inputs.as_standard_layout();
        let mut scores = Array2::zeros((inputs.nrows(), self.classes));
        let at_once = block_of(width * size_of::<f32>());
        if let (Some(values), Some(slots)) = (inputs.as_slice(), scores.as_slice_mut()) {
            values
                .par_chunks(at_once * width)
                .zip(slots.par_chunks_mut(at_once * self.classes))
                .for_each(|(values, scores)| self.block(&Raw { values, width }, scores));
        }
        Ok(scores)
    }

    /// The logit of a probability or score.
    fn logit(&self, score: f64) -> f32 {
        match self.kind {
            Kind::Forest if score <= 0.0 => LOG_ZERO,
            Kind::Forest => (libm::log(score) as f32).max(LOG_ZERO),
            Kind::Boosting { .. } => score as f32,
        }
    }

    /// Scores or probabilities of a block of records, as many as there are rows of `out`.
    fn block(&self, source: &impl Source, out: &mut [f64]) {
        let classes = self.classes;
        let records = out.len() / classes;
        match &self.kind {
            Kind::Forest => {
                out.fill(0.0);
                for tree in &self.trees {
                    tree.leaves(source, records, |record, leaf| {
                        let out = &mut out[record * classes..][..classes];
                        if leaf < classes {
                            out[leaf] += 1.0;
                        } else {
                            let shares = &tree.values[(leaf - classes) * classes..][..classes];
                            for (sum, share) in out.iter_mut().zip(shares) {
                                *sum += share;
                            }
                        }
                    });
                }
                let trees = self.trees.len() as f64;
                for sum in out {
                    *sum /= trees;
                }
            }
            Kind::Boosting { present, baseline } => {
                out.fill(f64::from(LOG_ZERO));
                let of_output: Vec<usize> = match baseline.len() {
                    1 => {
                        for out in out.chunks_exact_mut(classes) {
                            out[usize::from(present[0])] = 0.0;
                        }
                        vec![usize::from(present[1])]
                    }
                    _ => present.iter().map(|&class| usize::from(class)).collect(),
                };
                for (&class, &baseline) in of_output.iter().zip(baseline) {
                    for out in out.chunks_exact_mut(classes) {
                        out[class] = baseline;
                    }
                }
                for (tree, &class) in self.trees.iter().zip(of_output.iter().cycle()) {
                    tree.leaves(source, records, |record, leaf| {
                        out[record * classes + class] += tree.values[leaf];
                    });
                }
            }
        }
    }
}
