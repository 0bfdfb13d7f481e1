"""Reference values for crates/trees: scikit-learn's trees, boosting and bins on made-up records.

Run with scikit-learn 1.9.1:  python generate.py > values.txt

Every line is a name and numbers. Features are multiples of 1/4, so they are the same in float32
and float64, and so are the thresholds half-way between them.
"""

import numpy as np
import sklearn
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.ensemble._hist_gradient_boosting.binning import _BinMapper
from sklearn.tree import DecisionTreeClassifier


def line(name, values):
    print(name, *(f"{value:.12g}" for value in np.asarray(values, dtype=np.float64).ravel()))


def records(seed, count, levels, classes):
    """Features of few levels and labels that depend on them, with noise."""
    random = np.random.default_rng(seed)
    features = np.stack([random.integers(0, n, count) for n in levels], axis=1) / 4
    slopes = random.normal(size=(len(levels), classes))
    scores = (features - features.mean(0)) / (features.std(0) + 1e-9) @ slopes
    scores += 0.6 * features[:, :1] * features[:, 1:2] + random.gumbel(size=(count, classes))
    return features, scores.argmax(axis=1)


def data(name, seed, train, test, levels, classes):
    features, labels = records(seed, train + test, levels, classes)
    line(f"{name}.shape", [train, test, len(levels), classes])
    line(f"{name}.features", features)
    line(f"{name}.labels", labels)
    # different for every record, so that no two splits are worth the same
    weights = np.random.default_rng(seed + 1).uniform(0.5, 1.5, train).astype(np.float32)
    line(f"{name}.weights", weights)
    return features[:train], labels[:train], features[train:], weights


print(f"scikit-learn {sklearn.__version__.replace('.', ' ')}")

# levels: a record between the levels that a node has seen may go either way, so only training
# records are compared; two: features of two levels, where nothing is in between
LEVELS = data("levels", 1, 300, 0, [9, 12, 2, 3, 20, 5], 3)
TWO = data("two", 3, 300, 200, [2] * 10, 3)
PAIR = data("pair", 5, 400, 0, [8, 15, 2, 2, 30], 2)
PAIR_TWO = data("pair-two", 7, 400, 200, [2] * 10, 2)

TREES = [
    ("full", {}),
    ("shallow", {"max_depth": 4}),
    ("entropy", {"max_depth": 5, "criterion": "entropy"}),
    ("leaves", {"min_samples_leaf": 7}),
    ("splits", {"min_samples_split": 40, "criterion": "entropy"}),
]
for name, (train, labels, test, weights) in [
    ("levels", LEVELS),
    ("two", TWO),
    ("pair", PAIR),
    ("pair-two", PAIR_TWO),
]:
    for setting, parameters in TREES:
        tree = DecisionTreeClassifier(random_state=0, **parameters)
        tree.fit(train, labels, sample_weight=weights)
        line(f"tree.{name}.{setting}.train", tree.predict_proba(train))
        # deep down two features may part a node's records alike and others not; which of the
        # two a tree asks for is then random
        if len(test) and setting in ("shallow", "leaves"):
            line(f"tree.{name}.{setting}.test", tree.predict_proba(test))

BOOSTING = [
    ("default", {}, False),
    ("weighted", {}, True),
    ("small", {"max_leaf_nodes": 6, "learning_rate": 0.3, "l2_regularization": 2.0}, False),
    ("deep", {"max_leaf_nodes": None, "max_depth": 3, "min_samples_leaf": 5}, True),
]
ROUNDS = [1, 5, 20]
for name, (train, labels, test, weights) in [
    ("levels", LEVELS),
    ("two", TWO),
    ("pair", PAIR),
    ("pair-two", PAIR_TWO),
]:
    for setting, parameters, weighted in BOOSTING:
        model = HistGradientBoostingClassifier(
            max_iter=max(ROUNDS), early_stopping=False, **parameters
        )
        model.fit(train, labels, sample_weight=weights if weighted else None)
        for rounds, scores in enumerate(model.staged_decision_function(train), start=1):
            if rounds in ROUNDS:
                line(f"boosting.{name}.{setting}.{rounds}.train", scores)
        if len(test) and setting == "small":
            line(f"boosting.{name}.{setting}.test", model.decision_function(test))

values = np.random.default_rng(9).normal(size=1000).astype(np.float32)
line("bins.values", values)
mapper = _BinMapper(n_bins=256, random_state=0).fit(values[:, None].astype(np.float64))
line("bins.thresholds", mapper.bin_thresholds_[0])
