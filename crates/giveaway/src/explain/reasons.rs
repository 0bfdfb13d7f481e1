//! Reasons: which kind of record is exposed (methods, section 2).
//!
//! A rule looks at measures that mean the same on every data set (shares of models and of
//! neighbours), or at a record's place among the records of the same run. Nothing of the verdict
//! enters, and nothing is fitted. Several rules may hold; the first of [`Reason::EVERY`] is the
//! record's reason, since a cause comes before its consequences: a record with the wrong label is
//! atypical of its class and hard to learn as well.

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

/// Neighbours contradict a label when at most this share of them has it.
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

/// A record is hard when no more than this share has a loss as large or is learnt as late.
pub const HARD: f64 = 0.05;

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
                "another record is the same, or nearly, and has another label: models can only get both right by heart"
            }
            Self::Mislabelled => {
                "models that never saw it agree on another label, and so do its neighbours: the label is wrong, or the features cannot tell"
            }
            Self::RareValue => "it has a value that hardly any other record has",
            Self::Isolated => "it lies far from all other records",
            Self::Atypical => {
                "it looks less like the centre of its class than nearly all of the class does"
            }
            Self::Border => "models that never saw it are divided about its class",
            Self::Hard => "models that never saw it are often wrong, or models learn it late",
            Self::None => "nothing of what is measured sets it apart",
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
    /// Smallest share, over the spaces, of the nearest neighbours with its label.
    agreement: Vec<f64>,
    /// Places among the records, as upper shares.
    divided: Vec<f64>,
    rarest: Vec<f64>,
    /// Records that have its rarest value.
    with_rarest: Vec<u32>,
    out_loss: Vec<f64>,
    isolated: Vec<f64>,
    atypical: Vec<f64>,
    hard: Vec<f64>,
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

/// The smaller of two shares, whichever is a number.
fn least(shares: &[&[f64]]) -> Vec<f64> {
    let records = shares.first().map_or(0, |first| first.len());
    (0..records)
        .map(|record| {
            shares
                .iter()
                .fold(f64::NAN, |least, of| least.min(of[record]))
        })
        .collect()
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
        Self {
            near_other_label: (0..labels.len())
                .map(|record| {
                    let nearest = input.geometry.other.nearest(record);
                    nearest.is_some_and(|(_, distance)| f64::from(distance) <= sources.near)
                })
                .collect(),
            against: sources.against.to_vec(),
            majority: sources.disagreement.iter().map(|d| 1.0 - d).collect(),
            agreement: least(&[&input.agreement, &sources.penultimate.agreement]),
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
            isolated: least(&[
                &place(&input.farthest_neighbour()),
                &place(&input.outlier_factor),
            ]),
            atypical,
            hard: least(&[&place(sources.out_loss), &place(sources.epoch_learned)]),
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
                agreed && self.agreement[record] <= CONTRADICTED
            }
            Reason::RareValue => {
                self.rarest[record] <= REMARKABLE
                    || (self.with_rarest[record] <= FEW && self.rarest[record] <= MOST_RARE)
            }
            Reason::Isolated => self.isolated[record] <= REMARKABLE,
            Reason::Atypical => self.atypical[record] <= REMARKABLE,
            Reason::Border => {
                self.majority[record] <= DIVIDED && self.divided[record] <= MOST_DIVIDED
            }
            Reason::Hard => self.hard[record] <= HARD,
            Reason::None => true,
        }
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
            agreement: vec![1.0],
            divided: vec![0.05],
            rarest: vec![0.5],
            with_rarest: vec![9],
            out_loss: vec![0.5],
            isolated: vec![0.5],
            atypical: vec![0.5],
            hard: vec![0.5],
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
        let cases: [Case; 10] = [
            (Reason::NearDuplicate, |f, holds| {
                f.near_other_label[0] = holds;
            }),
            (Reason::Mislabelled, |f, holds| {
                f.against[0] = if holds { AGREED } else { AGREED - BEYOND };
                f.agreement[0] = CONTRADICTED;
            }),
            (Reason::Mislabelled, |f, holds| {
                f.against[0] = AGREED;
                f.agreement[0] = if holds {
                    CONTRADICTED
                } else {
                    CONTRADICTED + BEYOND
                };
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
                f.agreement[0] = 0.0;
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
                f.isolated[0] = if holds {
                    REMARKABLE
                } else {
                    REMARKABLE + BEYOND
                };
            }),
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
        facts.hard[0] = HARD;
        assert_eq!(facts.reasons(0), [Reason::Hard]);
    }

    #[test]
    fn a_cause_comes_before_its_consequences() {
        let mut facts = plain();
        facts.against[0] = 1.0;
        facts.agreement[0] = 0.0;
        facts.hard[0] = 0.01;
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
            &mut facts.agreement,
            &mut facts.rarest,
            &mut facts.isolated,
            &mut facts.atypical,
            &mut facts.hard,
        ] {
            values[0] = f64::NAN;
        }
        assert_eq!(facts.reasons(0), [Reason::None]);
    }

    #[test]
    fn the_smaller_share_counts_and_unknown_ones_do_not() {
        let found = least(&[&[0.3, f64::NAN, f64::NAN], &[0.1, 0.2, f64::NAN]]);
        assert_eq!(found[..2], [0.1, 0.2]);
        assert!(found[2].is_nan());
    }
}
