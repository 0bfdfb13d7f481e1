//! Which columns make a record leak.
//!
//! What is shared out is the loss gap of a record: how much larger its loss is on average on
//! models that did not see it than on models that did. It is compared with the gap at a baseline,
//! the mean of the record's class, and the difference is divided among the original columns:
//! by [`integrated_gradients`] where every model has gradients, else by [`sampling`], which only
//! asks the models. Both are complete: the shares sum to the difference, up to what
//! [`Attribution::residual`] says. [`grad_cam`] shows where convolutional networks look.
//!
//! A baseline need be no possible record. A one-hot column has at the baseline the shares that its
//! levels have in the class; the models are asked about it as it stands.

pub mod grad_cam;
pub mod integrated_gradients;
pub mod sampling;

use ndarray::{Array2, ArrayView1, ArrayView2};

use crate::channel::Channel;
use crate::dataset::Schema;
use crate::error::{Error, Result};
use crate::trainer::Model;

/// Differences below this, in nats, count as this large when it is judged whether attributions
/// sum to them: a hundredth of it is no difference that anybody acts on.
const SMALLEST_DIFFERENCE: f64 = 0.01;

/// The share of the difference that attributions may miss.
const TOLERANCE: f64 = 0.01;

/// Inputs that models are asked about at a time.
const BLOCK: usize = 256;

/// The original column of each encoded feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    names: Vec<String>,
    of_feature: Vec<usize>,
}

impl Columns {
    /// The columns of a data set: neighbouring features of one
    /// [column](crate::dataset::FeatureInfo::column) belong together. For images every feature is
    /// a column.
    #[must_use]
    pub fn new(schema: &Schema) -> Self {
        let (mut names, mut of_feature) = (Vec::<String>::new(), Vec::new());
        for feature in &schema.features {
            if names.last() != Some(&feature.column) {
                names.push(feature.column.clone());
            }
            of_feature.push(names.len() - 1);
        }
        Self { names, of_feature }
    }

    /// The names, in the order of the values of [`Attribution::columns`].
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of columns.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are no columns.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The column of each feature, an index into [`Self::names`].
    #[must_use]
    pub fn of_feature(&self) -> &[usize] {
        &self.of_feature
    }
}

/// The mean encoded features of each class, classes × features: the baselines. A class without
/// any of these records has the mean of all.
///
/// `labels` has the class of each row of `features`.
#[must_use]
#[expect(
    clippy::needless_pass_by_value,
    reason = "a view is itself a reference, and ndarray passes views by value"
)]
pub fn class_means(features: ArrayView2<f32>, labels: &[u32], classes: usize) -> Array2<f32> {
    let mut sums = Array2::<f64>::zeros((classes, features.ncols()));
    let mut counts = vec![0usize; classes];
    for (row, &label) in features.outer_iter().zip(labels) {
        let Some(count) = counts.get_mut(label as usize) else {
            continue;
        };
        *count += 1;
        for (sum, &x) in sums.row_mut(label as usize).iter_mut().zip(row) {
            *sum += f64::from(x);
        }
    }
    let total = sums.sum_axis(ndarray::Axis(0));
    let all = counts.iter().sum::<usize>().max(1);
    for (mut sum, &count) in sums.outer_iter_mut().zip(&counts) {
        if count == 0 {
            sum.assign(&(&total / all as f64));
        } else {
            sum /= count as f64;
        }
    }
    sums.mapv(|mean| mean as f32)
}

/// A record to be explained, beside what it is compared with.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its number in the data set: random draws depend on it and on the seed only.
    pub number: u32,
    /// Its class, the one whose loss is looked at.
    pub label: u32,
    /// Its encoded features.
    pub features: ArrayView1<'a, f32>,
    /// The encoded features of the baseline, see [`class_means`].
    pub baseline: ArrayView1<'a, f32>,
}

/// The models between which the gap is.
#[derive(Clone, Copy)]
pub struct Models<'a> {
    /// Those trained without the record.
    pub out: &'a [&'a dyn Model],
    /// Those trained with it.
    pub within: &'a [&'a dyn Model],
}

/// How the difference is to be shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By integrated gradients where every model has gradients, else by sampling with
    /// [`sampling::PERMUTATIONS`].
    Automatic,
    /// By integrated gradients.
    IntegratedGradients,
    /// By Shapley values from so many permutations, an even number of at least 4; from all
    /// subsets of the columns where these are no more than what the permutations ask.
    Sampling {
        /// Permutations, each counted with its reverse.
        permutations: usize,
    },
}

/// How a difference was shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evaluation {
    /// Integrated gradients at so many points of the path.
    IntegratedGradients {
        /// Points of the path at which the gradients were taken.
        steps: usize,
    },
    /// Shapley values from random permutations.
    Permutations {
        /// Permutations, reversed ones included.
        permutations: usize,
    },
    /// Shapley values from all subsets of the columns in which record and baseline differ.
    Exact {
        /// The subsets.
        subsets: usize,
    },
}

/// How much each column contributes to a record's loss gap.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribution {
    /// One value for each column, in nats. Above 0: the column makes the gap larger than it is at
    /// the baseline.
    pub columns: Vec<f64>,
    /// The standard error of each value where it is an estimate from random permutations.
    pub standard_errors: Option<Vec<f64>>,
    /// The gap at the record: the mean loss of the models without it less that of those with it,
    /// in nats.
    pub gap: f64,
    /// The gap at the baseline, in nats.
    pub baseline_gap: f64,
    /// The sum of the values less the difference that they share out, `gap - baseline_gap`, in
    /// nats.
    pub residual: f64,
    /// How they were computed.
    pub evaluation: Evaluation,
}

impl Attribution {
    /// Whether the values sum to the difference, to a hundredth of it (of 0.01 nats where it is
    /// smaller).
    #[must_use]
    pub fn is_complete(&self) -> bool {
        complete(self.residual, self.gap - self.baseline_gap)
    }
}

fn complete(residual: f64, difference: f64) -> bool {
    residual.abs() <= TOLERANCE * difference.abs().max(SMALLEST_DIFFERENCE)
}

/// Shares out a record's loss gap, less the gap at the baseline, among the original columns.
///
/// `columns` says which features belong together. Nothing is shared between calls: many records
/// may be attributed side by side, with the same result.
///
/// # Errors
/// If there are no OUT or no IN models, if record, baseline, columns and models do not fit each
/// other, if a model's answers are not finite, if the models have no gradients and the method
/// needs them, or if permutations are fewer than 4 or odd.
pub fn attribute(
    record: &Record,
    columns: &Columns,
    models: &Models,
    method: Method,
    seed: u64,
) -> Result<Attribution> {
    let problem = Problem::new(record, columns, models)?;
    let ends = problem.ends()?;
    let gradients = match method {
        Method::Sampling { .. } => None,
        Method::Automatic | Method::IntegratedGradients => {
            integrated_gradients::integrate(&problem, ends)?
        }
    };
    let permutations = match (gradients, method) {
        (Some(attribution), _) => return Ok(attribution),
        (None, Method::IntegratedGradients) => {
            return Err(
                Error::usage("integrated gradients need gradients, which a model has not")
                    .hint("share the gap out by sampling"),
            );
        }
        (None, Method::Automatic) => sampling::PERMUTATIONS,
        (None, Method::Sampling { permutations }) => permutations,
    };
    sampling::shapley(&problem, ends, permutations, seed)
}

/// The gaps at record and baseline.
#[derive(Clone, Copy, Debug)]
struct Ends {
    gap: f64,
    baseline_gap: f64,
}

impl Ends {
    fn difference(self) -> f64 {
        self.gap - self.baseline_gap
    }

    fn attribution(
        self,
        columns: Vec<f64>,
        standard_errors: Option<Vec<f64>>,
        evaluation: Evaluation,
    ) -> Attribution {
        Attribution {
            residual: columns.iter().sum::<f64>() - self.difference(),
            columns,
            standard_errors,
            gap: self.gap,
            baseline_gap: self.baseline_gap,
            evaluation,
        }
    }
}

/// Everything of one attribution that fits together.
struct Problem<'r, 'm> {
    record: Record<'r>,
    columns: &'m Columns,
    models: Models<'m>,
}

impl<'r, 'm> Problem<'r, 'm> {
    fn new(record: &Record<'r>, columns: &'m Columns, models: &Models<'m>) -> Result<Self> {
        if models.out.is_empty() || models.within.is_empty() {
            return Err(Error::usage(format!(
                "a gap needs models with the record and models without it, and there are {} and {}",
                models.within.len(),
                models.out.len()
            ))
            .at(format!("record {}", record.number))
            .hint("train more reference models"));
        }
        let width = columns.of_feature.len();
        for (what, have) in [
            ("record", record.features.len()),
            ("baseline", record.baseline.len()),
        ] {
            if have != width {
                return Err(Error::unexpected(format!(
                    "the {what} has {have} features where the columns are made of {width}"
                ))
                .at(format!("record {}", record.number)));
            }
        }
        for model in models.out.iter().chain(models.within) {
            if record.label as usize >= model.classes() {
                return Err(Error::unexpected(format!(
                    "the label is class {} of a model with {}",
                    record.label,
                    model.classes()
                ))
                .at(format!("record {}", record.number)));
            }
        }
        Ok(Self {
            record: *record,
            columns,
            models: *models,
        })
    }

    fn features(&self) -> usize {
        self.columns.of_feature.len()
    }

    /// Each model, and what its loss counts in the gap.
    fn weighted(&self) -> impl Iterator<Item = (&'m dyn Model, f64)> {
        let of = |models: &'m [&'m dyn Model], sign: f64| {
            let weight = sign / models.len() as f64;
            models.iter().map(move |&model| (model, weight))
        };
        of(self.models.out, 1.0).chain(of(self.models.within, -1.0))
    }

    /// The gap at each of these inputs.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a view is itself a reference, and ndarray passes views by value"
    )]
    fn gaps(&self, inputs: ArrayView2<f32>) -> Result<Vec<f64>> {
        let mut gaps = vec![0.0; inputs.nrows()];
        let label = self.record.label as usize;
        let mut row = Vec::new();
        for (model, weight) in self.weighted() {
            let logits = model.answer(inputs)?;
            for (gap, logits) in gaps.iter_mut().zip(logits.outer_iter()) {
                row.clear();
                row.extend(logits.iter().copied());
                *gap += weight * Channel::default().signal(&row, label).loss;
            }
        }
        if let Some(bad) = gaps.iter().find(|gap| !gap.is_finite()) {
            return Err(self.not_finite("loss gap", *bad));
        }
        Ok(gaps)
    }

    fn ends(&self) -> Result<Ends> {
        let mut both = Array2::zeros((2, self.features()));
        both.row_mut(0).assign(&self.record.features);
        both.row_mut(1).assign(&self.record.baseline);
        let gaps = self.gaps(both.view())?;
        Ok(Ends {
            gap: gaps[0],
            baseline_gap: gaps[1],
        })
    }

    /// The gaps at `count` inputs that `fill` writes one after another, a block at a time.
    fn gaps_of(&self, count: usize, mut fill: impl FnMut(usize, &mut [f32])) -> Result<Vec<f64>> {
        let width = self.features();
        let mut gaps = Vec::with_capacity(count);
        let mut block = Vec::new();
        while gaps.len() < count {
            let rows = BLOCK.min(count - gaps.len());
            block.resize(rows * width, 0.0);
            for row in 0..rows {
                fill(gaps.len() + row, &mut block[row * width..][..width]);
            }
            let inputs = ArrayView2::from_shape((rows, width), &block)
                .map_err(|e| Error::unexpected(format!("cannot lay out inputs: {e}")))?;
            gaps.extend(self.gaps(inputs)?);
        }
        Ok(gaps)
    }

    fn not_finite(&self, what: &str, value: f64) -> Error {
        Error::unexpected(format!("a {what} is {value}"))
            .at(format!("attribution of record {}", self.record.number))
            .hint("a model may have diverged: see the losses of the reference models")
    }
}

#[cfg(test)]
mod tests;
