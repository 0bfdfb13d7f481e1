//! `giveaway attack`: arrays in, scores and figures out. What is expected is computed here
//! from the formulas of the papers.

use crate::npy::{bools, columns, doubles, npy, singles, whole};
use crate::sandbox::{Finished, Sandbox};

const MODELS: usize = 6;
const RECORDS: usize = 8;

/// Scaled logits and memberships; every record is IN and OUT at least twice.
pub(crate) struct Example {
    /// `[models][records]`.
    pub(crate) phi: Vec<Vec<f64>>,
    pub(crate) inside: Vec<Vec<bool>>,
    pub(crate) target: Vec<f64>,
}

/// Multiples of 1/8 in a small range: float16 holds them exactly.
fn number(seed: usize) -> f64 {
    ((seed * 7919 + 13) * 104_729 % 1009 % 64) as f64 / 8.0 - 4.0
}

pub(crate) fn example() -> Example {
    let inside: Vec<Vec<bool>> = (0..MODELS)
        .map(|m| {
            (0..RECORDS)
                .map(|r| {
                    if m < 4 {
                        (m + r) % 2 == 0
                    } else {
                        r % 3 == m % 2
                    }
                })
                .collect()
        })
        .collect();
    Example {
        phi: (0..MODELS)
            .map(|m| (0..RECORDS).map(|r| number(m * RECORDS + r)).collect())
            .collect(),
        inside,
        target: (0..RECORDS).map(|r| number(1000 + r)).collect(),
    }
}

impl Example {
    pub(crate) fn flat(&self, convert: impl Fn(f64) -> f64) -> Vec<f64> {
        self.phi.iter().flatten().map(|&x| convert(x)).collect()
    }

    /// Values of the record's models on one side, converted.
    fn side(&self, record: usize, member: bool, convert: impl Fn(f64) -> f64) -> Vec<f64> {
        (0..MODELS)
            .filter(|&m| self.inside[m][record] == member)
            .map(|m| convert(self.phi[m][record]))
            .collect()
    }

    /// A sandbox with S.npy, M.npy and T.npy as scaled logits.
    pub(crate) fn sandbox(&self) -> Sandbox {
        let sandbox = Sandbox::new();
        sandbox.write("S.npy", doubles(&[MODELS, RECORDS], &self.flat(|x| x)));
        sandbox.write("M.npy", bools(&[MODELS, RECORDS], &self.inside.concat()));
        sandbox.write("T.npy", doubles(&[RECORDS], &self.target));
        sandbox
    }
}

pub(crate) const ARRAYS: &str =
    "attack --signals S.npy --signal scaled-logit --membership M.npy --target T.npy";

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64
}

fn loss(phi: f64) -> f64 {
    (1.0 + (-phi).exp()).ln()
}

fn confidence(phi: f64) -> f64 {
    1.0 / (1.0 + (-phi).exp())
}

/// The columns of `scores.parquet` in a directory.
pub(crate) fn scores(sandbox: &Sandbox, directory: &str) -> Vec<(String, Vec<f64>)> {
    columns(&sandbox.path(directory).join("scores.parquet"))
}

pub(crate) fn column<'a>(columns: &'a [(String, Vec<f64>)], name: &str) -> &'a [f64] {
    &columns
        .iter()
        .find(|(other, _)| other == name)
        .unwrap_or_else(|| panic!("no column {name}"))
        .1
}

pub(crate) fn close(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (record, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= 1e-10 * b.abs().max(1.0) || (a.is_nan() && b.is_nan()),
            "{what}, record {record}: {a} where {b} is expected"
        );
    }
}

/// Done, whatever was noted on standard error.
pub(crate) fn done(found: Finished) -> Finished {
    assert_eq!(found.code, Some(0), "{}\n{}", found.line, found.stderr);
    found
}

/// Share of others that a ratio beats, pair by pair.
fn beaten(ratio: f64, others: &[f64], gamma: f64) -> f64 {
    others.iter().filter(|&&z| ratio >= gamma * z).count() as f64 / others.len() as f64
}

#[test]
fn scores_are_those_of_the_formulas() {
    let example = example();
    let sandbox = example.sandbox();
    let methods = "lira-online,loss,confidence,difficulty,sablayrolles,lira-online-fixed,\
                   rmia-online,rmia-offline,base1-online,population,gmia-direct";
    sandbox
        .run(&format!(
            "{ARRAYS} --method {methods} --gamma 1.5 --a 0.3 --null ecdf --out made/here"
        ))
        .succeeded();
    let found = scores(&sandbox, "made/here");
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.join(","), format!("{methods},gmia-direct-p"));

    let of = |f: &dyn Fn(usize, f64) -> f64| -> Vec<f64> {
        example
            .target
            .iter()
            .enumerate()
            .map(|(r, &phi)| f(r, phi))
            .collect()
    };
    let expect = |name: &str, f: &dyn Fn(usize, f64) -> f64| {
        close(column(&found, name), &of(f), name);
    };
    let side = |r, member| example.side(r, member, |x| x);
    let losses = |r, member| mean(&example.side(r, member, loss));
    let confidences = |r, member| mean(&example.side(r, member, confidence));
    expect("loss", &|_, phi| -loss(phi));
    expect("confidence", &|_, phi| confidence(phi));
    expect("difficulty", &|r, phi| losses(r, false) - loss(phi));
    expect("sablayrolles", &|r, phi| {
        f64::midpoint(losses(r, true), losses(r, false)) - loss(phi)
    });
    let log_density = |x: f64, mean: f64, variance: f64| {
        -0.5 * (2.0 * std::f64::consts::PI * variance).ln() - (x - mean).powi(2) / (2.0 * variance)
    };
    expect("lira-online", &|r, phi| {
        let [inside, outside] = [side(r, true), side(r, false)];
        log_density(phi, mean(&inside), variance(&inside))
            - log_density(phi, mean(&outside), variance(&outside))
    });
    let pooled = |member: bool| {
        let (mut squares, mut count) = (0.0, 0.0);
        for r in 0..RECORDS {
            let values = side(r, member);
            squares += variance(&values) * values.len() as f64;
            count += values.len() as f64;
        }
        squares / count
    };
    expect("lira-online-fixed", &|r, phi| {
        log_density(phi, mean(&side(r, true)), pooled(true))
            - log_density(phi, mean(&side(r, false)), pooled(false))
    });
    let online = |r: usize, phi: f64| {
        confidence(phi) / f64::midpoint(confidences(r, true), confidences(r, false))
    };
    let ratios = of(&online);
    let against = |ratios: &[f64], r: usize, gamma: f64| {
        let mut others = ratios.to_vec();
        others.remove(r);
        beaten(ratios[r], &others, gamma)
    };
    expect("rmia-online", &|r, _| against(&ratios, r, 1.5));
    for (a, gamma) in [(0.3, 1.5), (0.0, 1.0), (0.5, 0.8), (0.75, 1.0), (1.0, 1.2)] {
        let ratios = of(&|r, phi| {
            confidence(phi) / f64::midpoint((1.0 + a) * confidences(r, false), 1.0 - a)
        });
        let line = format!("{ARRAYS} --method rmia-offline --gamma {gamma} --a {a} --out offline");
        sandbox.run(&line).succeeded();
        let found = scores(&sandbox, "offline");
        let expected = of(&|r, _| against(&ratios, r, gamma));
        close(column(&found, "rmia-offline"), &expected, &line);
    }
    expect("base1-online", &|r, phi| {
        let all: Vec<f64> = (0..MODELS).map(|m| confidence(example.phi[m][r])).collect();
        -loss(phi) - mean(&all).ln()
    });
    expect("population", &|r, phi| {
        let higher = (0..RECORDS)
            .filter(|&other| other != r && example.target[other] < phi)
            .count();
        higher as f64 / (RECORDS - 1) as f64
    });
    let p = |r: usize, phi: f64| {
        let outside = side(r, false);
        let as_high = outside.iter().filter(|&&x| x >= phi).count();
        (1 + as_high) as f64 / (outside.len() + 1) as f64
    };
    expect("gmia-direct-p", &p);
    expect("gmia-direct", &|r, phi| -p(r, phi).ln());
}

/// The same numbers as scaled logits, losses and confidences; in every type, order and shape.
#[test]
fn one_signal_in_many_forms() {
    let example = example();
    let sandbox = example.sandbox();
    let run = |signal: &str, out: &str| {
        let line = format!("{ARRAYS} --out {out}").replace("scaled-logit", signal);
        done(sandbox.run(&line));
        scores(&sandbox, out)
    };
    let first = run("scaled-logit", "first");
    let all = [MODELS, RECORDS];
    for (signal, convert) in [
        ("loss", loss as fn(f64) -> f64),
        ("confidence", confidence as fn(f64) -> f64),
    ] {
        sandbox.write("S.npy", doubles(&all, &example.flat(convert)));
        let target: Vec<f64> = example.target.iter().map(|&x| convert(x)).collect();
        sandbox.write("T.npy", doubles(&[RECORDS], &target));
        let other = run(signal, signal);
        assert_eq!(other.len(), first.len());
        for ((name, a), (other, b)) in first.iter().zip(&other) {
            assert_eq!(name, other);
            close(a, b, name);
        }
    }
    // All numbers are multiples of 1/8 below 16: every float type holds them.
    let half = |x: f64| -> u16 {
        if x.abs() < 1e-9 {
            return 0;
        }
        let exponent = x.abs().log2().floor();
        let fraction = (x.abs() / exponent.exp2() - 1.0) * 1024.0;
        (u16::from(x < 0.0) << 15) | (((exponent + 15.0) as u16) << 10) | fraction as u16
    };
    let values = example.flat(|x| x);
    let by_column: Vec<f64> = (0..RECORDS)
        .flat_map(|r| (0..MODELS).map(move |m| (m, r)))
        .map(|(m, r)| example.phi[m][r])
        .collect();
    let big: Vec<u8> = values.iter().flat_map(|x| x.to_be_bytes()).collect();
    let halves: Vec<u8> = values.iter().flat_map(|&x| half(x).to_le_bytes()).collect();
    let columns: Vec<u8> = by_column
        .iter()
        .flat_map(|&x| (x as f32).to_le_bytes())
        .collect();
    let inside = example.inside.concat();
    let as_float: Vec<f64> = inside.iter().map(|&m| f64::from(u8::from(m))).collect();
    let as_bytes: Vec<u8> = inside.iter().map(|&m| u8::from(m)).collect();
    let target = &example.target;
    for (number, (signals, membership, target)) in [
        (
            singles(&all, &values),
            bools(&all, &inside),
            singles(&[RECORDS], target),
        ),
        (
            npy("<f2", false, &all, &halves),
            singles(&all, &as_float),
            singles(&[1, RECORDS], target),
        ),
        (
            npy("<f4", true, &all, &columns),
            npy("|u1", false, &all, &as_bytes),
            doubles(&[RECORDS, 1], target),
        ),
        (
            npy(">f8", false, &all, &big),
            doubles(&all, &as_float),
            doubles(&[RECORDS], target),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        sandbox.write("S.npy", signals);
        sandbox.write("M.npy", membership);
        sandbox.write("T.npy", target);
        let out = format!("form{number}");
        for ((name, a), (_, b)) in first.iter().zip(&run("scaled-logit", &out)) {
            close(a, b, &format!("{name} of {out}"));
        }
    }
}

const CLASSES: usize = 3;

/// Logits whose scaled logit for class `r % 3` is not that of any other.
fn logits(rows: usize, seed: usize) -> Vec<f64> {
    (0..rows * CLASSES)
        .map(|i| number(seed + 31 * i) / 2.0)
        .collect()
}

fn softmax(rows: &[f64], temperature: f64) -> Vec<f64> {
    rows.chunks(CLASSES)
        .flat_map(|row| {
            let powers: Vec<f64> = row.iter().map(|z| (z / temperature).exp()).collect();
            let sum: f64 = powers.iter().sum();
            powers.into_iter().map(move |p| p / sum)
        })
        .collect()
}

fn label(record: usize) -> usize {
    record % CLASSES
}

fn write_outputs(sandbox: &Sandbox, references: &[f64], target: &[f64]) {
    sandbox.write("S.npy", doubles(&[MODELS, RECORDS, CLASSES], references));
    sandbox.write("T.npy", doubles(&[RECORDS, CLASSES], target));
    let labels: Vec<i32> = (0..RECORDS).map(|r| i32::from(label(r) as u8)).collect();
    sandbox.write("y.npy", whole(&labels));
}

#[test]
fn outputs_of_every_class_serve_every_method() {
    let example = example();
    let sandbox = example.sandbox();
    let (references, target) = (logits(MODELS * RECORDS, 5), logits(RECORDS, 7777));
    write_outputs(&sandbox, &references, &target);
    let line = ARRAYS.replace("scaled-logit", "logits") + " --labels y.npy";
    let made = done(sandbox.run(&format!("{line} --out logits")));
    assert!(
        made.stderr
            .contains("quantile-regression needs the records' features")
    );
    let by_logits = scores(&sandbox, "logits");
    assert!(by_logits.len() > 26);
    let p = softmax(&target, 1.0);
    let of = |f: &dyn Fn(&[f64], usize) -> f64| -> Vec<f64> {
        (0..RECORDS)
            .map(|r| f(&p[r * CLASSES..][..CLASSES], label(r)))
            .collect()
    };
    close(
        column(&by_logits, "entropy"),
        &of(&|p, _| p.iter().map(|p| p * p.ln()).sum()),
        "entropy",
    );
    close(
        column(&by_logits, "modified-entropy"),
        &of(&|p, y| {
            let others: f64 = (0..CLASSES)
                .filter(|&j| j != y)
                .map(|j| p[j] * (1.0 - p[j]).ln())
                .sum();
            (1.0 - p[y]) * p[y].ln() + others
        }),
        "modified-entropy",
    );
    close(
        column(&by_logits, "gap"),
        &of(&|p, y| f64::from(u8::from((0..CLASSES).all(|j| p[j] <= p[y])))),
        "gap",
    );
    close(
        column(&by_logits, "confidence"),
        &of(&|p, y| p[y]),
        "confidence",
    );

    write_outputs(&sandbox, &softmax(&references, 1.0), &p);
    done(sandbox.run(&format!("{line} --out probabilities").replace("logits", "probabilities")));
    for ((name, a), (_, b)) in by_logits.iter().zip(&scores(&sandbox, "probabilities")) {
        let agree = a
            .iter()
            .zip(b)
            .all(|(a, b)| (a - b).abs() < 1e-8 || a.is_nan() == b.is_nan());
        assert!(agree, "{name}: {a:?} {b:?}");
    }

    // At a temperature, RMIA compares other confidences; LiRA knows none.
    write_outputs(&sandbox, &references, &target);
    let line =
        format!("{line} --temperature 2 --gamma 1 --method rmia-online,lira-online --out warm");
    sandbox.run(&line).succeeded();
    let warm = scores(&sandbox, "warm");
    close(
        column(&warm, "lira-online"),
        column(&by_logits, "lira-online"),
        "lira-online",
    );
    let (q, of_target) = (softmax(&references, 2.0), softmax(&target, 2.0));
    let ratios: Vec<f64> = (0..RECORDS)
        .map(|r| {
            let mean_of = |member: bool| {
                let values: Vec<f64> = (0..MODELS)
                    .filter(|&m| example.inside[m][r] == member)
                    .map(|m| q[(m * RECORDS + r) * CLASSES + label(r)])
                    .collect();
                mean(&values)
            };
            of_target[r * CLASSES + label(r)] / f64::midpoint(mean_of(true), mean_of(false))
        })
        .collect();
    let expected: Vec<f64> = (0..RECORDS)
        .map(|r| {
            let mut others = ratios.clone();
            others.remove(r);
            beaten(ratios[r], &others, 1.0)
        })
        .collect();
    close(column(&warm, "rmia-online"), &expected, "rmia-online");
}

/// The last axis holds queries: LiRA adds them up, others take the first.
#[test]
fn query_augmentations() {
    let example = example();
    let sandbox = example.sandbox();
    let methods = "--method lira-online,lira-offline-fixed,loss,rmia-online";
    let second = |x: f64| 0.5 * x - 0.25 * x * x;
    let run = |out: &str| {
        done(sandbox.run(&format!("{ARRAYS} {methods} --out {out}")));
        scores(&sandbox, out)
    };
    let first = run("first");
    let interleaved: Vec<f64> = example
        .flat(|x| x)
        .iter()
        .flat_map(|&x| [x, second(x)])
        .collect();
    let of_target: Vec<f64> = example
        .target
        .iter()
        .flat_map(|&x| [x, second(x)])
        .collect();
    sandbox.write("S.npy", doubles(&[MODELS, RECORDS], &example.flat(second)));
    let target: Vec<f64> = example.target.iter().map(|&x| second(x)).collect();
    sandbox.write("T.npy", doubles(&[RECORDS], &target));
    let other = run("second");
    sandbox.write("S.npy", doubles(&[MODELS, RECORDS, 2], &interleaved));
    sandbox.write("T.npy", doubles(&[RECORDS, 2], &of_target));
    let both = run("both");
    for name in ["lira-online", "lira-offline-fixed"] {
        let sum: Vec<f64> = column(&first, name)
            .iter()
            .zip(column(&other, name))
            .map(|(a, b)| a + b)
            .collect();
        close(column(&both, name), &sum, name);
    }
    for name in ["loss", "rmia-online"] {
        close(column(&both, name), column(&first, name), name);
    }
}

#[test]
fn a_population_that_is_given_is_compared_with() {
    let example = example();
    let sandbox = example.sandbox();
    let population = 40;
    let of_references: Vec<f64> = (0..MODELS * population).map(|i| number(500 + i)).collect();
    let of_target: Vec<f64> = (0..population).map(|i| number(900 + i)).collect();
    sandbox.write("PS.npy", doubles(&[MODELS, population], &of_references));
    sandbox.write("PT.npy", doubles(&[population], &of_target));
    let line = format!(
        "{ARRAYS} --population-signals PS.npy --population-target PT.npy \
         --method rmia-offline,population --a 1 --gamma 1 --out out"
    );
    sandbox.run(&line).succeeded();
    let found = scores(&sandbox, "out");
    let outside = |r: usize| mean(&example.side(r, false, confidence));
    let all_out = |z: usize| {
        let all: Vec<f64> = (0..MODELS)
            .map(|m| confidence(of_references[m * population + z]))
            .collect();
        mean(&all)
    };
    let others: Vec<f64> = (0..population)
        .map(|z| confidence(of_target[z]) / all_out(z))
        .collect();
    let expected: Vec<f64> = (0..RECORDS)
        .map(|r| beaten(confidence(example.target[r]) / outside(r), &others, 1.0))
        .collect();
    close(column(&found, "rmia-offline"), &expected, "rmia-offline");
    let p: Vec<f64> = example
        .target
        .iter()
        .map(|&phi| {
            let as_high = of_target.iter().filter(|&&z| z >= phi).count();
            (1 + as_high) as f64 / (population + 1) as f64
        })
        .collect();
    close(column(&found, "population-p"), &p, "population-p");

    // Its membership counts: those that a model was trained on are no OUT observations of it.
    let inside: Vec<bool> = (0..MODELS * population).map(|i| i % 3 == 0).collect();
    sandbox.write("PM.npy", bools(&[MODELS, population], &inside));
    let masked = line.replace("--out out", "--population-membership PM.npy --out masked");
    sandbox.run(&masked).succeeded();
    let others: Vec<f64> = (0..population)
        .map(|z| {
            let out: Vec<f64> = (0..MODELS)
                .filter(|m| !inside[m * population + z])
                .map(|m| confidence(of_references[m * population + z]))
                .collect();
            confidence(of_target[z]) / mean(&out)
        })
        .collect();
    let unmasked = expected;
    let expected: Vec<f64> = (0..RECORDS)
        .map(|r| beaten(confidence(example.target[r]) / outside(r), &others, 1.0))
        .collect();
    assert_ne!(expected, unmasked, "the mask is to make a difference");
    let found = scores(&sandbox, "masked");
    close(column(&found, "rmia-offline"), &expected, "rmia-offline");
}

#[test]
fn figures_are_those_of_the_definition() {
    let sandbox = Sandbox::new();
    // Losses of methods, section 6: five of six members are sure.
    let losses = [0.1, 0.2, 1.3, 0.4, 0.5, 0.6, 1.1, 1.2, 1.3, 0.4, 1.5, 1.6];
    let members: Vec<bool> = (0..12).map(|r| r < 6).collect();
    let references: Vec<f64> = (0..4 * 12).map(|i| 0.3 + f64::from(i % 7) / 5.0).collect();
    let inside: Vec<bool> = (0..4 * 12).map(|i| (i / 12 + i) % 2 == 0).collect();
    sandbox.write("S.npy", doubles(&[4, 12], &references));
    sandbox.write("M.npy", bools(&[4, 12], &inside));
    sandbox.write("T.npy", doubles(&[12], &losses));
    sandbox.write("t.npy", bools(&[12], &members));
    let line = ARRAYS.replace("scaled-logit", "loss")
        + " --target-membership t.npy --method loss,difficulty --out out";
    let printed = sandbox.run(&format!("{line} --json"));
    printed.succeeded();
    let written = std::fs::read_to_string(sandbox.path("out").join("metrics.json")).unwrap();
    assert_eq!(printed.stdout, written);
    let metrics: serde_json::Value = serde_json::from_str(&written).unwrap();
    let loss = &metrics["methods"]["loss"];
    let value = |v: &serde_json::Value| v["value"].as_f64().unwrap();
    // 30 of 36 pairs: 29 are right, and two are tied
    assert!((value(&loss["auc"]) - 30.0 / 36.0).abs() < 1e-12, "{loss}");
    // at 0.6: 5 of 6 members, 1 of 6 others
    assert!((value(&loss["advantage"]) - 4.0 / 6.0).abs() < 1e-12);
    assert!((value(&loss["balanced_accuracy"]) - 5.0 / 6.0).abs() < 1e-12);
    let auc = &loss["auc"];
    assert!(
        auc["lower"].as_f64().unwrap() < value(auc) && value(auc) < auc["upper"].as_f64().unwrap()
    );
    // six non-members cannot tell a rate of 10 %
    assert!(loss["tpr_at_fpr"]["0.1"]["value"].is_null());
    assert!(loss["ppv"]["0.1"]["0.5"]["value"].is_null());
    assert_eq!(
        (metrics["members"].as_u64(), metrics["non_members"].as_u64()),
        (Some(6), Some(6))
    );
    assert!(
        metrics["about"]
            .as_str()
            .unwrap()
            .contains("not independent trials")
    );
    // four models that play the target have 24 non-members: enough for 10 %, too few for 1 %
    let carried = &loss["calibrated"];
    assert_eq!(metrics["calibration_models"], 4);
    let mut pooled: Vec<f64> = (0..48)
        .filter(|&i| !inside[i])
        .map(|i| -references[i])
        .collect();
    pooled.sort_by(|a, b| b.total_cmp(a));
    let allowed = 2;
    let threshold = pooled[..allowed]
        .iter()
        .copied()
        .filter(|&s| s > pooled[allowed])
        .fold(f64::NAN, f64::min);
    match carried["0.1"]["threshold"].as_f64() {
        Some(found) => assert!((found - threshold).abs() < 1e-12, "{carried}"),
        None => assert!(threshold.is_nan(), "{carried}"),
    }
    let share = |member: bool| {
        let accused = |r: &usize| members[*r] == member && -losses[*r] >= threshold;
        (0..12).filter(accused).count() as f64 / 6.0
    };
    assert!((value(&carried["0.1"]["tpr"]) - share(true)).abs() < 1e-12);
    assert!((value(&carried["0.1"]["fpr"]) - share(false)).abs() < 1e-12);
    assert!(carried["0.01"]["tpr"]["value"].is_null());

    // Rates that many non-members can tell; PPV by its formula.
    let many = 1200;
    let scaled: Vec<f64> = (0..many).map(|r| f64::from(r % 200)).collect();
    let members: Vec<bool> = (0..many)
        .map(|r| r % 4 == 3 || (r / 200 + r) % 5 == 0)
        .collect();
    let half: Vec<f64> = scaled.iter().map(|x| x / 2.0).collect();
    sandbox.write("S.npy", doubles(&[1, many as usize], &half));
    sandbox.write(
        "M.npy",
        bools(&[1, many as usize], &vec![false; many as usize]),
    );
    sandbox.write("T.npy", doubles(&[many as usize], &scaled));
    sandbox.write("t.npy", bools(&[many as usize], &members));
    let made = done(sandbox.run(&format!(
        "{ARRAYS} --target-membership t.npy --method loss --json"
    )));
    let metrics: serde_json::Value = serde_json::from_str(&made.stdout).unwrap();
    let judged = &metrics["methods"]["loss"];
    let tpr = |rate: &str| value(&judged["tpr_at_fpr"][rate]);
    let share = |threshold: f64, member: bool| {
        let group: Vec<usize> = (0..scaled.len())
            .filter(|&r| members[r] == member)
            .collect();
        group.iter().filter(|&&r| scaled[r] >= threshold).count() as f64 / group.len() as f64
    };
    let smallest = |rate: f64| {
        (0..=200)
            .map(f64::from)
            .find(|&threshold| share(threshold, false) <= rate)
            .unwrap()
    };
    let expected = |rate: f64| share(smallest(rate), true);
    assert!((tpr("0.1") - expected(0.1)).abs() < 1e-12);
    assert!((tpr("0.01") - expected(0.01)).abs() < 1e-12 && tpr("0.01") > 0.0);
    assert!(judged["tpr_at_fpr"]["0.001"]["value"].is_null());
    let ppv = value(&judged["ppv"]["0.01"]["0.1"]);
    let realised = share(smallest(0.01), false);
    let by_formula = 0.1 * tpr("0.01") / (0.1 * tpr("0.01") + 0.9 * realised);
    assert!((ppv - by_formula).abs() < 1e-12);
}

#[test]
fn degenerate_input_behaves() {
    let example = example();
    let sandbox = example.sandbox();
    let all = [MODELS, RECORDS];
    let mut members = vec![false; RECORDS];
    members[2] = true;
    sandbox.write("t.npy", bools(&[RECORDS], &members));
    let line = format!("{ARRAYS} --target-membership t.npy --out out");
    let judged = |name: &str| -> serde_json::Value {
        let text = std::fs::read_to_string(sandbox.path("out").join("metrics.json")).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["methods"][name].clone()
    };
    // one member
    done(sandbox.run(&line));
    let auc = judged("lira-online")["auc"]["value"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&auc));

    // a record IN for all models, and one IN for all but one
    let mut inside = example.inside.clone();
    for (model, row) in inside.iter_mut().enumerate() {
        row[0] = true;
        row[1] = model > 0;
    }
    sandbox.write("M.npy", bools(&all, &inside.concat()));
    let made = done(sandbox.run(&line));
    assert!(
        made.stderr.contains("of 8 records have no score"),
        "{}",
        made.stderr
    );
    let found = scores(&sandbox, "out");
    for name in [
        "lira-online",
        "lira-offline",
        "gmia-direct",
        "gmia-direct-p",
        "reference",
        "rmia-offline",
    ] {
        assert!(column(&found, name)[0].is_nan(), "{name}");
        assert!(
            column(&found, name)[2..].iter().all(|x| !x.is_nan()),
            "{name}"
        );
    }
    // a single OUT model has no variance, but a mean and a rank
    assert!(column(&found, "lira-online")[1].is_nan());
    for name in [
        "difficulty",
        "rmia-online",
        "reference",
        "lira-online-fixed",
    ] {
        assert!(column(&found, name)[1].is_finite(), "{name}");
    }
    assert!(found.iter().all(|(_, column)| column.len() == RECORDS));
    let counted = judged("lira-online");
    assert_eq!(counted["unscored"], 2);
    assert_eq!(
        counted["members"].as_u64().unwrap() + counted["non_members"].as_u64().unwrap(),
        6
    );
    let metrics = std::fs::read_to_string(sandbox.path("out").join("metrics.json")).unwrap();
    let offline = &serde_json::from_str::<serde_json::Value>(&metrics).unwrap()["methods"]["loss"];
    assert_eq!(offline["unscored"], 0);

    // all-equal signals: nothing can be told, and nothing breaks
    sandbox.write("M.npy", bools(&all, &example.inside.concat()));
    sandbox.write("S.npy", doubles(&all, &[0.7; MODELS * RECORDS]));
    sandbox.write("T.npy", doubles(&[RECORDS], &[0.7; RECORDS]));
    done(sandbox.run(&line));
    for (name, column) in scores(&sandbox, "out") {
        assert!(column.iter().all(|x| x.is_finite()), "{name}: {column:?}");
        let first = column[0];
        let tied = column.iter().all(|x| (x - first).abs() < 1e-9);
        // counts of models differ between records, so ranks of ties may
        assert!(
            tied || name.starts_with("reference")
                || name.starts_with("gmia")
                || name.starts_with("bavaria"),
            "{name}: {column:?}"
        );
    }
    assert!((judged("loss")["auc"]["value"].as_f64().unwrap() - 0.5).abs() < 1e-12);

    // no reference model at all
    sandbox.write("S.npy", doubles(&[0, RECORDS], &[]));
    sandbox.write("M.npy", bools(&[0, RECORDS], &[]));
    let made = done(sandbox.run(&line));
    assert!(
        made.stderr.contains("need reference models"),
        "{}",
        made.stderr
    );
    let names: Vec<String> = scores(&sandbox, "out")
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["loss", "confidence", "population"]);
}

/// Probabilities of exactly 0 and 1, and losses of 0, have finite scores in their order.
#[test]
fn certainty_is_finite() {
    let example = example();
    let sandbox = example.sandbox();
    let all = [MODELS, RECORDS];
    let mut references = example.flat(confidence);
    references[3] = 1.0;
    references[RECORDS + 4] = 0.0;
    let mut target: Vec<f64> = example.target.iter().map(|&x| confidence(x)).collect();
    (target[0], target[1]) = (1.0, 0.0);
    for single in [false, true] {
        let write = |name: &str, shape: &[usize], values: &[f64]| {
            let bytes = if single {
                singles(shape, values)
            } else {
                doubles(shape, values)
            };
            sandbox.write(name, bytes);
        };
        write("S.npy", &all, &references);
        write("T.npy", &[RECORDS], &target);
        let line = format!("{ARRAYS} --out out").replace("scaled-logit", "confidence");
        done(sandbox.run(&line));
        let found = scores(&sandbox, "out");
        for (name, column) in &found {
            assert!(column.iter().all(|x| x.is_finite()), "{name}: {column:?}");
        }
        // the largest number below 1
        let epsilon = if single {
            f64::from(f32::EPSILON)
        } else {
            f64::EPSILON
        };
        let expected = 1.0 - epsilon / 2.0;
        assert!((column(&found, "confidence")[0] - expected).abs() < epsilon / 8.0);
        assert!(column(&found, "confidence")[1] > 0.0);

        done(sandbox.run(&format!("{line} --clamp 0.001")));
        let found = scores(&sandbox, "out");
        assert!((column(&found, "confidence")[0] - 0.999).abs() < 1e-7);
        assert!((column(&found, "confidence")[1] - 0.001).abs() < 1e-9);

        // a loss of 0 is as sure, and surer than any other loss
        let losses: Vec<f64> = example.flat(loss);
        let mut of_target: Vec<f64> = example.target.iter().map(|&x| loss(x)).collect();
        (of_target[0], of_target[1]) = (0.0, 1e-30);
        write("S.npy", &all, &losses);
        write("T.npy", &[RECORDS], &of_target);
        done(sandbox.run(&line.replace("confidence", "loss")));
        let found = scores(&sandbox, "out");
        let lira = column(&found, "lira-offline-fixed");
        assert!(lira.iter().all(|x| x.is_finite()));
        let loss = column(&found, "loss");
        assert!((loss[0] / -1e-30 - 1.0).abs() < 1e-6, "{loss:?}");
    }
    let target = [1.0, 0.0, 0.0].repeat(RECORDS);
    write_outputs(&sandbox, &target.repeat(MODELS), &target);
    let line = ARRAYS.replace("scaled-logit", "probabilities") + " --labels y.npy --out out";
    done(sandbox.run(&line));
    for (name, column) in scores(&sandbox, "out") {
        assert!(column.iter().all(|x| x.is_finite()), "{name}: {column:?}");
    }
}

#[test]
fn files_are_written_whole_and_where_they_were_asked_for() {
    let example = example();
    let sandbox = example.sandbox();
    let before = std::fs::read_dir(sandbox.path("")).unwrap().count();
    let made = done(sandbox.run(ARRAYS));
    assert!(made.stdout.contains("lira-online") && made.stdout.contains("most member-like"));
    assert!(
        made.stderr
            .contains("entropy, modified-entropy, modified-entropy-class-wise, gap, label-only")
    );
    let printed = done(sandbox.run(&format!("{ARRAYS} --method loss,gmia-direct --json")));
    let json: serde_json::Value = serde_json::from_str(&printed.stdout).unwrap();
    assert_eq!(
        json["scores"]["gmia-direct-p"].as_array().unwrap().len(),
        RECORDS
    );
    assert_eq!(json["models"], MODELS);
    assert_eq!(std::fs::read_dir(sandbox.path("")).unwrap().count(), before);

    // Again over what is there, with any number of threads, the same bytes.
    let members: Vec<bool> = (0..RECORDS).map(|r| r % 2 == 0).collect();
    sandbox.write("t.npy", bools(&[RECORDS], &members));
    let line = format!("{ARRAYS} --target-membership t.npy --out out");
    done(sandbox.run(&format!("{line} --threads 1")));
    let once = sandbox.contents("out");
    assert_eq!(once.len(), 2);
    let made = done(sandbox.run(&format!("{line} --threads 3")));
    assert_eq!(sandbox.contents("out"), once);
    assert!(made.stdout.contains("TPR at FPR 1 %") && made.stdout.contains("out/metrics.json"));
    done(sandbox.run(&format!("{line} --seed 1")));
    assert_ne!(sandbox.contents("out"), once);

    // Figures of other scores are not passed off as those of the new ones.
    let made = done(sandbox.run(&format!("{ARRAYS} --out out --method loss")));
    assert!(
        made.stderr.contains("of an earlier call"),
        "{}",
        made.stderr
    );
}
