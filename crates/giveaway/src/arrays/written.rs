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
    /// If the directory or a file cannot be written; nothing unfinished is left behind.
    pub fn write(&self, directory: &Path) -> Result<Vec<PathBuf>> {
        let columns: Vec<(String, Values)> = self
            .columns()
            .into_iter()
            .map(|(name, values)| (name, Values::Number(values.to_vec())))
            .collect();
        let about = serde_json::to_string(&self.described)
            .map_err(|e| Error::unexpected(format!("cannot write JSON: {e}")))?;
        let mut files = vec![(
            directory.join(SCORES),
            to_parquet(&columns, &[("giveaway attack", about)])?,
        )];
        if self.metrics.is_some() {
            files.push((directory.join(METRICS), self.json()?.into_bytes()));
        }
        std::fs::create_dir_all(directory)
            .map_err(|e| Error::io("make the directory", directory, &e).at("--out"))?;
        let staged: Vec<(PathBuf, NamedTempFile)> = files
            .into_iter()
            .map(|(path, bytes)| {
                let file = staged(directory, &bytes)
                    .map_err(|e| Error::io("write", &path, &e).at("--out"))?;
                Ok((path, file))
            })
            .collect::<Result<_>>()?;
        staged
            .into_iter()
            .map(|(path, file)| {
                file.persist(&path)
                    .map_err(|e| Error::io("write", &path, &e.error).at("--out"))?;
                Ok(path)
            })
            .collect()
    }

    /// Figures in the directory that this result does not replace: they are of other scores.
    #[must_use]
    pub fn stale_metrics(&self, directory: &Path) -> Option<PathBuf> {
        let path = directory.join(METRICS);
        (self.metrics.is_none() && path.exists()).then_some(path)
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
