//! What models are good for, on records that they were not trained on: accuracy, balanced
//! accuracy, log loss and AUC, comparable between recipes by shared bootstrap draws.

use serde::{Deserialize, Serialize};

use giveaway_stats::roc::Roc;

use super::paired::{Draws, Part, Replicated};

/// How one model answers records.
#[derive(Clone, Debug, Default)]
pub struct Answered {
    /// The model's family.
    pub family: usize,
    /// Per record: whether the model was trained on it.
    pub inside: Vec<bool>,
    /// Per record: whether it is classified correctly.
    pub correct: Vec<bool>,
    /// Per record: loss in nats.
    pub loss: Vec<f32>,
}

/// Figures over models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Usefulness {
    /// Accuracy on records that a model was trained on; mean over models.
    pub train_accuracy: Option<f64>,
    /// Accuracy on the others.
    pub accuracy: Replicated,
    /// Mean of the classes' accuracies.
    pub balanced_accuracy: Replicated,
    /// Mean loss, in nats.
    pub log_loss: Replicated,
    /// Accuracy by class.
    pub classes: Vec<Replicated>,
    /// Accuracy by group, grouping after grouping.
    pub groups: Vec<Vec<Replicated>>,
}

/// The records that utility is measured on.
#[derive(Clone, Copy)]
pub struct Measured<'a> {
    /// Their classes.
    pub labels: &'a [u32],
    /// How many there are.
    pub classes: usize,
    /// The unit of each record, by its place among those of the draws; nothing for records that
    /// no figure is taken from.
    pub unit: &'a [Option<u32>],
    /// Groupings: the number of groups, and the group of each record.
    pub groupings: &'a [(usize, &'a [u32])],
}

impl Measured<'_> {
    /// The figures of these models, in a part of families and units. Each model counts equally
    /// often as the records that it answers.
    #[must_use]
    pub fn usefulness(&self, models: &[Answered], part: Part<'_>, draws: &Draws) -> Usefulness {
        let counts = |model: &Answered, record: usize| {
            self.unit[record].filter(|&unit| {
                part.families[model.family] && part.records[unit as usize] && !model.inside[record]
            })
        };
        // Per family and unit, sums over models and records: what replicates weigh.
        let mut all = Cells::new(1);
        let mut by_class = Cells::new(self.classes);
        let mut by_group: Vec<Cells> = self
            .groupings
            .iter()
            .map(|&(groups, _)| Cells::new(groups))
            .collect();
        let mut trained = (0usize, 0usize);
        for model in models {
            for record in 0..self.labels.len() {
                let correct = model.correct[record];
                if let Some(unit) = counts(model, record) {
                    let cell = Cell {
                        family: model.family as u32,
                        unit,
                        correct,
                        loss: model.loss[record],
                    };
                    all.add(0, cell);
                    by_class.add(self.labels[record] as usize, cell);
                    for (cells, &(_, of_record)) in by_group.iter_mut().zip(self.groupings) {
                        cells.add(of_record[record] as usize, cell);
                    }
                } else if let Some(unit) = self.unit[record]
                    && model.inside[record]
                    && part.families[model.family]
                    && part.records[unit as usize]
                {
                    trained.0 += usize::from(correct);
                    trained.1 += 1;
                }
            }
        }
        let accuracy = |cells: &[Cell]| {
            draws.replicate(|family, unit| {
                mean(cells, family, unit, |cell| {
                    f64::from(u8::from(cell.correct))
                })
            })
        };
        let classes: Vec<Replicated> = by_class.of.iter().map(|cells| accuracy(cells)).collect();
        Usefulness {
            train_accuracy: (trained.1 > 0).then(|| trained.0 as f64 / trained.1 as f64),
            accuracy: accuracy(&all.of[0]),
            balanced_accuracy: balanced(&classes),
            log_loss: draws.replicate(|family, unit| {
                mean(&all.of[0], family, unit, |cell| f64::from(cell.loss))
            }),
            classes,
            groups: by_group
                .iter()
                .map(|cells| cells.of.iter().map(|cells| accuracy(cells)).collect())
                .collect(),
        }
    }
}

/// The mean over classes, of the data and of every replicate.
fn balanced(classes: &[Replicated]) -> Replicated {
    let mean = |values: &mut dyn Iterator<Item = Option<f64>>| {
        let known: Vec<f64> = values.flatten().collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    };
    let replicates = classes.first().map_or(0, |class| class.replicates.len());
    Replicated {
        value: mean(&mut classes.iter().map(|class| class.value)),
        replicates: (0..replicates)
            .map(|i| mean(&mut classes.iter().map(|class| class.replicates[i])))
            .collect(),
    }
}

/// One answer.
#[derive(Clone, Copy)]
struct Cell {
    family: u32,
    unit: u32,
    correct: bool,
    loss: f32,
}

/// Answers by group.
struct Cells {
    of: Vec<Vec<Cell>>,
}

impl Cells {
    fn new(groups: usize) -> Self {
        Self {
            of: vec![Vec::new(); groups],
        }
    }

    fn add(&mut self, group: usize, cell: Cell) {
        self.of[group].push(cell);
    }
}

fn mean(
    cells: &[Cell],
    family: &dyn Fn(usize) -> f64,
    unit: &dyn Fn(usize) -> f64,
    value: impl Fn(&Cell) -> f64,
) -> Option<f64> {
    let (mut sum, mut weights) = (0.0, 0.0);
    for cell in cells {
        let weight = family(cell.family as usize) * unit(cell.unit as usize);
        sum += weight * value(cell);
        weights += weight;
    }
    (weights > 0.0).then(|| sum / weights)
}

/// Area under the ROC curve of a model's scores for classes, `[records × classes]`: of the second
/// class where there are two, else the mean over the classes of each against the rest; classes
/// that all or none of the records have are left out, and nothing is left where none is.
#[must_use]
pub fn class_auc(scores: &[&[f32]], labels: &[u32], classes: usize) -> Option<f64> {
    let of_class = |class: usize| {
        let values: Vec<f64> = scores.iter().map(|row| f64::from(row[class])).collect();
        let own: Vec<bool> = labels
            .iter()
            .map(|&label| label as usize == class)
            .collect();
        Roc::new(&values, &own).ok().map(|roc| roc.auc())
    };
    if classes == 2 {
        return of_class(1);
    }
    let known: Vec<f64> = (0..classes).filter_map(of_class).collect();
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
}

#[cfg(test)]
mod tests;
