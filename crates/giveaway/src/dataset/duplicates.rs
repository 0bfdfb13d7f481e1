//! Records that cannot be told apart.

use std::cmp::Ordering;

use super::Dataset;

/// The sets of two or more records that are equal in every encoded feature and in the label.
///
/// Each set is ascending, and the sets are ordered by their first record. 0 and -0 are equal.
#[must_use]
pub fn exact_duplicates(dataset: &Dataset) -> Vec<Vec<u32>> {
    let compare = |&a: &u32, &b: &u32| -> Ordering {
        let (a, b) = (a as usize, b as usize);
        dataset.labels[a].cmp(&dataset.labels[b]).then_with(|| {
            let (left, right) = (dataset.features.row(a), dataset.features.row(b));
            left.iter()
                .zip(right)
                // Adding 0 turns -0 into 0.
                .map(|(x, y)| (x + 0.0).total_cmp(&(y + 0.0)))
                .find(|ordering| ordering.is_ne())
                .unwrap_or(Ordering::Equal)
        })
    };
    let mut order: Vec<u32> = (0..dataset.len() as u32).collect();
    // The sort is stable, so that equal records stay ascending.
    order.sort_by(compare);
    let mut sets: Vec<Vec<u32>> = order
        .chunk_by(|a, b| compare(a, b).is_eq())
        .filter(|set| set.len() > 1)
        .map(<[u32]>::to_vec)
        .collect();
    sets.sort_unstable();
    sets
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::dataset::Schema;

    #[test]
    fn duplicates_are_equal_in_features_and_label() {
        let dataset = Dataset {
            features: array![
                [1.0, 2.0],
                [0.0, 5.0],
                [1.0, 2.0],
                [-0.0, 5.0],
                [1.0, 2.0],
                [1.0, 2.5]
            ],
            labels: vec![0, 1, 0, 1, 1, 0],
            ids: (0..6).map(|row| row.to_string()).collect(),
            schema: Schema::default(),
        };
        assert_eq!(exact_duplicates(&dataset), [[0, 2], [1, 3]]);
    }
}
