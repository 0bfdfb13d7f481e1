//! `indirect/queries.parquet`: the queries as people read them and as a target may be asked.

use std::collections::BTreeMap;

use ndarray::Array2;

use super::queries::UnitQueries;
use crate::dataset::{Body, Decoding, Table, Values as ColumnValues, joined};
use crate::enhance::EnhancingRecord;
use crate::enhance::space::{Query, QuerySpace};
use crate::error::{Error, Result};
use crate::report::FORMAT_VERSION;
use crate::report::indirect::ChangedValue;
use crate::report::records::{Values, to_parquet};
use crate::run::pool::Pool;
use crate::target::Questions;
use crate::target::questions::columns_of;

/// Of each column of the table, its place among the columns that queries are made of; none
/// where the encoding leaves the column out.
fn places(pool: &Pool, space: &QuerySpace<'_>) -> Vec<Option<usize>> {
    let features = &pool.dataset.schema.features;
    let by_name: BTreeMap<&str, usize> = space
        .columns()
        .iter()
        .enumerate()
        .map(|(place, range)| (features[range.start].column.as_str(), place))
        .collect();
    let names = pool.table.column_names();
    names
        .into_iter()
        .map(|name| by_name.get(name).copied())
        .collect()
}

/// The record whose value a query has in a column.
fn donor(query: &Query, place: Option<usize>) -> usize {
    place.map_or(query.record, |place| query.donors[place]) as usize
}

/// A record that a query has a value from and that is of another unit than the one attacked. Every
/// query differs from its record, so there is one, unless a value was lent within the unit.
fn stranger(pool: &Pool, query: &Query) -> usize {
    let unit = |record: u32| {
        let record = record as usize;
        (record < pool.table.len()).then(|| pool.units.of_record(record))
    };
    let own = unit(query.record);
    let donors = query.donors.iter().copied();
    let another = donors.clone().find(|&donor| unit(donor) != own);
    another.unwrap_or_else(|| donors.last().unwrap_or(query.record)) as usize
}

/// The table that a record is in, its row there, and the place of a column of the audited table.
fn home(pool: &Pool, record: usize, column: usize) -> Option<(&Table, usize, usize)> {
    let Some(row) = record.checked_sub(pool.table.len()) else {
        return Some((&pool.table, record, column));
    };
    let reference = pool.reference.as_ref()?;
    let name = pool.table.column_names()[column];
    let names = reference.column_names();
    let place = names.iter().position(|other| *other == name)?;
    Some((reference, row, place))
}

fn text_of(pool: &Pool, record: usize, column: usize) -> String {
    home(pool, record, column).map_or_else(String::new, |(table, row, column)| {
        table.feature_text(row, column)
    })
}

/// The columns in which a query differs from its record, with both values.
pub(super) fn changed(pool: &Pool, space: &QuerySpace<'_>, query: &Query) -> Vec<ChangedValue> {
    let Some(columns) = space.columns_changed(query) else {
        return Vec::new();
    };
    let names = pool.table.column_names();
    places(pool, space)
        .into_iter()
        .enumerate()
        .filter(|(_, place)| place.is_some_and(|place| columns.contains(&place)))
        .map(|(column, place)| ChangedValue {
            column: names[column].to_owned(),
            record: text_of(pool, query.record as usize, column),
            query: text_of(pool, donor(query, place), column),
        })
        .collect()
}

/// The table, one row per query in the order of the arrays. Pixels of images are in
/// `queries.npy` alone.
pub(super) fn queries_parquet(
    pool: &Pool,
    space: &QuerySpace<'_>,
    units: &[UnitQueries],
) -> Result<Vec<u8>> {
    let kept: Vec<(usize, &EnhancingRecord)> = units
        .iter()
        .flat_map(|unit| unit.enhanced.queries.iter().enumerate())
        .collect();
    let table = &pool.table;
    let text = |of: &dyn Fn(&EnhancingRecord) -> String| {
        Values::Text(kept.iter().map(|(_, k)| Some(of(k))).collect())
    };
    let number = |of: &dyn Fn(&EnhancingRecord) -> f64| {
        Values::Number(kept.iter().map(|(_, k)| of(k)).collect())
    };
    let mut columns: Vec<(String, Values)> = vec![
        (
            "query.record".to_owned(),
            text(&|k| table.ids[k.query.record as usize].clone()),
        ),
        (
            "query.class".to_owned(),
            text(&|k| table.classes[table.labels[k.query.record as usize] as usize].clone()),
        ),
        (
            "query.rank".to_owned(),
            Values::Whole(
                kept.iter()
                    .map(|(rank, _)| i64::try_from(rank + 1).ok())
                    .collect(),
            ),
        ),
        ("query.tail".to_owned(), text(&|k| tail(k.upper).to_owned())),
        (
            "query.distance".to_owned(),
            number(&|k| f64::from(k.distance)),
        ),
        ("query.effect".to_owned(), number(&|k| k.effect.size())),
        ("query.confirmation".to_owned(), number(&|k| k.confirmation)),
    ];
    if !space.is_image() {
        let changed = |k: &EnhancingRecord| {
            let columns = space.columns_changed(&k.query)?;
            i64::try_from(columns.len()).ok()
        };
        columns.push((
            "query.columns_changed".to_owned(),
            Values::Whole(kept.iter().map(|(_, k)| changed(k)).collect()),
        ));
        features(pool, space, &kept, &mut columns);
    }
    to_parquet(
        &columns,
        &[("giveaway.format_version", FORMAT_VERSION.to_string())],
    )
}

/// The features in their own types, under their own names.
fn features(
    pool: &Pool,
    space: &QuerySpace<'_>,
    kept: &[(usize, &EnhancingRecord)],
    columns: &mut Vec<(String, Values)>,
) {
    let names = pool.table.column_names();
    for (column, place) in places(pool, space).into_iter().enumerate() {
        // What models do not see may be a name, and a query must not have the record's.
        if place.is_none() {
            continue;
        }
        let donors = kept.iter().map(|(_, k)| donor(&k.query, place));
        let number = |record: usize| {
            let Some((table, row, column)) = home(pool, record, column) else {
                return f64::NAN;
            };
            match &table.body {
                Body::Columns(all) => match &all[column].values {
                    ColumnValues::Numeric(values) => values[row],
                    ColumnValues::Categorical { .. } => f64::NAN,
                },
                Body::Dense { values, .. } => f64::from(values[[row, column]]),
            }
        };
        let is_text = matches!(
            &pool.table.body,
            Body::Columns(all) if matches!(all[column].values, ColumnValues::Categorical { .. })
        );
        let values = if is_text {
            // A missing category is the empty text.
            let text = |record| {
                let (table, row, column) = home(pool, record, column)?;
                let text = Some(table.feature_text(row, column)).filter(|t| !t.is_empty());
                match &table.body {
                    Body::Columns(columns) => columns[column].spelling.written(text.as_deref()),
                    Body::Dense { .. } => text,
                }
            };
            Values::Text(donors.map(text).collect())
        } else {
            Values::Number(donors.map(number).collect())
        };
        columns.push((names[column].to_owned(), values));
    }
}

/// The queries as questions to a target that may want raw values, encoded as `features`. A
/// column takes the value of the record that a query has it from; what models do not see, such as
/// a name, is taken from another person's record, and not from one of the unit attacked.
pub(super) fn questions(
    pool: &Pool,
    space: &QuerySpace<'_>,
    queries: &[Query],
    features: Array2<f32>,
) -> Result<Questions> {
    let names = pool.dataset.schema.features.iter();
    let feature_names: Vec<String> = names.map(|feature| feature.name.clone()).collect();
    let mut columns = Vec::new();
    if space.is_image() {
        let tables: Vec<&Table> = std::iter::once(&pool.table)
            .chain(&pool.reference)
            .collect();
        let decoding = Decoding::new(joined(&tables)?, &pool.dataset, &pool.encoding)?;
        columns = columns_of(&decoding.decode(features.view())?);
    } else {
        let whole = columns_of(&pool.table.body);
        let reference = pool.reference.as_ref().map(|table| columns_of(&table.body));
        let seen = places(pool, space);
        let strangers: Vec<usize> = queries.iter().map(|query| stranger(pool, query)).collect();
        for (mut column, place) in whole.into_iter().zip(seen) {
            if let Some(reference) = &reference {
                let same = reference.iter().find(|other| other.name == column.name);
                column.values = same
                    .and_then(|other| column.values.followed_by(&other.values))
                    .ok_or_else(|| {
                        Error::input(format!(
                            "column `{}` is of another type in the reference file",
                            column.name
                        ))
                        .hint("give both files the same types of columns")
                    })?;
            }
            column.values = match place {
                Some(place) => {
                    let donors = queries.iter().map(|query| query.donors[place] as usize);
                    column.values.select(&donors.collect::<Vec<usize>>())
                }
                None => column.values.select(&strangers),
            };
            columns.push(column);
        }
    }
    Ok(Questions {
        features,
        feature_names,
        columns,
    })
}

/// The name of a tail.
pub(super) fn tail(upper: bool) -> &'static str {
    if upper { "upper" } else { "lower" }
}
