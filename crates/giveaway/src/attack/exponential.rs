//! Exponentials and logarithms of many numbers at once, in a form that compilers turn into
//! vector code.
//!
//! The result of a number does not depend on those beside it, nor on the instruction set.
#![expect(
    clippy::inline_always,
    reason = "vector code works only when inlined into a function compiled for its instruction set"
)]

use giveaway_nn::{Loops, vectorised};

use super::evidence::Real;

/// Beyond it 2ⁿ needs two factors, or there is overflow: the standard library's turn.
const LARGEST: f64 = 708.0;

/// A function of one number, for the numbers of a slice.
struct Each<'a, T, F>(&'a [T], &'a mut [f64], F);

impl<T: Real, F: Function> Loops for Each<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self(numbers, results, function) = self;
        let mut outside = 0;
        for (&x, result) in numbers.iter().zip(results.iter_mut()) {
            let x: f64 = x.into();
            outside |= u64::from(!function.covers(x));
            *result = function.fast(x);
        }
        if outside != 0 {
            for (&x, result) in numbers.iter().zip(results) {
                let x: f64 = x.into();
                if !function.covers(x) {
                    *result = function.slow(x);
                }
            }
        }
    }
}

/// Methods of an implementation are inlined.
trait Function {
    /// Whether the fast form serves. Without a branch.
    fn covers(&self, x: f64) -> bool;

    /// Without a branch; what it makes of other numbers does not matter.
    fn fast(&self, x: f64) -> f64;

    /// For all numbers.
    fn slow(&self, x: f64) -> f64;
}

/// `1/(1 + e^-x)`.
struct Logistic;

impl Function for Logistic {
    #[inline(always)]
    fn covers(&self, x: f64) -> bool {
        x.abs() <= LARGEST
    }

    #[inline(always)]
    fn fast(&self, x: f64) -> f64 {
        1.0 / (1.0 + exponential(-x))
    }

    fn slow(&self, x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }
}

/// `e^-x`.
struct ExponentialOfMinus;

impl Function for ExponentialOfMinus {
    #[inline(always)]
    fn covers(&self, x: f64) -> bool {
        x.abs() <= LARGEST
    }

    #[inline(always)]
    fn fast(&self, x: f64) -> f64 {
        exponential(-x)
    }

    fn slow(&self, x: f64) -> f64 {
        (-x).exp()
    }
}

/// `ln(1 + e^-x)`.
struct SoftplusOfMinus;

impl Function for SoftplusOfMinus {
    #[inline(always)]
    fn covers(&self, x: f64) -> bool {
        x.abs() <= LARGEST
    }

    #[inline(always)]
    fn fast(&self, x: f64) -> f64 {
        // ln(1 + u) of u in (0, 1] is ln c + 2 artanh(s) with s = (1 + u - c)/(1 + u + c),
        // where c is 1 or 2, whichever is nearer. Neither of the two sums is rounded up to a
        // loss: u itself, and u - 1, are what is left of 1 + u - c.
        let u = exponential(-x.abs());
        let small = u < 0.414;
        let above = if small { u } else { u - 1.0 };
        let below = if small { 2.0 + u } else { 3.0 + u };
        let base = if small { 0.0 } else { std::f64::consts::LN_2 };
        let linear = if x < 0.0 { -x } else { 0.0 };
        linear + (base + twice_artanh(above / below))
    }

    fn slow(&self, x: f64) -> f64 {
        if x < 0.0 {
            -x + x.exp().ln_1p()
        } else {
            (-x).exp().ln_1p()
        }
    }
}

/// `ln x`.
struct Logarithm;

impl Function for Logarithm {
    #[inline(always)]
    fn covers(&self, x: f64) -> bool {
        (f64::MIN_POSITIVE..=f64::MAX).contains(&x)
    }

    #[inline(always)]
    fn fast(&self, x: f64) -> f64 {
        /// The bits of √½: numbers from there to √2 get the exponent 0.
        const ROOT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
        /// The bits of 2^52: a small whole number in its last bits makes 2^52 and that number.
        const TO_FLOAT: u64 = 0x4330_0000_0000_0000;
        let bits = x.to_bits().wrapping_sub(ROOT_HALF);
        // the first 12 bits are the exponent, of either sign; 2048 more, it has none
        let exponent = bits.wrapping_add(1 << 63) >> 52;
        let whole = f64::from_bits(TO_FLOAT | exponent) - (4_503_599_627_370_496.0 + 2048.0);
        let mantissa = f64::from_bits((bits & 0x000f_ffff_ffff_ffff).wrapping_add(ROOT_HALF));
        let near_zero = twice_artanh((mantissa - 1.0) / (mantissa + 1.0));
        whole * LN_2_HIGH + (near_zero + whole * LN_2_LOW)
    }

    fn slow(&self, x: f64) -> f64 {
        x.ln()
    }
}

/// `e^x` for |x| ≤ 708, within 2 units in the last place of the exact value.
///
/// `x = n ln 2 + r` with `|r| ≤ ln 2 / 2`; `e^r` by its Taylor polynomial of degree 13, whose
/// remainder is below 1e-17, and 2ⁿ by adding n to the exponent.
#[inline(always)]
fn exponential(x: f64) -> f64 {
    /// Adding it rounds to the nearest whole number, which is then in the lowest bits.
    const ROUNDER: f64 = 6_755_399_441_055_744.0; // 1.5 · 2^52
    let shifted = x * std::f64::consts::LOG2_E + ROUNDER;
    let n = shifted - ROUNDER;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    // 1/k! for k from 13 down to 0, by pairs, so that multiplications overlap
    let r2 = r * r;
    let r4 = r2 * r2;
    let a = 1.0 + r;
    let b = 0.5 + r * (1.0 / 6.0);
    let c = 1.0 / 24.0 + r * (1.0 / 120.0);
    let d = 1.0 / 720.0 + r * (1.0 / 5_040.0);
    let e = 1.0 / 40_320.0 + r * (1.0 / 362_880.0);
    let f = 1.0 / 3_628_800.0 + r * (1.0 / 39_916_800.0);
    let g = 1.0 / 479_001_600.0 + r * (1.0 / 6_227_020_800.0);
    let low = b * r2 + a;
    let middle = d * r2 + c;
    let high = f * r2 + e;
    let polynomial = (g * r4 + high) * (r4 * r4) + (middle * r4 + low);
    // n + the rounder's bits, shifted to where the exponent is
    let power = shifted.to_bits() << 52;
    f64::from_bits(polynomial.to_bits().wrapping_add(power))
}

/// ln 2 in two parts, of which the first has 21 zeros at its end: n times it is exact.
const LN_2_HIGH: f64 = 0.693_147_180_369_123_8;
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// `2 artanh(s)` for |s| ≤ 0.1716, `3 - 2√2`, by its Taylor series up to s^21, whose remainder
/// is below 1e-18 of it.
#[inline(always)]
fn twice_artanh(s: f64) -> f64 {
    let z = s * s;
    let z2 = z * z;
    let z4 = z2 * z2;
    let a = 2.0 / 3.0 + z * (2.0 / 5.0);
    let b = 2.0 / 7.0 + z * (2.0 / 9.0);
    let c = 2.0 / 11.0 + z * (2.0 / 13.0);
    let d = 2.0 / 15.0 + z * (2.0 / 17.0);
    let e = 2.0 / 19.0 + z * (2.0 / 21.0);
    let series = (a + z2 * b) + z4 * ((c + z2 * d) + z4 * e);
    2.0 * s + s * (z * series)
}

/// `1/(1 + e^-x)` for each x.
pub(super) fn logistics<T: Real>(numbers: &[T], results: &mut [f64]) {
    vectorised(Each(numbers, results, Logistic));
}

/// `e^-x` for each x.
pub(super) fn exponentials_of_minus<T: Real>(numbers: &[T], results: &mut [f64]) {
    vectorised(Each(numbers, results, ExponentialOfMinus));
}

/// `ln(1 + e^-x)` for each x, within 1e-15 of itself.
pub(super) fn softpluses_of_minus<T: Real>(numbers: &[T], results: &mut [f64]) {
    vectorised(Each(numbers, results, SoftplusOfMinus));
}

/// `ln(1 + e^-x)`, with the bits of [`softpluses_of_minus`].
pub(super) fn softplus_of_minus(x: f64) -> f64 {
    of_one(&SoftplusOfMinus, x)
}

/// `ln x` for each x, within 1e-15 of itself.
pub(super) fn logarithms<T: Real>(numbers: &[T], results: &mut [f64]) {
    vectorised(Each(numbers, results, Logarithm));
}

fn of_one(function: &impl Function, x: f64) -> f64 {
    if function.covers(x) {
        function.fast(x)
    } else {
        function.slow(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every so often over a range, the ends and their neighbours too.
    fn scan(from: f64, to: f64, count: u32) -> impl Iterator<Item = f64> {
        (0..=count).map(move |i| from + (to - from) * (f64::from(i) / f64::from(count)))
    }

    /// Largest relative error over numbers where the fast form serves.
    fn largest_error(
        function: &impl Function,
        numbers: impl Iterator<Item = f64>,
        exact: impl Fn(f64) -> f64,
    ) -> f64 {
        let mut largest = 0.0f64;
        for x in numbers {
            assert!(function.covers(x), "{x}");
            let (found, expected) = (function.fast(x), exact(x));
            if found.to_bits() != expected.to_bits() {
                largest = largest.max(((found - expected) / expected).abs());
            }
        }
        largest
    }

    fn softplus(x: f64) -> f64 {
        if x < 0.0 {
            -x + x.exp().ln_1p()
        } else {
            (-x).exp().ln_1p()
        }
    }

    #[test]
    fn they_are_those_of_the_standard_library() {
        let wide = || {
            scan(-708.0, 708.0, 200_000)
                .chain(scan(-40.0, 40.0, 200_000))
                .chain(scan(-1e-9, 1e-9, 100))
        };
        let error = largest_error(&ExponentialOfMinus, wide(), |x| (-x).exp());
        assert!(error <= 5e-16, "{error:e}");
        let error = largest_error(&Logistic, wide(), |x| 1.0 / (1.0 + (-x).exp()));
        assert!(error <= 7e-16, "{error:e}");
        // around the change of form, u = 0.414, too
        let around = scan(0.881_8, 0.882_0, 10_000);
        let error = largest_error(&SoftplusOfMinus, wide().chain(around), softplus);
        assert!(error <= 1e-15, "{error:e}");
        let positive = scan(-708.0, 709.0, 200_000).map(f64::exp);
        let near_one = scan(-1.0, 1.0, 100_000).map(|x| 1.0 + x * x * x * 0.5);
        let error = largest_error(&Logarithm, positive.chain(near_one), f64::ln);
        assert!(error <= 1e-15, "{error:e}");
    }

    #[test]
    fn at_the_ends() {
        let of = |f: &dyn Fn(&[f64], &mut [f64]), x: f64| {
            let mut result = [0.0; 3];
            f(&[1.0, x, 2.0], &mut result);
            // whatever is beside it
            let mut alone = [0.0];
            f(&[x], &mut alone);
            assert_eq!(alone[0].to_bits(), result[1].to_bits());
            result[1]
        };
        let exp = |x: f64| of(&exponentials_of_minus::<f64>, x);
        assert_eq!(exp(0.0).to_bits(), 1.0f64.to_bits());
        assert_eq!(exp(1e9).to_bits(), 0.0f64.to_bits());
        assert!(exp(f64::NAN).is_nan() && exp(-1e9).is_infinite());
        let logistic = |x: f64| of(&logistics::<f64>, x);
        assert_eq!(
            (logistic(-1e9).to_bits(), logistic(1e9).to_bits()),
            (0, 1.0f64.to_bits())
        );
        assert!(logistic(f64::NAN).is_nan());
        for x in [-1e300, -720.0, 720.0, 744.0, 1e300, f64::INFINITY] {
            let found = of(&softpluses_of_minus::<f64>, x);
            assert_eq!(found.to_bits(), softplus(x).to_bits());
            assert_eq!(found.to_bits(), softplus_of_minus(x).to_bits());
        }
        assert!(of(&softpluses_of_minus::<f64>, f64::NAN).is_nan());
        for x in [0.0, 5e-324, 1e-310, f64::INFINITY] {
            assert_eq!(of(&logarithms::<f64>, x).to_bits(), x.ln().to_bits());
        }
        assert!(of(&logarithms::<f64>, -1.0).is_nan());
        assert_eq!(of(&logarithms::<f64>, 1.0).to_bits(), 0);
    }

    proptest! {
        /// On each instruction set, and alone as among others.
        #[test]
        fn the_instruction_set_does_not_matter(
            numbers in prop::collection::vec(prop_oneof![-800.0f64..800.0, -4.0f64..4.0], 1..70),
        ) {
            let mut wide = vec![0.0; numbers.len()];
            let mut plain = wide.clone();
            softpluses_of_minus(&numbers, &mut wide);
            Each(&numbers, &mut plain, SoftplusOfMinus).run();
            for ((&x, wide), plain) in numbers.iter().zip(&wide).zip(&plain) {
                prop_assert_eq!(wide.to_bits(), plain.to_bits());
                prop_assert_eq!(wide.to_bits(), softplus_of_minus(x).to_bits());
            }
            logistics(&numbers, &mut wide);
            Each(&numbers, &mut plain, Logistic).run();
            prop_assert_eq!(&wide, &plain);
            let positive: Vec<f64> = numbers.iter().map(|x| x.exp()).collect();
            logarithms(&positive, &mut wide);
            Each(&positive, &mut plain, Logarithm).run();
            prop_assert_eq!(&wide, &plain);
        }
    }
}
