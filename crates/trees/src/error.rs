//! What can go wrong.

/// Why features, examples, settings or a file were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The features cannot be binned, or are not those that the trees were made for.
    #[error("features: {0}")]
    Features(String),
    /// The labels, weights or rows cannot be learnt from.
    #[error("examples: {0}")]
    Examples(String),
    /// A setting of the training makes no sense.
    #[error("training: {0}")]
    Training(String),
    /// The bytes are no safetensors file of trees.
    #[error("safetensors: {0}")]
    Safetensors(String),
}
