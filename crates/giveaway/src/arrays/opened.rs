//! The arrays of a request, opened, and loaded as signals of audited records or a population.

use std::path::PathBuf;

use super::canaries::Canaries;
use super::npy::{Element, Npy};
use super::shapes::{self, Layout};
use super::signals::{self, Loaded, Rules};
use super::{PopulationFiles, Request, Signal, truths};
use crate::attack::evidence::{Query, Real};
use crate::error::{Error, Result};

/// Signals of target and reference models on the same records.
pub(super) struct Side<T> {
    pub(super) layout: Layout,
    pub(super) references: Loaded<T>,
    pub(super) target: Loaded<f64>,
    pub(super) inside: Option<Vec<bool>>,
}

/// What is known of the target's training.
pub(super) struct Known {
    pub(super) is_member: Vec<bool>,
    pub(super) canaries: Option<Canaries>,
}

/// The open files of audited records or of a population.
pub(super) struct Files {
    pub(super) signals: Npy,
    pub(super) target: Npy,
    pub(super) membership: Option<Npy>,
    pub(super) labels: Option<Vec<u32>>,
    pub(super) layout: Layout,
}

/// Opens the arrays of the audited records, and reads the small ones.
pub(super) fn audited(request: &Request) -> Result<(Files, Option<Known>)> {
    let signals = Npy::open("--signals", &request.signals)?;
    let membership = Npy::open("--membership", &request.membership)?;
    let mut target = Npy::open("--target", &request.target)?;
    let open = |option, path: &Option<PathBuf>| {
        path.as_ref()
            .map(|path| Npy::open(option, path))
            .transpose()
    };
    let mut labels = open("--labels", &request.labels)?;
    let mut target_membership = open("--target-membership", &request.target_membership)?;
    let mut canaries = match &request.canaries {
        Some(options) => Some(Npy::open("--canaries", &options.canaries)?),
        None => None,
    };
    let has_classes = request.signal.has_classes();
    if has_classes && labels.is_none() {
        return Err(needs_labels(request.signal, "--labels"));
    }
    if !has_classes && labels.is_some() {
        return Err(no_use_for_labels(request.signal, "--labels"));
    }
    let layout = shapes::layout(shapes::Arrays {
        signals: &signals,
        membership: &membership,
        target: &mut target,
        by_record: labels
            .iter_mut()
            .chain(&mut target_membership)
            .chain(&mut canaries)
            .collect(),
        with_classes: has_classes,
    })?;
    if u32::try_from(layout.records).is_err() || layout.records > (u32::MAX / 2) as usize {
        return Err(Error::input(format!(
            "{} records are more than can be ranked",
            layout.records
        ))
        .at(target.place())
        .hint("attack a part of the records"));
    }
    let labels = labels
        .as_ref()
        .map(|npy| truths::labels(npy, classes(request.signal, layout)))
        .transpose()?;
    let is_member = target_membership
        .as_ref()
        .map(|npy| truths::truths(npy, "membership of the target", |r| format!("record {r}")))
        .transpose()?;
    let canaries = match (&request.canaries, &canaries) {
        (Some(options), Some(npy)) => {
            let is_canary = truths::truths(npy, "being a canary", |r| format!("record {r}"))?;
            Some(Canaries::new(options, is_canary)?)
        }
        _ => None,
    };
    let known = is_member.map(|is_member| Known {
        is_member,
        canaries,
    });
    let audited = Files {
        signals,
        target,
        membership: Some(membership),
        labels,
        layout,
    };
    Ok((audited, known))
}

/// The largest class number and one.
fn classes(signal: Signal, layout: Layout) -> usize {
    if signal.has_classes() {
        layout.classes
    } else {
        u32::MAX as usize
    }
}

fn no_use_for_labels(signal: Signal, option: &str) -> Error {
    Error::usage(format!(
        "labels are for logits or probabilities, and --signal {} is one number for each record",
        signal.name()
    ))
    .at(option)
    .hint(format!(
        "give --signal logits or probabilities for an output per class, or leave {option} out"
    ))
}

fn needs_labels(signal: Signal, option: &str) -> Error {
    Error::usage(format!(
        "--signal {} needs the class of each record",
        signal.name()
    ))
    .hint(format!("give {option} FILE with class numbers from 0"))
}

/// Opens the arrays of a population.
pub(super) fn population(
    files: &PopulationFiles,
    signal: Signal,
    of_audited: Layout,
) -> Result<Files> {
    let has_classes = signal.has_classes();
    let signals = Npy::open("--population-signals", &files.signals)?;
    let mut target = Npy::open("--population-target", &files.target)?;
    let open = |option, path: &Option<PathBuf>| {
        path.as_ref()
            .map(|path| Npy::open(option, path))
            .transpose()
    };
    let membership = open("--population-membership", &files.membership)?;
    let mut labels = open("--population-labels", &files.labels)?;
    if has_classes && labels.is_none() {
        return Err(needs_labels(signal, "--population-labels"));
    }
    if !has_classes && labels.is_some() {
        return Err(no_use_for_labels(signal, "--population-labels"));
    }
    let layout = shapes::population(
        &signals,
        &mut target,
        &mut labels.iter_mut().collect::<Vec<_>>(),
        membership.as_ref(),
        of_audited,
        has_classes,
    )?;
    let labels = labels
        .as_ref()
        .map(|npy| truths::labels(npy, classes(signal, layout)))
        .transpose()?;
    Ok(Files {
        signals,
        target,
        membership,
        labels,
        layout,
    })
}

/// Loads the signals of files.
pub(super) fn load<T: Element + Real>(
    files: &Files,
    rules: &Rules,
    outputs_of: (bool, bool),
) -> Result<Side<T>> {
    let one = Layout {
        models: 1,
        ..files.layout
    };
    let (references, target) = if rules.signal.has_classes() {
        let labels = files.labels.as_deref().unwrap_or_default();
        let (of_target, of_references) = outputs_of;
        let whose = " of the target";
        (
            signals::load_outputs(
                &files.signals,
                files.layout,
                labels,
                rules,
                of_references,
                "",
            )?,
            signals::load_outputs(&files.target, one, labels, rules, of_target, whose)?,
        )
    } else {
        (
            signals::load_numbers(&files.signals, files.layout, rules, "")?,
            signals::load_numbers(&files.target, one, rules, " of the target")?,
        )
    };
    let records = files.layout.records;
    let inside = files
        .membership
        .as_ref()
        .map(|npy| {
            truths::truths(npy, "membership", |position| {
                format!(
                    "model {}, record {}",
                    position / records,
                    position % records
                )
            })
        })
        .transpose()?;
    Ok(Side {
        layout: files.layout,
        references,
        target,
        inside,
    })
}

impl<T: Real> Side<T> {
    pub(super) fn queries(&self) -> Vec<Query<'_, T>> {
        let Layout {
            models,
            records,
            queries,
            ..
        } = self.layout;
        (0..queries)
            .map(|query| Query {
                references: (0..models)
                    .map(|model| {
                        &self.references.values[(model * queries + query) * records..][..records]
                    })
                    .collect(),
                target: self.target.values[query * records..][..records].to_vec(),
            })
            .collect()
    }

    pub(super) fn tempered(&self) -> Option<Query<'_, T>> {
        let records = self.layout.records;
        (!self.target.tempered.is_empty()).then(|| Query {
            references: self.references.tempered.chunks_exact(records).collect(),
            target: self.target.tempered.clone(),
        })
    }

    pub(super) fn inside(&self) -> Option<Vec<&[bool]>> {
        let inside = self.inside.as_ref()?;
        Some(inside.chunks_exact(self.layout.records).collect())
    }
}
