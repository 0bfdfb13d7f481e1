use std::fmt::Write as _;
use std::io::Read as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::*;
use crate::dataset::{Body, Table as Data, TableOptions, Values as ColumnValues};
use crate::report::page::payload::{Payload, payload, payload_within};
use crate::report::page::rows::choose_among;
use crate::report::redact::{Redaction, coarse};
use crate::run::config::Config;
use crate::run::progress::Silent;

fn small(source: &str) -> Config {
    let mut config = Config::default();
    source.clone_into(&mut config.data.source);
    config.reference.models = 16;
    config.reference.hidden = vec![4];
    config.reference.epochs = 4;
    config.reference.learning_rate = 0.02;
    config.test.amount = crate::select::Amount::Share(0.1);
    config.test.fdr = 0.6;
    config
}

fn audited(config: &Config) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    crate::run::audit(config, Some(&folder.path().join("run")), &Silent).unwrap();
    folder
}

/// A payload as the script reads it.
fn decode(payload: &Payload) -> (Value, Vec<u8>) {
    let packed = STANDARD.decode(&payload.text).unwrap();
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice())
        .read_to_end(&mut bytes)
        .unwrap();
    let length = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
    let json = serde_json::from_slice(&bytes[4..4 + length]).unwrap();
    (json, bytes[4 + length..].to_vec())
}

fn list<'a>(json: &'a Value, pointer: &str) -> &'a [Value] {
    json.pointer(pointer).unwrap().as_array().unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    a.is_nan() && b.is_nan() || (a - b).abs() <= tolerance * b.abs()
}

#[test]
fn a_run_becomes_rows_with_their_evidence() {
    let folder = audited(&small("shipped:breast-cancer"));
    let run = folder.path().join("run");
    let gathered = gather(&run).unwrap();
    let data = Data::shipped("breast-cancer", &TableOptions::default()).unwrap();
    let units = gathered.records.units();
    assert_eq!(units.len(), gathered.audit.data.units);

    // Losses by their definition, from the files, for every unit on every testing model.
    let losses = gathered.losses.as_ref().unwrap();
    let classes = gathered.audit.data.classes.len();
    let testing = gathered.audit.test.selecting_models..16;
    assert_eq!(losses.models, testing.len());
    let membership = std::fs::read(run.join("membership.npy")).unwrap();
    let matrix = &membership[membership.len() - 16 * units.len()..];
    for (column, model) in testing.enumerate() {
        let path = run.join(format!("signals/{model:03}.npy"));
        let outputs = crate::run::array_file::read_outputs(&path, data.len(), classes).unwrap();
        for (row, &position) in gathered.chosen.rows().iter().enumerate() {
            let unit = &units[position];
            let mean: f64 = unit
                .records
                .iter()
                .map(|&record| {
                    let logits: Vec<f64> = outputs
                        .row(record as usize)
                        .iter()
                        .map(|&z| f64::from(z))
                        .collect();
                    let all: f64 = logits.iter().map(|z| z.exp()).sum();
                    all.ln() - logits[data.labels[record as usize] as usize]
                })
                .sum::<f64>()
                / unit.records.len() as f64;
            let found = f64::from(losses.values[row * losses.models + column]);
            assert!((found - mean).abs() < 1e-5, "{found} {mean}");
            assert_eq!(
                losses.inside[row * losses.models + column],
                matrix[model * units.len() + unit.number as usize] == 1
            );
        }
    }

    let made = payload(&gathered, None).unwrap();
    assert_eq!((made.shown, made.units), (units.len(), units.len()));
    let (json, bytes) = decode(&made);
    for (row, unit) in units.iter().enumerate() {
        let record = unit.first();
        assert_eq!(list(&json, "/id")[row], data.ids[record]);
        assert_eq!(list(&json, "/class")[row], data.labels[record]);
        for (name, column, tolerance) in [
            ("p", "p_value", 0.0),
            ("q", "q_value", 0.0),
            ("loss", "target_loss", 1e-5),
            ("out", "out_loss", 1e-5),
            ("in", "in_loss", 1e-5),
        ] {
            let found = number(&list(&json, &format!("/{name}"))[row]);
            let expected = gathered.records.numbers(column).unwrap()[record];
            assert!(
                close(found, expected, tolerance),
                "{name} {found} {expected}"
            );
        }
    }
    losses_come_back(&gathered, &json, &bytes);

    // Every exposed unit of the report is there with the same numbers.
    assert!(!gathered.audit.exposed.is_empty());
    for exposed in &gathered.audit.exposed {
        let row = list(&json, "/id")
            .iter()
            .position(|id| *id == exposed.id.as_str());
        let row = row.unwrap();
        assert!(close(number(&list(&json, "/p")[row]), exposed.p, 0.0));
        assert_eq!(list(&json, "/given")[row], i32::from(exposed.given_away));
        assert_eq!(list(&json, "/selected")[row], 1);
    }
    features_are_those_of_the_data(&gathered, &data, &json);
    redacted_rows_tell_nothing(&gathered);
    fewer_rows_are_the_important_ones(&gathered);

    // With less room there is less detail, and the reader is told.
    let least = payload_within(&gathered, None, 0).unwrap();
    assert!(least.text.len() < made.text.len());
    assert!(least.left_out.len() > made.left_out.len());
    let fitting = payload_within(&gathered, None, made.text.len() - 1).unwrap();
    assert!(fitting.text.len() < made.text.len() && fitting.text.len() >= least.text.len());
    let whole = payload_within(&gathered, None, made.text.len()).unwrap();
    assert_eq!(whole.text, made.text);
    // Where the least of details is too much, rows go, the least important first.
    assert_eq!(least.shown, 1);
    assert!(
        least.left_out[0].contains("1 of 569"),
        "{:?}",
        least.left_out
    );
    let few = payload_within(&gathered, None, 12_000).unwrap();
    assert!(few.text.len() <= 12_000 && few.shown > 10 && few.shown < 500);
    let (few, _) = decode(&few);
    for exposed in gathered.audit.exposed.iter().take(5) {
        assert!(list(&few, "/id").contains(&Value::from(exposed.id.as_str())));
    }

    neighbours_of_a_reference_file_are_no_rows(&run);
    what_is_missing_is_told(&run);
}

fn neighbours_of_a_reference_file_are_no_rows(run: &Path) {
    let mut gathered = gather(run).unwrap();
    let lists = gathered.neighbours.as_mut().unwrap();
    let row = lists.iter().position(|list| list.len() > 1).unwrap();
    assert!(lists.iter().flatten().all(|neighbour| neighbour.audited));
    lists[row][1].audited = false;
    let id = lists[row][1].id.clone();
    let (json, _) = decode(&payload(&gathered, None).unwrap());
    let shown = list(&json, &format!("/neighbours/{row}"));
    // Another file may have a record of the same number: it is told by its id, and marked.
    assert_eq!(shown[1][0], id.as_str());
    assert_eq!(shown[1][3], 1);
    assert!(shown[0][0].is_u64() && shown[0].get(3).is_none());
}

fn losses_come_back(gathered: &Gathered, json: &Value, bytes: &[u8]) {
    let losses = gathered.losses.as_ref().unwrap();
    let get = |name: &str, row: usize| number(&list(json, &format!("/losses/{name}"))[row]);
    let target = gathered.records.numbers("target_loss").unwrap();
    let mut at = 0;
    for (row, unit) in gathered.records.units().iter().enumerate() {
        let (low, high) = (get("low", row), get("high", row));
        for (side, [shown, all, below]) in losses.of(row).iter().zip([
            ["outBytes", "outs", "outBelow"],
            ["inBytes", "ins", "inBelow"],
        ]) {
            assert_eq!(get(all, row) as usize, side.len());
            let count = side
                .iter()
                .filter(|&&l| f64::from(l) <= target[unit.first()])
                .count();
            assert_eq!(get(below, row) as usize, count);
            // So few models are all shown.
            assert_eq!(get(shown, row) as usize, side.len());
            let mut byte = 0;
            for &loss in side {
                byte += u32::from(bytes[at]);
                at += 1;
                let back = low * (high / low).powf(f64::from(byte) / 255.0);
                // Half a step, and the five digits of the range.
                let step = (high / low).powf(0.51 / 255.0) - 1.0 + 1e-4;
                let loss = f64::from(loss).max(1e-9);
                assert!(
                    (back - loss).abs() <= step * loss,
                    "{back} {loss} of {low} {high}"
                );
            }
        }
    }
    assert_eq!(at, bytes.len());
}

fn features_are_those_of_the_data(gathered: &Gathered, data: &Data, json: &Value) {
    let Body::Columns(columns) = &data.body else {
        panic!("a table of columns")
    };
    assert_eq!(list(json, "/features/columns").len(), columns.len());
    for (index, column) in columns.iter().enumerate() {
        let ColumnValues::Numeric(values) = &column.values else {
            panic!("numbers")
        };
        let pointer = format!("/features/columns/{index}");
        assert_eq!(json.pointer(&pointer).unwrap()["name"], column.name);
        for (row, unit) in gathered.records.units().iter().enumerate() {
            let found = number(&list(json, &format!("{pointer}/values"))[row]);
            assert!(close(found, values[unit.first()], 1e-8));
        }
        for (class, typical) in list(json, &format!("{pointer}/typical")).iter().enumerate() {
            let mut of_class: Vec<f64> = (0..data.len())
                .filter(|&record| data.labels[record] as usize == class)
                .map(|record| values[record])
                .collect();
            of_class.sort_by(f64::total_cmp);
            assert_eq!(typical["present"], of_class.len());
            let quantiles = typical["quantiles"].as_array().unwrap();
            assert_eq!(quantiles.len(), 21);
            assert!(close(number(&quantiles[0]), of_class[0], 1e-8));
            assert!(close(
                number(&quantiles[20]),
                of_class[of_class.len() - 1],
                1e-8
            ));
            // A tenth of the values is below the third one, to within a value.
            let below = of_class.partition_point(|&v| v < number(&quantiles[2]) * (1.0 - 1e-8));
            assert!(below as f64 <= of_class.len() as f64 * 0.1 + 1.0);
        }
    }
}

fn redacted_rows_tell_nothing(gathered: &Gathered) {
    let redaction = Redaction::from_text(&"5a".repeat(32)).unwrap();
    let (json, bytes) = decode(&payload(gathered, Some(&redaction)).unwrap());
    assert!(bytes.is_empty());
    // All that is said of a row, and nothing by which a second audit with the seed could tell
    // which record it is.
    let per_row: Vec<&str> = json
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, value)| value.is_array() && *name != "classes" && *name != "attacks")
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(per_row, ["class", "given", "id", "p", "q", "selected"]);
    assert_eq!(list(&json, "/attacks"), [Value::Null; 0]);
    let mut alike: HashMap<String, usize> = HashMap::new();
    for row in 0..list(&json, "/id").len() {
        let signature = ["class", "given", "selected"].map(|name| &json[name][row]);
        *alike.entry(format!("{signature:?}")).or_default() += 1;
    }
    assert!(alike.values().all(|&count| count > 1), "{alike:?}");

    let mut known = Vec::new();
    let p = gathered.records.numbers("p_value").unwrap();
    for unit in gathered.records.units() {
        let id = gathered.records.texts("id").unwrap()[unit.first()]
            .clone()
            .unwrap();
        if !p[unit.first()].is_nan() {
            known.push((coarse(p[unit.first()]), redaction.id(&id)));
        }
    }
    known.sort_by(|a, b| a.0.abs().total_cmp(&b.0.abs()).then(a.1.cmp(&b.1)));
    assert_eq!(known.len(), gathered.audit.test.selected);
    assert_eq!(list(&json, "/id").len(), known.len());
    for (row, (p, id)) in known.iter().enumerate() {
        assert_eq!(list(&json, "/id")[row], id.as_str());
        assert!(close(number(&list(&json, "/p")[row]), *p, 1e-12));
    }
}

fn fewer_rows_are_the_important_ones(gathered: &Gathered) {
    let records = &gathered.records;
    // Those selected and those that attacks name.
    let important = gathered.chosen.important().len();
    assert!(important >= gathered.audit.test.selected);
    let most = important + 30;
    let chosen = choose_among(&gathered.audit, records, most);
    assert_eq!(chosen.rows().len(), most);
    assert!(chosen.rows().is_sorted_by(|a, b| a < b));
    assert_eq!(chosen.important().len(), important);
    let p = records.numbers("p_value").unwrap();
    let shown = |chosen: &Chosen, position: usize| chosen.rows().binary_search(&position).is_ok();
    let tested: Vec<usize> = (0..records.units().len())
        .filter(|&position| !p[records.units()[position].first()].is_nan())
        .collect();
    assert!(tested.iter().all(|&position| shown(&chosen, position)));
    // The rest is drawn by the seed.
    let mut other = gathered.audit.clone();
    assert_eq!(choose_among(&other, records, most).rows(), chosen.rows());
    other.seed = other.seed.map(|seed| seed + 1);
    assert_ne!(choose_among(&other, records, most).rows(), chosen.rows());
    // Where there is no room for all that were selected, those of the smallest p have a row.
    let few = choose_among(&gathered.audit, records, 3);
    let largest = few
        .rows()
        .iter()
        .map(|&u| p[records.units()[u].first()])
        .fold(0.0, f64::max);
    let smaller = tested
        .iter()
        .filter(|&&u| p[records.units()[u].first()] < largest)
        .count();
    assert!(few.rows().len() == 3 && smaller <= 2, "{smaller}");
}

fn what_is_missing_is_told(run: &Path) {
    let hint = |error: Error| error.hint_text().unwrap().to_owned();
    // A report that no audit writes: it is believed in nothing that another file contradicts.
    let report = std::fs::read_to_string(run.join("report.json")).unwrap();
    let sound: Value = serde_json::from_str(&report).unwrap();
    for (pointer, value, told) in [
        (
            "/reference/models",
            serde_json::json!(1_000_000_000_000_u64),
            "16 models",
        ),
        ("/test/selecting_models", serde_json::json!(17), "17 of 16"),
        (
            "/data/unit_name",
            serde_json::json!("\"records\\"),
            "unit_name",
        ),
    ] {
        let mut damaged = sound.clone();
        *damaged.pointer_mut(pointer).unwrap() = value;
        std::fs::write(run.join("report.json"), damaged.to_string()).unwrap();
        let error = gather(run).err().unwrap();
        assert!(error.to_string().contains(told), "{pointer}: {error}");
        let hint = hint(error);
        assert!(hint.contains("again") && hint.contains("audit"), "{hint}");
    }
    std::fs::write(run.join("report.json"), &report).unwrap();
    let signals = run.join("signals/012.npy");
    let outputs = std::fs::read(&signals).unwrap();
    std::fs::remove_file(&signals).unwrap();
    let error = gather(run).err().unwrap();
    assert!(error.to_string().contains("012.npy"), "{error}");
    assert!(hint(error).contains("run the audit again"));
    std::fs::write(&signals, outputs).unwrap();
    gather(run).unwrap();

    std::fs::remove_file(run.join("data.parquet")).unwrap();
    std::fs::remove_dir_all(run.join("signals")).unwrap();
    let bare = gather(run).unwrap();
    assert!(matches!(bare.features, Features::Absent) && bare.losses.is_none());
    assert_eq!(payload(&bare, None).unwrap().left_out.len(), 2);

    let records = std::fs::read(run.join("records.parquet")).unwrap();
    std::fs::write(run.join("records.parquet"), &records[..records.len() / 2]).unwrap();
    let error = gather(run).err().unwrap();
    assert!(error.to_string().contains("records.parquet"), "{error}");
    hint(error);
    std::fs::write(run.join("records.parquet"), &records).unwrap();

    let report = std::fs::read_to_string(run.join("report.json")).unwrap();
    let newer = report.replacen("\"format_version\": ", "\"format_version\": 9", 1);
    std::fs::write(run.join("report.json"), newer).unwrap();
    let error = gather(run).err().unwrap();
    assert!(error.to_string().contains("version"), "{error}");
    std::fs::remove_file(run.join("report.json")).unwrap();
    assert!(hint(gather(run).err().unwrap()).contains("giveaway audit"));
}

#[test]
fn texts_are_as_they_are_and_groups_are_units() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.csv");
    let hostile = "</script><img src=x onerror=alert(1)>";
    let mut text = format!("id,person,\"{hostile}\",size,y\n");
    for i in 0..240 {
        let category = ["\"a\"\"b\"", hostile, "שלום", ""][i / 2 % 4];
        let category = if category == "\"a\"\"b\"" {
            category.to_owned()
        } else {
            format!("\"{category}\"")
        };
        let id = if i == 7 {
            format!("\"{hostile}{i}\"")
        } else {
            format!("id {i}\u{202e}")
        };
        writeln!(
            text,
            "{id},p{},{category},{},{}",
            i / 2,
            (i * 37) % 101,
            (i / 2) % 2
        )
        .unwrap();
    }
    std::fs::write(&path, text).unwrap();
    let mut config = small(&path.display().to_string());
    config.data.label = Some("y".to_owned());
    config.data.id = Some("id".to_owned());
    config.data.group = Some("person".to_owned());
    let folder = audited(&config);
    let gathered = gather(&folder.path().join("run")).unwrap();
    let (json, _) = decode(&payload(&gathered, None).unwrap());
    assert_eq!(gathered.records.units().len(), 120);
    assert!(list(&json, "/records").iter().all(|records| records == 2));
    assert_eq!(list(&json, "/group")[5], "p5");
    // What acts or hides is written out, and nothing else is touched.
    assert_eq!(list(&json, "/id")[5], "id 10\\u{202e}");
    let column = &json["features"]["columns"][0];
    assert_eq!(column["name"], hostile);
    let levels: Vec<&str> = column["levels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|level| level.as_str().unwrap())
        .collect();
    assert_eq!(levels.len(), 3);
    for level in ["a\"b", hostile, "שלום"] {
        assert!(levels.contains(&level), "{levels:?}");
    }
    // Of each class, every record is counted once: with its level, or as missing.
    for typical in column["typical"].as_array().unwrap() {
        let counts = typical["counts"].as_array().unwrap();
        let counted: f64 = counts.iter().skip(1).step_by(2).map(number).sum();
        assert!(close(counted, number(&typical["present"]), 0.0));
        assert_eq!(
            typical["present"].as_u64().unwrap() + typical["missing"].as_u64().unwrap(),
            120
        );
    }
}

#[test]
fn images_are_their_pixels() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("images.csv");
    let pixel = |record: usize, place: usize| (record * 31 + place * 17 + record * place) % 256;
    let mut text = String::new();
    for place in 0..12 {
        write!(text, "p{place},").unwrap();
    }
    text += "y\n";
    for record in 0..200 {
        for place in 0..12 {
            write!(text, "{},", pixel(record, place)).unwrap();
        }
        text += if record % 2 == 0 { "even\n" } else { "odd\n" };
    }
    std::fs::write(&path, text).unwrap();
    let mut config = small(&path.display().to_string());
    config.data.label = Some("y".to_owned());
    config.data.image = Some(vec![2, 2, 3]);
    let folder = audited(&config);
    let gathered = gather(&folder.path().join("run")).unwrap();
    let (json, bytes) = decode(&payload(&gathered, None).unwrap());
    let images = &json["images"];
    assert_eq!(
        [&images["height"], &images["width"], &images["channels"]],
        [2, 2, 3]
    );
    assert!(json.get("features").is_none() && images.get("scale").is_none());
    let rows = images["rows"].as_array().unwrap();
    assert_eq!(rows.len(), gathered.chosen.important().len());
    let mut at = number(&images["at"]) as usize;
    for row in rows {
        let record = gathered.records.units()[number(row) as usize].first();
        for place in 0..12 {
            assert_eq!(usize::from(bytes[at]), pixel(record, place));
            at += 1;
        }
    }
    assert_eq!(images["means"], serde_json::json!([0, 1]));
    for class in 0..2 {
        for place in 0..12 {
            let sum: usize = (class..200)
                .step_by(2)
                .map(|record| pixel(record, place))
                .sum();
            assert!((f64::from(bytes[at]) - sum as f64 / 100.0).abs() <= 0.5 + 1e-9);
            at += 1;
        }
    }
    assert_eq!(at, bytes.len());
}

#[test]
fn long_ids_are_cut_and_lead_to_their_rows_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.csv");
    let mut random = giveaway_stats::random::Stream::new(1, "long ids", 0);
    let mut text = "id,person,a,b,y\n".to_owned();
    for row in 0..569 {
        // What nothing can compress.
        let mut letters: Vec<char> = ('a'..='z').chain('A'..='Z').collect();
        let mut name = String::new();
        while name.len() < 8_000 {
            random.shuffle(&mut letters);
            name.extend(&letters);
        }
        // Two that differ at the end only, and one as long as can be shown.
        if row < 2 {
            name = format!("{}{row}", "same".repeat(2_000));
        } else if row == 2 {
            name.truncate(300);
        }
        writeln!(
            text,
            "{name},g{name},{},{},{}",
            (row * 37) % 101,
            (row * 53) % 89,
            row % 2
        )
        .unwrap();
    }
    std::fs::write(&path, text).unwrap();
    let mut config = small(&path.display().to_string());
    config.data.label = Some("y".to_owned());
    config.data.id = Some("id".to_owned());
    config.data.group = Some("person".to_owned());
    let folder = audited(&config);
    let gathered = gather(&folder.path().join("run")).unwrap();
    let made = payload(&gathered, None).unwrap();
    assert!(made.text.len() < 1_000_000, "{}", made.text.len());
    assert_eq!((made.shown, made.left_out.len()), (569, 0));
    let (json, _) = decode(&made);
    let ids = list(&json, "/id");
    let whole = gathered.records.texts("id").unwrap();
    let mut anchors = std::collections::BTreeSet::new();
    for (row, unit) in gathered.records.units().iter().enumerate() {
        let whole = whole[unit.first()].as_deref().unwrap();
        let shown = ids[row].as_str().unwrap();
        let length = shown.chars().count();
        assert!(whole.starts_with(&shown[..300]) && length < 320);
        assert_eq!(whole == shown, whole.len() == 300);
        // The script looks for the row of an anchor by what it says, written out.
        let anchor = rows::anchor(whole);
        let told = anchor.strip_prefix("record-").unwrap();
        assert_eq!(
            told.replace("%E2%80%A6", "…")
                .replace("%20", " ")
                .replace("%28", "(")
                .replace("%29", ")"),
            shown
        );
        anchors.insert(anchor);
    }
    assert_eq!(anchors.len(), 569);
}

/// Columns of a table with their names.
type Columns = Vec<(String, Values)>;

/// Writes an explanation with a map of two points of one view into a run.
fn explained(run: &Path) -> (Columns, Columns) {
    let (_, mut json) = read_result(run).unwrap();
    let mut explanation = crate::report::explanation_text::example();
    explanation.map = Some(crate::report::explanation::MapSummary {
        points: 2,
        exposed: 1,
        views: vec![crate::report::explanation::MapView {
            name: "view".to_owned(),
            space: "logits".to_owned(),
            method: "PCA".to_owned(),
            trustworthiness: None,
            divergence: None,
            variance: None,
        }],
    });
    json["explanation"] = serde_json::to_value(&explanation).unwrap();
    std::fs::write(run.join("report.json"), json.to_string()).unwrap();
    let name = |name: &str| name.to_owned();
    let map = vec![
        (name("unit"), Values::Whole(vec![Some(3), Some(0)])),
        (name("record"), Values::Whole(vec![Some(3), Some(0)])),
        (
            name("exposed"),
            Values::Truth(vec![Some(true), Some(false)]),
        ),
        (name("view_x"), Values::Number(vec![1.5, 2.5])),
        (name("view_y"), Values::Number(vec![-1.5, f64::NAN])),
    ];
    let class = json["data"]["classes"][0].as_str().unwrap().to_owned();
    let text = |text: &str| Values::Text(vec![Some(text.to_owned())]);
    let activations = vec![
        (name("unit"), Values::Whole(vec![Some(3)])),
        (name("record"), Values::Whole(vec![Some(3)])),
        (name("role"), text("closest")),
        (name("class"), text(&class)),
        (name("rank"), Values::Whole(vec![Some(1)])),
        (name("distance"), Values::Number(vec![0.5])),
        (name("height"), Values::Whole(vec![Some(1)])),
        (name("width"), Values::Whole(vec![Some(3)])),
        (name("map"), text("AID/")),
    ];
    (map, activations)
}

#[test]
fn what_was_explained_is_read_or_refused() {
    let folder = audited(&small("shipped:breast-cancer"));
    let run = folder.path().join("run");
    let (map, activations) = explained(&run);
    let write = |file: &str, columns: &[(String, Values)]| {
        let bytes = crate::report::records::to_parquet(columns, &[]).unwrap();
        std::fs::write(run.join(file), bytes).unwrap();
    };
    // Missing: nothing.
    assert!(gather(&run).unwrap().map.is_none());
    write("map.parquet", &map);
    let gathered = gather(&run).unwrap();
    let found = gathered.map.as_ref().unwrap();
    assert_eq!(found.points.len(), 2);
    assert!(found.points[0].exposed && found.points[0].unit == 3);
    assert_eq!(found.points[0].class, gathered.records.labels()[3] as usize);
    assert!((found.views[0].1[0][1] + 1.5).abs() < 1e-12);
    assert!(found.views[0].1[1][1].is_nan());

    // Damaged or hostile: one error that names the file.
    let mut bad: Vec<Vec<(String, Values)>> = Vec::new();
    for column in 0..map.len() {
        let mut fewer = map.clone();
        fewer.remove(column);
        bad.push(fewer);
    }
    for (column, values) in [
        (0, Values::Whole(vec![Some(4), Some(0)])),
        (1, Values::Whole(vec![Some(1 << 40), Some(0)])),
        (1, Values::Whole(vec![Some(-1), Some(0)])),
        (0, Values::Whole(vec![None, Some(0)])),
        (3, Values::Text(vec![None, None])),
    ] {
        let mut other = map.clone();
        other[column].1 = values;
        bad.push(other);
    }
    let many = 10_001;
    bad.push(vec![
        ("unit".to_owned(), Values::Whole(vec![Some(3); many])),
        ("record".to_owned(), Values::Whole(vec![Some(3); many])),
        ("exposed".to_owned(), Values::Truth(vec![Some(true); many])),
        ("view_x".to_owned(), Values::Number(vec![0.5; many])),
        ("view_y".to_owned(), Values::Number(vec![0.5; many])),
    ]);
    for columns in bad {
        write("map.parquet", &columns);
        let error = gather(&run).err().unwrap().to_string();
        assert!(error.contains("map.parquet"), "{error}");
    }
    std::fs::write(run.join("map.parquet"), b"PAR1 no").unwrap();
    assert!(
        gather(&run)
            .err()
            .unwrap()
            .to_string()
            .contains("map.parquet")
    );
    std::fs::remove_file(run.join("map.parquet")).unwrap();
    activations_are_read_or_refused(&gathered, &activations);
    // A table has no activations: the file is not even read.
    write("activations.parquet", &activations[..2]);
    assert!(gather(&run).unwrap().activations.is_empty());
}

/// `columns` are of one map of one by three places.
fn activations_are_read_or_refused(gathered: &Gathered, columns: &[(String, Values)]) {
    let images = |height: usize| Images {
        height,
        width: 1,
        channels: 1,
        rows: Vec::new(),
        pixels: Vec::new(),
        means: Vec::new(),
        scale: None,
    };
    let read = |columns: &[(String, Values)], height: usize| {
        let bytes = crate::report::records::to_parquet(columns, &[]).unwrap();
        explanation::entries(bytes, &gathered.audit, &gathered.records, &images(height))
    };
    let (kept, of) = read(columns, 1).unwrap();
    assert_eq!((kept.len(), of), (1, vec![3]));
    assert_eq!(kept[0].map, [0, 128, 255]);
    assert_eq!(kept[0].shape, [1, 3]);
    // An image beyond the room is left out, and so is a role of another version.
    assert!(read(columns, 1_000_000).unwrap().0.is_empty());
    let text = |text: &str| Values::Text(vec![Some(text.to_owned())]);
    let mut newer = columns.to_vec();
    newer[2].1 = text("newer");
    assert!(read(&newer, 1).unwrap().0.is_empty());
    for (column, values) in [
        (3, text("no class of ours")),
        (6, Values::Whole(vec![Some(2)])),
        (6, Values::Whole(vec![Some(0)])),
        (7, Values::Whole(vec![Some(-3)])),
        (7, Values::Whole(vec![Some(i64::MAX)])),
        (8, text("AID")),
        (8, text("&&&&")),
        (8, Values::Text(vec![None])),
        (1, Values::Whole(vec![Some(4)])),
    ] {
        let mut bad = columns.to_vec();
        bad[column].1 = values;
        assert!(read(&bad, 1).is_err(), "column {column}");
    }
    for column in 0..columns.len() {
        let mut fewer = columns.to_vec();
        fewer.remove(column);
        assert!(read(&fewer, 1).is_err(), "without column {column}");
    }
}

#[test]
fn every_file_of_an_explanation_is_documented() {
    let folder = audited(&small("shipped:breast-cancer"));
    let (map, activations) = explained(&folder.path().join("run"));
    let text = include_str!("../../../../../docs/report.md");
    for (file, columns) in [("map.parquet", map), ("activations.parquet", activations)] {
        let (_, rest) = text.split_once(&format!("\n## `{file}`\n")).unwrap();
        let section = rest.split("\n## ").next().unwrap();
        for (name, _) in columns {
            let name = name.replace("view_", "VIEW_");
            assert!(section.contains(&format!("`{name}`")), "{file}: {name}");
        }
    }
}
