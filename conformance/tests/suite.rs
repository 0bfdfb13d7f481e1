//! The whole suite as a test: what `cargo run --release -p giveaway-conformance` prints.

use giveaway::attack::method::Method;
use giveaway_conformance::{case, suite, table};

#[test]
fn everything_agrees() {
    let rows = suite().unwrap();
    assert!(
        rows.iter().all(giveaway_conformance::Row::agrees),
        "{}",
        table(&rows)
    );
}

/// Signals that are no numbers are refused, with model and record.
#[test]
fn what_is_not_finite_is_refused() {
    let plain = case::all()
        .unwrap()
        .into_iter()
        .find(|case| case.name == "plain")
        .unwrap();
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = plain.with_evidence(
            |x| x,
            |evidence| {
                let mut row = evidence.queries[0].references[7].to_vec();
                row[5] = bad;
                let mut evidence = evidence.clone();
                evidence.queries[0].references[7] = &row;
                evidence.check().unwrap_err().to_string()
            },
        );
        assert!(error.contains("model 7, record 5"), "{error}");
        let error = plain.with_evidence(
            |x| x,
            |evidence| {
                let mut evidence = evidence.clone();
                evidence.queries[0].target[4] = bad;
                evidence.check().unwrap_err().to_string()
            },
        );
        assert!(error.contains("record 4 of the target"), "{error}");
    }
}

/// Each attack is compared on random input and on degenerate input.
#[test]
fn no_attack_is_left_out() {
    let cases = case::all().unwrap();
    for &method in Method::EVERY
        .iter()
        .filter(|method| !method.is_of_the_target_alone())
    {
        let of = |degenerate: bool| {
            let cases = cases.iter().filter(|case| {
                let records = case.expected.values().next().unwrap().scores.len();
                (records < 10) == degenerate
                    && case
                        .expected
                        .keys()
                        .any(|name| name.split(' ').next() == Some(method.name()))
            });
            cases.count()
        };
        assert!(of(false) >= 4 && of(true) >= 1, "{}", method.name());
    }
}
