//! Where the target's signal lies among those of a record's OUT models.

#![expect(
    clippy::inline_always,
    reason = "vector code works only when inlined into a function compiled for its instruction set"
)]

use giveaway_nn::{Loops, vectorised};
use rayon::prelude::*;

use super::evidence::Real;
use super::moments::BLOCK;

/// How many OUT models there are, and how many of them do not exceed the target.
#[derive(Clone, Debug, Default)]
pub struct OutCounts {
    /// OUT models with a value of at most the target's.
    pub at_most: Vec<u32>,
    /// OUT models with a value of at least the target's.
    pub at_least: Vec<u32>,
    /// OUT models.
    pub models: Vec<u32>,
}

/// Counts per record, over rows `[models][records]`, without sorting anything.
///
/// # Panics
/// If rows differ in length.
#[must_use]
pub fn out_counts<T: Real>(references: &[&[T]], inside: &[&[bool]], target: &[f64]) -> OutCounts {
    let records = target.len();
    let mut whole = OutCounts {
        at_most: vec![0; records],
        at_least: vec![0; records],
        models: vec![0; records],
    };
    (
        whole.at_most.par_chunks_mut(BLOCK),
        whole.at_least.par_chunks_mut(BLOCK),
        whole.models.par_chunks_mut(BLOCK),
        target.par_chunks(BLOCK),
    )
        .into_par_iter()
        .enumerate()
        .for_each(|(block, (at_most, at_least, models, target))| {
            let first = block * BLOCK;
            let range = first..first + target.len();
            let counts = [at_most, at_least, models];
            let mut block = Block { target, counts };
            let groups = references.chunks(TOGETHER).zip(inside.chunks(TOGETHER));
            for (rows, inside) in groups {
                if let ([a, b, c, d], [e, f, g, h]) = (rows, inside) {
                    let rows = [a, b, c, d].map(|row| &row[range.clone()]);
                    let inside = [e, f, g, h].map(|row| &row[range.clone()]);
                    vectorised(Counted {
                        block: &mut block,
                        rows,
                        inside,
                    });
                } else {
                    for (row, inside) in rows.iter().zip(inside) {
                        let rows = [&row[range.clone()]];
                        let inside = [&inside[range.clone()]];
                        vectorised(Counted {
                            block: &mut block,
                            rows,
                            inside,
                        });
                    }
                }
            }
        });
    whole
}

/// Models that are counted at once, so that counts are read and written once for them all.
const TOGETHER: usize = 4;

/// Some records: the target's numbers, and their counts as in [`OutCounts`].
struct Block<'a> {
    target: &'a [f64],
    counts: [&'a mut [u32]; 3],
}

/// Counts some models, `[models][records of the block]`.
struct Counted<'a, 'b, T, const MODELS: usize> {
    block: &'a mut Block<'b>,
    rows: [&'a [T]; MODELS],
    inside: [&'a [bool]; MODELS],
}

impl<T: Real, const MODELS: usize> Loops for Counted<'_, '_, T, MODELS> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let [at_most, at_least, models] = &mut self.block.counts;
        count(
            self.block.target,
            self.rows,
            self.inside,
            [at_most, at_least, models],
        );
    }
}

/// Without a branch.
#[inline(always)]
fn count<T: Real, const MODELS: usize>(
    target: &[f64],
    rows: [&[T]; MODELS],
    inside: [&[bool]; MODELS],
    [at_most, at_least, models]: [&mut [u32]; 3],
) {
    // slices of one length, so that the loop has no checks
    let width = target.len();
    let rows = rows.map(|row| &row[..width]);
    let inside = inside.map(|row| &row[..width]);
    let (at_most, at_least) = (&mut at_most[..width], &mut at_least[..width]);
    let models = &mut models[..width];
    for i in 0..width {
        let mut sums = [at_most[i], at_least[i], models[i]];
        for model in 0..MODELS {
            let value: f64 = rows[model][i].into();
            let out = u32::from(!inside[model][i]);
            sums[0] += out & u32::from(value <= target[i]);
            sums[1] += out & u32::from(value >= target[i]);
            sums[2] += out;
        }
        [at_most[i], at_least[i], models[i]] = sums;
    }
}

/// For each record, what `judge` makes of its number and its OUT models' values, sorted upwards.
///
/// # Panics
/// If rows differ in length.
#[must_use]
pub fn of_sorted_out<T: Real>(
    references: &[&[T]],
    inside: &[&[bool]],
    records: usize,
    convert: impl Fn(f64) -> f64 + Sync,
    judge: impl Fn(usize, &[f64]) -> f64 + Sync,
) -> Vec<f64> {
    (0..records.div_ceil(BLOCK))
        .into_par_iter()
        .flat_map_iter(|block| {
            let range = block * BLOCK..records.min((block + 1) * BLOCK);
            let mut out: Vec<Vec<f64>> = vec![Vec::new(); range.len()];
            for (row, inside) in references.iter().zip(inside) {
                let row = &row[range.clone()];
                for ((out, &value), inside) in out.iter_mut().zip(row).zip(&inside[range.clone()]) {
                    if !inside {
                        out.push(convert(value.into()));
                    }
                }
            }
            let judged: Vec<f64> = range
                .zip(&mut out)
                .map(|(record, out)| {
                    out.sort_unstable_by(f64::total_cmp);
                    judge(record, out)
                })
                .collect();
            judged
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::moments::SHARE;
    use super::*;
    use giveaway_stats::random::Stream;

    #[test]
    fn counts_are_those_of_the_definition() {
        let (models, records) = (9, SHARE + BLOCK + 5);
        let mut stream = Stream::new(4, "ranks", 0);
        // few distinct values, so that there are ties
        let mut draw = || f32::from(stream.below(5) as u8);
        let values: Vec<Vec<f32>> = (0..models)
            .map(|_| (0..records).map(|_| draw()).collect())
            .collect();
        let target: Vec<f64> = (0..records).map(|_| f64::from(draw())).collect();
        let inside: Vec<Vec<bool>> = (0..models)
            .map(|_| (0..records).map(|_| draw() < 2.0).collect())
            .collect();
        let rows: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
        let masks: Vec<&[bool]> = inside.iter().map(Vec::as_slice).collect();
        let counts = out_counts(&rows, &masks, &target);
        let sorted = of_sorted_out(
            &rows,
            &masks,
            records,
            |x| -x,
            |record, out| {
                assert!(out.windows(2).all(|pair| pair[0] <= pair[1]));
                assert_eq!(out.len(), counts.models[record] as usize);
                // values were negated: those of at least the target's come first
                out.iter().filter(|&&x| -x >= target[record]).count() as f64
            },
        );
        for record in 0..records {
            let out = || {
                (0..models)
                    .filter(|&m| !inside[m][record])
                    .map(|m| f64::from(values[m][record]))
            };
            assert_eq!(counts.models[record] as usize, out().count());
            assert_eq!(
                counts.at_most[record] as usize,
                out().filter(|&x| x <= target[record]).count()
            );
            assert_eq!(
                counts.at_least[record] as usize,
                out().filter(|&x| x >= target[record]).count()
            );
            assert_eq!(counts.at_least[record], sorted[record] as u32);
        }
    }
}
