//! The section on defences for the terminal.

use std::fmt::Write;

use super::defence::{DefenceFigures, DefenceSection, Verdict};
use super::printable::printable;
use super::text::wrap;
use crate::evaluate::Estimate;

/// Width of prose.
const WIDTH: usize = 96;

/// Width of a name in the table, so that a row fits into eighty columns.
const NAME: usize = 22;

/// What came of the defences: the advice, a table, what was left out.
#[must_use]
pub fn defence(section: &DefenceSection, unit_name: &str) -> String {
    let mut text = String::new();
    let settings = &section.settings;
    let advice = &section.recommendation;
    text.push_str("WHAT PROTECTS\n");
    paragraph(&mut text, "  ", &advice.headline);
    for reason in &advice.reasons {
        paragraph(&mut text, "  - ", reason);
    }
    text.push_str("\nDEFENCES\n");
    paragraph(
        &mut text,
        "  ",
        &format!(
            "Each was audited again with {} models trained through it. found: in which share of the models trained on them the {} most exposed {unit_name} are found, by the strongest attack that knows of the defence, at 1 % false alarms among them. all: the share of all members found at 1 % false alarms. accuracy: its change on {unit_name} not trained on, in points. time: of training and guarding a model, as a multiple. In brackets 95 % intervals; found helps or harms by the interval of its change, which is paired and narrower.",
            settings.models, settings.exposed
        ),
    );
    let _ = writeln!(
        text,
        "\n  {:NAME$} {:>13} {:>5} {:>20} {:>4}",
        "", "found %", "all %", "accuracy", "time"
    );
    let arms = std::iter::once(&section.undefended)
        .chain(&section.control)
        .chain(&section.defences);
    for arm in arms {
        let is_recommended = advice.defence.as_deref() == Some(&arm.name);
        row(&mut text, arm, is_recommended);
    }
    if advice.defence.is_some() {
        text.push_str("  * recommended\n");
    }
    let compared = section.defences.len();
    if compared > 1 {
        let again = if advice.defence.is_some() {
            "what is said of the recommended one above was measured where it was not chosen."
        } else {
            "look at how far from 0 a change lies."
        };
        paragraph(
            &mut text,
            "  ",
            &format!(
                "{compared} defences are compared, each at 95 %: a defence that changes nothing has about one chance in forty to be said to help. So {again}"
            ),
        );
    }
    if !section.skipped.is_empty() {
        text.push_str("\nNOT TRIED\n");
        for skipped in &section.skipped {
            paragraph(
                &mut text,
                "  ",
                &format!("{}: {}", skipped.name, skipped.reason),
            );
        }
    }
    text
}

fn row(text: &mut String, arm: &DefenceFigures, is_recommended: bool) {
    let all = arm.attacks.iter().find(|attack| attack.adaptive);
    let all = all.and_then(|attack| attack.at_one_percent.value);
    let is_compared = arm.verdict.is_some();
    let line = format!(
        "{} {:NAME$} {:>13} {:>5} {:>20} {:>4} {}",
        if is_recommended { "*" } else { " " },
        shortened(&called(arm)),
        found(arm.exposed.found),
        all.map_or_else(none, |share| format!("{:.1}", 100.0 * share)),
        if is_compared {
            change(arm.utility.accuracy_change)
        } else {
            String::new()
        },
        arm.time_ratio.map_or_else(none, |times| {
            let decimals = usize::from(times < 10.0);
            format!("{times:.decimals$}")
        }),
        match arm.verdict {
            None => "",
            Some(Verdict::Helps) => "helps",
            Some(Verdict::NotShown) => "not shown",
            Some(Verdict::Harms) => "harms",
        }
    );
    let _ = writeln!(text, "{}", line.trim_end());
}

/// The name that `--defence` takes.
fn called(arm: &DefenceFigures) -> String {
    match arm.name.as_str() {
        "none" => "no defence".to_owned(),
        "again" => "no defence, again".to_owned(),
        name => printable(name),
    }
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME {
        name.to_owned()
    } else {
        let start: String = name.chars().take(NAME - 1).collect();
        start + "…"
    }
}

fn paragraph(text: &mut String, before: &str, words: &str) {
    let indent = before.chars().count();
    for (index, line) in wrap(&printable(words), WIDTH - indent)
        .into_iter()
        .enumerate()
    {
        let _ = if index == 0 {
            writeln!(text, "{before}{line}")
        } else {
            writeln!(text, "{:indent$}{line}", "")
        };
    }
}

fn none() -> String {
    "n/a".to_owned()
}

/// A share in per cent with its interval: whole ones, or two digits below ten.
fn found(of: Estimate) -> String {
    let one = |share: f64| {
        let percent = 100.0 * share;
        if percent.abs() < 9.95 {
            format!("{percent:.1}")
        } else {
            format!("{percent:.0}")
        }
    };
    ranged(of, one, "-")
}

/// A change in points with its interval.
fn change(of: Estimate) -> String {
    ranged(of, |share| format!("{:+.2}", 100.0 * share), ", ")
}

fn ranged(of: Estimate, one: impl Fn(f64) -> String, to: &str) -> String {
    match (of.value, of.lower, of.upper) {
        (Some(value), Some(lower), Some(upper)) => {
            format!("{} [{}{to}{}]", one(value), one(lower), one(upper))
        }
        (Some(value), ..) => one(value),
        _ => none(),
    }
}

#[cfg(test)]
pub(crate) use tests::example;

#[cfg(test)]
mod tests {
    use super::*;

    /// A made-up section: its figures are none of an audit.
    pub(crate) fn example() -> DefenceSection {
        serde_json::from_str(include_str!("defence_text/example.json")).unwrap()
    }

    #[test]
    fn rows_fit_into_eighty_columns_and_prose_into_a_hundred() {
        let mut section = example();
        section.defences[0].name = "a-name:that,is,much,too,long,for,a,table".to_owned();
        section.defences[1].time_ratio = Some(123.4);
        let text = defence(&section, "records");
        let rows = text
            .split_once("found %")
            .unwrap()
            .1
            .lines()
            .take_while(|line| !line.contains("recommended"));
        assert!(rows.clone().count() > section.defences.len());
        for row in rows {
            assert!(row.chars().count() <= 80, "{row}");
        }
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
        assert!(text.contains("a-name:that,is,much,t…"), "{text}");
    }

    #[test]
    fn it_says_what_to_do_and_what_each_leaves() {
        let section = example();
        let text = defence(&section, "records");
        assert!(text.starts_with("WHAT PROTECTS\n  Take: leaving the most exposed out."));
        let line = |name: &str| {
            let own = |line: &&str| line.trim_start_matches([' ', '*']).starts_with(name);
            text.lines().rfind(own).unwrap().to_owned()
        };
        // no change of the one compared with
        assert_eq!(
            line("no defence ").split_whitespace().collect::<Vec<_>>(),
            ["no", "defence", "59", "[54-64]", "3.3", "1.0"]
        );
        let remove = line("remove ");
        assert!(
            remove.starts_with("* remove ") && remove.ends_with(" helps"),
            "{remove}"
        );
        assert!(remove.contains(" 4.3 [3.1-5.5] "), "{remove}");
        assert!(line("reweight ").ends_with(" not shown"));
        let smoothing = line("label-smoothing:0.1 ");
        assert!(smoothing.contains(" -0.18 [-0.29, -0.07] "), "{smoothing}");
        assert!(smoothing.ends_with(" harms"));
        assert!(text.contains("5 defences are compared, each at 95 %"));
        assert!(text.contains("NOT TRIED\n  selena: it would take about 14 minutes more"));
    }

    #[test]
    fn nothing_in_it_acts_on_the_terminal() {
        let mut section = example();
        section.recommendation.headline = "red\u{1b}[31m".to_owned();
        section.skipped[0].reason = "a\rb".to_owned();
        section.defences[0].name = "x\u{202e}".to_owned();
        let text = defence(&section, "records");
        assert!(!text.contains(['\u{1b}', '\r', '\u{202e}']), "{text:?}");
    }

    #[test]
    fn what_cannot_be_known_is_said_so() {
        let nothing = Estimate::default();
        assert_eq!((found(nothing), change(nothing)), (none(), none()));
        let alone = Estimate {
            value: Some(0.25),
            ..nothing
        };
        assert_eq!(
            (found(alone), change(alone)),
            ("25".to_owned(), "+25.00".to_owned())
        );
    }
}
