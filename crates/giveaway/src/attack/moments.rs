//! Count, mean and spread of a record's signal over its IN and over its OUT models.
//!
//! All that most attacks need of the reference models. Records are taken in blocks that
//! stay in the cache, and each number is read from memory once; the sums of a record run
//! over the models in their order, so the result does not depend on threads.

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

/// Records that are worked on at once: with 256 models they take half a megabyte.
pub(super) const BLOCK: usize = 256;

/// Records that one thread takes at a time.
pub(super) const SHARE: usize = 16 * BLOCK;

/// Deviations from a mean below this share of it are rounding.
const ROUNDING: f64 = 4.0 * f64::EPSILON;

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
    let parts: Vec<Moments> = (0..records.div_ceil(SHARE))
        .into_par_iter()
        .map(|share| {
            let mut part = Moments::default();
            let mut scratch = vec![0.0; references.len() * BLOCK];
            let end = records.min((share + 1) * SHARE);
            for first in (share * SHARE..end).step_by(BLOCK) {
                let last = end.min(first + BLOCK);
                block(
                    references,
                    inside,
                    first..last,
                    &convert,
                    &mut scratch,
                    &mut part,
                );
            }
            part
        })
        .collect();
    let mut whole = Moments::default();
    for part in parts {
        for (whole, part) in [
            (&mut whole.inside, part.inside),
            (&mut whole.outside, part.outside),
        ] {
            whole.count.extend(part.count);
            whole.mean.extend(part.mean);
            whole.deviations.extend(part.deviations);
        }
    }
    whole
}

/// The moments of one block, appended to `part`.
fn block<T: Real>(
    references: &[&[T]],
    inside: &[&[bool]],
    range: std::ops::Range<usize>,
    convert: &impl Fn(f64) -> f64,
    scratch: &mut [f64],
    part: &mut Moments,
) {
    let width = range.len();
    let [mut sum_in, mut sum_out, mut count_in] = [[0.0f64; BLOCK]; 3];
    for ((row, inside), values) in references
        .iter()
        .zip(inside)
        .zip(scratch.chunks_exact_mut(BLOCK))
    {
        let row = &row[range.clone()];
        let inside = &inside[range.clone()];
        for i in 0..width {
            let value = convert(row[i].into());
            values[i] = value;
            // A product with 0 or 1 needs no branch; values are finite, so it is exact.
            let member = f64::from(u8::from(inside[i]));
            count_in[i] += member;
            sum_in[i] += member * value;
            sum_out[i] += (1.0 - member) * value;
        }
    }
    let models = references.len() as f64;
    let [mut mean_in, mut mean_out] = [[0.0f64; BLOCK]; 2];
    for i in 0..width {
        mean_in[i] = sum_in[i] / count_in[i];
        mean_out[i] = sum_out[i] / (models - count_in[i]);
    }
    let [mut squares_in, mut squares_out] = [[0.0f64; BLOCK]; 2];
    for (inside, values) in inside.iter().zip(scratch.chunks_exact(BLOCK)) {
        let inside = &inside[range.clone()];
        for i in 0..width {
            let member = inside[i];
            let deviation = values[i] - if member { mean_in[i] } else { mean_out[i] };
            let square = deviation * deviation;
            let member = f64::from(u8::from(member));
            squares_in[i] += member * square;
            squares_out[i] += (1.0 - member) * square;
        }
    }
    // Where all models agree, what is left of the deviations is rounding of the mean, and a
    // variance of 1e-34 would pass for certainty.
    for i in 0..width {
        for (member, mean, squares, count) in [
            (true, &mut mean_in[i], &mut squares_in[i], count_in[i]),
            (
                false,
                &mut mean_out[i],
                &mut squares_out[i],
                models - count_in[i],
            ),
        ] {
            if *squares <= count * (ROUNDING * *mean).powi(2) {
                *squares = 0.0;
                let agreed = inside
                    .iter()
                    .zip(scratch.chunks_exact(BLOCK))
                    .find(|(inside, _)| inside[range.start + i] == member);
                if let Some((_, values)) = agreed {
                    *mean = values[i];
                }
            }
        }
    }
    part.inside.count.extend(&count_in[..width]);
    part.outside
        .count
        .extend(count_in[..width].iter().map(|&n| models - n));
    part.inside.mean.extend(&mean_in[..width]);
    part.outside.mean.extend(&mean_out[..width]);
    part.inside.deviations.extend(&squares_in[..width]);
    part.outside.deviations.extend(&squares_out[..width]);
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
}
