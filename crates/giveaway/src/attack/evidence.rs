//! What attacks see: signals of the target and of the reference models on the same records.
//!
//! Nothing here knows of data, models or runs, so signals made elsewhere serve as well.
//! A record is whatever is judged: in an audit it is a unit, whose signal is the mean over
//! its records.

use ndarray::Array2;

use rayon::prelude::*;

use super::exponential::{
    exponentials_of_minus, logistics, softplus_of_minus, softpluses_of_minus,
};
use super::finite::first_not_finite;
use crate::error::{Error, Result};

/// A number as signals are stored.
pub trait Real: Copy + Send + Sync + Into<f64> + 'static {}
impl Real for f32 {}
impl Real for f64 {}

/// Which of three signals a number is. Each follows from the others (methods, section 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// `φ = ln p_y - ln(1 - p_y)`.
    ScaledLogit,
    /// `L = -ln p_y`.
    Loss,
    /// `p_y`.
    Confidence,
}

impl Scalar {
    /// The scaled logit of a number of this kind.
    #[must_use]
    pub fn scaled_logit(self, x: f64) -> f64 {
        match self {
            Self::ScaledLogit => x,
            // ln p - ln(1-p) with p = e^-L
            Self::Loss => -x - (-(-x).exp_m1()).ln(),
            Self::Confidence => x.ln() - (-x).ln_1p(),
        }
    }

    /// The loss of a number of this kind.
    #[must_use]
    pub fn loss(self, x: f64) -> f64 {
        match self {
            Self::ScaledLogit => softplus_of_minus(x),
            Self::Loss => x,
            Self::Confidence => -x.ln(),
        }
    }

    /// The confidence, the probability of the true class, of a number of this kind.
    #[must_use]
    pub fn confidence(self, x: f64) -> f64 {
        match self {
            Self::ScaledLogit => 1.0 / (1.0 + (-x).exp()),
            Self::Loss => (-x).exp(),
            Self::Confidence => x,
        }
    }
}

impl Scalar {
    /// [`Scalar::confidence`] of many numbers, faster; a number's result does not depend on
    /// those beside it.
    pub(super) fn confidences<T: Real>(self, numbers: &[T], confidences: &mut [f64]) {
        match self {
            Self::ScaledLogit => logistics(numbers, confidences),
            Self::Loss => exponentials_of_minus(numbers, confidences),
            Self::Confidence => {
                for (confidence, &x) in confidences.iter_mut().zip(numbers) {
                    *confidence = x.into();
                }
            }
        }
    }

    /// [`Scalar::loss`] of many numbers, faster, with the same bits.
    pub(super) fn losses<T: Real>(self, numbers: &[T], losses: &mut [f64]) {
        if self == Self::ScaledLogit {
            softpluses_of_minus(numbers, losses);
            return;
        }
        for (loss, &x) in losses.iter_mut().zip(numbers) {
            *loss = self.loss(x.into());
        }
    }
}

/// What only the whole output of one model tells, per record.
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    /// Entropy of the probabilities.
    pub entropy: Vec<f64>,
    /// Modified entropy (Song and Mittal 2021), which knows the true class.
    pub modified_entropy: Vec<f64>,
    /// 1 where the true class has the largest output, else 0 (the share over a unit's records).
    pub correct: Vec<f64>,
}

/// One signal of the target, `[records]`, and of each reference model, `[models][records]`.
#[derive(Clone, Debug)]
pub struct Query<'a, T> {
    /// Of the reference models.
    pub references: Vec<&'a [T]>,
    /// Of the target.
    pub target: Vec<f64>,
}

/// Records known to be OUT of the target, against which RMIA and Attack-P compare.
#[derive(Clone, Debug)]
pub struct Population<'a, T> {
    /// Their signal, of the kind of the evidence.
    pub signal: Query<'a, T>,
    /// Their confidences at the temperature of the evidence, where that is not 1.
    pub tempered: Option<Query<'a, T>>,
    /// Which of them were IN which reference model; without it all are OUT of all models.
    pub inside: Option<Vec<&'a [bool]>>,
}

/// Everything that attacks may use. Vectors over models have the same order everywhere.
#[derive(Clone, Debug)]
pub struct Evidence<'a, T> {
    /// Which signal the numbers of `queries` are.
    pub kind: Scalar,
    /// The signal for each query augmentation; the first is the record itself. Attacks that
    /// have no use for more take the first.
    pub queries: Vec<Query<'a, T>>,
    /// Losses, where they do not follow from the signal: those of a unit of several records,
    /// whose mean loss is not the loss of its mean scaled logit.
    pub losses: Option<Query<'a, T>>,
    /// Which records were IN the training set of which reference model, `[models][records]`.
    pub inside: Vec<&'a [bool]>,
    /// Confidences at another temperature, for attacks that compare confidences.
    pub tempered: Option<Query<'a, T>>,
    /// What the target's whole outputs tell.
    pub target_outputs: Option<&'a Outputs>,
    /// What the reference models' whole outputs tell, one for each model, or none at all.
    pub reference_outputs: Vec<&'a Outputs>,
    /// Class of each record.
    pub labels: Option<&'a [u32]>,
    /// Records known to be OUT; without it the audited records stand in.
    pub population: Option<Population<'a, T>>,
    /// The records themselves, and which of them are known to be OUT of the target.
    pub features: Option<Features<'a>>,
    /// The loss of each record after every epoch of the target's training, epochs × records.
    pub traces: Option<&'a Array2<f32>>,
}

/// What attacks learn from that look at the records.
#[derive(Clone, Copy, Debug)]
pub struct Features<'a> {
    /// Records × features.
    pub values: &'a Array2<f32>,
    /// Which records the attacker knows to be OUT of the target.
    pub known_non_members: &'a [bool],
    /// Seed of random choices.
    pub seed: u64,
}

impl<'a, T: Real> Evidence<'a, T> {
    /// Evidence of one signal and nothing else.
    #[must_use]
    pub fn new(
        kind: Scalar,
        references: Vec<&'a [T]>,
        inside: Vec<&'a [bool]>,
        target: Vec<f64>,
    ) -> Self {
        Self {
            kind,
            queries: vec![Query { references, target }],
            losses: None,
            inside,
            tempered: None,
            target_outputs: None,
            reference_outputs: Vec::new(),
            labels: None,
            population: None,
            features: None,
            traces: None,
        }
    }

    /// Number of records.
    #[must_use]
    pub fn records(&self) -> usize {
        self.queries[0].target.len()
    }

    /// Number of reference models.
    #[must_use]
    pub fn models(&self) -> usize {
        self.inside.len()
    }

    /// The signal that losses and confidences are computed from, and what it is.
    #[must_use]
    pub fn of_losses(&self) -> (&Query<'a, T>, Scalar) {
        match &self.losses {
            Some(losses) => (losses, Scalar::Loss),
            None => (&self.queries[0], self.kind),
        }
    }

    /// The target's losses on the records.
    #[must_use]
    pub fn target_losses(&self) -> Vec<f64> {
        let (query, kind) = self.of_losses();
        let mut losses = vec![0.0; query.target.len()];
        kind.losses(&query.target, &mut losses);
        losses
    }

    /// The target's signal on the record itself, as scaled logits.
    #[must_use]
    pub fn target_scaled_logits(&self) -> Vec<f64> {
        let target = &self.queries[0].target;
        target.iter().map(|&x| self.kind.scaled_logit(x)).collect()
    }

    /// The target's signal on the record itself, as confidences.
    #[must_use]
    pub fn target_confidences(&self) -> Vec<f64> {
        let (query, kind) = self.of_losses();
        let mut confidences = vec![0.0; query.target.len()];
        kind.confidences(&query.target, &mut confidences);
        confidences
    }

    /// The evidence in which reference model `model` plays the target, and neither it nor
    /// the models of `leave` are references. Features and traces belong to the real target and
    /// stay behind.
    ///
    /// # Panics
    /// If there is no such model.
    #[must_use]
    pub fn with_target(&self, model: usize, leave: &[usize]) -> Self {
        let stays = |index: usize| index != model && !leave.contains(&index);
        let kept = |rows: &[&'a [T]]| -> Vec<&'a [T]> { kept(rows, &stays) };
        let query = |query: &Query<'a, T>| Query {
            references: kept(&query.references),
            target: query.references[model].iter().map(|&x| x.into()).collect(),
        };
        Self {
            kind: self.kind,
            queries: self.queries.iter().map(query).collect(),
            losses: self.losses.as_ref().map(query),
            inside: self::kept(&self.inside, &stays),
            tempered: self.tempered.as_ref().map(query),
            target_outputs: self.reference_outputs.get(model).copied(),
            reference_outputs: self::kept(&self.reference_outputs, &stays),
            labels: self.labels,
            features: None,
            traces: None,
            population: self.population.as_ref().map(|population| Population {
                signal: query(&population.signal),
                tempered: population.tempered.as_ref().map(query),
                inside: population
                    .inside
                    .as_ref()
                    .map(|rows| self::kept(rows, &stays)),
            }),
        }
    }

    /// The same target attacked with these reference models only.
    ///
    /// # Panics
    /// If there is no such model.
    #[must_use]
    pub fn with_references(&self, models: &[usize]) -> Self {
        let stays = |index: usize| models.contains(&index);
        let query = |query: &Query<'a, T>| Query {
            references: kept(&query.references, &stays),
            target: query.target.clone(),
        };
        Self {
            kind: self.kind,
            queries: self.queries.iter().map(query).collect(),
            losses: self.losses.as_ref().map(query),
            inside: kept(&self.inside, &stays),
            tempered: self.tempered.as_ref().map(query),
            target_outputs: self.target_outputs,
            reference_outputs: kept(&self.reference_outputs, &stays),
            labels: self.labels,
            features: self.features,
            traces: self.traces,
            population: self.population.as_ref().map(|population| Population {
                signal: query(&population.signal),
                tempered: population.tempered.as_ref().map(query),
                inside: population.inside.as_ref().map(|rows| kept(rows, &stays)),
            }),
        }
    }

    /// Looks whether all lengths fit together and every number is finite.
    ///
    /// # Errors
    /// Naming the first that is not, with its model and record.
    pub fn check(&self) -> Result<()> {
        let records = self.records();
        if records == 0 {
            return Err(Error::input("there are no records").hint("give at least one record"));
        }
        for (number, query) in self.queries.iter().enumerate() {
            let place = if self.queries.len() == 1 {
                String::new()
            } else {
                format!(", query {number}")
            };
            self.check_query(query, records, &place)?;
        }
        if let Some(query) = &self.losses {
            self.check_query(query, records, ", as a loss")?;
        }
        if let Some(query) = &self.tempered {
            self.check_query(query, records, ", at the temperature")?;
        }
        for (model, row) in self.inside.iter().enumerate() {
            length(row.len(), records, &format!("membership of model {model}"))?;
        }
        for outputs in self.target_outputs.iter().chain(&self.reference_outputs) {
            for values in [
                &outputs.entropy,
                &outputs.modified_entropy,
                &outputs.correct,
            ] {
                length(values.len(), records, "what whole outputs tell")?;
            }
        }
        if !self.reference_outputs.is_empty() {
            length(
                self.reference_outputs.len(),
                self.models(),
                "outputs of reference models",
            )?;
        }
        if let Some(labels) = self.labels {
            length(labels.len(), records, "the labels")?;
        }
        if let Some(features) = &self.features {
            length(features.values.nrows(), records, "the features")?;
            length(
                features.known_non_members.len(),
                records,
                "known non-members",
            )?;
        }
        if let Some(traces) = &self.traces {
            length(traces.ncols(), records, "the losses by epoch")?;
        }
        if let Some(population) = &self.population {
            let size = population.signal.target.len();
            if size == 0 {
                return Err(Error::input("there are no population records")
                    .hint("give at least one, or leave the population out"));
            }
            self.check_query(&population.signal, size, " of the population")?;
            if let Some(query) = &population.tempered {
                self.check_query(query, size, " of the population, at the temperature")?;
            }
            if let Some(inside) = &population.inside {
                length(inside.len(), self.models(), "the population's membership")?;
                for row in inside {
                    length(row.len(), size, "the population's membership")?;
                }
            }
        }
        Ok(())
    }

    fn check_query(&self, query: &Query<'a, T>, records: usize, place: &str) -> Result<()> {
        length(query.target.len(), records, "the target's signal")?;
        length(
            query.references.len(),
            self.models(),
            "reference models with a signal",
        )?;
        if let Some(record) = first_not_finite(&query.target) {
            let place = format!("record {record}{place} of the target");
            return Err(not_finite(query.target[record], place));
        }
        for (model, row) in query.references.iter().enumerate() {
            length(row.len(), records, &format!("the signal of model {model}"))?;
        }
        let rows = query.references.par_iter().enumerate();
        let found = rows.find_map_first(|(model, row)| {
            first_not_finite(row).map(|record| (model, record, row[record].into()))
        });
        match found {
            None => Ok(()),
            Some((model, record, value)) => {
                let place = format!("model {model}, record {record}{place}");
                Err(not_finite(value, place))
            }
        }
    }
}

fn kept<'a, T: ?Sized>(rows: &[&'a T], stays: &impl Fn(usize) -> bool) -> Vec<&'a T> {
    rows.iter()
        .enumerate()
        .filter(|&(index, _)| stays(index))
        .map(|(_, &row)| row)
        .collect()
}

fn length(found: usize, expected: usize, what: &str) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(
        Error::input(format!("{what}: {found} where there should be {expected}"))
            .hint("all arrays are of the same models and records, in the same order"),
    )
}

fn not_finite(value: f64, place: String) -> Error {
    Error::input(format!("the signal is {value}, not a finite number"))
        .at(place)
        .hint("mend the array, or leave the record or the model out of all arrays")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_three_signals_are_one(x in -30.0f64..30.0) {
            let loss = Scalar::ScaledLogit.loss(x);
            let confidence = Scalar::ScaledLogit.confidence(x);
            let close = |a: f64, b: f64, scale: f64| (a - b).abs() <= 1e-9 * scale;
            prop_assert!(close(Scalar::Loss.scaled_logit(loss), x, 1.0 + x.abs()));
            prop_assert!(close(Scalar::Loss.confidence(loss), confidence, confidence));
            prop_assert!(close(Scalar::Confidence.loss(confidence), loss, 1.0));
            if x < 12.0 {
                prop_assert!(close(Scalar::Confidence.scaled_logit(confidence), x, 100.0));
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let (a, b) = ([0.5f64, 1.0], [f64::NAN, 1.0]);
        let inside = [true, false];
        let evidence = |rows: Vec<&'static [f64]>, target: Vec<f64>| {
            let inside: Vec<&'static [bool]> = vec![&[true, false]; rows.len()];
            Evidence::new(Scalar::Loss, rows, inside, target).check()
        };
        assert!(evidence(vec![&[0.5, 1.0]], vec![1.0, 2.0]).is_ok());
        let error = evidence(vec![&[0.5, 1.0], &[0.1, f64::NAN]], vec![1.0, 2.0]).unwrap_err();
        assert!(error.to_string().contains("model 1, record 1"), "{error}");
        let error = evidence(vec![&[0.5, 1.0]], vec![1.0, f64::INFINITY]).unwrap_err();
        assert!(
            error.to_string().contains("record 1 of the target"),
            "{error}"
        );
        assert!(evidence(vec![&[0.5]], vec![1.0, 2.0]).is_err());
        let whole = Evidence::new(
            Scalar::Loss,
            vec![&a[..], &b[..]],
            vec![&inside[..]],
            vec![1.0, 2.0],
        );
        assert!(whole.check().is_err(), "one membership row for two models");
    }

    #[test]
    fn a_model_that_plays_the_target_leaves_with_its_complement() {
        let rows = [[0.0f32, 1.0], [2.0, 3.0], [4.0, 5.0]];
        let inside = [[true, false], [false, true], [true, true]];
        let evidence = Evidence::new(
            Scalar::ScaledLogit,
            rows.iter().map(|r| &r[..]).collect(),
            inside.iter().map(|r| &r[..]).collect(),
            vec![9.0, 9.0],
        );
        let played = evidence.with_target(0, &[1]);
        assert_eq!(played.queries[0].target, [0.0, 1.0]);
        assert_eq!(played.models(), 1);
        assert_eq!(played.queries[0].references[0], [4.0, 5.0]);
        let fewer = evidence.with_references(&[0, 2]);
        assert_eq!((fewer.models(), fewer.queries[0].target[0]), (2, 9.0));
    }
}
