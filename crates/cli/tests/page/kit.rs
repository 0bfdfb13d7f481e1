//! The checks themselves, on a page that breaks every promise and on one that keeps them.

use std::path::PathBuf;

use serde_json::json;
use tempfile::TempDir;

use crate::checks::{
    accessibility_faults, console_complaints, cut_labels, injected, sideways_scroll, visible,
};
use crate::numbers::{compare, digits_without_source};
use crate::webdriver::{Browser, file_url, key};

const BAD: &str = r#"<!doctype html><html lang="en"><head><title>bad</title>
<style>p { color: #ccc; background: #ddd } #wide { width: 3000px } #none { display: none }</style></head>
<body><main id="main"><h1>Bad</h1>
<p>A faint line with 17 in it</p><div id="wide" onclick="x()">wide</div><p id="none">none</p>
<data value="0.25" data-from="/a">26 %</data><data value="0.5" data-from="/a">50 %</data>
<data value="1" data-from="/nowhere">1</data><b data-from="/s">Words</b>
<svg id="figure" width="90" height="20"><text y="15" x="60">too far right</text></svg>
<img src="https://giveaway.invalid/x.png">
<script>console.error("a complaint"); setTimeout(() => alert("hello"), 0)</script>
</main></body></html>"#;

const GOOD: &str = r#"<!doctype html><html lang="en"><head><title>good</title>
<style>@media print { button { display: none } }
@media (prefers-color-scheme: dark) { body { background: #000; color: #fff } }</style></head>
<body><main id="main"><h1>Good</h1>
<p>A line with <data value="0.25" data-from="/a">25 %</data>, <b data-from="/s">words</b> and
<span data-fixed>95 %</span></p>
<button onclick-not="">Press</button><svg role="img" aria-label="a figure"><text y="20">12</text></svg>
<script>document.querySelector("button").addEventListener("click", () => document.title += "!")</script>
</main></body></html>"#;

fn page(folder: &TempDir, name: &str, content: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

#[test]
fn a_bad_page_is_found_out() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    // A name that has to be encoded.
    let path = page(&folder, "ein bißchen #schlecht?.html", BAD);
    browser.open(&path);
    // The dialog comes after the script, and holds the page up.
    let start = std::time::Instant::now();
    while !browser.has_dialog() {
        assert!(start.elapsed().as_secs() < 20, "no dialog");
    }
    browser.accept_dialog();
    assert!(!browser.has_dialog());

    let complaints = console_complaints(&browser);
    assert!(
        complaints.iter().any(|text| text.contains("a complaint")),
        "{complaints:?}"
    );
    let requests = browser.requests();
    assert_eq!(requests[0], file_url(&path), "{requests:?}");
    assert!(
        requests.contains(&"https://giveaway.invalid/x.png".to_owned()),
        "{requests:?}"
    );

    let faults = accessibility_faults(&browser);
    for rule in ["color-contrast", "image-alt"] {
        assert!(faults.iter().any(|f| f.starts_with(rule)), "{faults:?}");
    }
    let wide = sideways_scroll(&browser);
    assert!(
        wide.iter().any(|line| line.contains("id=\"wide\"")),
        "{wide:?}"
    );
    let cut = cut_labels(&browser);
    assert!(
        cut[0].starts_with("too far right sticks out of figure"),
        "{cut:?}"
    );
    let injected = injected(&browser);
    assert_eq!(injected.len(), 2, "{injected:?}");

    let found = compare(&browser, &json!({"a": 0.25, "s": "words"}));
    assert_eq!((found.numbers, found.words), (2, 1));
    assert_eq!(found.faults.len(), 4, "{found:?}");
    let digits = digits_without_source(&browser);
    assert_eq!(digits, ["P in main: A faint line with 17 in it"]);
}

#[test]
fn a_good_page_passes() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = page(&folder, "good.html", GOOD);
    browser.open(&path);
    assert_eq!(console_complaints(&browser), [""; 0]);
    assert_eq!(browser.requests(), [file_url(&path)]);
    assert_eq!(accessibility_faults(&browser), [""; 0]);
    assert_eq!(sideways_scroll(&browser), [""; 0]);
    assert_eq!(cut_labels(&browser), [""; 0]);
    assert!(!browser.has_dialog());
    let found = compare(&browser, &json!({"a": 0.25, "s": "words"}));
    assert_eq!((found.numbers, found.words), (1, 1), "{found:?}");
    assert_eq!(found.faults, [""; 0]);
    assert_eq!(digits_without_source(&browser), [""; 0]);

    let background = "return getComputedStyle(document.body).backgroundColor";
    browser.prefer("dark");
    assert_eq!(browser.run(background, &[]), json!("rgb(0, 0, 0)"));
    browser.prefer("light");
    assert_ne!(browser.run(background, &[]), json!("rgb(0, 0, 0)"));

    assert_eq!(visible(&browser, "button"), 1);
    browser.emulate_print(Some(700));
    assert_eq!(visible(&browser, "button"), 0);
    assert_eq!(browser.run("return innerWidth", &[]), json!(700));
    browser.emulate_print(None);
    assert_eq!(visible(&browser, "button"), 1);

    browser.press(&[key::TAB, key::ENTER, key::SPACE]);
    assert_eq!(browser.run("return document.title", &[]), json!("good!!"));
    browser.screen(390, 844, true);
    assert_eq!(browser.run("return screen.width", &[]), json!(390));
}
