//! Where convolutional networks look: class activation maps (Grad-CAM, Selvaraju and others 2017).
//!
//! Each model gives a map of the size of its last convolution's output
//! ([`Model::class_activation`]). It is enlarged to the size of the image, divided by its largest
//! value, and the maps of several models are averaged.

use ndarray::{Array2, Array3, ArrayView2, Zip};

use crate::dataset::ImageShape;
use crate::error::{Error, Result};
use crate::trainer::Model;

/// The maps of class `label` for each of these inputs, inputs × height × width of the image, from
/// 0 to 1: the mean over the models of their maps, each divided by its maximum. A map that is 0
/// everywhere stays 0. Nothing where a model has no convolutions.
///
/// # Errors
/// If there are no models, or as [`Model::class_activation`].
#[expect(
    clippy::needless_pass_by_value,
    reason = "a view is itself a reference, and ndarray passes views by value"
)]
pub fn class_activation_maps(
    models: &[&dyn Model],
    inputs: ArrayView2<f32>,
    label: u32,
    shape: ImageShape,
) -> Result<Option<Array3<f32>>> {
    if models.is_empty() {
        return Err(Error::usage("class activation maps need a model")
            .hint("keep the weights of some reference models"));
    }
    let mut mean = Array3::<f64>::zeros((inputs.nrows(), shape.height, shape.width));
    for model in models {
        let Some(maps) = model.class_activation(inputs, label)? else {
            return Ok(None);
        };
        for (mut mean, map) in mean.outer_iter_mut().zip(maps.outer_iter()) {
            let map = enlarged(map, shape.height, shape.width);
            let largest = map.iter().copied().fold(0.0, f64::max);
            if largest > 0.0 {
                let share = 1.0 / (largest * models.len() as f64);
                Zip::from(&mut mean)
                    .and(&map)
                    .for_each(|mean, &x| *mean += x * share);
            }
        }
    }
    Ok(Some(mean.mapv(|x| x.min(1.0) as f32)))
}

/// A map brought to another size by bilinear interpolation between the centres of its cells, as
/// PyTorch's `interpolate(mode="bilinear", align_corners=False)` does; beyond the outermost
/// centres it goes on as it is there.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a view is itself a reference, and ndarray passes views by value"
)]
fn enlarged(map: ArrayView2<f32>, height: usize, width: usize) -> Array2<f64> {
    let place = |index: usize, have: usize, want: usize| {
        let centre = (index as f64 + 0.5) * have as f64 / want as f64 - 0.5;
        let centre = centre.clamp(0.0, (have - 1) as f64);
        let low = centre.floor();
        let high = (low as usize + 1).min(have - 1);
        (low as usize, high, centre - low)
    };
    let (rows, columns) = map.dim();
    Array2::from_shape_fn((height, width), |(row, column)| {
        let (top, bottom, down) = place(row, rows, height);
        let (left, right, along) = place(column, columns, width);
        let at = |row: usize, column: usize| f64::from(map[[row, column]]);
        let across = |row: usize| at(row, left) * (1.0 - along) + at(row, right) * along;
        across(top) * (1.0 - down) + across(bottom) * down
    })
}
