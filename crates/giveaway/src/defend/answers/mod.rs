//! Defences of answers: training stays as it is, and what the model says is changed.
//!
//! Each is a file with its source. They share what is in three others: `guard` asks the model and
//! hands its logits to a rule, `row` has what is done to one row of them, and [`outlying`] finds
//! the inputs that lie apart.
//!
//! The same input always gets the same answer, whether it is asked for as a record of the data
//! set or as a query, alone or among others: what a defence draws at random follows from the
//! seeds and from the input's numbers. Otherwise asking twice would average the noise away.

pub mod abstain;
mod guard;
pub mod hamp_output;
pub mod label_only;
pub mod mem_guard;
pub mod outlying;
pub mod reweight;
pub mod rounding;
mod row;
pub mod temperature;
pub mod top_k;

pub use abstain::Abstain;
pub use hamp_output::HampOutput;
pub use label_only::LabelOnly;
pub use mem_guard::MemGuard;
pub use reweight::Reweight;
pub use rounding::Rounding;
pub use temperature::Temperature;
pub use top_k::TopK;

#[cfg(test)]
mod tests;
