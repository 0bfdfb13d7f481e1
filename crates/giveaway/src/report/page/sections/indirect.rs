//! Indirect inference: who is given away by questions that do not contain them.

use std::fmt::Write as _;

use askama::Template;

use super::super::number::{Html, Numbers, Style, none};
use super::super::rows::{LONGEST_TEXT, MOST_INDIRECT, anchor, shown_id};
use super::certainty::band;
use super::{Content, Figure, Section, render, singular, table};
use crate::error::Result;
use crate::evaluate::{Estimate, LEVELS};
use crate::report::chart::{Axis, Chart, Dot, Mark, escape};
use crate::report::indirect::{DIRECT, IndirectRates, IndirectRecord, IndirectSection, LevelRates};
use crate::report::printable::printable;

/// Columns in which queries differ that are shown of a record.
const MOST_COLUMNS: usize = 40;

#[derive(Template)]
#[template(path = "sections/indirect.html")]
struct Indirect<'a> {
    s: &'a IndirectSection,
    n: Numbers<'a>,
    units: &'a str,
    unit: &'a str,
    redacted: bool,
    paired: bool,
    /// Where the share of non-members at the first level stands, if it is certainly too large.
    too_small: Option<String>,
    rates: Html,
    every: Html,
    figures: Vec<Html>,
    filters: Option<Html>,
    /// What the filter of radius 0 stops.
    own_query: Option<String>,
    heading: String,
    /// Records in a table, of a redacted report.
    plain: Html,
    cards: Vec<Card>,
    /// Records that are not shown.
    more: usize,
}

/// One record.
struct Card {
    id: Html,
    anchor: String,
    class: Html,
    p: Html,
    direct: Html,
    given_away: bool,
    facts: Html,
    budgets: Html,
    pictures: bool,
    queries: Option<Html>,
    /// Columns that differ and are shown, and how many more there are.
    shown: usize,
    left_out: usize,
}

pub(super) fn section(content: &Content<'_>) -> Result<Option<Section>> {
    let audit = content.audit;
    let Some(s) = &audit.indirect else {
        return Ok(None);
    };
    let n = content.numbers();
    let units = audit.data.unit_name.as_str();
    let unit = singular(units);
    let mut files = Vec::new();
    let largest = s.budgets().last().copied().unwrap_or(0);
    let figures = [recall(s, unit, n), calibration(s, largest, n)]
        .into_iter()
        .flatten()
        .map(|figure| figure.place(&mut files))
        .collect();
    let shown = s.records.len().min(MOST_INDIRECT);
    let indirect = Indirect {
        s,
        n,
        units,
        unit,
        redacted: audit.redacted,
        paired: s.settings.build == "paired",
        too_small: s
            .too_small()
            .map(|(curve, at)| format!("/indirect/calibration/{curve}/at/{at}/share")),
        rates: by_budget(s, unit, n),
        every: every(s, n),
        figures,
        filters: filters(s, units, n),
        own_query: s
            .filters
            .iter()
            .position(|f| f.radius <= 0.0)
            .map(|index| format!("/indirect/filters/{index}/stops")),
        heading: format!("The {units} tested in this way"),
        plain: plain(s, n),
        cards: (0..shown).map(|index| card(s, index, unit, n)).collect(),
        more: s.records.len() - shown,
    };
    Ok(Some(Section {
        id: "indirect",
        short: "Indirect",
        html: Html(render(&indirect)?),
        figures: files,
    }))
}

/// Where the rates at the first of [`LEVELS`] stand.
fn first_level(rates: &IndirectRates) -> Option<(usize, &LevelRates)> {
    rates
        .levels
        .iter()
        .enumerate()
        .find(|(_, at)| (at.level - LEVELS[0]).abs() < 1e-12)
}

/// The rates of direct inference and of the combination by number of queries: where each
/// stands, and how it is called.
fn lines(s: &IndirectSection, unit: &str, n: Numbers<'_>) -> Vec<(usize, Html)> {
    let mut lines = Vec::new();
    if let Some(index) = s.rates_of(DIRECT, 0) {
        lines.push((index, Html(format!("asking about the {unit} itself"))));
    }
    for queries in s.budgets() {
        if let Some(index) = s.rates_of(&s.combination, queries) {
            let count = n.show(format!("/indirect/rates/{index}/queries"), Style::Count);
            let words = if queries == 1 {
                "other question"
            } else {
                "other questions"
            };
            lines.push((index, Html(format!("{count} {words}"))));
        }
    }
    lines
}

fn by_budget(s: &IndirectSection, unit: &str, n: Numbers<'_>) -> Html {
    let rows: Vec<Vec<Html>> = lines(s, unit, n)
        .into_iter()
        .map(|(index, name)| {
            let place = format!("/indirect/rates/{index}");
            let mut cells = vec![name];
            match first_level(&s.rates[index]) {
                Some((at, _)) => {
                    let at = format!("{place}/levels/{at}");
                    cells.push(n.estimate(format!("{at}/precision"), Style::Rate));
                    cells.push(n.estimate(format!("{at}/recall"), Style::Rate));
                    cells.push(n.estimate(format!("{at}/false_positive_rate"), Style::Rate));
                }
                None => cells.extend([none(), none(), none()]),
            }
            cells.push(n.estimate(format!("{place}/auc"), Style::Rate));
            cells
        })
        .collect();
    table(
        &format!("Naming every {unit} with p below one per cent, over reference models"),
        &["asked", "precision", "recall", "false-positive rate", "AUC"],
        &rows,
    )
}

/// Every test with every number of queries, folded.
fn every(s: &IndirectSection, n: Numbers<'_>) -> Html {
    let rows: Vec<Vec<Html>> = s
        .rates
        .iter()
        .enumerate()
        .map(|(index, rates)| {
            let place = format!("/indirect/rates/{index}");
            let mut cells = vec![
                n.quote(format!("{place}/test")),
                n.show(format!("{place}/queries"), Style::Count),
            ];
            for level in LEVELS {
                let at = rates
                    .levels
                    .iter()
                    .position(|at| (at.level - level).abs() < 1e-12);
                for name in ["precision", "recall", "false_positive_rate"] {
                    cells.push(at.map_or_else(none, |at| {
                        n.estimate(format!("{place}/levels/{at}/{name}"), Style::Rate)
                    }));
                }
            }
            cells.push(n.estimate(format!("{place}/auc"), Style::Rate));
            cells
        })
        .collect();
    let mut header = vec!["test".to_owned(), "queries".to_owned()];
    for level in LEVELS {
        for name in ["precision", "recall", "FPR"] {
            header.push(format!("{name} at p &lt; <span data-fixed>{level}</span>"));
        }
    }
    header.push("AUC".to_owned());
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    Html(format!(
        "<details class=\"numbers\"><summary>Every way to combine, and every number of questions</summary>{}</details>",
        table(
            "Over reference models in the target’s place",
            &header,
            &rows
        )
    ))
}

/// Recall against the number of queries, direct inference as a line.
fn recall(s: &IndirectSection, unit: &str, n: Numbers<'_>) -> Option<Figure> {
    let of = |index: usize| -> Option<Estimate> { Some(first_level(&s.rates[index])?.1.recall) };
    let points: Vec<(f64, Estimate)> = s
        .budgets()
        .into_iter()
        .filter(|&queries| queries > 0)
        .filter_map(|queries| {
            let estimate = of(s.rates_of(&s.combination, queries)?)?;
            estimate.value?;
            Some((queries as f64, estimate))
        })
        .collect();
    let (first, last) = (points.first()?.0, points.last()?.0);
    let (lowest, highest) = (first, last.max(10.0 * first));
    let ends = points.iter().map(|p| p.1);
    let ends = ends.chain(s.rates_of(DIRECT, 0).and_then(of));
    let most = ends.filter_map(|e| e.upper.or(e.value)).fold(0.0, f64::max);
    let top = if most > 0.5 {
        1.0
    } else {
        // to the next tenth, or hundredth where all is small
        let step = if most > 0.1 { 0.1 } else { 0.02 };
        ((most / step).ceil() * step).max(step)
    };
    let mut chart = Chart::new(
        "Recall against the number of queries",
        "The share of members that are named with p below .01, against the number of questions for each, none of which contains the record, with intervals. The other line is direct inference, which asks about the record itself.",
        Axis::log("questions for each", lowest, highest),
        Axis::linear("members named with p < .01", 0.0, top).percent(),
    );
    if let Some(direct) = s.rates_of(DIRECT, 0).and_then(of)
        && let Some(value) = direct.value
    {
        chart.marks.push(Mark::Band {
            points: [lowest, highest]
                .into_iter()
                .filter_map(|x| band(x, direct))
                .collect(),
            series: 1,
        });
        chart.marks.push(Mark::Line {
            points: vec![(lowest, value), (highest, value)],
            series: 1,
        });
        chart.name(1, &format!("asking about the {unit} itself"));
    }
    chart.marks.push(Mark::Line {
        points: points
            .iter()
            .filter_map(|&(x, e)| Some((x, e.value?)))
            .collect(),
        series: 0,
    });
    chart.marks.push(Mark::Dots {
        dots: points
            .iter()
            .filter_map(|&(x, e)| {
                Some(Dot {
                    x,
                    y: e.value?,
                    interval: e.lower.zip(e.upper),
                })
            })
            .collect(),
        series: 0,
    });
    chart.name(0, "asking other questions");
    let rows: Vec<Vec<Html>> = lines(s, unit, n)
        .into_iter()
        .filter_map(|(index, name)| {
            let (at, _) = first_level(&s.rates[index])?;
            let place = format!("/indirect/rates/{index}/levels/{at}/recall");
            Some(vec![name, n.estimate(place, Style::Rate)])
        })
        .collect();
    Some(
        Figure::new(
            "indirect-recall",
            chart,
            format!("<p><strong>How many questions it takes.</strong> The share of members named with p &lt; <span data-fixed>.01</span>, over reference models. Where the upper line is reached, never showing the {unit} to the model costs the attacker nothing.</p>"),
        )
        .with_numbers(table("Recall", &["asked", "recall"], &rows)),
    )
}

/// Whether non-members have small p-values no more often than they should.
fn calibration(s: &IndirectSection, largest: usize, n: Numbers<'_>) -> Option<Figure> {
    let own = s.calibration_of(&s.combination, largest)?;
    let others = s.calibration.iter().enumerate().filter(|&(index, c)| {
        index != own && (c.queries == largest || c.test == DIRECT) && !c.at.is_empty()
    });
    let drawn: Vec<usize> = std::iter::once(own)
        .chain(others.map(|(index, _)| index))
        .collect();
    let lowest = s.calibration[own]
        .at
        .iter()
        .map(|at| at.level)
        .fold(f64::INFINITY, f64::min)
        .clamp(1e-6, 0.01);
    let mut chart = Chart::new(
        "Calibration of indirect inference",
        "The share of non-members whose p-value is at most a level, against that level, both on logarithmic axes, over reference models, with an interval. The dashed diagonal is where the two are equal; below it a test is careful, above it p-values are too small.",
        Axis::log("level", lowest, 1.0),
        Axis::log("non-members with p at most that", lowest / 4.0, 1.0),
    )
    .with(Mark::Diagonal);
    for (series, &index) in drawn.iter().enumerate() {
        let curve = &s.calibration[index];
        let at = || curve.at.iter().map(|at| (at.level, at.share));
        if index == own {
            chart.marks.push(Mark::Band {
                points: at().filter_map(|(x, e)| band(x, e)).collect(),
                series,
            });
        }
        chart.marks.push(Mark::Line {
            points: at()
                .filter_map(|(x, e)| Some((x, e.value.filter(|&v| v > 0.0)?)))
                .collect(),
            series,
        });
        chart.name(
            series,
            &if index == own {
                format!("{}, with interval", printable(&curve.test))
            } else {
                printable(&curve.test)
            },
        );
    }
    let mut header = vec!["level".to_owned()];
    header.extend(drawn.iter().map(|&index| {
        n.quote(format!("/indirect/calibration/{index}/test"))
            .to_string()
    }));
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let rows: Vec<Vec<Html>> = (0..s.calibration[own].at.len())
        .map(|at| {
            let place = |index: usize| format!("/indirect/calibration/{index}/at/{at}");
            let mut cells = vec![n.show(format!("{}/level", place(own)), Style::Significant)];
            cells.extend(drawn.iter().map(|&index| {
                // all are made at the same levels
                match s.calibration[index].at.get(at) {
                    Some(_) => n.estimate(format!("{}/share", place(index)), Style::Rate),
                    None => none(),
                }
            }));
            cells
        })
        .collect();
    Some(
        Figure::new(
            "indirect-calibration",
            chart,
            format!(
                "<p><strong>Whether the p-values can be believed.</strong> {} p-values of non-members, with {} questions each: at every level, at most so many should be below it. On the diagonal or under it a test keeps its promise; above, it accuses too many.</p>",
                n.show(format!("/indirect/calibration/{own}/non_members"), Style::Count),
                n.show(format!("/indirect/calibration/{own}/queries"), Style::Count),
            ),
        )
        .with_numbers(table("Non-members with p at most a level", &header, &rows)),
    )
}

fn filters(s: &IndirectSection, units: &str, n: Numbers<'_>) -> Option<Html> {
    let rows: Vec<Vec<Html>> = (0..s.filters.len())
        .map(|index| {
            let place = format!("/indirect/filters/{index}");
            vec![
                n.show(format!("{place}/radius"), Style::Significant),
                n.show(format!("{place}/stops"), Style::Rate),
                n.show(format!("{place}/refuses"), Style::Rate),
            ]
        })
        .collect();
    (!rows.is_empty()).then(|| {
        table(
            "Refusing inputs near to those tested",
            &[
                "refuses what is nearer than",
                "share of the questions that it stops",
                &format!("share of the other audited {units} that it refuses"),
            ],
            &rows,
        )
    })
}

/// Identifier, class, p and q of both tests, of a redacted report.
fn plain(s: &IndirectSection, n: Numbers<'_>) -> Html {
    let rows: Vec<Vec<Html>> = s
        .records
        .iter()
        .enumerate()
        .take(MOST_INDIRECT)
        .map(|(index, record)| {
            let place = format!("/indirect/records/{index}");
            vec![
                n.quote(format!("{place}/id")),
                n.quote(format!("{place}/class")),
                n.show(format!("{place}/p"), Style::Small),
                n.show(format!("{place}/q"), Style::Small),
                n.show(format!("{place}/direct_p"), Style::Small),
                n.show(format!("{place}/direct_q"), Style::Small),
                Html(yes(record.given_away).to_owned()),
                Html(yes(record.direct_given_away).to_owned()),
            ]
        })
        .collect();
    table(
        "Tested without being asked about",
        &[
            "identifier",
            "class",
            "p, indirect",
            "q, indirect",
            "p, direct",
            "q, direct",
            "given away indirectly",
            "given away directly",
        ],
        &rows,
    )
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

fn card(s: &IndirectSection, index: usize, unit: &str, n: Numbers<'_>) -> Card {
    let record = &s.records[index];
    let place = format!("/indirect/records/{index}");
    let columns = changed_columns(record);
    let shown = columns.len().min(MOST_COLUMNS);
    let queries =
        (!record.shown.is_empty()).then(|| queries(record, &place, &columns[..shown], unit, n));
    Card {
        id: data(&record.id, &format!("{place}/id"), n, true),
        anchor: anchor(&record.id),
        class: data(&record.class, &format!("{place}/class"), n, false),
        p: n.show(format!("{place}/p"), Style::Small),
        direct: n.show(format!("{place}/direct_p"), Style::Small),
        given_away: record.given_away,
        facts: facts(record, &place, unit, n),
        budgets: budgets(record, &place, n),
        pictures: columns.is_empty() && !record.shown.is_empty(),
        queries,
        shown,
        left_out: columns.len() - shown,
    }
}

/// Words of the data; long ones are cut.
fn data(text: &str, place: &str, n: Numbers<'_>, is_id: bool) -> Html {
    if text.is_empty() {
        return Html("<span class=\"muted\">missing</span>".to_owned());
    }
    if text.chars().count() <= LONGEST_TEXT {
        return n.quote(place);
    }
    let cut = if is_id {
        shown_id(text)
    } else {
        let start: String = text.chars().take(LONGEST_TEXT).collect();
        format!("{}…", printable(&start))
    };
    Html(format!("<bdi>{}</bdi>", escape(&cut)))
}

/// Distances, membership and recurrence in sentences.
fn facts(record: &IndirectRecord, place: &str, unit: &str, n: Numbers<'_>) -> Html {
    let mut out = String::new();
    let show = |name: &str, style| n.show(format!("{place}/{name}"), style);
    // Writing to a String cannot fail.
    if record.queries.is_some() {
        let _ = write!(out, "{} questions", show("queries", Style::Count));
        if record.smallest_distance.is_some() {
            let _ = write!(
                out,
                ", the nearest at a distance of {}",
                show("smallest_distance", Style::Significant)
            );
        }
        if record.floor.is_some() {
            let _ = write!(
                out,
                " (at least {} was asked for",
                show("floor", Style::Significant)
            );
            if record.nearest_record.is_some() {
                let _ = write!(
                    out,
                    "; the nearest real {unit} is {} away",
                    show("nearest_record", Style::Significant)
                );
            }
            out.push(')');
        }
        out.push('.');
    }
    if record.recurrence.is_some() {
        let _ = write!(
            out,
            " Over reference models in the target’s place, p &lt; <span data-fixed>.01</span> in {} of {} trained on it and in {} of {} others.",
            show("recurrence/found", Style::Count),
            show("recurrence/in_targets", Style::Count),
            show("recurrence/wrongly_accused", Style::Count),
            show("recurrence/out_targets", Style::Count)
        );
    }
    match record.member {
        Some(true) => out.push_str(" It was in the training data."),
        Some(false) => out.push_str(" It was <strong>not</strong> in the training data."),
        None => {}
    }
    Html(out)
}

/// The combination whose p-values mean nothing for questions that depend on each other.
const FISHER: &str = "fisher";

/// P-values: direct, by number of queries, by the other combinations.
fn budgets(record: &IndirectRecord, place: &str, n: Numbers<'_>) -> Html {
    let mut header = vec!["p-value".to_owned()];
    let mut cells = vec![Html("this model".to_owned())];
    header.push("asked directly".to_owned());
    cells.push(n.show(format!("{place}/direct_p"), Style::Small));
    if record.best_query_p.is_some() {
        header.push("first question alone".to_owned());
        cells.push(n.show(format!("{place}/best_query_p"), Style::Small));
    }
    for (at, budget) in record.budget.iter().enumerate() {
        let count = n.show(format!("{place}/budget/{at}/queries"), Style::Count);
        let words = if budget.queries == 1 {
            "question"
        } else {
            "questions"
        };
        header.push(format!("{count} {words}"));
        cells.push(n.show(format!("{place}/budget/{at}/p"), Style::Small));
    }
    for (at, named) in record.p_by_test.iter().enumerate() {
        // It takes questions for independent, and would pass for the strongest evidence.
        if named.test == FISHER {
            continue;
        }
        let test = n.quote(format!("{place}/p_by_test/{at}/test"));
        header.push(format!("all, by {test}"));
        cells.push(n.show(format!("{place}/p_by_test/{at}/p"), Style::Small));
    }
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    table("How it fares", &header, &[cells])
}

/// Columns in which any query shown differs, in the order in which they first do.
fn changed_columns(record: &IndirectRecord) -> Vec<&str> {
    let mut columns: Vec<&str> = Vec::new();
    for value in record.shown.iter().flat_map(|q| &q.values) {
        if !columns.contains(&value.column.as_str()) {
            columns.push(&value.column);
        }
    }
    columns
}

/// The record beside its first queries, by the columns that differ.
fn queries(
    record: &IndirectRecord,
    place: &str,
    columns: &[&str],
    unit: &str,
    n: Numbers<'_>,
) -> Html {
    let mut header = vec!["column".to_owned(), format!("the {unit}")];
    let mut tail = vec![
        Html(format!("with the {unit} in training, the model is")),
        Html(String::new()),
    ];
    let mut differ = vec![Html("columns that differ".to_owned()), Html(String::new())];
    let mut p = vec![Html("p of it alone".to_owned()), Html(String::new())];
    let mut distance = vec![Html(format!("distance to the {unit}")), Html(String::new())];
    for (at, query) in record.shown.iter().enumerate() {
        let place = format!("{place}/shown/{at}");
        header.push(format!("question <span data-fixed>{}</span>", at + 1));
        p.push(n.show(format!("{place}/p"), Style::Small));
        distance.push(n.show(format!("{place}/distance"), Style::Significant));
        differ.push(n.show(format!("{place}/columns_changed"), Style::Count));
        tail.push(Html(
            if query.tail == "upper" {
                "surer of the class"
            } else {
                "less sure of it"
            }
            .to_owned(),
        ));
    }
    let mut rows: Vec<Vec<Html>> = columns
        .iter()
        .map(|&column| {
            let find = |query: usize| {
                record.shown[query]
                    .values
                    .iter()
                    .position(|value| value.column == column)
            };
            let first = (0..record.shown.len()).find_map(|query| Some((query, find(query)?)));
            let mut cells = match first {
                Some((query, value)) => {
                    let at = format!("{place}/shown/{query}/values/{value}");
                    let values = &record.shown[query].values[value];
                    vec![
                        data(column, &format!("{at}/column"), n, false),
                        data(&values.record, &format!("{at}/record"), n, false),
                    ]
                }
                None => Vec::new(),
            };
            cells.extend((0..record.shown.len()).map(|query| match find(query) {
                Some(value) => {
                    let text = &record.shown[query].values[value].query;
                    let at = format!("{place}/shown/{query}/values/{value}/query");
                    Html(format!("<strong>{}</strong>", data(text, &at, n, false)))
                }
                None => Html("<span class=\"muted\">same</span>".to_owned()),
            }));
            cells
        })
        .collect();
    if !columns.is_empty() {
        rows.push(differ);
    }
    rows.extend([distance, p, tail]);
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let caption = format!("The {unit} and the first questions about it");
    table(&caption, &header, &rows)
}
