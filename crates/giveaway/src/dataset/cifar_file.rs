//! CIFAR's binary format: records of one length, a label and the three channels of an image of
//! 32 × 32 pixels, without any header. CIFAR-10 has one byte of label, CIFAR-100 a coarse and
//! a fine one (<https://www.cs.toronto.edu/~kriz/cifar.html>).

use super::array_file::{Array, Elements, Extras, from_arrays};
use super::assemble::RawValues;
use super::table::{Table, TableOptions, refuse_delimiter, refuse_labels_file};
use crate::{Error, Result};

/// Pixels of a channel.
const AREA: usize = 32 * 32;
/// Bytes of an image.
const IMAGE: usize = 3 * AREA;

/// Which of the two data sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One label from 0 to 9.
    Ten,
    /// A coarse label from 0 to 19 and a fine one from 0 to 99.
    Hundred,
}

impl Kind {
    /// Bytes before the image.
    fn labels(self) -> usize {
        match self {
            Self::Ten => 1,
            Self::Hundred => 2,
        }
    }

    fn record(self) -> usize {
        self.labels() + IMAGE
    }

    fn fits(self, record: &[u8]) -> bool {
        match self {
            Self::Ten => record[0] < 10,
            Self::Hundred => record[0] < 20 && record[1] < 100,
        }
    }

    /// What content of this length and with these labels is. A length may fit both.
    fn of(content: &[u8]) -> Option<Self> {
        [Self::Ten, Self::Hundred].into_iter().find(|kind| {
            let records = content.chunks_exact(kind.record());
            !content.is_empty() && records.remainder().is_empty() && {
                let mut records = records;
                records.all(|record| kind.fits(record))
            }
        })
    }
}

/// Images of one or more files, put together.
#[derive(Debug)]
pub(super) struct Images {
    kind: Kind,
    coarse: bool,
    labels: Vec<Option<i64>>,
    /// Pixel by pixel, its channels side by side.
    pixels: Vec<u8>,
}

impl Images {
    /// None yet. Of CIFAR-100 the option `label` says which of its labels is the class.
    pub(super) fn new(kind: Kind, options: &TableOptions) -> Result<Self> {
        let coarse = match (kind, options.label.as_deref()) {
            (Kind::Hundred, Some("coarse")) => true,
            (_, None | Some("fine")) | (Kind::Ten, Some("labels")) => false,
            (Kind::Ten, Some(label)) => {
                return Err(Error::usage(format!("there is no label `{label}`"))
                    .at("--label")
                    .hint("leave it out: a record begins with its only label"));
            }
            (Kind::Hundred, Some(label)) => {
                return Err(Error::usage(format!("there is no label `{label}`"))
                    .at("--label")
                    .hint("give fine (100 classes, the default) or coarse (20 classes)"));
            }
        };
        Ok(Self {
            kind,
            coarse,
            labels: Vec::new(),
            pixels: Vec::new(),
        })
    }

    /// Adds the records of a file.
    pub(super) fn add(&mut self, content: &[u8]) -> Result<()> {
        let size = self.kind.record();
        let records = content.chunks_exact(size);
        if content.is_empty() || !records.remainder().is_empty() {
            return Err(Error::input(format!(
                "{} bytes are no whole number of records of {size}",
                content.len()
            ))
            .hint("see whether the file was copied or downloaded whole"));
        }
        for (index, record) in records.enumerate() {
            if !self.kind.fits(record) {
                let labels = &record[..self.kind.labels()];
                return Err(Error::input(format!("the label {labels:?} does not exist"))
                    .at(format!("record {}", index + 1))
                    .hint("see whether the file is CIFAR's binary version, and copied whole"));
            }
            let label = match self.kind {
                Kind::Hundred if !self.coarse => record[1],
                _ => record[0],
            };
            self.labels.push(Some(i64::from(label)));
            let image = &record[self.kind.labels()..];
            self.pixels.extend(
                (0..AREA)
                    .flat_map(|pixel| (0..3).map(move |channel| image[channel * AREA + pixel])),
            );
        }
        Ok(())
    }

    /// The records as a table.
    pub(super) fn table(self, name: &str, hash: String, options: &TableOptions) -> Result<Table> {
        let array = Array {
            shape: vec![self.labels.len(), 32, 32, 3],
            elements: Elements::Bytes(self.pixels),
        };
        let labels = RawValues::Integer(self.labels);
        from_arrays(name, array, labels, hash, Extras::default(), options)
    }
}

/// Reads one file of the format.
pub(super) fn read(
    name: &str,
    content: &[u8],
    hash: blake3::Hash,
    options: &TableOptions,
) -> Result<Table> {
    refuse_delimiter(options)?;
    refuse_labels_file(options)?;
    let Some(kind) = Kind::of(content) else {
        // Say what is wrong with what it most likely is.
        let whole = |kind: &Kind| content.len().is_multiple_of(kind.record());
        let kind = [Kind::Ten, Kind::Hundred].into_iter().find(whole);
        let Some(kind) = kind.filter(|_| !content.is_empty()) else {
            return Err(Error::input(format!(
                "not CIFAR's binary format: {} bytes are no whole number of records of 3,073 bytes (CIFAR-10) or 3,074 (CIFAR-100)",
                content.len()
            ))
            .hint("see whether the file was copied or downloaded whole; files of another format need their own ending"));
        };
        let error = Images::new(kind, options)?.add(content);
        return Err(error
            .err()
            .unwrap_or_else(|| Error::input("not CIFAR's binary format")));
    };
    let mut images = Images::new(kind, options)?;
    images.add(content)?;
    images.table(name, hash.to_hex().to_string(), options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Body;

    /// Record `r` has the label `r % classes` and, in channel c at pixel p, a known byte.
    fn file(kind: Kind, records: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for r in 0..records {
            match kind {
                Kind::Ten => bytes.push((r % 10) as u8),
                Kind::Hundred => bytes.extend([(r % 20) as u8, (r % 100) as u8 ^ 1]),
            }
            bytes.extend((0..IMAGE).map(|i| (i / AREA * 80 + i % AREA / 16 + r) as u8));
        }
        bytes
    }

    fn table(content: &[u8], options: &TableOptions) -> Result<Table> {
        read("x.bin", content, blake3::hash(content), options)
    }

    #[test]
    fn images_come_pixel_by_pixel() {
        let table = table(&file(Kind::Ten, 12), &TableOptions::default()).unwrap();
        assert_eq!(table.labels[..3], [0, 1, 2]);
        assert_eq!(table.classes.len(), 10);
        let Body::Dense { values, image, .. } = &table.body else {
            panic!("images are dense")
        };
        let image = image.unwrap();
        assert_eq!((image.height, image.width, image.channels), (32, 32, 3));
        assert!(image.bytes);
        assert_eq!(values.dim(), (12, 3072));
        // Pixel 33 of record 2, whose channels are 80 apart.
        let pixel: Vec<f32> = (0..3).map(|c| values[[2, 33 * 3 + c]]).collect();
        assert_eq!(pixel, [4.0, 84.0, 164.0]);
    }

    #[test]
    fn of_a_hundred_classes_the_fine_label_counts_unless_told() {
        let content = file(Kind::Hundred, 40);
        let fine = table(&content, &TableOptions::default()).unwrap();
        assert_eq!(fine.classes[fine.labels[0] as usize], "1");
        let coarse = TableOptions {
            label: Some("coarse".to_owned()),
            ..TableOptions::default()
        };
        let coarse = table(&content, &coarse).unwrap();
        assert_eq!(coarse.classes.len(), 20);
        let wrong = TableOptions {
            label: Some("y".to_owned()),
            ..TableOptions::default()
        };
        assert!(table(&content, &wrong).is_err());
    }

    #[test]
    fn damaged_files_are_refused_in_one_sentence() {
        let whole = file(Kind::Ten, 5);
        let said = |content: &[u8]| {
            table(content, &TableOptions::default())
                .unwrap_err()
                .to_string()
        };
        assert!(said(&whole[..whole.len() - 1]).contains("no whole number of records"));
        assert!(said(&[]).contains("no whole number"));
        let mut wrong = whole;
        wrong[3 * 3073] = 10;
        assert!(said(&wrong).contains("record 4"), "{}", said(&wrong));
    }
}
