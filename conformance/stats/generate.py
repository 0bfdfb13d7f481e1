"""Reference values for crates/stats, written as CSV files beside this script.

    python3 generate.py         (some four minutes, most of them for privacy.csv)

Values marked mpmath are computed with 50 digits or more, from the definition and not by the
method of the crate. The versions used are in versions.txt, written by this script.
Numbers are printed with repr, so that they read back to the same double.
"""

import csv
import math
import pathlib

import mpmath
import numpy
import scipy
import scipy.integrate
import scipy.interpolate
import scipy.optimize
import scipy.special
import scipy.stats
import sklearn
import sklearn.metrics
from mpmath import mp, mpf

HERE = pathlib.Path(__file__).parent
mp.dps = 50


def write(name, header, rows):
    with open(HERE / name, "w", newline="", encoding="ascii") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for row in rows:
            writer.writerow(
                [value if isinstance(value, str) else repr(float(value)) for value in row]
            )


def numbers(values):
    """A list in one CSV field."""
    return " ".join(repr(float(value)) for value in values)


# ------------------------------------------------------------------ distributions


def incomplete(a, b, x, y):
    """(I_x(a, b), I_y(b, a)), by the hypergeometric series of positive terms
    x^a y^b / (a B(a, b)) * sum_n (a+b)_n / (a+1)_n x^n, whose terms end up falling at
    least as fast as 2^-n on the side below one half. The other tail is the complement:
    the caller sets enough digits for it."""

    def series(a, b, x, y):
        front = mp.exp(
            a * mp.log(x)
            + b * mp.log(y)
            + mp.loggamma(a + b)
            - mp.loggamma(a + 1)
            - mp.loggamma(b)
        )
        term, total, n = mpf(1), mpf(1), 0
        while term > total * mp.eps:
            term *= (a + b + n) * x / (a + 1 + n)
            total += term
            n += 1
        return front * total

    if x <= y:
        lower = series(a, b, x, y)
        return lower, 1 - lower
    upper = series(b, a, y, x)
    return 1 - upper, upper


def normal():
    zs = [-38, -10, -3, -1, -0.1, 0, 1e-9, 0.3, 1, 2, 3.7, 5, 8, 9.99, 10, 10.01, 12, 20, 30, 37, 38,
          50, 100, 1000, 1e6]
    rows = []
    for z in zs:
        right = mp.erfc(mpf(abs(z)) / mp.sqrt(2)) / 2
        rows.append([z, right, mp.log(right)] if z >= 0 else [z, 1 - right, mp.log1p(-right)])
    write("normal.csv", ["z", "sf", "log_sf"], rows)

    rows = []
    for p in [1e-300, 1e-200, 1e-100, 1e-50, 1e-20, 1e-12, 1e-6, 1e-4, 1e-3, 0.01, 0.05, 0.3, 0.4999,
              0.5, 0.5001, 0.7, 0.95, 0.999, 1 - 1e-9, 1 - 1e-15]:
        start = float(scipy.stats.norm.isf(p))
        z = mp.findroot(
            lambda z: mp.log(mp.erfc(z / mp.sqrt(2)) / 2) - mp.log(mpf(p)), start
        )
        rows.append([p, z])
    write("normal_isf.csv", ["p", "z"], rows)


def student():
    rows = []
    for df in [0.3, 1, 1.5, 2, 3, 5, 9.7, 10, 15, 30, 31, 63, 100, 255, 400, 1234.5, 1e5, 1e7]:
        for t in [-40, -3, -0.5, 0, 1e-8, 0.01, 0.3, 1, 1.9, 2.3, 2.64, 2.65, 3.1, 4, 6, 10, 25, 60, 200, 1e4, 1e8, 1e200]:
            # digits that the complement loses
            lost = int(df / 2 * math.log10(1 + float(t) ** 2 / df)) if abs(t) < 1e100 else 0
            if abs(t) < 2 * df**0.5 and lost > 2000:
                continue
            with mp.workdps(60 + (lost if t * t < 2 * df else 0)):
                d, u = mpf(df), mpf(t)
                if t == 0:
                    tail = mpf(1) / 2
                else:
                    square = u * u
                    tail = incomplete(d / 2, mpf(1) / 2, d / (d + square), square / (d + square))[0] / 2
                if t < 0:
                    rows.append([t, df, 1 - tail, mp.log1p(-tail)])
                else:
                    rows.append([t, df, tail, mp.log(tail)])
    write("student_t.csv", ["t", "df", "sf", "log_sf"], rows)


def chi_square():
    rows = []
    for df in [0.05, 0.7, 1, 2, 3.3, 10, 41.7, 100, 1000, 1e4]:
        for ratio in [1e-3, 0.1, 0.5, 0.9, 1, 1.1, 1.5, 3, 10, 50, 300]:
            x = df * ratio
            tail = mp.gammainc(mpf(df) / 2, mpf(x) / 2, mp.inf, regularized=True)
            if tail > mpf(10) ** -290:
                rows.append([x, df, tail])
    write("chi_square.csv", ["x", "df", "sf"], rows)


def beta():
    rows = []
    for a, b in [(0.5, 0.5), (0.5, 7), (1, 1), (1, 10), (2, 3), (3, 0.7), (12, 30), (30, 2), (100, 100),
                 (5, 1e4), (1e4, 1.5), (3000, 7000), (1e5, 1e5), (4, 1e7), (5e5, 1.5e6)]:
        mean = a / (a + b)
        sd = (mean * (1 - mean) / (a + b + 1)) ** 0.5
        for step in [-8, -4, -1, -0.2, 0, 0.1, 0.7, 2, 5, 9]:
            x = mean + step * sd
            if 0 < x < 1:
                with mp.workdps(100):
                    lower, upper = incomplete(mpf(a), mpf(b), mpf(x), 1 - mpf(x))
                    if min(lower, upper) > mpf(10) ** -25:
                        rows.append([x, a, b, lower, upper])
        for x in [1e-10, 1e-3, 0.05]:
            if a < 50 and b < 1e3:
                with mp.workdps(100):
                    lower, upper = incomplete(mpf(a), mpf(b), mpf(x), 1 - mpf(x))
                    rows.append([x, a, b, lower, upper])
    write("beta.csv", ["x", "a", "b", "cdf", "sf"], rows)


def solve_beta(probability, a, b, lower):
    """The point where a tail of Beta(a, b) is `probability`: Newton's method in 50 digits
    from scipy's answer. Also that answer."""
    a, b = mpf(a), mpf(b)
    start = scipy.special.betaincinv(float(a), float(b), float(probability)) if lower else (
        scipy.special.betainccinv(float(a), float(b), float(probability)))
    x = mpf(float(start))
    for _ in range(4):
        tails = incomplete(a, b, x, 1 - x)
        density = mp.exp((a - 1) * mp.log(x) + (b - 1) * mp.log(1 - x) + mp.loggamma(a + b) - mp.loggamma(a) - mp.loggamma(b))
        value = tails[0] if lower else tails[1]
        move = (value - probability) / density
        x = x - move if lower else x + move
        if abs(move) < abs(x) * mpf(10) ** -20:
            break
    else:
        raise AssertionError(("no convergence", probability, a, b))
    return x, mpf(float(start))


def clopper_pearson():
    rows, worst = [], 0
    for n in [1, 10, 100, 10**4, 10**6, 10**7]:
        for k in sorted({0, 1, 2, 3, n // 2, n - 1, n}):
            if not 0 <= k <= n:
                continue
            for level in [0.9, 0.95, 0.99]:
                with mp.workdps(50):
                    alpha = (1 - mpf(level)) / 2
                    ends = []
                    for end, known, a, b in [("lower", k == 0, k, n - k + 1),
                                             ("upper", k == n, k + 1, n - k)]:
                        if known:
                            ends.append(mpf(0 if end == "lower" else 1))
                            continue
                        # the closed forms where one parameter is 1
                        if end == "lower" and n - k + 1 == 1:
                            x = alpha ** (mpf(1) / k)
                        elif end == "upper" and k + 1 == 1:
                            x = -mp.expm1(mp.log(alpha) / n)
                        else:
                            x, guess = solve_beta(alpha, a, b, end == "lower")
                            worst = max(worst, abs(guess / x - 1))
                        ends.append(x)
                rows.append([n, k, level, *ends])
    print("scipy's beta quantile against mpmath, worst relative difference:", mp.nstr(worst, 3))
    write("clopper_pearson.csv", ["trials", "successes", "level", "lower", "upper"], rows)


def gammas():
    rows = []
    for x in [1e-6, 0.01, 0.3, 0.5, 1, 1.5, 2, 5, 9.5, 20, 50, 1234.5, 1e6]:
        rows.append([x, mp.digamma(x), mp.polygamma(1, x)])
    write("polygamma.csv", ["x", "digamma", "trigamma"], rows)


# ----------------------------------------------------------- interpolation and nulls


def pchip():
    rng = numpy.random.default_rng(20261122)
    cases = {
        "two knots": ([0, 3], [1, -2]),
        "three knots": ([0, 1, 4], [0, 2, 3]),
        "three knots that turn": ([0, 1, 1.1], [0, 5, -3]),
        "end limited to three secants": ([0, 1, 2, 3], [0, 0.1, -9, 4]),
        "flat runs": ([0, 1, 2, 3, 4, 5, 6], [0, 0, 0, 1, 1, 2, 2]),
        "constant": ([0, 1, 2, 5], [4, 4, 4, 4]),
        "sign changes": ([-2, -1, 0.5, 1, 3, 3.5, 7], [1, -1, 2, -3, 4, 4.5, -1]),
        "far from uniform": ([0, 1e-6, 1e-3, 1, 1000, 1e6], [0, 1, 1.5, 2, 2.5, 100]),
        "monotone": (numpy.cumsum(rng.exponential(size=30)), numpy.arange(1, 31) / 30),
        "random": (numpy.sort(rng.normal(size=25)), rng.normal(size=25)),
    }
    rows = []
    for name, (x, y) in cases.items():
        x, y = numpy.asarray(x, float), numpy.asarray(y, float)
        interpolant = scipy.interpolate.PchipInterpolator(x, y, extrapolate=False)
        at = numpy.concatenate([x] + [x[:-1] + share * numpy.diff(x) for share in (0.01, 0.3, 0.5, 0.83)])
        at = numpy.minimum(at, x[-1])
        rows.append([name, numbers(x), numbers(y), numbers(at), numbers(interpolant(at))])
    write("pchip.csv", ["case", "x", "y", "at", "value"], rows)


def pchip_p_values():
    """The null of methods 1.3, from scipy's interpolant over the merged knots."""
    rng = numpy.random.default_rng(20261123)
    rows = []
    for k, digits in [(2, 3), (3, 3), (5, 0), (10, 1), (31, 1), (31, 6), (100, 1), (200, 6), (40, 0)]:
        null = numpy.sort(numpy.round(rng.exponential(2.0, size=k), digits))
        values, counts = numpy.unique(null, return_counts=True)
        at = numpy.concatenate([null, rng.uniform(-1, 12, size=20), null[:-1] + 0.37 * numpy.diff(null)])
        if len(values) == 1:
            p = (1 + (null[None, :] <= at[:, None]).sum(1)) / (k + 1)
        else:
            interpolant = scipy.interpolate.PchipInterpolator(values, numpy.cumsum(counts) / k)
            p = numpy.where(at < values[0], 1 / (k + 1), numpy.where(at > values[-1], 1, interpolant(at)))
            p = numpy.clip(p, 1 / (k + 1), 1)
        rows.append([numbers(null), numbers(at), numbers(p)])
    write("pchip_p_value.csv", ["null", "at", "p"], rows)


# ------------------------------------------------------------- multiplicity, ROC, KS


def multiplicity():
    rng = numpy.random.default_rng(20261124)
    rows = []
    for n in [1, 2, 7, 50, 400]:
        p = rng.beta(0.5, 2, size=n)
        if n == 50:
            p = numpy.ceil(p * 20) / 20  # ties
        rows.append([numbers(p),
                     numbers(scipy.stats.false_discovery_control(p, method="bh")),
                     numbers(scipy.stats.false_discovery_control(p, method="by"))])
    write("multiplicity.csv", ["p", "bh", "by"], rows)


def roc():
    rng = numpy.random.default_rng(20261125)
    rows = []
    for n, digits in [(10, 1), (60, 1), (300, 6), (2000, 2)]:
        member = numpy.arange(n) % 3 == 0
        score = numpy.round(rng.normal(size=n) + 0.8 * member, digits)
        fpr, tpr, _ = sklearn.metrics.roc_curve(member, score, drop_intermediate=False)
        non_members = (~member).sum()
        at = []
        for f in [0.5, 0.1, 0.01, 0.001]:
            at.append(float("nan") if non_members * f < 1 else tpr[fpr <= f + 1e-12].max())
        rows.append([numbers(score), numbers(member), sklearn.metrics.roc_auc_score(member, score),
                     numbers(fpr), numbers(tpr), numbers(at), (tpr - fpr).max()])
    write("roc.csv", ["score", "member", "auc", "fpr", "tpr", "tpr_at_.5_.1_.01_.001", "advantage"], rows)


def kolmogorov():
    rng = numpy.random.default_rng(20261126)
    rows = []
    for n, power in [(1, 1), (2, 1), (5, 0.8), (20, 1.3), (100, 1), (100, 1.5), (1000, 1), (1000, 1.15),
                     (1000, 0.9), (3000, 1.05)]:
        p = rng.uniform(size=n) ** power
        greater = scipy.stats.kstest(p, "uniform", alternative="greater", method="exact")
        both = scipy.stats.kstest(p, "uniform", alternative="two-sided")
        rows.append([numbers(p), both.statistic, greater.statistic, greater.pvalue])
    write("kolmogorov.csv", ["p", "distance", "statistic", "p_value"], rows)


# -------------------------------------------------------------- variances, summaries


def variances():
    """Smyth (2004), section 6.2, with scipy's polygamma and root finder."""
    rng = numpy.random.default_rng(20261127)
    rows = []
    for n, prior_df, low, high in [(200, 5, 3, 12), (1000, 40, 15, 16), (30, 1.5, 2, 30), (100, None, 7, 8)]:
        df = rng.integers(low, high, size=n).astype(float)
        truth = 2.0 if prior_df is None else 2.0 * prior_df / rng.chisquare(prior_df, size=n)
        s2 = truth * rng.chisquare(df) / df
        if prior_df is None:
            s2 = truth * (1 + 0.01 * rng.normal(size=n))
        e = numpy.log(s2) - scipy.special.digamma(df / 2) + numpy.log(df / 2)
        excess = e.var(ddof=1) - scipy.special.polygamma(1, df / 2).mean()
        if excess > 0:
            half = scipy.optimize.brentq(
                lambda u: float(scipy.special.polygamma(1, numpy.exp(u))) - excess, -20, 20,
                xtol=1e-14, rtol=1e-14)
            half = numpy.exp(half)
            d0 = 2 * half
            s0 = numpy.exp(e.mean() + scipy.special.digamma(half) - numpy.log(half))
            shrunk = (d0 * s0 + df * s2) / (d0 + df)
        else:
            d0, s0 = numpy.inf, numpy.exp(e.mean())
            shrunk = numpy.full(n, s0)
        rows.append([numbers(s2), numbers(df), d0, s0, numbers(shrunk)])
    write("variances.csv", ["s2", "df", "d0", "s0_squared", "moderated"], rows)


def summaries():
    rng = numpy.random.default_rng(20261128)
    rows = []
    for n in [2, 3, 10, 101]:
        x = numpy.round(rng.normal(size=n), 1)
        y = numpy.round(x + rng.normal(size=n), 1)
        q = [0, 0.025, 0.1, 1 / 3, 0.5, 0.9, 0.975, 1]
        rows.append([numbers(x), numbers(y), x.mean(), x.var(ddof=1), numpy.median(x), numbers(q),
                     numbers(numpy.quantile(x, q)), numbers(scipy.stats.rankdata(x)),
                     scipy.stats.spearmanr(x, y).statistic])
    write("summary.csv", ["x", "y", "mean", "variance", "median", "q", "quantiles", "ranks", "spearman"], rows)

# ------------------------------------------------------------------ densities, binomial, combination


def densities():
    rows = []
    for mean, sd in [(0, 1), (3.5, 0.01), (-1e3, 250.0), (1e-9, 1e-6), (0, 1e12)]:
        for z in [-1e8, -200, -38, -3, -0.5, 0, 1e-7, 0.1, 1, 2.7, 9, 60, 1e5]:
            x = mean + z * sd
            exact = (mpf(x) - mpf(mean)) / mpf(sd)
            rows.append([x, mean, sd, -exact**2 / 2 - mp.log(mpf(sd)) - mp.log(2 * mp.pi) / 2])
    write("normal_density.csv", ["x", "mean", "sd", "log_density"], rows)

    rows = []
    for df in [0.3, 1, 1.7, 3, 8.25, 30, 64, 255.5, 1e4, 1e7]:
        for location, scale in [(0, 1), (2.5, 0.02), (-40.0, 1e3)]:
            for z in [-1e160, -1e9, -40, -2, 0, 1e-8, 0.3, 1, 3, 12, 100, 1e5, 1e80]:
                x = location + z * scale
                with mp.workdps(80):
                    d, exact = mpf(df), (mpf(x) - mpf(location)) / mpf(scale)
                    value = (mp.loggamma((d + 1) / 2) - mp.loggamma(d / 2) - mp.log(mp.pi * d) / 2
                             - mp.log(mpf(scale)) - (d + 1) / 2 * mp.log1p(exact**2 / d))
                    rows.append([x, df, location, scale, value])
    write("student_t_density.csv", ["x", "df", "location", "scale", "log_density"], rows)


def binomial_tail(k, n, p):
    """(ln P[X = k], P[X <= k], P[X > k]): the smaller tail is summed term by term, the other
    is its complement; the caller sets the digits."""
    p, q = mpf(p), 1 - mpf(p)
    ln_pmf = (mp.loggamma(n + 1) - mp.loggamma(k + 1) - mp.loggamma(n - k + 1)
              + k * mp.log(p) + (n - k) * mp.log(q))
    term, total = mp.exp(ln_pmf), mpf(0)
    if k >= n * p:
        for j in range(k + 1, n + 1):
            term *= mpf(n - j + 1) / j * p / q
            total += term
            if term < total * mp.eps:
                break
        return ln_pmf, 1 - total, total
    for j in range(k, -1, -1):
        total += term
        if term < total * mp.eps:
            break
        term *= mpf(j) / (n - j + 1) * q / p
    return ln_pmf, total, 1 - total


def binomial():
    rows = []
    for n in [1, 2, 7, 40, 1000, 50_000, 1_000_000]:
        for p in [1e-9, 1e-4, 0.03, 0.5, 0.7310585786300049, 0.999, 1 - 1e-9]:
            sd = (n * p * (1 - p)) ** 0.5
            ks = {0, 1, n // 2, n - 1, n}
            ks |= {round(n * p + z * sd) for z in [-35, -12, -5, -1, 0, 0.5, 2, 8, 20, 35]}
            for k in sorted(k for k in ks if 0 <= k <= n):
                with mp.workdps(60):
                    ln_pmf, cdf, sf = binomial_tail(k, n, p)
                    rows.append([k, n, p, ln_pmf, cdf, sf])
                    known = scipy.stats.binom.sf(k, n, p)
                    if 1e-250 < sf and abs(known / float(sf) - 1) > 1e-6:
                        print("scipy differs:", k, n, p, known, float(sf))
    write("binomial.csv", ["k", "n", "p", "log_pmf", "cdf", "sf"], rows)


def combination():
    rng = numpy.random.default_rng(20261129)
    rows = []
    for m, strength, floor in [(1, 0, 1e-300), (2, 0.5, 1e-300), (3, 0, 1e-300), (5, 0.9, 1e-4), (8, -0.3, 1e-12),
                               (20, 0.4, 1e-300), (20, 0, 1e-300), (60, 0.7, 1e-6)]:
        for power in [1, 4, 15]:
            noise = rng.normal(size=(m, 4 * m + 4)) + strength * rng.normal(size=4 * m + 4)
            if strength < 0 and m > 1:
                noise[::2] -= noise[1::2]
            rho = numpy.identity(m) if strength == 0 else numpy.atleast_2d(numpy.corrcoef(noise))
            rho = (rho + rho.T) / 2
            numpy.fill_diagonal(rho, 1)
            p = rng.uniform(size=m) ** power
            floored = [max(mpf(float(v)), mpf(floor)) for v in p]
            statistic = -2 * mp.fsum(mp.log(v) for v in floored)
            c = mp.fsum(mpf("3.263") * mpf(float(r)) + mpf("0.710") * mpf(float(r)) ** 2 + mpf("0.027") * mpf(float(r)) ** 3
                        for r in rho[numpy.tril_indices(m, -1)])
            variance = 4 * m + 2 * c
            scale, df = variance / (4 * m), 8 * m * m / variance
            if df > 2 * m:
                scale, df = mpf(1), mpf(2 * m)
            value = mp.gammainc(df / 2, statistic / scale / 2, mp.inf, regularized=True)
            fisher = scipy.stats.combine_pvalues(numpy.array(floored, dtype=float), method="fisher").pvalue
            rows.append([numbers(p), numbers(rho.ravel()), floor, statistic, scale, df, value,
                         fisher if strength == 0 else math.nan])
    write("combination.csv", ["p", "correlations", "floor", "statistic", "scale", "df", "p_value", "fisher"], rows)

# ------------------------------------------------------------------ privacy


def joint_probability(tp, fn, fp, tn, epsilon, delta):
    """Posterior probability of the region of (epsilon, delta)-differential privacy in the plane
    of (FNR, FPR), for independent Beta(1/2 + count, 1/2 + count): scipy's quad over the
    quantiles of FNR, cut at the corners of the region and where it meets the other rate's
    quantiles."""
    fnr, fpr = scipy.stats.beta(0.5 + fn, 0.5 + tp), scipy.stats.beta(0.5 + fp, 0.5 + tn)
    factor = math.exp(epsilon)

    def inner(x):
        low = max(0.0, 1 - delta - factor * x, (1 - delta - x) / factor)
        high = min(1.0, 1 - (x - delta) / factor, delta + factor * (1 - x))
        if low >= high:
            return 0.0
        return fpr.cdf(high) - fpr.cdf(low) if low < fpr.median() else fpr.sf(low) - fpr.sf(high)

    corner = (1 - delta) / (1 + factor)
    places = [0, delta, corner, 1 - corner, 1 - delta, 1]
    for level in [1e-12, 1e-4, 0.1, 0.5, 0.9, 1 - 1e-4, 1 - 1e-12]:
        q = fpr.ppf(level)
        places += [(1 - delta - q) / factor, 1 - delta - factor * q, delta + factor * (1 - q), 1 - (q - delta) / factor]
    cuts = sorted({float(fnr.cdf(min(max(x, 0), 1))) for x in places} | {1e-9, 0.01, 0.5, 0.99})
    total = 0
    for low, high in zip(cuts, cuts[1:]):
        total += scipy.integrate.quad(lambda u: inner(fnr.ppf(u)), low, high, epsabs=1e-11, epsrel=1e-10, limit=400)[0]
    return total


def region_epsilon(fnr, fpr, delta):
    """The smallest epsilon that allows these rates."""
    pairs = [(1 - fpr - delta, fnr), (1 - fnr - delta, fpr), (fpr - delta, 1 - fnr), (fnr - delta, 1 - fpr)]
    return max([0.0] + [math.log(a / b) if b > 0 else math.inf for a, b in pairs if a > 0])


def privacy():
    rows = []
    for tp, fn, fp, tn in [(487, 0, 512, 1), (50, 50, 5, 95), (900, 100, 20, 980), (3, 0, 0, 4), (100, 900, 1, 999),
                           (0, 10, 10, 0), (30, 70, 60, 40), (9990, 10, 3, 9997), (40_000, 60_000, 200, 99_800),
                           (5, 5, 1, 9999)]:
        for delta, alpha in [(0.0, 0.05), (1e-5, 0.1), (0.01, 0.001)]:
            for method, prior in [("clopper-pearson", 0), ("jeffreys", 0.5)]:
                def bounds(k, n, side):
                    a, b = (k, n - k + 1) if prior == 0 else (k + 0.5, n - k + 0.5)
                    low = 0.0 if k == 0 else scipy.stats.beta.ppf(side, a, b)
                    a, b = (k + 1, n - k) if prior == 0 else (k + 0.5, n - k + 0.5)
                    high = 1.0 if k == n else scipy.stats.beta.isf(side, a, b)
                    return low, high

                (fnr_lo, fnr_hi), (fpr_lo, fpr_hi) = bounds(fn, tp + fn, alpha / 4), bounds(fp, fp + tn, alpha / 4)
                ends = region_epsilon(fnr_lo, fpr_lo, delta), region_epsilon(fnr_hi, fpr_hi, delta)
                straddles = fnr_lo + fpr_lo <= 1 <= fnr_hi + fpr_hi
                fnr_one, fpr_one = bounds(fn, tp + fn, alpha / 2)[1], bounds(fp, fp + tn, alpha / 2)[1]
                one = max(0.0, math.log((1 - fnr_one - delta) / fpr_one)) if 1 - fnr_one > delta else 0.0
                two = max(one, math.log((1 - fpr_one - delta) / fnr_one)) if 1 - fpr_one > delta else one
                rows.append([method, tp, fn, fp, tn, delta, alpha, 0.0 if straddles else min(ends), max(ends), one, two])

            def solve(share):
                f = lambda e: joint_probability(tp, fn, fp, tn, e, delta) - share
                if f(0) >= 0:
                    return 0.0
                high = 1.0
                while f(high) < 0:
                    high *= 2
                    if high > 100:
                        return math.inf
                return scipy.optimize.brentq(f, 0, high, xtol=1e-11, rtol=1e-13)

            rows.append(["joint-beta", tp, fn, fp, tn, delta, alpha, solve(alpha / 2), solve(1 - alpha / 2),
                         math.nan, solve(alpha)])
    write("privacy.csv", ["method", "tp", "fn", "fp", "tn", "delta", "alpha", "lower", "upper", "one_sided", "both_sides"],
          rows)


def one_run():
    """Steinke, Nasr and Jagielski (2023), with every sum written out."""
    rows = []
    for m, r, v in [(10, 10, 10), (100, 40, 31), (1000, 100, 97), (1000, 1000, 600), (1000, 1000, 1000),
                    (20_000, 2000, 1500), (20_000, 2000, 1999), (5000, 1500, 700), (50, 20, 0)]:
        for delta in [0.0, 1e-6, 1e-3]:
            def p_value(epsilon):
                q = 1 / (1 + math.exp(-epsilon))
                pmf = scipy.stats.binom.pmf(numpy.arange(r + 1), r, q)
                beta = math.fsum(pmf[v:])
                means = numpy.cumsum(pmf[:v][::-1]) / numpy.arange(1, v + 1)
                return min(1.0, beta + 2 * m * delta * (means.max() if v else 0.0))

            for significance in [0.05, 1e-3]:
                bound = 0.0
                if p_value(0.0) < significance:
                    bound = scipy.optimize.brentq(lambda e: p_value(e) - significance, 0, 30, xtol=1e-13, rtol=1e-14)
                rows.append([m, r, v, delta, significance, bound, p_value(0.1), p_value(1.0), p_value(3.0)])
    write("one_run.csv", ["canaries", "guesses", "correct", "delta", "significance", "bound", "p_0.1", "p_1", "p_3"], rows)


if __name__ == "__main__":
    normal()
    student()
    chi_square()
    beta()
    clopper_pearson()
    gammas()
    pchip()
    pchip_p_values()
    multiplicity()
    roc()
    kolmogorov()
    variances()
    summaries()
    densities()
    binomial()
    combination()
    privacy()
    one_run()
    (HERE / "versions.txt").write_text(
        f"scipy {scipy.__version__}\nmpmath {mpmath.__version__}\n"
        f"numpy {numpy.__version__}\nscikit-learn {sklearn.__version__}\n"
    )
