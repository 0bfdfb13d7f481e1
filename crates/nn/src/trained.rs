//! A network after its training.

use ndarray::{Array1, Array2, Array3, Array4, ArrayView2, ArrayView3, s};
use serde::{Deserialize, Serialize};

use crate::config::Network;
use crate::examples::Examples;
use crate::kernel::{Crew, DefaultEnvironment, Images, Kernel};
use crate::model::{Model, Weights};

/// Records that a network is asked about at a time. With an image they are fewer: what
/// convolutions keep of each makes most of the memory.
pub(crate) fn batch(network: &Network) -> usize {
    if network.image.is_some() { 32 } else { 128 }
}

/// The weights of a dense layer, in PyTorch's layout.
///
/// Behind convolutions, the inputs of the first dense layer are their outputs channel by
/// channel, each row by row, as PyTorch flattens them.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// outputs × inputs.
    pub weight: Array2<f32>,
    /// One for each output.
    pub bias: Array1<f32>,
}

/// The weights of a convolution, in PyTorch's layout.
#[derive(Clone, Debug, PartialEq)]
pub struct Filters {
    /// Output channels × input channels × rows × columns of a filter.
    pub weight: Array4<f32>,
    /// One for each output channel.
    pub bias: Array1<f32>,
}

/// The losses of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochLoss {
    /// The mean over the epoch's rows of the loss that training minimises (smoothed
    /// labels, dropout, the [`Objective`](crate::Objective)), each taken just before the step
    /// on its batch; without l2. Of `Objective::Relaxed` it is the cross-entropy.
    pub training: f64,
    /// The mean cross-entropy over the validation rows after the epoch, if there are any;
    /// without label smoothing and dropout.
    pub validation: Option<f64>,
}

/// What a gradient is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// The record's loss: its cross-entropy, without label smoothing or dropout, times its
    /// weight if it has one.
    Loss,
    /// The logit of this class, counted from 0; labels and weights do not matter.
    Logit(u32),
}

/// A trained network.
#[derive(Clone, Debug)]
pub struct Trained {
    network: Network,
    kernel: Kernel,
    filters: Vec<Filters>,
    layers: Vec<Dense>,
    history: Vec<EpochLoss>,
    traces: Vec<Vec<f32>>,
    best_epoch: usize,
    threads: usize,
}

impl Trained {
    pub(crate) fn new(
        network: &Network,
        kernel: Kernel,
        weights: Weights,
        history: Vec<EpochLoss>,
        best_epoch: usize,
    ) -> Self {
        let Weights { filters, layers } = weights;
        Self {
            network: network.clone(),
            kernel,
            filters,
            layers,
            history,
            traces: Vec::new(),
            best_epoch,
            threads: 1,
        }
    }

    pub(crate) fn with_traces(mut self, traces: Vec<Vec<f32>>) -> Self {
        self.traces = traces;
        self
    }

    /// Answers with so many threads, as [`Trainer::threads`](crate::Trainer::threads) says; as
    /// many as trained it unless this is called, and 1 if it was read from a file. The answers
    /// are the same, bit for bit.
    ///
    /// What is called back with answers is called by the calling thread, between two batches.
    /// Where that is a thread of a rayon pool, the call must not wait for anything the pool
    /// is to do (`rayon::join`, parallel iterators): the pool's other threads may all be
    /// helping until the last answer is there.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// The logits of all records: records × classes. Computed by the kernel that trained
    /// the network.
    ///
    /// # Panics
    /// If the examples have another number of features or classes than the network.
    #[must_use]
    pub fn logits(&self, examples: &Examples) -> Array2<f32> {
        let mut logits = Array2::zeros((examples.rows(), self.network.classes));
        self.each_logits(examples, |start, block| {
            let rows = start..start + block.nrows();
            logits.slice_mut(s![rows, ..]).assign(&block);
        });
        logits
    }

    /// As [`Self::logits`], block by block, without memory for all: calls `each` with the
    /// number of a block's first record and its logits, up to 128 records × classes, from
    /// the first block to the last. With more than one thread, `each` must not wait for the
    /// pool; see [`Self::threads`].
    ///
    /// # Panics
    /// As [`Self::logits`].
    pub fn each_logits(&self, examples: &Examples, mut each: impl FnMut(usize, ArrayView2<f32>)) {
        let mut block = Array2::zeros((batch(&self.network), self.network.classes));
        self.each_batch(examples, false, |model, rows, start| {
            let logits = model.logits(examples, rows);
            for i in 0..rows.len() {
                for class in 0..logits.columns() {
                    block[[i, class]] = logits.get(i, class);
                }
            }
            each(start, block.slice(s![..rows.len(), ..]));
        });
    }

    /// What the last layer sees of all records: records × units of the last hidden layer,
    /// after its activation. Without hidden layers these are the outputs of the
    /// convolutions, channel by channel, or the features themselves.
    ///
    /// # Panics
    /// As [`Self::logits`].
    #[must_use]
    pub fn penultimate(&self, examples: &Examples) -> Array2<f32> {
        let widths = self.network.widths();
        let mut features = Array2::zeros((examples.rows(), widths[widths.len() - 2]));
        self.each_penultimate(examples, |start, block| {
            let rows = start..start + block.nrows();
            features.slice_mut(s![rows, ..]).assign(&block);
        });
        features
    }

    /// As [`Self::penultimate`], block by block; see [`Self::each_logits`].
    ///
    /// # Panics
    /// As [`Self::logits`].
    pub fn each_penultimate(
        &self,
        examples: &Examples,
        mut each: impl FnMut(usize, ArrayView2<f32>),
    ) {
        let widths = self.network.widths();
        let mut block = Array2::zeros((batch(&self.network), widths[widths.len() - 2]));
        self.each_batch(examples, false, |model, rows, start| {
            model.penultimate(examples, rows, |row, column, x| {
                block[[row, column]] = x;
            });
            each(start, block.slice(s![..rows.len(), ..]));
        });
    }

    /// The norm of the gradient of each record's loss with respect to all parameters, as if
    /// it were trained alone: its cross-entropy, without label smoothing, dropout or l2.
    ///
    /// Dense layers' gradients are not formed for it: the norm is known from their inputs
    /// and the gradient at their outputs. Convolutions' are, one record at a time on each
    /// thread.
    ///
    /// # Panics
    /// As [`Self::logits`].
    #[must_use]
    pub fn gradient_norms(&self, examples: &Examples) -> Array1<f32> {
        let mut norms = vec![0.0; examples.rows()];
        self.each_batch(examples, false, |model, rows, start| {
            model.gradient_norms(examples, rows, &mut norms[start..start + rows.len()]);
        });
        norms.into()
    }

    /// The gradient of a quantity of each record with respect to its features: records ×
    /// features.
    ///
    /// # Panics
    /// As [`Self::logits`], or if the quantity is the logit of a class that there is not.
    #[must_use]
    pub fn input_gradients(&self, examples: &Examples, quantity: Quantity) -> Array2<f32> {
        self.assert_quantity(quantity);
        let mut gradients = Array2::zeros((examples.rows(), examples.features()));
        self.each_batch(examples, true, |model, rows, start| {
            model.input_gradients(examples, rows, quantity, |row, gradient| {
                let mut to = gradients.row_mut(start + row);
                to.iter_mut().zip(gradient).for_each(|(to, x)| *to = *x);
            });
        });
        gradients
    }

    /// The outputs of a convolution (counted from 1), after activation and pooling, and the
    /// gradient of a quantity with respect to them, as explanations by class activation need
    /// (Grad-CAM, Selvaraju and others 2017). Calls `each` with the number of every record,
    /// its outputs and their gradient, both height × width × channels; with more than one
    /// thread, `each` must not wait for the pool; see [`Self::threads`].
    ///
    /// # Panics
    /// As [`Self::input_gradients`], or if there is no such convolution.
    pub fn convolution_gradients(
        &self,
        examples: &Examples,
        convolution: usize,
        quantity: Quantity,
        mut each: impl FnMut(usize, ArrayView3<f32>, ArrayView3<f32>),
    ) {
        self.assert_quantity(quantity);
        let image = self.network.image.as_ref();
        let count = image.map_or(0, |image| image.convolutions.len());
        assert!(
            (1..=count).contains(&convolution),
            "there is no convolution {convolution}; the network has {count}, counted from 1"
        );
        let array = |images: &Images, image: usize| {
            Array3::from_shape_fn(images.shape(), |(row, column, channel)| {
                images.channels(image, row, column)[channel]
            })
        };
        self.each_batch(examples, true, |model, rows, start| {
            let take = |row: usize, (outputs, image): (&Images, usize), deltas: &Images| {
                let (outputs, gradients) = (array(outputs, image), array(deltas, 0));
                each(start + row, outputs.view(), gradients.view());
            };
            model.convolution_gradients(examples, rows, convolution, quantity, take);
        });
    }

    fn assert_quantity(&self, quantity: Quantity) {
        if let Quantity::Logit(class) = quantity {
            let classes = self.network.classes;
            assert!(
                (class as usize) < classes,
                "there is no class {class}; the network has {classes}, counted from 0"
            );
        }
    }

    /// Calls `each` with a model, the rows of every batch and the first of them.
    /// `input_gradients` says whether the model is asked for those.
    fn each_batch(
        &self,
        examples: &Examples,
        input_gradients: bool,
        each: impl FnMut(&mut Model, &[u32], usize),
    ) {
        assert_eq!(
            (examples.features(), examples.classes()),
            (self.network.inputs, self.network.classes),
            "the network has other inputs or classes than the examples"
        );
        let _environment = DefaultEnvironment::enter();
        let wanted = input_gradients || self.network.image.is_some();
        self.kernel.with_threads(self.threads, |crew| {
            self.each_batch_with(crew, examples, wanted, each);
        });
    }

    fn each_batch_with(
        &self,
        crew: Crew,
        examples: &Examples,
        wanted: bool,
        mut each: impl FnMut(&mut Model, &[u32], usize),
    ) {
        let batch = batch(&self.network);
        let mut model = Model::with_input_gradients(crew, &self.network, batch, None, wanted);
        model.set_filters(&self.filters);
        model.set_layers(&self.layers);
        let mut rows = Vec::with_capacity(batch);
        for start in (0..examples.rows()).step_by(batch) {
            let count = batch.min(examples.rows() - start);
            rows.clear();
            // Examples::new made sure that row numbers fit
            rows.extend((start..start + count).map(|row| row as u32));
            each(&mut model, &rows, start);
        }
    }

    /// The losses of every epoch that was run.
    #[must_use]
    pub fn history(&self) -> &[EpochLoss] {
        &self.history
    }

    /// For every epoch that was run, the loss after it of each row given to
    /// [`Trainer::trace`](crate::Trainer::trace), in that order; empty if none was given.
    #[must_use]
    pub fn traces(&self) -> &[Vec<f32>] {
        &self.traces
    }

    /// Takes the [traces](Self::traces) out, so that they are not kept with the network.
    #[must_use]
    pub fn take_traces(&mut self) -> Vec<Vec<f32>> {
        std::mem::take(&mut self.traces)
    }

    /// How many epochs were run: fewer than asked for if training stopped early.
    #[must_use]
    pub fn epochs_run(&self) -> usize {
        self.history.len()
    }

    /// The epoch, counted from 1, whose weights these are: the last one run, or with
    /// early stopping the one with the lowest validation loss. 0 if none was run.
    #[must_use]
    pub fn best_epoch(&self) -> usize {
        self.best_epoch
    }

    /// The weights of every convolution, from the input side.
    #[must_use]
    pub fn filters(&self) -> &[Filters] {
        &self.filters
    }

    /// The weights of every dense layer, from the input side.
    #[must_use]
    pub fn layers(&self) -> &[Dense] {
        &self.layers
    }

    /// The network that was trained.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The kernel that trained it.
    #[must_use]
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }
}
