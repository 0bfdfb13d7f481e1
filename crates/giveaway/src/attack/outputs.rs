//! From a row of logits or probabilities to the signals of one record.

use super::exponential::softplus_of_minus;

/// What a row holds and how it is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowReader {
    /// Whether rows are logits; otherwise probabilities.
    pub logits: bool,
    /// Logits are divided by this before the softmax (probabilities are raised to its inverse
    /// and made to sum to one again, which is the same).
    pub temperature: f64,
    /// Probabilities of the true class, and of all others together, below this count as this.
    pub clamp: f64,
}

/// The signals of one record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowSignals {
    /// `φ = ln p_y - ln Σ_{j≠y} p_j`.
    pub scaled_logit: f64,
    /// `-Σ p ln p`.
    pub entropy: f64,
    /// `-(1-p_y) ln p_y - Σ_{j≠y} p_j ln(1-p_j)`.
    pub modified_entropy: f64,
    /// Whether the true class has the largest output; of equals the first counts.
    pub correct: bool,
}

impl RowReader {
    /// The scaled logit alone.
    #[must_use]
    pub fn scaled_logit(&self, row: &[f64], label: usize) -> f64 {
        let others = || {
            row.iter()
                .enumerate()
                .filter(|&(class, _)| class != label)
                .map(|(_, &x)| x)
        };
        if self.logits {
            let largest = others().fold(f64::NEG_INFINITY, f64::max) / self.temperature;
            let sum: f64 = others()
                .map(|z| (z / self.temperature - largest).exp())
                .sum();
            let phi = row[label] / self.temperature - largest - sum.ln();
            // a logit as far out as a clamped probability
            let most = -self.clamp.ln();
            return phi.clamp(-most, most);
        }
        // In units of the largest: at a low temperature the powers of all may be too small
        // for a number above 0.
        let largest = row.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let power = |p: f64| (p.max(0.0) / largest).powf(1.0 / self.temperature);
        let (own, rest) = if (self.temperature - 1.0).abs() < f64::EPSILON {
            (row[label], others().sum::<f64>())
        } else {
            (power(row[label]), others().map(power).sum())
        };
        // Rows that sum to one but for rounding: the sum takes its part of the quotient.
        let total = own + rest;
        (own / total).max(self.clamp).ln() - (rest / total).max(self.clamp).ln()
    }

    /// All signals. `probabilities` is scratch space.
    #[must_use]
    pub fn signals(&self, row: &[f64], label: usize, probabilities: &mut Vec<f64>) -> RowSignals {
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        probabilities.clear();
        if self.logits {
            probabilities.extend(row.iter().map(|z| ((z - largest) / self.temperature).exp()));
        } else {
            let unit = largest.max(f64::MIN_POSITIVE);
            let power = |p: &f64| (p.max(0.0) / unit).powf(1.0 / self.temperature);
            probabilities.extend(row.iter().map(power));
        }
        let sum: f64 = probabilities.iter().sum();
        for p in probabilities.iter_mut() {
            *p /= sum;
        }
        // x ln x is 0 at 0
        let entropy = |p: f64| if p > 0.0 { -p * p.ln() } else { 0.0 };
        let scaled_logit = self.scaled_logit(row, label);
        // ln p_y and 1 - p_y from φ: neither cancels where p_y is nearly 1
        let log_own = -softplus_of_minus(scaled_logit);
        let others = 1.0 / (1.0 + scaled_logit.exp());
        let modified: f64 = probabilities
            .iter()
            .enumerate()
            .filter(|&(class, _)| class != label)
            .map(|(class, &p)| {
                // 1 - p_j is the sum of the others where p_j is nearly 1
                let rest: f64 = if p > 0.5 {
                    let all = probabilities.iter().enumerate();
                    all.filter(|&(other, _)| other != class)
                        .map(|(_, &q)| q)
                        .sum()
                } else {
                    1.0 - p
                };
                -p * rest.max(self.clamp).ln()
            })
            .sum();
        RowSignals {
            scaled_logit,
            entropy: probabilities.iter().map(|&p| entropy(p)).sum(),
            modified_entropy: -others * log_own + modified,
            correct: row.iter().position(|&x| x >= largest) == Some(label),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::evidence::Scalar;
    use proptest::prelude::*;

    const LOGITS: RowReader = RowReader {
        logits: true,
        temperature: 1.0,
        clamp: f64::MIN_POSITIVE,
    };
    const PROBABILITIES: RowReader = RowReader {
        logits: false,
        ..LOGITS
    };

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-7
    }

    /// Values of methods, section 0.
    #[test]
    fn check_values_of_the_signals() {
        let first = LOGITS.scaled_logit(&[1.0, 2.0, -3.0], 1);
        assert!(close(first, 0.981_850_09));
        assert!(close(Scalar::ScaledLogit.loss(first), 0.318_175_43));
        assert!(close(Scalar::ScaledLogit.confidence(first), 0.727_475_16));
        let second = LOGITS.scaled_logit(&[-1.0, 1.0, 0.0], 2);
        assert!(close(second, -1.126_928_02));
        assert!(close(Scalar::ScaledLogit.loss(second), 1.407_605_96));
        assert!(close(Scalar::ScaledLogit.confidence(second), 0.244_728_47));
    }

    /// Plain formulas on probabilities far from 0 and 1.
    #[test]
    fn entropies_are_those_of_the_formulas() {
        let p = [0.2, 0.5, 0.3];
        let found = PROBABILITIES.signals(&p, 0, &mut Vec::new());
        let entropy: f64 = p.iter().map(|p: &f64| -p * p.ln()).sum();
        let modified = -0.8 * 0.2f64.ln() - 0.5 * 0.5f64.ln() - 0.3 * 0.7f64.ln();
        assert!(close(found.entropy, entropy) && close(found.modified_entropy, modified));
        assert!(!found.correct && PROBABILITIES.signals(&p, 1, &mut Vec::new()).correct);
    }

    #[test]
    fn certainty_stays_finite_and_right() {
        for reader in [LOGITS, PROBABILITIES] {
            let rows: [[f64; 3]; 2] = if reader.logits {
                [[900.0, 0.0, -900.0], [0.0, 0.0, 900.0]]
            } else {
                [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
            };
            for (row, label) in rows.iter().zip([0, 1]) {
                let found = reader.signals(row, label, &mut Vec::new());
                assert!(found.scaled_logit.is_finite() && found.entropy.abs() < 1e-300);
                assert!(found.modified_entropy.is_finite());
                assert_eq!(found.correct, label == 0);
                assert_eq!(found.modified_entropy < 1e-100, label == 0, "{found:?}");
            }
        }
        // nearly certain: 1 - p is 1e-20 and not 0
        let found = LOGITS.signals(&[46.0, 0.0], 1, &mut Vec::new());
        assert!(
            (found.modified_entropy / 92.0 - 1.0).abs() < 1e-9,
            "{found:?}"
        );
    }

    proptest! {
        #[test]
        fn logits_and_probabilities_agree_at_any_temperature(
            z in prop::collection::vec(-5.0f64..5.0, 2..6),
            temperature in prop_oneof![0.5f64..4.0, 0.004f64..0.5],
        ) {
            let sum: f64 = z.iter().map(|z| z.exp()).sum();
            let p: Vec<f64> = z.iter().map(|z| z.exp() / sum).collect();
            let a = RowReader { temperature, ..LOGITS }.signals(&z, 0, &mut Vec::new());
            let b = RowReader { temperature, ..PROBABILITIES }.signals(&p, 0, &mut Vec::new());
            prop_assert!(close(a.scaled_logit, b.scaled_logit) && close(a.entropy, b.entropy));
            prop_assert!(close(a.modified_entropy, b.modified_entropy));
        }
    }
}
