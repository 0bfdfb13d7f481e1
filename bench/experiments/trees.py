"""Our forests and boosted trees beside scikit-learn's: test accuracy and time per model.

    cargo build --release -p giveaway-trees --example time_trees
    python3 trees.py --binary ../../target/release/examples/time_trees --data DATA \
        --out ../results/trees.json [--only adult,breast-cancer] [--quick] [--part accuracy,speed]
    python3 trees.py --tables ../results/trees.json

DATA has adult.parquet, breast_cancer_wdbc.parquet and location30.parquet (a column `label`, and
features). Text columns become one-hot columns, here and not in the models, so that both see the
same float32 numbers. Every model has its defaults: 100 trees or rounds; no early stopping.

Accuracy: random halves, one learnt from and the other asked, the same for both; the mean difference
and its standard error over the halves. Speed: both take turns, and a figure is the median of its
turns; on one thread the turns are those of the accuracy, on two they have one half. Wall time and the processor's time (on a shared machine the second is steadier). Needs
numpy, pandas, pyarrow and scikit-learn.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FILES = {"adult": "adult", "breast-cancer": "breast_cancer_wdbc", "location-30": "location30"}
KINDS = ["forest", "boosting"]
# scikit-learn takes longest for boosting on Location-30, 3,000 trees
SPLITS = {("location-30", "forest"): 30, ("location-30", "boosting"): 3, ("breast-cancer", "forest"): 20, ("breast-cancer", "boosting"): 20}
TURNS = {("location-30", "boosting"): 2, ("breast-cancer", "forest"): 5, ("breast-cancer", "boosting"): 5}


def load(folder, name):
    import numpy
    import pandas

    table = pandas.read_parquet(folder / f"{FILES[name]}.parquet")
    labels = pandas.factorize(table.pop("label"), sort=True)[0]
    table = table.drop(columns="split", errors="ignore")
    numbers = table.select_dtypes("number")
    words = table.drop(columns=numbers.columns)
    features = [numbers.to_numpy(numpy.float32)]
    if words.shape[1]:
        features.append(pandas.get_dummies(words).to_numpy(numpy.float32))
    return numpy.ascontiguousarray(numpy.hstack(features)), labels


def halves(features, labels, seed):
    import numpy

    order = numpy.random.default_rng(seed).permutation(len(labels))
    train, test = order[: len(order) // 2], order[len(order) // 2 :]
    return features[train], labels[train], features[test], labels[test]


def write(folder, train, labels, test, classes):
    shape = [len(train), len(test), train.shape[1], classes]
    (folder / "shape.txt").write_text(" ".join(map(str, shape)))
    train.astype("<f4").tofile(folder / "train.f32")
    labels.astype("<u4").tofile(folder / "train.u32")
    test.astype("<f4").tofile(folder / "test.f32")


def ours(binary, folder, kind, threads, repetitions, seed):
    command = [binary, folder, kind, threads, repetitions, seed]
    done = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def theirs_here(folder, kind, threads, seed):
    """One training by scikit-learn in this process, which was started with so many threads."""
    import numpy
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

    records, queries, width, _ = map(int, (folder / "shape.txt").read_text().split())
    train = numpy.fromfile(folder / "train.f32", "<f4").reshape(records, width)
    labels = numpy.fromfile(folder / "train.u32", "<u4").astype(int)
    test = numpy.fromfile(folder / "test.f32", "<f4").reshape(queries, width)
    if kind == "forest":
        model = RandomForestClassifier(n_jobs=threads, random_state=seed)
    else:
        model = HistGradientBoostingClassifier(early_stopping=False, random_state=seed)
    # what the first training imports and starts is not the model's
    warm_up = slice(0, min(200, records))
    type(model)(**model.get_params()).fit(train[warm_up, :5], labels[warm_up] % 2)
    wall, processor = time.perf_counter(), time.process_time()
    model.fit(train, labels)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    start = time.perf_counter()
    probabilities = model.predict_proba(test)
    answering = time.perf_counter() - start
    answers = model.classes_[probabilities.argmax(axis=1)]
    return {"training": wall, "processor": processor, "answering": answering}, answers


def theirs(folder, kind, threads, seed):
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS="1")
    command = [sys.executable, __file__, "--inside", folder, kind, threads, seed]
    done = subprocess.run(
        [str(part) for part in command], check=True, capture_output=True, text=True, env=environment
    )
    return json.loads(done.stdout)


def my_turn(binary, folder, kind, threads, repetitions, seed):
    mine = ours(binary, folder, kind, threads, repetitions, seed)
    # scikit-learn bins within every training of boosted trees
    binning = mine["binning"] if kind == "boosting" else 0.0
    return {
        "training": statistics.median(mine["training"]) + binning,
        "processor": statistics.median(mine["processor"]) + binning,
        "answering": statistics.median(mine["answering"]),
    }


def summary(got, threads):
    median = {
        who: {key: statistics.median(turn[key] for turn in runs) for key in runs[0]}
        for who, runs in got.items()
    }
    # of each turn, since the machine is not as fast in all of them
    pairs = list(zip(got["ours"], got["theirs"]))
    ratios = {
        key: statistics.median(b[key] / a[key] for a, b in pairs if a[key])
        for key in ["training", "processor", "answering"]
    }
    return {"turns": len(pairs), "threads": threads, **median, "ratios": ratios, "each": got}


def accuracy(arguments, name, kind):
    """Accuracy over the splits, and the times that they took on one thread."""
    import numpy

    features, labels = load(arguments.data, name)
    classes = int(labels.max()) + 1
    splits = 2 if arguments.quick else SPLITS.get((name, kind), 5)
    got = {"ours": [], "theirs": []}
    times = {"ours": [], "theirs": []}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for split in range(splits):
            train, known, test, wanted = halves(features, labels, split)
            write(folder, train, known, test, classes)
            times["ours"].append(my_turn(arguments.binary, folder, kind, 1, 1, split))
            answers = numpy.fromfile(folder / f"{kind}.f32", "<f4").reshape(len(test), classes)
            got["ours"].append(float((answers.argmax(axis=1) == wanted).mean()))
            taken, answers = theirs_here(folder, kind, 1, split)
            times["theirs"].append(taken)
            got["theirs"].append(float((answers == wanted).mean()))
    differences = [a - b for a, b in zip(got["ours"], got["theirs"])]
    row = {
        "splits": splits,
        "ours": statistics.mean(got["ours"]),
        "theirs": statistics.mean(got["theirs"]),
        "difference": statistics.mean(differences),
        "standard_error": statistics.stdev(differences) / len(differences) ** 0.5,
        "each": got,
    }
    return row, summary(times, 1)


def speed(arguments, name, kind, threads):
    features, labels = load(arguments.data, name)
    turns = 2 if arguments.quick else TURNS.get((name, kind), 3)
    got = {"ours": [], "theirs": []}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        train, known, test, _ = halves(features, labels, 0)
        write(folder, train, known, test, int(labels.max()) + 1)
        for turn in range(turns):
            got["ours"].append(my_turn(arguments.binary, folder, kind, threads, 3, turn))
            got["theirs"].append(theirs(folder, kind, threads, turn))
    return summary(got, threads)


def tables(results):
    print("| data | kind | halves | ours | scikit-learn | difference | standard error |")
    print("|---|---|---|---|---|---|---|")
    for key, row in results["accuracy"].items():
        name, kind = key.split("/")
        print(
            f"| {name} | {kind} | {row['splits']} | {row['ours'] * 100:.2f} | {row['theirs'] * 100:.2f} "
            f"| {row['difference'] * 100:+.2f} | {row['standard_error'] * 100:.2f} |"
        )
    print()
    print(
        "| data | kind | threads | ours, s | scikit-learn, s | ratio | of processor time | ratio, answering |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for key, row in results["speed"].items():
        name, kind, threads = key.split("/")
        print(
            f"| {name} | {kind} | {threads} | {row['ours']['training']:.3g} | {row['theirs']['training']:.3g} "
            f"| {row['ratios']['training']:.1f} | {row['ratios']['processor']:.1f} | {row['ratios']['answering']:.1f} |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", default=",".join(FILES))
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--part", default="accuracy,speed")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--tables", type=Path)
    parser.add_argument("--inside", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        folder, kind, threads, seed = arguments.inside
        print(json.dumps(theirs_here(Path(folder), kind, int(threads), int(seed))[0]))
        return None
    if arguments.tables:
        return tables(json.loads(arguments.tables.read_text()))
    results = {"accuracy": {}, "speed": {}}
    if arguments.out.exists():
        results = json.loads(arguments.out.read_text())
    # before anything starts threads
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    import sklearn

    results["machine"] = {"cores": os.cpu_count(), "system": platform.platform()}
    results["scikit-learn"] = sklearn.__version__

    def keep(part, key, row):
        results[part][key] = row
        arguments.out.write_text(json.dumps(results, indent=1) + "\n")
        print(part, key, {k: v for k, v in row.items() if k != "each"}, flush=True)

    for name in arguments.only.split(","):
        for kind in arguments.kinds.split(","):
            if "accuracy" in arguments.part:
                row, times = accuracy(arguments, name, kind)
                keep("accuracy", f"{name}/{kind}", row)
                keep("speed", f"{name}/{kind}/1", times)
            if "speed" in arguments.part:
                keep("speed", f"{name}/{kind}/2", speed(arguments, name, kind, 2))


if __name__ == "__main__":
    main()
