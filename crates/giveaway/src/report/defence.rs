//! What the report says of defences (methods, sections 2.6 and 5): each audited again with new
//! reference models trained through it, beside what it costs, and which to take.
//!
//! *Before* is the undefended recipe, *after* the defended one: models with the same training
//! sets and seeds play the target in both, so changes are paired, and their intervals are
//! bootstrapped over families of targets and over units at once. Defences and attacks are named
//! by their names, so that a new one is no new version of the format. Times are measured and so
//! the only figures that differ from one machine or run to the next.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evaluate::Estimate;

/// What protecting the exposed records takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DefenceSection {
    /// How it was found out.
    pub settings: DefenceSettings,
    /// What to do, or that nothing tried helps, with the reason and the price.
    pub recommendation: Recommendation,
    /// The recipe as it is.
    pub undefended: DefenceFigures,
    /// The same recipe trained again with other seeds: what changes by chance alone.
    pub control: Option<DefenceFigures>,
    /// The defences, in the order in which they were tried.
    pub defences: Vec<DefenceFigures>,
    /// Those that were not tried, and why.
    pub skipped: Vec<SkippedDefence>,
    /// The records that were to be protected, the most exposed first (at most 50); none in a
    /// redacted report.
    pub units: Vec<ProtectedUnit>,
    /// Files that were written for the user.
    pub deliverables: Vec<Deliverable>,
}

/// How defences were compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DefenceSettings {
    /// Reference models that are trained through each defence; each plays the target in turn.
    pub models: usize,
    /// Families of them: pairs with complementary training sets, or single models.
    pub families: usize,
    /// Units that figures are taken from.
    pub units: usize,
    /// Units that no figure is taken from: defences that need validation records or known
    /// non-members have them from there.
    pub held: usize,
    /// By what the records to be protected were found: `influence`, `out-loss` or `centroids`.
    pub identified_by: String,
    /// How many units these are.
    pub exposed: usize,
    /// Models that found them, none of which judges; 0 where no model did.
    pub identifying_models: usize,
    /// Accuracy that may be lost, as a share.
    pub accuracy_budget: f64,
    /// Seconds that the work was given.
    pub budget_seconds: Option<f64>,
    /// Seconds that it took, of what is shown here.
    pub seconds: f64,
    /// Columns over whose values utility is told.
    pub groups: Vec<String>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Recommendation {
    /// The name of the recommended defence; nothing where none helps at the price.
    pub defence: Option<String>,
    /// The advice in one sentence.
    pub headline: String,
    /// Its reason, its price and what it leaves, in sentences.
    pub reasons: Vec<String>,
    /// Share of the models trained on them in which the most exposed records are found, before;
    /// on models and records that the choice was not made on.
    pub found_before: Estimate,
    /// The same, after.
    pub found_after: Estimate,
    /// Change of the accuracy on records that a model was not trained on, on models and records
    /// that the choice was not made on.
    pub accuracy_change: Estimate,
}

/// Whether a defence helps, by attackers who know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The strongest attack finds the records to be protected less often, beyond chance, and does
    /// no better on the others.
    Helps,
    /// Nothing can be said: the interval of the change holds 0.
    NotShown,
    /// The strongest attack finds them more often, or does better on all records, beyond chance.
    Harms,
}

/// A defence and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DefenceFigures {
    /// Its name, with its settings, as `--defence` takes it.
    pub name: String,
    /// A title.
    pub title: String,
    /// Who proposed it.
    pub source: String,
    /// What it does.
    pub what: String,
    /// What it promises and what it does not.
    pub promise: Option<String>,
    /// `training`, `answers` or `both`.
    pub stage: String,
    /// Whether it treats some records otherwise than the rest.
    pub sample_aware: bool,
    /// How to do it with scikit-learn.
    pub scikit_learn: String,
    /// How to do it with PyTorch.
    pub pytorch: String,
    /// Whether it helps; nothing for the recipe as it is.
    pub verdict: Option<Verdict>,
    /// The verdict in a sentence.
    pub sentence: String,
    /// Whether no other defence has both fewer of the exposed found and a higher accuracy.
    pub on_frontier: bool,
    /// The attacks, the strongest (by the true-positive rate at a false-positive rate of .01)
    /// first.
    pub attacks: Vec<AttackOnDefence>,
    /// The records that were to be protected.
    pub exposed: ExposedFigures,
    /// Records that come to be exposed.
    pub onion: Onion,
    /// Direct inference on the units that it selects itself: the most influential 1 %.
    pub direct: DirectFigures,
    /// What the models are good for.
    pub utility: Utility,
    /// Seconds to train and guard one model on its threads, median over the models.
    pub seconds_per_model: f64,
    /// That, as a multiple of the undefended recipe's.
    pub time_ratio: Option<f64>,
}

/// One attack through a defence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AttackOnDefence {
    /// Its name.
    pub name: String,
    /// Whether it knows of the defence: by reference models trained and asked through it, by
    /// undoing it, or because it needs labels only.
    pub adaptive: bool,
    /// Area under the ROC curve.
    pub auc: Estimate,
    /// Largest TPR − FPR.
    pub advantage: Estimate,
    /// True-positive rate at a false-positive rate of .1.
    pub at_ten_percent: Estimate,
    /// At .01.
    pub at_one_percent: Estimate,
    /// At .001.
    pub at_one_in_thousand: Estimate,
    /// Change of the AUC against the undefended recipe under the attack of the same name, or the
    /// strongest where there is none.
    pub auc_change: Estimate,
    /// Change of the true-positive rate at .01 likewise.
    pub at_one_percent_change: Estimate,
    /// Share of the targets trained on them in which the records to be protected are found, at a
    /// false-positive rate of .01 among them.
    pub exposed_found: Estimate,
}

/// The records that were to be protected, under the strongest attack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExposedFigures {
    /// The name of the attack: of those that know of the defence, the one that finds most of
    /// them.
    pub attack: String,
    /// Share of targets trained on them in which they are found, at a false-positive rate of .01
    /// among them; where a defence leaves them out, of targets that would have had them.
    pub found: Estimate,
    /// Its change, against the strongest attack on the undefended recipe.
    pub found_change: Estimate,
    /// Share of the other targets in which they are accused at that threshold: at most .01.
    pub wrongly_accused: Estimate,
    /// AUC among them.
    pub auc: Estimate,
    /// How often the one that is found most often is.
    pub worst: Option<WorstUnit>,
}

/// The most exposed of the records to be protected: the best of many, and so optimistic for the
/// attacker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorstUnit {
    /// Its identifier; nothing in a redacted report.
    pub id: Option<String>,
    /// Targets trained on it.
    pub in_targets: u32,
    /// Those in which it was found.
    pub found: u32,
    /// Those in which it was found without the defence.
    pub found_before: u32,
}

/// Units found in more than half of the targets trained on them, before and after, by the same
/// attack: the strongest after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Onion {
    /// Before.
    pub before: usize,
    /// After.
    pub after: usize,
    /// Of those after, the ones not among those before nor among the records to be protected:
    /// newly exposed.
    pub newly_exposed: usize,
    /// The newly exposed of the same recipe trained again with other seeds: what chance alone
    /// brings.
    pub newly_exposed_by_chance: Option<usize>,
    /// Newly exposed beyond chance; bootstrapped over units.
    pub beyond_chance: Estimate,
}

/// Direct inference (methods, section 1.3), decided at p < .01.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DirectFigures {
    /// Units whose influence is at least what the most influential 1 % have without a defence.
    pub selected: usize,
    /// Share of accusations that are right, among the most influential 1 % of this recipe.
    pub precision: Estimate,
    /// Share of their members that are accused.
    pub recall: Estimate,
}

/// What the models are good for, on records that they were not trained on; means over models.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Utility {
    /// Accuracy on the records handed to the training; a defence may have left some of them out.
    pub train_accuracy: Option<f64>,
    /// Accuracy.
    pub accuracy: Estimate,
    /// Its change.
    pub accuracy_change: Estimate,
    /// Mean of the classes' accuracies.
    pub balanced_accuracy: Estimate,
    /// Its change.
    pub balanced_accuracy_change: Estimate,
    /// Area under the ROC curve of the classes' probabilities: of the second class where there
    /// are two, else the mean over classes of each against the rest.
    pub auc: Option<f64>,
    /// Mean loss in nats; probabilities below 1e-6 count as that where answers are
    /// probabilities.
    pub log_loss: Estimate,
    /// Its change.
    pub log_loss_change: Estimate,
    /// Share of inputs that the defence treats otherwise than the rest, where it does.
    pub flagged: Option<f64>,
    /// By class.
    pub classes: Vec<GroupUtility>,
    /// By the values of the columns asked for.
    pub groups: Vec<GroupUtility>,
}

/// Accuracy in a part of the records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GroupUtility {
    /// The column; empty for classes.
    pub column: String,
    /// The value or class.
    pub value: String,
    /// Records.
    pub records: usize,
    /// Accuracy on them.
    pub accuracy: Option<f64>,
    /// Its change.
    pub change: Estimate,
}

/// A defence that was not tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkippedDefence {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// A record that was to be protected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProtectedUnit {
    /// Its identifier; of a group, that of its first record.
    pub id: String,
    /// Its class.
    pub class: String,
    /// Targets trained on it.
    pub in_targets: u32,
    /// Those in which the strongest attack found it, without a defence.
    pub found_before: u32,
    /// With the recommended defence; else with the one that protects most.
    pub found_after: Option<u32>,
    /// The class that the models not trained on it agree on, where it is another.
    pub suspected_class: Option<String>,
}

/// A file for the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deliverable {
    /// Its name in the run directory.
    pub file: String,
    /// What is in it and what to do with it.
    pub what: String,
}
