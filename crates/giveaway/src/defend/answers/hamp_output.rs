//! The output part of HAMP (Chen and Pattabiraman 2024): answers are those of a random input,
//! sorted into the order of the model's own.
//!
//! For every query a random input is made and the model asked about it; the class with the model's
//! largest logit for the query gets the largest logit for the random input, the second the second,
//! and so on. What is left of the query is the order of the classes. Of equals the class that comes
//! first counts as larger.
//!
//! The random input follows from the query's numbers. For tables each column is that of a record
//! drawn from the model's own training records, independently of the other columns (a column is
//! drawn whole, with all features that encode it, so that categories stay categories); for images
//! each value is uniform between the least and the greatest of its channel in those records.

use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2};

use super::guard::{Asked, Guard, Rule, counts};
use super::row::{answered, keep_label, ranking};
use crate::channel::OutputKind;
use crate::dataset::Dataset;
use crate::defend::{About, Bench, Defence, Guarded, Stage};
use crate::error::{Error, Result};
use crate::trainer::Model;

/// Answers of random inputs, in the order of the query's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HampOutput;

impl Defence for HampOutput {
    fn name(&self) -> String {
        "hamp-output".to_owned()
    }

    fn about(&self) -> About {
        About {
            title: "HAMP's answers".to_owned(),
            source: "Chen and Pattabiraman 2024",
            what: "Every answer has the numbers that the model gives for a random input, in the order of its \
                   own; only the order of the classes is the query's."
                .to_owned(),
            promise: Some(
                "Confidence means nothing any more. The label and the order of the other classes are told, \
                 and attacks on labels stay."
                    .to_owned(),
            ),
            stage: Stage::Answers,
            sample_aware: false,
            keeps_labels: true,
            scikit_learn: "r = np.sort(model.predict_proba(X_random), 1); answer \
                 np.take_along_axis(r, model.predict_proba(X).argsort(1).argsort(1), 1), with as many rows in X_random \
                 as in X, and its columns drawn one by one from the training records"
                .to_owned(),
            pytorch: "r = net(x_random).sort(1).values; answer r.gather(1, z.argsort(1).argsort(1)) after the \
                 forward pass"
                .to_owned(),
        }
    }

    fn guard<'a>(
        &'a self,
        bench: &'a Bench<'a>,
        rows: &[u32],
        model: Box<dyn Model + 'a>,
        seed: u64,
    ) -> Result<Box<dyn Guarded + 'a>> {
        let dataset = bench.dataset;
        counts(rows, dataset.len())?;
        let drawing = match dataset.schema.image {
            Some(shape) => Drawing::Pixels(ranges(dataset, rows, shape.channels.max(1))),
            None => Drawing::Columns {
                rows: rows.into(),
                columns: columns(dataset),
            },
        };
        let rule = OfRandomInputs {
            features: &dataset.features,
            drawing,
            seed: giveaway_stats::random::derive_seed(bench.seed, "random inputs of HAMP", seed),
        };
        Ok(Guard::boxed(model, dataset, rule))
    }
}

/// What random inputs are made of.
enum Drawing {
    /// Least and greatest value of each channel.
    Pixels(Vec<(f32, f32)>),
    /// The model's own training records, and the features of each column.
    Columns {
        rows: Arc<[u32]>,
        columns: Vec<Range<usize>>,
    },
}

/// The least and the greatest value of each channel in the records.
fn ranges(dataset: &Dataset, rows: &[u32], channels: usize) -> Vec<(f32, f32)> {
    let mut ranges = vec![(f32::INFINITY, f32::NEG_INFINITY); channels];
    for &row in rows {
        let values = dataset.features.row(row as usize);
        for (feature, &value) in values.iter().enumerate() {
            let (least, greatest) = &mut ranges[feature % channels];
            *least = least.min(value);
            *greatest = greatest.max(value);
        }
    }
    ranges
}

/// The features of each column of a table; a feature whose column is not known is its own.
fn columns(dataset: &Dataset) -> Vec<Range<usize>> {
    let known = &dataset.schema.features;
    let mut columns: Vec<Range<usize>> = Vec::new();
    for feature in 0..dataset.features.ncols() {
        let column = |feature: usize| known.get(feature).map(|info| info.column.as_str());
        match columns.last_mut() {
            Some(last) if column(feature).is_some() && column(last.start) == column(feature) => {
                last.end = feature + 1;
            }
            _ => columns.push(feature..feature + 1),
        }
    }
    columns
}

/// The rule, with what it draws from.
struct OfRandomInputs<'a> {
    features: &'a Array2<f32>,
    drawing: Drawing,
    seed: u64,
}

impl OfRandomInputs<'_> {
    /// A random input for each that was asked.
    fn random_inputs(&self, asked: &Asked<'_>) -> Array2<f32> {
        let mut inputs = Array2::<f32>::zeros(asked.inputs.dim());
        for (input, mut values) in inputs.outer_iter_mut().enumerate() {
            let mut stream = asked.stream(self.seed, "random input", input);
            match &self.drawing {
                Drawing::Pixels(ranges) => {
                    for (feature, value) in values.iter_mut().enumerate() {
                        let (least, greatest) = ranges[feature % ranges.len()];
                        let width = f64::from(greatest) - f64::from(least);
                        *value = (f64::from(least) + stream.uniform() * width) as f32;
                    }
                }
                Drawing::Columns { rows, columns } => {
                    for column in columns {
                        let row = rows[stream.below(rows.len())] as usize;
                        for feature in column.clone() {
                            values[feature] = self.features[[row, feature]];
                        }
                    }
                }
            }
        }
        inputs
    }
}

impl Rule for OfRandomInputs<'_> {
    fn kind(&self) -> OutputKind {
        OutputKind::Logits
    }

    fn answers(&self, model: &dyn Model, asked: &Asked<'_>) -> Result<Array2<f32>> {
        let of_random = model.answer(self.random_inputs(asked).view())?;
        if of_random.dim() != asked.logits.dim() {
            return Err(Error::unexpected(
                "a model answers random inputs with another number of classes",
            ));
        }
        let of_random: ArrayView2<f32> = of_random.view();
        Ok(asked.each(|input, logits, answer| {
            let mut values = of_random.row(input).to_vec();
            values.sort_unstable_by(|a, b| b.total_cmp(a));
            for (class, value) in ranking(logits).into_iter().zip(values) {
                answer[class] = value;
            }
            keep_label(answer, answered(logits));
        }))
    }
}
