//! Where the target's signal lies among those of a record's OUT models.

use rayon::prelude::*;

use super::evidence::Real;
use super::moments::{BLOCK, SHARE};

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
    let parts: Vec<OutCounts> = (0..records.div_ceil(SHARE))
        .into_par_iter()
        .map(|share| {
            let mut part = OutCounts::default();
            let end = records.min((share + 1) * SHARE);
            for first in (share * SHARE..end).step_by(BLOCK) {
                let range = first..end.min(first + BLOCK);
                let width = range.len();
                let target = &target[range.clone()];
                let mut sums = [[0u32; BLOCK]; 3];
                // slices of one length, so that the loop over records has no checks
                let [at_most, at_least, models] = sums.each_mut().map(|sums| &mut sums[..width]);
                for (row, inside) in references.iter().zip(inside) {
                    let row = &row[range.clone()];
                    let inside = &inside[range.clone()];
                    for i in 0..width {
                        let value: f64 = row[i].into();
                        let out = u32::from(!inside[i]);
                        models[i] += out;
                        at_most[i] += out & u32::from(value <= target[i]);
                        at_least[i] += out & u32::from(value >= target[i]);
                    }
                }
                part.at_most.extend_from_slice(at_most);
                part.at_least.extend_from_slice(at_least);
                part.models.extend_from_slice(models);
            }
            part
        })
        .collect();
    let mut whole = OutCounts::default();
    for part in parts {
        whole.at_most.extend(part.at_most);
        whole.at_least.extend(part.at_least);
        whole.models.extend(part.models);
    }
    whole
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
