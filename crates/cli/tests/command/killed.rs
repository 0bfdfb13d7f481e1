//! `giveaway reference`, killed at random moments and disturbed by others of its kind: what is
//! done stays, what was in flight is made again, and the bytes are those of an undisturbed run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant, SystemTime};

use crate::sandbox::{Sandbox, UNFINISHED, files};

const REFERENCE: &str =
    "reference breast-cancer --hidden 16 --models 24 --epochs 20 --seed 3 --threads 1";

/// Kills with one process at work, and with two.
const KILLS: usize = 24;

/// The stream of random numbers of Steele, Lea and Flood (2014), `SplitMix64`.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, count: u64) -> u64 {
        self.next() % count
    }

    /// Evenly between nothing and `longest`.
    fn delay(&mut self, longest: Duration) -> Duration {
        longest.mul_f64((self.next() >> 11) as f64 / (1u64 << 53) as f64)
    }
}

/// A run directory that is being disturbed, and what an undisturbed one holds.
struct Disturbed<'a> {
    sandbox: &'a Sandbox,
    expected: &'a BTreeMap<PathBuf, Vec<u8>>,
    run: String,
    /// The models that were there, with the time at which each was written.
    seen: BTreeMap<PathBuf, SystemTime>,
}

impl<'a> Disturbed<'a> {
    fn new(sandbox: &'a Sandbox, expected: &'a BTreeMap<PathBuf, Vec<u8>>, run: String) -> Self {
        Self {
            sandbox,
            expected,
            run,
            seen: BTreeMap::new(),
        }
    }

    /// Models that the undisturbed run has trained.
    fn models(&self) -> usize {
        self.expected.keys().filter(|name| is_model(name)).count()
    }

    fn start(&self, shard: usize, shards: usize) -> Child {
        self.sandbox
            .command(&format!(
                "{REFERENCE} --run {} --shard {shard}/{shards}",
                self.run
            ))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// What must hold at every moment, whoever is at work or was killed.
    fn check(&mut self) {
        let root = self.sandbox.path(&self.run);
        for path in names(&root) {
            let name = path.strip_prefix(&root).unwrap().to_path_buf();
            let last = name.file_name().unwrap().to_string_lossy();
            if last.starts_with(UNFINISHED) || last == ".lock" {
                continue;
            }
            let content = std::fs::read(&path).unwrap();
            if last == "events.jsonl" {
                // The last line may be in the making.
                let text = String::from_utf8(content).unwrap();
                for line in text.split_inclusive('\n').filter(|l| l.ends_with('\n')) {
                    serde_json::from_str::<serde_json::Value>(line).unwrap();
                }
                continue;
            }
            assert!(
                self.expected[&name] == content,
                "{} of {} bytes is not that of an undisturbed run",
                path.display(),
                content.len()
            );
            if is_model(&name) {
                let written = path.metadata().unwrap().modified().unwrap();
                let first = *self.seen.entry(name).or_insert(written);
                assert_eq!(first, written, "{} was made again", path.display());
            }
        }
        for name in self.seen.keys() {
            assert!(root.join(name).exists(), "{} is lost", name.display());
        }
    }

    /// Trains what is missing; then everything is as if nothing had happened.
    fn finish(mut self, shards: usize) {
        for shard in 1..=shards {
            let done = self.start(shard, shards).wait_with_output().unwrap();
            succeeded(&done);
            self.check();
        }
        // An unfinished file that is left over has a name that the undisturbed run has not.
        let found = self.sandbox.contents(&self.run);
        assert!(
            self.expected.keys().eq(found.keys()),
            "{:?}",
            found.keys().collect::<Vec<_>>()
        );
    }
}

/// Whether a file of a run directory holds a model's outputs.
fn is_model(name: &Path) -> bool {
    name.starts_with("signals")
}

/// Every file below a directory, by name: files come and go while we look.
fn names(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(names(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

fn succeeded(done: &std::process::Output) {
    let error = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{error}");
    assert_eq!(error, "");
}

/// The undisturbed run, how long it took, and how long a process takes that finds nothing to do.
fn undisturbed(sandbox: &Sandbox) -> (BTreeMap<PathBuf, Vec<u8>>, Duration, Duration) {
    let line = format!("{REFERENCE} --run undisturbed");
    let [whole, idle] = [(); 2].map(|()| {
        let start = Instant::now();
        sandbox.run(&line).succeeded();
        start.elapsed()
    });
    // The name of the directory is nowhere in it, so this is what every run ends with.
    (sandbox.contents("undisturbed"), whole, idle)
}

#[test]
fn killed_at_random_moments_a_training_loses_only_the_models_in_flight() {
    let sandbox = Sandbox::new();
    let (expected, whole, idle) = undisturbed(&sandbox);
    let mut draw = Draw(3);
    let (mut kills, mut attempts, mut directories) = (0, 0, 0);
    while kills < KILLS {
        directories += 1;
        let mut run = Disturbed::new(&sandbox, &expected, format!("one-{directories}"));
        while kills < KILLS && run.seen.len() < run.models() {
            attempts += 1;
            assert!(attempts < 20 * KILLS, "only {kills} kills");
            // Over the whole life of this process, however little is left to train.
            let left = 1.0 - run.seen.len() as f64 / run.models() as f64;
            let life = idle + whole.saturating_sub(idle).mul_f64(left);
            let delay = draw.delay(life);
            tell(&run, delay, "the only one");
            let mut child = run.start(1, 1);
            std::thread::sleep(delay);
            child.kill().unwrap();
            let done = child.wait_with_output().unwrap();
            if done.status.success() {
                succeeded(&done);
            } else {
                assert_eq!(done.status.code(), None, "it failed before it was killed");
                kills += 1;
            }
            run.check();
        }
        // What a process leaves that is killed while it writes.
        for folder in ["", "signals/"] {
            if sandbox.path(&format!("{}/{folder}", run.run)).exists() {
                sandbox.write(
                    &format!("{}/{folder}{UNFINISHED}x1y2z3", run.run),
                    "half of",
                );
            }
        }
        run.finish(1);
    }
}

/// What is done next: shown if the test fails.
#[expect(clippy::print_stderr, reason = "the moments matter where a test fails")]
fn tell(run: &Disturbed, delay: Duration, whom: &str) {
    let models = run.seen.len();
    eprintln!(
        "{}: {models} models there, {whom} killed after {delay:?}",
        run.run
    );
}

#[test]
fn two_shares_at_once_killed_at_random_moments_leave_each_other_alone() {
    let sandbox = Sandbox::new();
    let (mut expected, whole, _) = undisturbed(&sandbox);
    // A share is of the reference models; the target belongs to the whole.
    expected.remove(Path::new("signals/target.npy")).unwrap();
    let mut draw = Draw(4);
    let (mut kills, mut attempts, mut directories) = (0, 0, 0);
    while kills < KILLS {
        directories += 1;
        let mut run = Disturbed::new(&sandbox, &expected, format!("two-{directories}"));
        let mut at_work: [Option<Child>; 2] = [None, None];
        while kills < KILLS && run.seen.len() < run.models() {
            attempts += 1;
            assert!(attempts < 20 * KILLS, "only {kills} kills");
            for (slot, child) in at_work.iter_mut().enumerate() {
                child.get_or_insert_with(|| run.start(slot + 1, 2));
            }
            // Short enough that several fit into the life of a share.
            let delay = draw.delay(whole / 3);
            std::thread::sleep(delay);
            // the first, the second, or both
            let whom = draw.below(3);
            tell(
                &run,
                delay,
                ["the first", "the second", "both"][whom as usize],
            );
            for (slot, child) in at_work.iter_mut().enumerate() {
                let ended = child.as_mut().unwrap().try_wait().unwrap().is_some();
                if whom == slot as u64 || whom == 2 || ended {
                    let mut gone = child.take().unwrap();
                    gone.kill().unwrap();
                    let done = gone.wait_with_output().unwrap();
                    // Killed or done: a share never fails for what happens to the other.
                    if done.status.code().is_some() {
                        succeeded(&done);
                    } else {
                        kills += 1;
                    }
                }
            }
            run.check();
        }
        for child in at_work.into_iter().flatten() {
            succeeded(&child.wait_with_output().unwrap());
        }
        run.check();
        run.finish(2);
    }
}

#[test]
fn the_same_share_twice_at_once_is_harmless() {
    let sandbox = Sandbox::new();
    let (expected, ..) = undisturbed(&sandbox);
    for round in 0..4 {
        let run = format!("twice-{round}");
        let twins = [(); 3].map(|()| {
            sandbox
                .command(&format!("{REFERENCE} --run {run}"))
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        });
        for twin in twins {
            succeeded(&twin.wait_with_output().unwrap());
        }
        assert!(sandbox.contents(&run) == expected, "{run} differs");
        assert!(files(&sandbox.path(&run)).len() == expected.len() + 2);
    }
}

/// Both find an empty directory; one of them has to see that it is no longer its own.
#[test]
fn of_two_runs_that_begin_one_directory_at_once_one_is_refused() {
    let sandbox = Sandbox::new();
    let line = |seed: usize| {
        format!(
            "reference breast-cancer --hidden none --models 12 --epochs 1 --threads 1 --seed {seed}"
        )
    };
    let expected = [1, 2].map(|seed| {
        let run = format!("seed-{seed}");
        sandbox
            .run(&format!("{} --run {run}", line(seed)))
            .succeeded();
        sandbox.contents(&run)
    });
    for round in 0..12 {
        let run = format!("both-{round}");
        let children = [1, 2].map(|seed| {
            sandbox
                .command(&format!("{} --run {run}", line(seed)))
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        });
        let done = children.map(|child| child.wait_with_output().unwrap());
        let winner = usize::from(done[0].status.code() != Some(0));
        succeeded(&done[winner]);
        let loser = String::from_utf8_lossy(&done[1 - winner].stderr);
        assert_eq!(done[1 - winner].status.code(), Some(3), "{loser}");
        assert!(loser.contains("other settings"), "{loser}");
        assert!(
            sandbox.contents(&run) == expected[winner],
            "{run} is a mixture"
        );
    }
}
