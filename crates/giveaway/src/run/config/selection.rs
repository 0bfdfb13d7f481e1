//! Selection, test and attacks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Config, IndirectConfig, refused};
use crate::attack::direct::Null;
use crate::attack::method::{Method, Parameters};
use crate::error::{Error, Result};
use crate::select::{Amount, Rule};

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

    /// Checks selection, test and attacks.
    pub(super) fn check_test(&self) -> Result<()> {
        if !(self.test.fdr > 0.0 && self.test.fdr < 1.0) {
            return refused(
                "--fdr",
                format!("a false discovery rate of {} makes no sense", self.test.fdr),
                "give a number between 0 and 1, such as 0.05",
            );
        }
        self.check_amount()?;
        self.check_attacks()?;
        self.test
            .indirect
            .as_ref()
            .map_or(Ok(()), IndirectConfig::check)
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
}
