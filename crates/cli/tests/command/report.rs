//! `giveaway report`: the page again, from the run directory alone, and what may leave the house.

use std::fmt::Write;
use std::io::Read;

use base64::Engine;

use crate::sandbox::Sandbox;

/// Records with names and values that are easily found in a text.
fn people() -> String {
    let mut csv = String::from("name,income,town,label\n");
    for i in 0..120u32 {
        let label = if (i * 7 + i / 5) % 3 == 0 {
            "sick"
        } else {
            "healthy"
        };
        let town = ["Zwolle", "Quimper", "Xativa"][(i % 3) as usize];
        let income = 1000 + 37 * i;
        writeln!(csv, "person-{i:04},{income}.73519,{town},{label}").unwrap();
    }
    csv
}

fn audited() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people());
    sandbox
        .audit(
            "people.csv --label label --id name --run run --attacks loss,lira-online --models 16",
        )
        .succeeded();
    sandbox
}

/// The page with its records unpacked.
fn page(sandbox: &Sandbox, name: &str) -> (String, String) {
    let html = std::fs::read_to_string(sandbox.path(name)).unwrap();
    let start = html.find("id=\"payload\"").unwrap();
    let start = start + html[start..].find('>').unwrap() + 1;
    let end = start + html[start..].find('<').unwrap();
    let packed = base64::engine::general_purpose::STANDARD
        .decode(html[start..end].trim())
        .unwrap();
    let mut records = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice())
        .read_to_end(&mut records)
        .unwrap();
    // The length of the text, the text, and losses and pixels as bytes.
    let (length, rest) = records.split_first_chunk::<4>().unwrap();
    let text = &rest[..u32::from_le_bytes(*length) as usize];
    (html, String::from_utf8(text.to_vec()).unwrap())
}

#[test]
fn the_page_is_made_again_from_the_run_directory_alone() {
    let sandbox = audited();
    let first = std::fs::read(sandbox.path("run/report.html")).unwrap();
    let before = sandbox.contents("run");
    std::fs::remove_file(sandbox.path("people.csv")).unwrap();
    std::fs::remove_file(sandbox.path("run/report.html")).unwrap();
    let done = sandbox.run("report run");
    assert_eq!(done.succeeded().stdout, "run/report.html\n");
    assert_eq!(
        std::fs::read(sandbox.path("run/report.html")).unwrap(),
        first
    );
    assert_eq!(sandbox.contents("run"), before, "nothing else changed");

    let done = sandbox.run("report run --out elsewhere --figures");
    done.succeeded();
    let written = sandbox.contents("elsewhere");
    assert_eq!(written[std::path::Path::new("report.html")], first);
    assert_eq!(done.stdout.lines().count(), written.len());
    let figures: Vec<_> = written
        .iter()
        .filter(|(path, _)| path.starts_with("figures"))
        .collect();
    assert!(figures.len() >= 8, "{figures:?}");
    for (path, svg) in figures {
        let svg = std::str::from_utf8(svg).unwrap();
        assert!(
            svg.contains("xmlns=") && svg.ends_with("</svg>\n"),
            "{}",
            path.display()
        );
    }
    assert_eq!(sandbox.contents("run"), before, "the run was only read");
}

#[test]
fn a_redacted_page_tells_nobody_who_is_in_it() {
    let sandbox = audited();
    let (html, records) = page(&sandbox, "run/report.html");
    // What is to be gone is there without redaction, or its absence would prove nothing.
    assert!(html.contains("person-0"));
    for known in ["person-0", "Quimper", ".73519", "income"] {
        assert!(records.contains(known), "{known}");
    }
    sandbox.run("report run --redact").succeeded();
    let (html, records) = page(&sandbox, "run/redacted/report.html");
    let json = std::fs::read_to_string(sandbox.path("run/redacted/report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    let full = sandbox.written_report("run");
    for (name, text) in [("page", &html), ("records", &records), ("json", &json)] {
        for known in ["person-", "Quimper", "Zwolle", ".73519", "income", "town"] {
            assert!(!text.contains(known), "{known} in the {name}");
        }
    }
    assert_eq!(report["redacted"], true);
    assert_eq!(
        report["verdict"]["given_away"],
        full["verdict"]["given_away"]
    );
    assert!(report["verdict"]["wrong"].is_null() && !full["verdict"]["wrong"].is_null());
    assert_eq!(report["on_target"], serde_json::json!([]));
    assert!(!full["on_target"].as_array().unwrap().is_empty());
    let exposed = report["exposed"].as_array().unwrap();
    assert!(!exposed.is_empty());
    for (one, original) in exposed.iter().zip(full["exposed"].as_array().unwrap()) {
        for gone in [
            "member",
            "target_loss",
            "out_loss",
            "in_loss",
            "neighbours",
            "recurrence",
        ] {
            assert!(one[gone].is_null(), "{gone}: {one}");
            assert!(!original["target_loss"].is_null());
        }
        assert_eq!(one["id"].as_str().unwrap().len(), 16);
    }
    let columns: serde_json::Value = serde_json::from_str(&records).unwrap();
    assert_eq!(
        report["test"]["selected"],
        columns["id"].as_array().unwrap().len()
    );
    for gone in [
        "member",
        "loss",
        "out",
        "in",
        "near",
        "losses",
        "features",
        "images",
        "found",
        "inTargets",
        "accused",
        "outTargets",
        "playedIn",
        "playedOut",
        "pAll",
        "neighbours",
    ] {
        let column = &columns[gone];
        let nothing = column
            .as_array()
            .is_some_and(|values| values.iter().all(serde_json::Value::is_null));
        assert!(column.is_null() || nothing, "{gone}: {column}");
    }
    assert_eq!(columns["attacks"], serde_json::json!([]));

    for histogram in report["figures"]["losses"].as_array().unwrap() {
        assert_eq!(histogram["model"], "references");
    }
    for attack in report["attacks"]["attacks"].as_array().unwrap() {
        assert!(attack["on_target"].is_null() && attack["carried"] == serde_json::json!([]));
    }
    assert_eq!(report["notes"], serde_json::json!([]));
    assert!(report["seed"].is_null() && !full["seed"].is_null());

    // The same key, the same names; another key, others.
    let first = std::fs::read(sandbox.path("run/redacted/report.json")).unwrap();
    sandbox.run("report run --redact").succeeded();
    assert_eq!(
        std::fs::read(sandbox.path("run/redacted/report.json")).unwrap(),
        first
    );
    sandbox.write("key", "ab".repeat(32));
    sandbox
        .run("report run --redact --key key --out other")
        .succeeded();
    let other = std::fs::read_to_string(sandbox.path("other/report.json")).unwrap();
    let other: serde_json::Value = serde_json::from_str(&other).unwrap();
    assert_ne!(other["exposed"][0]["id"], report["exposed"][0]["id"]);
}

#[test]
fn what_cannot_be_reported_is_told() {
    let sandbox = audited();
    sandbox
        .run("report nowhere")
        .refused(3, &["manifest.json", "giveaway audit"]);
    sandbox
        .run("report people.csv")
        .refused(3, &["no run directory"]);
    sandbox
        .run("report run --key key")
        .refused(2, &["--redact"]);
    sandbox
        .run("report run --redact --key key")
        .refused(3, &["key"]);
    sandbox.write("key", "0123");
    sandbox
        .run("report run --redact --key key")
        .refused(3, &["64 hexadecimal digits", "openssl rand"]);
    sandbox
        .run("report run --redact --out elsewhere")
        .refused(2, &["--key"]);
    sandbox
        .run("report run --redact --key key --out run")
        .refused(2, &["run directory", "--out"]);
    sandbox.write("file", "");
    sandbox.run("report run --out file/x").refused(3, &["file"]);

    let file = sandbox.path("run/report.json");
    let whole = std::fs::read_to_string(&file).unwrap();
    let page = std::fs::read(sandbox.path("run/report.html")).unwrap();
    let newer = whole.replace("\"format_version\": 1,", "\"format_version\": 99,");
    let redacted = whole.replace("\"redacted\": false", "\"redacted\": true");
    let units = whole.replace("\"unit_name\": \"records\"", "\"unit_name\": \"<script>\"");
    for (content, words) in [
        (&whole[..whole.len() / 2], "not a result"),
        ("{}", "not a result"),
        (newer.as_str(), "format version 99"),
        (redacted.as_str(), "redacted"),
        (units.as_str(), "unit_name"),
    ] {
        std::fs::write(&file, content).unwrap();
        sandbox
            .run("report run")
            .refused(3, &[words, "report.json"]);
    }
    std::fs::remove_file(&file).unwrap();
    sandbox
        .run("report run")
        .refused(3, &["not finished", "giveaway audit run"]);
    std::fs::write(&file, &whole).unwrap();

    for name in [
        "records.parquet",
        "data.parquet",
        "neighbours.parquet",
        "membership.npy",
        "signals/009.npy",
        "encoding.json",
    ] {
        let file = sandbox.path("run").join(name);
        let whole = std::fs::read(&file).unwrap();
        for damaged in [&whole[..whole.len() / 2], b"PAR1 nonsense PAR1"] {
            std::fs::write(&file, damaged).unwrap();
            let last = name.rsplit('/').next().unwrap();
            sandbox.run("report run").refused(3, &[last]);
        }
        std::fs::write(&file, whole).unwrap();
    }
    sandbox.run("report run").succeeded();
    assert_eq!(
        std::fs::read(sandbox.path("run/report.html")).unwrap(),
        page
    );
}

/// The text of a page, without its figures, tables of numbers and records.
fn words(html: &str) -> String {
    let start = html.find("<main").unwrap();
    let end = html.find("</main>").unwrap();
    let mut text = String::new();
    let mut inside = false;
    for character in html[start..end].chars() {
        match character {
            '<' => inside = true,
            '>' => inside = false,
            other if !inside => text.push(other),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What is true of the usual audit and of no other must not be said of the others.
#[test]
fn the_page_says_what_is_true_of_this_audit() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people());
    let other = people().replace("person-", "other-");
    sandbox.write("other.csv", other);
    let mut outputs = String::from("healthy,sick\n");
    for i in 0..120 {
        writeln!(outputs, "0.{},0.{}", 30 + i % 40, 70 - i % 40).unwrap();
    }
    sandbox.write("outputs.csv", outputs);
    let audit = |name: &str, options: &str| {
        sandbox.audit(&format!(
            "people.csv --label label --id name --run {name} {options} --quiet"
        ));
        let html = std::fs::read_to_string(sandbox.path(name).join("report.html")).unwrap();
        assert!(!html.contains("data-absent"), "{name}: {html}");
        let words = words(&html);
        assert!(!words.contains("NaN"), "{name}: {words}");
        words
    };
    let usual = audit("usual", "");
    assert!(
        usual.contains("of the records whose own loss falls most"),
        "{usual}"
    );
    assert!(
        usual.contains("Among those selected the distributions part further"),
        "{usual}"
    );

    let all = audit("all", "--select all");
    assert!(all.contains("Tested were all records audited"), "{all}");
    assert!(!all.contains("Among those selected") && !all.contains("were tested. The others"));
    assert!(all.contains("Losses of this model, all audited"));
    assert!(!all.contains("those selected and tested"), "{all}");

    let unknown = audit("unknown", "--target-outputs outputs.csv");
    assert!(unknown.contains("is not known here"), "{unknown}");
    assert!(!unknown.contains("the model leaks"), "{unknown}");
    assert!(!unknown.contains("the truth is known"), "{unknown}");

    let reference = audit("reference", "--reference other.csv");
    assert!(
        reference.contains("trained on data of their own"),
        "{reference}"
    );
    assert!(!usual.contains("trained on data of their own"));

    let none = audit("none", "--attacks none");
    assert!(!none.contains("What other attacks find") && !none.contains("attacks tried"));

    let bootstrap = audit("bootstrap", "--design bootstrap");
    assert!(bootstrap.contains("draws of records"), "{bootstrap}");
    assert!(!usual.contains("draws of records"));

    let counting = audit("counting", "--null ecdf");
    assert!(
        counting.contains("Too few reference models to name anybody"),
        "{counting}"
    );
    assert!(!counting.contains("none stands out"), "{counting}");
}
