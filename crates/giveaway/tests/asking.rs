//! Asking a target: budget, ledger, retries, resuming. The kit that every kind of target goes
//! through is [`ask`] with these cases; here it tries a target within the process that counts
//! what reaches it.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as tests may"
)]

use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use giveaway::error::{Error, ErrorKind};
use giveaway::target::asking::{Asked, Manner};
use giveaway::target::ledger::Ledger;
use giveaway::target::{Answers, Form, QuestionColumn, QuestionValues, Questions, Refusal, Target};
use ndarray::Array2;
use proptest::prelude::*;

/// What a target does with a request, by its number.
type Misbehaviour = Box<dyn Fn(usize) -> Option<Refusal> + Send + Sync>;

/// A target that counts, and fails when it is told to.
struct Counting {
    batch_size: usize,
    concurrency: usize,
    requests: AtomicUsize,
    questions: AtomicU64,
    seen: Mutex<Vec<f32>>,
    misbehaves: Misbehaviour,
}

impl Counting {
    fn new(batch_size: usize, concurrency: usize, misbehaves: Misbehaviour) -> Self {
        Self {
            batch_size,
            concurrency,
            requests: AtomicUsize::new(0),
            questions: AtomicU64::new(0),
            seen: Mutex::new(Vec::new()),
            misbehaves,
        }
    }

    fn sound(batch_size: usize, concurrency: usize) -> Self {
        Self::new(batch_size, concurrency, Box::new(|_| None))
    }
}

/// The probability that the fake answers for a question.
fn probability(question: f32) -> f32 {
    (question * 0.37).fract().abs()
}

impl Target for Counting {
    fn name(&self) -> String {
        "a counting target".to_owned()
    }

    fn form(&self) -> Form {
        Form::Encoded
    }

    fn batch_size(&self) -> usize {
        self.batch_size
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }

    fn ask(&self, questions: &Questions) -> Result<Answers, Refusal> {
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        let refusal = (self.misbehaves)(number);
        // Who is not reached counts nothing.
        let reached = refusal
            .as_ref()
            .is_none_or(|r| r.delivery == giveaway::target::Delivery::Sent);
        if reached {
            self.questions
                .fetch_add(questions.len() as u64, Ordering::SeqCst);
        }
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        let column = questions.features.column(0);
        self.seen.lock().unwrap().extend(column.iter());
        let values = Array2::from_shape_fn((questions.len(), 2), |(row, class)| {
            let p = probability(column[row]);
            if class == 0 { 1.0 - p } else { p }
        });
        Ok(Answers::Numbers {
            values,
            names: None,
        })
    }
}

fn questions(count: usize) -> Questions {
    Questions {
        features: Array2::from_shape_fn((count, 1), |(row, _)| row as f32),
        feature_names: vec!["x".to_owned()],
        columns: vec![QuestionColumn {
            name: "x".to_owned(),
            values: QuestionValues::Whole((0..count).map(|x| i64::try_from(x).ok()).collect()),
        }],
    }
}

fn classes() -> Vec<String> {
    vec!["no".to_owned(), "yes".to_owned()]
}

fn fast() -> Manner {
    Manner {
        back_off: Duration::from_millis(1),
        ..Manner::default()
    }
}

fn ask(
    folder: &Path,
    target: &dyn Target,
    questions: &Questions,
    manner: &Manner,
) -> giveaway::Result<Array2<f32>> {
    let ledger = Ledger::open(folder)?;
    let wanted: Vec<u32> = (0..questions.len() as u32).collect();
    let classes = classes();
    Asked {
        about: "records",
        questions,
        wanted: &wanted,
        classes: &classes,
    }
    .ask(target, &ledger, manner, &|_| {})
}

fn passing() -> Refusal {
    Refusal::passing(Error::new(ErrorKind::Target, "busy"))
}

#[test]
fn answers_come_in_the_order_of_the_questions_however_they_are_asked() {
    for (batch, concurrency) in [(1, 1), (7, 1), (7, 4), (100, 3), (1000, 2)] {
        let folder = tempfile::tempdir().unwrap();
        let target = Counting::sound(batch, concurrency);
        let answers = ask(folder.path(), &target, &questions(103), &fast()).unwrap();
        assert_eq!(answers.dim(), (103, 2));
        for (row, answer) in answers.rows().into_iter().enumerate() {
            assert!((answer[1] - probability(row as f32)).abs() < 1e-6);
        }
        assert_eq!(target.questions.load(Ordering::SeqCst), 103);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    /// Whatever fails, and however many ask at once: what reaches the target is within the
    /// budget, and the ledger counts at least as much.
    #[test]
    fn the_budget_is_never_passed(
        batch in 1usize..40,
        concurrency in 1usize..6,
        budget in 1u64..400,
        count in 1usize..300,
        pattern in prop::collection::vec(0u8..4, 1..30),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let failing = pattern.clone();
        let target = Counting::new(batch, concurrency, Box::new(move |number| {
            match failing[number % failing.len()] {
                0 => Some(passing()),
                1 => Some(passing().not_sent()),
                _ => None,
            }
        }));
        let manner = Manner { max_queries: Some(budget), ..fast() };
        let outcome = ask(folder.path(), &target, &questions(count), &manner);
        let reached = target.questions.load(Ordering::SeqCst);
        prop_assert!(reached <= budget, "{reached} of {budget}");
        let counted = Ledger::open(folder.path()).unwrap().count();
        prop_assert_eq!(counted.sent, reached);
        match outcome {
            Ok(answers) => {
                prop_assert_eq!(answers.nrows(), count);
                prop_assert_eq!(counted.answered, count as u64);
            }
            Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Target),
        }
    }
}

/// As Must hold has it: at 1,000, counted at the target, with failures and several threads.
#[test]
fn a_thousand_queries_are_a_thousand() {
    for count in [1000, 960] {
        let folder = tempfile::tempdir().unwrap();
        let target = Counting::new(13, 8, Box::new(|number| (number % 5 == 3).then(passing)));
        let manner = Manner {
            max_queries: Some(1000),
            ..fast()
        };
        let error = ask(folder.path(), &target, &questions(count), &manner).unwrap_err();
        assert!(error.to_string().contains("--max-queries"), "{error}");
        let reached = target.questions.load(Ordering::SeqCst);
        assert!((900..=1000).contains(&reached), "{reached}");
        // a second process has nothing left, either
        let again = Counting::sound(13, 8);
        ask(folder.path(), &again, &questions(count), &manner).unwrap_err();
        assert!(reached + again.questions.load(Ordering::SeqCst) <= 1000);
    }
}

#[test]
fn nothing_is_asked_twice_after_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let failing = Counting::new(
        10,
        3,
        Box::new(|number| {
            (number >= 6).then(|| Refusal::lasting(Error::new(ErrorKind::Target, "gone")))
        }),
    );
    let error = ask(folder.path(), &failing, &questions(200), &fast()).unwrap_err();
    assert!(error.to_string().contains("gone"), "{error}");
    let sound = Counting::sound(10, 3);
    let answers = ask(folder.path(), &sound, &questions(200), &fast()).unwrap();
    assert!(answers.iter().all(|p| p.is_finite()));
    let mut seen = failing.seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 60);
    seen.extend(sound.seen.lock().unwrap().iter());
    seen.sort_by(f32::total_cmp);
    let all: Vec<f32> = (0..200u16).map(f32::from).collect();
    assert_eq!(seen, all);
    // and once all is there, nothing at all
    let idle = Counting::sound(10, 3);
    let again = ask(folder.path(), &idle, &questions(200), &fast()).unwrap();
    assert_eq!(again, answers);
    assert_eq!(idle.requests.load(Ordering::SeqCst), 0);
}

#[test]
fn a_ledger_that_was_cut_goes_on_and_one_that_was_changed_does_not() {
    let folder = tempfile::tempdir().unwrap();
    ask(
        folder.path(),
        &Counting::sound(10, 1),
        &questions(30),
        &fast(),
    )
    .unwrap();
    let path = folder.path().join("queries.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    // the process died while it wrote the last line: that an answer came is not known
    std::fs::write(&path, &text[..text.len() - 20]).unwrap();
    let count = Ledger::open(folder.path()).unwrap().count();
    assert_eq!((count.sent, count.answered, count.requests), (30, 20, 3));
    // before the process sends, its queries are on the disk
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 5);
    std::fs::write(&path, "{\"event\":\"nonsense\"}\n").unwrap();
    let error = Ledger::open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("line 1"), "{error}");
    std::fs::write(&path, &text).unwrap();
    std::fs::write(folder.path().join("records.npy"), b"\x93NUMPY").unwrap();
    assert!(
        ask(
            folder.path(),
            &Counting::sound(10, 1),
            &questions(30),
            &fast()
        )
        .is_err()
    );
}

#[test]
fn a_wait_that_the_target_asks_for_is_kept_up_to_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let wait = Duration::from_millis(120);
    let target = Counting::new(
        10,
        1,
        Box::new(move |number| (number == 0).then(|| passing().after(Some(wait)))),
    );
    let begun = Instant::now();
    ask(folder.path(), &target, &questions(10), &fast()).unwrap();
    assert!(begun.elapsed() >= wait);
    let folder = tempfile::tempdir().unwrap();
    let hours = Counting::new(
        10,
        1,
        Box::new(|_| Some(passing().after(Some(Duration::from_hours(2))))),
    );
    let error = ask(folder.path(), &hours, &questions(10), &fast()).unwrap_err();
    assert!(error.hint_text().unwrap().contains("7200"), "{error}");
}

/// A target of which several requests are under way when it refuses the first, with a wait.
#[test]
fn all_threads_wait_when_the_target_asks_one_to() {
    for requests_per_second in [None, Some(10_000.0)] {
        let folder = tempfile::tempdir().unwrap();
        let wait = Duration::from_millis(700);
        let begun = Arc::new(Mutex::new(Vec::new()));
        let refused = Arc::new(Mutex::new(None));
        let together = Barrier::new(4);
        let (seen, at) = (Arc::clone(&begun), Arc::clone(&refused));
        let target = Counting::new(
            1,
            4,
            Box::new(move |number| {
                seen.lock().unwrap().push(Instant::now());
                if number < 4 {
                    together.wait();
                }
                if number == 0 {
                    *at.lock().unwrap() = Some(Instant::now());
                    return Some(passing().after(Some(wait)));
                }
                if number < 4 {
                    // answered when the refusal is known
                    std::thread::sleep(Duration::from_millis(200));
                }
                None
            }),
        );
        let manner = Manner {
            requests_per_second,
            ..fast()
        };
        ask(folder.path(), &target, &questions(40), &manner).unwrap();
        let refused = refused.lock().unwrap().unwrap();
        let begun = begun.lock().unwrap();
        let early = begun.iter().filter(|&&at| at < refused + wait).count();
        assert_eq!((begun.len(), early), (41, 4), "{requests_per_second:?}");
    }
}

#[test]
fn a_thread_that_panics_stops_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let target = Counting::new(
        1,
        2,
        Box::new(|number| {
            assert_ne!(number, 3, "as a defect of a target would");
            std::thread::sleep(Duration::from_millis(10));
            None
        }),
    );
    let error = ask(folder.path(), &target, &questions(100), &fast()).unwrap_err();
    assert!(error.to_string().contains("panicked"), "{error}");
    let requests = target.requests.load(Ordering::SeqCst);
    assert!(requests < 50, "{requests} of 100");
    // what was answered is kept
    let again = Counting::sound(1, 2);
    ask(folder.path(), &again, &questions(100), &fast()).unwrap();
    let answered = target.questions.load(Ordering::SeqCst);
    assert_eq!(answered + again.questions.load(Ordering::SeqCst), 100);
}

#[test]
fn more_requests_at_a_time_than_there_can_be_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let target = Counting::sound(1, 100_000);
    let error = ask(folder.path(), &target, &questions(3), &fast()).unwrap_err();
    assert!(error.to_string().contains("--concurrency"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert_eq!(target.requests.load(Ordering::SeqCst), 0);
    assert!(
        ask(
            folder.path(),
            &Counting::sound(1, 1024),
            &questions(3),
            &fast()
        )
        .is_ok()
    );
}

#[test]
fn requests_are_no_more_frequent_than_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let target = Counting::sound(1, 4);
    let manner = Manner {
        requests_per_second: Some(100.0),
        ..fast()
    };
    let begun = Instant::now();
    ask(folder.path(), &target, &questions(21), &manner).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(200));
}

#[test]
fn retries_end() {
    let folder = tempfile::tempdir().unwrap();
    let target = Counting::new(10, 1, Box::new(|_| Some(passing())));
    let manner = Manner {
        retries: 3,
        ..fast()
    };
    let error = ask(folder.path(), &target, &questions(10), &manner).unwrap_err();
    assert_eq!(target.requests.load(Ordering::SeqCst), 4);
    assert_eq!(error.kind(), ErrorKind::Target);
    assert!(error.hint_text().unwrap().contains("4 times"), "{error}");
}

/// A target whose answers are not what they should be.
struct Wrong(Answers);

impl Target for Wrong {
    fn name(&self) -> String {
        "a wrong target".to_owned()
    }
    fn form(&self) -> Form {
        Form::Raw
    }
    fn batch_size(&self) -> usize {
        100
    }
    fn concurrency(&self) -> usize {
        1
    }
    fn ask(&self, _: &Questions) -> Result<Answers, Refusal> {
        Ok(self.0.clone())
    }
}

#[test]
fn answers_that_are_none_are_the_targets_failure() {
    let numbers = |rows: usize, columns: usize, value: f32| Answers::Numbers {
        values: Array2::from_elem((rows, columns), value),
        names: None,
    };
    for (answers, says) in [
        (numbers(2, 2, 0.5), "2 answers to 3 questions"),
        (numbers(3, 4, 0.25), "4 columns of outputs for 2 classes"),
        (numbers(3, 2, f32::NAN), "NaN"),
        (numbers(3, 2, f32::INFINITY), "inf"),
        (
            Answers::Labels(vec!["no".into(), "perhaps".into(), "yes".into()]),
            "`perhaps` is none of the classes",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let error = ask(folder.path(), &Wrong(answers), &questions(3), &fast()).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(error.kind(), ErrorKind::Target);
        // it was asked, and that counts
        assert_eq!(Ledger::open(folder.path()).unwrap().count().sent, 3);
    }
}

#[test]
fn columns_named_like_classes_and_labels_are_put_into_order() {
    let folder = tempfile::tempdir().unwrap();
    let named = Wrong(Answers::Numbers {
        values: ndarray::array![[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]],
        names: Some(vec!["yes".to_owned(), "no".to_owned()]),
    });
    let answers = ask(folder.path(), &named, &questions(3), &fast()).unwrap();
    assert_eq!(answers, ndarray::array![[0.1, 0.9], [0.8, 0.2], [0.5, 0.5]]);
    let folder = tempfile::tempdir().unwrap();
    let labels = Wrong(Answers::Labels(
        ["yes", "no", "yes"].map(str::to_owned).to_vec(),
    ));
    let answers = ask(folder.path(), &labels, &questions(3), &fast()).unwrap();
    assert_eq!(answers, ndarray::array![[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]);
}
