//! Explaining a finished audit: measures every record, gives reasons for the exposed ones, and
//! says what holds for the model. Reads the run directory and the data; adds to
//! `records.parquet`, `report.json` and the page, and writes the map.

mod attributing;
mod inner;
mod one_record;
mod pictures;
mod places;
mod record_columns;
mod summary;
mod verdicts;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use giveaway_stats::summary::mean;
use rayon::prelude::*;

use super::array_file::read_outputs;
use super::directory::RunDirectory;
use super::pool::Pool;
use super::progress::Progress;
use super::publish::{as_json, write_page};
use super::{Prepared, finish_stage, reopen, training};
use crate::error::{Error, Result};
use crate::explain::answers::Answers;
use crate::explain::findings::sentences;
use crate::explain::measures::{self, Measure, Places};
use crate::explain::ranking::Leaks;
use crate::explain::rarity::rarity;
use crate::explain::reasons::{Facts, REMARKABLE, Reason, Sources, class_medians, usual};
use crate::explain::spread::{Exposure, Permutations};
use crate::explain::words::{self, Subject, Words};
use crate::report::Audit;
use crate::report::explanation::{
    ExplainedUnit, Explanation, ExplanationSettings, UnitAttribution,
};
use crate::trainer::Trainer;
use inner::{InnerModels, Learning};
use places::AllPlaces;
use verdicts::Verdicts;

pub use one_record::explained_record;

/// What to do about outputs that are damaged or gone: only an audit makes them anew.
const AUDIT_AGAIN: &str =
    "delete the file if it is there and run the audit again (giveaway audit RUN): it is made anew";

/// Share of the units that count as the leakiest.
const LEAKY_SHARE: f64 = 0.01;

/// Nearest neighbours that are looked at where nothing is said.
const NEIGHBOURS: usize = 20;

/// Models that are trained again where nothing is said.
const INNER_MODELS: usize = 8;

/// Units that the report explains one by one.
const EXPLAINED: usize = 50;

/// Records that get a statement in `records.parquet`: all of them, or of more than so many the
/// exposed ones.
const MOST_STATEMENTS: usize = 200_000;

/// What to explain and how.
#[derive(Clone, Debug)]
pub struct ExplainRequest {
    /// Nearest neighbours that are looked at; 20, or as many as there are, if not given.
    pub neighbours: Option<usize>,
    /// Reference models that are trained again to look inside; 8, or half of the run's, if not
    /// given.
    pub models: Option<usize>,
    /// Columns over whose values exposure is told.
    pub groups: Vec<String>,
    /// Whether to lay out a map.
    pub map: bool,
    /// Bytes that models in training may take together, beside the data.
    pub max_memory: Option<u64>,
}

impl Default for ExplainRequest {
    fn default() -> Self {
        Self {
            neighbours: None,
            models: None,
            groups: Vec::new(),
            map: true,
            max_memory: None,
        }
    }
}

/// What an explanation leaves.
#[derive(Debug)]
pub struct Explained {
    /// The audit, with its explanation.
    pub audit: Audit,
    /// The run directory.
    pub path: PathBuf,
}

/// Explains a finished audit.
///
/// Runs on the current rayon thread pool. The result does not depend on its size.
///
/// # Errors
/// If the directory holds no finished audit, if its data or models' outputs are not there any
/// more or are others, or on files that cannot be written.
pub fn explain(
    path: &Path,
    request: &ExplainRequest,
    progress: &dyn Progress,
) -> Result<Explained> {
    let (
        Prepared {
            pool,
            run,
            mut manifest,
        },
        audit,
    ) = reopen(path, request.max_memory, progress)?;
    let trainer = training::trainer(&pool)?;
    let (neighbours, models) = check(request, &pool)?;
    let verdicts = Verdicts::read(&run, &pool)?;

    let mut work = Work::new(&run, &pool, &*trainer, &audit, verdicts, request);
    work.neighbours = neighbours;
    work.models = models;
    let made = work.explain(progress)?;
    let mut before = audit.clone();
    let mut audit = audit;
    audit.explanation = Some(made.explanation);
    let json = as_json(&audit)?;
    // All are written before the first takes its place, so a full disk leaves the earlier
    // result whole; and each is right without the others.
    let records = run.stage("records.parquet", &made.records)?;
    let map = made
        .map
        .map(|bytes| run.stage("map.parquet", &bytes))
        .transpose()?;
    let activations = made
        .activations
        .map(|bytes| run.stage("activations.parquet", &bytes))
        .transpose()?;
    let report = run.stage("report.json", json.as_bytes())?;
    if before.explanation.is_some() {
        // An earlier explanation would stand beside the measures of this one if we were killed
        // between the files.
        before.explanation = None;
        run.write("report.json", as_json(&before)?.as_bytes())?;
    }
    run.remove("report.html")?;
    run.remove_folder("figures")?;
    run.remove_folder("redacted")?;
    manifest.stages.retain(|stage| stage != "report");
    run.write_manifest(&manifest)?;
    run.publish(records)?;
    for (file, name) in [(map, "map.parquet"), (activations, "activations.parquet")] {
        match file {
            Some(file) => run.publish(file)?,
            None => run.remove(name)?,
        }
    }
    run.publish(report)?;
    write_page(&run)?;
    finish_stage(&run, &mut manifest, "report")?;
    run.event("explained", &serde_json::json!({}))?;
    Ok(Explained {
        audit,
        path: path.to_path_buf(),
    })
}

/// Refuses what cannot be; how many neighbours and models are looked at.
fn check(request: &ExplainRequest, pool: &Pool) -> Result<(usize, usize)> {
    let others = pool.dataset.len() - 1;
    let neighbours = request.neighbours.unwrap_or(NEIGHBOURS.min(others));
    if neighbours == 0 || neighbours > others {
        return Err(Error::usage(format!(
            "{neighbours} nearest neighbours of {} records",
            pool.dataset.len()
        ))
        .at("--neighbours")
        .hint("about 20 do; there must be fewer than records"));
    }
    let most = pool.membership.halves()[0].len();
    let models = request.models.unwrap_or(INNER_MODELS.min(most));
    if models < 2 || models > most {
        return Err(Error::usage(format!(
            "{models} reference models to look into, of {most} that measure"
        ))
        .at("--models")
        .hint(format!(
            "give a number from 2 to {most}, half of the run's reference models"
        )));
    }
    if pool.dataset.schema.image.is_some() && !request.groups.is_empty() {
        return Err(
            Error::usage("exposure is not told over the pixels of images")
                .at("--by")
                .hint("leave it out; exposure by class is always told"),
        );
    }
    let names = pool.table.column_names();
    for group in &request.groups {
        if !names.contains(&group.as_str()) {
            let near = names
                .iter()
                .find(|name| name.eq_ignore_ascii_case(group))
                .map_or_else(
                    || {
                        let some: Vec<&str> = names.iter().take(12).copied().collect();
                        format!(
                            "the columns are {}{}",
                            some.join(", "),
                            if names.len() > 12 { ", …" } else { "" }
                        )
                    },
                    |name| format!("did you mean {name}?"),
                );
            return Err(Error::usage(format!("there is no column {group:?}"))
                .at("--by")
                .hint(format!("{near}; exposure by class is always told")));
        }
    }
    Ok((neighbours, models))
}

/// What is to be written.
struct Made {
    explanation: Explanation,
    records: Vec<u8>,
    map: Option<Vec<u8>>,
    activations: Option<Vec<u8>>,
}

/// What is said of each record.
struct Described {
    measures: Vec<Measure>,
    /// The reasons that hold, by audited record.
    reasons: Vec<Vec<Reason>>,
    /// By record.
    statements: BTreeMap<u32, String>,
}

/// An explanation at work.
struct Work<'a> {
    run: &'a RunDirectory,
    pool: &'a Pool,
    trainer: &'a dyn Trainer,
    audit: &'a Audit,
    verdicts: Verdicts,
    request: &'a ExplainRequest,
    neighbours: usize,
    models: usize,
    /// Leak of each unit over all models; NaN where there is none.
    leak: Vec<f64>,
    /// Place of each unit by leak among the audited, from 1.
    rank: Vec<Option<usize>>,
    /// The record that stands for each unit: the one with the largest leak.
    stands_for: Vec<u32>,
}

/// A mean over the records of a unit, or NaN if one has no value.
fn per_unit(pool: &Pool, values: &[f64], units: &[u32]) -> Vec<f64> {
    units
        .iter()
        .map(|&unit| {
            let records = pool.units.records(unit as usize);
            let own: Vec<f64> = records.iter().map(|&r| values[r as usize]).collect();
            mean(&own).unwrap_or(f64::NAN)
        })
        .collect()
}

impl<'a> Work<'a> {
    fn new(
        run: &'a RunDirectory,
        pool: &'a Pool,
        trainer: &'a dyn Trainer,
        audit: &'a Audit,
        verdicts: Verdicts,
        request: &'a ExplainRequest,
    ) -> Self {
        Self {
            run,
            pool,
            trainer,
            audit,
            verdicts,
            request,
            neighbours: 0,
            models: 0,
            leak: Vec::new(),
            rank: Vec::new(),
            stands_for: Vec::new(),
        }
    }

    fn explain(&mut self, progress: &dyn Progress) -> Result<Made> {
        let pool = self.pool;
        let answers = self.gather(progress)?;
        self.rank_by_leak(&answers);
        let explained = self.explained();

        let measuring = pool.membership.halves()[0].clone();
        let numbers: Vec<usize> = measuring.clone().take(self.models).collect();
        progress.begin("training models again to look inside", numbers.len() as u64);
        let inner = InnerModels::train(self.run, pool, self.trainer, &numbers, progress)?;
        progress.end();

        let points = if self.request.map {
            pictures::points(pool, &explained)
        } else {
            Vec::new()
        };
        let mapped: Vec<u32> = points
            .iter()
            .map(|&u| self.stands_for[u as usize])
            .collect();
        let all_places = places::measure(
            self.run,
            pool,
            (&inner, self.trainer.has_layers()),
            self.neighbours,
            &mapped,
            progress,
        )?;

        progress.begin("comparing measures with the leak", 0);
        let mut described = self.describe(&answers, &all_places.places, &inner.learning(pool));
        let compared = self.compared(&answers);
        let leaks = Leaks::new(
            compared.iter().map(|&(_, leak)| leak).collect(),
            LEAKY_SHARE,
            pool.config.seed,
        );
        let units: Vec<u32> = compared.iter().map(|&(unit, _)| unit).collect();
        let (predictors, screening) = self.predictors(&described.measures, &leaks, &units);
        progress.end();

        let (attributions, attribution) = self.attribute(&inner, &explained, progress)?;
        for (unit, found) in &attributions {
            if let (Some(said), Some(statement)) = (
                words::attributed(found),
                described
                    .statements
                    .get_mut(&self.stands_for[*unit as usize]),
            ) {
                // Before the full stop.
                let length = statement.trim_end_matches('.').len();
                statement.replace_range(length.., &format!("; {said}."));
            }
        }
        let records: Vec<u32> = units.iter().map(|&u| self.stands_for[u as usize]).collect();
        let given_away: Vec<bool> = units
            .iter()
            .map(|&unit| self.verdicts.given_away[unit as usize])
            .collect();
        let exposure = Exposure {
            leaks: &leaks,
            records: &records,
            given_away: &given_away,
            permutations: &Permutations::draw(leaks.units(), leaks.leaky_units(), pool.config.seed),
        };
        let (map, map_summary) =
            pictures::map(self, &points, &explained, &all_places.of_map, progress)?;
        let penultimate = &all_places.places[2];
        let activations = pictures::activations(self, &inner, penultimate, &explained, progress)?;
        let judged = summary::judged_units(&leaks, &units, pool.units.len());
        let mut explanation = Explanation {
            settings: self.settings(&all_places, &leaks, numbers.len()),
            findings: Vec::new(),
            predictors,
            reasons: self.reason_counts(&described.reasons, &explained, &judged),
            exposed: explained
                .iter()
                .take(EXPLAINED)
                .map(|&unit| self.explained_unit(unit, &described, &attributions))
                .collect(),
            classes: self.over_classes(&exposure),
            groups: self.over_groups(&exposure),
            screening,
            definitions: self.definitions(&answers),
            attribution,
            map: map_summary,
        };
        explanation.findings = sentences(&explanation, &self.audit.data.unit_name);
        explanation.findings.extend(self.untold());
        Ok(Made {
            explanation,
            records: self.records_parquet(&described, &answers)?,
            map,
            activations,
        })
    }

    fn settings(
        &self,
        all_places: &AllPlaces,
        leaks: &Leaks,
        inner_models: usize,
    ) -> ExplanationSettings {
        let measuring = self.pool.membership.halves()[0].len();
        ExplanationSettings {
            records: self.pool.dataset.len(),
            units: leaks.units(),
            neighbours: self.neighbours,
            neighbour_candidates: all_places.candidates,
            measuring_models: measuring,
            judging_models: self.pool.membership.models() - measuring,
            inner_models,
            spaces: all_places.summaries.clone(),
            leaky_share: LEAKY_SHARE,
            leaky: leaks.leaky_units(),
            leaky_threshold: leaks.threshold,
            remarkable_share: REMARKABLE,
        }
    }

    /// Measures, reasons and statements of the records.
    fn describe(&self, answers: &Answers, places: &[Places], learning: &Learning) -> Described {
        let pool = self.pool;
        let labels = &pool.dataset.labels;
        let tables: Vec<_> = std::iter::once(&pool.table)
            .chain(&pool.reference)
            .collect();
        let rarity = rarity(&tables);
        let mut all = measures::of_answers(answers, labels);
        for (space, places) in measures::Space::EVERY.into_iter().zip(places) {
            all.extend(measures::of_space(space, places, self.trainer.has_layers()));
        }
        all.extend(measures::of_duplicates(&places[0], &twins(pool)));
        all.extend(rarity.iter().flat_map(measures::of_rarity));
        if self.trainer.tells_losses() {
            all.extend(measures::of_learning(
                learning.epoch.clone(),
                learning.spread.clone(),
                self.step(),
            ));
        }
        let values_of = |name: &str| -> &[f64] {
            let found = all.iter().find(|measure| measure.name == name);
            found.map_or(&[], |measure| &measure.values)
        };
        let audited = pool.units.expand(&pool.audited);
        let facts = Facts::new(&Sources {
            labels,
            among: &audited,
            input: &places[0],
            penultimate: &places[2],
            near: measures::near_distance(&places[0]),
            rarity: rarity.as_ref(),
            against: values_of("label_suspicion"),
            disagreement: values_of("out_disagreement"),
            out_loss: values_of("mean_out_loss"),
            epoch_learned: &learning.epoch,
        });
        let reasons: Vec<Vec<Reason>> = (0..pool.table.len())
            .into_par_iter()
            .map(|record| facts.reasons(record))
            .collect();
        let agreement = |of: &Places| class_medians(&of.agreement, labels, &audited);
        let usual_agreement = [agreement(&places[0]), agreement(&places[2])];
        let [input, penultimate] = &usual_agreement;
        let mut class_sizes = vec![0; pool.dataset.schema.classes.len()];
        for &label in labels {
            class_sizes[label as usize] += 1;
        }
        let unit_name = match self.audit.data.unit_name.as_str() {
            "records" if !pool.units.all_single() => "distinct records",
            name => name,
        };
        let words = Words {
            table: &pool.table,
            reference: pool.reference.as_ref(),
            classes: &pool.dataset.schema.classes,
            labels,
            rarity: rarity.as_ref(),
            input: &places[0],
            penultimate: &places[2],
            usual_distance: usual(&places[0].farthest_neighbour()),
            learning: words::Learning {
                epoch: &learning.epoch,
                step: self.step(),
                median: usual(&learning.epoch),
                trained: &learning.trained,
            },
            facts: &facts,
            usual_agreement: [input, penultimate],
            class_sizes: &class_sizes,
            units: self.rank.iter().flatten().count(),
            unit_name,
        };
        let told: Vec<u32> = if audited.len() <= MOST_STATEMENTS {
            audited
        } else {
            pool.units.expand(&self.explained())
        };
        let statements = told
            .par_iter()
            .map(|&record| {
                let number = record as usize;
                let statement = words.statement(&Subject {
                    record: number,
                    rank: self.rank[pool.units.of_record(number)],
                    answers: answers.of_all(number),
                    choices: answers.choices(number, labels[number] as usize),
                    reasons: &reasons[number],
                });
                (record, statement)
            })
            .collect();
        Described {
            measures: all,
            reasons,
            statements,
        }
    }

    /// What training goes by.
    fn step(&self) -> &'static str {
        if self.trainer.has_layers() {
            "epoch"
        } else {
            "round"
        }
    }

    fn gather(&self, progress: &dyn Progress) -> Result<Answers> {
        let pool = self.pool;
        let classes = pool.dataset.schema.classes.len();
        progress.begin(
            "reading the models' answers",
            pool.membership.models() as u64,
        );
        let answers = Answers::gather(
            &pool.membership,
            &pool.units,
            &pool.dataset.labels,
            classes,
            &pool.membership.halves()[0],
            |model| {
                read_outputs(&self.run.signal_file(model), pool.dataset.len(), classes)
                    .map_err(|e| e.hint(AUDIT_AGAIN))
            },
            |models| progress.advance(models),
        )?;
        progress.end();
        Ok(answers)
    }

    /// Leak of each unit, its place, and the record that stands for it.
    fn rank_by_leak(&mut self, answers: &Answers) {
        let pool = self.pool;
        let gaps: Vec<f64> = (0..pool.dataset.len())
            .into_par_iter()
            .map(|record| answers.of_all(record).loss_gap())
            .collect();
        let every: Vec<u32> = (0..pool.units.len() as u32).collect();
        self.leak = per_unit(pool, &gaps, &every);
        let mut order: Vec<u32> = pool
            .audited
            .iter()
            .copied()
            .filter(|&unit| !self.leak[unit as usize].is_nan())
            .collect();
        let leak = |unit: u32| self.leak[unit as usize];
        order.sort_by(|&a, &b| leak(b).total_cmp(&leak(a)).then(a.cmp(&b)));
        self.rank = vec![None; pool.units.len()];
        for (place, &unit) in order.iter().enumerate() {
            self.rank[unit as usize] = Some(place + 1);
        }
        self.stands_for = (0..pool.units.len())
            .map(|unit| {
                let records = pool.units.records(unit);
                let mut best = records[0];
                for &record in records {
                    if gaps[record as usize] > gaps[best as usize] {
                        best = record;
                    }
                }
                best
            })
            .collect();
    }

    /// The exposed units: those given away, then the other most exposed of the report; the
    /// smallest p first.
    fn explained(&self) -> Vec<u32> {
        let p = |unit: u32| {
            let p = self.verdicts.p[unit as usize];
            if p.is_nan() { f64::INFINITY } else { p }
        };
        let by_p = |units: &mut Vec<u32>| {
            units.sort_by(|&a, &b| {
                p(a).total_cmp(&p(b)).then_with(|| {
                    let leak = |unit: u32| self.leak[unit as usize];
                    leak(b).total_cmp(&leak(a)).then(a.cmp(&b))
                })
            });
        };
        let (mut given, mut others): (Vec<u32>, Vec<u32>) = self
            .pool
            .audited
            .iter()
            .copied()
            .filter(|&unit| p(unit).is_finite())
            .partition(|&unit| self.verdicts.given_away[unit as usize]);
        by_p(&mut given);
        by_p(&mut others);
        let least = self.audit.exposed.len().saturating_sub(given.len());
        given.extend(others.into_iter().take(least));
        given
    }

    /// Units whose leak is known on the half that judges, and that leak.
    fn compared(&self, answers: &Answers) -> Vec<(u32, f64)> {
        let pool = self.pool;
        let gaps: Vec<f64> = (0..pool.dataset.len())
            .into_par_iter()
            .map(|record| answers.judged(record).loss_gap())
            .collect();
        let leaks = per_unit(pool, &gaps, &pool.eligible);
        pool.eligible
            .iter()
            .copied()
            .zip(leaks)
            .filter(|(_, leak)| !leak.is_nan())
            .collect()
    }

    /// What this trainer's models cannot be explained by, in sentences.
    fn untold(&self) -> Vec<String> {
        let mut untold = Vec::new();
        if !self.trainer.tells_losses() {
            untold.push("When records are learnt is not told: this trainer does not tell losses while it trains.".to_owned());
        }
        if self.trainer.answers_slowly() && self.pool.dataset.schema.image.is_none() {
            untold.push("Which columns make records leak is not told: models would have to be asked thousands of questions, and a command is started for each.".to_owned());
        }
        untold
    }

    fn explained_unit(
        &self,
        unit: u32,
        described: &Described,
        attributions: &BTreeMap<u32, UnitAttribution>,
    ) -> ExplainedUnit {
        let pool = self.pool;
        let record = self.stands_for[unit as usize] as usize;
        let of = &described.reasons[record];
        let leak = self.leak[unit as usize];
        ExplainedUnit {
            id: pool.table.ids[record].clone(),
            unit: Some(unit),
            class: pool.dataset.schema.classes[pool.dataset.labels[record] as usize].clone(),
            rank: self.rank[unit as usize],
            leak: (!leak.is_nan()).then_some(leak),
            given_away: self.verdicts.given_away[unit as usize],
            reason: of[0].name().to_owned(),
            further: of[1..].iter().map(|r| r.name().to_owned()).collect(),
            statement: described
                .statements
                .get(&(record as u32))
                .cloned()
                .unwrap_or_default(),
            attribution: attributions.get(&unit).cloned(),
        }
    }
}

/// Of each record, the other records of its unit that are identical and have its label.
fn twins(pool: &Pool) -> Vec<usize> {
    let same = |a: u32, b: u32| {
        let (a, b) = (a as usize, b as usize);
        pool.dataset.labels[a] == pool.dataset.labels[b]
            && pool.dataset.features.row(a) == pool.dataset.features.row(b)
    };
    (0..pool.dataset.len() as u32)
        .into_par_iter()
        .map(|record| {
            let unit = pool.units.records(pool.units.of_record(record as usize));
            unit.iter()
                .filter(|&&other| other != record && same(record, other))
                .count()
        })
        .collect()
}
