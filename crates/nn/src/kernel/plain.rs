//! Vectors without any instruction set beyond what every CPU of the target has.
//!
//! Arrays of four, which the compiler turns into the target's basic vectors (SSE2 on
//! x86-64, NEON on 64-bit ARM).

use super::matrix::PANEL;
use super::simd::Simd;

#[derive(Clone, Copy)]
pub(super) struct Plain;

const LANES: usize = 4;

#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(super) struct Four([f32; LANES]);

#[inline(always)]
fn map(a: Four, f: impl Fn(f32) -> f32) -> Four {
    Four(a.0.map(f))
}

#[inline(always)]
fn zip(a: Four, b: Four, f: impl Fn(f32, f32) -> f32) -> Four {
    Four(std::array::from_fn(|i| f(a.0[i], b.0[i])))
}

// SAFETY: 4 divides 16 and 8 divides 32. No method needs an instruction set.
unsafe impl Simd for Plain {
    type Vector = Four;
    const LANES: usize = LANES;
    const ROWS: usize = 6;
    const VECTORS: usize = 2;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Four {
        Four([x; LANES])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Four {
        // SAFETY: the caller vouches for four readable floats.
        Four(unsafe { from.cast::<[f32; LANES]>().read() })
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, x: Four) {
        // SAFETY: the caller vouches for four writable floats.
        unsafe { to.cast::<[f32; LANES]>().write(x.0) }
    }

    #[inline(always)]
    unsafe fn add(a: Four, b: Four) -> Four {
        zip(a, b, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn sub(a: Four, b: Four) -> Four {
        zip(a, b, |a, b| a - b)
    }

    #[inline(always)]
    unsafe fn mul(a: Four, b: Four) -> Four {
        zip(a, b, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn div(a: Four, b: Four) -> Four {
        zip(a, b, |a, b| a / b)
    }

    #[inline(always)]
    unsafe fn sqrt(a: Four) -> Four {
        map(a, f32::sqrt)
    }

    #[inline(always)]
    unsafe fn mul_add(a: Four, b: Four, c: Four) -> Four {
        // f32::mul_add would call a library function where the CPU has no such instruction
        Four(std::array::from_fn(|i| a.0[i] * b.0[i] + c.0[i]))
    }

    #[inline(always)]
    unsafe fn max(a: Four, b: Four) -> Four {
        zip(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    unsafe fn if_positive(control: Four, a: Four, b: Four) -> Four {
        Four(std::array::from_fn(|i| {
            if control.0[i] > 0.0 { a.0[i] } else { b.0[i] }
        }))
    }

    #[inline(always)]
    unsafe fn first(x: Four, count: usize, fill: Four) -> Four {
        Four(std::array::from_fn(|i| {
            if i < count { x.0[i] } else { fill.0[i] }
        }))
    }

    #[inline(always)]
    unsafe fn round_and_power(x: Four) -> (Four, Four) {
        // adding 1.5·2²³ leaves no bits for a fraction: the sum is rounded to an integer,
        // which stands in its low bits
        const SHIFT: f32 = 12_582_912.0;
        let shifted = map(x, |x| x + SHIFT);
        let rounded = map(shifted, |x| x - SHIFT);
        let power = map(shifted, |x| {
            f32::from_bits(x.to_bits().wrapping_add(127) << 23)
        });
        (rounded, power)
    }

    #[inline(always)]
    unsafe fn sum(x: Four) -> f32 {
        (x.0[0] + x.0[2]) + (x.0[1] + x.0[3])
    }

    #[inline(always)]
    unsafe fn largest(x: Four) -> f32 {
        x.0[0].max(x.0[2]).max(x.0[1].max(x.0[3]))
    }

    #[inline(always)]
    unsafe fn transpose(from: *const f32, to: *mut f32) {
        // SAFETY: the caller vouches for four rows of four floats, PANEL apart, on both sides.
        unsafe {
            let rows: [Four; LANES] = std::array::from_fn(|i| Self::load(from.add(i * PANEL)));
            for j in 0..LANES {
                Self::store(to.add(j * PANEL), Four(rows.map(|row| row.0[j])));
            }
        }
    }

    #[inline(always)]
    unsafe fn prefetch(_address: *const f32) {}
}
