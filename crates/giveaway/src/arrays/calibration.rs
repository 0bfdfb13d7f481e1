//! Thresholds that are chosen on reference models and carried over to the target.
//!
//! A threshold chosen on the target, as for the ROC curve, knows the answer. Here some
//! reference models play the target in turn, without their complements among the references.
//! What non-members of theirs score sets the thresholds.

use super::metrics::{Thresholds, thresholds};
use crate::attack::evidence::{Evidence, Real};
use crate::attack::method::{Attacker, Method, Parameters};

/// Most reference models that play the target.
const PLAYERS: usize = 8;
/// Signals that are looked at, models × records for each player.
const WORK: usize = 500_000_000;

/// Thresholds of each method, or why there are none, and how many reference models played.
pub(super) fn calibrate<T: Real>(
    evidence: &Evidence<'_, T>,
    methods: &[Method],
    parameters: Parameters,
) -> (usize, Vec<Result<Thresholds, String>>) {
    let (models, records) = (evidence.models(), evidence.records());
    let none = |reason: &str| (0, vec![Err(reason.to_owned()); methods.len()]);
    if models == 0 {
        return none("there are no reference models");
    }
    let players = PLAYERS.min(models).min(WORK / (models * records));
    if players == 0 {
        return none("the arrays are too large for it: it would take longer than the attacks");
    }
    let mut pooled: Vec<Result<Vec<f64>, String>> = vec![Ok(Vec::new()); methods.len()];
    for player in (0..players).map(|i| i * models / players) {
        let is_member = evidence.inside[player];
        let played = evidence.with_target(player, &complements(&evidence.inside, player));
        let attacker = Attacker::new(&played, parameters);
        for (method, pooled) in methods.iter().zip(&mut pooled) {
            let Ok(scores) = pooled else { continue };
            match attacker.score(*method) {
                Ok(found) => scores.extend(
                    found
                        .scores
                        .iter()
                        .zip(is_member)
                        .filter(|(score, member)| !**member && !score.is_nan())
                        .map(|(score, _)| score),
                ),
                Err(error) => {
                    *pooled = Err(format!(
                        "with reference model {player} as the target: {error}"
                    ));
                }
            }
        }
    }
    let found = pooled
        .into_iter()
        .map(|pooled| {
            let scores = pooled?;
            if scores.is_empty() {
                return Err("no non-member of a reference model has a score".to_owned());
            }
            Ok(thresholds(&scores))
        })
        .collect();
    (players, found)
}

/// The models trained on exactly the other records.
pub(super) fn complements(inside: &[&[bool]], model: usize) -> Vec<usize> {
    (0..inside.len())
        .filter(|&other| {
            other != model && inside[other].iter().zip(inside[model]).all(|(a, b)| a != b)
        })
        .collect()
}
