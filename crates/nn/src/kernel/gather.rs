//! Copying a batch of records into panels.

use super::Task;
use super::matrix::{LINE, Line, Matrix, Shared};
use super::simd::Simd;
use super::team::{COPY, Crew, Part};

/// How many records ahead to ask for: they come in random order, which no CPU guesses.
const AHEAD: usize = 6;

impl Crew<'_> {
    /// Copies the records `rows` of a table, one after another, into the first rows of `to`.
    ///
    /// `table` holds `lines_per_row` lines of each record, padded with zeros.
    ///
    /// # Panics
    /// If a row is beyond the table or the shapes do not fit.
    pub(crate) fn gather(
        self,
        table: &[Line],
        lines_per_row: usize,
        rows: &[u32],
        to: &mut Matrix,
    ) {
        assert_eq!(lines_per_row, to.columns().div_ceil(LINE));
        assert!(lines_per_row > 0 && rows.len() <= to.rows());
        let count = table.len() / lines_per_row;
        assert!(rows.iter().all(|&row| (row as usize) < count));
        let effort = rows.len() * to.columns() * COPY;
        let to = to.shared();
        self.share(effort, |part| {
            self.run(Gather {
                table,
                lines_per_row,
                rows,
                to,
                part,
            });
        });
    }
}

struct Gather<'a> {
    table: &'a [Line],
    lines_per_row: usize,
    rows: &'a [u32],
    /// Each row is written by one thread.
    to: Shared,
    part: Part,
}

impl Task for Gather<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let width = self.lines_per_row * LINE;
        let table: *const f32 = self.table.as_ptr().cast();
        let to = self.to.pointer();
        let Some(last) = self.rows.len().checked_sub(1) else {
            return;
        };
        for i in self.part.range(self.rows.len()) {
            let row = self.rows[i];
            let coming = self.rows[(i + AHEAD).min(last)];
            // SAFETY: `Crew::gather` checked that each row is in the table, that `to` has
            // a row for each, and that a row of `to` has as many lines as one of the table:
            // every line read lies in the table, every line written in `to`. The caller
            // vouches for the instruction set.
            unsafe {
                let from = table.add(row as usize * width);
                let coming = table.add(coming as usize * width);
                let mut column = 0;
                while column < width {
                    S::prefetch(coming.add(column));
                    let target = to.add(self.to.offset(i, column));
                    let mut lane = 0;
                    while lane < LINE {
                        S::store(target.add(lane), S::load(from.add(column + lane)));
                        lane += S::LANES;
                    }
                    column += LINE;
                }
            }
        }
    }
}
