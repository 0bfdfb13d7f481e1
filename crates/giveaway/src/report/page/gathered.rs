//! What the page knows of the records. [`run`](crate::run) reads it from the run directory.

use std::collections::HashMap;

use super::rows::Chosen;
use crate::error::{Error, Result};
use crate::report::Audit;
use crate::report::records::Values;

/// A run, as far as its page needs it.
pub(crate) struct Gathered {
    /// The result.
    pub(crate) audit: Audit,
    /// The same as it stands in `report.json`.
    pub(crate) json: serde_json::Value,
    /// What is said of every record.
    pub(crate) records: Records,
    /// The units whose evidence is shown.
    pub(crate) chosen: Chosen,
    /// The losses of the units shown, if the outputs of the models are there.
    pub(crate) losses: Option<Losses>,
    /// What the records shown hold, if that was kept.
    pub(crate) features: Features,
    /// The nearest neighbours of each unit shown, nearest first, if they were looked for.
    pub(crate) neighbours: Option<Vec<Vec<Neighbour>>>,
    /// Of images: the queries of indirect inference that are shown, if they are there.
    pub(crate) queries: Option<QueryPictures>,
    /// The map of an explained run, if it is there.
    pub(crate) map: Option<MapPoints>,
    /// Of images: what convolutional networks look at, if it is there.
    pub(crate) activations: Vec<Activation>,
}

/// The map of an explained run.
pub(crate) struct MapPoints {
    pub(crate) points: Vec<MapPoint>,
    /// Of each view of the report that is there, its place in the report and the places of the
    /// points; `NaN` where a point has none.
    pub(crate) views: Vec<(usize, Vec<[f64; 2]>)>,
}

/// A point of the map.
pub(crate) struct MapPoint {
    /// Its unit.
    pub(crate) unit: u32,
    /// The identifier of its first record.
    pub(crate) id: String,
    /// Its class, an index into the audit's.
    pub(crate) class: usize,
    /// Whether it is exposed.
    pub(crate) exposed: bool,
}

/// What a convolutional network looks at in an image.
pub(crate) struct Activation {
    /// The unit of the image.
    pub(crate) unit: u32,
    /// Why it is shown.
    pub(crate) role: Role,
    /// Its class, an index into the audit's.
    pub(crate) class: usize,
    /// Its place among those shown for the same cause.
    pub(crate) rank: i64,
    /// Distance to the centre of its class.
    pub(crate) distance: f64,
    /// Rows and columns of the map.
    pub(crate) shape: [usize; 2],
    /// How much each place speaks for the class, 0 to 255.
    pub(crate) map: Vec<u8>,
    /// The image, bytes in the scale of [`Images`].
    pub(crate) pixels: Vec<u8>,
}

/// Why what a network looks at is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The image is among the closest to the centre of its class.
    Closest,
    /// It is among the farthest.
    Farthest,
    /// It is exposed.
    Exposed,
}

/// Queries of indirect inference as images, bytes in the scale of [`Images`].
pub(crate) struct QueryPictures {
    /// Place of the record in the section, and how many of its queries there are.
    pub(crate) of: Vec<(usize, usize)>,
    /// Their pixels, one query after the other.
    pub(crate) pixels: Vec<u8>,
}

/// `records.parquet`, and which of its rows make a unit.
pub(crate) struct Records {
    columns: Vec<(String, Values)>,
    /// The audited units in the order of their first records.
    units: Vec<Unit>,
    /// The class of each record, an index into the audit's.
    labels: Vec<u32>,
    /// Whether each record is of an audited unit.
    audited: Vec<bool>,
}

/// An audited unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Its number, by which the membership matrix goes.
    pub(crate) number: u32,
    /// Its records, rows of the table, in order.
    pub(crate) records: Vec<u32>,
}

impl Unit {
    /// The record that stands for it.
    pub(crate) fn first(&self) -> usize {
        self.records[0] as usize
    }
}

impl Records {
    /// Finds the units in the columns of `records.parquet`.
    ///
    /// # Errors
    /// If a column is missing that every such file has, or a value in one.
    pub(crate) fn new(columns: Vec<(String, Values)>, classes: &[String]) -> Result<Self> {
        let mut records = Self {
            columns,
            units: Vec::new(),
            labels: Vec::new(),
            audited: Vec::new(),
        };
        let missing = |name: &str| {
            Error::input(format!("records.parquet has no complete column `{name}`"))
                .hint("run the audit again: it is made anew")
        };
        records
            .texts("id")
            .filter(|ids| ids.iter().all(Option::is_some))
            .ok_or_else(|| missing("id"))?;
        let numbers: Vec<u32> = records
            .wholes("unit")
            .and_then(|units| {
                let number = |unit: &Option<i64>| unit.and_then(|u| u32::try_from(u).ok());
                units.iter().map(number).collect()
            })
            .ok_or_else(|| missing("unit"))?;
        records.audited = records
            .truths("audited")
            .and_then(|truths| truths.iter().copied().collect())
            .ok_or_else(|| missing("audited"))?;
        let code: HashMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
        records.labels = records
            .texts("class")
            .and_then(|texts| {
                let label = |class: &Option<String>| code.get(class.as_deref()?).copied();
                texts.iter().map(label).collect()
            })
            .ok_or_else(|| missing("class"))?;
        let mut seen: HashMap<u32, usize> = HashMap::new();
        for (record, &number) in numbers.iter().enumerate() {
            if !records.audited[record] {
                continue;
            }
            let next = records.units.len();
            let position = *seen.entry(number).or_insert(next);
            if position == next {
                records.units.push(Unit {
                    number,
                    records: Vec::new(),
                });
            }
            records.units[position].records.push(record as u32);
        }
        Ok(records)
    }

    /// Number of records.
    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    /// The audited units.
    pub(crate) fn units(&self) -> &[Unit] {
        &self.units
    }

    /// The class of each record.
    pub(crate) fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Whether each record is of an audited unit.
    pub(crate) fn audited(&self) -> &[bool] {
        &self.audited
    }

    fn find(&self, name: &str) -> Option<&Values> {
        self.columns
            .iter()
            .find(|column| column.0 == name)
            .map(|column| &column.1)
    }

    /// A column of texts.
    pub(crate) fn texts(&self, name: &str) -> Option<&[Option<String>]> {
        match self.find(name) {
            Some(Values::Text(values)) => Some(values),
            _ => None,
        }
    }

    /// A column of numbers, `NaN` where there is none.
    pub(crate) fn numbers(&self, name: &str) -> Option<&[f64]> {
        match self.find(name) {
            Some(Values::Number(values)) => Some(values),
            _ => None,
        }
    }

    /// A column of whole numbers.
    pub(crate) fn wholes(&self, name: &str) -> Option<&[Option<i64>]> {
        match self.find(name) {
            Some(Values::Whole(values)) => Some(values),
            _ => None,
        }
    }

    /// A column of truth values.
    pub(crate) fn truths(&self, name: &str) -> Option<&[Option<bool>]> {
        match self.find(name) {
            Some(Values::Truth(values)) => Some(values),
            _ => None,
        }
    }
}

/// The losses of the units shown on the reference models that test, units × models.
pub(crate) struct Losses {
    pub(crate) models: usize,
    pub(crate) values: Vec<f32>,
    /// Whether the model was trained on the unit.
    pub(crate) inside: Vec<bool>,
}

impl Losses {
    /// The losses of a unit, smallest first: on models that were not trained on it, and on
    /// those that were.
    pub(crate) fn of(&self, row: usize) -> [Vec<f32>; 2] {
        let range = row * self.models..(row + 1) * self.models;
        let mut sides = [Vec::new(), Vec::new()];
        for (&loss, &inside) in self.values[range.clone()].iter().zip(&self.inside[range]) {
            sides[usize::from(inside)].push(loss);
        }
        for side in &mut sides {
            side.sort_unstable_by(f32::total_cmp);
        }
        sides
    }
}

/// A neighbour of a unit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Neighbour {
    pub(crate) unit: u32,
    pub(crate) id: String,
    pub(crate) class: String,
    pub(crate) distance: f64,
    /// Whether it is of the audited file, and not of a reference file.
    pub(crate) audited: bool,
}

/// What the records shown hold, and what is usual in their classes.
pub(crate) enum Features {
    /// The records were not kept.
    Absent,
    /// Columns of a table.
    Columns(Vec<FeatureColumn>),
    /// Images.
    Images(Images),
}

/// A feature of the first record of each unit shown.
pub(crate) struct FeatureColumn {
    pub(crate) name: String,
    pub(crate) cells: Cells,
    /// What is usual in each class, over all audited records; over all classes together where
    /// there is one entry for several.
    pub(crate) typical: Vec<Typical>,
}

/// Values of the units shown.
pub(crate) enum Cells {
    /// Numbers, `NaN` where one is missing.
    Numbers(Vec<f64>),
    /// Categories by their place among the levels. Levels that occur in no unit shown and
    /// are no class's commonest are not listed.
    Categories {
        levels: Vec<String>,
        codes: Vec<Option<u32>>,
    },
}

/// What is usual in a class.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Typical {
    /// Records that have a value.
    pub(crate) present: usize,
    /// Records that have none.
    pub(crate) missing: usize,
    /// Of numbers: quantiles at 0, 5, …, 100 %.
    pub(crate) quantiles: Vec<f64>,
    /// Of categories: level and count, for the levels listed that occur.
    pub(crate) counts: Vec<(u32, u32)>,
}

/// Images as bytes, height × width × channels.
pub(crate) struct Images {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
    /// Of which rows there are pixels.
    pub(crate) rows: Vec<usize>,
    pub(crate) pixels: Vec<u8>,
    /// The mean image of each class that has one.
    pub(crate) means: Vec<Option<Vec<u8>>>,
    /// What 0 and 255 stand for, where pixels were no bytes.
    pub(crate) scale: Option<[f64; 2]>,
}
