"""Indirect inference on one data set: the ablation of the search, the distance of the queries, and
the figures of docs/indirect.md.

    python3 indirect.py --binary giveaway --out OUT [--only ablation,distance] [--seed 0]
                        [--records 50] [--source adult] [--options "--train-size 10000"]
    python3 indirect.py --figures calibration.json --out docs/figures
    python3 indirect.py --tables independent.json,planted.json,calibration.json,bound.json

What is in OUT already is not done again. One run directory is used for everything, so that models
are trained once; the results are copies of its report.json. Needs numpy alone.

With --figures and --tables nothing is run: quantile plots are drawn, and tables made, from what the
example `indirect_study` wrote.
"""

import argparse
import json
import math
import shlex
import subprocess
import sys
import time
from pathlib import Path

MULTIPLES = [0.5, 1, 1.5, 2, 3]
ABLATION = {
    "random queries": ["--indirect-without", "selection,optimisation,confirmation"],
    "+ confirmation only": ["--indirect-without", "selection,optimisation"],
    "+ selection": ["--indirect-without", "optimisation,confirmation"],
    "+ selection, optimisation": ["--indirect-without", "confirmation"],
    "+ selection, confirmation": ["--indirect-without", "optimisation"],
    "all": [],
    "all, paired models": ["--indirect-build", "paired"],
}
TESTS = ["kost", "fisher", "empirical", "discriminant"]
LEVEL = 0.01
COLOURS = {"kost": "#1f5fa8", "empirical": "#2b8a3e", "discriminant": "#b35900", "fisher": "#a61e4d",
           "direct": "#555555"}


class Bench:
    """Runs the program, and remembers what came out."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.out = Path(arguments.out)
        (self.out / "results").mkdir(parents=True, exist_ok=True)

    def report(self, name, options):
        """The report's section of this name, with the seconds that it took."""
        path = self.out / "results" / f"{name}.json"
        if not path.exists():
            given = self.arguments
            command = [given.binary, "audit", given.source, *shlex.split(given.options), "--seed", str(given.seed),
                       "--attacks", "none", "--indirect", "--indirect-records", str(given.records), *options,
                       "--run", str(self.out / "run"), "--quiet", "--json"]
            began = time.time()
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"{shlex.join(command)}\n{done.stderr}")
            section = json.loads(done.stdout)["indirect"]
            result = {"command": shlex.join(command), "seconds": round(time.time() - began, 1), "indirect": section}
            path.with_suffix(".part").write_text(json.dumps(result))
            path.with_suffix(".part").rename(path)
            print(f"{time.strftime('%H:%M:%S')} {name} {result['seconds']} s", file=sys.stderr, flush=True)
        return json.loads(path.read_text())


def shown(estimate, digits=3):
    if estimate["value"] is None:
        return "n/a"
    ends = [estimate["lower"], estimate["upper"]]
    interval = "" if None in ends else f" [{ends[0]:.{digits}f}, {ends[1]:.{digits}f}]"
    return f"{estimate['value']:.{digits}f}{interval}"


def rates(section, test, queries):
    """At the level: precision, recall and false-positive rate; and the AUC."""
    for entry in section["rates"]:
        if entry["test"] == test and entry["queries"] == queries:
            at = next(level for level in entry["levels"] if math.isclose(level["level"], LEVEL))
            return at["precision"], at["recall"], at["false_positive_rate"], entry["auc"]
    return None


def row(section, test, queries):
    found = rates(section, test, queries)
    return ["n/a"] * 4 if found is None else [shown(estimate) for estimate in found]


def most(section):
    return max(entry["queries"] for entry in section["rates"])


def table(head, rows):
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head),
                      *("| " + " | ".join(map(str, cells)) + " |" for cells in rows)])


FIGURES = ["precision", "recall", "FPR", "AUC"]


def ablation(bench):
    """What each step of the search is worth, with all queries; and the combinations with all steps."""
    reports = {title: bench.report(f"ablation-{number}", options)
               for number, (title, options) in enumerate(ABLATION.items())}
    steps = []
    for title, report in reports.items():
        section = report["indirect"]
        for test in ["kost", "discriminant"]:
            steps.append([title, test, section["tested"], *row(section, test, most(section)),
                          section["cost"]["models_trained"], report["seconds"]])
    section = reports["all"]["indirect"]
    budgets = sorted({entry["queries"] for entry in section["rates"] if entry["queries"] > 0})
    combinations = [["direct", "", *row(section, "direct", 0)]]
    combinations += [[test, queries, *row(section, test, queries)] for test in TESTS for queries in budgets]
    return "\n".join([
        "### Steps of the search", "", f"All queries, p < {LEVEL}.", "",
        table(["search", "combination", "records tested", *FIGURES, "models trained", "seconds"], steps), "",
        "### Combinations", "", f"All steps, p < {LEVEL}.", "",
        table(["combination", "queries", *FIGURES], combinations), ""])


def distance(bench):
    """Power by how far from the record every query stays, and what a filter of that radius refuses."""
    rows = []
    for multiple in MULTIPLES:
        report = bench.report(f"distance-{multiple}", ["--indirect-distance", str(multiple)])
        section = report["indirect"]
        records = section["records"]
        changed = [query["columns_changed"] for record in records for query in record["shown"]
                   if query.get("columns_changed") is not None]
        floors = sorted(record["floor"] for record in records)
        # The radius that would have to be filtered to stop one query in ten, half of them, and all.
        filters = section["filters"]
        refuses = [next((f for f in filters if f["stops"] >= share), None) for share in [0.1, 0.5, 1.0]]
        rows.append([
            multiple, f"{section['tested']} of {section['settings']['records']}",
            f"{floors[len(floors) // 2]:.2f}", f"{section['smallest_distance']:.2f}",
            f"{sum(changed) / len(changed):.1f}" if changed else "n/a",
            *row(section, "kost", most(section))[:3], row(section, "discriminant", most(section))[1],
            *("n/a" if f is None else f"{f['refuses']:.3f} (r {f['radius']:.2f})" for f in refuses)])
    head = ["floor", "records tested", "median floor", "smallest distance", "columns changed", "precision", "recall",
            "FPR", "recall, discriminant", "refused to stop 10 %", "to stop 50 %", "to stop all"]
    note = ("Kost with all queries, p < .01. The floor is in multiples of the distance of the nearest real record; "
            "columns changed: mean over the five first queries of each record. Refused: share of the other records "
            "that a filter refuses whose radius stops this share of the queries.")
    return "\n".join(["### Distance", "", note, "", table(head, rows), ""])


def plot(lines, title, note, band=()):
    """Uniform quantiles against those of p-values, both logarithmic."""
    low, size, left, top = 1e-4, 420, 70, 60

    def x(p):
        return left + size * (1 - math.log10(max(p, low)) / math.log10(low))

    def y(p):
        return top + size * math.log10(max(p, low)) / math.log10(low)

    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 660 560" font-family="sans-serif" font-size="13">',
             '<rect width="660" height="560" fill="#ffffff"/>',
             f'<text x="{left}" y="24" font-size="15" fill="#222222">{title}</text>',
             f'<text x="{left}" y="44" fill="#555555">{note}</text>']
    for power in range(0, 5):
        p = 10.0 ** -power
        label = "1" if power == 0 else f"10⁻{'⁰¹²³⁴'[power]}"
        parts += [f'<path d="M{x(p):.1f} {top}V{top + size}M{left} {y(p):.1f}H{left + size}" stroke="#dddddd"/>',
                  f'<text x="{x(p):.1f}" y="{top + size + 18}" text-anchor="middle" fill="#222222">{label}</text>',
                  f'<text x="{left - 8}" y="{y(p) + 4:.1f}" text-anchor="end" fill="#222222">{label}</text>']
    parts += [f'<path d="M{left} {top + size}L{left + size} {top}" stroke="#222222" stroke-dasharray="5 4"/>',
              f'<text x="{left + size / 2}" y="{top + size + 42}" text-anchor="middle" fill="#222222">expected of uniform p-values</text>',
              f'<text transform="translate(22 {top + size / 2}) rotate(-90)" text-anchor="middle" fill="#222222">p-value of non-members</text>']
    for level, lower, upper in band:
        # Where so many p-values are at most the level, the level stands against that share.
        parts.append(f'<path d="M{x(lower):.1f} {y(level):.1f}H{x(upper):.1f}" stroke="{COLOURS["kost"]}" stroke-width="5" stroke-opacity="0.3"/>')
    for number, (name, colour, dash, points) in enumerate(lines):
        path = "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in points if a >= low)
        style = f'stroke="{colour}" stroke-width="2" fill="none"' + (f' stroke-dasharray="{dash}"' if dash else "")
        height = top + 14 + 22 * number
        parts += [f'<path d="M{path}" {style}/>', f'<path d="M510 {height}H540" {style}/>',
                  f'<text x="548" y="{height + 4}" fill="#222222">{name}</text>']
    return "\n".join([*parts, "</svg>", ""])


def figures(source, out):
    """Quantile plots of the calibration: by combination, and of Kost by number of queries."""
    found = json.loads(Path(source).read_text())["all"]
    out.mkdir(parents=True, exist_ok=True)
    about = f"{found['targets']} targets, {found['records']} records that none was trained on"

    def of(test, queries):
        return next(t for t in found["tests"] if t["test"] == test and t["queries"] == queries)

    def band(test):
        points = [(at["level"], at["share"]["lower"], at["share"]["upper"]) for at in test["calibration"]["at"]]
        return [(level, lower, upper) for level, lower, upper in points if lower and upper and level < 0.5]

    for queries in [10, 200]:
        lines = [(name, COLOURS[name], "", of(name, queries)["quantiles"]) for name in TESTS]
        lines.append(("direct", COLOURS["direct"], "2 3", of("direct", 0)["quantiles"]))
        text = plot(lines, f"p-values of non-members, {queries} queries", f"{about}; bars: 95 % intervals, Kost",
                    band(of("kost", queries)))
        (out / f"indirect_calibration_{queries}.svg").write_text(text)
    shades = {1: "#9dbfe0", 10: "#5e95cd", 50: "#1f5fa8", 200: "#0b2f5c"}
    lines = [(f"{queries} queries", shades[queries], "", of("kost", queries)["quantiles"]) for queries in shades]
    (out / "indirect_calibration_budget.svg").write_text(plot(lines, "p-values of non-members, Kost", about))


def table_independent(found):
    apart, testing = found["independent"]
    rows = [[a["test"], a["queries"], f"{a['statistic']:.3f}", f"{a['p']:.2g}",
             *(f"{a['at'][level]:.3f}" for level in ["0.01", "0.05", "0.1"]), f"{b['p']:.1g}"]
            for a, b in zip(apart["tests"], testing["tests"])]
    head = ["combination", "queries", "D⁺", "KS p", "p ≤ .01", "p ≤ .05", "p ≤ .1", "KS p, built by the models that test"]
    return "\n".join([f"{apart['with_queries']} of {apart['draws']} draws have queries, "
                      f"{apart['mean_queries']:.0f} on average.", "", table(head, rows)])


def shares(test):
    at = {point["level"]: point["share"] for point in test["calibration"]["at"]}
    return [shown(at[level], 4) for level in [0.001, 0.01, 0.05, 0.1]]


def table_calibration(found):
    lines = [f"{found['with_queries']} of {found['held_out']} records have queries. Share of non-members with p at most the level.", ""]
    for key, title in [("all", "All, on targets that no record is in"), ("most_vulnerable", "The most vulnerable"),
                       ("at_random", "At random"), ("leave_one_out", "All, on the models that test (exchangeable)")]:
        if found[key]["records"] == 0 or (key == "at_random" and found["vulnerable"] == 0):
            continue
        rows = [[test["test"], test["queries"] or "", *shares(test)] for test in found[key]["tests"]]
        lines += [f"{title}: {found[key]['records']} records, {found[key]['targets']} targets.", "",
                  table(["test", "queries", ".001", ".01", ".05", ".1"], rows), ""]
    return "\n".join(lines)


def table_planted(found):
    lines = []
    for key, level, title in [("isolated", 0.01, "Isolated records"), ("inliers", 0.05, "Other records")]:
        part = found[key]
        rows = []
        for test in part["tests"]:
            at = next(x for x in test["rates"]["levels"] if math.isclose(x["level"], level))
            rows.append([test["test"], test["queries"] or "",
                         *(shown(at[figure]) for figure in ["precision", "recall", "false_positive_rate"])])
        lines += [f"{title}: {part['records']}, {part['targets']} targets, p < {level}.", "",
                  table(["test", "queries", "precision", "recall", "FPR"], rows), ""]
    ratio = min(r["smallest_distance"] / r["floor"] for r in found["records"])
    lines.append(f"The smallest distance of a query, in multiples of its floor: {ratio:.3f}.")
    return "\n".join(lines)


def table_bound(found):
    def best(parts):
        return shown(max((part["counted"] for part in parts), key=lambda estimate: estimate["value"]))

    rows = []
    for budget in found["budgets"]:
        achieved = {entry["test"]: entry for entry in budget["achieved"]}
        rows.append([budget["queries"], shown(budget["in_sample"]), shown(budget["unbiased"]),
                     best(budget["linear_on_other_models"]), best(budget["quadratic_on_other_models"]),
                     *(shown(achieved[test]["recall"]) for test in ["kost", "discriminant"]),
                     *(shown(achieved[test]["recall_at_true_level"]) for test in ["kost", "discriminant"]),
                     *(shown(achieved[test]["false_positive_rate"], 4) for test in ["kost", "discriminant"])])
    head = ["queries", "in sample", "bias taken off", "linear, other models", "quadratic, other models", "kost, p < .01",
            "discriminant, p < .01", "kost at a true FPR of .01", "discriminant at a true FPR of .01", "FPR of kost",
            "FPR of discriminant"]
    direct = found["direct"]
    return "\n".join([
        f"{found['with_queries']} of {found['records']} records have queries, {found['mean_queries']:.0f} on average; "
        f"{found['true_models']} true models. Asking the record itself: {shown(direct['normal'])} if normal, "
        f"{shown(direct['counted'])} counted.", "", table(head, rows)])


def tables(paths):
    makers = {"independent": table_independent, "held_out": table_calibration, "inliers": table_planted,
              "budgets": table_bound}
    for path in paths:
        found = json.loads(Path(path).read_text())
        make = next(maker for key, maker in makers.items() if key in found)
        print(make(found), end="\n\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="giveaway")
    parser.add_argument("--out", default="out")
    parser.add_argument("--only", default="ablation,distance")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--records", type=int, default=50)
    parser.add_argument("--source", default="adult")
    parser.add_argument("--options", default="--train-size 10000")
    parser.add_argument("--figures")
    parser.add_argument("--tables")
    arguments = parser.parse_args()
    if arguments.tables:
        tables(arguments.tables.split(","))
        return
    if arguments.figures:
        figures(arguments.figures, Path(arguments.out))
        return
    bench = Bench(arguments)
    made = {"ablation": ablation, "distance": distance}
    print("\n".join(made[name](bench) for name in arguments.only.split(",")))


if __name__ == "__main__":
    main()
