//! Zip archives as `NumPy` writes them: members stored or deflated, found by the directory at the end.

use std::collections::BTreeMap;
use std::io::Read;

use crate::{Error, Result};

/// An archive that lies in memory.
pub(super) struct Archive<'a> {
    content: &'a [u8],
    members: BTreeMap<String, Member>,
}

#[derive(Clone, Copy)]
struct Member {
    method: u16,
    checksum: u32,
    stored: u64,
    size: u64,
    header: u64,
}

fn damaged(what: impl std::fmt::Display) -> Error {
    Error::input(format!("the zip archive is damaged: {what}"))
        .hint("copy or download the file again, or write it anew with numpy.savez")
}

/// The little-endian number of `size` bytes at `position`.
fn number(content: &[u8], position: u64, size: u64) -> Result<u64> {
    let range = usize::try_from(position)
        .ok()
        .zip(usize::try_from(position.saturating_add(size)).ok());
    let bytes = range
        .and_then(|(start, end)| content.get(start..end))
        .ok_or_else(|| damaged("it is cut off"))?;
    Ok(bytes
        .iter()
        .rev()
        .fold(0, |sum, &byte| (sum << 8) | u64::from(byte)))
}

fn slice(content: &[u8], position: u64, length: u64) -> Result<&[u8]> {
    let end = position.saturating_add(length);
    usize::try_from(position)
        .ok()
        .zip(usize::try_from(end).ok())
        .and_then(|(start, end)| content.get(start..end))
        .ok_or_else(|| damaged("it is cut off"))
}

impl<'a> Archive<'a> {
    /// Reads the directory of an archive.
    pub(super) fn open(content: &'a [u8]) -> Result<Self> {
        const END: &[u8] = b"PK\x05\x06";
        // The end record is followed by a comment of at most 65,535 bytes.
        let from = content.len().saturating_sub(22 + 65_535);
        let end = content[from..]
            .windows(4)
            .rposition(|bytes| bytes == END)
            .map(|position| (from + position) as u64)
            .ok_or_else(|| damaged("its directory at the end is missing"))?;
        let mut count = number(content, end + 10, 2)?;
        let mut position = number(content, end + 16, 4)?;
        if (count == 0xffff || position == 0xffff_ffff) && end >= 20 {
            let locator = end - 20;
            if slice(content, locator, 4)? == b"PK\x06\x07" {
                let large = number(content, locator + 8, 8)?;
                count = number(content, large.saturating_add(32), 8)?;
                position = number(content, large.saturating_add(48), 8)?;
            }
        }
        let mut members = BTreeMap::new();
        for _ in 0..count {
            if slice(content, position, 4)? != b"PK\x01\x02" {
                return Err(damaged("its directory is not where it should be"));
            }
            let at = |offset, size| number(content, position.saturating_add(offset), size);
            if at(8, 2)? & 1 != 0 {
                return Err(Error::input("encrypted archives cannot be read")
                    .hint("write the archive anew with numpy.savez"));
            }
            let (name_length, extra_length, comment_length) = (at(28, 2)?, at(30, 2)?, at(32, 2)?);
            let mut member = Member {
                method: at(10, 2)? as u16,
                checksum: at(16, 4)? as u32,
                stored: at(20, 4)?,
                size: at(24, 4)?,
                header: at(42, 4)?,
            };
            let name = slice(content, position + 46, name_length)?;
            let extra = slice(content, position + 46 + name_length, extra_length)?;
            member.widen(extra)?;
            members.insert(String::from_utf8_lossy(name).into_owned(), member);
            position += 46 + name_length + extra_length + comment_length;
        }
        Ok(Self { content, members })
    }

    /// The names of the members, sorted.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
    }

    /// The bytes of a member. `length` reads from the first of them how many there have to be,
    /// so that a hostile member is not expanded beyond what it says of itself.
    pub(super) fn read(
        &self,
        name: &str,
        length: impl Fn(&[u8]) -> Result<u64>,
    ) -> Result<Vec<u8>> {
        let in_member = |error: Error| error.at(format!("member `{name}`"));
        let member = self.members.get(name).ok_or_else(|| {
            Error::input(format!("`{name}` is not in the archive"))
                .hint("name an array that is in it")
        })?;
        let bytes = self.expand(*member, &length).map_err(in_member)?;
        let mut checksum = flate2::Crc::new();
        checksum.update(&bytes);
        if checksum.sum() != member.checksum {
            return Err(in_member(damaged("its checksum is wrong")));
        }
        Ok(bytes)
    }

    fn expand(&self, member: Member, length: &impl Fn(&[u8]) -> Result<u64>) -> Result<Vec<u8>> {
        const HEAD: u64 = 70_000;
        if slice(self.content, member.header, 4)? != b"PK\x03\x04" {
            return Err(damaged("a member is not where it should be"));
        }
        let name_length = number(self.content, member.header + 26, 2)?;
        let extra_length = number(self.content, member.header + 28, 2)?;
        let start = member.header + 30 + name_length + extra_length;
        let stored = slice(self.content, start, member.stored)?;
        match member.method {
            0 => Ok(stored.to_vec()),
            8 => {
                let mut decoder = flate2::read::DeflateDecoder::new(stored);
                let mut bytes = Vec::new();
                decoder
                    .by_ref()
                    .take(HEAD.min(member.size))
                    .read_to_end(&mut bytes)
                    .map_err(damaged)?;
                if length(&bytes)? != member.size {
                    return Err(damaged("a member and the archive disagree on its size"));
                }
                // One byte more shows a member that is longer than it says.
                decoder
                    .take(member.size - bytes.len() as u64 + 1)
                    .read_to_end(&mut bytes)
                    .map_err(damaged)?;
                if bytes.len() as u64 != member.size {
                    return Err(damaged("a member has another size than it says"));
                }
                Ok(bytes)
            }
            method => Err(
                Error::input(format!("the compression method {method} cannot be read"))
                    .hint("write the archive with numpy.savez or numpy.savez_compressed"),
            ),
        }
    }
}

impl Member {
    /// Takes sizes of eight bytes from the extra field, where those of four do not suffice.
    fn widen(&mut self, extra: &[u8]) -> Result<()> {
        const FULL: u64 = 0xffff_ffff;
        let mut position = 0;
        while position + 4 <= extra.len() as u64 {
            let (kind, length) = (number(extra, position, 2)?, number(extra, position + 2, 2)?);
            if kind == 1 {
                let mut field = position + 4;
                for value in [&mut self.size, &mut self.stored, &mut self.header] {
                    if *value == FULL {
                        *value = number(extra, field, 8)?;
                        field += 8;
                    }
                }
            }
            position += 4 + length;
        }
        Ok(())
    }
}
