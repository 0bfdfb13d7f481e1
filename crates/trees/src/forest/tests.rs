use ndarray::Array2;
use proptest::prelude::*;

use super::*;
use crate::Features;
use crate::ensemble::LEAF;

/// What a side of a split leaves, by definition: its weight times its impurity.
fn impurity(criterion: Criterion, weights: &[f64]) -> f64 {
    let sum: f64 = weights.iter().sum();
    let shares = weights.iter().map(|w| w / sum).filter(|&p| p > 0.0);
    sum * match criterion {
        Criterion::Gini => 1.0 - shares.map(|p| p * p).sum::<f64>(),
        Criterion::Entropy => -shares.map(|p| p * p.ln()).sum::<f64>(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The first split leaves least of all splits there are.
    #[test]
    fn the_best_split_is_best_by_brute_force(
        values in proptest::collection::vec(0u8..6, 5 * 30),
        two in proptest::collection::vec(0u8..2, 2 * 30),
        labels in proptest::collection::vec(0u32..3, 30),
        weights in proptest::option::of(proptest::collection::vec(1u8..9, 30)),
        classes in 2u32..4,
        least in 1usize..8,
        entropy: bool,
    ) {
        let inputs = Array2::from_shape_fn((30, 7), |(record, feature)| {
            if feature < 5 {
                f32::from(values[record * 5 + feature])
            } else {
                f32::from(two[record * 2 + feature - 5])
            }
        });
        let labels: Vec<u32> = labels.into_iter().map(|label| label % classes).collect();
        let weights: Vec<f32> = weights.map_or(vec![1.0; 30], |w| {
            w.into_iter().map(|w| f32::from(w) / 4.0).collect()
        });
        let features = Features::new(inputs.view()).unwrap();
        let criterion = if entropy { Criterion::Entropy } else { Criterion::Gini };
        let settings = Forest {
            trees: 1,
            criterion,
            max_depth: Some(1),
            min_samples_leaf: least,
            max_features: MaxFeatures::All,
            bootstrap: false,
            ..Forest::default()
        };
        let examples = Examples {
            features: &features,
            labels: &labels,
            weights: Some(&weights),
            classes: 3,
        };
        let rows: Vec<u32> = (0..30).collect();
        let Ok(trained) = settings.train(&examples, &rows, 1) else {
            return Ok(());
        };
        let left = |feature: usize, threshold: f32| {
            let mut sides = [[0.0; 3]; 2];
            let mut counts = [0; 2];
            for record in 0..30 {
                let side = usize::from(inputs[[record, feature]] > threshold);
                sides[side][labels[record] as usize] += f64::from(weights[record]);
                counts[side] += 1;
            }
            (counts[0].min(counts[1]) >= least)
                .then(|| impurity(criterion, &sides[0]) + impurity(criterion, &sides[1]))
        };
        let mut fewest = None::<f64>;
        for feature in 0..7 {
            for threshold in 0u8..6 {
                if let Some(left) = left(feature, f32::from(threshold)) {
                    fewest = Some(fewest.map_or(left, |fewest| fewest.min(left)));
                }
            }
        }
        let root = trained.trees[0].nodes[0];
        if root.feature == LEAF {
            prop_assert!(fewest.is_none(), "{:?}", fewest);
        } else {
            let got = left(root.feature as usize, root.threshold).unwrap();
            prop_assert!((got - fewest.unwrap()).abs() < 1e-9, "{} {:?}", got, fewest);
        }
    }
}

#[test]
fn numbers_of_visited_features_are_scikit_learns() {
    let visited = |max_features, features| {
        let forest = Forest {
            max_features,
            ..Forest::default()
        };
        forest.visited(features)
    };
    assert_eq!(visited(MaxFeatures::Sqrt, 108), 10);
    assert_eq!(visited(MaxFeatures::Sqrt, 1), 1);
    assert_eq!(visited(MaxFeatures::All, 7), 7);
    assert_eq!(visited(MaxFeatures::Count(9), 7), 7);
    assert_eq!(visited(MaxFeatures::Share(0.5), 7), 3);
    assert_eq!(visited(MaxFeatures::Share(0.01), 7), 1);
}

#[test]
fn the_bootstrap_draws_samples_as_often_as_it_should() {
    // of one sample in a hundred of its own class, 1 − (1 − 1/100)^100 of the trees know
    let inputs = Array2::from_shape_fn((100, 1), |(record, _)| record as f32);
    let features = Features::new(inputs.view()).unwrap();
    let labels: Vec<u32> = (0..100).map(|record| u32::from(record == 40)).collect();
    let examples = Examples {
        features: &features,
        labels: &labels,
        weights: None,
        classes: 2,
    };
    let forest = Forest {
        trees: 4000,
        ..Forest::default()
    };
    let rows: Vec<u32> = (0..100).collect();
    let trained = forest.train(&examples, &rows, 1).unwrap();
    let know = trained
        .trees
        .iter()
        .filter(|tree| tree.nodes.len() > 1)
        .count();
    let want = 4000.0 * (1.0 - 0.99f64.powi(100));
    // four standard deviations
    assert!((know as f64 - want).abs() < 4.0 * 30.5, "{know} {want}");
}
