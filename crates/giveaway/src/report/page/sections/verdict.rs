//! The first screen: does the model give records away, which, how sure is that, what can be done.

use askama::Template;

use super::super::number::{Html, Numbers, Style};
use super::{Content, Section, render};
use crate::attack::direct::Null;
use crate::error::Result;
use crate::report::Audit;
use crate::select::{Amount, Rule};
use crate::validity::Status;

/// From here on the AUC of an attack on all records counts as a noticeable leak on average.
const NOTICEABLE: f64 = 0.6;
/// From here on as a strong one.
const STRONG: f64 = 0.75;

#[derive(Template)]
#[template(path = "sections/verdict.html")]
struct Verdict<'a> {
    audit: &'a Audit,
    n: Numbers<'a>,
    tested: bool,
    /// Where the AUC of direct inference on all audited records stands, and what it means.
    average: Option<(String, &'static str)>,
    /// The attack with the largest AUC, and where that stands.
    best: Option<(&'a str, String)>,
    failed: Vec<usize>,
    priors: Vec<(Html, Html)>,
    selected_by: String,
    units: &'a str,
    unit: &'a str,
    recurrence: bool,
}

impl Verdict<'_> {
    fn trusts_the_tail(&self) -> bool {
        self.audit.test.null == Null::T
    }

    fn everybody_is_tested(&self) -> bool {
        self.audit.test.selection == Rule::All
    }
}

pub(super) fn section(content: &Content<'_>) -> Result<Option<Section>> {
    let audit = content.audit;
    let n = content.numbers();
    let test = &audit.test;
    let headline = headline(audit);
    let verdict = Verdict {
        audit,
        n,
        tested: test.selected > test.untestable,
        average: average(audit),
        best: best(audit),
        failed: (0..audit.checks.len())
            .filter(|&i| audit.checks[i].status == Status::Failed)
            .collect(),
        priors: headline
            .filter(|_| audit.verdict.given_away > 0)
            .map_or_else(Vec::new, |(place, count)| {
                (0..count)
                    .map(|i| {
                        let at = format!("{place}/predictive_value/{i}");
                        (
                            n.show(format!("{at}/prior"), Style::Percent),
                            n.estimate(format!("{at}/value"), Style::Percent),
                        )
                    })
                    .collect()
            }),
        selected_by: selected_by(audit, n),
        units: &audit.data.unit_name,
        unit: audit.data.unit_name.trim_end_matches('s'),
        recurrence: audit.exposed.iter().any(|e| e.recurrence.is_some()),
    };
    Ok(Some(Section {
        id: "verdict",
        short: "Verdict",
        html: Html(render(&verdict)?),
        figures: Vec::new(),
    }))
}

/// Where the rates of the verdict's decision over reference models stand, and how many priors
/// they have.
fn headline(audit: &Audit) -> Option<(String, usize)> {
    let test = &audit.test;
    let evaluation = audit
        .leave_one_out
        .iter()
        .position(|e| e.selection == test.selection && e.null == test.null)?;
    let decisions = &audit.leave_one_out[evaluation].decisions;
    let decision = decisions
        .iter()
        .position(|d| d.decision == audit.verdict.decision)?;
    let rates = &decisions[decision];
    rates.precision.value?;
    Some((
        format!("/leave_one_out/{evaluation}/decisions/{decision}"),
        rates.predictive_value.len(),
    ))
}

/// The AUC of direct inference over all audited units: on the target where its members are
/// known, else over reference models in its place.
fn average(audit: &Audit) -> Option<(String, &'static str)> {
    let (evaluations, name) = if audit.on_target.is_empty() {
        (&audit.leave_one_out, "leave_one_out")
    } else {
        (&audit.on_target, "on_target")
    };
    let place = evaluations
        .iter()
        .position(|e| e.selection == Rule::All && e.null == audit.test.null)?;
    let auc = evaluations[place].ranking.auc;
    let value = auc.value?;
    let words = if auc.lower.is_some_and(|lower| lower <= 0.5) || value <= 0.5 {
        "No leak can be seen on average."
    } else if value < NOTICEABLE {
        "On average the model leaks little."
    } else if value < STRONG {
        "The model leaks noticeably on average, too."
    } else {
        "The model leaks strongly on average, too."
    };
    Some((format!("/{name}/{place}/ranking/auc"), words))
}

/// The attack with the largest AUC over all records, where that figure stands as above.
fn best(audit: &Audit) -> Option<(&str, String)> {
    let section = audit.attacks.as_ref()?;
    let on_target = !audit.on_target.is_empty();
    section
        .attacks
        .iter()
        .enumerate()
        .filter_map(|(index, attack)| {
            let (quality, name) = if on_target {
                (attack.on_target.as_ref()?, "on_target")
            } else {
                (attack.leave_one_out.as_ref()?, "leave_one_out")
            };
            let place = format!("/attacks/attacks/{index}/{name}/ranking/auc");
            Some((quality.ranking.auc.value?, attack.method.name(), place))
        })
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name, place)| (name, place))
}

/// Who was tested, as the end of a sentence.
fn selected_by(audit: &Audit, n: Numbers<'_>) -> String {
    let amount = match audit.test.amount {
        Amount::Share(_) => format!(
            "the {} of the {} that ",
            n.show("/test/amount/share", Style::Percent),
            audit.data.unit_name
        ),
        _ => format!("the {} that ", audit.data.unit_name),
    };
    let why = match audit.test.selection {
        Rule::All => return format!("all {} audited", audit.data.unit_name),
        Rule::Neighbours => "have the fewest neighbours",
        Rule::OutLoss => "models that never saw them get most wrong",
        Rule::Influence => {
            "change a model most when they are in its training data, as seen on other models"
        }
    };
    format!("{amount}{why}")
}
