"""A LightGBM model as a trainer of giveaway: see docs/command-trainer.md.

    giveaway audit adult.csv --trainer 'python lightgbm_model.py'

Reads the original columns; texts become LightGBM's own categories. Stops early where giveaway
sets records aside for that. Needs lightgbm, pandas and pyarrow.
"""

import argparse
import json
import pickle
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd


def read(path, categories):
    """The columns of a file, texts as codes; what was not seen in training is missing."""
    records = pd.read_parquet(path)
    for name, known in categories.items():
        values = records[name].where(records[name].isin(known))
        records[name] = pd.Categorical(values, categories=known)
    return records


def train(arguments):
    records = pd.read_parquet(arguments.train)
    label = records.columns[-1]
    is_text = [name for name in records.columns[:-1] if not pd.api.types.is_numeric_dtype(records[name])]
    categories = {name: sorted(records[name].dropna().unique()) for name in is_text}
    classes = json.loads((Path(arguments.train).parent / "classes.json").read_text())

    # Deterministic for a seed: one thread, and histograms always built row by row.
    model = lightgbm.LGBMClassifier(
        n_estimators=arguments.rounds,
        random_state=arguments.seed,
        deterministic=True,
        force_row_wise=True,
        n_jobs=1,
        verbosity=-1,
    )
    watched, callbacks = None, None
    if arguments.validation:
        validation = read(arguments.validation, categories)
        watched = [(validation.drop(columns=label), validation[label])]
        callbacks = [lightgbm.early_stopping(10, verbose=False)]
    records = read(arguments.train, categories)
    model.fit(records.drop(columns=label), records[label], eval_set=watched, callbacks=callbacks)
    return model, categories, classes


def predict(model, categories, classes, path):
    """Probabilities of the records of a file, in its order, for all classes in theirs."""
    probabilities = model.predict_proba(read(path, categories))
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
    parser.add_argument("--validation")
    parser.add_argument("--model")
    parser.add_argument("--rounds", type=int, default=100)
    arguments = parser.parse_args()

    if arguments.train:
        learnt = train(arguments)
        if arguments.model:
            Path(arguments.model).write_bytes(pickle.dumps(learnt))
    else:
        learnt = pickle.loads(Path(arguments.model).read_bytes())
    np.save(arguments.output, predict(*learnt, arguments.predict))


if __name__ == "__main__":
    main()
