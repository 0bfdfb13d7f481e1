//! NPY files of numbers, read straight into the type that is worked with.
//!
//! A file is opened and its header checked against its length before any memory is asked
//! for. Elements are read in parts, by all threads, and never held twice.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rayon::prelude::*;

use crate::dataset::array_file::{Header, Kind, damaged, parse_header};
use crate::dataset::parquet_file::half;
use crate::error::{Error, Result};

/// No header that numpy writes for an array of numbers is longer.
const LONGEST_HEADER: u64 = 1 << 16;
/// Elements that one thread reads at a time.
pub(super) const PART: usize = 1 << 18;
/// Bytes that are read at a time.
const BUFFER: usize = 1 << 18;

/// How exactly the numbers of an array are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Precision {
    /// float16.
    Half,
    /// float32.
    Single,
    /// float64, or whole numbers.
    Double,
}

impl Precision {
    /// The nearest number that the type holds; beyond its ends the last one. NaN and
    /// infinity stay what they are.
    pub(super) fn rounded(self, x: f64) -> f64 {
        if !x.is_finite() {
            return x;
        }
        match self {
            Self::Double => x,
            Self::Single => {
                let most = f64::from(f32::MAX);
                f64::from(x.clamp(-most, most) as f32)
            }
            Self::Half => {
                // Numbers are multiples of this, by their exponent; below 2^-14 of the same.
                let exponent = ((x.abs().to_bits() >> 52) as i32 - 1023).max(-14);
                let unit = 2f64.powi(exponent - 10);
                ((x / unit).round_ties_even() * unit).clamp(-65_504.0, 65_504.0)
            }
        }
    }

    /// What numpy calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Half => "float16",
            Self::Single => "float32",
            Self::Double => "float64",
        }
    }

    /// Distance from 1 to the next larger number.
    pub(super) fn epsilon(self) -> f64 {
        match self {
            Self::Half => 2f64.powi(-10),
            Self::Single => f64::from(f32::EPSILON),
            Self::Double => f64::EPSILON,
        }
    }

    /// What a probability of 0 counts as: the smallest normal number, or in float16, which
    /// makes use of the others, the smallest at all.
    pub(super) fn least(self) -> f64 {
        match self {
            Self::Half => 2f64.powi(-24),
            Self::Single => f64::from(f32::MIN_POSITIVE),
            Self::Double => f64::MIN_POSITIVE,
        }
    }
}

/// A number in memory, as NPY elements are turned into.
pub(super) trait Element: Copy + Default + Send + Sync {
    /// From float32, exactly.
    fn of_single(x: f32) -> Self;
    /// The nearest number.
    fn of_double(x: f64) -> Self;
}

impl Element for f32 {
    fn of_single(x: f32) -> Self {
        x
    }
    fn of_double(x: f64) -> Self {
        x as Self
    }
}

impl Element for f64 {
    fn of_single(x: f32) -> Self {
        Self::from(x)
    }
    fn of_double(x: f64) -> Self {
        x
    }
}

/// 0 or 1, or 2 for whatever else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flag(pub(super) u8);

impl Element for Flag {
    fn of_single(x: f32) -> Self {
        Self::of_double(f64::from(x))
    }
    fn of_double(x: f64) -> Self {
        // Comparisons rather than a conversion: 0.5 and NaN are neither.
        Self(if x == 0.0 {
            0
        } else if x.to_bits() == 1f64.to_bits() {
            1
        } else {
            2
        })
    }
}

/// An NPY file whose header has been read and agrees with its length.
pub(super) struct Npy {
    /// The option that named it.
    option: &'static str,
    path: PathBuf,
    header: Header,
    count: usize,
}

impl Npy {
    /// Opens a file and reads its header.
    pub(super) fn open(option: &'static str, path: &Path) -> Result<Self> {
        Self::look(option, path).map_err(|error| error.at(format!("{option} {}", path.display())))
    }

    fn look(option: &'static str, path: &Path) -> Result<Self> {
        let failed = |e: &std::io::Error| unreadable(path, e);
        let mut file = File::open(path).map_err(|e| failed(&e))?;
        let about = file.metadata().map_err(|e| failed(&e))?;
        if about.is_dir() {
            return Err(failed(&std::io::ErrorKind::IsADirectory.into()));
        }
        if !about.is_file() {
            return Err(
                Error::input("not a file: arrays are read in parts, not as a stream")
                    .hint("save the array with numpy.save and name the file"),
            );
        }
        let mut head = Vec::new();
        (&mut file)
            .take(LONGEST_HEADER)
            .read_to_end(&mut head)
            .map_err(|e| failed(&e))?;
        if head.is_empty() {
            return Err(Error::input("the file is empty").hint("save the array with numpy.save"));
        }
        if head.starts_with(b"PK\x03\x04") {
            return Err(Error::input("an NPZ archive, where one array is wanted")
                .hint("save each array in a file of its own with numpy.save"));
        }
        if !head.starts_with(b"\x93NUMPY") {
            return Err(
                Error::input("not an NPY file").hint("save the array with numpy.save(FILE, array)")
            );
        }
        let header = parse_header(&head)?;
        if header.length().map(|length| length as u64) != Some(about.len()) {
            return Err(damaged(format!(
                "its header declares a shape of {:?}, which does not agree with its {} bytes",
                header.shape,
                about.len()
            )));
        }
        if matches!(header.kind, Kind::Unicode(_) | Kind::Bytes(_)) {
            return Err(
                Error::input("an array of text, where numbers are wanted").hint(
                    "for names of classes, numpy.unique(y, return_inverse=True)[1] gives numbers",
                ),
            );
        }
        let count = header
            .count()
            .ok_or_else(|| damaged("it has more elements than memory can hold"))?;
        Ok(Self {
            option,
            path: path.to_owned(),
            header,
            count,
        })
    }

    /// Length of each axis.
    pub(super) fn shape(&self) -> &[usize] {
        &self.header.shape
    }

    /// Takes an axis of one element at this position out of the shape.
    pub(super) fn drop_axis(&mut self, axis: usize) {
        debug_assert_eq!(self.header.shape[axis], 1, "a longer axis holds something");
        self.header.shape.remove(axis);
    }

    /// Number of elements.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Type of the elements.
    pub(super) fn kind(&self) -> Kind {
        self.header.kind
    }

    /// Whether the first index runs fastest.
    pub(super) fn is_fortran(&self) -> bool {
        self.header.fortran && self.header.shape.len() > 1
    }

    /// How exact the elements are.
    pub(super) fn precision(&self) -> Precision {
        match self.header.kind {
            Kind::Float(2) => Precision::Half,
            Kind::Float(4) => Precision::Single,
            _ => Precision::Double,
        }
    }

    /// The name of the file, for sentences.
    pub(super) fn name(&self) -> String {
        self.path.file_name().map_or_else(
            || self.path.display().to_string(),
            |name| name.to_string_lossy().into_owned(),
        )
    }

    /// What Python may call the array.
    pub(super) fn variable(&self) -> String {
        let stem = self.path.file_stem().map(|s| s.to_string_lossy());
        stem.filter(|stem| {
            stem.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && stem.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        })
        .map_or_else(|| "array".to_owned(), std::borrow::Cow::into_owned)
    }

    /// The option and the file, for places of errors.
    pub(super) fn place(&self) -> String {
        format!("{} {}", self.option, self.path.display())
    }

    /// Names of the type as numpy has them.
    pub(super) fn type_name(&self) -> String {
        match self.header.kind {
            Kind::Boolean => "bool".to_owned(),
            Kind::Signed(size) => format!("int{}", 8 * size),
            Kind::Unsigned(size) => format!("uint{}", 8 * size),
            Kind::Float(size) => format!("float{}", 8 * size),
            Kind::Unicode(_) | Kind::Bytes(_) => "text".to_owned(),
        }
    }

    fn failed(&self, error: &std::io::Error) -> Error {
        unreadable(&self.path, error).at(self.place())
    }

    /// The elements from `first` on, in the order of the file.
    pub(super) fn read_from<T: Element>(&self, first: usize, values: &mut [T]) -> Result<()> {
        let size = self.header.kind.size();
        self.raw_from(first, values.len(), |start, bytes| {
            let count = bytes.len() / size;
            decode(bytes, &self.header, &mut values[start..start + count]);
        })
    }

    /// Hands out the bytes of `count` elements from `first` on, with the number of the first
    /// element counted from `first`.
    fn raw_from(
        &self,
        first: usize,
        count: usize,
        mut sink: impl FnMut(usize, &[u8]),
    ) -> Result<()> {
        let size = self.header.kind.size();
        let mut file = File::open(&self.path).map_err(|e| self.failed(&e))?;
        let start = self.header.start as u64 + first as u64 * size as u64;
        file.seek(SeekFrom::Start(start))
            .map_err(|e| self.failed(&e))?;
        let at_once = BUFFER / size;
        let mut buffer = vec![0; at_once.min(count) * size];
        for begin in (0..count).step_by(at_once) {
            let bytes = &mut buffer[..(count - begin).min(at_once) * size];
            file.read_exact(bytes).map_err(|e| self.failed(&e))?;
            sink(begin, bytes);
        }
        Ok(())
    }

    /// The element at a position of the array as it is loaded.
    pub(super) fn element(&self, position: usize) -> Result<f64> {
        let shape = &self.header.shape;
        let in_file = if self.is_fortran() {
            let (mut rest, mut in_file) = (position, 0);
            let mut below: usize = shape.iter().product();
            for &length in shape.iter().rev() {
                below /= length;
                in_file += rest % length * below;
                rest /= length;
            }
            in_file
        } else {
            position
        };
        let mut value = [0.0];
        self.read_from(in_file, &mut value)?;
        Ok(value[0])
    }

    /// All elements, the last index running fastest.
    pub(super) fn load<T: Element>(&self) -> Result<Vec<T>> {
        let mut values = zeroed(self.count).map_err(|error| error.at(self.place()))?;
        if self.is_fortran() {
            self.scatter(&mut values)?;
        } else {
            values
                .par_chunks_mut(PART)
                .enumerate()
                .try_for_each(|(part, values)| self.read_from(part * PART, values))?;
        }
        Ok(values)
    }

    /// Reads a file in which the first index runs fastest.
    fn scatter<T: Element>(&self, values: &mut [T]) -> Result<()> {
        let shape = &self.header.shape;
        let mut strides = vec![1; shape.len()];
        for axis in (0..shape.len() - 1).rev() {
            strides[axis] = strides[axis + 1] * shape[axis + 1];
        }
        let mut index = vec![0; shape.len()];
        let mut position = 0;
        let mut part = vec![T::default(); PART.min(self.count)];
        for first in (0..self.count).step_by(PART) {
            let part = &mut part[..(self.count - first).min(PART)];
            self.read_from(first, part)?;
            for &value in &*part {
                values[position] = value;
                for axis in 0..shape.len() {
                    index[axis] += 1;
                    position += strides[axis];
                    if index[axis] < shape[axis] {
                        break;
                    }
                    position -= strides[axis] * shape[axis];
                    index[axis] = 0;
                }
            }
        }
        Ok(())
    }
}

/// What the operating system says, without the path: the caller says where.
fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    let told = Error::io("read the array", path, error);
    Error::new(told.kind(), format!("cannot read the array: {error}"))
        .hint(told.hint_text().unwrap_or("try again").to_owned())
}

/// Numbers that are all 0, if there is memory for them.
pub(super) fn zeroed<T: Clone + Default>(count: usize) -> Result<Vec<T>> {
    let mut probe: Vec<T> = Vec::new();
    if probe.try_reserve_exact(count).is_err() {
        let bytes = count as f64 * size_of::<T>() as f64;
        return Err(Error::unexpected(format!(
            "there is no memory for the array: {:.1} GiB are needed",
            bytes / 2f64.powi(30)
        ))
        .hint("give fewer records or models at a time, or save the array as float32"));
    }
    drop(probe);
    Ok(vec![T::default(); count])
}

/// All float16 numbers, by their bits.
fn halves() -> &'static [f32] {
    static HALVES: OnceLock<Vec<f32>> = OnceLock::new();
    HALVES.get_or_init(|| (0..=u16::MAX).map(|bits| half(bits) as f32).collect())
}

/// Turns bytes of a file into numbers.
fn decode<T: Element>(bytes: &[u8], header: &Header, values: &mut [T]) {
    /// Elements of some bytes each, made into little-endian order where they are not.
    fn each<const N: usize, T>(
        bytes: &[u8],
        big_endian: bool,
        values: &mut [T],
        convert: impl Fn([u8; N]) -> T,
    ) {
        let (elements, _) = bytes.as_chunks::<N>();
        if big_endian {
            for (value, &element) in values.iter_mut().zip(elements) {
                let mut element = element;
                element.reverse();
                *value = convert(element);
            }
        } else {
            for (value, &element) in values.iter_mut().zip(elements) {
                *value = convert(element);
            }
        }
    }
    let big = header.big_endian;
    match header.kind {
        Kind::Float(2) => {
            let halves = halves();
            each(bytes, big, values, |b| {
                T::of_single(halves[usize::from(u16::from_le_bytes(b))])
            });
        }
        Kind::Float(4) => each(bytes, big, values, |b| T::of_single(f32::from_le_bytes(b))),
        Kind::Float(_) => each(bytes, big, values, |b| T::of_double(f64::from_le_bytes(b))),
        Kind::Signed(1) => each(bytes, big, values, |b| {
            T::of_double(f64::from(i8::from_le_bytes(b)))
        }),
        Kind::Signed(2) => each(bytes, big, values, |b| {
            T::of_double(f64::from(i16::from_le_bytes(b)))
        }),
        Kind::Signed(4) => each(bytes, big, values, |b| {
            T::of_double(f64::from(i32::from_le_bytes(b)))
        }),
        Kind::Signed(_) => each(bytes, big, values, |b| {
            T::of_double(i64::from_le_bytes(b) as f64)
        }),
        Kind::Unsigned(2) => each(bytes, big, values, |b| {
            T::of_double(f64::from(u16::from_le_bytes(b)))
        }),
        Kind::Unsigned(4) => each(bytes, big, values, |b| {
            T::of_double(f64::from(u32::from_le_bytes(b)))
        }),
        Kind::Unsigned(8) => each(bytes, big, values, |b| {
            T::of_double(u64::from_le_bytes(b) as f64)
        }),
        // Booleans and bytes; text was refused.
        _ => each(bytes, big, values, |[b]: [u8; 1]| {
            T::of_double(f64::from(b))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with this header text and these bytes.
    fn file(dictionary: &str, body: &[u8]) -> tempfile::NamedTempFile {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((dictionary.len() as u16).to_le_bytes());
        bytes.extend(dictionary.as_bytes());
        bytes.extend(body);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    fn header(descriptor: &str, fortran: bool, shape: &str) -> String {
        let fortran = if fortran { "True" } else { "False" };
        format!("{{'descr': '{descriptor}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n")
    }

    fn loaded<T: Element>(dictionary: &str, body: &[u8]) -> Vec<T> {
        let file = file(dictionary, body);
        Npy::open("--signals", file.path()).unwrap().load().unwrap()
    }

    #[test]
    fn every_type_and_byte_order_is_read() {
        let values = [0.0, 1.0, -2.0, 0.5];
        let floats = |width: usize, big: bool| -> Vec<u8> {
            values
                .iter()
                .flat_map(|&x: &f64| {
                    let mut bytes = match width {
                        2 => [0x0000u16, 0x3c00, 0xc000, 0x3800][values
                            .iter()
                            .position(|&v| v.to_bits() == x.to_bits())
                            .unwrap()]
                        .to_le_bytes()
                        .to_vec(),
                        4 => (x as f32).to_le_bytes().to_vec(),
                        _ => x.to_le_bytes().to_vec(),
                    };
                    if big {
                        bytes.reverse();
                    }
                    bytes
                })
                .collect()
        };
        for width in [2, 4, 8] {
            for big in [false, true] {
                let descriptor = format!("{}f{width}", if big { '>' } else { '<' });
                let text = header(&descriptor, false, "(4,)");
                assert_eq!(loaded::<f64>(&text, &floats(width, big)), values);
                let single: Vec<f32> = values.iter().map(|&x| x as f32).collect();
                assert_eq!(loaded::<f32>(&text, &floats(width, big)), single);
            }
        }
        let whole = |code: &str, body: &[u8]| loaded::<f64>(&header(code, false, "(2,)"), body);
        assert_eq!(whole("|i1", &[255, 3]), [-1.0, 3.0]);
        assert_eq!(whole("|u1", &[255, 3]), [255.0, 3.0]);
        assert_eq!(whole("|b1", &[0, 1]), [0.0, 1.0]);
        assert_eq!(whole(">i2", &[255, 254, 0, 3]), [-2.0, 3.0]);
        assert_eq!(whole("<u2", &[254, 255, 3, 0]), [65534.0, 3.0]);
        assert_eq!(whole("<i4", &[255, 255, 255, 255, 3, 0, 0, 0]), [-1.0, 3.0]);
        assert_eq!(
            whole("<u4", &[255, 255, 255, 255, 3, 0, 0, 0]),
            [4_294_967_295.0, 3.0]
        );
        let eight = [[255u8; 8], [3, 0, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(whole("<i8", &eight), [-1.0, 3.0]);
        assert_eq!(whole("<u8", &eight), [u64::MAX as f64, 3.0]);
    }

    /// numpy.asfortranarray(numpy.arange(24).reshape(2, 3, 4)) and back.
    #[test]
    fn fortran_order_is_put_right() {
        let mut body = Vec::new();
        for k in 0..4u8 {
            for j in 0..3u8 {
                for i in 0..2u8 {
                    body.push(12 * i + 4 * j + k);
                }
            }
        }
        let text = header("|u1", true, "(2, 3, 4)");
        let found = loaded::<f32>(&text, &body);
        let expected: Vec<f32> = (0..24u8).map(f32::from).collect();
        assert_eq!(found, expected);
        let file = file(&text, &body);
        let npy = Npy::open("--signals", file.path()).unwrap();
        let one_by_one: Vec<f64> = (0..24).map(|i| npy.element(i).unwrap()).collect();
        assert_eq!(one_by_one, loaded::<f64>(&text, &body));
    }

    /// All float16 numbers, and the middles between neighbours, which go to the even one;
    /// what is smaller or larger than the middle does not.
    #[test]
    fn numbers_are_rounded_to_the_nearest_of_a_coarser_type() {
        let all: Vec<f64> = halves()[..0x7c00].iter().map(|&x| f64::from(x)).collect();
        for (bits, pair) in all.windows(2).enumerate() {
            let middle = f64::midpoint(pair[0], pair[1]);
            let even = pair[bits % 2];
            for (x, expected) in [
                (pair[0], pair[0]),
                (middle, even),
                (middle.next_down(), pair[0]),
                (middle.next_up(), pair[1]),
            ] {
                assert_eq!(
                    Precision::Half.rounded(x).to_bits(),
                    expected.to_bits(),
                    "{x}"
                );
                assert_eq!(Precision::Half.rounded(-x).to_bits(), (-expected).to_bits());
            }
        }
        assert_eq!(Precision::Half.rounded(1e9).to_bits(), 65_504f64.to_bits());
        let third = 1.0 / 3.0;
        assert_eq!(
            Precision::Single.rounded(third).to_bits(),
            f64::from(1f32 / 3.0).to_bits()
        );
        assert_eq!(
            Precision::Single.rounded(-1e300).to_bits(),
            f64::from(f32::MIN).to_bits()
        );
        assert_eq!(Precision::Double.rounded(third).to_bits(), third.to_bits());
        assert!(Precision::Half.rounded(f64::NAN).is_nan());
    }

    /// More than one part, in both orders.
    #[test]
    fn large_arrays_are_read_in_parts() {
        let (rows, columns) = (3, PART / 2 + 77);
        let value = |r: usize, c: usize| (r * columns + c) as f32;
        let ordered: Vec<u8> = (0..rows * columns)
            .flat_map(|i| (i as f32).to_le_bytes())
            .collect();
        let by_column: Vec<u8> = (0..columns)
            .flat_map(|c| (0..rows).flat_map(move |r| value(r, c).to_le_bytes()))
            .collect();
        let shape = format!("({rows}, {columns})");
        let expected: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
        assert_eq!(
            loaded::<f32>(&header("<f4", false, &shape), &ordered),
            expected
        );
        assert_eq!(
            loaded::<f32>(&header("<f4", true, &shape), &by_column),
            expected
        );
    }

    #[test]
    fn lies_are_refused_before_memory_is_asked_for() {
        for (dictionary, word) in [
            (header("<f4", false, "(1000000000000,)"), "does not agree"),
            (
                header("<f4", false, "(18446744073709551615, 9)"),
                "does not agree",
            ),
            (header("<f4", false, "(3,)"), "does not agree"),
            (header("|O", false, "(2,)"), "Python objects"),
            (header("<c8", false, "(1,)"), "cannot be read"),
            (header("<U2", false, "(1,)"), "text"),
            ("{}\n".to_owned(), "descr"),
        ] {
            let file = file(&dictionary, &[0; 8]);
            let error = Npy::open("--signals", file.path()).map(drop).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
            assert!(error.to_string().starts_with("--signals "), "{error}");
            assert!(error.hint_text().is_some());
        }
    }
}
