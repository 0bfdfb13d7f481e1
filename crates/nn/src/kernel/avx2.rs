//! Vectors of eight: AVX2 with fused multiply-add (Intel since Haswell, AMD since Zen).

use core::arch::x86_64::{
    __m256, _CMP_GT_OQ, _MM_FROUND_NO_EXC, _MM_FROUND_TO_NEAREST_INT, _MM_HINT_T0, _mm_prefetch,
    _mm256_add_epi32, _mm256_add_ps, _mm256_blendv_ps, _mm256_castsi256_ps, _mm256_cmp_ps,
    _mm256_cvtps_epi32, _mm256_div_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_max_ps,
    _mm256_mul_ps, _mm256_permute2f128_ps, _mm256_round_ps, _mm256_set1_epi32, _mm256_set1_ps,
    _mm256_setr_ps, _mm256_setzero_ps, _mm256_shuffle_ps, _mm256_slli_epi32, _mm256_sqrt_ps,
    _mm256_storeu_ps, _mm256_sub_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps,
};

use super::Task;
use super::matrix::PANEL;
use super::simd::Simd;

#[derive(Clone, Copy)]
pub(super) struct Avx2;

/// Runs a task compiled for AVX2.
///
/// # Safety
/// The CPU must have AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn run<T: Task>(task: T) -> T::Output {
    // SAFETY: the caller vouches for the CPU; this function is compiled for AVX2.
    unsafe { task.run::<Avx2>() }
}

// SAFETY: 8 divides 16 and 16 divides 32. In each method the caller vouches for the
// instruction set and for the pointers, as the trait demands; nothing else is unsafe there.
unsafe impl Simd for Avx2 {
    type Vector = __m256;
    const LANES: usize = 8;
    // 6 × 2 sums, two vectors of the right operand, one of the left: 15 of 16 registers
    const ROWS: usize = 6;
    const VECTORS: usize = 2;

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, x: __m256) {
        // SAFETY: see the impl.
        unsafe { _mm256_storeu_ps(to, x) }
    }

    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn div(a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_div_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn sqrt(a: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_sqrt_ps(a) }
    }

    #[inline(always)]
    unsafe fn mul_add(a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn max(a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_max_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn if_positive(control: __m256, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe {
            let positive = _mm256_cmp_ps::<_CMP_GT_OQ>(control, _mm256_setzero_ps());
            _mm256_blendv_ps(b, a, positive)
        }
    }

    #[inline(always)]
    unsafe fn first(x: __m256, count: usize, fill: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe {
            let lanes = _mm256_setr_ps(0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0);
            let inside = _mm256_cmp_ps::<_CMP_GT_OQ>(_mm256_set1_ps(count as f32), lanes);
            _mm256_blendv_ps(fill, x, inside)
        }
    }

    #[inline(always)]
    unsafe fn round_and_power(x: __m256) -> (__m256, __m256) {
        // SAFETY: see the impl.
        unsafe {
            let rounded = _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x);
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(rounded), _mm256_set1_epi32(127));
            let power = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent));
            (rounded, power)
        }
    }

    #[inline(always)]
    unsafe fn sum(x: __m256) -> f32 {
        let mut lanes = [0.0f32; 8];
        // SAFETY: see the impl.
        unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), x) };
        let [a, b, c, d, e, f, g, h] = lanes;
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }

    #[inline(always)]
    unsafe fn largest(x: __m256) -> f32 {
        let mut lanes = [0.0f32; 8];
        // SAFETY: see the impl.
        unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), x) };
        lanes.into_iter().fold(f32::MIN, f32::max)
    }

    #[inline(always)]
    unsafe fn transpose(from: *const f32, to: *mut f32) {
        // SAFETY: see the impl.
        unsafe {
            let rows: [__m256; 8] = std::array::from_fn(|i| _mm256_loadu_ps(from.add(i * PANEL)));
            // Within each half of 4 lanes, transpose 4 × 4 blocks: first pairs of rows …
            let mut pairs = [_mm256_setzero_ps(); 8];
            for i in 0..4 {
                pairs[2 * i] = _mm256_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
                pairs[2 * i + 1] = _mm256_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
            }
            // … then pairs of pairs: fours[4i + c] holds column 4h + c of rows 4i to 4i + 3
            // in its half h.
            let mut fours = [_mm256_setzero_ps(); 8];
            for i in 0..2 {
                for half in 0..2 {
                    let (a, b) = (pairs[4 * i + half], pairs[4 * i + 2 + half]);
                    fours[4 * i + 2 * half] = _mm256_shuffle_ps::<0x44>(a, b);
                    fours[4 * i + 2 * half + 1] = _mm256_shuffle_ps::<0xee>(a, b);
                }
            }
            for c in 0..4 {
                let low = _mm256_permute2f128_ps::<0x20>(fours[c], fours[4 + c]);
                let high = _mm256_permute2f128_ps::<0x31>(fours[c], fours[4 + c]);
                _mm256_storeu_ps(to.add(c * PANEL), low);
                _mm256_storeu_ps(to.add((4 + c) * PANEL), high);
            }
        }
    }

    #[inline(always)]
    unsafe fn prefetch(address: *const f32) {
        // SAFETY: see the impl; a prefetch may be of any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }
}
