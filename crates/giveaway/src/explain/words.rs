//! A record's reasons in words, with their evidence.

use std::fmt::Write as _;

use super::answers::RecordAnswers;
use super::measures::Places;
use super::rarity::{RareKind, Rarity};
use super::reasons::Reason;
use crate::dataset::{Body, Table};

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
    /// Nearest neighbours looked at.
    pub neighbours: usize,
    /// When records are learnt; nothing where that is not known.
    pub learning: Option<Learning<'a>>,
    /// Audited units that have a leak.
    pub units: usize,
    /// What units are called: "records" or "groups".
    pub unit_name: &'a str,
}

/// When records are learnt.
#[derive(Clone, Copy, Debug)]
pub struct Learning<'a> {
    /// Epoch from which on each record is learnt, mean over the models trained on it.
    pub epoch: &'a [f64],
    /// Median over the records.
    pub median: f64,
    /// Epochs of the training.
    pub epochs: usize,
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
    /// Of the OUT models that measure, the share that is right, the share that agrees on another
    /// class, and that class.
    pub votes: Option<(f64, f64, usize)>,
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

/// A probability that is never told as 0 or 1 when it is not.
fn probability(p: f64) -> String {
    match p {
        p if p > 0.0 && p < 0.005 => "less than 0.01".to_owned(),
        p if p > 0.995 && p < 1.0 => "more than 0.99".to_owned(),
        p => format!("{p:.2}"),
    }
}

fn percent(share: f64) -> String {
    match share * 100.0 {
        p if p > 0.0 && p < 0.5 => "less than 1 %".to_owned(),
        p if p > 99.5 && p < 100.0 => "more than 99 %".to_owned(),
        p => format!("{p:.0} %"),
    }
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
            text
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
            )
        } else {
            write!(
                out,
                "without it reference models give {outside} to its label {label}, with it {}",
                probability(answers.probability_in)
            )
        }
    }

    fn evidence(&self, reason: Reason, subject: &Subject<'_>) -> Option<String> {
        Some(match reason {
            Reason::NearDuplicate => self.duplicate(subject.record),
            Reason::Mislabelled => self.suspicion(subject),
            Reason::RareValue => self.rare(subject.record),
            Reason::Isolated => self.isolation(subject.record),
            Reason::Atypical => self.atypical(subject.record),
            Reason::Border => self.border(subject),
            Reason::Hard => return self.hard(subject),
            Reason::None => "nothing that is measured sets it apart".to_owned(),
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

    /// Of the nearest neighbours in the space where fewer agree, how many have its label.
    fn neighbours(&self, record: usize) -> String {
        let label = self.labels[record];
        let input = self.input.agreement[record] <= self.penultimate.agreement[record];
        let (places, space) = if input {
            (self.input, "")
        } else {
            (self.penultimate, " as models see it")
        };
        let found = places.nearest.records(record);
        let same = found
            .iter()
            .filter(|&&other| self.labels[other as usize] == label)
            .count();
        let count = found.len();
        match same {
            0 => format!("none of its {count} nearest neighbours{space} has its label"),
            1 => format!("1 of its {count} nearest neighbours{space} has its label"),
            same => format!("{same} of its {count} nearest neighbours{space} have its label"),
        }
    }

    fn suspicion(&self, subject: &Subject<'_>) -> String {
        let Some((_, share, class)) = subject.votes else {
            return Reason::Mislabelled.name().to_owned();
        };
        format!(
            "labelled {}, but {} of the models that never saw it say {}, and {}",
            self.class(self.labels[subject.record] as usize),
            percent(share),
            self.class(class),
            self.neighbours(subject.record)
        )
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
            RareKind::Large => format!("rare: {name}={value} ({count} in {all} have as much)"),
            RareKind::Small => format!("rare: {name}={value} ({count} in {all} have as little)"),
        }
    }

    fn isolation(&self, record: usize) -> String {
        let farthest = self.input.nearest.distances(record).last().copied();
        let times = farthest.map_or(f64::NAN, |d| f64::from(d) / self.usual_distance);
        if times > 1.2 && times.is_finite() {
            format!(
                "isolated: its {} nearest neighbours lie within {times:.1} times the usual distance",
                self.neighbours
            )
        } else {
            format!(
                "isolated: the records around it lie {:.1} times as densely as it does (local outlier factor)",
                self.input.outlier_factor[record]
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

    fn border(&self, subject: &Subject<'_>) -> String {
        let Some((right, share, class)) = subject.votes else {
            return Reason::Border.name().to_owned();
        };
        format!(
            "models that never saw it are divided: {} say {}, {} say {}",
            percent(right),
            self.class(self.labels[subject.record] as usize),
            percent(share),
            self.class(class)
        )
    }

    /// How often models are wrong, unless that was said already, and when those that are trained
    /// on it learn it.
    fn hard(&self, subject: &Subject<'_>) -> Option<String> {
        let wrong = (!subject.reasons.contains(&Reason::Mislabelled)).then(|| {
            format!(
                "{} of the models that never saw it are wrong",
                percent(1.0 - subject.answers.correct_out)
            )
        });
        let learnt = self.learning.and_then(|learning| {
            let epoch = learning.epoch[subject.record];
            if epoch > learning.epochs as f64 {
                Some("models trained on it never learn it for good".to_owned())
            } else if epoch > learning.median + 1.0 {
                Some(format!(
                    "models trained on it learn it in epoch {epoch:.0} on average (the median record: {:.0})",
                    learning.median
                ))
            } else {
                None
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

    /// Forty people in two classes: sizes 0 to 19 are low, 100 to 119 high. The last four are a
    /// copy of the first with the other label, a copy but for the land, one from a land of its
    /// own, and one far from all.
    struct Scene {
        table: Table,
        places: Places,
        rarity: Rarity,
        epochs: Vec<f64>,
    }

    impl Scene {
        fn new() -> Self {
            let mut text = "size,land,y\n".to_owned();
            for i in 0..36 {
                let (size, class) = if i < 18 { (i, "low") } else { (82 + i, "high") };
                let land = ["A", "B", "C"][i % 3];
                let _ = writeln!(text, "{size},{land},{class}");
            }
            text.push_str("0,A,high\n1,A,high\n110,Ruritania,high\n1000,A,high\n");
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
                table,
            }
        }

        fn say(&self, record: usize, answers: RecordAnswers, reasons: &[Reason]) -> String {
            Words {
                table: &self.table,
                reference: None,
                classes: &self.table.classes,
                labels: &self.table.labels,
                rarity: Some(&self.rarity),
                input: &self.places,
                penultimate: &self.places,
                usual_distance: 0.1,
                neighbours: 4,
                learning: Some(Learning {
                    epoch: &self.epochs,
                    median: 2.0,
                    epochs: 10,
                }),
                units: 1_040,
                unit_name: "records",
            }
            .statement(&Subject {
                record,
                rank: Some(22),
                answers,
                votes: Some((0.25, 0.75, 1)),
                reasons,
            })
        }
    }

    fn answers() -> RecordAnswers {
        RecordAnswers {
            models: [16, 16],
            loss_out: 3.0,
            loss_in: 0.5,
            probability_out: 0.001,
            probability_in: 0.41,
            correct_out: 0.25,
            correct_in: 1.0,
            margin_out: -0.5,
            separation: 2.0,
        }
    }

    #[test]
    fn a_statement_begins_with_what_training_on_the_record_does() {
        let scene = Scene::new();
        let said = scene.say(5, answers(), &[Reason::None]);
        assert_eq!(
            said,
            "22nd of 1,040 records by leak: without it reference models give less than 0.01 to its label low, with it 0.41; nothing that is measured sets it apart."
        );
        let unseen = RecordAnswers {
            models: [16, 0],
            ..answers()
        };
        let said = scene.say(5, unseen, &[Reason::None]);
        assert!(said.contains("none of which saw it"), "{said}");
    }

    #[test]
    fn duplicates_are_named_with_what_differs() {
        let scene = Scene::new();
        let said = scene.say(36, answers(), &[Reason::NearDuplicate]);
        assert!(
            said.contains("; record 0, labelled low, is the same in every column."),
            "{said}"
        );
        // Record 1 is from B.
        let said = scene.say(37, answers(), &[Reason::NearDuplicate]);
        assert!(said.contains("labelled low, differs only in "), "{said}");
    }

    #[test]
    fn evidence_is_what_was_measured() {
        let scene = Scene::new();
        let said = scene.say(38, answers(), &[Reason::RareValue]);
        assert!(said.contains("rare: land=Ruritania (1 in 40)"), "{said}");
        let said = scene.say(36, answers(), &[Reason::Mislabelled]);
        assert!(
            said.contains("labelled high, but 75 % of the models that never saw it say low"),
            "{said}"
        );
        let said = scene.say(39, answers(), &[Reason::Isolated]);
        assert!(said.contains("times the usual distance"), "{said}");
        let said = scene.say(30, answers(), &[Reason::Border]);
        assert!(
            said.contains("divided: 25 % say high, 75 % say low"),
            "{said}"
        );
    }

    #[test]
    fn what_was_said_is_not_said_again() {
        let mut scene = Scene::new();
        let said = scene.say(3, answers(), &[Reason::Mislabelled, Reason::Hard]);
        assert!(!said.contains("hard"), "{said}");
        scene.epochs[3] = 11.0;
        let said = scene.say(3, answers(), &[Reason::Mislabelled, Reason::Hard]);
        assert!(
            said.ends_with("hard: models trained on it never learn it for good."),
            "{said}"
        );
        scene.epochs[3] = 7.0;
        let said = scene.say(3, answers(), &[Reason::Hard]);
        assert!(
            said.ends_with("hard: 75 % of the models that never saw it are wrong, and models trained on it learn it in epoch 7 on average (the median record: 2)."),
            "{said}"
        );
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
            [0.0, 1e-9, 0.5, 0.999, 1.0].map(probability),
            ["0.00", "less than 0.01", "0.50", "more than 0.99", "1.00"]
        );
        assert_eq!(
            [0.0, 0.001, 0.345, 0.999, 1.0].map(percent),
            ["0 %", "less than 1 %", "34 %", "more than 99 %", "100 %"]
        );
    }
}
