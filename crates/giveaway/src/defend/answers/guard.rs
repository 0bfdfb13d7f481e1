//! A model behind a rule that changes its answers.

use std::io;

use ndarray::{Array2, ArrayView2, Axis, Slice};
use rayon::prelude::*;

use super::outlying::Outlying;
use super::row;
use crate::channel::OutputKind;
use crate::dataset::Dataset;
use crate::defend::{Fitted, Guarded};
use crate::error::{Error, Result};
use crate::trainer::{Model, Sink};

/// Some inputs and what the model said of them.
pub(super) struct Asked<'a> {
    /// Inputs × features.
    pub inputs: ArrayView2<'a, f32>,
    /// The model's logits, inputs × classes.
    pub logits: ArrayView2<'a, f32>,
    /// Which inputs lie apart; empty where the defence does not look.
    pub outlying: &'a [bool],
}

impl Asked<'_> {
    /// Answers of which each is made from its own input's logits: `answer` gets the number of the
    /// input in this block, its logits, and where the answer goes.
    pub(super) fn each(&self, answer: impl Fn(usize, &[f32], &mut [f32]) + Sync) -> Array2<f32> {
        let mut answers = Array2::zeros(self.logits.dim());
        let classes = self.logits.ncols().max(1);
        let logits = self.logits.as_standard_layout();
        if let (Some(from), Some(to)) = (logits.as_slice(), answers.as_slice_mut()) {
            to.par_chunks_mut(classes)
                .zip(from.par_chunks(classes))
                .enumerate()
                .with_min_len(64)
                .for_each(|(input, (to, from))| answer(input, from, to));
        }
        answers
    }

    /// The random numbers of one of the inputs.
    pub(super) fn stream(
        &self,
        seed: u64,
        purpose: &str,
        input: usize,
    ) -> giveaway_stats::random::Stream {
        row::stream_of(seed, purpose, self.inputs.row(input).iter().copied())
    }
}

/// What a defence makes of logits.
pub(super) trait Rule: Send + Sync {
    /// What its answers are.
    fn kind(&self) -> OutputKind;

    /// The answers, inputs × classes. That of an input does not depend on the others.
    ///
    /// # Errors
    /// If the model is asked again and cannot answer.
    fn answers(&self, model: &dyn Model, asked: &Asked<'_>) -> Result<Array2<f32>>;
}

/// A model behind a rule.
pub(super) struct Guard<'a, R> {
    pub model: Box<dyn Model + 'a>,
    pub dataset: &'a Dataset,
    pub rule: R,
    /// What finds inputs that lie apart, where the rule asks for it; `fitted` then has the flags
    /// of the data set's records.
    pub outlying: Option<Outlying>,
    pub fitted: Option<Fitted>,
}

impl<'a, R: Rule + 'a> Guard<'a, R> {
    /// A rule to which nothing was fitted, or keeps it to itself.
    pub(super) fn boxed(
        model: Box<dyn Model + 'a>,
        dataset: &'a Dataset,
        rule: R,
    ) -> Box<dyn Guarded + 'a> {
        Box::new(Self {
            model,
            dataset,
            rule,
            outlying: None,
            fitted: None,
        })
    }
}

impl<R: Rule> Guarded for Guard<'_, R> {
    fn kind(&self) -> OutputKind {
        self.rule.kind()
    }

    fn each_answer(&self, sink: Sink) -> io::Result<()> {
        let flags = self.fitted.as_ref().map_or(&[][..], |fitted| &fitted.flags);
        let mut first = 0;
        self.model.each_logits(&mut |block| {
            let records = first..first + block.nrows();
            first = records.end;
            let asked = Asked {
                inputs: self
                    .dataset
                    .features
                    .slice_axis(Axis(0), Slice::from(records.clone())),
                logits: block,
                outlying: flags.get(records).unwrap_or_default(),
            };
            let answers = self
                .rule
                .answers(&*self.model, &asked)
                .map_err(io::Error::other)?;
            sink(answers.view())
        })
    }

    fn answer(&self, inputs: ArrayView2<f32>) -> Result<Array2<f32>> {
        let logits = self.model.answer(inputs)?;
        let flags = match &self.outlying {
            None => Vec::new(),
            Some(outlying) => outlying.of_inputs(&*self.model, inputs, logits.view())?,
        };
        let asked = Asked {
            inputs,
            logits: logits.view(),
            outlying: &flags,
        };
        self.rule.answers(&*self.model, &asked)
    }

    fn fitted(&self) -> Option<&Fitted> {
        self.fitted.as_ref()
    }

    fn model(&self) -> &dyn Model {
        &*self.model
    }
}

/// A model that cannot be asked while a defence is fitted to it.
#[expect(
    clippy::needless_pass_by_value,
    reason = "map_err hands the error over by value"
)]
pub(super) fn cannot_ask(error: io::Error) -> Error {
    Error::unexpected(format!("cannot ask the model for its answers: {error}"))
}

/// How often each record of the data set is among the rows.
pub(super) fn counts(rows: &[u32], records: usize) -> Result<Vec<u32>> {
    let mut counts = vec![0u32; records];
    for &row in rows {
        let count = counts.get_mut(row as usize).ok_or_else(|| {
            Error::unexpected(format!(
                "record {row} is among the rows of a model, but there are {records}"
            ))
        })?;
        *count += 1;
    }
    if rows.is_empty() {
        return Err(Error::unexpected(
            "a defence of answers has no training records to go by",
        ));
    }
    Ok(counts)
}
