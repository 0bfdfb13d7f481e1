//! How much memory a network takes, from the shapes alone.
//!
//! This follows what [`Model::new`](crate::model::Model::new), training and asking allocate,
//! buffer by buffer; `tests/memory.rs` compares it with an allocator that counts. The shapes
//! may be absurd: what is more than a number can hold counts as `usize::MAX`.

use crate::config::{Image, Network, Pool, Privacy, Training};
use crate::kernel::{Images, Matrix, Move, padded_channels};
use crate::stems::shares;
use crate::trained::{EpochLoss, batch};

/// What is allocated beside buffers: descriptions, streams, lists of layers; and for each
/// thread its jobs.
const SMALL_THINGS: usize = 8 * 1024;
const OF_A_THREAD: usize = 3 * 1024;

/// Epochs whose losses are counted. Who asks for more than anybody waits for means to stop
/// early.
const EPOCHS: usize = 1 << 20;

/// The most that is in use at once while a network is trained or answers afterwards, in
/// bytes: without the examples and without the answers.
pub(crate) fn peak(
    network: &Network,
    training: &Training,
    privacy: Option<Privacy>,
    (rows, validation): (usize, usize),
    threads: usize,
) -> usize {
    let batch = training.batch_size.min(rows.max(validation));
    let wanted = network.image.is_some();
    let parameters = parameters(network);
    let mut train = vec![
        // the answers of a row, for objectives beside the cross-entropy
        bytes_of::<f64>(network.classes),
        model(network, batch, wanted, threads, true),
        // the order of the rows
        bytes_of::<u32>(rows),
    ];
    if network.dropout > 0.0 {
        let masks = network.hidden.iter();
        train.extend(masks.map(|&units| Matrix::bytes(batch, units)));
    }
    if training.early_stopping.is_some() {
        train.push(parameters);
    }
    if training.augmentation.is_some() {
        train.push(growing::<Move>(batch));
    }
    if privacy.is_some() {
        // sums, squares of norms, and the rows of a step
        let expected = training.batch_size.min(rows) as f64;
        let most = (expected + 8.0 * expected.sqrt()) as usize;
        let drawn = growing::<u32>(most.min(rows));
        train.extend([parameters, bytes_of::<f32>(batch), bytes_of::<f32>(batch)]);
        train.push(drawn);
    }
    // the trained network is there before the buffers are gone
    total([
        growing::<EpochLoss>(training.epochs.min(EPOCHS)),
        weights(network),
        total(train).max(asking(network, threads)),
        SMALL_THINGS,
        threads.saturating_mul(OF_A_THREAD),
    ])
}

/// The losses of so many rows after every epoch.
pub(crate) fn traces(training: &Training, rows: usize) -> usize {
    if rows == 0 {
        return 0;
    }
    let epochs = training.epochs.min(EPOCHS);
    let losses = product([epochs, bytes_of::<f32>(rows)]);
    losses.saturating_add(growing::<Vec<f32>>(epochs))
}

/// What a trained network takes beside its weights while it answers, whatever it is asked.
pub(crate) fn asking(network: &Network, threads: usize) -> usize {
    let batch = batch(network);
    let widths = network.widths();
    let mut most = 0;
    if let Some(image) = &network.image {
        // the outputs of a convolution and their gradient, of one record
        let sizes = image.sizes().into_iter().skip(1);
        for ((height, width), convolution) in sizes.zip(&image.convolutions) {
            let numbers = product([height, width, convolution.channels]);
            most = most.max(bytes_of::<f32>(numbers).saturating_mul(2));
        }
    }
    // or the gradient of one record
    most = most.max(bytes_of::<f32>(network.inputs));
    let gradients = most.saturating_add(model(network, batch, true, threads, false));
    // a block of logits, or of what the last layer sees; or squares of inputs and deltas, for
    // the norms
    let columns = network.classes.max(widths[widths.len() - 2]);
    let block = bytes_of::<f32>(product([batch, columns]));
    let wanted = network.image.is_some();
    let outputs = block.saturating_add(model(network, batch, wanted, threads, false));
    total([gradients.max(outputs), bytes_of::<u32>(batch)])
}

/// The least that a network takes: while it answers for one record on one thread.
pub(crate) fn of_a_record(network: &Network) -> usize {
    model(network, 1, true, 1, false)
}

fn total(parts: impl IntoIterator<Item = usize>) -> usize {
    parts.into_iter().fold(0, usize::saturating_add)
}

fn product(parts: impl IntoIterator<Item = usize>) -> usize {
    parts.into_iter().fold(1, usize::saturating_mul)
}

fn bytes_of<T>(count: usize) -> usize {
    count.saturating_mul(size_of::<T>())
}

/// A list that grows to so many things by doubling: the new one, and the old one beside it
/// while it is copied.
fn growing<T>(count: usize) -> usize {
    // none is allocated for fewer than 4
    let capacity = count.max(4).checked_next_power_of_two();
    let bytes = bytes_of::<T>(capacity.unwrap_or(usize::MAX));
    bytes.saturating_add(bytes / 2)
}

/// The widths of the dense layers as they are stored.
fn widths(network: &Network) -> Vec<usize> {
    let mut widths = network.widths();
    if let Some(image) = &network.image {
        let (height, width, channels) = image.output();
        widths[0] = product([height, width, padded_channels(channels)]);
    }
    widths
}

/// The weights and biases of all layers, stored once.
fn parameters(network: &Network) -> usize {
    let layer =
        |pair: &[usize]| total([Matrix::bytes(pair[0], pair[1]), Matrix::bytes(1, pair[1])]);
    let dense = total(widths(network).windows(2).map(layer));
    let stages = network.image.iter().flat_map(stages);
    dense.saturating_add(total(stages.map(|stage| stage.parameters())))
}

/// The weights of a trained network, as users see them.
fn weights(network: &Network) -> usize {
    let layer = |inputs: usize, outputs: usize| product([inputs.saturating_add(1), outputs]);
    let widths = network.widths();
    let mut numbers = total(widths.windows(2).map(|pair| layer(pair[0], pair[1])));
    if let Some(image) = &network.image {
        let mut channels = image.channels;
        for convolution in &image.convolutions {
            let inputs = product([convolution.size, convolution.size, channels]);
            numbers = numbers.saturating_add(layer(inputs, convolution.channels));
            channels = convolution.channels;
        }
    }
    bytes_of::<f32>(numbers)
}

/// A model for batches of so many rows, which learns or only answers; see `Model`.
fn model(network: &Network, batch: usize, wanted: bool, threads: usize, learns: bool) -> usize {
    let widths = widths(network);
    let rows = |widths: &[usize]| total(widths.iter().map(|&width| Matrix::bytes(batch, width)));
    let copies = if learns { 3 } else { 1 };
    let mut parts = vec![
        product([copies, parameters(network)]),
        rows(&widths),
        rows(&widths[1..]),
        // soft labels; labels, weights, factors
        Matrix::bytes(batch, network.classes),
        product([3, bytes_of::<u32>(batch)]),
    ];
    if wanted {
        parts.push(rows(&widths[..1]));
    }
    for (i, pair) in widths.windows(2).enumerate() {
        if i > 0 || wanted {
            parts.push(Matrix::bytes(pair[1], pair[0]));
        }
    }
    if let Some(image) = &network.image {
        parts.push(stems(image, batch, threads, learns));
    }
    total(parts)
}

/// The shapes of a convolution.
struct Stage {
    size: usize,
    /// Of the input: floats of a pixel.
    input_stride: usize,
    channels: usize,
    pool: Option<Pool>,
    /// Height and width of the convolution, and after pooling; the border around that.
    sums: (usize, usize),
    outputs: (usize, usize),
    border: usize,
}

fn stages(image: &Image) -> Vec<Stage> {
    let sizes = image.sizes();
    let border = |i: usize| {
        let convolution = image.convolutions.get(i);
        convolution.map_or(0, |c| c.padding.border(c.size))
    };
    let mut input_stride = image.channels;
    let mut stages = Vec::new();
    for (i, convolution) in image.convolutions.iter().enumerate() {
        let (height, width) = sizes[i];
        stages.push(Stage {
            size: convolution.size,
            input_stride,
            channels: convolution.channels,
            pool: convolution.pool,
            sums: (convolution.sums(height), convolution.sums(width)),
            outputs: sizes[i + 1],
            border: border(i + 1),
        });
        input_stride = padded_channels(convolution.channels);
    }
    stages
}

impl Stage {
    fn parameters(&self) -> usize {
        let rows = product([self.size, self.size, self.input_stride]);
        total([
            Matrix::bytes(rows, self.channels),
            Matrix::bytes(1, self.channels),
        ])
    }

    /// The buffers for so many images; see `Stage` of the stem.
    fn buffers(&self, batch: usize) -> usize {
        let images = |count, size, border| Images::padded_bytes(count, size, self.channels, border);
        let transposed = (
            product([self.size, padded_channels(self.channels)]),
            product([self.size, self.input_stride]),
        );
        let mut parts = vec![
            images(batch, self.outputs, self.border),
            images(1, self.outputs, self.border),
            images(1, self.sums, 0),
            Matrix::bytes(transposed.0, transposed.1),
        ];
        if self.pool == Some(Pool::Max) {
            parts.push(images(batch, self.outputs, 0));
        }
        if let Some(pool) = self.pool {
            let count = if pool == Pool::Average { batch } else { 1 };
            parts.push(images(count, self.sums, 0));
        }
        total(parts)
    }
}

/// All convolutions; see `Stems`. The first share's parameters count as the model's.
fn stems(image: &Image, batch: usize, threads: usize, learns: bool) -> usize {
    let size = image.sizes()[0];
    let first = image.convolutions[0];
    let border = first.padding.border(first.size);
    let stages = stages(image);
    let parameters = total(stages.iter().map(Stage::parameters));
    let shares = shares(threads, batch);
    let alone = shares.len() == 1;
    let share = |(groups, images): (std::ops::Range<usize>, usize)| {
        let own = usize::from(groups.start > 0);
        let sums = match (learns, alone) {
            (false, _) => 0,
            (true, true) => 1,
            (true, false) => groups.len(),
        };
        total([
            Images::packed_bytes(images, size, image.channels, border),
            Images::packed_bytes(1, size, image.channels, border),
            total(stages.iter().map(|stage| stage.buffers(images))),
            // its own filters, the gradients, and the sums of them
            product([own + 1 + sums, parameters]),
        ])
    };
    total(shares.into_iter().map(share))
}
