//! Attacks: from signals to scores and p-values.
//!
//! Each attack is one file with its source, formula and tests. Higher scores are more
//! member-like, always.

pub mod direct;
pub mod loss_trace;
pub mod quantile_regression;
pub mod tail;
