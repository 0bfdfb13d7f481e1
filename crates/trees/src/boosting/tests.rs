use ndarray::Array2;

use super::*;

#[test]
fn sums_leave_room_for_all_samples() {
    for (samples, weight) in [
        (1, 1e-40),
        (20, 20.0),
        (24_000, 24_000.0),
        (1 << 20, 3e38),
        (5, 1e9),
    ] {
        let scale = Scale::new(samples, weight);
        let each = weight / samples as f64;
        let slope = scale.sample(-each, each / 4.0);
        let (mut gradient, mut rest) = (0i128, 0u128);
        for _ in 0..samples {
            gradient += i128::from(slope.gradient);
            rest += u128::from(slope.rest);
        }
        let sum = Sum {
            gradient: i64::try_from(gradient).unwrap(),
            rest: u64::try_from(rest).unwrap(),
        };
        assert_eq!(scale.count(sum), samples);
        assert!((scale.gradient(sum) + weight).abs() <= 1e-12 * weight);
        assert!((scale.hessian(sum) - weight / 4.0).abs() <= 1e-7 * weight);
    }
}

#[test]
fn the_smaller_child_and_what_it_leaves_are_the_sums_by_definition() {
    let inputs = Array2::from_shape_fn((90, 4), |(record, feature)| {
        ((record * (feature + 3) / 2) % (2 + 5 * feature)) as f32
    });
    let features = Features::new(inputs.view()).unwrap();
    let labels: Vec<u32> = (0..90).map(|record| record * 7 / 3 % 2).collect();
    let examples = Examples {
        features: &features,
        labels: &labels,
        weights: None,
        classes: 2,
    };
    let rows: Vec<u32> = (0..90).rev().chain(3..30).collect();
    let samples = examples.samples(&rows).unwrap();
    let settings = Boosting::default();
    let training = Training::new(&settings, &examples, &samples);
    let mut slopes = Vec::new();
    training.slopes_of_two(&vec![0.3; rows.len()], &mut slopes);
    let sums_of = |places: &[u32]| {
        let mut total = Sum::default();
        for &place in places {
            total.add(slopes[place as usize]);
        }
        let mut sums = training.zeros();
        training.add_up(&slopes, places, total, &mut sums, &mut Vec::new());
        sums
    };
    let all: Vec<u32> = (0..rows.len() as u32).collect();
    let (front, back) = all.split_at(41);
    let (whole, part, rest) = (sums_of(&all), sums_of(front), sums_of(back));
    let mut definition = training.zeros();
    for &place in front {
        for feature in 0..4 {
            let record = rows[place as usize] as usize;
            let bin = usize::from(features.codes(feature)[record]);
            definition[training.sparse.starts[feature] + bin].add(slopes[place as usize]);
        }
    }
    assert_eq!(part, definition);
    for ((whole, part), rest) in whole.iter().zip(&part).zip(&rest) {
        assert_eq!(whole.minus(*part), *rest);
    }
}

#[test]
fn partitions_keep_the_order_of_both_sides() {
    let mut places: Vec<u32> = (0..20).map(|i| i * 7 % 20).collect();
    let want: Vec<u32> = places
        .iter()
        .filter(|&&p| p < 8)
        .chain(places.iter().filter(|&&p| p >= 8))
        .copied()
        .collect();
    assert_eq!(
        partition(&mut places, &mut Vec::new(), |place| place < 8),
        8
    );
    assert_eq!(places, want);
    assert_eq!(partition(&mut places, &mut Vec::new(), |_| true), 20);
    assert_eq!(partition(&mut places, &mut Vec::new(), |_| false), 0);
    assert_eq!(places, want);
}
