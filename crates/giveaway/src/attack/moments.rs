//! Count, mean and spread of a record's signal over its IN and over its OUT models.
//!
//! All that most attacks need of the reference models. Records are taken in blocks, and each
//! number is read from memory once: sums and sums of squares of the distance from a
//! provisional centre, a record's own. Where a variance would come of a difference of two
//! large numbers, the record is done again from its mean. The sums of a record run over the
//! models in their order, so the result depends on neither threads nor other records.

#![expect(
    clippy::inline_always,
    reason = "vector code works only when inlined into a function compiled for its instruction set"
)]

use giveaway_nn::{Loops, vectorised};
use rayon::prelude::*;

use super::evidence::Real;

/// Moments over the models of one side, per record.
#[derive(Clone, Debug, Default)]
pub struct Side {
    /// Number of models.
    pub count: Vec<f64>,
    /// Mean; `NaN` where there is no model.
    pub mean: Vec<f64>,
    /// Sum of squared deviations from the mean; 0 where there is no model.
    pub deviations: Vec<f64>,
}

impl Side {
    /// Variance of a record with divisor n, as in the reference code of LiRA.
    #[must_use]
    pub fn variance(&self, record: usize) -> f64 {
        self.deviations[record] / self.count[record]
    }

    /// One variance for all records: of the residuals from each record's own mean, divisor n.
    /// `NaN` without observations.
    #[must_use]
    pub fn pooled_variance(&self) -> f64 {
        self.deviations.iter().sum::<f64>() / self.count.iter().sum::<f64>()
    }

    /// Mean and variance (divisor n) of all observations together, records' differences and
    /// all. `NaN` without observations.
    #[must_use]
    pub fn global(&self) -> (f64, f64) {
        let sum = |of: &(dyn Fn(usize) -> f64 + Sync)| -> f64 {
            let records = self.count.len();
            // shares of one size, added in their order: no matter how many threads
            let shares: Vec<f64> = (0..records.div_ceil(SHARE))
                .into_par_iter()
                .map(|share| {
                    (share * SHARE..records.min((share + 1) * SHARE))
                        .filter(|&r| self.count[r] > 0.0)
                        .map(of)
                        .sum()
                })
                .collect();
            shares.iter().sum()
        };
        let total = sum(&|r| self.count[r]);
        let mean = sum(&|r| self.count[r] * self.mean[r]) / total;
        let squares = sum(&|r| {
            let away = self.mean[r] - mean;
            self.deviations[r] + self.count[r] * (away * away)
        });
        (mean, squares / total)
    }
}

/// Moments of both sides.
#[derive(Clone, Debug, Default)]
pub struct Moments {
    /// Over models that the record was IN.
    pub inside: Side,
    /// Over models that it was OUT of.
    pub outside: Side,
}

/// Records that are worked on at once: their sums stay in the first cache.
pub(super) const BLOCK: usize = 512;

/// Records that one thread takes at a time.
pub(super) const SHARE: usize = 4 * BLOCK;

/// Models that are added at once, so that sums are read and written once for them all.
const TOGETHER: usize = 4;

/// Models whose mean is the provisional centre.
const CENTRE_MODELS: usize = 8;

/// Deviations from a mean below this share of it are rounding.
const ROUNDING: f64 = 4.0 * f64::EPSILON;

/// Where less than this share of a sum of squares is left, it is summed anew.
const CANCELLED: f64 = 1e-3;

/// The moments of `convert` of every number, over the rows of `references` `[models][records]`.
///
/// # Panics
/// If rows differ in length.
#[must_use]
pub fn moments<T: Real>(
    references: &[&[T]],
    inside: &[&[bool]],
    records: usize,
    convert: impl Fn(f64) -> f64 + Sync,
) -> Moments {
    moments_of_rows(references, inside, records, |row, values| {
        vectorised(Converted(row, values, &convert));
    })
}

/// As [`moments`], with a conversion of a piece of a row at a time. What it makes of a number
/// may not depend on the numbers beside it.
///
/// # Panics
/// If rows differ in length.
#[must_use]
pub fn moments_of_rows<T: Real>(
    references: &[&[T]],
    inside: &[&[bool]],
    records: usize,
    convert: impl Fn(&[T], &mut [f64]) + Sync,
) -> Moments {
    let side = || Side {
        count: vec![0.0; records],
        mean: vec![0.0; records],
        deviations: vec![0.0; records],
    };
    let mut whole = Moments {
        inside: side(),
        outside: side(),
    };
    let Moments {
        inside: of_in,
        outside: of_out,
    } = &mut whole;
    (
        of_in.count.par_chunks_mut(SHARE),
        of_in.mean.par_chunks_mut(SHARE),
        of_in.deviations.par_chunks_mut(SHARE),
        of_out.count.par_chunks_mut(SHARE),
        of_out.mean.par_chunks_mut(SHARE),
        of_out.deviations.par_chunks_mut(SHARE),
    )
        .into_par_iter()
        .enumerate()
        .for_each_init(
            Sums::new,
            |sums, (share, (n_in, m_in, d_in, n_out, m_out, d_out))| {
                for first in (0..n_in.len()).step_by(BLOCK) {
                    let part = first..n_in.len().min(first + BLOCK);
                    let start = share * SHARE;
                    let range = start + part.start..start + part.end;
                    sums.block(references, inside, range.clone(), &convert);
                    for (side, member, count, mean, deviations) in [
                        (0, true, &mut *n_in, &mut *m_in, &mut *d_in),
                        (1, false, &mut *n_out, &mut *m_out, &mut *d_out),
                    ] {
                        let count = &mut count[part.clone()];
                        let mean = &mut mean[part.clone()];
                        let deviations = &mut deviations[part.clone()];
                        vectorised(Finished {
                            sums,
                            side,
                            models: references.len() as f64,
                            count,
                            mean,
                            deviations,
                        });
                        // where too little is left, and not many are
                        for i in 0..count.len() {
                            if sums.again[i] != 0 {
                                let record = range.start + i;
                                (mean[i], deviations[i]) =
                                    by_definition(references, inside, record, member, &convert);
                            }
                        }
                    }
                }
            },
        );
    whole
}

/// A conversion of each number.
struct Converted<'a, T, F>(&'a [T], &'a mut [f64], &'a F);

impl<T: Real, F: Fn(f64) -> f64> Loops for Converted<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (value, &x) in self.1.iter_mut().zip(self.0) {
            *value = (self.2)(x.into());
        }
    }
}

/// Sums over models for one block of records.
struct Sums {
    /// Converted numbers of a few models.
    values: [[f64; BLOCK]; TOGETHER],
    centre: [f64; BLOCK],
    /// Distances from the centre, and their squares, IN and OUT.
    distance: [[f64; BLOCK]; 2],
    square: [[f64; BLOCK]; 2],
    members: [u32; BLOCK],
    few_members: [u8; BLOCK],
    /// Not 0 where moments are to be had by definition.
    again: [u64; BLOCK],
}

impl Sums {
    fn new() -> Box<Self> {
        Box::new(Self {
            values: [[0.0; BLOCK]; TOGETHER],
            centre: [0.0; BLOCK],
            distance: [[0.0; BLOCK]; 2],
            square: [[0.0; BLOCK]; 2],
            members: [0; BLOCK],
            few_members: [0; BLOCK],
            again: [0; BLOCK],
        })
    }

    /// The sums of one block.
    fn block<T: Real>(
        &mut self,
        references: &[&[T]],
        inside: &[&[bool]],
        range: std::ops::Range<usize>,
        convert: &impl Fn(&[T], &mut [f64]),
    ) {
        let width = range.len();
        self.centre = [0.0; BLOCK];
        self.distance = [[0.0; BLOCK]; 2];
        self.square = [[0.0; BLOCK]; 2];
        self.members = [0; BLOCK];
        self.few_members = [0; BLOCK];
        let few = references.len().min(CENTRE_MODELS);
        for row in &references[..few] {
            convert(&row[range.clone()], &mut self.values[0][..width]);
            for (centre, value) in self.centre.iter_mut().zip(&self.values[0]) {
                *centre += value;
            }
        }
        for centre in &mut self.centre {
            *centre /= few as f64;
        }
        let mut counted = 0;
        for (rows, inside) in references.chunks(TOGETHER).zip(inside.chunks(TOGETHER)) {
            for (row, values) in rows.iter().zip(&mut self.values) {
                convert(&row[range.clone()], &mut values[..width]);
            }
            if let [a, b, c, d] = inside {
                let inside = [a, b, c, d].map(|row| &row[range.clone()]);
                vectorised(Added {
                    sums: self,
                    inside,
                    first: 0,
                });
            } else {
                for (first, row) in inside.iter().enumerate() {
                    let inside = [&row[range.clone()]];
                    vectorised(Added {
                        sums: self,
                        inside,
                        first,
                    });
                }
            }
            counted += inside.len();
            // a byte counts to 255
            if counted > 255 - TOGETHER {
                self.carry();
                counted = 0;
            }
        }
        self.carry();
    }

    fn carry(&mut self) {
        for (all, few) in self.members.iter_mut().zip(&mut self.few_members) {
            *all += u32::from(*few);
            *few = 0;
        }
    }
}

/// Adds the converted values of some models, the first of them `first`, in their order.
struct Added<'a, const MODELS: usize> {
    sums: &'a mut Sums,
    inside: [&'a [bool]; MODELS],
    first: usize,
}

impl<const MODELS: usize> Loops for Added<'_, MODELS> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let width = self.inside[0].len();
        let inside = self.inside.map(|row| &row[..width]);
        let sums = self.sums;
        let values: [&[f64]; MODELS] =
            std::array::from_fn(|model| &sums.values[self.first + model][..width]);
        let [distance_in, distance_out] = &mut sums.distance;
        let [square_in, square_out] = &mut sums.square;
        let distances = [&mut distance_in[..width], &mut distance_out[..width]];
        let squares = [&mut square_in[..width], &mut square_out[..width]];
        add(&sums.centre[..width], values, inside, distances, squares);
        for row in inside {
            for (few, &member) in sums.few_members[..width].iter_mut().zip(row) {
                *few += u8::from(member);
            }
        }
    }
}

/// Without a branch: a number or 0 is added to either side. All slices are of one length.
#[inline(always)]
fn add<const MODELS: usize>(
    centre: &[f64],
    values: [&[f64]; MODELS],
    inside: [&[bool]; MODELS],
    [distance_in, distance_out]: [&mut [f64]; 2],
    [square_in, square_out]: [&mut [f64]; 2],
) {
    for i in 0..centre.len() {
        let mut distance = [distance_in[i], distance_out[i]];
        let mut square = [square_in[i], square_out[i]];
        for model in 0..MODELS {
            let away = values[model][i] - centre[i];
            let (of_in, of_out) = if inside[model][i] {
                (away, 0.0)
            } else {
                (0.0, away)
            };
            distance[0] += of_in;
            distance[1] += of_out;
            square[0] += of_in * of_in;
            square[1] += of_out * of_out;
        }
        [distance_in[i], distance_out[i]] = distance;
        [square_in[i], square_out[i]] = square;
    }
}

/// Moments of one side from its sums.
struct Finished<'a> {
    sums: &'a mut Sums,
    side: usize,
    models: f64,
    count: &'a mut [f64],
    mean: &'a mut [f64],
    deviations: &'a mut [f64],
}

impl Loops for Finished<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let width = self.count.len();
        let members = &self.sums.members[..width];
        let (count, mean) = (&mut self.count[..width], &mut self.mean[..width]);
        let deviations = &mut self.deviations[..width];
        let again = &mut self.sums.again[..width];
        let centre = &self.sums.centre[..width];
        let sums = &self.sums.distance[self.side][..width];
        let squares = &self.sums.square[self.side][..width];
        let (models, is_in) = (self.models, self.side == 0);
        for i in 0..width {
            let inside = f64::from(members[i]);
            let n = if is_in { inside } else { models - inside };
            let offset = sums[i] / n;
            let average = centre[i] + offset;
            let left = squares[i] - sums[i] * offset;
            let rounding = ROUNDING * average;
            let cancelled = u64::from(left <= CANCELLED * squares[i]);
            let rounded = u64::from(left <= n * (rounding * rounding));
            let some = n > 0.0;
            count[i] = n;
            mean[i] = average;
            deviations[i] = if some { left } else { 0.0 };
            again[i] = u64::from(some) & (cancelled | rounded);
        }
    }
}

/// Mean and sum of squared deviations of one record on one side, in two passes.
fn by_definition<T: Real>(
    references: &[&[T]],
    inside: &[&[bool]],
    record: usize,
    member: bool,
    convert: &impl Fn(&[T], &mut [f64]),
) -> (f64, f64) {
    let of_side = || {
        let rows = references.iter().zip(inside);
        rows.filter(|(_, inside)| inside[record] == member)
            .map(|(row, _)| {
                let mut value = [0.0];
                convert(&row[record..=record], &mut value);
                value[0]
            })
    };
    let count = of_side().count() as f64;
    let mean = of_side().sum::<f64>() / count;
    let deviations: f64 = of_side().map(|value| (value - mean).powi(2)).sum();
    // Where all models agree, what is left of the deviations is rounding of the mean, and a
    // variance of 1e-34 would pass for certainty.
    if deviations <= count * (ROUNDING * mean).powi(2) {
        return (of_side().next().unwrap_or(mean), 0.0);
    }
    (mean, deviations)
}

#[cfg(test)]
mod tests {
    use super::*;
    use giveaway_stats::random::Stream;

    #[test]
    fn models_that_agree_leave_no_variance() {
        // three times 0.1 is not 0.3
        let rows = [[0.1f64], [0.1], [0.1], [0.7]];
        let inside = [[true], [true], [true], [false]];
        let found = moments(
            &rows.each_ref().map(|r| &r[..]),
            &inside.each_ref().map(|r| &r[..]),
            1,
            |x| x,
        );
        assert_eq!(found.inside.mean, [0.1]);
        assert_eq!(found.inside.deviations, [0.0]);
        assert_eq!((found.outside.mean[0], found.outside.count[0]), (0.7, 1.0));
    }

    #[test]
    fn moments_are_those_of_the_definition() {
        let (models, records) = (7, 2 * SHARE + BLOCK + 3);
        let mut stream = Stream::new(4, "moments", 0);
        let values: Vec<Vec<f64>> = (0..models)
            .map(|_| (0..records).map(|_| 3.0 + stream.normal()).collect())
            .collect();
        let inside: Vec<Vec<bool>> = (0..models)
            .map(|_| (0..records).map(|_| stream.uniform() < 0.5).collect())
            .collect();
        let rows: Vec<&[f64]> = values.iter().map(Vec::as_slice).collect();
        let masks: Vec<&[bool]> = inside.iter().map(Vec::as_slice).collect();
        let found = moments(&rows, &masks, records, |x| 2.0 * x);
        for record in (0..records).step_by(97).chain(records - 4..records) {
            for (side, member) in [(&found.inside, true), (&found.outside, false)] {
                let of: Vec<f64> = (0..models)
                    .filter(|&m| inside[m][record] == member)
                    .map(|m| 2.0 * values[m][record])
                    .collect();
                let mean = of.iter().sum::<f64>() / of.len() as f64;
                let squares: f64 = of.iter().map(|x| (x - mean).powi(2)).sum();
                assert!((side.count[record] - of.len() as f64).abs() < 1e-15);
                if of.is_empty() {
                    assert!(side.mean[record].is_nan());
                } else {
                    assert!((side.mean[record] - mean).abs() < 1e-12);
                    assert!((side.deviations[record] - squares).abs() < 1e-11);
                }
            }
        }
        // pooled and global variance, by definition
        let all: Vec<f64> = (0..records)
            .flat_map(|r| (0..models).map(move |m| (m, r)))
            .filter(|&(m, r)| inside[m][r])
            .map(|(m, r)| 2.0 * values[m][r])
            .collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let variance = all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / all.len() as f64;
        let global = found.inside.global();
        assert!((global.0 - mean).abs() < 1e-10 && (global.1 - variance).abs() < 1e-9);
        let within: f64 = found.inside.deviations.iter().sum::<f64>() / all.len() as f64;
        assert!((found.inside.pooled_variance() - within).abs() < 1e-12);
        assert!(within < variance);
    }

    /// Sides far apart, of little spread, and more models than a byte counts.
    #[test]
    fn nothing_cancels() {
        let models = 600;
        let mut stream = Stream::new(5, "moments far apart", 0);
        let values: Vec<[f64; 1]> = (0..models)
            .map(|m| [if m % 3 == 0 { 1e5 } else { -1e5 } + 1e-3 * stream.normal()])
            .collect();
        let inside: Vec<[bool; 1]> = (0..models).map(|m| [m % 3 == 0]).collect();
        let rows: Vec<&[f64]> = values.iter().map(|row| &row[..]).collect();
        let masks: Vec<&[bool]> = inside.iter().map(|row| &row[..]).collect();
        let found = moments(&rows, &masks, 1, |x| x);
        for (side, member) in [(&found.inside, true), (&found.outside, false)] {
            let of = || {
                (0..models)
                    .filter(|m| (m % 3 == 0) == member)
                    .map(|m| values[m][0])
            };
            let count = of().count() as f64;
            let mean = of().sum::<f64>() / count;
            let squares: f64 = of().map(|x| (x - mean).powi(2)).sum();
            assert!((side.count[0] - count).abs() < 1e-15);
            assert!((side.mean[0] - mean).abs() < 1e-9);
            assert!((side.deviations[0] / squares - 1.0).abs() < 1e-8);
        }
    }
}
