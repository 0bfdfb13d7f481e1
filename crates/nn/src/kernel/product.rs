//! Products of matrices, finished while they are still in registers or the first cache.

use super::matrix::{LINE, Line, Matrix, PANEL, Shared};
use super::simd::Simd;
use super::team::{COPY, Crew, Part};
use super::{Kernel, Task};

/// What is done with the elements of a product before they are stored.
#[derive(Clone, Copy)]
pub(crate) enum Finish<'a> {
    /// Leaves them as they are.
    Nothing,
    /// Adds a bias (a vector).
    Bias(&'a Matrix),
    /// Adds a bias and takes max(·, 0).
    BiasRelu(&'a Matrix),
    /// Adds a bias and takes tanh.
    BiasTanh(&'a Matrix),
    /// Multiplies by the derivative of ReLU, known from its outputs.
    ReluDerivative(&'a Matrix),
    /// Multiplies by the derivative of tanh, 1 − t², with t the given outputs times `scale`.
    TanhDerivative {
        /// The outputs.
        outputs: &'a Matrix,
        /// What undoes the scaling by dropout.
        scale: f32,
    },
}

impl Crew<'_> {
    /// `to` = finish(`left` · `right`) for the first `rows` rows of `left`.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub(crate) fn multiply(
        self,
        rows: usize,
        left: &Matrix,
        right: &Matrix,
        finish: Finish,
        to: &mut Matrix,
    ) {
        assert!(rows <= left.rows() && rows <= to.rows());
        assert_eq!(left.columns(), right.rows());
        assert_eq!(right.columns(), to.columns());
        match finish {
            Finish::Nothing => {}
            Finish::Bias(bias) | Finish::BiasRelu(bias) | Finish::BiasTanh(bias) => {
                assert_eq!((bias.rows(), bias.columns()), (1, to.columns()));
            }
            Finish::ReluDerivative(outputs) | Finish::TanhDerivative { outputs, .. } => {
                assert_eq!(
                    (outputs.rows(), outputs.columns()),
                    (to.rows(), to.columns())
                );
            }
        }
        let to = to.shared();
        self.share(rows * left.columns() * right.columns(), |part| {
            self.run(Multiply {
                rows,
                left,
                right,
                finish,
                to,
                part,
            });
        });
    }

    /// `to` = `from`, transposed.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub(crate) fn transpose(self, from: &Matrix, to: &mut Matrix) {
        assert_eq!((from.rows(), from.columns()), (to.columns(), to.rows()));
        let to = to.shared();
        self.share(from.rows() * from.columns() * COPY, |part| {
            self.run(Transpose {
                from,
                from_row: 0,
                rows: from.rows(),
                to,
                to_row: 0,
                part,
            });
        });
    }
}

impl Kernel {
    /// Rows of `to` from `to_row` on = `rows` rows of `from` from `from_row` on, transposed.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub(crate) fn transpose_rows(
        self,
        from: &Matrix,
        from_row: usize,
        rows: usize,
        to: &mut Matrix,
        to_row: usize,
    ) {
        assert!(from_row + rows <= from.rows() && to_row + from.columns() <= to.rows());
        assert_eq!(rows, to.columns());
        self.run(Transpose {
            from,
            from_row,
            rows,
            to: to.shared(),
            to_row,
            part: Part::WHOLE,
        });
    }
}

struct Multiply<'a> {
    rows: usize,
    left: &'a Matrix,
    right: &'a Matrix,
    finish: Finish<'a>,
    /// Of the rows and columns of the product; each tile is written by one thread.
    to: Shared,
    part: Part,
}

impl Task for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self {
            rows,
            left,
            right,
            finish,
            to,
            part,
        } = self;
        let mut scratch = Scratch::new();
        let target = to.pointer();
        let in_a_column = row_tiles::<S>(0, rows).count();
        let own = part.range(column_tiles::<S>(to.columns()).count() * in_a_column);
        for (i, columns) in column_tiles::<S>(to.columns()).enumerate() {
            for (j, (row, height)) in row_tiles::<S>(0, rows).enumerate() {
                if !own.contains(&(i * in_a_column + j)) {
                    continue;
                }
                let tile = Tile {
                    left: left.pointer().wrapping_add(left.offset(row, 0)),
                    segment: PANEL,
                    segment_stride: left.panel_stride(),
                    depth: left.columns(),
                    right: right.pointer().wrapping_add(right.offset(0, columns.start)),
                    spacing: Spacing::default(),
                };
                // SAFETY: the tile's rows are rows of `left`, read along all its columns,
                // panel after panel; its columns are columns of `right` or of the padding
                // of its last panel, read along all its rows, as many as `left` has
                // columns. `Crew::multiply` checked these shapes.
                unsafe {
                    tile.sum::<S, PANEL, 1, PANEL>(height, columns.vectors, &mut scratch);
                }
                let offset = to.offset(row, columns.start);
                // SAFETY (of all uses of `each`, `target` and the pointers below): `each`
                // visits offsets of `to` from that of the tile's first element, within the
                // tile, which is this part's alone; they are valid for `target` and, having
                // the same shape, for the outputs. `column` stays within the padded columns, and so within the bias.
                macro_rules! each {
                    (|$offset:ident, $column:ident, $x:ident| $result:expr) => {
                        for i in 0..height {
                            for j in 0..columns.vectors {
                                let $offset = offset + i * PANEL + j * S::LANES;
                                let $column = columns.start + j * S::LANES;
                                unsafe {
                                    let $x = S::load(scratch.at(i, j * S::LANES));
                                    S::store(target.add($offset), $result);
                                }
                            }
                        }
                    };
                }
                match finish {
                    Finish::Nothing => each!(|_o, _c, x| x),
                    Finish::Bias(bias) => {
                        each!(|_o, column, x| S::add(x, S::load(bias.pointer().add(column))));
                    }
                    Finish::BiasRelu(bias) => {
                        each!(|_o, column, x| S::relu(S::add(
                            x,
                            S::load(bias.pointer().add(column))
                        )));
                    }
                    Finish::BiasTanh(bias) => {
                        each!(|_o, column, x| S::tanh(S::add(
                            x,
                            S::load(bias.pointer().add(column))
                        )));
                    }
                    Finish::ReluDerivative(outputs) => {
                        each!(|offset, _c, x| S::if_positive(
                            S::load(outputs.pointer().add(offset)),
                            x,
                            S::splat(0.0)
                        ));
                    }
                    Finish::TanhDerivative { outputs, scale } => {
                        each!(|offset, _c, x| {
                            let t = S::mul(S::load(outputs.pointer().add(offset)), S::splat(scale));
                            let slope = S::sub(S::splat(1.0), S::mul(t, t));
                            S::mul(x, slope)
                        });
                    }
                }
            }
        }
    }
}

/// The finished sums of one tile.
///
/// They pass through memory once: were the sums indexed by anything but constants, the
/// compiler would keep them in memory during the product too.
pub(super) struct Scratch([Line; 2 * MAX_ROWS]);

const MAX_ROWS: usize = 13;

impl Scratch {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self([Line::ZERO; 2 * MAX_ROWS])
    }

    /// Where the sum of the tile's `row` and `column` stands.
    #[inline(always)]
    pub(super) fn at(&self, row: usize, column: usize) -> *const f32 {
        self.0
            .as_ptr()
            .cast::<f32>()
            .wrapping_add(row * PANEL + column)
    }
}

/// Some columns of a product.
#[derive(Clone, Copy)]
pub(super) struct Columns {
    pub(super) start: usize,
    pub(super) vectors: usize,
}

/// Divides columns, with the padding to whole vectors, into tiles that lie in one panel:
/// full ones, then narrower ones for the rest.
#[inline(always)]
pub(super) fn column_tiles<S: Simd>(columns: usize) -> impl Iterator<Item = Columns> {
    let vectors = columns.div_ceil(S::LANES);
    let mut next = 0;
    std::iter::from_fn(move || {
        let left = vectors - next;
        if left == 0 {
            return None;
        }
        let width = if left >= S::VECTORS {
            S::VECTORS
        } else if left >= 2 {
            2
        } else {
            1
        };
        let tile = Columns {
            start: next * S::LANES,
            vectors: width,
        };
        next += width;
        Some(tile)
    })
}

/// Divides `count` rows from `start` into as few tiles as possible, all about equally
/// high; yields the first row and the height of each.
#[inline(always)]
pub(super) fn row_tiles<S: Simd>(
    start: usize,
    count: usize,
) -> impl Iterator<Item = (usize, usize)> {
    let tiles = count.div_ceil(S::ROWS);
    let (height, higher) = (
        count.checked_div(tiles).unwrap_or(0),
        count.checked_rem(tiles).unwrap_or(0),
    );
    let mut row = start;
    (0..tiles).map(move |tile| {
        let here = (row, height + usize::from(tile < higher));
        row += here.1;
        here
    })
}

/// The operands of one tile of a product.
///
/// Step k of the sum multiplies elements `left[k · STEP + i · STRIDE]` within a segment
/// (segments of `segment` steps lie `segment_stride` floats apart) with the vectors at
/// `right[k · RIGHT]`. Where one of these constants is 0, `spacing` has the number.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    pub(super) left: *const f32,
    pub(super) segment: usize,
    pub(super) segment_stride: usize,
    pub(super) depth: usize,
    pub(super) right: *const f32,
    pub(super) spacing: Spacing,
}

/// Distances between the elements of a tile that are not known when compiling.
#[derive(Clone, Copy, Default)]
pub(super) struct Spacing {
    pub(super) stride: usize,
    pub(super) step: usize,
    pub(super) right: usize,
}

impl Tile {
    /// Computes the tile's sums into `to`.
    ///
    /// # Safety
    /// All elements of `left` for `height` rows and `depth` steps, and `vectors` vectors
    /// of `right` in each step, must be readable; the CPU must have the instruction set.
    #[inline(always)]
    pub(super) unsafe fn sum<
        S: Simd,
        const STRIDE: usize,
        const STEP: usize,
        const RIGHT: usize,
    >(
        self,
        height: usize,
        vectors: usize,
        to: &mut Scratch,
    ) {
        macro_rules! heights {
            ($vectors:literal: $($rows:literal)*) => {
                match height {
                    $($rows if $rows <= S::ROWS => {
                        // SAFETY: as the caller vouches, with these numbers of rows and vectors.
                        unsafe { self.sum_of::<S, $rows, $vectors, STRIDE, STEP, RIGHT>(to) }
                    })*
                    _ => unreachable!("a tile is at most S::ROWS high"),
                }
            };
        }
        if vectors == 1 {
            heights!(1: 1 2 3 4 5 6 7 8 9 10 11 12 13);
        } else if vectors == 2 {
            heights!(2: 1 2 3 4 5 6 7 8 9 10 11 12 13);
        } else if S::VECTORS == 4 {
            heights!(4: 1 2 3 4 5 6);
        }
    }

    /// # Safety
    /// As for [`Self::sum`].
    #[inline(always)]
    unsafe fn sum_of<
        S: Simd,
        const ROWS: usize,
        const VECTORS: usize,
        const STRIDE: usize,
        const STEP: usize,
        const RIGHT: usize,
    >(
        self,
        to: &mut Scratch,
    ) {
        let known = |constant: usize, given: usize| if constant == 0 { given } else { constant };
        let stride = known(STRIDE, self.spacing.stride);
        let step = known(STEP, self.spacing.step);
        let right_step = known(RIGHT, self.spacing.right);
        // Known when compiling. Not a `const` assertion: the shapes that other instruction
        // sets use are instantiated for this one too, and never run.
        assert!(ROWS <= MAX_ROWS && VECTORS * S::LANES <= PANEL);
        // SAFETY: the caller vouches for all that is read; the sums fit into the scratch
        // by the assertion above.
        unsafe {
            let mut sums = [[S::splat(0.0); VECTORS]; ROWS];
            let mut right = self.right;
            let mut segment = self.left;
            let mut remaining = self.depth;
            while remaining > 0 {
                let steps = remaining.min(self.segment);
                let mut left = segment;
                macro_rules! step {
                    () => {
                        let mut row = [S::splat(0.0); VECTORS];
                        for (j, vector) in row.iter_mut().enumerate() {
                            *vector = S::load(right.add(j * S::LANES));
                        }
                        for (i, sums) in sums.iter_mut().enumerate() {
                            let factor = S::splat(*left.add(i * stride));
                            for (sum, vector) in sums.iter_mut().zip(row) {
                                *sum = S::mul_add(factor, vector, *sum);
                            }
                        }
                        left = left.wrapping_add(step);
                        right = right.wrapping_add(right_step);
                    };
                }
                for _ in 0..steps / 4 {
                    step!();
                    step!();
                    step!();
                    step!();
                }
                for _ in 0..steps % 4 {
                    step!();
                }
                segment = segment.wrapping_add(self.segment_stride);
                remaining -= steps;
            }
            let to = to.0.as_mut_ptr().cast::<f32>();
            for (i, sums) in sums.iter().enumerate() {
                for (j, sum) in sums.iter().enumerate() {
                    S::store(to.add(i * PANEL + j * S::LANES), *sum);
                }
            }
        }
    }
}

struct Transpose<'a> {
    from: &'a Matrix,
    from_row: usize,
    rows: usize,
    to: Shared,
    to_row: usize,
    /// Of the blocks of rows of `from`.
    part: Part,
}

impl Task for Transpose<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self {
            from,
            from_row,
            rows,
            to,
            to_row,
            part,
        } = self;
        let columns = from.columns();
        for block in part.range(rows.div_ceil(S::LANES)) {
            let row = block * S::LANES;
            for column in (0..columns).step_by(S::LANES) {
                let height = (rows - row).min(S::LANES);
                let width = (columns - column).min(S::LANES);
                let source = from
                    .pointer()
                    .wrapping_add(from.offset(from_row + row, column));
                let offset = to.offset(to_row + column, row);
                let target = to.pointer().wrapping_add(offset);
                // SAFETY: the block of height × width elements lies in `from`, and
                // transposed in `to`, as the callers checked; no other part has it; as LANES
                // divides PANEL it lies in one panel of each, where rows are PANEL apart.
                unsafe {
                    if height == S::LANES && width == S::LANES {
                        S::transpose(source, target);
                    } else {
                        for j in 0..width {
                            for i in 0..height {
                                *target.add(j * PANEL + i) = *source.add(i * PANEL + j);
                            }
                        }
                    }
                }
            }
        }
    }
}

const _: () = assert!(PANEL == 2 * LINE);
