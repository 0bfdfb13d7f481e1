//! The privacy audit that needs one training run (Steinke, Nasr and Jagielski 2023,
//! "Privacy auditing with one (1) training run").
//!
//! Each of m canaries is put into the training set or left out by an independent fair
//! coin. From the model the auditor guesses the coins of some of them and may abstain on
//! the rest. If training is (ε, δ)-differentially private, the number of right guesses
//! among r is hardly ever larger than a binomial with `q = e^ε/(1+e^ε)`, however the
//! guesses were made.
//!
//! What has to hold, and cannot be checked here: the coins are fair and independent. A
//! membership matrix that is balanced (each record in exactly half of the sets, or half
//! the records in each set) is not that, and ordinary training records are not canaries
//! with coins. Where it does not hold, these numbers describe and bound nothing.

use crate::binomial::{Chance, at_least, log_pmf};
use crate::error::{InputError, check_parameter};
use crate::interval::lower_bound;
use crate::privacy::threshold::{SortedScores, ThresholdStrategy};

/// Probability of at least `correct` right guesses among `guesses` about `canaries` coins,
/// at most, under (ε, δ)-differential privacy:
///
/// `p = min(1, β + 2 m δ α)` with `β = P[Bin(r, q) ≥ v]` and
/// `α = max_{i=1..v} P[v > Bin(r, q) ≥ v-i] / i`, where m is the number of canaries, r
/// that of guesses, v that of right ones, and `q = e^ε/(1+e^ε)`.
///
/// # Errors
/// More right guesses than guesses, more guesses than canaries, ε below 0 or NaN, δ
/// outside [0, 1].
pub fn p_value(
    canaries: u64,
    guesses: u64,
    correct: u64,
    epsilon: f64,
    delta: f64,
) -> Result<f64, InputError> {
    check_counts(canaries, guesses, correct)?;
    check_delta(delta)?;
    check_parameter("epsilon", epsilon, "at least 0", epsilon >= 0.0)?;
    Ok(Guessed {
        canaries,
        guesses,
        correct,
    }
    .p_value(epsilon, delta))
}

/// Lower bound on ε at confidence 1 - `significance`: the largest ε whose [`p_value`] is
/// below `significance`, to 12 digits and rounded down; 0 if there is none.
///
/// The number of guesses, or the threshold that sets it, must be fixed before the scores
/// are seen; [`from_guess_numbers`] and [`from_thresholds`] see to that.
///
/// # Errors
/// As [`p_value`]; a significance outside (0, 1).
pub fn epsilon_lower_bound(
    canaries: u64,
    guesses: u64,
    correct: u64,
    significance: f64,
    delta: f64,
) -> Result<f64, InputError> {
    check_counts(canaries, guesses, correct)?;
    check_delta(delta)?;
    check_significance(significance)?;
    Ok(Guessed {
        canaries,
        guesses,
        correct,
    }
    .epsilon_above(0.0, significance, delta)
    .unwrap_or(0.0))
}

fn check_counts(canaries: u64, guesses: u64, correct: u64) -> Result<(), InputError> {
    check_parameter(
        "guesses",
        guesses as f64,
        "at most the number of canaries",
        guesses <= canaries,
    )?;
    check_parameter(
        "correct",
        correct as f64,
        "at most the number of guesses",
        correct <= guesses,
    )
}

fn check_delta(delta: f64) -> Result<(), InputError> {
    check_parameter("delta", delta, "in [0, 1]", (0.0..=1.0).contains(&delta))
}

fn check_significance(significance: f64) -> Result<(), InputError> {
    check_parameter(
        "significance",
        significance,
        "between 0 and 1",
        significance > 0.0 && significance < 1.0,
    )
}

/// The outcome of an audit, checked.
#[derive(Clone, Copy, Debug)]
struct Guessed {
    canaries: u64,
    guesses: u64,
    correct: u64,
}

impl Guessed {
    fn p_value(self, epsilon: f64, delta: f64) -> f64 {
        let chance = Chance::of_log_odds(epsilon);
        let beta = at_least(self.correct, self.guesses, chance);
        if delta == 0.0 || beta >= 1.0 {
            return beta;
        }
        let alpha = largest_mean_below(self.correct, self.guesses, chance);
        (beta + 2.0 * self.canaries as f64 * delta * alpha).min(1.0)
    }

    /// The largest ε with a p-value below `significance`, if it is above `floor`.
    fn epsilon_above(self, floor: f64, significance: f64, delta: f64) -> Option<f64> {
        // δ only adds to the p-value, so the cheap half may already say no
        let rejected = |epsilon: f64| {
            at_least(self.correct, self.guesses, Chance::of_log_odds(epsilon)) < significance
                && self.p_value(epsilon, delta) < significance
        };
        if !rejected(floor) {
            return None;
        }
        let (mut low, mut high) = (floor, (2.0 * floor).max(1.0));
        // the p-value is 1 where e^-ε is no longer seen beside 1
        while rejected(high) {
            (low, high) = (high, 2.0 * high);
        }
        while high - low > 1e-13 * high {
            let middle = f64::midpoint(low, high);
            if middle <= low || middle >= high {
                break;
            }
            if rejected(middle) {
                low = middle;
            } else {
                high = middle;
            }
        }
        (low > floor).then_some(low)
    }
}

/// `max_{i=1..v} P[v > Bin(r, q) ≥ v-i] / i`: the largest mean of the i probabilities just
/// below v.
///
/// Going down from v-1, binomial probabilities rise to the mode and then fall. Their
/// running mean therefore rises until a probability is below it, and never again: the
/// first time that it does not rise ends the search.
fn largest_mean_below(correct: u64, guesses: u64, chance: Chance) -> f64 {
    let Some(top) = correct.checked_sub(1) else {
        return 0.0;
    };
    // in units of P[Bin = v-1], which may be smaller than any f64
    let mut ln_unit = log_pmf(top, guesses, chance);
    if ln_unit == f64::NEG_INFINITY {
        return 0.0;
    }
    let odds = chance.failure / chance.success;
    let (mut probability, mut sum, mut best) = (1.0, 1.0, 1.0_f64);
    for below in (0..top).rev() {
        probability *= (below + 1) as f64 / (guesses - below) as f64 * odds;
        sum += probability;
        let mean = sum / (top - below + 1) as f64;
        if mean <= best {
            break;
        }
        best = mean;
        if sum > 1e200 {
            probability *= 1e-200;
            sum *= 1e-200;
            best *= 1e-200;
            ln_unit += 200.0 * std::f64::consts::LN_10;
        }
    }
    (ln_unit + best.ln()).exp()
}

/// How many canaries to guess on, decided before the scores are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuessNumbers {
    /// How many of the highest scores are guessed to be members (`k₊`).
    pub members: usize,
    /// How many of the lowest scores are guessed to be non-members (`k₋`).
    pub non_members: usize,
}

/// What an audit found, and from which guesses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OneRunBound {
    /// Lower bound on ε; 0 if nothing can be said.
    pub epsilon: f64,
    /// Canaries the bound was computed from (those of the second part, after a split).
    pub canaries: u64,
    /// Guesses that the bound counts: with registered numbers all that were registered,
    /// those that were not made because of ties among them, as wrong ones.
    pub guesses: u64,
    /// Canaries guessed on.
    pub made: u64,
    /// Right guesses.
    pub correct: u64,
    /// Scores of at least this were guessed to be members; NaN if none was.
    pub member_from: f64,
    /// Scores of at most this were guessed to be non-members; NaN if none was.
    pub non_member_up_to: f64,
    /// How many thresholds shared the significance.
    pub thresholds: usize,
}

/// The audit with numbers of guesses that were fixed beforehand; the default, because
/// nothing has to be corrected for.
///
/// The k₊ highest scores are guessed to be members and the k₋ lowest to be non-members;
/// on the others nothing is guessed. Canaries with the same score are treated alike: a
/// block of ties that does not fit is not guessed on, so that neither the order of the
/// canaries nor which group they stand in plays a role. The bound is that of the registered
/// number of guesses, and those that were not made count as wrong. That is conservative for
/// any δ: the p-value for r guesses bounds the chance of v right ones however r coins are
/// guessed, and guesses on the ties in addition could only have been right more often.
///
/// # Errors
/// No canaries, a NaN, more guesses than canaries, and as [`epsilon_lower_bound`].
pub fn from_guess_numbers(
    member_scores: &[f64],
    non_member_scores: &[f64],
    numbers: GuessNumbers,
    significance: f64,
    delta: f64,
) -> Result<OneRunBound, InputError> {
    check_delta(delta)?;
    check_significance(significance)?;
    let scores = canary_scores(member_scores, non_member_scores)?;
    let canaries = scores.members.len() + scores.non_members.len();
    let wanted = numbers.members.saturating_add(numbers.non_members);
    check_parameter(
        "the number of guesses",
        wanted as f64,
        "at most the number of canaries",
        wanted <= canaries,
    )?;
    let mut sorted = [scores.members.as_slice(), scores.non_members.as_slice()].concat();
    sorted.sort_unstable_by(f64::total_cmp);
    let member_from = whole_blocks(sorted.iter().rev(), numbers.members);
    let non_member_up_to = whole_blocks(sorted.iter(), numbers.non_members);

    // a comparison with NaN is false: nobody is guessed on
    let at_least = |group: &[f64]| group.iter().filter(|&&s| s >= member_from).count() as u64;
    let at_most = |group: &[f64]| group.iter().filter(|&&s| s <= non_member_up_to).count() as u64;
    let right = at_least(&scores.members) + at_most(&scores.non_members);
    let wrong = at_least(&scores.non_members) + at_most(&scores.members);
    let guessed = Guessed {
        canaries: canaries as u64,
        guesses: wanted as u64,
        correct: right,
    };
    Ok(OneRunBound {
        epsilon: guessed
            .epsilon_above(0.0, significance, delta)
            .unwrap_or(0.0),
        canaries: guessed.canaries,
        guesses: guessed.guesses,
        made: right + wrong,
        correct: guessed.correct,
        member_from,
        non_member_up_to,
        thresholds: 1,
    })
}

/// The last score of the whole blocks of ties among the first `number` scores; NaN if not
/// even the first block fits.
fn whole_blocks<'a>(scores: impl Iterator<Item = &'a f64>, number: usize) -> f64 {
    let mut last_whole = f64::NAN;
    let mut last = None;
    for (taken, &score) in scores.enumerate() {
        if let Some(before) = last
            && f64::total_cmp(&before, &score).is_ne()
        {
            // all of the block before was among the first `taken`
            last_whole = before;
        }
        if taken == number {
            return last_whole;
        }
        last = Some(score);
    }
    last.unwrap_or(f64::NAN)
}

/// The audit with a threshold: every canary with a score of at least the threshold is
/// guessed to be a member, on the others nothing is guessed. How the threshold comes
/// about, and what that costs, is the [`ThresholdStrategy`]. With δ above 0 a share of the
/// significance has to cover the term 2mδα, so many thresholds cost more than usual.
///
/// With [`ThresholdStrategy::Split`] each canary goes to either part by a coin that does
/// not depend on its membership, so that the coins of the second part stay fair and
/// independent given the first.
///
/// # Errors
/// No canaries (also none in one part of a split), a NaN, a strategy that makes no sense
/// (see there), and as [`epsilon_lower_bound`].
pub fn from_thresholds(
    member_scores: &[f64],
    non_member_scores: &[f64],
    strategy: &ThresholdStrategy,
    significance: f64,
    delta: f64,
) -> Result<OneRunBound, InputError> {
    check_delta(delta)?;
    check_significance(significance)?;
    strategy.check()?;
    let scores = canary_scores(member_scores, non_member_scores)?;
    let bound = match strategy {
        ThresholdStrategy::Explicit(threshold) => {
            best_of(&scores, &[*threshold], significance, delta)
        }
        ThresholdStrategy::Bonferroni(thresholds) => best_of(
            &scores,
            thresholds,
            significance / thresholds.len() as f64,
            delta,
        ),
        ThresholdStrategy::BonferroniFrontier => {
            let vertices = scores.frontier();
            best_of(
                &scores,
                &vertices,
                significance / vertices.len() as f64,
                delta,
            )
        }
        ThresholdStrategy::Split { seed, share } => {
            let (choosing, testing) = scores.split(*seed, *share);
            for part in [&choosing, &testing] {
                if part.members.is_empty() && part.non_members.is_empty() {
                    return Err(NO_CANARIES);
                }
            }
            // a choice and not a bound, so nothing is corrected
            let choice = best_of(&choosing, &choosing.frontier(), significance, delta);
            best_of(&testing, &[choice.member_from], significance, delta)
        }
    };
    Ok(bound)
}

const NO_CANARIES: InputError = InputError::TooFew {
    argument: "canaries (or one part of their split)",
    found: 0,
    needed: 1,
};

/// One group may be empty: coins can fall like that.
fn canary_scores(
    member_scores: &[f64],
    non_member_scores: &[f64],
) -> Result<SortedScores, InputError> {
    if member_scores.is_empty() && non_member_scores.is_empty() {
        return Err(NO_CANARIES);
    }
    SortedScores::new(member_scores, non_member_scores)
}

/// The best bound of any threshold, each at this significance.
///
/// Thresholds with the best lower bound on their share of right guesses go first, and a
/// threshold is searched only if it rejects the best ε so far.
fn best_of(
    scores: &SortedScores,
    thresholds: &[f64],
    significance: f64,
    delta: f64,
) -> OneRunBound {
    let canaries = (scores.members.len() + scores.non_members.len()) as u64;
    let mut candidates: Vec<(f64, f64, Guessed)> = thresholds
        .iter()
        .map(|&threshold| {
            let (hits, false_alarms) = scores.at_least(threshold);
            let guessed = Guessed {
                canaries,
                guesses: hits + false_alarms,
                correct: hits,
            };
            let share = if guessed.guesses == 0 {
                0.0
            } else {
                lower_bound(guessed.correct, guessed.guesses, significance)
            };
            (share, threshold, guessed)
        })
        .collect();
    candidates.sort_by(|a, b| b.0.total_cmp(&a.0));
    let bound = |epsilon: f64, threshold: f64, guessed: Guessed| OneRunBound {
        epsilon,
        canaries,
        guesses: guessed.guesses,
        made: guessed.guesses,
        correct: guessed.correct,
        member_from: threshold,
        non_member_up_to: f64::NAN,
        thresholds: thresholds.len(),
    };
    let (_, threshold, guessed) = candidates[0];
    let mut best = bound(0.0, threshold, guessed);
    for (_, threshold, guessed) in candidates {
        if let Some(epsilon) = guessed.epsilon_above(best.epsilon, significance, delta) {
            best = bound(epsilon, threshold, guessed);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binomial::binomial_pmf;
    use crate::distribution::normal_isf;
    use crate::random::Stream;
    use proptest::prelude::*;

    /// The scores of `jax_privacy`'s `auditing_test.py`: evenly spaced normal quantiles,
    /// those of members shifted.
    fn quantiles(n: usize, shift: f64) -> Vec<f64> {
        (0..n)
            .map(|i| shift - normal_isf((i as f64 + 0.5) / n as f64))
            .collect()
    }

    /// `test_epsilon_one_run_close` there: significance .05, δ 1e-6.
    #[test]
    fn known_values_of_jax_privacy() {
        let non_members = quantiles(10_000, 0.0);
        for (shift, expected) in [(1.0, 1.13346), (2.0, 2.311_945), (4.0, 4.395_568)] {
            let bound = from_thresholds(
                &quantiles(10_000, shift),
                &non_members,
                &ThresholdStrategy::BonferroniFrontier,
                0.05,
                1e-6,
            )
            .unwrap();
            assert!((bound.epsilon / expected - 1.0).abs() < 1e-5, "{bound:?}");
            assert_eq!(bound.canaries, 20_000);
        }
    }

    /// The definition, sum by sum.
    fn naive_p_value(m: u64, r: u64, v: u64, epsilon: f64, delta: f64) -> f64 {
        let q = epsilon.exp() / (1.0 + epsilon.exp());
        let sum = |from: u64, to: u64| (from..to).map(|k| binomial_pmf(k, r, q)).sum::<f64>();
        let alpha = (1..=v)
            .map(|i| sum(v - i, v) / i as f64)
            .fold(0.0, f64::max);
        (sum(v, r + 1) + 2.0 * m as f64 * delta * alpha).min(1.0)
    }

    proptest! {
        #[test]
        fn the_p_value_is_its_definition(
            r in 0u64..80, share in 0.0..=1.0, abstained in 0u64..100, epsilon in 0.0..6.0,
            delta in prop_oneof![Just(0.0), 1e-8..1e-2],
        ) {
            let v = (share * r as f64) as u64;
            let ours = p_value(r + abstained, r, v, epsilon, delta).unwrap();
            let naive = naive_p_value(r + abstained, r, v, epsilon, delta);
            prop_assert!((ours - naive).abs() <= 1e-10 * naive.max(1e-300), "{} {}", ours, naive);
        }

        /// Where a claim is rejected, every smaller ε is rejected more clearly: the bound
        /// is the end of one stretch.
        #[test]
        fn the_p_value_rises_with_epsilon_while_it_is_small(
            r in 1u64..500, share in 0.5..=1.0, epsilon in 0.0..6.0, less in 0.0..1.0,
            delta in prop_oneof![Just(0.0), 1e-9..1e-3],
        ) {
            let v = (share * r as f64) as u64;
            let p = p_value(2 * r, r, v, epsilon, delta).unwrap();
            let smaller = p_value(2 * r, r, v, epsilon * less, delta).unwrap();
            prop_assert!(p >= 0.5 || smaller <= p * (1.0 + 1e-9), "{} {}", smaller, p);
        }

        #[test]
        fn the_bound_is_where_the_p_value_reaches_the_significance(
            r in 1u64..3000, share in 0.5..=1.0, significance in 0.001..0.3,
            delta in prop_oneof![Just(0.0), 1e-9..1e-4],
        ) {
            let v = (share * r as f64) as u64;
            let bound = epsilon_lower_bound(r, r, v, significance, delta).unwrap();
            let at = |epsilon| p_value(r, r, v, epsilon, delta).unwrap();
            if bound > 0.0 {
                prop_assert!(at(bound) < significance);
            }
            prop_assert!(at(bound + 1e-9) >= significance);
            // one more right guess, or one canary fewer to doubt, never lowers it
            if v < r {
                let better = epsilon_lower_bound(r, r, v + 1, significance, delta).unwrap();
                prop_assert!(better >= bound);
            }
            let wider = epsilon_lower_bound(2 * r, r, v, significance, delta).unwrap();
            prop_assert!(wider <= bound);
        }

        /// Blocks of ties are guessed on as a whole or not at all, whatever the order.
        #[test]
        fn guesses_by_number_are_the_best_whole_blocks(
            members in prop::collection::vec(-4i32..4, 1..30),
            others in prop::collection::vec(-4i32..4, 1..30),
            most in 0usize..30, fewest in 0usize..30,
        ) {
            let as_scores = |values: &[i32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
            let (m, n) = (as_scores(&members), as_scores(&others));
            prop_assume!(most + fewest <= m.len() + n.len());
            let numbers = GuessNumbers { members: most, non_members: fewest };
            let bound = from_guess_numbers(&m, &n, numbers, 0.05, 0.0).unwrap();
            let count = |group: &[i32], accept: &dyn Fn(i32) -> bool| group.iter().filter(|&&s| accept(s)).count();
            let from = (-4..5).find(|&t| count(&members, &|s| s >= t) + count(&others, &|s| s >= t) <= most).unwrap();
            let up_to = (-5..4).rev().find(|&t| count(&members, &|s| s <= t) + count(&others, &|s| s <= t) <= fewest).unwrap();
            let right = count(&members, &|s| s >= from) + count(&others, &|s| s <= up_to);
            let wrong = count(&others, &|s| s >= from) + count(&members, &|s| s <= up_to);
            prop_assert_eq!(bound.correct, right as u64);
            prop_assert_eq!(bound.made, (right + wrong) as u64);
            prop_assert_eq!(bound.guesses, (most + fewest) as u64);
            let (reversed_m, reversed_n): (Vec<f64>, Vec<f64>) =
                (m.into_iter().rev().collect(), n.into_iter().rev().collect());
            let again = from_guess_numbers(&reversed_m, &reversed_n, numbers, 0.05, 0.0).unwrap();
            prop_assert_eq!(again.epsilon.to_bits(), bound.epsilon.to_bits());
        }

        /// Pruning drops only thresholds that could not win.
        #[test]
        fn the_best_threshold_is_found(
            members in prop::collection::vec(-3i32..9, 5..60),
            others in prop::collection::vec(-6i32..6, 5..60),
            delta in prop_oneof![Just(0.0), 1e-6..1e-3],
        ) {
            let as_scores = |values: &[i32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
            let (m, n) = (as_scores(&members), as_scores(&others));
            let grid: Vec<f64> = (-6..9).map(f64::from).collect();
            let bound = from_thresholds(&m, &n, &ThresholdStrategy::Bonferroni(grid.clone()), 0.1, delta).unwrap();
            let each = grid.iter().map(|&t| {
                let hits = m.iter().filter(|&&s| s >= t).count() as u64;
                let alarms = n.iter().filter(|&&s| s >= t).count() as u64;
                epsilon_lower_bound((m.len() + n.len()) as u64, hits + alarms, hits, 0.1 / 15.0, delta).unwrap()
            }).fold(0.0, f64::max);
            prop_assert!((bound.epsilon - each).abs() < 1e-11, "{} {}", bound.epsilon, each);
        }
    }

    /// An ε-differentially private mechanism: the coin plus Laplace noise of scale 1/ε.
    /// The bounds exceed ε no more often than the significance allows (four standard
    /// errors of 1500 audits), and are not vacuous either.
    #[test]
    fn bounds_hold_for_the_laplace_mechanism() {
        let (epsilon, audits, significance) = (1.0, 1500, 0.1);
        let strategies = [
            ThresholdStrategy::Explicit(1.0),
            ThresholdStrategy::Bonferroni(vec![0.0, 0.5, 1.0, 2.0]),
            ThresholdStrategy::Split {
                seed: 3,
                share: 0.5,
            },
        ];
        let (mut too_large, mut positive) = ([0u32; 4], [0u32; 4]);
        for audit in 0..audits {
            let mut stream = Stream::new(11, "laplace mechanism", audit);
            let (mut members, mut others) = (Vec::new(), Vec::new());
            for _ in 0..200 {
                let coin = stream.uniform() < 0.5;
                let sign = if stream.uniform() < 0.5 { -1.0 } else { 1.0 };
                let noise = -sign * (1.0 - stream.uniform()).ln() / epsilon;
                if coin {
                    members.push(1.0 + noise);
                } else {
                    others.push(noise);
                }
            }
            let numbers = GuessNumbers {
                members: 50,
                non_members: 50,
            };
            let mut bounds =
                vec![from_guess_numbers(&members, &others, numbers, significance, 0.0).unwrap()];
            for strategy in &strategies {
                bounds
                    .push(from_thresholds(&members, &others, strategy, significance, 0.0).unwrap());
            }
            for (kind, bound) in bounds.iter().enumerate() {
                too_large[kind] += u32::from(bound.epsilon > epsilon);
                positive[kind] += u32::from(bound.epsilon > 0.0);
            }
        }
        let audits = audits as f64;
        let limit =
            audits * significance + 4.0 * (audits * significance * (1.0 - significance)).sqrt();
        for (too_large, positive) in too_large.into_iter().zip(positive) {
            assert!(f64::from(too_large) <= limit, "{too_large} of {audits}");
            assert!(f64::from(positive) > 0.5 * audits, "{positive} of {audits}");
        }
    }

    #[test]
    fn twenty_thousand_tied_and_separated_scores() {
        let bound = |members: &[f64], others: &[f64]| {
            from_thresholds(
                members,
                others,
                &ThresholdStrategy::BonferroniFrontier,
                0.05,
                1e-5,
            )
            .unwrap()
        };
        let tied = bound(&vec![1.0; 10_000], &vec![1.0; 10_000]);
        assert!(tied.epsilon == 0.0);
        let separated = bound(&vec![1.0; 10_000], &vec![0.0; 10_000]);
        assert_eq!((separated.guesses, separated.correct), (10_000, 10_000));
        assert_eq!(separated.thresholds, 3);
        assert!(separated.epsilon > 1.0);
        let numbers = GuessNumbers {
            members: 5,
            non_members: 5,
        };
        let nothing = from_guess_numbers(&[1.0; 50], &[1.0; 50], numbers, 0.05, 0.0).unwrap();
        assert!(nothing.made == 0 && nothing.guesses == 10 && nothing.epsilon == 0.0);
        assert!(nothing.member_from.is_nan() && nothing.non_member_up_to.is_nan());
    }

    /// Ties that are not guessed on cost: the bound is that of the registered number of
    /// guesses, of which those on the ties are wrong.
    #[test]
    fn guesses_lost_to_ties_count_as_wrong() {
        let members: Vec<f64> = (0..60).map(|i| f64::from(i.max(20))).collect();
        let others = vec![0.0; 60];
        let numbers = GuessNumbers {
            members: 50,
            non_members: 0,
        };
        for delta in [0.0, 1e-5, 1e-3] {
            // 39 single scores from 21 on; the 21 that are 20 do not fit
            let bound = from_guess_numbers(&members, &others, numbers, 0.05, delta).unwrap();
            assert_eq!((bound.made, bound.guesses, bound.correct), (39, 50, 39));
            let expected = epsilon_lower_bound(120, 50, 39, 0.05, delta).unwrap();
            assert_eq!(bound.epsilon.to_bits(), expected.to_bits());
            let fewer = epsilon_lower_bound(120, 39, 39, 0.05, delta).unwrap();
            assert!(bound.epsilon > 0.0 && bound.epsilon < fewer);
        }
    }

    /// The canaries of the bound are those that the threshold was not chosen on.
    #[test]
    fn a_split_leaves_the_larger_share_for_the_bound() {
        let (members, others) = (quantiles(500, 2.0), quantiles(500, 0.0));
        let strategy = ThresholdStrategy::Split {
            seed: 8,
            share: 0.2,
        };
        let bound = from_thresholds(&members, &others, &strategy, 0.05, 0.0).unwrap();
        assert!((750..850).contains(&bound.canaries), "{bound:?}");
        assert!(
            bound.guesses < bound.canaries && bound.epsilon > 0.5,
            "{bound:?}"
        );
        assert_eq!(bound.thresholds, 1);
    }

    #[test]
    fn a_certain_auditor_has_a_closed_form() {
        // every guess right, δ = 0: q^r = significance
        let bound = epsilon_lower_bound(1_000_000, 1_000_000, 1_000_000, 0.05, 0.0).unwrap();
        let q = (0.05_f64.ln() / 1e6).exp();
        let closed = (q / -(0.05_f64.ln() / 1e6).exp_m1()).ln();
        assert!((bound / closed - 1.0).abs() < 1e-9, "{bound} {closed}");
    }

    #[test]
    fn bad_input_is_an_error() {
        assert!(p_value(10, 11, 5, 1.0, 0.0).is_err());
        assert!(p_value(10, 5, 6, 1.0, 0.0).is_err());
        assert!(p_value(10, 5, 5, -1.0, 0.0).is_err());
        assert!(p_value(10, 5, 5, f64::NAN, 0.0).is_err());
        assert!(p_value(10, 5, 5, 1.0, 1.5).is_err());
        assert!((p_value(10, 5, 5, f64::INFINITY, 0.1).unwrap() - 1.0).abs() < 1e-15);
        for significance in [0.0, 1.0, f64::NAN] {
            assert!(epsilon_lower_bound(10, 5, 5, significance, 0.0).is_err());
        }
        let numbers = |members, non_members| GuessNumbers {
            members,
            non_members,
        };
        assert!(from_guess_numbers(&[], &[], numbers(0, 0), 0.05, 0.0).is_err());
        assert!(from_guess_numbers(&[1.0], &[0.0], numbers(2, 1), 0.05, 0.0).is_err());
        assert!(from_guess_numbers(&[f64::NAN], &[0.0], numbers(1, 1), 0.05, 0.0).is_err());
        for strategy in [
            ThresholdStrategy::Explicit(f64::NAN),
            ThresholdStrategy::Bonferroni(vec![]),
            ThresholdStrategy::Bonferroni(vec![0.0, f64::NAN]),
            ThresholdStrategy::Split {
                seed: 1,
                share: 1.0,
            },
            // one canary cannot be split
            ThresholdStrategy::Split {
                seed: 1,
                share: 0.5,
            },
        ] {
            assert!(from_thresholds(&[1.0], &[], &strategy, 0.05, 0.0).is_err());
        }
        // by chance all canaries may be members
        assert!(from_guess_numbers(&[1.0], &[], numbers(1, 0), 0.05, 0.0).is_ok());
    }
}
