//! What was audited and how, what was checked about it, and what else there is to know.

use askama::Template;

use super::super::number::{Html, Numbers, Style};
use super::{Content, Section, render, singular};
use crate::error::Result;
use crate::membership::Design;
use crate::report::Audit;
use crate::validity::Status;

#[derive(Template)]
#[template(path = "sections/setup.html")]
struct Setup<'a> {
    audit: &'a Audit,
    n: Numbers<'a>,
    units: &'a str,
    unit: &'a str,
    draws: bool,
    /// Of each check: a class, a word, and where it stands.
    checks: Vec<(&'static str, &'static str, String)>,
}

pub(super) fn section(content: &Content<'_>) -> Result<Option<Section>> {
    let setup = Setup {
        audit: content.audit,
        n: content.numbers(),
        units: &content.audit.data.unit_name,
        unit: singular(&content.audit.data.unit_name),
        draws: content.audit.reference.design == Design::Bootstrap,
        checks: (content.audit.checks.iter().enumerate())
            .map(|(index, check)| {
                let (class, word) = match check.status {
                    Status::Passed => ("good", "passed"),
                    Status::Failed => ("bad", "failed"),
                    Status::Unavailable => ("muted", "not made"),
                };
                (class, word, format!("/checks/{index}"))
            })
            .collect(),
    };
    Ok(Some(Section {
        id: "setup",
        short: "Set-up",
        html: Html(render(&setup)?),
        figures: Vec::new(),
    }))
}
