//! The model under audit: trained here, known by a file of its outputs, or asked as a black box.
//!
//! A model that is asked implements [`Target`]: it answers some [`Questions`] at a time, once,
//! and says of a failure whether asking again may help. How often it is asked, how fast and
//! within what budget is not its business: [`asking`] sees to that, for all kinds alike, and
//! records every query in the [`ledger`] before it is sent.

pub mod asking;
pub(crate) mod columns;
pub mod command;
pub mod ledger;
mod outputs_file;
pub mod questions;
pub(crate) mod reading;

use std::time::Duration;

use ndarray::Array2;

use crate::error::Error;

pub use command::{CommandTarget, CommandTargetSettings};
pub use outputs_file::{read_members, read_outputs};
pub use questions::{QuestionColumn, QuestionValues, Questions};
pub use reading::{TargetOutputs, interpret, settle};

/// In which form a target takes its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The numbers that the reference models see: float32, records × features.
    Encoded,
    /// The columns of the data file, each in its own type.
    Raw,
}

/// A model under audit, asked as a black box.
///
/// Implementations may be asked by several threads at once. They keep no count and try nothing
/// twice, and neither [`name`](Self::name) nor an error of theirs holds a secret.
pub trait Target: Send + Sync {
    /// What it is and where, for reports and messages.
    fn name(&self) -> String;

    /// In which form it wants its inputs.
    fn form(&self) -> Form;

    /// Questions that it takes in one request, at most; at least 1.
    fn batch_size(&self) -> usize;

    /// Requests that it may work on at the same time; at least 1.
    fn concurrency(&self) -> usize;

    /// Asks once: one answer for each question, in their order.
    ///
    /// # Errors
    /// Why there is no answer, and whether another attempt may bring one.
    fn ask(&self, questions: &Questions) -> Result<Answers, Refusal>;
}

/// What a target answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Answers {
    /// Numbers: questions × outputs. Nothing has been checked but the number of rows.
    Numbers {
        /// The outputs as they came.
        values: Array2<f32>,
        /// What the target calls its outputs, where it says so: put into the order of the
        /// classes by these names if they are the classes.
        names: Option<Vec<String>>,
    },
    /// Nothing but the class of each question.
    Labels(Vec<String>),
}

impl Answers {
    /// Number of questions answered.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Numbers { values, .. } => values.nrows(),
            Self::Labels(labels) => labels.len(),
        }
    }

    /// Whether nothing was answered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Whether the target has seen the questions of a failed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Surely not: no connection was made. They do not count against the budget.
    NotSent,
    /// Perhaps, or surely: they count.
    Sent,
}

/// Why a request brought no answer.
#[derive(Debug)]
pub struct Refusal {
    /// In words, of kind [`Target`](crate::error::ErrorKind::Target) mostly.
    pub error: Error,
    /// Whether asking again may help: the target is busy, restarting, or the network failed.
    pub again: bool,
    /// How long the target asks to wait before that.
    pub after: Option<Duration>,
    /// Whether it has seen the questions.
    pub delivery: Delivery,
}

impl Refusal {
    /// A failure that asking again will not mend.
    #[must_use]
    pub fn lasting(error: Error) -> Self {
        Self {
            error,
            again: false,
            after: None,
            delivery: Delivery::Sent,
        }
    }

    /// A failure that may pass; the questions may have been seen.
    #[must_use]
    pub fn passing(error: Error) -> Self {
        Self {
            error,
            again: true,
            after: None,
            delivery: Delivery::Sent,
        }
    }

    /// The same, where surely nothing was seen.
    #[must_use]
    pub fn not_sent(self) -> Self {
        Self {
            delivery: Delivery::NotSent,
            ..self
        }
    }

    /// The same, where the target says how long to wait.
    #[must_use]
    pub fn after(self, wait: Option<Duration>) -> Self {
        Self {
            after: wait,
            ..self
        }
    }
}
