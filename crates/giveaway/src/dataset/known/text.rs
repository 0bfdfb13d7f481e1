//! Text of numbers, a record per line, separated by commas, as the privacytrustlab collection
//! publishes it: no header, every row of one length.

use std::io::{BufRead, BufReader, Read};

use crate::{Error, Result};

/// What was read: classes, where they lead the rows, and features, record by record.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Rows {
    pub(super) labels: Vec<i64>,
    pub(super) values: Vec<f32>,
}

/// How the rows are to look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Whether a row begins with its class.
    pub(super) labelled: bool,
    /// Features of a row.
    pub(super) features: usize,
    /// Rows that there must be.
    pub(super) records: usize,
}

/// Longest number in characters, with its comma.
const LONGEST_NUMBER: usize = 40;

/// Reads rows until the end of the text.
///
/// # Errors
/// If a row is longer or shorter, a value no finite number, or the number of rows another.
pub(super) fn read(text: &mut dyn Read, layout: Layout) -> Result<Rows> {
    let Layout {
        labelled,
        features,
        records,
    } = layout;
    let width = features + usize::from(labelled);
    let longest = (width * LONGEST_NUMBER + 2) as u64;
    let mut text = BufReader::with_capacity(1 << 16, text);
    let mut rows = Rows::default();
    let mut line = Vec::new();
    let mut count = 0_usize;
    loop {
        line.clear();
        let length = text
            .by_ref()
            .take(longest)
            .read_until(b'\n', &mut line)
            .map_err(|e| {
                Error::input(format!("the file is damaged or cut off: {e}"))
                    .hint("copy or download the file again")
            })?;
        if length == 0 {
            break;
        }
        let content = line.trim_ascii();
        if content.is_empty() {
            continue;
        }
        count += 1;
        if count > records {
            return Err(other_count(&format!("more than {records}"), records));
        }
        let place = |error: Error| error.at(format!("row {count}"));
        row(content, width, labelled, &mut rows).map_err(place)?;
    }
    if count != records {
        return Err(other_count(&count.to_string(), records));
    }
    Ok(rows)
}

fn other_count(count: &str, records: usize) -> Error {
    Error::input(format!(
        "there are {count} records, and {records} are published"
    ))
    .hint("see whether the file was copied or downloaded whole")
}

fn row(content: &[u8], width: usize, labelled: bool, rows: &mut Rows) -> Result<()> {
    let mut columns = 0;
    for (index, field) in content.split(|&byte| byte == b',').enumerate() {
        columns += 1;
        if columns > width {
            break;
        }
        let field = field.trim_ascii();
        let field = match field {
            [b'"', inner @ .., b'"'] => inner,
            _ => field,
        };
        let value = match field {
            // Nearly all of the text.
            [b'0'] => 0.0,
            [b'1'] => 1.0,
            _ => std::str::from_utf8(field)
                .ok()
                .and_then(|text| text.parse::<f32>().ok())
                .filter(|value| value.is_finite())
                .ok_or_else(|| {
                    let shown: String = String::from_utf8_lossy(field).chars().take(40).collect();
                    Error::input(format!("`{shown}` is no number"))
                        .at(format!("column {}", index + 1))
                        .hint("give the file as published: numbers separated by commas, without a header")
                })?,
        };
        if labelled && index == 0 {
            if value.fract() != 0.0 || value.abs() > 1e6 {
                return Err(Error::input(format!("{value} is no number of a class"))
                    .at("column 1")
                    .hint("the first column must hold the class, from 1"));
            }
            rows.labels.push(value as i64);
        } else {
            rows.values.push(value);
        }
    }
    if columns != width {
        let found = if columns > width {
            format!("more than {width}")
        } else {
            columns.to_string()
        };
        return Err(Error::input(format!(
            "the row has {found} columns, where {width} are published"
        ))
        .hint("see whether the file was copied or downloaded whole"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: Layout = Layout {
        labelled: true,
        features: 2,
        records: 3,
    };

    fn refusal(text: &str) -> String {
        read(&mut text.as_bytes(), THREE).unwrap_err().to_string()
    }

    #[test]
    fn the_class_leads_and_quotes_and_blanks_mean_nothing() {
        let rows = read(&mut &b"3,0,1\n\"1\",1, 0\r\n2,0.5,1e1\n\n"[..], THREE).unwrap();
        assert_eq!(rows.labels, [3, 1, 2]);
        assert_eq!(rows.values, [0.0, 1.0, 1.0, 0.0, 0.5, 10.0]);
    }

    #[test]
    fn other_text_is_refused_with_its_place() {
        for (text, said) in [
            ("1,0,1\n2,0,1\n", "there are 2 records"),
            ("1,0,1\n2,0,1\n3,0,0\n4,0,0\n", "more than 3"),
            ("1,0,1\n2,0\n3,0,0\n", "row 2"),
            ("1,0,1\n2,0,1,1\n3,0,0\n", "more than 3 columns"),
            ("1,0,1\n2,x,1\n3,0,0\n", "row 2, column 2"),
            ("1,0,1\n2,nan,1\n3,0,0\n", "no number"),
            ("1.5,0,1\n2,0,1\n3,0,0\n", "column 1"),
            ("", "there are 0 records"),
        ] {
            assert!(refusal(text).contains(said), "{text:?}: {}", refusal(text));
        }
        // A line without an end is not held in memory.
        let endless = "0".repeat(10_000);
        assert!(refusal(&endless).contains("columns") || refusal(&endless).contains("number"));
    }
}
