//! Integrated gradients (Sundararajan, Taly and Yan 2017) of the loss gap.
//!
//! For a record x, its baseline x' and the gap g, feature i gets the difference of x and x' in it
//! times the mean of ∂g/∂xᵢ over the straight path x' + t (x − x'), t from 0 to 1; a column gets
//! the sum over its features. With the exact mean the values sum to g(x) − g(x'), so how far the
//! sum is off says how good the mean is.
//!
//! The path is cut into equal parts, each with the four points of Gauss and Legendre: where g is
//! smooth, few parts are enough; networks of rectified units have a kink wherever the path crosses
//! a unit's edge, and there only more parts help. They are doubled until the values are complete.

use ndarray::Array2;

use super::{Attribution, BLOCK, Ends, Evaluation, Problem, complete};
use crate::error::Result;

/// Points of the path at first, and at most.
const FEWEST: usize = 32;
const MOST: usize = 1024;

/// Points of one part of the path.
const POINTS: usize = 4;

/// Shares the difference out; nothing where a model has no gradients.
pub(super) fn integrate(problem: &Problem, ends: Ends) -> Result<Option<Attribution>> {
    let mut steps = FEWEST;
    loop {
        let Some(columns) = integral(problem, steps)? else {
            return Ok(None);
        };
        let sum: f64 = columns.iter().sum();
        if !sum.is_finite() {
            return Err(problem.not_finite("gradient of a loss", sum));
        }
        if complete(sum - ends.difference(), ends.difference()) || steps >= MOST {
            let evaluation = Evaluation::IntegratedGradients { steps };
            return Ok(Some(ends.attribution(columns, None, evaluation)));
        }
        steps *= 2;
    }
}

/// Where on [0, 1] the points of Gauss and Legendre lie, and their weights, which sum to 1.
fn gauss_legendre() -> [(f64, f64); POINTS] {
    let spread = 2.0 / 7.0 * 1.2f64.sqrt();
    let (near, far) = ((3.0 / 7.0 - spread).sqrt(), (3.0 / 7.0 + spread).sqrt());
    let (heavy, light) = ((18.0 + 30f64.sqrt()) / 72.0, (18.0 - 30f64.sqrt()) / 72.0);
    [(-far, light), (-near, heavy), (near, heavy), (far, light)]
        .map(|(x, weight)| (f64::midpoint(x, 1.0), weight))
}

/// The values of the columns from so many points of the path, a multiple of [`POINTS`].
pub(super) fn integral(problem: &Problem, steps: usize) -> Result<Option<Vec<f64>>> {
    let parts = steps / POINTS;
    let points: Vec<(f64, f64)> = (0..parts)
        .flat_map(|part| {
            gauss_legendre()
                .map(|(t, weight)| ((part as f64 + t) / parts as f64, weight / parts as f64))
        })
        .collect();
    let record = &problem.record;
    let mut mean_gradient = vec![0.0; problem.features()];
    for points in points.chunks(BLOCK) {
        let inputs = Array2::from_shape_fn((points.len(), problem.features()), |(point, i)| {
            let (from, to) = (f64::from(record.baseline[i]), f64::from(record.features[i]));
            (from + points[point].0 * (to - from)) as f32
        });
        for (model, share) in problem.weighted() {
            let Some(gradients) = model.loss_gradients(inputs.view(), record.label)? else {
                return Ok(None);
            };
            for (gradient, &(_, weight)) in gradients.outer_iter().zip(points) {
                for (mean, &g) in mean_gradient.iter_mut().zip(gradient) {
                    *mean += share * weight * f64::from(g);
                }
            }
        }
    }
    let mut columns = vec![0.0; problem.columns.len()];
    for (i, mean) in mean_gradient.into_iter().enumerate() {
        let difference = f64::from(record.features[i]) - f64::from(record.baseline[i]);
        columns[problem.columns.of_feature()[i]] += difference * mean;
    }
    Ok(Some(columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_points_are_exact_for_polynomials_of_degree_seven() {
        for degree in 0..=7 {
            let integral: f64 = gauss_legendre()
                .into_iter()
                .map(|(t, weight)| weight * t.powi(degree))
                .sum();
            assert!(
                (integral - 1.0 / f64::from(degree + 1)).abs() < 1e-15,
                "{degree}"
            );
        }
    }
}
