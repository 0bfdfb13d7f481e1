//! Ctrl-C: a child in a group of its own does not get it from the terminal, so giveaway passes
//! it on before it ends itself.

#[cfg(unix)]
pub(super) use unix::{await_the_end, watch};

#[cfg(unix)]
mod unix {
    use std::sync::Once;
    use std::time::{Duration, Instant};

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    use crate::process::registry;

    /// What ends a program, unless whoever started it wants otherwise.
    const ENDING: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

    /// Longer than the grace that a group has.
    const PATIENCE: Duration = Duration::from_secs(3);

    /// Begins to watch for signals that end giveaway, once: before there are children, the
    /// system's own way of ending it is good enough.
    pub(in crate::process) fn watch() {
        static WATCHING: Once = Once::new();
        WATCHING.call_once(|| {
            let watched = ENDING.into_iter().filter(|&signal| !is_ignored(signal));
            // Without signals or threads children run to their end; nothing else is lost.
            let Ok(mut signals) = Signals::new(watched) else {
                return;
            };
            let _ = std::thread::Builder::new()
                .name("signals".to_owned())
                .spawn(move || {
                    if let Some(signal) = signals.forever().next() {
                        end_with(signal);
                    }
                });
        });
    }

    /// Ends the children, removes their files, and then this process as the signal would have
    /// done: whoever waits for it sees that (a shell says 130 of SIGINT and 143 of SIGTERM).
    fn end_with(signal: i32) {
        registry::interrupt();
        let began = Instant::now();
        while registry::children() > 0 && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
        for folder in registry::folders() {
            let _ = std::fs::remove_dir_all(folder);
        }
        let _ = signal_hook::low_level::emulate_default_handler(signal);
    }

    /// Waits for [`end_with`]: an error of a child that was ended would be misleading.
    pub(in crate::process) fn await_the_end() {
        std::thread::sleep(2 * PATIENCE);
    }

    /// Whether a signal was to be ignored when giveaway was started: by nohup, or by a shell
    /// that put it into the background.
    fn is_ignored(signal: i32) -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = status
            .lines()
            .find_map(|line| line.strip_prefix("SigIgn:"))
            .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        match ignored {
            Some(mask) => mask >> (signal - 1) & 1 == 1,
            // Where nobody says, a lost terminal does not end what nohup may have protected.
            None => signal == SIGHUP,
        }
    }
}

/// Elsewhere a console passes Ctrl-C to all of its processes.
#[cfg(not(unix))]
pub(super) fn watch() {}

#[cfg(not(unix))]
pub(super) fn await_the_end() {}
