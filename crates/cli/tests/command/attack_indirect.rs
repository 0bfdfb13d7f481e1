//! `giveaway attack --method gmia-indirect`: records tested by queries that are not they.

use crate::attack::{close, column, scores};
use crate::npy::{bools, doubles, npy, whole};
use crate::sandbox::Sandbox;

const MODELS: usize = 40;
const RECORDS: usize = 6;
/// Queries of each record.
const EACH: usize = 3;
const QUERIES: usize = RECORDS * EACH;

const LINE: &str = "attack --method gmia-indirect --signals S.npy --signal scaled-logit \
                    --membership M.npy --target T.npy --query-record q.npy";

/// Numbers without a pattern, in (-1, 1).
fn noise(seed: usize) -> f64 {
    let mixed = (seed as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    ((mixed >> 11) as f64) / (1u64 << 52) as f64 - 1.0
}

struct Example {
    phi: Vec<f64>,
    inside: Vec<bool>,
    target: Vec<f64>,
    record: Vec<i32>,
    tails: Vec<i32>,
}

/// Pairs of complements. The target was trained on the first half of the records; membership
/// moves a query by 3, upwards or downwards in turn.
fn example() -> Example {
    let record: Vec<i32> = (0..QUERIES).map(|q| i32::from((q / EACH) as u8)).collect();
    let tails: Vec<i32> = (0..QUERIES)
        .map(|q| if q % 2 == 0 { 1 } else { -1 })
        .collect();
    let is_in = |model: usize, record: usize| {
        let first = noise(7000 + model / 2 * RECORDS + record) > 0.0;
        first ^ (model % 2 == 1)
    };
    let inside: Vec<bool> = (0..MODELS)
        .flat_map(|model| (0..QUERIES).map(move |q| is_in(model, q / EACH)))
        .collect();
    let phi_of = |seed: usize, query: usize, member: bool| {
        noise(seed) + 3.0 * f64::from(u8::from(member)) * f64::from(tails[query])
    };
    let phi = (0..MODELS * QUERIES)
        .map(|at| phi_of(at, at % QUERIES, inside[at]))
        .collect();
    let target = (0..QUERIES)
        .map(|q| phi_of(5000 + q, q, q / EACH < RECORDS / 2))
        .collect();
    Example {
        phi,
        inside,
        target,
        record,
        tails,
    }
}

impl Example {
    fn sandbox(&self) -> Sandbox {
        let sandbox = Sandbox::new();
        sandbox.write("S.npy", doubles(&[MODELS, QUERIES], &self.phi));
        sandbox.write("M.npy", bools(&[MODELS, QUERIES], &self.inside));
        sandbox.write("T.npy", doubles(&[QUERIES], &self.target));
        sandbox.write("q.npy", whole(&self.record));
        sandbox.write("tails.npy", whole(&self.tails));
        let members: Vec<bool> = (0..RECORDS).map(|r| r < RECORDS / 2).collect();
        sandbox.write("t.npy", bools(&[RECORDS], &members));
        sandbox
    }

    /// Oriented statistics of the record's OUT models on a query, and the target's.
    fn out(&self, query: usize) -> (Vec<f64>, f64) {
        let sign = f64::from(self.tails[query]);
        let models = (0..MODELS).filter(|model| !self.inside[model * QUERIES + query]);
        let out = models.map(|model| sign * self.phi[model * QUERIES + query]);
        (out.collect(), sign * self.target[query])
    }
}

#[test]
fn each_record_has_a_row_with_its_p_values() {
    let example = example();
    let sandbox = example.sandbox();
    let line = format!("{LINE} --query-tail tails.npy --null ecdf --combination fisher --out made");
    sandbox.run(&line).succeeded();
    let found = scores(&sandbox, "made");
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names.join(","),
        "record,gmia-indirect,gmia-indirect-p,p-kost,p-fisher,p-empirical,queries,smallest-p,k-out"
    );
    let mut fisher = Vec::new();
    let mut smallest = Vec::new();
    for record in 0..RECORDS {
        let p: Vec<f64> = (record * EACH..(record + 1) * EACH)
            .map(|query| {
                let (out, target) = example.out(query);
                let above = out.iter().filter(|&&u| u >= target).count();
                (1 + above) as f64 / (out.len() + 1) as f64
            })
            .collect();
        let half: f64 = -p.iter().map(|p| p.ln()).sum::<f64>();
        // the tail of chi-square with 6 degrees of freedom
        fisher.push((-half).exp() * (1.0 + half + half * half / 2.0));
        smallest.push(p.iter().copied().fold(1.0, f64::min));
    }
    close(column(&found, "p-fisher"), &fisher, "fisher");
    close(column(&found, "gmia-indirect-p"), &fisher, "chosen");
    let of_scores: Vec<f64> = fisher.iter().map(|p| -p.ln()).collect();
    close(column(&found, "gmia-indirect"), &of_scores, "score");
    close(column(&found, "smallest-p"), &smallest, "smallest");
    close(column(&found, "queries"), &[3.0; RECORDS], "queries");
    close(column(&found, "k-out"), &[20.0; RECORDS], "models OUT");
    let empirical = column(&found, "p-empirical");
    for record in 0..RECORDS {
        let is_member = record < RECORDS / 2;
        assert_eq!(
            empirical[record] <= 1.0 / 20.9,
            is_member,
            "{record}: {empirical:?}"
        );
    }
}

#[test]
fn tails_are_found_on_half_of_the_models_and_tested_on_the_other() {
    let mut example = example();
    // in the first record's last query there is nothing of membership
    for model in 0..MODELS {
        example.phi[model * QUERIES + 2] = noise(40_000 + model);
    }
    let sandbox = example.sandbox();
    let done = sandbox.run(&format!(
        "{LINE} --target-membership t.npy --json --out made"
    ));
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(
        done.stderr.contains("1 of 18 queries were dropped"),
        "{}",
        done.stderr
    );
    let metrics: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(metrics["tails"], "found on half of the models");
    assert_eq!(metrics["testing_models"], 20);
    assert_eq!(metrics["combination"], "empirical");
    assert_eq!(metrics["combinations"]["kost"]["auc"]["value"], 1.0);
    let at = &metrics["at_p_values"]["kost"][1];
    assert_eq!(at["cutoff"], 0.01);
    assert_eq!(at["true_positive_rate"]["value"], 1.0);
    assert_eq!(at["false_positive_rate"]["value"], 0.0);
    let found = scores(&sandbox, "made");
    close(
        column(&found, "queries"),
        &[2.0, 3.0, 3.0, 3.0, 3.0, 3.0],
        "queries",
    );
    close(column(&found, "k-out"), &[10.0; RECORDS], "models OUT");
    // the second half of the models tests, and no other
    let half = MODELS / 2 * QUERIES;
    sandbox.write(
        "S.npy",
        doubles(&[MODELS / 2, QUERIES], &example.phi[half..]),
    );
    sandbox.write(
        "M.npy",
        bools(&[MODELS / 2, QUERIES], &example.inside[half..]),
    );
    sandbox
        .run(&format!("{LINE} --query-tail tails.npy --out other"))
        .succeeded();
    let other = scores(&sandbox, "other");
    for name in ["p-kost", "p-fisher", "p-empirical"] {
        close(&column(&found, name)[1..], &column(&other, name)[1..], name);
    }
    // membership of the target by query, and the summary
    let by_query: Vec<bool> = (0..QUERIES).map(|q| q / EACH < RECORDS / 2).collect();
    sandbox.write("t.npy", bools(&[QUERIES], &by_query));
    let line =
        format!("{LINE} --query-tail tails.npy --target-membership t.npy --combination kost");
    let shown = sandbox.run(&line);
    for words in [
        "INDIRECT INFERENCE",
        "20 models test",
        "combination kost",
        "3 members of the target",
    ] {
        assert!(shown.stdout.contains(words), "{}", shown.stdout);
    }
}

/// Refused, and nothing written.
fn refused(sandbox: &Sandbox, line: &str, code: i32, words: &[&str]) {
    sandbox
        .run(&format!("{line} --out out"))
        .refused(code, words);
    assert!(!sandbox.path("out").exists(), "{line}");
}

#[test]
fn options_and_numbers_of_queries_that_do_not_fit_are_refused() {
    let example = example();
    let sandbox = example.sandbox();
    let with_tails = format!("{LINE} --query-tail tails.npy");
    let without = LINE.replace(" --query-record q.npy", "");
    refused(&sandbox, &without, 2, &["--method", "--query-record FILE"]);
    let mixed = LINE.replace("gmia-indirect", "gmia-indirect,loss");
    refused(&sandbox, &mixed, 2, &["--method", "give it alone"]);
    let other = LINE.replace("gmia-indirect", "loss");
    refused(
        &sandbox,
        &other,
        2,
        &["--query-record", "--method gmia-indirect"],
    );
    refused(
        &sandbox,
        &LINE.replace("--method gmia-indirect", ""),
        2,
        &["--query-record"],
    );
    refused(
        &sandbox,
        &format!("{LINE} --canaries t.npy --guesses 4"),
        2,
        &["--canaries"],
    );

    let records = |change: &dyn Fn(&mut Vec<i32>)| {
        let mut changed = example.record.clone();
        change(&mut changed);
        sandbox.write("q.npy", whole(&changed));
    };
    records(&|q| q.swap(2, 3));
    refused(
        &sandbox,
        LINE,
        3,
        &["--query-record q.npy", "query 3", "after one of record 1"],
    );
    records(&|q| q[0] = -1);
    refused(&sandbox, LINE, 3, &["query 0", "is -1", "numbered from 0"]);
    records(&|q| q[3..6].fill(2));
    refused(&sandbox, LINE, 3, &["query 3", "record 1 has no query"]);
    records(&|q| {
        q.pop();
    });
    refused(&sandbox, LINE, 3, &["17 elements", "18 queries"]);
    sandbox.write("q.npy", doubles(&[QUERIES], &[0.5; QUERIES]));
    refused(
        &sandbox,
        LINE,
        3,
        &["float64", "whole numbers", "astype(int)"],
    );
    records(&|_| ());

    let mut tails = example.tails.clone();
    tails[4] = 0;
    sandbox.write("tails.npy", whole(&tails));
    refused(
        &sandbox,
        &with_tails,
        3,
        &["--query-tail tails.npy", "query 4", "neither 1 nor -1"],
    );
    sandbox.write("tails.npy", whole(&example.tails));
}

#[test]
fn signals_and_memberships_that_do_not_fit_are_refused() {
    let example = example();
    let sandbox = example.sandbox();
    let with_tails = format!("{LINE} --query-tail tails.npy");
    let mut inside = example.inside.clone();
    inside[5 * QUERIES + 7] ^= true;
    sandbox.write("M.npy", bools(&[MODELS, QUERIES], &inside));
    refused(
        &sandbox,
        LINE,
        3,
        &[
            "--membership M.npy",
            "model 5",
            "queries 6 and 7",
            "record 2",
        ],
    );
    sandbox.write(
        "M.npy",
        bools(&[MODELS, QUERIES], &[true; MODELS * QUERIES]),
    );
    refused(
        &sandbox,
        &with_tails,
        3,
        &["can test no record", "OUT for more than 0"],
    );
    sandbox.write("M.npy", bools(&[MODELS, QUERIES], &example.inside));

    let mut phi = example.phi.clone();
    phi[3 * QUERIES + 1] = f64::NAN;
    sandbox.write("S.npy", doubles(&[MODELS, QUERIES], &phi));
    refused(&sandbox, LINE, 3, &["--signals S.npy", "NaN"]);
    let flat: Vec<f64> = (0..MODELS * QUERIES)
        .map(|at| noise(at % QUERIES))
        .collect();
    sandbox.write("S.npy", doubles(&[MODELS, QUERIES], &flat));
    refused(
        &sandbox,
        LINE,
        3,
        &["can test no record", "membership does not clearly show"],
    );
    sandbox.write("S.npy", doubles(&[2, QUERIES], &example.phi[..2 * QUERIES]));
    sandbox.write(
        "M.npy",
        bools(&[2, QUERIES], &example.inside[..2 * QUERIES]),
    );
    refused(&sandbox, LINE, 3, &["one family", "--query-tail"]);
    refused(
        &sandbox,
        &with_tails,
        3,
        &["can test no record", "2 are needed"],
    );
    sandbox.write("S.npy", doubles(&[MODELS, QUERIES], &example.phi));
    sandbox.write("M.npy", bools(&[MODELS, QUERIES], &example.inside));

    sandbox.write("t.npy", bools(&[5], &[true; 5]));
    let judged = format!("{LINE} --target-membership t.npy");
    refused(
        &sandbox,
        &judged,
        3,
        &["5 elements", "6 records with 18 queries"],
    );
    let body: Vec<u8> = (0..QUERIES).map(|q| u8::from(q == 1)).collect();
    sandbox.write("t.npy", npy("|b1", false, &[QUERIES], &body));
    refused(&sandbox, &judged, 3, &["queries 0 and 1", "record 0"]);
}
