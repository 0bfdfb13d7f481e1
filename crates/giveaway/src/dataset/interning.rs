//! Texts of a column, each distinct one stored once, with how they are written in the file.

use std::collections::HashMap;

use super::assemble::all_numbers;
use super::table::{MISSING, Spelling};

/// Texts, each distinct one stored once.
#[derive(Debug, Default)]
pub(super) struct Interned {
    pub(super) codes: Vec<u32>,
    pub(super) levels: Vec<String>,
    pub(super) spelling: Spelling,
}

/// Collects texts into [`Interned`].
#[derive(Default)]
pub(super) struct Interner {
    interned: Interned,
    known: HashMap<String, u32>,
    /// Whether the file has missing values of its own, so that no text stands for one elsewhere.
    has_missing: bool,
    has_texts: bool,
    has_markers: bool,
}

impl Interner {
    /// For texts of a file that has missing values of its own.
    pub(super) fn of_typed_file() -> Self {
        Self {
            has_missing: true,
            ..Self::default()
        }
    }

    /// Adds a value: trimmed, and missing if it is one of the usual markers.
    pub(super) fn push(&mut self, written: &str) {
        let text = written.trim();
        if is_missing_marker(text) {
            let is_text_elsewhere = !text.is_empty()
                && (self.has_missing || written == "?" || !is_missing_marker(written));
            self.spell_missing(is_text_elsewhere.then_some(written));
            self.interned.codes.push(MISSING);
            return;
        }
        self.spell_text(written, text);
        if let Some(&code) = self.known.get(text) {
            self.interned.codes.push(code);
        } else {
            let code = self.interned.levels.len() as u32;
            self.interned.levels.push(text.to_owned());
            self.known.insert(text.to_owned(), code);
            self.interned.codes.push(code);
        }
    }

    /// Adds a missing value.
    pub(super) fn push_missing(&mut self) {
        self.spell_missing(None);
        self.interned.codes.push(MISSING);
    }

    fn spell_missing(&mut self, written: Option<&str>) {
        let spelling = &mut self.interned.spelling;
        if !self.has_markers {
            self.has_markers = true;
            spelling.missing = written.map(str::to_owned);
        } else if spelling.missing.as_deref() != written {
            spelling.is_mixed = true;
        }
    }

    fn spell_text(&mut self, written: &str, text: &str) {
        let before = &written[..written.len() - written.trim_start().len()];
        let after = &written[before.len() + text.len()..];
        let spelling = &mut self.interned.spelling;
        if !self.has_texts {
            self.has_texts = true;
            before.clone_into(&mut spelling.before);
            after.clone_into(&mut spelling.after);
        } else if (spelling.before.as_str(), spelling.after.as_str()) != (before, after) {
            spelling.is_mixed = true;
        }
    }

    pub(super) fn finish(self) -> Interned {
        self.interned
    }
}

/// Whether a trimmed text stands for a missing value: those that pandas (3.1.1) takes for one
/// unless told otherwise, and the question mark of the UCI repository.
fn is_missing_marker(text: &str) -> bool {
    matches!(
        text,
        "" | "?"
            | "NA"
            | "N/A"
            | "n/a"
            | "#NA"
            | "#N/A"
            | "#N/A N/A"
            | "<NA>"
            | "NaN"
            | "nan"
            | "-NaN"
            | "-nan"
            | "1.#IND"
            | "-1.#IND"
            | "1.#QNAN"
            | "-1.#QNAN"
            | "null"
            | "NULL"
            | "None"
    )
}

impl Interned {
    pub(super) fn text(&self, row: usize) -> Option<&str> {
        self.levels
            .get(self.codes[row] as usize)
            .map(String::as_str)
    }

    /// Puts the levels in order, so that they do not depend on the order of the rows: by
    /// number where all are numbers, else by text.
    pub(super) fn sorted(self) -> Self {
        let as_numbers = all_numbers(self.levels.iter().map(String::as_str));
        self.sorted_by(as_numbers.as_deref())
    }

    /// Puts the levels in the order of these numbers, or else of their texts.
    pub(super) fn sorted_by(mut self, as_numbers: Option<&[f64]>) -> Self {
        let mut order: Vec<u32> = (0..self.levels.len() as u32).collect();
        order.sort_by(|&a, &b| {
            let (a, b) = (a as usize, b as usize);
            let by_number = match as_numbers {
                Some(numbers) => numbers[a].total_cmp(&numbers[b]),
                None => std::cmp::Ordering::Equal,
            };
            by_number.then_with(|| self.levels[a].cmp(&self.levels[b]))
        });
        let mut rank = vec![0; order.len()];
        for (place, &old) in order.iter().enumerate() {
            rank[old as usize] = place as u32;
        }
        for code in &mut self.codes {
            if *code != MISSING {
                *code = rank[*code as usize];
            }
        }
        let mut levels: Vec<Option<String>> = self.levels.into_iter().map(Some).collect();
        self.levels = order
            .iter()
            .filter_map(|&old| levels[old as usize].take())
            .collect();
        self
    }
}
