//! What can be typed after `giveaway explain`.

use std::path::PathBuf;

use clap::Args;

use crate::arguments::{EXIT_CODES, size, whole};

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct ExplainOptions {
    /// Run directory of a finished audit; what it was made from must still be where it was
    pub(crate) run: PathBuf,
    /// Tell of one record, by its identifier; an explanation that is there is used
    #[arg(long, value_name = "ID", conflicts_with_all = ["by", "neighbours", "models", "no_map"])]
    pub(crate) record: Option<String>,
    /// Tell how exposure is spread over the values of this column; may be given several times
    #[arg(long, value_name = "COLUMN")]
    pub(crate) by: Vec<String>,
    /// Nearest neighbours to look at; 20 by default
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub(crate) neighbours: Option<usize>,
    /// Reference models to train again and look into; 8 by default
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub(crate) models: Option<usize>,
    /// Lay out no map
    #[arg(long)]
    pub(crate) no_map: bool,
    /// Memory that models in training may take together, such as 2GiB: fewer at a time then
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) max_memory: Option<u64>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Threads; all cores by default. The result does not depend on it
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub(crate) threads: Option<usize>,
    /// No progress bars
    #[arg(long, short)]
    pub(crate) quiet: bool,
}
