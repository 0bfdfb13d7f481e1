//! What can go wrong, in words that say what, where and what to do next.

use std::fmt;
use std::path::PathBuf;

/// The result of everything that can fail here.
pub type Result<T> = std::result::Result<T, Error>;

/// Who has to act when something fails; each kind has an exit code of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A defect of ours, or the machine's (a full disk, a file that cannot be written): exit code 1.
    Unexpected,
    /// The command or configuration asks for something that makes no sense: exit code 2.
    Usage,
    /// The data, or a run directory, is not what it should be: exit code 3.
    Input,
    /// The target model failed: exit code 4.
    Target,
}

impl ErrorKind {
    /// The exit code of the `giveaway` command for errors of this kind.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Unexpected => 1,
            Self::Usage => 2,
            Self::Input => 3,
            Self::Target => 4,
        }
    }
}

/// An error: what failed, where, and what to do about it.
///
/// One opaque type, so that stages can pass on each other's errors. It promises a
/// [kind](Self::kind), a message of one sentence or two, and mostly a hint.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    place: Option<String>,
    hint: Option<String>,
}

impl Error {
    /// An error of this kind; `message` says what is wrong, without a full stop.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            place: None,
            hint: None,
        }))
    }

    /// Bad input (exit code 3).
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Input, message)
    }

    /// Wrong usage (exit code 2).
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// A failure that is not the user's doing (exit code 1).
    pub fn unexpected(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unexpected, message)
    }

    /// The same, for somebody else to act on.
    #[must_use]
    pub fn of_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// An error of the operating system at a path; one that another path would mend is the
    /// user's, the rest is unexpected.
    pub fn io(doing: &str, path: impl Into<PathBuf>, error: &std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let path = path.into();
        let (kind, hint) = match error.kind() {
            Io::NotFound => (
                ErrorKind::Input,
                "check the path; it is taken relative to the current directory",
            ),
            Io::PermissionDenied => (
                ErrorKind::Input,
                "check the permissions of the file and of its directory",
            ),
            Io::IsADirectory => (ErrorKind::Input, "name a file, not a directory"),
            Io::AlreadyExists => (
                ErrorKind::Input,
                "a file of that name is in the way: give another name",
            ),
            Io::NotADirectory => (
                ErrorKind::Input,
                "a part of the path is a file: name a directory in its place",
            ),
            Io::InvalidFilename => (
                ErrorKind::Input,
                "the system takes no such name: give another, shorter one",
            ),
            Io::StorageFull | Io::QuotaExceeded => (
                ErrorKind::Unexpected,
                "make room and run the same command again; what is finished is kept",
            ),
            Io::ReadOnlyFilesystem => (
                ErrorKind::Input,
                "the file system can only be read: name a place that can be written",
            ),
            Io::FileTooLarge => (
                ErrorKind::Unexpected,
                "files may not be that large here (ulimit -f): raise the limit and run the same command again; what is finished is kept",
            ),
            Io::InvalidData => (
                ErrorKind::Input,
                "save the file as UTF-8 (PowerShell's `>` writes UTF-16: use Out-File -Encoding utf8)",
            ),
            _ => (
                ErrorKind::Unexpected,
                "see whether the device is in order, then run the same command again",
            ),
        };
        Self::new(kind, format!("cannot {doing}: {error}"))
            .at(path.display().to_string())
            .hint(hint)
    }

    /// Says where: a file, row, column or option. An earlier place becomes the inner one.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.0.place = Some(match self.0.place.take() {
            Some(inner) => format!("{place}, {inner}"),
            None => place.to_string(),
        });
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Who has to act.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What to do next, where that is known.
    #[must_use]
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for Error {
    /// What and where; the hint is for the caller to print on a line of its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.0.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_the_place_from_the_outside_in() {
        let error = Error::input("not a number")
            .at("row 3")
            .at("data.csv")
            .hint("mend it");
        assert_eq!(error.to_string(), "data.csv, row 3: not a number");
        assert_eq!(error.hint_text(), Some("mend it"));
        assert_eq!(error.kind().exit_code(), 3);
    }

    #[test]
    fn what_another_path_would_mend_is_input() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let code = |path: &std::path::Path| {
            let error = std::fs::create_dir(path).unwrap_err();
            let error = Error::io("make the directory", path, &error);
            (error.kind(), error.hint_text().map(str::to_owned))
        };
        for (path, word) in [
            (file.clone(), "in the way"),
            (file.join("below"), "is a file"),
            (folder.path().join("x".repeat(300)), "another, shorter"),
        ] {
            let (kind, hint) = code(&path);
            assert_eq!(kind, ErrorKind::Input, "{}", path.display());
            assert!(hint.unwrap().contains(word), "{}", path.display());
        }
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert_eq!(Error::io("write", "x", &full).kind(), ErrorKind::Unexpected);
    }
}
