//! Evaluation on the target itself, where its membership is known.
//!
//! All records meet one model, so they are not independent trials: the intervals
//! (Clopper–Pearson for rates, a bootstrap over units for the ranking) describe this
//! model and these records, and bound nothing.

use giveaway_stats::interval::clopper_pearson;
use giveaway_stats::random::Stream;
use giveaway_stats::roc::Roc;

use super::cutoffs::{AtCutoff, CUTOFFS, first_cutoff};
use super::{
    AtPrior, CONFIDENCE, Decision, DecisionRates, Estimate, Evaluation, PRIORS, RANKING_FIGURES,
    Ranking, figures_of_roc, predictive_value, score,
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
                precision: precision(right, wrong, non_members),
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

/// What accusing every p-value up to each cut-off comes to; `NaN`s are left out.
#[must_use]
pub fn at_cutoffs(p_values: &[f64], is_member: &[bool]) -> Vec<AtCutoff> {
    let mut sides = [0u64; 2];
    let mut first = [[0u64; 2]; CUTOFFS.len()];
    for (&p, &member) in p_values.iter().zip(is_member) {
        if !p.is_nan() {
            sides[usize::from(!member)] += 1;
            if let Some(counts) = first.get_mut(usize::from(first_cutoff(p))) {
                counts[usize::from(!member)] += 1;
            }
        }
    }
    let [members, non_members] = sides;
    let (mut right, mut wrong) = (0, 0);
    CUTOFFS
        .into_iter()
        .zip(first)
        .map(|(cutoff, [members_here, others_here])| {
            right += members_here;
            wrong += others_here;
            AtCutoff {
                cutoff,
                accusations: right + wrong,
                wrong,
                precision: precision(right, wrong, non_members),
                true_positive_rate: proportion(right, members),
                false_positive_rate: proportion(wrong, non_members),
            }
            .certain()
        })
        .collect()
}

/// Share of accusations that are right. Where nobody could be accused wrongly, being right
/// says nothing.
fn precision(right: u64, wrong: u64, non_members: u64) -> Estimate {
    if non_members == 0 {
        return Estimate::default();
    }
    proportion(right, right + wrong)
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
    // Without both sides there is nothing to rank.
    let figures =
        Roc::new(scores, is_member).map_or([None; RANKING_FIGURES], |roc| figures_of_roc(&roc));
    let mut replicates = vec![Vec::new(); figures.len()];
    for replicate in 0..REPLICATES {
        let mut stream = Stream::new(seed, "bootstrap over units", replicate);
        let drawn: Vec<usize> = (0..scores.len())
            .map(|_| stream.below(scores.len()))
            .collect();
        let resampled: Vec<f64> = drawn.iter().map(|&i| scores[i]).collect();
        let membership: Vec<bool> = drawn.iter().map(|&i| is_member[i]).collect();
        if let Ok(roc) = Roc::new(&resampled, &membership) {
            for (values, figure) in replicates.iter_mut().zip(figures_of_roc(&roc)) {
                values.extend(figure);
            }
        }
    }
    let estimates: Vec<Estimate> = figures
        .into_iter()
        .zip(replicates)
        .enumerate()
        .map(|(index, (value, replicates))| match index {
            1 | 2 => Estimate::of_a_maximum(value, replicates),
            _ => Estimate::with_replicates(value, replicates),
        })
        .collect();
    Ranking::of(|index| estimates[index])
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

    /// Against the definition, with p-values on cut-offs and between them.
    #[test]
    fn cutoffs_count_the_p_values_up_to_them() {
        let p = [
            1e-6,
            0.001,
            0.01,
            0.010_000_1,
            0.05,
            0.5,
            1.0,
            f64::NAN,
            0.2,
        ];
        let member = [true, false, true, true, false, false, true, true, false];
        let found = at_cutoffs(&p, &member);
        assert_eq!(found.len(), CUTOFFS.len());
        for (at, cutoff) in found.iter().zip(CUTOFFS) {
            let counted = |side: bool| {
                (0..p.len())
                    .filter(|&i| p[i] <= cutoff && member[i] == side)
                    .count() as u64
            };
            let (right, wrong) = (counted(true), counted(false));
            assert_eq!(
                (at.accusations, at.wrong),
                (right + wrong, wrong),
                "{cutoff}"
            );
            if cutoff < 1.0 {
                assert_eq!(at.true_positive_rate, proportion(right, 4));
                assert_eq!(at.false_positive_rate, proportion(wrong, 4));
            } else {
                let all = Estimate {
                    value: Some(1.0),
                    ..Estimate::default()
                };
                assert_eq!([at.true_positive_rate, at.false_positive_rate], [all; 2]);
            }
            assert_eq!(at.precision, proportion(right, right + wrong));
        }
        assert_eq!(found.last().unwrap().accusations, 8, "all that are tested");
        let members_only = at_cutoffs(&[0.01], &[true]);
        assert_eq!(members_only.last().unwrap().precision, Estimate::default());
    }

    /// Between cut-offs and p-values no difference of `<` and `<=` can be seen.
    #[test]
    fn a_cutoff_is_the_decision_at_its_level() {
        let mut stream = Stream::new(8, "p-values", 0);
        let p: Vec<f64> = (0..400).map(|_| stream.uniform().powi(3)).collect();
        let member: Vec<bool> = (0..400).map(|_| stream.uniform() < 0.5).collect();
        let decisions: Vec<Decision> = CUTOFFS.map(Decision::Level).to_vec();
        let evaluation = evaluate(Rule::All, Null::T, &p, &member, &decisions, 1);
        let found = at_cutoffs(&p, &member);
        let below_one = found.iter().filter(|at| at.cutoff < 1.0);
        for (at, rates) in below_one.zip(&evaluation.decisions) {
            assert_eq!(
                (at.accusations, at.wrong, at.precision),
                (rates.accusations, rates.wrong, rates.precision)
            );
            assert_eq!(at.true_positive_rate, rates.true_positive_rate);
            assert_eq!(at.false_positive_rate, rates.false_positive_rate);
        }
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
