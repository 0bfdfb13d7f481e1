//! The audit: from records to the list of those that a model gives away.
//!
//! One module for each stage, in the order in which data flow: [`dataset`], [`units`]
//! and [`membership`], [`trainer`], [`target`], [`channel`] and [`signals`], [`select`],
//! [`enhance`], [`attack`], [`evaluate`], [`validity`], [`explain`], [`defend`], [`report`]; [`run`]
//! ties them together.
#![forbid(unsafe_code)]

pub mod arrays;
pub mod attack;
pub mod channel;
pub mod dataset;
pub mod defend;
pub mod enhance;
pub mod error;
pub mod evaluate;
pub mod explain;
pub mod membership;
pub mod process;
pub mod report;
pub mod run;
pub mod select;
pub mod signals;
pub mod suggest;
pub mod target;
pub mod trainer;
pub mod units;
pub mod validity;

pub use error::{Error, ErrorKind, Result};
