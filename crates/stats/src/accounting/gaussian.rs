//! The plain Gaussian mechanism, exactly (Balle and Wang 2018).

use crate::distribution::normal_log_cdf;

/// δ at ε where all steps together move the mean by `distance` standard deviations:
/// `Φ(d/2 − ε/d) − e^ε Φ(−d/2 − ε/d)`.
pub(super) fn delta(distance: f64, epsilon: f64) -> f64 {
    let first = normal_log_cdf(distance / 2.0 - epsilon / distance);
    let second = epsilon + normal_log_cdf(-distance / 2.0 - epsilon / distance);
    if second >= first {
        return 0.0;
    }
    first.exp() * -(second - first).exp_m1()
}

/// The smallest ε of at least 0 at which δ is this, rounded up.
pub(super) fn epsilon(distance: f64, target: f64) -> f64 {
    if delta(distance, 0.0) <= target {
        return 0.0;
    }
    let mut high = distance;
    while delta(distance, high) > target {
        high *= 2.0;
    }
    let mut low = 0.0;
    while high - low > 1e-14 * high {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            break;
        }
        if delta(distance, middle) > target {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}
