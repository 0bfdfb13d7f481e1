//! Parquet tables: flat columns of any scalar type, and lists of numbers of one length.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use bytes::Bytes;
use parquet::basic::{
    CompressionCodec, ConvertedType, LogicalType, Repetition, Type as PhysicalType,
};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::{ByteArray, DataType, Int96};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::schema::types::{ColumnDescriptor, Type};

use super::assemble::{RawColumn, RawTable, RawValues, assemble};
use super::interning::Interner;
use super::parquet_footer;
use super::parquet_pages::Pages;
use super::table::{Table, TableOptions, shown};
use crate::{Error, Result};

/// Records that are decoded at a time.
const BATCH: usize = 16_384;
/// Lists that are decoded at a time: each may have thousands of values.
const LIST_BATCH: usize = 512;

/// More values than this for each byte of the file is no table but a trap: it would be a
/// sixty-fourth of a byte for a value. Small files are let off.
const MOST_VALUES_PER_BYTE: u64 = 64;
const ALWAYS_ALLOWED_VALUES: u64 = 1 << 20;

/// Reads a Parquet file that lies in memory.
pub(super) fn read(
    name: &str,
    content: Vec<u8>,
    hash: blake3::Hash,
    options: &TableOptions,
) -> Result<Table> {
    let (columns, rows) = guarded(|| read_columns(&Bytes::from(content), options))?;
    assemble(
        RawTable {
            name,
            columns,
            rows,
            place: &|row| format!("row {}", row + 1),
            content_hash: hash.to_hex().to_string(),
        },
        options,
    )
}

/// Reads the columns of a Parquet file that lies in memory, whatever they mean.
pub(super) fn read_raw(content: Vec<u8>) -> Result<(Vec<RawColumn>, usize)> {
    guarded(|| read_columns(&Bytes::from(content), &TableOptions::default()))
}

thread_local! {
    /// Whether this thread is inside [`guarded`], where a panic is an answer and no news.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs a reader that may panic on damaged input, and makes an error of it.
///
/// The panic hook stays quiet for this thread meanwhile and works as before for all others.
pub(crate) fn guarded<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.with(Cell::get) {
                usual(info);
            }
        }));
    });
    QUIET.with(|quiet| quiet.set(true));
    let outcome = catch_unwind(AssertUnwindSafe(read));
    QUIET.with(|quiet| quiet.set(false));
    outcome.unwrap_or_else(|_| Err(damaged("its contents contradict each other")))
}

pub(crate) fn damaged(what: impl std::fmt::Display) -> Error {
    Error::input(format!("the Parquet file is damaged: {what}"))
        .hint("copy or download the file again, or write it anew")
}

/// The metadata of a file and its number of rows, after what cannot be true has been refused.
pub(crate) fn open(file: &Bytes) -> Result<(ParquetMetaData, usize)> {
    parquet_footer::check(file)?;
    let reader = SerializedFileReader::new(file.clone()).map_err(damaged)?;
    let rows = checked_rows(reader.metadata(), file.len() as u64)?;
    Ok((reader.metadata().clone(), rows))
}

fn read_columns(file: &Bytes, options: &TableOptions) -> Result<(Vec<RawColumn>, usize)> {
    let (metadata, rows) = open(file)?;
    let metadata = &metadata;
    let mut columns = Vec::new();
    let mut leaf = 0;
    for field in metadata.file_metadata().schema().get_fields() {
        let shape = shape_of(field);
        let leaves = count_leaves(field);
        let name = field.name();
        let in_column = |error: Error| error.at(format!("column `{name}`"));
        if options.drop.iter().any(|dropped| dropped == name) {
            // Not read, so that a column that cannot be read may be dropped; its name is kept.
            columns.push(RawColumn {
                name: name.to_owned(),
                values: RawValues::Float(vec![f64::NAN; rows]),
            });
        } else {
            let values = match shape {
                Shape::Scalar => read_scalar(file, metadata, leaf),
                Shape::List => read_list(file, metadata, leaf, rows),
                Shape::Nested => Err(Error::input("nested values cannot be read").hint(format!(
                    "leave the column out with --drop {name}, or spread it over columns of its own"
                ))),
            }
            .map_err(in_column)?;
            if values.len() != rows {
                return Err(damaged(format!("{} values for {rows} rows", values.len()))
                    .at(format!("column `{name}`")));
            }
            columns.push(RawColumn {
                name: name.to_owned(),
                values,
            });
        }
        leaf += leaves;
    }
    if columns.is_empty() {
        return Err(Error::input("the table has no columns")
            .hint("give a table with a column of classes and columns of features"));
    }
    Ok((columns, rows))
}

/// The number of rows, after sizes that cannot be true have been refused.
fn checked_rows(metadata: &ParquetMetaData, file_bytes: u64) -> Result<usize> {
    let most = ALWAYS_ALLOWED_VALUES + MOST_VALUES_PER_BYTE * file_bytes;
    let declared = metadata.file_metadata().num_rows();
    let mut total: u64 = 0;
    for group in metadata.row_groups() {
        let rows = u64::try_from(group.num_rows()).map_err(damaged)?;
        total = total.saturating_add(rows);
        for chunk in group.columns() {
            let values = u64::try_from(chunk.num_values()).map_err(damaged)?;
            let (start, length) = (chunk_start(chunk), chunk.compressed_size());
            let inside = u64::try_from(start).is_ok_and(|start| {
                u64::try_from(length).is_ok_and(|length| start.saturating_add(length) <= file_bytes)
            });
            if !inside {
                return Err(damaged(format!(
                    "column `{}` lies outside the file",
                    chunk.column_path().string()
                )));
            }
            if values > most {
                return Err(damaged(format!(
                    "it declares {values} values in {file_bytes} bytes"
                )));
            }
        }
    }
    if u64::try_from(declared) != Ok(total) {
        return Err(damaged(format!(
            "it declares {declared} rows, and its row groups {total}"
        )));
    }
    if total > most {
        return Err(damaged(format!(
            "it declares {total} rows in {file_bytes} bytes"
        )));
    }
    usize::try_from(total).map_err(damaged)
}

fn chunk_start(chunk: &ColumnChunkMetaData) -> i64 {
    chunk
        .dictionary_page_offset()
        .unwrap_or_else(|| chunk.data_page_offset())
}

/// What a column of the schema is.
enum Shape {
    Scalar,
    List,
    Nested,
}

fn shape_of(field: &Type) -> Shape {
    if field.is_primitive() {
        return match field.get_basic_info().repetition() {
            Repetition::REPEATED => Shape::List,
            _ => Shape::Scalar,
        };
    }
    // A list is a group of one repeated group (or value) of one primitive.
    let is_list = field.get_basic_info().logical_type_ref() == Some(&LogicalType::List)
        || field.get_basic_info().converted_type() == ConvertedType::LIST;
    let [repeated] = field.get_fields() else {
        return Shape::Nested;
    };
    if !is_list || repeated.get_basic_info().repetition() != Repetition::REPEATED {
        return Shape::Nested;
    }
    if repeated.is_primitive() {
        return Shape::List;
    }
    match repeated.get_fields() {
        [element]
            if element.is_primitive()
                && element.get_basic_info().repetition() != Repetition::REPEATED =>
        {
            Shape::List
        }
        _ => Shape::Nested,
    }
}

fn count_leaves(field: &Type) -> usize {
    if field.is_primitive() {
        1
    } else {
        field
            .get_fields()
            .iter()
            .map(|child| count_leaves(child))
            .sum()
    }
}

/// What the stored values of a column mean.
#[derive(Clone, Copy)]
enum Meaning {
    Text,
    Boolean,
    Signed,
    Unsigned32,
    Unsigned64,
    Float,
    Half,
    /// Whole numbers, divided by ten to this.
    Decimal(i32),
}

fn meaning_of(descriptor: &ColumnDescriptor) -> Result<Meaning> {
    let cannot = |what: &str| {
        Err(Error::input(format!("{what} cannot be read")).hint(format!(
            "leave the column out with --drop {}",
            descriptor.name()
        )))
    };
    let logical = descriptor.logical_type_ref();
    let converted = descriptor.converted_type();
    let decimal = match logical {
        Some(LogicalType::Decimal(decimal)) => Some(decimal.scale),
        None if converted == ConvertedType::DECIMAL => Some(descriptor.type_scale()),
        _ => None,
    };
    Ok(match descriptor.physical_type() {
        PhysicalType::BOOLEAN => Meaning::Boolean,
        PhysicalType::FLOAT | PhysicalType::DOUBLE => Meaning::Float,
        PhysicalType::INT96 => Meaning::Signed,
        PhysicalType::INT32 | PhysicalType::INT64 => {
            let unsigned = matches!(
                logical,
                Some(LogicalType::Integer(integer)) if !integer.is_signed
            ) || matches!(
                converted,
                ConvertedType::UINT_8
                    | ConvertedType::UINT_16
                    | ConvertedType::UINT_32
                    | ConvertedType::UINT_64
            );
            match (decimal, unsigned, descriptor.physical_type()) {
                (Some(scale), ..) => Meaning::Decimal(scale),
                (None, true, PhysicalType::INT32) => Meaning::Unsigned32,
                (None, true, _) => Meaning::Unsigned64,
                (None, false, _) => Meaning::Signed,
            }
        }
        PhysicalType::BYTE_ARRAY | PhysicalType::FIXED_LEN_BYTE_ARRAY => match (decimal, logical) {
            (Some(scale), _) => Meaning::Decimal(scale),
            (None, Some(LogicalType::Float16)) => Meaning::Half,
            (None, Some(LogicalType::Uuid)) => return cannot("a UUID"),
            (None, Some(LogicalType::Bson)) => return cannot("BSON"),
            _ if converted == ConvertedType::INTERVAL => return cannot("an interval"),
            _ => Meaning::Text,
        },
    })
}

/// Where the decoded values of a scalar column go.
enum Sink {
    Text(Interner),
    Integer(Vec<Option<i64>>),
    Float(Vec<f64>),
}

impl Sink {
    fn missing(&mut self) {
        match self {
            Self::Text(interner) => interner.push_missing(),
            Self::Integer(values) => values.push(None),
            Self::Float(values) => values.push(f64::NAN),
        }
    }

    fn integer(&mut self, value: i64) {
        match self {
            Self::Integer(values) => values.push(Some(value)),
            Self::Float(values) => values.push(value as f64),
            Self::Text(interner) => interner.push(&value.to_string()),
        }
    }

    fn float(&mut self, value: f64) {
        match self {
            Self::Float(values) => values.push(value),
            Self::Integer(_) | Self::Text(_) => self.missing(),
        }
    }

    fn finish(self) -> RawValues {
        match self {
            Self::Text(interner) => RawValues::Category(interner.finish()),
            Self::Integer(values) => RawValues::Integer(values),
            Self::Float(values) => RawValues::Float(values),
        }
    }
}

fn read_scalar(file: &Bytes, metadata: &ParquetMetaData, leaf: usize) -> Result<RawValues> {
    let descriptor = metadata.file_metadata().schema_descr().column(leaf);
    let meaning = meaning_of(&descriptor)?;
    let mut sink = match meaning {
        Meaning::Text | Meaning::Boolean => Sink::Text(Interner::of_typed_file()),
        Meaning::Signed | Meaning::Unsigned32 => Sink::Integer(Vec::new()),
        Meaning::Unsigned64 if fits_signed(metadata, leaf) => Sink::Integer(Vec::new()),
        Meaning::Unsigned64 | Meaning::Float | Meaning::Half | Meaning::Decimal(_) => {
            Sink::Float(Vec::new())
        }
    };
    for group in 0..metadata.num_row_groups() {
        read_scalar_chunk(file, metadata, group, leaf, meaning, &mut sink)?;
    }
    Ok(sink.finish())
}

/// Whether the statistics show every value of an unsigned column to be below 2^63.
fn fits_signed(metadata: &ParquetMetaData, leaf: usize) -> bool {
    metadata.row_groups().iter().all(|group| {
        group
            .column(leaf)
            .statistics()
            .and_then(|statistics| statistics.max_bytes_opt())
            .is_some_and(|maximum| maximum.len() == 8 && maximum[7] < 0x80)
    })
}

pub(crate) fn open_chunk(
    file: &Bytes,
    metadata: &ParquetMetaData,
    group: usize,
    leaf: usize,
) -> Result<ColumnReader> {
    let row_group = metadata.row_group(group);
    let chunk = row_group.column(leaf);
    let codec = chunk.compression_codec();
    if matches!(codec, CompressionCodec::BROTLI | CompressionCodec::LZO) {
        return Err(Error::input(format!("the compression {codec:?} cannot be read")).hint(
            "write the file with zstd, snappy, gzip or lz4 instead; in pandas: to_parquet(..., compression=\"zstd\")",
        ));
    }
    let rows = usize::try_from(row_group.num_rows()).map_err(damaged)?;
    let pages = Pages::new(file, chunk, rows).map_err(damaged)?;
    Ok(get_column_reader(
        metadata.file_metadata().schema_descr().column(leaf),
        Box::new(pages),
    ))
}

fn read_scalar_chunk(
    file: &Bytes,
    metadata: &ParquetMetaData,
    group: usize,
    leaf: usize,
    meaning: Meaning,
    sink: &mut Sink,
) -> Result<()> {
    let utf8 = |bytes: &[u8], sink: &mut Sink| -> Result<()> {
        let text = std::str::from_utf8(bytes).map_err(|_| {
            Error::input("the text is not UTF-8").hint("leave the column out with --drop")
        })?;
        if let Sink::Text(interner) = sink {
            interner.push(text);
        }
        Ok(())
    };
    match open_chunk(file, metadata, group, leaf)? {
        ColumnReader::BoolColumnReader(reader) => drain(reader, sink, |value, sink| {
            utf8(if *value { b"true" } else { b"false" }, sink)
        }),
        ColumnReader::Int32ColumnReader(reader) => drain(reader, sink, |&value, sink| {
            match meaning {
                Meaning::Decimal(scale) => sink.float(decimal(i128::from(value), scale)),
                Meaning::Unsigned32 => sink.integer(i64::from(value.cast_unsigned())),
                _ => sink.integer(i64::from(value)),
            }
            Ok(())
        }),
        ColumnReader::Int64ColumnReader(reader) => drain(reader, sink, |&value, sink| {
            match meaning {
                Meaning::Decimal(scale) => sink.float(decimal(i128::from(value), scale)),
                Meaning::Unsigned64 if matches!(sink, Sink::Float(_)) => {
                    sink.float(value.cast_unsigned() as f64);
                }
                Meaning::Unsigned64 if value < 0 => {
                    return Err(damaged("a value exceeds the maximum that is declared"));
                }
                _ => sink.integer(value),
            }
            Ok(())
        }),
        ColumnReader::Int96ColumnReader(reader) => drain(reader, sink, |value: &Int96, sink| {
            sink.integer(value.to_nanos());
            Ok(())
        }),
        ColumnReader::FloatColumnReader(reader) => drain(reader, sink, |&value, sink| {
            sink.float(f64::from(value));
            Ok(())
        }),
        ColumnReader::DoubleColumnReader(reader) => drain(reader, sink, |&value, sink| {
            sink.float(value);
            Ok(())
        }),
        ColumnReader::ByteArrayColumnReader(reader) => {
            drain(reader, sink, |value: &ByteArray, sink| {
                bytes_value(value.data(), meaning, sink, &utf8)
            })
        }
        ColumnReader::FixedLenByteArrayColumnReader(reader) => {
            drain(reader, sink, |value, sink| {
                bytes_value(value.data(), meaning, sink, &utf8)
            })
        }
    }
}

fn bytes_value(
    bytes: &[u8],
    meaning: Meaning,
    sink: &mut Sink,
    utf8: &impl Fn(&[u8], &mut Sink) -> Result<()>,
) -> Result<()> {
    match meaning {
        Meaning::Decimal(scale) => sink.float(decimal(big_endian(bytes)?, scale)),
        Meaning::Half => match bytes {
            [low, high] => sink.float(half(u16::from_le_bytes([*low, *high]))),
            _ => return Err(damaged("a 16-bit number has another length")),
        },
        _ => return utf8(bytes, sink),
    }
    Ok(())
}

/// A decimal as the nearest double.
fn decimal(unscaled: i128, scale: i32) -> f64 {
    const EXACT: u128 = 1 << 53;
    if unscaled.unsigned_abs() <= EXACT && (0..=22).contains(&scale) {
        // Both are exact, so that the division rounds once.
        return unscaled as f64 / 10_f64.powi(scale);
    }
    format!("{unscaled}e{}", -i64::from(scale))
        .parse()
        .unwrap_or(f64::NAN)
}

/// A signed big-endian whole number of 16 bytes at most, which is 38 digits.
fn big_endian(bytes: &[u8]) -> Result<i128> {
    let mut whole = [match bytes.first() {
        Some(0x80..) => 0xff,
        _ => 0,
    }; 16];
    let start = whole
        .len()
        .checked_sub(bytes.len())
        .ok_or_else(|| damaged("a decimal has more than 38 digits"))?;
    whole[start..].copy_from_slice(bytes);
    Ok(i128::from_be_bytes(whole))
}

/// An IEEE 754 number of 16 bits.
pub(crate) fn half(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from((bits >> 10) & 0x1f);
    let fraction = f64::from(bits & 0x3ff);
    match exponent {
        0 => sign * fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => sign * f64::INFINITY,
        31 => f64::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2_f64.powi(exponent - 15),
    }
}

/// Reads a flat column to its end; `put` gets each value that is there.
fn drain<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    sink: &mut Sink,
    mut put: impl FnMut(&T::T, &mut Sink) -> Result<()>,
) -> Result<()> {
    let mut levels = Vec::new();
    let mut values = Vec::new();
    loop {
        levels.clear();
        values.clear();
        let (records, ..) = reader
            .read_records(BATCH, Some(&mut levels), None, &mut values)
            .map_err(damaged)?;
        if records == 0 {
            return Ok(());
        }
        if levels.is_empty() {
            for value in &values {
                put(value, sink)?;
            }
            continue;
        }
        let mut present = values.iter();
        for &level in &levels {
            if level == 0 {
                sink.missing();
            } else {
                let value = present
                    .next()
                    .ok_or_else(|| damaged("fewer values than it declares"))?;
                put(value, sink)?;
            }
        }
    }
}

/// A column of lists of numbers, all of one length and without gaps.
fn read_list(
    file: &Bytes,
    metadata: &ParquetMetaData,
    leaf: usize,
    rows: usize,
) -> Result<RawValues> {
    let descriptor = metadata.file_metadata().schema_descr().column(leaf);
    let meaning = meaning_of(&descriptor)?;
    let bytes = matches!(
        descriptor.logical_type_ref(),
        Some(LogicalType::Integer(integer)) if integer.bit_width == 8 && !integer.is_signed
    ) || descriptor.converted_type() == ConvertedType::UINT_8;
    let mut list = Lists {
        full: descriptor.max_def_level(),
        width: 0,
        current: 0,
        row: 0,
        values: Vec::new(),
    };
    for group in 0..metadata.num_row_groups() {
        match open_chunk(file, metadata, group, leaf)? {
            ColumnReader::Int32ColumnReader(reader) => {
                list.drain(reader, |&value| match meaning {
                    Meaning::Decimal(scale) => decimal(i128::from(value), scale),
                    Meaning::Unsigned32 => f64::from(value.cast_unsigned()),
                    _ => f64::from(value),
                })?;
            }
            ColumnReader::Int64ColumnReader(reader) => {
                list.drain(reader, |&value| match meaning {
                    Meaning::Decimal(scale) => decimal(i128::from(value), scale),
                    Meaning::Unsigned64 => value.cast_unsigned() as f64,
                    _ => value as f64,
                })?;
            }
            ColumnReader::FloatColumnReader(reader) => {
                list.drain(reader, |&value| f64::from(value))?;
            }
            ColumnReader::DoubleColumnReader(reader) => list.drain(reader, |&value| value)?,
            ColumnReader::BoolColumnReader(reader) => {
                list.drain(reader, |&value| f64::from(u8::from(value)))?;
            }
            _ => {
                return Err(Error::input("the lists do not hold numbers").hint(format!(
                    "leave the column out with --drop {}",
                    descriptor.path().parts()[0]
                )));
            }
        }
    }
    list.close_row()?;
    if list.row != rows {
        return Err(damaged(format!("{} lists for {rows} rows", list.row)));
    }
    Ok(RawValues::List {
        width: list.width,
        values: list.values,
        bytes,
    })
}

/// Lists as they come in.
struct Lists {
    /// The definition level of a value that is there.
    full: i16,
    width: usize,
    current: usize,
    /// Rows that are closed.
    row: usize,
    values: Vec<f32>,
}

impl Lists {
    fn drain<T: DataType>(
        &mut self,
        mut reader: ColumnReaderImpl<T>,
        number: impl Fn(&T::T) -> f64,
    ) -> Result<()> {
        let (mut definition, mut repetition) = (Vec::new(), Vec::new());
        let mut values = Vec::new();
        loop {
            definition.clear();
            repetition.clear();
            values.clear();
            let (records, ..) = reader
                .read_records(
                    LIST_BATCH,
                    Some(&mut definition),
                    Some(&mut repetition),
                    &mut values,
                )
                .map_err(damaged)?;
            if records == 0 {
                return Ok(());
            }
            let mut present = values.iter();
            for (index, &level) in repetition.iter().enumerate() {
                if level == 0 && (self.row > 0 || self.current > 0) {
                    self.close_row()?;
                }
                let here = definition.get(index).is_none_or(|&d| d == self.full);
                let value = present.next().filter(|_| here).ok_or_else(|| {
                    Error::input("a list, or a value in it, is missing")
                        .at(format!("row {}", self.row + 1))
                        .hint("give every record a list of the same length, without gaps")
                })?;
                let exact = number(value);
                let value = exact as f32;
                if !value.is_finite() {
                    let message = if exact.is_finite() {
                        format!("the value `{}` is too large for float32", shown(exact))
                    } else {
                        format!("the value `{exact}` is not finite")
                    };
                    return Err(Error::input(message)
                        .at(format!(
                            "row {}, position {}",
                            self.row + 1,
                            self.current + 1
                        ))
                        .hint("mend the value, or leave the column out with --drop"));
                }
                self.values.push(value);
                self.current += 1;
            }
        }
    }

    fn close_row(&mut self) -> Result<()> {
        if self.row == 0 {
            self.width = self.current;
        }
        if self.current != self.width || self.width == 0 {
            return Err(Error::input(format!(
                "the list has {} values, where the first row has {}",
                self.current, self.width
            ))
            .at(format!("row {}", self.row + 1))
            .hint("only lists of one length can be features"));
        }
        self.row += 1;
        self.current = 0;
        Ok(())
    }
}
