//! Which defences are tried where none is named: a sensible few of each kind that the trainer can
//! be put to, the cheap ones first, so that a small budget shows something of everything.

use crate::defend::Defence;
use crate::defend::registry;
use crate::error::Result;
use crate::process::exchange::RecordForm;
use crate::run::config::ReferenceConfig;
use crate::run::config::trainer::TrainerName;

/// The names of the defences that are tried on networks where none is named.
const OF_NETWORKS: &[&str] = &[
    // one of each kind
    "remove",
    "reweight",
    "l2+dropout:0.0005,0.25",
    "early-stopping",
    "down-weight",
    "label-only",
    "dp-sgd:8",
    "relax-loss",
    "hamp",
    // more of the kinds
    "l2:0.005",
    "dropout:0.5",
    "relabel",
    "reweight-outlying",
    "abstain",
    "neighbours",
    "fine-tune",
    "round:2",
    "temperature:4",
    "hamp-output",
    "distillation",
    "label-smoothing:0.1",
    "mem-guard",
    "l2:0.001",
    "l2+dropout:0.0005,0.5",
    // what takes long
    "harder-clipping",
    "dp-sgd:2",
    "selena",
];

/// Those that are tried on boosted trees: penalties are those usual for trees, where they count
/// against sums over the records of a leaf.
const OF_BOOSTING: &[&str] = &[
    "remove",
    "reweight",
    "early-stopping",
    "l2:10",
    "down-weight",
    "label-only",
    "label-smoothing:0.1",
    "relabel",
    "reweight-outlying",
    "abstain",
    "neighbours",
    "round:2",
    "temperature:4",
    "hamp-output",
    "mem-guard",
    "l2:1",
];

/// Those that are tried on forests, and on models of commands as far as these can be put to them:
/// training has no settings that a defence could change.
const OF_RECORDS_AND_ANSWERS: &[&str] = &[
    "remove",
    "reweight",
    "down-weight",
    "label-only",
    "relabel",
    "reweight-outlying",
    "abstain",
    "neighbours",
    "round:2",
    "temperature:4",
    "hamp-output",
    "mem-guard",
];

/// The names of the defences that are tried on a trainer where none is named.
pub(super) fn usual(reference: &ReferenceConfig) -> Vec<&'static str> {
    let command = &reference.command;
    let fits = |name: &&str| match *name {
        "down-weight" => command.takes_weights,
        "neighbours" => command.records == RecordForm::Encoded,
        // it asks models about random inputs
        "hamp-output" => command.saves_model,
        _ => true,
    };
    match reference.trainer {
        TrainerName::Network => OF_NETWORKS.to_vec(),
        TrainerName::Boosting => OF_BOOSTING.to_vec(),
        TrainerName::Forest => OF_RECORDS_AND_ANSWERS.to_vec(),
        TrainerName::Command => OF_RECORDS_AND_ANSWERS
            .iter()
            .copied()
            .filter(fits)
            .collect(),
    }
}

/// The defences of these names, each once; the usual ones where there is none.
///
/// # Errors
/// If a name is unknown.
pub(super) fn candidates(
    names: &[String],
    reference: &ReferenceConfig,
) -> Result<Vec<Box<dyn Defence>>> {
    let mut defences: Vec<Box<dyn Defence>> = Vec::new();
    let usual = usual(reference).into_iter().map(str::to_owned);
    let wanted: Vec<String> = if names.is_empty() {
        usual.collect()
    } else {
        names.to_vec()
    };
    for name in wanted {
        let defence = registry::parse(&name)?;
        if !defences.iter().any(|other| other.name() == defence.name()) {
            defences.push(defence);
        }
    }
    Ok(defences)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trainer::CommandSettings;

    #[test]
    fn what_is_usual_fits_the_trainer() {
        let of = |trainer| {
            usual(&ReferenceConfig {
                trainer,
                ..ReferenceConfig::default()
            })
        };
        let all = [
            TrainerName::Network,
            TrainerName::Boosting,
            TrainerName::Forest,
            TrainerName::Command,
        ];
        for trainer in all {
            let names = of(trainer);
            let reference = ReferenceConfig {
                trainer,
                ..ReferenceConfig::default()
            };
            assert_eq!(candidates(&[], &reference).unwrap().len(), names.len());
            assert!(names.contains(&"remove") && names.contains(&"label-only"));
        }
        assert!(of(TrainerName::Boosting).contains(&"early-stopping"));
        let of_forests = of(TrainerName::Forest);
        for name in ["early-stopping", "dp-sgd:8", "distillation", "selena"] {
            assert!(of(TrainerName::Network).contains(&name));
            assert!(!of_forests.contains(&name), "{name}");
        }
        // A command gets what it says that it can do.
        let plain = of(TrainerName::Command);
        for (name, command) in [
            (
                "down-weight",
                CommandSettings {
                    takes_weights: true,
                    ..CommandSettings::default()
                },
            ),
            (
                "neighbours",
                CommandSettings {
                    records: RecordForm::Encoded,
                    ..CommandSettings::default()
                },
            ),
            (
                "hamp-output",
                CommandSettings {
                    saves_model: true,
                    ..CommandSettings::default()
                },
            ),
        ] {
            assert!(!plain.contains(&name), "{name}");
            let able = usual(&ReferenceConfig {
                trainer: TrainerName::Command,
                command,
                ..ReferenceConfig::default()
            });
            assert!(able.contains(&name), "{name}");
            assert_eq!(able.len(), plain.len() + 1);
        }
    }
}
