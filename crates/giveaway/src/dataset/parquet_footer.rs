//! A look at a Parquet file's footer before the parquet crate reads it.
//!
//! The crate reserves room for as many row groups as the footer declares, which in a hostile
//! file would abort the process. Here the footer (a struct in Thrift's compact protocol) is
//! walked once: a list cannot have more members than there are bytes left.

use crate::dataset::parquet_file::damaged;
use crate::{Error, Result};

/// Deeper than this no real footer is nested.
const DEEPEST: u32 = 24;

/// Refuses a file whose footer is cut off or holds a list longer than itself.
pub(super) fn check(file: &[u8]) -> Result<()> {
    let Some((before, &[a, b, c, d, b'P', b'A', b'R', b'1'])) = file.split_last_chunk::<8>() else {
        return Err(damaged(
            "its end is missing (it does not end with PAR1), so it was probably cut off",
        ));
    };
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    let start = before
        .len()
        .checked_sub(length)
        .ok_or_else(|| damaged("its footer is longer than the file"))?;
    let mut walk = Walk {
        rest: &before[start..],
    };
    walk.skip(STRUCT, DEEPEST)
}

const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
const STRUCT: u8 = 12;

struct Walk<'a> {
    rest: &'a [u8],
}

impl Walk<'_> {
    fn cut_off() -> Error {
        damaged("its footer is cut off")
    }

    fn byte(&mut self) -> Result<u8> {
        let (&first, rest) = self.rest.split_first().ok_or_else(Self::cut_off)?;
        self.rest = rest;
        Ok(first)
    }

    fn bytes(&mut self, count: u64) -> Result<()> {
        let count = usize::try_from(count).map_err(|_| Self::cut_off())?;
        self.rest = self.rest.get(count..).ok_or_else(Self::cut_off)?;
        Ok(())
    }

    /// A whole number in groups of seven bits, the lowest first.
    fn number(&mut self) -> Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(damaged("a number in its footer is too long"))
    }

    fn skip(&mut self, kind: u8, depth: u32) -> Result<()> {
        if depth == 0 {
            return Err(damaged("its footer is nested too deeply"));
        }
        match kind {
            1 | 2 => Ok(()),
            3 => self.bytes(1),
            4..=6 => self.number().map(|_| ()),
            7 => self.bytes(8),
            BINARY => {
                let length = self.number()?;
                self.bytes(length)
            }
            LIST | SET => self.skip_list(depth),
            MAP => {
                let count = self.number()?;
                if count > self.rest.len() as u64 {
                    return Err(Self::cut_off());
                }
                let kinds = if count > 0 { self.byte()? } else { 0 };
                for _ in 0..count {
                    self.skip_member(kinds >> 4, depth)?;
                    self.skip_member(kinds & 0x0f, depth)?;
                }
                Ok(())
            }
            STRUCT => loop {
                let field = self.byte()?;
                let kind = field & 0x0f;
                if kind == 0 {
                    return Ok(());
                }
                // Without a difference to the last field, the field's number follows.
                if field >> 4 == 0 {
                    self.number()?;
                }
                self.skip(kind, depth - 1)?;
            },
            _ => Err(damaged("its footer holds a type that does not exist")),
        }
    }

    fn skip_list(&mut self, depth: u32) -> Result<()> {
        let head = self.byte()?;
        let count = match head >> 4 {
            15 => self.number()?,
            short => u64::from(short),
        };
        // Each member takes a byte at least.
        if count > self.rest.len() as u64 {
            return Err(damaged("a list in its footer is longer than the footer"));
        }
        for _ in 0..count {
            self.skip_member(head & 0x0f, depth)?;
        }
        Ok(())
    }

    /// A member of a list, set or map: a truth value takes a byte there.
    fn skip_member(&mut self, kind: u8, depth: u32) -> Result<()> {
        match kind {
            1 | 2 => self.bytes(1),
            kind => self.skip(kind, depth - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_footer(footer: &[u8]) -> Vec<u8> {
        let mut file = b"PAR1".to_vec();
        file.extend(footer);
        file.extend((footer.len() as u32).to_le_bytes());
        file.extend(b"PAR1");
        file
    }

    #[test]
    fn a_list_longer_than_the_footer_is_refused() {
        // Field 4, a list of two billion structs.
        let hostile = with_footer(&[0x49, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07, 0x00]);
        let text = check(&hostile).unwrap_err().to_string();
        assert!(text.contains("longer than the footer"), "{text}");
        // The same with one struct that is empty.
        check(&with_footer(&[0x49, 0x1c, 0x00, 0x00])).unwrap();
    }

    #[test]
    fn deep_nesting_is_refused() {
        let text = check(&with_footer(&[0x1c; 100])).unwrap_err().to_string();
        assert!(text.contains("nested too deeply"), "{text}");
    }
}
