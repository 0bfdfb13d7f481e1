//! Set-ups whose figures mean nothing are flagged, from the files to the verdict, and
//! sound ones are not (methods, section 6.8).

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as tests may"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use giveaway::attack::direct::Null;
use giveaway::evaluate::{Decision, LEVELS};
use giveaway::report::Audit;
use giveaway::run::config::Config;
use giveaway::run::progress::Silent;
use giveaway::select::{Amount, Rule};
use giveaway::validity::{Check, Status, reference_overlap};
use giveaway_stats::random::Stream;

/// Softmax regression, few models, few passes: enough for the checks.
fn config(source: &str, seed: u64) -> Config {
    let mut config = Config {
        seed,
        ..Config::default()
    };
    source.clone_into(&mut config.data.source);
    config.reference.models = 24;
    config.reference.hidden = Vec::new();
    config.reference.epochs = 5;
    config.reference.learning_rate = 0.01;
    config.test.amount = Amount::Share(0.1);
    config
}

fn audit(config: &Config) -> Audit {
    let folder = tempfile::tempdir().unwrap();
    giveaway::run::audit(config, Some(&folder.path().join("run")), &Silent)
        .unwrap()
        .audit
}

fn check<'a>(audit: &'a Audit, name: &str) -> &'a Check {
    audit.checks.iter().find(|c| c.name.contains(name)).unwrap()
}

fn failed(audit: &Audit) -> Vec<&str> {
    audit
        .checks
        .iter()
        .filter(|c| c.status == Status::Failed)
        .map(|c| c.name.as_str())
        .collect()
}

const BLIND: &str = "blind baseline";
const FIT: &str = "fit of the references to the target";
const SPLIT: &str = "people and duplicates across the split";

fn write(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn forest(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../conformance/audit")
        .join(name)
}

/// The shipped data, targets trained here: nothing to complain about, over many seeds.
#[test]
fn sound_audits_pass_every_check() {
    for seed in 0..12 {
        let audit = audit(&config("shipped:breast-cancer", seed));
        for check in &audit.checks {
            assert_eq!(check.status, Status::Passed, "seed {seed}: {check:?}");
        }
        assert!(audit.verdict.valid);
    }
}

/// On real data and trained networks: the false-positive rate of non-members, pooled over
/// leave-one-out, is not above its level beyond the clustered interval, for every
/// selection and null, with one exception. Scaled logits of Adult are not normal, and `t`
/// accuses 1.5 % of *all* non-members at p < .01 (three seeds: .0146, .0146, .0151, lower
/// ends .0106 to .0112; methods, section 1.2, has .015 from a prototype). Of the selected
/// ones it does not.
#[test]
fn false_positives_of_trained_models_keep_to_their_level() {
    for source in ["shipped:breast-cancer", "shipped:adult"] {
        let mut config = config(source, 0);
        config.reference.models = 120;
        config.reference.hidden = vec![16];
        config.reference.epochs = 10;
        config.reference.learning_rate = 0.003;
        config.test.amount = Amount::Share(0.05);
        if source == "shipped:adult" {
            config.data.training_units = Some(400);
        }
        let audit = audit(&config);
        assert_eq!(
            audit.leave_one_out.len(),
            12,
            "four selections, three nulls"
        );
        for evaluation in &audit.leave_one_out {
            for level in LEVELS {
                let rate = evaluation
                    .rates(Decision::Level(level))
                    .unwrap()
                    .false_positive_rate;
                let known = source == "shipped:adult"
                    && (evaluation.selection, evaluation.null) == (Rule::All, Null::T);
                assert!(
                    rate.lower.unwrap() <= level || known,
                    "{source} {:?} {:?} {level}: {rate:?}",
                    evaluation.selection,
                    evaluation.null
                );
            }
        }
    }
}

/// Persons without a group, people of one kind: a table of independent rows.
#[test]
fn independent_rows_pass_every_check() {
    let folder = tempfile::tempdir().unwrap();
    for seed in 0..10 {
        let path = write(folder.path(), "rows.csv", &rows(300, 2, seed));
        let mut config = config(&path.to_string_lossy(), seed);
        config.data.label = Some("class".into());
        let audit = audit(&config);
        for check in &audit.checks {
            assert_eq!(check.status, Status::Passed, "seed {seed}: {check:?}");
        }
    }
}

/// Independent rows: numbers, a category, and a class that depends on the first number.
fn rows(count: usize, numbers: usize, seed: u64) -> String {
    let mut stream = Stream::new(seed, "rows", 0);
    let mut text = String::from("kind");
    for column in 0..numbers {
        write!(text, ",x{column}").unwrap();
    }
    text.push_str(",class\n");
    for _ in 0..count {
        let x: Vec<f64> = (0..numbers).map(|_| stream.normal()).collect();
        write!(text, "{}", ["a", "b", "c"][stream.below(3)]).unwrap();
        for value in &x {
            write!(text, ",{value:.4}").unwrap();
        }
        let class = if x[0] + stream.normal() > 0.0 {
            "yes"
        } else {
            "no"
        };
        writeln!(text, ",{class}").unwrap();
    }
    text
}

/// A forest of scikit-learn's, audited with networks.
#[test]
fn a_forest_audited_with_networks_is_flagged() {
    for seed in 0..3 {
        let mut config = config("shipped:breast-cancer", seed);
        config.reference.hidden = vec![16];
        config.target.outputs = Some(forest("forest.csv"));
        config.target.members = Some(forest("forest-members.txt"));
        let audit = audit(&config);
        assert_eq!(failed(&audit), [FIT], "{:?}", audit.checks);
        assert!(!audit.verdict.valid);
        assert!(
            audit
                .verdict
                .headline
                .starts_with("A CHECK OF THE SET-UP FAILED")
        );
    }
}

/// The same way in, with a network as the target: its outputs, rounded as the forest's are,
/// and the list of its members are taken from an audit that trained it.
#[test]
fn a_network_given_by_its_outputs_passes() {
    for seed in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config("shipped:breast-cancer", seed);
        config.reference.hidden = vec![16];
        let run = folder.path().join("run");
        let trained = giveaway::run::audit(&config, Some(&run), &Silent).unwrap();
        let logits = giveaway::dataset::matrix::read(&run.join("signals/target.npy"))
            .unwrap()
            .values;
        let mut outputs = String::from("benign,malignant\n");
        for row in logits.rows() {
            let p = 1.0 / (1.0 + f64::from(row[0] - row[1]).exp());
            writeln!(outputs, "{:.6},{:.6}", 1.0 - p, p).unwrap();
        }
        let pool = giveaway::run::pool::Pool::prepare(&config, &Silent).unwrap();
        let mut members = String::new();
        for record in pool.units.expand(&pool.target_training_units) {
            writeln!(members, "{record}").unwrap();
        }
        // other reference models than those that were trained beside the target
        config.seed = 1000 + seed;
        config.target.outputs = Some(write(folder.path(), "outputs.csv", &outputs));
        config.target.members = Some(write(folder.path(), "members.txt", &members));
        let given = audit(&config);
        assert!(!given.target.trained_here);
        for check in &given.checks {
            assert_eq!(check.status, Status::Passed, "seed {seed}: {check:?}");
        }
        let (a, b) = (given.target.accuracy, trained.audit.target.accuracy);
        assert_eq!((a.train, a.test), (b.train, b.test));
    }
}

/// Members of one year, non-members of the next: the year tells them apart, or, where there
/// is no such column, what has drifted meanwhile.
#[test]
fn members_and_non_members_of_different_years_are_flagged() {
    for with_year in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let mut stream = Stream::new(2, "years", 0);
        let (mut data, mut outputs, mut members) = (
            String::from("income,year,age,class\n"),
            String::from("no,yes\n"),
            String::new(),
        );
        for record in 0..400u32 {
            let later = record % 2;
            let age = 40.0 + 10.0 * stream.normal();
            // prices have risen
            let income = 30.0 + 6.0 * stream.normal() + 4.0 * f64::from(later);
            let year = if with_year {
                2019 + later
            } else {
                2019 + u32::from(stream.uniform() < 0.5)
            };
            let p = 1.0 / (1.0 + (-(income - 32.0) / 4.0 - stream.normal()).exp());
            let class = if stream.uniform() < p { "yes" } else { "no" };
            writeln!(data, "{income:.3},{year},{age:.2},{class}").unwrap();
            writeln!(outputs, "{:.6},{:.6}", 1.0 - p, p).unwrap();
            if later == 0 {
                writeln!(members, "{record}").unwrap();
            }
        }
        let path = write(folder.path(), "years.csv", &data);
        let mut config = config(&path.to_string_lossy(), 1);
        config.data.label = Some("class".into());
        config.target.outputs = Some(write(folder.path(), "outputs.csv", &outputs));
        config.target.members = Some(write(folder.path(), "members.txt", &members));
        let audit = audit(&config);
        let blind = check(&audit, BLIND);
        assert_eq!(blind.status, Status::Failed, "{blind:?}");
        let auc = blind.figure.unwrap();
        assert!(auc > if with_year { 0.99 } else { 0.6 }, "{blind:?}");
        assert!(!audit.verdict.valid);
    }
}

const PERSONS: usize = 200;
const ROWS_EACH: usize = 5;

/// 200 persons with five visits each: what a person is hardly changes from visit to visit.
fn persons(with_id: bool, seed: u64) -> String {
    let mut stream = Stream::new(seed, "persons", 0);
    let mut visits: Vec<String> = Vec::new();
    for person in 0..PERSONS {
        let traits: Vec<f64> = (0..6).map(|_| stream.normal()).collect();
        let class = if traits[0] + stream.normal() > 0.0 {
            "ill"
        } else {
            "well"
        };
        for _ in 0..ROWS_EACH {
            let mut row = if with_id {
                format!("P{person:03},")
            } else {
                String::new()
            };
            for value in &traits {
                write!(row, "{:.4},", value + 0.02 * stream.normal()).unwrap();
            }
            row.push_str(class);
            visits.push(row);
        }
    }
    stream.shuffle(&mut visits);
    let id = if with_id { "person_id," } else { "" };
    format!("{id}a,b,c,d,e,f,class\n{}\n", visits.join("\n"))
}

#[test]
fn persons_on_both_sides_of_the_split_are_flagged_and_groups_cure_it() {
    for seed in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let of = |with_id: bool| {
            let name = if with_id { "with.csv" } else { "without.csv" };
            let path = write(folder.path(), name, &persons(with_id, seed));
            let mut config = config(&path.to_string_lossy(), seed);
            config.data.label = Some("class".into());
            config
        };
        // Only the rows themselves give it away.
        let unnamed = audit(&of(false));
        let split = check(&unnamed, SPLIT);
        assert_eq!(split.status, Status::Failed, "{split:?}");
        assert!(split.finding.contains("near copies"), "{split:?}");
        // A column that names persons is named in turn.
        let mut config = of(true);
        let named = audit(&config);
        let split = check(&named, SPLIT);
        assert_eq!(split.status, Status::Failed, "{split:?}");
        assert!(split.finding.contains("--group person_id"), "{split:?}");
        // and when it is dropped from the features, the near copies are seen
        config.data.drop = vec!["person_id".into()];
        assert!(
            check(&audit(&config), SPLIT)
                .finding
                .contains("near copies")
        );
        config.data.drop.clear();

        config.data.group = Some("person_id".into());
        let grouped = audit(&config);
        for check in &grouped.checks {
            assert_eq!(check.status, Status::Passed, "seed {seed}: {check:?}");
        }
        assert_eq!(grouped.data.records, PERSONS * ROWS_EACH);
        assert_eq!(
            (grouped.data.units, grouped.data.unit_name.as_str()),
            (PERSONS, "groups")
        );
        assert_eq!(grouped.reference.training_units, PERSONS / 2);
        for exposed in &grouped.exposed {
            assert_eq!(exposed.records, ROWS_EACH);
            assert!(exposed.group.as_ref().unwrap().starts_with('P'));
        }
    }
}

/// A target that was trained on some of a person's visits cannot be audited by person.
#[test]
fn members_that_part_persons_are_flagged() {
    let folder = tempfile::tempdir().unwrap();
    let text = persons(true, 4);
    let path = write(folder.path(), "persons.csv", &text);
    let mut stream = Stream::new(4, "outputs", 0);
    let (mut outputs, mut whole, mut parted) =
        (String::from("ill,well\n"), String::new(), String::new());
    for (record, line) in text.lines().skip(1).enumerate() {
        let ill = if line.ends_with("ill") { 0.6 } else { 0.4 } + 0.3 * stream.uniform();
        writeln!(outputs, "{:.6},{:.6}", ill, 1.0 - ill).unwrap();
        let person: usize = line[1..4].parse().unwrap();
        if person < PERSONS / 2 {
            writeln!(whole, "{record}").unwrap();
        }
        if record % 2 == 0 {
            writeln!(parted, "{record}").unwrap();
        }
    }
    let mut config = config(&path.to_string_lossy(), 4);
    config.data.label = Some("class".into());
    config.data.group = Some("person_id".into());
    config.target.outputs = Some(write(folder.path(), "outputs.csv", &outputs));
    for (members, expected) in [(whole, Status::Passed), (parted, Status::Failed)] {
        config.target.members = Some(write(folder.path(), "members.txt", &members));
        let audit = audit(&config);
        let split = check(&audit, SPLIT);
        assert_eq!(split.status, expected, "{split:?}");
        if expected == Status::Failed {
            assert!(
                split
                    .finding
                    .contains("among the members and among the non-members")
            );
            assert!(!audit.verdict.valid);
        }
    }
}

#[test]
fn reference_training_sets_may_overlap_by_half() {
    assert_eq!(reference_overlap(0.36).status, Status::Passed);
    let failed = reference_overlap(0.63);
    assert_eq!(failed.status, Status::Failed);
    assert!(failed.finding.contains("63 %"), "{}", failed.finding);
}
