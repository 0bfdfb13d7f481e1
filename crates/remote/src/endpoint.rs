//! The settings of an endpoint, as `[target]` in a configuration has them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use giveaway::error::{Error, Result};
use giveaway::target::asking::MOST_AT_ONCE;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::json::{Path, Template};
use crate::secrets::{looks_secret, needs_variable};
use crate::url;

/// What is spoken with an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// Version 2 of the Open Inference Protocol: `KServe`, Triton, `MLServer`.
    #[default]
    V2,
    /// The REST predict of TensorFlow Serving.
    TfServing,
    /// Any JSON: `request` is the body, `probabilities` or `label` says where the answer is.
    Json,
}

/// In which form an endpoint takes its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Inputs {
    /// The columns of the data file, each in its own type.
    Raw,
    /// The numbers that the reference models see.
    Encoded,
}

/// Whether tensors go over the wire as bytes (protocol v2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Binary {
    /// If the server says that it can (`binary_tensor_data` among its extensions).
    #[default]
    Auto,
    /// Yes.
    Always,
    /// No: JSON.
    Never,
}

/// A model behind HTTP.
///
/// Values of `headers`, the `url` and texts in `request` may hold `${NAME}`: a variable of the
/// environment, put in when a request is sent. The settings themselves keep what is written.
/// `Debug` leaves out what could be a secret.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Endpoint {
    /// Address of the server, or for protocol `json` of the endpoint: http or https.
    pub url: String,
    /// What is spoken with it.
    pub protocol: Protocol,
    /// Name of the model (protocols v2 and tf-serving).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Version of the model; without it, the server's choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The form of its inputs. Without it: raw, or encoded where a v2 model declares a single
    /// numeric tensor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<Inputs>,
    /// Records in one request, at most; without it 100, or 1 where the request holds one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<usize>,
    /// Requests at the same time.
    pub concurrency: usize,
    /// Seconds to wait for an answer, from opening the connection to its last byte.
    pub timeout: f64,
    /// The variable of the environment that holds a bearer token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_env: Option<String>,
    /// The file that holds a bearer token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Send secrets over plain http to another machine.
    pub plain_token: bool,
    /// A PEM file of the authorities to trust, in place of the public ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Bytes of an answer that are read, at most; without it, as many as the classes of a
    /// batch can need, and 64 MiB at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_answer_bytes: Option<u64>,
    /// Whether tensors go as bytes (protocol v2).
    pub binary: Binary,
    /// Name of the input tensor, where the inputs are one (protocol v2), or its key in each
    /// instance (protocol tf-serving).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Name of the output with the probabilities; without it, the one that fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// What is sent for a missing text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_text: Option<String>,
    /// What is sent for a missing number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_number: Option<f64>,
    /// Where the answer has the probabilities (protocol json).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probabilities: Option<String>,
    /// Where the answer has the label, if it has no more than that (protocol json).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Headers of every request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body of a request (protocol json): a table, or JSON as text, in which one of
    /// `{{rows}}`, `{{records}}`, `{{row}}`, `{{record}}` stands for the inputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<serde_json::Value>,
}

impl Default for Endpoint {
    fn default() -> Self {
        Self {
            url: String::new(),
            protocol: Protocol::default(),
            model: None,
            version: None,
            form: None,
            batch_size: None,
            // A service that others use as well is asked one thing at a time.
            concurrency: 1,
            timeout: 30.0,
            token_env: None,
            token_file: None,
            plain_token: false,
            ca_file: None,
            max_answer_bytes: None,
            binary: Binary::default(),
            input: None,
            output: None,
            missing_text: None,
            missing_number: None,
            probabilities: None,
            label: None,
            headers: BTreeMap::new(),
            request: None,
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&String> = self.headers.keys().collect();
        f.debug_struct("Endpoint")
            .field("url", &url::shown(&self.url))
            .field("protocol", &self.protocol)
            .field("model", &self.model)
            .field("version", &self.version)
            .field("form", &self.form)
            .field("batch_size", &self.batch_size)
            .field("concurrency", &self.concurrency)
            .field("timeout", &self.timeout)
            .field("token_env", &self.token_env)
            .field("token_file", &self.token_file)
            .field("headers", &headers)
            .finish_non_exhaustive()
    }
}

/// Records in one request unless the settings say otherwise.
const BATCH: usize = 100;
/// No more of an answer is read than this unless the settings say otherwise.
const LARGEST_ANSWER: u64 = 64 << 20;
/// Headers that are ours to write.
const OURS: [&str; 7] = [
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "accept-encoding",
    "inference-header-content-length",
];

impl Endpoint {
    /// Whether the settings make sense by themselves; nothing is read or sent.
    ///
    /// To be called before the settings are written anywhere: it refuses what would put a
    /// secret into them.
    ///
    /// # Errors
    /// What does not, with the setting's name. Secrets written out are refused, with the advice
    /// to write `${NAME}`; the message does not repeat them.
    pub fn check(&self) -> Result<()> {
        url::check(&self.url).map_err(|error| error.at("url"))?;
        self.check_numbers()?;
        self.check_secrets()?;
        match self.protocol {
            Protocol::V2 | Protocol::TfServing => {
                if self.model.as_deref().unwrap_or_default().is_empty() {
                    return Err(Error::usage("no model is named")
                        .at("model")
                        .hint("give the name under which the server knows the model"));
                }
                for (path, what) in [("/infer", "v2"), (":predict", "tf-serving")] {
                    if url::path(&self.url).ends_with(path) {
                        return Err(Error::usage(format!(
                            "the address of the server ends before what protocol {what} adds to it"
                        ))
                        .at("url")
                        .hint("write http://host:port and name the model in model"));
                    }
                }
                for (set, name) in [
                    (self.request.is_some(), "request"),
                    (self.probabilities.is_some(), "probabilities"),
                    (self.label.is_some(), "label"),
                ] {
                    if set {
                        return Err(only_for(name, "json"));
                    }
                }
            }
            Protocol::Json => {
                for (set, name) in [
                    (self.model.is_some(), "model"),
                    (self.version.is_some(), "version"),
                    (self.input.is_some(), "input"),
                    (self.output.is_some(), "output"),
                ] {
                    if set {
                        return Err(only_for(name, "v2 or tf-serving")
                            .hint("write the whole address in url"));
                    }
                }
                self.template()?;
                match (&self.probabilities, &self.label) {
                    (None, None) => {
                        return Err(Error::usage(
                            "neither probabilities nor label says where the answer is",
                        )
                        .at("probabilities")
                        .hint("for example probabilities = \"predictions[*].probabilities\""));
                    }
                    (Some(_), Some(_)) => {
                        return Err(Error::usage("probabilities and label are both set")
                            .at("label")
                            .hint("give the one that says more: probabilities"));
                    }
                    (Some(path), None) => {
                        Path::parse(path).map_err(|error| error.at("probabilities"))?;
                    }
                    (None, Some(path)) => {
                        Path::parse(path).map_err(|error| error.at("label"))?;
                    }
                }
            }
        }
        if self.protocol != Protocol::V2 && self.binary != Binary::Auto {
            return Err(only_for("binary", "v2"));
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<()> {
        for (bad, name) in [
            (self.batch_size == Some(0), "batch-size"),
            (self.concurrency == 0, "concurrency"),
            (self.max_answer_bytes == Some(0), "max-answer-bytes"),
        ] {
            if bad {
                return Err(Error::usage("0 makes no sense")
                    .at(name)
                    .hint("give 1 or more"));
            }
        }
        if self.concurrency > MOST_AT_ONCE {
            return Err(Error::usage(format!(
                "{} requests at the same time are more than the {MOST_AT_ONCE} that are possible",
                self.concurrency
            ))
            .at("concurrency")
            .hint(format!("give {MOST_AT_ONCE} or less")));
        }
        if !(self.timeout > 0.0 && self.timeout <= 86400.0) {
            return Err(Error::usage(format!("{} is no time to wait", self.timeout))
                .at("timeout")
                .hint("give seconds, more than 0 and no more than a day"));
        }
        if self
            .missing_number
            .is_some_and(|number| !number.is_finite())
        {
            return Err(Error::usage("not a number that JSON can hold").at("missing-number"));
        }
        Ok(())
    }

    fn check_secrets(&self) -> Result<()> {
        if self.token_env.is_some() && self.token_file.is_some() {
            return Err(Error::usage("token-env and token-file are both set")
                .at("token-file")
                .hint("give one of them"));
        }
        for (name, value) in &self.headers {
            let lower = name.to_ascii_lowercase();
            let place = format!("headers.{name}");
            if OURS.contains(&lower.as_str()) {
                return Err(Error::usage("this header is giveaway's to write").at(place));
            }
            if lower == "authorization" && (self.token_env.is_some() || self.token_file.is_some()) {
                return Err(
                    Error::usage("a token is set as well, and goes into the same header").at(place),
                );
            }
            let secret = matches!(
                lower.as_str(),
                "authorization" | "proxy-authorization" | "cookie"
            ) || looks_secret(name);
            if secret && !value.contains("${") && !value.is_empty() {
                return Err(needs_variable(&place));
            }
        }
        if let Some(request) = &self.request {
            no_secrets_in(request, "request")?;
        }
        Ok(())
    }

    /// The request body of protocol `json`, understood.
    pub(crate) fn template(&self) -> Result<Template> {
        let request = self.request.as_ref().ok_or_else(|| {
            Error::usage("no request body is described")
                .at("request")
                .hint("for example request = { instances = \"{{records}}\" }")
        })?;
        let template = Template::parse(request).map_err(|error| error.at("request"))?;
        if template.is_single() && self.batch_size.is_some_and(|size| size > 1) {
            return Err(
                Error::usage("the request holds one record, and a batch holds more")
                    .at("batch-size")
                    .hint("leave it out, or write {{rows}} or {{records}} in the request"),
            );
        }
        Ok(template)
    }

    /// Records in one request.
    pub(crate) fn batch(&self) -> usize {
        self.batch_size.unwrap_or(BATCH)
    }

    /// Bytes of an answer that are read, for so many classes.
    pub(crate) fn answer_limit(&self, classes: usize) -> u64 {
        // A probability takes some 25 bytes with its comma, a class name and indentation some
        // more; explanations and the like that come along have the first mebibyte.
        self.max_answer_bytes.unwrap_or_else(|| {
            let numbers = (self.batch() as u64).saturating_mul(classes as u64);
            (1 << 20) + numbers.saturating_mul(256).min(LARGEST_ANSWER - (1 << 20))
        })
    }

    pub(crate) fn wait(&self) -> Duration {
        Duration::from_secs_f64(self.timeout)
    }
}

fn only_for(name: &str, protocol: &str) -> Error {
    Error::usage(format!("this setting is for protocol {protocol}"))
        .at(name)
        .hint("leave it out, or set protocol")
}

/// Refuses texts in a request body whose names say that they are secrets.
fn no_secrets_in(value: &serde_json::Value, place: &str) -> Result<()> {
    use serde_json::Value;
    match value {
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
            let place = format!("{place}.{name}");
            match value {
                Value::String(text)
                    if looks_secret(name) && !text.contains("${") && !text.contains("{{") =>
                {
                    Err(needs_variable(&place))
                }
                _ => no_secrets_in(value, &place),
            }
        }),
        Value::Array(values) => values
            .iter()
            .try_for_each(|value| no_secrets_in(value, place)),
        Value::String(text) => match Template::text_as_json(text) {
            Some(Ok(inner)) => no_secrets_in(&inner, place),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Endpoint {
        toml::from_str(text).unwrap()
    }

    const V2: &str = "url = 'http://localhost:8080'\nmodel = 'adult'\n";

    #[test]
    fn settings_survive_being_written() {
        let endpoint = read(
            "url = 'https://h/p'\nprotocol = 'json'\nbatch-size = 7\nbinary = 'auto'\n\
             request = { parameters = { explain = false }, rows = '{{rows}}' }\n\
             probabilities = '[*]'\nform = 'encoded'\n[headers]\nX-Team = 'privacy'\n",
        );
        endpoint.check().unwrap();
        let text = toml::to_string(&endpoint).unwrap();
        assert_eq!(read(&text), endpoint, "{text}");
    }

    #[test]
    fn unknown_settings_are_refused() {
        let error = toml::from_str::<Endpoint>("urll = 'x'").unwrap_err();
        assert!(error.to_string().contains("urll"), "{error}");
    }

    #[test]
    fn every_senseless_setting_is_named() {
        for (more, place) in [
            ("batch-size = 0", "batch-size"),
            ("concurrency = 0", "concurrency"),
            ("concurrency = 1025", "concurrency"),
            ("timeout = 0", "timeout"),
            ("timeout = nan", "timeout"),
            ("max-answer-bytes = 0", "max-answer-bytes"),
            ("missing-number = inf", "missing-number"),
            ("token-env = 'A'\ntoken-file = 'b'", "token-file"),
            ("label = 'x'", "label"),
            ("request = '{{rows}}'", "request"),
            ("headers = { Host = 'x' }", "headers.Host"),
            ("protocol = 'tf-serving'\nbinary = 'always'", "binary"),
            ("protocol = 'json'", "model"),
        ] {
            let error = read(&format!("{V2}{more}\n")).check().unwrap_err();
            assert!(error.to_string().starts_with(place), "{more}: {error}");
            assert_eq!(error.kind(), giveaway::error::ErrorKind::Usage);
        }
        let json = "url = 'http://h'\nprotocol = 'json'\n";
        for (more, place) in [
            ("", "request"),
            ("request = { a = 1 }", "request"),
            ("request = '{{rows}}'", "probabilities"),
            (
                "request = '{{rows}}'\nprobabilities='a'\nlabel='b'",
                "label",
            ),
            (
                "request = '{{rows}}'\nprobabilities='a[x]'",
                "probabilities",
            ),
            (
                "request = '{{row}}'\nprobabilities=''\nbatch-size=2",
                "batch-size",
            ),
        ] {
            let error = read(&format!("{json}{more}\n")).check().unwrap_err();
            assert!(error.to_string().starts_with(place), "{more}: {error}");
        }
        for url in ["http://h/v2/models/m/infer", "http://h/v1/models/m:predict"] {
            let error = read(&format!("url = '{url}'\nmodel = 'm'"))
                .check()
                .unwrap_err();
            assert!(error.to_string().starts_with("url"), "{error}");
        }
    }

    #[test]
    fn secrets_written_out_are_refused_and_not_repeated() {
        let json = "url = 'http://h'\nprotocol = 'json'\nprobabilities = 'p'\n";
        for text in [
            format!("{V2}headers = {{ Authorization = 'hunter2' }}"),
            format!("{V2}headers = {{ X-Api-Key = 'hunter2' }}"),
            format!("{V2}headers = {{ Cookie = 'hunter2' }}"),
            format!("{json}request = {{ api_key = 'hunter2', x = '{{{{rows}}}}' }}"),
            format!("{json}request = '{{\"accessToken\": \"hunter2\", \"x\": \"{{{{rows}}}}\"}}'"),
            "url = 'http://me:hunter2@h'\nmodel = 'm'".into(),
            "url = 'http://h?key=hunter2'\nmodel = 'm'".into(),
            "url = 'http://h?sig=hunter2&a=b'\nmodel = 'm'".into(),
        ] {
            let endpoint = read(&text);
            let error = endpoint.check().unwrap_err();
            let words = format!("{error} {:?} {endpoint:?}", error.hint_text());
            assert!(!words.contains("hunter2"), "{words}");
            assert!(words.contains("${NAME}"), "{words}");
        }
        let fine = read(&format!(
            "{V2}headers = {{ Authorization = 'Basic ${{BASIC}}' }}"
        ));
        fine.check().unwrap();
    }

    #[test]
    fn an_answer_is_bounded_by_its_classes() {
        let mut endpoint = read(V2);
        assert_eq!(endpoint.answer_limit(2), (1 << 20) + 100 * 2 * 256);
        endpoint.batch_size = Some(usize::MAX);
        assert_eq!(endpoint.answer_limit(1000), 64 << 20);
        endpoint.max_answer_bytes = Some(5);
        assert_eq!(endpoint.answer_limit(1000), 5);
    }

    #[test]
    fn the_schema_names_every_setting() {
        let schema = serde_json::to_string(&schemars::schema_for!(Endpoint)).unwrap();
        for name in [
            "batch-size",
            "token-env",
            "tf-serving",
            "max-answer-bytes",
            "plain-token",
        ] {
            assert!(schema.contains(name), "{name}");
        }
    }
}
