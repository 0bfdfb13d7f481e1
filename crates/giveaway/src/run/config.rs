//! The configuration of an audit: what `run.toml` holds.

use std::path::PathBuf;

use giveaway_nn::{
    Activation, Augmentation, Convolution, EarlyStopping, Image, Network, Optimiser, Padding,
    Schedule, Skip, Training,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::direct::Null;
use crate::attack::method::{Method, Parameters};
use crate::channel::OutputKind;
use crate::dataset::image::{arranged, joined};
use crate::dataset::{Scaling, Schema, TableOptions, UnknownCategories};
use crate::error::{Error, Result};
use crate::membership::Design;
use crate::process::{CommandLine, Secrets};
use crate::select::{Amount, Rule};
use crate::suggest::nearest;
use crate::target::asking::Manner;

mod indirect;
pub mod trainer;

use trainer::{BoostingConfig, CommandSettings, ForestConfig, TrainerName};

pub use indirect::{Build, IndirectConfig};

/// Whether settings are the usual ones, and need not be written.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Everything that an audit depends on. Two runs with equal configurations and equal
/// input files give equal results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
#[derive(Default)]
pub struct Config {
    /// Seed of every random choice.
    pub seed: u64,
    /// The records.
    pub data: DataConfig,
    /// The reference models.
    pub reference: ReferenceConfig,
    /// The model under audit.
    pub target: TargetConfig,
    /// Selection and test.
    pub test: TestConfig,
}

/// The records and how they are read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct DataConfig {
    /// A file, `shipped:NAME`, or `cached:NAME` for a known data set that was fetched.
    pub source: String,
    /// A second file whose records train the reference models; without it the pool itself does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<PathBuf>,
    /// Labels, where they are not in the same file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels_file: Option<PathBuf>,
    /// Column with the class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Column with the record's identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Column that tells whose record it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Columns to leave out.
    pub drop: Vec<String>,
    /// Columns to be read as numbers.
    pub numeric: Vec<String>,
    /// Columns to be read as categories.
    pub categorical: Vec<String>,
    /// Field delimiter of a text file, where it is not to be guessed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<char>,
    /// Shape of the image that the features of a record make, where the file does not say it:
    /// height and width, or these with 1, 3 or 4 channels at the end or else in front.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Vec<usize>>,
    /// Whether numeric features are standardised.
    pub scaling: Scaling,
    /// Categories of one column that get a feature of their own.
    pub max_levels: usize,
    /// What a category does that no reference record has.
    pub unknown_categories: UnknownCategories,
    /// What exact duplicates are.
    pub duplicates: Duplicates,
    /// Size of the target's training set, in units; the pool is twice that. All of the file without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training_units: Option<usize>,
    /// Records of each class that are drawn from the file; all of them without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_class: Option<usize>,
    /// Whether the run directory keeps a copy of the records.
    pub keep_records: bool,
}

/// What records are that equal each other in every feature and the label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Duplicates {
    /// One unit: in a training set together or not at all.
    Group,
    /// Units of their own; the report counts them.
    Report,
}

/// The reference models and their training; the target is trained the same way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ReferenceConfig {
    /// How training sets are drawn; chosen by the circumstances if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub design: Option<Design>,
    /// Number of reference models.
    pub models: usize,
    /// What trains them; the settings of the others than networks are in tables of their own.
    pub trainer: TrainerName,
    /// Convolutions before the hidden layers; they need images.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub convolutions: Vec<Convolution>,
    /// Residual additions between the convolutions; layer 0 is the image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub convolution_skips: Vec<Skip>,
    /// Residual additions between the hidden layers; layer 0 is what the first of them sees.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skips: Vec<Skip>,
    /// Widths of the hidden layers; none is softmax regression.
    pub hidden: Vec<usize>,
    /// Activation of the convolutions and the hidden layers.
    pub activation: Activation,
    /// Dropout rate of the hidden layers.
    pub dropout: f32,
    /// Passes over the training set.
    pub epochs: usize,
    /// Records in a batch; 128, or 32 for training sets below 2,000 records, if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<usize>,
    /// Learning rate at the start.
    pub learning_rate: f32,
    /// The optimiser.
    pub optimiser: Optimiser,
    /// L2 penalty, added to the gradients; 0.0001, or 0 with `AdamW`, if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l2: Option<f32>,
    /// Label smoothing.
    pub label_smoothing: f32,
    /// Random changes of the training images; they need convolutions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub augmentation: Option<Augmentation>,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// Epochs without a better validation loss after which training stops; never, if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
    /// Share of the units set aside for validation when training stops early. They are not audited.
    pub validation_share: f64,
    /// Instruction set to train with; the fastest of this CPU if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// What is kept of every model beside its outputs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<Keep>,
    /// How forests are grown.
    #[serde(skip_serializing_if = "is_default")]
    pub forest: ForestConfig,
    /// How trees are boosted.
    #[serde(skip_serializing_if = "is_default")]
    pub boosting: BoostingConfig,
    /// The command that trains.
    #[serde(skip_serializing_if = "is_default")]
    pub command: CommandSettings,
    /// Bytes that models in training may take together, beside the data. Of one machine and
    /// command, as threads are, and so not stored.
    #[serde(skip)]
    pub max_memory: Option<u64>,
}

impl ReferenceConfig {
    /// The words of the trainer's command that are files: its script, whose content counts. What
    /// it reads in turn is not known.
    #[must_use]
    pub fn command_words(&self) -> Vec<String> {
        match self.trainer {
            TrainerName::Command => files_among(&self.command.command),
            _ => Vec::new(),
        }
    }
}

/// The words of a command line that name files, but for the program.
fn files_among(command: &str) -> Vec<String> {
    let words = CommandLine::parse(command).map_or_else(|_| Vec::new(), |line| line.words());
    words
        .into_iter()
        .skip(1)
        .filter(|word| std::path::Path::new(word).is_file())
        .collect()
}

/// What can be kept of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// Its weights, in `models/`, as safetensors with PyTorch's layouts.
    Weights,
    /// What its last layer sees of every record, in `features/`.
    Features,
}

/// The model under audit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct TargetConfig {
    /// File with the target's output on every record; without it a target is trained here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outputs: Option<PathBuf>,
    /// What the outputs are, where it is not to be found out from the numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_kind: Option<OutputKind>,
    /// File that names the target's training records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<PathBuf>,
    /// Queries of the whole run that a target may be asked; a target known by a file is not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_queries: Option<u64>,
    /// How often a request is made again after failures that may pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// Requests per second, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<f64>,
    /// A service: the settings of the crate giveaway-remote's `Endpoint`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>")]
    pub http: Option<toml::Table>,
    /// An ONNX file: the settings of the crate giveaway-onnx's `OnnxSettings`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>")]
    pub onnx: Option<toml::Table>,
    /// A command: the settings of [`CommandTarget`](crate::target).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>")]
    pub command: Option<toml::Table>,
}

impl TargetConfig {
    /// Whether a model answers that was trained elsewhere.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.outputs.is_some() || self.is_asked()
    }

    /// Whether a model is asked, rather than read of or trained.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.http.is_some() || self.onnx.is_some() || self.command.is_some()
    }

    /// The file of a model that is asked, if it is one: its content counts, and not where it lies.
    #[must_use]
    pub fn model_file(&self) -> Option<PathBuf> {
        let path = self.onnx.as_ref()?.get("path")?.as_str()?;
        Some(PathBuf::from(path))
    }

    /// The words of a target's command that are files: its scripts and models, whose content
    /// counts. What these read in turn is not known.
    #[must_use]
    pub fn command_words(&self) -> Vec<String> {
        let command = self.command.as_ref().and_then(|table| table.get("command"));
        files_among(command.and_then(toml::Value::as_str).unwrap_or_default())
    }

    /// The same target, without what does not change its answers: how it is asked, and where the
    /// files lie.
    #[must_use]
    pub fn what_it_is(&self) -> Self {
        let without = |table: &Option<toml::Table>, keys: &[&str]| {
            let mut table = table.clone()?;
            table.retain(|key, _| !keys.contains(&key));
            Some(table)
        };
        let how = ["batch-size", "concurrency", "timeout"];
        let of_http = [
            &how[..],
            &[
                "token-env",
                "token-file",
                "plain-token",
                "ca-file",
                "max-answer-bytes",
            ],
        ]
        .concat();
        let of_onnx = [&how[..], &["path", "runtime", "threads"]].concat();
        Self {
            output_kind: self.output_kind,
            http: without(&self.http, &of_http),
            onnx: without(&self.onnx, &of_onnx),
            command: without(&self.command, &how),
            ..Self::default()
        }
    }

    /// The secrets of its settings, which children must not inherit and messages not tell.
    #[must_use]
    pub fn secrets(&self) -> Secrets {
        let text = |key: &str| self.http.as_ref()?.get(key)?.as_str();
        let mut variables: Vec<String> = text("token-env").map(str::to_owned).into_iter().collect();
        let settings = self.http.as_ref().map(toml::Table::to_string);
        variables.extend(named_variables(&settings.unwrap_or_default()));
        let values = text("token-file").and_then(|path| std::fs::read_to_string(path).ok());
        Secrets::new(variables, values.into_iter().collect())
    }

    /// How it is asked.
    #[must_use]
    pub fn manner(&self) -> Manner {
        let usual = Manner::default();
        Manner {
            max_queries: self.max_queries,
            retries: self.retries.unwrap_or(usual.retries),
            requests_per_second: self.requests_per_second,
            ..usual
        }
    }
}

/// Selection and test. The reference models do not depend on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct TestConfig {
    /// By what vulnerable records are selected; chosen by the circumstances if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub select: Option<Rule>,
    /// How many are selected.
    pub amount: Amount,
    /// The null distribution; chosen by what the target shows of its outputs, if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub null: Option<Null>,
    /// False discovery rate.
    pub fdr: f64,
    /// Attacks to compare; a few, chosen by the circumstances, if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attacks: Option<Vec<Method>>,
    /// RMIA: how many times larger a record's ratio must be than that of another record.
    pub gamma: f64,
    /// RMIA offline: its a; found on a reference model if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offline_a: Option<f64>,
    /// Indirect inference; none, if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub indirect: Option<IndirectConfig>,
}

/// From so many reference models on LiRA estimates each record's own variance by default.
const OWN_VARIANCE_MODELS: usize = 64;

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            source: "shipped:adult".to_owned(),
            reference: None,
            labels_file: None,
            label: None,
            id: None,
            group: None,
            drop: Vec::new(),
            numeric: Vec::new(),
            categorical: Vec::new(),
            delimiter: None,
            image: None,
            scaling: Scaling::Standard,
            max_levels: 100,
            unknown_categories: UnknownCategories::Error,
            duplicates: Duplicates::Group,
            training_units: None,
            per_class: None,
            keep_records: true,
        }
    }
}

impl Default for ReferenceConfig {
    fn default() -> Self {
        Self {
            design: None,
            models: 256,
            trainer: TrainerName::Network,
            forest: ForestConfig::default(),
            boosting: BoostingConfig::default(),
            command: CommandSettings::default(),
            convolutions: Vec::new(),
            convolution_skips: Vec::new(),
            skips: Vec::new(),
            hidden: vec![64, 32],
            activation: Activation::Relu,
            dropout: 0.0,
            epochs: 20,
            batch_size: None,
            learning_rate: 1e-3,
            optimiser: Optimiser::adam(),
            l2: None,
            label_smoothing: 0.0,
            augmentation: None,
            schedule: Schedule::Constant,
            patience: None,
            validation_share: 0.1,
            kernel: None,
            keep: Vec::new(),
            max_memory: None,
        }
    }
}

impl Default for TestConfig {
    fn default() -> Self {
        Self {
            select: None,
            amount: Amount::Share(0.01),
            null: None,
            fdr: 0.05,
            attacks: None,
            gamma: Parameters::default().gamma,
            offline_a: None,
            indirect: None,
        }
    }
}

impl TestConfig {
    /// The null distribution: t, unless said or chosen otherwise.
    #[must_use]
    pub fn null(&self) -> Null {
        self.null.unwrap_or(Null::T)
    }
}

/// Whether an attack can be made on records that no reference model was trained on. Without
/// IN models BASE1 online would be BASE1 offline by another name.
#[must_use]
pub fn is_possible_apart(method: Method) -> bool {
    !method.needs_inside() && method != Method::Base1Online
}

impl Config {
    /// Reads a configuration, as `run.toml` holds it.
    ///
    /// # Errors
    /// If the text is not one; the message names the line and the key.
    pub fn from_toml(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|e| not_a_configuration(&e))
    }

    /// Reads a configuration from a table, as [`from_toml`](Self::from_toml) does from text.
    ///
    /// # Errors
    /// If it is not one; the message names the key.
    pub fn from_table(table: toml::Table) -> Result<Self> {
        table.try_into().map_err(|e| not_a_configuration(&e))
    }

    /// Whether the text of a configuration says which records are audited: without a
    /// `source` of its own it is the default of the command line that is meant.
    ///
    /// # Errors
    /// If the text is no TOML.
    pub fn names_source(text: &str) -> Result<bool> {
        let table: toml::Table = toml::from_str(text).map_err(|e| {
            Error::usage(format!("not a configuration: {}", e.to_string().trim_end()))
        })?;
        Ok(table
            .get("data")
            .and_then(|data| data.get("source"))
            .is_some())
    }

    /// Writes the configuration as `run.toml` holds it.
    ///
    /// # Errors
    /// If a value cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self)
            .map_err(|e| Error::unexpected(format!("cannot write the configuration: {e}")))
    }

    /// The parameters of the attacks.
    #[must_use]
    pub fn attack_parameters(&self) -> Parameters {
        Parameters {
            gamma: self.test.gamma,
            offline_a: self.test.offline_a,
            null: self.test.null(),
        }
    }

    /// The attacks to compare: those named, each once, or else the sensible few.
    #[must_use]
    pub fn attacks(&self) -> Vec<Method> {
        use Method as M;
        if let Some(named) = &self.test.attacks {
            let mut once: Vec<Method> = Vec::new();
            for &method in named {
                if !once.contains(&method) {
                    once.push(method);
                }
            }
            return once;
        }
        // Carlini et al. (2022) advise a record's own variance from 64 models on.
        let many = self.reference.models >= OWN_VARIANCE_MODELS;
        if self.data.reference.is_some() {
            let lira = if many {
                M::LiraOffline
            } else {
                M::LiraOfflineFixed
            };
            vec![
                M::Loss,
                M::Difficulty,
                lira,
                M::RmiaOffline,
                M::Base1Offline,
                M::GmiaDirect,
            ]
        } else {
            let lira = if many {
                M::LiraOnline
            } else {
                M::LiraOnlineFixed
            };
            vec![
                M::Loss,
                M::Difficulty,
                lira,
                M::RmiaOnline,
                M::BavariaTOnline,
                M::GmiaDirect,
            ]
        }
    }

    fn check_attacks(&self) -> Result<()> {
        self.attack_parameters().check()?;
        if self.data.reference.is_some()
            && let Some(method) = self.attacks().into_iter().find(|&m| !is_possible_apart(m))
        {
            return Err(Error::usage(format!(
                "{} needs reference models that were trained on the audited records, and here they are trained on others",
                method.name()
            ))
            .at("--attacks")
            .hint("leave it out, or leave --reference out"));
        }
        Ok(())
    }

    fn check_target(&self) -> Result<()> {
        let target = &self.target;
        let kinds: Vec<&str> = [
            ("--target-outputs", target.outputs.is_some()),
            ("--target-url", target.http.is_some()),
            ("--target-onnx", target.onnx.is_some()),
            ("--target-command", target.command.is_some()),
        ]
        .into_iter()
        .filter_map(|(option, given)| given.then_some(option))
        .collect();
        if let [first, second, ..] = kinds[..] {
            return refused(
                second,
                format!("names a second target beside that of {first}"),
                "audit one model at a time",
            );
        }
        if !target.is_asked() {
            let option = [
                ("--max-queries", target.max_queries.is_some()),
                ("--retries", target.retries.is_some()),
                (
                    "--requests-per-second",
                    target.requests_per_second.is_some(),
                ),
            ];
            if let Some((option, _)) = option.into_iter().find(|(_, given)| *given) {
                return refused(
                    option,
                    "says how a target is asked, and none is".to_owned(),
                    "name a target that is asked, such as with --target-url, or leave it out",
                );
            }
        }
        if target.max_queries == Some(0) {
            return refused(
                "--max-queries",
                "a target that may not be asked cannot be audited".to_owned(),
                "allow as many queries as there are records, or some thousands for a part of them",
            );
        }
        if let Some(rate) = target.requests_per_second
            && !((1e-4..=1e6).contains(&rate))
        {
            return refused(
                "--requests-per-second",
                format!("{rate} requests per second make no sense"),
                "give a number from 0.0001 to a million, such as 5 or 0.2",
            );
        }
        Ok(())
    }

    /// Checks what can be checked without the data.
    ///
    /// # Errors
    /// On the first value that makes no sense, naming its option.
    pub fn check(&self) -> Result<()> {
        let usage = |option: &str, message: String, hint: &str| {
            Err(Error::usage(message).at(option).hint(hint))
        };
        if !(self.test.fdr > 0.0 && self.test.fdr < 1.0) {
            return usage(
                "--fdr",
                format!("a false discovery rate of {} makes no sense", self.test.fdr),
                "give a number between 0 and 1, such as 0.05",
            );
        }
        self.check_target()?;
        self.check_amount()?;
        self.check_attacks()?;
        if let Some(indirect) = &self.test.indirect {
            indirect.check()?;
        }
        if self.reference.models < MINIMUM_MODELS {
            return usage(
                "--models",
                format!("{} reference models are too few", self.reference.models),
                &format!(
                    "one half selects, the other tests, and each model in turn is left out with its complement: at least {MINIMUM_MODELS} are needed, and 100 or more are usual"
                ),
            );
        }
        if self.reference.models > MAXIMUM_MODELS {
            return usage(
                "--models",
                format!("{} reference models are too many", self.reference.models),
                &format!("give at most {MAXIMUM_MODELS}; 100 to 10,000 are usual"),
            );
        }
        self.check_trainer()?;
        if self.data.max_levels < 2 {
            return usage(
                "--max-levels",
                format!("{} levels per column are too few", self.data.max_levels),
                "give at least 2",
            );
        }
        if self.data.training_units.is_some_and(|units| units < 2) {
            return usage(
                "--train-size",
                "a training set needs at least 2 records".to_owned(),
                "give a larger number, or leave it out to use the whole file",
            );
        }
        // Records are numbered in 32 bits, and there are twice as many.
        if let Some(units) = self.data.training_units
            && units > u32::MAX as usize / 2
        {
            return usage(
                "--train-size",
                format!("training sets of {units} are larger than any file that can be audited"),
                &format!(
                    "give at most {}, or leave it out to use the whole file",
                    u32::MAX / 2
                ),
            );
        }
        if self.data.per_class == Some(0) {
            return usage(
                "--per-class",
                "0 records of each class leave none".to_owned(),
                "give a larger number, or leave it out to use the whole file",
            );
        }
        if self.data.per_class.is_some() && self.data.training_units.is_some() {
            return usage(
                "--per-class",
                "--train-size says how many records, too".to_owned(),
                "give one of them: of the records that --per-class draws, half are trained on",
            );
        }
        let answers = self.test.indirect.as_ref().and_then(|i| i.answers.as_ref());
        if answers.is_some() && self.target.outputs.is_none() {
            return usage(
                "--indirect-answers",
                "has the answers of a target that is not given".to_owned(),
                "give its outputs with --target-outputs, or leave --indirect-answers out: a target trained here is asked here",
            );
        }
        if self.target.members.is_some() && !self.target.is_given() {
            return usage(
                "--members",
                "names the training records of a target that is not given".to_owned(),
                "give its outputs with --target-outputs, or leave --members out to train a target here",
            );
        }
        Ok(())
    }

    fn check_trainer(&self) -> Result<()> {
        let reference = &self.reference;
        match reference.trainer {
            TrainerName::Network => {
                self.check_convolutions()?;
                self.check_network()?;
                return self.check_training();
            }
            TrainerName::Forest => reference.forest.check()?,
            TrainerName::Boosting => {
                reference.boosting.check()?;
                return self.check_early_stopping();
            }
            TrainerName::Command if reference.command.command.trim().is_empty() => {
                return refused(
                    "--trainer",
                    "the trainer is a command, and none is named".to_owned(),
                    "give it in quotes, such as --trainer 'python train.py'",
                );
            }
            TrainerName::Command => self.check_saved_models()?,
        }
        if reference.patience.is_some() {
            return refused(
                "--patience",
                format!("means nothing to the trainer {}", reference.trainer.name()),
                "leave it out, or choose --trainer network or boosting",
            );
        }
        Ok(())
    }

    /// Refuses what needs saved models of a command that saves none, before anything is trained.
    fn check_saved_models(&self) -> Result<()> {
        let reference = &self.reference;
        let option = if reference.keep.contains(&Keep::Weights) {
            "--keep weights"
        } else if self.test.indirect.is_some() {
            "--indirect"
        } else {
            return Ok(());
        };
        if reference.command.saves_model {
            return Ok(());
        }
        refused(
            option,
            "the trainer's command has to save its models for that".to_owned(),
            "let it save its model to the path after --model and answer with it where --train is missing, and say so with --trainer-saves-model",
        )
    }

    /// Checks the shape of the images and the convolutions.
    fn check_convolutions(&self) -> Result<()> {
        if let Some(shape) = &self.data.image {
            let values = shape
                .iter()
                .try_fold(1_usize, |values, &length| values.checked_mul(length));
            if arranged(shape).is_none() || values.is_none_or(|values| values == 0) {
                return refused(
                    "--image",
                    format!("{} is not the shape of an image", joined(shape)),
                    "give HEIGHTxWIDTH, such as 28x28, or that with 1, 3 or 4 channels at the end or in front, such as 32x32x3 or 3x32x32",
                );
            }
        }
        let convolutions = &self.reference.convolutions;
        if convolutions.is_empty() && !self.reference.convolution_skips.is_empty() {
            return refused(
                "reference.convolution-skips",
                "lead between convolutions, and there are none".to_owned(),
                "add convolutions, or leave the skips out of the configuration",
            );
        }
        if let Some(augmentation) = self.reference.augmentation
            && convolutions.is_empty()
        {
            return refused(
                if augmentation.shift > 0 {
                    "--augment-shift"
                } else {
                    "--augment-flip"
                },
                "changes images, which are read by convolutions, and there are none".to_owned(),
                "add --convolutions, such as --convolutions 16x5,32x5, or leave it out",
            );
        }
        if convolutions.len() > MAXIMUM_LAYERS {
            return refused(
                "--convolutions",
                format!("{} convolutions are too many", convolutions.len()),
                format!("give at most {MAXIMUM_LAYERS}"),
            );
        }
        for (index, convolution) in convolutions.iter().enumerate() {
            let number = index + 1;
            let Convolution { channels, size, .. } = *convolution;
            if !(1..=MAXIMUM_WIDTH).contains(&channels) {
                return refused(
                    "--convolutions",
                    format!("convolution {number} cannot have {channels} channels"),
                    format!("give each from 1 to {MAXIMUM_WIDTH}, such as 16x5,32x5"),
                );
            }
            if !(1..=MAXIMUM_FILTER).contains(&size) {
                return refused(
                    "--convolutions",
                    format!("convolution {number} cannot have filters of {size} × {size} pixels"),
                    format!(
                        "give a size from 1 to {MAXIMUM_FILTER}, such as 16x5 for 16 filters of 5 × 5"
                    ),
                );
            }
            if convolution.padding == Padding::Same && size % 2 == 0 {
                return refused(
                    "--padding",
                    format!(
                        "convolution {number} has filters of {size} × {size} pixels, which have no middle: they cannot keep the size of an image"
                    ),
                    "give filters of an odd size, such as 3 or 5, or --padding valid",
                );
            }
        }
        Ok(())
    }

    /// Checks the network.
    fn check_network(&self) -> Result<()> {
        let reference = &self.reference;
        if reference.hidden.len() > MAXIMUM_LAYERS {
            return refused(
                "--hidden",
                format!("{} hidden layers are too many", reference.hidden.len()),
                format!("give at most {MAXIMUM_LAYERS}"),
            );
        }
        if let Some(layer) = reference
            .hidden
            .iter()
            .position(|width| !(1..=MAXIMUM_WIDTH).contains(width))
        {
            return refused(
                "--hidden",
                format!(
                    "hidden layer {} cannot have {} units",
                    layer + 1,
                    reference.hidden[layer]
                ),
                format!(
                    "give each layer from 1 to {MAXIMUM_WIDTH}, such as 64,32, or none for softmax regression"
                ),
            );
        }
        if !(0.0..1.0).contains(&reference.dropout) {
            return refused(
                "--dropout",
                format!("a dropout rate of {} makes no sense", reference.dropout),
                "give a number of at least 0 and below 1, such as 0.5",
            );
        }
        Ok(())
    }

    /// Checks how models are trained.
    fn check_training(&self) -> Result<()> {
        let reference = &self.reference;
        if reference.epochs == 0 {
            return refused(
                "--epochs",
                "0 epochs leave every model untrained".to_owned(),
                "give at least 1",
            );
        }
        if reference.epochs > MAXIMUM_EPOCHS {
            return refused(
                "--epochs",
                format!("{} epochs are too many", reference.epochs),
                format!("give at most {MAXIMUM_EPOCHS}"),
            );
        }
        if let Some(size) = reference
            .batch_size
            .filter(|size| !(1..=MAXIMUM_BATCH_SIZE).contains(size))
        {
            return refused(
                "--batch-size",
                format!("a batch cannot have {size} records"),
                format!("give from 1 to {MAXIMUM_BATCH_SIZE}, such as 128"),
            );
        }
        let positive = |x: f32| x.is_finite() && x > 0.0;
        if !positive(reference.learning_rate) {
            return refused(
                "--learning-rate",
                format!(
                    "a learning rate of {} makes no sense",
                    reference.learning_rate
                ),
                "give a number above 0, such as 0.001",
            );
        }
        if let Some(l2) = reference.l2
            && !(l2.is_finite() && l2 >= 0.0)
        {
            return refused(
                "--l2",
                format!("a penalty of {l2} makes no sense"),
                "give a number of at least 0, such as 0.0001",
            );
        }
        if !(0.0..=1.0).contains(&reference.label_smoothing) {
            return refused(
                "--label-smoothing",
                format!("cannot spread {} of each label", reference.label_smoothing),
                "give a number from 0 to 1, such as 0.1",
            );
        }
        if let Schedule::Step { every, factor } = reference.schedule
            && !(every > 0 && positive(factor))
        {
            return refused(
                "--schedule",
                format!("cannot multiply the learning rate by {factor} after every {every} epochs"),
                "give step:EVERY:FACTOR with EVERY of at least 1 and FACTOR above 0, such as step:10:0.1",
            );
        }
        self.check_optimiser()?;
        self.check_early_stopping()
    }

    fn check_early_stopping(&self) -> Result<()> {
        let reference = &self.reference;
        if reference.patience == Some(0) {
            return refused(
                "--patience",
                "a patience of 0 epochs stops before the first".to_owned(),
                "give at least 1, or leave it out to train for all epochs",
            );
        }
        if !(reference.validation_share > 0.0 && reference.validation_share < 0.5) {
            return refused(
                "--validation-share",
                format!(
                    "cannot set aside {} of the records",
                    reference.validation_share
                ),
                "give a number between 0 and 0.5",
            );
        }
        Ok(())
    }

    /// Checks the optimiser's own settings; those of Adam can only be set in a configuration.
    fn check_optimiser(&self) -> Result<()> {
        if let Optimiser::AdamW { weight_decay, .. } = self.reference.optimiser
            && !(weight_decay.is_finite() && weight_decay >= 0.0)
        {
            return refused(
                "--weight-decay",
                format!("a weight decay of {weight_decay} makes no sense"),
                "give a number of at least 0, such as 0.01",
            );
        }
        match self.reference.optimiser {
            Optimiser::Adam {
                beta1,
                beta2,
                epsilon,
            }
            | Optimiser::AdamW {
                beta1,
                beta2,
                epsilon,
                ..
            } => {
                for (name, beta) in [("beta1", beta1), ("beta2", beta2)] {
                    if !(0.0..1.0).contains(&beta) {
                        return refused(
                            "--optimiser adam",
                            format!("a {name} of {beta} makes no sense"),
                            "give a number of at least 0 and below 1 in the configuration, or leave it out",
                        );
                    }
                }
                if !(epsilon.is_finite() && epsilon > 0.0) {
                    return refused(
                        "--optimiser adam",
                        format!("an epsilon of {epsilon} makes no sense"),
                        "give a number above 0 in the configuration, or leave it out",
                    );
                }
            }
            Optimiser::Sgd { momentum, nesterov } => {
                if !(0.0..1.0).contains(&momentum) {
                    return refused(
                        "--momentum",
                        format!("a momentum of {momentum} makes no sense"),
                        "give a number of at least 0 and below 1, such as 0.9",
                    );
                }
                if nesterov && momentum == 0.0 {
                    return refused(
                        "--momentum",
                        "Nesterov's look-ahead needs momentum".to_owned(),
                        "give a momentum above 0, such as 0.9, or leave nesterov out of the configuration",
                    );
                }
            }
        }
        Ok(())
    }

    /// Checks how many are to be selected: before training, which may take hours.
    fn check_amount(&self) -> Result<()> {
        let usage = |option: &str, message: String, hint: &str| {
            Err(Error::usage(message).at(option).hint(hint))
        };
        match self.test.amount {
            Amount::Share(share) if !(share > 0.0 && share <= 1.0) => usage(
                "--top",
                format!("cannot select a share of {share}"),
                "give a percentage above 0 and up to 100; in a configuration, a share up to 1",
            ),
            Amount::Count(0) => usage(
                "--count",
                "cannot select 0 records".to_owned(),
                "give at least 1",
            ),
            Amount::Alpha(alpha) if !(alpha > 0.0 && alpha <= 2.0) => usage(
                "--alpha",
                format!("{alpha} is no cosine distance to look for neighbours within"),
                "give a number above 0 and up to 2, such as 0.1, or use --top or --count",
            ),
            // No circumstance chooses neighbours unasked.
            Amount::Alpha(_) if self.test.select != Some(Rule::Neighbours) => usage(
                "--alpha",
                format!(
                    "is a distance to neighbours, but the selection is by {}",
                    self.test
                        .select
                        .map_or("other means by default", Rule::name)
                ),
                "add --select neighbours, or use --top or --count",
            ),
            _ => Ok(()),
        }
    }

    /// How the data file is read.
    #[must_use]
    pub fn table_options(&self) -> TableOptions {
        TableOptions {
            label: self.data.label.clone(),
            id: self.data.id.clone(),
            group: self.data.group.clone(),
            drop: self.data.drop.clone(),
            numeric: self.data.numeric.clone(),
            categorical: self.data.categorical.clone(),
            delimiter: self.data.delimiter.and_then(|c| u8::try_from(c).ok()),
            labels_file: self.data.labels_file.clone(),
            image: self.data.image.clone(),
        }
    }

    /// Settles the shape of the images where there are convolutions, and sees whether the
    /// network can be made for these records.
    ///
    /// # Errors
    /// If the records are no images, or nothing is left of them after the convolutions; if
    /// layers that are added to each other have different shapes.
    pub fn settle_network(&mut self, schema: &Schema) -> Result<()> {
        if self.reference.trainer != TrainerName::Network {
            return Ok(());
        }
        let features = schema.features.len();
        let convolutional = !self.reference.convolutions.is_empty();
        if convolutional {
            // Bytes whose shape is not known come as one row.
            let Some(image) = schema.image.filter(|image| image.height > 1) else {
                return refused(
                    "--convolutions",
                    format!(
                        "convolutions read images, and these records are rows of {features} features"
                    ),
                    "if they are pixels, give their shape with --image, such as --image 28x28 or 32x32x3; else leave --convolutions out",
                );
            };
            self.data
                .image
                .get_or_insert_with(|| vec![image.height, image.width, image.channels]);
        }
        let network = self.network(features, schema.classes.len());
        let training = self.training(1);
        match giveaway_nn::Trainer::new(&network, &training) {
            Ok(_) => Ok(()),
            Err(giveaway_nn::Error::Network(message)) if convolutional => refused(
                "--convolutions",
                message,
                "smaller filters, --padding same and --pool none leave more of an image; skips need layers of one shape",
            ),
            Err(giveaway_nn::Error::Network(message)) => {
                refused("--hidden", message, "skips need layers of one shape")
            }
            Err(giveaway_nn::Error::Training(message)) => refused(
                "--augment-shift",
                message,
                "give fewer pixels than the images are high and wide, such as 2",
            ),
            Err(e) => Err(Error::usage(e.to_string())
                .at("--convolutions")
                .hint("see the options for the network and its training")),
        }
    }

    /// The network, for so many features and classes. With convolutions the shape of the
    /// images must be settled ([`settle_network`](Self::settle_network)).
    #[must_use]
    pub fn network(&self, inputs: usize, classes: usize) -> Network {
        let convolutions = &self.reference.convolutions;
        let image = (!convolutions.is_empty()).then(|| {
            let shape = self.data.image.as_deref().and_then(arranged);
            // Of a shape that is not settled no network can be made.
            let ([height, width, channels], _) = shape.unwrap_or_default();
            Image {
                height,
                width,
                channels,
                convolutions: convolutions.clone(),
                skips: self.reference.convolution_skips.clone(),
            }
        });
        Network {
            inputs,
            image,
            hidden: self.reference.hidden.clone(),
            classes,
            activation: self.reference.activation,
            dropout: self.reference.dropout,
            skips: self.reference.skips.clone(),
        }
    }

    /// The training, for training sets of so many records.
    #[must_use]
    pub fn training(&self, training_records: usize) -> Training {
        let reference = &self.reference;
        Training {
            epochs: reference.epochs,
            // Small sets get more steps from the same number of epochs.
            batch_size: reference.batch_size.unwrap_or(if training_records >= 2000 {
                128
            } else {
                32
            }),
            learning_rate: reference.learning_rate,
            optimiser: reference.optimiser,
            l2: reference.l2.unwrap_or(match reference.optimiser {
                // It has a weight decay of its own.
                Optimiser::AdamW { .. } => 0.0,
                Optimiser::Adam { .. } | Optimiser::Sgd { .. } => 1e-4,
            }),
            label_smoothing: reference.label_smoothing,
            schedule: reference.schedule,
            early_stopping: reference
                .patience
                .map(|patience| EarlyStopping { patience }),
            augmentation: reference.augmentation,
        }
    }
}

/// A value of an option that makes no sense.
/// The names in `${NAME}` of a text.
fn named_variables(text: &str) -> Vec<String> {
    let parts = text.split("${").skip(1);
    parts
        .filter_map(|part| Some(part.split_once('}')?.0.to_owned()))
        .collect()
}

/// Why a text is no configuration; an unknown key with the one that was probably meant.
#[must_use]
pub fn not_a_configuration(error: &toml::de::Error) -> Error {
    let text = error.to_string();
    let suggestion =
        unknown_and_known(error.message()).and_then(|(unknown, known)| nearest(unknown, known));
    Error::usage(format!("not a configuration: {}", text.trim_end())).hint(match suggestion {
        Some(name) => format!("did you mean `{name}`?"),
        None => "`giveaway init` writes a configuration that shows every key".to_owned(),
    })
}

/// The names in what serde says of an unknown field or variant: the unknown one, and the known.
fn unknown_and_known(message: &str) -> Option<(&str, Vec<&str>)> {
    if !message.starts_with("unknown ") {
        return None;
    }
    let mut names = message.split('`').skip(1).step_by(2);
    Some((names.next()?, names.collect()))
}

fn refused(option: &str, message: String, hint: impl Into<String>) -> Result<()> {
    Err(Error::usage(message).at(option).hint(hint))
}

/// More reference models than anyone trains; a larger number is a slip.
const MAXIMUM_MODELS: usize = 1_000_000;

/// More layers, units or channels of one, pixels across a filter, epochs or records in a batch than these are slips too.
const MAXIMUM_LAYERS: usize = 64;
const MAXIMUM_WIDTH: usize = 65_536;
const MAXIMUM_FILTER: usize = 1023;
const MAXIMUM_EPOCHS: usize = 1_000_000;
const MAXIMUM_BATCH_SIZE: usize = 16_777_216;

/// Fewer reference models leave less than two OUT models when one half selects and a pair
/// of the other is left out.
pub const MINIMUM_MODELS: usize = 12;

#[cfg(test)]
mod tests;
