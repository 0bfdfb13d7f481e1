//! What `giveaway explain` left in the run directory for the page: the map, and what networks
//! look at. Files that are missing are left out; what does not fit is one error.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rayon::prelude::*;

use super::{byte, read_if_there};
use crate::error::{Error, Result};
use crate::report::Audit;
use crate::report::page::gathered::{Activation, Images, MapPoint, MapPoints, Records, Role};
use crate::report::records::{Table, Values};

/// Points of a map at most.
const MOST_POINTS: usize = 10_000;
/// Ways to lay out the records that are shown.
const MOST_VIEWS: usize = 6;
/// Rows of a table of activations at most.
const MOST_ACTIVATIONS: usize = 100_000;
/// Rows and columns of what a network looks at.
const LONGEST_SIDE: i64 = 1 << 12;
/// Bytes of activations and their images on the page.
const MOST_ACTIVATION_BYTES: usize = 350_000;

/// What to do about a file of an explanation that is damaged.
const AGAIN: &str = "explain the run again: giveaway explain RUN";

fn damaged(what: impl Into<String>) -> Error {
    Error::input(what.into()).hint(AGAIN)
}

/// A column by its name.
fn column(table: &Table, name: &str) -> Result<Values> {
    table
        .position(name)
        .ok_or_else(|| damaged(format!("there is no column `{name}`")))
        .and_then(|index| table.column(index))
}

fn wholes(table: &Table, name: &str) -> Result<Vec<i64>> {
    match column(table, name)? {
        Values::Whole(values) => values.into_iter().collect(),
        _ => None,
    }
    .ok_or_else(|| damaged(format!("the column `{name}` is not of whole numbers only")))
}

fn numbers(table: &Table, name: &str) -> Result<Vec<f64>> {
    match column(table, name)? {
        Values::Number(values) => Ok(values),
        _ => Err(damaged(format!("the column `{name}` is not of numbers"))),
    }
}

fn texts(table: &Table, name: &str) -> Result<Vec<String>> {
    match column(table, name)? {
        Values::Text(values) => values.into_iter().collect(),
        _ => None,
    }
    .ok_or_else(|| damaged(format!("the column `{name}` is not of texts only")))
}

/// Units and records of rows, each checked to be one of the audited.
fn places(table: &Table, records: &Records) -> Result<Vec<(u32, usize)>> {
    let units = wholes(table, "unit")?;
    let rows = wholes(table, "record")?;
    let numbers = records.wholes("unit").unwrap_or_default();
    units
        .into_iter()
        .zip(rows)
        .map(|(unit, row)| {
            usize::try_from(row)
                .ok()
                .filter(|&row| {
                    records.audited().get(row) == Some(&true)
                        && numbers.get(row) == Some(&Some(unit))
                })
                .and_then(|row| Some((u32::try_from(unit).ok()?, row)))
                .ok_or_else(|| {
                    damaged(format!(
                        "record {row} of unit {unit}, which was not audited"
                    ))
                })
        })
        .collect()
}

fn not_too_many(table: &Table, most: usize) -> Result<()> {
    if table.rows() > most {
        return Err(damaged(format!(
            "{} rows, where at most {most} are expected",
            table.rows()
        )));
    }
    Ok(())
}

/// Reads `map.parquet`, if the report has a map and the file is there.
pub(super) fn read_map(run: &Path, audit: &Audit, records: &Records) -> Result<Option<MapPoints>> {
    let path = run.join("map.parquet");
    let Some(summary) = audit.explanation.as_ref().and_then(|e| e.map.as_ref()) else {
        return Ok(None);
    };
    let Some(bytes) = read_if_there(&path)? else {
        return Ok(None);
    };
    let read = || -> Result<MapPoints> {
        let table = Table::open(bytes)?;
        not_too_many(&table, MOST_POINTS)?;
        let places = places(&table, records)?;
        let Values::Truth(exposed) = column(&table, "exposed")? else {
            return Err(damaged("the column `exposed` is not of truth values"));
        };
        let ids = records.texts("id").unwrap_or_default();
        let points = places
            .into_iter()
            .zip(exposed)
            .map(|((unit, record), exposed)| MapPoint {
                unit,
                id: ids[record].clone().unwrap_or_default(),
                class: records.labels()[record] as usize,
                exposed: exposed == Some(true),
            })
            .collect();
        let views = summary.views.iter().take(MOST_VIEWS).enumerate();
        let views = views
            .map(|(index, view)| {
                let x = numbers(&table, &format!("{}_x", view.name))?;
                let y = numbers(&table, &format!("{}_y", view.name))?;
                Ok((index, x.into_iter().zip(y).map(|(x, y)| [x, y]).collect()))
            })
            .collect::<Result<_>>()?;
        Ok(MapPoints { points, views })
    };
    read().map(Some).map_err(|e| e.at(path.display()))
}

/// Reads as much of `activations.parquet` as there is room for, if the run was explained and
/// the file is there, with the images that it is of. Exposed ones come first, then the classes
/// in turn.
pub(super) fn read_activations(
    run: &Path,
    audit: &Audit,
    records: &Records,
    images: &Images,
) -> Result<Vec<Activation>> {
    let path = run.join("activations.parquet");
    if audit.explanation.is_none() {
        return Ok(Vec::new());
    }
    let Some(bytes) = read_if_there(&path)? else {
        return Ok(Vec::new());
    };
    let (mut kept, rows) =
        entries(bytes, audit, records, images).map_err(|e| e.at(path.display()))?;
    pixels(run, &mut kept, &rows, images)?;
    Ok(kept)
}

/// The activations that there is room for, without their images, and the records of these.
pub(super) fn entries(
    bytes: Vec<u8>,
    audit: &Audit,
    records: &Records,
    images: &Images,
) -> Result<(Vec<Activation>, Vec<usize>)> {
    let table = Table::open(bytes)?;
    not_too_many(&table, MOST_ACTIVATIONS)?;
    let places = places(&table, records)?;
    let (roles, classes) = (texts(&table, "role")?, texts(&table, "class")?);
    let (ranks, distances) = (wholes(&table, "rank")?, numbers(&table, "distance")?);
    let (heights, widths) = (wholes(&table, "height")?, wholes(&table, "width")?);
    let maps = texts(&table, "map")?;
    let mut rows = Vec::with_capacity(places.len());
    for row in 0..places.len() {
        let role = match roles[row].as_str() {
            "closest" => Role::Closest,
            "farthest" => Role::Farthest,
            "exposed" => Role::Exposed,
            // A newer version may show more.
            _ => continue,
        };
        let class = (audit.data.classes)
            .iter()
            .position(|class| *class == classes[row])
            .ok_or_else(|| damaged("a class that the report does not have"))?;
        rows.push((role, class, row));
    }
    // By role and rank, so that where the room ends no class is cut off for another.
    rows.sort_by_key(|&(role, class, row)| (role != Role::Exposed, ranks[row], class, row));
    let length = images.height * images.width * images.channels;
    let mut room = MOST_ACTIVATION_BYTES;
    let mut kept = Vec::new();
    let mut of = Vec::new();
    for (role, class, row) in rows {
        let side = |side: i64| {
            (1..=LONGEST_SIDE)
                .contains(&side)
                .then(|| usize::try_from(side).unwrap_or(0))
        };
        let (Some(height), Some(width)) = (side(heights[row]), side(widths[row])) else {
            return Err(damaged(format!(
                "a map of {} by {} places",
                heights[row], widths[row]
            )));
        };
        // The exposed have half of the room at most.
        let least = if role == Role::Exposed {
            MOST_ACTIVATION_BYTES / 2
        } else {
            0
        };
        let bytes = height * width + length;
        if room < least + bytes {
            continue;
        }
        let map = STANDARD
            .decode(&maps[row])
            .ok()
            .filter(|map| map.len() == height * width)
            .ok_or_else(|| damaged(format!("no base64 of {height} by {width} bytes")))?;
        room -= bytes;
        of.push(places[row].1);
        kept.push(Activation {
            unit: places[row].0,
            role,
            class,
            rank: ranks[row],
            distance: distances[row],
            shape: [height, width],
            map,
            pixels: Vec::new(),
        });
    }
    Ok((kept, of))
}

/// Adds the images, whose records are `of`.
fn pixels(run: &Path, kept: &mut [Activation], of: &[usize], images: &Images) -> Result<()> {
    let length = images.height * images.width * images.channels;
    let path = run.join("data.parquet");
    let Some(bytes) = read_if_there(&path)?.filter(|_| !kept.is_empty()) else {
        return Ok(());
    };
    let read = || -> Result<Vec<Vec<u8>>> {
        let table = Table::open(bytes)?;
        // Columns of ours come first; that the others are the pixels was checked before.
        let first = table
            .columns()
            .checked_sub(length)
            .ok_or_else(|| Error::input("fewer columns than pixels").hint(super::AGAIN))?;
        (first..table.columns())
            .into_par_iter()
            .map(|column| match table.column(column)? {
                Values::Number(values) => of
                    .iter()
                    .map(|&record| values.get(record).map(|&value| byte(value, images.scale)))
                    .collect::<Option<_>>()
                    .ok_or_else(|| {
                        Error::input("fewer records than the report").hint(super::AGAIN)
                    }),
                _ => Err(Error::input("a pixel that is no number").hint(super::AGAIN)),
            })
            .collect()
    };
    let columns = read().map_err(|e| e.at(path.display()))?;
    for (index, activation) in kept.iter_mut().enumerate() {
        activation.pixels = columns.iter().map(|column| column[index]).collect();
    }
    Ok(())
}
