//! Records become numbers, once.
//!
//! Reading order: [`table`] holds the records as they were read, before any encoding;
//! the file formats ([`Table::read`] chooses one by content and extension) live in files
//! of their own; [`encoding`] learns from reference records alone how records become
//! numbers; what comes out is a [`Dataset`]; [`decoding`] goes the way back.
//!
//! ```
//! use giveaway::dataset::{Encoding, EncodingOptions, Table, TableOptions};
//! # fn main() -> giveaway::Result<()> {
//! let table = Table::shipped("breast-cancer", &TableOptions::default())?;
//! let reference_rows: Vec<u32> = (0..400).collect();
//! let encoding = Encoding::learn(&table, &reference_rows, &EncodingOptions::default())?;
//! let dataset = encoding.encode(&table)?;
//! assert_eq!(dataset.features.dim(), (569, 30));
//! # Ok(())
//! # }
//! ```

pub(crate) mod array_file;
pub(crate) mod assemble;
mod cifar_file;
pub mod decoding;
mod delimited;
pub mod duplicates;
pub mod encoding;
mod idx_file;
pub(crate) mod image;
mod interning;
pub mod joined;
pub mod known;
pub mod matrix;
pub(crate) mod parquet_file;
mod parquet_footer;
mod parquet_pages;
pub mod shipped;
pub mod table;
mod zip_file;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

pub use decoding::Decoding;
pub use duplicates::exact_duplicates;
pub use encoding::{Encoding, EncodingOptions, Scaling, UnknownCategories};
pub use image::ImageShape;
pub use joined::joined;
pub use shipped::{ShippedData, shipped};
pub use table::{Body, Column, ColumnKind, Spelling, Table, TableOptions, Values};

/// Records as numbers, with what is known of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// Encoded features, records × features; every value is finite.
    pub features: Array2<f32>,
    /// The class of each record, an index into `schema.classes`.
    pub labels: Vec<u32>,
    /// The identifier of each record: the value of the id column, else the row number counted from 0.
    pub ids: Vec<String>,
    /// What the features and classes are.
    pub schema: Schema,
}

impl Dataset {
    /// The number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The number of classes, seen in these records or not.
    #[must_use]
    pub fn class_count(&self) -> usize {
        self.schema.classes.len()
    }
}

/// What the columns of [`Dataset::features`] mean.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// One entry per encoded feature, in order.
    pub features: Vec<FeatureInfo>,
    /// The sets of features that together encode one categorical column.
    pub one_hot_groups: Vec<OneHotGroup>,
    /// How the features of a record make an image, where they do.
    pub image: Option<ImageShape>,
    /// The names of the classes, in the order of the labels.
    pub classes: Vec<String>,
}

/// One encoded feature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureInfo {
    /// The name for people: `age`, `workclass = Private`, `age is missing`.
    pub name: String,
    /// The column that it was made from.
    pub column: String,
    /// What it says of that column.
    pub kind: FeatureKind,
}

/// What an encoded feature says of its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureKind {
    /// The value, standardised or not.
    Numeric,
    /// 1 where the column has one certain level, else 0.
    Level,
    /// 1 where the value is missing, else 0.
    MissingIndicator,
}

/// The features that together encode one categorical column: at most one of them is 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneHotGroup {
    /// The column.
    pub column: String,
    /// Indices into [`Schema::features`], ascending and consecutive.
    pub features: Vec<u32>,
}
