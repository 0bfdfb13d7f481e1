//! Answers in JSON: one for each question, in any of the forms that endpoints use.

use std::collections::HashMap;

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
pub(crate) fn numbers(rows: &[&Value], classes: &[String]) -> Result<Answers, Misread> {
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
            )
            .into());
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

/// Why answers cannot be read, and what may be done about it.
#[derive(Debug)]
pub(crate) struct Misread {
    pub(crate) what: String,
    /// Nothing of what the server said.
    pub(crate) hint: Option<&'static str>,
}

impl From<String> for Misread {
    fn from(what: String) -> Self {
        Self { what, hint: None }
    }
}

impl From<&str> for Misread {
    fn from(what: &str) -> Self {
        what.to_owned().into()
    }
}

/// Columns by name, one for each class. Endpoints that give the most probable classes only leave
/// the others out: these are 0, as after any cut to the first k. What a row has beside classes is
/// left out.
fn named(rows: &[Row], classes: &[String]) -> Result<Answers, Misread> {
    if let Some(at) = rows.iter().position(|row| row.names.is_none()) {
        return Err(format!("answer {} has no names, and others have", at + 1).into());
    }
    let naming = Naming::of(classes);
    let mut values = Array2::zeros((rows.len(), classes.len()));
    for (at, row) in rows.iter().enumerate() {
        let own = row.names.as_deref().unwrap_or_default();
        let places = naming.places(own).map_err(|misread| Misread {
            what: format!("answer {} {}", at + 1, misread.what),
            ..misread
        })?;
        for (place, &value) in places.into_iter().zip(&row.values) {
            if let Some(place) = place {
                values[[at, place]] = value;
            }
        }
    }
    Ok(Answers::Numbers {
        values,
        names: Some(classes.to_vec()),
    })
}

const NAME_THEM: &str = "have the model name the classes as the labels of the data are written, or describe another path in `probabilities`, to lists of numbers in the order of the classes";

/// Which class a name means. What a row of names means does not depend on other rows, so that
/// all batches are read alike.
struct Naming<'a> {
    classes: &'a [String],
    exact: HashMap<&'a str, usize>,
    /// As [`interpret`](giveaway::target::interpret) compares; none where several classes are
    /// alike.
    plain: HashMap<String, Option<usize>>,
    /// Whether a class is a whole number.
    numbered: bool,
    /// Whether whole numbers are places: no class is called by the number of another's place.
    counted: bool,
}

impl<'a> Naming<'a> {
    fn of(classes: &'a [String]) -> Self {
        let mut plain_names = HashMap::new();
        for (place, class) in classes.iter().enumerate() {
            plain_names
                .entry(plain(class))
                .and_modify(|alike| *alike = None)
                .or_insert(Some(place));
        }
        let numbers: Vec<Option<usize>> = classes.iter().map(|class| whole(class)).collect();
        Self {
            classes,
            exact: (0..classes.len())
                .map(|place| (classes[place].as_str(), place))
                .collect(),
            plain: plain_names,
            numbered: numbers.iter().any(Option::is_some),
            counted: numbers.iter().enumerate().all(|(place, number)| {
                number.is_none_or(|number| number == place || number >= classes.len())
            }),
        }
    }

    /// The class of each name of a row; none for what stands beside classes.
    fn places(&self, names: &[String]) -> Result<Vec<Option<usize>>, Misread> {
        let mut places: Vec<Option<usize>> = names
            .iter()
            .map(|name| self.exact.get(name.as_str()).copied())
            .collect();
        // "Yes" is the class "yes", unless "yes" is named as well.
        for (at, name) in names.iter().enumerate() {
            let alike = || self.plain.get(&plain(name)).copied().flatten();
            if places[at].is_none()
                && let Some(class) = alike()
                && !names.contains(&self.classes[class])
            {
                places[at] = Some(class);
            }
        }
        if places.iter().all(Option::is_none) {
            places = names.iter().map(|name| self.numbered_place(name)).collect();
            if names.is_empty() || places.iter().any(Option::is_none) {
                return Err(Misread {
                    what: format!(
                        "names no class: it names {}, and the classes are {}",
                        listed(names),
                        listed(self.classes)
                    ),
                    hint: Some(NAME_THEM),
                });
            }
        }
        // What stands beside all classes is the server's own; beside some of them it may be
        // another class by another name, and so may a number beside numbers.
        let has_all = places.iter().flatten().count() >= self.classes.len();
        let strange = names.iter().zip(&places).find(|(name, place)| {
            place.is_none() && (!has_all || self.numbered && whole(name).is_some())
        });
        if let Some((name, _)) = strange {
            return Err(Misread {
                what: format!(
                    "names {} beside classes, and it is none of them: the classes are {}",
                    shortened(name),
                    listed(self.classes)
                ),
                hint: Some(NAME_THEM),
            });
        }
        let mut seen = vec![false; self.classes.len()];
        for place in places.iter().flatten() {
            if std::mem::replace(&mut seen[*place], true) {
                return Err(
                    format!("names class {} twice", shortened(&self.classes[*place])).into(),
                );
            }
        }
        Ok(places)
    }

    /// The class that a name means by its number: `"1"`, or `"LABEL_1"` as Hugging Face's models
    /// have it that were told no names.
    fn numbered_place(&self, name: &str) -> Option<usize> {
        let place = match name.strip_prefix("LABEL_") {
            Some(number) => whole(number)?,
            None if self.counted => whole(name)?,
            None => return None,
        };
        (place < self.classes.len()).then_some(place)
    }
}

fn plain(name: &str) -> String {
    name.trim().to_lowercase()
}

/// A whole number from 0 that is written in the one usual way.
fn whole(text: &str) -> Option<usize> {
    let number = text.parse::<usize>().ok()?;
    (number.to_string() == text).then_some(number)
}

/// Some names in words.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 8;
    if names.is_empty() {
        return "nothing".to_owned();
    }
    let shown: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| shortened(name))
        .collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
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
    // Not cut: what is left of a secret that was cut could not be told from other text.
    match text.chars().count() {
        0..=40 => format!("{text:?}"),
        characters => format!("a text of {characters} characters"),
    }
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

    fn read(value: &Value) -> Result<(Array2<f32>, Option<Vec<String>>), Misread> {
        read_as(value, &classes())
    }

    fn read_as(
        value: &Value,
        classes: &[String],
    ) -> Result<(Array2<f32>, Option<Vec<String>>), Misread> {
        let rows: Vec<&Value> = value.as_array().unwrap().iter().collect();
        match numbers(&rows, classes)? {
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
            let error = read(&value).unwrap_err().what;
            assert!(error.contains(words), "{value}: {error}");
        }
    }

    #[test]
    fn names_that_are_no_classes_are_refused() {
        for (value, words) in [
            (
                json!([[{"label": "LABEL_X", "score": 0.9}, {"label": "LABEL_Y", "score": 0.1}]]),
                r#"answer 1 names no class: it names "LABEL_X", "LABEL_Y", and the classes are "no", "yes""#,
            ),
            // As many as there are classes, and more than that.
            (json!([{"a": 0.5, "b": 0.5}]), r#"it names "a", "b""#),
            (json!([{"LABEL_0": 0.5, "LABEL_2": 0.5}]), "names no class"),
            (json!([{"1": 0.5, "2": 0.5}]), "names no class"),
            (json!([{"0": 0.5, "1": 0.5, "ms": 3}]), "names no class"),
            (json!([{"00": 1}]), "names no class"),
            // No answers among others.
            (
                json!([{"yes": 0.7, "no": 0.3}, {"error": 503}]),
                r#"answer 2 names no class: it names "error""#,
            ),
            (
                json!([{"yes": 0.7, "no": 0.3}, {}, {"yes": 1}]),
                "answer 2 names no class: it names nothing",
            ),
            (json!([{}, {}]), "answer 1 names no class"),
        ] {
            let error = read(&value).unwrap_err();
            assert!(error.what.contains(words), "{value}: {}", error.what);
            assert!(error.hint.unwrap().contains("another path"), "{value}");
        }
        let twice = json!([[{"label": "no", "score": 0.9}, {"label": "no", "score": 0.1}]]);
        assert!(read(&twice).unwrap_err().what.contains("\"no\" twice"));
    }

    #[test]
    fn classes_by_number_are_read_alike_in_every_batch() {
        let score = |label: &str, score: f32| json!({"label": label, "score": score});
        // Sorted by score, as Hugging Face's pipelines answer: either may be the first.
        for (value, expected) in [
            (
                json!([[score("LABEL_1", 0.75), score("LABEL_0", 0.25)]]),
                array![[0.25, 0.75]],
            ),
            (
                json!([[score("LABEL_0", 0.75), score("LABEL_1", 0.25)]]),
                array![[0.75, 0.25]],
            ),
            // The most probable only.
            (
                json!([[score("LABEL_1", 0.75)], [score("LABEL_0", 1.0)]]),
                array![[0.0, 0.75], [1.0, 0.0]],
            ),
            (json!([{"1": 0.75, "0": 0.25}]), array![[0.25, 0.75]]),
        ] {
            assert_eq!(
                read(&value).unwrap(),
                (expected, Some(classes())),
                "{value}"
            );
        }
        // As text "10" comes before "2".
        let twelve: Vec<String> = ('a'..='l').map(String::from).collect();
        let fields: serde_json::Map<String, Value> = (0..12)
            .map(|class| (class.to_string(), class.into()))
            .collect();
        let (values, _) = read_as(&json!([fields]), &twelve).unwrap();
        assert_eq!(
            values.row(0).to_vec(),
            (0..12u8).map(f32::from).collect::<Vec<_>>()
        );
    }

    #[test]
    fn classes_that_are_numbers_go_by_their_names() {
        let classes = |names: &[&str]| names.iter().map(|&name| name.into()).collect::<Vec<_>>();
        let keys = json!([{"0": 0.25, "1": 0.75}]);
        let (values, _) = read_as(&keys, &classes(&["0", "1"])).unwrap();
        assert_eq!(values, array![[0.25, 0.75]]);
        let (values, _) = read_as(&keys, &classes(&["1", "0"])).unwrap();
        assert_eq!(values, array![[0.75, 0.25]]);
        let (values, _) = read_as(&keys, &classes(&["10", "20"])).unwrap();
        assert_eq!(values, array![[0.25, 0.75]]);
        // Whether "1" is the first class or the second cannot be told, nor what "0" is.
        let error = read_as(&keys, &classes(&["1", "2"])).unwrap_err();
        assert!(error.what.contains("names \"0\" beside"), "{}", error.what);
        let error = read_as(&json!([{"0": 1}]), &classes(&["1", "2"])).unwrap_err();
        assert!(error.what.contains("names no class"), "{}", error.what);
    }

    /// It may be the other class by another name.
    #[test]
    fn what_stands_beside_some_classes_is_refused() {
        let error = read(&json!([{"maybe": 0.25, "yes": 0.75}])).unwrap_err();
        assert!(
            error.what.contains("names \"maybe\" beside"),
            "{}",
            error.what
        );
    }

    #[test]
    fn what_stands_beside_classes_is_left_out() {
        for (value, expected) in [
            (
                json!([{"yes": 0.75, "no": 0.25, "ms": null}]),
                array![[0.25, 0.75]],
            ),
            (json!([{"yes": 0.75}]), array![[0.0, 0.75]]),
            // However they are written, in each row anew.
            (
                json!([{"Yes": 0.75, "No": 0.25}, {"yes": 0.5, " NO": 0.5}]),
                array![[0.25, 0.75], [0.5, 0.5]],
            ),
            (
                json!([{"yes": 0.75, "Yes": 9, "no": 0.25}]),
                array![[0.25, 0.75]],
            ),
        ] {
            assert_eq!(
                read(&value).unwrap(),
                (expected, Some(classes())),
                "{value}"
            );
        }
    }

    #[test]
    fn texts_are_shown_whole_or_not_at_all() {
        let error = |text: &str| read(&json!([[text, 1]])).unwrap_err().what;
        assert!(error("a\nb").contains(r#""a\nb" in place"#));
        let long = error(&"token".repeat(9));
        assert!(long.contains("a text of 45 characters in place"), "{long}");
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
