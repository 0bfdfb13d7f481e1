//! Prints the table of the conformance suite; exit code 1 if anything disagrees.
//!
//! ```text
//! cargo run --release --example conformance
//! ```
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::process::ExitCode;

use giveaway_conformance::{Failure, Row, TOLERANCE, suite, table};

fn main() -> Result<ExitCode, Failure> {
    let rows = suite()?;
    print!("{}", table(&rows));
    let agreeing = rows.iter().filter(|row| row.agrees()).count();
    let numbers: usize = rows.iter().map(|row| row.numbers).sum();
    println!(
        "\n{agreeing} of {} agree to {TOLERANCE:e}, relative; {numbers} numbers compared",
        rows.len()
    );
    Ok(if rows.iter().all(Row::agrees) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
