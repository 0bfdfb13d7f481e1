//! The models of a workload with burn's Flex backend, one on each thread.

use std::error::Error;

use bench_common::{Image, Workload, run};
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};
use ndarray::Array2;

/// Convolutions with pooling and `ReLU`, then dense layers. burn's initialisation is
/// PyTorch's.
#[derive(Module, Debug)]
struct Network {
    convolutions: Vec<Conv2d>,
    pool: Option<MaxPool2d>,
    dense: Vec<Linear>,
    #[module(skip)]
    side: usize,
}

impl Network {
    fn new(workload: &Workload, device: &Device) -> Self {
        let (mut convolutions, mut pool, mut side) = (Vec::new(), None, 0);
        if let Some(Image {
            side: image_side,
            filter,
            channels,
            pool: size,
        }) = &workload.image
        {
            let mut inputs = 1;
            for &outputs in channels {
                let config = Conv2dConfig::new([inputs, outputs], [*filter, *filter]);
                convolutions.push(config.init(device));
                inputs = outputs;
            }
            pool = Some(MaxPool2dConfig::new([*size, *size]).init());
            side = *image_side;
        }
        let dense = workload
            .dense_layers()
            .iter()
            .map(|&(inputs, outputs)| LinearConfig::new(inputs, outputs).init(device))
            .collect();
        Self {
            convolutions,
            pool,
            dense,
            side,
        }
    }

    fn forward(&self, batch: Tensor<2>) -> Tensor<2> {
        let mut x = match &self.pool {
            None => batch,
            Some(pool) => {
                let [records, _] = batch.dims();
                let mut images = batch.reshape([records, 1, self.side, self.side]);
                for convolution in &self.convolutions {
                    images = relu(pool.forward(convolution.forward(images)));
                }
                images.flatten(1, 3)
            }
        };
        for (index, layer) in self.dense.iter().enumerate() {
            if index > 0 {
                x = relu(x);
            }
            x = layer.forward(x);
        }
        x
    }
}

fn matrix(x: &Array2<f32>, device: &Device) -> Tensor<2> {
    let data = TensorData::new(x.iter().copied().collect(), [x.nrows(), x.ncols()]);
    Tensor::from_data(data, device)
}

fn integers(values: &[u32], device: &Device) -> Tensor<1, Int> {
    let values: Vec<i32> = values.iter().map(|&value| value as i32).collect();
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}

fn main() -> Result<(), Box<dyn Error>> {
    run(
        "burn",
        |_, data| {
            let device = Device::flex();
            Ok((
                matrix(&data.features, &device),
                integers(&data.labels, &device),
            ))
        },
        |workload, (features, labels), job| {
            let plain = Device::flex();
            let device = plain.clone().autodiff();
            let mut network = Network::new(workload, &device);
            let mut optimiser = AdamConfig::new().with_epsilon(1e-8).init();
            let loss = CrossEntropyLossConfig::new().init(&device);
            for epoch in 0..workload.epochs {
                for rows in job.order(epoch).chunks(workload.batch_size) {
                    let rows = integers(rows, &plain);
                    let batch = features.clone().select(0, rows.clone());
                    let targets = labels.clone().select(0, rows);
                    let logits = network.forward(batch.to_device(&device));
                    let gradients = loss.forward(logits, targets.to_device(&device)).backward();
                    let gradients = GradientsParams::from_grads(gradients, &network);
                    network = optimiser.step(1e-3, network, gradients);
                }
            }
            Ok(network.valid())
        },
        |workload, data, network| {
            let device = Device::flex();
            let mut logits = Vec::new();
            for start in (0..data.held_out.nrows()).step_by(1000) {
                let end = data.held_out.nrows().min(start + 1000);
                let part = data.held_out.slice(ndarray::s![start..end, ..]).to_owned();
                let part = network.forward(matrix(&part, &device)).into_data();
                logits.extend(
                    part.try_to_vec::<f32>()
                        .map_err(|error| format!("{error:?}"))?,
                );
            }
            Ok(Array2::from_shape_vec(
                (data.held_out.nrows(), workload.classes),
                logits,
            )?)
        },
    )
}
