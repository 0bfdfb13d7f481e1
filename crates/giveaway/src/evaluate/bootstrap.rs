//! Intervals of rates over several targets: bootstrap over families of targets (pairs of
//! complements) and over units at once, and what is done where events are too few for it.

use giveaway_stats::interval::clopper_pearson;
use giveaway_stats::random::Stream;

use super::{CONFIDENCE, Estimate, ratio};

/// Bootstrap replicates.
pub(super) const REPLICATES: u64 = 400;

/// How often one replicate has each family and each unit.
pub(super) struct Drawn {
    pub(super) families: Vec<f32>,
    pub(super) units: Vec<f32>,
}

impl Drawn {
    /// Draws as many of the families as there are, and as many of the units in `pool` as it
    /// has, both with replacement. `units` is larger than any of `pool`; those that are not
    /// in it weigh nothing.
    pub(super) fn new(mut stream: Stream, families: usize, pool: &[u32], units: usize) -> Self {
        let mut family_weights = vec![0f32; families];
        for _ in 0..families {
            family_weights[stream.below(families)] += 1.0;
        }
        let mut unit_weights = vec![0f32; units];
        for _ in 0..pool.len() {
            unit_weights[pool[stream.below(pool.len())] as usize] += 1.0;
        }
        Self {
            families: family_weights,
            units: unit_weights,
        }
    }
}

/// Right and wrong accusations, members and non-members; of the data and of every replicate.
pub(super) struct Counted {
    pub(super) counts: [f64; 4],
    pub(super) replicates: Vec<[f64; 4]>,
    /// Independent pieces at most, of all that is tested and of the accusations.
    pub(super) clusters: u64,
    pub(super) clusters_of_accusations: u64,
}

impl Counted {
    pub(super) fn estimate(&self, of: impl Fn([f64; 4]) -> Option<f64>) -> Estimate {
        Estimate::with_replicates(
            of(self.counts),
            self.replicates.iter().filter_map(|&r| of(r)).collect(),
        )
    }

    pub(super) fn precision(&self) -> Estimate {
        let [right, wrong, ..] = self.counts;
        widened(
            self.estimate(|[right, wrong, ..]| ratio(right, right + wrong)),
            [right, wrong],
            self.clusters_of_accusations,
        )
    }

    pub(super) fn true_positive_rate(&self) -> Estimate {
        let [right, _, members, _] = self.counts;
        widened(
            self.estimate(|[right, _, members, _]| ratio(right, members)),
            [right, members - right],
            self.clusters,
        )
    }

    pub(super) fn false_positive_rate(&self) -> Estimate {
        let [_, wrong, _, non_members] = self.counts;
        widened(
            self.estimate(|[_, wrong, _, non]| ratio(wrong, non)),
            [wrong, non_members - wrong],
            self.clusters,
        )
    }
}

/// Below this number of events on one side the bootstrap sees too little spread.
const FEW_EVENTS: f64 = 5.0;

/// With few events on one side (`events`: those that count for the rate, and those
/// against it) the interval is at least that of Clopper and Pearson with as many trials as
/// there are independent pieces.
pub(super) fn widened(estimate: Estimate, events: [f64; 2], clusters: u64) -> Estimate {
    let Some(value) = estimate.value else {
        return estimate;
    };
    if events[0].min(events[1]) >= FEW_EVENTS {
        return estimate;
    }
    let interval = clopper_pearson(
        (value * clusters as f64).round() as u64,
        clusters,
        CONFIDENCE,
    );
    Estimate {
        value: Some(value),
        lower: Some(
            estimate
                .lower
                .map_or(interval.lower, |l| l.min(interval.lower)),
        ),
        upper: Some(
            estimate
                .upper
                .map_or(interval.upper, |u| u.max(interval.upper)),
        ),
    }
}
