//! What to train and how: the descriptions of a network and of its training.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::memory;

/// A network of dense layers, perhaps behind convolutions, that classifies by softmax.
///
/// Every hidden layer is followed by the activation and then by dropout. Without
/// hidden layers it is softmax (multinomial logistic) regression. The default has no
/// inputs and no classes, and so is no network yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Features of a record.
    pub inputs: usize,
    /// How the features form an image, if they do, and the convolutions that read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// Units of each hidden layer, from the input side.
    #[serde(default)]
    pub hidden: Vec<usize>,
    /// Residual additions between the dense layers. Layer 0 is what the first dense layer
    /// sees (behind convolutions their outputs, channel by channel), the others are the
    /// hidden layers; their outputs are taken after activation and dropout. None ends in
    /// the output layer: logits stay linear in what it sees.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skips: Vec<Skip>,
    /// Classes, at least 2.
    pub classes: usize,
    /// What follows each convolution and each hidden layer.
    #[serde(default)]
    pub activation: Activation,
    /// The probability with which dropout zeroes a hidden unit while training, in
    /// `[0, 1)`; the others are scaled by 1 / (1 − dropout).
    #[serde(default)]
    pub dropout: f32,
}

/// An image and the convolutions that read it before the dense layers do.
///
/// A record's features are the rows of the image from the top; a row is its pixels from
/// the left, a pixel its channels side by side (height × width × channels).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Rows of pixels.
    pub height: usize,
    /// Pixels of a row.
    pub width: usize,
    /// Numbers of a pixel: 1 for grey, 3 for colour.
    #[serde(default = "one_channel")]
    pub channels: usize,
    /// The convolutions, from the input side; at least one.
    pub convolutions: Vec<Convolution>,
    /// Residual additions between the convolutions. Layer 0 is the image, the others are the
    /// convolutions; their outputs are taken after activation and pooling.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skips: Vec<Skip>,
}

const fn one_channel() -> usize {
    1
}

/// A residual addition (He and others 2016, without batch normalisation): what layer `from`
/// gives is added to the sums of layer `to`, before their activation and pooling. Both must
/// have one shape; nothing is learnt for it.
///
/// Layers are counted from 1; 0 is what the first of them sees. Several may start from or end
/// in one layer, and each counts, the same twice too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Skip {
    /// The layer whose output is added.
    pub from: usize,
    /// The layer to whose sums it is added, above `from`.
    pub to: usize,
}

impl Skip {
    /// Whether the layers exist, `layers` being their number and `name` what one is called.
    fn check(self, name: &str, layers: usize) -> Result<(), String> {
        let Self { from, to } = self;
        if from >= to {
            return Err(format!(
                "a skip leads from {name} {from} to {name} {to}; it must lead to a later one"
            ));
        }
        if to > layers {
            return Err(format!(
                "a skip leads to {name} {to}, but there are {layers}, counted from 1"
            ));
        }
        Ok(())
    }
}

/// A convolution (as PyTorch's `Conv2d` with a bias and stride 1), the network's
/// activation after it, and perhaps pooling after that. Dropout does not follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Convolution {
    /// Channels of its output.
    pub channels: usize,
    /// The height and width of its filters.
    pub size: usize,
    /// What it sees beyond the edges.
    #[serde(default)]
    pub padding: Padding,
    /// What makes its output smaller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
}

/// What a convolution sees beyond the edges of the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Padding {
    /// Nothing: filters stay inside, and the output is smaller by their size less 1.
    #[default]
    Valid,
    /// Zeros: the output is as large as the input; the filters' size must be odd.
    Same,
}

/// What becomes of each square of 2 × 2 pixels, channel by channel; a last odd row or
/// column is left out. As PyTorch's `MaxPool2d(2)` and `AvgPool2d(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pool {
    /// Their largest number.
    Max,
    /// Their mean.
    Average,
}

impl Padding {
    /// Rows and columns of zeros on each side.
    pub(crate) fn border(self, size: usize) -> usize {
        match self {
            Self::Valid => 0,
            Self::Same => size / 2,
        }
    }
}

impl Convolution {
    /// The height or width of the sums over an input of this one, before pooling. 0 if
    /// nothing is left.
    pub(crate) fn sums(&self, length: usize) -> usize {
        let borders = self.padding.border(self.size).saturating_mul(2);
        let bordered = length.saturating_add(borders);
        bordered.saturating_add(1).saturating_sub(self.size)
    }
}

impl Image {
    /// The height and width of the input and after every convolution with its pooling.
    /// 0 where nothing is left.
    pub(crate) fn sizes(&self) -> Vec<(usize, usize)> {
        let mut sizes = vec![(self.height, self.width)];
        let (mut height, mut width) = (self.height, self.width);
        for convolution in &self.convolutions {
            let shrink = |length: usize| {
                let convolved = convolution.sums(length);
                if convolution.pool.is_some() {
                    convolved / 2
                } else {
                    convolved
                }
            };
            (height, width) = (shrink(height), shrink(width));
            sizes.push((height, width));
        }
        sizes
    }

    /// The height, width and channels that the dense layers see.
    pub(crate) fn output(&self) -> (usize, usize, usize) {
        let (height, width) = self.sizes()[self.convolutions.len()];
        let channels = self
            .convolutions
            .last()
            .map_or(self.channels, |c| c.channels);
        (height, width, channels)
    }

    fn check(&self, inputs: usize) -> Result<(), String> {
        let Self {
            height,
            width,
            channels,
            ..
        } = *self;
        let numbers = height
            .checked_mul(width)
            .and_then(|n| n.checked_mul(channels));
        if numbers != Some(inputs) {
            return Err(format!(
                "an image of {height} × {width} pixels with {channels} channels is not {inputs} \
                 inputs; give the image's true size"
            ));
        }
        if self.convolutions.is_empty() {
            return Err(
                "an image needs at least one convolution; without any, leave out the \
                        image"
                    .into(),
            );
        }
        for (i, convolution) in self.convolutions.iter().enumerate() {
            let number = i + 1;
            if convolution.channels == 0 || convolution.size == 0 {
                return Err(format!(
                    "convolution {number} has {} channels and size {}; both must be at least 1",
                    convolution.channels, convolution.size
                ));
            }
            if convolution.padding == Padding::Same && convolution.size % 2 == 0 {
                return Err(format!(
                    "convolution {number} has padding same and size {}; same needs an odd size",
                    convolution.size
                ));
            }
        }
        let sizes = self.sizes();
        for (i, after) in sizes.iter().enumerate().skip(1) {
            if after.0 == 0 || after.1 == 0 {
                let (height, width) = sizes[i - 1];
                return Err(format!(
                    "convolution {i} leaves nothing of an image of {height} × {width} pixels; \
                     make it smaller, pad it, or pool less"
                ));
            }
        }
        self.check_skips(&sizes)
    }

    /// `sizes` are those of [`Self::sizes`].
    fn check_skips(&self, sizes: &[(usize, usize)]) -> Result<(), String> {
        for skip in &self.skips {
            skip.check("convolution", self.convolutions.len())?;
            let Skip { from, to } = *skip;
            let channels = match from.checked_sub(1) {
                Some(i) => self.convolutions[i].channels,
                None => self.channels,
            };
            let convolution = self.convolutions[to - 1];
            let (height, width) = sizes[from];
            let before = sizes[to - 1];
            let sums = (convolution.sums(before.0), convolution.sums(before.1));
            if ((height, width), channels) != (sums, convolution.channels) {
                return Err(format!(
                    "a skip leads from {height} × {width} pixels with {channels} channels \
                     ({}) to {} × {} with {} (the sums of convolution {to}, before pooling); \
                     they must agree",
                    match from {
                        0 => "the image".to_owned(),
                        _ => format!("the output of convolution {from}"),
                    },
                    sums.0,
                    sums.1,
                    convolution.channels
                ));
            }
        }
        Ok(())
    }
}

/// The function that follows a convolution or a hidden layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// max(x, 0).
    #[default]
    Relu,
    /// The hyperbolic tangent.
    Tanh,
}

/// How a network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Passes over the rows; 0 leaves the network as it was initialised.
    pub epochs: usize,
    /// Rows of a step; the last step of an epoch takes what is left over.
    pub batch_size: usize,
    /// The learning rate of the first epoch.
    pub learning_rate: f32,
    /// The rule that turns gradients into steps.
    #[serde(default)]
    pub optimiser: Optimiser,
    /// L2 regularisation, as PyTorch's `weight_decay` of `Adam` and `SGD`: this multiple
    /// of every weight and bias is added to its gradient.
    #[serde(default)]
    pub l2: f32,
    /// The share ε of the target that is spread evenly over all classes, in `[0, 1]`:
    /// the target is (1 − ε)·one-hot + ε/classes.
    #[serde(default)]
    pub label_smoothing: f32,
    /// How the learning rate changes from epoch to epoch.
    #[serde(default)]
    pub schedule: Schedule,
    /// Whether to stop when the validation loss stops falling.
    #[serde(default)]
    pub early_stopping: Option<EarlyStopping>,
    /// Random changes of the training images; needs a network with an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub augmentation: Option<Augmentation>,
}

/// Random changes of images in training: every time a row is used, its image is moved, then
/// mirrored, as torchvision's `RandomCrop(size, padding=shift)` and `RandomHorizontalFlip`
/// do. Validation, logits, norms and gradients see the images as they are.
///
/// Each epoch has a random stream of its own, keyed by the seed and the epoch. A row's draws
/// follow those of the row used before it: rows down, pixels right (neither if `shift` is
/// 0), whether to mirror (not if `flip` is false).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Augmentation {
    /// The image moves down and right by whole numbers of pixels, each uniform in −`shift` to
    /// `shift`; zeros come in. Less than its height and width.
    #[serde(default)]
    pub shift: usize,
    /// Whether the image is mirrored left to right with probability ½.
    #[serde(default)]
    pub flip: bool,
}

impl Augmentation {
    pub(crate) fn check(self, network: &Network) -> Result<(), Error> {
        let refuse = |message: String| Err(Error::Training(message));
        let Some(Image { height, width, .. }) = &network.image else {
            return refuse(
                "augmentation: the network has no image, only features; images are moved and \
                 mirrored for networks with convolutions alone, so add one or leave it out"
                    .into(),
            );
        };
        if self.shift >= *height.min(width) {
            return refuse(format!(
                "augmentation: shift is {}; it must be less than the image's {height} × {width} \
                 pixels",
                self.shift
            ));
        }
        Ok(())
    }
}

/// The rule that turns gradients into steps. The default is Adam with PyTorch's defaults.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Optimiser {
    /// Adam (Kingma and Ba 2015) with bias correction.
    ///
    /// Moments are rounded to multiples of 2⁻¹²³, lest they become subnormal numbers;
    /// against an epsilon of 1e-8 it is not felt.
    Adam {
        /// The decay of the mean of the gradients, in `[0, 1)`.
        #[serde(default = "default_beta1")]
        beta1: f32,
        /// The decay of the mean of the squared gradients, in `[0, 1)`.
        #[serde(default = "default_beta2")]
        beta2: f32,
        /// Added to the root of the mean square; positive.
        #[serde(default = "default_epsilon")]
        epsilon: f32,
    },
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019): before each step,
    /// every weight and bias is multiplied by 1 − learning rate · `weight_decay`. `l2` is
    /// not that, and usually 0 here.
    #[serde(rename = "adamw")]
    AdamW {
        /// As Adam's.
        #[serde(default = "default_beta1")]
        beta1: f32,
        /// As Adam's.
        #[serde(default = "default_beta2")]
        beta2: f32,
        /// As Adam's.
        #[serde(default = "default_epsilon")]
        epsilon: f32,
        /// At least 0.
        #[serde(default = "default_weight_decay")]
        weight_decay: f32,
    },
    /// Stochastic gradient descent.
    Sgd {
        /// The decay of the velocity, in `[0, 1)`; 0 is plain descent.
        #[serde(default)]
        momentum: f32,
        /// Nesterov's look-ahead; needs momentum.
        #[serde(default)]
        nesterov: bool,
    },
}

const fn default_beta1() -> f32 {
    0.9
}

const fn default_beta2() -> f32 {
    0.999
}

const fn default_epsilon() -> f32 {
    1e-8
}

const fn default_weight_decay() -> f32 {
    1e-2
}

impl Default for Optimiser {
    fn default() -> Self {
        Self::adam()
    }
}

impl Optimiser {
    /// Adam with PyTorch's defaults: β₁ 0.9, β₂ 0.999, ε 1e-8.
    #[must_use]
    pub const fn adam() -> Self {
        Self::Adam {
            beta1: default_beta1(),
            beta2: default_beta2(),
            epsilon: default_epsilon(),
        }
    }

    /// `AdamW` with PyTorch's defaults: those of Adam, and a weight decay of 1e-2.
    #[must_use]
    pub const fn adamw() -> Self {
        Self::AdamW {
            beta1: default_beta1(),
            beta2: default_beta2(),
            epsilon: default_epsilon(),
            weight_decay: default_weight_decay(),
        }
    }

    /// SGD with PyTorch's defaults: no momentum.
    #[must_use]
    pub const fn sgd() -> Self {
        Self::Sgd {
            momentum: 0.0,
            nesterov: false,
        }
    }
}

/// The learning rate of each epoch, as a multiple of the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// Always the same.
    #[default]
    Constant,
    /// Half a cosine wave from the first epoch towards 0 after the last: PyTorch's
    /// `CosineAnnealingLR` with `T_max` = epochs.
    Cosine,
    /// Multiplied by `factor` after every `every` epochs: PyTorch's `StepLR`.
    Step {
        /// Epochs between two changes, at least 1.
        every: usize,
        /// What the rate is multiplied by; positive.
        factor: f32,
    },
}

impl Schedule {
    /// What the learning rate is multiplied by in `epoch` (from 0) of `epochs`.
    #[must_use]
    pub fn multiplier(self, epoch: usize, epochs: usize) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Cosine => {
                let angle = std::f64::consts::PI * epoch as f64 / epochs as f64;
                0.5 * (1.0 + angle.cos())
            }
            Self::Step { every, factor } => f64::from(factor).powf((epoch / every) as f64),
        }
    }
}

/// Stops training when the mean validation loss has not fallen below its lowest value
/// for `patience` epochs; the weights of the epoch with the lowest are kept.
///
/// The loss is the cross-entropy without label smoothing and without dropout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    /// Epochs without a new lowest loss after which training stops, at least 1.
    pub patience: usize,
}

/// What training makes small. The default is the cross-entropy. Validation and traces stay with
/// the cross-entropy, whatever the objective.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Objective {
    /// The cross-entropy of the labels, smoothed or soft where they are.
    #[default]
    CrossEntropy,
    /// The cross-entropy less `strength` times the entropy of the probabilities: sure answers
    /// cost something (Pereyra and others 2017; HAMP, Chen and Pattabiraman 2024). The gradient
    /// with respect to logit `i` is `p_i − t_i + strength · p_i · (ln p_i + H)`. A record's weight
    /// multiplies both parts.
    EntropyReward {
        /// At least 0.
        strength: f32,
    },
    /// `RelaxLoss` (Chen, Yu and Fritz 2022): a step on a batch whose mean loss is at least
    /// `level` descends; below it, the step ascends in even epochs (from 0), and in odd ones
    /// it descends the cross-entropy of flattened posteriors: the probability of the label as
    /// it is, and the rest spread evenly over the other classes. These targets are taken as
    /// constants. With two classes they are the posteriors themselves, and such a step has a
    /// gradient of 0.
    ///
    /// The loss that decides, and the one reported, is the mean cross-entropy, with label
    /// smoothing, soft labels and weights where there are some. Not with [`Privacy`]: whether a
    /// step ascends depends on the batch as a whole, so that a record's share in it has no bound.
    Relaxed {
        /// The mean loss that is aimed at; at least 0.
        level: f32,
    },
}

impl Objective {
    pub(crate) fn check(self) -> Result<(), Error> {
        let (name, value) = match self {
            Self::CrossEntropy => return Ok(()),
            Self::EntropyReward { strength } => ("entropy-reward: strength", strength),
            Self::Relaxed { level } => ("relaxed: level", level),
        };
        if value.is_finite() && value >= 0.0 {
            return Ok(());
        }
        Err(Error::Training(format!(
            "objective {name} is {value}; it must be at least 0 and finite"
        )))
    }
}

/// Differentially private training: DP-SGD (Abadi and others 2016).
///
/// Every step draws each row with probability `batch_size`/rows (Poisson sampling; an
/// epoch has rows/`batch_size` steps, rounded up), clips the gradient of each row drawn,
/// all parameters together, to the norm `clip`, adds them up, adds to each coordinate
/// noise from N(0, (`noise_multiplier` · `clip`)²), and divides by the expected number
/// of rows. The optimiser takes the result for the gradient, and adds `l2` to it. As
/// Opacus does with flat clipping.
///
/// What privacy this gives, an accountant must say. The noise is drawn as an f64 from the
/// stream of the seed: who knows the seed knows the noise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Privacy {
    /// The largest norm of one row's gradient; positive.
    pub clip: f32,
    /// The noise's standard deviation as a multiple of `clip`; 0 for none.
    pub noise_multiplier: f32,
}

impl Privacy {
    pub(crate) fn check(self) -> Result<(), Error> {
        let refuse = |message: String| Err(Error::Training(message));
        if !(self.clip.is_finite() && self.clip > 0.0) {
            return refuse(format!(
                "privacy: clip is {}; it must be positive and finite",
                self.clip
            ));
        }
        if !(self.noise_multiplier.is_finite() && self.noise_multiplier >= 0.0) {
            return refuse(format!(
                "privacy: noise_multiplier is {}; it must be at least 0 and finite",
                self.noise_multiplier
            ));
        }
        Ok(())
    }
}

impl Network {
    /// The width of every dense layer, what they see first and the classes last. Of a
    /// network that was not checked, `usize::MAX` may stand for more.
    pub(crate) fn widths(&self) -> Vec<usize> {
        let inputs = self.image.as_ref().map_or(self.inputs, |image| {
            let (height, width, channels) = image.output();
            height.saturating_mul(width).saturating_mul(channels)
        });
        std::iter::once(inputs)
            .chain(self.hidden.iter().copied())
            .chain(std::iter::once(self.classes))
            .collect()
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let refuse = |message: String| Err(Error::Network(message));
        if self.inputs == 0 {
            return refuse("inputs is 0; a network needs at least one feature".into());
        }
        if let Some(image) = &self.image {
            image.check(self.inputs).map_err(Error::Network)?;
        }
        if self.classes < 2 {
            return refuse(format!(
                "classes is {}; a classifier needs at least 2",
                self.classes
            ));
        }
        if let Some(layer) = self.hidden.iter().position(|&units| units == 0) {
            return refuse(format!(
                "hidden layer {} has 0 units; give it at least 1 or leave it out",
                layer + 1
            ));
        }
        let widths = self.widths();
        for skip in &self.skips {
            let checked = skip.check("hidden layer", self.hidden.len());
            checked.map_err(Error::Network)?;
            let Skip { from, to } = *skip;
            if widths[from] != widths[to] {
                return refuse(format!(
                    "a skip leads from {} numbers ({}) to the {} units of hidden layer {to}; \
                     they must be as many",
                    widths[from],
                    match from {
                        0 => "what the first dense layer sees".to_owned(),
                        _ => format!("hidden layer {from}"),
                    },
                    widths[to]
                ));
            }
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return refuse(format!(
                "dropout is {}; it must be at least 0 and less than 1",
                self.dropout
            ));
        }
        // what overflows counts as the largest number there is
        if memory::of_a_record(self) > isize::MAX as usize {
            return refuse(
                "it would take more memory than can be addressed; make its layers smaller".into(),
            );
        }
        Ok(())
    }
}

impl Training {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let refuse = |message: String| Err(Error::Training(message));
        let positive = |x: f32| x.is_finite() && x > 0.0;
        if self.batch_size == 0 {
            return refuse("batch_size is 0; it must be at least 1".into());
        }
        if !positive(self.learning_rate) {
            return refuse(format!(
                "learning_rate is {}; it must be positive and finite",
                self.learning_rate
            ));
        }
        if !(self.l2.is_finite() && self.l2 >= 0.0) {
            return refuse(format!(
                "l2 is {}; it must be at least 0 and finite",
                self.l2
            ));
        }
        if !(0.0..=1.0).contains(&self.label_smoothing) {
            return refuse(format!(
                "label_smoothing is {}; it must lie between 0 and 1",
                self.label_smoothing
            ));
        }
        match self.optimiser {
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
                        return refuse(format!(
                            "{name} is {beta}; it must be at least 0 and less than 1"
                        ));
                    }
                }
                if !positive(epsilon) {
                    return refuse(format!(
                        "epsilon is {epsilon}; it must be positive and finite"
                    ));
                }
            }
            Optimiser::Sgd { momentum, nesterov } => {
                if !(0.0..1.0).contains(&momentum) {
                    return refuse(format!(
                        "momentum is {momentum}; it must be at least 0 and less than 1"
                    ));
                }
                if nesterov && momentum == 0.0 {
                    return refuse("nesterov needs a momentum above 0".into());
                }
            }
        }
        if let Optimiser::AdamW { weight_decay, .. } = self.optimiser
            && !(weight_decay.is_finite() && weight_decay >= 0.0)
        {
            return refuse(format!(
                "weight_decay is {weight_decay}; it must be at least 0 and finite"
            ));
        }
        if let Schedule::Step { every, factor } = self.schedule {
            if every == 0 {
                return refuse("schedule step: every is 0; it must be at least 1".into());
            }
            if !positive(factor) {
                return refuse(format!(
                    "schedule step: factor is {factor}; it must be positive and finite"
                ));
            }
        }
        if self.early_stopping.is_some_and(|stop| stop.patience == 0) {
            return refuse("early_stopping: patience is 0; it must be at least 1".into());
        }
        Ok(())
    }
}
