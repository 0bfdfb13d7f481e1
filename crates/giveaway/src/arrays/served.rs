//! Which methods the arrays can serve, and what is said of the others.

use super::Request;
use super::shapes::Layout;
use super::signals::is_tempered;
use crate::attack::Scores;
use crate::attack::evidence::Evidence;
use crate::attack::method::Method;
use crate::error::{Error, ErrorKind, Result};

/// Models × records up to which the whole outputs of all reference models are kept without
/// being asked for: 24 bytes for each.
const KEPT_OUTPUTS: usize = 100_000_000;

/// The methods to compute.
pub(super) struct Wanted {
    pub(super) methods: Vec<Method>,
    /// Whether they were asked for by name: then one that cannot be served is an error.
    pub(super) by_name: bool,
    /// Why others are not among them.
    pub(super) notes: Vec<String>,
    /// Whether the whole outputs of all reference models fit.
    outputs_fit: bool,
}

impl Wanted {
    /// What is known before the signals are read.
    pub(super) fn new(request: &Request, layout: Layout) -> Result<Self> {
        let by_name = !request.methods.is_empty();
        let asked: &[Method] = if by_name {
            &request.methods
        } else {
            Method::EVERY
        };
        let outputs_fit = layout.models * layout.records <= KEPT_OUTPUTS;
        let mut missing: Vec<(String, Vec<Method>)> = Vec::new();
        let mut methods = Vec::new();
        for (index, &method) in asked.iter().enumerate() {
            if asked[..index].contains(&method) {
                return Err(Error::usage(format!("{} is named twice", method.name()))
                    .at("--method")
                    .hint("name each method once"));
            }
            match lacking(method, request, layout, by_name || outputs_fit) {
                None => methods.push(method),
                Some(what) => match missing.iter_mut().find(|(other, _)| *other == what) {
                    Some((_, methods)) => methods.push(method),
                    None => missing.push((what, vec![method])),
                },
            }
        }
        let mut notes: Vec<String> = missing
            .iter()
            .map(|(what, methods)| {
                let names: Vec<&str> = methods.iter().map(|method| method.name()).collect();
                let verb = if names.len() == 1 { "needs" } else { "need" };
                format!("{} {verb} {what}", names.join(", "))
            })
            .collect();
        if by_name && !notes.is_empty() {
            return Err(Error::usage(notes.join("; ")).at("--method").hint(
                "give what is needed, or leave --method out for all that the arrays can serve",
            ));
        }
        for note in &mut notes {
            note.insert_str(0, "not computed: ");
        }
        let compares_confidences = methods.iter().any(|method| {
            use Method::{Base1Offline, Base1Online, RmiaOffline, RmiaOnline};
            matches!(
                method,
                RmiaOnline | RmiaOffline | Base1Online | Base1Offline
            )
        });
        if is_tempered(request.temperature) && !compares_confidences {
            notes.push(
                "--temperature changes nothing: it is for RMIA and BASE 1, and neither was asked for"
                    .to_owned(),
            );
        }
        Ok(Self {
            methods,
            by_name,
            notes,
            outputs_fit,
        })
    }

    /// Whether the whole outputs of the target, and of the reference models, are of use.
    pub(super) fn outputs(&self, is_judged: bool) -> (bool, bool) {
        let any = self.methods.iter().any(|method| method.needs_outputs());
        let of_references = self
            .methods
            .iter()
            .any(|method| method.needs_reference_outputs());
        (any, of_references || (any && is_judged && self.outputs_fit))
    }
}

/// What a method needs and the arrays do not have.
fn lacking(method: Method, request: &Request, layout: Layout, outputs_fit: bool) -> Option<String> {
    if method.needs_outputs() && !request.signal.has_classes() {
        return Some(
            "the output for every class (--signal logits or probabilities, with --labels)"
                .to_owned(),
        );
    }
    if method == Method::QuantileRegression {
        return Some("the records' features (giveaway audit --attacks)".to_owned());
    }
    if method == Method::LtIqr {
        return Some(
            "the losses of the target's training by epoch (giveaway audit --attacks)".to_owned(),
        );
    }
    let needs_references = !method.is_without_references() || method.needs_reference_outputs();
    if needs_references && layout.models == 0 {
        return Some("reference models".to_owned());
    }
    if method.needs_reference_outputs() && !outputs_fit {
        let bytes = 40.0 * (layout.models * layout.records) as f64;
        return Some(format!(
            "{:.0} GiB of memory for so many models and records: ask for it by name",
            bytes / 2f64.powi(30)
        ));
    }
    None
}

/// Why a method that compares records can score none, where that is not for lack of models.
pub(super) fn nobody_to_compare<T>(method: Method, evidence: &Evidence<'_, T>) -> Option<Error> {
    let is_rmia = matches!(method, Method::RmiaOnline | Method::RmiaOffline);
    if !is_rmia && method != Method::Population {
        return None;
    }
    let refused = |why: &str| {
        Some(
            Error::input(format!("{} can score no record: {why}", method.name())).hint(
                "give --population-signals and --population-target, of records that some reference models were not trained on",
            ),
        )
    };
    match &evidence.population {
        None if evidence.queries[0].target.len() == 1 => {
            refused("there is no other record to compare with")
        }
        Some(population) if is_rmia => {
            let inside = population.inside.as_ref()?;
            let records = population.signal.target.len();
            let is_out = |record: usize| inside.iter().any(|row| !row[record]);
            if (0..records).any(is_out) {
                None
            } else {
                refused("every population record is IN all reference models")
            }
        }
        _ => None,
    }
}

/// A method that was named cannot be served: that is wrong usage, whatever the reason.
pub(super) fn refused(error: &Error) -> Error {
    Error::new(ErrorKind::Usage, error.to_string())
        .at("--method")
        .hint(
            error
                .hint_text()
                .unwrap_or("choose another method")
                .to_owned(),
        )
}

/// Says how many records each method leaves without a score.
pub(super) fn count_unscored(scores: &[(Method, Scores)], records: usize, notes: &mut Vec<String>) {
    let mut by_count: Vec<(usize, Vec<&str>)> = Vec::new();
    for (method, found) in scores {
        let count = found.scores.iter().filter(|score| score.is_nan()).count();
        if count == 0 {
            continue;
        }
        match by_count.iter_mut().find(|(other, _)| *other == count) {
            Some((_, names)) => names.push(method.name()),
            None => by_count.push((count, vec![method.name()])),
        }
    }
    for (count, names) in by_count {
        notes.push(format!(
            "{count} of {records} records have no score (too few reference models are IN or OUT): {}",
            names.join(", ")
        ));
    }
}
