//! `report.html`: one page that needs nothing else, for people who were not there.
//!
//! The page holds its style, its script, its figures and its records, asks no network for
//! anything, and tells the browser to refuse if it did (a content security policy with the
//! hashes of its own style and script). Whatever comes from the data is escaped. It is made
//! from `Content`, and that from the run directory alone.
//!
//! A section is one file in `sections/` and one line in its list.

pub(crate) mod gathered;
mod number;
pub(crate) mod payload;
pub(crate) mod rows;
mod sections;

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::Audit;
use super::chart::Chart;
use crate::error::{Error, Result};
use number::{Html, Numbers};

/// What a page is made from.
pub(crate) struct Content<'a> {
    /// The result.
    pub(crate) audit: &'a Audit,
    /// The same as it stands in `report.json`.
    pub(crate) json: &'a serde_json::Value,
    /// The table of records and their evidence.
    pub(crate) payload: &'a payload::Payload,
    /// The map of an explained run; nothing in a redacted page.
    pub(crate) map: Option<&'a gathered::MapPoints>,
    /// What networks look at; nothing in a redacted page.
    pub(crate) activations: &'a [gathered::Activation],
}

impl Content<'_> {
    fn numbers(&self) -> Numbers<'_> {
        Numbers::new(self.json)
    }
}

/// A page, and its figures as files.
pub(crate) struct Page {
    /// The HTML.
    pub(crate) html: String,
    /// Name and SVG of every figure.
    pub(crate) figures: Vec<(String, String)>,
}

const STYLE: &str = concat!(
    include_str!("page.css"),
    include_str!("records.css"),
    include_str!("explanation.css"),
    include_str!("defence.css")
);
const SCRIPT: &str = concat!(include_str!("page.js"), include_str!("records.js"));

#[derive(Template)]
#[template(path = "page.html")]
struct Frame<'a> {
    title: String,
    redacted: bool,
    version: &'a str,
    style: Html,
    script: Html,
    style_hash: String,
    script_hash: String,
    payload: Html,
    sections: Vec<sections::Section>,
}

/// Makes the page.
///
/// # Errors
/// If a template or the toy fails, which is a defect of ours.
pub(crate) fn build(content: &Content<'_>) -> Result<Page> {
    let mut sections = sections::all(content)?;
    let figures = sections
        .iter_mut()
        .flat_map(|section| std::mem::take(&mut section.figures))
        .map(|(name, chart): (String, Chart)| {
            let file = chart.file(&name);
            (name, file)
        })
        .collect();
    let frame = Frame {
        title: format!("giveaway: {}", content.audit.data.name),
        redacted: content.audit.redacted,
        version: &content.audit.giveaway_version,
        style: Html(STYLE.to_owned()),
        script: Html(SCRIPT.to_owned()),
        style_hash: hash(STYLE),
        script_hash: hash(SCRIPT),
        payload: Html(content.payload.text.clone()),
        sections,
    };
    Ok(Page {
        html: render(&frame)?,
        figures,
    })
}

/// The hash by which a content security policy allows a style or script.
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

fn render(template: &impl Template) -> Result<String> {
    template
        .render()
        .map_err(|e| Error::unexpected(format!("cannot write the page: {e}")))
}
