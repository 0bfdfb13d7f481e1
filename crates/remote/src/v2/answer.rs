//! Outputs of protocol v2: which holds the answers, and what they are.

use giveaway::target::Answers;
use ndarray::Array2;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Datatype;
use crate::rows::{kind, named_labels, number, number_label};
use crate::tf_serving::no_output;

/// The JSON part of an answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Outputs {
    pub(crate) outputs: Vec<Output>,
}

/// A tensor of an answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Output {
    pub(crate) name: String,
    datatype: String,
    shape: Vec<i64>,
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
    #[serde(default)]
    data: Option<Value>,
}

impl Output {
    /// Bytes that it takes behind the JSON part.
    fn binary_size(&self) -> Option<u64> {
        self.parameters.as_ref()?.get("binary_data_size")?.as_u64()
    }

    fn is_float(&self) -> bool {
        matches!(self.datatype.as_str(), "FP16" | "BF16" | "FP32" | "FP64")
    }
}

/// The place of the output with the answers: the one that is set, the one that was asked for,
/// one with a number for each class, any with numbers, the first.
pub(crate) fn choose(
    outputs: &[Output],
    set: Option<&str>,
    asked: Option<&str>,
    questions: usize,
    classes: usize,
) -> Result<usize, String> {
    let named = |name: &str| outputs.iter().position(|output| output.name == name);
    if let Some(name) = set {
        return named(name).ok_or_else(|| no_output(name, outputs.iter().map(|o| &o.name)));
    }
    let fits = |output: &Output| {
        let [rows, columns] = output.shape[..] else {
            return false;
        };
        output.is_float()
            && usize::try_from(rows) == Ok(questions)
            && usize::try_from(columns) == Ok(classes)
    };
    asked
        .and_then(named)
        .or_else(|| outputs.iter().position(fits))
        .or_else(|| outputs.iter().position(Output::is_float))
        .or_else(|| (!outputs.is_empty()).then_some(0))
        .ok_or_else(|| "the answer has no outputs".to_owned())
}

/// The bytes of an output; they lie in the order of the outputs that have any.
pub(crate) fn bytes_of<'a>(
    outputs: &[Output],
    chosen: usize,
    bytes: &'a [u8],
) -> Result<Option<&'a [u8]>, String> {
    let Some(size) = outputs[chosen].binary_size() else {
        return Ok(None);
    };
    let start = outputs[..chosen]
        .iter()
        .filter_map(Output::binary_size)
        .fold(0_u64, u64::saturating_add);
    let part = usize::try_from(start)
        .ok()
        .zip(usize::try_from(start.saturating_add(size)).ok())
        .and_then(|(start, end)| bytes.get(start..end))
        .ok_or_else(|| {
            format!(
                "the bytes from {start} to {} of the tensors are announced, and {} came",
                start.saturating_add(size),
                bytes.len()
            )
        })?;
    Ok(Some(part))
}

enum Elements {
    Numbers(Vec<f64>),
    Texts(Vec<String>),
}

/// The answers that an output holds.
pub(crate) fn read(
    output: &Output,
    bytes: Option<&[u8]>,
    questions: usize,
    classes: &[String],
) -> Result<Answers, String> {
    let datatype = Datatype::read(&output.datatype).ok_or_else(|| {
        format!(
            "the datatype {:?} is none of the protocol's",
            output.datatype
        )
    })?;
    let elements = match (bytes, &output.data) {
        (Some(bytes), _) => from_bytes(bytes, &output.datatype, datatype)?,
        (None, Some(data)) => from_json(data, datatype)?,
        (None, None) => return Err("it has neither data nor bytes".into()),
    };
    let count = match &elements {
        Elements::Numbers(values) => values.len(),
        Elements::Texts(texts) => texts.len(),
    };
    let announced = output.shape.iter().try_fold(1_usize, |size, &axis| {
        size.checked_mul(usize::try_from(axis).ok()?)
    });
    if announced != Some(count) {
        return Err(format!(
            "the shape is {:?}, and there are {count} elements",
            output.shape
        ));
    }
    let rows = output.shape.first().copied().unwrap_or(0);
    if usize::try_from(rows) != Ok(questions) {
        return Err(format!(
            "the shape is {:?}: {rows} answers to {questions} questions",
            output.shape
        ));
    }
    let columns = count / questions.max(1);
    let labels = |texts| named_labels(texts, classes).map(Answers::Labels);
    match elements {
        Elements::Texts(texts) if columns == 1 => labels(texts),
        Elements::Texts(_) => Err(format!("{columns} texts for each question")),
        Elements::Numbers(values) if columns == 1 && !output.is_float() => {
            labels(values.iter().map(|&value| number_label(value)).collect())
        }
        Elements::Numbers(values) => {
            if columns == 0 {
                return Err("no numbers".into());
            }
            let values = values.into_iter().map(|value| value as f32).collect();
            Ok(Answers::Numbers {
                values: Array2::from_shape_vec((questions, columns), values)
                    .map_err(|error| error.to_string())?,
                names: None,
            })
        }
    }
}

fn from_json(data: &Value, datatype: Datatype) -> Result<Elements, String> {
    if datatype == Datatype::Bytes {
        let mut texts = Vec::new();
        flatten(data, &mut |value| {
            texts.push(match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                other => return Err(format!("{} in place of a text", kind(other))),
            });
            Ok(())
        })?;
        return Ok(Elements::Texts(texts));
    }
    let mut numbers = Vec::new();
    flatten(data, &mut |value| {
        numbers.push(match value {
            Value::Bool(truth) => f64::from(u8::from(*truth)),
            // Labels are whole numbers that float32 might not hold.
            Value::Number(number) if number.as_f64().is_some() => {
                number.as_f64().unwrap_or(f64::NAN)
            }
            other => number(other)?.into(),
        });
        Ok(())
    })?;
    Ok(Elements::Numbers(numbers))
}

/// Data may be nested or flat.
fn flatten(data: &Value, take: &mut dyn FnMut(&Value) -> Result<(), String>) -> Result<(), String> {
    match data {
        Value::Array(items) => items.iter().try_for_each(|item| flatten(item, take)),
        single => take(single),
    }
}

fn from_bytes(bytes: &[u8], name: &str, datatype: Datatype) -> Result<Elements, String> {
    if datatype == Datatype::Bytes {
        return texts_from_bytes(bytes).map(Elements::Texts);
    }
    let size = match datatype {
        Datatype::Bool => 1,
        Datatype::Whole { bytes, .. } => bytes,
        Datatype::Half => 2,
        Datatype::Single => 4,
        Datatype::Double | Datatype::Bytes => 8,
    };
    if !bytes.len().is_multiple_of(size) {
        return Err(format!(
            "{} bytes are not whole elements of {size}",
            bytes.len()
        ));
    }
    let numbers = bytes
        .chunks_exact(size)
        .map(|chunk| {
            // Little-endian: the lower bytes, and for what is signed the sign above them.
            let sign = matches!(datatype, Datatype::Whole { signed: true, .. })
                && chunk[size - 1] & 0x80 != 0;
            let mut wide = [if sign { 0xff } else { 0 }; 8];
            wide[..size].copy_from_slice(chunk);
            let bits = u64::from_le_bytes(wide);
            match datatype {
                Datatype::Double => f64::from_bits(bits),
                Datatype::Single => f64::from(f32::from_bits(bits as u32)),
                Datatype::Half if name == "BF16" => f64::from(f32::from_bits((bits as u32) << 16)),
                Datatype::Half => half(bits as u16),
                Datatype::Whole { signed: true, .. } => bits.cast_signed() as f64,
                _ => bits as f64,
            }
        })
        .collect();
    Ok(Elements::Numbers(numbers))
}

/// A number of 16 bits (IEEE 754 binary16).
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f64::from(bits & 0x3ff);
    let magnitude = match exponent {
        0 => fraction * (-24_f64).exp2(),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * f64::from(exponent - 25).exp2(),
    };
    sign * magnitude
}

fn texts_from_bytes(mut bytes: &[u8]) -> Result<Vec<String>, String> {
    let mut texts = Vec::new();
    while !bytes.is_empty() {
        let cut = || "a text is longer than the bytes that came".to_owned();
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(cut)?;
        let length = u32::from_le_bytes(*length) as usize;
        let text = rest.get(..length).ok_or_else(cut)?;
        texts.push(String::from_utf8_lossy(text).into_owned());
        bytes = &rest[length..];
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use serde_json::json;

    fn output(value: Value) -> Output {
        serde_json::from_value(value).unwrap()
    }

    fn classes() -> Vec<String> {
        vec!["no".into(), "yes".into()]
    }

    fn numbers(values: Array2<f32>) -> Answers {
        Answers::Numbers {
            values,
            names: None,
        }
    }

    fn labels(texts: [&str; 2]) -> Answers {
        Answers::Labels(texts.map(String::from).to_vec())
    }

    #[test]
    fn outputs_in_json_are_read() {
        for (datatype, shape, data, expected) in [
            (
                "FP32",
                json!([2, 2]),
                json!([0.25, 0.75, 1, 0]),
                numbers(array![[0.25, 0.75], [1.0, 0.0]]),
            ),
            (
                "FP64",
                json!([2, 2]),
                json!([[0.25, 0.75], [1, 0]]),
                numbers(array![[0.25, 0.75], [1.0, 0.0]]),
            ),
            (
                "FP64",
                json!([2]),
                json!([0.25, 1]),
                numbers(array![[0.25], [1.0]]),
            ),
            ("INT64", json!([2, 1]), json!([1, 0]), labels(["yes", "no"])),
            (
                "BOOL",
                json!([2]),
                json!([true, false]),
                labels(["yes", "no"]),
            ),
            (
                "BYTES",
                json!([2, 1]),
                json!(["yes", "no"]),
                labels(["yes", "no"]),
            ),
        ] {
            let output =
                output(json!({"name": "o", "datatype": datatype, "shape": shape, "data": data}));
            assert_eq!(
                read(&output, None, 2, &classes()).unwrap(),
                expected,
                "{datatype} {shape}"
            );
        }
    }

    #[test]
    fn outputs_as_bytes_are_read() {
        let bytes =
            |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
        for (datatype, shape, bytes, expected) in [
            (
                "FP32",
                json!([2, 2]),
                bytes(&[0.25, 0.75, 1.0, 0.0]),
                numbers(array![[0.25, 0.75], [1.0, 0.0]]),
            ),
            (
                "FP64",
                json!([2, 1]),
                [0.5_f64, -1.0]
                    .iter()
                    .flat_map(|v| v.to_le_bytes())
                    .collect(),
                numbers(array![[0.5], [-1.0]]),
            ),
            // 1.5 and the smallest that is not 0, as Python's struct packs them ('<e').
            (
                "FP16",
                json!([2]),
                vec![0x00, 0x3e, 0x01, 0x80],
                numbers(array![[1.5], [-5.960_464_5e-8]]),
            ),
            (
                "BF16",
                json!([2]),
                vec![0xc0, 0x3f, 0x80, 0xbf],
                numbers(array![[1.5], [-1.0]]),
            ),
            (
                "INT8",
                json!([2, 2]),
                vec![0xff, 1, 2, 0x80],
                numbers(array![[-1.0, 1.0], [2.0, -128.0]]),
            ),
            (
                "UINT8",
                json!([2, 2]),
                vec![0xff, 1, 2, 0x80],
                numbers(array![[255.0, 1.0], [2.0, 128.0]]),
            ),
            (
                "INT64",
                json!([2]),
                [1_i64, 0].iter().flat_map(|v| v.to_le_bytes()).collect(),
                labels(["yes", "no"]),
            ),
            (
                "BYTES",
                json!([2]),
                b"\x03\0\0\0yes\x02\0\0\0no".to_vec(),
                labels(["yes", "no"]),
            ),
        ] {
            let size = bytes.len();
            let output = output(json!({"name": "o", "datatype": datatype, "shape": shape,
                "parameters": {"binary_data_size": size}}));
            assert_eq!(
                read(&output, Some(&bytes), 2, &classes()).unwrap(),
                expected,
                "{datatype}"
            );
        }
        assert!(half(0x7c00).is_infinite() && half(0x7e00).is_nan());
    }

    #[test]
    fn what_is_no_answer_is_named() {
        for (value, bytes, word) in [
            (
                json!({"name": "o", "datatype": "FP32", "shape": [2, 2], "data": [1, 0]}),
                None,
                "2 elements",
            ),
            (
                json!({"name": "o", "datatype": "FP32", "shape": [3, 1], "data": [1, 0, 1]}),
                None,
                "3 answers to 2",
            ),
            (
                json!({"name": "o", "datatype": "FP32", "shape": [-1, 2], "data": [1, 0]}),
                None,
                "[-1, 2]",
            ),
            (
                json!({"name": "o", "datatype": "FP32", "shape": [2, i64::MAX], "data": [1, 0]}),
                None,
                "elements",
            ),
            (
                json!({"name": "o", "datatype": "FP32", "shape": [2, 0], "data": []}),
                None,
                "no numbers",
            ),
            (
                json!({"name": "o", "datatype": "FP32", "shape": [], "data": [1]}),
                None,
                "0 answers",
            ),
            (
                json!({"name": "o", "datatype": "X", "shape": [2], "data": [1, 0]}),
                None,
                "\"X\"",
            ),
            (
                json!({"name": "o", "datatype": "FP32", "shape": [2], "data": ["a", "b"]}),
                None,
                "in place of a number",
            ),
            (
                json!({"name": "o", "datatype": "BYTES", "shape": [2], "data": [null, 1]}),
                None,
                "in place of a text",
            ),
            (
                json!({"name": "o", "datatype": "BYTES", "shape": [2, 2], "data": ["a", "b", "c", "d"]}),
                None,
                "2 texts",
            ),
            (
                json!({"name": "o", "datatype": "FP32", "shape": [2]}),
                None,
                "neither data nor bytes",
            ),
            (
                json!({"name": "o", "datatype": "FP32", "shape": [2]}),
                Some(vec![0; 7]),
                "7 bytes",
            ),
            (
                json!({"name": "o", "datatype": "BYTES", "shape": [2]}),
                Some(vec![9, 0, 0, 0, 1]),
                "longer",
            ),
        ] {
            let text = value.to_string();
            let error = read(&output(value), bytes.as_deref(), 2, &classes()).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn the_output_with_the_answers_is_found() {
        let outputs: Vec<Output> = [
            json!({"name": "label", "datatype": "INT64", "shape": [2], "parameters": {"binary_data_size": 16}}),
            json!({"name": "wide", "datatype": "FP32", "shape": [2, 9], "data": []}),
            json!({"name": "fits", "datatype": "FP32", "shape": [2, 2], "parameters": {"binary_data_size": 16}}),
        ]
        .map(output)
        .into();
        let name =
            |set, asked| choose(&outputs, set, asked, 2, 2).map(|at| outputs[at].name.as_str());
        assert_eq!(name(None, None), Ok("fits"));
        assert_eq!(name(None, Some("label")), Ok("label"));
        assert_eq!(name(None, Some("other")), Ok("fits"));
        assert_eq!(name(Some("wide"), Some("label")), Ok("wide"));
        assert!(name(Some("other"), None).unwrap_err().contains("\"label\""));
        assert!(choose(&[], None, None, 2, 2).is_err());
        let bytes: Vec<u8> = (0..32).collect();
        assert_eq!(
            bytes_of(&outputs, 2, &bytes).unwrap().unwrap(),
            &bytes[16..]
        );
        assert_eq!(bytes_of(&outputs, 1, &bytes).unwrap(), None);
        assert!(
            bytes_of(&outputs, 2, &bytes[..31])
                .unwrap_err()
                .contains("31 came")
        );
    }
}
