//! Pooling squares of 2 × 2 pixels, and the way back through pooling and activation.

use super::convolution::After;
use super::images::Images;
use super::simd::Simd;
use super::{Kernel, Task};

impl Kernel {
    /// Image `image_to` of `to` = after(the largest of each square of image `image` of
    /// `from`), and in `winners` which of the four it was: 0 to 3, row by row.
    ///
    /// A number that is NaN may be passed over.
    ///
    /// # Panics
    /// If the shapes do not fit; pixels of all must be padded.
    pub(crate) fn pool_largest(
        self,
        (from, image): (&Images, usize),
        after: After,
        (to, image_to): (&mut Images, usize),
        winners: &mut Images,
    ) {
        check_squares(from, image, to, image_to);
        assert_eq!(to.shape(), winners.shape());
        assert!(image_to < winners.count() && winners.is_padded());
        self.run(PoolLargest {
            from,
            image,
            after,
            to,
            image_to,
            winners,
        });
    }

    /// Image `image_to` of `to` = the mean of each square of image `image` of `from`.
    ///
    /// # Panics
    /// If the shapes do not fit; pixels of both must be padded.
    pub(crate) fn pool_means(
        self,
        (from, image): (&Images, usize),
        (to, image_to): (&mut Images, usize),
    ) {
        check_squares(from, image, to, image_to);
        self.run(PoolMeans {
            from,
            image,
            to,
            image_to,
        });
    }

    /// The gradient with respect to what went into [`Self::pool_largest`] (image 0 of
    /// `to`), from that with respect to its output (image 0 of `deltas`); image `image` of
    /// `outputs` and `winners` is what it made.
    ///
    /// # Panics
    /// If the shapes do not fit; pixels of all must be padded.
    pub(crate) fn unpool_largest(
        self,
        deltas: &Images,
        (outputs, winners, image): (&Images, &Images, usize),
        after: After,
        to: &mut Images,
    ) {
        check_squares(to, 0, outputs, image);
        check_squares(to, 0, winners, image);
        check_squares(to, 0, deltas, 0);
        clear_odd(to);
        self.run(UnpoolLargest {
            deltas,
            outputs,
            winners,
            image,
            after,
            to,
        });
    }

    /// The gradient with respect to what went into an activation (image 0 of `to`), from
    /// that with respect to its output or, if `pooled`, to the means of squares of its
    /// output (image 0 of `deltas`); image `image` of `outputs` is what it made.
    ///
    /// # Panics
    /// If the shapes do not fit; pixels of all must be padded.
    pub(crate) fn through_activation(
        self,
        deltas: &Images,
        pooled: bool,
        (outputs, image): (&Images, usize),
        after: After,
        to: &mut Images,
    ) {
        if pooled {
            check_squares(to, 0, deltas, 0);
            clear_odd(to);
        } else {
            assert_eq!(to.shape(), deltas.shape());
            assert!(to.count() > 0 && to.is_padded() && deltas.is_padded());
        }
        assert_eq!(to.shape(), outputs.shape());
        assert!(deltas.count() > 0 && image < outputs.count() && outputs.is_padded());
        self.run(ThroughActivation {
            deltas,
            pooled,
            outputs,
            image,
            after,
            to,
        });
    }
}

/// Rows and columns that no square reaches have no gradient.
fn clear_odd(images: &mut Images) {
    let (height, width, _) = images.shape();
    if height % 2 + width % 2 > 0 {
        images.clear(0);
    }
}

fn check_squares(large: &Images, image_of_large: usize, small: &Images, image_of_small: usize) {
    let (height, width, channels) = large.shape();
    assert_eq!((height / 2, width / 2, channels), small.shape());
    assert!(image_of_large < large.count() && image_of_small < small.count());
    assert!(large.is_padded() && small.is_padded());
}

/// The four pixels of a square: rows and columns from the first.
const SQUARE: [(usize, usize); 4] = [(0, 0), (0, 1), (1, 0), (1, 1)];

/// Multiplies a gradient by the slope of the activation, known from its output.
///
/// # Safety
/// The CPU must have the instruction set.
#[inline(always)]
unsafe fn times_slope<S: Simd>(delta: S::Vector, after: After, output: S::Vector) -> S::Vector {
    // SAFETY: the caller vouches for the instruction set.
    unsafe {
        match after {
            After::Nothing => delta,
            After::Relu => S::if_positive(output, delta, S::splat(0.0)),
            After::Tanh => S::mul(delta, S::sub(S::splat(1.0), S::mul(output, output))),
        }
    }
}

struct PoolLargest<'a> {
    from: &'a Images,
    image: usize,
    after: After,
    to: &'a mut Images,
    image_to: usize,
    winners: &'a mut Images,
}

impl Task for PoolLargest<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (height, width, channels) = self.to.shape();
        for row in 0..height {
            for column in 0..width {
                let from = SQUARE.map(|(down, right)| {
                    self.from
                        .pixel(self.image, 2 * row + down, 2 * column + right)
                });
                let to = self.to.pixel_mut(self.image_to, row, column);
                let winners = self.winners.pixel_mut(self.image_to, row, column);
                let mut channel = 0;
                while channel < channels {
                    // SAFETY: the pixels lie within their images, as `check_squares` made
                    // sure, and hold whole lines, and so a vector from this channel on. The
                    // caller vouches for the instruction set.
                    unsafe {
                        let mut best = S::load(from[0].add(channel));
                        let mut winner = S::splat(0.0);
                        for (number, from) in from.iter().enumerate().skip(1) {
                            let candidate = S::load(from.add(channel));
                            let ahead = S::sub(candidate, best);
                            winner = S::if_positive(ahead, S::splat(number as f32), winner);
                            best = S::if_positive(ahead, candidate, best);
                        }
                        let best = match self.after {
                            After::Nothing => best,
                            After::Relu => S::relu(best),
                            After::Tanh => S::tanh(best),
                        };
                        S::store(to.add(channel), best);
                        S::store(winners.add(channel), winner);
                    }
                    channel += S::LANES;
                }
            }
        }
    }
}

struct PoolMeans<'a> {
    from: &'a Images,
    image: usize,
    to: &'a mut Images,
    image_to: usize,
}

impl Task for PoolMeans<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (height, width, channels) = self.to.shape();
        for row in 0..height {
            for column in 0..width {
                let from = SQUARE.map(|(down, right)| {
                    self.from
                        .pixel(self.image, 2 * row + down, 2 * column + right)
                });
                let to = self.to.pixel_mut(self.image_to, row, column);
                let mut channel = 0;
                while channel < channels {
                    // SAFETY: as in `PoolLargest`.
                    unsafe {
                        let [a, b, c, d] = from.map(|from| S::load(from.add(channel)));
                        let sum = S::add(S::add(a, b), S::add(c, d));
                        S::store(to.add(channel), S::mul(sum, S::splat(0.25)));
                    }
                    channel += S::LANES;
                }
            }
        }
    }
}

struct UnpoolLargest<'a> {
    deltas: &'a Images,
    outputs: &'a Images,
    winners: &'a Images,
    image: usize,
    after: After,
    to: &'a mut Images,
}

impl Task for UnpoolLargest<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (height, width, channels) = self.deltas.shape();
        for row in 0..height {
            for column in 0..width {
                let deltas = self.deltas.pixel(0, row, column);
                let outputs = self.outputs.pixel(self.image, row, column);
                let winners = self.winners.pixel(self.image, row, column);
                let mut channel = 0;
                while channel < channels {
                    // SAFETY: as in `PoolLargest`.
                    unsafe {
                        let delta = S::load(deltas.add(channel));
                        let output = S::load(outputs.add(channel));
                        let delta = times_slope::<S>(delta, self.after, output);
                        let winner = S::load(winners.add(channel));
                        for (number, (down, right)) in SQUARE.into_iter().enumerate() {
                            // winners are whole numbers: this is positive for equal ones only
                            let off = S::sub(winner, S::splat(number as f32));
                            let equal = S::sub(S::splat(0.5), S::mul(off, off));
                            let to = self.to.pixel_mut(0, 2 * row + down, 2 * column + right);
                            let delta = S::if_positive(equal, delta, S::splat(0.0));
                            S::store(to.add(channel), delta);
                        }
                    }
                    channel += S::LANES;
                }
            }
        }
    }
}

struct ThroughActivation<'a> {
    deltas: &'a Images,
    pooled: bool,
    outputs: &'a Images,
    image: usize,
    after: After,
    to: &'a mut Images,
}

impl Task for ThroughActivation<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (height, width, channels) = self.deltas.shape();
        let squares = if self.pooled {
            &SQUARE[..]
        } else {
            &SQUARE[..1]
        };
        let (side, share) = if self.pooled { (2, 0.25) } else { (1, 1.0) };
        for row in 0..height {
            for column in 0..width {
                let deltas = self.deltas.pixel(0, row, column);
                for (down, right) in squares {
                    let (row, column) = (side * row + down, side * column + right);
                    let outputs = self.outputs.pixel(self.image, row, column);
                    let to = self.to.pixel_mut(0, row, column);
                    let mut channel = 0;
                    while channel < channels {
                        // SAFETY: as in `PoolLargest`.
                        unsafe {
                            let delta = S::mul(S::load(deltas.add(channel)), S::splat(share));
                            let output = S::load(outputs.add(channel));
                            let delta = times_slope::<S>(delta, self.after, output);
                            S::store(to.add(channel), delta);
                        }
                        channel += S::LANES;
                    }
                }
            }
        }
    }
}
