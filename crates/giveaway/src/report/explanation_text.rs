//! Why records are exposed, in words, for a terminal: of the model as a whole, and of one record.

use serde::Serialize;

use std::fmt::Write as _;

use super::explanation::{
    AttributionSummary, Definition, ExplainedUnit, Explanation, GroupExposure, Predictor, Screening,
};
use super::page::rows::shown_id;
use super::printable::printable;
use super::shown::{percent, percent_interval, significant, whole};
use super::text::{clip, row, table, wrap};
use crate::evaluate::Estimate;

/// Measures in the table that are listed however good they are.
const MOST_PREDICTORS: usize = 8;
/// Of those that need fewer models, the best ones are listed beside.
const MOST_CHEAP: usize = 3;
/// Exposed units that are told one by one.
const MOST_EXPOSED: usize = 10;
/// Values of a column that are listed.
const MOST_VALUES: usize = 8;
/// Columns of which it is said what they share in.
const MOST_COLUMNS: usize = 12;
/// Characters of a line.
const WIDTH: usize = 96;
/// A part of a word that is shorter than this is not kept where a name is cut.
const SHORT_PART: usize = 8;
/// Characters of the longest bar.
const BAR: f64 = 24.0;

/// What is known of one record, besides what [`Explanation::exposed`] says of it.
#[derive(Clone, Debug, Serialize)]
pub struct RecordFacts {
    /// Its identifier.
    pub id: String,
    /// Its unit.
    pub unit: Option<u32>,
    /// Its class.
    pub class: String,
    /// Its leak over all reference models, in nats.
    pub leak: Option<f64>,
    /// Its place by leak, 1 for the largest.
    pub rank: Option<usize>,
    /// Whether its unit is given away by the target.
    pub given_away: bool,
    /// Why it is exposed, or would be.
    pub reason: Option<String>,
    /// Other reasons that hold as well.
    pub further: Vec<String>,
    /// The reasons with their evidence, in words.
    pub statement: Option<String>,
    /// Its measures, in any order.
    pub measures: Vec<MeasureOfRecord>,
}

/// The value of a measure for one record, and its place among all.
#[derive(Clone, Debug, Serialize)]
pub struct MeasureOfRecord {
    /// The measure, as in [`Predictor::measure`].
    pub measure: String,
    /// Its value; `NaN` where the record has none.
    pub value: f64,
    /// Share of the records that have a smaller value.
    pub smaller: f64,
    /// Share of the records that have a larger value.
    pub larger: f64,
}

/// The explanation of a run as a whole. `units` is what units are called: "records" or "groups".
#[must_use]
pub fn explanation(explanation: &Explanation, units: &str) -> String {
    let mut out = String::new();
    let unit = units.strip_suffix('s').unwrap_or(units);
    let _ = writeln!(out, "WHY THESE {}", units.to_uppercase());
    for finding in &explanation.findings {
        bullets(&mut out, &printable(finding));
    }
    for line in wrap(&words(explanation, units, unit), WIDTH) {
        let _ = writeln!(out, "  {line}");
    }
    predictors(&mut out, explanation, unit);
    reasons(&mut out, explanation, units);
    exposed(&mut out, explanation, units);
    who(&mut out, explanation, units);
    if let Some(summary) = &explanation.attribution {
        attribution(&mut out, summary, units);
    }
    screening(&mut out, &explanation.screening, units);
    definitions(&mut out, explanation);
    computed(&mut out, explanation, units);
    out
}

/// What the words mean that everything else is said with.
fn words(explanation: &Explanation, units: &str, unit: &str) -> String {
    let settings = &explanation.settings;
    let mut text = format!(
        "The leak of a {unit} is what training on it changes: the mean loss of the models that never saw it less that of the models that did, in nats. The leakiest are the {} of {} {units} with the largest leak ({})",
        whole(settings.leaky),
        whole(settings.units),
        percent(settings.leaky_share),
    );
    match settings.leaky_threshold {
        Some(threshold) => {
            let _ = write!(text, ", {} nats or more.", significant(threshold));
        }
        None => text.push('.'),
    }
    text
}

/// A name that may be cut, in the middle: what sets it apart often stands at its end.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let text = printable(text);
    let count = text.chars().count();
    if count <= most {
        return text;
    }
    let end = (most - 1) / 2;
    let start: String = text.chars().take(most - 1 - end).collect();
    let end: String = text.chars().skip(count - end).collect();
    // A part of a word of few characters goes as well.
    let start = match start.rsplit_once(' ') {
        Some((whole, part)) if part.chars().count() < SHORT_PART => whole,
        _ => &start,
    };
    let end = match end.split_once(' ') {
        Some((part, whole)) if part.chars().count() < SHORT_PART => whole,
        _ => &end,
    };
    format!("{}…{}", start.trim_end(), end.trim_start())
}

fn bullets(out: &mut String, text: &str) {
    for (index, line) in wrap(text, WIDTH - 2).into_iter().enumerate() {
        let mark = if index == 0 { "-" } else { " " };
        let _ = writeln!(out, "  {mark} {line}");
    }
}

/// The measures that are shown: the best ones, and the best of those that need less.
pub(super) fn shown_predictors(predictors: &[Predictor], most: usize) -> Vec<usize> {
    let mut shown: Vec<usize> = (0..predictors.len().min(most)).collect();
    for needs in ["data", "a few models"] {
        let best = (0..predictors.len())
            .filter(|&index| predictors[index].needs == needs)
            .take(MOST_CHEAP);
        shown.extend(best);
    }
    shown.sort_unstable();
    shown.dedup();
    shown
}

fn predictors(out: &mut String, explanation: &Explanation, unit: &str) {
    let all = &explanation.predictors;
    if all.is_empty() {
        return;
    }
    let _ = writeln!(out, "\nWHAT GOES WITH THE LEAK");
    let shown = shown_predictors(all, MOST_PREDICTORS);
    let line = |out: &mut String, [spearman, auc, precision, needs]: [&str; 4], label: &str| {
        for (index, part) in wrap(label, 42).into_iter().enumerate() {
            let _ = if index == 0 {
                writeln!(
                    out,
                    "  {spearman:<15}  {auc:<15}  {precision:<16}  {needs:<16}  {part}"
                )
            } else {
                writeln!(out, "{:72}{part}", "")
            };
        }
    };
    line(out, ["Spearman", "AUC", "precision", "needs"], "measure");
    for &index in &shown {
        let p = &all[index];
        let label = shortened(&p.label, 126);
        let label = if p.reversed {
            format!("{label} (small)")
        } else {
            label
        };
        line(
            out,
            [
                &two(p.spearman),
                &two(p.auc),
                &percent_interval(p.precision),
                &clip(&p.needs, 16),
            ],
            &label,
        );
    }
    let mut note = format!(
        "Spearman: rank correlation with the leak. AUC: how well the measure tells the leakiest from the others (.5 is chance). Precision: share of the leakiest among the first {} by the measure; {} by chance. (small): small values stand for exposure. In brackets 95\u{a0}% intervals.",
        whole(explanation.settings.leaky),
        percent(explanation.settings.leaky_share),
    );
    if shown.len() < all.len() {
        let _ = write!(
            note,
            " {} of {} measures; report.json has all, records.parquet their values for each {unit}.",
            shown.len(),
            all.len()
        );
    }
    paragraph(out, &note);
}

/// A rate with its interval, two digits each: a third would mean nothing here.
fn two(estimate: Estimate) -> String {
    let digits = |value: f64| {
        let text = format!("{value:.2}");
        text.strip_prefix("0.")
            .map_or_else(|| text.replacen("-0.", "-.", 1), |rest| format!(".{rest}"))
    };
    match (estimate.value, estimate.lower, estimate.upper) {
        (Some(value), Some(lower), Some(upper)) => {
            format!("{} [{}–{}]", digits(value), digits(lower), digits(upper))
        }
        (Some(value), ..) => digits(value),
        _ => "n/a".to_owned(),
    }
}

fn paragraph(out: &mut String, text: &str) {
    for line in wrap(text, WIDTH) {
        let _ = writeln!(out, "  {line}");
    }
}

fn reasons(out: &mut String, explanation: &Explanation, units: &str) {
    if explanation.reasons.is_empty() {
        return;
    }
    let _ = writeln!(out, "\nREASONS");
    let rows: Vec<Vec<String>> = explanation
        .reasons
        .iter()
        .map(|reason| {
            vec![
                clip(&reason.reason, 34),
                whole(reason.exposed),
                whole(reason.all),
                percent_interval(reason.leaky),
                nats(reason.mean_leak),
            ]
        })
        .collect();
    let header = format!("all {units}");
    table(
        out,
        &["reason", "exposed", &header, "leakiest", "mean leak"],
        &rows,
        1,
    );
    paragraph(
        out,
        &format!(
            "Exposed: how many of the exposed have it as their first reason. All {units}: of how many it would be. Leakiest: the share of these that is among the leakiest."
        ),
    );
    for reason in &explanation.reasons {
        bullets(
            out,
            &printable(&format!("{}: {}", reason.reason, reason.meaning)),
        );
    }
}

fn nats(value: Option<f64>) -> String {
    value.map_or_else(|| "n/a".to_owned(), |value| format!("{value:.2}"))
}

fn exposed(out: &mut String, explanation: &Explanation, units: &str) {
    let all = &explanation.exposed;
    if all.is_empty() {
        return;
    }
    let shown = all.len().min(MOST_EXPOSED);
    let _ = writeln!(
        out,
        "\nTHE MOST EXPOSED ({} of {} exposed {units})",
        shown,
        whole(all.len())
    );
    for unit in &all[..shown] {
        let _ = writeln!(
            out,
            "  {}",
            heading(
                &shown_id(&unit.id),
                &unit.class,
                unit.given_away,
                Some(&unit.reason)
            )
        );
        if !unit.statement.is_empty() {
            for line in wrap(&printable(&unit.statement), WIDTH - 4) {
                let _ = writeln!(out, "      {line}");
            }
        }
    }
    if shown < all.len() {
        paragraph(
            out,
            "All are in report.json and on the page; of one, with its evidence: giveaway explain RUN --record ID",
        );
    }
}

fn heading(id: &str, class: &str, given_away: bool, reason: Option<&str>) -> String {
    let mut text = format!("{} (class {})", clip(id, 40), clip(class, 30));
    if let Some(reason) = reason {
        let _ = write!(text, ": {}", clip(reason, 60));
    }
    if given_away {
        text.push_str("; given away");
    }
    text
}

fn who(out: &mut String, explanation: &Explanation, units: &str) {
    let mut any = false;
    let head = "\nWHO CARRIES THE RISK\n";
    if explanation.classes.len() > 1 {
        out.push_str(head);
        any = true;
        groups(out, "class", &explanation.classes, units);
    }
    for column in &explanation.groups {
        if column.values.is_empty() {
            continue;
        }
        out.push_str(if any { "\n" } else { head });
        any = true;
        let mut name = clip(&column.column, 30);
        if let Some(p) = column.p {
            let _ = write!(name, " (p {})", super::shown::small(p));
        }
        groups(out, &name, &column.values, units);
    }
    if any {
        paragraph(
            out,
            "Risk: the share of a group that is among the leakiest over that share among all; 2 carries twice its part, 1 its part. Intervals that hold 1 show no difference. p: of no difference between the values of the column; the column was chosen because it differs most, unless you asked for it.",
        );
    }
}

fn groups(out: &mut String, name: &str, groups: &[GroupExposure], units: &str) {
    let rows: Vec<Vec<String>> = groups
        .iter()
        .take(MOST_VALUES)
        .map(|group| {
            vec![
                clip(&group.name, 34),
                whole(group.units),
                times(group),
                percent_interval(group.leaky),
                decimal_interval(group),
                whole(group.given_away),
            ]
        })
        .collect();
    table(
        out,
        &[name, units, "risk", "leakiest", "mean leak", "given away"],
        &rows,
        1,
    );
    if groups.len() > MOST_VALUES {
        let _ = writeln!(
            out,
            "  … and {} more, in report.json",
            groups.len() - MOST_VALUES
        );
    }
}

fn times(group: &GroupExposure) -> String {
    let risk = group.relative_risk;
    match (risk.value, risk.lower, risk.upper) {
        (Some(value), Some(lower), Some(upper)) => {
            format!("{value:.1} [{lower:.1}–{upper:.1}]")
        }
        (Some(value), ..) => format!("{value:.1}"),
        _ => "n/a".to_owned(),
    }
}

fn decimal_interval(group: &GroupExposure) -> String {
    let leak = group.leak;
    match (leak.value, leak.lower, leak.upper) {
        (Some(value), Some(lower), Some(upper)) => {
            format!("{value:.3} [{lower:.3}–{upper:.3}]")
        }
        (Some(value), ..) => format!("{value:.3}"),
        _ => "n/a".to_owned(),
    }
}

fn attribution(out: &mut String, summary: &AttributionSummary, units: &str) {
    if summary.columns.is_empty() {
        return;
    }
    let _ = writeln!(out, "\nWHICH COLUMNS MAKE THEM LEAK");
    let largest = summary
        .columns
        .iter()
        .map(|column| column.exposed)
        .fold(0.0, f64::max);
    let rows: Vec<Vec<String>> = summary
        .columns
        .iter()
        .take(MOST_COLUMNS)
        .map(|column| {
            vec![
                clip(&column.column, 34),
                bar(column.exposed, largest),
                format!("{:.3}", column.exposed),
                format!("{:.3}", column.others),
            ]
        })
        .collect();
    table(out, &["column", "", "exposed", "at random"], &rows, 2);
    let mut note = format!(
        "Mean size of a column's share of the leak, in nats, by {}: over {} exposed {units}, and over {} drawn at random.",
        printable(&summary.method),
        whole(summary.exposed),
        whole(summary.others),
    );
    if summary.columns.len() > MOST_COLUMNS {
        let _ = write!(
            note,
            " {} of {} columns.",
            MOST_COLUMNS,
            summary.columns.len()
        );
    }
    paragraph(out, &note);
}

fn bar(value: f64, largest: f64) -> String {
    let length = if largest > 0.0 && value.is_finite() {
        (BAR * value.abs() / largest).round().clamp(0.0, BAR) as usize
    } else {
        0
    };
    if value < 0.0 { "░" } else { "█" }.repeat(length)
}

fn screening(out: &mut String, screenings: &[Screening], units: &str) {
    // All are made at the same shares; one that is not has its own columns missing.
    let Some(first) = screenings.first() else {
        return;
    };
    let _ = writeln!(out, "\nFINDING THEM BEFORE AN AUDIT");
    let shares: Vec<f64> = first.reviewed.iter().map(|r| r.share).collect();
    let mut header = vec!["reviewed by".to_owned(), "needs".to_owned()];
    header.extend(shares.iter().map(|&share| percent(share)));
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let rows: Vec<Vec<String>> = screenings
        .iter()
        .map(|screening| {
            let mut cells = vec![shortened(&screening.label, 50), clip(&screening.needs, 18)];
            cells.extend(shares.iter().map(|&share| {
                screening
                    .reviewed
                    .iter()
                    .find(|r| (r.share - share).abs() < 1e-12)
                    .and_then(|r| r.found.value)
                    .map_or_else(|| "n/a".to_owned(), percent)
            }));
            cells
        })
        .collect();
    table(out, &header, &rows, 2);
    paragraph(
        out,
        &format!(
            "Share of the leakiest that is among the {units} looked at, by how many are looked at (columns), those that the measure sets apart first. By chance the two are equal."
        ),
    );
}

fn definitions(out: &mut String, explanation: &Explanation) {
    let Some(both) = &explanation.definitions else {
        return;
    };
    let _ = writeln!(out, "\nTWO DEFINITIONS OF VULNERABLE");
    let cells = |name: &str, of: &dyn Fn(&Definition) -> String| {
        vec![name.to_owned(), of(&both.global), of(&both.per_record)]
    };
    let rows = vec![
        cells("members named", &|d| whole(d.members)),
        cells("non-members named", &|d| whole(d.non_members)),
        cells("share of the members", &|d| {
            percent_interval(d.true_positive_rate)
        }),
        cells("share of the non-members", &|d| {
            percent_interval(d.false_positive_rate)
        }),
        cells("of those named, members", &|d| {
            percent_interval(d.precision)
        }),
        cells("leakiest among members named", &|d| {
            percent_interval(d.leaky)
        }),
        cells("mean leak of members named", &|d| nats(d.mean_leak)),
        cells("mean leak of all members", &|d| {
            nats(d.mean_leak_of_members)
        }),
    ];
    table(out, &["", "one threshold", "per record"], &rows, 1);
    paragraph(
        out,
        &format!(
            "One threshold for all: the model is surer of the class than of 99\u{a0}% of all non-members. Per record: surer than 99\u{a0}% of the models that never saw this record would be. Members named by both: {}. The first finds what is easy, whether it was learnt or not; the second what the model knows only by having seen it.",
            whole(both.both)
        ),
    );
}

fn computed(out: &mut String, explanation: &Explanation, units: &str) {
    let settings = &explanation.settings;
    let _ = writeln!(out, "\nCOMPUTED FROM");
    row(
        out,
        "measured",
        &format!(
            "{} records with {} reference models, {} neighbours each among {}",
            whole(settings.records),
            settings.measuring_models,
            settings.neighbours,
            whole(settings.neighbour_candidates)
        ),
    );
    row(
        out,
        "compared",
        &format!(
            "with the leak of {} {units} on {} other reference models, so that no measure is compared with itself",
            whole(settings.units),
            settings.judging_models
        ),
    );
    if settings.inner_models > 0 {
        row(
            out,
            "looked into",
            &format!("{} models that were trained again", settings.inner_models),
        );
    }
    for space in &settings.spaces {
        row(
            out,
            &clip(&space.name, 11),
            &printable(&format!(
                "{}, {} numbers each",
                space.description, space.columns
            )),
        );
    }
}

/// What is known of one record: its leak, the reason with its evidence, its measures and their
/// places among all records, and what in its input makes it leak. `units` is what units are
/// called: "records" or "groups".
#[must_use]
pub fn record(explanation: &Explanation, facts: &RecordFacts, units: &str) -> String {
    let mut out = String::new();
    let unit = units.strip_suffix('s').unwrap_or(units);
    let exposed = explanation
        .exposed
        .iter()
        .find(|e| match (e.unit, facts.unit) {
            (Some(a), Some(b)) => a == b,
            _ => e.id == facts.id,
        });
    let _ = writeln!(
        out,
        "{} {}",
        if unit == "group" {
            "GROUP OF RECORD"
        } else {
            "RECORD"
        },
        shown_id(&facts.id)
    );
    row(&mut out, "class", &printable(&facts.class));
    let all = explanation.settings.units;
    row(
        &mut out,
        "leak",
        &match (facts.leak, facts.rank) {
            (Some(leak), Some(rank)) => format!(
                "{leak:.3} nats, {} of {} by leak ({})",
                ordinal(rank),
                whole(all),
                place(rank, all),
            ),
            (Some(leak), None) => format!("{leak:.3} nats"),
            _ => format!("not known: too few models were trained with this {unit}, or without it"),
        },
    );
    row(
        &mut out,
        "exposed",
        match exposed {
            _ if facts.given_away => "yes, given away by this model",
            Some(_) => "among the most exposed, but not given away by this model",
            None => "no: it is neither given away nor among the most exposed of the report",
        },
    );
    let reason = exposed
        .map(|e| e.reason.as_str())
        .or(facts.reason.as_deref());
    if let Some(reason) = reason {
        let meaning = explanation.reasons.iter().find(|r| r.reason == reason);
        let text = match meaning {
            Some(meaning) => format!("{reason}: {}", meaning.meaning),
            None => reason.to_owned(),
        };
        // What is not exposed has a reason for which it would be.
        let name = if exposed.is_some() {
            "reason"
        } else {
            "would be"
        };
        row(&mut out, name, &printable(&text));
    }
    let further = exposed.map_or(&facts.further[..], |e| &e.further[..]);
    if !further.is_empty() {
        row(&mut out, "also", &printable(&further.join("; ")));
    }
    let statement = exposed
        .map(|e| e.statement.as_str())
        .or(facts.statement.as_deref());
    if let Some(statement) = statement.filter(|statement| !statement.is_empty()) {
        let _ = writeln!(out, "\nIN WORDS");
        paragraph(&mut out, &printable(statement));
    }
    measures(&mut out, explanation, facts);
    if let Some(e) = exposed {
        unit_attribution(&mut out, explanation, e);
    }
    out
}

/// 1st, 2nd, 3rd, 4th, 11th.
fn ordinal(number: usize) -> String {
    let ending = match (number % 10, number % 100) {
        (1, rest) if rest != 11 => "st",
        (2, rest) if rest != 12 => "nd",
        (3, rest) if rest != 13 => "rd",
        _ => "th",
    };
    format!("{}{ending}", whole(number))
}

fn place(rank: usize, all: usize) -> String {
    if all == 0 {
        return "n/a".to_owned();
    }
    let share = rank as f64 / all as f64;
    format!("the first {}", percent(share))
}

/// Families in the order in which they are told, and what they are called.
pub(super) const FAMILIES: [(&str, &str); 6] = [
    ("divergence", "how far models with and without it differ"),
    ("difficulty", "how hard it is for models without it"),
    ("label", "whether its label fits"),
    ("distance", "where it lies in its class"),
    ("anomaly", "how unusual it is"),
    ("duplicates", "whether there are others like it"),
];

fn measures(out: &mut String, explanation: &Explanation, facts: &RecordFacts) {
    let found = |predictor: &Predictor| {
        facts
            .measures
            .iter()
            .find(|m| m.measure == predictor.measure && !m.value.is_nan())
    };
    let mut families: Vec<(&str, &str)> = FAMILIES.to_vec();
    for predictor in &explanation.predictors {
        if !families.iter().any(|f| f.0 == predictor.family) {
            families.push((&predictor.family, &predictor.family));
        }
    }
    let mut any = false;
    for (family, title) in families {
        let rows: Vec<Vec<String>> = explanation
            .predictors
            .iter()
            .filter(|p| p.family == family)
            .filter_map(|p| Some((p, found(p)?)))
            .map(|(p, m)| {
                vec![
                    format!(
                        "{} {}",
                        if is_remarkable(explanation, p, m) {
                            "*"
                        } else {
                            " "
                        },
                        shortened(&p.label, 60)
                    ),
                    three(m.value),
                    among(m, "records"),
                ]
            })
            .collect();
        if rows.is_empty() {
            continue;
        }
        if !any {
            let _ = writeln!(out, "\nMEASURES");
            any = true;
        }
        // The left column is padded so that all families line up.
        let _ = writeln!(out, "  {}", printable(title));
        for cells in rows {
            let _ = writeln!(out, "    {:<62} {:>9}  {}", cells[0], cells[1], cells[2]);
        }
    }
    if any {
        paragraph(
            out,
            &format!(
                "*: among the {} of records that this measure sets apart, on the side that stands for exposure.",
                percent(explanation.settings.remarkable_share)
            ),
        );
    }
}

/// Three digits of a number.
fn three(value: f64) -> String {
    let rounded: f64 = format!("{value:.2e}").parse().unwrap_or(value);
    if rounded != 0.0 && !(1e-3..1e6).contains(&rounded.abs()) {
        format!("{rounded:e}")
    } else {
        format!("{rounded}")
    }
}

/// Whether so few have a value as far out.
fn is_remarkable(explanation: &Explanation, p: &Predictor, m: &MeasureOfRecord) -> bool {
    let beyond = if p.reversed { m.smaller } else { m.larger };
    let behind = if p.reversed { m.larger } else { m.smaller };
    beyond < explanation.settings.remarkable_share
        && behind >= 1.0 - explanation.settings.remarkable_share
}

/// The place of a value among all.
fn among(m: &MeasureOfRecord, units: &str) -> String {
    if m.smaller >= m.larger {
        if m.larger <= 0.0 && m.smaller > 0.0 {
            return format!("the largest of all, larger than {}", percent(m.smaller));
        }
        format!("larger than {} of {units}", percent(m.smaller))
    } else {
        if m.smaller <= 0.0 {
            return format!("the smallest of all, smaller than {}", percent(m.larger));
        }
        format!("smaller than {} of {units}", percent(m.larger))
    }
}

fn unit_attribution(out: &mut String, explanation: &Explanation, unit: &ExplainedUnit) {
    let Some(attribution) = &unit.attribution else {
        return;
    };
    let _ = writeln!(out, "\nWHAT IN IT MAKES IT LEAK");
    let largest = attribution
        .columns
        .iter()
        .map(|c| c.nats.abs())
        .chain([attribution.others.abs()])
        .fold(0.0, f64::max);
    let mut rows: Vec<Vec<String>> = attribution
        .columns
        .iter()
        .map(|column| {
            let name = match &column.value {
                Some(value) => format!("{} = {value}", column.column),
                None => column.column.clone(),
            };
            vec![
                clip(&name, 48),
                format!("{:+.3}", column.nats),
                bar(column.nats, largest),
            ]
        })
        .collect();
    rows.push(vec![
        "all other columns".to_owned(),
        format!("{:+.3}", attribution.others),
        bar(attribution.others, largest),
    ]);
    for cells in rows {
        let _ = writeln!(
            out,
            "  {:<48} {:>8}  {}",
            cells[0],
            cells[1],
            cells[2].trim_end()
        );
    }
    let method = explanation
        .attribution
        .as_ref()
        .map_or_else(|| "shares".to_owned(), |a| printable(&a.method));
    paragraph(
        out,
        &format!(
            "By {method}, in nats: shares of the difference between its leak in the models looked into ({}) and that of the mean record of its class ({}). Above 0 a column makes it leak more. They miss {} of the difference.",
            format_args!("{:.3}", attribution.gap),
            format_args!("{:.3}", attribution.baseline_gap),
            significant(attribution.residual),
        ),
    );
}

#[cfg(test)]
pub(crate) use tests::example;

#[cfg(test)]
mod tests;
