//! The models of a workload with `giveaway-nn`, one on each thread.

use std::error::Error;

use bench_common::run;
use giveaway_nn::{Examples, Trainer};
use peer_giveaway::{network, training};

fn main() -> Result<(), Box<dyn Error>> {
    run(
        "giveaway",
        |workload, data| {
            let examples = Examples::new(data.features.view(), &data.labels, workload.classes)?;
            Ok((network(workload), training(workload), examples))
        },
        |_, (network, training, examples), job| {
            Ok(Trainer::new(network, training)?.train(examples, &job.rows, &[], job.seed)?)
        },
        |workload, data, model| {
            let labels = &data.held_out_labels;
            let examples = Examples::new(data.held_out.view(), labels, workload.classes)?;
            Ok(model.logits(&examples))
        },
    )
}
