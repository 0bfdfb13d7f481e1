//! What the report draws besides its tables: rates at every cut-off of p, and distributions of
//! the loss. Everything is numbers here; how it looks is up to who draws it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::direct::Null;
pub use crate::evaluate::cutoffs::{AtCutoff, CUTOFFS};

/// What is drawn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Figures {
    /// Rates at every cut-off of p among the units that were selected for the verdict, one
    /// entry for each null.
    pub cutoffs: Vec<CutoffCurve>,
    /// Distributions of the loss; those without a single loss are left out.
    pub losses: Vec<LossHistogram>,
}

/// Rates at every cut-off of p.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CutoffCurve {
    /// The null that the p-values are of.
    pub null: Null,
    /// On the target, with Clopper-Pearson intervals that describe this model and these units;
    /// empty where its members are not known.
    pub on_target: Vec<AtCutoff>,
    /// With every reference model in turn as the target, pooled; intervals by a bootstrap over
    /// families of models and over units, and none where the scores are too many to be kept.
    pub leave_one_out: Vec<AtCutoff>,
}

/// Whose losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LossModel {
    /// The model under audit.
    Target,
    /// The reference models that test.
    References,
}

/// Of which units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LossUnits {
    /// All audited units.
    All,
    /// Those that were selected for the verdict.
    Selected,
}

/// How often losses fall between two edges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LossHistogram {
    /// Whose losses.
    pub model: LossModel,
    /// Of which units.
    pub units: LossUnits,
    /// Whether of members (IN) or of non-members (OUT) of the model that has the loss. Units
    /// of which this is not known are left out.
    pub member: bool,
    /// Edges of the bins, the same in every histogram: eight a decade from 1e-4 to 10^1.25.
    pub edges: Vec<f64>,
    /// Losses in each bin, one fewer than edges. A bin holds its lower edge and not its upper
    /// one; the first also holds all that is below, the last all that is above.
    pub counts: Vec<u64>,
}

/// Bins of a histogram.
const BINS: usize = 42;

/// Bins of a decade.
const BINS_OF_A_DECADE: f64 = 8.0;

/// The logarithm of the lowest edge.
const LOWEST: f64 = -4.0;

/// Losses of non-members and of members, counted by bin.
#[derive(Clone, Debug)]
pub(crate) struct Losses {
    edges: Vec<f64>,
    counts: [Vec<u64>; 2],
}

impl Default for Losses {
    fn default() -> Self {
        // libm, unlike the functions of a platform, gives the same edges everywhere
        let edge = |place: usize| libm::exp10(LOWEST + place as f64 / BINS_OF_A_DECADE);
        Self {
            edges: (0..=BINS).map(edge).collect(),
            counts: [vec![0; BINS], vec![0; BINS]],
        }
    }
}

impl Losses {
    /// Counts a loss; one that is `NaN` is left out.
    pub(crate) fn add(&mut self, member: bool, loss: f32) {
        let loss = f64::from(loss);
        if !loss.is_nan() {
            let above = self.edges[1..BINS].partition_point(|&edge| edge <= loss);
            self.counts[usize::from(member)][above] += 1;
        }
    }

    /// Counts the other's as well.
    pub(crate) fn and(mut self, other: Self) -> Self {
        for (own, others) in self.counts.iter_mut().zip(other.counts) {
            for (count, more) in own.iter_mut().zip(others) {
                *count += more;
            }
        }
        self
    }

    /// Histograms of the sides that have losses, members first.
    pub(crate) fn histograms(self, model: LossModel, units: LossUnits) -> Vec<LossHistogram> {
        let [others, members] = self.counts;
        [(true, members), (false, others)]
            .into_iter()
            .filter(|(_, counts)| counts.iter().any(|&count| count > 0))
            .map(|(member, counts)| LossHistogram {
                model,
                units,
                member,
                edges: self.edges.clone(),
                counts,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_eighths_of_decades() {
        let edges = Losses::default().edges;
        assert_eq!(edges.len(), 43);
        for (place, power) in [
            (0, 1e-4),
            (8, 1e-3),
            (16, 1e-2),
            (24, 0.1),
            (32, 1.0),
            (40, 10.0),
        ] {
            assert!(
                (edges[place] / power - 1.0_f64).abs() < 1e-14,
                "{}",
                edges[place]
            );
        }
        assert!((edges[42] - 10.0_f64.powf(1.25)).abs() < 1e-12);
    }

    #[test]
    fn every_loss_is_in_one_bin() {
        let mut losses = Losses::default();
        let values = [0.0, 1e-7, 1e-4, 2e-4, 1.0, 1.1, 17.0, 25.0, f32::INFINITY];
        for value in values {
            losses.add(true, value);
        }
        losses.add(true, f32::NAN);
        let more = losses.clone();
        let found = losses
            .and(more)
            .histograms(LossModel::Target, LossUnits::All);
        assert_eq!(found.len(), 1, "no loss of a non-member");
        let (edges, counts) = (&found[0].edges, &found[0].counts);
        assert_eq!(counts.iter().sum::<u64>(), 2 * values.len() as u64);
        for (bin, &count) in counts.iter().enumerate() {
            let lower = if bin == 0 { 0.0 } else { edges[bin] };
            let upper = if bin + 1 == BINS {
                f64::INFINITY
            } else {
                edges[bin + 1]
            };
            let inside = values
                .iter()
                .map(|&v| f64::from(v))
                .filter(|&v| v >= lower && (v < upper || bin + 1 == BINS))
                .count();
            assert_eq!(count, 2 * inside as u64, "bin {bin}");
        }
    }
}
