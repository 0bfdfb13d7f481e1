//! Threads that share the work on one network.
//!
//! A step of training is a dozen products of a few to a few hundred microseconds, one
//! after another. One thread leads: it goes through the step as if it were alone, and
//! offers each product in parts, which the others take. Whoever takes a part computes it
//! exactly as the leader would: each element is one thread's, summed in the one order, and
//! so the number of threads cannot change a bit of the result.
//!
//! Nobody waits for a helper to come: the leader takes what is left, all of it if need be.
//! So helpers may run late, or not at all where the pool has other work. A leader that is
//! none of a pool's threads starts helpers of its own: it could not do a pool's work itself
//! while it waits, and a pool whose threads are all taken would hold it up.

use std::any::Any;
use std::cell::UnsafeCell;
use std::ops::{Deref, Range};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::{fmt, hint, thread};

use super::Kernel;
use super::environment::DefaultEnvironment;

/// Looks at the offer before a helper gives way to others, and then how often it gives way
/// before it sleeps. A look takes some 20 ns; between two products of a step hardly more
/// than ten microseconds go by.
const LOOKS: u32 = 2_000;
const YIELDS: u32 = 50;

/// Multiplications below which a task is not worth sharing: some five microseconds' work. With
/// tenths of that, two threads took a tenth longer for a network as small as 104-64-32-2.
const WORTH_SHARING: usize = 1_000_000;

/// Multiplications that take as long as copying a float from far away.
pub(super) const COPY: usize = 16;

/// Something on cache lines of its own.
#[repr(align(128))]
struct Apart<T>(T);

type Task<'a> = dyn Fn(usize) + Sync + 'a;

/// The threads of one network: a leader and its helpers.
pub(crate) struct Team {
    threads: usize,
    /// The number of the task in the upper half, in the lower the parts of it not yet taken.
    offer: Apart<AtomicU64>,
    /// Parts that helpers have finished.
    finished: Apart<AtomicUsize>,
    /// The task; written by the leader while no part is on offer or being worked on.
    task: UnsafeCell<Option<*const Task<'static>>>,
    /// Whether the leader is in `run`.
    running: AtomicBool,
    /// Helpers that have come.
    present: AtomicUsize,
    closed: AtomicBool,
    asleep: AtomicUsize,
    door: Mutex<()>,
    bell: Condvar,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: all fields but `task` may be shared. `task` is written by the one thread that is
// in `run` (which `running` makes sure of), when no part is on offer or being worked on, and
// read only by threads that have taken a part; what it points to may be called by any.
unsafe impl Sync for Team {}

impl fmt::Debug for Team {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Team")
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Team {
    fn new(threads: usize) -> Self {
        Self {
            threads,
            offer: Apart(AtomicU64::new(0)),
            finished: Apart(AtomicUsize::new(0)),
            task: UnsafeCell::new(None),
            running: AtomicBool::new(false),
            present: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            asleep: AtomicUsize::new(0),
            door: Mutex::new(()),
            bell: Condvar::new(),
            panic: Mutex::new(None),
        }
    }

    /// Takes a part of the task on offer, if there is one.
    fn take(&self) -> Option<usize> {
        let mut offer = self.offer.0.load(Ordering::Acquire);
        while offer as u32 > 0 {
            let less = offer - 1;
            match self.offer.0.compare_exchange_weak(
                offer,
                less,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Some(less as u32 as usize),
                Err(now) => offer = now,
            }
        }
        None
    }

    /// Works on a part; a panic is kept for the leader.
    fn work(&self, task: &Task, part: usize) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| task(part))) {
            *lock(&self.panic) = Some(panic);
        }
    }

    /// Helps until the team is closed.
    fn help(&self) {
        let _environment = DefaultEnvironment::enter();
        self.present.fetch_add(1, Ordering::Relaxed);
        let mut looks = 0;
        while !self.closed.load(Ordering::Acquire) {
            if let Some(part) = self.take() {
                // SAFETY: this thread has taken a part and not counted it as finished yet:
                // until it does, the leader stays in `run`, does not write the task, and
                // what the task points to lives. Taking the part made the write visible.
                let task = unsafe { (*self.task.get()).map(|task| &*task) };
                if let Some(task) = task {
                    self.work(task, part);
                }
                self.finished.0.fetch_add(1, Ordering::Release);
                looks = 0;
            } else {
                looks += 1;
                if looks < LOOKS {
                    hint::spin_loop();
                } else if looks < LOOKS + YIELDS {
                    thread::yield_now();
                } else {
                    self.sleep();
                    looks = 0;
                }
            }
        }
        self.present.fetch_sub(1, Ordering::Relaxed);
    }

    /// Sleeps until there is something on offer or the team is closed.
    fn sleep(&self) {
        let mut door = lock(&self.door);
        // first asleep, then a last look: the leader first offers, then looks for sleepers
        self.asleep.fetch_add(1, Ordering::SeqCst);
        while !self.closed.load(Ordering::SeqCst) && self.offer.0.load(Ordering::SeqCst) as u32 == 0
        {
            door = self.bell.wait(door).unwrap_or_else(PoisonError::into_inner);
        }
        self.asleep.fetch_sub(1, Ordering::SeqCst);
    }

    fn wake(&self) {
        if self.asleep.load(Ordering::SeqCst) > 0 {
            drop(lock(&self.door));
            self.bell.notify_all();
        }
    }

    /// Calls `task` once for each part, from whatever threads there are; returns when all
    /// calls have.
    ///
    /// # Panics
    /// If a call does, or is made while another runs.
    fn run(&self, parts: usize, task: &Task) {
        if parts < 2 || self.present.load(Ordering::Relaxed) == 0 {
            (0..parts).for_each(task);
            return;
        }
        assert!(u32::try_from(parts).is_ok());
        assert!(
            !self.running.swap(true, Ordering::Acquire),
            "a team does one thing at a time"
        );
        self.finished.0.store(0, Ordering::Relaxed);
        #[expect(
            clippy::transmute_ptr_to_ptr,
            reason = "a cast may not lengthen the lifetime of what a trait object borrows"
        )]
        // SAFETY: only the lifetime changes; the pointer is not used after `task` is gone,
        // as this function forgets it before it returns.
        let pointer: *const Task<'static> =
            unsafe { std::mem::transmute::<*const Task<'_>, *const Task<'static>>(task) };
        // SAFETY: `running` keeps other leaders out; no part of the last task is being
        // worked on, as its call of this function waited for them; none is on offer.
        unsafe { *self.task.get() = Some(pointer) };
        let number = self.offer.0.load(Ordering::Relaxed) >> 32;
        // the last part is the leader's own, so that the same data stay with it
        let offer = (number.wrapping_add(1) << 32) | (parts as u64 - 1);
        self.offer.0.store(offer, Ordering::SeqCst);
        self.wake();
        let mut done = 1;
        self.work(task, parts - 1);
        while let Some(part) = self.take() {
            self.work(task, part);
            done += 1;
        }
        let mut looks = 0u32;
        while self.finished.0.load(Ordering::Acquire) < parts - done {
            looks += 1;
            if looks < LOOKS {
                hint::spin_loop();
            } else {
                thread::yield_now();
            }
        }
        // SAFETY: as above; every part is finished.
        unsafe { *self.task.get() = None };
        self.running.store(false, Ordering::Release);
        let panic = lock(&self.panic).take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

/// Sends the helpers home when dropped.
struct Closing<'t>(&'t Team);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::SeqCst);
        drop(lock(&self.0.door));
        self.0.bell.notify_all();
    }
}

/// One of the parts that a task is divided into.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    number: usize,
    of: usize,
}

impl Part {
    pub(super) const WHOLE: Self = Self { number: 0, of: 1 };

    /// This part's share of so many things in a row.
    #[inline(always)]
    pub(crate) fn range(self, things: usize) -> Range<usize> {
        things * self.number / self.of..things * (self.number + 1) / self.of
    }
}

/// A kernel and the threads that use it together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crew<'t> {
    kernel: Kernel,
    team: Option<&'t Team>,
}

impl Deref for Crew<'_> {
    type Target = Kernel;

    fn deref(&self) -> &Kernel {
        &self.kernel
    }
}

impl Kernel {
    /// This kernel, used by the calling thread only.
    pub(crate) fn alone(self) -> Crew<'static> {
        Crew {
            kernel: self,
            team: None,
        }
    }

    /// Calls `work` with this kernel and so many threads, of which the calling one counts as
    /// the first; no more than the current rayon pool has. The others are the pool's if the
    /// calling one is, and else started for this.
    ///
    /// In a pool, `work` must not wait for what the pool is to do: its threads may all be
    /// helping.
    pub(crate) fn with_threads<T>(self, threads: usize, work: impl FnOnce(Crew) -> T) -> T {
        let mut helpers = threads.saturating_sub(1);
        if helpers > 0 {
            helpers = helpers.min(rayon::current_num_threads() - 1);
        }
        if helpers == 0 {
            return work(self.alone());
        }
        let team = Team::new(helpers + 1);
        let lead = || {
            let _closing = Closing(&team);
            work(Crew {
                kernel: self,
                team: Some(&team),
            })
        };
        if rayon::current_thread_index().is_some() {
            rayon::in_place_scope(|scope| {
                for _ in 0..helpers {
                    scope.spawn(|_| team.help());
                }
                lead()
            })
        } else {
            thread::scope(|scope| {
                for _ in 0..helpers {
                    let started = thread::Builder::new().spawn_scoped(scope, || team.help());
                    if started.is_err() {
                        // the system has no more threads; the leader does without
                        break;
                    }
                }
                lead()
            })
        }
    }
}

impl Crew<'_> {
    /// The threads at most.
    pub(crate) fn threads(self) -> usize {
        self.team.map_or(1, |team| team.threads)
    }

    /// Does `work` in parts if its so many multiplications are worth it, else in one.
    #[inline]
    pub(super) fn share(self, multiplications: usize, work: impl Fn(Part) + Sync) {
        match self.team {
            Some(team) if multiplications >= WORTH_SHARING => {
                let of = team.threads;
                team.run(of, &|number| work(Part { number, of }));
            }
            _ => work(Part::WHOLE),
        }
    }

    /// Calls `work` with each item and its number, shared among the threads.
    pub(crate) fn each<T: Send>(self, items: &mut [T], work: impl Fn(usize, &mut T) + Sync) {
        let Some(team) = self.team.filter(|_| items.len() > 1) else {
            for (number, item) in items.iter_mut().enumerate() {
                work(number, item);
            }
            return;
        };
        let start = Pointer(items.as_mut_ptr());
        team.run(items.len(), &|number| {
            // SAFETY: `run` calls this once for each number below the items' length, and so
            // no two threads have the same item; the items are borrowed until it returns.
            work(number, unsafe { &mut *start.get().add(number) });
        });
    }
}

/// A pointer that other threads may use.
struct Pointer<T>(*mut T);

// SAFETY: what threads do with the pointer is theirs to answer for; the items are Send.
unsafe impl<T: Send> Sync for Pointer<T> {}

impl<T> Pointer<T> {
    fn get(&self) -> *mut T {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_done_once() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build();
        pool.unwrap().install(|| {
            super::super::kernel().with_threads(4, |crew| {
                assert_eq!(crew.threads(), 4);
                for round in 0..20_000 {
                    let mut items = vec![0usize; round % 23];
                    crew.each(&mut items, |number, item| *item += number + round);
                    let want: Vec<_> = (0..items.len()).map(|number| number + round).collect();
                    assert_eq!(items, want);
                    if round % 1_000 == 0 {
                        // long enough for helpers to fall asleep
                        thread::sleep(std::time::Duration::from_millis(2));
                    }
                }
            });
        });
    }

    #[test]
    fn a_panic_of_a_part_is_the_leaders() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build();
        pool.unwrap().install(|| {
            super::super::kernel().with_threads(3, |crew| {
                for bad in 0..3 {
                    let panic = catch_unwind(AssertUnwindSafe(|| {
                        crew.each(&mut [0; 3], |number, _| assert_ne!(number, bad, "part"));
                    }));
                    assert!(panic.is_err());
                    // and the team goes on
                    let mut items = [0; 5];
                    crew.each(&mut items, |_, item| *item += 1);
                    assert_eq!(items, [1; 5]);
                }
            });
        });
    }

    #[test]
    fn a_busy_pool_holds_nobody_up() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
        pool.unwrap().install(|| {
            // more networks than threads, each wanting two
            rayon::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|_| {
                        super::super::kernel().with_threads(2, |crew| {
                            for _ in 0..200 {
                                let mut items = [0; 4];
                                crew.each(&mut items, |_, item| *item += 1);
                                assert_eq!(items, [1; 4]);
                            }
                        });
                    });
                }
            });
        });
    }

    /// Fails if `work`, on a thread of its own, takes longer than a minute.
    fn within_a_minute(work: impl FnOnce() + Send + 'static) {
        let (send, done) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            work();
            // nobody listens any more only if it took too long
            let _ = send.send(());
        });
        match done.recv_timeout(std::time::Duration::from_mins(1)) {
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("still at it"),
            _ => thread.join().unwrap(),
        }
    }

    /// Four parts that wait for one another: they end only if four threads have one each.
    fn meet(crew: Crew) {
        let team = crew.team.unwrap();
        while team.present.load(Ordering::Relaxed) < 3 {
            thread::yield_now();
        }
        for _ in 0..100 {
            let barrier = std::sync::Barrier::new(4);
            let mut threads = [None; 4];
            crew.each(&mut threads, |_, id| {
                barrier.wait();
                *id = Some(thread::current().id());
            });
            let threads: std::collections::HashSet<_> = threads.into_iter().collect();
            assert!(threads.len() == 4 && !threads.contains(&None));
        }
    }

    #[test]
    fn parts_are_done_at_the_same_time_by_a_pool() {
        within_a_minute(|| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build();
            let pool = pool.unwrap();
            pool.install(|| super::super::kernel().with_threads(4, meet));
        });
    }

    #[test]
    fn parts_are_shared_only_if_they_are_worth_it() {
        within_a_minute(|| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build();
            let pool = pool.unwrap();
            pool.install(|| {
                super::super::kernel().with_threads(4, |crew| {
                    let parts = |multiplications| {
                        let of = Mutex::new(Vec::new());
                        crew.share(multiplications, |part| lock(&of).push(part.of));
                        of.into_inner().unwrap()
                    };
                    assert_eq!(parts(WORTH_SHARING), [4; 4]);
                    assert_eq!(parts(WORTH_SHARING - 1), [1]);
                });
            });
        });
    }

    #[test]
    fn parts_cover_everything_once() {
        for things in 0..40 {
            for of in 1..9 {
                let parts = (0..of).flat_map(|number| Part { number, of }.range(things));
                assert_eq!(parts.collect::<Vec<_>>(), (0..things).collect::<Vec<_>>());
            }
        }
    }
}
