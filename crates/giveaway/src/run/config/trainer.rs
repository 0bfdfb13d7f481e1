//! What trains the models: networks, trees, or a command of the user's.

use giveaway_trees::{Boosting, Criterion, Forest, MaxFeatures};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
pub use crate::trainer::CommandSettings;

/// What trains the reference models, and a target that is trained here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TrainerName {
    /// Neural networks.
    #[default]
    Network,
    /// Random forests.
    Forest,
    /// Gradient-boosted trees.
    Boosting,
    /// A command of the user's.
    Command,
}

impl TrainerName {
    /// The name used in options and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Forest => "forest",
            Self::Boosting => "boosting",
            Self::Command => "command",
        }
    }
}

/// Features that a forest looks at in a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NodeFeatures {
    /// The square root of all.
    #[default]
    Sqrt,
    /// All.
    All,
    /// So many.
    Count(usize),
    /// This share of all.
    Share(f64),
}

/// How a forest is grown; scikit-learn's defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ForestConfig {
    /// Number of trees.
    pub trees: usize,
    /// Splits on the way to a leaf, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_depth: Option<usize>,
    /// Samples that a node must have to be split.
    pub min_samples_split: usize,
    /// Samples that a leaf must have.
    pub min_samples_leaf: usize,
    /// Features looked at in a node.
    pub max_features: NodeFeatures,
    /// Whether each tree has samples of its own, drawn with replacement.
    pub bootstrap: bool,
    /// Whether splits go by entropy rather than by Gini's impurity.
    pub entropy: bool,
}

/// Up to so many trees a forest has few answers: grown until leaves are pure, it has as many as
/// outputs of one decimal.
const FEW_TREES: usize = 10;

impl ForestConfig {
    /// Whether so few different answers are possible that losses of different models often are
    /// equal, as of an interface that is [coarse](crate::channel::Channel::is_coarse).
    #[must_use]
    pub fn is_coarse(&self) -> bool {
        self.trees <= FEW_TREES
    }
}

impl Default for ForestConfig {
    fn default() -> Self {
        Self {
            trees: 100,
            max_depth: None,
            min_samples_split: 2,
            min_samples_leaf: 1,
            max_features: NodeFeatures::Sqrt,
            bootstrap: true,
            entropy: false,
        }
    }
}

/// How trees are boosted; the defaults of scikit-learn's `HistGradientBoostingClassifier`,
/// without its early stopping.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct BoostingConfig {
    /// Rounds: one tree for each class, or one where there are two.
    pub rounds: usize,
    /// What the trees' values are multiplied by.
    pub learning_rate: f64,
    /// Leaves of a tree, at most; 0 for no limit.
    pub max_leaves: usize,
    /// Splits on the way to a leaf, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_depth: Option<usize>,
    /// Samples that a leaf must have.
    pub min_samples_leaf: usize,
    /// L2 penalty on the trees' values.
    pub l2: f64,
}

impl Default for BoostingConfig {
    fn default() -> Self {
        Self {
            rounds: 100,
            learning_rate: 0.1,
            max_leaves: 31,
            max_depth: None,
            min_samples_leaf: 20,
            l2: 0.0,
        }
    }
}

/// More trees than these are a slip.
const MOST_TREES: usize = 100_000;

fn refused(option: &str, message: String, hint: &str) -> Result<()> {
    Err(Error::usage(message).at(option).hint(hint))
}

impl ForestConfig {
    /// Looks whether the numbers make sense.
    ///
    /// # Errors
    /// Naming the option of the first that does not.
    pub fn check(&self) -> Result<()> {
        if !(1..=MOST_TREES).contains(&self.trees) {
            return refused(
                "--trees",
                format!("a forest cannot have {} trees", self.trees),
                "100 are usual",
            );
        }
        check_tree(self.max_depth, self.min_samples_leaf)?;
        if self.min_samples_split < 2 {
            return refused(
                "reference.forest.min-samples-split",
                "a node of one sample cannot be split".to_owned(),
                "give at least 2",
            );
        }
        match self.max_features {
            NodeFeatures::Count(0) => refused(
                "--max-features",
                "a split cannot be found among no features".to_owned(),
                "give sqrt, all, a number from 1 or a share such as 30%",
            ),
            NodeFeatures::Share(share) if !(share > 0.0 && share <= 1.0) => refused(
                "--max-features",
                format!("a share of {share} of the features makes no sense"),
                "give sqrt, all, a number from 1 or a share such as 30%",
            ),
            _ => Ok(()),
        }
    }

    /// What grows it.
    #[must_use]
    pub fn forest(&self) -> Forest {
        Forest {
            trees: self.trees,
            criterion: if self.entropy {
                Criterion::Entropy
            } else {
                Criterion::Gini
            },
            max_depth: self.max_depth,
            min_samples_split: self.min_samples_split,
            min_samples_leaf: self.min_samples_leaf,
            max_features: match self.max_features {
                NodeFeatures::Sqrt => MaxFeatures::Sqrt,
                NodeFeatures::All => MaxFeatures::All,
                NodeFeatures::Count(count) => MaxFeatures::Count(count),
                NodeFeatures::Share(share) => MaxFeatures::Share(share),
            },
            bootstrap: self.bootstrap,
        }
    }

    /// In words, for reports.
    #[must_use]
    pub fn words(&self) -> String {
        format!(
            "random forest of {} trees{}",
            self.trees,
            deep(self.max_depth)
        )
    }
}

impl BoostingConfig {
    /// Looks whether the numbers make sense.
    ///
    /// # Errors
    /// Naming the option of the first that does not.
    pub fn check(&self) -> Result<()> {
        if !(1..=MOST_TREES).contains(&self.rounds) {
            return refused(
                "--rounds",
                format!("{} rounds of boosting make no sense", self.rounds),
                "100 are usual",
            );
        }
        check_tree(self.max_depth, self.min_samples_leaf)?;
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return refused(
                "--learning-rate",
                format!("a learning rate of {} makes no sense", self.learning_rate),
                "0.1 is usual for boosting",
            );
        }
        if self.max_leaves == 1 {
            return refused(
                "--max-leaves",
                "trees of a single leaf learn nothing".to_owned(),
                "31 are usual; 0 is no limit",
            );
        }
        if !(self.l2 >= 0.0 && self.l2.is_finite()) {
            return refused(
                "--l2",
                format!("a penalty of {} makes no sense", self.l2),
                "give 0 or more",
            );
        }
        Ok(())
    }

    /// What boosts them.
    #[must_use]
    pub fn boosting(&self, patience: Option<usize>) -> Boosting {
        Boosting {
            rounds: self.rounds,
            learning_rate: self.learning_rate,
            max_leaves: (self.max_leaves > 0).then_some(self.max_leaves),
            max_depth: self.max_depth,
            min_samples_leaf: self.min_samples_leaf,
            l2: self.l2,
            patience,
            ..Boosting::default()
        }
    }

    /// In words, for reports.
    #[must_use]
    pub fn words(&self) -> String {
        format!(
            "gradient-boosted trees, {} rounds{}",
            self.rounds,
            deep(self.max_depth)
        )
    }
}

fn check_tree(max_depth: Option<usize>, min_samples_leaf: usize) -> Result<()> {
    if max_depth == Some(0) {
        return refused(
            "--max-depth",
            "trees without a split learn nothing".to_owned(),
            "give at least 1, or leave it out",
        );
    }
    if min_samples_leaf == 0 {
        return refused(
            "--min-samples-leaf",
            "a leaf of no samples makes no sense".to_owned(),
            "give at least 1",
        );
    }
    Ok(())
}

fn deep(max_depth: Option<usize>) -> String {
    max_depth.map_or_else(String::new, |depth| format!(", at most {depth} deep"))
}
