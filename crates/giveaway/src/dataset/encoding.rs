//! How records become numbers, learnt from reference records alone.
//!
//! Numeric columns are standardised with the mean and the standard deviation (dividing by
//! n) of the reference records, as scikit-learn's `StandardScaler` does; categorical ones
//! become one feature per level, as its `OneHotEncoder` does. A missing number becomes the
//! mean, with a feature that says so; a missing category is a level of its own.
//! What the audited records hold beyond that never changes the encoding.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ndarray::{Array2, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::image::{ImageShape, joined};
use super::table::{Body, MISSING, Table, Values, shown};
use super::{Dataset, FeatureInfo, FeatureKind, OneHotGroup, Schema};
use crate::{Error, Result};

/// What is done to numeric values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scaling {
    /// The mean of the reference records is taken off and their standard deviation divides.
    /// Pixels have one mean and deviation per channel of the images, and those that are bytes
    /// are divided by 255 instead.
    #[default]
    Standard,
    /// They stay as they are; bytes of images are still divided by 255.
    None,
}

/// What happens to a category that no reference record has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownCategories {
    /// It is an error.
    #[default]
    Error,
    /// All features of the column are 0.
    Ignore,
}

/// How an encoding is to be learnt and used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncodingOptions {
    /// What is done to numeric values.
    pub scaling: Scaling,
    /// The most levels of a column that get features of their own; at least 2.
    pub max_levels: usize,
    /// What happens to a category that no reference record has.
    pub unknown_categories: UnknownCategories,
}

impl Default for EncodingOptions {
    fn default() -> Self {
        Self {
            scaling: Scaling::Standard,
            max_levels: 100,
            unknown_categories: UnknownCategories::Error,
        }
    }
}

/// How records become numbers. It serialises to JSON and comes back bit for bit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Encoding {
    options: EncodingOptions,
    classes: Vec<String>,
    plan: Plan,
    notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Plan {
    Columns(Vec<ColumnPlan>),
    Dense {
        names: Vec<String>,
        image: Option<ImageShape>,
        /// One per feature, or per channel of images; none where bytes of images are divided by 255.
        scales: Option<Vec<Scale>>,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ColumnPlan {
    name: String,
    code: Code,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Code {
    Numeric {
        scale: Scale,
        /// Whether reference records miss it, so that there is a feature that says so.
        indicator: bool,
    },
    Levels {
        levels: Vec<String>,
        /// Whether all further levels share one feature.
        pooled: bool,
        /// Whether a missing value has a feature.
        missing: bool,
    },
    LeftOut,
}

/// Value to feature: `(value - mean) / sd`, 0 where `sd` is 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Scale {
    mean: f64,
    sd: f64,
}

impl Scale {
    /// Mean and standard deviation in two passes; `None` without values. An `sd` of exactly 0
    /// means that all values are equal.
    fn learn(values: impl Iterator<Item = f64> + Clone) -> Option<Self> {
        let (mut count, mut lowest, mut highest) = (0_u64, f64::INFINITY, f64::NEG_INFINITY);
        let mut sum = 0.0;
        for value in values.clone() {
            count += 1;
            sum += value;
            lowest = lowest.min(value);
            highest = highest.max(value);
        }
        if count == 0 {
            return None;
        }
        if lowest >= highest {
            return Some(Self {
                mean: lowest,
                sd: 0.0,
            });
        }
        let count = count as f64;
        let mean = sum / count;
        // The sum of the deviations says what rounding left in the mean.
        let (mut squares, mut rest) = (0.0, 0.0);
        for value in values {
            let deviation = value - mean;
            squares += deviation * deviation;
            rest += deviation;
        }
        // `max` would turn what overflowed into 0, and the column into a constant.
        let variance = (squares - rest * rest / count) / count;
        let sd = if variance.is_finite() {
            variance.max(0.0).sqrt()
        } else {
            f64::INFINITY
        };
        Some(Self {
            mean: mean + rest / count,
            sd,
        })
    }

    fn apply(self, value: f64, scaling: Scaling) -> f32 {
        let value = if value.is_nan() { self.mean } else { value };
        match scaling {
            Scaling::None => value as f32,
            Scaling::Standard if self.sd > 0.0 => ((value - self.mean) / self.sd) as f32,
            Scaling::Standard => 0.0,
        }
    }
}

/// How a number became a feature, for [decoding](super::decoding).
#[derive(Clone, Copy, Debug)]
pub(super) struct Inverse {
    /// None for bytes of images, which are divided by 255.
    scale: Option<Scale>,
    scaling: Scaling,
}

impl Inverse {
    /// The feature of a number.
    pub(super) fn apply(self, value: f64) -> f32 {
        match self.scale {
            None => value as f32 / 255.0,
            Some(scale) => scale.apply(value, self.scaling),
        }
    }

    /// The number of a feature, as exactly as the feature says.
    pub(super) fn undo(self, feature: f32) -> f64 {
        let feature = f64::from(feature);
        match (self.scale, self.scaling) {
            (None, _) => feature * 255.0,
            (Some(_), Scaling::None) => feature,
            (Some(scale), Scaling::Standard) => feature * scale.sd + scale.mean,
        }
    }
}

impl Encoding {
    /// How a number of this column became a feature, if it is a numeric one.
    pub(super) fn inverse_of_column(&self, column: &str) -> Option<Inverse> {
        let Plan::Columns(plans) = &self.plan else {
            return None;
        };
        plans
            .iter()
            .find(|plan| plan.name == column)
            .and_then(|plan| match plan.code {
                Code::Numeric { scale, .. } => Some(Inverse {
                    scale: Some(scale),
                    scaling: self.options.scaling,
                }),
                Code::Levels { .. } | Code::LeftOut => None,
            })
    }

    /// How this feature of a block of numbers was made.
    pub(super) fn inverse_of_feature(&self, feature: usize) -> Option<Inverse> {
        let Plan::Dense { scales, .. } = &self.plan else {
            return None;
        };
        let scale = match scales.as_deref() {
            None | Some([]) => None,
            // Channels lie side by side in each pixel.
            Some(scales) => Some(scales[feature % scales.len()]),
        };
        Some(Inverse {
            scale,
            scaling: self.options.scaling,
        })
    }

    /// How the features make an image, where they do.
    #[must_use]
    pub fn image(&self) -> Option<ImageShape> {
        match &self.plan {
            Plan::Dense { image, .. } => *image,
            Plan::Columns(_) => None,
        }
    }

    /// Learns from the rows of `table` that are references; a row may occur more than once and
    /// then counts as often.
    ///
    /// # Errors
    ///
    /// When there are no reference rows, when one is not in the table, when values are too large
    /// for a mean, or when no column is left to encode.
    pub fn learn(table: &Table, reference_rows: &[u32], options: &EncodingOptions) -> Result<Self> {
        if reference_rows.is_empty() {
            return Err(
                Error::input("there are no reference records to learn the encoding from")
                    .hint("give at least two records of each class"),
            );
        }
        if options.max_levels < 2 {
            return Err(Error::usage("a column needs room for at least 2 levels")
                .hint("give a larger --max-levels"));
        }
        if let Some(row) = reference_rows
            .iter()
            .find(|&&row| row as usize >= table.len())
        {
            return Err(Error::unexpected(format!(
                "reference row {row} of a table of {} rows",
                table.len()
            )));
        }
        let mut notes = Vec::new();
        let plan = match &table.body {
            Body::Columns(columns) => {
                let mut plans = Vec::with_capacity(columns.len());
                for column in columns {
                    let name = &column.name;
                    let code = match &column.values {
                        Values::Numeric(values) => {
                            learn_numeric(name, values, reference_rows, options, &mut notes)?
                        }
                        Values::Categorical { codes, levels } => {
                            learn_levels(name, codes, levels, reference_rows, options, &mut notes)
                        }
                    };
                    plans.push(ColumnPlan {
                        name: name.clone(),
                        code,
                    });
                }
                if plans.iter().all(|plan| plan.code == Code::LeftOut) {
                    return Err(Error::input("no feature column can be encoded")
                        .at(&table.name)
                        .hint(notes.join(" ")));
                }
                Plan::Columns(plans)
            }
            Body::Dense {
                values,
                names,
                image,
            } => Plan::Dense {
                names: names.clone(),
                image: *image,
                scales: if image.is_some_and(|image| image.bytes) {
                    None
                } else {
                    Some(match image {
                        Some(image) => learn_pixels(
                            values,
                            image.channels,
                            reference_rows,
                            options,
                            &mut notes,
                        )?,
                        None => learn_dense(values, names, reference_rows, options, &mut notes)?,
                    })
                },
            },
        };
        Ok(Self {
            options: options.clone(),
            classes: table.classes.clone(),
            plan,
            notes,
        })
    }

    /// What the user should know of what was learnt: columns left out, constant, pooled.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// How this encoding was to be learnt.
    #[must_use]
    pub fn options(&self) -> &EncodingOptions {
        &self.options
    }

    /// What the encoded features mean.
    #[must_use]
    pub fn schema(&self) -> Schema {
        let mut features = Vec::new();
        let mut one_hot_groups = Vec::new();
        let mut image_shape = None;
        match &self.plan {
            Plan::Columns(plans) => {
                for plan in plans {
                    let start = features.len() as u32;
                    let mut add = |name: String, kind| {
                        features.push(FeatureInfo {
                            name,
                            column: plan.name.clone(),
                            kind,
                        });
                    };
                    match &plan.code {
                        Code::LeftOut => {}
                        Code::Numeric { indicator, .. } => {
                            add(plan.name.clone(), FeatureKind::Numeric);
                            if *indicator {
                                add(missing_name(&plan.name), FeatureKind::MissingIndicator);
                            }
                        }
                        Code::Levels {
                            levels,
                            pooled,
                            missing,
                        } => {
                            for level in levels {
                                add(format!("{} = {level}", plan.name), FeatureKind::Level);
                            }
                            if *pooled {
                                add(format!("{} = (other)", plan.name), FeatureKind::Level);
                            }
                            if *missing {
                                add(missing_name(&plan.name), FeatureKind::MissingIndicator);
                            }
                            one_hot_groups.push(OneHotGroup {
                                column: plan.name.clone(),
                                features: (start..features.len() as u32).collect(),
                            });
                        }
                    }
                }
            }
            Plan::Dense { names, image, .. } => {
                image_shape = *image;
                features = names
                    .iter()
                    .map(|name| FeatureInfo {
                        name: name.clone(),
                        column: name.clone(),
                        kind: FeatureKind::Numeric,
                    })
                    .collect();
            }
        }
        Schema {
            features,
            one_hot_groups,
            image: image_shape,
            classes: self.classes.clone(),
        }
    }

    /// Encodes every record of a table; features stand in the order of [`schema`](Self::schema).
    ///
    /// # Errors
    ///
    /// When the table has other columns than those learnt from, a class that they did not have, a
    /// category that no reference record has (unless those are ignored), or a value that is too
    /// large for an `f32` once encoded.
    pub fn encode(&self, table: &Table) -> Result<Dataset> {
        let schema = self.schema();
        let labels = self.encode_labels(table)?;
        let mut features = Array2::zeros((table.len(), schema.features.len()));
        match (&self.plan, &table.body) {
            (Plan::Columns(plans), Body::Columns(columns)) => {
                let by_name: BTreeMap<&str, &Values> = columns
                    .iter()
                    .map(|column| (column.name.as_str(), &column.values))
                    .collect();
                let mut start = 0;
                for plan in plans {
                    if plan.code == Code::LeftOut {
                        continue;
                    }
                    let values = by_name.get(plan.name.as_str()).ok_or_else(|| {
                        Error::input(format!("column `{}` is not there", plan.name))
                            .at(&table.name)
                            .hint("give a file with the same columns as the one that the encoding was learnt from")
                    })?;
                    start += self.encode_column(table, plan, values, &mut features, start)?;
                }
            }
            (
                Plan::Dense {
                    names,
                    scales,
                    image: learnt,
                },
                Body::Dense { values, image, .. },
            ) => {
                if values.ncols() != names.len() {
                    return Err(Error::input(format!(
                        "records have {} features, where the encoding was learnt from {}",
                        values.ncols(),
                        names.len()
                    ))
                    .at(&table.name)
                    .hint("give both files the same features in the same order"));
                }
                if let (Some(learnt), Some(image)) = (learnt, image) {
                    refuse_other_images(table, *learnt, *image)?;
                }
                self.encode_dense(values, scales.as_deref(), &mut features);
            }
            _ => {
                return Err(Error::input(
                    "the encoding was learnt from a table with columns of their own types and these are arrays, or the other way round",
                )
                .at(&table.name)
                .hint("give both files in the same format"));
            }
        }
        refuse_overflow(table, &schema, &features)?;
        Ok(Dataset {
            features,
            labels,
            ids: table.ids.clone(),
            schema,
        })
    }

    /// What the user should know of encoding this table: values that no reference record
    /// prepared for, and what became of them. Empty when there are none.
    #[must_use]
    pub fn notes_on(&self, table: &Table) -> Vec<String> {
        let (Plan::Columns(plans), Body::Columns(columns)) = (&self.plan, &table.body) else {
            return Vec::new();
        };
        let plans: BTreeMap<&str, &Code> = plans
            .iter()
            .map(|plan| (plan.name.as_str(), &plan.code))
            .collect();
        let mut notes = Vec::new();
        for column in columns {
            let name = &column.name;
            match (plans.get(name.as_str()), &column.values) {
                (
                    Some(Code::Numeric {
                        indicator: false, ..
                    }),
                    Values::Numeric(values),
                ) => {
                    let missing = values.iter().filter(|value| value.is_nan()).count();
                    if missing > 0 {
                        notes.push(format!(
                            "Column `{name}` is missing in {missing} records but in no reference record: they are encoded as the mean of the references."
                        ));
                    }
                }
                (
                    Some(Code::Levels {
                        levels,
                        pooled,
                        missing,
                    }),
                    Values::Categorical {
                        codes,
                        levels: names,
                    },
                ) => {
                    let absent = codes.iter().filter(|&&code| code == MISSING).count();
                    if absent > 0 && !missing {
                        notes.push(format!(
                            "Column `{name}` is missing in {absent} records but in no reference record: all of its features are 0 there."
                        ));
                    }
                    let known: BTreeSet<&str> = levels.iter().map(String::as_str).collect();
                    let is_known: Vec<bool> = names
                        .iter()
                        .map(|level| known.contains(level.as_str()))
                        .collect();
                    let unknown = codes
                        .iter()
                        .filter(|&&code| is_known.get(code as usize) == Some(&false))
                        .count();
                    if unknown > 0 && !pooled {
                        notes.push(format!(
                            "Column `{name}` holds in {unknown} records a category that no reference record has: all of its features are 0 there."
                        ));
                    }
                }
                _ => {}
            }
        }
        notes
    }

    fn encode_labels(&self, table: &Table) -> Result<Vec<u32>> {
        let known: HashMap<&str, u32> = self
            .classes
            .iter()
            .zip(0..)
            .map(|(class, code)| (class.as_str(), code))
            .collect();
        let codes: Vec<Option<u32>> = table
            .classes
            .iter()
            .map(|class| known.get(class.as_str()).copied())
            .collect();
        table
            .labels
            .iter()
            .enumerate()
            .map(|(row, &label)| {
                codes[label as usize].ok_or_else(|| {
                    Error::input(format!(
                        "the class `{}` is not among those that the encoding was learnt from",
                        table.classes[label as usize]
                    ))
                    .at(place(table, row))
                    .hint("reference data must know every class of the audited records")
                })
            })
            .collect()
    }

    /// Writes the features of one column from index `start` on, and says how many they are.
    fn encode_column(
        &self,
        table: &Table,
        plan: &ColumnPlan,
        values: &Values,
        features: &mut Array2<f32>,
        start: usize,
    ) -> Result<usize> {
        let name = &plan.name;
        match (&plan.code, values) {
            (Code::LeftOut, _) => Ok(0),
            (Code::Numeric { scale, indicator }, Values::Numeric(values)) => {
                for (row, &value) in values.iter().enumerate() {
                    features[[row, start]] = scale.apply(value, self.options.scaling);
                    if *indicator && value.is_nan() {
                        features[[row, start + 1]] = 1.0;
                    }
                }
                Ok(1 + usize::from(*indicator))
            }
            (
                Code::Levels {
                    levels,
                    pooled,
                    missing,
                },
                Values::Categorical {
                    codes,
                    levels: names,
                },
            ) => {
                let known: HashMap<&str, usize> = levels
                    .iter()
                    .enumerate()
                    .map(|(index, level)| (level.as_str(), index))
                    .collect();
                let other = pooled.then_some(levels.len());
                let place_of: Vec<Option<usize>> = names
                    .iter()
                    .map(|level| known.get(level.as_str()).copied().or(other))
                    .collect();
                let absent = missing.then_some(levels.len() + usize::from(*pooled));
                for (row, &code) in codes.iter().enumerate() {
                    let feature = if code == MISSING {
                        absent
                    } else {
                        let feature = place_of[code as usize];
                        if feature.is_none()
                            && self.options.unknown_categories == UnknownCategories::Error
                        {
                            return Err(Error::input(format!(
                                "the category `{}` occurs in no reference record",
                                names[code as usize]
                            ))
                            .at(format!("{}, column `{name}`", place(table, row)))
                            .hint("encode such categories as all zeros with --unknown-categories ignore, or give more reference records"));
                        }
                        feature
                    };
                    if let Some(feature) = feature {
                        features[[row, start + feature]] = 1.0;
                    }
                }
                Ok(levels.len() + usize::from(*pooled) + usize::from(*missing))
            }
            // A column without any value has no type of its own.
            (_, Values::Categorical { codes, levels }) => {
                match codes.iter().position(|&code| code != MISSING) {
                    None => {
                        let missing = Values::Numeric(vec![f64::NAN; codes.len()]);
                        self.encode_column(table, plan, &missing, features, start)
                    }
                    Some(row) => Err(Error::input(format!(
                        "`{}` is not a number, and the encoding was learnt from numbers",
                        levels[codes[row] as usize]
                    ))
                    .at(format!("{}, column `{name}`", place(table, row))).hint("mend the value, or read the column as categories with --categorical in both files")),
                }
            }
            (_, Values::Numeric(values)) if values.iter().all(|value| value.is_nan()) => {
                let missing = Values::Categorical {
                    codes: vec![MISSING; values.len()],
                    levels: Vec::new(),
                };
                self.encode_column(table, plan, &missing, features, start)
            }
            (_, Values::Numeric(_)) => Err(Error::input(
                "the column holds numbers, and the encoding was learnt from categories",
            )
            .at(format!("{}, column `{name}`", table.name))
            .hint(format!("read it as categories with --categorical {name}"))),
        }
    }

    fn encode_dense(
        &self,
        values: &Array2<f32>,
        scales: Option<&[Scale]>,
        features: &mut Array2<f32>,
    ) {
        for (mut encoded, record) in features
            .axis_iter_mut(Axis(0))
            .zip(values.axis_iter(Axis(0)))
        {
            match scales {
                None => encoded.zip_mut_with(&record, |feature, &value| *feature = value / 255.0),
                Some(scales) => {
                    // Channels lie side by side in each pixel.
                    let scales = scales.iter().cycle();
                    for ((feature, &value), scale) in encoded.iter_mut().zip(record).zip(scales) {
                        *feature = scale.apply(f64::from(value), self.options.scaling);
                    }
                }
            }
        }
    }
}

fn missing_name(column: &str) -> String {
    format!("{column} is missing")
}

/// Where a record is in its file: rows are counted from 1.
fn place(table: &Table, row: usize) -> String {
    let in_file = table.rows.get(row).map_or(row, |&row| row as usize);
    format!("{}, row {}", table.name, in_file + 1)
}

fn learn_numeric(
    name: &str,
    values: &[f64],
    rows: &[u32],
    options: &EncodingOptions,
    notes: &mut Vec<String>,
) -> Result<Code> {
    let reference = rows.iter().map(|&row| values[row as usize]);
    let present = reference.clone().filter(|value| !value.is_nan());
    let Some(scale) = Scale::learn(present.clone()) else {
        notes.push(left_out_empty(name));
        return Ok(Code::LeftOut);
    };
    check_scale(name, scale, present.clone())?;
    let indicator = present.count() < rows.len();
    if scale.sd == 0.0 && options.scaling == Scaling::Standard {
        notes.push(constant(name));
    }
    Ok(Code::Numeric { scale, indicator })
}

fn check_scale(name: &str, scale: Scale, values: impl Iterator<Item = f64>) -> Result<()> {
    if scale.mean.is_finite() && scale.sd.is_finite() {
        return Ok(());
    }
    let largest = values.fold(0.0, |largest: f64, value| {
        if value.abs() > largest.abs() {
            value
        } else {
            largest
        }
    });
    Err(Error::input(format!(
        "the values are too large for a mean and a standard deviation; the largest is {}",
        shown(largest)
    ))
    .at(format!("column `{name}`"))
    .hint(format!(
        "if it stands for a missing value, leave the field empty; else mend it, or leave the column out with --drop {name}"
    )))
}

fn constant(name: &str) -> String {
    format!("Column `{name}` has one value in all reference records: it is encoded as 0.")
}

fn left_out_empty(name: &str) -> String {
    format!("Column `{name}` is left out: it has no value in any reference record.")
}

fn learn_levels(
    name: &str,
    codes: &[u32],
    levels: &[String],
    rows: &[u32],
    options: &EncodingOptions,
    notes: &mut Vec<String>,
) -> Code {
    let mut counts = vec![0_usize; levels.len()];
    let mut present = 0_usize;
    for &row in rows {
        if let Some(count) = counts.get_mut(codes[row as usize] as usize) {
            *count += 1;
            present += 1;
        }
    }
    if present == 0 {
        notes.push(left_out_empty(name));
        return Code::LeftOut;
    }
    let missing = present < rows.len();
    // In the order of the table, which does not depend on the order of its rows.
    let mut seen: Vec<usize> = (0..levels.len())
        .filter(|&level| counts[level] > 0)
        .collect();
    let pooled = seen.len() > options.max_levels;
    if pooled {
        if seen.len() * 2 > rows.len() {
            notes.push(format!(
                "Column `{name}` is left out: with {} distinct values in {} reference records it looks like an identifier or free text; name it with --id, or --drop it.",
                seen.len(),
                rows.len()
            ));
            return Code::LeftOut;
        }
        let kept = options.max_levels - 1;
        notes.push(format!(
            "Column `{name}` has {} levels: the {kept} most frequent are kept and the others pooled as \"(other)\".",
            seen.len()
        ));
        seen.sort_by(|&a, &b| {
            counts[b]
                .cmp(&counts[a])
                .then_with(|| levels[a].cmp(&levels[b]))
        });
        seen.truncate(kept);
        seen.sort_unstable();
    }
    Code::Levels {
        levels: seen.iter().map(|&level| levels[level].clone()).collect(),
        pooled,
        missing,
    }
}

/// A scale per channel. Pixels far from the middle of an image hardly vary: with scales of their
/// own they would be blown up, and what a filter sees would depend on where it looks.
fn learn_pixels(
    values: &Array2<f32>,
    channels: usize,
    rows: &[u32],
    options: &EncodingOptions,
    notes: &mut Vec<String>,
) -> Result<Vec<Scale>> {
    let mut scales = Vec::with_capacity(channels);
    for channel in 0..channels {
        let reference = rows.iter().flat_map(|&row| {
            (channel..values.ncols())
                .step_by(channels)
                .map(move |index| f64::from(values[[row as usize, index]]))
        });
        let scale = Scale::learn(reference.clone())
            .ok_or_else(|| Error::unexpected("no reference rows"))?;
        check_scale("pixels", scale, reference)?;
        if scale.sd == 0.0 && options.scaling == Scaling::Standard {
            notes.push(format!(
                "Channel {} of the images has one value in all reference records: it is encoded as 0.",
                channel + 1
            ));
        }
        scales.push(scale);
    }
    Ok(scales)
}

/// Refuses images that are not like those that the encoding was learnt from.
fn refuse_other_images(table: &Table, learnt: ImageShape, image: ImageShape) -> Result<()> {
    let sizes = |image: ImageShape| [image.height, image.width, image.channels];
    let (what, hint) = if sizes(learnt) != sizes(image) {
        (
            format!(
                "images of {}, where the encoding was learnt from {}",
                joined(&sizes(image)),
                joined(&sizes(learnt))
            ),
            "give images of the same size in both files",
        )
    } else if learnt.bytes != image.bytes {
        let (these, those) = if image.bytes {
            ("are", "are not")
        } else {
            ("are not", "are")
        };
        (
            format!(
                "its pixels {these} whole numbers from 0 to 255, and those that the encoding was learnt from {those}"
            ),
            "give both files the same scale",
        )
    } else {
        return Ok(());
    };
    Err(Error::input(what).at(&table.name).hint(hint))
}

fn learn_dense(
    values: &Array2<f32>,
    names: &[String],
    rows: &[u32],
    options: &EncodingOptions,
    notes: &mut Vec<String>,
) -> Result<Vec<Scale>> {
    let mut scales = Vec::with_capacity(names.len());
    let mut constants = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let column = values.column(index);
        let reference = rows.iter().map(|&row| f64::from(column[row as usize]));
        let scale = Scale::learn(reference.clone())
            .ok_or_else(|| Error::unexpected("no reference rows"))?;
        check_scale(name, scale, reference)?;
        if scale.sd == 0.0 && options.scaling == Scaling::Standard {
            constants.push(name);
        }
        scales.push(scale);
    }
    match constants.as_slice() {
        [] => {}
        [name] => notes.push(constant(name)),
        [first, ..] => notes.push(format!(
            "{} features have one value each in all reference records, among them `{first}`: they are encoded as 0.",
            constants.len()
        )),
    }
    Ok(scales)
}

fn refuse_overflow(table: &Table, schema: &Schema, features: &Array2<f32>) -> Result<()> {
    if let Some(((row, feature), value)) = features
        .indexed_iter()
        .find(|(_, value)| !value.is_finite())
    {
        return Err(
            Error::input(format!("the value is too large: encoded it is {value}"))
                .at(format!(
                    "{}, column `{}`",
                    place(table, row),
                    schema.features[feature].column
                ))
                .hint("mend the value, or leave the column out with --drop"),
        );
    }
    Ok(())
}
