//! Reasons: which kind of record is exposed (methods, section 2).
//!
//! A rule looks at measures that mean the same on every data set (shares of models and of
//! neighbours), or at a record's place among the records of the same run. Nothing of the verdict
//! enters, and nothing is fitted. Several rules may hold; the first of [`Reason::EVERY`] is the
//! record's reason, since a cause comes before its consequences: a record with the wrong label is
//! atypical of its class and hard to learn as well.

use giveaway_stats::summary::median;

use super::measures::{Places, upper_shares};
use super::rarity::Rarity;

/// A record is remarkable in a measure when no more than this share of the records has a value as
/// large.
pub const REMARKABLE: f64 = 0.02;

/// OUT models agree on another label when at least this share of them chooses it.
pub const AGREED: f64 = 0.8;

/// With many classes models that are wrong scatter: this share for another label is enough where
/// the loss is among the largest ([`HARD`]).
pub const MOSTLY_AGREED: f64 = 0.5;

/// Neighbours contradict a label when at most this share of them has it, and no more than half of
/// its class has so few: of a small class many have few neighbours of their own label.
pub const CONTRADICTED: f64 = 0.35;

/// OUT models are divided when the class that most of them choose has at most this share.
pub const DIVIDED: f64 = 0.75;

/// OUT models are divided only where no more than this share of the records divides them as much:
/// on a hard problem they are divided about half of all records, and that explains none of them.
pub const MOST_DIVIDED: f64 = 0.1;

/// A value that no more records than this have is rare even where more than [`REMARKABLE`] of the
/// records have one as rare, up to [`MOST_RARE`]: in a small table a value of one record alone
/// cannot be among the rarest fiftieth if ten records have one.
pub const FEW: u32 = 3;

/// See [`FEW`]. In a table full of rare codes being one of three says little.
pub const MOST_RARE: f64 = 0.1;

/// A record is hard when no more than this share has a loss as large or is learnt as late; and
/// its OUT loss is above ln 2 (its label has less than half), or it is learnt in twice the usual
/// number of epochs, and at least two more. A share alone would find hard records among easy ones.
pub const HARD: f64 = 0.05;

/// How many times the median epoch a record must take to count as learnt late.
const LATE: f64 = 2.0;

/// How many epochs more than the median.
const LATE_EPOCHS: f64 = 2.0;

/// Isolated by a local outlier factor is only who also lies at least as far from the others as
/// all but this share of the records.
const APART: f64 = 0.5;

/// Why a record is exposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A record with another label is the same, or nearly.
    NearDuplicate,
    /// Models that never saw it agree on another label, and its neighbours do not contradict them.
    Mislabelled,
    /// It has a value that hardly any other has.
    RareValue,
    /// It lies far from all others.
    Isolated,
    /// It lies farther from the centre of its class than nearly all of it, or nearer to another's.
    Atypical,
    /// Models that never saw it are divided.
    Border,
    /// Models are often wrong about it, or learn it late.
    Hard,
    /// None of these.
    None,
}

impl Reason {
    /// All of them, the first that holds first.
    pub const EVERY: [Self; 8] = [
        Self::NearDuplicate,
        Self::Mislabelled,
        Self::RareValue,
        Self::Isolated,
        Self::Atypical,
        Self::Border,
        Self::Hard,
        Self::None,
    ];

    /// The name used in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NearDuplicate => "near-duplicate across labels",
            Self::Mislabelled => "mislabelled or ambiguous",
            Self::RareValue => "rare value",
            Self::Isolated => "isolated",
            Self::Atypical => "atypical of its class",
            Self::Border => "border",
            Self::Hard => "hard to learn",
            Self::None => "no clear reason",
        }
    }

    /// What it means, for people who have not read the rules.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::NearDuplicate => {
                "another record is the same, or nearly, and has another label: what is learnt from one is wrong for the other"
            }
            Self::Mislabelled => {
                "models that never saw it agree on another label, and few of its neighbours have its own: the label is wrong, or the features cannot tell"
            }
            Self::RareValue => "it has a value that hardly any other record has",
            Self::Isolated => {
                "it lies far from other records, or in a thin place beside denser ones"
            }
            Self::Atypical => {
                "it looks less like the centre of its class than nearly all of the class does"
            }
            Self::Border => "models that never saw it are divided about its class",
            Self::Hard => {
                "models that never saw it give its label little, or those trained on it learn it late"
            }
            Self::None => "none of the rules for a reason applies",
        }
    }
}

/// What the rules look at, for every record.
#[derive(Debug)]
pub struct Facts {
    /// Whether a record of another label is identical or a near-duplicate.
    near_other_label: Vec<bool>,
    /// Share of the OUT models that agree on another label; NaN without OUT models.
    against: Vec<f64>,
    /// Share of the OUT models for the class that most of them choose.
    majority: Vec<f64>,
    /// Whether its neighbours contradict its label, in the input or in the penultimate layer.
    contradicted: Vec<bool>,
    /// Places among the records, as upper shares.
    divided: Vec<f64>,
    rarest: Vec<f64>,
    /// Records that have its rarest value.
    with_rarest: Vec<u32>,
    out_loss: Vec<f64>,
    far: Vec<f64>,
    thin: Vec<f64>,
    atypical: Vec<f64>,
    hard: Vec<bool>,
    late: Vec<bool>,
}

/// Where the facts come from.
#[derive(Debug)]
pub struct Sources<'a> {
    /// The class of each record.
    pub labels: &'a [u32],
    /// The records among which places are counted.
    pub among: &'a [u32],
    /// Places in the input.
    pub input: &'a Places,
    /// Places in the penultimate layer.
    pub penultimate: &'a Places,
    /// Distance of near-duplicates in the input.
    pub near: f64,
    /// How rare values are, where there are any to count.
    pub rarity: Option<&'a Rarity>,
    /// Share of the OUT models that agree on another label.
    pub against: &'a [f64],
    /// One less the share of the OUT models for the commonest class.
    pub disagreement: &'a [f64],
    /// Mean OUT loss.
    pub out_loss: &'a [f64],
    /// Epoch from which on it is learnt; NaN where that is not known.
    pub epoch_learned: &'a [f64],
}

/// Of each class, the median of a value over some of its records; NaN for a class without any.
#[must_use]
pub fn class_medians(values: &[f64], labels: &[u32], among: &[u32]) -> Vec<f64> {
    let classes = labels.iter().max().map_or(0, |&last| last as usize + 1);
    let mut own: Vec<Vec<f64>> = vec![Vec::new(); classes];
    for &record in among {
        let value = values[record as usize];
        if !value.is_nan() {
            own[labels[record as usize] as usize].push(value);
        }
    }
    own.iter()
        .map(|values| median(values).unwrap_or(f64::NAN))
        .collect()
}

/// Whether neighbours contradict the label of each record, by the share of them that has it.
fn contradicted(agreement: &[f64], labels: &[u32], among: &[u32]) -> Vec<bool> {
    let medians = class_medians(agreement, labels, among);
    agreement
        .iter()
        .zip(labels)
        .map(|(&share, &label)| share <= CONTRADICTED && share <= medians[label as usize])
        .collect()
}

/// The median of the values that are known; NaN where none is.
#[must_use]
pub fn usual(values: &[f64]) -> f64 {
    let known: Vec<f64> = values.iter().copied().filter(|x| !x.is_nan()).collect();
    median(&known).unwrap_or(f64::NAN)
}

/// Whether an epoch is late beside the usual one.
#[must_use]
pub fn is_late(epoch: f64, usual: f64) -> bool {
    epoch >= LATE * usual && epoch >= usual + LATE_EPOCHS
}

impl Facts {
    /// Gathers what the rules look at.
    #[must_use]
    pub fn new(sources: &Sources<'_>) -> Self {
        let Sources { labels, among, .. } = sources;
        let place = |values: &[f64]| upper_shares(values, among);
        let nowhere = || vec![f64::NAN; labels.len()];
        let margin = sources.penultimate.centroids.euclidean.own_minus_other();
        let classes = labels.iter().max().map_or(0, |&last| last + 1);
        let mut atypical = nowhere();
        for class in 0..classes {
            let own: Vec<u32> = among
                .iter()
                .copied()
                .filter(|&record| labels[record as usize] == class)
                .collect();
            let shares = upper_shares(&margin, &own);
            for record in 0..labels.len() {
                if labels[record] == class {
                    atypical[record] = shares[record];
                }
            }
        }
        let input = sources.input;
        let usual_epoch = usual(sources.epoch_learned);
        Self {
            near_other_label: (0..labels.len())
                .map(|record| {
                    let nearest = input.geometry.other.nearest(record);
                    nearest.is_some_and(|(_, distance)| f64::from(distance) <= sources.near)
                })
                .collect(),
            against: sources.against.to_vec(),
            majority: sources.disagreement.iter().map(|d| 1.0 - d).collect(),
            contradicted: contradicted(&input.agreement, labels, among)
                .into_iter()
                .zip(contradicted(&sources.penultimate.agreement, labels, among))
                .map(|(input, penultimate)| input || penultimate)
                .collect(),
            divided: place(sources.disagreement),
            rarest: sources
                .rarity
                .map_or_else(nowhere, |rarity| place(&rarity.rarest_bits)),
            with_rarest: (0..labels.len())
                .map(|record| {
                    let rarest = sources.rarity.and_then(|rarity| rarity.rarest[record]);
                    rarest.map_or(u32::MAX, |rarest| rarest.records)
                })
                .collect(),
            out_loss: place(sources.out_loss),
            far: place(&input.farthest_neighbour()),
            thin: place(&input.outlier_factor),
            atypical,
            hard: place(sources.out_loss)
                .iter()
                .zip(sources.out_loss)
                .map(|(&place, &loss)| place <= HARD && loss > std::f64::consts::LN_2)
                .collect(),
            late: place(sources.epoch_learned)
                .iter()
                .zip(sources.epoch_learned)
                .map(|(&place, &epoch)| place <= HARD && is_late(epoch, usual_epoch))
                .collect(),
        }
    }

    /// Whether a rule holds for a record.
    #[must_use]
    pub fn holds(&self, reason: Reason, record: usize) -> bool {
        match reason {
            Reason::NearDuplicate => self.near_other_label[record],
            Reason::Mislabelled => {
                let agreed = self.against[record] >= AGREED
                    || (self.against[record] >= MOSTLY_AGREED && self.out_loss[record] <= HARD);
                agreed && self.contradicted[record]
            }
            Reason::RareValue => {
                self.rarest[record] <= REMARKABLE
                    || (self.with_rarest[record] <= FEW && self.rarest[record] <= MOST_RARE)
            }
            Reason::Isolated => self.is_far(record) || self.is_thin(record),
            Reason::Atypical => self.atypical[record] <= REMARKABLE,
            Reason::Border => {
                self.majority[record] <= DIVIDED && self.divided[record] <= MOST_DIVIDED
            }
            Reason::Hard => self.is_hard(record) || self.is_late(record),
            Reason::None => true,
        }
    }

    /// Whether hardly any record is as far from its neighbours in the input.
    #[must_use]
    pub fn is_far(&self, record: usize) -> bool {
        self.far[record] <= REMARKABLE
    }

    /// Whether hardly any lies in so thin a place beside denser ones, and not near to others.
    #[must_use]
    pub fn is_thin(&self, record: usize) -> bool {
        self.thin[record] <= REMARKABLE && self.far[record] <= APART
    }

    /// Whether models that never saw it are among the worst on it.
    #[must_use]
    pub fn is_hard(&self, record: usize) -> bool {
        self.hard[record]
    }

    /// Whether models that are trained on it are among the latest to learn it.
    #[must_use]
    pub fn is_late(&self, record: usize) -> bool {
        self.late[record]
    }

    /// Of the records, the share that lies at least as far from its neighbours.
    #[must_use]
    pub fn share_as_far(&self, record: usize) -> f64 {
        self.far[record]
    }

    /// The reasons that hold, the first one first; [`Reason::None`] where none does.
    #[must_use]
    pub fn reasons(&self, record: usize) -> Vec<Reason> {
        let mut found: Vec<Reason> = Reason::EVERY
            .into_iter()
            .filter(|&reason| reason != Reason::None && self.holds(reason, record))
            .collect();
        if found.is_empty() {
            found.push(Reason::None);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Facts of one record of which nothing is remarkable.
    fn plain() -> Facts {
        Facts {
            near_other_label: vec![false],
            against: vec![0.0],
            majority: vec![1.0],
            contradicted: vec![false],
            divided: vec![0.05],
            rarest: vec![0.5],
            with_rarest: vec![9],
            out_loss: vec![0.5],
            far: vec![0.4],
            thin: vec![0.5],
            atypical: vec![0.5],
            hard: vec![false],
            late: vec![false],
        }
    }

    #[test]
    fn nothing_remarkable_is_no_clear_reason() {
        assert_eq!(plain().reasons(0), [Reason::None]);
    }

    /// A fact, the value up to which or from which its rule holds, and one beyond.
    type Case = (Reason, fn(&mut Facts, bool));

    #[test]
    fn every_rule_holds_up_to_its_threshold_and_not_beyond() {
        const BEYOND: f64 = 1e-9;
        let cases: [Case; 12] = [
            (Reason::NearDuplicate, |f, holds| {
                f.near_other_label[0] = holds;
            }),
            (Reason::Mislabelled, |f, holds| {
                f.against[0] = if holds { AGREED } else { AGREED - BEYOND };
                f.contradicted[0] = true;
            }),
            (Reason::Mislabelled, |f, holds| {
                f.against[0] = AGREED;
                f.contradicted[0] = holds;
            }),
            (Reason::RareValue, |f, holds| {
                f.rarest[0] = if holds {
                    REMARKABLE
                } else {
                    REMARKABLE + BEYOND
                };
            }),
            (Reason::Mislabelled, |f, holds| {
                f.against[0] = MOSTLY_AGREED;
                f.contradicted[0] = true;
                f.out_loss[0] = if holds { HARD } else { HARD + BEYOND };
            }),
            (Reason::RareValue, |f, holds| {
                f.with_rarest[0] = if holds { FEW } else { FEW + 1 };
                f.rarest[0] = MOST_RARE;
            }),
            (Reason::Border, |f, holds| {
                f.majority[0] = 0.5;
                f.divided[0] = if holds {
                    MOST_DIVIDED
                } else {
                    MOST_DIVIDED + BEYOND
                };
            }),
            (Reason::Isolated, |f, holds| {
                f.far[0] = if holds {
                    REMARKABLE
                } else {
                    REMARKABLE + BEYOND
                };
            }),
            (Reason::Isolated, |f, holds| {
                f.thin[0] = REMARKABLE;
                f.far[0] = if holds { APART } else { APART + BEYOND };
            }),
            (Reason::Hard, |f, holds| f.late[0] = holds),
            (Reason::Atypical, |f, holds| {
                f.atypical[0] = if holds {
                    REMARKABLE
                } else {
                    REMARKABLE + BEYOND
                };
            }),
            (Reason::Border, |f, holds| {
                f.majority[0] = if holds { DIVIDED } else { DIVIDED + BEYOND };
            }),
        ];
        for (reason, set) in cases {
            for holds in [true, false] {
                let mut facts = plain();
                set(&mut facts, holds);
                assert_eq!(facts.holds(reason, 0), holds, "{}", reason.name());
            }
        }
        let mut facts = plain();
        facts.hard[0] = true;
        assert_eq!(facts.reasons(0), [Reason::Hard]);
    }

    #[test]
    fn a_cause_comes_before_its_consequences() {
        let mut facts = plain();
        facts.against[0] = 1.0;
        facts.contradicted[0] = true;
        facts.hard[0] = true;
        facts.atypical[0] = 0.01;
        assert_eq!(
            facts.reasons(0),
            [Reason::Mislabelled, Reason::Atypical, Reason::Hard]
        );
        facts.near_other_label[0] = true;
        assert_eq!(facts.reasons(0)[0], Reason::NearDuplicate);
    }

    #[test]
    fn what_is_not_known_is_no_reason() {
        let mut facts = plain();
        for values in [
            &mut facts.against,
            &mut facts.majority,
            &mut facts.divided,
            &mut facts.rarest,
            &mut facts.out_loss,
            &mut facts.far,
            &mut facts.thin,
            &mut facts.atypical,
        ] {
            values[0] = f64::NAN;
        }
        assert_eq!(facts.reasons(0), [Reason::None]);
    }

    #[test]
    fn neighbours_contradict_only_below_the_usual_of_the_class() {
        let labels = [0, 0, 0, 1, 1, 1];
        let agreement = [0.1, 0.2, 0.3, 0.1, 0.9, f64::NAN];
        let all = [0, 1, 2, 3, 4, 5];
        assert_eq!(
            contradicted(&agreement, &labels, &all),
            [true, true, false, true, false, false]
        );
        assert!((class_medians(&agreement, &labels, &all)[1] - 0.5).abs() < 1e-12);
    }

    #[test]
    fn late_is_twice_the_usual_and_two_more() {
        assert!(is_late(3.0, 1.0) && !is_late(2.0, 1.0));
        assert!(is_late(20.0, 10.0) && !is_late(19.0, 10.0));
        assert!(!is_late(f64::NAN, 1.0) && !is_late(3.0, f64::NAN));
    }
}
