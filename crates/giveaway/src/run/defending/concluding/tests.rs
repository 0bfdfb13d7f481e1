use super::*;
use crate::evaluate::paired::{Draws, Part, ScoredTargets};
use crate::evaluate::utility::{Answered, Measured};

const UNITS: usize = 600;
const TARGETS: usize = 24;
const MARKED: usize = 40;

/// Whom to protect: the first units.
fn protected() -> Protected {
    Protected {
        judged: (0..UNITS as u32).collect(),
        held_units: 0,
        units: (0..MARKED as u32).collect(),
        exposed: (0..UNITS).map(|unit| unit < MARKED).collect(),
        suspects: vec![None; UNITS],
        held: vec![false; UNITS],
        models: 24,
    }
}

fn inside(target: usize, unit: usize) -> bool {
    let mut stream = Stream::new(4, "inside", (target / 2 * UNITS + unit) as u64);
    (stream.uniform() < 0.5) == target.is_multiple_of(2)
}

/// What a made-up recipe is like.
#[derive(Clone, Copy)]
struct Recipe {
    /// How much higher members of the units to be protected score.
    lift: f64,
    /// The same for the attack that does not know of the defence.
    ignorant: f64,
    /// Other units whose members score as much higher as `newly_lift`.
    newly: usize,
    newly_lift: f64,
    accuracy: f64,
    seed: u64,
}

const BEFORE: Recipe = Recipe {
    lift: 4.0,
    ignorant: 1.0,
    newly: 0,
    newly_lift: 6.0,
    accuracy: 0.9,
    seed: 1,
};

fn attack(recipe: Recipe, name: &str, lift: f64, draws: &Draws) -> AttackFound {
    let mut targets = ScoredTargets::default();
    for target in 0..TARGETS {
        let members: Vec<bool> = (0..UNITS).map(|unit| inside(target, unit)).collect();
        let mut stream = Stream::new(recipe.seed, name, target as u64);
        let scores: Vec<f64> = (0..UNITS)
            .map(|unit| {
                let higher = if unit < MARKED {
                    lift
                } else if unit < MARKED + recipe.newly {
                    recipe.newly_lift
                } else {
                    0.0
                };
                stream.normal() + if members[unit] { higher } else { 0.0 }
            })
            .collect();
        targets.add(&scores, &members, target / 2);
    }
    let marked: Vec<bool> = (0..UNITS).map(|unit| unit < MARKED).collect();
    let parts = parts()
        .iter()
        .map(|(families, units)| {
            let part = Part {
                families,
                records: units,
            };
            targets.compare(&marked, part, draws)
        })
        .collect();
    let among = targets.accused_among(&marked);
    AttackFound::of_parts(
        name,
        name != "loss",
        parts,
        targets.accused(UNITS),
        among[..MARKED].to_vec(),
    )
}

fn parts() -> [(Vec<bool>, Vec<bool>); 3] {
    let odd = |count: usize, rest: usize| (0..count).map(|i| i % 2 == rest).collect();
    [
        (vec![true; TARGETS / 2], vec![true; UNITS]),
        (odd(TARGETS / 2, 0), odd(UNITS, 0)),
        (odd(TARGETS / 2, 1), odd(UNITS, 1)),
    ]
}

fn found(name: &str, recipe: Recipe) -> ArmFound {
    let draws = Draws::new(7, UNITS, TARGETS / 2);
    let labels = vec![0; UNITS];
    let unit: Vec<Option<u32>> = (0..UNITS as u32).map(Some).collect();
    let measured = Measured {
        labels: &labels,
        classes: 1,
        unit: &unit,
        groupings: &[],
    };
    let answered: Vec<Answered> = (0..TARGETS)
        .map(|target| {
            let mut stream = Stream::new(3, "right", target as u64);
            Answered {
                family: target / 2,
                inside: (0..UNITS).map(|unit| inside(target, unit)).collect(),
                correct: (0..UNITS)
                    .map(|_| stream.uniform() < recipe.accuracy)
                    .collect(),
                loss: vec![0.5; UNITS],
            }
        })
        .collect();
    ArmFound {
        identity: String::new(),
        name: name.to_owned(),
        attacks: vec![
            attack(recipe, "knowing", recipe.lift, &draws),
            attack(recipe, "loss", recipe.ignorant, &draws),
        ],
        precision: Estimate::default(),
        recall: Estimate::default(),
        influence: (0..UNITS).map(|unit| (UNITS - unit) as f64).collect(),
        utility: parts()
            .iter()
            .map(|(families, units)| {
                let part = Part {
                    families,
                    records: units,
                };
                measured.usefulness(&answered, part, &draws)
            })
            .collect(),
        auc: None,
        flagged: None,
        seconds_per_model: 1.0,
    }
}

fn finished(found: &ArmFound) -> Finished<'_> {
    Finished {
        about: about_undefended(),
        found,
    }
}

fn concluded(control: Recipe, defended: &[(&str, Recipe)]) -> Concluded {
    let protected = protected();
    let before = found("none", BEFORE);
    let control = found("again", control);
    let arms: Vec<ArmFound> = defended
        .iter()
        .map(|(name, recipe)| found(name, *recipe))
        .collect();
    let ids: Vec<String> = (0..UNITS).map(|unit| unit.to_string()).collect();
    let classes = ["one".to_owned()];
    Conclusion {
        protected: &protected,
        undefended: finished(&before),
        control: Some(finished(&control)),
        defended: arms.iter().map(finished).collect(),
        ids: &ids,
        classes: &classes,
        class_sizes: &[UNITS],
        groups: &[],
        accuracy_budget: 0.02,
        seed: 1,
        unit_name: "records",
    }
    .conclude()
}

const AGAIN: Recipe = Recipe { seed: 2, ..BEFORE };

#[test]
fn a_verdict_goes_by_attacks_that_know_of_the_defence() {
    let protects = Recipe {
        lift: 0.5,
        ..BEFORE
    };
    let hides = Recipe {
        ignorant: -1.0,
        seed: 5,
        ..BEFORE
    };
    let exposes = Recipe {
        lift: 5.5,
        ..BEFORE
    };
    let of = concluded(
        AGAIN,
        &[
            ("protects", protects),
            ("hides", hides),
            ("exposes", exposes),
        ],
    );
    let verdicts: Vec<Option<Verdict>> = of.defences.iter().map(|d| d.verdict).collect();
    assert_eq!(
        verdicts,
        [
            Some(Verdict::Helps),
            Some(Verdict::NotShown),
            Some(Verdict::Harms)
        ]
    );
    assert_eq!(of.undefended.verdict, None);
    assert_eq!(of.control.unwrap().verdict, Some(Verdict::NotShown));
    let hidden = &of.defences[1];
    assert!(
        hidden.sentence.contains("does not know"),
        "{}",
        hidden.sentence
    );
    let loss = hidden.attacks.iter().find(|a| a.name == "loss").unwrap();
    assert!(!loss.adaptive && loss.auc_change.upper.unwrap() < 0.0);
    assert!(hidden.attacks[0].adaptive);
}

#[test]
fn what_leaves_least_at_the_price_is_recommended() {
    let least = Recipe {
        lift: 0.0,
        accuracy: 0.8,
        ..BEFORE
    };
    let less = Recipe {
        lift: 1.0,
        accuracy: 0.895,
        ..BEFORE
    };
    let little = Recipe {
        lift: 2.5,
        ..BEFORE
    };
    let of = concluded(
        AGAIN,
        &[("little", little), ("less", less), ("least", least)],
    );
    let advice = of.recommendation;
    assert_eq!(advice.defence.as_deref(), Some("less"));
    assert!(advice.found_after.value.unwrap() < advice.found_before.value.unwrap() - 0.2);
    assert!(advice.accuracy_change.value.unwrap().abs() < 0.02);
    let frontier: Vec<bool> = of.defences.iter().map(|d| d.on_frontier).collect();
    assert_eq!(frontier, [true, true, true]);

    let of = concluded(AGAIN, &[("least", least)]);
    assert_eq!(of.recommendation.defence, None);
    let said = of.recommendation.reasons.join(" ");
    assert!(said.contains("cost more than 2 points"), "{said}");

    let of = concluded(AGAIN, &[("nothing", Recipe { seed: 8, ..BEFORE })]);
    assert_eq!(of.recommendation.defence, None);
    let said = of.recommendation.reasons.join(" ");
    assert!(
        said.contains("none was shown") && said.contains("dp-sgd"),
        "{said}"
    );
}

#[test]
fn newly_exposed_are_counted_beyond_chance() {
    let layer = Recipe {
        lift: 0.0,
        newly: 30,
        ..BEFORE
    };
    let by_chance = Recipe {
        newly: 4,
        seed: 2,
        ..BEFORE
    };
    let of = concluded(by_chance, &[("peeled", layer)]);
    let onion = of.defences[0].onion;
    // those to be protected are not newly exposed, whatever becomes of them
    assert_eq!(
        (onion.newly_exposed, onion.newly_exposed_by_chance),
        (30, Some(4))
    );
    assert_eq!(onion.beyond_chance.value, Some(26.0));
    let (low, high) = (
        onion.beyond_chance.lower.unwrap(),
        onion.beyond_chance.upper.unwrap(),
    );
    assert!(low > 10.0 && high < 45.0, "{low} {high}");
    // 40 are found in most targets before, and none of them after
    assert!(onion.before >= 35 && onion.after == 30, "{onion:?}");
    assert_eq!(of.control.unwrap().onion.newly_exposed, 4);
    // the influence is made up: the first six of 600 are the most influential 1 %
    assert_eq!(of.undefended.direct.selected, 6);
}
