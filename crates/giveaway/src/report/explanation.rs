//! What the report says of why records are exposed (methods, section 2): measures that go with
//! the leak, a reason for each exposed record, who carries the risk, and a map.
//!
//! A *leak* is what training on a record changes: its mean loss under OUT models less that under
//! IN models, in nats. Measures come from the half of the reference models that selected, the
//! leak that they are compared with from the half that tested. Measures and reasons are named by
//! their names, so that a new one is no new version of the format.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evaluate::Estimate;

/// Why records are exposed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// What it was computed from.
    pub settings: ExplanationSettings,
    /// What holds on this run, in sentences, the most important first.
    pub findings: Vec<String>,
    /// Every measure, the best predictor of the leak first.
    pub predictors: Vec<Predictor>,
    /// How often each reason is given, in a fixed order; none in a redacted report.
    pub reasons: Vec<ReasonCount>,
    /// The exposed units with their reasons, the most exposed first; none in a redacted report.
    pub exposed: Vec<ExplainedUnit>,
    /// How exposure is spread over the classes.
    pub classes: Vec<GroupExposure>,
    /// The same over the values of columns.
    pub groups: Vec<ColumnExposure>,
    /// How many of the leakiest a review by each measure would have found.
    pub screening: Vec<Screening>,
    /// Two definitions of a vulnerable record side by side; nothing where the target's members
    /// are not known.
    pub definitions: Option<Definitions>,
    /// Which columns make records leak; nothing for images, where each exposed unit has a map.
    pub attribution: Option<AttributionSummary>,
    /// The map; nothing where none was drawn, and in a redacted report.
    pub map: Option<MapSummary>,
}

/// What an explanation was computed from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExplanationSettings {
    /// Records that were measured.
    pub records: usize,
    /// Units whose leak is known, and on which measures and leak were compared.
    pub units: usize,
    /// Nearest neighbours that were looked at.
    pub neighbours: usize,
    /// Records among which neighbours were searched.
    pub neighbour_candidates: usize,
    /// Reference models that measured.
    pub measuring_models: usize,
    /// Reference models that the leak is from.
    pub judging_models: usize,
    /// Models that were trained again to look inside.
    pub inner_models: usize,
    /// Spaces in which distances were measured.
    pub spaces: Vec<SpaceSummary>,
    /// Share of the units that count as the leakiest.
    pub leaky_share: f64,
    /// How many these are.
    pub leaky: usize,
    /// The smallest leak among them, in nats.
    pub leaky_threshold: Option<f64>,
    /// Share of the records that a measure must set apart to be called remarkable.
    pub remarkable_share: f64,
}

/// A space in which distances were measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpaceSummary {
    /// "input", "outputs" or "penultimate".
    pub name: String,
    /// What its vectors are, in words.
    pub description: String,
    /// Their length.
    pub columns: usize,
    /// Models that they are from; 0 for the input.
    pub models: usize,
}

/// How well a measure goes with the leak.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Predictor {
    /// Its column in `records.parquet`.
    pub measure: String,
    /// What it is, in words.
    pub label: String,
    /// What it belongs to: "divergence", "distance", "anomaly", "difficulty", "label" or
    /// "duplicates".
    pub family: String,
    /// What is needed for it: "data", "a few models" or "reference models".
    pub needs: String,
    /// Whether small values stand for exposure, and not large ones. The figures here are of the
    /// measure with its sign turned.
    pub reversed: bool,
    /// Units that have it.
    pub units: usize,
    /// Spearman's rank correlation with the leak.
    pub spearman: Estimate,
    /// Area under the ROC curve for finding the leakiest units.
    pub auc: Estimate,
    /// Share of the leakiest among as many units with the largest values.
    pub precision: Estimate,
}

/// How often a reason is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReasonCount {
    /// The reason.
    pub reason: String,
    /// What it means, in words.
    pub meaning: String,
    /// Exposed units that it is given for.
    pub exposed: usize,
    /// Audited units whose first reason it would be.
    pub all: usize,
    /// Mean leak of these, in nats, by the half that tests: reasons are from the other.
    pub mean_leak: Option<f64>,
    /// Share of the leakiest among them.
    pub leaky: Estimate,
}

/// An exposed unit and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainedUnit {
    /// The identifier of the record that is described: of several, the one with the largest leak.
    pub id: String,
    /// The unit's number.
    pub unit: Option<u32>,
    /// The class of that record.
    pub class: String,
    /// The unit's place by leak among the audited units, 1 for the largest; nothing where the leak
    /// is not known.
    pub rank: Option<usize>,
    /// The unit's leak over all reference models, in nats.
    pub leak: Option<f64>,
    /// Whether it is given away by the target.
    pub given_away: bool,
    /// The reason.
    pub reason: String,
    /// Other reasons that hold as well.
    pub further: Vec<String>,
    /// The reasons with their evidence, in words.
    pub statement: String,
    /// What in its input makes it leak, the largest share first; nothing where that was not
    /// computed.
    pub attribution: Option<UnitAttribution>,
}

/// What in the input of a unit makes it leak: shares of the difference between its gap (mean loss
/// under OUT models less that under IN models) and that of the mean record of its class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UnitAttribution {
    /// The gap, in nats, over the models that were trained again.
    pub gap: f64,
    /// That of the mean record of its class.
    pub baseline_gap: f64,
    /// What the shares of all columns miss of the difference.
    pub residual: f64,
    /// The columns with the largest shares; all others are summed up in `others`.
    pub columns: Vec<ColumnShare>,
    /// Sum of the shares of the columns that are not listed.
    pub others: f64,
}

/// The share of a column in a difference of gaps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ColumnShare {
    /// The column.
    pub column: String,
    /// The record's value, as people read it; empty where it is missing.
    pub value: Option<String>,
    /// The share, in nats: above 0 it makes the record leak more.
    pub nats: f64,
}

/// How much of the exposure units of one kind carry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GroupExposure {
    /// Which units: a class, or values of a column.
    pub name: String,
    /// How many.
    pub units: usize,
    /// Mean leak, in nats.
    pub leak: Estimate,
    /// Share of them that is among the leakiest.
    pub leaky: Estimate,
    /// That share over the share among all: 2 carries twice its part. The interval holds for all
    /// groups beside it together.
    pub relative_risk: Estimate,
    /// Of them, given away by the target.
    pub given_away: usize,
}

/// Exposure over the values of a column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ColumnExposure {
    /// The column.
    pub column: String,
    /// Whether the user asked for it; else it is the column over which exposure differs most.
    pub chosen: bool,
    /// P-value of the hypothesis that the leakiest are spread over the values as all units are: χ²
    /// of the table with the leaky and the others, by permutation; of a column that was not asked
    /// for, times the number of columns looked at.
    pub p: Option<f64>,
    /// Its values, the riskiest first.
    pub values: Vec<GroupExposure>,
}

/// How many of the leakiest a review by a measure would have found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Screening {
    /// The measure.
    pub measure: String,
    /// What it is, in words.
    pub label: String,
    /// What is needed for it: "data" or "a few models"; "reference models" for comparison.
    pub needs: String,
    /// By share of the units reviewed.
    pub reviewed: Vec<Reviewed>,
}

/// One review.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reviewed {
    /// Share of the units that is looked at, those with the largest values.
    pub share: f64,
    /// Share of the leakiest that is among them.
    pub found: Estimate,
}

/// Two definitions of a vulnerable record on the same target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Definitions {
    /// One threshold for all (Khalil et al. 2025): members whose scaled logit on the target is
    /// above the 99th percentile of that of the non-members.
    pub global: Definition,
    /// Per record: members whose scaled logit on the target is above the 99th percentile of that
    /// of their own OUT models, by the p-value of direct inference (p ≤ 0.01).
    pub per_record: Definition,
    /// Vulnerable by both.
    pub both: usize,
}

/// What one definition of vulnerable comes to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Definition {
    /// Members that are called vulnerable.
    pub members: usize,
    /// Non-members that the same rule would call so.
    pub non_members: usize,
    /// Share of the members.
    pub true_positive_rate: Estimate,
    /// Share of the non-members.
    pub false_positive_rate: Estimate,
    /// Of all that the rule names, the share of members.
    pub precision: Estimate,
    /// Mean leak of the members named, in nats, by the half of the models that the p-values are
    /// not from.
    pub mean_leak: Option<f64>,
    /// Mean leak of all members, by the same.
    pub mean_leak_of_members: Option<f64>,
    /// Share of the leakiest, by the same, among the members named.
    pub leaky: Estimate,
}

/// Which columns make records leak.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AttributionSummary {
    /// "integrated gradients" or "sampled Shapley values".
    pub method: String,
    /// Exposed units that were attributed.
    pub exposed: usize,
    /// Units drawn at random for comparison.
    pub others: usize,
    /// Largest residual of any, in nats.
    pub largest_residual: f64,
    /// The columns, the largest mean share in the exposed first.
    pub columns: Vec<ColumnSummary>,
}

/// The mean share of a column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ColumnSummary {
    /// The column.
    pub column: String,
    /// Mean of the absolute share over exposed units, in nats.
    pub exposed: f64,
    /// Over units drawn at random.
    pub others: f64,
}

/// The map of records, whose points are in `map.parquet`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MapSummary {
    /// Points: exposed units, and others drawn at random.
    pub points: usize,
    /// Of these, the exposed ones.
    pub exposed: usize,
    /// The maps.
    pub views: Vec<MapView>,
}

/// One way to lay out the records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MapView {
    /// The prefix of its columns `_x` and `_y` in `map.parquet`.
    pub name: String,
    /// "penultimate features" ("logits of a few models" where they have no layers) or "logits".
    pub space: String,
    /// "t-SNE" or "PCA".
    pub method: String,
    /// Trustworthiness: 1 where all neighbours in the map are neighbours in the space.
    pub trustworthiness: Option<f64>,
    /// Of t-SNE, the Kullback–Leibler divergence that it ended with.
    pub divergence: Option<f64>,
    /// Of PCA, the share of the variance that is seen.
    pub variance: Option<f64>,
}
