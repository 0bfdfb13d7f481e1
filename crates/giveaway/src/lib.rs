//! The audit: from records to the list of those that a model gives away.
#![forbid(unsafe_code)]

pub mod dataset;
pub mod error;

pub use error::{Error, Result};
