//! The files of `conformance/attacks`: input of the attacks and what should come of it.

use std::collections::BTreeMap;
use std::path::Path;

use giveaway::attack::evidence::{Evidence, Outputs, Population, Query, Real, Scalar};
use giveaway::attack::outputs::{RowReader, RowSignals};
use serde::Deserialize;
use serde_json::Value;

use crate::Failure;

/// A file as it is written.
#[derive(Deserialize)]
struct File {
    name: String,
    kind: String,
    gamma: f64,
    offline_a: Option<f64>,
    temperature: f64,
    clamp: f64,
    float32: bool,
    /// `[queries][models][records]`, or `[1][models][records][classes]`.
    references: Value,
    inside: Vec<Vec<u8>>,
    /// `[queries][records]`, or `[1][records][classes]`.
    target: Value,
    labels: Option<Vec<u32>>,
    population: Option<PopulationFile>,
    expected: BTreeMap<String, ExpectedFile>,
}

#[derive(Deserialize)]
struct PopulationFile {
    references: Vec<Vec<f64>>,
    target: Vec<f64>,
    inside: Option<Vec<Vec<u8>>>,
}

#[derive(Deserialize)]
struct ExpectedFile {
    scores: Vec<Option<f64>>,
    p: Option<Vec<Option<f64>>>,
}

/// What a method should say.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Scores; `NaN` for none.
    pub scores: Vec<f64>,
    /// P-values, where the method has them.
    pub p_values: Option<Vec<f64>>,
}

/// Signals of one query: `[models][records]` and `[records]`.
struct Signals {
    references: Vec<Vec<f64>>,
    target: Vec<f64>,
}

/// One case, its rows of classes read.
pub struct Case {
    /// Name of its file.
    pub name: String,
    /// RMIA's γ.
    pub gamma: f64,
    /// RMIA's a; tuned without it.
    pub offline_a: Option<f64>,
    /// Whether reference signals are float32.
    pub float32: bool,
    /// What each method should say, by its name, for direct inference with the null's.
    pub expected: BTreeMap<String, Expected>,
    kind: Scalar,
    queries: Vec<Signals>,
    inside: Vec<Vec<bool>>,
    tempered: Option<Signals>,
    target_outputs: Option<Outputs>,
    reference_outputs: Vec<Outputs>,
    labels: Option<Vec<u32>>,
    population: Option<(Signals, Option<Vec<Vec<bool>>>)>,
}

/// All cases, by name.
///
/// # Errors
/// If a file cannot be read, or there is none.
pub fn all() -> Result<Vec<Case>, Failure> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("attacks");
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            let case = read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            cases.push(case);
        }
    }
    if cases.is_empty() {
        return Err(format!("{}: there are no cases", folder.display()).into());
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}

fn read(path: &Path) -> Result<Case, Failure> {
    let file: File = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let truth = |rows: Vec<Vec<u8>>| -> Vec<Vec<bool>> {
        let row = |row: Vec<u8>| row.into_iter().map(|bit| bit == 1).collect();
        rows.into_iter().map(row).collect()
    };
    let number = |values: Vec<Option<f64>>| -> Vec<f64> {
        values.into_iter().map(|x| x.unwrap_or(f64::NAN)).collect()
    };
    let mut case = Case {
        name: file.name,
        gamma: file.gamma,
        offline_a: file.offline_a,
        float32: file.float32,
        expected: file
            .expected
            .into_iter()
            .map(|(method, expected)| {
                let expected = Expected {
                    scores: number(expected.scores),
                    p_values: expected.p.map(number),
                };
                (method, expected)
            })
            .collect(),
        kind: Scalar::ScaledLogit,
        queries: Vec::new(),
        inside: truth(file.inside),
        tempered: None,
        target_outputs: None,
        reference_outputs: Vec::new(),
        labels: file.labels,
        population: file.population.map(|population| {
            let signals = Signals {
                references: population.references,
                target: population.target,
            };
            (signals, population.inside.map(truth))
        }),
    };
    let logits = match file.kind.as_str() {
        "logits" => true,
        "probabilities" => false,
        kind => {
            case.kind = match kind {
                "scaled-logit" => Scalar::ScaledLogit,
                "loss" => Scalar::Loss,
                "confidence" => Scalar::Confidence,
                _ => return Err(format!("there is no signal `{kind}`").into()),
            };
            let references: Vec<Vec<Vec<f64>>> = serde_json::from_value(file.references)?;
            let target: Vec<Vec<f64>> = serde_json::from_value(file.target)?;
            case.queries = references
                .into_iter()
                .zip(target)
                .map(|(references, target)| Signals { references, target })
                .collect();
            return Ok(case);
        }
    };
    let reader = RowReader {
        logits,
        temperature: 1.0,
        clamp: file.clamp,
    };
    let references: Vec<Vec<Vec<Vec<f64>>>> = serde_json::from_value(file.references)?;
    let target: Vec<Vec<Vec<f64>>> = serde_json::from_value(file.target)?;
    case.read_rows(&references[0], &target[0], reader)?;
    if (file.temperature - 1.0).abs() > 0.0 {
        let reader = RowReader {
            temperature: file.temperature,
            ..reader
        };
        case.temper(&references[0], &target[0], reader)?;
    }
    Ok(case)
}

impl Case {
    /// Signals and whole outputs from rows `[models][records][classes]`.
    fn read_rows(
        &mut self,
        references: &[Vec<Vec<f64>>],
        target: &[Vec<f64>],
        reader: RowReader,
    ) -> Result<(), Failure> {
        let labels = self.labels.as_ref().ok_or("rows of classes need labels")?;
        let mut scratch = Vec::new();
        let mut of_model = |rows: &[Vec<f64>]| -> (Vec<f64>, Outputs) {
            let signals: Vec<RowSignals> = rows
                .iter()
                .zip(labels)
                .map(|(row, &label)| reader.signals(row, label as usize, &mut scratch))
                .collect();
            let outputs = Outputs {
                entropy: signals.iter().map(|s| s.entropy).collect(),
                modified_entropy: signals.iter().map(|s| s.modified_entropy).collect(),
                correct: signals
                    .iter()
                    .map(|s| f64::from(u8::from(s.correct)))
                    .collect(),
            };
            (signals.iter().map(|s| s.scaled_logit).collect(), outputs)
        };
        let (target, target_outputs) = of_model(target);
        let (references, reference_outputs) = references.iter().map(|m| of_model(m)).unzip();
        self.queries = vec![Signals { references, target }];
        self.target_outputs = Some(target_outputs);
        self.reference_outputs = reference_outputs;
        Ok(())
    }

    /// Confidences at another temperature.
    fn temper(
        &mut self,
        references: &[Vec<Vec<f64>>],
        target: &[Vec<f64>],
        reader: RowReader,
    ) -> Result<(), Failure> {
        let labels = self.labels.as_ref().ok_or("rows of classes need labels")?;
        let of_model = |rows: &Vec<Vec<f64>>| -> Vec<f64> {
            rows.iter()
                .zip(labels)
                .map(|(row, &label)| {
                    Scalar::ScaledLogit.confidence(reader.scaled_logit(row, label as usize))
                })
                .collect()
        };
        self.tempered = Some(Signals {
            references: references.iter().map(of_model).collect(),
            target: of_model(&target.to_vec()),
        });
        Ok(())
    }

    /// The evidence, with reference signals as `T`.
    pub fn with_evidence<T: Real, R>(
        &self,
        as_stored: impl Fn(f64) -> T,
        judge: impl FnOnce(&Evidence<'_, T>) -> R,
    ) -> R {
        let stored = |signals: &Signals| -> Vec<Vec<T>> {
            let row = |row: &Vec<f64>| row.iter().map(|&x| as_stored(x)).collect();
            signals.references.iter().map(row).collect()
        };
        let queries: Vec<Vec<Vec<T>>> = self.queries.iter().map(stored).collect();
        let tempered = self.tempered.as_ref().map(stored);
        let population = self.population.as_ref().map(|(signals, _)| stored(signals));
        let query = |rows, signals: &Signals| Query {
            references: slices(rows),
            target: signals.target.clone(),
        };
        let evidence = Evidence {
            losses: None,
            kind: self.kind,
            queries: queries
                .iter()
                .zip(&self.queries)
                .map(|(rows, signals)| query(rows, signals))
                .collect(),
            inside: slices(&self.inside),
            tempered: tempered
                .as_ref()
                .zip(self.tempered.as_ref())
                .map(|(rows, signals)| query(rows, signals)),
            target_outputs: self.target_outputs.as_ref(),
            reference_outputs: self.reference_outputs.iter().collect(),
            labels: self.labels.as_deref(),
            features: None,
            traces: None,
            population: population.as_ref().zip(self.population.as_ref()).map(
                |(rows, (signals, inside))| Population {
                    signal: query(rows, signals),
                    tempered: None,
                    inside: inside.as_ref().map(|rows| slices(rows)),
                },
            ),
        };
        judge(&evidence)
    }
}

fn slices<T>(rows: &[Vec<T>]) -> Vec<&[T]> {
    rows.iter().map(Vec::as_slice).collect()
}
