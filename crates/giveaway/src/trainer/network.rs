//! Convolutional networks, multilayer perceptrons and softmax regression, by `giveaway-nn`.

use std::io;

use giveaway_nn::{
    EarlyStopping, Examples, Kernel, Network, Objective, Privacy, Quantity, Trained, Training,
};
use ndarray::{Array2, Array3, ArrayView2, Axis};

use super::{Alteration, Lesson, Model, Sink, Trainer};
use crate::dataset::Dataset;
use crate::error::{Error, Result};

/// Trains networks of one architecture.
///
/// A copy shares the data set. What a [lesson](Trainer::learn) brings beyond its rows takes
/// memory that [`Trainer::memory`] does not count: for every record of the data set 4 bytes with
/// other labels, 4 with weights, and 4 for each class (rounded up to 16 of them) with soft
/// labels; with added records, a copy of the data set and them.
#[derive(Clone, Debug)]
pub struct NetworkTrainer {
    network: Network,
    training: Training,
    objective: Objective,
    privacy: Option<Privacy>,
    examples: Examples,
    kernel: Kernel,
}

impl NetworkTrainer {
    /// Prepares the data set once for all models.
    ///
    /// # Errors
    /// If network and data set do not fit each other.
    pub fn new(
        network: Network,
        training: Training,
        dataset: &Dataset,
        kernel: Kernel,
    ) -> Result<Self> {
        let classes = dataset.schema.classes.len();
        let examples =
            Examples::new(dataset.features.view(), &dataset.labels, classes).map_err(|e| {
                Error::input(e.to_string())
                    .at("training data")
                    .hint("see the options for the records and the network")
            })?;
        Ok(Self {
            network,
            training,
            objective: Objective::CrossEntropy,
            privacy: None,
            examples,
            kernel,
        })
    }

    /// What trains a network, but for the kernel and the threads.
    fn trainer(&self) -> std::result::Result<giveaway_nn::Trainer<'_>, giveaway_nn::Error> {
        let trainer = giveaway_nn::Trainer::new(&self.network, &self.training)?;
        let trainer = trainer.objective(self.objective)?;
        match self.privacy {
            Some(privacy) => trainer.private(privacy),
            None => Ok(trainer),
        }
    }

    /// Trains one network and traces these records.
    fn trained(
        &self,
        rows: &[u32],
        validation: &[u32],
        traced: &[u32],
        seed: u64,
    ) -> Result<Trained> {
        self.trainer()
            .and_then(|trainer| {
                trainer
                    .kernel(self.kernel)
                    .threads(rayon::current_num_threads())
                    .trace(traced)
                    .train(&self.examples, rows, validation, seed)
            })
            .map_err(|e| cannot_train(&e))
    }

    /// The records as a lesson has them.
    fn examples(&self, lesson: &Lesson) -> std::result::Result<Examples, giveaway_nn::Error> {
        let mut examples = self.examples.clone();
        if let Some(labels) = lesson.labels {
            examples = examples.relabelled(labels)?;
        }
        if let Some(probabilities) = lesson.soft_labels {
            examples = examples.soft_labels(probabilities)?;
        }
        if let Some(weights) = lesson.weights {
            examples = examples.weighted(weights)?;
        }
        if let Some(added) = lesson.added.filter(|added| !added.labels.is_empty()) {
            examples = examples.with_more(added.features, added.labels)?;
        }
        Ok(examples)
    }

    fn taught(
        &self,
        lesson: &Lesson,
        seed: u64,
    ) -> std::result::Result<Trained, giveaway_nn::Error> {
        let start = lesson.start.map(Trained::from_safetensors).transpose()?;
        let examples = self.examples(lesson)?;
        let records = self.examples.rows();
        let mut rows = lesson.rows.to_vec();
        rows.extend((records..examples.rows()).map(|row| row as u32));
        // added records are clipped as any other
        let clips = lesson.clips.map(|clips| {
            let mut clips = clips.to_vec();
            if clips.len() == records {
                clips.resize(examples.rows(), 1.0);
            }
            clips
        });
        let mut trainer = self.trainer()?;
        if let Some(clips) = &clips {
            trainer = trainer.clips(clips)?;
        }
        if let Some(start) = &start {
            trainer = trainer.initial(start.layers())?;
            trainer = trainer.initial_filters(start.filters())?;
        }
        trainer
            .kernel(self.kernel)
            .threads(rayon::current_num_threads())
            .train(&examples, &rows, lesson.validation, seed)
    }

    fn model(&self, trained: Trained) -> Box<dyn Model + '_> {
        Box::new(NetworkModel {
            trained,
            examples: &self.examples,
        })
    }
}

impl Trainer for NetworkTrainer {
    fn train(&self, rows: &[u32], validation: &[u32], seed: u64) -> Result<Box<dyn Model + '_>> {
        let trained = self.trained(rows, validation, &[], seed)?;
        Ok(self.model(trained))
    }

    fn train_traced(
        &self,
        rows: &[u32],
        validation: &[u32],
        traced: &[u32],
        seed: u64,
    ) -> Result<(Box<dyn Model + '_>, Array2<f32>)> {
        let mut trained = self.trained(rows, validation, traced, seed)?;
        let epochs = trained.epochs_run();
        let losses = trained.take_traces().concat();
        let traces = Array2::from_shape_vec((epochs, traced.len()), losses)
            .map_err(|e| Error::unexpected(format!("cannot lay out the traces: {e}")))?;
        Ok((self.model(trained), traces))
    }

    fn tells_losses(&self) -> bool {
        true
    }

    fn has_layers(&self) -> bool {
        true
    }

    fn memory(&self, records: usize, validation: usize, threads: usize) -> usize {
        // A network that cannot be trained takes nothing: `train` says why.
        self.trainer().map_or(0, |trainer| {
            trainer.threads(threads).memory(records, validation)
        })
    }

    fn memory_traced(
        &self,
        records: usize,
        validation: usize,
        traced: usize,
        threads: usize,
    ) -> usize {
        let traces = self
            .trainer()
            .map_or(0, |trainer| trainer.memory_of_traces(traced));
        // twice: as the network hands them over, and as one array
        self.memory(records, validation, threads)
            .saturating_add(traces.saturating_mul(2))
    }

    fn restore(&self, weights: &[u8]) -> Result<Box<dyn Model + '_>> {
        let damaged = |what: String| {
            Error::input(what)
                .hint("delete the file and run the audit again: the model is trained anew")
        };
        let trained = Trained::from_safetensors(weights).map_err(|e| damaged(e.to_string()))?;
        if trained.network() != &self.network {
            return Err(damaged("weights of another network".to_owned()));
        }
        Ok(self.model(trained))
    }

    fn learn(&self, lesson: &Lesson<'_>, seed: u64) -> Result<Box<dyn Model + '_>> {
        if lesson.is_plain() {
            return self.train(lesson.rows, lesson.validation, seed);
        }
        if lesson.clips.is_some() && self.privacy.is_none() {
            return Err(Error::usage(
                "records are to be clipped each in its own way, but training does not clip",
            )
            .hint("use it together with DP-SGD"));
        }
        let trained = self.taught(lesson, seed).map_err(|e| cannot_train(&e))?;
        Ok(self.model(trained))
    }

    fn altered(&self, alteration: &Alteration) -> Result<Box<dyn Trainer + '_>> {
        let Alteration {
            l2,
            dropout,
            label_smoothing,
            patience,
            epochs,
            learning_rate,
            privacy,
            objective,
        } = *alteration;
        if dropout.is_some_and(|rate| rate > 0.0) && self.network.hidden.is_empty() {
            return Err(
                Error::usage("dropout acts on hidden layers, and the network has none")
                    .hint("choose another defence, or a network with --hidden"),
            );
        }
        let mut altered = self.clone();
        let (network, training) = (&mut altered.network, &mut altered.training);
        network.dropout = dropout.unwrap_or(network.dropout);
        training.l2 = l2.unwrap_or(training.l2);
        training.label_smoothing = label_smoothing.unwrap_or(training.label_smoothing);
        training.epochs = epochs.unwrap_or(training.epochs);
        training.learning_rate = learning_rate.unwrap_or(training.learning_rate);
        if let Some(patience) = patience {
            training.early_stopping = Some(EarlyStopping { patience });
        }
        altered.privacy = privacy.or(altered.privacy);
        altered.objective = objective.unwrap_or(altered.objective);
        if altered.privacy.is_some() && matches!(altered.objective, Objective::Relaxed { .. }) {
            return Err(Error::usage(
                "RelaxLoss and DP-SGD do not go together: the one looks at batches as a whole, \
                 the other bounds what a single record can do",
            )
            .hint("choose one of them"));
        }
        altered.trainer().map_err(|e| {
            Error::usage(format!("training cannot be altered like this: {e}"))
                .hint("see the settings of the defence")
        })?;
        Ok(Box::new(altered))
    }

    fn batch_size(&self) -> Option<usize> {
        Some(self.training.batch_size)
    }

    fn epochs(&self) -> Option<usize> {
        Some(self.training.epochs)
    }

    fn kernel(&self) -> String {
        self.kernel.to_string()
    }
}

fn cannot_train(error: &giveaway_nn::Error) -> Error {
    Error::usage(format!("cannot train a model: {error}")).hint(
        "see the options for the network and its training; a lower --learning-rate helps against divergence",
    )
}

struct NetworkModel<'a> {
    trained: Trained,
    examples: &'a Examples,
}

impl NetworkModel<'_> {
    /// Inputs as the network takes them, all of one class.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a view is itself a reference, and ndarray passes views by value"
    )]
    fn queries(&self, inputs: ArrayView2<f32>, label: u32) -> Result<Examples> {
        if inputs.ncols() != self.examples.features() {
            return Err(Error::unexpected(format!(
                "a query of {} features to a model of {}",
                inputs.ncols(),
                self.examples.features()
            )));
        }
        Examples::new(
            inputs,
            &vec![label; inputs.nrows()],
            self.examples.classes(),
        )
        .map_err(|e| Error::input(e.to_string()).at("queries"))
    }
}

impl Model for NetworkModel<'_> {
    fn records(&self) -> usize {
        self.examples.rows()
    }

    fn classes(&self) -> usize {
        self.examples.classes()
    }

    fn each_logits(&self, sink: Sink) -> io::Result<()> {
        let mut outcome = Ok(());
        self.trained
            .each_logits(self.examples, until_failure(&mut outcome, sink));
        outcome
    }

    fn features(&self) -> usize {
        let last = self.trained.layers().last();
        last.map_or(0, |layer| layer.weight.ncols())
    }

    fn each_features(&self, sink: Sink) -> io::Result<()> {
        let mut outcome = Ok(());
        self.trained
            .each_penultimate(self.examples, until_failure(&mut outcome, sink));
        outcome
    }

    fn answer(&self, inputs: ArrayView2<f32>) -> Result<Array2<f32>> {
        let queries = self.queries(inputs, 0)?;
        Ok(self.trained.logits(&queries))
    }

    fn features_of(&self, inputs: ArrayView2<f32>) -> Result<Option<Array2<f32>>> {
        let queries = self.queries(inputs, 0)?;
        Ok(Some(self.trained.penultimate(&queries)))
    }

    fn gradients(&self, inputs: ArrayView2<f32>, label: u32) -> Result<Option<Array2<f32>>> {
        let queries = self.queries(inputs, label)?;
        let logits = self.trained.logits(&queries);
        let mut gradients = self.trained.input_gradients(&queries, Quantity::Loss);
        // φ = -ln(e^L - 1), so its gradient is that of the loss times -1/(1 - p).
        for (mut gradient, logits) in gradients.outer_iter_mut().zip(logits.outer_iter()) {
            let true_logit = f64::from(logits[label as usize]);
            let sum: f64 = logits
                .iter()
                .map(|&z| (f64::from(z) - true_logit).exp())
                .sum();
            let others = sum - 1.0;
            // Below that the loss and its gradient are nothing but rounding.
            let factor = if others > f64::from(f32::EPSILON) {
                -sum / others
            } else {
                0.0
            };
            gradient.mapv_inplace(|g| (f64::from(g) * factor) as f32);
        }
        Ok(Some(gradients))
    }

    fn loss_gradients(&self, inputs: ArrayView2<f32>, label: u32) -> Result<Option<Array2<f32>>> {
        let queries = self.queries(inputs, label)?;
        Ok(Some(self.trained.input_gradients(&queries, Quantity::Loss)))
    }

    fn class_activation(&self, inputs: ArrayView2<f32>, label: u32) -> Result<Option<Array3<f32>>> {
        let queries = self.queries(inputs, label)?;
        let Some(image) = &self.trained.network().image else {
            return Ok(None);
        };
        let (mut maps, mut shape) = (Vec::new(), (0, 0));
        self.trained.convolution_gradients(
            &queries,
            image.convolutions.len(),
            Quantity::Logit(label),
            |_, outputs, gradients| {
                let (rows, columns, _) = outputs.dim();
                shape = (rows, columns);
                let positions = (rows * columns) as f64;
                let weights: Vec<f64> = gradients
                    .axis_iter(Axis(2))
                    .map(|channel| channel.iter().map(|&g| f64::from(g)).sum::<f64>() / positions)
                    .collect();
                maps.extend(outputs.lanes(Axis(2)).into_iter().map(|channels| {
                    let weighted = channels.iter().zip(&weights);
                    let sum: f64 = weighted.map(|(&a, weight)| f64::from(a) * weight).sum();
                    sum.max(0.0) as f32
                }));
            },
        );
        let maps = Array3::from_shape_vec((queries.rows(), shape.0, shape.1), maps)
            .map_err(|e| Error::unexpected(format!("cannot lay out the maps: {e}")))?;
        Ok(Some(maps))
    }

    fn weights(&self) -> Result<Vec<u8>> {
        self.trained
            .to_safetensors()
            .map_err(|e| Error::unexpected(format!("cannot write the weights: {e}")))
    }
}

/// Hands blocks to `sink` until it fails.
fn until_failure<'a>(
    outcome: &'a mut io::Result<()>,
    sink: Sink<'a>,
) -> impl FnMut(usize, ArrayView2<f32>) + 'a {
    move |_, block| {
        if outcome.is_ok() {
            *outcome = sink(block);
        }
    }
}
