//! Attacks on signals that were made elsewhere: arrays in, scores and figures out.
//!
//! `npy` reads arrays, `shapes` finds out what their axes are, `signals` and `truths` turn
//! them into [`Evidence`]; [`metrics`] and `calibration` judge the scores where the target's
//! training records are known, and `design` looks whether the reference models know the
//! target; `summary` and `written` say and write them.

mod calibration;
mod canaries;
mod design;
mod indirect;
pub mod metrics;
mod npy;
mod opened;
mod served;
mod shapes;
mod signals;
mod summary;
mod truths;
mod written;

use std::path::PathBuf;

use serde::Serialize;

use crate::attack::Scores;
use crate::attack::direct::Null;
use crate::attack::evidence::{Evidence, Population, Real};
use crate::attack::method::{Attacker, Method, Parameters};
use crate::error::{Error, Result};
use crate::evaluate::CONFIDENCE;
pub use canaries::{CanaryBound, CanaryOptions, CanarySummary};
pub use design::Design;
pub use indirect::{AtPValue, IndirectMetrics, IndirectOutcome, QueryRequest, attack_by_queries};
use metrics::{MethodMetrics, Named};
use npy::{Element, Precision};
use opened::{Files, Known, Side};
use served::Wanted;
use signals::Rules;
pub use signals::Signal;
pub use written::Destination;

/// Version of `metrics.json`.
pub const FORMAT_VERSION: u32 = 1;

/// What is to be attacked, and how.
#[derive(Clone, Debug)]
pub struct Request {
    /// Signals of the reference models, `[models x records]`, with queries and classes after.
    pub signals: PathBuf,
    /// What they are.
    pub signal: Signal,
    /// Which record was IN the training set of which reference model, `[models x records]`.
    pub membership: PathBuf,
    /// Signals of the target, `[records]`, with queries and classes after.
    pub target: PathBuf,
    /// Class of each record; needed for logits and probabilities.
    pub labels: Option<PathBuf>,
    /// Which records the target was trained on.
    pub target_membership: Option<PathBuf>,
    /// Attacks, in the order of the table; none for all that the arrays can serve.
    pub methods: Vec<Method>,
    /// What attacks leave open.
    pub parameters: Parameters,
    /// Temperature of the confidences that RMIA and BASE compare.
    pub temperature: f64,
    /// Probabilities are taken from this to one less this.
    pub clamp: Option<f64>,
    /// Records known to be OUT of the target.
    pub population: Option<PopulationFiles>,
    /// An audit of canaries.
    pub canaries: Option<CanaryOptions>,
    /// Seed of the bootstrap.
    pub seed: u64,
}

/// Arrays of a population.
#[derive(Clone, Debug)]
pub struct PopulationFiles {
    /// Signals of the reference models, `[models x population]`.
    pub signals: PathBuf,
    /// Signals of the target, `[population]`.
    pub target: PathBuf,
    /// Which were IN which reference model; without it all are OUT of all.
    pub membership: Option<PathBuf>,
    /// Class of each; needed for logits and probabilities.
    pub labels: Option<PathBuf>,
}

/// Where RMIA's a comes from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OfflineA {
    /// Its value.
    pub value: f64,
    /// `given`, or `found` on a reference model.
    pub source: &'static str,
}

/// Everything that the scores depend on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// RMIA's γ.
    pub gamma: f64,
    /// RMIA's a, where rmia-offline was computed.
    pub offline_a: Option<OfflineA>,
    /// Temperature of the confidences that RMIA and BASE compare.
    pub temperature: f64,
    /// What probabilities were clamped to, where that was said.
    pub clamp: Option<f64>,
    /// Null distribution of gmia-direct.
    pub null: Null,
    /// What stands for a population in RMIA and Attack-P.
    pub population: String,
    /// Seed of the bootstrap.
    pub seed: u64,
}

/// What the arrays were.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Described {
    /// Version of the document.
    pub format_version: u32,
    /// The giveaway that made it.
    pub giveaway_version: &'static str,
    /// What the numbers of the arrays are.
    pub signal: &'static str,
    /// Reference models.
    pub models: usize,
    /// Records.
    pub records: usize,
    /// Queries for each record.
    pub queries: usize,
    /// Classes, where each record has a number for every one.
    pub classes: Option<usize>,
    /// Everything that the scores depend on.
    pub parameters: Settings,
}

/// `metrics.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metrics {
    /// What the arrays were.
    #[serde(flatten)]
    pub described: Described,
    /// Members of the target among the records.
    pub members: usize,
    /// Non-members.
    pub non_members: usize,
    /// What the numbers do not say.
    pub about: &'static str,
    /// How intervals were made.
    pub intervals: Intervals,
    /// What the making of the reference models tells of members.
    pub design: Design,
    /// How many reference models played the target to set thresholds.
    pub calibration_models: usize,
    /// The audit of canaries, where there are any.
    pub canaries: Option<CanarySummary>,
    /// By method.
    pub methods: Named<MethodMetrics>,
}

/// How intervals were made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Intervals {
    /// Confidence level.
    pub level: f64,
    /// In words.
    pub by: &'static str,
    /// Bootstrap replicates.
    pub replicates: u64,
}

/// What the numbers do not say.
const ABOUT: &str = "The records of one model are not independent trials: these figures and \
intervals describe this target and these records, and bound neither other models nor epsilon. \
tpr_at_fpr, advantage and balanced_accuracy take the best threshold on the target itself; \
calibrated takes thresholds from reference models.";

/// What came out.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What the arrays were.
    pub described: Described,
    /// Scores of each method, in the order of the table.
    pub scores: Vec<(Method, Scores)>,
    /// Figures, where the target's training records are known.
    pub metrics: Option<Metrics>,
    /// What the user should know beside the numbers.
    pub notes: Vec<String>,
}

/// Runs the attacks.
///
/// # Errors
/// If an array cannot be read or does not fit the others, or a method that was named cannot
/// be served.
pub fn attack(request: &Request) -> Result<Outcome> {
    request.parameters.check()?;
    check_numbers(request)?;
    let (audited, known) = opened::audited(request)?;
    let population = request
        .population
        .as_ref()
        .map(|files| opened::population(files, request.signal, audited.layout))
        .transpose()?;
    let mut wanted = Wanted::new(request, audited.layout)?;
    let both = [Some(&audited), population.as_ref()];
    let opened: Vec<&Files> = both.into_iter().flatten().collect();
    let rules = rules_of(request, &opened, &mut wanted.notes);
    wanted.notes.extend(readings(request, &audited));
    let as_single = !request.signal.has_classes()
        && both
            .into_iter()
            .flatten()
            .all(|files| files.signals.precision() <= Precision::Single);
    if as_single {
        on::<f32>(
            request,
            &audited,
            population.as_ref(),
            &rules,
            wanted,
            known.as_ref(),
        )
    } else {
        on::<f64>(
            request,
            &audited,
            population.as_ref(),
            &rules,
            wanted,
            known.as_ref(),
        )
    }
}

/// How the numbers of these arrays are read.
fn rules_of(request: &Request, opened: &[&Files], notes: &mut Vec<String>) -> Rules {
    let mut types: Vec<Precision> = opened
        .iter()
        .flat_map(|files| [files.signals.precision(), files.target.precision()])
        .collect();
    types.sort_unstable();
    types.dedup();
    let precision = types.first().copied().unwrap_or(Precision::Double);
    let rules = Rules {
        signal: request.signal,
        precision,
        clamp: request.clamp,
        temperature: request.temperature,
        rounds: types.len() > 1,
    };
    if rules.rounds {
        let names: Vec<&str> = types.iter().map(|precision| precision.name()).collect();
        notes.push(format!(
            "the signals are {}: all were rounded to {}, as equal numbers would differ otherwise",
            names.join(" and "),
            precision.name()
        ));
    }
    rules
}

/// How axes were read that could be something else.
fn readings(request: &Request, audited: &Files) -> Vec<String> {
    let layout = audited.layout;
    let name = audited.signals.name();
    let mut notes = Vec::new();
    if layout.models == layout.records {
        notes.push(format!(
            "{name} has as many models as records ({}): whether it is [models x records] cannot be checked, and it was read so",
            layout.models
        ));
    }
    if audited.signals.shape().len() > 2 + usize::from(request.signal.has_classes()) {
        let other = if request.signal.has_classes() {
            ""
        } else {
            "; for an output per class, give --signal logits or probabilities, with --labels"
        };
        notes.push(format!(
            "the third axis of {name} was read as {} queries of each record{other}",
            layout.queries
        ));
    }
    notes
}

/// Looks at the numbers among the options.
fn check_numbers(request: &Request) -> Result<()> {
    let temperature = request.temperature;
    if !(temperature > 0.0 && temperature.is_finite()) {
        return Err(Error::usage(format!("the temperature is {temperature}"))
            .at("--temperature")
            .hint("give a number above 0; 1 leaves confidences as they are"));
    }
    if signals::is_tempered(temperature) && !request.signal.has_classes() {
        return Err(Error::usage(
            "confidences at another temperature need the output for every class",
        )
        .at("--temperature")
        .hint(
            "give logits or probabilities, with --signal and --labels, or leave --temperature out",
        ));
    }
    if let Some(clamp) = request.clamp
        && !(clamp > 0.0 && clamp < 0.5)
    {
        return Err(Error::usage(format!("the clamp is {clamp}"))
            .at("--clamp")
            .hint("give a number above 0 and below 0.5, such as 1e-6: probabilities are taken from it to one less it"));
    }
    if let Some(canaries) = &request.canaries {
        canaries.check()?;
        if request.target_membership.is_none() {
            return Err(Error::usage("which canaries were included is not said")
                .at("--canaries")
                .hint("give --target-membership FILE, as the coins fell"));
        }
        if request.methods.len() != 1 {
            return Err(
                Error::usage("a bound on epsilon wants one method, and the best of several bounds nothing")
                    .at("--canaries")
                    .hint("name the one that was fixed beforehand with --method NAME; for a table of several leave --canaries out"),
            );
        }
    }
    Ok(())
}

/// Attacks and judges, with references kept as `T`.
fn on<T: Element + Real>(
    request: &Request,
    audited: &Files,
    population: Option<&Files>,
    rules: &Rules,
    wanted: Wanted,
    known: Option<&Known>,
) -> Result<Outcome> {
    let mut side: Side<T> = opened::load(audited, rules, wanted.outputs(known.is_some()))?;
    design::refuse_target(audited, &side)?;
    let mut notes = wanted.notes;
    let design = known
        .map(|known| {
            let mut methods = wanted.methods.iter();
            let uses_references = methods.any(|method| !method.is_without_references());
            Design::looked_at(audited, &side, known, uses_references, &mut notes)
        })
        .transpose()?;
    let mut others: Option<Side<T>> = population
        .map(|files| opened::load(files, rules, (false, false)))
        .transpose()?;
    if request.signal == Signal::Loss && request.clamp.is_none() {
        let mut references = vec![&mut side.references.values];
        let mut targets = vec![&mut side.target.values];
        if let Some(others) = &mut others {
            references.push(&mut others.references.values);
            targets.push(&mut others.target.values);
        }
        signals::raise_zero_losses(&mut references, &mut targets, rules.precision);
    }
    let evidence = Evidence {
        losses: None,
        kind: request.signal.scalar(),
        queries: side.queries(),
        inside: side.inside().unwrap_or_default(),
        tempered: side.tempered(),
        target_outputs: side.target.outputs.first(),
        reference_outputs: side.references.outputs.iter().collect(),
        labels: audited.labels.as_deref(),
        features: None,
        traces: None,
        population: others.as_ref().map(|others| Population {
            signal: others.queries().swap_remove(0),
            tempered: others.tempered(),
            inside: others.inside(),
        }),
    };
    debug_assert!(
        evidence.check().is_ok(),
        "arrays were checked as they were read"
    );

    let mut parameters = request.parameters;
    let mut offline_a = None;
    if wanted.methods.contains(&Method::RmiaOffline) {
        let source = if parameters.offline_a.is_some() {
            "given"
        } else {
            "found"
        };
        let value = Attacker::new(&evidence, parameters).offline_a();
        parameters.offline_a = Some(value);
        offline_a = Some(OfflineA { value, source });
    }
    let attacker = Attacker::new(&evidence, parameters);
    let scores = scored(
        &attacker,
        &evidence,
        &wanted.methods,
        wanted.by_name,
        &mut notes,
    )?;
    served::count_unscored(&scores, side.layout.records, &mut notes);
    let described = Described {
        format_version: FORMAT_VERSION,
        giveaway_version: env!("CARGO_PKG_VERSION"),
        signal: request.signal.name(),
        models: side.layout.models,
        records: side.layout.records,
        queries: side.layout.queries,
        classes: request.signal.has_classes().then_some(side.layout.classes),
        parameters: Settings {
            gamma: parameters.gamma,
            offline_a,
            temperature: request.temperature,
            clamp: request.clamp,
            null: parameters.null,
            population: others.as_ref().map_or_else(
                || "the audited records themselves".to_owned(),
                |others| format!("{} records given", others.layout.records),
            ),
            seed: request.seed,
        },
    };
    // Reference models in the target's place are attacked with an a of their own, unless it
    // was given: the one above may have been found on the very model that plays.
    let metrics = known
        .zip(design)
        .map(|(known, design)| {
            let parameters = request.parameters;
            measured(
                &evidence, &scores, parameters, known, design, &described, &mut notes,
            )
        })
        .transpose()?;
    Ok(Outcome {
        described,
        scores,
        metrics,
        notes,
    })
}

/// The scores of those methods that the arrays serve.
fn scored<T: Real>(
    attacker: &Attacker<'_, '_, T>,
    evidence: &Evidence<'_, T>,
    methods: &[Method],
    by_name: bool,
    notes: &mut Vec<String>,
) -> Result<Vec<(Method, Scores)>> {
    let mut scores: Vec<(Method, Scores)> = Vec::new();
    for &method in methods {
        let found = match served::nobody_to_compare(method, evidence) {
            Some(error) => Err(error),
            None => attacker.score(method),
        };
        match found {
            Ok(found) => scores.push((method, found)),
            Err(error) if by_name => return Err(served::refused(&error)),
            Err(error) => notes.push(format!("not computed: {error}")),
        }
    }
    if scores.is_empty() {
        return Err(Error::usage("the arrays serve no method").hint(notes.join("; ")));
    }
    Ok(scores)
}

fn measured<T: Real>(
    evidence: &Evidence<'_, T>,
    scores: &[(Method, Scores)],
    parameters: Parameters,
    known: &Known,
    design: Design,
    described: &Described,
    notes: &mut Vec<String>,
) -> Result<Metrics> {
    let is_member = known.is_member.as_slice();
    let seed = described.parameters.seed;
    let members = is_member.iter().filter(|&&member| member).count();
    let non_members = is_member.len() - members;
    if members == 0 || non_members == 0 {
        let missing = if members == 0 {
            "members"
        } else {
            "non-members"
        };
        notes.push(format!(
            "the target has no {missing} among the records: figures that compare both are empty"
        ));
    }
    let methods: Vec<Method> = scores.iter().map(|(method, _)| *method).collect();
    let (calibration_models, calibrated) = calibration::calibrate(evidence, &methods, parameters);
    let columns: Vec<&[f64]> = scores.iter().map(|(_, s)| s.scores.as_slice()).collect();
    let mut judged = metrics::judge(&columns, is_member, &calibrated, seed);
    let mut canaries = None;
    if let Some(of_target) = &known.canaries {
        canaries = Some(of_target.summary(is_member, notes));
        for (judged, scores) in judged.iter_mut().zip(&columns) {
            judged.canaries = of_target.bound(scores, is_member)?;
        }
    }
    Ok(Metrics {
        described: described.clone(),
        members,
        non_members,
        about: ABOUT,
        intervals: Intervals {
            level: CONFIDENCE,
            by: "percentiles of a bootstrap over members and non-members separately",
            replicates: metrics::replicates(is_member.len()),
        },
        design,
        calibration_models,
        canaries,
        methods: Named(
            methods
                .iter()
                .map(|method| method.name().to_owned())
                .zip(judged)
                .collect(),
        ),
    })
}
