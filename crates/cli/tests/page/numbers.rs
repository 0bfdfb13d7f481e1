//! Whether what a page says is what its `report.json` says.
//!
//! The page names its sources: `<data value="0.0264" data-from="/verdict/…">2.6 %</data>` for a
//! number, any other element with `data-from` for words, by JSON pointer (RFC 6901).

use serde_json::{Value, json};

use crate::webdriver::Browser;

/// How many numbers and words were compared, and what differs.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) numbers: usize,
    pub(crate) words: usize,
    pub(crate) faults: Vec<String>,
}

/// Compares everything on the page that names its source with the report.
pub(crate) fn compare(browser: &Browser, report: &Value) -> Comparison {
    let quoted = browser.run(
        "return [...document.querySelectorAll('[data-from]')].map(e => ({
           from: e.dataset.from, text: e.textContent,
           value: e.tagName === 'DATA' ? e.getAttribute('value') : null,
           points: e.dataset.unit === 'points'}))",
        &[],
    );
    let mut comparison = Comparison::default();
    for element in quoted.as_array().unwrap() {
        let from = element["from"].as_str().unwrap();
        let text = element["text"].as_str().unwrap();
        let fault = match (element["value"].as_str(), report.pointer(from)) {
            (_, None) => Err("the report has nothing there".to_owned()),
            (Some(value), Some(source)) => {
                comparison.numbers += 1;
                let in_points = element["points"].as_bool() == Some(true);
                number_fault(value, text, source, in_points)
            }
            (None, Some(source)) => {
                comparison.words += 1;
                if source.as_str() == Some(text) {
                    Ok(())
                } else {
                    Err(format!("the report has {source}"))
                }
            }
        };
        if let Err(fault) = fault {
            comparison.faults.push(format!("{from}: {text:?}: {fault}"));
        }
    }
    comparison
}

/// Text of the page with a digit in it that names no source. Figures, the records (which are
/// compared with `records.parquet`), the count of those shown, words of the data (`bdi`, the
/// classes to choose from) and
/// what is marked `data-fixed` are left out.
pub(crate) fn digits_without_source(browser: &Browser) -> Vec<String> {
    let found = browser.run(
        "const found = [];
         const walker = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
         const exempt = '[data-from], [data-fixed], svg, script, style, dialog, bdi, #filter-class, #records-table, #records-status';
         while (walker.nextNode()) {
           const node = walker.currentNode;
           if (/\\p{Nd}/u.test(node.data) && !node.parentElement.closest(exempt))
             found.push(`${node.parentElement.tagName} in ${node.parentElement.closest('[id]').id}: ${node.data.trim()}`);
         }
         return found",
        &[],
    );
    let found = found.as_array().unwrap().iter();
    found
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

/// `in_points`: the text says a change in percentage points, with its sign.
fn number_fault(value: &str, text: &str, source: &Value, in_points: bool) -> Result<(), String> {
    let source = source
        .as_f64()
        .ok_or_else(|| format!("the report has {source}, which is no number"))?;
    let value: f64 = value
        .parse()
        .map_err(|_| format!("value={value:?} is no number"))?;
    if value.to_bits() != source.to_bits() {
        return Err(format!("value={value:?}, and the report has {source:?}"));
    }
    let is_said = if in_points {
        let size = match (text.strip_prefix('+'), value > 0.0) {
            (Some(size), true) => size,
            (Some(_), false) => return Err(format!("that is not {value}")),
            (None, _) => text,
        };
        says(&format!("{size}%"), value)?
    } else {
        says(text, value)?
    };
    if is_said {
        Ok(())
    } else {
        Err(format!("that is not {value}"))
    }
}

/// Whether a text says this number, to the digits that it shows.
///
/// # Errors
/// If it is no number as this page writes them.
fn says(text: &str, value: f64) -> Result<bool, String> {
    says_about(text, value, 1e-12)
}

/// The same of a number that was rounded before, to this relative precision.
///
/// # Errors
/// As [`says`].
pub(crate) fn says_about(text: &str, value: f64, carried: f64) -> Result<bool, String> {
    let plain: String = text
        .chars()
        .filter(|c| !matches!(c, '\u{a0}' | '\u{2009}' | '\u{202f}' | ',' | ' '))
        .map(|c| if c == '−' { '-' } else { c })
        .collect();
    if let Some(cases) = plain.strip_prefix("1in") {
        let shown = Shown::read(cases).ok_or_else(|| format!("{cases:?} is no number"))?;
        // Whole numbers of more than two digits are rounded to two.
        let digits = whole(cases.len())?;
        let shown = Shown {
            unit: 10f64.powi((digits - 2).max(0)),
            ..shown
        };
        return Ok(shown.is(1.0 / value, carried));
    }
    let (number, scale) = match plain.strip_suffix('%') {
        Some(number) => (number, 100.0),
        None => (plain.as_str(), 1.0),
    };
    let shown = Shown::read(number).ok_or_else(|| "no number that can be read".to_owned())?;
    Ok(shown.is(scale * value, carried))
}

/// A number as it is written: its value, and the worth of its last digit.
#[derive(Clone, Copy)]
struct Shown {
    value: f64,
    unit: f64,
}

impl Shown {
    /// Reads `12`, `.5`, `1.20`, `3.2e-7`, `3.2×10⁻⁷`.
    fn read(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once('e') {
            Some((mantissa, exponent)) => (mantissa, exponent.parse().ok()?),
            None => match text.split_once("×10") {
                Some((mantissa, exponent)) => (mantissa, superscript(exponent)?),
                None => (text, 0),
            },
        };
        if !mantissa.contains(|c: char| c.is_ascii_digit())
            || !mantissa
                .chars()
                .all(|c| c.is_ascii_digit() || matches!(c, '.' | '-'))
        {
            return None;
        }
        let decimals = whole(mantissa.split_once('.').map_or(0, |(_, d)| d.len())).ok()?;
        // One reading of the whole text: a product would be off by a rounding.
        let value = format!("{mantissa}e{exponent}").parse().ok()?;
        Some(Self {
            value,
            unit: 10f64.powi(exponent - decimals),
        })
    }

    /// Whether a number is rounded to this one; a half either way.
    fn is(self, number: f64, carried: f64) -> bool {
        let off = (number - self.value).abs();
        off <= 0.5 * self.unit * (1.0 + 1e-9) + carried * number.abs()
    }
}

fn whole(length: usize) -> Result<i32, String> {
    i32::try_from(length).map_err(|_| "too long".to_owned())
}

fn superscript(text: &str) -> Option<i32> {
    let digits = "⁰¹²³⁴⁵⁶⁷⁸⁹";
    let plain: String = text
        .chars()
        .map(|c| match (c, digits.chars().position(|digit| digit == c)) {
            ('⁻', _) => Some('-'),
            (_, Some(digit)) => char::from_digit(digit as u32, 10),
            _ => None,
        })
        .collect::<Option<_>>()?;
    plain.parse().ok()
}

#[test]
fn texts_say_their_numbers_and_no_others() {
    let yes = [
        ("2.6\u{a0}%", 0.0264),
        ("26 %", 0.2649),
        ("5%", 0.05),
        (".564", 0.5637),
        (".0012", 0.00118),
        (".000", 0.0),
        ("1.000", 1.0),
        ("3.2e-7", 3.24e-7),
        ("3.2 × 10⁻⁷", 3.24e-7),
        ("12,345", 12_345.0),
        ("12\u{2009}345", 12_345.0),
        ("-1,234", -1234.0),
        ("−0.5", -0.5),
        ("1 in 43,000", 2.309e-5),
        ("1 in 3", 0.3),
        ("1 in 24", 1.0 / 24.2),
        ("0.5", 0.45),
    ];
    for (text, value) in yes {
        assert_eq!(says(text, value), Ok(true), "{text} {value}");
    }
    let no = [
        ("2.6\u{a0}%", 0.0266),
        ("2.6\u{a0}%", 2.6),
        (".564", 0.5634),
        ("3.2e-7", 3.3e-7),
        ("12,345", 12_346.0),
        ("1 in 43,000", 1.0 / 44_000.0),
        ("1 in 24", 1.0 / 25.0),
        ("-0.5", 0.5),
    ];
    for (text, value) in no {
        assert_eq!(says(text, value), Ok(false), "{text} {value}");
    }
    for text in ["", "n/a", "12 apples", "1e", "x10", "1.2.3", "--1", "."] {
        assert!(says(text, 1.0).is_err(), "{text}");
    }
}

#[test]
fn a_number_must_be_the_reports_own() {
    let fault = |value, text, source: Value| number_fault(value, text, &source, false).is_err();
    assert!(!fault("0.30000000000000004", ".300", json!(0.1 + 0.2)));
    assert!(fault("0.3", ".300", json!(0.1 + 0.2)));
    assert!(fault("0.3", ".301", json!(0.3)));
    assert!(fault("0.3", ".300", json!("0.3")));
    assert!(fault("", ".300", json!(0.3)));
    assert!(!fault("12", "12", json!(12)));
    let points =
        |text, source: f64| number_fault(&source.to_string(), text, &json!(source), true).is_ok();
    assert!(points("+0.13", 0.001_26) && points("−12.3", -0.1234) && points("0.00", -0.000_04));
    assert!(!points("0.13", 0.126) && !points("+0.13", -0.001_26) && !points("12.3", -0.1234));
}
