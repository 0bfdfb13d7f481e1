"""The float32 GEMM of torch.mm (MKL on x86) and of NumPy (OpenBLAS): square products on
one thread, in one process or several at once.

Prints a line of JSON for each library and size: GFLOP/s of all processes together in the
best of the trials. The thread counts come from the environment: OMP_NUM_THREADS=1.
"""

import argparse
import json
import multiprocessing
import time

import numpy as np


def copy(arguments, barrier, queue) -> None:
    import torch

    torch.set_num_threads(1)
    rates = []
    for size in arguments.sizes:
        a = np.random.default_rng(0).random((size, size), dtype=np.float32)
        out = np.empty_like(a)
        ta, tout = torch.from_numpy(a), torch.from_numpy(out)
        multiplications = {
            "torch.mm": lambda: torch.mm(ta, ta, out=tout),
            "numpy": lambda: np.matmul(a, a, out=out),
        }
        for multiply in multiplications.values():
            multiply()
            for _ in range(arguments.trials):
                barrier.wait()
                start, count = time.perf_counter(), 0
                while (elapsed := time.perf_counter() - start) < arguments.seconds:
                    multiply()
                    count += 1
                rates.append(2e-9 * size**3 * count / elapsed)
    queue.put(rates)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--sizes", type=lambda text: [int(n) for n in text.split(",")], default=[512, 1024, 2048])
    parser.add_argument("--seconds", type=float, default=0.5, help="of a trial")
    parser.add_argument("--trials", type=int, default=3, help="of which the best counts")
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(arguments.copies), context.SimpleQueue()
    copies = [context.Process(target=copy, args=(arguments, barrier, queue)) for _ in range(arguments.copies)]
    for process in copies:
        process.start()
    rates = np.sum([queue.get() for _ in copies], axis=0)
    for process in copies:
        process.join()
    best = rates.reshape(len(arguments.sizes), 2, arguments.trials).max(axis=2)
    for size, of_size in zip(arguments.sizes, best):
        for library, gflops in zip(["torch.mm", "numpy"], of_size):
            result = {"library": library, "size": size, "copies": arguments.copies, "gflops": gflops}
            print(json.dumps(result))


if __name__ == "__main__":
    main()
