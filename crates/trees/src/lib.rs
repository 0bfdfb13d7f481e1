//! Random forests and gradient-boosted trees on binned features. Nothing here knows of audits.
//!
//! A caller wants many models of subsets of one data set, so the data set is binned once
//! ([`Features`]) and read by all trainings. [`Forest::train`] and [`Boosting::train`] make an
//! [`Ensemble`], which answers for the binned records and for any others. Definitions and
//! defaults are those of scikit-learn's `RandomForestClassifier` and
//! `HistGradientBoostingClassifier`, so that a model trained here stands for one trained there.
//!
//! The result of a training depends on its arguments only: neither on the number of threads
//! (each call uses the rayon pool it is called in) nor on the machine. Every sum that could be
//! made in another order is a sum of whole numbers, and exponentials and logarithms are
//! computed here or by `libm`, in Rust.

mod boosting;
mod ensemble;
mod error;
mod examples;
mod exponential;
mod features;
mod file;
mod forest;

pub use boosting::{Boosting, Traced};
pub use ensemble::{Ensemble, LOG_ZERO};
pub use error::Error;
pub use examples::Examples;
pub use features::{Features, MOST_BINS};
pub use forest::{Criterion, Forest, MaxFeatures};
