//! Gradient-boosted regression trees for conditional quantiles (after Friedman 2001; the
//! histograms after Ke and others 2017).
//!
//! What is fitted is a quantile at level `τ` of a number given features, by the pinball loss
//! `max(τ (y − q), (τ − 1) (y − q))`. The start is the quantile of all; each tree splits by the
//! loss's gradient, which is `−τ` where the number is above the prediction and `1 − τ`
//! elsewhere, and adds to each leaf the quantile of the residuals in it, times the learning
//! rate. Quantiles are interpolated linearly between order statistics (numpy's default).
//!
//! A split needs only counts: of the records on each side, and of those above their
//! prediction. So sums are exact, and the trees do not depend on the order of the records.

use giveaway_stats::summary::quantile;
use ndarray::{ArrayView2, Axis};
use rayon::prelude::*;

/// Bins of a feature at most.
const BINS: usize = 256;

/// How trees are grown.
///
/// Fitted to 3,000 made-up records, the defaults do at least as well on others as scikit-learn's
/// two boosters (`conformance/attacks-quantile`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Boosting {
    /// Trees for each quantile; 100 by default.
    pub rounds: usize,
    /// What each tree's leaves are multiplied by; 0.1 by default.
    pub learning_rate: f64,
    /// Splits from root to leaf at most; 3 by default.
    pub depth: usize,
    /// Records that a leaf has at least; 20 by default.
    pub smallest_leaf: usize,
    /// Records that a leaf has at least beyond the quantile, by expectation: at level τ it has
    /// this over `min(τ, 1 − τ)` records, 500 at .99. 5 by default; with fewer, a leaf's value
    /// is little more than its largest record. This is what makes the loss at .99 an eighth
    /// lower than scikit-learn's.
    pub smallest_tail: usize,
}

impl Boosting {
    /// Records that a leaf has at least.
    fn smallest(&self, level: f64) -> usize {
        let tail = self.smallest_tail as f64 / level.min(1.0 - level);
        self.smallest_leaf.max(tail.round() as usize).max(1)
    }
}

impl Default for Boosting {
    fn default() -> Self {
        Self {
            rounds: 100,
            learning_rate: 0.1,
            depth: 3,
            smallest_leaf: 20,
            smallest_tail: 5,
        }
    }
}

/// Features in bins of about equally many records, at most 256; a value of its own is a bin of
/// its own where there are no more. Features with one value only are left out.
pub(super) struct Binned {
    /// Of each feature, the bin of every record.
    columns: Vec<Vec<u8>>,
    /// Where the bins of each feature begin among all, and their number at the end.
    starts: Vec<usize>,
}

impl Binned {
    /// `features` is records × features, all finite.
    pub(super) fn new(features: &ArrayView2<f32>) -> Self {
        let binned: Vec<(Vec<u8>, usize)> = (0..features.ncols())
            .into_par_iter()
            .filter_map(|feature| {
                let column = features.index_axis(Axis(1), feature);
                let firsts = firsts_of_bins(column.iter().copied());
                let bin = |&x: &f32| firsts.partition_point(|&first| first <= x) as u8;
                (!firsts.is_empty()).then(|| (column.iter().map(bin).collect(), firsts.len() + 1))
            })
            .collect();
        let mut starts = vec![0];
        for (_, bins) in &binned {
            starts.push(starts[starts.len() - 1] + bins);
        }
        Self {
            columns: binned.into_iter().map(|(column, _)| column).collect(),
            starts,
        }
    }
}

/// The smallest value of every bin but the first, ascending.
fn firsts_of_bins(values: impl Iterator<Item = f32>) -> Vec<f32> {
    // adding +0 makes -0 and 0 one value
    let mut sorted: Vec<f32> = values.map(|x| x + 0.0).collect();
    sorted.sort_unstable_by(f32::total_cmp);
    let mut distinct = sorted.clone();
    distinct.dedup();
    let mut firsts = if distinct.len() <= BINS {
        distinct
    } else {
        (0..BINS)
            .map(|bin| sorted[bin * sorted.len() / BINS])
            .collect()
    };
    firsts.dedup();
    if !firsts.is_empty() {
        firsts.remove(0);
    }
    firsts
}

/// A tree's node; a tree begins with its root.
enum Node {
    Leaf(f64),
    /// Records whose bin of the feature is at most `last` go left, to the next node.
    Split {
        feature: usize,
        last: u8,
        right: usize,
    },
}

/// A fitted conditional quantile.
pub(super) struct Forest {
    start: f64,
    trees: Vec<Vec<Node>>,
}

impl Forest {
    /// Fits the quantile `level` of `values` (one for each binned record) on the records
    /// `rows`, of which there must be some.
    pub(super) fn fit(
        binned: &Binned,
        values: &[f64],
        rows: &[u32],
        level: f64,
        boosting: &Boosting,
    ) -> Self {
        let mut residuals: Vec<f64> = rows.iter().map(|&row| values[row as usize]).collect();
        let start = quantile_of(&mut residuals, level);
        let mut grower = Grower {
            binned,
            boosting,
            level,
            residuals: values.iter().map(|value| value - start).collect(),
            rows: rows.to_vec(),
            nodes: Vec::new(),
            scratch: Vec::with_capacity(rows.len()),
        };
        let mut trees = Vec::new();
        for _ in 0..boosting.rounds {
            let tree = grower.tree();
            // nothing to split and nothing to add, now and in every later round
            if matches!(tree[..], [Node::Leaf(0.0)]) {
                break;
            }
            trees.push(tree);
        }
        Self { start, trees }
    }

    /// The quantile of each of these binned records.
    pub(super) fn predict(&self, binned: &Binned, rows: &[u32]) -> Vec<f64> {
        let predict = |&row: &u32| {
            let leaf = |tree: &Vec<Node>| leaf(tree, binned, row as usize);
            self.start + self.trees.iter().map(leaf).sum::<f64>()
        };
        rows.iter().map(predict).collect()
    }
}

fn leaf(tree: &[Node], binned: &Binned, row: usize) -> f64 {
    let mut node = 0;
    loop {
        match tree[node] {
            Node::Leaf(value) => return value,
            Node::Split {
                feature,
                last,
                right,
            } => {
                let goes_left = binned.columns[feature][row] <= last;
                node = if goes_left { node + 1 } else { right };
            }
        }
    }
}

/// The linearly interpolated quantile of some numbers, which change places.
fn quantile_of(numbers: &mut [f64], level: f64) -> f64 {
    let position = level * (numbers.len() - 1) as f64;
    let below = position.floor() as usize;
    let (_, &mut low, above) = numbers.select_nth_unstable_by(below, f64::total_cmp);
    let high = above.iter().copied().min_by(f64::total_cmp);
    let neighbours = [low, high.unwrap_or(low)];
    quantile(&neighbours, position - below as f64).unwrap_or(low)
}

/// Records of a bin, and those among them above their prediction.
#[derive(Clone, Copy, Default)]
struct Counts {
    all: u32,
    above: u32,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.all += other.all;
        self.above += other.above;
    }

    fn without(self, part: Self) -> Self {
        Self {
            all: self.all - part.all,
            above: self.above - part.above,
        }
    }

    /// The square of the sum of gradients, over the records.
    fn square(self, level: f64) -> f64 {
        let (all, above) = (f64::from(self.all), f64::from(self.above));
        ((1.0 - level) * all - above).powi(2) / all
    }
}

/// What grows tree after tree.
struct Grower<'a> {
    binned: &'a Binned,
    boosting: &'a Boosting,
    level: f64,
    /// Number minus prediction, for each binned record; kept for those learnt from.
    residuals: Vec<f64>,
    /// The records learnt from; a node's are a range of them.
    rows: Vec<u32>,
    nodes: Vec<Node>,
    scratch: Vec<f64>,
}

impl Grower<'_> {
    fn tree(&mut self) -> Vec<Node> {
        let all = 0..self.rows.len();
        let histogram = if self.boosting.depth > 0 {
            self.histogram(all.clone())
        } else {
            Vec::new()
        };
        self.grow(all, 0, histogram);
        std::mem::take(&mut self.nodes)
    }

    /// Grows the node of these rows; the histogram may be empty where it is as deep as may be.
    fn grow(&mut self, range: std::ops::Range<usize>, depth: usize, mut histogram: Vec<Counts>) {
        let split = (depth < self.boosting.depth)
            .then(|| self.best_split(&histogram))
            .flatten();
        let Some((feature, last)) = split else {
            return self.add_leaf(range);
        };
        let middle = range.start + self.partition(range.clone(), feature, last);
        let (left, right) = (range.start..middle, middle..range.end);
        let node = self.nodes.len();
        self.nodes.push(Node::Split {
            feature,
            last,
            right: 0,
        });
        let mut histograms = (Vec::new(), Vec::new());
        if depth + 1 < self.boosting.depth {
            // one side is counted, and the other is the rest
            let left_is_smaller = left.len() <= right.len();
            let smaller = if left_is_smaller { &left } else { &right };
            let counted = self.histogram(smaller.clone());
            for (all, part) in histogram.iter_mut().zip(&counted) {
                *all = all.without(*part);
            }
            histograms = if left_is_smaller {
                (counted, histogram)
            } else {
                (histogram, counted)
            };
        }
        self.grow(left, depth + 1, histograms.0);
        let after_left = self.nodes.len();
        if let Node::Split { right, .. } = &mut self.nodes[node] {
            *right = after_left;
        }
        self.grow(right, depth + 1, histograms.1);
    }

    /// Adds a leaf for these rows and takes its value off their residuals.
    fn add_leaf(&mut self, range: std::ops::Range<usize>) {
        let rows = &self.rows[range];
        self.scratch.clear();
        let residuals = rows.iter().map(|&row| self.residuals[row as usize]);
        self.scratch.extend(residuals);
        let value = self.boosting.learning_rate * quantile_of(&mut self.scratch, self.level);
        for &row in rows {
            self.residuals[row as usize] -= value;
        }
        self.nodes.push(Node::Leaf(value));
    }

    /// The counts of every bin of every feature.
    fn histogram(&self, range: std::ops::Range<usize>) -> Vec<Counts> {
        let rows = &self.rows[range];
        let counts = |&row: &u32| Counts {
            all: 1,
            above: u32::from(self.residuals[row as usize] > 0.0),
        };
        let counts: Vec<Counts> = rows.iter().map(counts).collect();
        let starts = &self.binned.starts;
        let mut histogram = vec![Counts::default(); starts[starts.len() - 1]];
        for (column, start) in self.binned.columns.iter().zip(starts.windows(2)) {
            let histogram = &mut histogram[start[0]..start[1]];
            for (&row, &counts) in rows.iter().zip(&counts) {
                histogram[column[row as usize] as usize].add(counts);
            }
        }
        histogram
    }

    /// The feature, and its last bin on the left, by which the gradients' variance falls most;
    /// the first of equal ones. `None` if no split lowers it and leaves both sides enough.
    fn best_split(&self, histogram: &[Counts]) -> Option<(usize, u8)> {
        let smallest = self.boosting.smallest(self.level);
        let mut best = None;
        let mut best_gain = 0.0;
        for (feature, start) in self.binned.starts.windows(2).enumerate() {
            let bins = &histogram[start[0]..start[1]];
            let mut all = Counts::default();
            for &bin in bins {
                all.add(bin);
            }
            // what is gained by rounding alone is no gain
            let without = all.square(self.level) + 1e-9;
            let mut left = Counts::default();
            for (last, &bin) in bins.iter().enumerate() {
                left.add(bin);
                let right = all.without(left);
                if (right.all as usize) < smallest {
                    break;
                }
                if (left.all as usize) < smallest || bin.all == 0 {
                    continue;
                }
                let gain = left.square(self.level) + right.square(self.level) - without;
                if gain > best_gain {
                    best_gain = gain;
                    best = Some((feature, last as u8));
                }
            }
        }
        best
    }

    /// Puts the rows that go left first, in their order; how many these are.
    fn partition(&mut self, range: std::ops::Range<usize>, feature: usize, last: u8) -> usize {
        let rows = &mut self.rows[range];
        let column = &self.binned.columns[feature];
        let (mut left, mut right) = (0, Vec::new());
        for i in 0..rows.len() {
            let row = rows[i];
            if column[row as usize] <= last {
                rows[left] = row;
                left += 1;
            } else {
                right.push(row);
            }
        }
        rows[left..].copy_from_slice(&right);
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::quantile_regression::LEVELS;
    use crate::attack::quantile_regression::tests::{fields, made_up};
    use giveaway_stats::random::Stream;
    use ndarray::Array2;

    fn pinball(level: f64, values: &[f64], predictions: &[f64]) -> f64 {
        let losses = values.iter().zip(predictions).map(|(value, prediction)| {
            let above = value - prediction;
            (level * above).max((level - 1.0) * above)
        });
        losses.sum::<f64>() / values.len() as f64
    }

    fn numpy_quantile(values: &[f64], level: f64) -> f64 {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        quantile(&sorted, level).unwrap()
    }

    #[test]
    fn as_good_as_scikit_learn_on_records_not_fitted_on() {
        let (features, values) = made_up(8_000);
        let binned = Binned::new(&features.view());
        let (fitted, held): (Vec<u32>, Vec<u32>) = ((0..3_000).collect(), (3_000..8_000).collect());
        let reference = include_str!("../../../../../conformance/attacks-quantile/pinball.txt");
        let mut levels = 0;
        for line in reference.lines().filter(|line| !line.starts_with('#')) {
            let reference: Vec<f64> = fields(line);
            let [level, constant, boosted, histogram] = reference[..] else {
                panic!("{line}");
            };
            let forest = Forest::fit(&binned, &values, &fitted, level, &Boosting::default());
            let ours = pinball(level, &values[3_000..], &forest.predict(&binned, &held));
            assert!(ours <= 1.02 * boosted, "{level}: {ours}, not {boosted}");
            assert!(ours <= 1.02 * histogram, "{level}: {ours}, not {histogram}");
            // the same data: the loss of one quantile for all records
            let all = numpy_quantile(&values[..3_000], level);
            let ours = pinball(level, &values[3_000..], &vec![all; 5_000]);
            assert!((ours - constant).abs() <= 1e-9, "{ours}, not {constant}");
            levels += 1;
        }
        assert_eq!(levels, LEVELS.len());
        let smallest = LEVELS.map(|level| Boosting::default().smallest(level));
        assert_eq!(smallest, [20, 20, 50, 100, 500]);
    }

    /// With one whole step, the leaves of a stump are the quantiles of the two groups.
    #[test]
    fn a_stump_gives_the_quantiles_of_groups() {
        let mut stream = Stream::new(5, "stump", 0);
        let group: Vec<usize> = (0..500).map(|_| stream.below(2)).collect();
        let values: Vec<f64> = group
            .iter()
            .map(|&group| stream.normal() * (1.0 + group as f64) + 3.0 * group as f64)
            .collect();
        let features = Array2::from_shape_fn((500, 3), |(row, column)| {
            // a constant, the group, and nothing to do with it
            [7.0, group[row] as f32, (row % 5) as f32][column]
        });
        let binned = Binned::new(&features.view());
        assert_eq!(binned.columns.len(), 2);
        let stump = Boosting {
            rounds: 1,
            learning_rate: 1.0,
            depth: 1,
            smallest_leaf: 20,
            smallest_tail: 0,
        };
        let rows: Vec<u32> = (0..500).collect();
        for level in LEVELS {
            let forest = Forest::fit(&binned, &values, &rows, level, &stump);
            let predictions = forest.predict(&binned, &rows);
            for of in 0..2 {
                let members = (0..500).filter(|&row| group[row] == of);
                let members: Vec<f64> = members.map(|row| values[row]).collect();
                let want = numpy_quantile(&members, level);
                for row in (0..500).filter(|&row| group[row] == of) {
                    assert!((predictions[row] - want).abs() < 1e-12, "{level}");
                }
            }
        }
    }

    /// Every split of a small data set, tried one after another.
    #[test]
    fn the_split_found_is_the_best_there_is() {
        let mut stream = Stream::new(6, "split", 0);
        for trial in 0..200 {
            let rows = 12 + stream.below(30);
            let features =
                Array2::from_shape_fn((rows, 4), |_| stream.below(3 + trial % 7) as f32 - 2.0);
            let values: Vec<f64> = (0..rows).map(|_| stream.normal()).collect();
            let (level, smallest) = (LEVELS[trial % LEVELS.len()], 1 + trial % 5);
            let start = numpy_quantile(&values, level);
            let gradients: Vec<f64> = values
                .iter()
                .map(|&value| if value > start { -level } else { 1.0 - level })
                .collect();
            let variation = |chosen: &[usize]| {
                let mean = chosen.iter().map(|&i| gradients[i]).sum::<f64>() / chosen.len() as f64;
                let squares = chosen.iter().map(|&i| (gradients[i] - mean).powi(2));
                squares.sum::<f64>()
            };
            let all: Vec<usize> = (0..rows).collect();
            let mut best = variation(&all);
            for column in features.columns() {
                for &cut in column {
                    let (left, right): (Vec<usize>, Vec<usize>) =
                        all.iter().partition(|&&row| column[row] <= cut);
                    if left.len().min(right.len()) >= smallest {
                        best = best.min(variation(&left) + variation(&right));
                    }
                }
            }
            let boosting = Boosting {
                rounds: 1,
                learning_rate: 1.0,
                depth: 1,
                smallest_leaf: smallest,
                smallest_tail: 0,
            };
            let binned = Binned::new(&features.view());
            let numbers: Vec<u32> = (0..rows as u32).collect();
            let forest = Forest::fit(&binned, &values, &numbers, level, &boosting);
            let found = match forest.trees.first().map(|tree| &tree[0]) {
                Some(&Node::Split { feature, last, .. }) => {
                    let (left, right): (Vec<usize>, Vec<usize>) = all
                        .iter()
                        .partition(|&&row| binned.columns[feature][row] <= last);
                    assert!(left.len().min(right.len()) >= smallest);
                    variation(&left) + variation(&right)
                }
                _ => variation(&all),
            };
            assert!((found - best).abs() < 1e-8, "{trial}: {found}, not {best}");
        }
    }

    #[test]
    fn bins_keep_the_order_of_values_and_have_about_equally_many() {
        let mut stream = Stream::new(8, "bins", 0);
        let values: Vec<f32> = (0..5_000).map(|_| stream.normal() as f32).collect();
        let features = Array2::from_shape_vec((5_000, 1), values.clone()).unwrap();
        let binned = Binned::new(&features.view());
        let mut counts = [0; BINS];
        for (i, &bin) in binned.columns[0].iter().enumerate() {
            counts[bin as usize] += 1;
            let j = (i * 31 + 7) % 5_000;
            if values[i] < values[j] {
                assert!(bin <= binned.columns[0][j]);
            }
        }
        assert!(counts.iter().all(|&count| (19..=20).contains(&count)));
        let zeros = Array2::from_shape_vec((4, 1), vec![0.0, -0.0, 0.0, -0.0]).unwrap();
        assert!(Binned::new(&zeros.view()).columns.is_empty());
    }

    #[test]
    fn selected_quantiles_are_numpys() {
        let mut stream = Stream::new(9, "quantiles", 0);
        for count in 1..60 {
            let values: Vec<f64> = (0..count).map(|_| stream.normal()).collect();
            for level in LEVELS {
                let have = quantile_of(&mut values.clone(), level);
                let want = numpy_quantile(&values, level);
                assert!((have - want).abs() < 1e-12, "{count}, {level}");
            }
        }
    }
}
