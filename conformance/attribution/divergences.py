"""Writes divergences.txt: pairs of distributions and how far apart scipy finds them.

    python divergences.py

Read by crates/giveaway/src/explain/divergence.rs. Each line is p; q; and then KL(p||q),
Jensen and Shannon's divergence (scipy's distance squared), Hellinger's and the Euclidean
distance, and the largest absolute log ratio with probabilities of at least 1e-6.
"""

from pathlib import Path

import numpy as np
import scipy
from scipy.spatial.distance import euclidean, jensenshannon
from scipy.stats import entropy


def hellinger(p, q):
    return euclidean(np.sqrt(p), np.sqrt(q)) / np.sqrt(2)


def line(p, q):
    shares = [x / x.sum() for x in (p, q)]
    logs = [np.log(np.maximum(x, 1e-6)) for x in shares]
    values = [
        entropy(p, q),
        jensenshannon(p, q) ** 2,
        hellinger(*shares),
        euclidean(*shares),
        np.abs(logs[0] - logs[1]).max(),
    ]
    return "; ".join(" ".join(repr(float(x)) for x in part) for part in (p, q, values))


rng = np.random.default_rng(7)
pairs = [
    (np.array([0.5, 0.5]), np.array([0.5, 0.5])),
    (np.array([1.0, 0.0]), np.array([0.5, 0.5])),
    (np.array([0.5, 0.5]), np.array([1.0, 0.0])),
    (np.array([0.3, 0.0, 0.7]), np.array([0.6, 0.0, 0.4])),
]
for classes in (2, 3, 10, 30):
    for sharpness in (0.01, 0.3, 1.0, 4.0, 12.0):
        for _ in range(2):
            logits = sharpness * rng.normal(size=(2, classes))
            pairs.append(tuple(np.exp(logits - logits.max(axis=1, keepdims=True))))
header = f"# divergences.py with numpy {np.__version__}, scipy {scipy.__version__}\n"
lines = "".join(line(p, q) + "\n" for p, q in pairs)
(Path(__file__).parent / "divergences.txt").write_text(header + lines, encoding="utf-8")
