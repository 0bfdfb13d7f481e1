//! The convolutions of a network while it is trained or asked.
//!
//! A batch goes through image by image, so that all between two layers stays in the first
//! caches; kept for the way back is only what it cannot do without.

use std::ops::Range;

use giveaway_stats::random::Stream;
use ndarray::{Array1, Array4};

use crate::config::{Activation, Convolution, Image, Pool, Skip};
use crate::examples::Examples;
use crate::kernel::{After, Images, Kernel, Matrix, Move, Parameters, Rows, Step, squares};
use crate::trained::Filters;

/// A convolution with its activation and pooling.
#[derive(Debug)]
struct Stage {
    size: usize,
    /// Floats of a pixel of the input, and the channels among them.
    input_stride: usize,
    input_channels: usize,
    /// (filter row, filter column, float of an input pixel) × output channel
    weights: Parameters,
    biases: Parameters,
    /// What the next layer reads, for each image of a batch.
    outputs: Images,
    /// Which pixel of each square was the largest, for each image of a batch.
    winners: Option<Images>,
    /// What is pooled: for each image of a batch if the way back needs it, else one.
    convolved: Option<Images>,
    /// The loss's gradients with respect to `outputs`, to the convolution's sums, both of
    /// one image.
    output_deltas: Images,
    deltas: Images,
    transposed: Matrix,
    gradient: Matrix,
    bias_gradient: Matrix,
}

/// The convolutions of a network and the memory that they need.
#[derive(Debug)]
pub(crate) struct Stem {
    kernel: Kernel,
    after: After,
    inputs: Images,
    /// The loss's gradient with respect to one of `inputs`.
    input_deltas: Images,
    stages: Vec<Stage>,
    skips: Vec<Skip>,
}

impl Stem {
    /// Convolutions whose weights are still 0, for batches of up to `batch` images. `learnt`
    /// as in [`Parameters::zeros`].
    pub(crate) fn new(
        kernel: Kernel,
        image: &Image,
        activation: Activation,
        batch: usize,
        learnt: bool,
    ) -> Self {
        let border = |i: usize| {
            let convolution: Option<&Convolution> = image.convolutions.get(i);
            convolution.map_or(0, |c| c.padding.border(c.size))
        };
        let sizes = image.sizes();
        let inputs = Images::packed(batch, sizes[0], image.channels, border(0));
        let mut stages: Vec<Stage> = Vec::with_capacity(image.convolutions.len());
        for (i, convolution) in image.convolutions.iter().enumerate() {
            let Convolution {
                channels,
                size,
                pool,
                ..
            } = *convolution;
            let before = stages.last().map_or(&inputs, |stage| &stage.outputs);
            let (input_stride, input_channels) = (before.stride(), before.shape().2);
            let (height, width) = before.bordered();
            let sums = (height + 1 - size, width + 1 - size);
            let outputs = Images::padded(batch, sizes[i + 1], channels, border(i + 1));
            let stride = outputs.stride();
            let rows = size * size * input_stride;
            stages.push(Stage {
                size,
                input_stride,
                input_channels,
                weights: Parameters::zeros(rows, channels, learnt),
                biases: Parameters::zeros(1, channels, learnt),
                winners: (pool == Some(Pool::Max))
                    .then(|| Images::padded(batch, sizes[i + 1], channels, 0)),
                convolved: pool.map(|pool| {
                    let count = if pool == Pool::Average { batch } else { 1 };
                    Images::padded(count, sums, channels, 0)
                }),
                output_deltas: Images::padded(1, sizes[i + 1], channels, border(i + 1)),
                outputs,
                deltas: Images::padded(1, sums, channels, 0),
                transposed: Matrix::zeros(size * stride, size * input_stride),
                gradient: Matrix::zeros(rows, channels),
                bias_gradient: Matrix::zeros(1, channels),
            });
        }
        Self {
            kernel,
            after: After::from(activation),
            input_deltas: Images::packed(1, sizes[0], image.channels, border(0)),
            inputs,
            stages,
            skips: image.skips.clone(),
        }
    }

    /// Draws weights and biases from U(−1/√n, 1/√n), n being the inputs of a filter, as
    /// PyTorch's `Conv2d` does.
    pub(crate) fn randomise(&mut self, seed: u64) {
        for (i, stage) in self.stages.iter_mut().enumerate() {
            let mut stream = Stream::new(seed, "filters", i as u64);
            let inputs = stage.size * stage.size * stage.input_channels;
            let bound = 1.0 / (inputs as f64).sqrt();
            let mut draw = || ((2.0 * stream.uniform() - 1.0) * bound) as f32;
            stage.each_weight(|weights, row, output, _| weights.set(row, output, draw()));
            for output in 0..stage.biases.value.columns() {
                stage.biases.value.set(0, output, draw());
            }
        }
    }

    /// Takes these weights, which must have the right shapes.
    pub(crate) fn set_filters(&mut self, filters: &[Filters]) {
        for (stage, filters) in self.stages.iter_mut().zip(filters) {
            stage.each_weight(|weights, row, output, index| {
                weights.set(row, output, filters.weight[index]);
            });
            for (output, &bias) in filters.bias.iter().enumerate() {
                stage.biases.value.set(0, output, bias);
            }
        }
    }

    pub(crate) fn filters(&self) -> Vec<Filters> {
        let filters = |stage: &Stage| {
            let outputs = stage.biases.value.columns();
            let shape = (outputs, stage.input_channels, stage.size, stage.size);
            let value = &stage.weights.value;
            Filters {
                weight: Array4::from_shape_fn(shape, |(output, input, row, column)| {
                    value.get(stage.row(input, row, column), output)
                }),
                bias: Array1::from_shape_fn(outputs, |output| stage.biases.value.get(0, output)),
            }
        };
        self.stages.iter().map(filters).collect()
    }

    /// Weights and biases of all convolutions.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &Parameters> {
        self.stages
            .iter()
            .flat_map(|stage| [&stage.weights, &stage.biases])
    }

    /// As [`Self::parameters`], to write.
    pub(crate) fn parameters_mut(&mut self) -> impl Iterator<Item = &mut Parameters> {
        self.stages
            .iter_mut()
            .flat_map(|stage| [&mut stage.weights, &mut stage.biases])
    }

    /// Takes the filters of another one like this.
    pub(crate) fn copy_filters(&mut self, other: &Self) {
        for (to, from) in self.parameters_mut().zip(other.parameters()) {
            to.value.copy_from(&from.value);
        }
    }

    /// Sends a batch through, each image moved as `moves` says, if it does; its outputs become
    /// the first rows of `to`.
    pub(crate) fn forward(
        &mut self,
        examples: &Examples,
        rows: &[u32],
        moves: Option<&[Move]>,
        to: &mut Rows,
    ) {
        let (kernel, after) = (self.kernel, self.after);
        for (image, &row) in rows.iter().enumerate() {
            match moves {
                Some(moves) => {
                    let by = moves[image];
                    self.inputs.load_moved(image, examples.row(row), by);
                }
                None => self.inputs.load(image, examples.row(row)),
            }
            for i in 0..self.stages.len() {
                if self.skips.iter().any(|skip| skip.to == i + 1) {
                    self.forward_with_skips(i, image);
                    continue;
                }
                let (before, stages) = self.stages.split_at_mut(i);
                let stage = &mut stages[0];
                let before = before.last().map_or(&self.inputs, |before| &before.outputs);
                let filters = (&stage.weights.value, &stage.biases.value);
                let from = (before, image);
                let outputs = (&mut stage.outputs, image);
                match (&mut stage.convolved, &mut stage.winners) {
                    (Some(convolved), Some(winners)) => {
                        // the largest comes before the activation, which keeps the order
                        let to = (&mut *convolved, 0);
                        kernel.convolve(stage.size, from, filters, After::Nothing, to);
                        kernel.pool_largest((convolved, 0), after, outputs, winners);
                    }
                    (Some(convolved), None) => {
                        let to = (&mut *convolved, image);
                        kernel.convolve(stage.size, from, filters, after, to);
                        kernel.pool_means((convolved, image), outputs);
                    }
                    (None, _) => kernel.convolve(stage.size, from, filters, after, outputs),
                }
            }
            if let Some(last) = self.stages.last() {
                last.outputs.flatten(image, to, image);
            }
        }
    }

    /// Sends an image through stage `i`, to whose sums the outputs of others are added.
    fn forward_with_skips(&mut self, i: usize, image: usize) {
        let (kernel, after) = (self.kernel, self.after);
        let (before, stages) = self.stages.split_at_mut(i);
        let stage = &mut stages[0];
        let output = |layer: usize| match layer.checked_sub(1) {
            Some(i) => (&before[i].outputs, image),
            None => (&self.inputs, image),
        };
        let filters = (&stage.weights.value, &stage.biases.value);
        let convolve = |to: &mut Images, image_to: usize| {
            let to_sums = (&mut *to, image_to);
            kernel.convolve(stage.size, output(i), filters, After::Nothing, to_sums);
            for skip in self.skips.iter().filter(|skip| skip.to == i + 1) {
                kernel.add_image(output(skip.from), (to, image_to));
            }
        };
        match (&mut stage.convolved, &mut stage.winners) {
            (Some(convolved), Some(winners)) => {
                convolve(convolved, 0);
                let outputs = (&mut stage.outputs, image);
                kernel.pool_largest((convolved, 0), after, outputs, winners);
            }
            (Some(convolved), None) => {
                convolve(convolved, image);
                kernel.activate_image(after, (convolved, image));
                kernel.pool_means((convolved, image), (&mut stage.outputs, image));
            }
            (None, _) => {
                convolve(&mut stage.outputs, image);
                kernel.activate_image(after, (&mut stage.outputs, image));
            }
        }
    }

    /// Computes the gradients of all parameters, summed over some images of the batch.
    /// `deltas` are the gradients with respect to what [`Self::forward`] gave, with the row
    /// of the first of these images. After [`Self::transpose`].
    pub(crate) fn backward(&mut self, images: Range<usize>, (deltas, row): (&Matrix, usize)) {
        self.clear_gradients();
        for (i, image) in images.enumerate() {
            self.backward_image(image, (deltas, row + i));
        }
    }

    /// Exchanges the gradients for those here, which come in the order of
    /// [`Self::parameters`].
    pub(crate) fn swap_gradients(&mut self, with: &mut [Matrix]) {
        for (gradient, with) in self.gradients_mut().zip(with) {
            std::mem::swap(gradient, with);
        }
    }

    /// Adds the gradients to those here, which come in the order of [`Self::parameters`].
    pub(crate) fn add_gradients_to(&mut self, to: &mut [Matrix]) {
        for (gradient, to) in self.gradients_mut().zip(to) {
            to.add_scaled(1.0, gradient);
        }
    }

    fn gradients_mut(&mut self) -> impl Iterator<Item = &mut Matrix> {
        self.stages
            .iter_mut()
            .flat_map(|stage| [&mut stage.gradient, &mut stage.bias_gradient])
    }

    /// Computes the gradients of all parameters image by image, for the first images of the
    /// batch, and calls `each` with the number of the image, the square of their norm and
    /// the gradients themselves, which come in the order of [`Self::parameters`]. `deltas` as
    /// in [`Self::backward`].
    pub(crate) fn each_gradient(
        &mut self,
        rows: usize,
        (deltas, row): (&Matrix, usize),
        mut each: impl FnMut(usize, f32, &mut dyn Iterator<Item = &Matrix>),
    ) {
        self.transpose();
        for image in 0..rows {
            self.clear_gradients();
            self.backward_image(image, (deltas, row + image));
            let gradients = || {
                let stages = self.stages.iter();
                stages.flat_map(|stage| [&stage.gradient, &stage.bias_gradient])
            };
            let square = gradients().map(|part| squares(part.floats())).sum();
            each(image, square, &mut gradients());
        }
    }

    /// Computes the gradients with respect to the outputs of convolution `layer` (from 1), or
    /// to the images themselves if it is 0, for the first images of the batch; calls `each`
    /// with the number of the image, the outputs (of the batch) and their gradient (image 0).
    /// `deltas` as in [`Self::backward`].
    pub(crate) fn each_output_gradient(
        &mut self,
        rows: usize,
        (deltas, row): (&Matrix, usize),
        layer: usize,
        mut each: impl FnMut(usize, &Images, &Images),
    ) {
        let (kernel, after) = (self.kernel, self.after);
        self.transpose();
        for image in 0..rows {
            if let Some(stage) = self.stages.last_mut() {
                stage.output_deltas.unflatten(0, deltas, row + image);
            }
            for i in (layer..self.stages.len()).rev() {
                let (before, stages) = self.stages.split_at_mut(i);
                let stage = &mut stages[0];
                stage.deltas_of_sums(kernel, after, image);
                let to = match before.last_mut() {
                    Some(before) => &mut before.output_deltas,
                    None => &mut self.input_deltas,
                };
                kernel.input_deltas(stage.size, &stage.deltas, &stage.transposed, to);
                self.add_skipped_deltas(i);
            }
            match layer.checked_sub(1) {
                Some(i) => each(
                    image,
                    &self.stages[i].outputs,
                    &self.stages[i].output_deltas,
                ),
                None => each(image, &self.inputs, &self.input_deltas),
            }
        }
    }

    /// Adds to the gradient with respect to the outputs of convolution `layer` (0 for the
    /// image) what comes back over the skips that start there.
    fn add_skipped_deltas(&mut self, layer: usize) {
        for skip in self.skips.iter().filter(|skip| skip.from == layer) {
            let (before, stages) = self.stages.split_at_mut(layer);
            let to = match before.last_mut() {
                Some(before) => &mut before.output_deltas,
                None => &mut self.input_deltas,
            };
            let from = &stages[skip.to - layer - 1].deltas;
            self.kernel.add_image((from, 0), (to, 0));
        }
    }

    /// Prepares the filters for the way back.
    pub(crate) fn transpose(&mut self) {
        for stage in &mut self.stages {
            let to = &mut stage.transposed;
            self.kernel
                .transpose_filters(stage.size, &stage.weights.value, to);
        }
    }

    fn clear_gradients(&mut self) {
        for stage in &mut self.stages {
            stage.gradient.floats_mut().fill(0.0);
            stage.bias_gradient.floats_mut().fill(0.0);
        }
    }

    /// Adds one image's gradients.
    fn backward_image(&mut self, image: usize, (deltas, row): (&Matrix, usize)) {
        let (kernel, after) = (self.kernel, self.after);
        if let Some(stage) = self.stages.last_mut() {
            stage.output_deltas.unflatten(0, deltas, row);
        }
        for i in (0..self.stages.len()).rev() {
            let (before, stages) = self.stages.split_at_mut(i);
            let stage = &mut stages[0];
            stage.deltas_of_sums(kernel, after, image);
            let from = before.last().map_or(&self.inputs, |before| &before.outputs);
            kernel.add_filter_gradient(
                stage.size,
                (from, image),
                &stage.deltas,
                &mut stage.gradient,
                &mut stage.bias_gradient,
            );
            if let Some(before) = before.last_mut() {
                let to = &mut before.output_deltas;
                kernel.input_deltas(stage.size, &stage.deltas, &stage.transposed, to);
                self.add_skipped_deltas(i);
            }
        }
    }

    /// For each of [`Self::parameters`]: rows come in groups of the first number, of which
    /// the second are used and the others always 0.
    pub(crate) fn used_rows(&self) -> impl Iterator<Item = (usize, usize)> {
        self.stages
            .iter()
            .flat_map(|stage| [(stage.input_stride, stage.input_channels), (1, 1)])
    }

    /// Takes an optimiser's step with the gradients of [`Self::backward`].
    pub(crate) fn step(&mut self, step: &Step) {
        for stage in &mut self.stages {
            self.kernel.step(&stage.gradient, &mut stage.weights, step);
            self.kernel
                .step(&stage.bias_gradient, &mut stage.biases, step);
        }
    }
}

impl Stage {
    /// The row of `weights` for this place in a filter.
    fn row(&self, input: usize, row: usize, column: usize) -> usize {
        (row * self.size + column) * self.input_stride + input
    }

    /// Calls `each` for every weight with its row, its output and its index in PyTorch's
    /// layout, in the order of that.
    fn each_weight(&mut self, mut each: impl FnMut(&mut Matrix, usize, usize, [usize; 4])) {
        for output in 0..self.biases.value.columns() {
            for input in 0..self.input_channels {
                for row in 0..self.size {
                    for column in 0..self.size {
                        let place = self.row(input, row, column);
                        let index = [output, input, row, column];
                        each(&mut self.weights.value, place, output, index);
                    }
                }
            }
        }
    }

    /// `deltas` from `output_deltas`, back through pooling and activation.
    fn deltas_of_sums(&mut self, kernel: Kernel, after: After, image: usize) {
        let (from, to) = (&self.output_deltas, &mut self.deltas);
        match (&self.convolved, &self.winners) {
            (_, Some(winners)) => {
                kernel.unpool_largest(from, (&self.outputs, winners, image), after, to);
            }
            (Some(convolved), None) => {
                kernel.through_activation(from, true, (convolved, image), after, to);
            }
            (None, None) => {
                kernel.through_activation(from, false, (&self.outputs, image), after, to);
            }
        }
    }
}
