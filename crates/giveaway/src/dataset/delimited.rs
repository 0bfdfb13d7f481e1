//! Text tables: comma, semicolon, tabulator or bar between the values, quoted or not.

use super::assemble::{RawColumn, RawTable, RawValues, assemble};
use super::interning::Interner;
use super::table::{Table, TableOptions};
use crate::{Error, Result};

/// What may stand between values, the likelier first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Reads a text table.
pub(super) fn read(
    name: &str,
    content: &[u8],
    hash: blake3::Hash,
    options: &TableOptions,
) -> Result<Table> {
    let text = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let delimiter = options.delimiter.unwrap_or_else(|| sniff(text));
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        // Raggedness is reported here, with the row and both counts.
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(text);
    let mut record = csv::ByteRecord::new();
    let broken = |error: csv::Error| {
        Error::input(format!("not a text table: {error}"))
            .hint("give CSV with a header, Parquet, NPY, NPZ or IDX")
    };
    if !reader.read_byte_record(&mut record).map_err(broken)? {
        return Err(Error::input("the file is empty")
            .hint("give a table with a header and a row for each record"));
    }
    let mut names = Vec::with_capacity(record.len());
    for field in &record {
        let field = std::str::from_utf8(field).map_err(|_| not_utf8("the header"))?;
        names.push(field.trim().to_owned());
    }
    if let Some(index) = names.iter().position(String::is_empty) {
        // pandas writes its index under an empty name; numbering it is kinder than refusing.
        if names.iter().filter(|name| name.is_empty()).count() == 1 {
            names[index] = format!("unnamed column {}", index + 1);
        } else {
            return Err(
                Error::input(format!("column {} has no name in the header", index + 1))
                    .hint("give every column a name in the first row"),
            );
        }
    }
    let mut columns: Vec<Interner> = names.iter().map(|_| Interner::default()).collect();
    let mut lines: Vec<u64> = Vec::new();
    let mut counter = LineCounter::new(text);
    let mut ends_in_lines = false;
    while reader.read_byte_record(&mut record).map_err(broken)? {
        let line = counter.line_of(record.position().map_or(0, csv::Position::byte) as usize);
        let row = lines.len();
        if record.len() != names.len() {
            return Err(Error::input(format!(
                "expected {} values as in the header, found {}",
                names.len(),
                record.len()
            ))
            .at(place(row, line))
            .hint("mend the row: a value that contains the delimiter or a line break must stand in double quotes"));
        }
        for (index, (field, column)) in record.iter().zip(&mut columns).enumerate() {
            let field = std::str::from_utf8(field).map_err(|_| {
                not_utf8(&format!("{}, column `{}`", place(row, line), names[index]))
            })?;
            column.push(field);
        }
        ends_in_lines = record
            .iter()
            .next_back()
            .is_some_and(|field| field.contains(&b'\n'));
        lines.push(line);
    }
    // A quote that is never closed swallows the rest of the file into one value.
    if ends_in_lines && !text.trim_ascii_end().ends_with(b"\"") {
        return Err(Error::input("a quoted value is never closed")
            .at(place(
                lines.len() - 1,
                lines.last().copied().unwrap_or_default(),
            ))
            .hint("close the double quote, or double it if it is part of the value"));
    }
    let rows = lines.len();
    assemble(
        RawTable {
            name,
            columns: names
                .into_iter()
                .zip(columns)
                .map(|(name, column)| RawColumn {
                    name,
                    values: RawValues::Text(column.finish()),
                })
                .collect(),
            rows,
            place: &|row| place(row, lines.get(row).copied().unwrap_or_default()),
            content_hash: hash.to_hex().to_string(),
        },
        options,
    )
}

/// Counts lines as editors do: they end in `\n`, `\r\n` or `\r`, also within quotes. The
/// reader's own count is short of one where lines end in `\r\n` or are blank.
struct LineCounter<'a> {
    text: &'a [u8],
    /// How far lines are counted.
    at: usize,
    line: u64,
}

impl<'a> LineCounter<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            at: 0,
            line: 1,
        }
    }

    /// The line, counted from 1, of the record that the reader began to look for at `start`;
    /// starts never decrease.
    fn line_of(&mut self, start: usize) -> u64 {
        let text = self.text;
        // What ends the record before, and blank lines, are not of the record.
        while self.at < text.len() && (self.at < start || matches!(text[self.at], b'\n' | b'\r')) {
            let ends = match text[self.at] {
                b'\n' => true,
                b'\r' => text.get(self.at + 1) != Some(&b'\n'),
                _ => false,
            };
            self.line += u64::from(ends);
            self.at += 1;
        }
        self.line
    }
}

fn place(row: usize, line: u64) -> String {
    format!("row {} (line {line})", row + 1)
}

fn not_utf8(place: &str) -> Error {
    Error::input("the text is not UTF-8").at(place).hint(
        "convert the file, for example with: iconv -f WINDOWS-1252 -t UTF-8 OLD.csv > NEW.csv",
    )
}

/// The delimiter that the header uses most, outside quotes; a comma where it has none.
fn sniff(text: &[u8]) -> u8 {
    let mut counts = [0_usize; DELIMITERS.len()];
    let mut quoted = false;
    for &byte in text {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' | b'\r' if !quoted => break,
            _ if !quoted => {
                if let Some(index) = DELIMITERS.iter().position(|&delimiter| delimiter == byte) {
                    counts[index] += 1;
                }
            }
            _ => {}
        }
    }
    let mut best = 0;
    for index in 1..DELIMITERS.len() {
        if counts[index] > counts[best] {
            best = index;
        }
    }
    DELIMITERS[best]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delimiter_is_found_outside_quotes() {
        assert_eq!(sniff(b"a,b,c\n1;2;3;4;5"), b',');
        assert_eq!(sniff(b"\"a,b,c,d\";e;f\n"), b';');
        assert_eq!(sniff(b"a\tb\n"), b'\t');
        assert_eq!(sniff(b"a|b|c,d\n"), b'|');
        assert_eq!(sniff(b"alone\n"), b',');
    }
}
