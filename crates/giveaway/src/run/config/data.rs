//! The records and how they are read.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::refused;
use crate::dataset::{Scaling, TableOptions, UnknownCategories};
use crate::error::Result;

/// The records and how they are read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct DataConfig {
    /// A file, `shipped:NAME`, or `cached:NAME` for a known data set that was fetched.
    pub source: String,
    /// A second file whose records train the reference models; without it the pool itself does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<PathBuf>,
    /// Labels, where they are not in the same file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels_file: Option<PathBuf>,
    /// Column with the class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Column with the record's identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Column that tells whose record it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Columns to leave out.
    pub drop: Vec<String>,
    /// Columns to be read as numbers.
    pub numeric: Vec<String>,
    /// Columns to be read as categories.
    pub categorical: Vec<String>,
    /// Field delimiter of a text file, where it is not to be guessed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<char>,
    /// Shape of the image that the features of a record make, where the file does not say it:
    /// height and width, or these with 1, 3 or 4 channels at the end or else in front.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Vec<usize>>,
    /// Whether numeric features are standardised.
    pub scaling: Scaling,
    /// Categories of one column that get a feature of their own.
    pub max_levels: usize,
    /// What a category does that no reference record has.
    pub unknown_categories: UnknownCategories,
    /// What exact duplicates are.
    pub duplicates: Duplicates,
    /// Size of the target's training set, in units; the pool is twice that. All of the file without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training_units: Option<usize>,
    /// Records of each class that are drawn from the file; all of them without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_class: Option<usize>,
    /// Whether the run directory keeps a copy of the records.
    pub keep_records: bool,
}

/// What records are that equal each other in every feature and the label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Duplicates {
    /// One unit: in a training set together or not at all.
    Group,
    /// Units of their own; the report counts them.
    Report,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            source: "shipped:adult".to_owned(),
            reference: None,
            labels_file: None,
            label: None,
            id: None,
            group: None,
            drop: Vec::new(),
            numeric: Vec::new(),
            categorical: Vec::new(),
            delimiter: None,
            image: None,
            scaling: Scaling::Standard,
            max_levels: 100,
            unknown_categories: UnknownCategories::Error,
            duplicates: Duplicates::Group,
            training_units: None,
            per_class: None,
            keep_records: true,
        }
    }
}

impl DataConfig {
    /// Checks what can be checked without the data.
    pub(super) fn check(&self) -> Result<()> {
        if self.max_levels < 2 {
            return refused(
                "--max-levels",
                format!("{} levels per column are too few", self.max_levels),
                "give at least 2",
            );
        }
        if self.training_units.is_some_and(|units| units < 2) {
            return refused(
                "--train-size",
                "a training set needs at least 2 records".to_owned(),
                "give a larger number, or leave it out to use the whole file",
            );
        }
        // Records are numbered in 32 bits, and there are twice as many.
        if let Some(units) = self.training_units
            && units > u32::MAX as usize / 2
        {
            return refused(
                "--train-size",
                format!("training sets of {units} are larger than any file that can be audited"),
                format!(
                    "give at most {}, or leave it out to use the whole file",
                    u32::MAX / 2
                ),
            );
        }
        if self.per_class == Some(0) {
            return refused(
                "--per-class",
                "0 records of each class leave none".to_owned(),
                "give a larger number, or leave it out to use the whole file",
            );
        }
        if self.per_class.is_some() && self.training_units.is_some() {
            return refused(
                "--per-class",
                "--train-size says how many records, too".to_owned(),
                "give one of them: of the records that --per-class draws, half are trained on",
            );
        }
        Ok(())
    }

    /// How the data file is read.
    #[must_use]
    pub fn table_options(&self) -> TableOptions {
        TableOptions {
            label: self.label.clone(),
            id: self.id.clone(),
            group: self.group.clone(),
            drop: self.drop.clone(),
            numeric: self.numeric.clone(),
            categorical: self.categorical.clone(),
            delimiter: self.delimiter.and_then(|c| u8::try_from(c).ok()),
            labels_file: self.labels_file.clone(),
            image: self.image.clone(),
        }
    }
}
