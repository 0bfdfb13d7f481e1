//! The last of what a child prints.

use std::io::Read;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Secrets;
use crate::report::printable::printable;

/// Bytes of its output that are kept.
const KEPT: usize = 16 << 10;
/// How long to wait for output after the child has ended: somebody who left its group may still
/// hold the other end.
const PATIENCE: Duration = Duration::from_millis(500);

/// Reads all that a child prints, so that it never waits for us, and keeps the end.
pub(super) struct Tail {
    kept: Arc<Mutex<Kept>>,
    done: Receiver<()>,
}

#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Tail {
    /// Begins to read. Secrets are no longer than `longest`.
    pub(super) fn of(mut pipe: impl Read + Send + 'static, longest: usize) -> Self {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let (sender, done) = channel();
        let most = KEPT + longest;
        let shared = Arc::clone(&kept);
        std::thread::spawn(move || {
            let mut buffer = vec![0; 8 << 10];
            loop {
                match pipe.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => {
                        let mut kept = shared.lock().unwrap_or_else(PoisonError::into_inner);
                        kept.bytes.extend_from_slice(&buffer[..count]);
                        if kept.bytes.len() > most {
                            let from = kept.bytes.len() - most;
                            kept.bytes.drain(..from);
                            kept.is_cut = true;
                        }
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            // Nobody may be waiting.
            let _ = sender.send(());
        });
        Self { kept, done }
    }

    /// What was said last, with secrets masked and fit to be printed line by line. The child has
    /// ended.
    pub(super) fn read(&self, secrets: &Secrets) -> String {
        match self.done.recv_timeout(PATIENCE) {
            Ok(()) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&kept.bytes);
        // The cut may have gone through a character.
        let text = text.trim_start_matches('\u{fffd}');
        let masked = secrets.mask(text, kept.is_cut);
        let mut from = masked.len().saturating_sub(KEPT);
        while !masked.is_char_boundary(from) {
            from += 1;
        }
        let lines = masked[from..].split(['\n', '\r']);
        let lines: Vec<String> = lines
            .map(|line| printable(&line.replace('\t', "    ")))
            .collect();
        lines.join("\n").trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(text: &str, secrets: &Secrets) -> String {
        Tail::of(
            std::io::Cursor::new(text.as_bytes().to_vec()),
            secrets.longest(),
        )
        .read(secrets)
    }

    #[test]
    fn the_end_is_kept_and_no_more() {
        let none = Secrets::default();
        assert_eq!(tail("one\ntwo\n", &none), "one\ntwo");
        let long = "x".repeat(3 * KEPT) + "\nend";
        let kept = tail(&long, &none);
        assert_eq!(kept.len(), KEPT);
        assert!(kept.ends_with("x\nend"));
    }

    #[test]
    fn what_acts_on_a_terminal_does_not() {
        assert_eq!(
            tail("10%\r20%\x1b[31m\tred\n", &Secrets::default()),
            "10%\n20%\\u{1b}[31m    red"
        );
    }

    #[test]
    fn a_secret_is_masked_wherever_the_cut_goes() {
        let secrets = Secrets::new(vec![], vec!["0123456789".to_owned()]);
        for shift in 0..12 {
            let text = "0123456789".to_owned() + &"x".repeat(KEPT + shift) + "0123456789";
            let kept = tail(&text, &secrets);
            assert!(!kept.contains(|c: char| c.is_ascii_digit()), "{shift}");
            assert!(kept.ends_with("x***"));
        }
    }
}
