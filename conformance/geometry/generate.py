"""Reference values for `explain/geometry`, written to values.txt beside this script.

    python3 generate.py

Two inputs, made from shipped data by the test as well (`reference.rs`): Breast Cancer, all columns
standardised; and the first 1,200 records of Adult, its six numeric columns standardised, with up
to 0.05 added to each number (`uniform`), because equally near neighbours would be a matter of taste.
Both are rounded to float32.

A line is a name and numbers. Per-record values are those of every third record of Breast Cancer
and of every tenth of Adult, beginning with the first, or where the line's name says so of all.
"""

import pathlib

import numpy
import pandas
import scipy
import sklearn
from scipy.stats import spearmanr
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.manifold import TSNE, trustworthiness
from sklearn.metrics import silhouette_samples
from sklearn.metrics.pairwise import cosine_distances
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

HERE = pathlib.Path(__file__).parent
DATASETS = HERE.parent.parent / "datasets"
K = 10
FORESTS = 30
OUT = []


def uniform(row, column):
    """24 bits of splitmix64 of the place, in [0, 1)."""
    with numpy.errstate(over="ignore"):
        z = (row * numpy.uint64(16) + numpy.uint64(column + 1)) * numpy.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        z = z ^ (z >> numpy.uint64(31))
    return (z >> numpy.uint64(40)).astype(numpy.float64) / 2.0**24


def standardised(values):
    return (values - values.mean(axis=0)) / values.std(axis=0)


def write(name, values):
    numbers = " ".join(f"{value:.9g}" for value in numpy.ravel(values))
    OUT.append(f"{name}: {numbers}")


def breast_cancer():
    table = pandas.read_parquet(DATASETS / "breast_cancer.parquet")
    labels = numpy.unique(table.pop("diagnosis"), return_inverse=True)[1]
    return standardised(table.to_numpy(numpy.float64)).astype(numpy.float32), labels


def adult():
    table = pandas.read_parquet(DATASETS / "adult.parquet")[:1200]
    labels = numpy.unique(table.pop("income"), return_inverse=True)[1]
    values = table.select_dtypes("number").to_numpy(numpy.float64)
    assert values.shape == (1200, 6), values.shape
    rows = numpy.arange(len(values), dtype=numpy.uint64)
    added = numpy.stack([uniform(rows, column) for column in range(6)], axis=1)
    return (standardised(values) + 0.05 * added).astype(numpy.float32), labels


def neighbours(name, vectors, labels, step):
    write(f"{name} silhouette", silhouette_samples(vectors, labels)[::step])
    nearest = NearestNeighbors(n_neighbors=K).fit(vectors)
    distances, indices = nearest.kneighbors()
    write(f"{name} nearest", indices[::step, 0])
    write(f"{name} farthest of {K}", distances[::step, -1])
    write(f"{name} agreement", (labels[indices] == labels[:, None]).mean(axis=1)[::step])
    own, other = numpy.zeros(len(labels)), numpy.zeros(len(labels))
    for label in range(labels.max() + 1):
        mine = labels == label
        inside = NearestNeighbors(n_neighbors=K).fit(vectors[mine])
        own[mine] = inside.kneighbors()[0].mean(axis=1)
        other[~mine] = inside.kneighbors(vectors[~mine])[0].mean(axis=1)
    write(f"{name} own to other", (own / other)[::step])
    factor = LocalOutlierFactor(n_neighbors=K).fit(vectors).negative_outlier_factor_
    write(f"{name} outlier factor", -factor[::step])
    # neighbours among every second record: the others as scikit-learn's novelties
    novelty = LocalOutlierFactor(n_neighbors=K, novelty=True).fit(vectors[::2])
    factor = numpy.zeros(len(vectors))
    factor[::2] = -novelty.negative_outlier_factor_
    factor[1::2] = -novelty.score_samples(vectors[1::2])
    write(f"{name} outlier factor among half", factor[::step])


def centroids(name, vectors, labels, step):
    vectors = vectors.astype(numpy.float64)
    means = numpy.stack([vectors[labels == label].mean(axis=0) for label in range(labels.max() + 1)])
    fitted = LedoitWolf(assume_centered=True).fit(vectors - means[labels])
    write(f"{name} shrinkage", [fitted.shrinkage_])
    away = vectors[:, None, :] - means[None]
    euclidean = numpy.sqrt((away**2).sum(axis=2))
    mahalanobis = numpy.sqrt(numpy.einsum("nci,ij,ncj->nc", away, fitted.precision_, away))
    for kind, distances in [
        ("euclidean", euclidean),
        ("cosine", cosine_distances(vectors, means)),
        ("mahalanobis", mahalanobis),
    ]:
        rows = numpy.arange(len(labels))
        write(f"{name} {kind} own", distances[rows, labels][::step])
        distances = distances.copy()
        distances[rows, labels] = numpy.inf
        write(f"{name} {kind} other", distances.min(axis=1)[::step])


def forest(name, vectors, step):
    scores = numpy.stack(
        [-IsolationForest(random_state=seed).fit(vectors).score_samples(vectors) for seed in range(FORESTS)]
    )
    write(f"{name} forest mean", scores.mean(axis=0)[::step])
    write(f"{name} forest deviation", scores.std(axis=0, ddof=1)[::step])
    write(f"{name} forest mean by seed", scores.mean(axis=1))
    centre = scores.mean(axis=0)
    write(f"{name} forest spearman by seed", [spearmanr(row, centre).statistic for row in scores])


def projection(name, vectors, step):
    fitted = PCA(n_components=3, svd_solver="full").fit(vectors.astype(numpy.float64))
    write(f"{name} components", fitted.components_)
    write(f"{name} explained", fitted.explained_variance_ratio_)
    write(f"{name} coordinates", fitted.transform(vectors.astype(numpy.float64))[::step])


def embedding(name, vectors):
    """Of every third record, so that the test is quick. The descent is chaotic, hence several starts."""
    vectors = vectors[::3]
    made = TSNE(method="exact", init="pca", perplexity=30, random_state=0)
    points = made.fit_transform(vectors)
    write(f"{name} embedding of all of every third", points)
    write(f"{name} divergence", [made.kl_divergence_])
    start = PCA(n_components=2, svd_solver="full").fit_transform(vectors)
    start *= 1e-4 / start[:, 0].std()
    ends = []
    for seed in range(12):
        noise = numpy.random.default_rng(seed).normal(size=start.shape)
        moved = (start * (1 + 1e-3 * noise)).astype(numpy.float32)
        ends.append(TSNE(method="exact", init=moved, perplexity=30).fit(vectors).kl_divergence_)
    write(f"{name} divergence by start", ends)
    write(f"{name} trustworthiness of 5 and 12", [trustworthiness(vectors, points, n_neighbors=k) for k in (5, 12)])


OUT.append(
    f"# numpy {numpy.__version__}, scipy {scipy.__version__}, scikit-learn {sklearn.__version__}"
)
for name, (vectors, labels), step in [
    ("breast-cancer", breast_cancer(), 3),
    ("adult", adult(), 10),
]:
    neighbours(name, vectors, labels, step)
    centroids(name, vectors, labels, step)
    forest(name, vectors, step)
    projection(name, vectors, step)
    embedding(name, vectors)
(HERE / "values.txt").write_text("\n".join(OUT) + "\n")
