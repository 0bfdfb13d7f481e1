"""A random forest of scikit-learn and a LightGBM model, audited with models that the command trains.

    cargo build --release
    python3 command_trainers.py --giveaway ../../target/release/giveaway \
        --out ../results/command_trainers.json [--records 10000] [--models 64] [--only forest]
    python3 command_trainers.py --tables ../results/command_trainers.json

Does what a user would: draws a sample of Adult, trains a model on half of it with
examples/trainers/*.py (seed 1000, which no reference model has), writes its outputs and the
list of its training records, and runs

    giveaway audit sample.parquet --label income --target-outputs outputs.csv \
        --members members.npy --trainer 'python examples/trainers/NAME.py' --models 64

Then it measures what a call costs beside training: the same program that ends after its imports
(start-up), and the whole call by its parts, alone on the machine. Needs Python with numpy,
pandas, pyarrow, scikit-learn and lightgbm; that Python runs the trainers too.
"""

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import pty
import re
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TRAINERS = {
    "lightgbm": ("LightGBM's LGBMClassifier, 100 rounds", "lightgbm_model.py"),
    "forest": ("scikit-learn's RandomForestClassifier, 100 trees", "sklearn_forest.py"),
}
TARGET_SEED = 1000
DECISION = ["decision", "accusations", "wrong", "true_positive_rate", "false_positive_rate"]
# What the audit sets for its calls, so that calls made by hand cost the same.
ONE_THREAD = {
    name: "1"
    for name in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"]
}


def timed(line, **options):
    """Wall time and the children's processor time of a command that must succeed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    done = subprocess.run(line, capture_output=True, text=True, **options)
    wall = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{shlex.join(map(str, line))} ended with {done.returncode}\n{done.stderr}")
    processor = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return wall, processor, done


def with_terminal(line):
    """Like timed, with standard error at a terminal: there, giveaway shows its notes. Returns
    wall time, processor time, standard output and what the terminal saw."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    terminal, end = pty.openpty()
    begun = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=output, stderr=end)
        os.close(end)
        seen = b""
        # Reading from a terminal that nobody has open any more is an error.
        with contextlib.suppress(OSError):
            while block := os.read(terminal, 65536):
                seen += block
        code = process.wait()
        wall = time.perf_counter() - begun
        output.seek(0)
        text = output.read()
    os.close(terminal)
    if code:
        sys.exit(f"{shlex.join(map(str, line))} ended with {code}\n{seen[-3000:].decode()}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return wall, processor, text, seen.decode(errors="replace")


def sample(folder, records):
    """Writes the sample, and the training and prediction files of a model of half of it."""
    import numpy
    import pandas

    table = pandas.read_parquet(ROOT / "datasets/adult.parquet")
    random = numpy.random.default_rng(0)
    table = table.iloc[numpy.sort(random.choice(len(table), records, replace=False))]
    table = table.reset_index(drop=True)
    members = numpy.zeros(records, bool)
    members[random.choice(records, records // 2, replace=False)] = True
    table.to_parquet(folder / "sample.parquet")
    numpy.save(folder / "members.npy", members)
    table[members].to_parquet(folder / "train.parquet", index=False)
    table.drop(columns="income").to_parquet(folder / "predict.parquet", index=False)
    (folder / "classes.json").write_text(json.dumps(sorted(table["income"].unique())))


def own_target(folder, program, outputs):
    """The user's model: one call of the program, and its outputs as a CSV with named columns."""
    import numpy
    import pandas

    line = [sys.executable, program, "--train", folder / "train.parquet", "--predict"]
    line += [folder / "predict.parquet", "--seed", str(TARGET_SEED), "--output", folder / "out.npy"]
    timed(line, env=os.environ | ONE_THREAD)
    classes = json.loads((folder / "classes.json").read_text())
    pandas.DataFrame(numpy.load(folder / "out.npy"), columns=classes).to_csv(outputs, index=False)


def start_up(program, turns=7):
    """Seconds until the program's imports are done and it has ended, the median of some turns."""
    line = [sys.executable, program, "--help"]
    walls, processors = [], []
    for _ in range(turns):
        wall, processor, _ = timed(line, env=os.environ | ONE_THREAD)
        walls.append(wall)
        processors.append(processor)
    return {"wall_s": statistics.median(walls), "processor_s": statistics.median(processors)}


def one_call(folder, program, turns=5):
    """Seconds of a whole call on the target's half, alone on the machine."""
    line = [sys.executable, program, "--train", folder / "train.parquet", "--predict"]
    line += [folder / "predict.parquet", "--seed", "1", "--output", folder / "again.npy"]
    calls = [timed(line, env=os.environ | ONE_THREAD)[:2] for _ in range(turns)]
    return {
        "wall_s": statistics.median(wall for wall, _ in calls),
        "processor_s": statistics.median(processor for _, processor in calls),
    }


def versions():
    """What this was measured with."""
    packages = ["scikit-learn", "lightgbm", "pandas", "pyarrow", "numpy"]
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages},
    }


def audit(arguments, folder, name):
    what, file = TRAINERS[name]
    program = ROOT / "examples/trainers" / file
    outputs = folder / f"{name}.csv"
    own_target(folder, program, outputs)
    started = start_up(program)
    call = one_call(folder, program)
    run = folder / f"run-{name}"
    line = [arguments.giveaway.resolve(), "audit", folder / "sample.parquet", "--label", "income"]
    line += ["--target-outputs", outputs, "--members", folder / "members.npy", "--trainer"]
    line += [shlex.join([sys.executable, str(program)]), "--models", str(arguments.models)]
    line += ["--run", run]
    print(shlex.join(map(str, line)), file=sys.stderr)
    wall, processor, text, seen = with_terminal(line)
    (folder / f"{name}.txt").write_text(text)
    report = json.loads((run / "report.json").read_text())
    # The note of the audit: how long all calls took together, and how long training took.
    note = re.search(r"the command worked ([\d.]+) s in all, over ([\d.]+) s", seen)
    if not note:
        sys.exit(f"the audit does not say how long the command worked:\n{seen[-3000:]}")
    in_calls, training = map(float, note.groups())
    return {
        "what": what,
        "wall_s": wall,
        "processor_s": processor,
        "training_wall_s": training,
        "in_calls_s": in_calls,
        "start_up": started,
        "call_alone": call,
        "result": result(report),
    }


def result(report):
    """What the audit found, of its report."""

    def of_attack(outcome):
        rates = outcome["ranking"]["at_rates"]
        at = {rate["false_positive_rate"]: rate["true_positive_rate"] for rate in rates}
        return {"auc": outcome["ranking"]["auc"], "tpr_at_0.01": at[0.01]}

    return {
        "accuracy_of_target": report["target"]["accuracy"],
        "accuracy_of_references": {
            part: report["reference"][f"{part}_accuracy"] for part in ["train", "test"]
        },
        "channel": report["target"]["channel"],
        "tested": report["test"]["tested"],
        "null": report["test"]["null"],
        "verdict": report["verdict"],
        # Of p < 0.01 and the like, on all records and on the selected ones.
        "on_target": [
            {
                "selection": evaluation["selection"],
                "tested": evaluation["tested"],
                "auc": evaluation["ranking"]["auc"],
                "decisions": [
                    {name: decision[name] for name in DECISION} for decision in evaluation["decisions"]
                ],
            }
            for evaluation in report["on_target"]
            if evaluation["selection"] in ("all", "influence")
            and evaluation["null"] == report["test"]["null"]
        ],
        "attacks": {
            attack["method"]: {
                "on_target": of_attack(attack["on_target"]),
                "on_references": of_attack(attack["leave_one_out"]),
            }
            for attack in report["attacks"]["attacks"]
        },
        "checks": report["checks"],
    }


def shares(outcome, models):
    """Start-up and all that the calls do, as parts of the audit's processor time."""
    whole = outcome["processor_s"]
    return {
        "start_up_of_a_call": outcome["start_up"]["processor_s"] / outcome["call_alone"]["processor_s"],
        "start_up_of_the_audit": models * outcome["start_up"]["processor_s"] / whole,
        "calls_of_the_audit": models * outcome["call_alone"]["processor_s"] / whole,
    }


def print_tables(results):
    models = results["models"]
    print(
        f"{results['records']:,} records of Adult, {models} reference models,"
        f" {results['cores']} cores; {results['versions']}"
    )
    for name, outcome in results["trainers"].items():
        found = outcome["result"]
        print(f"{name}: {outcome['what']}")
        for what in ["wall_s", "processor_s", "training_wall_s", "in_calls_s"]:
            print(f"  {what} {outcome[what]:.1f}")
        print(f"  start_up {outcome['start_up']}, call alone {outcome['call_alone']}")
        print("  " + ", ".join(f"{k} {v:.0%}" for k, v in shares(outcome, models).items()))
        print(f"  {found['verdict']['headline']}")
        print(f"  accuracy {found['accuracy_of_target']}, {found['accuracy_of_references']}")
        for method, figures in found["attacks"].items():
            here = figures["on_target"]
            print(f"  {method}: AUC {here['auc']['value']:.3f}, TPR@1% {here['tpr_at_0.01']['value']}")
        print("  " + "; ".join(f"{check['name']} {check['status']}" for check in found["checks"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--giveaway", type=Path, default=ROOT / "target/release/giveaway")
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--models", type=int, default=64)
    parser.add_argument("--only", choices=TRAINERS)
    parser.add_argument("--folder", type=Path, help="keep all files there")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--tables", type=Path, help="print the tables of such a file")
    arguments = parser.parse_args()
    if arguments.tables:
        print_tables(json.loads(arguments.tables.read_text()))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = (arguments.folder or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        sample(folder, arguments.records)
        results = {
            "records": arguments.records,
            "models": arguments.models,
            "cores": os.cpu_count(),
            "versions": versions(),
            "trainers": {},
        }
        for name in TRAINERS:
            if arguments.only in (None, name):
                results["trainers"][name] = audit(arguments, folder, name)
                # After each, since each takes minutes.
                if arguments.out:
                    arguments.out.write_text(json.dumps(results, indent=1) + "\n")
    print_tables(results)


if __name__ == "__main__":
    main()
