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

impl Kernel {
    /// Cross-entropy of logits against smoothed labels, one for each of the first rows,
    /// and its gradient with respect to the logits, multiplied by `share`.
    ///
    /// The target is (1 − `smoothing`)·one-hot + `smoothing`/classes.
    ///
    /// # Panics
    /// If the shapes do not fit or a label is not below the number of columns.
    pub(crate) fn softmax(
        self,
        logits: &Matrix,
        labels: &[u32],
        smoothing: f32,
        share: f32,
        gradients: &mut Matrix,
    ) -> Loss {
        assert!(labels.len() <= logits.rows());
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
            labels,
            smoothing,
            share,
            gradients,
        })
    }
}

struct Softmax<'a> {
    logits: &'a Matrix,
    labels: &'a [u32],
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

impl Task for Softmax<'_> {
    type Output = Loss;

    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> Loss {
        let Self {
            logits,
            labels,
            smoothing,
            share,
            gradients,
        } = self;
        let classes = logits.columns();
        let even = smoothing / classes as f32;
        let mut total = 0.0f64;
        for (group, labels) in labels.chunks(ROWS_OF_A_LOGARITHM).enumerate() {
            let mut product = 1.0f64;
            for (i, &label) in labels.iter().enumerate() {
                let row = group * ROWS_OF_A_LOGARITHM + i;
                // SAFETY: `row` is a row of both matrices, which have the same shape, and
                // the label is one of their columns, as `Kernel::softmax` checked; vectors
                // start at columns, and those that reach beyond end in their padding.
                unsafe {
                    let at = |column: usize| logits.pointer().add(logits.offset(row, column));
                    // the columns that pad the last vector must not count
                    let load = |column: usize, fill: f32| {
                        let x = S::load(at(column));
                        if column + S::LANES > classes {
                            S::first(x, classes - column, S::splat(fill))
                        } else {
                            x
                        }
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
                        let mut exponential = S::exp(x);
                        if column + S::LANES > classes {
                            exponential = S::first(exponential, classes - column, S::splat(0.0));
                        }
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
                        let mut gradient = S::sub(gradient, S::splat(GRAIN));
                        if column + S::LANES > classes {
                            gradient = S::first(gradient, classes - column, S::splat(0.0));
                        }
                        S::store(place, gradient);
                        column += S::LANES;
                    }
                    let own = to.add(gradients.offset(row, label as usize));
                    *own -= share * (1.0 - smoothing);

                    // −Σ target·log softmax = log Σ eˣ − Σ target·x
                    let target = (1.0 - f64::from(smoothing)) * f64::from(*at(label as usize))
                        + f64::from(even) * f64::from(plain_sum);
                    total += f64::from(largest) - target;
                    // a logit that is not finite shows in the plain sum, whatever the maximum hid
                    total += f64::from(plain_sum) * 0.0;
                    product *= f64::from(sum);
                }
            }
            total += product.ln();
        }
        Loss { sum: total }
    }
}
