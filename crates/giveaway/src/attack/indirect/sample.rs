//! The OUT models of one record: its queries' nulls, and all combinations on one target.

use std::sync::OnceLock;

use giveaway_stats::combination::of_statistic;
use giveaway_stats::empirical::{ecdf_p_value_sorted, ecdf_p_value_sorted_without};
use giveaway_stats::pchip::{pchip_p_value_sorted, pchip_p_value_sorted_without};

use super::super::direct::{Null, moments_without, t_p_value};
use super::super::evidence::Real;
use super::correlation::{Correlations, CrossProducts};
use super::empirical::Pooled;
use super::{Combination, RecordQueries, Settings, Tested, floor};

/// Several statistics over the same OUT models, with what their nulls need.
pub(super) struct OutSample {
    pub(super) models: usize,
    /// `[statistics × models]`
    values: Vec<f64>,
    /// Mean and sum of squared deviations of each statistic; the latter is 0 where all models
    /// agree.
    moments: Vec<(f64, f64)>,
    /// `-u`, ascending: what losses are to direct inference. `[statistics × models]`
    sorted: Vec<f64>,
    /// Where each model is in that order. `[statistics × models]`
    place: Vec<u32>,
    /// Whether the interface hides how far several models are from the tail that is tested:
    /// their spread would be taken as smaller than it is, and ranks judge the statistic.
    hidden: Vec<bool>,
}

impl OutSample {
    fn new(values: Vec<f64>, models: usize, hidden: Vec<bool>) -> Self {
        let mut sorted = Vec::with_capacity(values.len());
        let mut place = vec![0; values.len()];
        let mut order: Vec<u32> = Vec::with_capacity(models);
        let mut all_moments = Vec::new();
        if models > 0 {
            for (row, place) in values
                .chunks_exact(models)
                .zip(place.chunks_exact_mut(models))
            {
                all_moments.push(moments(row));
                order.clear();
                order.extend(0..models as u32);
                // the larger u is, the smaller what stands for a loss
                order.sort_by(|&a, &b| row[b as usize].total_cmp(&row[a as usize]));
                sorted.extend(order.iter().map(|&model| -row[model as usize]));
                for (rank, &model) in order.iter().enumerate() {
                    place[model as usize] = rank as u32;
                }
            }
        }
        Self {
            models,
            values,
            moments: all_moments,
            sorted,
            place,
            hidden,
        }
    }

    pub(super) fn statistics(&self) -> usize {
        self.moments.len()
    }

    /// One statistic of all models.
    pub(super) fn row(&self, statistic: usize) -> &[f64] {
        &self.values[statistic * self.models..][..self.models]
    }

    pub(super) fn mean(&self, statistic: usize) -> f64 {
        self.moments[statistic].0
    }

    /// Mean and sum of squared deviations of a statistic without the model left out.
    pub(super) fn moments(&self, statistic: usize, left: Option<usize>) -> (f64, f64) {
        match left {
            None => self.moments[statistic],
            Some(left) => without(self.row(statistic), self.moments[statistic], left),
        }
    }

    /// The p-value of a statistic as direct inference has it; `NaN` if too few models are left.
    pub(super) fn p_value(&self, statistic: usize, null: Null, left: Option<usize>, u: f64) -> f64 {
        let models = self.models - usize::from(left.is_some());
        if models < null.models_needed() {
            return f64::NAN;
        }
        let range = statistic * self.models..(statistic + 1) * self.models;
        let sorted = &self.sorted[range.clone()];
        let place = left.map(|left| self.place[range][left] as usize);
        let ranks = || match place {
            None => ecdf_p_value_sorted(sorted, -u),
            Some(place) => ecdf_p_value_sorted_without(sorted, place, -u),
        };
        match null {
            Null::Ecdf => ranks(),
            Null::Pchip => match place {
                None => pchip_p_value_sorted(sorted, -u),
                Some(place) => pchip_p_value_sorted_without(sorted, place, -u),
            },
            Null::T if self.hidden[statistic] => ranks(),
            Null::T => {
                let (mean, deviations) = self.moments(statistic, left);
                t_p_value(u, mean, deviations, models as f64, None)
                    // All OUT models agree to the last bit: ranks are all that is left.
                    .unwrap_or_else(ranks)
            }
        }
    }
}

/// Mean and sum of squared deviations. Where all values agree there is no deviation: what the
/// mean's rounding leaves would pass for one.
pub(super) fn moments(values: &[f64]) -> (f64, f64) {
    if values.iter().all(|&value| same(value, values[0])) {
        return (values.first().copied().unwrap_or(f64::NAN), 0.0);
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (
        mean,
        values.iter().map(|value| (value - mean).powi(2)).sum(),
    )
}

/// The same without one of the values.
pub(super) fn without(values: &[f64], of_all: (f64, f64), left: usize) -> (f64, f64) {
    if of_all.1 > 0.0 {
        let first = values[usize::from(left == 0)];
        let differs = |(i, &value): (usize, &f64)| i != left && !same(value, first);
        // decided at the second or third value, mostly
        if values.iter().enumerate().any(differs) {
            return moments_without(&values.iter().copied(), of_all, left);
        }
        return (first, 0.0);
    }
    of_all
}

/// Whether several of the oriented statistics lie where the interface shows no difference, at
/// the end away from the tail: the range of scaled logits that it shows is symmetric.
fn shows_too_little(oriented: &[f64], cut: Option<f64>) -> bool {
    cut.is_some_and(|cut| oriented.iter().filter(|&&u| u <= cut).count() > 1)
}

/// Whether two numbers are one: zeros of either sign are.
fn same(a: f64, b: f64) -> bool {
    a.partial_cmp(&b) == Some(std::cmp::Ordering::Equal)
}

/// A record, ready to be tested on one target after another.
pub(super) struct Prepared<'a> {
    settings: &'a Settings,
    /// The OUT models, by their numbers among those that test.
    pub(super) out: Vec<u32>,
    /// The queries.
    sample: OutSample,
    /// By budget, the number of queries.
    ends: Vec<usize>,
    products: Option<CrossProducts>,
    /// Weighted sums of the queries, by budget.
    sums: Option<OutSample>,
    weights: Option<Vec<f64>>,
    /// ψ of the OUT models, each against the others.
    pooled: OnceLock<Pooled>,
}

impl<'a> Prepared<'a> {
    pub(super) fn new<T: Real>(record: &RecordQueries<'_, T>, settings: &'a Settings) -> Self {
        let out: Vec<u32> = (0..record.inside.len() as u32)
            .filter(|&model| !record.inside[model as usize])
            .collect();
        let queries = record.tails.len();
        let mut values = Vec::with_capacity(queries * out.len());
        for (query, tail) in record.tails.iter().enumerate() {
            let of_query = record.logits.column(query);
            let u = |&model: &u32| tail.oriented(of_query[model as usize].into());
            values.extend(out.iter().map(u));
        }
        let hidden: Vec<bool> = values
            .chunks_exact(out.len().max(1))
            .map(|of_query| shows_too_little(of_query, record.cut))
            .collect();
        let sample = OutSample::new(values, out.len(), hidden.clone());
        let ends = settings.ends(queries);
        let asked = |combination| settings.combinations.contains(&combination);
        let products = asked(Combination::Kost).then(|| CrossProducts::new(&sample));
        let weights = record.weights.filter(|_| asked(Combination::Discriminant));
        let sums = weights.map(|weights| {
            let column = |model: usize| {
                let of_model = (0..queries).map(|query| sample.row(query)[model]);
                weighted_sums(of_model, weights, &ends)
            };
            let by_model: Vec<Vec<f64>> = (0..out.len()).map(column).collect();
            let values = (0..ends.len())
                .flat_map(|budget| by_model.iter().map(move |sums| sums[budget]))
                .collect();
            let hidden = ends
                .iter()
                .map(|&end| hidden.iter().take(end).any(|&hidden| hidden));
            OutSample::new(values, out.len(), hidden.collect())
        });
        Self {
            settings,
            out,
            sample,
            ends,
            products,
            sums,
            weights: weights.map(<[f64]>::to_vec),
            pooled: OnceLock::new(),
        }
    }

    /// Tests a target with these oriented statistics, without the OUT model at place `left`.
    pub(super) fn test(&self, target: &[f64], left: Option<usize>) -> Tested {
        let models_out = self.sample.models - usize::from(left.is_some());
        let p_values: Vec<f64> = (0..target.len())
            .map(|query| {
                if self.out.is_empty() {
                    return f64::NAN;
                }
                self.sample
                    .p_value(query, self.settings.null, left, target[query])
            })
            .collect();
        let correlations = self.correlations(left);
        let combined =
            self.combined(
                &p_values,
                &correlations,
                models_out,
                |combination| match combination {
                    Combination::Empirical => self.empirical(target, left),
                    _ => self.discriminant(target, left),
                },
            );
        let constant = self
            .ends
            .iter()
            .zip(&correlations.varying)
            .map(|(end, varying)| end - varying)
            .collect();
        Tested {
            p_values,
            models_out,
            constant,
            combined,
        }
    }

    /// The same for the OUT model at a place, which leaves the references to play the target.
    pub(super) fn test_out(&self, place: usize) -> Vec<f64> {
        let null = self.settings.null;
        let models_out = self.sample.models - 1;
        let p_values: Vec<f64> = (0..self.sample.statistics())
            .map(|query| {
                let u = self.sample.row(query)[place];
                self.sample.p_value(query, null, Some(place), u)
            })
            .collect();
        let correlations = self.correlations(Some(place));
        self.combined(&p_values, &correlations, models_out, |combination| {
            match (combination, &self.sums) {
                (Combination::Empirical, _) => {
                    // Target and null together are all OUT models, whoever plays.
                    let all = || Pooled::of_out_models(&self.sample, null, &self.ends);
                    self.pooled.get_or_init(all).p_values_of(place)
                }
                (_, Some(sums)) => (0..self.ends.len())
                    .map(|budget| {
                        let u = sums.row(budget)[place];
                        sums.p_value(budget, null, Some(place), u)
                    })
                    .collect(),
                (_, None) => vec![f64::NAN; self.ends.len()],
            }
        })
    }

    fn correlations(&self, left: Option<usize>) -> Correlations {
        match &self.products {
            Some(products) => products.sums(&self.sample, left, &self.ends),
            None => Correlations::none(&self.sample, left, &self.ends),
        }
    }

    /// Combined p-values, `[combinations × budgets]`; `others` are not combined of p-values.
    fn combined(
        &self,
        p_values: &[f64],
        correlations: &Correlations,
        models_out: usize,
        others: impl Fn(Combination) -> Vec<f64>,
    ) -> Vec<f64> {
        let null = self.settings.null;
        let mut statistics = Vec::new();
        let combinations = self.settings.combinations.iter();
        combinations
            .flat_map(|&combination| {
                if models_out < combination.models_needed(null) {
                    return vec![f64::NAN; self.ends.len()];
                }
                let is_kost = combination == Combination::Kost;
                if !is_kost && combination != Combination::Fisher {
                    return others(combination);
                }
                if statistics.is_empty() {
                    let floor = floor(null, models_out);
                    statistics = statistics_of(p_values, correlations, floor, &self.ends);
                }
                (0..self.ends.len())
                    .map(|budget| {
                        let varying = correlations.varying[budget];
                        if varying == 0 {
                            return 1.0;
                        }
                        let covariances = if is_kost {
                            correlations.covariances[budget]
                        } else {
                            0.0
                        };
                        of_statistic(statistics[budget], varying, covariances).p_value
                    })
                    .collect()
            })
            .collect()
    }

    fn empirical(&self, target: &[f64], left: Option<usize>) -> Vec<f64> {
        Pooled::with_target(&self.sample, left, target, self.settings.null, &self.ends)
            .p_values_of_last()
    }

    fn discriminant(&self, target: &[f64], left: Option<usize>) -> Vec<f64> {
        let (Some(weights), Some(sums)) = (&self.weights, &self.sums) else {
            return vec![f64::NAN; self.ends.len()];
        };
        weighted_sums(target.iter().copied(), weights, &self.ends)
            .into_iter()
            .enumerate()
            .map(|(budget, u)| sums.p_value(budget, self.settings.null, left, u))
            .collect()
    }
}

/// `ψ = -2 Σ ln p` of the queries that vary, up to each end.
fn statistics_of(
    p_values: &[f64],
    correlations: &Correlations,
    floor: f64,
    ends: &[usize],
) -> Vec<f64> {
    up_to(ends, p_values.len(), {
        let mut statistic = 0.0;
        move |query| {
            if correlations.varies[query] {
                statistic -= 2.0 * p_values[query].max(floor).ln();
            }
            statistic
        }
    })
}

fn weighted_sums(u: impl Iterator<Item = f64>, weights: &[f64], ends: &[usize]) -> Vec<f64> {
    let mut sum = 0.0;
    let sums: Vec<f64> = u
        .zip(weights)
        .map(|(u, weight)| {
            sum += weight * u;
            sum
        })
        .collect();
    ends.iter().map(|&end| sums[end - 1]).collect()
}

/// What `add`, called for one query after another, has come to at each end.
pub(super) fn up_to<V: Clone>(
    ends: &[usize],
    queries: usize,
    mut add: impl FnMut(usize) -> V,
) -> Vec<V> {
    let last = ends.iter().copied().max().unwrap_or(0).min(queries);
    let all: Vec<V> = (0..last).map(&mut add).collect();
    ends.iter().map(|&end| all[end - 1].clone()).collect()
}
