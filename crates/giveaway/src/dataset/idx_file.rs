//! IDX, the format of MNIST: four bytes of type and dimensions, the sizes, the elements.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::array_file::{Array, Elements, Extras, from_arrays, joint_hash, read_labels};
use super::table::{Table, TableOptions, file_name, refuse_delimiter};
use crate::{Error, Result};

/// The most bytes that a gzip file of text may expand to.
const LARGEST_EXPANSION: u64 = 8 << 30;

fn damaged(what: impl std::fmt::Display) -> Error {
    Error::input(format!("the IDX file is damaged: {what}")).hint("copy or download the file again")
}

/// Reads images, and labels from the file that the options name or that lies beside them.
pub(super) fn read(
    path: &Path,
    name: &str,
    content: &[u8],
    hash: blake3::Hash,
    options: &TableOptions,
) -> Result<Table> {
    refuse_delimiter(options)?;
    let images = parse(content)?;
    let labels_path = match &options.labels_file {
        Some(labels) => labels.clone(),
        None => guess_labels(path)?,
    };
    let (labels, labels_hash) = read_labels(&labels_path)?;
    let mut extras = Extras::default();
    if options.labels_file.is_none() {
        extras.notes.push(format!(
            "The labels are read from {}. Name another file with --labels-file.",
            file_name(&labels_path)
        ));
    }
    from_arrays(
        name,
        images,
        labels,
        joint_hash(hash, labels_hash),
        extras,
        options,
    )
}

/// The labels file that goes with an images file by its name, compressed or not.
fn guess_labels(path: &Path) -> Result<PathBuf> {
    let name = file_name(path);
    let mut candidates = Vec::new();
    for (images, labels) in [
        ("images-idx3", "labels-idx1"),
        ("images.idx3", "labels.idx1"),
    ] {
        if name.contains(images) {
            let guess = name.replace(images, labels);
            let other = match guess.strip_suffix(".gz") {
                Some(plain) => plain.to_owned(),
                None => format!("{guess}.gz"),
            };
            candidates.extend([guess, other]);
        }
    }
    candidates
        .iter()
        .map(|candidate| path.with_file_name(candidate))
        .find(|candidate| candidate.exists())
        .ok_or_else(|| {
            let sought = if candidates.is_empty() {
                String::new()
            } else {
                format!(" (there is no {} beside it)", candidates.join(" or "))
            };
            Error::usage(format!("which file holds the classes is not said{sought}"))
                .hint("give --labels-file FILE")
        })
}

/// The size in bytes of an element of this type.
fn element_size(code: u8) -> Option<usize> {
    match code {
        0x08 | 0x09 => Some(1),
        0x0b => Some(2),
        0x0c | 0x0d => Some(4),
        0x0e => Some(8),
        _ => None,
    }
}

/// The sizes and the whole length in bytes that a header declares.
fn header(content: &[u8]) -> Result<(u8, Vec<usize>, usize)> {
    let [0, 0, code, dimensions, rest @ ..] = content else {
        return Err(damaged("its header is cut off or wrong"));
    };
    let size = element_size(*code)
        .ok_or_else(|| damaged(format!("its element type {code:#04x} does not exist")))?;
    let count = usize::from(*dimensions);
    let sizes = rest
        .get(..4 * count)
        .filter(|_| count > 0)
        .ok_or_else(|| damaged("its header is cut off"))?;
    let shape: Vec<usize> = sizes
        .chunks_exact(4)
        .map(|bytes| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize)
        .collect();
    let length = shape
        .iter()
        .try_fold(size, |product, &size| product.checked_mul(size))
        .and_then(|length| length.checked_add(4 + 4 * count))
        .ok_or_else(|| damaged(format!("its header declares a size of {shape:?}")))?;
    Ok((*code, shape, length))
}

/// Reads an array.
pub(super) fn parse(content: &[u8]) -> Result<Array> {
    let (code, shape, length) = header(content)?;
    // Checked before anything is reserved: a header may lie.
    if length != content.len() {
        let what = if length > content.len() {
            "it is cut off"
        } else {
            "it goes on after its end"
        };
        return Err(damaged(format!(
            "{what}: the header declares a size of {shape:?}, {length} bytes, and there are {}",
            content.len()
        )));
    }
    let body = &content[4 + 4 * shape.len()..];
    let whole = |size: usize| {
        body.chunks_exact(size)
            .map(|element| {
                let negative = element[0] & 0x80 != 0;
                element
                    .iter()
                    .fold(if negative { -1 } else { 0 }, |sum, &byte| {
                        (sum << 8) | i64::from(byte)
                    })
            })
            .collect()
    };
    let elements = match code {
        0x08 => Elements::Bytes(body.to_vec()),
        0x09 => Elements::Whole(whole(1)),
        0x0b => Elements::Whole(whole(2)),
        0x0c => Elements::Whole(whole(4)),
        0x0d => Elements::Real(
            body.chunks_exact(4)
                .map(|b| f64::from(f32::from_be_bytes([b[0], b[1], b[2], b[3]])))
                .collect(),
        ),
        _ => Elements::Real(
            body.chunks_exact(8)
                .map(|b| f64::from_be_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]))
                .collect(),
        ),
    };
    Ok(Array { shape, elements })
}

/// Expands a gzip file; one of IDX only as far as its header says, and one byte more, so that
/// a hostile one is stopped early and bytes after the end are still seen.
pub(super) fn expand(bytes: &[u8]) -> Result<Vec<u8>> {
    const HEAD: u64 = 4 + 4 * 255;
    let broken = |error: std::io::Error| {
        Error::input(format!("the gzip file is damaged or cut off: {error}"))
            .hint("copy or download the file again")
    };
    let mut decoder = flate2::read::MultiGzDecoder::new(bytes);
    let mut content = Vec::new();
    decoder
        .by_ref()
        .take(HEAD)
        .read_to_end(&mut content)
        .map_err(broken)?;
    let most = match content.as_slice() {
        [0, 0, code, _, ..] if element_size(*code).is_some() => header(&content)?.2 as u64 + 1,
        _ => LARGEST_EXPANSION,
    };
    let left = most.saturating_sub(content.len() as u64);
    decoder
        .take(left)
        .read_to_end(&mut content)
        .map_err(broken)?;
    if content.len() as u64 >= LARGEST_EXPANSION {
        return Err(Error::input("the gzip file expands to more than 8 GiB")
            .hint("expand it and audit a part of the records"));
    }
    Ok(content)
}
