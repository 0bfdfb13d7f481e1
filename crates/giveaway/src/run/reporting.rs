//! From a finished run directory to what its page needs: nothing else is read, so the page can
//! be made when the data are gone, and nothing is written.

mod explanation;

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use rayon::prelude::*;

use super::array_file::open_array;
use super::publish::read_result;
use crate::channel::Channel;
use crate::dataset::{Encoding, ImageShape};
use crate::error::{Error, Result};
use crate::report::Audit;
use crate::report::page::gathered::{
    Cells, FeatureColumn, Features, Gathered, Images, Losses, Neighbour, QueryPictures, Records,
    Typical,
};
use crate::report::page::rows::{self, Chosen, MOST_INDIRECT};
use crate::report::records::{Table, Values};

/// Pixels of single records on the page, in bytes.
const MOST_PIXELS: usize = 700_000;
/// Pixels of mean images.
const MOST_MEAN_PIXELS: usize = 150_000;
/// Classes times columns for which the usual values are told class by class.
const MOST_CLASS_COLUMNS: usize = 4_000;
/// Pixels of the queries of indirect inference.
const MOST_QUERY_PIXELS: usize = 400_000;
/// Bytes of model outputs that are read at a time.
const BLOCK: usize = 1 << 20;
/// Neighbours of a unit that are shown.
const MOST_NEIGHBOURS: usize = 5;

/// What to do about a file of a run that is damaged or gone.
const AGAIN: &str = "run the audit again: what does not fit or is missing is made anew";

/// Reads a finished run.
///
/// # Errors
/// If the run has no report yet, was made by a newer version, or a file is damaged.
pub(super) fn gather(run: &Path) -> Result<Gathered> {
    let (audit, json) = read_result(run)?;
    let records = read_records(&run.join("records.parquet"), &audit)?;
    let chosen = rows::choose(&audit, &records);
    let losses = read_losses(run, &audit, &records, &chosen)?;
    let features = read_features(run, &audit, &records, &chosen)?;
    let queries = match &features {
        Features::Images(images) => read_queries(run, &audit, images)?,
        _ => None,
    };
    let map = explanation::read_map(run, &audit, &records)?;
    let activations = match &features {
        Features::Images(images) => explanation::read_activations(run, &audit, &records, images)?,
        _ => Vec::new(),
    };
    let neighbours = read_neighbours(&run.join("neighbours.parquet"), &records, &chosen)?;
    Ok(Gathered {
        audit,
        json,
        records,
        chosen,
        losses,
        features,
        neighbours,
        queries,
        map,
        activations,
    })
}

/// A file, or nothing where it is not there.
fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("read the file", path, &e)),
    }
}

/// The columns of a table, read side by side.
fn read_columns(table: &Table) -> Result<Vec<(String, Values)>> {
    (0..table.columns())
        .into_par_iter()
        .map(|column| Ok((table.name(column).to_owned(), table.column(column)?)))
        .collect()
}

fn read_records(path: &Path, audit: &Audit) -> Result<Records> {
    let bytes = read_if_there(path)?.ok_or_else(|| {
        Error::input("the records of the run are missing")
            .at(path.display())
            .hint(AGAIN)
    })?;
    Table::open(bytes)
        .and_then(|table| read_columns(&table))
        .and_then(|columns| Records::new(columns, &audit.data.classes))
        .map_err(|e| e.at(path.display()))
}

/// The losses of the units shown on the testing half of the reference models.
fn read_losses(
    run: &Path,
    audit: &Audit,
    records: &Records,
    chosen: &Chosen,
) -> Result<Option<Losses>> {
    let membership = run.join("membership.npy");
    let signals = run.join("signals");
    let units: Vec<u32> = chosen
        .rows()
        .iter()
        .map(|&position| records.units()[position].number)
        .collect();
    // Who needs the room may have removed the outputs; one that is missing alone is damage.
    let empty = std::fs::read_dir(&signals).map_or(true, |mut files| files.next().is_none());
    if empty || !membership.exists() || units.is_empty() {
        return Ok(None);
    }
    let other = |path: &Path, what: String| Error::input(what).at(path.display()).hint(AGAIN);
    // The report may be damaged: how many models there are is believed once a file says so too.
    let (mut file, shape) = open_array(&membership, "|u1")?;
    let &[models, columns] = shape.as_slice() else {
        return Err(other(
            &membership,
            "no matrix of models and units".to_owned(),
        ));
    };
    if models != audit.reference.models || units.iter().any(|&unit| unit as usize >= columns) {
        return Err(other(
            &membership,
            format!(
                "a matrix of {models} models and {columns} units, which does not fit the report"
            ),
        ));
    }
    if audit.test.selecting_models > models {
        return Err(other(
            &run.join("report.json"),
            format!(
                "{} of {models} reference models are said to have selected",
                audit.test.selecting_models
            ),
        ));
    }
    let testing = audit.test.selecting_models..models;
    let paths: Vec<_> = testing
        .clone()
        .map(|model| signals.join(format!("{model:03}.npy")))
        .collect();
    let Some(first) = paths.first() else {
        return Ok(None);
    };
    if paths.iter().all(|path| !path.exists()) {
        return Ok(None);
    }
    let mut matrix = vec![0; testing.len() * columns];
    let before = i64::try_from(testing.start * columns).unwrap_or(i64::MAX);
    file.seek(SeekFrom::Current(before))
        .and_then(|_| file.read_exact(&mut matrix))
        .map_err(|e| Error::io("read the membership matrix", &membership, &e))?;

    let classes = audit.data.classes.len();
    let (_, shape) = open_array(first, "<f4")?;
    if shape.len() != 3 || shape[0] < records.len() || shape[1..] != [1, classes] {
        return Err(other(
            first,
            format!("outputs of shape {shape:?}, which do not fit the report"),
        ));
    }
    let mut needed: Vec<(u32, u32)> = Vec::new();
    for (row, &position) in chosen.rows().iter().enumerate() {
        let of_unit = &records.units()[position].records;
        needed.extend(of_unit.iter().map(|&record| (record, row as u32)));
    }
    needed.sort_unstable();
    let reading = Reading {
        shape: &shape,
        needed: &needed,
        labels: records.labels(),
        channel: audit.target.channel,
        rows: units.len(),
    };
    let columns_of_models: Vec<Vec<f32>> = paths
        .par_iter()
        .map(|path| reading.read(path))
        .collect::<Result<_>>()?;
    let count = testing.len();
    let mut losses = Losses {
        models: count,
        values: vec![0.0; units.len() * count],
        inside: vec![false; units.len() * count],
    };
    for (model, column) in columns_of_models.iter().enumerate() {
        let members = &matrix[model * columns..(model + 1) * columns];
        for (row, (&loss, &unit)) in column.iter().zip(&units).enumerate() {
            losses.values[row * count + model] = loss;
            losses.inside[row * count + model] = members[unit as usize] != 0;
        }
    }
    Ok(Some(losses))
}

/// How the outputs of a model become losses of the units shown.
struct Reading<'a> {
    shape: &'a [usize],
    /// Records and the rows that they belong to, in the order of the file.
    needed: &'a [(u32, u32)],
    labels: &'a [u32],
    channel: Channel,
    rows: usize,
}

impl Reading<'_> {
    /// The mean loss over the records of each row's unit, rounded as `signals` does.
    fn read(&self, path: &Path) -> Result<Vec<f32>> {
        let (mut file, shape) = open_array(path, "<f4")?;
        let damaged = |what: &str| {
            Error::input(what)
                .at(path.display())
                .hint("delete the file and run the audit again: it will be made anew")
        };
        if shape != self.shape {
            return Err(damaged(
                "outputs of another shape than those of the other models",
            ));
        }
        let failed = |e: &std::io::Error| Error::io("read the signals", path, e);
        let start = file.stream_position().map_err(|e| failed(&e))?;
        let classes = shape[2];
        let per_block = (BLOCK / (4 * classes)).max(1);
        let mut sums = vec![(0.0, 0_u32); self.rows];
        let (mut bytes, mut logits, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
        let mut rest = self.needed;
        while let Some(&(first, _)) = rest.first() {
            let count =
                rest.partition_point(|&(record, _)| ((record - first) as usize) < per_block);
            let (block, later) = rest.split_at(count);
            rest = later;
            let records = (block[count - 1].0 - first) as usize + 1;
            bytes.resize(4 * classes * records, 0);
            file.seek(SeekFrom::Start(
                start + 4 * (classes as u64) * u64::from(first),
            ))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|e| failed(&e))?;
            for &(record, row) in block {
                let at = 4 * classes * (record - first) as usize;
                logits.clear();
                logits.extend(
                    bytes[at..at + 4 * classes]
                        .chunks_exact(4)
                        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
                );
                if logits.iter().any(|z| !z.is_finite()) {
                    return Err(damaged("outputs that are no finite numbers"));
                }
                let label = self.labels[record as usize] as usize;
                let signal = self.channel.signal_of_logits(&logits, label, &mut scratch);
                let sum: &mut (f64, u32) = &mut sums[row as usize];
                *sum = (sum.0 + signal.loss, sum.1 + 1);
            }
        }
        Ok(sums
            .into_iter()
            .map(|(sum, count)| (sum / f64::from(count)) as f32)
            .collect())
    }
}

fn read_neighbours(
    path: &Path,
    records: &Records,
    chosen: &Chosen,
) -> Result<Option<Vec<Vec<Neighbour>>>> {
    let Some(bytes) = read_if_there(path)? else {
        return Ok(None);
    };
    let row_of: HashMap<u32, usize> = chosen
        .rows()
        .iter()
        .enumerate()
        .map(|(row, &position)| (records.units()[position].number, row))
        .collect();
    let read = || -> Result<Vec<Vec<Neighbour>>> {
        let table = Table::open(bytes)?;
        let columns = read_columns(&table)?;
        let find = |name: &str| columns.iter().find(|c| c.0 == name).map(|c| &c.1);
        let (
            Some(Values::Whole(units)),
            Some(Values::Whole(ranks)),
            Some(Values::Whole(neighbours)),
            Some(Values::Text(ids)),
            Some(Values::Text(classes)),
            Some(Values::Truth(audited)),
            Some(Values::Number(distances)),
        ) = (
            find("unit"),
            find("rank"),
            find("neighbour_unit"),
            find("neighbour_id"),
            find("neighbour_class"),
            find("neighbour_audited"),
            find("distance"),
        )
        else {
            return Err(Error::input("not a table of neighbours")
                .hint("run the audit again: it is made anew"));
        };
        let mut found: Vec<Vec<(i64, Neighbour)>> = vec![Vec::new(); row_of.len()];
        for (index, unit) in units.iter().enumerate() {
            let row = unit
                .and_then(|unit| u32::try_from(unit).ok())
                .and_then(|unit| row_of.get(&unit));
            let (Some(&row), Some(rank)) = (row, ranks[index]) else {
                continue;
            };
            found[row].push((
                rank,
                Neighbour {
                    unit: neighbours[index]
                        .and_then(|unit| u32::try_from(unit).ok())
                        .unwrap_or(u32::MAX),
                    id: ids[index].clone().unwrap_or_default(),
                    class: classes[index].clone().unwrap_or_default(),
                    distance: distances[index],
                    audited: audited[index] != Some(false),
                },
            ));
        }
        Ok(found
            .into_iter()
            .map(|mut list| {
                list.sort_by_key(|(rank, _)| *rank);
                list.truncate(MOST_NEIGHBOURS);
                list.into_iter().map(|(_, neighbour)| neighbour).collect()
            })
            .collect())
    };
    read().map(Some).map_err(|e| e.at(path.display()))
}

fn read_features(
    run: &Path,
    audit: &Audit,
    records: &Records,
    chosen: &Chosen,
) -> Result<Features> {
    let path = run.join("data.parquet");
    let Some(bytes) = read_if_there(&path)? else {
        return Ok(Features::Absent);
    };
    let image = match read_if_there(&run.join("encoding.json"))? {
        Some(text) => serde_json::from_slice::<Encoding>(&text)
            .map_err(|e| {
                Error::input(format!("not an encoding: {e}"))
                    .at(run.join("encoding.json").display())
                    .hint("run the audit again: it is made anew")
            })?
            .image(),
        None => None,
    };
    let read = || -> Result<Features> {
        let table = Table::open(bytes)?;
        // The columns of ours come first: id, group where there is one, class.
        let ours = if records.texts("group").is_some() {
            3
        } else {
            2
        };
        if table.rows() != records.len() || table.columns() < ours {
            return Err(Error::input(format!(
                "{} records, where the report has {}",
                table.rows(),
                records.len()
            ))
            .hint("run the audit again: it is made anew"));
        }
        let columns: Vec<usize> = (ours..table.columns()).collect();
        match image {
            Some(image) if image.len() == columns.len() => {
                read_images(&table, &columns, image, audit, records, chosen).map(Features::Images)
            }
            _ => {
                let classes = audit.data.classes.len();
                let by_class = classes * columns.len() <= MOST_CLASS_COLUMNS;
                columns
                    .par_iter()
                    .map(|&column| {
                        let values = table.column(column)?;
                        let name = table.name(column).to_owned();
                        Ok(feature(
                            name,
                            &values,
                            if by_class { classes } else { 1 },
                            records,
                            chosen,
                        ))
                    })
                    .collect::<Result<_>>()
                    .map(Features::Columns)
            }
        }
    };
    read().map_err(|e| e.at(path.display()))
}

/// The records shown, and the class of every audited record; one class for all where `classes`
/// is 1.
fn rows_and_labels<'a>(
    classes: usize,
    records: &'a Records,
    chosen: &'a Chosen,
) -> (
    impl Iterator<Item = usize> + 'a,
    impl Iterator<Item = (usize, usize)> + 'a,
) {
    let first = chosen
        .rows()
        .iter()
        .map(|&position| records.units()[position].first());
    let labels = records
        .labels()
        .iter()
        .enumerate()
        .filter(|&(record, _)| records.audited()[record])
        .map(move |(record, &label)| (record, if classes == 1 { 0 } else { label as usize }));
    (first, labels)
}

fn feature(
    name: String,
    values: &Values,
    classes: usize,
    records: &Records,
    chosen: &Chosen,
) -> FeatureColumn {
    let (first, labels) = rows_and_labels(classes, records, chosen);
    let mut typical = vec![Typical::default(); classes];
    let numbers: Vec<f64>;
    let cells = match values {
        Values::Text(texts) => categories(texts, first, labels, &mut typical),
        Values::Number(_) | Values::Single(_) | Values::Whole(_) | Values::Truth(_) => {
            let values: &[f64] = match values {
                Values::Number(values) => values,
                Values::Single(values) => {
                    numbers = values.iter().map(|&v| v.into()).collect();
                    &numbers
                }
                Values::Whole(values) => {
                    numbers = values
                        .iter()
                        .map(|v| v.map_or(f64::NAN, |v| v as f64))
                        .collect();
                    &numbers
                }
                Values::Truth(values) => {
                    numbers = values
                        .iter()
                        .map(|v| v.map_or(f64::NAN, |v| f64::from(u8::from(v))))
                        .collect();
                    &numbers
                }
                Values::Text(_) => &[],
            };
            let mut by_class = vec![Vec::new(); classes];
            for (record, class) in labels {
                if values[record].is_nan() {
                    typical[class].missing += 1;
                } else {
                    by_class[class].push(values[record]);
                }
            }
            for (typical, mut values) in typical.iter_mut().zip(by_class) {
                values.sort_unstable_by(f64::total_cmp);
                typical.present = values.len();
                typical.quantiles = quantiles(&values);
            }
            Cells::Numbers(first.map(|record| values[record]).collect())
        }
    };
    FeatureColumn {
        name,
        cells,
        typical,
    }
}

/// The values at 0, 5, …, 100 % of sorted ones, each a value that occurs.
fn quantiles(sorted: &[f64]) -> Vec<f64> {
    if sorted.is_empty() {
        return Vec::new();
    }
    (0..=20)
        .map(|step| sorted[(step * (sorted.len() - 1) + 10) / 20])
        .collect()
}

fn categories(
    texts: &[Option<String>],
    first: impl Iterator<Item = usize>,
    labels: impl Iterator<Item = (usize, usize)>,
    typical: &mut [Typical],
) -> Cells {
    // Levels are numbered as they occur, so nothing depends on the order in a hash map.
    let mut number: HashMap<&str, u32> = HashMap::new();
    let mut names: Vec<&str> = Vec::new();
    let codes: Vec<Option<u32>> = texts
        .iter()
        .map(|text| {
            let text = text.as_deref()?;
            Some(*number.entry(text).or_insert_with(|| {
                names.push(text);
                names.len() as u32 - 1
            }))
        })
        .collect();
    let mut pairs: HashMap<(usize, u32), u32> = HashMap::new();
    for (record, class) in labels {
        match codes[record] {
            Some(code) => {
                typical[class].present += 1;
                *pairs.entry((class, code)).or_default() += 1;
            }
            None => typical[class].missing += 1,
        }
    }
    let mut pairs: Vec<((usize, u32), u32)> = pairs.into_iter().collect();
    pairs.sort_unstable();
    let shown: Vec<Option<u32>> = first.map(|record| codes[record]).collect();
    let mut keep = vec![false; names.len()];
    for code in shown.iter().flatten() {
        keep[*code as usize] = true;
    }
    let mut commonest: Vec<Option<(u32, u32)>> = vec![None; typical.len()];
    for &((class, code), count) in &pairs {
        if commonest[class].is_none_or(|(most, _)| count > most) {
            commonest[class] = Some((count, code));
        }
    }
    for (_, code) in commonest.into_iter().flatten() {
        keep[code as usize] = true;
    }
    let mut new_code = vec![None; names.len()];
    let mut levels = Vec::new();
    for (code, name) in names.iter().enumerate() {
        if keep[code] {
            new_code[code] = Some(levels.len() as u32);
            levels.push((*name).to_owned());
        }
    }
    for ((class, code), count) in pairs {
        if let Some(code) = new_code[code as usize] {
            typical[class].counts.push((code, count));
        }
    }
    Cells::Categories {
        levels,
        codes: shown
            .into_iter()
            .map(|code| new_code[code? as usize])
            .collect(),
    }
}

/// What one pixel is in the images shown, on average in each class, and its extremes.
struct Pixel {
    shown: Vec<f32>,
    means: Vec<f64>,
    lowest: f64,
    highest: f64,
}

fn read_images(
    table: &Table,
    columns: &[usize],
    image: ImageShape,
    audit: &Audit,
    records: &Records,
    chosen: &Chosen,
) -> Result<Images> {
    let classes = audit.data.classes.len();
    let mut rows: Vec<usize> = chosen
        .important()
        .iter()
        .copied()
        .take(MOST_PIXELS / image.len().max(1))
        .collect();
    rows.sort_unstable();
    let shown: Vec<usize> = rows
        .iter()
        .map(|&row| records.units()[chosen.rows()[row]].first())
        .collect();
    let mut counts = vec![0_u32; classes];
    for (_, class) in rows_and_labels(classes, records, chosen).1 {
        counts[class] += 1;
    }
    let pixels: Vec<Pixel> = columns
        .par_iter()
        .map(|&column| {
            let Values::Number(values) = table.column(column)? else {
                return Err(Error::input("a pixel that is no number")
                    .hint("run the audit again: the file is made anew"));
            };
            let mut pixel = Pixel {
                shown: shown.iter().map(|&record| values[record] as f32).collect(),
                means: vec![0.0; classes],
                lowest: f64::INFINITY,
                highest: f64::NEG_INFINITY,
            };
            for (record, class) in rows_and_labels(classes, records, chosen).1 {
                pixel.means[class] += values[record] / f64::from(counts[class]);
                pixel.lowest = pixel.lowest.min(values[record]);
                pixel.highest = pixel.highest.max(values[record]);
            }
            Ok(pixel)
        })
        .collect::<Result<_>>()?;
    let scale = (!image.bytes).then(|| {
        pixels
            .iter()
            .fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], pixel| {
                [low.min(pixel.lowest), high.max(pixel.highest)]
            })
    });
    let byte = |value: f64| byte(value, scale);
    Ok(Images {
        height: image.height,
        width: image.width,
        channels: image.channels,
        pixels: (0..rows.len())
            .flat_map(|row| {
                pixels
                    .iter()
                    .map(move |pixel| byte(f64::from(pixel.shown[row])))
            })
            .collect(),
        rows,
        means: (0..classes)
            .map(|class| {
                let room = (class + 1) * image.len() <= MOST_MEAN_PIXELS;
                (room && counts[class] > 0).then(|| {
                    pixels
                        .iter()
                        .map(|pixel| byte(pixel.means[class]))
                        .collect()
                })
            })
            .collect(),
        scale,
    })
}

/// What a pixel was before it was encoded.
#[derive(Clone, Copy)]
struct Unscaled {
    mean: f64,
    sd: f64,
}

/// How encoded pixels become those of the file again, by channel.
fn unscaled(run: &Path, images: &Images) -> Result<Vec<Unscaled>> {
    let path = run.join("encoding.json");
    let damaged = || {
        Error::input("not an encoding of images")
            .at(path.display())
            .hint(AGAIN)
    };
    let text = read_if_there(&path)?.ok_or_else(damaged)?;
    let encoding: serde_json::Value = serde_json::from_slice(&text).map_err(|_| damaged())?;
    match encoding.pointer("/plan/dense/scales") {
        // Bytes were divided by 255, and other numbers left as they are.
        None | Some(serde_json::Value::Null) => {
            let sd = if images.scale.is_none() { 255.0 } else { 1.0 };
            Ok(vec![Unscaled { mean: 0.0, sd }; images.channels])
        }
        Some(scales) => (0..images.channels)
            .map(|channel| {
                let number = |name: &str| scales.get(channel)?.get(name)?.as_f64();
                let (mean, sd) = (number("mean")?, number("sd")?);
                Some(Unscaled { mean, sd })
            })
            .collect::<Option<_>>()
            .ok_or_else(damaged),
    }
}

/// The queries shown as pictures.
fn read_queries(run: &Path, audit: &Audit, images: &Images) -> Result<Option<QueryPictures>> {
    let path = run.join("indirect").join("queries.npy");
    let Some(section) = &audit.indirect else {
        return Ok(None);
    };
    if !path.exists() {
        return Ok(None);
    }
    let (mut file, shape) = open_array(&path, "<f4")?;
    let length = images.height * images.width * images.channels;
    let mut shown = (section.records.iter().take(MOST_INDIRECT)).flat_map(|record| &record.shown);
    if shape.len() != 2 || shape[1] != length || shown.any(|query| query.row >= shape[0]) {
        return Err(Error::input(format!(
            "queries of shape {shape:?}, which do not fit the report"
        ))
        .at(path.display())
        .hint(AGAIN));
    }
    let scales = unscaled(run, images)?;
    let failed = |e: &std::io::Error| Error::io("read the queries", &path, e);
    let start = file.stream_position().map_err(|e| failed(&e))?;
    let mut pictures = QueryPictures {
        of: Vec::new(),
        pixels: Vec::new(),
    };
    let mut bytes = vec![0; 4 * length];
    for (place, record) in section.records.iter().enumerate().take(MOST_INDIRECT) {
        if pictures.pixels.len() + record.shown.len() * length > MOST_QUERY_PIXELS {
            break;
        }
        for query in &record.shown {
            file.seek(SeekFrom::Start(
                start + 4 * (length as u64) * (query.row as u64),
            ))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|e| failed(&e))?;
            let values = bytes
                .chunks_exact(4)
                .map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
            pictures
                .pixels
                .extend(values.enumerate().map(|(at, value)| {
                    let Unscaled { mean, sd } = scales[at % images.channels];
                    byte(mean + sd * value, images.scale)
                }));
        }
        pictures.of.push((place, record.shown.len()));
    }
    Ok(Some(pictures))
}

/// A pixel as a byte; `scale` is what 0 and 255 stand for, where they are no bytes already.
fn byte(value: f64, scale: Option<[f64; 2]>) -> u8 {
    let [low, high] = scale.unwrap_or([0.0, 255.0]);
    let share = if high > low {
        (value - low) / (high - low)
    } else {
        0.0
    };
    (255.0 * share).round().clamp(0.0, 255.0) as u8
}

#[cfg(test)]
mod tests;
