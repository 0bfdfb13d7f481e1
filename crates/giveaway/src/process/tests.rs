use super::*;
use rustix::process::{Pid, Signal, kill_process, test_kill_process, test_kill_process_group};

fn job<'a>(line: &'a CommandLine, secrets: &'a Secrets) -> Job<'a> {
    Job {
        line,
        arguments: &[],
        secrets,
        timeout: None,
        siblings: None,
    }
}

fn run(text: &str) -> std::result::Result<Finished, Failed> {
    job(&CommandLine::parse(text).unwrap(), &Secrets::default()).run()
}

fn message(text: &str) -> String {
    let line = CommandLine::parse(text).unwrap();
    let failed = job(&line, &Secrets::default()).run().unwrap_err();
    let error = failed.into_error(ErrorKind::Input, &line, None);
    assert!(error.hint_text().is_some());
    error.to_string()
}

/// Waits until a file holds a whole number.
fn number_in(path: &Path) -> i32 {
    let began = Instant::now();
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.ends_with('\n') {
            return text.trim().parse().unwrap();
        }
        assert!(began.elapsed() < Duration::from_secs(20), "nothing there");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn is_gone(group: i32) -> bool {
    let began = Instant::now();
    // What was killed is for init to reap, which may take a moment.
    while began.elapsed() < Duration::from_secs(5) {
        if test_kill_process_group(Pid::from_raw(group).unwrap()).is_err() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

#[test]
fn words_are_split_as_a_shell_does() {
    let words = |text: &str| CommandLine::parse(text).unwrap().words;
    assert_eq!(
        words("python  train.py --depth 3"),
        ["python", "train.py", "--depth", "3"]
    );
    assert_eq!(
        words(r#"'/a b/python' "x\"y" z\ z $HOME *"#),
        ["/a b/python", "x\"y", "z z", "$HOME", "*"]
    );
    for wrong in ["", "  ", "python 'train.py", "''", "a \\"] {
        let error = CommandLine::parse(wrong).unwrap_err();
        assert!(error.hint_text().is_some(), "{wrong}");
    }
    let line = CommandLine::parse("python 'my train.py'").unwrap();
    let again = line.with(&option("--output", "/tmp/a b.npy"));
    assert_eq!(
        words(&again),
        ["python", "my train.py", "--output", "/tmp/a b.npy"]
    );
}

#[test]
fn a_child_that_ends_well_says_how_long_it_took() {
    let took = run("sleep 0.1").unwrap().took;
    assert!(
        took >= Duration::from_millis(100) && took < Duration::from_secs(10),
        "{took:?}"
    );
}

#[test]
fn what_fails_is_said_with_its_last_words() {
    let said = message("sh -c 'echo on the way; echo \"no such column\" >&2; exit 3'");
    assert!(said.contains("exit code 3"), "{said}");
    assert!(
        said.ends_with("\n  | on the way\n  | no such column"),
        "{said}"
    );
    assert!(
        message("sh -c 'kill -9 $$'").contains("SIGKILL (9); that is what happens where memory")
    );
    assert!(message("sh -c 'exit 1'").contains("it said nothing"));
    let many = message("sh -c 'seq 1000; exit 1'");
    assert!(
        many.ends_with("\n  | 1000") && many.lines().count() == SHOWN_LINES + 1,
        "{many}"
    );
}

#[test]
fn a_program_that_is_not_there_is_named() {
    assert!(
        message("giveaway-no-such-program x")
            .contains("there is no program `giveaway-no-such-program`")
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("train.py");
    std::fs::write(&file, "print()").unwrap();
    assert!(message(&file.display().to_string()).contains("is no program that may be run"));
}

#[test]
fn output_without_end_blocks_nobody() {
    // More than a pipe holds.
    run("sh -c 'seq 200000; seq 200000 >&2'").unwrap();
}

#[test]
fn a_child_reads_nothing_from_us() {
    run("sh -c 'test -z \"$(cat)\"'").unwrap();
}

#[test]
fn a_timeout_ends_the_whole_group() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    // The child of the child does not listen to a polite request.
    let text = format!(
        "sh -c '(trap \"\" TERM; sleep 1000) & echo started; echo $$ > {}; wait'",
        pid.display()
    );
    let line = CommandLine::parse(&text).unwrap();
    let secrets = Secrets::default();
    let mut job = job(&line, &secrets);
    job.timeout = Some(Duration::from_millis(500));
    let began = Instant::now();
    let failed = job.run().unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(10));
    let said = failed.into_error(ErrorKind::Input, &line, None).to_string();
    assert!(
        said.contains("more than 0.5 s") && said.contains("| started"),
        "{said}"
    );
    assert!(is_gone(number_in(&pid)));
}

#[test]
fn what_a_child_leaves_behind_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    run(&format!("sh -c 'sleep 1000 & echo $$ > {}'", pid.display())).unwrap();
    assert!(is_gone(number_in(&pid)));
}

#[test]
fn siblings_are_ended_and_those_after_them_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let line =
        CommandLine::parse(&format!("sh -c 'echo $$ > {}; sleep 1000'", pid.display())).unwrap();
    let (secrets, siblings) = (Secrets::default(), Siblings::default());
    let job = Job {
        siblings: Some(&siblings),
        ..job(&line, &secrets)
    };
    std::thread::scope(|scope| {
        let running = scope.spawn(|| job.run());
        let group = number_in(&pid);
        siblings.stop();
        assert!(matches!(running.join().unwrap(), Err(Failed::Stopped)));
        assert!(is_gone(group));
    });
    let line = CommandLine::parse("true").unwrap();
    let next = Job { line: &line, ..job };
    assert!(next.run().is_ok());
}

#[test]
fn secrets_are_not_inherited_and_not_shown() {
    // PATH is a variable that is always there; nothing here needs it.
    let secrets = Secrets::new(vec!["PATH".to_owned()], vec!["geheim".to_owned()]);
    let line = CommandLine::parse(
        "/bin/sh -c 'echo \"geheim <$(/usr/bin/env | /bin/grep ^PATH=)>\"; exit 1'",
    )
    .unwrap();
    let failed = job(&line, &secrets).run().unwrap_err();
    assert_eq!(failed.said(), "*** <>");
}

#[test]
fn libraries_are_asked_for_one_thread() {
    let failed = run("sh -c 'echo $OMP_NUM_THREADS $PYTHONHASHSEED; exit 1'").unwrap_err();
    let of = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    assert_eq!(
        failed.said(),
        format!(
            "{} {}",
            of("OMP_NUM_THREADS", "1"),
            of("PYTHONHASHSEED", "0")
        )
    );
}

/// Set for the process that is to be interrupted: the folder that it works in.
const VICTIM: &str = "GIVEAWAY_TEST_INTERRUPTED_IN";

/// No test by itself: what [`an_interrupt_ends_the_children_too`] starts.
#[test]
fn victim() {
    let Some(folder) = std::env::var_os(VICTIM).map(std::path::PathBuf::from) else {
        return;
    };
    let scratch = Scratch::new(Some(&folder)).unwrap();
    let line = CommandLine::parse(&format!(
        "sh -c 'sleep 1000 & echo $$ > {}; wait'",
        folder.join("pid").display()
    ))
    .unwrap();
    let ended = job(&line, &Secrets::default()).run();
    // The signal ends us first.
    std::fs::write(folder.join("survived"), format!("{ended:?} {scratch:?}")).unwrap();
}

#[test]
fn an_interrupt_ends_the_children_too() {
    use std::os::unix::process::ExitStatusExt;
    for signal in [Signal::INT, Signal::TERM] {
        let folder = tempfile::tempdir().unwrap();
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process::tests::victim", "--nocapture"])
            .env(VICTIM, folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let group = number_in(&folder.path().join("pid"));
        assert!(test_kill_process(Pid::from_raw(group).unwrap()).is_ok());
        kill_process(Pid::from_raw(victim.id().cast_signed()).unwrap(), signal).unwrap();
        let status = victim.wait().unwrap();
        assert_eq!(status.signal(), Some(signal.as_raw()), "{status}");
        assert!(is_gone(group));
        let left: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(
            left,
            ["pid"],
            "the scratch folder is gone, and nobody survived"
        );
    }
}
