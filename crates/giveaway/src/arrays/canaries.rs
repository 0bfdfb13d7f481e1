//! The audit of one training run with canaries (Steinke et al. 2023), on the scores of one
//! method.
//!
//! It bounds ε only if the auditor put each canary into the target's training set or left it
//! out by an independent fair coin of which the reference models know nothing, and fixed the
//! method and the number of guesses beforehand. That cannot be seen in the arrays, so canaries
//! have to be named: ordinary records, or those of a balanced membership matrix, are none.

use std::path::PathBuf;

use giveaway_stats::one_run::{GuessNumbers, from_guess_numbers};
use giveaway_stats::privacy::{Claim, compare};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::evaluate::CONFIDENCE;

/// What the user says of canaries.
#[derive(Clone, Debug)]
pub struct CanaryOptions {
    /// Which records are canaries, `[records]`.
    pub canaries: PathBuf,
    /// How many canaries are guessed on, half from either end; registered beforehand.
    pub guesses: usize,
    /// The δ of the claim.
    pub delta: f64,
    /// The ε that is claimed.
    pub claimed_epsilon: Option<f64>,
}

impl CanaryOptions {
    /// Looks whether the numbers make sense.
    pub(super) fn check(&self) -> Result<()> {
        if self.guesses == 0 {
            return Err(Error::usage("no guess says nothing")
                .at("--guesses")
                .hint("give the number of guesses that was fixed before the scores were seen"));
        }
        if !(0.0..1.0).contains(&self.delta) {
            return Err(Error::usage(format!("δ is {}", self.delta))
                .at("--delta")
                .hint("give the δ of the claim, from 0 to below 1, such as 1e-5"));
        }
        if let Some(epsilon) = self.claimed_epsilon
            && !(epsilon >= 0.0 && epsilon.is_finite())
        {
            return Err(Error::usage(format!("the claimed ε is {epsilon}"))
                .at("--claimed-epsilon")
                .hint("give a number of at least 0, or leave it out"));
        }
        Ok(())
    }
}

/// What is the same for all methods.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CanarySummary {
    /// Records that are canaries.
    pub canaries: usize,
    /// Of those, the ones in the target's training set.
    pub included: usize,
    /// Guesses registered.
    pub guesses: usize,
    /// The δ of the claim.
    pub delta: f64,
    /// Confidence of each bound.
    pub confidence: f64,
    /// The ε that is claimed.
    pub claimed_epsilon: Option<f64>,
    /// What the bounds rest on.
    pub about: &'static str,
}

/// What the bounds rest on.
const ABOUT: &str = "The bound holds at its confidence if every canary was included by an \
independent fair coin, if the reference models and their training sets do not depend on these \
coins, and if the number of guesses and the method were fixed before the scores were seen: the \
largest of several methods' bounds is none.";

/// A lower bound on ε from the scores of one method.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CanaryBound {
    /// The lower bound; 0 if nothing can be said.
    pub epsilon_lower_bound: f64,
    /// Canaries with a score.
    pub canaries: u64,
    /// Guesses registered.
    pub guesses: u64,
    /// Guesses made: fewer than registered where scores are tied. The others count as wrong.
    pub made: u64,
    /// Guesses that were right.
    pub correct: u64,
    /// `contradicted` or `not contradicted`, where an ε is claimed.
    pub claim: Option<String>,
}

/// The canaries of the target.
pub(super) struct Canaries {
    options: CanaryOptions,
    is_canary: Vec<bool>,
}

impl Canaries {
    /// Looks whether there are enough, of records of which the array says so.
    pub(super) fn new(options: &CanaryOptions, is_canary: Vec<bool>) -> Result<Self> {
        let count = is_canary.iter().filter(|&&canary| canary).count();
        if count == 0 {
            return Err(Error::input("no record is a canary")
                .at("--canaries")
                .hint("give an array that is true where a record is a canary"));
        }
        if options.guesses > count {
            return Err(Error::usage(format!(
                "{} guesses about {count} canaries",
                options.guesses
            ))
            .at("--guesses")
            .hint("give at most the number of canaries; on the others the audit abstains"));
        }
        Ok(Self {
            options: options.clone(),
            is_canary,
        })
    }

    /// Which records are canaries.
    pub(super) fn is_canary(&self) -> &[bool] {
        &self.is_canary
    }

    /// How many canaries there are.
    pub(super) fn count(&self) -> usize {
        self.is_canary.iter().filter(|&&canary| canary).count()
    }

    /// What is the same for all methods; adds a note where the coins look odd.
    pub(super) fn summary(&self, is_member: &[bool], notes: &mut Vec<String>) -> CanarySummary {
        let canaries = self.count();
        let included = self
            .is_canary
            .iter()
            .zip(is_member)
            .filter(|(canary, member)| **canary && **member)
            .count();
        let deviations =
            (included as f64 - canaries as f64 / 2.0).abs() / (canaries as f64).sqrt() * 2.0;
        if canaries >= 20 && 2 * included == canaries {
            notes.push(format!(
                "exactly half of the {canaries} canaries were included: if that was arranged, they are no independent coins, and the bounds on epsilon do not hold"
            ));
        } else if deviations > 4.0 {
            notes.push(format!(
                "{included} of {canaries} canaries were included: fair coins hardly fall like that, and without them the bounds on epsilon do not hold"
            ));
        }
        CanarySummary {
            canaries,
            included,
            guesses: self.options.guesses,
            delta: self.options.delta,
            confidence: CONFIDENCE,
            claimed_epsilon: self.options.claimed_epsilon,
            about: ABOUT,
        }
    }

    /// The bound from one method's scores; canaries without a score are left out. `None` if
    /// none has a score, or fewer than there are guesses.
    pub(super) fn bound(&self, scores: &[f64], is_member: &[bool]) -> Result<Option<CanaryBound>> {
        let of = |member: bool| -> Vec<f64> {
            (0..scores.len())
                .filter(|&r| self.is_canary[r] && is_member[r] == member && !scores[r].is_nan())
                .map(|r| scores[r])
                .collect()
        };
        let (members, non_members) = (of(true), of(false));
        let guesses = self.options.guesses;
        if members.len() + non_members.len() < guesses {
            return Ok(None);
        }
        let numbers = GuessNumbers {
            members: guesses.div_ceil(2),
            non_members: guesses / 2,
        };
        let failed = |e: giveaway_stats::InputError| Error::unexpected(format!("canaries: {e}"));
        let found = from_guess_numbers(
            &members,
            &non_members,
            numbers,
            1.0 - CONFIDENCE,
            self.options.delta,
        )
        .map_err(failed)?;
        let claim = self
            .options
            .claimed_epsilon
            .map(|claimed| compare(claimed, found.epsilon))
            .transpose()
            .map_err(failed)?;
        Ok(Some(CanaryBound {
            epsilon_lower_bound: found.epsilon,
            canaries: found.canaries,
            guesses: found.guesses,
            made: found.made,
            correct: found.correct,
            claim: claim.map(|claim: Claim| claim.to_string()),
        }))
    }
}
