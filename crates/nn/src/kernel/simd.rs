//! What the kernels need of an instruction set.

/// Vectors of `f32` in one instruction set.
///
/// Methods are inlined into a function compiled for the instruction set (see
/// `Task`); outside of one they would be correct only by luck and slow.
///
/// # Safety
/// To call any method, the CPU must have the instruction set. Pointers must be valid for
/// reads or writes of `LANES` floats; they need no alignment beyond that of `f32`.
///
/// To implement the trait: `LANES` divides 16, and `LANES * VECTORS` divides 32.
pub(super) unsafe trait Simd: Copy {
    /// A vector.
    type Vector: Copy;
    /// Floats of a vector.
    const LANES: usize;
    /// Rows of a tile of a product, at most 13.
    const ROWS: usize;
    /// Vectors of a tile's row: 1, 2 or 4.
    const VECTORS: usize;

    unsafe fn splat(x: f32) -> Self::Vector;
    unsafe fn load(from: *const f32) -> Self::Vector;
    unsafe fn store(to: *mut f32, x: Self::Vector);
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn sub(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn mul(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn div(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn sqrt(a: Self::Vector) -> Self::Vector;
    /// a·b + c, rounded once where the instruction set can
    unsafe fn mul_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// a > b ? a : b, so b where either is NaN
    unsafe fn max(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// control > 0 ? a : b
    unsafe fn if_positive(control: Self::Vector, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The first `count` lanes of `x`, and `fill` in the others
    unsafe fn first(x: Self::Vector, count: usize, fill: Self::Vector) -> Self::Vector;
    /// The nearest integer n to x, as a number, and 2ⁿ, for −126 ≤ n ≤ 127
    unsafe fn round_and_power(x: Self::Vector) -> (Self::Vector, Self::Vector);
    /// The sum of all lanes
    unsafe fn sum(x: Self::Vector) -> f32;
    /// The largest lane; NaN may be passed over
    unsafe fn largest(x: Self::Vector) -> f32;
    /// Reads `LANES` rows of `LANES` floats and writes them as columns; rows are
    /// `PANEL` floats apart on both sides
    unsafe fn transpose(from: *const f32, to: *mut f32);
    /// Asks for a cache line that will be read soon; any address is allowed
    unsafe fn prefetch(address: *const f32);

    /// max(x, 0), and NaN where x is NaN
    #[inline(always)]
    unsafe fn relu(x: Self::Vector) -> Self::Vector {
        // SAFETY: the caller vouches for the instruction set.
        unsafe { Self::max(Self::splat(0.0), x) }
    }

    /// (2ⁿ, eʳ − 1) with x = n·ln 2 + r, |r| ≤ ln 2 / 2, for x ≤ 0; x below −60 counts as −60.
    ///
    /// The series of eʳ − 1 up to r⁷ is within 6e-9 of it, relatively. Stopping at
    /// e⁻⁶⁰ (1e-26) keeps everything computed from the result out of the subnormal
    /// numbers, on which CPUs are slow, and is far below what a sum with 1 can feel.
    #[inline(always)]
    unsafe fn exp_parts(x: Self::Vector) -> (Self::Vector, Self::Vector) {
        // SAFETY: the caller vouches for the instruction set.
        unsafe {
            // NaN comes through, being second
            let x = Self::max(Self::splat(-60.0), x);
            let (n, power) =
                Self::round_and_power(Self::mul(x, Self::splat(std::f32::consts::LOG2_E)));
            // ln 2 = 0.693359375 − 2.12194440e-4; n times the first part is exact
            let r = Self::mul_add(n, Self::splat(-0.693_359_4), x);
            let r = Self::mul_add(n, Self::splat(2.121_944_4e-4), r);
            let mut series = Self::splat(1.0 / 5040.0);
            for divisor in [720.0, 120.0, 24.0, 6.0, 2.0, 1.0] {
                series = Self::mul_add(series, r, Self::splat(1.0 / divisor));
            }
            (power, Self::mul(series, r))
        }
    }

    /// eˣ for x ≤ 0; e⁻⁶⁰ below that
    #[inline(always)]
    unsafe fn exp(x: Self::Vector) -> Self::Vector {
        // SAFETY: the caller vouches for the instruction set.
        unsafe {
            let (power, rest) = Self::exp_parts(x);
            Self::mul_add(power, rest, power)
        }
    }

    /// tanh x, from u = e^(−2|x|) − 1 as −u / (2 + u), which loses nothing near 0
    #[inline(always)]
    unsafe fn tanh(x: Self::Vector) -> Self::Vector {
        // SAFETY: the caller vouches for the instruction set.
        unsafe {
            let negative = Self::sub(Self::splat(0.0), x);
            let size = Self::max(negative, x);
            let (power, rest) = Self::exp_parts(Self::mul(size, Self::splat(-2.0)));
            let u = Self::mul_add(power, rest, Self::sub(power, Self::splat(1.0)));
            let quotient = Self::div(u, Self::add(u, Self::splat(2.0)));
            Self::if_positive(x, Self::sub(Self::splat(0.0), quotient), quotient)
        }
    }
}
