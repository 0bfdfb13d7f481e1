//! Both engines give what Python's onnxruntime gives for the models of `conformance/onnx`.
//!
//! The tests of ONNX Runtime need its library. Without it they say so and test nothing, unless
//! `GIVEAWAY_REQUIRE_ONNXRUNTIME` is set: then they fail.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use giveaway::error::ErrorKind;
use giveaway::target::{
    Answers, Delivery, Form, QuestionColumn, QuestionValues, Questions, Target,
};
use giveaway_onnx::{
    OnnxEngine, OnnxForm, OnnxSettings, find_runtime, has_runtime, open, open_for,
};
use ndarray::Array2;
use serde_json::Value;

/// What "agrees" means: the largest difference of any output.
const TOLERANCE: f32 = 1e-5;

const MODELS: [&str; 12] = [
    "forest",
    "forest-zipmap",
    "boosting",
    "boosting-binary",
    "logistic",
    "logistic-classes",
    "mlp",
    "scaled",
    "table",
    "network",
    "network-one",
    "network-torchscript",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/onnx")
}

fn model(name: &str) -> OnnxSettings {
    OnnxSettings {
        path: folder().join(format!("{name}.onnx")),
        ..OnnxSettings::default()
    }
}

struct Case {
    classes: Vec<String>,
    questions: Questions,
    outputs: Array2<f32>,
    labels: Option<Vec<String>>,
    form: Form,
}

fn strings(value: &Value) -> Vec<String> {
    let values = value.as_array().unwrap().iter();
    values.map(|v| v.as_str().unwrap().to_owned()).collect()
}

fn case(name: &str) -> Case {
    let text = std::fs::read_to_string(folder().join(format!("{name}.json"))).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    let classes = strings(&value["classes"]);
    let columns: Vec<QuestionColumn> = value["questions"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, values)| {
            let values = values.as_array().unwrap();
            let values = if values[0].is_string() {
                QuestionValues::Texts(
                    values
                        .iter()
                        .map(|v| Some(v.as_str().unwrap().to_owned()))
                        .collect(),
                )
            } else if values[0].is_i64() {
                QuestionValues::Whole(values.iter().map(Value::as_i64).collect())
            } else {
                QuestionValues::Numbers(values.iter().map(|v| v.as_f64().unwrap()).collect())
            };
            QuestionColumn {
                name: name.clone(),
                values,
            }
        })
        .collect();
    let rows = columns[0].values.len();
    let form = match value["form"].as_str().unwrap() {
        "raw" => Form::Raw,
        _ => Form::Encoded,
    };
    // serde_json sorts keys: encoded features are put back into their order by their numbers.
    let mut features = Array2::zeros((rows, if form == Form::Raw { 1 } else { columns.len() }));
    if form == Form::Encoded {
        for column in &columns {
            let place: usize = column.name[1..].parse().unwrap();
            let QuestionValues::Numbers(values) = &column.values else {
                panic!("numbers")
            };
            for (row, &value) in values.iter().enumerate() {
                features[[row, place]] = value as f32;
            }
        }
    }
    let outputs = value["outputs"].as_array().unwrap();
    let outputs = outputs.iter().map(|v| v.as_f64().unwrap() as f32).collect();
    Case {
        outputs: Array2::from_shape_vec((rows, classes.len()), outputs).unwrap(),
        labels: value["labels"]
            .is_array()
            .then(|| strings(&value["labels"])),
        questions: Questions {
            feature_names: (0..features.ncols()).map(|i| format!("x{i}")).collect(),
            features,
            // What is there as encoded features alone has no columns in a file.
            columns: if form == Form::Raw {
                columns
            } else {
                Vec::new()
            },
        },
        classes,
        form,
    }
}

fn numbers(target: &dyn Target, questions: &Questions) -> (Array2<f32>, Option<Vec<String>>) {
    match target.ask(questions).unwrap() {
        Answers::Numbers { values, names } => (values, names),
        Answers::Labels(_) => panic!("labels"),
    }
}

/// Whether the tests of an engine can run; says so loudly if not.
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
fn ready(engine: OnnxEngine) -> bool {
    let ready = match engine {
        OnnxEngine::Tract => cfg!(feature = "onnx-tract"),
        _ => has_runtime(None),
    };
    if !ready && engine != OnnxEngine::Tract {
        let why = find_runtime(None).map_or_else(
            |e| e.to_string(),
            |found| format!("{found:?} cannot be loaded"),
        );
        assert!(
            std::env::var_os("GIVEAWAY_REQUIRE_ONNXRUNTIME").is_none_or(|value| value.is_empty()),
            "ONNX Runtime is required: {why}"
        );
        eprintln!("\nSKIPPED: ONNX Runtime is NOT tested. {why}\n");
    }
    ready
}

/// Both engines, as far as they are there.
fn engines() -> Vec<OnnxEngine> {
    [OnnxEngine::Runtime, OnnxEngine::Tract]
        .into_iter()
        .filter(|&engine| ready(engine))
        .collect()
}

#[expect(
    clippy::print_stderr,
    reason = "the measured agreement is what is wanted to know"
)]
fn agree(engine: OnnxEngine) {
    for name in MODELS {
        let case = case(name);
        let settings = OnnxSettings {
            engine,
            ..model(name)
        };
        let target = open_for(&settings, &case.classes, &case.questions.part(0..1)).unwrap();
        assert_eq!(target.form(), case.form, "{name}");
        let (values, names) = numbers(&*target, &case.questions);
        assert_eq!(values.dim(), case.outputs.dim(), "{name}");
        let largest = values
            .iter()
            .zip(&case.outputs)
            .fold(0.0_f32, |largest, (a, b)| largest.max((a - b).abs()));
        eprintln!("{name}: {largest:e} ({engine:?})");
        assert!(largest <= TOLERANCE, "{name}: {largest}");
        if !name.starts_with("network") {
            assert_eq!(names.unwrap(), case.classes, "{name}");
        }
        // In parts of several sizes and from several threads at once. Engines choose how they
        // multiply matrices by their sizes, so the last bit may differ.
        let target: Arc<dyn Target> = Arc::from(target);
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let (target, questions, values) = (&target, &case.questions, &values);
                scope.spawn(move || {
                    for first in (thread..questions.len()).step_by(7) {
                        let last = (first + thread + 1).min(questions.len());
                        let (part, _) = numbers(&**target, &questions.part(first..last));
                        for (row, answers) in part.rows().into_iter().enumerate() {
                            for (a, b) in answers.iter().zip(values.row(first + row)) {
                                assert!((a - b).abs() <= TOLERANCE, "{name}: {a} and {b}");
                            }
                        }
                    }
                });
            }
        });
    }
}

#[test]
fn onnx_runtime_gives_what_python_gives() {
    if ready(OnnxEngine::Runtime) {
        agree(OnnxEngine::Runtime);
    }
}

#[cfg(feature = "onnx-tract")]
#[test]
fn tract_gives_what_python_gives() {
    agree(OnnxEngine::Tract);
}

#[test]
fn answers_are_the_same_bits_each_time() {
    for engine in engines() {
        for name in ["mlp", "network"] {
            let case = case(name);
            let settings = OnnxSettings {
                engine,
                ..model(name)
            };
            let first = numbers(&*open(&settings, &case.classes).unwrap(), &case.questions);
            let again = numbers(&*open(&settings, &case.classes).unwrap(), &case.questions);
            assert_eq!(first, again, "{name}");
        }
    }
}

#[test]
fn labels_can_be_asked_for_alone() {
    if ready(OnnxEngine::Runtime) {
        for name in ["forest", "boosting", "mlp", "table"] {
            let case = case(name);
            let settings = OnnxSettings {
                engine: OnnxEngine::Runtime,
                output: Some("label".to_owned()),
                ..model(name)
            };
            let target = open(&settings, &case.classes).unwrap();
            let answers = target.ask(&case.questions).unwrap();
            assert_eq!(Some(answers), case.labels.map(Answers::Labels), "{name}");
        }
    }
    let classes = ["a", "b"].map(str::to_owned);
    for engine in engines() {
        // Weights from -1 to 1: the second output is the larger one for positive inputs.
        let settings = OnnxSettings {
            engine,
            ..model("labels-only")
        };
        let target = open(&settings, &classes).unwrap();
        let questions = Questions {
            features: ndarray::array![[1.0, 1.0, 1.0], [-1.0, -1.0, -1.0]],
            feature_names: vec![],
            columns: vec![],
        };
        let answers = target.ask(&questions).unwrap();
        assert_eq!(
            answers,
            Answers::Labels(vec!["b".to_owned(), "a".to_owned()])
        );
    }
}

#[test]
fn weights_beside_the_model_are_found() {
    for engine in engines() {
        let settings = OnnxSettings {
            engine,
            ..model("external")
        };
        let target = open(&settings, &["a", "b"].map(str::to_owned)).unwrap();
        let questions = Questions {
            features: ndarray::array![[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
            feature_names: vec![],
            columns: vec![],
        };
        // The first and the last row of linspace(-1, 1, 6) as 3 × 2.
        let (values, _) = numbers(&*target, &questions);
        let expected = ndarray::array![[-1.0, -0.6], [0.6, 1.0]];
        assert!(
            (&values - &expected).iter().all(|d: &f32| d.abs() < 1e-6),
            "{values}"
        );
    }
}

#[test]
fn what_cannot_be_asked_is_not_sent() {
    for engine in engines() {
        let case = case("mlp");
        let settings = OnnxSettings {
            engine,
            ..model("mlp")
        };
        let target = open(&settings, &case.classes).unwrap();
        let mut questions = case.questions.part(0..2);
        questions.features = Array2::zeros((2, 5));
        questions.columns.clear();
        let refusal = target.ask(&questions).unwrap_err();
        assert_eq!(refusal.delivery, Delivery::NotSent);
        assert!(!refusal.again);
        assert!(
            refusal.error.to_string().contains("mlp.onnx"),
            "{}",
            refusal.error
        );
        // Raw columns, if asked for.
        let mut questions = case.questions;
        let column = |values: ndarray::ArrayView1<f32>| {
            QuestionValues::Numbers(values.iter().map(|&v| f64::from(v)).collect())
        };
        let columns = questions
            .feature_names
            .iter()
            .zip(questions.features.columns());
        questions.columns = columns
            .map(|(name, values)| QuestionColumn {
                name: name.clone(),
                values: column(values),
            })
            .collect();
        let settings = OnnxSettings {
            form: Some(OnnxForm::Raw),
            ..settings
        };
        let target = open(&settings, &case.classes).unwrap();
        assert_eq!(target.form(), Form::Raw);
        assert_eq!(target.ask(&questions).unwrap().len(), questions.len());
        assert!(target.ask(&questions.part(0..0)).unwrap().is_empty());
    }
}

#[test]
fn other_classes_than_the_models_are_refused() {
    let error = open(&model("boosting"), &["a", "b"].map(str::to_owned))
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains("2 classes"), "{error}");
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for settings in [
        OnnxSettings {
            batch_size: 0,
            ..model("mlp")
        },
        OnnxSettings {
            threads: 0,
            ..model("mlp")
        },
        OnnxSettings {
            concurrency: Some(0),
            ..model("mlp")
        },
        OnnxSettings {
            output: Some("nothing".to_owned()),
            ..model("mlp")
        },
    ] {
        let error = open(&settings, &case("mlp").classes).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    }
    #[cfg(not(feature = "onnx-tract"))]
    {
        let settings = OnnxSettings {
            engine: OnnxEngine::Tract,
            ..model("mlp")
        };
        let error = open(&settings, &case("mlp").classes).err().unwrap();
        assert!(error.hint_text().unwrap().contains("onnx-tract"), "{error}");
    }
    let unknown = serde_json::from_str::<OnnxSettings>(r#"{"path": "m.onnx", "batchsize": 3}"#);
    assert!(unknown.unwrap_err().to_string().contains("batch-size"));
}

#[test]
fn a_library_that_is_none_is_named() {
    let here = tempfile::tempdir().unwrap();
    let text = here.path().join("libonnxruntime.so");
    std::fs::write(&text, "not a library").unwrap();
    for (runtime, word) in [
        (here.path().join("missing.so"), "missing.so"),
        (text, "libonnxruntime.so"),
    ] {
        let settings = OnnxSettings {
            engine: OnnxEngine::Runtime,
            runtime: Some(runtime),
            ..model("mlp")
        };
        let error = open(&settings, &case("mlp").classes).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
        assert!(error.to_string().contains(word), "{error}");
    }
}

/// Every file that is refused is refused as input, by the reader or by the engine; none ends
/// the program.
#[test]
fn damaged_files_are_refused() {
    let here = tempfile::tempdir().unwrap();
    let classes = case("mlp").classes;
    let refused = |bytes: &[u8], engine| {
        let path = here.path().join("model.onnx");
        std::fs::write(&path, bytes).unwrap();
        let settings = OnnxSettings {
            path,
            engine,
            ..OnnxSettings::default()
        };
        open(&settings, &classes).map(|_| ())
    };
    let whole = std::fs::read(folder().join("mlp.onnx")).unwrap();
    for engine in engines() {
        for bytes in [
            &b""[..],
            b"no model",
            &whole[..whole.len() / 2],
            &whole[..whole.len() - 1],
        ] {
            let error = refused(bytes, engine).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Input, "{error}");
            assert!(error.to_string().contains("not an ONNX model"), "{error}");
        }
        // A letter of an operator (field 4 of a node): a graph still, but of one that nobody has.
        let place = whole
            .windows(8)
            .position(|window| window == b"\x22\x06MatMul")
            .unwrap();
        let mut odd = whole.clone();
        odd[place + 2] = b'X';
        let error = refused(&odd, engine).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{error}");
        assert!(error.to_string().contains("XatMul"), "{error}");
        // Bytes all over the file: whatever it is then, nothing breaks.
        for place in (0..whole.len()).step_by(23) {
            let mut odd = whole.clone();
            odd[place] ^= 0x15;
            if let Err(error) = refused(&odd, engine) {
                assert_eq!(error.kind(), ErrorKind::Input, "{place}: {error}");
            }
        }
    }
    let error = refused(b"no model", OnnxEngine::Auto).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input, "{error}");
}
