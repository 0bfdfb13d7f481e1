//! RMIA (Zarifzadeh et al. 2024): how many population records a record beats.
//!
//! `ratio(x) = P(x|T) / P(x)` with P(x|T) the target's confidence and P(x) the mean
//! confidence of reference models: IN and OUT averaged separately and then together
//! (online), or `P(x) = ((1 + a) P_out + (1 - a))/2` (offline). The score is the share of
//! population records z with `ratio(x) ≥ γ ratio(z)`.
//!
//! For a fixed γ that is a distribution function: the values `γ ratio(z)` are sorted once,
//! and each record is a binary search, `O((n + m) log m)`. Since exactly these products are
//! compared, the result is that of the pairwise definition to the bit.
//!
//! Traps (methods, section 3.2): the membership of z counts as well as that of x; where the
//! audited records stand in for a population, x itself is left out (and members are among
//! them, which weakens the attack).

use super::evidence::{Evidence, Real, Scalar};
use super::moments::{Moments, moments, moments_of_rows};

/// Which reference models serve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Line {
    /// IN and OUT models.
    Online,
    /// OUT models, with this a in `P(x) = ((1 + a) P_out + (1 - a))/2`.
    Offline(f64),
}

/// The ratio of each record. `NaN` where a side that is needed has no models.
#[must_use]
pub fn ratios(target_confidences: &[f64], confidences: &Moments, line: Line) -> Vec<f64> {
    let (inside, outside) = (&confidences.inside.mean, &confidences.outside.mean);
    (0..target_confidences.len())
        .map(|r| {
            let mean = match line {
                Line::Online => f64::midpoint(inside[r], outside[r]),
                Line::Offline(a) => f64::midpoint((1.0 + a) * outside[r], 1.0 - a),
            };
            over(target_confidences[r], mean)
        })
        .collect()
}

/// As [`ratios`], for records of a population that may be OUT of all models: then P(z) is
/// the OUT mean.
#[must_use]
pub fn population_ratios(
    target_confidences: &[f64],
    confidences: &Moments,
    line: Line,
) -> Vec<f64> {
    let own = ratios(target_confidences, confidences, line);
    own.into_iter()
        .enumerate()
        .map(|(r, ratio)| match line {
            Line::Online if confidences.inside.count[r] <= 0.0 => {
                over(target_confidences[r], confidences.outside.mean[r])
            }
            _ => ratio,
        })
        .collect()
}

/// A quotient in which a confidence of 0 everywhere leaves a number.
fn over(confidence: f64, mean: f64) -> f64 {
    if mean.is_nan() {
        return f64::NAN;
    }
    confidence.max(f64::MIN_POSITIVE) / mean.max(f64::MIN_POSITIVE)
}

/// The share of `population` that each ratio beats by γ. `NaN` for a ratio that is, and
/// those of the population do not count; without a population all are `NaN`.
#[must_use]
pub fn against_population(ratios: &[f64], population: &[f64], gamma: f64) -> Vec<f64> {
    use rayon::prelude::*;
    let thresholds = Thresholds::of(population, gamma);
    let count = thresholds.sorted.len() as f64;
    ratios
        .par_iter()
        .map(|&ratio| {
            if ratio.is_nan() {
                return f64::NAN;
            }
            thresholds.beaten_by(ratio) as f64 / count
        })
        .collect()
}

/// The share of the other records that each ratio beats by γ: the audited records as their
/// own population.
#[must_use]
pub fn against_each_other(ratios: &[f64], gamma: f64) -> Vec<f64> {
    use rayon::prelude::*;
    let thresholds = Thresholds::of(ratios, gamma);
    let others = thresholds.sorted.len().saturating_sub(1) as f64;
    ratios
        .par_iter()
        .map(|&ratio| {
            if ratio.is_nan() {
                return f64::NAN;
            }
            let itself = usize::from(ratio >= gamma * ratio);
            (thresholds.beaten_by(ratio) - itself) as f64 / others
        })
        .collect()
}

/// The products `γ ratio(z)`, sorted, with an index into them.
struct Thresholds {
    sorted: Vec<f64>,
    /// Bits of the least; positive numbers are ordered as their bits are.
    least: u64,
    /// Leading bits of the distance from the least number a bucket.
    shift: u32,
    /// Thresholds before each bucket, and all of them at the end. Empty where a threshold is
    /// negative.
    before: Vec<u32>,
}

impl Thresholds {
    fn of(ratios: &[f64], gamma: f64) -> Self {
        use rayon::prelude::*;
        let mut sorted: Vec<f64> = ratios
            .iter()
            .filter(|ratio| !ratio.is_nan())
            .map(|&ratio| gamma * ratio)
            .collect();
        sorted.par_sort_unstable_by(f64::total_cmp);
        let mut thresholds = Self {
            least: 0,
            shift: 0,
            before: Vec::new(),
            sorted,
        };
        let sorted = &thresholds.sorted;
        let (Some(&least), Some(&largest)) = (sorted.first(), sorted.last()) else {
            return thresholds;
        };
        if least.is_sign_negative() || u32::try_from(sorted.len()).is_err() {
            return thresholds;
        }
        thresholds.least = least.to_bits();
        let span = largest.to_bits() - thresholds.least;
        // about as many buckets as thresholds, so that few share one
        while span >> thresholds.shift >= 2 * sorted.len() as u64 {
            thresholds.shift += 1;
        }
        let buckets = (span >> thresholds.shift) as usize + 1;
        let mut before = vec![0u32; buckets + 1];
        for threshold in sorted {
            before[((threshold.to_bits() - thresholds.least) >> thresholds.shift) as usize + 1] +=
                1;
        }
        let mut sum = 0;
        for count in &mut before {
            sum += *count;
            *count = sum;
        }
        thresholds.before = before;
        thresholds
    }

    /// How many thresholds a ratio reaches.
    fn beaten_by(&self, ratio: f64) -> usize {
        let reached = |from: usize, to: usize| {
            from + self.sorted[from..to].partition_point(|&threshold| ratio >= threshold)
        };
        if self.before.is_empty() {
            return reached(0, self.sorted.len());
        }
        // a zero of either sign reaches a zero
        let Some(distance) = ratio.max(0.0).to_bits().checked_sub(self.least) else {
            return 0;
        };
        let bucket = (distance >> self.shift) as usize;
        if ratio < 0.0 || bucket + 1 >= self.before.len() {
            return if ratio < 0.0 { 0 } else { self.sorted.len() };
        }
        reached(
            self.before[bucket] as usize,
            self.before[bucket + 1] as usize,
        )
    }
}

/// Values of a that are tried.
const TRIED: [f64; 11] = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];

/// The a with which one reference model, played by the first, is attacked best by the others
/// (largest AUC; the smallest such a). It knows the membership of reference models only.
///
/// `family` are the models that leave with the first: its complement. Where nothing can be
/// learnt (one reference model, or one that was trained on all records or on none), it is
/// 0.5, the middle.
#[must_use]
pub fn tuned_a<T: Real>(evidence: &Evidence<'_, T>, family: &[usize], gamma: f64) -> f64 {
    if evidence.models() < 2 {
        return 0.5;
    }
    let is_member = evidence.inside[0];
    let played = evidence.with_target(0, family);
    let (confidences, target) = confidences(&played);
    let population = played
        .population
        .as_ref()
        .map(|_| population_confidences(&played));
    let mut best = (f64::NEG_INFINITY, 0.5);
    for a in TRIED {
        let own = ratios(&target, &confidences, Line::Offline(a));
        let scores = match &population {
            Some(Some((moments, target))) => {
                let others = population_ratios(target, moments, Line::Offline(a));
                against_population(&own, &others, gamma)
            }
            _ => against_each_other(&own, gamma),
        };
        let (known, members): (Vec<f64>, Vec<bool>) = scores
            .iter()
            .zip(is_member)
            .filter(|(score, _)| !score.is_nan())
            .unzip();
        let Ok(roc) = giveaway_stats::roc::Roc::new(&known, &members) else {
            return 0.5;
        };
        if roc.auc() > best.0 {
            best = (roc.auc(), a);
        }
    }
    best.1
}

/// Moments of the reference models' confidences, and the target's, at the evidence's temperature.
#[must_use]
pub fn confidences<T: Real>(evidence: &Evidence<'_, T>) -> (Moments, Vec<f64>) {
    let records = evidence.records();
    if let Some(query) = &evidence.tempered {
        return (
            moments(&query.references, &evidence.inside, records, |x| x),
            query.target.clone(),
        );
    }
    let (query, kind) = evidence.of_losses();
    (
        confidence_moments(&query.references, &evidence.inside, records, kind),
        evidence.target_confidences(),
    )
}

/// The same of the population, where there is one.
#[must_use]
pub fn population_confidences<T: Real>(evidence: &Evidence<'_, T>) -> Option<(Moments, Vec<f64>)> {
    let population = evidence.population.as_ref()?;
    let size = population.signal.target.len();
    let nobody = vec![false; size];
    let inside: Vec<&[bool]> = match &population.inside {
        Some(inside) => inside.clone(),
        None => vec![nobody.as_slice(); evidence.models()],
    };
    if let Some(query) = &population.tempered {
        return Some((
            moments(&query.references, &inside, size, |x| x),
            query.target.clone(),
        ));
    }
    let query = &population.signal;
    let kind = evidence.kind;
    let mut target = vec![0.0; size];
    kind.confidences(&query.target, &mut target);
    Some((
        confidence_moments(&query.references, &inside, size, kind),
        target,
    ))
}

fn confidence_moments<T: Real>(
    references: &[&[T]],
    inside: &[&[bool]],
    records: usize,
    kind: Scalar,
) -> Moments {
    moments_of_rows(references, inside, records, |row, values| {
        kind.confidences(row, values);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use giveaway_stats::random::Stream;
    use proptest::prelude::*;

    proptest! {
        /// Few distinct values, so that ratios tie and γ ratio(z) meets ratio(x) exactly.
        #[test]
        fn the_sorted_form_is_the_pairwise_definition(
            x in prop::collection::vec(1u8..9, 1..40),
            z in prop::collection::vec(1u8..9, 1..40),
            gamma in prop::sample::select(vec![0.5, 1.0, 1.3, 2.0, 3.0]),
        ) {
            let ratio = |v: &[u8]| -> Vec<f64> { v.iter().map(|&v| f64::from(v) / 3.0).collect() };
            let (x, z) = (ratio(&x), ratio(&z));
            let share = |x: f64, z: &[f64]| {
                z.iter().filter(|&&z| x >= gamma * z).count() as f64 / z.len() as f64
            };
            let sorted = against_population(&x, &z, gamma);
            for (score, &x) in sorted.iter().zip(&x) {
                prop_assert_eq!(score.to_bits(), share(x, &z).to_bits());
            }
            if x.len() > 1 {
                for (i, score) in against_each_other(&x, gamma).into_iter().enumerate() {
                    let mut others = x.clone();
                    others.remove(i);
                    prop_assert_eq!(score.to_bits(), share(x[i], &others).to_bits());
                }
            }
        }
    }

    fn random(models: usize, records: usize, seed: u64) -> (Vec<Vec<f64>>, Vec<Vec<bool>>) {
        let mut stream = Stream::new(seed, "rmia", 0);
        let inside: Vec<Vec<bool>> = (0..models)
            .map(|_| (0..records).map(|_| stream.uniform() < 0.5).collect())
            .collect();
        let values = inside
            .iter()
            .map(|row| {
                row.iter()
                    .map(|&m| stream.normal() + if m { 1.5 } else { 0.0 })
                    .collect()
            })
            .collect();
        (values, inside)
    }

    #[test]
    fn the_means_are_those_of_the_formula() {
        let (values, inside) = random(6, 30, 5);
        let evidence = Evidence::new(
            Scalar::ScaledLogit,
            values[1..].iter().map(Vec::as_slice).collect(),
            inside[1..].iter().map(Vec::as_slice).collect(),
            values[0].clone(),
        );
        let (moments, target) = confidences(&evidence);
        let p = |phi: f64| 1.0 / (1.0 + (-phi).exp());
        let online = ratios(&target, &moments, Line::Online);
        let offline = ratios(&target, &moments, Line::Offline(0.3));
        for r in 0..30 {
            let mean = |member: bool| {
                let of: Vec<f64> = (1..6)
                    .filter(|&m| inside[m][r] == member)
                    .map(|m| p(values[m][r]))
                    .collect();
                of.iter().sum::<f64>() / of.len() as f64
            };
            let agree = |found: f64, expected: f64| {
                found.is_nan() == expected.is_nan()
                    && (found.is_nan() || (found - expected).abs() < 1e-12)
            };
            let expected = 2.0 * p(values[0][r]) / (mean(true) + mean(false));
            assert!(agree(online[r], expected));
            let expected = 2.0 * p(values[0][r]) / (1.3 * mean(false) + 0.7);
            assert!(agree(offline[r], expected));
        }
    }

    /// The membership of z counts: a population that is IN has larger P(z), so smaller ratios.
    #[test]
    fn the_mask_is_applied_to_the_population() {
        let (values, inside) = random(8, 50, 6);
        let rows = |v: &'static [Vec<f64>]| -> Vec<&'static [f64]> {
            v.iter().map(Vec::as_slice).collect()
        };
        let values: &'static [Vec<f64>] = values.leak();
        let inside: &'static [Vec<bool>] = inside.leak();
        let mut evidence = Evidence::new(
            Scalar::ScaledLogit,
            rows(values),
            inside.iter().map(Vec::as_slice).collect(),
            vec![0.0; 50],
        );
        evidence.population = Some(super::super::evidence::Population {
            signal: evidence.queries[0].clone(),
            tempered: None,
            inside: Some(evidence.inside.clone()),
        });
        let (of_population, target) = population_confidences(&evidence).unwrap();
        let (own, _) = confidences(&evidence);
        let as_population = population_ratios(&target, &of_population, Line::Offline(1.0));
        assert_eq!(as_population, ratios(&target, &own, Line::Offline(1.0)));
        evidence.population.as_mut().unwrap().inside = None;
        let (all_out, target) = population_confidences(&evidence).unwrap();
        let unmasked = population_ratios(&target, &all_out, Line::Offline(1.0));
        let sum = |v: &[f64]| v.iter().filter(|x| !x.is_nan()).sum::<f64>();
        assert!(sum(&unmasked) < sum(&as_population));
        // and OUT of all models there is an online ratio all the same
        let online = population_ratios(&target, &all_out, Line::Online);
        assert!(online.iter().all(|ratio| ratio.is_finite()));
    }

    #[test]
    fn a_is_the_one_that_separates_a_reference_model_best() {
        let (values, inside) = random(20, 400, 7);
        let evidence = Evidence::new(
            Scalar::ScaledLogit,
            values[1..].iter().map(Vec::as_slice).collect(),
            inside[1..].iter().map(Vec::as_slice).collect(),
            values[0].clone(),
        );
        let a = tuned_a(&evidence, &[], 1.0);
        let auc = |a: f64| {
            let played = evidence.with_target(0, &[]);
            let (moments, target) = confidences(&played);
            let scores = against_each_other(&ratios(&target, &moments, Line::Offline(a)), 1.0);
            giveaway_stats::roc::Roc::new(&scores, &inside[1])
                .unwrap()
                .auc()
        };
        assert!(TRIED.iter().all(|&other| auc(other) <= auc(a)));
        assert!(TRIED.iter().any(|&other| auc(other) < auc(a)));
        let one = Evidence::new(
            Scalar::ScaledLogit,
            vec![&values[0][..]],
            vec![&inside[0][..]],
            values[1].clone(),
        );
        assert!((tuned_a(&one, &[], 1.0) - 0.5).abs() < 1e-15);
    }
}
