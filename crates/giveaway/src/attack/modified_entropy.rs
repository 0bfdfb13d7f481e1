//! Modified entropy (Song and Mittal 2021): `-(1-p_y) ln p_y - Σ_{j≠y} p_j ln(1-p_j)`, which is
//! small for outputs that are sure and right, and large for sure and wrong ones.
//!
//! With one threshold for all records the score is its negative. Class-wise, each class has
//! its own threshold, the one that separates IN from OUT best on the reference models, and
//! the score is how far the record is on the member's side of it.

use rayon::prelude::*;

use super::evidence::Outputs;

/// Scores with one threshold for all.
#[must_use]
pub fn score(modified_entropies: &[f64]) -> Vec<f64> {
    modified_entropies.iter().map(|entropy| -entropy).collect()
}

/// Scores with a threshold for each class, learnt on reference models (`[models]`, with
/// membership `[models][records]`). `NaN` for classes in which they have no member or no
/// non-member.
#[must_use]
pub fn class_wise(
    modified_entropies: &[f64],
    labels: &[u32],
    references: &[&Outputs],
    inside: &[&[bool]],
) -> Vec<f64> {
    let classes = labels.iter().max().map_or(0, |&label| label as usize + 1);
    let mut records_of: Vec<Vec<usize>> = vec![Vec::new(); classes];
    for (record, &label) in labels.iter().enumerate() {
        records_of[label as usize].push(record);
    }
    let thresholds: Vec<f64> = records_of
        .par_iter()
        .map(|records| {
            let observed = references
                .iter()
                .zip(inside)
                .flat_map(|(outputs, inside)| {
                    records
                        .iter()
                        .map(|&r| (outputs.modified_entropy[r], inside[r]))
                })
                .collect();
            best_threshold(observed)
        })
        .collect();
    modified_entropies
        .iter()
        .zip(labels)
        .map(|(entropy, &label)| thresholds[label as usize] - entropy)
        .collect()
}

/// The value t for which "member if at most t" has the largest TPR − FPR; half-way to the next
/// value, so that neither is on the line. `NaN` without both groups.
fn best_threshold(mut observed: Vec<(f64, bool)>) -> f64 {
    let members = observed.iter().filter(|o| o.1).count() as f64;
    let others = observed.len() as f64 - members;
    if members == 0.0 || others == 0.0 {
        return f64::NAN;
    }
    observed.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut right, mut wrong) = (0.0, 0.0);
    // below all of them nobody is called a member
    let mut best = (0.0, observed[0].0 - 1.0);
    let blocks: Vec<&[(f64, bool)]> = observed
        .chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq())
        .collect();
    for (index, block) in blocks.iter().enumerate() {
        let hits = block.iter().filter(|o| o.1).count() as f64;
        right += hits;
        wrong += block.len() as f64 - hits;
        let advantage = right / members - wrong / others;
        if advantage > best.0 {
            let value = block[0].0;
            let next = blocks.get(index + 1).map_or(value + 1.0, |next| next[0].0);
            best = (advantage, f64::midpoint(value, next));
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_the_threshold_that_separates_its_reference_models() {
        let outputs = |values: [f64; 4]| Outputs {
            modified_entropy: values.to_vec(),
            ..Outputs::default()
        };
        // class 0 (records 0, 1): IN near .1, OUT near .5; class 1: IN near 2, OUT near 3
        let models = [outputs([0.1, 0.5, 2.0, 3.0]), outputs([0.6, 0.2, 3.2, 2.2])];
        let inside: [&[bool]; 2] = [&[true, false, true, false], &[false, true, false, true]];
        let references: Vec<&Outputs> = models.iter().collect();
        let scores = class_wise(&[0.3, 0.4, 2.5, 2.7], &[0, 0, 1, 1], &references, &inside);
        let expected = [0.35 - 0.3, 0.35 - 0.4, 2.6 - 2.5, 2.6 - 2.7];
        for (score, expected) in scores.iter().zip(expected) {
            assert!((score - expected).abs() < 1e-12, "{scores:?}");
        }
        let only_in: [&[bool]; 2] = [&[true; 4], &[true; 4]];
        assert!(
            class_wise(&[0.3; 4], &[0, 0, 1, 1], &references, &only_in)
                .iter()
                .all(|s| s.is_nan())
        );
    }
}
