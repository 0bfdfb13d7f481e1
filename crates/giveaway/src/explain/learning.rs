//! When a model learns a record that it is trained on.

use ndarray::ArrayView1;

/// Below this loss the label has more than half of the probability.
const LEARNT: f32 = std::f32::consts::LN_2;

/// The first epoch, counted from 1, from which on the loss stays below ln 2 to the end of the
/// training, so that the label has more than half of the probability; one more than there are
/// epochs where it never does. `losses` is the loss of one record after each epoch, in nats.
///
/// A record that is learnt, forgotten and learnt again counts from the last time (Toneva et al.
/// 2019 count how often that happens).
#[must_use]
#[expect(
    clippy::needless_pass_by_value,
    reason = "a view is itself a reference, and ndarray passes views by value"
)]
pub fn epoch_learned(losses: ArrayView1<f32>) -> usize {
    // A loss that is no number was not learnt.
    let not_learnt = losses
        .iter()
        .rposition(|&loss| loss.is_nan() || loss >= LEARNT);
    not_learnt.map_or(0, |last| last + 1) + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_epoch_from_which_on_the_label_has_more_than_half() {
        assert_eq!(epoch_learned(array![0.1, 0.1].view()), 1);
        assert_eq!(epoch_learned(array![2.0, 0.8, 0.5, 0.1].view()), 3);
        assert_eq!(epoch_learned(array![0.1, 0.9, 0.1].view()), 3);
        assert_eq!(epoch_learned(array![1.0, 0.69, 0.7].view()), 4);
        assert_eq!(epoch_learned(array![1.0, f32::NAN].view()), 3);
        // ln 2 itself is half, not more.
        assert_eq!(epoch_learned(array![LEARNT].view()), 2);
    }
}
