"""A small model server, to try giveaway on: see docs/endpoint-guide.md.

    python serve.py patients.csv --label diagnosis --id patient --port 8765

Trains a random forest on half of the records, writes the ids of these to members.txt, and then
answers on 127.0.0.1 in the Open Inference Protocol, version 2 (JSON), to whoever has the token
that the variable MODEL_TOKEN holds. It declares no inputs: like MLServer it takes one input for
each column. GET /count says how many records it has answered. Needs scikit-learn and pandas.
"""

import argparse
import hmac
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock

import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

NAME = "patients"


def train(arguments):
    """The model, trained on half of the records; and the columns that it takes."""
    records = pd.read_csv(arguments.data, index_col=arguments.id)
    training = records.sample(frac=0.5, random_state=1)
    Path("members.txt").write_text("\n".join(map(str, training.index)) + "\n")
    labels = training.pop(arguments.label)
    columns = make_column_transformer(
        (SimpleImputer(), make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    )
    forest = RandomForestClassifier(arguments.trees, random_state=1)
    return make_pipeline(columns, forest).fit(training, labels), list(training.columns)


class Service:
    """The model, and how many records were answered."""

    def __init__(self, model, columns, token):
        self.model, self.columns, self.token = model, columns, token
        self.lock, self.answered = Lock(), 0

    def infer(self, request):
        """The answer to a request of the protocol; ValueError if it is none."""
        inputs = {tensor["name"]: tensor["data"] for tensor in request["inputs"]}
        if missing := [name for name in self.columns if name not in inputs]:
            raise ValueError(f"no input {missing[0]!r}")
        records = pd.DataFrame({name: inputs[name] for name in self.columns})
        with self.lock:
            probabilities = self.model.predict_proba(records)
            self.answered += len(records)
        tensor = {
            "name": "predict_proba",
            "datatype": "FP64",
            "shape": list(probabilities.shape),
            "data": probabilities.ravel().tolist(),
        }
        return {"model_name": NAME, "outputs": [tensor]}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def reply(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def is_allowed(self):
        given = self.headers.get("Authorization", "")
        if hmac.compare_digest(given.encode(), f"Bearer {self.server.service.token}".encode()):
            return True
        self.reply(401, {"error": "a bearer token is needed"})
        return False

    def do_GET(self):
        known = {
            "/v2": {"name": "serve.py", "version": "1", "extensions": []},
            "/v2/health/ready": {"ready": True},
            f"/v2/models/{NAME}": {"name": NAME, "platform": "sklearn", "inputs": [], "outputs": []},
            "/count": {"records": self.server.service.answered},
        }
        if not self.is_allowed():
            return
        if (path := self.path.rstrip("/")) in known:
            self.reply(200, known[path])
        else:
            self.reply(404, {"error": "there is nothing here"})

    def do_POST(self):
        # Read in any case: what is left of a request would be taken for the next one.
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self.is_allowed():
            return
        if self.path != f"/v2/models/{NAME}/infer":
            self.reply(404, {"error": "there is nothing here"})
            return
        try:
            self.reply(200, self.server.service.infer(json.loads(body)))
        except (KeyError, TypeError, ValueError) as error:
            self.reply(400, {"error": str(error)})

    def log_message(self, *_):
        """Says nothing of each request."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--label", required=True)
    parser.add_argument("--id", required=True)
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--trees", type=int, default=100)
    arguments = parser.parse_args()
    if not (token := os.environ.get("MODEL_TOKEN")):
        sys.exit("serve.py: set MODEL_TOKEN, which callers must know")
    server = ThreadingHTTPServer(("127.0.0.1", arguments.port), Handler)
    server.service = Service(*train(arguments), token)
    server.serve_forever()


if __name__ == "__main__":
    main()
