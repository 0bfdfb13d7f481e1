//! Vectors of sixteen: AVX-512 (Intel since Skylake-X, AMD since Zen 4).

use core::arch::x86_64::{
    __m512, _CMP_GT_OQ, _MM_FROUND_NO_EXC, _MM_FROUND_TO_NEAREST_INT, _MM_HINT_T0, _mm_prefetch,
    _mm512_add_epi32, _mm512_add_ps, _mm512_castpd_ps, _mm512_castps_pd, _mm512_castsi512_ps,
    _mm512_cmp_ps_mask, _mm512_cvtps_epi32, _mm512_div_ps, _mm512_fmadd_ps, _mm512_loadu_ps,
    _mm512_mask_mov_ps, _mm512_max_ps, _mm512_mul_ps, _mm512_reduce_add_ps, _mm512_reduce_max_ps,
    _mm512_roundscale_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps,
    _mm512_shuffle_f32x4, _mm512_slli_epi32, _mm512_sqrt_ps, _mm512_storeu_ps, _mm512_sub_ps,
    _mm512_unpackhi_pd, _mm512_unpackhi_ps, _mm512_unpacklo_pd, _mm512_unpacklo_ps,
};

use super::Task;
use super::matrix::PANEL;
use super::simd::Simd;

#[derive(Clone, Copy)]
pub(super) struct Avx512;

/// Runs a task compiled for AVX-512.
///
/// # Safety
/// The CPU must have AVX-512F.
#[target_feature(enable = "avx512f,avx2,fma")]
pub(super) unsafe fn run<T: Task>(task: T) -> T::Output {
    // SAFETY: the caller vouches for the CPU; this function is compiled for AVX-512.
    unsafe { task.run::<Avx512>() }
}

// SAFETY: 16 divides 16 and 32 divides 32. In each method the caller vouches for the
// instruction set and for the pointers, as the trait demands; nothing else is unsafe there.
unsafe impl Simd for Avx512 {
    type Vector = __m512;
    const LANES: usize = 16;
    // 13 × 2 sums, two vectors of the right operand and what the loop needs: 32 registers
    const ROWS: usize = 13;
    const VECTORS: usize = 2;

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, x: __m512) {
        // SAFETY: see the impl.
        unsafe { _mm512_storeu_ps(to, x) }
    }

    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn div(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn sqrt(a: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_sqrt_ps(a) }
    }

    #[inline(always)]
    unsafe fn mul_add(a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn max(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn if_positive(control: __m512, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe {
            let positive = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(control, _mm512_setzero_ps());
            _mm512_mask_mov_ps(b, positive, a)
        }
    }

    #[inline(always)]
    unsafe fn first(x: __m512, count: usize, fill: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_mask_mov_ps(fill, ((1u32 << count.min(16)) - 1) as u16, x) }
    }

    #[inline(always)]
    unsafe fn round_and_power(x: __m512) -> (__m512, __m512) {
        // SAFETY: see the impl.
        unsafe {
            let rounded =
                _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x);
            let exponent = _mm512_add_epi32(_mm512_cvtps_epi32(rounded), _mm512_set1_epi32(127));
            let power = _mm512_castsi512_ps(_mm512_slli_epi32::<23>(exponent));
            (rounded, power)
        }
    }

    #[inline(always)]
    unsafe fn sum(x: __m512) -> f32 {
        // SAFETY: see the impl.
        unsafe { _mm512_reduce_add_ps(x) }
    }

    #[inline(always)]
    unsafe fn largest(x: __m512) -> f32 {
        // SAFETY: see the impl.
        unsafe { _mm512_reduce_max_ps(x) }
    }

    #[inline(always)]
    unsafe fn transpose(from: *const f32, to: *mut f32) {
        // SAFETY: see the impl.
        unsafe {
            let rows: [__m512; 16] = std::array::from_fn(|i| _mm512_loadu_ps(from.add(i * PANEL)));
            // Within each quarter of 4 lanes, transpose 4 × 4 blocks: first pairs of rows …
            let mut pairs = [_mm512_setzero_ps(); 16];
            for i in 0..8 {
                pairs[2 * i] = _mm512_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
                pairs[2 * i + 1] = _mm512_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
            }
            // … then pairs of pairs: fours[4i + c] holds column 4q + c of rows 4i to 4i + 3
            // in its quarter q.
            let mut fours = [_mm512_setzero_ps(); 16];
            for i in 0..4 {
                for half in 0..2 {
                    let a = _mm512_castps_pd(pairs[4 * i + half]);
                    let b = _mm512_castps_pd(pairs[4 * i + 2 + half]);
                    fours[4 * i + 2 * half] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
                    fours[4 * i + 2 * half + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
                }
            }
            // Then transpose the 4 × 4 quarters of the same column c.
            for c in 0..4 {
                let even_low = _mm512_shuffle_f32x4::<0x88>(fours[c], fours[4 + c]);
                let odd_low = _mm512_shuffle_f32x4::<0xdd>(fours[c], fours[4 + c]);
                let even_high = _mm512_shuffle_f32x4::<0x88>(fours[8 + c], fours[12 + c]);
                let odd_high = _mm512_shuffle_f32x4::<0xdd>(fours[8 + c], fours[12 + c]);
                let columns = [
                    _mm512_shuffle_f32x4::<0x88>(even_low, even_high),
                    _mm512_shuffle_f32x4::<0x88>(odd_low, odd_high),
                    _mm512_shuffle_f32x4::<0xdd>(even_low, even_high),
                    _mm512_shuffle_f32x4::<0xdd>(odd_low, odd_high),
                ];
                for (q, column) in columns.into_iter().enumerate() {
                    _mm512_storeu_ps(to.add((4 * q + c) * PANEL), column);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn prefetch(address: *const f32) {
        // SAFETY: see the impl; a prefetch may be of any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }
}
