//! Records that are images: their shape, the order of their values, their scale.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::assemble::dense_names;
use super::table::{Body, Column, Table, Values};
use crate::{Error, Result};

/// How the values of a record make an image: the rows from the top, a row as its pixels from
/// the left, a pixel as its channels side by side (height × width × channels).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageShape {
    /// Rows of pixels.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
    /// Values per pixel.
    pub channels: usize,
    /// Whether the values as read are whole numbers from 0 to 255; they are then divided by 255
    /// and not standardised.
    pub bytes: bool,
}

impl ImageShape {
    /// The number of values of one image.
    #[must_use]
    pub fn len(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Whether the image has no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The order in which a file has the values of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Order {
    /// Height × width × channels.
    #[default]
    ByPixel,
    /// Channels × height × width, as PyTorch has it.
    ByChannel,
}

/// Height, width, channels and their order, of an image as an array has it: height × width, or
/// that with 1, 3 or 4 channels at the end or else in front. `None` if it is none of these.
pub(crate) fn arranged(shape: &[usize]) -> Option<([usize; 3], Order)> {
    let colours = |count: usize| matches!(count, 1 | 3 | 4);
    match *shape {
        [height, width] => Some(([height, width, 1], Order::ByPixel)),
        [height, width, channels] if colours(channels) => {
            Some(([height, width, channels], Order::ByPixel))
        }
        [channels, height, width] if colours(channels) => {
            Some(([height, width, channels], Order::ByChannel))
        }
        _ => None,
    }
}

/// Whether values are bytes: whole numbers from 0 to 255, some of them in the upper half.
/// Others, such as the 0 to 16 of scikit-learn's digits, have a scale of their own.
pub(super) fn are_bytes(values: &[f32]) -> bool {
    values
        .iter()
        .all(|&value| (0.0..=255.0).contains(&value) && value.fract() == 0.0)
        && values.iter().any(|&value| value > 127.0)
}

/// Puts the values of each image, channel by channel, in the order of [`ImageShape`].
pub(super) fn pixel_by_pixel(values: &[f32], [height, width, channels]: [usize; 3]) -> Vec<f32> {
    let area = height * width;
    if area * channels == 0 {
        return Vec::new();
    }
    let mut ordered = Vec::with_capacity(values.len());
    for image in values.chunks_exact(area * channels) {
        ordered.extend(
            (0..area).flat_map(|pixel| (0..channels).map(move |c| image[c * area + pixel])),
        );
    }
    ordered
}

/// Takes the features of a table for the pixels of images of this shape, as [`arranged`] reads it.
///
/// # Errors
/// If they are no numbers, some are missing, or there are more or fewer; if the file has a
/// shape of its own that is another one.
pub(super) fn form(table: &mut Table, shape: &[usize]) -> Result<()> {
    let ([height, width, channels], order) = arranged(shape).ok_or_else(|| {
        Error::usage(format!("{} is not the shape of an image", joined(shape)))
            .at("--image")
            .hint("give HEIGHTxWIDTH, such as 28x28, or that with 1, 3 or 4 channels at the end or in front, such as 32x32x3 or 3x32x32")
    })?;
    let (values, names) = match &table.body {
        Body::Dense {
            image: Some(known), ..
        } => {
            if (known.height, known.width, known.channels) == (height, width, channels) {
                return Ok(());
            }
            return Err(Error::usage(format!(
                "the records are not images of {}: the file says {}",
                joined(&[height, width, channels]),
                joined(&[known.height, known.width, known.channels])
            ))
            .at("--image")
            .hint("leave --image out"));
        }
        Body::Dense { values, names, .. } => (values.iter().copied().collect(), names.clone()),
        Body::Columns(columns) => (
            block(columns, table.len())?,
            columns.iter().map(|column| column.name.clone()).collect(),
        ),
    };
    if names.len() != height * width * channels {
        return Err(Error::usage(format!(
            "the records have {} features, and an image of {} has {}",
            names.len(),
            joined(shape),
            height * width * channels
        ))
        .at("--image")
        .hint("give the true shape; columns that are no pixels can be left out with --drop"));
    }
    let image = Some(ImageShape {
        height,
        width,
        channels,
        bytes: are_bytes(&values),
    });
    let values = match order {
        Order::ByPixel => values,
        Order::ByChannel => pixel_by_pixel(&values, [height, width, channels]),
    };
    let names = match (&table.body, order) {
        // Values of an array have no names but those of pixels.
        (Body::Dense { .. }, _) => dense_names(names.len(), image, "x"),
        (Body::Columns(_), Order::ByPixel) => names,
        (Body::Columns(_), Order::ByChannel) => {
            let area = height * width;
            (0..names.len())
                .map(|i| names[i % channels * area + i / channels].clone())
                .collect()
        }
    };
    let values = Array2::from_shape_vec((table.len(), names.len()), values)
        .map_err(|error| Error::unexpected(format!("images of {shape:?}: {error}")))?;
    table.body = Body::Dense {
        values,
        names,
        image,
    };
    Ok(())
}

/// The values of columns, record by record.
fn block(columns: &[Column], rows: usize) -> Result<Vec<f32>> {
    let mut values = vec![0.0; rows * columns.len()];
    for (index, column) in columns.iter().enumerate() {
        let place = format!("column `{}`", column.name);
        let Values::Numeric(numbers) = &column.values else {
            return Err(Error::usage("it holds categories, and pixels are numbers")
                .at(place)
                .at("--image")
                .hint(format!(
                    "leave it out with --drop {}, or name it with --id, --group or --label",
                    column.name
                )));
        };
        for (row, &number) in numbers.iter().enumerate() {
            let number = number as f32;
            if !number.is_finite() {
                return Err(Error::input("a pixel is missing or too large for float32")
                    .at(format!("row {}, {place}", row + 1))
                    .hint("mend it: missing values have no meaning in images"));
            }
            values[row * columns.len() + index] = number;
        }
    }
    Ok(values)
}

/// A shape in words: 28 × 28.
pub(crate) fn joined(shape: &[usize]) -> String {
    shape
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" × ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_found_at_the_end_or_in_front() {
        assert_eq!(arranged(&[28, 20]), Some(([28, 20, 1], Order::ByPixel)));
        assert_eq!(arranged(&[32, 30, 3]), Some(([32, 30, 3], Order::ByPixel)));
        assert_eq!(
            arranged(&[3, 32, 30]),
            Some(([32, 30, 3], Order::ByChannel))
        );
        assert_eq!(arranged(&[784]), None);
        assert_eq!(arranged(&[32, 32, 32]), None);
    }

    #[test]
    fn channels_in_front_come_to_lie_side_by_side() {
        // numpy: np.arange(12).reshape(2, 3, 1, 2).transpose(0, 2, 3, 1).ravel()
        let values: Vec<f32> = (0..12).map(|v| v as f32).collect();
        assert_eq!(
            pixel_by_pixel(&values, [1, 2, 3]),
            [0.0, 2.0, 4.0, 1.0, 3.0, 5.0, 6.0, 8.0, 10.0, 7.0, 9.0, 11.0]
        );
    }

    #[test]
    fn bytes_are_whole_and_not_only_zero_and_one() {
        assert!(are_bytes(&[0.0, 255.0, 1.0]));
        assert!(!are_bytes(&[0.0, 1.0]) && !are_bytes(&[0.0, 16.0]));
        assert!(!are_bytes(&[0.5, 2.0]));
        assert!(!are_bytes(&[256.0]) && !are_bytes(&[-1.0, 3.0]));
    }
}
