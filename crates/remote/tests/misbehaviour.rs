//! What becomes of each way in which a server can fail: whether to ask again, when, whether the
//! questions were seen, and what is said of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod fake;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fake::{Reply, Server};
use giveaway::error::ErrorKind;
use giveaway::target::{
    Answers, Delivery, QuestionColumn, QuestionValues, Questions, Refusal, Target,
};
use giveaway_remote::{Endpoint, connect};
use ndarray::{Array2, array};

fn questions() -> Questions {
    Questions {
        features: array![[0.5], [1.5]],
        feature_names: vec!["f".into()],
        columns: vec![QuestionColumn {
            name: "c".into(),
            values: QuestionValues::Whole(vec![Some(1), Some(2)]),
        }],
    }
}

fn classes() -> Vec<String> {
    vec!["no".into(), "yes".into()]
}

fn endpoint(url: &str, more: &str) -> Endpoint {
    toml::from_str(&format!(
        "url = '{url}'\nprotocol = 'json'\nrequest = {{ rows = '{{{{rows}}}}' }}\n\
         probabilities = 'p'\n{more}\n"
    ))
    .unwrap()
}

fn opened(url: &str, more: &str) -> Box<dyn Target> {
    connect(&endpoint(url, more), &classes()).unwrap()
}

const FINE: &str = r#"{"p": [[0.25, 0.75], [1, 0]]}"#;

fn expected() -> Array2<f32> {
    array![[0.25, 0.75], [1.0, 0.0]]
}

fn assert_fine(answers: &Answers) {
    match answers {
        Answers::Numbers { values, .. } => assert_eq!(values, expected()),
        Answers::Labels(_) => panic!("labels"),
    }
}

/// Asks a server that does this, and wants to be refused.
fn refused(answer: impl Fn(&fake::Request) -> Reply + Send + Sync + 'static) -> Refusal {
    let server = Server::answering(answer);
    let target = opened(&server.url(), "timeout = 1\nmax-answer-bytes = 100_000");
    let refusal = target.ask(&questions()).unwrap_err();
    assert_eq!(refusal.error.kind(), ErrorKind::Target, "{}", refusal.error);
    assert!(
        refusal.error.to_string().contains(&server.url()),
        "{}",
        refusal.error
    );
    refusal
}

fn passing(refusal: &Refusal, word: &str) {
    assert!(!word.is_empty(), "every message has no words in it");
    assert!(refusal.again, "{}", refusal.error);
    assert!(
        refusal.error.to_string().contains(word),
        "{}",
        refusal.error
    );
}

fn lasting(refusal: &Refusal, word: &str) {
    assert!(!refusal.again, "{}", refusal.error);
    assert_eq!(refusal.delivery, Delivery::Sent);
    assert!(
        refusal.error.to_string().contains(word),
        "{}",
        refusal.error
    );
}

#[test]
fn a_server_that_behaves_is_asked_over_one_connection() {
    let server = Server::start(|_| 2, |_| Reply::json(FINE));
    let target = opened(&server.url(), "");
    for _ in 0..3 {
        assert_fine(&target.ask(&questions()).unwrap());
    }
    let seen = server.seen();
    assert_eq!(
        (seen.len(), server.records(), server.records_answered()),
        (3, 6, 6)
    );
    assert_eq!(seen[0].text(), r#"{"rows":[[1],[2]]}"#);
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
    assert_eq!(seen[0].header("accept-encoding"), Some("identity"));
    assert_eq!(seen[0].header("transfer-encoding"), None);
}

#[test]
fn a_target_is_asked_by_several_threads_at_once() {
    let server = Server::start(
        |_| 2,
        |_| Reply::Late(Duration::from_millis(100), Box::new(Reply::json(FINE))),
    );
    let target = opened(&server.url(), "concurrency = 8");
    assert_eq!(target.concurrency(), 8);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_fine(&target.ask(&questions()).unwrap()));
        }
    });
    assert!(
        begun.elapsed() < Duration::from_millis(600),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(server.requests(), 8);
}

#[test]
fn busy_servers_are_waited_for_as_they_ask() {
    for status in [429, 503] {
        let with = |headers: Vec<(&'static str, &'static str)>| {
            refused(move |_| {
                let headers = headers.iter().map(|(n, v)| (*n, (*v).to_owned())).collect();
                Reply::Full(status, headers, b"slow down".to_vec())
            })
        };
        let refusal = with(vec![("Retry-After", "7")]);
        passing(&refusal, "slow down");
        assert_eq!(refusal.after, Some(Duration::from_secs(7)));
        assert_eq!(refusal.delivery, Delivery::Sent);
        let refusal = with(vec![
            ("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("Date", "Sun, 06 Nov 1994 08:49:30 GMT"),
        ]);
        assert_eq!(refusal.after, Some(Duration::from_secs(7)));
        assert_eq!(with(vec![]).after, None);
    }
}

#[test]
fn failures_of_the_server_pass_and_ours_last() {
    for status in [408, 425, 500, 502, 504, 507] {
        passing(
            &refused(move |_| Reply::status(status, "oops")),
            &status.to_string(),
        );
    }
    for status in [400, 401, 403, 404, 405, 413, 415, 422, 501] {
        let refusal = refused(move |_| Reply::status(status, "no such thing"));
        lasting(&refusal, &format!("{status}"));
        assert!(refusal.error.to_string().contains("no such thing"));
        assert!(refusal.error.hint_text().is_some());
    }
}

#[test]
fn of_what_a_server_says_the_beginning_is_shown() {
    let long = refused(|_| Reply::status(400, &"word\n\u{1b}[31m ".repeat(10_000)));
    let text = long.error.to_string();
    assert!(
        text.len() < 500 && !text.contains('\n') && !text.contains('\u{1b}'),
        "{text:?}"
    );
}

#[test]
fn a_slow_server_is_given_up() {
    let begun = Instant::now();
    let refusal = refused(|_| Reply::Late(Duration::from_secs(3), Box::new(Reply::json(FINE))));
    passing(&refusal, "within 1 s");
    assert_eq!(refusal.delivery, Delivery::Sent);
    assert!(begun.elapsed() < Duration::from_millis(2500));
    let begun = Instant::now();
    let server = Server::answering(|_| Reply::Late(Duration::from_secs(5), Box::new(Reply::Close)));
    passing(
        &opened(&server.url(), "timeout = 0.5")
            .ask(&questions())
            .unwrap_err(),
        "within 0.5 s",
    );
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[test]
fn an_answer_that_drips_is_given_up() {
    // Something comes every 100 ms for 6 s, so that no single wait is long.
    let apart = Duration::from_millis(100);
    let body = "HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n";
    let head = format!("HTTP/1.1 200 OK\r\nX-Slow: {}", "x".repeat(40));
    for (start, drops, words) in [
        (body, " ".repeat(60), "not whole after 1 s"),
        ("", head, "no answer within 1 s"),
    ] {
        let server = Server::answering(move |_| {
            Reply::Dripping(start.into(), drops.clone().into_bytes(), apart)
        });
        let target = opened(&server.url(), "timeout = 1");
        let begun = Instant::now();
        let refusal = target.ask(&questions()).unwrap_err();
        let took = begun.elapsed();
        passing(&refusal, words);
        assert_eq!(refusal.delivery, Delivery::Sent);
        assert!(
            took > Duration::from_millis(900) && took < Duration::from_secs(3),
            "{took:?}"
        );
        let sent = server.sent.load(Ordering::SeqCst);
        assert!((2..30).contains(&sent), "{sent} bytes had dripped");
    }
}

#[test]
fn truncated_answers_pass() {
    let refusal = refused(|_| {
        Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"p\": [[0.2".to_vec())
    });
    passing(&refusal, "broke off after 11 bytes");
    // Without a length the end of the connection is the end of the answer.
    let refusal = refused(|_| Reply::Raw(b"HTTP/1.0 200 OK\r\n\r\n{\"p\": [[0.2".to_vec()));
    passing(&refusal, "ends in the middle, after 11 bytes");
    let refusal = refused(|_| {
        Reply::Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"p\"".to_vec())
    });
    passing(&refusal, "broke off");
    passing(
        &refused(|_| Reply::Raw(b"HTTP/1.1 20".to_vec())),
        "the connection broke: the other side closed it",
    );
    passing(&refused(|_| Reply::json("")), "ends in the middle");
    // As long as announced, and all of it blanks.
    let refusal = refused(|_| {
        Reply::Endless(
            b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n".to_vec(),
            b' ',
        )
    });
    passing(&refusal, "ends in the middle, after 90000 bytes");
}

#[test]
fn answers_of_the_wrong_form_last() {
    for (body, word) in [
        (r#"{"p": [[0.25, 0.75]]}"#, "1 answers to 2 questions"),
        (
            r#"{"p": [[0.25, 0.75], [1, 0], [1, 0]]}"#,
            "3 answers to 2 questions",
        ),
        (r#"{"p": [[0.25, 0.75], [1]]}"#, "answer 2 has 1 numbers"),
        (r#"{"p": 3}"#, "a number in place of a list"),
        (r#"{"q": []}"#, "no \"p\""),
        (r#"{"p": [[0.25, NaN], [1, 0]]}"#, "holds NaN"),
        (r#"{"p": [[0.25, -Infinity], [1, 0]]}"#, "holds Infinity"),
        ("<html>welcome</html>", "not JSON"),
        (
            r#"{"p": [[0.25, "high"], [1, 0]]}"#,
            "\"high\" in place of a number",
        ),
    ] {
        let refusal = refused(move |_| Reply::json(body));
        lasting(&refusal, word);
        assert!(
            refusal
                .error
                .hint_text()
                .unwrap()
                .contains("the answer begins")
        );
    }
    let deep = "[".repeat(50_000);
    lasting(&refused(move |_| Reply::json(deep.clone())), "not JSON");
}

#[test]
fn names_that_are_no_classes_last_and_are_told() {
    let refusal =
        refused(|_| Reply::json(r#"{"p": [{"b": 0.9, "a": 0.1}, {"a": 0.6, "b": 0.4}]}"#));
    lasting(
        &refusal,
        r#"it names "a", "b", and the classes are "no", "yes""#,
    );
    let hint = refusal.error.hint_text().unwrap();
    assert!(
        hint.contains("`probabilities`") && hint.contains("the answer begins"),
        "{hint}"
    );
}

#[test]
fn no_connection_means_nothing_was_sent() {
    let port = {
        let server = Server::answering(|_| Reply::Close);
        server.port()
    };
    // Until the old listener has gone.
    std::thread::sleep(Duration::from_millis(100));
    let target = opened(&format!("http://127.0.0.1:{port}"), "");
    let refusal = target.ask(&questions()).unwrap_err();
    passing(&refusal, "connection was refused");
    assert_eq!(refusal.delivery, Delivery::NotSent);
    let target = opened("http://no-such-host.invalid", "timeout = 5");
    let refusal = target.ask(&questions()).unwrap_err();
    passing(&refusal, "no-such-host.invalid");
    assert_eq!(refusal.delivery, Delivery::NotSent);
}

#[test]
fn a_broken_connection_means_that_they_may_have_been_seen() {
    let reset = refused(|_| Reply::Reset);
    passing(&reset, "the connection broke");
    assert!(reset.error.to_string().contains("reset"), "{}", reset.error);
    assert_eq!(reset.delivery, Delivery::Sent);
    let closed = refused(|_| Reply::Close);
    passing(&closed, "the connection broke: the other side closed it");
    assert_eq!(closed.delivery, Delivery::Sent);
}

#[test]
fn redirects_are_not_followed() {
    let elsewhere = Server::answering(|_| Reply::json(FINE));
    for (status, location, word) in [
        (
            307,
            format!("{}/x?token=abc", elsewhere.url()),
            format!("another host, 127.0.0.1:{}", elsewhere.port()),
        ),
        (
            302,
            "https://user:hunter2@elsewhere.test/x".into(),
            "another host, elsewhere.test".into(),
        ),
        (
            301,
            "//elsewhere.test/x".into(),
            "another host, elsewhere.test".into(),
        ),
        (
            308,
            "/login?key=hunter2".into(),
            "another address of its own, /login".into(),
        ),
        (303, "x".into(), "another address of its own, x".into()),
    ] {
        let answer = location.clone();
        let refusal =
            refused(move |_| Reply::Full(status, vec![("Location", answer.clone())], Vec::new()));
        lasting(&refusal, &word);
        assert!(
            !refusal.error.to_string().contains("hunter2"),
            "{}",
            refusal.error
        );
    }
    assert_eq!(elsewhere.requests(), 0);
    lasting(&refused(|_| Reply::status(302, "")), "no address");
}

/// The most memory that this process has held, in KiB.
#[cfg(target_os = "linux")]
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn answers_without_end_are_not_read() {
    #[cfg(target_os = "linux")]
    let before = peak();
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    ] {
        let server = Server::answering(move |_| Reply::Endless(head.into(), b'['));
        let target = opened(&server.url(), "");
        let refusal = target.ask(&questions()).unwrap_err();
        lasting(&refusal, "larger than 1099776 bytes");
        // No more than the bound and what buffers hold.
        let sent = server.sent.load(Ordering::SeqCst);
        assert!(sent < 20_000_000, "{sent}");
    }
    // An error's body is read in part, and still is that error.
    let server = Server::answering(|_| {
        Reply::Endless(
            b"HTTP/1.1 400 No\r\nContent-Length: 100000000\r\n\r\n".to_vec(),
            b'x',
        )
    });
    lasting(
        &opened(&server.url(), "").ask(&questions()).unwrap_err(),
        "400",
    );
    #[cfg(target_os = "linux")]
    assert!(peak() - before < 40_000, "{} KiB", peak() - before);
}

#[test]
fn headers_without_end_are_not_read() {
    lasting(
        &refused(|_| Reply::Endless(b"HTTP/1.1 200 OK\r\nX: ".to_vec(), b'a')),
        "65536 bytes of headers",
    );
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(5000));
    let refusal = refused(move |_| Reply::Raw(many.clone().into_bytes()));
    assert!(!refusal.again, "{}", refusal.error);
    lasting(
        &refused(|_| Reply::Raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec())),
        "not HTTP",
    );
}

#[test]
fn compressed_answers_are_refused_unread() {
    let gzip = |_: &fake::Request| {
        Reply::Full(
            200,
            vec![("Content-Encoding", "gzip".into())],
            vec![0x1f, 0x8b, 8, 0],
        )
    };
    lasting(&refused(gzip), "compressed");
}

#[test]
fn secrets_are_sent_and_shown_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "hunter2-token\n").unwrap();
    // Cargo sets these for every test.
    let variable = std::env::var("CARGO_PKG_DESCRIPTION").unwrap();
    let server = Server::answering(|request| {
        let auth = request.header("authorization").unwrap();
        let key = request.header("x-api-key").unwrap();
        let echo = format!("you said {auth} {key} {} {}", request.path, request.text());
        match request.number {
            0 => Reply::json(FINE),
            1 => Reply::status(400, &echo),
            2 => Reply::status(503, &echo),
            3 => Reply::json(format!("{{\"p\": [[{:?}, 1], [1, 0]]}}", &auth[7..])),
            4 => Reply::Full(
                302,
                vec![("Location", format!("http://{}.test/", &auth[7..]))],
                vec![],
            ),
            _ => Reply::json(echo),
        }
    });
    let mut endpoint = endpoint(
        &format!("{}/a?key=${{CARGO_PKG_DESCRIPTION}}", server.url()),
        "",
    );
    endpoint.token_file = Some(path);
    endpoint
        .headers
        .insert("X-Api-Key".into(), "${CARGO_PKG_DESCRIPTION}".into());
    let target = connect(&endpoint, &classes()).unwrap();
    let mut said = vec![
        target.name(),
        format!("{endpoint:?}"),
        toml::to_string(&endpoint).unwrap(),
    ];
    assert_fine(&target.ask(&questions()).unwrap());
    for _ in 0..5 {
        let refusal = target.ask(&questions()).unwrap_err();
        said.push(format!("{refusal:?} {}", refusal.error));
    }
    let encoded = variable.replace(' ', "%20").replace(',', "%2C");
    for text in &said {
        for secret in ["hunter2", variable.as_str(), encoded.as_str()] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    assert!(said[3].contains("you said Bearer *** ***"), "{}", said[3]);
    let first = &server.seen()[0];
    assert_eq!(first.header("authorization"), Some("Bearer hunter2-token"));
    assert_eq!(first.header("x-api-key"), Some(variable.as_str()));
    assert_eq!(first.path, format!("/a?key={encoded}"));
}

#[test]
fn a_token_does_not_go_over_plain_http_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "hunter2").unwrap();
    let mut endpoint = endpoint("http://model.test", "");
    endpoint.token_file = Some(path);
    let error = connect(&endpoint, &classes()).err().unwrap();
    assert!(
        error.hint_text().unwrap().contains("plain-token"),
        "{error}"
    );
    endpoint.plain_token = true;
    assert!(connect(&endpoint, &classes()).is_ok());
}

#[test]
fn a_short_secret_does_not_go_over_plain_http_to_others() {
    // Cargo sets this for every test, and it is too short to be masked.
    let name = "CARGO_PKG_VERSION_MAJOR";
    assert!(std::env::var(name).unwrap().len() < 4);
    let pin = format!("${{{name}}}");
    let mut header = endpoint("http://model.test", "");
    header.headers.insert("X-Pin".into(), pin.clone());
    let address = endpoint(&format!("http://model.test/?pin={pin}"), "");
    let mut body = endpoint("http://model.test", "");
    body.request = Some(serde_json::json!({"rows": "{{rows}}", "pin": pin}));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "123").unwrap();
    let mut token = endpoint("http://model.test", "");
    token.token_file = Some(path);
    for mut endpoint in [header, address, body, token] {
        let error = connect(&endpoint, &classes()).err().unwrap();
        assert!(
            error.hint_text().unwrap().contains("plain-token"),
            "{error}"
        );
        endpoint.plain_token = true;
        assert!(connect(&endpoint, &classes()).is_ok());
    }
}
