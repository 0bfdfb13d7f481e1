//! What an explained run knows of one record.

use std::path::Path;

use crate::error::{Error, Result};
use crate::report::Audit;
use crate::report::explanation_text::{MeasureOfRecord, RecordFacts};
use crate::report::records::{Table, Values};
use crate::run::publish::read_result;

/// Reads what an explained run knows of the record with this identifier; nothing where the run
/// was not explained.
///
/// # Errors
/// If the directory holds no finished audit, has no such record, or is damaged.
pub fn explained_record(path: &Path, id: &str) -> Result<Option<(Audit, RecordFacts)>> {
    let (audit, _) = read_result(path)?;
    let file = path.join("records.parquet");
    let bytes =
        std::fs::read(&file).map_err(|e| Error::io("read the records of the run", &file, &e))?;
    let table = Table::open(bytes).map_err(|e| e.at(file.display()))?;
    let column = |name: &str| {
        let damaged = || {
            Error::input(format!("there is no column {name:?}"))
                .at(file.display())
                .hint("explain the run again: giveaway explain RUN")
        };
        let position = table.position(name).ok_or_else(damaged)?;
        table.column(position).map_err(|e| e.at(file.display()))
    };
    let text = |name: &str, row: usize| match column(name)? {
        Values::Text(values) => Ok(values.get(row).cloned().flatten()),
        _ => Ok(None),
    };
    let whole = |name: &str, row: usize| match column(name)? {
        Values::Whole(values) => Ok(values.get(row).copied().flatten()),
        _ => Ok(None),
    };
    let Values::Text(ids) = column("id")? else {
        return Err(Error::input("identifiers are no texts").at(file.display()));
    };
    let row = ids
        .iter()
        .position(|own| own.as_deref() == Some(id))
        .ok_or_else(|| {
            let some: Vec<&str> = audit
                .exposed
                .iter()
                .take(5)
                .map(|unit| unit.id.as_str())
                .collect();
            Error::usage(format!("the run has no record {id:?}"))
                .at("--record")
                .hint(format!(
                    "identifiers are those of the id column, else row numbers from 0; the most exposed are {}",
                    some.join(", ")
                ))
        })?;
    let Some(explanation) = &audit.explanation else {
        return Ok(None);
    };
    let mut measures = Vec::new();
    for predictor in &explanation.predictors {
        let Values::Number(values) = column(&predictor.measure)? else {
            continue;
        };
        let value = values[row];
        let known = values.iter().filter(|x| !x.is_nan()).count().max(1) as f64;
        let share = |holds: &dyn Fn(f64) -> bool| {
            values.iter().filter(|&&x| holds(x)).count() as f64 / known
        };
        measures.push(MeasureOfRecord {
            measure: predictor.measure.clone(),
            value,
            smaller: share(&|x| x < value),
            larger: share(&|x| x > value),
        });
    }
    let leak = match column("leak")? {
        Values::Number(values) => Some(values[row]).filter(|leak| !leak.is_nan()),
        _ => None,
    };
    let record = RecordFacts {
        id: id.to_owned(),
        unit: whole("unit", row)?.and_then(|unit| u32::try_from(unit).ok()),
        class: text("class", row)?.unwrap_or_default(),
        leak,
        rank: whole("leak_rank", row)?.and_then(|rank| usize::try_from(rank).ok()),
        given_away: match column("given_away")? {
            Values::Truth(values) => values.get(row).copied().flatten() == Some(true),
            _ => false,
        },
        reason: text("reason", row)?,
        further: text("further_reasons", row)?
            .map(|all| all.split("; ").map(str::to_owned).collect())
            .unwrap_or_default(),
        statement: text("statement", row)?,
        measures,
    };
    Ok(Some((audit, record)))
}
