//! Gradients of parameters and the optimiser's step, in one pass.

use super::matrix::{Matrix, PANEL};
use super::product::{Scratch, Spacing, Tile, column_tiles, row_tiles};
use super::simd::Simd;
use super::team::{Crew, Part};
use super::{Kernel, Task};

/// Added to moments, velocities and weights and taken away again, which rounds them to
/// multiples of 2⁻¹²³.
///
/// Without gradient they shrink by a constant factor from step to step. They would end
/// among the subnormal numbers and stay there, where an operation costs a hundred cycles
/// and more; so rounded they end at some such multiple or at zero. Numbers above 2⁻⁷⁶ feel
/// no more than rounding.
const GRAIN: f32 = 1.0 / (1u128 << 100) as f32;

/// Parameters with the optimiser's memory of them, if they are to be learnt.
#[derive(Clone, Debug)]
pub(crate) struct Parameters {
    pub(crate) value: Matrix,
    /// Adam's mean gradient, or the velocity of momentum
    pub(crate) first: Matrix,
    /// Adam's mean squared gradient
    pub(crate) second: Matrix,
}

impl Parameters {
    /// Parameters that are still 0. Without memory for an optimiser, unless they are to be
    /// `learnt`, no step can be taken on them.
    pub(crate) fn zeros(rows: usize, columns: usize, learnt: bool) -> Self {
        let memory = || {
            if learnt {
                Matrix::zeros(rows, columns)
            } else {
                Matrix::zeros(0, 0)
            }
        };
        Self {
            value: Matrix::zeros(rows, columns),
            first: memory(),
            second: memory(),
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
    /// m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², w ← keep·w − rate·m / (√v + epsilon)
    Adam {
        beta1: f32,
        beta2: f32,
        /// The learning rate times √(1 − β₂ᵗ) / (1 − β₁ᵗ).
        rate: f32,
        /// ε times √(1 − β₂ᵗ).
        epsilon: f32,
        l2: f32,
        /// 1 but for decoupled weight decay.
        keep: f32,
    },
    /// u ← momentum·u + g; w ← w − rate·u, or with Nesterov w − rate·(g + momentum·u)
    Sgd {
        momentum: f32,
        nesterov: bool,
        rate: f32,
        l2: f32,
    },
}

impl Crew<'_> {
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
        let pointers = weights.pointers();
        self.share(rows * inputs.columns() * deltas.columns(), |part| {
            self.run(StepWeights {
                rows,
                inputs,
                deltas,
                pointers,
                step,
                part,
            });
        });
    }

    /// Adds to `gradient` that of the weights of a dense layer: `inputs`ᵀ · `deltas` over
    /// the first `rows` rows.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub(crate) fn add_weight_gradient(
        self,
        rows: usize,
        inputs: &Matrix,
        deltas: &Matrix,
        gradient: &mut Matrix,
    ) {
        assert!(rows <= inputs.rows() && rows <= deltas.rows());
        assert_eq!(
            (gradient.rows(), gradient.columns()),
            (inputs.columns(), deltas.columns())
        );
        let pointers = accumulator(gradient);
        self.share(rows * inputs.columns() * deltas.columns(), |part| {
            self.run(AddWeightGradient {
                rows,
                inputs,
                deltas,
                pointers,
                part,
            });
        });
    }
}

impl Kernel {
    /// Adds to `gradient` that of the biases of a dense layer: the sum of the first `rows`
    /// rows of `deltas`.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub(crate) fn add_bias_gradient(self, rows: usize, deltas: &Matrix, gradient: &mut Matrix) {
        assert!(rows <= deltas.rows());
        assert_eq!((gradient.rows(), gradient.columns()), (1, deltas.columns()));
        self.run(AddBiasGradient {
            rows,
            deltas,
            gradient,
        });
    }

    /// One step on parameters with this gradient.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub(crate) fn step(self, gradient: &Matrix, parameters: &mut Parameters, step: &Step) {
        parameters.assert_shape(gradient.rows(), gradient.columns());
        self.run(StepAll {
            gradient,
            parameters,
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

// SAFETY: these are pointers; to use them is unsafe, and that no two threads use them for
// the same element is for those who do.
unsafe impl Send for Pointers {}
// SAFETY: as for Send.
unsafe impl Sync for Pointers {}

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
    minus_rate: S::Vector,
    epsilon: S::Vector,
    l2: S::Vector,
    keep: S::Vector,
    grain: S::Vector,
}

/// The constants of a step of gradient descent, as vectors.
#[derive(Clone, Copy)]
struct SgdStep<S: Simd> {
    momentum: S::Vector,
    /// What the velocity and the gradient contribute to the direction of the step.
    velocity_share: S::Vector,
    gradient_share: S::Vector,
    minus_rate: S::Vector,
    l2: S::Vector,
    grain: S::Vector,
}

/// A step with its constants as vectors.
///
/// A trait and not a closure: closures cannot be made to be inlined, and a function that is
/// not inlined is not compiled for the instruction set.
trait Rule<S: Simd>: Copy {
    /// Takes the step on a vector of parameters.
    ///
    /// # Safety
    /// The pointers must be valid for a vector each; the CPU must have the instruction set.
    unsafe fn apply(self, gradient: S::Vector, at: Pointers);
}

impl<S: Simd> Rule<S> for AdamStep<S> {
    #[inline(always)]
    unsafe fn apply(self, gradient: S::Vector, at: Pointers) {
        // SAFETY: the caller vouches for the pointers and the instruction set.
        unsafe {
            let value = S::load(at.value);
            let gradient = S::mul_add(self.l2, value, gradient);
            let part = S::mul_add(self.one_minus_beta1, gradient, self.grain);
            let first = S::mul_add(self.beta1, S::load(at.first), part);
            let first = S::sub(first, self.grain);
            let scaled = S::mul(self.one_minus_beta2, gradient);
            let part = S::mul_add(scaled, gradient, self.grain);
            let second = S::mul_add(self.beta2, S::load(at.second), part);
            let second = S::sub(second, self.grain);
            S::store(at.first, first);
            S::store(at.second, second);
            let root = S::add(S::sqrt(second), self.epsilon);
            let direction = S::div(first, root);
            let kept = S::mul(self.keep, value);
            S::store(at.value, S::mul_add(self.minus_rate, direction, kept));
        }
    }
}

impl<S: Simd> Rule<S> for SgdStep<S> {
    #[inline(always)]
    unsafe fn apply(self, gradient: S::Vector, at: Pointers) {
        // SAFETY: the caller vouches for the pointers and the instruction set.
        unsafe {
            let value = S::load(at.value);
            let gradient = S::mul_add(self.l2, value, gradient);
            let part = S::add(gradient, self.grain);
            let velocity = S::mul_add(self.momentum, S::load(at.first), part);
            let velocity = S::sub(velocity, self.grain);
            S::store(at.first, velocity);
            let ahead = S::mul(self.gradient_share, gradient);
            let direction = S::mul_add(self.velocity_share, velocity, ahead);
            // weights without gradient shrink by a constant factor under l2
            let value = S::mul_add(self.minus_rate, direction, S::add(value, self.grain));
            S::store(at.value, S::sub(value, self.grain));
        }
    }
}

/// No step: adds the gradient to the value.
#[derive(Clone, Copy)]
struct Accumulate;

impl<S: Simd> Rule<S> for Accumulate {
    #[inline(always)]
    unsafe fn apply(self, gradient: S::Vector, at: Pointers) {
        // SAFETY: the caller vouches for the pointers and the instruction set.
        unsafe { S::store(at.value, S::add(S::load(at.value), gradient)) }
    }
}

/// Pointers for [`Accumulate`], which uses the first only.
fn accumulator(gradient: &mut Matrix) -> Pointers {
    let value = gradient.pointer_mut();
    Pointers {
        value,
        first: value,
        second: value,
    }
}

/// Evaluates `$body` with `$rule` bound to the step, chosen outside of all loops.
macro_rules! with_rule {
    ($S:ident, $step:expr, |$rule:ident| $body:expr) => {
        match *$step {
            Step::Adam {
                beta1,
                beta2,
                rate,
                epsilon,
                l2,
                keep,
            } => {
                let $rule = AdamStep::<$S> {
                    beta1: $S::splat(beta1),
                    beta2: $S::splat(beta2),
                    one_minus_beta1: $S::splat(1.0 - beta1),
                    one_minus_beta2: $S::splat(1.0 - beta2),
                    minus_rate: $S::splat(-rate),
                    epsilon: $S::splat(epsilon),
                    l2: $S::splat(l2),
                    keep: $S::splat(keep),
                    grain: $S::splat(GRAIN),
                };
                $body
            }
            Step::Sgd {
                momentum,
                nesterov,
                rate,
                l2,
            } => {
                let (velocity, gradient) = if nesterov {
                    (momentum, 1.0)
                } else {
                    (1.0, 0.0)
                };
                let $rule = SgdStep::<$S> {
                    momentum: $S::splat(momentum),
                    velocity_share: $S::splat(velocity),
                    gradient_share: $S::splat(gradient),
                    minus_rate: $S::splat(-rate),
                    l2: $S::splat(l2),
                    grain: $S::splat(GRAIN),
                };
                $body
            }
        }
    };
}

struct StepWeights<'a> {
    rows: usize,
    inputs: &'a Matrix,
    deltas: &'a Matrix,
    /// Of the weights.
    pointers: Pointers,
    step: &'a Step,
    part: Part,
}

impl Task for StepWeights<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self {
            rows,
            inputs,
            deltas,
            pointers,
            step,
            part,
        } = self;
        // SAFETY: the caller vouches for the instruction set; for the rest see `tiles`.
        unsafe {
            with_rule!(S, step, |rule| tiles::<S, _>(
                rows, inputs, deltas, pointers, rule, part
            ));
        }
    }
}

/// Computes a part of the gradient tile by tile and takes the step on the parameters.
///
/// # Safety
/// `pointers` must point to matrices with a row for each column of `inputs` and the columns
/// of `deltas`, and nothing but other parts may use them meanwhile; both must have at least `rows`
/// rows; the CPU must have the instruction set.
#[inline(always)]
unsafe fn tiles<S: Simd, R: Rule<S>>(
    rows: usize,
    inputs: &Matrix,
    deltas: &Matrix,
    pointers: Pointers,
    rule: R,
    part: Part,
) {
    let stride = inputs.columns() * PANEL;
    let tiles_of = |columns: usize| row_tiles::<S>(0, columns).count();
    let in_a_column =
        inputs.columns() / PANEL * tiles_of(PANEL) + tiles_of(inputs.columns() % PANEL);
    let own = part.range(column_tiles::<S>(deltas.columns()).count() * in_a_column);
    let mut tile_number = 0;
    let mut scratch = Scratch::new();
    for columns in column_tiles::<S>(deltas.columns()) {
        for panel in (0..inputs.columns()).step_by(PANEL) {
            let count = (inputs.columns() - panel).min(PANEL);
            for (row, height) in row_tiles::<S>(panel, count) {
                tile_number += 1;
                if !own.contains(&(tile_number - 1)) {
                    continue;
                }
                let tile = Tile {
                    left: inputs.pointer().wrapping_add(inputs.offset(0, row)),
                    segment: rows,
                    segment_stride: 0,
                    depth: rows,
                    right: deltas
                        .pointer()
                        .wrapping_add(deltas.offset(0, columns.start)),
                    spacing: Spacing::default(),
                };
                let offset = columns.start / PANEL * stride + row * PANEL + columns.start % PANEL;
                // SAFETY: the tile's rows are columns of `inputs` in one panel and its
                // columns are columns of `deltas` or of the padding of its last panel, both
                // read along the first `rows` rows. The offsets are those of the tile's
                // vectors in matrices of the shape that the caller vouches for, and no other
                // part has this tile.
                unsafe {
                    tile.sum::<S, 1, PANEL, PANEL>(height, columns.vectors, &mut scratch);
                    for i in 0..height {
                        for j in 0..columns.vectors {
                            let gradient = S::load(scratch.at(i, j * S::LANES));
                            rule.apply(gradient, pointers.add(offset + i * PANEL + j * S::LANES));
                        }
                    }
                }
            }
        }
    }
}

struct StepAll<'a> {
    gradient: &'a Matrix,
    parameters: &'a mut Parameters,
    step: &'a Step,
}

impl Task for StepAll<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let length = self.gradient.floats().len();
        let gradient = self.gradient.pointer();
        let pointers = self.parameters.pointers();
        // SAFETY: the gradient and the parameters have the same shape, as `Kernel::step`
        // checked, and so as many floats, which are whole vectors. The caller vouches for
        // the instruction set.
        unsafe {
            with_rule!(S, self.step, |rule| {
                let mut offset = 0;
                while offset < length {
                    rule.apply(S::load(gradient.add(offset)), pointers.add(offset));
                    offset += S::LANES;
                }
            });
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
        // SAFETY: the caller vouches for the instruction set; for the rest see `sums`.
        unsafe {
            with_rule!(S, step, |rule| sums::<S, _>(rows, deltas, pointers, rule));
        }
    }
}

/// Computes the gradient of biases and takes the step on them.
///
/// # Safety
/// `pointers` must point to vectors with the columns of `deltas`, and nothing else may use
/// them meanwhile; `deltas` must have at least `rows` rows; the CPU must have the
/// instruction set.
#[inline(always)]
unsafe fn sums<S: Simd, R: Rule<S>>(rows: usize, deltas: &Matrix, pointers: Pointers, rule: R) {
    for column in (0..deltas.columns()).step_by(S::LANES) {
        let from = deltas.pointer().wrapping_add(deltas.offset(0, column));
        // SAFETY: `from` is a vector of the first row of `deltas`, of which the first
        // `rows` rows are read; the caller vouches for the rest.
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
            rule.apply(gradient, pointers.add(column));
        }
    }
}

struct AddWeightGradient<'a> {
    rows: usize,
    inputs: &'a Matrix,
    deltas: &'a Matrix,
    /// Of the gradient.
    pointers: Pointers,
    part: Part,
}

impl Task for AddWeightGradient<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: `Crew::add_weight_gradient` checked what `tiles` asks for, and the
        // caller vouches for the instruction set.
        unsafe {
            tiles::<S, _>(
                self.rows,
                self.inputs,
                self.deltas,
                self.pointers,
                Accumulate,
                self.part,
            );
        }
    }
}

struct AddBiasGradient<'a> {
    rows: usize,
    deltas: &'a Matrix,
    gradient: &'a mut Matrix,
}

impl Task for AddBiasGradient<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let pointers = accumulator(self.gradient);
        // SAFETY: `Kernel::add_bias_gradient` checked what `sums` asks for, and the caller
        // vouches for the instruction set.
        unsafe { sums::<S, _>(self.rows, self.deltas, pointers, Accumulate) }
    }
}
