//! The options that say what trains the models.

use clap::Args;
use giveaway::Result;
use giveaway::error::Error;
use giveaway::process::exchange::RecordForm;
use giveaway::run::config::Config;
use giveaway::run::config::trainer::{NodeFeatures, TrainerName};
use giveaway::suggest::nearest;

use crate::arguments::{set, set_some, whole};

#[derive(Debug, Args)]
#[command(next_help_heading = "Trainer")]
pub(crate) struct TrainerOptions {
    /// What trains the models: network, forest, boosting, or a command of yours in quotes, such
    /// as 'python train.py' (docs/command-trainer.md says what it is given)
    #[arg(long, value_name = "TRAINER")]
    trainer: Option<String>,
    /// Trees of a forest; 100 by default
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    trees: Option<usize>,
    /// Rounds of boosting; 100 by default
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    rounds: Option<usize>,
    /// Splits on the way to a leaf, at most; no limit by default
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    max_depth: Option<usize>,
    /// Leaves of a boosted tree, at most; 31 by default, 0 for no limit
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    max_leaves: Option<usize>,
    /// Samples that a leaf must have; 1 in a forest and 20 in boosting by default
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    min_samples_leaf: Option<usize>,
    /// Features that a forest looks at in a node: sqrt (the default), all, a number, or a share
    /// such as 30%
    #[arg(long, value_name = "N", value_parser = node_features)]
    max_features: Option<NodeFeatures>,
    /// What your command reads: the columns as they are in the file (raw), or the numbers that
    /// networks would see (encoded)
    #[arg(long, value_name = "FORM", value_parser = ["raw", "encoded"])]
    trainer_form: Option<String>,
    /// Your command saves its model to the path after --model, and answers with it where --train
    /// is missing: indirect inference needs that
    #[arg(long)]
    trainer_saves_model: bool,
    /// Seconds after which a training by your command is given up
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    trainer_timeout: Option<f64>,
}

/// The trainers that are built in, and what stands for a command of the configuration.
const NAMES: [&str; 4] = ["network", "forest", "boosting", "command"];

fn node_features(text: &str) -> std::result::Result<NodeFeatures, String> {
    match text {
        "sqrt" => return Ok(NodeFeatures::Sqrt),
        "all" => return Ok(NodeFeatures::All),
        _ => {}
    }
    let parsed = match text.strip_suffix('%') {
        Some(share) => share
            .trim()
            .parse()
            .ok()
            .map(|s: f64| NodeFeatures::Share(s / 100.0)),
        None => text.trim().parse().ok().map(NodeFeatures::Count),
    };
    parsed.ok_or_else(|| "give sqrt, all, a number such as 10, or a share such as 30%".to_owned())
}

impl TrainerOptions {
    pub(crate) fn apply(&self, config: &mut Config) -> Result<()> {
        let reference = &mut config.reference;
        match self.trainer.as_deref() {
            None => {}
            Some("network") => reference.trainer = TrainerName::Network,
            Some("forest") => reference.trainer = TrainerName::Forest,
            Some("boosting") => reference.trainer = TrainerName::Boosting,
            Some("command") => reference.trainer = TrainerName::Command,
            Some(slip)
                if !slip.contains(char::is_whitespace)
                    && let Some(meant) = nearest(slip, NAMES) =>
            {
                return Err(Error::usage(format!("there is no trainer `{slip}`"))
                    .at("--trainer")
                    .hint(format!("did you mean {meant}? A command of one word is given with its path, such as ./{slip}")));
            }
            Some(command) => {
                reference.trainer = TrainerName::Command;
                command.clone_into(&mut reference.command.command);
            }
        }
        let given: [(&str, bool, &[TrainerName]); 9] = [
            ("--trees", self.trees.is_some(), &[TrainerName::Forest]),
            (
                "--max-features",
                self.max_features.is_some(),
                &[TrainerName::Forest],
            ),
            ("--rounds", self.rounds.is_some(), &[TrainerName::Boosting]),
            (
                "--max-leaves",
                self.max_leaves.is_some(),
                &[TrainerName::Boosting],
            ),
            (
                "--max-depth",
                self.max_depth.is_some(),
                &[TrainerName::Forest, TrainerName::Boosting],
            ),
            (
                "--min-samples-leaf",
                self.min_samples_leaf.is_some(),
                &[TrainerName::Forest, TrainerName::Boosting],
            ),
            (
                "--trainer-form",
                self.trainer_form.is_some(),
                &[TrainerName::Command],
            ),
            (
                "--trainer-saves-model",
                self.trainer_saves_model,
                &[TrainerName::Command],
            ),
            (
                "--trainer-timeout",
                self.trainer_timeout.is_some(),
                &[TrainerName::Command],
            ),
        ];
        for (option, given, trainers) in given {
            if given && !trainers.contains(&reference.trainer) {
                return Err(Error::usage(format!(
                    "means nothing to the trainer {}",
                    reference.trainer.name()
                ))
                .at(option)
                .hint(format!(
                    "leave it out, or choose --trainer {}",
                    trainers[0].name()
                )));
            }
        }
        set(&mut reference.forest.trees, self.trees);
        set(&mut reference.forest.max_features, self.max_features);
        set(&mut reference.boosting.rounds, self.rounds);
        set(&mut reference.boosting.max_leaves, self.max_leaves);
        if reference.trainer == TrainerName::Forest {
            set_some(&mut reference.forest.max_depth, self.max_depth);
            set(
                &mut reference.forest.min_samples_leaf,
                self.min_samples_leaf,
            );
        } else {
            set_some(&mut reference.boosting.max_depth, self.max_depth);
            set(
                &mut reference.boosting.min_samples_leaf,
                self.min_samples_leaf,
            );
        }
        if let Some(form) = &self.trainer_form {
            reference.command.records = match form.as_str() {
                "encoded" => RecordForm::Encoded,
                _ => RecordForm::Raw,
            };
        }
        reference.command.saves_model |= self.trainer_saves_model;
        set_some(&mut reference.command.timeout, self.trainer_timeout);
        Ok(())
    }
}
