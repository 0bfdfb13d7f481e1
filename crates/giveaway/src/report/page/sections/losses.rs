//! How losses are distributed among members and non-members.

use askama::Template;

use super::super::number::{Html, Numbers, Style};
use super::{Content, Figure, Section, render, singular, table};
use crate::error::Result;
use crate::report::chart::{Axis, Chart, Mark};
use crate::report::figures::{LossHistogram, LossModel, LossUnits};
use crate::select::Rule;

#[derive(Template)]
#[template(path = "sections/losses.html")]
struct Losses<'a> {
    unit: &'a str,
    selected: bool,
    figures: Vec<Html>,
}

pub(super) fn section(content: &Content<'_>) -> Result<Option<Section>> {
    let audit = content.audit;
    let histograms = &audit.figures.losses;
    // Where everybody is tested both would be the same.
    let selected = audit.test.selection != Rule::All;
    let mut files = Vec::new();
    let mut figures = Vec::new();
    for (model, model_name, whose) in [
        (LossModel::Target, "target", "Losses of this model"),
        (
            LossModel::References,
            "references",
            "Losses of the reference models",
        ),
    ] {
        for (units, name, which) in [
            (LossUnits::All, "all", "all audited"),
            (LossUnits::Selected, "selected", "those selected and tested"),
        ] {
            let mut both: Vec<(usize, &LossHistogram)> = histograms
                .iter()
                .enumerate()
                .filter(|(_, h)| h.model == model && h.units == units)
                .filter(|_| selected || units == LossUnits::All)
                .collect();
            both.sort_by_key(|(_, h)| h.member);
            if !both.is_empty() {
                let name = format!("losses-{model_name}-{name}");
                figures.push(
                    figure(
                        &name,
                        &format!("{whose}, {which}"),
                        &both,
                        content.numbers(),
                    )
                    .place(&mut files),
                );
            }
        }
    }
    if figures.is_empty() {
        return Ok(None);
    }
    let losses = Losses {
        unit: singular(&audit.data.unit_name),
        selected,
        figures,
    };
    Ok(Some(Section {
        id: "losses",
        short: "Losses",
        html: Html(render(&losses)?),
        figures: files,
    }))
}

fn side(member: bool) -> (&'static str, usize) {
    if member {
        ("IN: trained on it", 1)
    } else {
        ("OUT: not trained on it", 0)
    }
}

fn figure(name: &str, title: &str, both: &[(usize, &LossHistogram)], n: Numbers<'_>) -> Figure {
    let shares = |h: &LossHistogram| -> Vec<f64> {
        let all: u64 = h.counts.iter().sum();
        h.counts
            .iter()
            .map(|&c| c as f64 / all.max(1) as f64)
            .collect()
    };
    let highest = both
        .iter()
        .flat_map(|(_, h)| shares(h))
        .fold(0.01, f64::max);
    let edges = &both[0].1.edges;
    let ends = edges.first().copied().zip(edges.last().copied());
    let (lowest, largest) = ends.unwrap_or((1e-4, 10.0));
    let mut chart = Chart::new(
        title,
        "How often the loss falls between two values, for members (IN) and non-members (OUT), as shares of each. The loss is on a logarithmic axis.",
        Axis::log(
            "loss (small: the model is sure of the true class)",
            lowest,
            largest,
        ),
        Axis::linear("share", 0.0, highest * 1.08).percent(),
    );
    for (_, histogram) in both {
        let (words, series) = side(histogram.member);
        chart.marks.push(Mark::Steps {
            edges: histogram.edges.clone(),
            heights: shares(histogram),
            series,
        });
        chart.name(series, words);
    }
    let first = both[0].0;
    let rows: Vec<Vec<Html>> = (0..both[0].1.counts.len())
        .map(|bin| {
            let mut cells = vec![Html(format!(
                "{} to {}",
                n.show(
                    format!("/figures/losses/{first}/edges/{bin}"),
                    Style::Significant
                ),
                n.show(
                    format!("/figures/losses/{first}/edges/{}", bin + 1),
                    Style::Significant
                )
            ))];
            cells.extend(both.iter().map(|(index, _)| {
                n.show(
                    format!("/figures/losses/{index}/counts/{bin}"),
                    Style::Count,
                )
            }));
            cells
        })
        .collect();
    let mut header = vec!["loss"];
    header.extend(both.iter().map(|(_, h)| side(h.member).0));
    Figure::new(name, chart, format!("<p><strong>{title}.</strong></p>"))
        .with_numbers(table(title, &header, &rows))
}
