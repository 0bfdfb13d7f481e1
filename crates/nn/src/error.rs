//! What can go wrong.

/// Why examples, a network or a training run was refused, or why it failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The features or labels cannot be trained on.
    #[error("examples: {0}")]
    Examples(String),
    /// The description of the network makes no sense, or does not fit the examples.
    #[error("network: {0}")]
    Network(String),
    /// The description of the training makes no sense.
    #[error("training: {0}")]
    Training(String),
    /// The rows to train or validate on are not rows of the examples.
    #[error("rows: {0}")]
    Rows(String),
    /// The starting weights do not fit the network.
    #[error("initial weights: {0}")]
    Weights(String),
    /// The bytes are no safetensors file of a network.
    #[error("safetensors: {0}")]
    Safetensors(String),
    /// No kernel has this name, or this CPU cannot run it.
    #[error("kernel: {0}")]
    Kernel(String),
    /// The loss or a weight became infinite or not a number.
    #[error(
        "training diverged in epoch {epoch} of {epochs}: {what} is not finite; \
         lower the learning rate (now {learning_rate}) or standardise the features"
    )]
    Diverged {
        /// The epoch, counted from 1.
        epoch: usize,
        /// The number of epochs asked for.
        epochs: usize,
        /// What stopped being finite.
        what: &'static str,
        /// The learning rate of that epoch.
        learning_rate: f32,
    },
}
