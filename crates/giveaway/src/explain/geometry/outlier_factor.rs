//! The local outlier factor (Breunig et al. 2000), as scikit-learn computes it.
//!
//! The local reachability density of a record is `1 / (mean max(d(i, o), kd(o)) + 1e-10)` over its
//! neighbours o, where `kd(o)` is o's own distance to its k-th nearest; its outlier factor is the
//! mean over its neighbours of their density over its own. About 1 amid its like, larger the
//! lonelier. The 1e-10 is scikit-learn's, for records with more than k duplicates: their density
//! is 1e10, and a neighbour that is no duplicate of them gets a very large factor.

use super::neighbours::Lists;

/// Keeps the density of duplicates finite.
const LEAST_REACHABILITY: f64 = 1e-10;

/// The local outlier factor of every record, from the nearest of whatever class
/// ([`Geometry::nearest`](super::neighbours::Geometry::nearest)).
///
/// It is the negative of scikit-learn's `negative_outlier_factor_` for the records among which
/// neighbours were searched, and of its `score_samples` (`novelty=True`) for others. A record with
/// fewer than k neighbours is judged by those that it has, one without any has factor 1 (a neighbour that has none itself does not count).
#[must_use]
pub fn local_outlier_factor(nearest: &Lists) -> Vec<f64> {
    let farthest = nearest.farthest();
    let density: Vec<f64> = (0..nearest.len())
        .map(|record| {
            let neighbours = nearest.records(record);
            let reachability: f64 = neighbours
                .iter()
                .zip(nearest.distances(record))
                .map(|(&o, &distance)| {
                    let own = farthest[o as usize];
                    // by the owners rule a neighbour may have no neighbour itself
                    f64::from(if own.is_finite() {
                        distance.max(own)
                    } else {
                        distance
                    })
                })
                .sum();
            1.0 / (reachability / neighbours.len().max(1) as f64 + LEAST_REACHABILITY)
        })
        .collect();
    (0..nearest.len())
        .map(|record| {
            let judges: Vec<f64> = nearest
                .records(record)
                .iter()
                .map(|&o| o as usize)
                .filter(|&o| farthest[o].is_finite())
                .map(|o| density[o] / density[record])
                .collect();
            if judges.is_empty() {
                return 1.0;
            }
            judges.iter().sum::<f64>() / judges.len() as f64
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::neighbours::{NONE, geometry};
    use super::super::reference::{Reference, random_labels};
    use super::*;
    use ndarray::Array2;

    #[test]
    fn agrees_with_scikit_learn() {
        for reference in Reference::both() {
            let all = reference.all();
            let half: Vec<u32> = all.iter().copied().step_by(2).collect();
            for (key, among) in [
                ("outlier factor", &all),
                ("outlier factor among half", &half),
            ] {
                let found = geometry(
                    &reference.vectors.view(),
                    &reference.labels,
                    2,
                    &all,
                    among,
                    10,
                    |_| {},
                )
                .unwrap();
                reference.compare(key, &local_outlier_factor(&found.nearest()), 1e-6, 0.0);
            }
        }
    }

    /// More duplicates than neighbours: the density is 1e10, and nothing is `NaN`.
    #[test]
    fn duplicates_are_amid_their_like_and_finite() {
        let vectors = Array2::from_shape_fn((30, 2), |(row, _)| match row {
            0..20 => 1.0f32,
            _ => row as f32,
        });
        let labels = random_labels(30, 2, 1);
        let all: Vec<u32> = (0..30).collect();
        let found = geometry(&vectors.view(), &labels, 2, &all, &all, 5, |_| {}).unwrap();
        let factors = local_outlier_factor(&found.nearest());
        assert!(
            factors[..20]
                .iter()
                .all(|&factor| (factor - 1.0).abs() < 1e-12)
        );
        assert!(
            factors
                .iter()
                .all(|factor| factor.is_finite() && *factor > 0.0)
        );
    }

    #[test]
    fn fewer_neighbours_than_wanted_are_enough() {
        let lists = Lists::new(
            2,
            vec![1, NONE, 0, NONE, NONE, NONE, 2, 0],
            vec![
                1.0,
                f32::INFINITY,
                2.0,
                f32::INFINITY,
                f32::INFINITY,
                f32::INFINITY,
                1.0,
                3.0,
            ],
        )
        .unwrap();
        let factors = local_outlier_factor(&lists);
        // records 0 and 1: reachability max(1, 2) = 2 and max(2, 1) = 2
        assert!((factors[0] - 1.0).abs() < 1e-9 && (factors[1] - 1.0).abs() < 1e-9);
        assert_eq!(factors[2].to_bits(), 1f64.to_bits());
        // record 3: (1 + 3) / 2 = 2 of its own, 2 of record 0
        assert!((factors[3] - 1.0).abs() < 1e-9);
    }
}
