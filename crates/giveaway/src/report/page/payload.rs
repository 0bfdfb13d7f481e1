//! The records in the form in which they travel in the page.
//!
//! What the script `records.js` reads is one stream, compressed with gzip and written in base64:
//!
//! - 4 bytes: the length of the JSON document, little endian;
//! - the JSON document: a column per array, one entry per row. `null` is what is not there.
//!   Numbers have six significant digits, p-values of tested records and q-values all of them;
//! - bytes: first the losses, then the pixels of records, then those of queries, then images and
//!   what networks look at in them.
//!
//! Losses on reference models are given by at most 32 order statistics for each side, OUT then
//! IN, evenly spaced among the sorted losses, with the smallest and the largest. A byte `b` stands
//! for `low · (high / low)^(b / 255)`, where `low` and `high` are the smallest and the largest of
//! the row (losses below 1e-9 count as that). The first byte of each side is the value, each
//! further one the difference to the one before.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::gathered::{Cells, Features, Gathered, Images, Role};
use super::number::thousands;
use super::rows::{LONGEST_TEXT, MOST_ROWS, column_of, of_units, shown_id};
use crate::error::{Error, Result};
use crate::report::explanation::ExplainedUnit;
use crate::report::printable::printable;
use crate::report::redact::{Redaction, coarse};

/// The payload may have this many characters, so that the page stays below 3 MB.
const LARGEST: usize = 2_100_000;
/// The smallest loss that is told from zero.
const SMALLEST_LOSS: f64 = 1e-9;
/// The rows of the table and the evidence of each, as they stand in the page.
pub(crate) struct Payload {
    /// Base64.
    pub(crate) text: String,
    /// Audited units.
    pub(crate) units: usize,
    /// Units that have a row.
    pub(crate) shown: usize,
    /// What was left out for want of room, or was not there, in sentences.
    pub(crate) left_out: Vec<String>,
}

/// How much of each kind goes into a payload.
#[derive(Clone, Copy)]
struct Detail {
    /// Rows.
    rows: usize,
    /// Order statistics for each side, of an important row and of another.
    losses: [usize; 2],
    /// Feature values.
    cells: usize,
    /// Neighbours of a row that is not important.
    neighbours: usize,
    /// Bytes of pixels.
    pixels: usize,
}

/// From everything to little, until it fits.
const DETAILS: [Detail; 6] = [
    Detail {
        rows: MOST_ROWS,
        losses: [32, 16],
        cells: 400_000,
        neighbours: 5,
        pixels: 700_000,
    },
    Detail {
        rows: MOST_ROWS,
        losses: [32, 12],
        cells: 300_000,
        neighbours: 3,
        pixels: 600_000,
    },
    Detail {
        rows: MOST_ROWS,
        losses: [32, 8],
        cells: 150_000,
        neighbours: 1,
        pixels: 400_000,
    },
    Detail {
        rows: MOST_ROWS,
        losses: [24, 5],
        cells: 60_000,
        neighbours: 0,
        pixels: 200_000,
    },
    Detail {
        rows: MOST_ROWS / 2,
        losses: [16, 3],
        cells: 30_000,
        neighbours: 0,
        pixels: 100_000,
    },
    Detail {
        rows: MOST_ROWS / 10,
        losses: [8, 3],
        cells: 10_000,
        neighbours: 0,
        pixels: 0,
    },
];

/// Different reasons at most.
const MOST_REASONS: usize = 64;
/// Exposed units of which the statement is shown, the most exposed first.
const MOST_EXPLAINED: usize = 2_000;
/// Characters of a statement.
const LONGEST_STATEMENT: usize = 1_200;
/// Columns whose share is shown of a unit.
const MOST_SHARES: usize = 6;

/// With less room for pixels than this there are no pictures of queries.
const FEWEST_PIXELS_WITH_QUERIES: usize = 400_000;

/// Where even the least of these is too much, rows go until the rest fits.
const LEAST: Detail = Detail {
    rows: MOST_ROWS / 20,
    losses: [8, 3],
    cells: 0,
    neighbours: 0,
    pixels: 0,
};

/// Makes the payload, leaving out details until the page stays below 3 MB.
///
/// A redacted one says of the units selected for testing, and of no others, what their verdict
/// is: hashed identifiers, classes, p- and q-values of two digits. By a loss, a score or a
/// neighbour, somebody who holds a record and can query the model could find its row, and by a
/// rank or a count of models, who repeats the audit with its seed: none of them is there, nor
/// what the records hold and whether they are members. p- and q-values can be repeated as well,
/// but only by who has all the data; they are what such a report is for. Its rows are sorted by
/// p-value and then by hashed identifier.
///
/// # Errors
/// If it cannot be compressed, which is a defect of ours.
pub(crate) fn payload(gathered: &Gathered, redaction: Option<&Redaction>) -> Result<Payload> {
    payload_within(gathered, redaction, LARGEST)
}

/// Makes the payload with at most so many characters, or as few as it can be made with.
pub(crate) fn payload_within(
    gathered: &Gathered,
    redaction: Option<&Redaction>,
    largest: usize,
) -> Result<Payload> {
    let fewer = std::iter::successors(Some(LEAST.rows), |rows| Some(rows / 2))
        .take_while(|&rows| rows > 0)
        .map(|rows| Detail { rows, ..LEAST });
    let mut made = None;
    for (attempt, detail) in DETAILS.into_iter().chain(fewer).enumerate() {
        let one = Building::new(gathered, redaction, detail).build(attempt)?;
        let fits = one.text.len() <= largest;
        made = Some(one);
        if fits {
            break;
        }
    }
    made.ok_or_else(|| Error::unexpected("no way to write the records"))
}

/// A payload while it is made.
struct Building<'a> {
    gathered: &'a Gathered,
    redaction: Option<&'a Redaction>,
    detail: Detail,
    /// Rows of `chosen` in the order of the payload.
    rows: Vec<usize>,
    /// The row of the payload of each unit that has one.
    row_of_unit: HashMap<u32, usize>,
    /// Whether each row of `chosen` is important.
    is_important: Vec<bool>,
    /// Of each row of `chosen`, its place in the order of importance.
    place: Vec<usize>,
    json: String,
    bytes: Vec<u8>,
    left_out: Vec<String>,
}

/// How many digits numbers have.
#[derive(Clone, Copy)]
enum Digits {
    /// As many as it takes to read the same number.
    All,
    /// This many.
    Significant(usize),
}

/// What suffices to show a number.
const SHOWN: Digits = Digits::Significant(6);

fn write_number(out: &mut String, value: f64, digits: Digits) {
    if !value.is_finite() {
        out.push_str("null");
        return;
    }
    let value = match digits {
        Digits::All => value,
        Digits::Significant(digits) => rounded(value, digits),
    };
    // Writing to a String cannot fail.
    let _ = if value == 0.0 {
        write!(out, "0")
    } else if (1e-4..1e15).contains(&value.abs()) {
        write!(out, "{value}")
    } else {
        write!(out, "{value:e}")
    };
}

/// The value with so many significant decimal digits.
fn rounded(value: f64, digits: usize) -> f64 {
    format!("{value:.*e}", digits.saturating_sub(1))
        .parse()
        .unwrap_or(value)
}

fn write_text(out: &mut String, text: &str) {
    // A text always has a form in JSON.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

/// A text of the data as it is shown.
fn shown_text(text: &str) -> String {
    shortened(text, LONGEST_TEXT)
}

/// A text of the data, cut to so many characters.
fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return printable(text);
    }
    let start: String = text.chars().take(most).collect();
    format!("{}…", printable(&start))
}

/// `n` sorted values, or so many order statistics evenly spaced among them, the extremes included.
fn order_statistics(sorted: &[f32], most: usize) -> Vec<f32> {
    let count = sorted.len();
    if count <= most {
        return sorted.to_vec();
    }
    match most {
        0 => Vec::new(),
        1 => vec![sorted[count / 2]],
        _ => (0..most)
            .map(|step| sorted[(step * (count - 1) + (most - 1) / 2) / (most - 1)])
            .collect(),
    }
}

impl<'a> Building<'a> {
    fn new(gathered: &'a Gathered, redaction: Option<&'a Redaction>, detail: Detail) -> Self {
        let chosen = &gathered.chosen;
        let wanted: Vec<usize> = chosen
            .order
            .iter()
            .copied()
            .filter(|&row| redaction.is_none() || chosen.selected[chosen.rows[row]])
            .collect();
        let mut rows = wanted.clone();
        rows.truncate(detail.rows);
        let mut left_out = Vec::new();
        if rows.len() < wanted.len() {
            left_out.push(format!(
                "There is no room for all these rows: {} of {} are there, those given away first, then those with the smallest p-values.",
                thousands(rows.len() as f64),
                thousands(wanted.len() as f64)
            ));
        }
        rows.sort_unstable();
        if let Some(redaction) = redaction {
            let p = of_units(
                &gathered.records,
                gathered.records.numbers("p_value"),
                f64::NAN,
            );
            let ids = gathered.records.texts("id").unwrap_or_default();
            rows.sort_by_cached_key(|&row| {
                let unit = chosen.rows[row];
                let first = gathered.records.units()[unit].first();
                // The bits of numbers from 0 to 1 sort as the numbers do, and those of NaN last.
                let p = coarse(p[unit]).abs().to_bits();
                (p, redaction.id(ids[first].as_deref().unwrap_or_default()))
            });
        }
        let row_of_unit = rows
            .iter()
            .enumerate()
            .map(|(at, &row)| (gathered.records.units()[chosen.rows[row]].number, at))
            .collect();
        let mut is_important = vec![false; chosen.rows.len()];
        for &row in chosen.important() {
            is_important[row] = true;
        }
        let mut place = vec![0; chosen.rows.len()];
        for (at, &row) in chosen.order.iter().enumerate() {
            place[row] = at;
        }
        Self {
            gathered,
            redaction,
            detail,
            rows,
            row_of_unit,
            is_important,
            place,
            json: String::new(),
            bytes: Vec::new(),
            left_out,
        }
    }

    fn build(mut self, attempt: usize) -> Result<Payload> {
        self.json.push('{');
        self.heading();
        self.columns();
        self.attacks();
        if self.redaction.is_none() {
            self.explanation();
            self.losses();
            self.neighbours();
            match &self.gathered.features {
                Features::Absent => self.left_out.push(
                    "What the records hold was not kept in the run directory, so it is not shown."
                        .to_owned(),
                ),
                Features::Columns(_) => self.features(),
                Features::Images(images) => {
                    self.images(images);
                    self.queries(images);
                    self.activations();
                }
            }
        }
        // The last entry has no comma behind it.
        let _ = write!(self.json, "\"attempt\":{attempt}}}");
        let compressed = || -> std::io::Result<Vec<u8>> {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::new(7));
            encoder.write_all(&(self.json.len() as u32).to_le_bytes())?;
            encoder.write_all(self.json.as_bytes())?;
            encoder.write_all(&self.bytes)?;
            encoder.finish()
        };
        let compressed = compressed()
            .map_err(|e| Error::unexpected(format!("cannot compress the records: {e}")))?;
        Ok(Payload {
            text: STANDARD.encode(compressed),
            units: self.gathered.records.units().len(),
            shown: self.rows.len(),
            left_out: self.left_out,
        })
    }

    /// The unit of a row, as a position among the audited.
    fn unit(&self, row: usize) -> usize {
        self.gathered.chosen.rows[row]
    }

    fn first(&self, row: usize) -> usize {
        self.gathered.records.units()[self.unit(row)].first()
    }

    fn key(&mut self, name: &str) {
        let _ = write!(self.json, "\"{name}\":");
    }

    /// An array with an entry for each row.
    fn per_row(&mut self, name: &str, mut write: impl FnMut(&mut String, &Self, usize)) {
        self.key(name);
        let mut out = std::mem::take(&mut self.json);
        out.push('[');
        for (at, &row) in self.rows.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            write(&mut out, self, row);
        }
        out.push_str("],");
        self.json = out;
    }

    fn numbers(&mut self, name: &str, column: &str, digits: Digits) {
        if let Some(values) = self.gathered.records.numbers(column) {
            self.per_row(name, |out, this, row| {
                write_number(out, values[this.first(row)], digits);
            });
        }
    }

    fn wholes(&mut self, name: &str, column: &str) {
        if let Some(values) = self.gathered.records.wholes(column)
            && values.iter().any(Option::is_some)
        {
            self.per_row(name, |out, this, row| {
                let value = values[this.first(row)].map_or(f64::NAN, |value| value as f64);
                write_number(out, value, Digits::All);
            });
        }
    }

    fn truths(&mut self, name: &str, of: impl Fn(&Self, usize) -> Option<bool>) {
        self.per_row(name, |out, this, row| {
            out.push_str(match of(this, row) {
                None => "null",
                Some(false) => "0",
                Some(true) => "1",
            });
        });
    }

    fn text(&mut self, name: &str, text: &str) {
        self.key(name);
        write_text(&mut self.json, text);
        self.json.push(',');
    }

    fn texts(&mut self, name: &str, texts: &[String]) {
        self.key(name);
        self.json.push('[');
        for (at, text) in texts.iter().enumerate() {
            if at > 0 {
                self.json.push(',');
            }
            write_text(&mut self.json, text);
        }
        self.json.push_str("],");
    }

    fn id(&self, id: &str) -> String {
        self.redaction
            .map_or_else(|| shown_id(id), |redaction| redaction.id(id))
    }

    fn heading(&mut self) {
        let audit = &self.gathered.audit;
        self.text("unitName", &audit.data.unit_name);
        self.text("null", audit.test.null.name());
        let _ = write!(
            self.json,
            "\"units\":{},\"redacted\":{},\"testing\":{},\"fdr\":",
            self.gathered.records.units().len(),
            self.redaction.is_some(),
            audit.test.testing_models,
        );
        write_number(&mut self.json, audit.test.fdr, Digits::All);
        self.json.push_str(",\"alpha\":");
        let alpha = audit.test.alpha.filter(|_| self.redaction.is_none());
        write_number(&mut self.json, alpha.unwrap_or(f64::NAN), SHOWN);
        self.json.push(',');
        let classes: Vec<String> = audit.data.classes.iter().map(|c| shown_text(c)).collect();
        self.texts("classes", &classes);
    }

    fn columns(&mut self) {
        let gathered = self.gathered;
        let records = &gathered.records;
        let ids = records.texts("id").unwrap_or_default();
        self.per_row("id", |out, this, row| {
            let id = ids[this.first(row)].as_deref().unwrap_or_default();
            write_text(out, &this.id(id));
        });
        if let Some(groups) = records.texts("group") {
            self.per_row("group", |out, this, row| {
                match groups[this.first(row)].as_deref() {
                    None | Some("") => out.push_str("null"),
                    Some(group) => write_text(out, &this.id(group)),
                }
            });
        }
        self.per_row("class", |out, this, row| {
            let _ = write!(out, "{}", records.labels()[this.first(row)]);
        });
        if records.units().iter().any(|unit| unit.records.len() > 1) {
            self.per_row("records", |out, this, row| {
                let _ = write!(out, "{}", records.units()[this.unit(row)].records.len());
            });
        }
        if self.redaction.is_none()
            && let Some(member) = records.truths("member")
            && member.iter().any(Option::is_some)
        {
            self.truths("member", |this, row| member[this.first(row)]);
        }
        let given = records.truths("given_away").unwrap_or_default();
        self.truths("given", |this, row| {
            given.get(this.first(row)).copied().flatten()
        });
        self.truths("selected", |this, row| {
            Some(gathered.chosen.selected[this.unit(row)])
        });
        let digits = if self.redaction.is_some() {
            Digits::Significant(2)
        } else {
            Digits::All
        };
        self.numbers("p", "p_value", digits);
        self.numbers("q", "q_value", digits);
        if self.redaction.is_none() {
            self.evidence();
        }
    }

    /// By what a record could be found: from its answers, or by repeating the audit.
    fn evidence(&mut self) {
        let gathered = self.gathered;
        let of_all = format!("p_value_{}", gathered.audit.test.null.name());
        self.numbers("pAll", &of_all, SHOWN);
        self.numbers("loss", "target_loss", SHOWN);
        self.numbers("out", "out_loss", SHOWN);
        self.numbers("in", "in_loss", SHOWN);
        self.numbers("near", "neighbours", SHOWN);
        self.wholes("found", "in_targets_found");
        self.wholes("inTargets", "in_targets");
        self.wholes("accused", "out_targets_wrongly_accused");
        self.wholes("outTargets", "out_targets");
        self.wholes("playedIn", "played_in_targets");
        self.wholes("playedOut", "played_out_targets");
    }

    /// What each attack makes of the rows; nothing of it goes into a redacted payload.
    fn attacks(&mut self) {
        let gathered = self.gathered;
        let attacks = match self.redaction {
            None => gathered.chosen.attacks.as_slice(),
            Some(_) => &[],
        };
        self.key("attacks");
        self.json.push('[');
        for (index, attack) in attacks.iter().enumerate() {
            if index > 0 {
                self.json.push(',');
            }
            let sets = gathered
                .audit
                .attacks
                .as_ref()
                .and_then(|section| section.of(attack.method))
                .and_then(|summary| summary.stability.as_ref())
                .map_or(0, |stability| stability.subsets);
            self.json.push('{');
            self.text("name", attack.method.name());
            let _ = write!(self.json, "\"scored\":{},\"sets\":{sets},", attack.scored);
            self.per_row("score", |out, this, row| {
                write_number(out, attack.scores[this.unit(row)], SHOWN);
            });
            self.per_row("rank", |out, this, row| {
                match attack.ranks[this.unit(row)] {
                    0 => out.push_str("null"),
                    rank => {
                        let _ = write!(out, "{rank}");
                    }
                }
            });
            self.numbers("p", &column_of("p_value", attack.method), SHOWN);
            self.truths("first", |this, row| Some(attack.named[this.unit(row)]));
            self.numbers("named", &column_of("times_named", attack.method), SHOWN);
            self.wholes("found", &column_of("found", attack.method));
            self.wholes("accused", &column_of("wrongly_accused", attack.method));
            self.json.pop();
            self.json.push('}');
        }
        self.json.push_str("],");
    }

    /// Leak and reason of every row, and what is said of the exposed ones. Nothing of it goes
    /// into a redacted payload.
    fn explanation(&mut self) {
        let gathered = self.gathered;
        let records = &gathered.records;
        let Some(explanation) = &gathered.audit.explanation else {
            return;
        };
        self.numbers("leak", "leak", SHOWN);
        self.wholes("leakRank", "leak_rank");
        if let Some(column) = records.texts("reason") {
            // Reasons are few; those that the report does not list come after those that it does.
            let mut names: Vec<&str> = (explanation.reasons.iter())
                .map(|reason| reason.reason.as_str())
                .collect();
            let mut codes: HashMap<&str, usize> = names.iter().copied().zip(0..).collect();
            for &row in &self.rows {
                if let Some(reason) = column[self.first(row)].as_deref()
                    && names.len() < MOST_REASONS
                {
                    codes.entry(reason).or_insert_with(|| {
                        names.push(reason);
                        names.len() - 1
                    });
                }
            }
            let names: Vec<String> = names.into_iter().map(shown_text).collect();
            self.texts("reasons", &names);
            self.per_row("reason", |out, this, row| {
                let reason = column[this.first(row)].as_deref();
                match reason.and_then(|reason| codes.get(reason)) {
                    Some(code) => {
                        let _ = write!(out, "{code}");
                    }
                    None => out.push_str("null"),
                }
            });
        }
        let told: Vec<(usize, &ExplainedUnit)> = (explanation.exposed.iter())
            .filter_map(|unit| Some((*self.row_of_unit.get(&unit.unit?)?, unit)))
            .take(MOST_EXPLAINED)
            .collect();
        self.key("why");
        let mut out = std::mem::take(&mut self.json);
        write_list(&mut out, &told, |out, (row, unit)| {
            let _ = write!(out, "{{\"row\":{row},\"reason\":");
            write_text(out, &shown_text(&unit.reason));
            out.push_str(",\"further\":");
            write_list(out, &unit.further, |out, further| {
                write_text(out, &shown_text(further));
            });
            out.push_str(",\"statement\":");
            write_text(out, &shortened(&unit.statement, LONGEST_STATEMENT));
            if let Some(attribution) = &unit.attribution {
                for (name, value) in [
                    ("gap", attribution.gap),
                    ("base", attribution.baseline_gap),
                    ("residual", attribution.residual),
                ] {
                    let _ = write!(out, ",\"{name}\":");
                    write_number(out, value, SHOWN);
                }
                let shown = attribution.columns.len().min(MOST_SHARES);
                let (columns, rest) = attribution.columns.split_at(shown);
                out.push_str(",\"others\":");
                let others = attribution.others + rest.iter().map(|c| c.nats).sum::<f64>();
                write_number(out, others, SHOWN);
                out.push_str(",\"columns\":");
                write_list(out, columns, |out, share| {
                    out.push('[');
                    write_text(out, &shown_text(&share.column));
                    out.push(',');
                    match &share.value {
                        Some(value) => write_text(out, &shown_text(value)),
                        None => out.push_str("null"),
                    }
                    out.push(',');
                    write_number(out, share.nats, SHOWN);
                    out.push(']');
                });
            }
            out.push('}');
        });
        out.push(',');
        self.json = out;
    }

    /// Images, and what networks look at in them: role, class, row, rank, distance, and the
    /// shape of the map. The bytes of each are the image's, then the map's.
    fn activations(&mut self) {
        let gathered = self.gathered;
        if gathered.activations.is_empty() || self.detail.pixels < FEWEST_PIXELS_WITH_QUERIES {
            return;
        }
        let _ = write!(
            self.json,
            "\"activations\":{{\"at\":{},\"list\":",
            self.bytes.len()
        );
        let mut out = std::mem::take(&mut self.json);
        write_list(&mut out, &gathered.activations, |out, activation| {
            let role = match activation.role {
                Role::Closest => 0,
                Role::Farthest => 1,
                Role::Exposed => 2,
            };
            let _ = write!(out, "[{role},{},", activation.class);
            match self.row_of_unit.get(&activation.unit) {
                Some(row) => {
                    let _ = write!(out, "{row}");
                }
                None => out.push_str("null"),
            }
            let _ = write!(out, ",{},", activation.rank);
            write_number(out, activation.distance, SHOWN);
            let [height, width] = activation.shape;
            let _ = write!(out, ",{height},{width}]");
        });
        out.push_str("},");
        self.json = out;
        for activation in &gathered.activations {
            self.bytes.extend(&activation.pixels);
            self.bytes.extend(&activation.map);
        }
    }

    fn losses(&mut self) {
        let gathered = self.gathered;
        let Some(losses) = &gathered.losses else {
            self.left_out.push(
                "The outputs of the reference models are not in the run directory, so their losses on single records are not shown."
                    .to_owned(),
            );
            return;
        };
        let target = gathered.records.numbers("target_loss").unwrap_or_default();
        // Of each row: lowest and highest, how many models and order statistics on each side,
        // and how many models have no larger loss than the target.
        let mut ranges = Vec::new();
        let mut counts = Vec::new();
        let mut bytes = Vec::new();
        for &row in &self.rows {
            let sides = losses.of(row);
            let most = self.detail.losses[usize::from(!self.is_important[row])];
            let statistics = sides.clone().map(|side| {
                order_statistics(&side, most)
                    .into_iter()
                    .map(|loss| f64::from(loss).max(SMALLEST_LOSS))
                    .collect::<Vec<f64>>()
            });
            let all = || statistics.iter().flatten().copied();
            // The digits that the page reads are those that the bytes are made with.
            let low = rounded(all().fold(f64::INFINITY, f64::min), 5);
            let high = rounded(all().fold(0.0, f64::max), 5);
            ranges.push([low, high]);
            let loss = target.get(self.first(row)).copied().unwrap_or(f64::NAN);
            let below = |side: &[f32]| side.iter().filter(|&&l| f64::from(l) <= loss).count();
            counts.push([
                sides[0].len(),
                sides[1].len(),
                statistics[0].len(),
                statistics[1].len(),
                below(&sides[0]),
                below(&sides[1]),
            ]);
            for side in &statistics {
                let mut before = 0;
                for &loss in side {
                    let byte = quantised(loss, low, high);
                    bytes.push(byte.saturating_sub(before));
                    before = byte;
                }
            }
        }
        self.key("losses");
        let _ = write!(self.json, "{{\"at\":{},", self.bytes.len());
        self.bytes.append(&mut bytes);
        for (index, name) in ["low", "high"].into_iter().enumerate() {
            let mut at = 0;
            self.per_row(name, |out, _, _| {
                write_number(out, ranges[at][index], Digits::Significant(5));
                at += 1;
            });
        }
        for (index, name) in ["outs", "ins", "outBytes", "inBytes", "outBelow", "inBelow"]
            .into_iter()
            .enumerate()
        {
            let mut at = 0;
            self.per_row(name, |out, _, _| {
                let _ = write!(out, "{}", counts[at][index]);
                at += 1;
            });
        }
        self.json.pop();
        self.json.push_str("},");
    }

    fn neighbours(&mut self) {
        let Some(neighbours) = &self.gathered.neighbours else {
            return;
        };
        let classes: HashMap<&str, usize> = self
            .gathered
            .audit
            .data
            .classes
            .iter()
            .enumerate()
            .map(|(code, class)| (class.as_str(), code))
            .collect();
        let most = self.detail.neighbours;
        // A neighbour that has a row is named by it, another one by its id. Those of a reference
        // file have a 1 at the end.
        self.per_row("neighbours", |out, this, row| {
            out.push('[');
            let most = if this.is_important[row] {
                usize::MAX
            } else {
                most
            };
            for (at, neighbour) in neighbours[row].iter().take(most).enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push('[');
                match this.row_of_unit.get(&neighbour.unit) {
                    Some(row) if neighbour.audited => {
                        let _ = write!(out, "{row}");
                    }
                    _ => write_text(out, &this.id(&neighbour.id)),
                }
                out.push(',');
                match classes.get(neighbour.class.as_str()) {
                    Some(code) => {
                        let _ = write!(out, "{code},");
                    }
                    None => out.push_str("null,"),
                }
                write_number(out, neighbour.distance, Digits::Significant(4));
                if !neighbour.audited {
                    out.push_str(",1");
                }
                out.push(']');
            }
            out.push(']');
        });
    }

    /// The rows, places in the payload, that come first by importance.
    fn most_important(&self, count: usize) -> Vec<usize> {
        let mut places: Vec<usize> = (0..self.rows.len()).collect();
        places.sort_by_key(|&at| self.place[self.rows[at]]);
        places.truncate(count);
        places.sort_unstable();
        places
    }

    fn features(&mut self) {
        let Features::Columns(columns) = &self.gathered.features else {
            return;
        };
        let most = self.detail.cells / columns.len().max(1);
        if most == 0 {
            self.left_out.push(
                "What the records hold is not shown: there is no room for it. data.parquet in the run directory has it."
                    .to_owned(),
            );
            return;
        }
        let rows = self.most_important(most);
        if rows.len() < self.rows.len() {
            self.left_out.push(format!(
                "What a record holds is shown for {} rows, those given away, selected or put first by an attack before others: for all of them there is no room.",
                rows.len()
            ));
        }
        self.key("features");
        self.json.push_str("{\"rows\":");
        if rows.len() == self.rows.len() {
            self.json.push_str("null,");
        } else {
            write_list(&mut self.json, &rows, |out, row| {
                let _ = write!(out, "{row}");
            });
            self.json.push(',');
        }
        self.json.push_str("\"columns\":");
        let mut out = std::mem::take(&mut self.json);
        write_list(&mut out, columns, |out, column| {
            out.push_str("{\"name\":");
            write_text(out, &shown_text(&column.name));
            match &column.cells {
                Cells::Numbers(values) => {
                    out.push_str(",\"values\":");
                    write_list(out, &rows, |out, &at| {
                        write_number(out, values[self.rows[at]], Digits::Significant(9));
                    });
                }
                Cells::Categories { levels, codes } => {
                    out.push_str(",\"levels\":");
                    write_list(out, levels, |out, level| {
                        write_text(out, &shown_text(level));
                    });
                    out.push_str(",\"values\":");
                    write_list(out, &rows, |out, &at| match codes[self.rows[at]] {
                        None => out.push_str("null"),
                        Some(code) => {
                            let _ = write!(out, "{code}");
                        }
                    });
                }
            }
            out.push_str(",\"typical\":");
            write_list(out, &column.typical, |out, typical| {
                let _ = write!(
                    out,
                    "{{\"present\":{},\"missing\":{},\"quantiles\":",
                    typical.present, typical.missing
                );
                write_list(out, &typical.quantiles, |out, &value| {
                    write_number(out, value, Digits::Significant(9));
                });
                out.push_str(",\"counts\":");
                write_list(out, &typical.counts, |out, (code, count)| {
                    let _ = write!(out, "{code},{count}");
                });
                out.push('}');
            });
            out.push('}');
        });
        out.push_str("},");
        self.json = out;
    }

    fn images(&mut self, images: &Images) {
        let length = images.height * images.width * images.channels;
        let at_of_row: HashMap<usize, usize> = self
            .rows
            .iter()
            .enumerate()
            .map(|(at, &row)| (row, at))
            .collect();
        let mut kept: Vec<(usize, usize)> = images
            .rows
            .iter()
            .enumerate()
            .filter_map(|(index, row)| Some((*at_of_row.get(row)?, index)))
            .collect();
        kept.sort_by_key(|&(at, _)| self.place[self.rows[at]]);
        kept.truncate(self.detail.pixels / length.max(1));
        kept.sort_unstable();
        if kept.len() < self.rows.len() {
            self.left_out.push(format!(
                "The images of {} rows are shown, those given away, selected or put first by an attack: for all of them there is no room.",
                kept.len()
            ));
        }
        self.key("images");
        let _ = write!(
            self.json,
            "{{\"height\":{},\"width\":{},\"channels\":{},\"at\":{},\"rows\":",
            images.height,
            images.width,
            images.channels,
            self.bytes.len()
        );
        write_list(&mut self.json, &kept, |out, (at, _)| {
            let _ = write!(out, "{at}");
        });
        for &(_, index) in &kept {
            self.bytes
                .extend(&images.pixels[index * length..(index + 1) * length]);
        }
        // The classes that have a mean image, which follow those of the records.
        let means: Vec<usize> = (0..images.means.len())
            .filter(|&class| images.means[class].is_some())
            .collect();
        self.json.push_str(",\"means\":");
        write_list(&mut self.json, &means, |out, class| {
            let _ = write!(out, "{class}");
        });
        for mean in images.means.iter().flatten() {
            self.bytes.extend(mean);
        }
        if let Some([low, high]) = images.scale {
            self.json.push_str(",\"scale\":[");
            write_number(&mut self.json, low, Digits::Significant(4));
            self.json.push(',');
            write_number(&mut self.json, high, Digits::Significant(4));
            self.json.push(']');
        }
        self.json.push_str("},");
    }
}

impl Building<'_> {
    /// Pictures of the records that were tested indirectly, each before those of its queries.
    fn queries(&mut self, images: &Images) {
        let Some(queries) = &self.gathered.queries else {
            return;
        };
        let Some(section) = &self.gathered.audit.indirect else {
            return;
        };
        if self.detail.pixels < FEWEST_PIXELS_WITH_QUERIES {
            self.left_out.push(
                "The pictures of questions that do not contain the record are not shown: there is no room for them."
                    .to_owned(),
            );
            return;
        }
        let length = images.height * images.width * images.channels;
        let records = self.gathered.records.units();
        let picture_of: HashMap<u32, usize> = images
            .rows
            .iter()
            .enumerate()
            .map(|(index, &row)| (records[self.unit(row)].number, index))
            .collect();
        self.key("queries");
        let _ = write!(self.json, "{{\"at\":{},\"records\":", self.bytes.len());
        let mut before = 0;
        let mut out = std::mem::take(&mut self.json);
        write_list(&mut out, &queries.of, |out, &(place, count)| {
            let own = section.records[place]
                .unit
                .and_then(|unit| picture_of.get(&unit));
            if let Some(index) = own {
                self.bytes
                    .extend(&images.pixels[index * length..(index + 1) * length]);
            }
            self.bytes
                .extend(&queries.pixels[before * length..(before + count) * length]);
            before += count;
            let own = u8::from(own.is_some());
            let _ = write!(out, "[{place},{own},{count}]");
        });
        out.push_str("},");
        self.json = out;
    }
}

fn write_list<T>(out: &mut String, items: &[T], mut write: impl FnMut(&mut String, &T)) {
    out.push('[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

/// The byte of a loss between the lowest and the highest of its row.
fn quantised(loss: f64, low: f64, high: f64) -> u8 {
    if high <= low {
        return 0;
    }
    let share = (loss / low).ln() / (high / low).ln();
    (255.0 * share).round().clamp(0.0, 255.0) as u8
}
