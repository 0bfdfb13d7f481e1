//! Every testing model in turn plays the target (methods, section 1.5).
//!
//! The model and its complement leave the references, so each record loses exactly one OUT
//! model, whatever its membership. Where there is no complement and the model is IN, some
//! other OUT model leaves in its place: see [`direct`](crate::attack::direct::LeftOut).

use rayon::prelude::*;

use super::super::direct::precedence;
use super::super::evidence::Real;
use super::sample::Prepared;
use super::{RecordQueries, Settings, oriented};
use crate::error::{Error, Result};

/// Combined p-values of all records on all testing models.
#[derive(Clone, Debug, PartialEq)]
pub struct Plays {
    models: usize,
    combinations: usize,
    budgets: usize,
    /// `[records × models]`
    inside: Vec<bool>,
    /// `[records × models × combinations × budgets]`
    p_values: Vec<f64>,
}

impl Plays {
    /// Number of records.
    #[must_use]
    pub fn records(&self) -> usize {
        self.inside.len() / self.models
    }

    /// Number of models, each of which played the target.
    #[must_use]
    pub fn models(&self) -> usize {
        self.models
    }

    /// Whether the model that plays was trained on the record.
    #[must_use]
    pub fn is_in(&self, model: usize, record: usize) -> bool {
        self.inside[record * self.models + model]
    }

    /// The combined p-value of a record on the model that plays, by the places of combination
    /// and budget in the settings. `NaN` where the record has too few OUT models.
    #[must_use]
    pub fn p_value(&self, model: usize, record: usize, combination: usize, budget: usize) -> f64 {
        let play = record * self.models + model;
        self.p_values[(play * self.combinations + combination) * self.budgets + budget]
    }
}

/// Tests all records on every testing model in the target's place.
///
/// `complements` has, for each of the testing models, the one that was trained on the rest of
/// the pool, if it is among them. All records must have the same models in the same order.
/// The result does not depend on the number of threads.
///
/// # Errors
/// If there is no record, numbers are missing or not finite, or the settings make no sense.
pub fn leave_one_out<T: Real>(
    records: &[RecordQueries<'_, T>],
    complements: &[Option<usize>],
    settings: &Settings,
) -> Result<Plays> {
    settings.check()?;
    let models = complements.len();
    if records.is_empty() || models == 0 {
        return Err(Error::input(format!(
            "{} records and {models} models: nothing can be tested",
            records.len()
        ))
        .hint("give one record and several models or more"));
    }
    for (number, record) in records.iter().enumerate() {
        let place = |error: Error| error.at(format!("record {number}"));
        record.check(settings).map_err(place)?;
        if record.inside.len() != models {
            return Err(Error::input(format!(
                "signals of {} models, where {models} test",
                record.inside.len()
            ))
            .at(format!("record {number}"))
            .hint("give all records signals of the same models"));
        }
    }
    let precedences: Vec<Vec<u32>> = (0..models)
        .into_par_iter()
        .map(|model| precedence(model, models))
        .collect();
    let by_record: Vec<Vec<f64>> = records
        .par_iter()
        .map(|record| {
            let prepared = Prepared::new(record, settings);
            (0..models)
                .into_par_iter()
                .flat_map_iter(|model| {
                    play(
                        &prepared,
                        record,
                        model,
                        complements[model],
                        &precedences[model],
                    )
                })
                .collect()
        })
        .collect();
    Ok(Plays {
        models,
        combinations: settings.combinations.len(),
        budgets: settings.budgets.len(),
        inside: records
            .iter()
            .flat_map(|record| record.inside.iter().copied())
            .collect(),
        p_values: by_record.into_iter().flatten().collect(),
    })
}

/// One model plays the target for one record.
fn play<T: Real>(
    prepared: &Prepared<'_>,
    record: &RecordQueries<'_, T>,
    model: usize,
    complement: Option<usize>,
    precedence: &[u32],
) -> Vec<f64> {
    let place = |model: u32| prepared.out.binary_search(&model).ok();
    if let Some(place) = place(model as u32) {
        return prepared.test_out(place);
    }
    let left = complement
        .and_then(|complement| place(complement as u32))
        .or_else(|| {
            (0..prepared.out.len()).min_by_key(|&at| precedence[prepared.out[at] as usize])
        });
    let target = oriented(&record.logits.row(model), record.tails);
    prepared.test(&target, left).combined
}
