//! From scores to a bound: where the threshold comes from, and what that costs.

use super::{Counts, EpsilonLowerBound, Method};
use crate::error::{InputError, check, check_parameter};
use crate::random::Stream;

/// Where the threshold above which a score means *member* comes from. The largest bound
/// over many thresholds is no bound, so every way to get one either fixes the threshold
/// without the data of the bound or pays for the choice.
#[derive(Clone, Debug, PartialEq)]
pub enum ThresholdStrategy {
    /// This threshold, chosen without looking at these scores.
    Explicit(f64),
    /// The threshold is chosen on one random part of the records, and the bound computed
    /// on the rest. Costs the records of the first part.
    Split {
        /// Seed of the coins that assign each record to a part.
        seed: u64,
        /// Expected share of the records on which the threshold is chosen, in (0, 1).
        share: f64,
    },
    /// The best of these thresholds, fixed without looking at these scores; α is divided
    /// by their number, repeated ones counted each time.
    Bonferroni(Vec<f64>),
    /// The best of the vertices of the ROC curve's concave hull; α is divided by their
    /// number. This is what `jax_privacy` does. **The number of vertices and the vertices
    /// themselves are learnt from the same data, so the correction is a heuristic and not
    /// proven**; to report a bound use one of the others.
    BonferroniFrontier,
}

impl ThresholdStrategy {
    /// Refuses a NaN as a threshold, no threshold at all, and a share outside (0, 1).
    pub(crate) fn check(&self) -> Result<(), InputError> {
        match self {
            Self::Explicit(threshold) => {
                check_parameter("threshold", *threshold, "a number", !threshold.is_nan())
            }
            Self::Split { share, .. } => check_parameter(
                "share",
                *share,
                "between 0 and 1",
                *share > 0.0 && *share < 1.0,
            ),
            Self::Bonferroni(thresholds) => {
                if thresholds.is_empty() {
                    return Err(InputError::TooFew {
                        argument: "thresholds",
                        found: 0,
                        needed: 1,
                    });
                }
                check("thresholds", thresholds, "a number", |t| !t.is_nan())
            }
            Self::BonferroniFrontier => Ok(()),
        }
    }
}

/// A bound with the threshold and the counts it was computed from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoundAtThreshold {
    /// Lower bound on ε; 0 if nothing can be said.
    pub epsilon: f64,
    /// Records with a score of at least this were called members.
    pub threshold: f64,
    /// What came of it (on the second part, after a split).
    pub counts: Counts,
    /// How many thresholds shared α.
    pub thresholds: usize,
}

impl EpsilonLowerBound {
    /// The bound from scores (higher: more like a member): a record is called a member
    /// when its score is at least the threshold.
    ///
    /// Each score must come from an independent trial. Records of one model are not
    /// independent trials: on them this describes and bounds nothing.
    ///
    /// On the first part of a split the threshold with the best Clopper–Pearson bound is
    /// chosen, or the best TPR - FPR if no bound is positive.
    ///
    /// # Errors
    /// No member or no non-member (also in one part of a split), a NaN, α or δ outside
    /// their range, or a strategy that makes no sense: a NaN as a threshold, no threshold,
    /// a share outside (0, 1).
    pub fn of_scores(
        &self,
        member_scores: &[f64],
        non_member_scores: &[f64],
        strategy: &ThresholdStrategy,
    ) -> Result<BoundAtThreshold, InputError> {
        self.check()?;
        strategy.check()?;
        let scores = SortedScores::new(member_scores, non_member_scores)?;
        scores.counts(f64::INFINITY).check()?;
        Ok(match strategy {
            ThresholdStrategy::Explicit(threshold) => self.best_of(&scores, &[*threshold], 1),
            ThresholdStrategy::Bonferroni(thresholds) => {
                self.best_of(&scores, thresholds, thresholds.len())
            }
            ThresholdStrategy::BonferroniFrontier => {
                let vertices = scores.frontier();
                self.best_of(&scores, &vertices, vertices.len())
            }
            ThresholdStrategy::Split { seed, share } => {
                let (choosing, testing) = scores.split(*seed, *share);
                choosing.counts(f64::INFINITY).check()?;
                testing.counts(f64::INFINITY).check()?;
                // a choice and not a bound, so nothing is corrected
                let choice = Self {
                    method: Method::ClopperPearson,
                    ..*self
                }
                .best_of(&choosing, &choosing.frontier(), 1);
                self.best_of(&testing, &[choice.threshold], 1)
            }
        })
    }

    /// The best bound of any of the thresholds, at α divided by `shared_among`.
    ///
    /// The thresholds go by falling Clopper–Pearson bound, so that a costlier method has
    /// to be searched for the first few only.
    fn best_of(
        &self,
        scores: &SortedScores,
        thresholds: &[f64],
        shared_among: usize,
    ) -> BoundAtThreshold {
        let corrected = Self {
            alpha: self.alpha / shared_among as f64,
            ..*self
        };
        let quick = Self {
            method: Method::ClopperPearson,
            ..corrected
        };
        let mut candidates: Vec<(f64, f64, f64, Counts)> = thresholds
            .iter()
            .map(|&threshold| {
                let counts = scores.counts(threshold);
                let advantage = counts.true_positives as f64 / counts.members() as f64
                    - counts.false_positives as f64 / counts.non_members() as f64;
                let order = quick.above(counts, 0.0).unwrap_or(0.0);
                (order, advantage, threshold, counts)
            })
            .collect();
        candidates.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1)));
        let bound = |epsilon, threshold, counts| BoundAtThreshold {
            epsilon,
            threshold,
            counts,
            thresholds: shared_among,
        };
        let (_, _, threshold, counts) = candidates[0];
        let mut best = bound(0.0, threshold, counts);
        for (_, _, threshold, counts) in candidates {
            if let Some(epsilon) = corrected.above(counts, best.epsilon) {
                best = bound(epsilon, threshold, counts);
            }
        }
        best
    }
}

/// Scores of members and of non-members, each sorted upwards.
#[derive(Clone, Debug)]
pub(crate) struct SortedScores {
    pub(crate) members: Vec<f64>,
    pub(crate) non_members: Vec<f64>,
    /// For each sorted score its place in the input: a record's coin goes by that.
    places: (Vec<usize>, Vec<usize>),
}

impl SortedScores {
    /// Refuses a NaN.
    pub(crate) fn new(
        member_scores: &[f64],
        non_member_scores: &[f64],
    ) -> Result<Self, InputError> {
        let is_number = |score: f64| !score.is_nan();
        check("member_scores", member_scores, "a number", is_number)?;
        check(
            "non_member_scores",
            non_member_scores,
            "a number",
            is_number,
        )?;
        let sorted = |scores: &[f64]| {
            let mut order: Vec<usize> = (0..scores.len()).collect();
            // adding +0 makes -0 and 0 one value
            order.sort_by(|&i, &j| (scores[i] + 0.0).total_cmp(&(scores[j] + 0.0)));
            let values: Vec<f64> = order.iter().map(|&i| scores[i] + 0.0).collect();
            (values, order)
        };
        let (members, member_places) = sorted(member_scores);
        let (non_members, non_member_places) = sorted(non_member_scores);
        Ok(Self {
            members,
            non_members,
            places: (member_places, non_member_places),
        })
    }

    /// Members and non-members with a score of at least `threshold`.
    pub(crate) fn at_least(&self, threshold: f64) -> (u64, u64) {
        let count =
            |group: &[f64]| (group.len() - group.partition_point(|&s| s < threshold)) as u64;
        (count(&self.members), count(&self.non_members))
    }

    fn counts(&self, threshold: f64) -> Counts {
        let (true_positives, false_positives) = self.at_least(threshold);
        Counts {
            true_positives,
            false_negatives: self.members.len() as u64 - true_positives,
            false_positives,
            true_negatives: self.non_members.len() as u64 - false_positives,
        }
    }

    /// Two parts; each record goes to the first with probability `share`, by a coin that
    /// depends on nothing but the seed, its group and its place in the input.
    pub(crate) fn split(&self, seed: u64, share: f64) -> (Self, Self) {
        let parts = |values: &[f64], places: &[usize], group: u64| {
            let mut stream = Stream::new(seed, "threshold split", group);
            let coins: Vec<bool> = places.iter().map(|_| stream.uniform() < share).collect();
            let part = |first: bool| -> (Vec<f64>, Vec<usize>) {
                values
                    .iter()
                    .zip(places)
                    .filter(|(_, place)| coins[**place] == first)
                    .map(|(&value, &place)| (value, place))
                    .unzip()
            };
            (part(true), part(false))
        };
        let members = parts(&self.members, &self.places.0, 0);
        let non_members = parts(&self.non_members, &self.places.1, 1);
        let join = |m: (Vec<f64>, Vec<usize>), n: (Vec<f64>, Vec<usize>)| Self {
            members: m.0,
            non_members: n.0,
            places: (m.1, n.1),
        };
        (
            join(members.0, non_members.0),
            join(members.1, non_members.1),
        )
    }

    /// Thresholds of the vertices of the upper concave hull of the points (false
    /// negatives, true negatives), both ends included, by rising threshold; the last is
    /// infinite. Any other threshold is beaten, at every trade-off between the two kinds
    /// of error, by one of these.
    pub(crate) fn frontier(&self) -> Vec<f64> {
        let mut hull: Vec<(i128, i128, f64)> = Vec::new();
        let (mut below, mut above) = (0, 0);
        loop {
            let next = match (self.members.get(below), self.non_members.get(above)) {
                (Some(&m), Some(&n)) => m.min(n),
                (Some(&score), None) | (None, Some(&score)) => score,
                (None, None) => f64::INFINITY,
            };
            let point = (below as i128, above as i128, next);
            while let [.., before, last] = hull.as_slice() {
                let into = (last.0 - before.0, last.1 - before.1);
                let out = (point.0 - last.0, point.1 - last.1);
                // not a turn to the right: the last point is on or under the chord
                if into.1 * out.0 <= out.1 * into.0 {
                    hull.pop();
                } else {
                    break;
                }
            }
            hull.push(point);
            if below == self.members.len() && above == self.non_members.len() {
                return hull.into_iter().map(|point| point.2).collect();
            }
            below += self.members[below..].partition_point(|&s| s <= next);
            above += self.non_members[above..].partition_point(|&s| s <= next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy::Sides;
    use proptest::prelude::*;

    fn bound(method: Method, alpha: f64) -> EpsilonLowerBound {
        EpsilonLowerBound {
            method,
            delta: 0.0,
            alpha,
            sides: Sides::One,
        }
    }

    fn as_scores(values: &[i32]) -> Vec<f64> {
        values.iter().map(|&v| f64::from(v)).collect()
    }

    /// Scores of independent trials of an ε-differentially private mechanism: 0 or 1 with
    /// Laplace noise of scale 1/ε. Above 1, TPR/FPR is e^ε at every threshold, so each is
    /// a chance to be too large.
    fn laplace_trials(stream: &mut Stream, epsilon: f64, centre: f64, trials: usize) -> Vec<f64> {
        (0..trials)
            .map(|_| {
                let sign = if stream.uniform() < 0.5 { -1.0 } else { 1.0 };
                centre - sign * (1.0 - stream.uniform()).ln() / epsilon
            })
            .collect()
    }

    /// The corrected bounds exceed ε no more often than α allows (four standard errors of
    /// 800 audits). The largest of the same bounds without correction does exceed it.
    #[test]
    fn strategies_hold_for_the_laplace_mechanism_and_the_bare_maximum_does_not() {
        let (epsilon, audits, alpha) = (1.0, 800, 0.2);
        let grid: Vec<f64> = (0..12).map(|i| 1.0 + 0.25 * f64::from(i)).collect();
        let strategies = [
            ThresholdStrategy::Explicit(1.0),
            ThresholdStrategy::Bonferroni(grid.clone()),
            ThresholdStrategy::Split {
                seed: 9,
                share: 0.4,
            },
        ];
        let test = bound(Method::ClopperPearson, alpha);
        let (mut too_large, mut positive, mut bare) = ([0u32; 3], [0u32; 3], 0u32);
        for audit in 0..audits {
            let mut stream = Stream::new(21, "laplace trials", audit);
            let members = laplace_trials(&mut stream, epsilon, 1.0, 1000);
            let others = laplace_trials(&mut stream, epsilon, 0.0, 1000);
            for (kind, strategy) in strategies.iter().enumerate() {
                let found = test.of_scores(&members, &others, strategy).unwrap();
                too_large[kind] += u32::from(found.epsilon > epsilon);
                positive[kind] += u32::from(found.epsilon > 0.0);
            }
            let scores = SortedScores::new(&members, &others).unwrap();
            bare += u32::from(test.best_of(&scores, &scores.frontier(), 1).epsilon > epsilon);
        }
        let audits = audits as f64;
        let limit = audits * alpha + 4.0 * (audits * alpha * (1.0 - alpha)).sqrt();
        for (too_large, positive) in too_large.into_iter().zip(positive) {
            assert!(f64::from(too_large) <= limit, "{too_large} of {audits}");
            assert!(f64::from(positive) > 0.9 * audits, "{positive} of {audits}");
        }
        assert!(f64::from(bare) > limit, "{bare} of {audits}");
    }

    #[test]
    fn a_score_at_the_threshold_is_called_a_member() {
        let found = bound(Method::ClopperPearson, 0.1)
            .of_scores(
                &[1.0, 2.0, 3.0, -0.0],
                &[0.0, 2.0, 1.5, -1.0],
                &ThresholdStrategy::Explicit(2.0),
            )
            .unwrap();
        assert_eq!(
            (found.counts.true_positives, found.counts.false_positives),
            (2, 1)
        );
        assert_eq!(
            (found.counts.false_negatives, found.counts.true_negatives),
            (2, 3)
        );
        assert_eq!(found.thresholds, 1);
        let scores = SortedScores::new(&[-0.0], &[0.0]).unwrap();
        assert_eq!(scores.at_least(0.0), (1, 1));
    }

    #[test]
    fn the_parts_of_a_split_make_the_whole_and_repeat() {
        let members: Vec<f64> = (0..1000).map(|i| f64::from(i * 7919 % 1000)).collect();
        let others: Vec<f64> = members.iter().map(|s| s - 300.0).collect();
        let scores = SortedScores::new(&members, &others).unwrap();
        let (first, second) = scores.split(4, 0.3);
        for (whole, one, other) in [
            (&scores.members, &first.members, &second.members),
            (&scores.non_members, &first.non_members, &second.non_members),
        ] {
            let mut together = [one.as_slice(), other.as_slice()].concat();
            together.sort_by(f64::total_cmp);
            assert_eq!(whole, &together);
            assert!((250..350).contains(&one.len()), "{}", one.len());
            assert!(one.is_sorted() && other.is_sorted());
        }
        assert_eq!(scores.split(4, 0.3).0.members, first.members);
        assert_ne!(scores.split(5, 0.3).0.members, first.members);
        // members and non-members have coins of their own
        let shifted: Vec<f64> = first.members.iter().map(|s| s - 300.0).collect();
        assert_ne!(shifted, first.non_members);
        // the bound comes from the second part alone
        let strategy = ThresholdStrategy::Split {
            seed: 4,
            share: 0.3,
        };
        let found = bound(Method::Jeffreys, 0.1)
            .of_scores(&members, &others, &strategy)
            .unwrap();
        assert_eq!(found.counts.members(), second.members.len() as u64);
        assert_eq!(found.counts, second.counts(found.threshold));
        let again = bound(Method::Jeffreys, 0.1)
            .of_counts(found.counts)
            .unwrap();
        assert!((again - found.epsilon).abs() < 1e-12 && again > 0.5);
    }

    #[test]
    fn bad_input_is_an_error() {
        let test = bound(Method::ClopperPearson, 0.1);
        let explicit = ThresholdStrategy::Explicit(0.0);
        assert!(test.of_scores(&[], &[1.0], &explicit).is_err());
        assert!(test.of_scores(&[1.0], &[], &explicit).is_err());
        assert!(test.of_scores(&[f64::NAN], &[1.0], &explicit).is_err());
        assert!(
            bound(Method::Jeffreys, 0.0)
                .of_scores(&[1.0], &[1.0], &explicit)
                .is_err()
        );
        for strategy in [
            ThresholdStrategy::Explicit(f64::NAN),
            ThresholdStrategy::Bonferroni(vec![]),
            ThresholdStrategy::Bonferroni(vec![f64::NAN]),
            ThresholdStrategy::Split {
                seed: 1,
                share: 0.0,
            },
            ThresholdStrategy::Split {
                seed: 1,
                share: f64::NAN,
            },
            // one record cannot be in both parts
            ThresholdStrategy::Split {
                seed: 1,
                share: 0.5,
            },
        ] {
            assert!(
                test.of_scores(&[1.0], &[0.0], &strategy).is_err(),
                "{strategy:?}"
            );
        }
    }

    proptest! {
        /// Vertices are strictly convex, and no threshold lies above their hull.
        #[test]
        fn the_frontier_is_the_concave_hull(
            members in prop::collection::vec(-6i32..9, 0..40),
            others in prop::collection::vec(-9i32..6, 1..40),
        ) {
            let scores = SortedScores::new(&as_scores(&members), &as_scores(&others)).unwrap();
            let point = |threshold: f64| {
                let counts = scores.counts(threshold);
                (i128::from(counts.false_negatives), i128::from(counts.true_negatives))
            };
            let vertices: Vec<_> = scores.frontier().into_iter().map(point).collect();
            prop_assert_eq!(vertices[0], (0, 0));
            prop_assert_eq!(vertices[vertices.len() - 1], (members.len() as i128, others.len() as i128));
            let cross = |a: (i128, i128), b: (i128, i128), c: (i128, i128)| {
                (b.0 - a.0) * (c.1 - a.1) - (b.1 - a.1) * (c.0 - a.0)
            };
            for three in vertices.windows(3) {
                prop_assert!(cross(three[0], three[1], three[2]) < 0);
            }
            for threshold in -10..11 {
                let at = point(f64::from(threshold));
                for edge in vertices.windows(2) {
                    prop_assert!(cross(edge[0], edge[1], at) <= 0);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]

        /// The best of the grid, each threshold at its share of α.
        #[test]
        fn bonferroni_is_the_best_corrected_bound(
            members in prop::collection::vec(-3i32..9, 5..60),
            others in prop::collection::vec(-6i32..6, 5..60),
            method in prop_oneof![Just(Method::ClopperPearson), Just(Method::Jeffreys), Just(Method::JointBeta)],
        ) {
            let grid = as_scores(&[-4, -1, 0, 2, 5, 8]);
            let (m, n) = (as_scores(&members), as_scores(&others));
            let found = bound(method, 0.3).of_scores(&m, &n, &ThresholdStrategy::Bonferroni(grid.clone())).unwrap();
            prop_assert_eq!(found.thresholds, 6);
            let each = grid.iter().map(|&t| {
                bound(method, 0.05).of_scores(&m, &n, &ThresholdStrategy::Explicit(t)).unwrap().epsilon
            }).fold(0.0, f64::max);
            prop_assert!((found.epsilon - each).abs() < 1e-8, "{} {}", found.epsilon, each);
        }
    }
}
