//! What is written of a result against what is published of it: `report.json` against its
//! schema, and the columns of the Parquet files against docs/report.md.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as tests may"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};

use giveaway::attack::method::Method;
use giveaway::report::{Audit, schema};
use giveaway::run::config::{Config, Duplicates, IndirectConfig};
use giveaway::run::progress::Silent;
use giveaway::select::{Amount, Rule};
use giveaway_stats::random::Stream;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use serde_json::{Value, json};

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

fn config(source: &str) -> Config {
    let mut config = Config {
        seed: 3,
        ..Config::default()
    };
    source.clone_into(&mut config.data.source);
    config.data.duplicates = Duplicates::Report;
    config.reference.models = 32;
    config.reference.hidden = Vec::new();
    config.reference.epochs = 5;
    config.reference.learning_rate = 0.01;
    config.test.amount = Amount::Share(0.1);
    config
}

/// An audit in a directory of its own.
struct Run {
    folder: tempfile::TempDir,
    audit: Audit,
}

impl Run {
    fn of(config: &Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let audit = giveaway::run::audit(config, Some(&path), &Silent)
            .unwrap()
            .audit;
        Self { folder, audit }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("run").join(name)
    }

    fn report(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.file("report.json")).unwrap()).unwrap()
    }

    fn columns(&self, name: &str) -> BTreeSet<String> {
        let reader = SerializedFileReader::new(File::open(self.file(name)).unwrap()).unwrap();
        let schema = reader.metadata().file_metadata().schema_descr_ptr();
        schema
            .columns()
            .iter()
            .map(|column| column.name().to_owned())
            .collect()
    }

    fn rows(&self, name: &str) -> Vec<BTreeMap<String, Field>> {
        let reader = SerializedFileReader::new(File::open(self.file(name)).unwrap()).unwrap();
        let of = |row: Row| {
            row.get_column_iter()
                .map(|(n, f)| (n.clone(), f.clone()))
                .collect()
        };
        reader
            .get_row_iter(None)
            .unwrap()
            .map(|row| of(row.unwrap()))
            .collect()
    }
}

/// Two features, two classes, three records a person.
fn persons(count: usize, seed: u64, prefix: &str) -> String {
    let mut stream = Stream::new(seed, "persons", 0);
    let mut text = String::from("name,person,width,height,class\n");
    for record in 0..count {
        let ill = stream.uniform() < 0.5;
        let shift = if ill { 1.0 } else { 0.0 };
        let (width, height) = (stream.normal() + shift, stream.normal() - shift);
        let class = if ill { "ill" } else { "well" };
        let person = record / 3;
        writeln!(
            text,
            "{prefix}{record},{prefix}p{person},{width:.4},{height:.4},{class}"
        )
        .unwrap();
    }
    text
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// Everything that can be in a report: every attack, indirect inference, membership known.
fn with_attacks() -> Run {
    let mut config = config("shipped:breast-cancer");
    config.test.attacks = Some(Method::EVERY.to_vec());
    config.test.indirect = Some(IndirectConfig {
        records: Some(6),
        queries: 5,
        candidates: Some(200),
        confirm: false,
        ..IndirectConfig::default()
    });
    Run::of(&config)
}

/// Groups, and an id column.
fn with_groups(folder: &Path) -> Run {
    let path = write(folder, "persons.csv", &persons(360, 1, "a"));
    let mut config = config(&path.to_string_lossy());
    config.data.label = Some("class".into());
    config.data.id = Some("name".into());
    config.data.group = Some("person".into());
    config.test.select = Some(Rule::Neighbours);
    config.test.attacks = Some(Vec::new());
    Run::of(&config)
}

/// Reference records in another file, and a target of which only outputs are known.
fn with_reference(folder: &Path) -> Run {
    let path = write(folder, "audited.csv", &persons(150, 2, "a"));
    let mut outputs = String::from("ill,well\n");
    let mut stream = Stream::new(7, "outputs", 0);
    for _ in 0..150 {
        let ill = stream.uniform();
        writeln!(outputs, "{ill:.6},{:.6}", 1.0 - ill).unwrap();
    }
    let mut config = config(&path.to_string_lossy());
    config.data.reference = Some(write(folder, "reference.csv", &persons(300, 3, "r")));
    config.data.label = Some("class".into());
    config.data.id = Some("name".into());
    config.data.drop = vec!["person".into()];
    config.target.outputs = Some(write(folder, "outputs.csv", &outputs));
    Run::of(&config)
}

#[test]
fn the_published_schema_is_that_of_the_types() {
    assert!(
        document("report.schema.json") == schema::text(),
        "docs/report.schema.json is not what the types say; make it again: \
         cargo run -p giveaway --example report_schema > docs/report.schema.json"
    );
}

/// Nothing may be called valid that is not, so the validator is shown broken ones as well.
fn check_against_schema(report: &Value) {
    let schema: Value = serde_json::from_str(&document("report.schema.json")).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(report)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");

    let broken = |pointer: &str, value: Option<Value>| {
        let mut report = report.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = report.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Some(value) => assert!(parent.insert(name.to_owned(), value).is_some(), "{pointer}"),
            None => assert!(parent.remove(name).is_some(), "{pointer}"),
        }
        assert!(!validator.is_valid(&report), "{pointer} was broken");
    };
    for missing in [
        "/seed",
        "/verdict/given_away",
        "/verdict/expected_wrong_records",
        "/test/null",
        "/leave_one_out/0/ranking/curve",
        "/figures/cutoffs",
        "/figures/losses/0/edges",
        "/figures/cutoffs/0/leave_one_out/0/cutoff",
        "/data/classes",
    ] {
        broken(missing, None);
    }
    if report.get("indirect").is_some() {
        broken("/indirect/combination", None);
        broken("/indirect/records/0/p", None);
        broken("/indirect/rates/0/levels/0/recall", None);
    }
    broken("/seed", Some(json!("three")));
    broken("/format_version", Some(json!(2)));
    broken("/test/null", Some(json!("normal")));
    broken("/verdict/expected_wrong", Some(json!(0.5)));
    broken("/verdict/expected_wrong/value", Some(json!("half")));
    broken("/figures/losses/0/model", Some(json!("other")));
    broken("/leave_one_out", Some(Value::Null));

    let mut later = report.clone();
    later["verdict"]["what_comes_later"] = json!(1);
    assert!(validator.is_valid(&later), "additions are allowed");
}

/// The figures of a report against each other, where two places say the same.
fn check_figures(audit: &Audit) {
    let verdict = &audit.verdict;
    for (records, share) in [
        (
            verdict.expected_wrong_records.value,
            verdict.expected_wrong.value,
        ),
        (
            verdict.expected_wrong_records.lower,
            verdict.expected_wrong.lower,
        ),
        (
            verdict.expected_wrong_records.upper,
            verdict.expected_wrong.upper,
        ),
    ] {
        assert_eq!(records.is_some(), share.is_some());
        if let (Some(records), Some(share)) = (records, share) {
            assert!((records - share * verdict.given_away as f64).abs() < 1e-9);
        }
    }
    assert_eq!(audit.figures.cutoffs.len(), 3, "one for each null");
    for curve in &audit.figures.cutoffs {
        let known = !audit.on_target.is_empty();
        assert_eq!(!curve.on_target.is_empty(), known);
        let of = |evaluations: &[giveaway::evaluate::Evaluation]| {
            evaluations
                .iter()
                .find(|e| e.null == curve.null && e.selection == audit.test.selection)
                .map(|e| e.members + e.non_members)
        };
        let all = curve.leave_one_out.last().map(|at| at.accusations);
        assert_eq!(all, of(&audit.leave_one_out));
        assert_eq!(
            curve.on_target.last().map(|at| at.accusations),
            of(&audit.on_target)
        );
    }
    let of_target: u64 = audit
        .figures
        .losses
        .iter()
        .filter(|h| format!("{:?} {:?}", h.model, h.units) == "Target All")
        .flat_map(|h| &h.counts)
        .sum();
    let known = if audit.on_target.is_empty() {
        0
    } else {
        audit.data.units
    };
    assert_eq!(of_target, known as u64);
    let of_references: u64 = audit
        .figures
        .losses
        .iter()
        .filter(|h| format!("{:?} {:?}", h.model, h.units) == "References Selected")
        .flat_map(|h| &h.counts)
        .sum();
    let expected = audit.test.selected * audit.test.testing_models;
    assert_eq!(of_references, expected as u64);
}

/// Names in the first column of the tables of one section.
fn documented(section: &str) -> Vec<String> {
    let text = document("report.md");
    let (_, rest) = text.split_once(&format!("\n## `{section}`\n")).unwrap();
    let section = rest.split("\n## ").next().unwrap();
    let mut names = Vec::new();
    for line in section.lines().filter(|line| line.starts_with("| `")) {
        let first = line.split('|').nth(1).unwrap();
        names.extend(first.split('`').skip(1).step_by(2).map(str::to_owned));
    }
    names
}

/// The names that a documented one stands for.
fn expanded(name: &str) -> Vec<String> {
    let underscored = |name: &str| name.replace('-', "_");
    if name.contains("ATTACK") {
        let of = |method: &Method| name.replace("ATTACK", &underscored(method.name()));
        return Method::EVERY.iter().map(of).collect();
    }
    if name.contains("RULE") {
        let rules = Rule::EVERY.iter().filter(|rule| **rule != Rule::All);
        return rules
            .map(|rule| name.replace("RULE", &underscored(rule.name())))
            .collect();
    }
    vec![name.to_owned()]
}

/// Every column that is written is documented, and every documented one is written by a run
/// that can have it.
fn check_columns(file: &str, runs: &[&Run]) {
    let documented = documented(file);
    assert!(documented.len() > 3, "{file}: {documented:?}");
    let written: BTreeSet<String> = runs.iter().flat_map(|run| run.columns(file)).collect();
    let mut known = BTreeSet::new();
    for name in &documented {
        let names = expanded(name);
        assert!(
            names.iter().any(|name| written.contains(name)),
            "{file}: no run has the documented column {name}"
        );
        for name in names {
            assert!(
                known.insert(name.clone()),
                "{file}: {name} is documented twice"
            );
        }
    }
    let unknown: Vec<&String> = written.difference(&known).collect();
    assert!(
        unknown.is_empty(),
        "{file}: not in docs/report.md: {unknown:?}"
    );
}

fn text(field: &Field) -> &str {
    match field {
        Field::Str(text) => text,
        other => panic!("{other:?}"),
    }
}

fn number(field: &Field) -> f64 {
    match field {
        Field::Double(number) => *number,
        Field::Long(number) => *number as f64,
        other => panic!("{other:?}"),
    }
}

/// Logits `[records][classes]` of a model.
fn logits(path: &Path, classes: usize) -> Vec<Vec<f64>> {
    let bytes = std::fs::read(path).unwrap();
    let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[end..]
        .chunks_exact(4 * classes)
        .map(|row| {
            row.chunks_exact(4)
                .map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap())))
                .collect()
        })
        .collect()
}

/// The neighbours of a run whose units are single records, by their definition: cosine
/// distances of the logits of the models that select. `reference` says which records count.
fn check_neighbours(run: &Run, ids: &[String], reference: impl Fn(usize) -> bool) {
    let classes = run.audit.data.classes.len();
    let mut features = vec![Vec::new(); ids.len()];
    for model in 0..run.audit.test.selecting_models {
        let rows = logits(&run.file(&format!("signals/{model:03}.npy")), classes);
        assert_eq!(rows.len(), ids.len());
        for (feature, row) in features.iter_mut().zip(rows) {
            feature.extend(row);
        }
    }
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let distance = |a: usize, b: usize| {
        let (a, b) = (&features[a], &features[b]);
        1.0 - dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    let rows = run.rows("neighbours.parquet");
    assert_eq!(rows.len(), 5 * run.audit.test.selected);
    for (place, row) in rows.iter().enumerate() {
        let unit = number(&row["unit"]) as usize;
        let rank = number(&row["rank"]) as usize;
        assert_eq!(rank, place % 5 + 1);
        let mut all: Vec<f64> = (0..ids.len())
            .filter(|&other| other != unit && reference(other))
            .map(|other| distance(unit, other))
            .collect();
        all.sort_by(f64::total_cmp);
        let found = number(&row["distance"]);
        let other = number(&row["neighbour_unit"]) as usize;
        assert!(
            (found - all[rank - 1]).abs() < 2e-6,
            "{found} {}",
            all[rank - 1]
        );
        assert!((found - distance(unit, other)).abs() < 2e-6);
        assert!(reference(other) && other != unit);
        assert_eq!(text(&row["neighbour_id"]), ids[other]);
        let audited = Field::Bool(other < run.audit.data.records);
        assert_eq!(row["neighbour_audited"], audited);
    }
    // the most exposed first
    for (place, exposed) in run.audit.exposed.iter().enumerate() {
        let unit = number(&rows[5 * place]["unit"]) as usize;
        assert_eq!(exposed.id, ids[unit]);
    }
}

/// One test, so that the runs are made once.
#[test]
fn what_is_written_is_what_is_published() {
    let folder = tempfile::tempdir().unwrap();
    let attacks = with_attacks();
    let groups = with_groups(folder.path());
    let reference = with_reference(folder.path());
    let runs = [&attacks, &groups, &reference];
    for run in runs {
        check_against_schema(&run.report());
        check_figures(&run.audit);
    }
    assert!(attacks.audit.attacks.is_some() && groups.audit.attacks.is_none());
    assert!(reference.audit.on_target.is_empty());
    check_columns("records.parquet", &runs);
    check_columns("neighbours.parquet", &runs);
    // The features of the data are anybody's: those of ours are known.
    for run in [&groups, &reference] {
        let mut columns = run.columns("data.parquet");
        for feature in ["width", "height"] {
            assert!(columns.remove(feature), "{feature}");
        }
        let expected: BTreeSet<String> = documented("data.parquet").into_iter().collect();
        assert!(columns.is_subset(&expected), "{columns:?}");
        assert!(columns.contains("id") && columns.contains("class"));
    }
    assert!(groups.columns("data.parquet").contains("group"));

    let ids = |run: &Run| -> Vec<String> {
        let rows = run.rows("records.parquet");
        rows.iter().map(|row| text(&row["id"]).to_owned()).collect()
    };
    check_neighbours(&attacks, &ids(&attacks), |_| true);
    let mut with_references = ids(&reference);
    let audited = with_references.len();
    with_references.extend((0..300).map(|record| format!("r{record}")));
    check_neighbours(&reference, &with_references, |record| record >= audited);

    // A person stands for its records: ids are those of the first.
    let first_of: BTreeMap<u64, String> = groups
        .rows("records.parquet")
        .iter()
        .rev()
        .map(|row| (number(&row["unit"]) as u64, text(&row["id"]).to_owned()))
        .collect();
    let rows = groups.rows("neighbours.parquet");
    assert_eq!(rows.len(), 5 * groups.audit.test.selected);
    for row in rows {
        let unit = number(&row["neighbour_unit"]) as u64;
        assert_eq!(text(&row["neighbour_id"]), first_of[&unit]);
    }
}

/// The file belongs to the last result in the directory, and one of nobody has no rows.
#[test]
fn neighbours_are_those_of_the_last_result() {
    let mut config = config("shipped:breast-cancer");
    let mut run = Run::of(&config);
    assert_eq!(
        run.rows("neighbours.parquet").len(),
        5 * run.audit.test.selected
    );
    config.test.select = Some(Rule::Neighbours);
    for (amount, selected) in [(Amount::Count(3), 3), (Amount::Alpha(1.99), 0)] {
        config.test.amount = amount;
        run.audit = giveaway::run::audit(&config, Some(&run.file("")), &Silent)
            .unwrap()
            .audit;
        assert_eq!(run.audit.test.selected, selected);
        assert_eq!(run.rows("neighbours.parquet").len(), 5 * selected);
        check_columns("neighbours.parquet", &[&run]);
    }
    let schema: Value = serde_json::from_str(&document("report.schema.json")).unwrap();
    assert!(
        jsonschema::is_valid(&schema, &run.report()),
        "nobody was tested"
    );
}
