//! Which columns make the exposed units leak.

use std::collections::{BTreeMap, BTreeSet};

use giveaway_stats::random::Stream;
use giveaway_stats::summary::mean;
use rayon::prelude::*;

use super::inner::InnerModels;
use super::{EXPLAINED, Work};
use crate::error::Result;
use crate::explain::attribution::{self, Attribution, Columns, Models};
use crate::report::explanation::{AttributionSummary, ColumnShare, ColumnSummary, UnitAttribution};
use crate::run::progress::Progress;

/// Columns of a unit's attribution that are listed.
const LISTED_COLUMNS: usize = 8;

impl Work<'_> {
    /// What in the input makes the exposed units leak, and random ones beside them. Nothing for
    /// images: a share of a pixel tells nobody anything, and they have maps instead; and nothing
    /// where every question to a model takes seconds.
    pub(super) fn attribute(
        &self,
        inner: &InnerModels<'_>,
        explained: &[u32],
        progress: &dyn Progress,
    ) -> Result<(BTreeMap<u32, UnitAttribution>, Option<AttributionSummary>)> {
        let pool = self.pool;
        if pool.dataset.schema.image.is_some() || self.trainer.answers_slowly() {
            return Ok((BTreeMap::new(), None));
        }
        let both = |unit: u32| {
            let has = |inside| !inner.of_unit(pool, unit as usize, inside).is_empty();
            has(true) && has(false)
        };
        let exposed: Vec<u32> = explained
            .iter()
            .copied()
            .take(EXPLAINED)
            .filter(|&unit| both(unit))
            .collect();
        let all_exposed: BTreeSet<u32> = explained.iter().copied().collect();
        let mut rest: Vec<u32> = pool
            .audited
            .iter()
            .copied()
            .filter(|unit| !all_exposed.contains(unit))
            .filter(|&unit| both(unit))
            .collect();
        Stream::new(pool.config.seed, "units attributed for comparison", 0).shuffle(&mut rest);
        rest.truncate(exposed.len());
        if exposed.is_empty() {
            return Ok((BTreeMap::new(), None));
        }
        let columns = Columns::new(&pool.dataset.schema);
        let baselines = attribution::class_means(
            pool.dataset.features.view(),
            &pool.dataset.labels,
            pool.dataset.schema.classes.len(),
        );
        progress.begin(
            "attributing the leak to columns",
            (exposed.len() + rest.len()) as u64,
        );
        let found: Vec<Attribution> = exposed
            .par_iter()
            .chain(&rest)
            .map(|&unit| {
                let record = self.stands_for[unit as usize];
                let label = pool.dataset.labels[record as usize];
                let attributed = attribution::attribute(
                    &attribution::Record {
                        number: record,
                        label,
                        features: pool.dataset.features.row(record as usize),
                        baseline: baselines.row(label as usize),
                    },
                    &columns,
                    &Models {
                        out: &inner.of_unit(pool, unit as usize, false),
                        within: &inner.of_unit(pool, unit as usize, true),
                    },
                    attribution::Method::Automatic,
                    pool.config.seed,
                );
                progress.advance(1);
                attributed
            })
            .collect::<Result<_>>()?;
        progress.end();
        let (of_exposed, of_rest) = found.split_at(exposed.len());
        let gradients = matches!(
            found[0].evaluation,
            attribution::Evaluation::IntegratedGradients { .. }
        );
        let per_unit = exposed
            .iter()
            .zip(of_exposed)
            .map(|(&unit, found)| (unit, self.unit_attribution(unit, found, &columns)))
            .collect();
        Ok((
            per_unit,
            Some(AttributionSummary {
                method: if gradients {
                    "integrated gradients"
                } else {
                    "sampled Shapley values"
                }
                .to_owned(),
                exposed: exposed.len(),
                others: rest.len(),
                largest_residual: found.iter().map(|a| a.residual.abs()).fold(0.0, f64::max),
                columns: mean_shares(&columns, of_exposed, of_rest),
            }),
        ))
    }

    pub(super) fn unit_attribution(
        &self,
        unit: u32,
        found: &Attribution,
        columns: &Columns,
    ) -> UnitAttribution {
        let table = &self.pool.table;
        let record = self.stands_for[unit as usize] as usize;
        let names = table.column_names();
        let mut order: Vec<usize> = (0..columns.len()).collect();
        order.sort_by(|&a, &b| {
            let size = |c: usize| found.columns[c].abs();
            size(b).total_cmp(&size(a)).then(a.cmp(&b))
        });
        let listed = &order[..LISTED_COLUMNS.min(order.len())];
        UnitAttribution {
            gap: found.gap,
            baseline_gap: found.baseline_gap,
            residual: found.residual,
            others: order[listed.len()..]
                .iter()
                .map(|&c| found.columns[c])
                .sum(),
            columns: listed
                .iter()
                .map(|&column| {
                    let name = &columns.names()[column];
                    ColumnShare {
                        column: name.clone(),
                        value: names
                            .iter()
                            .position(|own| own == name)
                            .map(|own| table.feature_text(record, own)),
                        nats: found.columns[column],
                    }
                })
                .collect(),
        }
    }
}

/// Mean absolute shares of the columns, the largest among the exposed first.
fn mean_shares(
    columns: &Columns,
    of_exposed: &[Attribution],
    of_rest: &[Attribution],
) -> Vec<ColumnSummary> {
    let mean_share = |some: &[Attribution], column: usize| {
        let shares: Vec<f64> = some.iter().map(|a| a.columns[column].abs()).collect();
        mean(&shares).unwrap_or(0.0)
    };
    let mut summary: Vec<ColumnSummary> = columns
        .names()
        .iter()
        .enumerate()
        .map(|(column, name)| ColumnSummary {
            column: name.clone(),
            exposed: mean_share(of_exposed, column),
            others: mean_share(of_rest, column),
        })
        .collect();
    summary.sort_by(|a, b| {
        b.exposed
            .total_cmp(&a.exposed)
            .then_with(|| a.column.cmp(&b.column))
    });
    summary
}
