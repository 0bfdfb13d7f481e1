//! Trained models of the run, taken out of their files to be asked.

use std::collections::BTreeMap;
use std::ops::Range;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::run::directory::RunDirectory;
use crate::trainer::{Model, Trainer};

/// Some reference models by number.
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
