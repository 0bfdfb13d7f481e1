//! Are non-members accused as seldom as p-values say? 200 records of an audit are left out of
//! every target; reference models are those of the audit, half of which were trained on them.
//!
//! Target and OUT models of a record are not exchangeable: targets were trained on none of the
//! 200, OUT models on half of the others of them. Where the 200 are the hardest records that
//! matters much. So the same records are also tested on each OUT model that tests, by the others:
//! these are exchangeable. With `--vulnerable 0` all of the 200 are drawn at random.

use giveaway::Result;
use giveaway::attack::direct::{DirectInference, LeftOut, Null};
use giveaway::channel::Channel;
use giveaway::run::pool::Pool;
use giveaway::select::{Amount, Rule, loss_vulnerability, take};
use giveaway::signals::ModelSignals;
use giveaway::trainer::Trainer;
use giveaway_stats::random::{Stream, derive_seed};
use serde_json::{Value, json};

use crate::each_other::on_each_other;
use crate::figures::{Judged, say};
use crate::models::{Parts, signals, train};
use crate::options::Options;
use crate::pool::{BUDGETS, halves, prepare, references, subjects, trainer};
use crate::subjects::on_targets;

/// Models that tell which records are vulnerable, and are not used again.
const PILOTS: usize = 64;

/// The units that no target is trained on, and how many of them, the first, are the most
/// vulnerable ones.
fn held_out(
    records: usize,
    wanted: usize,
    pool: &Pool,
    trainer: &dyn Trainer,
) -> Result<(Vec<u32>, usize)> {
    if wanted == 0 {
        let mut held = pool.eligible.clone();
        Stream::new(pool.config.seed, "records at random", 0).shuffle(&mut held);
        held.truncate(records);
        return Ok((held, 0));
    }
    say(&format!("training {PILOTS} pilot models"));
    let seed = pool.config.seed;
    let pilots = halves(pool, PILOTS, &pool.eligible, "pilots")?;
    let models = train(
        trainer,
        &pool.units,
        &pilots,
        derive_seed(seed, "pilots", 1),
    )?;
    let of_pilots = signals(&models, &pilots, &pool.units, &pool.dataset)?;
    let vulnerability = loss_vulnerability(
        Rule::Influence,
        &of_pilots,
        &pilots,
        &pool.eligible,
        0..PILOTS,
    )?;
    drop(models);
    let amount = Amount::Count(wanted);
    let mut held = take(Rule::Influence, vulnerability, &pool.eligible, amount)?.selected;
    held.truncate(wanted);
    let vulnerable = held.len();
    let mut others = pool.eligible.clone();
    others.retain(|unit| !held.contains(unit));
    Stream::new(seed, "records at random", 0).shuffle(&mut others);
    held.extend(others.into_iter().take(records - vulnerable));
    Ok((held, vulnerable))
}

pub(crate) fn experiment(options: &Options) -> Result<Value> {
    let records = options.records.unwrap_or(200);
    let wanted = options.vulnerable.unwrap_or(records / 2).min(records);
    let pool = prepare(options)?;
    let trainer = trainer(&pool)?;
    let seed = pool.config.seed;
    let members = |purpose: &str| derive_seed(seed, purpose, 1);

    let (held, vulnerable) = held_out(records, wanted, &pool, &trainer)?;
    let targets = options.targets_or(40);
    say(&format!(
        "training {targets} targets without {} records",
        held.len()
    ));
    let mut rest = pool.eligible.clone();
    rest.retain(|unit| !held.contains(unit));
    let target_members = halves(&pool, targets, &rest, "targets")?;
    let target_models = train(&trainer, &pool.units, &target_members, members("targets"))?;

    let references = references(options, &pool, &trainer)?;
    let parts = Parts::of_audit(&references.membership);
    let of_references = signals(
        &references.models,
        &references.membership,
        &pool.units,
        &pool.dataset,
    )?;
    let (units, subjects) = subjects(options, &pool, &references, &parts, &held)?;
    say("testing");
    let grid = on_targets(&subjects, &target_models, &BUDGETS)?;
    let testing = references.membership.halves()[1].clone();
    let inference = DirectInference::new(
        &of_references,
        &references.membership,
        &units,
        testing.clone(),
    );
    let mut direct = Vec::new();
    for (number, target) in target_models.iter().enumerate() {
        let logits = target.answer(pool.dataset.features.view())?;
        let on_target = ModelSignals::of_logits(
            &logits,
            &pool.dataset.labels,
            &pool.units,
            Channel::default(),
            |unit| Some(target_members.is_in(number, unit)),
        );
        direct.extend(inference.p_values(Null::T, &on_target, LeftOut::Nobody));
    }
    let families: Vec<usize> = (0..targets).map(|t| target_members.family(t)).collect();
    let is_member = vec![false; targets * units.len()];
    let judged = Judged {
        families: &families,
        units: &units,
        is_member: &is_member,
        seed,
    };
    let kept = |wanted: Option<bool>| -> Vec<usize> {
        (0..units.len())
            .filter(|&k| wanted.is_none_or(|w| held[..vulnerable].contains(&units[k]) == w))
            .collect()
    };
    say("targets without the records: all");
    let all = judged.figures(&grid, Some(&direct), &kept(None));
    say("the most vulnerable");
    let of_vulnerable = judged.figures(&grid, Some(&direct), &kept(Some(true)));
    say("at random");
    let at_random = judged.figures(&grid, Some(&direct), &kept(Some(false)));

    let complements: Vec<Option<usize>> = testing
        .clone()
        .map(|m| {
            references
                .membership
                .complement(m)
                .map(|c| c - testing.start)
        })
        .collect();
    let (each_other, is_member) = on_each_other(&subjects, &complements, &BUDGETS)?;
    let families: Vec<usize> = testing.map(|m| references.membership.family(m)).collect();
    let judged = Judged {
        families: &families,
        units: &units,
        is_member: &is_member,
        seed,
    };
    say("models that test, in the target's place");
    let leave_one_out = judged.figures(&each_other, None, &kept(None));
    Ok(json!({
        "seed": seed,
        "held_out": held.len(),
        "vulnerable": vulnerable,
        "with_queries": units.len(),
        "reference_models": references.membership.models(),
        "testing_models": parts.testing.len(),
        "all": all,
        "most_vulnerable": of_vulnerable,
        "at_random": at_random,
        "leave_one_out": leave_one_out,
    }))
}
