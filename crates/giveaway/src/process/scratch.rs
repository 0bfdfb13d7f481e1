//! Folders for what is exchanged with children.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::registry;
use crate::error::{Error, Result};

/// A folder that only its owner may read, with a folder in it for each child. It goes with
/// everything in it when this is dropped or giveaway is interrupted, unless it is to be kept.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    is_kept: AtomicBool,
    folders: AtomicUsize,
}

impl Scratch {
    /// Makes one in `parent`, or where the system keeps temporary files.
    pub(crate) fn new(parent: Option<&Path>) -> Result<Self> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        let failed =
            |e: &std::io::Error| Error::io("make a folder for the command's files", &parent, e);
        // A command may work elsewhere than we do.
        let parent = std::path::absolute(&parent).map_err(|e| failed(&e))?;
        let mut builder = tempfile::Builder::new();
        builder.prefix("giveaway-");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let path = builder.tempdir_in(&parent).map_err(|e| failed(&e))?.keep();
        registry::add_folder(&path);
        Ok(Self {
            path,
            is_kept: AtomicBool::new(false),
            folders: AtomicUsize::new(0),
        })
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A further folder in it; goes when it is dropped.
    pub(crate) fn folder(self: &Arc<Self>) -> Result<Folder> {
        let number = self.folders.fetch_add(1, Ordering::Relaxed) + 1;
        let path = self.path.join(number.to_string());
        std::fs::create_dir(&path)
            .map_err(|e| Error::io("make a folder for the command's files", &path, &e))?;
        Ok(Folder {
            path,
            scratch: Arc::clone(self),
        })
    }

    /// From now on nothing that is there is removed.
    fn keep(&self) {
        self.is_kept.store(true, Ordering::SeqCst);
        registry::forget_folder(&self.path);
    }

    fn is_kept(&self) -> bool {
        self.is_kept.load(Ordering::SeqCst)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.is_kept() {
            // What cannot be removed is the system's to clear up.
            let _ = std::fs::remove_dir_all(&self.path);
            registry::forget_folder(&self.path);
        }
    }
}

/// A folder of a scratch.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    scratch: Arc<Scratch>,
}

impl Folder {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// From now on it is not removed, nor what else is in the scratch now.
    pub(crate) fn keep(&self) {
        self.scratch.keep();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.scratch.is_kept() {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_goes_unless_it_is_kept() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Arc::new(Scratch::new(Some(parent.path())).unwrap());
        let root = scratch.path().to_owned();
        let folder = scratch.folder().unwrap();
        let other = scratch.folder().unwrap();
        assert_ne!(folder.path(), other.path());
        std::fs::write(folder.path().join("file"), "x").unwrap();
        let gone = folder.path().to_owned();
        drop(folder);
        assert!(!gone.exists());
        let kept = other.path().to_owned();
        other.keep();
        drop(other);
        drop(scratch);
        assert!(kept.exists());
        drop(Scratch::new(Some(parent.path())).unwrap());
        let left: Vec<_> = std::fs::read_dir(parent.path()).unwrap().collect();
        assert_eq!(left.len(), 1);
        assert!(root.exists());
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_look() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(Some(parent.path())).unwrap();
        let mode = scratch.path().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}
