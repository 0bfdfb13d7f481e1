use giveaway_stats::random::Stream;

use super::super::evidence::Outputs;
use super::*;

struct Arrays {
    signals: Vec<Vec<f64>>,
    inside: Vec<Vec<bool>>,
    target: Vec<f64>,
    outputs: Vec<Outputs>,
    labels: Vec<u32>,
}

/// Scaled logits in which members stand out, and outputs of some sort.
fn arrays(models: usize, records: usize, seed: u64) -> Arrays {
    let mut stream = Stream::new(seed, "test of methods", 0);
    let mut inside: Vec<Vec<bool>> = Vec::new();
    for model in 0..=models {
        let row = if model % 2 == 1 {
            inside[model - 1].iter().map(|m| !m).collect()
        } else {
            (0..records).map(|_| stream.uniform() < 0.5).collect()
        };
        inside.push(row);
    }
    let mut signals: Vec<Vec<f64>> = inside
        .iter()
        .map(|row| {
            row.iter()
                .enumerate()
                .map(|(r, &m)| stream.normal() + (r % 7) as f64 + if m { 2.0 } else { 0.0 })
                .collect()
        })
        .collect();
    let outputs = signals
        .iter()
        .map(|row| Outputs {
            entropy: row.iter().map(|x| (-x).exp()).collect(),
            modified_entropy: row.iter().map(|x| (-x).exp() + 0.1).collect(),
            correct: row.iter().map(|&x| f64::from(u8::from(x > 0.0))).collect(),
        })
        .collect();
    // the last one is the target
    let target = signals.pop().unwrap();
    inside.pop();
    Arrays {
        signals,
        inside,
        target,
        outputs,
        labels: (0..records as u32).map(|r| r % 3).collect(),
    }
}

impl Arrays {
    fn evidence(&self) -> Evidence<'_, f64> {
        let mut evidence = Evidence::new(
            Scalar::ScaledLogit,
            self.signals.iter().map(Vec::as_slice).collect(),
            self.inside.iter().map(Vec::as_slice).collect(),
            self.target.clone(),
        );
        let (target, references) = self.outputs.split_last().unwrap();
        evidence.target_outputs = Some(target);
        evidence.reference_outputs = references.iter().collect();
        evidence.labels = Some(&self.labels);
        evidence
    }
}

/// Those that need no more than signals.
fn methods() -> Vec<Method> {
    let every = Method::EVERY.iter().copied();
    every
        .filter(|method| !method.is_of_the_target_alone())
        .collect()
}

fn by<T: Copy>(order: &[usize], row: &[T]) -> Vec<T> {
    order.iter().map(|&r| row[r]).collect()
}

fn all_scores(evidence: &Evidence<'_, f64>) -> Vec<Scores> {
    let attacker = Attacker::new(evidence, Parameters::default());
    methods()
        .into_iter()
        .map(|method| attacker.score(method).unwrap())
        .collect()
}

#[test]
fn names_are_distinct_and_found() {
    for &method in Method::EVERY {
        assert_eq!(Method::parse(method.name()).unwrap(), method);
    }
    let error = Method::parse("lira").unwrap_err();
    assert!(error.hint_text().unwrap().contains("lira-online-fixed"));
}

#[test]
fn permuting_records_permutes_scores() {
    let arrays = arrays(12, 40, 3);
    let plain = all_scores(&arrays.evidence());
    let mut order: Vec<usize> = (0..40).collect();
    Stream::new(1, "permutation", 0).shuffle(&mut order);
    let permuted = Arrays {
        signals: arrays.signals.iter().map(|row| by(&order, row)).collect(),
        inside: arrays.inside.iter().map(|row| by(&order, row)).collect(),
        target: by(&order, &arrays.target),
        outputs: arrays
            .outputs
            .iter()
            .map(|o| Outputs {
                entropy: by(&order, &o.entropy),
                modified_entropy: by(&order, &o.modified_entropy),
                correct: by(&order, &o.correct),
            })
            .collect(),
        labels: by(&order, &arrays.labels),
    };
    for ((method, before), after) in methods()
        .iter()
        .zip(plain)
        .zip(all_scores(&permuted.evidence()))
    {
        for (position, &record) in order.iter().enumerate() {
            let (a, b) = (before.scores[record], after.scores[position]);
            // pooled sums run in another order
            assert!(
                (a - b).abs() <= 1e-9 * a.abs().max(1.0),
                "{}: {a} {b}",
                method.name()
            );
        }
    }
}

#[test]
fn a_more_confident_target_is_never_less_member_like() {
    // but for those that fit a curve in both directions: a φ far above both means is
    // evidence for whichever has the larger variance
    let two_sided = [
        Method::LiraOnline,
        Method::LiraOnlineFixed,
        Method::Base4Online,
        Method::BavariaNOnline,
        Method::BavariaNOffline,
        Method::BavariaTOnline,
        Method::BavariaTOffline,
    ];
    let arrays = arrays(12, 40, 4);
    let mut evidence = arrays.evidence();
    let before = all_scores(&evidence);
    evidence.queries[0].target[5] += 1.0;
    let raised = arrays.outputs.last().unwrap();
    let raised = Outputs {
        entropy: raised.entropy.iter().map(|e| e * 0.9).collect(),
        modified_entropy: raised.modified_entropy.iter().map(|e| e * 0.9).collect(),
        correct: vec![1.0; 40],
    };
    evidence.target_outputs = Some(&raised);
    let after = all_scores(&evidence);
    for ((method, before), after) in methods().iter().zip(before).zip(after) {
        if !two_sided.contains(method) {
            assert!(after.scores[5] >= before.scores[5], "{}", method.name());
        }
    }
}

#[test]
fn members_score_higher() {
    let arrays = arrays(64, 400, 5);
    // the target is model 0 played by itself: known membership
    let evidence = arrays.evidence().with_target(0, &[1]);
    let is_member = &arrays.inside[0];
    let attacker = Attacker::new(&evidence, Parameters::default());
    for method in methods() {
        let scores = attacker.score(method).unwrap().scores;
        let roc = giveaway_stats::roc::Roc::new(&scores, is_member).unwrap();
        let expected =
            // or the answers of six records in seven are right whether IN or OUT
            if method.is_without_references() || method.needs_reference_outputs() {
                0.52
            } else {
                0.75
            };
        assert!(roc.auc() > expected, "{}: {}", method.name(), roc.auc());
    }
}

#[test]
fn threads_do_not_matter() {
    let arrays = arrays(9, 5000, 6);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| all_scores(&arrays.evidence()))
    };
    let bits = |scores: Vec<Scores>| -> Vec<u64> {
        scores
            .iter()
            .flat_map(|s| s.scores.iter().map(|x| x.to_bits()))
            .collect()
    };
    assert_eq!(bits(on(1)), bits(on(3)));
}

#[test]
fn queries_add_up_for_lira_and_are_ignored_by_others() {
    let (first, second) = (arrays(10, 30, 7), arrays(10, 30, 7));
    let mut both = first.evidence();
    let shifted: Vec<Vec<f64>> = second
        .signals
        .iter()
        .map(|row| row.iter().map(|x| x * 1.5).collect())
        .collect();
    both.queries.push(super::super::evidence::Query {
        references: shifted.iter().map(Vec::as_slice).collect(),
        target: second.target.iter().map(|x| x - 1.0).collect(),
    });
    let mut alone = first.evidence();
    alone.queries[0] = both.queries[1].clone();
    let (one, two, sum) = (
        all_scores(&first.evidence()),
        all_scores(&alone),
        all_scores(&both),
    );
    for (i, method) in methods().iter().enumerate() {
        for r in 0..30 {
            let expected = if method.uses_all_queries() {
                one[i].scores[r] + two[i].scores[r]
            } else {
                one[i].scores[r]
            };
            assert!(
                (sum[i].scores[r] - expected).abs() < 1e-9,
                "{}",
                method.name()
            );
        }
    }
}

#[test]
fn a_temperature_changes_those_that_compare_confidences() {
    let arrays = arrays(10, 30, 8);
    let mut evidence = arrays.evidence();
    let plain = all_scores(&evidence);
    // two classes: at temperature 2 the scaled logit is halved
    let p = |x: &f64| Scalar::ScaledLogit.confidence(x / 2.0);
    let tempered: Vec<Vec<f64>> = arrays
        .signals
        .iter()
        .map(|row| row.iter().map(p).collect())
        .collect();
    evidence.tempered = Some(super::super::evidence::Query {
        references: tempered.iter().map(Vec::as_slice).collect(),
        target: arrays.target.iter().map(p).collect(),
    });
    let halved: Vec<Vec<f64>> = arrays
        .signals
        .iter()
        .map(|row| row.iter().map(|x| x / 2.0).collect())
        .collect();
    let mut of_halves = arrays.evidence();
    of_halves.queries[0].references = halved.iter().map(Vec::as_slice).collect();
    of_halves.queries[0].target = arrays.target.iter().map(|x| x / 2.0).collect();
    let (tempered, of_halves) = (all_scores(&evidence), all_scores(&of_halves));
    for (i, method) in methods().iter().enumerate() {
        let compares_confidences = matches!(
            method,
            Method::RmiaOnline | Method::RmiaOffline | Method::Base1Online | Method::Base1Offline
        );
        let expected = if compares_confidences {
            &of_halves[i]
        } else {
            &plain[i]
        };
        for (a, b) in tempered[i].scores.iter().zip(&expected.scores) {
            assert!((a - b).abs() < 1e-9, "{}", method.name());
        }
    }
}

#[test]
fn what_is_lacking_is_named() {
    let arrays = arrays(6, 10, 9);
    let bare = Evidence::new(
        Scalar::Loss,
        arrays.signals.iter().map(Vec::as_slice).collect(),
        arrays.inside.iter().map(Vec::as_slice).collect(),
        arrays.target.clone(),
    );
    let attacker = Attacker::new(&bare, Parameters::default());
    for method in [
        Method::Gap,
        Method::Entropy,
        Method::ModifiedEntropy,
        Method::ModifiedEntropyClassWise,
        Method::LabelOnly,
        Method::QuantileRegression,
        Method::LtIqr,
    ] {
        let error = attacker.score(method).unwrap_err();
        assert!(error.to_string().starts_with(method.name()), "{error}");
    }
    let everywhere = [true; 10];
    let all_in = Evidence::new(
        Scalar::ScaledLogit,
        arrays.signals.iter().map(Vec::as_slice).collect(),
        vec![&everywhere[..]; 6],
        arrays.target.clone(),
    );
    let error = Attacker::new(&all_in, Parameters::default())
        .score(Method::LiraOffline)
        .unwrap_err();
    assert!(error.to_string().contains("OUT for more than 0"), "{error}");
}
