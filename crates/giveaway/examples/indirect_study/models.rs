//! Models of one data set, trained side by side, and the parts that they play.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use giveaway::channel::Channel;
use giveaway::dataset::Dataset;
use giveaway::enhance::effect::Contrast;
use giveaway::membership::Membership;
use giveaway::signals::Signals;
use giveaway::trainer::{Model, Trainer};
use giveaway::units::Units;
use giveaway::{Error, Result};
use giveaway_stats::random::derive_seed;
use rayon::ThreadPoolBuilder;

pub(crate) type Models<'a> = Vec<Box<dyn Model + 'a>>;

/// Makes so many things, one per thread at a time, and gives them in their order.
pub(crate) fn side_by_side<T: Send + Sync>(
    count: usize,
    make: impl Fn(usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let workers = rayon::current_num_threads().min(count);
    if workers < 2 {
        return (0..count).map(make).collect();
    }
    let made: Vec<OnceLock<Result<T>>> = (0..count).map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    // Each worker is a pool of one thread: what it makes does not wait for the others.
    let work = || -> Result<()> {
        let alone = ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .map_err(|e| Error::unexpected(format!("cannot start a thread: {e}")))?;
        alone.install(|| {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(slot) = made.get(number) else {
                    return Ok(());
                };
                let result = make(number);
                if slot.set(result).is_err() {
                    return Err(Error::unexpected("a thing was made twice"));
                }
            }
        })
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .unwrap_or_else(|_| Err(Error::unexpected("a worker panicked")))
        })
    })?;
    made.into_iter()
        .map(|slot| {
            slot.into_inner()
                .unwrap_or_else(|| Err(Error::unexpected("a thing was not made")))
        })
        .collect()
}

/// One model for each training set.
pub(crate) fn train<'a>(
    trainer: &'a dyn Trainer,
    units: &Units,
    membership: &Membership,
    seed: u64,
) -> Result<Models<'a>> {
    side_by_side(membership.models(), |model| {
        let rows = units.expand(membership.training_units(model));
        let seed = derive_seed(seed, "training a model", model as u64);
        trainer.train(&rows, &[], seed)
    })
}

/// Loss and scaled logit of all units on all models.
pub(crate) fn signals(
    models: &[Box<dyn Model + '_>],
    membership: &Membership,
    units: &Units,
    dataset: &Dataset,
) -> Result<Signals> {
    Signals::load(
        membership,
        units,
        &dataset.labels,
        Channel::default(),
        &[],
        |model| models[model].answer(dataset.features.view()),
    )
}

/// Which reference models build queries (A), which confirm them (B), and which test (C).
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) building: Vec<usize>,
    pub(crate) confirming: Vec<usize>,
    pub(crate) testing: Vec<usize>,
}

impl Parts {
    /// As in an audit: of the first half of the pairs three quarters build and the others
    /// confirm; the second half tests.
    pub(crate) fn of_audit(membership: &Membership) -> Self {
        let [first, second] = membership.halves();
        let cut =
            membership.family_size() * (3 * first.len() / membership.family_size()).div_ceil(4);
        Self {
            building: (0..cut).collect(),
            confirming: (cut..first.end).collect(),
            testing: second.collect(),
        }
    }
}

/// IN against OUT models of a unit, among these.
pub(crate) fn contrast<'m>(
    models: &'m [Box<dyn Model + '_>],
    membership: &Membership,
    among: &[usize],
    unit: usize,
) -> Contrast<'m> {
    let of = |wanted: bool| {
        among
            .iter()
            .filter(|&&model| membership.is_in(model, unit) == wanted)
            .map(|&model| &*models[model])
            .collect()
    };
    Contrast {
        inside: of(true),
        outside: of(false),
        paired: false,
        channel: Channel::default(),
    }
}
