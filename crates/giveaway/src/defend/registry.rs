//! All defences by name.
//!
//! A defence is written as its name, a colon and its settings, in their order and separated by
//! commas: `l2:0.005`, `selena:25,10`. Settings may be left empty or, at the end, left out, the
//! colon with them; [`Defence::name`] writes all that are not left to the defence.

use super::Defence;
use super::answers::{
    Abstain, HampOutput, LabelOnly, MemGuard, Reweight, Rounding, Temperature, TopK,
};
use super::hamp::Hamp;
use super::training::{
    Distillation, DownWeight, DpSgd, Dropout, EarlyStopping, FineTune, HampTraining,
    HarderClipping, L2, L2Dropout, LabelSmoothing, Neighbours, Relabel, RelaxLoss, Remove, Selena,
};
use crate::error::{Error, Result};

/// A defence that can be named.
struct Entry {
    name: &'static str,
    /// Names of the settings, and what they are where they are left out; those without a number
    /// are then left to the defence.
    settings: &'static [(&'static str, Option<f64>)],
    make: fn(&Values) -> Result<Box<dyn Defence>>,
}

/// One line for each defence.
#[rustfmt::skip]
const ENTRIES: &[Entry] = &[
    entry("l2", &[("penalty", Some(0.001))], |v| made(L2::new(v.number(0) as f32))),
    entry("dropout", &[("rate", Some(0.5))], |v| made(Dropout::new(v.number(0) as f32))),
    entry("l2+dropout", &[("penalty", Some(0.0005)), ("rate", Some(0.5))], |v| made(L2Dropout::new(v.number(0) as f32, v.number(1) as f32))),
    entry("early-stopping", &[("patience", Some(5.0)), ("share", Some(0.1))], |v| made(EarlyStopping::new(v.whole(0)?, v.number(1)))),
    entry("label-smoothing", &[("smoothing", Some(0.1))], |v| made(LabelSmoothing::new(v.number(0) as f32))),
    entry("dp-sgd", &[("epsilon", Some(8.0)), ("clip", Some(1.0)), ("epochs", None), ("learning rate", None), ("delta", None)], |v| made(dp_sgd(v, 0))),
    entry("selena", &[("models", Some(25.0)), ("left out", Some(10.0))], |v| made(Selena::new(v.whole(0)?, v.whole(1)?))),
    entry("hamp-training", &[("entropy", Some(0.8)), ("reward", Some(0.01))], |v| made(HampTraining::new(v.number(0), v.number(1) as f32))),
    entry("relax-loss", &[("level", Some(0.2))], |v| made(RelaxLoss::new(v.number(0) as f32))),
    entry("distillation", &[("temperature", Some(1.0))], |v| made(Distillation::new(v.number(0)))),
    entry("remove", &[], |_| made(Ok(Remove::exposed()))),
    entry("remove-random", &[], |_| made(Ok(Remove::random()))),
    entry("relabel", &[], |_| made(Ok(Relabel))),
    entry("down-weight", &[("weight", Some(0.1))], |v| made(DownWeight::new(v.number(0) as f32))),
    entry("neighbours", &[("added", Some(3.0)), ("nearest", Some(5.0))], |v| made(Neighbours::new(v.whole(0)?, v.whole(1)?))),
    entry("harder-clipping", &[("share", Some(0.25)), ("epsilon", Some(8.0)), ("clip", Some(1.0)), ("epochs", None), ("learning rate", None), ("delta", None)], |v| made(HarderClipping::new(dp_sgd(v, 1)?, v.number(0) as f32))),
    entry("fine-tune", &[("epochs", Some(5.0))], |v| made(FineTune::new(v.whole(0)?))),
    entry("hamp", &[("entropy", Some(0.8)), ("reward", Some(0.01))], |v| made(Hamp::new(v.number(0), v.number(1) as f32))),
    entry("reweight", &[("weight", Some(0.1))], |v| made(Reweight::everyone(v.number(0)))),
    entry("reweight-outlying", &[("weight", Some(0.1)), ("share", Some(0.1))], |v| made(Reweight::outlying(v.number(0), v.number(1)))),
    entry("abstain", &[("share", Some(0.05))], |v| made(Abstain::new(v.number(0)))),
    entry("round", &[("decimals", Some(2.0))], |v| made(Rounding::new(u8::try_from(v.whole(0)?).unwrap_or(u8::MAX)))),
    entry("top-k", &[("classes", Some(1.0))], |v| made(TopK::new(v.whole(0)?))),
    entry("label-only", &[], |_| made(Ok(LabelOnly))),
    entry("temperature", &[("temperature", Some(4.0))], |v| made(Temperature::new(v.number(0)))),
    entry("mem-guard", &[("budget", Some(0.5))], |v| made(MemGuard::new(v.number(0)))),
    entry("hamp-output", &[], |_| made(Ok(HampOutput))),
];

const fn entry(
    name: &'static str,
    settings: &'static [(&'static str, Option<f64>)],
    make: fn(&Values) -> Result<Box<dyn Defence>>,
) -> Entry {
    Entry {
        name,
        settings,
        make,
    }
}

fn made<D: Defence + 'static>(defence: Result<D>) -> Result<Box<dyn Defence>> {
    Ok(Box::new(defence?))
}

/// DP-SGD whose settings start with this one.
fn dp_sgd(values: &Values, first: usize) -> Result<DpSgd> {
    let mut defence = DpSgd::new(values.number(first), values.number(first + 1) as f32)?;
    if values.given(first + 2) {
        defence = defence.epochs(values.whole(first + 2)?)?;
    }
    if values.given(first + 3) {
        defence = defence.learning_rate(values.number(first + 3) as f32)?;
    }
    if values.given(first + 4) {
        defence = defence.delta(values.number(first + 4))?;
    }
    Ok(defence)
}

/// The settings of a defence that was named.
struct Values<'a> {
    entry: &'a Entry,
    /// None for those that are left empty.
    numbers: Vec<Option<f64>>,
}

impl Values<'_> {
    /// Whether a setting was given.
    fn given(&self, setting: usize) -> bool {
        self.numbers.get(setting).is_some_and(Option::is_some)
    }

    fn number(&self, setting: usize) -> f64 {
        let given = self.numbers.get(setting).copied().flatten();
        given.or(self.entry.settings[setting].1).unwrap_or(f64::NAN)
    }

    fn whole(&self, setting: usize) -> Result<usize> {
        let number = self.number(setting);
        // so many that no setting means it, and all whole numbers up to it are there
        let good = (0.0..1e9).contains(&number) && number.fract() == 0.0;
        if good {
            return Ok(number as usize);
        }
        Err(Error::usage(format!(
            "{}: {} is {number}; it must be a whole number",
            self.entry.name, self.entry.settings[setting].0
        )))
    }
}

impl Entry {
    /// The name and its settings: `selena[:models,left out] (25,10)`.
    fn usage(&self) -> String {
        if self.settings.is_empty() {
            return self.name.to_owned();
        }
        let names: Vec<&str> = self.settings.iter().map(|setting| setting.0).collect();
        let defaults: Vec<String> = self
            .settings
            .iter()
            .filter_map(|setting| setting.1)
            .map(|number| number.to_string())
            .collect();
        format!(
            "{}[:{}] ({})",
            self.name,
            names.join(","),
            defaults.join(",")
        )
    }
}

/// The names of all defences, without settings.
#[must_use]
pub fn names() -> Vec<&'static str> {
    ENTRIES.iter().map(|entry| entry.name).collect()
}

/// For each defence, its name, the names of its settings, and what they are where they are left
/// out.
#[must_use]
pub fn usages() -> Vec<String> {
    ENTRIES.iter().map(Entry::usage).collect()
}

/// Every defence with the settings that it has where none are given, and how it is written.
#[must_use]
pub fn all() -> Vec<(Box<dyn Defence>, String)> {
    ENTRIES
        .iter()
        .filter_map(|entry| Some((parse(entry.name).ok()?, entry.usage())))
        .collect()
}

/// A name for files: that of a defence with hyphens for what not every file system takes.
#[must_use]
pub fn file_name(name: &str) -> String {
    name.replace([':', ',', '+'], "-")
}

/// The defence of this name, with settings or without.
///
/// # Errors
/// If there is none, there are too many settings, or one is no number or makes no sense.
pub fn parse(text: &str) -> Result<Box<dyn Defence>> {
    let (name, settings) = match text.trim().split_once(':') {
        Some((name, settings)) => (name.trim(), Some(settings)),
        None => (text.trim(), None),
    };
    let Some(entry) = ENTRIES.iter().find(|entry| entry.name == name) else {
        return Err(Error::usage(format!("there is no defence {name:?}"))
            .hint(format!("the defences are {}", usages().join("; "))));
    };
    let mut numbers = Vec::new();
    for setting in settings
        .into_iter()
        .flat_map(|settings| settings.split(','))
    {
        if setting.trim().is_empty() {
            numbers.push(None);
            continue;
        }
        let number: f64 = setting.trim().parse().map_err(|_| {
            Error::usage(format!("{text}: {setting:?} is no number")).hint(entry.usage())
        })?;
        numbers.push(Some(number));
    }
    if numbers.len() > entry.settings.len() {
        return Err(Error::usage(format!(
            "{text}: {} settings, but {name} has {}",
            numbers.len(),
            entry.settings.len()
        ))
        .hint(entry.usage()));
    }
    (entry.make)(&Values { entry, numbers }).map_err(|e| e.hint(entry.usage()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_name_gives_a_defence_that_gives_the_name_back() {
        let mut titles = HashSet::new();
        for name in names() {
            let defence = parse(name).unwrap();
            let full = defence.name();
            assert!(
                full == name || full.starts_with(&format!("{name}:")),
                "{full}"
            );
            let again = parse(&full).unwrap();
            assert_eq!(again.name(), full);
            assert_eq!(again.about(), defence.about());
            assert!(titles.insert(defence.about().title), "{full}");
            let file = file_name(&full);
            let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
            assert!(file.chars().all(good), "{file}");
        }
    }

    #[test]
    fn settings_are_read_in_their_order() {
        for name in [
            "l2:0.005",
            "dropout:0.25",
            "l2+dropout:0.0005,0.25",
            "early-stopping:3,0.2",
            "dp-sgd:2.5,0.5",
            "dp-sgd:2.5,0.5,20",
            "dp-sgd:2.5,0.5,20,0.01",
            "dp-sgd:inf,1",
            "dp-sgd:2.5,0.5,,0.01",
            "dp-sgd:2.5,0.5,,,0.00001",
            "selena:5,2",
            "hamp-training:0.9,0.001",
            "neighbours:7,2",
            "harder-clipping:0.1,4,2,9,0.5",
            "fine-tune:2",
        ] {
            assert_eq!(parse(name).unwrap().name(), name);
        }
        assert_eq!(parse("selena:,9").unwrap().name(), "selena:25,9");
        assert_eq!(parse(" selena : 12 ").unwrap().name(), "selena:12,10");
    }

    #[test]
    fn what_is_no_defence_is_refused() {
        for (text, message, hint) in [
            ("l3", "no defence \"l3\"", "relax-loss[:level] (0.2)"),
            ("l2:x", "\"x\" is no number", "l2[:penalty] (0.001)"),
            ("l2:1,2", "2 settings, but l2 has 1", "l2[:penalty]"),
            ("remove:1", "1 settings, but remove has 0", "remove"),
            ("l2:-1", "the penalty is -1", "l2"),
            ("l2:nan", "the penalty is NaN", "l2"),
            ("dropout:1", "the rate is 1", "dropout"),
            ("l2+dropout:0.1,0", "the rate is 0", "l2+dropout"),
            ("selena:2.5", "models is 2.5", "selena"),
            ("selena:5,5", "leave out a record is 5", "selena"),
            ("early-stopping:0", "patience is 0", "early"),
            ("label-smoothing:1", "smoothing is 1", "label"),
            ("dp-sgd:0", "epsilon is 0", "dp-sgd"),
            ("dp-sgd:1,inf", "clip is inf", "dp-sgd"),
            ("dp-sgd:1,1,0", "epochs is 0", "dp-sgd"),
            ("dp-sgd:1,1,,,1", "delta is 1", "dp-sgd"),
            ("harder-clipping:1", "share of the clip is 1", "harder"),
            ("relax-loss:0", "level is 0", "relax"),
            ("hamp-training:1", "share of the entropy is 1", "hamp"),
            ("distillation:0", "temperature is 0", "distillation"),
            ("down-weight:1", "weight is 1", "down"),
            ("neighbours:0", "added records is 0", "neighbours"),
            ("fine-tune:0", "epochs is 0", "fine"),
            ("fine-tune:inf", "epochs is inf", "fine"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.to_string().contains(message), "{text}: {error}");
            assert!(
                error.hint_text().unwrap().contains(hint),
                "{text}: {error:?}"
            );
        }
    }
}
