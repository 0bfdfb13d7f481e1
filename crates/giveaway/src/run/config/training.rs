//! What of the configuration makes networks and their training, and whether it makes sense.

use giveaway_nn::{
    Convolution, EarlyStopping, Image, Network, Optimiser, Padding, Schedule, Training,
};

use super::trainer::TrainerName;
use super::{Config, Keep, refused};
use crate::dataset::Schema;
use crate::dataset::image::{arranged, joined};
use crate::error::{Error, Result};

impl Config {
    /// Checks what trains the models.
    pub(super) fn check_trainer(&self) -> Result<()> {
        let reference = &self.reference;
        match reference.trainer {
            TrainerName::Network => {
                self.check_convolutions()?;
                self.check_network()?;
                return self.check_training();
            }
            TrainerName::Forest => reference.forest.check()?,
            TrainerName::Boosting => {
                reference.boosting.check()?;
                return self.check_early_stopping();
            }
            TrainerName::Command if reference.command.command.trim().is_empty() => {
                return refused(
                    "--trainer",
                    "the trainer is a command, and none is named".to_owned(),
                    "give it in quotes, such as --trainer 'python train.py'",
                );
            }
            TrainerName::Command => self.check_saved_models()?,
        }
        if reference.patience.is_some() {
            return refused(
                "--patience",
                format!("means nothing to the trainer {}", reference.trainer.name()),
                "leave it out, or choose --trainer network or boosting",
            );
        }
        Ok(())
    }

    /// Refuses what needs saved models of a command that saves none, before anything is trained.
    fn check_saved_models(&self) -> Result<()> {
        let reference = &self.reference;
        let option = if reference.keep.contains(&Keep::Weights) {
            "--keep weights"
        } else if self.test.indirect.is_some() {
            "--indirect"
        } else {
            return Ok(());
        };
        if reference.command.saves_model {
            return Ok(());
        }
        refused(
            option,
            "the trainer's command has to save its models for that".to_owned(),
            "let it save its model to the path after --model and answer with it where --train is missing, and say so with --trainer-saves-model",
        )
    }

    /// Checks the shape of the images and the convolutions.
    fn check_convolutions(&self) -> Result<()> {
        if let Some(shape) = &self.data.image {
            let values = shape
                .iter()
                .try_fold(1_usize, |values, &length| values.checked_mul(length));
            if arranged(shape).is_none() || values.is_none_or(|values| values == 0) {
                return refused(
                    "--image",
                    format!("{} is not the shape of an image", joined(shape)),
                    "give HEIGHTxWIDTH, such as 28x28, or that with 1, 3 or 4 channels at the end or in front, such as 32x32x3 or 3x32x32",
                );
            }
        }
        let convolutions = &self.reference.convolutions;
        if convolutions.is_empty() && !self.reference.convolution_skips.is_empty() {
            return refused(
                "reference.convolution-skips",
                "lead between convolutions, and there are none".to_owned(),
                "add convolutions, or leave the skips out of the configuration",
            );
        }
        if let Some(augmentation) = self.reference.augmentation
            && convolutions.is_empty()
        {
            return refused(
                if augmentation.shift > 0 {
                    "--augment-shift"
                } else {
                    "--augment-flip"
                },
                "changes images, which are read by convolutions, and there are none".to_owned(),
                "add --convolutions, such as --convolutions 16x5,32x5, or leave it out",
            );
        }
        if convolutions.len() > MAXIMUM_LAYERS {
            return refused(
                "--convolutions",
                format!("{} convolutions are too many", convolutions.len()),
                format!("give at most {MAXIMUM_LAYERS}"),
            );
        }
        for (index, convolution) in convolutions.iter().enumerate() {
            let number = index + 1;
            let Convolution { channels, size, .. } = *convolution;
            if !(1..=MAXIMUM_WIDTH).contains(&channels) {
                return refused(
                    "--convolutions",
                    format!("convolution {number} cannot have {channels} channels"),
                    format!("give each from 1 to {MAXIMUM_WIDTH}, such as 16x5,32x5"),
                );
            }
            if !(1..=MAXIMUM_FILTER).contains(&size) {
                return refused(
                    "--convolutions",
                    format!("convolution {number} cannot have filters of {size} × {size} pixels"),
                    format!(
                        "give a size from 1 to {MAXIMUM_FILTER}, such as 16x5 for 16 filters of 5 × 5"
                    ),
                );
            }
            if convolution.padding == Padding::Same && size % 2 == 0 {
                return refused(
                    "--padding",
                    format!(
                        "convolution {number} has filters of {size} × {size} pixels, which have no middle: they cannot keep the size of an image"
                    ),
                    "give filters of an odd size, such as 3 or 5, or --padding valid",
                );
            }
        }
        Ok(())
    }

    /// Checks the network.
    fn check_network(&self) -> Result<()> {
        let reference = &self.reference;
        if reference.hidden.len() > MAXIMUM_LAYERS {
            return refused(
                "--hidden",
                format!("{} hidden layers are too many", reference.hidden.len()),
                format!("give at most {MAXIMUM_LAYERS}"),
            );
        }
        if let Some(layer) = reference
            .hidden
            .iter()
            .position(|width| !(1..=MAXIMUM_WIDTH).contains(width))
        {
            return refused(
                "--hidden",
                format!(
                    "hidden layer {} cannot have {} units",
                    layer + 1,
                    reference.hidden[layer]
                ),
                format!(
                    "give each layer from 1 to {MAXIMUM_WIDTH}, such as 64,32, or none for softmax regression"
                ),
            );
        }
        if !(0.0..1.0).contains(&reference.dropout) {
            return refused(
                "--dropout",
                format!("a dropout rate of {} makes no sense", reference.dropout),
                "give a number of at least 0 and below 1, such as 0.5",
            );
        }
        Ok(())
    }

    /// Checks how models are trained.
    fn check_training(&self) -> Result<()> {
        let reference = &self.reference;
        if reference.epochs == 0 {
            return refused(
                "--epochs",
                "0 epochs leave every model untrained".to_owned(),
                "give at least 1",
            );
        }
        if reference.epochs > MAXIMUM_EPOCHS {
            return refused(
                "--epochs",
                format!("{} epochs are too many", reference.epochs),
                format!("give at most {MAXIMUM_EPOCHS}"),
            );
        }
        if let Some(size) = reference
            .batch_size
            .filter(|size| !(1..=MAXIMUM_BATCH_SIZE).contains(size))
        {
            return refused(
                "--batch-size",
                format!("a batch cannot have {size} records"),
                format!("give from 1 to {MAXIMUM_BATCH_SIZE}, such as 128"),
            );
        }
        let positive = |x: f32| x.is_finite() && x > 0.0;
        if !positive(reference.learning_rate) {
            return refused(
                "--learning-rate",
                format!(
                    "a learning rate of {} makes no sense",
                    reference.learning_rate
                ),
                "give a number above 0, such as 0.001",
            );
        }
        if let Some(l2) = reference.l2
            && !(l2.is_finite() && l2 >= 0.0)
        {
            return refused(
                "--l2",
                format!("a penalty of {l2} makes no sense"),
                "give a number of at least 0, such as 0.0001",
            );
        }
        if !(0.0..=1.0).contains(&reference.label_smoothing) {
            return refused(
                "--label-smoothing",
                format!("cannot spread {} of each label", reference.label_smoothing),
                "give a number from 0 to 1, such as 0.1",
            );
        }
        if let Schedule::Step { every, factor } = reference.schedule
            && !(every > 0 && positive(factor))
        {
            return refused(
                "--schedule",
                format!("cannot multiply the learning rate by {factor} after every {every} epochs"),
                "give step:EVERY:FACTOR with EVERY of at least 1 and FACTOR above 0, such as step:10:0.1",
            );
        }
        self.check_optimiser()?;
        self.check_early_stopping()
    }

    fn check_early_stopping(&self) -> Result<()> {
        let reference = &self.reference;
        if reference.patience == Some(0) {
            return refused(
                "--patience",
                "a patience of 0 epochs stops before the first".to_owned(),
                "give at least 1, or leave it out to train for all epochs",
            );
        }
        if !(reference.validation_share > 0.0 && reference.validation_share < 0.5) {
            return refused(
                "--validation-share",
                format!(
                    "cannot set aside {} of the records",
                    reference.validation_share
                ),
                "give a number between 0 and 0.5",
            );
        }
        Ok(())
    }

    /// Checks the optimiser's own settings; those of Adam can only be set in a configuration.
    fn check_optimiser(&self) -> Result<()> {
        if let Optimiser::AdamW { weight_decay, .. } = self.reference.optimiser
            && !(weight_decay.is_finite() && weight_decay >= 0.0)
        {
            return refused(
                "--weight-decay",
                format!("a weight decay of {weight_decay} makes no sense"),
                "give a number of at least 0, such as 0.01",
            );
        }
        match self.reference.optimiser {
            Optimiser::Adam {
                beta1,
                beta2,
                epsilon,
            }
            | Optimiser::AdamW {
                beta1,
                beta2,
                epsilon,
                ..
            } => {
                for (name, beta) in [("beta1", beta1), ("beta2", beta2)] {
                    if !(0.0..1.0).contains(&beta) {
                        return refused(
                            "--optimiser adam",
                            format!("a {name} of {beta} makes no sense"),
                            "give a number of at least 0 and below 1 in the configuration, or leave it out",
                        );
                    }
                }
                if !(epsilon.is_finite() && epsilon > 0.0) {
                    return refused(
                        "--optimiser adam",
                        format!("an epsilon of {epsilon} makes no sense"),
                        "give a number above 0 in the configuration, or leave it out",
                    );
                }
            }
            Optimiser::Sgd { momentum, nesterov } => {
                if !(0.0..1.0).contains(&momentum) {
                    return refused(
                        "--momentum",
                        format!("a momentum of {momentum} makes no sense"),
                        "give a number of at least 0 and below 1, such as 0.9",
                    );
                }
                if nesterov && momentum == 0.0 {
                    return refused(
                        "--momentum",
                        "Nesterov's look-ahead needs momentum".to_owned(),
                        "give a momentum above 0, such as 0.9, or leave nesterov out of the configuration",
                    );
                }
            }
        }
        Ok(())
    }

    /// Settles the shape of the images where there are convolutions, and sees whether the
    /// network can be made for these records.
    ///
    /// # Errors
    /// If the records are no images, or nothing is left of them after the convolutions; if
    /// layers that are added to each other have different shapes.
    pub fn settle_network(&mut self, schema: &Schema) -> Result<()> {
        if self.reference.trainer != TrainerName::Network {
            return Ok(());
        }
        let features = schema.features.len();
        let convolutional = !self.reference.convolutions.is_empty();
        if convolutional {
            // Bytes whose shape is not known come as one row.
            let Some(image) = schema.image.filter(|image| image.height > 1) else {
                return refused(
                    "--convolutions",
                    format!(
                        "convolutions read images, and these records are rows of {features} features"
                    ),
                    "if they are pixels, give their shape with --image, such as --image 28x28 or 32x32x3; else leave --convolutions out",
                );
            };
            self.data
                .image
                .get_or_insert_with(|| vec![image.height, image.width, image.channels]);
        }
        let network = self.network(features, schema.classes.len());
        let training = self.training(1);
        match giveaway_nn::Trainer::new(&network, &training) {
            Ok(_) => Ok(()),
            Err(giveaway_nn::Error::Network(message)) if convolutional => refused(
                "--convolutions",
                message,
                "smaller filters, --padding same and --pool none leave more of an image; skips need layers of one shape",
            ),
            Err(giveaway_nn::Error::Network(message)) => {
                refused("--hidden", message, "skips need layers of one shape")
            }
            Err(giveaway_nn::Error::Training(message)) => refused(
                "--augment-shift",
                message,
                "give fewer pixels than the images are high and wide, such as 2",
            ),
            Err(e) => Err(Error::usage(e.to_string())
                .at("--convolutions")
                .hint("see the options for the network and its training")),
        }
    }

    /// The network, for so many features and classes. With convolutions the shape of the
    /// images must be settled ([`settle_network`](Self::settle_network)).
    #[must_use]
    pub fn network(&self, inputs: usize, classes: usize) -> Network {
        let convolutions = &self.reference.convolutions;
        let image = (!convolutions.is_empty()).then(|| {
            let shape = self.data.image.as_deref().and_then(arranged);
            // Of a shape that is not settled no network can be made.
            let ([height, width, channels], _) = shape.unwrap_or_default();
            Image {
                height,
                width,
                channels,
                convolutions: convolutions.clone(),
                skips: self.reference.convolution_skips.clone(),
            }
        });
        Network {
            inputs,
            image,
            hidden: self.reference.hidden.clone(),
            classes,
            activation: self.reference.activation,
            dropout: self.reference.dropout,
            skips: self.reference.skips.clone(),
        }
    }

    /// The training, for training sets of so many records.
    #[must_use]
    pub fn training(&self, training_records: usize) -> Training {
        let reference = &self.reference;
        Training {
            epochs: reference.epochs,
            // Small sets get more steps from the same number of epochs.
            batch_size: reference.batch_size.unwrap_or(if training_records >= 2000 {
                128
            } else {
                32
            }),
            learning_rate: reference.learning_rate,
            optimiser: reference.optimiser,
            l2: reference.l2.unwrap_or(match reference.optimiser {
                // It has a weight decay of its own.
                Optimiser::AdamW { .. } => 0.0,
                Optimiser::Adam { .. } | Optimiser::Sgd { .. } => 1e-4,
            }),
            label_smoothing: reference.label_smoothing,
            schedule: reference.schedule,
            early_stopping: reference
                .patience
                .map(|patience| EarlyStopping { patience }),
            augmentation: reference.augmentation,
        }
    }
}

/// More layers, units or channels of one, pixels across a filter, epochs or records in a batch than these are slips too.
const MAXIMUM_LAYERS: usize = 64;
const MAXIMUM_WIDTH: usize = 65_536;
const MAXIMUM_FILTER: usize = 1023;
const MAXIMUM_EPOCHS: usize = 1_000_000;
const MAXIMUM_BATCH_SIZE: usize = 16_777_216;
