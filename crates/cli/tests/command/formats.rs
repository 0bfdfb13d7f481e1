//! Files as they come: tables that nobody prepared, Parquet, arrays and images, compressed or not.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use crate::sandbox::Sandbox;

/// A table as it comes out of somebody's spreadsheet: a byte-order mark, CRLF, quoted commas,
/// quotes and newlines, several words for a missing value, dates, a text column, numbers
/// with blanks around them, and an id.
fn messy(records: usize) -> String {
    let mut text =
        "\u{feff}Patient ID,\"Weight, kg\",visited,Ward,remark,smoker,result\r\n".to_owned();
    for i in 0..records {
        let weight = match i % 11 {
            0 => String::new(),
            1 => "NA".to_owned(),
            _ => format!(" {}.{} ", 50 + i * 17 % 60, i % 10),
        };
        let ward = ["\"North, old\"", "South", "\"East\nWing\"", "?"][i % 4];
        let remark = match i % 5 {
            0 => String::new(),
            n => format!("\"said \"\"no {n}\"\" on day {}\"", i % 13),
        };
        let visited = format!("2024-{:02}-{:02}", 1 + i % 12, 1 + i * 7 % 28);
        let smoker = ["true", "false", ""][i % 3];
        let result = if (i * 5 + i / 3) % 4 == 0 {
            "sick"
        } else {
            "well"
        };
        write!(
            text,
            "A-{i},{weight},{visited},{ward},{remark},{smoker},{result}\r\n"
        )
        .unwrap();
    }
    text
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
        .display()
        .to_string()
}

#[test]
fn a_messy_table_plain_and_compressed() {
    let sandbox = Sandbox::new();
    sandbox.write("messy.csv", messy(150));
    sandbox.write("messy.csv.gz", gzip(messy(150).as_bytes()));
    let line = |file: &str, run: &str| format!("{file} --label result --run {run}");
    // blanks separate arguments, so the id with a blank in its name goes in by hand
    for (file, run) in [("messy.csv", "plain"), ("messy.csv.gz", "packed")] {
        let done = sandbox
            .command(&crate::sandbox::quick(&line(file, run)))
            .args(["--id", "Patient ID"])
            .output()
            .unwrap();
        crate::sandbox::finished(file, done).succeeded();
    }
    let report = sandbox.written_report("plain");
    assert_eq!(report["data"]["records"], 150);
    assert_eq!(
        report["data"]["classes"],
        serde_json::json!(["sick", "well"])
    );
    assert!(
        report["exposed"][0]["id"]
            .as_str()
            .is_some_and(|id| id.starts_with("A-")),
        "{}",
        report["exposed"][0]
    );
    let encoding = String::from_utf8(sandbox.contents("plain")[Path::new("encoding.json")].clone());
    let encoding = encoding.unwrap();
    for part in ["Weight, kg", "North, old", "East\\nWing"] {
        assert!(encoding.contains(part), "no {part:?} in {encoding}");
    }
    assert!(!encoding.contains("Patient ID"), "an id is no feature");
    // what was read is the same, however it was packed
    let [plain, packed] = ["plain", "packed"].map(|run| sandbox.contents(run));
    for name in ["records.parquet", "data.parquet", "signals/003.npy"] {
        assert!(plain[Path::new(name)] == packed[Path::new(name)], "{name}");
    }
}

#[test]
fn semicolons_and_tabs() {
    let sandbox = Sandbox::new();
    let mut table = "a;b;y\n".to_owned();
    for i in 0..60 {
        writeln!(table, "{};{};{}", i * 7 % 23, i % 5, i % 2).unwrap();
    }
    sandbox.write("semicolons.csv", &table);
    sandbox.write("tabs.tsv", table.replace(';', "\t"));
    sandbox.write("bars.txt", table.replace(';', "|"));
    for line in [
        "semicolons.csv --label y",
        "tabs.tsv --label y",
        "bars.txt --label y --delimiter |",
    ] {
        let report = sandbox.report(line);
        assert_eq!(report["data"]["features"], 2, "{line}");
    }
}

/// Written by pandas, which `data/generate.py` shows: floats with gaps, a category, dates,
/// truth values, texts with gaps, zstd.
#[test]
fn a_parquet_table_of_pandas() {
    let sandbox = Sandbox::new();
    let file = fixture("people.parquet");
    let report = sandbox.report(&format!("{file} --label outcome --drop person"));
    assert_eq!(report["data"]["records"], 160);
    assert_eq!(report["data"]["unit_name"], "records");
    // age and its gap, income, the days, 4 cities, activity, 11 notes and none
    let features = report["data"]["features"].as_u64().unwrap();
    assert!((19..=24).contains(&features), "{features}");
}

#[test]
fn a_group_is_judged_and_not_its_rows() {
    let sandbox = Sandbox::new();
    let file = fixture("people.parquet");
    let report = sandbox.report(&format!("{file} --label outcome --group person --count 5"));
    assert_eq!(report["data"]["records"], 160);
    assert_eq!(report["data"]["units"], 80);
    assert_eq!(report["data"]["unit_name"], "groups");
    assert_eq!(report["target"]["training_units"], 40);
    for unit in report["exposed"].as_array().unwrap() {
        assert_eq!(unit["records"], 2, "{unit}");
        assert!(
            unit["group"].as_str().is_some_and(|g| g.starts_with('p')),
            "{unit}"
        );
    }
    // half of the persons of a pool that is drawn
    let drawn = sandbox.report(&format!(
        "{file} --label outcome --group person --train-size 20"
    ));
    assert_eq!(drawn["data"]["units"], 40);
    assert_eq!(drawn["data"]["records"], 80);
    assert_eq!(drawn["data"]["records_in_file"], 160);

    // without --group the user is told that rows may belong together
    let rows = sandbox.report(&format!("{file} --label outcome"));
    assert!(
        rows["notes"].to_string().contains("--group person"),
        "{}",
        rows["notes"]
    );
}

#[test]
fn exact_duplicates_are_one_unit_or_counted() {
    let sandbox = Sandbox::new();
    let mut table = "a,b,y\n".to_owned();
    for i in 0..60 {
        // the last 10 repeat the first 10
        let i = i % 50;
        writeln!(table, "{}.5,{},{}", i * 7, i % 5, i % 2).unwrap();
    }
    sandbox.write("twins.csv", table);
    let grouped = sandbox.report("twins.csv --label y");
    assert_eq!(grouped["data"]["exact_duplicates"], 20);
    assert_eq!(grouped["data"]["units"], 50);
    let counted = sandbox.report("twins.csv --label y --duplicates report");
    assert_eq!(counted["data"]["exact_duplicates"], 20);
    assert_eq!(counted["data"]["units"], 60);
}

#[test]
fn an_archive_of_numpy() {
    let sandbox = Sandbox::new();
    let report = sandbox.report(&fixture("people.npz"));
    assert_eq!(report["data"]["records"], 100);
    assert_eq!(report["data"]["features"], 6);
    assert_eq!(
        report["data"]["classes"],
        serde_json::json!(["0", "1", "2"])
    );
}

/// The header of an IDX file of bytes, with its dimensions, and the bytes.
fn idx(dimensions: &[u32], content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dimensions.len() as u8];
    for &length in dimensions {
        bytes.extend(length.to_be_bytes());
    }
    bytes.extend(content);
    bytes
}

#[test]
fn images_as_mnist_comes() {
    let sandbox = Sandbox::new();
    let labels: Vec<u8> = (0..120).map(|i| (i % 10) as u8).collect();
    let pixels: Vec<u8> = (0..120 * 36)
        .map(|i: usize| (i * 31 % 251) as u8 / 4 + 19 * labels[i / 36])
        .collect();
    let images = idx(&[120, 6, 6], &pixels);
    let classes = idx(&[120], &labels);
    sandbox.write("train-images-idx3-ubyte", &images);
    sandbox.write("train-labels-idx1-ubyte", &classes);
    sandbox.write("train-images-idx3-ubyte.gz", gzip(&images));
    sandbox.write("train-labels-idx1-ubyte.gz", gzip(&classes));
    sandbox.write("other.gz", gzip(&classes));
    let mut records = Vec::new();
    for (number, line) in [
        "train-images-idx3-ubyte",
        "train-images-idx3-ubyte.gz",
        "train-images-idx3-ubyte.gz --labels-file other.gz",
    ]
    .into_iter()
    .enumerate()
    {
        let report = sandbox.report(&format!("{line} --hidden 8 --run run-{number}"));
        assert_eq!(report["data"]["records"], 120);
        assert_eq!(report["data"]["features"], 36);
        assert_eq!(report["data"]["classes"].as_array().unwrap().len(), 10);
        records
            .push(std::fs::read(sandbox.path(&format!("run-{number}/records.parquet"))).unwrap());
    }
    assert!(records[0] == records[1] && records[1] == records[2]);

    sandbox.write("cut.gz", &gzip(&images)[..300]);
    sandbox
        .audit("cut.gz --labels-file other.gz")
        .refused(3, &["cut.gz", "damaged or cut off"]);
    sandbox.write("cut", &images[..images.len() - 1]);
    sandbox
        .audit("cut --labels-file other.gz")
        .refused(3, &["cut", "damaged"]);
}
