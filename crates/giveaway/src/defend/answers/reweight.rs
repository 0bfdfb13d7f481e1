//! Logit reweighting (Khalil et al. 2025), for every input or only for outlying ones.
//!
//! Beforehand, `μ_c` is the mean of the logits of the model's own training records of true label
//! c. An input with logits z and predicted class ŷ = argmax z is answered
//!
//! ```text
//! s = w · max(cos(z, μ_ŷ), 0)        z' = s z + (1 − s) μ_ŷ
//! ```
//!
//! with w = 0.1. What the formula leaves open, or what it would break, is our choice:
//!
//! - With a negative cosine the published `s` is negative, `z'` lies beyond the mean and the label
//!   can change. Here `s` is then 0, and the answer is `μ_ŷ` itself.
//! - A convex combination of z and `μ_ŷ` keeps the label where both have their largest entry at ŷ.
//!   Where the model mistakes a class on average, `μ_ŷ` has not: then the entry of ŷ and the
//!   largest one change places in the answer.
//! - A class without training records has no mean: it gets the mean of all training logits, with
//!   the entry of the class and the largest one exchanged.
//!
//! The limits are known. The label stays, so the label-only attacks stay. And `z' − μ_ŷ` has the
//! direction of `z − μ_ŷ`, so who knows w and guesses the means undoes it. Answers lie around the
//! means, so their own mean by answered class, plus what it falls short of `μ` by in reference
//! models behind the same defence, is a good guess (errors are multiplied by 1/s, and the
//! reference models' own means would be too far off). [`Defence::undo`] then solves `t · w · cos(μ + t v, μ) = 1` with
//! `v = z' − μ` for `t = 1/s`, and `z = μ + t v`. On the ray from μ through z' there can be a
//! second z with the same answer, farther away and at a wider angle to μ: no attacker can tell
//! which it was. The nearer one is taken unless only the other has the answered class. Where s is
//! 0 nothing can be undone.

use std::fmt::Write as _;

use ndarray::{Array2, ArrayView2, Axis, Slice};

use super::guard::{Asked, Guard, Rule, cannot_ask, counts};
use super::outlying::{Outlying, check_share};
use super::row::{answered, answered_of_doubles, keep_label};
use crate::channel::OutputKind;
use crate::dataset::Dataset;
use crate::defend::{About, Bench, Defence, Fitted, Guarded, Stage, Table};
use crate::error::{Error, Result};
use crate::trainer::Model;

/// Answers drawn towards the mean logits of the predicted class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reweight {
    /// The most that the model's own logits count, in `[0, 1]`.
    weight: f64,
    /// The share of training records that are outlying, where only outlying inputs are treated.
    share: Option<f64>,
}

impl Default for Reweight {
    /// For everyone, with the published weight of 0.1.
    fn default() -> Self {
        Self {
            weight: 0.1,
            share: None,
        }
    }
}

impl Reweight {
    /// For every input.
    ///
    /// # Errors
    /// If the weight is not from 0 to 1.
    pub fn everyone(weight: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&weight) {
            return Err(
                Error::usage(format!("the weight of the model's own logits is {weight}"))
                    .hint("give a number from 0 to 1; 0.1 is the published one"),
            );
        }
        Ok(Self {
            weight,
            share: None,
        })
    }

    /// For outlying inputs only: those farther out than all but this share of the model's own
    /// training records; 0.1 is a choice to begin with.
    ///
    /// # Errors
    /// If the weight is not from 0 to 1, or the share not between them.
    pub fn outlying(weight: f64, share: f64) -> Result<Self> {
        check_share(share)?;
        Ok(Self {
            share: Some(share),
            ..Self::everyone(weight)?
        })
    }

    /// The class means as a table for the user, comma-separated: lines of comment with the
    /// formula, then a row for each class with its name and its means.
    ///
    /// # Errors
    /// If `fitted` is not of this defence or of other classes.
    pub fn class_means(self, fitted: &Fitted, classes: &[String]) -> Result<String> {
        let fitted = &fitted.numbers;
        if fitted.dim() != (2 * classes.len(), classes.len()) {
            return Err(Error::unexpected(format!(
                "means of {} × {} for {} classes",
                fitted.nrows(),
                fitted.ncols(),
                classes.len()
            )));
        }
        let means = fitted.slice_axis(Axis(0), Slice::from(..classes.len()));
        let weight = self.weight;
        let mut text = format!(
            "# Logit reweighting (Khalil et al. 2025), w = {weight}\n\
             # z: the model's logits; y: the class of the largest; mu: the row of class y below\n\
             # s = w * max(cos(z, mu), 0), cos(a, b) = a.b / (|a| |b|)\n\
             # answer: s * z + (1 - s) * mu; if its largest entry is not that of y, exchange the two\n"
        );
        if let Some(share) = self.share {
            let percent = 100.0 * share;
            let _ = writeln!(
                text,
                "# only for outlying inputs: distance in the last layer's input to the centroid of \
                 y, minus that to the nearest other centroid, above what {percent} % of the training \
                 records have; all others are answered z"
            );
        }
        let mut table = csv::Writer::from_writer(Vec::new());
        let failed =
            |e: &dyn std::fmt::Display| Error::unexpected(format!("cannot write the means: {e}"));
        let heads = classes.iter().map(|class| format!("logit of {class}"));
        let head: Vec<String> = std::iter::once("class".to_owned()).chain(heads).collect();
        table.write_record(&head).map_err(|e| failed(&e))?;
        for (class, means) in classes.iter().zip(means.outer_iter()) {
            let means = means.iter().map(ToString::to_string);
            let row: Vec<String> = std::iter::once(class.clone()).chain(means).collect();
            table.write_record(&row).map_err(|e| failed(&e))?;
        }
        let bytes = table.into_inner().map_err(|e| failed(&e))?;
        text.push_str(&String::from_utf8(bytes).map_err(|e| failed(&e))?);
        Ok(text)
    }
}

impl Defence for Reweight {
    fn name(&self) -> String {
        match self.share {
            None => format!("reweight:{}", self.weight),
            Some(share) => format!("reweight-outlying:{},{share}", self.weight),
        }
    }

    fn about(&self) -> About {
        let weight = self.weight;
        let (title, whom) = match self.share {
            None => (
                format!("logit reweighting, w = {weight}"),
                "Every answer is".to_owned(),
            ),
            Some(share) => (
                format!(
                    "logit reweighting of the outlying {} %, w = {weight}",
                    100.0 * share
                ),
                format!(
                    "Answers for inputs farther out than all but {} % of the training records are",
                    100.0 * share
                ),
            ),
        };
        let only = if self.share.is_some() {
            " where the input is outlying (its last layer's input is farther from the mean of the predicted class, less the distance to the nearest other mean, than all but that share of the training records)"
        } else {
            ""
        };
        About {
            title,
            source: if self.share.is_none() {
                "Khalil et al. 2025"
            } else {
                "after Khalil et al. 2025"
            },
            what: format!(
                "{whom} drawn towards the mean logits of the predicted class; the model's own count for at most {weight}."
            ),
            promise: Some(
                "The label stays, so attacks on labels lose nothing. Who knows the weight guesses the means from \
                 the answers themselves and undoes it, unless the answers are coarse as well."
                    .to_owned(),
            ),
            stage: Stage::Answers,
            sample_aware: self.share.is_some(),
            keeps_labels: true,
            scikit_learn: format!(
                "z = np.log(np.clip(model.predict_proba(X), 1e-12, None)); y = z.argmax(1); m = mu[y]; \
                 s = {weight} * np.clip((z * m).sum(1) / np.linalg.norm(z, axis=1) / np.linalg.norm(m, axis=1), 0, None)[:, None]; \
                 a = s * z + (1 - s) * m; i = np.arange(len(a)); t = a.argmax(1); \
                 a[i, y], a[i, t] = a[i, t].copy(), a[i, y].copy() (which keeps the label); \
                 answer scipy.special.softmax(a, 1){only}, with mu[c] the mean of such z over the training records \
                 of true class c (not the numbers of class-means.csv, which are of this program's own logits)"
            ),
            pytorch: format!(
                "y = z.argmax(1); m = mu[y]; s = {weight} * F.cosine_similarity(z, m).clamp(min=0)[:, None]; \
                 a = s * z + (1 - s) * m after the forward pass{only}; where a.argmax(1) is not y exchange the two \
                 entries, which keeps the label; mu[c] is the mean of z over the training records of true class c"
            ),
        }
    }

    fn guard<'a>(
        &'a self,
        bench: &'a Bench<'a>,
        rows: &[u32],
        model: Box<dyn Model + 'a>,
        _seed: u64,
    ) -> Result<Box<dyn Guarded + 'a>> {
        let means = class_means(&*model, bench.dataset, rows)?;
        let (outlying, flags) = match self.share {
            None => (None, Vec::new()),
            Some(share) => {
                let (outlying, flags) = Outlying::learn(&*model, bench.dataset, rows, share)?;
                (Some(outlying), flags)
            }
        };
        let mut guard = Guard {
            model,
            dataset: bench.dataset,
            rule: TowardsMeans {
                means: means.clone(),
                weight: self.weight,
                only_outlying: self.share.is_some(),
            },
            outlying,
            // the flags say which records are treated
            fitted: Some(Fitted {
                numbers: means.clone(),
                flags: flags.clone(),
            }),
        };
        let mut by_answer = MeanAnswers::new(means.nrows());
        let mut record = 0;
        guard
            .each_answer(&mut |block| {
                for answer in block.outer_iter() {
                    if flags.get(record).copied().unwrap_or(true) {
                        by_answer.add(&answer.to_vec());
                    }
                    record += 1;
                }
                Ok(())
            })
            .map_err(cannot_ask)?;
        let numbers = ndarray::concatenate(Axis(0), &[means.view(), by_answer.means().view()])
            .map_err(|e| Error::unexpected(format!("cannot join the means: {e}")))?;
        guard.fitted = Some(Fitted { numbers, flags });
        Ok(Box::new(guard))
    }

    fn table(&self, fitted: &Fitted, classes: &[String]) -> Result<Option<Table>> {
        Ok(Some(Table {
            file: "class-means.csv",
            what: "the target's mean training logits by class, with the formula of the answers: recompute them from your own model's logits",
            text: self.class_means(fitted, classes)?,
        }))
    }

    fn undo(&self, answers: ArrayView2<f32>, others: &[&Fitted]) -> Result<Option<Array2<f32>>> {
        let Some(first) = others.first() else {
            return Ok(None);
        };
        let (records, classes) = answers.dim();
        if others
            .iter()
            .any(|other| other.numbers.dim() != (2 * classes, classes))
        {
            return Err(Error::unexpected(format!(
                "means of other models are not 2 · {classes} × {classes}"
            )));
        }
        let flagged = if self.share.is_none() {
            vec![true; records]
        } else {
            if others.iter().any(|other| other.flags.len() != records) {
                return Err(Error::unexpected(format!(
                    "{} flags of another model for {records} answers",
                    first.flags.len()
                )));
            }
            (0..records)
                .map(|record| {
                    let votes = others.iter().filter(|other| other.flags[record]).count();
                    2 * votes > others.len()
                })
                .collect()
        };
        let mut own = MeanAnswers::new(classes);
        for (answer, &flagged) in answers.outer_iter().zip(&flagged) {
            if flagged {
                own.add(&answer.to_vec());
            }
        }
        let means = guessed_means(&own.means(), others);
        let mut logits = answers.to_owned();
        for (mut row, flagged) in logits.axis_iter_mut(Axis(0)).zip(flagged) {
            if flagged {
                let found = undone(&row.to_vec(), &means, self.weight);
                for (to, found) in row.iter_mut().zip(found) {
                    *to = found;
                }
            }
        }
        Ok(Some(logits))
    }
}

/// The means of the target's training logits by class, as they are guessed: its own mean answers
/// by answered class, and what these fall short of the means by in other models, on average. Where
/// a class is never answered, the other models' means.
pub(super) fn guessed_means(own: &Array2<f32>, others: &[&Fitted]) -> Array2<f64> {
    let classes = own.nrows();
    let mut means = Array2::<f64>::zeros((classes, classes));
    for class in 0..classes {
        let known = own.row(class).iter().all(|x| x.is_finite());
        let gaps: Vec<Vec<f64>> = others
            .iter()
            .filter_map(|other| {
                let answers = other.numbers.row(classes + class);
                let usable = known && answers.iter().all(|x| x.is_finite());
                usable.then(|| {
                    let mean = other.numbers.row(class);
                    let pairs = mean.iter().zip(answers);
                    pairs.map(|(&m, &a)| f64::from(m) - f64::from(a)).collect()
                })
            })
            .collect();
        for column in 0..classes {
            means[[class, column]] = if gaps.is_empty() {
                let of = |other: &&Fitted| f64::from(other.numbers[[class, column]]);
                others.iter().map(of).sum::<f64>() / others.len() as f64
            } else {
                let gap = gaps.iter().map(|gap| gap[column]).sum::<f64>() / gaps.len() as f64;
                f64::from(own[[class, column]]) + gap
            };
        }
    }
    means
}

/// Mean answers by answered class.
pub(super) struct MeanAnswers {
    sums: Array2<f64>,
    counts: Vec<f64>,
}

impl MeanAnswers {
    pub(super) fn new(classes: usize) -> Self {
        Self {
            sums: Array2::zeros((classes, classes)),
            counts: vec![0.0; classes],
        }
    }

    pub(super) fn add(&mut self, answer: &[f32]) {
        let class = answered(answer);
        self.counts[class] += 1.0;
        for (sum, &z) in self.sums.row_mut(class).iter_mut().zip(answer) {
            *sum += f64::from(z);
        }
    }

    /// Classes × classes; NaN for a class that is never answered.
    pub(super) fn means(&self) -> Array2<f32> {
        let mut means = self.sums.clone();
        for (mut row, &count) in means.outer_iter_mut().zip(&self.counts) {
            row.mapv_inplace(|sum| if count > 0.0 { sum / count } else { f64::NAN });
        }
        means.mapv(|x| x as f32)
    }
}

/// The means of the training logits of each class, classes × classes.
fn class_means(model: &dyn Model, dataset: &Dataset, rows: &[u32]) -> Result<Array2<f32>> {
    let counts = counts(rows, dataset.len())?;
    let classes = dataset.class_count();
    let mut sums = Array2::<f64>::zeros((classes, classes));
    let mut members = vec![0.0f64; classes];
    let mut record = 0;
    model
        .each_logits(&mut |block| {
            for row in block.outer_iter() {
                let count = f64::from(counts[record]);
                let label = dataset.labels[record] as usize;
                if count > 0.0 {
                    members[label] += count;
                    for (sum, &z) in sums.row_mut(label).iter_mut().zip(row) {
                        *sum += count * f64::from(z);
                    }
                }
                record += 1;
            }
            Ok(())
        })
        .map_err(cannot_ask)?;
    let overall = sums.sum_axis(Axis(0)) / rows.len() as f64;
    let mut means = Array2::<f32>::zeros((classes, classes));
    for (class, mut mean) in means.outer_iter_mut().enumerate() {
        if members[class] > 0.0 {
            for (mean, &sum) in mean.iter_mut().zip(sums.row(class)) {
                *mean = (sum / members[class]) as f32;
            }
        } else {
            let mut stand_in: Vec<f32> = overall.iter().map(|&z| z as f32).collect();
            keep_label(&mut stand_in, class);
            for (mean, z) in mean.iter_mut().zip(stand_in) {
                *mean = z;
            }
        }
    }
    Ok(means)
}

/// The rule, fitted to a model.
struct TowardsMeans {
    means: Array2<f32>,
    weight: f64,
    only_outlying: bool,
}

impl Rule for TowardsMeans {
    fn kind(&self) -> OutputKind {
        OutputKind::Logits
    }

    fn answers(&self, _model: &dyn Model, asked: &Asked<'_>) -> Result<Array2<f32>> {
        Ok(asked.each(|input, logits, answer| {
            if self.only_outlying && !asked.outlying[input] {
                answer.copy_from_slice(logits);
                return;
            }
            let label = answered(logits);
            let z: Vec<f64> = logits.iter().map(|&z| f64::from(z)).collect();
            let mean: Vec<f64> = self
                .means
                .row(label)
                .iter()
                .map(|&m| f64::from(m))
                .collect();
            drawn(&z, &mean, self.weight, answer);
            keep_label(answer, label);
        }))
    }
}

/// `s z + (1 − s) μ`.
fn drawn(z: &[f64], mean: &[f64], weight: f64, answer: &mut [f32]) {
    let s = weight * cosine(z, mean).clamp(0.0, 1.0);
    for ((answer, z), mean) in answer.iter_mut().zip(z).zip(mean) {
        *answer = (s * z + (1.0 - s) * mean) as f32;
    }
}

/// The cosine of the angle between two vectors; 0 where one of them is 0.
fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let norms = dot(a, a).sqrt() * dot(b, b).sqrt();
    if norms > 0.0 { dot(a, b) / norms } else { 0.0 }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The logits whose answer this is, under guessed means.
fn undone(answer: &[f32], means: &Array2<f64>, weight: f64) -> Vec<f32> {
    let label = answered(answer);
    let mean = means.row(label).to_vec();
    let plain: Vec<f64> = answer.iter().map(|&x| f64::from(x)).collect();
    let found = before(&plain, &mean, label, weight);
    let as_logits = |z: &[f64]| z.iter().map(|&z| z as f32).collect();
    // the largest entry of the mean is at the label, and nothing has changed places
    let usual = answered_of_doubles(&mean) == label;
    if usual {
        return as_logits(&found);
    }
    // Two entries may have changed places. Which, shows when the defence is run on the guess; of
    // guesses that all give the answer the nearest to the mean is taken.
    let judged = |z: Vec<f64>| {
        let mut again = vec![0f32; z.len()];
        drawn(&z, &mean, weight, &mut again);
        keep_label(&mut again, label);
        let apart = again.iter().zip(answer);
        let off = apart.fold(0f32, |most, (a, b)| {
            most.max((a - b).abs() / (1.0 + b.abs()))
        });
        let away: f64 = z.iter().zip(&mean).map(|(z, m)| (z - m).powi(2)).sum();
        let wrong = off > 1e-4 || answered_of_doubles(&z) != label;
        (wrong, away, z)
    };
    let mut best = judged(found);
    for class in (0..answer.len()).filter(|&class| class != label) {
        let mut exchanged = plain.clone();
        exchanged.swap(class, label);
        let candidate = judged(before(&exchanged, &mean, label, weight));
        if (candidate.0, candidate.1) < (best.0, best.1) {
            best = candidate;
        }
    }
    as_logits(&best.2)
}

/// `z = μ + t v` with `v = z' − μ` and the t that solves `t · w · cos(μ + t v, μ) = 1`; of two the
/// smaller, unless only the other gives the label. Where nothing solves it (the means are only
/// guessed), the t that comes nearest.
fn before(answer: &[f64], mean: &[f64], label: usize, weight: f64) -> Vec<f64> {
    let v: Vec<f64> = answer.iter().zip(mean).map(|(a, m)| a - m).collect();
    let norm = dot(mean, mean).sqrt();
    let size = dot(&v, &v);
    if size <= 0.0 || norm <= 0.0 || weight <= 0.0 {
        return answer.to_vec();
    }
    let along = dot(&v, mean) / norm;
    let value = |t: f64| {
        let length = (norm * norm + 2.0 * t * along * norm + t * t * size).max(0.0);
        if length > 0.0 {
            weight * t * (norm + t * along) / length.sqrt()
        } else {
            0.0
        }
    };
    let at = |t: f64| -> Vec<f64> { mean.iter().zip(&v).map(|(m, v)| m + t * v).collect() };
    let smallest = 1.0 / weight;
    // beyond this s is so small that the answer no longer tells z from rounding
    let largest = 1e5 * smallest;
    // The value rises to the right up to `top`, and beyond it falls to 0 where z is at a right
    // angle to μ. The top solves ((1 − x)/x)³ = κ − 1 with x = t|a|/‖μ‖ and κ = ‖v‖²/a².
    let (top, end) = if along < 0.0 {
        let right_angle = norm / -along;
        let excess = (size / (along * along) - 1.0).max(0.0);
        let top = right_angle / (1.0 + excess.cbrt());
        (top.clamp(smallest, largest), right_angle.min(largest))
    } else {
        (largest, largest)
    };
    if value(top) < 1.0 {
        return at(if along < 0.0 { top } else { smallest });
    }
    let bisected = |mut below: f64, mut above: f64| {
        for _ in 0..200 {
            let middle = f64::midpoint(below, above);
            if value(middle) < 1.0 {
                below = middle;
            } else {
                above = middle;
            }
        }
        f64::midpoint(below, above)
    };
    let near = at(bisected(smallest, top));
    if end > top && value(end) < 1.0 && answered_of_doubles(&near) != label {
        let far = at(bisected(end, top));
        if answered_of_doubles(&far) == label {
            return far;
        }
    }
    near
}
