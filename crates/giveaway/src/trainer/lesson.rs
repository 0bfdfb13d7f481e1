//! What a model learns from besides the records as they are, and how its training may be
//! altered: all that defences ask of a trainer.

use giveaway_nn::{Objective, Privacy};
use ndarray::ArrayView2;

/// What one model learns from. Only the rows are needed.
///
/// Slices over records have one entry for every record of the data set, whether it is among the
/// rows or not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lesson<'a> {
    /// Records of the data set; repetitions count twice.
    pub rows: &'a [u32],
    /// Records to validate on, where training stops early.
    pub validation: &'a [u32],
    /// Other labels than those of the data set.
    pub labels: Option<&'a [u32]>,
    /// Probabilities of the classes in place of labels, records × classes.
    pub soft_labels: Option<ArrayView2<'a, f32>>,
    /// What each record's loss is multiplied by.
    pub weights: Option<&'a [f32]>,
    /// Records that are not of the data set; each is learnt from as one of the rows is.
    pub added: Option<Added<'a>>,
    /// What each record's gradient is clipped to, as a share of the clip of
    /// [`Alteration::privacy`], in (0, 1]; only with it.
    pub clips: Option<&'a [f32]>,
    /// Weights to start from rather than random ones, as [`Model::weights`](super::Model::weights)
    /// gives them.
    pub start: Option<&'a [u8]>,
}

/// Records that are not of the data set.
#[derive(Clone, Copy, Debug)]
pub struct Added<'a> {
    /// Records × features, encoded as the data set is.
    pub features: ArrayView2<'a, f32>,
    /// Their classes. With [`Lesson::soft_labels`] or [`Lesson::weights`] they count as sure
    /// labels and with weight 1.
    pub labels: &'a [u32],
}

impl<'a> Lesson<'a> {
    /// These records as they are.
    #[must_use]
    pub fn of(rows: &'a [u32], validation: &'a [u32]) -> Self {
        Self {
            rows,
            validation,
            ..Self::default()
        }
    }

    /// Whether there is nothing but rows and validation rows.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.labels.is_none()
            && self.soft_labels.is_none()
            && self.weights.is_none()
            && self.added.is_none()
            && self.clips.is_none()
            && self.start.is_none()
    }
}

/// What of a training differs; what is not said stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Alteration {
    /// L2 penalty, added to the gradients.
    pub l2: Option<f32>,
    /// Dropout rate of the hidden layers.
    pub dropout: Option<f32>,
    /// Label smoothing.
    pub label_smoothing: Option<f32>,
    /// Epochs without a better validation loss after which training stops.
    pub patience: Option<usize>,
    /// Passes over the rows.
    pub epochs: Option<usize>,
    /// The learning rate of the first epoch.
    pub learning_rate: Option<f32>,
    /// DP-SGD: clip and noise.
    pub privacy: Option<Privacy>,
    /// Another loss than the cross-entropy.
    pub objective: Option<Objective>,
}
