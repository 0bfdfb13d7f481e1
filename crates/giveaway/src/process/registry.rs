//! What must not outlive giveaway: the children that run, and the folders of their files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
struct Registry {
    children: usize,
    folders: BTreeSet<PathBuf>,
    is_interrupted: bool,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry {
    children: 0,
    folders: BTreeSet::new(),
    is_interrupted: false,
});

fn registry() -> MutexGuard<'static, Registry> {
    // Nothing panics while holding it, and if something did the counts would still be right.
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The place of a running child.
#[derive(Debug)]
pub(super) struct Entry(());

impl Drop for Entry {
    fn drop(&mut self) {
        registry().children -= 1;
    }
}

/// Starts a child and counts it, unless giveaway is being interrupted.
pub(super) fn enter(
    start: impl FnOnce() -> std::io::Result<Child>,
) -> std::io::Result<Option<(Child, Entry)>> {
    let mut registry = registry();
    if registry.is_interrupted {
        return Ok(None);
    }
    // Under the lock: an interrupt sees either no child or one that will notice it.
    let child = start()?;
    registry.children += 1;
    Ok(Some((child, Entry(()))))
}

/// Children that run.
pub(super) fn children() -> usize {
    registry().children
}

/// Whether everything is to end.
pub(super) fn is_interrupted() -> bool {
    registry().is_interrupted
}

/// From now on no child is started, and those that run are ended by those who wait for them.
#[cfg(unix)]
pub(super) fn interrupt() {
    registry().is_interrupted = true;
}

/// A folder that goes when giveaway is interrupted.
pub(super) fn add_folder(folder: &Path) {
    registry().folders.insert(folder.to_owned());
}

/// The folder is gone, or is to stay.
pub(super) fn forget_folder(folder: &Path) {
    registry().folders.remove(folder);
}

/// The folders that are to go.
#[cfg(unix)]
pub(super) fn folders() -> Vec<PathBuf> {
    registry().folders.iter().cloned().collect()
}
