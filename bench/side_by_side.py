"""Trains the models of W1, W2 and W3 with giveaway-nn and with its peers, in turns, and
prints how many models per second each way makes. README.md says what is measured and how.

    python3 side_by_side.py [--quick] [--rounds 5] [--only W1] [--python PATH]
"""

import argparse
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from workloads import workloads

HERE = Path(__file__).resolve().parent
NATIVE = HERE / "target" / "native"  # the Rust peers, compiled for this machine


@dataclass(frozen=True, eq=False)
class Way:
    """A way to train. `models` says how many for each workload it takes part in: enough for a
    steady rate, and all of a workload's where they are trained as one."""

    name: str
    command: list[str]
    models: dict[str, int]
    threads: int = 2  # of each process
    processes: int = 1


def ways() -> list[Way]:
    torch = ["PYTHON", "peers/pytorch.py"]
    jax = ["PYTHON", "peers/jax_peer.py"]
    return [
        Way("giveaway", ["target/release/peer-giveaway"], {"W1": 64, "W2": 16, "W3": 12}),
        Way("burn, a model per thread", ["target/native/release/peer-burn"], {"W1": 16, "W2": 4, "W3": 2}),
        Way("candle, a model per thread", ["target/native/release/peer-candle"], {"W1": 12, "W2": 4}),
        Way("PyTorch, one after another, 1 thread", [*torch, "sequential"], {"W1": 3, "W2": 2, "W3": 1}, threads=1),
        Way("PyTorch, one after another, 2 threads", [*torch, "sequential"], {"W1": 3, "W2": 2, "W3": 1}),
        Way("PyTorch, 2 processes", [*torch, "sequential"], {"W1": 6, "W2": 4, "W3": 4}, threads=1, processes=2),
        Way("PyTorch, stacked (baddbmm)", [*torch, "stacked"], {"W1": 32, "W2": 16}),
        Way("PyTorch, torch.func.vmap", [*torch, "vmap"], {"W1": 32, "W2": 16, "W3": 4}),
        Way("JAX, lax.map", [*jax, "map"], {"W1": 32, "W2": 8, "W3": 4}),
        Way("JAX, vmap", [*jax, "vmap"], {"W1": 32, "W2": 16, "W3": 4}),
        Way("JAX, lax.map, 2 processes", [*jax, "map"], {"W1": 32, "W2": 8, "W3": 4}, threads=1, processes=2),
    ]


def environment(threads: int) -> dict[str, str]:
    """The number of threads for every library that takes it from the environment."""
    variables = {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        # the Rust peers cut nothing up: their models are the parallel work
        "RAYON_NUM_THREADS": "1",
        "CANDLE_NUM_THREADS": "1",
        "JAX_PLATFORMS": "cpu",
    }
    if threads == 1:
        variables["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    return os.environ | variables


def output(command: list[str], threads: int = 1) -> list[dict]:
    """The lines of JSON that a command prints."""
    result = subprocess.run(
        command, cwd=HERE, env=environment(threads), stdout=subprocess.PIPE, text=True, check=True
    )
    return [json.loads(line) for line in result.stdout.splitlines()]


def prepare_python(python: str | None) -> str:
    if python:
        return python
    environment_folder = HERE / ".venv"
    interpreter = environment_folder / "bin" / "python"
    if not interpreter.exists():
        subprocess.run([sys.executable, "-m", "venv", environment_folder], check=True)
    install = [interpreter, "-m", "pip", "install", "--quiet", "-r", "requirements.txt"]
    subprocess.run(install, cwd=HERE, check=True)
    return str(interpreter)


def build() -> None:
    """giveaway as it is shipped, the others for this machine's instruction set."""
    print("building the Rust peers (the first time: some minutes)", file=sys.stderr)
    cargo = ["cargo", "build", "--quiet", "--locked", "--release"]
    subprocess.run([*cargo, "-p", "peer-giveaway"], cwd=HERE, check=True)
    peers = [*cargo, "--target-dir", NATIVE, "-p", "peer-burn", "-p", "peer-candle", "-p", "gemm-peak"]
    native = os.environ | {"RUSTFLAGS": "-Ctarget-cpu=native"}
    subprocess.run(peers, cwd=HERE, env=native, check=True)


def measure_peak(python: str, quick: bool) -> dict:
    """The best GEMM in one copy, and in two at once, each on one thread."""
    measured = []
    for copies in (1, 2):
        options = ["--copies", str(copies)]
        if quick:
            options += ["--sizes", "512", "--trials", "1"]
        measured += output([str(NATIVE / "release" / "gemm-peak"), *options])
        measured += output([python, "peers/gemm_peak.py", *options])
    best = {
        copies: max((m for m in measured if m["copies"] == copies), key=lambda m: m["gflops"])
        for copies in (1, 2)
    }
    return {"one": best[1], "two": best[2], "all": measured}


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def run_once(way: Way, name: str, data: Path, python: str, quick: bool) -> dict:
    command = [python if part == "PYTHON" else part for part in way.command]
    command += ["--workload", name, "--data", str(data)]
    command += ["--models", str(max(2, way.models[name] // 4) if quick else way.models[name])]
    command += ["--threads", str(way.threads)]
    if way.processes > 1:
        command += ["--processes", str(way.processes)]
    if quick:
        command += ["--epochs", "1"]
    return output(command, way.threads)[0]


def summarise(name: str, runs: dict[Way, list[dict]], peak: float, epochs: float) -> list[dict]:
    """A row for each way. `epochs` is the share of the workload's own that was run."""
    rows = []
    operations = workloads()[name].operations() * epochs
    for way, results in runs.items():
        rates = [result["models_per_second"] for result in results]
        # a way's rounds train the same models: of each, one accuracy
        accuracies = results[0]["accuracies"]
        spread = statistics.stdev(accuracies) if len(accuracies) > 1 else float("nan")
        memory = [result["peak_rss_bytes"] for result in results]
        rows.append(
            {
                "way": way.name,
                "models": results[0]["models"],
                "threads": way.threads,
                "processes": way.processes,
                "models_per_second": statistics.median(rates),
                "lowest": min(rates),
                "highest": max(rates),
                "gflops": statistics.median(rates) * operations / 1e9,
                "accuracy": statistics.mean(accuracies),
                "accuracy_deviation": spread,
                "accuracies": accuracies,
                "loss": statistics.mean(result["loss"] for result in results),
                "warm_up_seconds": max(result.get("warm_up_seconds", 0) for result in results),
                "peak_rss_bytes": None if None in memory else max(memory),
            }
        )
    # every model differs by its half and its start, about equally in all ways: the standard
    # error of a way's mean is taken from the spread within all of them
    within = [(len(row["accuracies"]) - 1, row["accuracy_deviation"]) for row in rows]
    freedom = sum(n for n, _ in within)
    deviation = (sum(n * s**2 for n, s in within if n) / freedom) ** 0.5
    ours = next(row for row in rows if row["way"] == "giveaway")
    for row in rows:
        row["fraction_of_peak"] = row["gflops"] / peak
        row["giveaway_is_faster"] = ours["models_per_second"] / row["models_per_second"]
        row["accuracy_standard_error"] = deviation / row["models"] ** 0.5
        error = deviation * (1 / row["models"] + 1 / ours["models"]) ** 0.5
        # one held-out record more or less is no difference
        error = max(error, 1 / workloads()[name].held_out)
        row["differs"] = row is not ours and abs(row["accuracy"] - ours["accuracy"]) > 3 * error
    return sorted(rows, key=lambda row: -row["models_per_second"])


def table(name: str, rows: list[dict]) -> str:
    lines = [
        f"### {name}",
        "",
        "| way | models/s (lowest–highest) | giveaway is faster by | GFLOP/s | of the GEMM peak "
        "| held-out accuracy | peak memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        memory = row["peak_rss_bytes"]
        flag = " **differs**" if row["differs"] else ""
        lines.append(
            f"| {row['way']} | {row['models_per_second']:.2f} ({row['lowest']:.2f}–{row['highest']:.2f}) "
            f"| {row['giveaway_is_faster']:.2f} × | {row['gflops']:.1f} | {row['fraction_of_peak']:.0%} "
            f"| {row['accuracy']:.2%} ± {row['accuracy_standard_error']:.2%}{flag} "
            f"| {'?' if memory is None else f'{memory / 2**20:.0f} MiB'} |"
        )
    return "\n".join(lines)


def machine() -> dict:
    model = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if "model name" in line), model)
    return {"cpu": model, "cores": os.cpu_count(), "system": platform.platform()}


def versions(python: str) -> dict:
    ask = (
        "import importlib.metadata as m, json, platform; "
        "print(json.dumps({'python': platform.python_version()} | "
        "{name: m.version(name) for name in ('torch', 'jax', 'jaxlib', 'numpy')}))"
    )
    found = output([python, "-c", ask])[0]
    locked = re.findall(r'name = "(.*)"\nversion = "(.*)"', (HERE / "Cargo.lock").read_text())
    names = ("burn", "burn-flex", "candle-core", "gemm", "matrixmultiply", "giveaway-nn")
    found |= {name: version for name, version in locked if name in names}
    ask = ["rustc", "--version"]
    rustc = subprocess.run(ask, check=True, stdout=subprocess.PIPE, text=True)
    found["rustc"] = rustc.stdout.split()[1]
    ask = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(ask, cwd=HERE, stdout=subprocess.PIPE, text=True)
    found["commit"] = commit.stdout.strip()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, help="runs of each way [5; with --quick 1]")
    parser.add_argument("--only", action="append", choices=workloads(), help="a workload; may be repeated")
    parser.add_argument("--ways", action="append", help="ways whose name holds this, beside giveaway; may be repeated")
    parser.add_argument("--quick", action="store_true", help="one epoch of few models, to see that all works")
    parser.add_argument("--python", help="an interpreter with requirements.txt; by default .venv is made")
    arguments = parser.parse_args()
    rounds = arguments.rounds or (1 if arguments.quick else 5)

    python = prepare_python(arguments.python)
    build()
    data = HERE / "target" / "data"
    subprocess.run([python, "data.py", data], cwd=HERE, check=True)
    started = datetime.datetime.now(datetime.timezone.utc)
    result = {
        "date": started.isoformat(timespec="seconds"),
        "quick": arguments.quick,
        "rounds": rounds,
        "machine": machine(),
        "versions": versions(python),
    }
    # the best of before and after each workload: the clock drifts
    result["gemm"] = measure_peak(python, arguments.quick)
    print(f"{result['machine']['cpu']}, {result['machine']['cores']} cores; {started:%Y-%m-%d}; medians of {rounds}")
    print(", ".join(f"{name} {version}" for name, version in result["versions"].items()))
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    file = folder / f"side-by-side-{started:%Y-%m-%dT%H%M%S}.json"
    result["workloads"] = {}
    for name, workload in workloads().items():
        if arguments.only and name not in arguments.only:
            continue
        taking_part = [
            way
            for way in ways()
            if name in way.models
            and (way.name == "giveaway" or not arguments.ways or any(part in way.name for part in arguments.ways))
        ]
        runs = {way: [] for way in taking_part}
        for number in range(rounds):
            for way in taking_part:
                progress(f"{name} round {number + 1} of {rounds}: {way.name}")
                runs[way].append(run_once(way, name, data, python, arguments.quick))
        progress("")
        later = measure_peak(python, arguments.quick)
        for copies in ("one", "two"):
            result["gemm"][copies] = max(result["gemm"][copies], later[copies], key=lambda m: m["gflops"])
        result["gemm"]["all"] += later["all"]
        one, two = result["gemm"]["one"], result["gemm"]["two"]
        share = 1 / workload.epochs if arguments.quick else 1.0
        rows = summarise(name, runs, two["gflops"], share)
        result["workloads"][name] = rows
        print("\n" + table(name, rows))
        print(
            f"\nGEMM peak (float32, a thread for each copy): one copy {one['gflops']:.0f} GFLOP/s "
            f"({one['library']}, {one['size']}), two at once {two['gflops']:.0f} ({two['library']}, {two['size']}).",
            flush=True,
        )
        file.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\n{file.relative_to(HERE)}", file=sys.stderr)


if __name__ == "__main__":
    main()
