//! The NPY files of a run directory: float32 or bytes, C order, little endian.
//!
//! Only what we write ourselves is read here, so anything else is a damaged file.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

use ndarray::Array2;

use super::directory::RunDirectory;
use crate::dataset::array_file::header;
use crate::error::{Error, Result};
use crate::trainer::Sink;

/// Writes an array of float32 of this shape, row after row as `fill` hands them out.
///
/// # Errors
/// If the file cannot be written, or `fill` hands out another number of values.
pub fn write_floats(
    run: &RunDirectory,
    name: &str,
    shape: &[usize],
    fill: impl FnOnce(Sink) -> std::io::Result<()>,
) -> Result<()> {
    let mut count = 0;
    run.write_with(name, |writer| {
        writer.write_all(&header("<f4", shape))?;
        fill(&mut |values| {
            count += values.len();
            for value in values {
                writer.write_all(&value.to_le_bytes())?;
            }
            Ok(())
        })?;
        if count == shape.iter().product::<usize>() {
            Ok(())
        } else {
            Err(std::io::Error::other(format!(
                "{count} values for an array of shape {shape:?}"
            )))
        }
    })
}

/// Writes an array of this numpy type and shape from its bytes, C order and little endian.
///
/// # Errors
/// If the file cannot be written.
pub fn write_array(
    run: &RunDirectory,
    name: &str,
    descriptor: &str,
    shape: &[usize],
    bytes: &[u8],
) -> Result<()> {
    run.write_with(name, |writer| {
        writer.write_all(&header(descriptor, shape))?;
        writer.write_all(bytes)
    })
}

/// Writes a matrix of bytes `[rows × columns]`.
///
/// # Errors
/// If the file cannot be written.
pub fn write_bytes(run: &RunDirectory, name: &str, columns: usize, bytes: &[u8]) -> Result<()> {
    let rows = bytes.len().checked_div(columns).unwrap_or(0);
    write_array(run, name, "|u1", &[rows, columns], bytes)
}

/// Opens model outputs `[records × 1 × classes]` at the first of them, float32 one record
/// after the other, having looked at everything but the numbers themselves.
///
/// # Errors
/// If the file is missing, of another shape or type, or cut short.
pub fn open_outputs(path: &Path, records: usize, classes: usize) -> Result<BufReader<File>> {
    let mut file = File::open(path).map_err(|e| Error::io("open the signals", path, &e))?;
    let expected = header("<f4", &[records, 1, classes]);
    let failed = |e: &std::io::Error| Error::io("read the signals", path, e);
    let length = file.metadata().map_err(|e| failed(&e))?.len();
    if length != (expected.len() + 4 * records * classes) as u64 {
        return Err(damaged(path, records, classes));
    }
    let mut found = vec![0; expected.len()];
    file.read_exact(&mut found).map_err(|e| failed(&e))?;
    if found != expected {
        return Err(damaged(path, records, classes));
    }
    Ok(BufReader::with_capacity(1 << 20, file))
}

/// Opens an array of ours at its first element and tells its shape, for who does not know it.
///
/// # Errors
/// If the file is missing, holds elements of another type, or is cut short.
pub fn open_array(path: &Path, descriptor: &str) -> Result<(File, Vec<usize>)> {
    let failed = |e: &std::io::Error| Error::io("read the array", path, e);
    let broken = || {
        Error::input("not an array that giveaway wrote, or a part of one")
            .at(path.display())
            .hint("delete the file and run the audit again: it will be made anew")
    };
    let mut file = File::open(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::input("a file of the run is missing")
            .at(path.display())
            .hint("run the audit again: it will be made anew"),
        _ => failed(&e),
    })?;
    let length = file.metadata().map_err(|e| failed(&e))?.len();
    let mut found = vec![0; 10];
    file.read_exact(&mut found).map_err(|_| broken())?;
    let text = usize::from(u16::from_le_bytes([found[8], found[9]]));
    found.resize(10 + text, 0);
    file.read_exact(&mut found[10..]).map_err(|_| broken())?;
    let shape = shape_in(&found[10..]).ok_or_else(broken)?;
    let element = if descriptor == "|u1" { 1_usize } else { 4 };
    let bytes = shape
        .iter()
        .try_fold(element, |bytes, &axis| bytes.checked_mul(axis))
        .and_then(|bytes| bytes.checked_add(found.len()));
    if found != header(descriptor, &shape) || bytes.map(|bytes| bytes as u64) != Some(length) {
        return Err(broken());
    }
    Ok((file, shape))
}

fn shape_in(header: &[u8]) -> Option<Vec<usize>> {
    let text = std::str::from_utf8(header).ok()?;
    let (_, shape) = text.split_once("'shape': (")?;
    let (shape, _) = shape.split_once(')')?;
    shape
        .split(',')
        .map(str::trim)
        .filter(|axis| !axis.is_empty())
        .map(|axis| axis.parse().ok())
        .collect()
}

fn damaged(path: &Path, records: usize, classes: usize) -> Error {
    Error::input(format!(
        "not a signal file of {records} records and {classes} classes"
    ))
    .at(path.display())
    .hint("delete the file and run the same command again: it will be made anew")
}

/// Reads model outputs back, knowing their shape.
///
/// # Errors
/// If the file is missing, of another shape, cut short, or has a value that is no finite number.
pub fn read_outputs(path: &Path, records: usize, classes: usize) -> Result<Array2<f32>> {
    let mut reader = open_outputs(path, records, classes)?;
    let mut bytes = vec![0u8; 4 * records * classes];
    reader
        .read_exact(&mut bytes)
        .map_err(|e| Error::io("read the signals", path, &e))?;
    let values = bytes
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    let outputs = Array2::from_shape_vec((records, classes), values)
        .map_err(|_| damaged(path, records, classes))?;
    if outputs.iter().any(|value| !value.is_finite()) {
        return Err(damaged(path, records, classes));
    }
    Ok(outputs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::directory::Access;
    use ndarray::{Axis, array};

    /// The header that numpy 2.3 writes for `np.save(f, np.zeros((20000, 1, 2), '<f4'))`.
    #[test]
    fn header_is_numpy_s() {
        let bytes = header("<f4", &[20000, 1, 2]);
        assert_eq!(bytes.len(), 128);
        assert_eq!(&bytes[..10], b"\x93NUMPY\x01\x00\x76\x00");
        assert!(
            bytes[10..].starts_with(
                b"{'descr': '<f4', 'fortran_order': False, 'shape': (20000, 1, 2), }  "
            )
        );
        assert_eq!(bytes[127], b'\n');
    }

    #[test]
    fn outputs_come_back_and_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDirectory::open(&folder.path().join("run"), Access::Alone).unwrap();
        let outputs = array![[1.5f32, -2.0], [f32::MIN_POSITIVE, 3.0]];
        let write = |name: &str, shape: &[usize]| {
            write_floats(&run, name, shape, |sink| {
                outputs
                    .rows()
                    .into_iter()
                    .try_for_each(|row| sink(row.insert_axis(Axis(0))))
            })
        };
        write("signals/000.npy", &[2, 1, 2]).unwrap();
        let path = run.signal_file(0);
        assert_eq!(read_outputs(&path, 2, 2).unwrap(), outputs);
        assert!(read_outputs(&path, 2, 3).is_err());
        assert_eq!(open_array(&path, "<f4").unwrap().1, [2, 1, 2]);
        assert!(open_array(&path, "|u1").is_err());
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert!(open_array(&path, "<f4").is_err());
        let error = read_outputs(&path, 2, 2).unwrap_err();
        assert!(error.hint_text().unwrap().contains("delete the file"));
        assert!(write("signals/001.npy", &[3, 1, 2]).is_err());
        assert!(!run.signal_file(1).exists());
    }
}
