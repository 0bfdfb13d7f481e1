//! Fast forms against brute force, on random input.

use giveaway::attack::evidence::{Evidence, Query, Scalar};
use giveaway::attack::method::{Attacker, Method, Parameters};
use giveaway::attack::{moments, population, ranks, rmia};
use giveaway_stats::random::Stream;
use giveaway_stats::roc::Roc;

use crate::{Failure, Row};

/// Random inputs of each kind.
const DRAWS: usize = 50;

/// A row for each fast form.
///
/// # Errors
/// If something cannot be computed at all.
pub fn rows() -> Result<Vec<Row>, Failure> {
    let definition = |subject: &str| Row::new(subject, "its definition, brute force");
    let mut rows = [
        definition("RMIA, against a population"),
        definition("RMIA, against each other"),
        definition("Attack-P"),
        definition("moments over models"),
        definition("ranks among OUT models"),
        definition("AUC, TPR at FPR, advantage"),
        definition("leaving models out"),
    ];
    let [
        against,
        each_other,
        attack_p,
        of_models,
        of_ranks,
        roc,
        left_out,
    ] = &mut rows;
    for draw in 0..DRAWS {
        let mut stream = Stream::new(11, "conformance", draw as u64);
        rmia_pairwise(&mut stream, against, each_other);
        attack_p_by_counting(&mut stream, attack_p);
        statistics_over_models(&mut stream, of_models, of_ranks);
        roc_by_counting(&mut stream, roc)?;
        leaving_out_is_never_having(&mut stream, left_out)?;
    }
    Ok(rows.into())
}

/// Few distinct values, so that there are ties.
fn coarse(stream: &mut Stream, most: usize) -> Vec<f64> {
    let size = 2 + stream.below(40);
    (0..size)
        .map(|_| (1 + stream.below(most)) as f64 / 4.0)
        .collect()
}

fn rmia_pairwise(stream: &mut Stream, against: &mut Row, each_other: &mut Row) {
    let (x, z) = (coarse(stream, 12), coarse(stream, 12));
    let gamma = [0.5, 1.0, 1.3, 2.0][stream.below(4)];
    let share = |x: f64, z: &mut dyn Iterator<Item = f64>| {
        let (mut beaten, mut all) = (0.0, 0.0);
        for z in z {
            beaten += f64::from(u8::from(x >= gamma * z));
            all += 1.0;
        }
        beaten / all
    };
    against.cases += 1;
    for (ours, &x) in rmia::against_population(&x, &z, gamma).iter().zip(&x) {
        against.compare(*ours, share(x, &mut z.iter().copied()), || {
            format!("γ {gamma}")
        });
    }
    each_other.cases += 1;
    for (i, ours) in rmia::against_each_other(&x, gamma).iter().enumerate() {
        let mut others = x
            .iter()
            .enumerate()
            .filter(|&(j, _)| j != i)
            .map(|(_, &x)| x);
        each_other.compare(*ours, share(x[i], &mut others), || format!("γ {gamma}"));
    }
}

fn attack_p_by_counting(stream: &mut Stream, row: &mut Row) {
    let (losses, others) = (coarse(stream, 9), coarse(stream, 9));
    let found = population::against_population(&losses, &others);
    row.cases += 1;
    for (i, &loss) in losses.iter().enumerate() {
        let higher = others.iter().filter(|&&other| other > loss).count() as f64;
        let size = others.len() as f64;
        row.compare(found.scores[i], higher / size, || "score".to_owned());
        let p = (1.0 + size - higher) / (size + 1.0);
        let ours = found.p_values.as_ref().map_or(f64::NAN, |p| p[i]);
        row.compare(ours, p, || "p".to_owned());
    }
}

fn statistics_over_models(stream: &mut Stream, of_models: &mut Row, of_ranks: &mut Row) {
    let (models, records) = (1 + stream.below(9), 1 + stream.below(600));
    let values: Vec<Vec<f64>> = (0..models)
        .map(|_| (0..records).map(|_| stream.below(8) as f64 / 4.0).collect())
        .collect();
    let inside: Vec<Vec<bool>> = (0..models)
        .map(|_| (0..records).map(|_| stream.uniform() < 0.4).collect())
        .collect();
    let target: Vec<f64> = (0..records).map(|_| stream.below(8) as f64 / 4.0).collect();
    let rows: Vec<&[f64]> = values.iter().map(Vec::as_slice).collect();
    let masks: Vec<&[bool]> = inside.iter().map(Vec::as_slice).collect();
    let found = moments::moments(&rows, &masks, records, |x| x);
    let counts = ranks::out_counts(&rows, &masks, &target);
    of_models.cases += 1;
    of_ranks.cases += 1;
    for r in 0..records {
        let side = |member: bool| -> Vec<f64> {
            let of = (0..models).filter(|&m| inside[m][r] == member);
            of.map(|m| values[m][r]).collect()
        };
        for (ours, of) in [(&found.inside, side(true)), (&found.outside, side(false))] {
            let n = of.len() as f64;
            let mean = of.iter().sum::<f64>() / n;
            let squares: f64 = of.iter().map(|x| (x - mean).powi(2)).sum();
            of_models.compare(ours.count[r], n, || "count".to_owned());
            of_models.compare(ours.mean[r], mean, || "mean".to_owned());
            of_models.compare(ours.deviations[r], squares, || "squares".to_owned());
        }
        let out = side(false);
        let count = |holds: &dyn Fn(f64) -> bool| out.iter().filter(|&&x| holds(x)).count() as f64;
        for (ours, theirs) in [
            (counts.at_most[r], count(&|x| x <= target[r])),
            (counts.at_least[r], count(&|x| x >= target[r])),
            (counts.models[r], out.len() as f64),
        ] {
            of_ranks.compare(f64::from(ours), theirs, || format!("record {r}"));
        }
    }
}

fn roc_by_counting(stream: &mut Stream, row: &mut Row) -> Result<(), Failure> {
    let mut scores = coarse(stream, 10);
    scores.extend(coarse(stream, 10));
    let mut is_member: Vec<bool> = scores.iter().map(|_| stream.uniform() < 0.5).collect();
    is_member[0] = true;
    is_member[1] = false;
    let roc = Roc::new(&scores, &is_member)?;
    let of = |member: bool| -> Vec<f64> {
        let of = scores
            .iter()
            .zip(&is_member)
            .filter(|pair| *pair.1 == member);
        of.map(|(&score, _)| score).collect()
    };
    let (members, others) = (of(true), of(false));
    let wins: f64 = members
        .iter()
        .flat_map(|m| others.iter().map(move |n| (m, n)))
        .map(|(m, n)| {
            f64::from(u8::from(m > n)) + 0.5 * f64::from(u8::from(m.total_cmp(n).is_eq()))
        })
        .sum();
    row.cases += 1;
    row.compare(
        roc.auc(),
        wins / (members.len() * others.len()) as f64,
        || "AUC".to_owned(),
    );
    // every threshold, and none: all rates that can be had
    let share =
        |of: &[f64], t: f64| of.iter().filter(|&&s| s >= t).count() as f64 / of.len() as f64;
    let thresholds = || scores.iter().copied().chain([f64::INFINITY]);
    let advantage = thresholds()
        .map(|t| share(&members, t) - share(&others, t))
        .fold(0.0, f64::max);
    row.compare(roc.advantage(), advantage, || "advantage".to_owned());
    for f in [0.5, 0.25, 0.1] {
        let best = thresholds()
            .filter(|&t| share(&others, t) <= f)
            .map(|t| share(&members, t))
            .fold(0.0, f64::max);
        // with fewer non-members than 1/f the rate is not available
        let known = others.len() as f64 >= 1.0 / f;
        let theirs = if known { best } else { f64::NAN };
        row.compare(roc.tpr_at_fpr(f).unwrap_or(f64::NAN), theirs, || {
            format!("TPR at FPR {f}")
        });
    }
    Ok(())
}

/// A model that is left out is as one that never was.
fn leaving_out_is_never_having(stream: &mut Stream, row: &mut Row) -> Result<(), Failure> {
    let (models, records) = (14, 30);
    let inside: Vec<Vec<bool>> = (0..models)
        .map(|m| (0..records).map(|r| (m * 5 + r * 3) % 7 < 3).collect())
        .collect();
    let values: Vec<Vec<f64>> = (0..models)
        .map(|_| (0..records).map(|_| stream.normal()).collect())
        .collect();
    let rows = |keep: &dyn Fn(usize) -> bool| -> Vec<&[f64]> {
        let kept = (0..models).filter(|&m| keep(m));
        kept.map(|m| values[m].as_slice()).collect()
    };
    let masks = |keep: &dyn Fn(usize) -> bool| -> Vec<&[bool]> {
        let kept = (0..models).filter(|&m| keep(m));
        kept.map(|m| inside[m].as_slice()).collect()
    };
    let every = |_: usize| true;
    let whole = Evidence::new(
        Scalar::ScaledLogit,
        rows(&every),
        masks(&every),
        vec![0.0; records],
    );
    let played = whole.with_target(3, &[5]);
    let without = |m: usize| m != 3 && m != 5;
    let mut never = Evidence::new(
        Scalar::ScaledLogit,
        rows(&without),
        masks(&without),
        values[3].clone(),
    );
    never.queries = vec![Query {
        references: rows(&without),
        target: values[3].clone(),
    }];
    let parameters = Parameters::default();
    row.cases += 1;
    for method in [
        Method::LiraOnline,
        Method::RmiaOffline,
        Method::BavariaTOnline,
        Method::GmiaDirect,
    ] {
        let ours = Attacker::new(&played, parameters).score(method)?.scores;
        let theirs = Attacker::new(&never, parameters).score(method)?.scores;
        for (ours, theirs) in ours.into_iter().zip(theirs) {
            row.compare(ours, theirs, || method.name().to_owned());
        }
    }
    Ok(())
}
