//! One network while it is trained or asked: its parameters and the buffers of a step.

use giveaway_stats::random::Stream;
use ndarray::{Array1, Array2};

use crate::augmentation::Augmenter;
use crate::config::{Activation, Network, Objective, Skip};
use crate::examples::Examples;
use crate::kernel::{
    After, Crew, Finish, Generator, Images, Kernel, LINE, Loss, Matrix, Parameters, Step, Targets,
    padded_channels,
};
use crate::objective::Aim;
use crate::private::Private;
use crate::stems::Stems;
use crate::trained::{Dense, Filters, Quantity};

/// Parameters of a dense layer.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    /// inputs × outputs
    pub(crate) weights: Parameters,
    /// 1 × outputs
    pub(crate) biases: Parameters,
}

impl Layer {
    fn zeros(inputs: usize, outputs: usize, learnt: bool) -> Self {
        Self {
            weights: Parameters::zeros(inputs, outputs, learnt),
            biases: Parameters::zeros(1, outputs, learnt),
        }
    }

    /// Draws weights and biases from U(−1/√inputs, 1/√inputs), as PyTorch's `Linear` does.
    fn randomise(&mut self, order: Order, stream: &mut Stream) {
        let (inputs, outputs) = self.shape(order);
        let bound = 1.0 / (inputs as f64).sqrt();
        let mut draw = || ((2.0 * stream.uniform() - 1.0) * bound) as f32;
        for output in 0..outputs {
            for input in 0..inputs {
                self.weights.value.set(order.place(input), output, draw());
            }
        }
        for output in 0..outputs {
            self.biases.value.set(0, output, draw());
        }
    }

    fn set(&mut self, order: Order, dense: &Dense) {
        for ((output, input), &weight) in dense.weight.indexed_iter() {
            self.weights.value.set(order.place(input), output, weight);
        }
        for (output, &bias) in dense.bias.iter().enumerate() {
            self.biases.value.set(0, output, bias);
        }
    }

    fn to_dense(&self, order: Order) -> Dense {
        let value = &self.weights.value;
        let (inputs, outputs) = self.shape(order);
        Dense {
            weight: Array2::from_shape_fn((outputs, inputs), |(output, input)| {
                value.get(order.place(input), output)
            }),
            bias: Array1::from_shape_fn(outputs, |output| self.biases.value.get(0, output)),
        }
    }

    fn shape(&self, order: Order) -> (usize, usize) {
        let value = &self.weights.value;
        (order.count(value.rows()), value.columns())
    }
}

/// Where a layer's inputs stand.
#[derive(Clone, Copy, Debug)]
enum Order {
    Plain,
    /// Outside, input is channel · pixels + pixel, as PyTorch flattens images; here it is
    /// pixel · stride + channel, and what is left of the stride are zeros.
    Flattened {
        pixels: usize,
        channels: usize,
        stride: usize,
    },
}

impl Order {
    fn place(self, input: usize) -> usize {
        match self {
            Self::Plain => input,
            Self::Flattened { pixels, stride, .. } => input % pixels * stride + input / pixels,
        }
    }

    /// The inputs outside, of so many here.
    fn count(self, places: usize) -> usize {
        match self {
            Self::Plain => places,
            Self::Flattened {
                pixels, channels, ..
            } => pixels * channels,
        }
    }

    /// Adds the first `rows` rows of `from`, which have this order, to those of `to`.
    fn add(self, kernel: Kernel, rows: usize, from: &Matrix, to: &mut Matrix) {
        match self {
            Self::Plain => {
                for (from, to) in from.panels(rows).zip(to.panels_mut(rows)) {
                    kernel.add(from, to);
                }
            }
            Self::Flattened { .. } => {
                for row in 0..rows {
                    for unit in 0..to.columns() {
                        let sum = to.get(row, unit) + from.get(row, self.place(unit));
                        to.set(row, unit, sum);
                    }
                }
            }
        }
    }

    /// As [`Self::add`], but it is `to` that has this order.
    fn add_back(self, kernel: Kernel, rows: usize, from: &Matrix, to: &mut Matrix) {
        match self {
            Self::Plain => self.add(kernel, rows, from, to),
            Self::Flattened { .. } => {
                for row in 0..rows {
                    for unit in 0..from.columns() {
                        let place = self.place(unit);
                        to.set(row, place, to.get(row, place) + from.get(row, unit));
                    }
                }
            }
        }
    }
}

/// All weights of a network as users see them.
pub(crate) struct Weights {
    pub(crate) filters: Vec<Filters>,
    pub(crate) layers: Vec<Dense>,
}

/// Zeroes hidden units at random.
#[derive(Debug)]
struct Dropout {
    /// A unit is zeroed when 32 random bits are below this.
    threshold: u32,
    /// What the other units are multiplied by.
    scale: f32,
    seed: u64,
    /// Steps begun so far.
    steps: u64,
    generator: Generator,
    /// For each hidden layer: 0 or `scale` for each row and unit of the batch.
    masks: Vec<Matrix>,
}

impl Dropout {
    fn new(network: &Network, batch: usize, seed: u64) -> Option<Self> {
        (network.dropout > 0.0 && !network.hidden.is_empty()).then(|| Self {
            threshold: (f64::from(network.dropout) * 2f64.powi(32)) as u32,
            scale: 1.0 / (1.0 - network.dropout),
            seed,
            steps: 0,
            generator: Generator::new(&mut Stream::new(seed, "dropout", 0)),
            masks: network
                .hidden
                .iter()
                .map(|&units| Matrix::zeros(batch, units))
                .collect(),
        })
    }

    /// Begins a step; its masks depend on the seed and the number of the step alone.
    fn begin_step(&mut self) {
        self.generator = Generator::new(&mut Stream::new(self.seed, "dropout", self.steps));
        self.steps += 1;
    }

    /// Draws a new mask for the first `rows` rows of hidden layer `layer` and applies it.
    fn drop_units(&mut self, kernel: Kernel, layer: usize, rows: usize, outputs: &mut Matrix) {
        for panel in self.masks[layer].panels_mut(rows) {
            kernel.draw_mask(&mut self.generator, self.threshold, self.scale, panel);
        }
        self.apply(kernel, layer, rows, outputs);
    }

    /// Multiplies by the mask of hidden layer `layer`.
    fn apply(&self, kernel: Kernel, layer: usize, rows: usize, values: &mut Matrix) {
        for (values, mask) in values.panels_mut(rows).zip(self.masks[layer].panels(rows)) {
            kernel.scale(mask, values);
        }
    }
}

/// A network and all the memory that its training or use needs, taken once.
#[derive(Debug)]
pub(crate) struct Model<'t> {
    kernel: Crew<'t>,
    activation: Activation,
    stem: Option<Stems<'t>>,
    layers: Vec<Layer>,
    /// Of the first layer's inputs.
    order: Order,
    /// Residual additions between the layers, 0 being the inputs.
    skips: Vec<Skip>,
    dropout: Option<Dropout>,
    /// What is done to images while learning.
    augmenter: Option<Augmenter>,
    /// The inputs, then the outputs of every layer, for each row of a batch.
    outputs: Vec<Matrix>,
    /// The loss's gradient with respect to the output (before its activation) of every layer.
    deltas: Vec<Matrix>,
    /// That with respect to the inputs of the first layer; empty unless wanted.
    input_deltas: Matrix,
    /// The transposed weights of every layer; of the first only if wanted.
    transposed: Vec<Matrix>,
    /// What the gradients of a batch's rows are multiplied by.
    factors: Vec<f32>,
    /// Labels, soft labels and weights of a batch, the latter two only where there are some.
    labels: Vec<u32>,
    soft: Matrix,
    weights: Vec<f32>,
}

impl<'t> Model<'t> {
    /// A model whose weights are still 0, for batches of up to `batch` rows.
    ///
    /// `dropout_seed` is the seed of the dropout masks. A model without one only answers: it
    /// has no dropout and no memory for an optimiser.
    pub(crate) fn new(
        kernel: Crew<'t>,
        network: &Network,
        batch: usize,
        dropout_seed: Option<u64>,
    ) -> Self {
        let wanted = network.image.is_some();
        Self::with_input_gradients(kernel, network, batch, dropout_seed, wanted)
    }

    /// As [`Self::new`]; `wanted` says whether gradients with respect to the inputs of the
    /// first dense layer are.
    pub(crate) fn with_input_gradients(
        kernel: Crew<'t>,
        network: &Network,
        batch: usize,
        dropout_seed: Option<u64>,
        wanted: bool,
    ) -> Self {
        let learns = dropout_seed.is_some();
        let mut widths = network.widths();
        let (mut stem, mut order) = (None, Order::Plain);
        if let Some(image) = &network.image {
            let (height, width, channels) = image.output();
            let stride = padded_channels(channels);
            widths[0] = height * width * stride;
            let activation = network.activation;
            stem = Some(Stems::new(kernel, image, activation, batch, learns));
            order = Order::Flattened {
                pixels: height * width,
                channels,
                stride,
            };
        }
        let matrices = |widths: &[usize]| -> Vec<_> {
            widths.iter().map(|&w| Matrix::zeros(batch, w)).collect()
        };
        Self {
            kernel,
            activation: network.activation,
            layers: widths
                .windows(2)
                .map(|pair| Layer::zeros(pair[0], pair[1], learns))
                .collect(),
            order,
            skips: network.skips.clone(),
            augmenter: None,
            dropout: dropout_seed.and_then(|seed| Dropout::new(network, batch, seed)),
            outputs: matrices(&widths),
            deltas: matrices(&widths[1..]),
            input_deltas: if wanted {
                Matrix::zeros(batch, widths[0])
            } else {
                Matrix::zeros(0, 0)
            },
            transposed: widths
                .windows(2)
                .enumerate()
                .map(|(i, pair)| {
                    if i == 0 && !wanted {
                        Matrix::zeros(0, 0)
                    } else {
                        Matrix::zeros(pair[1], pair[0])
                    }
                })
                .collect(),
            labels: Vec::with_capacity(batch),
            soft: Matrix::zeros(batch, network.classes),
            weights: Vec::with_capacity(batch),
            factors: Vec::with_capacity(batch),
            stem,
        }
    }

    /// Changes the images of the steps that follow.
    pub(crate) fn augment(&mut self, augmenter: Augmenter) {
        self.augmenter = Some(augmenter);
    }

    /// Draws the weights of the dense layers.
    pub(crate) fn randomise_layers(&mut self, seed: u64) {
        for (i, layer) in self.layers.iter_mut().enumerate() {
            let order = if i == 0 { self.order } else { Order::Plain };
            layer.randomise(order, &mut Stream::new(seed, "weights", i as u64));
        }
    }

    /// Draws the weights of the convolutions.
    pub(crate) fn randomise_filters(&mut self, seed: u64) {
        if let Some(stem) = &mut self.stem {
            stem.randomise(seed);
        }
    }

    /// Takes these weights of the dense layers, which must have the right shapes.
    pub(crate) fn set_layers(&mut self, layers: &[Dense]) {
        for (i, (layer, dense)) in self.layers.iter_mut().zip(layers).enumerate() {
            let order = if i == 0 { self.order } else { Order::Plain };
            layer.set(order, dense);
        }
    }

    /// Takes these weights of the convolutions, which must have the right shapes.
    pub(crate) fn set_filters(&mut self, filters: &[Filters]) {
        if let Some(stem) = &mut self.stem {
            stem.set_filters(filters);
        }
    }

    pub(crate) fn weights(&self) -> Weights {
        let dense = |(i, layer): (usize, &Layer)| {
            layer.to_dense(if i == 0 { self.order } else { Order::Plain })
        };
        Weights {
            filters: self.stem.as_ref().map_or_else(Vec::new, Stems::filters),
            layers: self.layers.iter().enumerate().map(dense).collect(),
        }
    }

    /// Weights and biases of all layers.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &Parameters> {
        let layers = self.layers.iter();
        let layers = layers.flat_map(|layer| [&layer.weights, &layer.biases]);
        layers.chain(self.stem.iter().flat_map(Stems::parameters))
    }

    /// As [`Self::parameters`], to write.
    pub(crate) fn parameters_mut(&mut self) -> impl Iterator<Item = &mut Parameters> {
        let layers = self.layers.iter_mut();
        let layers = layers.flat_map(|layer| [&mut layer.weights, &mut layer.biases]);
        layers.chain(self.stem.iter_mut().flat_map(Stems::parameters_mut))
    }

    /// Takes one step on a batch; the sum of the losses of its rows before the step.
    ///
    /// # Panics
    /// If there are more rows than the model's batch, or a row is beyond the examples.
    pub(crate) fn learn(
        &mut self,
        examples: &Examples,
        rows: &[u32],
        aim: Aim,
        step: &Step,
    ) -> Loss {
        self.forward(examples, rows, true);
        let loss = self.aimed_loss(examples, rows, aim, 1.0 / rows.len() as f32);
        self.backward(rows.len());
        if let Some(stem) = &mut self.stem {
            stem.backward(rows.len(), &self.input_deltas);
        }
        for (layer, (inputs, deltas)) in self
            .layers
            .iter_mut()
            .zip(self.outputs.iter().zip(&self.deltas))
        {
            self.kernel
                .step_biases(rows.len(), deltas, &mut layer.biases, step);
            self.kernel
                .step_weights(rows.len(), inputs, deltas, &mut layer.weights, step);
        }
        if let Some(stem) = &mut self.stem {
            stem.step(step);
        }
        loss
    }

    /// The sum of the losses of a batch, without label smoothing or dropout.
    ///
    /// # Panics
    /// As [`Self::learn`].
    pub(crate) fn validate(&mut self, examples: &Examples, rows: &[u32]) -> Loss {
        self.forward(examples, rows, false);
        self.loss(examples, rows, 0.0, 1.0)
    }

    /// Appends the loss of each row of a batch: −ln of the probability of its label, without
    /// label smoothing or dropout, and without its weight. It may be not finite.
    ///
    /// # Panics
    /// As [`Self::learn`].
    pub(crate) fn losses(&mut self, examples: &Examples, rows: &[u32], to: &mut Vec<f32>) {
        let labels = examples.labels();
        let logits = self.logits(examples, rows);
        for (row, &example) in rows.iter().enumerate() {
            let logit = |class: usize| f64::from(logits.get(row, class));
            let label = labels[example as usize] as usize;
            // ln Σ eˣ by its largest term, so that losses near 0 keep their digits
            let mut largest = 0;
            for class in 1..logits.columns() {
                if logit(class) > logit(largest) {
                    largest = class;
                }
            }
            let others: f64 = (0..logits.columns())
                .filter(|&class| class != largest)
                .map(|class| (logit(class) - logit(largest)).exp())
                .sum();
            to.push((logit(largest) - logit(label) + others.ln_1p()) as f32);
        }
    }

    /// Calls `each` with row, column and value of what the last layer sees of a batch.
    ///
    /// # Panics
    /// As [`Self::learn`].
    pub(crate) fn penultimate(
        &mut self,
        examples: &Examples,
        rows: &[u32],
        mut each: impl FnMut(usize, usize, f32),
    ) {
        self.forward(examples, rows, false);
        let last = self.layers.len() - 1;
        let order = if last == 0 { self.order } else { Order::Plain };
        let values = &self.outputs[last];
        for row in 0..rows.len() {
            for column in 0..order.count(values.columns()) {
                each(row, column, values.get(row, order.place(column)));
            }
        }
    }

    /// The norm of the gradient of each row's loss with respect to all parameters, without
    /// label smoothing or dropout.
    ///
    /// # Panics
    /// As [`Self::learn`].
    pub(crate) fn gradient_norms(&mut self, examples: &Examples, rows: &[u32], to: &mut [f32]) {
        self.forward(examples, rows, false);
        self.loss(examples, rows, 0.0, 1.0);
        self.backward(rows.len());
        self.dense_squares(to);
        if let Some(stem) = &mut self.stem {
            stem.add_gradient_squares(&self.input_deltas, to);
        }
        for x in to {
            *x = x.sqrt();
        }
    }

    /// The gradient of a quantity of each row with respect to its features, without label
    /// smoothing or dropout; calls `each` with the number of the row and its gradient.
    ///
    /// # Panics
    /// As [`Self::learn`], or if the model was made without input gradients or there is no
    /// such quantity.
    pub(crate) fn input_gradients(
        &mut self,
        examples: &Examples,
        rows: &[u32],
        quantity: Quantity,
        mut each: impl FnMut(usize, &[f32]),
    ) {
        self.back_from(examples, rows, quantity);
        let mut gradient = vec![0.0; examples.features()];
        let deltas = &self.input_deltas;
        if let Some(stem) = &mut self.stem {
            stem.each_output_gradient(rows.len(), deltas, 0, |row, _, deltas| {
                deltas.unload(0, &mut gradient);
                each(row, &gradient);
            });
        } else {
            for row in 0..rows.len() {
                for (column, x) in gradient.iter_mut().enumerate() {
                    *x = deltas.get(row, column);
                }
                each(row, &gradient);
            }
        }
    }

    /// The gradient of a quantity of each row with respect to the outputs of a convolution,
    /// counted from 1, without label smoothing or dropout; calls `each` with the number of
    /// the row, its outputs (this image of those) and their gradient (image 0).
    ///
    /// # Panics
    /// As [`Self::learn`], or if there is no such convolution or quantity.
    pub(crate) fn convolution_gradients(
        &mut self,
        examples: &Examples,
        rows: &[u32],
        convolution: usize,
        quantity: Quantity,
        each: impl FnMut(usize, (&Images, usize), &Images),
    ) {
        self.back_from(examples, rows, quantity);
        if let Some(stem) = &mut self.stem {
            stem.each_output_gradient(rows.len(), &self.input_deltas, convolution, each);
        }
    }

    /// Sends a batch through the network and a quantity's gradient back as far as the inputs
    /// of the first dense layer.
    fn back_from(&mut self, examples: &Examples, rows: &[u32], quantity: Quantity) {
        self.forward(examples, rows, false);
        match quantity {
            Quantity::Loss => {
                self.loss(examples, rows, 0.0, 1.0);
            }
            Quantity::Logit(class) => {
                if let Some(deltas) = self.deltas.last_mut() {
                    deltas.floats_mut().fill(0.0);
                    for row in 0..rows.len() {
                        deltas.set(row, class as usize, 1.0);
                    }
                }
            }
        }
        self.backward(rows.len());
    }

    /// Takes one step of DP-SGD (see [`Privacy`](crate::Privacy)) on the rows that were
    /// drawn, any number of them; the sum of their losses before the step.
    ///
    /// # Panics
    /// If a row is beyond the examples.
    pub(crate) fn learn_privately(
        &mut self,
        examples: &Examples,
        private: &mut Private,
        aim: Aim,
        step: &Step,
    ) -> Loss {
        let sums = &mut private.sums;
        for sum in &mut *sums {
            sum.floats_mut().fill(0.0);
        }
        let mut total = Loss { sum: 0.0 };
        let capacity = self.outputs[0].rows();
        let dense = 2 * self.layers.len();
        let clip = private.privacy.clip;
        for rows in private.drawn.chunks(capacity) {
            self.forward(examples, rows, true);
            total.sum += self.aimed_loss(examples, rows, aim, 1.0).sum;
            self.backward(rows.len());
            // first the squares of the gradients' norms, then what to multiply them by
            let mut factors = std::mem::take(&mut self.factors);
            factors.resize(rows.len(), 0.0);
            self.dense_squares(&mut factors);
            let factor = |row: usize, square: f32| {
                let clip = match private.clips {
                    Some(shares) => clip * shares[rows[row] as usize],
                    None => clip,
                };
                clip / square.sqrt().max(clip)
            };
            if let Some(stem) = &mut self.stem {
                stem.each_gradient(rows.len(), &self.input_deltas, |row, square, gradients| {
                    factors[row] += square;
                    for (sum, gradient) in sums[dense..].iter_mut().zip(gradients) {
                        sum.add_scaled(factor(row, factors[row]), gradient);
                    }
                });
            }
            for (row, x) in factors.iter_mut().enumerate() {
                *x = factor(row, *x);
            }
            for (i, sums) in sums[..dense].chunks_exact_mut(2).enumerate() {
                let (inputs, deltas) = (&self.outputs[i], &mut self.deltas[i]);
                deltas.scale_rows(&factors);
                let kernel = self.kernel;
                kernel.add_weight_gradient(rows.len(), inputs, deltas, &mut sums[0]);
                kernel.add_bias_gradient(rows.len(), deltas, &mut sums[1]);
            }
            self.factors = factors;
        }
        private.add_noise(&self.used_rows());
        let kernel = self.kernel;
        for (sum, part) in private.sums.iter().zip(self.parameters_mut()) {
            kernel.step(sum, part, step);
        }
        total
    }

    /// For each of [`Self::parameters`]: rows come in groups of the first number, of which
    /// the second are used and the others always 0.
    fn used_rows(&self) -> Vec<(usize, usize)> {
        let mut rows = vec![(1, 1); 2 * self.layers.len()];
        if let Order::Flattened {
            channels, stride, ..
        } = self.order
        {
            rows[0] = (stride, channels);
        }
        rows.extend(self.stem.iter().flat_map(Stems::used_rows));
        rows
    }

    /// The square of the norm of each row's gradient with respect to the parameters of all
    /// dense layers. It is known without the gradient: that of the weights is the product of
    /// a row of inputs and one of deltas, and so is its norm of theirs.
    fn dense_squares(&self, to: &mut [f32]) {
        let (mut inputs, mut deltas) = (vec![0.0; to.len()], vec![0.0; to.len()]);
        to.fill(0.0);
        for (outputs, of_layer) in self.outputs.iter().zip(&self.deltas) {
            // 1 for the bias
            inputs.fill(1.0);
            deltas.fill(0.0);
            outputs.add_squares(&mut inputs);
            of_layer.add_squares(&mut deltas);
            for ((to, x), delta) in to.iter_mut().zip(&inputs).zip(&deltas) {
                *to += x * delta;
            }
        }
    }

    /// The logits of a batch, in the first rows of the result.
    ///
    /// # Panics
    /// As [`Self::learn`].
    pub(crate) fn logits(&mut self, examples: &Examples, rows: &[u32]) -> &Matrix {
        self.forward(examples, rows, false);
        &self.outputs[self.layers.len()]
    }

    fn forward(&mut self, examples: &Examples, rows: &[u32], learning: bool) {
        let kernel = self.kernel;
        if let Some(dropout) = self.dropout.as_mut().filter(|_| learning) {
            dropout.begin_step();
        }
        if let Some(stem) = &mut self.stem {
            let augmenter = self.augmenter.as_mut().filter(|_| learning);
            let moves = augmenter.map(|augmenter| augmenter.draw(rows.len()));
            stem.forward(examples, rows, moves, &mut self.outputs[0]);
        } else {
            kernel.gather(
                examples.lines(),
                examples.lines_per_row(),
                rows,
                &mut self.outputs[0],
            );
        }
        let last = self.layers.len() - 1;
        for (i, layer) in self.layers.iter().enumerate() {
            let (inputs, outputs) = self.outputs.split_at_mut(i + 1);
            let (earlier, inputs, outputs) = (&inputs[..], &inputs[i], &mut outputs[0]);
            let bias = &layer.biases.value;
            let residual = self.skips.iter().any(|skip| skip.to == i + 1);
            let finish = if i == last || residual {
                Finish::Bias(bias)
            } else {
                match self.activation {
                    Activation::Relu => Finish::BiasRelu(bias),
                    Activation::Tanh => Finish::BiasTanh(bias),
                }
            };
            kernel.multiply(rows.len(), inputs, &layer.weights.value, finish, outputs);
            if residual {
                for skip in self.skips.iter().filter(|skip| skip.to == i + 1) {
                    let order = if skip.from == 0 {
                        self.order
                    } else {
                        Order::Plain
                    };
                    order.add(*kernel, rows.len(), &earlier[skip.from], outputs);
                }
                for panel in outputs.panels_mut(rows.len()) {
                    kernel.activate(After::from(self.activation), panel);
                }
            }
            if let Some(dropout) = self.dropout.as_mut().filter(|_| learning && i < last) {
                dropout.drop_units(*kernel, i, rows.len(), outputs);
            }
        }
    }

    /// The sum of the cross-entropies of a batch that went through, and their deltas.
    fn loss(&mut self, examples: &Examples, rows: &[u32], smoothing: f32, share: f32) -> Loss {
        let aim = Aim {
            objective: Objective::CrossEntropy,
            smoothing,
            epoch: 0,
        };
        self.aimed_loss(examples, rows, aim, share)
    }

    /// As [`Self::loss`], of an objective.
    fn aimed_loss(&mut self, examples: &Examples, rows: &[u32], aim: Aim, share: f32) -> Loss {
        self.labels.clear();
        let labels = examples.labels();
        self.labels
            .extend(rows.iter().map(|&row| labels[row as usize]));
        if let Some(weights) = examples.weights() {
            self.weights.clear();
            self.weights
                .extend(rows.iter().map(|&row| weights[row as usize]));
        }
        if let Some(soft) = examples.soft() {
            let lines = self.soft.columns().div_ceil(LINE);
            self.kernel.gather(soft, lines, rows, &mut self.soft);
        }
        let targets = Targets {
            labels: &self.labels,
            soft: examples.soft().map(|_| &self.soft),
            weights: examples.weights().map(|_| &self.weights[..]),
        };
        let last = self.layers.len() - 1;
        let (logits, deltas) = (&self.outputs[last + 1], &mut self.deltas[last]);
        let loss = self
            .kernel
            .softmax(logits, targets, aim.smoothing, share, deltas);
        aim.finish(logits, targets, share, loss, deltas)
    }

    /// The deltas of all layers from those of the last.
    fn backward(&mut self, rows: usize) {
        for i in (1..self.layers.len()).rev() {
            let transposed = &mut self.transposed[i];
            self.kernel
                .transpose(&self.layers[i].weights.value, transposed);
            let (before, after) = self.deltas.split_at_mut(i);
            let outputs = &self.outputs[i];
            let residual = self.skips.iter().any(|skip| skip.from == i);
            let finish = match self.activation {
                _ if residual => Finish::Nothing,
                // dropped units have output 0, and so no slope either
                Activation::Relu => Finish::ReluDerivative(outputs),
                Activation::Tanh => Finish::TanhDerivative {
                    outputs,
                    scale: self.dropout.as_ref().map_or(1.0, |d| 1.0 / d.scale),
                },
            };
            self.kernel
                .multiply(rows, &after[0], transposed, finish, &mut before[i - 1]);
            if residual {
                let to = &mut before[i - 1];
                for skip in self.skips.iter().filter(|skip| skip.from == i) {
                    Order::Plain.add(*self.kernel, rows, &after[skip.to - 1 - i], to);
                }
                let scale = self.dropout.as_ref().map_or(1.0, |d| 1.0 / d.scale);
                for (outputs, to) in outputs.panels(rows).zip(to.panels_mut(rows)) {
                    let after = After::from(self.activation);
                    self.kernel.times_slope(after, (outputs, scale), to);
                }
            }
            if let Some(dropout) = &self.dropout {
                dropout.apply(*self.kernel, i - 1, rows, &mut before[i - 1]);
            }
        }
        if self.input_deltas.rows() > 0 {
            let transposed = &mut self.transposed[0];
            self.kernel
                .transpose(&self.layers[0].weights.value, transposed);
            let to = &mut self.input_deltas;
            self.kernel
                .multiply(rows, &self.deltas[0], transposed, Finish::Nothing, to);
            for skip in self.skips.iter().filter(|skip| skip.from == 0) {
                let from = &self.deltas[skip.to - 1];
                self.order.add_back(*self.kernel, rows, from, to);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_units_do_not_depend_on_those_of_other_layers_and_steps() {
        let network = Network {
            inputs: 3,
            hidden: vec![40, 40],
            classes: 2,
            dropout: 0.3,
            ..Network::default()
        };
        let rows = 300;
        for kernel in Kernel::available() {
            let steps = |seed: u64, steps: usize| -> Vec<Vec<bool>> {
                let mut dropout = Dropout::new(&network, rows, seed).unwrap();
                let mut dropped = Vec::new();
                for _ in 0..steps {
                    dropout.begin_step();
                    for layer in 0..2 {
                        let mut values = Matrix::zeros(rows, 40);
                        for row in 0..rows {
                            (0..40).for_each(|unit| values.set(row, unit, 7.0));
                        }
                        dropout.drop_units(kernel, layer, rows, &mut values);
                        let units = (0..rows * 40).map(|i| values.get(i / 40, i % 40));
                        let zero: Vec<bool> = units.clone().map(|x| x == 0.0).collect();
                        assert!(
                            units
                                .zip(&zero)
                                .all(|(x, zero)| *zero || (x - 10.0).abs() < 1e-5)
                        );
                        dropped.push(zero);
                    }
                }
                dropped
            };
            let dropped = steps(1, 3);
            assert_eq!(dropped, steps(1, 3));
            let count = dropped[0].len() as f64;
            for mask in &dropped {
                let share = mask.iter().filter(|x| **x).count() as f64 / count;
                assert!((share - 0.3).abs() < 5.0 * (0.21 / count).sqrt(), "{share}");
            }
            // two masks drop the same unit as often as chance has it
            let others = steps(2, 1);
            let all: Vec<_> = dropped.iter().chain(&others).collect();
            for (i, a) in all.iter().enumerate() {
                for b in &all[..i] {
                    let both = a.iter().zip(*b).filter(|(a, b)| **a && **b).count();
                    let share = both as f64 / count;
                    let deviation = (0.09f64 * 0.91 / count).sqrt();
                    assert!((share - 0.09).abs() < 5.0 * deviation, "{share}");
                }
            }
        }
    }
}
