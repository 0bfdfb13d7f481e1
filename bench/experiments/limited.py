"""Targets that show little: how often non-members are called members, interface by interface.

    cargo build --release
    python3 limited.py --giveaway ../../target/release/giveaway --data ../../../shared/data \
        --out ../results/limited.json [--models 64] [--only adult]
    python3 limited.py --tables ../results/limited.json

Trains a target with scikit-learn on half of the records, writes what it answers through each
interface, and audits that file with `giveaway audit --target-outputs`, which finds out the
interface by itself. The rates are those of the report: every reference model in the target's
place, through the same interface, on all its non-members; `--null` is left to giveaway, and
tried as `t` for comparison. Needs Python with numpy, pandas and scikit-learn.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
LEVELS = [0.01, 0.05]


def rounded(decimals):
    return lambda p: np.round(p, decimals)


def cut(decimals):
    scale = 10**decimals
    return lambda p: np.floor(p * scale * (1 + 1e-9)) / scale


def largest(count, renormalised):
    def show(p):
        shown = np.where(np.argsort(np.argsort(-p, axis=1, kind="stable")) < count, p, 0.0)
        return shown / shown.sum(axis=1, keepdims=True) if renormalised else shown

    return show


def labels(p):
    return np.eye(p.shape[1])[p.argmax(axis=1)]


INTERFACES = {
    "everything": lambda p: p,
    "3 decimals": rounded(3),
    "2 decimals": rounded(2),
    "1 decimal": rounded(1),
    "2 decimals, cut": cut(2),
    "labels": labels,
}
OF_MANY_CLASSES = {
    "3 largest": largest(3, False),
    "3 largest, of their sum": largest(3, True),
}

# name: (file, label, records, trainer of the references)
SUBJECTS = {
    "adult": ("adult.parquet", "label", 5000, "network"),
    "adult-forest": ("adult.parquet", "label", 3000, "forest"),
    "breast-cancer-forest": ("breast_cancer_wdbc.parquet", "label", None, "forest"),
    "location-30": ("location30.parquet", "label", None, "network"),
}


def target_of(trainer, table, label, members, seed):
    """Probabilities of a model trained on the members, classes in their order."""
    import pandas
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.preprocessing import StandardScaler

    features = pandas.get_dummies(table.drop(columns=label)).to_numpy(np.float32)
    classes = table[label].astype(str).to_numpy()
    if trainer == "forest":
        model = RandomForestClassifier(100, random_state=seed, n_jobs=2)
    else:
        features = StandardScaler().fit_transform(features)
        model = MLPClassifier((64, 32), max_iter=20, random_state=seed)
    model.fit(features[members], classes[members])
    return model.predict_proba(features), list(model.classes_)


def audit(arguments, folder, name, options):
    run = folder / name
    line = [arguments.giveaway, "audit", folder / "data.parquet", "--models", arguments.models]
    line += ["--members", folder / "members.npy", "--run", run, "--quiet", *options]
    done = subprocess.run([str(word) for word in line], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name} ended with {done.returncode}\n{done.stderr}")
    return json.loads((run / "report.json").read_text())


def rates(report, null):
    """By selection (all, or the one of the run) and level: rate and interval."""
    found = {}
    for selection in ["all", report["test"]["selection"]]:
        evaluation = next(
            e
            for e in report["leave_one_out"]
            if e["selection"] == selection and e["null"] == null
        )
        for decision in evaluation["decisions"]:
            level = decision["decision"].get("level") if isinstance(decision["decision"], dict) else None
            if level in LEVELS:
                key = f"{'all' if selection == 'all' else 'selected'} {level}"
                found[key] = decision["false_positive_rate"]
    return found


def measure(arguments, name):
    import pandas

    file, label, records, trainer = SUBJECTS[name]
    # a data set may come with a split of its own, which says nothing of a person
    table = pandas.read_parquet(arguments.data / file).drop(columns="split", errors="ignore")
    if records:
        table = table.sample(records, random_state=0).reset_index(drop=True)
    members = np.zeros(len(table), bool)
    members[np.random.default_rng(1).permutation(len(table))[: len(table) // 2]] = True
    probabilities, classes = target_of(trainer, table, label, members, 2)
    interfaces = dict(INTERFACES)
    if len(classes) > 3:
        interfaces |= OF_MANY_CLASSES
    outcome = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        table.to_parquet(folder / "data.parquet", index=False)
        np.save(folder / "members.npy", members)
        for interface, show in interfaces.items():
            shown = pandas.DataFrame(show(probabilities), columns=classes)
            outputs = folder / "outputs.parquet"
            shown.to_parquet(outputs, index=False)
            options = ["--label", label, "--target-outputs", outputs, "--trainer", trainer]
            if trainer == "network":
                options += ["--hidden", "64,32"]
            begun = time.monotonic()
            report = audit(arguments, folder, interface.replace(" ", "-"), options)
            used = report["test"]["null"]
            outcome[interface] = {
                "channel": report["target"]["channel"],
                "null": used,
                "rates": rates(report, used),
                "rates_t": rates(report, "t"),
                "by_ranks": [note for note in report["notes"] if "rank" in note],
                "seconds": round(time.monotonic() - begun, 1),
            }
            print(name, interface, json.dumps(outcome[interface]), flush=True)
    return outcome


def number(rate):
    value = rate["value"]
    interval = f" [{rate['lower']:.4f}, {rate['upper']:.4f}]" if rate["lower"] is not None else ""
    bold = "**" if rate["lower"] is not None and rate["lower"] > rate["level"] else ""
    return f"{bold}{value:.4f}{interval}{bold}"


def tables(results):
    print("| target | shows | null | all, .01 | all, .05 | selected, .01 | selected, .05 |")
    print("|---|---|---|---|---|---|---|")
    for name, outcome in results.items():
        for interface, found in outcome.items():
            cells = [
                number(found["rates"][f"{of} {level}"] | {"level": level})
                for of in ["all", "selected"]
                for level in LEVELS
            ]
            print(f"| {name} | {interface} | {found['null']} | {' | '.join(cells)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--giveaway", type=Path, default=ROOT / "target/release/giveaway")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--models", type=int, default=64)
    parser.add_argument("--only", choices=SUBJECTS)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--tables", type=Path)
    arguments = parser.parse_args()
    if arguments.tables:
        tables(json.loads(arguments.tables.read_text()))
        return
    if not arguments.data:
        parser.error("--data is the folder with the Parquet files")
    results = {name: measure(arguments, name) for name in SUBJECTS if arguments.only in (None, name)}
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=1) + "\n")
    tables(results)


if __name__ == "__main__":
    main()
