//! Values of questions as JSON has them.

use giveaway::error::Error;
use giveaway::target::{QuestionColumn, QuestionValues, Refusal};

use crate::endpoint::Endpoint;

/// What is sent for a missing value.
#[derive(Clone, Debug)]
pub(crate) struct Missing {
    pub(crate) text: Option<String>,
    pub(crate) number: Option<f64>,
    /// Where neither is set: null, which not every server takes.
    pub(crate) null: bool,
}

impl Missing {
    pub(crate) fn of(endpoint: &Endpoint, null: bool) -> Self {
        Self {
            text: endpoint.missing_text.clone(),
            number: endpoint.missing_number,
            null,
        }
    }

    /// The column with what stands for missing values put in.
    pub(crate) fn filled(&self, column: &QuestionColumn) -> QuestionValues {
        match &column.values {
            QuestionValues::Numbers(values) => QuestionValues::Numbers(
                values
                    .iter()
                    .map(|&v| {
                        if v.is_nan() {
                            self.number.unwrap_or(v)
                        } else {
                            v
                        }
                    })
                    .collect(),
            ),
            QuestionValues::Whole(values) => {
                let lacking = values.iter().any(Option::is_none);
                match self.number {
                    // A whole column stays one only if what is put in is whole.
                    Some(number) if lacking && (number.fract() != 0.0 || number.abs() > 1e15) => {
                        QuestionValues::Numbers(
                            values
                                .iter()
                                .map(|v| v.map_or(number, |v| v as f64))
                                .collect(),
                        )
                    }
                    Some(number) => QuestionValues::Whole(
                        values.iter().map(|v| v.or(Some(number as i64))).collect(),
                    ),
                    None => column.values.clone(),
                }
            }
            QuestionValues::Texts(values) => QuestionValues::Texts(
                values
                    .iter()
                    .map(|v| v.clone().or_else(|| self.text.clone()))
                    .collect(),
            ),
            QuestionValues::Truths(values) => QuestionValues::Truths(values.clone()),
        }
    }
}

/// A refusal of ours: the questions are such that they cannot be sent.
pub(crate) fn unsendable(error: Error) -> Refusal {
    Refusal::lasting(error).not_sent()
}

/// The refusal of a missing value.
pub(crate) fn missing_value(column: &str, setting: Option<&str>) -> Refusal {
    let error = Error::usage("a value is missing, and this protocol has no way to say so")
        .at(format!("column {column}"));
    unsendable(match setting {
        Some(setting) => error.hint(format!(
            "set {setting} to what the model was trained with in its place"
        )),
        None => error.hint("leave the column out, or fill it in the data file"),
    })
}

/// Writes a number: the shortest text that is read back as the same float64.
pub(crate) fn write_f64(out: &mut Vec<u8>, value: f64, column: &str) -> Result<(), Refusal> {
    if !value.is_finite() {
        return Err(infinite(column));
    }
    write_json(out, &value);
    Ok(())
}

/// Writes a number: the shortest text that is read back as the same float32.
pub(crate) fn write_f32(out: &mut Vec<u8>, value: f32, column: &str) -> Result<(), Refusal> {
    if !value.is_finite() {
        return Err(infinite(column));
    }
    write_json(out, &value);
    Ok(())
}

fn infinite(column: &str) -> Refusal {
    unsendable(
        Error::usage("a value is not a finite number, and JSON has no others")
            .at(format!("column {column}"))
            .hint("mend it in the data file, or set binary = \"always\" if the server takes it"),
    )
}

/// Writes anything that serialises to JSON without fail.
pub(crate) fn write_json(out: &mut Vec<u8>, value: &impl serde::Serialize) {
    // Texts, numbers and what is made of them; writing to memory does not fail.
    let _ = serde_json::to_writer(out, value);
}

/// Writes a row of a column.
pub(crate) fn write_cell(
    out: &mut Vec<u8>,
    name: &str,
    values: &QuestionValues,
    row: usize,
    missing: &Missing,
) -> Result<(), Refusal> {
    let setting = match values {
        QuestionValues::Numbers(values) => {
            if !values[row].is_nan() {
                return write_f64(out, values[row], name);
            }
            Some("missing-number")
        }
        QuestionValues::Whole(values) => {
            if let Some(value) = values[row] {
                write_json(out, &value);
                return Ok(());
            }
            Some("missing-number")
        }
        QuestionValues::Texts(values) => {
            if let Some(value) = &values[row] {
                write_json(out, value);
                return Ok(());
            }
            Some("missing-text")
        }
        QuestionValues::Truths(values) => {
            if let Some(value) = values[row] {
                write_json(out, &value);
                return Ok(());
            }
            None
        }
    };
    if !missing.null {
        return Err(missing_value(name, setting));
    }
    out.extend_from_slice(b"null");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(values: QuestionValues, missing: &Missing) -> Result<String, String> {
        let column = QuestionColumn {
            name: "c".into(),
            values,
        };
        let filled = missing.filled(&column);
        let mut out = Vec::new();
        for row in 0..filled.len() {
            write_cell(&mut out, "c", &filled, row, missing).map_err(|r| r.error.to_string())?;
            out.push(b' ');
        }
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn values_keep_their_types_and_the_missing_are_as_set() {
        let nulls = Missing {
            text: None,
            number: None,
            null: true,
        };
        let set = Missing {
            text: Some("?".into()),
            number: Some(-1.0),
            null: false,
        };
        let half = Missing {
            number: Some(0.5),
            ..set.clone()
        };
        let none = Missing {
            null: false,
            ..nulls.clone()
        };
        let numbers = || QuestionValues::Numbers(vec![1.0, 0.1, f64::NAN]);
        assert_eq!(text(numbers(), &nulls).unwrap(), "1.0 0.1 null ");
        assert_eq!(text(numbers(), &set).unwrap(), "1.0 0.1 -1.0 ");
        assert!(text(numbers(), &none).unwrap_err().contains("column c"));
        let whole = || QuestionValues::Whole(vec![Some(i64::MAX), None]);
        assert_eq!(text(whole(), &nulls).unwrap(), "9223372036854775807 null ");
        assert_eq!(text(whole(), &set).unwrap(), "9223372036854775807 -1 ");
        let small = QuestionValues::Whole(vec![Some(3), None]);
        assert_eq!(text(small, &half).unwrap(), "3.0 0.5 ");
        let texts = || QuestionValues::Texts(vec![Some("a\"b".into()), None]);
        assert_eq!(text(texts(), &nulls).unwrap(), "\"a\\\"b\" null ");
        assert_eq!(text(texts(), &set).unwrap(), "\"a\\\"b\" \"?\" ");
        let truths = || QuestionValues::Truths(vec![Some(true), None]);
        assert_eq!(text(truths(), &nulls).unwrap(), "true null ");
        assert!(text(truths(), &set).is_err());
        let infinite = QuestionValues::Numbers(vec![f64::INFINITY]);
        assert!(text(infinite, &nulls).unwrap_err().contains("finite"));
    }

    #[test]
    fn float32_is_written_as_short_as_it_can_be() {
        let mut out = Vec::new();
        for value in [0.1_f32, 1.0 / 3.0, 1e-30, 16_777_216.0] {
            write_f32(&mut out, value, "c").unwrap();
            out.push(b' ');
        }
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with("0.1 0.33333334 1e-30 16777216.0 "),
            "{text}"
        );
    }
}
