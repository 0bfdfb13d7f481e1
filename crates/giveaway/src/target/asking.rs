//! Asking a target about many records: in batches, by several threads, again where it may help,
//! no faster than allowed and within the budget. The same for every kind of target.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use giveaway_stats::random::derive_seed;
use ndarray::Array2;

use super::ledger::{Denied, Ledger};
use super::{Answers, Questions, Refusal, Target, interpret};
use crate::error::{Error, ErrorKind, Result};

/// How a target is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Manner {
    /// Queries of the whole run, those of earlier processes and failed attempts included.
    pub max_queries: Option<u64>,
    /// How often a request is made again after failures that may pass.
    pub retries: u32,
    /// Requests per second, at most.
    pub requests_per_second: Option<f64>,
    /// The wait before the first retry; it doubles with each further one, up to
    /// [`LONGEST_BACK_OFF`].
    pub back_off: Duration,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            max_queries: None,
            retries: 8,
            requests_per_second: None,
            back_off: Duration::from_millis(500),
        }
    }
}

/// The longest wait that we choose ourselves.
pub const LONGEST_BACK_OFF: Duration = Duration::from_secs(30);

/// The longest wait that a target may ask for: beyond it the run ends, and can be gone on with.
pub const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// Requests at the same time, at most: each has a thread of its own.
pub const MOST_AT_ONCE: usize = 1024;

/// A sleeping thread looks this often whether another one has failed.
const GLANCE: Duration = Duration::from_millis(50);

/// Questions with the name under which the ledger keeps their answers.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Of what kind they are: a word that may name a file.
    pub about: &'a str,
    /// All questions of that kind.
    pub questions: &'a Questions,
    /// Those of them whose answers are wanted, ascending.
    pub wanted: &'a [u32],
    /// The classes, in their order.
    pub classes: &'a [String],
}

impl Asked<'_> {
    /// What is known of the answers: questions × outputs, `NaN` where a question was not asked;
    /// nothing where not all wanted ones are there.
    ///
    /// # Errors
    /// If the ledger's files are damaged.
    pub fn known(&self, ledger: &Ledger) -> Result<Option<Array2<f32>>> {
        let answers = ledger.answers(self.about, self.questions.len())?;
        let complete = |answers: &Array2<f32>| {
            let answered =
                |&question: &u32| !answers.row(question as usize).iter().any(|a| a.is_nan());
            self.wanted.iter().all(answered)
        };
        Ok(answers.filter(complete))
    }

    /// Asks what is not in the ledger yet. Returns the answers as they came, questions ×
    /// outputs, with the columns in the order of the classes; `NaN` where a question was not
    /// wanted. `progress` is told of questions that have been answered.
    ///
    /// # Errors
    /// If the target takes more than [`MOST_AT_ONCE`] requests at a time, it fails for good, the
    /// budget does not suffice, the system gives no thread, or the ledger cannot be written. What
    /// was answered until then is kept.
    pub fn ask(
        &self,
        target: &dyn Target,
        ledger: &Ledger,
        manner: &Manner,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Array2<f32>> {
        let known = ledger.answers(self.about, self.questions.len())?;
        let missing: Vec<u32> = self
            .wanted
            .iter()
            .copied()
            .filter(|&question| {
                known
                    .as_ref()
                    .is_none_or(|answers| answers.row(question as usize).iter().any(|a| a.is_nan()))
            })
            .collect();
        progress((self.wanted.len() - missing.len()) as u64);
        let batches = batches(&missing, target.batch_size().max(1));
        let threads = threads(target.concurrency(), batches.len())?;
        let budget = manner.max_queries.unwrap_or(u64::MAX);
        let left = budget.saturating_sub(ledger.count().sent);
        if missing.len() as u64 > left {
            let needed = missing.len() as u64;
            return Err(over_budget(needed, left, budget, self.questions.len()));
        }
        let work = Work {
            asked: self,
            target,
            ledger,
            manner,
            progress,
            batches: Mutex::new(batches.into()),
            stopped: AtomicBool::new(false),
            turns: Mutex::new(Turns::default()),
        };
        work.all(threads, None)?;
        let answers = ledger
            .answers(self.about, self.questions.len())?
            .ok_or_else(|| Error::usage("no question for the target"))?;
        ledger.consolidate(self.about, &answers)?;
        Ok(answers)
    }
}

/// As many threads as there are requests at the same time, and no more than there are batches.
fn threads(concurrency: usize, batches: usize) -> Result<usize> {
    if concurrency > MOST_AT_ONCE {
        return Err(Error::usage(format!(
            "{concurrency} requests at the same time are more than the {MOST_AT_ONCE} that are possible"
        ))
        .at("--concurrency")
        .hint(format!("give {MOST_AT_ONCE} or less; 8 is a lot for most servers")));
    }
    Ok(concurrency.max(1).min(batches))
}

/// At most so many questions each.
fn batches(questions: &[u32], size: usize) -> Vec<Vec<usize>> {
    questions
        .chunks(size)
        .map(|batch| batch.iter().map(|&question| question as usize).collect())
        .collect()
}

/// A larger budget may want more questions answered, so the number named does for all of them.
fn over_budget(needed: u64, left: u64, budget: u64, questions: usize) -> Error {
    let enough = (budget - left).saturating_add(questions as u64);
    Error::new(
        ErrorKind::Target,
        format!("{needed} more queries are needed, and {left} of the {budget} allowed are left"),
    )
    .at("--max-queries")
    .hint(format!(
        "give the same command again with --max-queries {enough}, which suffices for all {questions} questions if no request fails: what was answered is kept, and is not asked again"
    ))
}

/// What the threads share.
struct Work<'a> {
    asked: &'a Asked<'a>,
    target: &'a dyn Target,
    ledger: &'a Ledger,
    manner: &'a Manner,
    progress: &'a (dyn Fn(u64) + Sync),
    batches: Mutex<VecDeque<Vec<usize>>>,
    stopped: AtomicBool,
    turns: Mutex<Turns>,
}

/// When requests may be made.
#[derive(Debug, Default)]
struct Turns {
    /// Not before this, by the rate that is set.
    next: Option<Instant>,
    /// Not before this, by what the target itself asked for.
    pause: Option<Instant>,
}

/// Stops the other threads when the one that holds it panics.
struct StopsOthers<'a>(&'a AtomicBool);

impl Drop for StopsOthers<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

impl Work<'_> {
    /// Asks about all batches in so many threads, with stacks of so many bytes where that is
    /// said.
    fn all(&self, threads: usize, stack: Option<usize>) -> Result<()> {
        let outcomes: Vec<Result<()>> = std::thread::scope(|scope| {
            let mut handles = Vec::with_capacity(threads);
            let mut outcomes = Vec::with_capacity(threads);
            for begun in 0..threads {
                let mut builder = std::thread::Builder::new().name("asking".to_owned());
                if let Some(bytes) = stack {
                    builder = builder.stack_size(bytes);
                }
                match builder.spawn_scoped(scope, || self.go_on()) {
                    Ok(handle) => handles.push(handle),
                    Err(error) => {
                        self.stopped.store(true, Ordering::Relaxed);
                        outcomes.push(Err(no_thread(begun, threads, &error)));
                        break;
                    }
                }
            }
            outcomes.extend(handles.into_iter().map(|handle| {
                handle.join().unwrap_or_else(|_| {
                    Err(Error::unexpected("a thread that asked the target panicked"))
                })
            }));
            outcomes
        });
        outcomes.into_iter().collect()
    }

    fn go_on(&self) -> Result<()> {
        let _stops_others = StopsOthers(&self.stopped);
        loop {
            let next = self
                .batches
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front();
            let Some(batch) = next else { return Ok(()) };
            if self.stopped.load(Ordering::Relaxed) {
                return Ok(());
            }
            if let Err(error) = self.ask(&batch) {
                // Only the first failure is told; the others may come from it.
                return if self.stopped.swap(true, Ordering::Relaxed) {
                    Ok(())
                } else {
                    Err(error)
                };
            }
            (self.progress)(batch.len() as u64);
        }
    }

    /// Asks about one batch, until it is answered or there is no hope.
    fn ask(&self, batch: &[usize]) -> Result<()> {
        let (Some(&first), Some(&last)) = (batch.first(), batch.last()) else {
            return Ok(());
        };
        let questions = self.asked.questions.select(batch);
        for attempt in 0.. {
            if !self.wait_for_turn() {
                return Ok(());
            }
            let reserved = self.ledger.reserve(
                &self.target.name(),
                self.asked.about,
                first,
                batch.len(),
                attempt,
                self.manner.max_queries,
            );
            let request = reserved.map_err(|denied| match denied {
                Denied::Budget(left) => over_budget(
                    batch.len() as u64,
                    left,
                    self.manner.max_queries.unwrap_or(u64::MAX),
                    self.asked.questions.len(),
                ),
                Denied::Ledger(error) => error,
            })?;
            let refusal = match self.target.ask(&questions) {
                Ok(answers) => match self.read(answers, batch.len()) {
                    Ok(outputs) => {
                        self.ledger.keep(self.asked.about, batch, &outputs)?;
                        return self.ledger.answered(request);
                    }
                    Err(error) => Refusal::lasting(error),
                },
                Err(refusal) => refusal,
            };
            let Refusal {
                error,
                again,
                after,
                delivery,
            } = refusal;
            // Before anything is written: the others are about to ask.
            if again
                && let Some(after) = after
                && after <= LONGEST_WAIT
            {
                self.pause(after);
            }
            self.ledger.failed(request, delivery, &error.to_string())?;
            let place = format!(
                "{}, {} {} to {}",
                self.target.name(),
                self.asked.about,
                first,
                last
            );
            if !again {
                return Err(as_targets(error).at(place));
            }
            if attempt >= self.manner.retries {
                return Err(as_targets(error).at(place).hint(format!(
                    "it failed {} times; when the target is well again, give the same command: what was answered is kept, and is not asked again",
                    attempt + 1
                )));
            }
            let usual = self.back_off(first, attempt);
            // A target that says 0 is no better off for being asked at once.
            let wait = after.map_or(usual, |after| after.max(usual));
            if wait > LONGEST_WAIT {
                return Err(as_targets(error).at(place).hint(format!(
                    "the target asks for a wait of {} s: give the same command again after that; what was answered is kept",
                    wait.as_secs()
                )));
            }
            if !self.sleep(wait) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The answers to a batch as they are kept, if they are what they should be.
    fn read(&self, answers: Answers, questions: usize) -> Result<Array2<f32>> {
        if answers.len() != questions {
            return Err(Error::new(
                ErrorKind::Target,
                format!("{} answers to {questions} questions", answers.len()),
            )
            .hint("the target must give one answer for each record, in their order"));
        }
        // Of two classes the probability of the second may be all: what rounding did to it
        // shows when all answers are there.
        let single = match &answers {
            Answers::Numbers { values, .. } if values.ncols() == 1 => Some(values.clone()),
            _ => None,
        };
        let outputs = interpret(answers, self.asked.classes)?;
        Ok(match single {
            Some(values) if self.asked.classes.len() == 2 => values,
            _ => outputs,
        })
    }

    /// Nobody asks before so much time has passed: what the target wants of one holds for all.
    fn pause(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.pause = turns.pause.max(Some(until));
    }

    /// Waits until a request may be made; false if another thread has failed.
    fn wait_for_turn(&self) -> bool {
        loop {
            let wait = {
                let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
                let now = Instant::now();
                let turn = [turns.next, turns.pause]
                    .into_iter()
                    .flatten()
                    .fold(now, Instant::max);
                if let Some(rate) = self.manner.requests_per_second {
                    turns.next = Some(turn + Duration::from_secs_f64(1.0 / rate));
                }
                turn - now
            };
            if !self.sleep(wait) {
                return false;
            }
            // While this thread slept, the target may have asked another for a longer wait.
            let turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            if turns.pause.is_none_or(|pause| pause <= Instant::now()) {
                return true;
            }
        }
    }

    /// Doubles with every attempt, and differs between batches, so that they do not come back
    /// all at once: from a half to the whole of it.
    fn back_off(&self, first: usize, attempt: u32) -> Duration {
        let whole = self
            .manner
            .back_off
            .saturating_mul(1 << attempt.min(16))
            .min(LONGEST_BACK_OFF);
        let draw = derive_seed(first as u64, "back-off", u64::from(attempt));
        whole.mul_f64(0.5 + 0.5 * (draw >> 11) as f64 / (1u64 << 53) as f64)
    }

    /// Sleeps; false if another thread has failed meanwhile.
    fn sleep(&self, wait: Duration) -> bool {
        let end = Instant::now() + wait;
        loop {
            if self.stopped.load(Ordering::Relaxed) {
                return false;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(GLANCE));
        }
    }
}

fn no_thread(begun: usize, threads: usize, error: &std::io::Error) -> Error {
    Error::unexpected(format!(
        "the system gives {begun} of {threads} threads that are to ask the target: {error}"
    ))
    .at("--concurrency")
    .hint("give a smaller number, or raise the limit on processes (ulimit -u); what was answered is kept")
}

/// An answer that cannot be read is the target's failure, and not one of a file.
fn as_targets(error: Error) -> Error {
    error.of_kind(ErrorKind::Target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Form;

    #[test]
    fn there_are_no_more_threads_than_batches_and_absurd_numbers_are_refused() {
        assert_eq!(threads(1000, 3).unwrap(), 3);
        assert_eq!(threads(3, 1000).unwrap(), 3);
        assert_eq!(threads(0, 5).unwrap(), 1);
        assert_eq!(threads(8, 0).unwrap(), 0);
        assert_eq!(threads(MOST_AT_ONCE, 5000).unwrap(), MOST_AT_ONCE);
        let error = threads(MOST_AT_ONCE + 1, 3).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.to_string().contains("--concurrency"), "{error}");
        assert!(error.hint_text().unwrap().contains("1024"));
    }

    struct Never;

    impl Target for Never {
        fn name(&self) -> String {
            "a target that is never asked".to_owned()
        }
        fn form(&self) -> Form {
            Form::Encoded
        }
        fn batch_size(&self) -> usize {
            1
        }
        fn concurrency(&self) -> usize {
            1
        }
        fn ask(&self, _: &Questions) -> std::result::Result<Answers, Refusal> {
            unreachable!()
        }
    }

    /// The system refuses a thread whose stack is larger than its addresses.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn a_thread_that_the_system_refuses_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let questions = Questions {
            features: Array2::zeros((1, 1)),
            feature_names: vec!["x".to_owned()],
            columns: Vec::new(),
        };
        let work = Work {
            asked: &Asked {
                about: "records",
                questions: &questions,
                wanted: &[0],
                classes: &[],
            },
            target: &Never,
            ledger: &Ledger::open(folder.path()).unwrap(),
            manner: &Manner::default(),
            progress: &|_| {},
            batches: Mutex::new(VecDeque::from([vec![0]])),
            stopped: AtomicBool::new(false),
            turns: Mutex::default(),
        };
        let error = work.all(2, Some(usize::MAX / 4)).unwrap_err();
        assert!(
            error.to_string().contains("--concurrency") && error.to_string().contains("0 of 2"),
            "{error}"
        );
        assert!(work.stopped.load(Ordering::Relaxed));
    }
}
