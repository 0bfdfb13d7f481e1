//! Which way each training image is moved.

use giveaway_stats::random::Stream;

use crate::config::Augmentation;
use crate::kernel::Move;

/// The random moves of an epoch's images, in the order in which they are used.
#[derive(Debug)]
pub(crate) struct Augmenter {
    augmentation: Augmentation,
    stream: Stream,
    moves: Vec<Move>,
}

impl Augmenter {
    pub(crate) fn new(augmentation: Augmentation, seed: u64, epoch: usize) -> Self {
        Self {
            augmentation,
            stream: Stream::new(seed, "augmentation", epoch as u64),
            moves: Vec::new(),
        }
    }

    /// The moves of the next `count` images.
    pub(crate) fn draw(&mut self, count: usize) -> &[Move] {
        let Augmentation { shift, flip } = self.augmentation;
        let stream = &mut self.stream;
        self.moves.clear();
        for _ in 0..count {
            let mut distance = || {
                if shift == 0 {
                    0
                } else {
                    stream.below(2 * shift + 1).cast_signed() - shift.cast_signed()
                }
            };
            let (down, right) = (distance(), distance());
            self.moves.push(Move {
                down,
                right,
                mirrored: flip && stream.below(2) == 1,
            });
        }
        &self.moves
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_are_uniform_independent_and_a_function_of_seed_epoch_and_place() {
        let augmentation = Augmentation {
            shift: 2,
            flip: true,
        };
        let count = 50_000;
        let draw = |seed, epoch, counts: &[usize]| -> Vec<Move> {
            let mut augmenter = Augmenter::new(augmentation, seed, epoch);
            let draws = counts.iter().map(|&count| augmenter.draw(count).to_vec());
            draws.flatten().collect()
        };
        let moves = draw(1, 0, &[count]);
        // how they are divided into batches does not matter; seed and epoch do
        assert_eq!(moves[..60], draw(1, 0, &[25, 25, 10])[..]);
        assert_ne!(moves[..60], draw(2, 0, &[60])[..]);
        assert_ne!(moves[..60], draw(1, 1, &[60])[..]);
        // 5 × 5 × 2 equally likely outcomes
        let mut counts = [0u32; 50];
        for Move {
            down,
            right,
            mirrored,
        } in moves
        {
            let index = (down + 2) * 10 + (right + 2) * 2 + isize::from(mirrored);
            counts[usize::try_from(index).unwrap()] += 1;
        }
        let expected = count as f64 / 50.0;
        let chi_square: f64 = counts
            .iter()
            .map(|&c| (f64::from(c) - expected).powi(2) / expected)
            .sum();
        // 0.9999 quantile of chi-square with 49 degrees of freedom
        assert!(chi_square < 94.6, "{counts:?}");
    }

    #[test]
    fn what_is_not_asked_for_is_not_drawn() {
        let moves = |shift, flip| {
            let mut augmenter = Augmenter::new(Augmentation { shift, flip }, 4, 7);
            augmenter.draw(100).to_vec()
        };
        let mut stream = Stream::new(4, "augmentation", 7);
        for have in moves(0, true) {
            let mirrored = stream.below(2) == 1;
            assert_eq!((have.down, have.right, have.mirrored), (0, 0, mirrored));
        }
        let mut stream = Stream::new(4, "augmentation", 7);
        for have in moves(3, false) {
            let (down, right) = (
                stream.below(7).cast_signed() - 3,
                stream.below(7).cast_signed() - 3,
            );
            assert_eq!((have.down, have.right, have.mirrored), (down, right, false));
        }
        assert!(moves(0, false).iter().all(|x| *x == Move::default()));
    }
}
