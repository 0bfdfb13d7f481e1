//! "How this works": the toy picture of Long et al. (2018, Fig. 1), computed.

use askama::Template;

use super::super::number::{Html, Style, write};
use super::{Content, Figure, Section, render};
use crate::error::Result;
use crate::report::chart::{Axis, Chart, Mark};
use crate::report::toy::{self, Toy, ToyLosses};
use crate::select::Rule;

#[derive(Template)]
#[template(path = "sections/how.html")]
struct How {
    models: String,
    accuracy_without: String,
    accuracy_with: String,
    selected: bool,
    surfaces: Vec<Html>,
    losses: Vec<Html>,
}

/// Shades of the surfaces: few, so that neighbouring cells can be drawn as one.
const SHADES: f64 = 16.0;

pub(super) fn section(content: &Content<'_>) -> Result<Option<Section>> {
    let toy = toy::compute()?;
    let mut files = Vec::new();
    let surfaces = [
        (
            "toy-without",
            "without the lone record",
            &toy.surface_without,
            false,
        ),
        ("toy-with", "with the lone record", &toy.surface_with, true),
    ]
    .map(|(name, words, values, with)| surface(&toy, name, words, values, with).place(&mut files));
    let losses = [
        ("toy-lone", "the lone record", &toy.losses[0]),
        ("toy-ordinary", "an ordinary record", &toy.losses[1]),
    ]
    .map(|(name, words, losses)| loss_figure(name, words, losses).place(&mut files));
    let how = How {
        models: toy.models.to_string(),
        accuracy_without: write(toy.accuracy_without, Style::PercentFine),
        accuracy_with: write(toy.accuracy_with, Style::PercentFine),
        selected: content.audit.test.selection != Rule::All,
        surfaces: surfaces.into(),
        losses: losses.into(),
    };
    Ok(Some(Section {
        id: "how",
        short: "How this works",
        html: Html(render(&how)?),
        figures: files,
    }))
}

fn surface(toy: &Toy, name: &str, words: &str, values: &[f64], with: bool) -> Figure {
    let [left, right, bottom, top] = toy.bounds;
    let mut chart = Chart::new(
        &format!("Output of small models trained {words}"),
        "A plane with two groups of points and one lone record far from its own group. Darker means that the models give more probability to the lone record's class.",
        Axis::linear("first feature", left, right),
        Axis::linear("second feature", bottom, top),
    );
    chart.height = 360.0;
    chart.marks.push(Mark::Cells(cells(toy, values)));
    for class in [0, 1] {
        let points = toy
            .points
            .iter()
            .enumerate()
            .filter(|(index, point)| *index != toy.isolated && point.class == class)
            .map(|(_, point)| (point.x, point.y))
            .collect();
        // Class 0 is a square, class 1 a triangle: both stand out from the surface.
        let series = if class == 0 { 5 - 3 } else { 1 };
        chart.marks.push(Mark::Marks { points, series });
        chart.name(
            series,
            if class == 0 {
                "the lone record’s class"
            } else {
                "the other class"
            },
        );
    }
    let lone = toy.points[toy.isolated];
    if with {
        chart.marks.push(Mark::Marks {
            points: vec![(lone.x, lone.y)],
            series: 2,
        });
    }
    chart.marks.push(Mark::Ring {
        x: lone.x,
        y: lone.y,
        label: if with { "lone record" } else { "left out" }.to_owned(),
    });
    let ordinary = toy.points[toy.ordinary];
    chart.marks.push(Mark::Ring {
        x: ordinary.x,
        y: ordinary.y,
        label: "ordinary record".to_owned(),
    });
    Figure::new(
        name,
        chart,
        format!("<p><strong>Trained {words}.</strong></p>"),
    )
}

/// The surface as rectangles, neighbours of one shade in a row drawn as one.
fn cells(toy: &Toy, values: &[f64]) -> Vec<[f64; 5]> {
    let [left, right, bottom, top] = toy.bounds;
    let grid = toy.grid;
    let (width, height) = ((right - left) / grid as f64, (top - bottom) / grid as f64);
    let mut cells: Vec<[f64; 5]> = Vec::new();
    for (row, line) in values.chunks(grid).enumerate() {
        let low = bottom + height * row as f64;
        let mut start = 0;
        while start < line.len() {
            let shade = (line[start] * SHADES).round();
            let same = line[start..]
                .iter()
                .take_while(|v| ((*v * SHADES).round() - shade).abs() < 0.5)
                .count();
            if shade > 0.0 {
                cells.push([
                    left + width * start as f64,
                    left + width * (start + same) as f64,
                    low,
                    low + height,
                    // Never so dark that points are lost in it.
                    0.6 * shade / SHADES,
                ]);
            }
            start += same;
        }
    }
    cells
}

fn loss_figure(name: &str, words: &str, losses: &ToyLosses) -> Figure {
    let (lowest, highest) = (1e-5_f64, 10.0_f64);
    let bins = 30;
    let edges: Vec<f64> = (0..=bins)
        .map(|bin| lowest * (highest / lowest).powf(f64::from(bin) / f64::from(bins)))
        .collect();
    let shares = |losses: &[f64]| -> Vec<f64> {
        let mut counts = vec![0.0; edges.len() - 1];
        for &loss in losses {
            let bin = edges[1..edges.len() - 1].partition_point(|&edge| edge <= loss);
            counts[bin] += 1.0 / losses.len() as f64;
        }
        counts
    };
    let (out, inside) = (shares(&losses.without), shares(&losses.with));
    let largest = out.iter().chain(&inside).copied().fold(0.0, f64::max);
    let mut chart = Chart::new(
        &format!("Losses of {words} in the toy"),
        "Distributions of the loss over the small models that were trained on the record and over those that were not.",
        Axis::log("loss", lowest, highest),
        Axis::linear("share of the models", 0.0, largest * 1.08).percent(),
    );
    chart.height = 220.0;
    for (heights, series, label) in [
        (out, 0, "OUT: not trained on it"),
        (inside, 1, "IN: trained on it"),
    ] {
        chart.marks.push(Mark::Steps {
            edges: edges.clone(),
            heights,
            series,
        });
        chart.name(series, label);
    }
    Figure::new(
        name,
        chart,
        format!("<p><strong>Losses of {words}.</strong></p>"),
    )
}
