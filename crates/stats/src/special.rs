//! Incomplete beta and gamma functions, with both tails taken directly.
//!
//! The power-times-gamma factor in front of either function is where precision is
//! usually lost: for large parameters it is a difference of huge logarithms. It is
//! written here as Loader (2000, "Fast and accurate computation of binomial
//! probabilities") writes the binomial probability, from the Stirling remainder and
//! the deviance, which are both small numbers.

use std::f64::consts::PI;

/// A term of a series or fraction this small, relative to its sum, ends it.
const RELATIVE_END: f64 = 1e-16;

/// More steps than any parameters below 10⁹ need: about the square root of the larger.
const MOST_STEPS: usize = 200_000;

/// `0.5 ln(2π)`.
const HALF_LN_TAU: f64 = 0.918_938_533_204_672_8;

/// The Stirling remainder `ln Γ(a+1) - (a+½) ln a + a - ½ ln 2π`, for a > 0.
pub(crate) fn stirling_remainder(a: f64) -> f64 {
    if a < 15.0 {
        return libm::lgamma(a + 1.0) - (a + 0.5) * a.ln() + a - HALF_LN_TAU;
    }
    let inverse_square = 1.0 / (a * a);
    // Bernoulli numbers over 2k(2k-1)
    let series = 1.0 / 12.0
        - inverse_square
            * (1.0 / 360.0
                - inverse_square
                    * (1.0 / 1260.0
                        - inverse_square
                            * (1.0 / 1680.0
                                - inverse_square
                                    * (1.0 / 1188.0
                                        - inverse_square
                                            * (691.0 / 360_360.0 - inverse_square / 156.0)))));
    series / a
}

/// The deviance `x ln(x/m) + m - x`, without cancellation where x is close to m.
pub(crate) fn deviance(x: f64, m: f64) -> f64 {
    let difference = x - m;
    if difference.abs() < 0.1 * (x + m) {
        let v = difference / (x + m);
        let mut sum = difference * v;
        let mut term = 2.0 * x * v;
        let square = v * v;
        for j in 1..1000 {
            term *= square;
            let next = sum + term / f64::from(2 * j + 1);
            if (next - sum).abs() <= RELATIVE_END * next.abs() {
                return next;
            }
            sum = next;
        }
        return sum;
    }
    x * (x / m).ln() + m - x
}

/// Both tails of a distribution at one point, also as logarithms, because a tail may
/// be smaller than any `f64`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tails {
    pub(crate) lower: f64,
    pub(crate) upper: f64,
    pub(crate) ln_lower: f64,
    pub(crate) ln_upper: f64,
    /// For beta, `ln(x^a y^b / B(a, b))`: the density in the logit of x.
    pub(crate) ln_density: f64,
}

impl Tails {
    /// From the logarithm of the lower tail, computed directly.
    fn from_lower(ln_lower: f64, ln_density: f64) -> Self {
        let ln_lower = ln_lower.min(0.0);
        let lower = ln_lower.exp();
        Self {
            lower,
            upper: -ln_lower.exp_m1(),
            ln_lower,
            ln_upper: (-lower).ln_1p(),
            ln_density,
        }
    }

    /// The mirror image.
    fn swap(self) -> Self {
        Self {
            lower: self.upper,
            upper: self.lower,
            ln_lower: self.ln_upper,
            ln_upper: self.ln_lower,
            ln_density: self.ln_density,
        }
    }
}

/// `ln(x^a y^b / B(a, b))`: the logarithm of the density of Beta(a, b) in the logit of x,
/// with y = 1 - x. Needs a, b > 0 and 0 < x, y < 1.
pub(crate) fn beta_ln_density(a: f64, b: f64, x: f64, y: f64) -> f64 {
    let total = a + b;
    stirling_remainder(total)
        - stirling_remainder(a)
        - stirling_remainder(b)
        - deviance(a, total * x)
        - deviance(b, total * y)
        + 0.5 * (a / total * b / (2.0 * PI)).ln()
}

/// Both tails of Beta(a, b) at x, where y = 1 - x is given too because it may be known
/// more precisely than the subtraction. Needs a, b > 0 and 0 < x, y < 1.
pub(crate) fn beta_tails(a: f64, b: f64, x: f64, y: f64) -> Tails {
    let total = a + b;
    let ln_density = beta_ln_density(a, b, x, y);
    // the fraction converges fast on its own side of the mode
    if x <= (a + 1.0) / (total + 2.0) {
        Tails::from_lower(ln_density - beta_fraction(a, b, x, y).ln(), ln_density)
    } else {
        Tails::from_lower(ln_density - beta_fraction(b, a, y, x).ln(), ln_density).swap()
    }
}

/// The continued fraction F with `I_x(a, b) = x^a y^b / (B(a, b) F)` (Didonato and
/// Morris 1992, equation 9; the even part of the classical fraction, so half its steps).
///
/// Numerator and denominator go forward by their recurrence, which needs one division a
/// step where Lentz's algorithm needs three: this is the inner loop of Student's t.
pub(crate) fn beta_fraction(a: f64, b: f64, x: f64, y: f64) -> f64 {
    let lead = a * y - b * x + 1.0;
    let slope = 2.0 - x;
    let total = a + b;
    let mut inverse = 1.0 / (a + 1.0);
    let (mut above_before, mut above) = (1.0, a * lead * inverse);
    let (mut below_before, mut below) = (0.0, 1.0);
    for step in 1..MOST_STEPS {
        let m = step as f64;
        let next_inverse = 1.0 / (a + 2.0 * m + 1.0);
        let weight = m * (b - m) * x * inverse;
        let partial_above = weight * (a + m - 1.0) * x * ((total + m - 1.0) * inverse);
        let partial_below = m + weight + (a + m) * (lead + m * slope) * next_inverse;
        inverse = next_inverse;
        (above_before, above) = (above, partial_below * above + partial_above * above_before);
        (below_before, below) = (below, partial_below * below + partial_above * below_before);
        let (one, other) = (above * below_before, above_before * below);
        if (one - other).abs() <= 2.0 * f64::EPSILON * one.abs() {
            break;
        }
        if below.abs() > 1e100 {
            above *= 1e-100;
            above_before *= 1e-100;
            below *= 1e-100;
            below_before *= 1e-100;
        }
    }
    above / below
}

/// The series S with `I_x(a, b) = x^a y^b / (a B(a, b)) · S`: all terms are positive, and
/// few are needed while (a + b) x is small.
pub(crate) fn beta_series(a: f64, b: f64, x: f64) -> f64 {
    let mut term = 1.0;
    let mut sum = 1.0;
    for step in 0..MOST_STEPS {
        let n = step as f64;
        term *= (a + b + n) * x / (a + 1.0 + n);
        sum += term;
        if term <= RELATIVE_END * sum {
            break;
        }
    }
    sum
}

/// Both tails of Gamma(a, 1) at x. Needs a, x > 0.
pub(crate) fn gamma_tails(a: f64, x: f64) -> Tails {
    // ln(x^a e^-x / Γ(a)), the density in the logarithm of x
    let ln_density = 0.5 * (a / (2.0 * PI)).ln() - stirling_remainder(a) - deviance(a, x);
    if x < a + 1.0 {
        let mut term = 1.0 / a;
        let mut sum = term;
        for step in 1..MOST_STEPS {
            term *= x / (a + step as f64);
            sum += term;
            if term <= RELATIVE_END * sum {
                break;
            }
        }
        return Tails::from_lower(ln_density + sum.ln(), ln_density);
    }
    let mut denominator = x + 1.0 - a;
    let mut c = 1.0 / f64::MIN_POSITIVE;
    let mut d = 1.0 / denominator;
    let mut fraction = d;
    for step in 1..MOST_STEPS {
        let m = step as f64;
        let numerator = -m * (m - a);
        denominator += 2.0;
        d = numerator * d + denominator;
        c = denominator + numerator / c;
        if d.abs() < f64::MIN_POSITIVE {
            d = f64::MIN_POSITIVE;
        }
        if c.abs() < f64::MIN_POSITIVE {
            c = f64::MIN_POSITIVE;
        }
        d = 1.0 / d;
        let factor = c * d;
        fraction *= factor;
        if (factor - 1.0).abs() <= 2.0 * f64::EPSILON {
            break;
        }
    }
    Tails::from_lower(ln_density + fraction.ln(), ln_density).swap()
}

/// `Γ(a+½) / Γ(a)` for a > 0, without a logarithm.
pub(crate) fn half_step_gamma_ratio(a: f64) -> f64 {
    let mut shifted = a;
    let mut upper = 1.0;
    let mut lower = 1.0;
    // Γ(a+½)/Γ(a) = Γ(a+n+½)/Γ(a+n) · Π (a+i)/(a+i+½): up to where the series holds
    while shifted < 24.0 {
        upper *= shifted;
        lower *= shifted + 0.5;
        shifted += 1.0;
    }
    let u = 1.0 / shifted;
    // the expansion of the central binomial coefficient
    let series = 1.0
        + u * (-1.0 / 8.0
            + u * (1.0 / 128.0
                + u * (5.0 / 1024.0
                    + u * (-21.0 / 32_768.0
                        + u * (-399.0 / 262_144.0
                            + u * (869.0 / 4_194_304.0
                                + u * (39_325.0 / 33_554_432.0
                                    - u * (334_477.0 / 2_147_483_648.0))))))));
    shifted.sqrt() * series * (upper / lower)
}
