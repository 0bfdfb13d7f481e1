//! The exponential function of numbers that are not above 0, the same on every machine.

/// 1.5 · 2^52: adding it rounds to a whole number, which then stands in the lowest bits.
const ROUNDING: f64 = 6_755_399_441_055_744.0;

/// ln 2 in two parts; a multiple of the first by a whole number below 2^11 is exact.
const LN_2_HIGH: f64 = 0.693_147_180_369_123_8;
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// e to the power of `x`, which must not be above 0, within three units in the last place;
/// below −700 it is e to the power of −700, about 1e−304.
///
/// Reduction to |r| ≤ ln 2 / 2 and the Taylor polynomial of degree 13, without a branch, so that
/// loops over it are compiled to vector instructions.
pub(crate) fn exp_not_positive(x: f64) -> f64 {
    let x = if x < -700.0 { -700.0 } else { x };
    let shifted = x * std::f64::consts::LOG2_E + ROUNDING;
    let whole = shifted - ROUNDING;
    let r = (x - whole * LN_2_HIGH) - whole * LN_2_LOW;
    let mut sum = 1.0 / 6_227_020_800.0;
    for inverse in [
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        sum = sum * r + inverse;
    }
    // the whole number, biased and moved to where the exponent is; higher bits fall off
    let power = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    sum * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_libm() {
        for step in 0..=70_000 {
            let x = -f64::from(step) / 100.0 * 0.999_37;
            let (got, want) = (exp_not_positive(x), libm::exp(x));
            assert!((got - want).abs() <= 7e-16 * want, "{x}: {got} {want}");
        }
        assert_eq!(exp_not_positive(0.0).to_bits(), 1f64.to_bits());
        assert!(exp_not_positive(f64::NEG_INFINITY) < 1e-300);
        assert!(exp_not_positive(-1e300) < 1e-300);
    }
}
