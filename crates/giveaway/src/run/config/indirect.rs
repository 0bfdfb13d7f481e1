//! How indirect inference looks for its queries.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::refused;
use crate::enhance::Search;
use crate::error::Result;

/// Indirect inference: which records are attacked by queries that do not contain them, and how
/// those are found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct IndirectConfig {
    /// The most vulnerable selected units are attacked, so many of them; all if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<usize>,
    /// File with the answers of a target that is known by its outputs only, to the queries that
    /// an earlier run wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<PathBuf>,
    /// Queries for a unit, at most.
    pub queries: usize,
    /// The floor of distances from a query to the record: in multiples of the distance of the
    /// nearest real record, or of the usual such distance where that is larger.
    pub distance: f64,
    /// Which models tell what a query does; chosen by the circumstances if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
    /// With paired models: pairs that build for a unit; as many again confirm.
    pub pairs: usize,
    /// Random candidates for a unit; 4,000, or 1,000 images, if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidates: Option<usize>,
    /// Candidates that are improved.
    pub improved: usize,
    /// Steps of improvement; 0 for none.
    pub steps: usize,
    /// Whether candidates are taken by what they do to the models that build; else at random.
    pub select: bool,
    /// Whether a query must be confirmed on other models than those that built it.
    pub confirm: bool,
}

/// Models that tell what a query does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Build {
    /// The IN and the OUT reference models: no model is trained.
    Balanced,
    /// OUT reference models, and each trained once more with the unit in the place of another.
    Paired,
}

impl Build {
    /// The name used in options, files and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Balanced => "balanced",
            Self::Paired => "paired",
        }
    }
}

impl Default for IndirectConfig {
    fn default() -> Self {
        Self {
            records: None,
            answers: None,
            queries: 200,
            distance: 1.0,
            build: None,
            pairs: 32,
            candidates: None,
            improved: 24,
            steps: 20,
            select: true,
            confirm: true,
        }
    }
}

/// More of anything than this is a slip.
const MOST: usize = 1_000_000;

impl IndirectConfig {
    /// How queries are looked for, those of each budget weighed together.
    #[must_use]
    pub fn search(&self, of_images: bool, budgets: Vec<usize>) -> Search {
        Search {
            queries: self.queries,
            candidates: self
                .candidates
                .unwrap_or(if of_images { 1000 } else { 4000 }),
            improved: self.improved,
            steps: self.steps,
            select: self.select,
            confirm: self.confirm,
            floor_multiple: self.distance,
            budgets,
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        let counts = [
            ("--indirect-records", self.records.unwrap_or(1), "50"),
            ("--indirect-queries", self.queries, "200"),
            (
                "--indirect-candidates",
                self.candidates.unwrap_or(1),
                "4000",
            ),
        ];
        for (option, count, usual) in counts {
            if !(1..=MOST).contains(&count) {
                return refused(
                    option,
                    format!("cannot be {count}"),
                    format!("give a number from 1 to {MOST}, such as {usual}"),
                );
            }
        }
        if !(2..=MOST).contains(&self.pairs) {
            return refused(
                "--indirect-pairs",
                format!(
                    "{} pairs of models cannot tell an effect from chance",
                    self.pairs
                ),
                "give at least 2, such as 32",
            );
        }
        if self.steps > MOST {
            return refused(
                "test.indirect.steps",
                format!("{} steps are too many", self.steps),
                "give 0 for none, or 20",
            );
        }
        if !(self.distance.is_finite() && self.distance > 0.0) {
            return refused(
                "--indirect-distance",
                format!(
                    "a floor of {} times the usual distance forbids nothing",
                    self.distance
                ),
                "give a number above 0; 1 keeps queries as far from the record as real records are",
            );
        }
        Ok(())
    }
}
