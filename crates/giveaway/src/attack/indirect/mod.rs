//! Indirect inference (after Long et al. 2018): a hypothesis test of a record from queries
//! that are not the record.
//!
//! Null hypothesis `H_out`: the record is not in the target's training set. Under it the
//! target's signal of each of the record's queries is distributed as those of the reference
//! models that the record is OUT of. This room knows signals of queries alone: neither how
//! queries are made, nor training, nor runs.
//!
//! What a query tests is in its [`Tail`]. Inside, everything is about oriented statistics
//! `u = φ` or `u = -φ`: larger is more member-like, whatever the tail, so that correlations
//! have the right sign by themselves. Tails, weights and the order of the queries must come
//! of other models than those that test.
//!
//! Each query gets a p-value as in [direct inference](super::direct), from the same nulls;
//! `ecdf` and `pchip` take `-u` for the loss, so that their left tail is the member-like one.
//! Variances of few OUT models are not moderated here: a record's queries are no sample of
//! independent units from which a prior could be learnt. Then the p-values are combined:
//!
//! - `kost`: Brown's scaled chi-square of `ψ = -2 Σ ln p` with the covariances of Kost and
//!   `McDermott` (methods, section 4.1). Correlations are Pearson's of u over the OUT models.
//!   Their sum is all that is needed, never an inverse: more queries than models do no harm.
//! - `fisher`: the same with no correlations, as if queries were independent. They are not.
//! - `empirical`: the rank of the target's ψ among those of the OUT models, each against the
//!   others and the target. Exactly valid if target and OUT models are exchangeable, however
//!   queries depend on each other; never below `1/(k_out + 1)`.
//! - `discriminant`: one number `Σ w_j u_j`, with weights fixed beforehand, tested as one query.
//!
//! Before its logarithm is taken, a p-value is raised to its [`floor`].
//!
//! A query that is constant over the OUT models has no correlation, and no spread to measure
//! the target by. `kost` and `fisher` do without it, and count it; `empirical` keeps it, with
//! the p-value that its ranks give.

mod correlation;
mod empirical;
mod leave_one_out;
mod sample;

use ndarray::{ArrayView1, ArrayView2};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::sample::Prepared;
use super::direct::Null;
use super::evidence::Real;
use crate::error::{Error, Result};

pub use leave_one_out::{Plays, leave_one_out};

/// Which models have the larger scaled logit on a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tail {
    /// Models that were trained on the record: they have the lower loss.
    Upper,
    /// Models that were not.
    Lower,
}

impl Tail {
    /// The statistic that is larger for models trained on the record.
    #[must_use]
    pub fn oriented(self, scaled_logit: f64) -> f64 {
        match self {
            Self::Upper => scaled_logit,
            Self::Lower => -scaled_logit,
        }
    }
}

/// How the p-values of a record's queries become one.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Combination {
    /// A scaled chi-square, with correlations over the OUT models.
    Kost,
    /// Chi-square, as if queries were independent.
    Fisher,
    /// The rank of the combined statistic among those of the OUT models.
    Empirical,
    /// One weighted sum of the queries' statistics, tested as one query.
    Discriminant,
}

impl Combination {
    /// All combinations, in the order of the tables.
    pub const EVERY: [Self; 4] = [
        Self::Kost,
        Self::Fisher,
        Self::Empirical,
        Self::Discriminant,
    ];

    /// The name used in options, files and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kost => "kost",
            Self::Fisher => "fisher",
            Self::Empirical => "empirical",
            Self::Discriminant => "discriminant",
        }
    }

    /// The smallest number of OUT models with which it can be computed. Two points are always
    /// on a line: a correlation takes three.
    #[must_use]
    pub fn models_needed(self, null: Null) -> usize {
        match self {
            Self::Kost => null.models_needed().max(3),
            Self::Fisher | Self::Empirical | Self::Discriminant => null.models_needed(),
        }
    }
}

/// The smallest p-value of one query that `models_out` OUT models can honestly give; smaller
/// ones are raised to it before their logarithm is taken.
///
/// `ecdf` and `pchip` do not go below `1/(k_out + 1)` in any case. The null `t` does: it
/// extends a normal shape beyond what was seen, and its logarithm would let one query of a
/// skewed distribution decide for all. It is trusted down to `1/(k_out + 1)²`. To first order
/// (Cornish and Fisher) a skewness γ moves `ln p` at the normal deviate z by `γ z³/6`. A
/// skewness of one standard error, `√(6/k)`, is not to be seen in k models; at
/// `z = (24 k)^(1/6)` it moves `ln p` by 2, which is a factor of 7, and the p-value there is
/// about `1/(k + 1)²` for all usual k (.0035 and .0035 at 16, .00013 and .00010 at 100).
#[must_use]
pub fn floor(null: Null, models_out: usize) -> f64 {
    let rank = 1.0 / (models_out as f64 + 1.0);
    match null {
        Null::T => rank * rank,
        Null::Ecdf | Null::Pchip => rank,
    }
}

/// Signals of the models that test, on the queries of one record.
#[derive(Clone, Copy, Debug)]
pub struct RecordQueries<'a, T> {
    /// Scaled logits of the queries with the record's label, `[models × queries]`; the best
    /// queries first.
    pub logits: ArrayView2<'a, T>,
    /// Which of the models were trained on the record.
    pub inside: &'a [bool],
    /// What each query tests.
    pub tails: &'a [Tail],
    /// Weight of each query's oriented statistic for [`Combination::Discriminant`].
    pub weights: Option<&'a [f64]>,
    /// The scaled logit from which down, and its negative from which up, the target's interface
    /// shows no difference ([`Channel::cut`](crate::channel::Channel::cut)), if there is one.
    pub cut: Option<f64>,
}

/// What is to be computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The null of each query.
    pub null: Null,
    /// The combinations.
    pub combinations: Vec<Combination>,
    /// Numbers of queries, the first of a record's, that are combined; a record that has fewer
    /// queries is tested by all it has.
    pub budgets: Vec<usize>,
}

impl Settings {
    fn check(&self) -> Result<()> {
        if self.combinations.is_empty() {
            return Err(Error::usage("no combination of p-values is named")
                .hint("name kost, fisher, empirical or discriminant"));
        }
        if self.budgets.is_empty() || self.budgets.contains(&0) {
            return Err(Error::usage("a budget of no queries")
                .hint("give one or more numbers of queries from 1, such as 1, 10, 50, 200"));
        }
        Ok(())
    }

    /// For each budget the number of queries of a record that has so many.
    fn ends(&self, queries: usize) -> Vec<usize> {
        let ends = self.budgets.iter();
        ends.map(|&budget| budget.min(queries)).collect()
    }
}

impl<T: Real> RecordQueries<'_, T> {
    fn check(&self, settings: &Settings) -> Result<()> {
        let (models, queries) = self.logits.dim();
        if queries == 0 {
            return Err(Error::input("a record without a query cannot be tested")
                .hint("give each record one query or more, or leave it out"));
        }
        let lengths = [
            ("memberships", self.inside.len(), models, "models"),
            ("tails", self.tails.len(), queries, "queries"),
            (
                "weights",
                self.weights.map_or(queries, <[f64]>::len),
                queries,
                "queries",
            ),
        ];
        for (what, found, wanted, of) in lengths {
            if found != wanted {
                return Err(Error::input(format!("{found} {what} for {wanted} {of}"))
                    .hint(format!("give one for each of the {of}")));
            }
        }
        let place = |(model, query): (usize, usize)| format!("model {model}, query {query}");
        for (at, &logit) in self.logits.indexed_iter() {
            finite(logit.into(), || place(at))?;
        }
        for (query, &weight) in self.weights.into_iter().flatten().enumerate() {
            finite(weight, || format!("weight of query {query}"))?;
        }
        if self.weights.is_none() && settings.combinations.contains(&Combination::Discriminant) {
            return Err(
                Error::usage("the discriminant needs a weight for each query")
                    .hint("give weights that were found on other models, or leave it out"),
            );
        }
        Ok(())
    }
}

fn finite(value: f64, place: impl Fn() -> String) -> Result<()> {
    if value.is_finite() {
        return Ok(());
    }
    Err(Error::input(format!("the number is {value}"))
        .at(place())
        .hint("numbers must be finite; clamp probabilities before the logarithm"))
}

/// What indirect inference says of one record.
#[derive(Clone, Debug, PartialEq)]
pub struct Tested {
    /// P-value of each query, not raised to a floor.
    pub p_values: Vec<f64>,
    /// OUT models that the target was compared with.
    pub models_out: usize,
    /// By budget, how many of the queries are constant over the OUT models: [`Combination::Kost`]
    /// and [`Combination::Fisher`] do without them.
    pub constant: Vec<usize>,
    /// Combined p-values, `[combinations × budgets]`.
    combined: Vec<f64>,
}

impl Tested {
    /// The combined p-value by the places of combination and budget in the settings. `NaN` where
    /// the record has [too few](Combination::models_needed) OUT models; 1 where all queries are
    /// constant and the combination does without them.
    #[must_use]
    pub fn combined(&self, combination: usize, budget: usize) -> f64 {
        self.combined[combination * self.constant.len() + budget]
    }
}

/// Tests one record on the target, whose scaled logits of the record's queries are `target`.
///
/// # Errors
/// If numbers are missing or not finite, or the settings make no sense.
pub fn test<T: Real>(
    record: &RecordQueries<'_, T>,
    target: &[f64],
    settings: &Settings,
) -> Result<Tested> {
    settings.check()?;
    record.check(settings)?;
    if target.len() != record.tails.len() {
        return Err(Error::input(format!(
            "{} signals of the target for {} queries",
            target.len(),
            record.tails.len()
        ))
        .hint("give one for each of the queries"));
    }
    for (query, &logit) in target.iter().enumerate() {
        finite(logit, || format!("target, query {query}"))?;
    }
    let prepared = Prepared::new(record, settings);
    let oriented: Vec<f64> = target
        .iter()
        .zip(record.tails)
        .map(|(&logit, tail)| tail.oriented(logit))
        .collect();
    Ok(prepared.test(&oriented, None))
}

/// The oriented statistics of one model.
fn oriented<T: Real>(logits: &ArrayView1<'_, T>, tails: &[Tail]) -> Vec<f64> {
    let logits = logits.iter().zip(tails);
    logits
        .map(|(&logit, tail)| tail.oriented(logit.into()))
        .collect()
}

#[cfg(test)]
mod tests;
