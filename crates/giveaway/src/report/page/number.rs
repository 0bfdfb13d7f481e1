//! Numbers and words of `report.json` on the page, each with the place that it comes from.
//!
//! What the page says of an audit is taken from the JSON document and from nowhere else, so
//! the two cannot differ. A number becomes `<data value="0.0264" data-from="/verdict/…">2.6 %</data>`:
//! the whole number for programs, a short one for people, and a JSON pointer (RFC 6901).

use std::fmt;

use askama::filters::HtmlSafe;
use serde_json::Value;

use crate::report::chart::escape;
use crate::report::shown::{digits, percent, significant, small};

/// How a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// A whole number, thousands apart.
    Count,
    /// A percentage.
    Percent,
    /// A percentage with a decimal.
    PercentFine,
    /// Two digits.
    Significant,
    /// A rate without leading zero: `.564`.
    Rate,
    /// Three decimals: losses, accuracies.
    Decimals,
    /// A p-value.
    Small,
    /// A small probability as `1 in 43,000`, two digits of it.
    OneIn,
    /// A number of expected cases: one decimal below ten.
    Expected,
    /// A change of a share in points, with its sign and a decimal.
    Points,
    /// The same with two decimals.
    PointsFine,
}

impl Style {
    fn is_points(self) -> bool {
        matches!(self, Self::Points | Self::PointsFine)
    }
}

/// Markup that is safe already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Html(pub(crate) String);

impl fmt::Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Html {}
impl askama::FastWritable for Html {
    fn write_into(&self, dest: &mut dyn fmt::Write, _: &dyn askama::Values) -> askama::Result<()> {
        Ok(dest.write_str(&self.0)?)
    }
}

/// The numbers and words of a `report.json`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers<'a> {
    json: &'a Value,
}

impl<'a> Numbers<'a> {
    pub(crate) fn new(json: &'a Value) -> Self {
        Self { json }
    }

    fn find(self, pointer: &str) -> Option<&'a Value> {
        self.json.pointer(pointer)
    }

    /// A number; `n/a` where the report has none.
    pub(crate) fn show(self, pointer: impl AsRef<str>, style: Style) -> Html {
        let pointer = pointer.as_ref();
        let Some(Value::Number(number)) = self.find(pointer) else {
            return self.none(pointer);
        };
        let text = write(number.as_f64().unwrap_or(f64::NAN), style);
        let unit = if style.is_points() {
            " data-unit=\"points\""
        } else {
            ""
        };
        Html(format!(
            "<data value=\"{number}\" data-from=\"{}\"{unit}>{}</data>",
            escape(pointer),
            escape(&text)
        ))
    }

    /// An estimate with its interval, where it has one.
    pub(crate) fn estimate(self, pointer: impl AsRef<str>, style: Style) -> Html {
        let pointer = pointer.as_ref();
        let part = |name: &str| self.show(format!("{pointer}/{name}"), style);
        let has = |name: &str| {
            self.find(&format!("{pointer}/{name}"))
                .is_some_and(Value::is_number)
        };
        let value = part("value");
        if has("value") && has("lower") && has("upper") {
            // Beside a sign, a dash would look like one.
            let lower = self.find(&format!("{pointer}/lower"));
            let is_signed =
                style.is_points() || lower.and_then(Value::as_f64).is_some_and(|low| low < 0.0);
            let to = if is_signed { ", " } else { "–" };
            Html(format!(
                "{value} <span class=\"interval\">[{}{to}{}]</span>",
                part("lower"),
                part("upper")
            ))
        } else {
            value
        }
    }

    /// Words of the report, as they are.
    pub(crate) fn quote(self, pointer: impl AsRef<str>) -> Html {
        let pointer = pointer.as_ref();
        match self.find(pointer) {
            Some(Value::String(text)) => Html(format!(
                "<bdi data-from=\"{}\">{}</bdi>",
                escape(pointer),
                escape(text)
            )),
            _ => self.none(pointer),
        }
    }

    /// What stands where there is nothing. A place that the report does not even have is a
    /// mistake of ours, or the report is of an older version: tests look for the attribute.
    fn none(self, pointer: &str) -> Html {
        if self.find(pointer).is_some() {
            none()
        } else {
            Html(format!(
                "<span class=\"none\" data-absent=\"{}\">n/a</span>",
                escape(pointer)
            ))
        }
    }
}

/// What stands where there is no number.
pub(crate) fn none() -> Html {
    Html("<span class=\"none\">n/a</span>".to_owned())
}

/// A number for people.
pub(crate) fn write(value: f64, style: Style) -> String {
    match style {
        Style::Expected if value < 10.0 => format!("{value:.1}"),
        Style::Count | Style::Expected => thousands(value.round()),
        Style::Percent => percent(value),
        Style::PercentFine => format!("{:.1}\u{a0}%", 100.0 * value),
        Style::Significant => significant(value),
        Style::Rate if value > 0.0 && value < 0.001 => small(value),
        Style::Rate => digits(value),
        Style::Decimals => format!("{value:.3}"),
        Style::Small => small(value),
        Style::OneIn if value > 0.0 => {
            let one_in = 1.0 / value;
            let unit = 10f64.powf(one_in.log10().floor() - 1.0).max(1.0);
            format!("1 in {}", thousands((one_in / unit).round() * unit))
        }
        Style::OneIn => "0".to_owned(),
        Style::Points => points(value, 1),
        Style::PointsFine => points(value, 2),
    }
}

/// Points with a sign, that of what is shown: nothing is not less than nothing.
fn points(share: f64, decimals: usize) -> String {
    let size = format!("{:.decimals$}", 100.0 * share.abs());
    if size.bytes().all(|byte| matches!(byte, b'0' | b'.')) {
        size
    } else if share < 0.0 {
        format!("−{size}")
    } else {
        format!("+{size}")
    }
}

/// A whole number with commas between thousands.
pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", digits.as_str()),
    };
    let mut text = sign.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_those_of_the_report() {
        let json = json!({"a": {"value": 0.1 + 0.2, "lower": null, "upper": 0.4}, "n": 12_345, "s": "<b>"});
        let numbers = Numbers::new(&json);
        assert_eq!(
            numbers.show("/a/value", Style::Rate).0,
            "<data value=\"0.30000000000000004\" data-from=\"/a/value\">.300</data>"
        );
        assert!(!numbers.estimate("/a", Style::Rate).0.contains('['));
        let json = json!({"value": -1.0, "lower": -2.0, "upper": 0.5});
        let signed = Numbers::new(&json).estimate("", Style::Decimals).0;
        assert!(signed.contains("</data>, <data"), "{signed}");
        let json = json!({"value": 1.0, "lower": 0.0, "upper": 2.0});
        let plain = Numbers::new(&json).estimate("", Style::Decimals).0;
        assert!(plain.contains("</data>–<data"), "{plain}");
        assert!(numbers.show("/n", Style::Count).0.contains(">12,345<"));
        assert!(numbers.show("/a/lower", Style::Rate).0.contains("n/a"));
        assert_eq!(
            numbers.show("/a/upper", Style::Points).0,
            "<data value=\"0.4\" data-from=\"/a/upper\" data-unit=\"points\">+40.0</data>"
        );
        assert_eq!(
            numbers.quote("/s").0,
            "<bdi data-from=\"/s\">&lt;b&gt;</bdi>"
        );
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(write(2.309e-5, Style::OneIn), "1 in 43,000");
        assert_eq!(write(0.3, Style::OneIn), "1 in 3");
        assert_eq!(write(0.632, Style::Expected), "0.6");
        assert_eq!(write(1_234_567.0, Style::Count), "1,234,567");
        assert_eq!(write(-1234.0, Style::Count), "-1,234");
        assert_eq!(write(1.333_521e-4, Style::Significant), "1.3e-4");
        assert_eq!(write(17.78, Style::Significant), "18");
        assert_eq!(write(0.5644, Style::PercentFine), "56.4\u{a0}%");
        assert_eq!(write(999.0, Style::Count), "999");
        assert_eq!(write(-0.1234, Style::Points), "−12.3");
        assert_eq!(write(0.001_26, Style::PointsFine), "+0.13");
        assert_eq!(write(-0.000_04, Style::PointsFine), "0.00");
    }
}
