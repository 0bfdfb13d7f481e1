//! The inner loops of training, in several instruction sets behind one safe interface.
//!
//! This is the only module with `unsafe` code. It is needed for three things: to use
//! instructions that not every CPU has, to walk matrices without bounds checks in the
//! innermost loops, and to let threads write parts of one matrix. Each operation is a
//! method of [`Kernel`], or of [`Crew`] where threads may share it, that is safe to call:
//! it checks every shape first, and a [`Kernel`] exists only for an instruction set that
//! this CPU was found to have. Everything computed stands in the operation's generic
//! body, written once over the trait `Simd` and compiled for each instruction set.
//! `dispatch` does the same for plain loops of other crates.
#![expect(
    unsafe_code,
    reason = "vector instructions and unchecked inner loops; nn is twice as fast for it"
)]
#![expect(
    clippy::inline_always,
    reason = "vector code works only when inlined into a function compiled for its instruction set"
)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod convolution;
mod dispatch;
mod elementwise;
mod environment;
mod gather;
mod generator;
#[cfg(test)]
mod image_tests;
mod images;
mod matrix;
#[cfg(target_arch = "aarch64")]
mod neon;
mod plain;
mod pool;
mod product;
mod simd;
mod softmax;
mod team;
#[cfg(test)]
mod tests;
mod update;

use std::fmt;
use std::str::FromStr;

pub(crate) use convolution::After;
pub use dispatch::{Loops, vectorised};
pub(crate) use environment::DefaultEnvironment;
pub(crate) use generator::Generator;
pub(crate) use images::{Images, Move, padded_channels};
pub(crate) use matrix::{LINE, Line, Matrix, Rows, squares};
pub(crate) use product::Finish;
pub(crate) use softmax::{Loss, Targets};
pub(crate) use team::Crew;
pub(crate) use update::{Parameters, Step};

use crate::Error;
use simd::Simd;

/// The instruction set in use: a choice among those that this CPU has.
///
/// Results of different instruction sets agree within rounding, not bit for bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    // Private, and set only by `available`: holding a Kernel proves that the CPU has it.
    set: InstructionSet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum InstructionSet {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "aarch64")]
    Neon,
    Plain,
}

/// The fastest kernel that this CPU can run.
#[must_use]
pub fn kernel() -> Kernel {
    Kernel::available()[0]
}

impl Kernel {
    /// The names of all kernels, on whatever CPU they run.
    pub const NAMES: [&'static str; 4] = ["avx512", "avx2", "neon", "plain"];

    /// All kernels that this CPU can run, the fastest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut sets = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let fma = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if fma && is_x86_feature_detected!("avx512f") {
                sets.push(InstructionSet::Avx512);
            }
            if fma {
                sets.push(InstructionSet::Avx2);
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            sets.push(InstructionSet::Neon);
        }
        sets.push(InstructionSet::Plain);
        sets.into_iter().map(|set| Self { set }).collect()
    }

    /// The name: `avx512`, `avx2`, `neon` or `plain`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.set {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => "avx2",
            #[cfg(target_arch = "aarch64")]
            InstructionSet::Neon => "neon",
            InstructionSet::Plain => "plain",
        }
    }

    /// Runs a task compiled for this instruction set.
    fn run<T: Task>(self, task: T) -> T::Output {
        match self.set {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a Kernel of this set exists only if the CPU has AVX-512F, AVX2 and FMA.
            InstructionSet::Avx512 => unsafe { avx512::run(task) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a Kernel of this set exists only if the CPU has AVX2 and FMA.
            InstructionSet::Avx2 => unsafe { avx2::run(task) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: a Kernel of this set exists only if the CPU has NEON.
            InstructionSet::Neon => unsafe { neon::run(task) },
            // SAFETY: plain vectors need nothing of the CPU.
            InstructionSet::Plain => unsafe { task.run::<plain::Plain>() },
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kernel {
    type Err = Error;

    /// The kernel of this name.
    ///
    /// # Errors
    /// If there is none of this name, or this CPU lacks its instructions.
    fn from_str(name: &str) -> Result<Self, Error> {
        let available = Self::available();
        if let Some(&kernel) = available.iter().find(|kernel| kernel.name() == name) {
            return Ok(kernel);
        }
        let list: Vec<_> = available.iter().map(|kernel| kernel.name()).collect();
        let list = list.join(", ");
        Err(Error::Kernel(if Self::NAMES.contains(&name) {
            format!("this CPU cannot run {name:?}; it can run {list}")
        } else {
            format!("there is no kernel {name:?}; this CPU can run {list}")
        }))
    }
}

/// An operation on matrices, written once for all instruction sets.
trait Task {
    type Output;

    /// # Safety
    /// The CPU must have the instruction set, and the function that calls this must be
    /// compiled for it. Implementations are inlined into that function.
    unsafe fn run<S: Simd>(self) -> Self::Output;
}
