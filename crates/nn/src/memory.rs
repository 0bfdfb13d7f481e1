//! How much memory a network takes, from the shapes alone.
//!
//! This follows what [`Model::new`](crate::model::Model::new) and training allocate, buffer
//! by buffer; `tests/memory.rs` compares it with an allocator that counts.

use crate::config::{Image, Network, Pool, Privacy, Training};
use crate::kernel::{Images, LINE, Matrix, Move};
use crate::stems::shares;
use crate::trained::{BATCH, EpochLoss};

/// What is allocated beside buffers: descriptions, streams, lists of layers; and for each
/// thread its jobs.
const SMALL_THINGS: usize = 8 * 1024;
const OF_A_THREAD: usize = 3 * 1024;

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
    let mut train = model(network, batch, wanted, threads);
    if network.dropout > 0.0 {
        let masks = network
            .hidden
            .iter()
            .map(|&units| Matrix::bytes(batch, units));
        train += masks.sum::<usize>();
    }
    // the order of the rows
    train += rows * size_of::<u32>();
    if training.early_stopping.is_some() {
        train += parameters;
    }
    if training.augmentation.is_some() {
        // a list that grows by doubling
        train += batch.next_power_of_two() * size_of::<Move>() * 3 / 2;
    }
    if privacy.is_some() {
        // sums, squares of norms, and the rows of a step, whose list grows by doubling
        let expected = training.batch_size.min(rows) as f64;
        let most = (expected + 8.0 * expected.sqrt()) as usize;
        let drawn = most.min(rows).next_power_of_two() * size_of::<u32>();
        train += parameters + 2 * batch * size_of::<f32>() + drawn + drawn / 2;
    }
    let history = training.epochs * size_of::<EpochLoss>();
    // the trained network is there before the buffers are gone
    let trained = history + weights(network);
    let answer = model(network, BATCH, true, threads) + 2 * BATCH * size_of::<f32>();
    trained + train.max(answer) + SMALL_THINGS + threads * OF_A_THREAD
}

/// The widths of the dense layers as they are stored.
fn widths(network: &Network) -> Vec<usize> {
    let mut widths = network.widths();
    if let Some(image) = &network.image {
        let (height, width, channels) = image.output();
        widths[0] = height * width * channels.next_multiple_of(LINE);
    }
    widths
}

/// The weights and biases of all layers, stored once.
fn parameters(network: &Network) -> usize {
    let layer = |pair: &[usize]| Matrix::bytes(pair[0], pair[1]) + Matrix::bytes(1, pair[1]);
    let dense: usize = widths(network).windows(2).map(layer).sum();
    let stages = network.image.iter().flat_map(stages);
    dense + stages.map(|stage| stage.parameters()).sum::<usize>()
}

/// The weights of a trained network, as users see them.
fn weights(network: &Network) -> usize {
    let dense = network.widths();
    let dense: usize = dense.windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum();
    let mut filters = 0;
    if let Some(image) = &network.image {
        let mut channels = image.channels;
        for convolution in &image.convolutions {
            filters += (convolution.size * convolution.size * channels + 1) * convolution.channels;
            channels = convolution.channels;
        }
    }
    (dense + filters) * size_of::<f32>()
}

/// A model for batches of so many rows; see `Model`.
fn model(network: &Network, batch: usize, wanted: bool, threads: usize) -> usize {
    let widths = widths(network);
    let rows = |widths: &[usize]| -> usize {
        widths
            .iter()
            .map(|&width| Matrix::bytes(batch, width))
            .sum()
    };
    let mut bytes = 3 * parameters(network) + rows(&widths) + rows(&widths[1..]);
    if wanted {
        bytes += rows(&widths[..1]);
    }
    for (i, pair) in widths.windows(2).enumerate() {
        if i > 0 || wanted {
            bytes += Matrix::bytes(pair[1], pair[0]);
        }
    }
    // soft labels; labels, weights, factors
    bytes += Matrix::bytes(batch, network.classes) + 3 * batch * size_of::<u32>();
    bytes
        + network
            .image
            .as_ref()
            .map_or(0, |image| stems(image, batch, threads))
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
        let bordered = |length: usize| length + 2 * border(i) + 1 - convolution.size;
        stages.push(Stage {
            size: convolution.size,
            input_stride,
            channels: convolution.channels,
            pool: convolution.pool,
            sums: (bordered(sizes[i].0), bordered(sizes[i].1)),
            outputs: sizes[i + 1],
            border: border(i + 1),
        });
        input_stride = convolution.channels.next_multiple_of(LINE);
    }
    stages
}

impl Stage {
    fn parameters(&self) -> usize {
        let rows = self.size * self.size * self.input_stride;
        Matrix::bytes(rows, self.channels) + Matrix::bytes(1, self.channels)
    }

    /// The buffers for so many images; see `Stage` of the stem.
    fn buffers(&self, batch: usize) -> usize {
        let images = |count, size, border| Images::padded_bytes(count, size, self.channels, border);
        let mut bytes = images(batch, self.outputs, self.border)
            + images(1, self.outputs, self.border)
            + images(1, self.sums, 0);
        if self.pool == Some(Pool::Max) {
            bytes += images(batch, self.outputs, 0);
        }
        if let Some(pool) = self.pool {
            let count = if pool == Pool::Average { batch } else { 1 };
            bytes += images(count, self.sums, 0);
        }
        let stride = self.channels.next_multiple_of(LINE);
        bytes + Matrix::bytes(self.size * stride, self.size * self.input_stride)
    }
}

/// All convolutions; see `Stems`. The first share's parameters count as the model's.
fn stems(image: &Image, batch: usize, threads: usize) -> usize {
    let size = image.sizes()[0];
    let border = image.convolutions[0]
        .padding
        .border(image.convolutions[0].size);
    let stages = stages(image);
    let parameters: usize = stages.iter().map(Stage::parameters).sum();
    let mut bytes = 0;
    for (number, (groups, images)) in shares(threads, batch).into_iter().enumerate() {
        let sums = if threads == 1 { 1 } else { groups.len() };
        bytes += Images::packed_bytes(images, size, image.channels, border)
            + Images::packed_bytes(1, size, image.channels, border)
            + stages.iter().map(|stage| stage.buffers(images)).sum::<usize>()
            // the gradients, and the sums of them
            + (1 + sums) * parameters;
        if number > 0 {
            bytes += 3 * parameters;
        }
    }
    bytes
}
