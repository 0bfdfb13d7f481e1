//! Trainers make models from records; models answer with logits.

pub mod command;
mod lesson;
mod network;
mod trees;

use std::io;

use ndarray::{Array2, Array3, ArrayView2};

use crate::error::{Error, Result};

pub use command::{CommandSettings, CommandTrainer};
pub use lesson::{Added, Alteration, Lesson};
pub use network::NetworkTrainer;
pub use trees::TreeTrainer;

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
            Error::usage("this trainer does not tell losses after every epoch").hint(
                "leave out what needs traces (LT-IQR), or train networks (--trainer network)",
            ),
        )
    }

    /// Whether [`Self::train_traced`] can tell losses: whether training goes by steps that can be
    /// looked at.
    fn tells_losses(&self) -> bool {
        false
    }

    /// Whether models have a layer before their answer. Where they have none, their features
    /// ([`Model::each_features`]) are their logits.
    fn has_layers(&self) -> bool {
        false
    }

    /// Whether asking a model about anything but the records of the data set takes seconds
    /// however little is asked, as where a program is started for it. Many questions are then to
    /// be asked at once, and those that depend on the answers to others left out.
    fn answers_slowly(&self) -> bool {
        false
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
                .hint("leave --indirect out, or train networks (--trainer network)"),
        )
    }

    /// Trains one model on a lesson, which may be more than rows; a plain one gives the model
    /// that [`Self::train`] gives.
    ///
    /// # Errors
    /// As [`Self::train`], or if the trainer cannot learn from what the lesson holds; unless a
    /// trainer says otherwise, from nothing but rows.
    fn learn(&self, lesson: &Lesson<'_>, seed: u64) -> Result<Box<dyn Model + '_>> {
        if lesson.is_plain() {
            return self.train(lesson.rows, lesson.validation, seed);
        }
        Err(Error::usage(
            "this trainer learns from records as they are, without weights or other labels",
        )
        .hint("choose defences that need no more, or train networks (--trainer network)"))
    }

    /// A trainer of the same kind whose training differs.
    ///
    /// # Errors
    /// If the alteration makes no sense or the trainer has no such setting; unless a trainer says
    /// otherwise, it has none.
    fn altered(&self, alteration: &Alteration) -> Result<Box<dyn Trainer + '_>> {
        let _ = alteration;
        Err(Error::usage("this trainer has no settings that a defence could change")
            .hint("choose defences of the records or the answers, or train networks (--trainer network)"))
    }

    /// The time that programs of others have taken so far, where they do the training: one
    /// after another, though they ran side by side.
    fn time_elsewhere(&self) -> Option<std::time::Duration> {
        None
    }

    /// Records of a step of training, where it goes by steps.
    fn batch_size(&self) -> Option<usize> {
        None
    }

    /// Passes over the rows, where it goes by passes.
    fn epochs(&self) -> Option<usize> {
        None
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

    /// What the model's last layer sees of such inputs, inputs × [`Self::features`]; nothing
    /// where the model has no such layer or does not tell.
    ///
    /// # Errors
    /// As [`Self::answer`].
    fn features_of(&self, inputs: ArrayView2<f32>) -> Result<Option<Array2<f32>>> {
        let _ = inputs;
        Ok(None)
    }

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

    /// The gradients of the loss of class `label`, −ln of its probability, with respect to the
    /// features of such inputs, inputs × features; nothing where the model has none.
    ///
    /// Unless a model says otherwise, they come from [`Self::gradients`] of φ = ln p − ln(1 − p):
    /// that of the loss is −(1 − p) times as much, and 0 where that one is.
    ///
    /// # Errors
    /// As [`Self::answer`], or if there is no such class.
    fn loss_gradients(&self, inputs: ArrayView2<f32>, label: u32) -> Result<Option<Array2<f32>>> {
        let Some(mut gradients) = self.gradients(inputs, label)? else {
            return Ok(None);
        };
        let logits = self.answer(inputs)?;
        for (mut gradient, logits) in gradients.outer_iter_mut().zip(logits.outer_iter()) {
            let own = logits
                .get(label as usize)
                .copied()
                .map_or(f64::NAN, f64::from);
            let odds_against: f64 = logits
                .iter()
                .enumerate()
                .filter(|&(class, _)| class != label as usize)
                .map(|(_, &z)| (f64::from(z) - own).exp())
                .sum();
            // 1 - p without a subtraction; beyond the largest double it is 1
            let others = if odds_against.is_infinite() {
                1.0
            } else {
                odds_against / (1.0 + odds_against)
            };
            gradient.mapv_inplace(|g| (-f64::from(g) * others) as f32);
        }
        Ok(Some(gradients))
    }

    /// Where the last convolution sees class `label` in such inputs, inputs × rows × columns of
    /// that convolution's output: the class activation maps of Grad-CAM (Selvaraju and others
    /// 2017, equations 1 and 2). A channel's weight is the mean over the positions of the
    /// gradient of the class's logit with respect to the channel's output, and the map is the
    /// weighted sum of the channels, where that is above 0. Outputs are taken after activation
    /// and pooling. Nothing where the model has no convolutions.
    ///
    /// # Errors
    /// As [`Self::loss_gradients`].
    fn class_activation(&self, inputs: ArrayView2<f32>, label: u32) -> Result<Option<Array3<f32>>> {
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
