//! The protocols against a server that checks what it is sent, and downloads.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod fake;

use std::time::Duration;

use fake::{Reply, Request, Server};
use giveaway::error::ErrorKind;
use giveaway::target::{Answers, Form, QuestionColumn, QuestionValues, Questions, Target};
use giveaway_remote::{Endpoint, connect, download};
use ndarray::{Array2, array};
use serde_json::{Value, json};

fn questions() -> Questions {
    Questions {
        features: array![[0.1, 1.0], [0.5, 0.0]],
        feature_names: vec!["f".into(), "g".into()],
        columns: vec![
            QuestionColumn {
                name: "age".into(),
                values: QuestionValues::Whole(vec![Some(39), Some(50)]),
            },
            QuestionColumn {
                name: "job".into(),
                values: QuestionValues::Texts(vec![Some("a".into()), None]),
            },
        ],
    }
}

fn classes() -> Vec<String> {
    vec!["no".into(), "yes".into()]
}

fn opened(server: &Server, more: &str) -> Box<dyn Target> {
    let text = format!("url = '{}'\n{more}", server.url());
    let endpoint: Endpoint = toml::from_str(&text).unwrap();
    connect(&endpoint, &classes()).unwrap()
}

fn numbers(answers: Answers) -> Array2<f32> {
    match answers {
        Answers::Numbers { values, .. } => values,
        Answers::Labels(labels) => panic!("{labels:?}"),
    }
}

fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

fn expected() -> Array2<f32> {
    array![[0.25, 0.75], [1.0, 0.0]]
}

/// A server of protocol v2 with this metadata, whose model answers with `infer`.
fn v2(
    server: Value,
    model: Option<Value>,
    infer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> Server {
    Server::answering(move |request| match request.path.as_str() {
        "/v2" => Reply::json(server.to_string()),
        "/v2/models/m" => match &model {
            Some(model) => Reply::json(model.to_string()),
            None => Reply::status(404, "none"),
        },
        "/v2/models/m/infer" => infer(request),
        other => Reply::status(404, other),
    })
}

fn two_rows(name: &str) -> String {
    json!({"model_name": "m", "outputs": [{"name": name, "datatype": "FP64", "shape": [2, 2],
        "data": [0.25, 0.75, 1, 0]}]})
    .to_string()
}

#[test]
fn v2_sends_columns_as_a_data_frame_to_mlserver() {
    let server = v2(
        json!({"name": "mlserver", "version": "1", "extensions": []}),
        Some(json!({"name": "m", "inputs": [], "outputs": []})),
        |_| Reply::json(two_rows("predict_proba")),
    );
    let target = opened(&server, "model = 'm'");
    assert_eq!(target.form(), Form::Raw);
    assert_eq!(numbers(target.ask(&questions()).unwrap()), expected());
    assert_eq!(
        body(&server.seen()[2]),
        json!({"parameters": {"content_type": "pd"}, "inputs": [
            {"name": "age", "shape": [2, 1], "datatype": "INT64", "data": [39, 50]},
            {"name": "job", "shape": [2, 1], "datatype": "BYTES",
             "parameters": {"content_type": "str"}, "data": ["a", null]}],
            "outputs": [{"name": "predict_proba"}]})
    );
}

#[test]
fn v2_sends_one_tensor_where_one_is_declared() {
    let server = v2(
        json!({"name": "triton", "extensions": ["sequence"]}),
        Some(json!({"name": "m",
            "inputs": [{"name": "X", "datatype": "FP32", "shape": [-1, 2]}],
            "outputs": [{"name": "label", "datatype": "INT64", "shape": [-1]},
                        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]}]})),
        |_| Reply::json(two_rows("probabilities")),
    );
    let target = opened(&server, "model = 'm'");
    assert_eq!(target.form(), Form::Encoded);
    assert_eq!(numbers(target.ask(&questions()).unwrap()), expected());
    assert_eq!(
        body(&server.seen()[2]),
        json!({"inputs": [{"name": "X", "shape": [2, 2], "datatype": "FP32",
            "data": [0.1, 1.0, 0.5, 0.0]}], "outputs": [{"name": "probabilities"}]})
    );
}

#[test]
fn v2_matches_declared_columns_and_refuses_what_is_missing() {
    let model = |second: &str| {
        json!({"name": "m", "inputs": [{"name": "job", "datatype": "BYTES", "shape": [-1, 1]},
            {"name": second, "datatype": "FP32", "shape": [-1]}]})
    };
    let server = v2(json!({"name": "s"}), Some(model("age")), |_| {
        Reply::json(two_rows("p"))
    });
    let refusal = opened(&server, "model = 'm'")
        .ask(&questions())
        .unwrap_err();
    assert!(
        refusal.error.to_string().contains("column job")
            || refusal.error.to_string().contains("missing"),
        "{}",
        refusal.error
    );
    assert!(refusal.error.hint_text().unwrap().contains("missing-text"));
    assert_eq!(server.requests(), 2, "nothing was sent");
    let target = opened(&server, "model = 'm'\nmissing-text = '?'");
    assert_eq!(numbers(target.ask(&questions()).unwrap()), expected());
    assert_eq!(
        body(&server.seen()[4])["inputs"],
        json!([{"name": "job", "shape": [2, 1], "datatype": "BYTES", "data": ["a", "?"]},
               {"name": "age", "shape": [2], "datatype": "FP32", "data": [39.0, 50.0]}])
    );
    let server = v2(json!({}), Some(model("wage")), |_| {
        Reply::json(two_rows("p"))
    });
    let refusal = opened(&server, "model = 'm'")
        .ask(&questions())
        .unwrap_err();
    let words = refusal.error.to_string();
    assert!(
        words.contains("missing") || words.contains("\"wage\""),
        "{words}"
    );
}

#[test]
fn v2_speaks_the_binary_extension() {
    let server = v2(
        json!({"name": "triton", "extensions": ["binary_tensor_data"]}),
        Some(json!({"name": "m",
            "inputs": [{"name": "X", "datatype": "FP32", "shape": [-1, 2]}],
            "outputs": [{"name": "p", "datatype": "FP32", "shape": [-1, 2]}]})),
        |_| {
            let head = json!({"outputs": [
                {"name": "other", "datatype": "INT64", "shape": [1], "parameters": {"binary_data_size": 8}},
                {"name": "p", "datatype": "FP32", "shape": [2, 2], "parameters": {"binary_data_size": 16}}]})
            .to_string();
            let mut body = head.clone().into_bytes();
            body.extend([7; 8]);
            for value in [0.25_f32, 0.75, 1.0, f32::NAN] {
                body.extend(value.to_le_bytes());
            }
            let length = ("Inference-Header-Content-Length", head.len().to_string());
            Reply::Full(200, vec![length], body)
        },
    );
    let target = opened(&server, "model = 'm'");
    let values = numbers(target.ask(&questions()).unwrap());
    assert_eq!(values.row(0).to_vec(), [0.25, 0.75]);
    assert!(
        values[[1, 1]].is_nan(),
        "what is no number is for the caller to judge"
    );
    let sent = &server.seen()[2];
    let length: usize = sent
        .header("inference-header-content-length")
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(
        sent.header("content-type"),
        Some("application/octet-stream")
    );
    let head: Value = serde_json::from_slice(&sent.body[..length]).unwrap();
    assert_eq!(
        head,
        json!({"parameters": {"binary_data_output": true},
            "inputs": [{"name": "X", "shape": [2, 2], "datatype": "FP32",
                "parameters": {"binary_data_size": 16}}],
            "outputs": [{"name": "p", "parameters": {"binary_data": true}}]})
    );
    let bytes: Vec<u8> = [0.1_f32, 1.0, 0.5, 0.0]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    assert_eq!(sent.body[length..], bytes);
    // Cut short, though HTTP says that it is whole.
    let cut = v2(json!({}), None, |_| {
        let head = json!({"outputs": [{"name": "p", "datatype": "FP32", "shape": [2, 2],
            "parameters": {"binary_data_size": 16}}]})
        .to_string();
        let length = ("Inference-Header-Content-Length", head.len().to_string());
        Reply::Full(200, vec![length], head.into_bytes())
    });
    let refusal = opened(&cut, "model = 'm'\nform = 'encoded'")
        .ask(&questions())
        .unwrap_err();
    assert!(
        refusal.error.to_string().contains("0 came"),
        "{}",
        refusal.error
    );
}

#[test]
fn v2_needs_no_metadata_and_waits_for_a_server_that_starts() {
    let server = Server::answering(|request| match (request.path.as_str(), request.number) {
        (_, 0 | 1) => Reply::status(503, "starting"),
        ("/v2/models/m/versions/3/infer", _) => Reply::json(two_rows("anything")),
        _ => Reply::status(404, ""),
    });
    let target = opened(
        &server,
        "model = 'm'\nversion = '3'\nform = 'encoded'\ninput = 'x'",
    );
    assert_eq!(numbers(target.ask(&questions()).unwrap()), expected());
    let seen = server.seen();
    assert_eq!(body(&seen[seen.len() - 1])["inputs"][0]["name"], "x");
    let server = Server::answering(|_| Reply::status(401, "who are you"));
    let text = format!("url = '{}'\nmodel = 'm'", server.url());
    let error = connect(&toml::from_str::<Endpoint>(&text).unwrap(), &classes())
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Target);
    assert_eq!(server.requests(), 1);
}

#[test]
fn v2_labels_are_labels() {
    let answer = json!({"outputs": [{"name": "predict", "datatype": "INT64", "shape": [2, 1], "data": [1, 0]}]});
    let server = v2(json!({}), None, move |_| Reply::json(answer.to_string()));
    let target = opened(&server, "model = 'm'\nform = 'encoded'");
    let answers = target.ask(&questions()).unwrap();
    assert_eq!(answers, Answers::Labels(vec!["yes".into(), "no".into()]));
}

#[test]
fn tf_serving_is_spoken() {
    for (answer, more) in [
        (json!({"predictions": [[0.25, 0.75], [1.0, 0.0]]}), ""),
        (
            json!({"predictions": [{"p": [0.25, 0.75]}, {"p": [1.0, 0.0]}]}),
            "",
        ),
        (
            json!({"predictions": [{"p": [0.25, 0.75], "id": [1]}, {"p": [1.0, 0.0], "id": [2]}]}),
            "",
        ),
        (
            json!({"predictions": [{"p": [0.25, 0.75], "q": [0, 1]}, {"p": [1.0, 0.0], "q": [0, 1]}]}),
            "output = 'p'",
        ),
    ] {
        let text = answer.to_string();
        let server = Server::answering(move |_| Reply::json(text.clone()));
        let settings = format!("protocol = 'tf-serving'\nmodel = 'm'\nmissing-text = ''\n{more}");
        let target = opened(&server, &settings);
        assert_eq!(
            numbers(target.ask(&questions()).unwrap()),
            expected(),
            "{answer}"
        );
        let seen = server.seen();
        assert_eq!(seen[0].path, "/v1/models/m:predict");
        assert_eq!(
            body(&seen[0]),
            json!({"instances": [{"age": 39, "job": "a"}, {"age": 50, "job": ""}]})
        );
    }
    let server = Server::answering(|_| Reply::json(r#"{"predictions": [[0.25, 0.75], [1, 0]]}"#));
    let target = opened(
        &server,
        "protocol = 'tf-serving'\nmodel = 'a b'\nversion = '2'\nform = 'encoded'",
    );
    target.ask(&questions()).unwrap();
    assert_eq!(server.seen()[0].path, "/v1/models/a%20b/versions/2:predict");
    assert_eq!(
        body(&server.seen()[0]),
        json!({"instances": [[0.1, 1.0], [0.5, 0.0]]})
    );
    let labels = Server::answering(|_| Reply::json(r#"{"predictions": ["yes", "no"]}"#));
    let target = opened(
        &labels,
        "protocol = 'tf-serving'\nmodel = 'm'\nform = 'encoded'",
    );
    assert_eq!(
        target.ask(&questions()).unwrap(),
        Answers::Labels(vec!["yes".into(), "no".into()])
    );
    let unclear = Server::answering(|_| {
        Reply::json(r#"{"predictions": [{"a": [1, 0], "b": [1, 0]}, {"a": [1, 0], "b": [1, 0]}]}"#)
    });
    let target = opened(
        &unclear,
        "protocol = 'tf-serving'\nmodel = 'm'\nform = 'encoded'",
    );
    let refusal = target.ask(&questions()).unwrap_err();
    assert!(
        refusal.error.to_string().contains("set output"),
        "{}",
        refusal.error
    );
}

#[test]
fn one_record_at_a_time_and_labels_in_json() {
    let server = Server::answering(|_| Reply::json(r#"{"result": {"no": 0.25, "yes": 0.75}}"#));
    let target = opened(
        &server,
        "protocol = 'json'\nrequest = { input = '{{record}}' }\nprobabilities = 'result'",
    );
    assert_eq!(target.batch_size(), 1);
    let one = questions().part(0..1);
    assert_eq!(numbers(target.ask(&one).unwrap()), array![[0.25, 0.75]]);
    assert_eq!(
        body(&server.seen()[0]),
        json!({"input": {"age": 39, "job": "a"}})
    );
    let server = Server::answering(|_| Reply::json(r#"[{"class": "yes"}, {"class": "no"}]"#));
    let target = opened(
        &server,
        "protocol = 'json'\nrequest = '{{rows}}'\nlabel = '[*].class'",
    );
    assert_eq!(
        target.ask(&questions()).unwrap(),
        Answers::Labels(vec!["yes".into(), "no".into()])
    );
}

/// What came, and what was told of the progress.
type Fetched = (Vec<u8>, Vec<(u64, Option<u64>)>);

fn fetch(url: &str, limit: u64) -> Result<Fetched, giveaway::Error> {
    let (mut out, mut told) = (Vec::new(), Vec::new());
    download(url, &mut out, limit, &mut |come, total| {
        told.push((come, total));
    })?;
    Ok((out, told))
}

#[test]
fn files_are_fetched_within_a_bound() {
    let server = Server::answering(|request| match request.path.as_str() {
        "/a/file" => Reply::Full(200, Vec::new(), vec![7; 1000]),
        "/a/there" => Reply::Full(302, vec![("Location", "file".into())], Vec::new()),
        "/away" => Reply::Full(
            302,
            vec![("Location", "http://elsewhere.test/x".into())],
            Vec::new(),
        ),
        "/round" => Reply::Full(302, vec![("Location", "/round".into())], Vec::new()),
        "/endless" => Reply::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), 1),
        "/cut" => Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc".to_vec()),
        _ => Reply::status(404, "none"),
    });
    let url = |path: &str| format!("{}{path}", server.url());
    for path in ["/a/file", "/a/there"] {
        let (bytes, told) = fetch(&url(path), 1000).unwrap();
        assert_eq!(bytes, [7; 1000]);
        assert_eq!(told[0], (0, Some(1000)));
        assert_eq!(told.last(), Some(&(1000, Some(1000))));
    }
    for (path, word) in [
        ("/a/file", "larger than 999 bytes"),
        ("/endless", "larger than 999 bytes"),
        ("/away", "only https is followed"),
        ("/round", "more than 10 redirects"),
        ("/cut", "broke off after 3 bytes"),
        ("/none", "404"),
    ] {
        let error = fetch(&url(path), 999).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
        assert!(error.to_string().contains(&server.url()), "{error}");
        assert_eq!(error.kind(), ErrorKind::Input);
    }
    let port = server.port();
    drop(server);
    std::thread::sleep(Duration::from_millis(100));
    for url in [
        format!("http://127.0.0.1:{port}/x"),
        "http://no-such-host.invalid/x".into(),
    ] {
        let error = fetch(&url, 9).unwrap_err();
        assert!(error.to_string().starts_with(&url), "{error}");
        assert_eq!(error.kind(), ErrorKind::Input);
    }
}
