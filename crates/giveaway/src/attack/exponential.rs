//! The exponential of many numbers at once, in a form that compilers turn into vector code.

/// `e^x` for each x, within 2 units in the last place of the exact value.
///
/// `x = n ln 2 + r` with `|r| ≤ ln 2 / 2`; `e^r` by its Taylor polynomial of degree 13, whose
/// remainder is below 1e-17, and 2ⁿ by adding n to the exponent. The result of a number does
/// not depend on those beside it.
pub(super) fn exponentials(values: &mut [f64]) {
    /// Beyond it 2ⁿ needs two factors, or there is overflow: the standard library's turn.
    const LARGEST: f64 = 708.0;
    let mut out_of_range = false;
    for value in values.iter() {
        // NaN is not within either
        out_of_range |= value.is_nan() | (value.abs() > LARGEST);
    }
    if out_of_range {
        for value in values.iter_mut() {
            *value = if value.abs() <= LARGEST {
                of_one(*value)
            } else {
                value.exp()
            };
        }
        return;
    }
    for value in values.iter_mut() {
        *value = of_one(*value);
    }
}

#[inline]
fn of_one(x: f64) -> f64 {
    /// Adding it rounds to the nearest whole number, which is then in the lowest bits.
    const ROUNDER: f64 = 6_755_399_441_055_744.0; // 1.5 · 2^52
    /// ln 2 in two parts, of which the first has 21 zeros at its end: n times it is exact.
    const LN_2_HIGH: f64 = 0.693_147_180_369_123_8;
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
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

#[cfg(test)]
mod tests {
    use super::exponentials;
    use proptest::prelude::*;

    fn of(x: f64) -> f64 {
        let mut value = [x];
        exponentials(&mut value);
        value[0]
    }

    proptest! {
        #[test]
        fn it_is_that_of_the_standard_library(
            x in prop_oneof![-745.0f64..709.7, -2.0f64..2.0, -1e-9f64..1e-9],
            y in -800.0f64..800.0,
        ) {
            let expected = x.exp();
            prop_assert!((of(x) - expected).abs() <= 1e-15 * expected);
            // whatever is beside it
            let mut both = [x, y];
            exponentials(&mut both);
            prop_assert_eq!(both[0].to_bits(), of(x).to_bits());
        }
    }

    #[test]
    fn at_the_ends() {
        assert_eq!(of(0.0).to_bits(), 1.0f64.to_bits());
        assert_eq!(of(-0.0).to_bits(), 1.0f64.to_bits());
        assert!(of(f64::NAN).is_nan() && of(1e9).is_infinite());
        assert_eq!(of(f64::NEG_INFINITY).to_bits(), 0.0f64.to_bits());
        assert_eq!(of(-1e9).to_bits(), 0.0f64.to_bits());
    }
}
