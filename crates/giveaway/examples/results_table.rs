//! Prints the table of docs/results.md from the `report.json` of several runs.
//!
//! ```text
//! cargo run --release --example results_table -- runs/adult-*/report.json
//! ```
//!
//! Runs of the same data set are averaged; the interval is Student's over runs (95 %),
//! since runs with different seeds draw their pool, target and reference models anew.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::collections::BTreeMap;

use giveaway::evaluate::{Decision, Evaluation, LEVELS};
use giveaway::report::Audit;
use giveaway_stats::distribution::student_t_sf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut by_data: BTreeMap<String, Vec<Audit>> = BTreeMap::new();
    for path in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
        let audit: Audit = serde_json::from_str(&text).map_err(|e| format!("{path}: {e}"))?;
        by_data
            .entry(audit.data.name.clone())
            .or_default()
            .push(audit);
    }
    for (name, audits) in &by_data {
        print_data_set(name, audits);
    }
    Ok(())
}

fn print_data_set(name: &str, audits: &[Audit]) {
    let of = |value: &dyn Fn(&Audit) -> Option<f64>| -> String {
        interval(&audits.iter().filter_map(value).collect::<Vec<_>>())
    };
    let Some(first) = audits.first() else { return };
    println!("\n### {name}\n");
    println!(
        "{} runs, {} records, {} reference models ({} select, {} test, k_out {}–{}), {}.\n",
        audits.len(),
        first.data.records,
        first.reference.models,
        first.test.selecting_models,
        first.test.testing_models,
        audits
            .iter()
            .map(|a| a.test.models_out[0])
            .min()
            .unwrap_or(0),
        audits
            .iter()
            .map(|a| a.test.models_out[1])
            .max()
            .unwrap_or(0),
        first.reference.network,
    );
    println!("| accuracy | train | test |\n|---|---|---|");
    println!(
        "| target | {} | {} |",
        of(&|a| a.target.accuracy.train),
        of(&|a| a.target.accuracy.test)
    );
    println!(
        "| reference models | {} | {} |\n",
        of(&|a| Some(a.reference.train_accuracy.mean)),
        of(&|a| Some(a.reference.test_accuracy.mean))
    );
    println!(
        "| selection | null | selected | precision, p < .01 | recall | FPR | precision, p < .05 | recall | FPR | AUC |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for evaluation in &first.leave_one_out {
        let find = |audit: &Audit| -> Option<Evaluation> {
            audit
                .leave_one_out
                .iter()
                .find(|e| e.selection == evaluation.selection && e.null == evaluation.null)
                .cloned()
        };
        let mut cells = vec![
            evaluation.selection.name().to_owned(),
            evaluation.null.name().to_owned(),
            format!("{:.0}", evaluation.tested),
        ];
        for level in LEVELS {
            let rates = |a: &Audit| find(a)?.rates(Decision::Level(level)).cloned();
            cells.push(of(&|a| rates(a)?.precision.value));
            cells.push(of(&|a| rates(a)?.true_positive_rate.value));
            cells.push(of(&|a| rates(a)?.false_positive_rate.value));
        }
        cells.push(of(&|a| find(a)?.ranking.auc.value));
        println!("| {} |", cells.join(" | "));
    }
}

/// Mean and 95 % interval over runs.
fn interval(values: &[f64]) -> String {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    if values.is_empty() {
        return "n/a".to_owned();
    }
    if values.len() == 1 {
        return format!("{mean:.3}");
    }
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let half = quantile(count - 1.0) * (variance / count).sqrt();
    if mean < 0.1 {
        format!("{mean:.4} ± {half:.4}")
    } else {
        format!("{mean:.3} ± {half:.3}")
    }
}

/// The .975 quantile of Student's t, by bisection.
fn quantile(freedom: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1000.0);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if student_t_sf(middle, freedom) > 0.025 {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}
