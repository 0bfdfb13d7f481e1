//! Selection of vulnerable records: whom to test at all.
//!
//! Selection uses one half of the reference models and the test the other (methods,
//! section 1.2), because selecting by the OUT losses that then serve as the null would
//! break the exchangeability of target and references. The target is never used.

pub mod neighbours;

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::membership::Membership;
use crate::signals::Signals;
use neighbours::Neighbours;

/// By what a unit is held to be vulnerable.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Everybody is tested.
    All,
    /// Few neighbours in the space of the reference models' logits (after Long et al. 2018).
    Neighbours,
    /// High mean loss on models that were not trained on the unit.
    OutLoss,
    /// A large gap between the mean losses of OUT and of IN models. Needs IN models.
    Influence,
}

impl Rule {
    /// All rules, in the order of the tables.
    pub const EVERY: [Self; 4] = [Self::All, Self::Neighbours, Self::OutLoss, Self::Influence];

    /// The name used in options, files and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Neighbours => "neighbours",
            Self::OutLoss => "out-loss",
            Self::Influence => "influence",
        }
    }
}

/// How many units are selected.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Amount {
    /// This share of the candidates, by rank.
    Share(f64),
    /// This many, by rank.
    Count(usize),
    /// For neighbours only: those with fewer than β expected training neighbours nearer than α.
    Alpha(f64),
}

/// The selected units and by what they were.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The rule.
    pub rule: Rule,
    /// Per candidate, in their order: higher is more vulnerable. `NaN` where the rule has nothing to say.
    pub vulnerability: Vec<f64>,
    /// The selected units, most vulnerable first.
    pub selected: Vec<u32>,
    /// Candidates that could not be ranked, for want of models.
    pub unranked: usize,
}

/// Vulnerability per candidate by the losses of the models in `models`.
///
/// # Errors
/// If `rule` is by influence and no candidate has an IN model.
pub fn loss_vulnerability(
    rule: Rule,
    signals: &Signals,
    membership: &Membership,
    candidates: &[u32],
    models: Range<usize>,
) -> Result<Vec<f64>> {
    let vulnerability: Vec<f64> = candidates
        .iter()
        .map(|&unit| {
            let losses = signals.losses(unit as usize);
            let (mut sum, mut count) = ([0.0; 2], [0usize; 2]);
            for model in models.clone() {
                let side = usize::from(membership.is_in(model, unit as usize));
                sum[side] += f64::from(losses[model]);
                count[side] += 1;
            }
            let mean = |side: usize| sum[side] / count[side] as f64;
            match rule {
                Rule::OutLoss => mean(0),
                Rule::Influence => mean(0) - mean(1),
                Rule::All | Rule::Neighbours => 0.0,
            }
        })
        .collect();
    if vulnerability.iter().all(|v| v.is_nan()) {
        return Err(Error::usage(format!(
            "selection by {} has no model to go by: every candidate is IN for all, or for none, of the reference models that select",
            rule.name()
        ))
        .hint("use --select out-loss or --select neighbours, or more --models"));
    }
    Ok(vulnerability)
}

/// Takes the most vulnerable candidates.
///
/// Candidates that tie at the cut are taken together, unless that would more than double
/// the number wanted; then none of them is. So the selection does not depend on the
/// order of the records.
///
/// # Errors
/// If the amount makes no sense for the rule.
pub fn take(
    rule: Rule,
    vulnerability: Vec<f64>,
    candidates: &[u32],
    amount: Amount,
) -> Result<Selection> {
    let mut order: Vec<usize> = (0..candidates.len())
        .filter(|&i| !vulnerability[i].is_nan())
        .collect();
    let unranked = candidates.len() - order.len();
    order.sort_by(|&a, &b| {
        vulnerability[b]
            .total_cmp(&vulnerability[a])
            .then(candidates[a].cmp(&candidates[b]))
    });
    if rule != Rule::All {
        match amount {
            Amount::Share(share) => {
                if !(share > 0.0 && share <= 1.0) {
                    return Err(Error::usage(format!("cannot select a share of {share}"))
                        .hint("--top takes a percentage above 0 and up to 100"));
                }
                let wanted = ((candidates.len() as f64 * share).round() as usize).max(1);
                cut(&mut order, &vulnerability, wanted);
            }
            Amount::Count(count) => {
                if count == 0 {
                    return Err(
                        Error::usage("cannot select 0 records").hint("--count takes at least 1")
                    );
                }
                cut(&mut order, &vulnerability, count);
            }
            Amount::Alpha(alpha) => {
                if rule != Rule::Neighbours {
                    return Err(Error::usage(format!(
                        "--alpha is a distance to neighbours, but the selection is by {}",
                        rule.name()
                    ))
                    .hint("use --top or --count, or --select neighbours"));
                }
                order.retain(|&i| vulnerability[i] >= alpha);
            }
        }
    }
    let selected = order.into_iter().map(|i| candidates[i]).collect();
    Ok(Selection {
        rule,
        vulnerability,
        selected,
        unranked,
    })
}

fn cut(order: &mut Vec<usize>, vulnerability: &[f64], wanted: usize) {
    if wanted >= order.len() {
        return;
    }
    let threshold = vulnerability[order[wanted - 1]];
    let with_ties = order.partition_point(|&i| vulnerability[i] >= threshold);
    if with_ties <= 2 * wanted {
        order.truncate(with_ties);
    } else {
        let without_ties = order.partition_point(|&i| vulnerability[i] > threshold);
        order.truncate(without_ties);
    }
}

/// Vulnerability by neighbours: the distance to the nearest unit that would lift the
/// expected number of training neighbours to β. A larger distance is more vulnerable.
#[must_use]
pub fn neighbour_vulnerability(neighbours: &Neighbours) -> Vec<f64> {
    neighbours
        .deciding_distance
        .iter()
        .map(|&d| f64::from(d))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::Design;
    use ndarray::Array2;

    fn candidates(n: u32) -> Vec<u32> {
        (0..n).collect()
    }

    #[test]
    fn ties_at_the_cut_go_together() {
        let take = |values: &[f64], amount| {
            take(
                Rule::OutLoss,
                values.to_vec(),
                &candidates(values.len() as u32),
                amount,
            )
            .unwrap()
            .selected
        };
        assert_eq!(
            take(&[1.0, 5.0, 3.0, 3.0, 0.0], Amount::Count(2)),
            [1, 2, 3]
        );
        assert_eq!(take(&[3.0, 3.0, 3.0, 3.0, 5.0], Amount::Count(2)), [4]);
        assert_eq!(take(&[1.0, 2.0, 3.0, 4.0], Amount::Share(0.5)), [3, 2]);
        assert_eq!(take(&[1.0, f64::NAN], Amount::Count(2)), [0]);
    }

    #[test]
    fn amounts_that_make_no_sense_are_refused() {
        let refused = |amount| {
            take(Rule::OutLoss, vec![1.0, 2.0], &candidates(2), amount)
                .unwrap_err()
                .to_string()
        };
        assert!(refused(Amount::Share(0.0)).contains("share of 0"));
        assert!(refused(Amount::Share(1.5)).contains("share of 1.5"));
        assert!(refused(Amount::Count(0)).contains("select 0"));
        assert!(refused(Amount::Alpha(0.1)).contains("--alpha"));
    }

    #[test]
    fn out_loss_and_influence_are_the_means_over_the_half_that_selects() {
        let membership = Membership::draw(Design::Halves, 4, 2, &[0, 1], 0, 1).unwrap();
        let loss = Array2::from_shape_fn((2, 4), |(unit, model)| {
            if model >= 2 {
                1e6 // the other half must not be looked at
            } else if membership.is_in(model, unit) {
                1.0 + unit as f32
            } else {
                5.0
            }
        });
        let signals = Signals::from_arrays(&loss, &loss);
        let by = |rule| loss_vulnerability(rule, &signals, &membership, &[0, 1], 0..2).unwrap();
        assert_eq!(by(Rule::OutLoss), [5.0, 5.0]);
        assert_eq!(by(Rule::Influence), [4.0, 3.0]);
    }
}
