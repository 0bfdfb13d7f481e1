"""Bounds on epsilon from jax_privacy's CanaryScoreAuditor, written to jax_privacy.csv.

    pip install --no-deps jax_privacy==2.0.0 && pip install dp_accounting==0.6.0
    python3 jax_privacy_reference.py

Scores are small integers, so that there are ties. jax_privacy searches epsilon of the audit in one
run to 1e-6; the Clopper-Pearson bounds are closed formulas. Its attack_auroc is the area under the concave hull of the curve, not
P[s_m > s_n] + 1/2 P[s_m = s_n], so it is no reference for ours.
"""

import csv
import importlib.util
import pathlib
import sys

import numpy

# auditing.py alone: the package would import jax, which it does not need
folder = importlib.util.find_spec("jax_privacy").submodule_search_locations[0]
spec = importlib.util.spec_from_file_location("auditing", pathlib.Path(folder) / "auditing.py")
auditing = importlib.util.module_from_spec(spec)
sys.modules["auditing"] = auditing
spec.loader.exec_module(auditing)

rng = numpy.random.default_rng(20261130)
rows = []
for members, others, shift, spread in [(300, 280, 3, 2), (50, 60, 1, 2), (1000, 1000, 2, 8), (200, 210, -1, 3),
                                       (2000, 2000, 40, 30)]:
    m = numpy.round(rng.normal(size=members) * spread + shift)
    n = numpy.round(rng.normal(size=others) * spread)
    auditor = auditing.CanaryScoreAuditor(m, n)
    for delta in [1e-7, 1e-4]:
        explicit = auditing.Explicit(float(shift))
        values = [
            auditor.epsilon_one_run(0.05, delta),
            auditor.epsilon_one_run(0.05, delta, threshold_strategy=explicit),
            auditor.epsilon_clopper_pearson(0.05, delta),
            auditor.epsilon_clopper_pearson(0.05, delta, one_sided=False),
            auditor.epsilon_clopper_pearson(0.05, delta, threshold_strategy=explicit),
        ]
        rows.append([" ".join(str(int(v)) for v in m), " ".join(str(int(v)) for v in n), repr(float(shift)),
                     repr(delta)] + [repr(float(v)) for v in values])

with open(pathlib.Path(__file__).parent / "jax_privacy.csv", "w", newline="", encoding="ascii") as file:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["members", "non_members", "threshold", "delta", "one_run", "one_run_explicit", "clopper_pearson",
                     "clopper_pearson_both_sides", "clopper_pearson_explicit"])
    writer.writerows(rows)
