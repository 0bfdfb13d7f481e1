//! Defending a finished audit: tries defences, audits each again with new reference models
//! trained through it, and says which to take and what it costs. Reads the run directory and the
//! data; adds to `report.json` and the page, and writes files for the user.

mod arms;
mod candidates;
mod concluding;
mod deliverables;
mod exposed;
mod measuring;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::directory::RunDirectory;
use super::pool::Pool;
use super::progress::Progress;
use super::publish::{as_json, write_page};
use super::{Prepared, finish_stage, reopen, training};
use crate::defend::{Bench, registry};
use crate::error::{Error, ErrorKind, Result};
use crate::explain::spread::{Grouping, grouping};
use crate::report::Audit;
use crate::report::defence::{
    DefenceFigures, DefenceSection, DefenceSettings, Deliverable, ProtectedUnit, SkippedDefence,
};
use arms::{Arm, FOLDER, Shop, Trained};
use concluding::{Conclusion, Finished, about};
use exposed::{Protected, protect};
use measuring::{ArmFound, Judges, Share};

pub(super) use deliverables::remove as withdraw;
pub use exposed::Identification;

/// Models that are trained through each defence where nothing is said.
const MODELS: usize = 64;

/// Units of the table of records to be protected.
const UNITS_SHOWN: usize = 50;

/// Raised whenever a version defends, attacks or measures otherwise than the one before it.
const VERSION: u32 = 2;

/// What to try and how.
#[derive(Clone, Debug)]
pub struct DefendRequest {
    /// Defences by name; the usual ones if there is none.
    pub defences: Vec<String>,
    /// The time that the work may take; what is not tried by then is left out.
    pub budget: Option<Duration>,
    /// Models to train through each defence; 64, or half of the run's, if not given.
    pub models: Option<usize>,
    /// Share of the units to protect.
    pub exposed: f64,
    /// How they are found.
    pub identify: Identification,
    /// Accuracy that may be lost, as a share.
    pub max_accuracy_loss: f64,
    /// Columns over whose values utility is told.
    pub groups: Vec<String>,
    /// Bytes that models in training may take together, beside the data.
    pub max_memory: Option<u64>,
}

impl Default for DefendRequest {
    fn default() -> Self {
        Self {
            defences: Vec::new(),
            budget: Some(Duration::from_mins(15)),
            models: None,
            exposed: 0.01,
            identify: Identification::default(),
            max_accuracy_loss: 0.01,
            groups: Vec::new(),
            max_memory: None,
        }
    }
}

/// What defending leaves.
#[derive(Debug)]
pub struct Defended {
    /// The audit, with its section on defences.
    pub audit: Audit,
    /// The run directory.
    pub path: PathBuf,
}

/// Tries defences on a finished audit.
///
/// Runs on the current rayon thread pool. Figures do not depend on its size; which defences fit
/// into the budget, and the times told, do.
///
/// # Errors
/// If the directory holds no finished audit, if its data or models' outputs are not there any
/// more or are others, on requests that make no sense, and on files that cannot be written.
pub fn defend(path: &Path, request: &DefendRequest, progress: &dyn Progress) -> Result<Defended> {
    let begun = Instant::now();
    for name in &request.defences {
        // A slip is told before the data are read.
        registry::parse(name)?;
    }
    let (
        Prepared {
            pool,
            run,
            mut manifest,
        },
        mut audit,
    ) = reopen(path, request.max_memory, progress)?;
    let trainer = training::trainer(&pool)?;
    let wanted = candidates::candidates(&request.defences, &pool.config.reference)?;
    let models = check(request, &pool)?;
    let groupings = groupings(request, &pool)?;
    progress.begin("finding whom to protect", 0);
    let protected = protect(&run, &pool, request.identify, request.exposed)?;
    progress.end();
    let bench = Bench {
        dataset: &pool.dataset,
        units: &pool.units,
        trainer: &*trainer,
        training_records: smallest_training_set(&pool, &models),
        exposed: &protected.exposed,
        suspects: &protected.suspects,
        held: &protected.held,
        seed: pool.config.seed,
    };
    let mut identity = blake3::Hasher::new();
    identity.update(
        format!(
            "{VERSION} {} {} {:?} {:?} {:?} {:?}",
            manifest.identity,
            manifest.kernel,
            models,
            protected.units,
            pool.config.test.null(),
            request.groups
        )
        .as_bytes(),
    );
    let identity = identity.finalize().to_hex().to_string();
    let shop = Shop {
        run: &run,
        pool: &pool,
        bench: &bench,
        models,
        identity,
        deadline: request.budget.map(|budget| begun + budget),
        measuring: Mutex::new(Duration::ZERO),
    };
    let by_column: Vec<(usize, Vec<u32>)> = groupings
        .iter()
        .map(|(_, of)| (of.names.len(), of.of_record.clone()))
        .collect();
    let judges = Judges::new(&shop, &protected, &by_column);
    let mut arms = vec![Arm::Undefended, Arm::Control];
    arms.extend(wanted.into_iter().map(Arm::Defended));
    let tried = Trial {
        shop: &shop,
        judges: &judges,
    }
    .try_all(arms, progress)?;
    let section = Told {
        request,
        pool: &pool,
        protected: &protected,
        groupings: &groupings,
        judges: &judges,
        unit_name: &audit.data.unit_name,
    }
    .section(&tried, begun.elapsed());
    let section = deliverables::write(&shop, &protected, &tried.arms, section, progress)?;
    audit.defence = Some(section);
    publish(&run, &mut manifest, &audit)?;
    Ok(Defended {
        audit,
        path: path.to_path_buf(),
    })
}

/// Records of the smallest training set that a defence meets: what DP-SGD promises must hold for
/// all.
fn smallest_training_set(pool: &Pool, models: &Range<usize>) -> usize {
    let of_models = models
        .clone()
        .map(|model| pool.membership.training_units(model));
    let of_target = Some(&pool.target_training_units[..]).filter(|units| !units.is_empty());
    of_models
        .chain(of_target)
        .map(|units| pool.units.count(units))
        .min()
        .unwrap_or(1)
}

/// Refuses what cannot be; the models that judge.
fn check(request: &DefendRequest, pool: &Pool) -> Result<Range<usize>> {
    let refuse = |option: &str, message: String, hint: &str| {
        Err(Error::usage(message).at(option).hint(hint))
    };
    if pool.config.data.reference.is_some() {
        return Err(Error::usage(
            "this audit's reference models were trained on other records than those that are audited, so there is nothing that a defence could change for these",
        )
        .at("giveaway defend")
        .hint("audit the training data themselves, without --reference, and defend that run"));
    }
    if !(request.exposed > 0.0 && request.exposed <= 0.5) {
        return refuse(
            "--exposed",
            format!("a share of {} cannot be protected", request.exposed),
            "give a number above 0 and up to .5, such as 0.01",
        );
    }
    if !(request.max_accuracy_loss >= 0.0 && request.max_accuracy_loss <= 1.0) {
        return refuse(
            "--max-accuracy-loss",
            format!("an accuracy cannot fall by {}", request.max_accuracy_loss),
            "give a share from 0 to 1, such as 0.01 for one point",
        );
    }
    let half = pool.membership.halves()[1].clone();
    let family = pool.membership.family_size();
    let models = request
        .models
        .unwrap_or_else(|| MODELS.min(half.len()))
        .min(usize::MAX - 1);
    let whole = models.next_multiple_of(family);
    if models < FEWEST_MODELS || whole > half.len() {
        return refuse(
            "--models",
            format!(
                "{models} models to judge defences by, of {} that found nobody",
                half.len()
            ),
            &if half.len() < FEWEST_MODELS {
                format!(
                    "half of the run's models find whom to protect, and at least {FEWEST_MODELS} must judge: audit with {} or more",
                    2 * FEWEST_MODELS
                )
            } else {
                format!("give a number from {FEWEST_MODELS} to {}", half.len())
            },
        );
    }
    Ok(half.start..half.start + whole)
}

/// Fewer models leave attacks with too few references when one and its complement are out.
const FEWEST_MODELS: usize = 12;

/// The groups of records over which utility is told.
fn groupings(request: &DefendRequest, pool: &Pool) -> Result<Vec<(String, Grouping)>> {
    let names = pool.table.column_names();
    request
        .groups
        .iter()
        .map(|name| {
            let found = grouping(&pool.table, name).ok_or_else(|| {
                let some: Vec<&str> = names.iter().take(12).copied().collect();
                Error::usage(format!("there is no column {name:?} to tell utility by"))
                    .at("--by")
                    .hint(if pool.dataset.schema.image.is_some() {
                        "leave it out; utility by class is always told".to_owned()
                    } else {
                        format!("the columns are {}", some.join(", "))
                    })
            })?;
            Ok((name.clone(), found))
        })
        .collect()
}

/// Arms that were tried, and those that were not.
struct Tried {
    arms: Vec<(Arm, ArmFound)>,
    skipped: Vec<SkippedDefence>,
}

/// The work on all arms.
struct Trial<'a> {
    shop: &'a Shop<'a>,
    judges: &'a Judges<'a>,
}

impl Trial<'_> {
    fn try_all(&self, arms: Vec<Arm>, progress: &dyn Progress) -> Result<Tried> {
        let mut tried = Tried {
            arms: Vec::new(),
            skipped: Vec::new(),
        };
        let all = arms.len();
        for (number, arm) in arms.into_iter().enumerate() {
            match self.try_one(&arm, (number + 1, all), progress) {
                Ok(Ok(found)) => tried.arms.push((arm, found)),
                Ok(Err(reason)) => {
                    progress.note(&format!("{} is not tried: {reason}", arm.name()));
                    tried.skipped.push(SkippedDefence {
                        name: arm.name(),
                        reason,
                    });
                }
                // A defence that cannot be made here is no reason to lose the others; a disk that
                // is full, or models that are not those of the run, is.
                Err(error)
                    if error.kind() == ErrorKind::Usage && matches!(arm, Arm::Defended(_)) =>
                {
                    let reason = error.to_string();
                    progress.note(&format!("{} is not tried: {reason}", arm.name()));
                    self.shop.clear(&arm)?;
                    tried.skipped.push(SkippedDefence {
                        name: arm.name(),
                        reason,
                    });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(tried)
    }

    /// What was found of an arm, or why it was not tried.
    fn try_one(
        &self,
        arm: &Arm,
        (number, all): (usize, usize),
        progress: &dyn Progress,
    ) -> Result<std::result::Result<ArmFound, String>> {
        let shop = self.shop;
        let file = format!("{FOLDER}/{}.json", arm.file_name());
        if let Some(found) = self.stored(&file, &arm.name()) {
            return Ok(Ok(found));
        }
        let first = matches!(arm, Arm::Undefended | Arm::Control);
        if let Some(deadline) = shop.deadline
            && !first
            && Instant::now() >= deadline
        {
            return Ok(Err("the time is up (--budget)".to_owned()));
        }
        progress.begin(
            &format!("{} ({number} of {all})", arm.name()),
            shop.models.len() as u64,
        );
        let trained = shop.train(arm, progress);
        progress.end();
        if let Trained::TooLong(left) = trained? {
            return Ok(Err(format!(
                "it would take about {} more (--budget)",
                minutes(left)
            )));
        }
        let begun = Instant::now();
        let found = self.judges.measure(arm, progress)?;
        if let Ok(mut longest) = shop.measuring.lock() {
            *longest = (*longest).max(begun.elapsed());
        }
        let json = serde_json::to_string(&found)
            .map_err(|e| Error::unexpected(format!("cannot write figures: {e}")))?;
        shop.run.write(&file, json.as_bytes())?;
        shop.clear(arm)?;
        Ok(Ok(found))
    }

    /// What was found of an arm before, if it is of the same work.
    fn stored(&self, file: &str, name: &str) -> Option<ArmFound> {
        let text = std::fs::read_to_string(self.shop.run.file(file)).ok()?;
        let found: ArmFound = serde_json::from_str(&text).ok()?;
        (found.identity == self.shop.identity && found.name == name).then_some(found)
    }
}

/// A time in words.
fn minutes(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 90.0 {
        format!("{seconds:.0} seconds")
    } else {
        format!("{:.0} minutes", seconds / 60.0)
    }
}

/// What the section is told from.
struct Told<'a> {
    request: &'a DefendRequest,
    pool: &'a Pool,
    protected: &'a Protected,
    groupings: &'a [(String, Grouping)],
    judges: &'a Judges<'a>,
    unit_name: &'a str,
}

impl Told<'_> {
    fn section(&self, tried: &Tried, took: Duration) -> DefenceSection {
        let pool = self.pool;
        let mut judged = vec![false; pool.dataset.len()];
        for record in pool.units.expand(&self.protected.judged) {
            judged[record as usize] = true;
        }
        let count = |of: &[u32], groups: usize| {
            let mut sizes = vec![0; groups];
            for (&group, &judged) in of.iter().zip(&judged) {
                sizes[group as usize] += usize::from(judged);
            }
            sizes
        };
        let classes = &pool.dataset.schema.classes;
        let class_sizes = count(&pool.dataset.labels, classes.len());
        let groups: Vec<(String, Vec<(String, usize)>)> = self
            .groupings
            .iter()
            .map(|(name, of)| {
                let sizes = count(&of.of_record, of.names.len());
                (name.clone(), of.names.iter().cloned().zip(sizes).collect())
            })
            .collect();
        let ids: Vec<String> = self
            .protected
            .judged
            .iter()
            .map(|&unit| pool.table.ids[pool.units.records(unit as usize)[0] as usize].clone())
            .collect();
        let mut arms = tried.arms.iter().map(|(arm, found)| {
            (
                matches!(arm, Arm::Defended(_)),
                Finished {
                    about: about(arm),
                    found,
                },
            )
        });
        // the undefended recipe comes first and is always there
        let undefended = arms.next();
        let (mut control, mut defended) = (None, Vec::new());
        for (is_defended, arm) in arms {
            if is_defended {
                defended.push(arm);
            } else {
                control = Some(arm);
            }
        }
        let Some((_, undefended)) = undefended else {
            unreachable!("the undefended recipe is tried first, and errors end the work");
        };
        let conclusion = Conclusion {
            protected: self.protected,
            undefended,
            control,
            defended,
            ids: &ids,
            classes,
            class_sizes: &class_sizes,
            groups: &groups,
            accuracy_budget: self.request.max_accuracy_loss,
            seed: pool.config.seed,
            unit_name: self.unit_name,
        };
        let concluded = conclusion.conclude();
        DefenceSection {
            settings: DefenceSettings {
                models: self.judges.shop.models.len(),
                families: self.judges.families(),
                units: self.protected.judged.len(),
                held: self.protected.held_units,
                identified_by: self.request.identify.name().to_owned(),
                exposed: self.protected.units.len(),
                identifying_models: self.protected.models,
                accuracy_budget: self.request.max_accuracy_loss,
                budget_seconds: self.request.budget.map(|budget| budget.as_secs_f64()),
                seconds: took.as_secs_f64(),
                groups: self.request.groups.clone(),
            },
            units: self.units(
                tried,
                concluded.recommendation.defence.as_deref(),
                &concluded.defences,
                &ids,
            ),
            recommendation: concluded.recommendation,
            undefended: concluded.undefended,
            control: concluded.control,
            defences: concluded.defences,
            skipped: tried.skipped.clone(),
            deliverables: Vec::<Deliverable>::new(),
        }
    }

    /// The records to be protected, one by one.
    fn units(
        &self,
        tried: &Tried,
        recommended: Option<&str>,
        figures: &[DefenceFigures],
        ids: &[String],
    ) -> Vec<ProtectedUnit> {
        let pool = self.pool;
        let best = recommended.or_else(|| {
            figures
                .iter()
                .filter_map(|of| Some((of.exposed.found.value?, &of.name)))
                .min_by(|a, b| a.0.total_cmp(&b.0))
                .map(|(_, name)| name.as_str())
        });
        let accused = |name: &str| {
            let (_, found) = tried.arms.iter().find(|(arm, _)| arm.name() == name)?;
            Some(&found.on_exposed(Share::All)?.protected)
        };
        let before = accused("none");
        let after = best.and_then(accused);
        self.protected
            .units
            .iter()
            .take(UNITS_SHOWN)
            .enumerate()
            .filter_map(|(number, &unit)| {
                let place = self.protected.judged.binary_search(&unit).ok()?;
                let record = pool.units.records(unit as usize)[0] as usize;
                let classes = &pool.dataset.schema.classes;
                let before = before.map(|of| of[number]).unwrap_or_default();
                Some(ProtectedUnit {
                    id: ids[place].clone(),
                    class: classes[pool.dataset.labels[record] as usize].clone(),
                    in_targets: before.in_targets,
                    found_before: before.found,
                    found_after: after.map(|of| of[number].found),
                    suspected_class: self.protected.suspects[record]
                        .map(|class| classes[class as usize].clone()),
                })
            })
            .collect()
    }
}

/// Writes the result with its new section, and the page.
fn publish(
    run: &RunDirectory,
    manifest: &mut super::directory::Manifest,
    audit: &Audit,
) -> Result<()> {
    let report = run.stage("report.json", as_json(audit)?.as_bytes())?;
    run.remove("report.html")?;
    run.remove_folder("figures")?;
    run.remove_folder("redacted")?;
    manifest.stages.retain(|stage| stage != "report");
    run.write_manifest(manifest)?;
    run.publish(report)?;
    write_page(run)?;
    finish_stage(run, manifest, "report")?;
    run.event("defended", &serde_json::json!({}))
}
