//! Making queries better: by gradients where models have them, by trial elsewhere.

use giveaway_stats::random::Stream;
use ndarray::Array2;
use rayon::prelude::*;

use super::effect::{Contrast, Effect, matrix};
use super::space::{Guard, Query, QuerySpace};
use crate::error::Result;

/// Changes that are tried of each query in one step.
const TRIED: usize = 8;

/// Of those, the ones drawn at random although there is a gradient.
const AT_RANDOM: usize = 2;

/// Records whose values a step may take.
const LENDING: usize = 64;

/// Improves queries in so many steps and returns those that became better, in their order, and
/// how many were tried. Only the ends are returned: what was met on the way is nearly the same
/// query, with the same noise.
///
/// What rises is the score of the effect ([`Effect::score`]) on the side where it began; the
/// gradient is that of the effect size. Tables: one
/// column takes a value of another record, of which the gradient proposes the most promising.
/// Images: a step along the gradient, of a length that halves when it does not help; without
/// gradients, towards or away from another image. A step that the guard forbids is not taken.
///
/// # Errors
/// If a model cannot answer.
pub fn optimise(
    space: &QuerySpace<'_>,
    guard: &Guard,
    contrast: &Contrast<'_>,
    starts: &[Query],
    steps: usize,
    stream: &mut Stream,
) -> Result<(Vec<Query>, u64)> {
    if starts.is_empty() {
        return Ok((Vec::new(), 0));
    }
    let mut current = starts.to_vec();
    let began = contrast
        .answers(&current, &space.labels(&current))?
        .effects();
    let signs: Vec<f64> = began.iter().map(|e| e.difference.signum()).collect();
    let mut scores: Vec<f64> = began.into_iter().map(Effect::score).collect();
    let mut asked = 0;
    let mut have_gradients = true;
    let mut lengths = vec![guard.floor.max(f32::MIN_POSITIVE) / 4.0; current.len()];
    for _ in 0..steps {
        let gradients = if have_gradients {
            gradients(contrast, space, &current, &signs)?
        } else {
            None
        };
        have_gradients = gradients.is_some();
        let mut tried = Vec::new();
        let mut owner = Vec::new();
        for (number, query) in current.iter().enumerate() {
            let gradient = gradients.as_ref().map(|all| all.row(number).to_vec());
            let changes = if space.is_image() {
                moves_of_image(
                    space,
                    guard,
                    query,
                    gradient.as_deref(),
                    lengths[number],
                    stream,
                )
            } else {
                moves_of_row(space, guard, query, gradient.as_deref(), stream)
            };
            owner.extend(std::iter::repeat_n(number, changes.len()));
            tried.extend(changes);
        }
        if tried.is_empty() {
            break;
        }
        asked += tried.len() as u64;
        let reached: Vec<f64> = contrast
            .answers(&tried, &space.labels(&tried))?
            .effects()
            .into_iter()
            .zip(&owner)
            .map(|(effect, &number)| {
                // On the other side it is another query, of another tail.
                let same_side = effect.difference * signs[number] > 0.0;
                if same_side {
                    effect.score()
                } else {
                    f64::NEG_INFINITY
                }
            })
            .collect();
        let mut best: Vec<Option<usize>> = vec![None; current.len()];
        for (change, &number) in owner.iter().enumerate() {
            if reached[change] > best[number].map_or(scores[number], |b| reached[b]) {
                best[number] = Some(change);
            }
        }
        for (number, best) in best.into_iter().enumerate() {
            match best {
                Some(change) => {
                    current[number] = tried[change].clone();
                    scores[number] = reached[change];
                }
                None => lengths[number] /= 2.0,
            }
        }
    }
    let ends = current.into_iter().zip(starts);
    let better = ends
        .filter(|(end, start)| end.features != start.features)
        .map(|(end, _)| end);
    Ok((better.collect(), asked))
}

/// The gradient of the effect size of each query, in the direction of its sign.
///
/// With δ the difference and s the spread within the n IN and m OUT models,
/// `d(δ/s) = dδ/s − δ ds/s²` and `ds = Σ (φ_i − mean of its kind) dφ_i / ((n + m − 2) s)`: a
/// weighted sum of the models' own gradients.
pub(super) fn gradients(
    contrast: &Contrast<'_>,
    space: &QuerySpace<'_>,
    queries: &[Query],
    signs: &[f64],
) -> Result<Option<Array2<f32>>> {
    let labels = space.labels(queries);
    let answers = contrast.answers(queries, &labels)?;
    let effects = answers.effects();
    let mut total: Option<Array2<f32>> = None;
    let mut distinct = labels.clone();
    distinct.sort_unstable();
    distinct.dedup();
    // A model gives gradients for one class at a time; nearly always there is only one.
    for label in distinct {
        let of_class: Vec<usize> = (0..queries.len()).filter(|&q| labels[q] == label).collect();
        let chosen: Vec<Query> = of_class.iter().map(|&q| queries[q].clone()).collect();
        let inputs = matrix(&chosen)?;
        let models = contrast
            .inside
            .iter()
            .map(|model| (*model, true))
            .chain(contrast.outside.iter().map(|model| (*model, false)))
            .enumerate();
        let parts: Vec<Option<Array2<f32>>> = models
            .collect::<Vec<_>>()
            .into_par_iter()
            .map(|(place, (model, is_inside))| {
                let Some(mut gradient) = model.gradients(inputs.view(), label)? else {
                    return Ok(None);
                };
                for (mut row, &q) in gradient.outer_iter_mut().zip(&of_class) {
                    let effect = effects[q];
                    let (kind, place) = if is_inside {
                        (&answers.inside, place)
                    } else {
                        (&answers.outside, place - contrast.inside.len())
                    };
                    let column = kind.column(q);
                    let count = column.len() as f64;
                    let deviation = column[place] - column.sum() / count;
                    let freedom = (contrast.inside.len() + contrast.outside.len() - 2) as f64;
                    let sign = if is_inside { 1.0 } else { -1.0 };
                    let weight = if effect.spread > 0.0 {
                        sign / (count * effect.spread)
                            - effect.difference * deviation / (freedom * effect.spread.powi(3))
                    } else {
                        0.0
                    };
                    let weight = (signs[q] * weight) as f32;
                    row.mapv_inplace(|g| g * weight);
                }
                Ok(Some(gradient))
            })
            .collect::<Result<_>>()?;
        // In the order of the models, so that threads do not matter.
        for part in parts {
            let Some(part) = part else { return Ok(None) };
            let sum = total.get_or_insert_with(|| Array2::zeros((queries.len(), part.ncols())));
            for (row, &q) in part.outer_iter().zip(&of_class) {
                let mut to = sum.row_mut(q);
                to += &row;
            }
        }
    }
    Ok(total)
}

/// Single columns that take another record's value.
fn moves_of_row(
    space: &QuerySpace<'_>,
    guard: &Guard,
    query: &Query,
    gradient: Option<&[f32]>,
    stream: &mut Stream,
) -> Vec<Query> {
    let donors = space.donors();
    let mut lending: Vec<u32> = (0..LENDING)
        .map(|_| donors[stream.below(donors.len())])
        .collect();
    // The record's own values are the most promising of all, as far as the floor lets them.
    lending.push(query.record);
    let columns = space.columns();
    let mut proposed: Vec<(f32, usize, u32)> = Vec::new();
    for (column, range) in columns.iter().enumerate() {
        let now = &query.features[range.clone()];
        for &donor in &lending {
            let then = &space.features(donor)[range.clone()];
            let mut differs = false;
            let mut gain = 0.0;
            for (place, (&a, &b)) in now.iter().zip(then).enumerate() {
                differs |= a.to_bits() != b.to_bits();
                gain += gradient.map_or(0.0, |g| g[range.start + place] * (b - a));
            }
            if differs {
                proposed.push((gain, column, donor));
            }
        }
    }
    let by_gradient = if gradient.is_some() {
        TRIED - AT_RANDOM
    } else {
        0
    };
    let mut random = proposed.clone();
    stream.shuffle(&mut random);
    proposed.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let allowed = |&(_, column, donor): &(f32, usize, u32)| {
        let mut changed = query.clone();
        space.lend(&mut changed, column, donor);
        space.allows(guard, &changed.features).then_some(changed)
    };
    let mut moves: Vec<Query> = Vec::with_capacity(TRIED);
    let mut add = |from: &[(f32, usize, u32)], most: usize| {
        // Far more than are wanted may be too near; not all of them are looked at.
        for query in from.iter().take(16 * TRIED).filter_map(allowed) {
            if moves.len() >= most {
                break;
            }
            if moves.iter().all(|m| m.features != query.features) {
                moves.push(query);
            }
        }
    };
    add(&proposed[..], by_gradient);
    add(&random[..], TRIED);
    moves
}

/// A step along the gradient and a longer one; without gradients, one towards another image and
/// one away from it.
fn moves_of_image(
    space: &QuerySpace<'_>,
    guard: &Guard,
    query: &Query,
    gradient: Option<&[f32]>,
    length: f32,
    stream: &mut Stream,
) -> Vec<Query> {
    let towards: Vec<f32>;
    let directions = if let Some(gradient) = gradient {
        [(gradient, length), (gradient, 3.0 * length)]
    } else {
        let donors = space.donors();
        let other = space.features(donors[stream.below(donors.len())]);
        let difference = other.iter().zip(&query.features);
        towards = difference.map(|(to, from)| to - from).collect();
        [(&towards[..], length), (&towards[..], -length)]
    };
    let mut moves = Vec::with_capacity(directions.len());
    for (direction, length) in directions {
        let norm = direction.iter().map(|x| x * x).sum::<f32>().sqrt();
        // A gradient that is not finite shows no direction either.
        if !(norm.is_finite() && norm > 0.0) {
            continue;
        }
        let mut features = query.features.clone();
        for (value, step) in features.iter_mut().zip(direction) {
            *value += length / norm * step;
        }
        space.settle_image(&mut features);
        space.push_out(guard, &mut features);
        space.settle_image(&mut features);
        if space.allows(guard, &features) {
            moves.push(Query {
                features,
                ..query.clone()
            });
        }
    }
    moves
}
