"""Inputs and expected outputs of every attack, written beside this script.

    python3 generate.py

One JSON file for each case: the signals, the memberships, what the attack may use besides,
and for each method the scores and, where it has them, the p-values. Everything is computed
here record by record from the formulas of the papers, with scipy's distributions and in
float64; nothing of giveaway's code is used. `null` stands for "no score": too few models.

What the papers leave open is settled as ATTACKS.md says (next to this folder). Inputs are
rounded to a few decimals so that the files stay small; float64 reads them back exactly.

The versions used are in versions.txt, written by this script.
"""

import json
import pathlib

import numpy
import scipy
import scipy.interpolate
import scipy.optimize
import scipy.special
import scipy.stats

HERE = pathlib.Path(__file__).parent
NAN = float("nan")
TINY = float(numpy.finfo(float).tiny)


# --- signals ---------------------------------------------------------------------------


def scaled_logit(kind, x):
    """ln p - ln(1 - p)."""
    if kind == "scaled-logit":
        return x
    if kind == "loss":
        return -x - numpy.log(-numpy.expm1(-x))
    return numpy.log(x) - numpy.log1p(-x)


def loss(kind, x):
    """-ln p."""
    if kind == "scaled-logit":
        return numpy.logaddexp(0.0, -x)
    if kind == "loss":
        return x
    return -numpy.log(x)


def confidence(kind, x):
    """p."""
    if kind == "scaled-logit":
        return scipy.special.expit(x)
    if kind == "loss":
        return numpy.exp(-x)
    return x


def probabilities_of(case, row, temperature):
    """Softmax of logits at a temperature; probabilities are raised to its inverse."""
    if case["kind"] == "logits":
        return scipy.special.softmax(row / temperature)
    power = row ** (1.0 / temperature)
    return power / power.sum()


def row_scaled_logit(case, row, y, temperature=1.0):
    """z_y - logsumexp of the others, or ln p_y - ln of the sum of the others; the clamp is
    the least probability on either side."""
    others = numpy.delete(row, y)
    if case["kind"] == "logits":
        phi = row[y] / temperature - scipy.special.logsumexp(others / temperature)
        most = -numpy.log(case["clamp"])
        return min(max(phi, -most), most)
    p = probabilities_of(case, row, temperature)
    return numpy.log(max(p[y], case["clamp"])) - numpy.log(max(numpy.delete(p, y).sum(), case["clamp"]))


def row_entropy(case, row):
    p = probabilities_of(case, row, 1.0)
    return -sum(q * numpy.log(q) for q in p if q > 0)


def row_modified_entropy(case, row, y):
    """Song and Mittal 2021, equation 8; the clamp limits logarithms, and p_y as it does phi."""
    p = probabilities_of(case, row, 1.0)
    own = scipy.special.expit(row_scaled_logit(case, row, y))
    rest = scipy.special.expit(-row_scaled_logit(case, row, y))
    total = -rest * numpy.log(own)
    for j in range(len(p)):
        if j != y:
            total -= p[j] * numpy.log(max(numpy.delete(p, j).sum(), case["clamp"]))
    return total


def row_correct(row, y):
    return 1.0 if int(numpy.argmax(row)) == y else 0.0


# --- what a case holds -----------------------------------------------------------------


class Evidence:
    """Signals by kind, after rows of classes have become one number for each record."""

    def __init__(self, case):
        self.inside = numpy.array(case["inside"], dtype=bool)
        self.labels = case.get("labels")
        kind = case["kind"]
        self.tempered = None
        self.outputs = None
        self.population = None
        if kind in ("logits", "probabilities"):
            rows = numpy.array(case["references"][0])
            target = numpy.array(case["target"][0])
            y = self.labels
            every = range(len(y))

            def of(function, *rest):
                return (
                    numpy.array([[function(case, m[r], y[r], *rest) for r in every] for m in rows]),
                    numpy.array([function(case, target[r], y[r], *rest) for r in every]),
                )

            self.kind = "scaled-logit"
            references, own = of(row_scaled_logit)
            self.queries = [(references, own)]
            if case["temperature"] != 1.0:
                references, own = of(row_scaled_logit, case["temperature"])
                self.tempered = (scipy.special.expit(references), scipy.special.expit(own))
            self.outputs = {
                "entropy": of(lambda c, row, _: row_entropy(c, row)),
                "modified_entropy": of(row_modified_entropy),
                "correct": of(lambda _, row, label: row_correct(row, label)),
            }
        else:
            self.kind = kind
            self.queries = [
                (numpy.array(r, dtype=float), numpy.array(t, dtype=float))
                for r, t in zip(case["references"], case["target"])
            ]
        if case.get("population"):
            of = case["population"]
            inside = of["inside"]
            self.population = (
                numpy.array(of["references"], dtype=float),
                numpy.array(of["target"], dtype=float),
                numpy.zeros(numpy.shape(of["references"]), dtype=bool) if inside is None else numpy.array(inside),
            )

    def phi(self, query=0):
        references, target = self.queries[query]
        return scaled_logit(self.kind, references), scaled_logit(self.kind, target)

    def losses(self):
        references, target = self.queries[0]
        return loss(self.kind, references), loss(self.kind, target)

    def confidences(self):
        if self.tempered is not None:
            return self.tempered
        references, target = self.queries[0]
        return confidence(self.kind, references), confidence(self.kind, target)


def mean(values):
    return float(numpy.mean(values)) if len(values) else NAN


# --- the attacks -----------------------------------------------------------------------


def attack_p(e):
    """Ye et al. 2022, Attack-P: the share of population losses above the record's."""
    own = e.losses()[1]
    if e.population is None:
        scores = []
        for r in range(len(own)):
            others = numpy.delete(own, r)
            scores.append(float(numpy.mean(others > own[r])) if len(others) else 0.0)
        return scores, None
    population = loss(e.kind, e.population[1])
    scores = [float(numpy.mean(population > x)) for x in own]
    p = [(1 + int(numpy.sum(population <= x))) / (len(population) + 1) for x in own]
    return scores, p


def ecdf(e):
    references, target = e.losses()
    p = []
    for r in range(len(target)):
        out = references[~e.inside[:, r], r]
        p.append((1 + int(numpy.sum(out <= target[r]))) / (len(out) + 1) if len(out) else NAN)
    return p


def attack_r(e):
    """Ye et al. 2022, Attack-R: where the record's own OUT quantile function, linearly
    interpolated, reaches the loss. 0 left of all losses, 1 from the largest on."""
    references, target = e.losses()
    scores = []
    for r in range(len(target)):
        out = numpy.sort(references[~e.inside[:, r], r])
        if len(out) == 0:
            scores.append(NAN)
        elif target[r] < out[0]:
            scores.append(1.0)
        elif target[r] >= out[-1]:
            scores.append(0.0)
        else:
            levels = {}
            for j, value in enumerate(out):
                levels[value] = j / (len(out) - 1)  # the highest level at ties
            x, y = numpy.array(list(levels)), numpy.array(list(levels.values()))
            j = numpy.searchsorted(x, target[r], side="right") - 1
            # between ties the curve starts at the highest level of the left value and ends
            # at the lowest of the right one
            first = int(numpy.searchsorted(out, x[j + 1], side="left")) / (len(out) - 1)
            scores.append(1.0 - (y[j] + (first - y[j]) * (target[r] - x[j]) / (x[j + 1] - x[j])))
    return scores, ecdf(e)


def difficulty(e):
    """Watson et al. 2022."""
    references, target = e.losses()
    return [mean(references[~e.inside[:, r], r]) - target[r] for r in range(len(target))], None


def sablayrolles(e):
    """Sablayrolles et al. 2019, the threshold of each record."""
    references, target = e.losses()
    scores = []
    for r in range(len(target)):
        inside = e.inside[:, r]
        scores.append((mean(references[inside, r]) + mean(references[~inside, r])) / 2 - target[r])
    return scores, None


def pooled_deviation(phi, mask):
    """Standard deviation of residuals from each record's own mean, divisor n."""
    residuals = []
    known = False
    for r in range(phi.shape[1]):
        values = phi[mask[:, r], r]
        known = known or len(values) >= 2
        residuals.extend(values - values.mean() if len(values) else [])
    return float(numpy.sqrt(numpy.mean(numpy.square(residuals)))) if known else NAN


def lira(e, online, fixed):
    """Carlini et al. 2022, with the 1e-30 that the authors add to every deviation."""
    total = numpy.zeros(len(e.queries[0][1]))
    for query in range(len(e.queries)):
        phi, target = e.phi(query)
        pooled_in = pooled_deviation(phi, e.inside) if fixed else None
        pooled_out = pooled_deviation(phi, ~e.inside) if fixed else None
        for r in range(len(target)):
            inside, out = phi[e.inside[:, r], r], phi[~e.inside[:, r], r]

            def deviation(values, pooled):
                if fixed:
                    return pooled + 1e-30
                return float(numpy.std(values)) + 1e-30 if len(values) >= 2 else NAN

            s_out = deviation(out, pooled_out)
            if online:
                s_in = deviation(inside, pooled_in)
                total[r] += scipy.stats.norm.logpdf(target[r], mean(inside), s_in) - scipy.stats.norm.logpdf(
                    target[r], mean(out), s_out
                )
            else:
                z = (target[r] - mean(out)) / s_out
                # the complement where Phi is nearly 1
                total[r] += numpy.log1p(-scipy.stats.norm.sf(z)) if z > 0 else scipy.stats.norm.logcdf(z)
    return list(total), None


def rmia_ratios(target, references, inside, online, a, population):
    ratios = []
    for r in range(len(target)):
        p_in, p_out = mean(references[inside[:, r], r]), mean(references[~inside[:, r], r])
        if online:
            p = p_out if population and not inside[:, r].any() else (p_in + p_out) / 2
        else:
            p = ((1 + a) * p_out + (1 - a)) / 2
        # a confidence of 0 everywhere leaves a number
        ratios.append(max(target[r], TINY) / max(p, TINY) if not numpy.isnan(p) else NAN)
    return ratios


def rmia_scores(own, others, gamma):
    """Pairwise, as the paper defines it; without others each record meets all but itself."""
    scores = []
    for i, x in enumerate(own):
        z = [r for j, r in enumerate(own) if j != i] if others is None else others
        z = [r for r in z if not numpy.isnan(r)]
        scores.append(sum(x >= gamma * r for r in z) / len(z) if z and not numpy.isnan(x) else NAN)
    return scores


def auc(scores, members):
    """P(s_m > s_n) + P(s_m = s_n)/2, pairwise."""
    pairs = [(s, m) for s, m in zip(scores, members) if not numpy.isnan(s)]
    wins = total = 0.0
    for s, m in pairs:
        for t, n in pairs:
            if m and not n:
                total += 1
                wins += 1.0 if s > t else 0.5 if s == t else 0.0
    return wins / total if total else NAN


def rmia(e, online, gamma, a):
    references, target = e.confidences()
    population = None
    if e.population is not None:
        population = (confidence(e.kind, e.population[0]), confidence(e.kind, e.population[1]), e.population[2])
    if not online and a is None:
        a = tuned(e, references, population, gamma)
    own = rmia_ratios(target, references, e.inside, online, a, False)
    others = None
    if population is not None:
        others = rmia_ratios(population[1], population[0], population[2], online, a, True)
    return rmia_scores(own, others, gamma), None


def tuned(e, references, population, gamma):
    """a by attacking the first reference model with the others, without its complement."""
    if len(references) < 2:
        return 0.5
    left = [m for m in range(1, len(references)) if not (e.inside[m] == ~e.inside[0]).all()]
    best = (-1.0, 0.5)
    for tenth in range(11):
        a = tenth / 10
        own = rmia_ratios(references[0], references[left], e.inside[left], False, a, False)
        others = None
        if population is not None:
            others = rmia_ratios(population[0][0], population[0][left], population[2][left], False, a, True)
        found = auc(rmia_scores(own, others, gamma), e.inside[0])
        if numpy.isnan(found):
            return 0.5
        if found > best[0]:
            best = (found, a)
    return best[1]


def base1(e, online):
    """Lassila et al. 2025: -L - ln mean exp(-L_k)."""
    references, target = e.confidences()
    scores = []
    for r in range(len(target)):
        values = references[:, r] if online else references[~e.inside[:, r], r]
        p = mean(values)
        scores.append(numpy.log(target[r]) - numpy.log(max(p, TINY)) if len(values) else NAN)
    return scores, None


def base23(e, own_variance):
    """(mu_in - mu_out)/v (phi - (mu_in + mu_out)/2): v of all records' residuals (BASE2, our
    reading), or of the record's own (BASE3)."""
    phi, target = e.phi()
    squares, counts = [], []
    for r in range(len(target)):
        groups = [phi[mask, r] for mask in (e.inside[:, r], ~e.inside[:, r])]
        squares.append(sum(float(((g - g.mean()) ** 2).sum()) for g in groups if len(g)))
        counts.append(sum(len(g) for g in groups))
    scores = []
    for r in range(len(target)):
        if own_variance:
            v = squares[r] / counts[r] if counts[r] > 2 else NAN
        else:
            v = sum(squares) / sum(counts)
        m_in, m_out = mean(phi[e.inside[:, r], r]), mean(phi[~e.inside[:, r], r])
        v = max(v, 1e-60) if not numpy.isnan(v) else NAN
        scores.append((m_in - m_out) / v * (target[r] - (m_in + m_out) / 2))
    return scores, None


def bavaria(e, student, online):
    """Brännvall 2026: posterior predictive of a normal-inverse-gamma prior for each side."""
    phi, target = e.phi()
    prior = {}
    for side, mask in (("in", e.inside), ("out", ~e.inside)):
        pooled = phi[mask]
        if len(pooled) == 0:
            return [NAN] * len(target), None
        alpha0 = 2.0 if student else 1.0
        v = float(numpy.var(pooled))
        prior[side] = (float(numpy.mean(pooled)), alpha0, v * (alpha0 - 1) if alpha0 > 1 else v)

    def log_density(x, values, side):
        mu0, alpha0, beta0 = prior[side]
        n = len(values)
        m = mean(values) if n else mu0
        kappa, alpha = 1.0 + n, alpha0 + n / 2
        beta = beta0 + float(((values - m) ** 2).sum()) / 2 + n * (m - mu0) ** 2 / (2 * kappa)
        if student:
            scale2 = max(beta * (kappa + 1) / (alpha * kappa), 1e-60)
            mu = (mu0 + float(numpy.sum(values))) / kappa
            return scipy.stats.t.logpdf(x, 2 * alpha, mu, numpy.sqrt(scale2))
        v = max(beta / (alpha - 1) if alpha > 1 else beta, 1e-60)
        return scipy.stats.norm.logpdf(x, m, numpy.sqrt(v))

    scores = []
    for r in range(len(target)):
        inside = phi[e.inside[:, r], r] if online else numpy.array([])
        out = phi[~e.inside[:, r], r]
        scores.append(log_density(target[r], inside, "in") - log_density(target[r], out, "out"))
    return scores, None


def class_wise(e):
    """Song and Mittal 2021: for each class the threshold with the largest TPR - FPR on the
    reference models (the lowest such; half-way to the next value)."""
    references, target = e.outputs["modified_entropy"]
    labels = numpy.array(e.labels)
    thresholds = {}
    for y in set(e.labels):
        values = references[:, labels == y].ravel()
        members = e.inside[:, labels == y].ravel()
        distinct = sorted(set(values))
        best = (0.0, distinct[0] - 1.0)
        if members.all() or not members.any():
            best = (0.0, NAN)
        for i, t in enumerate(distinct):
            advantage = numpy.mean(values[members] <= t) - numpy.mean(values[~members] <= t) if best[1] == best[1] else 0
            if advantage > best[0] + 1e-12:
                following = distinct[i + 1] if i + 1 < len(distinct) else t + 1.0
                best = (advantage, (t + following) / 2)
        thresholds[y] = best[1]
    return [thresholds[y] - x for y, x in zip(e.labels, target)], None


def label_only(e):
    """ln P_in/P_out of being as right as the target, by counting, one added to either answer."""
    references, target = e.outputs["correct"]
    scores = []
    for r in range(len(target)):
        sides = [references[e.inside[:, r], r], references[~e.inside[:, r], r]]
        if min(map(len, sides)) == 0:
            scores.append(NAN)
            continue
        of_in, of_out = [(numpy.sum(s == target[r]) + 1) / (len(s) + 2) for s in sides]
        scores.append(float(numpy.log(of_in) - numpy.log(of_out)))
    return scores, None


def smyth_prior(variances, df):
    """d0 and s0^2 by the moments of ln s^2 (Smyth 2004, section 6.2). Variances below 1e-5
    of the median of the positive ones are raised to that."""
    variances, df = numpy.array(variances), numpy.array(df)
    variances = numpy.maximum(variances, 1e-5 * numpy.median(variances[variances > 0]))
    e = numpy.log(variances) - scipy.special.digamma(df / 2) + numpy.log(df / 2)
    excess = e.var(ddof=1) - numpy.mean(scipy.special.polygamma(1, df / 2))
    if excess <= 0:
        return numpy.inf, numpy.exp(e.mean())
    half = scipy.optimize.brentq(
        lambda x: scipy.special.polygamma(1, x) - excess, 1e-6, 1e9, xtol=1e-14, rtol=1e-15
    )
    return 2 * half, numpy.exp(e.mean() + scipy.special.digamma(half) - numpy.log(half))


def gmia_t(e):
    """After Long et al. 2018 with Student's t; records of fewer than ten OUT models have a
    moderated variance when there are at least ten records to learn the prior from."""
    phi, target = e.phi()
    groups = [phi[~e.inside[:, r], r] for r in range(len(target))]
    known = [g for g in groups if len(g) >= 2]
    prior = None
    variances = [float(numpy.var(g, ddof=1)) for g in known]
    if len(known) >= 10 and any(len(g) < 10 for g in known) and max(variances) > 0:
        prior = smyth_prior(variances, [len(g) - 1.0 for g in known])
        most = float(sum(len(g) - 1 for g in known))
    ranks = ecdf(e)
    p = []
    for r, g in enumerate(groups):
        n = len(g)
        if n < 2:
            p.append(NAN)
            continue
        v, df = float(numpy.var(g, ddof=1)), n - 1.0
        if prior is not None and n < 10:
            d0, s0 = prior
            if numpy.isinf(d0):
                v, df = s0, most
            else:
                v, df = (d0 * s0 + df * v) / (d0 + df), min(d0 + df, most)
        if v == 0:
            p.append(ranks[r])
        else:
            p.append(float(scipy.stats.t.sf((target[r] - g.mean()) / numpy.sqrt(v * (1 + 1 / n)), df)))
    return p


def gmia_pchip(e):
    references, target = e.losses()
    ranks = ecdf(e)
    p = []
    for r in range(len(target)):
        out = numpy.sort(references[~e.inside[:, r], r])
        k = len(out)
        knots = {value: (j + 1) / k for j, value in enumerate(out)}
        if len(knots) < 2:
            p.append(ranks[r])
        elif target[r] < out[0]:
            p.append(1 / (k + 1))
        elif target[r] >= out[-1]:
            p.append(1.0)
        else:
            curve = scipy.interpolate.PchipInterpolator(list(knots), list(knots.values()))
            p.append(max(float(curve(target[r])), 1 / (k + 1)))
    return p


def gmia(p):
    return [-numpy.log(max(x, TINY)) if x == x else NAN for x in p], p


def expected(case):
    e = Evidence(case)
    gamma, a = case["gamma"], case["offline_a"]
    found = {
        "loss": ([-x for x in e.losses()[1]], None),
        "confidence": (list(confidence(e.kind, e.queries[0][1])), None),
        "population": attack_p(e),
    }
    if e.outputs is not None:
        found["entropy"] = ([-x for x in e.outputs["entropy"][1]], None)
        found["modified-entropy"] = ([-x for x in e.outputs["modified_entropy"][1]], None)
        found["modified-entropy-class-wise"] = class_wise(e)
        found["gap"] = (list(e.outputs["correct"][1]), None)
        found["label-only"] = label_only(e)
    found |= {
        "reference": attack_r(e),
        "difficulty": difficulty(e),
        "sablayrolles": sablayrolles(e),
        "lira-online": lira(e, True, False),
        "lira-offline": lira(e, False, False),
        "lira-online-fixed": lira(e, True, True),
        "lira-offline-fixed": lira(e, False, True),
        "rmia-online": rmia(e, True, gamma, None),
        "rmia-offline": rmia(e, False, gamma, a),
        "base1-online": base1(e, True),
        "base1-offline": base1(e, False),
        "base2-online": base23(e, False),
        "base3-online": base23(e, True),
        "base4-online": lira(e, True, False),
        "bavaria-n-online": bavaria(e, False, True),
        "bavaria-n-offline": bavaria(e, False, False),
        "bavaria-t-online": bavaria(e, True, True),
        "bavaria-t-offline": bavaria(e, True, False),
        "gmia-direct t": gmia(gmia_t(e)),
        "gmia-direct ecdf": gmia(ecdf(e)),
        "gmia-direct pchip": gmia(gmia_pchip(e)),
    }
    if len(e.queries) > 1:
        # BASE4 takes the first query only
        first = dict(case, references=case["references"][:1], target=case["target"][:1])
        found["base4-online"] = lira(Evidence(first), True, False)
    return found


# --- the cases -------------------------------------------------------------------------


def complements(generator, models, records):
    rows = []
    for model in range(models):
        rows.append(~rows[-1] if model % 2 else generator.random(records) < 0.5)
    return numpy.array(rows)


def unbalanced(generator, models, records, share):
    """Every record IN and OUT at least three times."""
    while True:
        inside = generator.random((models, records)) < share
        if inside.sum(axis=0).min() >= 3 and (~inside).sum(axis=0).min() >= 3:
            return inside


def signals(generator, inside, spread=1.0):
    """Scaled logits: a centre and a spread of each record, members higher."""
    records = inside.shape[1]
    centre = 2.0 * generator.normal(size=records)
    scale = numpy.exp(0.4 * generator.normal(size=records))
    noise = spread * scale * generator.normal(size=inside.shape)
    return numpy.round(centre + noise + 1.2 * inside, 4)


def split(values):
    """The last model is the target."""
    return values[:-1], values[-1]


def case(name, why, seed, kind, references, inside, target, **rest):
    return {
        "name": name,
        "why": why,
        "seed": seed,
        "kind": kind,
        "gamma": 2.0,
        "offline_a": None,
        "temperature": 1.0,
        "clamp": 1e-12,
        "float32": False,
        "references": references,
        "inside": inside,
        "target": target,
        "labels": None,
        "population": None,
    } | rest


def random_cases():
    g = numpy.random.default_rng

    generator = g(1)
    inside = complements(generator, 13, 40)
    phi = signals(generator, inside)
    yield case("plain", "12 models in complementary pairs, no population: the audited records stand in", 1,
               "scaled-logit", [phi[:12]], inside[:12], [phi[12]])

    generator = g(2)
    inside = unbalanced(generator, 25, 40, 0.3)
    phi = signals(generator, inside)
    yield case("unbalanced", "24 models, records IN for about a third of them; some have ten OUT models and some fewer",
               2, "scaled-logit", [phi[:24]], inside[:24], [phi[24]], gamma=1.0)

    generator = g(3)
    inside = complements(generator, 13, 40)
    phi = signals(generator, inside)
    outside = signals(generator, numpy.zeros((13, 30), dtype=bool))
    yield case("population", "a population that is OUT of all models; a given", 3, "scaled-logit", [phi[:12]],
               inside[:12], [phi[12]], offline_a=0.3,
               population={"references": outside[:12], "target": outside[12], "inside": None})

    generator = g(4)
    inside = complements(generator, 13, 40)
    phi = signals(generator, inside)
    mask = unbalanced(generator, 13, 30, 0.4)
    other = signals(generator, mask)
    yield case("population-members", "a population whose records were IN some models: its mask counts; a tuned, gamma .5",
               4, "scaled-logit", [phi[:12]], inside[:12], [phi[12]], gamma=0.5,
               population={"references": other[:12], "target": other[12], "inside": mask[:12]})

    generator = g(5)
    inside = unbalanced(generator, 13, 40, 0.5)
    phi = signals(generator, inside)
    losses = numpy.round(loss("scaled-logit", phi), 5)
    yield case("losses", "losses as the signal", 5, "loss", [losses[:12]], inside[:12], [losses[12]], gamma=1.3)

    generator = g(6)
    inside = unbalanced(generator, 13, 40, 0.5)
    p = numpy.clip(numpy.round(confidence("scaled-logit", signals(generator, inside)), 5), 1e-5, 1 - 1e-5)
    yield case("confidences", "confidences as the signal", 6, "confidence", [p[:12]], inside[:12], [p[12]],
               offline_a=1.0)

    generator = g(7)
    inside = unbalanced(generator, 13, 40, 0.5)
    queries = [signals(generator, inside) for _ in range(3)]
    yield case("augmentations", "three query augmentations, which LiRA adds up and others ignore", 7, "scaled-logit",
               [q[:12] for q in queries], inside[:12], [q[12] for q in queries])

    generator = g(8)
    inside = complements(generator, 65, 40)
    phi = signals(generator, inside)
    yield case("many", "64 models: no variance is moderated", 8, "scaled-logit", [phi[:64]], inside[:64], [phi[64]])

    generator = g(9)
    inside = unbalanced(generator, 13, 40, 0.5)
    phi = signals(generator, inside).astype(numpy.float32).astype(float)
    yield case("float32", "the same numbers in float32; scores are computed in float64", 9, "scaled-logit", [phi[:12]],
               inside[:12], [phi[12]], float32=True)

    for name, kind, temperature, seed in [
        ("logits", "logits", 1.0, 10),
        ("logits-temperature", "logits", 2.0, 11),
        ("probabilities", "probabilities", 1.0, 12),
        ("probabilities-temperature", "probabilities", 2.0, 13),
    ]:
        generator = g(seed)
        records = 30
        inside = unbalanced(generator, 11, records, 0.5)
        labels = generator.integers(0, 4, size=records)
        z = 1.5 * generator.normal(size=(records, 4)) + generator.normal(size=(11, records, 4))
        z[:, numpy.arange(records), labels] += 1.0 + 1.2 * inside
        z = numpy.round(z, 3)
        rows = z
        if kind == "probabilities":
            rows = numpy.round(scipy.special.softmax(z, axis=2), 6)
        yield case(name, f"{kind} of four classes at temperature {temperature:g}", seed, kind, [rows[:10]], inside[:10],
                   [rows[10]], labels=labels.tolist(), temperature=temperature, gamma=1.0)


def degenerate_cases():
    half = numpy.array([[True, False, True], [False, True, True], [True, True, False], [False, False, False]])

    equal = numpy.full((4, 3), 0.25)
    yield case("all-equal", "every signal is the same", None, "scaled-logit", [equal], half, [[0.25, 0.25, 0.25]],
               offline_a=0.5)
    yield case("all-equal-but-target", "every reference signal is the same and the target's are not", None,
               "scaled-logit", [equal], half, [[0.25, 0.5, -1.0]], offline_a=0.5)

    phi = numpy.array([[1.5, 0.25, -1.0], [0.5, 2.0, 0.125], [2.5, -0.75, 1.0], [1.0, 0.5, -0.5]])
    inside = half.copy()
    inside[:, 0] = True
    yield case("in-everywhere", "the first record is IN for all models", None, "scaled-logit", [phi], inside,
               [[2.0, 0.0, 1.0]], offline_a=0.5, gamma=1.0)
    inside = half.copy()
    inside[:, 0] = False
    yield case("out-everywhere", "the first record is OUT of all models", None, "scaled-logit", [phi], inside,
               [[2.0, 0.0, 1.0]], offline_a=0.5, gamma=1.0)
    inside = numpy.ones((4, 3), dtype=bool)
    inside[0] = False
    yield case("one-out", "a single OUT model for each record", None, "scaled-logit", [phi], inside, [[2.0, 0.0, 1.0]],
               offline_a=0.5, gamma=1.0)
    inside = numpy.zeros((4, 3), dtype=bool)
    inside[1, 2] = True
    yield case("one-member", "one record is IN one model, and nobody else anywhere", None, "scaled-logit", [phi], inside,
               [[2.0, 0.0, 1.0]], offline_a=0.5, gamma=1.0)
    yield case("one-record", "a single record: nobody to compare with", None, "scaled-logit", [phi[:, :1]], half[:, :1],
               [[2.0]], offline_a=0.5)

    rows = numpy.array([
        [[1.0, 0.0, 0.0], [0.5, 0.25, 0.25], [0.0, 0.0, 1.0]],
        [[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.25, 0.25, 0.5]],
        [[0.0, 1.0, 0.0], [0.0, 0.5, 0.5], [0.0, 1.0, 0.0]],
        [[0.25, 0.5, 0.25], [1.0, 0.0, 0.0], [0.125, 0.375, 0.5]],
    ])
    yield case("certain", "probabilities of exactly 0 and 1, kept from infinity by the clamp; of equal ones the first is the model's answer",
               None, "probabilities", [rows], half, [[[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 1.0, 0.0]]], labels=[0, 1, 2], offline_a=0.5)


def plain(value):
    """For JSON: lists, and null for NaN."""
    if isinstance(value, dict):
        return {key: plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, numpy.ndarray):
        return plain((value.astype(int) if value.dtype == bool else value).tolist())
    if isinstance(value, (float, numpy.floating)):
        return None if numpy.isnan(value) else float(value)
    return value.item() if isinstance(value, numpy.generic) else value


def main():
    for old in HERE.glob("*.json"):
        old.unlink()
    numpy.seterr(invalid="raise", divide="raise", over="raise")
    for made in [*random_cases(), *degenerate_cases()]:
        results = {name: {"scores": scores, "p": p} for name, (scores, p) in expected(made).items()}
        lines = [f"{json.dumps(key)}: {json.dumps(plain(value))}" for key, value in made.items()]
        methods = [f"{json.dumps(name)}: {json.dumps(plain(value))}" for name, value in results.items()]
        lines.append('"expected": {\n' + ",\n".join(methods) + "\n}")
        (HERE / f"{made['name']}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    (HERE / "versions.txt").write_text(f"numpy {numpy.__version__}\nscipy {scipy.__version__}\n")


if __name__ == "__main__":
    main()
