//! Random forests and gradient-boosted trees, by `giveaway-trees`.

use std::io;
use std::sync::Arc;

use giveaway_trees::{Boosting, Ensemble, Examples, Features, Forest};
use ndarray::{Array2, ArrayView2};

use super::{Alteration, Lesson, Model, Sink, Trainer};
use crate::dataset::Dataset;
use crate::error::{Error, Result};

/// Trains random forests, or gradient-boosted trees.
///
/// The data set is put in bins once, and a copy shares them. The bins are learnt from all records
/// of the data set, as its encoding may be: a model knows of records that it was not trained on
/// where bins end, and nothing else of them.
///
/// Trees have no last layer before their answer: their features
/// ([`Model::each_features`]) are their logits. They have no gradients.
///
/// What a [lesson](Trainer::learn) brings beyond its rows takes memory that [`Trainer::memory`]
/// does not count: for every record of the data set 4 bytes with other labels and 4 with weights;
/// with added records, a copy of the bins and of the labels.
#[derive(Clone, Debug)]
pub struct TreeTrainer {
    method: Method,
    features: Features,
    labels: Arc<[u32]>,
    classes: usize,
}

#[derive(Clone, Copy, Debug)]
enum Method {
    Forest(Forest),
    Boosting(Boosting),
}

impl TreeTrainer {
    /// A trainer of random forests. They have no use for records to validate on.
    ///
    /// # Errors
    /// If a setting makes no sense or the data set cannot be put in bins.
    pub fn forest(forest: Forest, dataset: &Dataset) -> Result<Self> {
        forest.check().map_err(|e| cannot_train(&e))?;
        Self::new(Method::Forest(forest), dataset)
    }

    /// A trainer of gradient-boosted trees. Nothing about them is random: the seed does not
    /// matter, and models of the same rows are the same.
    ///
    /// # Errors
    /// If a setting makes no sense or the data set cannot be put in bins.
    pub fn boosting(boosting: Boosting, dataset: &Dataset) -> Result<Self> {
        boosting.check().map_err(|e| cannot_train(&e))?;
        Self::new(Method::Boosting(boosting), dataset)
    }

    fn new(method: Method, dataset: &Dataset) -> Result<Self> {
        let features = Features::new(dataset.features.view()).map_err(|e| {
            Error::input(e.to_string())
                .at("training data")
                .hint("see the options for the records")
        })?;
        Ok(Self {
            method,
            features,
            labels: dataset.labels.as_slice().into(),
            classes: dataset.class_count(),
        })
    }

    fn examples(&self) -> Examples<'_> {
        Examples {
            features: &self.features,
            labels: &self.labels,
            weights: None,
            classes: self.classes,
        }
    }

    fn trained(
        &self,
        examples: &Examples,
        rows: &[u32],
        validation: &[u32],
        seed: u64,
    ) -> Result<Ensemble> {
        let trained = match self.method {
            Method::Forest(forest) => forest.train(examples, rows, seed),
            Method::Boosting(boosting) => boosting.train(examples, rows, validation),
        };
        trained.map_err(|e| cannot_train(&e))
    }

    fn model(&self, ensemble: Ensemble) -> Box<dyn Model + '_> {
        Box::new(TreeModel {
            ensemble,
            features: &self.features,
        })
    }

    /// Bins of all features together.
    fn bins(&self) -> usize {
        (0..self.features.width())
            .map(|feature| self.features.thresholds(feature).len() + 1)
            .sum()
    }

    fn memory_with(&self, records: usize, watched: usize, threads: usize) -> usize {
        match self.method {
            Method::Forest(forest) => {
                forest.memory(records, self.features.width(), self.classes, threads)
            }
            Method::Boosting(boosting) => {
                boosting.memory(records, watched, self.bins(), self.classes, threads)
            }
        }
    }
}

impl Trainer for TreeTrainer {
    fn train(&self, rows: &[u32], validation: &[u32], seed: u64) -> Result<Box<dyn Model + '_>> {
        let trained = self.trained(&self.examples(), rows, validation, seed)?;
        Ok(self.model(trained))
    }

    fn train_traced(
        &self,
        rows: &[u32],
        validation: &[u32],
        traced: &[u32],
        _seed: u64,
    ) -> Result<(Box<dyn Model + '_>, Array2<f32>)> {
        match self.method {
            Method::Forest(_) => Err(Error::usage(
                "a random forest is not trained in rounds, so there are no losses after each",
            )
            .hint("leave out what needs traces (LT-IQR), or train with boosted trees or networks")),
            Method::Boosting(boosting) => {
                let traced = boosting
                    .train_traced(&self.examples(), rows, validation, traced)
                    .map_err(|e| cannot_train(&e))?;
                Ok((self.model(traced.ensemble), traced.losses))
            }
        }
    }

    /// Boosted trees, after every round.
    fn tells_losses(&self) -> bool {
        matches!(self.method, Method::Boosting(_))
    }

    fn memory(&self, records: usize, validation: usize, threads: usize) -> usize {
        self.memory_with(records, validation, threads)
    }

    fn memory_traced(
        &self,
        records: usize,
        validation: usize,
        traced: usize,
        threads: usize,
    ) -> usize {
        // twice: as they are gathered, and as one array that grows
        let rounds = self.epochs().unwrap_or_default();
        let traces = 2 * rounds * traced * size_of::<f32>();
        self.memory_with(records, validation + traced, threads)
            .saturating_add(traces)
    }

    fn restore(&self, weights: &[u8]) -> Result<Box<dyn Model + '_>> {
        let damaged = |what: String| {
            Error::input(what)
                .hint("delete the file and run the audit again: the model is trained anew")
        };
        let ensemble = Ensemble::from_safetensors(weights).map_err(|e| damaged(e.to_string()))?;
        let of_method = matches!(self.method, Method::Boosting(_)) == ensemble.rounds().is_some();
        if !of_method || ensemble.classes() != self.classes {
            return Err(damaged(
                "trees of another kind, or of other classes".to_owned(),
            ));
        }
        ensemble
            .check_fits(&self.features)
            .map_err(|e| damaged(e.to_string()))?;
        Ok(self.model(ensemble))
    }

    fn learn(&self, lesson: &Lesson<'_>, seed: u64) -> Result<Box<dyn Model + '_>> {
        let cannot = [
            (
                lesson.soft_labels.is_some(),
                "probabilities in place of labels",
            ),
            (lesson.clips.is_some(), "clipped gradients"),
            (lesson.start.is_some(), "weights to start from"),
        ];
        if let Some((_, what)) = cannot.iter().find(|(there, _)| *there) {
            return Err(Error::usage(format!("trees cannot be trained with {what}"))
                .hint("choose another defence, or train networks (--trainer network)"));
        }
        let records = self.features.records();
        let mut labels = lesson.labels.unwrap_or(&self.labels).to_vec();
        if labels.len() != records {
            return Err(Error::usage(format!(
                "{} labels for {records} records",
                labels.len()
            )));
        }
        let mut features = self.features.clone();
        let mut weights = lesson.weights.map(<[f32]>::to_vec);
        let mut rows = lesson.rows.to_vec();
        if let Some(added) = lesson.added.filter(|added| !added.labels.is_empty()) {
            if added.labels.len() != added.features.nrows() {
                return Err(Error::usage(format!(
                    "{} labels for {} added records",
                    added.labels.len(),
                    added.features.nrows()
                )));
            }
            features = features
                .with_more(added.features)
                .map_err(|e| cannot_train(&e))?;
            labels.extend_from_slice(added.labels);
            if let Some(weights) = &mut weights {
                weights.resize(weights.len() + added.labels.len(), 1.0);
            }
            rows.extend((records..features.records()).map(|row| row as u32));
        }
        let examples = Examples {
            features: &features,
            labels: &labels,
            weights: weights.as_deref(),
            classes: self.classes,
        };
        let trained = self.trained(&examples, &rows, lesson.validation, seed)?;
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
        let refuse = |setting: &str| {
            Err(Error::usage(format!("{} have no {setting}", self.words()))
                .hint("choose another defence, or train networks (--trainer network)"))
        };
        if dropout.is_some_and(|rate| rate > 0.0) {
            return refuse("dropout");
        }
        if privacy.is_some() {
            return refuse("gradient of each record that DP-SGD could clip");
        }
        if objective.is_some() {
            return refuse("loss that could be another");
        }
        let mut altered = self.clone();
        match &mut altered.method {
            Method::Forest(_) => {
                let settings = [
                    (l2.is_some_and(|l2| l2 > 0.0), "L2 penalty"),
                    (label_smoothing.is_some_and(|s| s > 0.0), "label smoothing"),
                    (patience.is_some(), "rounds of training to stop after"),
                    (epochs.is_some(), "rounds of training"),
                    (learning_rate.is_some(), "learning rate"),
                ];
                if let Some((_, setting)) = settings.iter().find(|(there, _)| *there) {
                    return refuse(setting);
                }
            }
            Method::Boosting(boosting) => {
                let or = |setting: Option<f32>, before| setting.map_or(before, f64::from);
                boosting.l2 = or(l2, boosting.l2);
                boosting.label_smoothing = or(label_smoothing, boosting.label_smoothing);
                boosting.learning_rate = or(learning_rate, boosting.learning_rate);
                boosting.patience = patience.or(boosting.patience);
                boosting.rounds = epochs.unwrap_or(boosting.rounds);
                boosting.check().map_err(|e| {
                    Error::usage(format!("training cannot be altered like this: {e}"))
                        .hint("see the settings of the defence")
                })?;
            }
        }
        Ok(Box::new(altered))
    }

    /// The rounds of boosting.
    fn epochs(&self) -> Option<usize> {
        match self.method {
            Method::Forest(_) => None,
            Method::Boosting(boosting) => Some(boosting.rounds),
        }
    }

    /// One for all machines: the trees do not depend on the CPU.
    fn kernel(&self) -> String {
        "trees".to_owned()
    }
}

impl TreeTrainer {
    fn words(&self) -> &'static str {
        match self.method {
            Method::Forest(_) => "random forests",
            Method::Boosting(_) => "boosted trees",
        }
    }
}

fn cannot_train(error: &giveaway_trees::Error) -> Error {
    Error::usage(format!("cannot train a model: {error}"))
        .hint("see the options for the trees and their training")
}

struct TreeModel<'a> {
    ensemble: Ensemble,
    features: &'a Features,
}

impl Model for TreeModel<'_> {
    fn records(&self) -> usize {
        self.features.records()
    }

    fn classes(&self) -> usize {
        self.ensemble.classes()
    }

    fn each_logits(&self, sink: Sink) -> io::Result<()> {
        let mut outcome = Ok(());
        self.ensemble
            .each_logits(self.features, |_, block| {
                if outcome.is_ok() {
                    outcome = sink(block);
                }
            })
            .map_err(io::Error::other)?;
        outcome
    }

    /// As many as there are classes: see [`Self::each_features`].
    fn features(&self) -> usize {
        self.ensemble.classes()
    }

    /// The logits: nothing stands before them that a last layer would see.
    fn each_features(&self, sink: Sink) -> io::Result<()> {
        self.each_logits(sink)
    }

    fn answer(&self, inputs: ArrayView2<f32>) -> Result<Array2<f32>> {
        if inputs.ncols() != self.features.width() {
            return Err(Error::unexpected(format!(
                "a query of {} features to a model of {}",
                inputs.ncols(),
                self.features.width()
            )));
        }
        self.ensemble
            .logits(inputs)
            .map_err(|e| Error::input(e.to_string()).at("queries"))
    }

    /// The logits, as [`Self::each_features`].
    fn features_of(&self, inputs: ArrayView2<f32>) -> Result<Option<Array2<f32>>> {
        self.answer(inputs).map(Some)
    }

    fn weights(&self) -> Result<Vec<u8>> {
        Ok(self.ensemble.to_safetensors())
    }
}

#[cfg(test)]
mod tests;
