//! Enhancing records: inputs that are not the record under attack, on which a model's answer
//! depends on whether it was trained on the record (after Long et al. 2018; methods, section
//! 1.4, is a reconstruction).
//!
//! [`space`] says what may be asked, [`candidates`] draws, [`effect`] measures on our own
//! models, [`optimise`] improves, [`weights`] weighs; [`enhance`] does it all for one unit.
//! Two disjoint sets of models are used: A draws, selects and improves, B confirms and settles
//! the tail. The models that test, C, are never seen here.

pub mod candidates;
pub mod effect;
pub mod optimise;
pub mod space;
pub mod weights;

use std::collections::HashSet;

use giveaway_stats::distribution::student_t_sf;
use giveaway_stats::random::Stream;
use ndarray::{Array2, Axis, Slice, concatenate};

use crate::error::{Error, Result};
use effect::{Contrast, Effect};
use space::{Guard, Query, QuerySpace};

/// How queries are looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// Queries kept for a unit, at most.
    pub queries: usize,
    /// Random candidates drawn for a unit.
    pub candidates: usize,
    /// Of those, the best that are improved.
    pub improved: usize,
    /// Steps of improvement; 0 leaves it out.
    pub steps: usize,
    /// Whether candidates are taken by their effect on A; else at random.
    pub select: bool,
    /// Whether a query must be confirmed on B (the correlation test of step 5); else A's sign is
    /// taken for the tail.
    pub confirm: bool,
    /// The floor of distances, in multiples of that of real records.
    pub floor_multiple: f64,
    /// Numbers of queries that are weighed together.
    pub budgets: Vec<usize>,
}

/// Models of a kind, IN or OUT, without which nothing can be built, or confirmed.
pub const FEWEST_MODELS: usize = 2;

/// Level of the one-sided test by which B confirms what A found.
pub const CONFIRMATION: f64 = 0.05;

/// What was found for one unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Enhanced {
    /// What was not to be asked.
    pub guard: Guard,
    /// Queries, the most promising first.
    pub queries: Vec<EnhancingRecord>,
    /// Weights of the first so many queries in one statistic: see [`weights::discriminant`]. Of
    /// scaled logits, not of oriented ones.
    pub weights: Vec<(usize, Vec<f64>)>,
    /// Inputs that set A was asked about to choose these queries.
    pub evaluated: u64,
}

/// A query with what our own models say of it.
#[derive(Clone, Debug, PartialEq)]
pub struct EnhancingRecord {
    /// What is asked.
    pub query: Query,
    /// Distance to the nearest guarded record.
    pub distance: f32,
    /// Whether IN models answer with a higher scaled logit (a lower loss).
    pub upper: bool,
    /// On A and B together.
    pub effect: Effect,
    /// One-sided p-value of the confirmation on B, in the direction of A: Student's t test of
    /// the paired differences, or Welch's of two samples.
    pub confirmation: f64,
}

/// Looks for the queries of one unit, whose records are `own`.
///
/// # Errors
/// If a model cannot answer, or a contrast has fewer than [`FEWEST_MODELS`] of a kind.
pub fn enhance(
    space: &QuerySpace<'_>,
    own: &[u32],
    building: &Contrast<'_>,
    confirming: &Contrast<'_>,
    search: &Search,
    seed: u64,
) -> Result<Enhanced> {
    for (contrast, name) in [(building, "build"), (confirming, "confirm")] {
        if contrast.inside.len().min(contrast.outside.len()) < FEWEST_MODELS {
            return Err(Error::usage(format!(
                "{} IN and {} OUT models are too few to {name} queries",
                contrast.inside.len(),
                contrast.outside.len()
            ))
            .hint("train more reference models (--models)"));
        }
    }
    let guard = space.guard(own, search.floor_multiple);
    let mut stream = stream_of(own, seed);
    let (chosen, evaluated) = choose(space, &guard, own, building, search, &mut stream)?;
    let (queries, weights) = confirm(space, &guard, &chosen, building, confirming, search)?;
    Ok(Enhanced {
        guard,
        queries,
        weights,
        evaluated,
    })
}

/// What is drawn for a unit follows from this.
fn stream_of(own: &[u32], seed: u64) -> Stream {
    Stream::new(seed, "enhancing records", u64::from(own[0]))
}

/// The candidates that [`enhance`] draws for a unit: all that it asks models about where
/// `search.steps` is 0.
#[must_use]
pub fn drawn(space: &QuerySpace<'_>, own: &[u32], search: &Search, seed: u64) -> Vec<Query> {
    let guard = space.guard(own, search.floor_multiple);
    draw(space, &guard, own, search, &mut stream_of(own, seed))
}

fn draw(
    space: &QuerySpace<'_>,
    guard: &Guard,
    own: &[u32],
    search: &Search,
    stream: &mut Stream,
) -> Vec<Query> {
    let each = search.candidates.div_ceil(own.len());
    own.iter()
        .flat_map(|&record| candidates::candidates(space, guard, record, each, stream))
        .collect()
}

/// The queries that set A likes best, twice as many as are wanted, and how many were evaluated.
fn choose(
    space: &QuerySpace<'_>,
    guard: &Guard,
    own: &[u32],
    building: &Contrast<'_>,
    search: &Search,
    stream: &mut Stream,
) -> Result<(Vec<Query>, u64)> {
    let mut pool = draw(space, guard, own, search, stream);
    if pool.is_empty() {
        return Ok((pool, 0));
    }
    let mut order: Vec<usize> = (0..pool.len()).collect();
    let mut evaluated = 0;
    if search.select {
        evaluated = pool.len() as u64;
        let mut effects = building.answers(&pool, &space.labels(&pool))?.effects();
        if search.steps > 0 {
            by_score(&mut order, &effects);
            order.retain(|&i| effects[i].score() > 0.0);
            order.truncate(search.improved);
            let starts: Vec<Query> = order.into_iter().map(|i| pool[i].clone()).collect();
            let (found, tried) =
                optimise::optimise(space, guard, building, &starts, search.steps, stream)?;
            evaluated += tried;
            if !found.is_empty() {
                effects.extend(building.answers(&found, &space.labels(&found))?.effects());
                pool.extend(found);
            }
            order = (0..pool.len()).collect();
        }
        by_score(&mut order, &effects);
        order.retain(|&i| effects[i].score() > 0.0);
    } else {
        stream.shuffle(&mut order);
    }
    let mut seen = HashSet::new();
    order.retain(|&i| seen.insert((pool[i].key(), space.label(pool[i].record))));
    order.truncate(2 * search.queries);
    Ok((
        order.into_iter().map(|i| pool[i].clone()).collect(),
        evaluated,
    ))
}

/// The largest score first.
fn by_score(order: &mut [usize], effects: &[Effect]) {
    order.sort_by(|&a, &b| {
        let score = |i: usize| effects[i].score();
        score(b).total_cmp(&score(a)).then(a.cmp(&b))
    });
}

impl Enhanced {
    /// Weights of the queries' oriented statistics, by which higher speaks for membership, when
    /// so many are asked; 0 for those that are not.
    #[must_use]
    pub fn oriented_weights(&self, budget: usize) -> Vec<f64> {
        let weights = self.weights.iter().find(|(first, _)| *first == budget);
        let weight = |place: usize| weights.and_then(|(_, w)| w.get(place)).copied();
        self.queries
            .iter()
            .enumerate()
            .map(|(place, query)| {
                let sign = if query.upper { 1.0 } else { -1.0 };
                sign * weight(place).unwrap_or(0.0)
            })
            .collect()
    }
}

/// Queries, and weights by number of queries.
type Confirmed = (Vec<EnhancingRecord>, Vec<(usize, Vec<f64>)>);

/// Those of the chosen queries that set B confirms, the most promising first.
fn confirm(
    space: &QuerySpace<'_>,
    guard: &Guard,
    chosen: &[Query],
    building: &Contrast<'_>,
    confirming: &Contrast<'_>,
    search: &Search,
) -> Result<Confirmed> {
    if chosen.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let labels = space.labels(chosen);
    let on_building = building.answers(chosen, &labels)?;
    let on_confirming = confirming.answers(chosen, &labels)?;
    let effects: Vec<(Effect, Effect)> = on_building
        .effects()
        .into_iter()
        .zip(on_confirming.effects())
        .collect();
    let confirmation = |i: usize| {
        let (a, b) = effects[i];
        student_t_sf(a.difference.signum() * b.t(), b.freedom)
    };
    let sizes = [building.outside.len(), confirming.outside.len()];
    let both: Vec<Effect> = effects.iter().map(|&e| pooled(e, sizes)).collect();
    let mut kept: Vec<usize> = (0..chosen.len())
        .filter(|&i| !search.confirm || confirmation(i) < CONFIRMATION)
        .collect();
    if search.select {
        by_score(&mut kept, &both);
    }
    kept.truncate(search.queries);
    let joined = |a: &Array2<f64>, b: &Array2<f64>| {
        let part = |of: &Array2<f64>| of.select(Axis(1), &kept);
        concatenate(Axis(0), &[part(a).view(), part(b).view()])
            .map_err(|e| Error::unexpected(format!("cannot join answers: {e}")))
    };
    let inside = joined(&on_building.inside, &on_confirming.inside)?;
    let outside = joined(&on_building.outside, &on_confirming.outside)?;
    let weights = search
        .budgets
        .iter()
        .map(|&budget| {
            let first = |of: &Array2<f64>| {
                let most = budget.min(kept.len());
                of.slice_axis(Axis(1), Slice::from(..most)).to_owned()
            };
            let weights = weights::discriminant(&first(&inside), &first(&outside));
            (budget, weights)
        })
        .collect();
    let queries = kept
        .iter()
        .map(|&i| EnhancingRecord {
            distance: space.distance_to(guard, &chosen[i].features),
            query: chosen[i].clone(),
            // Where B had to agree with A the two have one sign.
            upper: both[i].difference > 0.0,
            effect: both[i],
            confirmation: confirmation(i),
        })
        .collect();
    Ok((queries, weights))
}

/// The effects on two disjoint sets of so many models as one.
fn pooled((a, b): (Effect, Effect), sizes: [usize; 2]) -> Effect {
    let [n, m] = sizes.map(|size| size as f64);
    let mean = |x: f64, y: f64| (n * x + m * y) / (n + m);
    Effect {
        difference: mean(a.difference, b.difference),
        error: ((n * a.error).powi(2) + (m * b.error).powi(2)).sqrt() / (n + m),
        spread: mean(a.spread.powi(2), b.spread.powi(2)).sqrt(),
        freedom: a.freedom + b.freedom,
    }
}

#[cfg(test)]
mod tests;
