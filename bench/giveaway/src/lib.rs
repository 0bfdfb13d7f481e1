//! The workloads in the terms of `giveaway-nn`.

use bench_common::Workload;
use giveaway_nn::{
    Activation, Convolution, Image, Network, Optimiser, Padding, Pool, Schedule, Training,
};

/// The network of a workload. Its pools are 2 × 2, the only ones that there are.
#[must_use]
pub fn network(workload: &Workload) -> Network {
    let image = workload.image.as_ref().map(|image| Image {
        height: image.side,
        width: image.side,
        channels: 1,
        convolutions: image
            .channels
            .iter()
            .map(|&channels| Convolution {
                channels,
                size: image.filter,
                padding: Padding::Valid,
                pool: Some(Pool::Max),
            })
            .collect(),
        skips: Vec::new(),
    });
    Network {
        inputs: workload.inputs,
        hidden: workload.hidden.clone(),
        classes: workload.classes,
        activation: Activation::Relu,
        image,
        ..Network::default()
    }
}

/// Adam at 1e-3, as all workloads are trained.
#[must_use]
pub fn training(workload: &Workload) -> Training {
    Training {
        epochs: workload.epochs,
        batch_size: workload.batch_size,
        learning_rate: 1e-3,
        optimiser: Optimiser::adam(),
        l2: 0.0,
        label_smoothing: 0.0,
        schedule: Schedule::Constant,
        early_stopping: None,
        augmentation: None,
    }
}
