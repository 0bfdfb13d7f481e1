//! Count, mean and spread of a record's signal over its IN and over its OUT models.
//!
//! All that most attacks need of the reference models. Records are taken in blocks, and each
//! number is read from memory once: sums and sums of squares of the distance from a
//! provisional centre, a record's own. Where a variance would come of a difference of two
//! large numbers, the record is done again from its mean. The sums of a record run over the
//! models in their order, so the result depends on neither threads nor other records.

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
        let observed = || (0..self.count.len()).filter(|&r| self.count[r] > 0.0);
        let total: f64 = self.count.iter().sum();
        let mean = observed()
            .map(|r| self.count[r] * self.mean[r])
            .sum::<f64>()
            / total;
        let squares: f64 = observed()
            .map(|r| self.deviations[r] + self.count[r] * (self.mean[r] - mean).powi(2))
            .sum();
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
        for (value, &x) in values.iter_mut().zip(row) {
            *value = convert(x.into());
        }
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
    let parts: Vec<Moments> = (0..records.div_ceil(SHARE))
        .into_par_iter()
        .map(|share| {
            let mut part = Moments::default();
            let mut sums = Sums::new();
            let end = records.min((share + 1) * SHARE);
            for first in (share * SHARE..end).step_by(BLOCK) {
                let range = first..end.min(first + BLOCK);
                sums.block(references, inside, range, &convert, &mut part);
            }
            part
        })
        .collect();
    let mut whole = Moments::default();
    for (whole, part) in [
        (&mut whole.inside, (|m| &m.inside) as fn(&Moments) -> &Side),
        (&mut whole.outside, |m| &m.outside),
    ] {
        let join = |of: fn(&Side) -> &Vec<f64>| -> Vec<f64> {
            let mut all = Vec::with_capacity(records);
            for piece in &parts {
                all.extend_from_slice(of(part(piece)));
            }
            all
        };
        whole.count = join(|side| &side.count);
        whole.mean = join(|side| &side.mean);
        whole.deviations = join(|side| &side.deviations);
    }
    whole
}

/// Sums over models for one block of records.
struct Sums {
    values: [f64; BLOCK],
    centre: [f64; BLOCK],
    /// Distances from the centre, and their squares, IN and OUT.
    distance: [[f64; BLOCK]; 2],
    square: [[f64; BLOCK]; 2],
    members: [u32; BLOCK],
    few_members: [u8; BLOCK],
}

impl Sums {
    fn new() -> Box<Self> {
        Box::new(Self {
            values: [0.0; BLOCK],
            centre: [0.0; BLOCK],
            distance: [[0.0; BLOCK]; 2],
            square: [[0.0; BLOCK]; 2],
            members: [0; BLOCK],
            few_members: [0; BLOCK],
        })
    }

    /// The moments of one block, appended to `part`.
    fn block<T: Real>(
        &mut self,
        references: &[&[T]],
        inside: &[&[bool]],
        range: std::ops::Range<usize>,
        convert: &impl Fn(&[T], &mut [f64]),
        part: &mut Moments,
    ) {
        let width = range.len();
        self.centre = [0.0; BLOCK];
        self.distance = [[0.0; BLOCK]; 2];
        self.square = [[0.0; BLOCK]; 2];
        self.members = [0; BLOCK];
        self.few_members = [0; BLOCK];
        let few = references.len().min(CENTRE_MODELS);
        for row in &references[..few] {
            convert(&row[range.clone()], &mut self.values[..width]);
            for (centre, value) in self.centre.iter_mut().zip(&self.values) {
                *centre += value;
            }
        }
        for centre in &mut self.centre {
            *centre /= few as f64;
        }
        for (model, (row, inside)) in references.iter().zip(inside).enumerate() {
            convert(&row[range.clone()], &mut self.values[..width]);
            self.add(&inside[range.clone()]);
            // a byte counts to 255
            if model % 255 == 254 {
                self.carry();
            }
        }
        self.carry();
        let models = references.len() as f64;
        for i in 0..width {
            let count_in = f64::from(self.members[i]);
            for (side, member, count) in [(0, true, count_in), (1, false, models - count_in)] {
                let (sum, squares) = (self.distance[side][i], self.square[side][i]);
                let mut mean = self.centre[i] + sum / count;
                let mut deviations = squares - sum * (sum / count);
                if count <= 0.0 {
                    deviations = 0.0;
                } else if deviations <= CANCELLED * squares
                    || deviations <= count * (ROUNDING * mean).powi(2)
                {
                    let record = range.start + i;
                    (mean, deviations) = by_definition(references, inside, record, member, convert);
                }
                let to = if member {
                    &mut part.inside
                } else {
                    &mut part.outside
                };
                to.count.push(count);
                to.mean.push(mean);
                to.deviations.push(deviations);
            }
        }
    }

    /// Adds the values of one model. Without a branch: all bits of a number are kept or none.
    fn add(&mut self, inside: &[bool]) {
        let width = inside.len();
        let [distance_in, distance_out] = self.distance.each_mut().map(|of| &mut of[..width]);
        let [square_in, square_out] = self.square.each_mut().map(|of| &mut of[..width]);
        let (values, centre) = (&self.values[..width], &self.centre[..width]);
        for i in 0..width {
            let mask = 0u64.wrapping_sub(u64::from(inside[i]));
            let distance = values[i] - centre[i];
            let square = distance * distance;
            distance_in[i] += f64::from_bits(distance.to_bits() & mask);
            distance_out[i] += f64::from_bits(distance.to_bits() & !mask);
            square_in[i] += f64::from_bits(square.to_bits() & mask);
            square_out[i] += f64::from_bits(square.to_bits() & !mask);
        }
        for (few, &member) in self.few_members.iter_mut().zip(inside) {
            *few += u8::from(member);
        }
    }

    fn carry(&mut self) {
        for (all, few) in self.members.iter_mut().zip(&mut self.few_members) {
            *all += u32::from(*few);
            *few = 0;
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
