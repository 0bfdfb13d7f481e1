//! Training one network.

use giveaway_stats::random::Stream;

use crate::Error;
use crate::augmentation::Augmenter;
use crate::config::{Network, Objective, Optimiser, Privacy, Training};
use crate::examples::Examples;
use crate::kernel::{Crew, DefaultEnvironment, Kernel, Matrix, Step, kernel};
use crate::memory;
use crate::model::Model;
use crate::objective::Aim;
use crate::private::Private;
use crate::trained::{Dense, EpochLoss, Filters, Trained};

/// Trains a network on the records `rows` of `examples`, on this thread
/// ([`Trainer::threads`] shares the work among several).
///
/// A row may occur more than once; each occurrence counts (bootstrap). Each epoch takes
/// the rows in a new random order, in batches; the last may be smaller and counts fully.
/// Weights start as PyTorch's `Linear` and `Conv2d` do, uniform in ±1/√inputs. The mean loss over
/// the `validation` rows, if there are any, is computed after every epoch, and stops the
/// training where [`EarlyStopping`](crate::EarlyStopping) is asked for.
///
/// The result depends on the arguments and on [`kernel`] alone.
///
/// # Errors
/// If the network or the training makes no sense or does not fit the examples, there are
/// no rows, a row is beyond the examples, early stopping has no validation rows, or the
/// training diverges.
pub fn train(
    network: &Network,
    training: &Training,
    examples: &Examples,
    rows: &[u32],
    validation: &[u32],
    seed: u64,
) -> Result<Trained, Error> {
    Trainer::new(network, training)?.train(examples, rows, validation, seed)
}

/// Trains networks of one description, with choices that [`train`] leaves at their defaults.
#[derive(Clone, Debug)]
pub struct Trainer<'a> {
    network: &'a Network,
    training: &'a Training,
    kernel: Kernel,
    threads: usize,
    objective: Objective,
    privacy: Option<Privacy>,
    clips: Option<&'a [f32]>,
    initial: Option<&'a [Dense]>,
    initial_filters: Option<&'a [Filters]>,
    traced: &'a [u32],
}

impl<'a> Trainer<'a> {
    /// A trainer for this network.
    ///
    /// # Errors
    /// If the network or the training makes no sense.
    pub fn new(network: &'a Network, training: &'a Training) -> Result<Self, Error> {
        network.check()?;
        training.check()?;
        if let Some(augmentation) = training.augmentation {
            augmentation.check(network)?;
        }
        Ok(Self {
            network,
            training,
            kernel: kernel(),
            threads: 1,
            objective: Objective::CrossEntropy,
            privacy: None,
            clips: None,
            initial: None,
            initial_filters: None,
            traced: &[],
        })
    }

    /// Uses this kernel rather than the fastest.
    #[must_use]
    pub fn kernel(mut self, kernel: Kernel) -> Self {
        self.kernel = kernel;
        self
    }

    /// Shares the work on one network among so many threads, the calling one among them, but
    /// no more than the current rayon pool has; 1 unless this is called. The result is the
    /// same, bit for bit.
    ///
    /// Called by a thread of a pool, the others are the pool's: those that it has no time for
    /// are not waited for, and one that has come stays until the network is trained. Called
    /// by any other thread, they are started for this network, and the pool (then rayon's
    /// global one) only says how many there may be.
    ///
    /// For many networks at once, one thread each is faster. Convolutions have work for 8
    /// threads at most. Their gradients of single records are one thread's work with
    /// [`Self::private`], where they are summed one after another, and where gradients with
    /// respect to features or to a convolution's outputs are asked for.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Trains with differential privacy. The losses of an epoch are then means over the
    /// rows that were drawn, 0 if none was.
    ///
    /// # Errors
    /// If the numbers make no sense.
    pub fn private(mut self, privacy: Privacy) -> Result<Self, Error> {
        privacy.check()?;
        self.privacy = Some(privacy);
        Ok(self)
    }

    /// Clips the gradient of each record to this share of [`Privacy::clip`], above 0 and at most
    /// 1; the noise stays as large. One for every record of the examples, in training or not. A
    /// record whose share is s is protected as one would be in training with 1/s times the noise
    /// multiplier; who sees the shares learns which records they are small for.
    ///
    /// # Errors
    /// If a share is not in this range. Training refuses another number of shares than records,
    /// and shares without [`Self::private`].
    pub fn clips(mut self, shares: &'a [f32]) -> Result<Self, Error> {
        let good = |share: &f32| *share > 0.0 && *share <= 1.0;
        if let Some(row) = shares.iter().position(|share| !good(share)) {
            return Err(Error::Training(format!(
                "the share of the clip of record {row} is {}; it must be above 0 and at most 1",
                shares[row]
            )));
        }
        self.clips = Some(shares);
        Ok(self)
    }

    /// Makes something else small than the cross-entropy.
    ///
    /// # Errors
    /// If its numbers make no sense. Training refuses [`Objective::Relaxed`] together with
    /// [`Self::private`].
    pub fn objective(mut self, objective: Objective) -> Result<Self, Error> {
        objective.check()?;
        self.objective = objective;
        Ok(self)
    }

    /// Starts from these weights of the dense layers rather than from random ones.
    ///
    /// # Errors
    /// If they do not fit the network or are not finite.
    pub fn initial(mut self, layers: &'a [Dense]) -> Result<Self, Error> {
        let widths = self.network.widths();
        let refuse = |message: String| Err(Error::Weights(message));
        if layers.len() + 1 != widths.len() {
            return refuse(format!(
                "{} layers for a network of {}",
                layers.len(),
                widths.len() - 1
            ));
        }
        for (i, (layer, width)) in layers.iter().zip(widths.windows(2)).enumerate() {
            let (outputs, inputs) = layer.weight.dim();
            if (inputs, outputs, layer.bias.len()) != (width[0], width[1], width[1]) {
                return refuse(format!(
                    "layer {} has weight {outputs} × {inputs} and {} biases; \
                     the network needs {} × {} and {}",
                    i + 1,
                    layer.bias.len(),
                    width[1],
                    width[0],
                    width[1]
                ));
            }
            if !layer
                .weight
                .iter()
                .chain(&layer.bias)
                .all(|x| x.is_finite())
            {
                return refuse(format!("layer {} has a weight that is not finite", i + 1));
            }
        }
        self.initial = Some(layers);
        Ok(self)
    }

    /// Starts from these weights of the convolutions rather than from random ones.
    ///
    /// # Errors
    /// If they do not fit the network or are not finite.
    pub fn initial_filters(mut self, filters: &'a [Filters]) -> Result<Self, Error> {
        let refuse = |message: String| Err(Error::Weights(message));
        let image = self.network.image.as_ref();
        let convolutions = image.map_or(&[][..], |image| &image.convolutions);
        if filters.len() != convolutions.len() {
            return refuse(format!(
                "filters of {} convolutions for a network of {}",
                filters.len(),
                convolutions.len()
            ));
        }
        let mut channels = image.map_or(0, |image| image.channels);
        for (i, (filters, convolution)) in filters.iter().zip(convolutions).enumerate() {
            let (outputs, size) = (convolution.channels, convolution.size);
            let have = (filters.weight.shape(), filters.bias.len());
            if have != (&[outputs, channels, size, size][..], outputs) {
                return refuse(format!(
                    "convolution {} has filters {:?} and {} biases; \
                     the network needs {:?} and {outputs}",
                    i + 1,
                    have.0,
                    have.1,
                    [outputs, channels, size, size]
                ));
            }
            let mut values = filters.weight.iter().chain(&filters.bias);
            if !values.all(|x| x.is_finite()) {
                return refuse(format!(
                    "convolution {} has a weight that is not finite",
                    i + 1
                ));
            }
            channels = outputs;
        }
        self.initial_filters = Some(filters);
        Ok(self)
    }

    /// Notes the loss of each of these rows after every epoch, for [`Trained::traces`]: −ln of
    /// the probability of the row's label, without dropout, augmentation, label smoothing and
    /// l2, and whatever soft labels and weights there are. Rows may be any of the examples and
    /// may occur more than once. What is learnt, the history and early stopping stay the same,
    /// bit for bit; a loss that is not finite counts as divergence.
    #[must_use]
    pub fn trace(mut self, rows: &'a [u32]) -> Self {
        self.traced = rows;
        self
    }

    /// The bytes that one network takes at most, beside the examples: while it is trained on
    /// so many rows with so many validation rows, or afterwards, when it is asked for outputs
    /// (the outputs themselves not counted). Known from the shapes; no buffer is allocated.
    /// Of the losses in the history and in traces, those of a million epochs count at most. `usize::MAX` if
    /// it is more than a number can hold.
    ///
    /// Training takes nearly all of it when it starts; lists of a number for each epoch or
    /// row of a step grow later. Many networks are safe to run side by side if the sum of
    /// this is there.
    #[must_use]
    pub fn memory(&self, rows: usize, validation: usize) -> usize {
        let training = self.training;
        let rows = (rows, validation);
        let beside_traces = memory::peak(self.network, training, self.privacy, rows, self.threads);
        beside_traces.saturating_add(self.memory_of_traces(self.traced.len()))
    }

    /// The bytes of [`Trained::traces`] of so many rows; [`Self::memory`] counts those of the
    /// rows given to [`Self::trace`].
    #[must_use]
    pub fn memory_of_traces(&self, rows: usize) -> usize {
        memory::traces(self.training, rows)
    }

    /// Trains one network; see [`train`].
    ///
    /// # Errors
    /// As [`train`].
    pub fn train(
        &self,
        examples: &Examples,
        rows: &[u32],
        validation: &[u32],
        seed: u64,
    ) -> Result<Trained, Error> {
        let _environment = DefaultEnvironment::enter();
        self.check(examples, rows, validation)?;
        self.kernel.with_threads(self.threads, |crew| {
            self.train_with(crew, examples, rows, validation, seed)
        })
    }

    fn train_with(
        &self,
        crew: Crew,
        examples: &Examples,
        rows: &[u32],
        validation: &[u32],
        seed: u64,
    ) -> Result<Trained, Error> {
        let training = self.training;
        let batch = training.batch_size.min(rows.len().max(validation.len()));
        let mut model = Model::new(crew, self.network, batch, Some(seed));
        match self.initial {
            Some(layers) => model.set_layers(layers),
            None => model.randomise_layers(seed),
        }
        match self.initial_filters {
            Some(filters) => model.set_filters(filters),
            None => model.randomise_filters(seed),
        }
        let mut private = self
            .privacy
            .map(|privacy| Private::new(privacy, self.clips, &model, seed));
        let mut order = rows.to_vec();
        let mut best = Best::new(training.early_stopping.is_some(), &model);
        let mut history = Vec::new();
        let mut traces = Vec::new();
        let mut steps = 0;
        for epoch in 0..training.epochs {
            order.copy_from_slice(rows);
            Stream::new(seed, "order", epoch as u64).shuffle(&mut order);
            if let Some(augmentation) = training.augmentation {
                model.augment(Augmenter::new(augmentation, seed, epoch));
            }
            let multiplier = training.schedule.multiplier(epoch, training.epochs);
            let rate = f64::from(training.learning_rate) * multiplier;
            let diverged = |what| Error::Diverged {
                epoch: epoch + 1,
                epochs: training.epochs,
                what,
                learning_rate: rate as f32,
            };
            let aim = Aim {
                objective: self.objective,
                smoothing: training.label_smoothing,
                epoch,
            };
            let (mut sum, mut seen) = (0.0, rows.len());
            if let Some(private) = &mut private {
                seen = 0;
                for _ in 0..rows.len().div_ceil(training.batch_size) {
                    steps += 1;
                    let step = step(training, rate, steps);
                    private.draw(rows, training.batch_size);
                    let loss = model.learn_privately(examples, private, aim, &step);
                    sum += loss.sum;
                    seen += private.drawn.len();
                }
            } else {
                for rows in order.chunks(batch.min(training.batch_size)) {
                    steps += 1;
                    let step = step(training, rate, steps);
                    let loss = model.learn(examples, rows, aim, &step);
                    sum += loss.sum;
                }
            }
            if !sum.is_finite() {
                return Err(diverged("the loss"));
            }
            if !model.parameters().all(|part| part.value.is_finite()) {
                return Err(diverged("a weight"));
            }
            let mut loss = EpochLoss {
                training: sum / seen.max(1) as f64,
                validation: None,
            };
            if !validation.is_empty() {
                let batches = validation.chunks(batch);
                let sum: f64 = batches.map(|rows| model.validate(examples, rows).sum).sum();
                if !sum.is_finite() {
                    return Err(diverged("the validation loss"));
                }
                loss.validation = Some(sum / validation.len() as f64);
            }
            history.push(loss);
            if !self.traced.is_empty() {
                let losses = losses(&mut model, examples, self.traced, batch);
                traces.push(losses.ok_or_else(|| diverged("the loss of a traced row"))?);
            }
            if let (Some(stopping), Some(validation)) = (training.early_stopping, loss.validation) {
                best.consider(epoch + 1, validation, &model);
                if epoch + 1 - best.epoch >= stopping.patience {
                    break;
                }
            }
        }
        let best_epoch = best.restore(&mut model).unwrap_or(history.len());
        Ok(Trained::new(
            self.network,
            self.kernel,
            model.weights(),
            history,
            best_epoch,
        )
        .with_traces(traces)
        .threads(self.threads))
    }

    fn check(&self, examples: &Examples, rows: &[u32], validation: &[u32]) -> Result<(), Error> {
        let network = self.network;
        if network.inputs != examples.features() {
            return Err(Error::Network(format!(
                "the network has {} inputs, but the examples have {} features",
                network.inputs,
                examples.features()
            )));
        }
        if network.classes != examples.classes() {
            return Err(Error::Network(format!(
                "the network has {} classes, but the examples have {}",
                network.classes,
                examples.classes()
            )));
        }
        if rows.is_empty() {
            return Err(Error::Rows("there are no rows to train on".into()));
        }
        for (name, rows) in [
            ("training", rows),
            ("validation", validation),
            ("traced", self.traced),
        ] {
            if let Some(row) = rows.iter().find(|&&row| row as usize >= examples.rows()) {
                return Err(Error::Rows(format!(
                    "{name} row {row} is beyond the {} examples (counted from 0)",
                    examples.rows()
                )));
            }
        }
        let relaxed = matches!(self.objective, Objective::Relaxed { .. });
        if relaxed && self.privacy.is_some() {
            return Err(Error::Training(
                "objective relaxed does not go together with privacy: its steps depend on batches \
                 as a whole, so that clipping single records bounds nothing; choose one of them"
                    .into(),
            ));
        }
        if let Some(clips) = self.clips {
            if self.privacy.is_none() {
                return Err(Error::Training(
                    "shares of a clip need privacy, which sets the clip; without it nothing is \
                     clipped"
                        .into(),
                ));
            }
            if clips.len() != examples.rows() {
                return Err(Error::Training(format!(
                    "{} shares of the clip for {} records",
                    clips.len(),
                    examples.rows()
                )));
            }
        }
        if self.training.early_stopping.is_some() && validation.is_empty() {
            return Err(Error::Rows(
                "early stopping needs validation rows, and there are none".into(),
            ));
        }
        Ok(())
    }
}

/// The loss of each of these rows, if all are finite.
fn losses(model: &mut Model, examples: &Examples, rows: &[u32], batch: usize) -> Option<Vec<f32>> {
    let mut losses = Vec::with_capacity(rows.len());
    for rows in rows.chunks(batch) {
        model.losses(examples, rows, &mut losses);
    }
    losses.iter().all(|loss| loss.is_finite()).then_some(losses)
}

/// The optimiser's step number `number` (from 1) at this learning rate.
fn step(training: &Training, learning_rate: f64, number: i32) -> Step {
    let l2 = training.l2;
    let adam = |beta1: f32, beta2: f32, epsilon: f32, weight_decay: f32| {
        let correction1 = 1.0 - f64::from(beta1).powi(number);
        let correction2 = (1.0 - f64::from(beta2).powi(number)).sqrt();
        Step::Adam {
            beta1,
            beta2,
            rate: (learning_rate * correction2 / correction1) as f32,
            epsilon: (f64::from(epsilon) * correction2) as f32,
            l2,
            keep: (1.0 - learning_rate * f64::from(weight_decay)) as f32,
        }
    };
    match training.optimiser {
        Optimiser::Adam {
            beta1,
            beta2,
            epsilon,
        } => adam(beta1, beta2, epsilon, 0.0),
        Optimiser::AdamW {
            beta1,
            beta2,
            epsilon,
            weight_decay,
        } => adam(beta1, beta2, epsilon, weight_decay),
        Optimiser::Sgd { momentum, nesterov } => Step::Sgd {
            momentum,
            nesterov,
            rate: learning_rate as f32,
            l2,
        },
    }
}

/// The weights of the epoch with the lowest validation loss so far.
struct Best {
    loss: f64,
    /// Counted from 1; 0 before the first.
    epoch: usize,
    /// All parameters; empty unless wanted.
    values: Vec<Matrix>,
}

impl Best {
    fn new(wanted: bool, model: &Model) -> Self {
        Self {
            loss: f64::INFINITY,
            epoch: 0,
            values: if wanted {
                model.parameters().map(|part| part.value.clone()).collect()
            } else {
                Vec::new()
            },
        }
    }

    fn consider(&mut self, epoch: usize, loss: f64, model: &Model) {
        if loss < self.loss {
            self.loss = loss;
            self.epoch = epoch;
            for (value, part) in self.values.iter_mut().zip(model.parameters()) {
                value.copy_from(&part.value);
            }
        }
    }

    /// Puts the best weights back; their epoch, if there is one.
    fn restore(&self, model: &mut Model) -> Option<usize> {
        if self.epoch == 0 {
            return None;
        }
        for (value, part) in self.values.iter().zip(model.parameters_mut()) {
            part.value.copy_from(value);
        }
        Some(self.epoch)
    }
}
