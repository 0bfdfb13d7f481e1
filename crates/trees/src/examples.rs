//! What is learnt from.

use crate::{Error, Features};

/// Records in bins with their classes.
#[derive(Clone, Copy, Debug)]
pub struct Examples<'a> {
    /// The features.
    pub features: &'a Features,
    /// The class of each record, below `classes`.
    pub labels: &'a [u32],
    /// What each record counts, where not all count 1; 0 or more.
    pub weights: Option<&'a [f32]>,
    /// Number of classes, those without records included.
    pub classes: usize,
}

/// The rows of a training: one sample for each mention of a record that counts for something.
#[derive(Debug)]
pub(crate) struct Samples {
    /// Which records.
    pub(crate) records: Vec<u32>,
    /// Their classes.
    pub(crate) labels: Vec<u16>,
    /// What they count, unless all count 1.
    pub(crate) weights: Option<Vec<f64>>,
    /// The classes that occur, ascending.
    pub(crate) present: Vec<u16>,
}

impl Examples<'_> {
    /// The samples that these rows are.
    ///
    /// # Errors
    /// If labels or weights do not fit the features, a row is no record, or fewer than two
    /// classes are left.
    pub(crate) fn samples(&self, rows: &[u32]) -> Result<Samples, Error> {
        let records = self.features.records();
        if !(2..=usize::from(u16::MAX)).contains(&self.classes) {
            return Err(Error::Examples(format!(
                "{} classes; there must be at least 2 and at most {}",
                self.classes,
                u16::MAX
            )));
        }
        self.check(rows, "to learn from")?;
        if rows.len() >= u32::MAX as usize {
            return Err(Error::Examples(format!(
                "{} rows are more than 32 bits can number",
                rows.len()
            )));
        }
        if let Some(weights) = self.weights {
            if weights.len() != records {
                return Err(Error::Examples(format!(
                    "{} weights for {records} records",
                    weights.len()
                )));
            }
            let bad = |&&row: &&u32| {
                let weight = weights[row as usize];
                !(weight.is_finite() && weight >= 0.0)
            };
            if let Some(&row) = rows.iter().find(bad) {
                return Err(Error::Examples(format!(
                    "the weight of record {row} is {}; it must be finite and not below 0",
                    weights[row as usize]
                )));
            }
        }
        let weight = |row: u32| self.weights.map_or(1.0, |weights| weights[row as usize]);
        let counted: Vec<u32> = rows
            .iter()
            .copied()
            .filter(|&row| weight(row) > 0.0)
            .collect();
        let labels: Vec<u16> = counted
            .iter()
            .map(|&row| self.labels[row as usize] as u16)
            .collect();
        let mut occurs = vec![false; self.classes];
        for &label in &labels {
            occurs[usize::from(label)] = true;
        }
        let present: Vec<u16> = (0..self.classes as u16)
            .filter(|&class| occurs[usize::from(class)])
            .collect();
        if present.len() < 2 {
            return Err(Error::Examples(match present.first() {
                Some(class) => format!(
                    "all {} rows are of class {class}; trees need records of two classes or more",
                    counted.len()
                ),
                None => "there is no row to learn from".to_owned(),
            }));
        }
        let all_one = counted
            .iter()
            .all(|&row| (weight(row) - 1.0).abs() < f32::MIN_POSITIVE);
        let weights =
            (!all_one).then(|| counted.iter().map(|&row| f64::from(weight(row))).collect());
        Ok(Samples {
            records: counted,
            labels,
            weights,
            present,
        })
    }

    /// # Errors
    /// If a row is no record, or its label no class.
    pub(crate) fn check(&self, rows: &[u32], what: &str) -> Result<(), Error> {
        let records = self.features.records();
        if self.labels.len() != records {
            return Err(Error::Examples(format!(
                "{} labels for {records} records",
                self.labels.len()
            )));
        }
        for &row in rows {
            let Some(&label) = self.labels.get(row as usize) else {
                return Err(Error::Examples(format!(
                    "row {row} {what} is none of the {records} records"
                )));
            };
            if label as usize >= self.classes {
                return Err(Error::Examples(format!(
                    "record {row} is of class {label}, but there are {} classes, counted from 0",
                    self.classes
                )));
            }
        }
        Ok(())
    }
}

impl Samples {
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }
}
