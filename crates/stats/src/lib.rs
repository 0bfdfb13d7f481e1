//! The ground floor of `giveaway`: numbers in, numbers out. Nothing here knows of audits.
#![forbid(unsafe_code)]

pub mod random;
