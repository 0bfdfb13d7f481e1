//! Explaining a finished audit: measures every record, gives reasons for the exposed ones, and
//! says what holds for the model. Reads the run directory and the data; adds to
//! `records.parquet`, `report.json` and the page, and writes the map.

mod inner;
mod pictures;
mod places;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use giveaway_stats::random::Stream;
use giveaway_stats::summary::{mean, median};
use rayon::prelude::*;

use super::array_file::read_outputs;
use super::config::Config;
use super::directory::{Access, RunDirectory};
use super::pool::Pool;
use super::progress::Progress;
use super::publish::{read_result, write_page};
use super::{Prepared, finish_stage, prepare};
use crate::error::{Error, Result};
use crate::explain::answers::Answers;
use crate::explain::attribution::{self, Columns, Models};
use crate::explain::definitions::{Judged, definitions};
use crate::explain::findings::sentences;
use crate::explain::measures::{self, Measure, Needs};
use crate::explain::ranking::Leaks;
use crate::explain::rarity::{Rarity, rarity};
use crate::explain::reasons::{Facts, REMARKABLE, Reason, Sources};
use crate::explain::spread::{Exposure, Grouping, rate};
use crate::explain::words::{self, Subject, Words};
use crate::report::explanation::{
    AttributionSummary, ColumnShare, ColumnSummary, ExplainedUnit, Explanation,
    ExplanationSettings, GroupExposure, Predictor, ReasonCount, Reviewed, Screening,
    UnitAttribution,
};
use crate::report::records::{Table, Values, to_parquet};
use crate::report::{Audit, FORMAT_VERSION};
use crate::trainer::Trainer;
use inner::InnerModels;
use places::AllPlaces;

/// Share of the units that count as the leakiest.
const LEAKY_SHARE: f64 = 0.01;

/// Units that the report explains one by one.
const EXPLAINED: usize = 50;

/// Units that get a statement in `records.parquet`: all of them, or of more than so many the most
/// exposed.
const MOST_STATEMENTS: usize = 200_000;

/// Columns of a unit's attribution that are listed.
const LISTED_COLUMNS: usize = 8;

/// Shares of the units that a review looks at.
const REVIEWED: [f64; 5] = [0.01, 0.02, 0.05, 0.1, 0.2];

/// Screening curves of each kind of need.
const SCREENED: usize = 3;

/// What to explain and how.
#[derive(Clone, Debug)]
pub struct ExplainRequest {
    /// Nearest neighbours that are looked at.
    pub neighbours: usize,
    /// Reference models that are trained again to look inside.
    pub models: usize,
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
            neighbours: 20,
            models: 8,
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
    if !path.join("manifest.json").is_file() {
        return Err(
            Error::input("this is no run directory: it has no manifest.json")
                .at(path.display())
                .hint("name a directory that `giveaway audit` has written, such as runs/NAME-HASH"),
        );
    }
    // Before hours of work: whether there is a result to explain.
    read_result(path)?;
    let settings = path.join("run.toml");
    let text = std::fs::read_to_string(&settings)
        .map_err(|e| Error::io("read the settings", &settings, &e))?;
    let mut config = Config::from_toml(&text).map_err(|e| e.at(settings.display()))?;
    config.reference.max_memory = request.max_memory;
    let Prepared {
        pool,
        trainer,
        run,
        mut manifest,
    } = prepare(&config, Some(path), Access::Alone, progress)?;
    check(request, &pool)?;
    let (audit, _) = read_result(path)?;
    let verdicts = Verdicts::read(&run, &pool)?;

    let mut work = Work::new(&run, &pool, &trainer, &audit, verdicts, request);
    let made = work.explain(progress)?;
    let mut audit = audit;
    audit.explanation = Some(made.explanation);

    let mut json = serde_json::to_string_pretty(&audit)
        .map_err(|e| Error::unexpected(format!("cannot write the report: {e}")))?;
    json.push('\n');
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

fn check(request: &ExplainRequest, pool: &Pool) -> Result<()> {
    if request.neighbours == 0 || request.neighbours >= pool.dataset.len() {
        return Err(Error::usage(format!(
            "{} nearest neighbours of {} records",
            request.neighbours,
            pool.dataset.len()
        ))
        .at("--neighbours")
        .hint("about 20 do; there must be fewer than records"));
    }
    let most = pool.membership.halves()[0].len();
    if request.models < 2 || request.models > most {
        return Err(Error::usage(format!(
            "{} reference models to look into, of {most} that measure",
            request.models
        ))
        .at("--models")
        .hint(format!(
            "give a number from 2 to {most}, half of the run's reference models"
        )));
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
                .hint(near));
        }
    }
    Ok(())
}

/// What the audit said of each unit.
struct Verdicts {
    columns: Vec<(String, Values)>,
    given_away: Vec<bool>,
    /// P-value in the verdict, among those selected.
    p: Vec<f64>,
    /// P-value of the null of the verdict, of every audited unit.
    p_all: Vec<f64>,
    scaled_logit: Vec<f64>,
}

impl Verdicts {
    /// Reads `records.parquet`; values per unit.
    fn read(run: &RunDirectory, pool: &Pool) -> Result<Self> {
        let path = run.file("records.parquet");
        let damaged = |what: &str| {
            Error::input(what)
                .at(path.display())
                .hint("run the audit again: it is made anew")
        };
        let bytes = std::fs::read(&path)
            .map_err(|e| Error::io("read the records of the run", &path, &e))?;
        let table = Table::open(bytes).map_err(|e| e.at(path.display()))?;
        if table.rows() != pool.table.len() {
            return Err(damaged("as many rows as the run has records are expected"));
        }
        let mut columns = Vec::new();
        for column in 0..table.columns() {
            let values = table.column(column).map_err(|e| e.at(path.display()))?;
            columns.push((table.name(column).to_owned(), values));
        }
        let find = |name: &str| columns.iter().find(|c| c.0 == name).map(|c| &c.1);
        let null = format!("p_value_{}", pool.config.test.null.name());
        let (
            Some(Values::Truth(given_away)),
            Some(Values::Number(p)),
            Some(Values::Number(p_all)),
            Some(Values::Number(logit)),
        ) = (
            find("given_away"),
            find("p_value"),
            find(&null),
            find("target_scaled_logit"),
        )
        else {
            return Err(damaged("columns of the audit are missing"));
        };
        let units = pool.units.len();
        let mut verdicts = Self {
            given_away: vec![false; units],
            p: vec![f64::NAN; units],
            p_all: vec![f64::NAN; units],
            scaled_logit: vec![f64::NAN; units],
            columns: Vec::new(),
        };
        for record in 0..pool.table.len() {
            let unit = pool.units.of_record(record);
            verdicts.given_away[unit] = given_away[record] == Some(true);
            verdicts.p[unit] = p[record];
            verdicts.p_all[unit] = p_all[record];
            verdicts.scaled_logit[unit] = logit[record];
        }
        verdicts.columns = columns;
        Ok(verdicts)
    }
}

/// What is to be written.
struct Made {
    explanation: Explanation,
    records: Vec<u8>,
    map: Option<Vec<u8>>,
    activations: Option<Vec<u8>>,
}

/// An explanation at work.
struct Work<'a> {
    run: &'a RunDirectory,
    pool: &'a Pool,
    trainer: &'a dyn Trainer,
    audit: &'a Audit,
    verdicts: Verdicts,
    request: &'a ExplainRequest,
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
        let numbers: Vec<usize> = measuring.clone().take(self.request.models).collect();
        progress.begin("training models again to look inside", numbers.len() as u64);
        let inner = InnerModels::train(self.run, pool, self.trainer, &numbers, progress)?;
        progress.end();
        let learning = inner.learning(pool);

        let points = if self.request.map {
            pictures::points(pool, &explained)
        } else {
            Vec::new()
        };
        let mapped: Vec<u32> = points
            .iter()
            .map(|&unit| self.stands_for[unit as usize])
            .collect();
        let AllPlaces {
            places,
            summaries,
            of_map,
            candidates,
        } = places::measure(
            self.run,
            pool,
            &inner,
            self.request.neighbours,
            &mapped,
            progress,
        )?;

        progress.begin("comparing measures with the leak", 0);
        let tables: Vec<_> = std::iter::once(&pool.table)
            .chain(&pool.reference)
            .collect();
        let rarity = rarity(&tables);
        let unit_records: Vec<usize> = (0..pool.dataset.len())
            .map(|record| pool.units.records(pool.units.of_record(record)).len())
            .collect();
        let mut all = measures::of_answers(&answers, &pool.dataset.labels);
        for (space, places) in measures::Space::EVERY.into_iter().zip(&places) {
            all.extend(measures::of_space(space, places));
        }
        all.extend(measures::of_duplicates(&places[0], &unit_records));
        all.extend(rarity.iter().flat_map(measures::of_rarity));
        all.extend(measures::of_learning(
            learning.epoch.clone(),
            learning.spread.clone(),
        ));
        let values_of = |name: &str| -> &[f64] {
            all.iter()
                .find(|m| m.name == name)
                .map_or(&[], |m| &m.values)
        };
        let audited_records = pool.units.expand(&pool.audited);
        let near = measures::near_distance(&places[0]);
        let facts = Facts::new(&Sources {
            labels: &pool.dataset.labels,
            among: &audited_records,
            input: &places[0],
            penultimate: &places[2],
            near,
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

        let compared = self.compared(&answers);
        let leaks = Leaks::new(
            compared.iter().map(|&(_, leak)| leak).collect(),
            LEAKY_SHARE,
            pool.config.seed,
        );
        let units: Vec<u32> = compared.iter().map(|&(unit, _)| unit).collect();
        let (predictors, screening) = self.predictors(&all, &leaks, &units);
        let words = self.words(&places, rarity.as_ref(), &learning);
        let statement = |unit: u32| {
            let record = self.stands_for[unit as usize] as usize;
            let votes = answers.votes(record, pool.dataset.labels[record] as usize);
            words.statement(&Subject {
                record,
                rank: self.rank[unit as usize],
                answers: answers.of_all(record),
                votes: votes
                    .map(|v| (answers.measured(record).correct_out, v.against, v.suspected)),
                reasons: &reasons[record],
            })
        };
        let told: &[u32] = if pool.audited.len() <= MOST_STATEMENTS {
            &pool.audited
        } else {
            &explained
        };
        let statements: BTreeMap<u32, String> = told
            .par_iter()
            .map(|&unit| (unit, statement(unit)))
            .collect();
        progress.end();

        let (attributions, attribution) = self.attribute(&inner, &explained, progress)?;
        let exposed: Vec<ExplainedUnit> = explained
            .iter()
            .take(EXPLAINED)
            .map(|&unit| self.explained_unit(unit, &reasons, &statements, &attributions))
            .collect();
        let exposure = Exposure {
            leaks: &leaks,
            records: &units
                .iter()
                .map(|&unit| self.stands_for[unit as usize])
                .collect::<Vec<_>>(),
            given_away: &units
                .iter()
                .map(|&unit| self.verdicts.given_away[unit as usize])
                .collect::<Vec<_>>(),
        };
        let (map, map_summary) = pictures::map(self, &points, &explained, &of_map, progress)?;
        let activations = pictures::activations(self, &inner, &places[2], &explained, progress)?;
        let leaky_of = leaky_units(&leaks, &units, pool.units.len());
        let mut explanation = Explanation {
            settings: ExplanationSettings {
                records: pool.dataset.len(),
                units: units.len(),
                neighbours: self.request.neighbours,
                neighbour_candidates: candidates,
                measuring_models: measuring.len(),
                judging_models: pool.membership.models() - measuring.len(),
                inner_models: numbers.len(),
                spaces: summaries,
                leaky_share: LEAKY_SHARE,
                leaky: leaks.leaky_units(),
                leaky_threshold: leaks.threshold,
                remarkable_share: REMARKABLE,
            },
            findings: Vec::new(),
            predictors,
            reasons: self.reason_counts(&reasons, &explained, &leaky_of),
            exposed,
            classes: self.over_classes(&exposure),
            groups: self.over_groups(&exposure),
            screening,
            definitions: self.definitions(&leaky_of),
            attribution,
            map: map_summary,
        };
        explanation.findings = sentences(&explanation, &self.audit.data.unit_name);
        let records = self.records_parquet(&all, &answers, &reasons, &statements)?;
        Ok(Made {
            explanation,
            records,
            map,
            activations,
        })
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
            |model| read_outputs(&self.run.signal_file(model), pool.dataset.len(), classes),
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

    /// Every measure against the leak, the best first, and the reviews by the best of each kind.
    fn predictors(
        &self,
        all: &[Measure],
        leaks: &Leaks,
        units: &[u32],
    ) -> (Vec<Predictor>, Vec<Screening>) {
        if units.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let mut found: Vec<(Predictor, Needs, Screening)> = all
            .iter()
            .map(|measure| {
                let values = per_unit(self.pool, &measure.oriented(), units);
                let association = leaks.associate(&values, &REVIEWED);
                let needs = measure.needs.name().to_owned();
                (
                    Predictor {
                        measure: measure.name.clone(),
                        label: measure.label.clone(),
                        family: measure.family.to_owned(),
                        needs: needs.clone(),
                        reversed: measure.reversed,
                        units: association.units,
                        spearman: association.spearman,
                        auc: association.auc,
                        precision: association.precision,
                    },
                    measure.needs,
                    Screening {
                        measure: measure.name.clone(),
                        label: measure.label.clone(),
                        needs,
                        reviewed: REVIEWED
                            .iter()
                            .zip(association.found)
                            .map(|(&share, found)| Reviewed { share, found })
                            .collect(),
                    },
                )
            })
            .collect();
        let strength = |p: &Predictor| p.spearman.value.unwrap_or(f64::NEG_INFINITY);
        found.sort_by(|a, b| {
            strength(&b.0)
                .total_cmp(&strength(&a.0))
                .then_with(|| a.0.measure.cmp(&b.0.measure))
        });
        // By what they find, since that is what a review is for.
        let mut screening = Vec::new();
        for needs in [Needs::Data, Needs::OneModel, Needs::ReferenceModels] {
            let mut some: Vec<&(Predictor, Needs, Screening)> = found
                .iter()
                .filter(|(p, n, _)| *n == needs && p.family != "divergence")
                .collect();
            some.sort_by(|a, b| {
                let area = |p: &Predictor| p.auc.value.unwrap_or(0.0);
                area(&b.0)
                    .total_cmp(&area(&a.0))
                    .then_with(|| a.0.measure.cmp(&b.0.measure))
            });
            screening.extend(some.into_iter().take(SCREENED).map(|(_, _, s)| s.clone()));
        }
        (found.into_iter().map(|(p, _, _)| p).collect(), screening)
    }

    fn words<'b>(
        &'b self,
        places: &'b [measures::Places],
        rarity: Option<&'b Rarity>,
        learning: &'b inner::Learning,
    ) -> Words<'b> {
        let pool = self.pool;
        let known: Vec<f64> = learning
            .epoch
            .iter()
            .copied()
            .filter(|e| !e.is_nan())
            .collect();
        let distances: Vec<f64> = places[0]
            .farthest_neighbour()
            .into_iter()
            .filter(|d| !d.is_nan())
            .collect();
        Words {
            table: &pool.table,
            reference: pool.reference.as_ref(),
            classes: &pool.dataset.schema.classes,
            labels: &pool.dataset.labels,
            rarity,
            input: &places[0],
            penultimate: &places[2],
            usual_distance: median(&distances).unwrap_or(f64::NAN),
            neighbours: self.request.neighbours,
            learning: median(&known).map(|median| words::Learning {
                epoch: &learning.epoch,
                median,
                epochs: learning.epochs,
            }),
            units: self.rank.iter().flatten().count(),
            unit_name: &self.audit.data.unit_name,
        }
    }

    /// What in the input makes the exposed units leak, and random ones beside them. Nothing for
    /// images: a share of a pixel tells nobody anything, and they have maps instead.
    fn attribute(
        &self,
        inner: &InnerModels<'_>,
        explained: &[u32],
        progress: &dyn Progress,
    ) -> Result<(BTreeMap<u32, UnitAttribution>, Option<AttributionSummary>)> {
        let pool = self.pool;
        if pool.dataset.schema.image.is_some() {
            return Ok((BTreeMap::new(), None));
        }
        let both = |unit: u32| {
            let has = |inside| !inner.of_unit(pool, unit as usize, inside).is_empty();
            has(true) && has(false)
        };
        let exposed: Vec<u32> = explained
            .iter()
            .copied()
            .take(EXPLAINED)
            .filter(|&unit| both(unit))
            .collect();
        let all_exposed: BTreeSet<u32> = explained.iter().copied().collect();
        let mut rest: Vec<u32> = pool
            .audited
            .iter()
            .copied()
            .filter(|unit| !all_exposed.contains(unit))
            .filter(|&unit| both(unit))
            .collect();
        Stream::new(pool.config.seed, "units attributed for comparison", 0).shuffle(&mut rest);
        rest.truncate(exposed.len());
        if exposed.is_empty() {
            return Ok((BTreeMap::new(), None));
        }
        let columns = Columns::new(&pool.dataset.schema);
        let baselines = attribution::class_means(
            pool.dataset.features.view(),
            &pool.dataset.labels,
            pool.dataset.schema.classes.len(),
        );
        progress.begin(
            "attributing the leak to columns",
            (exposed.len() + rest.len()) as u64,
        );
        let found: Vec<attribution::Attribution> = exposed
            .par_iter()
            .chain(&rest)
            .map(|&unit| {
                let record = self.stands_for[unit as usize];
                let label = pool.dataset.labels[record as usize];
                let attributed = attribution::attribute(
                    &attribution::Record {
                        number: record,
                        label,
                        features: pool.dataset.features.row(record as usize),
                        baseline: baselines.row(label as usize),
                    },
                    &columns,
                    &Models {
                        out: &inner.of_unit(pool, unit as usize, false),
                        within: &inner.of_unit(pool, unit as usize, true),
                    },
                    attribution::Method::Automatic,
                    pool.config.seed,
                );
                progress.advance(1);
                attributed
            })
            .collect::<Result<_>>()?;
        progress.end();
        let (of_exposed, of_rest) = found.split_at(exposed.len());
        let mean_share = |some: &[attribution::Attribution], column: usize| {
            let shares: Vec<f64> = some.iter().map(|a| a.columns[column].abs()).collect();
            mean(&shares).unwrap_or(0.0)
        };
        let mut summary: Vec<ColumnSummary> = columns
            .names()
            .iter()
            .enumerate()
            .map(|(column, name)| ColumnSummary {
                column: name.clone(),
                exposed: mean_share(of_exposed, column),
                others: mean_share(of_rest, column),
            })
            .collect();
        summary.sort_by(|a, b| {
            b.exposed
                .total_cmp(&a.exposed)
                .then_with(|| a.column.cmp(&b.column))
        });
        let gradients = matches!(
            found[0].evaluation,
            attribution::Evaluation::IntegratedGradients { .. }
        );
        let per_unit = exposed
            .iter()
            .zip(of_exposed)
            .map(|(&unit, found)| (unit, self.unit_attribution(unit, found, &columns)))
            .collect();
        Ok((
            per_unit,
            Some(AttributionSummary {
                method: if gradients {
                    "integrated gradients"
                } else {
                    "sampled Shapley values"
                }
                .to_owned(),
                exposed: exposed.len(),
                others: rest.len(),
                largest_residual: found.iter().map(|a| a.residual.abs()).fold(0.0, f64::max),
                columns: summary,
            }),
        ))
    }

    fn unit_attribution(
        &self,
        unit: u32,
        found: &attribution::Attribution,
        columns: &Columns,
    ) -> UnitAttribution {
        let table = &self.pool.table;
        let record = self.stands_for[unit as usize] as usize;
        let names = table.column_names();
        let mut order: Vec<usize> = (0..columns.len()).collect();
        order.sort_by(|&a, &b| {
            let size = |c: usize| found.columns[c].abs();
            size(b).total_cmp(&size(a)).then(a.cmp(&b))
        });
        let listed = &order[..LISTED_COLUMNS.min(order.len())];
        UnitAttribution {
            gap: found.gap,
            baseline_gap: found.baseline_gap,
            residual: found.residual,
            others: order[listed.len()..]
                .iter()
                .map(|&c| found.columns[c])
                .sum(),
            columns: listed
                .iter()
                .map(|&column| {
                    let name = &columns.names()[column];
                    ColumnShare {
                        column: name.clone(),
                        value: names
                            .iter()
                            .position(|own| own == name)
                            .map(|own| table.feature_text(record, own)),
                        nats: found.columns[column],
                    }
                })
                .collect(),
        }
    }

    fn explained_unit(
        &self,
        unit: u32,
        reasons: &[Vec<Reason>],
        statements: &BTreeMap<u32, String>,
        attributions: &BTreeMap<u32, UnitAttribution>,
    ) -> ExplainedUnit {
        let pool = self.pool;
        let first = pool.units.records(unit as usize)[0] as usize;
        let of = &reasons[self.stands_for[unit as usize] as usize];
        let leak = self.leak[unit as usize];
        ExplainedUnit {
            id: pool.table.ids[first].clone(),
            unit: Some(unit),
            class: pool.dataset.schema.classes[pool.dataset.labels[first] as usize].clone(),
            rank: self.rank[unit as usize],
            leak: (!leak.is_nan()).then_some(leak),
            given_away: self.verdicts.given_away[unit as usize],
            reason: of[0].name().to_owned(),
            further: of[1..].iter().map(|r| r.name().to_owned()).collect(),
            statement: statements.get(&unit).cloned().unwrap_or_default(),
            attribution: attributions.get(&unit).cloned(),
        }
    }

    fn reason_counts(
        &self,
        reasons: &[Vec<Reason>],
        explained: &[u32],
        leaky: &[Option<bool>],
    ) -> Vec<ReasonCount> {
        let first = |unit: u32| reasons[self.stands_for[unit as usize] as usize][0];
        Reason::EVERY
            .into_iter()
            .map(|reason| {
                let units: Vec<u32> = self
                    .pool
                    .audited
                    .iter()
                    .copied()
                    .filter(|&unit| first(unit) == reason)
                    .collect();
                let leaks: Vec<f64> = units
                    .iter()
                    .map(|&unit| self.leak[unit as usize])
                    .filter(|leak| !leak.is_nan())
                    .collect();
                let known: Vec<bool> = units
                    .iter()
                    .filter_map(|&unit| leaky[unit as usize])
                    .collect();
                ReasonCount {
                    reason: reason.name().to_owned(),
                    meaning: reason.meaning().to_owned(),
                    exposed: explained
                        .iter()
                        .filter(|&&unit| first(unit) == reason)
                        .count(),
                    all: units.len(),
                    mean_leak: mean(&leaks),
                    leaky: rate(known.iter().filter(|&&l| l).count(), known.len()),
                }
            })
            .collect()
    }

    fn over_classes(&self, exposure: &Exposure<'_>) -> Vec<GroupExposure> {
        exposure.over(&Grouping {
            names: self.pool.dataset.schema.classes.clone(),
            of_record: self.pool.dataset.labels.clone(),
        })
    }

    /// Over columns of the records whose leak is known: those of the reference file where there
    /// is one.
    fn over_groups(
        &self,
        exposure: &Exposure<'_>,
    ) -> Vec<crate::report::explanation::ColumnExposure> {
        match &self.pool.reference {
            None => exposure.over_columns(&self.pool.table, &self.request.groups),
            Some(reference) => {
                let before = self.pool.table.len() as u32;
                let records: Vec<u32> = exposure.records.iter().map(|r| r - before).collect();
                Exposure {
                    records: &records,
                    ..*exposure
                }
                .over_columns(reference, &self.request.groups)
            }
        }
    }

    fn definitions(
        &self,
        leaky: &[Option<bool>],
    ) -> Option<crate::report::explanation::Definitions> {
        let units: Vec<Judged> = self
            .pool
            .audited
            .iter()
            .filter_map(|&unit| {
                let unit = unit as usize;
                Some(Judged {
                    member: self.pool.is_member[unit]?,
                    scaled_logit: self.verdicts.scaled_logit[unit],
                    p: self.verdicts.p_all[unit],
                    leak: self.leak[unit],
                    leaky: leaky[unit] == Some(true),
                })
            })
            .collect();
        definitions(&units)
    }

    /// The table of the audit with what is new beside it; what an earlier explanation added is
    /// replaced.
    fn records_parquet(
        &self,
        all: &[Measure],
        answers: &Answers,
        reasons: &[Vec<Reason>],
        statements: &BTreeMap<u32, String>,
    ) -> Result<Vec<u8>> {
        let pool = self.pool;
        let records = pool.table.len();
        let audited: Vec<bool> = {
            let mut flags = vec![false; pool.units.len()];
            for &unit in &pool.audited {
                flags[unit as usize] = true;
            }
            (0..records)
                .map(|record| flags[pool.units.of_record(record)])
                .collect()
        };
        let number = |of: &dyn Fn(usize) -> f64| {
            Values::Number(
                (0..records)
                    .map(|record| {
                        if audited[record] {
                            of(record)
                        } else {
                            f64::NAN
                        }
                    })
                    .collect(),
            )
        };
        let text = |of: &dyn Fn(usize) -> Option<String>| {
            Values::Text(
                (0..records)
                    .map(|record| audited[record].then(|| of(record)).flatten())
                    .collect(),
            )
        };
        let unit = |record: usize| pool.units.of_record(record);
        let mut added = vec![
            ("leak".to_owned(), number(&|record| self.leak[unit(record)])),
            (
                "leak_testing".to_owned(),
                number(&|record| answers.judged(record).loss_gap()),
            ),
            (
                "leak_rank".to_owned(),
                Values::Whole(
                    (0..records)
                        .map(|record| i64::try_from(self.rank[unit(record)]?).ok())
                        .collect(),
                ),
            ),
            (
                "reason".to_owned(),
                text(&|record| Some(reasons[record][0].name().to_owned())),
            ),
            (
                "further_reasons".to_owned(),
                text(&|record| {
                    let names: Vec<&str> = reasons[record][1..].iter().map(|r| r.name()).collect();
                    (!names.is_empty()).then(|| names.join("; "))
                }),
            ),
            (
                "statement".to_owned(),
                text(&|record| statements.get(&(unit(record) as u32)).cloned()),
            ),
        ];
        for measure in all {
            added.push((
                measure.name.clone(),
                number(&|record| measure.values[record]),
            ));
        }
        let mut columns: Vec<(String, Values)> = Vec::new();
        for (name, values) in &self.verdicts.columns {
            if !added.iter().any(|(new, _)| new == name) {
                columns.push((name.clone(), values.clone()));
            }
        }
        columns.extend(added);
        to_parquet(
            &columns,
            &[("giveaway.format_version", FORMAT_VERSION.to_string())],
        )
    }
}

/// Whether each unit is among the leakiest, where that is known.
fn leaky_units(leaks: &Leaks, units: &[u32], count: usize) -> Vec<Option<bool>> {
    let mut leaky = vec![None; count];
    for (&unit, &is) in units.iter().zip(&leaks.leaky) {
        leaky[unit as usize] = Some(is);
    }
    leaky
}
