//! Vectors of four: NEON on 64-bit ARM.

use core::arch::aarch64::{
    float32x4_t, vaddq_f32, vaddq_s32, vaddvq_f32, vbslq_f32, vcgtq_f32, vcgtzq_f32, vcltq_u32,
    vcvtnq_s32_f32, vdivq_f32, vdupq_n_f32, vdupq_n_s32, vdupq_n_u32, vfmaq_f32, vld1q_f32,
    vld1q_u32, vmaxnmvq_f32, vmulq_f32, vreinterpretq_f32_f64, vreinterpretq_f32_s32,
    vreinterpretq_f64_f32, vrndnq_f32, vshlq_n_s32, vsqrtq_f32, vst1q_f32, vsubq_f32, vtrn1q_f32,
    vtrn1q_f64, vtrn2q_f32, vtrn2q_f64,
};

use super::Task;
use super::matrix::PANEL;
use super::simd::Simd;

#[derive(Clone, Copy)]
pub(super) struct Neon;

/// Runs a task compiled for NEON.
///
/// # Safety
/// The CPU must have NEON.
#[target_feature(enable = "neon")]
pub(super) unsafe fn run<T: Task>(task: T) -> T::Output {
    // SAFETY: the caller vouches for the CPU; this function is compiled for NEON.
    unsafe { task.run::<Neon>() }
}

// SAFETY: 4 divides 16 and 16 divides 32. In each method the caller vouches for the
// instruction set and for the pointers, as the trait demands; nothing else is unsafe there.
unsafe impl Simd for Neon {
    type Vector = float32x4_t;
    const LANES: usize = 4;
    // 6 × 4 sums, four vectors of the right operand, one of the left: 29 of 32 registers
    const ROWS: usize = 6;
    const VECTORS: usize = 4;

    #[inline(always)]
    unsafe fn splat(x: f32) -> float32x4_t {
        // SAFETY: see the impl.
        unsafe { vdupq_n_f32(x) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> float32x4_t {
        // SAFETY: see the impl.
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, x: float32x4_t) {
        // SAFETY: see the impl.
        unsafe { vst1q_f32(to, x) }
    }

    #[inline(always)]
    unsafe fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see the impl.
        unsafe { vaddq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see the impl.
        unsafe { vsubq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see the impl.
        unsafe { vmulq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn div(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see the impl.
        unsafe { vdivq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn sqrt(a: float32x4_t) -> float32x4_t {
        // SAFETY: see the impl.
        unsafe { vsqrtq_f32(a) }
    }

    #[inline(always)]
    unsafe fn mul_add(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        // SAFETY: see the impl.
        unsafe { vfmaq_f32(c, a, b) }
    }

    #[inline(always)]
    unsafe fn max(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // not vmaxq, which is NaN where either is
        // SAFETY: see the impl.
        unsafe { vbslq_f32(vcgtq_f32(a, b), a, b) }
    }

    #[inline(always)]
    unsafe fn if_positive(control: float32x4_t, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see the impl.
        unsafe { vbslq_f32(vcgtzq_f32(control), a, b) }
    }

    #[inline(always)]
    unsafe fn first(x: float32x4_t, count: usize, fill: float32x4_t) -> float32x4_t {
        // SAFETY: see the impl; four numbers are read from an array of four.
        unsafe {
            let lanes = vld1q_u32([0, 1, 2, 3].as_ptr());
            vbslq_f32(vcltq_u32(lanes, vdupq_n_u32(count.min(4) as u32)), x, fill)
        }
    }

    #[inline(always)]
    unsafe fn round_and_power(x: float32x4_t) -> (float32x4_t, float32x4_t) {
        // SAFETY: see the impl.
        unsafe {
            let exponent = vaddq_s32(vcvtnq_s32_f32(x), vdupq_n_s32(127));
            let power = vreinterpretq_f32_s32(vshlq_n_s32::<23>(exponent));
            (vrndnq_f32(x), power)
        }
    }

    #[inline(always)]
    unsafe fn sum(x: float32x4_t) -> f32 {
        // SAFETY: see the impl.
        unsafe { vaddvq_f32(x) }
    }

    #[inline(always)]
    unsafe fn largest(x: float32x4_t) -> f32 {
        // SAFETY: see the impl.
        unsafe { vmaxnmvq_f32(x) }
    }

    #[inline(always)]
    unsafe fn transpose(from: *const f32, to: *mut f32) {
        // SAFETY: see the impl.
        unsafe {
            let row = |i: usize| vld1q_f32(from.add(i * PANEL));
            let (a, b, c, d) = (row(0), row(1), row(2), row(3));
            // pairs of rows: even columns and odd ones
            let wide = |x| vreinterpretq_f64_f32(x);
            let (even_ab, odd_ab) = (wide(vtrn1q_f32(a, b)), wide(vtrn2q_f32(a, b)));
            let (even_cd, odd_cd) = (wide(vtrn1q_f32(c, d)), wide(vtrn2q_f32(c, d)));
            let columns = [
                vtrn1q_f64(even_ab, even_cd),
                vtrn1q_f64(odd_ab, odd_cd),
                vtrn2q_f64(even_ab, even_cd),
                vtrn2q_f64(odd_ab, odd_cd),
            ];
            for (i, column) in columns.into_iter().enumerate() {
                vst1q_f32(to.add(i * PANEL), vreinterpretq_f32_f64(column));
            }
        }
    }

    #[inline(always)]
    unsafe fn prefetch(_address: *const f32) {
        // no stable instruction for it; these CPUs guess well
    }
}
