//! Abstaining: an input that lies apart gets no answer of its own but the class frequencies of the
//! training records, the same for all such inputs.
//!
//! A classifier that may decline (Chow 1970), with the distance of [`super::outlying`] as its
//! reason to. The frequencies are `(n_c + 1)/(n + classes)`, so that their logarithms, which are
//! answered as logits, are finite.

use ndarray::{Array2, ArrayView2};

use super::guard::{Asked, Guard, Rule, counts};
use super::outlying::{Outlying, check_share};
use crate::channel::OutputKind;
use crate::defend::{About, Bench, Defence, Fitted, Guarded, Stage};
use crate::error::{Error, Result};
use crate::trainer::Model;

/// No answer of their own for outlying inputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Abstain {
    share: f64,
}

impl Default for Abstain {
    /// For the outlying 5 %.
    fn default() -> Self {
        Self { share: 0.05 }
    }
}

impl Abstain {
    /// For inputs farther out than all but this share of the model's own training records.
    ///
    /// # Errors
    /// If the share is not between 0 and 1.
    pub fn new(share: f64) -> Result<Self> {
        check_share(share)?;
        Ok(Self { share })
    }
}

impl Defence for Abstain {
    fn name(&self) -> String {
        format!("abstain:{}", self.share)
    }

    fn about(&self) -> About {
        let percent = 100.0 * self.share;
        About {
            title: format!("abstaining on the outlying {percent} %"),
            source: "after Chow 1970",
            what: format!(
                "Inputs farther out than all but {percent} % of the training records get the class frequencies as their answer, all the same."
            ),
            promise: Some(
                "Labels of such inputs are lost: they are answered the most frequent class. That an input is among \
                 them is still told, and it may depend on whether the model was trained on it."
                    .to_owned(),
            ),
            stage: Stage::Answers,
            sample_aware: true,
            keeps_labels: false,
            scikit_learn: "d = euclidean_distances(X, means), means being those of each class over the training records; c = \
                 model.predict_proba(X).argmax(1); m = d[i, c] minus the smallest other entry of the row; \
                 p[m > the quantile of m over the training records] = (np.bincount(y_train) + 1) / (len(y_train) + classes). \
                 As audited here, a network measures d in what its last layer sees, and a model without layers in its logits"
                .to_owned(),
            pytorch: "z[outlying] = torch.log((torch.bincount(y_train) + 1) / (len(y_train) + classes)) after the forward \
                 pass, with outlying as for scikit-learn, d measured in the input of the last layer"
                .to_owned(),
        }
    }

    fn guard<'a>(
        &'a self,
        bench: &'a Bench<'a>,
        rows: &[u32],
        model: Box<dyn Model + 'a>,
        _seed: u64,
    ) -> Result<Box<dyn Guarded + 'a>> {
        let dataset = bench.dataset;
        let counts = counts(rows, dataset.len())?;
        let mut members = vec![1.0f64; dataset.class_count()];
        for (&count, &label) in counts.iter().zip(&dataset.labels) {
            members[label as usize] += f64::from(count);
        }
        let all: f64 = members.iter().sum();
        let frequencies: Vec<f32> = members.iter().map(|n| (n / all).ln() as f32).collect();
        let (outlying, flags) = Outlying::learn(&*model, dataset, rows, self.share)?;
        let numbers = ArrayView2::from_shape((1, frequencies.len()), &frequencies)
            .map_err(|e| Error::unexpected(format!("cannot lay out the frequencies: {e}")))?
            .to_owned();
        Ok(Box::new(Guard {
            model,
            dataset,
            rule: Declining { frequencies },
            outlying: Some(outlying),
            fitted: Some(Fitted { numbers, flags }),
        }))
    }
}

/// The rule, fitted to a model.
struct Declining {
    /// Logarithms of the class frequencies.
    frequencies: Vec<f32>,
}

impl Rule for Declining {
    fn kind(&self) -> OutputKind {
        OutputKind::Logits
    }

    fn answers(&self, _model: &dyn Model, asked: &Asked<'_>) -> Result<Array2<f32>> {
        Ok(asked.each(|input, logits, answer| {
            answer.copy_from_slice(if asked.outlying[input] {
                &self.frequencies
            } else {
                logits
            });
        }))
    }
}
