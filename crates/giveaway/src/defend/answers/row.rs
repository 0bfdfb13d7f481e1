//! What is done to one row of logits or probabilities.

use giveaway_stats::random::Stream;

/// The answered class: the largest entry, of equals the first.
pub(super) fn answered(row: &[f32]) -> usize {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    row.iter().position(|&x| x >= largest).unwrap_or(0)
}

/// As [`answered`].
pub(super) fn answered_of_doubles(row: &[f64]) -> usize {
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    row.iter().position(|&x| x >= largest).unwrap_or(0)
}

/// Probabilities of logits.
pub(super) fn softmax(logits: &[f64], probabilities: &mut Vec<f64>) {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    probabilities.clear();
    probabilities.extend(logits.iter().map(|z| (z - largest).exp()));
    let sum: f64 = probabilities.iter().sum();
    for p in probabilities.iter_mut() {
        *p /= sum;
    }
}

/// Probabilities of a row of logits.
pub(super) fn probabilities(logits: &[f32]) -> Vec<f64> {
    let logits: Vec<f64> = logits.iter().map(|&z| f64::from(z)).collect();
    let mut found = Vec::with_capacity(logits.len());
    softmax(&logits, &mut found);
    found
}

/// Makes `label` the answered class: it changes places with the one that is; where both are equal
/// it is raised by the smallest step there is.
pub(super) fn keep_label(row: &mut [f32], label: usize) {
    let now = answered(row);
    if now == label {
        return;
    }
    row.swap(now, label);
    if answered(row) != label {
        row[label] = row[label].next_up();
    }
}

/// Classes from the largest entry to the smallest; equals in the order of the classes.
pub(super) fn ranking(row: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..row.len()).collect();
    // + 0 makes the two zeros equal
    order.sort_by(|&a, &b| (row[b] + 0.0).total_cmp(&(row[a] + 0.0)));
    order
}

/// Random numbers that belong to one input: the same whenever and with whatever others it is
/// asked.
pub(super) fn stream_of(seed: u64, purpose: &str, input: impl Iterator<Item = f32>) -> Stream {
    let mut hasher = blake3::Hasher::new();
    for value in input {
        // + 0 makes one of the two zeros, which no model tells apart
        hasher.update(&(value + 0.0).to_bits().to_le_bytes());
    }
    let mut first = [0u8; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    Stream::new(seed, purpose, u64::from_le_bytes(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_is_kept_by_exchange_or_by_a_step() {
        let mut row = [3.0, 1.0, 2.0];
        keep_label(&mut row, 2);
        assert_eq!(row.map(f32::to_bits), [2.0f32, 1.0, 3.0].map(f32::to_bits));
        let mut equal = [1.0f32, 1.0];
        keep_label(&mut equal, 1);
        assert_eq!(answered(&equal), 1);
        assert!(equal[1] - equal[0] < 1e-6);
        let mut untouched = [0.5f32, 0.5];
        keep_label(&mut untouched, 0);
        assert_eq!(untouched.map(f32::to_bits), [0.5f32; 2].map(f32::to_bits));
    }

    #[test]
    fn an_inputs_numbers_are_its_own() {
        let first = |seed, input: [f32; 2]| stream_of(seed, "test", input.into_iter()).next_u64();
        assert_eq!(first(1, [0.5, -0.0]), first(1, [0.5, 0.0]));
        assert_ne!(first(1, [0.5, 1.0]), first(1, [1.0, 0.5]));
        assert_ne!(first(1, [0.5, 1.0]), first(2, [0.5, 1.0]));
    }

    #[test]
    fn equals_are_ranked_in_the_order_of_the_classes() {
        assert_eq!(ranking(&[1.0, 3.0, 1.0, 3.0]), [1, 3, 0, 2]);
    }
}
