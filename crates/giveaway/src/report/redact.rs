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
use super::figures::LossModel;
use super::indirect::IndirectSection;
use crate::error::{Error, Result};
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
        for check in audit
            .checks
            .iter_mut()
            .filter(|check| check.name == ACROSS_THE_SPLIT)
        {
            "left out: it may quote the data".clone_into(&mut check.finding);
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
    fn two_digits_stay() {
        assert!((coarse(2.309e-5) - 2.3e-5).abs() < 1e-20);
        assert!((coarse(0.0996) - 0.1).abs() < 1e-16);
        assert!(coarse(0.0).abs() < 1e-300);
    }
}
