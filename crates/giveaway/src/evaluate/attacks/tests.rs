use super::*;
use crate::attack::evidence::Scalar;
use giveaway_stats::roc::Roc;

/// Signals of models in complementary pairs; members stand out by `gain`.
fn pairs(pairs: usize, records: usize, gain: f32, seed: u64) -> (Vec<Vec<f32>>, Vec<Vec<bool>>) {
    let mut stream = Stream::new(seed, "test of played attacks", 0);
    let mut inside: Vec<Vec<bool>> = Vec::new();
    for _ in 0..pairs {
        let half: Vec<bool> = (0..records).map(|_| stream.uniform() < 0.5).collect();
        inside.push(half.clone());
        inside.push(half.iter().map(|m| !m).collect());
    }
    let signals = inside
        .iter()
        .map(|row| {
            row.iter()
                .map(|&m| stream.normal() as f32 + if m { gain } else { 0.0 })
                .collect()
        })
        .collect();
    (signals, inside)
}

fn play(signals: &[Vec<f32>], inside: &[Vec<bool>], methods: &[Method]) -> Vec<Played> {
    let evidence = Evidence::new(
        Scalar::ScaledLogit,
        signals.iter().map(Vec::as_slice).collect(),
        inside.iter().map(Vec::as_slice).collect(),
        vec![0.0; inside[0].len()],
    );
    let families: Vec<usize> = (0..inside.len()).map(|model| model / 2).collect();
    Protocol {
        evidence: &evidence,
        methods,
        parameters: Parameters::default(),
        families: &families,
        seed: 3,
    }
    .run(|| ())
}

const METHODS: [Method; 4] = [
    Method::LiraOnline,
    Method::RmiaOffline,
    Method::BavariaTOnline,
    Method::GmiaDirect,
];

/// Nothing of members in the signals: no attack may see any.
#[test]
fn noise_gives_nobody_away() {
    let (signals, inside) = pairs(12, 300, 0.0, 1);
    for played in play(&signals, &inside, &METHODS) {
        let auc = played.quality.ranking.auc;
        let name = played.method.name();
        assert!(
            auc.lower.unwrap() < 0.5 && auc.upper.unwrap() > 0.5,
            "{name}: {auc:?}"
        );
        assert!(
            auc.upper.unwrap() - auc.lower.unwrap() < 0.08,
            "{name}: {auc:?}"
        );
    }
}

#[test]
fn figures_are_means_over_targets_and_the_complement_is_no_reference() {
    let (signals, inside) = pairs(6, 200, 1.5, 2);
    let played = play(&signals, &inside, &METHODS);
    for outcome in &played {
        let mut aucs = Vec::new();
        for model in 0..12 {
            let rows = |v: &[Vec<f32>]| -> Vec<Vec<f32>> {
                (0..12)
                    .filter(|m| m / 2 != model / 2)
                    .map(|m| v[m].clone())
                    .collect()
            };
            let masks: Vec<&[bool]> = (0..12)
                .filter(|m| m / 2 != model / 2)
                .map(|m| inside[m].as_slice())
                .collect();
            let kept = rows(&signals);
            let evidence = Evidence::new(
                Scalar::ScaledLogit,
                kept.iter().map(Vec::as_slice).collect(),
                masks,
                signals[model].iter().map(|&x| f64::from(x)).collect(),
            );
            let scores = Attacker::new(&evidence, Parameters::default())
                .score(outcome.method)
                .unwrap()
                .scores;
            let known: Vec<usize> = (0..200).filter(|&r| !scores[r].is_nan()).collect();
            let of: Vec<f64> = known.iter().map(|&r| scores[r]).collect();
            let members: Vec<bool> = known.iter().map(|&r| inside[model][r]).collect();
            aucs.push(Roc::new(&of, &members).unwrap().auc());
        }
        let counts = outcome.recurrence.as_ref().unwrap();
        let mean = aucs.iter().sum::<f64>() / 12.0;
        let found = outcome.quality.ranking.auc.value.unwrap();
        assert!((found - mean).abs() < 1e-12, "{}", outcome.method.name());
        let counts: u32 = counts.iter().map(|r| r.in_targets + r.out_targets).sum();
        assert_eq!(counts, 12 * 200);
    }
}

#[test]
fn a_threshold_keeps_to_its_rate_where_it_was_chosen() {
    let (signals, inside) = pairs(8, 250, 2.0, 4);
    for outcome in play(&signals, &inside, &[Method::LiraOnlineFixed, Method::Loss]) {
        // 8 pairs of 250 records: 2,000 non-members
        let counts = outcome.recurrence.as_ref().unwrap();
        let accused: u32 = counts.iter().map(|r| r.wrongly_accused).sum();
        assert!(accused <= 20 && accused > 0, "{accused}");
        let found: u32 = counts.iter().map(|r| r.found).sum();
        assert!(found > 10 * accused);
        assert!(outcome.thresholds[2].is_some() && outcome.thresholds[3].is_none());
    }
    assert_eq!(
        threshold(&[3.0, 2.0, 2.0, 1.0], 0.5),
        Some(2.0f64.next_up())
    );
    assert_eq!(
        threshold(&[3.0, 2.0, 2.0, 1.0], 0.25),
        Some(2.0f64.next_up())
    );
    assert_eq!(threshold(&[3.0, 2.0, 2.0, 1.0], 0.2), None);
}

#[test]
fn on_the_target_figures_are_those_of_its_roc_and_nan_is_counted() {
    let mut stream = Stream::new(9, "on target", 0);
    let members: Vec<bool> = (0..500).map(|r| r % 2 == 0).collect();
    let mut scores: Vec<f64> = members
        .iter()
        .map(|&m| stream.normal() + f64::from(u8::from(m)))
        .collect();
    scores[7] = f64::NAN;
    let quality = Judge::new(&members, 1).judge(&Scores::of(scores.clone()));
    assert_eq!((quality.scored, quality.unscored), (499, 1));
    let (mut known, mut of) = (scores.clone(), members.clone());
    known.remove(7);
    of.remove(7);
    let roc = Roc::new(&known, &of).unwrap();
    assert!((quality.ranking.auc.value.unwrap() - roc.auc()).abs() < 1e-12);
    let interval = quality.ranking.auc;
    assert!(interval.lower.unwrap() < roc.auc() && interval.upper.unwrap() > roc.auc());
    assert_eq!(quality.ranking.at_rates[2].true_positive_rate.value, None);
    let carried = carry(Some(0.5), 0.01, &Scores::of(scores.clone()), &members);
    let accused = |member: bool| {
        let of = || {
            scores
                .iter()
                .zip(&members)
                .filter(|(s, m)| **m == member && !s.is_nan())
        };
        of().filter(|(s, _)| **s >= 0.5).count() as f64 / of().count() as f64
    };
    assert_eq!(carried.true_positive_rate.value, Some(accused(true)));
    assert_eq!(carried.false_positive_rate.value, Some(accused(false)));
}

/// Replicates draw whole families: where one family of models behaves otherwise, figures
/// spread far more than records alone would make them.
#[test]
fn intervals_know_that_families_differ() {
    let (mut signals, inside) = pairs(8, 400, 0.0, 6);
    let width = |signals: &[Vec<f32>]| {
        let auc = play(signals, &inside, &[Method::Loss])[0]
            .quality
            .ranking
            .auc;
        auc.upper.unwrap() - auc.lower.unwrap()
    };
    let alike = width(&signals);
    for model in [4, 5] {
        for (value, &member) in signals[model].iter_mut().zip(&inside[model]) {
            *value += if member { 6.0 } else { 0.0 };
        }
    }
    // an AUC of 1 among seven of .5: families drawn again spread by about .5 √(7/64)/√8 · 4
    assert!(width(&signals) > 3.0 * alike && width(&signals) > 0.15);
}

#[test]
fn every_interval_holds_its_value() {
    let (signals, inside) = pairs(8, 150, 0.7, 8);
    let is_member = &inside[3];
    let judge = Judge::new(is_member, 2);
    for played in play(&signals, &inside, &METHODS) {
        let own = Scores::of(signals[3].iter().map(|&x| f64::from(x)).collect());
        for quality in [&played.quality, &judge.judge(&own)] {
            let ranking = &quality.ranking;
            let mut estimates = vec![ranking.auc, ranking.advantage, ranking.balanced_accuracy];
            estimates.extend(quality.predictive_value.iter().map(|p| p.value));
            for estimate in estimates {
                let (Some(value), Some(lower), Some(upper)) =
                    (estimate.value, estimate.lower, estimate.upper)
                else {
                    continue;
                };
                assert!(
                    lower <= value && value <= upper,
                    "{}: {estimate:?}",
                    played.method.name()
                );
            }
        }
    }
}

/// A floor that more than 1 % of the non-members share leaves no threshold that can be carried.
#[test]
fn a_floor_is_not_carried() {
    let (signals, inside) = pairs(6, 300, 0.3, 9);
    let evidence = Evidence::new(
        Scalar::ScaledLogit,
        signals.iter().map(Vec::as_slice).collect(),
        inside.iter().map(Vec::as_slice).collect(),
        vec![0.0; 300],
    );
    let families: Vec<usize> = (0..12).map(|model| model / 2).collect();
    let played = Protocol {
        evidence: &evidence,
        methods: &[Method::GmiaDirect],
        parameters: Parameters {
            null: crate::attack::direct::Null::Ecdf,
            ..Parameters::default()
        },
        families: &families,
        seed: 3,
    }
    .run(|| ());
    // five OUT models: p is 1/6 for one non-member in six
    assert_eq!(played[0].thresholds, [None; 4]);
    assert!(played[0].recurrence.is_none());
}
