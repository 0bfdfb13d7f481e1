//! Records under attack: their queries, and their p-values on targets.

use giveaway::Result;
use giveaway::attack::direct::Null;
use giveaway::attack::indirect::{Combination, RecordQueries, Settings, Tail, test};
use giveaway::channel::Channel;
use giveaway::enhance::effect::{matrix, scaled_logits};
use giveaway::enhance::space::{Query, QuerySpace};
use giveaway::enhance::{Enhanced, Search, enhance};
use giveaway::membership::Membership;
use giveaway::trainer::Model;
use giveaway::units::Units;
use ndarray::Array2;

use crate::models::{Models, Parts, contrast, side_by_side};

/// Reference models and who was trained on what.
pub(crate) struct References<'a> {
    pub(crate) models: Models<'a>,
    pub(crate) membership: Membership,
    pub(crate) units: &'a Units,
}

/// A unit with its queries, and what the models that test answer.
pub(crate) struct Subject {
    pub(crate) enhanced: Enhanced,
    pub(crate) queries: Vec<Query>,
    pub(crate) labels: Vec<u32>,
    tails: Vec<Tail>,
    /// Scaled logits of the models that test, models × queries.
    testing: Array2<f64>,
    /// Which of them were trained on the unit.
    pub(crate) inside: Vec<bool>,
}

/// Combined p-values targets × subjects, of each combination and each number of queries.
pub(crate) struct Grid {
    pub(crate) budgets: Vec<usize>,
    /// The combinations of [`Combination::EVERY`], one budget after another.
    pub(crate) p: Vec<Vec<f64>>,
}

impl Grid {
    /// Targets × subjects, one target after another.
    pub(crate) fn of(&self, combination: Combination, budget: usize) -> &[f64] {
        let place = |all: &[usize]| all.iter().position(|&b| b == budget);
        let first = Combination::EVERY.iter().position(|&c| c == combination);
        match (first, place(&self.budgets)) {
            (Some(c), Some(b)) => &self.p[c * self.budgets.len() + b],
            _ => &[],
        }
    }
}

/// Looks for the queries of a unit; nothing where none was found.
pub(crate) fn subject(
    space: &QuerySpace<'_>,
    references: &References<'_>,
    parts: &Parts,
    unit: u32,
    search: &Search,
    seed: u64,
) -> Result<Option<Subject>> {
    let References {
        models,
        membership,
        units,
    } = references;
    let of = |among: &[usize]| contrast(models, membership, among, unit as usize);
    let enhanced = enhance(
        space,
        units.records(unit as usize),
        &of(&parts.building),
        &of(&parts.confirming),
        search,
        seed,
    )?;
    if enhanced.queries.is_empty() {
        return Ok(None);
    }
    let queries: Vec<Query> = enhanced.queries.iter().map(|k| k.query.clone()).collect();
    let labels = space.labels(&queries);
    let rows: Vec<Vec<f64>> = parts
        .testing
        .iter()
        .map(|&model| answers(&*models[model], &queries, &labels))
        .collect::<Result<_>>()?;
    let testing = Array2::from_shape_fn((rows.len(), queries.len()), |(m, q)| rows[m][q]);
    let tail = |upper| if upper { Tail::Upper } else { Tail::Lower };
    Ok(Some(Subject {
        tails: enhanced.queries.iter().map(|k| tail(k.upper)).collect(),
        inside: parts
            .testing
            .iter()
            .map(|&model| membership.is_in(model, unit as usize))
            .collect(),
        queries,
        labels,
        testing,
        enhanced,
    }))
}

/// A model's scaled logits of queries.
pub(crate) fn answers(model: &dyn Model, queries: &[Query], labels: &[u32]) -> Result<Vec<f64>> {
    let logits = model.answer(matrix(queries)?.view())?;
    Ok(scaled_logits(Channel::default(), &logits, labels))
}

/// The tests as rounds: the discriminant weighs all queries of a budget together, so each
/// budget has its own weights and its own round.
pub(crate) fn rounds(budgets: &[usize]) -> Vec<Settings> {
    let settings = |combinations: &[Combination], budgets: &[usize]| Settings {
        null: Null::T,
        combinations: combinations.to_vec(),
        budgets: budgets.to_vec(),
    };
    let plain = [
        Combination::Kost,
        Combination::Fisher,
        Combination::Empirical,
    ];
    let mut rounds = vec![settings(&plain, budgets)];
    let weighed = |&budget: &usize| settings(&[Combination::Discriminant], &[budget]);
    rounds.extend(budgets.iter().map(weighed));
    rounds
}

impl Subject {
    /// For the tests, with weights of the discriminant.
    pub(crate) fn record<'s>(&'s self, weights: &'s [f64]) -> RecordQueries<'s, f64> {
        RecordQueries {
            logits: self.testing.view(),
            inside: &self.inside,
            tails: &self.tails,
            weights: Some(weights),
            cut: None,
        }
    }

    /// Combined p-values on one target, combinations × budgets.
    pub(crate) fn p_values(&self, target: &[f64], budgets: &[usize]) -> Result<Vec<f64>> {
        let mut all = Vec::new();
        for settings in rounds(budgets) {
            let weights = self.enhanced.oriented_weights(settings.budgets[0]);
            let tested = test(&self.record(&weights), target, &settings)?;
            for c in 0..settings.combinations.len() {
                all.extend((0..settings.budgets.len()).map(|b| tested.combined(c, b)));
            }
        }
        Ok(all)
    }
}

/// Tests all subjects on all targets.
pub(crate) fn on_targets(
    subjects: &[Subject],
    targets: &[Box<dyn Model + '_>],
    budgets: &[usize],
) -> Result<Grid> {
    let columns: Vec<Vec<Vec<f64>>> = side_by_side(subjects.len(), |number| {
        let subject = &subjects[number];
        targets
            .iter()
            .map(|target| {
                let asked = answers(&**target, &subject.queries, &subject.labels)?;
                subject.p_values(&asked, budgets)
            })
            .collect()
    })?;
    let cells = Combination::EVERY.len() * budgets.len();
    let of = |cell: usize| {
        (0..targets.len())
            .flat_map(|target| columns.iter().map(move |column| (column, target)))
            .map(|(column, target)| column[target][cell])
            .collect()
    };
    Ok(Grid {
        budgets: budgets.to_vec(),
        p: (0..cells).map(of).collect(),
    })
}
