"""Answers behind logit reweighting (Khalil et al. 2025, with the choices that reweight.rs
documents) and which inputs lie apart, from the definitions in numpy. Writes values.json."""

import json
import pathlib

import numpy

HERE = pathlib.Path(__file__).parent
WEIGHT, SHARE = 0.1, 0.2


def exchanged(row, label):
    """The label is the largest entry."""
    row = row.copy()
    top = int(row.argmax())
    row[[top, label]] = row[[label, top]]
    return row


def main():
    generator = numpy.random.default_rng(8)
    records, classes = 60, 4
    labels = generator.integers(0, 3, records)
    labels[50:] = 3
    rows = numpy.concatenate([numpy.arange(30), [4, 4, 7]])  # class 3 is in no training set
    z = generator.normal(size=(records, classes)) * 2 + 3 * numpy.eye(classes)[labels] - 0.5
    # class 2 is mistaken for class 1 on average
    z[labels == 2] -= 3.5 * numpy.eye(classes)[2]
    z = numpy.round(z, 4).astype(numpy.float32).astype(float)
    training, of = z[rows], labels[rows]
    means = numpy.zeros((classes, classes))
    for c in range(classes):
        if (of == c).any():
            means[c] = training[of == c].mean(axis=0)
        else:
            means[c] = exchanged(training.mean(axis=0), c)
    predicted = z.argmax(axis=1)

    cosines, answers = [], []
    for row, label in zip(z, predicted):
        mean = means[label]
        cosine = row @ mean / numpy.linalg.norm(row) / numpy.linalg.norm(mean)
        s = WEIGHT * max(cosine, 0)
        cosines.append(cosine)
        answers.append(exchanged(s * row + (1 - s) * mean, label))

    present = [c for c in range(classes) if (of == c).any()]
    centroids = {c: training[of == c].mean(axis=0) for c in present}
    measures = []
    for row, label in zip(z, predicted):
        if label not in present:
            measures.append(numpy.inf)
            continue
        to = {c: numpy.linalg.norm(row - centroids[c]) for c in present}
        measures.append(to.pop(label) - min(to.values()))
    measures = numpy.array(measures)
    own = numpy.sort(measures[rows])
    threshold = own[int(numpy.ceil((1 - SHARE) * len(own))) - 1]
    outlying = measures > threshold

    assert min(cosines) < 0 and means[2].argmax() != 2 and (predicted == 3).any()
    assert (predicted == 2).any() and 0 < outlying[rows].mean() <= SHARE
    assert numpy.isfinite(threshold)
    values = {
        "numpy": numpy.__version__,
        "weight": WEIGHT,
        "share": SHARE,
        "logits": z.tolist(),
        "labels": labels.tolist(),
        "rows": rows.tolist(),
        "means": means.tolist(),
        "cosines": cosines,
        "answers": numpy.array(answers).tolist(),
        "outlying": outlying.tolist(),
    }
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in values.items()]
    (HERE / "values.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
