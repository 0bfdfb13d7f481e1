//! `gmia-indirect`: indirect inference on signals of queries that were made elsewhere.
//!
//! The axis that is the records for other attacks is the queries here; `--query-record` says
//! which record each is for, and the result has a row for each record.

use std::fmt::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

use giveaway_stats::distribution::student_t_sf;
use giveaway_stats::interval::clopper_pearson;
use ndarray::Array2;
use rayon::prelude::*;
use serde::Serialize;

use super::calibration::complements;
use super::design::refuse_target;
use super::metrics::{self, MethodMetrics, Named};
use super::npy::{Npy, zeroed};
use super::opened::{self, Side};
use super::summary::shown;
use super::written::Destination;
use super::{FORMAT_VERSION, Intervals, Request, check_numbers, rules_of, shapes, signals, truths};
use crate::attack::direct::Null;
use crate::attack::indirect::{Combination, RecordQueries, Settings, Tail, Tested, test};
use crate::dataset::array_file::Kind;
use crate::error::{Error, Result};
use crate::evaluate::{CONFIDENCE, Estimate, score};
use crate::report::records::Values;

/// The combinations that are computed; a discriminant would need weights.
const COMBINATIONS: [Combination; 3] = [
    Combination::Kost,
    Combination::Fisher,
    Combination::Empirical,
];
/// A query's correlation with membership is clear if its two-sided p-value is below this.
const CLEAR: f64 = 0.05;
/// Cut-offs of the p-value at which rates are given.
const CUTOFFS: [f64; 4] = [0.001, 0.01, 0.05, 0.1];
/// Records that are shown where nothing else is known.
const TOP: usize = 10;

/// What is to be attacked by queries.
#[derive(Clone, Debug)]
pub struct QueryRequest {
    /// The arrays, whose axis of records is the queries.
    pub arrays: Request,
    /// Which record each query is for: numbers from 0, rising, without gaps.
    pub query_record: PathBuf,
    /// +1 for each query on which models trained on its record have the larger scaled logit,
    /// -1 for the others. Without it half of the model families finds the tails.
    pub query_tail: Option<PathBuf>,
    /// The combination that scores.
    pub combination: Combination,
}

/// What the arrays were, and how they were tested.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct About {
    /// Version of the document.
    pub format_version: u32,
    /// The giveaway that made it.
    pub giveaway_version: &'static str,
    /// `gmia-indirect`.
    pub method: &'static str,
    /// What the numbers of the arrays are.
    pub signal: &'static str,
    /// Reference models.
    pub models: usize,
    /// Of those, the ones that test.
    pub testing_models: usize,
    /// Records.
    pub records: usize,
    /// Queries.
    pub queries: usize,
    /// Queries dropped because membership does not clearly show in them.
    pub dropped_queries: usize,
    /// Where the tails come from.
    pub tails: &'static str,
    /// The null of each query.
    pub null: Null,
    /// The combination that scores.
    pub combination: Combination,
    /// What probabilities were clamped to, where that was said.
    pub clamp: Option<f64>,
    /// Seed of the bootstrap.
    pub seed: u64,
}

/// Rates of calling those records members whose p-value is at most a cut-off.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AtPValue {
    /// The cut-off.
    pub cutoff: f64,
    /// Share of tested members.
    pub true_positive_rate: Estimate,
    /// Share of tested non-members.
    pub false_positive_rate: Estimate,
}

/// `metrics.json` of `gmia-indirect`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IndirectMetrics {
    /// What was tested.
    #[serde(flatten)]
    pub about: About,
    /// Members of the target among the records.
    pub members: usize,
    /// Non-members.
    pub non_members: usize,
    /// How intervals of the ranking were made; those of `at_p_values` are Clopper and
    /// Pearson's.
    pub intervals: Intervals,
    /// Figures of the ranking, by combination.
    pub combinations: Named<MethodMetrics>,
    /// Rates by cut-off of p, by combination.
    pub at_p_values: Named<Vec<AtPValue>>,
}

/// A record's row.
struct Row {
    tested: Option<Tested>,
    queries: usize,
}

impl Row {
    fn p(&self, combination: usize) -> f64 {
        let tested = self.tested.as_ref();
        tested.map_or(f64::NAN, |tested| tested.combined(combination, 0))
    }

    fn smallest(&self) -> f64 {
        let tested = self.tested.as_ref();
        tested.map_or(f64::NAN, |tested| {
            // NaN, of too few models, is never smaller
            tested.p_values.iter().copied().fold(f64::NAN, f64::min)
        })
    }
}

/// What came out.
pub struct IndirectOutcome {
    /// What was tested.
    pub about: About,
    /// Figures, where the target's training records are known.
    pub metrics: Option<IndirectMetrics>,
    /// What the user should know beside the numbers.
    pub notes: Vec<String>,
    rows: Vec<Row>,
    models_out: Vec<usize>,
}

/// Attacks records by their queries.
///
/// # Errors
/// If an array cannot be read or does not fit the others, or no record can be tested.
pub fn attack_by_queries(request: &QueryRequest) -> Result<IndirectOutcome> {
    let arrays = &request.arrays;
    let read = Arrays::read(request)?;
    let mut notes = read.notes.clone();
    let (building, testing) = match &read.tails {
        Some(_) => (Vec::new(), (0..read.models).collect()),
        None => halves(&read.inside, read.models)?,
    };
    let null = arrays.parameters.null;
    let rows = read.rows(&building, &testing, null)?;
    let models_out: Vec<usize> = read
        .inside
        .iter()
        .map(|inside| testing.iter().filter(|&&model| !inside[model]).count())
        .collect();
    let chosen = place_of(request.combination);
    let needed = request.combination.models_needed(null);
    look_at(&rows, &models_out, chosen, needed, &mut notes)?;
    let used: usize = rows.iter().map(|row| row.queries).sum();
    if used < read.queries {
        notes.push(format!(
            "{} of {} queries were dropped: membership does not clearly show in them (two-sided p of the correlation below {CLEAR}) on the {} models that find the tails",
            read.queries - used,
            read.queries,
            building.len()
        ));
    }
    let about = About {
        format_version: FORMAT_VERSION,
        giveaway_version: env!("CARGO_PKG_VERSION"),
        method: "gmia-indirect",
        signal: arrays.signal.name(),
        models: read.models,
        testing_models: testing.len(),
        records: rows.len(),
        queries: read.queries,
        dropped_queries: read.queries - used,
        tails: if read.tails.is_some() {
            "given"
        } else {
            "found on half of the models"
        },
        null,
        combination: request.combination,
        clamp: arrays.clamp,
        seed: arrays.seed,
    };
    let is_member = read.is_member.as_deref();
    let metrics = is_member.map(|is_member| measured(&about, &rows, is_member));
    Ok(IndirectOutcome {
        about,
        metrics,
        notes,
        rows,
        models_out,
    })
}

/// The arrays, read and found to fit each other.
struct Arrays {
    models: usize,
    queries: usize,
    /// Scaled logits, `[models × queries]`.
    references: Vec<f64>,
    target: Vec<f64>,
    /// The queries of each record.
    of_records: Vec<Range<usize>>,
    /// Membership of each record in every model.
    inside: Vec<Vec<bool>>,
    tails: Option<Vec<Tail>>,
    is_member: Option<Vec<bool>>,
    notes: Vec<String>,
}

impl Arrays {
    fn read(request: &QueryRequest) -> Result<Self> {
        let arrays = &request.arrays;
        check_numbers(arrays)?;
        not_for_queries(arrays)?;
        let mut without_membership = arrays.clone();
        without_membership.target_membership = None;
        let (files, _) = opened::audited(&without_membership)?;
        let layout = files.layout;
        if layout.queries > 1 {
            return Err(Error::input(format!(
                "there are {} augmentations of each query, and gmia-indirect takes one",
                layout.queries
            ))
            .at(files.signals.place())
            .hint("give each as a query of its own, or the first of them alone"));
        }
        let (models, queries) = (layout.models, layout.records);
        let of_records = queries_of_records(request, queries)?;
        let tails = request.query_tail.as_ref();
        let tails = tails.map(|path| given_tails(path, queries)).transpose()?;
        let is_member = arrays.target_membership.as_ref();
        let is_member = is_member
            .map(|path| target_membership(path, queries, &of_records))
            .transpose()?;
        let mut notes = Vec::new();
        let rules = rules_of(arrays, &[&files], &mut notes);
        let mut side: Side<f64> = opened::load(&files, &rules, (false, false))?;
        refuse_target(&files, &side)?;
        let inside = side.inside().unwrap_or_default();
        let inside = memberships(&inside, &of_records, files.membership.as_ref())?;
        let (references, target) = (&mut side.references.values, &mut side.target.values);
        if arrays.signal == super::Signal::Loss && arrays.clamp.is_none() {
            signals::raise_zero_losses(
                &mut [&mut *references],
                &mut [&mut *target],
                rules.precision,
            );
        }
        let kind = arrays.signal.scalar();
        for values in [references, target] {
            values
                .par_iter_mut()
                .for_each(|x| *x = kind.scaled_logit(*x));
        }
        Ok(Self {
            models,
            queries,
            references: side.references.values,
            target: side.target.values,
            of_records,
            inside,
            tails,
            is_member,
            notes,
        })
    }

    /// Tests each record; `building` are models that find the tails where none are given.
    fn rows(&self, building: &[usize], testing: &[usize], null: Null) -> Result<Vec<Row>> {
        let settings = Settings {
            null,
            combinations: COMBINATIONS.to_vec(),
            budgets: vec![usize::MAX],
        };
        let phi = |model: usize, query: usize| self.references[model * self.queries + query];
        let row = |of_record: &Range<usize>, inside: &[bool]| -> Result<Row> {
            let tail_of = |query: usize| match &self.tails {
                Some(tails) => Some(tails[query]),
                None => found_tail(building, inside, |model| phi(model, query)),
            };
            let kept: Vec<(usize, Tail)> = of_record
                .clone()
                .filter_map(|query| Some((query, tail_of(query)?)))
                .collect();
            if kept.is_empty() {
                return Ok(Row {
                    tested: None,
                    queries: 0,
                });
            }
            let logits = Array2::from_shape_fn((testing.len(), kept.len()), |(model, query)| {
                phi(testing[model], kept[query].0)
            });
            let inside: Vec<bool> = testing.iter().map(|&model| inside[model]).collect();
            let tails: Vec<Tail> = kept.iter().map(|&(_, tail)| tail).collect();
            let target: Vec<f64> = kept.iter().map(|&(q, _)| self.target[q]).collect();
            let record = RecordQueries {
                logits: logits.view(),
                inside: &inside,
                tails: &tails,
                weights: None,
                // numbers alone do not tell what an interface did to them
                cut: None,
            };
            Ok(Row {
                tested: Some(test(&record, &target, &settings)?),
                queries: kept.len(),
            })
        };
        let records = self.of_records.par_iter().zip(&self.inside);
        records
            .map(|(of_record, inside)| row(of_record, inside))
            .collect()
    }
}

/// The place of a combination among those computed.
fn place_of(combination: Combination) -> usize {
    let mut combinations = COMBINATIONS.iter();
    combinations
        .position(|&other| other == combination)
        .unwrap_or(0)
}

/// Options of other attacks.
fn not_for_queries(arrays: &Request) -> Result<()> {
    let given = [
        ("--population-signals", arrays.population.is_some()),
        ("--canaries", arrays.canaries.is_some()),
        ("--temperature", signals::is_tempered(arrays.temperature)),
    ];
    match given.iter().find(|option| option.1) {
        None => Ok(()),
        Some((option, _)) => Err(Error::usage("is for other attacks than gmia-indirect")
            .at(option)
            .hint("leave it out")),
    }
}

/// Opens an array with one whole number for each query.
fn of_queries(option: &'static str, path: &Path, queries: usize) -> Result<(Npy, Vec<f64>)> {
    let mut npy = Npy::open(option, path)?;
    shapes::one_axis(&mut npy)?;
    if npy.count() != queries {
        return Err(Error::input(format!(
            "there are {} elements, and {queries} queries",
            npy.count()
        ))
        .at(npy.place())
        .hint("give one for each query, in the order of the signals"));
    }
    if matches!(npy.kind(), Kind::Float(_)) {
        return Err(Error::input(format!(
            "the array is {}, where whole numbers are wanted",
            npy.type_name()
        ))
        .at(npy.place())
        .hint(format!("{}.astype(int) in numpy", npy.variable())));
    }
    let mut values: Vec<f64> = zeroed(queries).map_err(|error| error.at(npy.place()))?;
    npy.read_from(0, &mut values)?;
    Ok((npy, values))
}

/// The queries of each record.
fn queries_of_records(request: &QueryRequest, queries: usize) -> Result<Vec<Range<usize>>> {
    let (npy, records) = of_queries("--query-record", &request.query_record, queries)?;
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (query, &record) in records.iter().enumerate() {
        let refused = |what: String, hint: &str| {
            Err(Error::input(what)
                .at(format!("query {query}"))
                .at(npy.place())
                .hint(hint))
        };
        let next = ranges.len() as f64;
        if record < 0.0 {
            return refused(
                format!("the record is {record}"),
                "records are numbered from 0",
            );
        }
        if record + 1.0 < next {
            return refused(
                format!("the record is {record}, after one of record {}", next - 1.0),
                "sort the queries by record (numpy.argsort with kind='stable'), all arrays alike, and a record's best query first",
            );
        }
        if record > next {
            return refused(
                format!("the record is {record}, and record {next} has no query"),
                "number the records without gaps: numpy.unique(q, return_inverse=True)[1]",
            );
        }
        if record + 1.0 > next {
            ranges.push(query..query);
        }
        if let Some(last) = ranges.last_mut() {
            last.end = query + 1;
        }
    }
    Ok(ranges)
}

fn given_tails(path: &Path, queries: usize) -> Result<Vec<Tail>> {
    let (npy, signs) = of_queries("--query-tail", path, queries)?;
    let tail = |(query, &sign): (usize, &f64)| {
        match sign {
        1.0 => Ok(Tail::Upper),
        -1.0 => Ok(Tail::Lower),
        _ => Err(Error::input(format!("the tail is {sign}, neither 1 nor -1"))
            .at(format!("query {query}"))
            .at(npy.place())
            .hint("1 where models trained on the record have the larger scaled logit (the lower loss), -1 where the smaller; take it from other models than those that are given")),
    }
    };
    signs.iter().enumerate().map(tail).collect()
}

/// Whether the target was trained on each record, from an array by record or by query.
fn target_membership(
    path: &Path,
    queries: usize,
    queries_of: &[Range<usize>],
) -> Result<Vec<bool>> {
    let mut npy = Npy::open("--target-membership", path)?;
    shapes::one_axis(&mut npy)?;
    let records = queries_of.len();
    let what = if npy.count() == records {
        "record"
    } else {
        "query"
    };
    if npy.count() != records && npy.count() != queries {
        return Err(Error::input(format!(
            "there are {} elements, for {records} records with {queries} queries",
            npy.count()
        ))
        .at(npy.place())
        .hint("give one for each record, or one for each query"));
    }
    let truths = truths::truths(&npy, "membership of the target", |at| {
        format!("{what} {at}")
    })?;
    if truths.len() == records {
        return Ok(truths);
    }
    let agreed = queries_of.iter().enumerate().map(|(record, of_record)| {
        let first = truths[of_record.start];
        match of_record.clone().find(|&query| truths[query] != first) {
            None => Ok(first),
            Some(query) => Err(disagreement(record, of_record.start, query).at(npy.place())),
        }
    });
    agreed.collect()
}

fn disagreement(record: usize, first: usize, query: usize) -> Error {
    Error::input(format!(
        "queries {first} and {query} are both for record {record}, and have different memberships"
    ))
    .hint("a query has the membership of its record: M[:, record_of_query] in numpy")
}

/// The membership of each record in every model.
fn memberships(
    inside: &[&[bool]],
    queries_of: &[Range<usize>],
    npy: Option<&Npy>,
) -> Result<Vec<Vec<bool>>> {
    let of_record = |(record, of_record): (usize, &Range<usize>)| {
        let first = of_record.start;
        for (model, row) in inside.iter().enumerate() {
            if let Some(query) = of_record.clone().find(|&query| row[query] != row[first]) {
                let error = disagreement(record, first, query).at(format!("model {model}"));
                return Err(match npy {
                    Some(npy) => error.at(npy.place()),
                    None => error,
                });
            }
        }
        Ok(inside.iter().map(|row| row[first]).collect())
    };
    queries_of.iter().enumerate().map(of_record).collect()
}

/// Models that find the tails, and models that test: half of the families each.
fn halves(of_records: &[Vec<bool>], models: usize) -> Result<(Vec<usize>, Vec<usize>)> {
    let rows: Vec<Vec<bool>> = (0..models)
        .map(|model| of_records.iter().map(|inside| inside[model]).collect())
        .collect();
    let rows: Vec<&[bool]> = rows.iter().map(Vec::as_slice).collect();
    let mut family_of = vec![usize::MAX; models];
    let mut families = 0;
    for model in 0..models {
        if family_of[model] != usize::MAX {
            continue;
        }
        family_of[model] = families;
        let complement = complements(&rows, model)
            .into_iter()
            .find(|&other| family_of[other] == usize::MAX);
        if let Some(complement) = complement {
            family_of[complement] = families;
        }
        families += 1;
    }
    if families < 2 {
        return Err(Error::input(format!(
            "{models} reference models are one family, and the tails of the queries are to be found on other models than test them"
        ))
        .hint("give more reference models, or --query-tail from other models"));
    }
    Ok((0..models).partition(|&model| family_of[model] < families / 2))
}

/// The tail of a query, if its signal is clearly correlated with membership over some models.
fn found_tail(models: &[usize], inside: &[bool], phi: impl Fn(usize) -> f64) -> Option<Tail> {
    let count = models.len() as f64;
    let members = models.iter().filter(|&&model| inside[model]).count() as f64;
    if members < 1.0 || members > count - 1.0 || count < 3.0 {
        return None;
    }
    let mean = models.iter().map(|&model| phi(model)).sum::<f64>() / count;
    let (mut product, mut square) = (0.0, 0.0);
    for &model in models {
        let away = phi(model) - mean;
        product += away * (f64::from(u8::from(inside[model])) - members / count);
        square += away * away;
    }
    let norm = (square * members * (1.0 - members / count)).sqrt();
    let correlation = (product / norm).clamp(-1.0, 1.0);
    let freedom = count - 2.0;
    let t = correlation.abs() * (freedom / (1.0 - correlation * correlation)).sqrt();
    // NaN of a constant query is not below
    let is_clear = 2.0 * student_t_sf(t, freedom) < CLEAR;
    is_clear.then_some(if correlation > 0.0 {
        Tail::Upper
    } else {
        Tail::Lower
    })
}

/// Notes what cannot be tested, and refuses it if that is everything.
fn look_at(
    rows: &[Row],
    models_out: &[usize],
    combination: usize,
    needed: usize,
    notes: &mut Vec<String>,
) -> Result<()> {
    let untested = rows
        .iter()
        .filter(|row| row.p(combination).is_nan())
        .count();
    let without_query = rows.iter().filter(|row| row.queries == 0).count();
    if untested == rows.len() {
        let most = models_out.iter().max().copied().unwrap_or(0);
        let why = if without_query == rows.len() {
            "membership does not clearly show in any query".to_owned()
        } else {
            format!(
                "no record is OUT for more than {most} of the models that test, and {needed} are needed"
            )
        };
        return Err(
            Error::input(format!("gmia-indirect can test no record: {why}"))
                .hint("add reference models or queries; with --query-tail all models test"),
        );
    }
    if untested > 0 {
        notes.push(format!(
            "{untested} of {} records have no score: {without_query} have no query left, the others too few OUT models among those that test",
            rows.len()
        ));
    }
    let constant: usize = rows
        .iter()
        .filter_map(|row| row.tested.as_ref())
        .map(|tested| tested.constant[0])
        .sum();
    if constant > 0 {
        notes.push(format!(
            "{constant} queries have the same signal on all OUT models: kost and fisher do without them"
        ));
    }
    Ok(())
}

fn measured(about: &About, rows: &[Row], is_member: &[bool]) -> IndirectMetrics {
    let p: Vec<Vec<f64>> = (0..COMBINATIONS.len())
        .map(|combination| rows.iter().map(|row| row.p(combination)).collect())
        .collect();
    let scores: Vec<Vec<f64>> = p.iter().map(|p| scores_of(p)).collect();
    let columns: Vec<&[f64]> = scores.iter().map(Vec::as_slice).collect();
    let reason = "p-values are their own thresholds: see at_p_values".to_owned();
    let thresholds = vec![Err(reason); columns.len()];
    let judged = metrics::judge(&columns, is_member, &thresholds, about.seed);
    let names = COMBINATIONS.map(|combination| combination.name().to_owned());
    let members = is_member.iter().filter(|&&member| member).count();
    IndirectMetrics {
        about: about.clone(),
        members,
        non_members: is_member.len() - members,
        intervals: Intervals {
            level: CONFIDENCE,
            by: "percentiles of a bootstrap over members and non-members separately",
            replicates: metrics::replicates(is_member.len()),
        },
        combinations: Named(names.clone().into_iter().zip(judged).collect()),
        at_p_values: Named(
            names
                .into_iter()
                .zip(p.iter().map(|p| at_p_values(p, is_member)))
                .collect(),
        ),
    }
}

/// `NaN` stays `NaN`.
fn scores_of(p: &[f64]) -> Vec<f64> {
    let score = |&p: &f64| if p.is_nan() { p } else { score(p) };
    p.iter().map(score).collect()
}

fn at_p_values(p: &[f64], is_member: &[bool]) -> Vec<AtPValue> {
    let rate = |member: bool, cutoff: f64| {
        let of_side = || {
            p.iter()
                .zip(is_member)
                .filter(|(p, m)| **m == member && !p.is_nan())
        };
        let trials = of_side().count() as u64;
        // a rank over a count may be a rounding above its cut-off
        let hits = of_side()
            .filter(|(p, _)| **p <= cutoff * (1.0 + 1e-12))
            .count() as u64;
        if trials == 0 {
            return Estimate::default();
        }
        let interval = clopper_pearson(hits, trials, CONFIDENCE);
        Estimate {
            value: Some(hits as f64 / trials as f64),
            lower: Some(interval.lower),
            upper: Some(interval.upper),
        }
    };
    CUTOFFS
        .iter()
        .map(|&cutoff| AtPValue {
            cutoff,
            true_positive_rate: rate(true, cutoff),
            false_positive_rate: rate(false, cutoff),
        })
        .collect()
}

impl IndirectOutcome {
    fn chosen(&self) -> usize {
        place_of(self.about.combination)
    }

    /// The columns of the table, in their order.
    fn columns(&self) -> Vec<(String, Vec<f64>)> {
        let of = |value: &dyn Fn(&Row) -> f64| self.rows.iter().map(value).collect::<Vec<f64>>();
        let p = of(&|row| row.p(self.chosen()));
        let mut columns = vec![
            (
                "record".to_owned(),
                (0..self.rows.len()).map(|r| r as f64).collect(),
            ),
            ("gmia-indirect".to_owned(), scores_of(&p)),
            ("gmia-indirect-p".to_owned(), p),
        ];
        for (place, combination) in COMBINATIONS.iter().enumerate() {
            columns.push((format!("p-{}", combination.name()), of(&|row| row.p(place))));
        }
        columns.push(("queries".to_owned(), of(&|row| row.queries as f64)));
        columns.push(("smallest-p".to_owned(), of(&Row::smallest)));
        let models_out = self.models_out.iter().map(|&models| models as f64);
        columns.push(("k-out".to_owned(), models_out.collect()));
        columns
    }

    /// The figures as JSON, or the columns of the table where there are none.
    ///
    /// # Errors
    /// If JSON cannot hold them, which is a defect.
    pub fn json(&self) -> Result<String> {
        #[derive(Serialize)]
        struct Document<'a> {
            #[serde(flatten)]
            about: &'a About,
            scores: Named<Vec<f64>>,
        }
        let json = match &self.metrics {
            Some(metrics) => serde_json::to_string_pretty(metrics),
            None => serde_json::to_string(&Document {
                about: &self.about,
                scores: Named(self.columns()),
            }),
        };
        json.map(|json| json + "\n")
            .map_err(|e| Error::unexpected(format!("cannot write JSON: {e}")))
    }

    /// Writes `scores.parquet`, a row for each record, and `metrics.json` where there are
    /// figures. Returns their paths.
    ///
    /// # Errors
    /// If a file cannot be written; nothing unfinished is left behind.
    pub fn write(&self, destination: Destination) -> Result<Vec<PathBuf>> {
        let columns: Vec<(String, Values)> = self
            .columns()
            .into_iter()
            .map(|(name, values)| (name, Values::Number(values)))
            .collect();
        let metrics = self.metrics.as_ref().map(|_| self.json()).transpose()?;
        destination.fill(&columns, &self.about, metrics)
    }

    /// Figures in the directory that this result does not replace: they are of other scores.
    #[must_use]
    pub fn stale_metrics(&self, destination: &Destination) -> Option<PathBuf> {
        destination.stale_metrics(self.metrics.is_some())
    }

    /// The result for the terminal.
    #[must_use]
    pub fn summary(&self) -> String {
        let about = &self.about;
        let mut text = format!(
            "INDIRECT INFERENCE  {} records, {} queries, {} reference models, signal {}\n  tails {}; {} models test; null {}; combination {}\n",
            about.records,
            about.queries,
            about.models,
            about.signal,
            about.tails,
            about.testing_models,
            about.null.name(),
            about.combination.name()
        );
        let fewest = self.models_out.iter().min().copied().unwrap_or(0);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  fewest OUT models of a record: {fewest}; no empirical p-value is below 1/{}\n",
            fewest + 1
        );
        match &self.metrics {
            Some(metrics) => with_metrics(&mut text, metrics),
            None => self.with_top(&mut text),
        }
        text
    }

    fn with_top(&self, text: &mut String) {
        let p: Vec<f64> = self.rows.iter().map(|row| row.p(self.chosen())).collect();
        let mut order: Vec<usize> = (0..p.len()).filter(|&r| !p[r].is_nan()).collect();
        order.sort_by(|&a, &b| p[a].total_cmp(&p[b]).then(a.cmp(&b)));
        text.push_str("  the most member-like records, numbered from 0\n\n");
        let _ = writeln!(
            text,
            "  {:<10}{:<12}{:<12}{:<12}{:<10}smallest p of a query",
            "record", "p kost", "p fisher", "p empirical", "queries"
        );
        for &record in order.iter().take(TOP) {
            let row = &self.rows[record];
            let _ = writeln!(
                text,
                "  {record:<10}{:<12.3e}{:<12.3e}{:<12.3e}{:<10}{:.3e}",
                row.p(0),
                row.p(1),
                row.p(2),
                row.queries,
                row.smallest()
            );
        }
        text.push_str("\n  With --target-membership the test is judged as well.\n");
    }
}

fn with_metrics(text: &mut String, metrics: &IndirectMetrics) {
    let _ = writeln!(
        text,
        "  {} members of the target, {} non-members; with 95 % intervals\n\n  {:<14}{:<24}{:<24}{:<24}",
        metrics.members,
        metrics.non_members,
        "combination",
        "AUC",
        "TPR at p ≤ .01",
        "FPR at p ≤ .01"
    );
    let both = metrics.combinations.0.iter().zip(&metrics.at_p_values.0);
    for ((name, figures), (_, at)) in both {
        let at = at.iter().find(|at| (at.cutoff - 0.01).abs() < 1e-9);
        let rate = |of: fn(&AtPValue) -> Estimate| shown(at.map(of).unwrap_or_default());
        let line = format!(
            "  {name:<14}{:<24}{:<24}{:<24}",
            shown(figures.auc),
            rate(|at| at.true_positive_rate),
            rate(|at| at.false_positive_rate)
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text.push_str(
        "\n  Records of one model are not independent trials: the intervals describe this\n  target and these records, and bound nothing.\n",
    );
}
