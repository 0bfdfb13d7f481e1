//! The table of records and the evidence of each: what it shows is what `records.parquet` holds;
//! it sorts, filters and opens, by mouse and by keys.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Value, json};

use crate::checks::{
    accessibility_faults, console_complaints, injected, sideways_scroll, strings, visible,
};
use crate::numbers::says_about;
use crate::promises::{PHONE, open};
use crate::runs::{HOSTILE, Run, hostile, redacted, sample, shown};
use crate::webdriver::{Browser, file_url, key};

/// Numbers travel to the table with six digits.
const CARRIED: f64 = 5e-6;

/// The records of a run, by id as it is shown: column and value, nulls left out.
type Records = BTreeMap<String, BTreeMap<String, Value>>;

fn parquet(run: &Run) -> Records {
    let file = File::open(run.file("records.parquet")).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    rows.map(|row| {
        let row = row.unwrap();
        let columns: BTreeMap<String, Value> = row
            .get_column_iter()
            .filter_map(|(name, field)| {
                let value = match field {
                    Field::Null => return None,
                    Field::Str(text) => json!(shown(text)),
                    Field::Double(number) => json!(number),
                    Field::Long(number) => json!(number),
                    Field::Bool(truth) => json!(truth),
                    other => panic!("{name}: {other}"),
                };
                Some((name.clone(), value))
            })
            .collect();
        (columns["id"].as_str().unwrap().to_owned(), columns)
    })
    .collect()
}

/// A row of the table as it is shown: the text of each cell by the key of its column.
type Row = BTreeMap<String, String>;

/// The rows that the table shows now.
fn rows(browser: &Browser) -> Vec<Row> {
    let found = browser.run(
        "const keys = [...document.querySelectorAll('#records-table thead th')].map(e => e.dataset.key);
         return [...document.querySelectorAll('#records-table tr[data-row]')].map(row =>
           Object.fromEntries([...row.children].map((cell, i) => [keys[i], cell.textContent])))",
        &[],
    );
    serde_json::from_value(found).unwrap()
}

/// All rows, page by page.
fn all_rows(browser: &Browser) -> Vec<Row> {
    let mut all = Vec::new();
    loop {
        all.extend(rows(browser));
        let last = browser.run(
            "return document.getElementById('records-next').disabled",
            &[],
        );
        if last == json!(true) {
            return all;
        }
        browser.click("#records-next");
    }
}

/// Heading of each column, by its key.
fn headings(browser: &Browser) -> Vec<(String, String)> {
    let found = browser.run(
        "return [...document.querySelectorAll('#records-table thead th')]
           .map(e => [e.dataset.key, e.textContent])",
        &[],
    );
    serde_json::from_value(found).unwrap()
}

/// Where a column of the table stands in `records.parquet`.
fn source(key: &str, heading: &str) -> Option<String> {
    let name = match key {
        "id" | "class" | "group" | "member" => key,
        "p" => "p_value",
        "q" => "q_value",
        "loss" => "target_loss",
        "out" => "out_loss",
        "in" => "in_loss",
        "near" => "neighbours",
        _ if key.starts_with("attack-") => {
            return Some(format!("score_{}", heading.replace('-', "_")));
        }
        _ => return None,
    };
    Some(name.to_owned())
}

/// What the table says of a record: who was not tested has no verdict, not even a "no".
fn verdict(record: &BTreeMap<String, Value>) -> &'static str {
    match (record.contains_key("p_value"), record.get("given_away")) {
        (true, Some(Value::Bool(true))) => "yes",
        (true, _) => "not shown",
        (false, _) => "not tested",
    }
}

/// What is wrong with the text of a cell.
fn fault(text: &str, value: Option<&Value>) -> Option<String> {
    let right = match value {
        None => text.is_empty(),
        Some(Value::Bool(truth)) => text == if *truth { "yes" } else { "no" },
        Some(Value::String(words)) => text == words,
        Some(number) => match says_about(text, number.as_f64().unwrap(), CARRIED) {
            Ok(right) => right,
            Err(fault) => return Some(format!("{text:?}: {fault}")),
        },
    };
    (!right).then(|| format!("{text:?} where records.parquet has {value:?}"))
}

/// Opens the page and waits for its table.
fn open_table(browser: &Browser, run: &Run) {
    open(browser, run);
    browser.wait_until("document.querySelector('#records-table tr[data-row]')");
}

fn the_table_is_records_parquet(run: &Run) {
    let Some(browser) = Browser::start() else {
        return;
    };
    open_table(&browser, run);
    let records = parquet(run);
    let headings = headings(&browser);
    let rows = all_rows(&browser);
    assert_eq!(rows.len(), records.len());
    let mut compared = BTreeMap::<&str, usize>::new();
    let mut seen = BTreeSet::new();
    let mut faults = Vec::new();
    for row in &rows {
        let record = records
            .get(&row["id"])
            .unwrap_or_else(|| panic!("no record is called {:?}", row["id"]));
        seen.insert(&row["id"]);
        for (key, heading) in &headings {
            if key == "given" && row[key] != verdict(record) {
                faults.push(format!("{}: {:?}", row["id"], row[key]));
            }
            let Some(column) = source(key, heading) else {
                continue;
            };
            *compared.entry(key).or_default() += usize::from(!row[key].is_empty());
            if let Some(fault) = fault(&row[key], record.get(&column)) {
                faults.push(format!("{} {key}: {fault}", row["id"]));
            }
        }
    }
    assert_eq!(faults, [""; 0]);
    assert_eq!(seen.len(), rows.len(), "each record once");
    for key in [
        "id", "class", "p", "q", "loss", "out", "in", "member", "attack-0",
    ] {
        assert!(compared.get(key) > Some(&0), "{key} is empty: {compared:?}");
    }
}

#[test]
fn the_table_is_records_parquet_of_a_usual_audit() {
    the_table_is_records_parquet(sample());
}

#[test]
fn the_table_is_records_parquet_of_hostile_data() {
    the_table_is_records_parquet(hostile());
}

/// A cell as something to order by; `None` is last whatever the direction.
fn order_key(text: &str) -> Option<f64> {
    match text {
        "" => None,
        "yes" => Some(2.0),
        "no" | "not shown" => Some(1.0),
        "not tested" => Some(0.0),
        _ => Some(match text.split_once(" of ") {
            Some((part, whole)) => part.parse::<f64>().unwrap() / whole.parse::<f64>().unwrap(),
            None => text.replace(',', "").parse().unwrap(),
        }),
    }
}

#[test]
fn every_column_sorts_both_ways() {
    let Some(browser) = Browser::start() else {
        return;
    };
    open_table(&browser, sample());
    let records = parquet(sample());
    let directions = || -> BTreeMap<String, String> {
        let found = browser.run(
            "return Object.fromEntries([...document.querySelectorAll('#records-table th[aria-sort]')]
               .map(e => [e.dataset.key, e.getAttribute('aria-sort')]))",
            &[],
        );
        serde_json::from_value(found).unwrap()
    };
    assert_eq!(
        directions(),
        [("p".to_owned(), "ascending".to_owned())].into()
    );
    let headings = headings(&browser);
    assert!(headings.len() >= 10, "{headings:?}");
    for (key, heading) in &headings {
        let mut ways = BTreeSet::new();
        for _ in 0..2 {
            browser.click(&format!("#records-table th[data-key='{key}'] button"));
            let directions = directions();
            assert_eq!(directions.len(), 1, "{directions:?}");
            let down = directions[key] == "descending";
            ways.insert(down);
            let texts: Vec<String> = rows(&browser)
                .into_iter()
                .map(|mut row| row.remove(key).unwrap())
                .collect();
            if key == "class" || key == "group" {
                assert!(
                    texts.is_sorted_by(|a, b| if down { a >= b } else { a <= b }),
                    "{key}: {texts:?}"
                );
                continue;
            }
            // What is missing stands behind everything, in both directions.
            let worst = if down {
                f64::NEG_INFINITY
            } else {
                f64::INFINITY
            };
            let keys: Vec<f64> = texts
                .iter()
                .map(|text| order_key(text).unwrap_or(worst))
                .collect();
            assert!(
                keys.is_sorted_by(|a, b| if down { a >= b } else { a <= b }),
                "{key}: {texts:?}"
            );
            // The first of all records, not only of those on this page.
            let Some(column) = source(key, heading).filter(|_| key != "id") else {
                continue;
            };
            let values = records
                .values()
                .filter_map(|record| record.get(&column)?.as_f64());
            let extreme = if down {
                values.reduce(f64::max)
            } else {
                values.reduce(f64::min)
            };
            if let Some(extreme) = extreme {
                assert_eq!(
                    says_about(&texts[0], extreme, CARRIED),
                    Ok(true),
                    "{key}: {extreme}"
                );
            }
        }
        assert_eq!(ways.len(), 2, "{key} sorts one way only");
    }
}

/// Chooses an option of a filter, as a reader does.
fn choose(browser: &Browser, filter: &str, option: &Value) {
    browser.run(
        "const filter = document.querySelector(arguments[0]);
         filter.value = arguments[1];
         if (filter.value !== arguments[1]) throw new Error(`no option ${arguments[1]}`);
         filter.dispatchEvent(new Event('change', {bubbles: true}))",
        &[json!(filter), option.clone()],
    );
}

/// Value and text of every option that leaves something out.
fn options(browser: &Browser, filter: &str) -> Vec<(Value, String)> {
    let found = browser.run(
        "return [...document.querySelectorAll(arguments[0] + ' option')].map(e => [e.value, e.textContent])",
        &[json!(filter)],
    );
    serde_json::from_value(found).unwrap()
}

fn ids(rows: &[Row]) -> BTreeSet<String> {
    rows.iter().map(|row| row["id"].clone()).collect()
}

/// Ids of the records of which this is true.
fn which(records: &Records, is: impl Fn(&BTreeMap<String, Value>) -> bool) -> BTreeSet<String> {
    records
        .iter()
        .filter(|(_, record)| is(record))
        .map(|(id, _)| id.clone())
        .collect()
}

#[test]
fn filters_leave_what_they_say() {
    let Some(browser) = Browser::start() else {
        return;
    };
    open_table(&browser, sample());
    let records = parquet(sample());
    let status = || {
        let text = browser.run(
            "return document.getElementById('records-status').textContent",
            &[],
        );
        text.as_str().unwrap().to_owned()
    };
    let holds = |wanted: &BTreeSet<String>, what: &str| {
        assert_eq!(&ids(&all_rows(&browser)), wanted, "{what}");
        let start = if wanted.is_empty() {
            "None of".to_owned()
        } else {
            format!("{} of {} rows", wanted.len(), records.len())
        };
        assert!(status().starts_with(&start), "{what}: {}", status());
    };
    let everybody = which(&records, |_| true);
    holds(&everybody, "no filter");

    let classes = options(&browser, "#filter-class");
    assert_eq!(classes.len(), 3, "{classes:?}");
    for (value, class) in &classes[1..] {
        choose(&browser, "#filter-class", value);
        holds(&which(&records, |r| r["class"] == *class), class);
    }
    choose(&browser, "#filter-class", &classes[0].0);
    holds(&everybody, "any class");

    let given = which(&records, |r| r.get("given_away") == Some(&json!(true)));
    assert!(!given.is_empty(), "nobody is given away in the sample");
    choose(&browser, "#filter-flagged", &json!("given"));
    holds(&given, "given away");
    for (option, word) in [("unnamed", "not shown"), ("untested", "not tested")] {
        choose(&browser, "#filter-flagged", &json!(option));
        let wanted = which(&records, |r| verdict(r) == word);
        assert!(!wanted.is_empty());
        holds(&wanted, option);
    }
    choose(&browser, "#filter-flagged", &json!("tested"));
    let selected = which(&records, |r| r.contains_key("p_value"));
    holds(&selected, "tested");

    // Two filters together.
    choose(&browser, "#filter-class", &classes[1].0);
    let both = which(&records, |r| {
        r["class"] == classes[1].1 && r.contains_key("p_value")
    });
    assert!(both.len() < selected.len());
    holds(&both, "tested, of a class");
    choose(&browser, "#filter-class", &classes[0].0);
    choose(&browser, "#filter-flagged", &json!("all"));

    let attacks = options(&browser, "#filter-attack");
    assert_eq!(attacks.len(), 4, "{attacks:?}");
    for (value, attack) in &attacks[1..] {
        choose(&browser, "#filter-attack", value);
        let column = format!("score_{}", attack.replace('-', "_"));
        let mut scores: Vec<f64> = records
            .values()
            .map(|r| r[&column].as_f64().unwrap())
            .collect();
        scores.sort_by(|a, b| b.total_cmp(a));
        // 1 % of 569, rounded up, and equals of the last: fewer than twice as many here.
        let last = scores[5];
        let first = which(&records, |r| r[&column].as_f64() >= Some(last));
        assert!((6..=12).contains(&first.len()), "{attack}: {}", first.len());
        holds(&first, attack);
    }
    choose(&browser, "#filter-attack", &attacks[0].0);

    browser.type_into("#filter-text", "29");
    holds(
        &which(&records, |r| r["id"].as_str().unwrap().contains("29")),
        "text",
    );
    browser.type_into("#filter-text", "no such");
    holds(&BTreeSet::new(), "nothing");

    // A link on the page that shows a part of the table does so whatever was chosen before.
    browser.run(
        "const link = document.createElement('a');
         link.href = '#records';
         link.dataset.show = 'given';
         document.querySelector('main').append(link);
         link.click()",
        &[],
    );
    holds(&given, "a link to those given away");
    let chosen = browser.run(
        "return document.getElementById('filter-flagged').value",
        &[],
    );
    assert_eq!(chosen, json!("given"));
}

/// Opens the record and tells what it says.
fn opened(browser: &Browser, id: &str) -> String {
    browser.run(
        "location.hash = '#record-' + encodeURIComponent(arguments[0])",
        &[json!(id)],
    );
    let title = serde_json::to_string(id).unwrap();
    browser.wait_until(&format!(
        "document.getElementById('record').open \
         && document.querySelector('#record-title bdi').textContent === {title}"
    ));
    evidence(browser)
}

#[test]
fn a_verdict_is_passed_on_those_tested_only() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let run = sample();
    open_table(&browser, run);
    let records = parquet(run);
    let report = run.report();
    let mut seen = BTreeMap::<&str, usize>::new();
    for (id, record) in &records {
        let verdict = verdict(record);
        let number = seen.entry(verdict).or_default();
        *number += 1;
        if *number > 5 {
            continue;
        }
        let text = opened(&browser, id);
        let chip = match verdict {
            "yes" => "given away",
            "not shown" => "not shown to be given away",
            _ => "not tested",
        };
        assert!(text.lines().any(|line| line.contains(chip)), "{text}");
        assert!(!text.contains("not given away"), "{text}");
        let untested = text.contains(
            "Not selected for testing, so no verdict was passed on it. Its p-value would be",
        ) && text.contains("uncorrected for having looked at 569 records.");
        assert_eq!(untested, verdict == "not tested", "{text}");
        assert_eq!(text.contains("q-value"), verdict != "not tested", "{text}");
        let high = record["target_loss"].as_f64().unwrap() > 0.694;
        let still = text.contains("still wrong or unsure about it");
        assert_eq!(still, high && verdict == "yes", "{text}");
        // The count of models does not imply the p-value of the null t.
        if verdict == "yes" {
            let p = record["p_value"].as_f64().unwrap();
            let out = text.split_once("Of ").unwrap().1;
            let (models, rest) = out
                .split_once(" models that were not trained on it, ")
                .unwrap();
            let models: f64 = models.parse().unwrap();
            if rest.starts_with("none") && p < 1.0 / (models + 1.0) {
                let told = format!("the p-value is 1 in {}, the smallest", models + 1.0);
                assert!(text.contains(&told), "{told}: {text}");
            }
        }
    }
    assert_eq!(report["test"]["null"], "t");
    assert_eq!(seen.len(), 3, "{seen:?}");
}

#[test]
fn a_redacted_table_has_the_tested_only() {
    let Some(browser) = Browser::start() else {
        return;
    };
    open_table(&browser, redacted());
    let report = redacted().report();
    let all = all_rows(&browser);
    assert_eq!(report["test"]["selected"], all.len());
    let keys: BTreeSet<&str> = all[0].keys().map(String::as_str).collect();
    assert_eq!(keys, ["class", "given", "id", "p", "q"].into());
    assert_eq!(visible(&browser, "#filter-attack"), 0);
    let text = opened(&browser, &all[0]["id"]);
    assert!(text.contains("would look like this or more so"), "{text}");
    assert!(!text.contains("attack"), "{text}");
    assert_eq!(console_complaints(&browser), [""; 0]);
}

/// What the open record says, part by part.
fn evidence(browser: &Browser) -> String {
    let text = browser.run("return document.getElementById('record').innerText", &[]);
    text.as_str().unwrap().to_owned()
}

fn is_open(browser: &Browser) -> bool {
    browser.run("return document.getElementById('record').open", &[]) == json!(true)
}

/// The row's record that has the focus, if one has.
fn focused_row(browser: &Browser) -> Value {
    browser.run(
        "const row = document.activeElement.closest('tr[data-row]');
         return row && row.querySelector('a').textContent",
        &[],
    )
}

#[test]
fn a_record_opens_and_shows_its_evidence() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let run = sample();
    open_table(&browser, run);
    let records = parquet(run);
    let first = rows(&browser)[0].clone();
    let record = &records[&first["id"]];
    browser.click("#records-table tr[data-row] a");
    browser.wait_until("document.getElementById('record').open");
    let text = evidence(&browser);
    for expected in [
        format!("Record {}", first["id"]),
        format!("class: {}", first["class"]),
        format!("loss on this record is {}", first["loss"]),
        "models that were not trained on it".to_owned(),
        "nearest neighbours".to_owned(),
        "what it holds".to_owned(),
        "what each attack says".to_owned(),
        "rmia-online".to_owned(),
        first["p"].clone(),
        first["q"].clone(),
    ] {
        assert!(
            text.to_lowercase().contains(&expected.to_lowercase()),
            "no {expected:?} in\n{text}"
        );
    }
    assert_eq!(visible(&browser, "#record svg.strip"), 1, "{record:?}");
    for scheme in ["dark", "light"] {
        browser.prefer(scheme);
        assert_eq!(accessibility_faults(&browser), [""; 0], "{scheme}");
    }

    // On to the next one and back, then away; the focus is where the reader was.
    browser.click("#record-next");
    let second = rows(&browser)[1].clone();
    assert!(evidence(&browser).contains(&format!("Record {}", second["id"])));
    browser.click("#record-previous");
    assert!(evidence(&browser).contains(&format!("Record {}", first["id"])));
    // The table stays where it was scrolled to, and shows what it showed.
    let sideways = "return document.getElementById('records-table').parentElement.scrollLeft";
    let before = browser.run(sideways, &[]);
    browser.click("#record-close");
    assert!(!is_open(&browser));
    assert_eq!(browser.run(sideways, &[]), before);
    browser.wait_until("document.activeElement.closest('tr[data-row]')");
    assert_eq!(focused_row(&browser), json!(first["id"]));
    assert_eq!(console_complaints(&browser), [""; 0]);
    assert_eq!(browser.requests(), [file_url(&run.page())]);
}

#[test]
fn the_first_columns_fit_a_phone() {
    let Some(browser) = Browser::start() else {
        return;
    };
    browser.screen(PHONE.0, PHONE.1, true);
    open_table(&browser, sample());
    let right = browser.run(
        "return document.querySelector(\"#records-table th[data-key='p']\").getBoundingClientRect().right",
        &[],
    );
    assert!(
        right.as_f64().unwrap() <= f64::from(PHONE.0),
        "p ends at {right}"
    );
}

#[test]
fn a_record_fits_a_phone() {
    let Some(browser) = Browser::start() else {
        return;
    };
    browser.screen(PHONE.0, PHONE.1, true);
    for run in [sample(), hostile()] {
        open_table(&browser, run);
        browser.click("#records-table tr[data-row] a");
        browser.wait_until("document.getElementById('record').open");
        assert_eq!(sideways_scroll(&browser), [""; 0]);
        let over = browser.run(
            "const d = document.getElementById('record'); return d.scrollWidth - d.clientWidth",
            &[],
        );
        assert_eq!(over, json!(0), "the evidence is too wide");
        let squeezed = browser.run(
            "return [...document.querySelectorAll('#record-body th, #record-body td.words')]
               .filter(e => e.offsetWidth < 60).map(e => e.textContent)",
            &[],
        );
        assert_eq!(strings(&squeezed), [""; 0], "no room for words");
        assert_eq!(accessibility_faults(&browser), [""; 0]);
    }
}

#[test]
fn keys_are_enough() {
    let Some(browser) = Browser::start() else {
        return;
    };
    open_table(&browser, sample());
    let first = rows(&browser)[0]["id"].clone();
    // What Tab comes by, from the top to the first record; all of it is seen to have the focus.
    let mut passed = Vec::new();
    loop {
        browser.press(&[key::TAB]);
        let stop = browser.run(
            "const e = document.activeElement, s = getComputedStyle(e);
             return {name: e.id || e.closest('th')?.dataset.key || e.textContent.trim(),
               record: Boolean(e.closest('tr[data-row]')),
               seen: s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2}",
            &[],
        );
        let name = stop["name"].as_str().unwrap().to_owned();
        assert_eq!(
            stop["seen"],
            json!(true),
            "nothing shows that {name} has the focus"
        );
        passed.push(name);
        if stop["record"] == json!(true) {
            break;
        }
        assert!(passed.len() < 300, "no way to a record: {passed:?}");
    }
    for wanted in [
        "Skip to the result",
        "theme",
        "filter-flagged",
        "filter-class",
        "filter-attack",
        "filter-text",
        "id",
        "p",
        "attack-0",
    ] {
        assert!(
            passed.iter().any(|name| name == wanted),
            "{wanted}: {passed:?}"
        );
    }
    assert_eq!(focused_row(&browser), json!(first));
    browser.press(&[key::ENTER]);
    browser.wait_until("document.getElementById('record').open");
    let inside = "return document.getElementById('record').contains(document.activeElement)";
    assert_eq!(browser.run(inside, &[]), json!(true));
    // The page behind it is out of reach.
    for _ in 0..12 {
        browser.press(&[key::TAB]);
        let place = browser.run(
            "const e = document.activeElement;
             return e === document.body || document.getElementById('record').contains(e)",
            &[],
        );
        assert_eq!(place, json!(true));
    }
    browser.press(&[key::ESCAPE]);
    browser.wait_until("!document.getElementById('record').open");
    browser.wait_until("document.activeElement.closest('tr[data-row]')");
    assert_eq!(focused_row(&browser), json!(first));
    // Sorting by keys.
    browser.run(
        "document.querySelector(\"#records-table th[data-key='out'] button\").focus()",
        &[],
    );
    browser.press(&[key::SPACE]);
    browser.wait_until(
        "document.querySelector(\"#records-table th[data-key='out']\").ariaSort === 'descending'",
    );
}

#[test]
fn hostile_text_is_text_in_every_record() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let run = hostile();
    open_table(&browser, run);
    let classes: Vec<String> = options(&browser, "#filter-class")[1..]
        .iter()
        .map(|(_, class)| class.clone())
        .collect();
    let mut expected: Vec<String> = [0, 1, 6].map(|i| shown(HOSTILE[i])).to_vec();
    expected.sort();
    let mut found = classes;
    found.sort();
    assert_eq!(found, expected, "the classes");

    // One record for each of the ways in which an id is hostile.
    for (index, hostile_id) in HOSTILE.iter().enumerate() {
        let id = format!("{}{index}", shown(hostile_id));
        browser.run(
            "const filter = document.getElementById('filter-text');
             filter.value = arguments[0];
             filter.dispatchEvent(new Event('input'))",
            &[json!(id)],
        );
        let rows = rows(&browser);
        assert!(
            rows.iter().any(|row| row["id"] == id),
            "no {id:?}: {rows:?}"
        );
        browser.run(
            "[...document.querySelectorAll('tr[data-row] a')]
               .find(a => a.textContent === arguments[0]).click()",
            &[json!(id)],
        );
        browser.wait_until("document.getElementById('record').open");
        let title = browser.run(
            "return document.querySelector('#record-title bdi').textContent",
            &[],
        );
        assert_eq!(title, json!(id));
        // The names of all features and the values of the two categories stand there verbatim.
        let names = strings(&browser.run(
            "return [...document.querySelectorAll('#record-body th bdi')].map(e => e.textContent)",
            &[],
        ));
        for feature in [HOSTILE[1], HOSTILE[2], HOSTILE[6], HOSTILE[7]] {
            assert!(names.contains(&shown(feature)), "no {feature:?}: {names:?}");
        }
        let values = strings(&browser.run(
            "return [...document.querySelectorAll('#record-body td bdi')].map(e => e.textContent)",
            &[],
        ));
        let known: Vec<String> = HOSTILE.iter().map(|text| shown(text)).collect();
        assert!(
            values.iter().filter(|value| known.contains(value)).count() >= 2,
            "{values:?}"
        );
        assert!(!browser.has_dialog(), "{id:?} ran");
        assert_eq!(injected(&browser), [""; 0], "{id:?}");
        browser.press(&[key::ESCAPE]);
        browser.wait_until("!document.getElementById('record').open");
    }
    assert_eq!(console_complaints(&browser), [""; 0]);
    assert_eq!(browser.requests(), [file_url(&run.page())]);
}

#[test]
fn a_link_leads_to_the_record() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let run = sample();
    open_table(&browser, run);
    let id = rows(&browser)[3]["id"].clone();
    let mut page = file_url(&run.page());
    page.push_str("#record-");
    page.push_str(&id);
    browser.open_address("about:blank");
    browser.open_address(&page);
    browser.wait_until("document.getElementById('record').open");
    assert!(evidence(&browser).contains(&format!("Record {id}")));
}
