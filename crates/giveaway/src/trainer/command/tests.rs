//! With a small trainer of our own in the place of the user's: this test program, called again.

use std::collections::BTreeMap;
use std::time::Instant;

use ndarray::array;

use super::*;
use crate::dataset::{EncodingOptions, TableOptions};
use crate::report::records::from_parquet;
use crate::trainer::Added;

/// Arguments of the small trainer, set by the script that calls it.
const ARGUMENTS: &str = "GIVEAWAY_TEST_TRAINER";

type Columns = Vec<(String, Values)>;

/// Of each value of the first column, the weight of each class.
type Counts = BTreeMap<String, BTreeMap<String, f64>>;

fn texts(values: &Values) -> Vec<String> {
    match values {
        Values::Text(v) => v.iter().map(|v| format!("{v:?}")).collect(),
        Values::Number(v) => v.iter().map(|v| format!("{v:?}")).collect(),
        Values::Single(v) => v.iter().map(|v| format!("{v:?}")).collect(),
        Values::Whole(v) => v.iter().map(|v| format!("{v:?}")).collect(),
        Values::Truth(v) => v.iter().map(|v| format!("{v:?}")).collect(),
    }
}

fn table(path: &str) -> Columns {
    from_parquet(std::fs::read(path).unwrap()).unwrap()
}

fn count(train: &Columns, seed: u64) -> Counts {
    let (label, features) = train.split_last().unwrap();
    let weights = features.iter().find(|(name, _)| name == WEIGHT);
    let mut counts = Counts::new();
    let classes = texts(&label.1);
    for (row, value) in texts(&features[0].1).into_iter().enumerate() {
        let counts = counts.entry(value).or_default();
        for class in &classes {
            counts
                .entry(class.clone())
                .or_insert(0.5 + (seed % 97) as f64 / 97.0);
        }
        let weight = match weights {
            Some((_, Values::Single(weights))) => f64::from(weights[row]),
            _ => 1.0,
        };
        *counts.get_mut(&classes[row]).unwrap() += weight;
    }
    counts
}

/// Rows × classes that occur, in the order of their texts, which here is that of the classes.
fn predict(counts: &Counts, records: &Columns) -> Vec<Vec<f64>> {
    let of_value = |value: String| {
        let counts = counts.get(&value).or(counts.values().next()).unwrap();
        let sum: f64 = counts.values().sum();
        counts.values().map(|count| count / sum).collect()
    };
    texts(&records[0].1).into_iter().map(of_value).collect()
}

fn npy(rows: &[Vec<f64>]) -> Vec<u8> {
    let mut header = format!(
        "{{'descr': '<f8', 'fortran_order': False, 'shape': ({}, {}), }}",
        rows.len(),
        rows.first().map_or(0, Vec::len)
    );
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(rows.iter().flatten().flat_map(|p| p.to_le_bytes()));
    bytes
}

/// No test by itself: the small trainer.
#[test]
fn small_trainer() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else {
        return;
    };
    let words: Vec<&str> = arguments.split(' ').collect();
    let value = |name: &str| {
        words
            .iter()
            .position(|w| *w == name)
            .map(|at| words[at + 1])
    };
    let counts = match value("--train") {
        Some(train) => {
            let counts = count(&table(train), value("--seed").unwrap().parse().unwrap());
            if let Some(model) = value("--model") {
                std::fs::write(model, serde_json::to_vec(&counts).unwrap()).unwrap();
            }
            counts
        }
        None => serde_json::from_slice(&std::fs::read(value("--model").unwrap()).unwrap()).unwrap(),
    };
    let mut rows = predict(&counts, &table(value("--predict").unwrap()));
    match words[0] {
        "nan" => rows[1][0] = f64::NAN,
        "short" => drop(rows.pop()),
        "percent" => rows.iter_mut().flatten().for_each(|p| *p *= 100.0),
        _ => {}
    }
    let mut bytes = npy(&rows);
    if words[0] == "cut" {
        bytes.truncate(bytes.len() - 3);
    }
    std::fs::write(value("--output").unwrap(), bytes).unwrap();
}

const DATA: &str = "\
word,number,whole,truth,class
a,0.5,1,True,no
b,1.5,2,False,yes
a,-1,3,True,yes
,2.5,4,True,no
b,,5,False,yes
c,7,6,True,no
";

struct Setting {
    folder: tempfile::TempDir,
    table: Table,
    encoding: Encoding,
    dataset: Dataset,
}

fn setting() -> Setting {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.csv");
    std::fs::write(&path, DATA).unwrap();
    let options = TableOptions {
        label: Some("class".to_owned()),
        ..TableOptions::default()
    };
    let table = Table::read(&path, &options).unwrap();
    let rows: Vec<u32> = (0..table.len() as u32).collect();
    let encoding = Encoding::learn(&table, &rows, &EncodingOptions::default()).unwrap();
    let dataset = encoding.encode(&table).unwrap();
    Setting {
        folder,
        table,
        encoding,
        dataset,
    }
}

impl Setting {
    /// The small trainer, which does something wrong on request.
    fn small(&self, fault: &str) -> CommandSettings {
        let exe = std::env::current_exe().unwrap();
        self.script(&format!(
            "{ARGUMENTS}=\"{fault} $*\" exec '{}' --exact trainer::command::tests::small_trainer --nocapture",
            exe.display()
        ))
    }

    fn script(&self, text: &str) -> CommandSettings {
        let script = self.folder.path().join("train.sh");
        std::fs::write(&script, text).unwrap();
        CommandSettings::new(format!("sh '{}'", script.display()))
    }

    fn trainer(&self, settings: &CommandSettings) -> CommandTrainer<'_> {
        let tables = [&self.table];
        CommandTrainer::new(settings, &tables, &self.dataset, &self.encoding)
            .unwrap()
            .label("class")
            .unwrap()
            .scratch(self.folder.path())
    }

    /// Folders of the command's files that are there.
    fn scratches(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.is_dir()).collect()
    }

    fn message(&self, settings: &CommandSettings) -> String {
        let trainer = self.trainer(settings);
        let failed = trainer.train(&[0, 1, 2, 3], &[], 1 << 33);
        let error = failed.err().expect("a failure");
        assert!(error.hint_text().is_some(), "{error}");
        assert_eq!(error.kind(), ErrorKind::Input);
        error.to_string()
    }
}

fn probabilities(model: &dyn Model) -> Array2<f64> {
    let mut all = Vec::new();
    model
        .each_logits(&mut |block| {
            all.extend(block.iter().map(|&z| f64::from(z).exp()));
            Ok(())
        })
        .unwrap();
    Array2::from_shape_vec((model.records(), model.classes()), all).unwrap()
}

fn close(a: &Array2<f64>, b: &Array2<f64>) -> bool {
    a.dim() == b.dim() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6)
}

/// Of the words a, b, c and none, by counting in [`DATA`]: records 0, 1, 2 and 2 again, and 3.
fn by_hand(seed: f64) -> Array2<f64> {
    let start = 0.5 + seed / 97.0;
    let of = |no: f64, yes: f64| {
        let (no, yes) = (no + start, yes + start);
        [no / (no + yes), yes / (no + yes)]
    };
    let (a, b, none) = (of(1.0, 2.0), of(0.0, 1.0), of(1.0, 0.0));
    // A word that it does not know has the numbers of the first one: a missing word sorts first.
    array![a, b, a, none, b, none]
}

#[test]
fn a_command_learns_from_the_rows_as_they_stand_in_the_file() {
    let setting = setting();
    let trainer = setting.trainer(&setting.small("-"));
    let model = trainer
        .train(&[0, 1, 2, 2, 3], &[4], (5 << 33) + 1)
        .unwrap();
    let learnt = probabilities(&*model);
    assert!(close(&learnt, &by_hand(5.0)), "{learnt:?}");
    assert_eq!(model.features(), 2);
    assert!(trainer.time_in_command() > Duration::ZERO);
    // What is asked of a model that was not saved names what is missing.
    for error in [
        model.weights().unwrap_err(),
        model.answer(setting.dataset.features.view()).unwrap_err(),
        trainer.restore(b"").err().unwrap(),
    ] {
        assert!(
            error.to_string().contains("has to save its models"),
            "{error}"
        );
        assert!(error.hint_text().unwrap().contains("saves-model"));
    }
    drop(model);
    assert_eq!(setting.scratches().len(), 1);
    drop(trainer);
    assert!(setting.scratches().is_empty());
}

#[test]
fn files_hold_the_columns_in_their_own_types() {
    let setting = setting();
    let settings = setting.script("cp \"$2\" \"$4\" \"$(dirname \"$2\")/classes.json\" \"$(dirname \"$0\")\"; echo $* | tr ' ' '\\n' | grep -- -- >&2; exit 1");
    let trainer = setting.trainer(&CommandSettings {
        takes_weights: true,
        ..settings
    });
    let failed = trainer.train(&[4, 0, 3, 4], &[1], 7);
    let said = failed.err().unwrap().to_string();
    for option in ["--train", "--predict", "--seed", "--output", "--validation"] {
        assert!(said.contains(&format!("| {option}")), "{said}");
    }
    assert!(!said.contains("--model"));
    let read = |name: &str| table(&setting.folder.path().join(name).display().to_string());
    let train = read("train.parquet");
    let names: Vec<&str> = train.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["word", "number", "whole", "truth", WEIGHT, "class"]);
    let cells: Vec<Vec<String>> = train.iter().map(|(_, values)| texts(values)).collect();
    assert_eq!(
        cells[0],
        ["Some(\"b\")", "Some(\"a\")", "None", "Some(\"b\")"]
    );
    assert_eq!(cells[1], ["NaN", "0.5", "2.5", "NaN"]);
    assert_eq!(cells[2], ["Some(5)", "Some(1)", "Some(4)", "Some(5)"]);
    assert_eq!(
        cells[3],
        ["Some(false)", "Some(true)", "Some(true)", "Some(false)"]
    );
    assert_eq!(cells[4], ["1.0"; 4]);
    assert_eq!(
        cells[5],
        [
            "Some(\"yes\")",
            "Some(\"no\")",
            "Some(\"no\")",
            "Some(\"yes\")"
        ]
    );
    let predict = read("predict.parquet");
    assert_eq!(predict.len(), 4);
    assert_eq!(texts(&predict[2].1).len(), 6);
    let classes = std::fs::read(setting.folder.path().join("classes.json")).unwrap();
    assert_eq!(classes, b"[\"no\",\"yes\"]");
}

#[test]
fn a_saved_model_answers_again_and_comes_back_from_its_weights() {
    let setting = setting();
    for records in [RecordForm::Raw, RecordForm::Encoded] {
        let trainer = setting.trainer(&CommandSettings {
            saves_model: true,
            records,
            ..setting.small("-")
        });
        let model = trainer.train(&[0, 1, 2, 2, 3], &[], 5 << 33).unwrap();
        let all = probabilities(&*model);
        let inputs = setting
            .dataset
            .features
            .select(ndarray::Axis(0), &[3, 0, 1]);
        let answers = model
            .answer(inputs.view())
            .unwrap()
            .mapv(|z| f64::from(z).exp());
        assert!(close(&answers, &all.select(ndarray::Axis(0), &[3, 0, 1])));
        let restored = trainer.restore(&model.weights().unwrap()).unwrap();
        drop(model);
        assert_eq!(probabilities(&*restored), all);
        assert!(trainer.restore(b"something else").is_err());
        let none = restored.answer(inputs.slice_axis(ndarray::Axis(0), (0..0).into()));
        assert_eq!(none.unwrap().dim(), (0, 2));
        let wrong = restored
            .answer(inputs.mapv(|_| f32::NAN).view())
            .unwrap_err();
        assert!(wrong.to_string().contains("NaN"));
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one case after another")]
fn lessons_reach_the_command_as_far_as_files_can_say_them() {
    let setting = setting();
    let plain = setting.small("-");
    let rows = [0, 1, 2, 3];
    let lesson = Lesson::of(&rows, &[]);
    let features = setting.dataset.features.view();
    let weighing = CommandSettings {
        takes_weights: true,
        ..plain.clone()
    };
    // Another label for record 0 is the same as counting by hand with it.
    let trainer = setting.trainer(&plain);
    let labels = [1, 1, 1, 0, 1, 0];
    let relabelled = trainer
        .learn(
            &Lesson {
                labels: Some(&labels),
                ..lesson
            },
            0,
        )
        .unwrap();
    let a = probabilities(&*relabelled)[[0, 1]];
    assert!((a - 2.5 / 3.0).abs() < 1e-6, "{a}");
    let weigher = setting.trainer(&weighing);
    let weights = [3.0, 1.0, 0.25, 1.0, 1.0, 1.0];
    let weighed = weigher
        .learn(
            &Lesson {
                weights: Some(&weights),
                ..lesson
            },
            0,
        )
        .unwrap();
    let a = probabilities(&*weighed)[[0, 1]];
    assert!((a - 0.75 / 4.25).abs() < 1e-6, "{a}");
    let added = Added {
        features: features.slice_axis(ndarray::Axis(0), (0..1).into()),
        labels: &[1],
    };
    let encoding = setting.trainer(&CommandSettings {
        records: RecordForm::Encoded,
        ..weighing
    });
    let more = encoding
        .learn(
            &Lesson {
                added: Some(added),
                ..lesson
            },
            0,
        )
        .unwrap();
    let twice = [0, 0, 1, 2, 3];
    let same = encoding.learn(&Lesson::of(&twice, &[]), 0).unwrap();
    assert_ne!(
        probabilities(&*more),
        probabilities(&*same),
        "another label than record 0 has"
    );
    let soft = array![[0.5_f32, 0.5]];
    for (trainer, lesson, word) in [
        (
            &trainer,
            Lesson {
                weights: Some(&weights),
                ..lesson
            },
            "takes-weights",
        ),
        (
            &trainer,
            Lesson {
                added: Some(added),
                ..lesson
            },
            "encoded",
        ),
        (
            &encoding,
            Lesson {
                soft_labels: Some(soft.view()),
                ..lesson
            },
            "--trainer network",
        ),
        (
            &encoding,
            Lesson {
                clips: Some(&weights),
                ..lesson
            },
            "--trainer network",
        ),
        (
            &encoding,
            Lesson {
                start: Some(&[]),
                ..lesson
            },
            "--trainer network",
        ),
    ] {
        let error = trainer.learn(&lesson, 0).err().unwrap();
        assert!(error.hint_text().unwrap().contains(word), "{error}");
    }
}

#[test]
fn each_way_to_fail_is_said_and_leaves_its_files() {
    let setting = setting();
    for (fault, expected) in [
        ("nan", "row 2, class no: the output is NaN"),
        ("short", "5 rows of outputs for 6 records"),
        ("percent", "is no probability"),
        ("cut", "output.npy"),
    ] {
        let said = setting.message(&setting.small(fault));
        assert!(
            said.contains(expected) && said.contains("output.npy"),
            "{said}"
        );
    }
    for (script, expected) in [
        ("echo no such column >&2; exit 3", "exit code 3"),
        ("true", "wrote no such file"),
        ("for f; do :; done; echo 1,2,3 > \"$f\"", "output.npy"),
        ("for f; do :; done; : > \"$f\"", "the file is empty"),
    ] {
        let said = setting.message(&setting.script(script));
        assert!(said.contains(expected), "{said}");
    }
    let kept = setting.scratches();
    assert_eq!(kept.len(), 8);
    for folder in kept {
        let call = std::fs::read_to_string(folder.join("1/command.txt")).unwrap();
        assert!(
            call.contains("train.sh") && call.contains("--seed 1 "),
            "{call}"
        );
        assert!(folder.join("predict.parquet").exists() && folder.join("1/train.parquet").exists());
    }
    let said = setting.message(&CommandSettings {
        saves_model: true,
        ..setting.script("exit 0")
    });
    assert!(said.contains("wrote no such file"), "{said}");
}

#[test]
fn a_model_that_was_not_saved_is_missed_at_once() {
    let setting = setting();
    let small = setting.small("-");
    let inner = setting.folder.path().join("inner.sh");
    std::fs::rename(setting.folder.path().join("train.sh"), &inner).unwrap();
    let outer = format!(
        "sh '{}' \"$@\"; for f; do :; done; rm \"$f\"",
        inner.display()
    );
    let settings = CommandSettings {
        saves_model: true,
        command: setting.script(&outer).command,
        ..small
    };
    assert!(setting.message(&settings).contains("saved no model there"));
}

#[test]
fn what_takes_too_long_is_ended() {
    let setting = setting();
    let settings = CommandSettings {
        timeout: Some(0.3),
        ..setting.script("sleep 1000")
    };
    let began = Instant::now();
    assert!(setting.message(&settings).contains("more than 0.3 s"));
    assert!(began.elapsed() < Duration::from_secs(20));
    let wrong = CommandSettings {
        timeout: Some(0.0),
        ..settings
    };
    let tables = [&setting.table];
    assert!(CommandTrainer::new(&wrong, &tables, &setting.dataset, &setting.encoding).is_err());
}

#[test]
fn one_failure_ends_the_calls_beside_it_with_its_words() {
    let setting = setting();
    let settings = setting.script(
        "case \"$*\" in *'--seed 1 '*) sleep 0.3; echo out of luck; exit 3;; *) sleep 1000;; esac",
    );
    let trainer = setting.trainer(&settings);
    let began = Instant::now();
    std::thread::scope(|scope| {
        let train = |seed: u64| {
            let trainer = &trainer;
            move || {
                trainer
                    .train(&[0, 1], &[], seed << 33)
                    .err()
                    .unwrap()
                    .to_string()
            }
        };
        let (other, failing) = (scope.spawn(train(2)), scope.spawn(train(1)));
        for said in [other.join().unwrap(), failing.join().unwrap()] {
            assert!(said.contains("out of luck"), "{said}");
        }
    });
    assert!(began.elapsed() < Duration::from_secs(20));
    // The next call is not meant any more.
    let settings = setting.small("-");
    assert!(setting.trainer(&settings).train(&[0, 1], &[], 0).is_ok());
}

#[test]
fn names_that_are_taken_are_refused() {
    let setting = setting();
    let of = |records| {
        let settings = CommandSettings {
            records,
            ..CommandSettings::new("true")
        };
        let tables = [&setting.table];
        CommandTrainer::new(&settings, &tables, &setting.dataset, &setting.encoding).unwrap()
    };
    let error = of(RecordForm::Raw).label("word").err().unwrap();
    assert!(error.to_string().contains("`word`"), "{error}");
    assert!(of(RecordForm::Encoded).label("word").is_ok());
    assert!(of(RecordForm::Encoded).label("f0").is_err());
}

#[test]
fn settings_are_read_and_unknown_ones_refused() {
    let settings: CommandSettings =
        toml::from_str("command = 'python train.py'\nsaves-model = true\nrecords = 'encoded'")
            .unwrap();
    let expected = CommandSettings {
        saves_model: true,
        records: RecordForm::Encoded,
        ..CommandSettings::new("python train.py")
    };
    assert_eq!(settings, expected);
    assert!(toml::from_str::<CommandSettings>("save-model = true").is_err());
}

#[test]
fn logits_give_the_probabilities_back() {
    for row in [[0.25_f32, 0.75], [1.0, 0.0], [1e-30, 1.0], [0.1, 0.9]] {
        let logits = row.map(logit);
        assert!(logits.iter().all(|z| z.is_finite()));
        let sum: f64 = logits.iter().map(|&z| f64::from(z).exp()).sum();
        for (z, p) in logits.iter().zip(row) {
            let back = f64::from(*z).exp() / sum;
            assert!(
                (back - f64::from(p)).abs() <= 1e-6 * f64::from(p) + PROBABILITY_RESOLUTION,
                "{back} {p}"
            );
        }
    }
    assert_eq!(seed_of(u64::MAX), (1 << 31) - 1);
}
