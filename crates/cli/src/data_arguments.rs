//! What can be typed after `giveaway data`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::arguments::EXIT_CODES;

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct DataOptions {
    #[command(subcommand)]
    pub(crate) command: Option<DataCommand>,
    /// Folder of fetched data sets; `$GIVEAWAY_CACHE` by default, or `giveaway` in the folder that
    /// the platform has for caches. An audit looks there
    #[arg(long, value_name = "FOLDER", global = true)]
    pub(crate) cache: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// List the known data sets and where they are; without any command, too
    #[command(after_help = EXIT_CODES)]
    List,
    /// What a data set is, its licence, its files and checksums, and how to audit it
    #[command(after_help = EXIT_CODES)]
    Describe(DescribeOptions),
    /// Get a data set, from the network or from a local copy, and check it
    #[command(after_help = EXIT_CODES)]
    Fetch(FetchOptions),
}

#[derive(Debug, Args)]
pub(crate) struct DescribeOptions {
    /// Name of the data set
    pub(crate) name: String,
}

#[derive(Debug, Args)]
pub(crate) struct FetchOptions {
    /// Name of the data set
    pub(crate) name: String,
    /// Take it from this file or folder, not from the network: the files as published, what is
    /// inside them, or a copy of the records as .parquet, .csv, .tsv or .npz
    #[arg(long, value_name = "FILE_OR_FOLDER")]
    pub(crate) from: Option<PathBuf>,
    /// SHA-256 that a file must have of which no checksum is published
    #[arg(long, value_name = "HEX", conflicts_with = "accept_unverified")]
    pub(crate) sha256: Option<String>,
    /// Take a file of which no checksum is published as it comes; its records are counted
    #[arg(long)]
    pub(crate) accept_unverified: bool,
    /// No progress bars
    #[arg(long, short)]
    pub(crate) quiet: bool,
}
