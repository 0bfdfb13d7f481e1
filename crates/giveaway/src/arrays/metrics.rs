//! How well scores tell members from non-members, each figure with an interval.
//!
//! The intervals are of a bootstrap that draws members and non-members separately, with
//! replacement. All records meet one target, so they are no independent trials: the
//! intervals describe this target and these records, and bound nothing.
//!
//! Scores are sorted once. A replicate is a weight for each record, the same for all
//! methods, and one walk down the sorted scores.

use giveaway_stats::random::Stream;
use giveaway_stats::roc::ppv;
use rayon::prelude::*;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::canaries::CanaryBound;
use crate::evaluate::{Estimate, LOW_RATES, PRIORS};

/// Most bootstrap replicates, and fewest.
const REPLICATES: (u64, u64) = (100, 1000);
/// Records drawn in all replicates together, where that allows more than the fewest.
const DRAWS: u64 = 200_000_000;
/// False-positive rates for which the positive predictive value is given.
pub(super) const PREDICTIVE_RATES: [f64; 2] = [0.1, 0.01];

/// How many bootstrap replicates so many records get: 1000 up to 200,000 records.
#[must_use]
pub fn replicates(records: usize) -> u64 {
    (DRAWS / records.max(1) as u64).clamp(REPLICATES.0, REPLICATES.1)
}

/// Values by name, in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct Named<V>(pub Vec<(String, V)>);

impl<V: Serialize> Serialize for Named<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<V> Named<V> {
    /// The value of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&V> {
        self.0
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value)
    }
}

/// What the scores of one method are worth on the target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MethodMetrics {
    /// Members with a score.
    pub members: usize,
    /// Non-members with a score.
    pub non_members: usize,
    /// Records without a score: left out of every figure.
    pub unscored: usize,
    /// Area under the ROC curve.
    pub auc: Estimate,
    /// The largest true-positive rate with a false-positive rate of at most that; nothing
    /// where there are fewer non-members than one over the rate.
    pub tpr_at_fpr: Named<Estimate>,
    /// Largest TPR − FPR.
    pub advantage: Estimate,
    /// Largest balanced accuracy.
    pub balanced_accuracy: Estimate,
    /// Positive predictive value of the accusations at the threshold of `tpr_at_fpr`, with
    /// the false-positive rate that this threshold has, for shares of members among those
    /// judged; nothing where it accuses nobody.
    pub ppv: Named<Named<Estimate>>,
    /// Rates with thresholds chosen on reference models.
    pub calibrated: Calibrated,
    /// The bound on ε from canaries, where there are enough with a score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canaries: Option<CanaryBound>,
}

/// Rates at thresholds that reference models set, or why there are none.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Calibrated {
    /// By nominal false-positive rate.
    Rates(Named<CalibratedRate>),
    /// Why not.
    Missing {
        /// The reason.
        left_out: String,
    },
}

/// What a threshold that was chosen on reference models does on the target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CalibratedRate {
    /// Scores of at least this are called members; nothing if nobody is.
    pub threshold: Option<f64>,
    /// True-positive rate on the target.
    pub tpr: Estimate,
    /// False-positive rate on the target.
    pub fpr: Estimate,
}

/// Thresholds by false-positive rate, of [`LOW_RATES`]: infinite where nobody is accused,
/// nothing where there were too few non-members to set one.
pub(super) type Thresholds = [Option<f64>; LOW_RATES.len()];

/// Scores in falling order.
struct Ranked {
    /// Twice the record, plus 1 for a member.
    order: Vec<u32>,
    /// Whether an entry is the last of equal scores.
    last: Vec<bool>,
    /// How many entries each threshold accuses.
    cuts: [Option<usize>; LOW_RATES.len()],
}

const RATES: usize = LOW_RATES.len();

/// Figures of one walk; `NaN` where not defined.
#[derive(Clone, Copy)]
struct Figures {
    auc: f64,
    advantage: f64,
    /// True- and false-positive rate of the same thresholds.
    at_rates: [f64; RATES],
    fpr_there: [f64; RATES],
    cut_tpr: [f64; RATES],
    cut_fpr: [f64; RATES],
}

impl Ranked {
    fn new(scores: &[f64], is_member: &[bool], thresholds: &Thresholds) -> Self {
        let mut keyed: Vec<(f64, u32)> = scores
            .iter()
            .zip(is_member)
            .enumerate()
            .filter(|(_, (score, _))| !score.is_nan())
            // adding +0 makes -0 and 0 one value
            .map(|(record, (&score, &member))| {
                (score + 0.0, (record as u32) << 1 | u32::from(member))
            })
            .collect();
        keyed.par_sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let last = (0..keyed.len())
            .map(|i| {
                keyed
                    .get(i + 1)
                    .is_none_or(|next| next.0.total_cmp(&keyed[i].0).is_ne())
            })
            .collect();
        let cuts = thresholds.map(|threshold| {
            threshold.map(|threshold| keyed.partition_point(|entry| entry.0 >= threshold))
        });
        Self {
            order: keyed.into_iter().map(|entry| entry.1).collect(),
            last,
            cuts,
        }
    }

    /// Figures where record r counts `weights[r]` times.
    fn figures(&self, weights: impl Fn(usize) -> u32) -> Option<Figures> {
        let (mut members, mut others) = (0u64, 0u64);
        for &code in &self.order {
            let weight = u64::from(weights((code >> 1) as usize));
            if code & 1 == 1 {
                members += weight;
            } else {
                others += weight;
            }
        }
        if members == 0 || others == 0 {
            return None;
        }
        let (m, n) = (members as f64, others as f64);
        // as in `Roc::tpr_at_fpr`: a rate is no binary fraction
        let allowed = LOW_RATES.map(|rate| rate * n * (1.0 + 1e-12));
        let mut at_rates = [f64::NAN; RATES];
        let mut fpr_there = [f64::NAN; RATES];
        // rates fall, so the last is exceeded first
        let mut open = RATES;
        let (mut above, mut below) = (0u64, 0u64);
        let (mut above_before, mut below_before) = (0u64, 0u64);
        let mut twice_won = 0u128;
        let mut advantage = 0.0f64;
        let (mut cut_tpr, mut cut_fpr) = ([f64::NAN; RATES], [f64::NAN; RATES]);
        let mut cut = |done: usize, above: u64, below: u64| {
            for (k, &at) in self.cuts.iter().enumerate() {
                if at == Some(done) {
                    (cut_tpr[k], cut_fpr[k]) = (above as f64 / m, below as f64 / n);
                }
            }
        };
        cut(0, 0, 0);
        for (i, (&code, &last)) in self.order.iter().zip(&self.last).enumerate() {
            let weight = u64::from(weights((code >> 1) as usize));
            if code & 1 == 1 {
                above += weight;
            } else {
                below += weight;
            }
            if !last {
                continue;
            }
            while open > 0 && below as f64 > allowed[open - 1] {
                open -= 1;
                at_rates[open] = above_before as f64 / m;
                fpr_there[open] = below_before as f64 / n;
            }
            twice_won += u128::from(above + above_before) * u128::from(below - below_before);
            advantage = advantage.max(above as f64 / m - below as f64 / n);
            (above_before, below_before) = (above, below);
            cut(i + 1, above, below);
        }
        at_rates[..open].fill(1.0);
        fpr_there[..open].fill(1.0);
        Some(Figures {
            auc: twice_won as f64 / (2.0 * m * n),
            advantage,
            at_rates,
            fpr_there,
            cut_tpr,
            cut_fpr,
        })
    }

    fn count(&self, member: bool) -> usize {
        self.order
            .iter()
            .filter(|&&code| (code & 1 == 1) == member)
            .count()
    }
}

/// One replicate: how often each record was drawn, members among members.
fn drawn(is_member: &[bool], groups: &[Vec<u32>; 2], seed: u64, replicate: u64) -> Vec<u16> {
    let mut stream = Stream::new(seed, "bootstrap over members and non-members", replicate);
    let mut weights = vec![0u16; is_member.len()];
    for group in groups {
        for _ in 0..group.len() {
            let record = group[stream.below(group.len())] as usize;
            weights[record] = weights[record].saturating_add(1);
        }
    }
    weights
}

/// Judges the scores of several methods on the same records. `calibrated` has the thresholds
/// of each, or why there are none.
pub(super) fn judge(
    methods: &[&[f64]],
    is_member: &[bool],
    calibrated: &[std::result::Result<Thresholds, String>],
    seed: u64,
) -> Vec<MethodMetrics> {
    let none: Thresholds = [None; RATES];
    let ranked: Vec<Ranked> = methods
        .iter()
        .zip(calibrated)
        .map(|(scores, thresholds)| {
            Ranked::new(scores, is_member, thresholds.as_ref().unwrap_or(&none))
        })
        .collect();
    let mut groups = [Vec::new(), Vec::new()];
    for (record, &member) in is_member.iter().enumerate() {
        groups[usize::from(member)].push(record as u32);
    }
    let replicated: Vec<Vec<Option<Figures>>> = (0..replicates(is_member.len()))
        .into_par_iter()
        .map(|replicate| {
            let weights = drawn(is_member, &groups, seed, replicate);
            ranked
                .iter()
                .map(|ranked| ranked.figures(|record| u32::from(weights[record])))
                .collect()
        })
        .collect();
    ranked
        .iter()
        .zip(calibrated)
        .enumerate()
        .map(|(index, (ranked, calibrated))| {
            let of_method = replicated.iter().filter_map(|figures| figures[index]);
            let replicates: Vec<Figures> = of_method.collect();
            summarise(ranked, calibrated, &replicates, is_member.len())
        })
        .collect()
}

fn summarise(
    ranked: &Ranked,
    calibrated: &std::result::Result<Thresholds, String>,
    replicates: &[Figures],
    records: usize,
) -> MethodMetrics {
    let value = ranked.figures(|_| 1);
    let estimate = |figure: &dyn Fn(&Figures) -> f64| {
        let draws = replicates
            .iter()
            .map(figure)
            .filter(|x| !x.is_nan())
            .collect();
        Estimate::with_replicates(value.as_ref().map(figure).filter(|x| !x.is_nan()), draws)
    };
    let (members, non_members) = (ranked.count(true), ranked.count(false));
    let at_rates: Vec<Estimate> = (0..RATES)
        .map(|k| {
            // one false alarm would already be too many
            if LOW_RATES[k] * non_members as f64 * (1.0 + 1e-12) < 1.0 {
                Estimate::default()
            } else {
                estimate(&|figures| figures.at_rates[k])
            }
        })
        .collect();
    let advantage = estimate(&|figures| figures.advantage);
    let map = |from: Estimate, f: &dyn Fn(f64) -> Option<f64>| Estimate {
        value: from.value.and_then(f),
        lower: from.lower.and_then(f),
        upper: from.upper.and_then(f),
    };
    let ppv = PREDICTIVE_RATES
        .iter()
        .map(|&rate| {
            let index = LOW_RATES
                .iter()
                .position(|&other| other.to_bits() == rate.to_bits())
                .filter(|&k| at_rates[k].value.is_some());
            let by_prior = PRIORS
                .iter()
                .map(|&prior| {
                    let found = index.map_or_else(Estimate::default, |k| {
                        estimate(&|figures| {
                            ppv(figures.at_rates[k], figures.fpr_there[k], prior)
                                .unwrap_or(f64::NAN)
                        })
                    });
                    (prior.to_string(), found)
                })
                .collect();
            (rate.to_string(), Named(by_prior))
        })
        .collect();
    let calibrated = match calibrated {
        Err(reason) => Calibrated::Missing {
            left_out: reason.clone(),
        },
        Ok(thresholds) => Calibrated::Rates(Named(
            (0..RATES)
                .map(|k| {
                    let rate = CalibratedRate {
                        threshold: thresholds[k].filter(|threshold| threshold.is_finite()),
                        tpr: estimate(&|figures| figures.cut_tpr[k]),
                        fpr: estimate(&|figures| figures.cut_fpr[k]),
                    };
                    (LOW_RATES[k].to_string(), rate)
                })
                .collect(),
        )),
    };
    MethodMetrics {
        members,
        non_members,
        unscored: records - members - non_members,
        auc: estimate(&|figures| figures.auc),
        tpr_at_fpr: Named(
            LOW_RATES
                .iter()
                .map(ToString::to_string)
                .zip(at_rates.iter().copied())
                .collect(),
        ),
        balanced_accuracy: map(advantage, &|advantage| Some(0.5 + 0.5 * advantage)),
        advantage,
        ppv: Named(ppv),
        calibrated,
        canaries: None,
    }
}

/// The smallest thresholds with at most these false-positive rates among non-members'
/// scores; `NaN` scores do not count.
pub(super) fn thresholds(non_members: &[f64]) -> Thresholds {
    let mut sorted: Vec<f64> = non_members
        .iter()
        .filter(|score| !score.is_nan())
        .map(|score| score + 0.0)
        .collect();
    sorted.par_sort_unstable_by(|a, b| b.total_cmp(a));
    LOW_RATES.map(|rate| {
        let allowed = rate * sorted.len() as f64 * (1.0 + 1e-12);
        if allowed < 1.0 {
            return None;
        }
        let allowed = allowed as usize;
        let Some(&first_too_many) = sorted.get(allowed) else {
            return sorted.last().copied();
        };
        // the smallest score that is larger than the first one that must not be accused
        let accused = sorted.partition_point(|&score| score > first_too_many);
        Some(accused.checked_sub(1).map_or(f64::INFINITY, |i| sorted[i]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use giveaway_stats::roc::Roc;
    use proptest::prelude::*;

    fn scored() -> impl Strategy<Value = (Vec<f64>, Vec<bool>)> {
        prop::collection::vec((-6i32..6, any::<bool>()), 2..80)
            .prop_filter("both groups", |records| {
                records.iter().any(|r| r.1) && records.iter().any(|r| !r.1)
            })
            .prop_map(|records| records.into_iter().map(|(s, m)| (f64::from(s), m)).unzip())
    }

    proptest! {
        /// Weights are the same as records that stand there several times.
        #[test]
        fn weighted_figures_are_those_of_repeated_records(
            (scores, is_member) in scored(),
            weights in prop::collection::vec(0u32..4, 80),
        ) {
            let ranked = Ranked::new(&scores, &is_member, &[Some(0.0), None, None, Some(f64::INFINITY)]);
            let repeated: Vec<(f64, bool)> = (0..scores.len())
                .flat_map(|r| vec![(scores[r], is_member[r]); weights[r] as usize])
                .collect();
            let (scores, is_member): (Vec<f64>, Vec<bool>) = repeated.into_iter().unzip();
            let found = ranked.figures(|r| weights[r]);
            match Roc::new(&scores, &is_member) {
                Err(_) => prop_assert!(found.is_none()),
                Ok(roc) => {
                    let found = found.unwrap();
                    prop_assert_eq!(found.auc.to_bits(), roc.auc().to_bits());
                    prop_assert!((found.advantage - roc.advantage()).abs() < 1e-15);
                    for (k, &rate) in LOW_RATES.iter().enumerate() {
                        if let Some(expected) = roc.tpr_at_fpr(rate) {
                            prop_assert!((found.at_rates[k] - expected).abs() < 1e-15);
                        }
                    }
                    let accused = |member: bool| {
                        let group = scores.iter().zip(&is_member).filter(|(_, m)| **m == member);
                        let (hits, all) = group.fold((0, 0), |(h, a), (s, _)| (h + usize::from(*s >= 0.0), a + 1));
                        f64::from(hits as u32) / f64::from(all)
                    };
                    prop_assert!((found.cut_tpr[0] - accused(true)).abs() < 1e-15);
                    prop_assert!((found.cut_fpr[0] - accused(false)).abs() < 1e-15);
                    prop_assert!(found.cut_tpr[1].is_nan());
                    prop_assert!(found.cut_tpr[3].abs() < 1e-15 && found.cut_fpr[3].abs() < 1e-15);
                }
            }
        }

        /// The definition: no smaller observed score has so small a rate.
        #[test]
        fn thresholds_are_the_smallest_that_keep_the_rate(
            scores in prop::collection::vec((-30i32..30).prop_map(f64::from), 10..200),
        ) {
            for (threshold, rate) in thresholds(&scores).iter().zip(LOW_RATES) {
                let share = |t: f64| scores.iter().filter(|&&s| s >= t).count() as f64 / scores.len() as f64;
                match threshold {
                    None => prop_assert!(rate * (scores.len() as f64) < 1.0),
                    Some(t) => {
                        prop_assert!(share(*t) <= rate + 1e-12);
                        let lower = scores.iter().copied().filter(|s| s < t).fold(f64::NEG_INFINITY, f64::max);
                        if lower.is_finite() {
                            prop_assert!(share(lower) > rate);
                        }
                    }
                }
            }
        }
    }

    /// Stratified, and of the textbook's width: the standard error of a share is √(p(1-p)/n).
    #[test]
    fn intervals_have_the_width_of_a_share() {
        let (records, half) = (4000, 2000u32);
        let is_member: Vec<bool> = (0..records).map(|r: u32| r < half).collect();
        // a quarter of the members is above all non-members, the rest below
        let scores: Vec<f64> = (0..records)
            .map(|r| {
                if r < 500 {
                    3.0
                } else if r < half {
                    1.0
                } else {
                    2.0
                }
            })
            .collect();
        let thresholds = [None, Some(2.5), None, None];
        let found = judge(&[&scores], &is_member, &[Ok(thresholds)], 1).remove(0);
        let se = (0.25f64 * 0.75 / f64::from(half)).sqrt();
        let Calibrated::Rates(rates) = &found.calibrated else {
            panic!("thresholds were given")
        };
        for tpr in [
            found.tpr_at_fpr.get("0.01").unwrap(),
            &rates.get("0.01").unwrap().tpr,
        ] {
            assert!((tpr.value.unwrap() - 0.25).abs() < 1e-15);
            let width = tpr.upper.unwrap() - tpr.lower.unwrap();
            assert!((width / (2.0 * 1.96 * se) - 1.0).abs() < 0.1, "{width}");
        }
        // members and non-members are drawn apart: no spread in what does not depend on counts
        assert_eq!(rates.get("0.01").unwrap().fpr.value, Some(0.0));
        assert_eq!(found.tpr_at_fpr.get("0.0001").unwrap().value, None);
        // above all non-members: every accusation is right
        let half_prior = found.ppv.get("0.01").unwrap().get("0.5").unwrap();
        assert_eq!(half_prior.value, Some(1.0));
    }

    /// The false-positive rate is that of the threshold, not the one allowed; where nobody is
    /// accused, no share of accusations is right or wrong.
    #[test]
    fn predictive_values_are_of_the_accusations_made() {
        let is_member: Vec<bool> = (0..400).map(|r| r < 200).collect();
        // above: 50 members and 7 others, then 50 others alike
        let scores: Vec<f64> = (0..400)
            .map(|r| match r {
                0..50 | 200..207 => 2.0,
                207..257 => 1.0,
                _ => 0.0,
            })
            .collect();
        let found = judge(&[&scores], &is_member, &[Err(String::new())], 1).remove(0);
        let at = |rate: &str, prior: &str| *found.ppv.get(rate).unwrap().get(prior).unwrap();
        let (tpr, fpr) = (50.0 / 200.0, 7.0 / 200.0);
        for (prior, share) in [("0.5", 0.5), ("0.1", 0.1)] {
            let expected = share * tpr / (share * tpr + (1.0 - share) * fpr);
            assert!((at("0.1", prior).value.unwrap() - expected).abs() < 1e-12);
            assert!(at("0.1", prior).lower.unwrap() < expected);
            assert_eq!(at("0.01", prior), Estimate::default());
        }
        assert_eq!(found.tpr_at_fpr.get("0.01").unwrap().value, Some(0.0));
    }

    #[test]
    fn results_do_not_depend_on_threads() {
        let mut stream = Stream::new(3, "threads", 0);
        let is_member: Vec<bool> = (0..300).map(|_| stream.uniform() < 0.5).collect();
        let scores: Vec<f64> = is_member
            .iter()
            .map(|&m| stream.normal() + f64::from(u8::from(m)))
            .collect();
        let run = |threads: usize| {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap()
                .install(|| judge(&[&scores], &is_member, &[Err(String::new())], 5))
        };
        assert_eq!(run(1), run(3));
        assert_ne!(
            judge(&[&scores], &is_member, &[Err(String::new())], 6),
            run(1)
        );
    }
}
