//! The result for the terminal.

use std::fmt::Write;

use super::{CanarySummary, Metrics, Outcome};
use crate::attack::Scores;
use crate::attack::method::Method;
use crate::evaluate::Estimate;

/// Records that are shown for each method where nothing else is known.
const TOP: usize = 10;

impl Outcome {
    /// The result for the terminal.
    #[must_use]
    pub fn summary(&self) -> String {
        let described = &self.described;
        let mut text = format!(
            "ATTACKS  {} records, {} reference models, signal {}",
            described.records, described.models, described.signal
        );
        if described.queries > 1 {
            let _ = write!(text, ", {} queries", described.queries);
        }
        text.push('\n');
        match &self.metrics {
            Some(metrics) => with_metrics(&mut text, metrics),
            None => with_top(&mut text, &self.scores),
        }
        let parameters = &described.parameters;
        if let Some(a) = &parameters.offline_a {
            let _ = writeln!(text, "  rmia-offline: a = {} ({})", a.value, a.source);
        }
        if self.uses_population() && parameters.population.starts_with("the audited") {
            text += "  population: the audited records themselves; members are among them, which weakens RMIA and population\n";
        }
        text
    }

    fn uses_population(&self) -> bool {
        self.scores.iter().any(|(method, _)| {
            matches!(
                method,
                Method::RmiaOnline | Method::RmiaOffline | Method::Population
            )
        })
    }
}

fn with_metrics(text: &mut String, metrics: &Metrics) {
    let _ = writeln!(
        text,
        "  {} members of the target, {} non-members; with 95 % intervals\n",
        metrics.members, metrics.non_members
    );
    let _ = writeln!(
        text,
        "  {:<28}{:<22}{:<22}TPR at FPR 0.1 %",
        "method", "AUC", "TPR at FPR 1 %"
    );
    for (name, method) in &metrics.methods.0 {
        let at = |rate: &str| method.tpr_at_fpr.get(rate).copied().unwrap_or_default();
        let line = format!(
            "  {name:<28}{:<22}{:<22}{:<22}",
            shown(method.auc),
            shown(at("0.01")),
            shown(at("0.001"))
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    if let Some(canaries) = &metrics.canaries {
        with_canaries(text, metrics, canaries);
    }
    text.push_str(
        "\n  Thresholds are the best on the target itself; records of one model are not\n  independent trials, so the intervals describe this model and bound nothing.\n",
    );
}

/// Lower bounds on ε.
fn with_canaries(text: &mut String, metrics: &Metrics, canaries: &CanarySummary) {
    let _ = writeln!(
        text,
        "\n  {} canaries, {} of them included, {} guesses registered, δ = {}; lower bound on ε at 95 %\n",
        canaries.canaries, canaries.included, canaries.guesses, canaries.delta
    );
    for (name, method) in &metrics.methods.0 {
        let found = match &method.canaries {
            None => "n/a: fewer canaries have a score than there are guesses".to_owned(),
            Some(bound) => {
                let claim = match (&bound.claim, canaries.claimed_epsilon) {
                    (Some(claim), Some(epsilon)) => format!("; the claim ε = {epsilon} is {claim}"),
                    _ => String::new(),
                };
                let tied = match bound.guesses - bound.made {
                    0 => String::new(),
                    lost => format!(" ({lost} not made because of ties)"),
                };
                format!(
                    "ε ≥ {:.3}, {} of {} guesses right{tied}{claim}",
                    // never more than was found
                    (bound.epsilon_lower_bound * 1000.0).floor() / 1000.0,
                    bound.correct,
                    bound.guesses
                )
            }
        };
        let _ = writeln!(text, "  {name:<28}{found}");
    }
    text.push_str(
        "\n  The bound holds if the coins were fair and independent, if the reference models and\n  their training sets do not depend on them, and if method and guesses were fixed before\n  the scores were seen; the largest of several is none.\n",
    );
}

pub(super) fn shown(estimate: Estimate) -> String {
    match estimate {
        Estimate { value: None, .. } => "n/a".to_owned(),
        Estimate {
            value: Some(value),
            lower: Some(lower),
            upper: Some(upper),
        } => format!("{value:.3} [{lower:.3}, {upper:.3}]"),
        Estimate {
            value: Some(value), ..
        } => format!("{value:.3}"),
    }
}

/// Four decimals, or four digits where those would be none.
fn digits(score: f64) -> String {
    if score == 0.0 {
        "0".to_owned()
    } else if score.abs() < 0.1 || score.abs() >= 1e6 {
        format!("{score:.3e}")
    } else {
        format!("{score:.4}")
    }
}

/// The records that look most like members.
fn with_top(text: &mut String, scores: &[(Method, Scores)]) {
    text.push_str(
        "  the most member-like records of each method, numbered from 0, with their scores\n\n",
    );
    for (method, found) in scores {
        let scores = &found.scores;
        let mut order: Vec<usize> = (0..scores.len()).filter(|&r| !scores[r].is_nan()).collect();
        let falling = |a: &usize, b: &usize| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b));
        if order.len() > TOP {
            order.select_nth_unstable_by(TOP, falling);
            order.truncate(TOP);
        }
        order.sort_by(falling);
        let shown: Vec<String> = order
            .iter()
            .map(|&record| format!("{record} ({})", digits(scores[record])))
            .collect();
        let _ = writeln!(text, "  {:<28}{}", method.name(), shown.join("  "));
    }
    text.push_str("\n  With --target-membership the attacks are judged as well.\n");
}
