//! The receiver operating characteristic of a score that is higher for members.

use crate::error::{InputError, check, check_lengths};

/// One point of a [`Roc`]: what follows from calling *member* every record with a score
/// of at least `threshold`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RocPoint {
    /// The threshold; infinite at the first point, where nobody is called a member.
    pub threshold: f64,
    /// Members called members.
    pub true_positives: usize,
    /// Non-members called members.
    pub false_positives: usize,
    /// True-positive rate.
    pub tpr: f64,
    /// False-positive rate.
    pub fpr: f64,
}

/// A receiver operating characteristic, with tied scores as one step and both end points.
#[derive(Clone, Debug)]
pub struct Roc {
    points: Vec<RocPoint>,
    members: usize,
    non_members: usize,
    auc: f64,
}

impl Roc {
    /// From one score for each record (higher: more like a member; infinite is allowed)
    /// and its membership. n log n.
    ///
    /// # Errors
    /// Lengths that differ, a NaN, no member or no non-member.
    pub fn new(scores: &[f64], is_member: &[bool]) -> Result<Self, InputError> {
        check_lengths(("scores", "is_member"), (scores.len(), is_member.len()))?;
        check("scores", scores, "a number", |score| !score.is_nan())?;
        let members = is_member.iter().filter(|&&member| member).count();
        let non_members = is_member.len() - members;
        if members == 0 {
            return Err(InputError::OneGroup { missing: "members" });
        }
        if non_members == 0 {
            return Err(InputError::OneGroup {
                missing: "non-members",
            });
        }
        // adding +0 makes -0 and 0 one value
        let mut sorted: Vec<(f64, bool)> = scores
            .iter()
            .zip(is_member)
            .map(|(&score, &member)| (score + 0.0, member))
            .collect();
        sorted.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));

        let point = |threshold: f64, true_positives: usize, false_positives: usize| RocPoint {
            threshold,
            true_positives,
            false_positives,
            tpr: true_positives as f64 / members as f64,
            fpr: false_positives as f64 / non_members as f64,
        };
        let mut points = vec![point(f64::INFINITY, 0, 0)];
        let (mut above, mut below) = (0usize, 0usize);
        // twice the pairs in which the member scores higher, plus the tied pairs
        let mut twice_won = 0u128;
        for block in sorted.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
            let hits = block.iter().filter(|record| record.1).count();
            let false_alarms = block.len() - hits;
            twice_won += (2 * above as u128 + hits as u128) * false_alarms as u128;
            above += hits;
            below += false_alarms;
            points.push(point(block[0].0, above, below));
        }
        Ok(Self {
            points,
            members,
            non_members,
            auc: twice_won as f64 / (2.0 * members as f64 * non_members as f64),
        })
    }

    /// From (0, 0) to (1, 1), by falling threshold.
    #[must_use]
    pub fn points(&self) -> &[RocPoint] {
        &self.points
    }

    /// How many members there are.
    #[must_use]
    pub fn members(&self) -> usize {
        self.members
    }

    /// How many non-members there are.
    #[must_use]
    pub fn non_members(&self) -> usize {
        self.non_members
    }

    /// Area under the curve: `P[s_m > s_n] + ½ P[s_m = s_n]` for a member m and a
    /// non-member n.
    #[must_use]
    pub fn auc(&self) -> f64 {
        self.auc
    }

    /// The largest true-positive rate whose false-positive rate is at most `f`; `None`
    /// if there are fewer than 1/f non-members, when one false alarm would already be
    /// too many and the figure would say nothing.
    #[must_use]
    pub fn tpr_at_fpr(&self, f: f64) -> Option<f64> {
        // a level such as 0.29 is no binary fraction: 0.29 · 100 must allow 29
        let allowed = f * self.non_members as f64 * (1.0 + 1e-12);
        if allowed.is_nan() || allowed < 1.0 {
            return None;
        }
        let within = self
            .points
            .partition_point(|point| point.false_positives as f64 <= allowed);
        Some(self.points[within - 1].tpr)
    }

    /// The smallest threshold whose false-positive rate is at most `f`, which is the one
    /// that [`tpr_at_fpr`](Self::tpr_at_fpr) stands for; infinite when nobody may be
    /// accused. `None` as there, and when non-members with an infinite score make even
    /// an infinite threshold accuse too many.
    #[must_use]
    pub fn threshold_at_fpr(&self, f: f64) -> Option<f64> {
        self.tpr_at_fpr(f)?;
        let allowed = f * self.non_members as f64 * (1.0 + 1e-12);
        let within = self
            .points
            .partition_point(|point| point.false_positives as f64 <= allowed);
        let threshold = self.points[within - 1].threshold;
        (self.at_threshold(threshold).false_positives as f64 <= allowed).then_some(threshold)
    }

    /// What follows from calling *member* every record with a score of at least
    /// `threshold`, which need not be a score of the data: a threshold may come from
    /// elsewhere. A NaN accuses nobody.
    #[must_use]
    pub fn at_threshold(&self, threshold: f64) -> RocPoint {
        let reached = self
            .points
            .partition_point(|point| point.threshold >= threshold);
        RocPoint {
            threshold,
            ..self.points[reached.saturating_sub(1)]
        }
    }

    /// Membership advantage: the largest TPR - FPR.
    #[must_use]
    pub fn advantage(&self) -> f64 {
        self.points
            .iter()
            .map(|point| point.tpr - point.fpr)
            .fold(0.0, f64::max)
    }

    /// The largest balanced accuracy, `½ (TPR + 1 - FPR)`.
    #[must_use]
    pub fn balanced_accuracy(&self) -> f64 {
        0.5 + 0.5 * self.advantage()
    }
}

/// Positive predictive value: the share of accusations that are right where a share
/// `prior` of the records are members. `None` if nobody is ever accused, or if an
/// argument is not a probability.
#[must_use]
pub fn ppv(tpr: f64, fpr: f64, prior: f64) -> Option<f64> {
    if [tpr, fpr, prior]
        .iter()
        .any(|probability| !(0.0..=1.0).contains(probability))
    {
        return None;
    }
    let right = prior * tpr;
    let accused = right + (1.0 - prior) * fpr;
    (accused > 0.0).then(|| right / accused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairwise_auc(scores: &[f64], is_member: &[bool]) -> f64 {
        let (mut sum, mut pairs) = (0.0, 0.0);
        for (m, _) in is_member.iter().enumerate().filter(|record| *record.1) {
            for (n, _) in is_member.iter().enumerate().filter(|record| !*record.1) {
                pairs += 1.0;
                if scores[m] > scores[n] {
                    sum += 1.0;
                } else if scores[m] >= scores[n] {
                    sum += 0.5;
                }
            }
        }
        sum / pairs
    }

    fn scored() -> impl Strategy<Value = (Vec<f64>, Vec<bool>)> {
        prop::collection::vec(((-6i32..6).prop_map(f64::from), any::<bool>()), 2..60)
            .prop_filter("both groups", |records| {
                records.iter().any(|r| r.1) && records.iter().any(|r| !r.1)
            })
            .prop_map(|records| records.into_iter().unzip())
    }

    #[test]
    fn bad_input_is_an_error() {
        assert!(Roc::new(&[1.0, f64::NAN], &[true, false]).is_err());
        assert!(Roc::new(&[1.0], &[true, false]).is_err());
        assert!(Roc::new(&[1.0, 2.0], &[true, true]).is_err());
        assert!(Roc::new(&[1.0, 2.0], &[false, false]).is_err());
        assert!(Roc::new(&[], &[]).is_err());
    }

    /// The trap of methods 3.7: with tied scores, taking the first index of a block as
    /// the curve gives a perfect attack an AUC of .375.
    #[test]
    fn tied_blocks_are_one_step() {
        let members = [true, true, true, true, false, false, false, false];
        let perfect = Roc::new(&[1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0], &members).unwrap();
        assert!((perfect.auc() - 1.0).abs() < 1e-15);
        assert!((perfect.advantage() - 1.0).abs() < 1e-15);
        assert!((perfect.balanced_accuracy() - 1.0).abs() < 1e-15);
        assert_eq!(perfect.points().len(), 3);
        let tied = Roc::new(&[0.5; 8], &members).unwrap();
        assert!((tied.auc() - 0.5).abs() < 1e-15);
        assert!(tied.advantage().abs() < 1e-15);
        assert_eq!(tied.points().len(), 2);
        assert_eq!(tied.tpr_at_fpr(0.25), Some(0.0));
        let wrong = Roc::new(&[0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0], &members).unwrap();
        assert!(wrong.auc().abs() < 1e-15);
    }

    #[test]
    fn infinite_scores_and_signed_zeros() {
        let roc = Roc::new(
            &[f64::INFINITY, 0.0, -0.0, f64::NEG_INFINITY],
            &[true, true, false, false],
        )
        .unwrap();
        assert!((roc.auc() - 0.875).abs() < 1e-15);
        assert_eq!(roc.points().len(), 4);
    }

    #[test]
    fn a_rate_needs_enough_non_members() {
        let scores: Vec<f64> = (0..200).map(f64::from).collect();
        let is_member: Vec<bool> = (0..200).map(|i| i % 2 == 0).collect();
        let roc = Roc::new(&scores, &is_member).unwrap();
        assert!(roc.tpr_at_fpr(0.01).is_some());
        assert_eq!(roc.tpr_at_fpr(0.009), None);
        assert_eq!(roc.tpr_at_fpr(0.0), None);
        assert_eq!(roc.tpr_at_fpr(f64::NAN), None);
        assert_eq!(roc.tpr_at_fpr(1.0), Some(1.0));
        // 29 false alarms are allowed although 0.29 · 100 < 29 in binary
        let point = roc
            .points()
            .iter()
            .rfind(|p| p.false_positives == 29)
            .unwrap();
        assert_eq!(roc.tpr_at_fpr(0.29), Some(point.tpr));
    }

    /// Losses of members and non-members, from the membership test of TensorFlow
    /// Privacy: the score is minus the loss, and ties count one half.
    #[test]
    fn auc_of_the_membership_test() {
        let losses = [0.1, 0.2, 1.3, 0.4, 0.5, 0.6, 1.1, 1.2, 1.3, 0.4, 1.5, 1.6];
        let scores: Vec<f64> = losses.iter().map(|loss: &f64| -loss).collect();
        let is_member: Vec<bool> = (0..12).map(|i| i < 6).collect();
        let roc = Roc::new(&scores, &is_member).unwrap();
        assert!((roc.auc() - 30.0 / 36.0).abs() < 1e-15);
        assert!((roc.auc() - 0.83).abs() < 0.005);
    }

    #[test]
    fn infinite_scores_leave_no_threshold() {
        let scores = [f64::INFINITY, f64::INFINITY, 1.0, 0.0];
        let roc = Roc::new(&scores, &[true, false, true, false]).unwrap();
        assert_eq!(roc.threshold_at_fpr(0.5), Some(1.0));
        let scores = [f64::INFINITY, f64::INFINITY, f64::INFINITY, 0.0];
        let roc = Roc::new(&scores, &[true, false, false, true]).unwrap();
        assert_eq!(roc.threshold_at_fpr(0.5), None);
        assert_eq!(roc.tpr_at_fpr(0.5), Some(0.0));
        assert_eq!(roc.at_threshold(f64::INFINITY).false_positives, 2);
        assert_eq!(roc.at_threshold(f64::NAN).true_positives, 0);
    }

    #[test]
    fn ppv_at_priors() {
        assert!((ppv(0.9, 0.01, 0.01).unwrap() - 0.476).abs() < 5e-4);
        assert!((ppv(0.9, 0.01, 0.5).unwrap() - 0.989).abs() < 5e-4);
        assert_eq!(ppv(0.0, 0.0, 0.5), None);
        assert_eq!(ppv(0.5, f64::NAN, 0.5), None);
    }

    proptest! {
        #[test]
        fn auc_is_the_share_of_pairs((scores, is_member) in scored()) {
            let roc = Roc::new(&scores, &is_member).unwrap();
            prop_assert!((roc.auc() - pairwise_auc(&scores, &is_member)).abs() < 1e-12);
            // and the area under the points
            let area: f64 = roc.points().windows(2)
                .map(|p| (p[1].fpr - p[0].fpr) * (p[1].tpr + p[0].tpr) / 2.0).sum();
            prop_assert!((roc.auc() - area).abs() < 1e-12);
        }

        #[test]
        fn tpr_is_the_best_threshold_within_the_fpr((scores, is_member) in scored(), f in 0.0..1.0) {
            let roc = Roc::new(&scores, &is_member).unwrap();
            let count = |member: bool, threshold: f64| {
                let group = is_member.iter().filter(|&&m| m == member).count() as f64;
                let hits = scores.iter().zip(&is_member)
                    .filter(|(s, m)| **m == member && **s >= threshold).count() as f64;
                hits / group
            };
            let non_members = is_member.iter().filter(|m| !**m).count() as f64;
            let thresholds = || (-7..8).map(f64::from);
            let best = thresholds().filter(|&t| count(false, t) <= f)
                .map(|t| count(true, t)).fold(0.0, f64::max);
            let expected = (non_members * f >= 1.0).then_some(best);
            prop_assert_eq!(roc.tpr_at_fpr(f), expected);
            let advantage = thresholds().map(|t| count(true, t) - count(false, t)).fold(0.0, f64::max);
            prop_assert!((roc.advantage() - advantage).abs() < 1e-12);
        }

        #[test]
        fn thresholds_say_what_they_do((scores, is_member) in scored(), f in 0.0..1.0, t in -7.5_f64..7.5) {
            let roc = Roc::new(&scores, &is_member).unwrap();
            let accused = |member: bool, threshold: f64| scores.iter().zip(&is_member)
                .filter(|(s, m)| **m == member && **s >= threshold).count();
            for threshold in [t, f64::round(t)] {
                let point = roc.at_threshold(threshold);
                prop_assert_eq!(point.true_positives, accused(true, threshold));
                prop_assert_eq!(point.false_positives, accused(false, threshold));
            }
            if let Some(threshold) = roc.threshold_at_fpr(f) {
                let allowed = f * roc.non_members() as f64;
                prop_assert!(accused(false, threshold) as f64 <= allowed);
                // the next smaller score would accuse too many, unless there is none
                let next = scores.iter().copied().filter(|s| *s < threshold)
                    .fold(f64::NEG_INFINITY, f64::max);
                prop_assert!(next.is_infinite() || accused(false, next) as f64 > allowed);
                let tpr = accused(true, threshold) as f64 / roc.members() as f64;
                prop_assert_eq!(roc.tpr_at_fpr(f), Some(tpr));
            } else {
                prop_assert_eq!(roc.tpr_at_fpr(f), None);
            }
        }

        #[test]
        fn only_the_order_of_scores_matters((scores, is_member) in scored()) {
            let stretched: Vec<f64> = scores.iter().map(|s| s.exp() * 3.0 - 1.0).collect();
            let a = Roc::new(&scores, &is_member).unwrap();
            let b = Roc::new(&stretched, &is_member).unwrap();
            prop_assert_eq!(a.auc().to_bits(), b.auc().to_bits());
            let mirrored: Vec<f64> = scores.iter().map(|s| -s).collect();
            let c = Roc::new(&mirrored, &is_member).unwrap();
            prop_assert!((a.auc() + c.auc() - 1.0).abs() < 1e-12);
        }
    }
}
