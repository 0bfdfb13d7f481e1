//! Images laid out so that a filter's row is read in one run.

use super::matrix::{LINE, Line, Matrix, PANEL, Rows, floats, floats_mut};

/// Several images of one size: each is its rows from the top, a row its pixels from the
/// left, a pixel its channels side by side. Around each image lies a border of zeros.
///
/// A pixel may take more floats than it has channels; these hold zeros, and every kernel
/// keeps them and the border so.
#[derive(Clone, Debug)]
pub(crate) struct Images {
    count: usize,
    /// Without the border.
    height: usize,
    width: usize,
    channels: usize,
    border: usize,
    /// Floats of a pixel.
    stride: usize,
    /// Lines of an image.
    size: usize,
    lines: Vec<Line>,
}

/// How an image is changed when it is loaded: first moved, then mirrored left to right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Move {
    /// Rows.
    pub(crate) down: isize,
    /// Pixels of a row.
    pub(crate) right: isize,
    pub(crate) mirrored: bool,
}

impl Images {
    /// Images whose pixels are padded to whole lines, so that vectors of channels can be
    /// stored.
    pub(crate) fn padded(
        count: usize,
        (height, width): (usize, usize),
        channels: usize,
        border: usize,
    ) -> Self {
        let stride = padded_channels(channels);
        Self::new(count, (height, width), channels, border, stride)
    }

    /// Images whose pixels are not padded, to be read number by number. After an image
    /// there is room for a vector that starts in it.
    pub(crate) fn packed(
        count: usize,
        (height, width): (usize, usize),
        channels: usize,
        border: usize,
    ) -> Self {
        Self::new(count, (height, width), channels, border, channels)
    }

    /// The memory that [`Self::padded`] takes; `usize::MAX`, which cannot be had, if it is
    /// more.
    pub(crate) fn padded_bytes(
        count: usize,
        size: (usize, usize),
        channels: usize,
        border: usize,
    ) -> usize {
        let stride = padded_channels(channels);
        bytes_of_images(count, lines_of_image(size, border, stride))
    }

    /// As [`Self::padded_bytes`], of [`Self::packed`].
    pub(crate) fn packed_bytes(
        count: usize,
        size: (usize, usize),
        channels: usize,
        border: usize,
    ) -> usize {
        bytes_of_images(count, lines_of_image(size, border, channels))
    }

    fn new(
        count: usize,
        (height, width): (usize, usize),
        channels: usize,
        border: usize,
        stride: usize,
    ) -> Self {
        let size = lines_of_image((height, width), border, stride);
        Self {
            count,
            height,
            width,
            channels,
            border,
            stride,
            size,
            lines: vec![Line::ZERO; bytes_of_images(count, size) / size_of::<Line>()],
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Height, width and channels.
    pub(crate) fn shape(&self) -> (usize, usize, usize) {
        (self.height, self.width, self.channels)
    }

    /// Height and width with the border.
    pub(crate) fn bordered(&self) -> (usize, usize) {
        (self.height + 2 * self.border, self.width + 2 * self.border)
    }

    pub(crate) fn border(&self) -> usize {
        self.border
    }

    /// Floats of a pixel.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// Whether pixels take whole lines.
    pub(super) fn is_padded(&self) -> bool {
        self.stride.is_multiple_of(LINE)
    }

    /// Where a pixel stands, in floats from the start of its image (which is that of the
    /// border); the border does not count.
    pub(super) fn offset(&self, row: usize, column: usize) -> usize {
        let width = self.width + 2 * self.border;
        ((row + self.border) * width + column + self.border) * self.stride
    }

    /// The start of an image, border and all.
    pub(super) fn pointer(&self, image: usize) -> *const f32 {
        self.lines[image * self.size..].as_ptr().cast()
    }

    /// As [`Self::pointer`], to write.
    pub(super) fn pointer_mut(&mut self, image: usize) -> *mut f32 {
        self.lines[image * self.size..].as_mut_ptr().cast()
    }

    /// The start of a pixel; the border does not count.
    pub(super) fn pixel(&self, image: usize, row: usize, column: usize) -> *const f32 {
        self.pointer(image).wrapping_add(self.offset(row, column))
    }

    /// As [`Self::pixel`], to write.
    pub(super) fn pixel_mut(&mut self, image: usize, row: usize, column: usize) -> *mut f32 {
        let offset = self.offset(row, column);
        self.pointer_mut(image).wrapping_add(offset)
    }

    #[cfg(test)]
    pub(super) fn get(&self, image: usize, row: usize, column: usize, channel: usize) -> f32 {
        assert!(row < self.height && column < self.width && channel < self.channels);
        self.floats(image)[self.offset(row, column) + channel]
    }

    #[cfg(test)]
    pub(super) fn set(&mut self, at: [usize; 4], value: f32) {
        let [image, row, column, channel] = at;
        assert!(row < self.height && column < self.width && channel < self.channels);
        let offset = self.offset(row, column) + channel;
        self.floats_mut(image)[offset] = value;
    }

    /// All numbers of an image, border and padding too.
    pub(crate) fn floats(&self, image: usize) -> &[f32] {
        floats(&self.lines[image * self.size..(image + 1) * self.size])
    }

    fn floats_mut(&mut self, image: usize) -> &mut [f32] {
        floats_mut(&mut self.lines[image * self.size..(image + 1) * self.size])
    }

    pub(super) fn clear(&mut self, image: usize) {
        self.lines[image * self.size..(image + 1) * self.size].fill(Line::ZERO);
    }

    /// Takes an image from a record, which is height × width × channels numbers.
    ///
    /// # Panics
    /// If the record is too short, or pixels are padded.
    pub(crate) fn load(&mut self, image: usize, record: &[Line]) {
        assert_eq!(self.stride, self.channels);
        let record = floats(record);
        let row_length = self.width * self.channels;
        for row in 0..self.height {
            let start = self.offset(row, 0);
            self.floats_mut(image)[start..start + row_length]
                .copy_from_slice(&record[row * row_length..(row + 1) * row_length]);
        }
    }

    /// As [`Self::load`], with the image moved and mirrored; zeros come in where it leaves.
    ///
    /// # Panics
    /// As [`Self::load`].
    pub(crate) fn load_moved(&mut self, image: usize, record: &[Line], by: Move) {
        assert_eq!(self.stride, self.channels);
        let record = floats(record);
        let (height, width, channels) = self.shape();
        // how many pixels stay, and where the first of them comes from and goes to
        let stay = width.saturating_sub(by.right.unsigned_abs());
        let from = by.right.min(0).unsigned_abs();
        let to = by.right.max(0).unsigned_abs();
        for row in 0..height {
            let start = self.offset(row, 0);
            let target = &mut self.floats_mut(image)[start..start + width * channels];
            target.fill(0.0);
            let Some(source) = row.checked_add_signed(-by.down).filter(|y| *y < height) else {
                continue;
            };
            let source = &record[(source * width + from) * channels..][..stay * channels];
            if by.mirrored {
                // the pixel at `to` from the left goes to as many from the right
                let target = &mut target[(width - to - stay) * channels..][..stay * channels];
                let pixels = target.chunks_exact_mut(channels).rev();
                for (target, pixel) in pixels.zip(source.chunks_exact(channels)) {
                    target.copy_from_slice(pixel);
                }
            } else {
                target[to * channels..][..stay * channels].copy_from_slice(source);
            }
        }
    }

    /// Copies the numbers of an image's pixels, without border or padding, to `to`.
    ///
    /// # Panics
    /// If `to` has another length.
    pub(crate) fn unload(&self, image: usize, to: &mut [f32]) {
        let row_length = self.width * self.channels;
        assert_eq!(to.len(), self.height * row_length);
        for (row, to) in to.chunks_exact_mut(row_length).enumerate() {
            let start = self.offset(row, 0);
            let from = &self.floats(image)[start..start + self.width * self.stride];
            let pixels = from.chunks_exact(self.stride);
            for (to, pixel) in to.chunks_exact_mut(self.channels).zip(pixels) {
                to.copy_from_slice(&pixel[..self.channels]);
            }
        }
    }

    /// The lines of a row of pixels, which must be padded.
    pub(super) fn row(&self, image: usize, row: usize) -> &[Line] {
        let lines = self.lines_of_row(image, row);
        &self.lines[lines]
    }

    /// As [`Self::row`], to write.
    pub(super) fn row_mut(&mut self, image: usize, row: usize) -> &mut [Line] {
        let lines = self.lines_of_row(image, row);
        &mut self.lines[lines]
    }

    fn lines_of_row(&self, image: usize, row: usize) -> std::ops::Range<usize> {
        assert!(self.is_padded() && image < self.count && row < self.height);
        let start = image * self.size + self.offset(row, 0) / LINE;
        start..start + self.width * self.stride / LINE
    }

    /// The channels of a pixel.
    pub(crate) fn channels(&self, image: usize, row: usize, column: usize) -> &[f32] {
        assert!(row < self.height && column < self.width);
        let start = self.offset(row, column);
        &self.floats(image)[start..start + self.channels]
    }

    /// As [`Self::channels`], to write.
    pub(super) fn channels_mut(&mut self, image: usize, row: usize, column: usize) -> &mut [f32] {
        assert!(row < self.height && column < self.width);
        let (start, channels) = (self.offset(row, column), self.channels);
        &mut self.floats_mut(image)[start..start + channels]
    }

    /// Copies an image without border into a row that has a column for each float of the
    /// image.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub(crate) fn flatten(&self, image: usize, to: &mut Rows, row: usize) {
        let length = self.length_of_row(image, to.columns());
        to.write(row, &self.floats(image)[..length]);
    }

    /// Takes an image from a row of a matrix; the inverse of [`Self::flatten`].
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub(crate) fn unflatten(&mut self, image: usize, from: &Matrix, row: usize) {
        assert!(row < from.rows());
        let length = self.length_of_row(image, from.columns());
        let stride = from.panel_stride();
        let from = from.floats();
        let to = &mut self.floats_mut(image)[..length];
        for (panel, to) in to.chunks_mut(PANEL).enumerate() {
            let start = panel * stride + row * PANEL;
            to.copy_from_slice(&from[start..start + to.len()]);
        }
    }

    /// The floats of an image that a row of so many columns is to hold.
    fn length_of_row(&self, image: usize, columns: usize) -> usize {
        let length = self.height * self.width * self.stride;
        assert!(self.border == 0 && image < self.count);
        assert_eq!(length, columns);
        length
    }
}

/// The floats of a padded pixel of so many channels.
pub(crate) fn padded_channels(channels: usize) -> usize {
    channels.div_ceil(LINE).saturating_mul(LINE)
}

/// Lines that an image with its border takes, at so many floats a pixel; `usize::MAX`
/// divided by those of a line if there are more.
fn lines_of_image((height, width): (usize, usize), border: usize, stride: usize) -> usize {
    let bordered = |length: usize| length.saturating_add(border.saturating_mul(2));
    let pixels = bordered(height).saturating_mul(bordered(width));
    let slack = if stride.is_multiple_of(LINE) { 0 } else { LINE };
    let floats = pixels.saturating_mul(stride).saturating_add(slack);
    floats.div_ceil(LINE)
}

/// The memory of so many images of so many lines; `usize::MAX` if it is more.
fn bytes_of_images(count: usize, lines: usize) -> usize {
    count
        .saturating_mul(lines)
        .saturating_mul(size_of::<Line>())
}
