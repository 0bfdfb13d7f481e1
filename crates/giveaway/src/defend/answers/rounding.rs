//! Rounding: probabilities with few decimals (Shokri et al. 2017, section VIII).
//!
//! Plain rounding leaves rows that do not sum to 1 (three times a third with one decimal) and can
//! make another class the answered one (.504 and .496). So a row is dealt out in units of
//! `10^-d` by largest remainders: every probability is rounded down, and the units that are
//! missing go to those that lost most, of equals first to the answered class and then in the order
//! of the classes. Each number is within a unit of the probability. With two classes it is plain
//! rounding but for halves. Where an earlier class then is equal to the answered one, it hands over one unit, and
//! the label stays.

use ndarray::Array2;

use super::guard::{Asked, Guard, Rule};
use super::row::{answered, probabilities};
use crate::channel::OutputKind;
use crate::defend::{About, Bench, Defence, Guarded, Stage};
use crate::error::{Error, Result};
use crate::trainer::Model;

/// Probabilities with few decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rounding {
    decimals: u8,
}

impl Default for Rounding {
    /// Two decimals.
    fn default() -> Self {
        Self { decimals: 2 }
    }
}

impl Rounding {
    /// So many decimals.
    ///
    /// # Errors
    /// If they are not from 1 to 6.
    pub fn new(decimals: u8) -> Result<Self> {
        if !(1..=6).contains(&decimals) {
            return Err(
                Error::usage(format!("probabilities are rounded to {decimals} decimals"))
                    .hint("give a number from 1 to 6; label-only tells still less"),
            );
        }
        Ok(Self { decimals })
    }
}

impl Defence for Rounding {
    fn name(&self) -> String {
        format!("round:{}", self.decimals)
    }

    fn about(&self) -> About {
        let d = self.decimals;
        About {
            title: format!("rounding to {d} decimals"),
            source: "Shokri et al. 2017",
            what: format!(
                "Probabilities are rounded to {d} decimals so that they still sum to 1 and the label stays."
            ),
            promise: None,
            stage: Stage::Answers,
            sample_aware: false,
            keeps_labels: true,
            scikit_learn: format!(
                "p = model.predict_proba(X); q = np.floor(p * 10**{d}); give each row's missing units, 10**{d} - q.sum(1), \
                 to its largest remainders, and of equals to the class with the larger p; answer q / 10**{d}. (np.round \
                 does the same for two classes but for ties, where it can change the label.)"
            ),
            pytorch: "as with scikit-learn, on torch.softmax(z, 1)".to_owned(),
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

impl Rule for Rounding {
    fn kind(&self) -> OutputKind {
        OutputKind::Probabilities
    }

    fn answers(&self, _model: &dyn Model, asked: &Asked<'_>) -> Result<Array2<f32>> {
        let units = 10f64.powi(i32::from(self.decimals));
        Ok(asked.each(|_, logits, answer| {
            let dealt = dealt_out(&probabilities(logits), answered(logits), units);
            for (answer, count) in answer.iter_mut().zip(dealt) {
                *answer = (count / units) as f32;
            }
        }))
    }
}

/// How many of so many units each class gets.
fn dealt_out(probabilities: &[f64], label: usize, units: f64) -> Vec<f64> {
    let mut counts: Vec<f64> = probabilities.iter().map(|p| (p * units).floor()).collect();
    let missing = units - counts.iter().sum::<f64>();
    let lost = |class: usize| probabilities[class] * units - counts[class];
    let mut order: Vec<usize> = (0..counts.len()).collect();
    order.sort_by(|&a, &b| {
        let by_loss = lost(b).total_cmp(&lost(a));
        by_loss.then((a != label).cmp(&(b != label)))
    });
    // sums of floating-point numbers may be off by one unit, in either direction
    if missing >= 0.0 {
        for &class in order.iter().take(missing as usize) {
            counts[class] += 1.0;
        }
    } else {
        counts[label] += missing;
    }
    for class in 0..label {
        if counts[class] >= counts[label] {
            counts[class] -= 1.0;
            counts[label] += 1.0;
        }
    }
    for class in label + 1..counts.len() {
        if counts[class] > counts[label] {
            counts[class] -= 1.0;
            counts[label] += 1.0;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_dealt_out_by_largest_remainders() {
        let third = [1.0 / 3.0; 3];
        assert_eq!(dealt_out(&third, 0, 10.0), [4.0, 3.0, 3.0]);
        // .26 .26 .48 with one decimal: 2 + 2 + 4, and the two that are missing to .48 and the first
        assert_eq!(dealt_out(&[0.26, 0.26, 0.48], 2, 10.0), [3.0, 2.0, 5.0]);
        assert_eq!(dealt_out(&[0.125, 0.875], 1, 100.0), [12.0, 88.0]);
    }

    #[test]
    fn an_equal_earlier_class_hands_over_a_unit() {
        assert_eq!(dealt_out(&[0.499, 0.501], 1, 100.0), [49.0, 51.0]);
        assert_eq!(dealt_out(&[0.501, 0.499], 0, 100.0), [50.0, 50.0]);
        assert_eq!(dealt_out(&[0.0, 1.0], 1, 10.0), [0.0, 10.0]);
    }
}
