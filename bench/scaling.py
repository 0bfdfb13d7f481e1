"""Time and peak memory of `giveaway reference` on W1, by the number of models and of records.

    python3 scaling.py [--quick] [--python PATH]

Beside the command, the same training by giveaway-nn alone (the peer of side_by_side.py).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from workloads import workloads

HERE = Path(__file__).resolve().parent
GIVEAWAY = HERE.parent / "target" / "release" / "giveaway"
PEER = HERE / "target" / "release" / "peer-giveaway"
FOLDER = HERE / "target" / "scaling"
W1 = workloads()["W1"]


@dataclass
class Cost:
    seconds: float
    peak_bytes: int
    output: str


def measure(command: list) -> Cost:
    """Runs a command. This process stays small: what it once held would count as the child's."""
    start = time.perf_counter()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command[0]} failed")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(seconds, usage.ru_maxrss * unit, output)


def write_data(folder: Path, records: int) -> None:
    """Records of W1 in the files of data.py; runs in a process of its own."""
    import numpy as np

    folder.mkdir(parents=True)
    rng = np.random.default_rng(records)
    for suffix, count in (("", records), ("test", 100)):
        labels = rng.integers(W1.classes, size=count)
        shape = (count, W1.inputs)
        features = np.lib.format.open_memmap(folder / f"X{suffix}.npy", "w+", np.float32, shape)
        for start in range(0, count, 10_000):
            part = features[start : start + 10_000]
            part[:] = rng.standard_normal(part.shape, dtype=np.float32)
            part += 0.3 * labels[start : start + 10_000, None]
        np.save(folder / f"y{suffix}.npy", labels)
    halves = [rng.permutation(records)[: records // 2] for _ in range(16)]
    np.save(folder / "halves.npy", np.stack(halves).astype(np.int32))


def row(data: Path, records: int, models: int) -> str:
    run = FOLDER / "run"
    shutil.rmtree(run, ignore_errors=True)
    training = ["--hidden", ",".join(map(str, W1.hidden)), "--epochs", W1.epochs]
    training += ["--batch-size", W1.batch_size, "--learning-rate", 0.001, "--l2", 0]
    command = [GIVEAWAY, "reference", data / "W1" / "X.npy", "--labels-file", data / "W1" / "y.npy"]
    command += ["--models", models, *training, "--run", run, "--no-records", "--quiet", "--threads", 2]
    whole = measure(command)
    alone = measure([PEER, "--workload", "W1", "--data", data, "--models", models])
    seconds = json.loads(alone.output)["seconds"]
    # What one record in one model costs, all its epochs together; half of the records train.
    # The command trains a target beside the reference models.
    each = 1e6 / (models * records)
    each_of_whole = 1e6 / ((models + 1) * records)
    return (
        f"| {records:,} | {models} | {whole.seconds:.2f} | {whole.seconds * each_of_whole:.2f} | {whole.peak_bytes / 2**20:.0f} "
        f"| {seconds:.2f} | {seconds * each:.2f} | {alone.peak_bytes / 2**20:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="the smaller cases only")
    parser.add_argument("--python", help="an interpreter with NumPy; by default .venv's if there is one")
    parser.add_argument("--write", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write:
        write_data(Path(arguments.write[0]), int(arguments.write[1]))
        return
    own = HERE / ".venv" / "bin" / "python"
    python = arguments.python or (own if own.exists() else sys.executable)
    build = ["cargo", "build", "--locked", "--release", "--quiet"]
    subprocess.run([*build, "-p", "giveaway-cli"], cwd=HERE.parent, check=True)
    subprocess.run([*build, "-p", "peer-giveaway"], cwd=HERE, check=True)

    many = [16, 32] if arguments.quick else [16, 32, 64, 128, 256]
    sizes = [1_000, 10_000] if arguments.quick else [1_000, 10_000, 100_000, 1_000_000]
    shutil.rmtree(FOLDER, ignore_errors=True)
    print(
        "| records | models | `giveaway reference`: s | µs per model and record | peak MiB "
        "| giveaway-nn alone: s | µs per model and record | peak MiB |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for records, models in [(20_000, models) for models in many] + [(n, 16) for n in sizes]:
        data = FOLDER / str(records)
        if not data.exists():
            write = [python, __file__, "--write", data / "W1", str(records)]
            subprocess.run(write, check=True)
        print(row(data, records, models), flush=True)
    shutil.rmtree(FOLDER)


if __name__ == "__main__":
    main()
