#!/usr/bin/env python3
"""Serves a scikit-learn model with the real MLServer, on this machine, to be audited.

Trains a random forest on half of a table's records and writes into FOLDER

    outputs.npy   its predict_proba on every record, in the order of the file (float32)
    members.npy   which records it was trained on (bool)
    counted.txt   a line "RECORDS TOTAL" for every request that was predicted

and then serves it on 127.0.0.1 until stopped. The counts are appended before a request is
answered and survive a kill; the total goes on when the server is started again with
--serve-only.

    python serve.py datasets/adult.parquet /tmp/served --label income
    giveaway audit datasets/adult.parquet --label income ... with, in giveaway.toml,
        [target.http]
        url = "http://127.0.0.1:18080"
        model = "audited"
    python serve.py datasets/adult.parquet /tmp/served --serve-only      # after a kill
    python serve.py datasets/adult.parquet /tmp/served --total           # what was counted

The model takes the columns as they are (texts through a one-hot encoding inside a pipeline).
With --features ARRAY.npy it is trained on these numbers instead, one row for each record, and
takes one tensor (form = "encoded").

Measured with Python 3.11, mlserver and mlserver-sklearn 1.7.1, scikit-learn 1.9.1, pandas 3.1.
"""

import argparse
import json
import os
import pathlib
import sys

RUNTIME = '''\
"""MLServer's runtime for scikit-learn, which counts the records that it predicts."""

import os

from mlserver_sklearn import SKLearnModel

FILE = os.environ["COUNTED"]


def total():
    """What was counted so far; a line that a kill cut short does not count."""
    try:
        with open(FILE) as file:
            whole = [line for line in file if line.endswith("\\n")]
    except FileNotFoundError:
        return 0
    return int(whole[-1].split()[1]) if whole else 0


class Counting(SKLearnModel):
    async def load(self):
        self.total = total()
        self.file = os.open(FILE, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
        return await super().load()

    async def predict(self, payload):
        response = await super().predict(payload)
        records = payload.inputs[0].shape[0]
        self.total += records
        # One write: a line is there whole or not at all.
        os.write(self.file, f"{records} {self.total}\\n".encode())
        return response
'''


def train(arguments, folder):
    import joblib
    import numpy
    import pandas
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder

    table = pandas.read_parquet(arguments.data)
    if arguments.records:
        table = table.head(arguments.records)
    labels = table.pop(arguments.label).to_numpy()
    forest = RandomForestClassifier(
        arguments.trees, random_state=arguments.seed, n_jobs=-1, min_samples_leaf=1
    )
    if arguments.features:
        inputs = numpy.load(arguments.features)
        model = forest
    else:
        inputs = table
        texts = [c for c in table if not pandas.api.types.is_numeric_dtype(table[c])]
        encoder = OneHotEncoder(handle_unknown="ignore")
        columns = ColumnTransformer([("texts", encoder, texts)], remainder="passthrough")
        model = Pipeline([("columns", columns), ("forest", forest)])
    members = numpy.zeros(len(table), bool)
    chosen = numpy.random.default_rng(arguments.seed).permutation(len(table))
    members[chosen[: len(table) // 2]] = True
    rows = inputs[members] if arguments.features else inputs.loc[members]
    model.fit(rows, labels[members])
    outputs = model.predict_proba(inputs).astype(numpy.float32)
    numpy.save(folder / "outputs.npy", outputs)
    numpy.save(folder / "members.npy", members)
    # One core is left to the audit.
    forest.n_jobs = 1
    (folder / "model").mkdir(exist_ok=True)
    joblib.dump(model, folder / "model/model.joblib")
    right = model.classes_[outputs.argmax(1)] == labels
    print(
        f"{len(table)} records, classes {list(model.classes_)}; accuracy"
        f" {right[members].mean():.4f} on members, {right[~members].mean():.4f} on others",
        file=sys.stderr,
    )


def serve(arguments, folder):
    (folder / "counting_runtime.py").write_text(RUNTIME)
    settings = {
        "host": "127.0.0.1",
        "http_port": arguments.port,
        "grpc_port": arguments.port + 1,
        "metrics_endpoint": None,
        # One process: its count is the whole count.
        "parallel_workers": 0,
        "debug": False,
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    model = {
        "name": "audited",
        "implementation": "counting_runtime.Counting",
        "parameters": {"uri": "./model.joblib"},
    }
    (folder / "model/model-settings.json").write_text(json.dumps(model))
    os.environ["COUNTED"] = str(folder / "counted.txt")
    path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(folder) + (os.pathsep + path if path else "")
    mlserver = pathlib.Path(sys.executable).with_name("mlserver")
    os.chdir(folder)
    # In this process's place, so that killing it kills the server.
    os.execv(mlserver, [str(mlserver), "start", str(folder)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="a Parquet file")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--label", default="income")
    parser.add_argument("--features", help="encoded features, an NPY file of records × features")
    parser.add_argument("--records", type=int, help="the first so many only")
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--port", type=int, default=18080)
    parser.add_argument("--train-only", action="store_true")
    parser.add_argument("--serve-only", action="store_true")
    parser.add_argument("--total", action="store_true", help="print what was counted")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    if arguments.total:
        lines = (folder / "counted.txt").read_text().splitlines(keepends=True)
        print(sum(int(line.split()[0]) for line in lines if line.endswith("\n")))
        return
    folder.mkdir(parents=True, exist_ok=True)
    if not arguments.serve_only:
        (folder / "counted.txt").unlink(missing_ok=True)
        train(arguments, folder)
    if not arguments.train_only:
        serve(arguments, folder)


if __name__ == "__main__":
    main()
