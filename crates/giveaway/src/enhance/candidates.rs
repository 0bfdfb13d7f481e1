//! Random generation of queries around a record.

use std::collections::HashSet;

use giveaway_stats::random::Stream;

use super::space::{Guard, Query, QuerySpace, distance};

/// Draws for each candidate wanted, at most: where the floor leaves little room, fewer come out.
const ATTEMPTS: usize = 20;

/// Records near the one under attack that lend several values at once.
const NEAR: usize = 100;

/// At most `wanted` different candidates that the guard allows, of every kind there is.
///
/// Tables: the nearest real records; the record with some columns drawn from their marginals;
/// with some columns of one other record; with some columns of one record near to it
/// (conditional resampling). Images: the nearest and random real images; mixtures of the
/// image and others; the image under noise.
#[must_use]
pub fn candidates(
    space: &QuerySpace<'_>,
    guard: &Guard,
    record: u32,
    wanted: usize,
    stream: &mut Stream,
) -> Vec<Query> {
    let near = nearest(space, guard, record);
    let mut seen = HashSet::new();
    let mut kept = Vec::with_capacity(wanted);
    let mut keep = |query: Query, kept: &mut Vec<Query>| {
        if space.allows(guard, &query.features) && seen.insert(query.key()) {
            kept.push(query);
        }
    };
    for &other in near.iter().take(wanted / 4) {
        keep(space.as_it_is(other, record), &mut kept);
    }
    for attempt in 0..wanted * ATTEMPTS {
        if kept.len() >= wanted {
            break;
        }
        let query = if space.is_image() {
            image(space, guard, record, &near, attempt, stream)
        } else {
            row(space, record, &near, attempt, stream)
        };
        keep(query, &mut kept);
    }
    kept
}

/// The nearest records that may themselves be asked.
fn nearest(space: &QuerySpace<'_>, guard: &Guard, record: u32) -> Vec<u32> {
    let own = space.features(record);
    let mut found: Vec<(f32, u32)> = space
        .donors()
        .iter()
        .filter(|donor| !guard.guarded.contains(donor))
        .map(|&donor| (distance(own, space.features(donor)), donor))
        .collect();
    let count = NEAR.min(found.len());
    if count == 0 {
        return Vec::new();
    }
    found.select_nth_unstable_by(count - 1, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    found.truncate(count);
    found.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    found.into_iter().map(|(_, donor)| donor).collect()
}

fn row(
    space: &QuerySpace<'_>,
    record: u32,
    near: &[u32],
    attempt: usize,
    stream: &mut Stream,
) -> Query {
    let columns = space.columns().len();
    let mut order: Vec<u32> = (0..columns as u32).collect();
    stream.shuffle(&mut order);
    let changed = 1 + stream.below(columns);
    let anyone = |stream: &mut Stream| space.donors()[stream.below(space.donors().len())];
    let one = if attempt % 3 == 2 && !near.is_empty() {
        near[stream.below(near.len())]
    } else {
        anyone(stream)
    };
    let mut query = space.as_it_is(record, record);
    for &column in &order[..changed] {
        let donor = if attempt.is_multiple_of(3) {
            anyone(stream)
        } else {
            one
        };
        space.lend(&mut query, column as usize, donor);
    }
    query
}

fn image(
    space: &QuerySpace<'_>,
    guard: &Guard,
    record: u32,
    near: &[u32],
    attempt: usize,
    stream: &mut Stream,
) -> Query {
    let own = space.features(record);
    let anyone = |stream: &mut Stream| space.donors()[stream.below(space.donors().len())];
    let mut query = space.as_it_is(record, record);
    match attempt % 4 {
        0 => query.features = space.features(anyone(stream)).to_vec(),
        3 => {
            // noise of a length from the floor to three times it
            let length = guard.floor * (1.0 + 2.0 * stream.uniform() as f32);
            let noise: Vec<f32> = own.iter().map(|_| stream.normal() as f32).collect();
            let norm = noise.iter().map(|x| x * x).sum::<f32>().sqrt();
            for (value, noise) in query.features.iter_mut().zip(noise) {
                *value += noise * length / norm;
            }
        }
        kind => {
            let other = if kind == 1 && !near.is_empty() {
                near[stream.below(near.len())]
            } else {
                anyone(stream)
            };
            let other = space.features(other);
            let far = distance(own, other);
            if far <= 0.0 {
                // The record itself, or its twin: there is no way to go. The guard refuses it.
                return query;
            }
            // As far along as the floor asks, or farther; beyond the other image if need be.
            let least = guard.floor / far;
            let share = if least < 1.0 {
                least + (1.0 - least) * stream.uniform() as f32
            } else {
                least
            };
            for (value, &to) in query.features.iter_mut().zip(other) {
                *value += share * (to - *value);
            }
        }
    }
    space.settle_image(&mut query.features);
    space.push_out(guard, &mut query.features);
    space.settle_image(&mut query.features);
    query
}
