//! Many small neural networks, trained side by side. Nothing here knows of audits.
//!
//! One network is trained by one call of [`train`] on one thread; a caller that wants
//! many networks calls it from many threads, all reading the same [`Examples`]. Where there
//! are fewer networks than cores, [`Trainer::threads`] shares the work on one. What a call
//! computes depends on its arguments and on the instruction set in use ([`kernel`]), never
//! on the number of threads or on what runs beside it.
//!
//! Layers, losses and optimisers follow PyTorch's definitions and defaults, so that a
//! network trained here stands for one trained there.

mod config;
mod error;
mod examples;
mod kernel;
mod memory;
mod model;
mod private;
mod safetensors;
mod stem;
mod stems;
mod train;
mod trained;

pub use config::{
    Activation, Convolution, EarlyStopping, Image, Network, Optimiser, Padding, Pool, Privacy,
    Schedule, Training,
};
pub use error::Error;
pub use examples::Examples;
pub use kernel::{Kernel, kernel};
pub use train::{Trainer, train};
pub use trained::{Dense, EpochLoss, Filters, Trained};
