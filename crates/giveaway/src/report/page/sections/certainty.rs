//! How sure the verdict is: precision against the cut-off, calibration under the null, and what
//! is left of it where members are rare.

use askama::Template;

use super::super::number::{Html, Numbers, Style};
use super::{Content, Figure, Section, render, table};
use crate::error::Result;
use crate::evaluate::cutoffs::AtCutoff;
use crate::evaluate::{Decision, Estimate, Evaluation};
use crate::report::Audit;
use crate::report::chart::{Axis, Chart, Dot, Mark};
use crate::report::figures::CutoffCurve;
use crate::select::Rule;

#[derive(Template)]
#[template(path = "sections/certainty.html")]
struct Certainty<'a> {
    audit: &'a Audit,
    n: Numbers<'a>,
    units: &'a str,
    figures: Vec<Html>,
    rates: Html,
    rates_on_target: Option<Html>,
    /// All selections, of this model and over reference models.
    selections: Vec<Html>,
    /// Where the false discovery rate of the verdict's decision over reference models stands.
    average: Option<String>,
    tested: usize,
    selected: bool,
}

pub(super) fn section(content: &Content<'_>) -> Result<Option<Section>> {
    let audit = content.audit;
    let n = content.numbers();
    let mut files = Vec::new();
    let mut figures = Vec::new();
    let curves = &audit.figures.cutoffs;
    if let Some(index) = curves.iter().position(|c| c.null == audit.test.null)
        && accused_at_all(&curves[index])
    {
        figures.push(precision(&curves[index], index, n).place(&mut files));
        figures.push(calibration(curves, index, n).place(&mut files));
    }
    let Some(over_references) = rates(&audit.leave_one_out, audit, "leave_one_out", n) else {
        return Ok(None);
    };
    let certainty = Certainty {
        audit,
        n,
        units: &audit.data.unit_name,
        figures,
        rates: over_references,
        rates_on_target: rates(&audit.on_target, audit, "on_target", n),
        selections: [
            selections(&audit.on_target, audit, "on_target", n),
            selections(&audit.leave_one_out, audit, "leave_one_out", n),
        ]
        .into_iter()
        .flatten()
        .collect(),
        average: average(audit),
        tested: audit.test.selected - audit.test.untestable,
        selected: audit.test.selection != Rule::All,
    };
    Ok(Some(Section {
        id: "certainty",
        short: "Certainty",
        html: Html(render(&certainty)?),
        figures: files,
    }))
}

fn accused_at_all(curve: &CutoffCurve) -> bool {
    let both = curve.leave_one_out.iter().chain(&curve.on_target);
    both.into_iter().any(|at| at.accusations > 0)
}

/// The value of an estimate as a point of a line.
fn point(x: f64, estimate: Estimate) -> Option<(f64, f64)> {
    Some((x, estimate.value?))
}

/// The interval of an estimate as a part of a band.
pub(super) fn band(x: f64, estimate: Estimate) -> Option<(f64, f64, f64)> {
    Some((x, estimate.lower?, estimate.upper?))
}

fn dot(x: f64, estimate: Estimate) -> Option<Dot> {
    Some(Dot {
        x,
        y: estimate.value?,
        interval: estimate.lower.zip(estimate.upper),
    })
}

const OVER_REFERENCES: &str = "reference models in the target's place";
const ON_TARGET: &str = "this model";

fn precision(curve: &CutoffCurve, index: usize, n: Numbers<'_>) -> Figure {
    let mut chart = Chart::new(
        "Precision against the cut-off p",
        "The share of those named that are members, for every cut-off on the p-value, over reference models in the target's place with an interval, and on this model.",
        Axis::log("cut-off: named if p is at most this", 1e-5, 1.0),
        Axis::linear("precision", 0.0, 1.0).percent(),
    );
    draw(&mut chart, curve, |at| at.precision);
    chart.marks.push(Mark::RuleX {
        x: 0.01,
        label: "p = 0.01".to_owned(),
    });
    Figure::new(
        "precision",
        chart,
        "<p><strong>How often a named one is a member.</strong> Moving the cut-off on the <a class=\"term\" href=\"#term-p-value\">p-value</a> to the left names fewer, and more rightly. At the right end everybody tested is named, and the line shows what share of them are members.</p>",
    )
    .with_numbers(numbers(curve, index, n))
}

/// A line with a band over reference models, and points on the target.
fn draw(chart: &mut Chart, curve: &CutoffCurve, of: impl Fn(&AtCutoff) -> Estimate) {
    let all = &curve.leave_one_out;
    chart.marks.push(Mark::Band {
        points: all
            .iter()
            .filter_map(|at| band(at.cutoff, of(at)))
            .collect(),
        series: 0,
    });
    chart.marks.push(Mark::Line {
        points: all
            .iter()
            .filter_map(|at| point(at.cutoff, of(at)))
            .collect(),
        series: 0,
    });
    chart.name(0, OVER_REFERENCES);
    let dots: Vec<Dot> = (curve.on_target.iter())
        .filter_map(|at| dot(at.cutoff, of(at)))
        .collect();
    if !dots.is_empty() {
        chart.marks.push(Mark::Dots { dots, series: 1 });
        chart.name(1, ON_TARGET);
    }
}

fn calibration(curves: &[CutoffCurve], headline: usize, n: Numbers<'_>) -> Figure {
    let mut chart = Chart::new(
        "Calibration of p-values under the null",
        "The share of tested non-members whose p-value is at most the cut-off, against the cut-off. On the diagonal p-values mean what they say; above it they are too small, below it they are cautious.",
        Axis::log("cut-off on p", 1e-5, 1.0),
        Axis::log("share of non-members at or below it", 1e-5, 1.0),
    )
    .with(Mark::Diagonal);
    draw(&mut chart, &curves[headline], |at| at.false_positive_rate);
    chart.legend[0].1 = format!("null {}, {OVER_REFERENCES}", curves[headline].null.name());
    for (series, curve) in (2..).zip(curves.iter().enumerate().filter(|(i, _)| *i != headline)) {
        let points = (curve.1.leave_one_out.iter())
            .filter_map(|at| point(at.cutoff, at.false_positive_rate))
            .filter(|p| p.1 > 0.0)
            .collect();
        chart.marks.push(Mark::Line { points, series });
        chart.name(series, &format!("null {}, likewise", curve.1.null.name()));
    }
    Figure::new(
        "calibration",
        chart,
        "<p><strong>Whether p-values mean what they say.</strong> Of those that were <em>not</em> in the training data, a share of c should have a p-value of at most c: the lines should lie on the dashed diagonal. Above the diagonal p-values are too small and too many are named; below it they are cautious. Bars without a mark are cut-offs below which this model has no non-member. At the left end there are few events, and intervals are wide.</p>",
    )
    .with_numbers(numbers(&curves[headline], headline, n))
}

fn numbers(curve: &CutoffCurve, index: usize, n: Numbers<'_>) -> Html {
    let rows: Vec<Vec<Html>> = (0..curve.leave_one_out.len())
        .map(|at| {
            let place = format!("/figures/cutoffs/{index}/leave_one_out/{at}");
            vec![
                n.show(format!("{place}/cutoff"), Style::Significant),
                n.show(format!("{place}/accusations"), Style::Count),
                n.show(format!("{place}/wrong"), Style::Count),
                n.estimate(format!("{place}/precision"), Style::Rate),
                n.estimate(format!("{place}/true_positive_rate"), Style::Rate),
                n.estimate(format!("{place}/false_positive_rate"), Style::Rate),
            ]
        })
        .collect();
    table(
        "Over reference models in the target’s place",
        &[
            "p at most",
            "named",
            "of these wrong",
            "precision",
            "recall",
            "FPR",
        ],
        &rows,
    )
}

/// The rates of the selection and null of the verdict, by way to decide.
fn rates(evaluations: &[Evaluation], audit: &Audit, name: &str, n: Numbers<'_>) -> Option<Html> {
    let place = evaluations
        .iter()
        .position(|e| e.selection == audit.test.selection && e.null == audit.test.null)?;
    let rows: Vec<Vec<Html>> = evaluations[place]
        .decisions
        .iter()
        .enumerate()
        .map(|(index, rates)| {
            let at = format!("/{name}/{place}/decisions/{index}");
            let mut cells = vec![
                match rates.decision {
                    Decision::Level(_) => Html(format!(
                        "p &lt; {}",
                        n.show(format!("{at}/decision/level"), Style::Significant)
                    )),
                    Decision::DiscoveryRate(_) => Html(format!(
                        "false discovery rate {}",
                        n.show(format!("{at}/decision/discovery-rate"), Style::Percent)
                    )),
                },
                n.show(format!("{at}/accusations"), Style::Count),
                n.show(format!("{at}/wrong"), Style::Count),
                n.estimate(format!("{at}/precision"), Style::Rate),
                n.estimate(format!("{at}/true_positive_rate"), Style::Rate),
                n.estimate(format!("{at}/false_positive_rate"), Style::Rate),
            ];
            // A false discovery rate adapts to how many are members; a cut-off does not.
            let fixed = matches!(rates.decision, Decision::Level(_));
            cells.extend((0..rates.predictive_value.len()).map(|prior| {
                if fixed {
                    n.estimate(format!("{at}/predictive_value/{prior}/value"), Style::Rate)
                } else {
                    Html("<span class=\"none\" title=\"not defined: the cut-off moves with the share of members\">–</span>".to_owned())
                }
            }));
            cells
        })
        .collect();
    let mut header: Vec<String> = [
        "named if",
        "named",
        "of these wrong",
        "precision",
        "recall",
        "FPR",
    ]
    .map(str::to_owned)
    .to_vec();
    for prior in 0..evaluations[place].decisions.first()?.predictive_value.len() {
        let share = n.show(
            format!("/{name}/{place}/decisions/0/predictive_value/{prior}/prior"),
            Style::Percent,
        );
        header.push(format!("right where {share} are members"));
    }
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    Some(table(caption(name), &header, &rows))
}

/// Where the share of wrong accusations stands that is averaged over models.
fn average(audit: &Audit) -> Option<String> {
    let test = &audit.test;
    let place = (audit.leave_one_out.iter())
        .position(|e| e.selection == test.selection && e.null == test.null)?;
    let decisions = &audit.leave_one_out[place].decisions;
    let decision = (decisions.iter()).position(|d| d.decision == audit.verdict.decision)?;
    decisions[decision].false_discovery_rate.value?;
    Some(format!(
        "/leave_one_out/{place}/decisions/{decision}/false_discovery_rate"
    ))
}

/// Every selection with the null of the verdict: how well it ranks, and who is named at a fixed
/// cut-off.
fn selections(
    evaluations: &[Evaluation],
    audit: &Audit,
    name: &str,
    n: Numbers<'_>,
) -> Option<Html> {
    let rows: Vec<Vec<Html>> = evaluations
        .iter()
        .enumerate()
        .filter(|(_, e)| e.null == audit.test.null && e.members + e.non_members > 0)
        .map(|(place, _)| {
            let at = format!("/{name}/{place}");
            vec![
                n.quote(format!("{at}/selection")),
                n.show(format!("{at}/tested"), Style::Count),
                n.estimate(format!("{at}/ranking/auc"), Style::Rate),
                n.show(format!("{at}/decisions/0/accusations"), Style::Count),
                n.estimate(format!("{at}/decisions/0/precision"), Style::Rate),
                n.estimate(format!("{at}/decisions/0/true_positive_rate"), Style::Rate),
                n.estimate(format!("{at}/decisions/0/false_positive_rate"), Style::Rate),
            ]
        })
        .collect();
    (!rows.is_empty()).then(|| {
        table(
            caption(name),
            &[
                "whom to test",
                "tested in each model",
                "AUC",
                "named (p &lt; <span data-fixed>0.01</span>)",
                "precision",
                "recall",
                "FPR",
            ],
            &rows,
        )
    })
}

fn caption(name: &str) -> &'static str {
    if name == "on_target" {
        "On this model"
    } else {
        "Over reference models in the target’s place"
    }
}
