//! The options of indirect inference in `giveaway audit`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use giveaway::error::{Error, Result};
use giveaway::run::config::{Build, Config, IndirectConfig};

use crate::arguments::whole;

#[derive(Debug, Args)]
#[command(next_help_heading = "Indirect inference: by queries that do not contain the record")]
pub(crate) struct IndirectOptions {
    /// Also attack the selected records without ever asking the model about them
    #[arg(long)]
    indirect: bool,
    /// Attack so many of the selected records, the most vulnerable first; all by default
    #[arg(long, value_name = "N", requires = "indirect", allow_negative_numbers = true, value_parser = whole::<usize>)]
    indirect_records: Option<usize>,
    /// Queries for each record, at most; 200 by default
    #[arg(long, value_name = "N", requires = "indirect", allow_negative_numbers = true, value_parser = whole::<usize>)]
    indirect_queries: Option<usize>,
    /// No query comes nearer to the record than this many times the distance of its nearest real
    /// record (or of the usual such distance, if that is larger); 1 by default
    #[arg(
        long,
        value_name = "MULTIPLE",
        requires = "indirect",
        allow_negative_numbers = true
    )]
    indirect_distance: Option<f64>,
    /// Models that tell what a query does; balanced where reference models are trained on the
    /// audited records
    #[arg(long, value_enum, requires = "indirect")]
    indirect_build: Option<BuildName>,
    /// Pairs of models that build, with --indirect-build paired; as many again confirm. 32 by
    /// default
    #[arg(long, value_name = "N", requires = "indirect", allow_negative_numbers = true, value_parser = whole::<usize>)]
    indirect_pairs: Option<usize>,
    /// Random candidates for each record; 4000, or 1000 images, by default
    #[arg(long, value_name = "N", requires = "indirect", allow_negative_numbers = true, value_parser = whole::<usize>)]
    indirect_candidates: Option<usize>,
    /// With --target-outputs: the target's answers to RUN/indirect/queries.parquet, which the
    /// audit writes when they are not given
    #[arg(long, value_name = "FILE", requires = "indirect")]
    indirect_answers: Option<PathBuf>,
    /// Leave out a step of the search for queries, to see what it is worth
    #[arg(
        long,
        value_enum,
        value_name = "STEP,...",
        value_delimiter = ',',
        requires = "indirect"
    )]
    indirect_without: Vec<StepName>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum BuildName {
    /// The IN and the OUT reference models; no model is trained for it
    Balanced,
    /// OUT reference models, and each trained once more with the record in another's place
    Paired,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StepName {
    /// Candidates are taken at random
    Selection,
    /// Candidates are not improved
    Optimisation,
    /// No other models have to agree
    Confirmation,
}

impl IndirectOptions {
    pub(crate) fn apply(&self, config: &mut Config) -> Result<()> {
        if !self.indirect {
            return Ok(());
        }
        if let (Some(BuildName::Balanced), Some(_)) = (self.indirect_build, self.indirect_pairs) {
            return Err(Error::usage("balanced models are not paired")
                .at("--indirect-pairs")
                .hint("leave it out, or use --indirect-build paired"));
        }
        let default = IndirectConfig::default();
        let indirect = config.test.indirect.get_or_insert(default);
        indirect.records = self.indirect_records.or(indirect.records);
        indirect.queries = self.indirect_queries.unwrap_or(indirect.queries);
        indirect.distance = self.indirect_distance.unwrap_or(indirect.distance);
        indirect.build = self.indirect_build.map(Build::from).or(indirect.build);
        indirect.pairs = self.indirect_pairs.unwrap_or(indirect.pairs);
        indirect.candidates = self.indirect_candidates.or(indirect.candidates);
        if self.indirect_answers.is_some() {
            indirect.answers.clone_from(&self.indirect_answers);
        }
        let without = |step| self.indirect_without.contains(&step);
        indirect.select &= !without(StepName::Selection);
        indirect.confirm &= !without(StepName::Confirmation);
        if without(StepName::Optimisation) {
            indirect.steps = 0;
        }
        Ok(())
    }
}

impl From<BuildName> for Build {
    fn from(name: BuildName) -> Self {
        match name {
            BuildName::Balanced => Self::Balanced,
            BuildName::Paired => Self::Paired,
        }
    }
}
