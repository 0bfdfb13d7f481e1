//! TensorFlow Serving's REST predict: `POST /v1/models/NAME[/versions/V]:predict` with a list
//! of instances.
//!
//! <https://www.tensorflow.org/tfx/serving/api_rest>

use giveaway::error::Result;
use giveaway::target::{Answers, Form, Questions, Refusal, Target};
use serde_json::Value;

use crate::cells::{Missing, write_f32, write_json};
use crate::endpoint::{Endpoint, Inputs};
use crate::http::Client;
use crate::json::{self, rows_of};
use crate::rows;
use crate::secrets::Secrets;
use crate::url::{Address, percent_encoded};

/// A model of TensorFlow Serving.
#[derive(Debug)]
pub(crate) struct TfServing {
    client: Client,
    address: Address,
    endpoint: Endpoint,
    classes: Vec<String>,
}

impl TfServing {
    pub(crate) fn open(endpoint: &Endpoint, classes: &[String]) -> Result<Self> {
        let mut tail = format!(
            "/v1/models/{}",
            percent_encoded(endpoint.model.as_deref().unwrap_or_default())
        );
        if let Some(version) = &endpoint.version {
            tail.push_str("/versions/");
            tail.push_str(&percent_encoded(version));
        }
        tail.push_str(":predict");
        let mut secrets = Secrets::default();
        let address = Address::new(&endpoint.url, &tail, &mut secrets)?;
        Ok(Self {
            client: Client::open(endpoint, &[&address], secrets)?,
            address,
            endpoint: endpoint.clone(),
            classes: classes.to_vec(),
        })
    }

    fn body(&self, questions: &Questions) -> std::result::Result<Vec<u8>, Refusal> {
        let mut out = b"{\"instances\":".to_vec();
        let missing = Missing::of(&self.endpoint, false);
        if self.form() == Form::Encoded {
            out.push(b'[');
            for (at, row) in questions.features.rows().into_iter().enumerate() {
                separate(&mut out, at);
                if let Some(input) = &self.endpoint.input {
                    out.push(b'{');
                    write_json(&mut out, input);
                    out.push(b':');
                }
                out.push(b'[');
                for (place, (&value, name)) in row.iter().zip(&questions.feature_names).enumerate()
                {
                    separate(&mut out, place);
                    write_f32(&mut out, value, name)?;
                }
                out.push(b']');
                if self.endpoint.input.is_some() {
                    out.push(b'}');
                }
            }
            out.push(b']');
        } else {
            json::write_records(&mut out, questions, &missing)?;
        }
        out.push(b'}');
        Ok(out)
    }

    fn answers(&self, body: &[u8], questions: usize) -> std::result::Result<Answers, json::Unread> {
        let answer: Value = rows::parse(body)?;
        let predictions = answer
            .get("predictions")
            .ok_or("the answer has no \"predictions\"")?;
        let found = rows_of(predictions, questions, false)?;
        let chosen = found
            .iter()
            .map(|row| self.of_one_output(row))
            .collect::<std::result::Result<Vec<&Value>, String>>()?;
        if chosen.iter().all(|row| is_text(row)) {
            return Ok(rows::labels(&chosen, &self.classes)?);
        }
        Ok(rows::numbers(&chosen, &self.classes)?)
    }

    /// Models with several outputs answer with an object of them: the one that is set, the only
    /// one, or the one with as many numbers as there are classes.
    fn of_one_output<'a>(&self, row: &'a Value) -> std::result::Result<&'a Value, String> {
        let Value::Object(outputs) = row else {
            return Ok(row);
        };
        if let Some(name) = &self.endpoint.output {
            return outputs
                .get(name)
                .ok_or_else(|| no_output(name, outputs.keys()));
        }
        if outputs.len() == 1 || outputs.values().all(Value::is_number) {
            return Ok(outputs
                .values()
                .next()
                .filter(|_| outputs.len() == 1)
                .unwrap_or(row));
        }
        let fitting: Vec<&Value> = outputs
            .values()
            .filter(|value| {
                value
                    .as_array()
                    .is_some_and(|items| items.len() == self.classes.len() && items[0].is_number())
            })
            .collect();
        match fitting.as_slice() {
            [one] => Ok(one),
            _ => Err(format!(
                "the model has the outputs {}, and which holds the probabilities is not clear: set output",
                listed(outputs.keys())
            )),
        }
    }
}

fn is_text(value: &Value) -> bool {
    match value {
        Value::String(text) => text.trim().parse::<f64>().is_err(),
        Value::Array(items) => items.len() == 1 && is_text(&items[0]),
        _ => false,
    }
}

/// The words for an output that is not there.
pub(crate) fn no_output<'a>(name: &str, there: impl Iterator<Item = &'a String>) -> String {
    format!("the answer has no output {name:?}, but {}", listed(there))
}

fn listed<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<String> = names.take(20).map(|name| format!("{name:?}")).collect();
    if names.is_empty() {
        "none".into()
    } else {
        names.join(", ")
    }
}

/// A comma, but before the first.
pub(crate) fn separate(out: &mut Vec<u8>, at: usize) {
    if at > 0 {
        out.push(b',');
    }
}

impl Target for TfServing {
    fn name(&self) -> String {
        format!("{} (protocol tf-serving)", self.address.shown())
    }

    fn form(&self) -> Form {
        match self.endpoint.form {
            Some(Inputs::Encoded) => Form::Encoded,
            Some(Inputs::Raw) | None => Form::Raw,
        }
    }

    fn batch_size(&self) -> usize {
        self.endpoint.batch()
    }

    fn concurrency(&self) -> usize {
        self.endpoint.concurrency
    }

    fn ask(&self, questions: &Questions) -> std::result::Result<Answers, Refusal> {
        let body = self.body(questions)?;
        json::ask(
            &self.client,
            &self.address,
            &body,
            self.endpoint.answer_limit(self.classes.len()),
            |body| self.answers(body, questions.len()),
        )
    }
}
