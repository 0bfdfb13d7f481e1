//! The unit of privacy: one record, or all records of one person.
//!
//! Membership, scores and evaluation go by unit. Records that share a group (a
//! person) are in a training set together or not at all; a signal of the unit is the
//! mean over its records. Without groups, exact duplicates form a unit, because no
//! attack and no model can tell them apart.

use std::collections::HashMap;

use crate::error::{Error, Result};

/// Which records belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Units {
    of_record: Vec<u32>,
    records: Vec<Vec<u32>>,
}

impl Units {
    /// Every record is its own unit.
    #[must_use]
    pub fn singletons(records: usize) -> Self {
        Self {
            of_record: (0..records as u32).collect(),
            records: (0..records as u32).map(|record| vec![record]).collect(),
        }
    }

    /// Records with the same group value form a unit; an empty value is a unit of its own.
    #[must_use]
    pub fn from_groups(groups: &[String]) -> Self {
        let mut seen: HashMap<&str, u32> = HashMap::new();
        let mut records: Vec<Vec<u32>> = Vec::new();
        let mut of_record = Vec::with_capacity(groups.len());
        for (record, group) in groups.iter().enumerate() {
            let next = records.len() as u32;
            let unit = if group.is_empty() {
                next
            } else {
                *seen.entry(group).or_insert(next)
            };
            if unit == next {
                records.push(Vec::new());
            }
            records[unit as usize].push(record as u32);
            of_record.push(unit);
        }
        Self { of_record, records }
    }

    /// The given sets of records form units, all others are units of their own.
    ///
    /// # Errors
    /// If a record is out of range or stands in two sets.
    pub fn from_sets(record_count: usize, sets: &[Vec<u32>]) -> Result<Self> {
        let mut set_of = vec![u32::MAX; record_count];
        for (set, members) in sets.iter().enumerate() {
            for &record in members {
                match set_of.get_mut(record as usize) {
                    Some(slot) if *slot == u32::MAX => *slot = set as u32,
                    _ => {
                        return Err(Error::unexpected(format!(
                            "record {record} is out of range or in two sets"
                        )));
                    }
                }
            }
        }
        let mut unit_of_set = vec![u32::MAX; sets.len()];
        let mut records: Vec<Vec<u32>> = Vec::new();
        let mut of_record = Vec::with_capacity(record_count);
        for (record, &set) in set_of.iter().enumerate() {
            let next = records.len() as u32;
            let unit = match unit_of_set.get_mut(set as usize) {
                Some(slot) => {
                    if *slot == u32::MAX {
                        *slot = next;
                    }
                    *slot
                }
                None => next,
            };
            if unit == next {
                records.push(Vec::new());
            }
            records[unit as usize].push(record as u32);
            of_record.push(unit);
        }
        Ok(Self { of_record, records })
    }

    /// Number of units.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no unit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Number of records.
    #[must_use]
    pub fn record_count(&self) -> usize {
        self.of_record.len()
    }

    /// The unit of a record.
    #[must_use]
    pub fn of_record(&self, record: usize) -> usize {
        self.of_record[record] as usize
    }

    /// The records of a unit, in order.
    #[must_use]
    pub fn records(&self, unit: usize) -> &[u32] {
        &self.records[unit]
    }

    /// Whether every unit is a single record.
    #[must_use]
    pub fn all_single(&self) -> bool {
        self.len() == self.record_count()
    }

    /// How many records these units have.
    #[must_use]
    pub fn count(&self, units: &[u32]) -> usize {
        let records = units.iter().map(|&unit| self.records[unit as usize].len());
        records.sum()
    }

    /// The records of these units, in the order of the units.
    #[must_use]
    pub fn expand(&self, units: &[u32]) -> Vec<u32> {
        units
            .iter()
            .flat_map(|&unit| self.records[unit as usize].iter().copied())
            .collect()
    }

    /// The mean over each unit's records of a value per record.
    #[must_use]
    pub fn mean(&self, per_record: &[f64]) -> Vec<f64> {
        self.records
            .iter()
            .map(|records| {
                let sum: f64 = records.iter().map(|&r| per_record[r as usize]).sum();
                sum / records.len() as f64
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_keep_the_order_of_first_appearance_and_empty_values_stay_apart() {
        let groups = ["b", "a", "", "b", ""].map(String::from);
        let units = Units::from_groups(&groups);
        assert_eq!(units.len(), 4);
        assert_eq!(units.records(0), [0, 3]);
        assert_eq!(units.records(1), [1]);
        assert_eq!(units.of_record(2), 2);
        assert_eq!(units.of_record(4), 3);
        assert_eq!(units.expand(&[0, 3]), [0, 3, 4]);
        assert_eq!(units.mean(&[1.0, 5.0, 7.0, 3.0, 9.0]), [2.0, 5.0, 7.0, 9.0]);
    }

    #[test]
    fn sets_become_units() {
        let units = Units::from_sets(5, &[vec![1, 4]]).unwrap();
        assert_eq!(units.len(), 4);
        assert_eq!(units.records(1), [1, 4]);
        assert!(!units.all_single());
        assert!(Units::from_sets(3, &[vec![0, 1], vec![1, 2]]).is_err());
        assert_eq!(Units::from_sets(3, &[]).unwrap(), Units::singletons(3));
    }
}
