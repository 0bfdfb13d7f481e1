//! The convolutions of a network, with their work shared among threads by images.
//!
//! Each thread has buffers and filters of its own and some of a batch's images. So that
//! the sums of the filters' gradients do not depend on how many threads there are, images
//! form groups by their number in the batch: the gradients within a group are summed one
//! after another, and so are the sums of the groups.

use std::ops::Range;

use crate::config::{Activation, Image};
use crate::examples::Examples;
use crate::kernel::{Crew, Images, Matrix, Move, Parameters, Step};
use crate::stem::Stem;
use crate::trained::Filters;

/// Groups of the images of a batch; more threads than this find no work.
const GROUPS: usize = 8;

/// What one thread needs.
#[derive(Debug)]
struct Share {
    stem: Stem,
    /// The groups of images that are its own.
    groups: Range<usize>,
    /// The gradients of each of them, summed; of all together where there is one thread, and
    /// none where nothing is learnt.
    sums: Vec<Vec<Matrix>>,
}

impl Share {
    /// Its images of a batch of so many.
    fn images(&self, rows: usize) -> Range<usize> {
        start_of(self.groups.start, rows)..start_of(self.groups.end, rows)
    }
}

/// The first image of a group.
fn start_of(group: usize, rows: usize) -> usize {
    group * rows / GROUPS
}

/// For each of so many threads that finds work its groups, and the most images that they
/// have in a batch of so many.
pub(crate) fn shares(threads: usize, batch: usize) -> Vec<(Range<usize>, usize)> {
    let count = threads.min(GROUPS);
    let share = |number: usize| {
        let groups = number * GROUPS / count..(number + 1) * GROUPS / count;
        let most = batch
            .div_ceil(GROUPS)
            .saturating_mul(groups.len())
            .min(batch);
        (groups, most)
    };
    (0..count).map(share).collect()
}

/// The convolutions of a network and the memory that they need, for all threads.
#[derive(Debug)]
pub(crate) struct Stems<'t> {
    crew: Crew<'t>,
    /// At least one; the filters are the first one's, which alone has an optimiser's memory.
    shares: Vec<Share>,
    /// Whether the others' filters are those of the first.
    current: bool,
}

impl<'t> Stems<'t> {
    /// Convolutions whose weights are still 0, for batches of up to `batch` images. Only if
    /// it `learns` may [`Self::backward`] and [`Self::step`] be called.
    pub(crate) fn new(
        crew: Crew<'t>,
        image: &Image,
        activation: Activation,
        batch: usize,
        learns: bool,
    ) -> Self {
        let shares = shares(crew.threads(), batch);
        let alone = shares.len() == 1;
        let share = |(groups, most): (Range<usize>, usize)| {
            let learnt = learns && groups.start == 0;
            let stem = Stem::new(*crew, image, activation, most, learnt);
            let sums = match (learns, alone) {
                (false, _) => 0,
                (true, true) => 1,
                (true, false) => groups.len(),
            };
            let zeros = |part: &Parameters| Matrix::zeros(part.value.rows(), part.value.columns());
            Share {
                groups,
                sums: (0..sums)
                    .map(|_| stem.parameters().map(zeros).collect())
                    .collect(),
                stem,
            }
        };
        Self {
            crew,
            shares: shares.into_iter().map(share).collect(),
            current: false,
        }
    }

    fn first(&self) -> &Stem {
        &self.shares[0].stem
    }

    fn first_mut(&mut self) -> &mut Stem {
        self.current = false;
        &mut self.shares[0].stem
    }

    /// As [`Stem::randomise`].
    pub(crate) fn randomise(&mut self, seed: u64) {
        self.first_mut().randomise(seed);
    }

    /// As [`Stem::set_filters`].
    pub(crate) fn set_filters(&mut self, filters: &[Filters]) {
        self.first_mut().set_filters(filters);
    }

    /// As [`Stem::filters`].
    pub(crate) fn filters(&self) -> Vec<Filters> {
        self.first().filters()
    }

    /// As [`Stem::parameters`].
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &Parameters> {
        self.first().parameters()
    }

    /// As [`Stem::parameters_mut`].
    pub(crate) fn parameters_mut(&mut self) -> impl Iterator<Item = &mut Parameters> {
        self.first_mut().parameters_mut()
    }

    /// As [`Stem::used_rows`].
    pub(crate) fn used_rows(&self) -> impl Iterator<Item = (usize, usize)> {
        self.first().used_rows()
    }

    /// As [`Stem::forward`].
    pub(crate) fn forward(
        &mut self,
        examples: &Examples,
        rows: &[u32],
        moves: Option<&[Move]>,
        to: &mut Matrix,
    ) {
        let own = |share: &Share| share.images(rows.len());
        let ranges = self.shares.iter().map(|share| own(share).len());
        let mut targets = to.split_rows(ranges.collect::<Vec<_>>().into_iter());
        let current = std::mem::replace(&mut self.current, true);
        let (first, others) = self.shares.split_at_mut(1);
        if !current {
            for share in &mut *others {
                share.stem.copy_filters(&first[0].stem);
            }
        }
        let mut work: Vec<_> = first.iter_mut().chain(others).zip(&mut targets).collect();
        self.crew.each(&mut work, |_, (share, to)| {
            let own = share.images(rows.len());
            let moves = moves.map(|moves| &moves[own.clone()]);
            share.stem.forward(examples, &rows[own], moves, to);
        });
    }

    /// Computes the gradients of all parameters, summed over the first `rows` images of the
    /// batch; `deltas` are the gradients with respect to what [`Self::forward`] gave.
    pub(crate) fn backward(&mut self, rows: usize, deltas: &Matrix) {
        let alone = self.shares.len() == 1;
        self.crew.each(&mut self.shares, |_, share| {
            let Share { stem, groups, sums } = share;
            let first = start_of(groups.start, rows);
            stem.transpose();
            for group in groups.clone() {
                let (start, end) = (start_of(group, rows), start_of(group + 1, rows));
                stem.backward(start - first..end - first, (deltas, start));
                let to = if alone { 0 } else { group - groups.start };
                if alone && group > 0 {
                    stem.add_gradients_to(&mut sums[to]);
                } else {
                    stem.swap_gradients(&mut sums[to]);
                }
            }
        });
        let (total, others) = self.shares.split_at_mut(1);
        let Share { stem, sums, .. } = &mut total[0];
        let (total, own) = sums.split_at_mut(1);
        let others = own
            .iter()
            .chain(others.iter().flat_map(|share| &share.sums));
        for sums in others {
            for (total, sum) in total[0].iter_mut().zip(sums) {
                total.add_scaled(1.0, sum);
            }
        }
        stem.swap_gradients(&mut total[0]);
    }

    /// As [`Stem::each_gradient`].
    pub(crate) fn each_gradient(
        &mut self,
        rows: usize,
        deltas: &Matrix,
        mut each: impl FnMut(usize, f32, &mut dyn Iterator<Item = &Matrix>),
    ) {
        for share in &mut self.shares {
            let own = share.images(rows);
            share.stem.each_gradient(
                own.len(),
                (deltas, own.start),
                |image, square, gradients| {
                    each(own.start + image, square, gradients);
                },
            );
        }
    }

    /// Adds to each number of `to` the square of the norm of the gradient of that image, as
    /// [`Self::each_gradient`] computes it.
    pub(crate) fn add_gradient_squares(&mut self, deltas: &Matrix, to: &mut [f32]) {
        let (rows, mut left) = (to.len(), to);
        let mut work = Vec::with_capacity(self.shares.len());
        for share in &mut self.shares {
            let (own, others) = left.split_at_mut(share.images(rows).len());
            work.push((share, own));
            left = others;
        }
        self.crew.each(&mut work, |_, (share, to)| {
            let own = share.images(rows);
            let deltas = (deltas, own.start);
            share
                .stem
                .each_gradient(own.len(), deltas, |image, square, _| {
                    to[image] += square;
                });
        });
    }

    /// As [`Stem::each_output_gradient`]. The outputs that `each` gets are those of the image's
    /// thread, among which it has the first number.
    pub(crate) fn each_output_gradient(
        &mut self,
        rows: usize,
        deltas: &Matrix,
        layer: usize,
        mut each: impl FnMut(usize, (&Images, usize), &Images),
    ) {
        for share in &mut self.shares {
            let own = share.images(rows);
            share.stem.each_output_gradient(
                own.len(),
                (deltas, own.start),
                layer,
                |image, outputs, gradient| each(own.start + image, (outputs, image), gradient),
            );
        }
    }

    /// As [`Stem::step`].
    pub(crate) fn step(&mut self, step: &Step) {
        self.first_mut().step(step);
    }
}
