//! Which defences are tried where none is named: a sensible few of each kind, the cheap ones
//! first, so that a small budget shows something of everything.

use crate::defend::Defence;
use crate::defend::registry;
use crate::error::Result;

/// The names of the defences that are tried where none is named.
pub(super) const USUAL: &[&str] = &[
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

/// The defences of these names, each once; the usual ones where there is none.
///
/// # Errors
/// If a name is unknown.
pub(super) fn candidates(names: &[String]) -> Result<Vec<Box<dyn Defence>>> {
    let mut defences: Vec<Box<dyn Defence>> = Vec::new();
    let usual = USUAL.iter().map(|&name| name.to_owned());
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
