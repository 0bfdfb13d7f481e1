//! Neighbours for exposed records, as SMOTE makes them: Chawla, Bowyer, Hall and Kegelmeyer, "SMOTE:
//! synthetic minority over-sampling technique" (JAIR 2002).
//!
//! For each exposed record x of a training set, m records x + u·(x′ − x) of the same class are added,
//! u uniform in [0, 1) and x′ one of the k nearest records of the class in the training set (Euclidean
//! distance of the encoded features; records of x's own unit do not count). What lies alone gets
//! company. Features that encode categories take values between 0 and 1, as no record has them.

use giveaway_stats::random::Stream;
use ndarray::{Array2, CowArray, Ix2};
use rayon::prelude::*;

use super::around::{Around, Change, check, need_exposed};
use crate::defend::{About, Bench, Defence, Stage};
use crate::error::{Error, Result};
use crate::trainer::{Added, Lesson, Model, Trainer};

/// Adds interpolations between exposed records and their neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbours {
    count: usize,
    nearest: usize,
}

impl Neighbours {
    /// So many (m) for each exposed record, towards the so many (k) nearest.
    ///
    /// # Errors
    /// If one of the numbers is 0.
    pub fn new(count: usize, nearest: usize) -> Result<Self> {
        let must = "at least 1";
        check(
            "neighbours",
            "the number of added records",
            count,
            "from 1 to 1000",
            (1..=1000).contains(&count),
        )?;
        check(
            "neighbours",
            "the number of nearest records",
            nearest,
            must,
            nearest > 0,
        )?;
        Ok(Self { count, nearest })
    }
}

struct Company<'a> {
    settings: Neighbours,
    bench: &'a Bench<'a>,
    /// In standard layout.
    features: CowArray<'a, f32, Ix2>,
}

impl Company<'_> {
    fn features(&self, record: u32) -> &[f32] {
        let width = self.features.ncols();
        let all = self.features.as_slice().unwrap_or_default();
        &all[record as usize * width..][..width]
    }

    /// The nearest of the records of a class to one of them, nearest first; the lower number
    /// first where two are as near.
    fn nearest(&self, record: u32, class: &[u32]) -> Vec<u32> {
        let units = self.bench.units;
        let own = units.of_record(record as usize);
        let from = self.features(record);
        let mut found: Vec<(f32, u32)> = class
            .iter()
            .filter(|&&other| units.of_record(other as usize) != own)
            .map(|&other| (squared_distance(from, self.features(other)), other))
            .collect();
        let nearer = |a: &(f32, u32), b: &(f32, u32)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        let wanted = self.settings.nearest;
        if found.len() > wanted {
            found.select_nth_unstable_by(wanted - 1, nearer);
            found.truncate(wanted);
        }
        found.sort_by(nearer);
        found.into_iter().map(|(_, other)| other).collect()
    }

    /// The records to add for one: one after another.
    fn company(&self, record: u32, class: &[u32], seed: u64) -> Vec<f32> {
        let nearest = self.nearest(record, class);
        if nearest.is_empty() {
            return Vec::new();
        }
        let mut stream = Stream::new(seed, "neighbours", u64::from(record));
        let from = self.features(record);
        let mut added = Vec::with_capacity(self.settings.count * from.len());
        for _ in 0..self.settings.count {
            let to = self.features(nearest[stream.below(nearest.len())]);
            let u = stream.uniform() as f32;
            added.extend(from.iter().zip(to).map(|(x, to)| x + u * (to - x)));
        }
        added
    }
}

/// In as many sums as vectors have numbers.
fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 16];
    for (a, b) in a.chunks(16).zip(b.chunks(16)) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += (a - b) * (a - b);
        }
    }
    sums.iter().sum()
}

impl Change for Company<'_> {
    fn train<'t>(
        &'t self,
        inner: &'t (dyn Trainer + 't),
        rows: &[u32],
        validation: &[u32],
        seed: u64,
    ) -> Result<Box<dyn Model + 't>> {
        let Bench {
            dataset, exposed, ..
        } = *self.bench;
        let mut distinct = rows.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let mut classes = vec![Vec::new(); dataset.class_count()];
        for &row in &distinct {
            classes[dataset.labels[row as usize] as usize].push(row);
        }
        let lonely: Vec<u32> = distinct
            .into_iter()
            .filter(|&row| exposed[row as usize])
            .collect();
        let company: Vec<Vec<f32>> = lonely
            .par_iter()
            .map(|&record| {
                let label = dataset.labels[record as usize] as usize;
                self.company(record, &classes[label], seed)
            })
            .collect();
        drop(classes);
        let width = dataset.features.ncols();
        let labels: Vec<u32> = lonely
            .iter()
            .zip(&company)
            .flat_map(|(&record, added)| {
                std::iter::repeat_n(dataset.labels[record as usize], added.len() / width.max(1))
            })
            .collect();
        if labels.is_empty() {
            return inner.train(rows, validation, seed);
        }
        let features = Array2::from_shape_vec((labels.len(), width), company.concat())
            .map_err(|e| Error::unexpected(format!("cannot lay out added records: {e}")))?;
        drop(company);
        let lesson = Lesson {
            added: Some(Added {
                features: features.view(),
                labels: &labels,
            }),
            ..Lesson::of(rows, validation)
        };
        inner.learn(&lesson, seed)
    }

    fn memory(&self, _: usize, records: usize, threads: usize) -> usize {
        let Bench {
            dataset, exposed, ..
        } = *self.bench;
        let exposed = exposed.iter().filter(|exposed| **exposed).count();
        let added = self.settings.count.saturating_mul(exposed.min(records));
        let width = dataset.features.ncols();
        // a copy of the data set with them; they themselves, twice while they are laid out; the
        // distances from a record on each thread; lists of rows
        let copy = (dataset.len() + added).saturating_mul(width.next_multiple_of(16) + 1);
        let own = added.saturating_mul(2 * width + 1);
        let lists = records.saturating_mul(2 * threads + 3);
        copy.saturating_add(own)
            .saturating_add(lists)
            .saturating_mul(size_of::<f32>())
    }
}

impl Defence for Neighbours {
    fn name(&self) -> String {
        format!("neighbours:{},{}", self.count, self.nearest)
    }

    fn about(&self) -> About {
        About {
            title: format!("{} neighbours added for each exposed record", self.count),
            source: "Chawla and others 2002 (SMOTE)",
            what: format!(
                "For each exposed record, {} points between it and its {} nearest of the same class are added to the training set.",
                self.count, self.nearest
            ),
            promise: Some("Nothing is guaranteed: the record itself is still trained on, and points near it can make it remembered better rather than less.".into()),
            stage: Stage::Training,
            sample_aware: true,
            keeps_labels: false,
            scikit_learn: format!("sklearn.neighbors.NearestNeighbors(n_neighbors={}).fit on each class; leave out the first neighbour, the record itself; X_new = x + u * (neighbour - x) for the records of drop.csv, appended to X and y (imbalanced-learn's SMOTE adds for whole classes, not for listed records)", self.nearest + 1),
            pytorch: "torch.utils.data.ConcatDataset([dataset, TensorDataset(x + u * (neighbour - x), y)])".into(),
        }
    }

    fn trainer<'a>(&'a self, bench: &'a Bench<'a>) -> Result<Option<Box<dyn Trainer + 'a>>> {
        need_exposed(bench, "add neighbours to")?;
        let change = Company {
            settings: *self,
            bench,
            features: bench.dataset.features.as_standard_layout(),
        };
        Ok(Some(Around::plain(bench, change)))
    }
}
