//! The run directory: files written whole or not at all, readable by their owner only.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
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
    _lock: File,
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
                name != ".lock" && name != "signals" && !name.starts_with(TEMPORARY_PREFIX)
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
            .write(true)
            .open(&lock_path)
            .map_err(|e| Error::io("write into the run directory", &lock_path, &e))?;
        let locked = match access {
            Access::Alone => lock.try_lock(),
            Access::Shared => lock.try_lock_shared(),
        };
        match locked {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(
                    Error::input("another process is working in this run directory")
                        .at(path.display())
                        .hint("wait for it to end, or name another directory with --run"),
                );
            }
            Err(fs::TryLockError::Error(e)) => {
                return Err(Error::io("lock the run directory", &lock_path, &e));
            }
        }
        let directory = Self {
            path: path.to_path_buf(),
            _lock: lock,
        };
        create_private_directory(&directory.file("signals"))?;
        if access == Access::Alone {
            directory.remove_unfinished()?;
        }
        Ok(directory)
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
        self.write("manifest.json", text.as_bytes())
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
        self.stage_with(name, fill)?.publish()
    }

    /// Writes a file that takes its place later, by [`StagedFile::publish`], or never.
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
        let path = self.file(name);
        let failed = |e: &std::io::Error| Error::io("write the file", &path, e);
        let folder = path.parent().unwrap_or(&self.path);
        let mut temporary = tempfile::Builder::new()
            .prefix(TEMPORARY_PREFIX)
            .tempfile_in(folder)
            .map_err(|e| failed(&e))?;
        {
            let mut writer = BufWriter::new(temporary.as_file_mut());
            fill(&mut writer).map_err(|e| failed(&e))?;
            writer.flush().map_err(|e| failed(&e))?;
        }
        // Without this a power cut could leave the name of a file that has no content.
        temporary.as_file().sync_all().map_err(|e| failed(&e))?;
        Ok(StagedFile { temporary, path })
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

    /// Appends one event, with the time, to `events.jsonl`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn event(&self, name: &str, details: &serde_json::Value) -> Result<()> {
        let path = self.file("events.jsonl");
        let line = serde_json::json!({
            "time": jiff::Timestamp::now().to_string(),
            "event": name,
            "details": details,
        });
        let mut file = private_options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(|e| Error::io("write the events", &path, &e))?;
        file.write_all(format!("{line}\n").as_bytes())
            .map_err(|e| Error::io("write the events", &path, &e))
    }

    fn remove_unfinished(&self) -> Result<()> {
        for folder in [self.path.clone(), self.file("signals")] {
            let entries = fs::read_dir(&folder)
                .map_err(|e| Error::io("read the run directory", &folder, &e))?;
            for entry in entries.flatten() {
                if entry
                    .file_name()
                    .to_string_lossy()
                    .starts_with(TEMPORARY_PREFIX)
                {
                    fs::remove_file(entry.path())
                        .map_err(|e| Error::io("remove an unfinished file", entry.path(), &e))?;
                }
            }
        }
        Ok(())
    }
}

/// A finished file that has not taken its place yet. Dropped, it is gone.
#[derive(Debug)]
pub struct StagedFile {
    temporary: tempfile::NamedTempFile,
    path: PathBuf,
}

impl StagedFile {
    /// Puts it in its place, over what is there.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn publish(self) -> Result<()> {
        self.temporary
            .persist(&self.path)
            .map(drop)
            .map_err(|e| Error::io("write the file", &self.path, &e.error))
    }
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
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
            .map_err(|e| Error::io("protect the run directory", path, &e))?;
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
    }
}
