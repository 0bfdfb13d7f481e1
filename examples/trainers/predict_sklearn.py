"""A model that sklearn_forest.py or you saved, as a target of giveaway: see docs/command-trainer.md.

    giveaway audit adult.csv --target-command 'python predict_sklearn.py model.pickle'

Reads the original columns and writes probabilities, or with --labels only the class of each
record. The file holds the pipeline that sklearn_forest.py saved, or any classifier of
scikit-learn that takes a data frame. Unpickle only what you trust.
"""

import argparse
import pickle
from pathlib import Path

import pandas as pd


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("saved", type=Path)
    parser.add_argument("--predict", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--labels", action="store_true")
    arguments = parser.parse_args()

    model = pickle.loads(arguments.saved.read_bytes())
    if isinstance(model, tuple):
        model, _ = model
    records = pd.read_parquet(arguments.predict)
    if arguments.labels:
        answers = pd.DataFrame({"class": model.predict(records)})
    else:
        answers = pd.DataFrame(model.predict_proba(records), columns=[str(c) for c in model.classes_])
    if arguments.output.endswith(".parquet"):
        answers.to_parquet(arguments.output, index=False)
    else:
        answers.to_csv(arguments.output, index=False)


if __name__ == "__main__":
    main()
