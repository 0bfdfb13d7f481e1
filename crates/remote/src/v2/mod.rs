//! Version 2 of the Open Inference Protocol: `POST /v2/models/NAME[/versions/V]/infer`, in JSON
//! or with the binary tensor extension.
//!
//! <https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol> and
//! <https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md>

mod answer;
mod tensor;

use std::thread::sleep;
use std::time::Duration;

use giveaway::error::{Error, Result};
use giveaway::target::{Answers, Form, Questions, Refusal, Target};
use serde::Deserialize;
use serde_json::Value;

use crate::cells::{Missing, unsendable, write_json};
use crate::endpoint::{Binary, Endpoint, Inputs};
use crate::http::{Client, Reply};
use crate::json::Unread;
use crate::rows;
use crate::secrets::Secrets;
use crate::tf_serving::separate;
use crate::url::{Address, percent_encoded};

use tensor::{Datatype, Tensor};

/// Where the sizes of the JSON part and of the tensors meet.
const HEADER_LENGTH: &str = "inference-header-content-length";
/// Bytes of metadata that are read, at most.
const METADATA: u64 = 4 << 20;
/// Waits before asking for metadata again, while a server starts.
const PATIENCE: [Duration; 3] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
];

/// What a server says of itself (`GET v2`).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ServerMetadata {
    name: String,
    extensions: Vec<String>,
}

/// What a server says of a model (`GET v2/models/NAME`).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ModelMetadata {
    inputs: Vec<Declared>,
    outputs: Vec<Declared>,
}

/// A tensor that a model takes or gives.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Declared {
    pub(crate) name: String,
    pub(crate) datatype: String,
    /// Sizes; what is not a positive number is free.
    shape: Vec<Value>,
}

impl Declared {
    fn size(&self, axis: usize) -> Option<usize> {
        let size = self.shape.get(axis)?;
        let size = size.as_i64().or_else(|| size.as_str()?.parse().ok())?;
        usize::try_from(size).ok().filter(|&size| size > 0)
    }

    fn last_size(&self) -> Option<usize> {
        self.size(self.shape.len().checked_sub(1)?)
    }

    fn is_float(&self) -> bool {
        matches!(self.datatype.as_str(), "FP16" | "BF16" | "FP32" | "FP64")
    }
}

/// A model of protocol v2.
#[derive(Debug)]
pub(crate) struct V2 {
    client: Client,
    address: Address,
    endpoint: Endpoint,
    classes: Vec<String>,
    /// The inputs that the model declares; none if it does not say.
    inputs: Vec<Declared>,
    form: Form,
    binary: bool,
    /// Whether columns are announced as a data frame, as `MLServer` and `KServe` know it.
    pandas: bool,
    /// The output to ask for.
    output: Option<String>,
}

impl V2 {
    pub(crate) fn open(endpoint: &Endpoint, classes: &[String]) -> Result<Self> {
        let mut secrets = Secrets::default();
        let mut model = format!(
            "/v2/models/{}",
            percent_encoded(endpoint.model.as_deref().unwrap_or_default())
        );
        if let Some(version) = &endpoint.version {
            model.push_str("/versions/");
            model.push_str(&percent_encoded(version));
        }
        // A user who wrote …/v2 meant the same.
        let endpoint_url = without_v2(&endpoint.url);
        let mut address = |tail: &str| Address::new(&endpoint_url, tail, &mut secrets);
        let infer = address(&format!("{model}/infer"))?;
        let about_model = address(&model)?;
        let about_server = address("/v2")?;
        let client = Client::open(endpoint, &[&infer], secrets)?;
        let server: ServerMetadata = metadata(&client, &about_server)?;
        let declared: ModelMetadata = metadata(&client, &about_model)?;
        let form = match endpoint.form {
            Some(Inputs::Raw) => Form::Raw,
            Some(Inputs::Encoded) => Form::Encoded,
            None => match declared.inputs.as_slice() {
                [one] if one.is_float() && one.shape.len() >= 2 && one.last_size() != Some(1) => {
                    Form::Encoded
                }
                _ => Form::Raw,
            },
        };
        let half = declared
            .inputs
            .iter()
            .any(|input| matches!(input.datatype.as_str(), "FP16" | "BF16"));
        let binary = match endpoint.binary {
            Binary::Never => false,
            Binary::Auto => {
                !half
                    && server
                        .extensions
                        .iter()
                        .any(|e| e.starts_with("binary_tensor_data"))
            }
            Binary::Always if half => {
                return Err(Error::usage(
                    "the model takes numbers of 16 bits, which go as JSON only",
                )
                .at("binary")
                .hint("leave it out"));
            }
            Binary::Always => true,
        };
        let is_mlserver = server.name.eq_ignore_ascii_case("mlserver");
        let output = endpoint
            .output
            .clone()
            .or_else(|| best_output(&declared.outputs, classes.len()))
            // MLServer gives labels unless it is asked for more, and declares no outputs.
            .or_else(|| is_mlserver.then(|| "predict_proba".to_owned()));
        Ok(Self {
            client,
            address: infer,
            endpoint: endpoint.clone(),
            classes: classes.to_vec(),
            pandas: is_mlserver || declared.inputs.is_empty(),
            inputs: declared.inputs,
            form,
            binary,
            output,
        })
    }

    fn tensors(&self, questions: &Questions) -> std::result::Result<Vec<Tensor>, Refusal> {
        // Servers that know of data frames take null for a missing value; the protocol has none.
        let missing = Missing::of(&self.endpoint, self.pandas);
        let columns_by_name = self.form == Form::Raw
            && (self.inputs.len() != 1
                || questions
                    .columns
                    .iter()
                    .any(|column| column.name == self.inputs[0].name));
        if columns_by_name {
            if self.inputs.is_empty() {
                return questions
                    .columns
                    .iter()
                    .map(|column| Tensor::of_column(column, None, &missing))
                    .collect();
            }
            return self
                .inputs
                .iter()
                .map(|input| {
                    let column = questions
                        .columns
                        .iter()
                        .find(|column| column.name == input.name)
                        .ok_or_else(|| {
                            let names: Vec<&str> =
                                questions.columns.iter().take(30).map(|c| c.name.as_str()).collect();
                            unsendable(
                                Error::usage(format!(
                                    "the model wants an input {:?}, and the data have no such column, but {}",
                                    input.name,
                                    names.join(", ")
                                ))
                                .at(self.address.shown())
                                .hint("name the columns as the model does, or set form = \"encoded\""),
                            )
                        })?;
                    Tensor::of_column(column, Some(input), &missing)
                })
                .collect();
        }
        let input = match &self.endpoint.input {
            Some(name) => self.inputs.iter().find(|input| input.name == *name),
            None => self.inputs.first(),
        };
        if self.inputs.len() > 1 && self.endpoint.input.is_none() {
            let names: Vec<&str> = self
                .inputs
                .iter()
                .map(|input| input.name.as_str())
                .collect();
            return Err(unsendable(
                Error::usage(format!(
                    "encoded inputs are one tensor, and the model takes {}",
                    names.join(", ")
                ))
                .at(self.address.shown())
                .hint("set form = \"raw\", or name the one in input"),
            ));
        }
        let name = self
            .endpoint
            .input
            .as_deref()
            .or(input.map(|input| input.name.as_str()))
            .unwrap_or("input-0");
        let tensor = if self.form == Form::Encoded {
            Tensor::of_features(questions, name, input)
        } else {
            Tensor::of_numeric_columns(questions, name, input, &missing)
        };
        tensor.map(|tensor| vec![tensor])
    }

    /// The body, and the size of its JSON part where tensors follow it.
    fn body(
        &self,
        questions: &Questions,
    ) -> std::result::Result<(Vec<u8>, Option<usize>), Refusal> {
        let tensors = self.tensors(questions)?;
        let mut out = b"{".to_vec();
        let mut parameters = serde_json::Map::new();
        if self.pandas && tensors.iter().all(|tensor| tensor.is_column) {
            parameters.insert("content_type".into(), "pd".into());
        }
        if self.binary {
            parameters.insert("binary_data_output".into(), true.into());
        }
        if !parameters.is_empty() {
            out.extend_from_slice(b"\"parameters\":");
            write_json(&mut out, &parameters);
            out.push(b',');
        }
        let mut bytes = Vec::new();
        out.extend_from_slice(b"\"inputs\":[");
        for (at, tensor) in tensors.iter().enumerate() {
            separate(&mut out, at);
            tensor.write(&mut out, self.binary.then_some(&mut bytes), self.pandas)?;
        }
        out.push(b']');
        if let Some(name) = &self.output {
            out.extend_from_slice(b",\"outputs\":[{\"name\":");
            write_json(&mut out, name);
            if self.binary {
                out.extend_from_slice(b",\"parameters\":{\"binary_data\":true}");
            }
            out.extend_from_slice(b"}]");
        }
        out.push(b'}');
        if !self.binary {
            return Ok((out, None));
        }
        let length = out.len();
        out.extend_from_slice(&bytes);
        Ok((out, Some(length)))
    }

    fn answers(&self, reply: &Reply, questions: usize) -> std::result::Result<Answers, Unread> {
        let length = match reply.headers.get(HEADER_LENGTH) {
            None => reply.body.len(),
            Some(text) => text
                .to_str()
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .filter(|&length: &usize| length <= reply.body.len())
                .ok_or_else(|| {
                    format!("the header Inference-Header-Content-Length does not fit an answer of {} bytes", reply.body.len())
                })?,
        };
        let (json, bytes) = reply.body.split_at(length);
        let outputs: answer::Outputs = rows::parse(json)?;
        let chosen = answer::choose(
            &outputs.outputs,
            self.endpoint.output.as_deref(),
            self.output.as_deref(),
            questions,
            self.classes.len(),
        )?;
        let part = answer::bytes_of(&outputs.outputs, chosen, bytes)?;
        let output = &outputs.outputs[chosen];
        answer::read(output, part, questions, &self.classes)
            .map_err(|what| Unread::Wrong(format!("output {:?}: {what}", output.name)))
    }
}

/// The address without a last part `v2`, which the protocol adds.
fn without_v2(url: &str) -> String {
    let (front, query) = match url.find('?') {
        Some(at) => url.split_at(at),
        None => (url, ""),
    };
    let front = front.trim_end_matches('/');
    format!("{}{query}", front.strip_suffix("/v2").unwrap_or(front))
}

/// The output that is asked for, of those that a model declares: numbers, one for each class;
/// any numbers; anything.
fn best_output(outputs: &[Declared], classes: usize) -> Option<String> {
    let fits = |output: &&Declared| output.is_float() && output.last_size() == Some(classes);
    let float = |output: &&Declared| output.is_float();
    outputs
        .iter()
        .find(fits)
        .or_else(|| outputs.iter().find(float))
        .or_else(|| outputs.first())
        .map(|output| output.name.clone())
}

/// What a server says at an address; nothing where it says nothing, or something else.
fn metadata<T: Default + serde::de::DeserializeOwned>(
    client: &Client,
    address: &Address,
) -> Result<T> {
    let mut waits = PATIENCE.iter();
    loop {
        match client.get(address, METADATA) {
            Ok(None) => return Ok(T::default()),
            Ok(Some(reply)) => return Ok(serde_json::from_slice(&reply.body).unwrap_or_default()),
            Err(refusal) => match waits.next() {
                Some(&wait) if refusal.again => {
                    sleep(refusal.after.unwrap_or(wait).min(Duration::from_secs(5)));
                }
                _ => return Err(refusal.error),
            },
        }
    }
}

impl Target for V2 {
    fn name(&self) -> String {
        let how = if self.binary { ", binary" } else { "" };
        format!("{} (protocol v2{how})", self.address.shown())
    }

    fn form(&self) -> Form {
        self.form
    }

    fn batch_size(&self) -> usize {
        self.endpoint.batch()
    }

    fn concurrency(&self) -> usize {
        self.endpoint.concurrency
    }

    fn ask(&self, questions: &Questions) -> std::result::Result<Answers, Refusal> {
        let (body, length) = self.body(questions)?;
        let headers: Vec<(&'static str, String)> = match length {
            None => vec![("content-type", "application/json".into())],
            Some(length) => vec![
                ("content-type", "application/octet-stream".into()),
                (HEADER_LENGTH, length.to_string()),
            ],
        };
        let limit = self.endpoint.answer_limit(self.classes.len());
        let reply = self.client.post(&self.address, &headers, &body, limit)?;
        self.answers(&reply, questions.len())
            .map_err(|unread| unread.refusal(&self.client, &self.address, &reply.body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(name: &str, datatype: &str, shape: &str) -> Declared {
        Declared {
            name: name.into(),
            datatype: datatype.into(),
            shape: serde_json::from_str(shape).unwrap(),
        }
    }

    #[test]
    fn the_output_that_fits_is_asked_for() {
        let label = || declared("label", "INT64", "[-1]");
        let wide = || declared("embedding", "FP32", "[-1, 768]");
        let fits = || declared("probabilities", "FP32", "[-1, 2]");
        let best = |outputs: &[Declared]| best_output(outputs, 2);
        assert_eq!(best(&[label(), wide(), fits()]).unwrap(), "probabilities");
        assert_eq!(best(&[label(), wide()]).unwrap(), "embedding");
        assert_eq!(best(&[label()]).unwrap(), "label");
        assert_eq!(best(&[]), None);
    }

    #[test]
    fn sizes_that_are_none_are_free() {
        let input = declared("x", "FP32", "[-1, \"3\", null, 0, 7]");
        let sizes: Vec<_> = (0..6).map(|axis| input.size(axis)).collect();
        assert_eq!(sizes, [None, Some(3), None, None, Some(7), None]);
        assert_eq!(input.last_size(), Some(7));
        assert_eq!(declared("x", "FP32", "[]").last_size(), None);
    }

    #[test]
    fn an_address_that_ends_in_v2_is_the_servers() {
        assert_eq!(without_v2("http://h/v2"), "http://h");
        assert_eq!(without_v2("http://h/a/v2/?x=1"), "http://h/a?x=1");
        assert_eq!(without_v2("http://h/av2"), "http://h/av2");
    }
}
