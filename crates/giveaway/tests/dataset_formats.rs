//! Formats: files that pandas, pyarrow and numpy wrote (`conformance/data/generate.py`) are
//! read to the values that were written, and damaged ones are refused.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as tests may"
)]
#![expect(clippy::float_cmp, reason = "values are read back exactly as written")]

use std::path::{Path, PathBuf};

use giveaway::dataset::{
    Body, Encoding, EncodingOptions, ImageShape, Scaling, Table, TableOptions, Values,
};

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../conformance/data")
        .join(name)
}

fn label(name: &str) -> TableOptions {
    TableOptions {
        label: Some(name.to_owned()),
        ..TableOptions::default()
    }
}

fn labels_file(name: &str) -> TableOptions {
    TableOptions {
        labels_file: Some(shipped(name)),
        ..TableOptions::default()
    }
}

fn refusal(path: &Path, options: &TableOptions) -> String {
    let error = Table::read(path, options).unwrap_err();
    format!("{error} | {}", error.hint_text().unwrap_or_default())
}

fn columns(table: &Table) -> Vec<(&str, &Values)> {
    match &table.body {
        Body::Columns(columns) => columns
            .iter()
            .map(|column| (column.name.as_str(), &column.values))
            .collect(),
        Body::Dense { .. } => panic!("columns are expected"),
    }
}

fn dense(table: &Table) -> (Vec<f32>, (usize, usize), Option<ImageShape>) {
    match &table.body {
        Body::Dense { values, image, .. } => {
            (values.iter().copied().collect(), values.dim(), *image)
        }
        Body::Columns(_) => panic!("one block is expected"),
    }
}

/// Every value of the table is what the generator wrote.
fn check_table(file: &str) {
    let table = Table::read(&shipped(file), &label("class")).unwrap();
    let written: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(shipped("table.json")).unwrap()).unwrap();
    assert_eq!(table.len(), 300, "{file}");
    assert_eq!(columns(&table).len(), 9, "{file}");
    for (index, (name, values)) in columns(&table).into_iter().enumerate() {
        for row in 0..table.len() {
            let expected = &written[name][row];
            let place = format!("{file}, {name}, row {row}");
            match values {
                Values::Numeric(numbers) => match expected.as_f64() {
                    Some(expected) => assert_eq!(numbers[row], expected, "{place}"),
                    None => assert!(numbers[row].is_nan(), "{place}"),
                },
                Values::Categorical { .. } => {
                    let expected = match expected {
                        serde_json::Value::Null => String::new(),
                        serde_json::Value::Bool(flag) => flag.to_string(),
                        other => other.as_str().unwrap().to_owned(),
                    };
                    assert_eq!(table.feature_text(row, index), expected, "{place}");
                }
            }
        }
    }
    for row in 0..table.len() {
        let class = &table.classes[table.labels[row] as usize];
        assert_eq!(class, written["class"][row].as_str().unwrap());
    }
}

#[test]
fn parquet_in_every_codec_and_page_version() {
    for codec in ["zstd", "snappy", "gzip", "none", "lz4"] {
        for version in 1..=2 {
            check_table(&format!("{codec}-v{version}.parquet"));
        }
    }
}

#[test]
fn parquet_in_delta_and_split_encodings() {
    check_table("deltas.parquet");
}

#[test]
fn parquet_scalar_types() {
    let table = Table::read(&shipped("types.parquet"), &label("label")).unwrap();
    let numbers = |wanted: &str| match columns(&table).into_iter().find(|c| c.0 == wanted) {
        Some((_, Values::Numeric(values))) => values.clone(),
        other => panic!("{wanted}: {other:?}"),
    };
    let same = |name: &str, expected: [f64; 3]| {
        for (value, expected) in numbers(name).into_iter().zip(expected) {
            assert!(
                value == expected || value.is_nan() && expected.is_nan(),
                "{name}: {value} is not {expected}"
            );
        }
    };
    same("decimal32", [1.25, f64::NAN, -3.5]);
    same("decimal128", [12_345_678_901_234_567_890.5, -0.1, f64::NAN]);
    same("date", [1.0, f64::NAN, 10_957.0]);
    same("timestamp", [1e6, f64::NAN, 946_684_800e6]);
    same("time", [1e3, 43_200e3, f64::NAN]);
    same("half", [1.5, -0.000_976_562_5, 65_504.0]);
    same(
        "huge",
        [
            18_446_744_073_709_551_615.0,
            0.0,
            9_223_372_036_854_775_808.0,
        ],
    );
    let place = |name: &str| {
        table
            .column_names()
            .iter()
            .position(|&c| c == name)
            .unwrap()
    };
    assert_eq!(table.feature_text(0, place("binary")), "ab");
    assert_eq!(table.feature_text(1, place("binary")), "");
    assert_eq!(table.feature_text(1, place("fixed")), "abc");

    let old = Table::read(&shipped("int96.parquet"), &label("label")).unwrap();
    let (_, Values::Numeric(when)) = columns(&old)[0] else {
        panic!("times are numbers")
    };
    assert_eq!(when[0], 1e9);
    assert!(when[1].is_nan());
    assert_eq!(when[2], 946_684_800e9);
}

#[test]
fn parquet_lists_are_images_or_vectors() {
    let table = Table::read(&shipped("images.parquet"), &TableOptions::default()).unwrap();
    let (values, size, image) = dense(&table);
    assert_eq!(size, (40, 9));
    for (index, value) in values.iter().enumerate() {
        assert_eq!(*value, (index * 7 % 256) as f32);
    }
    let image = image.unwrap();
    assert_eq!((image.height, image.width, image.channels), (3, 3, 1));
    assert_eq!(table.column_names()[5], "pixel 1,2");
    assert!(
        table
            .notes
            .iter()
            .any(|note| note.contains("`split` is left out"))
    );
    let all: Vec<u32> = (0..40).collect();
    let encoding = Encoding::learn(&table, &all, &EncodingOptions::default()).unwrap();
    let dataset = encoding.encode(&table).unwrap();
    assert_eq!(dataset.features[[0, 2]], 14.0 / 255.0);
    assert_eq!(dataset.schema.image, Some(image));

    let table = Table::read(&shipped("lists.parquet"), &TableOptions::default()).unwrap();
    assert_eq!(dense(&table), (vec![1.5, 2.5, 3.5, 4.5], (2, 2), None));
    let text = refusal(&shipped("ragged-lists.parquet"), &TableOptions::default());
    assert!(
        text.contains("row 2: the list has 1 values, where the first row has 2"),
        "{text}"
    );
    let text = refusal(&shipped("gap-lists.parquet"), &TableOptions::default());
    assert!(
        text.contains("row 2: a list, or a value in it, is missing"),
        "{text}"
    );
}

#[test]
fn parquet_that_cannot_be_read_says_why() {
    let text = refusal(&shipped("brotli.parquet"), &label("class"));
    assert!(
        text.contains("BROTLI cannot be read") && text.contains("zstd"),
        "{text}"
    );
    let text = refusal(&shipped("nested.parquet"), &label("label"));
    assert!(
        text.contains("column `point`") && text.contains("--drop point"),
        "{text}"
    );
    let dropped = TableOptions {
        drop: vec!["point".into()],
        ..label("label")
    };
    let table = Table::read(&shipped("nested.parquet"), &dropped).unwrap();
    assert_eq!(table.column_names(), ["z"]);
    let missing = refusal(&shipped("not-there.parquet"), &TableOptions::default());
    assert!(missing.contains("cannot read the file"), "{missing}");
}

/// Cut off anywhere or with any byte changed, a file is refused or read, without a panic.
#[test]
fn damaged_parquet_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.parquet");
    let (mut refused, mut tried) = (0, 0);
    for file in [
        "zstd-v1.parquet",
        "zstd-v2.parquet",
        "deltas.parquet",
        "snappy-v2.parquet",
        "images.parquet",
    ] {
        let whole = std::fs::read(shipped(file)).unwrap();
        for length in (0..whole.len()).step_by(97) {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = Table::read(&path, &label("class")).unwrap_err();
            assert!(!error.to_string().is_empty());
        }
        for (index, mask) in (0..whole.len())
            .step_by(13)
            .zip([0x01, 0x80, 0xff, 0x10].iter().cycle())
        {
            let mut changed = whole.clone();
            changed[index] ^= mask;
            std::fs::write(&path, &changed).unwrap();
            tried += 1;
            refused += u32::from(Table::read(&path, &label("class")).is_err());
        }
    }
    // Without checksums some changes go unseen; that most were seen shows that the loop ran.
    assert!(refused * 5 > tried, "{refused} of {tried}");
}

#[test]
fn arrays_of_every_type_and_order() {
    for name in [
        "f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "big-f4", "big-i2",
        "fortran",
    ] {
        let file = format!("grid-{name}.npy");
        let table = Table::read(&shipped(&file), &labels_file("labels-i8.npy")).unwrap();
        let (values, size, image) = dense(&table);
        let shift = if name.contains(['f', 'i']) && name != "fortran" {
            5.0
        } else {
            0.0
        };
        let expected: Vec<f32> = (0..12).map(|value| value as f32 - shift).collect();
        assert_eq!((values, size, image), (expected, (4, 3), None), "{file}");
        assert_eq!(table.labels, [0, 1, 1, 0]);
    }
    let table = Table::read(&shipped("grid-b1.npy"), &labels_file("labels-text.npy")).unwrap();
    assert_eq!(dense(&table).0[..3], [0.0, 1.0, 0.0]);
    assert_eq!(table.classes, ["no", "yes", "é"]);

    let table = Table::read(&shipped("cubes.npy"), &labels_file("labels-i8.npy")).unwrap();
    let (values, size, image) = dense(&table);
    assert_eq!(
        values,
        (0..48).map(|value| value as f32).collect::<Vec<_>>()
    );
    assert_eq!(size, (4, 12));
    let image = image.unwrap();
    assert_eq!((image.height, image.width, image.channels), (2, 2, 3));
    assert!(image.bytes);
}

/// Pixels that are no bytes have one mean and deviation per channel: checked against numpy 2
/// (`x.mean(axis=(0, 1, 2))`, `x.std(axis=(0, 1, 2))`) on 0, 0.5, …, 23.5 in the shape (4, 2, 2, 3).
#[test]
fn pixels_are_scaled_by_channel() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("halves.npy");
    let header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (4, 2, 2, 3), }\n";
    let mut bytes = b"\x93NUMPY\x01\0".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header);
    for value in 0..48 {
        bytes.extend((value as f32 / 2.0).to_le_bytes());
    }
    std::fs::write(&path, bytes).unwrap();
    let table = Table::read(&path, &labels_file("labels-i8.npy")).unwrap();
    assert!(!dense(&table).2.unwrap().bytes);
    let all: Vec<u32> = (0..4).collect();
    let options = EncodingOptions::default();
    let encoding = Encoding::learn(&table, &all, &options).unwrap();
    let features = encoding.encode(&table).unwrap().features;
    let (means, sd) = ([11.25, 11.75, 12.25], 6.914_658_3);
    for ((_, index), (value, read)) in features
        .indexed_iter()
        .map(|(at, value)| (at, *value))
        .zip((0..48).map(|value| f64::from(value) / 2.0))
        .map(|((at, value), read)| (at, (value, read)))
    {
        let expected = ((read - means[index % 3]) / sd) as f32;
        assert!((value - expected).abs() < 1e-6, "{value} {expected}");
    }
    // Bytes are divided by 255, and the two are not mixed.
    let bytes = Table::read(&shipped("cubes.npy"), &labels_file("labels-i8.npy")).unwrap();
    let error = encoding.encode(&bytes).unwrap_err().to_string();
    assert!(error.contains("are whole numbers from 0 to 255"), "{error}");
    let encoding = Encoding::learn(&bytes, &all, &options).unwrap();
    assert!(encoding.encode(&table).is_err());
    assert_eq!(
        encoding.encode(&bytes).unwrap().features[[0, 1]],
        1.0 / 255.0
    );
}

/// What `sorted(set(labels))` of Python and `numpy.unique` give, and with them `classes_` of
/// scikit-learn: the outputs of its models stand in that order.
#[test]
fn classes_that_are_texts_sort_as_texts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.npy");
    let header = b"{'descr': '|S3', 'fortran_order': False, 'shape': (4,), }\n";
    let mut bytes = b"\x93NUMPY\x01\0".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header);
    bytes.extend(b"10\x009\0\x001.010\0");
    std::fs::write(&path, bytes).unwrap();
    let options = TableOptions {
        labels_file: Some(path),
        ..TableOptions::default()
    };
    let table = Table::read(&shipped("grid-f4.npy"), &options).unwrap();
    assert_eq!(table.classes, ["1.0", "10", "9"]);
    assert_eq!(table.labels, [1, 2, 0, 1]);
}

#[test]
fn archives_of_arrays() {
    let options = TableOptions {
        group: Some("person".into()),
        ..TableOptions::default()
    };
    let table = Table::read(&shipped("plain.npz"), &options).unwrap();
    assert_eq!(
        dense(&table).0,
        (0..12).map(|value| value as f32).collect::<Vec<_>>()
    );
    assert_eq!(table.groups.unwrap(), ["a", "a", "b", "b"]);
    let table = Table::read(&shipped("packed.npz"), &TableOptions::default()).unwrap();
    assert_eq!(dense(&table).1, (400, 30));
    assert_eq!(dense(&table).0[30..33], [3.0, 4.0, 5.0]);
    assert_eq!(table.labels[..4], [0, 1, 2, 0]);
    let text = refusal(&shipped("plain.npz"), &label("Y"));
    assert!(text.contains("did you mean `y`?"), "{text}");
}

#[test]
fn arrays_that_cannot_be_read_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    let text = refusal(&shipped("objects.npy"), &labels_file("labels-i8.npy"));
    assert!(text.contains("pickle"), "{text}");
    let text = refusal(&shipped("grid-f4.npy"), &TableOptions::default());
    assert!(text.contains("--labels-file"), "{text}");
    let text = refusal(&shipped("grid-f4.npy"), &labels_file("labels-onehot.npy"));
    assert!(
        text.contains("[4, 4]") && text.contains("one-hot"),
        "{text}"
    );
    let whole = std::fs::read(shipped("grid-f4.npy")).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        refusal(&path, &labels_file("labels-i8.npy"));
    }
    let mut infinite = whole.clone();
    let last = infinite.len() - 4;
    infinite[last..].copy_from_slice(&f32::INFINITY.to_le_bytes());
    std::fs::write(&path, &infinite).unwrap();
    let text = refusal(&path, &labels_file("labels-i8.npy"));
    assert!(
        text.contains("row 4, column 3: the value `inf` is not finite"),
        "{text}"
    );
    // A header that declares more than memory holds.
    let header = String::from_utf8_lossy(&whole[10..128]).into_owned();
    let hostile = header.replace("(4, 3), }    ", "(400000000000, 3), }    ");
    let mut file = whole[..10].to_vec();
    file.extend(&hostile.as_bytes()[..118]);
    file.extend(&whole[128..]);
    std::fs::write(&path, &file).unwrap();
    let text = refusal(&path, &labels_file("labels-i8.npy"));
    assert!(text.contains("400000000000"), "{text}");
}

#[test]
fn damaged_archives_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npz");
    let whole = std::fs::read(shipped("packed.npz")).unwrap();
    for length in (4..whole.len()).step_by(11) {
        std::fs::write(&path, &whole[..length]).unwrap();
        refusal(&path, &TableOptions::default());
    }
    for index in (4..whole.len()).step_by(3) {
        let mut changed = whole.clone();
        changed[index] ^= 0xff;
        std::fs::write(&path, &changed).unwrap();
        // A change in a field that nobody reads leaves the values as they were.
        if let Ok(table) = Table::read(&path, &TableOptions::default()) {
            assert_eq!(dense(&table).0[30..33], [3.0, 4.0, 5.0], "byte {index}");
        }
    }
}

#[test]
fn idx_images_with_their_labels() {
    let path = shipped("tiny-images-idx3-ubyte.gz");
    let table = Table::read(&path, &TableOptions::default()).unwrap();
    let (values, size, image) = dense(&table);
    assert_eq!(size, (40, 9));
    assert_eq!(values[..4], [0.0, 7.0, 14.0, 21.0]);
    assert!(image.is_some_and(|image| image.bytes && image.height == 3));
    assert_eq!(table.labels[..5], [0, 1, 2, 3, 0]);
    assert!(table.notes[0].contains("tiny-labels-idx1-ubyte"));

    let folder = tempfile::tempdir().unwrap();
    let alone = folder.path().join("some-images-idx3-ubyte.gz");
    std::fs::copy(&path, &alone).unwrap();
    let text = refusal(&alone, &TableOptions::default());
    assert!(
        text.contains("some-labels-idx1-ubyte") && text.contains("--labels-file"),
        "{text}"
    );

    let labels = std::fs::read(shipped("tiny-labels-idx1-ubyte")).unwrap();
    let damaged = folder.path().join("labels");
    let refused = |bytes: &[u8], words: &str| {
        std::fs::write(&damaged, bytes).unwrap();
        let options = TableOptions {
            labels_file: Some(damaged.clone()),
            ..TableOptions::default()
        };
        let text = refusal(&path, &options);
        assert!(text.contains(words) && text.contains("labels"), "{text}");
    };
    refused(&labels[..30], "cut off");
    refused(&[labels.as_slice(), &[0]].concat(), "goes on after its end");
    refused(&[0, 0, 8, 1, 0xff, 0xff, 0xff, 0xff, 1], "4294967295");
    refused(&[0, 0, 8, 1, 0, 0, 0, 2, 1, 0], "40 records and 2 labels");
}

/// The encoding is scikit-learn's, learnt from the first 45 rows alone.
#[test]
fn encoding_equals_scikit_learn() {
    let options = TableOptions {
        categorical: vec!["job".into()],
        ..label("label")
    };
    let table = Table::read(&shipped("mixed.csv"), &options).unwrap();
    let reference: Vec<u32> = (0..45).collect();
    let encoding = Encoding::learn(&table, &reference, &EncodingOptions::default()).unwrap();
    let dataset = encoding.encode(&table).unwrap();
    let text = std::fs::read_to_string(shipped("mixed-encoded.txt")).unwrap();
    let expected: Vec<Vec<f64>> = text
        .lines()
        .map(|line| {
            line.split(' ')
                .map(|number| number.parse().unwrap())
                .collect()
        })
        .collect();
    let names: Vec<&str> = dataset
        .schema
        .features
        .iter()
        .map(|f| f.name.as_str())
        .collect();
    // Levels that are not all numbers sort as text, as they do for scikit-learn.
    assert_eq!(
        names,
        [
            "age",
            "income",
            "income is missing",
            "big",
            "town = Aachen",
            "town = Köln, Süd",
            "town = Ulm",
            "job = 10",
            "job = 9",
            "job = a",
            "job = b",
            "job is missing",
        ]
    );
    for (row, expected) in expected.iter().enumerate() {
        assert_eq!(expected.len(), names.len());
        for (feature, &expected) in expected.iter().enumerate() {
            let value = f64::from(dataset.features[[row, feature]]);
            // `big` has a spread of 1e-3 around 1e9, so that doubles hold it to 1e-4 only.
            let tolerance = if names[feature] == "big" { 1e-4 } else { 1e-7 };
            assert!(
                (value - expected).abs() <= tolerance * expected.abs().max(1.0),
                "row {row}, {}: {value} is not {expected}",
                names[feature]
            );
        }
    }
    let json = serde_json::to_string(&encoding).unwrap();
    let back: Encoding = serde_json::from_str(&json).unwrap();
    assert_eq!(back, encoding);
    assert_eq!(back.encode(&table).unwrap(), dataset);

    // Permuting records permutes what they are encoded as, and nothing else.
    let order: Vec<u32> = (0..60).map(|row| row * 7 % 60).collect();
    let permuted = encoding.encode(&table.select(&order)).unwrap();
    for (new, &old) in order.iter().enumerate() {
        assert_eq!(
            permuted.features.row(new),
            dataset.features.row(old as usize)
        );
        assert_eq!(permuted.ids[new], dataset.ids[old as usize]);
        assert_eq!(permuted.labels[new], dataset.labels[old as usize]);
    }
    let plain = EncodingOptions {
        scaling: Scaling::None,
        ..EncodingOptions::default()
    };
    let unscaled = Encoding::learn(&table, &reference, &plain)
        .unwrap()
        .encode(&table)
        .unwrap();
    assert_eq!(
        unscaled.features[[0, 0]].to_string(),
        table.feature_text(0, 0)
    );
}
