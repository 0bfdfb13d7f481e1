"""Reference values for the privacy accounting of crates/stats, as CSV files beside this script.

    python3 generate.py         (half an hour, most of it for loss_distribution.csv)
    python3 generate.py renyi   (one file alone; see the end of this script)

dp-accounting's two accountants (Rényi, and privacy loss distributions in its pessimistic and
its optimistic form), the lower bounds of prv-accountant (Gopi, Lee and Wutschitz 2021), and
values that mpmath computes from the definition with 40 digits. dp-accounting and
prv-accountant need numpy below 2. The versions used are in versions.txt, written here.
Numbers are printed with repr, so that they read back to the same double.
"""

import csv
import importlib.metadata
import math
import pathlib
import sys
import time
import warnings

import dp_accounting
import numpy
import scipy.special
from dp_accounting import pld
from dp_accounting import rdp
from dp_accounting.pld import privacy_loss_distribution
from mpmath import mp, mpf
from prv_accountant import PoissonSubsampledGaussianMechanism, PRVAccountant

HERE = pathlib.Path(__file__).parent
mp.dps = 40
warnings.filterwarnings("ignore")

# the orders of dp-accounting that are written out in the tests as well
ORDERS = (
    [1 + x / 10 for x in range(1, 100)] + list(range(11, 64)) + [128, 256, 512, 1024]
)

RATES = [1e-4, 8e-4, 0.01, 0.1, 0.5, 1.0]
NOISE = [0.4, 0.7, 1.0, 2.0, 10.0]
STEPS = [1, 10, 1000, 100_000]
DELTAS = [1e-10, 1e-6, 1e-3]
# the setting of Khalil et al. (methods 4.3): batches of 128 of 157,859 records, 200 epochs
KNOWN = (128 / 157_859, 1.0, 246_800, 1 / 157_859)


def write(name, header, rows):
    with open(HERE / name, "w", newline="", encoding="ascii") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for row in rows:
            writer.writerow([repr(float(value)) for value in row])


def cases():
    yield KNOWN[:3], [KNOWN[3]]
    for rate in RATES:
        for noise in NOISE:
            for steps in STEPS:
                yield (rate, noise, steps), DELTAS


def event(rate, noise, steps):
    one = dp_accounting.GaussianDpEvent(noise)
    if rate < 1:
        one = dp_accounting.PoissonSampledDpEvent(rate, one)
    return dp_accounting.SelfComposedDpEvent(one, steps)


def renyi_epsilon(case, delta):
    accountant = rdp.RdpAccountant(ORDERS)
    accountant.compose(event(*case))
    return accountant.get_epsilon_and_optimal_order(delta)


def divergence(rate, noise, order):
    """The Rényi divergence of one step, from its definition: the mean of the density ratio's
    power under the Gaussian without the record, by the trapezoidal rule."""
    q, s, a = mpf(rate), mpf(noise), mpf(order)

    def integrand(x):
        ratio = 1 - q + q * mp.exp((2 * x - 1) / (2 * s * s))
        return mp.npdf(x, 0, s) * ratio**a

    # equal steps: for a function as smooth as this the error falls exponentially
    step = min(s / 8, s * s / 5)
    first, last = int(-16 * s / step), int((a + 16 * s) / step) + 1
    moment = step * mp.fsum(integrand(k * step) for k in range(first, last))
    return mp.log(moment) / (a - 1)


def orders():
    rows = []
    for rate in [1e-4, 8e-4, 0.01, 0.1, 0.5, 0.9, 1.0]:
        for noise in [0.3, 0.7, 1.0, 2.0, 10.0]:
            for order in [1.01, 1.25, 1.5, 2, 2.5, 3, 4.7, 8, 10.9, 16, 32.5, 64, 200]:
                rows.append([rate, noise, order, divergence(rate, noise, order)])
    write("renyi_orders.csv", ["rate", "noise_multiplier", "order", "divergence"], rows)


def divergences(rate, noise):
    """As divergence, for all ORDERS, in double precision."""
    found = []
    for order in ORDERS:
        step = min(noise / 8, noise * noise / 5)
        x = step * numpy.arange(int(-16 * noise / step), int((order + 16 * noise) / step) + 1)
        exponent = (2 * x - 1) / (2 * noise * noise)
        ratio = numpy.log(rate) + exponent
        if rate < 1:
            ratio = numpy.logaddexp(numpy.log1p(-rate), ratio)
        terms = -0.5 * (x / noise) ** 2 + order * ratio
        moment = scipy.special.logsumexp(terms) + math.log(step / noise / math.sqrt(2 * math.pi))
        found.append(moment / (order - 1))
    return numpy.array(found)


def renyi():
    """dp-accounting's epsilon; and epsilon of the same orders from the definition, since
    dp-accounting ends its series of fractional orders early."""
    rows = []
    a = numpy.array(ORDERS)
    for case, deltas in cases():
        total = case[2] * divergences(*case[:2])
        for delta in deltas:
            of_order = total + numpy.log1p(-1 / a) - (math.log(delta) + numpy.log(a)) / (a - 1)
            rows.append([*case, delta, renyi_epsilon(case, delta)[0], max(0, of_order.min())])
    header = ["rate", "noise_multiplier", "steps", "delta", "epsilon", "definition"]
    write("renyi.csv", header, rows)


def distribution(case, interval, pessimistic):
    rate, noise, steps = case
    one = privacy_loss_distribution.from_gaussian_mechanism(
        noise,
        pessimistic_estimate=pessimistic,
        value_discretization_interval=interval,
        sampling_prob=rate,
        use_connect_dots=pessimistic,
    )
    return one.self_compose(steps)


def prv_lower(case, delta, scale):
    """A lower bound on epsilon; NaN where the package gives up."""
    rate, noise, steps = case
    if rate == 1:
        return math.nan
    error = max(scale / 100, 5e-3)
    mechanism = PoissonSubsampledGaussianMechanism(
        sampling_probability=rate, noise_multiplier=noise
    )
    try:
        accountant = PRVAccountant(
            prvs=mechanism, eps_error=error, delta_error=delta / 1000, max_self_compositions=steps
        )
        return accountant.compute_epsilon(delta=delta, num_self_compositions=[steps])[0]
    except Exception as refused:  # its ranges are limited, and it says so by many types
        print("prv-accountant:", case, delta, type(refused).__name__, flush=True)
        return math.nan


def loss_distributions():
    """One row for each case with an epsilon that somebody may claim: from 0.02 to 60."""
    rows = []
    for case, deltas in cases():
        scales = [renyi_epsilon(case, delta)[0] for delta in deltas]
        wanted = [(d, s) for d, s in zip(deltas, scales) if 0.02 < s < 60]
        if not wanted:
            continue
        begun = time.time()
        smallest = min(scale for _, scale in wanted)
        # fine beside the losses of one step as well, whose deviation is about this
        deviation = case[0] * math.sqrt(math.expm1(1 / case[1] ** 2))
        interval = min(1e-4, max(min(smallest / 1000, deviation / 8), 2e-6))
        upper = distribution(case, interval, True)
        # rounding each loss down costs up to an interval for each step
        fine = max(min(interval, smallest / 20 / case[2]), 5e-6)
        lower = distribution(case, fine, False) if case[2] <= 1000 else None
        for delta, scale in wanted:
            rows.append(
                [
                    *case,
                    delta,
                    interval,
                    upper.get_epsilon_for_delta(delta),
                    fine if lower else math.nan,
                    lower.get_epsilon_for_delta(delta) if lower else math.nan,
                    prv_lower(case, delta, scale) if delta > 1e-8 else math.nan,
                ]
            )
        print(case, f"{time.time() - begun:.1f} s", rows[-1][3:], flush=True)
        write(
            "loss_distribution.csv",
            [
                "rate",
                "noise_multiplier",
                "steps",
                "delta",
                "interval",
                "epsilon",
                "optimistic_interval",
                "optimistic_epsilon",
                "prv_lower",
            ],
            rows,
        )


def gaussian():
    """Delta of the plain Gaussian, by the formula of Balle and Wang (2018)."""
    rows = []
    for noise in [0.3, 1, 3, 30]:
        for steps in [1, 7, 1000]:
            mu = mp.sqrt(mpf(steps)) / mpf(noise)
            for part in [0, 0.1, 0.5, 1, 2, 4]:
                epsilon = float(part * (mu * mu / 2 + mu))
                e = mpf(epsilon)
                delta = mp.ncdf(mu / 2 - e / mu) - mp.exp(e) * mp.ncdf(-mu / 2 - e / mu)
                rows.append([noise, steps, epsilon, delta])
    write("gaussian.csv", ["noise_multiplier", "steps", "epsilon", "delta"], rows)


def noise():
    """The noise that dp-accounting's calibration finds."""
    rows = []
    for rate, steps in [(0.01, 1000), (0.1, 200), (0.001, 100_000), (1.0, 100)]:
        for epsilon in [0.5, 2.0, 8.0]:
            for delta in [1e-5, 1e-8]:
                found = []
                for make in (lambda: rdp.RdpAccountant(ORDERS), pld.PLDAccountant):
                    found.append(
                        dp_accounting.calibrate_dp_mechanism(
                            make,
                            lambda sigma: event(rate, sigma, steps),
                            epsilon,
                            delta,
                            dp_accounting.ExplicitBracketInterval(0.2, 1000.0),
                            tol=1e-5,
                        )
                    )
                rows.append([rate, steps, epsilon, delta, *found])
                print("noise", rows[-1], flush=True)
    write("noise.csv", ["rate", "steps", "epsilon", "delta", "renyi", "loss_distribution"], rows)


if __name__ == "__main__":
    wanted = sys.argv[1:] or ["orders", "renyi", "gaussian", "loss_distributions", "noise"]
    (HERE / "versions.txt").write_text(
        "".join(
            f"{name} {importlib.metadata.version(name)}\n"
            for name in ["dp-accounting", "prv-accountant", "numpy", "scipy", "mpmath"]
        ),
        encoding="ascii",
    )
    for name in wanted:
        globals()[name]()
