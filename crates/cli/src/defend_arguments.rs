//! What can be typed after `giveaway defend`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use giveaway::Result;
use giveaway::run::{DefendRequest, Identification};

use crate::arguments::{EXIT_CODES, share, size, whole};

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct DefendOptions {
    /// Run directory of a finished audit; what it was made from must still be where it was
    #[arg(required_unless_present = "list")]
    pub(crate) run: Option<PathBuf>,
    /// A defence to try, with its settings, such as l2:0.005; may be given several times. A
    /// sensible set without it; --list names all
    #[arg(long, value_name = "NAME[:SETTINGS]")]
    pub(crate) defence: Vec<String>,
    /// Name the defences and what they do, and stop
    #[arg(long)]
    pub(crate) list: bool,
    /// Time for the whole work, such as 90s, 20m or 2h: what does not fit is left out and named;
    /// run the same command again to go on. 15m by default
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "15m")]
    pub(crate) budget: Duration,
    /// Models to train through each defence; 64 by default, or half of the run's
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub(crate) models: Option<usize>,
    /// The most exposed records, those to protect
    #[arg(long, value_name = "PERCENT", value_parser = share, default_value = "1%")]
    pub(crate) exposed: f64,
    /// By what they are found: influence and out-loss go by the audit's models, centroids by the
    /// data alone
    #[arg(long, value_name = "WAY", default_value = "influence")]
    pub(crate) identify: String,
    /// Accuracy that the recommended defence may cost, in points
    #[arg(long, value_name = "PERCENT", value_parser = points, default_value = "1%")]
    pub(crate) max_accuracy_loss: f64,
    /// Tell accuracy over the values of this column, too; may be given several times
    #[arg(long, value_name = "COLUMN")]
    pub(crate) by: Vec<String>,
    /// Memory that models in training may take together, such as 2GiB: fewer at a time then
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) max_memory: Option<u64>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Threads; all cores by default. Figures do not depend on it
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub(crate) threads: Option<usize>,
    /// No progress bars
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

impl DefendOptions {
    /// What is asked for.
    pub(crate) fn request(&self) -> Result<DefendRequest> {
        Ok(DefendRequest {
            defences: self.defence.clone(),
            budget: Some(self.budget),
            models: self.models,
            exposed: self.exposed,
            identify: Identification::parse(&self.identify)?,
            max_accuracy_loss: self.max_accuracy_loss,
            groups: self.by.clone(),
            max_memory: self.max_memory,
        })
    }
}

/// A time with its unit.
fn time(text: &str) -> std::result::Result<Duration, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => 0.0,
    };
    match digits.trim_end().parse::<f64>() {
        Ok(number) if unit > 0.0 && number > 0.0 && number * unit < 1e8 => {
            Ok(Duration::from_secs_f64(number * unit))
        }
        _ => Err("give a number with its unit, such as 90s, 20m or 2h".to_owned()),
    }
}

/// Points of accuracy: as a share, and 0 may be meant.
fn points(text: &str) -> std::result::Result<f64, String> {
    match text.trim().strip_suffix('%').map(str::trim) {
        Some(number)
            if number
                .parse::<f64>()
                .is_ok_and(|x| x.abs() < f64::MIN_POSITIVE) =>
        {
            Ok(0.0)
        }
        _ => share(text),
    }
}
