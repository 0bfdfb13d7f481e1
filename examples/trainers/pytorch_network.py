"""A PyTorch network as a trainer of giveaway: see docs/command-trainer.md.

    giveaway audit adult.csv --trainer 'python pytorch_network.py'   (with records = "encoded")

Reads encoded records: float32 columns f0, f1, … Heeds the column giveaway_weight where it is
there. Needs torch, numpy, pandas and pyarrow.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch


def network(features, classes):
    return torch.nn.Sequential(
        torch.nn.Linear(features, 64), torch.nn.ReLU(), torch.nn.Linear(64, classes)
    )


def inputs(records):
    """The encoded features of records."""
    names = [name for name in records.columns if name.startswith("f") and name[1:].isdigit()]
    return torch.tensor(records[names].to_numpy(np.float32))


def train(arguments):
    records = pd.read_parquet(arguments.train)
    classes = json.loads((Path(arguments.train).parent / "classes.json").read_text())
    place = {name: index for index, name in enumerate(classes)}
    features = inputs(records)
    labels = torch.tensor([place[name] for name in records.iloc[:, -1]])
    if "giveaway_weight" in records:
        weights = torch.tensor(records["giveaway_weight"].to_numpy(np.float32))
    else:
        weights = torch.ones(len(records))

    torch.manual_seed(arguments.seed)
    model = network(features.shape[1], len(classes))
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(arguments.epochs):
        for batch in torch.randperm(len(features)).split(64):
            losses = torch.nn.functional.cross_entropy(
                model(features[batch]), labels[batch], reduction="none"
            )
            optimiser.zero_grad()
            (losses * weights[batch]).mean().backward()
            optimiser.step()
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train")
    parser.add_argument("--predict", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", required=True)
    parser.add_argument("--validation", help="not used: a fixed number of epochs")
    parser.add_argument("--model")
    parser.add_argument("--epochs", type=int, default=10)
    arguments = parser.parse_args()

    # One thread: sums in one order, and the other models have the other cores.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    features = inputs(pd.read_parquet(arguments.predict))
    if arguments.train:
        model = train(arguments)
        if arguments.model:
            torch.save(model.state_dict(), arguments.model)
    else:
        weights = torch.load(arguments.model, weights_only=True)
        model = network(features.shape[1], len(weights["2.bias"]))
        model.load_state_dict(weights)
    model.eval()
    with torch.no_grad():
        probabilities = torch.softmax(model(features).double(), dim=1)
    np.save(arguments.output, probabilities.numpy())


if __name__ == "__main__":
    main()
