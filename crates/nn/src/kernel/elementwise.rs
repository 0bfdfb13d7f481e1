//! Passes over numbers that stand in the same places: what residual addition and dropout
//! need between products.

use super::convolution::After;
use super::images::Images;
use super::matrix::{LINE, Line};
use super::simd::Simd;
use super::{Kernel, Task};

impl Kernel {
    /// Adds `from` to `to`, number by number.
    ///
    /// # Panics
    /// If there are not as many lines of both.
    pub(crate) fn add(self, from: &[Line], to: &mut [Line]) {
        assert_eq!(from.len(), to.len());
        self.run(Pass {
            what: What::Add,
            from,
            to,
        });
    }

    /// Adds the pixels of image `image` of `from` to those of image `image_to` of `to`.
    ///
    /// # Panics
    /// If their shapes differ or there are no such images.
    pub(crate) fn add_image(
        self,
        (from, image): (&Images, usize),
        (to, image_to): (&mut Images, usize),
    ) {
        assert_eq!(from.shape(), to.shape());
        let (height, width, _) = from.shape();
        for row in 0..height {
            if from.is_padded() && to.is_padded() {
                self.add(from.row(image, row), to.row_mut(image_to, row));
                continue;
            }
            for column in 0..width {
                let from = from.channels(image, row, column);
                for (to, x) in to.channels_mut(image_to, row, column).iter_mut().zip(from) {
                    *to += x;
                }
            }
        }
    }

    /// As [`Self::activate`], for the pixels of an image, which must be padded.
    pub(crate) fn activate_image(self, after: After, (to, image): (&mut Images, usize)) {
        for row in 0..to.shape().0 {
            self.activate(after, to.row_mut(image, row));
        }
    }

    /// Multiplies `to` by `from`, number by number.
    ///
    /// # Panics
    /// If there are not as many lines of both.
    pub(crate) fn scale(self, from: &[Line], to: &mut [Line]) {
        assert_eq!(from.len(), to.len());
        self.run(Pass {
            what: What::Scale,
            from,
            to,
        });
    }

    /// Replaces every number by that which the activation makes of it.
    pub(crate) fn activate(self, after: After, to: &mut [Line]) {
        self.run(Activate { after, to });
    }

    /// Multiplies gradients by the slope of an activation, known from its outputs, which
    /// `scale` takes back to what they were before dropout.
    ///
    /// # Panics
    /// If there are not as many lines of outputs as of gradients.
    pub(crate) fn times_slope(
        self,
        after: After,
        (outputs, scale): (&[Line], f32),
        to: &mut [Line],
    ) {
        assert_eq!(outputs.len(), to.len());
        self.run(Pass {
            what: What::Slope { after, scale },
            from: outputs,
            to,
        });
    }
}

#[derive(Clone, Copy)]
enum What {
    Add,
    Scale,
    Slope { after: After, scale: f32 },
}

/// `from` and `to` are equally long.
struct Pass<'a> {
    what: What,
    from: &'a [Line],
    to: &'a mut [Line],
}

impl Task for Pass<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY (of all uses of `each`): a line holds LINE numbers, which LANES divides: the
        // vectors lie in the lines. The caller vouches for the instruction set.
        macro_rules! each {
            (|$from:ident, $to:ident| $result:expr) => {
                for (from, to) in self.from.iter().zip(self.to) {
                    let (from, to) = (from.0.as_ptr(), to.0.as_mut_ptr());
                    let mut lane = 0;
                    while lane < LINE {
                        unsafe {
                            let $from = S::load(from.add(lane));
                            let $to = S::load(to.add(lane));
                            S::store(to.add(lane), $result);
                        }
                        lane += S::LANES;
                    }
                }
            };
        }
        match self.what {
            What::Add => each!(|from, to| S::add(to, from)),
            What::Scale => each!(|from, to| S::mul(to, from)),
            What::Slope { after, scale } => match after {
                After::Nothing => {}
                After::Relu => each!(|from, to| S::if_positive(from, to, S::splat(0.0))),
                After::Tanh => each!(|from, to| {
                    let t = S::mul(from, S::splat(scale));
                    S::mul(to, S::sub(S::splat(1.0), S::mul(t, t)))
                }),
            },
        }
    }
}

struct Activate<'a> {
    after: After,
    to: &'a mut [Line],
}

impl Task for Activate<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for line in self.to {
            let to = line.0.as_mut_ptr();
            let mut lane = 0;
            while lane < LINE {
                // SAFETY: a line holds LINE numbers, which LANES divides: the vector lies in
                // it. The caller vouches for the instruction set.
                unsafe {
                    let x = S::load(to.add(lane));
                    let x = match self.after {
                        After::Nothing => x,
                        After::Relu => S::relu(x),
                        After::Tanh => S::tanh(x),
                    };
                    S::store(to.add(lane), x);
                }
                lane += S::LANES;
            }
        }
    }
}
