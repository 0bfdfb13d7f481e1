//! From the files in the cache to a table.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::cache::{Kind, Receipt, Stored, digest};
use super::text::{self, Layout};
use super::{Cache, Format, KnownData, Packing, Part, tar};
use crate::dataset::array_file::{Array, Elements, Extras, from_arrays, one_dimension};
use crate::dataset::assemble::RawValues;
use crate::dataset::table::{refuse_delimiter, refuse_labels_file};
use crate::dataset::{Table, TableOptions, cifar_file, idx_file};
use crate::{Error, Result};

/// Reads a fetched data set, after comparing its files with their checksums.
pub(in crate::dataset) fn read(
    cache: &Cache,
    data: &KnownData,
    options: &TableOptions,
) -> Result<Table> {
    let Some(receipt) = cache.receipt(data)? else {
        return Err(Error::input(format!(
            "the data set {} is not in the cache {}",
            data.name,
            cache.root().display()
        ))
        .hint(format!(
            "fetch it once: giveaway data fetch {}; another cache is named by the environment variable {}",
            data.name,
            super::cache::VARIABLE
        )));
    };
    let folder = cache.folder(data);
    for stored in &receipt.files {
        unchanged(&folder, stored).map_err(|error| {
            error.hint(format!(
                "fetch the data set again: giveaway data fetch {}",
                data.name
            ))
        })?;
    }
    read_stored(&folder, data, &receipt, options).map_err(|error| error.at(data.name))
}

/// A file in the cache must be what it was when it was fetched.
fn unchanged(folder: &Path, stored: &Stored) -> Result<()> {
    let path = folder.join(&stored.file);
    let (_, found) = File::open(&path)
        .and_then(digest)
        .map_err(|e| Error::io("read the file", &path, &e))?;
    if found == stored.sha256 {
        return Ok(());
    }
    Err(Error::input(format!(
        "the file was changed since it was fetched: its SHA-256 is {found}, not {}",
        stored.sha256
    ))
    .at(path.display()))
}

/// Reads files that are known to be what the receipt says.
pub(super) fn read_stored(
    folder: &Path,
    data: &KnownData,
    receipt: &Receipt,
    options: &TableOptions,
) -> Result<Table> {
    let mut table = match receipt.kind {
        Kind::Copy => {
            let mut options = options.clone();
            if let Some(label) = &receipt.label {
                options.label.get_or_insert_with(|| label.clone());
            }
            for column in &receipt.drop {
                if !options.drop.contains(column) {
                    options.drop.push(column.clone());
                }
            }
            // Shapes are formed by the caller.
            options.image = None;
            let mut table = Table::read(&folder.join(&receipt.files[0].file), &options)?;
            table.notes.push(format!(
                "The data set {} was read from a copy in another format, of which only the numbers of records, features and classes were compared with the published ones.",
                data.name
            ));
            table
        }
        Kind::Published => published(folder, data, receipt, options)?,
    };
    data.name.clone_into(&mut table.name);
    table.content_hash = receipt.content_hash();
    if receipt.kind == Kind::Published && table.len() != data.records {
        return Err(Error::input(format!(
            "there are {} records, and {} are published",
            table.len(),
            data.records
        ))
        .hint("see whether the files are the whole data set"));
    }
    Ok(table)
}

fn published(
    folder: &Path,
    data: &KnownData,
    receipt: &Receipt,
    options: &TableOptions,
) -> Result<Table> {
    refuse_delimiter(options)?;
    refuse_labels_file(options)?;
    let hash = receipt.content_hash();
    let build = |array, labels| {
        from_arrays(
            data.name,
            array,
            labels,
            hash.clone(),
            Extras::default(),
            options,
        )
    };
    let table_of = |labels: Vec<i64>, values: Vec<f32>| {
        let array = Array {
            shape: vec![data.records, data.features],
            elements: Elements::Single(values),
        };
        build(
            array,
            RawValues::Integer(labels.into_iter().map(Some).collect()),
        )
    };
    match data.format {
        Format::Shipped => Err(Error::usage("the data set comes with the program")),
        Format::Cifar => {
            let kind = if data.classes == 10 {
                cifar_file::Kind::Ten
            } else {
                cifar_file::Kind::Hundred
            };
            let mut images = cifar_file::Images::new(kind, options)?;
            for content in whole_parts(folder, data, receipt)? {
                images.add(&content)?;
            }
            images.table(data.name, hash.clone(), options)
        }
        Format::Idx => {
            let (array, labels) = joined(&whole_parts(folder, data, receipt)?)?;
            build(array, labels)
        }
        Format::LabelFirst => {
            let layout = Layout {
                labelled: true,
                features: data.features,
                records: data.records,
            };
            let mut rows = text::Rows::default();
            each_part(folder, data, receipt, |_, content| {
                rows = text::read(content, layout)?;
                Ok(())
            })?;
            table_of(rows.labels, rows.values)
        }
        Format::FeaturesThenLabels => {
            let (mut values, mut labels) = (Vec::new(), Vec::new());
            each_part(folder, data, receipt, |index, content| {
                let layout = Layout {
                    labelled: index == 1,
                    features: if index == 1 { 0 } else { data.features },
                    records: data.records,
                };
                let rows = text::read(content, layout)?;
                if index == 1 {
                    labels = rows.labels;
                } else {
                    values = rows.values;
                }
                Ok(())
            })?;
            table_of(labels, values)
        }
    }
}

/// Images and labels of pairs of IDX files, one pair after the other.
fn joined(parts: &[Vec<u8>]) -> Result<(Array, RawValues)> {
    let mut pixels = Vec::new();
    let mut classes = Vec::new();
    let mut shape: Vec<usize> = Vec::new();
    let other = || {
        Error::input("the files are no pairs of images and labels as bytes")
            .hint("give the files as published")
    };
    for pair in parts.chunks(2) {
        let [images, labels] = pair else {
            return Err(other());
        };
        let images = idx_file::parse(images)?;
        let Elements::Bytes(bytes) = images.elements else {
            return Err(other());
        };
        let RawValues::Integer(labels) = one_dimension(idx_file::parse(labels)?, "the labels")?
        else {
            return Err(other());
        };
        if images.shape.first() != Some(&labels.len())
            || !(shape.is_empty() || shape[1..] == images.shape[1..])
        {
            return Err(Error::input(format!(
                "images of shape {:?} and {} labels do not go together",
                images.shape,
                labels.len()
            ))
            .hint("give the files as published"));
        }
        if shape.is_empty() {
            shape = images.shape;
        } else {
            shape[0] += images.shape[0];
        }
        pixels.extend(bytes);
        classes.extend(labels);
    }
    let array = Array {
        shape,
        elements: Elements::Bytes(pixels),
    };
    Ok((array, RawValues::Integer(classes)))
}

/// The content of every part, in order.
fn whole_parts(folder: &Path, data: &KnownData, receipt: &Receipt) -> Result<Vec<Vec<u8>>> {
    let mut contents: Vec<Vec<u8>> = vec![Vec::new(); data.parts().count()];
    each_part(folder, data, receipt, |index, content| {
        content.read_to_end(&mut contents[index]).map_err(|e| {
            Error::input(format!("the file is damaged or cut off: {e}"))
                .hint("copy or download the file again")
        })?;
        Ok(())
    })?;
    Ok(contents)
}

/// Calls `visit` with the number and content of every part, each once, in the order in which
/// they lie in the files. A part is never longer than its largest size and one byte.
fn each_part(
    folder: &Path,
    data: &KnownData,
    receipt: &Receipt,
    mut visit: impl FnMut(usize, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let held = |name: &str| receipt.files.iter().any(|stored| stored.file == name);
    let open = |name: &str| {
        let path = folder.join(name);
        File::open(&path).map_err(|e| Error::io("read the file", path, &e))
    };
    let mut visit = |index: usize, part: &Part, content: &mut dyn Read| -> Result<()> {
        let mut content = content.take(part.largest + 1);
        visit(index, &mut content).map_err(|error| error.at(part.path))?;
        if content.limit() == 0 {
            return Err(Error::input(format!(
                "it is longer than {} bytes, which no published file is",
                part.largest
            ))
            .at(part.path)
            .hint("give the file as published"));
        }
        Ok(())
    };
    let mut first = 0;
    for file in data.files {
        let parts = || {
            file.parts
                .iter()
                .enumerate()
                .map(|(i, part)| (first + i, part))
        };
        if !held(file.name) {
            for (index, part) in parts() {
                visit(index, part, &mut open(part.file_name())?)?;
            }
        } else if file.packing == Packing::Gzip {
            for (index, part) in parts() {
                visit(index, part, &mut MultiGzDecoder::new(open(file.name)?))?;
            }
        } else {
            let mut archive = MultiGzDecoder::new(open(file.name)?);
            let mut seen = vec![false; file.parts.len()];
            // A bomb of members that are not wanted is passed over, but not for ever.
            let most: u64 = file.parts.iter().map(|part| part.largest).sum();
            let mut bounded = (&mut archive).take(2 * most + (64 << 20));
            tar::each_file(&mut bounded, |path, _, content| {
                let Some((index, part)) = parts().find(|(_, part)| tar::is(path, part.path)) else {
                    return Ok(());
                };
                if std::mem::replace(&mut seen[index - first], true) {
                    return Err(
                        Error::input(format!("the archive holds {} twice", part.path))
                            .hint("give the archive as published"),
                    );
                }
                visit(index, part, content)
            })
            .map_err(|error| error.at(file.name))?;
            if let Some(missing) = seen.iter().position(|&seen| !seen) {
                return Err(Error::input(format!(
                    "the archive does not hold {}",
                    file.parts[missing].path
                ))
                .at(file.name)
                .hint("give the archive as published"));
            }
        }
        first += file.parts.len();
    }
    Ok(())
}
