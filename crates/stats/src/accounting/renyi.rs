//! Rényi differential privacy of the Poisson-subsampled Gaussian mechanism.
//!
//! The Rényi divergence of order a of one step, with rate q and noise multiplier σ, is
//! `ln A / (a − 1)`, where A is the mean of the a-th power of the ratio of densities under
//! the Gaussian without the record:
//! `A = E[(1 − q + q e^{(2x − 1)/(2σ²)})^a]`, x from N(0, σ²)
//! (Mironov, Talwar and Zhang 2019, "Rényi differential privacy of the sampled Gaussian
//! mechanism": it is the larger one of the two directions). Divergences of steps add up, and
//! (ε, δ) follows for every order (Canonne, Kamath and Steinke 2020, proposition 12):
//! `ε = R + ln((a − 1)/a) − (ln δ + ln a)/(a − 1)`.

use super::Sampled;
use crate::binomial::binomial_log_pmf;
use crate::distribution::{normal_log_cdf, normal_log_sf};
use crate::error::{InputError, check_parameter};

/// Terms of an alternating series; its error is 5.8 to the minus that power.
const ALTERNATING_TERMS: usize = 24;

/// The orders over which ε is the minimum: fine near 1, where large ε have theirs, all
/// integers up to 64, and some up to 4096 for small ε.
#[must_use]
pub fn orders() -> Vec<f64> {
    let mut orders: Vec<f64> = (1..10).map(|i| 1.0 + f64::from(i) / 100.0).collect();
    orders.extend((1..100).map(|i| 1.0 + f64::from(i) / 10.0));
    orders.extend((11..=64).map(f64::from));
    let mut order = 64.0;
    while order < 4096.0 {
        order = f64::min(4096.0, (order * 1.19_f64).round());
        orders.push(order);
        // the powers of two that other accountants use
        for power in [128.0, 256.0, 512.0, 1024.0] {
            if order < power && order * 1.19 > power {
                orders.push(power);
            }
        }
    }
    orders
}

/// The Rényi divergence of one step, at any order above 1; infinite without noise.
///
/// # Errors
/// An order that is not above 1 or not finite.
pub fn divergence(sampled: &Sampled, order: f64) -> Result<f64, InputError> {
    check_parameter(
        "order",
        order,
        "above 1 and finite",
        order > 1.0 && order.is_finite(),
    )?;
    Ok(of_order(sampled.rate, sampled.noise_multiplier, order))
}

/// ε at δ from these orders alone. [`Sampled::epsilon`] uses [`orders`].
///
/// # Errors
/// No orders, an order that is not above 1 or not finite, a δ outside (0, 1).
pub fn epsilon(sampled: &Sampled, delta: f64, orders: &[f64]) -> Result<f64, InputError> {
    super::check_delta(delta)?;
    if orders.is_empty() {
        return Err(InputError::TooFew {
            argument: "orders",
            found: 0,
            needed: 1,
        });
    }
    crate::error::check("orders", orders, "above 1 and finite", |order| {
        order > 1.0 && order.is_finite()
    })?;
    Ok(Curve::new(sampled, orders).epsilon(delta))
}

/// Orders with the divergence of all steps.
pub(super) struct Curve(Vec<(f64, f64)>);

impl Curve {
    pub(super) fn new(sampled: &Sampled, orders: &[f64]) -> Self {
        let steps = sampled.steps as f64;
        let one = |order| of_order(sampled.rate, sampled.noise_multiplier, order);
        Self(orders.iter().map(|&a| (a, steps * one(a))).collect())
    }

    pub(super) fn epsilon(&self, delta: f64) -> f64 {
        if self.total_variation() <= delta {
            return 0.0;
        }
        let of = |&(order, divergence): &(f64, f64)| {
            divergence + (-1.0 / order).ln_1p() - (delta.ln() + order.ln()) / (order - 1.0)
        };
        self.0.iter().map(of).fold(f64::INFINITY, f64::min).max(0.0)
    }

    pub(super) fn delta(&self, epsilon: f64) -> f64 {
        let of = |&(order, divergence): &(f64, f64)| {
            (order - 1.0) * (divergence - epsilon + (-1.0 / order).ln_1p()) - order.ln()
        };
        let least = self.0.iter().map(of).fold(0.0, f64::min);
        least.exp().min(self.total_variation())
    }

    /// A bound on the total variation, which is δ at ε = 0, from the divergence of the lowest
    /// order (Bretagnolle and Huber 1979): that of order 1 is not above it.
    fn total_variation(&self) -> f64 {
        let least = self
            .0
            .iter()
            .map(|pair| pair.1)
            .fold(f64::INFINITY, f64::min);
        (-(-least).exp_m1()).sqrt()
    }
}

fn of_order(rate: f64, noise: f64, order: f64) -> f64 {
    if noise == 0.0 {
        return f64::INFINITY;
    }
    if rate >= 1.0 {
        return order / (2.0 * noise * noise);
    }
    let log_moment = if order.fract() == 0.0 {
        log_moment_of_integer(rate, noise, order as u64)
    } else {
        log_moment_of_fraction(rate, noise, order)
    };
    // rounding may leave a tiny negative one
    log_moment.max(0.0) / (order - 1.0)
}

/// `ln Σ_i P[Bin(a, q) = i] e^{i(i−1)/(2σ²)}`. The probabilities sum to 1, so 1 is left out of
/// every term and added at the end: nothing cancels where the sum is close to 1.
fn log_moment_of_integer(rate: f64, noise: f64, order: u64) -> f64 {
    let mut sum = LogSum::default();
    for i in 2..=order {
        let x = i as f64;
        let exponent = x * (x - 1.0) / (2.0 * noise * noise);
        let log_excess = if exponent > 30.0 {
            exponent + (-(-exponent).exp()).ln_1p()
        } else {
            exponent.exp_m1().ln()
        };
        sum.add(binomial_log_pmf(i, order, rate) + log_excess);
    }
    let excess = sum.ln();
    if excess > 0.0 {
        excess + (-excess).exp().ln_1p()
    } else {
        excess.exp().ln_1p()
    }
}

/// The binomial series of either summand in the other, each on the side where it converges:
/// left of the point z₀ where `1 − q = q e^{(2x−1)/(2σ²)}` and right of it. The i-th terms are
///
/// `C(a, i) q^i (1−q)^{a−i} e^{i(i−1)/(2σ²)} Φ((z₀−i)/σ)` and, with j = a − i,
/// `C(a, i) q^j (1−q)^i e^{j(j−1)/(2σ²)} Φ((j−z₀)/σ)`.
///
/// Up to i = ⌊a⌋ all are positive. From there on the signs alternate and the sizes fall only
/// like a power of i; but binomials and means are moments of measures on [0, 1], and so are
/// their products, so that the alternating sums can be accelerated with a known error (Cohen,
/// Rodriguez Villegas and Zagier 2000, algorithm 1).
fn log_moment_of_fraction(rate: f64, noise: f64, order: f64) -> f64 {
    let (ln_rate, ln_rest) = (rate.ln(), (-rate).ln_1p());
    let variance = noise * noise;
    let bend = variance * (ln_rest - ln_rate) + 0.5;
    let left = |i: f64, ln_binomial: f64| {
        ln_binomial
            + i * ln_rate
            + (order - i) * ln_rest
            + i * (i - 1.0) / (2.0 * variance)
            + normal_log_cdf((bend - i) / noise)
    };
    let right = |i: f64, ln_binomial: f64| {
        let j = order - i;
        ln_binomial
            + j * ln_rate
            + i * ln_rest
            + j * (j - 1.0) / (2.0 * variance)
            + normal_log_sf((bend - j) / noise)
    };
    let mut sum = LogSum::default();
    let mut ln_binomial = 0.0;
    let mut i = 0.0;
    while i < order {
        sum.add(left(i, ln_binomial));
        sum.add(right(i, ln_binomial));
        ln_binomial += (order - i).abs().ln() - (i + 1.0).ln();
        i += 1.0;
    }
    let mut terms = [(0.0, 0.0); ALTERNATING_TERMS];
    for term in &mut terms {
        *term = (left(i, ln_binomial), right(i, ln_binomial));
        ln_binomial += (i - order).ln() - (i + 1.0).ln();
        i += 1.0;
    }
    for tail in [terms.map(|term| term.0), terms.map(|term| term.1)] {
        let first = tail[0];
        let alternating = alternating_sum(&tail.map(|term| (term - first).exp()));
        sum.add(first + alternating.ln());
    }
    sum.ln()
}

/// `Σ (−1)^k a_k` of a sequence of moments of a measure on [0, 1], from its first terms.
fn alternating_sum(terms: &[f64; ALTERNATING_TERMS]) -> f64 {
    let n = ALTERNATING_TERMS as f64;
    let power = (3.0 + 8.0_f64.sqrt()).powf(n);
    let scale = f64::midpoint(power, 1.0 / power);
    let (mut b, mut c, mut sum) = (-1.0, -scale, 0.0);
    for (k, term) in terms.iter().enumerate() {
        let k = k as f64;
        c = b - c;
        sum += c * term;
        b *= (k + n) * (k - n) / ((k + 0.5) * (k + 1.0));
    }
    sum / scale
}

/// The logarithm of a sum of positive terms given by theirs.
struct LogSum {
    largest: f64,
    /// In units of the largest.
    sum: f64,
}

impl Default for LogSum {
    fn default() -> Self {
        Self {
            largest: f64::NEG_INFINITY,
            sum: 0.0,
        }
    }
}

impl LogSum {
    fn add(&mut self, term: f64) {
        if term <= self.largest {
            self.sum += (term - self.largest).exp();
        } else {
            self.sum = self.sum * (self.largest - term).exp() + 1.0;
            self.largest = term;
        }
    }

    fn ln(&self) -> f64 {
        self.largest + self.sum.ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_orders_are_above_one_and_no_two_alike() {
        let mut orders = orders();
        orders.sort_by(f64::total_cmp);
        assert!(orders[0] > 1.0);
        assert!(orders.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(orders.ends_with(&[4096.0]));
        for order in [2.0, 64.0, 128.0, 256.0, 512.0, 1024.0] {
            assert!(orders.contains(&order), "{order}");
        }
    }

    #[test]
    fn accelerated_sums_have_their_limits() {
        // ln 2 and π/4
        let sum = |f: fn(f64) -> f64| alternating_sum(&std::array::from_fn(|k| f(k as f64)));
        assert!((sum(|k| 1.0 / (k + 1.0)) - std::f64::consts::LN_2).abs() < 1e-15);
        assert!((sum(|k| 1.0 / (2.0 * k + 1.0)) - std::f64::consts::FRAC_PI_4).abs() < 1e-15);
    }

    #[test]
    fn fractions_next_to_an_integer_are_next_to_its_divergence() {
        for (rate, noise) in [(1e-3, 1.0), (0.3, 0.5), (0.9, 4.0)] {
            for order in [2.0, 5.0, 10.0] {
                let exact = of_order(rate, noise, order);
                let beside = of_order(rate, noise, order + 1e-9);
                assert!((beside / exact - 1.0).abs() < 1e-6, "{beside} {exact}");
            }
        }
    }

    #[test]
    fn bad_orders_are_refused() {
        let sampled = Sampled::new(0.1, 1.0, 10).unwrap();
        assert!(divergence(&sampled, 1.0).is_err());
        assert!(epsilon(&sampled, 1e-5, &[]).is_err());
        assert!(epsilon(&sampled, 1e-5, &[2.0, 0.5]).is_err());
    }
}
