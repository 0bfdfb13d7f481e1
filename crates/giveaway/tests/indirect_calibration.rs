//! Indirect inference keeps its promise: where the record was left out of the target, combined
//! p-values are small as seldom as they say; and it has power: isolated records are given away by
//! queries that keep their distance, and others are not.
//!
//! The experiments are those of docs/indirect.md (`examples/indirect_study`), smaller.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as tests may"
)]

#[path = "../examples/indirect_study/independent.rs"]
mod independent;
#[path = "../examples/indirect_study/models.rs"]
mod models;
#[path = "../examples/indirect_study/planted.rs"]
mod planted;
#[path = "../examples/indirect_study/subjects.rs"]
mod subjects;
#[path = "../examples/indirect_study/synthetic.rs"]
mod synthetic;

use giveaway::attack::indirect::Combination;
use giveaway::enhance::space::distance;
use giveaway::evaluate::Estimate;
use giveaway::evaluate::indirect::{CALIBRATION_LEVELS, Played};
use giveaway_stats::uniformity::ks_super_uniform;
use independent::{Building, Draw};
use planted::{ISOLATED, Outcome, Size};

/// Each with records, reference models and a target of its own.
const DRAWS: usize = 300;
/// A test of a true hypothesis on fixed draws: below this, something is wrong.
const ALARM: f64 = 0.01;
/// A test that must see a fault sees it this clearly.
const CLEAR: f64 = 1e-4;
/// Fisher takes queries for independent, and they are not.
const CALIBRATED: [Combination; 3] = [
    Combination::Kost,
    Combination::Empirical,
    Combination::Discriminant,
];

/// P-value of the one-sided Kolmogorov–Smirnov test.
fn uniformity(draws: &[Draw], combination: Combination, queries: usize) -> f64 {
    let budgets = independent::BUDGETS;
    let c = Combination::EVERY.iter().position(|&c| c == combination);
    let b = budgets.iter().position(|&b| b == queries);
    let place = c.unwrap() * budgets.len() + b.unwrap();
    let p: Vec<f64> = draws.iter().map(|draw| draw.p_values[place]).collect();
    let found = ks_super_uniform(&p).unwrap().p_value;
    eprint_figures(&format!(
        "{} {queries}: KS p {found:.2e}",
        combination.name()
    ));
    found
}

#[test]
fn independent_p_values_are_super_uniform() {
    let draws = independent::draws(DRAWS, Building::Apart, 1).unwrap();
    assert!(draws.len() > DRAWS * 9 / 10, "{} have queries", draws.len());
    let several = draws.iter().filter(|draw| draw.queries >= 10).count();
    assert!(several > DRAWS / 2, "{several} have ten queries or more");
    for combination in CALIBRATED {
        for queries in independent::BUDGETS {
            let p = uniformity(&draws, combination, queries);
            assert!(p > ALARM, "{combination:?} of {queries} queries: {p}");
        }
    }
    // The test sees what is wrong with Fisher.
    assert!(uniformity(&draws, Combination::Fisher, 50) < CLEAR);
}

/// Queries that were built by the models that test are fitted to them: the OUT models look more
/// like non-members than the target does.
#[test]
fn building_by_the_models_that_test_is_seen() {
    let draws = independent::draws(DRAWS, Building::Testing, 1).unwrap();
    assert!(uniformity(&draws, Combination::Discriminant, 50) < CLEAR);
    assert!(uniformity(&draws, Combination::Kost, 1) < ALARM);
}

/// Some subjects' columns of values targets × subjects, and their units.
fn of<T: Copy>(outcome: &Outcome, values: &[T], isolated: bool) -> (Vec<T>, Vec<u32>) {
    let is_wanted = |unit: u32| ((unit as usize) < ISOLATED) == isolated;
    let units = &outcome.units;
    let kept = values
        .iter()
        .zip(units.iter().cycle())
        .filter(|(_, unit)| is_wanted(**unit))
        .map(|(&value, _)| value)
        .collect();
    let units = units.iter().copied().filter(|&unit| is_wanted(unit));
    (kept, units.collect())
}

fn shown(what: &str, estimate: Estimate) -> String {
    let [value, lower, upper] =
        [estimate.value, estimate.lower, estimate.upper].map(|x| x.unwrap_or(f64::NAN));
    format!("{what} {value:.3} [{lower:.3}, {upper:.3}]")
}

#[test]
fn records_that_no_target_was_trained_on_are_seldom_accused() {
    let size = Size {
        targets: 40,
        inliers: 60,
        candidates: 400,
        held_out: true,
    };
    let outcome = planted::experiment(size, 2).unwrap();
    assert!(outcome.units.len() >= 40, "{:?}", outcome.units);
    assert!(outcome.is_member.iter().all(|member| !member));
    let played = Played::new(&outcome.families, &outcome.units, &outcome.is_member, 3);
    let share = |combination: Combination, queries: usize, level: f64| {
        let p = outcome.grid.of(combination, queries);
        assert!(p.iter().all(|&p| p > 0.0 && p <= 1.0));
        let calibration = played.calibration(combination.name(), queries, p);
        let at = CALIBRATION_LEVELS
            .iter()
            .position(|&l| (l - level).abs() < 1e-12);
        let share = calibration.at[at.unwrap()].share;
        let what = format!("{} of {queries}, p <= {level}:", combination.name());
        eprint_figures(&shown(&what, share));
        share
    };
    for combination in CALIBRATED {
        for queries in planted::BUDGETS {
            for level in [0.01, 0.05] {
                let found = share(combination, queries, level);
                assert!(
                    found.lower.unwrap_or(0.0) <= level,
                    "{combination:?} of {queries} at {level}: {found:?}"
                );
                // An interval that says nothing would prove nothing. At .01 accusations are too
                // few for a better one than that of 20 pairs of targets.
                let upper = found.upper.unwrap();
                assert!(level < 0.05 || upper < 0.15, "{found:?}");
            }
        }
    }
    let fisher = share(Combination::Fisher, 50, 0.01);
    assert!(fisher.lower.unwrap() > 0.01, "{fisher:?}");
}

#[test]
fn isolated_records_are_given_away_from_afar_and_others_are_not() {
    let size = Size {
        targets: 100,
        inliers: 60,
        candidates: 600,
        held_out: false,
    };
    let outcome = planted::experiment(size, 1).unwrap();
    queries_keep_their_distance(&outcome);

    let (is_member, units) = of(&outcome, &outcome.is_member, true);
    assert_eq!(units.len(), ISOLATED);
    let played = Played::new(&outcome.families, &units, &is_member, 5);
    let rates = |name: &str, p: &[f64]| {
        let rates = played.rates(name, 50, &of(&outcome, p, true).0);
        let at = &rates.levels[0];
        eprint_figures(&format!(
            "{name}: {}, {}",
            shown("precision", at.precision),
            shown("recall", at.recall)
        ));
        (at.precision.value.unwrap(), at.recall.value.unwrap())
    };
    let (_, directly) = rates("direct", &outcome.direct);
    for combination in [Combination::Kost, Combination::Discriminant] {
        let p = outcome.grid.of(combination, 50);
        let (precision, recall) = rates(combination.name(), p);
        assert!(precision > 0.9 && recall > 0.8, "{precision} {recall}");
        assert!(
            recall > directly,
            "queries cancel what models have in common"
        );
    }

    let (is_member, units) = of(&outcome, &outcome.is_member, false);
    let played = Played::new(&outcome.families, &units, &is_member, 5);
    let p = of(&outcome, outcome.grid.of(Combination::Kost, 50), false).0;
    let at = played.rates("kost", 50, &p).levels[1].clone();
    let what = shown("inliers, p < .05: precision", at.precision);
    eprint_figures(&format!("{what}, {} accusations", at.accusations));
    let [lower, upper] = [at.precision.lower.unwrap(), at.precision.upper.unwrap()];
    assert!(lower <= 0.5 && 0.5 <= upper, "{what}");
    assert!(upper - lower < 0.35 && at.accusations > 50, "{what}");
}

/// Of every query, by the definition: it is no nearer to the record than any other record is,
/// nor to those that are nearly the same, and it is none of them.
fn queries_keep_their_distance(outcome: &Outcome) {
    let features = &outcome.dataset.features;
    let row = |record: u32| features.row(record as usize).to_vec();
    for (&unit, subject) in outcome.units.iter().zip(&outcome.subjects) {
        let own = row(unit);
        let others = (0..features.nrows() as u32).filter(|&other| other != unit);
        let nearest = others
            .map(|other| distance(&own, &row(other)))
            .fold(f32::INFINITY, f32::min);
        let guard = &subject.enhanced.guard;
        assert!(guard.floor >= nearest && nearest > 0.0);
        assert!(guard.guarded.contains(&unit));
        for query in &subject.queries {
            assert!(distance(&own, &query.features) >= nearest);
            for &guarded in &guard.guarded {
                assert!(distance(&row(guarded), &query.features) >= guard.floor);
            }
        }
    }
}

/// Shown with `cargo test -- --nocapture`.
#[expect(clippy::print_stderr, reason = "figures for whoever asks for them")]
fn eprint_figures(what: &str) {
    eprintln!("{what}");
}
