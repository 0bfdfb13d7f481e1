//! The models of a workload of dense layers with candle, one on each thread.
//!
//! To be run with `RAYON_NUM_THREADS=1`, or every product is cut up over the threads.

use std::error::Error;

use bench_common::{Workload, run};
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{AdamW, Init, Linear, Module, Optimizer, ParamsAdamW, loss};
use ndarray::Array2;

/// Dense layers with `ReLU` between them, and their weights.
struct Network {
    layers: Vec<Linear>,
    variables: Vec<Var>,
}

impl Network {
    /// Starts as PyTorch does; candle's own start has larger weights.
    fn new(workload: &Workload) -> candle_core::Result<Self> {
        let (mut layers, mut variables) = (Vec::new(), Vec::new());
        for (inputs, outputs) in workload.dense_layers() {
            let bound = 1.0 / (inputs as f64).sqrt();
            let start = Init::Uniform {
                lo: -bound,
                up: bound,
            };
            let weight = start.var((outputs, inputs), DType::F32, &Device::Cpu)?;
            let bias = start.var(outputs, DType::F32, &Device::Cpu)?;
            layers.push(Linear::new(
                weight.as_tensor().clone(),
                Some(bias.as_tensor().clone()),
            ));
            variables.extend([weight, bias]);
        }
        Ok(Self { layers, variables })
    }

    fn forward(&self, batch: &Tensor) -> candle_core::Result<Tensor> {
        let mut x = self.layers[0].forward(batch)?;
        for layer in &self.layers[1..] {
            x = layer.forward(&x.relu()?)?;
        }
        Ok(x)
    }
}

fn matrix(x: &Array2<f32>) -> candle_core::Result<Tensor> {
    Tensor::from_iter(x.iter().copied(), &Device::Cpu)?.reshape(x.dim())
}

fn main() -> Result<(), Box<dyn Error>> {
    run(
        "candle",
        |workload, data| {
            if workload.image.is_some() {
                return Err("this peer has dense layers only".into());
            }
            let labels = Tensor::new(data.labels.as_slice(), &Device::Cpu)?;
            Ok((matrix(&data.features)?, labels))
        },
        |workload, (features, labels), job| {
            let network = Network::new(workload)?;
            // without weight decay this is Adam
            let adam = ParamsAdamW {
                lr: 1e-3,
                weight_decay: 0.0,
                ..ParamsAdamW::default()
            };
            let mut optimiser = AdamW::new(network.variables.clone(), adam)?;
            for epoch in 0..workload.epochs {
                for rows in job.order(epoch).chunks(workload.batch_size) {
                    let rows = Tensor::new(rows, &Device::Cpu)?;
                    let logits = network.forward(&features.index_select(&rows, 0)?)?;
                    let targets = labels.index_select(&rows, 0)?;
                    optimiser.backward_step(&loss::cross_entropy(&logits, &targets)?)?;
                }
            }
            Ok(network)
        },
        |workload, data, network| {
            let logits = network.forward(&matrix(&data.held_out)?)?;
            let logits = logits.flatten_all()?.to_vec1::<f32>()?;
            let shape = (data.held_out.nrows(), workload.classes);
            Ok(Array2::from_shape_vec(shape, logits)?)
        },
    )
}
