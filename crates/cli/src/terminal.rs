//! What goes to the terminal: data to standard output, everything else to standard error.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;

use giveaway::Error;
use giveaway::report::printable::printable;
use giveaway::run::progress::Progress;
use indicatif::{ProgressBar, ProgressStyle};

/// Writes data to standard output. A reader that has gone away, such as `head`, is no failure.
pub(crate) fn print_data(text: &str) -> Result<(), Error> {
    let mut output = io::stdout().lock();
    match output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
    {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::io("write to standard output", "standard output", &e))
        }
        _ => Ok(()),
    }
}

/// Writes a line to standard error.
pub(crate) fn print_line(text: &str) {
    // Where standard error is gone there is nobody left to tell.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes an error and what to do about it to standard error.
pub(crate) fn print_error(error: &Error) {
    print_line(&format!("error: {}", safe(&error.to_string())));
    if let Some(hint) = error.hint_text() {
        print_line(&format!("hint: {}", safe(hint)));
    }
}

/// A message may quote a file: nothing of it but line breaks reaches the terminal unseen.
fn safe(message: &str) -> String {
    message
        .split('\n')
        .map(printable)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Progress bars on a terminal; nothing where there is none.
pub(crate) struct Bars {
    show: bool,
    bar: Mutex<Option<ProgressBar>>,
}

impl Bars {
    pub(crate) fn new(quiet: bool) -> Self {
        Self {
            show: !quiet && io::stderr().is_terminal(),
            bar: Mutex::new(None),
        }
    }

    fn with(&self, act: impl FnOnce(&mut Option<ProgressBar>)) {
        // A poisoned lock only means that another thread's bar is unfinished.
        act(&mut self
            .bar
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner));
    }
}

impl Progress for Bars {
    fn begin(&self, stage: &str, total: u64) {
        if !self.show {
            return;
        }
        let (bar, template) = if total == 0 {
            (ProgressBar::new_spinner(), "  {spinner} {msg}")
        } else {
            (
                ProgressBar::new(total),
                // As wide as is left: a line that wraps cannot be cleared.
                "  {msg} [{wide_bar}] {pos}/{len}, {elapsed} gone, {eta} to go",
            )
        };
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
        let bar = bar.with_style(style).with_message(stage.to_owned());
        bar.enable_steady_tick(std::time::Duration::from_millis(200));
        self.with(|slot| *slot = Some(bar));
    }

    fn advance(&self, steps: u64) {
        self.with(|slot| {
            if let Some(bar) = slot {
                bar.inc(steps);
            }
        });
    }

    fn end(&self) {
        self.with(|slot| {
            if let Some(bar) = slot.take() {
                bar.finish_and_clear();
            }
        });
    }

    fn note(&self, text: &str) {
        if self.show {
            self.with(|slot| match slot {
                Some(bar) => bar.suspend(|| print_line(text)),
                None => print_line(text),
            });
        }
    }
}
