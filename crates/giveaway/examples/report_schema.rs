//! Prints the JSON Schema of `report.json`:
//!
//! ```text
//! cargo run -p giveaway --example report_schema > docs/report.schema.json
//! ```

use std::io::Write;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(giveaway::report::schema::text().as_bytes())
}
