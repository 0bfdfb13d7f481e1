//! Many small neural networks, trained side by side. Nothing here knows of audits.
//!
//! One network is trained by one call of [`train`] on one thread; a caller that wants
//! many networks calls it from many threads, all reading the same [`Examples`]. Where there
//! are fewer networks than cores, [`Trainer::threads`] shares the work on one. What a call
//! computes depends on its arguments and on the instruction set in use ([`kernel`]), never
//! on the number of threads or on what runs beside it.
//!
//! Layers, losses and optimisers follow PyTorch's definitions and defaults, so that a
//! network trained here stands for one trained there: dense layers, convolutions with
//! pooling, residual additions ([`Skip`]), dropout; images moved and mirrored in training
//! ([`Augmentation`]). Weights are written and read as safetensors, with PyTorch's names
//! ([`Trained::to_safetensors`]).
//!
//! What audits ask of a network is there beside its training: gradients of single records,
//! their norms, training that bounds them ([`Privacy`]), gradients of a loss or a logit with
//! respect to features and to what convolutions make of them ([`Quantity`]), and outputs
//! block by block. What memory all this takes is known beforehand ([`Trainer::memory`],
//! [`Examples::memory`]).

mod augmentation;
mod config;
mod error;
mod examples;
mod kernel;
mod memory;
mod model;
mod objective;
mod private;
mod safetensors;
mod stem;
mod stems;
mod train;
mod trained;

pub use config::{
    Activation, Augmentation, Convolution, EarlyStopping, Image, Network, Objective, Optimiser,
    Padding, Pool, Privacy, Schedule, Skip, Training,
};
pub use error::Error;
pub use examples::Examples;
pub use kernel::{Kernel, Loops, kernel, vectorised};
pub use train::{Trainer, train};
pub use trained::{Dense, EpochLoss, Filters, Quantity, Trained};
