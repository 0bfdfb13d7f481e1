//! What can be typed, and the configuration that it means.

use std::num::{IntErrorKind, ParseIntError};
use std::path::PathBuf;
use std::str::FromStr;

use crate::attack_arguments::AttackOptions;
use crate::config_file::{self, ConfigFile};
use crate::data_arguments::DataOptions;
use crate::defend_arguments::DefendOptions;
use crate::explain_arguments::ExplainOptions;
use crate::indirect_arguments::IndirectOptions;
use crate::init::InitOptions;
use crate::target_arguments::TargetOptions;
use crate::trainer_arguments::TrainerOptions;
use clap::{Args, Parser, Subcommand, ValueEnum};
use giveaway::Result;
use giveaway::attack::direct::Null;
use giveaway::attack::indirect::Combination;
use giveaway::attack::method::Method;
use giveaway::channel::OutputKind;
use giveaway::dataset::{Scaling, UnknownCategories, known, shipped};
use giveaway::error::Error;
use giveaway::membership::Design;
use giveaway::run::config::trainer::TrainerName;
use giveaway::run::config::{Config, Duplicates, Keep, is_possible_apart};
use giveaway::select::{Amount, Rule};
use giveaway_nn::{Activation, Augmentation, Convolution, Optimiser, Padding, Pool, Schedule};

/// Finds the training records that a classifier gives away
#[derive(Debug, Parser)]
#[command(name = "giveaway", version, about, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

pub(crate) const EXIT_CODES: &str = "Exit codes: 0 done, 1 unexpected failure, 2 wrong usage, 3 bad input, \
4 the target failed, 10 a condition of --fail-on was met";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a commented configuration, giveaway.toml, for a data file
    Init(InitOptions),
    /// Audit a model: which training records does it give away?
    Audit(Box<AuditOptions>),
    /// Train a share of the reference models of an audit, here or on other machines
    Reference(Box<ShareOptions>),
    /// Attack signals that were made elsewhere: arrays in, table out
    Attack(Box<AttackOptions>),
    /// Why the records of a finished audit are exposed: measures, reasons in words, a map
    Explain(ExplainOptions),
    /// Try defences on a finished audit, audit each again, and show what protection costs
    Defend(DefendOptions),
    /// Write the page of a finished audit again, its figures, or a redacted copy
    Report(ReportOptions),
    /// Public data sets: what is known, what each is, and getting one
    Data(DataOptions),
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct ReportOptions {
    /// Run directory of a finished audit; nothing else is read
    pub(crate) run: PathBuf,
    /// Folder to write to; by default the run directory, or its folder `redacted`
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) out: Option<PathBuf>,
    /// Also write every figure as an SVG file, into the folder `figures`
    #[arg(long)]
    pub(crate) figures: bool,
    /// Leave out what could tell who is in it: feature values, membership, losses and scores of
    /// single records; identifiers are hashed with a key
    #[arg(long)]
    pub(crate) redact: bool,
    /// File with the key, 64 hexadecimal digits; by default the run makes and keeps its own
    #[arg(long, value_name = "FILE", requires = "redact")]
    pub(crate) key: Option<PathBuf>,
    /// Open the page in the browser
    #[arg(long)]
    pub(crate) open: bool,
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct AuditOptions {
    #[command(flatten)]
    pub(crate) models: ModelOptions,
    #[command(flatten)]
    pub(crate) test: TestOptions,
    #[command(flatten)]
    pub(crate) indirect: IndirectOptions,
    #[command(flatten)]
    pub(crate) result: ResultOptions,
}

/// What the outputs of the models depend on, and how the work is done.
#[derive(Debug, Args)]
pub(crate) struct ModelOptions {
    /// CSV, Parquet, NPY, NPZ, IDX or CIFAR file, the name of a data set (see giveaway data),
    /// or a run directory to go on with; without it a model of 10,000 records of the Adult census data is audited
    pub(crate) data: Option<String>,

    #[command(flatten)]
    pub(crate) records: RecordOptions,
    #[command(flatten)]
    pub(crate) target: TargetOptions,
    #[command(flatten)]
    pub(crate) trainer: TrainerOptions,
    #[command(flatten)]
    pub(crate) reference: ReferenceOptions,
    #[command(flatten)]
    pub(crate) work: WorkOptions,
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct ShareOptions {
    #[command(flatten)]
    pub(crate) models: ModelOptions,
    /// Which share, such as 3/16: the third of sixteen. All of them by default
    #[arg(long, value_name = "I/N")]
    pub(crate) shard: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Records")]
pub(crate) struct RecordOptions {
    /// Column with the class
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// File with the labels of an NPY or IDX file
    #[arg(long, value_name = "FILE")]
    labels_file: Option<PathBuf>,
    /// Column with the record's identifier
    #[arg(long, value_name = "COLUMN")]
    id: Option<String>,
    /// Column that tells whose record it is: people are judged, not rows
    #[arg(long, value_name = "COLUMN")]
    group: Option<String>,
    /// Columns to leave out
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    drop: Vec<String>,
    /// Columns to read as numbers
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    numeric: Vec<String>,
    /// Columns to read as categories
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    categorical: Vec<String>,
    /// Field delimiter of a text file, where it is not to be guessed ('\t' for a tab)
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    delimiter: Option<char>,
    /// Shape of the image that the columns make: 28x28 for height and width, 32x32x3 with
    /// channels, 3x32x32 where one channel follows the other. Files of images have their own
    #[arg(long, value_name = "SHAPE", value_parser = image)]
    image: Option<ImageSize>,
    /// Scaling of numeric features
    #[arg(long, value_enum)]
    scaling: Option<ScalingName>,
    /// Categories of one column that get a feature of their own
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    max_levels: Option<usize>,
    /// What a category does that no reference record has
    #[arg(long, value_enum)]
    unknown_categories: Option<UnknownName>,
    /// Whether exact duplicates are one unit, or only counted
    #[arg(long, value_enum)]
    duplicates: Option<DuplicatesName>,
    /// Train on so many records (or groups), of twice as many drawn from the file; all by default
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    train_size: Option<usize>,
    /// Audit so many records of each class, drawn from the file; all by default
    #[arg(long, value_name = "N", conflicts_with = "train_size", allow_negative_numbers = true, value_parser = whole::<usize>)]
    per_class: Option<usize>,
    /// Train the reference models on the records of this file instead
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Reference models")]
pub(crate) struct ReferenceOptions {
    /// Number of reference models
    #[arg(long, value_name = "K", allow_negative_numbers = true, value_parser = whole::<usize>)]
    models: Option<usize>,
    /// How training sets are drawn; by default complementary halves, or the target's own
    /// share of the records when its members are given and are not half of them
    #[arg(long, value_enum)]
    design: Option<DesignName>,
    /// Convolutions before the hidden layers, such as 16x5,32x5 for 16 and 32 filters of
    /// 5 × 5 pixels; with a pooling of its own 16x5:average; "none" for none
    #[arg(long, value_name = "LIST", value_parser = convolutions)]
    convolutions: Option<Convolutions>,
    /// Pooling of 2 × 2 pixels after each convolution that has none of its own; max by default
    #[arg(long, value_enum)]
    pool: Option<PoolName>,
    /// What convolutions do at the edges: stay inside, or keep the size of the image with
    /// zeros around it; valid by default
    #[arg(long, value_enum)]
    padding: Option<PaddingName>,
    /// Widths of the hidden layers, such as 64,32; "none" for softmax regression
    #[arg(long, value_name = "WIDTHS", value_parser = hidden)]
    hidden: Option<Hidden>,
    /// Activation of convolutions and hidden layers
    #[arg(long, value_enum)]
    activation: Option<ActivationName>,
    /// Dropout rate of the hidden layers
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    dropout: Option<f32>,
    /// Passes over the training set
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    epochs: Option<usize>,
    /// Records in a batch
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    batch_size: Option<usize>,
    /// Learning rate
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    learning_rate: Option<f32>,
    /// Optimiser
    #[arg(long, value_enum)]
    optimiser: Option<OptimiserName>,
    /// Momentum of sgd
    #[arg(long, value_name = "M", allow_negative_numbers = true)]
    momentum: Option<f32>,
    /// Weight decay of adamw; 0.01 by default. For adam and sgd it is --l2
    #[arg(long, value_name = "DECAY", allow_negative_numbers = true)]
    weight_decay: Option<f32>,
    /// L2 penalty, added to gradients (PyTorch's weight decay of Adam and SGD)
    #[arg(long, value_name = "PENALTY", allow_negative_numbers = true)]
    l2: Option<f32>,
    /// Label smoothing
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    label_smoothing: Option<f32>,
    /// Move training images by up to so many pixels up or down and left or right, at random
    #[arg(long, value_name = "PIXELS", allow_negative_numbers = true, value_parser = whole::<usize>)]
    augment_shift: Option<usize>,
    /// Mirror training images left to right, at random
    #[arg(long)]
    augment_flip: bool,
    /// Learning-rate schedule: constant, cosine, or step:EVERY:FACTOR
    #[arg(long, value_name = "SCHEDULE", value_parser = schedule)]
    schedule: Option<Schedule>,
    /// Stop after so many epochs without a better validation loss
    #[arg(long, value_name = "EPOCHS", allow_negative_numbers = true, value_parser = whole::<usize>)]
    patience: Option<usize>,
    /// Instruction set to train with; the fastest by default. Another one rounds differently
    #[arg(long, value_name = "NAME")]
    kernel: Option<String>,
    /// Keep more of every model than its outputs: weights (safetensors), features (what the
    /// last layer sees of each record), or both
    #[arg(long, value_name = "WHAT,...", value_enum, value_delimiter = ',')]
    keep: Option<Vec<KeepName>>,
    /// Memory that models in training may take together, such as 2GiB: fewer at a time then
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_memory: Option<u64>,
    /// Share of the records set aside for validation when --patience is given
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    validation_share: Option<f64>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Selection and test")]
pub(crate) struct TestOptions {
    /// By what vulnerable records are selected; influence by default
    #[arg(long, value_enum)]
    select: Option<RuleName>,
    /// Select this share of the records, such as 1%
    #[arg(long, value_name = "PERCENT", value_parser = share, conflicts_with_all = ["count", "alpha"], allow_negative_numbers = true)]
    top: Option<f64>,
    /// Select so many records
    #[arg(long, value_name = "N", conflicts_with = "alpha", allow_negative_numbers = true, value_parser = whole::<usize>)]
    count: Option<usize>,
    /// Select records without neighbours nearer than this cosine distance
    #[arg(long, value_name = "DISTANCE", allow_negative_numbers = true)]
    alpha: Option<f64>,
    /// Null distribution
    #[arg(long, value_enum)]
    null: Option<NullName>,
    /// False discovery rate
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    fdr: Option<f64>,
    /// Attacks to compare: names such as loss,lira-online,rmia-online, or all, or none; a few
    /// by default
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    attacks: Option<Vec<String>>,
    /// RMIA: how many times larger a record's ratio must be than that of another
    #[arg(long, value_name = "GAMMA", allow_negative_numbers = true)]
    gamma: Option<f64>,
    /// RMIA offline: its a; found on a reference model by default
    #[arg(
        long,
        visible_alias = "a",
        value_name = "A",
        allow_negative_numbers = true
    )]
    offline_a: Option<f64>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Result")]
pub(crate) struct ResultOptions {
    /// End with exit code 10 if this holds, such as records>0 or tpr@0.01>0.05; may be repeated
    #[arg(long, value_name = "CONDITION")]
    pub(crate) fail_on: Vec<String>,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Run")]
pub(crate) struct WorkOptions {
    /// Seed of every random choice
    #[arg(long, allow_negative_numbers = true, value_parser = whole::<u64>)]
    seed: Option<u64>,
    /// Run directory; runs/NAME-HASH by default, where the same command goes on
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) run: Option<PathBuf>,
    /// Start from a configuration, such as the run.toml of a run; by default from giveaway.toml,
    /// if the current directory has one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Do not keep a copy of the records in the run directory
    #[arg(long)]
    no_records: bool,
    /// Threads; all cores by default. The result does not depend on it
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub(crate) threads: Option<usize>,
    /// No progress bars
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Declares a `ValueEnum` that stands for another type.
macro_rules! names {
    ($name:ident for $meaning:ty { $($(#[$attribute:meta])* $variant:ident = $value:expr),+ $(,)? }) => {
        #[derive(Clone, Copy, Debug, ValueEnum)]
        pub(crate) enum $name { $($(#[$attribute])* $variant),+ }
        impl From<$name> for $meaning {
            fn from(name: $name) -> Self {
                match name { $($name::$variant => $value),+ }
            }
        }
    };
}

names!(ScalingName for Scaling { Standard = Self::Standard, None = Self::None });
names!(UnknownName for UnknownCategories { Error = Self::Error, Ignore = Self::Ignore });
names!(DuplicatesName for Duplicates { Group = Self::Group, Report = Self::Report });
names!(OutputKindName for OutputKind { Logits = Self::Logits, Probabilities = Self::Probabilities });
names!(DesignName for Design {
    Halves = Self::Halves, Share = Self::Share, Subsample = Self::Subsample, Bootstrap = Self::Bootstrap,
});
names!(ActivationName for Activation { Relu = Self::Relu, Tanh = Self::Tanh });
names!(OptimiserName for Optimiser {
    Adam = Self::adam(),
    #[value(name = "adamw", alias = "adam-w")]
    AdamW = Self::adamw(),
    Sgd = Self::sgd(),
});
names!(PoolName for Option<Pool> {
    Max = Some(Pool::Max), Average = Some(Pool::Average), None = Option::None,
});
names!(PaddingName for Padding { Valid = Self::Valid, Same = Self::Same });
names!(RuleName for Rule {
    All = Self::All, Neighbours = Self::Neighbours, OutLoss = Self::OutLoss, Influence = Self::Influence,
});
names!(NullName for Null { T = Self::T, Ecdf = Self::Ecdf, Pchip = Self::Pchip });
names!(CombinationName for Combination { Kost = Self::Kost, Fisher = Self::Fisher, Empirical = Self::Empirical });
names!(KeepName for Keep { Weights = Self::Weights, Features = Self::Features });

/// Widths of hidden layers.
#[derive(Clone, Debug)]
struct Hidden(Vec<usize>);

fn hidden(text: &str) -> std::result::Result<Hidden, String> {
    if text == "none" {
        return Ok(Hidden(Vec::new()));
    }
    text.split(',')
        .map(|width| match width.trim().parse() {
            Ok(width) if width > 0 => Ok(width),
            _ => Err(format!(
                "{width:?} is not the width of a layer; write 64,32 or none"
            )),
        })
        .collect::<std::result::Result<_, _>>()
        .map(Hidden)
}

/// The shape of an image.
#[derive(Clone, Debug)]
struct ImageSize(Vec<usize>);

fn image(text: &str) -> std::result::Result<ImageSize, String> {
    text.split(['x', '×', '*', ','])
        .map(|length| length.trim().parse().ok().filter(|&length| length > 0))
        .collect::<Option<Vec<usize>>>()
        .filter(|shape| matches!(shape.len(), 2 | 3))
        .map(ImageSize)
        .ok_or_else(|| "write HEIGHTxWIDTH, such as 28x28, or with channels 32x32x3".to_owned())
}

/// Convolutions as they are typed.
#[derive(Clone, Debug)]
struct Convolutions(Vec<TypedConvolution>);

#[derive(Clone, Copy, Debug)]
struct TypedConvolution {
    channels: usize,
    size: usize,
    /// What was typed after a colon.
    pool: Option<PoolName>,
}

fn convolutions(text: &str) -> std::result::Result<Convolutions, String> {
    if text == "none" {
        return Ok(Convolutions(Vec::new()));
    }
    let read = |part: &str| {
        let (filters, pool) = match part.split_once(':') {
            Some((filters, pool)) => (filters, Some(PoolName::from_str(pool.trim(), false).ok()?)),
            None => (part, None),
        };
        let (channels, size) = filters.split_once(['x', '×', '*'])?;
        let number = |text: &str| text.trim().parse().ok().filter(|&n: &usize| n > 0);
        Some(TypedConvolution {
            channels: number(channels)?,
            size: number(size)?,
            pool,
        })
    };
    text.split(',')
        .map(|part| {
            read(part).ok_or_else(|| {
                format!(
                    "{part:?} is no convolution; write CHANNELSxSIZE, such as 16x5 for 16 filters of 5 × 5 pixels, perhaps with :max, :average or :none for its pooling"
                )
            })
        })
        .collect::<std::result::Result<_, _>>()
        .map(Convolutions)
}

/// A number that counts something.
pub(crate) fn whole<T: FromStr<Err = ParseIntError>>(text: &str) -> std::result::Result<T, String> {
    text.trim().parse().map_err(|e: ParseIntError| {
        match e.kind() {
            IntErrorKind::PosOverflow => "the number is too large",
            _ => "give a whole number of at least 0, in digits only",
        }
        .to_owned()
    })
}

pub(crate) fn share(text: &str) -> std::result::Result<f64, String> {
    let text = text.trim();
    // 0.01 could mean a share or a percentage: it is never guessed.
    let Some(number) = text.strip_suffix('%') else {
        return Err(match text.parse::<f64>() {
            Ok(_) => format!(
                "a percentage carries its sign, such as 1%: write {text}%, or give a number of records with --count"
            ),
            Err(_) => "give a percentage above 0 and up to 100, such as 1%".to_owned(),
        });
    };
    match number.trim_end().parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent / 100.0),
        _ => Err("give a percentage above 0 and up to 100, such as 1%".to_owned()),
    }
}

/// Bytes, in units of 1024 as memory is measured.
pub(crate) fn size(text: &str) -> std::result::Result<u64, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => 0,
    };
    match digits.trim_end().parse::<f64>() {
        Ok(number) if number > 0.0 && unit > 0 => Ok((number * unit as f64) as u64),
        _ => Err("give a number with its unit, such as 500MiB or 2GiB".to_owned()),
    }
}

fn delimiter(text: &str) -> std::result::Result<char, String> {
    match text {
        "\\t" | "tab" => Ok('\t'),
        _ => match text.chars().collect::<Vec<_>>()[..] {
            [c] if c.is_ascii() => Ok(c),
            _ => Err("give one ASCII character".to_owned()),
        },
    }
}

fn schedule(text: &str) -> std::result::Result<Schedule, String> {
    let wrong = || "write constant, cosine or step:EVERY:FACTOR, such as step:10:0.1".to_owned();
    match text.split(':').collect::<Vec<_>>()[..] {
        ["constant"] => Ok(Schedule::Constant),
        ["cosine"] => Ok(Schedule::Cosine),
        ["step", every, factor] => Ok(Schedule::Step {
            every: every.parse().ok().filter(|&n| n > 0).ok_or_else(wrong)?,
            factor: factor
                .parse()
                .ok()
                .filter(|f: &f32| f.is_finite() && *f > 0.0)
                .ok_or_else(wrong)?,
        }),
        _ => Err(wrong()),
    }
}

impl AuditOptions {
    /// The configuration that was asked for: defaults, then `--config` or a run directory,
    /// then the other options.
    pub(crate) fn resolve(&self) -> Result<Config> {
        let mut config = self.models.resolve()?;
        self.test.apply(&mut config)?;
        self.indirect.apply(&mut config)?;
        Ok(config)
    }
}

impl ModelOptions {
    /// The run directory that was given in the place of data.
    fn run_given_as_data(&self) -> Option<PathBuf> {
        let path = PathBuf::from(self.data.as_ref()?);
        path.join("run.toml").is_file().then_some(path)
    }

    /// Where the run is, if that was said.
    pub(crate) fn run(&self) -> Option<PathBuf> {
        self.work.run.clone().or_else(|| self.run_given_as_data())
    }

    /// The configuration, but for selection and test.
    pub(crate) fn resolve(&self) -> Result<Config> {
        let given_run = self.run_given_as_data();
        let file = match (&self.work.config, &given_run) {
            (Some(_), Some(run)) => {
                return Err(
                    Error::usage("a configuration and a run directory, which has its own")
                        .at(format!("--config and {}", run.display()))
                        .hint("give one of them"),
                );
            }
            (Some(path), None) => Some(path.clone()),
            (None, Some(run)) => Some(run.join("run.toml")),
            (None, None) => config_file::chosen(None),
        };
        let (mut config, names_source) = match &file {
            Some(path) => {
                let file = ConfigFile::read(path)?;
                let data = file.audit.get("data");
                let names_source = data.and_then(|data| data.get("source")).is_some();
                let config = file.config().map_err(|e| e.at(path.display()))?;
                (config, names_source)
            }
            None => (Config::default(), false),
        };
        match &self.data {
            None if !names_source
                && self.records.per_class.is_none()
                && config.data.per_class.is_none() =>
            {
                config
                    .data
                    .training_units
                    .get_or_insert(DEFAULT_TRAINING_UNITS);
            }
            Some(data) if given_run.is_none() => config.data.source = source(data),
            _ => {}
        }
        self.records.apply(&mut config);
        self.target.apply(&mut config)?;
        self.trainer.apply(&mut config)?;
        self.reference.apply(&mut config)?;
        set(&mut config.seed, self.work.seed);
        if self.work.no_records {
            config.data.keep_records = false;
        }
        Ok(config)
    }
}

/// Size of the training sets where no data are named: the Adult data take long as a whole.
const DEFAULT_TRAINING_UNITS: usize = 10_000;

/// The name of a known data set means that, unless there is a file of that name.
pub(crate) fn source(data: &str) -> String {
    if std::path::Path::new(data).exists() {
        data.to_owned()
    } else if shipped().iter().any(|s| s.name == data) {
        format!("shipped:{data}")
    } else if known::is_to_be_fetched(data) {
        format!("cached:{data}")
    } else {
        data.to_owned()
    }
}

pub(crate) fn set<T, U: Into<T>>(slot: &mut T, value: Option<U>) {
    if let Some(value) = value {
        *slot = value.into();
    }
}

pub(crate) fn set_some<T, U: Into<T>>(slot: &mut Option<T>, value: Option<U>) {
    if let Some(value) = value {
        *slot = Some(value.into());
    }
}

impl RecordOptions {
    pub(crate) fn apply(&self, config: &mut Config) {
        let data = &mut config.data;
        set_some(&mut data.label, self.label.clone());
        set_some(&mut data.labels_file, self.labels_file.clone());
        set_some(&mut data.id, self.id.clone());
        set_some(&mut data.group, self.group.clone());
        for (slot, given) in [
            (&mut data.drop, &self.drop),
            (&mut data.numeric, &self.numeric),
            (&mut data.categorical, &self.categorical),
        ] {
            if !given.is_empty() {
                slot.clone_from(given);
            }
        }
        set_some(&mut data.delimiter, self.delimiter);
        set_some(&mut data.image, self.image.clone().map(|image| image.0));
        set(&mut data.scaling, self.scaling);
        set(&mut data.max_levels, self.max_levels);
        set(&mut data.unknown_categories, self.unknown_categories);
        set(&mut data.duplicates, self.duplicates);
        set_some(&mut data.training_units, self.train_size);
        set_some(&mut data.per_class, self.per_class);
        set_some(&mut data.reference, self.reference.clone());
    }
}

impl ReferenceOptions {
    fn apply_convolutions(&self, config: &mut Config) -> Result<()> {
        let convolutions = &mut config.reference.convolutions;
        if let Some(Convolutions(list)) = &self.convolutions {
            *convolutions = list
                .iter()
                .map(|typed| Convolution {
                    channels: typed.channels,
                    size: typed.size,
                    padding: Padding::default(),
                    pool: typed.pool.or(self.pool).unwrap_or(PoolName::Max).into(),
                })
                .collect();
        } else if let Some(pool) = self.pool {
            for convolution in &mut *convolutions {
                convolution.pool = pool.into();
            }
        }
        if let Some(padding) = self.padding {
            for convolution in &mut *convolutions {
                convolution.padding = padding.into();
            }
        }
        let given = match (self.pool, self.padding) {
            (Some(_), _) => "--pool",
            (_, Some(_)) => "--padding",
            _ => return Ok(()),
        };
        if convolutions.is_empty() {
            return Err(Error::usage("is for convolutions, and there are none")
                .at(given)
                .hint("add --convolutions, such as --convolutions 16x5,32x5, or leave it out"));
        }
        Ok(())
    }

    /// Options of networks mean nothing to other trainers.
    fn refuse_those_of_networks(&self, trainer: TrainerName) -> Result<()> {
        if trainer == TrainerName::Network {
            return Ok(());
        }
        let boosting = trainer == TrainerName::Boosting;
        let given = [
            ("--convolutions", self.convolutions.is_some()),
            ("--pool", self.pool.is_some()),
            ("--padding", self.padding.is_some()),
            ("--hidden", self.hidden.is_some()),
            ("--activation", self.activation.is_some()),
            ("--dropout", self.dropout.is_some()),
            ("--epochs", self.epochs.is_some()),
            ("--batch-size", self.batch_size.is_some()),
            ("--learning-rate", self.learning_rate.is_some() && !boosting),
            ("--optimiser", self.optimiser.is_some()),
            ("--momentum", self.momentum.is_some()),
            ("--weight-decay", self.weight_decay.is_some()),
            ("--l2", self.l2.is_some() && !boosting),
            ("--label-smoothing", self.label_smoothing.is_some()),
            ("--augment-shift", self.augment_shift.is_some()),
            ("--augment-flip", self.augment_flip),
            ("--schedule", self.schedule.is_some()),
            (
                "--patience",
                self.patience.is_some() && trainer == TrainerName::Forest,
            ),
            ("--kernel", self.kernel.is_some()),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((option, _)) => Err(Error::usage(format!(
                "means nothing to the trainer {}",
                trainer.name()
            ))
            .at(option)
            .hint("leave it out, or choose --trainer network")),
            None => Ok(()),
        }
    }

    fn apply(&self, config: &mut Config) -> Result<()> {
        self.refuse_those_of_networks(config.reference.trainer)?;
        self.apply_convolutions(config)?;
        let reference = &mut config.reference;
        set(&mut reference.models, self.models);
        set_some(&mut reference.design, self.design);
        if let Some(hidden) = &self.hidden {
            reference.hidden.clone_from(&hidden.0);
        }
        set(&mut reference.activation, self.activation);
        set(&mut reference.dropout, self.dropout);
        set(&mut reference.epochs, self.epochs);
        set_some(&mut reference.batch_size, self.batch_size);
        if let Some(given) = self.optimiser.map(Optimiser::from) {
            // The penalty that is usual differs, and a configuration may name that of another.
            if std::mem::discriminant(&given) != std::mem::discriminant(&reference.optimiser) {
                reference.l2 = None;
            }
            reference.optimiser = given;
        }
        if let Some(given) = self.momentum {
            match &mut reference.optimiser {
                Optimiser::Sgd { momentum, .. } => *momentum = given,
                Optimiser::Adam { .. } | Optimiser::AdamW { .. } => {
                    return Err(Error::usage(
                        "is the momentum of sgd, and the optimiser is another",
                    )
                    .at("--momentum")
                    .hint("add --optimiser sgd"));
                }
            }
        }
        if let Some(given) = self.weight_decay {
            match &mut reference.optimiser {
                Optimiser::AdamW { weight_decay, .. } => *weight_decay = given,
                Optimiser::Adam { .. } | Optimiser::Sgd { .. } => {
                    return Err(Error::usage("is the weight decay of adamw, and the optimiser is another")
                        .at("--weight-decay")
                        .hint("add --optimiser adamw, or give --l2, which is what PyTorch's Adam and SGD call weight_decay"));
                }
            }
        }
        if reference.trainer == TrainerName::Boosting {
            set(&mut reference.boosting.l2, self.l2.map(f64::from));
            let rate = self.learning_rate.map(f64::from);
            set(&mut reference.boosting.learning_rate, rate);
        } else {
            set_some(&mut reference.l2, self.l2);
            set(&mut reference.learning_rate, self.learning_rate);
        }
        set(&mut reference.label_smoothing, self.label_smoothing);
        if self.augment_shift.is_some() || self.augment_flip {
            let augmentation = reference.augmentation.get_or_insert_default();
            set(&mut augmentation.shift, self.augment_shift);
            augmentation.flip |= self.augment_flip;
            // None is none, however it is said.
            if *augmentation == Augmentation::default() {
                reference.augmentation = None;
            }
        }
        set(&mut reference.schedule, self.schedule);
        set_some(&mut reference.patience, self.patience);
        set_some(&mut reference.kernel, self.kernel.clone());
        if let Some(keep) = &self.keep {
            reference.keep.clear();
            for keep in keep.iter().map(|&name| name.into()) {
                if !reference.keep.contains(&keep) {
                    reference.keep.push(keep);
                }
            }
        }
        set_some(&mut reference.max_memory, self.max_memory);
        set(&mut reference.validation_share, self.validation_share);
        if self.validation_share.is_some() && reference.patience.is_none() {
            return Err(
                Error::usage("sets records aside for a training that does not stop early")
                    .at("--validation-share")
                    .hint("add --patience EPOCHS, or leave --validation-share out"),
            );
        }
        Ok(())
    }
}

impl TestOptions {
    fn apply(&self, config: &mut Config) -> Result<()> {
        let test = &mut config.test;
        set_some(&mut test.select, self.select);
        if let Some(share) = self.top {
            test.amount = Amount::Share(share);
        }
        if let Some(count) = self.count {
            test.amount = Amount::Count(count);
        }
        if let Some(alpha) = self.alpha {
            test.amount = Amount::Alpha(alpha);
        }
        set_some(&mut test.null, self.null);
        set(&mut test.fdr, self.fdr);
        if let Some(names) = &self.attacks {
            test.attacks = Some(attacks(names, config.data.reference.is_some())?);
        }
        set(&mut test.gamma, self.gamma);
        set_some(&mut test.offline_a, self.offline_a);
        let amount = match (self.top, self.count) {
            (Some(_), _) => Some("--top"),
            (_, Some(_)) => Some("--count"),
            _ => None,
        };
        if let Some(option) = amount
            && test.select == Some(Rule::All)
        {
            return Err(Error::usage("says how many are selected, but all are")
                .at(option)
                .hint("leave it out, or select by something else than all with --select"));
        }
        Ok(())
    }
}

/// The attacks of these names; `all` are those that can be made where reference models are
/// trained on other records than the audited ones (`apart`), or on the same.
fn attacks(names: &[String], apart: bool) -> Result<Vec<Method>> {
    match names {
        [one] if one == "none" => Ok(Vec::new()),
        [one] if one == "all" => Ok(Method::EVERY
            .iter()
            .copied()
            .filter(|&method| !apart || is_possible_apart(method))
            .collect()),
        _ => names
            .iter()
            .map(|name| match name.as_str() {
                "all" | "none" => Err(Error::usage(format!("`{name}` stands alone"))
                    .at("--attacks")
                    .hint("leave it out, or leave the other names out")),
                name => Method::parse(name).map_err(|error| error.at("--attacks")),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn resolve(line: &str) -> Config {
        let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
        match arguments.command {
            Command::Audit(options) => options.resolve().unwrap(),
            _ => unreachable!("an audit was asked for"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn without_arguments_adult_is_audited_on_ten_thousand_records() {
        let config = resolve("giveaway audit");
        assert_eq!(config.data.source, "shipped:adult");
        assert_eq!(config.data.training_units, Some(10_000));
        assert_eq!(resolve("giveaway audit adult").data.training_units, None);
    }

    #[test]
    fn a_configuration_that_names_no_data_means_the_default_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        let units = |content: &str, rest: &str| {
            std::fs::write(&path, content).unwrap();
            resolve(&format!("giveaway audit{rest} --config {}", path.display()))
                .data
                .training_units
        };
        assert_eq!(units("seed = 3\n", ""), Some(10_000));
        assert_eq!(units("[data]\ntraining-units = 50\n", ""), Some(50));
        assert_eq!(units("seed = 3\n", " --train-size 70"), Some(70));
        assert_eq!(units("seed = 3\n", " --per-class 70"), None);
        assert_eq!(units("[data]\nper-class = 70\n", ""), None);
        assert_eq!(units("seed = 3\n", " adult"), None);
        assert_eq!(units("[data]\nsource = \"shipped:adult\"\n", ""), None);
    }

    #[test]
    fn negative_numbers_reach_the_check_that_names_their_option() {
        for option in [
            "--learning-rate",
            "--dropout",
            "--l2",
            "--label-smoothing",
            "--alpha",
            "--fdr",
        ] {
            let config = resolve(&format!("giveaway audit {option} -1 --select neighbours"));
            let error = config.check().unwrap_err();
            assert!(error.to_string().starts_with(option), "{error}");
        }
        let error = Arguments::try_parse_from(["giveaway", "audit", "--seed", "-1"]).unwrap_err();
        assert!(error.to_string().contains("at least 0"), "{error}");
    }

    #[test]
    fn options_that_would_be_ignored_are_refused() {
        for (line, option) in [
            ("--output-kind logits", "--output-kind"),
            ("--validation-share 0.2", "--validation-share"),
            ("--select all --count 3", "--count"),
            ("--top 3% --select all", "--top"),
        ] {
            let line = format!("giveaway audit {line}");
            let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
            let Command::Audit(options) = arguments.command else {
                unreachable!("an audit was asked for")
            };
            let error = options.resolve().unwrap_err();
            assert!(error.to_string().starts_with(option), "{error}");
            assert!(error.hint_text().is_some(), "{error}");
        }
        resolve("giveaway audit --validation-share 0.2 --patience 3");
        resolve("giveaway audit --output-kind logits --target-outputs x.npy");
    }

    #[test]
    fn options_mean_what_they_say() {
        let config = resolve(
            "giveaway audit x.csv --label y --drop a,b --hidden none --optimiser sgd --momentum 0.9 \
             --schedule step:5:0.5 --top 2.5% --null ecdf --select out-loss --seed 4 --delimiter ;",
        );
        assert_eq!(config.data.source, "x.csv");
        assert_eq!(config.data.drop, ["a", "b"]);
        assert!(config.reference.hidden.is_empty());
        assert_eq!(
            config.reference.optimiser,
            Optimiser::Sgd {
                momentum: 0.9,
                nesterov: false
            }
        );
        assert_eq!(
            config.reference.schedule,
            Schedule::Step {
                every: 5,
                factor: 0.5
            }
        );
        assert_eq!(config.test.amount, Amount::Share(0.025));
        assert_eq!(config.test.null(), Null::Ecdf);
        assert_eq!(config.test.select, Some(Rule::OutLoss));
        assert_eq!((config.seed, config.data.delimiter), (4, Some(';')));
    }

    #[test]
    fn nonsense_is_refused() {
        for line in [
            "giveaway audit --top 0",
            "giveaway audit --top 1",
            "giveaway audit --top 0.01",
            "giveaway audit --top 0%",
            "giveaway audit --top 1%%%",
            "giveaway audit --top 101%",
            "giveaway audit --top nan%",
            "giveaway audit --seed -1",
            "giveaway audit --epochs 99999999999999999999",
            "giveaway audit --top 1% --count 5",
            "giveaway audit --hidden 64,zero",
            "giveaway audit --schedule step:0:2",
            "giveaway audit --delimiter ab",
        ] {
            assert!(
                Arguments::try_parse_from(line.split(' ')).is_err(),
                "{line}"
            );
        }
    }
}
