//! Audits of DP-SGD in one run (Steinke, Nasr and Jagielski 2023): trainings whose canaries
//! are in by independent fair coins, guessed from their losses alone. Shared by the test, which
//! runs some, and by the example, which runs many.

use giveaway_nn::{
    Activation, Error, Examples, Network, Optimiser, Privacy, Schedule, Trainer, Training,
};
use giveaway_stats::InputError;
use giveaway_stats::accounting::{Accountant, Sampled, noise_for};
use giveaway_stats::one_run::{GuessNumbers, from_guess_numbers};
use giveaway_stats::random::Stream;
use ndarray::Array2;

pub(crate) const SIGNIFICANCE: f64 = 0.05;
pub(crate) const DELTA: f64 = 1e-5;

/// What canaries look like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Canaries {
    /// Each has a feature of its own, which nothing else moves: the sharpest audit by losses.
    OwnFeature,
    /// Records like the others, with labels at random, and a network with a hidden layer.
    RandomLabels,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Audit {
    pub(crate) canaries: Canaries,
    pub(crate) count: usize,
    /// Records that are always in.
    pub(crate) others: usize,
    /// Canaries guessed to be in, and as many to be out; registered before anything is seen.
    pub(crate) guesses: usize,
    /// Share of the records that a step draws, on average.
    pub(crate) rate: f64,
    pub(crate) steps: usize,
    /// The ε that the noise is chosen for.
    pub(crate) epsilon: f64,
    pub(crate) clip: f32,
    pub(crate) learning_rate: f32,
}

/// What is wrong with a training that claims the ε of [`Audit`] all the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    None,
    /// No noise is added.
    NoNoise,
    /// Gradients are clipped to ten times the norm that the noise is measured by.
    ClipTimesTen,
    /// Every step uses all records, and not a Poisson sample.
    NoSampling,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// What the accountant says of the training as it should have been.
    pub(crate) claimed: f64,
    /// Lower bound on ε at 95 %.
    pub(crate) bound: f64,
    pub(crate) correct: u64,
    pub(crate) guesses: u64,
}

/// What can go wrong.
#[derive(Debug)]
pub(crate) enum Failure {
    #[expect(dead_code, reason = "shown by Debug")]
    Training(Error),
    #[expect(dead_code, reason = "shown by Debug")]
    Numbers(InputError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Training(error)
    }
}

impl From<InputError> for Failure {
    fn from(error: InputError) -> Self {
        Self::Numbers(error)
    }
}

impl Audit {
    /// One training and its audit.
    pub(crate) fn run(&self, fault: Fault, seed: u64) -> Result<Outcome, Failure> {
        let (network, examples) = self.data(seed)?;
        let mut coins = Stream::new(seed, "canary coins", 0);
        let is_in: Vec<bool> = (0..self.count).map(|_| coins.next_u32() & 1 == 1).collect();
        let canaries = (0..self.count as u32).filter(|&row| is_in[row as usize]);
        let rows: Vec<u32> = canaries
            .chain((0..self.others as u32).map(|row| self.count as u32 + row))
            .collect();

        let batch_size = (self.rate * rows.len() as f64).ceil();
        let rate = batch_size / rows.len() as f64;
        let steps_of_epoch = rows.len().div_ceil(batch_size as usize);
        let epochs = self.steps.div_ceil(steps_of_epoch);
        let steps = (epochs * steps_of_epoch) as u64;
        let accountant = Accountant::LossDistribution;
        let noise = noise_for(self.epsilon, DELTA, rate, steps, accountant)? as f32;
        let claimed = Sampled::new(rate, f64::from(noise), steps)?.epsilon(DELTA, accountant)?;

        let mut training = Training {
            epochs,
            batch_size: batch_size as usize,
            learning_rate: self.learning_rate,
            optimiser: Optimiser::sgd(),
            l2: 0.0,
            label_smoothing: 0.0,
            schedule: Schedule::Constant,
            early_stopping: None,
            augmentation: None,
        };
        let mut privacy = Privacy {
            clip: self.clip,
            noise_multiplier: noise,
        };
        match fault {
            Fault::None => {}
            Fault::NoNoise => privacy.noise_multiplier = 0.0,
            Fault::ClipTimesTen => {
                privacy.clip *= 10.0;
                privacy.noise_multiplier /= 10.0;
            }
            Fault::NoSampling => {
                // as many steps, which divide by more records
                training.epochs = steps as usize;
                training.batch_size = rows.len();
                training.learning_rate /= rate as f32;
            }
        }
        let train = |training: &Training| {
            let trainer = Trainer::new(&network, training)?;
            trainer.private(privacy)?.train(&examples, &rows, &[], seed)
        };
        // how much the loss fell from the untrained network
        let untrained = Training {
            epochs: 0,
            ..training.clone()
        };
        let before = losses(&train(&untrained)?.logits(&examples), examples.labels());
        let after = losses(&train(&training)?.logits(&examples), examples.labels());
        let (mut members, mut others) = (Vec::new(), Vec::new());
        for (row, is_in) in is_in.into_iter().enumerate() {
            let group = if is_in { &mut members } else { &mut others };
            group.push(before[row] - after[row]);
        }
        let numbers = GuessNumbers {
            members: self.guesses,
            non_members: self.guesses,
        };
        let found = from_guess_numbers(&members, &others, numbers, SIGNIFICANCE, DELTA)?;
        Ok(Outcome {
            claimed,
            bound: found.epsilon,
            correct: found.correct,
            guesses: found.guesses,
        })
    }

    /// The canaries first, then the others.
    fn data(&self, seed: u64) -> Result<(Network, Examples), Error> {
        let mut stream = Stream::new(seed, "audited records", 0);
        let rows = self.count + self.others;
        let (features, hidden) = match self.canaries {
            Canaries::OwnFeature => {
                // much larger than the bias, so that the gradient is the feature's own
                let mut features = Array2::zeros((rows, self.count));
                for row in 0..self.count {
                    features[[row, row]] = 10.0;
                }
                (features, Vec::new())
            }
            Canaries::RandomLabels => {
                let normal = |_| stream.normal() as f32;
                (Array2::from_shape_fn((rows, 40), normal), vec![64])
            }
        };
        // the others' labels can be learnt
        let labels: Vec<u32> = (0..rows)
            .map(|row| {
                if row < self.count {
                    stream.next_u32() & 1
                } else {
                    u32::from(features[[row, 0]] + features[[row, 1]] > 0.0)
                }
            })
            .collect();
        let network = Network {
            inputs: features.ncols(),
            hidden,
            classes: 2,
            activation: Activation::Tanh,
            ..Network::default()
        };
        Ok((network, Examples::new(features.view(), &labels, 2)?))
    }
}

/// −ln of the probability of each row's label.
fn losses(logits: &Array2<f32>, labels: &[u32]) -> Vec<f64> {
    let rows = logits.rows().into_iter().zip(labels);
    rows.map(|(logits, &label)| {
        let against = f64::from(logits[1 - label as usize]) - f64::from(logits[label as usize]);
        // ln(1 + e^x), also where e^x is too large
        against.max(0.0) + (-against.abs()).exp().ln_1p()
    })
    .collect()
}
