"""Reference values and inputs for the tests of the audit, written beside this script.

    python3 generate.py

t.csv: p-values of the null `t` for units with k OUT models each. The p-value is
scipy's t.sf((phi_T - mean) / (s sqrt(1 + 1/k)), k - 1). Below ten OUT models the variance
is moderated (Smyth 2004): prior and shrinkage are computed here from the definition,
with scipy's digamma, polygamma and brentq, over all units of the same k.

forest.csv, forest-members.txt: probabilities that a random forest gives on every record
of the shipped Breast Cancer Wisconsin (569 records, 30 features, in the file's order), and
the numbers of the records it was trained on. A model of another kind than the audit's
networks, for the check of the fit.

The versions used are in versions.txt, written by this script.
"""

import pathlib

import numpy
import pandas
import scipy.optimize
import scipy.special
import scipy.stats
import sklearn
from sklearn.ensemble import RandomForestClassifier

HERE = pathlib.Path(__file__).parent


def prior(variances, df):
    """d0 and s0^2 by the moments of ln s^2 (Smyth 2004, section 6.2)."""
    e = numpy.log(variances) - scipy.special.digamma(df / 2) + numpy.log(df / 2)
    excess = e.var(ddof=1) - scipy.special.polygamma(1, df / 2)
    if excess <= 0:
        return numpy.inf, numpy.exp(e.mean())
    half = scipy.optimize.brentq(
        lambda x: scipy.special.polygamma(1, x) - excess, 1e-6, 1e9, xtol=1e-14, rtol=1e-15
    )
    return 2 * half, numpy.exp(e.mean() + scipy.special.digamma(half) - numpy.log(half))


def shortest(x):
    """The fewest digits that read back to the same float32."""
    return str(numpy.float32(x))


def student():
    generator = numpy.random.default_rng(20)
    rows = []
    # Spread 0.8: variances of the units differ. Spread 0: they do not, and d0 is infinite.
    for k, spread in [(2, 0.8), (4, 0.8), (9, 0.8), (9, 0.0), (10, 0.8), (31, 0.8), (100, 0.8)]:
        units = 30
        while True:
            scale = numpy.exp(spread * generator.normal(size=(units, 1)))
            centre = 3 * generator.normal(size=(units, 1))
            phi = (centre + scale * generator.normal(size=(units, k))).astype(numpy.float32)
            # half of the targets as non-members, half far out in the right tail
            shift = numpy.where(numpy.arange(units) % 2 == 0, 0.0, 6.0)[:, None]
            target = (centre + scale * (generator.normal(size=(units, 1)) + shift)).astype(numpy.float32)
            phi = phi.astype(float)
            target = target[:, 0].astype(float)
            variance = phi.var(axis=1, ddof=1)
            df = float(k - 1)
            if k >= 10:
                break
            d0, s0 = prior(variance, df)
            # drawn again until the branch is the one wanted: d0 finite, or infinite
            if numpy.isinf(d0) == (spread == 0.0):
                # all units together know no more than the sum of what each knows
                most = units * df
                if numpy.isinf(d0):
                    variance, df = numpy.full(units, s0), most
                else:
                    variance, df = (d0 * s0 + df * variance) / (d0 + df), min(d0 + df, most)
                break
        t = (target - phi.mean(axis=1)) / numpy.sqrt(variance * (1 + 1 / k))
        p = scipy.stats.norm.sf(t) if numpy.isinf(df) else scipy.stats.t.sf(t, df)
        group = f"{k}-{spread}"
        for unit in range(units):
            rows.append(
                ",".join(
                    [group, " ".join(shortest(x) for x in phi[unit]), shortest(target[unit]), repr(float(p[unit]))]
                )
            )
    (HERE / "t.csv").write_text("group,phi_out,phi_target,p\n" + "\n".join(rows) + "\n")


def forest():
    table = pandas.read_parquet(HERE / "../../datasets/breast_cancer.parquet")
    y = (table["diagnosis"] == "malignant").astype(int).to_numpy()
    x = table.drop(columns="diagnosis").to_numpy()
    members = numpy.sort(numpy.random.default_rng(4).permutation(len(y))[: len(y) // 2])
    model = RandomForestClassifier(n_estimators=300, random_state=4).fit(x[members], y[members])
    p = model.predict_proba(x)
    lines = [f"{row[0]:.6f},{row[1]:.6f}" for row in p]
    (HERE / "forest.csv").write_text("benign,malignant\n" + "\n".join(lines) + "\n")
    (HERE / "forest-members.txt").write_text("\n".join(map(str, members)) + "\n")


if __name__ == "__main__":
    student()
    forest()
    (HERE / "versions.txt").write_text(
        f"numpy {numpy.__version__}\npandas {pandas.__version__}\n"
        f"scipy {scipy.__version__}\nscikit-learn {sklearn.__version__}\n"
    )
