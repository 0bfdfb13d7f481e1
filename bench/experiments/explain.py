"""Experiments on `giveaway explain`: planted faults and the reasons found for them, and which measure
goes with the leak on six data sets, with overfitting and without. Makes the tables of
docs/explanations.md.

    python3 explain.py planted --binary giveaway --data FOLDER --out OUT [--only adult,mnist] [--seeds 11,12,13]
    python3 explain.py study   --binary giveaway --data FOLDER --out OUT [--only ...] [--seeds 1,2,3]
    python3 explain.py table   --out OUT [--results bench/results] [--page docs/explanations.md]

What is in OUT already is not done again. `table` runs nothing: it makes the tables from OUT or, where
that is not given, from the files that are kept in bench/results, prints them, and with --page puts each
between the comments in the page that carry its name. Needs numpy, pandas, pyarrow and scipy.

FOLDER holds adult, bank_additional, breast_cancer_wdbc, diabetes130, location30 and mnist as Parquet: a
column per feature and `label`; MNIST with lists of 784 bytes in `image`, and `split`. Without --data, Adult
and Breast Cancer are taken from datasets/ of this repository, and the others are left out.
"""

import argparse
import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import beta, spearmanr

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = {"adult": ("adult.parquet", "income"), "breast_cancer_wdbc": ("breast_cancer.parquet", "diagnosis")}
PLANTED_SHARE = 0.01


@dataclass(frozen=True)
class Data:
    """A data set, and how its models are trained."""

    name: str
    title: str
    file: str
    planted_records: int  # 0 for all
    study_records: int
    options: tuple  # of the data
    planted: tuple  # recipe of the planted faults
    overfitted: tuple
    removed: tuple  # the same with overfitting removed
    milder: tuple = ()  # between the two, where removing overfitting leaves models that hardly learn
    planted_seeds: int = 3  # how many seeds are reported: more where 1 % is a handful of records


REGULAR = ("--dropout", "0.5", "--patience", "5", "--validation-share", "0.1")
SETS = [
    Data("adult", "Adult", "adult", 6000, 6000, (), (),
         ("--hidden", "256", "--epochs", "60"),
         ("--hidden", "64", "--epochs", "60", "--l2", "0.001", *REGULAR)),
    Data("breast-cancer", "Breast Cancer", "breast_cancer_wdbc", 0, 0, (), (),
         ("--hidden", "256,128", "--epochs", "100"),
         ("--hidden", "64", "--epochs", "100", "--l2", "0.05", *REGULAR), planted_seeds=10),
    Data("mnist", "MNIST", "mnist", 3000, 4000, (), ("--hidden", "128", "--epochs", "20"),
         ("--hidden", "128", "--epochs", "20"),
         ("--hidden", "64", "--epochs", "20", "--l2", "0.03", *REGULAR)),
    Data("location", "Location-30", "location30", 0, 0, (), ("--hidden", "128", "--epochs", "20"),
         ("--hidden", "128", "--epochs", "20"),
         ("--hidden", "128", "--epochs", "25", "--l2", "0.15", *REGULAR),
         ("--hidden", "128", "--epochs", "40", "--l2", "0.1", *REGULAR)),
    Data("diabetes", "Diabetes-130", "diabetes130", 0, 5000, ("--drop", "encounter_id,patient_nbr"), (),
         ("--hidden", "128", "--epochs", "20"),
         ("--hidden", "64", "--epochs", "30", "--l2", "0.01", *REGULAR)),
    Data("bank", "Bank marketing", "bank_additional", 0, 6000, (), (),
         ("--hidden", "256", "--epochs", "60"),
         ("--hidden", "64", "--epochs", "60", "--l2", "0.003", *REGULAR)),
]
PLANTED_SETS = ["adult", "breast-cancer", "mnist", "location"]
RECIPES = {"overfitted": "overfitted", "removed": "overfitting removed"}
# The third is no part of means over data sets.
WORDS = RECIPES | {"milder": "milder"}

FLIPPED, RARE, DUPLICATE, NEAR_OTHER, NEAR_SAME = "flipped", "rare", "duplicate", "near-other", "near-same"
ORIGINAL, UNTOUCHED = "original", "untouched"
KINDS = {
    FLIPPED: "label flipped",
    RARE: "rare value inserted",
    DUPLICATE: "duplicate with another label",
    NEAR_OTHER: "near-copy with another label",
    ORIGINAL: "the record that was copied with another label",
    NEAR_SAME: "near-copy with its label",
    UNTOUCHED: "untouched",
}
REASONS = ["near-duplicate across labels", "mislabelled or ambiguous", "rare value", "isolated",
           "atypical of its class", "border", "hard to learn", "no clear reason"]
SHORT = {"near-duplicate across labels": "near-duplicate", "mislabelled or ambiguous": "mislabelled",
         "atypical of its class": "atypical", "hard to learn": "hard", "no clear reason": "none"}
EXPECTED = {FLIPPED: REASONS[1], RARE: REASONS[2], DUPLICATE: REASONS[0], NEAR_OTHER: REASONS[0],
            ORIGINAL: REASONS[0]}

MAIN = ["mean_out_loss", "out_margin", "label_suspicion", "memorisation", "lt_iqr", "epoch_learned",
        "penultimate_neighbour_agreement", "penultimate_centroid_margin", "penultimate_centroid_distance",
        "penultimate_centroid_mahalanobis", "penultimate_nearest_distance", "penultimate_outlier_factor",
        "penultimate_isolation", "outputs_neighbour_agreement", "outputs_centroid_margin",
        "outputs_centroid_distance", "outputs_nearest_distance", "input_neighbour_agreement", "input_centroid_margin",
        "input_centroid_distance", "input_centroid_mahalanobis", "input_nearest_distance", "input_outlier_factor",
        "input_isolation", "rarest_value"]
# Reviewed as well: what is cheap and does well somewhere.
EXTRA = ["penultimate_centroid_cosine", "penultimate_neighbour_ratio", "penultimate_silhouette",
         "input_neighbour_ratio", "input_centroid_cosine", "input_silhouette", "rarity"]
REVIEWED = 0.05  # share of the records that a review looks at
# What is compared with each definition of vulnerable.
OUTLYING = ["penultimate_centroid_distance", "input_centroid_distance", "penultimate_centroid_margin",
            "input_centroid_margin", "mean_out_loss"]


# ------------------------------------------------------------------------------------------------ data

class Loader:
    """Data sets by name, each with its label in `label`."""

    def __init__(self, folder):
        self.folder = Path(folder) if folder else None
        self.held = {}

    def has(self, data):
        return self.folder is not None or data.file in SHIPPED

    def whole(self, data):
        if data.file not in self.held:
            if self.folder is None:
                file, label = SHIPPED[data.file]
                table = pd.read_parquet(ROOT / "datasets" / file).rename(columns={label: "label"})
            else:
                table = pd.read_parquet(self.folder / f"{data.file}.parquet")
            if "split" in table and data.name == "mnist":
                table = table[table["split"] == "train"]
            table = table.drop(columns=[name for name in ("split", "id") if name in table])
            self.held = {data.file: table.reset_index(drop=True)}
        return self.held[data.file]

    def sample(self, data, records, seed):
        """So many records at random, of the same seed the same; all with 0."""
        table = self.whole(data)
        if records and records < len(table):
            table = table.iloc[np.random.default_rng([seed, 1]).permutation(len(table))[:records]]
        return table.reset_index(drop=True)


def write(table, folder):
    """The file for the program and the options that say how to read it."""
    if "image" in table:
        images = np.stack(table["image"].to_numpy()).reshape(-1, 28, 28).astype(np.uint8)
        np.savez(folder / "records.npz", X=images, y=table["label"].to_numpy().astype(np.int64))
        return [str(folder / "records.npz")]
    identifiers = pd.Series([str(i) for i in range(len(table))], index=table.index, name="id")
    pd.concat([table, identifiers], axis=1).to_parquet(folder / "records.parquet", index=False)
    return [str(folder / "records.parquet"), "--label", "label", "--id", "id"]


# ---------------------------------------------------------------------------------------------- faults

def other_label(label, labels, random):
    return random.choice([other for other in labels if other != label])


def jittered(data, row, table, random):
    """A copy of a record that differs a little in one or two places."""
    row = row.copy()
    if "image" in row:
        image = np.array(row["image"], dtype=np.int64)
        for pixel in random.choice(np.flatnonzero(image), 2, replace=False):
            step = int(random.integers(10, 41))
            image[pixel] += step if image[pixel] + step <= 255 else -step
        row["image"] = image.astype(np.uint8)
        return row
    if data.name == "location":
        # One binary feature that neither hardly any nor nearly all records have.
        shares = table.drop(columns="label").mean()
        column = random.choice([name for name in shares.index if 0.2 <= shares[name] <= 0.8])
        row[column] = 1 - row[column]
        return row
    if data.name == "adult":
        row["age"] += 1 if row["age"] < 60 else -1
        row["fnlwgt"] = int(round(row["fnlwgt"] * random.uniform(0.98, 1.02)))
        return row
    numeric = [name for name in table.columns if name != "label"]
    for column in random.choice(numeric, 2, replace=False):
        row[column] += random.choice([-1, 1]) * random.uniform(0.02, 0.1) * table[column].std()
    return row


def insert_rare(data, table, records, random):
    """Gives the records a new value that one to three of them share; nothing for images."""
    columns = [name for name in table.columns if name != "label"]
    at, number = 0, 0
    indicators = {}
    while at < len(records):
        some = records[at:at + int(random.integers(1, 4))]
        if data.name == "location":
            # A table of indicators: a new value of a category is a new indicator.
            indicators[f"new{number}"] = np.isin(np.arange(len(table)), some).astype(np.uint8)
        elif data.name == "adult":
            categorical = [name for name in columns if not pd.api.types.is_numeric_dtype(table[name])]
            table.loc[some, random.choice(categorical)] = f"New-{number}"
        else:
            # Far beyond the largest: by 3 to 6 ranges between the quartiles, and different each time.
            column = random.choice(columns)
            low, high = table[column].quantile([0.25, 0.75])
            table.loc[some, column] = table[column].max() + random.uniform(3, 6) * (high - low)
        at, number = at + len(some), number + 1
    return pd.concat([table, pd.DataFrame(indicators)], axis=1) if indicators else table


def plant(data, table, seed):
    """The table with faults, and what each record is."""
    random = np.random.default_rng([seed, 2])
    count = max(1, round(PLANTED_SHARE * len(table)))
    labels = sorted(table["label"].unique())
    kinds = np.array([UNTOUCHED] * len(table), dtype=object)
    chosen = random.permutation(len(table))[:5 * count].reshape(5, count)
    appended, appended_kinds = [], []
    for kind, records in zip([FLIPPED, RARE, DUPLICATE, NEAR_OTHER, NEAR_SAME], chosen):
        if kind == FLIPPED:
            table.loc[records, "label"] = [other_label(label, labels, random) for label in table.loc[records, "label"]]
            kinds[records] = FLIPPED
        elif kind == RARE:
            if "image" not in table:
                table = insert_rare(data, table, records, random)
                kinds[records] = RARE
        else:
            for record in records:
                row = table.loc[record]
                row = row.copy() if kind == DUPLICATE else jittered(data, row, table, random)
                if kind == NEAR_SAME:
                    # Which of the two is the copy means nothing.
                    kinds[record] = NEAR_SAME
                else:
                    row["label"] = other_label(row["label"], labels, random)
                    kinds[record] = ORIGINAL
                appended.append(row)
                appended_kinds.append(kind)
    more = pd.DataFrame(appended).reset_index(drop=True)
    for column in table.columns:
        if column != "image":
            more[column] = more[column].astype(table[column].dtype)
    table = pd.concat([table, more], ignore_index=True)
    kinds = np.concatenate([kinds, np.array(appended_kinds, dtype=object)])
    order = random.permutation(len(table))
    return table.iloc[order].reset_index(drop=True), kinds[order]


# ------------------------------------------------------------------------------------------------ runs

class Bench:
    """Runs the program, and remembers what came out."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.out = Path(arguments.out)
        (self.out / "results").mkdir(parents=True, exist_ok=True)
        self.loader = Loader(arguments.data)

    def call(self, *words):
        command = [self.arguments.binary, *map(str, words), "--quiet", "--json"]
        if self.arguments.threads:
            command += ["--threads", str(self.arguments.threads)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{shlex.join(command)}\n{done.stderr}")
        return json.loads(done.stdout)

    def explained(self, name, data, table, options, seed):
        """The audit's report, the explanation, and the records with their measures."""
        folder = self.out / "runs" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        audit = self.call("audit", *write(table, folder), *data.options, *options, "--models", self.arguments.models,
                          "--attacks", "none", "--seed", seed, "--run", folder / "run")
        explanation = self.call("explain", folder / "run", "--no-map")
        return audit, explanation, pd.read_parquet(folder / "run" / "records.parquet"), folder

    def done_with(self, folder):
        if not self.arguments.keep:
            shutil.rmtree(folder)

    def once(self, name, make):
        path = self.out / "results" / f"{name}.json"
        if not path.exists():
            began = time.time()
            result = make()
            result["seconds"] = round(time.time() - began, 1)
            path.with_suffix(".part").write_text(json.dumps(result))
            path.with_suffix(".part").rename(path)
            print(f"{time.strftime('%H:%M:%S')} {name} {result['seconds']} s", file=sys.stderr, flush=True)
        return json.loads(path.read_text())


def accuracies(audit):
    return {side: audit["reference"][f"{side}_accuracy"]["mean"] for side in ("train", "test")}


def run_planted(bench, data, seed):
    table, kinds = plant(data, bench.loader.sample(data, data.planted_records, seed), seed)
    audit, _, records, folder = bench.explained(f"planted-{data.name}-{seed}", data, table, data.planted, seed)
    bench.done_with(folder)
    # Records come back in the order of the file.
    if [str(i) for i in range(len(kinds))] != records["id"].astype(str).tolist():
        sys.exit("records are not in the order of the file")
    records["kind"] = kinds
    records["further_reasons"] = records["further_reasons"].fillna("")
    leakiest = records["leak"].rank(ascending=False) <= max(1, round(PLANTED_SHARE * len(records)))
    found = {}
    for kind, part in records.groupby("kind"):
        among = {reason: int(sum(reason == first or reason in further.split("; ")
                                 for first, further in zip(part["reason"], part["further_reasons"])))
                 for reason in REASONS}
        found[kind] = {"records": len(part), "first": part["reason"].value_counts().to_dict(), "among": among,
                       "copies_own_label": int((part["near_copies_own_label"] >= 1).sum()),
                       "copies_other_label": int((part["near_copies_other_label"] >= 1).sum()),
                       "leak": float(part["leak"].mean()), "leakiest": int(leakiest[part.index].sum()),
                       "models_agree": int((part["label_suspicion"] >= 0.5).sum())}
    if bench.arguments.keep:
        records.to_parquet(bench.out / "results" / f"planted-{data.name}-{seed}.parquet")
    return {"records": len(records), "accuracy": accuracies(audit), "kinds": found}


def area(values, positive):
    """Area under the ROC curve; nothing without both kinds."""
    known = ~np.isnan(values)
    values, positive = values[known], positive[known]
    hits, others = positive.sum(), (~positive).sum()
    if hits == 0 or others == 0:
        return None
    ranks = pd.Series(values).rank().to_numpy()
    return float((ranks[positive].sum() - hits * (hits + 1) / 2) / (hits * others))


def share_found(values, positive, reviewed):
    """Share of the positive among this share of the records, the largest values first; of a tied group at the
    cut, as large a part as fits."""
    known = ~np.isnan(values)
    values, positive = values[known], positive[known]
    if not positive.any():
        return None
    budget = reviewed * len(values)
    cut = np.sort(values)[::-1][min(int(np.ceil(budget)), len(values)) - 1]
    above, tied = values > cut, values == cut
    return float((positive[above].sum() + positive[tied].sum() * (budget - above.sum()) / tied.sum())
                 / positive.sum())


def by_review(records, reversed_measures):
    """Share of the leakiest found by a review of those with the largest values of each of the main measures."""
    units = records[records["audited"]].drop_duplicates("unit")
    units = units[units["leak_testing"].notna()]
    leakiest = (units["leak_testing"].rank(ascending=False) <= max(1, round(PLANTED_SHARE * len(units)))).to_numpy()
    return {measure: share_found(units[measure].to_numpy(dtype=float) * (-1 if measure in reversed_measures else 1),
                                 leakiest, REVIEWED) for measure in MAIN + EXTRA if measure in units}


def by_definition(records, reversed_measures):
    """Whether the members that each definition calls vulnerable are outliers among the members."""
    units = records[records["audited"]].drop_duplicates("unit")
    # Records set aside for validation are neither.
    members = units[units["member"].eq(True).fillna(False)]
    others = units[units["member"].eq(False).fillna(False)]
    threshold = others["target_scaled_logit"].quantile(0.99)
    named = {"global": (members["target_scaled_logit"] > threshold).to_numpy(),
             "per_record": (members["p_value_t"] <= 0.01).to_numpy()}
    cut = units["leak_testing"].quantile(1 - PLANTED_SHARE)
    named["leakiest"] = (members["leak_testing"] >= cut).to_numpy()
    found = {}
    for name, positive in named.items():
        found[name] = {"members": int(positive.sum())}
        for measure in OUTLYING:
            values = members[measure].to_numpy(dtype=float) * (-1 if measure in reversed_measures else 1)
            found[name][measure] = area(values, positive)
    return found


def within_class(records, reversed_measures):
    """Spearman with the leak within each class, averaged by the size of the class."""
    units = records[records["audited"]].drop_duplicates("unit")
    found = {}
    for measure in [measure for measure in MAIN if measure in units]:
        total, weight = 0.0, 0
        for _, part in units.groupby("class"):
            part = part[[measure, "leak_testing"]].dropna()
            if len(part) >= 20 and part[measure].nunique() > 1 and part["leak_testing"].nunique() > 1:
                total += len(part) * spearmanr(part[measure], part["leak_testing"]).statistic
                weight += len(part)
        if weight:
            found[measure] = total / weight * (-1 if measure in reversed_measures else 1)
    return found


def separation(audit, run, records):
    """How far training shifts the scaled logit, in units of its spread over models, on the half of the models
    that the leak is from: another scale of exposure, which a large loss does not make large by itself.

    One value per unit, NaN where it cannot be told."""
    first = records.drop_duplicates("unit").sort_values("unit").index.to_numpy()
    membership = np.load(run / "membership.npy")
    classes = audit["data"]["classes"]
    labels = np.array([classes.index(name) for name in records["class"].astype(str).to_numpy()[first]])
    expected = records["leak_testing"].to_numpy()[first]
    half = len(membership) // 2
    for models in (range(half), range(half, len(membership))):
        sums = np.zeros((2, 4, len(first)))
        for model in models:
            logits = np.load(run / "signals" / f"{model:03}.npy")[first, 0, :].astype(np.float64)
            own = logits[np.arange(len(first)), labels]
            logits[np.arange(len(first)), labels] = -np.inf
            largest = logits.max(axis=1)
            phi = own - largest - np.log(np.exp(logits - largest[:, None]).sum(axis=1))
            loss = np.logaddexp(0, -phi)
            for side in (0, 1):
                here = membership[model] == side
                sums[side] += here * np.stack([np.ones(len(first)), phi, phi ** 2, loss])
        with np.errstate(invalid="ignore", divide="ignore"):
            count, total, squares, losses = sums.transpose(1, 0, 2)
            leak = losses[0] / count[0] - losses[1] / count[1]
            variance = (squares - total ** 2 / count) / (count - 1)
            shift = total[1] / count[1] - total[0] / count[0]
            found = shift / np.sqrt(variance.mean(axis=0))
        known = ~np.isnan(expected) & ~np.isnan(leak)
        if known.any() and np.allclose(leak[known], expected[known], atol=1e-3):
            return pd.Series(found, index=first)
    sys.exit(f"{run}: neither half of the models has the leaks of records.parquet")


def by_separation(audit, run, records, reversed_measures):
    """Of the main measures, Spearman with the separation and the share of the 1 % with the largest that is found."""
    found = {}
    other = separation(audit, run, records)
    units = records.loc[other.index].assign(separation=other)
    units = units[units["audited"] & units["separation"].notna()]
    wanted = max(1, round(PLANTED_SHARE * len(units)))
    most = (units["separation"].rank(ascending=False) <= wanted).to_numpy()
    for measure in [measure for measure in MAIN if measure in units]:
        values = units[measure].astype(float) * (-1 if measure in reversed_measures else 1)
        if values.nunique() > 1:
            found[measure] = {"spearman": float(spearmanr(values, units["separation"], nan_policy="omit").statistic),
                              "auc": area(values.to_numpy(), most)}
    found["leak_testing"] = {"spearman": float(spearmanr(units["leak_testing"], units["separation"]).statistic),
                             "auc": area(units["leak_testing"].to_numpy(dtype=float), most)}
    return found


def run_study(bench, data, recipe, seed):
    table = bench.loader.sample(data, data.study_records, seed)
    audit, explanation, records, folder = bench.explained(f"study-{data.name}-{recipe}-{seed}", data, table,
                                                          getattr(data, recipe), seed)
    reversed_measures = {p["measure"] for p in explanation["predictors"] if p["reversed"]}
    apart = by_separation(audit, folder / "run", records, reversed_measures)
    bench.done_with(folder)
    return {"records": len(records), "accuracy": accuracies(audit), "predictors": explanation["predictors"],
            "separation": apart, "review": by_review(records, reversed_measures),
            "definitions": explanation["definitions"],
            "reasons": explanation["reasons"], "settings": explanation["settings"],
            "leak": {"mean": float(records["leak"].mean()), "p99": float(records["leak"].quantile(0.99))},
            "outlying": by_definition(records, reversed_measures),
            "within_class": within_class(records, reversed_measures)}


def chosen_sets(arguments, names):
    wanted = arguments.only.split(",") if arguments.only else names
    unknown = set(wanted) - set(names)
    if unknown:
        sys.exit(f"no such data set here: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    loader = Loader(arguments.data)
    return [data for data in SETS if data.name in wanted and loader.has(data)]


def planted(arguments):
    bench = Bench(arguments)
    for data in chosen_sets(arguments, PLANTED_SETS):
        seeds = seeds_of(arguments) or range(11, 11 + data.planted_seeds)
        for seed in seeds:
            bench.once(f"planted-{data.name}-{seed}", lambda: run_planted(bench, data, seed))


def study(arguments):
    bench = Bench(arguments)
    for seed in seeds_of(arguments) or [1, 2, 3]:
        for data in chosen_sets(arguments, [data.name for data in SETS]):
            for recipe in arguments.recipes.split(","):
                if getattr(data, recipe):
                    bench.once(f"study-{data.name}-{recipe}-{seed}", lambda: run_study(bench, data, recipe, seed))


def seeds_of(arguments):
    return [int(seed) for seed in arguments.seeds.split(",")] if arguments.seeds else None


# ---------------------------------------------------------------------------------------------- tables

def clopper_pearson(hits, trials, level=0.95):
    tail = (1 - level) / 2
    return (float(beta.ppf(tail, hits, trials - hits + 1)) if hits else 0.0,
            float(beta.ppf(1 - tail, hits + 1, trials - hits)) if hits < trials else 1.0)


def share(hits, trials):
    """In per cent, with its interval."""
    if not trials:
        return "n/a"
    low, high = clopper_pearson(hits, trials)
    digits = 0 if hits / trials >= 0.1 or trials < 1000 else 1
    return f"{100 * hits / trials:.{digits}f} [{100 * low:.{digits}f}, {100 * high:.{digits}f}]"


def number(value, digits=2):
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "n/a"
    text = f"{value:.{digits}f}"
    # No minus before a zero.
    return text[1:] if text.startswith("-") and float(text) == 0 else text.replace("-", "−")


def table(head, rows):
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head),
                      *("| " + " | ".join(map(str, cells)) + " |" for cells in rows)])


def mean(values):
    values = [value for value in values if value is not None]
    return float(np.mean(values)) if values else None


def rounded(value, digits=4):
    if isinstance(value, dict):
        return {key: rounded(item, digits) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item, digits) for item in value]
    return round(value, digits) if isinstance(value, float) else value


def summed(dictionaries):
    total = {}
    for dictionary in dictionaries:
        for key, count in dictionary.items():
            total[key] = total.get(key, 0) + count
    return total


def pool_planted(results):
    """Counts summed over the seeds."""
    pooled = {}
    for (name, seed), result in sorted(results.items()):
        pooled.setdefault(name, {})[seed] = result
    found = {}
    for data in SETS:
        runs = list(pooled.get(data.name, {}).values())
        if not runs:
            continue
        kinds = {}
        for kind in KINDS:
            parts = [run["kinds"][kind] for run in runs if kind in run["kinds"]]
            if not parts:
                continue
            records = sum(part["records"] for part in parts)
            kinds[kind] = {
                **{key: sum(part[key] for part in parts)
                   for key in ["records", "copies_own_label", "copies_other_label", "leakiest", "models_agree"]},
                "first": summed(part["first"] for part in parts), "among": summed(part["among"] for part in parts),
                "leak": sum(part["leak"] * part["records"] for part in parts) / records,
                # By seed, in the order of the seeds: records, and those with the expected reason first.
                "by_seed": [[part["records"], part["first"].get(EXPECTED.get(kind), 0)] for part in parts],
            }
        found[data.name] = {"seeds": sorted(pooled[data.name]), "records": runs[0]["records"],
                            "recipe": " ".join(data.planted) or "as the program does by default",
                            "accuracy": {side: mean([run["accuracy"][side] for run in runs])
                                         for side in ("train", "test")}, "kinds": kinds}
    return rounded(found)


FIGURES = ["spearman", "auc", "precision"]


def pool_study(results):
    """Means over the seeds; of estimates also the smallest and the largest value, and the lowest lower and the
    highest upper end of their bootstrap intervals."""
    found = {}
    for data in SETS:
        for recipe in WORDS:
            runs = {seed: run for (name, of, seed), run in sorted(results.items())
                    if (name, of) == (data.name, recipe)}
            if not runs:
                continue
            seeds, runs = list(runs), list(runs.values())
            measures = {}
            for predictor in runs[0]["predictors"]:
                name = predictor["measure"]
                same = [p for run in runs for p in run["predictors"] if p["measure"] == name]
                entry = {"needs": predictor["needs"]}
                for figure in FIGURES:
                    values = [p[figure]["value"] for p in same if p[figure]["value"] is not None]
                    if values:
                        ends = [[p[figure][end] for p in same if p[figure][end] is not None]
                                for end in ("lower", "upper")]
                        entry[figure] = [mean(values), min(values), max(values), min(ends[0], default=None),
                                         max(ends[1], default=None)]
                within = [run["within_class"][name] for run in runs if name in run["within_class"]]
                if within:
                    entry["within"] = [mean(within), min(within), max(within)]
                apart = [run["separation"][name] for run in runs if name in run.get("separation", {})]
                for figure in ["spearman", "auc"] if apart else []:
                    entry[f"separation_{figure}"] = [mean([a[figure] for a in apart]), min(a[figure] for a in apart),
                                                     max(a[figure] for a in apart)]
                reviewed = [run["review"][name] for run in runs if run["review"].get(name) is not None]
                if reviewed:
                    entry["review"] = [mean(reviewed), min(reviewed), max(reviewed)]
                measures[name] = entry
            definitions = {}
            for which in ["global", "per_record"]:
                parts = [run["definitions"][which] for run in runs]
                named = sum(part["members"] for part in parts)
                leaks = [(part["members"], part["mean_leak"]) for part in parts if part["members"]]
                definitions[which] = {
                    "members": named, "non_members": sum(part["non_members"] for part in parts),
                    "fpr": mean([part["false_positive_rate"]["value"] for part in parts]),
                    "tpr": mean([part["true_positive_rate"]["value"] for part in parts]),
                    "leak": sum(n * leak for n, leak in leaks) / named if named else None,
                    "leak_of_members": mean([part["mean_leak_of_members"] for part in parts]),
                    "leaky": sum(round(part["members"] * (part["leaky"]["value"] or 0)) for part in parts)}
            definitions["both"] = sum(run["definitions"]["both"] for run in runs)
            outlying = {}
            for which in runs[0]["outlying"]:
                outlying[which] = {"members": sum(run["outlying"][which]["members"] for run in runs)}
                for measure in OUTLYING:
                    values = [run["outlying"][which].get(measure) for run in runs]
                    values = [value for value in values if value is not None]
                    if values:
                        outlying[which][measure] = [mean(values), min(values), max(values)]
            reasons = {}
            for run in runs:
                for entry in run["reasons"]:
                    total = reasons.setdefault(entry["reason"], [0, 0])
                    total[0] += entry["all"]
                    total[1] += round(entry["all"] * (entry["leaky"]["value"] or 0))
            found.setdefault(data.name, {})[recipe] = {
                "seeds": seeds, "records": runs[0]["records"], "recipe": " ".join(getattr(data, recipe)),
                "models": runs[0]["settings"]["measuring_models"] + runs[0]["settings"]["judging_models"],
                "accuracy": {side: mean([run["accuracy"][side] for run in runs]) for side in ("train", "test")},
                "leak": {key: mean([run["leak"][key] for run in runs]) for key in ("mean", "p99")},
                "measures": measures, "definitions": definitions, "outlying": outlying,
                "reasons": reasons}
    return rounded(found, 3)


def title_of(name):
    return next(data.title for data in SETS if data.name == name)


def tables_planted(found):
    runs, hits, confusion, alarms, leaks = [], [], [], [], []
    for name, entry in found.items():
        kinds = entry["kinds"]
        runs.append([title_of(name), entry["records"], len(entry["seeds"]), entry["recipe"],
                     *(number(entry["accuracy"][side], 3) for side in ("train", "test"))])
        for kind, expected in EXPECTED.items():
            if kind not in kinds:
                continue
            part = kinds[kind]
            first, among = part["first"].get(expected, 0), part["among"].get(expected, 0)
            seeds = [100 * hit / records for records, hit in part["by_seed"]]
            hits.append([title_of(name), KINDS[kind], expected, part["records"], share(first, part["records"]),
                         share(among, part["records"]), f"{min(seeds):.0f}–{max(seeds):.0f}"])
        for kind, part in kinds.items():
            cells = [part["first"].get(reason, 0) for reason in REASONS]
            confusion.append([title_of(name), KINDS[kind], part["records"],
                              *(f"**{n}**" if EXPECTED.get(kind) == reason and n else n or "·"
                                for reason, n in zip(REASONS, cells))])
            leaks.append([title_of(name), KINDS[kind], part["records"], number(part["leak"], 3),
                          share(part["leakiest"], part["records"]), share(part["models_agree"], part["records"]),
                          share(part["copies_own_label"], part["records"])])
        part = kinds[UNTOUCHED]
        alarms.append([title_of(name), part["records"],
                       *(share(part["first"].get(reason, 0), part["records"]) for reason in REASONS)])
    pooled = []
    for kind, expected in EXPECTED.items():
        parts = [entry["kinds"][kind] for entry in found.values() if kind in entry["kinds"]]
        records = sum(part["records"] for part in parts)
        pooled.append([KINDS[kind], expected, records,
                       share(sum(part["first"].get(expected, 0) for part in parts), records),
                       share(sum(part["among"].get(expected, 0) for part in parts), records)])
    reasons = [SHORT.get(reason, reason) for reason in REASONS]
    return {
        "planted-runs": table(["data", "records with the planted", "seeds", "network", "train", "test"], runs),
        "planted-pooled": table(["planted", "reason expected", "records", "first reason, %", "among the reasons, %"],
                                pooled),
        "planted-found": table(["data", "planted", "reason expected", "records", "first reason, %",
                                "among the reasons, %", "first, seeds, %"], hits),
        "planted-confusion": table(["data", "planted", "records", *reasons], confusion),
        "planted-alarms": table(["data", "untouched records", *(f"{reason}, %" for reason in reasons)], alarms),
        "planted-leaks": table(["data", "planted", "records", "mean leak", "among the leakiest 1 %, %",
                                "at least half of the OUT models agree on another label, %",
                                "has a near-copy with its label, %"], leaks),
    }


def cell(entry, figure):
    """Mean over the seeds, range over the seeds, and the ends of their intervals."""
    if figure not in entry:
        return "n/a"
    value, least, most, low, high = entry[figure]
    interval = "" if low is None else f"<br>[{number(low)}, {number(high)}]"
    return f"{number(value)} ({number(least)}–{number(most)}){interval}"


def by_measure(found, recipe, figure):
    names = [name for name in found if recipe in found[name]]
    rows = []
    for measure in MAIN:
        entries = [found[name][recipe]["measures"].get(measure, {}) for name in names]
        values = [entry[figure][0] for entry in entries if figure in entry]
        if values:
            rows.append((np.mean(values), [f"`{measure}`", *(cell(entry, figure) for entry in entries),
                                           number(np.mean(values))]))
    rows.sort(key=lambda row: -row[0])
    return table(["measure", *(title_of(name) for name in names), "mean"], [cells for _, cells in rows])


def over_data(found, recipe, measure, figure):
    """Mean over the data sets, with the smallest and the largest."""
    values = [entry[recipe]["measures"][measure][figure][0] for entry in found.values()
              if recipe in entry and figure in entry[recipe]["measures"].get(measure, {})]
    return (float(np.mean(values)), min(values), max(values), len(values)) if values else None


def ranked(found, measures, figure="precision"):
    def key(measure):
        values = [over_data(found, recipe, measure, figure) for recipe in RECIPES]
        return -np.mean([value[0] for value in values if value] or [-1])
    return sorted(measures, key=key)


def span(value):
    return "n/a" if value is None else f"{number(value[0])} ({number(value[1])}–{number(value[2])})"


def tables_study(found):
    needs = {}
    for entry in found.values():
        for run in entry.values():
            needs.update({measure: m["needs"] for measure, m in run["measures"].items()})
    runs, definitions, outlying, reasons = [], [], [], []
    for name, entry in found.items():
        for recipe, run in entry.items():
            train, test = (run["accuracy"][side] for side in ("train", "test"))
            who = [title_of(name), WORDS[recipe]]
            runs.append([*who, run["records"], f"`{run['recipe']}`", number(train, 3), number(test, 3),
                         number(train - test, 3), number(run["leak"]["mean"], 3), number(run["leak"]["p99"])])
            leaky = sum(counts[1] for counts in run["reasons"].values())
            everybody = sum(counts[0] for counts in run["reasons"].values())
            reasons.append([*who, leaky, *(f"{100 * run['reasons'][reason][1] / leaky:.0f} "
                                           f"({100 * run['reasons'][reason][0] / everybody:.0f})"
                                           for reason in REASONS)])
            for which, words in [("global", "one threshold"), ("per_record", "per record")]:
                part = run["definitions"][which]
                named, wrong = part["members"], part["non_members"]
                definitions.append([*who, words, named, wrong, share(named, named + wrong), number(part["leak"]),
                                    number(part["leak_of_members"]), share(part["leaky"], named)])
            for which, words in [("global", "one threshold"), ("per_record", "per record"),
                                 ("leakiest", "leakiest 1 %")]:
                part = run["outlying"][which]
                outlying.append([*who, words, part["members"],
                                 *(span(part.get(measure)) for measure in OUTLYING)])
    ranking = [[place + 1, f"`{measure}`", needs[measure],
                *(span(over_data(found, recipe, measure, figure)) for recipe in RECIPES for figure in FIGURES)]
               for place, measure in enumerate(ranked(found, needs))]
    cheap = []
    for kind, count in [("data", 6), ("one model", 8), ("reference models", 4)]:
        # What IN models are needed for is the leak itself, by other models: not a way to screen.
        names = [m for m in ranked(found, [m for m in needs if needs[m] == kind])
                 if not m.startswith("divergence") and m not in ("loss_gap", "largest_log_ratio", "memorisation")]
        for measure in names[:count]:
            cheap.append([kind, f"`{measure}`", *(span(over_data(found, recipe, measure, figure))
                                                  for recipe in RECIPES for figure in ("precision", "auc"))])
    review = []
    measures = {measure for entry in found.values() for run in entry.values()
                for measure, m in run["measures"].items() if "review" in m}
    for measure in measures:
        values = [entry[recipe]["measures"].get(measure, {}).get("review") for entry in found.values()
                  for recipe in RECIPES if recipe in entry]
        known = [value[0] for value in values if value]
        review.append((needs[measure], -np.mean(known),
                       [needs[measure], f"`{measure}`", *(number(value[0]) if value else "n/a" for value in values),
                        number(np.mean(known))]))
    review = [cells for _, _, cells in sorted(review)]
    within, apart = [], []
    for measure in sorted(MAIN, key=lambda m: -(over_data(found, "overfitted", m, "within") or [-1])[0]):
        within.append([f"`{measure}`", *(span(over_data(found, recipe, measure, figure))
                                         for figure in ["spearman", "within"] for recipe in RECIPES)])
        apart.append([f"`{measure}`", *(span(over_data(found, recipe, measure, f"{kind}{figure}"))
                                        for figure in ["spearman", "auc"] for recipe in RECIPES
                                        for kind in ["", "separation_"])])
    made = {
        "study-runs": table(["data", "recipe", "records", "options", "train", "test", "gap", "mean leak",
                             "99th percentile of the leak"], runs),
        "study-reasons": table(["data", "recipe", "leakiest", *(SHORT.get(reason, reason) for reason in REASONS)],
                               reasons),
        "study-ranking": table(["", "measure", "needs", *(f"{figure}, {words}" for words in RECIPES.values()
                                                         for figure in ["Spearman", "AUC", "precision"])], ranking),
        "study-cheap": table(["needs", "measure", *(f"{figure}, {words}" for words in RECIPES.values()
                                                    for figure in ["precision", "AUC"])], cheap),
        "study-review": table(["needs", "measure", *(f"{title_of(name)}, {RECIPES[recipe]}"
                                                     for name, entry in found.items()
                                                     for recipe in RECIPES if recipe in entry), "mean"], review),
        "study-within": table(["measure", *(f"over all, {words}" for words in RECIPES.values()),
                               *(f"within classes, {words}" for words in RECIPES.values())], within),
        "study-separation": table(["measure", *(f"{figure}, {words}, {kind}" for figure in ["Spearman", "AUC"]
                                                for words in RECIPES.values() for kind in ["leak", "separation"])],
                                  apart),
        "study-definitions": table(["data", "recipe", "vulnerable", "members named", "non-members named",
                                    "members among the named, %", "mean leak of the named members",
                                    "of all members", "among the leakiest 1 %, %"], definitions),
        "study-outlying": table(["data", "recipe", "vulnerable", "members",
                                 *(f"`{measure}`" for measure in OUTLYING)], outlying),
    }
    several = {name: entry for name, entry in found.items() if "milder" in entry}
    for name, entry in several.items():
        measures = sorted(MAIN, key=lambda m: -entry["milder"]["measures"].get(m, {}).get("precision", [-1])[0])
        rows = [[f"`{measure}`", *(cell(entry[recipe]["measures"].get(measure, {}), figure).replace("<br>", " ")
                                   for figure in ["spearman", "precision"] for recipe in WORDS)]
                for measure in measures if measure in entry["milder"]["measures"]]
        made[f"study-milder-{name}"] = table(["measure", *(f"{figure}, {words}" for figure in ["Spearman", "precision"]
                                                          for words in WORDS.values())], rows)
    for recipe in RECIPES:
        for figure in FIGURES:
            made[f"study-{figure}-{recipe}"] = by_measure(found, recipe, figure)
    return made


def tables(arguments):
    """Pools what is in OUT, keeps it under bench/results, and makes the tables."""
    kept = {part: Path(arguments.results) / f"explain-{part}.json" for part in ("planted", "study")}
    if arguments.out:
        planted_results, study_results = {}, {}
        for path in sorted((Path(arguments.out) / "results").glob("*.json")):
            if found := re.fullmatch(r"planted-(.+)-(\d+)", path.stem):
                planted_results[found[1], int(found[2])] = json.loads(path.read_text())
            elif found := re.fullmatch(rf"study-(.+)-({'|'.join(WORDS)})-(\d+)", path.stem):
                study_results[found[1], found[2], int(found[3])] = json.loads(path.read_text())
        if planted_results:
            kept["planted"].write_text(compact(pool_planted(planted_results)))
        if study_results:
            kept["study"].write_text(compact(pool_study(study_results)))
    made = {}
    if kept["planted"].exists():
        made |= tables_planted(json.loads(kept["planted"].read_text()))
    if kept["study"].exists():
        made |= tables_study(json.loads(kept["study"].read_text()))
    if not arguments.page:
        for name, text in made.items():
            print(f"### {name}\n\n{text}\n")
        return
    page = Path(arguments.page)
    text = page.read_text()
    for name in re.findall(r"<!-- table ([a-z-]+) -->", text):
        if name not in made:
            sys.exit(f"{page}: there is no table {name}; there are {', '.join(made)}")
        text = re.sub(rf"(<!-- table {name} -->\n).*?(\n?<!-- end -->)",
                      lambda found: f"{found[1]}\n{made[name]}\n\n<!-- end -->", text, flags=re.DOTALL)
    page.write_text(text)


def compact(found):
    """A line for each data set and recipe, or kind."""
    lines = []
    for name, entry in found.items():
        inner = ",\n  ".join(f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}"
                             for key, value in entry.items())
        lines.append(f" {json.dumps(name)}: {{\n  {inner}\n }}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("what", choices=["planted", "study", "table"])
    parser.add_argument("--binary", default="giveaway")
    parser.add_argument("--data", help="folder of the data sets; without it only the two that are shipped")
    parser.add_argument("--out", help="folder of results and, for a while, runs")
    parser.add_argument("--only", help="names of data sets, with commas")
    parser.add_argument("--seeds", help="numbers, with commas")
    parser.add_argument("--recipes", default=",".join(WORDS))
    parser.add_argument("--models", type=int, default=64, help="reference models")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--keep", action="store_true", help="keep run directories and records")
    parser.add_argument("--results", default=str(ROOT / "bench" / "results"))
    parser.add_argument("--page", help="put the tables into this page")
    arguments = parser.parse_args()
    if arguments.what != "table" and not arguments.out:
        parser.error("--out says where results go")
    {"planted": planted, "study": study, "table": tables}[arguments.what](arguments)


if __name__ == "__main__":
    main()
