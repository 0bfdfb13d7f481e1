"""Reference values for indirect inference, written beside this script.

    python3 generate.py

cases.json: signals of a record's queries on reference models, and what follows from them by
numpy and scipy alone: the p-value of each query (scipy.stats.t.sf, or ranks), Fisher's
combination (scipy.stats.combine_pvalues), Kost's (Brown's scaled chi-square with the cubic of
Kost and McDermott 2002, by numpy.corrcoef and scipy.stats.chi2), and the rank of Fisher's
statistic among those of the OUT models, each tested against the others and the target. P-values
are raised to a floor before their logarithm: 1/(k+1)^2 for t, 1/(k+1) for ranks.
"""

import json
import pathlib

import numpy
import scipy
import scipy.stats

HERE = pathlib.Path(__file__).parent
rng = numpy.random.default_rng(20261123)


def p_value(null, out, observed):
    """One query: larger is more member-like."""
    k = len(out)
    if null == "ecdf" or numpy.ptp(out) == 0:
        return (1 + numpy.sum(out >= observed)) / (k + 1)
    scale = numpy.std(out, ddof=1) * numpy.sqrt(1 + 1 / k)
    return scipy.stats.t.sf((observed - numpy.mean(out)) / scale, k - 1)


def floor(null, k):
    return (k + 1.0) ** (-2 if null == "t" else -1)


def statistic(p, least):
    return -2 * numpy.sum(numpy.log(numpy.maximum(p, least)))


def kost(p, out, least):
    """p of the queries, out [models, queries]."""
    m = len(p)
    rho = numpy.atleast_2d(numpy.corrcoef(out, rowvar=False))[numpy.triu_indices(m, 1)]
    variance = 4 * m + 2 * numpy.sum(3.263 * rho + 0.710 * rho**2 + 0.027 * rho**3)
    scale, freedom = variance / (4 * m), 8 * m * m / variance
    if freedom > 2 * m:
        scale, freedom = 1.0, 2.0 * m
    return scipy.stats.chi2.sf(statistic(p, least) / scale, freedom)


def empirical(null, out, target):
    pool = numpy.vstack([out, target])
    least = floor(null, len(out))
    psi = []
    for i in range(len(pool)):
        others = numpy.delete(pool, i, axis=0)
        p = [p_value(null, others[:, j], pool[i, j]) for j in range(pool.shape[1])]
        psi.append(statistic(p, least))
    psi = numpy.array(psi)
    return numpy.sum(psi >= psi[-1] - 1e-9 * abs(psi[-1])) / len(pool)


def case(null, models, queries, correlation, budgets, shift, constants=()):
    tails = rng.choice([-1, 1], size=queries)
    inside = numpy.arange(models) % 2 == 1
    rng.shuffle(inside)
    shared = rng.normal(size=(models + 1, 1))
    own = rng.normal(size=(models + 1, queries))
    u = numpy.sqrt(correlation) * shared + numpy.sqrt(1 - correlation) * own
    u = 3 * u + rng.normal(size=queries) * 4
    u[:-1][inside] += shift
    u[-1] += shift
    if null == "ecdf":
        u = numpy.round(u)  # ties
    for query in constants:
        u[:-1][~inside, query] = 0.25
    phi = u * tails
    out, target = u[:-1][~inside], u[-1]
    k = len(out)
    least = floor(null, k)
    p = numpy.array([p_value(null, out[:, j], target[j]) for j in range(queries)])
    rows = []
    for budget in budgets:
        m = min(budget, queries)
        varying = [j for j in range(m) if numpy.ptp(out[:, j]) > 0]
        floored = numpy.maximum(p[varying], least)
        rows.append({
            "budget": budget,
            "constant": m - len(varying),
            "kost": kost(p[varying], out[:, varying], least),
            "fisher": scipy.stats.combine_pvalues(floored, method="fisher").pvalue,
            "empirical": empirical(null, out[:, :m], target[:m]),
        })
    return {
        "null": null,
        "tails": tails.tolist(),
        "inside": inside.tolist(),
        "phi": phi[:-1].tolist(),
        "target": phi[-1].tolist(),
        "p": p.tolist(),
        "combined": rows,
    }


cases = []
for null in ["t", "ecdf"]:
    for models, queries, correlation, shift in [
        (8, 3, 0.0, 1), (24, 12, 0.3, 2), (24, 12, 0.95, 0), (40, 60, 0.8, 3), (40, 60, 0.8, -2), (60, 5, 0.5, 30)
    ]:
        cases.append(case(null, models, queries, correlation, [1, 2, 5, 100], shift))
    cases.append(case(null, 20, 8, 0.4, [2, 4, 8], 2, constants=(1, 5)))

versions = f"numpy {numpy.__version__}, scipy {scipy.__version__}"
text = json.dumps({"versions": versions, "cases": cases}, allow_nan=False)
(HERE / "cases.json").write_text(text + "\n", encoding="ascii")
