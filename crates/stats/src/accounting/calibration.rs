//! The noise for a wanted ε.

use super::fourier::Transform;
use super::{Accountant, Sampled, check_delta};
use crate::error::{InputError, check_parameter};

/// [`noise_for`] is above the smallest noise that would do by at most this, as a fraction.
pub const NOISE_TOLERANCE: f64 = 1e-4;

/// Between these the noise multiplier is searched.
const SMALLEST: f64 = 0.01;
const LARGEST: f64 = 1e9;

/// The noise multiplier with which training is (ε, δ)-differentially private by this
/// accountant: [`Sampled::epsilon`] of it is at most `epsilon`, and it is within
/// [`NOISE_TOLERANCE`] of the smallest such. At least 0.01, also where less would do.
///
/// # Errors
/// An ε that is not above 0 and finite, a δ outside (0, 1), a rate outside (0, 1], no steps,
/// or so small an ε that noise of 10⁹ clips is too little.
pub fn noise_for(
    epsilon: f64,
    delta: f64,
    rate: f64,
    steps: u64,
    accountant: Accountant,
) -> Result<f64, InputError> {
    check_parameter(
        "epsilon",
        epsilon,
        "above 0 and finite",
        epsilon > 0.0 && epsilon.is_finite(),
    )?;
    check_delta(delta)?;
    let start = match accountant {
        Accountant::Renyi => 1.0,
        // it needs a little less
        Accountant::LossDistribution => noise_for(epsilon, delta, rate, steps, Accountant::Renyi)?,
    };
    // positive where there is too little noise
    let mut transform = Transform::default();
    let mut excess = |noise: f64| {
        let sampled = Sampled::new(rate, noise, steps)?;
        let found = sampled.epsilon_with(delta, accountant, &mut transform);
        Ok::<f64, InputError>(if found > 0.0 && found.is_finite() {
            (found / epsilon).ln()
        } else if found > 0.0 {
            50.0
        } else {
            -50.0
        })
    };
    let mut at_start = excess(start)?;
    let (mut too_little, mut enough) = ((start, at_start), (start, at_start));
    let mut factor = 1.25;
    while at_start > 0.0 {
        if enough.0 >= LARGEST {
            return Err(InputError::Parameter {
                argument: "epsilon",
                value: epsilon,
                allowed: "larger: no noise up to 1e9 clips is enough for it at this delta",
            });
        }
        too_little = enough;
        enough.0 = (enough.0 * factor).min(LARGEST);
        enough.1 = excess(enough.0)?;
        at_start = enough.1;
        factor *= factor;
    }
    while too_little.1 <= 0.0 {
        if too_little.0 <= SMALLEST {
            return Ok(SMALLEST);
        }
        enough = too_little;
        too_little.0 = (too_little.0 / factor).max(SMALLEST);
        too_little.1 = excess(too_little.0)?;
        factor *= factor;
    }
    // secants through the last two points, which ε's smoothness in the noise rewards; where
    // they do not halve the bracket in three steps, the middle
    let tolerance = 0.9 * NOISE_TOLERANCE;
    let (mut before, mut last) = (too_little, enough);
    let (mut steps_since_half, mut width_then) = (0, f64::INFINITY);
    while enough.0 > too_little.0 * (1.0 + NOISE_TOLERANCE) {
        let (low, high) = (too_little.0.ln(), enough.0.ln());
        if high - low <= 0.5 * width_then {
            (steps_since_half, width_then) = (0, high - low);
        }
        steps_since_half += 1;
        let slope = (last.1 - before.1) / (last.0.ln() - before.0.ln());
        let root = last.0.ln() - last.1 / slope;
        let next = if steps_since_half > 3 || !(root > low && root < high) {
            f64::midpoint(low, high)
        } else if high - root <= tolerance {
            // the other end of the bracket is what is missing
            high - tolerance
        } else if root - low <= tolerance {
            low + tolerance
        } else {
            root + 0.4 * tolerance
        };
        let noise = next.exp();
        (before, last) = (last, (noise, excess(noise)?));
        if last.1 > 0.0 {
            too_little = last;
        } else {
            enough = last;
        }
    }
    Ok(enough.0)
}
