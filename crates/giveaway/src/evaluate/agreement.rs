//! Which records attacks put first: whether two attacks, or one attack with other reference
//! models, name the same ones.

use giveaway_stats::summary::spearman;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::Scores;
use crate::attack::evidence::{Evidence, Real};
use crate::attack::method::{Attacker, Method, Parameters};

/// Share of the records that count as named.
pub const TOP: f64 = 0.01;

/// Disjoint sets of reference models, at most.
const MOST_SUBSETS: usize = 4;

/// Reference models of a set, at least.
const FEWEST_MODELS: usize = 8;

/// Two attacks on the same target.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Agreement {
    /// One.
    pub first: Method,
    /// The other.
    pub second: Method,
    /// Rank correlation of their scores over records that both score.
    pub spearman: Option<f64>,
    /// Records that both name of those that either does.
    pub jaccard: Option<f64>,
}

/// One attack with disjoint sets of reference models.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stability {
    /// Sets of reference models.
    pub subsets: usize,
    /// Models in each.
    pub models: usize,
    /// Records that one set names, on average.
    pub named: f64,
    /// Records that every set names.
    pub named_by_all: usize,
    /// Mean over pairs of sets: records that both name of those that either does.
    pub jaccard: Option<f64>,
}

/// Who is named: the records of the highest scores, [`TOP`] of those scored and at least one.
/// Equals of the last go with it, unless that doubles the list: then a score that many share
/// names nobody.
#[must_use]
pub fn named(scores: &[f64]) -> Vec<bool> {
    let mut sorted: Vec<f64> = scores.iter().copied().filter(|s| !s.is_nan()).collect();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let count = ((TOP * sorted.len() as f64).ceil() as usize).max(1);
    let Some(&last) = sorted.get(count - 1) else {
        return vec![false; scores.len()];
    };
    let with_equals = sorted.partition_point(|&score| score >= last);
    let shared = with_equals > 2 * count;
    scores
        .iter()
        .map(|&score| if shared { score > last } else { score >= last })
        .collect()
}

/// Records in both of those in either; nothing where nobody is.
#[must_use]
pub fn jaccard(a: &[bool], b: &[bool]) -> Option<f64> {
    let count =
        |of: &dyn Fn(bool, bool) -> bool| a.iter().zip(b).filter(|(a, b)| of(**a, **b)).count();
    let either = count(&|a, b| a || b);
    (either > 0).then(|| count(&|a, b| a && b) as f64 / either as f64)
}

/// Every pair of attacks.
#[must_use]
pub fn pairs(scored: &[(Method, Scores)]) -> Vec<Agreement> {
    let lists: Vec<Vec<bool>> = scored.iter().map(|(_, s)| named(&s.scores)).collect();
    let mut pairs = Vec::new();
    for (i, (first, a)) in scored.iter().enumerate() {
        for (j, (second, b)) in scored.iter().enumerate().skip(i + 1) {
            let (x, y): (Vec<f64>, Vec<f64>) = a
                .scores
                .iter()
                .zip(&b.scores)
                .filter(|(x, y)| !x.is_nan() && !y.is_nan())
                .unzip();
            pairs.push(Agreement {
                first: *first,
                second: *second,
                spearman: spearman(&x, &y).ok().flatten(),
                jaccard: jaccard(&lists[i], &lists[j]),
            });
        }
    }
    pairs
}

/// Disjoint sets of reference models, families whole: four of them, or fewer where they would
/// be small; none where there are not two.
#[must_use]
pub fn subsets(families: &[usize]) -> Vec<Vec<usize>> {
    let mut distinct = families.to_vec();
    distinct.dedup();
    let count = (families.len() / FEWEST_MODELS).min(MOST_SUBSETS);
    if count < 2 {
        return Vec::new();
    }
    let each = distinct.len() / count;
    (0..count)
        .map(|set| {
            let of_set = &distinct[set * each..(set + 1) * each];
            (0..families.len())
                .filter(|&model| of_set.contains(&families[model]))
                .collect()
        })
        .collect()
}

/// Attacks the target with each set of reference models: per attack, in how many sets each
/// record is named, and how far the lists agree. Nothing for an attack that cannot be made
/// with so few models, or uses none.
#[must_use]
pub fn stability<T: Real>(
    evidence: &Evidence<'_, T>,
    methods: &[Method],
    parameters: Parameters,
    families: &[usize],
) -> Vec<Option<(Stability, Vec<u32>)>> {
    let subsets = subsets(families);
    let mut lists: Vec<Vec<Vec<bool>>> = vec![Vec::new(); methods.len()];
    for models in &subsets {
        let fewer = evidence.with_references(models);
        let attacker = Attacker::new(&fewer, parameters);
        for (lists, &method) in lists.iter_mut().zip(methods) {
            if method.is_without_references() {
                continue;
            }
            if let Ok(scores) = attacker.score(method) {
                lists.push(named(&scores.scores));
            }
        }
    }
    lists
        .into_iter()
        .map(|lists| {
            if lists.len() < 2 || lists.len() < subsets.len() {
                return None;
            }
            let records = evidence.records();
            let times: Vec<u32> = (0..records)
                .map(|r| lists.iter().map(|list| u32::from(list[r])).sum())
                .collect();
            let mut shares = Vec::new();
            for (i, a) in lists.iter().enumerate() {
                shares.extend(lists[i + 1..].iter().filter_map(|b| jaccard(a, b)));
            }
            let stability = Stability {
                subsets: lists.len(),
                models: subsets[0].len(),
                named: f64::from(times.iter().sum::<u32>()) / lists.len() as f64,
                named_by_all: times.iter().filter(|&&n| n as usize == lists.len()).count(),
                jaccard: giveaway_stats::summary::mean(&shares),
            };
            Some((stability, times))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_share_is_named_with_its_equals() {
        let mut scores: Vec<f64> = (0..200).map(f64::from).collect();
        scores[3] = f64::NAN;
        let list = named(&scores);
        assert_eq!(list.iter().filter(|n| **n).count(), 2);
        assert!(list[199] && list[198]);
        scores[5] = 198.0;
        assert_eq!(named(&scores).iter().filter(|n| **n).count(), 3);
        assert!(named(&[f64::NAN; 3]).iter().all(|n| !n));
        // a tie of 20 in 200 is no list of two; what lies above it stays
        let tied: Vec<f64> = (0..200).map(|r| f64::from(u8::from(r < 20))).collect();
        assert!(named(&tied).iter().all(|n| !n));
        let one_above: Vec<f64> = (0..200)
            .map(|r| if r == 7 { 2.0 } else { tied[r] })
            .collect();
        assert_eq!(named(&one_above).iter().filter(|n| **n).count(), 1);
    }

    #[test]
    fn lists_are_compared_by_jaccard() {
        assert_eq!(
            jaccard(&[true, true, false], &[true, false, true]),
            Some(1.0 / 3.0)
        );
        assert_eq!(jaccard(&[false], &[false]), None);
        let scores = |s: &[f64]| Scores::of(s.to_vec());
        let found = pairs(&[
            (Method::Loss, scores(&[1.0, 2.0, 3.0, f64::NAN])),
            (Method::Gap, scores(&[3.0, 2.0, 1.0, 9.0])),
        ]);
        assert_eq!(found.len(), 1);
        assert!(
            (found[0].spearman.unwrap() + 1.0).abs() < 1e-12,
            "NaN is left out"
        );
        assert_eq!(found[0].jaccard, Some(0.0));
    }

    #[test]
    fn stability_is_one_where_every_set_says_the_same_and_chance_where_none_does() {
        use crate::attack::evidence::Scalar;
        use giveaway_stats::random::Stream;
        let mut stream = Stream::new(1, "stability", 0);
        let (models, records) = (32, 400);
        let inside: Vec<Vec<bool>> = (0..models)
            .map(|_| (0..records).map(|_| stream.uniform() < 0.5).collect())
            .collect();
        let masks: Vec<&[bool]> = inside.iter().map(Vec::as_slice).collect();
        let families: Vec<usize> = (0..models).collect();
        // all models say the same of a record: what is left is the target's own order
        let same: Vec<f32> = (0..records).map(|r| (r % 13) as f32).collect();
        let target: Vec<f64> = (0..records).map(|_| 20.0 * stream.uniform()).collect();
        let evidence = Evidence::new(Scalar::Loss, vec![&same[..]; models], masks.clone(), target);
        let methods = [Method::Difficulty, Method::Loss];
        let found = stability(&evidence, &methods, Parameters::default(), &families);
        let (stable, times) = found[0].as_ref().unwrap();
        assert_eq!((stable.subsets, stable.models), (4, 8));
        assert_eq!((stable.jaccard, stable.named_by_all), (Some(1.0), 4));
        assert_eq!(times.iter().filter(|&&n| n == 4).count(), 4);
        assert!(found[1].is_none(), "loss uses no reference models");
        // noise of the reference models alone: the lists share next to nobody
        let noise: Vec<Vec<f32>> = (0..models)
            .map(|_| (0..records).map(|_| stream.normal() as f32).collect())
            .collect();
        let rows = noise.iter().map(Vec::as_slice).collect();
        let evidence = Evidence::new(Scalar::ScaledLogit, rows, masks, vec![0.0; records]);
        let found = stability(&evidence, &methods, Parameters::default(), &families);
        let (unstable, times) = found[0].as_ref().unwrap();
        assert!(unstable.jaccard.unwrap() < 0.2 && unstable.named_by_all == 0);
        let named = f64::from(times.iter().sum::<u32>());
        assert!((named - 4.0 * unstable.named).abs() < 1e-9);
    }

    #[test]
    fn sets_are_disjoint_and_keep_families_whole() {
        let families: Vec<usize> = (0..40).map(|model| model / 2).collect();
        let sets = subsets(&families);
        assert_eq!(sets.len(), 4);
        let mut seen = [0; 40];
        for set in &sets {
            assert_eq!(set.len(), 10);
            for &model in set {
                seen[model] += 1;
                assert!(set.contains(&(model ^ 1)));
            }
        }
        assert!(seen.iter().all(|&n| n == 1));
        assert!(subsets(&families[..15]).is_empty());
        assert_eq!(subsets(&families[..16]).len(), 2);
    }
}
