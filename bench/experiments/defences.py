"""Experiments on `giveaway defend`: every defence on three data sets, trained until they overfit, and
what becomes of the exposed records, of the others and of accuracy. Makes the tables of
docs/defences.md.

    python3 defences.py run   --binary giveaway --data FOLDER --out OUT [--only adult,mnist] [--seeds 1]
    python3 defences.py table --out OUT [--results bench/results] [--page docs/defences.md]

What is in OUT already is not done again (`giveaway defend` goes on where it was stopped). `table` runs
nothing: it gathers what the runs in OUT hold into bench/results/defences.json, or takes that file where
OUT is not given, prints the tables, and with --page puts each between the comments in the page that carry
its name. Needs numpy, pandas and pyarrow.

FOLDER holds adult, location30 and mnist as Parquet: a column per feature and `label`; MNIST with lists of
784 bytes in `image`, and `split`.
"""

import argparse
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[2]

# name, title, records (0 for all), recipe
SETS = [
    ("adult", "Adult", "adult", 6000, ["--hidden", "256", "--epochs", "60"]),
    ("location", "Location-30", "location30", 0, ["--hidden", "128", "--epochs", "20"]),
    ("mnist", "MNIST", "mnist", 3000, ["--hidden", "128", "--epochs", "20"]),
]

DEFENCES = [
    "early-stopping", "l2:0.0005", "l2:0.001", "l2:0.005", "dropout:0.25", "dropout:0.5",
    "l2+dropout:0.0005,0.25", "l2+dropout:0.0005,0.5", "label-smoothing:0.03", "label-smoothing:0.1",
    "dp-sgd:8", "dp-sgd:2", "hamp", "relax-loss", "distillation", "selena",
    "remove", "remove-random", "relabel", "down-weight", "neighbours", "harder-clipping", "fine-tune",
    "reweight", "reweight-outlying", "abstain", "round:2", "top-k:1", "label-only", "temperature:4",
    "mem-guard", "hamp-output",
]

# what treats everybody alike in training, and what goes by the exposed
UNIFORM = ("early-stopping", "l2", "dropout", "label-smoothing", "dp-sgd", "hamp", "relax-loss", "distillation", "selena")
AWARE = ("remove", "relabel", "down-weight", "neighbours", "harder-clipping", "fine-tune")

AUC, ADVANTAGE, AT10, AT1, AT01, FOUND, ACCUSED, EXPOSED_AUC = range(8)


def write(table, folder):
    """The file for the program and the options that say how to read it."""
    if "image" in table:
        images = np.stack(table["image"].to_numpy()).reshape(-1, 28, 28).astype(np.uint8)
        np.savez(folder / "records.npz", X=images, y=table["label"].to_numpy().astype(np.int64))
        return [str(folder / "records.npz")]
    identifiers = pd.Series([str(i) for i in range(len(table))], index=table.index, name="id")
    pd.concat([table, identifiers], axis=1).to_parquet(folder / "records.parquet", index=False)
    return [str(folder / "records.parquet"), "--label", "label", "--id", "id"]


def runs(options):
    only = options.only.split(",") if options.only else [s[0] for s in SETS]
    for seed in (int(s) for s in options.seeds.split(",")):
        for name, _, file, records, recipe in SETS:
            if name not in only:
                continue
            folder = Path(options.out) / f"{name}-{seed}"
            folder.mkdir(parents=True, exist_ok=True)
            run = folder / "run"
            if not (run / "report.json").exists():
                table = pd.read_parquet(Path(options.data) / f"{file}.parquet")
                if "split" in table:
                    table = table[table["split"] == "train"].drop(columns="split")
                if records and records < len(table):
                    table = table.iloc[np.random.default_rng([seed, 1]).permutation(len(table))[:records]]
                source = write(table.reset_index(drop=True), folder)
                subprocess.run([options.binary, "audit", *source, "--models", "128", "--seed", str(seed), *recipe,
                                "--run", str(run), "--quiet"], check=True, stdout=subprocess.DEVNULL)
            wanted = [x for defence in DEFENCES for x in ("--defence", defence)]
            subprocess.run([options.binary, "defend", str(run), "--budget", options.budget, "--models", options.models, "--max-accuracy-loss", "2%",
                            *wanted, "--quiet"], check=True, stdout=subprocess.DEVNULL)
            print(f"{folder}: done", flush=True)


# ---------------------------------------------------------------------------------------------- figures

def gather(out):
    """Of every run, the section of the report and the comparisons that need replicates."""
    found = {}
    for folder in sorted(Path(out).iterdir()):
        report = folder / "run" / "report.json"
        if report.exists() and json.loads(report.read_text()).get("defence"):
            section = json.loads(report.read_text())["defence"]
            found[folder.name] = {"section": slim(section), "pairs": pairs(folder / "run" / "defend", section)}
    return found


def slim(section):
    section = dict(section, units=[], deliverables=[])
    for arm in [section["undefended"], section["control"], *section["defences"]]:
        if arm:
            for word in ("what", "promise", "scikit_learn", "pytorch"):
                arm.pop(word, None)
    return section


def stored(folder):
    arms = {}
    for file in folder.glob("*.json"):
        arm = json.loads(file.read_text())
        if "attacks" in arm:
            arms[arm["name"]] = arm
    return arms


def best(arm, figure):
    """The figures over all targets and records of the attack that knows and finds most."""
    known = [a for a in arm["attacks"] if a["adaptive"]]
    return max(known, key=lambda a: (a["parts"][0]["figures"][figure]["value"] or 0,
                                     a["parts"][0]["figures"][AUC]["value"] or 0))["parts"][0]["figures"]


def interval(values):
    values = [v for v in values if v is not None]
    return [float(np.quantile(values, q)) for q in (0.025, 0.975)] if len(values) > 20 else [None, None]


def difference(a, b):
    value = None if a["value"] is None or b["value"] is None else a["value"] - b["value"]
    return [value, *interval([None if x is None or y is None else x - y
                              for x, y in zip(a["replicates"], b["replicates"])])]


def pairs(folder, section):
    """Each sample-aware defence beside the uniform one that costs at most as much and leaves least:
    the difference of the exposed found, of all found, and of accuracy, paired."""
    arms = stored(folder)
    names = [d["name"] for d in section["defences"] if d["name"] in arms]
    kind = lambda name: name.split(":")[0]
    uniform = [n for n in names if kind(n) in UNIFORM or kind(n) == "l2+dropout"]
    accuracy = lambda name: arms[name]["utility"][0]["accuracy"]
    result = []
    for name in names:
        if kind(name) not in AWARE:
            continue
        # not less accurate beyond chance: the interval of the difference reaches 0
        equal = [u for u in uniform if (d := difference(accuracy(u), accuracy(name)))[2] is None or d[2] >= 0]
        if not equal:
            continue
        rival = min(equal, key=lambda u: best(arms[u], FOUND)[FOUND]["value"])
        result.append({
            "aware": name, "uniform": rival,
            "found": difference(best(arms[name], FOUND)[FOUND], best(arms[rival], FOUND)[FOUND]),
            "all": difference(best(arms[name], AT1)[AT1], best(arms[rival], AT1)[AT1]),
            "accuracy": difference(accuracy(name), accuracy(rival)),
        })
    return result


# ----------------------------------------------------------------------------------------------- tables

def percent(x, digits=1):
    return "n/a" if x is None else f"{100 * x:.{digits}f}"


def ranged(e, digits=1, sign=False):
    form = (lambda x: f"{100 * x:+.{digits}f}") if sign else (lambda x: f"{100 * x:.{digits}f}")
    value, low, high = e if isinstance(e, list) else (e["value"], e["lower"], e["upper"])
    if value is None:
        return "n/a"
    return form(value) if low is None else f"{form(value)} [{form(low)}, {form(high)}]"


def attack(arm, name):
    return next((a for a in arm["attacks"] if a["name"] == name), None)


def arms_of(section):
    return [section["undefended"], section["control"], *section["defences"]]


def main_table(section):
    lines = ["| defence | train | test | change | loss attack AUC | advantage | strongest: AUC | TPR at 0.1 % | TPR at 1 % | exposed found | worst | time | verdict |",
             "|---|---|---|---|---|---|---|---|---|---|---|---|---|"]
    for arm in arms_of(section):
        if not arm:
            continue
        loss, strong, use = attack(arm, "loss"), next(a for a in arm["attacks"] if a["adaptive"]), arm["utility"]
        worst = arm["exposed"]["worst"]
        lines.append("| " + " | ".join([
            arm["title"], percent(use["train_accuracy"]), percent(use["accuracy"]["value"]),
            "" if arm is section["undefended"] else ranged(use["accuracy_change"], 1, True),
            percent(loss["auc"]["value"]), percent(loss["advantage"]["value"]),
            f'{percent(strong["auc"]["value"])} ({strong["name"]})', percent(strong["at_one_in_thousand"]["value"], 2),
            percent(strong["at_one_percent"]["value"], 2), ranged(arm["exposed"]["found"]),
            f'{worst["found"]}/{worst["in_targets"]}' if worst else "n/a",
            "n/a" if arm["time_ratio"] is None else f'{arm["time_ratio"]:.1f}',
            {"helps": "helps", "not-shown": "not shown", "harms": "harms", None: ""}[arm["verdict"]],
        ]) + " |")
    return lines


def direct_table(found):
    lines = ["| data | defence | influential | precision | recall |", "|---|---|---|---|---|"]
    for title, section in found:
        for arm in arms_of(section):
            if arm and arm["name"].split(":")[0] in ("none", "again", "l2", "dropout", "l2+dropout"):
                direct = arm["direct"]
                lines.append(f'| {title} | {arm["title"]} | {direct["selected"]} | {ranged(direct["precision"])} | {ranged(direct["recall"])} |')
    return lines


def onion_table(found):
    lines = ["| data | defence | before | after | newly exposed | by chance | beyond chance |", "|---|---|---|---|---|---|---|"]
    for title, section in found:
        for arm in section["defences"]:
            if arm["name"].split(":")[0] in ("remove", "remove-random", "down-weight", "relabel", "neighbours", "fine-tune", "harder-clipping"):
                o = arm["onion"]
                beyond = o["beyond_chance"]
                text = "n/a" if beyond["value"] is None else f'{beyond["value"]:.0f} [{beyond["lower"]:.0f}, {beyond["upper"]:.0f}]' if beyond["lower"] is not None else f'{beyond["value"]:.0f}'
                lines.append(f'| {title} | {arm["title"]} | {o["before"]} | {o["after"]} | {o["newly_exposed"]} | {o["newly_exposed_by_chance"]} | {text} |')
    return lines


def pair_table(found):
    lines = ["| data | sample-aware | best uniform one of no lower accuracy | exposed found, points | all found at 1 %, points | accuracy, points |", "|---|---|---|---|---|---|"]
    for title, pairs in found:
        for p in pairs:
            lines.append(f'| {title} | {p["aware"]} | {p["uniform"]} | {ranged(p["found"], 1, True)} | {ranged(p["all"], 2, True)} | {ranged(p["accuracy"], 1, True)} |')
    return lines


def undo_table(found):
    lines = ["| data | defence | gap: advantage | loss: advantage | undone, loss: advantage | loss, undefended | strongest, TPR at 1 % | undone, TPR at 1 % | undefended |", "|---|---|---|---|---|---|---|---|---|"]
    for title, section in found:
        plain = section["undefended"]
        for arm in section["defences"]:
            undone = attack(arm, "undone-loss")
            if not undone:
                continue
            others = max((a for a in arm["attacks"] if a["adaptive"] and not a["name"].startswith("undone")),
                         key=lambda a: a["at_one_percent"]["value"] or 0)
            strong = max((a for a in arm["attacks"] if a["name"].startswith("undone")),
                         key=lambda a: a["at_one_percent"]["value"] or 0)
            lines.append("| " + " | ".join([
                title, arm["title"], ranged(attack(arm, "gap")["advantage"]), ranged(attack(arm, "loss")["advantage"]),
                ranged(undone["advantage"]), ranged(attack(plain, "loss")["advantage"]),
                ranged(others["at_one_percent"], 2), ranged(strong["at_one_percent"], 2),
                ranged(next(a for a in plain["attacks"] if a["adaptive"])["at_one_percent"], 2)]) + " |")
    return lines


def tables(found):
    titles = {name: title for name, title, *_ in SETS}
    named = [(f'{titles[key.rsplit("-", 1)[0]]}' + ("" if key.endswith("-1") else f', seed {key.rsplit("-", 1)[1]}'), key) for key in found]
    result = {f"defences-{key}": main_table(found[key]["section"]) for _, key in named}
    sections = [(title, found[key]["section"]) for title, key in named]
    result["defences-direct"] = direct_table(sections)
    result["defences-onion"] = onion_table(sections)
    result["defences-pairs"] = pair_table([(title, found[key]["pairs"]) for title, key in named])
    result["defences-undo"] = undo_table(sections)
    return result


def table(options):
    kept = Path(options.results) / "defences.json"
    if options.out:
        found = gather(options.out)
        kept.write_text(json.dumps(found) + "\n")
    else:
        found = json.loads(kept.read_text())
    made = tables(found)
    if options.page:
        page = Path(options.page)
        text = page.read_text()
        for name, lines in made.items():
            text = re.sub(rf"(<!-- table {re.escape(name)} -->\n\n).*?(\n\n<!-- end -->)",
                          lambda m, lines=lines: m[1] + "\n".join(lines) + m[2], text, flags=re.S)
        page.write_text(text)
    for name, lines in made.items():
        print(f"\n{name}\n" + "\n".join(lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--binary", default="giveaway")
    parser.add_argument("--data")
    parser.add_argument("--out")
    parser.add_argument("--only")
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--budget", default="3h")
    parser.add_argument("--models", default="32", help="trained through each defence")
    parser.add_argument("--results", default=str(ROOT / "bench" / "results"))
    parser.add_argument("--page")
    options = parser.parse_args()
    runs(options) if options.what == "run" else table(options)


if __name__ == "__main__":
    main()
