use super::super::reference::{Reference, normal, random_labels, with_threads};
use super::*;

fn all(records: usize) -> Vec<u32> {
    (0..records as u32).collect()
}

/// Everything by definition, in float64, all pairs.
struct BruteForce {
    own: Vec<Vec<(f64, u32)>>,
    other: Vec<Vec<(f64, u32)>>,
    silhouette: Vec<f64>,
}

fn brute_force(
    vectors: &Array2<f32>,
    labels: &[u32],
    classes: usize,
    owners: &[u32],
    among: &[u32],
) -> BruteForce {
    let mut result = BruteForce {
        own: Vec::new(),
        other: Vec::new(),
        silhouette: Vec::new(),
    };
    for record in 0..labels.len() {
        let mut by_class = vec![Vec::new(); classes];
        for &other in among {
            if owners[other as usize] != owners[record] {
                let square: f64 = vectors
                    .row(record)
                    .iter()
                    .zip(vectors.row(other as usize))
                    .map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2))
                    .sum();
                by_class[labels[other as usize] as usize].push((square.sqrt(), other));
            }
        }
        let mean = |list: &Vec<(f64, u32)>| {
            (!list.is_empty()).then(|| list.iter().map(|x| x.0).sum::<f64>() / list.len() as f64)
        };
        let label = labels[record] as usize;
        let a = mean(&by_class[label]);
        let b = (0..classes)
            .filter(|&class| class != label)
            .filter_map(|class| mean(&by_class[class]))
            .min_by(f64::total_cmp);
        result.silhouette.push(match (a, b) {
            (Some(a), Some(b)) if a.max(b) > 0.0 => (b - a) / a.max(b),
            _ => 0.0,
        });
        let sorted = |mut list: Vec<(f64, u32)>| {
            list.sort_by(|x, y| x.0.total_cmp(&y.0).then(x.1.cmp(&y.1)));
            list
        };
        result.own.push(sorted(by_class[label].clone()));
        by_class.remove(label);
        result.other.push(sorted(by_class.concat()));
    }
    result
}

fn compare(lists: &Lists, expected: &[Vec<(f64, u32)>]) {
    for (record, expected) in expected.iter().enumerate() {
        let wanted = expected.len().min(lists.k());
        assert_eq!(lists.records(record).len(), wanted, "record {record}");
        for (place, &(distance, other)) in expected[..wanted].iter().enumerate() {
            assert_eq!(
                lists.records(record)[place],
                other,
                "record {record}, {place}"
            );
            let found = f64::from(lists.distances(record)[place]);
            assert!(
                (found - distance).abs() <= 1e-6 * distance,
                "{found} {distance}"
            );
        }
    }
}

/// Over several blocks of rows and columns, classes, units, a sample, copies.
#[test]
fn agrees_with_all_pairs() {
    let mut vectors = normal(1300, 9, 1);
    let labels = random_labels(1300, 4, 2);
    let owners: Vec<u32> = (0..1300u32)
        .map(|r| if r % 7 == 0 { r / 70 } else { r + 1000 })
        .collect();
    for copy in [600, 700, 1299] {
        let row = vectors.row(5).to_owned();
        vectors.row_mut(copy).assign(&row);
    }
    let every_third: Vec<u32> = (0..1300).filter(|r| r % 3 == 0).collect();
    for among in [all(1300), every_third] {
        let found = geometry(&vectors.view(), &labels, 4, &owners, &among, 6, |_| {}).unwrap();
        let expected = brute_force(&vectors, &labels, 4, &owners, &among);
        compare(&found.own, &expected.own);
        compare(&found.other, &expected.other);
        for (a, b) in found.silhouette.iter().zip(&expected.silhouette) {
            assert!((a - b).abs() < 2e-6, "{a} {b}");
        }
    }
}

/// Far from the origin, clusters of near-copies: the distances that float32 products lose.
#[test]
fn near_copies_far_from_the_origin_are_exact() {
    let mut vectors = normal(400, 12, 3);
    let noise = normal(400, 12, 4);
    for record in 0..400 {
        let centre = vectors.row(record % 100).to_owned();
        let mut row = vectors.row_mut(record);
        row.assign(&(centre * 10.0 + 300.0));
        row.scaled_add(1e-3, &noise.row(record));
    }
    let labels = random_labels(400, 2, 5);
    let among = all(400);
    let found = geometry(&vectors.view(), &labels, 2, &among, &among, 3, |_| {}).unwrap();
    let expected = brute_force(&vectors, &labels, 2, &among, &among);
    compare(&found.own, &expected.own);
    compare(&found.other, &expected.other);
    for (a, b) in found.silhouette.iter().zip(&expected.silhouette) {
        assert!((a - b).abs() < 2e-6, "{a} {b}");
    }
}

/// Whole numbers have many ties; all are resolved by number, and copies are at distance 0.
#[test]
fn ties_of_zeros_and_ones_are_resolved_by_number() {
    let mut stream = giveaway_stats::random::Stream::new(6, "bits", 0);
    let vectors = Array2::from_shape_fn((700, 8), |(_, c)| {
        f32::from(u8::from(stream.uniform() < 0.1 * (c as f64 + 1.0)))
    });
    let labels = random_labels(700, 3, 7);
    let among = all(700);
    let found = geometry(&vectors.view(), &labels, 3, &among, &among, 10, |_| {}).unwrap();
    let expected = brute_force(&vectors, &labels, 3, &among, &among);
    compare(&found.own, &expected.own);
    compare(&found.other, &expected.other);
    let copies = (0..700).filter(|&r| found.own.distances(r)[0].to_bits() == 0);
    assert!(copies.count() > 100);
    let merged = found.nearest();
    for record in 0..700 {
        let mut both = [expected.own[record].clone(), expected.other[record].clone()].concat();
        both.sort_by(|x, y| x.0.total_cmp(&y.0).then(x.1.cmp(&y.1)));
        let both: Vec<u32> = both[..10].iter().map(|x| x.1).collect();
        assert_eq!(merged.records(record), both);
    }
}

#[test]
fn agrees_with_scikit_learn() {
    for reference in Reference::both() {
        let all = reference.all();
        let found = geometry(
            &reference.vectors.view(),
            &reference.labels,
            2,
            &all,
            &all,
            10,
            |_| {},
        )
        .unwrap();
        reference.compare("silhouette", &found.silhouette, 1e-6, 1.0);
        let nearest = found.nearest();
        let first: Vec<f64> = (0..all.len())
            .map(|r| f64::from(nearest.records(r)[0]))
            .collect();
        reference.compare("nearest", &first, 0.0, 1.0);
        let farthest: Vec<f64> = nearest.farthest().into_iter().map(f64::from).collect();
        reference.compare("farthest of 10", &farthest, 1e-6, 0.0);
        let agreement = found.label_agreement(&reference.labels);
        reference.compare("agreement", &agreement, 1e-8, 1.0);
        reference.compare("own to other", &found.own_to_other_ratio(), 1e-6, 0.0);
    }
}

#[test]
fn does_not_depend_on_threads() {
    let vectors = normal(1100, 33, 8);
    let labels = random_labels(1100, 5, 9);
    let among = all(1100);
    let run = || geometry(&vectors.view(), &labels, 5, &among, &among, 4, |_| {}).unwrap();
    assert_eq!(with_threads(1, run), with_threads(3, run));
}

/// Records in another order, and columns first in memory.
#[test]
fn follows_a_permutation() {
    let vectors = normal(900, 5, 10);
    let labels = random_labels(900, 3, 11);
    let owners: Vec<u32> = (0..900).map(|r| r / 2).collect();
    let among = all(900);
    let found = geometry(&vectors.view(), &labels, 3, &owners, &among, 5, |_| {}).unwrap();
    let mut order: Vec<usize> = (0..900).collect();
    giveaway_stats::random::Stream::new(12, "order", 0).shuffle(&mut order);
    let mut moved = Array2::zeros((5, 900)).reversed_axes();
    for (to, &from) in order.iter().enumerate() {
        moved.row_mut(to).assign(&vectors.row(from));
    }
    let of = |values: &[u32]| order.iter().map(|&from| values[from]).collect::<Vec<_>>();
    let after = geometry(
        &moved.view(),
        &of(&labels),
        3,
        &of(&owners),
        &among,
        5,
        |_| {},
    )
    .unwrap();
    for (to, &from) in order.iter().enumerate() {
        for (before, after) in [(&found.own, &after.own), (&found.other, &after.other)] {
            assert_eq!(before.distances(from), after.distances(to));
            let named = after.records(to).iter().map(|&r| order[r as usize] as u32);
            assert_eq!(before.records(from), named.collect::<Vec<_>>());
        }
        assert!((found.silhouette[from] - after.silhouette[to]).abs() < 1e-6);
    }
}

/// One class, a record alone in its class, more neighbours than there are, one record, all alike.
#[test]
fn small_and_degenerate_inputs_are_defined() {
    let vectors = normal(5, 3, 13);
    let among = all(5);
    let one_class = geometry(&vectors.view(), &[0; 5], 1, &among, &among, 7, |_| {}).unwrap();
    assert_eq!(one_class.silhouette, [0.0; 5]);
    assert!(one_class.own.records(2).len() == 4 && one_class.other.records(2).is_empty());
    assert_eq!(one_class.other.nearest(0), None);
    assert_eq!(one_class.nearest_class, [NONE; 5]);
    assert_eq!(one_class.label_agreement(&[0; 5]), [1.0; 5]);
    assert_eq!(one_class.own_to_other_ratio(), [0.0; 5]);

    let alone = geometry(
        &vectors.view(),
        &[0, 0, 1, 0, 0],
        3,
        &among,
        &among,
        2,
        |_| {},
    )
    .unwrap();
    assert_eq!(alone.silhouette[2].to_bits(), 0);
    assert!(alone.mean_own[2].is_nan());
    assert!(alone.own.farthest()[2].is_infinite());
    assert_eq!(alone.nearest_class, [1, 1, 0, 1, 1]);
    assert!(alone.own_to_other_ratio()[2].is_infinite());

    let single = geometry(&normal(1, 3, 1).view(), &[0], 1, &[0], &[0], 3, |_| {}).unwrap();
    assert!(single.nearest().records(0).is_empty());
    assert!(single.label_agreement(&[0])[0].is_nan());

    let alike = Array2::from_elem((40, 6), 0.1f32);
    let labels = random_labels(40, 2, 1);
    let among = all(40);
    let found = geometry(&alike.view(), &labels, 2, &among, &among, 3, |_| {}).unwrap();
    assert_eq!(found.silhouette, [0.0; 40]);
    assert_eq!(found.nearest().farthest(), [0.0; 40]);
    assert_eq!(found.own_to_other_ratio(), [1.0; 40]);

    let none = geometry(&Array2::zeros((0, 3)).view(), &[], 2, &[], &[], 3, |_| {}).unwrap();
    assert!(none.own.is_empty() && none.nearest().is_empty());
    let no_columns = Array2::zeros((3, 0));
    let flat = geometry(
        &no_columns.view(),
        &[0, 1, 0],
        2,
        &[0, 1, 2],
        &[0, 1, 2],
        2,
        |_| {},
    )
    .unwrap();
    assert_eq!(flat.nearest().records(0), [1, 2]);
}

#[test]
fn refuses_what_has_no_distances() {
    let refused = |vectors: Array2<f32>, labels: &[u32], among: &[u32], k| {
        let owners: Vec<u32> = (0..labels.len() as u32).collect();
        geometry(&vectors.view(), labels, 2, &owners, among, k, |_| {}).is_err()
    };
    let good = || normal(3, 2, 1);
    assert!(!refused(good(), &[0, 1, 0], &[0, 1, 2], 1));
    for bad in [f32::NAN, f32::INFINITY, 1e19] {
        let mut vectors = good();
        vectors[[1, 1]] = bad;
        assert!(refused(vectors, &[0, 1, 0], &[0, 1, 2], 1), "{bad}");
    }
    assert!(refused(good(), &[0, 2, 0], &[0, 1, 2], 1));
    assert!(refused(good(), &[0, 1], &[0, 1], 1));
    assert!(refused(good(), &[0, 1, 0], &[1, 0], 1));
    assert!(refused(good(), &[0, 1, 0], &[0, 3], 1));
    assert!(refused(good(), &[0, 1, 0], &[0, 1, 2], 0));
}

#[test]
fn lists_are_checked() {
    assert!(Lists::new(2, vec![1, NONE, 0, 1], vec![1.0, f32::INFINITY, 1.0, 0.0]).is_ok());
    assert!(Lists::new(2, vec![1, 0, 0], vec![1.0; 3]).is_err());
    assert!(Lists::new(1, vec![2, 0], vec![1.0; 2]).is_err());
    assert!(Lists::new(0, vec![], vec![]).is_err());
}
