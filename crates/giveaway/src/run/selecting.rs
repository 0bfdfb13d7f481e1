//! The selections of an audit: each rule, by each half of the reference models.

use super::array_file::read_outputs;
use super::directory::RunDirectory;
use super::pool::Pool;
use super::progress::Progress;
use crate::error::Result;
use crate::select::neighbours::{self, Features, Neighbour, NeighbourCount, Neighbours};
use crate::select::{Amount, Rule, Selection, loss_vulnerability, neighbour_vulnerability, take};
use crate::signals::Signals;

/// Bytes of feature vectors for neighbours that are held in memory; more go through a file.
const FEATURE_MEMORY: usize = 1 << 30;

/// Multiplications up to which neighbours are counted without being asked for.
const NEIGHBOUR_BUDGET: f64 = 1e12;

/// Share that a rule selects where the amount asked for is another rule's.
const USUAL_SHARE: f64 = 0.01;

/// Units of the verdict's selection whose nearest neighbours are named, at most.
const NAMED_UNITS: usize = 1000;

/// Neighbours that are named of each.
const NAMED_NEIGHBOURS: usize = 5;

/// Units with the reference units nearest to each.
pub(super) type NearestOfUnits = Vec<(u32, Vec<Neighbour>)>;

/// What was selected.
pub(super) struct Selections {
    /// The rule of the verdicts.
    pub(super) rule: Rule,
    /// Of the audited units, by the first half of the models.
    pub(super) for_target: Vec<Selection>,
    /// Of the units that judge the test, by each half.
    pub(super) for_evaluation: Vec<(Rule, [Vec<u32>; 2])>,
    /// Distances and counts of the audited units, where neighbours were looked for.
    pub(super) neighbours: Option<(Neighbours, Vec<NeighbourCount>)>,
    /// The most exposed units of the verdict's selection, with the reference units nearest to
    /// each, where they were looked for.
    pub(super) nearest: Option<NearestOfUnits>,
    /// α of the selection by neighbours.
    pub(super) alpha: Option<f64>,
    /// What the user should know.
    pub(super) notes: Vec<String>,
}

/// Neighbours as each half of the models sees them.
struct Searched {
    /// Of the units that judge the test, by half.
    eligible: [Neighbours; 2],
    /// Of the audited units, by the first half.
    audited: Neighbours,
    /// The first half's feature vectors, for counting at an α.
    features: Features,
}

/// Makes every selection that can be made. `p_values` gives those of units as the verdict has
/// them.
pub(super) fn select(
    run: &RunDirectory,
    pool: &Pool,
    signals: &Signals,
    p_values: impl Fn(&[u32]) -> Vec<f64>,
    progress: &dyn Progress,
) -> Result<Selections> {
    let membership = &pool.membership;
    let halves = membership.halves();
    let test = &pool.config.test;
    let separate = pool.config.data.reference.is_some();
    let rule = test.select.unwrap_or(if separate {
        Rule::OutLoss
    } else {
        Rule::Influence
    });
    let mut selections = Selections {
        rule,
        for_target: Vec::new(),
        for_evaluation: Vec::new(),
        neighbours: None,
        nearest: None,
        alpha: None,
        notes: Vec::new(),
    };
    let width = halves[0].len() * pool.dataset.schema.classes.len();
    let cost = pool.units.len() as f64 * pool.eligible.len() as f64 * width as f64;
    let with_neighbours = rule == Rule::Neighbours || cost <= NEIGHBOUR_BUDGET;
    let searched = if with_neighbours {
        let passes = 3 * pool.eligible.len() + usize::from(separate) * 2 * pool.audited.len();
        progress.begin("measuring distances to neighbours", passes as u64);
        Some(search(run, pool, progress)?)
    } else {
        selections.notes.push(not_counted(pool));
        None
    };
    let vulnerability = |rule: Rule,
                         candidates: &[u32],
                         half: usize,
                         found: Option<&Neighbours>| match (rule, found) {
        (Rule::Neighbours, Some(found)) => Ok(neighbour_vulnerability(found)),
        _ => loss_vulnerability(rule, signals, membership, candidates, halves[half].clone()),
    };
    for other in Rule::EVERY {
        if other == Rule::Neighbours && !with_neighbours {
            continue;
        }
        let amount = match test.amount {
            Amount::Alpha(_) if other != Rule::Neighbours && other != rule => {
                Amount::Share(USUAL_SHARE)
            }
            amount => amount,
        };
        let made = vulnerability(
            other,
            &pool.audited,
            0,
            searched.as_ref().map(|s| &s.audited),
        )
        .and_then(|v| take(other, v, &pool.audited, amount))
        .and_then(|for_target| {
            let by_half = |half: usize| -> Result<Vec<u32>> {
                let found = searched.as_ref().map(|s| &s.eligible[half]);
                let v = vulnerability(other, &pool.eligible, half, found)?;
                Ok(take(other, v, &pool.eligible, amount)?.selected)
            };
            Ok((for_target, [by_half(0)?, by_half(1)?]))
        });
        let (for_target, for_evaluation) = match made {
            Ok(made) => made,
            // What was not asked for may be impossible, such as influence without IN models.
            Err(error) if other != rule => {
                selections
                    .notes
                    .push(format!("no selection by {}: {error}", other.name()));
                continue;
            }
            Err(error) => return Err(error),
        };
        if other == Rule::Neighbours {
            selections.alpha = Some(alpha_of(&for_target, &pool.audited, amount));
        }
        selections.for_evaluation.push((other, for_evaluation));
        selections.for_target.push(for_target);
    }
    selections.nearest = nearest(run, pool, &selections, p_values, searched.as_ref())?;
    if let (Some(searched), Some(alpha)) = (searched, selections.alpha) {
        let counts = neighbours::count(
            &searched.features,
            &pool.audited,
            &pool.eligible,
            membership.training_units(0).len(),
            alpha as f32,
            |n| progress.advance(n),
        )?;
        selections.neighbours = Some((searched.audited, counts));
    }
    if with_neighbours {
        progress.end();
    }
    let empty = selections
        .for_target
        .iter()
        .filter(|s| s.selected.is_empty());
    selections.notes.extend(empty.map(took_nobody));
    Ok(selections)
}

/// The nearest neighbours of the most exposed selected units. The feature vectors are those of
/// the search, where one was made; else they are gathered if they fit in memory.
fn nearest(
    run: &RunDirectory,
    pool: &Pool,
    selections: &Selections,
    p_values: impl Fn(&[u32]) -> Vec<f64>,
    searched: Option<&Searched>,
) -> Result<Option<NearestOfUnits>> {
    let Some(selection) = selections
        .for_target
        .iter()
        .find(|s| s.rule == selections.rule)
    else {
        return Ok(None);
    };
    let p = p_values(&selection.selected);
    let mut order: Vec<usize> = (0..p.len()).collect();
    // Those that could not be tested, which are NaN, come last.
    order.sort_by(|&a, &b| p[a].abs().total_cmp(&p[b].abs()).then(a.cmp(&b)));
    order.truncate(NAMED_UNITS);
    let units: Vec<u32> = order.into_iter().map(|i| selection.selected[i]).collect();
    let gathered;
    let features = if let Some(searched) = searched {
        &searched.features
    } else {
        let width = pool.membership.halves()[0].len() * pool.dataset.schema.classes.len();
        let values = pool.units.len() as f64 * width as f64;
        if 4.0 * values > FEATURE_MEMORY as f64 || values * units.len() as f64 > NEIGHBOUR_BUDGET {
            return Ok(None);
        }
        gathered = gather(run, pool, 0)?;
        &gathered
    };
    let found = neighbours::nearest(features, &units, &pool.eligible, NAMED_NEIGHBOURS)?;
    Ok(Some(units.into_iter().zip(found).collect()))
}

/// The feature vectors of all units as one half of the models gives them.
fn gather(run: &RunDirectory, pool: &Pool, half: usize) -> Result<Features> {
    let classes = pool.dataset.schema.classes.len();
    Features::gather(
        &pool.units,
        classes,
        pool.membership.halves()[half].clone(),
        FEATURE_MEMORY,
        run.path(),
        |model| read_outputs(&run.signal_file(model), pool.dataset.len(), classes),
    )
}

fn took_nobody(selection: &Selection) -> String {
    format!(
        "selection by {} took nobody: too many records tie at the cut, or none is that far from the others",
        selection.rule.name()
    )
}

fn not_counted(pool: &Pool) -> String {
    format!(
        "neighbours were not counted, because {} units against {} would take long; ask for them with --select neighbours",
        pool.units.len(),
        pool.eligible.len()
    )
}

/// The α that was given, or the largest that selects all that were selected.
fn alpha_of(selection: &Selection, audited: &[u32], amount: Amount) -> f64 {
    match amount {
        Amount::Alpha(alpha) => alpha,
        _ => selection
            .selected
            .last()
            .and_then(|last| audited.binary_search(last).ok())
            .map_or(0.0, |position| selection.vulnerability[position]),
    }
}

fn search(run: &RunDirectory, pool: &Pool, progress: &dyn Progress) -> Result<Searched> {
    let training_units = pool.membership.training_units(0).len();
    let search = |features: &Features, candidates: &[u32]| {
        neighbours::search(features, candidates, &pool.eligible, training_units, |n| {
            progress.advance(n);
        })
    };
    // One half after the other, so that memory holds the feature vectors of one.
    let second = search(&gather(run, pool, 1)?, &pool.eligible)?;
    let features = gather(run, pool, 0)?;
    let first = search(&features, &pool.eligible)?;
    let audited = if pool.audited == pool.eligible {
        first.clone()
    } else {
        search(&features, &pool.audited)?
    };
    Ok(Searched {
        eligible: [first, second],
        audited,
        features,
    })
}
