//! Matrices laid out so that no product ever has to pack an operand.

use std::marker::PhantomData;

/// Floats of a cache line.
pub(crate) const LINE: usize = 16;

/// Columns of a panel.
pub(crate) const PANEL: usize = 2 * LINE;

/// A cache line of numbers.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [f32; LINE]);

impl Line {
    pub(crate) const ZERO: Self = Self([0.0; LINE]);
}

/// The numbers of some lines.
pub(super) fn floats(lines: &[Line]) -> &[f32] {
    // SAFETY: a line is LINE floats and nothing else (repr(C), and no padding, as 64 bytes
    // are a multiple of its alignment).
    unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), lines.len() * LINE) }
}

/// As [`floats`], to write.
pub(super) fn floats_mut(lines: &mut [Line]) -> &mut [f32] {
    // SAFETY: as in `floats`; the borrow is exclusive.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * LINE) }
}

/// The sum of squares.
pub(crate) fn squares(values: &[f32]) -> f32 {
    // as many sums as a line has numbers, so that they vectorise
    let mut sums = [0.0f32; LINE];
    for values in values.chunks(LINE) {
        for (sum, x) in sums.iter_mut().zip(values) {
            *sum += x * x;
        }
    }
    sums.iter().sum()
}

/// A matrix in panels of [`PANEL`] columns: element (i, j) stands at
/// `(j / PANEL · rows + i) · PANEL + j % PANEL`. The columns that pad the last panel
/// hold zeros, and every kernel keeps them so.
///
/// A matrix of one row is therefore an ordinary padded vector.
#[derive(Clone, Debug)]
pub(crate) struct Matrix {
    rows: usize,
    columns: usize,
    lines: Vec<Line>,
}

impl Matrix {
    pub(crate) fn zeros(rows: usize, columns: usize) -> Self {
        let lines = Self::bytes(rows, columns) / size_of::<Line>();
        Self {
            rows,
            columns,
            lines: vec![Line::ZERO; lines],
        }
    }

    /// The memory that a matrix takes; `usize::MAX`, which cannot be had, if it is more.
    pub(crate) fn bytes(rows: usize, columns: usize) -> usize {
        let lines = columns.div_ceil(PANEL).saturating_mul(PANEL / LINE);
        lines.saturating_mul(rows).saturating_mul(size_of::<Line>())
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// Floats from one panel to the next.
    pub(crate) fn panel_stride(&self) -> usize {
        self.rows * PANEL
    }

    /// Where element (row, column) stands, in floats from the start.
    pub(crate) fn offset(&self, row: usize, column: usize) -> usize {
        column / PANEL * self.panel_stride() + row * PANEL + column % PANEL
    }

    pub(crate) fn get(&self, row: usize, column: usize) -> f32 {
        assert!(row < self.rows && column < self.columns);
        let offset = self.offset(row, column);
        self.lines[offset / LINE].0[offset % LINE]
    }

    pub(crate) fn set(&mut self, row: usize, column: usize, value: f32) {
        assert!(row < self.rows && column < self.columns);
        let offset = self.offset(row, column);
        self.lines[offset / LINE].0[offset % LINE] = value;
    }

    /// The lines of the first `rows` rows, one slice for each panel.
    pub(crate) fn panels_mut(&mut self, rows: usize) -> impl Iterator<Item = &mut [Line]> {
        let per_row = PANEL / LINE;
        self.lines
            .chunks_exact_mut((self.rows * per_row).max(1))
            .map(move |panel| &mut panel[..rows * per_row])
    }

    /// As [`Self::panels_mut`], to read.
    pub(crate) fn panels(&self, rows: usize) -> impl Iterator<Item = &[Line]> {
        let per_row = PANEL / LINE;
        self.lines
            .chunks_exact((self.rows * per_row).max(1))
            .map(move |panel| &panel[..rows * per_row])
    }

    /// Adds to each of `sums` the squares of the row of that number.
    pub(crate) fn add_squares(&self, sums: &mut [f32]) {
        for panel in self.panels(sums.len()) {
            for (sum, row) in sums.iter_mut().zip(panel.chunks_exact(PANEL / LINE)) {
                *sum += squares(floats(row));
            }
        }
    }

    /// Multiplies the first rows by a factor for each.
    pub(crate) fn scale_rows(&mut self, factors: &[f32]) {
        for panel in self.panels_mut(factors.len()) {
            for (factor, row) in factors.iter().zip(panel.chunks_exact_mut(PANEL / LINE)) {
                for x in floats_mut(row) {
                    *x *= factor;
                }
            }
        }
    }

    /// Adds a multiple of another matrix of the same shape.
    pub(crate) fn add_scaled(&mut self, factor: f32, other: &Self) {
        assert_eq!((self.rows, self.columns), (other.rows, other.columns));
        for (x, other) in self.floats_mut().iter_mut().zip(other.floats()) {
            *x += factor * other;
        }
    }

    /// Copies another matrix of the same shape.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        assert_eq!((self.rows, self.columns), (other.rows, other.columns));
        self.lines.copy_from_slice(&other.lines);
    }

    /// Whether every element is finite.
    pub(crate) fn is_finite(&self) -> bool {
        // x·0 is 0 for finite x and NaN otherwise; sums of that vectorise
        let sum = self.lines.iter().fold([0.0f32; LINE], |mut sum, line| {
            for (sum, value) in sum.iter_mut().zip(line.0) {
                *sum += value * 0.0;
            }
            sum
        });
        sum.iter().all(|x| *x == 0.0)
    }

    /// All numbers, the padding too.
    pub(crate) fn floats(&self) -> &[f32] {
        floats(&self.lines)
    }

    /// All numbers, the padding too, which must be left 0.
    pub(crate) fn floats_mut(&mut self) -> &mut [f32] {
        floats_mut(&mut self.lines)
    }

    /// Divides the rows among threads: the first so many, then the next, and so on.
    ///
    /// # Panics
    /// If there are fewer rows.
    pub(crate) fn split_rows(&mut self, counts: impl Iterator<Item = usize>) -> Vec<Rows<'_>> {
        let to = self.shared();
        let mut first = 0;
        let rows = counts.map(|count| {
            let rows = Rows {
                to,
                first,
                count,
                matrix: PhantomData,
            };
            first += count;
            assert!(first <= to.rows);
            rows
        });
        rows.collect()
    }

    /// The matrix for several threads to write, each elements of its own.
    pub(super) fn shared(&mut self) -> Shared {
        Shared {
            rows: self.rows,
            columns: self.columns,
            pointer: self.lines.as_mut_ptr().cast(),
        }
    }

    pub(super) fn pointer(&self) -> *const f32 {
        self.lines.as_ptr().cast()
    }

    pub(super) fn pointer_mut(&mut self) -> *mut f32 {
        self.lines.as_mut_ptr().cast()
    }
}

/// The place of a matrix that several threads write, each elements of its own.
#[derive(Clone, Copy)]
pub(super) struct Shared {
    rows: usize,
    columns: usize,
    pointer: *mut f32,
}

// SAFETY: this is a pointer and two numbers; to use the pointer is unsafe, and that no two
// threads use it for the same element is for those who do.
unsafe impl Send for Shared {}
// SAFETY: as for Send.
unsafe impl Sync for Shared {}

impl Shared {
    pub(super) fn columns(self) -> usize {
        self.columns
    }

    /// As [`Matrix::offset`].
    #[inline(always)]
    pub(super) fn offset(self, row: usize, column: usize) -> usize {
        column / PANEL * self.rows * PANEL + row * PANEL + column % PANEL
    }

    #[inline(always)]
    pub(super) fn pointer(self) -> *mut f32 {
        self.pointer
    }
}

/// Some rows of a matrix, to be written by one thread while others have other rows.
pub(crate) struct Rows<'a> {
    to: Shared,
    first: usize,
    count: usize,
    matrix: PhantomData<&'a mut Matrix>,
}

impl Rows<'_> {
    /// The columns of the matrix.
    pub(crate) fn columns(&self) -> usize {
        self.to.columns
    }

    /// Writes the first columns of a row, counted from the first of these.
    ///
    /// # Panics
    /// If there is no such row, or there are fewer columns.
    pub(crate) fn write(&mut self, row: usize, from: &[f32]) {
        assert!(row < self.count && from.len() <= self.to.columns);
        for (panel, from) in from.chunks(PANEL).enumerate() {
            let offset = self.to.offset(self.first + row, panel * PANEL);
            // SAFETY: a row's floats of one panel lie side by side, PANEL of them. The row
            // is one of the matrix, as `split_rows` checked, and nobody else's: the matrix
            // is borrowed exclusively, and each of its rows given to one `Rows`.
            let to =
                unsafe { std::slice::from_raw_parts_mut(self.to.pointer.add(offset), from.len()) };
            to.copy_from_slice(from);
        }
    }
}
