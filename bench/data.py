"""Writes the data of the workloads: X.npy, y.npy, Xtest.npy, ytest.npy in FOLDER/W1 and so on,
and halves.npy, the records that each model is trained on, whichever way trains it.

    python data.py FOLDER

Made up, from fixed seeds, and so hard that about nine of ten held-out records are
classified correctly: a way that trains badly shows.
"""

import sys
from pathlib import Path

import numpy as np

from workloads import Workload, workloads

HALVES = 64  # further models begin anew with the first


def table(workload: Workload, rng: np.random.Generator, records: int):
    """Each class is four clouds; one record in twenty has a random label."""
    clouds = 4
    centres = rng.normal(size=(workload.classes, clouds, workload.inputs))
    labels = rng.integers(workload.classes, size=records)
    features = rng.normal(size=(records, workload.inputs))
    features += 0.3 * centres[labels, rng.integers(clouds, size=records)]
    random = rng.random(records) < 0.05
    labels[random] = rng.integers(workload.classes, size=random.sum())
    return features, labels


def binary(workload: Workload, rng: np.random.Generator, records: int):
    """Each class has its own probability of every feature."""
    log_odds = rng.normal(-1.5, 1.0, size=workload.inputs)
    log_odds = log_odds + 0.68 * rng.normal(size=(workload.classes, workload.inputs))
    labels = rng.integers(workload.classes, size=records)
    probabilities = 1 / (1 + np.exp(-log_odds))
    return rng.random((records, workload.inputs)) < probabilities[labels], labels


def images(workload: Workload, rng: np.random.Generator, records: int):
    """Each class is a blurred pattern, shifted by up to four pixels, under noise."""
    side, shift = workload.image.side, 4
    wide = side + 2 * shift
    patterns = rng.normal(size=(workload.classes, wide, wide))
    for axis in (1, 2):
        for _ in range(4):
            patterns = (np.roll(patterns, 1, axis) + 2 * patterns + np.roll(patterns, -1, axis)) / 4
    patterns /= patterns.std()
    labels = rng.integers(workload.classes, size=records)
    shifts = rng.integers(2 * shift + 1, size=(records, 2))
    features = np.empty((records, side, side))
    for record, (label, (down, right)) in enumerate(zip(labels, shifts)):
        features[record] = patterns[label, down : down + side, right : right + side]
    features += 2.8 * rng.normal(size=features.shape)
    return features.reshape(records, -1), labels


def main(folder: Path) -> None:
    generators = {"W1": table, "W2": binary, "W3": images}
    for seed, (name, workload) in enumerate(workloads().items()):
        rng = np.random.default_rng(seed)
        features, labels = generators[name](workload, rng, workload.records + workload.held_out)
        features, labels = features.astype(np.float32), labels.astype(np.int64)
        target = folder / name
        target.mkdir(parents=True, exist_ok=True)
        cut = workload.records
        np.save(target / "X.npy", features[:cut])
        np.save(target / "y.npy", labels[:cut])
        np.save(target / "Xtest.npy", features[cut:])
        np.save(target / "ytest.npy", labels[cut:])
        halves = [rng.permutation(cut)[: workload.rows] for _ in range(HALVES)]
        np.save(target / "halves.npy", np.stack(halves).astype(np.int32))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
