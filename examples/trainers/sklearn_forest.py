"""A scikit-learn random forest as a trainer of giveaway: see docs/command-trainer.md.

    giveaway audit adult.csv --trainer 'python sklearn_forest.py'

Reads the original columns. With --model it saves the forest, and without --train it answers
with a saved one. Needs scikit-learn, pandas and pyarrow.
"""

import argparse
import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder


def train(path, trees, seed):
    """Trains on a file whose last column is the class; returns the pipeline and all classes."""
    records = pd.read_parquet(path)
    features, labels = records.iloc[:, :-1], records.iloc[:, -1]
    encoder = make_column_transformer(
        (SimpleImputer(), make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    )
    forest = RandomForestClassifier(n_estimators=trees, random_state=seed, n_jobs=1)
    model = make_pipeline(encoder, forest).fit(features, labels)
    # A class may be missing among the records, and has probability 0 then.
    classes = json.loads((Path(path).parent / "classes.json").read_text())
    return model, classes


def predict(model, classes, path):
    """Probabilities of the records of a file, in its order, for all classes in theirs."""
    probabilities = model.predict_proba(pd.read_parquet(path))
    columns = [classes.index(name) for name in model.classes_]
    all_classes = np.zeros((len(probabilities), len(classes)), dtype=np.float32)
    all_classes[:, columns] = probabilities
    return all_classes


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train")
    parser.add_argument("--predict", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", required=True)
    parser.add_argument("--validation", help="not used: a forest does not stop early")
    parser.add_argument("--model")
    parser.add_argument("--trees", type=int, default=100)
    arguments = parser.parse_args()

    if arguments.train:
        model, classes = train(arguments.train, arguments.trees, arguments.seed)
        if arguments.model:
            Path(arguments.model).write_bytes(pickle.dumps((model, classes)))
    else:
        model, classes = pickle.loads(Path(arguments.model).read_bytes())
    np.save(arguments.output, predict(model, classes, arguments.predict))


if __name__ == "__main__":
    main()
