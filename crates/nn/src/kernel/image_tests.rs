//! Every kernel for images that this CPU has, against the definitions in f64.

use giveaway_stats::random::Stream;

use super::tests::{assert_close, assert_padding_is_zero, at, random};
use super::*;

fn normal(stream: &mut Stream) -> f32 {
    stream.normal() as f32
}

fn random_images(
    stream: &mut Stream,
    mut images: Images,
    draw: impl Fn(&mut Stream) -> f32,
) -> Images {
    let (height, width, channels) = images.shape();
    for image in 0..images.count() {
        for row in 0..height {
            for column in 0..width {
                for channel in 0..channels {
                    images.set([image, row, column, channel], draw(stream));
                }
            }
        }
    }
    images
}

fn assert_nothing_outside(images: &Images) {
    let (height, width, channels) = images.shape();
    for image in 0..images.count() {
        let mut inside = 0;
        for row in 0..height {
            for column in 0..width {
                inside += (0..channels)
                    .filter(|&channel| images.get(image, row, column, channel) != 0.0)
                    .count();
            }
        }
        let all = images.floats(image).iter().filter(|x| **x != 0.0).count();
        assert_eq!(all, inside, "border or padding is not 0");
    }
}

/// A convolution of random numbers.
struct Case {
    what: String,
    size: usize,
    inputs: usize,
    outputs: usize,
    /// Two images, of which the second counts.
    from: Images,
    filters: Matrix,
    bias: Matrix,
    /// Height and width of the output.
    sums: (usize, usize),
    deltas: Images,
}

fn cases(kernel: Kernel) -> Vec<Case> {
    let mut stream = Stream::new(6, "convolutions", 0);
    // Rows, columns and channels of the input, its border, the size of the filters,
    // channels of the output; whether pixels of the input are padded.
    let shapes = [
        ([1, 1, 1, 0, 1, 1], false),
        ([4, 5, 1, 1, 3, 7], false),
        ([7, 30, 2, 0, 2, 17], false),
        ([6, 8, 16, 0, 5, 32], true),
        ([5, 14, 5, 2, 5, 33], true),
        ([9, 9, 20, 1, 3, 16], true),
        ([3, 13, 3, 0, 1, 50], true),
    ];
    let case = |(shape, padded): ([usize; 6], bool)| {
        let [height, width, inputs, border, size, outputs] = shape;
        let images = if padded {
            Images::padded(2, (height, width), inputs, border)
        } else {
            Images::packed(2, (height, width), inputs, border)
        };
        let from = random_images(&mut stream, images, normal);
        let sums = (
            height + 2 * border + 1 - size,
            width + 2 * border + 1 - size,
        );
        let deltas = Images::padded(1, sums, outputs, 0);
        let mut case = Case {
            what: format!("{kernel}, {height} × {width} × {inputs}, {size}, {outputs}"),
            size,
            inputs,
            outputs,
            filters: Matrix::zeros(size * size * from.stride(), outputs),
            from,
            bias: random(&mut stream, 1, outputs),
            sums,
            deltas: random_images(&mut stream, deltas, normal),
        };
        case.filters = case.random_filters(&mut stream);
        case
    };
    shapes.into_iter().map(case).collect()
}

impl Case {
    /// Rows, columns and inputs of a filter.
    fn places(&self) -> Vec<(usize, usize, usize)> {
        let inputs = self.inputs;
        (0..self.size)
            .flat_map(|row| (0..self.size).map(move |column| (row, column)))
            .flat_map(|(row, column)| (0..inputs).map(move |input| (row, column, input)))
            .collect()
    }

    fn place(&self, row: usize, column: usize, input: usize) -> usize {
        (row * self.size + column) * self.from.stride() + input
    }

    /// Numbers where filters have weights, and 0 in the rows that pad an input's pixel.
    fn random_filters(&self, stream: &mut Stream) -> Matrix {
        let mut filters = Matrix::zeros(self.filters.rows(), self.outputs);
        for (row, column, input) in self.places() {
            for output in 0..self.outputs {
                filters.set(self.place(row, column, input), output, normal(stream));
            }
        }
        filters
    }

    /// Rows and columns of the output.
    fn pixels(&self) -> impl Iterator<Item = (usize, usize)> {
        let width = self.sums.1;
        (0..self.sums.0).flat_map(move |y| (0..width).map(move |x| (y, x)))
    }

    /// The input, counted from its border.
    fn input(&self, row: usize, column: usize, input: usize) -> f64 {
        let (height, width, _) = self.from.shape();
        let border = self.from.border();
        let (row, column) = (row.wrapping_sub(border), column.wrapping_sub(border));
        if row < height && column < width {
            f64::from(self.from.get(1, row, column, input))
        } else {
            0.0
        }
    }

    fn delta(&self, (y, x): (usize, usize), output: usize) -> f64 {
        f64::from(self.deltas.get(0, y, x, output))
    }
}

/// The sum of some terms, and a scale for its rounding errors.
fn sum(terms: impl Iterator<Item = f64>) -> (f64, f64) {
    terms.fold((0.0, 3.0), |(sum, scale), x| (sum + x, scale + x.abs()))
}

fn activate(after: After, x: f64) -> f64 {
    match after {
        After::Nothing => x,
        After::Relu => x.max(0.0),
        After::Tanh => x.tanh(),
    }
}

const AFTERS: [After; 3] = [After::Nothing, After::Relu, After::Tanh];

#[test]
fn convolutions() {
    for kernel in Kernel::available() {
        for case in cases(kernel) {
            for after in AFTERS {
                let mut to = Images::padded(3, case.sums, case.outputs, 1);
                let weights = (&case.filters, &case.bias);
                kernel.convolve(case.size, (&case.from, 1), weights, after, (&mut to, 2));
                assert_nothing_outside(&to);
                for (y, x) in case.pixels() {
                    for output in 0..case.outputs {
                        let places = case.places().into_iter();
                        let terms = places.map(|(row, column, input)| {
                            at(&case.filters, case.place(row, column, input), output)
                                * case.input(y + row, x + column, input)
                        });
                        let (sum, scale) = sum(terms.chain([at(&case.bias, 0, output)]));
                        let have = to.get(2, y, x, output);
                        assert_close(have, activate(after, sum), scale, &case.what);
                        assert_eq!(to.get(1, y, x, output).to_bits(), 0, "another image");
                    }
                }
            }
        }
    }
}

#[test]
fn gradients_of_filters() {
    let mut stream = Stream::new(8, "filter gradients", 0);
    for kernel in Kernel::available() {
        for case in cases(kernel) {
            // what was there is added to
            let before = case.random_filters(&mut stream);
            let bias_before = random(&mut stream, 1, case.outputs);
            let (mut gradient, mut bias_gradient) = (before.clone(), bias_before.clone());
            kernel.add_filter_gradient(
                case.size,
                (&case.from, 1),
                &case.deltas,
                &mut gradient,
                &mut bias_gradient,
            );
            assert_padding_is_zero(&gradient);
            assert_padding_is_zero(&bias_gradient);
            for output in 0..case.outputs {
                let terms = case.pixels().map(|pixel| case.delta(pixel, output));
                let (want, scale) = sum(terms.chain([at(&bias_before, 0, output)]));
                assert_close(bias_gradient.get(0, output), want, scale, &case.what);
                for (row, column, input) in case.places() {
                    let place = case.place(row, column, input);
                    let terms = case.pixels().map(|(y, x)| {
                        case.delta((y, x), output) * case.input(y + row, x + column, input)
                    });
                    let (want, scale) = sum(terms.chain([at(&before, place, output)]));
                    assert_close(gradient.get(place, output), want, scale, &case.what);
                }
            }
            for row in 0..gradient.rows() {
                if row % case.from.stride() >= case.inputs {
                    assert_eq!(gradient.get(row, 0).to_bits(), 0, "{}", case.what);
                }
            }
        }
    }
}

#[test]
fn gradients_of_inputs() {
    let mut stream = Stream::new(9, "input gradients", 0);
    for kernel in Kernel::available() {
        for case in cases(kernel) {
            // the first layer's input, whose pixels are not padded, needs none
            if !case.from.is_padded() {
                continue;
            }
            let (size, stride) = (case.size, case.from.stride());
            let mut transposed = Matrix::zeros(size * case.deltas.stride(), size * stride);
            kernel.transpose_filters(size, &case.filters, &mut transposed);
            let (height, width) = case.from.bordered();
            let to = Images::padded(1, (height, width), case.inputs, 0);
            // what was there before must not count
            let mut to = random_images(&mut stream, to, normal);
            kernel.input_deltas(size, &case.deltas, &transposed, &mut to);
            assert_nothing_outside(&to);
            for y in 0..height {
                for x in 0..width {
                    for input in 0..case.inputs {
                        let mut terms = Vec::new();
                        for (row, column, _) in case.places().iter().filter(|p| p.2 == input) {
                            let (y, x) = (y.wrapping_sub(*row), x.wrapping_sub(*column));
                            if y >= case.sums.0 || x >= case.sums.1 {
                                continue;
                            }
                            let place = case.place(*row, *column, input);
                            terms.extend((0..case.outputs).map(|output| {
                                case.delta((y, x), output) * at(&case.filters, place, output)
                            }));
                        }
                        let (want, scale) = sum(terms.into_iter());
                        assert_close(to.get(0, y, x, input), want, scale, &case.what);
                    }
                }
            }
        }
    }
}

/// The slope of an activation where its input is x.
fn slope(after: After, x: f64) -> f64 {
    match after {
        After::Nothing => 1.0,
        After::Relu => f64::from(u8::from(x > 0.0)),
        After::Tanh => 1.0 - x.tanh().powi(2),
    }
}

/// Few different numbers, so that some squares have two largest.
fn coarse(stream: &mut Stream) -> f32 {
    stream.below(7) as f32 / 4.0 - 0.75
}

/// The pixels that become this one.
fn square(y: usize, x: usize) -> [(usize, usize); 4] {
    [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(a, b)| (2 * y + a, 2 * x + b))
}

/// Rows, columns and channels of an image.
fn elements(
    (height, width): (usize, usize),
    channels: usize,
) -> impl Iterator<Item = (usize, usize, usize)> {
    let pixels = (0..height).flat_map(move |y| (0..width).map(move |x| (y, x)));
    pixels.flat_map(move |(y, x)| (0..channels).map(move |channel| (y, x, channel)))
}

const POOLED: [(usize, usize, usize); 3] = [(2, 2, 1), (5, 6, 17), (8, 3, 33)];

#[test]
fn the_largest_of_squares_and_the_way_back() {
    let mut stream = Stream::new(7, "pooling", 0);
    for kernel in Kernel::available() {
        for (height, width, channels) in POOLED {
            let what = format!("{kernel}, {height} × {width} × {channels}");
            let small = (height / 2, width / 2);
            let new = |count, shape, border| Images::padded(count, shape, channels, border);
            let from = random_images(&mut stream, new(2, (height, width), 0), coarse);
            let deltas = random_images(&mut stream, new(1, small, 2), normal);
            for after in AFTERS {
                let mut to = new(2, small, 1);
                let mut winners = new(2, small, 0);
                kernel.pool_largest((&from, 1), after, (&mut to, 1), &mut winners);
                assert_nothing_outside(&to);
                let back = new(1, (height, width), 0);
                let mut back = random_images(&mut stream, back, coarse);
                kernel.unpool_largest(&deltas, (&to, &winners, 1), after, &mut back);
                assert_nothing_outside(&back);
                for (y, x, c) in elements(small, channels) {
                    let values = square(y, x).map(|(y, x)| f64::from(from.get(1, y, x, c)));
                    let largest = values.into_iter().fold(f64::MIN, f64::max);
                    assert_close(to.get(1, y, x, c), activate(after, largest), 1.0, &what);
                    // the first, if there are several
                    let winner = values.iter().position(|x| *x >= largest).unwrap();
                    for (number, (row, column)) in square(y, x).into_iter().enumerate() {
                        let delta = f64::from(deltas.get(0, y, x, c)) * slope(after, largest);
                        let want = if number == winner { delta } else { 0.0 };
                        assert_close(back.get(0, row, column, c), want, 3.0, &what);
                    }
                }
                for (y, x, c) in elements((height, width), channels) {
                    if y / 2 == small.0 || x / 2 == small.1 {
                        assert_eq!(back.get(0, y, x, c).to_bits(), 0, "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn means_of_squares_and_the_way_back() {
    let mut stream = Stream::new(10, "pooling", 0);
    for kernel in Kernel::available() {
        for (height, width, channels) in POOLED {
            let what = format!("{kernel}, {height} × {width} × {channels}");
            let small = (height / 2, width / 2);
            let new = |count, shape, border| Images::padded(count, shape, channels, border);
            let from = random_images(&mut stream, new(2, (height, width), 0), coarse);
            let large_deltas = random_images(&mut stream, new(1, (height, width), 1), normal);
            let deltas = random_images(&mut stream, new(1, small, 2), normal);
            for after in AFTERS {
                let mut active = new(2, (height, width), 0);
                for (y, x, c) in elements((height, width), channels) {
                    let value = activate(after, f64::from(from.get(1, y, x, c)));
                    active.set([1, y, x, c], value as f32);
                }
                let mut to = new(2, small, 1);
                kernel.pool_means((&active, 1), (&mut to, 0));
                assert_nothing_outside(&to);
                let back = new(1, (height, width), 0);
                let mut back = random_images(&mut stream, back, coarse);
                kernel.through_activation(&deltas, true, (&active, 1), after, &mut back);
                assert_nothing_outside(&back);
                for (y, x, c) in elements(small, channels) {
                    let mut mean = 0.0;
                    for (row, column) in square(y, x) {
                        let value = f64::from(from.get(1, row, column, c));
                        mean += activate(after, value) / 4.0;
                        let want = f64::from(deltas.get(0, y, x, c)) / 4.0 * slope(after, value);
                        assert_close(back.get(0, row, column, c), want, 3.0, &what);
                    }
                    assert_close(to.get(0, y, x, c), mean, 1.0, &what);
                }
                for (y, x, c) in elements((height, width), channels) {
                    if y / 2 == small.0 || x / 2 == small.1 {
                        assert_eq!(back.get(0, y, x, c).to_bits(), 0, "{what}");
                    }
                }
                kernel.through_activation(&large_deltas, false, (&active, 1), after, &mut back);
                for (y, x, c) in elements((height, width), channels) {
                    let slope = slope(after, f64::from(from.get(1, y, x, c)));
                    let want = f64::from(large_deltas.get(0, y, x, c)) * slope;
                    assert_close(back.get(0, y, x, c), want, 3.0, &what);
                }
            }
        }
    }
}

#[test]
fn moved_images_are_shifted_then_mirrored_and_zeros_come_in() {
    let mut stream = Stream::new(14, "moves", 0);
    let (height, width, channels) = (4, 5, 3);
    let features = ndarray::Array2::from_shape_fn((1, 60), |_| normal(&mut stream));
    let examples = crate::Examples::new(features.view(), &[0], 2).unwrap();
    let mut record = vec![0.0; 60];
    for border in [0, 1] {
        let images = Images::packed(2, (height, width), channels, border);
        // what was there before must not count
        let mut images = random_images(&mut stream, images, normal);
        for (down, right) in (-3isize..=3).flat_map(|y| (-4isize..=4).map(move |x| (y, x))) {
            for mirrored in [false, true] {
                let by = Move {
                    down,
                    right,
                    mirrored,
                };
                images.load_moved(1, examples.row(0), by);
                images.unload(1, &mut record);
                for (y, x, channel) in elements((height, width), channels) {
                    let shifted = if mirrored { width - 1 - x } else { x };
                    let (from_y, from_x) = (y.cast_signed() - down, shifted.cast_signed() - right);
                    let inside = (0..height.cast_signed()).contains(&from_y)
                        && (0..width.cast_signed()).contains(&from_x);
                    let want = if inside {
                        let pixel = from_y as usize * width + from_x as usize;
                        features[[0, pixel * channels + channel]]
                    } else {
                        0.0
                    };
                    let have = images.get(1, y, x, channel);
                    assert_eq!(have.to_bits(), want.to_bits(), "{by:?} {y} {x} {channel}");
                    let place = (y * width + x) * channels + channel;
                    assert_eq!(record[place].to_bits(), want.to_bits());
                }
            }
        }
        assert_nothing_outside(&images);
    }
}

#[test]
fn images_are_added_pixel_by_pixel() {
    let mut stream = Stream::new(15, "additions", 0);
    for kernel in Kernel::available() {
        for (height, width, channels) in POOLED {
            let (size, what) = ((height, width), format!("{height} × {width} × {channels}"));
            for (from, to) in [
                (
                    Images::padded(2, size, channels, 1),
                    Images::padded(3, size, channels, 0),
                ),
                (
                    Images::packed(2, size, channels, 2),
                    Images::padded(3, size, channels, 1),
                ),
                (
                    Images::padded(2, size, channels, 0),
                    Images::packed(3, size, channels, 1),
                ),
            ] {
                let from = random_images(&mut stream, from, normal);
                let before = random_images(&mut stream, to, normal);
                let mut to = before.clone();
                kernel.add_image((&from, 1), (&mut to, 2));
                assert_nothing_outside(&to);
                for (y, x, c) in elements(size, channels) {
                    let want = before.get(2, y, x, c) + from.get(1, y, x, c);
                    assert_eq!(to.get(2, y, x, c).to_bits(), want.to_bits(), "{what}");
                    let other = before.get(1, y, x, c);
                    assert_eq!(to.get(1, y, x, c).to_bits(), other.to_bits(), "{what}");
                }
                if !to.is_padded() {
                    continue;
                }
                let mut numbers = vec![0.0; height * width * channels];
                to.unload(2, &mut numbers);
                for (have, (y, x, c)) in numbers.iter().zip(elements(size, channels)) {
                    assert_eq!(have.to_bits(), to.get(2, y, x, c).to_bits(), "{what}");
                }
                kernel.activate_image(After::Tanh, (&mut to, 0));
                assert_nothing_outside(&to);
                for (y, x, c) in elements(size, channels) {
                    let want = f64::from(before.get(0, y, x, c)).tanh();
                    assert_close(to.get(0, y, x, c), want, 1.0, &what);
                }
            }
        }
    }
}
