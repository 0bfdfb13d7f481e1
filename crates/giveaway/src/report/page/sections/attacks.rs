//! Every attack that was run: ROC curves, figures, agreement and stability.

use askama::Template;

use super::super::number::{Html, Numbers, Style};
use super::certainty::band;
use super::{Content, Figure, Section, render, table};
use crate::error::Result;
use crate::evaluate::attacks::Quality;
use crate::report::attacks::{AttackSection, AttackSummary};
use crate::report::chart::{Axis, Chart, Dot, Mark, row_height};
use crate::select::Rule;

#[derive(Template)]
#[template(path = "sections/attacks.html")]
struct Attacks<'a> {
    n: Numbers<'a>,
    units: &'a str,
    selected: bool,
    curves: Vec<Html>,
    table: Html,
    more: Vec<Html>,
    agreement: Option<Html>,
    tail: bool,
}

type Of = fn(&AttackSummary) -> Option<&Quality>;

/// On the target, and over reference models: how to find it, and its name in the report.
const TWO: [(Of, &str, &str); 2] = [
    (|a| a.on_target.as_ref(), "on_target", "on this model"),
    (
        |a| a.leave_one_out.as_ref(),
        "leave_one_out",
        "over reference models in the target's place",
    ),
];

pub(super) fn section(content: &Content<'_>) -> Result<Option<Section>> {
    let audit = content.audit;
    let Some(section) = audit.attacks.as_ref().filter(|s| !s.attacks.is_empty()) else {
        return Ok(None);
    };
    let n = content.numbers();
    let mut files = Vec::new();
    let curves = TWO
        .iter()
        .filter_map(|&(of, name, words)| roc(section, of, name, words, n))
        .map(|figure| figure.place(&mut files))
        .collect();
    let more = [predictive_values(section, n), stability(section, n)]
        .into_iter()
        .flatten()
        .map(|figure| figure.place(&mut files))
        .collect();
    let attacks = Attacks {
        n,
        units: &audit.data.unit_name,
        selected: audit.test.selection != Rule::All,
        curves,
        table: overview(section, n),
        more,
        agreement: agreement(section, n),
        tail: section.tail.len() > 1,
    };
    Ok(Some(Section {
        id: "attacks",
        short: "Attacks",
        html: Html(render(&attacks)?),
        figures: files,
    }))
}

/// The ROC curve of every attack, with a band each.
fn roc(section: &AttackSection, of: Of, name: &str, words: &str, n: Numbers<'_>) -> Option<Figure> {
    let lowest = section
        .attacks
        .iter()
        .filter_map(of)
        .flat_map(|q| &q.ranking.curve)
        .filter(|at| at.true_positive_rate.value.is_some_and(|v| v > 0.0))
        .map(|at| at.false_positive_rate)
        .fold(f64::INFINITY, f64::min);
    if !lowest.is_finite() {
        return None;
    }
    // Whole decades, and at least two of them.
    let lowest = 10f64.powf((lowest * 1.0001).log10().floor()).min(0.01);
    let mut chart = Chart::new(
        &format!("ROC curves {words}"),
        &format!("True-positive rate against false-positive rate of every attack, both on logarithmic axes, {words}, with intervals. The dashed diagonal is guessing."),
        Axis::log("false-positive rate", lowest, 1.0).percent(),
        Axis::log("true-positive rate", lowest, 1.0).percent(),
    )
    .with(Mark::Diagonal);
    let mut lines = Vec::new();
    for (series, attack) in section.attacks.iter().enumerate() {
        let Some(quality) = of(attack) else { continue };
        let curve = &quality.ranking.curve;
        chart.marks.push(Mark::Band {
            points: curve
                .iter()
                .filter_map(|at| band(at.false_positive_rate, at.true_positive_rate))
                .collect(),
            series,
        });
        lines.push(Mark::Line {
            points: curve
                .iter()
                .filter_map(|at| Some((at.false_positive_rate, at.true_positive_rate.value?)))
                .collect(),
            series,
        });
        chart.name(series, attack.method.name());
    }
    chart.marks.extend(lines);
    Some(
        Figure::new(
            &format!("roc-{}", name.replace('_', "-")),
            chart,
            format!("<p><strong><a class=\"term\" href=\"#term-roc\">ROC curves</a> {words}.</strong> What counts is the left end: how many members an attack finds while it hardly ever accuses a non-member. The dashed line is guessing; the bands are intervals.</p>"),
        )
        .with_numbers(roc_numbers(section, of, name, n)),
    )
}

fn roc_numbers(section: &AttackSection, of: Of, name: &str, n: Numbers<'_>) -> Html {
    let mut tables = String::new();
    for (index, attack) in section.attacks.iter().enumerate() {
        let Some(quality) = of(attack) else { continue };
        let rows: Vec<Vec<Html>> = quality
            .ranking
            .curve
            .iter()
            .enumerate()
            .filter(|(_, at)| at.true_positive_rate.value.is_some())
            .map(|(at, _)| {
                let place = format!("/attacks/attacks/{index}/{name}/ranking/curve/{at}");
                vec![
                    n.show(format!("{place}/false_positive_rate"), Style::Significant),
                    n.estimate(format!("{place}/true_positive_rate"), Style::Rate),
                ]
            })
            .collect();
        tables.push_str(&table(attack.method.name(), &["FPR", "TPR"], &rows).0);
    }
    Html(format!("<div class=\"side-by-side\">{tables}</div>"))
}

/// The figures of every attack in one table.
fn overview(section: &AttackSection, n: Numbers<'_>) -> Html {
    use super::super::number::none;
    let known = section.attacks.iter().any(|a| a.on_target.is_some());
    let rows: Vec<Vec<Html>> = section
        .attacks
        .iter()
        .enumerate()
        .map(|(index, attack)| {
            let place = format!("/attacks/attacks/{index}");
            let mut cells = vec![Html(format!(
                "<span class=\"method\">{}</span> <small>{}</small>",
                n.quote(format!("{place}/method")),
                n.quote(format!("{place}/citation"))
            ))];
            for (of, name, _) in TWO {
                if name == "on_target" && !known {
                    continue;
                }
                if of(attack).is_none() {
                    cells.extend([none(), none()]);
                    continue;
                }
                let ranking = format!("{place}/{name}/ranking");
                cells.push(n.estimate(format!("{ranking}/auc"), Style::Rate));
                cells.push(n.estimate(
                    format!("{ranking}/at_rates/1/true_positive_rate"),
                    Style::Rate,
                ));
            }
            if known {
                cells.push(
                    match attack.carried.get(1).filter(|c| c.threshold.is_some()) {
                        Some(_) => Html(format!(
                            "{} at {}",
                            n.show(
                                format!("{place}/carried/1/true_positive_rate/value"),
                                Style::Rate
                            ),
                            n.show(
                                format!("{place}/carried/1/false_positive_rate/value"),
                                Style::Rate
                            )
                        )),
                        None => none(),
                    },
                );
            }
            cells
        })
        .collect();
    let mut header = vec!["attack"];
    if known {
        header.extend(["AUC here", "TPR here at FPR <span data-fixed>1 %</span>"]);
    }
    header.extend([
        "AUC over reference models",
        "TPR over reference models at FPR <span data-fixed>1 %</span>",
    ]);
    if known {
        header.push("TPR and FPR here with the threshold of the reference models");
    }
    table("Attacks on all audited records", &header, &rows)
}

/// Positive predictive value where members are rare, by attack.
fn predictive_values(section: &AttackSection, n: Numbers<'_>) -> Option<Figure> {
    let qualities: Vec<(usize, &AttackSummary, &Quality)> = section
        .attacks
        .iter()
        .enumerate()
        .filter_map(|(index, attack)| Some((index, attack, attack.leave_one_out.as_ref()?)))
        .filter(|(_, _, q)| q.predictive_value.iter().any(|v| v.value.value.is_some()))
        .collect();
    let first = qualities.first()?;
    let names: Vec<String> = qualities
        .iter()
        .map(|(_, attack, _)| attack.method.name().to_owned())
        .collect();
    let mut chart = Chart::of_rows(
        "Positive predictive value by share of members",
        "Of those that an attack names at a false-positive rate of one per cent, the share that are members, where half, a tenth or a hundredth of those asked about are.",
        Axis::linear("share of the named that are members", 0.0, 1.0).percent(),
        &names,
    );
    for (series, at) in first.2.predictive_value.iter().enumerate() {
        let dots = qualities
            .iter()
            .enumerate()
            .filter_map(|(row, (_, _, quality))| {
                let estimate = quality.predictive_value.get(series)?.value;
                Some(Dot {
                    x: estimate.value?,
                    y: row_height(names.len(), row),
                    interval: estimate.lower.zip(estimate.upper),
                })
            })
            .collect();
        chart.marks.push(Mark::Across { dots, series });
        chart.name(
            series,
            &format!("{} are members", crate::report::shown::percent(at.prior)),
        );
    }
    let rows: Vec<Vec<Html>> = qualities
        .iter()
        .map(|(index, _, quality)| {
            let place = format!("/attacks/attacks/{index}");
            let mut cells = vec![n.quote(format!("{place}/method"))];
            cells.extend((0..quality.predictive_value.len()).map(|prior| {
                n.estimate(
                    format!("{place}/leave_one_out/predictive_value/{prior}/value"),
                    Style::Rate,
                )
            }));
            cells
        })
        .collect();
    let header: Vec<String> = std::iter::once("attack".to_owned())
        .chain((0..first.2.predictive_value.len()).map(|prior| {
            let place = format!(
                "/attacks/attacks/{}/leave_one_out/predictive_value/{prior}/prior",
                first.0
            );
            format!("{} members", n.show(place, Style::Percent))
        }))
        .collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    Some(
        Figure::new(
            "predictive-value",
            chart,
            "<p><strong>Where members are rare.</strong> The <a class=\"term\" href=\"#term-ppv\">share of those named that are members</a>, at a false-positive rate of <span data-fixed>1 %</span> on all records, over reference models. What looks good where half of those asked about are members may be worth little where one in a hundred is.</p>",
        )
        .with_numbers(table("Over reference models in the target’s place", &header, &rows)),
    )
}

/// Whether other reference models would name the same.
fn stability(section: &AttackSection, n: Numbers<'_>) -> Option<Figure> {
    let stable: Vec<(usize, &str, f64)> = section
        .attacks
        .iter()
        .enumerate()
        .filter_map(|(index, attack)| {
            Some((index, attack.method.name(), attack.stability?.jaccard?))
        })
        .collect();
    if stable.is_empty() {
        return None;
    }
    let names: Vec<String> = stable.iter().map(|s| s.1.to_owned()).collect();
    let mut chart = Chart::of_rows(
        "Stability",
        "For every attack, the share of records that two disjoint sets of reference models both put first, among those that either does.",
        Axis::linear("named by both, of those named by either", 0.0, 1.0).percent(),
        &names,
    );
    chart.marks.push(Mark::Across {
        dots: stable
            .iter()
            .enumerate()
            .map(|(row, s)| Dot {
                x: s.2,
                y: row_height(names.len(), row),
                interval: None,
            })
            .collect(),
        series: 0,
    });
    let rows: Vec<Vec<Html>> = stable
        .iter()
        .map(|(index, _, _)| {
            let place = format!("/attacks/attacks/{index}");
            vec![
                n.quote(format!("{place}/method")),
                n.show(format!("{place}/stability/jaccard"), Style::Rate),
                n.show(format!("{place}/stability/subsets"), Style::Count),
                n.show(format!("{place}/stability/models"), Style::Count),
                n.show(format!("{place}/stability/named"), Style::Count),
                n.show(format!("{place}/stability/named_by_all"), Style::Count),
            ]
        })
        .collect();
    Some(
        Figure::new(
            "stability",
            chart,
            "<p><strong><a class=\"term\" href=\"#term-stability\">Stability</a>.</strong> The reference models were divided into disjoint sets, and each set asked for the <span data-fixed>1 %</span> most suspicious records. Far to the right the sets name the same; far to the left the list is a matter of luck.</p>",
        )
        .with_numbers(table(
            "Disjoint sets of reference models",
            &["attack", "Jaccard index", "sets", "models in each", "named by one", "named by all"],
            &rows,
        )),
    )
}

/// Which pairs of attacks name the same records.
fn agreement(section: &AttackSection, n: Numbers<'_>) -> Option<Html> {
    if section.agreement.is_empty() {
        return None;
    }
    let rows: Vec<Vec<Html>> = (0..section.agreement.len())
        .map(|index| {
            let place = format!("/attacks/agreement/{index}");
            vec![
                Html(format!(
                    "{} and {}",
                    n.quote(format!("{place}/first")),
                    n.quote(format!("{place}/second"))
                )),
                n.show(format!("{place}/spearman"), Style::Decimals),
                n.show(format!("{place}/jaccard"), Style::Rate),
            ]
        })
        .collect();
    Some(table(
        "Pairs of attacks on this model",
        &[
            "pair",
            "rank correlation",
            "Jaccard index of the first <span data-fixed>1 %</span>",
        ],
        &rows,
    ))
}
