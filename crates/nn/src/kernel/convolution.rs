//! Convolutions, straight from the images: no patches are copied.
//!
//! A filter's row meets `size` pixels side by side, whose channels are one run of floats:
//! a tile of the output is a product whose left operand is read in such runs, one for
//! each row of the filter.

use super::images::Images;
use super::matrix::{Matrix, PANEL};
use super::product::{Scratch, Spacing, Tile, column_tiles, row_tiles};
use super::simd::Simd;
use super::{Kernel, Task};
use crate::config::Activation;

/// What is done with the elements of a convolution before they are stored.
#[derive(Clone, Copy, Debug)]
pub(crate) enum After {
    Nothing,
    Relu,
    Tanh,
}

impl From<Activation> for After {
    fn from(activation: Activation) -> Self {
        match activation {
            Activation::Relu => Self::Relu,
            Activation::Tanh => Self::Tanh,
        }
    }
}

impl Kernel {
    /// Image `image_to` of `to` = after(`from`'s image `image` ∗ `filters` + `bias`).
    ///
    /// Filters see the border of `from`. `filters` has a row for each row and column of the
    /// (square) filters and each float of a pixel of `from`, in this order, and a column
    /// for each channel of `to`; `bias` is a vector.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub(crate) fn convolve(
        self,
        size: usize,
        (from, image): (&Images, usize),
        (filters, bias): (&Matrix, &Matrix),
        after: After,
        (to, image_to): (&mut Images, usize),
    ) {
        check_shapes(size, from, image, filters, to, image_to);
        assert_eq!((bias.rows(), bias.columns()), (1, filters.columns()));
        self.run(Convolve {
            size,
            from,
            image,
            filters,
            bias,
            after,
            to,
            image_to,
        });
    }

    /// Adds to `gradient` and `bias_gradient` those of filters and biases, when the loss has
    /// the gradient `deltas` (image 0) with respect to the output of [`Self::convolve`].
    ///
    /// # Panics
    /// If the shapes do not fit; `deltas` must have no border.
    pub(crate) fn add_filter_gradient(
        self,
        size: usize,
        (from, image): (&Images, usize),
        deltas: &Images,
        gradient: &mut Matrix,
        bias_gradient: &mut Matrix,
    ) {
        check_shapes(size, from, image, gradient, deltas, 0);
        assert_eq!(deltas.border(), 0);
        assert_eq!(
            (bias_gradient.rows(), bias_gradient.columns()),
            (1, gradient.columns())
        );
        self.run(FilterGradient {
            size,
            from,
            image,
            deltas,
            gradient,
            bias_gradient,
        });
    }

    /// Filters as [`Self::input_deltas`] wants them: for each row of the filters from the
    /// last and each float of a pixel of the output a row, for each column of the filters
    /// and each float of a pixel of the input a column.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub(crate) fn transpose_filters(self, size: usize, filters: &Matrix, to: &mut Matrix) {
        assert!(size > 0 && filters.rows().is_multiple_of(size) && to.rows().is_multiple_of(size));
        let (rows, stride) = (filters.rows() / size, to.rows() / size);
        for row in 0..size {
            self.transpose_rows(filters, row * rows, rows, to, (size - 1 - row) * stride);
        }
    }

    /// Image 0 of `to` = the gradient with respect to the input of a convolution, border
    /// and all, when the loss has the gradient `deltas` (image 0) with respect to its output.
    ///
    /// `transposed` is made by [`Self::transpose_filters`].
    ///
    /// # Panics
    /// If the shapes do not fit; `deltas` must have padded pixels and no border.
    pub(crate) fn input_deltas(
        self,
        size: usize,
        deltas: &Images,
        transposed: &Matrix,
        to: &mut Images,
    ) {
        let (height, width) = to.bordered();
        let (output_height, output_width, _) = deltas.shape();
        assert!(deltas.count() > 0 && to.count() > 0 && deltas.border() == 0);
        assert!(deltas.is_padded());
        assert_eq!(
            (height, width),
            (output_height + size - 1, output_width + size - 1)
        );
        assert_eq!(transposed.rows(), size * deltas.stride());
        assert_eq!(transposed.columns(), size * to.stride());
        to.clear(0);
        self.run(InputDeltas {
            size,
            deltas,
            transposed,
            to,
        });
    }
}

fn check_shapes(
    size: usize,
    from: &Images,
    image: usize,
    filters: &Matrix,
    to: &Images,
    image_to: usize,
) {
    let (height, width) = from.bordered();
    let (output_height, output_width, channels) = to.shape();
    assert!(size > 0 && image < from.count() && image_to < to.count() && to.is_padded());
    assert_eq!(
        (height, width),
        (output_height + size - 1, output_width + size - 1)
    );
    assert_eq!(filters.rows(), size * size * from.stride());
    assert_eq!(filters.columns(), channels);
}

struct Convolve<'a> {
    size: usize,
    from: &'a Images,
    image: usize,
    filters: &'a Matrix,
    bias: &'a Matrix,
    after: After,
    to: &'a mut Images,
    image_to: usize,
}

impl Task for Convolve<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self {
            size,
            from,
            image,
            filters,
            bias,
            after,
            to,
            image_to,
        } = self;
        let (_, input_width) = from.bordered();
        let stride = from.stride();
        let (height, width, channels) = to.shape();
        let to_stride = to.stride();
        let mut scratch = Scratch::new();
        for y in 0..height {
            for (x, count) in row_tiles::<S>(0, width) {
                let pixel = to.pixel_mut(image_to, y, x);
                for columns in column_tiles::<S>(channels) {
                    let tile = Tile {
                        left: from
                            .pointer(image)
                            .wrapping_add((y * input_width + x) * stride),
                        segment: size * stride,
                        segment_stride: input_width * stride,
                        depth: size * size * stride,
                        right: filters
                            .pointer()
                            .wrapping_add(filters.offset(0, columns.start)),
                        spacing: Spacing {
                            stride,
                            ..Spacing::default()
                        },
                    };
                    let target = pixel.wrapping_add(columns.start);
                    // SAFETY: `check_shapes` made sure that the image with its border is
                    // larger than the output by size − 1 each way: the windows of the
                    // tile's pixels, `size` rows of `size` pixels, lie within it. The
                    // filters have a row for each step and the tile's columns or padding.
                    // The tile's pixels are pixels of the output in one row, which take
                    // whole lines, and so hold whole vectors. The bias has as many columns
                    // as the filters. The caller vouches for the instruction set.
                    unsafe {
                        tile.sum::<S, 0, 1, PANEL>(count, columns.vectors, &mut scratch);
                        for i in 0..count {
                            for j in 0..columns.vectors {
                                let column = j * S::LANES;
                                let bias = S::load(bias.pointer().add(columns.start + column));
                                let x = S::add(S::load(scratch.at(i, column)), bias);
                                let x = match after {
                                    After::Nothing => x,
                                    After::Relu => S::relu(x),
                                    After::Tanh => S::tanh(x),
                                };
                                S::store(target.add(i * to_stride + column), x);
                            }
                        }
                    }
                }
            }
        }
    }
}

struct FilterGradient<'a> {
    size: usize,
    from: &'a Images,
    image: usize,
    deltas: &'a Images,
    gradient: &'a mut Matrix,
    bias_gradient: &'a mut Matrix,
}

impl Task for FilterGradient<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self {
            size,
            from,
            image,
            deltas,
            gradient,
            bias_gradient,
        } = self;
        let (_, input_width) = from.bordered();
        let stride = from.stride();
        let (height, width, channels) = deltas.shape();
        let pixels = height * width;
        let deltas_at = deltas.pointer(0);
        let mut scratch = Scratch::new();
        for columns in column_tiles::<S>(channels) {
            for filter_row in 0..size {
                for (row, count) in row_tiles::<S>(0, size * stride) {
                    let tile = Tile {
                        left: from
                            .pointer(image)
                            .wrapping_add(filter_row * input_width * stride + row),
                        segment: width,
                        segment_stride: input_width * stride,
                        depth: pixels,
                        right: deltas_at.wrapping_add(columns.start),
                        spacing: Spacing {
                            step: stride,
                            right: deltas.stride(),
                            ..Spacing::default()
                        },
                    };
                    let offset = gradient.offset(filter_row * size * stride + row, columns.start);
                    let target = gradient.pointer_mut().wrapping_add(offset);
                    // SAFETY: as in `Convolve`, the windows of all pixels of the output lie
                    // within the image; the tile's rows are floats of one row of a window.
                    // The deltas are read at each pixel, whole vectors of its padded
                    // channels. The gradient's rows are consecutive in one panel. The caller
                    // vouches for the instruction set.
                    unsafe {
                        tile.sum::<S, 1, 0, 0>(count, columns.vectors, &mut scratch);
                        for i in 0..count {
                            for j in 0..columns.vectors {
                                let column = j * S::LANES;
                                let target = target.add(i * PANEL + column);
                                let sum = S::load(scratch.at(i, column));
                                S::store(target, S::add(S::load(target), sum));
                            }
                        }
                    }
                }
            }
            for j in 0..columns.vectors {
                let column = columns.start + j * S::LANES;
                // SAFETY: vectors of each pixel's padded channels, as above, and of the
                // biases, which have as many columns as the gradient.
                unsafe {
                    let mut sums = [S::splat(0.0); 4];
                    for pixel in 0..pixels {
                        let sum = &mut sums[pixel % 4];
                        *sum = S::add(
                            *sum,
                            S::load(deltas_at.add(pixel * deltas.stride() + column)),
                        );
                    }
                    let sum = S::add(S::add(sums[0], sums[1]), S::add(sums[2], sums[3]));
                    let target = bias_gradient.pointer_mut().add(column);
                    S::store(target, S::add(S::load(target), sum));
                }
            }
        }
    }
}

struct InputDeltas<'a> {
    size: usize,
    deltas: &'a Images,
    transposed: &'a Matrix,
    to: &'a mut Images,
}

impl Task for InputDeltas<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self {
            size,
            deltas,
            transposed,
            to,
        } = self;
        let (height, width) = to.bordered();
        let to_stride = to.stride();
        let (output_height, output_width, _) = deltas.shape();
        let stride = deltas.stride();
        let mut scratch = Scratch::new();
        let start = to.pointer_mut(0);
        for y in 0..height {
            // the rows of the output whose windows meet row y
            let first = (y + 1).saturating_sub(size);
            let last = y.min(output_height - 1);
            let filter_row = size - 1 - (y - first);
            for columns in column_tiles::<S>(size * to_stride) {
                for (x, count) in row_tiles::<S>(0, output_width) {
                    let tile = Tile {
                        left: deltas
                            .pointer(0)
                            .wrapping_add((first * output_width + x) * stride),
                        segment: stride,
                        segment_stride: output_width * stride,
                        depth: (last + 1 - first) * stride,
                        right: transposed
                            .pointer()
                            .wrapping_add(transposed.offset(filter_row * stride, columns.start)),
                        spacing: Spacing {
                            stride,
                            ..Spacing::default()
                        },
                    };
                    let target = start.wrapping_add((y * width + x) * to_stride + columns.start);
                    // SAFETY: the tile's rows are pixels of the output in one row, and its
                    // segments the floats of a pixel, in the rows first to last. The rows of
                    // the transposed filters read are those of filter_row (counted from the
                    // last) and following: last − first ≤ y − first keeps them below `size`.
                    // What is added to lies in row y from pixel x + i on, at most `size`
                    // pixels: output_width + size − 1 = width keeps it within the row. Where
                    // these pixels are not whole vectors, less than a vector more is touched
                    // (and 0 added), for which there is room after an image. The caller
                    // vouches for the instruction set.
                    unsafe {
                        tile.sum::<S, 0, 1, PANEL>(count, columns.vectors, &mut scratch);
                        for i in 0..count {
                            for j in 0..columns.vectors {
                                let column = j * S::LANES;
                                let target = target.add(i * to_stride + column);
                                let sum = S::load(scratch.at(i, column));
                                S::store(target, S::add(S::load(target), sum));
                            }
                        }
                    }
                }
            }
        }
    }
}
