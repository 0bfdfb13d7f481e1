//! Convolutional networks, multilayer perceptrons and softmax regression, by `giveaway-nn`.

use giveaway_nn::{Examples, Kernel, Network, Trained, Training};
use ndarray::Array2;

use super::{Model, Trainer};
use crate::dataset::Dataset;
use crate::error::{Error, Result};

/// Trains networks of one architecture.
#[derive(Debug)]
pub struct NetworkTrainer {
    network: Network,
    training: Training,
    examples: Examples,
    kernel: Kernel,
}

impl NetworkTrainer {
    /// Prepares the data set once for all models.
    ///
    /// # Errors
    /// If network and data set do not fit each other.
    pub fn new(
        network: Network,
        training: Training,
        dataset: &Dataset,
        kernel: Kernel,
    ) -> Result<Self> {
        let classes = dataset.schema.classes.len();
        let examples =
            Examples::new(dataset.features.view(), &dataset.labels, classes).map_err(|e| {
                Error::input(e.to_string())
                    .at("training data")
                    .hint("see the options for the records and the network")
            })?;
        Ok(Self {
            network,
            training,
            examples,
            kernel,
        })
    }
}

impl Trainer for NetworkTrainer {
    fn train(&self, rows: &[u32], validation: &[u32], seed: u64) -> Result<Box<dyn Model + '_>> {
        let trained = giveaway_nn::Trainer::new(&self.network, &self.training)
            .and_then(|trainer| {
                trainer
                    .kernel(self.kernel)
                    .train(&self.examples, rows, validation, seed)
            })
        .map_err(|e| {
            Error::usage(format!("cannot train a model: {e}")).hint(
                "see the options for the network and its training; a lower --learning-rate helps against divergence",
            )
        })?;
        Ok(Box::new(NetworkModel {
            trained,
            examples: &self.examples,
        }))
    }

    fn kernel(&self) -> String {
        self.kernel.to_string()
    }
}

struct NetworkModel<'a> {
    trained: Trained,
    examples: &'a Examples,
}

impl Model for NetworkModel<'_> {
    fn logits(&self) -> Array2<f32> {
        self.trained.logits(self.examples)
    }
}
