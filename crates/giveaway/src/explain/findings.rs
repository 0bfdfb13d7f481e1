//! What holds on a run, in sentences. Words follow the figures: a measure is praised for what it
//! finds here, and one that says nothing here is said to say nothing.

use std::fmt::Write as _;

use crate::evaluate::Estimate;
use crate::report::explanation::{Explanation, GroupExposure, Predictor, Screening};

/// Correlations whose interval is below this say little.
const LITTLE: f64 = 0.2;

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
        "Of the {total} {unit_name} explained: {}.",
        named.join(", ")
    ))
}

fn predictors(explanation: &Explanation) -> Option<String> {
    let best = first(explanation, |p| p.family != SAME_AS_LEAK)?;
    let named = |p: &Predictor| {
        let small = if p.reversed { " (small)" } else { "" };
        Some(format!(
            "{}{small}, {}",
            p.label,
            with_interval(&p.spearman)?
        ))
    };
    let mut text = format!(
        "The leak goes best with (Spearman's correlation): {}.",
        named(best)?
    );
    let cheap = |needs: &'static str| {
        let p = first(explanation, move |p| {
            p.needs == needs && p.family != SAME_AS_LEAK
        })?;
        named(p)
    };
    // Writing to a String cannot fail.
    if best.needs == "reference models" {
        if let Some(one) = cheap("one model") {
            let _ = write!(text, " Of what one model tells: {one}.");
        }
        if let Some(data) = cheap("data") {
            let _ = write!(text, " Of what the data alone tell: {data}.");
        }
    }
    Some(text)
}

fn outliers(explanation: &Explanation) -> Option<String> {
    let measure = first(explanation, |p| p.measure == OUTLIER_OF_CLASS)?;
    let interval = with_interval(&measure.spearman)?;
    let (value, lower, upper) = (
        measure.spearman.value?,
        measure.spearman.lower.unwrap_or(f64::NEG_INFINITY),
        measure.spearman.upper.unwrap_or(f64::INFINITY),
    );
    Some(if value > 0.0 && lower >= LITTLE {
        format!(
            "Outliers of their class leak more here: distance to its centre in the penultimate layer, {interval}."
        )
    } else if upper < 0.0 {
        format!(
            "Outliers of their class leak less here, not more: distance to its centre in the penultimate layer, {interval}."
        )
    } else if upper <= LITTLE || value < LITTLE {
        format!(
            "How far a record lies from the centre of its class in the penultimate layer says little here ({interval})."
        )
    } else {
        format!(
            "Outliers of their class leak somewhat more here: distance to its centre in the penultimate layer, {interval}."
        )
    })
}

fn screening(explanation: &Explanation) -> Option<String> {
    let best = |needs: &[&str]| -> Option<(&Screening, f64, f64)> {
        explanation
            .screening
            .iter()
            .filter(|s| needs.contains(&s.needs.as_str()))
            .filter_map(|s| {
                let review = s.reviewed.iter().find(|r| r.share >= 0.05 - 1e-9)?;
                Some((s, review.share, review.found.value?))
            })
            .fold(None, |best: Option<(&Screening, f64, f64)>, next| {
                best.filter(|b| b.2 >= next.2).or(Some(next))
            })
    };
    let (screen, share, found) = best(&["data", "one model"])?;
    let reversed = explanation
        .predictors
        .iter()
        .any(|p| p.measure == screen.measure && p.reversed);
    let mut text = format!(
        "{}, a review of the {} with the {} {} would have found {} of the leakiest",
        if screen.needs == "data" {
            "From the data alone, before any training"
        } else {
            "From one model, before any audit"
        },
        percent(share),
        if reversed { "smallest" } else { "largest" },
        screen.label,
        percent(found)
    );
    if let Some((_, _, found)) = best(&["reference models"]) {
        let _ = write!(
            text,
            " (the best measure of reference models: {})",
            percent(found)
        );
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
