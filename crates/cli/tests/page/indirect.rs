//! The section on indirect inference, on runs whose reports have one that is made up here: its
//! numbers are none of an audit, and only what the page makes of them is tested.

use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::checks::{text, visible};
use crate::promises::open;
use crate::runs::{HOSTILE, Run, copy, images, report_again, sample};
use crate::webdriver::Browser;

/// What a redacted report must not hold.
const SECRET: &str = "a value of the data";

fn estimate(value: f64, width: f64) -> Value {
    json!({"value": value, "lower": value - width, "upper": value + width})
}

fn rates(test: &str, queries: u32, recall: f64) -> Value {
    let level = |level: f64, recall: f64| {
        json!({"level": level, "accusations": 345, "wrong": 12,
               "precision": estimate(0.965, 0.0213), "recall": estimate(recall, 0.0321),
               "false_positive_rate": estimate(level, 0.0042)})
    };
    json!({"test": test, "queries": queries, "targets": 16, "members": 1601, "non_members": 1602,
           "levels": [level(0.01, recall), level(0.05, recall + 0.1)],
           "auc": estimate(0.5 + recall / 2.1, 0.0171)})
}

/// `excess`: how much more often non-members have small p-values than they should.
fn calibration(test: &str, queries: u32, excess: f64) -> Value {
    let at = |level: f64| {
        let share = (excess * level).min(1.0);
        json!({"level": level, "share": {"value": share, "lower": 0.8 * share, "upper": (1.2 * share).min(1.0)}})
    };
    json!({"test": test, "queries": queries, "non_members": 1602,
           "at": [at(0.001), at(0.01), at(0.05), at(0.2), at(1.0)]})
}

fn record(exposed: &Value, unit: usize, index: usize, queries: &[Value]) -> Value {
    let p = 0.000_123 * (index + 1) as f64;
    json!({
        "unit": unit, "id": exposed["id"], "class": exposed["class"], "member": exposed["member"],
        "queries": 200, "floor": 1.234, "smallest_distance": 1.345, "nearest_record": 1.234,
        "models_out": 8, "p": p, "q": 3.0 * p, "given_away": index < 3,
        "p_by_test": [{"test": "kost", "p": p}, {"test": "fisher", "p": p / 7.0}],
        "best_query_p": 0.0314, "direct_p": 0.000_777, "direct_q": 0.002_331,
        "direct_given_away": true,
        "budget": [{"queries": 1, "p": 0.0314}, {"queries": 10, "p": 0.00456}, {"queries": 200, "p": p}],
        "recurrence": {"in_targets": 8, "found": 7, "out_targets": 8, "wrongly_accused": 1},
        "shown": queries,
    })
}

/// A table's queries: the second differs in a column more than the first.
fn queries_of_a_table() -> Vec<Value> {
    let value =
        |column: &str, query: &str| json!({"column": column, "record": SECRET, "query": query});
    let query = |row: usize, tail: &str, values: Vec<Value>| {
        json!({"row": row, "p": 0.0123, "tail": tail, "distance": 1.456, "effect": 1.7,
               "columns_changed": values.len(), "values": values})
    };
    vec![
        query(0, "upper", vec![value("mean radius", "17.99")]),
        query(
            1,
            "lower",
            vec![
                value("mean radius", HOSTILE[7]),
                value(HOSTILE[0], HOSTILE[1]),
            ],
        ),
    ]
}

fn queries_of_images(first: usize) -> Vec<Value> {
    (0..2)
        .map(|at| {
            json!({"row": first + at, "p": 0.0123, "tail": "upper", "distance": 1.456,
                   "effect": null, "columns_changed": null, "values": []})
        })
        .collect()
}

/// A section about the most exposed, `units` being theirs.
fn section(report: &Value, units: &[usize], of_images: bool) -> Value {
    let exposed = report["exposed"].as_array().unwrap();
    let records: Vec<Value> = (0..units.len())
        .map(|index| {
            let queries = if of_images {
                queries_of_images(2 * index)
            } else {
                queries_of_a_table()
            };
            record(&exposed[index], units[index], index, &queries)
        })
        .collect();
    json!({
        "settings": {"records": 7, "queries": 200, "build": "balanced", "building_models": 8,
                     "confirming_models": 8, "testing_models": 16, "pairs": 0,
                     "floor_multiple": 1.0, "usual_distance": 2.345},
        "combination": "kost", "tested": records.len(), "without_queries": 2, "given_away": 3,
        "given_away_both": 2, "only_indirect": 1, "only_direct": 4, "records": records,
        "rates": [rates("direct", 0, 0.71), rates("kost", 1, 0.21), rates("kost", 10, 0.42),
                  rates("kost", 200, 0.63), rates("fisher", 200, 0.65)],
        "calibration": [calibration("direct", 0, 1.0), calibration("kost", 200, 1.7),
                        calibration("fisher", 200, 4.0)],
        "smallest_distance": 1.345,
        "filters": [{"stops": 0.0, "radius": 0.0, "refuses": 0.0},
                    {"stops": 0.375, "radius": 2.345, "refuses": 0.0123}],
        "cost": {"models_trained": 0, "queries": 1400, "candidates": 654_321},
    })
}

/// The units of the most exposed, by their ids.
fn units_of(report: &Value, run: &Run, count: usize) -> Vec<usize> {
    let ids: Vec<String> = report["exposed"].as_array().unwrap()[..count]
        .iter()
        .map(|exposed| exposed["id"].as_str().unwrap().to_owned())
        .collect();
    run.units_of(&ids)
}

/// A usual audit with a made-up section.
pub(crate) fn of_a_table() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| {
        let run = copy(sample(), "indirect");
        let mut report = run.report();
        let units = units_of(&report, &run, 5);
        report["indirect"] = section(&report, &units, false);
        run.write("report.json", report.to_string().as_bytes());
        report_again(&run, &[]);
        run
    })
}

/// An audit of images with a made-up section, and queries that are black and white.
fn of_images() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| {
        let run = copy(images(), "indirect-images");
        let mut report = run.report();
        let units = units_of(&report, &run, 3);
        report["indirect"] = section(&report, &units, true);
        run.write("report.json", report.to_string().as_bytes());
        let pixels = report["data"]["features"].as_u64().unwrap();
        let mut header =
            format!("{{'descr': '<f4', 'fortran_order': False, 'shape': (6, {pixels}), }}");
        while !(10 + header.len() + 1).is_multiple_of(64) {
            header.push(' ');
        }
        header.push('\n');
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
        file.extend(header.as_bytes());
        for query in 0_u8..6 {
            for _ in 0..pixels {
                // encoded: bytes by 255
                file.extend(f32::from(query % 2).to_le_bytes());
            }
        }
        run.write("indirect/queries.npy", &file);
        report_again(&run, &[]);
        run
    })
}

#[test]
fn it_says_who_is_given_away_and_how_sure_that_is() {
    let Some(browser) = Browser::start() else {
        return;
    };
    open(&browser, sample());
    assert_eq!(visible(&browser, "#indirect"), 0, "no section without it");

    open(&browser, of_a_table());
    let lead = text(&browser, "#indirect .lead");
    assert!(lead.contains("3 of 5 tested so can be named"), "{lead}");
    let verdict = text(&browser, "#verdict .card");
    assert!(verdict.contains("3 of 5 are given away"), "{verdict}");
    let alarm = text(&browser, "#indirect .alarm");
    assert!(
        alarm.contains("1.7\u{a0}%"),
        "too small p-values are said to be so: {alarm}"
    );
    let rows = browser.run(
        "return [...document.querySelector('#indirect table').tBodies[0].rows].map(r => r.cells[0].textContent + ': ' + r.cells[2].textContent)",
        &[],
    );
    assert_eq!(
        rows,
        json!([
            "asking about the record itself: .710 [.678–.742]",
            "1 other question: .210 [.178–.242]",
            "10 other questions: .420 [.388–.452]",
            "200 other questions: .630 [.598–.662]"
        ])
    );
    assert_eq!(visible(&browser, "#figure-indirect-recall svg"), 1);
    assert_eq!(visible(&browser, "#figure-indirect-calibration svg"), 1);
}

#[test]
fn a_record_stands_beside_its_questions() {
    let Some(browser) = Browser::start() else {
        return;
    };
    open(&browser, of_a_table());
    assert_eq!(visible(&browser, "details.indirect"), 5);
    browser.click("#indirect-0 summary");
    let rows = browser.run(
        "const tables = document.querySelectorAll('#indirect-0 table');
         return [...tables[1].tBodies[0].rows].map(r => [...r.cells].map(c => c.textContent))",
        &[],
    );
    assert_eq!(rows[0], json!(["mean radius", SECRET, "17.99", HOSTILE[7]]));
    assert_eq!(rows[1], json!([HOSTILE[0], SECRET, "same", HOSTILE[1]]));
    assert_eq!(rows[2][2], json!("1"), "columns that differ");
    assert_eq!(rows[2][3], json!("2"));
    let budgets = text(&browser, "#indirect-0 table");
    for p in ["0.0314", "0.0046", "1.2e-4", "7.8e-4"] {
        assert!(budgets.contains(p), "{p}: {budgets}");
    }
}

#[test]
fn images_stand_beside_those_that_were_asked_about() {
    let Some(browser) = Browser::start() else {
        return;
    };
    open(&browser, of_images());
    browser.click("#indirect-1 summary");
    assert_eq!(visible(&browser, "#indirect-1 canvas"), 3);
    let found = browser.run(
        "return [...document.querySelectorAll('#indirect-1 figure')].map(f => {
           const c = f.querySelector('canvas');
           const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
           return [f.textContent, d[0], d[d.length - 4]] })",
        &[],
    );
    assert_eq!(found[0][0], json!("The record"));
    assert_eq!(found[1], json!(["Question 1", 0, 0]));
    assert_eq!(found[2], json!(["Question 2", 255, 255]));
    // The record's picture is that of its own evidence.
    let own = "const c = document.querySelector('#record canvas');
               return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]";
    let here = browser.run(
        "const c = document.querySelector('#indirect-1 canvas');
         return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]",
        &[],
    );
    browser.click("#indirect-1 .inside a");
    browser.wait_until("document.getElementById('record').open");
    assert_eq!(browser.run(own, &[]), here);
}

#[test]
fn a_redacted_copy_has_verdicts_and_nothing_to_find_a_record_by() {
    let run = copy(of_a_table(), "indirect-redacted");
    report_again(&run, &["--redact"]);
    let text = std::fs::read_to_string(run.file("redacted/report.json")).unwrap();
    let page = std::fs::read_to_string(run.file("redacted/report.html")).unwrap();
    for content in [&text, &page] {
        assert!(!content.contains(SECRET));
    }
    let redacted: Value = serde_json::from_str(&text).unwrap();
    // distances, p-values of fewer queries
    let section = redacted["indirect"].to_string();
    for number in ["1.234", "1.345", "1.456", "0.0314", "0.00456"] {
        assert!(!section.contains(number), "{number}");
    }
    let whole = run.report();
    for (at, record) in redacted["indirect"]["records"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
    {
        for gone in [
            "unit",
            "member",
            "queries",
            "floor",
            "smallest_distance",
            "nearest_record",
            "models_out",
            "best_query_p",
            "recurrence",
        ] {
            assert_eq!(record[gone], Value::Null, "{gone}");
        }
        for gone in ["p_by_test", "budget", "shown"] {
            assert_eq!(record[gone], json!([]), "{gone}");
        }
        assert_eq!(record["id"].as_str().unwrap().len(), 16);
        let p = whole["indirect"]["records"][at]["p"].as_f64().unwrap();
        let two_digits: f64 = format!("{p:.1e}").parse().unwrap();
        assert_eq!(record["p"], json!(two_digits));
    }
    assert_eq!(redacted["indirect"]["smallest_distance"], Value::Null);
    assert_eq!(redacted["indirect"]["rates"], whole["indirect"]["rates"]);
    let Some(browser) = Browser::start() else {
        return;
    };
    browser.open(&run.file("redacted/report.html"));
    assert_eq!(visible(&browser, "details.indirect"), 0);
    let rows = browser.run(
        "return [...document.querySelectorAll('#indirect table')].at(-1).tBodies[0].rows.length",
        &[],
    );
    assert_eq!(rows, json!(5));
}
