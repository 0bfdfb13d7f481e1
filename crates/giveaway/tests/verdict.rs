//! The verdicts of a whole audit against their definition: who is selected, by which models,
//! and what the others say of them (methods, sections 1.2 and 1.3).
//!
//! An audit is run into a directory. Its table of records is then computed anew from what a
//! stranger would have: the outputs of the models, who was trained on whom, and the classes.
//! Nothing of giveaway's own arithmetic is used but distribution functions, which have
//! references of their own.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as tests may"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use giveaway::attack::direct::{FEW_MODELS, Null};
use giveaway::attack::method::Method;
use giveaway::dataset::{Table, TableOptions};
use giveaway::membership::Design;
use giveaway::report::Audit;
use giveaway::report::attacks::AttackSection;
use giveaway::run::config::{Config, Duplicates};
use giveaway::run::progress::Silent;
use giveaway::select::{Amount, Rule};
use giveaway_stats::distribution::student_t_sf;
use giveaway_stats::pchip::pchip_p_value_sorted;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

/// Each half has 24 models, and each record is OUT for 12 of them: no variance is moderated.
const MODELS: usize = 48;
const SHARE: f64 = 0.1;
const FDR: f64 = 0.3;
/// Sums in another order differ by this share of their size.
const ROUNDING: f64 = 1e-9;
/// A scaled logit computed in another way may be the neighbouring float32; p-values follow.
const ONE_FLOAT: f64 = 1e-6;

fn configuration(rule: Rule, null: Null) -> Config {
    let mut config = Config {
        seed: 5,
        ..Config::default()
    };
    "shipped:breast-cancer".clone_into(&mut config.data.source);
    config.data.duplicates = Duplicates::Report;
    config.reference.models = MODELS;
    config.reference.hidden = vec![8];
    config.reference.epochs = 15;
    config.reference.learning_rate = 0.01;
    config.test.select = Some(rule);
    config.test.amount = Amount::Share(SHARE);
    config.test.null = Some(null);
    config.test.fdr = FDR;
    config
}

/// Shape and data of an NPY file in C order: format 1.0, values of `size` bytes.
fn npy(path: &Path, descriptor: &str) -> (Vec<usize>, Vec<u8>) {
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..end]).unwrap();
    assert!(header.contains(&format!("'descr': '{descriptor}'")));
    assert!(header.contains("'fortran_order': False"));
    let (_, shape) = header.split_once("'shape': (").unwrap();
    let shape = shape
        .split_once(')')
        .unwrap()
        .0
        .split(',')
        .filter_map(|length| length.trim().parse().ok())
        .collect();
    (shape, bytes[end..].to_vec())
}

/// Outputs `[records × 1 × classes]`, one row per record.
fn outputs(path: &Path) -> Vec<Vec<f64>> {
    let (shape, bytes) = npy(path, "<f4");
    assert_eq!((shape.len(), shape[1]), (3, 1));
    let rows: Vec<Vec<f64>> = bytes
        .chunks_exact(4 * shape[2])
        .map(|row| {
            row.chunks_exact(4)
                .map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap())))
                .collect()
        })
        .collect();
    assert_eq!(rows.len(), shape[0]);
    rows
}

/// Cross-entropy and scaled logit of a record, as they are kept: in float32.
fn signal(logits: &[f64], label: usize) -> [f64; 2] {
    let log_sum = |values: &mut dyn Iterator<Item = f64>| {
        let values: Vec<f64> = values.collect();
        let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        largest + values.iter().map(|z| (z - largest).exp()).sum::<f64>().ln()
    };
    let others = log_sum(
        &mut logits
            .iter()
            .enumerate()
            .filter(|&(class, _)| class != label)
            .map(|(_, &z)| z),
    );
    // -ln p_y, in the form in which nothing cancels where p_y is nearly 1
    let odds: f64 = logits
        .iter()
        .enumerate()
        .filter(|&(class, _)| class != label)
        .map(|(_, &z)| (z - logits[label]).exp())
        .sum();
    let (loss, scaled) = (odds.ln_1p(), logits[label] - others);
    [f64::from(loss as f32), f64::from(scaled as f32)]
}

/// What a run directory says before any statistics: `[record][model]`.
struct Evidence {
    is_in: Vec<Vec<bool>>,
    losses: Vec<Vec<f64>>,
    scaled_logits: Vec<Vec<f64>>,
    logits: Vec<Vec<Vec<f64>>>,
    target: Vec<[f64; 2]>,
    models: usize,
}

impl Evidence {
    fn read(run: &Path, target: &Path) -> Self {
        let table = Table::shipped("breast-cancer", &TableOptions::default()).unwrap();
        let (shape, membership) = npy(&run.join("membership.npy"), "|u1");
        let (models, records) = (shape[0], shape[1]);
        assert_eq!(records, table.len());
        let label = |record: usize| table.labels[record] as usize;
        let by_model: Vec<Vec<Vec<f64>>> = (0..models)
            .map(|model| outputs(&run.join(format!("signals/{model:03}.npy"))))
            .collect();
        let of = |record: usize, which: usize| -> Vec<f64> {
            by_model
                .iter()
                .map(|logits| signal(&logits[record], label(record))[which])
                .collect()
        };
        Self {
            is_in: (0..records)
                .map(|record| {
                    (0..models)
                        .map(|model| membership[model * records + record] == 1)
                        .collect()
                })
                .collect(),
            losses: (0..records).map(|record| of(record, 0)).collect(),
            scaled_logits: (0..records).map(|record| of(record, 1)).collect(),
            logits: (0..records)
                .map(|record| by_model.iter().map(|m| m[record].clone()).collect())
                .collect(),
            target: outputs(target)
                .iter()
                .enumerate()
                .map(|(record, logits)| signal(logits, label(record)))
                .collect(),
            models,
        }
    }

    fn records(&self) -> usize {
        self.losses.len()
    }

    fn first_half(&self) -> Range<usize> {
        0..self.models / 2
    }

    fn second_half(&self) -> Range<usize> {
        self.models / 2..self.models
    }

    /// `values` of the models of a range for which the record is IN, or OUT.
    fn where_in(
        &self,
        values: &[Vec<f64>],
        record: usize,
        models: Range<usize>,
        inside: bool,
    ) -> Vec<f64> {
        models
            .filter(|&model| self.is_in[record][model] == inside)
            .map(|model| values[record][model])
            .collect()
    }

    /// How vulnerable each record is, by the models of a range.
    fn vulnerability(&self, rule: Rule, models: &Range<usize>) -> Vec<f64> {
        if rule == Rule::Neighbours {
            return self.nearest_distances(models);
        }
        let loss =
            |record, inside| mean(&self.where_in(&self.losses, record, models.clone(), inside));
        (0..self.records())
            .map(|record| match rule {
                Rule::OutLoss => loss(record, false),
                _ => loss(record, false) - loss(record, true),
            })
            .collect()
    }

    /// Cosine distance of the concatenated logits to the nearest other record. Training sets
    /// hold half of the records, so that one neighbour is more than the expected 0.1.
    fn nearest_distances(&self, models: &Range<usize>) -> Vec<f64> {
        let vectors: Vec<Vec<f64>> = self
            .logits
            .iter()
            .map(|of_record| of_record[models.clone()].concat())
            .collect();
        let product =
            |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() };
        let norms: Vec<f64> = vectors.iter().map(|v| product(v, v).sqrt()).collect();
        (0..vectors.len())
            .map(|a| {
                (0..vectors.len())
                    .filter(|&b| b != a)
                    .map(|b| 1.0 - product(&vectors[a], &vectors[b]) / (norms[a] * norms[b]))
                    .fold(f64::INFINITY, f64::min)
            })
            .collect()
    }

    /// P-value of a record on the target, from the OUT models among `models`.
    fn p_value(&self, null: Null, record: usize, models: &Range<usize>) -> f64 {
        let mut losses = self.where_in(&self.losses, record, models.clone(), false);
        let logits = self.where_in(&self.scaled_logits, record, models.clone(), false);
        let k = losses.len() as f64;
        let [loss, logit] = self.target[record];
        match null {
            Null::Ecdf => {
                let below = losses.iter().filter(|&&l| l <= loss).count();
                (1.0 + below as f64) / (k + 1.0)
            }
            Null::Pchip => {
                losses.sort_by(f64::total_cmp);
                pchip_p_value_sorted(&losses, loss)
            }
            Null::T => {
                let centre = mean(&logits);
                let variance = logits.iter().map(|z| (z - centre).powi(2)).sum::<f64>() / (k - 1.0);
                let scale = (variance * (1.0 + 1.0 / k)).sqrt();
                student_t_sf((logit - centre) / scale, k - 1.0)
            }
        }
    }

    fn p_values(&self, null: Null, models: &Range<usize>) -> Vec<f64> {
        (0..self.records())
            .map(|record| self.p_value(null, record, models))
            .collect()
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Benjamini–Hochberg: the smallest `N p_(j) / j` over ranks `j` from the record's own.
fn adjusted(p: &BTreeMap<usize, f64>) -> BTreeMap<usize, f64> {
    let mut sorted: Vec<f64> = p.values().copied().collect();
    sorted.sort_by(f64::total_cmp);
    p.iter()
        .map(|(&record, &own)| {
            let q = (1..=sorted.len())
                .filter(|&j| sorted[j - 1] >= own)
                .map(|j| sorted.len() as f64 * sorted[j - 1] / j as f64)
                .fold(1.0, f64::min);
            (record, q)
        })
        .collect()
}

/// Columns of a Parquet file; `None` is null, truth is 1 or 0.
struct Records(BTreeMap<String, Vec<Option<f64>>>);

impl Records {
    fn read(path: &Path) -> Self {
        let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
        let mut columns: BTreeMap<String, Vec<Option<f64>>> = BTreeMap::new();
        for row in reader.get_row_iter(None).unwrap() {
            for (name, field) in row.unwrap().get_column_iter() {
                let value = match field {
                    Field::Double(value) => Some(*value),
                    Field::Long(value) => Some(*value as f64),
                    Field::Bool(value) => Some(f64::from(u8::from(*value))),
                    _ => None,
                };
                columns.entry(name.clone()).or_default().push(value);
            }
        }
        Self(columns)
    }

    fn column(&self, name: &str) -> &[Option<f64>] {
        self.0
            .get(name)
            .unwrap_or_else(|| panic!("no column {name}"))
    }

    fn chosen(&self, name: &str) -> Vec<usize> {
        let column = self.column(name).iter().enumerate();
        column
            .filter(|(_, value)| value.unwrap() > 0.5)
            .map(|(record, _)| record)
            .collect()
    }

    /// Records whose value differs from the expected one by more than `tolerance`, absolute
    /// below one and relative above.
    fn differing(&self, name: &str, expected: &[f64], tolerance: f64) -> usize {
        let found = self.column(name);
        assert_eq!(found.len(), expected.len());
        found
            .iter()
            .zip(expected)
            .filter(|&(found, expected)| {
                let found = found.unwrap();
                (found - expected).abs() > tolerance * expected.abs().max(1.0)
            })
            .count()
    }
}

/// Compares all that the table says with its definition.
fn check(evidence: &Evidence, records: &Records, audit: &Audit, rule: Rule, null: Null) {
    let what = format!("{}, {}", rule.name(), null.name());
    let units: Vec<f64> = (0..evidence.records()).map(|r| r as f64).collect();
    assert_eq!(records.differing("unit", &units, 0.0), 0, "{what}");
    check_losses(evidence, records, &what);
    check_selections(evidence, records, &what);
    check_p_values(evidence, records, &what);
    check_verdicts(evidence, records, audit, rule, null);
}

/// The losses of the target, and what all models say together.
fn check_losses(evidence: &Evidence, records: &Records, what: &str) {
    let every = 0..evidence.models;
    let of_target =
        |which: usize| -> Vec<f64> { evidence.target.iter().map(|s| s[which]).collect() };
    let average = |inside: bool| -> Vec<f64> {
        (0..evidence.records())
            .map(|r| mean(&evidence.where_in(&evidence.losses, r, every.clone(), inside)))
            .collect()
    };
    for (name, expected) in [
        ("target_loss", of_target(0)),
        ("target_scaled_logit", of_target(1)),
        ("out_loss", average(false)),
        ("in_loss", average(true)),
    ] {
        assert_eq!(
            records.differing(name, &expected, ROUNDING),
            0,
            "{what}, {name}"
        );
    }
}

/// Selection: by the first half of the models, and no other.
fn check_selections(evidence: &Evidence, records: &Records, what: &str) {
    let (selecting, testing) = (evidence.first_half(), evidence.second_half());
    let every = 0..evidence.models;
    for rule in [Rule::Neighbours, Rule::OutLoss, Rule::Influence] {
        let name = rule.name().replace('-', "_");
        let column = format!("vulnerability_{name}");
        // distances are computed in float32
        let tolerance = if rule == Rule::Neighbours {
            1e-5
        } else {
            ROUNDING
        };
        let differing = |models: &Range<usize>| {
            records.differing(&column, &evidence.vulnerability(rule, models), tolerance)
        };
        assert_eq!(differing(&selecting), 0, "{what}, {column}");
        for wrong in [&testing, &every] {
            assert!(
                2 * differing(wrong) > evidence.records(),
                "{what}, {column}"
            );
        }
        // Neighbours tie to the last digits: their order is that of the column.
        let vulnerability: Vec<f64> = match rule {
            Rule::Neighbours => records.column(&column).iter().map(|v| v.unwrap()).collect(),
            _ => evidence.vulnerability(rule, &selecting),
        };
        let mut ranked = vulnerability.clone();
        ranked.sort_by(|a, b| b.total_cmp(a));
        let wanted = (SHARE * ranked.len() as f64).round() as usize;
        let expected: Vec<usize> = (0..vulnerability.len())
            .filter(|&record| vulnerability[record] >= ranked[wanted - 1])
            .collect();
        assert!((wanted..wanted + 3).contains(&expected.len()), "{what}");
        assert_eq!(
            records.chosen(&format!("selected_by_{name}")),
            expected,
            "{what}"
        );
    }
}

/// The test: by the second half of the models, and no other.
fn check_p_values(evidence: &Evidence, records: &Records, what: &str) {
    let (selecting, testing) = (evidence.first_half(), evidence.second_half());
    let every = 0..evidence.models;
    // with fewer, t depends on the records tested beside
    assert!((0..evidence.records()).all(|record| {
        let out = evidence.where_in(&evidence.losses, record, testing.clone(), false);
        out.len() >= FEW_MODELS
    }));
    for null in Null::EVERY {
        let column = format!("p_value_{}", null.name());
        let differing = |models: &Range<usize>| {
            records.differing(&column, &evidence.p_values(null, models), ONE_FLOAT)
        };
        assert_eq!(differing(&testing), 0, "{what}, {column}");
        for wrong in [&selecting, &every] {
            assert!(
                2 * differing(wrong) > evidence.records(),
                "{what}, {column}"
            );
        }
    }
}

/// Verdicts on the selected, and what the report says of the test.
fn check_verdicts(evidence: &Evidence, records: &Records, audit: &Audit, rule: Rule, null: Null) {
    let (selecting, testing) = (evidence.first_half(), evidence.second_half());
    let what = format!("{}, {}", rule.name(), null.name());
    let selected = records.chosen(&format!("selected_by_{}", rule.name().replace('-', "_")));
    let p: BTreeMap<usize, f64> = selected
        .iter()
        .map(|&record| (record, evidence.p_value(null, record, &testing)))
        .collect();
    let q = adjusted(&p);
    for (name, expected) in [("p_value", &p), ("q_value", &q)] {
        for (record, found) in records.column(name).iter().enumerate() {
            match (found, expected.get(&record)) {
                (None, None) => {}
                (Some(found), Some(expected)) => assert!(
                    (found - expected).abs() <= ONE_FLOAT * expected,
                    "{what}: {name} of {record} is {found} and not {expected}"
                ),
                both => panic!("{what}: {name} of {record}: {both:?}"),
            }
        }
    }
    let given_away: Vec<usize> = q
        .iter()
        .filter(|(_, q)| **q <= FDR)
        .map(|(&r, _)| r)
        .collect();
    assert_eq!(records.chosen("given_away"), given_away, "{what}");
    assert_eq!(audit.verdict.given_away, given_away.len(), "{what}");

    let models_out: Vec<usize> = selected
        .iter()
        .map(|&r| {
            evidence
                .where_in(&evidence.losses, r, testing.clone(), false)
                .len()
        })
        .collect();
    let extremes = [
        *models_out.iter().min().unwrap(),
        *models_out.iter().max().unwrap(),
    ];
    assert_eq!(audit.test.models_out, extremes, "{what}");
    assert_eq!(audit.test.selecting_models, selecting.len(), "{what}");
    assert_eq!(audit.test.testing_models, testing.len(), "{what}");
    assert_eq!(audit.test.selected, selected.len(), "{what}");
    eprint_figures(&format!(
        "{what}: {} selected, OUT for {extremes:?} of {}, {} given away",
        selected.len(),
        testing.len(),
        given_away.len()
    ));
}

/// Shown with `cargo test -- --nocapture`.
#[expect(clippy::print_stderr, reason = "figures for whoever asks for them")]
fn eprint_figures(what: &str) {
    eprintln!("{what}");
}

#[test]
fn verdicts_are_what_their_definition_says() {
    let directory = tempfile::tempdir().unwrap();
    let run = directory.path().join("halves");
    let target = run.join("signals/target.npy");
    let mut given_away = 0;
    let mut evidence = None;
    for (rule, null) in [
        (Rule::OutLoss, Null::T),
        (Rule::Influence, Null::T),
        (Rule::Neighbours, Null::T),
        (Rule::Influence, Null::Ecdf),
        (Rule::OutLoss, Null::Pchip),
    ] {
        let outcome =
            giveaway::run::audit(&configuration(rule, null), Some(&run), &Silent).unwrap();
        let evidence = evidence.get_or_insert_with(|| Evidence::read(&run, &target));
        assert_eq!(evidence.models, MODELS);
        // every record is OUT for exactly half of the models that test
        for record in 0..evidence.records() {
            let testing = evidence.second_half();
            let out = evidence.where_in(&evidence.losses, record, testing, false);
            assert_eq!(out.len(), MODELS / 4);
        }
        let records = Records::read(&run.join("records.parquet"));
        check(evidence, &records, &outcome.audit, rule, null);
        given_away += outcome.audit.verdict.given_away;
    }
    assert!(given_away > 0, "a verdict against nobody is easily right");

    // The same target, given with its outputs, to reference models that are drawn one by
    // one: how many are OUT differs from record to record.
    let (rule, null) = (Rule::Influence, Null::T);
    let records = Records::read(&run.join("records.parquet"));
    let members: Vec<String> = records
        .chosen("member")
        .iter()
        .map(usize::to_string)
        .collect();
    let mut config = configuration(rule, null);
    // enough for ten OUT models of every record in either half
    config.reference.models = 96;
    config.reference.design = Some(Design::Share);
    config.target.outputs = Some(flat(&target, directory.path()));
    config.target.members = Some(directory.path().join("members.txt"));
    std::fs::write(directory.path().join("members.txt"), members.join("\n")).unwrap();
    let share = directory.path().join("share");
    let outcome = giveaway::run::audit(&config, Some(&share), &Silent).unwrap();
    assert_eq!(outcome.audit.reference.design, Design::Share);
    let records = Records::read(&share.join("records.parquet"));
    check(
        &Evidence::read(&share, &target),
        &records,
        &outcome.audit,
        rule,
        null,
    );
    let models_out = outcome.audit.test.models_out;
    assert!(models_out[0] < models_out[1], "{models_out:?}");
}

/// The outputs of a target as a user writes them: a table without header.
fn flat(target: &Path, directory: &Path) -> PathBuf {
    let path = directory.join("target.csv");
    let rows: Vec<String> = outputs(target)
        .iter()
        .map(|row| {
            let cells: Vec<String> = row.iter().map(ToString::to_string).collect();
            cells.join(",")
        })
        .collect();
    std::fs::write(&path, rows.join("\n")).unwrap();
    path
}

/// Columns of attacks, and what the report says of them, from the files of a run.
#[test]
fn scores_of_attacks_are_those_of_the_formulas() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = configuration(Rule::Influence, Null::T);
    config.test.attacks = Some(Method::EVERY.to_vec());
    config.test.gamma = 1.5;
    let path = folder.path().join("run");
    let audit = giveaway::run::audit(&config, Some(&path), &Silent)
        .unwrap()
        .audit;
    let evidence = Evidence::read(&path, &path.join("signals/target.npy"));
    let records = Records::read(&path.join("records.parquet"));
    let target: Vec<f64> = evidence.target.iter().map(|signal| signal[1]).collect();
    let everybody: Vec<usize> = (0..MODELS).collect();
    for (name, attack) in FORMULAS {
        let expected = attack(&evidence, &target, &everybody);
        let differing = records.differing(&format!("score_{name}"), &expected, ONE_FLOAT);
        assert_eq!(differing, 0, "{name}");
    }
    let expected = evidence.p_values(Null::T, &(0..MODELS));
    assert_eq!(
        records.differing("p_value_gmia_direct", &expected, ONE_FLOAT),
        0
    );

    // every model plays, without its complement, and the figure is the mean over them
    let section = audit.attacks.as_ref().unwrap();
    assert_eq!(section.played_targets, MODELS);
    for (name, attack) in FORMULAS {
        let method = Method::parse(&name.replace('_', "-")).unwrap();
        let summary = section.of(method).unwrap();
        let mut of_others = Vec::new();
        let aucs: Vec<f64> = (0..MODELS)
            .map(|player| {
                let others: Vec<usize> = (0..MODELS).filter(|m| m / 2 != player / 2).collect();
                let played: Vec<f64> = evidence
                    .scaled_logits
                    .iter()
                    .map(|row| row[player])
                    .collect();
                let scores = attack(&evidence, &played, &others);
                let members: Vec<bool> = evidence.is_in.iter().map(|row| row[player]).collect();
                of_others.extend(
                    (0..scores.len())
                        .filter(|&r| !members[r])
                        .map(|r| scores[r]),
                );
                giveaway_stats::roc::Roc::new(&scores, &members)
                    .unwrap()
                    .auc()
            })
            .collect();
        let quality = summary.leave_one_out.as_ref().unwrap();
        let found = quality.ranking.auc.value.unwrap();
        assert!(
            (found - mean(&aucs)).abs() < 1e-5,
            "{name}: {found} {}",
            mean(&aucs)
        );
        assert_eq!(quality.scored as usize, MODELS * evidence.records());
        // the threshold of FPR 1 % lies just above the first non-member that would be too many
        of_others.sort_by(|a, b| b.total_cmp(a));
        let barred = of_others[of_others.len() / 100];
        let threshold = summary.carried[1].threshold.unwrap();
        let rounding = 1e-4 * barred.abs().max(1.0);
        assert!(
            (threshold - barred).abs() < rounding,
            "{name}: {threshold} {barred}"
        );
    }
    // those that look at the target only say nothing of the recipe
    let alone = section.of(Method::LtIqr).unwrap();
    assert!(alone.on_target.is_some() && alone.leave_one_out.is_none());
    check_attacks_on_target(&records, section);
}

/// What the report says on the target is what the columns say.
fn check_attacks_on_target(records: &Records, section: &AttackSection) {
    let member: Vec<bool> = records
        .column("member")
        .iter()
        .map(|m| m.unwrap() > 0.5)
        .collect();
    for summary in &section.attacks {
        let name = summary.method.name().replace('-', "_");
        let scores: Vec<f64> = records
            .column(&format!("score_{name}"))
            .iter()
            .map(|s| s.unwrap())
            .collect();
        let auc = giveaway_stats::roc::Roc::new(&scores, &member)
            .unwrap()
            .auc();
        let found = summary
            .on_target
            .as_ref()
            .unwrap()
            .ranking
            .auc
            .value
            .unwrap();
        assert!((found - auc).abs() < 1e-12, "{name}");
        for carried in &summary.carried {
            let Some(threshold) = carried.threshold else {
                continue;
            };
            let accused = scores
                .iter()
                .zip(&member)
                .filter(|(s, m)| **m && **s >= threshold)
                .count();
            let members = member.iter().filter(|m| **m).count();
            let wrongly = scores
                .iter()
                .zip(&member)
                .filter(|(s, m)| !**m && **s >= threshold)
                .count();
            assert_eq!(
                carried.false_positive_rate.value,
                Some(wrongly as f64 / (member.len() - members) as f64)
            );
            assert_eq!(
                carried.true_positive_rate.value,
                Some(accused as f64 / members as f64)
            );
        }
    }
}

/// An attack by its formula: the run, the target's scaled logits, the models that serve.
type Formula = fn(&Evidence, &[f64], &[usize]) -> Vec<f64>;

const FORMULAS: [(&str, Formula); 4] = [
    ("lira_online", lira_online),
    ("difficulty", difficulty),
    ("rmia_online", rmia_online),
    ("base1_offline", base1_offline),
];

impl Evidence {
    /// Scaled logits of a record under those of the models that it was IN, or OUT of.
    fn logits_of(&self, record: usize, models: &[usize], inside: bool) -> Vec<f64> {
        models
            .iter()
            .filter(|&&model| self.is_in[record][model] == inside)
            .map(|&model| self.scaled_logits[record][model])
            .collect()
    }
}

fn loss_of(logit: f64) -> f64 {
    (-logit).exp().ln_1p()
}

fn confidence_of(logit: f64) -> f64 {
    (-loss_of(logit)).exp()
}

fn mean_of(values: &[f64], of: fn(f64) -> f64) -> f64 {
    mean(&values.iter().map(|&x| of(x)).collect::<Vec<f64>>())
}

fn lira_online(run: &Evidence, target: &[f64], models: &[usize]) -> Vec<f64> {
    let log_density = |x: f64, sample: &[f64]| {
        let centre = mean(sample);
        let variance =
            sample.iter().map(|s| (s - centre).powi(2)).sum::<f64>() / sample.len() as f64;
        -0.5 * variance.ln() - (x - centre).powi(2) / (2.0 * variance)
    };
    (0..target.len())
        .map(|r| {
            log_density(target[r], &run.logits_of(r, models, true))
                - log_density(target[r], &run.logits_of(r, models, false))
        })
        .collect()
}

fn difficulty(run: &Evidence, target: &[f64], models: &[usize]) -> Vec<f64> {
    (0..target.len())
        .map(|r| mean_of(&run.logits_of(r, models, false), loss_of) - loss_of(target[r]))
        .collect()
}

fn base1_offline(run: &Evidence, target: &[f64], models: &[usize]) -> Vec<f64> {
    (0..target.len())
        .map(|r| {
            -loss_of(target[r]) - mean_of(&run.logits_of(r, models, false), confidence_of).ln()
        })
        .collect()
}

fn rmia_online(run: &Evidence, target: &[f64], models: &[usize]) -> Vec<f64> {
    let ratios: Vec<f64> = (0..target.len())
        .map(|r| {
            let side = |inside| mean_of(&run.logits_of(r, models, inside), confidence_of);
            2.0 * confidence_of(target[r]) / (side(true) + side(false))
        })
        .collect();
    (0..ratios.len())
        .map(|r| {
            let others = (0..ratios.len()).filter(|&z| z != r);
            let beaten = others.filter(|&z| ratios[r] >= 1.5 * ratios[z]).count();
            beaten as f64 / (ratios.len() - 1) as f64
        })
        .collect()
}
