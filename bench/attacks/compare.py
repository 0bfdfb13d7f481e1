"""The attacks beside numpy: the same scores, and how long each takes.

    python3 compare.py [--models 64] [--records 100000] [--rounds 5]

numpy and scipy code as somebody who knows them would write it, from the papers' formulas:
whole arrays [models, records], masked sums, one sort and `searchsorted` for RMIA. Ours is
`cargo run --release -p giveaway --example attack_speed`. Both read the same float64 arrays and
are timed without reading them, in turns; the figure of each is the median of its rounds.
Ours starts from the raw arrays every time, and so does numpy. Exit code 1 if any score differs
by more than 1e-6, relative.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
from scipy import special

ROOT = pathlib.Path(__file__).resolve().parents[2]
GAMMA, A = 2.0, 0.3


def sides(x, inside):
    """Count, mean and sum of squared deviations, IN and OUT."""
    out = []
    for mask in (inside, ~inside):
        n = mask.sum(0)
        mean = np.sum(x, axis=0, where=mask) / n
        d = x - mean
        np.square(d, out=d)
        out.append((n, mean, np.sum(d, axis=0, where=mask)))
    return out


def lira(phi, t, inside, online, fixed):
    (n_in, m_in, q_in), (n_out, m_out, q_out) = sides(phi, inside)
    s_out = np.sqrt(q_out.sum() / n_out.sum() if fixed else q_out / n_out)
    z_out = (t - m_out) / s_out
    if not online:
        return special.log_ndtr(z_out)
    s_in = np.sqrt(q_in.sum() / n_in.sum() if fixed else q_in / n_in)
    z_in = (t - m_in) / s_in
    return 0.5 * (z_out**2 - z_in**2) + np.log(s_out / s_in)


def confidence(phi):
    return 1.0 / (1.0 + np.exp(-phi))


def rmia(phi, t, inside, online):
    p, p_t = confidence(phi), confidence(t)
    p_out = np.sum(p, axis=0, where=~inside) / (~inside).sum(0)
    if online:
        mean = (np.sum(p, axis=0, where=inside) / inside.sum(0) + p_out) / 2
    else:
        mean = ((1 + A) * p_out + (1 - A)) / 2
    ratio = p_t / mean
    beaten = np.searchsorted(np.sort(GAMMA * ratio), ratio, side="right")
    return (beaten - (ratio >= GAMMA * ratio)) / (len(ratio) - 1)


def base1(phi, t, inside, online):
    p = confidence(phi)
    mean = p.mean(0) if online else np.sum(p, axis=0, where=~inside) / (~inside).sum(0)
    return -np.logaddexp(0, -t) - np.log(mean)


def base23(phi, t, inside, own):
    (n_in, m_in, q_in), (n_out, m_out, q_out) = sides(phi, inside)
    v = (q_in + q_out) / (n_in + n_out) if own else (q_in.sum() + q_out.sum()) / phi.size
    return (m_in - m_out) / v * (t - (m_in + m_out) / 2)


def bavaria(phi, t, inside, student, online):
    def side(n, mean, q, prior_only):
        total = n.sum()
        mu = (n * mean).sum() / total
        v = (q + n * (mean - mu) ** 2).sum() / total
        alpha0 = 2.0 if student else 1.0
        if prior_only:
            n, mean, q = np.zeros(1), np.full(1, mu), np.zeros(1)
        kappa, alpha = 1 + n, alpha0 + n / 2
        beta = v + q / 2 + n * (mean - mu) ** 2 / (2 * kappa)
        if student:
            scale2 = beta * (kappa + 1) / (alpha * kappa)
            nu = 2 * alpha
            return (special.gammaln((nu + 1) / 2) - special.gammaln(nu / 2) - 0.5 * np.log(nu * scale2)
                    - (nu + 1) / 2 * np.log1p((t - (mu + n * mean) / kappa) ** 2 / (nu * scale2)))
        variance = beta / np.where(alpha > 1, alpha - 1, 1.0)
        return -0.5 * np.log(variance) - (t - mean) ** 2 / (2 * variance)

    inside_side, out_side = sides(phi, inside)
    return side(*inside_side, not online) - side(*out_side, False)


def losses(phi):
    return np.logaddexp(0, -phi)


def difficulty(phi, t, inside):
    return np.sum(losses(phi), axis=0, where=~inside) / (~inside).sum(0) - losses(t)


def sablayrolles(phi, t, inside):
    x = losses(phi)
    mean = (np.sum(x, axis=0, where=inside) / inside.sum(0) + np.sum(x, axis=0, where=~inside) / (~inside).sum(0)) / 2
    return mean - losses(t)


def ecdf(phi, t, inside):
    out = ~inside
    return -np.log((1 + ((phi >= t) & out).sum(0)) / (1 + out.sum(0)))


METHODS = {
    "lira-online": lambda *a: lira(*a, True, False),
    "lira-offline": lambda *a: lira(*a, False, False),
    "lira-online-fixed": lambda *a: lira(*a, True, True),
    "lira-offline-fixed": lambda *a: lira(*a, False, True),
    "rmia-online": lambda *a: rmia(*a, True),
    "rmia-offline": lambda *a: rmia(*a, False),
    "base1-online": lambda *a: base1(*a, True),
    "base1-offline": lambda *a: base1(*a, False),
    "base2-online": lambda *a: base23(*a, False),
    "base3-online": lambda *a: base23(*a, True),
    "base4-online": lambda *a: lira(*a, True, False),
    "bavaria-n-online": lambda *a: bavaria(*a, False, True),
    "bavaria-n-offline": lambda *a: bavaria(*a, False, False),
    "bavaria-t-online": lambda *a: bavaria(*a, True, True),
    "bavaria-t-offline": lambda *a: bavaria(*a, True, False),
    "difficulty": difficulty,
    "sablayrolles": sablayrolles,
    "gmia-direct-ecdf": ecdf,
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=int, default=64)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    generator = np.random.default_rng(1)
    inside = generator.random((options.models, options.records)) < 0.5
    phi = 2 * generator.normal(size=options.records) + generator.normal(size=inside.shape) + 1.2 * inside
    t = 2 * generator.normal(size=options.records)
    build = ["cargo", "build", "-q", "--release", "-p", "giveaway", "--example", "attack_speed"]
    subprocess.run(build, cwd=ROOT, check=True)
    theirs = {name: [] for name in METHODS}
    ours = {name: [] for name in METHODS}
    differences = {}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        phi.tofile(folder / "signals.raw")
        t.tofile(folder / "target.raw")
        inside.tofile(folder / "inside.raw")
        command = [ROOT / "target/release/examples/attack_speed", "--folder", folder, "--models", str(options.models),
                   "--records", str(options.records), "--repeat", "3", "--dump"]
        for _ in range(options.rounds):
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            for name, method in METHODS.items():
                ours[name].append(found[name])
                start = time.perf_counter()
                scores = method(phi, t, inside)
                theirs[name].append(time.perf_counter() - start)
                own = np.fromfile(folder / f"{name}.raw")
                scale = np.maximum(np.abs(scores), 1e-9)
                differences[name] = float(np.max(np.abs(own - scores) / scale))
    print("| method | numpy, ms | giveaway, ms | times faster | largest relative difference |\n|---|---|---|---|---|")
    for name in METHODS:
        a, b = statistics.median(theirs[name]), statistics.median(ours[name])
        print(f"| {name} | {1e3 * a:.1f} | {1e3 * b:.1f} | {a / b:.1f} | {differences[name]:.0e} |")
    if max(differences.values()) > 1e-6:
        sys.exit("scores differ")


if __name__ == "__main__":
    main()
