//! The ledger: every query is written down before it is sent, and what has been answered is
//! never asked again.
//!
//! A folder of a run directory holds, for every target that is asked:
//!
//! ```text
//! queries.jsonl      a line before every request and one after it
//! NAME.npy           the answers to the questions called NAME, a row each; NaN where unasked
//! NAME/FIRST.npy     answers that came since, a file for each request; NaN between its questions
//! ```
//!
//! A query is one question: a request of a hundred records are a hundred queries, whether it is
//! answered or not, unless it surely never reached the target. Queries of a request that was in
//! flight when the process died count too.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::Delivery;
use crate::dataset::{array_file, matrix};
use crate::error::{Error, ErrorKind, Result};

/// A line of `queries.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Entry {
    /// About to be sent.
    Sending {
        time: String,
        request: u64,
        target: String,
        about: String,
        first: u64,
        queries: u64,
        attempt: u32,
    },
    /// Answered, whole.
    Answered { time: String, request: u64 },
    /// Surely never seen by the target: its queries do not count.
    NotSent {
        time: String,
        request: u64,
        why: String,
    },
    /// Perhaps seen, and not answered: its queries count.
    Failed {
        time: String,
        request: u64,
        why: String,
    },
}

/// How many queries there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Queries that the target saw or may have seen: what a budget is held against.
    pub sent: u64,
    /// Of those, the ones that it answered.
    pub answered: u64,
    /// Requests among `sent`.
    pub requests: u64,
}

/// A request that was written down.
#[derive(Debug)]
pub struct Request(u64);

/// Why a request may not be sent.
#[derive(Debug)]
pub enum Denied {
    /// It would go beyond the budget; so many queries are left.
    Budget(u64),
    /// The ledger cannot be written.
    Ledger(Error),
}

/// The queries and answers of one run.
#[derive(Debug)]
pub struct Ledger {
    folder: PathBuf,
    open: Mutex<Open>,
    /// The target that was asked last, before this was opened.
    target: Option<String>,
}

#[derive(Debug)]
struct Open {
    lines: Lines<File>,
    count: Count,
    next: u64,
    /// Queries of each request in flight.
    in_flight: BTreeMap<u64, u64>,
}

/// Lines in a file, each of them whole or not there.
#[derive(Debug)]
struct Lines<F> {
    file: F,
    /// Bytes of the lines that are whole.
    length: u64,
    /// Whether part of a line could not be taken away: a line behind it could not be read.
    broken: bool,
}

/// What a file of lines must be able to do.
trait Backing: Write + Seek {
    fn cut(&mut self, length: u64) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
}

impl Backing for File {
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

impl<F: Backing> Lines<F> {
    /// Goes on behind the first `length` bytes, which are whole lines, and removes the rest.
    fn behind(file: F, length: u64) -> io::Result<Self> {
        let mut lines = Self {
            file,
            length,
            broken: false,
        };
        lines.take_back()?;
        Ok(lines)
    }

    /// Writes a line, which ends with a line end, to the disk. If that fails, nothing of it
    /// stays; if not even that can be had, no further line is written.
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other(
                "a line before could be written in part only, and that part could not be removed",
            ));
        }
        let written = self.file.write_all(line).and_then(|()| self.file.sync());
        match &written {
            Ok(()) => self.length += line.len() as u64,
            Err(_) => self.broken = self.take_back().is_err(),
        }
        written
    }

    /// Removes what is behind the whole lines.
    fn take_back(&mut self) -> io::Result<()> {
        self.file.cut(self.length)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        Ok(())
    }
}

const QUERIES: &str = "queries.jsonl";

/// Files with this beginning are what a killed process left; a run directory removes them.
const UNFINISHED: &str = ".giveaway-unfinished-";

impl Ledger {
    /// Opens the ledger in a folder, which is made if need be. Part of a last line, which a
    /// killed process left, is removed.
    ///
    /// # Errors
    /// If it cannot be read or written, or holds what is no entry.
    pub fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|e| Error::io("make the folder", folder, &e))?;
        let path = folder.join(QUERIES);
        let failed = |e: &std::io::Error| Error::io("open the ledger", &path, e);
        let mut file = private(
            OpenOptions::new()
                .create(true)
                .read(true)
                .write(true)
                .truncate(false),
        )
        .open(&path)
        .map_err(|e| failed(&e))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(|e| failed(&e))?;
        let whole = text
            .iter()
            .rposition(|&b| b == b'\n')
            .map_or(0, |at| at + 1);
        let lines = Lines::behind(file, whole as u64).map_err(|e| failed(&e))?;
        let (mut count, mut next) = (Count::default(), 0);
        let mut last_target = None;
        let mut requests: BTreeMap<u64, u64> = BTreeMap::new();
        for (line, bytes) in text[..whole].split(|&b| b == b'\n').enumerate() {
            if bytes.is_empty() {
                continue;
            }
            let entry: Entry = serde_json::from_slice(bytes).map_err(|e| {
                Error::input(format!("this is no entry of a ledger: {e}"))
                    .at(format!("line {}", line + 1))
                    .at(path.display())
                    .hint("put the file back as it was: what it says of queries made is part of the budget")
            })?;
            let of = |request: u64| requests.get(&request).copied().unwrap_or(0);
            match entry {
                Entry::Sending {
                    request,
                    queries,
                    target,
                    ..
                } => {
                    last_target = Some(target);
                    requests.insert(request, queries);
                    count.sent += queries;
                    count.requests += 1;
                    next = next.max(request + 1);
                }
                Entry::Answered { request, .. } => count.answered += of(request),
                Entry::NotSent { request, .. } => {
                    count.sent = count.sent.saturating_sub(of(request));
                    count.requests = count.requests.saturating_sub(1);
                }
                Entry::Failed { .. } => {}
            }
        }
        Ok(Self {
            folder: folder.to_path_buf(),
            target: last_target,
            open: Mutex::new(Open {
                lines,
                count,
                next,
                in_flight: BTreeMap::new(),
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the target called itself that was asked last, before the ledger was opened.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        self.target.as_deref()
    }

    /// Queries so far, those of earlier processes included.
    #[must_use]
    pub fn count(&self) -> Count {
        self.lock().count
    }

    /// Writes down a request about `queries` questions called `about`, beginning with `first`,
    /// before it is sent; not if that would make more queries than `most`.
    ///
    /// # Errors
    /// If it may not be sent.
    pub fn reserve(
        &self,
        target: &str,
        about: &str,
        first: usize,
        queries: usize,
        attempt: u32,
        most: Option<u64>,
    ) -> std::result::Result<Request, Denied> {
        let mut open = self.lock();
        let left = most.map_or(u64::MAX, |most| most.saturating_sub(open.count.sent));
        if queries as u64 > left {
            return Err(Denied::Budget(left));
        }
        let request = open.next;
        self.append(
            &mut open,
            &Entry::Sending {
                time: now(),
                request,
                target: target.to_owned(),
                about: about.to_owned(),
                first: first as u64,
                queries: queries as u64,
                attempt,
            },
        )
        .map_err(Denied::Ledger)?;
        open.next += 1;
        open.count.sent += queries as u64;
        open.count.requests += 1;
        open.in_flight.insert(request, queries as u64);
        Ok(Request(request))
    }

    /// Writes down that a request was answered, after its answers were kept.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a request is over when it is answered"
    )]
    pub fn answered(&self, request: Request) -> Result<()> {
        let mut open = self.lock();
        let queries = open.in_flight.remove(&request.0).unwrap_or(0);
        open.count.answered += queries;
        let entry = Entry::Answered {
            time: now(),
            request: request.0,
        };
        self.append(&mut open, &entry)
    }

    /// Writes down why a request brought no answer; queries that the target surely never saw are
    /// given back.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a request is over when it has failed"
    )]
    pub fn failed(&self, request: Request, delivery: Delivery, why: &str) -> Result<()> {
        let mut open = self.lock();
        let queries = open.in_flight.remove(&request.0).unwrap_or(0);
        let (time, request, why) = (now(), request.0, why.to_owned());
        let entry = match delivery {
            Delivery::NotSent => {
                open.count.sent = open.count.sent.saturating_sub(queries);
                open.count.requests = open.count.requests.saturating_sub(1);
                Entry::NotSent { time, request, why }
            }
            Delivery::Sent => Entry::Failed { time, request, why },
        };
        self.append(&mut open, &entry)
    }

    fn append(&self, open: &mut Open, entry: &Entry) -> Result<()> {
        let path = self.folder.join(QUERIES);
        let mut line = serde_json::to_string(entry)
            .map_err(|e| Error::unexpected(format!("cannot write the ledger: {e}")))?;
        line.push('\n');
        // on the disk before the query is on the wire
        open.lines
            .append(line.as_bytes())
            .map_err(|e| Error::io("write the ledger", &path, &e))
    }

    /// Keeps answers to these questions, ascending, of those called `about`: whole or not at all.
    /// The file has a row for every question from the first to the last of them.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn keep(&self, about: &str, questions: &[usize], answers: &Array2<f32>) -> Result<()> {
        let (Some(&first), Some(&last)) = (questions.first(), questions.last()) else {
            return Ok(());
        };
        let mut rows = Array2::from_elem((last + 1 - first, answers.ncols()), f32::NAN);
        for (&question, answer) in questions.iter().zip(answers.rows()) {
            rows.row_mut(question - first).assign(&answer);
        }
        let folder = self.folder.join(about);
        fs::create_dir_all(&folder).map_err(|e| Error::io("make the folder", &folder, &e))?;
        write_array(&folder.join(format!("{first:09}.npy")), &rows)
    }

    /// All answers to `questions` questions called `about` that there are: questions × outputs,
    /// `NaN` where unanswered; nothing where there is none at all.
    ///
    /// # Errors
    /// If a file is damaged or of other questions.
    pub fn answers(&self, about: &str, questions: usize) -> Result<Option<Array2<f32>>> {
        let whole = self.folder.join(format!("{about}.npy"));
        let mut all: Option<Array2<f32>> = None;
        if whole.is_file() {
            let read = matrix::read(&whole)?.values;
            if read.nrows() != questions {
                return Err(of_others(&whole, read.nrows(), questions));
            }
            all = Some(read);
        }
        for (first, path) in self.parts(about)? {
            let part = matrix::read(&path)?.values;
            let into =
                all.get_or_insert_with(|| Array2::from_elem((questions, part.ncols()), f32::NAN));
            let rows = first..first + part.nrows();
            if rows.end > questions || part.ncols() != into.ncols() {
                return Err(of_others(&path, rows.end, questions));
            }
            for (row, answer) in rows.zip(part.rows()) {
                // between two questions of a request there may be others, which it did not ask
                if !answer.iter().any(|a| a.is_nan()) {
                    into.row_mut(row).assign(&answer);
                }
            }
        }
        Ok(all)
    }

    /// Puts all answers called `about` into one file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn consolidate(&self, about: &str, answers: &Array2<f32>) -> Result<()> {
        let parts = self.parts(about)?;
        if parts.is_empty() {
            return Ok(());
        }
        write_array(&self.folder.join(format!("{about}.npy")), answers)?;
        let folder = self.folder.join(about);
        fs::remove_dir_all(&folder).map_err(|e| Error::io("remove the folder", &folder, &e))
    }

    /// The files of single requests, by their first question.
    fn parts(&self, about: &str) -> Result<Vec<(usize, PathBuf)>> {
        let folder = self.folder.join(about);
        if !folder.is_dir() {
            return Ok(Vec::new());
        }
        let entries =
            fs::read_dir(&folder).map_err(|e| Error::io("read the folder", &folder, &e))?;
        let mut parts: Vec<(usize, PathBuf)> = entries
            .flatten()
            .filter_map(|entry| {
                let path = entry.path();
                let first = path.file_name()?.to_str()?.strip_suffix(".npy")?;
                Some((first.parse().ok()?, path))
            })
            .collect();
        parts.sort();
        Ok(parts)
    }
}

fn of_others(path: &Path, found: usize, questions: usize) -> Error {
    Error::input(format!(
        "answers to {found} questions, where there are {questions}"
    ))
    .at(path.display())
    .hint("the file is of another run: name a new directory with --run")
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}

/// Readable by its owner alone: what was asked of whom is nobody else's business.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// Writes an array of float32 as NPY, whole or not at all.
fn write_array(path: &Path, values: &Array2<f32>) -> Result<()> {
    let failed = |e: &std::io::Error| Error::io("write the answers", path, e);
    let folder = path
        .parent()
        .ok_or_else(|| Error::new(ErrorKind::Unexpected, "answers without a folder"))?;
    let mut file = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempfile_in(folder)
        .map_err(|e| failed(&e))?;
    let mut bytes = array_file::header("<f4", &[values.nrows(), values.ncols()]);
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    file.write_all(&bytes)
        .and_then(|()| file.as_file().sync_data())
        .map_err(|e| failed(&e))?;
    file.persist(path).map_err(|e| failed(&e.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that is full after so many bytes, as a file knows it: what still fits is written.
    struct Full {
        file: File,
        room: u64,
        syncs: bool,
        cuts: bool,
    }

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let left = self.room.saturating_sub(self.file.stream_position()?);
            if left == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let fits = bytes.len().min(usize::try_from(left).unwrap());
            self.file.write(&bytes[..fits])
        }

        fn flush(&mut self) -> io::Result<()> {
            self.file.flush()
        }
    }

    impl Seek for Full {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.file.seek(to)
        }
    }

    impl Backing for Full {
        fn cut(&mut self, length: u64) -> io::Result<()> {
            if !self.cuts {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            self.file.cut(length)
        }

        fn sync(&mut self) -> io::Result<()> {
            if !self.syncs {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.file.sync()
        }
    }

    fn on_a_disk_of(room: u64) -> (tempfile::NamedTempFile, Lines<Full>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let full = Full {
            file: file.reopen().unwrap(),
            room,
            syncs: true,
            cuts: true,
        };
        (file, Lines::behind(full, 0).unwrap())
    }

    fn text(file: &tempfile::NamedTempFile) -> String {
        fs::read_to_string(file.path()).unwrap()
    }

    #[test]
    fn of_a_line_that_could_not_be_written_nothing_stays() {
        let (file, mut lines) = on_a_disk_of(8);
        lines.append(b"one\n").unwrap();
        let error = lines.append(b"too long\n").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(text(&file), "one\n");
        // A shorter one of another thread still fits, where the first would have been.
        lines.append(b"two\n").unwrap();
        assert_eq!(text(&file), "one\ntwo\n");
    }

    #[test]
    fn a_line_that_may_not_be_on_the_disk_is_taken_back() {
        let (file, mut lines) = on_a_disk_of(100);
        lines.file.syncs = false;
        lines.append(b"one\n").unwrap_err();
        lines.file.syncs = true;
        lines.append(b"two\n").unwrap();
        assert_eq!(text(&file), "two\n");
    }

    #[test]
    fn nothing_is_written_behind_a_part_that_stays() {
        let (file, mut lines) = on_a_disk_of(8);
        lines.append(b"one\n").unwrap();
        lines.file.cuts = false;
        lines.append(b"too long\n").unwrap_err();
        lines.file.room = 100;
        let error = lines.append(b"two\n").unwrap_err();
        assert!(error.to_string().contains("in part"), "{error}");
        // Only the end is broken, which the next opening removes.
        assert_eq!(text(&file), "one\ntoo ");
    }
}
