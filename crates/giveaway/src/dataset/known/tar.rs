//! Tar archives, read through once from the front; nothing is written anywhere.
//!
//! The format is POSIX.1-1988 ustar (512-byte headers) with GNU's long names; extended (pax)
//! headers are passed over.

use std::io::Read;

use crate::{Error, Result};

const BLOCK: u64 = 512;
/// More members than any archive of data has.
const MOST_MEMBERS: usize = 100_000;
/// The longest name that is read.
const LONGEST_NAME: u64 = 4096;

fn damaged(what: impl std::fmt::Display) -> Error {
    Error::input(format!("the tar archive is damaged: {what}"))
        .hint("copy or download the file again")
}

fn failed(error: &std::io::Error) -> Error {
    damaged(format!("it cannot be read to its end: {error}"))
}

/// The number in a field: octal digits, or binary where the first bit is set.
fn number(field: &[u8]) -> Result<u64> {
    let wrong = || damaged("a header holds no number where one belongs");
    if field[0] & 0x80 != 0 {
        return field[1..]
            .iter()
            .try_fold(u64::from(field[0] & 0x7f), |sum, &byte| {
                sum.checked_mul(256)?.checked_add(u64::from(byte))
            })
            .ok_or_else(wrong);
    }
    let digits = field.split(|&byte| byte == 0).next().unwrap_or_default();
    digits
        .trim_ascii()
        .iter()
        .try_fold(0_u64, |sum, &digit| match digit {
            b'0'..=b'7' => sum.checked_mul(8)?.checked_add(u64::from(digit - b'0')),
            _ => None,
        })
        .ok_or_else(wrong)
}

fn text(field: &[u8]) -> String {
    let end = field
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

/// Calls `visit` with the path, size and content of each plain file in the archive, in its
/// order. What of the content is not read is passed over.
///
/// # Errors
/// If the archive is damaged, cut off or endless, or `visit` fails.
pub(super) fn each_file(
    archive: &mut dyn Read,
    mut visit: impl FnMut(&str, u64, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let mut long_name: Option<String> = None;
    for _ in 0..MOST_MEMBERS {
        let mut header = [0_u8; BLOCK as usize];
        archive.read_exact(&mut header).map_err(|e| failed(&e))?;
        // Two blocks of zeros end an archive; whoever writes one means the same.
        if header.iter().all(|&byte| byte == 0) {
            return Ok(());
        }
        let declared = number(&header[148..156])?;
        let sum: u64 = header
            .iter()
            .enumerate()
            .map(|(i, &byte)| u64::from(if (148..156).contains(&i) { b' ' } else { byte }))
            .sum();
        if sum != declared {
            return Err(damaged("the checksum of a header is wrong"));
        }
        let size = number(&header[124..136])?;
        let padding = (BLOCK - size % BLOCK) % BLOCK;
        let mut content = archive.take(size);
        match header[156] {
            b'L' if size <= LONGEST_NAME => {
                let mut name = Vec::new();
                content.read_to_end(&mut name).map_err(|e| failed(&e))?;
                long_name = Some(text(&name));
            }
            b'0' | 0 | b'7' => {
                let name = long_name.take().unwrap_or_else(|| {
                    let (name, prefix) = (text(&header[..100]), text(&header[345..500]));
                    if &header[257..262] == b"ustar" && !prefix.is_empty() && header[262] == 0 {
                        format!("{prefix}/{name}")
                    } else {
                        name
                    }
                });
                visit(&name, size, &mut content)?;
            }
            // Folders, links and the rest hold no data; a long name was theirs.
            kind => {
                if !matches!(kind, b'x' | b'g') {
                    long_name = None;
                }
            }
        }
        let left = content.limit().saturating_add(padding);
        let passed =
            std::io::copy(&mut archive.take(left), &mut std::io::sink()).map_err(|e| failed(&e))?;
        if passed < left {
            return Err(damaged("it is cut off"));
        }
    }
    Err(damaged(format!("it has more than {MOST_MEMBERS} members")))
}

/// Whether a path in an archive ends with the components of `wanted`.
pub(super) fn is(path: &str, wanted: &str) -> bool {
    let mut path = path.rsplit('/').filter(|part| !part.is_empty());
    wanted.rsplit('/').all(|part| path.next() == Some(part))
}

/// An archive of these files, as `tar` writes it; for tests.
#[cfg(test)]
pub(super) fn written(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, content) in files {
        let mut header = [0_u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..108].copy_from_slice(b"0000644\0");
        header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[148..156].copy_from_slice(b"        ");
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend(header);
        archive.extend(*content);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(archive: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
        let mut found = Vec::new();
        each_file(&mut &archive[..], |path, _, content| {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes).unwrap();
            found.push((path.to_owned(), bytes));
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn files_come_with_their_paths_and_content() {
        let archive = written(&[("a/b", b"hello"), ("c", &[7; 512]), ("../../etc/d", b"")]);
        let found = names(&archive).unwrap();
        assert_eq!(found[0], ("a/b".to_owned(), b"hello".to_vec()));
        assert_eq!(found[1], ("c".to_owned(), vec![7; 512]));
        assert_eq!(found[2].0, "../../etc/d");
    }

    #[test]
    fn an_archive_cut_off_anywhere_is_an_error() {
        let archive = written(&[("a", &[1; 700]), ("b", b"x")]);
        let whole = archive.len() - 512;
        for length in 0..archive.len() - 1024 {
            assert!(names(&archive[..length]).is_err(), "{length}");
        }
        assert_eq!(names(&archive[..whole]).unwrap().len(), 2);
        let mut wrong = archive;
        wrong[0] ^= 1;
        assert!(names(&wrong).unwrap_err().to_string().contains("checksum"));
    }

    #[test]
    fn a_size_beyond_all_bounds_is_no_reservation() {
        let mut archive = written(&[("a", b"x")]);
        archive[124..136]
            .copy_from_slice(&[0x80, 0, 0, 0, 0x7f, 255, 255, 255, 255, 255, 255, 255]);
        archive[148..156].copy_from_slice(b"        ");
        let sum: u32 = archive[..512].iter().map(|&byte| u32::from(byte)).sum();
        archive[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let error = each_file(&mut &archive[..], |_, _, _| Ok(())).unwrap_err();
        assert!(error.to_string().contains("cut off"), "{error}");
    }

    #[test]
    fn a_path_is_known_by_its_last_components() {
        assert!(is("./texas/100/feats", "texas/100/feats") && is("x/100/feats", "100/feats"));
        assert!(!is("texas/10/feats", "100/feats") && !is("feats", "100/feats"));
        assert!(!is("a/._bangkok", "bangkok"));
    }
}
