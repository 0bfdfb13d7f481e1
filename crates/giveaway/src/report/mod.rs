//! The result of an audit: one value that everything printed or written comes from.

pub mod attacks;
mod chart;
pub mod defence;
pub mod defence_text;
pub mod explanation;
pub mod explanation_text;
pub mod fail_on;
pub mod figures;
pub mod indirect;
pub mod page;
pub mod printable;
pub mod records;
pub mod redact;
pub mod schema;
mod shown;
pub mod text;
pub mod toy;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::direct::Null;
use crate::channel::Channel;
use crate::evaluate::leave_one_out::Recurrence;
use crate::evaluate::{Decision, Estimate, Evaluation};
use crate::membership::Design;
use crate::select::{Amount, Rule};
use crate::signals::Accuracy;
pub use crate::signals::Spread;
use crate::validity::{Check, Status};

/// Version of `report.json` and `records.parquet`.
pub const FORMAT_VERSION: u32 = 1;

/// The result of an audit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Audit {
    /// Version of this document.
    pub format_version: u32,
    /// The giveaway that made it.
    pub giveaway_version: String,
    /// Whether it leaves out what could tell who is in it (see [`redact`]).
    #[serde(default)]
    pub redacted: bool,
    /// Seed of the run; nothing in a redacted report, since with the data it gives the
    /// membership.
    pub seed: Option<u64>,
    /// What was audited.
    pub data: DataSummary,
    /// The model under audit.
    pub target: TargetSummary,
    /// The reference models.
    pub reference: ReferenceSummary,
    /// Selection and test.
    pub test: TestSummary,
    /// What it comes to.
    pub verdict: Verdict,
    /// The most exposed units, most exposed first.
    pub exposed: Vec<Exposed>,
    /// Evaluation on the target, by selection and null; empty where its members are not known.
    pub on_target: Vec<Evaluation>,
    /// Evaluation with every reference model in turn as the target, by selection and null.
    pub leave_one_out: Vec<Evaluation>,
    /// Other attacks on the same signals, for comparison.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attacks: Option<attacks::AttackSection>,
    /// Indirect inference: what questions that do not contain a record tell of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indirect: Option<indirect::IndirectSection>,
    /// Why records are exposed, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<explanation::Explanation>,
    /// What protecting the exposed records takes, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defence: Option<defence::DefenceSection>,
    /// What is drawn besides: rates at every cut-off of p, and distributions of the loss.
    #[serde(default)]
    pub figures: figures::Figures,
    /// Checks of the set-up.
    pub checks: Vec<Check>,
    /// What else the user should know.
    pub notes: Vec<String>,
}

/// What was audited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DataSummary {
    /// Name of the data.
    pub name: String,
    /// Records in the file.
    pub records_in_file: usize,
    /// Records in the audit.
    pub records: usize,
    /// Units that are judged: persons, or records (exact duplicates count once).
    pub units: usize,
    /// What a unit is, in the plural: "records" or "groups".
    pub unit_name: String,
    /// Features after encoding.
    pub features: usize,
    /// Class names.
    pub classes: Vec<String>,
    /// Records that equal another one in every feature and the label.
    pub exact_duplicates: usize,
    /// Units set aside for early stopping, which are not audited.
    pub validation_units: usize,
}

/// The model under audit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TargetSummary {
    /// Whether it was trained here; else its outputs were given.
    pub trained_here: bool,
    /// Units in its training set, where known.
    pub training_units: Option<usize>,
    /// Its interface.
    pub channel: Channel,
    /// Its accuracy.
    pub accuracy: Accuracy,
    /// How it was asked, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<AskedTarget>,
}

/// How a target was asked, as a black box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AskedTarget {
    /// What it is and where.
    pub name: String,
    /// Queries that it saw or may have seen, each a record; what `--max-queries` limits.
    pub queries: u64,
    /// Of those, the ones it answered.
    pub answered: u64,
    /// In so many requests.
    pub requests: u64,
}

/// The reference models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReferenceSummary {
    /// How many.
    pub models: usize,
    /// How their training sets were drawn.
    pub design: Design,
    /// Units in each training set.
    pub training_units: usize,
    /// Units that two training sets have in common on average, if they are drawn
    /// independently: `n_t² / n_r`.
    pub expected_overlap: f64,
    /// The network, in words.
    pub network: String,
    /// Instruction set with which they were trained.
    pub kernel: String,
    /// Mean and extremes of train accuracy.
    pub train_accuracy: Spread,
    /// Mean and extremes of test accuracy.
    pub test_accuracy: Spread,
}

/// Selection and test of the verdicts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TestSummary {
    /// By what vulnerable units were selected.
    pub selection: Rule,
    /// How many were asked for.
    pub amount: Amount,
    /// Units selected.
    pub selected: usize,
    /// Of those, the units that were tested.
    #[serde(default)]
    pub tested: usize,
    /// Selected units that have too few OUT models to be tested.
    pub untestable: usize,
    /// Candidates that the selection could not rank, for want of models.
    pub unranked: usize,
    /// The null.
    pub null: Null,
    /// False discovery rate.
    pub fdr: f64,
    /// Reference models that selected.
    pub selecting_models: usize,
    /// Reference models that tested.
    pub testing_models: usize,
    /// Smallest and largest number of OUT models of a tested unit.
    pub models_out: [usize; 2],
    /// Smallest p-value of the rank-based nulls: `1/(k_out + 1)` with the largest `k_out`.
    pub floor: f64,
    /// Fewest discoveries that the rank-based nulls allow at this rate (`R_min`).
    pub minimum_discoveries: usize,
    /// OUT models that would allow the rank-based nulls 1, 10 and 1 % discoveries.
    pub models_out_needed: Vec<ModelsNeeded>,
    /// α of the selection by neighbours, where it was made.
    pub alpha: Option<f64>,
}

/// How many OUT models allow so few discoveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelsNeeded {
    /// Discoveries.
    pub discoveries: usize,
    /// OUT models needed.
    pub models_out: usize,
    /// Reference models (`--models`) that would give that many.
    pub models: usize,
}

/// What the audit comes to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Whether every check of the set-up that could be made passed.
    pub valid: bool,
    /// The headline, in words.
    pub headline: String,
    /// The decision of the verdicts.
    pub decision: Decision,
    /// Claim *this model*: units given away by the target, by Benjamini–Hochberg.
    pub given_away: usize,
    /// The same by Benjamini–Yekutieli, which holds under any dependence.
    pub given_away_any_dependence: usize,
    /// Share of members among those tested on the reference models, where the next was measured.
    #[serde(default)]
    pub members_among_tested: Option<f64>,
    /// Share of accusations expected to be wrong, measured on the reference models.
    pub expected_wrong: Estimate,
    /// How many of the units given away are expected to be no members: that share of them.
    #[serde(default)]
    pub expected_wrong_records: Estimate,
    /// Accusations on the target that were in fact wrong, where its members are known.
    pub wrong: Option<usize>,
    /// Of those given away by the target, the ones that the next counts, too.
    #[serde(default)]
    pub given_away_by_both: usize,
    /// Claim *this recipe*: selected units found in at least half of the models trained on them.
    pub given_away_by_recipe: usize,
}

/// One exposed unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Exposed {
    /// The record's id; of a group, that of its first record.
    pub id: String,
    /// The group, where records share one.
    pub group: Option<String>,
    /// Records of the unit.
    pub records: usize,
    /// The class of its first record.
    pub class: String,
    /// Loss under the target; nothing in a redacted report.
    pub target_loss: Option<f64>,
    /// Mean loss under reference models that were not trained on it; nothing in a redacted
    /// report.
    pub out_loss: Option<f64>,
    /// Mean loss under reference models that were.
    pub in_loss: Option<f64>,
    /// Reference units nearer than α, where counted.
    pub neighbours: Option<u32>,
    /// P-value.
    pub p: f64,
    /// Benjamini–Hochberg adjusted p-value among the selected.
    pub q: f64,
    /// Whether it is called a member.
    pub given_away: bool,
    /// Whether it is one, where known.
    pub member: Option<bool>,
    /// How it fares in the reference models.
    pub recurrence: Option<Recurrence>,
}

impl Audit {
    /// The evaluation of the verdicts' selection and null, pooled over reference models.
    #[must_use]
    pub fn headline_leave_one_out(&self) -> Option<&Evaluation> {
        find(&self.leave_one_out, self.test.selection, self.test.null)
    }

    /// The evaluation of the verdicts' selection and null on the target.
    #[must_use]
    pub fn headline_on_target(&self) -> Option<&Evaluation> {
        find(&self.on_target, self.test.selection, self.test.null)
    }

    /// Number of checks that failed.
    #[must_use]
    pub fn failed_checks(&self) -> usize {
        self.checks
            .iter()
            .filter(|c| c.status == Status::Failed)
            .count()
    }
}

fn find(evaluations: &[Evaluation], selection: Rule, null: Null) -> Option<&Evaluation> {
    evaluations
        .iter()
        .find(|e| e.selection == selection && e.null == null)
}
