//! What DP-SGD needs beside the model.

use giveaway_stats::random::Stream;

use crate::config::Privacy;
use crate::kernel::Matrix;
use crate::model::Model;

/// The random choices of DP-SGD and the memory for sums of clipped gradients.
pub(crate) struct Private {
    pub(crate) privacy: Privacy,
    sampling: Stream,
    noise: Stream,
    /// The rows of the step.
    pub(crate) drawn: Vec<u32>,
    /// How many rows were to be expected.
    expected: f64,
    /// Sums of the shapes of all parameters.
    pub(crate) sums: Vec<Matrix>,
}

impl Private {
    pub(crate) fn new(privacy: Privacy, model: &Model, seed: u64) -> Self {
        Self {
            privacy,
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
        self.drawn.clear();
        for &row in rows {
            if self.sampling.uniform() < probability {
                self.drawn.push(row);
            }
        }
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
