//! The run directory: files written whole or not at all, readable by their owner only.
//!
//! Several processes may work in one directory, here or on machines that share it, and each
//! may be killed at any moment. Three locks keep them apart; the operating system releases
//! those of a process that dies:
//!
//! - `.lock` is held as long as the directory is open, alone by an audit and together by shares;
//! - `events.jsonl` is locked while an event is appended, and while it is settled whose the
//!   directory is;
//! - an unfinished file is locked by the process that writes it, so one without a lock is a
//!   leftover.

use std::fs::{self, File, TryLockError};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Version of the layout and of every file in a run directory.
pub const FORMAT_VERSION: u32 = 1;

/// Prefix of files that are not finished; what a killed process leaves behind.
const TEMPORARY_PREFIX: &str = ".giveaway-unfinished-";

/// What a run directory is of, and whether its result is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the layout.
    pub format_version: u32,
    /// Hash over everything that the reference models' outputs depend on.
    pub identity: String,
    /// Content hash (BLAKE3) of each input, by its role.
    pub inputs: std::collections::BTreeMap<String, String>,
    /// The instruction set with which the reference models were trained: another one rounds differently.
    pub kernel: String,
    /// Stages that are done.
    pub stages: Vec<String>,
}

/// Who else may work in a run directory at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nobody.
    Alone,
    /// Others that share it too.
    Shared,
}

/// An open run directory, locked against a second audit.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    /// Held for as long as the run is open; the operating system releases it if we are killed.
    #[cfg_attr(
        not(unix),
        expect(dead_code, reason = "held, and compared on Unix only")
    )]
    lock: File,
}

impl RunDirectory {
    /// Opens the directory, making it if it is not there, and takes its lock: alone for an
    /// audit, with others for training shares of the reference models.
    ///
    /// # Errors
    /// If the directory cannot be made or written, is in use, or is not empty and not a run.
    pub fn open(path: &Path, access: Access) -> Result<Self> {
        if path.is_dir() {
            let entries =
                fs::read_dir(path).map_err(|e| Error::io("read the run directory", path, &e))?;
            // A run that was killed at once has no manifest yet.
            let foreign = entries.flatten().any(|entry| {
                let name = entry.file_name().to_string_lossy().into_owned();
                ![".lock", "signals", "events.jsonl"].contains(&name.as_str())
                    && !name.starts_with(TEMPORARY_PREFIX)
            });
            if foreign && !path.join("manifest.json").exists() {
                return Err(Error::input(
                    "the directory is not empty and holds no run of giveaway",
                )
                .at(path.display())
                .hint("name a new directory with --run, or empty this one"));
            }
        }
        create_private_directory(path)?;
        let lock_path = path.join(".lock");
        let lock = private_options()
            .create(true)
            .truncate(false)
            // NFS gives no shared lock on a file that is not open for reading, and no
            // exclusive one on a file that is not open for writing.
            .read(true)
            .write(true)
            .open(&lock_path)
            .map_err(|e| Error::io("write into the run directory", &lock_path, &e))?;
        let locked = match access {
            Access::Alone => lock.try_lock(),
            Access::Shared => lock.try_lock_shared(),
        };
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(
                    Error::input("another process is working in this run directory")
                        .at(path.display())
                        .hint("wait for it to end, or name another directory with --run"),
                );
            }
            Err(TryLockError::Error(e)) => return Err(cannot_lock(&lock_path, &e)),
        }
        let directory = Self {
            path: path.to_path_buf(),
            lock,
        };
        create_private_directory(&directory.file("signals"))?;
        directory.remove_unfinished()?;
        Ok(directory)
    }

    /// Does what only one process may do at a time, among those that share the directory too.
    ///
    /// # Errors
    /// Those of `act`, or if the lock cannot be had.
    pub fn one_at_a_time<T>(&self, act: impl FnOnce() -> Result<T>) -> Result<T> {
        let (_log, _) = self.lock_events()?;
        act()
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The file that holds the outputs of reference model `model`.
    #[must_use]
    pub fn signal_file(&self, model: usize) -> PathBuf {
        self.path.join(format!("signals/{model:03}.npy"))
    }

    /// Reads the manifest, if there is one.
    ///
    /// # Errors
    /// If it is there but is not a manifest, or is of a newer format.
    pub fn manifest(&self) -> Result<Option<Manifest>> {
        let path = self.file("manifest.json");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read the manifest", &path, &e)),
        };
        let manifest: Manifest = serde_json::from_str(&text).map_err(|e| {
            Error::input(format!("not a manifest of a run: {e}"))
                .at(path.display())
                .hint("name another directory with --run")
        })?;
        if manifest.format_version != FORMAT_VERSION {
            return Err(Error::input(format!(
                "the run has format version {}, this giveaway writes version {FORMAT_VERSION}",
                manifest.format_version
            ))
            .at(path.display())
            .hint("use the giveaway that made it, or name another directory with --run"));
        }
        Ok(Some(manifest))
    }

    /// Writes the manifest.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<()> {
        let mut text = serde_json::to_string_pretty(manifest)
            .map_err(|e| Error::unexpected(format!("cannot serialise the manifest: {e}")))?;
        text.push('\n');
        self.write("manifest.json", text.as_bytes())?;
        // After a power cut models without their manifest would be nobody's.
        synchronise_directory(&self.path)
    }

    /// Writes a file whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written; nothing is left behind then.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.write_with(name, |writer| writer.write_all(bytes))
    }

    /// Writes a file whole or not at all, through a function that fills it.
    ///
    /// # Errors
    /// If it cannot be written; nothing is left behind then.
    pub fn write_with(
        &self,
        name: &str,
        fill: impl FnOnce(&mut BufWriter<&mut File>) -> std::io::Result<()>,
    ) -> Result<()> {
        let staged = self.stage_with(name, fill)?;
        self.publish(staged)
    }

    /// Writes a file that takes its place later, by [`RunDirectory::publish`], or never.
    ///
    /// # Errors
    /// If it cannot be written; nothing is left behind then.
    pub fn stage(&self, name: &str, bytes: &[u8]) -> Result<StagedFile> {
        self.stage_with(name, |writer| writer.write_all(bytes))
    }

    fn stage_with(
        &self,
        name: &str,
        fill: impl FnOnce(&mut BufWriter<&mut File>) -> std::io::Result<()>,
    ) -> Result<StagedFile> {
        self.check_in_place()?;
        let path = self.file(name);
        let failed = |e: &std::io::Error| self.failed(&path, e);
        let mut temporary =
            locked_temporary(path.parent().unwrap_or(&self.path)).map_err(|e| failed(&e))?;
        {
            let mut writer = BufWriter::new(temporary.as_file_mut());
            fill(&mut writer).map_err(|e| failed(&e))?;
            writer.flush().map_err(|e| failed(&e))?;
        }
        // Without this a power cut could leave the name of a file that has no content.
        temporary.as_file().sync_all().map_err(|e| failed(&e))?;
        Ok(StagedFile { temporary, path })
    }

    /// Puts a finished file in its place, over what is there.
    ///
    /// # Errors
    /// If the operating system refuses, or the directory is not the one that was opened.
    pub fn publish(&self, file: StagedFile) -> Result<()> {
        self.check_in_place()?;
        file.temporary
            .persist(&file.path)
            .map(drop)
            .map_err(|e| self.failed(&file.path, &e.error))
    }

    /// Why a file could not be written: the directory may have gone meanwhile.
    fn failed(&self, path: &Path, error: &std::io::Error) -> Error {
        match self.check_in_place() {
            Err(gone) => gone,
            Ok(()) => Error::io("write the file", path, error),
        }
    }

    /// Files must not go into a directory that took the place of ours: its lock is not ours,
    /// and it may be of another run.
    fn check_in_place(&self) -> Result<()> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let path = self.file(".lock");
            let failed = |e: &std::io::Error| Error::io("read the run directory", &path, e);
            let held = self.lock.metadata().map_err(|e| failed(&e))?;
            let there = match fs::metadata(&path) {
                Ok(metadata) => Some((metadata.dev(), metadata.ino())),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
                Err(e) => return Err(failed(&e)),
            };
            if there != Some((held.dev(), held.ino())) {
                return Err(Error::input(
                    "the run directory was removed or replaced while this process worked in it",
                )
                .at(self.path.display())
                .hint(
                    "run the same command again: the models that are not there are trained anew",
                ));
            }
        }
        Ok(())
    }

    /// Makes a folder in it, if it is not there.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn make_folder(&self, name: &str) -> Result<()> {
        create_private_directory(&self.file(name))
    }

    /// Whether outputs of models are there.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn has_signals(&self) -> Result<bool> {
        let folder = self.file("signals");
        let mut entries =
            fs::read_dir(&folder).map_err(|e| Error::io("read the run directory", &folder, &e))?;
        Ok(entries
            .any(|entry| entry.is_ok_and(|e| e.path().extension().is_some_and(|x| x == "npy"))))
    }

    /// Removes a file, if it is there.
    ///
    /// # Errors
    /// If it is there and cannot be removed.
    pub fn remove(&self, name: &str) -> Result<()> {
        let path = self.file(name);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("remove the file", path, &e))
            }
            _ => Ok(()),
        }
    }

    /// Removes a folder with all that is in it, if it is there.
    ///
    /// # Errors
    /// If it is there and cannot be removed.
    pub fn remove_folder(&self, name: &str) -> Result<()> {
        let path = self.file(name);
        match fs::remove_dir_all(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("remove the folder", path, &e))
            }
            _ => Ok(()),
        }
    }

    /// Appends one event, with the time, to `events.jsonl`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn event(&self, name: &str, details: &serde_json::Value) -> Result<()> {
        let line = serde_json::json!({
            "time": jiff::Timestamp::now().to_string(),
            "event": name,
            "details": details,
        });
        let (mut log, path) = self.lock_events()?;
        let failed = |e: &std::io::Error| Error::io("write the events", &path, e);
        let mut text = Vec::new();
        log.seek(SeekFrom::Start(0))
            .and_then(|_| log.read_to_end(&mut text))
            .map_err(|e| failed(&e))?;
        // A process that was killed while it appended has left a part of a line.
        let whole = text
            .iter()
            .rposition(|&b| b == b'\n')
            .map_or(0, |at| at + 1);
        if whole < text.len() {
            log.set_len(whole as u64)
                .and_then(|()| log.seek(SeekFrom::Start(whole as u64)))
                .map_err(|e| failed(&e))?;
        }
        log.write_all(format!("{line}\n").as_bytes()).map_err(|e| {
            // Of no avail, the next event does it.
            let _ = log.set_len(whole as u64);
            failed(&e)
        })
    }

    /// The log of events, locked until it is dropped, and its path.
    fn lock_events(&self) -> Result<(File, PathBuf)> {
        self.check_in_place()?;
        let path = self.file("events.jsonl");
        let log = private_options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|e| Error::io("write the events", &path, &e))?;
        log.lock().map_err(|e| cannot_lock(&path, &e))?;
        Ok((log, path))
    }

    /// Removes the files that killed processes have left, and not those that others are writing.
    fn remove_unfinished(&self) -> Result<()> {
        let folders = [
            "",
            "signals",
            "features",
            "models",
            "indirect",
            "indirect/units",
            "defend",
            "target",
            "target/records",
            "figures",
            "redacted",
            "redacted/figures",
        ];
        // one for each defence at work, and for each kind of questions in hand
        let at_work = ["defend", "target"]
            .into_iter()
            .filter_map(|name| fs::read_dir(self.file(name)).ok())
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.is_dir());
        let folders = folders.map(|name| self.file(name));
        for folder in folders.into_iter().chain(at_work) {
            if !folder.exists() {
                continue;
            }
            let entries = fs::read_dir(&folder)
                .map_err(|e| Error::io("read the run directory", &folder, &e))?;
            for entry in entries.flatten() {
                if entry
                    .file_name()
                    .to_string_lossy()
                    .starts_with(TEMPORARY_PREFIX)
                {
                    let path = entry.path();
                    remove_if_left(&path)
                        .map_err(|e| Error::io("remove an unfinished file", &path, &e))?;
                }
            }
        }
        Ok(())
    }
}

/// Writes a file whole or not at all, anywhere, readable by its owner only; makes its folder.
///
/// # Errors
/// If it cannot be written; nothing is left behind then.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |e: &std::io::Error| Error::io("write the file", path, e);
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(folder).map_err(|e| failed(&e))?;
    let mut temporary = locked_temporary(folder).map_err(|e| failed(&e))?;
    temporary
        .as_file_mut()
        .write_all(bytes)
        .and_then(|()| temporary.as_file().sync_all())
        .map_err(|e| failed(&e))?;
    temporary
        .persist(path)
        .map(drop)
        .map_err(|e| failed(&e.error))
}

/// Makes a temporary file and locks it, for as long as it is written.
fn locked_temporary(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    loop {
        let temporary = tempfile::Builder::new()
            .prefix(TEMPORARY_PREFIX)
            .tempfile_in(folder)?;
        match temporary.as_file().try_lock() {
            Ok(()) if temporary.path().exists() => return Ok(temporary),
            // Another process took it for a leftover, before it was locked.
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(e)) => return Err(e),
        }
    }
}

/// Removes an unfinished file unless a living process has its lock. It may be gone by now:
/// finished, or removed by another process.
fn remove_if_left(path: &Path) -> std::io::Result<()> {
    let gone_is_fine = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(e),
    };
    // Open for writing, without which NFS gives no exclusive lock.
    let file = match File::options().write(true).open(path) {
        Ok(file) => file,
        Err(e) => return gone_is_fine(e),
    };
    match file.try_lock() {
        Ok(()) => fs::remove_file(path).or_else(gone_is_fine),
        Err(TryLockError::WouldBlock) => Ok(()),
        Err(TryLockError::Error(e)) => Err(e),
    }
}

fn cannot_lock(path: &Path, error: &std::io::Error) -> Error {
    Error::io("lock the run directory", path, error).hint(
        "where the file system takes no locks, work in a directory on another one and copy the outputs of the models together",
    )
}

/// Makes sure that the names in a directory survive a power cut.
fn synchronise_directory(path: &Path) -> Result<()> {
    #[cfg(unix)]
    match File::open(path).and_then(|directory| directory.sync_all()) {
        // Some file systems cannot, and do without.
        Err(e)
            if !matches!(
                e.kind(),
                std::io::ErrorKind::InvalidInput | std::io::ErrorKind::Unsupported
            ) =>
        {
            return Err(Error::io("write the run directory", path, &e));
        }
        _ => {}
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// A finished file that has not taken its place yet. Dropped, it is gone.
#[derive(Debug)]
pub struct StagedFile {
    temporary: tempfile::NamedTempFile,
    path: PathBuf,
}

/// Makes a directory, and its parents, that only the owner can read: the list of exposed
/// records is itself membership data.
fn create_private_directory(path: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder
        .create(path)
        .map_err(|e| Error::io("make the run directory", path, &e))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let failed = |e: &std::io::Error| Error::io("protect the run directory", path, e);
        let mode = fs::metadata(path)
            .map_err(|e| failed(&e))?
            .permissions()
            .mode();
        // Rights are taken from others, and never given: who protects a run against writing
        // has a reason.
        if mode & 0o077 != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o7700))
                .map_err(|e| failed(&e))?;
        }
    }
    Ok(())
}

fn private_options() -> fs::OpenOptions {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix has a mode to set"))]
    let mut options = fs::OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_nothing_and_keeps_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDirectory::open(&folder.path().join("run"), Access::Alone).unwrap();
        run.write("a.txt", b"old").unwrap();
        let error = run
            .write_with("a.txt", |writer| {
                writer.write_all(b"half of")?;
                Err(std::io::Error::from(std::io::ErrorKind::StorageFull))
            })
            .unwrap_err();
        assert!(error.to_string().contains("a.txt"), "{error}");
        assert!(error.hint_text().unwrap().contains("make room"));
        assert_eq!(fs::read(run.file("a.txt")).unwrap(), b"old");
        let names: Vec<_> = fs::read_dir(run.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with(TEMPORARY_PREFIX))
            .collect();
        assert!(names.is_empty(), "{names:?}");
    }

    #[test]
    fn a_second_audit_is_refused_and_foreign_directories_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let first = RunDirectory::open(&path, Access::Alone).unwrap();
        let error = RunDirectory::open(&path, Access::Alone).unwrap_err();
        assert!(error.to_string().contains("another process"), "{error}");
        drop(first);
        fs::write(
            path.join("signals").join(format!("{TEMPORARY_PREFIX}x")),
            "",
        )
        .unwrap();
        let again = RunDirectory::open(&path, Access::Alone).unwrap();
        assert_eq!(fs::read_dir(again.file("signals")).unwrap().count(), 0);

        let foreign = folder.path().join("foreign");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("thesis.tex"), "").unwrap();
        let error = RunDirectory::open(&foreign, Access::Alone).unwrap_err();
        assert!(error.to_string().contains("holds no run"), "{error}");
    }

    #[test]
    fn leftovers_go_and_what_others_write_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let first = RunDirectory::open(&path, Access::Shared).unwrap();
        let staged = first.stage("signals/000.npy", b"of the first").unwrap();
        let leftover = path.join("signals").join(format!("{TEMPORARY_PREFIX}x"));
        fs::write(&leftover, "half of").unwrap();
        let second = RunDirectory::open(&path, Access::Shared).unwrap();
        assert!(!leftover.exists());
        // The same model by another process at the same moment: the later one stands.
        let twin = second.stage("signals/000.npy", b"of the second").unwrap();
        first.publish(staged).unwrap();
        second.publish(twin).unwrap();
        assert_eq!(fs::read(first.signal_file(0)).unwrap(), b"of the second");
        assert_eq!(fs::read_dir(first.file("signals")).unwrap().count(), 1);
        let audit = RunDirectory::open(&path, Access::Alone).unwrap_err();
        assert!(audit.to_string().contains("another process"), "{audit}");
    }

    #[test]
    fn a_line_that_a_killed_process_began_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDirectory::open(&folder.path().join("run"), Access::Alone).unwrap();
        run.event("one", &serde_json::Value::Null).unwrap();
        let path = run.file("events.jsonl");
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str("{\"time\": \"20");
        fs::write(&path, text).unwrap();
        run.event("two", &serde_json::Value::Null).unwrap();
        let events: Vec<String> = fs::read_to_string(&path)
            .unwrap()
            .lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["event"].to_string()
            })
            .collect();
        assert_eq!(events, ["\"one\"", "\"two\""]);
    }

    #[cfg(unix)]
    #[test]
    fn nothing_goes_into_a_directory_that_took_the_place_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let run = RunDirectory::open(&path, Access::Shared).unwrap();
        let staged = run.stage("a.txt", b"a").unwrap();
        fs::rename(&path, folder.path().join("away")).unwrap();
        let other = RunDirectory::open(&path, Access::Alone).unwrap();
        for error in [
            run.publish(staged).unwrap_err(),
            run.write("b.txt", b"b").unwrap_err(),
            run.event("c", &serde_json::Value::Null).unwrap_err(),
        ] {
            assert!(error.to_string().contains("removed or replaced"), "{error}");
        }
        other.write("d.txt", b"d").unwrap();
        for name in ["a.txt", "b.txt", "events.jsonl"] {
            assert!(!other.file(name).exists(), "{name}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_a_run() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let run = RunDirectory::open(&folder.path().join("run"), Access::Alone).unwrap();
        run.write("a.txt", b"a").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(run.path()), 0o700);
        assert_eq!(mode(&run.file("a.txt")), 0o600);

        let set = |mode: u32| {
            fs::set_permissions(run.file("signals"), fs::Permissions::from_mode(mode)).unwrap();
        };
        for (before, after) in [(0o755, 0o700), (0o550, 0o500)] {
            set(before);
            create_private_directory(&run.file("signals")).unwrap();
            assert_eq!(mode(&run.file("signals")), after);
        }
        set(0o700);
    }
}
