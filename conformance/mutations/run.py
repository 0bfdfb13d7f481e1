"""Breaks the attacks in one place at a time and says which test sees it.

    python3 run.py [NAME ...]

Works on the checkout that this script lies in, which must have no changes, and puts every file
back. Each mutation is compiled (without optimisation, in target/mutations) and tested with the
conformance suite; what survives that, with the unit tests of giveaway's attacks. The table is
printed as Markdown: `conformance/MUTATIONS.md` holds it.
"""

import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
ATTACK = "crates/giveaway/src/attack/"
STATS = "crates/stats/src/"

# name, file, what is there, what is put there
MUTATIONS = [
    ("LiRA online: sign turned", ATTACK + "lira.rs", "0.5 * (z_out - z_in)", "0.5 * (z_in - z_out)"),
    ("LiRA online: no variance term", ATTACK + "lira.rs", "+ (outside[r] / inside[r]).ln()", "+ 0.0 * outside[r]"),
    ("LiRA: OUT deviation from IN models", ATTACK + "lira.rs",
     "let outside = deviations(&moments.outside, variance);\n    (0..target.len())\n        .into_par_iter()\n        .map(|r| {\n            let z_in",
     "let outside = deviations(&moments.inside, variance);\n    (0..target.len())\n        .into_par_iter()\n        .map(|r| {\n            let z_in"),
    ("LiRA offline: IN models for OUT", ATTACK + "lira.rs",
     "normal_log_sf((moments.outside.mean[r] - target[r])", "normal_log_sf((moments.inside.mean[r] - target[r])"),
    ("LiRA offline: two-sided", ATTACK + "lira.rs",
     "normal_log_sf((moments.outside.mean[r] - target[r]) / outside[r])",
     "normal_log_sf(-((moments.outside.mean[r] - target[r]) / outside[r]).abs())"),
    ("LiRA offline: wrong tail", ATTACK + "lira.rs",
     "normal_log_sf((moments.outside.mean[r] - target[r])", "normal_log_sf((target[r] - moments.outside.mean[r])"),
    ("variance: divisor n - 1", ATTACK + "moments.rs",
     "self.deviations[record] / self.count[record]", "self.deviations[record] / (self.count[record] - 1.0)"),
    ("fixed variance: around the global mean", ATTACK + "moments.rs",
     "self.deviations.iter().sum::<f64>() / self.count.iter().sum::<f64>()", "self.global().1"),
    ("global variance: within records only", ATTACK + "moments.rs",
     "self.deviations[r] + self.count[r] * (self.mean[r] - mean).powi(2)", "self.deviations[r] + 0.0 * mean"),
    ("RMIA: gamma on the wrong side", ATTACK + "rmia.rs", ".map(|&ratio| gamma * ratio)", ".map(|&ratio| ratio / gamma)"),
    ("RMIA: > for >=", ATTACK + "rmia.rs", "ratio >= threshold", "ratio > threshold"),
    ("RMIA: x not left out of its own population", ATTACK + "rmia.rs",
     "let itself = usize::from(ratio >= gamma * ratio);", "let itself = 0;"),
    ("RMIA: divided by all records, not the others", ATTACK + "rmia.rs",
     "sorted.len().saturating_sub(1)", "sorted.len()"),
    ("RMIA online: OUT mean alone", ATTACK + "rmia.rs",
     "f64::midpoint(inside[r], outside[r])", "outside[r]"),
    ("RMIA offline: a on the wrong term", ATTACK + "rmia.rs",
     "f64::midpoint((1.0 + a) * outside[r], 1.0 - a)", "f64::midpoint((1.0 - a) * outside[r], 1.0 + a)"),
    ("RMIA: the population's mask ignored", ATTACK + "rmia.rs",
     "Some(inside) => inside.clone(),", "Some(_) => vec![nobody.as_slice(); evidence.models()],"),
    ("RMIA: the complement kept when a is tuned", ATTACK + "rmia.rs",
     "evidence.with_target(0, family)", "evidence.with_target(0, &family[..0])"),
    ("BASE1 offline: all models", ATTACK + "method.rs",
     "base::base1_offline(&losses, confidences)", "base::base1_online(&losses, confidences)"),
    ("BASE1: temperature ignored", ATTACK + "rmia.rs", "if let Some(query) = &evidence.tempered {", "if let (Some(query), true) = (&evidence.tempered, evidence.models() == 0) {"),
    ("BASE2: OUT residuals dropped", ATTACK + "base.rs",
     "sum(&logits.inside.deviations) + sum(&logits.outside.deviations)", "sum(&logits.inside.deviations)"),
    ("BASE3: from the OUT mean, not half-way", ATTACK + "base.rs",
     "(phi - f64::midpoint(inside, outside))", "(phi - outside)"),
    ("BaVarIA: between-mean term of beta dropped", ATTACK + "bavaria.rs",
     "PRIOR_OBSERVATIONS * n * (mean - self.mean).powi(2)", "0.0 * n * (mean - self.mean).powi(2)"),
    ("BaVarIA: kappa is 2", ATTACK + "bavaria.rs", "PRIOR_OBSERVATIONS: f64 = 1.0", "PRIOR_OBSERVATIONS: f64 = 2.0"),
    ("BaVarIA: alpha grows by n", ATTACK + "bavaria.rs", "self.alpha + n / 2.0", "self.alpha + n"),
    ("BaVarIA t: alpha is 1", ATTACK + "bavaria.rs", "Predictive::StudentT => (2.0, variance)", "Predictive::StudentT => (1.0, variance)"),
    ("BaVarIA t: (kappa + 1) dropped from the scale", ATTACK + "bavaria.rs",
     "beta * (kappa + 1.0) / (alpha * kappa)", "beta / alpha"),
    ("BaVarIA offline: the OUT prior for IN", ATTACK + "bavaria.rs",
     "let prior_in = Prior::of(&logits.inside, predictive);\n    let prior_out = Prior::of(outside",
     "let prior_in = Prior::of(outside, predictive);\n    let prior_out = Prior::of(outside"),
    ("ecdf: wrong tail", ATTACK + "direct/arrays.rs", "Scalar::Loss => &counts.at_most,", "Scalar::Loss => &counts.at_least,"),
    ("ecdf: no + 1", STATS + "empirical.rs", "(1 + count) as f64 / (k + 1) as f64", "count as f64 / k as f64"),
    ("ecdf: IN models counted", ATTACK + "ranks.rs", "u32::from(!inside[i])", "u32::from(inside[i] | true)"),
    ("t: no prediction variance", ATTACK + "direct.rs", "(variance * (1.0 + 1.0 / models)).sqrt()", "variance.sqrt()"),
    ("t: divisor n", ATTACK + "direct.rs", "(deviations / (models - 1.0), models - 1.0)", "(deviations / models, models - 1.0)"),
    ("gmia-direct: no p-value scores highest", ATTACK + "method.rs", "if p.is_nan() {\n        return f64::NAN;", "if p.is_infinite() {\n        return f64::NAN;"),
    ("Attack-P: ties count as higher", ATTACK + "population.rs",
     "let count = |loss: f64| sorted.partition_point(|&other| other <= loss);",
     "let count = |loss: f64| sorted.partition_point(|&other| other < loss);"),
    ("Attack-R: lowest level at ties", ATTACK + "reference.rs", "|&value| value <= x", "|&value| value < x"),
    ("difficulty: IN mean", ATTACK + "difficulty.rs", "reference.outside.mean", "reference.inside.mean"),
    ("Sablayrolles: sign", ATTACK + "sablayrolles.rs",
     "reference.outside.mean[r]) - losses[r])", "reference.outside.mean[r]) + losses[r])"),
    ("modified entropy: entropy instead", ATTACK + "outputs.rs", "-p * rest.max(self.clamp).ln()", "-p * p.max(self.clamp).ln()"),
    ("gap: last of equal outputs", ATTACK + "outputs.rs", "row.iter().position(|&x| x >= largest)", "row.iter().rposition(|&x| x >= largest)"),
    ("scaled logit: the true class among the others", ATTACK + "outputs.rs", ".filter(|&(class, _)| class != label)\n                .map(|(_, &x)| x)", ".filter(|&(class, _)| class != label || true)\n                .map(|(_, &x)| x)"),
]


def cargo(*arguments):
    environment = dict(
        os.environ,
        CARGO_TARGET_DIR=os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target/mutations")),
        CARGO_PROFILE_DEV_OPT_LEVEL="0",
        CARGO_PROFILE_DEV_DEBUG="0",
    )
    return subprocess.run(["cargo", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)


def who_sees():
    """The tests that fail, or nothing."""
    if cargo("build", "-q", "-p", "giveaway-conformance").returncode:
        return "does not compile"
    run = cargo("run", "-q", "-p", "giveaway-conformance")
    seen = re.findall(r"^(\S.*?)\s{2,}.*DISAGREES$", run.stdout, re.MULTILINE)
    if seen:
        more = f" and {len(seen) - 4} more" if len(seen) > 4 else ""
        return "conformance: " + ", ".join(seen[:4]) + more
    if run.returncode:
        return "conformance: panics"
    tests = cargo("test", "-q", "-p", "giveaway", "--lib", "attack")
    failed = re.findall(r"^    (attack::\S+)$", tests.stdout, re.MULTILINE)
    return "unit tests: " + ", ".join(sorted(set(failed))) if failed else "SURVIVES"


def main():
    wanted = sys.argv[1:]
    print("| mutation | file | seen by |\n|---|---|---|")
    survivors = 0
    for name, file, old, new in MUTATIONS:
        if wanted and name not in wanted:
            continue
        path = ROOT / file
        text = path.read_text()
        if text.count(old) < 1:
            sys.exit(f"{file} has no `{old}`: mend the list")
        try:
            path.write_text(text.replace(old, new))
            seen = who_sees()
        finally:
            path.write_text(text)
        survivors += seen == "SURVIVES"
        print(f"| {name} | `{pathlib.Path(file).name}` | {seen} |", flush=True)
    sys.exit(f"{survivors} survive" if survivors else 0)


if __name__ == "__main__":
    main()
