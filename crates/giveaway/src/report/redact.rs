//! A report that may leave the building: without the data nobody can tell who is in it.
//!
//! Left out are feature values, membership, what tells the row of a record to somebody who holds
//! it and asks the model (losses, scores, distributions on this model), and most of what tells it
//! to somebody who makes the audit again from the same data (counts over reference models, and
//! the seed, which gives the membership; p- and q-values stay, at two digits). Also whether the accusations on this model were right, since where all are,
//! that tells of each; and notes, which quote data. Identifiers are replaced by a keyed hash
//! (BLAKE3), so that whoever holds the key can find the records again and nobody else can try
//! out names. What is said of the model and its recipe as a whole stays.

use std::fmt::Write as _;

use super::Audit;
use super::defence::{DefenceFigures, DefenceSection, GroupUtility};
use super::explanation::{Explanation, GroupExposure};
use super::figures::LossModel;
use super::indirect::IndirectSection;
use crate::error::{Error, Result};
use crate::evaluate::Estimate;
use crate::validity::ACROSS_THE_SPLIT;

/// A key for identifiers.
#[derive(Clone)]
pub struct Redaction {
    key: [u8; 32],
}

impl std::fmt::Debug for Redaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redaction")
    }
}

impl Redaction {
    /// A redaction with a fresh key.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn generate() -> Result<Self> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|e| {
            Error::unexpected(format!("the system gives no random numbers: {e}"))
                .hint("give a key of your own with --key")
        })?;
        Ok(Self { key })
    }

    /// A redaction with the key that a file holds: 64 hexadecimal digits.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn from_text(text: &str) -> Result<Self> {
        blake3::Hash::from_hex(text.trim())
            .map(|key| Self {
                key: *key.as_bytes(),
            })
            .map_err(|_| {
                Error::input("not a key: 64 hexadecimal digits are expected").hint(
                    "make one with `openssl rand -hex 32`, or leave --key out: a run has its own",
                )
            })
    }

    /// The key as it stands in a file.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::with_capacity(65);
        for byte in self.key {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\n');
        text
    }

    /// What stands for an identifier: 16 hexadecimal digits.
    #[must_use]
    pub fn id(&self, id: &str) -> String {
        let hash = blake3::keyed_hash(&self.key, id.as_bytes());
        hash.to_hex().as_str()[..16].to_owned()
    }

    /// The audit without what could tell who is in it.
    #[must_use]
    pub fn apply(&self, audit: &Audit) -> Audit {
        let mut audit = audit.clone();
        audit.redacted = true;
        audit.seed = None;
        for exposed in &mut audit.exposed {
            exposed.id = self.id(&exposed.id);
            exposed.group = exposed.group.as_deref().map(|group| self.id(group));
            exposed.member = None;
            exposed.target_loss = None;
            exposed.out_loss = None;
            exposed.in_loss = None;
            exposed.neighbours = None;
            exposed.recurrence = None;
            exposed.p = coarse(exposed.p);
            exposed.q = coarse(exposed.q);
        }
        // By what is shown only, or the order would tell more digits of p.
        (audit.exposed).sort_by(|a, b| a.p.total_cmp(&b.p).then_with(|| a.id.cmp(&b.id)));
        audit.verdict.wrong = None;
        audit.on_target.clear();
        for curve in &mut audit.figures.cutoffs {
            curve.on_target.clear();
        }
        audit
            .figures
            .losses
            .retain(|histogram| histogram.model == LossModel::References);
        if let Some(section) = &mut audit.attacks {
            section.tail.clear();
            for attack in &mut section.attacks {
                attack.on_target = None;
                attack.carried.clear();
            }
        }
        if let Some(section) = &mut audit.indirect {
            self.indirect(section);
        }
        if let Some(explanation) = &mut audit.explanation {
            self::explanation(explanation);
        }
        if let Some(section) = &mut audit.defence {
            defence(section);
        }
        for check in audit
            .checks
            .iter_mut()
            .filter(|check| check.name == ACROSS_THE_SPLIT)
        {
            "left out: it may quote the data".clone_into(&mut check.finding);
        }
        // An address or a command line may name people, machines and folders.
        if let Some(asked) = &mut audit.target.asked {
            asked.name = kind_of_target(&asked.name).to_owned();
        }
        if let Some((kind, _)) = audit.reference.network.split_once(COMMAND) {
            audit.reference.network = format!("{kind}of a command");
        }
        audit.notes.clear();
        audit
    }

    /// Of indirect inference only verdicts stay. Distances are those of the data: who holds a
    /// record and its neighbours can compute them, floors included. Queries hold most of the
    /// record's values, and say what to ask the model. p-values of fewer queries or of other
    /// combinations would be further digits by which to match rows.
    fn indirect(&self, section: &mut IndirectSection) {
        section.smallest_distance = None;
        for filter in &mut section.filters {
            // A radius may be the distance of a single query, and that the floor of its record.
            filter.radius = coarse(filter.radius);
        }
        for record in &mut section.records {
            record.unit = None;
            record.id = self.id(&record.id);
            record.member = None;
            record.queries = None;
            record.floor = None;
            record.smallest_distance = None;
            record.nearest_record = None;
            record.models_out = None;
            record.p = coarse(record.p);
            record.q = coarse(record.q);
            record.p_by_test.clear();
            record.best_query_p = None;
            record.direct_p = record.direct_p.map(coarse);
            record.direct_q = record.direct_q.map(coarse);
            record.budget.clear();
            record.recurrence = None;
            record.shown.clear();
        }
        (section.records).sort_by(|a, b| a.p.total_cmp(&b.p).then_with(|| a.id.cmp(&b.id)));
    }
}

/// Units that a figure is of at least.
const FEWEST: usize = 5;

/// Leakiest units that figures on finding them are of at least.
const FEWEST_LEAKY: usize = 20;
/// What stands before a command in the words for a model.
const COMMAND: &str = "of the command `";

/// What a target is, without where.
fn kind_of_target(name: &str) -> &'static str {
    if name.starts_with("the command") {
        "a command"
    } else if name.contains("://") {
        "a service behind HTTP"
    } else {
        "a model in a file"
    }
}

/// Of why records are exposed, what holds for the model stays. Of single units nothing does:
/// who holds a record can often tell its reason ("its country is rare") and which of its columns
/// weigh, and who has the data its leak, rank and place on the map. Findings are sentences that
/// may quote values. What two definitions come to on this target tells whether all that are
/// named are members. Figures of fewer than five units, and of groups that are named whole, would
/// be figures of single units.
fn explanation(explanation: &mut Explanation) {
    explanation.exposed.clear();
    explanation.findings.clear();
    explanation.map = None;
    explanation.definitions = None;
    // The leak of a single unit.
    explanation.settings.leaky_threshold = None;
    // Who has the data can compute of every measure that they alone tell which records come
    // first: with the figures of a few leaky ones these are found.
    let few = explanation.settings.leaky < FEWEST_LEAKY;
    // How many have a reason can be computed; of how many it is the reason to be exposed not.
    explanation.reasons.clear();
    for predictor in &mut explanation.predictors {
        for estimate in [&mut predictor.auc, &mut predictor.precision] {
            if few {
                *estimate = Estimate::default();
            }
            coarsened(estimate);
        }
        coarsened(&mut predictor.spearman);
    }
    if few {
        explanation.screening.clear();
    }
    for reviewed in (explanation.screening.iter_mut()).flat_map(|s| &mut s.reviewed) {
        coarsened(&mut reviewed.found);
    }
    let groups = (explanation.groups.iter_mut()).flat_map(|column| &mut column.values);
    for group in explanation.classes.iter_mut().chain(groups) {
        for estimate in [&mut group.leaky, &mut group.relative_risk] {
            if few {
                *estimate = Estimate::default();
            }
            coarsened(estimate);
        }
    }
    // A quarter begins and ends with the value of a record.
    let cut = |group: &GroupExposure| group.name.starts_with(crate::explain::spread::UP_TO);
    explanation
        .groups
        .retain(|column| !column.values.iter().any(cut));
    large_groups(&mut explanation.classes);
    for column in &mut explanation.groups {
        large_groups(&mut column.values);
        column.p = column.p.map(coarse);
    }
    explanation
        .groups
        .retain(|column| !column.values.is_empty());
    // Mean shares of few units would be theirs.
    (explanation.attribution).take_if(|summary| summary.exposed.min(summary.others) < FEWEST);
    if let Some(summary) = &mut explanation.attribution {
        summary.largest_residual = coarse(summary.largest_residual);
    }
}

/// Of defences stays what holds for the recipe: what each leaves of the most exposed together,
/// and its price. Which records these are does not, nor the files with their names, which the
/// reader has not got. Figures of fewer than five of them, in words or in numbers, and the
/// accuracy of fewer than five records, would be figures of single ones.
fn defence(section: &mut DefenceSection) {
    section.units.clear();
    section.deliverables.clear();
    let few = section.settings.exposed < FEWEST;
    let arms = std::iter::once(&mut section.undefended)
        .chain(&mut section.control)
        .chain(&mut section.defences);
    for arm in arms {
        defence_figures(arm, few);
    }
    if few {
        let advice = &mut section.recommendation;
        advice.reasons.clear();
        advice.found_before = Estimate::default();
        advice.found_after = Estimate::default();
    }
    // A column whose values are all gone is not said to have been asked for.
    let kept = &section.undefended.utility.groups;
    (section.settings.groups).retain(|name| kept.iter().any(|group| group.column == *name));
}

fn defence_figures(arm: &mut DefenceFigures, few: bool) {
    if let Some(worst) = &mut arm.exposed.worst {
        worst.id = None;
    }
    if few {
        arm.sentence.clear();
        arm.exposed.found = Estimate::default();
        arm.exposed.found_change = Estimate::default();
        arm.exposed.wrongly_accused = Estimate::default();
        arm.exposed.auc = Estimate::default();
        arm.exposed.worst = None;
        for attack in &mut arm.attacks {
            attack.exposed_found = Estimate::default();
        }
    }
    let utility = &mut arm.utility;
    // A quarter begins and ends with the value of a record.
    let quarters: Vec<String> = (utility.groups.iter())
        .filter(|group| group.value.starts_with(crate::explain::spread::UP_TO))
        .map(|group| group.column.clone())
        .collect();
    (utility.groups).retain(|group| !quarters.contains(&group.column));
    utility.classes = large_parts(std::mem::take(&mut utility.classes));
    utility.groups = large_parts(std::mem::take(&mut utility.groups));
}

/// Keeps the parts of each column that are of five records or more. What is left out of a column
/// is together of five records or more, too.
fn large_parts(parts: Vec<GroupUtility>) -> Vec<GroupUtility> {
    let mut stay: Vec<bool> = parts.iter().map(|part| part.records >= FEWEST).collect();
    let mut columns: Vec<&str> = parts.iter().map(|part| part.column.as_str()).collect();
    columns.dedup();
    for column in columns {
        let own: Vec<usize> = (0..parts.len())
            .filter(|&index| parts[index].column == column)
            .collect();
        loop {
            let left_out: usize = (own.iter())
                .filter(|&&index| !stay[index])
                .map(|&index| parts[index].records)
                .sum();
            let smallest = (own.iter().copied())
                .filter(|&index| stay[index])
                .min_by_key(|&index| parts[index].records);
            match smallest {
                Some(smallest) if (1..FEWEST).contains(&left_out) => stay[smallest] = false,
                _ => break,
            }
        }
    }
    (parts.into_iter().zip(stay))
        .filter_map(|(part, stays)| stays.then_some(part))
        .collect()
}

/// An estimate with two digits.
fn coarsened(estimate: &mut Estimate) {
    for value in [
        &mut estimate.value,
        &mut estimate.lower,
        &mut estimate.upper,
    ] {
        *value = value.map(coarse_signed);
    }
}

/// Keeps groups of which nobody can be told: of five units or more, of which not all are named.
/// What is left out is together of five units or more, too, or it could be told from the totals.
fn large_groups(groups: &mut Vec<GroupExposure>) {
    let can_stay = |group: &GroupExposure| {
        group.units >= FEWEST
            && group.given_away < group.units
            && group.leaky.value.is_none_or(|share| share < 1.0)
    };
    let mut left_out: usize = groups
        .iter()
        .filter(|g| !can_stay(g))
        .map(|g| g.units)
        .sum();
    groups.retain(can_stay);
    while (1..FEWEST).contains(&left_out) {
        let Some(smallest) = (0..groups.len()).min_by_key(|&index| groups[index].units) else {
            break;
        };
        left_out += groups.remove(smallest).units;
    }
    for group in groups {
        coarsened(&mut group.leak);
    }
}

/// Two digits of a number that may be negative.
fn coarse_signed(value: f64) -> f64 {
    coarse(value.abs()).copysign(value)
}

/// Two digits of a p-value: enough to judge. Whoever has all the data and repeats the audit can
/// still match many rows by them.
#[must_use]
pub fn coarse(value: f64) -> f64 {
    if value > 0.0 && value.is_finite() {
        // By way of its decimal form, which is the nearest one.
        format!("{value:.1e}").parse().unwrap_or(value)
    } else {
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_hang_on_the_key() {
        let one = Redaction::from_text(&"0f".repeat(32)).unwrap();
        let other = Redaction::generate().unwrap();
        assert_eq!(one.id("33034").len(), 16);
        assert_eq!(one.id("33034"), one.id("33034"));
        assert_ne!(one.id("33034"), one.id("33035"));
        assert_ne!(one.id("33034"), other.id("33034"));
        // A key survives its file.
        let again = Redaction::from_text(&other.to_text()).unwrap();
        assert_eq!(again.id("a"), other.id("a"));
        assert!(Redaction::from_text("secret").is_err());
    }

    #[test]
    fn an_explanation_tells_of_no_unit() {
        let full = crate::report::explanation_text::example();
        let mut redacted = full.clone();
        explanation(&mut redacted);
        // Figures for the model stay, with two digits.
        assert_eq!(redacted.predictors.len(), full.predictors.len());
        for (kept, own) in redacted.predictors.iter().zip(&full.predictors) {
            assert_eq!(kept.auc.value, own.auc.value.map(coarse_signed));
            assert_eq!(kept.spearman.value, own.spearman.value.map(coarse_signed));
        }
        assert_eq!(redacted.screening.len(), full.screening.len());
        let json = serde_json::to_string(&redacted).unwrap();
        for unit in &full.exposed {
            assert!(!json.contains(&format!("\"{}\"", unit.id)));
            assert!(unit.statement.is_empty() || !json.contains(&unit.statement));
            assert!(
                unit.leak
                    .is_none_or(|leak| !json.contains(&leak.to_string()))
            );
        }
        // What stood in statements and attributions only.
        for secret in [
            "9th of",
            "Never-married",
            "Holand-Netherlands",
            "Preschool",
            "0.687",
        ] {
            assert!(!json.contains(secret), "{secret}");
        }
        assert!(redacted.map.is_none() && redacted.definitions.is_none());
        assert!(redacted.reasons.is_empty());
        // The class of three is left out, and a second with it: with all units it would be told.
        assert_eq!(full.classes.len(), 3);
        let classes: Vec<&str> = redacted.classes.iter().map(|g| g.name.as_str()).collect();
        assert_eq!(classes, ["<=50K"]);
        let education = &redacted.groups[0].values;
        assert!(education.iter().all(|g| g.units >= 5 && g.name != "9th"));
        assert_eq!(education.len(), 3);
        assert_eq!(redacted.groups[1].values.len(), 2, "nobody is few there");
    }

    #[test]
    fn defences_tell_of_no_unit() {
        let full = crate::report::defence_text::example();
        let mut redacted = full.clone();
        defence(&mut redacted);
        assert!(!full.units.is_empty() && !full.deliverables.is_empty());
        assert!(redacted.units.is_empty() && redacted.deliverables.is_empty());
        let json = serde_json::to_string(&redacted).unwrap();
        for unit in &full.units {
            assert!(!json.contains(&format!("\"{}\"", unit.id)), "{}", unit.id);
        }
        // What holds for the recipe stays.
        assert_eq!(redacted.recommendation, full.recommendation);
        for (kept, own) in redacted.defences.iter().zip(&full.defences) {
            assert_eq!(kept.attacks, own.attacks);
            assert_eq!(kept.exposed.found, own.exposed.found);
            assert_eq!(kept.sentence, own.sentence);
            assert_eq!(kept.utility.accuracy_change, own.utility.accuracy_change);
            let (worst, own) = (
                kept.exposed.worst.as_ref().unwrap(),
                own.exposed.worst.as_ref().unwrap(),
            );
            assert!(worst.id.is_none() && own.id.is_some());
            assert_eq!(worst.found, own.found);
        }
    }

    /// Figures of fewer than five records that were to be protected are theirs.
    #[test]
    fn defences_of_a_few_say_nothing_of_them() {
        let mut few = crate::report::defence_text::example();
        few.settings.exposed = FEWEST - 1;
        defence(&mut few);
        let none = Estimate::default();
        assert_eq!(few.recommendation.found_before, none);
        assert_eq!(few.recommendation.found_after, none);
        assert_ne!(few.recommendation.accuracy_change, none);
        assert!(few.recommendation.reasons.is_empty());
        for arm in std::iter::once(&few.undefended)
            .chain(&few.control)
            .chain(&few.defences)
        {
            assert_eq!((arm.exposed.found, arm.exposed.auc), (none, none));
            assert!(arm.exposed.worst.is_none() && arm.sentence.is_empty());
            assert!(arm.attacks.iter().all(|a| a.exposed_found == none));
            assert!(arm.attacks.iter().any(|a| a.auc != none));
        }
    }

    #[test]
    fn accuracies_of_a_few_records_are_left_out() {
        let part = |column: &str, value: &str, records: usize| GroupUtility {
            column: column.to_owned(),
            value: value.to_owned(),
            records,
            accuracy: Some(0.5),
            change: Estimate::default(),
        };
        let names = |parts: Vec<GroupUtility>| -> Vec<String> {
            parts
                .into_iter()
                .map(|p| p.column + "=" + &p.value)
                .collect()
        };
        // The four and, since they could be told from the whole, the next smallest.
        let parts = vec![
            part("work", "a", 4),
            part("work", "b", 9),
            part("work", "c", 8),
            part("sex", "f", 5),
            part("sex", "m", 7),
        ];
        assert_eq!(names(large_parts(parts)), ["work=b", "sex=f", "sex=m"]);
        // Two that are five together can go alone.
        let parts = vec![part("", "a", 2), part("", "b", 3), part("", "c", 6)];
        assert_eq!(names(large_parts(parts)), ["=c"]);
        let mut section = crate::report::defence_text::example();
        section.settings.groups = vec!["age".to_owned(), "sex".to_owned()];
        section.undefended.utility.groups = vec![
            part("age", "up to 28", 50),
            part("age", "28 to 37", 50),
            part("sex", "f", 50),
        ];
        defence(&mut section);
        assert_eq!(names(section.undefended.utility.groups), ["sex=f"]);
        assert_eq!(section.settings.groups, ["sex"]);
    }

    #[test]
    fn of_a_target_only_its_kind_is_told() {
        for (name, kind) in [
            (
                "http://10.0.0.7:9301/score (protocol json)",
                "a service behind HTTP",
            ),
            ("the command `python ann/predict.py`", "a command"),
            ("model.onnx (ONNX Runtime)", "a model in a file"),
        ] {
            assert_eq!(kind_of_target(name), kind);
        }
    }

    /// With the data alone, the figures of a few leaky records would tell which they are.
    #[test]
    fn of_a_few_leaky_records_no_figure_stays() {
        let mut few = crate::report::explanation_text::example();
        few.settings.leaky = FEWEST_LEAKY - 1;
        explanation(&mut few);
        assert!(few.screening.is_empty());
        let none = Estimate::default();
        assert!(
            few.predictors
                .iter()
                .all(|p| p.auc == none && p.precision == none)
        );
        assert!(few.predictors.iter().any(|p| p.spearman != none));
        let groups = few.groups.iter().flat_map(|column| &column.values);
        assert!(
            few.classes
                .iter()
                .chain(groups)
                .all(|g| g.leaky == none && g.relative_risk == none)
        );
    }

    #[test]
    fn quarters_of_numbers_are_left_out() {
        let mut explained = crate::report::explanation_text::example();
        explained.groups[0].values[0].name = "up to 41".to_owned();
        let others = explained.groups[1].column.clone();
        explanation(&mut explained);
        assert_eq!(explained.groups.len(), 1);
        assert_eq!(explained.groups[0].column, others);
    }

    #[test]
    fn a_group_named_whole_is_left_out() {
        let mut groups = crate::report::explanation_text::example().groups[1]
            .values
            .clone();
        groups[1].given_away = groups[1].units;
        large_groups(&mut groups);
        assert_eq!(groups.len(), 1);
        // A group that is left alone tells nothing of the others.
        assert_eq!(groups[0].name, "Male");
        groups[0].units = 3;
        large_groups(&mut groups);
        assert!(groups.is_empty());
    }

    #[test]
    fn few_attributions_are_left_out() {
        let mut explained = crate::report::explanation_text::example();
        assert!(explained.attribution.is_some());
        explanation(&mut explained);
        assert!(explained.attribution.is_some(), "eight and a hundred");
        if let Some(summary) = &mut explained.attribution {
            summary.exposed = 4;
        }
        explanation(&mut explained);
        assert!(explained.attribution.is_none());
    }

    #[test]
    fn two_digits_stay() {
        assert!((coarse(2.309e-5) - 2.3e-5).abs() < 1e-20);
        assert!((coarse(0.0996) - 0.1).abs() < 1e-16);
        assert!(coarse(0.0).abs() < 1e-300);
    }
}
