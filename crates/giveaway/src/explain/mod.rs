//! Why records are exposed: measures of each record, reasons in words, and what holds for the
//! model as a whole (methods, section 2).
//!
//! Everything here is computed from arrays: what the reference models answer, vectors in a few
//! spaces ([`geometry`]), and the values of the records ([`rarity`]). `run` gathers these and
//! writes what comes of them.

pub mod answers;
pub mod attribution;
pub mod definitions;
pub mod divergence;
pub mod findings;
pub mod geometry;
pub mod learning;
pub mod measures;
pub mod ranking;
pub mod rarity;
pub mod reasons;
pub mod spread;
pub mod words;
