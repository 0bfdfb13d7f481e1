//! How the reference models were made, where that gives members away whatever the signals.
//!
//! Attacks take for granted that reference models were trained without regard to the target.
//! If the target is one of them, it is compared with itself. If each record is IN exactly half
//! of some models and one of those is the target, then a member is OUT of one more of the
//! rest than a non-member, and scores that depend on the counts tell that apart. A model
//! trained on exactly the records that the target was not trained on knows all of them.

use serde::Serialize;

use super::opened::{Files, Known, Side};
use crate::attack::evidence::Real;
use crate::error::{Error, Result};

/// Different values that a target must have, so that a model with the same is the target.
const DISTINCT: usize = 3;
/// Standard errors from 1/2 at which the AUC of counts is no chance.
const DEVIATIONS: f64 = 4.0;
/// The least distance from 1/2 that matters.
const MATTERS: f64 = 0.02;
/// Records on which memberships are hardly ever alike by chance.
const ENOUGH: usize = 20;

/// What the membership of reference models tells of the target's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Design {
    /// AUC of the number of reference models that a record is OUT of, as a score of
    /// membership; nothing without members or non-members.
    pub out_count_auc: Option<f64>,
    /// Its distance from 1/2 in standard errors, if counts do not depend on membership.
    pub out_count_deviations: Option<f64>,
    /// Reference models that were trained on exactly the target's records.
    pub same_training_set: Vec<usize>,
    /// Reference models that were trained on exactly the other records.
    pub complements: Vec<usize>,
}

/// Refuses the target among its reference models.
pub(super) fn refuse_target<T: Real>(files: &Files, side: &Side<T>) -> Result<()> {
    let target = side.target.values.as_slice();
    if target.is_empty() {
        return Ok(());
    }
    let mut seen: Vec<u64> = Vec::new();
    for value in target {
        if !seen.contains(&value.to_bits()) {
            seen.push(value.to_bits());
        }
        if seen.len() >= DISTINCT {
            break;
        }
    }
    // Signals that are all alike are alike in every model.
    if seen.len() < DISTINCT {
        return Ok(());
    }
    // Bits, as both were read by the same rules.
    let is_target = |row: &[T]| {
        row.iter()
            .zip(target)
            .all(|(&a, b)| Into::<f64>::into(a).to_bits() == b.to_bits())
    };
    let copy = side
        .references
        .values
        .chunks_exact(target.len())
        .position(is_target);
    match copy {
        None => Ok(()),
        Some(model) => Err(Error::input(format!(
            "model {model} of {} is the target itself: it has the same signal on every record",
            files.signals.name()
        ))
        .at(files.signals.place())
        .hint(leave_out(files, model))),
    }
}

fn leave_out(files: &Files, model: usize) -> String {
    let membership = files.membership.as_ref().map(super::npy::Npy::variable);
    format!(
        "leave it out: numpy.delete({}, {model}, 0) and numpy.delete({}, {model}, 0)",
        files.signals.variable(),
        membership.unwrap_or_else(|| "M".to_owned())
    )
}

impl Design {
    /// Compares the membership of the reference models with the target's, on records of
    /// which `counts` is true.
    fn of(inside: &[&[bool]], is_member: &[bool], counts: &[bool]) -> Self {
        let records: Vec<usize> = (0..is_member.len()).filter(|&r| counts[r]).collect();
        let mut outside = vec![0usize; is_member.len()];
        for row in inside {
            for (count, &is_in) in outside.iter_mut().zip(*row) {
                *count += usize::from(!is_in);
            }
        }
        // by number of OUT models: members, non-members
        let mut by_count = vec![[0u64; 2]; inside.len() + 1];
        for &record in &records {
            by_count[outside[record]][usize::from(!is_member[record])] += 1;
        }
        let auc = auc_of_counts(&by_count);
        let both = auc.is_some();
        let models = |same: bool| -> Vec<usize> {
            let agrees = |row: &[bool]| records.iter().all(|&r| (row[r] == is_member[r]) == same);
            let all = 0..inside.len();
            all.filter(|&m| both && agrees(inside[m])).collect()
        };
        Self {
            out_count_auc: auc.map(|found| found.0),
            out_count_deviations: auc.map(|found| found.1),
            same_training_set: models(true),
            complements: models(false),
        }
    }

    fn counts_tell(&self) -> Option<f64> {
        let (auc, deviations) = (self.out_count_auc?, self.out_count_deviations?);
        (deviations.abs() > DEVIATIONS && (auc - 0.5).abs() > MATTERS).then_some(auc)
    }

    /// Looks at the reference models: notes what gives members away, or with canaries refuses
    /// it, because their coins are then known to the reference models.
    pub(super) fn looked_at<T>(
        files: &Files,
        side: &Side<T>,
        known: &Known,
        uses_references: bool,
        notes: &mut Vec<String>,
    ) -> Result<Self> {
        let is_member = known.is_member.as_slice();
        let records = is_member.len();
        let inside: Vec<&[bool]> = side
            .inside
            .as_deref()
            .map_or_else(Vec::new, |inside| inside.chunks_exact(records).collect());
        if let Some(canaries) = &known.canaries
            && uses_references
            && canaries.count() >= ENOUGH
        {
            Self::of(&inside, is_member, canaries.is_canary()).refuse(files)?;
        }
        let design = Self::of(&inside, is_member, &vec![true; records]);
        if let Some(auc) = design.counts_tell() {
            notes.push(format!(
                "how many reference models a record is OUT of tells members already (AUC {auc:.3}): scores may tell the counts, not the model; draw each reference model's training set without regard to the target's and the others'"
            ));
        }
        if records < ENOUGH {
            return Ok(design);
        }
        for &model in &design.same_training_set {
            notes.push(format!(
                "model {model} was trained on exactly the target's records: if it is the target, {}",
                leave_out(files, model)
            ));
        }
        for &model in &design.complements {
            notes.push(format!(
                "model {model} was trained on exactly the records that the target was not trained on, and gives members away; {}",
                leave_out(files, model)
            ));
        }
        Ok(design)
    }

    fn refuse(&self, files: &Files) -> Result<()> {
        let why = "the reference models and their training sets must not depend on the coins";
        let model = self.complements.first().or(self.same_training_set.first());
        let error = if let Some(&model) = model {
            let exactly = if self.complements.is_empty() {
                "exactly the canaries that the target was trained on"
            } else {
                "exactly the canaries that the target was not trained on"
            };
            Error::input(format!("model {model} was trained on {exactly}; {why}"))
                .hint(leave_out(files, model))
        } else if let Some(auc) = self.counts_tell() {
            Error::input(format!(
                "how many reference models a canary is OUT of tells whether the target was trained on it (AUC {auc:.3}); {why}"
            ))
            .hint("give reference models whose training sets were drawn without regard to the target's, or name a method that uses none")
        } else {
            return Ok(());
        };
        Err(match &files.membership {
            Some(membership) => error.at(membership.place()),
            None => error,
        })
    }
}

/// The AUC of counts, and its distance from 1/2 in standard errors of the Mann–Whitney
/// statistic with ties; nothing if there are no members or no non-members.
fn auc_of_counts(by_count: &[[u64; 2]]) -> Option<(f64, f64)> {
    let total = |group: usize| by_count.iter().map(|count| count[group]).sum::<u64>() as f64;
    let (m, n) = (total(0), total(1));
    if m <= 0.0 || n <= 0.0 {
        return None;
    }
    let (mut won, mut below, mut ties) = (0.0, 0.0, 0.0);
    for &[members, others] in by_count {
        let (members, others) = (members as f64, others as f64);
        won += members * (below + others / 2.0);
        below += others;
        let tied = members + others;
        ties += tied * tied * tied - tied;
    }
    let all = m + n;
    let variance = m * n / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
    let deviations = if variance > 0.0 {
        (won - m * n / 2.0) / variance.sqrt()
    } else {
        0.0
    };
    Some((won / (m * n), deviations))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `SciPy` 1.17.1: `mannwhitneyu([0,1,1,2,2,2], [0,0,1,1,2], use_continuity=False,
    /// method="asymptotic", alternative="greater")` has the statistic 20.5, and
    /// `norm.isf` of its p-value is the standard score.
    #[test]
    fn counts_are_judged_as_by_mann_and_whitney() {
        let by_count = [[1, 2], [2, 2], [3, 1]];
        let (auc, deviations) = auc_of_counts(&by_count).unwrap();
        assert!((auc - 20.5 / 30.0).abs() < 1e-12, "{auc}");
        assert!(
            (deviations - 1.063_862_172_035_661_4).abs() < 1e-9,
            "{deviations}"
        );
        assert_eq!(auc_of_counts(&[[3, 0], [2, 0]]), None);
        assert_eq!(auc_of_counts(&[[3, 4]]), Some((0.5, 0.0)));
    }
}
