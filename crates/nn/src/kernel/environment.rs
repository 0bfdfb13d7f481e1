//! The floating-point environment of the thread.

use std::marker::PhantomData;

/// The bits of the control register on this architecture that change results: rounding,
/// and what happens to subnormal numbers. All are 0 by default.
#[cfg(target_arch = "x86_64")]
const CHANGES_RESULTS: u64 = 0xE040;
#[cfg(target_arch = "aarch64")]
const CHANGES_RESULTS: u64 = 0x07C8_0007;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const CHANGES_RESULTS: u64 = 0;

/// While this lives, the thread rounds to nearest and keeps subnormal numbers, as Rust
/// assumes of every thread; afterwards it does what it did before.
///
/// A caller may come from elsewhere: a C library compiled for fast mathematics may have
/// left the thread flushing subnormal numbers to zero. What is trained must not depend on it.
pub(crate) struct DefaultEnvironment {
    before: u64,
    // the register belongs to the thread
    not_send: PhantomData<*const ()>,
}

impl DefaultEnvironment {
    pub(crate) fn enter() -> Self {
        let before = read();
        if before & CHANGES_RESULTS != 0 {
            write(before & !CHANGES_RESULTS);
        }
        Self {
            before,
            not_send: PhantomData,
        }
    }
}

impl Drop for DefaultEnvironment {
    fn drop(&mut self) {
        if self.before & CHANGES_RESULTS != 0 {
            write(self.before);
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn read() -> u64 {
    let mut register = 0u32;
    // SAFETY: stores the 32 bits of the register into the variable, and nothing else.
    unsafe {
        std::arch::asm!(
            "stmxcsr [{}]",
            in(reg) &raw mut register,
            options(nostack, preserves_flags)
        );
    }
    u64::from(register)
}

#[cfg(target_arch = "x86_64")]
fn write(register: u64) {
    let register = register as u32;
    // SAFETY: the value is one that the register had, but for the bits of
    // CHANGES_RESULTS: either they are cleared, which is what Rust assumes, or they are
    // put back as the caller left them.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const register, options(nostack)) }
}

#[cfg(target_arch = "aarch64")]
fn read() -> u64 {
    let register: u64;
    // SAFETY: copies the control register into the variable, and nothing else.
    unsafe {
        std::arch::asm!("mrs {}, fpcr", out(reg) register, options(nomem, nostack));
    }
    register
}

#[cfg(target_arch = "aarch64")]
fn write(register: u64) {
    // SAFETY: the value is one that the register had, but for the bits of
    // CHANGES_RESULTS: either they are cleared, which is what Rust assumes, or they are
    // put back as the caller left them.
    unsafe { std::arch::asm!("msr fpcr, {}", in(reg) register, options(nostack)) }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn read() -> u64 {
    0
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn write(_register: u64) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    fn the_callers_environment_is_left_and_restored() {
        let before = read();
        // rounding towards zero
        #[cfg(target_arch = "x86_64")]
        let other = before | 0x6000;
        #[cfg(target_arch = "aarch64")]
        let other = before | 0x00C0_0000;
        let third = || std::hint::black_box(1.0f32) / std::hint::black_box(-1.5f32);
        let usual = third().to_bits();
        write(other);
        let strange = third().to_bits();
        let inside = {
            let _environment = DefaultEnvironment::enter();
            third().to_bits()
        };
        let after = read();
        write(before);
        assert_ne!(usual, strange);
        assert_eq!(inside, usual);
        assert_eq!(after & CHANGES_RESULTS, other & CHANGES_RESULTS);
    }
}
