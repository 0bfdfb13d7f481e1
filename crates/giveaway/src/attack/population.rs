//! Attack-P (Ye et al. 2022): the rank of the target's loss on a record among its losses on
//! a population, with one threshold for all records.
//!
//! The score is the share of population records with a higher loss. With a population known
//! to be OUT, `p = (1 + #{L_z ≤ L}) / (m + 1)` is a p-value for a record drawn like them. The
//! audited records may stand in, each without itself; members among them leave no p-value.

use giveaway_stats::empirical::ecdf_p_value_of_count;

use super::Scores;

/// Scores from the target's losses on the records and on a population that is OUT of it.
#[must_use]
pub fn against_population(losses: &[f64], population: &[f64]) -> Scores {
    let sorted = sorted(population);
    let count = |loss: f64| sorted.partition_point(|&other| other <= loss);
    let size = sorted.len();
    Scores {
        scores: losses
            .iter()
            .map(|&loss| (size - count(loss)) as f64 / size as f64)
            .collect(),
        p_values: Some(
            losses
                .iter()
                .map(|&loss| ecdf_p_value_of_count(count(loss), size))
                .collect(),
        ),
    }
}

/// Scores with the other audited records as the population.
#[must_use]
pub fn against_each_other(losses: &[f64]) -> Scores {
    let sorted = sorted(losses);
    let size = sorted.len();
    Scores {
        scores: losses
            .iter()
            .map(|&loss| {
                let higher = size - sorted.partition_point(|&other| other <= loss);
                // of the others; nobody to compare with is no evidence
                if size > 1 {
                    higher as f64 / (size - 1) as f64
                } else {
                    0.0
                }
            })
            .collect(),
        p_values: None,
    }
}

fn sorted(losses: &[f64]) -> Vec<f64> {
    use rayon::prelude::*;
    let mut sorted = losses.to_vec();
    sorted.par_sort_unstable_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn scores_are_shares_of_higher_losses(
            losses in prop::collection::vec(0u8..9, 2..30),
            population in prop::collection::vec(0u8..9, 1..30),
        ) {
            let float = |v: &[u8]| -> Vec<f64> { v.iter().map(|&x| f64::from(x)).collect() };
            let (losses, population) = (float(&losses), float(&population));
            let found = against_population(&losses, &population);
            let own = against_each_other(&losses);
            for (i, &loss) in losses.iter().enumerate() {
                let higher = population.iter().filter(|&&z| z > loss).count();
                prop_assert!((found.scores[i] - higher as f64 / population.len() as f64).abs() < 1e-15);
                let p = giveaway_stats::empirical::ecdf_p_value(&population, loss);
                prop_assert!((found.p_values.as_ref().unwrap()[i] - p).abs() < 1e-15);
                let mut others = losses.clone();
                others.remove(i);
                let higher = others.iter().filter(|&&z| z > loss).count();
                prop_assert!((own.scores[i] - higher as f64 / others.len() as f64).abs() < 1e-15);
            }
        }
    }
}
