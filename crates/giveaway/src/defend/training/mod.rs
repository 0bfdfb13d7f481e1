//! Defences that change the training set or the training.
//!
//! Those that only change settings hand out an [altered](crate::trainer::Trainer::altered)
//! trainer. The others are a trainer around a trainer, which makes of every training set what is
//! to be learnt from instead. Validation rows pass through as they are, rows that occur more
//! than once go on counting more than once, and whatever is drawn for a model follows from its
//! seed alone.

mod around;
pub mod distillation;
pub mod down_weight;
pub mod dp_sgd;
pub mod dropout;
pub mod early_stopping;
pub mod fine_tune;
pub mod hamp;
pub mod harder_clipping;
pub mod l2;
pub mod l2_dropout;
pub mod label_smoothing;
pub mod neighbours;
pub mod relabel;
pub mod relax_loss;
pub mod remove;
pub mod selena;

pub use distillation::Distillation;
pub use down_weight::DownWeight;
pub use dp_sgd::{DpSgd, Guarantee};
pub use dropout::Dropout;
pub use early_stopping::EarlyStopping;
pub use fine_tune::FineTune;
pub use hamp::HampTraining;
pub use harder_clipping::HarderClipping;
pub use l2::L2;
pub use l2_dropout::L2Dropout;
pub use label_smoothing::LabelSmoothing;
pub use neighbours::Neighbours;
pub use relabel::Relabel;
pub use relax_loss::RelaxLoss;
pub use remove::Remove;
pub use selena::Selena;

#[cfg(test)]
mod tests;
