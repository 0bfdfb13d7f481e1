//! What the report says of attacks that are compared with direct inference.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::method::{Method, Parameters};
use crate::evaluate::Estimate;
use crate::evaluate::agreement::{Agreement, Stability};
use crate::evaluate::attacks::{Carried, Quality};

/// Attacks on the signals of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AttackSection {
    /// What they left open; the a that was found, where one was.
    pub parameters: Parameters,
    /// Reference models that played the target.
    pub played_targets: usize,
    /// One entry for each attack, in the order asked for.
    pub attacks: Vec<AttackSummary>,
    /// Every pair of them on the target.
    pub agreement: Vec<Agreement>,
    /// How much the target as a whole gives away by its losses alone ("The Tail Tells All"),
    /// where its members are known.
    #[serde(default)]
    pub tail: Vec<TailFigure>,
}

/// The share of non-members whose losses are above all but a share of the members'.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TailFigure {
    /// That share of the members, ε.
    pub epsilon: f64,
    /// The quantile `1 - ε` of the members' losses.
    pub threshold: f64,
    /// Share of the non-members above it; about ε where nothing is given away.
    pub share: Estimate,
}

/// One attack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AttackSummary {
    /// Its name.
    pub method: Method,
    /// Who proposed it.
    pub citation: String,
    /// How well it ranks the records of the target, where its members are known.
    pub on_target: Option<Quality>,
    /// How well it ranks over reference models in the target's place; nothing for an attack
    /// that looks at the target alone.
    pub leave_one_out: Option<Quality>,
    /// Thresholds chosen there, and what they do to the target. None where reference models are
    /// trained on other records: those have fewer OUT models than the audited ones, and other
    /// floors.
    pub carried: Vec<Carried>,
    /// Records accused in at least half of the played targets trained on them, at the
    /// threshold of 1 % false positives over those targets; nothing without such a threshold.
    pub found_by_recipe: Option<usize>,
    /// How far disjoint sets of reference models name the same records.
    pub stability: Option<Stability>,
}

impl AttackSection {
    /// What is said of an attack.
    #[must_use]
    pub fn of(&self, method: Method) -> Option<&AttackSummary> {
        self.attacks.iter().find(|attack| attack.method == method)
    }
}
