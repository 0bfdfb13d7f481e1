//! The result as files and as JSON.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::NamedTempFile;

use super::metrics::Named;
use super::{Described, Outcome};
use crate::error::{Error, Result};
use crate::report::records::{Values, to_parquet};

/// The table of scores.
const SCORES: &str = "scores.parquet";
/// The figures.
const METRICS: &str = "metrics.json";

/// What is printed as JSON where the target's training records are not known.
#[derive(Serialize)]
struct ScoresDocument<'a> {
    #[serde(flatten)]
    described: &'a Described,
    /// By column of the table; null for records without a score.
    scores: Named<&'a [f64]>,
}

impl Outcome {
    /// The columns of the table, in their order.
    fn columns(&self) -> Vec<(String, &[f64])> {
        let mut columns = Vec::new();
        for (method, scores) in &self.scores {
            columns.push((method.name().to_owned(), scores.scores.as_slice()));
            if let Some(p) = &scores.p_values {
                columns.push((format!("{}-p", method.name()), p.as_slice()));
            }
        }
        columns
    }

    /// The figures as JSON, or the scores where there are none.
    ///
    /// # Errors
    /// If JSON cannot hold them, which is a defect.
    pub fn json(&self) -> Result<String> {
        let json = match &self.metrics {
            Some(metrics) => serde_json::to_string_pretty(metrics),
            None => serde_json::to_string(&ScoresDocument {
                described: &self.described,
                scores: Named(self.columns()),
            }),
        };
        json.map(|json| json + "\n")
            .map_err(|e| Error::unexpected(format!("cannot write JSON: {e}")))
    }

    /// Writes `scores.parquet`, and `metrics.json` where there are figures, each whole or not
    /// at all and readable by their owner only. Returns their paths.
    ///
    /// # Errors
    /// If a file cannot be written; nothing unfinished is left behind.
    pub fn write(&self, destination: Destination) -> Result<Vec<PathBuf>> {
        let columns: Vec<(String, Values)> = self
            .columns()
            .into_iter()
            .map(|(name, values)| (name, Values::Number(values.to_vec())))
            .collect();
        let metrics = self.metrics.as_ref().map(|_| self.json()).transpose()?;
        destination.fill(&columns, &self.described, metrics)
    }

    /// Figures in the directory that this result does not replace: they are of other scores.
    #[must_use]
    pub fn stale_metrics(&self, destination: &Destination) -> Option<PathBuf> {
        destination.stale_metrics(self.metrics.is_some())
    }
}

/// A directory that was found fit to be written to, before anything was computed for it.
///
/// Directories that were made for it are taken away again unless something is written.
#[derive(Debug)]
pub struct Destination {
    directory: PathBuf,
    /// Directories that did not exist before, the outermost first.
    made: Vec<PathBuf>,
}

impl Destination {
    /// Makes the directory if there is none, and looks whether files can be written to it
    /// under their names: the scores', and where the target's members are known the figures'.
    ///
    /// # Errors
    /// If not.
    pub fn new(directory: &Path, is_judged: bool) -> Result<Self> {
        let failed = |error: Error| error.at(format!("--out {}", directory.display()));
        let mut missing: Vec<PathBuf> = directory
            .ancestors()
            .take_while(|path| !path.as_os_str().is_empty() && !path.exists())
            .map(Path::to_path_buf)
            .collect();
        missing.reverse();
        let mut destination = Self {
            directory: directory.to_owned(),
            made: Vec::new(),
        };
        let nearest = directory.ancestors().find(|path| path.exists());
        if let Some(file) = nearest.filter(|path| !path.is_dir()) {
            return Err(failed(
                Error::input("it is a file, not a directory")
                    .at(file.display())
                    .hint("name a directory, or a new one below an existing directory"),
            ));
        }
        for path in missing {
            std::fs::create_dir(&path)
                .map_err(|e| failed(Error::io("make the directory", &path, &e)))?;
            destination.made.push(path);
        }
        let names: &[&str] = if is_judged {
            &[SCORES, METRICS]
        } else {
            &[SCORES]
        };
        for name in names {
            let path = directory.join(name);
            if path.is_dir() {
                return Err(failed(
                    Error::input("it is a directory, where the result is to be a file")
                        .at(path.display())
                        .hint("move it away, or name another directory with --out"),
                ));
            }
        }
        staged(directory, &[]).map_err(|e| failed(Error::io("write to", directory, &e)))?;
        Ok(destination)
    }
}

impl Destination {
    /// Writes the table, with what it is about, and the figures where there are any.
    pub(super) fn fill(
        mut self,
        columns: &[(String, Values)],
        about: &impl Serialize,
        metrics: Option<String>,
    ) -> Result<Vec<PathBuf>> {
        let directory = self.directory.as_path();
        let about = serde_json::to_string(about)
            .map_err(|e| Error::unexpected(format!("cannot write JSON: {e}")))?;
        let mut files = vec![(
            directory.join(SCORES),
            to_parquet(columns, &[("giveaway attack", about)])?,
        )];
        if let Some(metrics) = metrics {
            files.push((directory.join(METRICS), metrics.into_bytes()));
        }
        let staged: Vec<(PathBuf, NamedTempFile)> = files
            .into_iter()
            .map(|(path, bytes)| {
                let file = staged(directory, &bytes).map_err(|e| {
                    Error::io("write", &path, &e).at(format!("--out {}", directory.display()))
                })?;
                Ok((path, file))
            })
            .collect::<Result<_>>()?;
        let paths = staged
            .into_iter()
            .map(|(path, file)| {
                file.persist(&path).map_err(|e| {
                    Error::io("write", &path, &e.error).at(format!("--out {}", directory.display()))
                })?;
                Ok(path)
            })
            .collect::<Result<_>>()?;
        self.made.clear();
        Ok(paths)
    }

    /// Figures in the directory that a result does not replace.
    pub(super) fn stale_metrics(&self, is_judged: bool) -> Option<PathBuf> {
        let path = self.directory.join(METRICS);
        (!is_judged && path.exists()).then_some(path)
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        for path in self.made.iter().rev() {
            // One that somebody else has put something into stays.
            let _ = std::fs::remove_dir(path);
        }
    }
}

/// A finished file under a temporary name.
fn staged(directory: &Path, bytes: &[u8]) -> std::io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new()
        .prefix(".giveaway-unfinished-")
        .tempfile_in(directory)?;
    file.write_all(bytes)?;
    // Without this a power cut could leave the name of a file that has no content.
    file.as_file().sync_all()?;
    Ok(file)
}
