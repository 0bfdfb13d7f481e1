//! Where all records lie: vectors in each space, and what is measured of them.

use giveaway_stats::random::{Stream, derive_seed};
use ndarray::{Array2, ArrayView2, Axis, Slice};

use crate::error::Result;
use crate::explain::geometry::centroids::centroid_distances;
use crate::explain::geometry::isolation_forest::isolation_forest;
use crate::explain::geometry::neighbours::geometry;
use crate::explain::measures::{Places, Space};
use crate::report::explanation::SpaceSummary;
use crate::run::array_file::read_outputs;
use crate::run::directory::RunDirectory;
use crate::run::pool::Pool;
use crate::run::progress::Progress;

use super::inner::InnerModels;

/// Records among which neighbours are searched, at most.
const MOST_CANDIDATES: usize = 100_000;

/// Bytes of the vectors of one space.
const MOST_BYTES: usize = 1 << 30;

/// Models whose last layers make the penultimate space: two pairs of complements, so that each
/// record was learnt from by half of them.
const PENULTIMATE_MODELS: usize = 4;

/// Places of the records in every space, in the order of [`Space::EVERY`].
pub(super) struct AllPlaces {
    pub(super) places: Vec<Places>,
    pub(super) summaries: Vec<SpaceSummary>,
    /// Vectors of the records of the map, in the output and the penultimate space.
    pub(super) of_map: [Array2<f32>; 2],
    /// Records among which neighbours were searched.
    pub(super) candidates: usize,
}

/// How many models fit.
fn models_that_fit(records: usize, width: usize, wanted: usize) -> usize {
    (MOST_BYTES / (4 * records * width).max(1)).clamp(1, wanted)
}

/// Measures where every record lies; `mapped` are the records whose vectors are wanted.
/// `layers` says whether models have any.
pub(super) fn measure(
    run: &RunDirectory,
    pool: &Pool,
    (inner, layers): (&InnerModels<'_>, bool),
    neighbours: usize,
    mapped: &[u32],
    progress: &dyn Progress,
) -> Result<AllPlaces> {
    let records = pool.dataset.len();
    let among = candidates(records, pool.config.seed);
    let mapped: Vec<usize> = mapped.iter().map(|&record| record as usize).collect();
    let mut all = AllPlaces {
        places: Vec::new(),
        summaries: Vec::new(),
        of_map: [Array2::zeros((0, 0)), Array2::zeros((0, 0))],
        candidates: among.len(),
    };
    for space in Space::EVERY {
        progress.begin(
            &format!("measuring distances: {}", space.name()),
            records as u64,
        );
        let mut place = |vectors: ArrayView2<f32>, models: usize, description: String| {
            all.summaries.push(SpaceSummary {
                name: space.name().to_owned(),
                description,
                columns: vectors.ncols(),
                models,
            });
            all.places.push(places_in(
                &vectors, space, pool, &among, neighbours, progress,
            )?);
            Ok(match space {
                Space::Input => Array2::zeros((0, 0)),
                _ => vectors.select(Axis(0), &mapped),
            })
        };
        match space {
            Space::Input => {
                place(
                    pool.dataset.features.view(),
                    0,
                    "the encoded features".to_owned(),
                )?;
            }
            Space::Outputs => {
                let (vectors, models) = outputs(run, pool)?;
                let description = format!(
                    "the logits of {models} reference models side by side, brought to length one"
                );
                all.of_map[0] = place(vectors.view(), models, description)?;
            }
            Space::Penultimate => {
                let width = inner.all().first().map_or(1, |model| model.features());
                let wanted = PENULTIMATE_MODELS.min(inner.numbers.len());
                let models = models_that_fit(records, width, wanted);
                let vectors = inner.penultimate(models)?;
                let description = if layers {
                    format!("what the last layers of {models} reference models see, side by side")
                } else {
                    format!("the logits of {models} reference models, side by side")
                };
                all.of_map[1] = place(vectors.view(), models, description)?;
            }
        }
        progress.end();
    }
    Ok(all)
}

/// The records among which neighbours are searched: all, or a sample.
fn candidates(records: usize, seed: u64) -> Vec<u32> {
    let mut all: Vec<u32> = (0..records as u32).collect();
    if records > MOST_CANDIDATES {
        Stream::new(seed, "records among which neighbours are searched", 0).shuffle(&mut all);
        all.truncate(MOST_CANDIDATES);
        all.sort_unstable();
    }
    all
}

fn places_in(
    vectors: &ArrayView2<f32>,
    space: Space,
    pool: &Pool,
    among: &[u32],
    neighbours: usize,
    progress: &dyn Progress,
) -> Result<Places> {
    let dataset = &pool.dataset;
    let labels = &dataset.labels;
    let classes = dataset.schema.classes.len();
    let owners: Vec<u32> = (0..dataset.len())
        .map(|record| pool.units.of_record(record) as u32)
        .collect();
    let seed = derive_seed(pool.config.seed, space.name(), 0);
    let found = geometry(vectors, labels, classes, &owners, among, neighbours, |n| {
        progress.advance(n);
    })?;
    let centroids = centroid_distances(vectors, labels, classes, seed)?;
    let isolation = isolation_forest(vectors, seed)?;
    Ok(Places::new(found, centroids, isolation, labels))
}

/// The logits of the models that measure side by side, `[records × models · classes]`, each
/// record's brought to length one as for the selection by neighbours.
fn outputs(run: &RunDirectory, pool: &Pool) -> Result<(Array2<f32>, usize)> {
    let (records, classes) = (pool.dataset.len(), pool.dataset.schema.classes.len());
    let measuring = pool.membership.halves()[0].clone();
    let models = models_that_fit(records, classes, measuring.len());
    let mut all = Array2::zeros((records, models * classes));
    for (position, model) in measuring.take(models).enumerate() {
        let logits = read_outputs(&run.signal_file(model), records, classes)?;
        let columns = Slice::from(position * classes..(position + 1) * classes);
        all.slice_axis_mut(Axis(1), columns).assign(&logits);
    }
    for mut row in all.rows_mut() {
        let square: f64 = row.iter().map(|&x: &f32| f64::from(x) * f64::from(x)).sum();
        if square > 0.0 {
            let norm = square.sqrt();
            row.mapv_inplace(|x| (f64::from(x) / norm) as f32);
        }
    }
    Ok((all, models))
}
