//! The JSON Schema of `report.json`, made from the types that are written.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::{Audit, FORMAT_VERSION};

/// The schema, in the dialect of 2020-12. It says what this version of giveaway writes.
///
/// Properties that it does not know are allowed: what comes anew within a format version is
/// added, and readers may ignore it. The version of the format is a constant of the schema, so
/// a document of another version does not pass.
#[must_use]
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator();
    let mut schema = generator.into_root_schema_for::<Audit>().to_value();
    schema["$id"] = json!(format!("urn:giveaway:report:{FORMAT_VERSION}"));
    schema["title"] = json!(format!(
        "report.json of giveaway, format version {FORMAT_VERSION}"
    ));
    schema["properties"]["format_version"]["const"] = json!(FORMAT_VERSION);
    // New attacks come without a new version of the format.
    if let Some(method) = schema["$defs"].get_mut("Method") {
        let named = method.take();
        *method = json!({
            "description": named["description"],
            "anyOf": [
                { "oneOf": named["oneOf"] },
                { "type": "string", "description": "One that came later." },
            ],
        });
    }
    describe(&mut schema);
    schema
}

/// The schema as it stands in `docs/report.schema.json`.
#[must_use]
pub fn text() -> String {
    format!("{:#}\n", schema())
}

/// Makes prose of descriptions, which are doc comments: one line for each paragraph, and no
/// links to Rust.
fn describe(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                match member {
                    Value::String(text) if name == "description" => *text = prose(text),
                    other => describe(other),
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(describe),
        _ => {}
    }
}

fn prose(comment: &str) -> String {
    let paragraphs: Vec<String> = comment
        .split("\n\n")
        .map(|paragraph| {
            let line = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
            without_links(&line)
        })
        .collect();
    paragraphs.join("\n\n")
}

/// ``[`name`]`` and ``[`name`](place)`` become `` `name` ``.
fn without_links(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, link)) = rest.split_once("[`") {
        out.push_str(before);
        let Some((name, after)) = link.split_once("`]") else {
            out.push_str("[`");
            rest = link;
            break;
        };
        out.push('`');
        out.push_str(name);
        out.push('`');
        rest = after
            .strip_prefix('(')
            .and_then(|place| place.split_once(')'))
            .map_or(after, |(_, after)| after);
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_prose() {
        assert_eq!(
            prose("As in [`Level`](super::Level)\nof [`A`]\n\nand [1, 2]."),
            "As in `Level` of `A`\n\nand [1, 2]."
        );
        assert_eq!(without_links("an [`open one"), "an [`open one");
    }
}
