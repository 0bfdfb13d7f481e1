//! Label smoothing: Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, "Rethinking the Inception
//! architecture for computer vision" (CVPR 2016).
//!
//! Models learn (1 − s)·t + s/c in place of the one-hot t of c classes. It is here because it is
//! often taken for a defence: it raises leakage in the measurements of Khalil and others (2025)
//! and of Hintersdorf, Struppek and Kersting (2022).

use super::around::check;
use crate::defend::{About, Bench, Defence, Stage};
use crate::error::Result;
use crate::trainer::{Alteration, Trainer};

/// Labels that are not quite sure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LabelSmoothing {
    smoothing: f32,
}

impl LabelSmoothing {
    /// With this s.
    ///
    /// # Errors
    /// If it is not above 0 and below 1.
    pub fn new(smoothing: f32) -> Result<Self> {
        let good = smoothing > 0.0 && smoothing < 1.0;
        check(
            "label-smoothing",
            "the smoothing",
            smoothing,
            "above 0 and below 1",
            good,
        )?;
        Ok(Self { smoothing })
    }
}

impl Defence for LabelSmoothing {
    fn name(&self) -> String {
        format!("label-smoothing:{}", self.smoothing)
    }

    fn about(&self) -> About {
        About {
            title: format!("Label smoothing {}", self.smoothing),
            source: "Szegedy and others 2016",
            what: "Models learn labels that are not quite sure.".into(),
            promise: Some("Nothing is guaranteed, and published measurements find that it leaks more: expect harm.".into()),
            stage: Stage::Training,
            sample_aware: false,
            keeps_labels: false,
            scikit_learn: format!(
                "has no setting for it; the same objective: each record once for every class, with sample_weight={} / classes, and {} more for its own (MLPClassifier.fit takes sample_weight from scikit-learn 1.7)",
                self.smoothing,
                1.0 - self.smoothing
            ),
            pytorch: format!("torch.nn.CrossEntropyLoss(label_smoothing={})", self.smoothing),
        }
    }

    fn trainer<'a>(&'a self, bench: &'a Bench<'a>) -> Result<Option<Box<dyn Trainer + 'a>>> {
        let alteration = Alteration {
            label_smoothing: Some(self.smoothing),
            ..Alteration::default()
        };
        bench.trainer.altered(&alteration).map(Some)
    }
}
