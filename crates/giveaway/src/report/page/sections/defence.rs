//! Defences: the advice, what each protects against its price, and every figure of each.

use std::fmt::Write as _;

use askama::Template;

use super::super::number::{Html, Numbers, Style, none};
use super::super::rows::anchor;
use super::{Content, Figure, Section, render, singular, table};
use crate::error::Result;
use crate::report::chart::{Axis, Chart, Mark, Point};
use crate::report::defence::{DefenceFigures, DefenceSection, GroupUtility, Verdict};

/// Records to be protected that are shown before the rest is folded away.
const FIRST_UNITS: usize = 12;
/// Classes or values of a column that are shown of a defence.
const MOST_GROUPS: usize = 40;
/// How much wider a figure may be than the price allowed before its middle is drawn again.
const WIDE: f64 = 6.0;
/// Defences that must be near no defence for a figure of their own.
const FEWEST_NEAR: usize = 3;

/// Series of the figures; their marks differ in shape, too.
const NOT_SHOWN: usize = 0;
const HARMS: usize = 1;
const HELPS: usize = 2;
const UNDEFENDED: usize = 3;
const FRONTIER: usize = 5;
const CONTROL: usize = 7;

#[derive(Template)]
#[template(path = "sections/defence.html")]
struct Defences<'a> {
    s: Option<&'a DefenceSection>,
    n: Numbers<'a>,
    units: &'a str,
    unit: &'a str,
    redacted: bool,
    /// Whether figures of the most exposed are left out, since they are few.
    few: bool,
    reasons: Vec<Html>,
    files: Vec<Html>,
    price: Option<Html>,
    figures: Vec<Html>,
    arms: Html,
    more_figures: Html,
    identified_by: &'static str,
    units_table: Option<Html>,
    cards: Vec<Card>,
    skipped: Option<Html>,
}

/// What is folded away of a defence.
struct Card {
    name: Html,
    what: Html,
    sentence: Option<Html>,
    facts: Html,
    attacks: Html,
    utility: Html,
}

/// A row of the comparison: where it stands, its number among the defences, and its figures.
struct Arm<'a> {
    place: String,
    number: Option<usize>,
    figures: &'a DefenceFigures,
    recommended: bool,
}

impl Arm<'_> {
    /// What a figure calls it.
    fn label(&self) -> String {
        match (self.number, self.recommended) {
            (Some(number), true) => format!("{number} recommended"),
            (Some(number), false) => number.to_string(),
            (None, _) if self.figures.verdict.is_none() => "no defence".to_owned(),
            (None, _) => "again".to_owned(),
        }
    }

    /// Its number and title.
    fn name(&self, n: Numbers<'_>) -> Html {
        let title = n.quote(format!("{}/title", self.place));
        let mut name = self.number.map_or_else(
            || title.to_string(),
            |number| format!("<span data-fixed>{number}.</span> {title}"),
        );
        if self.recommended {
            name.push_str(" <strong class=\"good\">recommended</strong>");
        }
        Html(name)
    }

    fn verdict(&self) -> Html {
        Html(match self.figures.verdict {
            None => return none(),
            Some(Verdict::Helps) => "<strong class=\"good\">helps</strong>".to_owned(),
            Some(Verdict::NotShown) => "not shown".to_owned(),
            Some(Verdict::Harms) => "<strong class=\"bad\">harms</strong>".to_owned(),
        })
    }

    /// Where the strongest attack that knows of the defence stands.
    fn strongest(&self) -> Option<String> {
        let at = self.figures.attacks.iter().position(|a| a.adaptive)?;
        Some(format!("{}/attacks/{at}", self.place))
    }

    /// Where the attack stands that does not know of it.
    fn ignorant(&self) -> Option<String> {
        let at = self.figures.attacks.iter().position(|a| !a.adaptive)?;
        Some(format!("{}/attacks/{at}", self.place))
    }

    fn series(&self) -> usize {
        match self.figures.verdict {
            None => UNDEFENDED,
            Some(_) if self.number.is_none() => CONTROL,
            Some(Verdict::Helps) => HELPS,
            Some(Verdict::NotShown) => NOT_SHOWN,
            Some(Verdict::Harms) => HARMS,
        }
    }

    /// Change of accuracy in points, and share of models in which the most exposed are found.
    fn place_on_chart(&self) -> Option<(f64, f64)> {
        let change = if self.figures.verdict.is_none() {
            0.0
        } else {
            100.0 * self.figures.utility.accuracy_change.value?
        };
        let found = self.figures.exposed.found.value?;
        (change.is_finite() && found.is_finite()).then_some((change, found))
    }
}

/// All arms: no defence, the same again, and the defences in the order of the report.
fn arms(s: &DefenceSection) -> Vec<Arm<'_>> {
    let mut arms = vec![Arm {
        place: "/defence/undefended".to_owned(),
        number: None,
        figures: &s.undefended,
        recommended: false,
    }];
    arms.extend(s.control.iter().map(|figures| Arm {
        place: "/defence/control".to_owned(),
        number: None,
        figures,
        recommended: false,
    }));
    arms.extend(s.defences.iter().enumerate().map(|(index, figures)| Arm {
        place: format!("/defence/defences/{index}"),
        number: Some(index + 1),
        figures,
        recommended: s.recommendation.defence.as_deref() == Some(&figures.name),
    }));
    arms
}

pub(super) fn section(content: &Content<'_>) -> Result<Option<Section>> {
    let audit = content.audit;
    let n = content.numbers();
    let units = audit.data.unit_name.as_str();
    let unit = singular(units);
    let mut page = Defences {
        s: audit.defence.as_ref(),
        n,
        units,
        unit,
        redacted: audit.redacted,
        few: false,
        reasons: Vec::new(),
        files: Vec::new(),
        price: None,
        figures: Vec::new(),
        arms: Html::default(),
        more_figures: Html::default(),
        identified_by: "",
        units_table: None,
        cards: Vec::new(),
        skipped: None,
    };
    let mut files = Vec::new();
    if let Some(s) = &audit.defence {
        let arms = arms(s);
        page.few = audit.redacted && s.undefended.exposed.found.value.is_none();
        page.reasons = (0..s.recommendation.reasons.len())
            .map(|index| n.quote(format!("/defence/recommendation/reasons/{index}")))
            .collect();
        page.files = (0..s.deliverables.len())
            .map(|index| {
                let place = format!("/defence/deliverables/{index}");
                Html(format!(
                    "<code>{}</code>: {}",
                    n.quote(format!("{place}/file")),
                    n.quote(format!("{place}/what"))
                ))
            })
            .collect();
        page.price = price(s, unit, n);
        page.figures = frontier(s, &arms, units, n)
            .into_iter()
            .map(|figure| figure.place(&mut files))
            .collect();
        page.arms = comparison(&arms, units, n);
        page.more_figures = more_figures(&arms, n);
        page.identified_by = match s.settings.identified_by.as_str() {
            "influence" => "by what training on them changes",
            "out-loss" => "by the loss of models that were not trained on them",
            "centroids" => "by their distance to the centres of the classes",
            _ => "by a measure of the run",
        };
        page.units_table = protected(s, audit.redacted, n);
        page.cards = arms.iter().map(|arm| card(arm, units, n)).collect();
        page.skipped = skipped(s, n);
    } else if audit.redacted {
        // Who gets the copy cannot try a defence.
        return Ok(None);
    }
    Ok(Some(Section {
        id: "defences",
        short: "Protect",
        html: Html(render(&page)?),
        figures: files,
    }))
}

/// The recommended defence where it was not chosen.
fn price(s: &DefenceSection, unit: &str, n: Numbers<'_>) -> Option<Html> {
    let advice = &s.recommendation;
    advice.defence.as_ref()?;
    advice.found_after.value?;
    let card = |title: &str, number: Html, words: &str| {
        format!(
            "<div class=\"card\"><h2>{title}</h2><p class=\"big\">{number}</p><p>{words}</p></div>"
        )
    };
    let place = |name: &str| format!("/defence/recommendation/{name}");
    Some(Html(format!(
        "<div class=\"cards\">{}{}{}</div>",
        card(
            "Found before",
            n.estimate(place("found_before"), Style::PercentFine),
            "of the models trained on them name the most exposed, without a defence",
        ),
        card(
            "Found with it",
            n.estimate(place("found_after"), Style::PercentFine),
            "of the models name them, by the strongest attack that knows of it",
        ),
        card(
            "Price",
            Html(format!(
                "{} <small>points</small>",
                n.estimate(place("accuracy_change"), Style::PointsFine)
            )),
            &format!(
                "change of accuracy. All three are from models and {unit}s that the choice was not made on."
            ),
        ),
    )))
}

/// The ends of an axis around values.
fn ends(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let (low, high) = values
        .filter(|x| x.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| {
            (low.min(x), high.max(x))
        });
    (low <= high).then(|| {
        let room = 0.06 * (high - low).max(1e-3);
        (low - room, high + room)
    })
}

/// Whether another leaves less and costs less.
fn beaten(own: (f64, f64), by: (f64, f64)) -> bool {
    by.0 >= own.0 && by.1 <= own.1 && by != own
}

/// What each leaves against what it costs; where most lie in a small part of it, that part again.
fn frontier(s: &DefenceSection, arms: &[Arm<'_>], units: &str, n: Numbers<'_>) -> Vec<Figure> {
    let drawn: Vec<(&Arm<'_>, (f64, f64))> = arms
        .iter()
        .filter_map(|arm| Some((arm, arm.place_on_chart()?)))
        .collect();
    if drawn.len() < 2 {
        return Vec::new();
    }
    let budget = 100.0 * s.settings.accuracy_budget;
    let mut figures = Vec::new();
    let all = chart(
        "What each defence leaves, and what it costs",
        &drawn,
        budget,
    );
    let rows: Vec<Vec<Html>> = drawn
        .iter()
        .map(|(arm, _)| {
            vec![
                arm.name(n),
                n.estimate(
                    format!("{}/utility/accuracy_change", arm.place),
                    Style::PointsFine,
                ),
                n.estimate(format!("{}/exposed/found", arm.place), Style::PercentFine),
            ]
        })
        .collect();
    figures.push(
        Figure::new(
            "defence-frontier",
            all,
            format!("<p><strong>Privacy against utility.</strong> Lower is safer, further right more accurate: best is the lower right corner. Up: the share of models in which the most exposed {units} are found by the strongest attack that knows of the defence. Across: what it changes in accuracy on {units} not trained on, in points, to the left of the dashed line more than was allowed. Thin lines are <span data-fixed>95 %</span> intervals. The line joins defences of which none is beaten on both counts. At <span data-fixed>1 %</span> false alarms among them, {units} that are in no model are found about as often as that. Numbers are those of the table.</p>"),
        )
        .with_numbers(table(
            "What each leaves and costs",
            &["", "change of accuracy, points", "found"],
            &rows,
        )),
    );
    let reach = (2.0 * budget).max(1.0);
    let near: Vec<(&Arm<'_>, (f64, f64))> = drawn
        .iter()
        .filter(|(_, (change, _))| change.abs() <= reach)
        .map(|&(arm, at)| (arm, at))
        .collect();
    let widest = drawn
        .iter()
        .map(|(_, (change, _))| change.abs())
        .fold(0.0, f64::max);
    let defences_near = near.iter().filter(|(arm, _)| arm.number.is_some()).count();
    if widest > WIDE / 2.0 * reach && defences_near >= FEWEST_NEAR {
        figures.push(Figure::new(
            "defence-near",
            chart(
                "Defences that cost little, and what they leave",
                &near,
                budget,
            ),
            "<p><strong>The same, where little is lost.</strong> Those that change accuracy by less than twice what was allowed, drawn larger.</p>",
        ));
    }
    figures
}

fn chart(title: &str, drawn: &[(&Arm<'_>, (f64, f64))], budget: f64) -> Chart {
    let across = |arm: &Arm<'_>| {
        let change = arm.figures.utility.accuracy_change;
        // of no defence the change is nothing, and known
        (arm.figures.verdict.is_some())
            .then(|| change.lower.zip(change.upper))
            .flatten()
            .map(|(low, high)| (100.0 * low, 100.0 * high))
    };
    let up = |arm: &Arm<'_>| {
        arm.figures
            .exposed
            .found
            .lower
            .zip(arm.figures.exposed.found.upper)
    };
    let widths = drawn
        .iter()
        .flat_map(|(arm, (x, _))| {
            let (low, high) = across(arm).unwrap_or((*x, *x));
            [low, high]
        })
        .chain([-budget]);
    let heights = drawn.iter().flat_map(|(arm, (_, y))| {
        let (low, high) = up(arm).unwrap_or((*y, *y));
        [low, high]
    });
    let (left, right) = ends(widths).unwrap_or((-1.0, 1.0));
    let (bottom, top) = ends(heights).unwrap_or((0.0, 1.0));
    let mut chart = Chart::new(
        title,
        "Every defence as a numbered point: to the right what it changes in accuracy, upwards the share of models in which the most exposed records are found by the strongest attack that knows of it, with intervals both ways. The lower right is best. The table beside it has the numbers.",
        Axis::linear("change of accuracy, in points", left, right),
        Axis::linear(
            "models in which they are found",
            bottom.max(0.0),
            top.min(1.0),
        )
        .percent(),
    );
    chart.height = 400.0;
    chart.marks.push(Mark::RuleX {
        x: -budget,
        label: "price allowed".to_owned(),
    });
    // Whoever is on the frontier of all defences and not beaten by none at all.
    let undefended = drawn
        .iter()
        .find(|(arm, _)| arm.figures.verdict.is_none())
        .map(|&(_, at)| at);
    let mut line: Vec<(f64, f64)> = drawn
        .iter()
        .filter(|(arm, _)| arm.figures.on_frontier)
        .map(|&(_, at)| at)
        .filter(|&own| undefended.is_none_or(|by| !beaten(own, by)))
        .collect();
    if let Some(own) = undefended
        && !line.iter().any(|&by| beaten(own, by))
    {
        line.push(own);
    }
    line.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let has_frontier = line.len() > 1;
    if has_frontier {
        chart.marks.push(Mark::Line {
            points: line,
            series: FRONTIER,
        });
    }
    chart.marks.push(Mark::Scatter(
        drawn
            .iter()
            .map(|&(arm, (x, y))| Point {
                x,
                y,
                across: across(arm),
                up: up(arm),
                label: arm.label(),
                series: arm.series(),
                ringed: arm.recommended,
            })
            .collect(),
    ));
    for (series, name) in [
        (HELPS, "helps"),
        (NOT_SHOWN, "not shown to help"),
        (HARMS, "harms"),
        (UNDEFENDED, "no defence"),
        (CONTROL, "trained again"),
    ] {
        if drawn.iter().any(|(arm, _)| arm.series() == series) {
            chart.name(series, name);
        }
    }
    if has_frontier {
        chart.name(FRONTIER, "not beaten");
    }
    chart
}

/// A table of the arms, whose first column may wrap.
fn arms_table(caption: &str, header: &[&str], rows: &[Vec<Html>]) -> Html {
    let Html(table) = table(caption, header, rows);
    Html(table.replacen("<table>", "<table class=\"arms\">", 1))
}

fn comparison(arms: &[Arm<'_>], units: &str, n: Numbers<'_>) -> Html {
    let rows: Vec<Vec<Html>> = arms
        .iter()
        .map(|arm| {
            let at = |name: &str| format!("{}/{name}", arm.place);
            let is_defence = arm.figures.verdict.is_some();
            let compared = |html: Html| if is_defence { html } else { none() };
            vec![
                arm.name(n),
                arm.verdict(),
                n.estimate(at("exposed/found"), Style::PercentFine),
                compared(n.estimate(at("exposed/found_change"), Style::Points)),
                n.estimate(at("exposed/auc"), Style::Rate),
                arm.strongest().map_or_else(none, |attack| {
                    n.estimate(format!("{attack}/at_one_percent"), Style::PercentFine)
                }),
                n.estimate(at("utility/accuracy"), Style::PercentFine),
                compared(n.estimate(at("utility/accuracy_change"), Style::PointsFine)),
                n.show(at("time_ratio"), Style::Significant),
            ]
        })
        .collect();
    arms_table(
        &format!("What each defence leaves, and what it costs, on {units} not trained on"),
        &[
            "defence",
            "verdict",
            "most exposed found",
            "change",
            "AUC among them",
            "all members found at <span data-fixed>1 %</span> FPR",
            "accuracy",
            "change",
            "time, times",
        ],
        &rows,
    )
}

/// What is left out of the comparison, folded.
fn more_figures(arms: &[Arm<'_>], n: Numbers<'_>) -> Html {
    let privacy: Vec<Vec<Html>> = arms
        .iter()
        .map(|arm| {
            let of = |attack: Option<String>, name: &str, style: Style| {
                attack.map_or_else(none, |attack| n.estimate(format!("{attack}/{name}"), style))
            };
            let at = |name: &str| format!("{}/{name}", arm.place);
            vec![
                arm.name(n),
                of(arm.strongest(), "at_one_in_thousand", Style::PercentFine),
                of(arm.strongest(), "auc", Style::Rate),
                of(arm.ignorant(), "advantage", Style::PercentFine),
                n.estimate(at("exposed/auc"), Style::Rate),
                n.show(at("onion/after"), Style::Count),
                if arm.figures.verdict.is_some() {
                    n.show(at("onion/newly_exposed"), Style::Count)
                } else {
                    none()
                },
                if arm.number.is_some() {
                    n.estimate(at("onion/beyond_chance"), Style::Count)
                } else {
                    none()
                },
            ]
        })
        .collect();
    let utility: Vec<Vec<Html>> = arms
        .iter()
        .map(|arm| {
            let at = |name: &str| format!("{}/utility/{name}", arm.place);
            let change = |name: &str, style: Style| {
                if arm.figures.verdict.is_some() {
                    n.estimate(at(name), style)
                } else {
                    none()
                }
            };
            vec![
                arm.name(n),
                n.show(at("train_accuracy"), Style::PercentFine),
                n.estimate(at("balanced_accuracy"), Style::PercentFine),
                change("balanced_accuracy_change", Style::PointsFine),
                n.show(at("auc"), Style::Rate),
                n.estimate(at("log_loss"), Style::Decimals),
                change("log_loss_change", Style::Decimals),
                n.show(
                    format!("{}/seconds_per_model", arm.place),
                    Style::Significant,
                ),
            ]
        })
        .collect();
    Html(format!(
        "<details class=\"numbers\"><summary>More figures of privacy</summary>{}<p>The first three are of all members. <em>Loss attack</em>: the advantage (largest TPR less FPR) of the attack that does not know of the defence. <em>Mostly found</em> are those found in more than half of the models trained on them.</p></details><details class=\"numbers\"><summary>More figures of utility</summary>{}</details>",
        arms_table(
            "Privacy, by the strongest attack that knows of the defence unless another is named",
            &[
                "defence",
                "TPR at <span data-fixed>0.1 %</span> FPR",
                "AUC",
                "loss attack, advantage",
                "AUC among the most exposed",
                "mostly found",
                "newly exposed",
                "beyond chance",
            ],
            &privacy,
        ),
        arms_table(
            "Utility",
            &[
                "defence",
                "accuracy on records trained on",
                "balanced accuracy",
                "change",
                "AUC of the classes",
                "log loss, nats",
                "change",
                "seconds a model",
            ],
            &utility,
        )
    ))
}

fn card(arm: &Arm<'_>, units: &str, n: Numbers<'_>) -> Card {
    let figures = arm.figures;
    let at = |name: &str| format!("{}/{name}", arm.place);
    let mut name = arm.name(n).to_string();
    if figures.verdict.is_some() {
        let _ = write!(name, " ({})", arm.verdict());
    }
    Card {
        name: Html(name),
        what: n.quote(at("what")),
        sentence: (!figures.sentence.is_empty()).then(|| n.quote(at("sentence"))),
        facts: facts(arm, units, n),
        attacks: attacks(arm, n),
        utility: utility(arm, n),
    }
}

fn facts(arm: &Arm<'_>, units: &str, n: Numbers<'_>) -> Html {
    let figures = arm.figures;
    let at = |name: &str| format!("{}/{name}", arm.place);
    let mut list = String::from("<dl class=\"facts\">");
    let mut fact = |name: &str, text: String| {
        // Writing to a String cannot fail.
        let _ = write!(list, "<dt>{name}</dt><dd>{text}</dd>");
    };
    if figures.promise.is_some() {
        fact("Promise", n.quote(at("promise")).to_string());
    }
    if arm.number.is_some() {
        let mut where_it_acts = match figures.stage.as_str() {
            "training" => "It changes the training".to_owned(),
            "answers" => "It changes the answers".to_owned(),
            _ => "It changes the training and the answers".to_owned(),
        };
        where_it_acts.push_str(if figures.sample_aware {
            ", and treats some records otherwise than the rest."
        } else {
            ", of all records alike."
        });
        if figures.utility.flagged.is_some() {
            let flagged = n.show(at("utility/flagged"), Style::PercentFine);
            let _ = write!(
                where_it_acts,
                " {flagged} of the inputs are treated otherwise."
            );
        }
        fact("Where", where_it_acts);
        let name = n.quote(at("name"));
        fact(
            "Name",
            format!("<code>{name}</code>, for <code>--defence</code>"),
        );
    }
    for (key, title, text) in [
        ("scikit_learn", "With scikit-learn", &figures.scikit_learn),
        ("pytorch", "With PyTorch", &figures.pytorch),
        ("source", "Source", &figures.source),
    ] {
        if !text.is_empty() {
            fact(title, n.quote(at(key)).to_string());
        }
    }
    if !figures.exposed.attack.is_empty() {
        let mut exposed = format!(
            "Found best by {}, which at the same threshold accuses them in {} of the models that were not trained on them.",
            n.quote(at("exposed/attack")),
            n.estimate(at("exposed/wrongly_accused"), Style::PercentFine)
        );
        if figures.exposed.worst.is_some() {
            let _ = write!(
                exposed,
                " The one found most often is found in {} of {} models trained on it, {} without the defence (the best of many, and so optimistic for the attacker).",
                n.show(at("exposed/worst/found"), Style::Count),
                n.show(at("exposed/worst/in_targets"), Style::Count),
                n.show(at("exposed/worst/found_before"), Style::Count),
            );
        }
        fact("Most exposed", exposed);
    }
    let onion = figures.onion;
    let mut mostly = format!(
        "{} {units} are found in more than half of the models trained on them",
        n.show(at("onion/after"), Style::Count)
    );
    if figures.verdict.is_some() {
        let _ = write!(
            mostly,
            ", {} before. {} are newly exposed",
            n.show(at("onion/before"), Style::Count),
            n.show(at("onion/newly_exposed"), Style::Count)
        );
        if arm.number.is_some() && onion.newly_exposed_by_chance.is_some() {
            let _ = write!(
                mostly,
                ", where chance alone brings {}; beyond it: {}",
                n.show(at("onion/newly_exposed_by_chance"), Style::Count),
                n.estimate(at("onion/beyond_chance"), Style::Count)
            );
        }
    }
    mostly.push('.');
    fact("Mostly found", mostly);
    fact(
        "Direct inference",
        format!(
            "Of the most influential <span data-fixed>1 %</span>, members are named with p &lt; <span data-fixed>.01</span> with precision {} and recall {}. {} {units} have an influence as large as these have without a defence.",
            n.estimate(at("direct/precision"), Style::Rate),
            n.estimate(at("direct/recall"), Style::Rate),
            n.show(at("direct/selected"), Style::Count)
        ),
    );
    list.push_str("</dl>");
    Html(list)
}

fn attacks(arm: &Arm<'_>, n: Numbers<'_>) -> Html {
    let is_defence = arm.figures.verdict.is_some();
    let rows: Vec<Vec<Html>> = (arm.figures.attacks.iter().enumerate())
        .map(|(index, attack)| {
            let place = format!("{}/attacks/{index}", arm.place);
            let of = |name: &str, style: Style| n.estimate(format!("{place}/{name}"), style);
            let mut row = vec![
                n.quote(format!("{place}/name")),
                Html(if attack.adaptive { "yes" } else { "no" }.to_owned()),
                of("exposed_found", Style::PercentFine),
                of("at_ten_percent", Style::PercentFine),
                of("at_one_percent", Style::PercentFine),
            ];
            if is_defence {
                row.push(of("at_one_percent_change", Style::PointsFine));
            }
            row.push(of("at_one_in_thousand", Style::PercentFine));
            row.push(of("auc", Style::Rate));
            if is_defence {
                row.push(of("auc_change", Style::PointsFine));
            }
            row.push(of("advantage", Style::PercentFine));
            row
        })
        .collect();
    let mut header = vec![
        "attack",
        "knows of it",
        "most exposed found",
        "TPR at <span data-fixed>10 %</span> FPR",
        "at <span data-fixed>1 %</span>",
    ];
    if is_defence {
        header.push("its change");
    }
    header.extend(["at <span data-fixed>0.1 %</span>", "AUC"]);
    if is_defence {
        header.push("its change, hundredths");
    }
    header.push("advantage");
    arms_table("Every attack, on all members", &header, &rows)
}

fn utility(arm: &Arm<'_>, n: Numbers<'_>) -> Html {
    let utility = &arm.figures.utility;
    let is_defence = arm.figures.verdict.is_some();
    let part = |name: &str, groups: &[GroupUtility]| -> Vec<Vec<Html>> {
        (0..groups.len().min(MOST_GROUPS))
            .map(|index| {
                let place = format!("{}/utility/{name}/{index}", arm.place);
                let value = n.quote(format!("{place}/value"));
                let mut row = vec![
                    if groups[index].column.is_empty() {
                        Html(format!("class {value}"))
                    } else {
                        Html(format!("{}: {value}", n.quote(format!("{place}/column"))))
                    },
                    n.show(format!("{place}/records"), Style::Count),
                    n.show(format!("{place}/accuracy"), Style::PercentFine),
                ];
                if is_defence {
                    row.push(n.estimate(format!("{place}/change"), Style::PointsFine));
                }
                row
            })
            .collect()
    };
    let mut rows = part("classes", &utility.classes);
    rows.extend(part("groups", &utility.groups));
    if rows.is_empty() {
        return Html::default();
    }
    let mut header = vec!["of", "records", "accuracy"];
    if is_defence {
        header.push("change");
    }
    let mut html = arms_table("Accuracy in parts of the records", &header, &rows).to_string();
    if utility.classes.len().max(utility.groups.len()) > MOST_GROUPS {
        let _ = write!(
            html,
            "<p class=\"muted\">The first <span data-fixed>{MOST_GROUPS}</span> are shown; report.json has all.</p>"
        );
    }
    Html(html)
}

/// The records that were to be protected, one by one.
fn protected(s: &DefenceSection, redacted: bool, n: Numbers<'_>) -> Option<Html> {
    if redacted || s.units.is_empty() {
        return None;
    }
    let has_suspects = s.units.iter().any(|unit| unit.suspected_class.is_some());
    let rows: Vec<Vec<Html>> = (s.units.iter().enumerate())
        .map(|(index, unit)| {
            let place = format!("/defence/units/{index}");
            let show = |name: &str| n.show(format!("{place}/{name}"), Style::Count);
            let mut row = vec![
                Html(format!(
                    "<a href=\"#{}\">{}</a>",
                    anchor(&unit.id),
                    n.quote(format!("{place}/id"))
                )),
                n.quote(format!("{place}/class")),
                show("in_targets"),
                show("found_before"),
                show("found_after"),
            ];
            if has_suspects {
                row.push(if unit.suspected_class.is_some() {
                    n.quote(format!("{place}/suspected_class"))
                } else {
                    Html::default()
                });
            }
            row
        })
        .collect();
    let mut header = vec!["", "class", "models trained on it", "found before", "after"];
    if has_suspects {
        header.push("suspected class");
    }
    let (first, rest) = rows.split_at(rows.len().min(FIRST_UNITS));
    let mut html = table("The most exposed first", &header, first).to_string();
    if !rest.is_empty() {
        let _ = write!(
            html,
            "<details class=\"numbers\"><summary>More of them</summary>{}</details>",
            table("The next", &header, rest)
        );
    }
    Some(Html(html))
}

fn skipped(s: &DefenceSection, n: Numbers<'_>) -> Option<Html> {
    if s.skipped.is_empty() {
        return None;
    }
    let mut list = String::from("<ul class=\"files\">");
    for index in 0..s.skipped.len() {
        let place = format!("/defence/skipped/{index}");
        let _ = write!(
            list,
            "<li><code>{}</code>: {}</li>",
            n.quote(format!("{place}/name")),
            n.quote(format!("{place}/reason"))
        );
    }
    list.push_str("</ul>");
    Some(Html(list))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_less_and_costs_less_beats() {
        let own = (-1.0, 0.4);
        assert!(beaten(own, (0.0, 0.3)) && beaten(own, (-1.0, 0.3)) && beaten(own, (0.0, 0.4)));
        assert!(!beaten(own, own), "not by itself");
        assert!(!beaten(own, (0.0, 0.5)) && !beaten(own, (-2.0, 0.3)));
    }

    #[test]
    fn an_axis_holds_all_with_some_room() {
        let (low, high) = ends([1.0, 3.0, f64::NAN].into_iter()).unwrap();
        assert!((low - 0.88).abs() < 1e-12 && (high - 3.12).abs() < 1e-12);
        assert!(ends(std::iter::empty()).is_none());
        let (low, high) = ends(std::iter::once(2.0)).unwrap();
        assert!(low < 2.0 && high > 2.0, "no axis without a length");
    }
}
