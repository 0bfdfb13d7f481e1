//! Gradients of parameters and the optimiser's step, in one pass.

use super::matrix::{Matrix, PANEL};
use super::product::{Scratch, Tile, column_tiles, row_tiles};
use super::simd::Simd;
use super::{Kernel, Task};

/// Gradients smaller than this count as zero. Their squares, scaled by 1 − β₂, and all
/// that follows from them then stay normal numbers; subnormal ones cost a hundred cycles each.
const SMALLEST_GRADIENT: f32 = 1.0 / (1u64 << 55) as f32;

/// Moments and velocities smaller than this count as zero: unlike gradients they decay by
/// a constant factor, and would otherwise end in the subnormal numbers and stay there.
const SMALLEST_MOMENT: f32 = 1.0 / (1u128 << 100) as f32;

/// Parameters with the optimiser's memory of them.
#[derive(Clone, Debug)]
pub(crate) struct Parameters {
    pub(crate) value: Matrix,
    /// Adam's mean gradient, or the velocity of momentum
    pub(crate) first: Matrix,
    /// Adam's mean squared gradient
    pub(crate) second: Matrix,
}

impl Parameters {
    pub(crate) fn zeros(rows: usize, columns: usize) -> Self {
        let zeros = Matrix::zeros(rows, columns);
        Self {
            value: zeros.clone(),
            first: zeros.clone(),
            second: zeros,
        }
    }

    fn assert_shape(&self, rows: usize, columns: usize) {
        for matrix in [&self.value, &self.first, &self.second] {
            assert_eq!((matrix.rows(), matrix.columns()), (rows, columns));
        }
    }

    fn pointers(&mut self) -> Pointers {
        Pointers {
            value: self.value.pointer_mut(),
            first: self.first.pointer_mut(),
            second: self.second.pointer_mut(),
        }
    }
}

/// One step of an optimiser, with all constants of the step worked out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², w ← w − rate·m / (√v + epsilon)
    Adam {
        beta1: f32,
        beta2: f32,
        /// The learning rate times √(1 − β₂ᵗ) / (1 − β₁ᵗ).
        rate: f32,
        /// ε times √(1 − β₂ᵗ).
        epsilon: f32,
        l2: f32,
    },
    /// u ← momentum·u + g; w ← w − rate·u, or with Nesterov w − rate·(g + momentum·u)
    Sgd {
        momentum: f32,
        nesterov: bool,
        rate: f32,
        l2: f32,
    },
}

impl Kernel {
    /// One step on the weights of a dense layer, whose gradient is `inputs`ᵀ · `deltas`
    /// over the first `rows` rows.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub(crate) fn step_weights(
        self,
        rows: usize,
        inputs: &Matrix,
        deltas: &Matrix,
        weights: &mut Parameters,
        step: &Step,
    ) {
        assert!(rows <= inputs.rows() && rows <= deltas.rows());
        weights.assert_shape(inputs.columns(), deltas.columns());
        self.run(StepWeights {
            rows,
            inputs,
            deltas,
            weights,
            step,
        });
    }

    /// One step on the biases of a dense layer, whose gradient is the sum of the first
    /// `rows` rows of `deltas`.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub(crate) fn step_biases(
        self,
        rows: usize,
        deltas: &Matrix,
        biases: &mut Parameters,
        step: &Step,
    ) {
        assert!(rows <= deltas.rows());
        biases.assert_shape(1, deltas.columns());
        self.run(StepBiases {
            rows,
            deltas,
            biases,
            step,
        });
    }
}

#[derive(Clone, Copy)]
struct Pointers {
    value: *mut f32,
    first: *mut f32,
    second: *mut f32,
}

impl Pointers {
    /// # Safety
    /// The offset must lie within the matrices, with a vector's floats after it.
    #[inline(always)]
    unsafe fn add(self, offset: usize) -> Self {
        // SAFETY: the caller vouches for the offset.
        unsafe {
            Self {
                value: self.value.add(offset),
                first: self.first.add(offset),
                second: self.second.add(offset),
            }
        }
    }
}

/// The constants of Adam's step, as vectors.
#[derive(Clone, Copy)]
struct AdamStep<S: Simd> {
    beta1: S::Vector,
    beta2: S::Vector,
    one_minus_beta1: S::Vector,
    one_minus_beta2: S::Vector,
    rate: S::Vector,
    epsilon: S::Vector,
    l2: S::Vector,
    smallest_gradient: S::Vector,
    smallest_moment: S::Vector,
}

/// The constants of a step of gradient descent, as vectors.
#[derive(Clone, Copy)]
struct SgdStep<S: Simd> {
    momentum: S::Vector,
    rate: S::Vector,
    l2: S::Vector,
    smallest_gradient: S::Vector,
    smallest_moment: S::Vector,
}

impl<S: Simd> AdamStep<S> {
    /// # Safety
    /// The pointers must be valid for a vector each; the CPU must have the instruction set.
    #[inline(always)]
    unsafe fn apply(self, gradient: S::Vector, at: Pointers) {
        // SAFETY: the caller vouches for the pointers and the instruction set.
        unsafe {
            let value = S::load(at.value);
            let gradient = S::mul_add(self.l2, value, gradient);
            let gradient = S::flush(gradient, self.smallest_gradient);
            let scaled = S::mul(self.one_minus_beta1, gradient);
            let first = S::mul_add(self.beta1, S::load(at.first), scaled);
            let first = S::flush(first, self.smallest_moment);
            let scaled = S::mul(S::mul(self.one_minus_beta2, gradient), gradient);
            let second = S::mul_add(self.beta2, S::load(at.second), scaled);
            let second = S::flush(second, self.smallest_moment);
            S::store(at.first, first);
            S::store(at.second, second);
            let root = S::add(S::sqrt(second), self.epsilon);
            let change = S::div(S::mul(self.rate, first), root);
            S::store(at.value, S::sub(value, change));
        }
    }
}

impl<S: Simd> SgdStep<S> {
    /// # Safety
    /// As for [`AdamStep::apply`].
    #[inline(always)]
    unsafe fn apply<const NESTEROV: bool>(self, gradient: S::Vector, at: Pointers) {
        // SAFETY: the caller vouches for the pointers and the instruction set.
        unsafe {
            let value = S::load(at.value);
            let gradient = S::mul_add(self.l2, value, gradient);
            let gradient = S::flush(gradient, self.smallest_gradient);
            let velocity = S::mul_add(self.momentum, S::load(at.first), gradient);
            let velocity = S::flush(velocity, self.smallest_moment);
            S::store(at.first, velocity);
            let direction = if NESTEROV {
                S::mul_add(self.momentum, velocity, gradient)
            } else {
                velocity
            };
            let value = S::sub(value, S::mul(self.rate, direction));
            // weights without gradient shrink by a constant factor under l2
            S::store(at.value, S::flush(value, self.smallest_moment));
        }
    }
}

/// Calls `$body` with `$apply` bound to the step's function, chosen outside of all loops.
macro_rules! with_step {
    ($S:ident, $step:expr, |$apply:ident| $body:expr) => {
        match *$step {
            Step::Adam {
                beta1,
                beta2,
                rate,
                epsilon,
                l2,
            } => {
                let constants = AdamStep::<$S> {
                    beta1: $S::splat(beta1),
                    beta2: $S::splat(beta2),
                    one_minus_beta1: $S::splat(1.0 - beta1),
                    one_minus_beta2: $S::splat(1.0 - beta2),
                    rate: $S::splat(rate),
                    epsilon: $S::splat(epsilon),
                    l2: $S::splat(l2),
                    smallest_gradient: $S::splat(SMALLEST_GRADIENT),
                    smallest_moment: $S::splat(SMALLEST_MOMENT),
                };
                let $apply = |gradient, at| constants.apply(gradient, at);
                $body
            }
            Step::Sgd {
                momentum,
                nesterov,
                rate,
                l2,
            } => {
                let constants = SgdStep::<$S> {
                    momentum: $S::splat(momentum),
                    rate: $S::splat(rate),
                    l2: $S::splat(l2),
                    smallest_gradient: $S::splat(SMALLEST_GRADIENT),
                    smallest_moment: $S::splat(SMALLEST_MOMENT),
                };
                if nesterov {
                    let $apply = |gradient, at| constants.apply::<true>(gradient, at);
                    $body
                } else {
                    let $apply = |gradient, at| constants.apply::<false>(gradient, at);
                    $body
                }
            }
        }
    };
}

struct StepWeights<'a> {
    rows: usize,
    inputs: &'a Matrix,
    deltas: &'a Matrix,
    weights: &'a mut Parameters,
    step: &'a Step,
}

impl Task for StepWeights<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self {
            rows,
            inputs,
            deltas,
            weights,
            step,
        } = self;
        let mut scratch = Scratch::new();
        let pointers = weights.pointers();
        for columns in column_tiles::<S>(deltas.columns()) {
            for panel in (0..inputs.columns()).step_by(PANEL) {
                let count = (inputs.columns() - panel).min(PANEL);
                for (row, height) in row_tiles::<S>(panel, count) {
                    let tile = Tile {
                        left: inputs.pointer().wrapping_add(inputs.offset(0, row)),
                        segment: rows,
                        segment_stride: 0,
                        depth: rows,
                        right: deltas
                            .pointer()
                            .wrapping_add(deltas.offset(0, columns.start)),
                    };
                    let offset = weights.value.offset(row, columns.start);
                    // SAFETY: the tile's rows are columns of `inputs` in one panel and its
                    // columns are columns of `deltas` or of the padding of its last panel,
                    // both read along the first `rows` rows, which they have. The offsets
                    // visited are those of the tile in the weights, whose three matrices
                    // have a row for each column of `inputs` and the columns of `deltas`.
                    // `Kernel::step_weights` checked these shapes.
                    unsafe {
                        tile.sum::<S, 1, PANEL>(height, columns.vectors, &mut scratch);
                        with_step!(S, step, |apply| for i in 0..height {
                            for j in 0..columns.vectors {
                                let gradient = S::load(scratch.at(i, j * S::LANES));
                                apply(gradient, pointers.add(offset + i * PANEL + j * S::LANES));
                            }
                        });
                    }
                }
            }
        }
    }
}

struct StepBiases<'a> {
    rows: usize,
    deltas: &'a Matrix,
    biases: &'a mut Parameters,
    step: &'a Step,
}

impl Task for StepBiases<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self {
            rows,
            deltas,
            biases,
            step,
        } = self;
        let pointers = biases.pointers();
        for column in (0..deltas.columns()).step_by(S::LANES) {
            let from = deltas.pointer().wrapping_add(deltas.offset(0, column));
            // SAFETY: `from` is a vector of the first row of `deltas`, of which the first
            // `rows` rows are read; the biases have as many columns. `Kernel::step_biases`
            // checked these shapes.
            unsafe {
                // four sums hide the latency of additions
                let mut sums = [S::splat(0.0); 4];
                let mut row = 0;
                while row + 4 <= rows {
                    for (i, sum) in sums.iter_mut().enumerate() {
                        *sum = S::add(*sum, S::load(from.add((row + i) * PANEL)));
                    }
                    row += 4;
                }
                while row < rows {
                    sums[0] = S::add(sums[0], S::load(from.add(row * PANEL)));
                    row += 1;
                }
                let gradient = S::add(S::add(sums[0], sums[1]), S::add(sums[2], sums[3]));
                with_step!(S, step, |apply| apply(gradient, pointers.add(column)));
            }
        }
    }
}
