//! The section on defences, on a run through which a few were really tried; only names that the
//! data bring are replaced by hostile ones.

use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::checks::{text, visible};
use crate::promises::open;
use crate::runs::{HOSTILE, Run, copy, defend, report_again, sample};
use crate::webdriver::Browser;

/// A usual audit with defences: of the training and of the answers.
pub(crate) fn defended() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| {
        let run = copy(sample(), "defended");
        defend(
            &run,
            &[
                "--models",
                "12",
                "--exposed",
                "5%",
                "--defence",
                "remove",
                "--defence",
                "l2:0.005",
                "--defence",
                "label-only",
                "--by",
                "mean_radius",
            ],
        );
        let mut report = run.report();
        let defence = &mut report["defence"];
        defence["units"][0]["class"] = json!(HOSTILE[7]);
        defence["units"][1]["suspected_class"] = json!(HOSTILE[0]);
        defence["defences"][0]["utility"]["groups"][0]["value"] = json!(HOSTILE[1]);
        defence["skipped"] = json!([{"name": "selena", "reason": HOSTILE[3]}]);
        run.write("report.json", report.to_string().as_bytes());
        report_again(&run, &[]);
        run
    })
}

/// The cells of each row of a table, the first line of each.
fn rows(browser: &Browser, table: &str) -> Vec<Vec<String>> {
    let found = browser.run(
        "return [...document.querySelector(arguments[0]).tBodies[0].rows].map(r =>
           [...r.cells].map(c => c.textContent.trim()))",
        &[json!(table)],
    );
    serde_json::from_value(found).unwrap()
}

#[test]
fn it_says_what_to_do_and_what_each_leaves() {
    let Some(browser) = Browser::start() else {
        return;
    };
    open(&browser, sample());
    assert!(text(&browser, "#defences").contains("giveaway defend RUN"));
    assert_eq!(visible(&browser, "#defences svg"), 0);

    open(&browser, defended());
    let report = defended().report();
    let section = &report["defence"];
    assert!(!text(&browser, "#defences").contains("giveaway defend RUN"));
    let headline = section["recommendation"]["headline"].as_str().unwrap();
    assert_eq!(text(&browser, "#defences .lead"), headline);
    let advice = text(&browser, "#defences .advice");
    for reason in section["recommendation"]["reasons"].as_array().unwrap() {
        assert!(advice.contains(reason.as_str().unwrap()), "{advice}");
    }
    assert!(advice.contains("defend/drop.csv"), "{advice}");
    assert_eq!(visible(&browser, "#figure-defence-frontier svg"), 1);

    let rows = rows(&browser, "#defences > .scroll table.arms");
    assert_eq!(rows.len(), 5, "none, again and three: {rows:?}");
    assert_eq!(rows[0][0], section["undefended"]["title"]);
    for (index, row) in rows[2..].iter().enumerate() {
        let defence = &section["defences"][index];
        let title = defence["title"].as_str().unwrap();
        assert!(
            row[0].starts_with(&format!("{}. {title}", index + 1)),
            "{row:?}"
        );
        let verdict = match defence["verdict"].as_str().unwrap() {
            "not-shown" => "not shown",
            other => other,
        };
        assert_eq!(row[1], verdict);
        let found = defence["exposed"]["found"]["value"].as_f64().unwrap();
        assert!(
            row[2].starts_with(&format!("{:.1}\u{a0}%", 100.0 * found)),
            "{row:?}"
        );
    }
}

/// What helps is told by attacks that know of the defence, and that others fail is shown.
#[test]
fn every_attack_is_told_and_whether_it_knows() {
    let Some(browser) = Browser::start() else {
        return;
    };
    open(&browser, defended());
    let report = defended().report();
    // none, again, and the three in order
    assert_eq!(visible(&browser, "details.arm"), 5);
    browser.click("#defence-2 summary");
    let shown = rows(&browser, "#defence-2 table");
    let attacks = report["defence"]["defences"][0]["attacks"]
        .as_array()
        .unwrap();
    assert_eq!(shown.len(), attacks.len());
    for (row, attack) in shown.iter().zip(attacks) {
        assert_eq!(row[0], attack["name"]);
        let knows = attack["adaptive"].as_bool().unwrap();
        assert_eq!(row[1], if knows { "yes" } else { "no" });
    }
    assert!(shown.iter().any(|row| row[1] == "no"), "{shown:?}");
    let inside = text(&browser, "#defence-2 .inside");
    let how = report["defence"]["defences"][0]["scikit_learn"]
        .as_str()
        .unwrap();
    assert!(
        inside.contains(how) && inside.contains(HOSTILE[1]),
        "{inside}"
    );
}

#[test]
fn a_protected_record_leads_to_its_evidence() {
    let Some(browser) = Browser::start() else {
        return;
    };
    open(&browser, defended());
    let report = defended().report();
    let units = report["defence"]["units"].as_array().unwrap();
    let places: Vec<usize> = (0..units.len().min(12)).collect();
    let links = browser.run(
        "return [...document.querySelectorAll('#defences a[href^=\"#record-\"]')].map(a => a.textContent)",
        &[],
    );
    for place in places {
        assert_eq!(links[place], units[place]["id"]);
    }
    browser.click("#defences a[href^='#record-']");
    browser.wait_until("document.getElementById('record').open");
    let title = text(&browser, "#record");
    assert!(title.contains(units[0]["id"].as_str().unwrap()), "{title}");
}

#[test]
fn a_redacted_copy_names_no_record() {
    let run = copy(defended(), "defended-redacted");
    report_again(&run, &["--redact"]);
    let page = std::fs::read_to_string(run.file("redacted/report.html")).unwrap();
    let report = std::fs::read_to_string(run.file("redacted/report.json")).unwrap();
    for content in [&page, &report] {
        // how to leave records out may be told, but not where the list lies
        assert!(!content.contains("defend/drop.csv"));
    }
    let redacted: Value = serde_json::from_str(&report).unwrap();
    let whole = run.report();
    let section = &redacted["defence"];
    assert_eq!(section["units"], json!([]));
    assert_eq!(section["deliverables"], json!([]));
    for (index, defence) in section["defences"].as_array().unwrap().iter().enumerate() {
        let own = &whole["defence"]["defences"][index];
        assert_eq!(defence["exposed"]["worst"]["id"], Value::Null);
        assert_ne!(own["exposed"]["worst"]["id"], Value::Null);
        assert_eq!(defence["attacks"], own["attacks"]);
    }
    let Some(browser) = Browser::start() else {
        return;
    };
    browser.open(&run.file("redacted/report.html"));
    browser.wait_until("document.querySelector('#records.ready')");
    assert_eq!(visible(&browser, "#figure-defence-frontier svg"), 1);
    assert_eq!(visible(&browser, "#defences a[href^='#record-']"), 0);
    assert!(text(&browser, "#defences").contains("are left out of this copy"));
}
