//! Why these records: what goes with the leak, reasons, who carries the risk, and a map.

use std::fmt::Write as _;

use askama::Template;

use super::super::gathered::MapPoints;
use super::super::number::{Html, Numbers, Style, none};
use super::super::rows::{anchor, shown_id};
use super::{Content, Figure, Section, render, singular, table};
use crate::error::Result;
use crate::evaluate::Estimate;
use crate::report::chart::{Axis, Chart, Dot, Map, MapDot, Mark, row_height};
use crate::report::explanation::{Explanation, GroupExposure, MapView};
use crate::report::explanation_text::{shortened, shown_predictors};
use crate::report::printable::printable;

/// Measures that are drawn however good they are.
const MOST_PREDICTORS: usize = 15;
/// Characters of a name in a figure.
const LONGEST_NAME: usize = 38;
/// Groups that are drawn of a column.
const MOST_GROUPS: usize = 12;
/// Columns over which exposure is drawn.
const MOST_GROUPINGS: usize = 9;
/// Rows of a table of groups or columns.
const MOST_ROWS: usize = 200;
/// Curves of screening for each thing that a measure may need.
const MOST_CURVES: usize = 2;
/// Columns whose shares are drawn.
const MOST_SHARES: usize = 15;
/// Exposed units on a map that are linked to their rows.
const MOST_LINKED: usize = 100;
/// Classes that are told apart on a map.
const MOST_CLASSES: usize = 10;
/// Classes whose images are shown with what speaks for them.
const MOST_HEATS: usize = 20;
/// What measures may need, and their series.
const NEEDS: [(&str, &str, usize); 3] = [
    ("data", "needs the data only", 2),
    ("a few models", "needs a few models", 0),
    ("reference models", "needs reference models", 1),
];

#[derive(Template)]
#[template(path = "sections/explanation.html")]
struct Why<'a> {
    s: Option<&'a Explanation>,
    n: Numbers<'a>,
    units: &'a str,
    unit: &'a str,
    redacted: bool,
    findings: Vec<Html>,
    reasons: Option<Html>,
    figures: Vec<Html>,
    exposure: Vec<Html>,
    definitions: Option<Html>,
    map: Option<Vec<View>>,
    heats: Vec<Heats>,
}

/// A way to lay out the records.
struct View {
    method: Html,
    space: Html,
    quality: Html,
    svg: Html,
    linked: usize,
}

/// The images of a class that have a map of what speaks for it.
struct Heats {
    code: usize,
    class: Html,
}

pub(super) fn section(content: &Content<'_>) -> Result<Option<Section>> {
    let audit = content.audit;
    let n = content.numbers();
    let units = audit.data.unit_name.as_str();
    let unit = singular(units);
    let mut why = Why {
        s: audit.explanation.as_ref(),
        n,
        units,
        unit,
        redacted: audit.redacted,
        findings: Vec::new(),
        reasons: None,
        figures: Vec::new(),
        exposure: Vec::new(),
        definitions: None,
        map: None,
        heats: Vec::new(),
    };
    let mut files = Vec::new();
    if let Some(s) = &audit.explanation {
        why.findings = (1..s.findings.len())
            .map(|index| n.quote(format!("/explanation/findings/{index}")))
            .collect();
        why.reasons = reasons(s, units, n);
        why.figures = [
            predictors(s, n),
            screening(s, units, n),
            attribution(s, units, n),
        ]
        .into_iter()
        .flatten()
        .map(|figure| figure.place(&mut files))
        .collect();
        why.exposure = exposure(s, units, n)
            .into_iter()
            .map(|figure| figure.place(&mut files))
            .collect();
        why.definitions = s.definitions.as_ref().map(|_| definitions(n));
        why.map = content.map.and_then(|map| views(content, s, map, n));
        why.heats = heats(content, n);
    } else if audit.redacted {
        // Who gets the copy cannot explain the run.
        return Ok(None);
    }
    Ok(Some(Section {
        id: "why",
        short: "Why",
        html: Html(render(&why)?),
        figures: files,
    }))
}

/// A name for a figure, made safe and cut.
fn named(text: &str) -> String {
    shortened(text, LONGEST_NAME)
}

/// A name on two lines, if it needs them.
fn on_two_lines(text: &str) -> String {
    let text = shortened(text, 2 * LONGEST_NAME - 8);
    if text.chars().count() <= LONGEST_NAME {
        return text;
    }
    // The space nearest to the middle.
    let middle = text.len() / 2;
    let space = (text.match_indices(' ')).min_by_key(|(at, _)| at.abs_diff(middle));
    match space {
        Some((at, _)) => format!("{}\n{}", &text[..at], &text[at + 1..]),
        None => named(&text),
    }
}

/// A chart whose rows have long names.
fn of_rows(title: &str, description: &str, x: Axis, names: &[String]) -> Chart {
    let mut chart = Chart::of_rows(title, description, x, names);
    let lines = names.iter().flat_map(|name| name.split('\n'));
    let longest = lines.map(|line| line.chars().count()).max().unwrap_or(0);
    chart.left = (7.2 * longest as f64 + 18.0).clamp(72.0, 294.0);
    let row = if names.iter().any(|name| name.contains('\n')) {
        34.0
    } else {
        24.0
    };
    chart.height = row * names.len().max(1) as f64;
    chart
}

fn across(x: f64, rows: usize, row: usize, estimate: Estimate) -> Dot {
    Dot {
        x,
        y: row_height(rows, row),
        interval: estimate.lower.zip(estimate.upper),
    }
}

fn reasons(s: &Explanation, units: &str, n: Numbers<'_>) -> Option<Html> {
    let rows: Vec<Vec<Html>> = (0..s.reasons.len())
        .map(|index| {
            let place = format!("/explanation/reasons/{index}");
            let show = |name: &str, style| n.show(format!("{place}/{name}"), style);
            vec![
                Html(format!(
                    "<strong>{}</strong><br><small class=\"muted\">{}</small>",
                    n.quote(format!("{place}/reason")),
                    n.quote(format!("{place}/meaning"))
                )),
                show("exposed", Style::Count),
                show("all", Style::Count),
                n.estimate(format!("{place}/leaky"), Style::Percent),
                show("mean_leak", Style::Decimals),
            ]
        })
        .collect();
    (!rows.is_empty()).then(|| {
        let table = table(
            "How often each reason is given",
            &[
                "reason",
                "exposed",
                &format!("all {units} with it"),
                "of these, among the leakiest",
                "mean leak",
            ],
            &rows,
        );
        Html(format!("<div class=\"reasons\">{table}</div>"))
    })
}

fn predictors(s: &Explanation, n: Numbers<'_>) -> Option<Figure> {
    let shown: Vec<usize> = shown_predictors(&s.predictors, MOST_PREDICTORS)
        .into_iter()
        .filter(|&index| s.predictors[index].spearman.value.is_some())
        .collect();
    if shown.is_empty() {
        return None;
    }
    let names: Vec<String> = shown
        .iter()
        .map(|&index| on_two_lines(&s.predictors[index].label))
        .collect();
    let ends = shown.iter().flat_map(|&index| {
        let e = s.predictors[index].spearman;
        [e.value, e.lower, e.upper].into_iter().flatten()
    });
    let (lowest, highest) = ends.fold((0.0_f64, 0.1_f64), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    let tenths = |value: f64, up: bool| {
        let tenths = 10.0 * value;
        (if up { tenths.ceil() } else { tenths.floor() } / 10.0).clamp(-1.0, 1.0)
    };
    let mut chart = of_rows(
        "What goes with the leak",
        "The rank correlation (Spearman) of each measure with the leak, with intervals, the best first. Marks differ by what a measure needs: the data, a few models, or reference models.",
        Axis::linear(
            "rank correlation with the leak",
            tenths(lowest, false),
            tenths(highest, true),
        ),
        &names,
    );
    for (needs, label, series) in NEEDS {
        let dots: Vec<Dot> = shown
            .iter()
            .enumerate()
            .filter(|&(_, &index)| s.predictors[index].needs == needs)
            .filter_map(|(row, &index)| {
                let e = s.predictors[index].spearman;
                Some(across(e.value?, shown.len(), row, e))
            })
            .collect();
        if !dots.is_empty() {
            chart.marks.push(Mark::Across { dots, series });
            chart.name(series, label);
        }
    }
    let rows: Vec<Vec<Html>> = (0..s.predictors.len())
        .map(|index| {
            let place = format!("/explanation/predictors/{index}");
            let reversed = if s.predictors[index].reversed {
                " <small class=\"muted\">(small values)</small>"
            } else {
                ""
            };
            vec![
                Html(format!("{}{reversed}", n.quote(format!("{place}/label")))),
                n.quote(format!("{place}/needs")),
                n.quote(format!("{place}/measure")),
                n.estimate(format!("{place}/spearman"), Style::Rate),
                n.estimate(format!("{place}/auc"), Style::Rate),
                n.estimate(format!("{place}/precision"), Style::Percent),
            ]
        })
        .collect();
    Some(
        Figure::new(
            "why-measures",
            chart,
            "<p><strong>What goes with the leak.</strong> Each measure’s rank correlation with the leak, the best first, and the best of those that need no reference models. At <span data-fixed>0</span> a measure says nothing. The table has all of them, with the area under the ROC curve for finding the leakiest (<span data-fixed>.5</span> is chance) and the share of the leakiest among as many with the largest values.</p>",
        )
        .with_numbers(table(
            "Every measure",
            &["measure", "needs", "column of records.parquet", "Spearman", "AUC", "precision"],
            &rows,
        )),
    )
}

fn screening(s: &Explanation, units: &str, n: Numbers<'_>) -> Option<Figure> {
    let mut drawn: Vec<(usize, usize)> = Vec::new();
    // Series by what a measure needs, each in two colours.
    for (needs, _, _) in NEEDS {
        let first = drawn.len();
        let of = (0..s.screening.len()).filter(|&index| s.screening[index].needs == needs);
        drawn.extend(
            of.take(MOST_CURVES)
                .enumerate()
                .map(|(k, index)| (index, first + k)),
        );
    }
    let shares = || {
        s.screening
            .iter()
            .flat_map(|c| &c.reviewed)
            .map(|r| r.share)
    };
    let smallest = shares().filter(|&x| x > 0.0).fold(1.0, f64::min).max(1e-4);
    if drawn.is_empty() || smallest >= 1.0 {
        return None;
    }
    let mut chart = Chart::new(
        "Finding the leakiest before an audit",
        "The share of the leakiest that is found against the share that is looked at, those that a measure sets apart first, for measures that need the data, a few models, or reference models. The dashed line is chance.",
        Axis::log(&format!("share of the {units} looked at"), smallest, 1.0).percent(),
        Axis::linear("share of the leakiest found", 0.0, 1.0).percent(),
    )
    .with(Mark::Diagonal);
    for &(index, series) in &drawn {
        let curve = &s.screening[index];
        let at = || {
            (curve.reviewed.iter())
                .filter(|r| r.share > 0.0)
                .filter_map(|r| Some((r.share, r.found.value?, r.found)))
        };
        chart.marks.push(Mark::Line {
            points: at().map(|(x, y, _)| (x, y)).collect(),
            series,
        });
        chart.marks.push(Mark::Dots {
            dots: at()
                .map(|(x, y, found)| Dot {
                    x,
                    y,
                    interval: found.lower.zip(found.upper),
                })
                .collect(),
            series,
        });
        chart.name(
            series,
            &format!(
                "{} ({})",
                shortened(&curve.label, 46),
                printable(&curve.needs)
            ),
        );
    }
    let mut header = vec!["by".to_owned(), "needs".to_owned()];
    let longest = (0..s.screening.len()).max_by_key(|&i| s.screening[i].reviewed.len())?;
    header.extend((0..s.screening[longest].reviewed.len()).map(|at| {
        n.show(
            format!("/explanation/screening/{longest}/reviewed/{at}/share"),
            Style::Percent,
        )
        .to_string()
    }));
    let rows: Vec<Vec<Html>> = (0..s.screening.len())
        .map(|index| {
            let place = format!("/explanation/screening/{index}");
            let mut cells = vec![
                n.quote(format!("{place}/label")),
                n.quote(format!("{place}/needs")),
            ];
            cells.extend(s.screening[longest].reviewed.iter().map(|column| {
                let at = (s.screening[index].reviewed.iter())
                    .position(|r| (r.share - column.share).abs() < 1e-12);
                at.map_or_else(none, |at| {
                    n.estimate(format!("{place}/reviewed/{at}/found"), Style::Percent)
                })
            }));
            cells
        })
        .collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    Some(
        Figure::new(
            "why-screening",
            chart,
            format!("<p><strong>Finding them without an audit.</strong> If somebody looked through the {units} in the order of a measure: which share of the leakiest would they have seen? A measure of the data alone is there before any model is trained. On the dashed line it is no better than chance.</p>"),
        )
        .with_numbers(table("Share of the leakiest found, by the share looked at", &header, &rows)),
    )
}

fn attribution(s: &Explanation, units: &str, n: Numbers<'_>) -> Option<Figure> {
    let summary = s.attribution.as_ref().filter(|a| !a.columns.is_empty())?;
    let shown = summary.columns.len().min(MOST_SHARES);
    let names: Vec<String> = (summary.columns[..shown].iter())
        .map(|column| named(&column.column))
        .collect();
    let largest = (summary.columns.iter())
        .flat_map(|c| [c.exposed, c.others])
        .filter(|v| v.is_finite())
        .fold(0.0, f64::max);
    let mut chart = of_rows(
        "Which columns make records leak",
        "The mean size of each column's share of the leak, in nats, over exposed units and over units drawn at random.",
        Axis::linear("mean share of the leak, in nats", 0.0, rounded_up(largest)),
        &names,
    );
    for (series, label) in [(1, "exposed"), (0, "drawn at random")] {
        let points = (summary.columns[..shown].iter().enumerate())
            .map(|(row, c)| {
                let x = if series == 1 { c.exposed } else { c.others };
                (x, row_height(shown, row))
            })
            .filter(|p| p.0.is_finite())
            .collect();
        chart.marks.push(Mark::Marks { points, series });
        chart.name(series, label);
    }
    let rows: Vec<Vec<Html>> = (0..summary.columns.len().min(MOST_ROWS))
        .map(|index| {
            let place = format!("/explanation/attribution/columns/{index}");
            vec![
                n.quote(format!("{place}/column")),
                n.show(format!("{place}/exposed"), Style::Decimals),
                n.show(format!("{place}/others"), Style::Decimals),
            ]
        })
        .collect();
    Some(
        Figure::new(
            "why-columns",
            chart,
            format!(
                "<p><strong>Which columns make them leak.</strong> Mean size of each column’s share of the leak, by {}: over {} exposed {units}, and over {} drawn at random. A share is of the difference to the mean record of the class; shares add up to it but for {} nats at most.</p>",
                n.quote("/explanation/attribution/method"),
                n.show("/explanation/attribution/exposed", Style::Count),
                n.show("/explanation/attribution/others", Style::Count),
                n.show("/explanation/attribution/largest_residual", Style::Significant),
            ),
        )
        .with_numbers(table("Mean size of the share", &["column", "exposed", "at random"], &rows)),
    )
}

/// A round number that is not smaller: 1, 2 or 5 times a power of ten.
fn rounded_up(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    [1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0]
        .into_iter()
        .map(|step| step * power)
        .find(|&round| round >= value)
        .unwrap_or(value)
}

fn exposure(s: &Explanation, units: &str, n: Numbers<'_>) -> Vec<Figure> {
    let mut figures = Vec::new();
    if s.classes.len() > 1 {
        figures.extend(groups(
            "why-classes",
            &s.classes,
            "/explanation/classes",
            "<p><strong>By class.</strong></p>".to_owned(),
            units,
            n,
        ));
    }
    for (index, column) in s.groups.iter().enumerate().take(MOST_GROUPINGS) {
        let place = format!("/explanation/groups/{index}");
        let mut caption = format!(
            "<p><strong>By {}.</strong>",
            n.quote(format!("{place}/column"))
        );
        if column.p.is_some() {
            let p = n.show(format!("{place}/p"), Style::Small);
            let _ = write!(caption, " p of no difference: {p}.");
        }
        caption.push_str(if column.chosen {
            " As asked for.</p>"
        } else {
            "</p>"
        });
        figures.extend(groups(
            &format!("why-group-{index}"),
            &column.values,
            &format!("{place}/values"),
            caption,
            units,
            n,
        ));
    }
    figures
}

fn groups(
    name: &str,
    all: &[GroupExposure],
    place: &str,
    caption: String,
    units: &str,
    n: Numbers<'_>,
) -> Option<Figure> {
    let shown: Vec<&GroupExposure> = (all.iter())
        .filter(|group| group.relative_risk.value.is_some_and(f64::is_finite))
        .take(MOST_GROUPS)
        .collect();
    if shown.is_empty() {
        return None;
    }
    let names: Vec<String> = shown.iter().map(|group| named(&group.name)).collect();
    let largest = (shown.iter())
        .filter_map(|group| group.relative_risk.value)
        .fold(1.0, f64::max);
    let upper = (shown.iter())
        .filter_map(|group| group.relative_risk.upper)
        .filter(|upper| upper.is_finite())
        .fold(1.0, f64::max);
    // One interval of a small group must not make all others too short to be read.
    let end = rounded_up(upper.min(2.5 * largest).max(1.5));
    let mut chart = of_rows(
        "Who carries the risk",
        "The relative risk of each group with an interval: its share among the leakiest over that among all. The line at 1 is where it carries its part.",
        Axis::linear("risk, times that of all", 0.0, end),
        &names,
    )
    .with(Mark::RuleX {
        x: 1.0,
        label: String::new(),
    });
    chart.marks.push(Mark::Across {
        dots: (shown.iter().enumerate())
            .filter_map(|(row, group)| {
                let risk = group.relative_risk;
                Some(across(risk.value?, shown.len(), row, risk))
            })
            .collect(),
        series: 1,
    });
    let rows: Vec<Vec<Html>> = (0..all.len().min(MOST_ROWS))
        .map(|index| {
            let at = format!("{place}/{index}");
            vec![
                n.quote(format!("{at}/name")),
                n.show(format!("{at}/units"), Style::Count),
                n.estimate(format!("{at}/relative_risk"), Style::Significant),
                n.estimate(format!("{at}/leaky"), Style::PercentFine),
                n.estimate(format!("{at}/leak"), Style::Decimals),
                n.show(format!("{at}/given_away"), Style::Count),
            ]
        })
        .collect();
    Some(Figure::new(name, chart, caption).with_numbers(table(
        "Exposure by group",
        &[
            "group",
            units,
            "risk",
            "among the leakiest",
            "mean leak",
            "given away",
        ],
        &rows,
    )))
}

fn definitions(n: Numbers<'_>) -> Html {
    let row = |label: &str, name: &str, style: Style, is_estimate: bool| {
        let mut cells = vec![Html(label.to_owned())];
        for definition in ["global", "per_record"] {
            let place = format!("/explanation/definitions/{definition}/{name}");
            cells.push(if is_estimate {
                n.estimate(place, style)
            } else {
                n.show(place, style)
            });
        }
        cells
    };
    table(
        "What each names on this model",
        &["", "one threshold", "per record"],
        &[
            row("members named", "members", Style::Count, false),
            row("non-members named", "non_members", Style::Count, false),
            row(
                "share of the members",
                "true_positive_rate",
                Style::PercentFine,
                true,
            ),
            row(
                "share of the non-members",
                "false_positive_rate",
                Style::PercentFine,
                true,
            ),
            row("of those named, members", "precision", Style::Percent, true),
            row(
                "the leakiest among members named",
                "leaky",
                Style::Percent,
                true,
            ),
            row(
                "mean leak of members named",
                "mean_leak",
                Style::Decimals,
                false,
            ),
            row(
                "mean leak of all members",
                "mean_leak_of_members",
                Style::Decimals,
                false,
            ),
        ],
    )
}

fn views(
    content: &Content<'_>,
    s: &Explanation,
    map: &MapPoints,
    n: Numbers<'_>,
) -> Option<Vec<View>> {
    let summary = s.map.as_ref()?;
    let units = content.audit.data.unit_name.as_str();
    let unit = singular(units);
    let classes = &content.audit.data.classes;
    let class_names: Vec<String> = if (2..=MOST_CLASSES).contains(&classes.len()) {
        classes.iter().map(|class| named(class)).collect()
    } else {
        Vec::new()
    };
    let mut views = Vec::new();
    for (index, places) in &map.views {
        let Some(view) = summary.views.get(*index) else {
            continue;
        };
        let mut linked = 0;
        let mut dots: Vec<MapDot> = (map.points.iter().zip(places))
            .filter(|(_, place)| place.iter().all(|value| value.is_finite()))
            .map(|(point, &[x, y])| MapDot {
                x,
                y,
                class: point.class,
                marked: point.exposed,
                link: None,
            })
            .collect();
        let units_of_dots: Vec<&_> = (map.points.iter().zip(places))
            .filter(|(_, place)| place.iter().all(|value| value.is_finite()))
            .map(|(point, _)| point)
            .collect();
        for (dot, point) in dots.iter_mut().zip(&units_of_dots) {
            // By the order of the report: the most exposed lead to their rows.
            let exposed = s.exposed.iter().take(MOST_LINKED);
            let found = exposed.clone().find(|e| e.unit == Some(point.unit));
            if let Some(found) = found.filter(|_| point.exposed) {
                let name = format!(
                    "{unit} {}, {}: {}",
                    shown_id(&point.id),
                    printable(&found.class),
                    printable(&found.reason)
                );
                dot.link = Some((anchor(&point.id), name));
                linked += 1;
            }
        }
        let (method, space) = (printable(&view.method), printable(&view.space));
        let map = Map {
            title: format!("{method} of {space}"),
            description: format!(
                "{} {units} as points, {} of them exposed. An illustration: the table of {units} has what is known of each.",
                dots.len(),
                dots.iter().filter(|dot| dot.marked).count()
            ),
            dots,
            classes: class_names.clone(),
            marked: "exposed".to_owned(),
            others: units.to_owned(),
        };
        let place = format!("/explanation/map/views/{index}");
        views.push(View {
            method: n.quote(format!("{place}/method")),
            space: n.quote(format!("{place}/space")),
            quality: quality(view, &place, n),
            svg: Html(map.svg(&format!("map-drawing-{index}"))),
            linked,
        });
    }
    (!views.is_empty()).then_some(views)
}

fn quality(view: &MapView, place: &str, n: Numbers<'_>) -> Html {
    let mut parts = Vec::new();
    if view.trustworthiness.is_some() {
        let value = n.show(format!("{place}/trustworthiness"), Style::Rate);
        parts.push(format!("trustworthiness {value}"));
    }
    if view.divergence.is_some() {
        let value = n.show(format!("{place}/divergence"), Style::Significant);
        parts.push(format!("divergence at the end {value}"));
    }
    if view.variance.is_some() {
        let value = n.show(format!("{place}/variance"), Style::Percent);
        parts.push(format!("{value} of the variance seen"));
    }
    let mut text = parts.join(", ");
    if let Some(first) = text.get_mut(..1).filter(|_| !parts.is_empty()) {
        first.make_ascii_uppercase();
        text.push('.');
    }
    Html(text)
}

fn heats(content: &Content<'_>, n: Numbers<'_>) -> Vec<Heats> {
    use super::super::gathered::Role;
    let mut codes: Vec<usize> = (content.activations.iter())
        .filter(|activation| activation.role != Role::Exposed)
        .map(|activation| activation.class)
        .collect();
    codes.sort_unstable();
    codes.dedup();
    codes.truncate(MOST_HEATS);
    codes
        .into_iter()
        .map(|code| Heats {
            code,
            class: n.quote(format!("/data/classes/{code}")),
        })
        .collect()
}
