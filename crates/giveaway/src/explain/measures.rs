//! The measures of a record, by name: what goes into `records.parquet`, and what the leak is
//! compared with (methods, section 2.2). One value per record; NaN where there is none.
//!
//! To add a measure, add a line where its kind is built; everything else goes by the list.

use giveaway_stats::summary::median;
use rayon::prelude::*;

use super::answers::Answers;
use super::geometry::centroids::CentroidDistances;
use super::geometry::neighbours::{Geometry, Lists};
use super::geometry::outlier_factor::local_outlier_factor;
use super::rarity::Rarity;

/// What is needed to compute a measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// The records alone: it is there before any model is trained.
    Data,
    /// A few models, trained as usual: here some of the reference models, with their training
    /// looked at.
    FewModels,
    /// Reference models.
    ReferenceModels,
}

impl Needs {
    /// The name used in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::FewModels => "a few models",
            Self::ReferenceModels => "reference models",
        }
    }
}

/// A measure of every record.
#[derive(Clone, Debug)]
pub struct Measure {
    /// Its column in `records.parquet`.
    pub name: String,
    /// What it is, in words.
    pub label: String,
    /// What it belongs to.
    pub family: &'static str,
    /// What is needed for it.
    pub needs: Needs,
    /// Whether small values stand for exposure.
    pub reversed: bool,
    /// One value per record.
    pub values: Vec<f64>,
}

impl Measure {
    /// The values with their sign turned where small ones stand for exposure.
    #[must_use]
    pub fn oriented(&self) -> Vec<f64> {
        let sign = if self.reversed { -1.0 } else { 1.0 };
        self.values.iter().map(|x| sign * x).collect()
    }

    /// The measure from the names that stay and the values.
    fn new(
        name: impl Into<String>,
        label: impl Into<String>,
        (family, needs, reversed): (&'static str, Needs, bool),
        values: Vec<f64>,
    ) -> Self {
        Self {
            name: name.into(),
            label: label.into(),
            family,
            needs,
            reversed,
            values,
        }
    }
}

/// A space in which records lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// The encoded features.
    Input,
    /// The logits of the reference models that measure, side by side, brought to length one.
    Outputs,
    /// What the last layer of a few models sees, side by side; their logits where models have no
    /// layers.
    Penultimate,
}

impl Space {
    /// All of them.
    pub const EVERY: [Self; 3] = [Self::Input, Self::Outputs, Self::Penultimate];

    /// The name used in reports and columns.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Outputs => "outputs",
            Self::Penultimate => "penultimate",
        }
    }

    /// Its name in words, for models with layers or without.
    fn place(self, layers: bool) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Outputs => "outputs",
            Self::Penultimate if layers => "penultimate layer",
            Self::Penultimate => "outputs of a few models",
        }
    }

    fn needs(self) -> Needs {
        match self {
            Self::Input => Needs::Data,
            Self::Outputs => Needs::ReferenceModels,
            Self::Penultimate => Needs::FewModels,
        }
    }
}

/// Where every record lies in one space.
#[derive(Debug)]
pub struct Places {
    /// Neighbours of either kind, and silhouette.
    pub geometry: Geometry,
    /// The nearest records of whatever class.
    pub nearest: Lists,
    /// Distances to the centres of the classes.
    pub centroids: CentroidDistances,
    /// Anomaly score of an isolation forest.
    pub isolation: Vec<f64>,
    /// Local outlier factor.
    pub outlier_factor: Vec<f64>,
    /// Share of the nearest neighbours with the record's label.
    pub agreement: Vec<f64>,
}

impl Places {
    /// Puts together what was computed; derives the rest.
    #[must_use]
    pub fn new(
        geometry: Geometry,
        centroids: CentroidDistances,
        isolation: Vec<f64>,
        labels: &[u32],
    ) -> Self {
        let nearest = geometry.nearest();
        Self {
            outlier_factor: local_outlier_factor(&nearest),
            agreement: geometry.label_agreement(labels),
            nearest,
            geometry,
            centroids,
            isolation,
        }
    }

    /// Distance to the k-th nearest record of whatever class.
    #[must_use]
    pub fn farthest_neighbour(&self) -> Vec<f64> {
        numbers(&self.nearest.farthest())
    }

    /// Distance to the nearest record of whatever class; infinite without any.
    #[must_use]
    pub fn nearest_distance(&self) -> Vec<f64> {
        (0..self.nearest.len())
            .map(|record| {
                let nearest = self.nearest.nearest(record);
                nearest.map_or(f64::INFINITY, |(_, distance)| f64::from(distance))
            })
            .collect()
    }

    /// Distance to the nearest record of another class.
    fn nearest_other(&self) -> Vec<f64> {
        (0..self.agreement.len())
            .map(|record| {
                let nearest = self.geometry.other.nearest(record);
                nearest.map_or(f64::NAN, |(_, d)| f64::from(d))
            })
            .collect()
    }
}

fn numbers(values: &[f32]) -> Vec<f64> {
    // Behind the last neighbour lists hold infinities.
    let number = |&x: &f32| {
        if x.is_finite() {
            f64::from(x)
        } else {
            f64::NAN
        }
    };
    values.iter().map(number).collect()
}

/// Measures of where records lie in one space, of models that have layers or have none.
#[must_use]
pub fn of_space(space: Space, places: &Places, layers: bool) -> Vec<Measure> {
    let (name, place, needs) = (space.name(), space.place(layers), space.needs());
    let measure = |suffix: &str, words: &str, family, reversed, values| {
        Measure::new(
            format!("{name}_{suffix}"),
            format!("{words} ({place})"),
            (family, needs, reversed),
            values,
        )
    };
    let centroids = &places.centroids;
    vec![
        measure(
            "centroid_distance",
            "distance to the class centre",
            "distance",
            false,
            centroids.euclidean.own.clone(),
        ),
        measure(
            "centroid_cosine",
            "angle to the class centre",
            "distance",
            false,
            centroids.cosine.own.clone(),
        ),
        measure(
            "centroid_mahalanobis",
            "Mahalanobis distance to the class centre",
            "distance",
            false,
            centroids.mahalanobis.own.clone(),
        ),
        measure(
            "centroid_margin",
            "own less nearest other class centre",
            "distance",
            false,
            centroids.euclidean.own_minus_other(),
        ),
        measure(
            "silhouette",
            "silhouette",
            "distance",
            true,
            places.geometry.silhouette.clone(),
        ),
        measure(
            "neighbour_agreement",
            "share of neighbours with the same label",
            "distance",
            true,
            places.agreement.clone(),
        ),
        measure(
            "neighbour_ratio",
            "own-class over other-class neighbour distance",
            "distance",
            false,
            places.geometry.own_to_other_ratio(),
        ),
        measure(
            "neighbour_distance",
            "distance to the k-th neighbour",
            "anomaly",
            false,
            places.farthest_neighbour(),
        ),
        measure(
            "nearest_distance",
            "distance to the nearest neighbour",
            "anomaly",
            false,
            places.nearest_distance(),
        ),
        measure(
            "outlier_factor",
            "local outlier factor",
            "anomaly",
            false,
            places.outlier_factor.clone(),
        ),
        measure(
            "isolation",
            "isolation forest score",
            "anomaly",
            false,
            places.isolation.clone(),
        ),
    ]
}

/// Within this part of the usual distance to the nearest record, two records are near-duplicates.
pub const NEAR: f64 = 0.25;

/// The distance within which records count as near-duplicates: [`NEAR`] times the median distance
/// to the nearest record, of those records whose nearest one is not identical.
#[must_use]
pub fn near_distance(input: &Places) -> f64 {
    let apart: Vec<f64> = input
        .nearest_distance()
        .into_iter()
        .filter(|&d| d > 0.0 && d.is_finite())
        .collect();
    NEAR * median(&apart).unwrap_or(0.0)
}

/// Measures of duplicates in the input space; `twins` is the number of other records of each
/// record's unit that are identical and have its label, since records of a unit are no neighbours
/// of each other. Copies are counted among the nearest neighbours of either kind, so at most as
/// many as were looked at.
#[must_use]
pub fn of_duplicates(input: &Places, twins: &[usize]) -> Vec<Measure> {
    let near = near_distance(input);
    let copies = |lists: &Lists, record: usize| {
        let distances = lists.distances(record);
        distances.iter().filter(|&&d| f64::from(d) <= near).count()
    };
    let records = 0..twins.len();
    let kind = |reversed| ("duplicates", Needs::Data, reversed);
    vec![
        Measure::new(
            "near_copies_own_label",
            "near-duplicates with the same label",
            kind(true),
            records
                .clone()
                .map(|r| (copies(&input.geometry.own, r) + twins[r]) as f64)
                .collect(),
        ),
        Measure::new(
            "near_copies_other_label",
            "near-duplicates with another label",
            kind(false),
            records
                .map(|r| copies(&input.geometry.other, r) as f64)
                .collect(),
        ),
        Measure::new(
            "nearest_other_label",
            "distance to the nearest record with another label",
            kind(true),
            input.nearest_other(),
        ),
    ]
}

/// Measures of how rare a record's values are.
#[must_use]
pub fn of_rarity(rarity: &Rarity) -> Vec<Measure> {
    let kind = ("anomaly", Needs::Data, false);
    vec![
        Measure::new(
            "rarest_value",
            "rarity of the rarest value, in bits",
            kind,
            rarity.rarest_bits.clone(),
        ),
        Measure::new(
            "rarity",
            "rarity of all values, in bits",
            kind,
            rarity.total_bits.clone(),
        ),
    ]
}

/// Measures of training: the epoch, or whatever `step` training goes by, from which on a record is
/// learnt, and LT-IQR; means over the models that were trained on it.
#[must_use]
pub fn of_learning(epoch_learned: Vec<f64>, loss_spread: Vec<f64>, step: &str) -> Vec<Measure> {
    let kind = ("difficulty", Needs::FewModels, false);
    vec![
        Measure::new(
            "epoch_learned",
            format!("{step} from which on the record is learnt"),
            kind,
            epoch_learned,
        ),
        Measure::new(
            "lt_iqr",
            "spread of the loss over the training (LT-IQR)",
            kind,
            loss_spread,
        ),
    ]
}

/// Measures of what the reference models that measure answer.
#[must_use]
pub fn of_answers(answers: &Answers, labels: &[u32]) -> Vec<Measure> {
    /// One column of values and what it is.
    type Line = (&'static str, &'static str, &'static str, bool);
    const LINES: [Line; 12] = [
        (
            "divergence_kl",
            "Kullback–Leibler divergence of IN from OUT outputs",
            "divergence",
            false,
        ),
        (
            "divergence_js",
            "Jensen–Shannon divergence of IN and OUT outputs",
            "divergence",
            false,
        ),
        (
            "divergence_hellinger",
            "Hellinger distance of IN and OUT outputs",
            "divergence",
            false,
        ),
        (
            "divergence_l2",
            "Euclidean distance of IN and OUT outputs",
            "divergence",
            false,
        ),
        (
            "largest_log_ratio",
            "largest log ratio of IN and OUT outputs (DTP)",
            "divergence",
            false,
        ),
        (
            "loss_gap",
            "loss gap of OUT and IN models",
            "divergence",
            false,
        ),
        ("memorisation", "memorisation score", "divergence", false),
        ("mean_out_loss", "mean OUT loss", "difficulty", false),
        ("out_margin", "mean OUT margin", "difficulty", true),
        (
            "out_entropy",
            "entropy of the OUT output",
            "difficulty",
            false,
        ),
        (
            "out_disagreement",
            "disagreement of OUT models",
            "difficulty",
            false,
        ),
        (
            "label_suspicion",
            "share of OUT models that agree on another label",
            "label",
            false,
        ),
    ];
    let rows: Vec<[f64; LINES.len()]> = (0..labels.len())
        .into_par_iter()
        .map(|record| {
            let answer = answers.measured(record);
            let divergence = answers.divergence(record);
            let of = |get: fn(&super::divergence::Divergences) -> f64| {
                divergence.as_ref().map_or(f64::NAN, get)
            };
            let votes = answers.votes(record, labels[record] as usize);
            let vote =
                |get: fn(&super::answers::Votes) -> f64| votes.as_ref().map_or(f64::NAN, get);
            [
                of(|d| d.kullback_leibler),
                of(|d| d.jensen_shannon),
                of(|d| d.hellinger),
                of(|d| d.euclidean),
                of(|d| d.largest_log_ratio),
                answer.loss_gap(),
                answer.correct_in - answer.correct_out,
                answer.loss_out,
                answer.margin_out,
                vote(|v| v.entropy),
                vote(|v| v.disagreement),
                vote(|v| v.against),
            ]
        })
        .collect();
    LINES
        .iter()
        .enumerate()
        .map(|(column, &(name, label, family, reversed))| {
            Measure::new(
                name,
                label,
                (family, Needs::ReferenceModels, reversed),
                rows.iter().map(|row| row[column]).collect(),
            )
        })
        .collect()
}

/// Of some records, the share whose value is at least as large as that of each record: 0.01 is
/// among the largest hundredth. NaN where the record has no value.
#[must_use]
pub fn upper_shares(values: &[f64], among: &[u32]) -> Vec<f64> {
    let mut sorted: Vec<f64> = among
        .iter()
        .map(|&record| values[record as usize])
        .filter(|x| !x.is_nan())
        .collect();
    sorted.sort_unstable_by(f64::total_cmp);
    values
        .iter()
        .map(|&x| {
            if x.is_nan() {
                return f64::NAN;
            }
            let below = sorted.partition_point(|&y| y < x);
            (sorted.len() - below) as f64 / sorted.len().max(1) as f64
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_shares_count_ties_and_only_those_asked_for() {
        let shares = upper_shares(&[1.0, 3.0, 3.0, f64::NAN, 9.0], &[0, 1, 2, 3]);
        for (record, expected) in [(0, 1.0), (1, 2.0 / 3.0), (2, 2.0 / 3.0), (4, 0.0)] {
            assert!((shares[record] - expected).abs() < 1e-15, "{record}");
        }
        assert!(shares[3].is_nan());
    }
}
