//! Which model is trained on which unit: the membership matrix.
//!
//! Rows are reference models, columns are [units](crate::units::Units). The matrix and
//! the draws behind it follow from the seed alone.

use giveaway_stats::random::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How training sets of reference models are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Design {
    /// Random halves of the pool in complementary pairs: every unit is IN for exactly
    /// half of the models. For an owner who audits the whole pool.
    Halves,
    /// Each model draws the target's number of units from the whole pool without
    /// replacement: for a target whose members are not half of the pool.
    Share,
    /// Each model draws the target's number of units from the reference data without replacement.
    Subsample,
    /// The same with replacement, as Long et al. (2018) do in our reading of them.
    Bootstrap,
}

impl Design {
    /// The name used in options, files and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Halves => "halves",
            Self::Share => "share",
            Self::Subsample => "subsample",
            Self::Bootstrap => "bootstrap",
        }
    }
}

/// The share of `eligible` units that are in a training set of `size` draws, on average: with
/// replacement some are drawn twice.
#[must_use]
pub fn share_of_eligible(design: Design, size: usize, eligible: usize) -> f64 {
    let (size, eligible) = (size as f64, eligible as f64);
    match design {
        Design::Bootstrap => -(size * (-1.0 / eligible).ln_1p()).exp_m1(),
        Design::Halves | Design::Share | Design::Subsample => size / eligible,
    }
}

/// The membership matrix of the reference models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    design: Design,
    units: usize,
    words: usize,
    bits: Vec<u64>,
    /// Units that each model trains on, with repetitions for the bootstrap.
    draws: Vec<Vec<u32>>,
}

impl Membership {
    /// Draws training sets for `models` models.
    ///
    /// `eligible` are the units that may be drawn (all of the pool, or the reference
    /// data), among `units` in all; `size` is the number that each model draws, and
    /// ignored for [`Design::Halves`].
    ///
    /// # Errors
    /// If halves are asked of an odd number of models, or more units are wanted than there are.
    pub fn draw(
        design: Design,
        models: usize,
        units: usize,
        eligible: &[u32],
        size: usize,
        seed: u64,
    ) -> Result<Self> {
        if eligible.len() < 2 {
            return Err(Error::input(format!(
                "{} unit(s) to train reference models on",
                eligible.len()
            ))
            .hint("a training set and its complement need at least 2 records, an audit hundreds"));
        }
        let mut draws = Vec::with_capacity(models);
        match design {
            Design::Halves => {
                if !models.is_multiple_of(2) {
                    return Err(Error::usage(format!(
                        "complementary halves come in pairs, but --models is {models}"
                    ))
                    .hint("give an even number"));
                }
                for pair in 0..models / 2 {
                    let mut order = eligible.to_vec();
                    Stream::new(seed, "membership", pair as u64).shuffle(&mut order);
                    // Of an odd number the larger half goes to the first and the second in turn.
                    let cut = usize::midpoint(order.len(), pair % 2);
                    let complement = order.split_off(cut);
                    for mut half in [order, complement] {
                        half.sort_unstable();
                        draws.push(half);
                    }
                }
            }
            Design::Share | Design::Subsample => {
                if size >= eligible.len() || size == 0 {
                    return Err(Error::usage(format!(
                        "each reference model should train on {size} of {} units",
                        eligible.len()
                    ))
                    .hint("there must be units left that a model was not trained on"));
                }
                for model in 0..models {
                    let mut order = eligible.to_vec();
                    Stream::new(seed, "membership", model as u64).shuffle(&mut order);
                    order.truncate(size);
                    order.sort_unstable();
                    draws.push(order);
                }
            }
            Design::Bootstrap => {
                if size == 0 {
                    return Err(Error::usage("a training set of no units")
                        .hint("give more records, or name more training records"));
                }
                for model in 0..models {
                    let mut stream = Stream::new(seed, "membership", model as u64);
                    let mut drawn: Vec<u32> = (0..size)
                        .map(|_| eligible[stream.below(eligible.len())])
                        .collect();
                    drawn.sort_unstable();
                    draws.push(drawn);
                }
            }
        }
        Ok(Self::from_draws(design, units, draws))
    }

    fn from_draws(design: Design, units: usize, draws: Vec<Vec<u32>>) -> Self {
        let words = units.div_ceil(64);
        let mut bits = vec![0u64; words * draws.len()];
        for (model, drawn) in draws.iter().enumerate() {
            for &unit in drawn {
                bits[model * words + unit as usize / 64] |= 1 << (unit % 64);
            }
        }
        Self {
            design,
            units,
            words,
            bits,
            draws,
        }
    }

    /// How the training sets were drawn.
    #[must_use]
    pub fn design(&self) -> Design {
        self.design
    }

    /// Number of reference models.
    #[must_use]
    pub fn models(&self) -> usize {
        self.draws.len()
    }

    /// Number of units.
    #[must_use]
    pub fn units(&self) -> usize {
        self.units
    }

    /// Whether the unit was IN the training set of the model.
    #[must_use]
    pub fn is_in(&self, model: usize, unit: usize) -> bool {
        self.bits[model * self.words + unit / 64] >> (unit % 64) & 1 == 1
    }

    /// The units that the model trains on, sorted, with repetitions where drawn twice.
    #[must_use]
    pub fn training_units(&self, model: usize) -> &[u32] {
        &self.draws[model]
    }

    /// The model trained on the other half, where there is one.
    #[must_use]
    pub fn complement(&self, model: usize) -> Option<usize> {
        (self.design == Design::Halves).then_some(model ^ 1)
    }

    /// Models that must not judge each other: a pair of complements, or a single model.
    #[must_use]
    pub fn family(&self, model: usize) -> usize {
        match self.design {
            Design::Halves => model / 2,
            _ => model,
        }
    }

    /// Number of models in a family.
    #[must_use]
    pub fn family_size(&self) -> usize {
        match self.design {
            Design::Halves => 2,
            _ => 1,
        }
    }

    /// Number of families.
    #[must_use]
    pub fn families(&self) -> usize {
        self.models() / self.family_size()
    }

    /// The two halves of the families, as ranges of models: one selects, the other tests.
    #[must_use]
    pub fn halves(&self) -> [std::ops::Range<usize>; 2] {
        let cut = self.families() / 2 * self.family_size();
        [0..cut, cut..self.models()]
    }

    /// The membership of some of the models alone: whole families, so that pairs stay together.
    ///
    /// # Panics
    /// If the range cuts a family or there are no such models.
    #[must_use]
    pub fn of_models(&self, models: std::ops::Range<usize>) -> Self {
        assert!(
            models.start.is_multiple_of(self.family_size())
                && models.end.is_multiple_of(self.family_size()),
            "whole families"
        );
        Self::from_draws(self.design, self.units, self.draws[models].to_vec())
    }

    /// The matrix as bytes 0 and 1, model after model.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        (0..self.models())
            .flat_map(|model| (0..self.units).map(move |unit| u8::from(self.is_in(model, unit))))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(units: u32) -> Vec<u32> {
        (0..units).collect()
    }

    #[test]
    fn halves_are_complementary_and_balanced() {
        for units in [10, 11] {
            let membership =
                Membership::draw(Design::Halves, 8, units, &all(units as u32), 0, 1).unwrap();
            for unit in 0..units {
                let members = (0..8).filter(|&m| membership.is_in(m, unit)).count();
                assert_eq!(members, 4);
                for model in 0..8 {
                    let complement = membership.complement(model).unwrap();
                    assert_ne!(
                        membership.is_in(model, unit),
                        membership.is_in(complement, unit)
                    );
                    assert_eq!(membership.family(model), membership.family(complement));
                }
            }
        }
        let odd = Membership::draw(Design::Halves, 4, 11, &all(11), 0, 1).unwrap();
        let sizes: Vec<usize> = (0..4).map(|m| odd.training_units(m).len()).collect();
        assert_eq!(sizes, [5, 6, 6, 5]);
    }

    #[test]
    fn shares_of_the_eligible_are_those_of_drawn_sets() {
        for (design, size) in [(Design::Bootstrap, 150), (Design::Subsample, 40)] {
            let membership = Membership::draw(design, 200, 100, &all(100), size, 3).unwrap();
            let bytes = membership.to_bytes();
            let inside: usize = bytes.iter().map(|&byte| usize::from(byte)).sum();
            let found = inside as f64 / (200.0 * 100.0);
            let expected = share_of_eligible(design, size, 100);
            assert!((found - expected).abs() < 0.01, "{found} {expected}");
        }
    }

    #[test]
    fn share_draws_the_given_number_without_repetition() {
        let membership = Membership::draw(Design::Share, 50, 100, &all(100), 80, 3).unwrap();
        for model in 0..50 {
            let drawn = membership.training_units(model);
            assert_eq!(drawn.len(), 80);
            assert!(drawn.windows(2).all(|pair| pair[0] < pair[1]));
            assert_eq!((0..100).filter(|&u| membership.is_in(model, u)).count(), 80);
        }
        assert!(Membership::draw(Design::Share, 4, 10, &all(10), 10, 1).is_err());
    }

    #[test]
    fn bootstrap_repeats_and_stays_among_the_eligible() {
        let eligible: Vec<u32> = (50..100).collect();
        let membership = Membership::draw(Design::Bootstrap, 20, 100, &eligible, 50, 3).unwrap();
        for model in 0..20 {
            let drawn = membership.training_units(model);
            assert_eq!(drawn.len(), 50);
            assert!(drawn.iter().all(|&unit| unit >= 50));
            assert!(drawn.windows(2).any(|pair| pair[0] == pair[1]));
            assert!((0..50).all(|unit| !membership.is_in(model, unit)));
        }
    }

    #[test]
    fn a_model_s_draw_does_not_depend_on_how_many_models_there_are() {
        let few = Membership::draw(Design::Halves, 4, 40, &all(40), 0, 9).unwrap();
        let many = Membership::draw(Design::Halves, 64, 40, &all(40), 0, 9).unwrap();
        assert_eq!(few.training_units(3), many.training_units(3));
    }

    #[test]
    fn some_models_alone_keep_their_training_sets_and_pairs() {
        let whole = Membership::draw(Design::Halves, 8, 20, &all(20), 0, 9).unwrap();
        let part = whole.of_models(4..8);
        assert_eq!((part.models(), part.families()), (4, 2));
        for model in 0..4 {
            assert_eq!(part.training_units(model), whole.training_units(4 + model));
            assert!((0..20).all(|u| part.is_in(model, u) == whole.is_in(4 + model, u)));
        }
    }

    #[test]
    fn halves_of_families_never_part_a_pair() {
        let membership = Membership::draw(Design::Halves, 10, 20, &all(20), 0, 9).unwrap();
        assert_eq!(membership.halves(), [0..4, 4..10]);
    }
}
