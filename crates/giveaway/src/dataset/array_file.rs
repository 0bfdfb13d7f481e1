//! Arrays of `NumPy`: NPY files, and NPZ archives of them.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::Array2;

use super::assemble::{RawColumn, RawValues, class_labels, dense_names, find};
use super::image::{ImageShape, Order, are_bytes, arranged, pixel_by_pixel};
use super::interning::Interner;
use super::table::{Body, Table, TableOptions, file_name, refuse_delimiter, shown};
use super::{idx_file, zip_file};
use crate::{Error, Result};

/// What the features are called within an NPZ archive.
const FEATURE_NAMES: [&str; 5] = ["X", "x", "features", "data", "x_train"];
/// What the labels are called within an NPZ archive.
const LABEL_NAMES: [&str; 4] = ["y", "labels", "label", "y_train"];

/// An array in C order.
#[derive(Debug)]
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    pub(super) elements: Elements,
}

/// The elements of an array.
#[derive(Debug)]
pub(super) enum Elements {
    Real(Vec<f64>),
    /// Finite numbers that are float32 already.
    Single(Vec<f32>),
    /// Bytes without a sign, of which images are made.
    Bytes(Vec<u8>),
    /// Whole numbers, kept exact.
    Whole(Vec<i64>),
    Text(Vec<String>),
}

/// Reads features from an NPY file and labels from the file that the options name.
pub(super) fn read_npy(
    name: &str,
    content: &[u8],
    hash: blake3::Hash,
    options: &TableOptions,
) -> Result<Table> {
    refuse_delimiter(options)?;
    let array = parse_npy(content)?;
    let Some(path) = &options.labels_file else {
        return Err(Error::usage("which file holds the classes is not said")
            .hint("give --labels-file FILE with a one-dimensional array, or put both into an .npz file"));
    };
    let (labels, labels_hash) = read_labels(path)?;
    from_arrays(
        name,
        array,
        labels,
        joint_hash(hash, labels_hash),
        Extras::default(),
        options,
    )
}

/// The labels of a file, NPY or IDX, and the hash of its bytes.
pub(super) fn read_labels(path: &Path) -> Result<(RawValues, blake3::Hash)> {
    let bytes =
        std::fs::read(path).map_err(|error| Error::io("read the labels file", path, &error))?;
    let hash = blake3::hash(&bytes);
    let parse = || {
        let content = if bytes.starts_with(&[0x1f, 0x8b]) {
            idx_file::expand(&bytes)?
        } else {
            bytes.clone()
        };
        let array = match content.as_slice() {
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => parse_npy(&content)?,
            [0, 0, ..] => idx_file::parse(&content)?,
            _ => {
                return Err(Error::input("neither an NPY nor an IDX file")
                    .hint("labels beside arrays or images are read from such files"));
            }
        };
        one_dimension(array, "the labels")
    };
    let values = parse().map_err(|error| error.at(file_name(path)))?;
    Ok((values, hash))
}

/// One hash for a file of features and its file of labels.
pub(super) fn joint_hash(features: blake3::Hash, labels: blake3::Hash) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(features.as_bytes());
    hasher.update(labels.as_bytes());
    hasher.finalize().to_hex().to_string()
}

/// Reads features and labels from an NPZ archive.
pub(super) fn read_npz(
    name: &str,
    content: &[u8],
    hash: blake3::Hash,
    options: &TableOptions,
) -> Result<Table> {
    refuse_delimiter(options)?;
    if let (Some(label), Some(_)) = (&options.label, &options.labels_file) {
        return Err(Error::usage(format!(
            "the classes are to be read from the array `{label}` and from a file of their own"
        ))
        .at("--labels-file")
        .hint("give either --label or --labels-file"));
    }
    let mut members: BTreeMap<String, &[u8]> = BTreeMap::new();
    let archive = zip_file::Archive::open(content)?;
    for member in archive.names() {
        let key = member.strip_suffix(".npy").unwrap_or(member);
        members.insert(key.to_owned(), &[]);
    }
    let keys: Vec<String> = members.into_keys().collect();
    if keys.is_empty() {
        return Err(Error::input("the archive holds no array")
            .hint("write it with numpy.savez(file, x=features, y=labels)"));
    }
    let load = |key: &str| -> Result<Array> {
        let bytes = archive.read(&format!("{key}.npy"), npy_length)?;
        parse_npy(&bytes).map_err(|error| error.at(format!("array `{key}`")))
    };
    let usual = |names: &[&str]| -> Option<String> {
        names
            .iter()
            .find(|&&name| keys.iter().any(|key| key == name))
            .map(|&name| name.to_owned())
    };
    let all = keys
        .iter()
        .map(|key| format!("`{key}`"))
        .collect::<Vec<_>>()
        .join(", ");
    let features = usual(&FEATURE_NAMES).ok_or_else(|| {
        Error::input("no array of features is in the archive").hint(format!(
            "call it one of {}; there are {all}",
            FEATURE_NAMES.join(", ")
        ))
    })?;
    let (labels, hash) = match (&options.label, &options.labels_file) {
        (Some(label), _) => {
            find(&keys, label, "--label")?;
            (
                one_dimension(load(label)?, label)?,
                hash.to_hex().to_string(),
            )
        }
        (None, Some(path)) => {
            let (labels, labels_hash) = read_labels(path)?;
            (labels, joint_hash(hash, labels_hash))
        }
        (None, None) => {
            let label = usual(&LABEL_NAMES).ok_or_else(|| {
                Error::usage("which array holds the classes is not said")
                    .hint(format!("give --label ARRAY; there are {all}"))
            })?;
            (
                one_dimension(load(&label)?, &label)?,
                hash.to_hex().to_string(),
            )
        }
    };
    let mut extras = Extras::default();
    let mut used = vec![features.clone()];
    used.extend(options.label.clone());
    for (option, wanted, target) in [
        ("--id", &options.id, &mut extras.ids),
        ("--group", &options.group, &mut extras.groups),
    ] {
        if let Some(key) = wanted {
            find(&keys, key, option)?;
            *target = Some(RawColumn {
                name: key.clone(),
                values: one_dimension(load(key)?, key)?,
            });
            used.push(key.clone());
        }
    }
    let unused: Vec<&str> = keys
        .iter()
        .map(String::as_str)
        .filter(|key| !used.iter().any(|name| name == key) && !LABEL_NAMES.contains(key))
        .collect();
    if !unused.is_empty() {
        extras.notes.push(format!(
            "The features are the array `{features}`; not used: {}.",
            unused.join(", ")
        ));
    }
    let array = load(&features)?;
    from_arrays(name, array, labels, hash, extras, options)
}

/// What a file of arrays may hold beside features and labels.
#[derive(Default)]
pub(super) struct Extras {
    pub(super) ids: Option<RawColumn>,
    pub(super) groups: Option<RawColumn>,
    pub(super) notes: Vec<String>,
}

/// Makes a table of an array of features, records first, and labels.
pub(super) fn from_arrays(
    name: &str,
    array: Array,
    labels: RawValues,
    content_hash: String,
    extras: Extras,
    options: &TableOptions,
) -> Result<Table> {
    if let Some(column) = options.numeric.iter().chain(&options.categorical).next() {
        return Err(Error::usage(format!(
            "`{column}` is no column: arrays hold numbers throughout"
        ))
        .hint("leave out --numeric and --categorical"));
    }
    let Extras {
        ids,
        groups,
        mut notes,
    } = extras;
    if ids.is_none() && groups.is_none() && (options.id.is_some() || options.group.is_some()) {
        return Err(
            Error::usage("a file with one array has no columns of identifiers or groups")
                .hint("leave out --id and --group, or put the arrays into an .npz file"),
        );
    }
    let (shape, arrangement) = shape_of(&array)?;
    let (rows, width) = shape;
    let typed_bytes = matches!(array.elements, Elements::Bytes(_));
    let mut values = finite_values(array, width)?;
    if let Some((shape, Order::ByChannel)) = arrangement {
        values = pixel_by_pixel(&values, shape);
    }
    let image = arrangement.map(|([height, width, channels], _)| ImageShape {
        height,
        width,
        channels,
        bytes: typed_bytes || are_bytes(&values),
    });
    let place = |row: usize| format!("row {}", row + 1);
    let counted = |what: &str, count: usize| {
        if count == rows {
            Ok(())
        } else {
            Err(Error::input(format!(
                "{rows} records and {count} {what} do not go together"
            ))
            .hint("give one for each record, in the same order"))
        }
    };
    counted("labels", labels.len())?;
    let label_name = options.label.clone().unwrap_or_else(|| "labels".to_owned());
    let (labels, classes) = class_labels(
        RawColumn {
            name: label_name,
            values: labels,
        },
        &place,
        &mut notes,
    )?;
    if let Some(column) = &ids {
        counted("identifiers", column.values.len())?;
    }
    if let Some(column) = &groups {
        counted("groups", column.values.len())?;
    }
    let ids = ids
        .map(|column| super::assemble::id_values(column, &place))
        .transpose()?;
    let groups = groups
        .map(|column| super::assemble::group_values(column, &place))
        .transpose()?;
    let values = Array2::from_shape_vec((rows, width), values)
        .map_err(|error| Error::unexpected(format!("an array of {rows} × {width}: {error}")))?;
    let names = dense_names(width, image, "x");
    let (values, names) = if options.drop.is_empty() {
        (values, names)
    } else if image.is_some() {
        return Err(Error::usage("pixels of an image cannot be dropped")
            .hint("leave --drop out, or save the images as rows of features"));
    } else {
        without_dropped(&values, &names, &options.drop)?
    };
    Ok(Table {
        name: name.to_owned(),
        body: Body::Dense {
            values,
            names,
            image,
        },
        labels,
        classes,
        has_id_column: ids.is_some(),
        other_index: None,
        ids: ids.unwrap_or_else(|| (0..rows).map(|row| row.to_string()).collect()),
        groups,
        notes,
        content_hash,
        rows: (0..rows as u32).collect(),
    })
}

/// Features without those of these names.
fn without_dropped(
    values: &Array2<f32>,
    names: &[String],
    dropped: &[String],
) -> Result<(Array2<f32>, Vec<String>)> {
    let mut kept: Vec<usize> = (0..names.len()).collect();
    for column in dropped {
        let index = find(names, column, "--drop")?;
        kept.retain(|&other| other != index);
    }
    if kept.is_empty() {
        return Err(
            Error::input("no feature is left after --drop").hint("name fewer columns with --drop")
        );
    }
    let names = kept.iter().map(|&index| names[index].clone()).collect();
    Ok((values.select(ndarray::Axis(1), &kept), names))
}

/// Records and values per record, and the image that they make: its height, width and channels
/// and their order.
type Shape = ((usize, usize), Option<([usize; 3], Order)>);

fn shape_of(array: &Array) -> Result<Shape> {
    let (rows, image) = match array.shape.as_slice() {
        [rows, _] => (*rows, None),
        [rows, shape @ ..] if arranged(shape).is_some() => (*rows, arranged(shape)),
        _ => {
            return Err(Error::input(format!(
                "an array of shape {:?} holds neither records × features nor images",
                array.shape
            ))
            .hint("give an array of records × features, records × height × width, or that with 1, 3 or 4 channels at the end or before the height"));
        }
    };
    let width: usize = array.shape.iter().skip(1).product();
    if rows == 0 {
        return Err(Error::input("the array of features has no records")
            .hint("give an array with a row for each record"));
    }
    if width == 0 {
        return Err(Error::input("the array of features has no features")
            .hint("give an array with a column for each feature"));
    }
    if u32::try_from(rows).is_err() || rows == u32::MAX as usize {
        return Err(
            Error::input(format!("{rows} records are more than can be audited"))
                .hint("audit a part of the records"),
        );
    }
    Ok(((rows, width), image))
}

fn finite_values(array: Array, width: usize) -> Result<Vec<f32>> {
    match array.elements {
        Elements::Whole(values) => Ok(values.into_iter().map(|value| value as f32).collect()),
        Elements::Bytes(values) => Ok(values.into_iter().map(f32::from).collect()),
        Elements::Single(values) => Ok(values),
        Elements::Real(values) => {
            if let Some(index) = values.iter().position(|value| !(*value as f32).is_finite()) {
                let place = format!("row {}, column {}", index / width + 1, index % width + 1);
                if values[index].is_finite() {
                    return Err(Error::input(format!(
                        "the value `{}` is too large for float32",
                        shown(values[index])
                    ))
                    .at(place)
                    .hint("mend the value, or write the array in smaller units: features are held as float32, up to 3.4e38"));
                }
                return Err(Error::input(format!("the value `{}` is not finite", values[index]))
                    .at(place)
                    .hint("mend the array: missing values have no meaning in arrays; a table may have them"));
            }
            Ok(values.into_iter().map(|value| value as f32).collect())
        }
        Elements::Text(_) => Err(Error::input("the features are text")
            .hint("give an array of numbers, or a table (CSV, Parquet) with columns of text")),
    }
}

/// The elements of an array of one dimension, or of records × 1.
pub(super) fn one_dimension(array: Array, what: &str) -> Result<RawValues> {
    if !matches!(array.shape.as_slice(), [_] | [_, 1]) {
        return Err(Error::input(format!(
            "`{what}` has the shape {:?}, where one value per record is wanted",
            array.shape
        ))
        .hint("give class numbers or names, not one-hot rows"));
    }
    Ok(match array.elements {
        Elements::Real(values) => RawValues::Float(values),
        Elements::Single(values) => RawValues::Float(values.into_iter().map(f64::from).collect()),
        Elements::Bytes(values) => RawValues::Integer(
            values
                .into_iter()
                .map(|value| Some(i64::from(value)))
                .collect(),
        ),
        Elements::Whole(values) => RawValues::Integer(values.into_iter().map(Some).collect()),
        Elements::Text(texts) => {
            let mut interner = Interner::default();
            for text in &texts {
                interner.push(text);
            }
            RawValues::Category(interner.finish())
        }
    })
}

pub(crate) fn damaged(what: impl std::fmt::Display) -> Error {
    Error::input(format!("the NumPy array is damaged: {what}"))
        .hint("write it again with numpy.save or numpy.savez")
}

/// Axes that an array of `NumPy` 2 may have.
const MOST_AXES: usize = 64;

/// What the header of an NPY file says.
pub(crate) struct Header {
    /// Where the elements begin.
    pub(crate) start: usize,
    pub(crate) kind: Kind,
    pub(crate) big_endian: bool,
    pub(crate) fortran: bool,
    pub(crate) shape: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Boolean,
    Signed(usize),
    Unsigned(usize),
    Float(usize),
    /// Characters of four bytes.
    Unicode(usize),
    /// Characters of one byte.
    Bytes(usize),
}

impl Kind {
    pub(crate) fn size(self) -> usize {
        match self {
            Self::Boolean => 1,
            Self::Signed(size) | Self::Unsigned(size) | Self::Float(size) | Self::Bytes(size) => {
                size
            }
            Self::Unicode(length) => 4 * length,
        }
    }
}

impl Header {
    pub(crate) fn count(&self) -> Option<usize> {
        self.shape
            .iter()
            .try_fold(1_usize, |product, &size| product.checked_mul(size))
    }

    /// Length of the file in bytes, unless no memory could hold it.
    pub(crate) fn length(&self) -> Option<usize> {
        self.count()?
            .checked_mul(self.kind.size())?
            .checked_add(self.start)
    }
}

/// The length in bytes that the header at the head of an NPY file declares.
fn npy_length(head: &[u8]) -> Result<u64> {
    let header = parse_header(head)?;
    header
        .length()
        .map(|length| length as u64)
        .ok_or_else(|| damaged("its header declares more elements than memory can hold"))
}

/// The text between quotes that follows `'key':` in the header's dictionary.
fn entry<'a>(dictionary: &'a str, key: &str) -> Result<&'a str> {
    let position = dictionary
        .find(&format!("'{key}'"))
        .ok_or_else(|| damaged(format!("its header does not say `{key}`")))?;
    let rest = &dictionary[position + key.len() + 2..];
    Ok(rest.trim_start().trim_start_matches(':').trim_start())
}

/// Reads the header, of which `content` holds at least all bytes.
pub(crate) fn parse_header(content: &[u8]) -> Result<Header> {
    let version = content.get(6).copied().unwrap_or_default();
    let (length, start) = match (version, content) {
        (1, [_, _, _, _, _, _, _, _, a, b, ..]) => (usize::from(u16::from_le_bytes([*a, *b])), 10),
        (2 | 3, [_, _, _, _, _, _, _, _, a, b, c, d, ..]) => {
            (u32::from_le_bytes([*a, *b, *c, *d]) as usize, 12)
        }
        _ => return Err(damaged("its header is cut off or of an unknown version")),
    };
    let dictionary = content
        .get(start..start + length)
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .ok_or_else(|| damaged("its header is cut off"))?;
    let descriptor = entry(dictionary, "descr")?;
    let Some(descriptor) = descriptor
        .strip_prefix('\'')
        .and_then(|rest| rest.split_once('\''))
        .map(|(descriptor, _)| descriptor)
    else {
        return Err(Error::input("structured arrays cannot be read")
            .hint("save the table as CSV or Parquet instead"));
    };
    let order = entry(dictionary, "fortran_order")?;
    let fortran = order.starts_with("True");
    if !fortran && !order.starts_with("False") {
        let found: String = order.chars().take_while(|&c| c != ',').take(20).collect();
        return Err(damaged(format!(
            "its header says `{found}` of fortran_order, neither True nor False"
        )));
    }
    let shape = entry(dictionary, "shape")?
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'))
        .ok_or_else(|| damaged("its shape is not understood"))?
        .0
        .split(',')
        .map(str::trim)
        .filter(|size| !size.is_empty())
        .map(|size| {
            size.parse::<usize>().map_err(|_| {
                let found: String = size.chars().take(40).collect();
                damaged(format!(
                    "its header gives `{found}` as the length of an axis, which is no whole number or a larger one than memory has"
                ))
            })
        })
        .collect::<Result<Vec<usize>>>()?;
    if shape.len() > MOST_AXES {
        return Err(damaged(format!(
            "its header declares {} axes, and arrays of NumPy have at most {MOST_AXES}",
            shape.len()
        )));
    }
    let (order, code) = descriptor.split_at(descriptor.len().min(1));
    let (letter, size) = code.split_at(code.len().min(1));
    let refused = || {
        Err(
            Error::input(format!("arrays of type `{descriptor}` cannot be read"))
                .hint("convert the array, for example with .astype(\"float32\")"),
        )
    };
    if letter == "O" {
        return Err(Error::input(
            "the array holds Python objects (pickle), which are not read because reading them runs code",
        )
        .hint("convert it, for example with .astype(\"float32\"), or for labels .astype(str), and save it again"));
    }
    let size: usize = size.parse().unwrap_or_default();
    let kind = match (letter, size) {
        ("b", 1) => Kind::Boolean,
        ("i", 1 | 2 | 4 | 8) => Kind::Signed(size),
        ("u", 1 | 2 | 4 | 8) => Kind::Unsigned(size),
        ("f", 2 | 4 | 8) => Kind::Float(size),
        ("U", 1..=65_536) => Kind::Unicode(size),
        ("S", 1..=65_536) => Kind::Bytes(size),
        _ => return refused(),
    };
    if !matches!(order, "<" | ">" | "|" | "=") {
        return refused();
    }
    Ok(Header {
        start: start + length,
        kind,
        big_endian: order == ">",
        fortran,
        shape,
    })
}

/// Reads one array.
pub(super) fn parse_npy(content: &[u8]) -> Result<Array> {
    let header = parse_header(content)?;
    // Checked before anything is reserved: a header may lie.
    if header.length() != Some(content.len()) {
        return Err(damaged(format!(
            "its header declares a shape of {:?}, which does not agree with its {} bytes",
            header.shape,
            content.len()
        )));
    }
    let body = &content[header.start..];
    let elements = match header.kind {
        Kind::Unicode(_) | Kind::Bytes(_) => Elements::Text(parse_texts(body, &header)?),
        kind => parse_numbers(body, kind, header.big_endian),
    };
    let elements = if header.fortran && header.shape.len() > 1 {
        match elements {
            Elements::Real(values) => Elements::Real(from_fortran(&values, &header.shape)),
            Elements::Single(values) => Elements::Single(from_fortran(&values, &header.shape)),
            Elements::Bytes(values) => Elements::Bytes(from_fortran(&values, &header.shape)),
            Elements::Whole(values) => Elements::Whole(from_fortran(&values, &header.shape)),
            Elements::Text(values) => Elements::Text(from_fortran(&values, &header.shape)),
        }
    } else {
        elements
    };
    Ok(Array {
        shape: header.shape,
        elements,
    })
}

fn parse_texts(body: &[u8], header: &Header) -> Result<Vec<String>> {
    body.chunks_exact(header.kind.size())
        .map(|element| {
            let text = if matches!(header.kind, Kind::Bytes(_)) {
                std::str::from_utf8(element)
                    .map_err(|_| damaged("a text is not UTF-8"))?
                    .to_owned()
            } else {
                element
                    .chunks_exact(4)
                    .map(|bytes| {
                        let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
                        let code = if header.big_endian {
                            u32::from_be_bytes(bytes)
                        } else {
                            u32::from_le_bytes(bytes)
                        };
                        char::from_u32(code).ok_or_else(|| damaged("a character does not exist"))
                    })
                    .collect::<Result<String>>()?
            };
            Ok(text.trim_end_matches('\0').to_owned())
        })
        .collect()
}

fn parse_numbers(body: &[u8], kind: Kind, big_endian: bool) -> Elements {
    let size = kind.size();
    // Each element as the low bits of a little-endian whole number.
    let bits = body.chunks_exact(size).map(|element| {
        let mut bytes = [0; 8];
        bytes[..size].copy_from_slice(element);
        if big_endian {
            bytes[..size].reverse();
        }
        u64::from_le_bytes(bytes)
    });
    match kind {
        Kind::Signed(_) => {
            let unused = 64 - 8 * size as u32;
            Elements::Whole(
                bits.map(|bits| (bits << unused).cast_signed() >> unused)
                    .collect(),
            )
        }
        Kind::Unsigned(1) => Elements::Bytes(body.to_vec()),
        Kind::Float(2) => Elements::Real(
            bits.map(|bits| super::parquet_file::half(bits as u16))
                .collect(),
        ),
        Kind::Float(4) => Elements::Real(
            bits.map(|bits| f64::from(f32::from_bits(bits as u32)))
                .collect(),
        ),
        Kind::Float(_) => Elements::Real(bits.map(f64::from_bits).collect()),
        _ => Elements::Real(bits.map(|bits| bits as f64).collect()),
    }
}

/// Elements stored with the first index running fastest, put with the last one running fastest.
fn from_fortran<T: Clone>(values: &[T], shape: &[usize]) -> Vec<T> {
    let mut index = vec![0_usize; shape.len()];
    let mut strides = vec![1_usize; shape.len()];
    for axis in 1..shape.len() {
        strides[axis] = strides[axis - 1] * shape[axis - 1];
    }
    let mut reordered = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        let position: usize = index
            .iter()
            .zip(&strides)
            .map(|(i, stride)| i * stride)
            .sum();
        reordered.push(values[position].clone());
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    reordered
}

/// The NPY header, format 1.0, padded so that the data start at a multiple of 64.
pub(crate) fn header(descriptor: &str, shape: &[usize]) -> Vec<u8> {
    let lengths: Vec<String> = shape.iter().map(ToString::to_string).collect();
    let mut text = format!(
        "{{'descr': '{descriptor}', 'fortran_order': False, 'shape': ({}{}), }}",
        lengths.join(", "),
        if shape.len() == 1 { "," } else { "" }
    );
    while (10 + text.len() + 1) % 64 != 0 {
        text.push(' ');
    }
    text.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}
