//! Commands of the user, run as processes of our own.
//!
//! A command line is split into words as a shell would, and no shell runs it. Each child is a
//! process group of its own, which ends as a whole: when the child itself ends, when it takes
//! longer than it may, when a [sibling](Siblings) fails, and when giveaway is interrupted. What
//! it prints is kept as far as an error message needs it. Children do not inherit the variables
//! that hold [secrets](Secrets).
//!
//! Only SIGKILL leaves children behind: it cannot be caught. They then end by themselves.

pub mod exchange;
mod interrupt;
mod registry;
mod scratch;
mod secrets;
mod tail;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};

pub(crate) use scratch::{Folder, Scratch};
pub use secrets::Secrets;
use tail::Tail;

/// A command line, split into words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    text: String,
    words: Vec<String>,
}

impl CommandLine {
    /// Splits a line as a POSIX shell would: quotes and backslashes, but no variables, patterns,
    /// pipes or substitutions.
    ///
    /// # Errors
    /// If a quote is not closed, or there is no word.
    pub fn parse(text: &str) -> Result<Self> {
        let words = shlex::split(text).ok_or_else(|| {
            Error::usage(format!("{text:?} ends within quotes or with a backslash"))
                .hint("close the quote; on the command line of a shell, quote the whole: --trainer 'python \"my train.py\"'")
        })?;
        if words.first().is_none_or(String::is_empty) {
            return Err(Error::usage("the command is empty")
                .hint("name a program and its arguments: 'python train.py'"));
        }
        let is_of_a_shell = |word: &String| {
            matches!(
                word.as_str(),
                "|" | "||" | "&&" | "&" | ";" | ">" | ">>" | "<"
            )
        };
        let sets_variable = words[0].split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        });
        if words[0] == "cd" || sets_variable || words.iter().any(is_of_a_shell) {
            return Err(Error::usage("this is for a shell, and none runs it")
                .at(format!("the command `{text}`"))
                .hint("name a program and its arguments, or call the shell: sh -c '…'"));
        }
        Ok(Self {
            text: text.to_owned(),
            words,
        })
    }

    /// The line as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The program and its arguments.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        self.words.clone()
    }

    /// The line with further arguments, as a shell would take it.
    fn with(&self, arguments: &[OsString]) -> String {
        let words = self.words.iter().cloned();
        let more = arguments.iter().map(|a| a.to_string_lossy().into_owned());
        let quoted: Vec<String> = words
            .chain(more)
            .map(|word| shlex::try_quote(&word).map_or(word.clone(), std::borrow::Cow::into_owned))
            .collect();
        quoted.join(" ")
    }
}

/// Children that belong together: when one fails, the others have no use.
#[derive(Debug, Default)]
pub struct Siblings {
    /// How often they were stopped: a child notices by the number it began with.
    stops: AtomicUsize,
}

impl Siblings {
    /// Ends all that run now. Those that begin later are not meant.
    pub fn stop(&self) {
        self.stops.fetch_add(1, Ordering::SeqCst);
    }
}

/// What is to be run.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// The command.
    pub line: &'a CommandLine,
    /// What is appended to it.
    pub arguments: &'a [OsString],
    /// What it must not see.
    pub secrets: &'a Secrets,
    /// How long it may take; no limit without.
    pub timeout: Option<Duration>,
    /// With whom it ends.
    pub siblings: Option<&'a Siblings>,
}

/// A child that ended well.
#[derive(Clone, Debug)]
pub struct Finished {
    /// From its start to its end.
    pub took: Duration,
}

/// Why a child did not end well.
#[derive(Debug)]
pub enum Failed {
    /// It could not be started.
    NotStarted(std::io::Error),
    /// It ended with a status that means failure, having said this last.
    Status(ExitStatus, String),
    /// It took longer than it may, having said this last.
    TimedOut(Duration, String),
    /// It was ended because a sibling failed, or giveaway is being interrupted.
    Stopped,
    /// It could not be watched.
    Lost(std::io::Error),
}

/// How long a group has to end after a polite request.
const GRACE: Duration = Duration::from_secs(1);
/// The longest pause between two looks at a child.
const PAUSE: Duration = Duration::from_millis(20);

impl Job<'_> {
    /// Runs it to its end, and sees to it that nothing of its group is left.
    ///
    /// Its standard input is empty; what it prints goes nowhere but into the error. Unless the
    /// environment says otherwise, libraries are asked for one thread each and Python for sets
    /// in the same order every time: the same seed shall give the same model, and the models
    /// beside this one use the other cores.
    ///
    /// # Errors
    /// Why it did not end well.
    pub fn run(&self) -> std::result::Result<Finished, Failed> {
        let stops = self
            .siblings
            .map(|siblings| (siblings, siblings.stops.load(Ordering::SeqCst)));
        let is_stopped = || {
            stops.is_some_and(|(siblings, before)| siblings.stops.load(Ordering::SeqCst) != before)
        };
        let began = Instant::now();
        let (mut running, tail) = self.start()?;
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(status) = running.ended().map_err(Failed::Lost)? {
                let took = began.elapsed();
                if status.success() {
                    return Ok(Finished { took });
                }
                return Err(Failed::Status(status, tail.read(self.secrets)));
            }
            if registry::is_interrupted() {
                drop(running);
                interrupt::await_the_end();
                return Err(Failed::Stopped);
            }
            if is_stopped() {
                return Err(Failed::Stopped);
            }
            if let Some(limit) = self.timeout
                && began.elapsed() >= limit
            {
                drop(running);
                return Err(Failed::TimedOut(limit, tail.read(self.secrets)));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE);
        }
    }

    fn start(&self) -> std::result::Result<(Running, Tail), Failed> {
        interrupt::watch();
        let (reader, writer) = std::io::pipe().map_err(Failed::NotStarted)?;
        let mut command = Command::new(&self.line.words[0]);
        command
            .args(&self.line.words[1..])
            .args(self.arguments)
            .stdin(Stdio::null())
            .stdout(writer.try_clone().map_err(Failed::NotStarted)?)
            .stderr(writer);
        for variable in self.secrets.variables() {
            command.env_remove(variable);
        }
        for (name, value) in CALM {
            if std::env::var_os(name).is_none() {
                command.env(name, value);
            }
        }
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let entry = registry::enter(|| command.spawn()).map_err(Failed::NotStarted)?;
        let Some((child, entry)) = entry else {
            interrupt::await_the_end();
            return Err(Failed::Stopped);
        };
        // The command holds our ends of the pipe: the reader must see its end.
        drop(command);
        let tail = Tail::of(reader, self.secrets.longest());
        Ok((
            Running {
                child,
                is_reaped: false,
                _entry: entry,
            },
            tail,
        ))
    }
}

/// What is set for children where the environment does not say.
const CALM: [(&str, &str); 4] = [
    ("OMP_NUM_THREADS", "1"),
    ("OPENBLAS_NUM_THREADS", "1"),
    ("MKL_NUM_THREADS", "1"),
    ("PYTHONHASHSEED", "0"),
];

/// A child in hand: when this goes, so does its group.
struct Running {
    child: Child,
    is_reaped: bool,
    _entry: registry::Entry,
}

impl Running {
    /// Its status if it has ended; then nothing of its group is left.
    fn ended(&mut self) -> std::io::Result<Option<ExitStatus>> {
        if !has_ended(&mut self.child)? {
            return Ok(None);
        }
        // What it left behind goes before it is reaped: until then the number is its group's
        // and nobody else's.
        signal_group(&self.child, Last::Word);
        let status = self.child.wait()?;
        self.is_reaped = true;
        Ok(Some(status))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_reaped {
            return;
        }
        signal_group(&self.child, Last::Request);
        let began = Instant::now();
        while began.elapsed() < GRACE && matches!(has_ended(&mut self.child), Ok(false)) {
            std::thread::sleep(Duration::from_millis(5));
        }
        signal_group(&self.child, Last::Word);
        // Where there are no groups, the child alone; elsewhere it is dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a group is told to end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    /// It may clear up.
    Request,
    /// It may not.
    Word,
}

/// Whether a child has ended; it is not reaped, so its number stays its own.
#[cfg(unix)]
fn has_ended(child: &mut Child) -> std::io::Result<bool> {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    match waitid(WaitId::Pid(number(child)?), options) {
        Ok(status) => Ok(status.is_some()),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(unix))]
fn has_ended(child: &mut Child) -> std::io::Result<bool> {
    child.try_wait().map(|status| status.is_some())
}

#[cfg(unix)]
fn signal_group(child: &Child, last: Last) {
    use rustix::process::{Signal, kill_process_group};
    let signal = match last {
        Last::Request => Signal::TERM,
        Last::Word => Signal::KILL,
    };
    if let Ok(group) = number(child) {
        // It fails only where nobody is left.
        let _ = kill_process_group(group, signal);
    }
}

#[cfg(not(unix))]
fn signal_group(_: &Child, _: Last) {}

#[cfg(unix)]
fn number(child: &Child) -> std::io::Result<rustix::process::Pid> {
    i32::try_from(child.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .ok_or_else(|| std::io::Error::other("a process without a number"))
}

impl Failed {
    /// The error, of this kind, with the last words of the child; `files` is where what it was
    /// given is kept, with the whole of what it said last.
    #[must_use]
    pub fn into_error(self, kind: ErrorKind, line: &CommandLine, files: Option<&Path>) -> Error {
        let name = format!("`{}`", line.text());
        let (what, said) = match self {
            Self::NotStarted(error) => return not_started(kind, line, &error),
            Self::Stopped => {
                return Error::new(kind, format!("{name} was stopped"))
                    .hint("run the same command again; what is finished is kept");
            }
            Self::Lost(error) => {
                return Error::unexpected(format!("cannot wait for {name}: {error}"));
            }
            Self::Status(status, said) => (format!("{name} failed: {}", in_words(status)), said),
            Self::TimedOut(limit, said) => (
                format!(
                    "{name} was stopped: it took more than {} s",
                    limit.as_secs_f64()
                ),
                said,
            ),
        };
        let kept = files
            .map(|files| format!("; its files are kept in {}", files.display()))
            .unwrap_or_default();
        let error = Error::new(kind, format!("{what}{kept}{}", last_words(&said)));
        error.hint(if files.is_some() {
            "run the line in `command.txt` there to see it fail by itself"
        } else {
            "mend the command and run giveaway again; what is finished is kept"
        })
    }

    /// The whole of what is known of its last words.
    #[must_use]
    pub fn said(&self) -> &str {
        match self {
            Self::Status(_, said) | Self::TimedOut(_, said) => said,
            Self::NotStarted(_) | Self::Stopped | Self::Lost(_) => "",
        }
    }
}

fn not_started(kind: ErrorKind, line: &CommandLine, error: &std::io::Error) -> Error {
    use std::io::ErrorKind as Io;
    let program = &line.words[0];
    let (why, hint) = match error.kind() {
        Io::NotFound => (
            format!("there is no program `{program}`"),
            "check its name, and that it can be found from here (PATH; an environment that is not active)",
        ),
        Io::PermissionDenied => (
            format!("`{program}` is no program that may be run"),
            "begin with the interpreter ('python train.py'), or make the file executable",
        ),
        _ => (
            format!("cannot start `{program}`: {error}"),
            "see whether it runs by itself",
        ),
    };
    Error::new(kind, why)
        .at(format!("the command `{}`", line.text()))
        .hint(hint)
}

fn in_words(status: ExitStatus) -> impl fmt::Display {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
        let memory = if signal == signal_hook::consts::SIGKILL {
            "; that is what happens where memory runs out"
        } else {
            ""
        };
        return format!("ended by {name} ({signal}){memory}");
    }
    status.code().map_or_else(
        || status.to_string(),
        |code| format!("it ended with exit code {code}"),
    )
}

/// Lines of a child that an error shows, and the most characters of each.
const SHOWN_LINES: usize = 12;
const SHOWN_CHARACTERS: usize = 300;

/// The last lines as a message takes them, each set off.
fn last_words(said: &str) -> String {
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    if lines.is_empty() {
        return "; it said nothing".to_owned();
    }
    let from = lines.len().saturating_sub(SHOWN_LINES);
    let mut shown = "; it said last:".to_owned();
    for line in &lines[from..] {
        shown.push_str("\n  | ");
        shown.extend(line.chars().take(SHOWN_CHARACTERS));
    }
    shown
}

/// Runs a job whose files lie in a folder: where it fails, they are kept, with the line that would
/// run it again and what it said. Nothing where it was stopped.
///
/// # Errors
/// As [`Job::run`], in words.
pub(crate) fn run_in(job: &Job<'_>, kind: ErrorKind, folder: &Folder) -> Result<Option<Finished>> {
    match job.run() {
        Ok(finished) => Ok(Some(finished)),
        Err(Failed::Stopped) => Ok(None),
        Err(failed) => {
            let has_files = matches!(failed, Failed::Status(..) | Failed::TimedOut(..));
            if has_files {
                keep_for_a_look(folder, job, failed.said());
            }
            Err(failed.into_error(kind, job.line, has_files.then_some(folder.path())))
        }
    }
}

/// Keeps the files of a job, with the line that would run it again and what it said.
pub(crate) fn keep_for_a_look(folder: &Folder, job: &Job<'_>, said: &str) {
    folder.keep();
    let folder = folder.path();
    // The failure itself matters more than that these could not be written.
    let _ = std::fs::write(
        folder.join("command.txt"),
        job.line.with(job.arguments) + "\n",
    );
    if !said.is_empty() {
        let _ = std::fs::write(folder.join("output.txt"), said);
    }
}

/// A timeout given in seconds.
pub(crate) fn time_limit(seconds: Option<f64>) -> Result<Option<Duration>> {
    let Some(seconds) = seconds else {
        return Ok(None);
    };
    let limit = Duration::try_from_secs_f64(seconds).ok();
    limit
        .filter(|limit| !limit.is_zero())
        .map(Some)
        .ok_or_else(|| {
            Error::usage(format!(
                "{seconds} seconds are no time to wait for a command"
            ))
            .at("timeout")
            .hint("give a number above 0, or leave it out to wait as long as it takes")
        })
}

/// An option and its value, as two arguments.
pub(crate) fn option(name: &str, value: impl AsRef<OsStr>) -> [OsString; 2] {
    [name.into(), value.as_ref().to_owned()]
}

#[cfg(all(test, unix))]
#[expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as tests may"
)]
mod tests;
