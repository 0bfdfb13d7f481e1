//! Experiments on indirect inference: what docs/indirect.md reports.
//!
//! ```text
//! cargo run --release -p giveaway --example indirect_study -- independent --draws 1000
//! cargo run --release -p giveaway --example indirect_study -- planted
//! cargo run --release -p giveaway --example indirect_study -- calibration
//! cargo run --release -p giveaway --example indirect_study -- bound --pairs 400
//! ```
//!
//! Everything follows from `--seed`. Figures come as JSON on the standard output, or in the file
//! of `--out`; progress and a short table on the standard error.

mod bound;
mod calibration;
mod each_other;
mod figures;
mod independent;
mod linear;
mod models;
mod options;
mod planted;
mod pool;
mod subjects;
mod synthetic;

use std::error::Error;

use options::Options;

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse(std::env::args().skip(1))?;
    if let Some(threads) = options.threads {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global()?;
    }
    let found = match options.experiment.as_str() {
        "calibration" => calibration::experiment(&options)?,
        "independent" => figures::independent(&options)?,
        "planted" => figures::planted(&options)?,
        "bound" => bound::experiment(&options)?,
        other => {
            return Err(format!("{other}: give calibration, independent, planted or bound").into());
        }
    };
    figures::write(&found, options.out.as_deref())
}
