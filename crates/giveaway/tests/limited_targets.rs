//! Targets that show little of their outputs (rounded, the largest alone, labels alone) are
//! recognised, the reference models are treated alike, and non-members are called members no more
//! often than the level says.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as tests may"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use giveaway::attack::direct::Null;
use giveaway::attack::method::Method;
use giveaway::channel::{Channel, OutputKind, Top};
use giveaway::evaluate::{Decision, LEVELS};
use giveaway::report::Audit;
use giveaway::run::config::Config;
use giveaway::run::progress::Silent;
use giveaway::select::Rule;
use giveaway_stats::random::Stream;

const CLASSES: usize = 6;
const RECORDS: usize = 500;

/// Clusters that overlap, a class for each, so that models are right and sure of some records
/// and neither of others.
fn data(folder: &Path) -> PathBuf {
    let mut stream = Stream::new(11, "limited targets", 0);
    let mut text = String::from("a,b,c,d,class\n");
    for record in 0..RECORDS {
        let class = record % CLASSES;
        let centre = |axis: usize| if (class >> axis) & 1 == 1 { 1.2 } else { -1.2 };
        for axis in 0..4 {
            let at = if axis < 3 { centre(axis) } else { 0.0 };
            write!(text, "{:.4},", at + stream.normal()).unwrap();
        }
        writeln!(text, "class{class}").unwrap();
    }
    write_file(folder, "data.csv", &text)
}

fn write_file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn config(source: &Path, seed: u64) -> Config {
    let mut config = Config {
        seed,
        ..Config::default()
    };
    config.data.source = source.display().to_string();
    config.data.label = Some("class".to_owned());
    config.reference.models = 64;
    config.reference.hidden = vec![32];
    config.reference.epochs = 60;
    config.reference.learning_rate = 0.01;
    config.test.select = Some(Rule::All);
    config
}

/// What an interface makes of probabilities, as one would write it who does not know of ours.
fn shown(probabilities: &[f64], interface: &str) -> Vec<f64> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    match interface {
        "rounded" => probabilities
            .iter()
            .map(|p| (p * 100.0).round() / 100.0)
            .collect(),
        "cut" => probabilities
            .iter()
            .map(|p| (p * 100.0).floor() / 100.0)
            .collect(),
        "top-3" | "top-3 renormalised" => {
            let kept: f64 = order[..3].iter().map(|&class| probabilities[class]).sum();
            let whole = if interface == "top-3" { 1.0 } else { kept };
            let shows = |class: usize| order[..3].contains(&class);
            (0..probabilities.len())
                .map(|class| {
                    if shows(class) {
                        probabilities[class] / whole
                    } else {
                        0.0
                    }
                })
                .collect()
        }
        _ => (0..probabilities.len())
            .map(|class| f64::from(u8::from(class == order[0])))
            .collect(),
    }
}

/// A target that is trained once, seen through an interface.
struct Target {
    folder: tempfile::TempDir,
    data: PathBuf,
    probabilities: Vec<Vec<f64>>,
    members: String,
}

impl Target {
    fn train() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = data(folder.path());
        let mut config = config(&data, 1);
        config.reference.models = 12;
        let run = folder.path().join("target");
        giveaway::run::audit(&config, Some(&run), &Silent).unwrap();
        let logits = giveaway::dataset::matrix::read(&run.join("signals/target.npy"))
            .unwrap()
            .values;
        let probabilities = logits
            .rows()
            .into_iter()
            .map(|row| {
                let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let odds: Vec<f64> = row.iter().map(|&z| f64::from(z - largest).exp()).collect();
                let sum: f64 = odds.iter().sum();
                odds.into_iter().map(|odd| odd / sum).collect()
            })
            .collect();
        let pool = giveaway::run::pool::Pool::prepare(&config, &Silent).unwrap();
        let members = pool.units.expand(&pool.target_training_units);
        let members = members.iter().fold(String::new(), |mut text, record| {
            writeln!(text, "{record}").unwrap();
            text
        });
        Self {
            folder,
            data,
            probabilities,
            members,
        }
    }

    fn audit(&self, interface: &str, change: impl FnOnce(&mut Config)) -> Audit {
        let folder = self.folder.path();
        let mut outputs = (0..CLASSES)
            .map(|class| format!("class{class}"))
            .collect::<Vec<_>>()
            .join(",")
            + "\n";
        for row in &self.probabilities {
            let row: Vec<String> = shown(row, interface)
                .into_iter()
                .map(|p| format!("{p}"))
                .collect();
            writeln!(outputs, "{}", row.join(",")).unwrap();
        }
        let mut config = config(&self.data, 1000);
        config.target.outputs = Some(write_file(folder, "outputs.csv", &outputs));
        config.target.members = Some(write_file(folder, "members.txt", &self.members));
        change(&mut config);
        giveaway::run::audit(
            &config,
            Some(&folder.join(format!("run {interface}"))),
            &Silent,
        )
        .unwrap()
        .audit
    }
}

#[test]
fn limited_interfaces_are_recognised_and_their_p_values_are_calibrated() {
    let target = Target::train();
    let probabilities = Channel {
        kind: OutputKind::Probabilities,
        ..Channel::default()
    };
    let top = |renormalised| {
        Some(Top {
            outputs: 3,
            renormalised,
        })
    };
    for (interface, channel) in [
        (
            "rounded",
            Channel {
                decimals: Some(2),
                ..probabilities
            },
        ),
        (
            "top-3",
            Channel {
                top: top(false),
                ..probabilities
            },
        ),
        (
            "top-3 renormalised",
            Channel {
                top: top(true),
                ..probabilities
            },
        ),
        (
            "cut",
            Channel {
                decimals: Some(2),
                truncated: true,
                ..probabilities
            },
        ),
        (
            "labels",
            Channel {
                kind: OutputKind::Labels,
                ..probabilities
            },
        ),
    ] {
        let audit = target.audit(interface, |_| {});
        assert_eq!(audit.target.channel, channel, "{interface}");
        let null = if interface == "rounded" {
            Null::T
        } else {
            Null::Ecdf
        };
        assert_eq!(audit.test.null, null, "{interface}");
        assert!(
            audit.notes.iter().any(|note| note.contains("limited")),
            "{interface}: {:?}",
            audit.notes
        );
        // Every reference model in turn as the target, its 250 non-members: 16,000 tests.
        let evaluation = audit
            .leave_one_out
            .iter()
            .find(|e| e.selection == Rule::All && e.null == null)
            .unwrap();
        assert!(evaluation.non_members > 15_000);
        for level in LEVELS {
            let rates = evaluation.rates(Decision::Level(level)).unwrap();
            let rate = &rates.false_positive_rate;
            assert!(
                rate.lower.unwrap() <= level,
                "{interface}: {rate:?} at {level}"
            );
        }
        // The target itself went through the interface as this file has it, and not through ours.
        let on_target = audit
            .on_target
            .iter()
            .find(|e| e.selection == Rule::All && e.null == null)
            .unwrap();
        let wrong = &on_target
            .rates(Decision::Level(0.05))
            .unwrap()
            .false_positive_rate;
        assert!(
            wrong.lower.unwrap() <= 0.05,
            "{interface}: {wrong:?} on the target"
        );
        // and not by never calling anybody a member, where there is more to see than labels
        if interface != "labels" {
            let auc = evaluation.ranking.auc.value.unwrap();
            assert!(auc > 0.55, "{interface}: {auc}");
        }
    }
}

#[test]
fn attacks_that_need_more_than_labels_say_so_and_the_others_go_on() {
    let target = Target::train();
    let usual = target.audit("labels", |_| {});
    let names = |audit: &Audit| -> Vec<Method> {
        let section = audit.attacks.as_ref().unwrap();
        section.attacks.iter().map(|attack| attack.method).collect()
    };
    assert_eq!(
        names(&usual),
        [Method::Gap, Method::LabelOnly, Method::GmiaDirect]
    );
    let asked = target.audit("labels", |config| {
        config.test.attacks = Some(vec![Method::LiraOnline, Method::Gap, Method::RmiaOnline]);
    });
    assert_eq!(names(&asked), [Method::Gap]);
    assert!(
        asked
            .notes
            .iter()
            .any(|note| note.contains("lira-online, rmia-online") && note.contains("need more")),
        "{:?}",
        asked.notes
    );
}
