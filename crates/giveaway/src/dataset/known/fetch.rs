//! Puts a known data set into the cache: downloaded, or from a local copy.
//!
//! Every file is written beside its place under another name, measured and hashed on the way,
//! compared, and only then given its name; the receipt is written last. Files that are there
//! and have the right checksum are not fetched again.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::cache::{
    Check, Kind, Receipt, Stored, UNFINISHED, digest, finish, hexadecimal, unfinished,
};
use super::{Cache, Format, KnownData, KnownFile, Part, read};
use crate::dataset::{Body, Table, TableOptions};
use crate::{Error, Result};

/// Gets what is at an address and writes it out, `limit` bytes at most.
pub type Download<'a> = dyn FnMut(&str, &mut dyn Write, u64) -> Result<()> + 'a;

/// What fetching is doing, for someone who watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A file of this name and so many bytes; 0 where that is not known.
    Begin(&'a str, u64),
    /// So many more bytes.
    Advance(u64),
    /// The file is over.
    End,
}

/// Watches.
pub type Watch<'a> = dyn Fn(Step<'_>) + 'a;

/// How a data set is fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchOptions {
    /// A local copy in the place of the network: a published file, a folder with the
    /// published files or what is inside them, or a table or array of the records.
    pub from: Option<PathBuf>,
    /// The SHA-256 of a file for which none is published.
    pub sha256: Option<String>,
    /// Whether a file for which no checksum is published is taken without one.
    pub accept_unverified: bool,
}

/// What was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Where it lies.
    pub folder: PathBuf,
    /// What it is.
    pub receipt: Receipt,
    /// Which of the files were there before.
    pub were_there: Vec<bool>,
}

/// The names of arrays and columns that usually hold the class.
const LABELS: [&str; 7] = ["label", "labels", "class", "target", "y", "Label", "Class"];
/// Columns that tell which part of the data set a record is from.
const SPLITS: [&str; 2] = ["split", "Split"];
/// A copy in another format is not larger than this.
const LARGEST_COPY: u64 = 8 << 30;

/// A file that is wanted in the cache.
struct Wanted<'a> {
    /// What it is called there.
    name: String,
    size: Option<u64>,
    sha256: Option<&'a str>,
    largest: u64,
    from: From<'a>,
}

enum From<'a> {
    Network(&'a KnownFile),
    Disk(PathBuf),
}

/// Fetches a data set into the cache.
///
/// # Errors
/// If the network or the local copy does not have it, a size or checksum is another than the
/// published one, or no checksum is published and the options neither give one nor do without.
pub fn fetch(
    data: &KnownData,
    cache: &Cache,
    options: &FetchOptions,
    download: &mut Download<'_>,
    watch: &Watch<'_>,
) -> Result<Fetched> {
    if data.is_shipped() {
        return Err(
            Error::usage("the data set comes with the program: there is nothing to fetch")
                .at(data.name)
                .hint(format!("audit it: giveaway audit {}", data.name)),
        );
    }
    let given = options.sha256.as_deref().map(checksum).transpose()?;
    let plan = plan(data, options)?;
    let folder = cache.folder(data);
    std::fs::create_dir_all(&folder).map_err(|e| Error::io("make the folder", &folder, &e))?;
    let _lock = lock(&folder, data)?;
    let before = cache.receipt(data).unwrap_or(None);
    let (kind, wanted) = match plan {
        Plan::Files(wanted) => (Kind::Published, wanted),
        Plan::Copy(path) => {
            let name = copy_name(&path);
            let wanted = Wanted {
                name,
                size: None,
                sha256: None,
                largest: LARGEST_COPY,
                from: From::Disk(path),
            };
            (Kind::Copy, vec![wanted])
        }
    };
    // What is there: by the published checksum, or by the one that it was stored with.
    let there: Vec<Option<Stored>> = wanted
        .iter()
        .map(|wanted| already(&folder, wanted, kind, before.as_ref(), given.as_deref()))
        .collect();
    check_options(data, &wanted, &there, kind, options)?;

    let mut receipt = Receipt::new(data, kind);
    for (wanted, there) in wanted.iter().zip(&there) {
        if let Some(stored) = there {
            receipt.files.push(stored.clone());
            continue;
        }
        let expected = wanted
            .sha256
            .map(|sum| (sum, Check::Published))
            .or_else(|| given.as_deref().map(|sum| (sum, Check::Given)));
        let stored = get(data, &folder, wanted, expected, download, watch)?;
        receipt.files.push(stored);
    }
    let settled = settle(data, &folder, &mut receipt);
    if let Err(error) = settled {
        // What cannot be read is not kept; what was there before is, unless it was replaced.
        let new = receipt
            .files
            .iter()
            .zip(&there)
            .filter(|(_, there)| there.is_none());
        for (stored, _) in new {
            let replaced = |old: &Stored| old.file == stored.file;
            if before
                .as_ref()
                .is_some_and(|before| before.files.iter().any(replaced))
            {
                cache.remove_receipt(data)?;
            }
            let _ = std::fs::remove_file(folder.join(&stored.file));
        }
        return Err(error);
    }
    cache.write_receipt(data, &receipt)?;
    for old in before.iter().flat_map(|before| &before.files) {
        if !receipt.files.iter().any(|stored| stored.file == old.file) {
            let _ = std::fs::remove_file(folder.join(&old.file));
        }
    }
    Ok(Fetched {
        folder,
        receipt,
        were_there: there.iter().map(Option::is_some).collect(),
    })
}

/// One process at a time; what a killed one left is taken away.
fn lock(folder: &Path, data: &KnownData) -> Result<File> {
    let path = folder.join(".lock");
    let file = File::create(&path).map_err(|e| Error::io("write to the folder", folder, &e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            return Err(Error::input("another process is fetching this data set")
                .at(data.name)
                .hint("wait until it is done"));
        }
        // A file system without locks: two processes then fetch twice, each whole.
        Err(std::fs::TryLockError::Error(_)) => return Ok(file),
    }
    let entries =
        std::fs::read_dir(folder).map_err(|e| Error::io("read the folder", folder, &e))?;
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(file)
}

/// A SHA-256 as it is typed.
fn checksum(text: &str) -> Result<String> {
    let text = text.trim().to_ascii_lowercase();
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text);
    }
    Err(Error::usage("a SHA-256 has 64 hexadecimal digits")
        .at("--sha256")
        .hint("give it as sha256sum prints it"))
}

/// Before anything is fetched: is it known what each file must be?
fn check_options(
    data: &KnownData,
    wanted: &[Wanted<'_>],
    there: &[Option<Stored>],
    kind: Kind,
    options: &FetchOptions,
) -> Result<()> {
    let open: Vec<&Wanted<'_>> = wanted
        .iter()
        .zip(there)
        .filter(|(wanted, there)| there.is_none() && wanted.sha256.is_none())
        .map(|(wanted, _)| wanted)
        .collect();
    let all_published = wanted.iter().all(|wanted| wanted.sha256.is_some());
    if all_published && (options.sha256.is_some() || options.accept_unverified) {
        let option = if options.sha256.is_some() {
            "--sha256"
        } else {
            "--accept-unverified"
        };
        return Err(Error::usage("the checksums of these files are published")
            .at(option)
            .hint("leave it out"));
    }
    if options.sha256.is_some() && open.len() > 1 {
        return Err(Error::usage(format!(
            "one checksum is given, and {} files are without a published one",
            open.len()
        ))
        .at("--sha256")
        .hint("give the archive in their place, or --accept-unverified"));
    }
    if kind == Kind::Copy || options.sha256.is_some() || options.accept_unverified {
        return Ok(());
    }
    let Some(first) = open.first() else {
        return Ok(());
    };
    let reason = data
        .files
        .iter()
        .find(|file| file.name == first.name)
        .map_or("of the unpacked file none was found", |file| {
            file.checksum_from
        });
    Err(Error::usage(format!(
        "no checksum is known of {}: {reason}",
        first.name
    ))
    .at(data.name)
    .hint("give --sha256 HEX if you have one from a source that you trust, or --accept-unverified to take the file as it comes: its SHA-256 is then printed and stored, and its records are counted"))
}

/// What is stored of a file, if it is there and what it should be.
fn already(
    folder: &Path,
    wanted: &Wanted<'_>,
    kind: Kind,
    before: Option<&Receipt>,
    given: Option<&str>,
) -> Option<Stored> {
    // A copy that is named is read: it may be another one.
    if kind == Kind::Copy {
        return None;
    }
    let (bytes, sha256) = File::open(folder.join(&wanted.name))
        .and_then(digest)
        .ok()?;
    let known = before
        .filter(|before| before.kind == kind)
        .and_then(|before| {
            before
                .files
                .iter()
                .find(|stored| stored.file == wanted.name)
        });
    let check = match (wanted.sha256, given, known) {
        (Some(sum), _, _) => (sum == sha256).then_some(Check::Published)?,
        (None, Some(sum), _) => (sum == sha256).then_some(Check::Given)?,
        // From the network it would come without a checksum once more; a local file that was
        // named is taken as it is now.
        (None, None, Some(known)) if matches!(wanted.from, From::Network(_)) => {
            (known.sha256 == sha256).then_some(known.check)?
        }
        _ => return None,
    };
    Some(Stored {
        file: wanted.name.clone(),
        bytes,
        sha256,
        check,
    })
}

/// Where everything is to come from.
enum Plan<'a> {
    Files(Vec<Wanted<'a>>),
    Copy(PathBuf),
}

fn plan<'a>(data: &'a KnownData, options: &FetchOptions) -> Result<Plan<'a>> {
    let Some(from) = &options.from else {
        return Ok(Plan::Files(
            data.files
                .iter()
                .map(|file| wanted_file(file, From::Network(file)))
                .collect(),
        ));
    };
    let found = std::fs::metadata(from).map_err(|e| Error::io("read the local copy", from, &e))?;
    if found.is_dir() {
        return in_folder(data, from).map(Plan::Files);
    }
    if !found.is_file() {
        return Err(Error::input("neither a file nor a folder")
            .at(from.display())
            .hint("give the published file, or a folder with it"));
    }
    let name = from
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let mut head = Vec::new();
    File::open(from)
        .and_then(|file| file.take(16).read_to_end(&mut head))
        .map_err(|e| Error::io("read the local copy", from, &e))?;
    let named = data.files.iter().any(|file| file.name == name)
        || data.parts().any(|part| names_of(part).contains(&name));
    let alone = match data.files {
        [file] => Some(file),
        _ => None,
    };
    match (alone, head.as_slice()) {
        // By whatever name, an archive can only be the one there is.
        (Some(file), [0x1f, 0x8b, ..]) if !is_table(&name) => {
            Ok(Plan::Files(vec![wanted_file(file, From::Disk(from.clone()))]))
        }
        _ if named => in_folder(data, from.parent().filter(|p| *p != Path::new("")).unwrap_or(Path::new("."))).map(Plan::Files),
        (Some(KnownFile { parts: [part], .. }), [b'0'..=b'9' | b'"', ..])
            if data.format == Format::LabelFirst && !has_header(from) =>
        {
            Ok(Plan::Files(vec![wanted_part(part, from.clone())]))
        }
        _ if is_table(&name) => Ok(Plan::Copy(from.clone())),
        _ => Err(Error::input(format!("not a file of the data set {}", data.name))
            .at(from.display())
            .hint(format!(
                "give {}, a folder with what is published, or a copy of the records as .parquet, .csv, .tsv or .npz",
                data.files.iter().map(|file| file.name).collect::<Vec<_>>().join(", ")
            ))),
    }
}

/// Whether a file is a table or an archive of arrays by its name.
fn is_table(name: &str) -> bool {
    let name = name.to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    [".parquet", ".csv", ".tsv", ".npz"]
        .iter()
        .any(|ending| name.ends_with(ending))
}

fn copy_name(path: &Path) -> String {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    let ending = [".parquet", ".csv.gz", ".tsv.gz", ".csv", ".tsv", ".npz"]
        .iter()
        .find(|ending| name.ends_with(**ending))
        .unwrap_or(&"");
    format!("copy{ending}")
}

/// Whether the first line of a text has letters.
fn has_header(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(1 << 16).read_to_end(&mut head));
    let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
    read.is_err() || line.iter().any(u8::is_ascii_alphabetic)
}

fn wanted_file<'a>(file: &'a KnownFile, from: From<'a>) -> Wanted<'a> {
    Wanted {
        name: file.name.to_owned(),
        size: file.size,
        sha256: file.sha256,
        largest: file.largest,
        from,
    }
}

fn wanted_part(part: &'static Part, path: PathBuf) -> Wanted<'static> {
    Wanted {
        name: part.file_name().to_owned(),
        size: part.size,
        sha256: part.sha256,
        largest: part.largest,
        from: From::Disk(path),
    }
}

/// The names that an unpacked part goes by: some unpack `train-images-idx3-ubyte` as
/// `train-images.idx3-ubyte`.
fn names_of(part: &Part) -> Vec<String> {
    let name = part.file_name();
    let mut names = vec![name.to_owned()];
    for kind in ["idx1", "idx3"] {
        if name.contains(kind) {
            names.push(name.replace(&format!("-{kind}"), &format!(".{kind}")));
        }
    }
    names
}

/// Finds the published files in a folder, or else what is inside them.
fn in_folder<'a>(data: &'a KnownData, folder: &Path) -> Result<Vec<Wanted<'a>>> {
    let mut wanted = Vec::new();
    for file in data.files {
        let path = folder.join(file.name);
        if path.is_file() {
            wanted.push(wanted_file(file, From::Disk(path)));
            continue;
        }
        for part in file.parts {
            // The folder may be any of those that lead to the file.
            let components: Vec<&str> = part.path.split('/').collect();
            let path = (0..components.len())
                .flat_map(|from| {
                    let inner = components[from..components.len() - 1]
                        .iter()
                        .collect::<PathBuf>();
                    names_of(part).into_iter().map(move |name| inner.join(name))
                })
                .map(|path| folder.join(path))
                .find(|path| path.is_file())
                .ok_or_else(|| {
                    Error::input(format!(
                        "the folder holds neither {} nor {}",
                        file.name, part.path
                    ))
                    .at(folder.display())
                    .hint(format!(
                        "`giveaway data describe {}` lists the files",
                        data.name
                    ))
                })?;
            wanted.push(wanted_part(part, path));
        }
    }
    Ok(wanted)
}

/// A file in the making that knows its size and checksum.
struct Measured<'a> {
    file: tempfile::NamedTempFile,
    hasher: Sha256,
    bytes: u64,
    largest: u64,
    watch: &'a Watch<'a>,
}

impl Write for Measured<'_> {
    fn write(&mut self, content: &[u8]) -> std::io::Result<usize> {
        if self.bytes + content.len() as u64 > self.largest {
            return Err(std::io::Error::other(format!(
                "it is longer than {} bytes",
                self.largest
            )));
        }
        let written = self.file.write(content)?;
        self.hasher.update(&content[..written]);
        self.bytes += written as u64;
        (self.watch)(Step::Advance(written as u64));
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl<'a> Measured<'a> {
    fn new(folder: &Path, largest: u64, watch: &'a Watch<'a>) -> Result<Self> {
        Ok(Self {
            file: unfinished(folder)?,
            hasher: Sha256::new(),
            bytes: 0,
            largest,
            watch,
        })
    }

    /// Gives the file its name if it is what is expected.
    fn store(
        self,
        path: &Path,
        wanted: &Wanted<'_>,
        expected: Option<(&str, Check)>,
    ) -> Result<Stored> {
        let sha256 = hexadecimal(&self.hasher.finalize());
        if let Some(size) = wanted.size.filter(|&size| size != self.bytes) {
            return Err(Error::input(format!(
                "it has {} bytes, and {size} are published: it is not the file, or not whole",
                self.bytes
            )));
        }
        if let Some((sum, _)) = expected.filter(|(sum, _)| *sum != sha256) {
            return Err(Error::input(format!(
                "its SHA-256 is {sha256}, not {sum}: it is not the file, or was changed"
            )));
        }
        finish(self.file, path)?;
        Ok(Stored {
            file: wanted.name.clone(),
            bytes: self.bytes,
            sha256,
            check: expected.map_or(Check::None, |(_, check)| check),
        })
    }
}

/// Gets one file.
fn get(
    data: &KnownData,
    folder: &Path,
    wanted: &Wanted<'_>,
    expected: Option<(&str, Check)>,
    download: &mut Download<'_>,
    watch: &Watch<'_>,
) -> Result<Stored> {
    let path = folder.join(&wanted.name);
    let begin = || watch(Step::Begin(&wanted.name, wanted.size.unwrap_or(0)));
    match &wanted.from {
        From::Disk(source) => {
            begin();
            let stored = (|| {
                let mut from =
                    File::open(source).map_err(|e| Error::io("read the file", source, &e))?;
                let mut to = Measured::new(folder, wanted.largest, watch)?;
                std::io::copy(&mut from, &mut to).map_err(|e| {
                    if to.bytes + (1 << 20) > to.largest {
                        Error::input(format!("{e}, which no published file is"))
                    } else {
                        Error::io("copy the file", &path, &e)
                    }
                })?;
                to.store(&path, wanted, expected)
            })();
            watch(Step::End);
            stored.map_err(|error| {
                let error = error.at(source.display());
                match error.hint_text() {
                    Some(_) => error,
                    None => error.hint(format!(
                        "see whether it was copied or downloaded whole; `giveaway data describe {}` says what is published",
                        data.name
                    )),
                }
            })
        }
        From::Network(file) => {
            let mut reasons: Vec<String> = Vec::new();
            for url in file.urls {
                begin();
                let got = (|| {
                    let mut to = Measured::new(folder, wanted.largest, watch)?;
                    download(url, &mut to, wanted.largest)?;
                    to.store(&path, wanted, expected)
                })();
                watch(Step::End);
                match got {
                    Ok(stored) => return Ok(stored),
                    Err(error) if error.kind() == crate::ErrorKind::Unexpected => {
                        return Err(error);
                    }
                    Err(error) => {
                        let reason = error.to_string();
                        if !reasons.contains(&reason) {
                            reasons.push(reason);
                        }
                    }
                }
            }
            Err(by_hand(data, file, &reasons.join("; ")))
        }
    }
}

/// What to do where the network does not help.
fn by_hand(data: &KnownData, file: &KnownFile, reasons: &str) -> Error {
    let what = match (file.size, file.sha256) {
        (Some(size), Some(sum)) => format!("{size} bytes, SHA-256 {sum}"),
        (_, Some(sum)) => format!("SHA-256 {sum}"),
        _ => "(no checksum of it is published)".to_owned(),
    };
    let unverified = if file.sha256.is_none() {
        " --accept-unverified"
    } else {
        ""
    };
    let then = if data.files.len() == 1 {
        format!(
            "then: giveaway data fetch {} --from {}{unverified}",
            data.name, file.name
        )
    } else {
        format!(
            "and the others that `giveaway data describe {0}` lists, then: giveaway data fetch {0} --from FOLDER{unverified}",
            data.name
        )
    };
    let hint = format!(
        "get it where there is a network:\n  {}\n  {what}\n{then}",
        file.urls.join("\n  or ")
    );
    Error::input(format!("cannot fetch {}: {reasons}", file.name)).hint(hint)
}

/// Reads what no checksum vouches for, and compares its counts with those published.
fn settle(data: &KnownData, folder: &Path, receipt: &mut Receipt) -> Result<()> {
    if receipt
        .files
        .iter()
        .all(|stored| stored.check == Check::Published)
    {
        return Ok(());
    }
    if receipt.kind == Kind::Copy {
        return settle_copy(data, folder, receipt);
    }
    let table = read::read_stored(folder, data, receipt, &TableOptions::default())?;
    counted(data, &table)
}

/// Finds out which column of a copy is the class, and whether it says what belongs where.
fn settle_copy(data: &KnownData, folder: &Path, receipt: &mut Receipt) -> Result<()> {
    let path = folder.join(&receipt.files[0].file);
    let mut last = None;
    let labels = LABELS.iter().map(|label| Some((*label).to_owned()));
    for label in std::iter::once(None).chain(labels) {
        // An archive of arrays has a usual name for its labels; a table must be told.
        if label.is_none() != path.extension().is_some_and(|ending| ending == "npz") {
            continue;
        }
        for split in std::iter::once(None).chain(SPLITS.map(Some)) {
            let drop: Vec<String> = split.iter().map(|&column| column.to_owned()).collect();
            let options = TableOptions {
                label: label.clone(),
                drop: drop.clone(),
                ..TableOptions::default()
            };
            match Table::read(&path, &options).and_then(|table| counted(data, &table)) {
                Ok(()) => {
                    receipt.label.clone_from(&label);
                    receipt.drop = drop;
                    return Ok(());
                }
                // The first failure of a label that is there tells most.
                Err(error) if last.is_none() || !error.to_string().contains("no column") => {
                    last.get_or_insert(error);
                }
                Err(_) => {}
            }
        }
    }
    let reason = last.map_or_else(String::new, |error| format!(": {error}"));
    Err(Error::input(format!("the copy does not hold the data set{reason}"))
        .at(data.name)
        .hint(format!(
            "{} records, {} features and {} classes are published; the class is looked for in a column called {}",
            data.records,
            data.features,
            data.classes,
            LABELS[..5].join(", ")
        )))
}

fn counted(data: &KnownData, table: &Table) -> Result<()> {
    let features = match &table.body {
        Body::Columns(columns) => columns.len(),
        Body::Dense { names, .. } => names.len(),
    };
    let found = (table.len(), features, table.classes.len());
    if found == (data.records, data.features, data.classes) {
        return Ok(());
    }
    Err(Error::input(format!(
        "it has {} records, {} features and {} classes, and {}, {} and {} are published",
        found.0, found.1, found.2, data.records, data.features, data.classes
    )))
}
