//! Which crate reaches which target.

use giveaway::Result;
use giveaway::error::Error;
use giveaway::run::Connector;
use giveaway::run::config::{TargetConfig, not_a_configuration};
use giveaway::target::Target;
use giveaway::target::{
    CommandTarget, CommandTargetSettings, QuestionColumn, QuestionValues, Questions,
};
use giveaway_onnx::OnnxSettings;
use giveaway_remote::{Endpoint, Inputs};
use serde::de::DeserializeOwned;

/// Reaches every kind of target that this program knows.
pub(crate) struct Targets;

impl Connector for Targets {
    fn connect(
        &self,
        target: &TargetConfig,
        classes: &[String],
        example: &Questions,
    ) -> Result<Box<dyn Target>> {
        if let Some(table) = &target.http {
            let mut endpoint: Endpoint = settings(table, "target.http")?;
            // Nobody's service knows our encoding: numbers are sent as they are in the file.
            let number = |column: &QuestionColumn| {
                use QuestionValues as V;
                matches!(column.values, V::Numbers(_) | V::Whole(_))
            };
            let numbers = !example.columns.is_empty() && example.columns.iter().all(number);
            if endpoint.form.is_none() && numbers {
                endpoint.form = Some(Inputs::Raw);
            }
            return giveaway_remote::connect(&endpoint, classes);
        }
        if let Some(table) = &target.onnx {
            return giveaway_onnx::open_for(&settings(table, "target.onnx")?, classes, example);
        }
        if let Some(table) = &target.command {
            let settings: CommandTargetSettings = settings(table, "target.command")?;
            let target = CommandTarget::new(&settings, classes, target.secrets(), None)?;
            return Ok(Box::new(target));
        }
        Err(Error::unexpected("no target to connect to"))
    }
}

/// Looks at the settings of a target before anything is read or written: that they are known,
/// make sense, and hold no secret.
pub(crate) fn check(target: &TargetConfig) -> Result<()> {
    if let Some(table) = &target.http {
        let endpoint: Endpoint = settings(table, "target.http")?;
        endpoint.check().map_err(|e| e.at("target.http"))?;
    }
    if let Some(table) = &target.onnx {
        settings::<OnnxSettings>(table, "target.onnx")?;
    }
    if let Some(table) = &target.command {
        settings::<CommandTargetSettings>(table, "target.command")?;
    }
    Ok(())
}

fn settings<T: DeserializeOwned>(table: &toml::Table, place: &str) -> Result<T> {
    let read = table.clone().try_into();
    read.map_err(|e| not_a_configuration(&e).at(format!("[{place}]")))
}
