//! Two files as one table: the audited records and then those of the reference file.

use std::borrow::Cow;
use std::collections::HashMap;

use ndarray::{Axis, concatenate};

use super::table::{Body, Column, ColumnKind, MISSING, Spelling, Table, Values};
use crate::{Error, Result};

/// The records of all tables, one table after another, with the columns of the first. Notes,
/// hashes and groups stay those of the first.
///
/// # Errors
/// If there is no table, or they are not of one kind: columns here and a block of numbers there.
///
/// # Panics
/// If a label is not among its table's classes, which no table read from a file has.
pub fn joined<'a>(tables: &[&'a Table]) -> Result<Cow<'a, Table>> {
    let Some((&first, others)) = tables.split_first() else {
        return Err(Error::unexpected("no table of records"));
    };
    if others.is_empty() {
        return Ok(Cow::Borrowed(first));
    }
    let mut whole = first.clone();
    for other in others {
        append(&mut whole.body, &other.body, other.len()).map_err(|e| e.at(&other.name))?;
        whole.labels.extend(other.labels.iter().map(|&label| {
            let name = &other.classes[label as usize];
            let known = whole.classes.iter().position(|class| class == name);
            known.unwrap_or_else(|| {
                whole.classes.push(name.clone());
                whole.classes.len() - 1
            }) as u32
        }));
        whole.ids.extend_from_slice(&other.ids);
        whole.rows.extend_from_slice(&other.rows);
    }
    whole.groups = None;
    Ok(Cow::Owned(whole))
}

fn append(body: &mut Body, other: &Body, records: usize) -> Result<()> {
    match (body, other) {
        (Body::Columns(columns), Body::Columns(others)) => {
            for column in columns {
                match others.iter().find(|other| other.name == column.name) {
                    Some(other) => append_column(column, other),
                    // What is not encoded may be missing.
                    None => append_missing(&mut column.values, records),
                }
            }
            Ok(())
        }
        (Body::Dense { values, .. }, Body::Dense { values: others, .. })
            if values.ncols() == others.ncols() =>
        {
            *values = concatenate(Axis(0), &[values.view(), others.view()])
                .map_err(|e| Error::unexpected(format!("cannot join the records: {e}")))?;
            Ok(())
        }
        _ => Err(
            Error::input("its records are not of the kind of the audited ones")
                .hint("give both files in the same format, with the same columns"),
        ),
    }
}

fn append_missing(values: &mut Values, records: usize) {
    match values {
        Values::Numeric(values) => values.extend(std::iter::repeat_n(f64::NAN, records)),
        Values::Categorical { codes, .. } => codes.extend(std::iter::repeat_n(MISSING, records)),
    }
}

fn append_column(column: &mut Column, other: &Column) {
    // A column without any value has no type of its own.
    if is_empty(&column.values) && !is_empty(&other.values) {
        let missing = len(&column.values);
        let mut values = match &other.values {
            Values::Numeric(_) => Values::Numeric(Vec::new()),
            Values::Categorical { .. } => Values::Categorical {
                codes: Vec::new(),
                levels: Vec::new(),
            },
        };
        append_missing(&mut values, missing);
        *column = Column {
            name: column.name.clone(),
            kind: other.kind,
            values,
            spelling: other.spelling.clone(),
        };
    } else if is_empty(&other.values) {
        append_missing(&mut column.values, len(&other.values));
        return;
    }
    if column.spelling != other.spelling {
        column.spelling = Spelling::mixed();
    }
    column.kind = match (column.kind, other.kind) {
        (a, b) if a == b => a,
        (ColumnKind::Whole, ColumnKind::Number) | (ColumnKind::Number, ColumnKind::Whole) => {
            ColumnKind::Number
        }
        _ => ColumnKind::Text,
    };
    if let (Values::Numeric(values), Values::Numeric(others)) = (&mut column.values, &other.values)
    {
        values.extend(others);
        return;
    }
    let (mut codes, mut levels) = as_levels(&column.values);
    let (more, names) = as_levels(&other.values);
    let mut places: HashMap<String, u32> = levels.iter().cloned().zip(0..).collect();
    let translated: Vec<u32> = names
        .into_iter()
        .map(|name| {
            *places.entry(name).or_insert_with_key(|name| {
                levels.push(name.clone());
                levels.len() as u32 - 1
            })
        })
        .collect();
    codes.extend(
        more.iter()
            .map(|&code| translated.get(code as usize).copied().unwrap_or(MISSING)),
    );
    column.values = Values::Categorical { codes, levels };
}

fn len(values: &Values) -> usize {
    match values {
        Values::Numeric(values) => values.len(),
        Values::Categorical { codes, .. } => codes.len(),
    }
}

fn is_empty(values: &Values) -> bool {
    match values {
        Values::Numeric(values) => values.iter().all(|value| value.is_nan()),
        Values::Categorical { codes, .. } => codes.iter().all(|&code| code == MISSING),
    }
}

fn as_levels(values: &Values) -> (Vec<u32>, Vec<String>) {
    match values {
        Values::Categorical { codes, levels } => (codes.clone(), levels.clone()),
        Values::Numeric(values) => {
            let mut places: HashMap<u64, u32> = HashMap::new();
            let mut levels = Vec::new();
            let codes = values
                .iter()
                .map(|value| {
                    if value.is_nan() {
                        return MISSING;
                    }
                    *places.entry(value.to_bits()).or_insert_with(|| {
                        levels.push(value.to_string());
                        levels.len() as u32 - 1
                    })
                })
                .collect();
            (codes, levels)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::TableOptions;

    fn table(text: &str) -> Table {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.csv");
        std::fs::write(&path, text).unwrap();
        let options = TableOptions {
            label: Some("class".to_owned()),
            ..TableOptions::default()
        };
        Table::read(&path, &options).unwrap()
    }

    fn cells(table: &Table) -> Vec<Vec<String>> {
        (0..table.len())
            .map(|row| {
                let features = 0..table.column_names().len();
                features
                    .map(|column| table.feature_text(row, column))
                    .chain([table.classes[table.labels[row] as usize].clone()])
                    .collect()
            })
            .collect()
    }

    #[test]
    fn records_follow_each_other_as_if_they_were_one_file() {
        let first = "a,b,c,d,class\n1,x,,2,p\n2,y,,3,q\n,,,4,p\n";
        let second = "a,b,c,d,class\n1.5,z,7,1,q\n4,x,8,2,p\n";
        let both = table(&(first.to_owned() + second.split_once('\n').unwrap().1));
        let (first, second) = (table(first), table(second));
        let joined = joined(&[&first, &second]).unwrap();
        assert_eq!(cells(&joined), cells(&both));
        let kinds = |table: &Table| match &table.body {
            Body::Columns(columns) => columns.iter().map(|c| c.kind).collect::<Vec<_>>(),
            Body::Dense { .. } => Vec::new(),
        };
        assert_eq!(kinds(&joined), kinds(&both));
    }

    #[test]
    fn one_table_stays_as_it_is() {
        let only = table("a,class\n1,p\n2,q\n");
        assert!(matches!(joined(&[&only]).unwrap(), Cow::Borrowed(_)));
        assert!(joined(&[]).is_err());
    }
}
