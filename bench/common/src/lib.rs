//! What the peers written in Rust share: the workloads, the data, threads, and the line of
//! JSON that each prints. `peers/common.py` is the same for those written in Python.

mod peer;
mod workload;

pub use peer::{Arguments, Data, Job, run};
pub use workload::{Image, Workload};
