//! Evaluation against known membership: rates, each with an interval.
//!
//! [`target`] judges the verdicts on the target itself; [`leave_one_out`] lets every
//! reference model play the target in turn, which needs no more training and shows how
//! the test behaves on models of this recipe. [`attacks`] does both for the attacks that
//! select nobody, and [`agreement`] compares whom they name. [`indirect`] judges indirect
//! inference. [`cutoffs`] has what is drawn
//! against the cut-off of p. [`paired`] and [`utility`] compare recipes on the same targets and
//! records: what an attack and what a user gets before and after a defence.

pub mod agreement;
pub mod attacks;
mod bootstrap;
pub mod cutoffs;
pub mod indirect;
pub mod leave_one_out;
pub mod paired;
pub mod target;
pub mod utility;
mod weighted;

use giveaway_stats::interval::percentile_interval;
use giveaway_stats::multiplicity::benjamini_hochberg;
use giveaway_stats::roc::ppv;
use giveaway_stats::uniformity::ks_distance;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::direct::Null;
use crate::select::Rule;

/// False-positive rates at which true-positive rates are given.
pub const LOW_RATES: [f64; 4] = [0.1, 0.01, 0.001, 0.0001];

/// False-positive rates at which the ROC curve is given: about six a decade, with all of
/// [`LOW_RATES`] among them.
pub const CURVE_RATES: [f64; 25] = [
    0.0001, 0.00015, 0.0002, 0.0003, 0.0005, 0.0007, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.007,
    0.01, 0.015, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0,
];

/// Where each of [`LOW_RATES`] stands in [`CURVE_RATES`].
const LOW_PLACES: [usize; LOW_RATES.len()] = [18, 12, 6, 0];

/// Figures of a ranking: AUC, advantage, balanced accuracy, then the true-positive rates at
/// [`CURVE_RATES`].
const RANKING_FIGURES: usize = 3 + CURVE_RATES.len();

/// Shares of members among the audited for which the positive predictive value is given.
pub const PRIORS: [f64; 3] = [0.5, 0.1, 0.01];

/// Levels at which single p-values are judged.
pub const LEVELS: [f64; 2] = [0.01, 0.05];

/// Confidence level of every interval.
pub const CONFIDENCE: f64 = 0.95;

/// A rate with its 95 % interval; absent where it is not defined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// The rate, or nothing where its denominator is zero or too small.
    pub value: Option<f64>,
    /// Lower end.
    pub lower: Option<f64>,
    /// Upper end.
    pub upper: Option<f64>,
}

impl Estimate {
    /// The value alone.
    fn without_interval(self) -> Self {
        Self {
            value: self.value,
            ..Self::default()
        }
    }

    /// An estimate with the percentile interval of its bootstrap replicates.
    pub(crate) fn with_replicates(value: Option<f64>, mut replicates: Vec<f64>) -> Self {
        // Replicates that are all alike have not seen the spread, and show none.
        let interval = value
            .and_then(|_| percentile_interval(&mut replicates, CONFIDENCE))
            .filter(|interval| interval.upper - interval.lower > 1e-9 * interval.upper.abs());
        Self {
            value,
            lower: interval.map(|i| i.lower),
            upper: interval.map(|i| i.upper),
        }
    }
}

impl Estimate {
    /// An estimate of a maximum over thresholds, or of what hangs on the best of them.
    ///
    /// A bootstrap replicate repeats records and then picks its own best threshold, so its
    /// maximum is larger than that of the data by about as much as that one is larger than
    /// the truth. The replicates are moved so that their median is the value: the interval
    /// holds it, and shows the spread. The value itself stays optimistic.
    fn of_a_maximum(value: Option<f64>, mut replicates: Vec<f64>) -> Self {
        replicates.sort_unstable_by(f64::total_cmp);
        let median = giveaway_stats::summary::quantile(&replicates, 0.5);
        if let (Some(value), Some(median)) = (value, median) {
            for replicate in &mut replicates {
                *replicate = (*replicate + (value - median)).clamp(0.0, 1.0);
            }
        }
        Self::with_replicates(value, replicates)
    }
}

/// When a tested unit is called a member.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// The unit's p-value is below this level.
    Level(f64),
    /// Benjamini–Hochberg over the tested units at this false discovery rate.
    DiscoveryRate(f64),
}

impl std::fmt::Display for Decision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Level(level) => write!(f, "p < {level}"),
            Self::DiscoveryRate(rate) => write!(f, "FDR {rate}"),
        }
    }
}

impl Decision {
    /// Which of the tested units are called members. P-values that are `NaN` never are.
    #[must_use]
    pub fn accuse(self, p_values: &[f64]) -> Vec<bool> {
        match self {
            Self::Level(level) => p_values.iter().map(|&p| p < level).collect(),
            Self::DiscoveryRate(rate) => q_values(p_values).iter().map(|&q| q <= rate).collect(),
        }
    }
}

/// Benjamini–Hochberg adjusted p-values over those that are not `NaN`, in their order.
#[must_use]
pub fn q_values(p_values: &[f64]) -> Vec<f64> {
    adjust_tested(p_values, |tested| {
        benjamini_hochberg(tested).unwrap_or_default()
    })
}

/// Applies an adjustment to the p-values that are not `NaN` and leaves the others `NaN`.
#[must_use]
pub fn adjust_tested(p_values: &[f64], adjust: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let tested: Vec<usize> = (0..p_values.len())
        .filter(|&i| !p_values[i].is_nan())
        .collect();
    let values: Vec<f64> = tested.iter().map(|&i| p_values[i]).collect();
    let mut adjusted = vec![f64::NAN; p_values.len()];
    for (index, value) in tested.into_iter().zip(adjust(&values)) {
        adjusted[index] = value;
    }
    adjusted
}

/// Rates of one way to decide.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DecisionRates {
    /// The way to decide.
    pub decision: Decision,
    /// Accusations in all: units called members, summed over targets.
    pub accusations: u64,
    /// Of those, the wrong ones.
    pub wrong: u64,
    /// Share of accusations that are right; absent where no tested unit is a non-member.
    pub precision: Estimate,
    /// The false discovery rate, which Benjamini–Hochberg bounds: the share of accusations
    /// that are wrong, 0 where nobody is accused, on average over targets.
    pub false_discovery_rate: Estimate,
    /// Share of tested members that are accused (recall).
    pub true_positive_rate: Estimate,
    /// Share of tested non-members that are accused.
    pub false_positive_rate: Estimate,
    /// Positive predictive value where a member is as rare as this.
    pub predictive_value: Vec<AtPrior>,
}

/// Positive predictive value at a share of members.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AtPrior {
    /// Share of members among those judged.
    pub prior: f64,
    /// Share of accusations that would be right.
    pub value: Estimate,
}

/// True-positive rate at a false-positive rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AtRate {
    /// The false-positive rate.
    pub false_positive_rate: f64,
    /// The largest true-positive rate with at most that many false positives.
    pub true_positive_rate: Estimate,
}

/// How well the score ranks members before non-members.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ranking {
    /// Area under the ROC curve.
    pub auc: Estimate,
    /// Largest TPR − FPR.
    pub advantage: Estimate,
    /// Largest balanced accuracy, over thresholds chosen on the evaluated target itself.
    pub balanced_accuracy: Estimate,
    /// True-positive rates at low false-positive rates.
    pub at_rates: Vec<AtRate>,
    /// The ROC curve: true-positive rates at false-positive rates from 1e-4 to 1, rising, about
    /// six a decade.
    ///
    /// Each point is computed as those of `at_rates`. Over several targets a point that every
    /// target has enough non-members for is the mean over targets, and one at a lower rate is
    /// of all scores together, so the curve may step where one becomes the other.
    #[serde(default)]
    pub curve: Vec<AtRate>,
}

impl Ranking {
    /// From an estimate for each of [`RANKING_FIGURES`].
    fn of(estimate: impl Fn(usize) -> Estimate) -> Self {
        let at = |place: usize| AtRate {
            false_positive_rate: CURVE_RATES[place],
            true_positive_rate: estimate(3 + place),
        };
        Self {
            auc: estimate(0),
            advantage: estimate(1),
            balanced_accuracy: estimate(2),
            at_rates: LOW_PLACES.map(at).to_vec(),
            curve: (0..CURVE_RATES.len()).map(at).collect(),
        }
    }
}

/// The figures of a ROC, in the order of [`RANKING_FIGURES`].
fn figures_of_roc(roc: &giveaway_stats::roc::Roc) -> [Option<f64>; RANKING_FIGURES] {
    std::array::from_fn(|index| match index {
        0 => Some(roc.auc()),
        1 => Some(roc.advantage()),
        2 => Some(roc.balanced_accuracy()),
        _ => roc.tpr_at_fpr(CURVE_RATES[index - 3]),
    })
}

/// True-positive rates at [`CURVE_RATES`], found in one walk over falling scores.
struct CurveWalk {
    /// False positives that each rate allows.
    allowed: [f64; CURVE_RATES.len()],
    /// Members accused at each rate that was passed.
    best: [f64; CURVE_RATES.len()],
    /// The first rate that was not passed.
    next: usize,
}

impl CurveWalk {
    fn new(non_members: f64) -> Self {
        Self {
            allowed: CURVE_RATES.map(|rate| allowance(rate, non_members)),
            best: [0.0; CURVE_RATES.len()],
            next: 0,
        }
    }

    /// Takes one step: `right` members were accused before it, and `wrong` non-members are now.
    fn step(&mut self, right: f64, wrong: f64) {
        while self.next < self.allowed.len() && wrong > self.allowed[self.next] {
            self.best[self.next] = right;
            self.next += 1;
        }
    }

    /// Ends with all `members` accused.
    fn end(mut self, members: f64) -> [f64; CURVE_RATES.len()] {
        self.best[self.next..].fill(members);
        self.best.map(|right| right / members)
    }
}

/// How many of `all` a rate allows. A level such as .29 is no binary fraction.
fn allowance(rate: f64, all: f64) -> f64 {
    rate * all * (1.0 + 1e-12)
}

/// Whether a false-positive rate says anything with so many non-members: f needs 1/f of them.
fn tells_at(rate: f64, non_members: f64) -> bool {
    1.0 <= allowance(rate, non_members)
}

/// Everything about one selection and one null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evaluation {
    /// By what the tested units were selected.
    pub selection: Rule,
    /// The null of the test.
    pub null: Null,
    /// Tested units on each target (mean over targets where they differ).
    pub tested: f64,
    /// Tested members, summed over targets.
    pub members: u64,
    /// Tested non-members, summed over targets.
    pub non_members: u64,
    /// Rates by way to decide.
    pub decisions: Vec<DecisionRates>,
    /// Quality of the ranking by p-value.
    pub ranking: Ranking,
}

impl Evaluation {
    /// The rates of one way to decide.
    #[must_use]
    pub fn rates(&self, decision: Decision) -> Option<&DecisionRates> {
        self.decisions
            .iter()
            .find(|rates| rates.decision == decision)
    }
}

/// How far the p-values of non-members are from uniform: Kolmogorov's distance of |2p − 1|,
/// so that both tails count together.
///
/// A model as a whole is a little more or less sure of itself than others of its recipe,
/// which moves all of its p-values to one side and says little. A model of another kind
/// has records far out on both sides. `None` without p-values; those that are `NaN` are
/// left out.
#[must_use]
pub fn misfit(non_member_p_values: &[f64]) -> Option<f64> {
    let folded: Vec<f64> = non_member_p_values
        .iter()
        .filter(|p| !p.is_nan())
        .map(|p| (2.0 * p - 1.0).abs())
        .collect();
    ks_distance(&folded).ok()
}

/// The score that ranks: minus the logarithm of the p-value.
pub(crate) fn score(p_value: f64) -> f64 {
    -p_value.max(f64::MIN_POSITIVE).ln()
}

/// PPV with the ends that the two rates' intervals allow: conservative.
fn predictive_value(tpr: Estimate, fpr: Estimate, prior: f64) -> Estimate {
    let of = |t: Option<f64>, f: Option<f64>| ppv(t?, f?, prior);
    Estimate {
        value: of(tpr.value, fpr.value),
        lower: of(tpr.lower, fpr.upper),
        upper: of(tpr.upper, fpr.lower),
    }
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_low_rates_stand_in_the_curve() {
        for (place, rate) in LOW_PLACES.into_iter().zip(LOW_RATES) {
            assert_eq!(CURVE_RATES[place].to_bits(), rate.to_bits());
        }
        assert!(CURVE_RATES.is_sorted());
    }

    #[test]
    fn untested_units_are_neither_accused_nor_counted() {
        let p = [0.001, f64::NAN, 0.2, 0.012];
        assert_eq!(
            Decision::Level(0.01).accuse(&p),
            [true, false, false, false]
        );
        let q = q_values(&p);
        assert!((q[0] - 0.003).abs() < 1e-15 && q[1].is_nan());
        assert!((q[3] - 0.018).abs() < 1e-15, "three tests, not four: {q:?}");
        assert_eq!(
            Decision::DiscoveryRate(0.05).accuse(&p),
            [true, false, false, true]
        );
    }
}
