//! What holds for the model as a whole: measures against the leak, how often each reason is
//! given, who carries the risk, and both definitions of vulnerable.

use giveaway_stats::summary::mean;

use super::{LEAKY_SHARE, Work, per_unit};
use crate::explain::answers::Answers;
use crate::explain::definitions::{Judged, definitions};
use crate::explain::measures::{Measure, Needs};
use crate::explain::ranking::{Leaks, threshold};
use crate::explain::reasons::Reason;
use crate::explain::spread::{Exposure, Grouping, rate};
use crate::report::explanation::{
    ColumnExposure, Definitions, GroupExposure, Predictor, ReasonCount, Reviewed, Screening,
};

/// Shares of the units that a review looks at.
const REVIEWED: [f64; 5] = [0.01, 0.02, 0.05, 0.1, 0.2];

/// Screening curves of each kind of need.
const SCREENED: usize = 3;

impl Work<'_> {
    /// Every measure against the leak, the best first, and the reviews by the best of each kind.
    pub(super) fn predictors(
        &self,
        all: &[Measure],
        leaks: &Leaks,
        units: &[u32],
    ) -> (Vec<Predictor>, Vec<Screening>) {
        if units.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let mut found: Vec<(Predictor, Needs, Screening)> = all
            .iter()
            .map(|measure| {
                let values = per_unit(self.pool, &measure.oriented(), units);
                let association = leaks.associate(&values, &REVIEWED);
                let needs = measure.needs.name().to_owned();
                (
                    Predictor {
                        measure: measure.name.clone(),
                        label: measure.label.clone(),
                        family: measure.family.to_owned(),
                        needs: needs.clone(),
                        reversed: measure.reversed,
                        units: association.units,
                        spearman: association.spearman,
                        auc: association.auc,
                        precision: association.precision,
                    },
                    measure.needs,
                    Screening {
                        measure: measure.name.clone(),
                        label: measure.label.clone(),
                        needs,
                        reviewed: REVIEWED
                            .iter()
                            .zip(association.found)
                            .map(|(&share, found)| Reviewed { share, found })
                            .collect(),
                    },
                )
            })
            .collect();
        let strength = |p: &Predictor| p.spearman.value.unwrap_or(f64::NEG_INFINITY);
        found.sort_by(|a, b| {
            strength(&b.0)
                .total_cmp(&strength(&a.0))
                .then_with(|| a.0.measure.cmp(&b.0.measure))
        });
        // By what they find, since that is what a review is for.
        let mut screening = Vec::new();
        for needs in [Needs::Data, Needs::FewModels, Needs::ReferenceModels] {
            let mut some: Vec<&(Predictor, Needs, Screening)> = found
                .iter()
                .filter(|(p, n, _)| *n == needs && p.family != "divergence")
                .collect();
            some.sort_by(|a, b| {
                let area = |p: &Predictor| p.auc.value.unwrap_or(0.0);
                area(&b.0)
                    .total_cmp(&area(&a.0))
                    .then_with(|| a.0.measure.cmp(&b.0.measure))
            });
            screening.extend(some.into_iter().take(SCREENED).map(|(_, _, s)| s.clone()));
        }
        (found.into_iter().map(|(p, _, _)| p).collect(), screening)
    }

    pub(super) fn reason_counts(
        &self,
        reasons: &[Vec<Reason>],
        explained: &[u32],
        judged: &[Option<(f64, bool)>],
    ) -> Vec<ReasonCount> {
        let first = |unit: u32| reasons[self.stands_for[unit as usize] as usize][0];
        Reason::EVERY
            .into_iter()
            .map(|reason| {
                let units: Vec<u32> = self
                    .pool
                    .audited
                    .iter()
                    .copied()
                    .filter(|&unit| first(unit) == reason)
                    .collect();
                // The leak of the half that judges: reasons are from the other, and share its
                // noise.
                let known: Vec<(f64, bool)> = units
                    .iter()
                    .filter_map(|&unit| judged[unit as usize])
                    .collect();
                let leaks: Vec<f64> = known.iter().map(|(leak, _)| *leak).collect();
                ReasonCount {
                    reason: reason.name().to_owned(),
                    meaning: reason.meaning().to_owned(),
                    exposed: explained
                        .iter()
                        .filter(|&&unit| first(unit) == reason)
                        .count(),
                    all: units.len(),
                    mean_leak: mean(&leaks),
                    leaky: rate(
                        known.iter().filter(|(_, leaky)| *leaky).count(),
                        known.len(),
                    ),
                }
            })
            .collect()
    }

    pub(super) fn over_classes(&self, exposure: &Exposure<'_>) -> Vec<GroupExposure> {
        exposure.over(&Grouping {
            names: self.pool.dataset.schema.classes.clone(),
            of_record: self.pool.dataset.labels.clone(),
        })
    }

    /// Over columns of the records whose leak is known: those of the reference file where there
    /// is one.
    pub(super) fn over_groups(&self, exposure: &Exposure<'_>) -> Vec<ColumnExposure> {
        match &self.pool.reference {
            None => exposure.over_columns(&self.pool.table, &self.request.groups),
            Some(reference) => {
                let before = self.pool.table.len() as u32;
                let records: Vec<u32> = exposure.records.iter().map(|r| r - before).collect();
                Exposure {
                    records: &records,
                    ..*exposure
                }
                .over_columns(reference, &self.request.groups)
            }
        }
    }

    /// The leak here is that of the half that measures: the p-values are from the other.
    pub(super) fn definitions(&self, answers: &Answers) -> Option<Definitions> {
        let gaps: Vec<f64> = (0..self.pool.dataset.len())
            .map(|record| answers.measured(record).loss_gap())
            .collect();
        let leak = per_unit(self.pool, &gaps, &self.pool.audited);
        let known: Vec<f64> = leak.iter().copied().filter(|leak| !leak.is_nan()).collect();
        let threshold = threshold(&known, LEAKY_SHARE);
        let units: Vec<Judged> = self
            .pool
            .audited
            .iter()
            .zip(&leak)
            .filter_map(|(&unit, &leak)| {
                let unit = unit as usize;
                Some(Judged {
                    member: self.pool.is_member[unit]?,
                    scaled_logit: self.verdicts.scaled_logit[unit],
                    p: self.verdicts.p_all[unit],
                    leak,
                    leaky: threshold.is_some_and(|threshold| leak >= threshold),
                })
            })
            .collect();
        definitions(&units)
    }
}

/// The leak of each unit by the half that judges, and whether it is among the leakiest, where
/// that is known.
pub(super) fn judged_units(leaks: &Leaks, units: &[u32], count: usize) -> Vec<Option<(f64, bool)>> {
    let mut judged = vec![None; count];
    for ((&unit, &leak), &leaky) in units.iter().zip(&leaks.leak).zip(&leaks.leaky) {
        judged[unit as usize] = Some((leak, leaky));
    }
    judged
}
