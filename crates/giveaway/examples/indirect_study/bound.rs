//! What any combination of a record's queries could achieve, from many true IN and OUT models
//! that took no part in building the queries.
//!
//! Conditions: these queries, this recipe of training, and statistics of the queries that are
//! normal with one covariance (linear) or two (quadratic). The most powerful test at a level of
//! 1 % then has the power `Φ(Δ − z)`, `z` the normal quantile of .99, with Mahalanobis's
//! `Δ² = δᵀ Σ⁻¹ δ`. Fitted and read off on the same models it is biased upwards: a bound. Fitted
//! on nine tenths of the pairs of models and read off on the others it is what somebody could
//! have who had trained as many models: a figure that is reached.
//!
//! All prefixes of the queries are done at once: factors and solutions of leading blocks are the
//! leading parts of those of the whole.

use giveaway::Result;
use giveaway::attack::indirect::Combination;
use giveaway::channel::Channel;
use giveaway::enhance::effect::scaled_logits;
use giveaway::membership::Membership;
use giveaway::run::pool::Pool;
use giveaway::select::{Amount, Rule, loss_vulnerability, take};
use giveaway_stats::distribution::{normal_isf, normal_sf};
use giveaway_stats::random::derive_seed;
use ndarray::{Array1, Array2, Axis};
use serde_json::{Value, json};

use crate::figures::{mean_with_interval, say};
use crate::linear::{Factor, moments, shrunk, up_to};
use crate::models::{Models, Parts, side_by_side, signals, train};
use crate::options::Options;
use crate::pool::{BUDGETS, halves, prepare, references, subjects, trainer};
use crate::subjects::{Grid, References, Subject, answers, on_targets};

const LEVEL: f64 = 0.01;
/// Parts of the pairs, each of which is read off once.
const FOLDS: usize = 10;
/// How far correlations are shrunk before a fit is read off on other models.
const SHRINKAGES: [f64; 5] = [0.0, 0.05, 0.2, 0.5, 1.0];

/// Power at the level of one statistic.
#[derive(Clone, Copy, Debug, Default)]
struct Power {
    /// As if it were normal with the two means and standard deviations.
    normal: f64,
    /// Share of IN models above all but 1 % of the OUT models.
    counted: f64,
}

impl Power {
    fn of(inside: &[f64], outside: &[f64]) -> Self {
        let of = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
            (mean, (squares / (values.len() as f64 - 1.0)).sqrt())
        };
        let ((mean_in, sd_in), (mean_out, sd_out)) = (of(inside), of(outside));
        let cut = mean_out + normal_isf(LEVEL) * sd_out;
        let mut sorted = outside.to_vec();
        sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        let allowed = (LEVEL * outside.len() as f64) as usize;
        let threshold = sorted[allowed];
        Self {
            normal: normal_sf((cut - mean_in) / sd_in),
            counted: inside.iter().filter(|&&x| x > threshold).count() as f64 / inside.len() as f64,
        }
    }
}

/// Of one record, by number of queries.
struct Bounds {
    /// `Φ(Δ − z)`, fitted and read off on the same models.
    in_sample: Vec<f64>,
    /// The same from Δ² with its bias taken off.
    unbiased: Vec<f64>,
    /// Shrinkages × budgets: fitted on other models than those on which they are read off.
    linear: Vec<Vec<Power>>,
    quadratic: Vec<Vec<Power>>,
    /// The record itself.
    direct: Power,
}

/// The true models' scaled logits of one record's queries, models × queries, with the record's
/// own as the last column; and which of the models were trained on it.
struct Truth {
    logits: Array2<f64>,
    inside: Vec<bool>,
}

impl Truth {
    fn rows(&self, wanted: bool, is_kept: impl Fn(usize) -> bool) -> Array2<f64> {
        let rows: Vec<usize> = (0..self.inside.len())
            .filter(|&m| self.inside[m] == wanted && is_kept(m))
            .collect();
        self.logits.select(Axis(0), &rows)
    }

    fn bounds(&self) -> Bounds {
        let queries = self.logits.ncols() - 1;
        let everything = |wanted| self.rows(wanted, |_| true);
        let (inside, outside) = (everything(true), everything(false));
        let own = |of: &Array2<f64>| of.column(queries).to_vec();
        let direct = Power::of(&own(&inside), &own(&outside));
        let part = |of: &Array2<f64>| of.slice_axis(Axis(1), (..queries).into()).to_owned();
        let (inside, outside) = (part(&inside), part(&outside));
        let (n, m) = (inside.nrows() as f64, outside.nrows() as f64);
        let squared = distance_squared(&inside, &outside);
        let z = normal_isf(LEVEL);
        let power = |squared: f64| normal_sf(z - squared.max(0.0).sqrt());
        let unbiased = squared.iter().zip(BUDGETS).map(|(&squared, budget)| {
            let p = budget.min(queries) as f64;
            let shrink = (n + m - p - 3.0) / (n + m - 2.0);
            power(shrink * squared - p * (n + m) / (n * m))
        });
        let [linear, quadratic] = self.by_folds(queries);
        Bounds {
            in_sample: squared.iter().map(|&s| power(s)).collect(),
            unbiased: unbiased.collect(),
            linear,
            quadratic,
            direct,
        }
    }

    /// Linear and quadratic, each shrinkages × budgets.
    fn by_folds(&self, queries: usize) -> [Vec<Vec<Power>>; 2] {
        // statistic × shrinkage × budget × (IN, OUT)
        let mut scores =
            vec![vec![vec![[Vec::new(), Vec::new()]; BUDGETS.len()]; SHRINKAGES.len()]; 2];
        for fold in 0..FOLDS {
            // Complements stay together.
            let is_read = |m: usize| m / 2 % FOLDS == fold;
            let part = |wanted, read: bool| {
                self.rows(wanted, |m| is_read(m) == read)
                    .slice_axis(Axis(1), (..queries).into())
                    .to_owned()
            };
            let (mean_in, covariance_in) = moments(&part(true, false));
            let (mean_out, covariance_out) = moments(&part(false, false));
            let pooled = (&covariance_in + &covariance_out) / 2.0;
            let difference = &mean_in - &mean_out;
            for (s, &shrinkage) in SHRINKAGES.iter().enumerate() {
                let factors = [&pooled, &covariance_in, &covariance_out]
                    .map(|covariance| Factor::of(&shrunk(covariance, shrinkage)));
                let direction = factors[0].forward(&difference);
                let lengths = up_to(direction.iter().map(|d| d * d), &BUDGETS);
                let [logs_in, logs_out] =
                    [1, 2].map(|f| up_to(factors[f].log_diagonal().into_iter(), &BUDGETS));
                for (side, wanted) in [true, false].into_iter().enumerate() {
                    for row in part(wanted, true).rows() {
                        let from_out = factors[0].forward(&(&row - &mean_out));
                        let products = direction.iter().zip(&from_out).map(|(a, b)| a * b);
                        let linear = up_to(products, &BUDGETS);
                        let squares = |factor: &Factor, mean: &Array1<f64>| {
                            let away = factor.forward(&(&row - mean));
                            up_to(away.iter().map(|x| x * x), &BUDGETS)
                        };
                        let of_in = squares(&factors[1], &mean_in);
                        let of_out = squares(&factors[2], &mean_out);
                        for b in 0..BUDGETS.len() {
                            let length = lengths[b].sqrt().max(f64::MIN_POSITIVE);
                            scores[0][s][b][side].push(linear[b] / length);
                            let ratio = (of_out[b] - of_in[b]) / 2.0 + logs_out[b] - logs_in[b];
                            scores[1][s][b][side].push(ratio);
                        }
                    }
                }
            }
        }
        let powers = |of: &Vec<Vec<[Vec<f64>; 2]>>| {
            of.iter()
                .map(|budgets| budgets.iter().map(|[i, o]| Power::of(i, o)).collect())
                .collect()
        };
        [powers(&scores[0]), powers(&scores[1])]
    }
}

/// Mahalanobis's squared distance of the two kinds, by number of queries.
fn distance_squared(inside: &Array2<f64>, outside: &Array2<f64>) -> Vec<f64> {
    let (mean_in, covariance_in) = moments(inside);
    let (mean_out, covariance_out) = moments(outside);
    let (n, m) = (inside.nrows() as f64 - 1.0, outside.nrows() as f64 - 1.0);
    let pooled = (covariance_in * n + covariance_out * m) / (n + m);
    let away = Factor::of(&pooled).forward(&(mean_in - mean_out));
    up_to(away.iter().map(|x| x * x), &BUDGETS)
}

/// What the true models answer.
fn truth(
    subject: &Subject,
    unit: u32,
    own: (&[f32], u32),
    models: &Models<'_>,
    membership: &Membership,
) -> Result<Truth> {
    let queries = subject.queries.len();
    let mut logits = Array2::zeros((models.len(), queries + 1));
    let (features, label) = own;
    let record = Array2::from_shape_fn((1, features.len()), |(_, f)| features[f]);
    for (mut row, model) in logits.rows_mut().into_iter().zip(models) {
        let asked = answers(&**model, &subject.queries, &subject.labels)?;
        let itself = scaled_logits(Channel::default(), &model.answer(record.view())?, &[label]);
        for (cell, value) in row.iter_mut().zip(asked.into_iter().chain(itself)) {
            *cell = value;
        }
    }
    Ok(Truth {
        logits,
        inside: (0..models.len())
            .map(|model| membership.is_in(model, unit as usize))
            .collect(),
    })
}

/// The units with the largest influence by the models that build and confirm.
fn most_vulnerable(wanted: usize, pool: &Pool, references: &References<'_>) -> Result<Vec<u32>> {
    let membership = &references.membership;
    let of_references = signals(&references.models, membership, &pool.units, &pool.dataset)?;
    let vulnerability = loss_vulnerability(
        Rule::Influence,
        &of_references,
        membership,
        &pool.audited,
        membership.halves()[0].clone(),
    )?;
    let amount = Amount::Count(wanted);
    let mut selected = take(Rule::Influence, vulnerability, &pool.audited, amount)?.selected;
    selected.truncate(wanted);
    Ok(selected)
}

/// What is known of the records when it comes to the figures.
struct Found<'a> {
    units: &'a [u32],
    bounds: &'a [Bounds],
    membership: &'a Membership,
    grid: &'a Grid,
    seed: u64,
}

impl Found<'_> {
    /// The mean of a figure over records.
    fn mean(&self, of: &dyn Fn(usize) -> f64) -> Value {
        let values: Vec<f64> = (0..self.units.len()).map(of).collect();
        mean_with_interval(&values, self.seed)
    }

    /// P-values of a record on its IN or its OUT models.
    fn p_values(&self, p: &[f64], record: usize, wanted: bool) -> Vec<f64> {
        (0..self.membership.models())
            .filter(|&m| self.membership.is_in(m, self.units[record] as usize) == wanted)
            .map(|m| p[m * self.units.len() + record])
            .collect()
    }

    /// What a combination achieves.
    fn achieved(&self, combination: Combination, budget: usize) -> Value {
        let p = self.grid.of(combination, budget);
        let share = |record: usize, wanted: bool| {
            let of = self.p_values(p, record, wanted);
            of.iter().filter(|&&p| p < LEVEL).count() as f64 / of.len() as f64
        };
        // With the threshold that the true OUT models give.
        let calibrated = |record: usize| {
            let of = |wanted| -> Vec<f64> {
                let p = self.p_values(p, record, wanted);
                p.into_iter().map(|p| -p).collect()
            };
            Power::of(&of(true), &of(false)).counted
        };
        json!({
            "test": combination.name(),
            "recall": self.mean(&|r| share(r, true)),
            "false_positive_rate": self.mean(&|r| share(r, false)),
            "recall_at_true_level": self.mean(&calibrated),
        })
    }

    /// Everything with so many queries.
    fn with(&self, b: usize, budget: usize) -> Value {
        let by_shrinkage = |of: &dyn Fn(&Bounds, usize) -> Power| -> Vec<Value> {
            let each = SHRINKAGES.iter().enumerate().map(|(s, &shrinkage)| {
                json!({
                    "shrinkage": shrinkage,
                    "normal": self.mean(&|r| of(&self.bounds[r], s).normal),
                    "counted": self.mean(&|r| of(&self.bounds[r], s).counted),
                })
            });
            each.collect()
        };
        json!({
            "queries": budget,
            "in_sample": self.mean(&|r| self.bounds[r].in_sample[b]),
            "unbiased": self.mean(&|r| self.bounds[r].unbiased[b]),
            "linear_on_other_models": by_shrinkage(&|bounds, s| bounds.linear[s][b]),
            "quadratic_on_other_models": by_shrinkage(&|bounds, s| bounds.quadratic[s][b]),
            "achieved": Combination::EVERY.map(|c| self.achieved(c, budget)),
        })
    }
}

pub(crate) fn experiment(options: &Options) -> Result<Value> {
    let pool = prepare(options)?;
    let trainer = trainer(&pool)?;
    let seed = pool.config.seed;
    let references = references(options, &pool, &trainer)?;
    let parts = Parts::of_audit(&references.membership);
    let selected = most_vulnerable(options.records.unwrap_or(50), &pool, &references)?;
    let (units, subjects) = subjects(options, &pool, &references, &parts, &selected)?;

    let models = 2 * options.pairs;
    say(&format!("training {models} true models"));
    let membership = halves(&pool, models, &pool.eligible, "true models")?;
    let seed_of_models = derive_seed(seed, "true models", 1);
    let true_models = train(&trainer, &pool.units, &membership, seed_of_models)?;
    say("bounding");
    let bounds: Vec<Bounds> = side_by_side(subjects.len(), |number| {
        let unit = units[number];
        let record = pool.units.records(unit as usize)[0] as usize;
        let features = pool.dataset.features.row(record).to_vec();
        let own = (features.as_slice(), pool.dataset.labels[record]);
        Ok(truth(&subjects[number], unit, own, &true_models, &membership)?.bounds())
    })?;
    say("testing the true models");
    let grid = on_targets(&subjects, &true_models, &BUDGETS)?;

    let found = Found {
        units: &units,
        bounds: &bounds,
        membership: &membership,
        grid: &grid,
        seed,
    };
    Ok(json!({
        "seed": seed,
        "level": LEVEL,
        "true_models": models,
        "records": selected.len(),
        "with_queries": units.len(),
        "distance": options.distance.unwrap_or(1.0),
        "mean_queries": subjects.iter().map(|s| s.queries.len()).sum::<usize>() as f64
            / subjects.len().max(1) as f64,
        "direct": {
            "normal": found.mean(&|r| bounds[r].direct.normal),
            "counted": found.mean(&|r| bounds[r].direct.counted),
        },
        "budgets": BUDGETS.iter().enumerate().map(|(b, &budget)| found.with(b, budget))
            .collect::<Vec<Value>>(),
        "by_record": (0..units.len()).map(|r| json!({
            "unit": units[r],
            "queries": subjects[r].queries.len(),
            "direct": bounds[r].direct.normal,
            "in_sample": bounds[r].in_sample,
            "unbiased": bounds[r].unbiased,
        })).collect::<Vec<Value>>(),
    }))
}
