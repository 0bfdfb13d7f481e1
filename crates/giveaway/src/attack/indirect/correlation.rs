//! Kost's covariances of a record's queries: their sum over all pairs of the first ones.
//!
//! The combination needs no more of a correlation matrix than this sum. Cross-products over
//! all OUT models are computed once; without one model they are those less the product of its
//! deviations, as with variances.

use giveaway_stats::combination::kost_covariance;

use super::sample::{OutSample, moments, up_to};

/// Below this share of a sum of squares, what a subtraction leaves is mostly rounding.
const CANCELLED: f64 = 1e-6;

/// Cross-products of the queries' deviations from their means.
pub(super) struct CrossProducts {
    /// `[queries × models]`
    deviations: Vec<f64>,
    /// Below the diagonal, row after row.
    products: Vec<f64>,
}

/// What combining needs to know of the queries together, by budget.
pub(super) struct Correlations {
    /// Whether each query differs between the OUT models.
    pub(super) varies: Vec<bool>,
    /// How many do.
    pub(super) varying: Vec<usize>,
    /// `Σ_{i<j} c_ij` of those.
    pub(super) covariances: Vec<f64>,
}

impl Correlations {
    fn new(varies: Vec<bool>, covariances: Vec<f64>, ends: &[usize]) -> Self {
        let mut count = 0;
        let varying = up_to(ends, varies.len(), |query| {
            count += usize::from(varies[query]);
            count
        });
        Self {
            varies,
            varying,
            covariances,
        }
    }

    /// Where correlations are not asked for.
    pub(super) fn none(sample: &OutSample, left: Option<usize>, ends: &[usize]) -> Self {
        let queries = 0..sample.statistics();
        let varies: Vec<bool> = queries
            .map(|query| sample.moments(query, left).1 > 0.0)
            .collect();
        if varies.is_empty() {
            return Self::nothing(ends);
        }
        Self::new(varies, vec![0.0; ends.len()], ends)
    }

    /// Where there is no OUT model.
    fn nothing(ends: &[usize]) -> Self {
        Self {
            varies: Vec::new(),
            varying: vec![0; ends.len()],
            covariances: vec![0.0; ends.len()],
        }
    }
}

impl CrossProducts {
    pub(super) fn new(sample: &OutSample) -> Self {
        let queries = sample.statistics();
        let mut deviations = Vec::with_capacity(queries * sample.models);
        for query in 0..queries {
            let mean = sample.mean(query);
            deviations.extend(sample.row(query).iter().map(|u| u - mean));
        }
        let row = |query: usize| &deviations[query * sample.models..][..sample.models];
        let mut products = Vec::with_capacity(queries * queries.saturating_sub(1) / 2);
        for query in 0..queries {
            let of_query = row(query);
            products.extend((0..query).map(|other| dot(of_query, row(other))));
        }
        Self {
            deviations,
            products,
        }
    }

    /// Sums of covariances over the pairs of the first queries, without the model left out.
    pub(super) fn sums(
        &self,
        sample: &OutSample,
        left: Option<usize>,
        ends: &[usize],
    ) -> Correlations {
        let queries = sample.statistics();
        if queries == 0 {
            return Correlations::nothing(ends);
        }
        let models = sample.models;
        // The product of the deviations of the model left out, times n/(n-1), is what its
        // leaving takes from a cross-product.
        let factor = (models as f64 / (models as f64 - 1.0)).sqrt();
        let taken: Vec<f64> = (0..queries)
            .map(|query| left.map_or(0.0, |left| factor * self.deviations[query * models + left]))
            .collect();
        let squares: Vec<f64> = (0..queries)
            .map(|query| sample.moments(query, left).1)
            .collect();
        let varies: Vec<bool> = squares.iter().map(|&square| square > 0.0).collect();
        // 0 for a constant query, so that its covariances are.
        let scales: Vec<f64> = squares
            .iter()
            .map(|&square| {
                if square > 0.0 {
                    1.0 / square.sqrt()
                } else {
                    0.0
                }
            })
            .collect();
        let cancelled: Vec<bool> = (0..queries)
            .map(|query| squares[query] <= CANCELLED * sample.moments(query, None).1)
            .collect();
        let any_cancelled = cancelled.contains(&true);
        let mut sum = 0.0;
        let covariances = up_to(ends, queries, |query| {
            let products = &self.products[query * query.saturating_sub(1) / 2..][..query];
            let (of_query, scale) = (taken[query], scales[query]);
            for other in 0..query {
                let mut product = products[other] - of_query * taken[other];
                if any_cancelled && (cancelled[query] || cancelled[other]) {
                    product = anew(sample, query, other, left);
                }
                let correlation = (product * scale * scales[other]).clamp(-1.0, 1.0);
                sum += kost_covariance(correlation);
            }
            sum
        });
        Correlations::new(varies, covariances, ends)
    }
}

/// The cross-product of two queries by its definition.
fn anew(sample: &OutSample, query: usize, other: usize, left: Option<usize>) -> f64 {
    let kept = |query: usize| -> Vec<f64> {
        let of_all = sample.row(query).iter().enumerate();
        let of_kept = of_all.filter(|&(model, _)| Some(model) != left);
        let kept: Vec<f64> = of_kept.map(|(_, &u)| u).collect();
        let mean = moments(&kept).0;
        kept.iter().map(|u| u - mean).collect()
    };
    dot(&kept(query), &kept(other))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
