//! The ground floor of `giveaway`: numbers in, numbers out. Nothing here knows of audits.
#![forbid(unsafe_code)]

pub mod accounting;
pub mod binomial;
pub mod combination;
pub mod density;
pub mod distribution;
pub mod empirical;
pub mod error;
pub mod interval;
pub mod multiplicity;
pub mod one_run;
pub mod pchip;
pub mod privacy;
pub mod random;
pub mod roc;
mod special;
pub mod summary;
pub mod uniformity;
pub mod variance;

pub use error::InputError;
