//! Isolation forest (Liu, Ting & Zhou 2008), as scikit-learn grows it.
//!
//! A tree splits a few records at random places of random columns until each is alone; what lies
//! apart is alone soon. With mean depth h over the trees, the score is `2^(-h / c(ψ))`, where c is
//! the mean depth of an unsuccessful search among the ψ records of a tree.
//!
//! A column is drawn among those that are not constant within the node (scikit-learn's: within
//! 1e-7), the place uniformly between its least and its largest value there.

use giveaway_stats::random::Stream;
use ndarray::{ArrayView2, CowArray, Ix2};
use rayon::prelude::*;

use super::check_vectors;
use crate::error::Result;

/// Trees of a forest.
pub const TREES: usize = 100;

/// Records that a tree is grown from, drawn without replacement; all where there are fewer.
pub const SUBSAMPLE: usize = 256;

/// Values no further apart than this are one value.
const CONSTANT: f32 = 1e-7;

/// A grown tree; nodes in the order in which they were made, the root first.
struct Tree {
    nodes: Vec<Node>,
}

enum Node {
    Split {
        column: usize,
        threshold: f64,
        left: usize,
        right: usize,
    },
    /// The depth that a record which ends here counts: edges on the way, and what the records
    /// that were not separated would have taken.
    Leaf { depth: f64 },
}

/// The anomaly score of every record, 0 to 1: high is anomalous; the negative of scikit-learn's
/// `score_samples`.
///
/// `vectors` is records × columns. Tree t draws from the stream of `seed` with its number, so that
/// neither threads nor other trees matter; the score does depend on the order of the records,
/// through the draw of the subsamples.
///
/// # Errors
/// If a vector is not finite.
pub fn isolation_forest(vectors: &ArrayView2<f32>, seed: u64) -> Result<Vec<f64>> {
    check_vectors(vectors)?;
    let vectors = vectors.as_standard_layout();
    let subsample = SUBSAMPLE.min(vectors.nrows());
    let deepest = subsample.max(2).next_power_of_two().ilog2() as usize;
    let trees: Vec<Tree> = (0..TREES)
        .into_par_iter()
        .map(|tree| {
            let mut stream = Stream::new(seed, "explain: isolation tree", tree as u64);
            let mut sample = draw(vectors.nrows(), subsample, &mut stream);
            Tree::grow(&vectors, &mut sample, deepest, &mut stream)
        })
        .collect();
    let usual = mean_depth(subsample) * TREES as f64;
    Ok((0..vectors.nrows())
        .into_par_iter()
        .map(|record| {
            let depth: f64 = trees.iter().map(|tree| tree.depth(&vectors, record)).sum();
            // one record only: scikit-learn takes the quotient as 1
            let quotient = if usual == 0.0 { 1.0 } else { depth / usual };
            (-quotient).exp2()
        })
        .collect())
}

/// `wanted` of `records` numbers without replacement (Floyd's algorithm), ascending.
fn draw(records: usize, wanted: usize, stream: &mut Stream) -> Vec<usize> {
    let mut drawn = Vec::with_capacity(wanted);
    for last in records - wanted..records {
        let number = stream.below(last + 1);
        let (number, place) = match drawn.binary_search(&number) {
            // the numbers there are all below `last`
            Ok(_) => (last, drawn.len()),
            Err(place) => (number, place),
        };
        drawn.insert(place, number);
    }
    drawn
}

/// Mean depth of an unsuccessful search in a binary tree of n records, `c(n)`.
fn mean_depth(records: usize) -> f64 {
    match records {
        0 | 1 => 0.0,
        2 => 1.0,
        n => {
            let n = n as f64;
            2.0 * ((n - 1.0).ln() + EULER) - 2.0 * (n - 1.0) / n
        }
    }
}

/// Euler's constant.
const EULER: f64 = 0.577_215_664_901_532_9;

type Vectors<'a> = CowArray<'a, f32, Ix2>;

impl Tree {
    fn grow(vectors: &Vectors, sample: &mut [usize], deepest: usize, stream: &mut Stream) -> Self {
        let mut tree = Self { nodes: Vec::new() };
        let columns: Vec<usize> = (0..vectors.ncols()).collect();
        tree.node(vectors, sample, 0, deepest, &columns, stream);
        tree
    }

    /// Makes the node of some records and all below it; returns its place. `columns` are those
    /// that were not seen to be constant above.
    fn node(
        &mut self,
        vectors: &Vectors,
        sample: &mut [usize],
        depth: usize,
        deepest: usize,
        columns: &[usize],
        stream: &mut Stream,
    ) -> usize {
        let place = self.nodes.len();
        self.nodes.push(Node::Leaf {
            depth: depth as f64 + mean_depth(sample.len()),
        });
        if sample.len() < 2 || depth >= deepest {
            return place;
        }
        let mut columns = columns.to_vec();
        while !columns.is_empty() {
            let at = stream.below(columns.len());
            let column = columns[at];
            let values = sample.iter().map(|&record| vectors[[record, column]]);
            let (least, most) = values.fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), x| {
                (a.min(x), b.max(x))
            });
            if most <= least + CONSTANT {
                columns.swap_remove(at);
                continue;
            }
            let (least, most) = (f64::from(least), f64::from(most));
            let drawn = least + stream.uniform() * (most - least);
            // rounding may reach the largest value, and then nothing would be to its right
            let threshold = if drawn >= most { least } else { drawn };
            sample.sort_by_key(|&record| f64::from(vectors[[record, column]]) > threshold);
            let middle =
                sample.partition_point(|&record| f64::from(vectors[[record, column]]) <= threshold);
            let (low, high) = sample.split_at_mut(middle);
            let left = self.node(vectors, low, depth + 1, deepest, &columns, stream);
            let right = self.node(vectors, high, depth + 1, deepest, &columns, stream);
            self.nodes[place] = Node::Split {
                column,
                threshold,
                left,
                right,
            };
            break;
        }
        place
    }

    fn depth(&self, vectors: &Vectors, record: usize) -> f64 {
        let mut place = 0;
        loop {
            match self.nodes[place] {
                Node::Leaf { depth } => return depth,
                Node::Split {
                    column,
                    threshold,
                    left,
                    right,
                } => {
                    let low = f64::from(vectors[[record, column]]) <= threshold;
                    place = if low { left } else { right };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::reference::{Reference, normal, with_threads};
    use super::*;
    use ndarray::Array2;

    /// Spearman's correlation of numbers without ties.
    fn spearman(a: &[f64], b: &[f64]) -> f64 {
        let ranks = |values: &[f64]| {
            let mut order: Vec<usize> = (0..values.len()).collect();
            order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
            let mut ranks = vec![0f64; values.len()];
            for (rank, &place) in order.iter().enumerate() {
                ranks[place] = rank as f64;
            }
            ranks
        };
        let n = a.len() as f64;
        let squares: f64 = ranks(a)
            .iter()
            .zip(ranks(b))
            .map(|(x, y)| (x - y).powi(2))
            .sum();
        1.0 - 6.0 * squares / (n * (n * n - 1.0))
    }

    /// Thirty forests of ours against thirty of scikit-learn's: the mean of each record within the
    /// error of both means, the mean over records and the spread over seeds likewise.
    #[test]
    fn agrees_with_scikit_learn_in_distribution() {
        const SEEDS: usize = 30;
        for reference in Reference::both() {
            let step = reference.step;
            let scores: Vec<Vec<f64>> = (0..SEEDS as u64)
                .map(|seed| isolation_forest(&reference.vectors.view(), seed).unwrap())
                .collect();
            let records = reference.labels.len();
            let mean: Vec<f64> = (0..records)
                .map(|r| scores.iter().map(|s| s[r]).sum::<f64>() / SEEDS as f64)
                .collect();
            let theirs = reference.values("forest mean");
            let deviations = reference.values("forest deviation");
            let mut squares = 0.0;
            for (place, (&theirs, &deviation)) in theirs.iter().zip(deviations).enumerate() {
                let error = deviation * (2.0 / SEEDS as f64).sqrt();
                let away = (mean[place * step] - theirs) / error;
                assert!(away.abs() < 4.5, "record {}: {away}", place * step);
                squares += away * away;
            }
            // the mean square of standard normal numbers, correlated through the trees
            let mean_square = squares / theirs.len() as f64;
            assert!((0.4..2.0).contains(&mean_square), "{mean_square}");

            let of_seeds = |values: &[f64]| {
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                let square = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
                (mean, (square / (values.len() as f64 - 1.0)).sqrt())
            };
            let ours: Vec<f64> = scores
                .iter()
                .map(|s| s.iter().sum::<f64>() / records as f64)
                .collect();
            let (our_mean, our_deviation) = of_seeds(&ours);
            let (mean_of, deviation_of) = of_seeds(reference.values("forest mean by seed"));
            let error = deviation_of * (2.0 / SEEDS as f64).sqrt();
            assert!(
                (our_mean - mean_of).abs() < 3.5 * error,
                "{our_mean} {mean_of}"
            );
            // F with 29 and 29 degrees of freedom: 0.9998 quantile 4.0
            let ratio = (our_deviation / deviation_of).powi(2);
            assert!((0.25..4.0).contains(&ratio), "{ratio}");

            let (by_seed, spread) = of_seeds(reference.values("forest spearman by seed"));
            let ours: Vec<f64> = scores.iter().map(|s| spearman(s, &mean)).collect();
            let (our_correlation, _) = of_seeds(&ours);
            let error = spread * (2.0 / SEEDS as f64).sqrt();
            assert!(
                (our_correlation - by_seed).abs() < 4.0 * error,
                "{our_correlation} {by_seed}"
            );
        }
    }

    #[test]
    fn does_not_depend_on_threads() {
        let vectors = normal(600, 7, 1);
        let run = || isolation_forest(&vectors.view(), 5).unwrap();
        assert_eq!(with_threads(1, run), with_threads(3, run));
        assert_ne!(run(), isolation_forest(&vectors.view(), 6).unwrap());
    }

    /// Values that scikit-learn 1.9.1 gives: 0.5 for one record or for records that are all alike,
    /// and for two that differ.
    #[test]
    fn degenerate_inputs_are_defined() {
        let score = |vectors: Array2<f32>| isolation_forest(&vectors.view(), 1).unwrap();
        assert_eq!(score(Array2::zeros((1, 3))), [0.5]);
        assert_eq!(score(Array2::from_elem((2, 3), 1.0)), [0.5; 2]);
        assert_eq!(score(ndarray::array![[0.0], [1.0]]), [0.5; 2]);
        for vectors in [Array2::from_elem((300, 2), 7.0), Array2::zeros((4, 0))] {
            for score in score(vectors) {
                assert!((score - 0.5).abs() < 1e-12);
            }
        }
        assert!(score(Array2::zeros((0, 2))).is_empty());
    }

    #[test]
    fn a_constant_column_changes_nothing_but_the_draws() {
        let mut vectors = normal(400, 3, 2);
        vectors.column_mut(1).fill(3.0);
        vectors.row_mut(9).fill(3.0);
        vectors[[9, 0]] = 12.0;
        vectors[[9, 2]] = -12.0;
        let scores = isolation_forest(&vectors.view(), 3).unwrap();
        let highest = (0..400).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
        assert_eq!(highest, Some(9));
    }

    #[test]
    fn a_draw_has_each_number_once_and_as_often_as_others() {
        let mut counts = [0u32; 10];
        for index in 0..6000 {
            let drawn = draw(10, 4, &mut Stream::new(1, "draw", index));
            assert!(drawn.len() == 4 && drawn.windows(2).all(|pair| pair[0] < pair[1]));
            for number in drawn {
                counts[number] += 1;
            }
        }
        // binomial, standard deviation 38
        assert!(
            counts.iter().all(|&count| count.abs_diff(2400) < 160),
            "{counts:?}"
        );
    }
}
