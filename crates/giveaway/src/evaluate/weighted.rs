//! Figures of a ranking whose entries have weights: what a bootstrap over targets and records
//! needs, without sorting anew for each replicate.

use super::LOW_RATES;

/// A scored record of one target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Higher is more member-like; not `NaN`.
    pub(super) score: f64,
    /// The record.
    pub(super) record: u32,
    /// The family of the target, by its place among those that play.
    pub(super) family: u16,
    /// Whether the record is a member of the target.
    pub(super) is_member: bool,
}

/// AUC, advantage, balanced accuracy, true-positive rates at [`LOW_RATES`], then the true and
/// the false-positive rate where one of [`PREDICTIVE_RATE`] is allowed.
pub(super) const FIGURES: usize = 3 + LOW_RATES.len() + 2;

/// The place of the last two.
pub(super) const ACCUSED: usize = FIGURES - 2;

/// The false-positive rate at which predictive values are given.
pub const PREDICTIVE_RATE: f64 = 0.01;

/// Sorts entries by falling score, ties in an order that does not matter.
pub(super) fn sort(entries: &mut [Entry]) {
    entries.sort_unstable_by(|a, b| b.score.total_cmp(&a.score));
}

/// The figures of sorted entries; ties go together. `None` without weight on both sides.
pub(super) fn figures(entries: &[Entry], weight: impl Fn(&Entry) -> f64) -> [Option<f64>; FIGURES] {
    let (mut members, mut others) = (0.0, 0.0);
    for entry in entries {
        *(if entry.is_member {
            &mut members
        } else {
            &mut others
        }) += weight(entry);
    }
    if members <= 0.0 || others <= 0.0 {
        return [None; FIGURES];
    }
    let (mut right, mut wrong) = (0.0, 0.0);
    let (mut area, mut advantage) = (0.0, 0.0f64);
    let mut at_rates = [0.0; LOW_RATES.len()];
    let (mut accused_right, mut accused_wrong) = (0.0, 0.0);
    let mut next = 0;
    while next < entries.len() {
        let score = entries[next].score;
        let (mut tied_right, mut tied_wrong) = (0.0, 0.0);
        while next < entries.len() && entries[next].score >= score {
            let entry = &entries[next];
            *(if entry.is_member {
                &mut tied_right
            } else {
                &mut tied_wrong
            }) += weight(entry);
            next += 1;
        }
        area += tied_wrong * (right + tied_right / 2.0);
        right += tied_right;
        wrong += tied_wrong;
        advantage = advantage.max(right / members - wrong / others);
        for (best, rate) in at_rates.iter_mut().zip(LOW_RATES) {
            if within(wrong, rate, others) {
                *best = right;
            }
        }
        if within(wrong, PREDICTIVE_RATE, others) {
            (accused_right, accused_wrong) = (right, wrong);
        }
    }
    std::array::from_fn(|index| match index {
        0 => Some(area / (members * others)),
        1 => Some(advantage),
        2 => Some(f64::midpoint(1.0, advantage)),
        _ if index < ACCUSED => Some(at_rates[index - 3] / members),
        ACCUSED => Some(accused_right / members),
        _ => Some(accused_wrong / others),
    })
}

/// Whether so many of `all` are at most this share. A level such as .29 is no binary fraction.
pub(super) fn within(count: f64, rate: f64, all: f64) -> bool {
    count <= rate * all * (1.0 + 1e-12)
}

/// Whether a figure says anything with so many non-members: a rate of f needs 1/f of them.
pub(super) fn tells(index: usize, non_members: usize) -> bool {
    let rate = match index {
        0..3 => return true,
        _ if index < ACCUSED => LOW_RATES[index - 3],
        _ => PREDICTIVE_RATE,
    };
    within(1.0, rate, non_members as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use giveaway_stats::random::Stream;
    use giveaway_stats::roc::Roc;

    /// Whole weights are repetitions, of which the ROC of `stats` knows.
    #[test]
    fn weights_are_repetitions() {
        let mut stream = Stream::new(2, "weighted", 0);
        let mut entries: Vec<Entry> = (0..300u32)
            .map(|record| Entry {
                // ties, within and across groups
                score: (stream.below(40) as f64) / 7.0,
                record,
                family: 0,
                is_member: stream.uniform() < 0.4,
            })
            .collect();
        let weights: Vec<usize> = (0..300).map(|_| stream.below(4)).collect();
        sort(&mut entries);
        let found = figures(&entries, |entry| weights[entry.record as usize] as f64);
        let repeated: Vec<Entry> = entries
            .iter()
            .flat_map(|&entry| vec![entry; weights[entry.record as usize]])
            .collect();
        let scores: Vec<f64> = repeated.iter().map(|entry| entry.score).collect();
        let members: Vec<bool> = repeated.iter().map(|entry| entry.is_member).collect();
        let roc = Roc::new(&scores, &members).unwrap();
        let close = |a: Option<f64>, b: f64| (a.unwrap() - b).abs() < 1e-12;
        assert!(close(found[0], roc.auc()));
        assert!(close(found[1], roc.advantage()));
        assert!(close(found[2], roc.balanced_accuracy()));
        assert!(close(found[3], roc.tpr_at_fpr(0.1).unwrap()));
        assert!(close(found[4], roc.tpr_at_fpr(0.01).unwrap()));
        let point = roc.points().iter().rfind(|p| p.fpr <= 0.01).unwrap();
        assert!(close(found[ACCUSED], point.tpr) && close(found[ACCUSED + 1], point.fpr));
        assert_eq!(
            figures(&entries, |e| f64::from(u8::from(e.is_member)))[0],
            None
        );
    }

    #[test]
    fn a_rate_needs_enough_non_members() {
        assert!(tells(0, 1) && tells(3, 10) && !tells(3, 9) && tells(4, 100));
        assert!(!tells(ACCUSED, 99) && tells(ACCUSED, 100));
    }
}
