//! Public data sets that are known by name: what they are, where they are published, and how
//! a copy gets into the cache and out of it.
//!
//! [`registry`](known) holds the descriptions, [`cache`] says where files lie, [`fetch`] puts
//! them there, checked, and [`Table::cached`](super::Table::cached) reads them. Nothing is
//! unpacked to disk: archives are kept as published and read through.

pub mod cache;
pub mod fetch;
mod read;
mod registry;
mod tar;
#[cfg(test)]
mod tests;
mod text;

use super::shipped::shipped;
use crate::{Error, Result};

pub use cache::Cache;
pub(super) use read::read;
pub use registry::known;

/// A public data set that can be asked for by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownData {
    /// The name to ask for it by.
    pub name: &'static str,
    /// Its title, with creators and year.
    pub title: &'static str,
    /// The number of records.
    pub records: usize,
    /// The number of feature columns, before any encoding.
    pub features: usize,
    /// The number of classes.
    pub classes: usize,
    /// Height, width and channels, where the records are images.
    pub image: Option<[usize; 3]>,
    /// What holds the class.
    pub label: &'static str,
    /// What the features and the classes are.
    pub about: &'static str,
    /// The licence or terms, as far as they are known.
    pub licence: &'static str,
    /// What to cite.
    pub citation: &'static str,
    /// Where it is described.
    pub source: &'static str,
    /// The files as published, in the order of the records; none where the data set is shipped.
    pub files: &'static [KnownFile],
    /// What the files hold.
    pub(crate) format: Format,
}

impl KnownData {
    /// Whether it comes within the program.
    #[must_use]
    pub fn is_shipped(&self) -> bool {
        self.files.is_empty()
    }

    /// The parts of all files, in order.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &'static Part> + use<> {
        self.files.iter().flat_map(|file| file.parts)
    }
}

/// A file as it is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownFile {
    /// Its name.
    pub name: &'static str,
    /// Where it can be fetched, the best address first.
    pub urls: &'static [&'static str],
    /// Its size in bytes, where that is published.
    pub size: Option<u64>,
    /// Its SHA-256 in lower-case hexadecimal digits, where one is published.
    pub sha256: Option<&'static str>,
    /// Who publishes size and checksum, or why there is none.
    pub checksum_from: &'static str,
    /// The most bytes that are accepted for it.
    pub largest: u64,
    /// How its parts are packed.
    pub(crate) packing: Packing,
    /// What is inside and used. An unpacked copy of these serves as well.
    pub parts: &'static [Part],
}

/// What is inside a published file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its path within the archive, or the name of the file without `.gz`.
    pub path: &'static str,
    /// Its size in bytes, where that is known.
    pub size: Option<u64>,
    /// Its SHA-256, where that is known.
    pub sha256: Option<&'static str>,
    /// The most bytes that are read of it.
    pub largest: u64,
}

impl Part {
    /// The name without folders: what it is called in the cache.
    #[must_use]
    pub fn file_name(&self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or(self.path)
    }
}

/// How a published file holds its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// One part, compressed with gzip.
    Gzip,
    /// A tar archive, compressed with gzip.
    TarGzip,
}

/// What the parts of a data set hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Read by [`shipped`](super::shipped).
    Shipped,
    /// IDX files: images and their labels, one pair after the other.
    Idx,
    /// CIFAR's binary format.
    Cifar,
    /// Text, a record per line: the class, then the features, separated by commas.
    LabelFirst,
    /// Text: a file of features separated by commas, then a file of classes.
    FeaturesThenLabels,
}

/// The known data set of this name.
///
/// # Errors
/// If there is none; the hint lists those there are.
pub fn find(name: &str) -> Result<&'static KnownData> {
    known()
        .iter()
        .find(|data| data.name == name)
        .ok_or_else(|| {
            let names: Vec<&str> = known().iter().map(|data| data.name).collect();
            Error::usage(format!("no data set `{name}` is known"))
                .hint(format!("those that are: {}", names.join(", ")))
        })
}

/// Whether a data set of this name is known and does not come within the program.
#[must_use]
pub fn is_to_be_fetched(name: &str) -> bool {
    known().iter().any(|data| data.name == name) && !shipped().iter().any(|data| data.name == name)
}
