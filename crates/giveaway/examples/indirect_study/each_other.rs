//! Models that test, in the target's place.

use giveaway::Result;
use giveaway::attack::indirect::{RecordQueries, leave_one_out};

use crate::subjects::{Grid, Subject, rounds};

/// Tests all subjects on every model that tests, in the target's place; and whether it was
/// trained on them.
pub(crate) fn on_each_other(
    subjects: &[Subject],
    complements: &[Option<usize>],
    budgets: &[usize],
) -> Result<(Grid, Vec<bool>)> {
    let models = complements.len();
    let mut p = Vec::new();
    for settings in rounds(budgets) {
        let weights: Vec<Vec<f64>> = subjects
            .iter()
            .map(|s| s.enhanced.oriented_weights(settings.budgets[0]))
            .collect();
        let records: Vec<RecordQueries<'_, f64>> = subjects
            .iter()
            .zip(&weights)
            .map(|(subject, weights)| subject.record(weights))
            .collect();
        let plays = leave_one_out(&records, complements, &settings)?;
        for c in 0..settings.combinations.len() {
            for b in 0..settings.budgets.len() {
                let of = |model| {
                    let plays = &plays;
                    (0..subjects.len()).map(move |record| plays.p_value(model, record, c, b))
                };
                p.push((0..models).flat_map(of).collect());
            }
        }
    }
    let is_member = (0..models)
        .flat_map(|model| subjects.iter().map(move |s| s.inside[model]))
        .collect();
    let budgets = budgets.to_vec();
    Ok((Grid { budgets, p }, is_member))
}
