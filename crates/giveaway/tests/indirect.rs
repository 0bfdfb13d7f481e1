//! Whole audits with indirect inference: what is asked, what is stored, what it comes to.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as tests may"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use giveaway::attack::direct::Null;
use giveaway::dataset::{Dataset, Encoding, Table, TableOptions};
use giveaway::report::Audit;
use giveaway::report::indirect::{IndirectRecord, IndirectSection};
use giveaway::report::records::{Values, from_parquet};
use giveaway::run::config::{Build, Config, IndirectConfig};
use giveaway::run::progress::Silent;
use giveaway::select::Amount;
use giveaway_stats::combination::combine;
use giveaway_stats::distribution::student_t_sf;

const RECORDS: usize = 5;
const QUERIES: usize = 12;

fn configuration(source: &str) -> Config {
    let mut config = Config {
        seed: 3,
        ..Config::default()
    };
    source.clone_into(&mut config.data.source);
    config.reference.models = 48;
    config.reference.hidden = vec![8];
    config.reference.epochs = 12;
    config.reference.learning_rate = 0.01;
    config.test.amount = Amount::Count(RECORDS);
    config.test.attacks = Some(Vec::new());
    config.test.indirect = Some(IndirectConfig {
        queries: QUERIES,
        candidates: Some(150),
        improved: 4,
        steps: 3,
        pairs: 5,
        ..IndirectConfig::default()
    });
    config
}

fn audit(config: &Config, path: &Path) -> Audit {
    giveaway::run::audit(config, Some(path), &Silent)
        .unwrap()
        .audit
}

/// Shape and data of an NPY file in C order.
fn npy(path: &Path) -> (Vec<usize>, Vec<u8>) {
    let bytes = std::fs::read(path).unwrap();
    let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..end]).unwrap();
    let (_, shape) = header.split_once("'shape': (").unwrap();
    let shape = shape.split_once(')').unwrap().0.split(',');
    let shape = shape.filter_map(|length| length.trim().parse().ok());
    (shape.collect(), bytes[end..].to_vec())
}

fn floats(path: &Path) -> (Vec<usize>, Vec<f32>) {
    let (shape, bytes) = npy(path);
    let values = bytes.chunks_exact(4);
    let values = values.map(|b| f32::from_le_bytes(b.try_into().unwrap()));
    (shape, values.collect())
}

fn whole(path: &Path) -> Vec<i64> {
    let (_, bytes) = npy(path);
    let values = bytes.chunks_exact(8);
    values
        .map(|b| i64::from_le_bytes(b.try_into().unwrap()))
        .collect()
}

/// A table with whole numbers, missing values and categories, some of them rare.
fn people(folder: &Path) -> PathBuf {
    let mut text = "age,hours,city,job,label\n".to_owned();
    let mut state = 17u64;
    let mut draw = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % below
    };
    for _ in 0..260 {
        let age = 20 + draw(45);
        let hours = if draw(10) == 0 {
            String::new()
        } else {
            (10 + draw(50)).to_string()
        };
        let city = ["Ulm", "Bonn", "Kiel", "Jena", "Hof"][draw(5) as usize];
        let job = ["cook", "", "clerk"][draw(3) as usize];
        let label = u64::from(age + draw(30) > 55);
        writeln!(text, "{age},{hours},{city},{job},{label}").unwrap();
    }
    let path = folder.join("people.csv");
    std::fs::write(&path, text).unwrap();
    path
}

/// The encoded records, as the run encoded them.
fn encoded(source: &str, run: &Path) -> (Table, Dataset) {
    let options = TableOptions::default();
    let table = match source.strip_prefix("shipped:") {
        Some(name) => Table::shipped(name, &options).unwrap(),
        None => Table::read(Path::new(source), &options).unwrap(),
    };
    let encoding: Encoding =
        serde_json::from_slice(&std::fs::read(run.join("encoding.json")).unwrap()).unwrap();
    let dataset = encoding.encode(&table).unwrap();
    (table, dataset)
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    let squares = a.iter().zip(b).map(|(x, y)| f64::from(x - y).powi(2));
    squares.sum::<f64>().sqrt()
}

/// What the report says of the record with this number among the stored queries.
fn told<'a>(section: &'a IndirectSection, record_of: &[i64], number: i64) -> &'a IndirectRecord {
    let mut records = section.records.iter();
    records
        .find(|record| record_of[record.shown[0].row] == number)
        .unwrap()
}

/// Must hold 3 of the issue: over all stored queries, whatever the data.
#[test]
fn no_query_is_the_record_or_nearly_it() {
    let folder = tempfile::tempdir().unwrap();
    let csv = people(folder.path());
    for source in ["shipped:breast-cancer", csv.to_str().unwrap()] {
        let run = folder.path().join("run");
        let section = audit(&configuration(source), &run).indirect.unwrap();
        let (table, dataset) = encoded(source, &run);
        let (shape, queries) = floats(&run.join("indirect/queries.npy"));
        let width = dataset.features.ncols();
        assert_eq!(shape[1], width);
        let record_of = whole(&run.join("indirect/query_record.npy"));
        let mut nearest = f64::INFINITY;
        let mut near_duplicates = 0;
        for (query, &record) in queries.chunks_exact(width).zip(&record_of) {
            let told = told(&section, &record_of, record);
            let own = table.ids.iter().position(|id| *id == told.id).unwrap();
            let own_features = dataset.features.row(own).to_vec();
            let far = distance(query, &own_features);
            let floor = told.floor.unwrap();
            assert!(far >= floor * (1.0 - 1e-5), "{far} is nearer than {floor}");
            nearest = nearest.min(far);
            // Other records nearer than is usual are near-duplicates, with the same floor.
            let usual = section.settings.usual_distance;
            for (other, features) in dataset.features.outer_iter().enumerate() {
                let features = features.to_vec();
                if other != own && distance(&features, &own_features) < usual * (1.0 - 1e-5) {
                    near_duplicates += 1;
                    assert!(distance(query, &features) >= floor * (1.0 - 1e-5));
                }
            }
        }
        assert!(record_of.len() >= RECORDS, "queries were found");
        let told = section.smallest_distance.unwrap();
        assert!(
            told <= nearest * (1.0 + 1e-5),
            "{told} is said, {nearest} found"
        );
        // Breast cancer has crowded records; that the loop above saw some is part of the test.
        let _ = near_duplicates;
        std::fs::remove_dir_all(&run).unwrap();
    }
}

/// Every value of a query is one that some record has in that column, so ranges, whole numbers,
/// categories and missing values are as in the data; one level at most of each category is set.
#[test]
fn queries_are_valid_rows() {
    let folder = tempfile::tempdir().unwrap();
    let csv = people(folder.path());
    let run = folder.path().join("run");
    audit(&configuration(csv.to_str().unwrap()), &run);
    let (table, dataset) = encoded(csv.to_str().unwrap(), &run);
    let (_, queries) = floats(&run.join("indirect/queries.npy"));
    let width = dataset.features.ncols();
    for query in queries.chunks_exact(width) {
        for group in &dataset.schema.one_hot_groups {
            let set = group
                .features
                .iter()
                .map(|&f| query[f as usize])
                .sum::<f32>();
            assert!(set.to_bits() == 0f32.to_bits() || set.to_bits() == 1f32.to_bits());
        }
    }
    let columns =
        from_parquet(std::fs::read(run.join("indirect/queries.parquet")).unwrap()).unwrap();
    let stored = |name: &str| columns.iter().find(|c| c.0 == name).unwrap().1.clone();
    let known = |name: &str| -> Vec<String> {
        let place = table
            .column_names()
            .iter()
            .position(|n| *n == name)
            .unwrap();
        (0..table.len())
            .map(|row| table.feature_text(row, place))
            .collect()
    };
    let mut missing = 0;
    for name in ["age", "hours"] {
        let Values::Number(values) = stored(name) else {
            panic!("{name} is no number")
        };
        for value in values {
            let text = if value.is_nan() {
                String::new()
            } else {
                value.to_string()
            };
            missing += usize::from(text.is_empty());
            assert!(known(name).contains(&text), "{name} = {text}");
        }
    }
    for name in ["city", "job"] {
        let Values::Text(values) = stored(name) else {
            panic!("{name} is no text")
        };
        for value in values {
            assert!(known(name).contains(&value.unwrap_or_default()), "{name}");
        }
    }
    assert!(
        missing > 0,
        "no query has a missing value, so the test saw none"
    );
    // What is read off the rows is what models are asked: the table, encoded, is the array.
    let Values::Number(ages) = stored("age") else {
        panic!()
    };
    let age = dataset
        .schema
        .features
        .iter()
        .position(|f| f.name == "age")
        .unwrap();
    let first = (0..table.len())
        .find(|&row| known("age")[row] == ages[0].to_string())
        .unwrap();
    assert_eq!(
        dataset.features[[first, age]].to_bits(),
        queries[age].to_bits()
    );
}

/// The p-values of the report, from the stored arrays alone and by other arithmetic: the t null
/// of each query, then Kost's combination of all.
#[test]
fn combined_p_values_are_those_of_the_stored_answers() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut config = configuration("shipped:breast-cancer");
    config.test.null = Null::T;
    let section = audit(&config, &run).indirect.unwrap();
    let file = |name: &str| run.join("indirect").join(name);
    let (shape, signals) = floats(&file("signals.npy"));
    let (_, target) = floats(&file("target.npy"));
    let (_, membership) = npy(&file("membership.npy"));
    let (labels, tails) = (whole(&file("labels.npy")), whole(&file("query_tail.npy")));
    let record_of = whole(&file("query_record.npy"));
    let (models, queries) = (shape[0], shape[1]);
    assert_eq!(shape[2], 2);
    // Two classes: the scaled logit is the difference of the logits, within what probabilities
    // of 1e-6 can show.
    let edge = ((1.0 - 1e-6f64) / 1e-6).ln();
    let phi = |row: &[f32], query: usize| {
        let label = labels[query] as usize;
        let difference = f64::from(row[label]) - f64::from(row[1 - label]);
        tails[query] as f64 * difference.clamp(-edge, edge)
    };
    for record in &section.records {
        let number = record_of[record.shown[0].row];
        let own: Vec<usize> = (0..queries).filter(|&q| record_of[q] == number).collect();
        assert_eq!(record.queries, Some(own.len()));
        let outside: Vec<usize> = (0..models)
            .filter(|&m| membership[m * queries + own[0]] == 0)
            .collect();
        assert_eq!(record.models_out, Some(outside.len()));
        let k = outside.len() as f64;
        let mut centred = Vec::new();
        let mut p = Vec::new();
        for &query in &own {
            let at = |m: usize| &signals[(m * queries + query) * 2..][..2];
            let values: Vec<f64> = outside.iter().map(|&m| phi(at(m), query)).collect();
            let mean = values.iter().sum::<f64>() / k;
            let deviations: Vec<f64> = values.iter().map(|x| x - mean).collect();
            let sd = (deviations.iter().map(|d| d * d).sum::<f64>() / (k - 1.0)).sqrt();
            let score =
                (phi(&target[query * 2..][..2], query) - mean) / (sd * (1.0 + 1.0 / k).sqrt());
            p.push(student_t_sf(score, k - 1.0));
            centred.push(
                deviations
                    .iter()
                    .map(|d| d / (sd * (k - 1.0).sqrt()))
                    .collect::<Vec<_>>(),
            );
        }
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        let m = own.len();
        let correlations: Vec<f64> = (0..m * m)
            .map(|cell| {
                if cell / m == cell % m {
                    1.0
                } else {
                    dot(&centred[cell / m], &centred[cell % m])
                }
            })
            .collect();
        let kost = combine(&p, &correlations, (k + 1.0).powi(-2))
            .unwrap()
            .p_value;
        let told = record
            .p_by_test
            .iter()
            .find(|t| t.test == "kost")
            .unwrap()
            .p;
        assert!((kost / told - 1.0).abs() < 1e-3, "{kost} {told}");
        let first = record.best_query_p.unwrap();
        assert!((p[0] / first - 1.0).abs() < 1e-3, "{} {first}", p[0]);
    }
}

fn files(run: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<(String, Vec<u8>)> = std::fs::read_dir(run.join("indirect"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(&path).unwrap())
        })
        .collect();
    found.sort();
    found
}

#[test]
fn threads_and_resuming_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for build in [Build::Balanced, Build::Paired] {
        let mut config = configuration("shipped:breast-cancer");
        config.test.indirect.as_mut().unwrap().build = Some(build);
        let run = folder.path().join(build.name());
        let first = audit(&config, &run);
        let before = files(&run);
        assert!(before.len() >= 8, "{before:?}");
        // As if killed: some records' queries are missing, one file was cut short.
        let mut units: Vec<PathBuf> = std::fs::read_dir(run.join("indirect/units"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        units.sort();
        assert_eq!(units.len(), RECORDS);
        std::fs::remove_file(&units[0]).unwrap();
        let text = std::fs::read(&units[1]).unwrap();
        std::fs::write(&units[1], &text[..text.len() / 2]).unwrap();
        let resumed = audit(&config, &run);
        assert_eq!(first, resumed);
        assert!(before == files(&run), "other files after resuming");
        let other = folder.path().join(format!("{}-alone", build.name()));
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .unwrap();
        let alone = pool.install(|| audit(&config, &other));
        assert_eq!(first.indirect, alone.indirect);
        assert!(before == files(&other), "other files on one thread");
    }
}

#[test]
fn paired_models_serve_where_reference_models_know_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let table = people(folder.path());
    let text = std::fs::read_to_string(&table).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let rows: Vec<&str> = rows.lines().collect();
    let write = |name: &str, rows: &[&str]| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{header}\n{}\n", rows.join("\n"))).unwrap();
        path
    };
    let audited = write("audited.csv", &rows[..80]);
    let reference = write("reference.csv", &rows[80..]);
    let mut config = configuration(audited.to_str().unwrap());
    config.data.reference = Some(reference);
    let section: IndirectSection = audit(&config, &folder.path().join("run")).indirect.unwrap();
    assert_eq!(section.settings.build, "paired");
    assert_eq!(section.settings.pairs, 5);
    let trained = 10 * (section.tested + section.without_queries) as u64;
    assert!(section.cost.models_trained <= trained, "{:?}", section.cost);
    assert!(section.cost.models_trained >= 10);
    // Nobody is IN: rates of members cannot be told.
    assert!(
        section
            .rates
            .iter()
            .all(|r| r.members == 0 && r.non_members > 0)
    );
    config.test.indirect.as_mut().unwrap().build = Some(Build::Balanced);
    let refused = giveaway::run::audit(&config, Some(&folder.path().join("run")), &Silent);
    assert!(refused.unwrap_err().to_string().contains("no IN models"));
}
