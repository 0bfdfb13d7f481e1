//! Audits of a model behind HTTP, from the command line to the server's own count: the same result
//! as from a file, whatever fails meanwhile; budgets, resuming, secrets, ONNX and commands.

#[path = "../../../remote/tests/fake/mod.rs"]
mod fake;

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::sandbox::{Sandbox, files, finished, quick};
use fake::{Reply, Request, Server};

const RECORDS: usize = 240;

/// A value of one of two columns.
fn value(record: usize, column: usize) -> f64 {
    let mixed = (record * 2 + column + 1) as u64;
    let mixed = (mixed ^ (mixed >> 3)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed >> 40) % 1000) as f64 / 250.0 - 2.0
}

/// The probability of the second class.
fn probability(a: f64, b: f64) -> f64 {
    1.0 / (1.0 + (b - 2.0 * a).exp())
}

/// The data, the outputs of the model on them, and its members.
fn write_files(sandbox: &Sandbox) {
    let (mut data, mut outputs, mut members) = (
        String::from("a,b,name,class\n"),
        String::from("no,yes\n"),
        String::new(),
    );
    for record in 0..RECORDS {
        let (a, b) = (value(record, 0), value(record, 1));
        let p = probability(a, b);
        let class = if (p > 0.5) == (record % 7 != 0) {
            "yes"
        } else {
            "no"
        };
        writeln!(data, "{a},{b},x{},{class}", record % 5).unwrap();
        writeln!(outputs, "{},{p}", 1.0 - p).unwrap();
        if record % 2 == 0 {
            writeln!(members, "{record}").unwrap();
        }
    }
    sandbox.write("data.csv", data);
    sandbox.write("outputs.csv", outputs);
    sandbox.write("members.txt", members);
}

/// The records of a request: objects with the columns of the file.
fn instances(request: &Request) -> Vec<serde_json::Value> {
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
    body["instances"].as_array().cloned().unwrap_or_default()
}

fn count(request: &Request) -> usize {
    instances(request).len()
}

/// What the model says of the records of a request.
fn answer(request: &Request) -> Reply {
    let predictions: Vec<serde_json::Value> = instances(request)
        .iter()
        .map(|record| {
            assert!(
                record["name"].as_str().unwrap().starts_with('x'),
                "{record}"
            );
            let p = probability(record["a"].as_f64().unwrap(), record["b"].as_f64().unwrap());
            serde_json::json!([1.0 - p, p])
        })
        .collect();
    Reply::json(serde_json::json!({ "predictions": predictions }).to_string())
}

const TARGET: &str = "--protocol tf-serving --model-name m --target-form raw --members members.txt";

fn line(server: &Server, rest: &str) -> String {
    quick(&format!(
        "data.csv --label class --target-url {} {TARGET} {rest}",
        server.url()
    ))
}

/// The ledger's last word: queries that count, and those answered.
fn counts(sandbox: &Sandbox, run: &str) -> (usize, usize) {
    let text = std::fs::read_to_string(sandbox.path(run).join("target/queries.jsonl")).unwrap();
    let mut requests = std::collections::BTreeMap::new();
    let (mut sent, mut answered) = (0, 0);
    for line in text.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        let request = entry["request"].as_u64().unwrap();
        match entry["event"].as_str().unwrap() {
            "sending" => {
                let queries = usize::try_from(entry["queries"].as_u64().unwrap()).unwrap();
                requests.insert(request, queries);
                sent += queries;
            }
            "answered" => answered += requests[&request],
            "not-sent" => sent -= requests[&request],
            other => assert_eq!(other, "failed"),
        }
    }
    (sent, answered)
}

#[test]
fn a_service_gives_the_result_of_its_file_whatever_fails_meanwhile() {
    let sandbox = Sandbox::new();
    write_files(&sandbox);
    let server = Server::start(count, |request| match request.number % 9 {
        2 => Reply::Full(429, vec![("Retry-After", "0".to_owned())], Vec::new()),
        4 => Reply::status(500, "out of order"),
        5 => Reply::Reset,
        7 => Reply::status(503, ""),
        _ => answer(request),
    });
    let asked = sandbox.run(&line(
        &server,
        "--run asked --query-batch 17 --concurrency 3",
    ));
    asked.succeeded();
    let from_file = sandbox.run(&quick(
        "data.csv --label class --target-outputs outputs.csv --members members.txt --run file",
    ));
    from_file.succeeded();
    let (a, b) = (
        sandbox.written_report("asked"),
        sandbox.written_report("file"),
    );
    for part in [
        "exposed",
        "on_target",
        "leave_one_out",
        "verdict",
        "attacks",
    ] {
        assert_eq!(a[part], b[part], "{part}");
    }
    let records = |run: &str| std::fs::read(sandbox.path(run).join("records.parquet")).unwrap();
    assert_eq!(records("asked"), records("file"));
    let (sent, answered) = counts(&sandbox, "asked");
    assert_eq!(answered, RECORDS);
    assert_eq!(answered, server.records_answered());
    assert!(sent >= server.records() && sent > answered);
    assert_eq!(a["target"]["asked"]["queries"], sent);
    assert_eq!(a["target"]["asked"]["answered"], answered);
    // once more: nothing is asked
    let before = server.requests();
    sandbox
        .run(&line(
            &server,
            "--run asked --query-batch 17 --concurrency 3",
        ))
        .succeeded();
    assert_eq!(server.requests(), before);
}

#[test]
fn a_budget_is_not_passed_by_one_as_the_server_counts() {
    let sandbox = Sandbox::new();
    write_files(&sandbox);
    let server = Server::start(count, |request| match request.number % 3 {
        1 => Reply::status(500, ""),
        _ => answer(request),
    });
    // Every third request fails: 240 records take some 360 queries.
    let rest = "--run short --query-batch 7 --concurrency 4 --max-queries 260";
    let done = sandbox.run(&line(&server, rest));
    assert_eq!(done.code, Some(4), "{}", done.stderr);
    assert!(done.stderr.contains("--max-queries"), "{}", done.stderr);
    assert!(server.records() <= 260, "{}", server.records());
    assert!(server.records() > 240, "{}", server.records());
    let first = server.records_answered();
    // With more allowed it goes on, and asks only what is missing.
    let rest = "--run short --query-batch 7 --concurrency 4 --max-queries 1000";
    sandbox.run(&line(&server, rest)).succeeded();
    assert!(server.records() <= 1000);
    assert_eq!(server.records_answered(), RECORDS);
    assert!(first > 0);
    // A budget below the number of records: a part of them is audited.
    let calm = Server::start(count, answer);
    let done = sandbox.run(&line(&calm, "--run part --max-queries 100"));
    done.succeeded();
    assert!(calm.records() <= 95, "{}", calm.records());
    let report = sandbox.written_report("part");
    assert_eq!(report["data"]["units"], calm.records());
    assert!(
        done.stdout.contains("a random 95 of 240"),
        "{}",
        done.stdout
    );
}

#[test]
fn killed_in_the_middle_it_asks_nothing_twice_that_was_answered() {
    let sandbox = Sandbox::new();
    write_files(&sandbox);
    let server = Server::start(count, |request| {
        Reply::Late(Duration::from_millis(30), Box::new(answer(request)))
    });
    let line = line(&server, "--run killed --query-batch 5");
    let mut child = sandbox.command(&line).spawn().unwrap();
    let begun = Instant::now();
    while server.records_answered() < RECORDS / 3 && begun.elapsed() < Duration::from_mins(1) {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    sandbox.run(&line).succeeded();
    // what was in flight may have been answered to nobody
    let twice = server.records_answered() - RECORDS;
    assert!(twice <= 2 * 5, "{twice}");
    assert!(server.records() - RECORDS <= 2 * 5);
}

#[test]
fn failures_that_last_end_with_one_message_and_exit_code_4() {
    for (reply, says) in [(400, "400"), (401, "401"), (404, "404")] {
        let sandbox = Sandbox::new();
        write_files(&sandbox);
        let server = Server::start(count, move |_| Reply::status(reply, "no such thing"));
        let done = sandbox.run(&line(&server, "--run r"));
        assert_eq!(done.code, Some(4), "{}", done.stderr);
        assert!(done.stderr.contains(says), "{}", done.stderr);
        assert!(!done.stderr.contains("panicked"));
        sandbox.holds_no_result();
    }
    let sandbox = Sandbox::new();
    write_files(&sandbox);
    let server = Server::start(count, |_| Reply::json("{\"predictions\": [[0.5, 0.5]]}"));
    let done = sandbox.run(&line(&server, "--run r"));
    assert_eq!(done.code, Some(4), "{}", done.stderr);
    sandbox.holds_no_result();
}

#[test]
fn no_secret_is_in_the_run_directory_the_messages_or_the_arguments() {
    const SECRET: &str = "tok-3f9a77c1e5";
    let sandbox = Sandbox::new();
    write_files(&sandbox);
    sandbox.write("token", format!("{SECRET}\n"));
    let server = Server::start(count, |request| {
        assert_eq!(
            request.header("authorization"),
            Some(&*format!("Bearer {SECRET}"))
        );
        match request.number {
            // a server that tells what it got
            1 => Reply::status(500, &format!("token {SECRET} is slow today")),
            _ => answer(request),
        }
    });
    let options = ["--token-env GIVEAWAY_TEST_TOKEN", "--token-file token"];
    for (number, option) in options.into_iter().enumerate() {
        let run = format!("run{number}");
        let line = line(&server, &format!("--run {run} --query-batch 50 {option}"));
        let output = sandbox
            .command(&line)
            .env("GIVEAWAY_TEST_TOKEN", SECRET)
            .output()
            .unwrap();
        let done = finished(&line, output);
        done.succeeded();
        assert!(!done.stdout.contains(SECRET) && !done.stderr.contains(SECRET));
        for path in files(&sandbox.path(&run)) {
            let content = std::fs::read(&path).unwrap();
            let found = content
                .windows(SECRET.len())
                .any(|window| window == SECRET.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
    // One that is refused for good is not quoted either.
    let angry = Server::start(count, |_| {
        Reply::status(403, &format!("{SECRET} is not welcome"))
    });
    let line = line(&angry, "--run angry --token-env GIVEAWAY_TEST_TOKEN");
    let output = sandbox
        .command(&line)
        .env("GIVEAWAY_TEST_TOKEN", SECRET)
        .output()
        .unwrap();
    let done = finished(&line, output);
    assert_eq!(done.code, Some(4));
    assert!(!done.stderr.contains(SECRET), "{}", done.stderr);
    // And one that is written out is not taken.
    let done = sandbox.run(&quick(&format!(
        "data.csv --label class --target-url {}?api_key={SECRET} {TARGET} --run literal",
        angry.url()
    )));
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    assert!(!done.stderr.contains(SECRET), "{}", done.stderr);
    assert!(!sandbox.path("literal").exists());
}

#[test]
#[cfg(unix)]
fn a_command_answers_as_its_file() {
    let sandbox = Sandbox::new();
    write_files(&sandbox);
    let same = "data.csv --label class --members members.txt";
    sandbox
        .run(&quick(&format!(
            "{same} --target-outputs outputs.csv --run file"
        )))
        .succeeded();
    // --predict FILE --output FILE: the outputs are there already, for all records at once
    sandbox.write("predict.sh", "cp outputs.csv \"$4\"\n");
    sandbox.write(
        "giveaway.toml",
        "[target.command]\ncommand = \"sh predict.sh\"\noutput = \"csv\"\n",
    );
    sandbox
        .run(&quick(&format!("{same} --run command")))
        .succeeded();
    let (a, b) = (
        sandbox.written_report("command"),
        sandbox.written_report("file"),
    );
    assert_eq!(a["target"]["asked"]["answered"], RECORDS);
    for part in ["exposed", "on_target", "leave_one_out", "verdict"] {
        assert_eq!(a[part], b[part], "{part}");
    }
    // A copy that may leave the building does not say what was run.
    sandbox.run("report command --redact").succeeded();
    for file in ["report.json", "report.html"] {
        let copy =
            std::fs::read_to_string(sandbox.path(&format!("command/redacted/{file}"))).unwrap();
        assert!(
            copy.contains("a command") && !copy.contains("predict.sh"),
            "{file}"
        );
    }
}

/// What trains the reference models is a child, and the service's token is none of its business.
#[test]
#[cfg(unix)]
fn a_trainer_does_not_inherit_the_token() {
    let sandbox = Sandbox::new();
    write_files(&sandbox);
    let server = Server::start(count, answer);
    sandbox.write(
        "train.sh",
        "test -z \"$GIVEAWAY_TEST_TOKEN\" || { echo it has the token >&2; exit 9; }\n\
         while [ \"$1\" != --output ]; do shift; done\ncp outputs.csv \"$2\"\n",
    );
    sandbox.write(
        "giveaway.toml",
        "[reference]\ntrainer = \"command\"\n[reference.command]\ncommand = \"sh train.sh\"\noutput = \"csv\"\n",
    );
    let line = format!(
        "audit data.csv --label class --models 12 --target-url {} {TARGET} --run r --token-env GIVEAWAY_TEST_TOKEN",
        server.url()
    );
    let output = sandbox
        .command(&line)
        .env("GIVEAWAY_TEST_TOKEN", "tok-3f9a77c1e5")
        .output()
        .unwrap();
    finished(&line, output).succeeded();
}
