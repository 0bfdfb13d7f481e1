//! Trained models of the run, taken out of their files to be asked.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, ArrayView1, ArrayView2};
use rayon::prelude::*;

use crate::enhance::effect::matrix;
use crate::enhance::space::Query;
use crate::error::{Error, Result};
use crate::run::directory::RunDirectory;
use crate::trainer::{Model, Sink, Trainer};

/// Some reference models by number.
#[derive(Default)]
pub(super) struct Models<'a> {
    by_number: BTreeMap<usize, Box<dyn Model + 'a>>,
}

impl<'a> Models<'a> {
    /// Reads these reference models.
    pub(super) fn load(
        run: &RunDirectory,
        trainer: &'a dyn Trainer,
        numbers: Range<usize>,
    ) -> Result<Self> {
        let read: Vec<(usize, Box<dyn Model + 'a>)> = numbers
            .into_par_iter()
            .map(|number| Ok((number, load(run, trainer, &format!("{number:03}"))?)))
            .collect::<Result<_>>()?;
        Ok(Self {
            by_number: read.into_iter().collect(),
        })
    }

    /// The same models, after each was asked about all these inputs at once: where it is asked
    /// about no others, it is not asked again.
    ///
    /// # Errors
    /// If a model cannot answer.
    pub(super) fn asked_at_once(
        self,
        inputs: impl Iterator<Item = Query>,
        step: impl Fn(u64) + Sync,
    ) -> Result<Self> {
        let mut places = HashMap::new();
        let mut distinct: Vec<Query> = Vec::new();
        for query in inputs {
            let key = key(&ArrayView1::from(&query.features));
            if let std::collections::hash_map::Entry::Vacant(place) = places.entry(key) {
                place.insert(distinct.len());
                distinct.push(query);
            }
        }
        if distinct.is_empty() {
            return Ok(self);
        }
        let inputs = matrix(&distinct)?;
        drop(distinct);
        let places = Arc::new(places);
        let asked: Vec<(usize, Box<dyn Model + 'a>)> = self
            .by_number
            .into_iter()
            .collect::<Vec<_>>()
            .into_par_iter()
            .map(|(number, model)| {
                let answers = model.answer(inputs.view())?;
                step(1);
                let asked: Box<dyn Model + 'a> = Box::new(Asked {
                    model,
                    places: Arc::clone(&places),
                    answers,
                });
                Ok((number, asked))
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            by_number: asked.into_iter().collect(),
        })
    }

    /// Those of these numbers, in their order.
    pub(super) fn of(&self, numbers: &[usize]) -> Vec<&dyn Model> {
        numbers
            .iter()
            .filter_map(|number| self.by_number.get(number).map(|model| &**model))
            .collect()
    }

    /// Their numbers.
    pub(super) fn numbers(&self) -> impl Iterator<Item = usize> + '_ {
        self.by_number.keys().copied()
    }
}

/// The model of a name: a number, or `target`.
pub(super) fn load<'a>(
    run: &RunDirectory,
    trainer: &'a dyn Trainer,
    name: &str,
) -> Result<Box<dyn Model + 'a>> {
    let path = run.file(&format!("models/{name}.safetensors"));
    let bytes = std::fs::read(&path).map_err(|e| Error::io("read the weights", &path, &e))?;
    trainer.restore(&bytes).map_err(|e| e.at(path.display()))
}

/// An input, told by its bits.
type Key = [u8; 32];

fn key(input: &ArrayView1<f32>) -> Key {
    let mut hasher = blake3::Hasher::new();
    for value in input {
        hasher.update(&value.to_le_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// A model that knows what it answered.
struct Asked<'a> {
    model: Box<dyn Model + 'a>,
    /// The row of an input among the answers.
    places: Arc<HashMap<Key, usize>>,
    answers: Array2<f32>,
}

impl Model for Asked<'_> {
    fn records(&self) -> usize {
        self.model.records()
    }

    fn classes(&self) -> usize {
        self.model.classes()
    }

    fn each_logits(&self, sink: Sink) -> io::Result<()> {
        self.model.each_logits(sink)
    }

    fn features(&self) -> usize {
        self.model.features()
    }

    fn each_features(&self, sink: Sink) -> io::Result<()> {
        self.model.each_features(sink)
    }

    fn answer(&self, inputs: ArrayView2<f32>) -> Result<Array2<f32>> {
        let known: Option<Vec<usize>> = inputs
            .outer_iter()
            .map(|input| self.places.get(&key(&input)).copied())
            .collect();
        match known {
            Some(rows) => Ok(self.answers.select(ndarray::Axis(0), &rows)),
            None => self.model.answer(inputs),
        }
    }

    fn gradients(&self, inputs: ArrayView2<f32>, label: u32) -> Result<Option<Array2<f32>>> {
        self.model.gradients(inputs, label)
    }

    fn weights(&self) -> Result<Vec<u8>> {
        self.model.weights()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use ndarray::array;

    use super::*;

    /// Answers with twice the input, and counts how often it is asked.
    struct Counting<'a>(&'a AtomicUsize);

    impl Model for Counting<'_> {
        fn records(&self) -> usize {
            0
        }

        fn classes(&self) -> usize {
            2
        }

        fn each_logits(&self, _: Sink) -> io::Result<()> {
            Ok(())
        }

        fn features(&self) -> usize {
            2
        }

        fn each_features(&self, _: Sink) -> io::Result<()> {
            Ok(())
        }

        fn answer(&self, inputs: ArrayView2<f32>) -> Result<Array2<f32>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(inputs.mapv(|x| 2.0 * x))
        }

        fn weights(&self) -> Result<Vec<u8>> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn what_was_asked_is_not_asked_again() {
        let count = AtomicUsize::new(0);
        let one: Box<dyn Model + '_> = Box::new(Counting(&count));
        let models = Models {
            by_number: [(7, one)].into(),
        };
        let query = |features: [f32; 2]| Query {
            features: features.to_vec(),
            donors: Vec::new(),
            record: 0,
        };
        let inputs = [query([1.0, 2.0]), query([3.0, 4.0]), query([1.0, 2.0])];
        let models = models.asked_at_once(inputs.into_iter(), |_| {}).unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 1);
        let model = models.of(&[7])[0];
        let again = model
            .answer(array![[3.0, 4.0], [1.0, 2.0], [3.0, 4.0]].view())
            .unwrap();
        assert_eq!(again, array![[6.0, 8.0], [2.0, 4.0], [6.0, 8.0]]);
        assert_eq!(count.load(Ordering::Relaxed), 1);
        // Something else is asked, and answered.
        let other = model.answer(array![[3.0, 5.0]].view()).unwrap();
        assert_eq!(other, array![[6.0, 10.0]]);
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }
}
