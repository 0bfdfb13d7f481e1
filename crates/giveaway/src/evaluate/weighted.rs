//! Figures of a ranking whose entries have weights: what a bootstrap over targets and records
//! needs, without sorting anew for each replicate.

use super::{CURVE_RATES, CurveWalk, RANKING_FIGURES, allowance, tells_at};

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

/// Those of [`RANKING_FIGURES`], then the true and the false-positive rate where one of
/// [`PREDICTIVE_RATE`] is allowed.
pub(super) const FIGURES: usize = RANKING_FIGURES + 2;

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
    let mut curve = CurveWalk::new(others);
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
        wrong += tied_wrong;
        curve.step(right, wrong);
        right += tied_right;
        advantage = advantage.max(right / members - wrong / others);
        if within(wrong, PREDICTIVE_RATE, others) {
            (accused_right, accused_wrong) = (right, wrong);
        }
    }
    let curve = curve.end(members);
    std::array::from_fn(|index| match index {
        0 => Some(area / (members * others)),
        1 => Some(advantage),
        2 => Some(f64::midpoint(1.0, advantage)),
        _ if index < ACCUSED => Some(curve[index - 3]),
        ACCUSED => Some(accused_right / members),
        _ => Some(accused_wrong / others),
    })
}

/// Whether so many of `all` are at most this share.
pub(super) fn within(count: f64, rate: f64, all: f64) -> bool {
    count <= allowance(rate, all)
}

/// Whether a figure says anything with so many non-members: a rate of f needs 1/f of them.
pub(super) fn tells(index: usize, non_members: usize) -> bool {
    let rate = match index {
        0..3 => return true,
        _ if index < ACCUSED => CURVE_RATES[index - 3],
        _ => PREDICTIVE_RATE,
    };
    tells_at(rate, non_members as f64)
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
        for (index, rate) in CURVE_RATES.into_iter().enumerate() {
            match roc.tpr_at_fpr(rate) {
                Some(expected) => assert!(close(found[3 + index], expected), "{rate}"),
                None => assert!(!tells(3 + index, roc.non_members()), "{rate}"),
            }
        }
        let point = roc.points().iter().rfind(|p| p.fpr <= 0.01).unwrap();
        assert!(close(found[ACCUSED], point.tpr) && close(found[ACCUSED + 1], point.fpr));
        assert_eq!(
            figures(&entries, |e| f64::from(u8::from(e.is_member)))[0],
            None
        );
    }

    #[test]
    fn a_rate_needs_enough_non_members() {
        let at = |rate: f64| 3 + CURVE_RATES.iter().position(|&r| r >= rate).unwrap();
        assert!(tells(0, 1) && tells(at(0.1), 10) && !tells(at(0.1), 9) && tells(at(0.01), 100));
        assert!(tells(at(0.015), 67) && !tells(at(0.015), 66) && tells(at(1.0), 1));
        assert!(!tells(ACCUSED, 99) && tells(ACCUSED, 100));
    }
}
