//! Trainers make models from records; models answer with logits.

mod network;

use ndarray::Array2;

use crate::error::Result;

pub use network::NetworkTrainer;

/// Trains models of one kind on subsets of one data set.
///
/// A defence that changes training is a trainer around a trainer.
pub trait Trainer: Sync {
    /// Trains one model on the records `rows` (repetitions count twice), watching
    /// `validation` where it stops early. The same seed gives the same model, whatever
    /// else is being trained.
    ///
    /// # Errors
    /// If training fails, for example because it diverges.
    fn train(&self, rows: &[u32], validation: &[u32], seed: u64) -> Result<Box<dyn Model + '_>>;

    /// The name of the arithmetic in use: results of different kernels differ in rounding.
    fn kernel(&self) -> String;
}

/// A trained model.
pub trait Model {
    /// Logits `[records × classes]` on every record of the data set that its trainer was made with.
    fn logits(&self) -> Array2<f32>;
}
