//! The trees, boosting and bins of scikit-learn 1.9.1, as `conformance/trees/generate.py` wrote
//! them down.

#![expect(clippy::unwrap_used, reason = "a test may fail this way")]

use std::collections::HashMap;

use giveaway_trees::{Boosting, Criterion, Ensemble, Examples, Features, Forest, MaxFeatures};
use ndarray::{Array2, Axis, Slice};

struct Values(HashMap<String, Vec<f64>>);

impl Values {
    fn read() -> Self {
        let text = include_str!("../../../conformance/trees/values.txt");
        Self(
            text.lines()
                .map(|line| {
                    let mut words = line.split(' ');
                    let name = words.next().unwrap().to_owned();
                    (name, words.map(|word| word.parse().unwrap()).collect())
                })
                .collect(),
        )
    }

    fn of(&self, name: &str) -> &[f64] {
        self.0.get(name).unwrap_or_else(|| panic!("no {name}"))
    }
}

/// Records of `generate.py`.
struct Data {
    train: Array2<f32>,
    test: Array2<f32>,
    labels: Vec<u32>,
    weights: Vec<f32>,
    classes: usize,
}

impl Data {
    fn read(values: &Values, name: &str) -> Self {
        let of = |what: &str| values.of(&format!("{name}.{what}"));
        let shape: Vec<usize> = of("shape").iter().map(|&x| x as usize).collect();
        let all = of("features").iter().map(|&x| x as f32).collect();
        let all = Array2::from_shape_vec((shape[0] + shape[1], shape[2]), all).unwrap();
        let part = |from, to| all.slice_axis(Axis(0), Slice::from(from..to)).to_owned();
        Self {
            train: part(0, shape[0]),
            test: part(shape[0], shape[0] + shape[1]),
            labels: of("labels")[..shape[0]].iter().map(|&x| x as u32).collect(),
            weights: of("weights").iter().map(|&x| x as f32).collect(),
            classes: shape[3],
        }
    }

    fn examples<'a>(&'a self, features: &'a Features, weighted: bool) -> Examples<'a> {
        Examples {
            features,
            labels: &self.labels,
            weights: weighted.then_some(&self.weights[..]),
            classes: self.classes,
        }
    }

    fn rows(&self) -> Vec<u32> {
        (0..self.labels.len() as u32).collect()
    }
}

#[test]
fn the_version_is_the_one_that_is_named() {
    assert_eq!(Values::read().of("scikit-learn"), [1.0, 9.0, 1.0]);
}

/// Class shares of a tree's leaves are sums of the same float32 weights in another order, and the
/// expected ones are written with 12 digits.
const SHARES: f64 = 1e-10;

#[test]
fn a_tree_has_the_leaves_of_scikit_learns() {
    let values = Values::read();
    let tree = Forest {
        trees: 1,
        bootstrap: false,
        max_features: MaxFeatures::All,
        ..Forest::default()
    };
    let entropy = Criterion::Entropy;
    let settings = [
        ("full", tree),
        (
            "shallow",
            Forest {
                max_depth: Some(4),
                ..tree
            },
        ),
        (
            "entropy",
            Forest {
                max_depth: Some(5),
                criterion: entropy,
                ..tree
            },
        ),
        (
            "leaves",
            Forest {
                min_samples_leaf: 7,
                ..tree
            },
        ),
        (
            "splits",
            Forest {
                min_samples_split: 40,
                criterion: entropy,
                ..tree
            },
        ),
    ];
    let mut compared = 0;
    for name in ["levels", "two", "pair", "pair-two"] {
        let data = Data::read(&values, name);
        let features = Features::new(data.train.view()).unwrap();
        for (setting, forest) in settings {
            for seed in 0..3 {
                let trained = forest
                    .train(&data.examples(&features, true), &data.rows(), seed)
                    .unwrap();
                for (part, inputs) in [("train", &data.train), ("test", &data.test)] {
                    let name = format!("tree.{name}.{setting}.{part}");
                    let Some(want) = values.0.get(&name) else {
                        continue;
                    };
                    let got = trained.probabilities(inputs.view()).unwrap();
                    assert_eq!(got.len(), want.len());
                    for (place, (got, want)) in got.iter().zip(want).enumerate() {
                        assert!((got - want).abs() <= SHARES, "{name} {place}: {got} {want}");
                    }
                    compared += 1;
                }
            }
        }
    }
    assert_eq!(compared, 3 * (4 * 5 + 2 * 2));
}

/// Scores as scikit-learn has them: that of the second class alone where there are two.
fn scores(trained: &Ensemble, inputs: &Array2<f32>) -> Vec<f64> {
    let logits = trained.logits(inputs.view()).unwrap();
    let from = usize::from(logits.ncols() == 2);
    logits
        .outer_iter()
        .flat_map(|row| {
            row.iter()
                .skip(from)
                .copied()
                .map(f64::from)
                .collect::<Vec<_>>()
        })
        .collect()
}

/// scikit-learn rounds every gradient and Hessian to float32 (one part in 1.7e7), and these add up
/// over twenty rounds; our logits are float32 as well.
const SCORES: f64 = 3e-6;

#[test]
fn boosting_has_the_scores_of_scikit_learns_after_every_round() {
    let values = Values::read();
    let boosting = Boosting::default();
    let small = Boosting {
        max_leaves: Some(6),
        learning_rate: 0.3,
        l2: 2.0,
        ..boosting
    };
    let deep = Boosting {
        max_leaves: None,
        max_depth: Some(3),
        min_samples_leaf: 5,
        ..boosting
    };
    let settings = [
        ("default", boosting, false),
        ("weighted", boosting, true),
        ("small", small, false),
        ("deep", deep, true),
    ];
    let mut compared = 0;
    for name in ["levels", "two", "pair", "pair-two"] {
        let data = Data::read(&values, name);
        let features = Features::new(data.train.view()).unwrap();
        for (setting, boosting, weighted) in settings {
            for rounds in [1, 5, 20] {
                let trained = Boosting { rounds, ..boosting }
                    .train(&data.examples(&features, weighted), &data.rows(), &[])
                    .unwrap();
                let mut parts = vec![(format!("{rounds}.train"), &data.train)];
                if rounds == 20 && setting == "small" && data.test.nrows() > 0 {
                    parts.push(("test".to_owned(), &data.test));
                }
                for (part, inputs) in parts {
                    let name = format!("boosting.{name}.{setting}.{part}");
                    let want = values.of(&name);
                    let got = scores(&trained, inputs);
                    assert_eq!(got.len(), want.len());
                    for (place, (got, want)) in got.iter().zip(want).enumerate() {
                        assert!(
                            (got - want).abs() <= SCORES * want.abs().max(1.0),
                            "{name} {place}: {got} {want}"
                        );
                    }
                    compared += 1;
                }
            }
        }
    }
    assert_eq!(compared, 4 * 4 * 3 + 2);
}

#[test]
fn quantile_bins_are_scikit_learns() {
    let values = Values::read();
    let column: Vec<f32> = values.of("bins.values").iter().map(|&x| x as f32).collect();
    let features =
        Features::new(Array2::from_shape_vec((1000, 1), column).unwrap().view()).unwrap();
    let want = values.of("bins.thresholds");
    let got = features.thresholds(0);
    assert_eq!(got.len(), want.len());
    for (&got, &want) in got.iter().zip(want) {
        assert!(
            (f64::from(got) - want).abs() <= 1e-7 * want.abs(),
            "{got} {want}"
        );
    }
}
