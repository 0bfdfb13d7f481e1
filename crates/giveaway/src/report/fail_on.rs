//! Conditions on the result, for use in continuous integration: `--fail-on 'records>0'`.

use std::fmt;

use super::Audit;
use crate::error::{Error, Result};
use crate::evaluate::{Evaluation, LOW_RATES};
use crate::select::Rule;

/// A condition on a figure of the result.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    figure: Figure,
    recipe: bool,
    comparison: Comparison,
    threshold: f64,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Figure {
    Records,
    FailedChecks,
    ExpectedWrong,
    Auc,
    Advantage,
    Precision,
    /// By its place among [`LOW_RATES`].
    TruePositiveRate(usize),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Condition {
    /// Reads a condition: a figure, one of `> >= < <=`, and a number.
    ///
    /// Figures are `records` (given away by this model), `failed-checks`, `expected-wrong`
    /// and, over all audited records, `auc`, `advantage`, `tpr@RATE`; `precision` is that
    /// of the verdicts. They are those of this model where its members are known, else of
    /// the recipe; with `recipe.` before them they are those of the recipe.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |what: String| {
            Error::usage(what).at(format!("--fail-on {text}")).hint(
                "for example records>0, tpr@0.01>0.05, recipe.auc>=0.6, precision>0.9, failed-checks>0",
            )
        };
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let Some(at) = compact.find(['<', '>']) else {
            return Err(wrong("no comparison (> >= < <=) in it".to_owned()));
        };
        let (name, rest) = compact.split_at(at);
        let (comparison, number) = if let Some(number) = rest.strip_prefix(">=") {
            (Comparison::AtLeast, number)
        } else if let Some(number) = rest.strip_prefix("<=") {
            (Comparison::AtMost, number)
        } else if let Some(number) = rest.strip_prefix('>') {
            (Comparison::Above, number)
        } else {
            (Comparison::Below, &rest[1..])
        };
        let threshold = number
            .parse::<f64>()
            .ok()
            .filter(|n| n.is_finite())
            .ok_or_else(|| wrong(format!("{number:?} is not a number")))?;
        let (recipe, name) = match name.strip_prefix("recipe.") {
            Some(name) => (true, name),
            None => (false, name),
        };
        let figure = match name {
            "records" => Figure::Records,
            "failed-checks" => Figure::FailedChecks,
            "expected-wrong" => Figure::ExpectedWrong,
            "auc" => Figure::Auc,
            "advantage" => Figure::Advantage,
            "precision" => Figure::Precision,
            other => match other
                .strip_prefix("tpr@")
                .and_then(|rate| rate.parse::<f64>().ok())
            {
                Some(rate) => {
                    if let Some(index) =
                        LOW_RATES.iter().position(|r| r.to_bits() == rate.to_bits())
                    {
                        Figure::TruePositiveRate(index)
                    } else {
                        return Err(wrong(format!(
                            "a true-positive rate at {rate} is not computed, only at .1, .01, .001 and .0001"
                        )));
                    }
                }
                None => return Err(wrong(format!("there is no figure {other:?}"))),
            },
        };
        Ok(Self {
            figure,
            recipe,
            comparison,
            threshold,
            text: compact,
        })
    }

    /// Judges all conditions, so that one whose figure is not available hides no other: those
    /// that hold, and an error for each that cannot be judged.
    #[must_use]
    pub fn judge<'a>(conditions: &'a [Self], audit: &Audit) -> (Vec<&'a Self>, Vec<Error>) {
        let mut held = Vec::new();
        let mut unavailable = Vec::new();
        for condition in conditions {
            match condition.holds(audit) {
                Ok(true) => held.push(condition),
                Ok(false) => {}
                Err(error) => unavailable.push(error),
            }
        }
        (held, unavailable)
    }

    /// Whether the result meets the condition.
    ///
    /// # Errors
    /// If the figure is not available in this result.
    pub fn holds(&self, audit: &Audit) -> Result<bool> {
        let value = self.value(audit).ok_or_else(|| {
            Error::usage("this figure is not available in this audit")
                .at(format!("--fail-on {self}"))
                .hint("a rate at FPR f needs at least 1/f non-members, precision at least one accusation; choose another figure")
        })?;
        Ok(match self.comparison {
            Comparison::Above => value > self.threshold,
            Comparison::AtLeast => value >= self.threshold,
            Comparison::Below => value < self.threshold,
            Comparison::AtMost => value <= self.threshold,
        })
    }

    fn value(&self, audit: &Audit) -> Option<f64> {
        let evaluations = if self.recipe || audit.on_target.is_empty() {
            &audit.leave_one_out
        } else {
            &audit.on_target
        };
        let find = |rule: Rule| -> Option<&Evaluation> {
            evaluations
                .iter()
                .find(|e| e.selection == rule && e.null == audit.test.null)
        };
        match self.figure {
            Figure::Records if self.recipe => Some(audit.verdict.given_away_by_recipe as f64),
            Figure::Records => Some(audit.verdict.given_away as f64),
            Figure::FailedChecks => Some(audit.failed_checks() as f64),
            Figure::ExpectedWrong => audit.verdict.expected_wrong.value,
            Figure::Auc => find(Rule::All)?.ranking.auc.value,
            Figure::Advantage => find(Rule::All)?.ranking.advantage.value,
            Figure::Precision => {
                find(audit.test.selection)?
                    .rates(audit.verdict.decision)?
                    .precision
                    .value
            }
            Figure::TruePositiveRate(index) => {
                find(Rule::All)?
                    .ranking
                    .at_rates
                    .get(index)?
                    .true_positive_rate
                    .value
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read() {
        let condition = Condition::parse("recipe.tpr@0.01 >= .05").unwrap();
        assert_eq!(condition.figure, Figure::TruePositiveRate(1));
        assert!(condition.recipe);
        assert_eq!(condition.comparison, Comparison::AtLeast);
        assert!((condition.threshold - 0.05).abs() < 1e-15);
        assert_eq!(
            Condition::parse("records<3").unwrap().comparison,
            Comparison::Below
        );
        assert_eq!(
            Condition::parse("records<=3").unwrap().comparison,
            Comparison::AtMost
        );
    }

    #[test]
    fn what_is_no_condition_is_explained() {
        let message = |text| Condition::parse(text).unwrap_err().to_string();
        assert!(message("records").contains("no comparison"));
        assert!(message("recrods>0").contains("\"recrods\""));
        assert!(message("records>many").contains("\"many\""));
        assert!(message("tpr@0.02>0").contains("not computed"));
        assert!(message("records>NaN").contains("not a number"));
    }
}
