//! The result in words, for a terminal. Everything is understandable without colour.

use std::fmt::Write;

use giveaway_nn::{Network, Padding, Pool};

use super::indirect::DIRECT;
use super::printable::printable;
use super::shown::{digits, percent, percent_interval, rate, significant, small};
use super::{Audit, Exposed, Spread};
use crate::attack::direct::Null;
use crate::evaluate::{Estimate, Evaluation, LEVELS, LOW_RATES};
use crate::membership::Design;
use crate::select::{Amount, Rule};
use crate::validity::Status;

/// The network in words.
#[must_use]
pub fn network(network: &Network) -> String {
    let Network {
        inputs,
        hidden,
        classes,
        ..
    } = network;
    let widths = hidden.iter().chain([classes]).map(ToString::to_string);
    if let Some(image) = &network.image {
        let mut layers = vec![format!(
            "{}×{}×{}",
            image.height, image.width, image.channels
        )];
        for convolution in &image.convolutions {
            let (size, channels) = (convolution.size, convolution.channels);
            let padded = match convolution.padding {
                Padding::Valid => "",
                Padding::Same => " padded",
            };
            layers.push(format!("{size}×{size}×{channels}{padded}"));
            layers.extend(convolution.pool.map(|pool| {
                match pool {
                    Pool::Max => "max pool",
                    Pool::Average => "average pool",
                }
                .to_owned()
            }));
        }
        layers.extend(widths);
        let skips = image.skips.len() + network.skips.len();
        return format!(
            "convolutional network {}{}",
            layers.join(", "),
            residual(skips)
        );
    }
    if hidden.is_empty() {
        return format!("softmax regression, {inputs} features, {classes} classes");
    }
    format!(
        "multilayer perceptron {inputs}-{}{}",
        widths.collect::<Vec<_>>().join("-"),
        residual(network.skips.len())
    )
}

fn residual(skips: usize) -> String {
    match skips {
        0 => String::new(),
        1 => ", 1 residual addition".to_owned(),
        n => format!(", {n} residual additions"),
    }
}

/// The headline: which claim it makes, by which selection, at which false discovery rate,
/// and what share of accusations is expected to be wrong.
#[must_use]
pub fn headline(audit: &Audit) -> String {
    let verdict = &audit.verdict;
    let test = &audit.test;
    let units = &audit.data.unit_name;
    if test.selected == test.untestable {
        return format!(
            "Nobody was tested: of {} {units} selected by {} none could be (see the notes). This says nothing about leakage.",
            test.selected,
            test.selection.name()
        );
    }
    let selection = match test.selection {
        Rule::All => format!("all {} {units} tested", test.selected),
        rule => format!("the {} {units} selected by {}", test.selected, rule.name()),
    };
    let mut text = format!(
        "This model gives away {} of {selection}, at a false discovery rate of {}.",
        verdict.given_away,
        percent(test.fdr),
    );
    let accusations = audit
        .headline_leave_one_out()
        .and_then(|e| e.rates(verdict.decision))
        .map_or(0, |rates| rates.accusations);
    if verdict.expected_wrong.value.is_some() {
        let _ = write!(
            text,
            " Of such accusations {} are expected to be wrong (95\u{a0}% interval; measured on {accusations} accusations among the {} reference models, where {} of the tested are members).",
            percent_interval(verdict.expected_wrong),
            audit.reference.models,
            members_share(audit),
        );
    } else {
        text.push_str(
            " In no reference model was anybody accused, so the share of wrong accusations could not be measured.",
        );
    }
    if audit.exposed.iter().any(|e| e.recurrence.is_some()) {
        let _ = write!(
            text,
            " This recipe gives away {}: they are found in at least half of the testing reference models that were trained on them.",
            verdict.given_away_by_recipe
        );
    }
    if !verdict.valid {
        text.insert_str(
            0,
            "A CHECK OF THE SET-UP FAILED, so these figures cannot be taken at face value (see the checks). ",
        );
    }
    text
}

/// Share of members among those tested on the reference models.
fn members_share(audit: &Audit) -> String {
    audit
        .headline_leave_one_out()
        .map_or("n/a".to_owned(), |e| {
            percent(e.members as f64 / (e.members + e.non_members) as f64)
        })
}

/// The whole result.
#[must_use]
pub fn summary(audit: &Audit) -> String {
    let mut out = String::new();
    about(&mut out, audit);
    let _ = writeln!(out, "\nVERDICT");
    for line in wrap(&audit.verdict.headline, 96) {
        let _ = writeln!(out, "  {line}");
    }
    verdict_details(&mut out, audit);
    exposed_table(&mut out, audit);
    evaluation_tables(&mut out, audit);
    attacks(&mut out, audit);
    indirect(&mut out, audit);
    checks(&mut out, audit);
    if !audit.notes.is_empty() {
        let _ = writeln!(out, "\nNOTES");
        for note in &audit.notes {
            bullet(&mut out, "-", &printable(note));
        }
    }
    out
}

fn about(out: &mut String, audit: &Audit) {
    let data = &audit.data;
    let _ = writeln!(out, "AUDITED");
    let mut parts = vec![format!("{} records", data.records)];
    if data.records_in_file != data.records {
        parts[0] = format!("{} of {} records", data.records, data.records_in_file);
    }
    if data.unit_name != "records" {
        parts.push(format!("{} {}", data.units, data.unit_name));
    }
    parts.push(format!("{} features", data.features));
    parts.push(format!("{} classes", data.classes.len()));
    if data.exact_duplicates > 0 {
        parts.push(format!(
            "{} exact duplicates{}",
            data.exact_duplicates,
            if data.units < data.records && data.unit_name == "records" {
                " (judged together)"
            } else {
                ""
            }
        ));
    }
    if data.validation_units > 0 {
        parts.push(format!(
            "{} set aside for early stopping",
            data.validation_units
        ));
    }
    row(out, "data", &format!("{}: {}", data.name, parts.join(", ")));
    about_target(out, audit);
    about_references(out, audit);
}

fn about_target(out: &mut String, audit: &Audit) {
    let data = &audit.data;
    let target = &audit.target;
    let trained = match (target.trained_here, target.training_units) {
        (true, Some(n)) => format!(
            "{}, trained here on {n} {}",
            audit.reference.network, data.unit_name
        ),
        (_, members) => format!(
            "{}, {}",
            if target.asked.is_some() {
                "asked as a black box"
            } else {
                "given by its outputs"
            },
            members.map_or_else(
                || "training records unknown".to_owned(),
                |n| format!("trained on {n} {}", data.unit_name)
            )
        ),
    };
    row(out, "target", &trained);
    if let Some(asked) = &target.asked {
        row(
            out,
            "asked",
            &format!(
                "{}: {} queries in {} request{}, {} answered",
                asked.name,
                asked.queries,
                asked.requests,
                if asked.requests == 1 { "" } else { "s" },
                asked.answered
            ),
        );
    }
    if !target.trained_here {
        for limit in target.channel.limits() {
            row(out, "limited", &limit);
        }
    }
}

fn about_references(out: &mut String, audit: &Audit) {
    let target = &audit.target;
    let reference = &audit.reference;
    let design = match reference.design {
        Design::Halves => "random halves of the pool in complementary pairs".to_owned(),
        Design::Share => format!(
            "{} units each, without replacement",
            reference.training_units
        ),
        Design::Subsample => format!(
            "{} reference units each, without replacement",
            reference.training_units
        ),
        Design::Bootstrap => format!(
            "{} reference units each, with replacement",
            reference.training_units
        ),
    };
    row(
        out,
        "references",
        &format!(
            "{} models of the same kind ({}), {design}",
            reference.models, reference.network
        ),
    );
    let accuracy = |value: Option<f64>| value.map_or("n/a".to_owned(), |v| format!("{v:.3}"));
    let spread = |s: Spread| format!("{:.3} ({:.3}–{:.3})", s.mean, s.smallest, s.largest);
    row(
        out,
        "accuracy",
        &format!(
            "target {} train, {} test; references {} train, {} test",
            accuracy(target.accuracy.train),
            accuracy(target.accuracy.test),
            spread(reference.train_accuracy),
            spread(reference.test_accuracy)
        ),
    );
    let test = &audit.test;
    let amount = match (test.selection, test.amount) {
        (Rule::All, _) => String::new(),
        (_, Amount::Share(share)) => format!(" (top {})", percent(share)),
        (_, Amount::Count(count)) => format!(" (top {count})"),
        (_, Amount::Alpha(alpha)) => format!(" (α = {alpha})"),
    };
    row(
        out,
        "test",
        &format!(
            "selection by {}{amount} on {} reference models, null {} on the other {} (k_out {}), {} tested",
            test.selection.name(),
            test.selecting_models,
            test.null.name(),
            test.testing_models,
            if test.models_out[0] == test.models_out[1] {
                test.models_out[0].to_string()
            } else {
                format!("{}–{}", test.models_out[0], test.models_out[1])
            },
            test.selected - test.untestable,
        ),
    );
}

fn verdict_details(out: &mut String, audit: &Audit) {
    let verdict = &audit.verdict;
    let test = &audit.test;
    if let Some(wrong) = verdict.wrong.filter(|_| verdict.given_away > 0) {
        row(
            out,
            "checked",
            &format!(
                "of the {} accused, {} are members and {wrong} are not (the members of this target are known)",
                verdict.given_away,
                verdict.given_away - wrong
            ),
        );
    }
    if let Some(rates) = audit
        .headline_leave_one_out()
        .and_then(|e| e.rates(verdict.decision))
        .filter(|rates| rates.precision.value.is_some())
    {
        let at: Vec<String> = rates
            .predictive_value
            .iter()
            .map(|v| {
                format!(
                    "{} where {} are",
                    percent_interval(v.value),
                    percent(v.prior)
                )
            })
            .collect();
        row(
            out,
            "rarer",
            &format!(
                "share of such accusations that is right, by how many of the tested are members: {}",
                at.join("; ")
            ),
        );
    }
    row(
        out,
        "guarantee",
        &format!(
            "{} under any dependence between p-values (Benjamini–Yekutieli){}",
            verdict.given_away_any_dependence,
            if test.null == Null::T {
                ", if the null t holds"
            } else {
                ""
            }
        ),
    );
    floor(out, audit);
    if test.untestable + test.unranked > 0 {
        row(
            out,
            "not judged",
            &format!(
                "{} selected have too few OUT models to be tested, {} could not be ranked: more --models would do",
                test.untestable, test.unranked
            ),
        );
    }
}

/// What the rank-based nulls cannot do with so many OUT models.
fn floor(out: &mut String, audit: &Audit) {
    let test = &audit.test;
    let tested = test.selected - test.untestable;
    if tested == 0 {
        return;
    }
    let possible = if test.minimum_discoveries > tested {
        "no discovery is possible with them".to_owned()
    } else if test.minimum_discoveries > 1 {
        format!(
            "only {} discoveries or more are possible with them",
            test.minimum_discoveries
        )
    } else {
        "a single discovery is possible with them".to_owned()
    };
    let needed: Vec<String> = test
        .models_out_needed
        .iter()
        .filter(|n| n.discoveries < test.minimum_discoveries)
        .map(|n| {
            format!(
                "{} for {} (--models {})",
                n.models_out, n.discoveries, n.models
            )
        })
        .collect();
    let needed = if needed.is_empty() {
        String::new()
    } else {
        format!(
            "; fewer discoveries need more OUT models, {}",
            needed.join(", ")
        )
    };
    row(
        out,
        "floor",
        &format!(
            "{} cannot give p below {:.4}, so {possible}{needed}{}",
            if test.null.has_floor() {
                "this null"
            } else {
                "the nulls ecdf and pchip"
            },
            test.floor,
            if test.null == Null::T {
                "; the null t has no floor, but trusts the normal tail beyond it"
            } else {
                ""
            },
        ),
    );
}

fn exposed_table(out: &mut String, audit: &Audit) {
    let exposed = &audit.exposed;
    if exposed.is_empty() {
        return;
    }
    let _ = writeln!(out, "\nMOST EXPOSED");
    let grouped = exposed.iter().any(|e| e.group.is_some());
    let mut header = vec![
        if grouped { "group" } else { "id" },
        "class",
        "loss",
        "OUT loss",
        "IN loss",
    ];
    let with_neighbours = exposed.iter().any(|e| e.neighbours.is_some());
    if with_neighbours {
        header.push("neighbours");
    }
    header.extend(["p", "q", "given away"]);
    let with_recurrence = exposed.iter().any(|e| e.recurrence.is_some());
    if with_recurrence {
        header.extend(["found IN", "accused OUT"]);
    }
    let with_member = exposed.iter().any(|e| e.member.is_some());
    if with_member {
        header.push("member");
    }
    let rows: Vec<Vec<String>> = exposed
        .iter()
        .map(|e| exposed_row(e, with_neighbours, with_recurrence, with_member))
        .collect();
    table(out, &header, &rows, 2);
    if with_neighbours && let Some(alpha) = audit.test.alpha {
        let _ = writeln!(
            out,
            "  neighbours: reference {} nearer than α = {alpha:.3e} in cosine distance of the reference logits",
            audit.data.unit_name
        );
    }
}

fn loss(loss: Option<f64>) -> String {
    loss.map_or("n/a".to_owned(), |l| format!("{l:.3}"))
}

fn exposed_row(e: &Exposed, neighbours: bool, recurrence: bool, member: bool) -> Vec<String> {
    let mut cells = vec![
        clip(e.group.as_ref().unwrap_or(&e.id), 24),
        clip(&e.class, 16),
        loss(e.target_loss),
        loss(e.out_loss),
        loss(e.in_loss),
    ];
    if neighbours {
        cells.push(e.neighbours.map_or("n/a".to_owned(), |n| n.to_string()));
    }
    cells.push(small(e.p));
    cells.push(small(e.q));
    cells.push(if e.given_away { "yes" } else { "no" }.to_owned());
    if recurrence {
        match e.recurrence {
            Some(r) => {
                cells.push(format!("{}/{}", r.found, r.in_targets));
                cells.push(format!("{}/{}", r.wrongly_accused, r.out_targets));
            }
            None => cells.extend(["n/a".to_owned(), "n/a".to_owned()]),
        }
    }
    if member {
        cells.push(
            match e.member {
                Some(true) => "yes",
                Some(false) => "no",
                None => "n/a",
            }
            .to_owned(),
        );
    }
    cells
}

fn evaluation_tables(out: &mut String, audit: &Audit) {
    let null = audit.test.null;
    let of = |evaluations: &[Evaluation]| -> Vec<Vec<String>> {
        evaluations
            .iter()
            .filter(|e| e.null == null)
            .flat_map(|e| {
                // Of the selections that do not make the verdicts one row is enough here.
                let rows = if e.selection == audit.test.selection {
                    e.decisions.len()
                } else {
                    1
                };
                e.decisions.iter().take(rows).map(|d| {
                    vec![
                        e.selection.name().to_owned(),
                        format!("{:.0}", e.tested),
                        d.decision.to_string(),
                        d.accusations.to_string(),
                        rate(d.precision),
                        rate(d.true_positive_rate),
                        rate(d.false_positive_rate),
                    ]
                })
            })
            .collect()
    };
    let header = [
        "selection",
        "tested",
        "called member if",
        "accused",
        "precision",
        "recall",
        "FPR",
    ];
    if !audit.on_target.is_empty() {
        let _ = writeln!(
            out,
            "\nON THIS MODEL, against its known members (null {})",
            null.name()
        );
        table(out, &header, &of(&audit.on_target), 1);
        ranking_table(out, &audit.on_target, null);
    }
    if !audit.leave_one_out.is_empty() {
        let _ = writeln!(
            out,
            "\nON THIS RECIPE, every reference model in turn as the target (null {})",
            null.name()
        );
        table(out, &header, &of(&audit.leave_one_out), 1);
        ranking_table(out, &audit.leave_one_out, null);
    }
}

fn ranking_table(out: &mut String, evaluations: &[Evaluation], null: Null) {
    let shown: Vec<&Evaluation> = evaluations.iter().filter(|e| e.null == null).collect();
    // A rate that no selection has enough non-members for needs no column.
    let available: Vec<usize> = (0..LOW_RATES.len())
        .filter(|&index| {
            shown
                .iter()
                .any(|e| e.ranking.at_rates[index].true_positive_rate.value.is_some())
        })
        .collect();
    let rows: Vec<Vec<String>> = shown
        .iter()
        .map(|e| {
            let mut cells = vec![e.selection.name().to_owned(), rate(e.ranking.auc)];
            cells.extend(
                available
                    .iter()
                    .map(|&index| rate(e.ranking.at_rates[index].true_positive_rate)),
            );
            cells
        })
        .collect();
    let mut header = vec!["selection".to_owned(), "AUC".to_owned()];
    header.extend(
        available
            .iter()
            .map(|&index| format!("TPR at FPR {}", LOW_RATES[index])),
    );
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let _ = writeln!(out);
    table(out, &header, &rows, 1);
}

/// Every attack's ranking, on this model where its members are known, else over reference
/// models.
fn attacks(out: &mut String, audit: &Audit) {
    let Some(section) = &audit.attacks else {
        return;
    };
    let _ = writeln!(
        out,
        "\nATTACKS COMPARED, on all {} (intervals over targets and {})",
        audit.data.unit_name, audit.data.unit_name
    );
    let rows: Vec<Vec<String>> = section
        .attacks
        .iter()
        .map(|attack| {
            let recipe = attack.leave_one_out.as_ref().map(|q| &q.ranking);
            let of_recipe =
                |estimate: Option<Estimate>| estimate.map_or_else(|| "-".to_owned(), rate);
            let model = attack.on_target.as_ref().map(|q| &q.ranking);
            let carried = attack.carried.get(1);
            let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), digits);
            vec![
                attack.method.name().to_owned(),
                number(model.and_then(|r| r.auc.value)),
                number(model.and_then(|r| r.at_rates[1].true_positive_rate.value)),
                carried.filter(|c| c.threshold.is_some()).map_or_else(
                    || "-".to_owned(),
                    |c| {
                        format!(
                            "{} at {}",
                            number(c.true_positive_rate.value),
                            number(c.false_positive_rate.value)
                        )
                    },
                ),
                of_recipe(recipe.map(|r| r.auc)),
                of_recipe(recipe.map(|r| r.at_rates[1].true_positive_rate)),
                number(attack.stability.and_then(|s| s.jaccard)),
            ]
        })
        .collect();
    let header = [
        "attack",
        "AUC here",
        "TPR@1% here",
        "carried",
        "AUC of the recipe",
        "TPR@1% of the recipe",
        "stability",
    ];
    table(out, &header, &rows, 1);
    for line in wrap(
        &format!(
            "here: this model; recipe: {} reference models in its place. carried: TPR and FPR here with the threshold that has FPR 1 % there. stability: how far disjoint sets of reference models put the same 1 % first (Jaccard).",
            section.played_targets
        ),
        94,
    ) {
        let _ = writeln!(out, "  {line}");
    }
    if let Some(tail) = section.tail.get(1) {
        let text = format!(
            "tail: {} of the non-members have a loss that only {} of the members exceed (a model that gives nothing away has as many).",
            percent_interval(tail.share),
            percent(tail.epsilon),
        );
        for line in wrap(&text, 94) {
            let _ = writeln!(out, "  {line}");
        }
    }
}

/// Who is given away by questions that do not contain them.
fn indirect(out: &mut String, audit: &Audit) {
    let Some(section) = &audit.indirect else {
        return;
    };
    let units = &audit.data.unit_name;
    let _ = writeln!(
        out,
        "\nINDIRECT INFERENCE: the model is asked other questions, and never about the {units} themselves"
    );
    let mut tested = format!(
        "{} of {} {units}, {} queries each at most",
        section.tested, section.settings.records, section.settings.queries
    );
    if section.without_queries > 0 {
        let _ = write!(
            tested,
            "; for {} no query was found that tells of them",
            section.without_queries
        );
    }
    row(out, "tested", &tested);
    if section.tested == 0 {
        return;
    }
    row(
        out,
        "given away",
        &format!(
            "{} by {} at a false discovery rate of {} among these {}; asked directly, {} of the same (and among these, too): {} by both",
            section.given_away,
            printable(&section.combination),
            percent(audit.test.fdr),
            section.tested,
            section.given_away_both + section.only_direct,
            section.given_away_both
        ),
    );
    let largest = section.budgets().last().copied().unwrap_or(0);
    for (name, test, queries) in [
        (DIRECT, DIRECT, 0),
        ("indirect", section.combination.as_str(), largest),
    ] {
        let Some(rates) = section.rates_of(test, queries).map(|at| &section.rates[at]) else {
            continue;
        };
        let Some(at) = rates.at_level(LEVELS[0]) else {
            continue;
        };
        let with = if queries > 0 {
            format!(" with up to {queries} queries")
        } else {
            String::new()
        };
        row(
            out,
            name,
            &format!(
                "precision {}, recall {} at p < {}{with}, over {} reference models in the target's place",
                rate(at.precision),
                rate(at.recall),
                at.level,
                rates.targets
            ),
        );
    }
    if let Some(share) = section.too_small_share() {
        row(
            out,
            "TOO SMALL",
            &format!(
                "{} of the non-members have p at most .01, where 1 % would be right: p-values of these queries are too small",
                percent_interval(share)
            ),
        );
    }
    if let Some(smallest) = section.smallest_distance {
        row(
            out,
            "distance",
            &format!(
                "no query is nearer to its record than {}; floor: the distance of the record's nearest other one, or the usual such distance ({}) where that is larger, times {}",
                significant(smallest),
                significant(section.settings.usual_distance),
                significant(section.settings.floor_multiple)
            ),
        );
    }
}

fn checks(out: &mut String, audit: &Audit) {
    let _ = writeln!(out, "\nCHECKS OF THE SET-UP");
    for check in &audit.checks {
        let status = match check.status {
            Status::Passed => "passed",
            Status::Failed => "FAILED",
            Status::Unavailable => "not made",
        };
        bullet(out, status, &format!("{}: {}", check.name, check.finding));
    }
}

pub(super) fn row(out: &mut String, name: &str, text: &str) {
    for (index, line) in wrap(text, 84).into_iter().enumerate() {
        let name = if index == 0 { name } else { "" };
        let _ = writeln!(out, "  {name:<11} {line}");
    }
}

fn bullet(out: &mut String, mark: &str, text: &str) {
    for (index, line) in wrap(text, 84).into_iter().enumerate() {
        let mark = if index == 0 { mark } else { "" };
        let _ = writeln!(out, "  {mark:<8} {line}");
    }
}

/// A table with two spaces between columns; the first `left` columns flush left.
pub(super) fn table(out: &mut String, header: &[&str], rows: &[Vec<String>], left: usize) {
    let width: Vec<usize> = (0..header.len())
        .map(|column| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .chain([header[column].chars().count()])
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::from(" ");
        for (column, cell) in cells.enumerate() {
            let space = " ".repeat(width[column] - cell.chars().count());
            if column < left {
                let _ = write!(text, " {cell}{space}");
            } else {
                let _ = write!(text, " {space}{cell}");
            }
            text.push(' ');
        }
        let _ = writeln!(out, "{}", text.trim_end());
    };
    line(&mut header.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
}

/// A text of the data, cut to `most` characters, without anything that acts on a terminal.
pub(super) fn clip(text: &str, most: usize) -> String {
    let text = printable(text);
    if text.chars().count() <= most {
        text
    } else {
        let mut clipped: String = text.chars().take(most - 1).collect();
        clipped.push('…');
        clipped
    }
}

pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    // not split_whitespace: a space that does not break is to stay
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut() {
        assert_eq!(clip("abcdef", 4), "abc…");
    }

    #[test]
    fn tables_line_up() {
        let mut out = String::new();
        table(
            &mut out,
            &["name", "n"],
            &[
                vec!["é".into(), "10".into()],
                vec!["long name".into(), "1".into()],
            ],
            1,
        );
        assert_eq!(out, "  name        n\n  é          10\n  long name   1\n");
    }
}
