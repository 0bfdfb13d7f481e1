//! Any endpoint that takes and gives JSON: a template of the request, and a path to the answer.

use std::borrow::Cow;

use giveaway::error::{Error, Result};
use giveaway::target::{Answers, Form, Questions, Refusal, Target};
use serde_json::Value;

use crate::cells::{Missing, write_cell, write_f32, write_json};
use crate::endpoint::{Endpoint, Inputs};
use crate::http::{Client, target};
use crate::rows::{self, Misread, NotJson, kind};
use crate::secrets::Secrets;
use crate::tf_serving::separate;
use crate::url::Address;

/// What stands for the inputs in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placeholder {
    /// All records, each a list of values.
    Rows,
    /// All records, each an object of column and value.
    Records,
    /// The one record, as a list.
    Row,
    /// The one record, as an object.
    Record,
}

impl Placeholder {
    fn read(text: &str) -> Option<Self> {
        let name = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
        Some(match name.trim() {
            "rows" => Self::Rows,
            "records" => Self::Records,
            "row" => Self::Row,
            "record" => Self::Record,
            _ => return None,
        })
    }
}

/// The body of a request, with one place for the inputs.
#[derive(Clone)]
pub(crate) struct Template {
    body: Value,
    inputs: Placeholder,
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The rest may hold what ${NAME} stands for.
        f.debug_struct("Template")
            .field("inputs", &self.inputs)
            .finish_non_exhaustive()
    }
}

impl Template {
    pub(crate) fn parse(request: &Value) -> Result<Self> {
        let body = match request {
            Value::String(text) => match Self::text_as_json(text) {
                Some(Ok(body)) => body,
                Some(Err(error)) => {
                    return Err(Error::usage(format!("this text is not JSON: {error}"))
                        .hint("a placeholder stands in quotes, as in {\"rows\": \"{{rows}}\"}"));
                }
                None => request.clone(),
            },
            table => table.clone(),
        };
        let mut found = Vec::new();
        placeholders(&body, &mut found)?;
        match found.as_slice() {
            [inputs] => Ok(Self {
                inputs: *inputs,
                body,
            }),
            [] => Err(Error::usage("no placeholder says where the inputs go").hint(
                "write {{rows}} or {{records}} for a batch, {{row}} or {{record}} for one record",
            )),
            _ => Err(Error::usage("more than one placeholder for the inputs")),
        }
    }

    /// A request that is given as text is JSON, but for a placeholder that stands alone.
    pub(crate) fn text_as_json(text: &str) -> Option<serde_json::Result<Value>> {
        Placeholder::read(text)
            .is_none()
            .then(|| serde_json::from_str(text))
    }

    /// Whether a request holds one record.
    pub(crate) fn is_single(&self) -> bool {
        matches!(self.inputs, Placeholder::Row | Placeholder::Record)
    }

    /// Puts the environment's values into its texts.
    fn expand(&mut self, secrets: &mut Secrets) -> Result<()> {
        expand(&mut self.body, secrets)
    }

    fn render(
        &self,
        questions: &Questions,
        form: Form,
        missing: &Missing,
    ) -> std::result::Result<Vec<u8>, Refusal> {
        let mut out = Vec::new();
        write_template(&mut out, &self.body, &mut |out| match (self.inputs, form) {
            (Placeholder::Rows, Form::Encoded) => write_all(out, questions.len(), |out, row| {
                write_features(out, questions, row, false)
            }),
            (Placeholder::Records, Form::Encoded) => write_all(out, questions.len(), |out, row| {
                write_features(out, questions, row, true)
            }),
            (Placeholder::Row, Form::Encoded) => write_features(out, questions, 0, false),
            (Placeholder::Record, Form::Encoded) => write_features(out, questions, 0, true),
            (Placeholder::Rows, Form::Raw) => write_columns(out, questions, missing, false, false),
            (Placeholder::Records, Form::Raw) => {
                write_columns(out, questions, missing, true, false)
            }
            (Placeholder::Row, Form::Raw) => write_columns(out, questions, missing, false, true),
            (Placeholder::Record, Form::Raw) => write_columns(out, questions, missing, true, true),
        })?;
        Ok(out)
    }
}

/// Writes a request; `inputs` writes what stands in the placeholder's place.
fn write_template(
    out: &mut Vec<u8>,
    value: &Value,
    inputs: &mut dyn FnMut(&mut Vec<u8>) -> std::result::Result<(), Refusal>,
) -> std::result::Result<(), Refusal> {
    match value {
        Value::String(text) if Placeholder::read(text).is_some() => inputs(out)?,
        Value::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                separate(out, at);
                write_template(out, item, inputs)?;
            }
            out.push(b']');
        }
        Value::Object(fields) => {
            out.push(b'{');
            for (at, (name, field)) in fields.iter().enumerate() {
                separate(out, at);
                write_json(out, name);
                out.push(b':');
                write_template(out, field, inputs)?;
            }
            out.push(b'}');
        }
        plain => write_json(out, plain),
    }
    Ok(())
}

fn placeholders(value: &Value, found: &mut Vec<Placeholder>) -> Result<()> {
    match value {
        Value::String(text) => match Placeholder::read(text) {
            Some(placeholder) => found.push(placeholder),
            None if text.contains("{{") => {
                return Err(Error::usage("a text holds {{ and is none of the placeholders")
                    .hint("a placeholder is a text of its own: {{rows}}, {{records}}, {{row}} or {{record}}"));
            }
            None => {}
        },
        Value::Array(items) => {
            for item in items {
                placeholders(item, found)?;
            }
        }
        Value::Object(fields) => {
            for field in fields.values() {
                placeholders(field, found)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn expand(value: &mut Value, secrets: &mut Secrets) -> Result<()> {
    match value {
        Value::String(text) => *text = secrets.expand(text, str::to_owned)?,
        Value::Array(items) => {
            for item in items {
                expand(item, secrets)?;
            }
        }
        Value::Object(fields) => {
            for (_, field) in fields.iter_mut() {
                expand(field, secrets)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn write_all(
    out: &mut Vec<u8>,
    rows: usize,
    mut one: impl FnMut(&mut Vec<u8>, usize) -> std::result::Result<(), Refusal>,
) -> std::result::Result<(), Refusal> {
    out.push(b'[');
    for row in 0..rows {
        separate(out, row);
        one(out, row)?;
    }
    out.push(b']');
    Ok(())
}

fn write_features(
    out: &mut Vec<u8>,
    questions: &Questions,
    row: usize,
    named: bool,
) -> std::result::Result<(), Refusal> {
    out.push(if named { b'{' } else { b'[' });
    let values = questions.features.row(row);
    for (at, (&value, name)) in values.iter().zip(&questions.feature_names).enumerate() {
        separate(out, at);
        if named {
            write_json(out, name);
            out.push(b':');
        }
        write_f32(out, value, name)?;
    }
    out.push(if named { b'}' } else { b']' });
    Ok(())
}

/// Writes the records as a list of objects, in their own types.
pub(crate) fn write_records(
    out: &mut Vec<u8>,
    questions: &Questions,
    missing: &Missing,
) -> std::result::Result<(), Refusal> {
    write_columns(out, questions, missing, true, false)
}

fn write_columns(
    out: &mut Vec<u8>,
    questions: &Questions,
    missing: &Missing,
    named: bool,
    single: bool,
) -> std::result::Result<(), Refusal> {
    let filled: Vec<_> = questions
        .columns
        .iter()
        .map(|column| (column.name.as_str(), missing.filled(column)))
        .collect();
    let one = |out: &mut Vec<u8>, row: usize| {
        out.push(if named { b'{' } else { b'[' });
        for (at, (name, values)) in filled.iter().enumerate() {
            separate(out, at);
            if named {
                write_json(out, name);
                out.push(b':');
            }
            write_cell(out, name, values, row, missing)?;
        }
        out.push(if named { b'}' } else { b']' });
        Ok(())
    };
    if single {
        one(out, 0)
    } else {
        write_all(out, questions.len(), one)
    }
}

/// The way to a value in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    written: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// A field of an object, or by its number an item of a list.
    Name(String),
    /// Every item of a list.
    Each,
}

impl Path {
    /// `predictions[*].probabilities`, or a JSON Pointer (RFC 6901) in which `*` is every item:
    /// `/predictions/*/probabilities`. Nothing is the whole answer.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let bad = |what: &str| {
            Error::usage(format!("not a path to a value: {what}"))
                .hint("write predictions[*].probabilities, or /predictions/*/probabilities")
        };
        let mut steps = Vec::new();
        if let Some(pointer) = text.strip_prefix('/') {
            for part in pointer.split('/') {
                steps.push(if part == "*" {
                    Step::Each
                } else {
                    Step::Name(part.replace("~1", "/").replace("~0", "~"))
                });
            }
        } else {
            let text = text.trim();
            let mut rest = text.strip_prefix('$').unwrap_or(text);
            let mut first = true;
            while !rest.is_empty() {
                if let Some(inner) = rest.strip_prefix('[') {
                    let end = inner.find(']').ok_or_else(|| bad("[ has no end"))?;
                    let index = &inner[..end];
                    steps.push(if index == "*" {
                        Step::Each
                    } else if !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()) {
                        Step::Name(index.to_owned())
                    } else {
                        return Err(bad("in [] stands a number or *"));
                    });
                    rest = &inner[end + 1..];
                } else {
                    let name = match rest.strip_prefix('.') {
                        Some(name) => name,
                        None if first => rest,
                        None => return Err(bad("a name follows a dot")),
                    };
                    let end = name.find(['.', '[']).unwrap_or(name.len());
                    if end == 0 || name[..end].contains(']') {
                        return Err(bad("a name is missing"));
                    }
                    steps.push(Step::Name(name[..end].to_owned()));
                    rest = &name[end..];
                }
                first = false;
            }
        }
        Ok(Self {
            written: text.to_owned(),
            steps,
        })
    }

    /// What stands there.
    fn find<'a>(&self, answer: &'a Value) -> std::result::Result<Cow<'a, Value>, String> {
        follow(answer, &self.steps).map_err(|what| format!("{}: {what}", self.written))
    }
}

fn follow<'a>(value: &'a Value, steps: &[Step]) -> std::result::Result<Cow<'a, Value>, String> {
    let Some((step, rest)) = steps.split_first() else {
        return Ok(Cow::Borrowed(value));
    };
    match (step, value) {
        (Step::Each, Value::Array(items)) => {
            if rest.is_empty() {
                return Ok(Cow::Borrowed(value));
            }
            let found = items
                .iter()
                .map(|item| follow(item, rest).map(Cow::into_owned))
                .collect::<std::result::Result<_, _>>()?;
            Ok(Cow::Owned(Value::Array(found)))
        }
        (Step::Each, other) => Err(format!("[*] wants a list, and there is {}", kind(other))),
        (Step::Name(name), Value::Object(fields)) => match fields.get(name) {
            Some(field) => follow(field, rest),
            None => Err(format!("the answer has no {name:?} there")),
        },
        (Step::Name(name), Value::Array(items)) => {
            match name.parse::<usize>().ok().and_then(|at| items.get(at)) {
                Some(item) => follow(item, rest),
                None => Err(format!(
                    "there is a list of {}, and {name:?} is none of its items",
                    items.len()
                )),
            }
        }
        (Step::Name(name), other) => {
            Err(format!("no {name:?} there, for there is {}", kind(other)))
        }
    }
}

/// The answers to so many questions, one by one. Where only one was asked (`single`), the
/// answer may stand there without a list around it.
pub(crate) fn rows_of(
    found: &Value,
    questions: usize,
    single: bool,
) -> std::result::Result<Vec<&Value>, String> {
    let rows: Vec<&Value> = match found {
        Value::Array(items) => {
            let around = !single
                || matches!(items.as_slice(), [one] if !one.is_number() && rows::number(one).is_err());
            if around {
                items.iter().collect()
            } else {
                vec![found]
            }
        }
        one if single => vec![one],
        other => return Err(format!("{} in place of a list of answers", kind(other))),
    };
    if rows.len() != questions {
        return Err(format!("{} answers to {questions} questions", rows.len()));
    }
    Ok(rows)
}

/// Why an answer could not be read.
pub(crate) enum Unread {
    /// It ends in the middle: asking again may help.
    CutShort(usize),
    Wrong(String),
    /// It means something else than was thought.
    Misread(Misread),
}

impl From<Misread> for Unread {
    fn from(misread: Misread) -> Self {
        Self::Misread(misread)
    }
}

impl From<String> for Unread {
    fn from(what: String) -> Self {
        Self::Wrong(what)
    }
}

impl From<&str> for Unread {
    fn from(what: &str) -> Self {
        Self::Wrong(what.to_owned())
    }
}

impl From<NotJson> for Unread {
    fn from(what: NotJson) -> Self {
        match what {
            NotJson::CutShort(bytes) => Self::CutShort(bytes),
            NotJson::Else(what) => Self::Wrong(what),
        }
    }
}

impl Unread {
    /// As a refusal; what the answer says is quoted without secrets.
    pub(crate) fn refusal(self, client: &Client, address: &Address, body: &[u8]) -> Refusal {
        let Misread { what, hint } = match self {
            Self::CutShort(bytes) => {
                return Refusal::passing(target(
                    format!("the answer ends in the middle, after {bytes} bytes"),
                    address,
                ));
            }
            Self::Wrong(what) => what.into(),
            Self::Misread(misread) => misread,
        };
        let begins = format!(
            "the answer begins: {}",
            client.excerpt(&body[..body.len().min(16 << 10)])
        );
        let hint = match hint {
            Some(hint) => format!("{hint}; {begins}"),
            None => begins,
        };
        Refusal::lasting(target(client.secrets().mask(&what), address).hint(hint))
    }
}

/// Sends JSON and has the answer read.
pub(crate) fn ask(
    client: &Client,
    address: &Address,
    body: &[u8],
    limit: u64,
    read: impl FnOnce(&[u8]) -> std::result::Result<Answers, Unread>,
) -> std::result::Result<Answers, Refusal> {
    let content = [("content-type", "application/json".to_owned())];
    let reply = client.post(address, &content, body, limit)?;
    read(&reply.body).map_err(|unread| unread.refusal(client, address, &reply.body))
}

/// An endpoint described by a template and a path.
#[derive(Debug)]
pub(crate) struct Json {
    client: Client,
    address: Address,
    endpoint: Endpoint,
    template: Template,
    path: Path,
    classes: Vec<String>,
}

impl Json {
    pub(crate) fn open(endpoint: &Endpoint, classes: &[String]) -> Result<Self> {
        let mut secrets = Secrets::default();
        let address = Address::new(&endpoint.url, "", &mut secrets)?;
        let mut template = endpoint.template()?;
        template
            .expand(&mut secrets)
            .map_err(|error| error.at("request"))?;
        let path = endpoint.probabilities.as_ref().or(endpoint.label.as_ref());
        Ok(Self {
            client: Client::open(endpoint, &[&address], secrets)?,
            address,
            endpoint: endpoint.clone(),
            template,
            path: Path::parse(path.map_or("", String::as_str))?,
            classes: classes.to_vec(),
        })
    }

    fn answers(&self, body: &[u8], questions: usize) -> std::result::Result<Answers, Unread> {
        let answer: Value = rows::parse(body)?;
        let found = self.path.find(&answer)?;
        let rows = rows_of(&found, questions, self.template.is_single())?;
        Ok(if self.endpoint.probabilities.is_some() {
            rows::numbers(&rows, &self.classes)?
        } else {
            rows::labels(&rows, &self.classes)?
        })
    }
}

impl Target for Json {
    fn name(&self) -> String {
        format!("{} (protocol json)", self.address.shown())
    }

    fn form(&self) -> Form {
        match self.endpoint.form {
            Some(Inputs::Encoded) => Form::Encoded,
            Some(Inputs::Raw) | None => Form::Raw,
        }
    }

    fn batch_size(&self) -> usize {
        if self.template.is_single() {
            1
        } else {
            self.endpoint.batch()
        }
    }

    fn concurrency(&self) -> usize {
        self.endpoint.concurrency
    }

    fn ask(&self, questions: &Questions) -> std::result::Result<Answers, Refusal> {
        let missing = Missing::of(&self.endpoint, true);
        let body = self.template.render(questions, self.form(), &missing)?;
        json_ask(self, &body, questions.len())
    }
}

fn json_ask(this: &Json, body: &[u8], questions: usize) -> std::result::Result<Answers, Refusal> {
    ask(
        &this.client,
        &this.address,
        body,
        this.endpoint.answer_limit(this.classes.len()),
        |body| this.answers(body, questions),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use giveaway::target::{QuestionColumn, QuestionValues};
    use ndarray::array;
    use serde_json::json;

    fn questions() -> Questions {
        Questions {
            features: array![[0.1, 1.0], [0.5, 0.0]],
            feature_names: vec!["f".into(), "g".into()],
            columns: vec![
                QuestionColumn {
                    name: "age".into(),
                    values: QuestionValues::Whole(vec![Some(39), None]),
                },
                QuestionColumn {
                    name: "job".into(),
                    values: QuestionValues::Texts(vec![Some("a".into()), None]),
                },
            ],
        }
    }

    fn rendered(request: &Value, form: Form) -> Value {
        let missing = Missing {
            text: None,
            number: None,
            null: true,
        };
        let body = Template::parse(request)
            .unwrap()
            .render(&questions(), form, &missing)
            .map_err(|refusal| refusal.error)
            .unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    #[test]
    fn templates_are_filled() {
        for (request, raw, encoded) in [
            (
                json!({"a": [{"b": "{{rows}}"}], "n": 1.5}),
                json!({"a": [{"b": [[39, "a"], [null, null]]}], "n": 1.5}),
                json!({"a": [{"b": [[0.1, 1.0], [0.5, 0.0]]}], "n": 1.5}),
            ),
            (
                json!("{\"x\": \"{{ records }}\", \"y\": null}"),
                json!({"x": [{"age": 39, "job": "a"}, {"age": null, "job": null}], "y": null}),
                json!({"x": [{"f": 0.1, "g": 1.0}, {"f": 0.5, "g": 0.0}], "y": null}),
            ),
            (
                json!("{{record}}"),
                json!({"age": 39, "job": "a"}),
                json!({"f": 0.1, "g": 1.0}),
            ),
            (json!(["{{row}}"]), json!([[39, "a"]]), json!([[0.1, 1.0]])),
        ] {
            assert_eq!(rendered(&request, Form::Raw), raw, "{request}");
            assert_eq!(rendered(&request, Form::Encoded), encoded, "{request}");
        }
    }

    #[test]
    fn senseless_templates_are_refused() {
        for (request, word) in [
            (json!({"a": 1}), "no placeholder"),
            (json!(["{{rows}}", "{{records}}"]), "more than one"),
            (json!({"a": "x {{rows}}"}), "none of the placeholders"),
            (json!({"a": "{{lines}}"}), "none of the placeholders"),
            (json!("{\"a\": {{rows}}}"), "not JSON"),
        ] {
            let error = Template::parse(&request).unwrap_err();
            assert!(error.to_string().contains(word), "{request}: {error}");
        }
    }

    #[test]
    fn paths_lead_to_values() {
        let answer = json!({
            "p": [{"q": [0.1, 0.9], "s": [{"v": 1}, {"v": 2}]}, {"q": [0.2, 0.8], "s": [{"v": 3}]}],
            "a/b": {"c.d": 7}
        });
        for (path, value) in [
            ("", answer.clone()),
            ("$", answer.clone()),
            ("p[*].q", json!([[0.1, 0.9], [0.2, 0.8]])),
            ("$.p[*].q[1]", json!([0.9, 0.8])),
            ("/p/*/q", json!([[0.1, 0.9], [0.2, 0.8]])),
            ("p[*].s[*].v", json!([[1, 2], [3]])),
            ("p[1].q", json!([0.2, 0.8])),
            ("p.1.q", json!([0.2, 0.8])),
            ("/a~1b/c.d", json!(7)),
            ("p[*]", answer["p"].clone()),
        ] {
            let found = Path::parse(path)
                .unwrap()
                .find(&answer)
                .unwrap()
                .into_owned();
            assert_eq!(found, value, "{path}");
        }
        for (path, word) in [
            ("x", "no \"x\""),
            ("p[2]", "a list of 2"),
            ("p.q", "a list of 2"),
            ("p[0].q[0].z", "a number"),
            ("a.b", "no \"a\""),
            ("/a~1b/*", "wants a list"),
        ] {
            let error = Path::parse(path).unwrap().find(&answer).unwrap_err();
            assert!(error.contains(word), "{path}: {error}");
        }
        for path in ["a..b", "a[", "a[x]", "a[1]b", ".[0]", "[]", "a]b"] {
            assert!(Path::parse(path).is_err(), "{path}");
        }
    }

    #[test]
    fn one_answer_may_stand_alone_where_one_was_asked() {
        let many = |value: Value, n, single| rows_of(&value, n, single).map(|rows| rows.len());
        assert_eq!(many(json!([0.1, 0.9]), 1, true), Ok(1));
        assert_eq!(many(json!([[0.1, 0.9]]), 1, true), Ok(1));
        assert_eq!(many(json!({"a": 1}), 1, true), Ok(1));
        assert_eq!(many(json!(["no"]), 1, true), Ok(1));
        assert_eq!(many(json!([0.1, 0.9]), 2, false), Ok(2));
        assert!(
            many(json!([0.1, 0.9]), 1, false)
                .unwrap_err()
                .contains("2 answers to 1")
        );
        assert!(many(json!({"a": 1}), 1, false).is_err());
    }
}
