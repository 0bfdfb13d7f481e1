//! Top k: only the k largest probabilities are told (Shokri et al. 2017, section VIII).
//!
//! They stay as they are, and the others share what is left evenly, so that all still sum to 1.
//! Of equals the class that comes first is taken. With k = 1 and two classes that is everything.

use ndarray::Array2;

use super::guard::{Asked, Guard, Rule};
use super::row::{keep_label, probabilities, ranking};
use crate::channel::OutputKind;
use crate::defend::{About, Bench, Defence, Guarded, Stage};
use crate::error::{Error, Result};
use crate::trainer::Model;

/// The largest probabilities only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopK {
    k: usize,
}

impl Default for TopK {
    /// The largest one.
    fn default() -> Self {
        Self { k: 1 }
    }
}

impl TopK {
    /// The `k` largest.
    ///
    /// # Errors
    /// If `k` is 0.
    pub fn new(k: usize) -> Result<Self> {
        if k == 0 {
            return Err(Error::usage("none of the probabilities are told")
                .hint("give at least 1, or use label-only"));
        }
        Ok(Self { k })
    }
}

impl Defence for TopK {
    fn name(&self) -> String {
        format!("top-k:{}", self.k)
    }

    fn about(&self) -> About {
        let k = self.k;
        About {
            title: format!("top {k} of the probabilities"),
            source: "Shokri et al. 2017",
            what: format!(
                "The {k} largest probabilities are told as they are; the other classes share the rest evenly."
            ),
            promise: Some(format!(
                "With {} classes or fewer it hides nothing. The confidence in the predicted class, which most \
                 attacks use, is told in full.",
                k + 1
            )),
            stage: Stage::Answers,
            sample_aware: false,
            keeps_labels: true,
            scikit_learn: format!(
                "p = model.predict_proba(X); q = np.sort(p)[:, [-{k}]]; low = p < q; \
                 answer np.where(low, (p * low).sum(1, keepdims=True) / low.sum(1, keepdims=True).clip(1), p)"
            ),
            pytorch: format!(
                "v, i = p.topk({k}); q = ((1 - v.sum(1, keepdim=True)) / max(p.shape[1] - {k}, 1)).expand_as(p).clone(); \
                 answer q.scatter(1, i, v)"
            ),
        }
    }

    fn guard<'a>(
        &'a self,
        bench: &'a Bench<'a>,
        _rows: &[u32],
        model: Box<dyn Model + 'a>,
        _seed: u64,
    ) -> Result<Box<dyn Guarded + 'a>> {
        Ok(Guard::boxed(model, bench.dataset, *self))
    }
}

impl Rule for TopK {
    fn kind(&self) -> OutputKind {
        OutputKind::Probabilities
    }

    fn answers(&self, _model: &dyn Model, asked: &Asked<'_>) -> Result<Array2<f32>> {
        Ok(asked.each(|_, logits, answer| {
            let mut shown = probabilities(logits);
            let order = ranking(logits);
            let (_, hidden) = order.split_at(self.k.min(order.len()));
            let rest: f64 = hidden.iter().map(|&class| shown[class]).sum();
            for &class in hidden {
                shown[class] = rest / hidden.len() as f64;
            }
            for (answer, p) in answer.iter_mut().zip(shown) {
                *answer = p as f32;
            }
            keep_label(answer, order[0]);
        }))
    }
}
