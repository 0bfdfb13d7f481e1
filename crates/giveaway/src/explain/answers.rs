//! What the reference models answer about each record, by whether they were trained on it.
//!
//! The models come in two halves. One half measures: divergence, difficulty, suspicion of the
//! label. The other half judges: the leak that the measures are to predict. A leak from the same
//! models would share their noise with the measures, and any comparison would be circular.
//!
//! Outputs `[models × records × classes]` stay on disk; sixteen models are held at a time, and
//! what is kept is `[records × classes]`.

use std::ops::Range;

use ndarray::Array2;
use rayon::prelude::*;

use super::divergence;
use crate::error::Result;
use crate::membership::Membership;
use crate::units::Units;

/// Models whose outputs are held at a time.
const AT_ONCE: usize = 16;

/// Records that one thread takes at a time.
const BLOCK: usize = 256;

/// OUT and IN, as indices.
const OUT: usize = 0;
const IN: usize = 1;

/// Sums over the models of one half, for one record.
#[derive(Clone, Debug, Default)]
struct Sums {
    models: [u32; 2],
    loss: [f64; 2],
    /// Probability of the record's label.
    probability: [f64; 2],
    correct: [u32; 2],
    /// Over OUT models: probability of the label less the largest other.
    margin: f64,
}

/// What is known of one record from the models of one half; NaN where there are none.
#[derive(Clone, Copy, Debug)]
pub struct RecordAnswers {
    /// Models that were not trained on it, and that were.
    pub models: [u32; 2],
    /// Mean loss under OUT models, in nats.
    pub loss_out: f64,
    /// Mean loss under IN models.
    pub loss_in: f64,
    /// Mean probability of the record's label under OUT models.
    pub probability_out: f64,
    /// Under IN models.
    pub probability_in: f64,
    /// Share of the OUT models that are right.
    pub correct_out: f64,
    /// Share of the IN models that are right.
    pub correct_in: f64,
    /// Mean over the OUT models of the probability of the label less the largest other one.
    pub margin_out: f64,
}

impl RecordAnswers {
    /// `loss_out - loss_in`, in nats: what training on the record changes.
    #[must_use]
    pub fn loss_gap(&self) -> f64 {
        self.loss_out - self.loss_in
    }
}

impl Sums {
    fn add(&mut self, side: usize, answer: &Answer) {
        self.models[side] += 1;
        self.loss[side] += answer.loss;
        self.probability[side] += answer.probability;
        self.correct[side] += u32::from(answer.correct);
        if side == OUT {
            self.margin += answer.margin;
        }
    }

    fn finish(&self) -> RecordAnswers {
        let mean = |sum: f64, side: usize| match self.models[side] {
            0 => f64::NAN,
            count => sum / f64::from(count),
        };
        RecordAnswers {
            models: self.models,
            loss_out: mean(self.loss[OUT], OUT),
            loss_in: mean(self.loss[IN], IN),
            probability_out: mean(self.probability[OUT], OUT),
            probability_in: mean(self.probability[IN], IN),
            correct_out: mean(f64::from(self.correct[OUT]), OUT),
            correct_in: mean(f64::from(self.correct[IN]), IN),
            margin_out: mean(self.margin, OUT),
        }
    }

    fn merged(&self, other: &Self) -> Self {
        let mut both = self.clone();
        for side in [OUT, IN] {
            both.models[side] += other.models[side];
            both.loss[side] += other.loss[side];
            both.probability[side] += other.probability[side];
            both.correct[side] += other.correct[side];
        }
        both.margin += other.margin;
        both
    }
}

/// One model's answer about one record.
struct Answer {
    loss: f64,
    probability: f64,
    margin: f64,
    correct: bool,
    chosen: usize,
}

impl Answer {
    /// From logits; the probabilities are left in `probabilities`.
    fn of(logits: &[f32], label: usize, probabilities: &mut [f64]) -> Self {
        let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let mut sum = 0.0;
        for (p, &z) in probabilities.iter_mut().zip(logits) {
            *p = (f64::from(z) - largest).exp();
            sum += *p;
        }
        let mut largest_other = 0.0f64;
        for (class, p) in probabilities.iter_mut().enumerate() {
            *p /= sum;
            if class != label {
                largest_other = largest_other.max(*p);
            }
        }
        let z = f64::from(logits[label]) - largest;
        let loss = sum.ln() - z;
        // The first of equals counts, as for accuracies.
        let chosen = logits
            .iter()
            .position(|&z| f64::from(z) >= largest)
            .unwrap_or(0);
        Self {
            loss,
            probability: probabilities[label],
            margin: probabilities[label] - largest_other,
            correct: chosen == label,
            chosen,
        }
    }
}

/// The answers of all reference models about every record.
#[derive(Debug)]
pub struct Answers {
    classes: usize,
    measured: Vec<Sums>,
    judged: Vec<Sums>,
    /// Sums of the probabilities of the half that measures, `[records × classes]`.
    probabilities: [Vec<f32>; 2],
    /// OUT models of the half that measures that choose each class, `[records × classes]`.
    votes: Vec<u16>,
    /// The same of all OUT models.
    all_votes: Vec<u16>,
}

/// How the OUT models of a record differ, and what they say in its label's place.
#[derive(Clone, Copy, Debug)]
pub struct Votes {
    /// Entropy of the mean distribution of the OUT models, in nats.
    pub entropy: f64,
    /// One less the share of OUT models that choose the class that most of them choose.
    pub disagreement: f64,
    /// Share of OUT models that choose the commonest class other than the record's.
    pub against: f64,
    /// That class.
    pub suspected: usize,
}

/// What all OUT models of a record choose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choices {
    /// Share that chooses its label.
    pub right: f64,
    /// Share that chooses the commonest other class.
    pub against: f64,
    /// That class.
    pub other: usize,
}

impl Answers {
    /// Reads every model's logits through `read`; the half `measuring` measures, the others judge.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn gather(
        membership: &Membership,
        units: &Units,
        labels: &[u32],
        classes: usize,
        measuring: &Range<usize>,
        read: impl Fn(usize) -> Result<Array2<f32>> + Sync,
        step: impl Fn(u64),
    ) -> Result<Self> {
        let records = labels.len();
        let mut all = Self {
            classes,
            measured: vec![Sums::default(); records],
            judged: vec![Sums::default(); records],
            probabilities: [vec![0.0; records * classes], vec![0.0; records * classes]],
            votes: vec![0; records * classes],
            all_votes: vec![0; records * classes],
        };
        let models: Vec<usize> = (0..membership.models()).collect();
        for some in models.chunks(AT_ONCE) {
            let outputs: Vec<(usize, Array2<f32>)> = some
                .par_iter()
                .map(|&model| Ok((model, read(model)?)))
                .collect::<Result<_>>()?;
            all.add(&outputs, membership, units, labels, measuring);
            step(some.len() as u64);
        }
        Ok(all)
    }

    /// Adds models, each record's in their order, so that sums do not depend on threads.
    fn add(
        &mut self,
        outputs: &[(usize, Array2<f32>)],
        membership: &Membership,
        units: &Units,
        labels: &[u32],
        measuring: &Range<usize>,
    ) {
        let classes = self.classes;
        let [outside, inside] = &mut self.probabilities;
        (
            self.measured.par_chunks_mut(BLOCK),
            self.judged.par_chunks_mut(BLOCK),
            outside.par_chunks_mut(BLOCK * classes),
            inside.par_chunks_mut(BLOCK * classes),
            self.votes.par_chunks_mut(BLOCK * classes),
            self.all_votes.par_chunks_mut(BLOCK * classes),
        )
            .into_par_iter()
            .enumerate()
            .for_each(
                |(block, (measured, judged, outside, inside, votes, all_votes))| {
                    let mut probabilities = vec![0.0; classes];
                    let mut row = vec![0.0f32; classes];
                    for position in 0..measured.len() {
                        let record = block * BLOCK + position;
                        let unit = units.of_record(record);
                        let at = position * classes..(position + 1) * classes;
                        for (model, logits) in outputs {
                            let logits = logits.row(record);
                            row.iter_mut().zip(logits).for_each(|(to, &z)| *to = z);
                            let label = labels[record] as usize;
                            let answer = Answer::of(&row, label, &mut probabilities);
                            let side = usize::from(membership.is_in(*model, unit));
                            if side == OUT {
                                let vote = &mut all_votes[at.start + answer.chosen];
                                *vote = vote.saturating_add(1);
                            }
                            if !measuring.contains(model) {
                                judged[position].add(side, &answer);
                                continue;
                            }
                            measured[position].add(side, &answer);
                            let sums = if side == IN {
                                &mut *inside
                            } else {
                                &mut *outside
                            };
                            for (sum, p) in sums[at.clone()].iter_mut().zip(&probabilities) {
                                *sum += *p as f32;
                            }
                            if side == OUT {
                                let vote = &mut votes[at.start + answer.chosen];
                                *vote = vote.saturating_add(1);
                            }
                        }
                    }
                },
            );
    }

    /// From the half that measures.
    #[must_use]
    pub fn measured(&self, record: usize) -> RecordAnswers {
        self.measured[record].finish()
    }

    /// From the half that judges.
    #[must_use]
    pub fn judged(&self, record: usize) -> RecordAnswers {
        self.judged[record].finish()
    }

    /// From all models.
    #[must_use]
    pub fn of_all(&self, record: usize) -> RecordAnswers {
        self.measured[record].merged(&self.judged[record]).finish()
    }

    fn mean_distribution(&self, record: usize, side: usize) -> Option<Vec<f64>> {
        let count = self.measured[record].models[side];
        (count > 0).then(|| {
            self.probabilities[side][record * self.classes..(record + 1) * self.classes]
                .iter()
                .map(|&sum| f64::from(sum) / f64::from(count))
                .collect()
        })
    }

    /// How far the mean outputs of IN models are from those of OUT models, on the half that
    /// measures; nothing where there are none of a kind.
    #[must_use]
    pub fn divergence(&self, record: usize) -> Option<divergence::Divergences> {
        let inside = self.mean_distribution(record, IN)?;
        let outside = self.mean_distribution(record, OUT)?;
        divergence::Divergences::between(&inside, &outside).ok()
    }

    /// What all OUT models choose; nothing where there are none.
    #[must_use]
    pub fn choices(&self, record: usize, label: usize) -> Option<Choices> {
        let outside = self.measured[record].models[OUT] + self.judged[record].models[OUT];
        let votes = &self.all_votes[record * self.classes..(record + 1) * self.classes];
        let other = (0..self.classes)
            .filter(|&class| class != label)
            .max_by_key(|&class| (votes[class], std::cmp::Reverse(class)))?;
        let share = |class: usize| f64::from(votes[class]) / f64::from(outside);
        (outside > 0).then(|| Choices {
            right: share(label),
            against: share(other),
            other,
        })
    }

    /// What the OUT models of the half that measures choose; nothing where there are none.
    #[must_use]
    pub fn votes(&self, record: usize, label: usize) -> Option<Votes> {
        let mean = self.mean_distribution(record, OUT)?;
        let votes = &self.votes[record * self.classes..(record + 1) * self.classes];
        let count = f64::from(self.measured[record].models[OUT]);
        let most = votes.iter().copied().max().unwrap_or(0);
        // Where no model chooses another class, the one that they think likeliest.
        let suspected = (0..self.classes)
            .filter(|&class| class != label)
            .max_by(|&a, &b| {
                (votes[a], mean[a])
                    .partial_cmp(&(votes[b], mean[b]))
                    .unwrap_or(std::cmp::Ordering::Equal)
                    .then(b.cmp(&a))
            })?;
        Some(Votes {
            entropy: mean
                .iter()
                .filter(|&&p| p > 0.0)
                .map(|&p| -p * p.ln())
                .sum::<f64>()
                .max(0.0),
            disagreement: 1.0 - f64::from(most) / count,
            against: f64::from(votes[suspected]) / count,
            suspected,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::Design;
    use giveaway_stats::random::Stream;

    /// Logits of four models about three records of three classes, and who learnt from what.
    fn gathered() -> (Answers, Vec<Array2<f32>>, Membership) {
        let membership = Membership::draw(Design::Halves, 8, 3, &[0, 1, 2], 0, 5).unwrap();
        let mut stream = Stream::new(3, "logits", 0);
        let outputs: Vec<Array2<f32>> = (0..8)
            .map(|_| Array2::from_shape_fn((3, 3), |_| stream.normal() as f32))
            .collect();
        let answers = Answers::gather(
            &membership,
            &Units::singletons(3),
            &[0, 1, 2],
            3,
            &(0..4),
            |model| Ok(outputs[model].clone()),
            |_| (),
        )
        .unwrap();
        (answers, outputs, membership)
    }

    fn softmax(row: &ndarray::ArrayView1<f32>) -> Vec<f64> {
        let e: Vec<f64> = row.iter().map(|&z| f64::from(z).exp()).collect();
        let sum: f64 = e.iter().sum();
        e.into_iter().map(|x| x / sum).collect()
    }

    #[test]
    fn means_over_the_models_of_each_kind_and_half_are_those_of_their_definitions() {
        let (answers, outputs, membership) = gathered();
        for record in 0..3 {
            let label = record;
            for (half, found) in [
                (0..4, answers.measured(record)),
                (4..8, answers.judged(record)),
                (0..8, answers.of_all(record)),
            ] {
                for (inside, loss, probability, correct) in [
                    (
                        false,
                        found.loss_out,
                        found.probability_out,
                        found.correct_out,
                    ),
                    (true, found.loss_in, found.probability_in, found.correct_in),
                ] {
                    let rows: Vec<Vec<f64>> = half
                        .clone()
                        .filter(|&model| membership.is_in(model, record) == inside)
                        .map(|model| softmax(&outputs[model].row(record)))
                        .collect();
                    let mean = |of: &dyn Fn(&Vec<f64>) -> f64| {
                        rows.iter().map(of).sum::<f64>() / rows.len() as f64
                    };
                    assert!((loss - mean(&|p| -p[label].ln())).abs() < 1e-9);
                    assert!((probability - mean(&|p| p[label])).abs() < 1e-9);
                    let right = mean(&|p| f64::from(u8::from(p.iter().all(|&q| q <= p[label]))));
                    assert!((correct - right).abs() < 1e-12);
                    if !inside {
                        let margin = mean(&|p| {
                            let other = (0..3).filter(|&c| c != label).map(|c| p[c]);
                            p[label] - other.fold(0.0, f64::max)
                        });
                        assert!((found.margin_out - margin).abs() < 1e-9);
                    }
                }
            }
        }
    }

    #[test]
    fn votes_count_the_out_models_of_the_half_that_measures() {
        let (answers, outputs, membership) = gathered();
        for record in 0..3 {
            let chosen: Vec<usize> = (0..4)
                .filter(|&model| !membership.is_in(model, record))
                .map(|model| {
                    let row = outputs[model].row(record);
                    (0..3).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap()
                })
                .collect();
            let count = |class: usize| chosen.iter().filter(|&&c| c == class).count() as f64;
            let models = chosen.len() as f64;
            let votes = answers.votes(record, record).unwrap();
            let most = (0..3).map(count).fold(0.0, f64::max);
            assert!((votes.disagreement - (1.0 - most / models)).abs() < 1e-12);
            let others = (0..3).filter(|&class| class != record).map(count);
            assert!((votes.against - others.fold(0.0, f64::max) / models).abs() < 1e-12);
            assert_ne!(votes.suspected, record);

            let all: Vec<usize> = (0..8)
                .filter(|&model| !membership.is_in(model, record))
                .map(|model| {
                    let row = outputs[model].row(record);
                    (0..3).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap()
                })
                .collect();
            let share = |class: usize| {
                all.iter().filter(|&&c| c == class).count() as f64 / all.len() as f64
            };
            let choices = answers.choices(record, record).unwrap();
            assert!((choices.right - share(record)).abs() < 1e-12);
            assert!((choices.against - share(choices.other)).abs() < 1e-12);
            let others = (0..3).filter(|&class| class != record).map(share);
            assert!((choices.against - others.fold(0.0, f64::max)).abs() < 1e-12);
        }
    }

    #[test]
    fn a_record_that_no_model_of_a_half_learnt_from_has_no_gap() {
        let membership = Membership::draw(Design::Halves, 4, 3, &[0, 1], 0, 5).unwrap();
        let answers = Answers::gather(
            &membership,
            &Units::singletons(3),
            &[0, 1, 0],
            2,
            &(0..2),
            |_| Ok(Array2::zeros((3, 2))),
            |_| (),
        )
        .unwrap();
        assert!(answers.judged(2).loss_gap().is_nan());
        assert!(answers.divergence(2).is_none());
        assert!((answers.measured(2).loss_out - 2f64.ln()).abs() < 1e-12);
        assert_eq!(answers.measured(2).models, [2, 0]);
    }
}
