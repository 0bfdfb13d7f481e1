use super::*;
use crate::attack::direct::{DirectInference, LeftOut};
use crate::membership::{Design, Membership};
use crate::signals::{Accuracy, ModelSignals, Signals};
use giveaway_stats::combination::combine;
use giveaway_stats::random::Stream;
use ndarray::{Array2, Axis};
use proptest::prelude::*;

/// A record with everything that its test needs.
#[derive(Clone, Debug)]
struct Record {
    logits: Array2<f64>,
    inside: Vec<bool>,
    tails: Vec<Tail>,
    weights: Vec<f64>,
    target: Vec<f64>,
}

impl Record {
    /// `out` OUT models and as many IN models, in turn; queries share a part of their
    /// variation, and half of them are tested in the lower tail.
    fn drawn(seed: u64, out: usize, queries: usize, correlation: f64) -> Self {
        let mut stream = Stream::new(seed, "indirect record", 0);
        let models = 2 * out;
        let tails: Vec<Tail> = (0..queries)
            .map(|query| {
                if query % 2 == 0 {
                    Tail::Upper
                } else {
                    Tail::Lower
                }
            })
            .collect();
        let mut row = |shift: f64| -> Vec<f64> {
            let shared = stream.normal();
            let of_tail = tails.iter().map(|tail| {
                let u = correlation.sqrt() * shared
                    + (1.0 - correlation).sqrt() * stream.normal()
                    + shift;
                tail.oriented(u)
            });
            of_tail.collect()
        };
        let rows: Vec<f64> = (0..models)
            .flat_map(|model| row(if model % 2 == 0 { 0.0 } else { 1.0 }))
            .collect();
        let target = row(0.7);
        Self {
            logits: Array2::from_shape_vec((models, queries), rows).unwrap(),
            inside: (0..models).map(|model| model % 2 == 1).collect(),
            weights: (0..queries)
                .map(|query| 1.0 / (1.0 + query as f64))
                .collect(),
            tails,
            target,
        }
    }

    fn queries(&self) -> RecordQueries<'_, f64> {
        RecordQueries {
            logits: self.logits.view(),
            inside: &self.inside,
            tails: &self.tails,
            weights: Some(&self.weights),
            cut: None,
        }
    }

    fn test(&self, settings: &Settings) -> Tested {
        test(&self.queries(), &self.target, settings).unwrap()
    }

    /// OUT models' oriented statistics of one query.
    fn out(&self, query: usize) -> Vec<f64> {
        (0..self.inside.len())
            .filter(|&model| !self.inside[model])
            .map(|model| self.tails[query].oriented(self.logits[[model, query]]))
            .collect()
    }

    fn keep_queries(&self, queries: &[usize]) -> Self {
        Self {
            logits: self.logits.select(Axis(1), queries),
            inside: self.inside.clone(),
            tails: queries.iter().map(|&q| self.tails[q]).collect(),
            weights: queries.iter().map(|&q| self.weights[q]).collect(),
            target: queries.iter().map(|&q| self.target[q]).collect(),
        }
    }

    fn keep_models(&self, models: &[usize]) -> Self {
        Self {
            logits: self.logits.select(Axis(0), models),
            inside: models.iter().map(|&m| self.inside[m]).collect(),
            ..self.clone()
        }
    }
}

/// Where the interface hides how far several OUT models are from the tail, the query is judged
/// by ranks, in either tail, and so is the weighted sum that such a query is in.
#[test]
fn ranks_judge_what_the_interface_hides() {
    let cut = -1.2;
    let mut record = Record::drawn(11, 12, 12, 0.2);
    let shown = |phi: f64| phi.clamp(cut, -cut);
    record.logits.mapv_inplace(shown);
    record.target.iter_mut().for_each(|phi| *phi = shown(*phi));
    let limited = RecordQueries {
        cut: Some(cut),
        ..record.queries()
    };
    let budgets: Vec<usize> = (1..=12).collect();
    let [as_shown, by_shape, by_rank] = [
        (&limited, Null::T),
        (&record.queries(), Null::T),
        (&record.queries(), Null::Ecdf),
    ]
    .map(|(queries, null)| test(queries, &record.target, &settings(null, &budgets)).unwrap());
    let hidden: Vec<bool> = (0..12)
        .map(|query| record.out(query).iter().filter(|&&u| u <= cut).count() > 1)
        .collect();
    for (query, &hidden) in hidden.iter().enumerate() {
        let expected = if hidden { &by_rank } else { &by_shape };
        assert_same(as_shown.p_values[query], expected.p_values[query]);
    }
    for tail in [Tail::Upper, Tail::Lower] {
        let of_tail: Vec<bool> = (0..12)
            .filter(|&query| record.tails[query] == tail)
            .map(|query| hidden[query])
            .collect();
        assert!(
            of_tail.contains(&true) && of_tail.contains(&false),
            "{of_tail:?}"
        );
    }
    let discriminant = Combination::EVERY
        .iter()
        .position(|&combination| combination == Combination::Discriminant)
        .unwrap();
    let first = hidden.iter().position(|&hidden| hidden).unwrap();
    assert!(first > 0);
    for budget in 0..12 {
        let expected = if budget >= first { &by_rank } else { &by_shape };
        assert_same(
            as_shown.combined(discriminant, budget),
            expected.combined(discriminant, budget),
        );
    }
}

fn assert_same(a: f64, b: f64) {
    assert!(close(a, b), "{a} and {b}");
}

fn settings(null: Null, budgets: &[usize]) -> Settings {
    Settings {
        null,
        combinations: Combination::EVERY.to_vec(),
        budgets: budgets.to_vec(),
    }
}

fn close(a: f64, b: f64) -> bool {
    (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * b.abs()
}

/// All combined p-values, combination after combination.
fn all(tested: &Tested) -> Vec<f64> {
    tested.combined.clone()
}

fn assert_close(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (place, (&a, &b)) in found.iter().zip(expected).enumerate() {
        assert!(close(a, b), "{what}, {place}: {a} for {b}");
    }
}

/// Records of one query each, as units of direct inference, in both designs and in both tails:
/// each model plays the target.
#[test]
fn a_query_is_tested_as_in_direct_inference() {
    let (units, models) = (14, 40);
    let everybody: Vec<u32> = (0..units as u32).collect();
    for design in [Design::Halves, Design::Subsample] {
        let membership = Membership::draw(design, models, units, &everybody, 7, 4).unwrap();
        let mut stream = Stream::new(5, "as direct", 0);
        let mut u = Array2::from_shape_fn((units, models), |_| stream.normal() as f32);
        // all OUT models agree; and all but one
        u.row_mut(3).fill(0.3);
        u.row_mut(4).fill(0.3);
        let lonely = (0..models).find(|&m| !membership.is_in(m, 4)).unwrap();
        u[[4, lonely]] = 7.0;
        u.row_mut(5).mapv_inplace(f32::round);
        let signals = Signals::from_arrays(&u.mapv(|u| -u), &u);
        let inference = DirectInference::new(&signals, &membership, &everybody, 0..models);
        let observed: Vec<f32> = (0..units).map(|_| 1.0 + stream.normal() as f32).collect();
        let target = ModelSignals {
            loss: observed.iter().map(|u| -u).collect(),
            scaled_logit: observed.clone(),
            accuracy: Accuracy::default(),
        };
        let complements: Vec<Option<usize>> = (0..models)
            .map(|model| membership.complement(model))
            .collect();
        for (null, tail) in Null::EVERY
            .into_iter()
            .flat_map(|null| [Tail::Upper, Tail::Lower].map(|tail| (null, tail)))
        {
            let settings = Settings {
                null,
                combinations: vec![Combination::Discriminant],
                budgets: vec![1],
            };
            let sign = tail.oriented(1.0) as f32;
            let expected = inference.p_values(null, &target, LeftOut::Nobody);
            let columns: Vec<(Array2<f32>, Vec<bool>)> = (0..units)
                .map(|unit| {
                    let of_unit = u.row(unit).mapv(|u| sign * u).insert_axis(Axis(1));
                    let inside = (0..models).map(|m| membership.is_in(m, unit)).collect();
                    (of_unit, inside)
                })
                .collect();
            let records: Vec<RecordQueries<'_, f32>> = columns
                .iter()
                .map(|(logits, inside)| RecordQueries {
                    logits: logits.view(),
                    inside,
                    tails: std::slice::from_ref(&tail),
                    weights: Some(&[1.0]),
                    cut: None,
                })
                .collect();
            for (unit, record) in records.iter().enumerate() {
                let of_target = f64::from(sign * observed[unit]);
                let found = test(record, &[of_target], &settings).unwrap();
                assert_close(&found.p_values, &expected[unit..=unit], "one query");
                assert_close(&found.combined, &expected[unit..=unit], "discriminant");
                assert_eq!(found.models_out, inference.models_out(unit));
            }
            let plays = leave_one_out(&records, &complements, &settings).unwrap();
            for model in 0..models {
                let expected =
                    inference.p_values(null, &signals.of_model(model), LeftOut::Model(model));
                let found: Vec<f64> = (0..units)
                    .map(|unit| plays.p_value(model, unit, 0, 0))
                    .collect();
                assert_close(&found, &expected, &format!("{design:?} {null:?} {model}"));
                for unit in 0..units {
                    assert_eq!(plays.is_in(model, unit), membership.is_in(model, unit));
                }
            }
        }
    }
}

fn numbers(value: &serde_json::Value) -> Vec<f64> {
    let array = value.as_array().unwrap();
    array
        .iter()
        .map(|number| number.as_f64().unwrap())
        .collect()
}

/// `conformance/indirect/generate.py` made the values.
#[test]
fn numpy_and_scipy_agree() {
    let text = include_str!("../../../../../conformance/indirect/cases.json");
    let document: serde_json::Value = serde_json::from_str(text).unwrap();
    let cases = document["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 14);
    let mut constants = 0;
    for (number, case) in cases.iter().enumerate() {
        let rows: Vec<Vec<f64>> = case["phi"]
            .as_array()
            .unwrap()
            .iter()
            .map(numbers)
            .collect();
        let shape = (rows.len(), rows[0].len());
        let logits = Array2::from_shape_vec(shape, rows.concat()).unwrap();
        let inside: Vec<bool> = serde_json::from_value(case["inside"].clone()).unwrap();
        let tails: Vec<Tail> = numbers(&case["tails"])
            .into_iter()
            .map(|sign| if sign > 0.0 { Tail::Upper } else { Tail::Lower })
            .collect();
        let combined = case["combined"].as_array().unwrap();
        let settings = Settings {
            null: serde_json::from_value(case["null"].clone()).unwrap(),
            combinations: vec![
                Combination::Kost,
                Combination::Fisher,
                Combination::Empirical,
            ],
            budgets: combined
                .iter()
                .map(|row| row["budget"].as_u64().unwrap() as usize)
                .collect(),
        };
        let record = RecordQueries {
            logits: logits.view(),
            inside: &inside,
            tails: &tails,
            weights: None,
            cut: None,
        };
        let found = test(&record, &numbers(&case["target"]), &settings).unwrap();
        assert_close(
            &found.p_values,
            &numbers(&case["p"]),
            &format!("queries of {number}"),
        );
        for (budget, row) in combined.iter().enumerate() {
            for (place, combination) in settings.combinations.iter().enumerate() {
                let (ours, theirs) = (
                    found.combined(place, budget),
                    row[combination.name()].as_f64().unwrap(),
                );
                assert!(
                    close(ours, theirs),
                    "{number} {combination:?} {budget}: {ours} {theirs}"
                );
            }
            let constant = row["constant"].as_u64().unwrap() as usize;
            assert_eq!(found.constant[budget], constant);
            constants += constant;
        }
    }
    assert!(constants > 5);
}

/// The combination's own function, given the whole matrix of correlations.
#[test]
fn sums_of_covariances_are_those_of_the_matrix() {
    let record = Record::drawn(3, 17, 30, 0.6);
    let settings = settings(Null::T, &[4, 30]);
    let found = record.test(&settings);
    for (budget, queries) in [(0, 4), (1, 30)] {
        let of = |query: usize| {
            let out = record.out(query);
            let mean = out.iter().sum::<f64>() / 17.0;
            let away: Vec<f64> = out.iter().map(|u| u - mean).collect();
            let norm = away.iter().map(|a| a * a).sum::<f64>().sqrt();
            away.iter().map(|a| a / norm).collect::<Vec<f64>>()
        };
        let matrix: Vec<f64> = (0..queries * queries)
            .map(|cell| {
                let (a, b) = (of(cell / queries), of(cell % queries));
                a.iter().zip(&b).map(|(a, b)| a * b).sum()
            })
            .collect();
        let expected = combine(&found.p_values[..queries], &matrix, floor(Null::T, 17)).unwrap();
        assert!(close(found.combined(0, budget), expected.p_value));
    }
}

/// A model that plays the target is tested as a target would be that has its signals, by
/// references from which it and its complement were taken away before.
#[test]
fn leaving_a_pair_out_is_computing_without_it() {
    for null in Null::EVERY {
        let settings = settings(null, &[1, 3, 7, 100]);
        let mut record = Record::drawn(8, 12, 9, 0.5);
        // constant over OUT models; constant but for one; and one so far off that it cancels
        for model in (0..24).step_by(2) {
            record.logits[[model, 2]] = 0.5;
            record.logits[[model, 5]] = if model == 6 { 2.5 } else { -1.0 };
        }
        record.logits[[10, 6]] = 4e8;
        let complements: Vec<Option<usize>> = (0..24).map(|model| Some(model ^ 1)).collect();
        let plays = leave_one_out(&[record.queries()], &complements, &settings).unwrap();
        for model in 0..24 {
            let kept: Vec<usize> = (0..24).filter(|m| m / 2 != model / 2).collect();
            let mut without = record.keep_models(&kept);
            without.target = record.logits.row(model).to_vec();
            let expected = all(&without.test(&settings));
            let found: Vec<f64> = (0..4)
                .flat_map(|combination| (0..4).map(move |budget| (combination, budget)))
                .map(|(combination, budget)| plays.p_value(model, 0, combination, budget))
                .collect();
            for (place, (a, b)) in found.iter().zip(&expected).enumerate() {
                assert!(
                    (a - b).abs() <= 1e-6 * b,
                    "{null:?} {model} {place}: {a} for {b}"
                );
            }
        }
    }
}

/// The empirical p-value by its definition: pool, test each by the others, rank.
#[test]
fn the_empirical_p_value_is_its_definition() {
    for (null, seed) in Null::EVERY
        .into_iter()
        .flat_map(|null| (0..6).map(move |s| (null, s)))
    {
        let queries = [1, 2, 6][seed as usize % 3];
        let record = Record::drawn(seed, 9, queries, 0.7);
        let mut pool: Vec<Vec<f64>> = (0..18)
            .filter(|&model| !record.inside[model])
            .map(|model| oriented(&record.logits.row(model), &record.tails))
            .collect();
        let target = record.target.iter().zip(&record.tails);
        pool.push(target.map(|(&phi, tail)| tail.oriented(phi)).collect());
        let settings = settings(null, &[queries]);
        let statistic = |of: usize| -> f64 {
            let others: Vec<f64> = (0..pool.len())
                .filter(|&other| other != of)
                .flat_map(|other| pool[other].clone())
                .collect();
            let alone = Record {
                logits: Array2::from_shape_vec((9, queries), others).unwrap(),
                inside: vec![false; 9],
                tails: vec![Tail::Upper; queries],
                weights: vec![1.0; queries],
                target: pool[of].clone(),
            };
            let p = alone.test(&settings).p_values;
            p.iter().map(|p| -2.0 * p.max(floor(null, 9)).ln()).sum()
        };
        let psi: Vec<f64> = (0..pool.len()).map(statistic).collect();
        let as_large = psi.iter().filter(|&&other| other >= psi[9] - 1e-9).count();
        assert!(close(
            record.test(&settings).combined(2, 0),
            as_large as f64 / 10.0
        ));
    }
}

/// Strongly correlated and skewed statistics: each of the possible p-values comes as often.
#[test]
fn empirical_p_values_are_uniform_if_models_are_exchangeable() {
    for (null, out, queries, correlation) in [
        (Null::T, 20, 200, 0.95f64),
        (Null::T, 24, 10, 0.8),
        (Null::Ecdf, 20, 50, 0.3),
        (Null::Pchip, 20, 10, 0.8),
    ] {
        let draws = if queries > 100 { 1500 } else { 4000 };
        let settings = Settings {
            null,
            combinations: vec![Combination::Empirical],
            budgets: vec![queries],
        };
        let mut counts = vec![0u32; out + 1];
        for draw in 0..draws {
            let mut stream = Stream::new(draw, "exchangeable", queries as u64);
            let mut row = || -> Vec<f64> {
                let shared = stream.normal();
                (0..queries)
                    .map(|_| {
                        let z = correlation.sqrt() * shared
                            + (1.0 - correlation).sqrt() * stream.normal();
                        z.exp()
                    })
                    .collect()
            };
            let rows: Vec<f64> = (0..out).flat_map(|_| row()).collect();
            let logits = Array2::from_shape_vec((out, queries), rows).unwrap();
            let record = RecordQueries {
                logits: logits.view(),
                inside: &vec![false; out],
                tails: &vec![Tail::Upper; queries],
                weights: None,
                cut: None,
            };
            let p = test(&record, &row(), &settings).unwrap().combined(0, 0);
            let rank = p * (out as f64 + 1.0);
            assert!((rank - rank.round()).abs() < 1e-9 && rank > 0.5);
            counts[rank.round() as usize - 1] += 1;
        }
        let expected = draws as f64 / (out as f64 + 1.0);
        // Ranks and p-values of few values tie, and a tie counts against a discovery: then p
        // is conservative, and not uniform.
        if null == Null::T {
            let chi: f64 = counts
                .iter()
                .map(|&count| (f64::from(count) - expected).powi(2) / expected)
                .sum();
            let p = giveaway_stats::distribution::chi_square_sf(chi, out as f64);
            assert!(p > 1e-4, "{null:?} {queries}: {counts:?}");
        }
        let mut so_far = 0.0;
        for (rank, &count) in counts.iter().enumerate() {
            so_far += f64::from(count);
            let level = (rank as f64 + 1.0) / (out as f64 + 1.0);
            let most = level * draws as f64 + 4.0 * (level * (1.0 - level) * draws as f64).sqrt();
            assert!(
                so_far <= most + 1e-9,
                "{null:?} {queries} at {level}: {counts:?}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The order of models, and that of the queries at the full budget, are of no account.
    #[test]
    fn orders_are_of_no_account(seed in 0u64..1000, out in 4usize..12, queries in 1usize..9) {
        let record = Record::drawn(seed, out, queries, 0.5);
        let mut stream = Stream::new(seed, "orders", 0);
        let mut models: Vec<usize> = (0..2 * out).collect();
        let mut order: Vec<usize> = (0..queries).collect();
        stream.shuffle(&mut models);
        stream.shuffle(&mut order);
        for null in Null::EVERY {
            let settings = settings(null, &[queries]);
            let expected = all(&record.test(&settings));
            let of_models = all(&record.keep_models(&models).test(&settings));
            let of_queries = all(&record.keep_queries(&order).test(&settings));
            for (place, expected) in expected.iter().enumerate() {
                prop_assert!(close(of_models[place], *expected));
                prop_assert!(close(of_queries[place], *expected));
            }
        }
    }

    /// A query whose scaled logits are turned round is tested in the other tail.
    #[test]
    fn signs_and_tails_go_together(seed in 0u64..1000, out in 4usize..12, flipped in 0usize..6) {
        let record = Record::drawn(seed, out, 6, 0.5);
        let mut other = record.clone();
        other.logits.column_mut(flipped).mapv_inplace(|phi| -phi);
        other.target[flipped] *= -1.0;
        other.tails[flipped] = match other.tails[flipped] {
            Tail::Upper => Tail::Lower,
            Tail::Lower => Tail::Upper,
        };
        for null in Null::EVERY {
            let settings = settings(null, &[1, 3, 6]);
            prop_assert_eq!(record.test(&settings), other.test(&settings));
        }
    }
}

/// Where a query says nothing there is a number nevertheless.
#[test]
fn constant_queries_and_few_models_are_said() {
    let mut record = Record::drawn(1, 6, 3, 0.5);
    for model in (0..12).step_by(2) {
        record.logits.row_mut(model).fill(0.5);
    }
    record.target = vec![9.0, -9.0, 9.0];
    for null in Null::EVERY {
        let found = record.test(&settings(null, &[1, 3]));
        assert_eq!(found.constant, [1, 3]);
        assert_close(&found.p_values, &[1.0 / 7.0; 3], "ranks");
        // combinations that need a spread know nothing, the rank of the whole does
        assert_close(&found.combined[..4], &[1.0; 4], "kost and fisher");
        assert_close(
            &found.combined[4..],
            &[1.0 / 7.0; 4],
            "empirical, discriminant",
        );
    }
    for (out, null, known) in [
        (0, Null::Ecdf, [false; 4]),
        (1, Null::T, [false; 4]),
        (2, Null::T, [false, true, true, true]),
        (1, Null::Ecdf, [false, true, true, true]),
        (3, Null::T, [true; 4]),
    ] {
        let drawn = Record::drawn(2, 4, 5, 0.5);
        let in_models = [1, 3, 5];
        let kept: Vec<usize> = (0..out).map(|m| 2 * m).chain(in_models).collect();
        let found = drawn.keep_models(&kept).test(&settings(null, &[5]));
        assert_eq!(found.models_out, out);
        for (combination, known) in known.into_iter().enumerate() {
            assert_eq!(
                !found.combined(combination, 0).is_nan(),
                known,
                "{out} {null:?}"
            );
        }
        let settings = settings(null, &[5]);
        let few = drawn.keep_models(&kept);
        let complements = vec![None; kept.len()];
        // every play has one OUT model less
        let plays = leave_one_out(&[few.queries()], &complements, &settings).unwrap();
        let last = plays.p_value(0, 0, 1, 0);
        assert_eq!(last.is_nan(), out <= null.models_needed(), "{out} {null:?}");
    }
}

#[test]
fn bad_input_is_refused() {
    let record = Record::drawn(1, 5, 3, 0.5);
    let usual = settings(Null::T, &[3]);
    let refused = |queries: &RecordQueries<'_, f64>, target: &[f64], settings: &Settings| {
        test(queries, target, settings).unwrap_err().to_string()
    };
    let good = record.queries();
    let target = record.target.as_slice();
    assert!(test(&good, target, &usual).is_ok());
    assert!(refused(&good, &target[..2], &usual).contains("2 signals of the target"));
    assert!(refused(&good, &[0.0, f64::NAN, 0.0], &usual).contains("query 1"));
    let mut bad = record.clone();
    bad.logits[[4, 2]] = f64::INFINITY;
    assert!(refused(&bad.queries(), target, &usual).contains("model 4, query 2"));
    let short = RecordQueries {
        inside: &good.inside[..9],
        ..good
    };
    assert!(refused(&short, target, &usual).contains("9 memberships for 10 models"));
    let short = RecordQueries {
        tails: &good.tails[..2],
        ..good
    };
    assert!(refused(&short, target, &usual).contains("2 tails for 3 queries"));
    let unweighted = RecordQueries {
        weights: None,
        ..good
    };
    assert!(refused(&unweighted, target, &usual).contains("weight"));
    let none = record.keep_queries(&[]);
    assert!(refused(&none.queries(), &[], &usual).contains("without a query"));
    for budgets in [&[][..], &[1, 0]] {
        assert!(refused(&good, target, &settings(Null::T, budgets)).contains("budget"));
    }
    let nothing = Settings {
        combinations: Vec::new(),
        ..usual.clone()
    };
    assert!(refused(&good, target, &nothing).contains("no combination"));
    let plays = leave_one_out(&[good, short], &[None; 10], &usual).unwrap_err();
    assert!(plays.to_string().contains("record 1"), "{plays}");
    let plays = leave_one_out(&[good], &[None; 9], &usual).unwrap_err();
    assert!(
        plays.to_string().contains("10 models, where 9 test"),
        "{plays}"
    );
    assert!(leave_one_out::<f64>(&[], &[None; 9], &usual).is_err());
}

#[test]
fn results_do_not_depend_on_threads() {
    let records: Vec<Record> = (0..5)
        .map(|seed| Record::drawn(seed, 10, 20, 0.5))
        .collect();
    let queries: Vec<RecordQueries<'_, f64>> = records.iter().map(Record::queries).collect();
    let complements: Vec<Option<usize>> = (0..20).map(|model| Some(model ^ 1)).collect();
    let settings = settings(Null::T, &[1, 20]);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| leave_one_out(&queries, &complements, &settings).unwrap())
    };
    assert_eq!(run(1), run(3));
}
