//! The sections of the page, in order. To add one, write its file and add it to [`LIST`].

mod attacks;
mod certainty;
mod defence;
mod explanation;
mod how;
mod indirect;
mod losses;
mod records;
mod setup;
mod terms;
mod verdict;

use super::number::Html;
use super::{Content, render};
use crate::error::Result;
use crate::report::chart::Chart;

/// A section of the page.
pub(super) struct Section {
    /// Its anchor.
    pub(super) id: &'static str,
    /// Its name in the navigation.
    pub(super) short: &'static str,
    /// Its content, with a heading whose id is the anchor and `-title`.
    pub(super) html: Html,
    /// Its figures, by name, to be written as files.
    pub(super) figures: Vec<(String, Chart)>,
}

type Make = fn(&Content<'_>) -> Result<Option<Section>>;

/// Every section makes itself, or nothing where the audit has nothing for it.
const LIST: [Make; 11] = [
    verdict::section,
    records::section,
    explanation::section,
    defence::section,
    certainty::section,
    attacks::section,
    indirect::section,
    losses::section,
    how::section,
    setup::section,
    terms::section,
];

/// The sections that this audit has.
pub(super) fn all(content: &Content<'_>) -> Result<Vec<Section>> {
    LIST.iter()
        .filter_map(|make| make(content).transpose())
        .collect()
}

/// One of what units are called.
fn singular(units: &str) -> &str {
    units.strip_suffix('s').unwrap_or(units)
}

/// A figure with its caption and, folded away, its numbers as a table.
pub(super) struct Figure {
    name: String,
    chart: Chart,
    caption: Html,
    numbers: Option<Html>,
}

impl Figure {
    /// `caption` is markup; `name` is the anchor and the name of the file.
    pub(super) fn new(name: &str, chart: Chart, caption: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            chart,
            caption: Html(caption.into()),
            numbers: None,
        }
    }

    /// Adds a table of the numbers.
    pub(super) fn with_numbers(mut self, table: Html) -> Self {
        self.numbers = Some(table);
        self
    }

    /// The figure as markup; the chart goes to the list of files.
    pub(super) fn place(self, files: &mut Vec<(String, Chart)>) -> Html {
        let numbers = self.numbers.map_or_else(String::new, |table| {
            format!("<details class=\"numbers\"><summary>The numbers</summary>{table}</details>")
        });
        let html = Html(format!(
            "<figure id=\"figure-{0}\">{1}<figcaption>{2}</figcaption>{numbers}</figure>",
            self.name,
            self.chart.svg(&self.name),
            self.caption,
        ));
        files.push((self.name, self.chart));
        html
    }
}

/// A table; cells are markup. The first column names the row.
pub(super) fn table(caption: &str, header: &[&str], rows: &[Vec<Html>]) -> Html {
    use std::fmt::Write;
    let mut out = format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\"><table><caption>{caption}</caption><thead><tr>"
    );
    for name in header {
        // Writing to a String cannot fail.
        let _ = write!(out, "<th scope=\"col\">{name}</th>");
    }
    out.push_str("</tr></thead><tbody>");
    for row in rows {
        out.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let _ = if column == 0 {
                write!(out, "<th scope=\"row\">{cell}</th>")
            } else {
                write!(out, "<td>{cell}</td>")
            };
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
    Html(out)
}
