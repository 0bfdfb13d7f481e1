//! Files for the user: whom to leave out, relabel or weigh less, how to train, and the target
//! trained through the recommended defence.

use std::fmt::Write;

use giveaway_stats::random::derive_seed;

use super::arms::{Arm, FOLDER, Shop};
use super::exposed::Protected;
use super::measuring::ArmFound;
use crate::error::{Error, Result};
use crate::report::defence::{DefenceFigures, DefenceSection, Deliverable};
use crate::run::array_file::{write_array, write_floats};
use crate::run::directory::RunDirectory;
use crate::run::progress::Progress;
use crate::run::training::of_target;

/// The weight that is proposed for the records to be protected, as down-weighting tries it.
const PROPOSED_WEIGHT: f64 = 0.1;

/// All files that may be written, in their folder.
const NAMES: [&str; 7] = [
    "drop.csv",
    "weights.csv",
    "relabel.csv",
    "settings.md",
    "target.npy",
    "members.npy",
    "class-means.csv",
];

/// Takes the files of an earlier advice away.
///
/// # Errors
/// If one is there and cannot be removed.
pub(in crate::run) fn remove(run: &RunDirectory) -> Result<()> {
    NAMES
        .iter()
        .try_for_each(|name| run.remove(&format!("{FOLDER}/{name}")))
}

/// Writes the files and names them in the section.
///
/// # Errors
/// If one cannot be written, or the target cannot be trained.
pub(super) fn write(
    shop: &Shop<'_>,
    protected: &Protected,
    arms: &[(Arm, ArmFound)],
    mut section: DefenceSection,
    progress: &dyn Progress,
) -> Result<DefenceSection> {
    let mut files = Files {
        shop,
        written: Vec::new(),
    };
    remove(shop.run)?;
    files.lists(protected)?;
    let recommended = section.recommendation.defence.clone();
    let chosen = recommended.as_ref().and_then(|name| {
        let (arm, _) = arms.iter().find(|(arm, _)| arm.name() == *name)?;
        let figures = section.defences.iter().find(|of| of.name == *name)?;
        Some((arm, figures))
    });
    if let Some((arm, figures)) = chosen {
        files.settings(&section, figures)?;
        files.target(arm, progress)?;
    }
    section.deliverables = files.written;
    Ok(section)
}

struct Files<'a> {
    shop: &'a Shop<'a>,
    written: Vec<Deliverable>,
}

/// Rows as the text of a CSV file.
fn csv<const COLUMNS: usize>(
    head: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> Result<String> {
    let failed =
        |e: &dyn std::fmt::Display| Error::unexpected(format!("cannot write the list: {e}"));
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(head).map_err(|e| failed(&e))?;
    for row in rows {
        table.write_record(row).map_err(|e| failed(&e))?;
    }
    let bytes = table.into_inner().map_err(|e| failed(&e))?;
    String::from_utf8(bytes).map_err(|e| failed(&e))
}

impl Files<'_> {
    fn text(&mut self, name: &str, text: &str, what: &str) -> Result<()> {
        let file = format!("{FOLDER}/{name}");
        self.shop.run.write(&file, text.as_bytes())?;
        self.note(file, what);
        Ok(())
    }

    fn note(&mut self, file: String, what: &str) {
        self.written.push(Deliverable {
            file,
            what: what.to_owned(),
        });
    }

    /// Whom to leave out, relabel or weigh less.
    fn lists(&mut self, protected: &Protected) -> Result<()> {
        let pool = self.shop.pool;
        let ids = &pool.table.ids;
        let classes = &pool.dataset.schema.classes;
        let id = |record: u32| ids[record as usize].clone();
        let label = |record: u32| classes[pool.dataset.labels[record as usize] as usize].clone();
        let records = pool.units.expand(&protected.units);
        let all = || records.iter().copied();
        let drop = csv(["id", "class"], all().map(|r| [id(r), label(r)]))?;
        let weights = csv(
            ["id", "weight"],
            all().map(|r| [id(r), PROPOSED_WEIGHT.to_string()]),
        )?;
        let relabel = csv(
            ["id", "class", "suggested_class"],
            all().filter_map(|r| {
                let class = protected.suspects[r as usize]?;
                Some([id(r), label(r), classes[class as usize].clone()])
            }),
        )?;
        self.text(
            "drop.csv",
            &drop,
            "the records to be protected, the most exposed first: leave them out, or see what they are",
        )?;
        self.text(
            "weights.csv",
            &weights,
            "the same with a weight for each, for sample_weight (all others have 1); the page says whether down-weighting was found to help",
        )?;
        self.text(
            "relabel.csv",
            &relabel,
            "those of them whose label the models agree to be another, for you to look at; the page says whether relabelling was found to help",
        )
    }

    fn settings(&mut self, section: &DefenceSection, figures: &DefenceFigures) -> Result<()> {
        let advice = &section.recommendation;
        let mut text = format!("# {}\n\n{}\n\n", figures.title, figures.what);
        for reason in &advice.reasons {
            let _ = writeln!(text, "- {reason}");
        }
        let _ = write!(
            text,
            "\n## scikit-learn\n\n{}\n\n## PyTorch\n\n{}\n\nSource: {}\n",
            figures.scikit_learn, figures.pytorch, figures.source
        );
        self.text(
            "settings.md",
            &text,
            "how to do what is recommended with scikit-learn and PyTorch",
        )
    }

    /// The target, trained through the defence, so that it can be audited or compared.
    fn target(&mut self, arm: &Arm, progress: &dyn Progress) -> Result<()> {
        let shop = self.shop;
        let pool = shop.pool;
        let Arm::Defended(defence) = arm else {
            return Ok(());
        };
        if !pool.trains_target() {
            return Ok(());
        }
        progress.begin("training the target through the recommended defence", 0);
        let (rows, seed) = of_target(pool);
        let validation = pool.units.expand(&pool.validation_units);
        let wrapped = defence.trainer(shop.bench)?;
        let trainer = wrapped.as_deref().unwrap_or(shop.bench.trainer);
        let model = trainer.train(&rows, &validation, seed)?;
        let guard_seed = derive_seed(pool.config.seed, "guarding the target", 0);
        let guarded = defence.guard(shop.bench, &rows, model, guard_seed)?;
        let classes = pool.dataset.schema.classes.len();
        write_floats(
            shop.run,
            &format!("{FOLDER}/target.npy"),
            &[pool.dataset.len(), classes],
            |sink| guarded.each_answer(sink),
        )?;
        let members: Vec<u8> = (0..pool.dataset.len())
            .map(|record| u8::from(pool.is_member[pool.units.of_record(record)] == Some(true)))
            .collect();
        write_array(
            shop.run,
            &format!("{FOLDER}/members.npy"),
            "|b1",
            &[members.len()],
            &members,
        )?;
        self.note(
            format!("{FOLDER}/target.npy"),
            "what the target answers to every audited record when it is trained through the recommended defence: audit --target-outputs takes it, with data.parquet",
        );
        self.note(
            format!("{FOLDER}/members.npy"),
            "which of them were handed to its training, for --members; a defence that leaves records out or sets some aside has trained on fewer",
        );
        let table = guarded
            .fitted()
            .map(|fitted| defence.table(fitted, &pool.dataset.schema.classes))
            .transpose()?
            .flatten();
        if let Some(table) = table {
            self.text(table.file, &table.text, table.what)?;
        }
        progress.end();
        Ok(())
    }
}
