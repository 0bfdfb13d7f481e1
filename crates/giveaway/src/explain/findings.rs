//! What holds on a run, in sentences. Words follow the figures: a measure is praised for what it
//! finds here, and one that says nothing here is said to say nothing.

use std::fmt::Write as _;

use crate::evaluate::Estimate;
use crate::report::explanation::{Explanation, GroupExposure, Predictor, Screening};

/// The best of all measures must be surely above this correlation to be praised.
const LITTLE: f64 = 0.1;

/// A measure tells the leakiest from the others above this AUC; .5 is chance.
const TELLS: f64 = 0.6;

/// Leaky units from which on a review by the best measure is spoken of.
const ENOUGH_LEAKY: usize = 20;

/// The measure that the finding of Khalil et al. (2025) is about.
const OUTLIER_OF_CLASS: &str = "penultimate_centroid_distance";

/// Measures that are another name for the leak, on other models.
const SAME_AS_LEAK: &str = "divergence";

fn number(x: f64) -> String {
    let text = format!("{:.2}", x.abs());
    let short = text.strip_prefix('0').unwrap_or(&text);
    format!("{}{short}", if x < 0.0 { "-" } else { "" })
}

fn with_interval(estimate: &Estimate) -> Option<String> {
    let value = number(estimate.value?);
    Some(match (estimate.lower, estimate.upper) {
        (Some(low), Some(high)) => format!("{value} [{}, {}]", number(low), number(high)),
        _ => value,
    })
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// The predictors in the order of the list that need no more than so much.
fn first(explanation: &Explanation, of: impl Fn(&Predictor) -> bool) -> Option<&Predictor> {
    explanation
        .predictors
        .iter()
        .find(|p| p.spearman.value.is_some() && of(p))
}

/// Sentences on a whole explanation, the most important first.
#[must_use]
pub fn sentences(explanation: &Explanation, unit_name: &str) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(reasons(explanation, unit_name));
    found.extend(predictors(explanation));
    found.extend(outliers(explanation));
    found.extend(screening(explanation));
    found.extend(carried(explanation));
    found.extend(definitions(explanation));
    found
}

fn reasons(explanation: &Explanation, unit_name: &str) -> Option<String> {
    let total: usize = explanation.reasons.iter().map(|r| r.exposed).sum();
    if total == 0 {
        return None;
    }
    let mut given: Vec<_> = explanation
        .reasons
        .iter()
        .filter(|r| r.exposed > 0)
        .collect();
    given.sort_by_key(|r| std::cmp::Reverse(r.exposed));
    let named: Vec<String> = given
        .iter()
        .map(|r| format!("{} {}", r.exposed, r.reason))
        .collect();
    Some(format!(
        "Of the {total} exposed {}: {}.",
        if total == 1 {
            unit_name.strip_suffix('s').unwrap_or(unit_name)
        } else {
            unit_name
        },
        named.join(", ")
    ))
}

/// The lower end of an interval, where there is one.
fn surely(p: &Predictor) -> f64 {
    p.spearman.lower.unwrap_or(f64::NEG_INFINITY)
}

fn predictors(explanation: &Explanation) -> Option<String> {
    let not_the_leak = |p: &Predictor| p.family != SAME_AS_LEAK;
    let best = first(explanation, not_the_leak)?;
    // It is the best of many, and so looks better than it is.
    if surely(best) < LITTLE {
        return Some(format!(
            "No measure goes clearly with the leak here; the best of {} is {}.",
            explanation.predictors.len(),
            named(best)?
        ));
    }
    let mut text = format!(
        "The leak goes best with (Spearman's correlation): {}.",
        named(best)?
    );
    let cheap = |needs: &'static str| {
        let p = first(explanation, move |p| p.needs == needs && not_the_leak(p))?;
        (surely(p) > 0.0).then(|| named(p))?
    };
    if best.needs == "reference models" {
        if let Some(few) = cheap("a few models") {
            let _ = write!(text, " Of what a few models tell: {few}.");
        }
        if let Some(data) = cheap("data") {
            let _ = write!(text, " Of what the data alone tell: {data}.");
        }
    }
    Some(text)
}

/// A measure with its correlation.
fn named(p: &Predictor) -> Option<String> {
    let small = if p.reversed { " (small)" } else { "" };
    Some(format!(
        "{}{small}, {}",
        p.label,
        with_interval(&p.spearman)?
    ))
}

fn outliers(explanation: &Explanation) -> Option<String> {
    let measure = first(explanation, |p| p.measure == OUTLIER_OF_CLASS)?;
    // The label of the measure says where: "distance to the class centre (penultimate layer)".
    let place = measure.label.rsplit_once('(');
    let place = place.map_or("penultimate layer", |(_, place)| {
        place.trim_end_matches(')')
    });
    let figures = format!(
        "the distance to the class centre in the {place} has correlation {} with the leak and AUC {} for the leakiest, and of as many farthest records {} are among them",
        with_interval(&measure.spearman)?,
        with_interval(&measure.auc)?,
        percent(measure.precision.value?)
    );
    let lower = measure.auc.lower.unwrap_or(0.0);
    let upper = measure.auc.upper.unwrap_or(1.0);
    let verdict = if lower > TELLS {
        "The leakiest tend to be outliers of their class"
    } else if upper < TELLS {
        "Being an outlier of its class says little here"
    } else {
        "Whether the leakiest are outliers of their class cannot be told here"
    };
    Some(format!("{verdict}: {figures}."))
}

fn screening(explanation: &Explanation) -> Option<String> {
    // The best of several curves, on the few that they were chosen by.
    if explanation.settings.leaky < ENOUGH_LEAKY {
        return None;
    }
    let best = |needs: &[&str]| -> Option<(&Screening, f64, Estimate)> {
        explanation
            .screening
            .iter()
            .filter(|s| needs.contains(&s.needs.as_str()))
            .filter_map(|s| {
                let review = s.reviewed.iter().find(|r| r.share >= 0.05 - 1e-9)?;
                review.found.value?;
                Some((s, review.share, review.found))
            })
            .fold(None, |best: Option<(&Screening, f64, Estimate)>, next| {
                best.filter(|b| b.2.value >= next.2.value).or(Some(next))
            })
    };
    let range = |found: &Estimate| {
        let value = percent(found.value?);
        Some(match (found.lower, found.upper) {
            (Some(low), Some(high)) => format!("{value} [{}, {}]", percent(low), percent(high)),
            _ => value,
        })
    };
    let (screen, share, found) = best(&["data", "a few models"])?;
    let reversed = explanation
        .predictors
        .iter()
        .any(|p| p.measure == screen.measure && p.reversed);
    let mut text = format!(
        "{}, a review of the {} with the {} {} would have found {} of the leakiest",
        if screen.needs == "data" {
            "From the data alone, before any training"
        } else {
            "From a few models, before any audit"
        },
        percent(share),
        if reversed { "smallest" } else { "largest" },
        screen.label,
        range(&found)?
    );
    if let Some(found) = best(&["reference models"]).and_then(|(_, _, found)| range(&found)) {
        let _ = write!(text, " (the best measure of reference models: {found})");
    }
    text.push('.');
    Some(text)
}

/// Leaky units below which a group is not spoken of.
const FEWEST_LEAKY: f64 = 5.0;

/// A group whose interval says that it carries more than its part.
fn carries_more(group: &GroupExposure) -> bool {
    let leaky = group.leaky.value.unwrap_or(0.0) * group.units as f64;
    leaky > FEWEST_LEAKY - 0.5 && group.relative_risk.lower.is_some_and(|low| low > 1.0)
}

/// Of some groups, the one that carries more than its part most surely.
fn riskiest(groups: &[GroupExposure]) -> Option<&GroupExposure> {
    let low = |group: &&GroupExposure| group.relative_risk.lower.unwrap_or(0.0);
    groups
        .iter()
        .filter(|group| carries_more(group))
        .max_by(|a, b| low(a).total_cmp(&low(b)))
}

fn carried(explanation: &Explanation) -> Option<String> {
    let name = |what: &str, group: &GroupExposure| {
        Some(format!(
            "{what} {} ({} times its part)",
            group.name,
            with_interval(&group.relative_risk)?
        ))
    };
    let class = riskiest(&explanation.classes).and_then(|group| name("class", group));
    let columns = explanation.groups.iter().filter_map(|column| {
        let group = riskiest(&column.values)?;
        name(&format!("{} =", column.column), group)
    });
    let carriers: Vec<String> = class.into_iter().chain(columns.take(2)).collect();
    (!carriers.is_empty())
        .then(|| format!("Who carries more of the risk: {}.", carriers.join("; ")))
}

fn definitions(explanation: &Explanation) -> Option<String> {
    let definitions = explanation.definitions.as_ref()?;
    let one = |d: &crate::report::explanation::Definition| {
        Some(format!(
            "{} members and {} non-members",
            d.members, d.non_members
        ))
        .zip(d.mean_leak)
        .map(|(counts, leak)| format!("{counts}, mean leak of those members {leak:.2} nats"))
    };
    Some(format!(
        "One threshold for all records names {}; a threshold per record names {}.",
        one(&definitions.global)?,
        one(&definitions.per_record)?
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::explanation_text::example;

    fn found(change: impl FnOnce(&mut Explanation)) -> String {
        let mut explanation = example();
        change(&mut explanation);
        sentences(&explanation, "records").join("\n")
    }

    fn estimate(value: f64, lower: f64, upper: f64) -> Estimate {
        Estimate {
            value: Some(value),
            lower: Some(lower),
            upper: Some(upper),
        }
    }

    /// A list of one predictor, of this name and with these figures.
    fn one(name: &str, spearman: Estimate, auc: Estimate, reversed: bool) -> Vec<Predictor> {
        vec![Predictor {
            measure: name.to_owned(),
            label: "some measure".to_owned(),
            family: "distance".to_owned(),
            needs: "data".to_owned(),
            reversed,
            units: 1_000,
            spearman,
            auc,
            precision: estimate(0.1, 0.05, 0.2),
        }]
    }

    #[test]
    fn the_best_of_many_is_praised_only_if_it_is_surely_good() {
        let clear = estimate(0.5, 0.4, 0.6);
        let text = found(|e| e.predictors = one("m", clear, clear, true));
        assert!(
            text.contains("The leak goes best with (Spearman's correlation): some measure (small), .50 [.40, .60]."),
            "{text}"
        );
        let unclear = estimate(0.2, 0.05, 0.35);
        let text = found(|e| e.predictors = one("m", unclear, clear, false));
        assert!(
            text.contains("No measure goes clearly with the leak here; the best of 1 is some measure, .20 [.05, .35]."),
            "{text}"
        );
    }

    #[test]
    fn outliers_are_spoken_of_as_the_figures_say() {
        let weak = estimate(0.07, 0.05, 0.08);
        for (auc, words) in [
            (
                estimate(0.8, 0.7, 0.9),
                "The leakiest tend to be outliers of their class: ",
            ),
            (
                estimate(0.5, 0.45, 0.55),
                "Being an outlier of its class says little here: ",
            ),
            (estimate(0.65, 0.5, 0.8), "cannot be told here: "),
        ] {
            let text = found(|e| e.predictors = one(OUTLIER_OF_CLASS, weak, auc, false));
            assert!(text.contains(words), "{text}");
            assert!(text.contains("correlation .07 [.05, .08]"), "{text}");
        }
    }

    #[test]
    fn reviews_say_from_which_end_and_not_of_a_few() {
        let screening = |needs: &str| Screening {
            measure: "m".to_owned(),
            label: "some measure".to_owned(),
            needs: needs.to_owned(),
            reviewed: vec![crate::report::explanation::Reviewed {
                share: 0.05,
                found: estimate(0.6, 0.5, 0.7),
            }],
        };
        let clear = estimate(0.5, 0.4, 0.6);
        let text = found(|e| {
            e.predictors = one("m", clear, clear, true);
            e.screening = vec![screening("data")];
        });
        assert!(
            text.contains("From the data alone, before any training, a review of the 5 % with the smallest some measure would have found 60 % [50 %, 70 %] of the leakiest."),
            "{text}"
        );
        let text = found(|e| {
            e.predictors = one("m", clear, clear, false);
            e.screening = vec![screening("a few models")];
        });
        assert!(
            text.contains(
                "From a few models, before any audit, a review of the 5 % with the largest"
            ),
            "{text}"
        );
        let text = found(|e| {
            e.settings.leaky = ENOUGH_LEAKY - 1;
            e.screening = vec![screening("data")];
        });
        assert!(!text.contains("a review of"), "{text}");
    }

    #[test]
    fn a_group_is_named_only_if_it_surely_carries_more() {
        let group = |units: usize, leaky: f64, risk: Estimate| GroupExposure {
            name: "some".to_owned(),
            units,
            leak: estimate(0.1, 0.05, 0.2),
            leaky: estimate(leaky, 0.0, 1.0),
            relative_risk: risk,
            given_away: 0,
        };
        let sure = estimate(3.0, 1.5, 5.0);
        let said = |group: GroupExposure| {
            found(|e| {
                e.groups.clear();
                e.classes = vec![group];
            })
            .contains("class some (3.00 [1.50, 5.00] times its part)")
        };
        assert!(said(group(100, 0.05, sure)));
        assert!(!said(group(100, 0.04, sure)), "four leaky ones are few");
        assert!(!said(group(100, 0.05, estimate(3.0, 0.9, 5.0))));
    }

    #[test]
    fn one_is_one() {
        let text = found(|e| {
            e.reasons.truncate(1);
            e.reasons[0].exposed = 1;
        });
        assert!(text.starts_with("Of the 1 exposed record: 1 "), "{text}");
    }
}
