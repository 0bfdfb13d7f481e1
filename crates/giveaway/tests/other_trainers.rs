//! Everything that follows an audit, with trees and with a command in the place of networks:
//! indirect inference, explanations, defences, resuming, any number of threads.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as tests may"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use giveaway::attack::direct::Null;
use giveaway::process::exchange::RecordForm;
use giveaway::report::Audit;
use giveaway::report::explanation::Explanation;
use giveaway::report::records::{Values, from_parquet};
use giveaway::run::config::trainer::TrainerName;
use giveaway::run::config::{Config, IndirectConfig};
use giveaway::run::progress::Silent;
use giveaway::run::{DefendRequest, ExplainRequest};
use giveaway::select::Amount;
use giveaway::trainer::CommandSettings;
use giveaway::validity::Status;

const TRAINERS: [TrainerName; 2] = [TrainerName::Forest, TrainerName::Boosting];

fn config(trainer: TrainerName) -> Config {
    let mut config = Config {
        seed: 5,
        ..Config::default()
    };
    "shipped:breast-cancer".clone_into(&mut config.data.source);
    config.reference.trainer = trainer;
    config.reference.models = 24;
    config.reference.forest.trees = 20;
    config.reference.boosting.rounds = 20;
    config.test.amount = Amount::Count(3);
    config.test.attacks = Some(Vec::new());
    config
}

fn audit(config: &Config, run: &Path) -> Audit {
    giveaway::run::audit(config, Some(run), &Silent)
        .unwrap()
        .audit
}

fn few_queries() -> IndirectConfig {
    IndirectConfig {
        queries: 10,
        candidates: Some(100),
        improved: 3,
        steps: 2,
        ..IndirectConfig::default()
    }
}

fn explained(run: &Path) -> Explanation {
    let request = ExplainRequest {
        models: Some(4),
        map: true,
        ..ExplainRequest::default()
    };
    let explained = giveaway::run::explain(run, &request, &Silent).unwrap();
    explained.audit.explanation.unwrap()
}

fn page(run: &Path) -> String {
    std::fs::read_to_string(run.join("report.html")).unwrap()
}

/// Hill climbing, where there are no gradients.
#[test]
fn records_are_inferred_indirectly_from_trees() {
    for trainer in TRAINERS {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let mut config = config(trainer);
        config.reference.models = 48;
        config.test.indirect = Some(few_queries());
        let section = audit(&config, &run).indirect.unwrap();
        assert_eq!(section.tested + section.without_queries, 3, "{trainer:?}");
        assert!(section.tested > 0, "{trainer:?}");
        // More than the candidates: some were improved.
        let candidates = 100 * section.tested as u64;
        assert!(section.cost.candidates > candidates, "{trainer:?}");
        for record in &section.records {
            assert!(record.p > 0.0 && record.p <= 1.0, "{record:?}");
        }
    }
}

#[test]
fn trees_are_explained_by_what_they_tell() {
    for trainer in TRAINERS {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        audit(&config(trainer), &run);
        let explanation = explained(&run);
        let labels: Vec<&str> = explanation
            .predictors
            .iter()
            .map(|p| p.label.as_str())
            .collect();
        let has = |word: &str| labels.iter().any(|label| label.contains(word));
        assert!(has("(outputs of a few models)"), "{labels:?}");
        assert!(!has("layer") && !has("epoch"), "{labels:?}");
        // A forest does not grow in rounds.
        let grows = trainer == TrainerName::Boosting;
        assert_eq!(has("round from which on the record is learnt"), grows);
        assert_eq!(has("LT-IQR"), grows);
        let untold = explanation.findings.iter().any(|f| f.contains("not told"));
        assert_eq!(untold, !grows, "{:?}", explanation.findings);
        let attribution = explanation.attribution.as_ref().unwrap();
        assert_eq!(attribution.method, "sampled Shapley values");
        assert!(attribution.largest_residual < 1e-6, "{attribution:?}");
        assert!(!explanation.map.unwrap().views.is_empty());
        let page = page(&run);
        for word in ["penultimate layer", "last layers", "hidden layer"] {
            assert!(!page.contains(word), "{trainer:?}: {word}");
        }
    }
}

#[test]
fn defences_that_do_not_fit_are_left_out_with_a_reason() {
    let wanted = [
        ("remove", true, true),
        ("down-weight", true, true),
        ("neighbours", true, true),
        ("label-only", true, true),
        ("early-stopping", false, true),
        ("label-smoothing", false, true),
        ("l2:1", false, true),
        ("dropout", false, false),
        ("dp-sgd", false, false),
        ("distillation", false, false),
        ("fine-tune", false, false),
        ("hamp", false, false),
    ];
    for trainer in TRAINERS {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        audit(&config(trainer), &run);
        let request = DefendRequest {
            defences: wanted.map(|(name, ..)| name.to_owned()).into(),
            budget: None,
            models: Some(12),
            ..DefendRequest::default()
        };
        let defended = giveaway::run::defend(&run, &request, &Silent).unwrap();
        let section = defended.audit.defence.unwrap();
        for (name, by_forest, by_boosting) in wanted {
            let fits = match trainer {
                TrainerName::Forest => by_forest,
                _ => by_boosting,
            };
            let is = |found: &str| found.split(':').next() == name.split(':').next();
            assert_eq!(section.defences.iter().any(|d| is(&d.name)), fits, "{name}");
            let skipped = section.skipped.iter().find(|d| is(&d.name));
            assert_eq!(skipped.is_none(), fits, "{trainer:?} {name}");
            assert!(skipped.is_none_or(|s| s.reason.len() > 10));
        }
    }
}

/// The files by which two runs of one configuration are compared.
fn results(run: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for name in ["records.parquet", "neighbours.parquet", "signals"] {
        let path = run.join(name);
        let paths = if path.is_dir() {
            let entries = std::fs::read_dir(&path).unwrap();
            entries.map(|entry| entry.unwrap().path()).collect()
        } else {
            vec![path]
        };
        for path in paths {
            let short = path.strip_prefix(run).unwrap().to_owned();
            files.insert(short, std::fs::read(path).unwrap());
        }
    }
    files
}

#[test]
fn a_run_of_trees_that_was_cut_off_ends_the_same_on_any_threads() {
    for trainer in TRAINERS {
        let folder = tempfile::tempdir().unwrap();
        let (whole, cut) = (folder.path().join("whole"), folder.path().join("cut"));
        let config = config(trainer);
        let on = |threads: usize, run: &Path| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| audit(&config, run))
        };
        let first = on(1, &whole);
        let second = on(3, &cut);
        assert_eq!(results(&whole), results(&cut));
        assert_eq!(first.exposed, second.exposed);
        // Killed half-way: some models are there, and nothing of what comes after them.
        for model in [3, 4, 11, 20] {
            std::fs::remove_file(cut.join(format!("signals/{model:03}.npy"))).unwrap();
        }
        for file in ["records.parquet", "report.json", "report.html"] {
            std::fs::remove_file(cut.join(file)).unwrap();
        }
        let resumed = giveaway::run::audit(&config, Some(&cut), &Silent).unwrap();
        assert_eq!(results(&whole), results(&cut));
        assert_eq!(first.exposed, resumed.audit.exposed);
    }
}

/// A share of the models, trained elsewhere, is taken as it is; weights are kept on request.
#[test]
fn shares_of_trees_are_trained_apart() {
    use giveaway::run::Shard;
    use giveaway::run::config::Keep;
    for trainer in TRAINERS {
        let folder = tempfile::tempdir().unwrap();
        let (whole, apart) = (folder.path().join("whole"), folder.path().join("apart"));
        let mut config = config(trainer);
        config.reference.keep = vec![Keep::Weights];
        audit(&config, &whole);
        for share in ["1/2", "2/2"] {
            let shard = Shard::parse(share).unwrap();
            giveaway::run::train_share(&config, Some(&apart), shard, &Silent).unwrap();
        }
        audit(&config, &apart);
        assert_eq!(results(&whole), results(&apart));
        for model in ["000", "023", "target"] {
            let file = format!("models/{model}.safetensors");
            let weights = std::fs::read(whole.join(&file)).unwrap();
            assert!(weights.len() > 100);
            assert_eq!(weights, std::fs::read(apart.join(&file)).unwrap());
        }
    }
}

/// A forest of our own as a stranger's target, with networks as references: another kind of
/// model. With forests as references there is nothing to complain about.
#[test]
fn a_forest_of_ours_audited_with_networks_is_flagged() {
    const FIT: &str = "fit of the references to the target";
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("target");
    let of_forest = config(TrainerName::Forest);
    audit(&of_forest, &run);
    let logits = giveaway::dataset::matrix::read(&run.join("signals/target.npy"))
        .unwrap()
        .values;
    let mut outputs = String::from("benign,malignant\n");
    for row in logits.rows() {
        let p = 1.0 / (1.0 + f64::from(row[0] - row[1]).exp());
        writeln!(outputs, "{:.6},{:.6}", 1.0 - p, p).unwrap();
    }
    let pool = giveaway::run::pool::Pool::prepare(&of_forest, &Silent).unwrap();
    let mut members = String::new();
    for record in pool.units.expand(&pool.target_training_units) {
        writeln!(members, "{record}").unwrap();
    }
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    for trainer in [TrainerName::Network, TrainerName::Forest] {
        let mut config = config(trainer);
        config.seed = 1005;
        config.reference.hidden = vec![16];
        config.reference.epochs = 5;
        config.reference.learning_rate = 0.01;
        config.target.outputs = Some(write("outputs.csv", &outputs));
        config.target.members = Some(write("members.txt", &members));
        let audit = audit(&config, &folder.path().join(trainer.name()));
        let fit = audit.checks.iter().find(|c| c.name.contains(FIT)).unwrap();
        let expected = if trainer == TrainerName::Network {
            Status::Failed
        } else {
            Status::Passed
        };
        assert_eq!(fit.status, expected, "{trainer:?}: {fit:?}");
    }
}

/// Arguments of [`nearest_records`], set by the script that calls it.
const ARGUMENTS: &str = "GIVEAWAY_TEST_NEAREST";

/// The columns of a file of encoded records, and the classes where it has them.
fn table(path: &str) -> (Vec<Vec<f32>>, Vec<String>) {
    let mut rows: Vec<Vec<f32>> = Vec::new();
    let mut classes = Vec::new();
    for (_, values) in from_parquet(std::fs::read(path).unwrap()).unwrap() {
        match values {
            Values::Single(column) => {
                rows.resize(column.len(), Vec::new());
                for (row, value) in rows.iter_mut().zip(column) {
                    row.push(value);
                }
            }
            Values::Text(texts) => classes = texts.into_iter().map(Option::unwrap).collect(),
            other => unreachable!("no encoded record has {other:?}"),
        }
    }
    (rows, classes)
}

/// No test by itself: a trainer that remembers its records and answers by the nearest of each
/// class.
#[test]
fn nearest_records() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else {
        return;
    };
    let words: Vec<&str> = arguments.split(' ').collect();
    let value = |name: &str| {
        let at = words.iter().position(|word| *word == name);
        at.map(|at| words[at + 1])
    };
    let model = value("--model").unwrap();
    if let Some(train) = value("--train") {
        std::fs::copy(train, model).unwrap();
    }
    let (known, classes) = table(model);
    let (asked, _) = table(value("--predict").unwrap());
    let mut csv = "benign,malignant\n".to_owned();
    for input in asked {
        let mut nearest = [f32::INFINITY; 2];
        for (record, class) in known.iter().zip(&classes) {
            let squares = record.iter().zip(&input).map(|(a, b)| (a - b).powi(2));
            let to = &mut nearest[usize::from(class == "malignant")];
            *to = to.min(squares.sum());
        }
        let odds = f64::from(nearest[1].sqrt() - nearest[0].sqrt()).exp();
        writeln!(csv, "{},{}", odds / (1.0 + odds), 1.0 / (1.0 + odds)).unwrap();
    }
    std::fs::write(value("--output").unwrap(), csv).unwrap();
}

/// A command that notes how it is called.
fn command(folder: &Path) -> CommandSettings {
    let script = folder.join("train.sh");
    let calls = folder.join("calls");
    let exe = std::env::current_exe().unwrap();
    let text = format!(
        "echo \"$1\" >> '{}'\n{ARGUMENTS}=\"$*\" exec '{}' --exact nearest_records --nocapture",
        calls.display(),
        exe.display()
    );
    std::fs::write(&script, text).unwrap();
    CommandSettings {
        records: RecordForm::Encoded,
        output: giveaway::process::exchange::OutputFormat::Csv,
        saves_model: true,
        ..CommandSettings::new(format!("sh '{}'", script.display()))
    }
}

fn calls(folder: &Path, option: &str) -> usize {
    let calls = std::fs::read_to_string(folder.join("calls")).unwrap();
    calls.lines().filter(|line| *line == option).count()
}

#[test]
fn models_of_a_command_go_through_every_stage() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut config = config(TrainerName::Command);
    config.reference.models = 32;
    config.reference.command = command(folder.path());
    config.test.indirect = Some(few_queries());
    let found = audit(&config, &run);
    assert_eq!(calls(folder.path(), "--train"), 33);
    let section = found.indirect.unwrap();
    assert!(section.tested > 0);
    // Each model once, for all records together: those that build, those that test, the target.
    assert_eq!(calls(folder.path(), "--model"), 16 + 16 + 1);
    assert_eq!(section.cost.candidates, 100 * 3);
    assert!(found.notes.iter().any(|note| note.contains("not improved")));

    // Gone on with, nothing is trained or built again.
    std::fs::remove_file(run.join("report.json")).unwrap();
    let again = audit(&config, &run);
    assert_eq!(again.exposed, found.exposed);
    assert_eq!(calls(folder.path(), "--train"), 33);
    assert_eq!(calls(folder.path(), "--model"), 2 * 17 + 16);

    let explanation = explained(&run);
    assert_eq!(calls(folder.path(), "--train"), 33 + 4);
    assert!(explanation.attribution.is_none());
    let untold = explanation
        .findings
        .iter()
        .filter(|f| f.contains("not told"));
    assert_eq!(untold.count(), 2);

    let request = DefendRequest {
        defences: ["remove", "neighbours", "label-only", "down-weight", "l2"]
            .map(str::to_owned)
            .into(),
        budget: None,
        models: Some(12),
        ..DefendRequest::default()
    };
    let defended = giveaway::run::defend(&run, &request, &Silent).unwrap();
    let section = defended.audit.defence.unwrap();
    let tried: Vec<&str> = section.defences.iter().map(|d| d.name.as_str()).collect();
    assert_eq!(tried, ["remove", "neighbours:3,5", "label-only"]);
    let reasons: Vec<&str> = section.skipped.iter().map(|s| s.reason.as_str()).collect();
    assert!(reasons[0].contains("takes no weights"), "{reasons:?}");
    assert!(reasons[1].contains("no settings"), "{reasons:?}");
}

/// What can only be told of models that are saved is refused before anything is trained.
#[test]
fn a_command_that_saves_no_models_is_told_so_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(TrainerName::Command);
    config.reference.command = CommandSettings {
        saves_model: false,
        ..command(folder.path())
    };
    config.test.indirect = Some(few_queries());
    let refused = giveaway::run::audit(&config, Some(&folder.path().join("run")), &Silent);
    let error = refused.unwrap_err();
    assert!(error.to_string().contains("save its models"), "{error}");
    assert!(error.hint_text().unwrap().contains("--trainer-saves-model"));
    assert!(!folder.path().join("calls").exists());
}

/// Ten fully grown trees answer in tenths: losses of different models are equal so often that
/// ranks are the null, unless another was asked for.
#[test]
fn forests_of_few_trees_are_judged_by_ranks() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        (10, None, Null::Ecdf),
        (11, None, Null::T),
        (10, Some(Null::T), Null::T),
    ];
    for (case, (trees, asked, null)) in cases.into_iter().enumerate() {
        let mut config = config(TrainerName::Forest);
        config.reference.models = 16;
        config.reference.forest.trees = trees;
        config.test.null = asked;
        let audit = audit(&config, &folder.path().join(case.to_string()));
        assert_eq!(audit.test.null, null, "{trees} trees");
        let warned = audit.notes.iter().any(|note| note.contains("--null ecdf"));
        assert_eq!(warned, asked.is_some(), "{:?}", audit.notes);
    }
}
