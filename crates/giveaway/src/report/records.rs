//! `records.parquet`: one row per audited record.

use std::sync::Arc;

use parquet::basic::Compression;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;

use crate::error::{Error, Result};

/// A column to be written. `None`, and `NaN` among numbers, is null.
pub enum Values {
    /// Texts.
    Text(Vec<Option<String>>),
    /// Numbers.
    Number(Vec<f64>),
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
