//! Every attack against the scores and p-values of `conformance/attacks/generate.py`.

use std::collections::BTreeMap;

use giveaway::attack::Scores;
use giveaway::attack::direct::Null;
use giveaway::attack::evidence::{Evidence, Real};
use giveaway::attack::method::{Attacker, Method, Parameters};

use crate::case::{Case, Expected};
use crate::{Failure, Row};

/// A row for each attack; direct inference has one for each null.
///
/// # Errors
/// If a file speaks of an attack that there is not.
pub fn rows(cases: &[Case]) -> Result<Vec<Row>, Failure> {
    let mut rows: Vec<Row> = Vec::new();
    let mut index: BTreeMap<String, usize> = BTreeMap::new();
    for &method in Method::EVERY {
        // what learns from features or traces is compared beside its code
        if method.is_of_the_target_alone() {
            continue;
        }
        let nulls = if method == Method::GmiaDirect {
            Null::EVERY
                .iter()
                .map(|null| format!(" {}", null.name()))
                .collect()
        } else {
            vec![String::new()]
        };
        for null in nulls {
            let name = format!("{}{null}", method.name());
            index.insert(name.clone(), rows.len());
            rows.push(Row::new(
                name,
                format!("{}, generate.py", method.citation()),
            ));
        }
    }
    for case in cases {
        for (name, expected) in &case.expected {
            let place = *index
                .get(name)
                .ok_or_else(|| format!("{}: there is no attack `{name}`", case.name))?;
            let row = &mut rows[place];
            row.cases += 1;
            if case.float32 {
                case.with_evidence(|x| x as f32, |e| compare(row, case, e, name, expected))?;
            } else {
                case.with_evidence(|x| x, |e| compare(row, case, e, name, expected))?;
            }
        }
    }
    Ok(rows)
}

fn compare<T: Real>(
    row: &mut Row,
    case: &Case,
    evidence: &Evidence<'_, T>,
    name: &str,
    expected: &Expected,
) -> Result<(), Failure> {
    evidence.check()?;
    let (method, null) = name.split_once(' ').unwrap_or((name, "t"));
    let method = Method::parse(method)?;
    let parameters = Parameters {
        gamma: case.gamma,
        offline_a: case.offline_a,
        null: *Null::EVERY
            .iter()
            .find(|known| known.name() == null)
            .ok_or_else(|| format!("there is no null `{null}`"))?,
    };
    parameters.check()?;
    let found = match Attacker::new(evidence, parameters).score(method) {
        Ok(found) => found,
        // Where no record can be scored that is said, and the file has no number either.
        Err(_) if expected.scores.iter().all(|score| score.is_nan()) => Scores {
            scores: vec![f64::NAN; expected.scores.len()],
            p_values: expected.p_values.clone(),
        },
        Err(error) => {
            row.refuse(format!("{}: {error}", case.name));
            return Ok(());
        }
    };
    list(row, case, "score", &found.scores, &expected.scores);
    match (&found.p_values, &expected.p_values) {
        (Some(ours), Some(theirs)) => list(row, case, "p", ours, theirs),
        (None, None) => {}
        (Some(_), None) => row.refuse(format!(
            "{}: p-values where there should be none",
            case.name
        )),
        (None, Some(_)) => row.refuse(format!("{}: no p-values", case.name)),
    }
    Ok(())
}

fn list(row: &mut Row, case: &Case, what: &str, ours: &[f64], theirs: &[f64]) {
    if ours.len() != theirs.len() {
        row.refuse(format!(
            "{}: {} records, not {}",
            case.name,
            ours.len(),
            theirs.len()
        ));
        return;
    }
    for (record, (&ours, &theirs)) in ours.iter().zip(theirs).enumerate() {
        row.compare(ours, theirs, || {
            format!("{}, {what} of record {record}", case.name)
        });
    }
}
