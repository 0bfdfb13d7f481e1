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

/// Distances are computed here in another order, and stored as float32.
const ROUNDING: f64 = 1e-5;
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

/// Writes 200 images of 5 × 5 bytes as an array, and their labels beside it.
fn images(path: &Path) {
    let save = |path: &Path, shape: &str, bytes: &[u8]| {
        let mut header =
            format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({shape}), }}");
        while (10 + header.len() + 1) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((header.len() as u16).to_le_bytes());
        file.extend(header.as_bytes());
        file.extend(bytes);
        std::fs::write(path, file).unwrap();
    };
    let mut state = 5u64;
    let mut draw = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 40) as u8
    };
    let labels: Vec<u8> = (0..200).map(|_| draw() % 2).collect();
    let pixel = |label: u8, value: u8| (value / 2).saturating_add(60 * label);
    let pixels: Vec<u8> = labels
        .iter()
        .flat_map(|&label| (0..25).map(move |_| label))
        .map(|label| pixel(label, draw()))
        .collect();
    save(path, "200, 5, 5", &pixels);
    save(&path.with_file_name("labels.npy"), "200,", &labels);
}

/// The encoded records, as the run encoded them.
fn encoded(source: &str, run: &Path) -> (Table, Dataset) {
    encoded_with(source, run, &TableOptions::default())
}

fn encoded_with(source: &str, run: &Path, options: &TableOptions) -> (Table, Dataset) {
    let table = match source.strip_prefix("shipped:") {
        Some(name) => Table::shipped(name, options).unwrap(),
        None => Table::read(Path::new(source), options).unwrap(),
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

/// Distance of the nearest other record, twins aside, and the median of it: by definition.
fn nearest_others(dataset: &Dataset) -> (Vec<f64>, f64) {
    let rows: Vec<Vec<f32>> = dataset.features.outer_iter().map(|r| r.to_vec()).collect();
    let nearest: Vec<f64> = rows
        .iter()
        .map(|own| {
            let others = rows.iter().map(|other| distance(own, other));
            others
                .filter(|&far| far > 0.0)
                .fold(f64::INFINITY, f64::min)
        })
        .collect();
    let mut sorted = nearest.clone();
    sorted.sort_by(f64::total_cmp);
    let median = sorted[sorted.len() / 2];
    (nearest, median)
}

/// Must hold 3 of the issue: over all stored queries, for tables of numbers, of mixed columns,
/// with twins and near-duplicates, with persons of several rows, and for images.
#[test]
fn no_query_is_the_record_or_nearly_it() {
    let folder = tempfile::tempdir().unwrap();
    let csv = people(folder.path());
    let text = std::fs::read_to_string(&csv).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let rows: Vec<&str> = rows.lines().collect();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let twice: Vec<&str> = rows.iter().chain(&rows[..200]).copied().collect();
    let twins = write("twins.csv", format!("{header}\n{}\n", twice.join("\n")));
    let persons = rows
        .iter()
        .enumerate()
        .map(|(i, row)| format!("p{},{row}\n", i / 2));
    let persons = write(
        "persons.csv",
        format!("who,{header}\n{}", persons.collect::<String>()),
    );
    let pixels = write("pixels.npy", String::new());
    images(Path::new(&pixels));
    let mut near_duplicates = 0;
    for source in [
        "shipped:breast-cancer",
        csv.to_str().unwrap(),
        &twins,
        &persons,
        &pixels,
    ] {
        let run = folder.path().join("run");
        let mut config = configuration(source);
        if source == persons {
            config.data.group = Some("who".to_owned());
        }
        if source == pixels {
            config.data.labels_file = Some(folder.path().join("labels.npy"));
        }
        near_duplicates += check_distances(source, &config, &run);
        std::fs::remove_dir_all(&run).unwrap();
    }
    assert!(
        near_duplicates > 0,
        "no attacked record had a near-duplicate"
    );
}

/// Audits, looks at every stored query, and counts near-duplicates that were looked at.
fn check_distances(source: &str, config: &Config, run: &Path) -> usize {
    let mut near_duplicates = 0;
    let section = audit(config, run).indirect.unwrap();
    let options = TableOptions {
        group: config.data.group.clone(),
        labels_file: config.data.labels_file.clone(),
        ..TableOptions::default()
    };
    let (table, dataset) = encoded_with(source, run, &options);
    let (nearest_other, usual) = nearest_others(&dataset);
    let told_usual = section.settings.usual_distance;
    assert!(
        (told_usual / usual - 1.0).abs() < ROUNDING,
        "{told_usual} {usual}"
    );
    let (shape, queries) = floats(&run.join("indirect/queries.npy"));
    let width = dataset.features.ncols();
    assert_eq!(shape[1], width);
    let record_of = whole(&run.join("indirect/query_record.npy"));
    let row_of = |id: &str| table.ids.iter().position(|other| other == id).unwrap();
    let unit_of = |row: usize| -> Vec<usize> {
        match &table.groups {
            Some(groups) => (0..table.len())
                .filter(|&r| groups[r] == groups[row])
                .collect(),
            None => vec![row],
        }
    };
    let features = |row: usize| dataset.features.row(row).to_vec();
    let attacked: Vec<Vec<f32>> = section
        .records
        .iter()
        .flat_map(|r| unit_of(row_of(&r.id)))
        .map(features)
        .collect();
    let mut nearest = f64::INFINITY;
    for (query, &record) in queries.chunks_exact(width).zip(&record_of) {
        let told = told(&section, &record_of, record);
        let own = unit_of(row_of(&told.id));
        // A person's floor is computed from the nearest record of another person.
        let least = if table.groups.is_some() {
            usual
        } else {
            nearest_other[own[0]].max(usual)
        };
        for &row in &own {
            let far = distance(query, &features(row));
            assert!(
                far > 0.0 && far >= least * (1.0 - ROUNDING),
                "{source}: {far} {least}"
            );
            nearest = nearest.min(far);
            for other in 0..table.len() {
                let between = distance(&features(other), &features(row));
                if !own.contains(&other) && between < usual * (1.0 - ROUNDING) {
                    near_duplicates += 1;
                    assert!(distance(query, &features(other)) >= least * (1.0 - ROUNDING));
                }
            }
        }
        assert!(!attacked.iter().any(|other| other == query));
    }
    assert!(record_of.len() >= RECORDS, "{source}: queries were found");
    let told = section.smallest_distance.unwrap();
    assert!(
        told <= nearest * (1.0 + ROUNDING),
        "{told} is said, {nearest} found"
    );
    near_duplicates
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
    config.test.null = Some(Null::T);
    let section = audit(&config, &run).indirect.unwrap();
    let file = |name: &str| run.join("indirect").join(name);
    let (shape, signals) = floats(&file("signals.npy"));
    let (_, target) = floats(&file("target.npy"));
    let (_, membership) = npy(&file("membership.npy"));
    let (labels, tails) = (whole(&file("labels.npy")), whole(&file("query_tail.npy")));
    let record_of = whole(&file("query_record.npy"));
    let (models, queries) = (shape[0], shape[1]);
    assert_eq!(shape[2], 2);
    // Two classes: the scaled logit is the difference of the logits.
    let phi = |row: &[f32], query: usize| {
        let label = labels[query] as usize;
        let difference = f64::from(row[label]) - f64::from(row[1 - label]);
        tails[query] as f64 * difference
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

/// A target known by its outputs: the queries are handed out, and its answers come back.
#[test]
fn a_target_that_is_a_file_is_asked_in_two_steps() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    // Some other run's model plays the target: its outputs to the records are kept there.
    let donor = folder.path().join("donor");
    let mut config = configuration("shipped:breast-cancer");
    let own = audit(&config, &donor);
    let (shape, logits) = floats(&donor.join("signals/target.npy"));
    let classes = shape[2];
    // Rounded to one decimal, so that ties abound.
    let table = |name: &str, logits: &[f32]| {
        let mut text = String::from("benign,malignant\n");
        for row in logits.chunks_exact(classes) {
            let row: Vec<String> = row.iter().map(|x| format!("{x:.1}")).collect();
            writeln!(text, "{}", row.join(",")).unwrap();
        }
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    config.target.outputs = Some(table("outputs.csv", &logits));
    config.test.null = Some(Null::Ecdf);
    let waiting = audit(&config, &run);
    assert!(waiting.indirect.is_none());
    assert!(
        waiting
            .notes
            .iter()
            .any(|note| note.contains("--indirect-answers"))
    );
    assert!(!run.join("indirect/target.npy").exists());
    // The answers are those of a model that tests and has the first record OUT.
    let (shape, signals) = floats(&run.join("indirect/signals.npy"));
    let (_, membership) = npy(&run.join("indirect/membership.npy"));
    let queries = shape[1];
    let model = (0..shape[0])
        .find(|m| membership[m * queries] == 0)
        .unwrap();
    let answers = &signals[model * queries * classes..][..queries * classes];
    let answered = table("answers.csv", answers);
    let mut second = config.clone();
    second.test.indirect.as_mut().unwrap().answers = Some(answered);
    let section = audit(&second, &run).indirect.unwrap();
    let record_of = whole(&run.join("indirect/query_record.npy"));
    let first = told(&section, &record_of, 0);
    // The same number on both sides is a tie, against a discovery: p is a rank of a model among
    // models, with itself: at least 2 of k + 1.
    let k = first.models_out.unwrap() as f64;
    for shown in &first.shown {
        assert!(
            shown.p >= 2.0 / (k + 1.0) * (1.0 - 1e-12),
            "{} of {k}",
            shown.p
        );
    }
    // Answers that cannot be those are refused.
    let refuse = |path: PathBuf, config: &Config| {
        let mut config = config.clone();
        config.test.indirect.as_mut().unwrap().answers = Some(path);
        giveaway::run::audit(&config, Some(&run), &Silent)
            .unwrap_err()
            .to_string()
    };
    let short = table("short.csv", &answers[..answers.len() - classes]);
    assert!(refuse(short, &config).contains("queries"));
    let mut other = config.clone();
    other.test.indirect.as_mut().unwrap().distance = 1.5;
    let said = refuse(folder.path().join("answers.csv"), &other);
    assert!(said.contains("no answers to the queries"), "{said}");
    config.target.outputs = None;
    assert!(refuse(folder.path().join("answers.csv"), &config).contains("not given"));
    // What a run of its own target has is not touched by all this.
    assert!(own.indirect.is_some());
}

/// Nothing in a unit's file is believed that can be checked; a file that fails is made anew.
#[test]
fn damaged_queries_are_built_again() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let config = configuration("shipped:breast-cancer");
    let first = audit(&config, &run);
    let before = files(&run);
    let mut units: Vec<PathBuf> = std::fs::read_dir(run.join("indirect/units"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    units.sort();
    let path = units
        .iter()
        .find(|path| {
            std::fs::read_to_string(path)
                .unwrap()
                .contains("\"donors\"")
        })
        .unwrap();
    let good: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let own = good["queries"][0]["record"].as_u64().unwrap();
    let columns = good["queries"][0]["donors"].as_array().unwrap().len();
    let damages: [(&str, serde_json::Value); 5] = [
        ("/queries/0/record", 1_000_000_000.into()),
        ("/queries/0/record", ((own + 1) % 500).into()),
        ("/queries/0/donors", vec![own; columns].into()),
        ("/queries/0/donors/0", 4_000_000_000_u32.into()),
        ("/queries", serde_json::json!([])),
    ];
    for (place, value) in damages {
        let mut damaged = good.clone();
        *damaged.pointer_mut(place).unwrap() = value;
        std::fs::write(path, damaged.to_string()).unwrap();
        assert_eq!(first, audit(&config, &run), "{place}");
        assert!(before == files(&run), "{place}");
    }
}

/// A query that is a real record has the outputs that the run has of that record: models come
/// back from their files bit for bit, and the right one is asked the right row.
#[test]
fn models_answer_queries_as_they_answer_records() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut config = configuration("shipped:breast-cancer");
    let indirect = config.test.indirect.as_mut().unwrap();
    indirect.queries = 60;
    // At random, many are real records.
    (indirect.select, indirect.confirm) = (false, false);
    audit(&config, &run);
    let (_, dataset) = encoded("shipped:breast-cancer", &run);
    let (_, queries) = floats(&run.join("indirect/queries.npy"));
    let (shape, asked) = floats(&run.join("indirect/signals.npy"));
    let width = dataset.features.ncols();
    let mut compared = 0;
    for (number, query) in queries.chunks_exact(width).enumerate() {
        let twin = dataset
            .features
            .outer_iter()
            .position(|row| row.to_vec() == query);
        let Some(record) = twin else { continue };
        for model in 0..shape[0] {
            let file = run.join(format!("signals/{:03}.npy", model + 24));
            let (_, outputs) = floats(&file);
            let answer = &asked[(model * shape[1] + number) * 2..][..2];
            assert_eq!(answer, &outputs[record * 2..][..2]);
        }
        compared += 1;
    }
    assert!(compared > 10, "{compared} queries are real records");
}
