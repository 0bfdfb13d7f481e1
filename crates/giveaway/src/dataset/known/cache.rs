//! Where fetched data sets lie: a folder per data set, and in it its files and a receipt of
//! what they are.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::KnownData;
use crate::{Error, Result};

/// The environment variable that names the cache.
pub const VARIABLE: &str = "GIVEAWAY_CACHE";
/// What the receipt is called.
const RECEIPT: &str = "receipt.json";
/// Version of the receipt.
const VERSION: u32 = 1;
/// Larger than any receipt.
const LARGEST_RECEIPT: u64 = 1 << 20;

/// A folder of data sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    root: PathBuf,
}

/// What was stored of a data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Version of this format.
    pub version: u32,
    /// The data set.
    pub name: String,
    /// Whether the files are those that are published, or a copy in another format.
    pub kind: Kind,
    /// The files.
    pub files: Vec<Stored>,
    /// Of a copy, the column or array that holds the class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Of a copy, columns that are no features.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop: Vec<String>,
}

/// What the stored files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The files as published, or what is inside them.
    Published,
    /// A copy in another format, of which only the counts were checked.
    Copy,
}

/// A file in the cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stored {
    /// Its name.
    pub file: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
    /// What it was compared with.
    pub check: Check,
}

/// What a file was compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The checksum that is published.
    Published,
    /// A checksum that the user gave.
    Given,
    /// None: the user accepted it without, and only the counts were checked.
    None,
}

impl Cache {
    /// The user's cache: the folder that `GIVEAWAY_CACHE` names, or else `giveaway` in the
    /// platform's folder for caches.
    ///
    /// # Errors
    /// If the platform names none.
    pub fn of_user() -> Result<Self> {
        if let Some(folder) = std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty()) {
            return Ok(Self::at(folder));
        }
        let base = etcetera::base_strategy::choose_native_strategy().map_err(|e| {
            Error::input(format!("no folder for caches is known: {e}"))
                .hint(format!("name one in the environment variable {VARIABLE}"))
        })?;
        Ok(Self::at(base.cache_dir().join("giveaway")))
    }

    /// The cache in this folder.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder of all data sets.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a data set.
    #[must_use]
    pub fn folder(&self, data: &KnownData) -> PathBuf {
        self.root.join(data.name)
    }

    /// What was stored of a data set, if all of it is there in its size.
    ///
    /// # Errors
    /// If the receipt cannot be read or is none.
    pub fn receipt(&self, data: &KnownData) -> Result<Option<Receipt>> {
        let folder = self.folder(data);
        let path = folder.join(RECEIPT);
        let mut text = String::new();
        match std::fs::File::open(&path) {
            Ok(file) => file
                .take(LARGEST_RECEIPT)
                .read_to_string(&mut text)
                .map_err(|e| Error::io("read the receipt", &path, &e))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read the receipt", &path, &e)),
        };
        let again = format!(
            "fetch the data set again: giveaway data fetch {}",
            data.name
        );
        let receipt: Receipt = serde_json::from_str(&text).map_err(|e| {
            Error::input(format!("not a receipt of giveaway: {e}"))
                .at(path.display())
                .hint(format!(
                    "delete the folder {} and {again}",
                    folder.display()
                ))
        })?;
        // The names come from a file: none may lead out of the folder.
        let plain = |file: &str| Path::new(file).file_name().is_some_and(|name| name == file);
        if receipt.version != VERSION
            || receipt.name != data.name
            || receipt.files.is_empty()
            || !receipt.files.iter().all(|stored| plain(&stored.file))
        {
            return Err(Error::input("not a receipt of this data set")
                .at(path.display())
                .hint(format!(
                    "delete the folder {} and {again}",
                    folder.display()
                )));
        }
        let whole = receipt.files.iter().all(|stored| {
            std::fs::metadata(folder.join(&stored.file))
                .is_ok_and(|found| found.is_file() && found.len() == stored.bytes)
        });
        Ok(whole.then_some(receipt))
    }

    /// Writes the receipt of a data set.
    pub(super) fn write_receipt(&self, data: &KnownData, receipt: &Receipt) -> Result<()> {
        let folder = self.folder(data);
        let path = folder.join(RECEIPT);
        let mut text = serde_json::to_string_pretty(receipt)
            .map_err(|e| Error::unexpected(format!("cannot write the receipt: {e}")))?;
        text.push('\n');
        let mut file = unfinished(&folder)?;
        file.write_all(text.as_bytes())
            .map_err(|e| Error::io("write the receipt", &path, &e))?;
        finish(file, &path)
    }

    /// Takes the receipt away: what lies there is no data set any more.
    pub(super) fn remove_receipt(&self, data: &KnownData) -> Result<()> {
        let path = self.folder(data).join(RECEIPT);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("delete the receipt", &path, &e))
            }
            _ => Ok(()),
        }
    }
}

impl Receipt {
    pub(super) fn new(data: &KnownData, kind: Kind) -> Self {
        Self {
            version: VERSION,
            name: data.name.to_owned(),
            kind,
            files: Vec::new(),
            label: None,
            drop: Vec::new(),
        }
    }

    /// One hash for all files: BLAKE3 of their names and checksums.
    pub(super) fn content_hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for stored in &self.files {
            hasher.update(format!("{}\0{}\n", stored.file, stored.sha256).as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// Prefix of files that are not whole yet.
pub(super) const UNFINISHED: &str = ".giveaway-unfinished-";

/// A file in the making.
pub(super) fn unfinished(folder: &Path) -> Result<tempfile::NamedTempFile> {
    tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempfile_in(folder)
        .map_err(|e| Error::io("write to the folder", folder, &e))
}

/// Gives a file its name, in the place of another if there is one.
pub(super) fn finish(file: tempfile::NamedTempFile, path: &Path) -> Result<()> {
    file.as_file()
        .sync_all()
        .map_err(|e| Error::io("write the file", path, &e))?;
    file.persist(path)
        .map(drop)
        .map_err(|e| Error::io("write the file", path, &e.error))
}

/// Size and SHA-256 of what is read, hexadecimal.
///
/// # Errors
/// If it cannot be read.
pub(super) fn digest(mut content: impl Read) -> std::io::Result<(u64, String)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut size = 0;
    loop {
        match content.read(&mut buffer) {
            Ok(0) => return Ok((size, hexadecimal(&hasher.finalize()))),
            Ok(length) => {
                hasher.update(&buffer[..length]);
                size += length as u64;
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
