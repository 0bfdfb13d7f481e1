//! DP-SGD with a smaller clip for the exposed records alone: individual accounting (Feldman and
//! Zrnic, "Individual privacy accounting via a Rényi filter", `NeurIPS` 2021) with clips that are
//! chosen beforehand, not by the data of the steps.
//!
//! Gradients of exposed records are clipped to s·C, all others to C, and the noise is σ·C for all.
//! To an exposed record that is DP-SGD with the noise multiplier σ/s: its ε is smaller. Both hold
//! given the list of the exposed records. The list itself was made with the data and is not
//! private: who sees it learns who is on it, and that a record is on it may depend on others.

use super::around::{Around, Change, check, need_exposed};
use super::dp_sgd::{DpSgd, Guarantee, IN_SCIKIT_LEARN};
use crate::defend::{About, Bench, Defence, Stage};
use crate::error::Result;
use crate::trainer::{Lesson, Model, Trainer};

/// DP-SGD that clips exposed records harder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HarderClipping {
    all: DpSgd,
    share: f32,
}

impl HarderClipping {
    /// As `all` for all records, with this share of its clip for the exposed.
    ///
    /// # Errors
    /// If the share is not above 0 and below 1.
    pub fn new(all: DpSgd, share: f32) -> Result<Self> {
        let good = share > 0.0 && share < 1.0;
        check(
            "harder-clipping",
            "the share of the clip",
            share,
            "above 0 and below 1",
            good,
        )?;
        Ok(Self { all, share })
    }

    /// What is guaranteed to all records, and to the exposed.
    ///
    /// # Errors
    /// As [`DpSgd::guarantee`].
    pub fn guarantees(&self, bench: &Bench) -> Result<(Guarantee, Guarantee)> {
        let all = self.all.guarantee(bench)?;
        let share = f64::from(self.share);
        let exposed = Guarantee {
            epsilon: all.epsilon_at(share)?,
            noise_multiplier: all.noise_multiplier / share,
            ..all
        };
        Ok((all, exposed))
    }
}

struct Clipped {
    clips: Vec<f32>,
}

impl Change for Clipped {
    fn train<'t>(
        &'t self,
        inner: &'t (dyn Trainer + 't),
        rows: &[u32],
        validation: &[u32],
        seed: u64,
    ) -> Result<Box<dyn Model + 't>> {
        let lesson = Lesson {
            clips: Some(&self.clips),
            ..Lesson::of(rows, validation)
        };
        inner.learn(&lesson, seed)
    }

    fn memory(&self, _: usize, records: usize, _: usize) -> usize {
        (self.clips.len() + records) * size_of::<f32>()
    }
}

impl Defence for HarderClipping {
    fn name(&self) -> String {
        format!("harder-clipping:{},{}", self.share, self.all.settings())
    }

    fn about(&self) -> About {
        About {
            title: format!(
                "DP-SGD, exposed records clipped to {} of the clip",
                self.share
            ),
            source: "Abadi and others 2016; Feldman and Zrnic 2021",
            what: format!(
                "Gradients of exposed records are clipped to {} of what others are clipped to, with the same noise.",
                self.share
            ),
            promise: Some(format!(
                "{} For an exposed record it holds with 1/{} times the noise multiplier, given the list of the exposed; the list was made with the data and is not private.",
                self.all.promise(),
                self.share
            )),
            stage: Stage::Training,
            sample_aware: true,
            keeps_labels: false,
            scikit_learn: IN_SCIKIT_LEARN.into(),
            pytorch: format!(
                "{}. Opacus clips all alike: in a subclass of opacus.optimizers.DPOptimizer, clip_and_accumulate must take {} * max_grad_norm for the listed records of the batch",
                self.all.in_pytorch(),
                self.share
            ),
        }
    }

    fn trainer<'a>(&'a self, bench: &'a Bench<'a>) -> Result<Option<Box<dyn Trainer + 'a>>> {
        need_exposed(bench, "clip harder")?;
        let clips = bench
            .exposed
            .iter()
            .map(|&exposed| if exposed { self.share } else { 1.0 })
            .collect();
        let alteration = self.all.alteration(bench)?;
        Around::altered(bench, &alteration, Clipped { clips }).map(Some)
    }
}
