//! The real command on real files: what it reads, refuses, prints, writes and repeats.
//!
//! One binary, so that the audit is linked once: a module for each promise.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod attack;
mod attack_design;
mod attack_indirect;
mod attack_readings;
mod attack_refusals;
mod convolutions;
mod copies;
mod data;
mod defend;
mod endpoint;
mod explain;
mod formats;
mod full_disk;
mod guides;
mod indirect;
mod kept;
mod killed;
mod leftovers;
mod npy;
mod output;
mod references;
mod refusals;
mod report;
mod reproducible;
mod sandbox;
mod shares;
mod targets;
mod trainers;
