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
    /// If the target fails for good, the budget does not suffice, or the ledger cannot be
    /// written. What was answered until then is kept.
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
        let budget = manner.max_queries.unwrap_or(u64::MAX);
        let left = budget.saturating_sub(ledger.count().sent);
        if missing.len() as u64 > left {
            return Err(over_budget(missing.len() as u64, left, budget));
        }
        let work = Work {
            asked: self,
            target,
            ledger,
            manner,
            progress,
            batches: Mutex::new(batches.into()),
            stopped: AtomicBool::new(false),
            next_request: Mutex::new(Instant::now()),
        };
        let threads = target.concurrency().max(1);
        let outcomes: Vec<Result<()>> = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..threads).map(|_| scope.spawn(|| work.go_on())).collect();
            handles
                .into_iter()
                .map(|handle| {
                    handle.join().unwrap_or_else(|_| {
                        Err(Error::unexpected("a thread that asked the target panicked"))
                    })
                })
                .collect()
        });
        outcomes.into_iter().collect::<Result<()>>()?;
        let answers = ledger
            .answers(self.about, self.questions.len())?
            .ok_or_else(|| Error::usage("no question for the target"))?;
        ledger.consolidate(self.about, &answers)?;
        Ok(answers)
    }
}

/// At most so many questions each.
fn batches(questions: &[u32], size: usize) -> Vec<Vec<usize>> {
    questions
        .chunks(size)
        .map(|batch| batch.iter().map(|&question| question as usize).collect())
        .collect()
}

fn over_budget(needed: u64, left: u64, budget: u64) -> Error {
    Error::new(
        ErrorKind::Target,
        format!("{needed} more queries are needed, and {left} of the {budget} allowed are left"),
    )
    .at("--max-queries")
    .hint("raise it and give the same command again: what was answered is kept, and is not asked again")
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
    next_request: Mutex<Instant>,
}

impl Work<'_> {
    fn go_on(&self) -> Result<()> {
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

    /// Waits until a request may be made; false if another thread has failed.
    fn wait_for_turn(&self) -> bool {
        let Some(rate) = self.manner.requests_per_second else {
            return !self.stopped.load(Ordering::Relaxed);
        };
        let wait = {
            let mut next = self
                .next_request
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let turn = (*next).max(now);
            *next = turn + Duration::from_secs_f64(1.0 / rate);
            turn - now
        };
        self.sleep(wait)
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

/// An answer that cannot be read is the target's failure, and not one of a file.
fn as_targets(error: Error) -> Error {
    error.of_kind(ErrorKind::Target)
}
