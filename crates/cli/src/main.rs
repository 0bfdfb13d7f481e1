//! The `giveaway` command.
#![forbid(unsafe_code)]

fn main() {}
