//! Checks of the set-up that a tool owes its user (methods, section 6.8).
//!
//! An attack that succeeds shows leakage only if nothing but the model tells members from
//! non-members. Each check is passed, failed, or cannot be made, and a failed one is part
//! of the verdict.

use std::collections::BTreeMap;

use giveaway_nn::{Activation, Examples, Network, Optimiser, Schedule, Training};
use giveaway_stats::distribution::normal_sf;
use giveaway_stats::random::{Stream, derive_seed};
use giveaway_stats::roc::Roc;
use ndarray::Array2;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::direct::Null;
use crate::dataset::{Body, Dataset, Table, Values, exact_duplicates};
use crate::error::{Error, Result};
use crate::evaluate::{Decision, Evaluation, misfit};
use crate::signals::Spread;
use crate::units::Units;

/// Chance of failing a sound set-up that the blind baseline allows itself.
const FALSE_ALARM: f64 = 0.001;

/// Parts into which the blind baseline cuts the units.
const FOLDS: usize = 5;

/// Units that the blind baseline looks at, at most.
const BLIND_UNITS: usize = 20_000;

/// Share of records in twin rows above which the check of the split fails.
const TWINS_TOLERATED: f64 = 0.005;

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Nothing was found.
    Passed,
    /// The figures of the audit are not what they seem.
    Failed,
    /// It could not be made; the text says why.
    Unavailable,
}

/// One check and its outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// A short name.
    pub name: String,
    /// The outcome.
    pub status: Status,
    /// What was found and, if it failed, what it means and what to do.
    pub finding: String,
    /// The figure that decided, where there is one.
    pub figure: Option<f64>,
}

impl Check {
    fn new(name: &str, status: Status, finding: String, figure: Option<f64>) -> Self {
        Self {
            name: name.to_owned(),
            status,
            finding,
            figure,
        }
    }
}

/// Name of the check that looks for persons and duplicates on both sides of a split; its finding
/// may quote the data.
pub const ACROSS_THE_SPLIT: &str = "people and duplicates across the split";

/// Name of the check that is made where the reference models have data of their own.
pub const OVERLAP: &str = "overlap of the reference training sets";

/// Blind baseline: can members be told from non-members by their features and labels
/// alone, without any model? A network is trained to tell them apart, on four fifths of
/// the units, and judged on the last fifth, five times.
///
/// # Errors
/// If the network cannot be trained.
pub fn blind_baseline(
    dataset: &Dataset,
    units: &Units,
    is_member: &[Option<bool>],
    seed: u64,
) -> Result<Check> {
    const NAME: &str = "blind baseline";
    let unavailable = |why: &str| Ok(Check::new(NAME, Status::Unavailable, why.to_owned(), None));
    let mut known: Vec<(u32, bool)> = (0..units.len())
        .filter_map(|unit| Some((unit as u32, is_member[unit]?)))
        .collect();
    let members = known.iter().filter(|k| k.1).count();
    if members < 20 || known.len() - members < 20 {
        return unavailable("fewer than 20 members or 20 non-members are known");
    }
    Stream::new(seed, "blind baseline", 0).shuffle(&mut known);
    known.truncate(BLIND_UNITS);
    let fold_of: BTreeMap<u32, usize> = known
        .iter()
        .enumerate()
        .map(|(position, &(unit, _))| (unit, position % FOLDS))
        .collect();

    let fold_scores = scores_out_of_fold(dataset, units, is_member, &fold_of, seed)?;

    // Within each fold, because models of different folds do not share a scale.
    let (mut auc_sum, mut variance_sum, mut folds) = (0.0, 0.0, 0.0);
    for scores in &fold_scores {
        let values: Vec<f64> = scores.iter().map(|s| s.1).collect();
        let membership: Vec<bool> = scores
            .iter()
            .map(|s| is_member[s.0 as usize] == Some(true))
            .collect();
        let m = membership.iter().filter(|&&member| member).count() as f64;
        let n = membership.len() as f64 - m;
        if let Ok(roc) = Roc::new(&values, &membership) {
            auc_sum += roc.auc();
            // variance of the Mann–Whitney statistic when the two groups do not differ
            variance_sum += (m + n + 1.0) / (12.0 * m * n);
            folds += 1.0;
        }
    }
    let auc = auc_sum / folds;
    // The folds are not independent: two units of different folds meet twice, each once as
    // the one that is learnt from. Were the score a sum over pairs, both meetings would say
    // the same, and the variance of the mean is twice that of independent folds.
    let deviation = (2.0 * variance_sum).sqrt() / folds;
    let p = normal_sf((auc - 0.5) / deviation);
    let (status, finding) = if p < FALSE_ALARM {
        (
            Status::Failed,
            format!(
                "members can be told from non-members without the model (AUC {auc:.3}, p {p:.1e}): they differ in their features, so an attack's success is not leakage; audit members and non-members drawn from the same population"
            ),
        )
    } else {
        (
            Status::Passed,
            format!("members cannot be told from non-members without the model (AUC {auc:.3})"),
        )
    };
    Ok(Check::new(NAME, status, finding, Some(auc)))
}

/// Scores each unit by a network that was trained to tell members from non-members on the
/// other folds; returned fold by fold.
fn scores_out_of_fold(
    dataset: &Dataset,
    units: &Units,
    is_member: &[Option<bool>],
    fold_of: &BTreeMap<u32, usize>,
    seed: u64,
) -> Result<Vec<Vec<(u32, f64)>>> {
    // Features and the class, one row per record of the units looked at.
    let rows: Vec<(u32, u32)> = fold_of
        .keys()
        .flat_map(|&unit| units.records(unit as usize).iter().map(move |&r| (unit, r)))
        .collect();
    let width = dataset.features.ncols();
    let classes = dataset.schema.classes.len();
    let mut features = Array2::zeros((rows.len(), width + classes));
    let mut labels = Vec::with_capacity(rows.len());
    for (mut row, &(unit, record)) in features.rows_mut().into_iter().zip(&rows) {
        let record = record as usize;
        for (slot, &value) in row.iter_mut().zip(dataset.features.row(record)) {
            *slot = value;
        }
        row[width + dataset.labels[record] as usize] = 1.0;
        labels.push(u32::from(is_member[unit as usize] == Some(true)));
    }
    let failed = |e: giveaway_nn::Error| Error::unexpected(format!("blind baseline: {e}"));
    let examples = Examples::new(features.view(), &labels, 2).map_err(failed)?;
    let network = Network {
        inputs: width + classes,
        image: None,
        hidden: vec![32],
        classes: 2,
        activation: Activation::Relu,
        dropout: 0.0,
        skips: Vec::new(),
    };
    let training = Training {
        epochs: 10,
        batch_size: if rows.len() > 2000 { 128 } else { 16 },
        learning_rate: 3e-3,
        optimiser: Optimiser::adam(),
        l2: 1e-3,
        label_smoothing: 0.0,
        schedule: Schedule::Constant,
        early_stopping: None,
        augmentation: None,
    };
    (0..FOLDS)
        .into_par_iter()
        .map(|fold| {
            let training_rows: Vec<u32> = (0..rows.len() as u32)
                .filter(|&row| fold_of[&rows[row as usize].0] != fold)
                .collect();
            let seed = derive_seed(seed, "blind baseline fold", fold as u64);
            let model =
                giveaway_nn::train(&network, &training, &examples, &training_rows, &[], seed)
                    .map_err(failed)?;
            let logits = model.logits(&examples);
            let mut scores: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
            for (row, &(unit, _)) in rows.iter().enumerate() {
                if fold_of[&unit] == fold {
                    let sum = scores.entry(unit).or_default();
                    sum.0 += f64::from(logits[[row, 1]] - logits[[row, 0]]);
                    sum.1 += 1.0;
                }
            }
            Ok(scores
                .into_iter()
                .map(|(unit, (sum, count))| (unit, sum / count))
                .collect())
        })
        .collect()
}

/// Fit of the references to the target: are the p-values of known non-members uniform?
///
/// `misfits` holds the same [distance](misfit) for every reference model in the target's
/// place. The p-values of one model depend on each other, so the target's distance is
/// judged against those, and not against the distribution of Kolmogorov's statistic.
#[must_use]
pub fn reference_fit(
    non_member_p_values: &[f64],
    misfits: &[f64],
    accuracy: Option<f64>,
    usual_accuracy: Spread,
) -> Check {
    const NAME: &str = "fit of the references to the target";
    // With fewer, the distance is mostly noise.
    const NEEDED: usize = 20;
    // Columns exchanged, another task, another encoding: seen in the accuracy at once, also
    // where there are too few records for the p-values to show it.
    let margin = usual_accuracy.largest - usual_accuracy.smallest + 0.05;
    if let Some(accuracy) = accuracy
        && (accuracy < usual_accuracy.smallest - margin
            || accuracy > usual_accuracy.largest + margin)
    {
        return Check::new(
            NAME,
            Status::Failed,
            format!(
                "the reference models do not resemble the target: its accuracy on non-members is {accuracy:.3}, theirs {:.3} to {:.3}; see that the columns of its outputs are the classes in their order, and train reference models of its kind",
                usual_accuracy.smallest, usual_accuracy.largest
            ),
            Some(accuracy),
        );
    }
    let tested = non_member_p_values.iter().filter(|p| !p.is_nan()).count();
    let mut usual: Vec<f64> = misfits.iter().copied().filter(|d| !d.is_nan()).collect();
    usual.sort_by(f64::total_cmp);
    let (Some(&largest), Some(distance)) = (usual.last(), misfit(non_member_p_values)) else {
        return Check::new(
            NAME,
            Status::Unavailable,
            if tested == 0 {
                "no non-member is known, so it cannot be seen whether the reference models resemble the target"
            } else {
                "no reference record is OUT of enough reference models, so there is nothing to compare the target's p-values with"
            }
            .to_owned(),
            None,
        );
    };
    if tested < NEEDED {
        return Check::new(
            NAME,
            Status::Unavailable,
            format!(
                "only {tested} non-members are known; {NEEDED} are needed to see whether the reference models resemble the target"
            ),
            Some(distance),
        );
    }
    // A target that is one more model of the recipe exceeds the largest of K distances with
    // probability 1/(K+1); the margin guards small K.
    if distance > 1.25 * largest && distance > 0.05 {
        Check::new(
            NAME,
            Status::Failed,
            format!(
                "the reference models do not resemble the target: its non-members' p-values are {distance:.2} away from uniform (Kolmogorov–Smirnov, both tails together), those of reference models at most {largest:.2}; the p-values are not valid; train reference models of the target's kind"
            ),
            Some(distance),
        )
    } else {
        Check::new(
            NAME,
            Status::Passed,
            format!(
                "the target's non-members have p-values as uniform as those of the reference models (distance {distance:.2}, reference models up to {largest:.2})"
            ),
            Some(distance),
        )
    }
}

/// Calibration of the null: are tested non-members accused no more often than the test
/// promises, when the reference models play the target?
///
/// Fails where the 95 % interval of a false-positive rate lies above its level, or that of
/// the false discovery rate above the one asked for.
#[must_use]
pub fn calibration(pooled: &Evaluation) -> Check {
    const NAME: &str = "calibration of the null";
    // With fewer, an interval that does not exclude the level says nothing.
    const NEEDED: u64 = 100;
    if pooled.non_members < NEEDED {
        return Check::new(
            NAME,
            Status::Unavailable,
            format!(
                "only {} tests of non-members on the reference models; {NEEDED} are needed to see whether the null holds",
                pooled.non_members
            ),
            None,
        );
    }
    let mut above = Vec::new();
    let mut seen = Vec::new();
    for rates in &pooled.decisions {
        let (what, limit, value, lower) = match rates.decision {
            Decision::Level(level) => (
                "of non-members are accused",
                level,
                rates.false_positive_rate.value,
                rates.false_positive_rate.lower,
            ),
            Decision::DiscoveryRate(rate) => (
                "of the discoveries in a model are wrong on average",
                rate,
                rates.false_discovery_rate.value,
                rates.false_discovery_rate.lower,
            ),
        };
        let Some(value) = value else { continue };
        let text = format!("at {}, {:.2} % {what}", rates.decision, 100.0 * value);
        if lower.is_some_and(|lower| lower > limit) {
            above.push(text);
        } else {
            seen.push(text);
        }
    }
    if above.is_empty() {
        Check::new(
            NAME,
            Status::Passed,
            format!("on the reference models, {}", seen.join("; ")),
            None,
        )
    } else {
        Check::new(
            NAME,
            Status::Failed,
            format!(
                "on the reference models, {}: the null {} does not hold for this selection; {}select fewer records",
                above.join("; "),
                pooled.null.name(),
                if pooled.null == Null::Ecdf {
                    ""
                } else {
                    "use --null ecdf, or "
                }
            ),
            None,
        )
    }
}

/// Two reference training sets may have at most this share in common.
const LARGEST_OVERLAP: f64 = 0.5;

/// Whether reference models, trained on other records than the target, differ from each other
/// as the target differs from them (methods, section 1.1): `share` is the part of a training
/// set that another one has too. The target has none of it. What models learn from common
/// records does not vary among them, so the null is too narrow.
#[must_use]
pub fn reference_overlap(share: f64) -> Check {
    const NAME: &str = OVERLAP;
    let percent = 100.0 * share;
    if share > LARGEST_OVERLAP {
        Check::new(
            NAME,
            Status::Failed,
            format!(
                "two of them have {percent:.0} % in common and the target none with them, so the null is too narrow and too many records are accused; give more reference records, or trust the accusations less"
            ),
            Some(share),
        )
    } else {
        Check::new(
            NAME,
            Status::Passed,
            format!("two of them have {percent:.0} % in common"),
            Some(share),
        )
    }
}

/// People and duplicates across the split: rows that belong together on both sides of a
/// training set make members of non-members.
///
/// `split_units` are units of which some records are members and others not.
#[must_use]
pub fn across_the_split(
    table: &Table,
    dataset: &Dataset,
    units: &Units,
    is_member: &[Option<bool>],
    split_units: usize,
    grouped: bool,
    seed: u64,
) -> Check {
    const NAME: &str = ACROSS_THE_SPLIT;
    let mut findings = Vec::new();
    let mut failed = false;
    if split_units > 0 {
        failed = true;
        findings.push(format!(
            "{split_units} of {} groups have records among the members and among the non-members; the target cannot be audited by group: leave such groups out",
            units.len()
        ));
    }
    let twins = twins_across(dataset, units, is_member);
    if twins > 0 {
        let share = twins as f64 / dataset.len() as f64;
        // Where groups say who is who, equal rows of two persons are two persons.
        failed |= share > TWINS_TOLERATED && !grouped;
        findings.push(format!(
            "{twins} records ({:.2} %) have an exact duplicate on the other side of a split",
            100.0 * share
        ));
    }
    if !grouped {
        for column in person_columns(table) {
            failed = true;
            findings.push(format!(
                "the values of column {column} look like persons with several records each, which stand on both sides of every split; use --group {column}"
            ));
        }
        if let Some(share) = near_copies(dataset, units, seed)
            && share >= 0.5
        {
            failed = true;
            findings.push(format!(
                "{:.0} % of the records have near copies, much closer to them than all others, as several records of one person have; if there is a column that names persons, use it with --group",
                100.0 * share
            ));
        }
    }
    if findings.is_empty() {
        findings.push("no person and no duplicate was found on both sides of a split".to_owned());
    }
    let status = if failed {
        Status::Failed
    } else {
        Status::Passed
    };
    Check::new(NAME, status, findings.join("; "), None)
}

/// Records with an exact duplicate in another unit that can be on the other side: one that
/// is, where the target's membership is known, else any.
fn twins_across(dataset: &Dataset, units: &Units, is_member: &[Option<bool>]) -> usize {
    exact_duplicates(dataset)
        .iter()
        .filter(|set| {
            let unit = |record: u32| units.of_record(record as usize);
            let first = unit(set[0]);
            set.iter().any(|&record| {
                let other = unit(record);
                other != first
                    && match (is_member[first], is_member[other]) {
                        (Some(a), Some(b)) => a != b,
                        _ => true,
                    }
            })
        })
        .map(Vec::len)
        .sum()
}

/// Columns that seem to name persons: by their name, and by values that come back, a few
/// times each.
fn person_columns(table: &Table) -> Vec<&str> {
    const WORDS: [&str; 15] = [
        "id",
        "pid",
        "ssn",
        "patient",
        "person",
        "user",
        "customer",
        "subject",
        "client",
        "member",
        "nbr",
        "household",
        "participant",
        "respondent",
        "individual",
    ];
    let Body::Columns(columns) = &table.body else {
        return Vec::new();
    };
    columns
        .iter()
        .filter(|column| {
            let named = words_of(&column.name)
                .iter()
                .any(|word| WORDS.contains(&word.as_str()));
            if !named {
                return false;
            }
            let mut keys: Vec<u64> = match &column.values {
                Values::Numeric(values) => values
                    .iter()
                    .filter(|v| !v.is_nan())
                    .map(|v| v.to_bits())
                    .collect(),
                Values::Categorical { codes, .. } => codes
                    .iter()
                    .filter(|&&c| c != u32::MAX)
                    .map(|&c| u64::from(c))
                    .collect(),
            };
            let records = keys.len();
            keys.sort_unstable();
            keys.dedup();
            let distinct = keys.len();
            // At least two rows a person on average, and more persons than categories have levels.
            distinct >= 20 && records >= 2 * distinct && records <= 100 * distinct
        })
        .map(|column| column.name.as_str())
        .collect()
}

/// The words of a column's name in lower case: `patient_id`, `PatientID` and `patientId` alike.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && after_lower) {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        after_lower = c.is_lowercase();
    }
    words
}

/// The share of (a sample of) records that sit in a small tight cluster: within the 20
/// nearest there is a jump, from one to the next, by a factor of four or more in distance.
/// `None` where there are too few records to tell.
fn near_copies(dataset: &Dataset, units: &Units, seed: u64) -> Option<f64> {
    const NEAREST: usize = 21;
    const JUMP: f32 = 4.0;
    /// Multiplications that the check may cost.
    const BUDGET: usize = 4_000_000_000;
    let (records, width) = dataset.features.dim();
    if records < 4 * NEAREST {
        return None;
    }
    let mut sample: Vec<u32> = (0..records as u32).collect();
    Stream::new(seed, "near copies", 0).shuffle(&mut sample);
    sample.truncate((BUDGET / (records * width).max(1)).clamp(50, 1000));
    let features = dataset.features.as_slice()?;
    let row = |record: usize| &features[record * width..(record + 1) * width];
    let clustered = sample
        .par_iter()
        .filter(|&&record| {
            let own = row(record as usize);
            let unit = units.of_record(record as usize);
            let mut nearest = [f32::INFINITY; NEAREST];
            for other in 0..records {
                if units.of_record(other) == unit {
                    continue;
                }
                let distance: f32 = own
                    .iter()
                    .zip(row(other))
                    .map(|(a, b)| (a - b) * (a - b))
                    .sum();
                if distance > 0.0 && distance < nearest[NEAREST - 1] {
                    let position = nearest.partition_point(|&d| d <= distance);
                    nearest.copy_within(position..NEAREST - 1, position + 1);
                    nearest[position] = distance;
                }
            }
            nearest
                .windows(2)
                .any(|pair| pair[1].is_finite() && pair[1] >= JUMP * JUMP * pair[0])
        })
        .count();
    Some(clustered as f64 / sample.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fall_into_words() {
        assert_eq!(words_of("patient_id"), ["patient", "id"]);
        assert_eq!(words_of("PatientID"), ["patient", "id"]);
        assert_eq!(words_of("customer nbr"), ["customer", "nbr"]);
        assert_eq!(words_of("humidity"), ["humidity"]);
    }
}
