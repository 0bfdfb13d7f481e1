"""What the peers written in Python share: the command line, processes that start together,
and the line of JSON that each prints. bench-common is the same for those in Rust."""

import argparse
import json
import multiprocessing
import os
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from workloads import workloads  # noqa: E402


class Data:
    """Records to train on and records held out."""

    def __init__(self, folder: Path):
        self.features = np.load(folder / "X.npy")
        self.labels = np.load(folder / "y.npy")
        self.held_out = np.load(folder / "Xtest.npy")
        self.held_out_labels = np.load(folder / "ytest.npy")
        self.halves = np.load(folder / "halves.npy")


def orders(workload, data: Data, seed: int) -> np.ndarray:
    """The rows of a model in the order of each epoch: epochs × rows."""
    rng = np.random.default_rng(seed)
    rows = data.halves[seed % len(data.halves)]
    return np.stack([rng.permutation(rows) for _ in range(workload.epochs)])


def judge(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Accuracy and mean cross-entropy."""
    logits = logits.astype(np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]
    return float((logits.argmax(axis=1) == labels).mean()), float(losses.mean())


def peak_memory() -> int | None:
    """The largest resident memory of this process so far, in bytes."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    return next(1024 * int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line)


def in_process(prepare, arguments, number, seeds, barrier, queue) -> None:
    """One process: `prepare` returns `train`, and `logits` of what `train` returns."""
    try:
        if arguments.processes > 1 and hasattr(os, "sched_setaffinity"):
            # threads of its own for each: XLA asks the cores, and no variable
            cores = sorted(os.sched_getaffinity(0))
            own = [cores[(number * arguments.threads + i) % len(cores)] for i in range(arguments.threads)]
            os.sched_setaffinity(0, own)
        workload = workloads()[arguments.workload]
        workload = replace(workload, epochs=arguments.epochs or workload.epochs)
        data = Data(arguments.data / arguments.workload)
        start = time.perf_counter()
        train, logits = prepare(workload, data, arguments, len(seeds))
        warm_up = time.perf_counter() - start
        barrier.wait()
        start = time.perf_counter()
        models = train(seeds)
        end = time.perf_counter()
        memory = peak_memory()
        judged = [judge(each, data.held_out_labels) for each in logits(models)]
        queue.put((start, end, warm_up, memory, judged))
    except BaseException:
        barrier.abort()
        queue.put(traceback.format_exc())


def run(way: str, prepare, arguments) -> None:
    """Trains the models in so many processes, which start together, and prints the result.

    Reading the data, `prepare` (which warms up and compiles) and evaluation are not in the
    time; drawing orders is.
    """
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(arguments.processes)
    queue = context.SimpleQueue()
    seeds = range(arguments.models)
    shares = [list(seeds[i :: arguments.processes]) for i in range(arguments.processes)]
    processes = [
        context.Process(target=in_process, args=(prepare, arguments, number, share, barrier, queue))
        for number, share in enumerate(shares)
    ]
    for process in processes:
        process.start()
    results = []
    while len(results) < len(processes):
        if not queue.empty():
            results.append(queue.get())
        elif any(process.exitcode for process in processes):
            # killed, for want of memory perhaps: it can put nothing, and others wait for it
            for process in processes:
                process.kill()
            sys.exit("a process died")
        else:
            time.sleep(0.01)
    for process in processes:
        process.join()
    failures = [result for result in results if isinstance(result, str)]
    if failures:
        sys.exit("\n".join(failures))
    starts, ends, warm_ups, memory, judged = zip(*results)
    seconds = max(ends) - min(starts)
    judged = [each for share in judged for each in share]
    print(
        json.dumps(
            {
                "way": way,
                "workload": arguments.workload,
                "models": len(judged),
                "threads": arguments.threads,
                "processes": arguments.processes,
                "seconds": seconds,
                "models_per_second": len(judged) / seconds,
                "warm_up_seconds": max(warm_ups),
                "accuracies": [accuracy for accuracy, _ in judged],
                "loss": sum(loss for _, loss in judged) / len(judged),
                "peak_rss_bytes": None if None in memory else sum(memory),
            }
        )
    )


def parser(ways: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("way", choices=ways)
    parser.add_argument("--workload", required=True, choices=workloads())
    parser.add_argument("--data", required=True, type=Path, help="folder that data.py wrote")
    parser.add_argument("--models", required=True, type=int)
    parser.add_argument("--threads", type=int, default=2, help="of each process")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--epochs", type=int, help="where the workload's own are too many")
    return parser
