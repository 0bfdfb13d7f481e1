//! Whether all of many numbers are finite, at the speed of reading them.
#![expect(
    clippy::inline_always,
    reason = "vector code works only when inlined into a function compiled for its instruction set"
)]

use giveaway_nn::{Loops, vectorised};

use super::evidence::Real;

/// Numbers that are looked at before it is asked whether one of them is not finite.
const BLOCK: usize = 4096;

/// The place of the first number that is `NaN` or infinite.
pub(super) fn first_not_finite<T: Real>(numbers: &[T]) -> Option<usize> {
    let block = numbers
        .chunks(BLOCK)
        .position(|block| vectorised(SomeNotFinite(block)))?;
    let first = block * BLOCK;
    let within = numbers[first..].iter().position(|&x| {
        let x: f64 = x.into();
        !x.is_finite()
    });
    within.map(|place| first + place)
}

struct SomeNotFinite<'a, T>(&'a [T]);

impl<T: Real> Loops for SomeNotFinite<'_, T> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let mut found = 0;
        for &x in self.0 {
            let x: f64 = x.into();
            found |= u64::from(!x.is_finite());
        }
        found != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_found_wherever_it_is() {
        let mut numbers = vec![f32::MAX; 2 * BLOCK + 7];
        numbers[3] = f32::MIN_POSITIVE / 8.0;
        assert_eq!(first_not_finite(&numbers), None);
        assert_eq!(first_not_finite::<f64>(&[]), None);
        for place in [numbers.len() - 1, 2 * BLOCK, BLOCK + 9, BLOCK - 1, 0] {
            for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                numbers[place] = wrong;
                assert_eq!(first_not_finite(&numbers), Some(place));
            }
        }
        let wide = [1.0, f64::MAX, -f64::MAX, f64::NEG_INFINITY];
        assert_eq!(first_not_finite(&wide), Some(3));
    }
}
