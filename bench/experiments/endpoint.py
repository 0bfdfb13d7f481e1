"""An audit through a real MLServer against the same audit from a file, with kills in the middle.

    python3 -m venv venv
    venv/bin/pip install mlserver==1.7.1 mlserver-sklearn==1.7.1 scikit-learn==1.9.1 pandas pyarrow
    venv/bin/python bench/experiments/endpoint.py --giveaway target/release/giveaway \
        [--out bench/results/endpoint.json]

Trains a random forest of scikit-learn on half of a sample of Adult, serves it on 127.0.0.1 with
serve.py, and audits it five times with the same seed and reference models:

    file        outputs given as a file
    whole       asked over HTTP (Open Inference Protocol v2), two requests at a time
    restarted   the server is killed (SIGKILL) while it is asked, and started again; the audit
                asks again by itself
    gone        the server is killed and stays away until the audit gives up with exit code 4;
                then it is started, and the same command is given again
    killed      giveaway is killed (SIGKILL) while it asks, and the same command is given again

and demands of each of the four
  - that every column of records.parquet is that of `file`: numbers within float32, the rest equal;
  - that every record was answered exactly once, and never asked again after that, by the ledger
    (RUN/target/queries.jsonl);
  - that the ledger's count is the server's. The server writes down each request before it
    answers, so: what was answered ≤ what the server counted ≤ what was sent, and the difference
    to the answered is made of requests that the ledger has as cut off (failed, or without an
    end because giveaway was killed). Requests with an end are counted one by one: without kills
    all three numbers are the same.

Ends with exit code 1 at the first mismatch. Takes about a minute on two cores. Nothing leaves
the machine; ports are chosen by the system.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
SERVE = HERE / "serve.py"
# Two units in the last place of a float32 at 1.
TOLERANCE = 2.4e-7


def fail(message):
    sys.exit(f"endpoint.py: MISMATCH: {message}")


def free_port():
    """A free port whose successor is free as well: MLServer takes two."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


class Server:
    """serve.py with its model, which can be killed and started again at the same address."""

    def __init__(self, data, folder):
        self.data, self.folder, self.port, self.process = data, folder, free_port(), None
        self.log = open(folder.parent / "server.log", "ab")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        line = [sys.executable, SERVE, self.data, self.folder, "--serve-only"]
        line += ["--port", str(self.port)]
        self.process = subprocess.Popen(line, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                sys.exit(f"the server ended with {self.process.returncode}: see {self.log.name}")
            try:
                with urllib.request.urlopen(f"{self.url}/v2/models/audited/ready", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        sys.exit(f"the server is not ready after 90 s: see {self.log.name}")

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def counted(self):
        """Records of each request that was predicted, in order."""
        file = self.folder / "counted.txt"
        if not file.exists():
            return []
        lines = file.read_text().splitlines(keepends=True)
        return [int(line.split()[0]) for line in lines if line.endswith("\n")]


class Audit:
    """One audit in a run directory of its own."""

    def __init__(self, arguments, folder, name, *target):
        self.run, self.name = folder / name, name
        self.line = [arguments.giveaway.resolve(), "audit", folder / "sample.parquet"]
        self.line += ["--label", "income", "--members", folder / "served/members.npy"]
        self.line += ["--models", str(arguments.models), "--epochs", "3", "--quiet"]
        self.line += ["--run", self.run, *target]
        self.log = folder / f"{name}.txt"

    def begin(self):
        with open(self.log, "ab") as log:
            return subprocess.Popen(self.line, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def complete(self, process=None):
        code = (process or self.begin()).wait()
        if code:
            sys.exit(f"{self.name}: giveaway ended with {code}\n{self.log.read_text()[-3000:]}")

    def entries(self):
        lines = (self.run / "target/queries.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


def while_asking(server, process, before, share, records):
    """Waits until the server has counted a share of the records of this audit."""
    deadline = time.monotonic() + 120
    while sum(server.counted()) - before < share * records:
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit("the audit was over, or did not ask, before it could be cut short")
        time.sleep(0.005)


def compare(folder, name):
    """The largest difference between the records of two runs; ends the script if it matters."""
    import numpy
    import pandas

    wanted = pandas.read_parquet(folder / "file/records.parquet")
    got = pandas.read_parquet(folder / name / "records.parquet")
    if list(wanted.columns) != list(got.columns) or len(wanted) != len(got):
        fail(f"{name}: other columns, or other records, than from a file")
    largest, column = 0.0, None
    for what in wanted.columns:
        if wanted[what].dtype != float:
            if not wanted[what].equals(got[what]):
                fail(f"{name}: {what} differs")
            continue
        a, b = wanted[what].to_numpy(), got[what].to_numpy()
        if not (numpy.isnan(a) == numpy.isnan(b)).all():
            fail(f"{name}: {what} is missing elsewhere")
        both = ~numpy.isnan(a) & (a != b)
        apart = numpy.abs(a[both] - b[both]) / numpy.maximum(1, numpy.abs(a[both]))
        if apart.size and apart.max() > largest:
            largest, column = float(apart.max()), what
    if largest > TOLERANCE:
        fail(f"{name}: {column} differs by {largest:.2e}, which is more than {TOLERANCE:.1e}")
    return {"columns": len(wanted.columns), "largest_difference": largest}


def sums(parts):
    """All sums of some of the numbers."""
    reached = {0}
    for part in parts:
        reached |= {part + sum_so_far for sum_so_far in reached}
    return reached


def account(audit, counted, records, cut):
    """Holds the ledger against the server's count, and returns the numbers."""
    sending, end, done = {}, {}, set()
    for entry in audit.entries():
        request = entry["request"]
        if entry["event"] == "sending":
            sending[request] = entry
            asked = set(range(entry["first"], entry["first"] + entry["queries"]))
            if asked & done:
                fail(f"{audit.name}: asked again about records that were answered: {entry}")
            continue
        end[request] = entry["event"]
        if entry["event"] == "answered":
            first = sending[request]["first"]
            done |= set(range(first, first + sending[request]["queries"]))
    answered = [r for r in sending if end.get(r) == "answered"]
    failed = [sending[r]["queries"] for r in sending if end.get(r) == "failed"]
    endless = [sending[r]["queries"] for r in sending if r not in end]
    not_sent = [sending[r]["queries"] for r in sending if end.get(r) == "not-sent"]
    times = [0] * records
    for request in answered:
        first = sending[request]["first"]
        for record in range(first, first + sending[request]["queries"]):
            times[record] += 1
    numbers = {
        "answered": sum(sending[r]["queries"] for r in answered),
        "failed": sum(failed),
        "without_end": sum(endless),
        "not_sent": sum(not_sent),
        "server": sum(counted),
        "records_answered_twice": sum(n > 1 for n in times),
    }
    # Answers that were kept, while a kill took the line which says so, are not asked again.
    kept = [sending[r] for r in sending if r not in end]
    unanswered = {record for record in range(records) if times[record] == 0}
    for entry in kept:
        unanswered -= set(range(entry["first"], entry["first"] + entry["queries"]))
    if numbers["records_answered_twice"] or unanswered:
        fail(f"{audit.name}: not every record was answered exactly once: {numbers}")
    more = numbers["server"] - numbers["answered"]
    if more not in sums(failed + endless):
        fail(f"{audit.name}: the server counted {more} records more than were answered: {numbers}")
    if not cut and more:
        fail(f"{audit.name}: the counts differ though nothing was cut off: {numbers}")
    print(f"{audit.name}: {numbers}")
    return numbers


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--giveaway", type=Path, default=HERE.parents[1] / "target/release/giveaway")
    parser.add_argument("--records", type=int, default=4000)
    parser.add_argument("--models", type=int, default=24)
    parser.add_argument("--folder", type=Path, help="keep all files there")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (arguments.folder or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        server = None
        try:
            import pandas

            table = pandas.read_parquet(HERE.parents[1] / "datasets/adult.parquet")
            table.sample(arguments.records, random_state=0).to_parquet(
                folder / "sample.parquet", index=False
            )
            train = [sys.executable, SERVE, folder / "sample.parquet", folder / "served"]
            subprocess.run([*train, "--train-only"], check=True)
            server = Server(folder / "sample.parquet", folder / "served")
            server.start()
            outcome = check(arguments, folder, server)
        finally:
            if server:
                server.kill()
    print("endpoint.py: the audits through the server are those from the file")
    if arguments.out:
        arguments.out.write_text(json.dumps(outcome, indent=1) + "\n")


def check(arguments, folder, server):
    records, outcome = arguments.records, {"records": arguments.records, "runs": {}}
    http = ["--target-url", server.url, "--protocol", "v2", "--model-name", "audited"]
    http += ["--query-batch", "20", "--concurrency", "2", "--requests-per-second", "60"]

    def judge(audit, before, begun, cut):
        numbers = account(audit, server.counted()[before:], records, cut)
        numbers |= compare(folder, audit.name) | {"seconds": round(time.monotonic() - begun, 1)}
        outcome["runs"][audit.name] = numbers

    begun = time.monotonic()
    Audit(arguments, folder, "file", "--target-outputs", folder / "served/outputs.npy").complete()
    outcome["runs"]["file"] = {"seconds": round(time.monotonic() - begun, 1)}

    # As many queries as there are records: not one is to spare.
    begun, before = time.monotonic(), len(server.counted())
    audit = Audit(arguments, folder, "whole", *http, "--max-queries", str(records))
    audit.complete()
    judge(audit, before, begun, cut=False)

    begun, before = time.monotonic(), len(server.counted())
    audit = Audit(arguments, folder, "restarted", *http)
    process = audit.begin()
    while_asking(server, process, sum(server.counted()), 0.4, records)
    server.kill()
    server.start()
    audit.complete(process)
    if all(entry["event"] in ("sending", "answered") for entry in audit.entries()):
        fail("restarted: the kill of the server left no trace in the ledger")
    judge(audit, before, begun, cut=True)

    begun, before = time.monotonic(), len(server.counted())
    audit = Audit(arguments, folder, "gone", *http, "--retries", "1")
    process = audit.begin()
    while_asking(server, process, sum(server.counted()), 0.4, records)
    server.kill()
    if (code := process.wait()) != 4:
        fail(f"gone: giveaway ended with {code} and not with 4\n{audit.log.read_text()[-3000:]}")
    server.start()
    audit.complete()
    judge(audit, before, begun, cut=True)

    begun, before = time.monotonic(), len(server.counted())
    audit = Audit(arguments, folder, "killed", *http)
    process = audit.begin()
    while_asking(server, process, sum(server.counted()), 0.4, records)
    process.send_signal(signal.SIGKILL)
    process.wait()
    audit.complete()
    judge(audit, before, begun, cut=True)
    return outcome


if __name__ == "__main__":
    main()
