//! From arrays of numbers to signals that attacks understand.
//!
//! Numbers that would make an infinite scaled logit are moved to the end of what their type
//! can tell apart, those of target and reference models alike: the coarsest type counts.
//! Outputs for every class are reduced row by row as they are read, in float64, and never
//! held as a whole (but for files in Fortran order).

use rayon::prelude::*;

use super::npy::{Element, Npy, PART, Precision, zeroed};
use super::shapes::Layout;
use crate::attack::evidence::{Outputs, Real, Scalar};
use crate::attack::outputs::RowReader;
use crate::error::{Error, Result};

/// What the numbers of the arrays are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `φ = ln p_y - ln(1 - p_y)`.
    ScaledLogit,
    /// `-ln p_y`.
    Loss,
    /// `p_y`.
    Confidence,
    /// Logits of every class.
    Logits,
    /// Probabilities of every class.
    Probabilities,
}

impl Signal {
    /// The name in options and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ScaledLogit => "scaled-logit",
            Self::Loss => "loss",
            Self::Confidence => "confidence",
            Self::Logits => "logits",
            Self::Probabilities => "probabilities",
        }
    }

    /// Whether there is a number for every class.
    #[must_use]
    pub fn has_classes(self) -> bool {
        matches!(self, Self::Logits | Self::Probabilities)
    }

    /// Which signal attacks are given.
    pub(super) fn scalar(self) -> Scalar {
        match self {
            Self::Loss => Scalar::Loss,
            Self::Confidence => Scalar::Confidence,
            Self::ScaledLogit | Self::Logits | Self::Probabilities => Scalar::ScaledLogit,
        }
    }
}

/// What is done with numbers at the end of their range.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) signal: Signal,
    /// The coarsest type of all arrays.
    pub(super) precision: Precision,
    /// The smallest probability, where it was said.
    pub(super) clamp: Option<f64>,
    /// The temperature of confidences.
    pub(super) temperature: f64,
    /// Whether the arrays are of several types: then all numbers are rounded to the
    /// coarsest, as equal numbers would no longer be equal otherwise.
    pub(super) rounds: bool,
}

/// Signals beyond this are refused: attacks square them and add the squares up.
const LARGEST: f64 = 1e150;

impl Rules {
    /// A number as all arrays can hold it.
    fn read(&self, x: f64) -> f64 {
        if self.rounds {
            self.precision.rounded(x)
        } else {
            x
        }
    }

    /// Smallest and largest number of a signal that is one number per record.
    fn range(&self) -> (f64, f64) {
        let (low, high) = match (self.signal, self.clamp) {
            (Signal::Confidence, clamp) => {
                let low = clamp.unwrap_or(0.0).max(self.precision.least());
                let high = (1.0 - clamp.unwrap_or(0.0)).min(1.0 - self.precision.epsilon() / 2.0);
                (low, high)
            }
            (Signal::Loss, Some(c)) => (-(-c).ln_1p(), -c.ln()),
            (Signal::ScaledLogit, Some(c)) => (-largest_logit(c), largest_logit(c)),
            _ => (f64::NEG_INFINITY, f64::INFINITY),
        };
        if self.precision == Precision::Double || high.is_infinite() {
            (low, high)
        } else {
            // The same for a target kept as float64 as for references kept as float32.
            (f64::from(low as f32), f64::from(high as f32))
        }
    }

    /// The smallest probability of the true class, and of the others together.
    pub(super) fn smallest_probability(&self) -> f64 {
        self.clamp.unwrap_or(match self.signal {
            Signal::Probabilities | Signal::Confidence => self.precision.least(),
            // worked out in float64 whatever the logits' type
            _ => f64::MIN_POSITIVE,
        })
    }

    fn reader(&self, temperature: f64) -> RowReader {
        RowReader {
            logits: self.signal == Signal::Logits,
            temperature,
            clamp: self.smallest_probability(),
        }
    }
}

/// The scaled logit of `1 - c`.
fn largest_logit(c: f64) -> f64 {
    (-c).ln_1p() - c.ln()
}

/// Signals of some models (or of one target, with one model).
#[derive(Debug)]
pub(super) struct Loaded<T> {
    /// `[models][queries][records]`.
    pub(super) values: Vec<T>,
    /// Confidences at the temperature, `[models][records]`; empty at temperature 1.
    pub(super) tempered: Vec<T>,
    /// What whole outputs tell, one for each model; none where that is not wanted.
    pub(super) outputs: Vec<Outputs>,
}

/// The place of a number, in words.
fn place(layout: Layout, whose: &str, model: usize, record: usize, query: usize) -> String {
    let model = if whose.is_empty() {
        format!("model {model}, ")
    } else {
        String::new()
    };
    let query = if layout.queries > 1 {
        format!(", query {query}")
    } else {
        String::new()
    };
    format!("{model}record {record}{query}{whose}")
}

/// Loads a signal of one number per record; `whose` is empty for reference models.
pub(super) fn load_numbers<T: Element + Real>(
    npy: &Npy,
    layout: Layout,
    rules: &Rules,
    whose: &str,
) -> Result<Loaded<T>> {
    let mut values: Vec<T> = npy.load()?;
    let (low, high) = rules.range();
    let wrong = |x: f64| {
        // not a number, infinite, or too large
        !(-LARGEST..=LARGEST).contains(&x)
            || (rules.signal == Signal::Loss && x < 0.0)
            || (rules.signal == Signal::Confidence && !(0.0..=1.0).contains(&x))
    };
    // The first that is wrong, in whatever order parts are looked at.
    let first = values
        .par_chunks_mut(PART)
        .enumerate()
        .filter_map(|(part, values)| {
            for (index, value) in values.iter_mut().enumerate() {
                let x: f64 = (*value).into();
                if wrong(x) {
                    return Some(part * PART + index);
                }
                if rules.rounds {
                    *value = T::of_double(rules.read(x).clamp(low, high));
                } else if x < low || x > high {
                    *value = T::of_double(x.clamp(low, high));
                }
            }
            None
        })
        .min();
    if let Some(position) = first {
        let per_model = layout.records * layout.queries;
        let record = position % per_model / layout.queries;
        let place = place(
            layout,
            whose,
            position / per_model,
            record,
            position % layout.queries,
        );
        return Err(not_a_signal(rules.signal, values[position].into())
            .at(place)
            .at(npy.place()));
    }
    if layout.queries > 1 {
        turn(&mut values, layout);
    }
    Ok(Loaded {
        values,
        tempered: Vec::new(),
        outputs: Vec::new(),
    })
}

fn not_a_signal(signal: Signal, x: f64) -> Error {
    if !x.is_finite() {
        return Error::input(format!("the signal is {x}, not a finite number"))
            .hint("mend the array, or leave the record or the model out of all arrays");
    }
    if x.abs() > LARGEST {
        return too_large(&format!("the signal is {x:e}"));
    }
    if signal == Signal::Loss {
        Error::input(format!("the loss is {x}, and -ln p is never below 0")).hint(
            "scaled logits are given with --signal scaled-logit; where it is rounding, give numpy.maximum(losses, 0)",
        )
    } else {
        Error::input(format!(
            "the confidence is {x}, and probabilities are from 0 to 1"
        ))
        .hint("scaled logits are given with --signal scaled-logit, losses with --signal loss")
    }
}

fn too_large(what: &str) -> Error {
    Error::input(format!(
        "{what}, and numbers beyond {LARGEST:e} have no squares to compute with"
    ))
    .hint("mend the array, or give losses or logits in their usual units")
}

/// From `[models][records][queries]` to `[models][queries][records]`.
fn turn<T: Copy + Default + Send + Sync>(values: &mut [T], layout: Layout) {
    let (records, queries) = (layout.records, layout.queries);
    values
        .par_chunks_mut(records * queries)
        .for_each_init(Vec::new, |scratch, values| {
            scratch.clear();
            scratch.extend_from_slice(values);
            for (query, values) in values.chunks_exact_mut(records).enumerate() {
                for (record, value) in values.iter_mut().enumerate() {
                    *value = scratch[record * queries + query];
                }
            }
        });
}

/// Losses of exactly 0 have an infinite scaled logit: they count as what float rounding made
/// 0 of, half of epsilon, or as the smallest other loss where that is smaller still.
pub(super) fn raise_zero_losses<T: Element + Real>(
    references: &mut [&mut Vec<T>],
    targets: &mut [&mut Vec<f64>],
    precision: Precision,
) {
    let smallest = |values: &[T]| -> f64 {
        values
            .par_iter()
            .map(|&x| x.into())
            .filter(|&x: &f64| x > 0.0)
            .reduce(|| f64::INFINITY, f64::min)
    };
    let has_zero = references
        .iter()
        .any(|v| v.par_iter().any(|&x| x.into() <= 0.0))
        || targets.iter().any(|v| v.iter().any(|&x| x <= 0.0));
    if !has_zero {
        return;
    }
    let floor = references
        .iter()
        .map(|values| smallest(values))
        .chain(targets.iter().map(|values| {
            let positive = values.iter().copied().filter(|&x| x > 0.0);
            positive.fold(f64::INFINITY, f64::min)
        }))
        .fold(precision.epsilon() / 2.0, f64::min);
    for values in references {
        values.par_iter_mut().for_each(|x| {
            if (*x).into() <= 0.0 {
                *x = T::of_double(floor);
            }
        });
    }
    for values in targets {
        for x in values.iter_mut().filter(|x| **x <= 0.0) {
            *x = floor;
        }
    }
}

/// Rows of outputs, from a file or from memory.
enum Rows<'a> {
    File(&'a Npy),
    Memory(Vec<f64>),
}

impl Rows<'_> {
    fn read(&self, first: usize, values: &mut [f64]) -> Result<()> {
        match self {
            Self::File(npy) => npy.read_from(first, values),
            Self::Memory(all) => {
                values.copy_from_slice(&all[first..first + values.len()]);
                Ok(())
            }
        }
    }
}

/// Loads outputs for every class as scaled logits.
pub(super) fn load_outputs<T: Element>(
    npy: &Npy,
    layout: Layout,
    labels: &[u32],
    rules: &Rules,
    with_outputs: bool,
    whose: &str,
) -> Result<Loaded<T>> {
    let Layout {
        models,
        records,
        queries,
        classes,
    } = layout;
    let rows = if npy.is_fortran() {
        Rows::Memory(npy.load()?)
    } else {
        Rows::File(npy)
    };
    let is_tempered = is_tempered(rules.temperature);
    let fail = |error: Error| error.at(npy.place());
    let mut values: Vec<T> = zeroed(models * records * queries).map_err(fail)?;
    let mut tempered: Vec<T> =
        zeroed(if is_tempered { models * records } else { 0 }).map_err(fail)?;
    let mut outputs = Vec::new();
    let at_once = (PART / 4 / (queries * classes)).max(1);
    let reader = Reducer {
        plain: rules.reader(1.0),
        tempered: is_tempered.then(|| rules.reader(rules.temperature)),
        most: rules.clamp.map_or(f64::INFINITY, largest_logit),
        tolerance: if rules.precision == Precision::Half
            && (rules.rounds || npy.precision() == Precision::Half)
        {
            1e-2
        } else {
            1e-3
        },
        with_outputs,
        layout,
    };
    for (model, values) in values.chunks_exact_mut(records * queries).enumerate() {
        let tempered = if is_tempered {
            &mut tempered[model * records..(model + 1) * records]
        } else {
            &mut []
        };
        let blocks: Vec<(usize, &mut [T], &mut [T])> = if is_tempered {
            values
                .chunks_mut(at_once * queries)
                .zip(tempered.chunks_mut(at_once))
                .enumerate()
                .map(|(block, (values, tempered))| (block * at_once, values, tempered))
                .collect()
        } else {
            values
                .chunks_mut(at_once * queries)
                .enumerate()
                .map(|(block, values)| (block * at_once, values, &mut [][..]))
                .collect()
        };
        let parts: Vec<Result<Outputs>> = blocks
            .into_par_iter()
            .map(|(first, values, tempered)| {
                let mut raw = vec![0.0; values.len() * classes];
                rows.read((model * records + first) * queries * classes, &mut raw)?;
                if rules.rounds {
                    for x in &mut raw {
                        *x = rules.read(*x);
                    }
                }
                let count = values.len() / queries;
                reader
                    .reduce(&raw, &labels[first..first + count], values, tempered)
                    .map_err(|(row, error)| {
                        let record = first + row / queries;
                        error
                            .at(place(layout, whose, model, record, row % queries))
                            .at(npy.place())
                    })
            })
            .collect();
        let mut whole = Outputs::default();
        for part in parts {
            let part = part?;
            whole.entropy.extend(part.entropy);
            whole.modified_entropy.extend(part.modified_entropy);
            whole.correct.extend(part.correct);
        }
        if with_outputs {
            outputs.push(whole);
        }
    }
    if queries > 1 {
        turn(&mut values, layout);
    }
    Ok(Loaded {
        values,
        tempered,
        outputs,
    })
}

/// Whether confidences are wanted at another temperature than 1.
pub(super) fn is_tempered(temperature: f64) -> bool {
    (temperature - 1.0).abs() > f64::EPSILON
}

/// Reduces rows to signals.
struct Reducer {
    plain: RowReader,
    tempered: Option<RowReader>,
    /// Largest scaled logit.
    most: f64,
    /// How far from 1 probabilities may sum.
    tolerance: f64,
    with_outputs: bool,
    layout: Layout,
}

impl Reducer {
    /// Reduces the rows of some records; an error carries the number of its row.
    fn reduce<T: Element>(
        &self,
        raw: &[f64],
        labels: &[u32],
        values: &mut [T],
        tempered: &mut [T],
    ) -> std::result::Result<Outputs, (usize, Error)> {
        let (queries, classes) = (self.layout.queries, self.layout.classes);
        let mut outputs = Outputs::default();
        let mut scratch = Vec::new();
        for (index, row) in raw.chunks_exact(classes).enumerate() {
            self.check(row).map_err(|error| (index, error))?;
            let record = index / queries;
            let label = labels[record] as usize;
            let is_first = index % queries == 0;
            let scaled_logit = if self.with_outputs && is_first {
                let found = self.plain.signals(row, label, &mut scratch);
                outputs.entropy.push(found.entropy);
                outputs.modified_entropy.push(found.modified_entropy);
                outputs.correct.push(f64::from(u8::from(found.correct)));
                found.scaled_logit
            } else {
                self.plain.scaled_logit(row, label)
            };
            values[index] = T::of_double(scaled_logit.clamp(-self.most, self.most));
            if let Some(reader) = &self.tempered
                && is_first
            {
                let scaled_logit = reader.scaled_logit(row, label);
                tempered[record] = T::of_double(Scalar::ScaledLogit.confidence(scaled_logit));
            }
        }
        Ok(outputs)
    }

    fn check(&self, row: &[f64]) -> Result<()> {
        if let Some(class) = row.iter().position(|x| !x.is_finite()) {
            return Err(
                Error::input(format!("the output is {}, not a finite number", row[class]))
                    .at(format!("class {class}"))
                    .hint("mend the array, or leave the record or the model out of all arrays"),
            );
        }
        if let Some(class) = row.iter().position(|x| x.abs() > LARGEST) {
            return Err(
                too_large(&format!("the output is {:e}", row[class])).at(format!("class {class}"))
            );
        }
        if self.plain.logits {
            return Ok(());
        }
        if let Some(class) = row.iter().position(|x| !(0.0..=1.0).contains(x)) {
            return Err(Error::input(format!(
                "the probability is {}, and probabilities are from 0 to 1",
                row[class]
            ))
            .at(format!("class {class}"))
            .hint("logits are given with --signal logits"));
        }
        let sum: f64 = row.iter().sum();
        if (sum - 1.0).abs() > self.tolerance {
            return Err(
                Error::input(format!("the probabilities sum to {sum}, not to 1")).hint(
                    "give the probabilities of all classes; logits are given with --signal logits",
                ),
            );
        }
        Ok(())
    }
}
