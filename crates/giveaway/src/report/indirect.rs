//! What the report says of indirect inference: records given away by questions that do not
//! contain them (methods, section 1.4).
//!
//! Tests are named by their names, so that a new way to combine p-values is no new version of
//! the format. A distance is that of the room in which queries are built: between encoded
//! inputs. There are no times in it: the same audit gives the same bytes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evaluate::leave_one_out::Recurrence;
use crate::evaluate::{Estimate, LEVELS};

/// The name of the test that asks the record itself, where it stands beside the others.
pub const DIRECT: &str = "direct";

/// The level of p at which recurrence is counted.
pub const RECURRENCE_LEVEL: f64 = 0.01;

/// Indirect inference of selected units, the target's and over reference models in its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IndirectSection {
    /// How the queries were built.
    pub settings: IndirectSettings,
    /// The combination of the verdicts: "kost", "fisher", "empirical" or "discriminant".
    pub combination: String,
    /// Units that were tested indirectly.
    pub tested: usize,
    /// Chosen units for which no query was confirmed, and which are not tested.
    pub without_queries: usize,
    /// Of those tested, the units given away: by Benjamini–Hochberg over them, at the false
    /// discovery rate of the run.
    pub given_away: usize,
    /// Of these, the ones that are also given away by direct inference, by Benjamini–Hochberg
    /// over the same units.
    pub given_away_both: usize,
    /// Given away indirectly and not directly.
    pub only_indirect: usize,
    /// Given away directly and not indirectly.
    pub only_direct: usize,
    /// The tested units, the smallest p first.
    pub records: Vec<IndirectRecord>,
    /// Rates over reference models in the target's place, by test and number of queries.
    pub rates: Vec<IndirectRates>,
    /// How often the p-values of non-members are small there, by test and number of queries.
    pub calibration: Vec<IndirectCalibration>,
    /// The smallest distance of any query to the record that it is to tell of; nothing without
    /// queries, and in a redacted report.
    pub smallest_distance: Option<f64>,
    /// What a filter that refuses inputs near a tested record would stop.
    pub filters: Vec<Filter>,
    /// What it took.
    pub cost: IndirectCost,
}

/// How the queries were built.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IndirectSettings {
    /// Units for which queries were built.
    pub records: usize,
    /// Queries for each, at most.
    pub queries: usize,
    /// By what a query is judged while it is built: "balanced" (reference models that have the
    /// record IN against those that have it OUT), or "paired" (a model and the same training
    /// with one record swapped in).
    pub build: String,
    /// Reference models with which queries were built.
    pub building_models: usize,
    /// Reference models that confirmed them.
    pub confirming_models: usize,
    /// Reference models that test, and none of which saw a query before.
    pub testing_models: usize,
    /// Pairs of models for each record; 0 if queries were built with balanced models.
    pub pairs: usize,
    /// No query is nearer to its record than this multiple of the distance at which its nearest
    /// other record lies, or of the usual such distance where that is larger.
    pub floor_multiple: f64,
    /// Median distance of a record to its nearest other record.
    pub usual_distance: f64,
}

/// One unit that was tested indirectly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IndirectRecord {
    /// Number of the unit, as in `records.parquet`; nothing in a redacted report.
    pub unit: Option<u32>,
    /// The record's id; of a group, that of its first record.
    pub id: String,
    /// Its class.
    pub class: String,
    /// Whether it is a member of the target, where known; nothing in a redacted report.
    pub member: Option<bool>,
    /// Queries that tested it; nothing in a redacted report.
    pub queries: Option<usize>,
    /// The distance to it that every query keeps; nothing in a redacted report.
    pub floor: Option<f64>,
    /// The smallest distance of one of its queries to it; nothing in a redacted report.
    pub smallest_distance: Option<f64>,
    /// Distance of the nearest other reference record; nothing in a redacted report.
    pub nearest_record: Option<f64>,
    /// OUT models of the test; nothing in a redacted report.
    pub models_out: Option<usize>,
    /// P-value of the combination of the verdicts with all queries.
    pub p: f64,
    /// The same, Benjamini–Hochberg adjusted over the units tested.
    pub q: f64,
    /// Whether it is called a member.
    pub given_away: bool,
    /// P-value by each combination with all queries; empty in a redacted report.
    pub p_by_test: Vec<NamedP>,
    /// P-value of the single query that came out best when it was built; nothing in a redacted
    /// report.
    pub best_query_p: Option<f64>,
    /// P-value of direct inference.
    pub direct_p: Option<f64>,
    /// The same, adjusted over the units tested indirectly.
    pub direct_q: Option<f64>,
    /// Whether direct inference calls it a member, among the same units.
    pub direct_given_away: bool,
    /// P-value of the combination with fewer queries; empty in a redacted report.
    pub budget: Vec<PAtBudget>,
    /// In how many reference models in the target's place p is below .01; nothing in a redacted
    /// report.
    pub recurrence: Option<Recurrence>,
    /// The first of its queries; empty in a redacted report.
    pub shown: Vec<ShownQuery>,
}

/// A p-value of a test by its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NamedP {
    /// The test.
    pub test: String,
    /// Its p-value.
    pub p: f64,
}

/// A p-value with so many queries.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PAtBudget {
    /// Queries to the target.
    pub queries: usize,
    /// The p-value of the combination of the first so many.
    pub p: f64,
}

/// A query beside the record that it tells of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShownQuery {
    /// Its row in `indirect/queries.npy` and `indirect/queries.parquet`.
    pub row: usize,
    /// P-value of this query alone.
    pub p: f64,
    /// "upper": the loss on it is lower where the record is a member; "lower": higher.
    pub tail: String,
    /// Its distance to the record.
    pub distance: f64,
    /// Mean scaled logit of the building models that have the record IN less that of those that
    /// have it OUT, in standard deviations of the latter; nothing where these do not differ.
    pub effect: Option<f64>,
    /// Columns in which it differs from the record; nothing for images.
    pub columns_changed: Option<usize>,
    /// Those columns; of a table with very many not all.
    pub values: Vec<ChangedValue>,
}

/// A column in which a query differs from its record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChangedValue {
    /// The column.
    pub column: String,
    /// The record's value.
    pub record: String,
    /// The query's.
    pub query: String,
}

/// How well a test finds members over reference models in the target's place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IndirectRates {
    /// The test: "direct", "best query", or a combination.
    pub test: String,
    /// Queries for each record; 0 for direct inference.
    pub queries: usize,
    /// Reference models that played the target.
    pub targets: usize,
    /// Tested members, summed over targets.
    pub members: u64,
    /// Tested non-members, summed over targets.
    pub non_members: u64,
    /// Rates by level of p.
    pub levels: Vec<LevelRates>,
    /// Area under the ROC curve of all scores together.
    pub auc: Estimate,
}

/// What calling everybody with a p-value below a level comes to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LevelRates {
    /// The level.
    pub level: f64,
    /// Accusations, summed over targets.
    pub accusations: u64,
    /// Of those, the wrong ones.
    pub wrong: u64,
    /// Share of accusations that are right.
    pub precision: Estimate,
    /// Share of tested members that are accused.
    pub recall: Estimate,
    /// Share of tested non-members that are accused.
    pub false_positive_rate: Estimate,
}

/// How often a test gives non-members small p-values, over reference models in the target's
/// place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IndirectCalibration {
    /// The test.
    pub test: String,
    /// Queries for each record; 0 for direct inference.
    pub queries: usize,
    /// P-values of non-members, over all targets.
    pub non_members: u64,
    /// By level, rising.
    pub at: Vec<CalibrationPoint>,
}

/// The share of non-members with a p-value of at most a level: the level itself, or less, if
/// the test keeps its promise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CalibrationPoint {
    /// The level.
    pub level: f64,
    /// The share.
    pub share: Estimate,
}

/// A defence: refuse every input nearer than this to a tested record.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Filter {
    /// Share of all queries that it stops.
    pub stops: f64,
    /// The distance; 0 refuses the record itself alone.
    pub radius: f64,
    /// Share of the other audited records that it refuses as well.
    pub refuses: f64,
}

/// What indirect inference took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IndirectCost {
    /// Models trained beyond the reference models.
    pub models_trained: u64,
    /// Queries to the target.
    pub queries: u64,
    /// Candidates that were evaluated on own models while queries were built.
    pub candidates: u64,
}

impl IndirectSection {
    /// The place in `rates` of a test with so many queries.
    #[must_use]
    pub fn rates_of(&self, test: &str, queries: usize) -> Option<usize> {
        self.rates
            .iter()
            .position(|r| r.test == test && r.queries == queries)
    }

    /// The numbers of queries for which there are rates of the combination of the verdicts,
    /// rising.
    #[must_use]
    pub fn budgets(&self) -> Vec<usize> {
        let mut budgets: Vec<usize> = self
            .rates
            .iter()
            .filter(|r| r.test == self.combination)
            .map(|r| r.queries)
            .collect();
        budgets.sort_unstable();
        budgets.dedup();
        budgets
    }

    /// Where its calibration with all queries stands: the place in `calibration`.
    #[must_use]
    pub fn calibration_of(&self, test: &str, queries: usize) -> Option<usize> {
        self.calibration
            .iter()
            .position(|c| c.test == test && c.queries == queries)
    }

    /// The share of non-members with a p-value of at most the first of [`LEVELS`], by the
    /// combination of the verdicts with all queries, if its whole interval is above that
    /// level: then its p-values are too small.
    #[must_use]
    pub fn too_small_share(&self) -> Option<Estimate> {
        let (curve, at) = self.too_small()?;
        Some(self.calibration[curve].at[at].share)
    }

    /// Where that share stands: the place in `calibration`, and the one in its `at`.
    pub(crate) fn too_small(&self) -> Option<(usize, usize)> {
        let largest = self.budgets().last().copied()?;
        let curve = self.calibration_of(&self.combination, largest)?;
        let points = &self.calibration[curve].at;
        let at = points.iter().position(|at| is_level(at.level, LEVELS[0]))?;
        (points[at].share.lower? > points[at].level).then_some((curve, at))
    }
}

impl IndirectRates {
    /// The rates at a level.
    #[must_use]
    pub fn at_level(&self, level: f64) -> Option<&LevelRates> {
        self.levels.iter().find(|at| is_level(at.level, level))
    }
}

/// Whether two levels are the same; they are constants, and far apart.
fn is_level(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-12
}
