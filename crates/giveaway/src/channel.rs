//! What the target's interface does to its outputs, and the signals computed after it.
//!
//! The reference models are ours and give exact logits. The target may give rounded
//! probabilities. A signal of one compared with a signal of the other would be
//! falsified by the difference, so reference outputs go through the same
//! [`Channel`] before any signal is computed (methods, section 0).

use ndarray::{Array2, ArrayView1};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a row of the target's outputs holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OutputKind {
    /// Logits: numbers before the softmax.
    Logits,
    /// Probabilities that sum to one.
    Probabilities,
    /// The answered class alone: 1 for it, 0 for all others.
    Labels,
}

impl OutputKind {
    /// The name used in options and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Logits => "logits",
            Self::Probabilities => "probabilities",
            Self::Labels => "labels",
        }
    }
}

/// The target's interface, as far as it changes numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Channel {
    /// Logits, probabilities in float32, or labels.
    pub kind: OutputKind,
    /// Decimals to which outputs are rounded, if they are.
    pub decimals: Option<u8>,
    /// Whether they are cut after these decimals rather than rounded to the nearest.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// The largest outputs alone, if the others are not shown: they are 0 then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top: Option<Top>,
}

/// The largest of the outputs alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Top {
    /// How many are shown.
    pub outputs: usize,
    /// Whether they were divided by their sum, and so sum to one again.
    pub renormalised: bool,
}

/// Probabilities nearer than this to 0 or 1 count as this far away: some 16 units of
/// float32's last place at 1, where `1 - p` is still right to 6 %.
pub(crate) const PROBABILITY_RESOLUTION: f64 = 1e-6;

impl Default for Channel {
    fn default() -> Self {
        Self {
            kind: OutputKind::Logits,
            decimals: None,
            truncated: false,
            top: None,
        }
    }
}

/// What an attack sees of one record: loss and scaled logit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecordSignal {
    /// Cross-entropy loss, `-ln p_y`.
    pub loss: f64,
    /// Scaled logit `ln p_y - ln(sum of the other probabilities)` (Carlini et al. 2022).
    pub scaled_logit: f64,
    /// Whether the true class has the largest output (the first of equals counts).
    pub correct: bool,
}

impl Channel {
    /// Finds out what a target's outputs went through.
    ///
    /// Rows that are all within [0, 1] and sum to one (to 1e-3, or to what rounding can
    /// do) are probabilities. If every number is a multiple of 10^-d for some d of at
    /// most 6, the outputs are taken as rounded to the smallest such d. Rows of a single 1 are
    /// labels. If no row shows more than k of the classes, and most rows as many,
    /// the others are taken as cut; what is left need not sum to one.
    #[must_use]
    pub fn detect(outputs: &Array2<f32>) -> Self {
        let decimals = (0..=6u8).find(|&decimals| {
            let scale = 10f64.powi(i32::from(decimals));
            outputs.iter().all(|&x| {
                let scaled = f64::from(x) * scale;
                // what a float32 of that size can be off by
                (scaled - scaled.round()).abs() <= scaled.abs() * 1.2e-7 + 1e-9 * scale
            })
        });
        let rows = || outputs.rows().into_iter();
        let sum = |row: &ArrayView1<f32>| row.iter().map(|&p| f64::from(p)).sum::<f64>();
        // By how much the sum of so many numbers may be off: half a unit each where they are
        // rounded, a whole one where they are cut.
        let unit = decimals.map_or(0.0, |decimals| 10f64.powi(-i32::from(decimals)));
        let off_by = |numbers: usize| numbers as f64 * unit + 1e-3;
        let within = outputs.iter().all(|p| (0.0..=1.0).contains(p));
        let classes = outputs.ncols();
        if !within || outputs.is_empty() {
            return Self::of_logits(decimals);
        }
        if decimals == Some(0) {
            let answered: Vec<usize> = rows().map(|row| shown(&row)).collect();
            if answered.iter().all(|&ones| ones == 1) {
                return Self {
                    kind: OutputKind::Labels,
                    ..Self::default()
                };
            }
            // Two of a row are not above one half: these are no rounded probabilities.
            if answered.iter().any(|&ones| ones > 1) {
                return Self::of_logits(decimals);
            }
        }
        // Whether rounding and cutting explain what a row lacks, and whether it lacks nothing.
        let sums_to_one = rows().all(|row| (sum(&row) - 1.0).abs() <= off_by(classes));
        let is_whole = rows().all(|row| (sum(&row) - 1.0).abs() <= off_by(shown(&row)));
        let top = cut_to(outputs, sums_to_one)
            .filter(|_| rows().all(|row| sum(&row) <= 1.0 + off_by(classes)))
            .map(|outputs| Top {
                outputs,
                renormalised: is_whole,
            });
        if sums_to_one || top.is_some() {
            return Self {
                kind: OutputKind::Probabilities,
                decimals,
                truncated: top.is_none()
                    && decimals.is_some_and(|decimals| are_cut(outputs, decimals)),
                top,
            };
        }
        Self::of_logits(decimals)
    }

    fn of_logits(decimals: Option<u8>) -> Self {
        Self {
            kind: OutputKind::Logits,
            decimals,
            ..Self::default()
        }
    }

    /// The limits of the interface in words, each with what it means; none of exact numbers.
    #[must_use]
    pub fn limits(self) -> Vec<String> {
        let mut limits = Vec::new();
        if self.kind == OutputKind::Labels {
            limits.push("it answers with the class alone".to_owned());
        }
        if let Some(top) = self.top {
            limits.push(format!(
                "it shows the {} largest outputs alone{}",
                top.outputs,
                if top.renormalised {
                    ", divided by their sum"
                } else {
                    ""
                }
            ));
        }
        if let Some(decimals) = self.decimals {
            limits.push(format!(
                "its outputs are {} {decimals} decimal{}",
                if self.truncated {
                    "cut after"
                } else {
                    "rounded to"
                },
                if decimals == 1 { "" } else { "s" }
            ));
        }
        limits
    }

    /// Whether so few different answers are possible that losses of different models often
    /// are equal: tests that go by the shape of a smooth distribution do not hold then.
    #[must_use]
    pub fn is_coarse(self) -> bool {
        self.kind == OutputKind::Labels
            || self.top.is_some()
            || self.truncated
            || self.decimals.is_some_and(|decimals| decimals <= COARSE)
    }

    /// The signal of a reference model's logits after the channel.
    #[must_use]
    pub fn signal_of_logits(
        self,
        logits: &[f32],
        label: usize,
        scratch: &mut Vec<f32>,
    ) -> RecordSignal {
        self.pass(logits, scratch);
        self.signal(scratch, label)
    }

    /// What the channel makes of a reference model's logits, into `output`.
    pub fn pass(self, logits: &[f32], output: &mut Vec<f32>) {
        output.clear();
        match self.kind {
            OutputKind::Logits => output.extend(logits.iter().map(|&z| self.round(z))),
            OutputKind::Probabilities => {
                let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                output.extend(logits.iter().map(|&z| (z - largest).exp()));
                let mut sum: f32 = output.iter().sum();
                if let Some(top) = self.top {
                    keep_largest(output, top.outputs);
                    if top.renormalised {
                        sum = output.iter().sum();
                    }
                }
                for p in output.iter_mut() {
                    *p = self.round(*p / sum);
                }
            }
            OutputKind::Labels => {
                let answered = first_of_largest(logits);
                output.extend((0..logits.len()).map(|c| f32::from(u8::from(Some(c) == answered))));
            }
        }
    }

    /// The signal of a row that has passed the channel already: the target's own output.
    #[must_use]
    pub fn signal(self, output: &[f32], label: usize) -> RecordSignal {
        let correct = first_of_largest(output) == Some(label);
        let scaled_logit = match self.kind {
            OutputKind::Logits => {
                let mut largest_other = f64::NEG_INFINITY;
                for (class, &z) in output.iter().enumerate() {
                    if class != label {
                        largest_other = largest_other.max(f64::from(z));
                    }
                }
                let others: f64 = output
                    .iter()
                    .enumerate()
                    .filter(|&(class, _)| class != label)
                    .map(|(_, &z)| (f64::from(z) - largest_other).exp())
                    .sum();
                f64::from(output[label]) - largest_other - others.ln()
            }
            OutputKind::Probabilities | OutputKind::Labels => {
                let others: f64 = output
                    .iter()
                    .enumerate()
                    .filter(|&(class, _)| class != label)
                    .map(|(_, &p)| f64::from(p))
                    .sum();
                let resolution = self.resolution();
                let shown = |p: f64| p.clamp(resolution, 1.0 - resolution).ln();
                shown(f64::from(output[label])) - shown(others)
            }
        };
        RecordSignal {
            // -ln p_y, from the scaled logit: near p_y = 1 nothing cancels
            loss: softplus(-scaled_logit),
            scaled_logit,
            correct,
        }
    }

    /// The scaled logit from which down the interface shows no difference: that of a true class
    /// whose probability is not shown. Where only the largest outputs are shown, the others need
    /// not sum to one, and it is a little higher than its least value.
    #[must_use]
    pub fn cut(self) -> Option<f64> {
        let margin = if self.top.is_some() { 1.5 } else { 1e-3 };
        (self.kind != OutputKind::Logits).then(|| {
            let resolution = self.resolution();
            (resolution / (1.0 - resolution)).ln() + margin
        })
    }

    /// The smallest probability that counts as different from zero, and from one.
    ///
    /// A probability of exactly 0 is one that the interface could not show, and where that
    /// begins depends on how the target computed it (`1 - p` in float32 ends at 6e-8, a
    /// softmax at 1e-38, eight decimals at 5e-9). Were the reference outputs to show more
    /// than the target's, its zeros would look like evidence. So both are cut where the
    /// coarsest of the usual ways ends.
    pub(crate) fn resolution(self) -> f64 {
        self.decimals.map_or(PROBABILITY_RESOLUTION, |decimals| {
            // not one half, which says nothing
            let half_a_unit = (0.5 * 10f64.powi(-i32::from(decimals))).min(0.25);
            half_a_unit.max(PROBABILITY_RESOLUTION)
        })
    }

    /// What the channel makes of one number.
    pub(crate) fn round(self, x: f32) -> f32 {
        match self.decimals {
            None => x,
            Some(decimals) => {
                let scale = 10f64.powi(i32::from(decimals));
                let scaled = f64::from(x) * scale;
                let whole = if self.truncated {
                    // what float32 makes of a number with so many decimals is that number
                    (scaled * (1.0 + 1.2e-7)).floor()
                } else {
                    scaled.round_ties_even()
                };
                (whole / scale) as f32
            }
        }
    }
}

/// Up to so many decimals, losses of different models are often equal. At two the t null still
/// holds (docs/limited-targets.md).
const COARSE: u8 = 1;

/// The position of the largest number, the first of equals; none where all are `NaN`.
fn first_of_largest(numbers: &[f32]) -> Option<usize> {
    let largest = numbers.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    numbers.iter().position(|&x| x >= largest)
}

/// Sets all but the `count` largest probabilities to 0; of equals the first are kept.
fn keep_largest(probabilities: &mut [f32], count: usize) {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| {
        probabilities[b]
            .total_cmp(&probabilities[a])
            .then(a.cmp(&b))
    });
    for &class in order.iter().skip(count) {
        probabilities[class] = 0.0;
    }
}

/// Rows that must have lost something before outputs are taken as cut after their decimals.
const ROWS_THAT_LOST: usize = 30;

/// Whether probabilities of so many decimals were cut rather than rounded: no row sums to more
/// than one, and many to less. Rounding errs to both sides, but for small numbers, all of which
/// become 0; so only rows count that show at least half of the classes. Where there are too few of
/// them the outputs are taken as rounded: a target that was cut then looks less sure of its
/// records than it is, and nobody is accused for it.
fn are_cut(probabilities: &Array2<f32>, decimals: u8) -> bool {
    let unit = 10f64.powi(-i32::from(decimals));
    let (mut less, mut more, mut rows) = (0, 0, 0);
    for row in probabilities.rows() {
        let sum: f64 = row.iter().map(|&p| f64::from(p)).sum();
        more += usize::from(sum > 1.0 + 0.5 * unit);
        if 2 * shown(&row) >= row.len() {
            rows += 1;
            less += usize::from(sum < 1.0 - 0.5 * unit);
        }
    }
    more == 0 && 4 * less > rows && less >= ROWS_THAT_LOST
}

/// To how many classes rows of probabilities were cut, if they were: no row shows more, and
/// most rows as many. A single one is a label with its probability.
fn cut_to(probabilities: &Array2<f32>, sums_to_one: bool) -> Option<usize> {
    let counts: Vec<usize> = probabilities
        .rows()
        .into_iter()
        .map(|row| shown(&row))
        .collect();
    let most = *counts.iter().max()?;
    let as_many = counts.iter().filter(|&&count| count == most).count();
    // a class that the target never shows, such as one that it has not learnt, is not cut
    let ever_shown = probabilities
        .columns()
        .into_iter()
        .filter(|class| class.iter().any(|&p| p > 0.0))
        .count();
    // Rows that lack more than rounding can take have lost something, however few they show.
    (most < ever_shown && (!sums_to_one || 2 * as_many > counts.len())).then_some(most)
}

/// The numbers of a row that are not 0.
fn shown(row: &ArrayView1<f32>) -> usize {
    row.iter().filter(|&&p| p > 0.0).count()
}

/// `ln(1 + e^x)`, without overflow and exact in the tails; `NaN` stays `NaN`.
fn softplus(x: f64) -> f64 {
    if x > 0.0 {
        x + (-x).exp().ln_1p()
    } else {
        x.exp().ln_1p()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use giveaway_stats::random::Stream;
    use ndarray::array;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-7
    }

    /// Values of methods, section 0.
    #[test]
    fn signals_of_logits_match_the_check_values() {
        let channel = Channel::default();
        let first = channel.signal(&[1.0, 2.0, -3.0], 1);
        assert!(close(first.loss, 0.318_175_43), "{first:?}");
        assert!(close(first.scaled_logit, 0.981_850_09), "{first:?}");
        assert!(first.correct);
        let second = channel.signal(&[-1.0, 1.0, 0.0], 2);
        assert!(close(second.loss, 1.407_605_96), "{second:?}");
        assert!(close(second.scaled_logit, -1.126_928_02), "{second:?}");
        assert!(!second.correct);
    }

    #[test]
    fn extreme_logits_stay_finite() {
        let signal = Channel::default().signal(&[500.0, -500.0], 1);
        assert!(close(signal.loss, 1000.0) && close(signal.scaled_logit, -1000.0));
        let certain = Channel::default().signal(&[500.0, -500.0], 0);
        assert!(certain.loss < 1e-300 && close(certain.scaled_logit, 1000.0));
        // losses still differ where the probability is 1 to the last bit
        let loss = |z: f32| Channel::default().signal(&[z, 0.0], 0).loss;
        assert!(loss(50.0) > loss(60.0) && loss(60.0) > 0.0);
        let probabilities = Channel {
            kind: OutputKind::Probabilities,
            ..Channel::default()
        };
        let signal = probabilities.signal_of_logits(&[500.0, -500.0], 1, &mut Vec::new());
        assert!(signal.loss.is_finite() && signal.scaled_logit.is_finite());
    }

    #[test]
    fn the_two_kinds_agree_where_nothing_is_rounded() {
        let probabilities = Channel {
            kind: OutputKind::Probabilities,
            ..Channel::default()
        };
        let (a, b) = (
            Channel::default().signal(&[0.3, -0.2, 1.1], 0),
            probabilities.signal_of_logits(&[0.3, -0.2, 1.1], 0, &mut Vec::new()),
        );
        assert!((a.loss - b.loss).abs() < 1e-6 && (a.scaled_logit - b.scaled_logit).abs() < 1e-6);
    }

    /// One target, five interfaces: how it computes its tails must not look like evidence.
    #[test]
    fn saturated_probabilities_mean_the_same_however_they_were_computed() {
        for margin in [
            -90.0f64, -40.0, -20.0, -16.5, -15.0, -10.0, -1.0, 0.5, 9.0, 14.0, 17.0, 40.0, 90.0,
        ] {
            let second = 1.0 / (1.0 + (-margin).exp());
            let exact = [(1.0 / (1.0 + margin.exp())) as f32, second as f32];
            let float64 = [(1.0 - second) as f32, second as f32];
            let float32 = [1.0 - second as f32, second as f32];
            let written = [exact[0], exact[1]].map(|p| format!("{p:.8}").parse::<f32>().unwrap());
            let channel = Channel {
                kind: OutputKind::Probabilities,
                ..Channel::default()
            };
            for label in [0, 1] {
                let logits = [0.0, margin as f32];
                let reference = channel.signal_of_logits(&logits, label, &mut Vec::new());
                for output in [exact, float64, float32, written] {
                    let target = channel.signal(&output, label);
                    let apart = (target.scaled_logit - reference.scaled_logit).abs();
                    assert!(
                        apart < 0.07,
                        "{margin} {label} {output:?}: {target:?} {reference:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn rounding_is_detected_and_applied_to_reference_outputs() {
        let rounded = array![[0.1f32, 0.9], [0.37, 0.63]];
        let channel = Channel::detect(&rounded);
        assert_eq!(
            channel,
            Channel {
                kind: OutputKind::Probabilities,
                decimals: Some(2),
                ..Channel::default()
            }
        );
        let mut scratch = Vec::new();
        let a = channel.signal_of_logits(&[0.0, 2.197], 1, &mut scratch);
        let b = channel.signal_of_logits(&[0.0, 2.199], 1, &mut scratch);
        assert_eq!(a, b, "both are .90 after rounding");
        assert!(close(a.loss, -(f64::from(0.9f32)).ln()));
    }

    #[test]
    fn plain_outputs_are_not_taken_as_rounded() {
        let logits = array![[0.123_456_78f32, -3.2], [1.7, 0.3]];
        assert_eq!(Channel::detect(&logits), Channel::default());
        let probabilities = array![[0.123_456_78f32, 0.876_543_2]];
        assert_eq!(
            Channel::detect(&probabilities),
            Channel {
                kind: OutputKind::Probabilities,
                ..Channel::default()
            }
        );
    }

    /// Probabilities of softmax regression on noise, `spread` wide, in many classes.
    fn drawn(seed: u64, rows: usize, classes: usize, spread: f64) -> Array2<f32> {
        let mut stream = Stream::new(seed, "channel", 0);
        let mut outputs = Array2::from_shape_simple_fn((rows, classes), || {
            (spread * stream.normal()).exp() as f32
        });
        for mut row in outputs.rows_mut() {
            let sum = row.sum();
            row /= sum;
        }
        outputs
    }

    /// What an interface does, as its server would: by itself, and not by a channel.
    fn through(
        probabilities: &Array2<f32>,
        top: Option<Top>,
        decimals: i32,
        cut: bool,
    ) -> Array2<f32> {
        let mut outputs = probabilities.clone();
        for mut row in outputs.rows_mut() {
            if let Some(top) = top {
                let mut sorted = row.to_vec();
                sorted.sort_by(|a, b| b.total_cmp(a));
                let least = sorted[top.outputs - 1];
                row.mapv_inplace(|p| if p < least { 0.0 } else { p });
                if top.renormalised {
                    let sum = row.sum();
                    row /= sum;
                }
            }
            row.mapv_inplace(|p| {
                let scaled = f64::from(p) * 10f64.powi(decimals);
                let whole = if cut { scaled.floor() } else { scaled.round() };
                (whole / 10f64.powi(decimals)) as f32
            });
        }
        outputs
    }

    /// With a hundred classes rounding takes up to half of a row's sum, and hides what else the
    /// interface does.
    #[test]
    fn limits_are_told_apart_with_few_classes_and_with_many() {
        for (classes, spread) in [(6, 1.5), (30, 2.0), (100, 2.0), (100, 3.5)] {
            for seed in 0..10 {
                let exact = drawn(seed, 300, classes, spread);
                let rounded = Channel {
                    kind: OutputKind::Probabilities,
                    decimals: Some(2),
                    ..Channel::default()
                };
                for top in [None, Some(false), Some(true)] {
                    let top = top.map(|renormalised| Top {
                        outputs: 3,
                        renormalised,
                    });
                    let shown = through(&exact, top, 2, false);
                    let expected = Channel { top, ..rounded };
                    assert_eq!(Channel::detect(&shown), expected, "{classes}, {seed}");
                }
            }
        }
        // Cut decimals show where rows show most of their classes.
        for (classes, spread) in [(2, 1.5), (3, 1.5), (6, 1.0)] {
            for seed in 0..10 {
                let exact = drawn(seed, 300, classes, spread);
                let detected = Channel::detect(&through(&exact, None, 2, true));
                assert!(detected.truncated, "{classes}, {seed}");
                let detected = Channel::detect(&through(&exact, None, 2, false));
                assert!(!detected.truncated, "{classes}, {seed}");
            }
        }
    }

    #[test]
    fn ones_alone_are_labels_if_each_row_has_one() {
        let kind = |outputs: &Array2<f32>| {
            let channel = Channel::detect(outputs);
            (channel.kind, channel.decimals)
        };
        let labels = array![[0.0f32, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]];
        assert_eq!(kind(&labels), (OutputKind::Labels, None));
        // none above one half: rounded to whole numbers, and still in the right order
        let none = array![[0.0f32, 1.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]];
        assert_eq!(kind(&none), (OutputKind::Probabilities, Some(0)));
        let channel = Channel::detect(&none);
        let phi = |row: [f32; 3]| channel.signal(&row, 1).scaled_logit;
        assert!(phi([0.0, 1.0, 0.0]) > phi([0.0; 3]) && phi([0.0; 3]) > phi([1.0, 0.0, 0.0]));
        // several answers to one question are no probabilities
        let several = array![[0.0f32, 1.0, 1.0], [1.0, 0.0, 0.0]];
        assert_eq!(kind(&several).0, OutputKind::Logits);
    }
}
