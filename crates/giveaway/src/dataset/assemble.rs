//! From columns as a file has them to a [`Table`]: which column is what, and of what type.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::Array2;

use super::image::ImageShape;
use super::interning::{Interned, Interner};
use super::table::{Body, Column, ColumnKind, MISSING, Spelling, Table, TableOptions, Values};
use crate::suggest::edit_distance;
use crate::{Error, Result};

/// Column names that are taken for the label when none is named.
const USUAL_LABELS: [&str; 4] = ["label", "target", "class", "y"];

/// More distinct numbers than this in a label column are no classes.
const MOST_NUMERIC_CLASSES: usize = 1000;

/// A column as a file has it.
#[derive(Debug)]
pub(super) struct RawColumn {
    pub(super) name: String,
    pub(super) values: RawValues,
}

/// Values as a file has them.
#[derive(Debug)]
pub(super) enum RawValues {
    /// Text whose type has yet to be found.
    Text(Interned),
    /// Text that the file itself declares to be text.
    Category(Interned),
    /// Whole numbers, kept exact because identifiers may exceed 2^53.
    Integer(Vec<Option<i64>>),
    /// Numbers; NaN is missing.
    Float(Vec<f64>),
    /// As many numbers in every row.
    List {
        width: usize,
        values: Vec<f32>,
        bytes: bool,
    },
}

/// The texts as finite numbers, if every one of them is one.
pub(super) fn all_numbers<'a>(texts: impl Iterator<Item = &'a str>) -> Option<Vec<f64>> {
    texts
        .map(|text| text.parse::<f64>().ok().filter(|number| number.is_finite()))
        .collect()
}

impl RawValues {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Text(interned) | Self::Category(interned) => interned.codes.len(),
            Self::Integer(values) => values.len(),
            Self::Float(values) => values.len(),
            Self::List { width, values, .. } => values.len() / (*width).max(1),
        }
    }

    /// The values as texts, for labels, identifiers, groups and categories.
    fn into_text(self) -> Interned {
        let mut interner = Interner::default();
        match self {
            Self::Text(interned) | Self::Category(interned) => return interned,
            Self::Integer(values) => {
                for value in values {
                    match value {
                        Some(value) => interner.push(&value.to_string()),
                        None => interner.push_missing(),
                    }
                }
            }
            Self::Float(values) => {
                for value in values {
                    // Whole numbers lose their ".0", which pandas adds where a value is missing.
                    interner.push(&(value + 0.0).to_string());
                }
            }
            Self::List { .. } => {}
        }
        interner.finish()
    }
}

/// A file's columns and what is needed to speak of them.
pub(super) struct RawTable<'a> {
    pub(super) name: &'a str,
    pub(super) columns: Vec<RawColumn>,
    pub(super) rows: usize,
    /// Where a row (counted from 0) is, as people say it.
    pub(super) place: &'a dyn Fn(usize) -> String,
    pub(super) content_hash: String,
}

/// Makes a table of a file's columns.
pub(super) fn assemble(raw: RawTable<'_>, options: &TableOptions) -> Result<Table> {
    let RawTable {
        name,
        columns,
        rows,
        place,
        content_hash,
    } = raw;
    if rows == 0 {
        return Err(Error::input("the table has a header but no rows")
            .hint("give a file with a row for each record"));
    }
    if u32::try_from(rows).is_err() || rows == MISSING as usize {
        return Err(
            Error::input(format!("{rows} rows are more than can be audited"))
                .hint("audit a part of the rows"),
        );
    }
    let mut notes = Vec::new();
    let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    refuse_repeated_names(&names)?;

    let Roles {
        label,
        id,
        group,
        dropped,
    } = roles(&names, options, &mut notes)?;

    let mut columns: Vec<Option<RawColumn>> = columns.into_iter().map(Some).collect();
    let groups = match group {
        // One column may be both the identifier and the group.
        Some(index) if id != group => take(&mut columns, index)
            .map(|column| group_values(column, place))
            .transpose()?,
        _ => None,
    };
    let ids = match id {
        Some(index) => take(&mut columns, index)
            .map(|column| id_values(column, place))
            .transpose()?,
        None => None,
    };
    let groups = if group.is_some() && id == group {
        ids.clone()
    } else {
        groups
    };
    let label_values = take(&mut columns, label).ok_or_else(|| Error::unexpected("no label"))?;
    let (labels, classes) = class_labels(label_values, place, &mut notes)?;

    let features: Vec<RawColumn> = columns
        .into_iter()
        .enumerate()
        .filter(|(index, _)| !dropped.contains(index))
        .filter_map(|(_, column)| column)
        .collect();
    let mut other_index = None;
    let features = without_index(features, &mut notes, &mut other_index);
    if features.is_empty() {
        return Err(Error::input(
            "no feature column is left beside the label, the identifier, the group and what was dropped",
        ).hint("name fewer columns with --drop, or give a file with features"));
    }
    let body = if features
        .iter()
        .any(|column| matches!(column.values, RawValues::List { .. }))
    {
        dense_body(features, rows, options, &mut notes)?
    } else {
        let mut typed = Vec::with_capacity(features.len());
        for column in features {
            typed.push(type_column(column, options, place, &mut notes)?);
        }
        if group.is_none() {
            person_hints(&typed, &mut notes);
        }
        Body::Columns(typed)
    };
    Ok(Table {
        name: name.to_owned(),
        body,
        labels,
        classes,
        has_id_column: ids.is_some(),
        other_index,
        ids: ids.unwrap_or_else(|| (0..rows).map(|row| row.to_string()).collect()),
        groups,
        notes,
        content_hash,
        rows: (0..rows as u32).collect(),
    })
}

/// Which column, by its place, is what.
struct Roles {
    label: usize,
    id: Option<usize>,
    group: Option<usize>,
    dropped: BTreeSet<usize>,
}

fn roles(names: &[String], options: &TableOptions, notes: &mut Vec<String>) -> Result<Roles> {
    let label = label_column(names, options, notes)?;
    let id = named(names, options.id.as_ref(), "--id")?;
    let group = named(names, options.group.as_ref(), "--group")?;
    let mut dropped = BTreeSet::new();
    for column in &options.drop {
        dropped.insert(find(names, column, "--drop")?);
    }
    for column in &options.numeric {
        find(names, column, "--numeric")?;
    }
    for column in &options.categorical {
        find(names, column, "--categorical")?;
        if options.numeric.contains(column) {
            return Err(Error::usage(format!(
                "column `{column}` is named by both --numeric and --categorical"
            ))
            .hint("name it once"));
        }
    }
    let twice = |column: usize, one: &str, other: &str| {
        Err(Error::usage(format!(
            "column `{}` is named by both {one} and {other}",
            names[column]
        ))
        .hint("a column has one role: name another one, or leave an option out"))
    };
    for (role, index) in [("--label", Some(label)), ("--id", id), ("--group", group)] {
        let Some(column) = index else { continue };
        if dropped.contains(&column) {
            return twice(column, role, "--drop");
        }
        if role != "--label" && column == label {
            return twice(column, "--label", role);
        }
    }
    Ok(Roles {
        label,
        id,
        group,
        dropped,
    })
}

fn take(columns: &mut [Option<RawColumn>], index: usize) -> Option<RawColumn> {
    columns.get_mut(index).and_then(Option::take)
}

fn refuse_repeated_names(names: &[String]) -> Result<()> {
    let mut seen = BTreeMap::new();
    for (index, name) in names.iter().enumerate() {
        if let Some(first) = seen.insert(name, index) {
            return Err(Error::input(format!(
                "the column name `{name}` occurs twice, at columns {} and {}",
                first + 1,
                index + 1
            ))
            .hint("rename one of the two columns in the file"));
        }
    }
    Ok(())
}

fn label_column(
    names: &[String],
    options: &TableOptions,
    notes: &mut Vec<String>,
) -> Result<usize> {
    if let Some(label) = &options.label {
        return find(names, label, "--label");
    }
    let usual: Vec<usize> = (0..names.len())
        .filter(|&index| USUAL_LABELS.contains(&names[index].to_lowercase().as_str()))
        .collect();
    match usual.as_slice() {
        [only] => {
            notes.push(format!(
                "No label column was named; `{}` was taken for it. Name it with --label.",
                names[*only]
            ));
            Ok(*only)
        }
        _ => Err(
            Error::usage("which column holds the class is not said").hint(format!(
                "give --label COLUMN; the columns are {}",
                listed(names)
            )),
        ),
    }
}

fn named(names: &[String], wanted: Option<&String>, option: &str) -> Result<Option<usize>> {
    wanted.map(|name| find(names, name, option)).transpose()
}

/// The place of a column that an option names.
pub(super) fn find(names: &[String], wanted: &str, option: &str) -> Result<usize> {
    names.iter().position(|name| name == wanted).ok_or_else(|| {
        // A slip of the pen changes a letter or two, or a third of a long name, but not all of it.
        let length = wanted.chars().count();
        let slip = (length / 3).max(2).min(length.saturating_sub(1));
        let nearest = names
            .iter()
            .map(|name| {
                let distance = edit_distance(&name.to_lowercase(), &wanted.to_lowercase());
                (distance, name)
            })
            .min_by_key(|&(distance, _)| distance)
            .filter(|&(distance, _)| distance <= slip);
        let did_you_mean = nearest
            .map(|(_, name)| format!("did you mean `{name}`? "))
            .unwrap_or_default();
        Error::input(format!(
            "{option} names the column `{wanted}`, which is not there"
        ))
        .hint(format!("{did_you_mean}the columns are {}", listed(names)))
    })
}

/// Names for a message: all of them, or the first thirty.
fn listed(names: &[String]) -> String {
    const MOST: usize = 30;
    let text = names
        .iter()
        .take(MOST)
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > MOST {
        return format!("{text} and {} more", names.len() - MOST);
    }
    text
}

pub(super) fn id_values(column: RawColumn, place: &dyn Fn(usize) -> String) -> Result<Vec<String>> {
    let RawColumn { name, values } = column;
    let interned = values.into_text();
    let mut first_row: Vec<Option<usize>> = vec![None; interned.levels.len()];
    for (row, &code) in interned.codes.iter().enumerate() {
        if code == MISSING {
            return Err(Error::input(format!("the id column `{name}` has no value"))
                .at(place(row))
                .hint("give every record an identifier, or leave --id out"));
        }
        if let Some(first) = first_row[code as usize].replace(row) {
            return Err(Error::input(format!(
                "the identifier `{}` in column `{name}` occurs twice: {} and {}",
                interned.levels[code as usize],
                place(first),
                place(row)
            ))
            .hint(format!(
                "if it names a person with several rows, use --group {name} instead of --id {name}"
            )));
        }
    }
    Ok(texts(&interned))
}

pub(super) fn group_values(
    column: RawColumn,
    place: &dyn Fn(usize) -> String,
) -> Result<Vec<String>> {
    let RawColumn { name, values } = column;
    let interned = values.into_text();
    if let Some(row) = interned.codes.iter().position(|&code| code == MISSING) {
        return Err(
            Error::input(format!("the group column `{name}` has no value"))
                .at(place(row))
                .hint("give every row a group; a row on its own may have a group of its own"),
        );
    }
    Ok(texts(&interned))
}

fn texts(interned: &Interned) -> Vec<String> {
    (0..interned.codes.len())
        .map(|row| interned.text(row).unwrap_or_default().to_owned())
        .collect()
}

/// Classes from the values of the label column.
pub(super) fn class_labels(
    column: RawColumn,
    place: &dyn Fn(usize) -> String,
    notes: &mut Vec<String>,
) -> Result<(Vec<u32>, Vec<String>)> {
    let RawColumn { name, values } = column;
    if matches!(values, RawValues::List { .. }) {
        return Err(Error::input(format!(
            "the label column `{name}` holds a list in each row"
        ))
        .hint("give a column with one class per record"));
    }
    // Texts stay texts, in the order that scikit-learn gives them, though they be digits.
    let is_text = matches!(values, RawValues::Category(_));
    let mut interned = values.into_text();
    if let Some(row) = interned.codes.iter().position(|&code| code == MISSING) {
        return Err(
            Error::input(format!("the label column `{name}` has no value"))
                .at(place(row))
                .hint("remove the row or give it a class"),
        );
    }
    if let Some(numbers) = all_numbers(interned.levels.iter().map(String::as_str)) {
        if let Some(index) = numbers.iter().position(|number| number.fract() != 0.0) {
            return Err(Error::input(format!(
                "the label column `{name}` holds numbers that are not whole, such as {}: it looks like a regression target",
                interned.levels[index]
            ))
            .hint("only classifiers can be audited: name a column of classes with --label"));
        }
        if numbers.len() > MOST_NUMERIC_CLASSES {
            return Err(Error::input(format!(
                "the label column `{name}` holds {} distinct numbers: it looks like a regression target",
                numbers.len()
            ))
            .hint("only classifiers can be audited: name a column of classes with --label"));
        }
        if !is_text {
            // "1" and "1.0" are one class.
            let mut merged = Interner::default();
            for &code in &interned.codes {
                merged.push(&(numbers[code as usize] + 0.0).to_string());
            }
            interned = merged.finish();
        }
    }
    let interned = if is_text {
        interned.sorted_by(None)
    } else {
        interned.sorted()
    };
    if interned.levels.len() < 2 {
        return Err(Error::input(format!(
            "the label column `{name}` holds one class only, `{}`",
            interned.levels.first().map_or("", String::as_str)
        ))
        .hint("a classifier needs at least two classes: name another column with --label"));
    }
    let mut counts = vec![0_usize; interned.levels.len()];
    for &code in &interned.codes {
        counts[code as usize] += 1;
    }
    let single: Vec<&str> = counts
        .iter()
        .zip(&interned.levels)
        .filter(|&(&count, _)| count == 1)
        .map(|(_, level)| level.as_str())
        .collect();
    match single.as_slice() {
        [] => {}
        [class] => notes.push(format!("Class `{class}` has a single record.")),
        many => notes.push(format!(
            "{} classes have a single record each, among them `{}`.",
            many.len(),
            many[0]
        )),
    }
    Ok((interned.codes, interned.levels))
}

/// Leaves out the index that pandas writes beside the columns unless told not to: a column
/// without a name of its own in which no value repeats. As a feature it would tell records apart.
fn without_index(
    features: Vec<RawColumn>,
    notes: &mut Vec<String>,
    other_index: &mut Option<String>,
) -> Vec<RawColumn> {
    features
        .into_iter()
        .filter(|column| {
            let name = column.name.as_str();
            let unnamed = name.starts_with("unnamed column ")
                || name == "Unnamed: 0"
                || (name.starts_with("__index_level_") && name.ends_with("__"));
            let is_index = unnamed
                && match &column.values {
                    RawValues::Text(interned) | RawValues::Category(interned) => {
                        interned.levels.len() == interned.codes.len()
                    }
                    RawValues::Integer(values) => {
                        values.iter().collect::<BTreeSet<_>>().len() == values.len()
                    }
                    RawValues::Float(_) | RawValues::List { .. } => false,
                };
            if is_index {
                notes.push(format!(
                    "Column `{name}` is left out: it looks like the index that pandas writes. To use it as identifiers, give --id \"{name}\"."
                ));
            }
            if is_index && !counts_rows(&column.values) {
                *other_index = Some(name.to_owned());
            }
            !is_index
        })
        .collect()
}

/// Whether the values are the row numbers, counted from 0.
fn counts_rows(values: &RawValues) -> bool {
    match values {
        RawValues::Text(interned) | RawValues::Category(interned) => (0..interned.codes.len())
            .all(|row| interned.text(row).and_then(|t| t.parse().ok()) == Some(row)),
        RawValues::Integer(values) => values
            .iter()
            .enumerate()
            .all(|(row, value)| value.and_then(|v| usize::try_from(v).ok()) == Some(row)),
        RawValues::Float(_) | RawValues::List { .. } => false,
    }
}

/// Finds the type of a column, or imposes the one that was asked for.
fn type_column(
    column: RawColumn,
    options: &TableOptions,
    place: &dyn Fn(usize) -> String,
    notes: &mut Vec<String>,
) -> Result<Column> {
    let RawColumn { name, values } = column;
    let kind = kind_of(&values);
    let spelling = match &values {
        RawValues::Text(interned) | RawValues::Category(interned) if kind == ColumnKind::Text => {
            if interned.spelling.is_mixed {
                Spelling::mixed()
            } else {
                interned.spelling.clone()
            }
        }
        _ => Spelling::default(),
    };
    let values = if options.categorical.contains(&name) {
        categorical(values.into_text())
    } else {
        let insist = options.numeric.contains(&name);
        match values {
            RawValues::Integer(values) => Values::Numeric(
                values
                    .into_iter()
                    .map(|value| value.map_or(f64::NAN, |value| value as f64))
                    .collect(),
            ),
            RawValues::Float(values) => {
                if let Some(row) = values.iter().position(|value| value.is_infinite()) {
                    return Err(infinite(&name, &values[row].to_string(), &place(row)));
                }
                Values::Numeric(values)
            }
            RawValues::Category(interned) if !insist => categorical(interned),
            RawValues::Text(interned) | RawValues::Category(interned) => {
                infer(&name, interned, insist, place, notes)?
            }
            RawValues::List { .. } => {
                return Err(Error::unexpected(format!(
                    "column `{name}`: a list is no column of a table"
                )));
            }
        }
    };
    Ok(Column {
        name,
        kind,
        values,
        spelling,
    })
}

/// The type in which pandas would read a column: that of the file, or for texts without a
/// declared type the narrowest that takes them all.
fn kind_of(values: &RawValues) -> ColumnKind {
    let all = |interned: &Interned, fits: &dyn Fn(&str) -> bool| {
        !interned.levels.is_empty() && interned.levels.iter().all(|level| fits(level))
    };
    match values {
        RawValues::Integer(_) => ColumnKind::Whole,
        RawValues::Float(_) | RawValues::List { .. } => ColumnKind::Number,
        // a boolean column of a Parquet file comes as these two words
        RawValues::Category(interned) if all(interned, &|l| matches!(l, "true" | "false")) => {
            ColumnKind::Truth
        }
        RawValues::Category(_) => ColumnKind::Text,
        RawValues::Text(interned) => {
            if all(interned, &|l| l.trim().parse::<i64>().is_ok()) {
                ColumnKind::Whole
            } else if all_numbers(interned.levels.iter().map(String::as_str)).is_some() {
                ColumnKind::Number
            } else if all(interned, &|l| truth(l).is_some()) {
                ColumnKind::Truth
            } else {
                ColumnKind::Text
            }
        }
    }
}

/// The truth value that a text stands for, as pandas reads it.
pub(crate) fn truth(text: &str) -> Option<bool> {
    match text {
        "True" | "TRUE" | "true" => Some(true),
        "False" | "FALSE" | "false" => Some(false),
        _ => None,
    }
}

fn categorical(interned: Interned) -> Values {
    let Interned { codes, levels, .. } = interned.sorted();
    Values::Categorical { codes, levels }
}

fn infinite(name: &str, text: &str, place: &str) -> Error {
    Error::input(format!("the value `{text}` is not finite"))
        .at(format!("{place}, column `{name}`"))
        .hint("mend the value, or leave the column out with --drop")
}

/// Numbers if every value present is one, else categories.
fn infer(
    name: &str,
    interned: Interned,
    insist: bool,
    place: &dyn Fn(usize) -> String,
    notes: &mut Vec<String>,
) -> Result<Values> {
    let numbers: Vec<Option<f64>> = interned
        .levels
        .iter()
        .map(|level| level.parse::<f64>().ok())
        .collect();
    let row_of = |level: usize| {
        interned
            .codes
            .iter()
            .position(|&code| code as usize == level)
            .unwrap_or_default()
    };
    if let Some(level) = numbers.iter().position(Option::is_none) {
        let row = row_of(level);
        if insist {
            return Err(
                Error::input(format!("`{}` is not a number", interned.levels[level]))
                    .at(format!("{}, column `{name}`", place(row)))
                    .hint(format!(
                        "mend the value, or read the column as categories by leaving out --numeric {name}"
                    )),
            );
        }
        // A few odd values among many numbers are more likely a slip than categories.
        let odd = numbers.iter().filter(|number| number.is_none()).count();
        if let Some((writing, example)) = grouped_numbers(&interned.levels, &numbers) {
            notes.push(format!(
                "Column `{name}` is read as categories, but its values look like numbers with {writing}, such as `{example}`. If it should be numeric, write them with a decimal point and nothing else between the digits."
            ));
        } else if numbers.len() >= 20 && odd * 10 <= numbers.len() {
            notes.push(format!(
                "Column `{name}` is read as categories: most of its values are numbers, but `{}` ({}) is not. If it should be numeric, mend the value.",
                interned.levels[level],
                place(row)
            ));
        }
        return Ok(categorical(interned));
    }
    if let Some(level) = numbers
        .iter()
        .position(|number| number.is_some_and(|number| !number.is_finite()))
    {
        return Err(infinite(
            name,
            &interned.levels[level],
            &place(row_of(level)),
        ));
    }
    Ok(Values::Numeric(
        interned
            .codes
            .iter()
            .map(|&code| {
                numbers
                    .get(code as usize)
                    .copied()
                    .flatten()
                    .unwrap_or(f64::NAN)
            })
            .collect(),
    ))
}

/// What is between the digits of texts that are numbers but for that, and one of them: `None`
/// unless every text is either a number or such a one.
fn grouped_numbers<'a>(
    texts: &'a [String],
    numbers: &[Option<f64>],
) -> Option<(&'static str, &'a str)> {
    let mut thousands = None;
    let mut decimal = None;
    for (text, number) in texts.iter().zip(numbers) {
        if number.is_some() {
            continue;
        }
        // 1,234 may be either: it is decided by the other texts.
        if [',', '.', ' ', '\u{a0}', '\u{202f}', '\'', '\u{2019}']
            .iter()
            .any(|&separator| is_grouped(text, separator))
        {
            thousands.get_or_insert(text);
        } else if is_decimal_comma(text) {
            decimal.get_or_insert(text);
        } else {
            return None;
        }
    }
    match (decimal, thousands) {
        (Some(text), _) => Some(("decimal commas", text)),
        (None, Some(text)) => Some(("thousands separators", text)),
        (None, None) => None,
    }
}

/// Whether a text is a number in groups of three digits, such as `-1,234,567.8`.
fn is_grouped(text: &str, separator: char) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let point = if separator == '.' { ',' } else { '.' };
    let (whole, fraction) = text.split_once(point).unwrap_or((text, "0"));
    let mut groups = whole.split(separator);
    let first = groups.next().unwrap_or_default();
    let mut rest = groups.peekable();
    rest.peek().is_some()
        && (1..=3).contains(&first.len())
        && all_digits(first)
        && rest.all(|group| group.len() == 3 && all_digits(group))
        && all_digits(fraction)
}

/// Whether a text is a number with a comma before its fraction, such as `-1,25`.
fn is_decimal_comma(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    text.split_once(',').is_some_and(|(whole, fraction)| {
        all_digits(whole) && all_digits(fraction) && !fraction.is_empty()
    })
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A body from the one column that holds a list in each row.
fn dense_body(
    features: Vec<RawColumn>,
    rows: usize,
    options: &TableOptions,
    notes: &mut Vec<String>,
) -> Result<Body> {
    let mut block: Option<(String, usize, Vec<f32>, bool)> = None;
    for column in features {
        match column.values {
            RawValues::List {
                width,
                values,
                bytes,
            } => {
                if let Some((first, ..)) = &block {
                    return Err(Error::input(format!(
                        "the columns `{first}` and `{}` both hold lists, and only one such column can be read",
                        column.name
                    ))
                    .hint(format!("leave one out: --drop {}", column.name)));
                }
                block = Some((column.name, width, values, bytes));
            }
            _ => notes.push(format!(
                "Column `{}` is left out: the features are the lists of another column.",
                column.name
            )),
        }
    }
    let Some((name, width, values, bytes)) = block else {
        return Err(Error::unexpected("no column of lists"));
    };
    let side = width.isqrt();
    // A shape that is given is better than a guess.
    let image = (bytes && options.image.is_none()).then(|| {
        let square = side * side == width;
        if !square {
            notes.push(format!(
                "Column `{name}` holds {width} bytes a row, which is no square: the shape of the images is not known. Give it with --image."
            ));
        }
        ImageShape {
            height: if square { side } else { 1 },
            width: if square { side } else { width },
            channels: 1,
            bytes,
        }
    });
    let values = Array2::from_shape_vec((rows, width), values)
        .map_err(|error| Error::unexpected(format!("column `{name}`: {error}")))?;
    Ok(Body::Dense {
        values,
        names: dense_names(width, image, &name),
        image,
    })
}

/// Names for the values of a block: pixels where it is an image.
pub(super) fn dense_names(width: usize, image: Option<ImageShape>, stem: &str) -> Vec<String> {
    match image {
        Some(image) if image.height > 1 => (0..width)
            .map(|index| {
                let (pixel, channel) = (index / image.channels, index % image.channels);
                let (row, column) = (pixel / image.width, pixel % image.width);
                if image.channels == 1 {
                    format!("pixel {row},{column}")
                } else {
                    format!("pixel {row},{column},{channel}")
                }
            })
            .collect(),
        _ => (0..width).map(|index| format!("{stem}{index}")).collect(),
    }
}

/// Words in a column name that suggest a person or an identifier.
const PERSON_WORDS: [&str; 7] = [
    "id", "patient", "person", "user", "customer", "subject", "nbr",
];

/// Remarks on columns that seem to say whose row it is.
///
/// A code with few values (an admission type, say) also repeats, so that a column only
/// counts when a value stands for 50 rows at most on average.
fn person_hints(columns: &[Column], notes: &mut Vec<String>) {
    const MOST_ROWS_EACH: usize = 50;
    for column in columns {
        if !suggests_person(&column.name) {
            continue;
        }
        let (rows, distinct) = match &column.values {
            Values::Numeric(values) => {
                let present: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
                if present.iter().any(|value| value.fract() != 0.0) {
                    continue;
                }
                let distinct: BTreeSet<u64> = present.iter().map(|v| (v + 0.0).to_bits()).collect();
                (present.len(), distinct.len())
            }
            Values::Categorical { codes, levels } => (
                codes.iter().filter(|&&code| code != MISSING).count(),
                levels.len(),
            ),
        };
        let name = &column.name;
        if distinct == rows && rows > 1 {
            notes.push(format!(
                "Column `{name}` looks like an identifier and is used as a feature: name it with --id {name}, or leave it out with --drop {name}."
            ));
        } else if distinct < rows && distinct > 1 && distinct * MOST_ROWS_EACH >= rows {
            notes.push(format!(
                "Values of column `{name}` repeat ({distinct} in {rows} rows): rows may belong to the same person; use --group {name}."
            ));
        }
    }
}

fn suggests_person(name: &str) -> bool {
    // Words are split at punctuation and where a small letter meets a capital one.
    let mut words = vec![String::new()];
    let mut previous_small = false;
    for character in name.chars() {
        if !character.is_alphanumeric() || (previous_small && character.is_uppercase()) {
            words.push(String::new());
        }
        previous_small = character.is_lowercase();
        if let Some(word) = words.last_mut()
            && character.is_alphanumeric()
        {
            word.extend(character.to_lowercase());
        }
    }
    words.iter().any(|word| {
        PERSON_WORDS.iter().any(|&person| {
            word == person
                || (person != "id"
                    && word
                        .strip_prefix(person)
                        .is_some_and(|rest| matches!(rest, "id" | "nbr" | "no")))
        })
    })
}
