//! What can be typed after `giveaway attack`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use giveaway::Result;
use giveaway::arrays::{CanaryOptions, PopulationFiles, QueryRequest, Request, Signal};
use giveaway::attack::method::{Method, Parameters};
use giveaway::error::Error;

use crate::arguments::{CombinationName, NullName, whole};

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct AttackOptions {
    #[command(flatten)]
    arrays: ArrayOptions,
    #[command(flatten)]
    population: PopulationOptions,
    #[command(flatten)]
    attacks: MethodOptions,
    #[command(flatten)]
    queries: OptionsOfQueries,
    #[command(flatten)]
    canaries: OptionsOfCanaries,
    #[command(flatten)]
    pub(crate) result: AttackResultOptions,
}

const AFTER_HELP: &str = "Arrays are NPY files (numpy.save) of bool, whole numbers, float16, float32 or float64, in C or \
Fortran order. One axis more, after the records, holds query augmentations: LiRA adds them up, \
other attacks take the first.\n\n\
A confidence of exactly 1 counts as the largest number below 1 of the coarsest type among the \
arrays, one of 0 as the smallest above 0; a loss of 0 counts as half that type's epsilon, or as \
the smallest other loss if that is smaller. --clamp says otherwise.\n\n\
Exit codes: 0 done, 1 unexpected failure, 2 wrong usage, 3 bad input";

#[derive(Debug, Args)]
#[command(next_help_heading = "Arrays")]
struct ArrayOptions {
    /// Signals of the reference models, [models x records], or [models x records x classes]
    /// for logits and probabilities
    #[arg(long, value_name = "S.npy")]
    signals: PathBuf,
    /// What the signals are
    #[arg(long, value_enum)]
    signal: SignalName,
    /// Which record was in the training set of which model, [models x records]
    #[arg(long, value_name = "M.npy")]
    membership: PathBuf,
    /// Signals of the target: one for each record, or [records x classes]
    #[arg(long, value_name = "T.npy")]
    target: PathBuf,
    /// Class of each record, from 0; needed for logits and probabilities
    #[arg(long, value_name = "y.npy")]
    labels: Option<PathBuf>,
    /// Which records the target was trained on: the attacks are judged then
    #[arg(long, value_name = "t.npy")]
    target_membership: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    next_help_heading = "Population of RMIA and Attack-P (the audited records, if none is given)"
)]
struct PopulationOptions {
    /// Signals of the reference models on records that the target was not trained on,
    /// [models x population]
    #[arg(
        long = "population-signals",
        id = "population_signals",
        value_name = "FILE",
        requires = "population_target"
    )]
    signals: Option<PathBuf>,
    /// The target's, one for each of them
    #[arg(
        long = "population-target",
        id = "population_target",
        value_name = "FILE",
        requires = "population_signals"
    )]
    target: Option<PathBuf>,
    /// Which of them was in the training set of which model; none, if not given
    #[arg(
        long = "population-membership",
        id = "population_membership",
        value_name = "FILE",
        requires = "population_signals"
    )]
    membership: Option<PathBuf>,
    /// Their classes; needed for logits and probabilities
    #[arg(
        long = "population-labels",
        id = "population_labels",
        value_name = "FILE",
        requires = "population_signals"
    )]
    labels: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Attacks")]
struct MethodOptions {
    /// Attacks by name, or "all" (the default): all that the arrays can serve; or
    /// gmia-indirect alone
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    method: Vec<String>,
    /// RMIA: how many times larger a record's ratio must be than that of a population record
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 2.0,
        allow_negative_numbers = true
    )]
    gamma: f64,
    /// RMIA offline: the mean of a record is ((1+a) × its OUT mean + (1-a))/2; a is found on a reference model if not given
    #[arg(
        long,
        alias = "a",
        value_name = "NUMBER",
        allow_negative_numbers = true
    )]
    offline_a: Option<f64>,
    /// Temperature of the confidences that RMIA and BASE 1 compare; needs logits or
    /// probabilities
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 1.0,
        allow_negative_numbers = true
    )]
    temperature: f64,
    /// Take probabilities from this number to one less this number
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    clamp: Option<f64>,
    /// Null distribution of gmia-direct, and of each query of gmia-indirect
    #[arg(long, value_enum, default_value = "t")]
    null: NullName,
}

#[derive(Debug, Args)]
#[command(
    next_help_heading = "Queries of gmia-indirect, which stand where records do in the arrays"
)]
struct OptionsOfQueries {
    /// Which record each query is for, from 0, rising; a record's best query first
    #[arg(long, value_name = "q.npy")]
    query_record: Option<PathBuf>,
    /// 1 for each query on which models trained on the record have the larger scaled logit, -1
    /// for the others, as found on other models; without it half of the models finds out, and
    /// the other half tests
    #[arg(long, value_name = "FILE", requires = "query_record")]
    query_tail: Option<PathBuf>,
    /// How the p-values of a record's queries become one
    #[arg(long, value_enum, default_value = "empirical")]
    combination: CombinationName,
}

/// What is to be attacked.
pub(crate) enum Asked {
    /// Records, by their own signals.
    Records(Request),
    /// Records, by queries.
    Queries(QueryRequest),
}

/// The method that is not one of records.
const INDIRECT: &str = "gmia-indirect";

#[derive(Debug, Args)]
#[command(next_help_heading = "Lower bound on epsilon from canaries, in one training run")]
struct OptionsOfCanaries {
    /// Which records are canaries, one truth value for each: put into the target's training set, or not, by
    /// independent fair coins
    #[arg(long, value_name = "FILE")]
    canaries: Option<PathBuf>,
    /// How many canaries to guess on, half of them members; fixed before scores were seen, as
    /// the one --method
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    guesses: Option<usize>,
    /// The δ of the claim; 1e-5 by default
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    delta: Option<f64>,
    /// The ε that is claimed, to be compared with the bounds
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    claimed_epsilon: Option<f64>,
}

impl OptionsOfCanaries {
    fn given(&self) -> Result<Option<CanaryOptions>> {
        let Some(canaries) = &self.canaries else {
            let option = [
                ("--guesses", self.guesses.is_some()),
                ("--delta", self.delta.is_some()),
                ("--claimed-epsilon", self.claimed_epsilon.is_some()),
            ];
            return match option.iter().find(|option| option.1) {
                None => Ok(None),
                Some((option, _)) => Err(Error::usage(
                    "is for canaries, and none are named: records that were drawn in a balanced way, or not by the auditor's independent fair coins, bound no epsilon",
                )
                .at(option)
                .hint("give --canaries FILE, true where a record's own coin decided, or leave it out")),
            };
        };
        let Some(guesses) = self.guesses else {
            return Err(Error::usage(
                "the number of guesses is not said, and must not depend on the scores",
            )
            .at("--canaries")
            .hint("give --guesses N, as it was fixed beforehand; half of them are on members"));
        };
        Ok(Some(CanaryOptions {
            canaries: canaries.clone(),
            guesses,
            delta: self.delta.unwrap_or(USUAL_DELTA),
            claimed_epsilon: self.claimed_epsilon,
        }))
    }
}

/// The δ of most claims.
const USUAL_DELTA: f64 = 1e-5;

#[derive(Debug, Args)]
#[command(next_help_heading = "Result")]
pub(crate) struct AttackResultOptions {
    /// Write scores.parquet, and with --target-membership metrics.json, into this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Print JSON: the figures, or without --target-membership the scores
    #[arg(long)]
    pub(crate) json: bool,
    /// Seed of the intervals' bootstrap
    #[arg(long, default_value_t = 0, allow_negative_numbers = true, value_parser = whole::<u64>)]
    seed: u64,
    /// Threads; all cores by default. The result does not depend on it
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub(crate) threads: Option<usize>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SignalName {
    /// ln p - ln(1-p), p the probability of the record's class
    ScaledLogit,
    /// -ln p
    Loss,
    /// p
    Confidence,
    /// A logit for every class
    Logits,
    /// A probability for every class
    Probabilities,
}

impl From<SignalName> for Signal {
    fn from(name: SignalName) -> Self {
        match name {
            SignalName::ScaledLogit => Self::ScaledLogit,
            SignalName::Loss => Self::Loss,
            SignalName::Confidence => Self::Confidence,
            SignalName::Logits => Self::Logits,
            SignalName::Probabilities => Self::Probabilities,
        }
    }
}

impl AttackOptions {
    /// What is asked for.
    pub(crate) fn request(&self) -> Result<Asked> {
        let names = &self.attacks.method;
        if !names.iter().any(|name| name.trim() == INDIRECT) {
            if self.queries.query_record.is_some() {
                return Err(
                    Error::usage("is for gmia-indirect, which was not asked for")
                        .at("--query-record")
                        .hint(
                            "give --method gmia-indirect: other attacks take records, not queries",
                        ),
                );
            }
            return Ok(Asked::Records(self.arrays_and(methods(names)?)?));
        }
        if names.len() > 1 {
            return Err(Error::usage(
                "gmia-indirect takes arrays of queries, other attacks arrays of records",
            )
            .at("--method")
            .hint("give it alone, and the others in a call of their own"));
        }
        let Some(query_record) = &self.queries.query_record else {
            return Err(
                Error::usage("gmia-indirect needs to know which record each query is for")
                    .at("--method")
                    .hint("give --query-record FILE, a number from 0 for each query"),
            );
        };
        Ok(Asked::Queries(QueryRequest {
            arrays: self.arrays_and(Vec::new())?,
            query_record: query_record.clone(),
            query_tail: self.queries.query_tail.clone(),
            combination: self.queries.combination.into(),
        }))
    }

    fn arrays_and(&self, methods: Vec<Method>) -> Result<Request> {
        let population = match (&self.population.signals, &self.population.target) {
            (Some(signals), Some(target)) => Some(PopulationFiles {
                signals: signals.clone(),
                target: target.clone(),
                membership: self.population.membership.clone(),
                labels: self.population.labels.clone(),
            }),
            // clap wants both or neither
            _ => None,
        };
        Ok(Request {
            signals: self.arrays.signals.clone(),
            signal: self.arrays.signal.into(),
            membership: self.arrays.membership.clone(),
            target: self.arrays.target.clone(),
            labels: self.arrays.labels.clone(),
            target_membership: self.arrays.target_membership.clone(),
            methods,
            parameters: Parameters {
                gamma: self.attacks.gamma,
                offline_a: self.attacks.offline_a,
                null: self.attacks.null.into(),
            },
            temperature: self.attacks.temperature,
            clamp: self.attacks.clamp,
            population,
            canaries: self.canaries.given()?,
            seed: self.result.seed,
        })
    }
}

/// The methods of these names; none for all.
fn methods(names: &[String]) -> Result<Vec<Method>> {
    let names: Vec<&str> = names.iter().map(|name| name.trim()).collect();
    if names == ["all"] {
        return Ok(Vec::new());
    }
    if names.contains(&"all") {
        return Err(Error::usage("`all` stands for all methods")
            .at("--method")
            .hint("give it alone, or name methods"));
    }
    names
        .into_iter()
        .map(|name| Method::parse(name).map_err(|error| error.at("--method")))
        .collect()
}
