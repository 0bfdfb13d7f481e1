"""Compares the attacks on Adult and Breast Cancer: side by side, by the number of reference
models, by the size of the reference data, and with reference models of another kind. Makes
the tables of docs/attacks.md.

    python3 attacks.py --binary giveaway --out OUT [--only sides,models,kind,data] [--seeds 1,2,3]

What is in OUT already is not done again. Needs numpy, pandas and pyarrow.

The attacks are those of the program: `giveaway audit` makes the first table, and `giveaway attack`
scores the targets of the others. From those scores AUC and TPR are computed here, and compared
with what `giveaway attack` says itself wherever that is asked (one target of each setting).
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

DATASETS = Path(__file__).resolve().parents[2] / "datasets"
REFERENCES = 256  # of the audits; the default
COUNTS = [8, 16, 32, 64, 128, 256]
AUDIT_COUNTS = [12, 16, 32, 64, 128]  # an audit wants at least 12
MODEL_METHODS = ["loss", "gmia-direct", "lira-online", "lira-online-fixed", "lira-offline", "lira-offline-fixed",
                 "bavaria-t-online", "rmia-online", "rmia-offline"]
KIND_METHODS = ["loss", "gmia-direct", "lira-online", "lira-online-fixed", "rmia-online", "bavaria-t-online"]
DATA_METHODS = ["loss", "difficulty", "gmia-direct", "lira-offline", "lira-offline-fixed", "rmia-offline",
                "base1-offline"]
DEFAULT_METHODS = ["loss", "difficulty", "lira-online", "rmia-online", "bavaria-t-online", "gmia-direct"]
GAMMA_METHODS = ["rmia-online", "rmia-offline", "base1-online", "base1-offline"]
KINDS = {
    "the same": [],
    "softmax regression": ["--hidden", "none"],
    "tanh": ["--activation", "tanh"],
    "5 epochs": ["--epochs", "5"],
    "dropout 0.5": ["--dropout", "0.5"],
    "256, 128": ["--hidden", "256,128"],
}


@dataclass(frozen=True)
class Data:
    """A data set that comes with the program."""

    name: str
    title: str
    file: str
    label: str
    drawn: tuple  # options of the data
    tested: tuple  # options of the test
    references: tuple  # sizes of the reference data
    players: int  # reference models that are attacked and never refer: complementary pairs
    few: int  # reference models of the experiments on data and kind


SETS = [
    Data("breast-cancer", "Breast Cancer", "breast_cancer.parquet", "diagnosis", (), ("--top", "10%"), (50, 100, 284),
         16, 64),
    Data("adult", "Adult", "adult.parquet", "income", ("--train-size", "10000"), (), (1000, 3000, 10000, 28000),
         8, 32),
]


class RefusedError(Exception):
    """The program ended with an error."""


class Bench:
    """Runs the program, and remembers what came out."""

    def __init__(self, arguments):
        self.binary = arguments.binary
        self.threads = arguments.threads
        self.out = Path(arguments.out)
        for part in ["runs", "results", "files", "scratch"]:
            (self.out / part).mkdir(parents=True, exist_ok=True)

    def call(self, *words):
        command = [self.binary, *map(str, words), "--threads", str(self.threads)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise RefusedError(f"{' '.join(command)}\n{done.stderr}")
        return done.stdout

    def run(self, name):
        return self.out / "runs" / name

    def once(self, name, make):
        """The result of this name, made if it is not there."""
        path = self.out / "results" / f"{name}.json"
        if not path.exists():
            began = time.time()
            result = make()
            result["seconds"] = round(time.time() - began, 1)
            path.with_suffix(".part").write_text(json.dumps(result))
            path.with_suffix(".part").rename(path)
            print(f"{time.strftime('%H:%M:%S')} {name} {result['seconds']} s", flush=True)
        return json.loads(path.read_text())

    def audit(self, *words):
        return json.loads(self.call("audit", *words, "--quiet", "--json"))

    def nested(self, words, models, source, name):
        """A run with so many models, those of `source` copied: training sets and starts follow
        from the seed and the model's number, so fewer models are the first of more."""
        run = self.run(name)
        if not (run / "nested").exists():
            self.call("reference", *words, "--models", models, "--shard", f"1/{models}", "--run", run, "--quiet")
            ours, theirs = run / "signals" / "000.npy", source / "signals" / "000.npy"
            if ours.read_bytes() != theirs.read_bytes():
                sys.exit(f"{ours} and {theirs} are of different models")
            held = {path.name for path in (source / "signals").glob("[0-9]*.npy")}
            for file in [*(f"{i:03}.npy" for i in range(1, models)), "target.npy"]:
                if file == "target.npy" or file in held:
                    shutil.copyfile(source / "signals" / file, run / "signals" / file)
            (run / "nested").touch()
        return run


class Evidence:
    """Outputs of a run by unit, and who was trained on what."""

    def __init__(self, run):
        records = pd.read_parquet(run / "records.parquet", columns=["id", "unit", "class", "member"])
        # Exact duplicates are a unit and have the same outputs: the first stands for all.
        self.first = records.drop_duplicates("unit").sort_values("unit").index.to_numpy()
        self.run, self.records = run, records
        self.labels = pd.Categorical(records["class"]).codes[self.first].astype(np.int64)

    def outputs(self, models):
        files = [f"{m:03}" if isinstance(m, int) else m for m in models]
        return np.stack([np.load(self.run / "signals" / f"{file}.npy")[self.first, 0, :] for file in files])

    def membership(self, models):
        return np.load(self.run / "membership.npy")[models].astype(bool)

    def target_members(self):
        return self.records["member"].to_numpy()[self.first].astype(bool)


def rates(scores, member):
    """AUC, and the largest TPR with an FPR of at most 1 % and 0.1 % (none with too few non-members);
    ties are accused together."""
    kept = ~np.isnan(scores)
    scores, member = scores[kept], member[kept]
    order = np.argsort(-scores, kind="stable")
    scores, member = scores[order], member[order]
    last = np.append(scores[1:] != scores[:-1], True)
    tpr = np.concatenate([[0], np.cumsum(member)[last] / member.sum()])
    fpr = np.concatenate([[0], np.cumsum(~member)[last] / (~member).sum()])
    found = {"auc": float(np.sum(np.diff(fpr) * (tpr[1:] + tpr[:-1]) / 2))}
    for rate in [0.01, 0.001]:
        enough = (~member).sum() * rate >= 1
        found[f"tpr@{rate}"] = float(tpr[fpr <= rate * (1 + 1e-12)].max()) if enough else None
    return found


def attacked(bench, signals, membership, labels, targets, methods, name):
    """Every target attacked with the same reference models. Figures are means over targets; those
    that one target has too few non-members for are of all targets' scores together."""
    scratch = bench.out / "scratch"
    np.save(scratch / "S.npy", signals)
    np.save(scratch / "M.npy", membership)
    np.save(scratch / "y.npy", labels)
    scores = []
    for number, (outputs, member) in enumerate(targets):
        np.save(scratch / "T.npy", outputs)
        np.save(scratch / "t.npy", member)
        words = ["attack", "--signals", scratch / "S.npy", "--signal", "logits", "--membership", scratch / "M.npy",
                 "--labels", scratch / "y.npy", "--target", scratch / "T.npy", "--method", ",".join(methods),
                 "--out", scratch / "scores"]
        # Its own figures come with bootstrap intervals, which take long: for one target only.
        said = ["--target-membership", scratch / "t.npy", "--json"] if number == 0 else []
        text = bench.call(*words, *said)
        table = pd.read_parquet(scratch / "scores" / "scores.parquet")
        if number == 0:
            compare(json.loads(text), table, member, methods, name)
        scores.append(table)
    result = {"targets": len(targets), "models": len(signals), "methods": {}}
    for method in methods:
        each = [rates(table[method].to_numpy(), member) for table, (_, member) in zip(scores, targets)]
        together = rates(np.concatenate([table[method] for table in scores]),
                         np.concatenate([member for _, member in targets]))
        result["methods"][method] = {
            figure: float(np.mean([one[figure] for one in each])) if each[0][figure] is not None else together[figure]
            for figure in together}
    p = [table["gmia-direct-p"].to_numpy() for table in scores]
    for level in [0.01, 0.05]:
        result[f"accused@{level}"] = float(np.mean([np.mean(a[~m] < level) for a, (_, m) in zip(p, targets)]))
        result[f"found@{level}"] = float(np.mean([np.mean(a[m] < level) for a, (_, m) in zip(p, targets)]))
    return result


def compare(said, table, member, methods, name):
    """What the program says of a target, against what we compute from its scores."""
    told = said["methods"] if isinstance(said, dict) and "methods" in said else said
    if isinstance(told, list):
        told = {entry.get("method", entry.get("name")): entry for entry in told}
    for method in methods:
        ours = rates(table[method].to_numpy(), member)
        theirs = told[method]["auc"]["value"]
        if abs(theirs - ours["auc"]) > 1e-9:
            sys.exit(f"{name}, {method}: AUC {theirs} by the program, {ours['auc']} by us")


def sides(bench, data, seed):
    """All attacks side by side, and how often the records that an attack finds by the recipe are
    accused where they were left out."""
    run = bench.run(f"{data.name}-{seed}")
    words = [data.name, *data.drawn, *data.tested, "--seed", seed, "--run", run, "--attacks", "all"]
    report = bench.once(f"{data.name}-{seed}-all", lambda: bench.audit(*words))
    bench.once(f"{data.name}-{seed}-recipe", lambda: recipe(report, pd.read_parquet(run / "records.parquet")))


def recipe(report, records):
    """Of the records accused in at least half of the played targets that were trained on them: in
    how many of the others they are accused, and how many of them in half of those, too."""
    found = {}
    for attack in report["attacks"]["attacks"]:
        name = attack["method"].replace("-", "_")
        if not attack["leave_one_out"]["scored"]:
            continue
        units = records.drop_duplicates("unit")
        inside = units[f"found_{name}"] / units["played_in_targets"] >= 0.5
        outside = (units[f"wrongly_accused_{name}"] / units["played_out_targets"])[inside]
        if attack["found_by_recipe"] not in (None, int(inside.sum())):
            print(f"{name}: {attack['found_by_recipe']} found by the report, {inside.sum()} by its records", flush=True)
        found[attack["method"]] = {"found": int(inside.sum()), "both": int((outside >= 0.5).sum()),
                                   "outside": float(outside.mean()) if len(outside) else None}
    return {"methods": found}


def default(bench, data, seed):
    """The default attacks, on more played targets than all attacks get."""
    run = bench.run(f"{data.name}-{seed}")
    words = [data.name, *data.drawn, *data.tested, "--seed", seed, "--run", run,
             "--attacks", ",".join(DEFAULT_METHODS)]
    bench.once(f"{data.name}-{seed}-few", lambda: bench.audit(*words))


def gamma(bench, data, seed):
    """RMIA at γ = 1 in place of 2, where BASE 1 ranks alike."""
    run = bench.run(f"{data.name}-{seed}")
    words = [data.name, *data.drawn, *data.tested, "--seed", seed, "--run", run,
             "--attacks", ",".join(GAMMA_METHODS), "--gamma", 1]
    bench.once(f"{data.name}-{seed}-gamma", lambda: bench.audit(*words))


def players(bench, data, seed):
    """The references of the audit, and models that are attacked."""
    sides(bench, data, seed)
    source = bench.run(f"{data.name}-{seed}")
    words = [data.name, *data.drawn, "--seed", seed]
    more = bench.nested(words, REFERENCES + data.players, source, f"{data.name}-{seed}-more")
    if not (more / "complete").exists():
        bench.call("reference", more, "--quiet")
        shutil.copyfile(source / "records.parquet", more / "records.parquet")
        (more / "complete").touch()
    return Evidence(more)


def targets_of(data, evidence, first):
    """The target of the run, and the models from the first on that are attacked beside it."""
    numbers = list(range(first, first + data.players))
    members = evidence.membership(numbers)
    return [(evidence.outputs(["target"])[0], evidence.target_members()),
            *((evidence.outputs([number])[0], row) for number, row in zip(numbers, members))]


def models(bench, data, seed):
    """By the number of reference models: attacks on the same targets, and the audit's headline."""
    def attack(count):
        evidence = players(bench, data, seed)
        numbers = list(range(count))
        return attacked(bench, evidence.outputs(numbers), evidence.membership(numbers), evidence.labels,
                        targets_of(data, evidence, REFERENCES), MODEL_METHODS, f"{data.name} {seed} models {count}")

    def headline(count):
        sides(bench, data, seed)
        words = [data.name, *data.drawn, "--seed", seed]
        run = bench.nested(words, count, bench.run(f"{data.name}-{seed}"), f"{data.name}-{seed}-{count}")
        return bench.audit(*words, *data.tested, "--models", count, "--run", run, "--attacks", "none")

    for count in COUNTS:
        bench.once(f"{data.name}-{seed}-models-{count}", partial(attack, count))
    for count in AUDIT_COUNTS:
        bench.once(f"{data.name}-{seed}-headline-{count}", partial(headline, count))


def given(bench, data, name, evidence, rows):
    """Files of a target trained elsewhere: its records, outputs and members."""
    files = {what: bench.out / "files" / f"{name}-{what}" for what in ["records.parquet", "outputs.npy", "members.npy"]}
    pd.read_parquet(DATASETS / data.file).iloc[rows].to_parquet(files["records.parquet"], index=False)
    np.save(files["outputs.npy"], np.load(evidence.run / "signals" / "target.npy")[:, 0, :])
    np.save(files["members.npy"], evidence.records["member"].to_numpy().astype(bool))
    return [files["records.parquet"], "--label", data.label, "--target-outputs", files["outputs.npy"],
            "--members", files["members.npy"]]


def verdicts(report):
    """What an audit says of its set-up, its target and its headline."""
    return {
        "checks": {check["name"]: [check["status"], check["finding"]] for check in report["checks"]},
        "accuracy": [report["target"]["accuracy"], report["reference"]["train_accuracy"]["mean"],
                     report["reference"]["test_accuracy"]["mean"]],
        "given_away": report["verdict"]["given_away"], "wrong": report["verdict"]["wrong"],
        "selected": report["test"]["selected"], "notes": report["notes"],
    }


def outside(bench, data, seed, name, evidence, rows, first, options, methods, refer):
    """A target from elsewhere, audited with options of one's own; then the same reference models
    against the other targets."""
    run = bench.run(name)
    words = given(bench, data, name, evidence, rows)
    # The attacks come below, on more targets.
    report = bench.audit(*words, *options, "--models", data.few, "--seed", seed, "--run", run, "--attacks", "none")
    audited = Evidence(run)
    if not np.array_equal(audited.first, evidence.first):
        sys.exit(f"{name}: other units than {evidence.run}")
    numbers = list(range(data.few))
    membership = audited.membership(numbers) if refer else np.zeros((data.few, len(evidence.first)), bool)
    result = attacked(bench, audited.outputs(numbers), membership, evidence.labels, targets_of(data, evidence, first),
                      methods, name)
    shutil.rmtree(run)
    return {**result, **verdicts(report)}


def kind_name(data, seed, title):
    return f"{data.name}-{seed}-kind-{title.replace(', ', '-').replace(' ', '-')}"


def kind(bench, data, seed):
    """Reference models of another kind than the target."""
    def make(name, options):
        evidence = players(bench, data, seed)
        rows = evidence.records["id"].astype(int).to_numpy()
        return outside(bench, data, seed, name, evidence, rows, REFERENCES, options, KIND_METHODS, True)

    for title, options in KINDS.items():
        name = kind_name(data, seed, title)
        bench.once(name, partial(make, name, options))


def reference_data(bench, data, seed):
    """Reference data that the target was not trained on, of several sizes."""
    whole = pd.read_parquet(DATASETS / data.file)

    def audited():
        """The targets, the number of their first, and the rows of the file that they are asked about."""
        if data.name == "adult":
            evidence = players(bench, data, seed)
            return evidence, REFERENCES, evidence.records["id"].astype(int).to_numpy()
        # The whole file is the pool: one half of it is audited instead, the other is reference data.
        rows = np.sort(np.random.default_rng(seed).permutation(len(whole))[: len(whole) // 2 + 1])
        file = bench.out / "files" / f"{data.name}-{seed}-half.parquet"
        whole.iloc[rows].to_parquet(file, index=False)
        run = bench.run(f"{data.name}-{seed}-half")
        bench.call("audit", file, "--label", data.label, "--models", 2 * data.few + data.players, "--seed", seed,
                   "--run", run, "--attacks", "none", "--quiet")
        return Evidence(run), 2 * data.few, rows

    def owner():
        evidence, first, _ = audited()
        numbers = list(range(2 * data.few))
        return attacked(bench, evidence.outputs(numbers), evidence.membership(numbers), evidence.labels,
                        targets_of(data, evidence, first), DATA_METHODS, f"{data.name} {seed} owner")

    def auditor(name, size, design):
        evidence, first, rows = audited()
        others = np.setdiff1d(np.arange(len(whole)), rows)
        others = np.random.default_rng([seed, 1]).permutation(others)[:size]
        file = bench.out / "files" / f"{name}-reference.parquet"
        whole.iloc[np.sort(others)].to_parquet(file, index=False)
        options = ["--reference", file, "--design", design, "--unknown-categories", "ignore"]
        return outside(bench, data, seed, name, evidence, rows, first, options, DATA_METHODS, False)

    bench.once(f"{data.name}-{seed}-data-owner", owner)
    for size in data.references:
        for design in ["bootstrap", "subsample"]:
            name = f"{data.name}-{seed}-data-{size}-{design}"
            bench.once(name, partial(unless_refused, partial(auditor, name, size, design)))


def unless_refused(make):
    """With few reference records hardly any is OUT for any model, and an audit may find none to select."""
    try:
        return make()
    except RefusedError as error:
        return {"refused": str(error)}


def tables(bench, seeds):
    """Markdown of what is there."""
    lines = []
    for data in SETS:
        lines += [f"## {data.title}", ""]
        for part in [table_sides, table_few, table_gamma, table_models, table_headline, table_kind, table_data]:
            lines += part(bench, data, seeds)
    return "\n".join(lines)


FIGURES = {"auc": ("AUC", 3), "tpr@0.01": ("TPR at FPR 1 %", 4), "tpr@0.001": ("TPR at FPR 0.1 %", 4)}


def results(bench, name, seeds):
    """What is there of a result for each seed."""
    paths = [bench.out / "results" / f"{name.format(seed=seed)}.json" for seed in seeds]
    there = [json.loads(path.read_text()) for path in paths if path.exists()]
    return [result for result in there if "refused" not in result]


def number(value, digits=3):
    return "n/a" if value is None else f"{value:.{digits}f}"


def mean(values):
    kept = [value for value in values if value is not None]
    return float(np.mean(kept)) if kept else None


def ranged(values, digits=3):
    """Mean, lowest and highest over seeds."""
    kept = [value for value in values if value is not None]
    if not kept:
        return "n/a"
    return f"{number(mean(kept), digits)} ({number(min(kept), digits)}–{number(max(kept), digits)})"


def hull(estimates, digits=3):
    """Mean over seeds; the lowest lower and the highest upper end of their intervals."""
    kept = [one for one in estimates if one["value"] is not None]
    if not kept:
        return "n/a"
    value = number(mean([one["value"] for one in kept]), digits)
    ends = [[one[end] for one in kept if one[end] is not None] for end in ("lower", "upper")]
    if not all(ends):
        return value
    return f"{value} [{number(min(ends[0]), digits)}–{number(max(ends[1]), digits)}]"


def rows(header, body):
    return [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}", *(f"| {' | '.join(row)} |" for row in body), ""]


def of(section, method):
    return next(attack for attack in section["attacks"] if attack["method"] == method)


def at(quality, rate):
    """TPR at this FPR."""
    return next(one["true_positive_rate"] for one in quality["ranking"]["at_rates"]
                if one["false_positive_rate"] == rate)


def played(reports, methods):
    """How well attacks rank on reference models in the target's place."""
    body = []
    for method in methods:
        loo = [of(report["attacks"], method)["leave_one_out"] for report in reports]
        if loo[0]["scored"] > 0:
            body.append([method, hull([q["ranking"]["auc"] for q in loo]), hull([at(q, 0.01) for q in loo], 4),
                         hull([at(q, 0.001) for q in loo], 4)])
    return rows(["attack", "AUC", "TPR at FPR 1 %", "TPR at FPR 0.1 %"], body)


def table_sides(bench, data, seeds):
    reports = results(bench, f"{data.name}-{{seed}}-all", seeds)
    if not reports:
        return []
    recipes = results(bench, f"{data.name}-{{seed}}-recipe", seeds)
    methods = [attack["method"] for attack in reports[0]["attacks"]["attacks"]]
    targets = sorted({report["attacks"]["played_targets"] for report in reports})
    found = [f"### All attacks, on the recipe ({len(reports)} seeds, {targets} played targets each)", "",
             *played(reports, methods)]
    body = []
    for method in methods:
        ours = [of(report["attacks"], method) for report in reports]
        target = [attack["on_target"] for attack in ours]
        carried = [next(c for c in attack["carried"] if c["aimed_at"] == 0.01) for attack in ours if attack["carried"]]
        stable = [attack["stability"]["jaccard"] for attack in ours if attack["stability"]]
        found_by_recipe = [recipes[i]["methods"].get(method) if i < len(recipes) else None for i in range(len(ours))]
        body.append([
            method, hull([q["ranking"]["auc"] for q in target]), ranged([at(q, 0.01)["value"] for q in target], 4),
            ranged([at(q, 0.001)["value"] for q in target], 4),
            ranged([c["true_positive_rate"]["value"] for c in carried], 4),
            ranged([c["false_positive_rate"]["value"] for c in carried], 4),
            number(mean(stable), 2) if stable else "n/a",
            ", ".join("n/a" if one is None else f"{one['found']} ({one['both']})" for one in found_by_recipe)])
    found += ["### All attacks, on the target", "",
              *rows(["attack", "AUC", "TPR at 1 %", "TPR at 0.1 %", "carried 1 %: TPR", "carried 1 %: FPR", "Jaccard",
                     "found by recipe (also when OUT)"], body)]
    every = [attack["stability"] for report in reports for attack in report["attacks"]["attacks"]]
    subsets = {(some["subsets"], some["models"]) for some in every if some}
    checks = [[check["name"], check["status"], check["finding"]] for report in reports for check in report["checks"]]
    found += [f"Stability over (sets, models each): {sorted(subsets)}", "",
              *(f"- {' · '.join(check)}" for check in checks if check[1] != "passed"), ""]
    pairs = [("gmia-direct", "reference"), ("gmia-direct", "lira-offline"), ("gmia-direct", "lira-online"),
             ("lira-online", "bavaria-t-online"), ("lira-online", "rmia-online"), ("rmia-online", "base1-online"),
             ("loss", "lira-online")]
    body = []
    for first, second in pairs:
        both = [entry for report in reports for entry in report["attacks"]["agreement"]
                if {entry["first"], entry["second"]} == {first, second}]
        body.append([first, second, ranged([e["spearman"] for e in both], 2), ranged([e["jaccard"] for e in both], 2)])
    tails = [report["attacks"]["tail"] for report in reports]
    tail = [f"ε = {figures[0]['epsilon']}: {', '.join(number(t['share']['value'], 4) for t in figures)}"
            for figures in zip(*tails)]
    found += ["### Agreement on the target", "", *rows(["", "", "Spearman", "Jaccard"], body),
              f"The tail, by seed: {'; '.join(tail)}.", ""]
    accuracy = {f"{who}, {which}": ranged([value(report) for report in reports]) for who, which, value in [
        ("target", "train", lambda r: r["target"]["accuracy"]["train"]),
        ("target", "test", lambda r: r["target"]["accuracy"]["test"]),
        ("references", "train", lambda r: r["reference"]["train_accuracy"]["mean"]),
        ("references", "test", lambda r: r["reference"]["test_accuracy"]["mean"])]}
    return [*found, "Accuracy: " + "; ".join(f"{of} {value}" for of, value in accuracy.items()) + ".", ""]


def table_few(bench, data, seeds):
    reports = results(bench, f"{data.name}-{{seed}}-few", seeds)
    if not reports:
        return []
    targets = sorted({report["attacks"]["played_targets"] for report in reports})
    return [f"### The default attacks ({len(reports)} seeds, {targets} played targets each)", "",
            *played(reports, DEFAULT_METHODS)]


def table_gamma(bench, data, seeds):
    reports = results(bench, f"{data.name}-{{seed}}-gamma", seeds)
    if not reports:
        return []
    targets = sorted({report["attacks"]["played_targets"] for report in reports})
    return [f"### γ = 1 ({len(reports)} seeds, {targets} played targets each)", "", *played(reports, GAMMA_METHODS)]


def table_models(bench, data, seeds):
    found = []
    by_count = {count: results(bench, f"{data.name}-{{seed}}-models-{count}", seeds) for count in COUNTS}
    by_count = {count: some for count, some in by_count.items() if some}
    if not by_count:
        return []
    for figure, (title, digits) in FIGURES.items():
        body = [[method, *(ranged([one["methods"][method][figure] for one in some], digits)
                           for some in by_count.values())] for method in MODEL_METHODS]
        if figure == "tpr@0.01":
            for what, title_of in [("accused@0.01", "direct, p < .01: FPR"), ("found@0.01", "direct, p < .01: TPR")]:
                body.append([title_of, *(ranged([one[what] for one in some], 4) for some in by_count.values())])
        found += [f"### {title} by k ({[len(some) for some in by_count.values()]} seeds)", "",
                  *rows(["attack", *map(str, by_count)], body)]
    return found


def table_headline(bench, data, seeds):
    body = []
    for count in [*AUDIT_COUNTS, REFERENCES]:
        name = f"{data.name}-{{seed}}-all" if count == REFERENCES else f"{data.name}-{{seed}}-headline-{count}"
        reports = results(bench, name, seeds)
        if not reports:
            continue
        def decisions(report, where):
            entry = next(e for e in report[where] if e["selection"] == "influence" and e["null"] == "t")
            return next(d for d in entry["decisions"] if d["decision"] == {"level": 0.01})
        loo = [decisions(report, "leave_one_out") for report in reports]
        own = [decisions(report, "on_target") for report in reports]
        body.append([
            str(count), str(reports[0]["test"]["models_out"][0]), str(reports[0]["test"]["selected"]),
            hull([d["precision"] for d in loo]), hull([d["true_positive_rate"] for d in loo]),
            hull([d["false_positive_rate"] for d in loo], 4),
            ", ".join(f"{d['accusations'] - d['wrong']} of {d['accusations']}" for d in own),
            ", ".join(f"{r['verdict']['given_away']} ({r['verdict']['wrong']})" for r in reports),
            ", ".join(str(r["verdict"]["given_away_by_recipe"]) for r in reports)])
    if not body:
        return []
    return ["### Headline by k", "",
            *rows(["k", "k_out", "selected", "precision", "recall", "FPR", "target: right of accused at p < .01",
                   "given away (wrong)", "given away by recipe"], body)]


def short(some):
    """What the check of fit says for each seed: distance of the target's p-values from uniform, and
    the largest of the reference models in its place."""
    found = []
    for one in some:
        status, finding = one["checks"]["fit of the references to the target"]
        figures = re.search(r"distance ([0-9.]+), reference models up to ([0-9.]+)|"
                            r"are ([0-9.]+) away from uniform.*those of reference models at most ([0-9.]+)", finding)
        found.append(f"{status} ({', '.join(filter(None, figures.groups()))})" if figures else f"{status}: {finding}")
    return "; ".join(found)


def grid(settings, methods):
    """Figures by setting."""
    found = []
    for figure, (name, digits) in FIGURES.items():
        body = [[title, *(ranged([one["methods"][m][figure] for one in some], digits) for m in methods)]
                for title, some in settings]
        found += [f"#### {name}", "", *rows(["", *methods], body)]
    body = [[title, ranged([one["accused@0.01"] for one in some], 4), ranged([one["accused@0.05"] for one in some], 4),
             ranged([one["found@0.01"] for one in some], 4),
             ranged([one["accuracy"][1] for one in some if "accuracy" in one]),
             ranged([one["accuracy"][2] for one in some if "accuracy" in one]),
             ", ".join(f"{one['given_away']} ({one['wrong']}) of {one['selected']}" for one in some if "checks" in one),
             short([one for one in some if "checks" in one])]
            for title, some in settings]
    found += rows(["", "non-members at p < .01", "at p < .05", "members at p < .01", "train accuracy", "test accuracy",
                   "given away (wrong) of selected", "check of fit (target, references)"], body)
    return found


def table_kind(bench, data, seeds):
    settings = [(title, results(bench, kind_name(data, "{seed}", title), seeds)) for title in KINDS]
    settings = [(title, some) for title, some in settings if some]
    if not settings:
        return []
    return [f"### References of another kind ({[len(some) for _, some in settings]} seeds)", "",
            *grid(settings, KIND_METHODS)]


def table_data(bench, data, seeds):
    names = [("owner", "owner"), *((f"{size} {design}", f"{size}-{design}") for design in ["bootstrap", "subsample"]
                                   for size in data.references)]
    settings = [(title, results(bench, f"{data.name}-{{seed}}-data-{name}", seeds)) for title, name in names]
    settings = [(title, some) for title, some in settings if some]
    if not settings:
        return []
    return [f"### Reference data ({[len(some) for _, some in settings]} seeds)", "", *grid(settings, DATA_METHODS)]


PARTS = {"sides": sides, "default": default, "gamma": gamma, "models": models, "kind": kind, "data": reference_data}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="giveaway")
    parser.add_argument("--out", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, in their order; empty: only the tables")
    parser.add_argument("--data", default=",".join(data.name for data in SETS))
    parser.add_argument("--seeds", default="1,2,3")
    arguments = parser.parse_args()
    bench = Bench(arguments)
    wanted = [data for data in SETS if data.name in arguments.data.split(",")]
    for part in filter(None, arguments.only.split(",")):
        for data in wanted:
            for seed in map(int, arguments.seeds.split(",")):
                PARTS[part](bench, data, seed)
                write(bench, arguments.seeds)
    write(bench, arguments.seeds)


def write(bench, seeds):
    (bench.out / "tables.md").write_text(tables(bench, [int(seed) for seed in seeds.split(",")]))


if __name__ == "__main__":
    main()
