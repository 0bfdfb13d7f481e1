//! Tables of a run directory as Parquet, such as `records.parquet`: written, and read back.

use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::Compression;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaData};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;

use crate::dataset::parquet_file::{damaged, guarded, open, open_chunk};
use crate::error::{Error, Result};

/// A column to be written, or that was read. `None`, and `NaN` among numbers, is null.
#[derive(Clone, Debug)]
pub enum Values {
    /// Texts.
    Text(Vec<Option<String>>),
    /// Numbers.
    Number(Vec<f64>),
    /// Numbers in single precision.
    Single(Vec<f32>),
    /// Whole numbers.
    Whole(Vec<Option<i64>>),
    /// Truth values.
    Truth(Vec<Option<bool>>),
}

/// A table as Parquet, with named columns and key-value metadata.
///
/// # Errors
/// If a name cannot stand in a Parquet schema, or columns differ in length.
pub fn to_parquet(columns: &[(String, Values)], metadata: &[(&str, String)]) -> Result<Vec<u8>> {
    let failed = |e: ParquetError| Error::unexpected(format!("cannot write Parquet: {e}"));
    let properties = Arc::new(
        WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("giveaway ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_key_value_metadata(Some(
                metadata
                    .iter()
                    .map(|(key, value)| KeyValue::new((*key).to_owned(), value.clone()))
                    .collect(),
            ))
            .build(),
    );
    let schema = Arc::new(schema(columns).map_err(failed)?);
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties).map_err(failed)?;
    let mut group = writer.next_row_group().map_err(failed)?;
    let mut next = 0;
    while let Some(mut column) = group.next_column().map_err(failed)? {
        match (&columns[next].1, column.untyped()) {
            (Values::Text(values), ColumnWriter::ByteArrayColumnWriter(writer)) => {
                let (present, levels) = split(values.iter().map(Option::as_deref));
                let bytes: Vec<ByteArray> = present.into_iter().map(ByteArray::from).collect();
                writer
                    .write_batch(&bytes, Some(&levels), None)
                    .map(drop)
                    .map_err(failed)?;
            }
            (Values::Number(values), ColumnWriter::DoubleColumnWriter(writer)) => {
                let (present, levels) = split(values.iter().map(|&v| (!v.is_nan()).then_some(v)));
                writer
                    .write_batch(&present, Some(&levels), None)
                    .map(drop)
                    .map_err(failed)?;
            }
            (Values::Single(values), ColumnWriter::FloatColumnWriter(writer)) => {
                let (present, levels) = split(values.iter().map(|&v| (!v.is_nan()).then_some(v)));
                writer
                    .write_batch(&present, Some(&levels), None)
                    .map(drop)
                    .map_err(failed)?;
            }
            (Values::Whole(values), ColumnWriter::Int64ColumnWriter(writer)) => {
                let (present, levels) = split(values.iter().copied());
                writer
                    .write_batch(&present, Some(&levels), None)
                    .map(drop)
                    .map_err(failed)?;
            }
            (Values::Truth(values), ColumnWriter::BoolColumnWriter(writer)) => {
                let (present, levels) = split(values.iter().copied());
                writer
                    .write_batch(&present, Some(&levels), None)
                    .map(drop)
                    .map_err(failed)?;
            }
            _ => {
                return Err(Error::unexpected(
                    "a Parquet column has another type than its schema",
                ));
            }
        }
        column.close().map_err(failed)?;
        next += 1;
    }
    group.close().map_err(failed)?;
    writer.into_inner().map_err(failed)
}

/// Values that are decoded at a time.
const BATCH: usize = 16_384;

/// A table may have this many values, and besides as many as [`VALUES_PER_BYTE`] for each byte
/// of its file: more would be no table of ours.
const ALWAYS_ALLOWED_VALUES: u64 = 1 << 27;
const VALUES_PER_BYTE: u64 = 64;

/// The texts of a column may come to this many bytes. In a hostile file one long text could
/// stand for millions.
const MOST_TEXT: usize = 1 << 30;

/// A table as [`to_parquet`] writes it, opened, its columns not yet read.
pub struct Table {
    file: Bytes,
    metadata: ParquetMetaData,
    rows: usize,
}

impl Table {
    /// Opens a table that lies in memory.
    ///
    /// # Errors
    /// If it is no Parquet file, damaged, or declares sizes that cannot be true.
    pub fn open(bytes: impl Into<Bytes>) -> Result<Self> {
        let file: Bytes = bytes.into();
        let (metadata, rows) = guarded(|| open(&file))?;
        let table = Self {
            file,
            metadata,
            rows,
        };
        let values = (table.columns() as u64).saturating_mul(rows as u64);
        let most = ALWAYS_ALLOWED_VALUES + VALUES_PER_BYTE * table.file.len() as u64;
        if values > most {
            return Err(damaged(format!(
                "it declares {values} values in {} bytes",
                table.file.len()
            )));
        }
        Ok(table)
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.fields().len()
    }

    fn fields(&self) -> &[Arc<parquet::schema::types::Type>] {
        self.metadata.file_metadata().schema().get_fields()
    }

    /// The name of a column.
    ///
    /// # Panics
    /// If there is no such column.
    #[must_use]
    pub fn name(&self, column: usize) -> &str {
        self.fields()[column].name()
    }

    /// The first column of this name.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.fields().iter().position(|field| field.name() == name)
    }

    /// Reads a column. Texts are as they were written: nothing is trimmed, and none stands for
    /// a missing value. Missing numbers are `NaN`.
    ///
    /// # Errors
    /// If it is damaged, or of a type that [`to_parquet`] does not write.
    ///
    /// # Panics
    /// If there is no such column.
    pub fn column(&self, column: usize) -> Result<Values> {
        guarded(|| self.read(column)).map_err(|e| e.at(format!("column `{}`", self.name(column))))
    }

    fn read(&self, column: usize) -> Result<Values> {
        if self.fields().iter().any(|field| !field.is_primitive()) {
            return Err(foreign("nested columns"));
        }
        let descriptor = self.metadata.file_metadata().schema_descr().column(column);
        if descriptor.max_rep_level() > 0 || descriptor.max_def_level() > 1 {
            return Err(foreign("a column of lists"));
        }
        let mut values = match descriptor.physical_type() {
            parquet::basic::Type::BYTE_ARRAY => Values::Text(Vec::new()),
            parquet::basic::Type::DOUBLE => Values::Number(Vec::new()),
            parquet::basic::Type::FLOAT => Values::Single(Vec::new()),
            parquet::basic::Type::INT64 => Values::Whole(Vec::new()),
            parquet::basic::Type::BOOLEAN => Values::Truth(Vec::new()),
            other => return Err(foreign(&format!("a column of type {other}"))),
        };
        for group in 0..self.metadata.num_row_groups() {
            let reader = open_chunk(&self.file, &self.metadata, group, column)?;
            match (&mut values, reader) {
                (Values::Text(texts), ColumnReader::ByteArrayColumnReader(reader)) => {
                    let mut bytes: usize = texts.iter().flatten().map(String::len).sum();
                    drain(reader, |value| {
                        let text = value.map(|value| text(value, &mut bytes)).transpose()?;
                        texts.push(text);
                        Ok(())
                    })?;
                }
                (Values::Number(numbers), ColumnReader::DoubleColumnReader(reader)) => {
                    drain(reader, |value| {
                        numbers.push(value.copied().unwrap_or(f64::NAN));
                        Ok(())
                    })?;
                }
                (Values::Single(numbers), ColumnReader::FloatColumnReader(reader)) => {
                    drain(reader, |value| {
                        numbers.push(value.copied().unwrap_or(f32::NAN));
                        Ok(())
                    })?;
                }
                (Values::Whole(numbers), ColumnReader::Int64ColumnReader(reader)) => {
                    drain(reader, |value| {
                        numbers.push(value.copied());
                        Ok(())
                    })?;
                }
                (Values::Truth(truths), ColumnReader::BoolColumnReader(reader)) => {
                    drain(reader, |value| {
                        truths.push(value.copied());
                        Ok(())
                    })?;
                }
                _ => return Err(damaged("a column has another type than its schema")),
            }
        }
        if values.len() != self.rows {
            return Err(damaged(format!(
                "{} values for {} rows",
                values.len(),
                self.rows
            )));
        }
        Ok(values)
    }
}

impl Values {
    /// Number of values, the missing ones among them.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(values) => values.len(),
            Self::Number(values) => values.len(),
            Self::Single(values) => values.len(),
            Self::Whole(values) => values.len(),
            Self::Truth(values) => values.len(),
        }
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Reads a table as [`to_parquet`] writes it: the columns in their order.
///
/// # Errors
/// As [`Table::open`] and [`Table::column`].
pub fn from_parquet(bytes: impl Into<Bytes>) -> Result<Vec<(String, Values)>> {
    let table = Table::open(bytes)?;
    (0..table.columns())
        .map(|column| Ok((table.name(column).to_owned(), table.column(column)?)))
        .collect()
}

fn foreign(what: &str) -> Error {
    Error::input(format!(
        "the Parquet file is none of giveaway's: it has {what}"
    ))
    .hint("name the directory of a run; run the audit again if the file was changed")
}

fn text(value: &ByteArray, bytes: &mut usize) -> Result<String> {
    *bytes += value.len();
    if *bytes > MOST_TEXT {
        return Err(damaged("its texts come to more than 1 GiB"));
    }
    String::from_utf8(value.data().to_vec()).map_err(|_| damaged("a text is not UTF-8"))
}

/// Reads a flat column to its end; `put` gets each value, or nothing where it is missing.
fn drain<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    mut put: impl FnMut(Option<&T::T>) -> Result<()>,
) -> Result<()> {
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    loop {
        levels.clear();
        values.clear();
        let (records, ..) = reader
            .read_records(BATCH, Some(&mut levels), None, &mut values)
            .map_err(damaged)?;
        if records == 0 {
            return Ok(());
        }
        let mut present = values.iter();
        if levels.is_empty() {
            present.try_for_each(|value| put(Some(value)))?;
            continue;
        }
        for &level in &levels {
            let value = if level == 0 {
                None
            } else {
                let value = present.next();
                Some(value.ok_or_else(|| damaged("fewer values than it declares"))?)
            };
            put(value)?;
        }
    }
}

fn split<T>(values: impl Iterator<Item = Option<T>>) -> (Vec<T>, Vec<i16>) {
    let mut present = Vec::new();
    let levels = values
        .map(|value| match value {
            Some(value) => {
                present.push(value);
                1
            }
            None => 0,
        })
        .collect();
    (present, levels)
}

fn schema(columns: &[(String, Values)]) -> parquet::errors::Result<parquet::schema::types::Type> {
    use parquet::basic::{LogicalType, Repetition, Type as Physical};
    use parquet::schema::types::Type;
    // Column names are the user's: they go in as they are, not through the text parser.
    let fields = columns
        .iter()
        .map(|(name, values)| {
            let physical = match values {
                Values::Text(_) => Physical::BYTE_ARRAY,
                Values::Number(_) => Physical::DOUBLE,
                Values::Single(_) => Physical::FLOAT,
                Values::Whole(_) => Physical::INT64,
                Values::Truth(_) => Physical::BOOLEAN,
            };
            let logical = matches!(values, Values::Text(_)).then_some(LogicalType::String);
            Type::primitive_type_builder(name, physical)
                .with_logical_type(logical)
                .with_repetition(Repetition::OPTIONAL)
                .build()
                .map(Arc::new)
        })
        .collect::<parquet::errors::Result<Vec<_>>>()?;
    Type::group_type_builder("records")
        .with_fields(fields)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn same(a: &Values, b: &Values) -> bool {
        match (a, b) {
            (Values::Text(a), Values::Text(b)) => a == b,
            (Values::Number(a), Values::Number(b)) => {
                a.len() == b.len()
                    && a.iter()
                        .zip(b)
                        .all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan())
            }
            (Values::Single(a), Values::Single(b)) => {
                a.len() == b.len()
                    && a.iter()
                        .zip(b)
                        .all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan())
            }
            (Values::Whole(a), Values::Whole(b)) => a == b,
            (Values::Truth(a), Values::Truth(b)) => a == b,
            _ => false,
        }
    }

    fn values(rows: usize) -> impl Strategy<Value = Values> {
        let text = prop_oneof![
            Just(None),
            Just(Some(String::new())),
            Just(Some(" NA ".to_owned())),
            "\\PC{0,8}".prop_map(Some),
        ];
        prop_oneof![
            prop::collection::vec(text, rows).prop_map(Values::Text),
            prop::collection::vec(prop_oneof![any::<f64>(), Just(f64::NAN), Just(-0.0)], rows)
                .prop_map(Values::Number),
            prop::collection::vec(prop_oneof![any::<f32>(), Just(f32::NAN), Just(-0.0)], rows)
                .prop_map(Values::Single),
            prop::collection::vec(any::<Option<i64>>(), rows).prop_map(Values::Whole),
            prop::collection::vec(any::<Option<bool>>(), rows).prop_map(Values::Truth),
        ]
    }

    fn tables() -> impl Strategy<Value = Vec<(String, Values)>> {
        (0..60_usize)
            .prop_flat_map(|rows| prop::collection::vec(("[a-z.<é \"]{1,6}", values(rows)), 1..5))
    }

    proptest! {
        #[test]
        fn what_is_written_comes_back(table in tables()) {
            let bytes = to_parquet(&table, &[("key", "value".to_owned())]).unwrap();
            let back = from_parquet(bytes).unwrap();
            prop_assert_eq!(back.len(), table.len());
            for ((name, values), (back_name, back_values)) in table.iter().zip(&back) {
                prop_assert_eq!(name, back_name);
                prop_assert!(same(values, back_values), "{:?} {:?}", values, back_values);
            }
        }

        /// Damage gives an error or a table, and never a panic.
        #[test]
        fn damage_is_no_panic(
            table in tables(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            cut in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let mut bytes = to_parquet(&table, &[]).unwrap();
            for (index, byte) in changes {
                let index = index.index(bytes.len());
                bytes[index] = byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            if let Err(error) = from_parquet(bytes) {
                prop_assert!(error.hint_text().is_some(), "{}", error);
            }
        }
    }

    #[test]
    fn many_rows_come_back() {
        let rows = 3 * BATCH + 7;
        let table = vec![
            (
                "text".to_owned(),
                Values::Text(
                    (0..rows)
                        .map(|i| (i % 7 > 0).then(|| format!("{i}")))
                        .collect(),
                ),
            ),
            (
                "same".to_owned(),
                Values::Text(vec![Some("x".repeat(50)); rows]),
            ),
            (
                "number".to_owned(),
                Values::Number((0..rows).map(|i| (i as f64).sqrt()).collect()),
            ),
        ];
        let back = from_parquet(to_parquet(&table, &[]).unwrap()).unwrap();
        assert!(
            table
                .iter()
                .zip(&back)
                .all(|(a, b)| a.0 == b.0 && same(&a.1, &b.1))
        );
    }

    #[test]
    fn other_files_are_told() {
        for bytes in [&b""[..], b"PAR1", b"id,class\n1,a\n", &[0; 64]] {
            let error = from_parquet(bytes.to_vec()).unwrap_err();
            assert!(error.hint_text().is_some(), "{error}");
        }
        // A column of INT32, which is none of the types that are written here.
        let schema =
            parquet::schema::parser::parse_message_type("message m { required int32 a; }").unwrap();
        let mut writer = SerializedFileWriter::new(
            Vec::new(),
            Arc::new(schema),
            Arc::new(WriterProperties::builder().build()),
        )
        .unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column
            .typed::<parquet::data_type::Int32Type>()
            .write_batch(&[1, 2], None, None)
            .unwrap();
        column.close().unwrap();
        group.close().unwrap();
        let error = from_parquet(writer.into_inner().unwrap()).unwrap_err();
        assert!(error.to_string().contains("none of giveaway's"), "{error}");
        assert!(error.to_string().contains("column `a`"), "{error}");
    }
}
