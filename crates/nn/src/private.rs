//! What DP-SGD needs beside the model.

use giveaway_stats::random::Stream;

use crate::config::Privacy;
use crate::kernel::Matrix;
use crate::model::Model;

/// The random choices of DP-SGD and the memory for sums of clipped gradients.
pub(crate) struct Private<'a> {
    pub(crate) privacy: Privacy,
    /// For every example, the share of the clip that its gradient is clipped to; 1 for all
    /// where there are none.
    pub(crate) clips: Option<&'a [f32]>,
    sampling: Stream,
    noise: Stream,
    /// The rows of the step.
    pub(crate) drawn: Vec<u32>,
    /// How many rows were to be expected.
    expected: f64,
    /// Sums of the shapes of all parameters.
    pub(crate) sums: Vec<Matrix>,
}

impl<'a> Private<'a> {
    pub(crate) fn new(
        privacy: Privacy,
        clips: Option<&'a [f32]>,
        model: &Model,
        seed: u64,
    ) -> Self {
        Self {
            privacy,
            clips,
            sampling: Stream::new(seed, "poisson sampling", 0),
            noise: Stream::new(seed, "gradient noise", 0),
            drawn: Vec::new(),
            expected: 0.0,
            sums: model
                .parameters()
                .map(|part| Matrix::zeros(part.value.rows(), part.value.columns()))
                .collect(),
        }
    }

    /// Draws the rows of a step, `batch_size` on average (all, if there are fewer).
    pub(crate) fn draw(&mut self, rows: &[u32], batch_size: usize) {
        self.expected = batch_size.min(rows.len()) as f64;
        let probability = self.expected / rows.len() as f64;
        sample(&mut self.sampling, probability, rows, &mut self.drawn);
    }

    /// Makes the sums noisy means. `used_rows` is, for each of them, the number of rows of
    /// a group and of those that are parameters; the others stay 0.
    pub(crate) fn add_noise(&mut self, used_rows: &[(usize, usize)]) {
        let Privacy {
            clip,
            noise_multiplier,
        } = self.privacy;
        let deviation = f64::from(noise_multiplier) * f64::from(clip);
        for (sum, &(group, used)) in self.sums.iter_mut().zip(used_rows) {
            for row in (0..sum.rows()).filter(|row| row % group < used) {
                for column in 0..sum.columns() {
                    let x = f64::from(sum.get(row, column)) + deviation * self.noise.normal();
                    sum.set(row, column, (x / self.expected) as f32);
                }
            }
        }
    }
}

/// Replaces `drawn` by a Poisson sample of `rows`: each is in it with this probability (above
/// 0), whatever the others are.
///
/// The rows left out before the next one drawn are so many with probability p·(1 − p)ᵏ, which
/// is drawn by inversion: floor(ln(1 − U) / ln(1 − p)) for a uniform U. So a sample costs one
/// draw for each row in it, not for each that there is.
fn sample(stream: &mut Stream, probability: f64, rows: &[u32], drawn: &mut Vec<u32>) {
    drawn.clear();
    if probability >= 1.0 {
        drawn.extend_from_slice(rows);
        return;
    }
    let all_left_out = (-probability).ln_1p();
    let mut left = rows;
    loop {
        // 1 − U is in (0, 1] and exact; the cast rounds down, and huge gaps become the largest
        let gap = ((1.0 - stream.uniform()).ln() / all_left_out) as usize;
        let Some((&row, after)) = left.get(gap..).and_then(<[u32]>::split_first) else {
            return;
        };
        drawn.push(row);
        left = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: usize = 20;
    const SAMPLES: usize = 200_000;

    /// How far a count of `trials` independent events of this probability may be off its mean.
    /// By Bernstein's inequality it is farther with probability at most 2 exp(−`log_odds`).
    fn bound(trials: usize, probability: f64, log_odds: f64) -> f64 {
        let variance = trials as f64 * probability * (1.0 - probability);
        let third = log_odds / 3.0;
        third + (third * third + 2.0 * variance * log_odds).sqrt()
    }

    #[test]
    fn every_row_is_drawn_with_the_probability_whatever_the_others() {
        let rows: Vec<u32> = (0..ROWS as u32).collect();
        let probabilities = [0.01, 0.1, 0.3, 0.5, 0.8, 0.97];
        // single rows and, for p², pairs of rows of a sample and of a sample and the next
        let counts = ROWS + ROWS * (ROWS - 1) / 2 + ROWS * ROWS;
        // all hold with a probability of one in a million not to, if the sampling is right
        let log_odds = (2.0 * (probabilities.len() * counts) as f64 / 1e-6).ln();
        for probability in probabilities {
            let mut stream = Stream::new(3, "sample", 0);
            let mut drawn = Vec::new();
            let mut single = [0usize; ROWS];
            let mut pairs = [[0usize; ROWS]; ROWS];
            let mut across = [[0usize; ROWS]; ROWS];
            let mut before = Vec::new();
            for number in 0..SAMPLES {
                sample(&mut stream, probability, &rows, &mut drawn);
                assert!(drawn.is_sorted_by(|a, b| a < b), "{drawn:?}");
                for (i, &row) in drawn.iter().enumerate() {
                    single[row as usize] += 1;
                    for &other in &drawn[..i] {
                        pairs[other as usize][row as usize] += 1;
                    }
                    if number % 2 == 1 {
                        for &other in &before {
                            across[other as usize][row as usize] += 1;
                        }
                    }
                }
                before.clone_from(&drawn);
            }
            let check = |have: usize, trials: usize, rate: f64, what: &str| {
                let off = (have as f64 - trials as f64 * rate).abs();
                let bound = bound(trials, rate, log_odds);
                assert!(off <= bound, "{what}, {probability}: {off} > {bound}");
            };
            let both = probability * probability;
            for row in 0..ROWS {
                check(single[row], SAMPLES, probability, "a row");
                for other in 0..ROWS {
                    check(across[other][row], SAMPLES / 2, both, "rows of two samples");
                    if other < row {
                        check(pairs[other][row], SAMPLES, both, "two rows of a sample");
                    }
                }
            }
        }
    }

    #[test]
    fn all_rows_are_drawn_where_all_are_expected_and_few_where_few_are() {
        let rows: Vec<u32> = (10..20).collect();
        let mut stream = Stream::new(3, "sample", 0);
        let mut drawn = vec![1, 2, 3];
        for _ in 0..1000 {
            sample(&mut stream, 1.0, &rows, &mut drawn);
            assert_eq!(drawn, rows);
        }
        // a row in a thousand million samples
        for _ in 0..1000 {
            sample(&mut stream, 1e-10, &rows, &mut drawn);
            assert!(drawn.is_empty());
        }
        let nearly = 1.0 - f64::EPSILON / 2.0;
        sample(&mut stream, nearly, &rows, &mut drawn);
        assert_eq!(drawn, rows);
    }
}
