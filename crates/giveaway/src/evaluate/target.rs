//! Evaluation on the target itself, where its membership is known.
//!
//! All records meet one model, so they are not independent trials: the intervals
//! (Clopper–Pearson for rates, a bootstrap over units for the ranking) describe this
//! model and these records, and bound nothing.

use giveaway_stats::interval::clopper_pearson;
use giveaway_stats::random::Stream;
use giveaway_stats::roc::Roc;

use super::{
    AtPrior, AtRate, CONFIDENCE, Decision, DecisionRates, Estimate, Evaluation, LOW_RATES, PRIORS,
    Ranking, predictive_value, score,
};
use crate::attack::direct::Null;
use crate::select::Rule;

/// Bootstrap replicates for the ranking.
const REPLICATES: u64 = 200;

/// Judges the p-values of the tested units against their membership.
///
/// `p_values` may hold `NaN` for units that could not be tested; they are left out.
#[must_use]
pub fn evaluate(
    selection: Rule,
    null: Null,
    p_values: &[f64],
    is_member: &[bool],
    decisions: &[Decision],
    seed: u64,
) -> Evaluation {
    let tested: Vec<usize> = (0..p_values.len())
        .filter(|&i| !p_values[i].is_nan())
        .collect();
    let members = tested.iter().filter(|&&i| is_member[i]).count() as u64;
    let non_members = tested.len() as u64 - members;
    let decisions = decisions
        .iter()
        .map(|&decision| {
            let accused = decision.accuse(p_values);
            let hits = |member: bool| {
                (0..accused.len())
                    .filter(|&i| accused[i] && is_member[i] == member)
                    .count() as u64
            };
            let (right, wrong) = (hits(true), hits(false));
            let true_positive_rate = proportion(right, members);
            let false_positive_rate = proportion(wrong, non_members);
            DecisionRates {
                decision,
                accusations: right + wrong,
                wrong,
                // Where nobody could be accused wrongly, being right says nothing.
                precision: if non_members == 0 {
                    Estimate::default()
                } else {
                    proportion(right, right + wrong)
                },
                // One target: its own share, without an interval for the average over targets.
                false_discovery_rate: Estimate {
                    value: (non_members > 0).then(|| wrong as f64 / (right + wrong).max(1) as f64),
                    ..Estimate::default()
                },
                predictive_value: PRIORS
                    .iter()
                    .map(|&prior| AtPrior {
                        prior,
                        value: predictive_value(true_positive_rate, false_positive_rate, prior),
                    })
                    .collect(),
                true_positive_rate,
                false_positive_rate,
            }
        })
        .collect();
    let scores: Vec<f64> = tested.iter().map(|&i| score(p_values[i])).collect();
    let membership: Vec<bool> = tested.iter().map(|&i| is_member[i]).collect();
    Evaluation {
        selection,
        null,
        tested: tested.len() as f64,
        members,
        non_members,
        decisions,
        ranking: rank(&scores, &membership, seed),
    }
}

fn proportion(part: u64, whole: u64) -> Estimate {
    if whole == 0 {
        return Estimate::default();
    }
    let interval = clopper_pearson(part, whole, CONFIDENCE);
    Estimate {
        value: Some(part as f64 / whole as f64),
        lower: Some(interval.lower),
        upper: Some(interval.upper),
    }
}

fn rank(scores: &[f64], is_member: &[bool], seed: u64) -> Ranking {
    let of = |roc: &Roc| {
        let mut figures = vec![
            Some(roc.auc()),
            Some(roc.advantage()),
            Some(roc.balanced_accuracy()),
        ];
        figures.extend(LOW_RATES.iter().map(|&rate| roc.tpr_at_fpr(rate)));
        figures
    };
    let figures = match Roc::new(scores, is_member) {
        Ok(roc) => of(&roc),
        // one side is empty: nothing to rank
        Err(_) => vec![None; 3 + LOW_RATES.len()],
    };
    let mut replicates = vec![Vec::new(); figures.len()];
    for replicate in 0..REPLICATES {
        let mut stream = Stream::new(seed, "bootstrap over units", replicate);
        let drawn: Vec<usize> = (0..scores.len())
            .map(|_| stream.below(scores.len()))
            .collect();
        let resampled: Vec<f64> = drawn.iter().map(|&i| scores[i]).collect();
        let membership: Vec<bool> = drawn.iter().map(|&i| is_member[i]).collect();
        if let Ok(roc) = Roc::new(&resampled, &membership) {
            for (values, figure) in replicates.iter_mut().zip(of(&roc)) {
                values.extend(figure);
            }
        }
    }
    let mut estimates =
        figures
            .into_iter()
            .zip(replicates)
            .enumerate()
            .map(|(index, (value, replicates))| match index {
                1 | 2 => Estimate::of_a_maximum(value, replicates),
                _ => Estimate::with_replicates(value, replicates),
            });
    let mut next = || estimates.next().unwrap_or_default();
    Ranking {
        auc: next(),
        advantage: next(),
        balanced_accuracy: next(),
        at_rates: LOW_RATES
            .iter()
            .map(|&rate| AtRate {
                false_positive_rate: rate,
                true_positive_rate: next(),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_the_definition() {
        let p = [0.001, 0.002, 0.5, 0.003, 0.9, f64::NAN];
        let member = [true, true, true, false, false, true];
        let evaluation = evaluate(Rule::All, Null::T, &p, &member, &[Decision::Level(0.01)], 1);
        assert_eq!((evaluation.members, evaluation.non_members), (3, 2));
        let rates = evaluation.rates(Decision::Level(0.01)).unwrap();
        assert_eq!((rates.accusations, rates.wrong), (3, 1));
        assert_eq!(rates.precision.value, Some(2.0 / 3.0));
        assert_eq!(rates.true_positive_rate.value, Some(2.0 / 3.0));
        assert_eq!(rates.false_positive_rate.value, Some(0.5));
        // members at ranks 1, 2, 4 against non-members at 3, 5: 5 of 6 pairs are right
        assert!((evaluation.ranking.auc.value.unwrap() - 5.0 / 6.0).abs() < 1e-12);
        // two non-members: no rate below one half can be told
        assert!(
            evaluation
                .ranking
                .at_rates
                .iter()
                .all(|r| r.true_positive_rate.value.is_none())
        );
        // .5 · 2/3 / (.5 · 2/3 + .5 · 1/2)
        let half = rates.predictive_value[0].value.value.unwrap();
        assert!((half - 4.0 / 7.0).abs() < 1e-12);
    }

    #[test]
    fn without_non_members_the_figures_that_need_them_vanish() {
        let evaluation = evaluate(
            Rule::All,
            Null::T,
            &[0.1, 0.2],
            &[true, true],
            &[Decision::Level(0.15)],
            1,
        );
        let rates = &evaluation.decisions[0];
        assert_eq!(rates.true_positive_rate.value, Some(0.5));
        assert_eq!(rates.false_positive_rate, Estimate::default());
        assert_eq!(
            rates.precision,
            Estimate::default(),
            "it could not but be 1"
        );
        assert_eq!(evaluation.ranking.auc, Estimate::default());
    }
}
