//! The section on defences for the terminal.

use std::fmt::Write;

use super::defence::{DefenceFigures, DefenceSection, Verdict};
use super::printable::printable;
use crate::evaluate::Estimate;

/// What came of the defences: the advice, a table, what was left out.
#[must_use]
pub fn defence(section: &DefenceSection, unit_name: &str) -> String {
    let mut text = String::new();
    let settings = &section.settings;
    let advice = &section.recommendation;
    let _ = writeln!(text, "WHAT PROTECTS\n  {}", printable(&advice.headline));
    for reason in &advice.reasons {
        let _ = writeln!(text, "  - {}", printable(reason));
    }
    let _ = writeln!(
        text,
        "\nDEFENCES, each audited again with {} models trained through it\n  \
         found: how often the {} most exposed {unit_name} are found in models trained on them, by the\n  \
         strongest attack that knows of the defence, at 1 % false alarms; all: of all members; accuracy on\n  \
         {unit_name} not trained on; time: of a model, as a multiple",
        settings.models, settings.exposed
    );
    let rows: Vec<&DefenceFigures> = std::iter::once(&section.undefended)
        .chain(&section.control)
        .chain(&section.defences)
        .collect();
    let width = rows
        .iter()
        .map(|row| row.title.chars().count())
        .max()
        .unwrap_or(0);
    let _ = writeln!(
        text,
        "  {:width$}  {:>20}  {:>6}  {:>8}  {:>22}  {:>5}",
        "", "found %", "all %", "accuracy", "change in points", "time"
    );
    for row in rows {
        let strongest = row.attacks.iter().find(|attack| attack.adaptive);
        let _ = writeln!(
            text,
            "  {:width$}  {:>20}  {:>6}  {:>8}  {:>22}  {:>5}  {}",
            printable(&row.title),
            ranged(row.exposed.found, 1, false),
            strongest
                .and_then(|attack| attack.at_one_percent.value)
                .map_or_else(none, |x| format!("{:.2}", 100.0 * x)),
            row.utility
                .accuracy
                .value
                .map_or_else(none, |x| format!("{:.2}", 100.0 * x)),
            ranged(row.utility.accuracy_change, 2, true),
            row.time_ratio.map_or_else(none, |x| format!("{x:.1}")),
            match row.verdict {
                None => "",
                Some(Verdict::Helps) => "helps",
                Some(Verdict::NotShown) => "not shown to help",
                Some(Verdict::Harms) => "harms",
            }
        );
    }
    if !section.skipped.is_empty() {
        let _ = writeln!(text, "\nNOT TRIED");
        for skipped in &section.skipped {
            let _ = writeln!(
                text,
                "  {}: {}",
                printable(&skipped.name),
                printable(&skipped.reason)
            );
        }
    }
    text
}

fn none() -> String {
    "n/a".to_owned()
}

/// A share in per cent, or a change in points, with its interval.
fn ranged(of: Estimate, decimals: usize, signed: bool) -> String {
    let one = |x: f64| {
        let x = 100.0 * x;
        if signed {
            format!("{x:+.decimals$}")
        } else {
            format!("{x:.decimals$}")
        }
    };
    match (of.value, of.lower, of.upper) {
        (Some(value), Some(lower), Some(upper)) => {
            format!("{} [{}, {}]", one(value), one(lower), one(upper))
        }
        (Some(value), ..) => one(value),
        _ => none(),
    }
}
