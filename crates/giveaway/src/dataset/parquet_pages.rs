//! Pages of a Parquet column, with zstd undone in pure Rust.
//!
//! The parquet crate's own zstd is C and stays off. [`Pages`] has the crate hand out the
//! pages as they are stored, by telling it that they are not compressed, and decompresses
//! them itself. It also refuses, for every codec, pages whose declared sizes would make the
//! crate reserve memory out of proportion to the file.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, CompressionCodec, Encoding, Type as PhysicalType};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::serialized_reader::SerializedPageReader;

/// The largest page that is decompressed, in bytes; writers make pages of about a million.
const LARGEST_PAGE: u64 = 1 << 30;

/// The pages of one column chunk.
pub(super) struct Pages {
    inner: SerializedPageReader<Bytes>,
    zstd: bool,
    /// Bytes that may yet come out of the decompressor, as the file declares.
    budget: u64,
    /// Values that may yet come, as the file declares.
    values_left: u64,
    /// The fewest bytes that a plainly stored value takes.
    plain_bytes: u64,
    /// The highest repetition and definition levels.
    levels: (i16, i16),
}

impl Pages {
    /// The pages of a chunk that lies in `file`.
    pub(super) fn new(file: &Bytes, chunk: &ColumnChunkMetaData, rows: usize) -> Result<Self> {
        let zstd = chunk.compression_codec() == CompressionCodec::ZSTD;
        let file = Arc::new(file.clone());
        let inner = if zstd {
            let as_stored = chunk
                .clone()
                .into_builder()
                .set_compression(Compression::UNCOMPRESSED)
                .build()?;
            SerializedPageReader::new(file, &as_stored, rows, None)?
        } else {
            SerializedPageReader::new(file, chunk, rows, None)?
        };
        Ok(Self {
            inner,
            zstd,
            budget: u64::try_from(chunk.uncompressed_size()).unwrap_or_default(),
            values_left: u64::try_from(chunk.num_values()).unwrap_or_default(),
            levels: (
                chunk.column_descr().max_rep_level(),
                chunk.column_descr().max_def_level(),
            ),
            plain_bytes: match chunk.column_type() {
                PhysicalType::BOOLEAN => 0,
                PhysicalType::INT32 | PhysicalType::FLOAT | PhysicalType::BYTE_ARRAY => 4,
                PhysicalType::INT64 | PhysicalType::DOUBLE => 8,
                PhysicalType::INT96 => 12,
                PhysicalType::FIXED_LEN_BYTE_ARRAY => {
                    u64::try_from(chunk.column_descr().type_length()).unwrap_or_default()
                }
            },
        })
    }

    fn check(&mut self, page: &Page) -> Result<()> {
        let values = u64::from(page.num_values());
        if page.is_dictionary_page() {
            if values.saturating_mul(self.plain_bytes) > page.buffer().len() as u64 {
                return Err(damaged("a dictionary declares more values than it holds"));
            }
            return Ok(());
        }
        self.values_left = self
            .values_left
            .checked_sub(values)
            .ok_or_else(|| damaged("the pages hold more values than the file declares"))?;
        check_deltas(page, self.levels)
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let Some(mut page) = self.inner.get_next_page()? else {
            return Ok(None);
        };
        if self.zstd {
            match &mut page {
                Page::DataPage { buf, .. } | Page::DictionaryPage { buf, .. } => {
                    *buf = inflate(buf, 0, &mut self.budget)?;
                }
                Page::DataPageV2 {
                    buf,
                    def_levels_byte_len,
                    rep_levels_byte_len,
                    is_compressed,
                    ..
                } => {
                    // In these pages the levels at the head are never compressed.
                    if *is_compressed {
                        let levels = *def_levels_byte_len as usize + *rep_levels_byte_len as usize;
                        *buf = inflate(buf, levels, &mut self.budget)?;
                    }
                }
            }
        }
        self.check(&page)?;
        Ok(Some(page))
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.inner.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.inner.skip_next_page()
    }
}

/// Decompresses what follows the first `stored` bytes, which are kept as they are.
/// What comes out is taken from the budget, and at most that.
fn inflate(buffer: &Bytes, stored: usize, budget: &mut u64) -> Result<Bytes> {
    if stored > buffer.len() {
        return Err(damaged("the levels of a page are longer than the page"));
    }
    let (head, compressed) = buffer.split_at(stored);
    let mut page = head.to_vec();
    // Frames may follow one another; an empty rest is a page without values.
    let mut rest = compressed;
    while !rest.is_empty() {
        let limit = (*budget).min(LARGEST_PAGE) + 1;
        let mut decoder = ruzstd::decoding::StreamingDecoder::new(&mut rest)
            .map_err(|error| damaged(&format!("zstd: {error}")))?;
        let before = page.len();
        decoder
            .by_ref()
            .take(limit)
            .read_to_end(&mut page)
            .map_err(|error| damaged(&format!("zstd: {error}")))?;
        let produced = (page.len() - before) as u64;
        if produced >= limit {
            return Err(damaged(
                "a page is larger than the file declares, or than 1 GiB",
            ));
        }
        *budget -= produced;
    }
    Ok(page.into())
}

fn damaged(what: &str) -> ParquetError {
    ParquetError::General(what.to_owned())
}

/// Refuses delta-encoded pages that declare more values than the page has, since the crate
/// reserves room for as many as they declare.
fn check_deltas(page: &Page, (repetition, definition): (i16, i16)) -> Result<()> {
    let encoding = page.encoding();
    if !matches!(
        encoding,
        Encoding::DELTA_BINARY_PACKED
            | Encoding::DELTA_LENGTH_BYTE_ARRAY
            | Encoding::DELTA_BYTE_ARRAY
    ) {
        return Ok(());
    }
    let mut deltas = Deltas {
        rest: page.buffer(),
    };
    match page {
        Page::DataPageV2 {
            def_levels_byte_len,
            rep_levels_byte_len,
            ..
        } => deltas.bytes(u64::from(*def_levels_byte_len) + u64::from(*rep_levels_byte_len))?,
        _ => {
            // In these pages the length of the levels stands before them.
            for level in [repetition, definition] {
                if level > 0 {
                    let length = deltas.length()?;
                    deltas.bytes(length)?;
                }
            }
        }
    }
    let values = u64::from(page.num_values());
    // A page of missing values only has nothing after its levels.
    if deltas.rest.is_empty() {
        return Ok(());
    }
    deltas.run(values)?;
    if encoding == Encoding::DELTA_BYTE_ARRAY {
        deltas.run(values)?;
    }
    Ok(())
}

/// Walks over runs of delta-encoded numbers without decoding them.
struct Deltas<'a> {
    rest: &'a [u8],
}

impl Deltas<'_> {
    fn bytes(&mut self, count: u64) -> Result<()> {
        self.rest = usize::try_from(count)
            .ok()
            .and_then(|count| self.rest.get(count..))
            .ok_or_else(|| damaged("a page is cut off"))?;
        Ok(())
    }

    fn length(&mut self) -> Result<u64> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<4>()
            .ok_or_else(|| damaged("a page is cut off"))?;
        self.rest = rest;
        Ok(u64::from(u32::from_le_bytes(*head)))
    }

    fn number(&mut self) -> Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self
                .rest
                .split_first()
                .ok_or_else(|| damaged("a page is cut off"))?;
            self.rest = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(damaged("a number is too long"))
    }

    /// One run: block size, blocks' parts, count, first value, then blocks of differences.
    fn run(&mut self, most: u64) -> Result<()> {
        const LARGEST_BLOCK: u64 = 1 << 20;
        let (block, parts, count) = (self.number()?, self.number()?, self.number()?);
        self.number()?;
        if count > most {
            return Err(damaged("a page declares more values than it has"));
        }
        if block > LARGEST_BLOCK || parts == 0 || parts > block || block % parts != 0 {
            return Err(damaged("a page has blocks of an impossible size"));
        }
        let part = block / parts;
        let mut left = count.saturating_sub(1);
        while left > 0 {
            self.number()?;
            let widths = self
                .rest
                .get(..parts as usize)
                .ok_or_else(|| damaged("a page is cut off"))?
                .to_vec();
            self.bytes(parts)?;
            for width in widths {
                if left == 0 {
                    break;
                }
                self.bytes(part * u64::from(width) / 8)?;
                left = left.saturating_sub(part);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    #[test]
    fn what_a_page_expands_to_is_bounded_by_the_declared_size() {
        let zeros = vec![0_u8; 5_000_000];
        let mut stored = b"levels".to_vec();
        stored.extend(compress_to_vec(zeros.as_slice(), CompressionLevel::Fastest));
        let stored = Bytes::from(stored);
        let mut budget = 5_000_000;
        let page = inflate(&stored, 6, &mut budget).unwrap();
        assert_eq!(
            (page.len(), &page[..6], budget),
            (5_000_006, &b"levels"[..], 0)
        );
        let error = inflate(&stored, 6, &mut 4_999_999).unwrap_err();
        assert!(error.to_string().contains("larger than the file declares"));
        assert!(inflate(&stored, stored.len() + 1, &mut 10).is_err());
        // A page of missing values has nothing after its levels.
        assert_eq!(
            inflate(&stored.slice(..6), 6, &mut 0).unwrap(),
            b"levels"[..]
        );
    }

    #[test]
    fn runs_of_deltas_may_not_declare_more_values_than_the_page() {
        // Blocks of 128 in 4 parts; 5 values; first 0; smallest difference 1; no bits needed.
        let run = [0x80, 0x01, 4, 5, 0, 2, 0, 0, 0, 0, 9];
        let mut deltas = Deltas { rest: &run };
        deltas.run(5).unwrap();
        assert_eq!(deltas.rest, [9]);
        assert!(Deltas { rest: &run }.run(4).is_err());
        // A count of 2^62 or so.
        let hostile = [
            0x80, 0x01, 4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0,
        ];
        assert!(Deltas { rest: &hostile }.run(1000).is_err());
    }
}
