"""Reference values for quantile regression, LT-IQR and tail shares, written beside this script.

    python3 generate.py

pinball.txt: held-out pinball losses of scikit-learn's two boosters at five levels, on made-up
records that the test makes again (`made_up`): GradientBoostingRegressor with the defaults of
giveaway (100 trees, depth 3, learning rate 0.1, leaves of 20), HistGradientBoostingRegressor
with its own, and the loss of one quantile for all records (numpy.quantile).

loss-trace.txt: losses of a record by epoch, and under them scipy.stats.iqr of the float32
values as float64.

tail.txt: training losses, test losses, then for each epsilon: the threshold numpy.quantile(
training, 1 - epsilon), the number and share of test losses above, and the Clopper-Pearson
interval at 95 % by scipy.stats.binomtest.
"""

import pathlib

import numpy
import scipy
import scipy.stats
import sklearn
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor
from sklearn.metrics import mean_pinball_loss

HERE = pathlib.Path(__file__).parent
LEVELS = [0.5, 0.75, 0.9, 0.95, 0.99]
VERSIONS = (
    f"# numpy {numpy.__version__}, scipy {scipy.__version__}, scikit-learn {sklearn.__version__}"
)


def uniform(row, column):
    """24 bits of splitmix64 of the place, in [0, 1)."""
    with numpy.errstate(over="ignore"):
        z = (row * numpy.uint64(16) + numpy.uint64(column + 1)) * numpy.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        z = z ^ (z >> numpy.uint64(31))
    return (z >> numpy.uint64(40)).astype(numpy.float64) / 2.0**24


def made_up(rows):
    row = numpy.arange(rows, dtype=numpy.uint64)
    u = [uniform(row, column) for column in range(10)]
    kind = numpy.floor(4.0 * u[5])
    centre = 2.0 * u[0] + 3.0 * u[1] * u[2] + numpy.where(kind == 2.0, 1.0, 0.0)
    noise = u[6] + u[7] + u[8] - 1.5 + 2.0 * u[9] * u[9] * u[9] * u[9]
    values = centre + (0.3 + 1.5 * u[3]) * noise
    features = numpy.stack([*u[:5], kind], axis=1).astype(numpy.float32)
    return features, values


def numbers(values):
    return " ".join(repr(float(value)) for value in values)


def pinball():
    features, values = made_up(8000)
    fitted, held = slice(0, 3000), slice(3000, 8000)
    lines = [VERSIONS, "# level constant GradientBoostingRegressor HistGradientBoostingRegressor"]
    for level in LEVELS:
        constant = numpy.full(5000, numpy.quantile(values[fitted], level))
        models = [
            GradientBoostingRegressor(
                loss="quantile", alpha=level, n_estimators=100, max_depth=3,
                learning_rate=0.1, min_samples_leaf=20, random_state=0,
            ),
            HistGradientBoostingRegressor(
                loss="quantile", quantile=level, early_stopping=False, random_state=0
            ),
        ]
        predictions = [constant] + [
            model.fit(features[fitted], values[fitted]).predict(features[held]) for model in models
        ]
        losses = [mean_pinball_loss(values[held], p, alpha=level) for p in predictions]
        lines.append(numbers([level, *losses]))
    (HERE / "pinball.txt").write_text("\n".join(lines) + "\n")


def loss_trace(generator):
    lines = [VERSIONS, "# losses by epoch; under them their interquartile range"]
    for epochs in [2, 3, 4, 5, 8, 17, 30, 100, 101]:
        losses = numpy.float32(numpy.exp(generator.normal(-1.0, 1.5, epochs)))
        lines.append(" ".join(str(loss) for loss in losses))
        lines.append(numbers([scipy.stats.iqr(losses.astype(numpy.float64))]))
    (HERE / "loss-trace.txt").write_text("\n".join(lines) + "\n")


def tail(generator):
    training = numpy.round(generator.exponential(0.3, 207), 4)
    test = numpy.round(generator.exponential(0.5, 93), 4)
    lines = [VERSIONS, "# training; test; then: epsilon threshold above share lower upper"]
    lines += [numbers(training), numbers(test)]
    for epsilon in [0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.9]:
        threshold = numpy.quantile(training, 1.0 - epsilon)
        above = int((test > threshold).sum())
        interval = scipy.stats.binomtest(above, len(test)).proportion_ci(0.95, "exact")
        lines.append(
            numbers([epsilon, threshold, above, above / len(test), interval.low, interval.high])
        )
    (HERE / "tail.txt").write_text("\n".join(lines) + "\n")


generator = numpy.random.default_rng(20250)
pinball()
loss_trace(generator)
tail(generator)
