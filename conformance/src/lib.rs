//! The conformance suite: what giveaway computes beside what others do.
//!
//! Three kinds of rows: [`attacks`] against the files of `conformance/attacks`, which a numpy
//! and scipy script wrote from the papers' formulas; [`definitions`], fast forms against
//! brute force on random input made here; and [`known`], single values that papers and other
//! projects' tests give. `conformance/ATTACKS.md` says what each attack agrees with.

pub mod attacks;
pub mod case;
pub mod definitions;
pub mod known;

use std::fmt::Write as _;

/// What went wrong before anything could be compared.
pub type Failure = Box<dyn std::error::Error>;

/// The largest relative difference that passes.
pub const TOLERANCE: f64 = 1e-6;

/// A difference of at most this much passes, whatever it is relative to: an expected log
/// likelihood ratio may be 0, and ours the rounding of it.
const ROUNDING: f64 = 1e-14;

/// One line of the table: a subject, and how far we are from its source.
#[derive(Clone, Debug)]
pub struct Row {
    /// What is compared.
    pub subject: String,
    /// Where the expected values are from.
    pub source: String,
    /// Files, draws or known values.
    pub cases: usize,
    /// Numbers compared.
    pub numbers: usize,
    /// The largest relative difference; infinite where one side is a number and the other none.
    pub largest: f64,
    /// Where it is, with both numbers.
    pub place: String,
}

impl Row {
    /// A row with nothing compared yet.
    #[must_use]
    pub fn new(subject: impl Into<String>, source: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            source: source.into(),
            cases: 0,
            numbers: 0,
            largest: 0.0,
            place: String::new(),
        }
    }

    /// Compares two numbers; `NaN` agrees with `NaN` only.
    pub fn compare(&mut self, ours: f64, theirs: f64, place: impl Fn() -> String) {
        self.numbers += 1;
        let difference = relative_difference(ours, theirs);
        if difference > self.largest || (self.place.is_empty() && difference > 0.0) {
            self.largest = difference;
            self.place = format!("{}: {ours:e}, not {theirs:e}", place());
        }
    }

    /// Notes something that cannot be compared.
    pub fn refuse(&mut self, place: String) {
        self.largest = f64::INFINITY;
        self.place = place;
    }

    /// Whether all numbers agree, and there are any.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.numbers > 0 && self.largest <= TOLERANCE
    }
}

fn relative_difference(ours: f64, theirs: f64) -> f64 {
    if ours.is_nan() || theirs.is_nan() {
        return if ours.is_nan() && theirs.is_nan() {
            0.0
        } else {
            f64::INFINITY
        };
    }
    let difference = (ours - theirs).abs();
    if ours.total_cmp(&theirs).is_eq() || difference <= 0.0 {
        return 0.0;
    }
    if difference.is_infinite() {
        return f64::INFINITY;
    }
    let relative = difference / theirs.abs();
    if relative > TOLERANCE && difference <= ROUNDING {
        return 0.0;
    }
    relative
}

/// All rows.
///
/// # Errors
/// If a file cannot be read, or is not a case.
pub fn suite() -> Result<Vec<Row>, Failure> {
    let mut rows = attacks::rows(&case::all()?)?;
    rows.extend(definitions::rows()?);
    rows.extend(known::rows()?);
    Ok(rows)
}

/// The rows as a table, and below it where each disagreement is.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let wide = |column: fn(&Row) -> &str| {
        let lengths = rows.iter().map(|row| column(row).chars().count());
        lengths.max().unwrap_or(0)
    };
    let (subject, source) = (wide(|row| &row.subject), wide(|row| &row.source));
    let mut text = format!(
        "{:subject$}  {:>5}  {:>7}  {:source$}  {:>10}  verdict\n",
        "what", "cases", "numbers", "source", "difference"
    );
    for row in rows {
        let verdict = if row.agrees() { "agrees" } else { "DISAGREES" };
        // writing to a string cannot fail
        let _ = writeln!(
            text,
            "{:subject$}  {:>5}  {:>7}  {:source$}  {:>10.1e}  {verdict}",
            row.subject, row.cases, row.numbers, row.source, row.largest,
        );
    }
    for row in rows.iter().filter(|row| !row.agrees()) {
        let _ = writeln!(text, "\n{} disagrees: {}", row.subject, row.place);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disagreement_is_seen() {
        let compared = |ours: f64, theirs: f64| {
            let mut row = Row::new("a", "b");
            row.compare(ours, theirs, String::new);
            row.agrees()
        };
        assert!(compared(1.0, 1.0 + 1e-9) && compared(f64::NAN, f64::NAN));
        assert!(compared(1e-16, 0.0) && compared(f64::NEG_INFINITY, f64::NEG_INFINITY));
        assert!(!compared(1.0, 1.0 + 1e-5) && !compared(1e-9, 2e-9));
        assert!(!compared(f64::NAN, 1.0) && !compared(1.0, f64::NAN));
        assert!(!compared(f64::INFINITY, 1.0) && !compared(1.0, f64::INFINITY));
        assert!(!Row::new("nothing", "compared").agrees());
        let mut row = Row::new("the subject", "its source");
        row.compare(1.0, 2.0, || "here".to_owned());
        let text = table(&[row]);
        assert!(
            text.contains("DISAGREES") && text.contains("here: 1e0, not 2e0"),
            "{text}"
        );
    }
}
