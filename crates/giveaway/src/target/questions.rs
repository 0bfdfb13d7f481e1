//! What a target is asked about: records, or queries made from them, in every form that a
//! target may want.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis, Slice};

use crate::dataset::assemble::truth;
use crate::dataset::{Body, Column, ColumnKind, Table, Values};

/// Inputs without their classes, in both forms.
#[derive(Clone, Debug, PartialEq)]
pub struct Questions {
    /// Encoded features, questions × features, as the reference models see them.
    pub features: Array2<f32>,
    /// The name of each encoded feature.
    pub feature_names: Vec<String>,
    /// The columns of the data file that are features, each in its own type.
    pub columns: Vec<QuestionColumn>,
}

/// A column of the data file.
#[derive(Clone, Debug, PartialEq)]
pub struct QuestionColumn {
    /// Its name in the file.
    pub name: String,
    /// One value per question.
    pub values: QuestionValues,
}

/// The values of a column, in the type that the file gave them.
#[derive(Clone, Debug, PartialEq)]
pub enum QuestionValues {
    /// Numbers; `NaN` is a missing value.
    Numbers(Vec<f64>),
    /// Whole numbers; nothing is a missing value.
    Whole(Vec<Option<i64>>),
    /// Texts; nothing is a missing value.
    Texts(Vec<Option<String>>),
    /// Truth values; nothing is a missing value.
    Truths(Vec<Option<bool>>),
}

impl QuestionValues {
    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Numbers(values) => values.len(),
            Self::Whole(values) => values.len(),
            Self::Texts(values) => values.len(),
            Self::Truths(values) => values.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn part(&self, range: Range<usize>) -> Self {
        match self {
            Self::Numbers(values) => Self::Numbers(values[range].to_vec()),
            Self::Whole(values) => Self::Whole(values[range].to_vec()),
            Self::Texts(values) => Self::Texts(values[range].to_vec()),
            Self::Truths(values) => Self::Truths(values[range].to_vec()),
        }
    }

    /// These rows, in this order.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        fn pick<T: Clone>(values: &[T], rows: &[usize]) -> Vec<T> {
            rows.iter().map(|&row| values[row].clone()).collect()
        }
        match self {
            Self::Numbers(values) => Self::Numbers(pick(values, rows)),
            Self::Whole(values) => Self::Whole(pick(values, rows)),
            Self::Texts(values) => Self::Texts(pick(values, rows)),
            Self::Truths(values) => Self::Truths(pick(values, rows)),
        }
    }

    /// These values and then others; none where the types differ. Numbers take in whole ones.
    #[must_use]
    pub fn followed_by(&self, others: &Self) -> Option<Self> {
        Some(match (self, others) {
            (Self::Numbers(a), Self::Numbers(b)) => Self::Numbers([&a[..], b].concat()),
            (Self::Whole(a), Self::Whole(b)) => Self::Whole([&a[..], b].concat()),
            (Self::Texts(a), Self::Texts(b)) => Self::Texts([&a[..], b].concat()),
            (Self::Truths(a), Self::Truths(b)) => Self::Truths([&a[..], b].concat()),
            (Self::Whole(_), Self::Numbers(_)) => self.as_numbers().followed_by(others)?,
            (Self::Numbers(_), Self::Whole(_)) => self.followed_by(&others.as_numbers())?,
            _ => return None,
        })
    }

    /// Whole numbers as numbers; everything else as it is.
    fn as_numbers(&self) -> Self {
        match self {
            Self::Whole(values) => Self::Numbers(
                values
                    .iter()
                    .map(|value| value.map_or(f64::NAN, |value| value as f64))
                    .collect(),
            ),
            other => other.clone(),
        }
    }
}

impl Questions {
    /// The records of a table, encoded as `features`.
    ///
    /// # Panics
    /// If these are not as many records.
    #[must_use]
    pub fn of_table(table: &Table, features: Array2<f32>, feature_names: Vec<String>) -> Self {
        assert_eq!(table.len(), features.nrows(), "one row for each record");
        Self {
            features,
            feature_names,
            columns: columns_of(&table.body),
        }
    }

    /// Number of questions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.features.nrows()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Those of these numbers, in this order.
    ///
    /// # Panics
    /// If there is no such question.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        Self {
            features: self.features.select(Axis(0), rows),
            feature_names: self.feature_names.clone(),
            columns: self
                .columns
                .iter()
                .map(|column| QuestionColumn {
                    name: column.name.clone(),
                    values: column.values.select(rows),
                })
                .collect(),
        }
    }

    /// Some of them, one after the other.
    ///
    /// # Panics
    /// If there are not that many.
    #[must_use]
    pub fn part(&self, range: Range<usize>) -> Self {
        let rows: ArrayView2<f32> = self
            .features
            .slice_axis(Axis(0), Slice::from(range.clone()));
        Self {
            features: rows.to_owned(),
            feature_names: self.feature_names.clone(),
            columns: self
                .columns
                .iter()
                .map(|column| QuestionColumn {
                    name: column.name.clone(),
                    values: column.values.part(range.clone()),
                })
                .collect(),
        }
    }
}

/// The features of records, each column in its own type.
#[must_use]
pub fn columns_of(body: &Body) -> Vec<QuestionColumn> {
    match body {
        Body::Columns(columns) => columns
            .iter()
            .map(|column| QuestionColumn {
                name: column.name.clone(),
                values: in_own_type(column),
            })
            .collect(),
        Body::Dense { values, names, .. } => names
            .iter()
            .zip(values.columns())
            .map(|(name, column)| QuestionColumn {
                name: name.clone(),
                values: QuestionValues::Numbers(column.iter().map(|&v| v.into()).collect()),
            })
            .collect(),
    }
}

fn in_own_type(column: &Column) -> QuestionValues {
    let texts = || -> Vec<Option<&str>> {
        match &column.values {
            Values::Numeric(values) => vec![None; values.len()],
            Values::Categorical { codes, levels } => codes
                .iter()
                .map(|&code| levels.get(code as usize).map(String::as_str))
                .collect(),
        }
    };
    match (column.kind, &column.values) {
        (ColumnKind::Whole, Values::Numeric(values)) => QuestionValues::Whole(
            values
                .iter()
                .map(|&v| (!v.is_nan()).then_some(v as i64))
                .collect(),
        ),
        (_, Values::Numeric(values)) => QuestionValues::Numbers(values.clone()),
        (ColumnKind::Whole, Values::Categorical { .. }) => QuestionValues::Whole(
            texts()
                .into_iter()
                .map(|text| text?.trim().parse().ok())
                .collect(),
        ),
        (ColumnKind::Number, Values::Categorical { .. }) => QuestionValues::Numbers(
            texts()
                .into_iter()
                .map(|text| text.and_then(|t| t.trim().parse().ok()).unwrap_or(f64::NAN))
                .collect(),
        ),
        (ColumnKind::Truth, Values::Categorical { .. }) => {
            QuestionValues::Truths(texts().into_iter().map(|text| truth(text?)).collect())
        }
        (ColumnKind::Text, Values::Categorical { .. }) => QuestionValues::Texts(
            texts()
                .into_iter()
                .map(|text| column.spelling.written(text))
                .collect(),
        ),
    }
}
