//! Exit codes of the command. They are part of its interface and do not change.
//!
//! Errors carry theirs in [`giveaway::ErrorKind::exit_code`]: 2 for wrong usage (clap uses
//! the same for arguments it cannot read), 3 for bad input, 4 for a target that failed.

/// Done, and no condition of `--fail-on` was met.
pub(crate) const DONE: u8 = 0;

/// An unexpected failure.
pub(crate) const UNEXPECTED: u8 = 1;

/// Done, and a condition of `--fail-on` was met.
pub(crate) const LEAKAGE: u8 = 10;
