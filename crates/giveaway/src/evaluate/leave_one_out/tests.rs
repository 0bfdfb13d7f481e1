use super::*;
use crate::evaluate::LEVELS;
use crate::membership::Design;
use giveaway_stats::roc::ppv;
use ndarray::Array2;

const UNITS: usize = 60;

/// Scaled logits that rise with membership, more for some units than for others.
fn signals(membership: &Membership, effect: f64) -> Signals {
    let mut stream = Stream::new(4, "signals", 0);
    let logit = Array2::from_shape_fn((UNITS, membership.models()), |(unit, model)| {
        let gain = if membership.is_in(model, unit) {
            effect * (unit % 4) as f64
        } else {
            0.0
        };
        (gain + stream.normal()) as f32
    });
    Signals::from_arrays(&logit.mapv(|z| (-z).exp().ln_1p()), &logit)
}

fn decisions() -> Vec<Decision> {
    LEVELS
        .iter()
        .map(|&level| Decision::Level(level))
        .chain([Decision::Level(0.2), Decision::DiscoveryRate(0.3)])
        .collect()
}

/// The halves selected different units, which overlap.
fn selections() -> Vec<(Rule, [Vec<u32>; 2])> {
    vec![
        (Rule::All, [(0..60).collect(), (0..60).collect()]),
        (
            Rule::Influence,
            [(0..30).rev().collect(), (20..47).collect()],
        ),
    ]
}

fn drawn(design: Design, models: usize) -> Membership {
    let all: Vec<u32> = (0..UNITS as u32).collect();
    // 54 of 60: several units have too few OUT models to be tested
    Membership::draw(design, models, UNITS, &all, 54, 6).unwrap()
}

fn run_on(membership: &Membership, signals: &Signals) -> LeaveOneOut {
    let all: Vec<u32> = (0..UNITS as u32).collect();
    run(
        &Protocol {
            signals,
            membership,
            candidates: &all,
            selections: &selections(),
            nulls: &Null::EVERY,
            decisions: &decisions(),
            headline: (Null::Ecdf, Decision::Level(0.2)),
            drawn: Rule::Influence,
            misfit_sample: usize::MAX,
            seed: 3,
        },
        || {},
    )
}

fn same(estimate: Estimate, expected: Option<f64>, what: &str) {
    match (estimate.value, expected) {
        (None, None) => {}
        (Some(a), Some(b)) => {
            assert!((a - b).abs() < 1e-12, "{what}: {a} instead of {b}");
            let (lower, upper) = (estimate.lower.unwrap(), estimate.upper.unwrap());
            assert!(
                lower <= a && a <= upper,
                "{what}: {a} is not in [{lower}, {upper}]"
            );
        }
        other => panic!("{what}: {other:?}"),
    }
}

fn auc_of_pairs(entries: &[(f64, bool)]) -> f64 {
    let (mut pairs, mut ahead) = (0.0, 0.0);
    for &(member, _) in entries.iter().filter(|entry| entry.1) {
        for &(other, _) in entries.iter().filter(|entry| !entry.1) {
            pairs += 1.0;
            ahead += ahead_of(member, other);
        }
    }
    ahead / pairs
}

/// A pair's share of the AUC: one if the member's p-value is smaller, half if they tie.
fn ahead_of(member: f64, other: f64) -> f64 {
    if member < other {
        1.0
    } else {
        f64::from(u8::from(member <= other)) / 2.0
    }
}

/// Every rate counted one by one, target after target, unit after unit.
#[test]
fn rates_are_those_of_counting() {
    for (design, models) in [(Design::Halves, 28), (Design::Share, 40)] {
        let membership = drawn(design, models);
        let signals = signals(&membership, 0.7);
        let outcome = run_on(&membership, &signals);
        let halves = membership.halves();
        let mut untested = 0;
        let mut evaluations = outcome.evaluations.iter();
        for (rule, selected) in selections() {
            for null in Null::EVERY {
                let evaluation = evaluations.next().unwrap();
                assert_eq!((evaluation.selection, evaluation.null), (rule, null));
                let decisions = decisions();
                // right, wrong per decision; members, non-members; AUC per target
                let mut counts = vec![[0.0; 2]; decisions.len()];
                let mut false_discoveries = vec![0.0; decisions.len()];
                let mut sides = [0u64; 2];
                let mut aucs: Vec<Option<f64>> = Vec::new();
                let mut pooled: Vec<(f64, bool)> = Vec::new();
                for model in 0..models {
                    let half = usize::from(model >= halves[1].start);
                    let units = &selected[1 - half];
                    let p =
                        DirectInference::new(&signals, &membership, units, halves[half].clone())
                            .p_values(null, &signals.of_model(model), LeftOut::Model(model));
                    let is_in = |position: usize| membership.is_in(model, units[position] as usize);
                    for (index, decision) in decisions.iter().enumerate() {
                        let mut own = [0.0; 2];
                        for (position, accused) in decision.accuse(&p).into_iter().enumerate() {
                            if accused {
                                own[usize::from(!is_in(position))] += 1.0;
                            }
                        }
                        counts[index][0] += own[0];
                        counts[index][1] += own[1];
                        if own[1] > 0.0 {
                            false_discoveries[index] += own[1] / (own[0] + own[1]);
                        }
                    }
                    let (mut pairs, mut ahead) = (0.0, 0.0);
                    for a in 0..units.len() {
                        if p[a].is_nan() {
                            untested += 1;
                            continue;
                        }
                        sides[usize::from(!is_in(a))] += 1;
                        for b in (0..units.len()).filter(|&b| !p[b].is_nan()) {
                            if is_in(a) && !is_in(b) {
                                pairs += 1.0;
                                ahead += ahead_of(p[a], p[b]);
                            }
                        }
                        pooled.push((p[a], is_in(a)));
                    }
                    aucs.push(ratio(ahead, pairs));
                }
                assert_eq!(sides, [evaluation.members, evaluation.non_members]);
                let (members, non_members) = (sides[0] as f64, sides[1] as f64);
                for (((rates, decision), [right, wrong]), shares) in evaluation
                    .decisions
                    .iter()
                    .zip(&decisions)
                    .zip(counts)
                    .zip(false_discoveries)
                {
                    let discovery_rate = shares / models as f64;
                    let what = format!("{design:?} {rule:?} {null:?} {decision}");
                    assert_eq!(rates.accusations, (right + wrong) as u64, "{what}");
                    same(rates.precision, ratio(right, right + wrong), &what);
                    same(rates.false_discovery_rate, Some(discovery_rate), &what);
                    same(rates.true_positive_rate, ratio(right, members), &what);
                    same(rates.false_positive_rate, ratio(wrong, non_members), &what);
                    for at in &rates.predictive_value {
                        let value = ppv(right / members, wrong / non_members, at.prior);
                        same(at.value, value, &what);
                    }
                }
                let what = format!("AUC {design:?} {rule:?} {null:?}");
                let known: Vec<f64> = aucs.iter().copied().flatten().collect();
                let expected = if known.len() == aucs.len() {
                    known.iter().sum::<f64>() / known.len() as f64
                } else {
                    // some target has members or non-members only: all targets together
                    auc_of_pairs(&pooled)
                };
                same(evaluation.ranking.auc, Some(expected), &what);
            }
        }
        if design == Design::Share {
            assert!(untested > 0, "the case with untested units is covered");
        }
    }
}

#[test]
fn recurrence_counts_the_targets_of_the_testing_half() {
    let membership = drawn(Design::Halves, 28);
    let signals = signals(&membership, 0.7);
    let outcome = run_on(&membership, &signals);
    let all: Vec<u32> = (0..UNITS as u32).collect();
    let half = membership.halves()[1].clone();
    let inference = DirectInference::new(&signals, &membership, &all, half.clone());
    let mut accusations = 0;
    for ((rule, counts), (_, selected)) in outcome.recurrence.iter().zip(selections()) {
        assert_eq!(counts.len(), selected[0].len());
        for (count, &unit) in counts.iter().zip(&selected[0]) {
            let mut expected = Recurrence::default();
            for model in half.clone() {
                let p =
                    inference.p_values(Null::Ecdf, &signals.of_model(model), LeftOut::Model(model));
                let accused = u32::from(p[unit as usize] < 0.2);
                if membership.is_in(model, unit as usize) {
                    expected.in_targets += 1;
                    expected.found += accused;
                } else {
                    expected.out_targets += 1;
                    expected.wrongly_accused += accused;
                }
            }
            accusations += expected.found;
            assert_eq!(*count, expected, "{rule:?} {unit}");
        }
    }
    assert!(accusations > 50);
}

/// With effects that differ between units and models, more models say more.
#[test]
fn fewer_families_give_wider_intervals() {
    let width = |models: usize| {
        let membership = drawn(Design::Halves, models);
        // every model has its own day, which makes its p-values depend on each other
        let mut stream = Stream::new(12, "days", 0);
        let days: Vec<f64> = (0..models).map(|_| stream.normal()).collect();
        let logit = Array2::from_shape_fn((UNITS, models), |(unit, model)| {
            let gain = f64::from(u8::from(membership.is_in(model, unit)));
            (gain + days[model] + stream.normal()) as f32
        });
        let signals = Signals::from_arrays(&logit.mapv(|z| (-z).exp().ln_1p()), &logit);
        let outcome = run_on(&membership, &signals);
        let evaluation = &outcome.evaluations[0];
        let rates = evaluation.rates(Decision::Level(0.2)).unwrap();
        [
            rates.true_positive_rate,
            rates.false_positive_rate,
            rates.precision,
            evaluation.ranking.auc,
        ]
        .map(|e| e.upper.unwrap() - e.lower.unwrap())
    };
    let (few, many) = (width(20), width(160));
    for (few, many) in few.iter().zip(many) {
        assert!(*few > 1.3 * many, "{few} {many}");
    }
}

/// Clustered: copies of one record in every model tell no more than the record, and
/// the interval is far wider than that of as many independent trials.
#[test]
fn intervals_know_that_the_records_of_a_target_are_not_independent() {
    let membership = drawn(Design::Halves, 40);
    let mut stream = Stream::new(13, "days", 0);
    let days: Vec<f64> = (0..40).map(|_| 3.0 * stream.normal()).collect();
    let logit = Array2::from_shape_fn((UNITS, 40), |(_, model)| {
        (days[model] + 0.1 * stream.normal()) as f32
    });
    let signals = Signals::from_arrays(&logit.mapv(|z| -z), &logit);
    let rates = run_on(&membership, &signals);
    let rate = rates.evaluations[1]
        .rates(Decision::Level(0.2))
        .unwrap()
        .true_positive_rate;
    let trials = rates.evaluations[1].members as f64;
    let p = rate.value.unwrap();
    let independent = 2.0 * 1.96 * (p * (1.0 - p) / trials).sqrt();
    let width = rate.upper.unwrap() - rate.lower.unwrap();
    assert!(width > 3.0 * independent, "{rate:?}, {independent}");
}

/// Weights are repetitions: figures of weighted entries equal those of `Roc` on repeated ones.
#[test]
fn weighted_figures_are_those_of_repeated_entries() {
    let mut stream = Stream::new(5, "entries", 0);
    let mut entries: Vec<(f64, Accusation)> = (0..60)
        .map(|unit| {
            let entry = Accusation {
                family: 0,
                unit,
                is_member: stream.below(2) == 1,
                from: 0,
            };
            // few distinct scores, so that there are ties
            (
                stream.below(12) as f64 + f64::from(u8::from(entry.is_member)),
                entry,
            )
        })
        .collect();
    entries.sort_by(|a, b| b.0.total_cmp(&a.0));
    let weight = |entry: Accusation| f64::from(entry.unit % 4);
    let found = figures_of(&entries, weight);
    let (mut scores, mut is_member) = (Vec::new(), Vec::new());
    for &(score, entry) in &entries {
        for _ in 0..entry.unit % 4 {
            scores.push(score);
            is_member.push(entry.is_member);
        }
    }
    let roc = Roc::new(&scores, &is_member).unwrap();
    let close = |a: Option<f64>, b: f64| (a.unwrap() - b).abs() < 1e-12;
    assert!(close(found[0], roc.auc()), "{found:?} {}", roc.auc());
    assert!(close(found[1], roc.advantage()));
    assert!(close(found[2], roc.balanced_accuracy()));
    let mut told = 0;
    for (index, rate) in CURVE_RATES.into_iter().enumerate() {
        if let Some(expected) = roc.tpr_at_fpr(rate) {
            told += 1;
            assert!(close(found[3 + index], expected), "{rate}");
        }
    }
    assert!(told > 8, "{told}");
}

#[test]
fn without_members_there_are_no_figures() {
    assert_eq!(figures_of(&[], |_| 1.0), [None; RANKING_FIGURES]);
}

/// By definition, target after target: how many p-values are at most each cut-off. And at the
/// levels of single p-values, where those of the null t never tie with a level, all is as the
/// decision says, intervals included.
#[test]
fn cutoffs_are_those_of_counting_and_of_decisions() {
    for (design, models) in [(Design::Halves, 28), (Design::Share, 40)] {
        let membership = drawn(design, models);
        let signals = signals(&membership, 0.7);
        let outcome = run_on(&membership, &signals);
        let halves = membership.halves();
        let (rule, selected) = selections().remove(1);
        assert_eq!(outcome.at_cutoffs.len(), Null::EVERY.len());
        for (null, at_cutoffs) in &outcome.at_cutoffs {
            let mut counts = [[0u64; 2]; CUTOFFS.len()];
            for model in 0..models {
                let half = usize::from(model >= halves[1].start);
                let units = &selected[1 - half];
                let p = DirectInference::new(&signals, &membership, units, halves[half].clone())
                    .p_values(*null, &signals.of_model(model), LeftOut::Model(model));
                for (&unit, p) in units.iter().zip(p) {
                    let side = usize::from(!membership.is_in(model, unit as usize));
                    for (count, cutoff) in counts.iter_mut().zip(CUTOFFS) {
                        count[side] += u64::from(p <= cutoff);
                    }
                }
            }
            let evaluation = outcome
                .evaluations
                .iter()
                .find(|e| e.selection == rule && e.null == *null)
                .unwrap();
            let sides = [evaluation.members as f64, evaluation.non_members as f64];
            for ((at, cutoff), [right, wrong]) in at_cutoffs.iter().zip(CUTOFFS).zip(counts) {
                let what = format!("{design:?} {null:?} {cutoff}");
                assert_eq!(at.cutoff.to_bits(), cutoff.to_bits());
                assert_eq!((at.accusations, at.wrong), (right + wrong, wrong), "{what}");
                let (right, wrong) = (right as f64, wrong as f64);
                if cutoff < 1.0 {
                    same(at.precision, ratio(right, right + wrong), &what);
                    same(at.true_positive_rate, ratio(right, sides[0]), &what);
                    same(at.false_positive_rate, ratio(wrong, sides[1]), &what);
                } else {
                    assert_eq!(at.accusations, evaluation.members + evaluation.non_members);
                    assert_eq!(at.false_positive_rate.value, Some(1.0));
                    assert_eq!(at.false_positive_rate.upper, None, "by definition");
                }
            }
            if *null == Null::T {
                for level in [0.01, 0.05, 0.2] {
                    let at = at_cutoffs.iter().find(|at| at.cutoff >= level).unwrap();
                    let rates = evaluation.rates(Decision::Level(level)).unwrap();
                    assert_eq!(
                        (at.accusations, at.wrong, at.precision),
                        (rates.accusations, rates.wrong, rates.precision)
                    );
                    // Bounds of larger and smaller cut-offs hold here, too.
                    for (nested, alone) in [
                        (at.true_positive_rate, rates.true_positive_rate),
                        (at.false_positive_rate, rates.false_positive_rate),
                    ] {
                        assert_eq!(nested.value, alone.value);
                        assert!(nested.lower >= alone.lower && nested.upper <= alone.upper);
                        assert!(nested.lower <= nested.value && nested.value <= nested.upper);
                    }
                }
            }
        }
    }
}

/// At the floor `1/(k + 1)` of the null ecdf *at most* and *below* differ.
#[test]
fn a_cutoff_holds_p_values_that_equal_it() {
    // Ten models a half, complements: each unit is OUT for five; one leaves with the target.
    let membership = drawn(Design::Halves, 20);
    let signals = signals(&membership, 0.0);
    let outcome = run_on(&membership, &signals);
    let (_, at_cutoffs) = outcome
        .at_cutoffs
        .iter()
        .find(|(null, _)| *null == Null::Ecdf)
        .unwrap();
    let at = at_cutoffs.iter().find(|at| at.cutoff >= 0.2).unwrap();
    let rates = outcome.evaluations[4].rates(Decision::Level(0.2)).unwrap();
    assert_eq!(outcome.evaluations[4].null, Null::Ecdf);
    assert_eq!(rates.accusations, 0, "no p-value is below its floor, 1/5");
    assert!(at.wrong > 0, "{at:?}");
    let rate = at.false_positive_rate;
    assert!(
        rate.lower.unwrap() <= 0.2 && 0.2 <= rate.upper.unwrap(),
        "{rate:?}"
    );
}

/// The curve has the figures of `at_rates` at their rates, and rises.
#[test]
fn the_curve_goes_through_the_low_rates() {
    let membership = drawn(Design::Halves, 28);
    let outcome = run_on(&membership, &signals(&membership, 0.7));
    for evaluation in &outcome.evaluations {
        let ranking = &evaluation.ranking;
        assert_eq!(ranking.curve.len(), CURVE_RATES.len());
        for at in &ranking.at_rates {
            assert!(ranking.curve.contains(at), "{at:?}");
        }
        let last = ranking.curve.last().unwrap().true_positive_rate;
        assert!((last.value.unwrap() - 1.0).abs() < 1e-12);
    }
}

#[test]
fn scores_that_are_not_kept_leave_rates_without_intervals() {
    let membership = drawn(Design::Halves, 28);
    let signals = signals(&membership, 0.7);
    let outcome = run_on(&membership, &signals);
    let (_, with) = &outcome.at_cutoffs[0];
    let weights = Weights {
        replicates: Vec::new(),
        clusters: 14,
    };
    let mut contribution = Contribution {
        accusations: Vec::new(),
        members: 0,
        non_members: 0,
        figures: None,
        scores: Vec::new(),
        first_cutoffs: [[0; 2]; CUTOFFS.len()],
    };
    contribution.first_cutoffs[9] = [3, 1];
    let found = rates_at_cutoffs(&[&contribution], [10, 10], &weights);
    assert_eq!(found.len(), with.len());
    assert_eq!(found[8].precision, Estimate::default());
    assert_eq!(
        found[9].precision,
        Estimate {
            value: Some(0.75),
            ..Estimate::default()
        }
    );
    assert_eq!(found[15].false_positive_rate.value, Some(0.1));
}
