//! The section on why records are exposed, on runs whose reports have one that is made up: its
//! numbers are none of an audit, and only what the page makes of them is tested.

use std::sync::OnceLock;

use giveaway::report::records::{Values, from_parquet, to_parquet};
use serde_json::{Value, json};

use crate::checks::{text, visible};
use crate::promises::open;
use crate::runs::{HOSTILE, Run, copy, images, report_again, sample, shown};
use crate::webdriver::Browser;

const EXAMPLE: &str = include_str!("../../../giveaway/src/report/explanation_text/example.json");

/// What a redacted report must not hold.
const SECRET: &str = "a statement about somebody";

/// Adds a made-up explanation to a run, about its most exposed.
fn explain(run: &Run, of_images: bool) {
    let mut report = run.report();
    let mut explanation: Value = serde_json::from_str(EXAMPLE).unwrap();
    let mut columns = from_parquet(std::fs::read(run.file("records.parquet")).unwrap()).unwrap();
    let records = columns[0].1.len();
    let exposed: Vec<Value> = report["exposed"].as_array().unwrap()[..6].to_vec();
    let ids: Vec<String> = exposed
        .iter()
        .map(|e| e["id"].as_str().unwrap().to_owned())
        .collect();
    let units = run.units_of(&ids);
    let list = explanation["exposed"].as_array_mut().unwrap();
    list.truncate(units.len());
    for (at, unit) in list.iter_mut().enumerate() {
        unit["id"] = exposed[at]["id"].clone();
        unit["unit"] = json!(units[at]);
        unit["class"] = exposed[at]["class"].clone();
        unit["statement"] = json!(format!("{SECRET} {at}: {}", HOSTILE[at]));
    }
    list[0]["attribution"]["columns"][0]["value"] = json!(HOSTILE[7]);
    explanation["findings"][1] = json!(HOSTILE[0]);
    explanation["predictors"][0]["label"] = json!(HOSTILE[1]);
    explanation["groups"][0]["values"][0]["name"] = json!(HOSTILE[7]);
    let is_exposed = |unit: usize| units.contains(&unit);
    let points: Vec<usize> = (0..100)
        .chain(units.iter().copied().filter(|&u| u >= 100))
        .collect();
    let names = ["logits_tsne", "logits_pca"];
    explanation["map"] = json!({"points": points.len(), "exposed": units.len(), "views": [
        {"name": names[0], "space": "logits", "method": "t-SNE", "trustworthiness": 0.923,
         "divergence": 1.234, "variance": null},
        {"name": names[1], "space": "logits", "method": "PCA", "trustworthiness": 0.812,
         "divergence": null, "variance": 0.634}]});
    let whole = |of: &dyn Fn(usize) -> usize| {
        Values::Whole(points.iter().map(|&p| i64::try_from(of(p)).ok()).collect())
    };
    let mut map = vec![
        ("unit".to_owned(), whole(&|p| p)),
        ("record".to_owned(), whole(&|p| p)),
        (
            "exposed".to_owned(),
            Values::Truth(points.iter().map(|&p| Some(is_exposed(p))).collect()),
        ),
    ];
    for (view, name) in names.into_iter().enumerate() {
        for (axis, letter) in ["x", "y"].into_iter().enumerate() {
            let place = |p: usize| ((p * (7 + 4 * axis + view)) % 101) as f64;
            let values = points.iter().map(|&p| place(p)).collect();
            map.push((format!("{name}_{letter}"), Values::Number(values)));
        }
    }
    run.write("map.parquet", &to_parquet(&map, &[]).unwrap());
    let leaks: Vec<f64> = (0..records).map(|r| 0.001 * (1 + r) as f64).collect();
    columns.push(("leak".to_owned(), Values::Number(leaks)));
    let ranks = (0..records)
        .map(|r| i64::try_from(records - r).ok())
        .collect();
    columns.push(("leak_rank".to_owned(), Values::Whole(ranks)));
    let reasons = (0..records)
        .map(|r| {
            let place = units.iter().position(|&unit| unit == r);
            let reason = place.map_or("no clear reason", |at| {
                explanation["exposed"][at]["reason"].as_str().unwrap()
            });
            Some(reason.to_owned())
        })
        .collect();
    columns.push(("reason".to_owned(), Values::Text(reasons)));
    run.write("records.parquet", &to_parquet(&columns, &[]).unwrap());
    if of_images {
        activations(run, &report, &units);
    }
    report["explanation"] = explanation;
    run.write("report.json", report.to_string().as_bytes());
    report_again(run, &[]);
}

/// Maps of three by three places, all of them 255 ("////" in base64).
fn activations(run: &Run, report: &Value, units: &[usize]) {
    let exposed = report["exposed"].as_array().unwrap();
    let roles = ["closest", "farthest", "exposed"];
    let text =
        |of: &dyn Fn(usize) -> String| Values::Text((0..3).map(|row| Some(of(row))).collect());
    let whole =
        |of: &dyn Fn(usize) -> i64| Values::Whole((0..3).map(|row| Some(of(row))).collect());
    let columns = vec![
        (
            "unit".to_owned(),
            whole(&|row| i64::try_from(units[row]).unwrap()),
        ),
        (
            "record".to_owned(),
            whole(&|row| i64::try_from(units[row]).unwrap()),
        ),
        ("role".to_owned(), text(&|row| roles[row].to_owned())),
        (
            "class".to_owned(),
            text(&|row| exposed[row]["class"].as_str().unwrap().to_owned()),
        ),
        ("rank".to_owned(), whole(&|_| 1)),
        ("distance".to_owned(), Values::Number(vec![1.5, 9.5, 2.5])),
        ("height".to_owned(), whole(&|_| 3)),
        ("width".to_owned(), whole(&|_| 3)),
        ("map".to_owned(), text(&|_| "////".repeat(3))),
    ];
    run.write("activations.parquet", &to_parquet(&columns, &[]).unwrap());
}

/// A usual audit that was explained.
pub(crate) fn explained() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| {
        let run = copy(sample(), "explained");
        explain(&run, false);
        run
    })
}

#[test]
fn it_says_what_goes_with_the_leak() {
    let Some(browser) = Browser::start() else {
        return;
    };
    open(&browser, sample());
    assert!(text(&browser, "#why").contains("giveaway explain RUN"));
    assert_eq!(visible(&browser, "#why svg"), 0);

    open(&browser, explained());
    assert!(!text(&browser, "#why").contains("giveaway explain RUN"));
    let lead = text(&browser, "#why .lead");
    assert!(lead.contains("What goes best with the leak"), "{lead}");
    for figure in [
        "measures",
        "screening",
        "columns",
        "classes",
        "group-0",
        "group-1",
    ] {
        assert_eq!(
            visible(&browser, &format!("#figure-why-{figure} svg")),
            1,
            "{figure}"
        );
    }
    let reasons = text(&browser, "#why .reasons");
    assert!(
        reasons.contains("near-duplicate across labels"),
        "{reasons}"
    );
    let measures = text(&browser, "#figure-why-measures table");
    assert!(measures.contains("-.050 [-.110, .010]"), "{measures}");
    assert!(measures.contains(".710 [.670–.750]"), "{measures}");
}

#[test]
fn the_map_leads_to_the_records() {
    let Some(browser) = Browser::start() else {
        return;
    };
    open(&browser, explained());
    assert_eq!(visible(&browser, ".map .view"), 1, "one view at a time");
    assert_eq!(visible(&browser, "#map-0 a.dot"), 6);
    browser.click("#map-view-1");
    assert_eq!(visible(&browser, "#map-0"), 0);
    assert_eq!(visible(&browser, "#map-1 a.dot"), 6);
    let id = &explained().report()["explanation"]["exposed"][2]["id"];
    let id = id.as_str().unwrap();
    let name = browser.run(
        "const a = document.querySelector(`#map-1 a.dot[href='#record-${arguments[0]}']`);
         const name = a.getAttribute('aria-label');
         a.dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true}));
         return name",
        &[json!(id)],
    );
    let name = name.as_str().unwrap();
    assert!(
        name.contains(id) && name.ends_with(": rare value"),
        "{name}"
    );
    browser.wait_until("document.getElementById('record').open");
    let body = text(&browser, "#record-body");
    assert!(
        body.contains("Why it is exposed") && body.contains("rare value"),
        "{body}"
    );
    let statement = format!("{SECRET} 2: {}", HOSTILE[2]);
    assert!(body.contains(&shown(&statement)), "{body}");
    assert!(
        body.contains("Holand-Netherlands") && body.contains("+2.70"),
        "{body}"
    );
}

#[test]
fn all_views_are_there_without_scripts() {
    let Some(browser) = Browser::start() else {
        return;
    };
    browser.devtools(
        "Emulation.setScriptExecutionDisabled",
        &json!({"value": true}),
    );
    browser.open(&explained().page());
    assert_eq!(visible(&browser, "#map-0 svg"), 1);
    browser.click("#map-view-1");
    assert_eq!(visible(&browser, "#map-1 svg"), 1);
}

#[test]
fn networks_are_seen_to_look() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let run = copy(images(), "explained-images");
    explain(&run, true);
    open(&browser, &run);
    // Two images, each beside what speaks for it.
    assert_eq!(visible(&browser, ".heats canvas"), 4);
    let lit = browser.run(
        "const c = document.querySelectorAll('.heats canvas')[1];
         return [...c.getContext('2d').getImageData(0, 0, 1, 1).data]",
        &[],
    );
    assert!(
        lit[0].as_u64() > Some(180) && lit[2].as_u64() < Some(60),
        "{lit}"
    );
    let id = run.report()["exposed"][2]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    browser.run("location.hash = `record-${arguments[0]}`", &[json!(id)]);
    browser.wait_until("document.getElementById('record').open");
    assert!(text(&browser, "#record-body").contains("Grad-CAM"));
}

#[test]
fn a_redacted_copy_has_nothing_of_single_records() {
    let run = copy(explained(), "explained-redacted");
    report_again(&run, &["--redact"]);
    let page = std::fs::read_to_string(run.file("redacted/report.html")).unwrap();
    let report = std::fs::read_to_string(run.file("redacted/report.json")).unwrap();
    for content in [&page, &report] {
        for gone in [SECRET, "Holand-Netherlands", "Preschool", "logits_tsne"] {
            assert!(!content.contains(gone), "{gone}");
        }
    }
    assert!(!page.contains("class=\"dot\"") && !page.contains("data-heats=\""));
    let redacted: Value = serde_json::from_str(&report).unwrap();
    let explanation = &redacted["explanation"];
    assert_eq!(explanation["exposed"], json!([]));
    assert_eq!(explanation["map"], Value::Null);
    let whole = run.report();
    assert_eq!(
        explanation["predictors"],
        whole["explanation"]["predictors"]
    );
    let Some(browser) = Browser::start() else {
        return;
    };
    browser.open(&run.file("redacted/report.html"));
    browser.wait_until("document.querySelector('#records.ready')");
    assert_eq!(visible(&browser, "#figure-why-measures svg"), 1);
    let heads = text(&browser, "#records-table thead");
    assert!(
        !heads.contains("Reason") && !heads.contains("Leak"),
        "{heads}"
    );
}
