//! The first screen: does the model give records away, which, how sure is that, what can be done.

use askama::Template;

use super::super::number::{Html, Numbers, Style};
use super::super::rows::anchor;
use super::{Content, Section, render, singular};
use crate::attack::direct::Null;
use crate::error::Result;
use crate::evaluate::{Decision, Estimate, LEVELS};
use crate::membership::Design;
use crate::report::Audit;
use crate::report::chart::escape;
use crate::select::{Amount, Rule};
use crate::validity::{OVERLAP, Status};

/// From here on the AUC of an attack on all records counts as a noticeable leak on average.
const NOTICEABLE: f64 = 0.6;
/// From here on as a strong one.
const STRONG: f64 = 0.75;

#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a condition of the template"
)]
#[derive(Template)]
#[template(path = "sections/verdict.html")]
struct Verdict<'a> {
    audit: &'a Audit,
    n: Numbers<'a>,
    units: &'a str,
    unit: &'a str,
    tested: bool,
    /// Where the number of tested units stands.
    tested_at: &'static str,
    /// Whether so few models can name anybody at all.
    possible: bool,
    /// Whether anybody was tested on the reference models.
    measured: bool,
    average: Option<Average<'a>>,
    failed: Vec<usize>,
    priors: Vec<(Html, Html)>,
    selected_by: Html,
    recurrence: bool,
    /// Whether the smallest p-value is smaller than counting allows.
    beyond_the_floor: bool,
    most_exposed: String,
    own_reference_data: bool,
    draws: bool,
}

/// How much the model leaks over all units.
struct Average<'a> {
    /// Where the AUC of the test stands.
    place: String,
    /// What it is of: this model, or models trained in the same way.
    on_target: bool,
    words: &'static str,
    /// The attack with the largest AUC, and where that stands.
    best: Option<(&'a str, String)>,
    low: bool,
}

pub(super) fn section(content: &Content<'_>) -> Result<Option<Section>> {
    let audit = content.audit;
    let n = content.numbers();
    let test = &audit.test;
    let tested = test.selected - test.untestable;
    let pooled = audit.headline_leave_one_out();
    let verdict = Verdict {
        audit,
        n,
        units: &audit.data.unit_name,
        unit: singular(&audit.data.unit_name),
        tested: tested > 0,
        tested_at: if test.untestable == 0 {
            "/test/selected"
        } else {
            "/test/tested"
        },
        possible: !test.null.has_floor() || test.minimum_discoveries <= tested,
        measured: pooled.is_some_and(|e| e.members + e.non_members > 0),
        average: average(audit),
        failed: (0..audit.checks.len())
            .filter(|&i| audit.checks[i].status == Status::Failed)
            .collect(),
        priors: priors(audit, n),
        selected_by: selected_by(audit, n),
        recurrence: audit.exposed.iter().any(|e| e.recurrence.is_some()),
        beyond_the_floor: test.null == Null::T
            && audit.exposed.first().is_some_and(|e| e.p < test.floor),
        most_exposed: audit
            .exposed
            .first()
            .map_or_else(|| "records".to_owned(), |e| anchor(&e.id)),
        own_reference_data: audit.checks.iter().any(|check| check.name == OVERLAP),
        draws: audit.reference.design == Design::Bootstrap,
    };
    Ok(Some(Section {
        id: "verdict",
        short: "Verdict",
        html: Html(render(&verdict)?),
        figures: Vec::new(),
    }))
}

/// What share of those named are members, by how many of those asked about are, at a cut-off of
/// p that does not change with it.
fn priors(audit: &Audit, n: Numbers<'_>) -> Vec<(Html, Html)> {
    let test = &audit.test;
    let decision = Decision::Level(LEVELS[0]);
    let place = (audit.leave_one_out.iter().enumerate())
        .filter(|(_, e)| e.selection == test.selection && e.null == test.null)
        .find_map(|(index, e)| {
            let at = e.decisions.iter().position(|d| d.decision == decision)?;
            e.decisions[at].precision.value?;
            Some((index, at, e.decisions[at].predictive_value.len()))
        });
    let Some((evaluation, decision, count)) = place else {
        return Vec::new();
    };
    (0..count)
        .map(|prior| {
            let at = format!(
                "/leave_one_out/{evaluation}/decisions/{decision}/predictive_value/{prior}"
            );
            (
                n.show(format!("{at}/prior"), Style::Percent),
                n.estimate(format!("{at}/value"), Style::PercentFine),
            )
        })
        .collect()
}

/// The AUC over all audited units: on the target where its members are known, else over
/// reference models in its place.
fn average(audit: &Audit) -> Option<Average<'_>> {
    let on_target = !audit.on_target.is_empty();
    let (evaluations, name) = if on_target {
        (&audit.on_target, "on_target")
    } else {
        (&audit.leave_one_out, "leave_one_out")
    };
    let place = evaluations
        .iter()
        .position(|e| e.selection == Rule::All && e.null == audit.test.null)?;
    let own = evaluations[place].ranking.auc;
    own.value?;
    let best = best(audit, on_target);
    // Whether there is a leak on average is for the most successful to say.
    let auc = best
        .as_ref()
        .map(|(auc, ..)| *auc)
        .filter(|best| best.value > own.value)
        .unwrap_or(own);
    let value = auc.value?;
    let seen = auc.lower.is_none_or(|lower| lower > 0.5) && value > 0.5;
    let words = match (seen, on_target) {
        (false, _) => "No leak can be seen on average over all.",
        (true, true) if value < NOTICEABLE => "On average over all, the model leaks little.",
        (true, true) if value < STRONG => "On average over all, the model leaks noticeably.",
        (true, true) => "On average over all, the model leaks strongly.",
        (true, false) if value < NOTICEABLE => {
            "On average over all, models trained in this way leak little."
        }
        (true, false) if value < STRONG => {
            "On average over all, models trained in this way leak noticeably."
        }
        (true, false) => "On average over all, models trained in this way leak strongly.",
    };
    Some(Average {
        place: format!("/{name}/{place}/ranking/auc"),
        on_target,
        words,
        best: best.map(|(_, method, place)| (method, place)),
        low: value < NOTICEABLE,
    })
}

/// The attack with the largest AUC over all records, and where that figure stands.
fn best(audit: &Audit, on_target: bool) -> Option<(Estimate, &str, String)> {
    let section = audit.attacks.as_ref()?;
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
            quality.ranking.auc.value?;
            Some((quality.ranking.auc, attack.method.name(), place))
        })
        .max_by(|a, b| {
            a.0.value
                .unwrap_or(0.0)
                .total_cmp(&b.0.value.unwrap_or(0.0))
        })
}

/// Who was tested, as the end of a sentence.
fn selected_by(audit: &Audit, n: Numbers<'_>) -> Html {
    let units = escape(&audit.data.unit_name);
    let amount = match audit.test.amount {
        Amount::Share(_) => format!(
            "the {} of the {units}",
            n.show("/test/amount/share", Style::Percent)
        ),
        _ => format!("the {units}"),
    };
    let why = match audit.test.selection {
        Rule::All => return Html(format!("all {units} audited")),
        Rule::Neighbours => "with the fewest neighbours in the eyes of other models",
        Rule::OutLoss => "that models which never saw them get most wrong",
        Rule::Influence => "whose own loss falls most when a model is trained on them",
    };
    Html(format!("{amount} {why}"))
}
