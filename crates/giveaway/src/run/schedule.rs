//! Which models are trained at the same time, and on how many threads each.
//!
//! Whole models side by side use cores best, so that is done while there are enough of
//! them; what is left over after the last full round shares the cores. Results do not
//! depend on any of it.

use std::num::NonZero;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::error::{Error, Result};

/// Tasks that are worked on by some lanes at the same time, each one after another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wave {
    tasks: Range<usize>,
    /// Tasks at the same time.
    lanes: usize,
    /// Threads of each lane.
    threads: NonZero<usize>,
}

/// Divides `tasks` tasks over `threads` threads, never more than `most_at_once` in hand.
///
/// Every full round of lanes belongs to the first wave. The rest is a wave of its own,
/// with more threads for each, where there are enough threads for that.
fn waves(tasks: usize, threads: usize, most_at_once: usize) -> Vec<Wave> {
    let lanes = threads.min(most_at_once).min(tasks).max(1);
    let share = |lanes: usize| NonZero::new(threads / lanes).unwrap_or(NonZero::<usize>::MIN);
    let rest = tasks % lanes;
    let wave = |tasks: Range<usize>, lanes: usize| Wave {
        tasks,
        lanes,
        threads: share(lanes),
    };
    let mut waves = if rest == 0 || share(rest) == share(lanes) {
        vec![wave(0..tasks, lanes)]
    } else {
        vec![
            wave(0..tasks - rest, lanes),
            wave(tasks - rest..tasks, rest),
        ]
    };
    waves.retain(|wave| !wave.tasks.is_empty());
    waves
}

/// Does `tasks` tasks on `threads` threads, never more than `most_at_once` at a time.
/// `work` gets a task's number and runs on a rayon pool with as many threads as it may use.
///
/// # Errors
/// The first error of a task, in the order of their numbers. After one failure no further
/// task is begun: the models still to come would fail the same way. Those in hand end.
pub(super) fn run(
    tasks: usize,
    threads: usize,
    most_at_once: usize,
    work: impl Fn(usize) -> Result<()> + Sync,
) -> Result<()> {
    let failed = AtomicBool::new(false);
    let mut errors = Vec::new();
    for wave in waves(tasks, threads, most_at_once) {
        let next = AtomicUsize::new(wave.tasks.start);
        // A panic ends the work of the other lanes too.
        let watch = || Watch(&failed);
        let lane = || -> std::result::Result<(), (usize, Error)> {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(wave.threads.get())
                .build()
                .map_err(|e| {
                    failed.store(true, Ordering::Relaxed);
                    let error = Error::unexpected(format!("cannot start threads: {e}"))
                        .hint("ask for fewer with --threads");
                    (wave.tasks.start, error)
                })?;
            pool.install(|| {
                let _watch = watch();
                while !failed.load(Ordering::Relaxed) {
                    let task = next.fetch_add(1, Ordering::Relaxed);
                    if task >= wave.tasks.end {
                        break;
                    }
                    work(task).map_err(|error| {
                        failed.store(true, Ordering::Relaxed);
                        (task, error)
                    })?;
                }
                Ok(())
            })
        };
        std::thread::scope(|scope| {
            let lanes: Vec<_> = (0..wave.lanes).map(|_| scope.spawn(lane)).collect();
            for lane in lanes {
                match lane.join() {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => errors.push(error),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
    }
    match errors.into_iter().min_by_key(|(task, _)| *task) {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

/// Tells of a panic of its thread.
struct Watch<'a>(&'a AtomicBool);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn shape(tasks: usize, threads: usize, most: usize) -> Vec<(usize, usize, usize)> {
        waves(tasks, threads, most)
            .iter()
            .map(|wave| (wave.tasks.len(), wave.lanes, wave.threads.get()))
            .collect()
    }

    #[test]
    fn whole_models_while_there_are_many_and_shared_cores_for_the_rest() {
        assert_eq!(shape(256, 2, usize::MAX), [(256, 2, 1)]);
        assert_eq!(shape(257, 2, usize::MAX), [(256, 2, 1), (1, 1, 2)]);
        assert_eq!(shape(1, 16, usize::MAX), [(1, 1, 16)]);
        assert_eq!(shape(20, 16, usize::MAX), [(16, 16, 1), (4, 4, 4)]);
        // fifteen of sixteen lanes: nothing is gained by waiting for the first sixteen
        assert_eq!(shape(31, 16, usize::MAX), [(31, 16, 1)]);
        assert_eq!(shape(7, 8, 2), [(6, 2, 4), (1, 1, 8)]);
        assert_eq!(shape(5, 1, usize::MAX), [(5, 1, 1)]);
        assert!(shape(0, 4, usize::MAX).is_empty());
        // no memory for one: the caller refuses, and one at a time is the least
        assert_eq!(shape(3, 4, 0), [(3, 1, 4)]);
    }

    #[test]
    fn waves_cut_all_tasks_without_overlap_and_keep_within_the_limits() {
        for tasks in 0..40 {
            for threads in 1..20 {
                for most in [1, 2, 3, 7, 100] {
                    let mut next = 0;
                    for wave in waves(tasks, threads, most) {
                        assert_eq!(wave.tasks.start, next);
                        next = wave.tasks.end;
                        assert!((1..=most).contains(&wave.lanes));
                        assert!(wave.lanes * wave.threads.get() <= threads);
                    }
                    assert_eq!(next, tasks);
                }
            }
        }
    }

    #[test]
    fn every_task_is_done_once_on_its_share_of_the_threads() {
        let done = Mutex::new(Vec::new());
        run(5, 4, 4, |task| {
            done.lock()
                .unwrap()
                .push((task, rayon::current_num_threads()));
            Ok(())
        })
        .unwrap();
        let mut done = done.into_inner().unwrap();
        done.sort_unstable();
        assert_eq!(done, [(0, 1), (1, 1), (2, 1), (3, 1), (4, 4)]);
    }

    #[test]
    fn no_more_than_the_limit_are_in_hand() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        run(40, 8, 3, |_| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(std::time::Duration::from_millis(2));
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        })
        .unwrap();
        assert!((1..=3).contains(&most.into_inner()));
    }

    #[test]
    fn a_panic_ends_the_work_and_is_passed_on() {
        let begun = AtomicUsize::new(0);
        let panic = std::panic::catch_unwind(|| {
            run(10_000, 2, 2, |_| {
                assert!(begun.fetch_add(1, Ordering::Relaxed) != 3, "the fourth");
                std::thread::sleep(std::time::Duration::from_micros(100));
                Ok(())
            })
        });
        assert!(panic.is_err());
        assert!(begun.into_inner() < 5_000);
    }

    #[test]
    fn the_first_failure_ends_the_work_and_is_told() {
        let begun = AtomicUsize::new(0);
        let error = run(1000, 2, 2, |task| {
            begun.fetch_add(1, Ordering::Relaxed);
            if task >= 4 {
                return Err(Error::usage(format!("task {task}")));
            }
            Ok(())
        })
        .unwrap_err();
        assert!(begun.into_inner() <= 6);
        assert!(error.to_string().contains("task 4") || error.to_string().contains("task 5"));
    }
}
