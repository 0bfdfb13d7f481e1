//! The table of records. The script fills it; without one, and on paper, the most exposed stand
//! there.

use askama::Template;

use super::super::number::{Html, Numbers, Style, thousands};
use super::super::rows::{anchor, shown_id};
use super::{Content, Section, render};
use crate::error::Result;
use crate::report::Audit;
use crate::report::chart::escape;
use crate::report::printable::printable;

#[derive(Template)]
#[template(path = "sections/records.html")]
struct RecordsSection<'a> {
    n: Numbers<'a>,
    units: &'a str,
    unit: &'static str,
    /// How many of how many have a row, where not all do.
    sample: Option<[String; 2]>,
    left_out: &'a [String],
    redacted: bool,
    attacks: bool,
    heads: Vec<&'static str>,
    rows: Vec<Row>,
}

/// A row of the static table.
struct Row {
    anchor: String,
    id: Html,
    cells: Vec<Html>,
}

/// A column of the static table: its heading and the cell of an exposed unit.
type Column = (&'static str, fn(Numbers<'_>, usize, &Audit) -> Html);

/// Text from the data, which may run from right to left; characters that hide or act are written
/// out.
fn isolated(n: Numbers<'_>, pointer: String, text: &str, shown: &str) -> Html {
    if shown == text {
        n.quote(pointer)
    } else {
        Html(format!("<bdi data-fixed>{}</bdi>", escape(shown)))
    }
}

fn truth(value: Option<bool>) -> Html {
    Html(
        match value {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        }
        .to_owned(),
    )
}

/// The columns for which an exposed unit has something to say.
fn columns(audit: &Audit) -> Vec<Column> {
    let exposed = &audit.exposed;
    let mut columns: Vec<Column> = vec![("Class", |n, at, audit| {
        let class = &audit.exposed[at].class;
        isolated(n, format!("/exposed/{at}/class"), class, &printable(class))
    })];
    if exposed.iter().any(|e| e.group.is_some()) {
        columns.push(("Group", |n, at, audit| match &audit.exposed[at].group {
            Some(group) => isolated(n, format!("/exposed/{at}/group"), group, &shown_id(group)),
            None => Html::default(),
        }));
    }
    if exposed.iter().any(|e| e.records > 1) {
        columns.push(("Records", |n, at, _| {
            n.show(format!("/exposed/{at}/records"), Style::Count)
        }));
    }
    columns.push(("Given away", |_, at, audit| {
        // Only tested units are exposed.
        Html(
            if audit.exposed[at].given_away {
                "yes"
            } else {
                "not shown"
            }
            .to_owned(),
        )
    }));
    if exposed.iter().any(|e| e.member.is_some()) {
        columns.push(("Member", |_, at, audit| truth(audit.exposed[at].member)));
    }
    columns.push(("P-value", |n, at, _| {
        n.show(format!("/exposed/{at}/p"), Style::Small)
    }));
    columns.push(("Q-value", |n, at, _| {
        n.show(format!("/exposed/{at}/q"), Style::Small)
    }));
    if exposed.iter().any(|e| e.target_loss.is_some()) {
        columns.push(("Target’s loss", |n, at, _| {
            n.show(format!("/exposed/{at}/target_loss"), Style::Decimals)
        }));
    }
    if exposed.iter().any(|e| e.out_loss.is_some()) {
        columns.push(("Mean OUT loss", |n, at, _| {
            n.show(format!("/exposed/{at}/out_loss"), Style::Decimals)
        }));
    }
    if exposed.iter().any(|e| e.in_loss.is_some()) {
        columns.push(("Mean IN loss", |n, at, _| {
            n.show(format!("/exposed/{at}/in_loss"), Style::Decimals)
        }));
    }
    if exposed.iter().any(|e| e.neighbours.is_some()) {
        columns.push(("Neighbours", |n, at, _| {
            n.show(format!("/exposed/{at}/neighbours"), Style::Count)
        }));
    }
    if exposed.iter().any(|e| e.recurrence.is_some()) {
        columns.push(("Found in IN models", |n, at, audit| {
            of(n, at, audit, "found", "in_targets")
        }));
        columns.push(("Accused in OUT models", |n, at, audit| {
            of(n, at, audit, "wrongly_accused", "out_targets")
        }));
    }
    columns
}

/// A count of another one.
fn of(n: Numbers<'_>, at: usize, audit: &Audit, part: &str, whole: &str) -> Html {
    if audit.exposed[at].recurrence.is_none() {
        return Html::default();
    }
    let show = |name: &str| n.show(format!("/exposed/{at}/recurrence/{name}"), Style::Count);
    Html(format!("{} of {}", show(part), show(whole)))
}

pub(super) fn section(content: &Content<'_>) -> Result<Option<Section>> {
    let audit = content.audit;
    let n = content.numbers();
    let columns = columns(audit);
    let rows = (0..audit.exposed.len())
        .map(|at| Row {
            anchor: anchor(&audit.exposed[at].id),
            id: isolated(
                n,
                format!("/exposed/{at}/id"),
                &audit.exposed[at].id,
                &shown_id(&audit.exposed[at].id),
            ),
            cells: columns.iter().map(|(_, cell)| cell(n, at, audit)).collect(),
        })
        .collect();
    let section = RecordsSection {
        n,
        units: &audit.data.unit_name,
        unit: if audit.data.unit_name == "groups" {
            "group"
        } else {
            "record"
        },
        sample: (content.payload.shown < content.payload.units)
            .then_some([content.payload.shown, content.payload.units])
            .map(|counts| counts.map(|count| thousands(count as f64))),
        left_out: &content.payload.left_out,
        redacted: audit.redacted,
        attacks: audit.attacks.is_some() && !audit.redacted,
        heads: columns.iter().map(|(head, _)| *head).collect(),
        rows,
    };
    Ok(Some(Section {
        id: "records",
        short: "Records",
        html: Html(render(&section)?),
        figures: Vec::new(),
    }))
}
