//! A record's reasons in words, with their evidence.

use std::fmt::Write as _;

use super::answers::{Choices, RecordAnswers};
use super::measures::Places;
use super::rarity::{RareKind, Rarity};
use super::reasons::{Facts, Reason};
use crate::dataset::{Body, Table};
use crate::report::explanation::UnitAttribution;

/// Differing columns that are named one by one.
const MOST_NAMED: usize = 3;

/// Everything that statements are made from.
#[derive(Debug)]
pub struct Words<'a> {
    /// The audited records as they were read.
    pub table: &'a Table,
    /// Records of a reference file, which follow them.
    pub reference: Option<&'a Table>,
    /// The names of the classes.
    pub classes: &'a [String],
    /// The class of each record.
    pub labels: &'a [u32],
    /// How rare values are.
    pub rarity: Option<&'a Rarity>,
    /// Places in the input.
    pub input: &'a Places,
    /// Places in the penultimate layer.
    pub penultimate: &'a Places,
    /// Median distance to the k-th neighbour in the input.
    pub usual_distance: f64,
    /// When records are learnt.
    pub learning: Learning<'a>,
    /// What the rules looked at.
    pub facts: &'a Facts,
    /// Of each class, the median share of neighbours with the same label: in the input, and in
    /// the penultimate layer.
    pub usual_agreement: [&'a [f64]; 2],
    /// Records of each class.
    pub class_sizes: &'a [usize],
    /// Audited units that have a leak.
    pub units: usize,
    /// What units are called: "records", "distinct records" or "groups".
    pub unit_name: &'a str,
}

/// When records are learnt.
#[derive(Clone, Copy, Debug)]
pub struct Learning<'a> {
    /// Epoch from which on each record is learnt, mean over the models trained on it.
    pub epoch: &'a [f64],
    /// What training goes by: "epoch" or "round".
    pub step: &'static str,
    /// Median over the records.
    pub median: f64,
    /// Models that were trained on each record, and those of them that never learn it for good.
    pub trained: &'a [[u32; 2]],
}

/// What is said of one record.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The record, the first of its unit.
    pub record: usize,
    /// Its unit's place by leak, where there is a leak.
    pub rank: Option<usize>,
    /// What all reference models answer.
    pub answers: RecordAnswers,
    /// What all OUT models choose.
    pub choices: Option<Choices>,
    /// The reasons that hold.
    pub reasons: &'a [Reason],
}

/// A number with thousands apart.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A value with at most four digits behind the point: more are of floating point, not of people.
pub(super) fn short(text: String) -> String {
    match (text.split_once('.'), text.parse::<f64>()) {
        (Some((_, digits)), Ok(number)) if digits.len() > 4 && !text.contains('e') => {
            // As many digits as tell small numbers, too.
            let places = (3 - number.abs().max(1e-12).log10().floor() as i32).clamp(0, 12);
            let short = format!("{number:.0$}", places.unsigned_abs() as usize);
            short.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => text,
    }
}

/// 1st, 2nd, 3rd, 11th.
fn ordinal(number: usize) -> String {
    let suffix = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{}{suffix}", grouped(number))
}

/// A probability; a small one with two digits that count, since there the leak is largest.
fn probability(p: f64) -> String {
    match p {
        p if p <= 0.0 || (0.1..=0.995).contains(&p) || p >= 1.0 => format!("{p:.2}"),
        p if p > 0.995 => "more than 0.99".to_owned(),
        p => {
            let short = format!("{p:.1e}");
            if p < 1e-4 {
                short
            } else {
                // By way of its decimal form, so that zeros at the end go.
                short.parse::<f64>().unwrap_or(p).to_string()
            }
        }
    }
}

fn percent(share: f64) -> String {
    match share * 100.0 {
        p if p > 0.0 && p < 0.5 => "less than 1 %".to_owned(),
        p if p > 99.5 && p < 100.0 => "more than 99 %".to_owned(),
        p => format!("{p:.0} %"),
    }
}

/// Gaps above that of the mean record below which columns are not worth a word, in nats.
const LEAST_SHARED: f64 = 0.1;

/// Columns that are worth one have at least this part of it.
const LEAST_PART: f64 = 0.15;

/// Which columns make a record leak, in words; nothing where none has much to do with it.
#[must_use]
pub fn attributed(attribution: &UnitAttribution) -> Option<String> {
    let difference = attribution.gap - attribution.baseline_gap;
    if difference < LEAST_SHARED {
        return None;
    }
    let named: Vec<String> = attribution
        .columns
        .iter()
        .filter(|share| share.nats >= LEAST_PART * difference)
        .take(MOST_NAMED)
        .map(|share| match &share.value {
            Some(value) if value.is_empty() => {
                format!("{} missing ({:+.2})", share.column, share.nats)
            }
            Some(value) => format!(
                "{}={} ({:+.2})",
                share.column,
                short(value.clone()),
                share.nats
            ),
            None => format!("{} ({:+.2})", share.column, share.nats),
        })
        .collect();
    (!named.is_empty()).then(|| {
        format!(
            "in the models looked into it leaks {:.2} nats, and the columns with the largest shares of that are {}",
            attribution.gap,
            named.join(", ")
        )
    })
}

impl Words<'_> {
    fn value(&self, record: usize, column: usize) -> String {
        let own = self.table.len();
        let text = if record < own {
            self.table.feature_text(record, column)
        } else {
            self.reference
                .map_or_else(String::new, |r| r.feature_text(record - own, column))
        };
        if text.is_empty() {
            "missing".to_owned()
        } else {
            short(text)
        }
    }

    fn id(&self, record: usize) -> &str {
        let own = self.table.len();
        self.table
            .ids
            .get(record)
            .or_else(|| self.reference?.ids.get(record - own))
            .map_or("", String::as_str)
    }

    fn class(&self, label: usize) -> &str {
        self.classes.get(label).map_or("", String::as_str)
    }

    fn is_image(&self) -> bool {
        matches!(self.table.body, Body::Dense { image: Some(_), .. })
    }

    /// The statement: place by leak, what training on the record does, then each reason with its
    /// evidence.
    #[must_use]
    pub fn statement(&self, subject: &Subject<'_>) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.leak(subject, &mut out);
        for &reason in subject.reasons {
            if let Some(evidence) = self.evidence(reason, subject) {
                out.push_str("; ");
                out.push_str(&evidence);
            }
        }
        out.push('.');
        out
    }

    fn leak(&self, subject: &Subject<'_>, out: &mut String) -> std::fmt::Result {
        let answers = &subject.answers;
        let label = self.class(self.labels[subject.record] as usize);
        if let Some(rank) = subject.rank {
            let units = grouped(self.units);
            write!(
                out,
                "{} of {units} {} by leak: ",
                ordinal(rank),
                self.unit_name
            )?;
        }
        let outside = probability(answers.probability_out);
        if answers.models[1] == 0 {
            write!(
                out,
                "reference models, none of which saw it, give {outside} to its label {label}"
            )?;
        } else {
            write!(
                out,
                "without it reference models give {outside} to its label {label}, with it {}",
                probability(answers.probability_in)
            )?;
            let times = answers.probability_in / answers.probability_out;
            // Two numbers below a half tell little without it.
            if answers.probability_in < 0.1 && times >= 1.05 && times.is_finite() {
                write!(out, " ({times:.1} times as much)")?;
            }
        }
        match self.class_sizes[self.labels[subject.record] as usize] {
            1 => write!(out, " (the only record of its class)")?,
            size @ 2..=5 => write!(out, " (one of {size} records of its class)")?,
            _ => (),
        }
        // What most models say instead belongs to every reason but those that say it.
        let said = [
            Reason::Mislabelled,
            Reason::Border,
            Reason::Hard,
            Reason::None,
        ];
        if let Some(choices) = subject.choices.filter(|c| c.against >= 0.5)
            && !subject.reasons.iter().any(|reason| said.contains(reason))
        {
            write!(
                out,
                " ({} of those that never saw it say {})",
                percent(choices.against),
                self.class(choices.other)
            )?;
        }
        Ok(())
    }

    fn evidence(&self, reason: Reason, subject: &Subject<'_>) -> Option<String> {
        Some(match reason {
            Reason::NearDuplicate => self.duplicate(subject.record),
            Reason::Mislabelled => return self.suspicion(subject),
            Reason::RareValue => self.rare(subject.record),
            Reason::Isolated => self.isolation(subject.record),
            Reason::Atypical => self.atypical(subject.record),
            Reason::Border => return self.border(subject),
            Reason::Hard => return self.hard(subject),
            Reason::None => return self.nothing(subject),
        })
    }

    fn duplicate(&self, record: usize) -> String {
        let Some((other, distance)) = self.input.geometry.other.nearest(record) else {
            return Reason::NearDuplicate.name().to_owned();
        };
        let other = other as usize;
        let who = format!(
            "record {}, labelled {}",
            self.id(other),
            self.class(self.labels[other] as usize)
        );
        if self.is_image() {
            return if distance > 0.0 {
                format!("{who}, is nearly the same image")
            } else {
                format!("{who}, is the same image")
            };
        }
        let columns = self.table.column_names();
        let differing: Vec<usize> = (0..columns.len())
            .filter(|&column| self.value(record, column) != self.value(other, column))
            .collect();
        match differing.as_slice() {
            [] => format!("{who}, is the same in every column"),
            some if some.len() <= MOST_NAMED => {
                let named: Vec<String> = some
                    .iter()
                    .map(|&column| {
                        let (own, its) = (self.value(record, column), self.value(other, column));
                        format!("{} ({own} against {its})", columns[column])
                    })
                    .collect();
                format!("{who}, differs only in {}", named.join(", "))
            }
            many => format!(
                "{who}, is nearly the same (a little different in {} of {} columns)",
                many.len(),
                columns.len()
            ),
        }
    }

    /// How many of the nearest neighbours have its label, as the data are and as models see them.
    fn neighbours(&self, record: usize) -> String {
        let label = self.labels[record];
        let same = |places: &Places| {
            let found = places.nearest.records(record);
            let same = found.iter().filter(|&&o| self.labels[o as usize] == label);
            (same.count(), found.len())
        };
        let (input, of) = same(self.input);
        let (seen, _) = same(self.penultimate);
        let usual = |space: usize| {
            let share = self.usual_agreement[space].get(label as usize);
            share.map_or(0.0, |share| share * of as f64)
        };
        format!(
            "{input} of its {of} nearest neighbours have its label, {seen} as models see it (median of its class: {:.0} and {:.0})",
            usual(0),
            usual(1)
        )
    }

    fn suspicion(&self, subject: &Subject<'_>) -> Option<String> {
        let choices = subject.choices?;
        Some(format!(
            "labelled {}, {}{} of the models that never saw it say {}, and {}",
            self.class(self.labels[subject.record] as usize),
            // With few models the halves may differ, and the rule goes by one of them.
            if choices.against >= 0.5 { "but " } else { "" },
            percent(choices.against),
            self.class(choices.other),
            self.neighbours(subject.record)
        ))
    }

    /// What there is to say where no rule applies.
    fn nothing(&self, subject: &Subject<'_>) -> Option<String> {
        let choices = subject.choices?;
        Some(if choices.against >= 0.5 {
            format!(
                "no rule for a reason applies: {} of the models that never saw it say {}, and {}",
                percent(choices.against),
                self.class(choices.other),
                self.neighbours(subject.record)
            )
        } else {
            "no rule for a reason applies".to_owned()
        })
    }

    fn rare(&self, record: usize) -> String {
        let Some(rarity) = self.rarity else {
            return Reason::RareValue.name().to_owned();
        };
        let Some(rarest) = rarity.rarest[record] else {
            return Reason::RareValue.name().to_owned();
        };
        let column = rarest.column as usize;
        let name = self.table.column_names()[column];
        let (count, all) = (grouped(rarest.records as usize), grouped(rarity.records));
        let value = self.value(record, column);
        match rarest.kind {
            RareKind::Value => format!("rare: {name}={value} ({count} in {all})"),
            RareKind::Large if rarest.records == 1 => {
                format!("rare: {name}={value} (the largest of {all})")
            }
            RareKind::Small if rarest.records == 1 => {
                format!("rare: {name}={value} (the smallest of {all})")
            }
            RareKind::Large => {
                format!("rare: {name}={value} ({count} in {all} have as much or more)")
            }
            RareKind::Small => {
                format!("rare: {name}={value} ({count} in {all} have as little or less)")
            }
        }
    }

    fn isolation(&self, record: usize) -> String {
        let nearest = self.input.nearest.distances(record);
        let times = nearest
            .last()
            .map_or(f64::NAN, |&d| f64::from(d) / self.usual_distance);
        if self.facts.is_far(record) {
            format!(
                "isolated: its {} nearest neighbour is {times:.1} times as far as usual (farther than for {} of the records)",
                ordinal(nearest.len()),
                percent(1.0 - self.facts.share_as_far(record))
            )
        } else {
            // Beside many identical records it has no bound.
            let factor = self.input.outlier_factor[record];
            let times = if factor > 1_000.0 {
                "more than 1,000".to_owned()
            } else {
                format!("{factor:.1}")
            };
            format!(
                "isolated: the records around it lie {times} times as densely as it does (local outlier factor)"
            )
        }
    }

    fn atypical(&self, record: usize) -> String {
        let distances = &self.penultimate.centroids.euclidean;
        let own = self.class(self.labels[record] as usize);
        let other = self.class(distances.nearest_class[record] as usize);
        if distances.own[record] > distances.nearest_other[record] {
            format!("to models it looks more like the mean {other} than the mean {own}")
        } else {
            format!("to models it looks less like the mean {own} than nearly all of its class")
        }
    }

    fn border(&self, subject: &Subject<'_>) -> Option<String> {
        let choices = subject.choices?;
        let mut said = format!(
            "models that never saw it disagree: {} say {}, {} say {}",
            percent(choices.right),
            self.class(self.labels[subject.record] as usize),
            percent(choices.against),
            self.class(choices.other)
        );
        let others = 1.0 - choices.right - choices.against;
        if others > 0.005 {
            let _ = write!(said, ", {} something else", percent(others));
        }
        Some(said)
    }

    /// How often models are wrong, unless that was said already, and when those that are trained
    /// on it learn it: what made the rule hold.
    fn hard(&self, subject: &Subject<'_>) -> Option<String> {
        let record = subject.record;
        let said = [Reason::Mislabelled, Reason::Border];
        let wrong = (self.facts.is_hard(record)
            && !subject.reasons.iter().any(|reason| said.contains(reason)))
        .then(|| {
            let wrong = percent(1.0 - subject.answers.correct_out);
            match subject.choices {
                Some(choices) if choices.against >= 0.5 => format!(
                    "{} of the models that never saw it say {}",
                    percent(choices.against),
                    self.class(choices.other)
                ),
                _ => format!("{wrong} of the models that never saw it are wrong"),
            }
        });
        let learnt = self.facts.is_late(record).then(|| {
            let [trained, never] = self.learning.trained[record];
            let epoch = self.learning.epoch[record];
            if never > 0 {
                format!(
                    "{never} of {trained} models trained on it that were looked into never learn it for good"
                )
            } else {
                format!(
                    "models trained on it learn it in {} {epoch:.1} on average (the median record: {:.1})",
                    self.learning.step, self.learning.median
                )
            }
        });
        let said: Vec<String> = wrong.into_iter().chain(learnt).collect();
        (!said.is_empty()).then(|| format!("hard: {}", said.join(", and ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Encoding, EncodingOptions, TableOptions};
    use crate::explain::geometry::centroids::centroid_distances;
    use crate::explain::geometry::neighbours::geometry;
    use crate::explain::rarity::rarity;
    use crate::explain::reasons::Sources;

    /// People in two classes: sizes 0 to 35 are low, 100 to 135 high. The last four are a
    /// copy of the first with the other label, a copy but for the land, one from a land of its
    /// own, and one far from all.
    struct Scene {
        table: Table,
        places: Places,
        rarity: Rarity,
        epochs: Vec<f64>,
        trained: Vec<[u32; 2]>,
        out_loss: Vec<f64>,
        choices: Choices,
    }

    impl Scene {
        fn new() -> Self {
            let mut text = "size,land,y\n".to_owned();
            for i in 0..72 {
                let (size, class) = if i < 36 { (i, "low") } else { (64 + i, "high") };
                let land = ["A", "B", "C"][i % 3];
                let _ = writeln!(text, "{size},{land},{class}");
            }
            text.push_str("0,A,high\n1,A,high\n130,Ruritania,high\n1000,A,high\n");
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("people.csv");
            std::fs::write(&path, text).unwrap();
            let options = TableOptions {
                label: Some("y".to_owned()),
                ..TableOptions::default()
            };
            let table = Table::read(&path, &options).unwrap();
            let all: Vec<u32> = (0..table.len() as u32).collect();
            let encoding = Encoding::learn(&table, &all, &EncodingOptions::default()).unwrap();
            let dataset = encoding.encode(&table).unwrap();
            let vectors = dataset.features.view();
            let found = geometry(&vectors, &dataset.labels, 2, &all, &all, 4, |_| ()).unwrap();
            let centroids = centroid_distances(&vectors, &dataset.labels, 2, 1).unwrap();
            Self {
                places: Places::new(found, centroids, vec![0.5; all.len()], &dataset.labels),
                rarity: rarity(&[&table]).unwrap(),
                epochs: vec![2.0; all.len()],
                trained: vec![[4, 0]; all.len()],
                out_loss: vec![0.1; all.len()],
                choices: Choices {
                    right: 0.25,
                    against: 0.75,
                    other: 1,
                },
                table,
            }
        }

        fn say(&self, record: usize, answers: RecordAnswers, reasons: &[Reason]) -> String {
            let labels = &self.table.labels;
            let all: Vec<u32> = (0..labels.len() as u32).collect();
            let none = vec![0.0; labels.len()];
            let facts = Facts::new(&Sources {
                labels,
                among: &all,
                input: &self.places,
                penultimate: &self.places,
                near: 0.0,
                rarity: Some(&self.rarity),
                against: &none,
                disagreement: &none,
                out_loss: &self.out_loss,
                epoch_learned: &self.epochs,
            });
            Words {
                table: &self.table,
                reference: None,
                classes: &self.table.classes,
                labels,
                rarity: Some(&self.rarity),
                input: &self.places,
                penultimate: &self.places,
                usual_distance: 0.1,
                learning: Learning {
                    epoch: &self.epochs,
                    step: "epoch",
                    median: 2.0,
                    trained: &self.trained,
                },
                facts: &facts,
                usual_agreement: [&[0.75, 1.0], &[0.5, 0.5]],
                class_sizes: &[38, 38],
                units: 1_040,
                unit_name: "records",
            }
            .statement(&Subject {
                record,
                rank: Some(22),
                answers,
                choices: Some(self.choices),
                reasons,
            })
        }
    }

    fn answers() -> RecordAnswers {
        RecordAnswers {
            models: [16, 16],
            loss_out: 3.0,
            loss_in: 0.5,
            probability_out: 0.0013,
            probability_in: 0.41,
            correct_out: 0.25,
            correct_in: 1.0,
            margin_out: -0.5,
        }
    }

    #[test]
    fn a_statement_begins_with_what_training_on_the_record_does() {
        let mut scene = Scene::new();
        let said = scene.say(50, answers(), &[Reason::Atypical]);
        assert!(
            said.starts_with(
                "22nd of 1,040 records by leak: without it reference models give 0.0013 to its label high, with it 0.41 (75 % of those that never saw it say low); to models it looks"
            ),
            "{said}"
        );
        let small = RecordAnswers {
            probability_in: 0.0026,
            ..answers()
        };
        let said = scene.say(50, small, &[Reason::Border]);
        assert!(
            said.contains("with it 0.0026 (2.0 times as much); "),
            "{said}"
        );
        let unseen = RecordAnswers {
            models: [16, 0],
            ..answers()
        };
        let said = scene.say(50, unseen, &[Reason::None]);
        assert!(said.contains("none of which saw it"), "{said}");
        assert!(
            said.ends_with("; no rule for a reason applies: 75 % of the models that never saw it say low, and 4 of its 4 nearest neighbours have its label, 4 as models see it (median of its class: 3 and 2)."),
            "{said}"
        );
        scene.choices.against = 0.25;
        let said = scene.say(50, answers(), &[Reason::None]);
        assert!(
            said.ends_with("with it 0.41; no rule for a reason applies."),
            "{said}"
        );
    }

    #[test]
    fn duplicates_are_named_with_what_differs() {
        let scene = Scene::new();
        let said = scene.say(72, answers(), &[Reason::NearDuplicate]);
        assert!(
            said.contains("; record 0, labelled low, is the same in every column."),
            "{said}"
        );
        // Record 1 is from B.
        let said = scene.say(73, answers(), &[Reason::NearDuplicate]);
        assert!(said.contains("labelled low, differs only in "), "{said}");
    }

    #[test]
    fn evidence_is_what_was_measured() {
        let scene = Scene::new();
        let said = scene.say(74, answers(), &[Reason::RareValue]);
        assert!(said.contains("rare: land=Ruritania (1 in 76)"), "{said}");
        let said = scene.say(72, answers(), &[Reason::Mislabelled]);
        assert!(
            said.contains("labelled high, but 75 % of the models that never saw it say low"),
            "{said}"
        );
        let said = scene.say(75, answers(), &[Reason::Isolated]);
        assert!(
            said.contains("isolated: its 4th nearest neighbour is ")
                && said.contains(" times as far as usual (farther than for 99 % of the records)"),
            "{said}"
        );
        let said = scene.say(50, answers(), &[Reason::Border]);
        assert!(
            said.contains("disagree: 25 % say high, 75 % say low"),
            "{said}"
        );
    }

    #[test]
    fn what_was_said_is_not_said_again_and_what_did_not_hold_not_at_all() {
        let mut scene = Scene::new();
        let said = scene.say(3, answers(), &[Reason::Hard]);
        assert!(!said.contains("hard"), "{said}");
        scene.out_loss[3] = 3.0;
        let said = scene.say(3, answers(), &[Reason::Hard]);
        assert!(
            said.ends_with("; hard: 75 % of the models that never saw it say low."),
            "{said}"
        );
        let said = scene.say(3, answers(), &[Reason::Mislabelled, Reason::Hard]);
        assert!(!said.contains("hard"), "{said}");
        scene.epochs[3] = 7.0;
        let said = scene.say(3, answers(), &[Reason::Hard]);
        assert!(
            said.ends_with("hard: 75 % of the models that never saw it say low, and models trained on it learn it in epoch 7.0 on average (the median record: 2.0)."),
            "{said}"
        );
        scene.trained[3] = [4, 3];
        let said = scene.say(3, answers(), &[Reason::Mislabelled, Reason::Hard]);
        assert!(
            said.ends_with(
                "; hard: 3 of 4 models trained on it that were looked into never learn it for good."
            ),
            "{said}"
        );
    }

    #[test]
    fn columns_that_make_it_leak_are_named() {
        let share = |column: &str, nats| crate::report::explanation::ColumnShare {
            column: column.to_owned(),
            value: Some("Poland".to_owned()),
            nats,
        };
        let mut attribution = UnitAttribution {
            gap: 3.3,
            baseline_gap: 0.1,
            residual: 0.0,
            columns: vec![share("land", 1.5), share("sex", -0.9), share("age", 0.2)],
            others: 0.0,
        };
        assert_eq!(
            attributed(&attribution).unwrap(),
            "in the models looked into it leaks 3.30 nats, and the columns with the largest shares of that are land=Poland (+1.50)"
        );
        attribution.gap = 0.15;
        assert_eq!(attributed(&attribution), None);
    }

    #[test]
    fn values_have_the_digits_that_tell_them() {
        for (long, expected) in [
            ("-0.6974592361021965", "-0.6975"),
            ("0.000012345678", "0.00001235"),
            ("1234.56789", "1235"),
            ("12.5", "12.5"),
            ("2.0000001", "2"),
            ("a.bcdefg", "a.bcdefg"),
        ] {
            assert_eq!(short(long.to_owned()), expected);
        }
    }

    #[test]
    fn numbers_are_told_as_people_do() {
        assert_eq!(
            [1, 2, 3, 11, 12, 13, 21, 112, 1_003].map(ordinal),
            [
                "1st", "2nd", "3rd", "11th", "12th", "13th", "21st", "112th", "1,003rd"
            ]
        );
        assert_eq!(
            [0.0, 1.3e-9, 0.00123, 0.0456, 0.5, 0.999, 1.0].map(probability),
            [
                "0.00",
                "1.3e-9",
                "0.0012",
                "0.046",
                "0.50",
                "more than 0.99",
                "1.00"
            ]
        );
        assert_eq!(
            [0.0, 0.001, 0.345, 0.999, 1.0].map(percent),
            ["0 %", "less than 1 %", "34 %", "more than 99 %", "100 %"]
        );
    }
}
