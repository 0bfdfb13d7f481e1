//! Inputs as tensors: of the datatype that the model declares, in JSON or as bytes.

use giveaway::error::Error;
use giveaway::target::{QuestionColumn, QuestionValues, Questions, Refusal};

use super::Declared;
use crate::cells::{Missing, missing_value, unsendable, write_f32, write_f64, write_json};
use crate::tf_serving::separate;

/// The types of elements that the protocol has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Datatype {
    Bool,
    /// Whole numbers of so many bytes, with a sign or without.
    Whole {
        bytes: usize,
        signed: bool,
    },
    /// Numbers of 16 bits; as JSON only.
    Half,
    Single,
    Double,
    /// Texts.
    Bytes,
}

impl Datatype {
    pub(crate) fn read(name: &str) -> Option<Self> {
        let whole = |bytes, signed| Self::Whole { bytes, signed };
        Some(match name {
            "BOOL" => Self::Bool,
            "UINT8" => whole(1, false),
            "UINT16" => whole(2, false),
            "UINT32" => whole(4, false),
            "UINT64" => whole(8, false),
            "INT8" => whole(1, true),
            "INT16" => whole(2, true),
            "INT32" => whole(4, true),
            "INT64" => whole(8, true),
            "FP16" | "BF16" => Self::Half,
            "FP32" => Self::Single,
            "FP64" => Self::Double,
            "BYTES" => Self::Bytes,
            _ => return None,
        })
    }
}

/// Elements, row by row.
#[derive(Clone, Debug, PartialEq)]
enum Elements {
    /// `NaN` is missing.
    Numbers(Vec<f64>),
    Wholes(Vec<Option<i64>>),
    Texts(Vec<Option<String>>),
    Truths(Vec<Option<bool>>),
}

/// An input.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    name: String,
    datatype: Datatype,
    datatype_name: String,
    shape: Vec<usize>,
    elements: Elements,
    /// Whether it is a column of the data file.
    pub(crate) is_column: bool,
    /// Whether a missing number or text may be written as null.
    null: bool,
}

impl Tensor {
    /// A column, as what the model declares or in its own type.
    pub(crate) fn of_column(
        column: &QuestionColumn,
        declared: Option<&Declared>,
        missing: &Missing,
    ) -> Result<Self, Refusal> {
        let values = missing.filled(column);
        let natural = match &values {
            QuestionValues::Numbers(_) => "FP64",
            // A whole number has no way to be missing.
            QuestionValues::Whole(values) if values.iter().any(Option::is_none) => "FP64",
            QuestionValues::Whole(_) => "INT64",
            QuestionValues::Texts(_) => "BYTES",
            QuestionValues::Truths(_) => "BOOL",
        };
        let rows = values.len();
        let shape = match declared {
            Some(declared) if declared.shape.len() == 1 => vec![rows],
            _ => vec![rows, 1],
        };
        let wanted = declared.map_or(natural, |declared| declared.datatype.as_str());
        let datatype = known(wanted, &column.name)?;
        Ok(Self {
            name: column.name.clone(),
            elements: converted(values, datatype, wanted, &column.name)?,
            datatype,
            datatype_name: wanted.to_owned(),
            shape,
            is_column: true,
            null: missing.null,
        })
    }

    /// The encoded features as one tensor.
    pub(crate) fn of_features(
        questions: &Questions,
        name: &str,
        declared: Option<&Declared>,
    ) -> Result<Self, Refusal> {
        let values = questions.features.iter().map(|&v| f64::from(v)).collect();
        let width = questions.features.ncols();
        let kinds = "features";
        Self::of_numbers(values, questions.len(), width, kinds, name, declared, false)
    }

    /// The columns as one tensor, if all are numbers.
    pub(crate) fn of_numeric_columns(
        questions: &Questions,
        name: &str,
        declared: Option<&Declared>,
        missing: &Missing,
    ) -> Result<Self, Refusal> {
        let width = questions.columns.len();
        let mut values = vec![f64::NAN; questions.len() * width];
        for (place, column) in questions.columns.iter().enumerate() {
            let filled = missing.filled(column);
            let Elements::Numbers(numbers) = converted(filled, Datatype::Double, "FP64", &column.name)
                .map_err(|refusal| Refusal {
                    error: refusal.error.hint(
                        "the model takes one tensor of numbers: set form = \"encoded\", or have it declare one input per column",
                    ),
                    ..refusal
                })?
            else {
                return Err(missing_value(&column.name, None));
            };
            for (row, number) in numbers.into_iter().enumerate() {
                values[row * width + place] = number;
            }
        }
        let kinds = "columns";
        Self::of_numbers(
            values,
            questions.len(),
            width,
            kinds,
            name,
            declared,
            missing.null,
        )
    }

    fn of_numbers(
        values: Vec<f64>,
        rows: usize,
        width: usize,
        kinds: &str,
        name: &str,
        declared: Option<&Declared>,
        null: bool,
    ) -> Result<Self, Refusal> {
        let wanted = declared.map_or("FP32", |declared| declared.datatype.as_str());
        let datatype = known(wanted, name)?;
        let mut shape = vec![rows, width];
        if let Some(declared) = declared {
            // Behind the first axis, sizes that are all known are kept: images.
            let inner: Option<Vec<usize>> = (1..declared.shape.len())
                .map(|axis| declared.size(axis))
                .collect();
            if let Some(inner) = inner.filter(|inner| !inner.is_empty()) {
                let size: usize = inner.iter().product();
                if size != width {
                    return Err(unsendable(
                        Error::usage(format!(
                            "the model takes {size} numbers for each record, and the questions have {width} {kinds}"
                        ))
                        .at(format!("input {name}"))
                        .hint("set form (raw or encoded) to what the model was trained with"),
                    ));
                }
                shape.truncate(1);
                shape.extend(inner);
            }
        }
        let elements = converted(QuestionValues::Numbers(values), datatype, wanted, name)?;
        Ok(Self {
            name: name.to_owned(),
            datatype,
            datatype_name: wanted.to_owned(),
            shape,
            elements,
            is_column: false,
            null,
        })
    }

    /// Writes the tensor into the JSON part, its elements there too or into `bytes`. `codec`:
    /// texts are announced as such, for servers that take data frames.
    pub(crate) fn write(
        &self,
        out: &mut Vec<u8>,
        bytes: Option<&mut Vec<u8>>,
        codec: bool,
    ) -> Result<(), Refusal> {
        out.extend_from_slice(b"{\"name\":");
        write_json(out, &self.name);
        out.extend_from_slice(b",\"shape\":");
        write_json(out, &self.shape);
        out.extend_from_slice(b",\"datatype\":");
        write_json(out, &self.datatype_name);
        let mut parameters = serde_json::Map::new();
        if codec && self.is_column && self.datatype == Datatype::Bytes {
            parameters.insert("content_type".into(), "str".into());
        }
        if let Some(bytes) = bytes {
            let before = bytes.len();
            self.write_bytes(bytes)?;
            parameters.insert("binary_data_size".into(), (bytes.len() - before).into());
            out.extend_from_slice(b",\"parameters\":");
            write_json(out, &parameters);
        } else {
            if !parameters.is_empty() {
                out.extend_from_slice(b",\"parameters\":");
                write_json(out, &parameters);
            }
            out.extend_from_slice(b",\"data\":[");
            self.write_elements(out)?;
            out.push(b']');
        }
        out.push(b'}');
        Ok(())
    }

    fn write_elements(&self, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let lacking = |out: &mut Vec<u8>, setting| {
            if !self.null {
                return Err(missing_value(&self.name, setting));
            }
            out.extend_from_slice(b"null");
            Ok(())
        };
        match &self.elements {
            Elements::Numbers(values) => {
                for (at, &value) in values.iter().enumerate() {
                    separate(out, at);
                    if value.is_nan() {
                        lacking(out, Some("missing-number"))?;
                    } else if self.datatype == Datatype::Double {
                        write_f64(out, value, &self.name)?;
                    } else {
                        write_f32(out, value as f32, &self.name)?;
                    }
                }
            }
            Elements::Wholes(values) => {
                for (at, value) in values.iter().enumerate() {
                    separate(out, at);
                    match value {
                        Some(value) => write_json(out, value),
                        None => return Err(missing_value(&self.name, Some("missing-number"))),
                    }
                }
            }
            Elements::Texts(values) => {
                for (at, value) in values.iter().enumerate() {
                    separate(out, at);
                    match value {
                        Some(value) => write_json(out, value),
                        None => lacking(out, Some("missing-text"))?,
                    }
                }
            }
            Elements::Truths(values) => {
                for (at, value) in values.iter().enumerate() {
                    separate(out, at);
                    match value {
                        Some(value) => write_json(out, value),
                        None => return Err(missing_value(&self.name, None)),
                    }
                }
            }
        }
        Ok(())
    }

    /// Little-endian, row by row; a text has its length before it.
    fn write_bytes(&self, out: &mut Vec<u8>) -> Result<(), Refusal> {
        match &self.elements {
            Elements::Numbers(values) => match self.datatype {
                Datatype::Double => {
                    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
                }
                _ => out.extend(
                    values
                        .iter()
                        .flat_map(|&value| (value as f32).to_le_bytes()),
                ),
            },
            Elements::Wholes(values) => {
                let Datatype::Whole { bytes, .. } = self.datatype else {
                    return Ok(());
                };
                for value in values {
                    let value =
                        value.ok_or_else(|| missing_value(&self.name, Some("missing-number")))?;
                    // In range, so the lower bytes are the number.
                    out.extend_from_slice(&value.to_le_bytes()[..bytes]);
                }
            }
            Elements::Texts(values) => {
                for value in values {
                    let value = value
                        .as_ref()
                        .ok_or_else(|| missing_value(&self.name, Some("missing-text")))?;
                    out.extend_from_slice(&(value.len() as u32).to_le_bytes());
                    out.extend_from_slice(value.as_bytes());
                }
            }
            Elements::Truths(values) => {
                for value in values {
                    out.push(value.ok_or_else(|| missing_value(&self.name, None))?.into());
                }
            }
        }
        Ok(())
    }
}

fn known(datatype: &str, input: &str) -> Result<Datatype, Refusal> {
    Datatype::read(datatype).ok_or_else(|| {
        unsendable(Error::usage(format!(
            "the model wants the datatype {datatype:?} for its input {input:?}, which the protocol does not have"
        )))
    })
}

/// Values as elements of a datatype; none is changed by it but by rounding to float32.
fn converted(
    values: QuestionValues,
    datatype: Datatype,
    wanted: &str,
    column: &str,
) -> Result<Elements, Refusal> {
    let no = |value: &dyn std::fmt::Display| {
        unsendable(
            Error::usage(format!("{value} is no {wanted}, which the model wants"))
                .at(format!("column {column}"))
                .hint("set form (raw or encoded) to what the model was trained with"),
        )
    };
    let is_float = matches!(
        datatype,
        Datatype::Half | Datatype::Single | Datatype::Double
    );
    Ok(match values {
        QuestionValues::Numbers(values) if is_float => {
            // Infinity is a number of the data file, but it must not come from rounding.
            if datatype != Datatype::Double
                && let Some(large) = values
                    .iter()
                    .find(|value| value.is_finite() && !(**value as f32).is_finite())
            {
                return Err(no(large));
            }
            Elements::Numbers(values)
        }
        QuestionValues::Whole(values) if is_float => Elements::Numbers(
            values
                .iter()
                .map(|value| value.map_or(f64::NAN, |value| value as f64))
                .collect(),
        ),
        QuestionValues::Truths(values) if is_float => Elements::Numbers(
            values
                .iter()
                .map(|value| value.map_or(f64::NAN, |value| f64::from(u8::from(value))))
                .collect(),
        ),
        QuestionValues::Texts(values) => {
            if datatype != Datatype::Bytes {
                let text = values.iter().flatten().next().cloned().unwrap_or_default();
                return Err(no(&format!("{text:?}")));
            }
            Elements::Texts(values)
        }
        QuestionValues::Truths(values) if datatype == Datatype::Bool => Elements::Truths(values),
        other if datatype == Datatype::Bytes => Elements::Texts(as_texts(other)),
        other => {
            let whole = as_whole(other).map_err(|value| no(&value))?;
            let (low, high) = match datatype {
                Datatype::Whole {
                    bytes,
                    signed: true,
                } if bytes < 8 => {
                    let bits = 8 * bytes - 1;
                    (-(1_i64 << bits), (1_i64 << bits) - 1)
                }
                Datatype::Whole {
                    bytes,
                    signed: false,
                } if bytes < 8 => (0, (1_i64 << (8 * bytes)) - 1),
                Datatype::Whole { signed: false, .. } => (0, i64::MAX),
                Datatype::Bool => (0, 1),
                _ => (i64::MIN, i64::MAX),
            };
            if let Some(outside) = whole.iter().flatten().find(|v| !(low..=high).contains(*v)) {
                return Err(no(outside));
            }
            if datatype == Datatype::Bool {
                Elements::Truths(whole.iter().map(|v| v.map(|v| v == 1)).collect())
            } else {
                Elements::Wholes(whole)
            }
        }
    })
}

/// Numbers and truth values as whole numbers, or the first that is none.
fn as_whole(values: QuestionValues) -> Result<Vec<Option<i64>>, f64> {
    Ok(match values {
        QuestionValues::Numbers(values) => values
            .iter()
            .map(|&value| {
                if value.is_nan() {
                    Ok(None)
                } else if value.fract() == 0.0 && value.abs() < 9e18 {
                    Ok(Some(value as i64))
                } else {
                    Err(value)
                }
            })
            .collect::<Result<_, _>>()?,
        QuestionValues::Whole(values) => values,
        QuestionValues::Truths(values) => values.iter().map(|v| v.map(i64::from)).collect(),
        QuestionValues::Texts(values) => vec![None; values.len()],
    })
}

fn as_texts(values: QuestionValues) -> Vec<Option<String>> {
    match values {
        QuestionValues::Numbers(values) => values
            .iter()
            .map(|value| (!value.is_nan()).then(|| value.to_string()))
            .collect(),
        QuestionValues::Whole(values) => values.iter().map(|v| v.map(|v| v.to_string())).collect(),
        QuestionValues::Truths(values) => values.iter().map(|v| v.map(|v| v.to_string())).collect(),
        QuestionValues::Texts(values) => values,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use serde_json::{Value, json};

    fn column(values: QuestionValues) -> QuestionColumn {
        QuestionColumn {
            name: "c".into(),
            values,
        }
    }

    fn declared(datatype: &str, shape: &str) -> Declared {
        Declared {
            name: "c".into(),
            datatype: datatype.into(),
            shape: serde_json::from_str(shape).unwrap(),
        }
    }

    fn strict() -> Missing {
        Missing {
            text: None,
            number: None,
            null: false,
        }
    }

    fn json_of(tensor: &Tensor) -> Result<Value, String> {
        let mut out = Vec::new();
        tensor
            .write(&mut out, None, false)
            .map_err(|refusal| refusal.error.to_string())?;
        Ok(serde_json::from_slice(&out).unwrap())
    }

    fn as_declared(values: QuestionValues, datatype: &str) -> Result<Value, String> {
        let declared = declared(datatype, "[-1]");
        let tensor = Tensor::of_column(&column(values), Some(&declared), &strict())
            .map_err(|refusal| refusal.error.to_string())?;
        Ok(json_of(&tensor)?["data"].clone())
    }

    #[test]
    fn columns_become_what_the_model_declares() {
        let numbers = || QuestionValues::Numbers(vec![1.0, -3.0]);
        let whole = || QuestionValues::Whole(vec![Some(39), Some(1)]);
        let truths = || QuestionValues::Truths(vec![Some(true), Some(false)]);
        let texts = || QuestionValues::Texts(vec![Some("x".into())]);
        for (values, datatype, expected) in [
            (numbers(), "FP32", json!([1.0, -3.0])),
            (numbers(), "INT8", json!([1, -3])),
            (numbers(), "BYTES", json!(["1", "-3"])),
            (whole(), "FP64", json!([39.0, 1.0])),
            (whole(), "UINT8", json!([39, 1])),
            (whole(), "BYTES", json!(["39", "1"])),
            (truths(), "BOOL", json!([true, false])),
            (truths(), "FP32", json!([1.0, 0.0])),
            (truths(), "INT32", json!([1, 0])),
            (
                QuestionValues::Whole(vec![Some(1), Some(0)]),
                "BOOL",
                json!([true, false]),
            ),
            (texts(), "BYTES", json!(["x"])),
        ] {
            assert_eq!(
                as_declared(values, datatype).unwrap(),
                expected,
                "{datatype}"
            );
        }
        for (values, datatype, word) in [
            (numbers(), "UINT8", "-3"),
            (QuestionValues::Numbers(vec![0.5]), "INT64", "0.5"),
            (QuestionValues::Numbers(vec![1e300]), "FP32", "1000"),
            (
                QuestionValues::Numbers(vec![f64::INFINITY]),
                "FP32",
                "finite",
            ),
            (QuestionValues::Whole(vec![Some(256)]), "UINT8", "256"),
            (QuestionValues::Whole(vec![Some(-129)]), "INT8", "-129"),
            (QuestionValues::Whole(vec![Some(2)]), "BOOL", "2"),
            (QuestionValues::Whole(vec![None]), "INT64", "missing"),
            (QuestionValues::Whole(vec![None]), "FP64", "missing"),
            (texts(), "FP32", "\"x\""),
            (texts(), "COMPLEX", "COMPLEX"),
        ] {
            let error = as_declared(values, datatype).unwrap_err();
            assert!(error.contains(word), "{datatype}: {error}");
        }
        for (low, high, datatype) in [
            (0, u8::MAX.into(), "UINT8"),
            (0, u16::MAX.into(), "UINT16"),
            (0, u32::MAX.into(), "UINT32"),
            (i8::MIN.into(), i8::MAX.into(), "INT8"),
            (i16::MIN.into(), i16::MAX.into(), "INT16"),
            (i32::MIN.into(), i32::MAX.into(), "INT32"),
        ] {
            let one = |value: i64| as_declared(QuestionValues::Whole(vec![Some(value)]), datatype);
            assert!(one(low).is_ok() && one(high).is_ok(), "{datatype}");
            assert!(
                one(low - 1).is_err() && one(high + 1).is_err(),
                "{datatype}"
            );
        }
    }

    #[test]
    fn columns_without_a_declaration_keep_their_types() {
        let null = Missing {
            null: true,
            ..strict()
        };
        let of =
            |values| json_of(&Tensor::of_column(&column(values), None, &null).unwrap()).unwrap();
        let texts = of(QuestionValues::Texts(vec![Some("a".into()), None]));
        assert_eq!(
            texts,
            json!({"name": "c", "shape": [2, 1], "datatype": "BYTES", "data": ["a", null]})
        );
        assert_eq!(
            of(QuestionValues::Whole(vec![Some(1)]))["datatype"],
            "INT64"
        );
        let lacking = of(QuestionValues::Whole(vec![Some(1), None]));
        assert_eq!(lacking["datatype"], "FP64");
        assert_eq!(lacking["data"], json!([1.0, null]));
    }

    #[test]
    fn bytes_are_little_endian_with_lengths_before_texts() {
        let bytes_of = |values, datatype: &str| {
            let declared = declared(datatype, "[-1]");
            let tensor = Tensor::of_column(&column(values), Some(&declared), &strict()).unwrap();
            let (mut out, mut bytes) = (Vec::new(), Vec::new());
            tensor
                .write(&mut out, Some(&mut bytes), false)
                .map_err(|refusal| refusal.error)
                .unwrap();
            let head: Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(head["parameters"]["binary_data_size"], bytes.len());
            assert!(head.get("data").is_none());
            bytes
        };
        let numbers = bytes_of(QuestionValues::Numbers(vec![1.0, f64::NAN]), "FP32");
        assert_eq!(numbers[..4], [0, 0, 0x80, 0x3f]);
        assert!(f32::from_le_bytes(numbers[4..].try_into().unwrap()).is_nan());
        assert_eq!(
            bytes_of(QuestionValues::Whole(vec![Some(-2)]), "INT16"),
            [0xfe, 0xff]
        );
        assert_eq!(
            bytes_of(QuestionValues::Whole(vec![Some(258)]), "UINT32"),
            [2, 1, 0, 0]
        );
        assert_eq!(
            bytes_of(
                QuestionValues::Texts(vec![Some("ü".into()), Some(String::new())]),
                "BYTES"
            ),
            [2, 0, 0, 0, 0xc3, 0xbc, 0, 0, 0, 0]
        );
        assert_eq!(
            bytes_of(QuestionValues::Truths(vec![Some(true)]), "BOOL"),
            [1]
        );
        let double = bytes_of(QuestionValues::Numbers(vec![0.1]), "FP64");
        assert_eq!(double, 0.1_f64.to_le_bytes());
    }

    #[test]
    fn features_are_one_tensor_in_the_declared_shape() {
        let questions = Questions {
            features: array![[0.1, 1.0, 2.0, 3.0]],
            feature_names: ["a", "b", "c", "d"].map(String::from).to_vec(),
            columns: vec![
                column(QuestionValues::Whole(vec![Some(7)])),
                column(QuestionValues::Texts(vec![Some("x".into())])),
            ],
        };
        let of = |declared: Option<&Declared>| {
            Tensor::of_features(&questions, "x", declared)
                .map_err(|refusal| refusal.error.to_string())
                .and_then(|tensor| json_of(&tensor))
        };
        assert_eq!(
            of(None).unwrap(),
            json!({"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [0.1, 1.0, 2.0, 3.0]})
        );
        let image = declared("FP32", "[-1, 2, 2, 1]");
        assert_eq!(of(Some(&image)).unwrap()["shape"], json!([1, 2, 2, 1]));
        // float32 as float64 is written to its last digit.
        let double = of(Some(&declared("FP64", "[-1, -1]"))).unwrap();
        assert_eq!(double["data"][0], f64::from(0.1_f32));
        assert!(
            of(Some(&declared("FP32", "[-1, 14]")))
                .unwrap_err()
                .contains("14 numbers")
        );
        let error = Tensor::of_numeric_columns(&questions, "x", None, &strict()).unwrap_err();
        assert!(error.error.hint_text().unwrap().contains("encoded"));
    }
}
