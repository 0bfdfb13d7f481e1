//! Fetching and reading, with small data sets of our own in the place of the known ones.

use std::cell::RefCell;
use std::io::Write;
use std::path::Path;

use flate2::{Compression, write::GzEncoder};

use super::cache::{Cache, Check, Kind, digest};
use super::fetch::{FetchOptions, Fetched, fetch};
use super::{Format, KnownData, KnownFile, Packing, Part, read, tar};
use crate::dataset::{Body, Table, TableOptions};
use crate::{Error, ErrorKind, Result};

const PLAIN: KnownData = KnownData {
    name: "small",
    title: "",
    records: 4,
    features: 2,
    classes: 2,
    image: None,
    label: "",
    about: "",
    licence: "",
    citation: "",
    source: "",
    files: &[],
    format: Format::LabelFirst,
};
const ROWS: &[u8] = b"1,0,1\n2,1,1\n1,0,0\n2,1,0\n";

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn part(path: &'static str) -> Part {
    Part {
        path,
        size: None,
        sha256: None,
        largest: 100_000,
    }
}

/// A published file; with the checksum of `content`, if there is one.
fn file(
    name: &'static str,
    content: Option<&[u8]>,
    packing: Packing,
    parts: Vec<Part>,
) -> KnownFile {
    KnownFile {
        name,
        urls: &["http://one.example/x", "http://two.example/x"],
        size: content.map(|content| content.len() as u64),
        sha256: content.map(|content| leak(digest(content).unwrap().1).as_str()),
        checksum_from: "a test",
        largest: 100_000,
        packing,
        parts: leak(parts),
    }
}

/// Rows of text in an archive, with a published checksum or without.
fn rows_in_archive(archive: &[u8], published: bool) -> KnownData {
    let file = file(
        "rows.tgz",
        published.then_some(archive),
        Packing::TarGzip,
        vec![part("folder/rows")],
    );
    KnownData {
        files: leak([file]),
        ..PLAIN
    }
}

fn archive() -> Vec<u8> {
    gzip(&tar::written(&[
        ("../../etc/passwd", b"no"),
        ("folder/rows", ROWS),
    ]))
}

fn no_network(url: &str, _: &mut dyn Write, _: u64) -> Result<()> {
    Err(Error::input(format!("no network for {url}")))
}

fn from(path: &Path, accept_unverified: bool) -> FetchOptions {
    FetchOptions {
        from: Some(path.to_path_buf()),
        sha256: None,
        accept_unverified,
    }
}

fn get(data: &KnownData, cache: &Cache, options: &FetchOptions) -> Result<Fetched> {
    fetch(data, cache, options, &mut no_network, &|_| ())
}

fn table(cache: &Cache, data: &KnownData) -> Result<Table> {
    read(cache, data, &TableOptions::default())
}

/// Files in the folder of a data set, without the lock.
fn names(cache: &Cache, data: &KnownData) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(cache.folder(data))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != ".lock")
        .collect();
    names.sort();
    names
}

#[test]
fn a_verified_archive_is_kept_as_published_and_read_through() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path().join("cache"));
    let data = rows_in_archive(&archive(), true);
    let path = folder.path().join("any-name");
    std::fs::write(&path, archive()).unwrap();
    let fetched = get(&data, &cache, &from(&path, false)).unwrap();
    assert_eq!(fetched.receipt.files[0].check, Check::Published);
    assert_eq!(names(&cache, &data), ["receipt.json", "rows.tgz"]);
    let table = table(&cache, &data).unwrap();
    assert_eq!(
        (table.labels.as_slice(), table.name.as_str()),
        (&[0, 1, 0, 1][..], "small")
    );
    let Body::Dense { values, .. } = &table.body else {
        panic!("rows of numbers are dense")
    };
    assert_eq!(values.as_slice().unwrap(), [0., 1., 1., 1., 0., 0., 1., 0.]);
    assert!(!folder.path().join("etc").exists());
}

#[test]
fn the_network_is_asked_once_and_mirrors_in_turn() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let content = archive();
    let data = rows_in_archive(&content, true);
    let asked = RefCell::new(Vec::new());
    let mut download = |url: &str, to: &mut dyn Write, limit: u64| {
        asked.borrow_mut().push(url.to_owned());
        assert_eq!(limit, 100_000);
        if url.contains("one") {
            // Another file than the published one.
            to.write_all(b"<html>").unwrap();
        } else {
            to.write_all(&content).unwrap();
        }
        Ok(())
    };
    let mut again = || {
        fetch(
            &data,
            &cache,
            &FetchOptions::default(),
            &mut download,
            &|_| (),
        )
    };
    assert_eq!(again().unwrap().were_there, [false]);
    assert_eq!(again().unwrap().were_there, [true]);
    assert_eq!(asked.borrow().len(), 2);
    // A damaged file is seen on reading, and fetched again.
    let path = cache.folder(&data).join("rows.tgz");
    let mut damaged = content.clone();
    damaged[20] ^= 1;
    std::fs::write(&path, damaged).unwrap();
    let error = table(&cache, &data).unwrap_err();
    assert!(error.to_string().contains("changed since"), "{error}");
    assert_eq!(again().unwrap().were_there, [false]);
    table(&cache, &data).unwrap();
}

#[test]
fn without_network_the_error_says_what_to_get() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let data = rows_in_archive(&archive(), true);
    let error = get(&data, &cache, &FetchOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    let hint = error.hint_text().unwrap();
    for said in [
        "http://one.example/x",
        data.files[0].sha256.unwrap(),
        "giveaway data fetch small --from rows.tgz",
    ] {
        assert!(hint.contains(said), "{hint}");
    }
    assert!(names(&cache, &data).is_empty());
    assert!(
        table(&cache, &data)
            .unwrap_err()
            .hint_text()
            .unwrap()
            .contains("data fetch small")
    );
}

#[test]
fn endless_and_wrong_content_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let data = rows_in_archive(&archive(), true);
    let mut endless = |_: &str, to: &mut dyn Write, _: u64| {
        for _ in 0..1000 {
            to.write_all(&[0; 1000])
                .map_err(|e| Error::input(e.to_string()))?;
        }
        Ok(())
    };
    let error = fetch(
        &data,
        &cache,
        &FetchOptions::default(),
        &mut endless,
        &|_| (),
    )
    .unwrap_err();
    assert!(
        error.to_string().contains("longer than 100000 bytes"),
        "{error}"
    );
    let path = folder.path().join("rows.tgz");
    std::fs::write(&path, &archive()[1..]).unwrap();
    let error = get(&data, &cache, &from(&path, false)).unwrap_err();
    assert!(error.to_string().contains("are published"), "{error}");
    let mut other = archive();
    *other.last_mut().unwrap() ^= 1;
    std::fs::write(&path, other).unwrap();
    let error = get(&data, &cache, &from(&path, false)).unwrap_err();
    assert!(error.to_string().contains("its SHA-256 is"), "{error}");
    assert!(names(&cache, &data).is_empty());
}

#[test]
fn without_a_published_checksum_the_user_has_to_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path().join("cache"));
    let content = archive();
    let data = rows_in_archive(&content, false);
    let path = folder.path().join("rows.tgz");
    std::fs::write(&path, &content).unwrap();
    let error = get(&data, &cache, &from(&path, false)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.hint_text().unwrap().contains("--accept-unverified"));
    let sum = digest(content.as_slice()).unwrap().1;
    let with = |sum: &str| FetchOptions {
        sha256: Some(sum.to_owned()),
        ..from(&path, false)
    };
    assert!(get(&data, &cache, &with("12")).is_err());
    assert!(get(&data, &cache, &with(&sum.replace(&sum[..1], "x"))).is_err());
    let wrong = format!("{:x}{}", u8::from(sum.starts_with('0')), &sum[1..]);
    assert!(get(&data, &cache, &with(&wrong)).is_err());
    let given = get(&data, &cache, &with(&sum.to_uppercase())).unwrap();
    assert_eq!(given.receipt.files[0].check, Check::Given);
    let taken = get(&data, &cache, &from(&path, true)).unwrap();
    assert_eq!(taken.receipt.files[0].check, Check::None);
    assert_eq!(taken.receipt.files[0].sha256, sum);
    table(&cache, &data).unwrap();
    // It is counted, and not kept if it is something else.
    let other = gzip(&tar::written(&[("folder/rows", &ROWS[..12])]));
    std::fs::write(&path, other).unwrap();
    let error = get(&data, &cache, &from(&path, true)).unwrap_err();
    assert!(error.to_string().contains("2 records"), "{error}");
    assert!(names(&cache, &data).is_empty());
    // A checksum that is published is not to be overridden.
    let published = rows_in_archive(&content, true);
    assert_eq!(
        get(&published, &cache, &from(&path, true))
            .unwrap_err()
            .kind(),
        ErrorKind::Usage
    );
}

#[test]
fn hostile_archives_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path().join("cache"));
    let path = folder.path().join("rows.tgz");
    let refusal = |members: &[(&str, &[u8])]| {
        let content = gzip(&tar::written(members));
        std::fs::write(&path, &content).unwrap();
        let data = rows_in_archive(&content, true);
        get(&data, &cache, &from(&path, false)).unwrap();
        table(&cache, &data).unwrap_err().to_string()
    };
    let twice: [(&str, &[u8]); 2] = [("folder/rows", ROWS), ("x/folder/rows", ROWS)];
    assert!(refusal(&twice).contains("twice"));
    assert!(refusal(&[("rows", ROWS)]).contains("does not hold folder/rows"));
    let bomb = vec![b'\n'; 300_000];
    let said = refusal(&[("folder/rows", &[ROWS, &bomb].concat())]);
    assert!(said.contains("longer than 100000 bytes"), "{said}");
    // Zeros without end pack well: 200 MB, and some 200 kB here.
    let zeros = vec![0; 200_000_000];
    let content = gzip(&tar::written(&[("zeros", &zeros), ("folder/rows", ROWS)]));
    let mut data = rows_in_archive(&content, true);
    let mut file = data.files[0];
    file.largest = content.len() as u64;
    data.files = leak([file]);
    std::fs::write(&path, &content).unwrap();
    get(&data, &cache, &from(&path, false)).unwrap();
    assert!(
        table(&cache, &data)
            .unwrap_err()
            .to_string()
            .contains("cut off")
    );
    // Cut off in the middle of the compressed stream.
    let cut = archive();
    let cut = &cut[..cut.len() / 2];
    std::fs::write(&path, cut).unwrap();
    let data = rows_in_archive(cut, true);
    get(&data, &cache, &from(&path, false)).unwrap();
    assert!(
        table(&cache, &data)
            .unwrap_err()
            .to_string()
            .contains("damaged")
    );
}

fn idx(shape: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut content = vec![0, 0, 8, shape.len() as u8];
    content.extend(shape.iter().flat_map(|size| size.to_be_bytes()));
    content.extend(bytes);
    content
}

#[test]
fn pairs_of_idx_files_follow_each_other_packed_or_not() {
    let contents = [
        (
            "train-images-idx3-ubyte",
            idx(&[3, 2, 2], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255]),
        ),
        ("train-labels-idx1-ubyte", idx(&[3], &[1, 0, 1])),
        ("t10k-images-idx3-ubyte", idx(&[1, 2, 2], &[9, 9, 9, 9])),
        ("t10k-labels-idx1-ubyte", idx(&[1], &[0])),
    ];
    let files: Vec<KnownFile> = contents
        .iter()
        .map(|(name, content)| {
            let inside = Part {
                sha256: Some(leak(digest(content.as_slice()).unwrap().1).as_str()),
                ..part(name)
            };
            let name = leak(format!("{name}.gz"));
            file(name, Some(&gzip(content)), Packing::Gzip, vec![inside])
        })
        .collect();
    let data = KnownData {
        files: leak(files),
        format: Format::Idx,
        ..PLAIN
    };
    let mut hashes = Vec::new();
    for packed in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("cache"));
        for (name, content) in &contents {
            if packed {
                std::fs::write(folder.path().join(format!("{name}.gz")), gzip(content)).unwrap();
            } else {
                let name = name.replace("-idx", ".idx");
                std::fs::write(folder.path().join(name), content).unwrap();
            }
        }
        get(&data, &cache, &from(folder.path(), false)).unwrap();
        let table = table(&cache, &data).unwrap();
        assert_eq!(table.labels, [1, 0, 1, 0]);
        let Body::Dense { values, image, .. } = &table.body else {
            panic!("images are dense")
        };
        assert_eq!(values.row(2).to_vec(), [8.0, 9.0, 10.0, 255.0]);
        assert_eq!(values.row(3).to_vec(), [9.0; 4]);
        assert!(image.unwrap().bytes);
        hashes.push(table.content_hash);
        // One file is missing.
        let gone = if packed {
            "t10k-labels-idx1-ubyte.gz"
        } else {
            "t10k-labels.idx1-ubyte"
        };
        std::fs::remove_file(folder.path().join(gone)).unwrap();
        let error = get(&data, &cache, &from(folder.path(), false)).unwrap_err();
        assert!(error.to_string().contains("neither t10k-labels"), "{error}");
    }
    assert_ne!(hashes[0], hashes[1]);
}

#[test]
fn cifar_and_separate_labels_are_read_from_their_archives() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path().join("cache"));
    let path = folder.path().join("a.tgz");
    let record = |label: u8| [vec![label], vec![label * 20; 3072]].concat();
    let content = gzip(&tar::written(&[
        ("c/test.bin", &record(7)),
        ("c/train.bin", &[record(3), record(7)].concat()),
    ]));
    std::fs::write(&path, &content).unwrap();
    let parts = vec![part("c/train.bin"), part("c/test.bin")];
    let data = KnownData {
        records: 3,
        features: 3072,
        classes: 10,
        files: leak([file("a.tgz", Some(&content), Packing::TarGzip, parts)]),
        format: Format::Cifar,
        ..PLAIN
    };
    get(&data, &cache, &from(&path, false)).unwrap();
    let images = table(&cache, &data).unwrap();
    // Training images first, whatever the order in the archive.
    assert_eq!(
        (images.labels.as_slice(), images.classes.len()),
        (&[0, 1, 1][..], 2)
    );

    let content = gzip(&tar::written(&[
        ("t/labels", b"2\n1\n2\n"),
        ("t/feats", b"0,1\n1,1\n0,0\n"),
    ]));
    std::fs::write(&path, &content).unwrap();
    let parts = vec![part("t/feats"), part("t/labels")];
    let data = KnownData {
        records: 3,
        files: leak([file("a.tgz", Some(&content), Packing::TarGzip, parts)]),
        format: Format::FeaturesThenLabels,
        ..PLAIN
    };
    get(&data, &cache, &from(&path, false)).unwrap();
    assert_eq!(table(&cache, &data).unwrap().labels, [1, 0, 1]);
}

#[test]
fn a_copy_is_counted_and_said_to_be_one() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path().join("cache"));
    let data = rows_in_archive(&archive(), true);
    let path = folder.path().join("Copy.CSV");
    std::fs::write(
        &path,
        "a,b,split,label\n0,1,x,u\n1,1,x,v\n0,0,y,u\n1,0,y,v\n",
    )
    .unwrap();
    let fetched = get(&data, &cache, &from(&path, false)).unwrap();
    assert_eq!(fetched.receipt.kind, Kind::Copy);
    assert_eq!(fetched.receipt.drop, ["split"]);
    assert_eq!(names(&cache, &data), ["copy.csv", "receipt.json"]);
    let table = table(&cache, &data).unwrap();
    assert!(
        table.notes.iter().any(|note| note.contains("copy")),
        "{:?}",
        table.notes
    );
    // The published file takes its place.
    let published = folder.path().join("rows.tgz");
    std::fs::write(&published, archive()).unwrap();
    get(&data, &cache, &from(&published, false)).unwrap();
    assert_eq!(names(&cache, &data), ["receipt.json", "rows.tgz"]);
    std::fs::write(&path, "a,b,label\n0,1,u\n1,1,v\n0,0,u\n").unwrap();
    let error = get(&data, &cache, &from(&path, false)).unwrap_err();
    assert!(error.to_string().contains("3 records"), "{error}");
    // What was there before is still there.
    assert_eq!(names(&cache, &data), ["receipt.json", "rows.tgz"]);
    read(&cache, &data, &TableOptions::default()).unwrap();
    // Rows as published, under a name of one's own, are no copy.
    let unverified = rows_in_archive(&archive(), false);
    std::fs::write(&path, ROWS).unwrap();
    let fetched = get(&unverified, &cache, &from(&path, true)).unwrap();
    assert_eq!(fetched.receipt.kind, Kind::Published);
}

#[test]
fn a_receipt_leads_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path().join("cache"));
    let data = rows_in_archive(&archive(), true);
    let path = folder.path().join("rows.tgz");
    std::fs::write(&path, archive()).unwrap();
    get(&data, &cache, &from(&path, false)).unwrap();
    let receipt = cache.folder(&data).join("receipt.json");
    let text = std::fs::read_to_string(&receipt).unwrap();
    for wrong in [
        text.replace("\"rows.tgz\"", "\"../../rows.tgz\""),
        text.replace("\"small\"", "\"large\""),
        "{}".to_owned(),
    ] {
        std::fs::write(&receipt, wrong).unwrap();
        let error = table(&cache, &data).unwrap_err();
        assert!(error.to_string().contains("not a receipt"), "{error}");
    }
}
