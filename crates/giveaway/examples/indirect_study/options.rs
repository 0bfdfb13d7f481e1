//! The command line.

use std::path::PathBuf;
use std::str::FromStr;

/// What is asked for; numbers that are not given are those of docs/indirect.md.
pub(crate) struct Options {
    pub(crate) experiment: String,
    pub(crate) seed: u64,
    pub(crate) out: Option<PathBuf>,
    pub(crate) threads: Option<usize>,
    /// Independent draws.
    pub(crate) draws: usize,
    /// Targets.
    pub(crate) targets: usize,
    /// Records under attack.
    pub(crate) records: Option<usize>,
    /// Of the records that no target is trained on, the most vulnerable ones; half of them, if
    /// not given.
    pub(crate) vulnerable: Option<usize>,
    /// Complementary pairs of true models.
    pub(crate) pairs: usize,
    /// Multiple of the floor of distances.
    pub(crate) distance: Option<f64>,
    /// `run.toml` of an audit; Adult with 10,000 training records without it.
    pub(crate) config: Option<PathBuf>,
    /// Directory of a finished audit with that configuration, whose models are taken.
    pub(crate) run: Option<PathBuf>,
}

impl Options {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            experiment: words
                .next()
                .ok_or("name an experiment: calibration, independent, planted or bound")?,
            seed: 0,
            out: None,
            threads: None,
            draws: 1000,
            targets: 0,
            records: None,
            vulnerable: None,
            pairs: 400,
            distance: None,
            config: None,
            run: None,
        };
        while let Some(option) = words.next() {
            let value = words.next().ok_or(format!("{option}: give a value"))?;
            match option.as_str() {
                "--seed" => options.seed = number(&option, &value)?,
                "--out" => options.out = Some(value.into()),
                "--threads" => options.threads = Some(number(&option, &value)?),
                "--draws" => options.draws = number(&option, &value)?,
                "--targets" => options.targets = number(&option, &value)?,
                "--records" => options.records = Some(number(&option, &value)?),
                "--vulnerable" => options.vulnerable = Some(number(&option, &value)?),
                "--pairs" => options.pairs = number(&option, &value)?,
                "--distance" => options.distance = Some(number(&option, &value)?),
                "--config" => options.config = Some(value.into()),
                "--run" => options.run = Some(value.into()),
                _ => return Err(format!("{option}: there is no such option")),
            }
        }
        Ok(options)
    }

    /// The number of targets, or the usual one.
    pub(crate) fn targets_or(&self, usual: usize) -> usize {
        if self.targets == 0 {
            usual
        } else {
            self.targets
        }
    }
}

fn number<T: FromStr>(option: &str, value: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|_| format!("{option} {value}: give a number"))
}
