//! Figures: rates, calibration, and where they are written.

use std::error::Error;
use std::path::Path;

use giveaway::attack::indirect::Combination;
use giveaway::evaluate::indirect::Played;
use giveaway_stats::interval::percentile_interval;
use giveaway_stats::random::Stream;
use giveaway_stats::uniformity::ks_super_uniform;
use serde_json::{Value, json};

use crate::independent::{self, Building};
use crate::options::Options;
use crate::planted::{self, ISOLATED, Size};
use crate::subjects::Grid;

/// Points of a quantile plot.
const QUANTILES: usize = 80;

#[expect(clippy::print_stderr, reason = "it tells how far it has come")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

#[expect(clippy::print_stdout, reason = "printing is what it is for")]
pub(crate) fn write(found: &Value, out: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let text = serde_json::to_string_pretty(found)?;
    match out {
        Some(path) => std::fs::write(path, text + "\n")?,
        None => println!("{text}"),
    }
    Ok(())
}

/// Uniform quantiles against those of the p-values, at ranks that are even in their logarithm.
pub(crate) fn quantiles(p: &[f64]) -> Vec<[f64; 2]> {
    let mut sorted: Vec<f64> = p.iter().copied().filter(|p| !p.is_nan()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let count = sorted.len() as f64;
    let mut ranks: Vec<usize> = (0..QUANTILES)
        .map(|i| (count.powf(i as f64 / (QUANTILES - 1) as f64) - 0.5) as usize)
        .collect();
    ranks.dedup();
    ranks
        .into_iter()
        .filter(|&rank| rank < sorted.len())
        .map(|rank| [(rank as f64 + 0.5) / count, sorted[rank]])
        .collect()
}

/// Some of the subjects' columns of p-values targets × subjects.
pub(crate) fn columns<T: Copy>(values: &[T], subjects: usize, kept: &[usize]) -> Vec<T> {
    values
        .chunks(subjects.max(1))
        .flat_map(|row| kept.iter().map(move |&k| row[k]))
        .collect()
}

/// P-values targets × subjects, with everything by which they are judged.
pub(crate) struct Judged<'a> {
    pub(crate) families: &'a [usize],
    pub(crate) units: &'a [u32],
    pub(crate) is_member: &'a [bool],
    pub(crate) seed: u64,
}

impl Judged<'_> {
    /// Rates and calibration of each test, of these subjects alone.
    pub(crate) fn figures(&self, grid: &Grid, direct: Option<&[f64]>, kept: &[usize]) -> Value {
        let subjects = self.units.len();
        let units: Vec<u32> = kept.iter().map(|&k| self.units[k]).collect();
        let is_member = columns(self.is_member, subjects, kept);
        let played = Played::new(self.families, &units, &is_member, self.seed);
        let mut tests = Vec::new();
        let mut judge = |name: &str, queries: usize, p: &[f64]| {
            let p = columns(p, subjects, kept);
            let outside: Vec<f64> = p
                .iter()
                .zip(&is_member)
                .filter(|(_, member)| !**member)
                .map(|(&p, _)| p)
                .collect();
            let rates = played.rates(name, queries, &p);
            let shown: Vec<String> = rates
                .levels
                .iter()
                .map(|at| {
                    format!(
                        "p < {}: precision {}, recall {}, FPR {}",
                        at.level,
                        shown(at.precision),
                        shown(at.recall),
                        shown(at.false_positive_rate)
                    )
                })
                .collect();
            say(&format!("{name:13} {queries:4} {}", shown.join("; ")));
            tests.push(json!({
                "test": name,
                "queries": queries,
                "rates": rates,
                "calibration": played.calibration(name, queries, &p),
                "quantiles": quantiles(&outside),
            }));
        };
        if let Some(direct) = direct {
            judge("direct", 0, direct);
        }
        for combination in Combination::EVERY {
            for &budget in &grid.budgets {
                judge(combination.name(), budget, grid.of(combination, budget));
            }
        }
        json!({"records": units.len(), "targets": self.families.len(), "tests": tests})
    }
}

fn shown(estimate: giveaway::evaluate::Estimate) -> String {
    let digits = |value: Option<f64>| value.map_or("–".to_owned(), |v| format!("{v:.4}"));
    format!(
        "{} [{}, {}]",
        digits(estimate.value),
        digits(estimate.lower),
        digits(estimate.upper)
    )
}

/// A mean over records, with the percentile interval of a bootstrap over them.
pub(crate) fn mean_with_interval(values: &[f64], seed: u64) -> Value {
    let count = values.len();
    let mean = values.iter().sum::<f64>() / count as f64;
    let mut draws: Vec<f64> = (0..2000)
        .map(|draw| {
            let mut stream = Stream::new(seed, "bootstrap over records", draw);
            (0..count).map(|_| values[stream.below(count)]).sum::<f64>() / count as f64
        })
        .collect();
    let interval = percentile_interval(&mut draws, 0.95);
    json!({
        "value": mean,
        "lower": interval.map(|i| i.lower),
        "upper": interval.map(|i| i.upper),
    })
}

/// Independent draws: is each combination's p-value super-uniform?
pub(crate) fn independent(options: &Options) -> giveaway::Result<Value> {
    let mut found = Vec::new();
    for (building, name) in [(Building::Apart, "apart"), (Building::Testing, "testing")] {
        say(&format!(
            "{} draws, queries built by models {name}",
            options.draws
        ));
        let draws = independent::draws(options.draws, building, options.seed)?;
        let mut tests = Vec::new();
        for (c, combination) in Combination::EVERY.iter().enumerate() {
            for (b, budget) in independent::BUDGETS.iter().enumerate() {
                let place = c * independent::BUDGETS.len() + b;
                let p: Vec<f64> = draws.iter().map(|draw| draw.p_values[place]).collect();
                let share =
                    |level: f64| p.iter().filter(|&&p| p <= level).count() as f64 / p.len() as f64;
                let uniformity =
                    ks_super_uniform(&p).map_err(|e| giveaway::Error::unexpected(e.to_string()))?;
                say(&format!(
                    "{:13} {budget:3} D+ {:.4} p {:.2e}; p <= .01: {:.4}, <= .05: {:.4}, <= .1: {:.4}",
                    combination.name(),
                    uniformity.statistic,
                    uniformity.p_value,
                    share(0.01),
                    share(0.05),
                    share(0.1)
                ));
                tests.push(json!({
                    "test": combination.name(),
                    "queries": budget,
                    "statistic": uniformity.statistic,
                    "p": uniformity.p_value,
                    "at": {"0.01": share(0.01), "0.05": share(0.05), "0.1": share(0.1)},
                    "quantiles": quantiles(&p),
                }));
            }
        }
        found.push(json!({
            "built_by": name,
            "draws": options.draws,
            "with_queries": draws.len(),
            "mean_queries": draws.iter().map(|d| d.queries).sum::<usize>() as f64 / draws.len() as f64,
            "tests": tests,
        }));
    }
    Ok(json!({"seed": options.seed, "independent": found}))
}

/// The planted experiment.
pub(crate) fn planted(options: &Options) -> giveaway::Result<Value> {
    let size = Size {
        targets: options.targets_or(100),
        inliers: options.records.unwrap_or(100),
        candidates: 2000,
        held_out: false,
    };
    let outcome = planted::experiment(size, options.seed)?;
    let judged = Judged {
        families: &outcome.families,
        units: &outcome.units,
        is_member: &outcome.is_member,
        seed: options.seed,
    };
    let of = |isolated: bool| -> Vec<usize> {
        (0..outcome.units.len())
            .filter(|&k| ((outcome.units[k] as usize) < ISOLATED) == isolated)
            .collect()
    };
    let records: Vec<Value> = outcome
        .units
        .iter()
        .zip(&outcome.subjects)
        .map(|(unit, subject)| {
            let nearest = subject.enhanced.queries.iter().map(|kept| kept.distance);
            json!({
                "record": unit,
                "isolated": (*unit as usize) < ISOLATED,
                "queries": subject.queries.len(),
                "floor": subject.enhanced.guard.floor,
                "smallest_distance": nearest.fold(f32::INFINITY, f32::min),
            })
        })
        .collect();
    say("isolated records");
    let isolated = judged.figures(&outcome.grid, Some(&outcome.direct), &of(true));
    say("other records");
    let inliers = judged.figures(&outcome.grid, Some(&outcome.direct), &of(false));
    Ok(json!({
        "seed": options.seed,
        "records_in_all": outcome.dataset.len(),
        "records": records,
        "isolated": isolated,
        "inliers": inliers,
        "inliers_asked": size.inliers,
    }))
}
