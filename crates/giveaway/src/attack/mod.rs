//! Attacks: from signals to scores and p-values.
//!
//! Each attack is one file with its source, formula and tests; [`method`] knows them by name.
//! Higher scores are more member-like, always.

pub mod base;
pub mod bavaria;
pub mod confidence;
pub mod difficulty;
pub mod direct;
pub mod entropy;
pub mod evidence;
mod exponential;
mod finite;
pub mod gap;
pub mod indirect;
pub mod label_only;
pub mod lira;
pub mod loss;
pub mod loss_trace;
pub mod method;
pub mod modified_entropy;
pub mod moments;
pub mod outputs;
pub mod population;
pub mod quantile_regression;
pub mod ranks;
pub mod reference;
pub mod rmia;
pub mod sablayrolles;
pub mod tail;

/// What an attack says of each record.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Higher is more member-like; `NaN` where a record cannot be scored.
    pub scores: Vec<f64>,
    /// P-values under the hypothesis that the record is OUT, where the attack has them.
    pub p_values: Option<Vec<f64>>,
}

impl Scores {
    /// Scores without p-values.
    #[must_use]
    pub fn of(scores: Vec<f64>) -> Self {
        Self {
            scores,
            p_values: None,
        }
    }
}
