//! Short explanations of the words of the page.

use askama::Template;

use super::super::number::Html;
use super::{Content, Section, render};
use crate::error::Result;

#[derive(Template)]
#[template(path = "sections/terms.html")]
struct Terms;

pub(super) fn section(_: &Content<'_>) -> Result<Option<Section>> {
    Ok(Some(Section {
        id: "terms",
        short: "Terms",
        html: Html(render(&Terms)?),
        figures: Vec::new(),
    }))
}
