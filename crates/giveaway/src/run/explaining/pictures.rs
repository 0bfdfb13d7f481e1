//! Pictures of an explanation: a map of the records, and where convolutional networks look.

use std::collections::BTreeSet;

use base64::Engine as _;
use giveaway_stats::random::Stream;
use ndarray::{Array2, Axis, Slice};
use rayon::prelude::*;

use super::Work;
use super::inner::InnerModels;
use crate::error::Result;
use crate::explain::attribution::grad_cam::class_activation_maps;
use crate::explain::geometry::embedding::{STEPS, embed, trustworthiness};
use crate::explain::geometry::projection::principal_components;
use crate::explain::measures::Places;
use crate::report::FORMAT_VERSION;
use crate::report::explanation::{MapSummary, MapView};
use crate::report::records::{Values, to_parquet};
use crate::run::pool::Pool;
use crate::run::progress::Progress;

/// Points of the map.
const POINTS: usize = 2_000;

/// Exposed units among them, at most.
const MOST_EXPOSED: usize = 500;

/// Neighbours that trustworthiness looks at.
const TRUSTED_NEIGHBOURS: usize = 10;

/// The perplexity of t-SNE, as scikit-learn has it.
const PERPLEXITY: f64 = 30.0;

/// Members of a class whose activation is shown: so many nearest to its centre, as many farthest.
const SHOWN_MEMBERS: usize = 3;

/// Classes for which they are.
const MOST_CLASSES: usize = 20;

/// Exposed units with an activation map.
const MOST_ACTIVATIONS: usize = 50;

/// Units of the map: the exposed ones, and others drawn at random; in the order of their numbers.
pub(super) fn points(pool: &Pool, explained: &[u32]) -> Vec<u32> {
    let exposed: BTreeSet<u32> = explained.iter().copied().take(MOST_EXPOSED).collect();
    let mut rest: Vec<u32> = pool
        .audited
        .iter()
        .copied()
        .filter(|unit| !exposed.contains(unit))
        .collect();
    Stream::new(pool.config.seed, "units of the map", 0).shuffle(&mut rest);
    rest.truncate(POINTS.saturating_sub(exposed.len()));
    let mut all: Vec<u32> = exposed.into_iter().chain(rest).collect();
    all.sort_unstable();
    all
}

/// Lays out the map; nothing where it has too few points for any.
pub(super) fn map(
    work: &Work<'_>,
    points: &[u32],
    explained: &[u32],
    vectors: &[Array2<f32>; 2],
    progress: &dyn Progress,
) -> Result<(Option<Vec<u8>>, Option<MapSummary>)> {
    // t-SNE needs some neighbours for each point.
    if points.len() < 10 {
        return Ok((None, None));
    }
    progress.begin("laying out the map", 2 * STEPS as u64);
    let exposed: BTreeSet<u32> = explained.iter().copied().collect();
    let is_exposed: Vec<bool> = points.iter().map(|unit| exposed.contains(unit)).collect();
    let mut columns = vec![
        (
            "unit".to_owned(),
            Values::Whole(points.iter().map(|&unit| Some(i64::from(unit))).collect()),
        ),
        (
            "record".to_owned(),
            Values::Whole(
                points
                    .iter()
                    .map(|&unit| Some(i64::from(work.pool.units.records(unit as usize)[0])))
                    .collect(),
            ),
        ),
        (
            "exposed".to_owned(),
            Values::Truth(is_exposed.iter().map(|&is| Some(is)).collect()),
        ),
    ];
    let mut views = Vec::new();
    let few = if work.trainer.has_layers() {
        "penultimate features"
    } else {
        "logits of a few models"
    };
    for (name, space, vectors) in [
        ("penultimate", few, &vectors[1]),
        ("logits", "logits", &vectors[0]),
    ] {
        for laid_out in layouts(vectors, &|steps| progress.advance(steps))? {
            let view = MapView {
                name: format!("{name}_{}", laid_out.suffix),
                space: space.to_owned(),
                method: laid_out.method.to_owned(),
                trustworthiness: Some(laid_out.trustworthiness),
                divergence: laid_out.divergence,
                variance: laid_out.variance,
            };
            for (axis, suffix) in ["x", "y"].into_iter().enumerate() {
                columns.push((
                    format!("{}_{suffix}", view.name),
                    Values::Number(laid_out.points.column(axis).to_vec()),
                ));
            }
            views.push(view);
        }
    }
    progress.end();
    let file = to_parquet(
        &columns,
        &[("giveaway.format_version", FORMAT_VERSION.to_string())],
    )?;
    let summary = MapSummary {
        points: points.len(),
        exposed: is_exposed.iter().filter(|&&is| is).count(),
        views,
    };
    Ok((Some(file), Some(summary)))
}

/// One way to lay out points.
struct Layout {
    suffix: &'static str,
    method: &'static str,
    points: Array2<f64>,
    trustworthiness: f64,
    divergence: Option<f64>,
    variance: Option<f64>,
}

/// t-SNE and PCA of some vectors.
fn layouts(vectors: &Array2<f32>, step: &(impl Fn(u64) + Sync)) -> Result<[Layout; 2]> {
    let vectors = vectors.view();
    let trust = |points: &Array2<f64>| {
        // More are not defined.
        let neighbours = TRUSTED_NEIGHBOURS.min((vectors.nrows() - 1) / 2);
        trustworthiness(&vectors, &points.view(), neighbours)
    };
    let embedding = embed(&vectors, PERPLEXITY, step)?;
    let projection = principal_components(&vectors, 2)?;
    let mut flat = Array2::zeros((vectors.nrows(), 2));
    for (mut to, from) in flat
        .columns_mut()
        .into_iter()
        .zip(projection.coordinates.columns())
    {
        to.assign(&from);
    }
    Ok([
        Layout {
            suffix: "tsne",
            method: "t-SNE",
            trustworthiness: trust(&embedding.points)?,
            points: embedding.points,
            divergence: Some(embedding.divergence),
            variance: None,
        },
        Layout {
            suffix: "pca",
            method: "PCA",
            trustworthiness: trust(&flat)?,
            points: flat,
            divergence: None,
            variance: Some(projection.explained.iter().sum()),
        },
    ])
}

/// A record whose activation is wanted.
struct Wanted {
    unit: u32,
    record: u32,
    role: &'static str,
    rank: usize,
    distance: f64,
}

/// Class activation maps of exposed units, and of the members of each class that are nearest to
/// its centre and farthest from it in the penultimate layer; nothing where models have no
/// convolutions.
pub(super) fn activations(
    work: &Work<'_>,
    inner: &InnerModels<'_>,
    penultimate: &Places,
    explained: &[u32],
    progress: &dyn Progress,
) -> Result<Option<Vec<u8>>> {
    let pool = work.pool;
    let Some(shape) = pool.dataset.schema.image else {
        return Ok(None);
    };
    let distance = &penultimate.centroids.euclidean.own;
    let mut wanted: Vec<Wanted> = Vec::new();
    for class in 0..pool.dataset.schema.classes.len().min(MOST_CLASSES) {
        let mut own: Vec<u32> = pool
            .audited
            .iter()
            .copied()
            .filter(|&unit| {
                pool.dataset.labels[work.stands_for[unit as usize] as usize] as usize == class
            })
            .collect();
        let of = |unit: u32| distance[work.stands_for[unit as usize] as usize];
        own.sort_by(|&a, &b| of(a).total_cmp(&of(b)).then(a.cmp(&b)));
        let shown = SHOWN_MEMBERS.min(own.len() / 2);
        let closest = own.iter().take(shown).map(|&unit| ("closest", unit));
        let farthest = own.iter().rev().take(shown).map(|&unit| ("farthest", unit));
        let ranks = (1..=shown).cycle();
        wanted.extend(
            closest
                .chain(farthest)
                .zip(ranks)
                .map(|((role, unit), rank)| Wanted {
                    unit,
                    record: work.stands_for[unit as usize],
                    role,
                    rank,
                    distance: of(unit),
                }),
        );
    }
    wanted.extend(
        (1..)
            .zip(explained.iter().take(MOST_ACTIVATIONS))
            .map(|(rank, &unit)| {
                let record = work.stands_for[unit as usize];
                Wanted {
                    unit,
                    record,
                    role: "exposed",
                    rank,
                    distance: distance[record as usize],
                }
            }),
    );
    progress.begin("looking where the models look", wanted.len() as u64);
    let models = inner.all();
    let maps: Vec<Option<String>> = wanted
        .par_iter()
        .map(|one| {
            let record = one.record as usize;
            let inputs = pool
                .dataset
                .features
                .slice_axis(Axis(0), Slice::from(record..=record));
            let maps = class_activation_maps(&models, inputs, pool.dataset.labels[record], shape)?;
            progress.advance(1);
            Ok(maps.map(|maps| {
                let bytes: Vec<u8> = maps.iter().map(|&x| (x * 255.0).round() as u8).collect();
                base64::engine::general_purpose::STANDARD.encode(bytes)
            }))
        })
        .collect::<Result<_>>()?;
    progress.end();
    if maps.iter().any(Option::is_none) {
        return Ok(None);
    }
    let whole = |of: &dyn Fn(&Wanted) -> i64| {
        Values::Whole(wanted.iter().map(|one| Some(of(one))).collect())
    };
    let text =
        |of: &dyn Fn(&Wanted) -> String| Values::Text(wanted.iter().map(|w| Some(of(w))).collect());
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let classes = &pool.dataset.schema.classes;
    let columns = [
        ("unit", whole(&|one| i64::from(one.unit))),
        ("record", whole(&|one| i64::from(one.record))),
        ("role", text(&|one| one.role.to_owned())),
        (
            "class",
            text(&|one| classes[pool.dataset.labels[one.record as usize] as usize].clone()),
        ),
        ("rank", whole(&|one| count(one.rank))),
        (
            "distance",
            Values::Number(wanted.iter().map(|one| one.distance).collect()),
        ),
        ("height", whole(&|_| count(shape.height))),
        ("width", whole(&|_| count(shape.width))),
        ("map", Values::Text(maps)),
    ]
    .map(|(name, values)| (name.to_owned(), values));
    to_parquet(
        &columns,
        &[("giveaway.format_version", FORMAT_VERSION.to_string())],
    )
    .map(Some)
}
