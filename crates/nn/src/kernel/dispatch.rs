//! Loops of other crates, compiled for the instruction set of the CPU that runs them.

/// Work whose loops the compiler is to turn into vector code.
///
/// [`Loops::run`] must be marked `#[inline(always)]`, and so must the functions that it calls
/// in its loops: only what is inlined into [`vectorised`] is compiled for the instruction set.
pub trait Loops {
    /// What the work results in.
    type Output;

    /// The work itself.
    fn run(self) -> Self::Output;
}

/// Does the work with the widest instructions that this CPU has: AVX-512, AVX2, or those that
/// every CPU of the architecture has.
///
/// The result has the same bits with each of them. The compiler may neither reorder sums of
/// floating-point numbers nor contract a product and a sum into a fused operation, and fused
/// operations are not even enabled here; all that is left are the operations of IEEE 754, on
/// more or fewer numbers at once.
pub fn vectorised<L: Loops>(loops: L) -> L::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if has_avx512() {
            // SAFETY: the CPU was found to have each feature that the function is compiled for.
            return unsafe { with_avx512(loops) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: as above.
            return unsafe { with_avx2(loops) };
        }
    }
    loops.run()
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw")
}

/// # Safety
/// The CPU must have AVX-512 F, VL, DQ and BW.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
unsafe fn with_avx512<L: Loops>(loops: L) -> L::Output {
    loops.run()
}

/// # Safety
/// The CPU must have AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn with_avx2<L: Loops>(loops: L) -> L::Output {
    loops.run()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Products and sums that a fused operation would round otherwise, and a division.
    struct Polynomial<'a>(&'a [f64], &'a mut [f64]);

    impl Loops for Polynomial<'_> {
        type Output = ();

        #[inline(always)]
        fn run(self) {
            for (x, y) in self.0.iter().zip(self.1) {
                *y = (x * x + 0.1 * x - 0.3) / (1.0 + x.abs() * 0.7);
            }
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let x: Vec<f64> = (0..1003).map(|i| (f64::from(i) * 0.731).sin()).collect();
        let of = |work: &dyn Fn(Polynomial<'_>)| -> Vec<u64> {
            let mut y = vec![0.0; x.len()];
            work(Polynomial(&x, &mut y));
            y.into_iter().map(f64::to_bits).collect()
        };
        let expected = of(&|work| work.run());
        assert_eq!(of(&|work| vectorised(work)), expected);
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                // SAFETY: the CPU has it.
                assert_eq!(of(&|work| unsafe { with_avx2(work) }), expected);
            }
            if has_avx512() {
                // SAFETY: the CPU has it.
                assert_eq!(of(&|work| unsafe { with_avx512(work) }), expected);
            }
        }
        // fused operations do give other bits: the test can tell
        let fused: Vec<u64> = x
            .iter()
            .map(|x| x.mul_add(*x, 0.1 * x - 0.3) / (1.0 + x.abs() * 0.7))
            .map(f64::to_bits)
            .collect();
        assert_ne!(fused, expected);
    }
}
