//! The combined statistic of the target among those of its OUT models.
//!
//! Target and OUT models are pooled. Each in turn is tested as the target is, with all the
//! others for its null, and has its statistic `ψ = -2 Σ ln p`. The statistics are made alike,
//! so if the pooled models are exchangeable then so are they, and the rank of the target's is
//! uniform: `p = (1 + #{ψ_i ≥ ψ_T}) / (k_out + 1)`.

use giveaway_stats::empirical::ecdf_p_value_of_count;
use giveaway_stats::pchip::pchip_p_value_sorted_without;

use super::super::direct::{Null, t_p_value};
use super::floor;
use super::sample::{OutSample, moments, without};

/// Statistics that are nearer to each other than this share count as equal: they may be the
/// same sum, rounded. That makes p-values larger, never smaller.
const ROUNDING: f64 = 1e-10;

/// ψ of pooled models, by budget.
pub(super) struct Pooled {
    statistics: Vec<Vec<f64>>,
}

impl Pooled {
    /// The OUT models alone.
    pub(super) fn of_out_models(sample: &OutSample, null: Null, ends: &[usize]) -> Self {
        Self::new(sample.models, null, ends, |query, pool| {
            pool.copy_from_slice(sample.row(query));
        })
    }

    /// The OUT models, but one, and the target, which is the last.
    pub(super) fn with_target(
        sample: &OutSample,
        left: Option<usize>,
        target: &[f64],
        null: Null,
        ends: &[usize],
    ) -> Self {
        let cut = left.unwrap_or(sample.models);
        let kept = sample.models - usize::from(left.is_some());
        Self::new(kept + 1, null, ends, |query, pool| {
            let row = sample.row(query);
            pool[..cut].copy_from_slice(&row[..cut]);
            pool[cut..kept].copy_from_slice(&row[row.len().min(cut + 1)..]);
            pool[kept] = target[query];
        })
    }

    /// `fill` writes the statistics of a query into a slice with a place for each model.
    fn new(models: usize, null: Null, ends: &[usize], fill: impl Fn(usize, &mut [f64])) -> Self {
        let mut pool = vec![0.0; models];
        let mut query_p = QueryP::new(models, null);
        let mut statistics = vec![0.0; models];
        let mut at_ends = vec![Vec::new(); ends.len()];
        for query in 0..ends.iter().copied().max().unwrap_or(0) {
            fill(query, &mut pool);
            query_p.add_logarithms(&pool, &mut statistics);
            for (end, at_end) in ends.iter().zip(&mut at_ends) {
                if query + 1 == *end {
                    at_end.clone_from(&statistics);
                }
            }
        }
        Self {
            statistics: at_ends,
        }
    }

    /// P-values of one of the models, by budget.
    pub(super) fn p_values_of(&self, model: usize) -> Vec<f64> {
        self.statistics.iter().map(|all| rank(all, model)).collect()
    }

    /// P-values of the last of the models, by budget.
    pub(super) fn p_values_of_last(&self) -> Vec<f64> {
        let ranks = self.statistics.iter().map(|all| rank(all, all.len() - 1));
        ranks.collect()
    }
}

/// The share of the statistics that are as large as that of one of them, itself included.
fn rank(statistics: &[f64], of: usize) -> f64 {
    share_from(statistics, statistics[of] - ROUNDING * statistics[of].abs())
}

/// The share of values that are not below the least.
fn share_from(values: &[f64], least: f64) -> f64 {
    let as_large = values.iter().filter(|&&value| value >= least).count();
    as_large as f64 / values.len() as f64
}

/// P-values of one query for each of the pooled models.
struct QueryP {
    null: Null,
    floor: f64,
    order: Vec<u32>,
    sorted: Vec<f64>,
}

impl QueryP {
    fn new(models: usize, null: Null) -> Self {
        Self {
            null,
            floor: floor(null, models - 1),
            order: (0..models as u32).collect(),
            sorted: Vec::with_capacity(models),
        }
    }

    /// Adds `-2 ln p` of each model to its statistic.
    fn add_logarithms(&mut self, pool: &[f64], statistics: &mut [f64]) {
        let floor = self.floor;
        let mut add = |model: usize, p: f64| statistics[model] -= 2.0 * p.max(floor).ln();
        match self.null {
            Null::T => {
                let all = moments(pool);
                for (model, &u) in pool.iter().enumerate() {
                    let (mean, deviations) = without(pool, all, model);
                    let models = pool.len() as f64 - 1.0;
                    let p = t_p_value(u, mean, deviations, models, None);
                    add(model, p.unwrap_or_else(|| share_from(pool, u)));
                }
            }
            Null::Ecdf | Null::Pchip => {
                // the larger u is, the smaller what stands for a loss
                self.order
                    .sort_unstable_by(|&a, &b| pool[b as usize].total_cmp(&pool[a as usize]));
                self.sorted.clear();
                let losses = self.order.iter().map(|&model| -pool[model as usize]);
                self.sorted.extend(losses);
                let mut as_low = 0;
                for (place, (&model, &loss)) in self.order.iter().zip(&self.sorted).enumerate() {
                    let p = if self.null == Null::Pchip {
                        pchip_p_value_sorted_without(&self.sorted, place, loss)
                    } else {
                        as_low = as_low.max(place);
                        while self.sorted.get(as_low).is_some_and(|&other| other <= loss) {
                            as_low += 1;
                        }
                        ecdf_p_value_of_count(as_low - 1, self.sorted.len() - 1)
                    };
                    add(model as usize, p);
                }
            }
        }
    }
}
