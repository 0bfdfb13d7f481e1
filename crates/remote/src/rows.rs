//! Answers in JSON: one for each question, in any of the forms that endpoints use.

use giveaway::target::Answers;
use ndarray::Array2;
use serde_json::Value;

/// Reads a body that must be JSON; the message says what else it is.
pub(crate) fn parse<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, NotJson> {
    serde_json::from_slice(body).map_err(|error| {
        if error.is_data() {
            return NotJson::Else(format!("the answer is not as it should be: {error}"));
        }
        if error.is_eof() {
            return NotJson::CutShort(body.len());
        }
        if let Some(word) = forbidden_number(body) {
            return NotJson::Else(format!(
                "the answer is not JSON: it holds {word}, so the model gave something that is not a number"
            ));
        }
        NotJson::Else(format!("the answer is not JSON ({error})"))
    })
}

/// Why a body is not the JSON that it should be.
#[derive(Debug)]
pub(crate) enum NotJson {
    /// It ends in the middle, after so many bytes.
    CutShort(usize),
    Else(String),
}

/// `NaN` or `Infinity` outside of texts, which Python and JavaScript write unasked.
fn forbidden_number(body: &[u8]) -> Option<&'static str> {
    let mut in_text = false;
    let mut escaped = false;
    for (at, &byte) in body.iter().enumerate() {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        if byte == b'"' {
            in_text = true;
        }
        for word in ["NaN", "Infinity"] {
            if body[at..].starts_with(word.as_bytes()) {
                return Some(word);
            }
        }
    }
    None
}

/// The probabilities of each question: arrays, objects of class and probability, lists of
/// objects with a text and a number each, or one number.
pub(crate) fn numbers(rows: &[&Value], classes: &[String]) -> Result<Answers, String> {
    let read = rows
        .iter()
        .enumerate()
        .map(|(at, row)| one_row(row).map_err(|what| format!("answer {}: {what}", at + 1)))
        .collect::<Result<Vec<Row>, String>>()?;
    if read.iter().any(|row| row.names.is_some()) {
        return named(&read, classes);
    }
    let columns = read.first().map_or(0, |row| row.values.len());
    let mut flat = Vec::with_capacity(rows.len() * columns);
    for (at, row) in read.iter().enumerate() {
        if row.values.len() != columns {
            return Err(format!(
                "answer {} has {} numbers and answer 1 has {columns}",
                at + 1,
                row.values.len()
            ));
        }
        flat.extend_from_slice(&row.values);
    }
    if columns == 0 && !rows.is_empty() {
        return Err("the answers hold no numbers".into());
    }
    let values =
        Array2::from_shape_vec((rows.len(), columns), flat).map_err(|error| error.to_string())?;
    Ok(Answers::Numbers {
        values,
        names: None,
    })
}

struct Row {
    values: Vec<f32>,
    names: Option<Vec<String>>,
}

/// Columns by name. Endpoints that give the most probable classes only leave the others out:
/// these are 0, as after any cut to the first k.
fn named(rows: &[Row], classes: &[String]) -> Result<Answers, String> {
    let mut names: Vec<&String> = classes.iter().collect();
    for (at, row) in rows.iter().enumerate() {
        let Some(own) = &row.names else {
            return Err(format!("answer {} has no names, and others have", at + 1));
        };
        for name in own {
            if !names.contains(&name) {
                if names.len() >= 4 * classes.len() + 64 {
                    return Err(format!(
                        "the answers name more and more classes, such as {name:?}"
                    ));
                }
                names.push(name);
            }
        }
    }
    // Other names than the classes' are passed on as they are, if no class is named at all.
    let known = rows
        .iter()
        .flat_map(|row| row.names.iter().flatten())
        .any(|name| classes.contains(name));
    if !known {
        names.drain(..classes.len());
    }
    let mut values = Array2::zeros((rows.len(), names.len()));
    for (at, row) in rows.iter().enumerate() {
        for (name, &value) in row.names.iter().flatten().zip(&row.values) {
            if let Some(column) = names.iter().position(|known| *known == name) {
                values[[at, column]] = value;
            }
        }
    }
    Ok(Answers::Numbers {
        values,
        names: Some(names.into_iter().cloned().collect()),
    })
}

fn one_row(row: &Value) -> Result<Row, String> {
    let nameless = |values| Row {
        values,
        names: None,
    };
    match row {
        Value::Array(items) => match items.as_slice() {
            [inner @ (Value::Array(_) | Value::Object(_))] if pair(inner).is_none() => {
                one_row(inner)
            }
            [Value::Object(_), ..] => {
                let pairs = items
                    .iter()
                    .map(pair)
                    .collect::<Option<Vec<_>>>()
                    .ok_or("a list of objects that are not a text and a number each")?;
                let (names, values): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
                Ok(Row {
                    values,
                    names: Some(names),
                })
            }
            _ => items
                .iter()
                .map(number)
                .collect::<Result<_, _>>()
                .map(nameless),
        },
        Value::Object(fields) => {
            let values = fields.values().map(number).collect::<Result<_, _>>()?;
            Ok(Row {
                values,
                names: Some(fields.keys().cloned().collect()),
            })
        }
        single => Ok(nameless(vec![number(single)?])),
    }
}

/// The text and the number of an object that has nothing else, such as
/// `{"label": "no", "score": 0.9}`.
fn pair(value: &Value) -> Option<(String, f32)> {
    let fields = value.as_object()?;
    let mut name = None;
    let mut found = None;
    for field in fields.values() {
        match field {
            Value::String(text) if name.is_none() => name = Some(text.clone()),
            Value::Number(_) if found.is_none() => found = Some(number(field).ok()?),
            _ => return None,
        }
    }
    Some((name?, found?))
}

/// A number; null is what servers write for one that is not a number.
pub(crate) fn number(value: &Value) -> Result<f32, String> {
    match value {
        Value::Null => Ok(f32::NAN),
        Value::Number(number) => number
            .as_f64()
            .map(|number| number as f32)
            .ok_or_else(|| format!("{number} is too large")),
        Value::String(text) => text
            .trim()
            .parse()
            .map_err(|_| format!("{} in place of a number", shortened(text))),
        other => Err(format!("{} in place of a number", kind(other))),
    }
}

/// What kind of JSON a value is.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn shortened(text: &str) -> String {
    let short: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
    format!("{short:?}")
}

/// The labels of each question.
pub(crate) fn labels(rows: &[&Value], classes: &[String]) -> Result<Answers, String> {
    let texts = rows
        .iter()
        .enumerate()
        .map(|(at, row)| label(row).map_err(|what| format!("answer {}: {what}", at + 1)))
        .collect::<Result<Vec<String>, String>>()?;
    named_labels(texts, classes).map(Answers::Labels)
}

fn label(value: &Value) -> Result<String, String> {
    match value {
        Value::Array(items) if items.len() == 1 => label(&items[0]),
        Value::String(text) => Ok(text.clone()),
        Value::Bool(truth) => Ok(truth.to_string()),
        Value::Number(number) => Ok(match number.as_f64() {
            Some(float) if number.is_f64() => number_label(float),
            _ => number.to_string(),
        }),
        other => Err(format!("{} in place of a label", kind(other))),
    }
}

/// A label that came as a number: 1.0 is class 1.
pub(crate) fn number_label(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        (value as i64).to_string()
    } else {
        value.to_string()
    }
}

/// Labels that are numbers are places in the list of classes, where no class is named by a
/// number.
pub(crate) fn named_labels(texts: Vec<String>, classes: &[String]) -> Result<Vec<String>, String> {
    if classes
        .iter()
        .any(|class| class.trim().parse::<f64>().is_ok())
    {
        return Ok(texts);
    }
    texts
        .into_iter()
        .map(|text| match text.parse::<usize>() {
            Ok(place) if !classes.contains(&text) => classes.get(place).cloned().ok_or_else(|| {
                format!(
                    "label {place} for {} classes, which count from 0",
                    classes.len()
                )
            }),
            _ => Ok(text),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use serde_json::json;

    fn classes() -> Vec<String> {
        vec!["no".into(), "yes".into()]
    }

    fn read(value: &Value) -> Result<(Array2<f32>, Option<Vec<String>>), String> {
        let rows: Vec<&Value> = value.as_array().unwrap().iter().collect();
        match numbers(&rows, &classes())? {
            Answers::Numbers { values, names } => Ok((values, names)),
            Answers::Labels(_) => unreachable!(),
        }
    }

    #[test]
    fn every_form_of_probabilities_is_read() {
        let both = array![[0.25, 0.75], [1.0, 0.0]];
        let named = Some(classes());
        for (value, names) in [
            (json!([[0.25, 0.75], [1, 0]]), None),
            (json!([[[0.25, 0.75]], [["1", "0.0"]]]), None),
            (json!([{"yes": 0.75, "no": 0.25}, {"no": 1}]), named.clone()),
            (
                json!([
                    [{"label": "yes", "score": 0.75}, {"label": "no", "score": 0.25}],
                    [{"label": "no", "score": 1.0}]
                ]),
                named,
            ),
        ] {
            assert_eq!(read(&value).unwrap(), (both.clone(), names), "{value}");
        }
        assert_eq!(read(&json!([0.5, 1])).unwrap().0, array![[0.5], [1.0]]);
        let (_, names) = read(&json!([{"a": 0.5}, {"b": 1}])).unwrap();
        assert_eq!(names.unwrap(), ["a", "b"]);
        assert!(read(&json!([[null, 1.0]])).unwrap().0[[0, 0]].is_nan());
    }

    #[test]
    fn what_is_no_row_is_named() {
        for (value, words) in [
            (json!([[0.5, 0.5], [1.0]]), "answer 2 has 1 numbers"),
            (json!([[0.5, "x"]]), "answer 1: \"x\" in place of a number"),
            (json!([[0.5, true]]), "a truth value"),
            (json!([[]]), "no numbers"),
            (json!([{"a": 1}, [1]]), "answer 2 has no names"),
            (
                json!([[{"a": 1, "b": 2}, {"a": 1, "b": 2}]]),
                "a text and a number",
            ),
            (json!([{"a": {}}]), "an object in place of a number"),
        ] {
            let error = read(&value).unwrap_err();
            assert!(error.contains(words), "{value}: {error}");
        }
    }

    #[test]
    fn labels_are_names_or_places() {
        let read = |value: Value, classes: &[&str]| {
            let classes: Vec<String> = classes.iter().map(|&c| c.into()).collect();
            let rows: Vec<&Value> = value.as_array().unwrap().iter().collect();
            labels(&rows, &classes).map(|answers| match answers {
                Answers::Labels(labels) => labels,
                Answers::Numbers { .. } => unreachable!(),
            })
        };
        assert_eq!(
            read(json!(["yes", "no"]), &["no", "yes"]).unwrap(),
            ["yes", "no"]
        );
        assert_eq!(
            read(json!([1, 0.0, [1]]), &["no", "yes"]).unwrap(),
            ["yes", "no", "yes"]
        );
        assert_eq!(read(json!([1, 2.0]), &["1", "2"]).unwrap(), ["1", "2"]);
        assert_eq!(read(json!([true]), &["false", "true"]).unwrap(), ["true"]);
        assert!(
            read(json!([2]), &["no", "yes"])
                .unwrap_err()
                .contains("label 2")
        );
        assert!(
            read(json!([{}]), &["no", "yes"])
                .unwrap_err()
                .contains("an object")
        );
    }

    #[test]
    fn what_is_not_json_is_told_apart() {
        let parse = |text: &str| super::parse::<Value>(text.as_bytes()).unwrap_err();
        assert!(matches!(parse("[1, 2"), NotJson::CutShort(5)));
        assert!(matches!(parse(""), NotJson::CutShort(0)));
        for (text, word) in [
            ("[1, NaN]", "NaN"),
            ("[\"NaN \\\" NaN\", -Infinity]", "Infinity"),
            ("<html>", "not JSON ("),
            ("[\"NaN\" x]", "not JSON ("),
        ] {
            match parse(text) {
                NotJson::Else(what) => assert!(what.contains(word), "{what}"),
                NotJson::CutShort(_) => panic!("{text}"),
            }
        }
    }
}
