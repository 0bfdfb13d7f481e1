//! Finding and loading ONNX Runtime's shared library.
//!
//! `ort` would load a library on first use and panic where there is none. So nothing of `ort`
//! is called before a library was loaded from a path that this module found, and a process
//! keeps the first that it loaded: ONNX Runtime has one environment per process.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use giveaway::error::{Error, Result};
use ort::environment::Environment;

use crate::guarded;

/// The oldest ONNX Runtime that is taken, as `ort` is compiled for (its feature `api-17`).
const OLDEST: &str = "1.17";

const HOW_TO_GET_IT: &str = "install it with `pip install onnxruntime`, and nothing else; or name its shared library: runtime = \"…/libonnxruntime.so\", or ORT_DYLIB_PATH";

struct Loaded {
    path: PathBuf,
    /// Never dropped: `ort` makes no second one.
    environment: Environment,
}

static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

/// Where ONNX Runtime's library is, in the order in which it is tried: the one named (a file or
/// a folder), that of `ORT_DYLIB_PATH`, those of the Python packages `onnxruntime`. A path that
/// was named is the only one.
///
/// # Errors
/// If there is none: what was tried, and how to get it.
pub fn find(named: Option<&Path>) -> Result<Vec<PathBuf>> {
    if let Some(path) = named {
        return at(path, "runtime");
    }
    if let Some(path) = env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()) {
        return at(Path::new(&path), "ORT_DYLIB_PATH");
    }
    let pythons = pythons();
    let mut found = Vec::new();
    for python in &pythons {
        for packages in package_folders(python) {
            found.extend(libraries_in(&packages.join("onnxruntime").join("capi")));
        }
    }
    if found.is_empty() {
        let asked = pythons.iter().find_map(|python| ask(python));
        found.extend(
            asked
                .iter()
                .flat_map(|package| libraries_in(&package.join("capi"))),
        );
    }
    if found.is_empty() {
        let pythons: Vec<String> = pythons.iter().map(|p| p.display().to_string()).collect();
        return Err(Error::usage(format!(
            "ONNX Runtime is not installed: ORT_DYLIB_PATH is not set, and {}",
            if pythons.is_empty() {
                "there is no python3 on PATH".to_owned()
            } else {
                format!(
                    "the package onnxruntime was not found for {}",
                    pythons.join(", ")
                )
            }
        ))
        .hint(HOW_TO_GET_IT));
    }
    Ok(found)
}

/// Whether ONNX Runtime can be loaded; loads it if so.
#[must_use]
pub fn has_runtime(named: Option<&Path>) -> bool {
    load(named).is_ok()
}

/// Loads the library, if that was not done, and makes its environment.
pub(crate) fn load(named: Option<&Path>) -> Result<Environment> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = &*loaded {
        // Without a name any library will do; with one it must be that.
        if named.is_some() && !find(named)?.contains(&loaded.path) {
            return Err(Error::usage(format!(
                "ONNX Runtime was loaded from {} already, and a process can load one",
                loaded.path.display()
            ))
            .hint("name the same library for all models"));
        }
        return Ok(loaded.environment.clone());
    }
    let mut failures = Vec::new();
    for path in find(named)? {
        match guarded(|| from(&path)) {
            Ok(environment) => {
                *loaded = Some(Loaded {
                    path,
                    environment: environment.clone(),
                });
                return Ok(environment);
            }
            Err(why) => failures.push(why),
        }
    }
    Err(Error::usage(format!(
        "ONNX Runtime cannot be loaded: {}",
        failures.join("; ")
    ))
    .hint(format!(
        "ONNX Runtime {OLDEST} or newer is needed: {HOW_TO_GET_IT}"
    )))
}

fn from(path: &Path) -> std::result::Result<Environment, String> {
    use ort::LoadDynamicError as Failure;

    let builder = ort::init_from(path).map_err(|failure| match failure {
        Failure::Dlopen { error, .. } => format!("{}: {error}", path.display()),
        Failure::MissingApi { .. } => format!("{} is another library", path.display()),
        Failure::BadVersion { version_str, .. } => {
            format!(
                "{} is ONNX Runtime {version_str}, which is too old",
                path.display()
            )
        }
        other @ Failure::InvalidVersionString => format!("{}: {other}", path.display()),
    })?;
    builder
        .with_name("giveaway")
        .with_telemetry(false)
        .build()
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// The libraries at a path that was named.
fn at(path: &Path, what: &str) -> Result<Vec<PathBuf>> {
    let found = if path.is_dir() {
        ["", "lib", "capi", "onnxruntime/capi"]
            .iter()
            .flat_map(|below| libraries_in(&path.join(below)))
            .collect()
    } else if path.is_file() {
        // ort takes relative paths relative to the program.
        std::fs::canonicalize(path).into_iter().collect()
    } else {
        Vec::new()
    };
    if found.is_empty() {
        return Err(Error::usage(format!(
            "no ONNX Runtime at {}, which {what} names",
            path.display()
        ))
        .hint(HOW_TO_GET_IT));
    }
    Ok(found)
}

/// The libraries in a folder, the name that sorts last (the newest, mostly) first.
fn libraries_in(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = entries(folder)
        .into_iter()
        .filter(|path| path.file_name().is_some_and(is_library))
        .filter_map(|path| std::fs::canonicalize(path).ok())
        .collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    found.dedup();
    found
}

/// `libonnxruntime.so.1.32.0`, `libonnxruntime.1.32.0.dylib`, `onnxruntime.dll`; not
/// `libonnxruntime_providers_shared.so`.
fn is_library(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    if cfg!(windows) {
        return name.eq_ignore_ascii_case("onnxruntime.dll");
    }
    name.strip_prefix("libonnxruntime.").is_some_and(|rest| {
        if cfg!(target_os = "macos") {
            rest == "dylib"
                || Path::new(rest)
                    .extension()
                    .is_some_and(|end| end == "dylib")
        } else {
            rest == "so" || rest.starts_with("so.")
        }
    })
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort_unstable_by(|a, b| b.cmp(a));
    paths
}

/// The Pythons to look at: that of the virtual environment, then python3 and python of `PATH`.
fn pythons() -> Vec<PathBuf> {
    let (folder, names) = if cfg!(windows) {
        ("Scripts", ["python3.exe", "python.exe"])
    } else {
        ("bin", ["python3", "python"])
    };
    let mut folders: Vec<PathBuf> = Vec::new();
    for variable in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
        if let Some(prefix) = env::var_os(variable).filter(|prefix| !prefix.is_empty()) {
            folders.push(Path::new(&prefix).join(folder));
        }
    }
    let path = env::var_os("PATH").unwrap_or_default();
    folders.extend(env::split_paths(&path).filter(|folder| folder.is_absolute()));
    let mut found: Vec<PathBuf> = Vec::new();
    for name in names {
        for folder in &folders {
            let python = folder.join(name);
            if python.is_file() && !found.contains(&python) {
                found.push(python);
                // What stands behind the first on PATH is not what `python3` means.
                if folders.len() > 2 && found.len() >= 4 {
                    return found;
                }
            }
        }
    }
    found
}

/// Where the packages of a Python are, as installations have them on Linux, macOS and Windows:
/// of its own prefix, of that of the program it links to, of the user.
fn package_folders(python: &Path) -> Vec<PathBuf> {
    let prefix = |python: &Path| Some(python.parent()?.parent()?.to_owned());
    let mut prefixes: Vec<PathBuf> = prefix(python).into_iter().collect();
    // A virtual environment's python is a link to one that has other packages.
    let own = prefixes
        .first()
        .is_some_and(|p| p.join("pyvenv.cfg").is_file());
    if !own {
        let target = std::fs::canonicalize(python).ok();
        prefixes.extend(target.as_deref().and_then(prefix));
        prefixes.extend(env::var_os("HOME").map(|home| Path::new(&home).join(".local")));
    }
    let mut folders = Vec::new();
    for prefix in prefixes {
        folders.push(prefix.join("Lib").join("site-packages"));
        for lib in ["lib", "lib64", "local/lib"] {
            for version in entries(&prefix.join(lib)) {
                let named = version.file_name().and_then(OsStr::to_str);
                if named.is_some_and(|name| name.starts_with("python3")) {
                    folders.push(version.join("site-packages"));
                    folders.push(version.join("dist-packages"));
                }
            }
        }
    }
    folders
}

/// Asks a Python where the package is; for installations laid out in their own way. One that
/// does not answer within ten seconds is given up.
fn ask(python: &Path) -> Option<PathBuf> {
    const QUESTION: &str = "import importlib.util as u; s = u.find_spec('onnxruntime'); print(s.submodule_search_locations[0] if s else '')";

    let mut child = Command::new(python)
        .args(["-c", QUESTION])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let started = Instant::now();
    while child.try_wait().ok()?.is_none() {
        if started.elapsed() > Duration::from_secs(10) {
            // It may have ended just now: then there is nothing to kill, and nothing to say.
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        sleep(Duration::from_millis(10));
    }
    let answer = child.wait_with_output().ok()?.stdout;
    let answer = String::from_utf8(answer).ok()?;
    let folder = answer.trim_end_matches(['\r', '\n']);
    (!folder.is_empty()).then(|| PathBuf::from(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_library_itself_is_taken() {
        let yes = if cfg!(windows) {
            vec!["onnxruntime.dll"]
        } else if cfg!(target_os = "macos") {
            vec!["libonnxruntime.dylib", "libonnxruntime.1.32.0.dylib"]
        } else {
            vec!["libonnxruntime.so", "libonnxruntime.so.1.32.0"]
        };
        for name in yes {
            assert!(is_library(OsStr::new(name)), "{name}");
        }
        for name in [
            "libonnxruntime_providers_shared.so",
            "onnxruntime_pybind11_state.cpython-311-x86_64-linux-gnu.so",
            "libonnx.so",
            "libonnxruntime.a",
        ] {
            assert!(!is_library(OsStr::new(name)), "{name}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_virtual_environment_has_its_packages_below_itself() {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        let capi = folder
            .path()
            .join("lib/python3.11/site-packages/onnxruntime/capi");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::create_dir_all(&capi).unwrap();
        std::fs::write(folder.path().join("pyvenv.cfg"), "").unwrap();
        std::fs::write(bin.join("python3"), "").unwrap();
        std::fs::write(capi.join("libonnxruntime.so.1.20.0"), "").unwrap();
        std::fs::write(capi.join("libonnxruntime_providers_shared.so"), "").unwrap();
        let folders = package_folders(&bin.join("python3"));
        let found: Vec<PathBuf> = folders
            .iter()
            .flat_map(|packages| libraries_in(&packages.join("onnxruntime/capi")))
            .collect();
        assert_eq!(found.len(), 1, "{found:?}");
        // A folder may be named instead of the file.
        let site = capi.parent().unwrap().parent().unwrap();
        assert_eq!(find(Some(site)).unwrap(), found);
        assert_eq!(find(Some(&capi)).unwrap(), found);
    }

    #[test]
    fn a_named_path_without_a_library_says_how_to_get_one() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().join("nothing.so"), folder.path().to_owned()] {
            let error = find(Some(&path)).unwrap_err();
            assert!(error.to_string().contains(&path.display().to_string()));
            assert!(
                error
                    .hint_text()
                    .unwrap()
                    .contains("pip install onnxruntime")
            );
        }
    }
}
