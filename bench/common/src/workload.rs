//! What is trained: `workloads.json`.

use std::collections::BTreeMap;
use std::error::Error;

use serde::Deserialize;

/// A network and its training.
#[derive(Clone, Debug, Deserialize)]
pub struct Workload {
    /// Features of a record.
    pub inputs: usize,
    /// The convolutions before the hidden layers, if there are any.
    pub image: Option<Image>,
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// Number of classes.
    pub classes: usize,
    /// Passes over a model's half of the records.
    pub epochs: usize,
    /// Records in a batch; the last of an epoch is smaller.
    pub batch_size: usize,
}

/// Square images of one channel, and convolutions without padding, each followed by `ReLU` and
/// max pooling.
#[derive(Clone, Debug, Deserialize)]
pub struct Image {
    /// Height and width.
    pub side: usize,
    /// Height and width of a filter.
    pub filter: usize,
    /// Output channels of each convolution.
    pub channels: Vec<usize>,
    /// Height, width and stride of a pool.
    pub pool: usize,
}

impl Image {
    /// Height and width after all convolutions.
    #[must_use]
    pub fn side_after(&self) -> usize {
        let shrink = |side, _| (side + 1 - self.filter) / self.pool;
        self.channels.iter().fold(self.side, shrink)
    }
}

impl Workload {
    /// The workload of this name, such as `W1`.
    ///
    /// # Errors
    /// If there is none.
    pub fn named(name: &str) -> Result<Self, Box<dyn Error>> {
        let mut all: BTreeMap<String, Self> =
            serde_json::from_str(include_str!("../../workloads.json"))?;
        all.remove(name)
            .ok_or_else(|| format!("there is no workload {name:?} in workloads.json").into())
    }

    /// Inputs of the first dense layer.
    #[must_use]
    pub fn dense_inputs(&self) -> usize {
        match &self.image {
            None => self.inputs,
            Some(image) => {
                let channels = image.channels.last().copied().unwrap_or(1);
                image.side_after().pow(2) * channels
            }
        }
    }

    /// Inputs and outputs of each dense layer.
    #[must_use]
    pub fn dense_layers(&self) -> Vec<(usize, usize)> {
        let mut layers = Vec::new();
        let mut inputs = self.dense_inputs();
        for &outputs in self.hidden.iter().chain([&self.classes]) {
            layers.push((inputs, outputs));
            inputs = outputs;
        }
        layers
    }

    /// Multiplications of one record in each layer, forward.
    fn multiplications(&self) -> Vec<usize> {
        let mut layers = Vec::new();
        if let Some(image) = &self.image {
            let (mut side, mut inputs) = (image.side, 1);
            for &outputs in &image.channels {
                side = side + 1 - image.filter;
                layers.push(side.pow(2) * image.filter.pow(2) * inputs * outputs);
                side /= image.pool;
                inputs = outputs;
            }
        }
        layers.extend(self.dense_layers().iter().map(|(i, o)| i * o));
        layers
    }

    /// Floating-point operations of a forward pass of one record.
    #[must_use]
    pub fn forward_operations(&self) -> u64 {
        2 * self.multiplications().iter().sum::<usize>() as u64
    }

    /// Floating-point operations of a training step, for each record: forward, the weights'
    /// gradient and, in all layers but the first, the inputs' gradient.
    #[must_use]
    pub fn training_operations(&self) -> u64 {
        let layers = self.multiplications();
        2 * (3 * layers.iter().sum::<usize>() - layers[0]) as u64
    }
}
