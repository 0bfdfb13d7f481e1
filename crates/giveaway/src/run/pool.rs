//! The pool: the records of an audit as numbers, their units, and who trains on whom.

use std::collections::BTreeMap;
use std::path::Path;

use giveaway_stats::random::{Stream, derive_seed};

use super::array_file::write_bytes;
use super::config::trainer::TrainerName;
use super::config::{Config, Duplicates};
use super::directory::RunDirectory;
use super::progress::Progress;
use crate::attack::direct::Null;
use crate::dataset::{
    Body, Dataset, Encoding, EncodingOptions, Table, Values as ColumnValues, exact_duplicates,
};
use crate::error::{Error, Result};
use crate::membership::{Design, Membership, share_of_eligible};
use crate::report::records::{Values, to_parquet};
use crate::target::{self, TargetOutputs};
use crate::units::Units;

/// Reference models train on at most this share of the pool, or no unit would be OUT for enough of them.
const LARGEST_SHARE: f64 = 0.95;

/// Everything that is settled before a model is trained.
pub struct Pool {
    /// The configuration with every choice made.
    pub config: Config,
    /// A short name for the data.
    pub name: String,
    /// Content hash of each input file.
    pub inputs: BTreeMap<String, String>,
    /// The audited records as they were read.
    pub table: Table,
    /// The records of the reference file, which follow the audited ones.
    pub reference: Option<Table>,
    /// Records in the file that the audited ones are from.
    pub records_in_file: usize,
    /// All records as numbers: the audited ones first, then those of the reference file.
    pub dataset: Dataset,
    /// How they became numbers.
    pub encoding: Encoding,
    /// Which records belong together.
    pub units: Units,
    /// Units whose verdict is wanted.
    pub audited: Vec<u32>,
    /// Units that are IN for some reference models: those that can judge the test.
    pub eligible: Vec<u32>,
    /// Units set aside for early stopping.
    pub validation_units: Vec<u32>,
    /// Training sets of the reference models.
    pub membership: Membership,
    /// Whether each unit is in the target's training set, where known.
    pub is_member: Vec<Option<bool>>,
    /// Units that the target is trained on, if it is trained here.
    pub target_training_units: Vec<u32>,
    /// The target's outputs, if they were given or it has been asked.
    pub target_outputs: Option<TargetOutputs>,
    /// Groups with records among the members and among the non-members.
    pub split_units: usize,
    /// Records that equal another one in every feature and the label.
    pub exact_duplicates: usize,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl Pool {
    /// Reads the inputs and settles everything that follows from them and the seed.
    ///
    /// # Errors
    /// On bad input or impossible requests.
    pub fn prepare(config: &Config, progress: &dyn Progress) -> Result<Self> {
        let mut config = config.clone();
        let mut inputs = BTreeMap::new();
        let mut notes = Vec::new();
        progress.begin("reading the data", 0);
        let Inputs {
            table,
            reference,
            given,
            records_in_file,
        } = read_inputs(&config, &mut inputs, &mut notes)?;
        let name = short_name(&config.data.source);
        let (encoding, dataset) = encode(&config, &table, reference.as_ref())?;
        config.settle_network(&dataset.schema)?;
        notes.extend(encoding.notes().iter().cloned());
        notes.extend(encoding.notes_on(&table));
        progress.end();

        let exact_duplicates: usize = exact_duplicates(&dataset).iter().map(Vec::len).sum();
        let units = units(
            &config,
            &table,
            reference.as_ref(),
            &dataset,
            given.as_ref(),
        )?;
        let audited_records = table.len();
        let unit_range = |inside: &dyn Fn(usize) -> bool| -> Vec<u32> {
            (0..units.len() as u32)
                .filter(|&unit| inside(units.records(unit as usize)[0] as usize))
                .collect()
        };
        let mut audited = unit_range(&|record| record < audited_records);
        let mut eligible = if reference.is_some() {
            unit_range(&|record| record >= audited_records)
        } else {
            audited.clone()
        };

        if let Some(reference) = &reference {
            leave_out_audited_persons(&table, reference, &units, &mut eligible, &mut notes);
        }
        let validation_units = set_aside(&config, &mut eligible)?;
        if reference.is_none() {
            audited.clone_from(&eligible);
        }

        let (mut is_member, split_units) = membership_of_units(&units, given.as_ref());
        let size = settle_design(
            &mut config,
            &audited,
            &eligible,
            &is_member,
            given.is_some(),
            reference.is_some(),
            &mut notes,
        )?;
        let design = config.reference.design.unwrap_or(Design::Halves);
        let membership = Membership::draw(
            design,
            config.reference.models,
            units.len(),
            &eligible,
            size,
            config.seed,
        )?;
        let target_training_units = if given.is_some() {
            Vec::new()
        } else {
            let drawn = draw_target(&config, units.len(), &audited, size)?;
            for &unit in &audited {
                is_member[unit as usize] = Some(drawn.binary_search(&unit).is_ok());
            }
            drawn
        };
        within_budget(&config, &units, &mut audited, &mut notes)?;
        if config.reference.batch_size.is_none() {
            let records = units.expand(membership.training_units(0)).len();
            config.reference.batch_size = Some(config.training(records).batch_size);
        }
        let penalty = config.training(1).l2;
        config.reference.l2.get_or_insert(penalty);
        Ok(Self {
            config,
            name,
            inputs,
            table,
            reference,
            records_in_file,
            dataset,
            encoding,
            units,
            audited,
            eligible,
            validation_units,
            membership,
            is_member,
            target_training_units,
            target_outputs: given.and_then(|g| g.outputs),
            split_units,
            exact_duplicates,
            notes,
        })
    }

    /// Chooses what depends on the models' outputs, where nothing was said: the shape of a
    /// distribution says nothing where losses are often equal, and ranks are all that is left.
    pub fn settle_test(&mut self) {
        let usual = if self.has_coarse_outputs() {
            Null::Ecdf
        } else {
            Null::T
        };
        self.config.test.null.get_or_insert(usual);
    }

    /// Whether target or reference models have so few different answers that losses of different
    /// models often are equal.
    #[must_use]
    pub fn has_coarse_outputs(&self) -> bool {
        let reference = &self.config.reference;
        let has_few_trees =
            reference.trainer == TrainerName::Forest && reference.forest.is_coarse();
        let target = self.target_outputs.as_ref();
        has_few_trees || target.is_some_and(|given| given.channel.is_coarse())
    }

    /// Whether the target is trained here.
    #[must_use]
    pub fn trains_target(&self) -> bool {
        !self.config.target.is_given()
    }

    /// Records in the first reference model's training set.
    #[must_use]
    pub fn training_records(&self) -> usize {
        self.units.expand(self.membership.training_units(0)).len()
    }

    /// Units in the target's training set, where known.
    #[must_use]
    pub fn target_training_size(&self) -> Option<usize> {
        let members = self.is_member.iter().filter(|m| **m == Some(true)).count();
        (members > 0).then_some(members)
    }

    /// Writes what the run directory holds of it.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, run: &RunDirectory) -> Result<()> {
        let mut encoding = serde_json::to_string_pretty(&self.encoding)
            .map_err(|e| Error::unexpected(format!("cannot write the encoding: {e}")))?;
        encoding.push('\n');
        run.write("encoding.json", encoding.as_bytes())?;
        write_bytes(
            run,
            "membership.npy",
            self.membership.units(),
            &self.membership.to_bytes(),
        )?;
        if self.config.data.keep_records {
            run.write("data.parquet", &records_as_read(&self.table)?)
        } else {
            // An earlier audit in this directory may have kept them.
            run.remove("data.parquet")
        }
    }
}

struct GivenTarget {
    /// Nothing of a target that has yet to be asked.
    outputs: Option<TargetOutputs>,
    members: Option<Vec<bool>>,
}

struct Inputs {
    table: Table,
    reference: Option<Table>,
    given: Option<GivenTarget>,
    records_in_file: usize,
}

fn read_inputs(
    config: &Config,
    hashes: &mut BTreeMap<String, String>,
    notes: &mut Vec<String>,
) -> Result<Inputs> {
    let whole = read_source(config)?;
    hashes.insert("data".to_owned(), whole.content_hash.clone());
    notes.extend(whole.notes.iter().cloned());
    let records_in_file = whole.len();
    for word in config.reference.command_words() {
        let bytes = std::fs::read(&word).map_err(|e| Error::io("read the file", &word, &e))?;
        let role = format!("trainer's {word}");
        hashes.insert(role, blake3::hash(&bytes).to_hex().to_string());
    }
    let reference = match &config.data.reference {
        Some(path) => {
            let table = Table::read(path, &config.data.table_options())?;
            hashes.insert("reference".to_owned(), table.content_hash.clone());
            Some(table)
        }
        None => None,
    };
    // The models know the classes of the records that they are trained on.
    let classes = &reference.as_ref().unwrap_or(&whole).classes;
    let given = given_target(config, &whole, classes, hashes)?;
    Ok(Inputs {
        table: sample(config, whole, given.is_some())?,
        reference,
        given,
        records_in_file,
    })
}

/// Reads the records that a configuration names, all of them.
///
/// # Errors
/// If they cannot be read.
pub fn read_source(config: &Config) -> Result<Table> {
    let source = config.data.source.as_str();
    let options = config.data.table_options();
    match source.split_once(':') {
        Some(("shipped", name)) => Table::shipped(name, &options),
        Some(("cached", name)) => Table::cached(name, &options),
        _ => Table::read(Path::new(source), &options),
    }
}

fn short_name(source: &str) -> String {
    let name = ["shipped:", "cached:"]
        .iter()
        .find_map(|prefix| source.strip_prefix(prefix))
        .unwrap_or(source);
    let stem = Path::new(name)
        .file_name()
        .map_or_else(|| name.to_owned(), |n| n.to_string_lossy().into_owned());
    let stem = stem.split('.').next().unwrap_or_default();
    let clean: String = stem
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || c == '-' || c == '_' {
                c
            } else {
                '-'
            }
        })
        .collect();
    if clean.is_empty() {
        "data".to_owned()
    } else {
        clean
    }
}

fn given_target(
    config: &Config,
    table: &Table,
    classes: &[String],
    inputs: &mut BTreeMap<String, String>,
) -> Result<Option<GivenTarget>> {
    if !config.target.is_given() {
        return Ok(None);
    }
    let mut hash = |role: &str, path: &Path| -> Result<()> {
        let bytes = std::fs::read(path).map_err(|e| Error::io("read the file", path, &e))?;
        inputs.insert(role.to_owned(), blake3::hash(&bytes).to_hex().to_string());
        Ok(())
    };
    for word in config.target.command_words() {
        hash(&format!("target command's {word}"), Path::new(&word))?;
    }
    for (number, path) in config.target.model_files().iter().enumerate() {
        let role = match path.file_name() {
            Some(name) if number > 0 => format!("target model's {}", name.to_string_lossy()),
            _ => "target model".to_owned(),
        };
        hash(&role, path)?;
    }
    let outputs = match &config.target.outputs {
        Some(path) => {
            hash("target outputs", path)?;
            let kind = config.target.output_kind;
            Some(target::read_outputs(
                path,
                table.len(),
                "records",
                classes,
                kind,
            )?)
        }
        None => None,
    };
    let members = match &config.target.members {
        Some(path) => {
            hash("members", path)?;
            Some(target::read_members(
                path,
                table,
                config.data.id.as_deref(),
            )?)
        }
        None => None,
    };
    Ok(Some(GivenTarget { outputs, members }))
}

/// Takes so many records of each class at random, in the order of the file.
fn balanced(config: &Config, whole: &Table, per_class: usize, target_given: bool) -> Result<Table> {
    let refused = |what: &str, hint: &str| Err(Error::usage(what).at("--per-class").hint(hint));
    if target_given {
        return refused(
            "a given target's training set cannot be resized",
            "leave it out: with --target-outputs every record of the file is audited",
        );
    }
    if whole.groups.is_some() {
        return refused(
            "records of groups belong together, and a group may have several classes",
            "leave --per-class out, or --group",
        );
    }
    let mut of_class: Vec<Vec<u32>> = vec![Vec::new(); whole.classes.len()];
    for (record, &label) in whole.labels.iter().enumerate() {
        of_class[label as usize].push(record as u32);
    }
    let mut records = Vec::new();
    for (class, mut order) in of_class.into_iter().enumerate() {
        if order.len() < per_class {
            return Err(Error::usage(format!(
                "{per_class} records of each class are wanted, and class {} has {}",
                whole.classes[class],
                order.len()
            ))
            .at("--per-class")
            .hint(
                "give at most as many as the smallest class has, or leave classes out of the file",
            ));
        }
        Stream::new(config.seed, "pool of a class", class as u64).shuffle(&mut order);
        records.extend_from_slice(&order[..per_class]);
    }
    records.sort_unstable();
    Ok(whole.select(&records))
}

/// Takes twice the wanted training units at random, by group where there are groups, in
/// the order of the file; or so many records of each class.
fn sample(config: &Config, whole: Table, target_given: bool) -> Result<Table> {
    if let Some(per_class) = config.data.per_class {
        return balanced(config, &whole, per_class, target_given);
    }
    let Some(training_units) = config.data.training_units else {
        return Ok(whole);
    };
    if target_given {
        return Err(
            Error::usage("a given target's training set cannot be resized")
                .at("--train-size")
                .hint("leave it out: of a model that is there already (--target-outputs and its like), every record of the file is audited"),
        );
    }
    let units = match &whole.groups {
        Some(groups) => Units::from_groups(groups),
        None => Units::singletons(whole.len()),
    };
    let wanted = 2 * training_units;
    if wanted > units.len() {
        return Err(Error::usage(format!(
            "training sets of {training_units} need twice as many units, but there are {}",
            units.len()
        ))
        .at("--train-size")
        .hint(format!("give at most {}", units.len() / 2)));
    }
    let mut order: Vec<u32> = (0..units.len() as u32).collect();
    Stream::new(config.seed, "pool", 0).shuffle(&mut order);
    order.truncate(wanted);
    let mut records = units.expand(&order);
    records.sort_unstable();
    Ok(whole.select(&records))
}

/// Learns the encoding from the reference records (the pool itself, if there are no others)
/// and encodes the audited records, then the reference records.
fn encode(
    config: &Config,
    table: &Table,
    reference: Option<&Table>,
) -> Result<(Encoding, Dataset)> {
    let options = EncodingOptions {
        scaling: config.data.scaling,
        max_levels: config.data.max_levels,
        unknown_categories: config.data.unknown_categories,
    };
    let learn_from = reference.unwrap_or(table);
    let all: Vec<u32> = (0..learn_from.len() as u32).collect();
    let encoding = Encoding::learn(learn_from, &all, &options)?;
    let mut audited = encoding.encode(table)?;
    let Some(reference) = reference else {
        return Ok((encoding, audited));
    };
    let other = encoding.encode(reference)?;
    audited.features = ndarray::concatenate(
        ndarray::Axis(0),
        &[audited.features.view(), other.features.view()],
    )
    .map_err(|e| Error::unexpected(format!("cannot join audited and reference records: {e}")))?;
    audited.labels.extend(other.labels);
    audited.ids.extend(other.ids);
    Ok((encoding, audited))
}

fn units(
    config: &Config,
    table: &Table,
    reference: Option<&Table>,
    dataset: &Dataset,
    given: Option<&GivenTarget>,
) -> Result<Units> {
    if table.groups.is_some() || reference.is_some_and(|r| r.groups.is_some()) {
        // A person in both files is one person in each: the two are kept apart.
        let side = |table: &Table, prefix: &str| -> Vec<String> {
            match &table.groups {
                Some(groups) => groups
                    .iter()
                    .map(|g| {
                        if g.is_empty() {
                            String::new()
                        } else {
                            format!("{prefix}{g}")
                        }
                    })
                    .collect(),
                None => vec![String::new(); table.len()],
            }
        };
        let mut groups = side(table, "a");
        if let Some(reference) = reference {
            groups.extend(side(reference, "r"));
        }
        return Ok(Units::from_groups(&groups));
    }
    if config.data.duplicates == Duplicates::Report {
        return Ok(Units::singletons(dataset.len()));
    }
    // Duplicates can only be one unit if they are on the same side of everything.
    let side = |record: u32| {
        let member = given
            .and_then(|g| g.members.as_ref())
            .and_then(|members| members.get(record as usize).copied());
        ((record as usize) < table.len(), member)
    };
    let mut sets = Vec::new();
    for set in exact_duplicates(dataset) {
        let mut by_side: BTreeMap<(bool, Option<bool>), Vec<u32>> = BTreeMap::new();
        for record in set {
            by_side.entry(side(record)).or_default().push(record);
        }
        sets.extend(by_side.into_values().filter(|set| set.len() > 1));
    }
    Units::from_sets(dataset.len(), &sets)
}

/// Persons of the audited file are taken out of the reference data, or models that were
/// trained on them would count as OUT.
fn leave_out_audited_persons(
    table: &Table,
    reference: &Table,
    units: &Units,
    eligible: &mut Vec<u32>,
    notes: &mut Vec<String>,
) {
    let (Some(audited), Some(others)) = (&table.groups, &reference.groups) else {
        return;
    };
    let audited: std::collections::BTreeSet<&str> = audited
        .iter()
        .map(String::as_str)
        .filter(|g| !g.is_empty())
        .collect();
    let before = eligible.len();
    eligible.retain(|&unit| {
        let record = units.records(unit as usize)[0] as usize;
        !audited.contains(others[record - table.len()].as_str())
    });
    if eligible.len() < before {
        notes.push(format!(
            "{} groups are in the audited and in the reference file; their reference records are not used",
            before - eligible.len()
        ));
    }
}

fn set_aside(config: &Config, eligible: &mut Vec<u32>) -> Result<Vec<u32>> {
    if config.reference.patience.is_none() {
        return Ok(Vec::new());
    }
    let mut order = eligible.clone();
    Stream::new(config.seed, "validation", 0).shuffle(&mut order);
    let count = (order.len() as f64 * config.reference.validation_share).round() as usize;
    if count == 0 {
        return Err(Error::usage(format!(
            "no record is left for validation: {} of {} units",
            config.reference.validation_share,
            order.len()
        ))
        .at("--patience")
        .hint("give a larger --validation-share, or leave --patience out"));
    }
    let mut validation = order.split_off(order.len() - count);
    validation.sort_unstable();
    eligible.retain(|unit| validation.binary_search(unit).is_err());
    Ok(validation)
}

/// A unit is a member if one of its records is; also counts units that are on both sides.
fn membership_of_units(units: &Units, given: Option<&GivenTarget>) -> (Vec<Option<bool>>, usize) {
    let Some(members) = given.and_then(|g| g.members.as_ref()) else {
        return (vec![None; units.len()], 0);
    };
    let mut split = 0;
    let membership = (0..units.len())
        .map(|unit| {
            let inside = units
                .records(unit)
                .iter()
                .map(|&record| members.get(record as usize).copied())
                .collect::<Option<Vec<bool>>>()?;
            let any = inside.contains(&true);
            split += usize::from(any && inside.contains(&false));
            Some(any)
        })
        .collect();
    (membership, split)
}

/// Chooses the design where none was asked for, and the size of the training sets.
fn settle_design(
    config: &mut Config,
    audited: &[u32],
    eligible: &[u32],
    is_member: &[Option<bool>],
    target_given: bool,
    separate_reference: bool,
    notes: &mut Vec<String>,
) -> Result<usize> {
    let half = audited.len() / 2;
    let known = audited
        .iter()
        .filter(|&&unit| is_member[unit as usize].is_some())
        .count();
    let audited_members = audited
        .iter()
        .filter(|&&unit| is_member[unit as usize] == Some(true))
        .count();
    // The target was trained on members that are now set aside for validation, too.
    let members = is_member.iter().filter(|m| **m == Some(true)).count();
    let mut size = half;
    if target_given {
        if known == 0 {
            notes.push("the target's training records are not known (--members): its accuracies and the evaluation on the target vanish, and training sets of half the pool are assumed".to_owned());
        } else {
            size = members;
            if audited_members == known {
                notes.push("no non-member is known: false-positive rates, precision and AUC on the target vanish, and whether the reference models resemble it cannot be checked".to_owned());
            }
        }
    }
    let design = match config.reference.design {
        Some(design) => design,
        None if separate_reference => Design::Subsample,
        None if target_given && (size as f64 / eligible.len() as f64 - 0.5).abs() > 0.01 => {
            Design::Share
        }
        None => Design::Halves,
    };
    if separate_reference && matches!(design, Design::Halves | Design::Share) {
        return Err(Error::usage(format!(
            "the design {} draws from the audited records themselves, but --reference names others",
            design.name()
        ))
        .at("--design")
        .hint("use subsample or bootstrap, or leave --reference out"));
    }
    let largest = (eligible.len() as f64 * LARGEST_SHARE) as usize;
    if design != Design::Halves && design != Design::Bootstrap && size > largest {
        notes.push(format!(
            "the target was trained on {size} units, but there are only {} to draw from: reference models are trained on {largest}",
            eligible.len()
        ));
        size = largest;
    }
    let halves = eligible.len() / 2;
    if design == Design::Halves && size.abs_diff(halves) * 50 > size {
        notes.push(format!(
            "the target was trained on {size} units, the reference models on halves of {halves}; --design share would fit it"
        ));
    }
    if separate_reference {
        let share = share_of_eligible(design, size, eligible.len());
        notes.push(format!(
            "two reference training sets, of {size} draws from {} each, have {:.0} records in common on average, the target's none with them: where that is a large share ({:.0} % of a set here), the null is too narrow and p-values are too small",
            eligible.len(),
            eligible.len() as f64 * share * share,
            100.0 * share
        ));
    }
    config.reference.design = Some(design);
    Ok(if design == Design::Halves {
        eligible.len() / 2
    } else {
        size
    })
}

/// Share of a budget that is kept for questions that have to be asked again.
const FOR_RETRIES: f64 = 0.05;

/// Where a target may not be asked about all records, a random part of the units is audited. A
/// larger budget adds to them.
fn within_budget(
    config: &Config,
    units: &Units,
    audited: &mut Vec<u32>,
    notes: &mut Vec<String>,
) -> Result<()> {
    let Some(allowed) = config.target.max_queries else {
        return Ok(());
    };
    let records = units.count(audited);
    if records as u64 <= allowed {
        return Ok(());
    }
    let most = allowed - (allowed as f64 * FOR_RETRIES).ceil() as u64;
    let mut order = audited.clone();
    Stream::new(config.seed, "within the budget", 0).shuffle(&mut order);
    let mut queries = 0;
    let mut kept: Vec<u32> = order
        .into_iter()
        .take_while(|&unit| {
            queries += units.records(unit as usize).len() as u64;
            queries <= most
        })
        .collect();
    if kept.is_empty() {
        return Err(Error::usage(format!("{allowed} queries are too few to audit anything"))
            .at("--max-queries")
            .hint("allow as many as there are records, or some thousands for a random part of them"));
    }
    notes.push(format!(
        "{records} records would take more queries than --max-queries allows: a random {} of {} units are audited, and a twentieth of the queries is kept for retries",
        kept.len(),
        audited.len()
    ));
    kept.sort_unstable();
    *audited = kept;
    Ok(())
}

/// Draws the training set of a target that is trained here, as those of the reference
/// models are drawn, but from the audited units.
fn draw_target(config: &Config, units: usize, audited: &[u32], size: usize) -> Result<Vec<u32>> {
    let design = match config.reference.design {
        // The target's own pool is not the reference data: half of it, whatever they do.
        Some(Design::Subsample | Design::Bootstrap) if config.data.reference.is_some() => {
            Design::Halves
        }
        Some(design) => design,
        None => Design::Halves,
    };
    let seed = derive_seed(config.seed, "target membership", 0);
    let drawn = Membership::draw(design, 2, units, audited, size, seed)?;
    Ok(drawn.training_units(0).to_vec())
}

fn records_as_read(table: &Table) -> Result<Vec<u8>> {
    let mut columns = vec![(
        "id".to_owned(),
        Values::Text(table.ids.iter().cloned().map(Some).collect()),
    )];
    if let Some(groups) = &table.groups {
        columns.push((
            "group".to_owned(),
            Values::Text(groups.iter().cloned().map(Some).collect()),
        ));
    }
    columns.push((
        "class".to_owned(),
        Values::Text(
            table
                .labels
                .iter()
                .map(|&l| Some(table.classes[l as usize].clone()))
                .collect(),
        ),
    ));
    let mut taken: std::collections::BTreeSet<String> =
        columns.iter().map(|c| c.0.clone()).collect();
    let mut add = |name: &str, values: Values| {
        // A feature may be called like one of ours.
        let mut name = name.to_owned();
        while !taken.insert(name.clone()) {
            name.push('_');
        }
        columns.push((name, values));
    };
    match &table.body {
        Body::Columns(features) => {
            for feature in features {
                add(
                    &feature.name,
                    match &feature.values {
                        ColumnValues::Numeric(values) => Values::Number(values.clone()),
                        ColumnValues::Categorical { codes, levels } => Values::Text(
                            codes
                                .iter()
                                .map(|&code| levels.get(code as usize).cloned())
                                .collect(),
                        ),
                    },
                );
            }
        }
        Body::Dense { values, names, .. } => {
            for (name, column) in names.iter().zip(values.columns()) {
                add(
                    name,
                    Values::Number(column.iter().map(|&v| f64::from(v)).collect()),
                );
            }
        }
    }
    to_parquet(
        &columns,
        &[("giveaway.content", "audited records as read".to_owned())],
    )
}
