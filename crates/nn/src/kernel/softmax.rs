//! Softmax cross-entropy and its gradient.

use super::matrix::Matrix;
use super::simd::Simd;
use super::{Kernel, Task};

/// The loss of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loss {
    /// The sum over rows of the cross-entropy; not finite if any logit is not.
    pub(crate) sum: f64,
}

/// What the rows of a batch should be classified as.
#[derive(Clone, Copy)]
pub(crate) struct Targets<'a> {
    /// One for each row.
    pub(crate) labels: &'a [u32],
    /// Probabilities of the classes, which then stand in for the labels.
    pub(crate) soft: Option<&'a Matrix>,
    /// What each row's loss is multiplied by.
    pub(crate) weights: Option<&'a [f32]>,
}

impl Kernel {
    /// Cross-entropy of logits against smoothed targets, one for each of the first rows,
    /// and its gradient with respect to the logits, multiplied by `share`.
    ///
    /// The target is (1 − `smoothing`)·t + `smoothing`/classes, t being one-hot or the soft
    /// label.
    ///
    /// # Panics
    /// If the shapes do not fit or a label is not below the number of columns.
    pub(crate) fn softmax(
        self,
        logits: &Matrix,
        targets: Targets,
        smoothing: f32,
        share: f32,
        gradients: &mut Matrix,
    ) -> Loss {
        let Targets {
            labels,
            soft,
            weights,
        } = targets;
        assert!(labels.len() <= logits.rows());
        assert!(weights.is_none_or(|weights| weights.len() == labels.len()));
        if let Some(soft) = soft {
            assert!(labels.len() <= soft.rows());
            assert_eq!(soft.columns(), logits.columns());
        }
        assert_eq!(
            (logits.rows(), logits.columns()),
            (gradients.rows(), gradients.columns())
        );
        assert!(
            labels
                .iter()
                .all(|&label| (label as usize) < logits.columns())
        );
        self.run(Softmax {
            logits,
            targets,
            smoothing,
            share,
            gradients,
        })
    }
}

struct Softmax<'a> {
    logits: &'a Matrix,
    targets: Targets<'a>,
    smoothing: f32,
    share: f32,
    gradients: &'a mut Matrix,
}

/// Rows whose sums of exponentials are multiplied before the logarithm is taken. Each sum
/// is between 1 and the number of classes (below 2³²), so the product stays below 2⁵¹².
const ROWS_OF_A_LOGARITHM: usize = 16;

/// Added to the gradients and taken away again, which rounds them to multiples of 2⁻⁷³:
/// what is left of hopeless classes would become subnormal on its way back through the
/// layers, and cost a hundred cycles an operation.
const GRAIN: f32 = 1.0 / (1u64 << 50) as f32;

/// A vector that starts at `column`, with `fill` in the lanes that only pad the last vector
/// and must not count.
///
/// # Safety
/// The CPU must have the instruction set.
#[inline(always)]
unsafe fn first_columns<S: Simd>(
    x: S::Vector,
    column: usize,
    columns: usize,
    fill: f32,
) -> S::Vector {
    if column + S::LANES > columns {
        // SAFETY: the caller vouches for the instruction set.
        unsafe { S::first(x, columns - column, S::splat(fill)) }
    } else {
        x
    }
}

impl Task for Softmax<'_> {
    type Output = Loss;

    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> Loss {
        let Self {
            logits,
            targets,
            smoothing,
            share,
            gradients,
        } = self;
        let Targets {
            labels,
            soft,
            weights,
        } = targets;
        let classes = logits.columns();
        let even = smoothing / classes as f32;
        // each weight multiplies a logarithm of its own
        let rows_of_a_logarithm = if weights.is_some() {
            1
        } else {
            ROWS_OF_A_LOGARITHM
        };
        let mut total = 0.0f64;
        for (group, labels) in labels.chunks(rows_of_a_logarithm).enumerate() {
            let mut product = 1.0f64;
            let mut rest = 0.0f64;
            let mut weight = 1.0f32;
            for (i, &label) in labels.iter().enumerate() {
                let row = group * rows_of_a_logarithm + i;
                weight = weights.map_or(1.0, |weights| weights[row]);
                let share = share * weight;
                // SAFETY: `row` is a row of all matrices, which have the same columns, and
                // the label is one of them, as `Kernel::softmax` checked; vectors start at
                // columns, and those that reach beyond end in their padding.
                unsafe {
                    let at = |column: usize| logits.pointer().add(logits.offset(row, column));
                    let load = |column: usize, fill: f32| {
                        first_columns::<S>(S::load(at(column)), column, classes, fill)
                    };
                    let mut largest = S::splat(f32::MIN);
                    let mut plain_sum = S::splat(0.0);
                    let mut column = 0;
                    while column < classes {
                        largest = S::max(load(column, f32::MIN), largest);
                        plain_sum = S::add(plain_sum, load(column, 0.0));
                        column += S::LANES;
                    }
                    let largest = S::largest(largest);
                    let plain_sum = S::sum(plain_sum);

                    let to = gradients.pointer_mut();
                    let mut sum = S::splat(0.0);
                    let mut column = 0;
                    while column < classes {
                        let x = S::sub(load(column, f32::MIN), S::splat(largest));
                        let exponential = first_columns::<S>(S::exp(x), column, classes, 0.0);
                        S::store(to.add(gradients.offset(row, column)), exponential);
                        sum = S::add(sum, exponential);
                        column += S::LANES;
                    }
                    let sum = S::sum(sum);

                    let scale = S::splat(share / sum);
                    let shift = S::splat(GRAIN - share * even);
                    let mut column = 0;
                    while column < classes {
                        let place = to.add(gradients.offset(row, column));
                        let gradient = S::mul_add(S::load(place), scale, shift);
                        let gradient = S::sub(gradient, S::splat(GRAIN));
                        let gradient = first_columns::<S>(gradient, column, classes, 0.0);
                        S::store(place, gradient);
                        column += S::LANES;
                    }

                    // what remains of the gradient: minus the targets; of the loss
                    // −Σ target·log softmax = log Σ eˣ − Σ target·x: the last sum
                    let own = share * (1.0 - smoothing);
                    let own_sum = if let Some(soft) = soft {
                        let mut own_sum = S::splat(0.0);
                        let mut column = 0;
                        while column < classes {
                            let target = S::load(soft.pointer().add(soft.offset(row, column)));
                            own_sum = S::mul_add(target, load(column, 0.0), own_sum);
                            let place = to.add(gradients.offset(row, column));
                            let gradient = S::mul_add(target, S::splat(-own), S::load(place));
                            S::store(place, gradient);
                            column += S::LANES;
                        }
                        S::sum(own_sum)
                    } else {
                        *to.add(gradients.offset(row, label as usize)) -= own;
                        *at(label as usize)
                    };
                    let target = (1.0 - f64::from(smoothing)) * f64::from(own_sum)
                        + f64::from(even) * f64::from(plain_sum);
                    rest += f64::from(largest) - target;
                    // a logit that is not finite shows in the plain sum, whatever the maximum hid
                    rest += f64::from(plain_sum) * 0.0;
                    product *= f64::from(sum);
                }
            }
            total += f64::from(weight) * (rest + product.ln());
        }
        Loss { sum: total }
    }
}
