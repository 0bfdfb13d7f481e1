//! Trainers make models from records; models answer with logits.

mod network;

use std::io;

use ndarray::{Array2, ArrayView2};

use crate::error::{Error, Result};

pub use network::NetworkTrainer;

/// Trains models of one kind on subsets of one data set.
///
/// A defence that changes training is a trainer around a trainer.
pub trait Trainer: Sync {
    /// Trains one model on the records `rows` (repetitions count twice), watching
    /// `validation` where it stops early, on the threads of the current rayon pool. The
    /// same seed gives the same model, however many these are and whatever else is being
    /// trained.
    ///
    /// # Errors
    /// If training fails, for example because it diverges.
    fn train(&self, rows: &[u32], validation: &[u32], seed: u64) -> Result<Box<dyn Model + '_>>;

    /// As [`Self::train`], and the loss of each record of `traced` after every epoch: epochs
    /// run × traced, −ln of the probability of the record's label, answered as the finished
    /// model would, without dropout and augmentation. The model is the one that
    /// [`Self::train`] gives, and the trace of a record does not depend on which others are
    /// traced; any records may be, and in any order.
    ///
    /// Only the owner of a model has this: it looks into the training.
    ///
    /// # Errors
    /// As [`Self::train`], or if the trainer cannot look into its training; unless a trainer
    /// says otherwise, it cannot.
    fn train_traced(
        &self,
        rows: &[u32],
        validation: &[u32],
        traced: &[u32],
        seed: u64,
    ) -> Result<(Box<dyn Model + '_>, Array2<f32>)> {
        let _ = (rows, validation, traced, seed);
        Err(
            Error::usage("this trainer does not tell losses after every epoch")
                .hint("leave out what needs traces (LT-IQR), or train with the built-in networks"),
        )
    }

    /// Bytes that training one model on so many records takes on so many threads, with so
    /// many to validate on, beside the data set and the lists of records.
    fn memory(&self, records: usize, validation: usize, threads: usize) -> usize;

    /// As [`Self::memory`], for [`Self::train_traced`] with so many traced records.
    fn memory_traced(
        &self,
        records: usize,
        validation: usize,
        traced: usize,
        threads: usize,
    ) -> usize {
        let _ = traced;
        self.memory(records, validation, threads)
    }

    /// The model whose [weights](Model::weights) these are: it answers bit for bit as the one
    /// that they were taken from.
    ///
    /// # Errors
    /// If they are no weights of such a model, or the trainer cannot restore any; unless a
    /// trainer says otherwise, it cannot.
    fn restore(&self, weights: &[u8]) -> Result<Box<dyn Model + '_>> {
        let _ = weights;
        Err(
            Error::usage("models of this trainer cannot be kept and asked again")
                .hint("leave --indirect out, or train with the built-in networks"),
        )
    }

    /// The name of the arithmetic in use: results of different kernels differ in rounding.
    fn kernel(&self) -> String;
}

/// What takes blocks of a model's answers: a row for each of some records, in their order.
pub type Sink<'a> = &'a mut dyn FnMut(ArrayView2<f32>) -> io::Result<()>;

/// A trained model, which answers for every record of the data set that its trainer was
/// made with. Answers come in blocks, so that those of all records need no memory.
pub trait Model: Send + Sync {
    /// Records of the data set.
    fn records(&self) -> usize;

    /// Classes of the data set.
    fn classes(&self) -> usize;

    /// Hands out the logits: `classes` for each record.
    ///
    /// # Errors
    /// The first error of `sink`, which then is not called again.
    fn each_logits(&self, sink: Sink) -> io::Result<()>;

    /// Width of what [`Self::each_features`] hands out.
    fn features(&self) -> usize;

    /// Hands out what the model's last layer sees of each record.
    ///
    /// # Errors
    /// As [`Self::each_logits`].
    fn each_features(&self, sink: Sink) -> io::Result<()>;

    /// The logits for inputs that need not be records of the data set, encoded as those are:
    /// `classes` for each row of `inputs`.
    ///
    /// # Errors
    /// If the inputs have another number of features, or one that is not finite.
    fn answer(&self, inputs: ArrayView2<f32>) -> Result<Array2<f32>>;

    /// The gradients of the scaled logit of class `label` with respect to the features of such
    /// inputs, inputs × features; nothing where the model has none (trees, say). Where the
    /// probability of the class is within float32 of 1, they are 0.
    ///
    /// # Errors
    /// As [`Self::answer`].
    fn gradients(&self, inputs: ArrayView2<f32>, label: u32) -> Result<Option<Array2<f32>>> {
        let _ = (inputs, label);
        Ok(None)
    }

    /// The weights, as a safetensors file.
    ///
    /// # Errors
    /// If the model has none.
    fn weights(&self) -> Result<Vec<u8>>;
}

#[cfg(test)]
mod tests;
